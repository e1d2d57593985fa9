//! The access and audit logs: records are made by whoever serves the request, in a buffer of its thread, and copied into
//! the log's; a thread of the logs' own writes them, many at once ([`super::sink`]).
//!
//! What does not fit is dropped and counted; a log says how many when it has room again.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::access_json::{self, Envelope};
use super::log_file::{LogFile, Rotation};
use super::log_filter::{Client, Subject};
use super::publisher::{LogReport, LoggedEnd, LoggedRequest, Part, Publisher};
use super::sink::{Counts, Loss, Sink, Waker};
use super::stamp::{Scratch, Stamp, with_scratch};
use super::{access_text, audit};
use crate::clock::Clock;
use crate::config::{LogFormat, LogKind, LogPublisher};
use crate::protocol::message::{Operation, OperationKind};
use crate::protocol::result::{LdapResult, ResultCode};

struct Shared {
    /// Whether anything is told of requests before they are over.
    wants_requests: AtomicBool,
    /// Nanoseconds from which on the end of a request is told; `u64::MAX` for never.
    wants_ends_from: AtomicU64,
    publishers: ArcSwap<Vec<Publisher>>,
    clients: RwLock<HashMap<u64, Client>>,
    waker: Waker,
    totals: Arc<Counts>,
    /// Where relative paths begin; none for a log that never writes.
    root: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    /// Tells records of this process from those of others.
    instance: u64,
    records: AtomicU64,
    /// Held while publishers change.
    changing: Mutex<()>,
}

/// All access and audit logs. Cheap to share by reference; ends its thread, having written what waits, when dropped.
pub struct AccessLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("is_enabled", &self.is_enabled()).finish_non_exhaustive()
    }
}

impl AccessLog {
    fn new(root: Option<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        let shared = Arc::new(Shared {
            wants_requests: AtomicBool::new(false),
            wants_ends_from: AtomicU64::new(u64::MAX),
            publishers: ArcSwap::default(),
            clients: RwLock::default(),
            waker: Waker::default(),
            totals: Arc::default(),
            root,
            instance: clock.wall_ms() << 16 | u64::from(std::process::id() & 0xffff),
            clock,
            records: AtomicU64::new(0),
            changing: Mutex::new(()),
        });
        Self { shared, writer: None }
    }

    /// Opens the files of the enabled access and audit logs (relative to `instance_root` unless absolute) and starts the
    /// writing thread. Fails if a file cannot be opened or the thread not be started.
    pub fn start(
        publishers: &[LogPublisher],
        instance_root: &Path,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let mut log = Self::new(Some(instance_root.to_owned()), clock);
        log.reconfigure(publishers)?;
        let shared = Arc::clone(&log.shared);
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        log.writer = Some(thread.spawn(move || {
            let sinks = || shared.publishers.load().iter().map(|one| Arc::clone(&one.sink)).collect();
            shared.waker.run(&|| shared.drain(), &sinks);
        })?);
        Ok(log)
    }

    /// A log that writes nothing.
    pub fn off(clock: Arc<dyn Clock>) -> Self {
        Self::new(None, clock)
    }

    /// Takes on changed publishers, at once: all but those for errors. A file stays open if its path stays. If one cannot
    /// be opened, nothing changes and the error names it.
    pub fn reconfigure(&self, publishers: &[LogPublisher]) -> io::Result<()> {
        let shared = &self.shared;
        let Some(root) = &shared.root else { return Ok(()) };
        let _one_at_a_time = shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shared.publishers.load_full();
        let wanted: Vec<&LogPublisher> =
            publishers.iter().filter(|one| one.enabled && one.kind != LogKind::Error).collect();
        let mut all: Vec<Publisher> = Vec::new();
        for of in &wanted {
            let path = root.join(&of.file);
            if let Some(other) = all.iter().find(|other| other.sink.path() == path) {
                let text =
                    format!("{} is the file of both {} and {}", path.display(), other.of.name, of.name);
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            all.push(shared.publisher(of, &path, &before)?);
        }
        for one in &all {
            one.sink.set(one.of.permissions, Rotation::of(&one.of), one.of.queue_size)?;
        }
        let access = || all.iter().filter(|one| one.of.kind == LogKind::Access);
        let tells_requests = |one: &Publisher| one.of.format == LogFormat::MultiLine && !one.is_deferred;
        let is_early = access().any(tells_requests);
        let from = |one: &Publisher| {
            let nanoseconds = one.of.slower_than.map_or(0, |least| least.as_nanos());
            u64::try_from(nanoseconds).unwrap_or(u64::MAX)
        };
        let from = all.iter().map(from).min().unwrap_or(u64::MAX);
        shared.publishers.store(Arc::new(all));
        shared.wants_requests.store(is_early, Ordering::Relaxed);
        shared.wants_ends_from.store(from, Ordering::Relaxed);
        drop(before);
        // Logs that are gone: what they had to say is written by now, or is when the last who appends lets go.
        Ok(())
    }

    /// Opens all files anew, under their names; for who moved them (SIGHUP). A file that cannot be opened stays.
    pub fn reopen(&self) -> io::Result<()> {
        let now = self.shared.clock.wall_ms();
        let mut outcome = Ok(());
        for one in self.shared.publishers.load().iter() {
            // All are tried, whatever becomes of one.
            outcome = outcome.and(one.sink.reopen(now));
        }
        outcome
    }

    /// Whether anything is logged at all.
    pub fn is_enabled(&self) -> bool {
        self.shared.wants_ends_from.load(Ordering::Relaxed) != u64::MAX
    }

    /// Whether [`Self::request`] would write anything; callers ask before they gather what a record needs.
    pub fn wants_requests(&self) -> bool {
        self.shared.wants_requests.load(Ordering::Relaxed)
    }

    /// Whether [`Self::end`] might write anything of a request that took so long.
    pub fn wants_end(&self, took: Duration) -> bool {
        match self.shared.wants_ends_from.load(Ordering::Relaxed) {
            0 => true,
            u64::MAX => false,
            from => took.as_nanos() >= u128::from(from),
        }
    }

    /// Records dropped so far, of all logs since the start, because they could not keep up.
    pub fn dropped(&self) -> u64 {
        self.shared.totals.dropped.load(Ordering::Relaxed)
    }

    /// Records lost so far because a file could not be written.
    pub fn failed(&self) -> u64 {
        self.shared.totals.failed.load(Ordering::Relaxed)
    }

    /// The logs that are written now.
    pub fn reports(&self) -> Vec<LogReport> {
        self.shared.publishers.load().iter().map(Publisher::report).collect()
    }

    /// A connection was accepted.
    pub fn connect(&self, connection: u64, from: SocketAddr, to: SocketAddr, protocol: &str) {
        let client = Client { from, to, is_tls: protocol == "LDAPS" };
        // Kept whether or not it is logged: a log that is switched on later wants to know.
        self.shared.clients.write().unwrap_or_else(PoisonError::into_inner).insert(connection, client);
        let connected = |one: &Publisher, number: u64, scratch: &mut Scratch, at: u64| match one.of.format {
            LogFormat::Json => {
                let timestamp = scratch.stamp.universal(at);
                let envelope = self.shared.envelope(number, timestamp, Some(client));
                access_json::connect(&mut scratch.text, &envelope, connection)
            }
            _ => {
                bracketed(&mut scratch.text, &mut scratch.stamp, at);
                access_text::connect(&mut scratch.text, connection, from, to, protocol)
            }
        };
        self.of_connection("connect", Some(client), connected);
    }

    /// A connection is closed.
    pub fn disconnect(&self, connection: u64, reason: &str, message: &str) {
        let client = self.shared.clients.write().unwrap_or_else(PoisonError::into_inner).remove(&connection);
        let closed = |one: &Publisher, number: u64, scratch: &mut Scratch, at: u64| match one.of.format {
            LogFormat::Json => {
                let timestamp = scratch.stamp.universal(at);
                let envelope = self.shared.envelope(number, timestamp, client);
                access_json::disconnect(&mut scratch.text, &envelope, connection, reason, message)
            }
            _ => {
                bracketed(&mut scratch.text, &mut scratch.stamp, at);
                access_text::disconnect(&mut scratch.text, connection, reason, message)
            }
        };
        self.of_connection("disconnect", client, closed);
    }

    fn of_connection(
        &self,
        record: &str,
        client: Option<Client>,
        write: impl Fn(&Publisher, u64, &mut Scratch, u64) -> fmt::Result,
    ) {
        if !self.is_enabled() {
            return;
        }
        let shared = &self.shared;
        let subject = Subject { record, client, user: "", target: None, ended: None };
        for one in shared.publishers.load().iter() {
            let is_told = one.of.kind == LogKind::Access && one.of.slower_than.is_none();
            if is_told && one.filter.admits(&subject) {
                shared.record(one, |number, scratch, at| write(one, number, scratch, at));
            }
        }
    }

    /// A request has come: logs that have a line for each request write it. An abandon and an unbind have no end and are
    /// written by all.
    pub fn request(&self, asked: &LoggedRequest<'_>) {
        let kind = asked.request.kind();
        let has_end = !matches!(kind, OperationKind::Unbind | OperationKind::Abandon);
        let operation = asked.request.operation();
        let client = || self.shared.client(asked.connection);
        for one in self.shared.publishers.load().iter() {
            let is_line = one.of.format == LogFormat::MultiLine;
            let is_now = if has_end { is_line && !one.is_deferred } else { one.of.slower_than.is_none() };
            if one.of.kind != LogKind::Access || !is_now {
                continue;
            }
            if one.admits(asked, &operation, None, client) {
                self.shared.tell(
                    one,
                    asked,
                    &operation,
                    if is_line { Part::Request } else { Part::Both(None) },
                );
            }
        }
    }

    /// A request that is answered at once, or never.
    pub fn at_once(&self, asked: &LoggedRequest<'_>, answer: Option<&LdapResult>) {
        self.request(asked);
        if let Some(result) = answer.filter(|_| self.wants_end(Duration::ZERO)) {
            self.end(asked, &LoggedEnd::at_once(result));
        }
    }

    /// A request is over: the logs that concern themselves with its end write it.
    pub fn end(&self, asked: &LoggedRequest<'_>, end: &LoggedEnd<'_>) {
        let publishers = self.shared.publishers.load();
        let kind = asked.request.kind();
        let is_change = end.result.code == ResultCode::SUCCESS
            && matches!(
                kind,
                OperationKind::Add
                    | OperationKind::Modify
                    | OperationKind::Delete
                    | OperationKind::ModifyDn
                    | OperationKind::Extended
            );
        // A line about the end needs nothing of what was asked, so it is not read again for that alone.
        let is_line = |one: &Publisher| {
            one.of.kind == LogKind::Access
                && one.of.format == LogFormat::MultiLine
                && !one.is_deferred
                && one.filter.is_off()
        };
        let mut operation: Option<Operation<'_>> = None;
        let client = || self.shared.client(asked.connection);
        for one in publishers.iter() {
            if is_line(one) {
                if !(one.of.suppress_internal && asked.connection == 0) {
                    self.shared.record(one, |_, scratch, at| {
                        bracketed(&mut scratch.text, &mut scratch.stamp, at);
                        access_text::response(&mut scratch.text, asked, end)
                    });
                }
                continue;
            }
            if one.of.kind == LogKind::Audit && !is_change {
                continue;
            }
            if one.of.slower_than.is_some_and(|least| end.took < least) || one.skips(kind, end.result.code) {
                continue;
            }
            let operation = operation.get_or_insert_with(|| asked.request.operation());
            if !one.admits(asked, operation, Some(end), client) {
                continue;
            }
            let part = match (one.of.kind, one.of.format) {
                (LogKind::Audit, _) => Part::Change,
                (_, LogFormat::MultiLine) if one.is_deferred => {
                    self.shared.tell(one, asked, operation, Part::Request);
                    Part::End(end)
                }
                (_, LogFormat::MultiLine) => Part::End(end),
                _ => Part::Both(Some(end)),
            };
            self.shared.tell(one, asked, operation, part);
        }
    }
}

fn bracketed(text: &mut String, stamp: &mut Stamp, at: u64) {
    text.push('[');
    text.push_str(stamp.local(at));
    text.push_str("] ");
}

impl Shared {
    fn publisher(&self, of: &LogPublisher, path: &Path, before: &[Publisher]) -> io::Result<Publisher> {
        let loss = match (of.kind, of.format) {
            (LogKind::Audit, _) => Loss::Comment,
            (_, LogFormat::Json) => Loss::Json,
            _ => Loss::Line,
        };
        let kept = before.iter().find(|one| one.sink.loss() == loss && one.sink.path() == path);
        let sink = match kept {
            Some(one) => Arc::clone(&one.sink),
            None => {
                let named =
                    |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                let file = LogFile::open(path, of.permissions, self.clock.wall_ms()).map_err(named)?;
                let totals = Arc::clone(&self.totals);
                Arc::new(Sink::new(file, Rotation::of(of), of.queue_size, loss, totals))
            }
        };
        Ok(Publisher::new(of, sink))
    }

    fn drain(&self) -> bool {
        let now = self.clock.wall_ms();
        let mut is_any = false;
        for one in self.publishers.load().iter() {
            is_any |= one.sink.drain(now, || format!("[{}] ", Stamp::default().local(now)));
        }
        is_any
    }

    fn client(&self, connection: u64) -> Option<Client> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner).get(&connection).copied()
    }

    fn envelope<'a>(&self, number: u64, timestamp: &'a str, client: Option<Client>) -> Envelope<'a> {
        Envelope { instance: self.instance, number, timestamp, client }
    }

    /// Puts a record together and hands it over.
    fn record(&self, one: &Publisher, write: impl FnOnce(u64, &mut Scratch, u64) -> fmt::Result) {
        let at = self.clock.wall_ms();
        // Only JSON numbers its records; one counter for all threads is no trouble for it.
        let number = match one.of.format {
            LogFormat::Json => self.records.fetch_add(1, Ordering::Relaxed),
            LogFormat::MultiLine | LogFormat::Combined => 0,
        };
        with_scratch(|scratch| {
            if write(number, scratch, at).is_ok() {
                let made = if scratch.octets.is_empty() { scratch.text.as_bytes() } else { &scratch.octets };
                if !made.is_empty() {
                    one.sink.append(made, &self.waker);
                }
            }
        });
    }

    fn tell(&self, one: &Publisher, asked: &LoggedRequest<'_>, operation: &Operation<'_>, part: Part<'_>) {
        let controls = one.of.control_oids;
        self.record(one, |number, scratch, at| {
            let Scratch { text, octets, stamp } = scratch;
            match part {
                Part::Change => {
                    let stamp = stamp.local(at);
                    return audit::change(octets, stamp, asked, operation, &one.of.redacted)
                        .map_err(|_| fmt::Error);
                }
                Part::Both(end) if one.of.format == LogFormat::Json => {
                    let client = self.client(asked.connection);
                    let envelope = self.envelope(number, stamp.universal(at), client);
                    return access_json::operation(text, &envelope, asked, operation, controls, end);
                }
                Part::Request | Part::End(_) | Part::Both(_) => bracketed(text, stamp, at),
            }
            match part {
                Part::Request => access_text::request(text, asked, operation, controls),
                Part::End(end) => access_text::response(text, asked, end),
                Part::Both(end) => access_text::combined(text, asked, operation, controls, end),
                Part::Change => Ok(()),
            }
        });
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.waker.end();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so itself.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::clock::ManualClock;
    use crate::config::{FilteringPolicy, LogCriteria};
    use crate::protocol::message::{Control, MessageId, ModifyOperation, Request, Scope};
    use crate::protocol::{decode, oid, request};

    fn publisher() -> LogPublisher {
        LogPublisher::new("access", LogKind::Access, "access")
    }

    fn encoded(write: impl FnOnce(&mut BytesMut, MessageId)) -> Request {
        let mut frame = BytesMut::new();
        write(&mut frame, MessageId(4));
        decode::decode(frame.freeze(), &decode::Limits::default()).unwrap()
    }

    const fn asked(request: &Request) -> LoggedRequest<'_> {
        let user_dn = "cn=me";
        LoggedRequest { connection: 7, operation: 3, request, user_dn, transaction_id: None }
    }

    const fn ended(result: &LdapResult) -> LoggedEnd<'_> {
        LoggedEnd { took: Duration::from_millis(12), ..LoggedEnd::at_once(result) }
    }

    /// What a log of these settings has in its file when it is over.
    fn written(of: &LogPublisher, log: impl FnOnce(&AccessLog)) -> String {
        let place = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(1_700_000_000_042));
        let writer = AccessLog::start(std::slice::from_ref(of), place.path(), clock).unwrap();
        log(&writer);
        drop(writer);
        std::fs::read_to_string(place.path().join(&of.file)).unwrap()
    }

    fn lines(text: &str) -> Vec<&str> {
        text.lines().map(|line| line.split_once("] ").unwrap().1).collect()
    }

    fn bind() -> Request {
        encoded(|out, id| request::bind(out, id, "cn=a\"b\nADD", b"secret", &[]))
    }

    fn search() -> Request {
        let search = request::Search {
            scope: Scope::Subtree,
            filter: "(cn=x\\2a\")".parse().unwrap(),
            attributes: &["*", "+"],
            ..request::Search::base("dc=example")
        };
        let control = Control { oid: oid::MANAGE_DSA_IT, critical: false, value: None };
        encoded(|out, id| request::search(out, id, &search, &[control]))
    }

    fn delete() -> Request {
        encoded(|out, id| request::delete(out, id, "cn=x", &[]))
    }

    /// A session's worth of everything.
    fn all_kinds(log: &AccessLog) {
        log.connect(7, "192.0.2.1:5000".parse().unwrap(), "192.0.2.2:1389".parse().unwrap(), "LDAP");
        let (good, bad) = (LdapResult::success(), LdapResult::new(ResultCode::INVALID_CREDENTIALS, ""));
        let request = bind();
        log.request(&asked(&request));
        let failed =
            LoggedEnd { authentication_failure: Some("wrong password"), took: Duration::ZERO, ..ended(&bad) };
        log.end(&asked(&request), &failed);
        let request = search();
        let traced = LoggedRequest { transaction_id: Some("a/0 b"), ..asked(&request) };
        log.request(&traced);
        log.end(&traced, &LoggedEnd { entries: Some(2), is_unindexed: true, ..ended(&good) });
        let request = delete();
        log.request(&asked(&request));
        let absent = LdapResult::new(ResultCode::NO_SUCH_OBJECT, "there is none");
        log.end(&asked(&request), &LoggedEnd { authorization_dn: Some("cn=you"), ..ended(&absent) });
        let request = encoded(|out, id| request::abandon(out, id, MessageId(9), &[]));
        log.request(&asked(&request));
        log.disconnect(7, "Client Unbind", "");
    }

    #[test]
    fn lines_have_the_shape_readers_know() {
        let text = written(&LogPublisher { control_oids: true, ..publisher() }, all_kinds);
        assert_eq!(
            lines(&text),
            [
                "CONNECT conn=7 from=192.0.2.1:5000 to=192.0.2.2:1389 protocol=LDAP",
                "BIND REQ conn=7 op=3 msgID=4 version=3 type=SIMPLE dn=\"cn=a\\\"b\\u000aADD\"",
                "BIND RES conn=7 op=3 msgID=4 result=49 authFailureReason=\"wrong password\" etime=0",
                "SEARCH REQ conn=7 op=3 msgID=4 base=\"dc=example\" scope=sub filter=\"(cn=x\\2a\\\")\" \
                 attrs=\"*,+\" requestControls=2.16.840.1.113730.3.4.2 transactionId=a/0_b",
                "SEARCH RES conn=7 op=3 msgID=4 result=0 nentries=2 unindexed transactionId=a/0_b etime=12",
                "DELETE REQ conn=7 op=3 msgID=4 dn=\"cn=x\"",
                "DELETE RES conn=7 op=3 msgID=4 result=32 message=\"there is none\" authzDN=\"cn=you\" etime=12",
                "ABANDON REQ conn=7 op=3 msgID=4 idToAbandon=9",
                "DISCONNECT conn=7 reason=\"Client Unbind\" msg=\"\"",
            ]
        );
    }

    #[test]
    fn a_combined_log_has_a_line_an_operation() {
        let text = written(&LogPublisher { format: LogFormat::Combined, ..publisher() }, all_kinds);
        assert_eq!(
            lines(&text),
            [
                "CONNECT conn=7 from=192.0.2.1:5000 to=192.0.2.2:1389 protocol=LDAP",
                "BIND conn=7 op=3 msgID=4 version=3 type=SIMPLE dn=\"cn=a\\\"b\\u000aADD\" result=49 \
                 authFailureReason=\"wrong password\" etime=0",
                "SEARCH conn=7 op=3 msgID=4 base=\"dc=example\" scope=sub filter=\"(cn=x\\2a\\\")\" attrs=\"*,+\" \
                 result=0 nentries=2 unindexed transactionId=a/0_b etime=12",
                "DELETE conn=7 op=3 msgID=4 dn=\"cn=x\" result=32 message=\"there is none\" authzDN=\"cn=you\" etime=12",
                "ABANDON conn=7 op=3 msgID=4 idToAbandon=9",
                "DISCONNECT conn=7 reason=\"Client Unbind\" msg=\"\"",
            ]
        );
    }

    #[test]
    fn a_json_log_has_an_object_an_operation() {
        let of = LogPublisher { format: LogFormat::Json, control_oids: true, ..publisher() };
        let text = written(&of, all_kinds);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        let tail = |line: usize| lines.get(line).unwrap().split_once("\",\"timestamp\"").unwrap().1;
        let ends = ":\"2023-11-14T22:13:20.042Z\",\"eventName\":\"DJ-LDAP\",\"transactionId\":";
        let ips =
            "\"client\":{\"ip\":\"192.0.2.1\",\"port\":5000},\"server\":{\"ip\":\"192.0.2.2\",\"port\":1389}";
        assert_eq!(
            tail(1),
            format!(
                "{ends}\"0\",{ips},\"request\":{{\"protocol\":\"LDAP\",\"operation\":\"BIND\",\"connId\":7,\
                 \"opId\":3,\"msgId\":4,\"version\":\"3\",\"authType\":\"SIMPLE\",\"dn\":\"cn=a\\\"b\\u000aADD\"}},\
                 \"response\":{{\"status\":\"FAILED\",\"statusCode\":\"49\",\"elapsedTime\":0,\
                 \"elapsedTimeUnits\":\"MILLISECONDS\",\"failureReason\":\"wrong password\"}},\"userId\":\"cn=me\"}}"
            )
        );
        assert_eq!(
            tail(2),
            format!(
                "{ends}\"a/0 b\",{ips},\"request\":{{\"protocol\":\"LDAP\",\"operation\":\"SEARCH\",\"connId\":7,\
                 \"opId\":3,\"msgId\":4,\"dn\":\"dc=example\",\"scope\":\"sub\",\"filter\":\"(cn=x\\\\2a\\\")\",\
                 \"attrs\":[\"*\",\"+\"],\"controls\":[\"2.16.840.1.113730.3.4.2\"]}},\
                 \"response\":{{\"status\":\"SUCCESSFUL\",\"statusCode\":\"0\",\"elapsedTime\":12,\
                 \"elapsedTimeUnits\":\"MILLISECONDS\",\"nentries\":2,\"unindexed\":true}},\"userId\":\"cn=me\"}}"
            )
        );
        for (place, line) in lines.iter().enumerate() {
            assert!(line.starts_with("{\"_id\":\"") && line.ends_with('}'), "{line}");
            assert!(line.contains(&format!("-{place}\",\"timestamp\"")), "{line}");
            assert_eq!(line.matches('{').count(), line.matches('}').count(), "{line}");
        }
        assert!(tail(5).contains("\"operation\":\"DISCONNECT\"") && tail(5).contains("Client Unbind"));
    }

    #[test]
    fn changes_are_audited_without_secrets() {
        let of = LogPublisher::new("audit", LogKind::Audit, "audit");
        let text = written(&of, |log| {
            let values: &[&[u8]] = &[b"a secret"];
            let add = encoded(|out, id| {
                let attributes: &[request::Attribute<'_>] =
                    &[("cn", &[b"x"]), ("coreTokenObject;x-opt", values), ("sn", &[b" y"])];
                request::add(out, id, "cn=x,dc=example", attributes, &[]);
            });
            let modify = encoded(|out, id| {
                let steps = [
                    (ModifyOperation::Replace, ("UserPassword", values)),
                    (ModifyOperation::Delete, ("sn", &[][..])),
                ];
                request::modify(out, id, "cn=x,dc=example", &steps, &[]);
            });
            let rename =
                encoded(|out, id| request::modify_dn(out, id, "cn=x,dc=example", "cn=y", true, None, &[]));
            let good = LdapResult::success();
            let wanted = crate::protocol::extended::password_modify::PasswordModify {
                user: Some("dn:cn=x,dc=example".to_owned()),
                old: Some(b"a secret".to_vec()),
                new: Some(b"a secret".to_vec()),
            };
            let value = wanted.value();
            let password =
                encoded(|out, id| request::extended(out, id, oid::PASSWORD_MODIFY, Some(&value), &[]));
            let who_am_i = encoded(|out, id| request::extended(out, id, oid::WHO_AM_I, None, &[]));
            for request in [&add, &modify, &rename, &delete(), &search(), &password, &who_am_i] {
                log.request(&asked(request));
                log.end(&asked(request), &ended(&good));
            }
            log.end(&asked(&add), &ended(&LdapResult::new(ResultCode::BUSY, "")));
            log.end(&LoggedRequest { connection: 0, ..asked(&add) }, &ended(&good));
        });
        let mut records = text.split("# 1").filter(|record| !record.is_empty()).map(|record| {
            let (head, rest) = record.split_once('\n').unwrap();
            assert!(head.ends_with("; conn=7; op=3"), "{head}");
            rest
        });
        assert_eq!(
            records.next().unwrap(),
            "# by cn=me\ndn: cn=x,dc=example\nchangetype: add\ncn: x\n\
             # coretokenobject: 1 values of 8 octets are left out\nsn:: IHk=\n\n"
        );
        assert_eq!(
            records.next().unwrap(),
            "# by cn=me\ndn: cn=x,dc=example\nchangetype: modify\nreplace: UserPassword\n\
             # userpassword: 1 values of 8 octets are left out\n-\ndelete: sn\n-\n\n"
        );
        assert!(records.next().unwrap().contains("changetype: moddn\nnewrdn: cn=y\ndeleteoldrdn: 1\n\n"));
        assert!(records.next().unwrap().ends_with("dn: cn=x\nchangetype: delete\n\n"));
        assert_eq!(
            records.next().unwrap(),
            "# by cn=me\ndn: cn=x,dc=example\nchangetype: modify\nreplace: userPassword\n\
             # userpassword: 1 value is left out\n-\n\n"
        );
        assert_eq!(records.next(), None);
        assert!(!text.contains("a secret"));
    }

    /// Nothing that a client can ask for makes the server change data by itself, so this is seen here.
    #[test]
    fn the_servers_own_changes_are_audited_where_that_is_wanted() {
        let add =
            encoded(|out, id| request::add(out, id, "cn=x,dc=example", &[("cn", &[&b"x"[..]][..])], &[]));
        for (suppress_internal, count) in [(true, 1), (false, 2)] {
            let of =
                LogPublisher { suppress_internal, ..LogPublisher::new("audit", LogKind::Audit, "audit") };
            let text = written(&of, |log| {
                log.end(&LoggedRequest { connection: 0, ..asked(&add) }, &ended(&LdapResult::success()));
                log.end(&asked(&add), &ended(&LdapResult::success()));
            });
            assert_eq!(text.matches("dn: cn=x,dc=example\nchangetype: add\n").count(), count, "{text}");
            assert_eq!(text.contains("; conn=0; "), !suppress_internal, "{text}");
        }
    }

    #[test]
    fn slow_sampled_and_filtered_logs_take_what_concerns_them() {
        let good = LdapResult::success();
        let run = |of: LogPublisher| {
            written(&of, |log| {
                log.connect(7, "192.0.2.1:5000".parse().unwrap(), "192.0.2.2:1389".parse().unwrap(), "LDAP");
                for ms in 1..=100 {
                    let request = if ms % 2 == 0 { search() } else { delete() };
                    let end = LoggedEnd { took: Duration::from_millis(ms), ..ended(&good) };
                    if log.wants_requests() {
                        log.request(&asked(&request));
                    }
                    if log.wants_end(end.took) {
                        log.end(&asked(&request), &end);
                    }
                }
            })
        };
        let text = run(LogPublisher { slower_than: Some(Duration::from_millis(99)), ..publisher() });
        assert_eq!(text.matches(" REQ ").count(), 2, "{text}");
        assert!(text.contains("etime=99\n") && text.ends_with("etime=100\n") && !text.contains("CONNECT"));
        let text = run(LogPublisher { sample_every: 10, format: LogFormat::Combined, ..publisher() });
        assert_eq!(text.lines().count(), 11, "one in ten, and the connection: {text}");
        let searches = LogCriteria { record_types: vec!["search".to_owned()], ..LogCriteria::default() };
        let of =
            LogPublisher { filtering: FilteringPolicy::Exclusive, criteria: vec![searches], ..publisher() };
        let text = run(of.clone());
        assert_eq!((text.matches("SEARCH").count(), text.matches("DELETE RE").count()), (0, 100));
        let text = run(LogPublisher { filtering: FilteringPolicy::Inclusive, ..of });
        assert_eq!((text.matches("SEARCH RE").count(), text.lines().count()), (100, 100));
    }

    #[test]
    fn publishers_change_at_once() {
        let place = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(0));
        let read = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap_or_default();
        let log = AccessLog::start(&[publisher()], place.path(), clock).unwrap();
        log.disconnect(1, "x", "");
        let other = LogPublisher { file: "other".into(), ..publisher() };
        let json = LogPublisher { file: "json".into(), format: LogFormat::Json, ..publisher() };
        log.reconfigure(&[other.clone(), json]).unwrap();
        assert!(log.wants_requests());
        log.disconnect(2, "x", "");
        let missing = LogPublisher { file: "no/such/place".into(), ..publisher() };
        let error = log.reconfigure(&[missing]).unwrap_err().to_string();
        assert!(error.contains("no/such/place"), "{error}");
        assert!(log.reconfigure(&[other.clone(), other.clone()]).is_err(), "two logs in one file");
        log.disconnect(3, "x", "");
        log.reconfigure(&[LogPublisher { enabled: false, ..other }]).unwrap();
        assert!(!log.is_enabled() && !log.wants_requests() && !log.wants_end(Duration::MAX));
        log.disconnect(4, "x", "");
        drop(log);
        let conns = |text: &str| text.matches("DISCONNECT").count();
        assert_eq!((conns(&read("access")), conns(&read("other")), conns(&read("json"))), (1, 2, 2));
    }
}
