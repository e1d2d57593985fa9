//! What to send next, and what the answers mean.
//!
//! A token that an operation in flight touches is in no other's reach, so that every result is foreseen and any
//! other one is an error of the server.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use ctsd::clock::{Clock, SystemClock};
use ctsd::protocol::control::{paged, read_entry};
use ctsd::protocol::list::{Attributes, Controls};
use ctsd::protocol::oid;

use crate::journal::{self, Journal, Known};
use crate::options::{Options, Phase};
use crate::requests::Requests;
use crate::token::{self, Random, Token};

/// Kinds of operations, for which figures are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Add,
    Read,
    QueryUser,
    QueryHandle,
    Modify,
    Delete,
    DeletePreRead,
    ReapPage,
    ReapDelete,
    Heartbeat,
    Listen,
    Flood,
}

/// Names of the kinds, in their order.
pub(crate) const KINDS: [&str; 12] = [
    "add",
    "read",
    "query-user",
    "query-handle",
    "modify",
    "delete",
    "delete-pre-read",
    "reap-page",
    "reap-delete",
    "heartbeat",
    "listen",
    "flood",
];

/// One operation.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    pub(crate) token: Token,
    /// The version that an add or modify gives the token.
    version: u64,
    /// Whether the token is expired by it.
    expires: bool,
    /// Entries that came.
    entries: u32,
}

impl Kind {
    /// Whether it is what clients of a token store wait for: neither expiry worker nor heartbeat nor listener.
    pub(crate) const fn is_work(self) -> bool {
        use Kind::{Add, Delete, DeletePreRead, Modify, QueryHandle, QueryUser, Read};
        matches!(self, Add | Read | QueryUser | QueryHandle | Modify | Delete | DeletePreRead)
    }
}

impl Op {
    pub(crate) const fn new(kind: Kind, token: Token) -> Self {
        Self { kind, token, version: 0, expires: false, entries: 0 }
    }
}

/// What to do now.
pub(crate) enum Next {
    /// This.
    Send(Op),
    /// Nothing before an answer comes.
    Wait,
    /// Nothing any more.
    Done,
}

/// The expiry worker.
#[derive(Debug, Default)]
struct Reaper {
    found: VecDeque<u64>,
    reading: bool,
    deleting: usize,
    done: bool,
}

/// Deletes of the worker in flight while other work goes on, as many as a small OpenAM's pool has.
const REAPER_WIDTH: usize = 8;

#[derive(Debug)]
pub(crate) struct Workload {
    options: Options,
    requests: Requests,
    pub(crate) journal: Journal,
    clock: SystemClock,
    random: Random,
    live: VecDeque<Token>,
    /// Tokens taken out of `live` that will come back or not.
    out: u64,
    next_seq: u64,
    next_version: u64,
    phase: Phase,
    issued: u64,
    reaper: Reaper,
    verify: Vec<(u64, Known)>,
    known: HashMap<u64, Known>,
}

impl Workload {
    pub(crate) fn new(options: &Options) -> Result<Self, Box<dyn std::error::Error>> {
        let mut live: VecDeque<Token> =
            (options.first..options.first + options.loaded).map(Token::new).collect();
        let mut next_seq = options.first + options.loaded;
        if let Some(path) = options.journal.as_deref().filter(|path| path.exists()) {
            live.clear();
            for (seq, known) in journal::read(path)? {
                next_seq = next_seq.max(seq + 1);
                if known.present && !known.absent && !known.expired && known.sent.is_none() {
                    let version = known.acknowledged.unwrap_or_default();
                    live.push_back(Token { version, ..Token::new(seq) });
                }
            }
            live.make_contiguous().sort_unstable_by_key(|token| token.seq);
        }
        let clock = SystemClock::new();
        let next_version = clock.wall_ms();
        Ok(Self {
            requests: Requests::new(options),
            journal: Journal::open(options.journal.as_deref())?,
            random: Random::new(options.seed ^ next_version),
            options: options.clone(),
            clock,
            live,
            out: 0,
            next_seq,
            next_version,
            phase: Phase::Load,
            issued: 0,
            reaper: Reaper::default(),
            verify: Vec::new(),
            known: HashMap::new(),
        })
    }

    /// Octets of an add request.
    pub(crate) fn add_len(&self) -> usize {
        self.requests.add_len()
    }

    /// Tokens that are there and not expired.
    pub(crate) fn live(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn begin(&mut self, phase: Phase) -> Result<(), Box<dyn std::error::Error>> {
        self.phase = phase;
        self.issued = 0;
        self.reaper = Reaper::default();
        if phase == Phase::Verify {
            let path: &Path = self.options.journal.as_deref().ok_or("verify needs --journal")?;
            self.journal.flush()?;
            self.known = journal::read(path)?;
            self.verify = self.known.iter().map(|(seq, known)| (*seq, *known)).collect();
            self.verify.sort_unstable_by_key(|(seq, _)| *seq);
        }
        Ok(())
    }

    /// The next operation of the phase.
    pub(crate) fn next(&mut self) -> Next {
        let bounded = !matches!(
            self.phase,
            Phase::Load | Phase::Restore | Phase::Reap | Phase::MixReap | Phase::Verify
        );
        let bound = match self.phase {
            Phase::Expire => self.options.expire.or(self.options.operations),
            _ => self.options.operations,
        };
        if bounded && bound.is_some_and(|bound| self.issued >= bound) {
            return Next::Done;
        }
        let next = match self.phase {
            Phase::Load => {
                if self.tokens() < self.options.population {
                    self.add()
                } else {
                    Next::Done
                }
            }
            Phase::Restore => {
                if self.tokens() < self.options.population {
                    self.add()
                } else if self.live.len() as u64 > self.options.population {
                    self.with_token(Kind::Delete)
                } else {
                    Next::Done
                }
            }
            Phase::Read => self.with_token(Kind::Read),
            Phase::Query if self.issued.is_multiple_of(2) => self.with_token(Kind::QueryUser),
            Phase::Query | Phase::QueryHandle => self.with_token(Kind::QueryHandle),
            Phase::QueryUser => self.with_token(Kind::QueryUser),
            Phase::Modify | Phase::Expire => self.with_token(Kind::Modify),
            Phase::Add => self.add(),
            Phase::Delete => self.with_token(Kind::Delete),
            Phase::DeletePreRead => self.with_token(Kind::DeletePreRead),
            Phase::Mix => self.mix(),
            Phase::Reap => self.reap(usize::MAX),
            Phase::MixReap => match self.reap(REAPER_WIDTH) {
                Next::Wait => self.mix(),
                next => next,
            },
            Phase::Heartbeat => Next::Send(Op::new(Kind::Heartbeat, Token::new(0))),
            Phase::Verify => match self.verify.pop() {
                Some((seq, _)) => Next::Send(Op::new(Kind::Read, Token::new(seq))),
                None => Next::Done,
            },
        };
        if matches!(next, Next::Send(_)) {
            self.issued += 1;
        }
        next
    }

    fn tokens(&self) -> u64 {
        self.live.len() as u64 + self.out
    }

    fn add(&mut self) -> Next {
        let mut op = Op::new(Kind::Add, Token::new(self.next_seq));
        self.next_seq += 1;
        self.out += 1;
        op.version = self.version();
        Next::Send(op)
    }

    fn version(&mut self) -> u64 {
        self.next_version += 1;
        self.next_version
    }

    fn with_token(&mut self, kind: Kind) -> Next {
        let token = if self.options.sweep || self.phase == Phase::Expire {
            self.live.pop_front()
        } else {
            let count = self.live.len() as u64;
            if count == 0 { None } else { self.live.swap_remove_back(self.random.below(count) as usize) }
        };
        let Some(token) = token else {
            // Those in flight may come back, except where they are used up.
            let used_up = matches!(kind, Kind::Delete | Kind::DeletePreRead) || self.phase == Phase::Expire;
            return if self.out == 0 || used_up { Next::Done } else { Next::Wait };
        };
        self.out += 1;
        let mut op = Op::new(kind, token);
        if kind == Kind::Modify {
            op.version = self.version();
            op.expires = self.phase == Phase::Expire;
        }
        Next::Send(op)
    }

    fn mix(&mut self) -> Next {
        let choice = self.random.below(100);
        let next = match choice {
            0..45 | 70..90 if self.options.steady && self.tokens() < self.options.population => self.add(),
            0..45 if self.options.steady => self.with_token(Kind::Delete),
            0..45 => self.add(),
            45..70 => self.with_token(Kind::Modify),
            70..90 => self.with_token(Kind::Delete),
            _ => self.with_token(Kind::Read),
        };
        if matches!(next, Next::Send(_)) { next } else { self.add() }
    }

    fn reap(&mut self, width: usize) -> Next {
        if self.reaper.deleting < width
            && let Some(seq) = self.reaper.found.pop_front()
        {
            self.reaper.deleting += 1;
            return Next::Send(Op::new(Kind::ReapDelete, Token::new(seq)));
        }
        if self.reaper.reading || self.reaper.deleting > 0 || !self.reaper.found.is_empty() {
            return Next::Wait;
        }
        if self.reaper.done {
            return Next::Done;
        }
        self.reaper.reading = true;
        Next::Send(Op::new(Kind::ReapPage, Token::new(0)))
    }

    /// Writes the request.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, id: i32, op: &Op) {
        let seq = op.token.seq;
        match op.kind {
            Kind::Add => {
                let now = self.clock.wall_ms();
                let expiry = now + 3_600_000 + self.random.below(7_200_000);
                self.requests.put_add(out, id, seq, op.version, expiry, now);
                self.journal.note(b'a', seq, op.version);
            }
            Kind::Modify => {
                let now = self.clock.wall_ms();
                let expiry = if op.expires {
                    now - 60_000 - self.random.below(3_600_000)
                } else {
                    now + 3_600_000 + self.random.below(7_200_000)
                };
                self.requests.put_modify(out, id, &op.token, op.version, expiry, now);
                let version = if self.options.short_modify { op.token.version } else { op.version };
                self.journal.note(if op.expires { b'e' } else { b'm' }, seq, version);
            }
            Kind::Read => self.requests.put_read(out, id, seq),
            Kind::QueryUser => self.requests.put_query_user(out, id, seq),
            Kind::QueryHandle => self.requests.put_query_handle(out, id, seq),
            Kind::Delete | Kind::DeletePreRead | Kind::ReapDelete => {
                self.journal.note(b'd', seq, 0);
                self.requests.put_delete(out, id, seq, op.kind == Kind::DeletePreRead);
            }
            Kind::ReapPage => self.requests.put_expired(out, id, self.clock.wall_ms()),
            Kind::Heartbeat => self.requests.put_heartbeat(out, id),
            Kind::Listen => self.requests.put_listen(out, id),
            Kind::Flood => self.requests.put_flood(out, id),
        }
    }

    /// Takes an entry of a search.
    pub(crate) fn entry(&mut self, op: &mut Op, attributes: Attributes<'_>) {
        op.entries += 1;
        match op.kind {
            Kind::ReapPage => {
                let id = value(attributes, "coreTokenId").and_then(token::seq_of);
                self.reaper.found.extend(id);
            }
            Kind::Read if self.phase == Phase::Verify => {
                let version = value(attributes, "coreTokenString01");
                op.version =
                    version.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0);
            }
            Kind::Read if !op.token.has_etag() && self.requests.reads_etags() => {
                learn(&mut op.token, attributes);
            }
            _ => {}
        }
    }

    /// Takes the result of an operation and says what is wrong with it, if anything is.
    pub(crate) fn done(&mut self, op: Op, code: u32, controls: Controls<'_>) -> Result<(), String> {
        let Op { kind, mut token, version, expires, entries } = op;
        if self.phase == Phase::Verify && kind == Kind::Read {
            return self.verified(token.seq, version, code, entries);
        }
        let refused = || Err(format!("result {code}"));
        match kind {
            Kind::Add => {
                self.out -= 1;
                if code != 0 {
                    self.journal.note(b'x', token.seq, 0);
                    return refused();
                }
                self.journal.note(b'A', token.seq, version);
                token.version = version;
                let known = self.read_back(&mut token, controls);
                self.live.push_back(token);
                known
            }
            Kind::Modify => {
                self.out -= 1;
                let mut outcome = Ok(());
                if code == 0 {
                    if !self.options.short_modify {
                        token.version = version;
                    }
                    self.journal.note(if expires { b'E' } else { b'M' }, token.seq, token.version);
                    outcome = self.read_back(&mut token, controls);
                } else {
                    self.journal.note(b'x', token.seq, 0);
                    token.etag = [0; 16];
                }
                if !expires {
                    self.live.push_back(token);
                }
                if code == 0 { outcome } else { refused() }
            }
            Kind::Delete | Kind::DeletePreRead | Kind::ReapDelete => {
                if kind == Kind::ReapDelete {
                    self.reaper.deleting -= 1;
                } else {
                    self.out -= 1;
                }
                if code != 0 {
                    self.journal.note(b'x', token.seq, 0);
                    return refused();
                }
                self.journal.note(b'D', token.seq, 0);
                if kind == Kind::DeletePreRead && self.requests.reads_etags() {
                    let id = read_control(controls, oid::PRE_READ)
                        .and_then(|attributes| value(attributes, "coreTokenId"));
                    if id != Some(&token::id(token.seq)) {
                        return Err("no pre-read entry".to_owned());
                    }
                }
                Ok(())
            }
            Kind::Read | Kind::QueryUser | Kind::QueryHandle => {
                self.out -= 1;
                self.live.push_back(token);
                match (code, kind, entries) {
                    (0, Kind::QueryUser, 1..) | (0, _, 1) => Ok(()),
                    (0, _, _) => Err(format!("{entries} entries")),
                    _ => refused(),
                }
            }
            Kind::ReapPage => {
                self.reaper.reading = false;
                let mut controls = controls;
                let cookie = controls
                    .find(|control| control.oid == oid::PAGED_RESULTS)
                    .and_then(|control| paged::PagedRequest::parse(control.value?).ok());
                let more = cookie.as_ref().is_some_and(|paged| !paged.cookie.is_empty());
                self.reaper.done = code != 0 || !more;
                match (code, cookie) {
                    (0, Some(_)) if more && entries == 0 => Err("an empty page with a cookie".to_owned()),
                    (0, Some(_)) => Ok(()),
                    (0, None) => Err("no paged results control".to_owned()),
                    _ => refused(),
                }
            }
            Kind::Heartbeat if code == 0 && entries == 1 => Ok(()),
            Kind::Heartbeat | Kind::Listen | Kind::Flood => refused(),
        }
    }

    fn read_back(&self, token: &mut Token, controls: Controls<'_>) -> Result<(), String> {
        if self.requests.reads_etags() {
            let before = std::mem::take(&mut token.etag);
            if let Some(attributes) = read_control(controls, oid::POST_READ) {
                learn(token, attributes);
            }
            if !token.has_etag() {
                return Err("no etag in the post-read control".to_owned());
            }
            if token.etag == before {
                return Err("the same etag again".to_owned());
            }
        }
        Ok(())
    }

    fn verified(&self, seq: u64, version: u64, code: u32, entries: u32) -> Result<(), String> {
        let known = self.known.get(&seq).copied().unwrap_or_default();
        match (code, entries) {
            (32, 0) if known.absent => Ok(()),
            (32, 0) => Err("lost".to_owned()),
            (0, 1) if known.allows(version) => Ok(()),
            (0, 1) if known.present => Err("an older version".to_owned()),
            (0, 1) => Err("deleted and there again".to_owned()),
            _ => Err(format!("result {code}, {entries} entries")),
        }
    }
}

fn value<'a>(attributes: Attributes<'a>, name: &str) -> Option<&'a [u8]> {
    attributes.iter().find(|attribute| attribute.description == name)?.values.first()
}

fn read_control<'a>(mut controls: Controls<'a>, wanted: &str) -> Option<Attributes<'a>> {
    let control = controls.find(|control| control.oid == wanted)?;
    Some(read_entry::parse_response(control.value?).ok()?.1)
}

fn learn(token: &mut Token, attributes: Attributes<'_>) {
    if let Some(etag) = value(attributes, "etag").and_then(|value| value.try_into().ok()) {
        token.etag = etag;
    }
}
