//! A raw connection: bytes out, messages in.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use ctsd::ber::frame::{Cut, cut};
use ctsd::protocol::message::{Control, Scope};
use ctsd::protocol::response;

use super::{Answer, Ctl, Entry, Found, Reply};

/// Why no message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The server closed the connection.
    Closed,
    /// Nothing came in time.
    Silent,
}

/// How long what must come may take before a test gives up: it costs nothing where it comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A connection.
pub(crate) struct Link {
    stream: TcpStream,
    input: BytesMut,
    next: i32,
    /// Messages of other requests that came while one was waited for.
    pub(crate) aside: VecDeque<Reply>,
}

impl Link {
    pub(crate) fn open(port: u16) -> Self {
        Self::try_open(port).unwrap()
    }

    pub(crate) fn try_open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: BytesMut::new(), next: 0, aside: VecDeque::new() })
    }

    /// The next message id.
    pub(crate) fn id(&mut self) -> i32 {
        self.next += 1;
        self.next
    }

    /// Another handle of the socket, for a thread that only writes.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if !self.try_send(bytes) {
            panic!("the server has closed the connection");
        }
    }

    /// Like [`Self::send`], for a server that may be gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next whole message as bytes. Time is counted by the second, so that a machine that stood still for minutes costs
    /// one of them.
    pub(crate) fn frame(&mut self, patience: Duration) -> Result<bytes::Bytes, Lost> {
        let mut left = patience;
        loop {
            if let Ok(Cut::Message(frame)) = cut(&mut self.input, 64 << 20) {
                return Ok(frame);
            }
            if left.is_zero() {
                return Err(Lost::Silent);
            }
            let turn = left.min(Duration::from_secs(1));
            self.stream.set_read_timeout(Some(turn)).unwrap();
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Lost::Closed),
                Ok(octets) => self.input.extend_from_slice(&chunk[..octets]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    left -= turn;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Lost::Closed),
            }
        }
    }

    /// The next message off the socket.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Result<Reply, Lost> {
        let frame = self.frame(patience)?;
        Ok(Reply::read(&response::decode(&frame).unwrap()))
    }

    pub(crate) fn next(&mut self) -> Result<Reply, Lost> {
        self.next_within(PATIENCE)
    }

    /// The next message of request `id`, whatever else comes meanwhile.
    pub(crate) fn next_of(&mut self, id: i32, patience: Duration) -> Result<Reply, Lost> {
        if let Some(at) = self.aside.iter().position(|reply| reply.id() == id) {
            return Ok(self.aside.remove(at).unwrap());
        }
        loop {
            let reply = self.next_within(patience)?;
            if reply.id() == id {
                return Ok(reply);
            }
            self.aside.push_back(reply);
        }
    }

    /// The answer that ends request `id`.
    pub(crate) fn answer(&mut self, id: i32) -> Answer {
        self.try_answer(id).unwrap()
    }

    pub(crate) fn try_answer(&mut self, id: i32) -> Result<Answer, Lost> {
        loop {
            if let Reply::Answer(answer) = self.next_of(id, PATIENCE)? {
                return Ok(answer);
            }
        }
    }

    /// All of search `id`.
    pub(crate) fn found(&mut self, id: i32) -> Found {
        let (mut entries, mut references) = (Vec::new(), 0);
        loop {
            match self.next_of(id, PATIENCE).unwrap() {
                Reply::Entry(_, entry) => entries.push(entry),
                Reply::Reference(_) | Reply::Intermediate(_) => references += 1,
                Reply::Answer(done) => return Found { entries, references, done },
            }
        }
    }

    /// Sends `count` requests, many ahead of their answers, and gives the answers in the order of the requests.
    pub(crate) fn pipeline(
        &mut self,
        count: usize,
        mut request: impl FnMut(usize, i32) -> Vec<u8>,
    ) -> Vec<Answer> {
        const AHEAD: usize = 200;
        let mut answers = Vec::with_capacity(count);
        let mut ids = VecDeque::new();
        for number in 0..count {
            if ids.len() == AHEAD {
                let id = ids.pop_front().unwrap();
                answers.push(self.answer(id));
            }
            let id = self.id();
            ids.push_back(id);
            let bytes = request(number, id);
            self.send(&bytes);
        }
        for id in ids {
            answers.push(self.answer(id));
        }
        answers
    }

    /// The next entry of a persistent search.
    pub(crate) fn notified(&mut self, id: i32) -> Entry {
        match self.next_of(id, PATIENCE).unwrap() {
            Reply::Entry(_, entry) => entry,
            other => panic!("no notification but {other:?}"),
        }
    }

    /// Whether the server closes the connection, after whatever it still says.
    pub(crate) fn closes(&mut self) -> bool {
        loop {
            match self.next() {
                Err(lost) => return lost == Lost::Closed,
                Ok(reply) => self.aside.push_back(reply),
            }
        }
    }

    pub(crate) fn bind_with(&mut self, dn: &str, password: &str, controls: &[Ctl]) -> Answer {
        let id = self.id();
        self.send(&request::bind(id, dn, password, controls));
        self.answer(id)
    }

    pub(crate) fn bind(&mut self, dn: &str, password: &str) -> Answer {
        self.bind_with(dn, password, &[])
    }

    pub(crate) fn search(&mut self, query: &Query, controls: &[Ctl]) -> Found {
        let id = self.id();
        self.send(&request::search(id, query, controls));
        self.found(id)
    }

    /// Starts a search without waiting for anything.
    pub(crate) fn start(&mut self, query: &Query, controls: &[Ctl]) -> i32 {
        let id = self.id();
        self.send(&request::search(id, query, controls));
        id
    }

    /// Reads one entry.
    pub(crate) fn read(&mut self, dn: &str, attributes: &[&str]) -> Found {
        self.search(&Query::base(dn).select(attributes), &[])
    }

    pub(crate) fn add(&mut self, dn: &str, attributes: &[(&str, &[&str])], controls: &[Ctl]) -> Answer {
        let id = self.id();
        self.send(&request::add(id, dn, attributes, controls));
        self.answer(id)
    }

    /// `changes`: `=` replaces, `+` adds, `-` deletes, `#` increments.
    pub(crate) fn modify(&mut self, dn: &str, changes: &[(char, &str, &[&str])], controls: &[Ctl]) -> Answer {
        let id = self.id();
        self.send(&request::modify(id, dn, changes, controls));
        self.answer(id)
    }

    pub(crate) fn delete(&mut self, dn: &str, controls: &[Ctl]) -> Answer {
        let id = self.id();
        self.send(&request::delete(id, dn, controls));
        self.answer(id)
    }

    pub(crate) fn compare(&mut self, dn: &str, attribute: &str, value: &str, controls: &[Ctl]) -> Answer {
        let id = self.id();
        self.send(&request::compare(id, dn, attribute, value, controls));
        self.answer(id)
    }

    pub(crate) fn rename(&mut self, dn: &str, rdn: &str, delete_old: bool, superior: Option<&str>) -> Answer {
        let id = self.id();
        self.send(&request::rename(id, dn, rdn, delete_old, superior, &[]));
        self.answer(id)
    }

    pub(crate) fn extended(&mut self, name: &str, value: Option<&[u8]>) -> Answer {
        let id = self.id();
        self.send(&request::extended(id, name, value, &[]));
        self.answer(id)
    }

    /// OpenAM's heartbeat, and whether it is answered as OpenAM wants it.
    pub(crate) fn heartbeat(&mut self) -> bool {
        let found = self.search(&Query::base("").select(&["1.1"]), &[]);
        let [entry] = found.entries.as_slice() else { return false };
        found.code() == 0 && entry.dn.is_empty() && entry.attributes.is_empty()
    }

    pub(crate) fn whoami(&mut self) -> String {
        let answer = self.extended(ctsd::protocol::oid::WHO_AM_I, None);
        String::from_utf8(answer.value.unwrap_or_default()).unwrap()
    }
}

/// A search.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) base: String,
    pub(crate) scope: Scope,
    pub(crate) filter: String,
    pub(crate) attributes: Vec<String>,
    pub(crate) size: u32,
    pub(crate) time: u32,
    pub(crate) types_only: bool,
}

impl Query {
    pub(crate) fn base(base: &str) -> Self {
        Self::new(base, Scope::Base, "(objectClass=*)")
    }

    pub(crate) fn subtree(base: &str, filter: &str) -> Self {
        Self::new(base, Scope::Subtree, filter)
    }

    pub(crate) fn new(base: &str, scope: Scope, filter: &str) -> Self {
        let (base, filter) = (base.to_owned(), filter.to_owned());
        Self { base, scope, filter, attributes: Vec::new(), size: 0, time: 0, types_only: false }
    }

    pub(crate) fn select(mut self, attributes: &[&str]) -> Self {
        self.attributes = attributes.iter().map(|&name| name.to_owned()).collect();
        self
    }

    pub(crate) fn size(mut self, size: u32) -> Self {
        self.size = size;
        self
    }

    pub(crate) fn types_only(mut self) -> Self {
        self.types_only = true;
        self
    }
}

/// Requests as bytes.
pub(crate) mod request {
    use ctsd::protocol::message::{MessageId, ModifyOperation};
    use ctsd::protocol::{filter_text, request};

    use super::{BytesMut, Control, Ctl, Query};

    fn written(controls: &[Ctl], write: impl FnOnce(&mut BytesMut, &[Control<'_>])) -> Vec<u8> {
        let controls: Vec<_> = controls.iter().map(Ctl::borrowed).collect();
        let mut out = BytesMut::new();
        write(&mut out, &controls);
        out.to_vec()
    }

    pub(crate) fn bind(id: i32, dn: &str, password: &str, controls: &[Ctl]) -> Vec<u8> {
        written(controls, |out, controls| {
            request::bind(out, MessageId(id), dn, password.as_bytes(), controls)
        })
    }

    pub(crate) fn unbind(id: i32) -> Vec<u8> {
        written(&[], |out, controls| request::unbind(out, MessageId(id), controls))
    }

    pub(crate) fn search(id: i32, query: &Query, controls: &[Ctl]) -> Vec<u8> {
        let attributes: Vec<_> = query.attributes.iter().map(String::as_str).collect();
        let search = request::Search {
            base: &query.base,
            scope: query.scope,
            size_limit: query.size,
            time_limit: query.time,
            types_only: query.types_only,
            deref: 0,
            filter: filter_text::parse(&query.filter).unwrap(),
            attributes: &attributes,
        };
        written(controls, |out, controls| request::search(out, MessageId(id), &search, controls))
    }

    pub(crate) fn add(id: i32, dn: &str, attributes: &[(&str, &[&str])], controls: &[Ctl]) -> Vec<u8> {
        let attributes: Vec<(String, Vec<Vec<u8>>)> = attributes
            .iter()
            .map(|(name, values)| {
                (String::from(*name), values.iter().map(|v| v.as_bytes().to_vec()).collect())
            })
            .collect();
        add_bytes(id, dn, &attributes, controls)
    }

    pub(crate) fn add_bytes(id: i32, dn: &str, list: &[(String, Vec<Vec<u8>>)], controls: &[Ctl]) -> Vec<u8> {
        let values: Vec<Vec<&[u8]>> =
            list.iter().map(|(_, values)| values.iter().map(Vec::as_slice).collect()).collect();
        let attributes: Vec<_> =
            list.iter().zip(&values).map(|((name, _), values)| (name.as_str(), values.as_slice())).collect();
        written(controls, |out, controls| request::add(out, MessageId(id), dn, &attributes, controls))
    }

    pub(crate) fn modify(id: i32, dn: &str, changes: &[(char, &str, &[&str])], controls: &[Ctl]) -> Vec<u8> {
        let values: Vec<Vec<&[u8]>> =
            changes.iter().map(|(_, _, values)| values.iter().map(|v| v.as_bytes()).collect()).collect();
        let changes: Vec<_> = changes
            .iter()
            .zip(&values)
            .map(|((operation, name, _), values)| {
                let operation = match operation {
                    '+' => ModifyOperation::Add,
                    '-' => ModifyOperation::Delete,
                    '#' => ModifyOperation::Increment,
                    _ => ModifyOperation::Replace,
                };
                (operation, (*name, values.as_slice()))
            })
            .collect();
        written(controls, |out, controls| request::modify(out, MessageId(id), dn, &changes, controls))
    }

    pub(crate) fn delete(id: i32, dn: &str, controls: &[Ctl]) -> Vec<u8> {
        written(controls, |out, controls| request::delete(out, MessageId(id), dn, controls))
    }

    pub(crate) fn compare(id: i32, dn: &str, attribute: &str, value: &str, controls: &[Ctl]) -> Vec<u8> {
        written(controls, |out, controls| {
            request::compare(out, MessageId(id), dn, attribute, value.as_bytes(), controls);
        })
    }

    pub(crate) fn rename(
        id: i32,
        dn: &str,
        rdn: &str,
        delete_old: bool,
        superior: Option<&str>,
        controls: &[Ctl],
    ) -> Vec<u8> {
        written(controls, |out, controls| {
            request::modify_dn(out, MessageId(id), dn, rdn, delete_old, superior, controls);
        })
    }

    pub(crate) fn abandon(id: i32, target: i32) -> Vec<u8> {
        written(&[], |out, controls| request::abandon(out, MessageId(id), MessageId(target), controls))
    }

    pub(crate) fn extended(id: i32, name: &str, value: Option<&[u8]>, controls: &[Ctl]) -> Vec<u8> {
        written(controls, |out, controls| request::extended(out, MessageId(id), name, value, controls))
    }
}
