//! The operations, one file each: control gate → access → schema → plan → change → result.
//!
//! An operation gets a [`Call`] and answers through the call's [`Connection`], at once or later; what must call
//! upward does it through the traits here: [`Connection`] (implemented by `session`) and [`VirtualBackend`]
//! (implemented by `admin`).
//!
//! What may enter: what a request of RFC 4511 means for the directory. No sockets, no bytes on disk.

mod add;
mod answer;
mod bind;
mod call;
mod compare;
mod delete;
mod directory;
mod edit;
mod explain;
mod extended;
mod guarded;
mod identity;
mod journal;
mod lockdown;
mod made;
mod modify;
mod modify_dn;
pub mod outcome;
mod password;
mod pipeline;
mod place;
mod sasl;
mod search;
mod sight;
mod stamp;
mod virtual_backend;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

pub use call::{Call, Connection, Ending, Errand, Flight, FlightKeeper, Served};
pub use directory::{Directory, DirectoryError, Parts};
pub use lockdown::Lockdown;
pub(crate) use made::made;
pub use virtual_backend::VirtualBackend;

use crate::protocol::message::OperationKind;
use crate::protocol::result::{LdapResult, ResultCode};
use answer::Exchange;

/// Serves one request. It is answered exactly once (an abandoned one not at all), on this thread, by what is
/// returned, or later by a thread of the store. Nothing unwinds out of here: an operation that panics is answered
/// with [`ResultCode::OTHER`] and logged.
pub fn serve(call: Call) -> Served {
    match catch_unwind(AssertUnwindSafe(|| dispatch(Exchange::new(call)))) {
        Ok(Served::Answered) | Err(_) => Served::Answered,
        Ok(Served::Beside(future)) => Served::Beside(Box::pin(Caught(Some(future)))),
        Ok(Served::Before(future)) => Served::Before(Box::pin(Caught(Some(future)))),
    }
}

fn dispatch(exchange: Exchange) -> Served {
    let kind = exchange.request().kind();
    if kind != OperationKind::Bind && exchange.sight.who.is_anonymous() {
        let config = exchange.directory().config.load();
        if config.global.reject_unauthenticated_requests {
            let text = "nothing is served before a bind (ds-cfg-reject-unauthenticated-requests)";
            exchange.finish(&LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text));
            return Served::Answered;
        }
    }
    if kind != OperationKind::Bind
        && let Err(refusal) = lockdown::check(&exchange, &exchange.sight.who)
    {
        match kind {
            OperationKind::Unbind | OperationKind::Abandon => exchange.forget(),
            _ => exchange.finish(&refusal),
        }
        return Served::Answered;
    }
    match kind {
        OperationKind::Search => return search::serve(exchange),
        OperationKind::Modify => return modify::serve(exchange),
        OperationKind::Add => return add::serve(exchange),
        OperationKind::Bind => return bind::serve(exchange),
        OperationKind::Extended => return extended::serve(exchange),
        OperationKind::Delete => delete::serve(exchange),
        OperationKind::ModifyDn => modify_dn::serve(exchange),
        OperationKind::Compare => compare::serve(exchange),
        // The session keeps these two to itself; they have no answer.
        OperationKind::Unbind | OperationKind::Abandon => exchange.forget(),
    }
    Served::Answered
}

type Going = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future that ends where it would unwind; what it owned is dropped, which answers the request.
struct Caught(Option<Going>);

impl Future for Caught {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.0 else { return Poll::Ready(()) };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(()),
            Err(_) => {
                self.0 = None;
                Poll::Ready(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
