//! One request on its way, and what it needs of the connection it came by.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::BytesMut;

use super::Directory;
use crate::access::Requester;
use crate::auth::ClientCertificate;
use crate::protocol::message::{MessageId, Request};
use crate::protocol::result::LdapResult;
use crate::telemetry::Metrics;

/// The connection a request came by, as operations see it.
pub trait Connection: Send + Sync {
    /// Appends whole LDAPMessages to what is to be written. Never blocks; nothing happens once the connection is closed.
    fn send(&self, encode: &mut dyn FnMut(&mut BytesMut));
    /// Octets that wait to be written.
    fn queued(&self) -> usize;
    /// Ready when less waits than the bound (a search then goes on sending), with false once the connection is closed.
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool>;
    /// Ends the connection: a Notice of Disconnection with this result is written, then it closes.
    fn disconnect(&self, notice: LdapResult);
    /// Who the connection acts for from now on.
    fn authenticate(&self, requester: Arc<Requester>);
    /// The certificate that the client showed in the TLS handshake, checked against the trusted authorities.
    fn certificate(&self) -> Option<Arc<ClientCertificate>> {
        None
    }
    /// Whether the kernel says that the client is the server's own user, or root.
    fn is_owner(&self) -> bool {
        false
    }
    /// Whether it came by the administration connector.
    fn is_administrative(&self) -> bool {
        false
    }
    /// Where its requests are counted, if not with those of the server itself.
    fn metrics(&self) -> Option<&Metrics> {
        None
    }
    /// Has the errand of a thread of the store run, soon and on the thread that serves the connection; without such a
    /// thread, here and now.
    fn bring(&self, errand: Box<dyn Errand>) {
        errand.run();
    }
}

/// What is left to be done for a request when the store is done with it.
pub trait Errand: Send {
    /// Does it.
    fn run(self: Box<Self>);
}

/// How a request may end before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ending {
    /// It goes on.
    None = 0,
    /// Abandoned: no answer is sent (RFC 4511 §4.11).
    Abandoned = 1,
    /// Canceled: it answers 118 (RFC 3909).
    Canceled = 2,
}

type Hook = Box<dyn FnOnce(Ending) + Send>;

/// Who keeps the requests in flight, and is told what becomes of them.
pub trait FlightKeeper: Send + Sync {
    /// The request stands from now on: it is never answered by itself.
    fn stands(&self, id: MessageId);
    /// The request is over: nothing more is sent for it. Its message id may be another one's already.
    fn over(&self, flight: &Flight);
}

/// A request in flight. The session keeps one end to abandon or cancel it, the operation the other; when the
/// operation drops the [`Call`], the request is over.
pub struct Flight {
    id: MessageId,
    ending: AtomicU8,
    standing: AtomicBool,
    answered: AtomicBool,
    hook: Mutex<Option<Hook>>,
    keeper: Option<Arc<dyn FlightKeeper>>,
}

impl Flight {
    /// A request in flight, whose keeper is told when the operation is over.
    pub fn new(id: MessageId, keeper: Arc<dyn FlightKeeper>) -> Self {
        Self::of(id, Some(keeper))
    }

    /// A request that nobody keeps.
    pub const fn alone(id: MessageId) -> Self {
        Self::of(id, None)
    }

    const fn of(id: MessageId, keeper: Option<Arc<dyn FlightKeeper>>) -> Self {
        Self {
            id,
            ending: AtomicU8::new(0),
            standing: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            hook: Mutex::new(None),
            keeper,
        }
    }

    /// How it has to end.
    pub fn ending(&self) -> Ending {
        match self.ending.load(Ordering::Acquire) {
            0 => Ending::None,
            1 => Ending::Abandoned,
            _ => Ending::Canceled,
        }
    }

    /// Marks it as one that is never answered by itself (a persistent search): it does not keep the connection from
    /// closing, and the connection does not idle while it stands.
    pub fn stand(&self) {
        if !self.standing.swap(true, Ordering::AcqRel)
            && let Some(keeper) = &self.keeper
        {
            keeper.stands(self.id);
        }
    }

    /// Whether it is marked so.
    pub fn is_standing(&self) -> bool {
        self.standing.load(Ordering::Acquire)
    }

    /// Marks it as answered, before the answer can reach the client: from now on the client may use its message id for
    /// another request, whatever is still to be done for this one.
    pub(crate) fn answer(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// Whether its answer may be with the client already.
    pub fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// Asks it to end; the operation's hook, if any, is called on this thread.
    pub fn end(&self, how: Ending) {
        if self.ending.compare_exchange(0, how as u8, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(hook) = hook {
                hook(how);
            }
        }
    }

    /// Has `hook` called when the request is asked to end; at once if it was already.
    pub fn on_end(&self, hook: impl FnOnce(Ending) + Send + 'static) {
        let mut slot = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        match self.ending() {
            Ending::None => *slot = Some(Box::new(hook)),
            how => {
                drop(slot);
                hook(how);
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.over(self);
        }
    }
}

/// One request with all it needs. Dropping it ends the request.
pub struct Call {
    /// The server.
    pub directory: Arc<Directory>,
    /// The connection it came by.
    pub connection: Arc<dyn Connection>,
    /// Who asks, as of the request's arrival.
    pub requester: Arc<Requester>,
    /// The request.
    pub request: Request,
    /// The way to abandon or cancel it; the session holds a weak end.
    pub flight: Arc<Flight>,
    /// Number of the connection, for the log.
    pub connection_number: u64,
    /// Number of the operation on its connection, for the log.
    pub operation_number: u64,
    /// Monotonic arrival time.
    pub arrived: std::time::Duration,
}

impl Call {
    /// Where it is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        self.connection.metrics().unwrap_or(&self.directory.metrics)
    }
}

/// What became of a call for now.
pub enum Served {
    /// Answered, or a store thread will answer; the next request may start.
    Answered,
    /// Goes on beside the following requests (a long search); the session spawns it.
    Beside(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Has to end before the next request of this connection starts (a bind; a password to hash).
    Before(Pin<Box<dyn Future<Output = ()> + Send>>),
}
