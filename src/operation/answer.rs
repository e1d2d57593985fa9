//! One request on its way through an operation, and the one answer it is owed.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::sight::Sight;
use super::{Call, Connection, Directory, Ending, journal};
use crate::backend::TokenStore;
use crate::protocol::encode::{self, ResponseControl, ResponseKind};
use crate::protocol::message::{MessageId, OperationKind, Request};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::Schema;

/// A call with the snapshots it works on. It is answered exactly once: by one of the `finish` doors, or, should
/// it be dropped unanswered (a panic, a store that forgot it), with [`ResultCode::OTHER`].
pub(super) struct Exchange {
    call: Call,
    /// As whom the operation acts (the connection's requester, or the one it is a proxy for), under which ACIs.
    pub(super) sight: Sight,
    /// The definitions the whole operation sees.
    pub(super) schema: Arc<Schema>,
    /// Entries sent so far.
    pub(super) entries: u32,
    /// Whether no index served the search.
    pub(super) unindexed: bool,
    /// The value of a successful extended response.
    pub(super) extended_value: Option<Bytes>,
    /// Why a bind failed; for the log alone.
    pub(super) bind_failure: Option<&'static str>,
    answered: bool,
}

impl Exchange {
    /// Takes a call up.
    pub(super) fn new(call: Call) -> Self {
        journal::begun(&call);
        let sight = Sight { who: Arc::clone(&call.requester), access: call.directory.access.current() };
        let schema = call.directory.schema.current();
        Self {
            call,
            sight,
            schema,
            entries: 0,
            unindexed: false,
            extended_value: None,
            bind_failure: None,
            answered: false,
        }
    }

    /// The call.
    pub(super) const fn call(&self) -> &Call {
        &self.call
    }

    /// The server.
    pub(super) fn directory(&self) -> &Arc<Directory> {
        &self.call.directory
    }

    /// The store.
    pub(super) fn store(&self) -> &Arc<dyn TokenStore> {
        &self.call.directory.store
    }

    /// The connection.
    pub(super) fn connection(&self) -> &dyn Connection {
        &*self.call.connection
    }

    /// The request; cloning it is cheap.
    pub(super) const fn request(&self) -> &Request {
        &self.call.request
    }

    /// The message id.
    pub(super) const fn id(&self) -> MessageId {
        self.call.request.id()
    }

    /// Time since the request arrived.
    pub(super) fn elapsed(&self) -> Duration {
        self.call.directory.clock.monotonic().saturating_sub(self.call.arrived)
    }

    /// Whether the client wants no more of it.
    pub(super) fn is_ended(&self) -> bool {
        self.call.flight.ending() != Ending::None
    }

    /// Sends a search entry, spliced from whole encoded attributes.
    pub(super) fn entry(&mut self, dn: &str, attributes: &[&[u8]], controls: &[ResponseControl]) {
        let id = self.id();
        self.call.connection.send(&mut |out: &mut BytesMut| encode::entry(out, id, dn, attributes, controls));
        self.entries = self.entries.saturating_add(1);
    }

    /// Answers with a bare result.
    pub(super) fn finish(self, result: &LdapResult) {
        self.finish_with(result, &[]);
    }

    /// Answers with a result and controls.
    pub(super) fn finish_with(mut self, result: &LdapResult, controls: &[ResponseControl]) {
        self.send_result(result, controls);
    }

    /// Ends without an answer: the connection is gone, or the client abandoned the request.
    pub(super) fn forget(mut self) {
        self.settle(&LdapResult::new(ResultCode::CANCELED, "abandoned, or the connection closed"));
    }

    fn send_result(&mut self, result: &LdapResult, controls: &[ResponseControl]) {
        let id = self.id();
        let canceled = LdapResult::new(ResultCode::CANCELED, "canceled by the client");
        let is_canceled = self.call.flight.ending() == Ending::Canceled;
        let (result, controls) = if is_canceled { (&canceled, &[][..]) } else { (result, controls) };
        let value = self.extended_value.take().filter(|_| result.code == ResultCode::SUCCESS);
        if self.goes_out() {
            self.call.flight.answer();
            self.call.connection.send(&mut |out: &mut BytesMut| match self.call.request.kind().response() {
                Some(ResponseKind::Extended) => {
                    encode::extended(out, id, result, None, value.as_deref(), controls)
                }
                Some(kind) => encode::result(out, id, kind, result, controls),
                None => {}
            });
        }
        self.settle(result);
    }

    /// An abandoned request gets no answer (RFC 4511 §4.11); a bind cannot be abandoned.
    fn goes_out(&self) -> bool {
        self.call.request.kind() == OperationKind::Bind || self.call.flight.ending() != Ending::Abandoned
    }

    fn settle(&mut self, result: &LdapResult) {
        self.answered = true;
        journal::ended(self, &self.sight.who, result);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.answered {
            let result =
                LdapResult::new(ResultCode::OTHER, "the operation failed inside the server; see its log");
            tracing::error!(
                connection = self.call.connection_number,
                operation = self.call.operation_number,
                kind = self.call.request.kind().name(),
                "an operation ended without an answer"
            );
            self.send_result(&result, &[]);
        }
    }
}
