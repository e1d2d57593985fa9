//! How long a start takes, what a token costs in memory, and how the index stores compare.
//!
//! `fill` makes a store of tokens through the backend's own door and ends cleanly or not at all; `open` opens it in a new
//! process and says how long that took.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

mod guide;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use ctsd::backend::{
    Backend, BackendOptions, Change, ChangeError, ChangeKind, Committed, Edit, NewEntry, TokenStore, Verdict,
};
use ctsd::backup::{self, Archive, BackupKey, Job, RestoreData, Subject};
use ctsd::clock::SystemClock;
use ctsd::config::IndexStoreKind;
use ctsd::entry::{EntryBuilder, EntryUuid, PreparedModifications, StoredEntry};
use ctsd::log::Durability;
use ctsd::protocol::message::ModifyOperation;
use ctsd::protocol::result::LdapResult;
use ctsd::schema::{NormalizedDn, Schema, SchemaStore};
use guide::SUFFIX;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Debug, Parser)]
struct Options {
    /// The store's directory.
    #[arg(long)]
    dir: PathBuf,
    /// Where the trees live.
    #[arg(long, value_enum, default_value_t = Store::Memory)]
    index_store: Store,
    /// Octets of the entry cache.
    #[arg(long, default_value_t = 64 << 20)]
    cache: usize,
    /// Acknowledges before changes are on disk: for loading much. What `os` leaves to a background sync is synced at the
    /// end.
    #[arg(long)]
    os: bool,
    #[command(subcommand)]
    what: What,
    /// Given by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Memory,
    Sled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum End {
    /// The store is closed.
    Clean,
    /// The process aborts.
    Kill,
    /// The process aborts when the next checkpoint is all but due: changes go on for as long as it takes.
    Worst,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Adds tokens and changes some.
    Fill {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        tokens: u64,
        /// Dead records before them: half as many small entries are added, and deleted again.
        #[arg(long, default_value_t = 0)]
        dead: u64,
        /// Changes afterwards.
        #[arg(long, default_value_t = 50_000)]
        changes: u64,
        /// Takes a checkpoint between the two, so that all changes lie behind it.
        #[arg(long)]
        checkpoint: bool,
        /// As many again while one checkpoint after the other is taken.
        #[arg(long)]
        stall: bool,
        #[arg(long, value_enum, default_value_t = End::Clean)]
        end: End,
    },
    /// Backs the store up while it is changed, and says what those who change it notice.
    Backup {
        /// The backup directory.
        #[arg(long)]
        to: PathBuf,
        #[arg(long)]
        id: String,
        #[arg(long)]
        incremental: bool,
        #[arg(long)]
        compress: bool,
        #[arg(long)]
        encrypt: bool,
        /// Changes at a time meanwhile; 0 for a store at rest.
        #[arg(long, default_value_t = 0)]
        changes: u64,
    },
    /// Verifies a backup and restores it into the directory, which need not be there.
    Restore {
        #[arg(long)]
        from: PathBuf,
        #[arg(long)]
        id: Option<String>,
    },
    /// Opens the store and looks at it.
    Open {
        #[arg(long, value_enum, default_value_t = End::Clean)]
        end: End,
    },
}

fn digits(seq: u64) -> String {
    format!("{:020}", seq.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn dn(seq: u64) -> String {
    format!("coreTokenId={},ou=famrecords,ou=openam-session,ou=tokens,{SUFFIX}", digits(seq))
}

fn time(second: u64) -> String {
    let (day, rest) = (second / 86_400 % 28 + 1, second % 86_400);
    format!("202607{day:02}{:02}{:02}{:02}.{:03}Z", rest / 3600, rest / 60 % 60, rest % 60, second % 997 + 1)
}

fn noise(seq: u64) -> Vec<u8> {
    let mut state = seq | 1;
    let mut out = Vec::with_capacity(4096);
    while out.len() < 4096 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out
}

struct Filler {
    backend: Arc<Backend>,
    schema: Arc<Schema>,
}

struct Touch {
    schema: Arc<Schema>,
    seq: u64,
}

impl Edit for Touch {
    fn decide(&mut self, current: &Arc<StoredEntry>) -> Result<Option<Verdict>, LdapResult> {
        let mut prepared = PreparedModifications::default();
        let (when, object) = (time(self.seq * 7), noise(self.seq + 1));
        for (name, value) in [
            ("coreTokenExpirationDate", when.as_bytes()),
            ("coreTokenString01", when.as_bytes()),
            ("coreTokenDate02", when.as_bytes()),
            ("coreTokenObject", &object),
        ] {
            prepared
                .push(ModifyOperation::Replace, name, std::iter::once(value), &self.schema)
                .expect("modifications");
        }
        let edited = prepared.apply(current, false).expect("the token changes");
        Ok(edited.map(|edited| Verdict {
            user: edited.user,
            operational: edited.operational,
            effects: edited.effects,
        }))
    }
}

impl Filler {
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

    fn token(&self, seq: u64) -> (NormalizedDn, ChangeKind) {
        let (dn, id) = (dn(seq), digits(seq));
        let user = format!("id=user{:05},ou=user,dc=openam,dc=example,dc=com", seq % 100_000);
        let handle =
            format!("shandle:AQIC5wM2LY4SfcwmVdbgTX-9WwyUHvhqc-6qVkYbGP8aVgI._AAJTSQACMDE.{id}.AAIxMA.._");
        let session = format!("{id}-1234567890");
        let (expiry, object) = (time(seq), noise(seq));
        let entry = self.entry(
            &dn,
            seq,
            &[
                ("objectClass", b"frCoreToken"),
                ("coreTokenId", id.as_bytes()),
                ("coreTokenType", b"SESSION"),
                ("coreTokenExpirationDate", expiry.as_bytes()),
                ("coreTokenUserId", user.as_bytes()),
                ("coreTokenString01", expiry.as_bytes()),
                ("coreTokenString02", session.as_bytes()),
                ("coreTokenString03", handle.as_bytes()),
                ("coreTokenString08", b"/customers"),
                ("coreTokenString11", b"/customers"),
                ("coreTokenString13", b"VALID"),
                ("coreTokenString14", user.as_bytes()),
                ("coreTokenDate01", expiry.as_bytes()),
                ("coreTokenDate02", expiry.as_bytes()),
                ("coreTokenObject", &object),
            ],
        );
        (self.key(&dn), ChangeKind::Add { entry, check: None })
    }

    fn key(&self, dn: &str) -> NormalizedDn {
        NormalizedDn::parse(dn, &self.schema).expect("a DN")
    }

    fn touch(&self, number: u64, tokens: u64) -> (NormalizedDn, ChangeKind) {
        // Above the tokens are four entries, which `entries` counts too.
        let seq = number.wrapping_mul(0x2545_f491_4f6c_dd1d) % tokens.saturating_sub(4).max(1);
        let edit = Touch { schema: Arc::clone(&self.schema), seq: seq + number };
        (self.key(&dn(seq)), ChangeKind::Modify(Box::new(edit)))
    }

    /// Adds small entries and deletes them, batch by batch.
    fn die(&self, count: u64) {
        const BATCH: u64 = 100_000;
        let name = |seq: u64| format!("ou=dead{seq},{SUFFIX}");
        for from in (0..count).step_by(BATCH as usize) {
            let batch = BATCH.min(count - from);
            self.run("add what dies", batch, |number| {
                let dn = name(from + number);
                let entry =
                    self.entry(&dn, u64::MAX / 2 - from - number, &[("objectClass", b"organizationalUnit")]);
                (self.key(&dn), ChangeKind::Add { entry, check: None })
            });
            self.run("delete it", batch, |number| {
                let kind = ChangeKind::Delete { check: Box::new(|_| Ok(())), subtree: false };
                (self.key(&name(from + number)), kind)
            });
        }
    }

    /// Submits changes, 64 at a time, and tells rate and latencies.
    fn run(&self, what: &str, count: u64, make: impl Fn(u64) -> (NormalizedDn, ChangeKind)) {
        let (sender, receiver) = mpsc::channel::<(Duration, Result<Committed, ChangeError>)>();
        let (mut sent, mut latencies) = (0, Vec::new());
        let began = Instant::now();
        while (latencies.len() as u64) < count {
            while sent < count && sent - (latencies.len() as u64) < 64 {
                let (target, kind) = make(sent);
                let (sender, start) = (sender.clone(), Instant::now());
                let done = Box::new(move |result| {
                    let _ = sender.send((start.elapsed(), result));
                });
                self.backend.submit(Change { target, kind, done });
                sent += 1;
            }
            let (latency, result) = receiver.recv().expect("an answer");
            result.expect("the change is made");
            latencies.push(latency);
        }
        let took = began.elapsed();
        latencies.sort_unstable();
        let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        println!(
            "{what}: {count} in {:.1} s, {:.0}/s, latency ms p50 {:.2} p99 {:.2} p99.9 {:.2} max {:.2}",
            took.as_secs_f64(),
            count as f64 / took.as_secs_f64(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
}

/// Octets by which the log grows until the next checkpoint, by the size of the last one.
fn due(directory: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(directory).expect("the directory");
    let sizes = files.filter_map(|file| {
        let file = file.ok()?;
        let is_checkpoint = file.file_name().to_string_lossy().starts_with("checkpoint-");
        Some((file.file_name(), file.metadata().ok()?.len())).filter(|_| is_checkpoint)
    });
    let newest = sizes.max().map_or(0, |(_, octets)| octets);
    (6 * newest).max(256 << 20)
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn show(backend: &Backend) {
    let entries = backend.entries();
    let mut memory = backend.memory();
    memory.sort_by_key(|(_, octets)| std::cmp::Reverse(*octets));
    let sum: u64 = memory.iter().map(|(_, octets)| octets).sum();
    let each = |octets: u64| octets as f64 / entries.max(1) as f64;
    println!(
        "{entries} entries, trees {:.1} MB, {:.0} octets a token, resident {:.1} MB",
        sum as f64 / 1e6,
        each(sum),
        resident() as f64 / 1e6
    );
    for (name, octets) in memory.iter().filter(|(_, octets)| each(*octets) >= 1.0) {
        println!("  {:>7.1}  {name}", each(*octets));
    }
}

fn key_file(directory: &Path) -> PathBuf {
    directory.join("backup.key")
}

/// Backs up, and tells how long that took.
fn back_up(backend: &Backend, to: &Path, how: &backup::Options) {
    let began = Instant::now();
    let source = backend.backup_source().expect("the store gives its data");
    let held = began.elapsed();
    let subject = Subject::Data { base_dns: &[SUFFIX.to_owned()], source: &source };
    let key_file = key_file(to);
    let job = Job { directory: to, backend: "userRoot", subject, options: how, key_file: &key_file };
    let made = backup::back_up(&job, &mut |_, _| true).expect("the backup is made");
    let took = began.elapsed().as_secs_f64();
    println!(
        "backup in {took:.2} s ({:.2} s of it for the checkpoint): {} files copied, {} reused, {:.1} MB read, {:.1} MB \
         written, {:.0} MB/s",
        held.as_secs_f64(),
        made.copied,
        made.reused,
        made.octets as f64 / 1e6,
        made.stored as f64 / 1e6,
        made.octets as f64 / 1e6 / took
    );
}

fn restore(from: &Path, id: Option<&str>, to: &Path, schema: &Schema) {
    let key = BackupKey::read(&key_file(from)).expect("the key");
    let archive = Archive::open(from, id, key).expect("a backup");
    let octets = archive.extent().1 as f64 / 1e6;
    let began = Instant::now();
    archive.verify(&mut |_, _| true).expect("the backup is whole");
    println!("verified {octets:.1} MB in {:.2} s", began.elapsed().as_secs_f64());
    let wanted = RestoreData {
        db: to,
        backend: "userRoot",
        base_dns: &[SUFFIX.to_owned()],
        schema,
        now_ms: archive.manifest().time_ms,
        purge_delay: Duration::MAX,
        force: false,
    };
    let began = Instant::now();
    backup::restore_data(&archive, &wanted, &mut |_, _| true).expect("the backup is restored");
    println!("restored {octets:.1} MB in {:.2} s", began.elapsed().as_secs_f64());
}

fn main() {
    let options = Options::parse();
    let schema = Arc::new(SchemaStore::builtin(true));
    if let What::Restore { from, id } = &options.what {
        return restore(from, id.as_deref(), &options.dir, &schema.current());
    }
    let clock = Arc::new(SystemClock::new());
    let mut store = BackendOptions::new(&options.dir, vec![SUFFIX.into()], clock, Arc::clone(&schema));
    store.cache_bytes = options.cache;
    if options.os {
        store.durability = Durability::Os;
    }
    store.index_store = match options.index_store {
        Store::Memory => IndexStoreKind::Memory,
        Store::Sled => IndexStoreKind::Sled,
    };
    store.indexes = guide::indexes();
    let began = Instant::now();
    let backend = Arc::new(Backend::open(&store).expect("the store opens"));
    let took = began.elapsed();
    let filler = Filler { backend: Arc::clone(&backend), schema: schema.current() };
    let end = match options.what {
        What::Open { end } => {
            let found = backend.recovered();
            println!(
                "ready in {:.2} s: {} records of {} and {:.1} MB of log read",
                took.as_secs_f64(),
                found.records,
                found.last_sequence,
                found.octets as f64 / 1e6
            );
            show(&backend);
            end
        }
        What::Restore { .. } => return,
        What::Backup { to, id, incremental, compress, encrypt, changes } => {
            let how = backup::Options {
                id,
                is_incremental: incremental,
                base: None,
                compresses: compress,
                encrypts: encrypt,
                signs: encrypt,
            };
            let tokens = backend.entries();
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    back_up(&backend, &to, &how);
                    done.store(true, Ordering::Relaxed);
                });
                let mut round = 0;
                while changes > 0 && !done.load(Ordering::Relaxed) {
                    filler.run("modify meanwhile", changes, |number| {
                        filler.touch(number + round * changes, tokens)
                    });
                    round += 1;
                }
            });
            if changes > 0 {
                filler.run("modify afterwards", changes, |number| filler.touch(number + 7_777_777, tokens));
            }
            End::Clean
        }
        What::Fill { tokens, dead, changes, checkpoint, stall, end } => {
            let above = [
                "",
                "ou=tokens,",
                "ou=openam-session,ou=tokens,",
                "ou=famrecords,ou=openam-session,ou=tokens,",
            ];
            for (number, above) in above.iter().enumerate() {
                let dn = format!("{above}{SUFFIX}");
                let class: &[u8] = if number == 0 { b"domain" } else { b"organizationalUnit" };
                let entry = filler.entry(&dn, u64::MAX - number as u64, &[("objectClass", class)]);
                filler.run("add", 1, |_| {
                    (filler.key(&dn), ChangeKind::Add { entry: entry.clone(), check: None })
                });
            }
            if dead > 0 {
                filler.die(dead / 2);
            }
            filler.run("add", tokens, |seq| filler.token(seq));
            show(&backend);
            if checkpoint {
                backend.checkpoint().expect("a checkpoint");
            }
            let touch = |number: u64| filler.touch(number, tokens);
            filler.run("modify", changes, touch);
            if stall {
                let stop = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    let taker = scope.spawn(|| {
                        let mut times = Vec::new();
                        while !stop.load(Ordering::Relaxed) {
                            let began = Instant::now();
                            if backend.checkpoint().expect("a checkpoint").is_some() {
                                times.push(began.elapsed().as_secs_f64());
                            }
                        }
                        times
                    });
                    let others = |number: u64| touch(number + changes);
                    filler.run("modify while checkpoints are taken", changes, others);
                    stop.store(true, Ordering::Relaxed);
                    let times = taker.join().expect("no panic");
                    let longest = times.iter().copied().fold(0.0, f64::max);
                    println!("{} checkpoints, the longest took {longest:.2} s", times.len());
                });
            }
            if end == End::Worst {
                let began = backend.stats().log.record_octets;
                backend.checkpoint().expect("a checkpoint");
                let due = due(&options.dir);
                let mut round = 2 * changes;
                while backend.stats().log.record_octets - began < due / 100 * 97 {
                    filler.run("modify until a checkpoint is all but due", 5000, |number| {
                        touch(number + round)
                    });
                    round += 5000;
                }
            }
            show(&backend);
            end
        }
    };
    if end != End::Clean {
        std::process::abort();
    }
    let began = Instant::now();
    backend.close();
    println!("closed in {:.2} s", began.elapsed().as_secs_f64());
}
