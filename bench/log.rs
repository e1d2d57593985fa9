//! What a change costs the device, through the backend's own door, and what the device would do at best.
//!
//! Keeps a population of tokens under adds, changes and deletes until the log's files go round (or `--warm` is over), then
//! measures: octets that reached the device by its own counters against octets of the encoded records, size of groups, syncs
//! and changes a second. Then a bare loop overwrites a file with groups of the same size, once with `O_DIRECT | O_DSYNC` and
//! once with write and fdatasync: what is left of its rate is what the store costs.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::Parser;
use ctsd::backend::{
    Backend, BackendOptions, BackendStats, Change, ChangeError, ChangeKind, Committed, Edit, IndexConfig,
    IndexType, NewEntry, SpaceSettings, TokenStore, Verdict,
};
use ctsd::clock::SystemClock;
use ctsd::entry::{EntryBuilder, EntryUuid, PreparedModifications, StoredEntry};
use ctsd::protocol::message::ModifyOperation;
use ctsd::protocol::result::LdapResult;
use ctsd::schema::{NormalizedDn, Schema, SchemaStore};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SUFFIX: &str = "dc=cts,dc=example,dc=com";
const INDEXES: &[&str] =
    &["objectClass", "entryUUID", "coreTokenUserId", "coreTokenString02", "coreTokenString03"];
/// `O_DIRECT` and `O_DSYNC` of Linux.
const DIRECT: i32 = 0o40_000;
const DSYNC: i32 = 0o10_000;

#[derive(Debug, Parser)]
struct Options {
    /// An empty directory on the device to measure.
    #[arg(long)]
    dir: PathBuf,
    /// Changes under way.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Tokens.
    #[arg(long, default_value_t = 20_000)]
    population: u64,
    /// Octets of a token's object.
    #[arg(long, default_value_t = 4096)]
    object: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seconds before, at the most.
    #[arg(long, default_value_t = 60)]
    warm: u64,
    /// Seconds that changes are kept.
    #[arg(long, default_value_t = 5)]
    purge_delay: u64,
    /// Seconds of each bare loop.
    #[arg(long, default_value_t = 5)]
    bare: u64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn dn(seq: u64) -> String {
    format!("coreTokenId={:020},ou=tokens,{SUFFIX}", seq.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn noise(seed: u64, octets: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1;
    let mut out = Vec::with_capacity(octets + 8);
    while out.len() < octets {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(octets);
    out
}

struct Touch {
    schema: Arc<Schema>,
    object: Vec<u8>,
}

impl Edit for Touch {
    fn decide(&mut self, current: &Arc<StoredEntry>) -> Result<Option<Verdict>, LdapResult> {
        let mut prepared = PreparedModifications::default();
        for (name, value) in
            [("coreTokenExpirationDate", &b"20260722101112.345Z"[..]), ("coreTokenObject", &self.object)]
        {
            prepared
                .push(ModifyOperation::Replace, name, std::iter::once(value), &self.schema)
                .expect("modifications");
        }
        let edited = prepared.apply(current, false).expect("the token changes").expect("it is another");
        Ok(Some(Verdict { user: edited.user, operational: edited.operational, effects: edited.effects }))
    }
}

type Answer = Result<Committed, ChangeError>;

/// Makes changes: 36 % adds, 36 % deletes of the oldest, 28 % changes.
struct Load {
    backend: Arc<Backend>,
    schema: Arc<Schema>,
    object: usize,
    /// Tokens from `oldest` to below `next` are there, or on their way.
    oldest: u64,
    next: u64,
    made: u64,
    under_way: usize,
    sender: mpsc::Sender<Answer>,
    receiver: mpsc::Receiver<Answer>,
}

impl Load {
    fn entry(&self, dn: &str, seq: u64, attributes: &[(&str, &[u8])]) -> NewEntry {
        let mut builder = EntryBuilder::new();
        for (name, value) in attributes {
            builder.put(name, value, &self.schema);
        }
        builder.complete_classes(&self.schema);
        let (user, operational) = builder.encode();
        let mut uuid = [0x5a; 16];
        uuid[..8].copy_from_slice(&seq.wrapping_mul(0xd6e8_feb8_6659_fd93).to_be_bytes());
        NewEntry { dn: dn.into(), uuid: EntryUuid::v4(uuid), user, operational }
    }

    fn key(&self, dn: &str) -> NormalizedDn {
        NormalizedDn::parse(dn, &self.schema).expect("a DN")
    }

    fn send(&mut self, dn: &str, kind: ChangeKind) {
        let sender = self.sender.clone();
        let done = Box::new(move |answer| {
            let _ = sender.send(answer);
        });
        self.backend.submit(Change { target: self.key(dn), kind, done });
        self.under_way += 1;
    }

    fn wait(&mut self) {
        let answer = self.receiver.recv().expect("an answer");
        answer.expect("the change is made");
        self.under_way -= 1;
    }

    fn add(&mut self) {
        let seq = self.next;
        let id = format!("{:020}", seq.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let user = format!("id=user{:05},ou=user,dc=openam,dc=example,dc=com", seq % 100_000);
        let handle = format!("shandle:AQIC5wM2LY4SfcwmVdbgTX-9WwyUHvhqc.{id}.AAIxMA");
        let object = noise(seq, self.object);
        let entry = self.entry(
            &dn(seq),
            seq,
            &[
                ("objectClass", b"frCoreToken"),
                ("coreTokenId", id.as_bytes()),
                ("coreTokenType", b"SESSION"),
                ("coreTokenExpirationDate", b"20260721101112.345Z"),
                ("coreTokenUserId", user.as_bytes()),
                ("coreTokenString02", id.as_bytes()),
                ("coreTokenString03", handle.as_bytes()),
                ("coreTokenObject", &object),
            ],
        );
        self.next += 1;
        self.send(&dn(seq), ChangeKind::Add { entry, check: None });
    }

    fn step(&mut self, population: u64) {
        self.made += 1;
        if self.next - self.oldest < population {
            return self.add();
        }
        // Neither those that go next nor those that may not be there yet.
        let (low, high) = (self.oldest + population / 4, self.next - population / 4);
        match self.made % 100 {
            0..28 => {
                let seq = low + self.made.wrapping_mul(0x9e37_79b9) % (high - low);
                let object = noise(self.made, self.object);
                let edit = Touch { schema: Arc::clone(&self.schema), object };
                self.send(&dn(seq), ChangeKind::Modify(Box::new(edit)));
            }
            _ => {
                let seq = self.oldest;
                self.oldest += 1;
                let check = Box::new(|_: &Arc<StoredEntry>| Ok(()));
                self.send(&dn(seq), ChangeKind::Delete { check, subtree: false });
            }
        }
    }

    fn run(&mut self, in_flight: usize, population: u64, until: &mut dyn FnMut(&Backend) -> bool) {
        let mut looked = Instant::now();
        loop {
            while self.under_way < in_flight {
                self.step(population);
            }
            self.wait();
            if looked.elapsed() > Duration::from_millis(50) {
                looked = Instant::now();
                if until(&self.backend) {
                    return;
                }
            }
        }
    }
}

/// Octets written to the device that has a file, since the machine started, by whomever.
fn device(dir: &Path) -> u64 {
    let device = dir.metadata().map(|metadata| metadata.dev()).unwrap_or(0);
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).unwrap_or_default();
    text.split_whitespace().nth(6).and_then(|sectors| sectors.parse::<u64>().ok()).unwrap_or(0) * 512
}

/// Overwrites a file of zeros with groups of a size; groups a second.
fn bare(dir: &Path, octets: usize, seconds: u64, is_direct: bool) -> f64 {
    const FILE: usize = 128 << 20;
    let path = dir.join("bare");
    let zeros = File::create(&path).expect("a file");
    let block = vec![0_u8; 1 << 20];
    for at in 0..FILE / block.len() {
        zeros.write_all_at(&block, (at * block.len()) as u64).expect("zeros");
    }
    zeros.sync_all().expect("a sync");
    let octets = octets.next_multiple_of(4096).min(FILE / 2);
    let buffer = noise(9, octets + 4096);
    let origin = buffer.as_ptr().align_offset(4096);
    let group = &buffer[origin..origin + octets];
    let flags = if is_direct { DIRECT | DSYNC } else { 0 };
    let file = OpenOptions::new().write(true).custom_flags(flags).open(&path).expect("the file opens");
    let (began, mut count, mut at) = (Instant::now(), 0_u64, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        if at + octets > FILE {
            at = 0;
        }
        file.write_all_at(group, at as u64).expect("a write");
        if !is_direct {
            file.sync_data().expect("a sync");
        }
        at += octets;
        count += 1;
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(&path);
    rate
}

struct Reading {
    at: Instant,
    stats: BackendStats,
    device: u64,
}

fn read(backend: &Backend, dir: &Path) -> Reading {
    Reading { at: Instant::now(), stats: backend.stats(), device: device(dir) }
}

fn main() {
    let options = Options::parse();
    let schema = Arc::new(SchemaStore::builtin(true));
    let clock = Arc::new(SystemClock::new());
    let mut store = BackendOptions::new(&options.dir, vec![SUFFIX.into()], clock, Arc::clone(&schema));
    store.space =
        SpaceSettings { purge_delay: Duration::from_secs(options.purge_delay), ..SpaceSettings::default() };
    let index = |name: &&str| IndexConfig {
        attribute: (*name).into(),
        types: vec![IndexType::Equality],
        substring_length: 6,
    };
    store.indexes = INDEXES.iter().map(index).collect();
    let backend = Arc::new(Backend::open(&store).expect("the store opens"));
    let (sender, receiver) = mpsc::channel();
    let mut load = Load {
        backend: Arc::clone(&backend),
        schema: schema.current(),
        object: options.object,
        oldest: 0,
        next: 0,
        made: 0,
        under_way: 0,
        sender,
        receiver,
    };
    for (number, above) in ["", "ou=tokens,"].iter().enumerate() {
        let dn = format!("{above}{SUFFIX}");
        let class: &[u8] = if number == 0 { b"domain" } else { b"organizationalUnit" };
        let entry = load.entry(&dn, u64::MAX - number as u64, &[("objectClass", class)]);
        load.send(&dn, ChangeKind::Add { entry, check: None });
        load.wait();
    }
    let began = Instant::now();
    // The files go round once those that were dropped are all that new segments are made of.
    let (mut begun, mut made) = (0, 0);
    load.run(options.in_flight, options.population, &mut |backend| {
        let log = backend.stats().log;
        if log.segments_recycled == 0 {
            (begun, made) = (log.segments_begun, log.segments_begun + log.spares);
        }
        let goes_round = log.segments_recycled > 3 && log.segments_begun > begun + 4 && log.spares > 2;
        goes_round || began.elapsed() > Duration::from_secs(options.warm)
    });
    println!("warm after {:.0} s; {made} files were made ahead", began.elapsed().as_secs_f64());
    let before = read(&backend, &options.dir);
    let until = before.at + Duration::from_secs(options.seconds);
    load.run(options.in_flight, options.population, &mut |_| Instant::now() > until);
    let after = read(&backend, &options.dir);
    while load.under_way > 0 {
        load.wait();
    }
    let seconds = (after.at - before.at).as_secs_f64();
    let of = |value: fn(&BackendStats) -> u64| (value(&after.stats) - value(&before.stats)) as f64;
    let changes = of(|stats| stats.changes);
    let records = of(|stats| stats.log.record_octets);
    let (groups, syncs) = (of(|stats| stats.log.groups), of(|stats| stats.log.syncs));
    let device = (after.device - before.device) as f64;
    let each = |octets: f64| octets / changes.max(1.0);
    println!("{changes:.0} changes in {seconds:.1} s, {:.0}/s", changes / seconds);
    println!("groups of {:.1} changes, {:.0} syncs/s", changes / groups.max(1.0), syncs / seconds);
    println!("octets a change: {:.0} encoded", each(records));
    println!("                 {:.0} written by the log", each(of(|stats| stats.log.written_octets)));
    println!("                 {:.0} copied forward", each(of(|stats| stats.moved_octets)));
    println!("                 {:.0} reached the device", each(device));
    println!("device / encoded: {:.3}", device / records.max(1.0));
    let log = after.stats.log;
    println!(
        "segments: {} in the log, {} recycled, {} missed",
        log.segments, log.segments_recycled, log.spares_missed
    );
    backend.close();
    drop((load, backend));
    let (octets, size) = ((records / groups.max(1.0)) as usize, changes / groups.max(1.0));
    for (name, is_direct) in [("O_DIRECT|O_DSYNC", true), ("write + fdatasync", false)] {
        let rate = bare(&options.dir, octets, options.bare, is_direct);
        println!(
            "bare loop, {name}: {rate:.0} groups of {octets} octets/s = {:.0} changes/s; the store reaches {:.0} %",
            rate * size,
            changes / seconds / (rate * size) * 100.0
        );
    }
}
