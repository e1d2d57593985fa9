//! One connection: one task that reads, hands messages to the session, and writes what waits, one system call for all
//! of it.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ber::frame::{Cut, cut};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::session::{Next, Pending, Session};

/// Bytes asked of the socket at once.
const READ_CHUNK: usize = 16 * 1024;
/// A buffer that grew beyond this is not kept for the next turn.
const KEPT_BUFFER: usize = 256 * 1024;

/// Bounds that belong to the socket.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// Octets of one request at the most (`ds-cfg-max-request-size`).
    pub(super) message: usize,
    /// How long a client may refuse to take what is written (`ds-cfg-max-blocked-write-time-limit`).
    pub(super) blocked_write: Duration,
    /// How long requests in flight are waited for at shutdown.
    pub(super) drain: Duration,
}

/// What a connection needs besides its socket.
pub(super) struct Context {
    pub(super) bounds: Bounds,
    pub(super) shutdown: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// How a connection's clear-text part ended.
pub(super) enum Ended<S> {
    /// It is over.
    Closed,
    /// TLS starts on this stream.
    StartTls(S),
}

/// Where the connection stands.
enum Phase {
    /// Messages are taken.
    Open,
    /// No more messages; what is in flight is answered, then the notice is written.
    Draining(LdapResult, Instant),
    /// What waits is written, then the connection closes.
    Flushing,
    /// What waits is written, then TLS starts.
    Securing,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Driver<'a, S> {
    session: &'a mut Session,
    context: &'a Context,
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    input: BytesMut,
    output: BytesMut,
    /// Octets of `output` already written.
    written: usize,
    /// Octets the input needs before the next message is whole.
    wanted: usize,
    phase: Phase,
    before: Option<Task>,
    active: Instant,
    progress: Instant,
}

/// Serves a stream until it ends or TLS starts.
pub(super) async fn drive<S>(stream: S, session: &mut Session, context: &Context) -> Ended<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (reader, writer) = tokio::io::split(stream);
    let now = Instant::now();
    let mut driver = Driver {
        session,
        context,
        reader,
        writer,
        input: BytesMut::new(),
        output: BytesMut::new(),
        written: 0,
        wanted: 2,
        phase: Phase::Open,
        before: None,
        active: now,
        progress: now,
    };
    driver.run().await;
    let secure = matches!(driver.phase, Phase::Securing) && driver.input.is_empty();
    let Driver { reader, mut writer, .. } = driver;
    if secure {
        return Ended::StartTls(reader.unsplit(writer));
    }
    let _ = writer.shutdown().await;
    Ended::Closed
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Driver<'_, S> {
    async fn run(&mut self) {
        loop {
            self.messages();
            self.step_phase();
            self.refill();
            if self.is_over() {
                return;
            }
            if !self.wait().await {
                return;
            }
        }
    }

    /// Hands whole messages to the session for as long as it takes them.
    fn messages(&mut self) {
        while matches!(self.phase, Phase::Open) && self.before.is_none() && !self.session.is_paused() {
            let message = match cut(&mut self.input, self.context.bounds.message) {
                Ok(Cut::Message(message)) => message,
                Ok(Cut::Incomplete(wanted)) => {
                    self.wanted = wanted;
                    return;
                }
                Err(error) => {
                    self.session.malformed_stream(error);
                    self.phase = Phase::Flushing;
                    return;
                }
            };
            match self.session.message(message) {
                Next::Go => {}
                Next::Before(task) => self.before = Some(task),
                Next::Beside(task) => {
                    self.context.tasks.spawn(task);
                }
                // Bytes already read in clear must not count as protected: StartTLS is refused by closing.
                Next::StartTls => self.phase = Phase::Securing,
                Next::Close => self.phase = Phase::Flushing,
            }
        }
    }

    /// Begins and ends draining.
    fn step_phase(&mut self) {
        if matches!(self.phase, Phase::Open) {
            let notice = self.session.take_notice().or_else(|| {
                let stopping = self.context.shutdown.is_cancelled();
                stopping.then(|| LdapResult::new(ResultCode::UNAVAILABLE, "the server is shutting down"))
            });
            if let Some(notice) = notice {
                self.phase = Phase::Draining(notice, Instant::now() + self.context.bounds.drain);
            }
        }
        if let Phase::Draining(notice, until) = &self.phase
            && (self.session.unanswered() == 0 || Instant::now() >= *until)
        {
            self.session.notify_disconnection(notice);
            self.phase = Phase::Flushing;
        }
    }

    /// Takes what waits once the last of it is written.
    fn refill(&mut self) {
        if self.written < self.output.len() {
            return;
        }
        self.written = 0;
        let mut spare = std::mem::take(&mut self.output);
        if spare.capacity() > KEPT_BUFFER {
            spare = BytesMut::new();
        }
        if let Pending::Bytes(bytes) = self.session.outbox().take(spare) {
            self.output = bytes;
            self.progress = Instant::now();
        }
    }

    fn is_over(&self) -> bool {
        let flushed = self.written >= self.output.len();
        flushed && self.before.is_none() && matches!(self.phase, Phase::Flushing | Phase::Securing)
    }

    /// Waits for whatever comes first; false when the connection is gone.
    async fn wait(&mut self) -> bool {
        let has_output = self.written < self.output.len();
        let open = matches!(self.phase, Phase::Open);
        let draining = matches!(self.phase, Phase::Draining(..));
        self.session.attend(draining || self.session.is_paused());
        if draining && self.session.unanswered() == 0 {
            return true;
        }
        let reads = open && !self.session.is_paused() && self.before.is_none();
        let deadline = self.deadline(has_output);
        if reads {
            let missing = self.wanted.saturating_sub(self.input.len());
            self.input.reserve(missing.clamp(READ_CHUNK, KEPT_BUFFER));
        }
        let Self { session, context, reader, writer, input, output, written, before, .. } = self;
        let rest = output.get(*written..).unwrap_or_default();
        tokio::select! {
            result = writer.write(rest), if has_output => match result {
                Ok(0) | Err(_) => false,
                Ok(octets) => {
                    *written += octets;
                    session.outbox().written(octets);
                    self.progress = Instant::now();
                    self.flush().await
                }
            },
            result = reader.read_buf(input), if reads => match result {
                Ok(0) | Err(_) => false,
                Ok(_) => {
                    self.active = Instant::now();
                    true
                }
            },
            () = async { match before { Some(task) => task.await, None => pending().await } } => {
                self.before = None;
                true
            }
            () = session.outbox().appended(), if !has_output => true,
            () = context.shutdown.cancelled(), if open => true,
            () = async { match deadline { Some(at) => sleep_until(at).await, None => pending().await } } => {
                self.expired(has_output)
            }
        }
    }

    /// TLS keeps what is written until it is flushed.
    async fn flush(&mut self) -> bool {
        let limit = self.context.bounds.blocked_write;
        if self.written < self.output.len() {
            return true;
        }
        matches!(tokio::time::timeout(limit, self.writer.flush()).await, Ok(Ok(())))
    }

    /// When waiting has to end by itself.
    fn deadline(&self, has_output: bool) -> Option<Instant> {
        let blocked = has_output.then(|| self.progress + self.context.bounds.blocked_write);
        let drained = match &self.phase {
            Phase::Draining(_, until) => Some(*until),
            _ => None,
        };
        let idle = u64::from(self.session.requester().limits.idle);
        let idles =
            (idle > 0 && self.session.in_flight() == 0).then(|| self.active + Duration::from_secs(idle));
        [blocked, drained, idles].into_iter().flatten().min()
    }

    /// A deadline passed; false when the connection is to be cut at once.
    fn expired(&mut self, has_output: bool) -> bool {
        let now = Instant::now();
        if has_output && now >= self.progress + self.context.bounds.blocked_write {
            tracing::info!("a client does not take its answers: the connection is cut");
            return false;
        }
        let idle = u64::from(self.session.requester().limits.idle);
        if matches!(self.phase, Phase::Open)
            && idle > 0
            && self.session.in_flight() == 0
            && now >= self.active + Duration::from_secs(idle)
        {
            let text = format!("the connection was idle for {idle} s, the limit (ds-rlim-idle-time-limit)");
            self.session.notify_disconnection(&LdapResult::with(ResultCode::ADMIN_LIMIT_EXCEEDED, text));
            self.phase = Phase::Flushing;
        }
        true
    }
}

/// The contexts of one listener's connections are shared.
pub(super) type SharedContext = Arc<Context>;
