//! One connection: one task that reads, hands messages to the session, and writes what waits, one system call for all
//! of it.
//!
//! The task is one state machine polled as a whole. It holds no buffer while the client is silent, sets no timer unless
//! a limit runs, and is woken by its socket, by an answer of another thread, or by [`crate::session::Outbox::nudge`].

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::TaskTracker;

use super::socket::{self, Socket};
use super::table::Table;
use crate::ber::frame::{Cut, cut};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::session::{Awaited, Next, Reason, Session};

/// Messages taken before what waits is written, and before others have their turn.
const MESSAGES: usize = 64;
/// Turns before other connections have theirs.
const TURNS: usize = 8;
/// A silent connection keeps buffers of this size at the most.
const KEPT_BUFFER: usize = 8 * 1024;

/// Bounds that belong to the socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Octets of one request at the most (`ds-cfg-max-request-size`).
    pub(super) message: usize,
    /// How long a client may refuse to take what is written (`ds-cfg-max-blocked-write-time-limit`).
    pub(super) blocked_write: Duration,
    /// How long requests in flight are waited for at shutdown.
    pub(super) drain: Duration,
}

/// What a connection needs besides its socket.
pub(super) struct Surroundings {
    pub(super) bounds: Bounds,
    pub(super) table: Arc<Table>,
    pub(super) tasks: TaskTracker,
}

/// How a connection's part ended.
pub(super) enum Ended<S> {
    /// It is over.
    Closed(Reason),
    /// TLS starts on this stream.
    StartTls(S),
}

/// Where the connection stands.
enum Phase {
    /// Messages are taken.
    Open,
    /// No more messages; what is in flight is answered, then the notice, if any, is written.
    Draining(Option<LdapResult>, Option<Instant>),
    /// What waits is written, in this time, then the connection closes.
    Flushing(Instant),
    /// What waits is written, then TLS starts.
    Securing,
}

/// How to part from the stream.
enum Parting {
    /// Everything is written.
    Done,
    /// The client is gone, or does not take what is written.
    Lost,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Driver<'a, S> {
    session: &'a mut Session,
    around: &'a Surroundings,
    stream: S,
    input: BytesMut,
    /// The most that `input` held since it was made.
    input_held: usize,
    output: BytesMut,
    /// Octets of `output` already written.
    written: usize,
    /// Whether nothing written waits inside the stream (TLS keeps it until it is flushed).
    is_flushed: bool,
    phase: Phase,
    reason: Reason,
    before: Option<Task>,
    awaited: Awaited,
    active: Instant,
    /// Since when the client takes nothing.
    blocked: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// Serves a stream until it ends or TLS starts.
pub(super) async fn drive<S: Socket>(stream: S, session: &mut Session, around: &Surroundings) -> Ended<S> {
    let mut driver = Driver {
        session,
        around,
        stream,
        input: BytesMut::new(),
        input_held: 0,
        output: BytesMut::new(),
        written: 0,
        is_flushed: true,
        phase: Phase::Open,
        reason: Reason::ClientDisconnect,
        before: None,
        awaited: Awaited::Nothing,
        active: Instant::now(),
        blocked: None,
        sleep: None,
    };
    let parting = poll_fn(|context| driver.poll(context)).await;
    let Driver { stream, phase, reason, .. } = driver;
    match parting {
        Parting::Done if matches!(phase, Phase::Securing) => return Ended::StartTls(stream),
        Parting::Done => {
            session.close();
            // A client that ended the session itself reads nothing any more.
            if !matches!(reason, Reason::ClientDisconnect | Reason::ClientUnbind) {
                socket::part(stream).await;
            }
        }
        Parting::Lost => stream.discard_on_close(),
    }
    Ended::Closed(reason)
}

impl<S: Socket> Driver<'_, S> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Parting> {
        self.session.outbox().attend();
        for _ in 0..TURNS {
            self.poll_before(context);
            let more = self.messages();
            self.step_phase();
            let is_written = match self.poll_write(context) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => return Poll::Ready(Parting::Lost),
                Poll::Pending => false,
            };
            if is_written && matches!(self.phase, Phase::Flushing(_) | Phase::Securing) {
                return Poll::Ready(Parting::Done);
            }
            let is_paused = more && self.before.is_none() && self.session.is_paused();
            if more && !is_paused {
                continue;
            }
            if !more && self.poll_input(context) {
                continue;
            }
            if let Some(at) = self.deadline(is_written)
                && self.poll_sleep(context, at)
            {
                if self.expired(is_written) {
                    return Poll::Ready(Parting::Lost);
                }
                continue;
            }
            if self.park(context, is_paused, is_written) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_before(&mut self, context: &mut Context<'_>) {
        if let Some(task) = &mut self.before
            && task.as_mut().poll(context).is_ready()
        {
            self.before = None;
        }
    }

    /// Hands whole messages to the session, a bounded number and for as long as it takes them. True if it stopped before
    /// the input was used up.
    fn messages(&mut self) -> bool {
        let (mut count, mut octets, mut more) = (0, 0, true);
        while matches!(self.phase, Phase::Open) && self.before.is_none() {
            if count >= MESSAGES || self.session.is_paused() {
                break;
            }
            let message = match cut(&mut self.input, self.around.bounds.message) {
                Ok(Cut::Message(message)) => message,
                Ok(Cut::Incomplete(_)) => {
                    more = false;
                    break;
                }
                Err(error) => {
                    self.reason = self.session.malformed_stream(error);
                    self.flush_and_close();
                    break;
                }
            };
            count += 1;
            octets += message.len();
            match self.session.message(message) {
                Next::Go => {}
                Next::Before(task) => {
                    self.before = Some(task);
                    self.count_read(count, octets);
                    return true;
                }
                Next::Beside(task) => {
                    self.around.tasks.spawn(task);
                }
                // Octets already read in clear must not count as protected.
                Next::StartTls(_) if !self.input.is_empty() => {
                    let text = "octets came after the StartTLS request, before its answer";
                    self.session.notify_disconnection(&LdapResult::new(ResultCode::PROTOCOL_ERROR, text));
                    self.reason = Reason::ProtocolError;
                    self.flush_and_close();
                }
                Next::StartTls(id) => {
                    self.session.begin_tls(id);
                    self.phase = Phase::Securing;
                }
                Next::Close(reason) => {
                    self.reason = reason;
                    self.flush_and_close();
                }
            }
        }
        self.count_read(count, octets);
        more && matches!(self.phase, Phase::Open) && self.before.is_none()
    }

    fn count_read(&self, count: usize, octets: usize) {
        if count > 0 {
            self.session.count_read(count as u64, octets);
        }
    }

    fn flush_and_close(&mut self) {
        self.phase = Phase::Flushing(Instant::now() + self.around.bounds.blocked_write);
    }

    /// Begins and ends draining.
    fn step_phase(&mut self) {
        if matches!(self.phase, Phase::Open) {
            let notice = if let Some(notice) = self.session.take_notice() {
                self.reason = Reason::ServerDisconnect;
                Some(notice)
            } else if self.around.table.is_stopping() {
                self.reason = Reason::ServerShutdown;
                Some(LdapResult::new(ResultCode::UNAVAILABLE, "the server is shutting down"))
            } else {
                None
            };
            if notice.is_some() {
                self.phase = Phase::Draining(notice, Some(Instant::now() + self.around.bounds.drain));
            }
        }
        if let Phase::Draining(notice, until) = &self.phase {
            let is_answered = self.session.is_answered() && self.before.is_none();
            if is_answered || until.is_some_and(|until| Instant::now() >= until) {
                // One without an error is how a connection is ended without a word.
                if let Some(notice) = notice.as_ref().filter(|notice| notice.code != ResultCode::SUCCESS) {
                    self.session.notify_disconnection(notice);
                }
                self.flush_and_close();
            }
        }
    }

    /// Ready when nothing waits to be written.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = self.poll_write_all(context);
        match &done {
            Poll::Pending => {
                self.blocked.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => self.blocked = None,
        }
        done
    }

    fn poll_write_all(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
                let octets = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
                if octets == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += octets;
                self.is_flushed = false;
                self.blocked = None;
                self.session.outbox().written(octets);
            }
            if self.written > 0 && self.session.idle_limit().is_some() {
                self.active = Instant::now();
            }
            self.written = 0;
            self.output.clear();
            match self.session.outbox().take(&mut self.output) {
                Some(taken) => {
                    self.session.count_written(taken.messages, taken.bytes.len());
                    self.output = taken.bytes;
                }
                None => break,
            }
        }
        if self.output.capacity() > KEPT_BUFFER {
            self.output = BytesMut::new();
        }
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads if messages are wanted; true if something came of it.
    fn poll_input(&mut self, context: &mut Context<'_>) -> bool {
        if !matches!(self.phase, Phase::Open) || self.before.is_some() {
            return false;
        }
        match socket::poll_read(&mut self.stream, context, &mut self.input) {
            Poll::Pending => return false,
            Poll::Ready(Ok(octets)) if octets > 0 => {
                self.active = Instant::now();
                self.input_held = self.input_held.max(self.input.len());
            }
            // No more messages come, but who half-closed still reads: what was asked is answered.
            Poll::Ready(_) => self.phase = Phase::Draining(None, None),
        }
        true
    }

    /// When waiting has to end by itself.
    fn deadline(&self, is_written: bool) -> Option<Instant> {
        let blocked = self.blocked.map(|since| since + self.around.bounds.blocked_write);
        let own = match &self.phase {
            Phase::Open if is_written => self.idle_until(),
            Phase::Open | Phase::Securing => None,
            Phase::Draining(_, until) => *until,
            Phase::Flushing(until) => Some(*until),
        };
        [blocked, own].into_iter().flatten().min()
    }

    fn idle_until(&self) -> Option<Instant> {
        let limit = self.session.idle_limit()?;
        (self.before.is_none() && self.session.in_flight() == 0).then(|| self.active + limit)
    }

    /// True once it is `at` or later. The timer is moved forward only; if it goes off early it is set again.
    fn poll_sleep(&mut self, context: &mut Context<'_>, at: Instant) -> bool {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if at < sleep.deadline() {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= at {
                return true;
            }
            sleep.as_mut().reset(at);
        }
        false
    }

    /// A deadline passed; true when the connection is to be cut at once.
    fn expired(&mut self, is_written: bool) -> bool {
        self.sleep = None;
        let now = Instant::now();
        let blocked_since = |limit| self.blocked.is_some_and(|since| now >= since + limit);
        let is_late = matches!(&self.phase, Phase::Flushing(until) if now >= *until);
        if is_late || blocked_since(self.around.bounds.blocked_write) {
            tracing::info!("a client does not take its answers: the connection is cut");
            self.reason = Reason::WriteTimeLimit;
            return true;
        }
        if matches!(self.phase, Phase::Open)
            && is_written
            && self.idle_until().is_some_and(|until| now >= until)
        {
            let seconds = self.session.idle_limit().unwrap_or_default().as_secs();
            let text =
                format!("the connection was idle for {seconds} s, the limit (ds-rlim-idle-time-limit)");
            self.session.notify_disconnection(&LdapResult::with(ResultCode::ADMIN_LIMIT_EXCEEDED, text));
            self.reason = Reason::IdleTimeLimit;
            self.flush_and_close();
        }
        false
    }

    /// Makes ready to sleep; false if there is something to be done.
    fn park(&mut self, context: &Context<'_>, is_paused: bool, is_written: bool) -> bool {
        let is_draining = matches!(self.phase, Phase::Draining(..));
        let awaited = match (is_draining, is_paused) {
            (true, _) => Awaited::Answers,
            (false, true) => Awaited::Room,
            (false, false) => Awaited::Nothing,
        };
        if self.awaited != awaited {
            self.awaited = awaited;
            self.session.expect(awaited);
            // What ended before it was awaited woke nobody.
            if (is_draining && self.session.is_answered() && self.before.is_none())
                || (is_paused && !self.session.is_paused())
            {
                return false;
            }
        }
        if self.input.is_empty() && self.input_held > KEPT_BUFFER {
            self.input = BytesMut::new();
            self.input_held = 0;
        }
        self.session.outbox().park(context.waker(), is_written)
    }
}
