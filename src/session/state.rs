//! From one message to the next: who the client is, what is in flight, what happens to a message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::in_flight::InFlight;
use super::pace::Pace;
use super::{Courier, Limits, Outbox, Reason};
use crate::access::Requester;
use crate::auth::ClientCertificate;
use crate::ber::frame::FrameError;
use crate::operation::{self, Call, Connection, Directory, Errand, Flight, FlightKeeper, Served};
use crate::protocol::message::{MessageId, Operation, OperationKind, Request};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::protocol::{decode, encode, extended, oid};
use crate::telemetry::{LoggedRequest, Metrics};

/// The other end, and how it is reached.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether StartTLS is to be had on this connection.
    pub start_tls: bool,
    /// Strength of TLS in bits; 0 in clear.
    pub security_strength: u16,
    /// Whether it came by the administration connector.
    pub is_administrative: bool,
    /// Whether the kernel says that it is the server's own user, or root.
    pub is_owner: bool,
}

/// What the connection's task does after a message.
pub enum Next {
    /// Takes the next message.
    Go,
    /// Runs this to its end first.
    Before(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Runs this beside the following messages.
    Beside(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
    /// StartTLS is granted: if nothing was read beyond this message, [`Session::begin_tls`], what waits is written, and
    /// TLS starts. Otherwise the connection ends.
    StartTls(MessageId),
    /// Writes what waits, then closes.
    Close(Reason),
}

/// What the connection's task waits for besides its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Nothing.
    Nothing,
    /// That messages may be taken again.
    Room,
    /// That everything is answered.
    Answers,
}

/// What other threads hold of the connection.
struct Shared {
    metrics: Arc<Metrics>,
    outbox: Outbox,
    in_flight: InFlight,
    requester: Mutex<Arc<Requester>>,
    /// The requester's idle limit in seconds.
    idle: AtomicU32,
    notice: Mutex<Option<LdapResult>>,
    has_notice: AtomicBool,
    is_administrative: bool,
    is_owner: bool,
    certificate: OnceLock<Arc<ClientCertificate>>,
    courier: OnceLock<Arc<Courier>>,
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
        self.has_notice.store(true, Ordering::Release);
        self.outbox.nudge();
    }

    fn authenticate(&self, requester: Arc<Requester>) {
        self.idle.store(requester.limits.idle, Ordering::Relaxed);
        *self.requester.lock().unwrap_or_else(PoisonError::into_inner) = requester;
    }

    fn certificate(&self) -> Option<Arc<ClientCertificate>> {
        self.certificate.get().cloned()
    }

    fn is_owner(&self) -> bool {
        self.is_owner
    }

    fn is_administrative(&self) -> bool {
        self.is_administrative
    }

    fn metrics(&self) -> Option<&Metrics> {
        Some(&self.metrics)
    }

    fn bring(&self, errand: Box<dyn Errand>) {
        match self.courier.get() {
            Some(courier) => courier.bring(errand),
            None => errand.run(),
        }
    }
}

impl FlightKeeper for Shared {
    fn stands(&self, id: MessageId) {
        if self.in_flight.stands(id) {
            self.outbox.nudge();
        }
    }

    fn over(&self, flight: &Flight) {
        if self.in_flight.over(flight) {
            self.outbox.nudge();
        }
    }
}

/// One connection's state.
pub struct Session {
    directory: Arc<Directory>,
    peer: Peer,
    number: u64,
    operations: u64,
    pace: Pace,
    shared: Arc<Shared>,
}

impl Session {
    /// A new connection, whose client is `requester` (anonymous) until it binds; its listener counts with `metrics`.
    pub fn new(
        directory: Arc<Directory>,
        requester: Arc<Requester>,
        number: u64,
        peer: Peer,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let pace = Pace::new(limits);
        let shared = Arc::new(Shared {
            metrics,
            outbox: Outbox::new(limits.outbox),
            in_flight: InFlight::default(),
            idle: AtomicU32::new(requester.limits.idle),
            requester: Mutex::new(requester),
            notice: Mutex::default(),
            has_notice: AtomicBool::new(false),
            is_administrative: peer.is_administrative,
            is_owner: peer.is_owner,
            certificate: OnceLock::new(),
            courier: OnceLock::new(),
        });
        Self { directory, peer, number, operations: 0, pace, shared }
    }

    /// Has the answers to changes made by this courier from now on, instead of by the store's thread. Only the first call counts.
    pub fn served_by(&self, courier: Arc<Courier>) {
        let _ = self.shared.courier.set(courier);
    }

    /// A way to look at the connection from outside.
    pub fn observer(&self) -> Observer {
        Observer { shared: Arc::clone(&self.shared) }
    }

    /// What waits to be written.
    pub fn outbox(&self) -> &Outbox {
        &self.shared.outbox
    }

    /// Who the client is now.
    pub fn requester(&self) -> Arc<Requester> {
        Arc::clone(&self.shared.requester.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long the connection may idle; none is no limit.
    pub fn idle_limit(&self) -> Option<Duration> {
        let seconds = self.shared.idle.load(Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// Whether no further message may be taken until something in flight ends or something is written.
    pub fn is_paused(&mut self) -> bool {
        let store = &self.directory.store;
        self.pace.is_held_up(&self.shared.in_flight, || store.is_crowded()) || self.shared.outbox.is_full()
    }

    /// Has the outbox nudge the connection's task when what it waits for comes. Look at [`Self::is_paused`] and
    /// [`Self::is_answered`] once more before sleeping.
    pub fn expect(&mut self, what: Awaited) {
        self.pace.expect(what, &self.shared.in_flight);
    }

    /// Whether everything is answered that has to be before the connection closes in peace.
    pub fn is_answered(&self) -> bool {
        self.shared.in_flight.load().requests == 0
    }

    /// Requests in flight, standing ones included.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.len()
    }

    /// The notice that somebody asked to end the connection with; once.
    pub fn take_notice(&self) -> Option<LdapResult> {
        if !self.shared.has_notice.load(Ordering::Acquire) {
            return None;
        }
        self.shared.notice.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Counts what was read: messages, and octets in all.
    pub fn count_read(&self, messages: u64, octets: usize) {
        self.shared.metrics.read(messages, octets as u64);
    }

    /// Counts what goes out.
    pub fn count_written(&self, messages: u64, octets: usize) {
        self.shared.metrics.written(messages, octets as u64);
    }

    /// Writes a Notice of Disconnection.
    pub fn notify_disconnection(&self, notice: &LdapResult) {
        self.shared.outbox.send(&mut |out| encode::notice_of_disconnection(out, notice));
    }

    /// The stream cannot be cut into messages any more: says why; the connection has to close.
    pub fn malformed_stream(&self, error: FrameError) -> Reason {
        let (code, reason) = match error {
            FrameError::TooLarge { .. } => (ResultCode::ADMIN_LIMIT_EXCEEDED, Reason::RequestTooLarge),
            _ => (ResultCode::PROTOCOL_ERROR, Reason::ProtocolError),
        };
        self.notify_disconnection(&LdapResult::with(code, error.to_string()));
        reason
    }

    /// Handles one message.
    pub fn message(&mut self, frame: Bytes) -> Next {
        let octets = frame.len();
        let request = match decode::decode(frame, &self.pace.limits.message) {
            Ok(request) => request,
            Err(error) => return self.malformed(&error),
        };
        match request.kind() {
            OperationKind::Unbind => {
                self.note(&request, None);
                Next::Close(Reason::ClientUnbind)
            }
            OperationKind::Abandon => {
                self.note(&request, None);
                if let Operation::Abandon(id) = request.operation() {
                    self.shared.in_flight.abandon(id, &self.directory);
                }
                Next::Go
            }
            OperationKind::Extended => match request.operation() {
                Operation::Extended(asked) if asked.name == oid::START_TLS => self.start_tls(&request),
                Operation::Extended(asked) if asked.name == oid::CANCEL => self.cancel(&request, asked.value),
                _ => self.serve(request, octets),
            },
            _ => self.serve(request, octets),
        }
    }

    fn serve(&mut self, request: Request, octets: usize) -> Next {
        if request.kind() == OperationKind::Search && self.has_too_many_standing() {
            let text = "too many persistent searches on this connection";
            self.shared.outbox.send(&mut |out| {
                let result = LdapResult::new(ResultCode::ADMIN_LIMIT_EXCEEDED, text);
                encode::result(out, request.id(), encode::ResponseKind::SearchDone, &result, &[]);
            });
            return Next::Go;
        }
        let keeper = Arc::clone(&self.shared) as Arc<dyn FlightKeeper>;
        let entered = self.shared.in_flight.enter(request.id(), request.kind(), octets, keeper);
        let Some(flight) = entered else {
            let text = "the message id is in use by a request in flight";
            self.notify_disconnection(&LdapResult::new(ResultCode::PROTOCOL_ERROR, text));
            return Next::Close(Reason::ProtocolError);
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

    /// Those that stand do not count as unanswered, so they have a bound of their own.
    fn has_too_many_standing(&self) -> bool {
        let (all, unanswered) = (&self.shared.in_flight, self.shared.in_flight.load().requests);
        self.operations > self.pace.limits.in_flight as u64
            && all.len().saturating_sub(unanswered) >= self.pace.limits.in_flight
    }

    /// Counts and logs a request that is served here, with the answer it gets, if any.
    fn note(&mut self, request: &Request, answer: Option<&LdapResult>) {
        self.operations += 1;
        let (metrics, log, kind) = (&self.shared.metrics, &self.directory.access_log, request.kind());
        metrics.request(kind);
        metrics.response(kind, answer.map_or(ResultCode::SUCCESS, |result| result.code), Duration::ZERO);
        if log.is_enabled() {
            let (connection, operation, user_dn) = (self.number, self.operations, &self.requester().dn);
            let asked = LoggedRequest { connection, operation, request, user_dn, transaction_id: None };
            log.at_once(&asked, answer);
        }
    }

    /// A message that is not a request: a protocolError on its id where that is known, else the end.
    fn malformed(&self, error: &decode::DecodeError) -> Next {
        let result = LdapResult::with(ResultCode::PROTOCOL_ERROR, error.to_string());
        let known = error.id.zip(error.kind.and_then(OperationKind::response));
        tracing::debug!(connection = self.number, peer = %self.peer.address, %error, "malformed message");
        if let Some((id, kind)) = known {
            if error.kind == Some(OperationKind::Bind) {
                // Whoever the client wanted to be, it is not who it was (RFC 4513 §4).
                let strength = self.peer.security_strength;
                let anonymous = self.directory.anonymous(self.peer.address.ip(), strength);
                self.shared.authenticate(anonymous);
            }
            self.shared.outbox.send(&mut |out| encode::result(out, id, kind, &result, &[]));
            Next::Go
        } else {
            self.notify_disconnection(&result);
            Next::Close(Reason::ProtocolError)
        }
    }

    fn start_tls(&mut self, request: &Request) -> Next {
        let refusal = if self.peer.security_strength > 0 {
            Some(LdapResult::new(ResultCode::OPERATIONS_ERROR, "TLS is on already"))
        } else if !self.peer.start_tls {
            let text = "StartTLS is not enabled on this listener (ds-cfg-allow-start-tls)";
            Some(LdapResult::new(ResultCode::UNAVAILABLE, text))
        } else if self.shared.in_flight.has_due() {
            Some(LdapResult::new(ResultCode::OPERATIONS_ERROR, "requests are still in flight"))
        } else if !self.directory.access.current().may_extended(&self.requester(), oid::START_TLS) {
            Some(LdapResult::new(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, "StartTLS is not granted"))
        } else {
            None
        };
        let granted = LdapResult::success();
        self.note(request, Some(refusal.as_ref().unwrap_or(&granted)));
        match refusal {
            None => Next::StartTls(request.id()),
            Some(result) => {
                self.answer_start_tls(request.id(), &result);
                Next::Go
            }
        }
    }

    fn answer_start_tls(&self, id: MessageId, result: &LdapResult) {
        self.shared
            .outbox
            .send(&mut |out| encode::extended(out, id, result, Some(oid::START_TLS), None, &[]));
    }

    /// Answers that TLS starts now. Nothing may be taken from the stream in clear any more.
    pub fn begin_tls(&self, id: MessageId) {
        self.answer_start_tls(id, &LdapResult::success());
    }

    fn cancel(&mut self, request: &Request, value: Option<&[u8]>) -> Next {
        let result = match extended::cancel::parse(value) {
            Ok(target) => match self.shared.in_flight.cancel(target) {
                ResultCode::SUCCESS => LdapResult::success(),
                ResultCode::NO_SUCH_OPERATION => {
                    LdapResult::new(ResultCode::NO_SUCH_OPERATION, "no request with this id is in flight")
                }
                code => LdapResult::new(code, "only searches can be canceled"),
            },
            Err(error) => LdapResult::with(ResultCode::PROTOCOL_ERROR, error.to_string()),
        };
        self.note(request, Some(&result));
        let id = request.id();
        self.shared.outbox.send(&mut |out| encode::extended(out, id, &result, None, None, &[]));
        Next::Go
    }

    /// TLS is on: from now on the client is somebody new (RFC 4513 §3.1.5 leaves the identity to the server; it is dropped).
    pub fn secured(
        &mut self,
        security_strength: u16,
        certificate: Option<ClientCertificate>,
        requester: Arc<Requester>,
    ) {
        self.peer.security_strength = security_strength;
        // TLS starts once.
        certificate.into_iter().for_each(|shown| drop(self.shared.certificate.set(Arc::new(shown))));
        self.shared.authenticate(requester);
    }

    /// The connection is over: nothing more is sent, everything in flight is abandoned.
    pub fn close(&self) {
        self.shared.outbox.close();
        self.shared.in_flight.abandon_all();
    }
}

/// Looks at a connection from outside; for monitoring.
#[derive(Clone)]
pub struct Observer {
    shared: Arc<Shared>,
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
        self.shared.in_flight.len()
    }

    /// Persistent searches among them.
    pub fn standing(&self) -> usize {
        self.in_flight().saturating_sub(self.shared.in_flight.load().requests)
    }

    /// Octets that wait to be written.
    pub fn queued(&self) -> usize {
        self.shared.outbox.queued()
    }

    /// Ends the connection: what is in flight is answered, then this notice is written, then it closes. A notice of
    /// success is not written: the connection just closes.
    pub fn disconnect(&self, notice: LdapResult) {
        self.shared.disconnect(notice);
    }

    /// Has the connection's task look around.
    pub fn nudge(&self) {
        self.shared.outbox.nudge();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}
