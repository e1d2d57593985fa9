//! From one message to the next: who the client is, what is in flight, what happens to a message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::Outbox;
use super::in_flight::InFlight;
use crate::access::Requester;
use crate::ber::frame::FrameError;
use crate::operation::{self, Call, Connection, Directory, Served};
use crate::protocol::message::{MessageId, Operation, OperationKind, Request};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::protocol::{decode, encode, extended, oid};

/// Bounds of one connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What one message may hold.
    pub message: decode::Limits,
    /// Requests in flight above which no further message is read.
    pub in_flight: usize,
    /// Octets that wait to be written above which no further message is read and searches wait.
    pub outbox: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: decode::Limits::default(), in_flight: 1_000, outbox: 1 << 20 }
    }
}

/// The other end, and how it is reached.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether StartTLS is to be had on this connection.
    pub start_tls: bool,
    /// Strength of TLS in bits; 0 in clear.
    pub security_strength: u16,
}

/// What the connection's task does after a message.
pub enum Next {
    /// Takes the next message.
    Go,
    /// Runs this to its end first.
    Before(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Runs this beside the following messages.
    Beside(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Writes what waits, in clear, then starts TLS; nothing in clear may have been read beyond this message.
    StartTls,
    /// Writes what waits, then closes.
    Close,
}

/// What other threads hold of the connection.
struct Shared {
    outbox: Outbox,
    requester: Mutex<Arc<Requester>>,
    notice: Mutex<Option<LdapResult>>,
    /// The connection's task waits for something in flight to end.
    attentive: AtomicBool,
}

impl Connection for Shared {
    fn send(&self, encode: &mut dyn FnMut(&mut BytesMut)) {
        self.outbox.send(encode);
    }

    fn queued(&self) -> usize {
        self.outbox.queued()
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool> {
        self.outbox.poll_room(context)
    }

    fn disconnect(&self, notice: LdapResult) {
        self.notice.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(notice);
        self.outbox.nudge();
    }

    fn authenticate(&self, requester: Arc<Requester>) {
        *self.requester.lock().unwrap_or_else(PoisonError::into_inner) = requester;
    }
}

/// One connection's state.
pub struct Session {
    directory: Arc<Directory>,
    limits: Limits,
    peer: Peer,
    number: u64,
    operations: u64,
    shared: Arc<Shared>,
    in_flight: Arc<InFlight>,
}

impl Session {
    /// A new connection, whose client is `requester` (anonymous) until it binds.
    pub fn new(
        directory: Arc<Directory>,
        requester: Arc<Requester>,
        number: u64,
        peer: Peer,
        limits: Limits,
    ) -> Self {
        let shared = Arc::new(Shared {
            outbox: Outbox::new(limits.outbox),
            requester: Mutex::new(requester),
            notice: Mutex::default(),
            attentive: AtomicBool::new(false),
        });
        Self { directory, limits, peer, number, operations: 0, shared, in_flight: Arc::default() }
    }

    /// A way to look at the connection from outside.
    pub fn observer(&self) -> Observer {
        Observer { shared: Arc::clone(&self.shared), in_flight: Arc::clone(&self.in_flight) }
    }

    /// What waits to be written.
    pub fn outbox(&self) -> &Outbox {
        &self.shared.outbox
    }

    /// Who the client is now.
    pub fn requester(&self) -> Arc<Requester> {
        Arc::clone(&self.shared.requester.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether no further message may be taken until something in flight ends or something is written.
    pub fn is_paused(&self) -> bool {
        self.in_flight.len() >= self.limits.in_flight || self.shared.outbox.is_full()
    }

    /// Whether the end of a request wakes the connection's task even when it answered nothing. After turning it on, look
    /// at [`Self::is_paused`] and [`Self::unanswered`] once more before sleeping.
    pub fn attend(&self, to_endings: bool) {
        self.shared.attentive.store(to_endings, Ordering::Release);
    }

    /// Requests that are answered before the connection closes in peace.
    pub fn unanswered(&self) -> usize {
        self.in_flight.unanswered()
    }

    /// Requests in flight, standing ones included.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The notice that somebody asked to end the connection with; once.
    pub fn take_notice(&self) -> Option<LdapResult> {
        self.shared.notice.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Writes a Notice of Disconnection.
    pub fn notify_disconnection(&self, notice: &LdapResult) {
        self.shared.outbox.send(&mut |out| encode::notice_of_disconnection(out, notice));
    }

    /// The stream cannot be cut into messages any more: says why; the connection has to close.
    pub fn malformed_stream(&self, error: FrameError) {
        let code = match error {
            FrameError::TooLarge { .. } => ResultCode::ADMIN_LIMIT_EXCEEDED,
            _ => ResultCode::PROTOCOL_ERROR,
        };
        self.notify_disconnection(&LdapResult::with(code, error.to_string()));
    }

    /// Handles one message.
    pub fn message(&mut self, frame: Bytes) -> Next {
        let request = match decode::decode(frame, &self.limits.message) {
            Ok(request) => request,
            Err(error) => return self.malformed(&error),
        };
        match request.kind() {
            OperationKind::Unbind => return Next::Close,
            OperationKind::Abandon => {
                if let Operation::Abandon(id) = request.operation() {
                    self.in_flight.abandon(id);
                }
                return Next::Go;
            }
            OperationKind::Extended => {
                if let Operation::Extended(asked) = request.operation() {
                    match asked.name {
                        oid::START_TLS => return self.start_tls(request.id()),
                        oid::CANCEL => return self.cancel(request.id(), asked.value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        self.serve(request)
    }

    fn serve(&mut self, request: Request) -> Next {
        let shared = Arc::clone(&self.shared);
        let ended = move || {
            if shared.attentive.load(Ordering::Acquire) {
                shared.outbox.nudge();
            }
        };
        let Some(flight) = self.in_flight.enter(request.id(), request.kind(), ended) else {
            let text = "the message id is in use by a request in flight";
            self.notify_disconnection(&LdapResult::new(ResultCode::PROTOCOL_ERROR, text));
            return Next::Close;
        };
        self.operations += 1;
        let call = Call {
            directory: Arc::clone(&self.directory),
            connection: Arc::clone(&self.shared) as Arc<dyn Connection>,
            requester: self.requester(),
            request,
            flight,
            connection_number: self.number,
            operation_number: self.operations,
            arrived: self.directory.clock.monotonic(),
        };
        match operation::serve(call) {
            Served::Answered => Next::Go,
            Served::Beside(future) => Next::Beside(future),
            Served::Before(future) => Next::Before(future),
        }
    }

    /// A message that is not a request: a protocolError on its id where that is known, else the end.
    fn malformed(&self, error: &decode::DecodeError) -> Next {
        let result = LdapResult::with(ResultCode::PROTOCOL_ERROR, error.to_string());
        let known = error.id.zip(error.kind.and_then(OperationKind::response));
        tracing::debug!(connection = self.number, peer = %self.peer.address, %error, "malformed message");
        if let Some((id, kind)) = known {
            self.shared.outbox.send(&mut |out| encode::result(out, id, kind, &result, &[]));
            Next::Go
        } else {
            self.notify_disconnection(&result);
            Next::Close
        }
    }

    fn start_tls(&self, id: MessageId) -> Next {
        let refusal = if self.peer.security_strength > 0 {
            Some(LdapResult::new(ResultCode::OPERATIONS_ERROR, "TLS is on already"))
        } else if !self.peer.start_tls {
            let text = "StartTLS is not enabled on this listener (ds-cfg-allow-start-tls)";
            Some(LdapResult::new(ResultCode::UNAVAILABLE, text))
        } else if self.in_flight.len() > 0 {
            Some(LdapResult::new(ResultCode::OPERATIONS_ERROR, "requests are still in flight"))
        } else if !self.directory.access.current().may_extended(&self.requester(), oid::START_TLS) {
            Some(LdapResult::new(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, "StartTLS is not granted"))
        } else {
            None
        };
        let refused = refusal.is_some();
        let result = refusal.unwrap_or_else(LdapResult::success);
        self.shared
            .outbox
            .send(&mut |out| encode::extended(out, id, &result, Some(oid::START_TLS), None, &[]));
        if refused { Next::Go } else { Next::StartTls }
    }

    fn cancel(&self, id: MessageId, value: Option<&[u8]>) -> Next {
        let result = match extended::cancel::parse(value) {
            Ok(target) => match self.in_flight.cancel(target) {
                ResultCode::SUCCESS => LdapResult::success(),
                ResultCode::NO_SUCH_OPERATION => {
                    LdapResult::new(ResultCode::NO_SUCH_OPERATION, "no request with this id is in flight")
                }
                code => LdapResult::new(code, "only searches can be canceled"),
            },
            Err(error) => LdapResult::with(ResultCode::PROTOCOL_ERROR, error.to_string()),
        };
        self.shared.outbox.send(&mut |out| encode::extended(out, id, &result, None, None, &[]));
        Next::Go
    }

    /// TLS is on: from now on the client is somebody new (RFC 4513 §3.1.5 leaves the identity to the server; it is
    /// dropped).
    pub fn secured(&mut self, security_strength: u16, requester: Arc<Requester>) {
        self.peer.security_strength = security_strength;
        self.shared.authenticate(requester);
    }
}

/// Looks at a connection from outside; for monitoring.
#[derive(Clone)]
pub struct Observer {
    shared: Arc<Shared>,
    in_flight: Arc<InFlight>,
}

impl Observer {
    /// Who the client is now: its DN, empty for anonymous.
    pub fn authenticated_dn(&self) -> String {
        self.shared.requester.lock().unwrap_or_else(PoisonError::into_inner).dn.clone()
    }

    /// Strength of TLS in bits; 0 in clear.
    pub fn security_strength(&self) -> u16 {
        self.shared.requester.lock().unwrap_or_else(PoisonError::into_inner).security_strength
    }

    /// Requests in flight, persistent searches included.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Persistent searches among them.
    pub fn standing(&self) -> usize {
        self.in_flight.len().saturating_sub(self.in_flight.unanswered())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.outbox.close();
        self.in_flight.abandon_all();
    }
}
