//! The loop: one thread, one poll, all connections.

use std::collections::VecDeque;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ctsd::clock::{Clock, SystemClock};
use ctsd::protocol::control::entry_change::EntryChange;
use ctsd::protocol::oid;
use ctsd::protocol::response::{self, Response};
use mio::{Events, Interest, Poll, Token as Source, Waker};

use crate::connection::{Connection, frame_len};
use crate::machine::Machine;
use crate::options::{Options, Phase};
use crate::record::{Figures, Recorder};
use crate::socket;
use crate::token::Token;
use crate::workload::{Kind, Next, Op, Workload};

const SECOND: f64 = 1e9;
/// How long answers are waited for at the end of a phase.
const DRAIN: u64 = 60_000_000_000;

pub(crate) struct Engine {
    poll: Poll,
    connections: Vec<Connection>,
    workers: usize,
    hearts: std::ops::Range<usize>,
    pools: Vec<usize>,
    deaf: usize,
    heart_every: u64,
    next_heart: u64,
    clock: SystemClock,
    machine: Machine,
    frames: Vec<u8>,
    /// Changes that were acknowledged, and that each listener should hear of.
    changes: u64,
    heard: u64,
    listeners: usize,
}

/// Operations of the open loop that are due and not sent.
struct Open {
    every: f64,
    start: u64,
    planned: u64,
    backlog: VecDeque<u64>,
    longest: usize,
}

impl Engine {
    pub(crate) fn new(options: &Options, workload: &mut Workload) -> Result<Self, Box<dyn Error>> {
        let address: SocketAddr =
            std::net::ToSocketAddrs::to_socket_addrs(&(options.host.as_str(), options.port))?
                .next()
                .ok_or("the host has no address")?;
        let password = match &options.password_file {
            Some(path) => std::fs::read(path)?,
            None => Vec::new(),
        };
        let password = password.split(|octet| matches!(octet, b'\n' | b'\r')).next().unwrap_or_default();
        let bind = options.bind_dn.as_deref().map(|dn| (dn, password));
        let tls = if options.tls { Some(socket::client_config()?) } else { None };
        let side = options.listeners + options.hearts + options.deaf;
        socket::make_room(options.connections + side)?;
        let beats = options.heartbeat_ms > 0;
        let mut connections = Vec::new();
        for index in 0..options.connections + side {
            let in_flight = if index < options.connections { options.in_flight } else { 16 };
            let connection = Connection::open(address, tls.as_ref(), bind, in_flight)
                .map_err(|error| format!("connection {index} to {address}: {error}"))?;
            connections.push(connection);
        }
        let poll = Poll::new()?;
        for (index, connection) in connections.iter_mut().enumerate() {
            poll.registry().register(
                &mut connection.socket.stream,
                Source(index),
                Interest::READABLE | Interest::WRITABLE,
            )?;
        }
        for connection in connections.iter_mut().skip(options.connections).take(options.listeners) {
            connection.send(0, Op::new(Kind::Listen, Token::new(0)), |out, id, op| workload.put(out, id, op));
            connection.flush()?;
        }
        if options.listeners > 0 {
            // A persistent search has no answer that says it listens.
            std::thread::sleep(Duration::from_millis(500));
        }
        let deaf = connections.len() - options.deaf;
        for connection in connections.iter_mut().skip(deaf) {
            connection.send(0, Op::new(Kind::Flood, Token::new(0)), |out, id, op| workload.put(out, id, op));
            connection.flush()?;
        }
        let hearts = if beats { options.connections..deaf } else { 0..0 };
        Ok(Self {
            poll,
            workers: options.connections,
            hearts,
            pools: options.pools.clone(),
            deaf,
            heart_every: options.heartbeat_ms.max(1) * 1_000_000,
            next_heart: 0,
            clock: SystemClock::new(),
            machine: Machine::new(options.server_pid, options.data_dir.as_deref()),
            frames: Vec::new(),
            changes: 0,
            heard: 0,
            listeners: options.listeners,
            connections,
        })
    }

    fn now(&self) -> u64 {
        self.clock.monotonic().as_nanos() as u64
    }

    /// Runs one phase to its end.
    pub(crate) fn run(
        &mut self,
        phase: Phase,
        options: &Options,
        workload: &mut Workload,
    ) -> Result<Figures, Box<dyn Error>> {
        workload.begin(phase)?;
        let mut recorder = Recorder::new(&self.pools);
        let (changes, heard) = (self.changes, self.heard);
        let mut before = self.machine.before();
        let mut start = self.now();
        let warm = start + (options.warmup * SECOND) as u64;
        let mut warming = options.warmup > 0.0 && !phase.runs_dry();
        let timed = !phase.runs_dry() && options.operations.is_none();
        let deadline = if timed { warm + (options.seconds * SECOND) as u64 } else { u64::MAX };
        recorder.start(start);
        self.next_heart = start + self.heart_every;

        // Phases that end by themselves know no rate: their next operation may wait for an answer.
        let rate = options.rate.filter(|_| !phase.runs_dry());
        let mut open = rate.map(|rate| Open {
            every: SECOND / rate,
            start,
            planned: 0,
            backlog: VecDeque::new(),
            longest: 0,
        });
        let ticking = Ticker::start(&self.poll, rate)?;

        let mut events = Events::with_capacity(1024);
        let mut ended = false;
        let mut starved = open.is_none();
        loop {
            let now = self.now();
            if !ended && now >= deadline {
                ended = true;
            }
            if warming && now >= warm {
                warming = false;
                before = self.machine.before();
                start = self.now();
                recorder.start(start);
            }
            if let Some(open) = open.as_mut() {
                if !ended {
                    open.plan(now);
                }
                for index in 0..self.workers {
                    if open.backlog.is_empty() {
                        break;
                    }
                    self.fill_open(index, open, workload, &mut ended)?;
                }
                if ended && !open.backlog.is_empty() {
                    recorder.unsent(open.backlog.len());
                    open.backlog.clear();
                }
            } else if starved && !ended {
                starved = false;
                for index in 0..self.workers {
                    match self.fill(index, workload)? {
                        Next::Send(_) => {}
                        Next::Wait => {
                            starved = true;
                            break;
                        }
                        Next::Done => {
                            ended = true;
                            break;
                        }
                    }
                }
            }
            self.beat(workload)?;
            if ended {
                let waiting: usize =
                    self.connections.iter().take(self.workers).map(Connection::in_flight).sum();
                if waiting == 0 {
                    break;
                }
                if now > deadline.min(u64::MAX - DRAIN) + DRAIN {
                    recorder.unanswered(waiting);
                    break;
                }
            }
            let until = if ended { now + 50_000_000 } else { deadline }.min(self.next_heart);
            let wait = Duration::from_nanos(until.saturating_sub(now)).min(Duration::from_millis(100));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                let Source(index) = event.token();
                if index >= self.deaf {
                    continue;
                }
                if event.is_readable() {
                    self.receive(index, workload, &mut recorder)?;
                }
                if index < self.workers && !ended {
                    match open.as_mut() {
                        Some(open) => self.fill_open(index, open, workload, &mut ended)?,
                        None => match self.fill(index, workload)? {
                            Next::Send(_) => {}
                            Next::Wait => starved = true,
                            Next::Done => ended = true,
                        },
                    }
                }
                self.connections[index].flush()?;
            }
        }
        drop(ticking);
        let elapsed = (self.now() - start) as f64 / SECOND;
        let after = self.machine.after();
        workload.journal.flush()?;
        if self.listeners > 0 {
            self.hear(changes, heard, workload, &mut recorder)?;
        }
        let expected = (self.changes - changes) * self.listeners as u64;
        let mut figures = recorder.figures(phase.name(), elapsed, before, after, workload.live());
        figures.notified = (self.listeners > 0).then_some((expected, self.heard - heard));
        figures.longest_backlog = open.map(|open| open.longest);
        Ok(figures)
    }

    /// Fills a connection; says whether there is more to send.
    fn fill(&mut self, index: usize, workload: &mut Workload) -> Result<Next, Box<dyn Error>> {
        let mut next = Next::Send(Op::new(Kind::Heartbeat, Token::new(0)));
        let now = self.now();
        let connection = &mut self.connections[index];
        while connection.has_room() {
            next = workload.next();
            let Next::Send(op) = next else { break };
            connection.send(now, op, |out, id, op| workload.put(out, id, op));
            next = Next::Send(Op::new(Kind::Heartbeat, Token::new(0)));
        }
        connection.flush()?;
        Ok(next)
    }

    fn fill_open(
        &mut self,
        index: usize,
        open: &mut Open,
        workload: &mut Workload,
        ended: &mut bool,
    ) -> Result<(), Box<dyn Error>> {
        let connection = &mut self.connections[index];
        while connection.has_room() && !open.backlog.is_empty() {
            match workload.next() {
                Next::Send(op) => {
                    let due = open.backlog.pop_front().unwrap_or_default();
                    connection.send(due, op, |out, id, op| workload.put(out, id, op));
                }
                Next::Wait => break,
                Next::Done => {
                    *ended = true;
                    open.backlog.clear();
                }
            }
        }
        Ok(connection.flush()?)
    }

    fn beat(&mut self, workload: &mut Workload) -> Result<(), Box<dyn Error>> {
        let now = self.now();
        if now < self.next_heart {
            return Ok(());
        }
        let due = self.next_heart;
        self.next_heart += self.heart_every;
        for index in self.hearts.clone() {
            let connection = &mut self.connections[index];
            if connection.has_room() {
                let op = Op::new(Kind::Heartbeat, Token::new(0));
                connection.send(due, op, |out, id, op| workload.put(out, id, op));
                connection.flush()?;
            }
        }
        Ok(())
    }

    fn receive(
        &mut self,
        index: usize,
        workload: &mut Workload,
        recorder: &mut Recorder,
    ) -> Result<(), Box<dyn Error>> {
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        let outcome = self.connections[index].receive(&mut frames);
        let now = self.now();
        let mut rest = frames.as_slice();
        while let Some(length) = frame_len(rest)? {
            let (frame, after) = rest.split_at_checked(length).ok_or("half a message")?;
            rest = after;
            let message = response::decode(frame)?;
            let connection = &mut self.connections[index];
            match message.response {
                Response::Entry { attributes, .. } => {
                    let Some(flight) = connection.flight(message.id.0) else { continue };
                    if flight.op.kind == Kind::Listen {
                        let mut controls = message.controls;
                        let change = controls
                            .find(|control| control.oid == oid::ENTRY_CHANGE_NOTIFICATION)
                            .and_then(|control| EntryChange::parse(control.value?).ok());
                        match change {
                            Some(_) => self.heard += 1,
                            None => recorder.wrong(Kind::Listen, "no entry change notification".to_owned()),
                        }
                    } else {
                        workload.entry(&mut flight.op, attributes);
                    }
                }
                Response::Reference(_) | Response::Intermediate { .. } => {}
                response => {
                    let result = response.result().ok_or("an answer without a result")?;
                    if message.id.0 == 0 {
                        return Err(format!(
                            "the server disconnects: {} {}",
                            result.code.0, result.diagnostic
                        )
                        .into());
                    }
                    let Some(flight) = connection.land(message.id.0) else { continue };
                    let (kind, since) = (flight.op.kind, flight.since);
                    let outcome = workload.done(flight.op, result.code.0, message.controls);
                    recorder.record(kind, since, now, index);
                    let changes = matches!(
                        kind,
                        Kind::Add | Kind::Modify | Kind::Delete | Kind::DeletePreRead | Kind::ReapDelete
                    );
                    self.changes += u64::from(changes && result.code.0 == 0);
                    if let Err(wrong) = outcome {
                        recorder.wrong(kind, format!("{wrong} {}", result.diagnostic));
                    }
                }
            }
        }
        self.frames = frames;
        outcome
    }

    /// Waits for notifications that are under way.
    fn hear(
        &mut self,
        changes: u64,
        heard: u64,
        workload: &mut Workload,
        recorder: &mut Recorder,
    ) -> Result<(), Box<dyn Error>> {
        let mut events = Events::with_capacity(64);
        let wanted = (self.changes - changes) * self.listeners as u64;
        let deadline = self.now() + 5_000_000_000;
        while self.heard - heard < wanted && self.now() < deadline {
            self.poll.poll(&mut events, Some(Duration::from_millis(100)))?;
            for event in &events {
                if event.token().0 < self.deaf {
                    self.receive(event.token().0, workload, recorder)?;
                }
            }
        }
        Ok(())
    }
}

impl Open {
    /// Plans what is due by now.
    fn plan(&mut self, now: u64) {
        loop {
            let due = self.start + (self.planned as f64 * self.every) as u64;
            if due > now {
                break;
            }
            self.backlog.push_back(due);
            self.planned += 1;
        }
        self.longest = self.longest.max(self.backlog.len());
    }
}

/// Wakes the poll oftener than its milliseconds allow.
struct Ticker(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Ticker {
    fn start(poll: &Poll, rate: Option<f64>) -> std::io::Result<Self> {
        let on = Arc::new(AtomicBool::new(true));
        let Some(rate) = rate else { return Ok(Self(on, None)) };
        let waker = Waker::new(poll.registry(), Source(usize::MAX))?;
        let period = Duration::from_secs_f64((1.0 / rate).clamp(0.000_25, 0.05));
        let ticking = Arc::clone(&on);
        let thread = std::thread::spawn(move || {
            while ticking.load(Ordering::Relaxed) && waker.wake().is_ok() {
                std::thread::sleep(period);
            }
        });
        Ok(Self(on, Some(thread)))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}
