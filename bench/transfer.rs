//! How fast tokens come in from LDIF and go out again.
//!
//! `make` writes a file of tokens; `import` makes a store of it, as `import-ldif` does with the server stopped; `export`
//! writes it out again.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

mod guide;

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, Subcommand};
use ctsd::backend::{BackendOptions, DataStore, TokenStore};
use ctsd::clock::SystemClock;
use ctsd::schema::SchemaStore;
use ctsd::transfer::{Choice, ExportJob, ImportJob, Watch};
use guide::SUFFIX;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CONTAINER: &str = "ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com";
#[derive(Debug, Parser)]
struct Options {
    /// Where the store and the LDIF are.
    #[arg(long)]
    dir: PathBuf,
    #[command(subcommand)]
    what: What,
    /// Given by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Writes `tokens.ldif`.
    Make {
        #[arg(long, default_value_t = 200_000)]
        tokens: u64,
        /// Octets of coreTokenObject.
        #[arg(long, default_value_t = 4400)]
        object: usize,
        /// Folded at 76 columns, as OpenDJ's tool may write it.
        #[arg(long)]
        folded: bool,
    },
    /// Imports `tokens.ldif`, or the file named; with `--branch` the container alone.
    Import {
        #[arg(long)]
        file: Option<PathBuf>,
        #[arg(long)]
        branch: bool,
    },
    /// Exports to `export.ldif`.
    Export {
        #[arg(long)]
        compress: bool,
    },
}

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Printable octets that do not compress.
    fn text(&mut self, octets: usize) -> String {
        const SET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let mut text = String::with_capacity(octets);
        while text.len() < octets {
            let mut number = self.next();
            for _ in 0..10 {
                text.push(SET[(number & 63) as usize] as char);
                number >>= 6;
            }
        }
        text.truncate(octets);
        text
    }
}

fn line(out: &mut impl Write, text: &str, folded: bool) {
    let bytes = text.as_bytes();
    if !folded || bytes.len() <= 76 {
        out.write_all(bytes).expect("written");
    } else {
        out.write_all(&bytes[..76]).expect("written");
        for part in bytes[76..].chunks(75) {
            out.write_all(b"\n ").expect("written");
            out.write_all(part).expect("written");
        }
    }
    out.write_all(b"\n").expect("written");
}

fn make(options: &Options, tokens: u64, object: usize, folded: bool) {
    let path = options.dir.join("tokens.ldif");
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(&path).expect("a file"));
    let mut put = |text: &str| line(&mut out, text, folded);
    for text in
        [format!("dn: {SUFFIX}"), "objectClass: top".into(), "objectClass: domain".into(), String::new()]
    {
        put(&text);
    }
    for ou in ["tokens", "openam-session,ou=tokens", "famrecords,ou=openam-session,ou=tokens"] {
        put(&format!("dn: ou={ou},{SUFFIX}"));
        put("objectClass: top");
        put("objectClass: organizationalUnit");
        put("");
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for number in 0..tokens {
        let id = dice.text(40);
        let second = number % 60;
        let minute = number / 60 % 60;
        put(&format!("dn: coreTokenId={id},{CONTAINER}"));
        put("objectClass: top");
        put("objectClass: frCoreToken");
        put(&format!("coreTokenId: {id}"));
        put("coreTokenType: SESSION");
        put(&format!("coreTokenUserId: id=user{},ou=user,dc=openam,dc=example,dc=com", dice.next() % 50_000));
        put(&format!("coreTokenExpirationDate: 20301122{:02}{minute:02}{second:02}.123Z", number % 24));
        put(&format!("coreTokenDate01: 20301122{:02}{minute:02}{second:02}.456Z", (number + 1) % 24));
        put(&format!("coreTokenDate02: 20301122{:02}{minute:02}{second:02}.789Z", (number + 2) % 24));
        put("coreTokenString01: VALID");
        for name in ["02", "03", "08", "09", "10", "14"] {
            put(&format!("coreTokenString{name}: {}", dice.text(30)));
        }
        put(&format!("coreTokenInteger01: {}", dice.next() % 1_000_000));
        put(&format!("coreTokenObject: {}", dice.text(object)));
        put(&format!(
            "entryUUID: {:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            dice.next() >> 32,
            dice.next() >> 48,
            dice.next() >> 52,
            dice.next() >> 52,
            dice.next() >> 16
        ));
        put("createTimestamp: 20261122000000Z");
        put("modifyTimestamp: 20261122000000Z");
        put("");
    }
    out.flush().expect("written");
    println!("{tokens} tokens, {} octets", std::fs::metadata(path).expect("the file").len());
}

fn store(options: &Options) -> BackendOptions {
    let mut store = BackendOptions::new(
        options.dir.join("db"),
        vec![SUFFIX.into()],
        Arc::new(SystemClock::new()),
        Arc::new(SchemaStore::builtin(true)),
    );
    store.indexes = guide::indexes();
    store
}

/// The greatest memory of this process so far, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Seconds of CPU of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|&at| fields.get(at)?.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn main() {
    let options = Options::parse();
    std::fs::create_dir_all(&options.dir).expect("the directory");
    let mut say = |line: String| println!("{line}");
    let clock = SystemClock::new();
    let mut watch = Watch { say: &mut say, stops: &|| false, clock: &clock };
    let store = store(&options);
    let began = Instant::now();
    let (what, count) = match &options.what {
        What::Make { tokens, object, folded } => return make(&options, *tokens, *object, *folded),
        What::Import { file, branch } => {
            let job = ImportJob {
                files: vec![file.clone().unwrap_or_else(|| options.dir.join("tokens.ldif"))],
                choice: Choice {
                    include_branches: if *branch { vec![CONTAINER.to_owned()] } else { Vec::new() },
                    ..Choice::default()
                },
                ..ImportJob::default()
            };
            let report = job.run_offline(&store, &mut watch).expect("the import succeeds");
            ("import", report.imported + report.migrated)
        }
        What::Export { compress } => {
            let data = DataStore::open(store.clone()).expect("the store opens");
            println!("opened with {} entries in {:.1} s", data.entries(), began.elapsed().as_secs_f64());
            let job = ExportJob {
                file: options.dir.join("export.ldif"),
                compress: *compress,
                ..ExportJob::default()
            };
            let report =
                job.run(&data.current(), &store.schema.current(), &mut watch).expect("the export succeeds");
            ("export", report.exported)
        }
    };
    let took = began.elapsed().as_secs_f64();
    println!(
        "{what}: {count} entries in {took:.2} s, {:.0}/s with everything, {:.1} µs of CPU an entry, {} MiB at the most",
        count as f64 / took,
        cpu() * 1e6 / count.max(1) as f64,
        peak()
    );
}
