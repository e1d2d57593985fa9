//! The access log: lines are made by whoever serves the request and written by a thread of the log's own.
//!
//! The queue is bounded. A line that finds it full is dropped and counted; the log says how many when it has room
//! again. Buffers go round, so that a line costs no allocation once the log is warm.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use crossbeam::queue::ArrayQueue;

use super::access_text;
use super::log_file::{LogFile, Rotation};
use crate::clock::Clock;
use crate::config::LogPublisher;
use crate::protocol::message::{Operation, OperationKind};
use crate::protocol::result::LdapResult;

/// Which operation of which connection a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Moment {
    pub connection: u64,
    pub operation: u64,
    pub message_id: i32,
}

/// What a request line says beside the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestDetails<'a> {
    /// The transaction id, only where it is trusted.
    pub transaction_id: Option<&'a str>,
    /// Whom the request acts for, where that is not who bound.
    pub authorization_dn: Option<&'a str>,
    /// The name of an extended operation.
    pub extended_name: Option<&'a str>,
    /// OIDs of the controls, joined by commas; empty where they are not logged.
    pub control_oids: &'a str,
}

/// What a response line says beside the result.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponseDetails<'a> {
    /// Time from the request's arrival.
    pub took: Duration,
    /// Whether that is written in nanoseconds, not milliseconds.
    pub etime_in_nanoseconds: bool,
    /// Entries that a search returned.
    pub entries: Option<u64>,
    /// Whether a search was served without an index.
    pub is_unindexed: bool,
    /// Who has bound.
    pub authenticated_dn: Option<&'a str>,
    /// Why a bind failed; the client is not told.
    pub authentication_failure: Option<&'a str>,
    /// The transaction id, only where it is trusted.
    pub transaction_id: Option<&'a str>,
}

struct Line {
    wall_ms: u64,
    text: String,
}

/// Buffers larger than this are not kept.
const KEPT_CAPACITY: usize = 8 * 1024;

struct Shared {
    is_enabled: AtomicBool,
    dropped: AtomicU64,
    failed: AtomicU64,
    spare: ArrayQueue<String>,
    rotation: Mutex<Rotation>,
    clock: Arc<dyn Clock>,
}

/// The access log. Cheap to share by reference; ends its thread, having written what waits, when dropped.
pub struct AccessLog {
    shared: Arc<Shared>,
    queue: Option<Sender<Line>>,
    writer: Option<JoinHandle<()>>,
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("is_enabled", &self.is_enabled()).finish_non_exhaustive()
    }
}

impl AccessLog {
    /// Opens the publisher's file (relative to `instance_root` unless absolute) and starts the writing thread.
    /// Fails if the file cannot be opened or the thread not be started.
    pub fn start(
        publisher: &LogPublisher,
        instance_root: &Path,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let path = instance_root.join(&publisher.file);
        let file = LogFile::open(&path, publisher.permissions, clock.wall_ms())?;
        let (sender, receiver) = bounded(publisher.queue_size.max(1));
        let shared = Arc::new(Shared {
            is_enabled: AtomicBool::new(publisher.enabled),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            spare: ArrayQueue::new(publisher.queue_size.clamp(1, 1024)),
            rotation: Mutex::new(rotation(publisher)),
            clock,
        });
        let writing = shared.clone();
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_lines(file, &receiver, &writing))?;
        Ok(Self { shared, queue: Some(sender), writer: Some(writer) })
    }

    /// A log that writes nothing.
    pub fn off(clock: Arc<dyn Clock>) -> Self {
        let shared = Arc::new(Shared {
            is_enabled: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            spare: ArrayQueue::new(1),
            rotation: Mutex::default(),
            clock,
        });
        Self { shared, queue: None, writer: None }
    }

    /// Takes on a changed publisher: on or off, rotation, retention. File, permissions and queue stay until a restart.
    pub fn reconfigure(&self, publisher: &LogPublisher) {
        *self.shared.rotation.lock().unwrap_or_else(PoisonError::into_inner) = rotation(publisher);
        self.shared.is_enabled.store(publisher.enabled && self.queue.is_some(), Ordering::Relaxed);
    }

    /// Whether lines are written; callers ask before they gather what a line needs.
    pub fn is_enabled(&self) -> bool {
        self.shared.is_enabled.load(Ordering::Relaxed)
    }

    /// Lines dropped so far because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Lines lost so far because the file could not be written.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    fn line(&self, write: impl FnOnce(&mut String) -> fmt::Result) {
        let Some(queue) = self.queue.as_ref().filter(|_| self.is_enabled()) else { return };
        let mut text = self.shared.spare.pop().unwrap_or_else(|| String::with_capacity(256));
        if write(&mut text).is_err() {
            return;
        }
        match queue.try_send(Line { wall_ms: self.shared.clock.wall_ms(), text }) {
            Ok(()) => {}
            Err(TrySendError::Full(line) | TrySendError::Disconnected(line)) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                recycle(&self.shared, line.text);
            }
        }
    }

    /// A connection was accepted.
    pub fn connect(&self, connection: u64, from: SocketAddr, to: SocketAddr, protocol: &str) {
        self.line(|out| access_text::connect(out, connection, from, to, protocol));
    }

    /// A connection is closed.
    pub fn disconnect(&self, connection: u64, reason: &str, message: &str) {
        self.line(|out| access_text::disconnect(out, connection, reason, message));
    }

    /// A request has come. Values, passwords and credentials are not written.
    pub fn request(&self, at: Moment, operation: &Operation<'_>, details: &RequestDetails<'_>) {
        self.line(|out| access_text::request(out, at, operation, details));
    }

    /// A request is answered.
    pub fn response(
        &self,
        at: Moment,
        kind: OperationKind,
        result: &LdapResult,
        details: &ResponseDetails<'_>,
    ) {
        self.line(|out| access_text::response(out, at, kind, result, details));
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so itself.
            let _ = writer.join();
        }
    }
}

fn rotation(publisher: &LogPublisher) -> Rotation {
    Rotation { every: publisher.rotate_every, at_size: publisher.rotate_at_size, keep: publisher.keep_files }
}

fn recycle(shared: &Shared, mut text: String) {
    if text.capacity() <= KEPT_CAPACITY {
        text.clear();
        // A full pool lets the buffer go.
        let _ = shared.spare.push(text);
    }
}

/// `[dd/MMM/yyyy:HH:mm:ss ±zzzz] `, made anew only when the second changes.
struct Stamp {
    zone: jiff::tz::TimeZone,
    second: u64,
    text: String,
}

impl Stamp {
    fn new() -> Self {
        Self { zone: jiff::tz::TimeZone::system(), second: u64::MAX, text: String::new() }
    }

    fn at(&mut self, wall_ms: u64) -> &str {
        let second = wall_ms / 1000;
        if second != self.second {
            self.second = second;
            let time =
                i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            let zoned = time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone());
            self.text = zoned.strftime("[%d/%b/%Y:%H:%M:%S %z] ").to_string();
        }
        &self.text
    }
}

fn write_lines(mut file: LogFile, queue: &Receiver<Line>, shared: &Shared) {
    let mut stamp = Stamp::new();
    let mut told = 0;
    while let Ok(first) = queue.recv() {
        let mut next = Some(first);
        let mut now = 0;
        while let Some(line) = next {
            now = line.wall_ms;
            let written =
                file.write(stamp.at(now).as_bytes()).and_then(|()| file.write(line.text.as_bytes()));
            if written.is_err() {
                shared.failed.fetch_add(1, Ordering::Relaxed);
            }
            recycle(shared, line.text);
            next = queue.try_recv().ok();
        }
        let dropped = shared.dropped.load(Ordering::Relaxed);
        if dropped > told {
            let text = format!("{}LOST lines={}\n", stamp.at(now), dropped - told);
            told = dropped;
            let _ = file.write(text.as_bytes());
        }
        let rotation = *shared.rotation.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.flush().and_then(|()| file.rotate(&rotation, now)) {
            tracing::warn!(%error, "the access log cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::config::{LogFormat, LogKind};
    use crate::protocol::filter::{Assertion, Filter};
    use crate::protocol::message::{
        Authentication, BindRequest, DeleteRequest, MessageId, Scope, SearchRequest,
    };
    use crate::protocol::result::ResultCode;

    fn publisher(queue_size: usize) -> LogPublisher {
        LogPublisher {
            name: "access".into(),
            kind: LogKind::Access,
            enabled: true,
            file: "access".into(),
            permissions: 0o640,
            format: LogFormat::MultiLine,
            queue_size,
            control_oids: false,
            severities: Vec::new(),
            rotate_every: None,
            rotate_at_size: None,
            keep_files: None,
        }
    }

    const AT: Moment = Moment { connection: 7, operation: 3, message_id: 4 };

    fn lines_of(log: impl FnOnce(&AccessLog)) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let writer = AccessLog::start(&publisher(100), place.path(), clock).unwrap();
        log(&writer);
        drop(writer);
        let text = std::fs::read_to_string(place.path().join("access")).unwrap();
        text.lines().map(|line| line.split_once("] ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn lines_have_the_shape_readers_know() {
        let lines = lines_of(|log| {
            let from = "192.0.2.1:5000".parse().unwrap();
            let to = "192.0.2.2:1389".parse().unwrap();
            log.connect(7, from, to, "LDAP");
            let bind = Operation::Bind(BindRequest {
                version: 3,
                dn: "cn=a\"b\nADD",
                authentication: Authentication::Simple(b"secret"),
            });
            log.request(AT, &bind, &RequestDetails::default());
            let failed = LdapResult::new(ResultCode::INVALID_CREDENTIALS, "");
            let why =
                ResponseDetails { authentication_failure: Some("wrong password"), ..Default::default() };
            log.response(AT, OperationKind::Bind, &failed, &why);
            let search = Operation::Search(SearchRequest {
                base: "dc=example",
                scope: Scope::Subtree,
                deref: 0,
                size_limit: 0,
                time_limit: 0,
                types_only: false,
                filter: Filter::Equality(Assertion { attribute: "cn".into(), value: b"x"[..].into() }),
                attributes: crate::protocol::message::Strings::parse(&[4, 1, b'*', 4, 1, b'+']).unwrap(),
            });
            let traced = RequestDetails { transaction_id: Some("a/0 b"), ..Default::default() };
            log.request(AT, &search, &traced);
            let found = ResponseDetails {
                took: Duration::from_millis(12),
                entries: Some(2),
                is_unindexed: true,
                ..Default::default()
            };
            log.response(AT, OperationKind::Search, &LdapResult::success(), &found);
            log.request(AT, &Operation::Delete(DeleteRequest { dn: "cn=x" }), &RequestDetails::default());
            log.request(AT, &Operation::Abandon(MessageId(9)), &RequestDetails::default());
            log.disconnect(7, "Client Unbind", "");
        });
        assert_eq!(
            lines,
            [
                "CONNECT conn=7 from=192.0.2.1:5000 to=192.0.2.2:1389 protocol=LDAP",
                "BIND REQ conn=7 op=3 msgID=4 version=3 type=SIMPLE dn=\"cn=a\\\"b\\u000aADD\"",
                "BIND RES conn=7 op=3 msgID=4 result=49 authFailureReason=\"wrong password\" etime=0",
                "SEARCH REQ conn=7 op=3 msgID=4 base=\"dc=example\" scope=sub filter=\"(cn=x)\" attrs=\"*,+\" transactionId=a/0_b",
                "SEARCH RES conn=7 op=3 msgID=4 result=0 nentries=2 unindexed etime=12",
                "DELETE REQ conn=7 op=3 msgID=4 dn=\"cn=x\"",
                "ABANDON REQ conn=7 op=3 msgID=4 idToAbandon=9",
                "DISCONNECT conn=7 reason=\"Client Unbind\" msg=\"\"",
            ]
        );
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_blocks() {
        let place = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(0));
        let (sender, receiver) = bounded(2);
        let mut log = AccessLog::off(clock.clone());
        log.queue = Some(sender);
        log.shared.is_enabled.store(true, Ordering::Relaxed);
        for connection in 0..5 {
            log.disconnect(connection, "x", "");
        }
        assert_eq!(log.dropped(), 3);
        log.queue = None;
        let path = place.path().join("access");
        write_lines(LogFile::open(&path, 0o640, 0).unwrap(), &receiver, &log.shared);
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.ends_with("LOST lines=3\n"), "{text}");
    }

    #[test]
    fn a_disabled_log_writes_nothing() {
        let lines = lines_of(|log| {
            log.reconfigure(&LogPublisher { enabled: false, ..publisher(100) });
            log.disconnect(1, "x", "");
        });
        assert!(lines.is_empty());
    }
}
