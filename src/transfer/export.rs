//! The export: one moment of the store, parents before their children, written while the store goes on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, bounded};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::TransferError;
use super::choice::{Choice, Chosen};
use super::progress::{Progress, Watch, rate};
use crate::backend::{Backend, Snapshot, StoreError, TokenStore};
use crate::entry::{StoredEntry, Virtual};
use crate::ldif::LdifWriter;
use crate::schema::{NormalizedDn, Schema};

/// Entries that a thread takes at a time.
const PIECE: usize = 128;
/// A look at whether to stop.
const LOOK: Duration = Duration::from_millis(200);

/// What is to be exported, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportJob {
    /// The file.
    pub file: PathBuf,
    /// It is continued, not begun anew.
    pub append: bool,
    /// It is compressed with gzip.
    pub compress: bool,
    /// Lines are folded at so many columns; 0: they are not.
    pub wrap: usize,
    /// Operational attributes are left out.
    pub exclude_operational: bool,
    /// Which entries and attributes are wanted.
    pub choice: Choice,
}

/// What became of an export.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ExportReport {
    /// Entries written.
    pub exported: u64,
    /// Entries left out.
    pub skipped: u64,
    /// How long it took, until the file was durable.
    pub took: Duration,
}

impl ExportReport {
    /// The line at the end.
    pub fn summary(&self) -> String {
        format!(
            "Exported {} entries and skipped {} in {:.1} seconds (average rate {:.1}/sec)",
            self.exported,
            self.skipped,
            self.took.as_secs_f64(),
            rate(self.exported, self.took)
        )
    }
}

/// Text of a run of entries.
struct Written {
    number: usize,
    text: Vec<u8>,
    exported: u64,
    skipped: u64,
}

/// Where the text goes.
enum Target {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

impl Target {
    fn put(&mut self, text: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(text),
            Self::Gzip(gzip) => gzip.write_all(text),
        }
    }

    fn end(self) -> std::io::Result<()> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Gzip(gzip) => gzip.finish()?,
        };
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    }
}

impl ExportJob {
    /// Exports what is in the store at one moment that lies behind every change acknowledged before the call. Changes go on.
    pub fn run(
        &self,
        backend: &Backend,
        schema: &Schema,
        watch: &mut Watch<'_>,
    ) -> Result<ExportReport, TransferError> {
        let suffixes: Vec<NormalizedDn> = backend.suffixes().into_iter().map(|(_, key)| key).collect();
        let chosen = self.choice.resolve(&suffixes, schema)?;
        let mut progress = Progress::begin(watch.clock);
        let snapshot = backend.snapshot()?;
        let failed = || TransferError::file(&self.file);
        let mut target = self.open().map_err(failed())?;
        let report = self.write(&snapshot, &chosen, schema, watch, &mut progress, &mut |text| {
            target.put(text).map_err(failed())
        });
        let mut report = report?;
        target.end().map_err(failed())?;
        report.took = progress.elapsed(watch.clock);
        (watch.say)(report.summary());
        Ok(report)
    }

    /// Whether the store can do it, apart from the file.
    pub fn fits(&self, backend: &Backend, schema: &Schema) -> Result<(), TransferError> {
        let suffixes: Vec<NormalizedDn> = backend.suffixes().into_iter().map(|(_, key)| key).collect();
        self.choice.resolve(&suffixes, schema).map(drop)
    }

    fn open(&self) -> std::io::Result<Target> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(self.append).truncate(!self.append);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = BufWriter::with_capacity(1 << 20, options.open(&self.file)?);
        Ok(if self.compress {
            Target::Gzip(Box::new(GzEncoder::new(file, Compression::fast())))
        } else {
            Target::Plain(file)
        })
    }

    fn write(
        &self,
        snapshot: &Snapshot,
        chosen: &Chosen,
        schema: &Schema,
        watch: &mut Watch<'_>,
        progress: &mut Progress,
        put: &mut dyn FnMut(&[u8]) -> Result<(), TransferError>,
    ) -> Result<ExportReport, TransferError> {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(16));
        let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let pieces = snapshot.len().div_ceil(PIECE);
        std::thread::scope(|scope| {
            let (written, to_write) = bounded::<Result<Written, StoreError>>(threads * 4);
            for _ in 0..threads {
                let written = written.clone();
                let (next, is_over) = (&next, &is_over);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Acquire) {
                        let number = next.fetch_add(1, Ordering::AcqRel);
                        let piece = number * PIECE..(number * PIECE + PIECE).min(snapshot.len());
                        if number >= pieces
                            || written.send(self.piece(number, piece, snapshot, chosen, schema)).is_err()
                        {
                            return;
                        }
                    }
                });
            }
            drop(written);
            let mut waiting: BTreeMap<usize, Written> = BTreeMap::new();
            let mut report = ExportReport::default();
            let mut turn = 0;
            let mut all = || loop {
                match to_write.recv_timeout(LOOK) {
                    Ok(Ok(piece)) => drop(waiting.insert(piece.number, piece)),
                    Ok(Err(error)) => return Err(error.into()),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) if turn == pieces => return Ok(report),
                    Err(RecvTimeoutError::Disconnected) => return Err(TransferError::Thread),
                }
                while let Some(piece) = waiting.remove(&turn) {
                    put(&piece.text)?;
                    report.exported += piece.exported;
                    report.skipped += piece.skipped;
                    turn += 1;
                }
                if (watch.stops)() {
                    return Err(TransferError::Stopped);
                }
                let done = report.exported + report.skipped;
                progress.tell(watch, report.exported, done, snapshot.len() as u64, &|| {
                    format!("Exported {} entries and skipped {}", report.exported, report.skipped)
                });
            };
            let all = all();
            is_over.store(true, Ordering::Release);
            drop(to_write);
            all
        })
    }

    fn piece(
        &self,
        number: usize,
        entries: std::ops::Range<usize>,
        snapshot: &Snapshot,
        chosen: &Chosen,
        schema: &Schema,
    ) -> Result<Written, StoreError> {
        let mut out = Written { number, text: Vec::new(), exported: 0, skipped: 0 };
        let mut writer = LdifWriter::new(Vec::with_capacity(512 << 10));
        if self.wrap > 0 {
            writer = writer.with_fold(self.wrap);
        }
        for at in entries {
            let Some(entry) = snapshot.entry(at)? else { break };
            let key = NormalizedDn::parse(entry.dn(), schema)
                .map_err(|error| StoreError::Corrupt(format!("the name {}: {error}", entry.dn())))?;
            let is_wanted = chosen.is_included(&key)
                && !chosen.is_excluded(&key)
                && (!chosen.has_filters() || chosen.matches(&entry));
            if !is_wanted {
                out.skipped += 1;
                continue;
            }
            self.entry(&entry, chosen, &mut writer).map_err(|error| StoreError::Io(error.to_string()))?;
            out.exported += 1;
        }
        out.text = writer.into_inner();
        Ok(out)
    }

    fn entry(
        &self,
        entry: &StoredEntry,
        chosen: &Chosen,
        writer: &mut LdifWriter<Vec<u8>>,
    ) -> std::io::Result<()> {
        writer.field("dn", entry.dn().as_bytes())?;
        let wants = |description: &str, is_operational: bool| {
            chosen.wants_all()
                || chosen.wants(description.split(';').next().unwrap_or(description), is_operational)
        };
        for (attributes, is_operational) in [(entry.user(), false), (entry.operational(), true)] {
            if is_operational && self.exclude_operational {
                return writer.end_entry();
            }
            for attribute in attributes.iter().filter(|it| wants(it.description, is_operational)) {
                for value in attribute.values.iter() {
                    writer.field(attribute.description, value)?;
                }
            }
        }
        if wants(Virtual::EntryUuid.name(), true) {
            writer.field(Virtual::EntryUuid.name(), entry.uuid().to_string().as_bytes())?;
        }
        // Another server would store it for good, so it is written only for who asks.
        if !chosen.wants_all() && chosen.names(Virtual::Etag.name()) {
            writer.field(Virtual::Etag.name(), format!("{:016x}", entry.etag_state()).as_bytes())?;
        }
        writer.end_entry()
    }
}
