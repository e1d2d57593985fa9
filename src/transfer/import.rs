//! The import: text → pieces → entries → a new data set → in the place of the old one.
//!
//! One thread reads and cuts the text into pieces of whole records, one a core converts pieces, and the one that called
//! loads them in the order of the input.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::TransferError;
use super::choice::Choice;
use super::convert::{Converted, Converter, Stay, as_ldif};
use super::notes::Notes;
use super::progress::{Progress, Watch, rate};
use super::source::{Text, Texts};
use super::template::Generator;
use crate::auth::Scheme;
use crate::backend::{Backend, BackendOptions, BulkLoader, DataStore, Refused, Snapshot};
use crate::log::disk::directory;
use crate::schema::NormalizedDn;

/// Entries that stay are taken over so many at a time.
const STAY: usize = 256;
/// A look at whether to stop.
const LOOK: Duration = Duration::from_millis(200);

/// What is to be imported, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportJob {
    /// LDIF files, in their order.
    pub files: Vec<PathBuf>,
    /// A template instead, from which entries are made up.
    pub template: Option<PathBuf>,
    /// For what the template makes up at random: the same seed, the same entries.
    pub random_seed: u64,
    /// Which entries and attributes are wanted.
    pub choice: Choice,
    /// Where rejected entries are written.
    pub reject_file: Option<PathBuf>,
    /// Where skipped entries are written.
    pub skip_file: Option<PathBuf>,
    /// Those two are begun anew, not continued.
    pub overwrite: bool,
    /// Entries are not checked against the schema.
    pub skip_schema_validation: bool,
    /// All that is in the store goes, even what is not in an included branch.
    pub clear_backend: bool,
    /// The files are compressed with gzip (seen by themselves too).
    pub is_compressed: bool,
    /// What clear passwords are encoded in.
    pub scheme: Option<Scheme>,
}

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ImportReport {
    /// Entries read.
    pub processed: u64,
    /// Entries imported.
    pub imported: u64,
    /// Entries left out by branch or filter.
    pub skipped: u64,
    /// Entries that could not be taken.
    pub rejected: u64,
    /// Entries that were there before and stay.
    pub migrated: u64,
    /// How long it took, until the new data was durable.
    pub took: Duration,
}

impl ImportReport {
    /// The line at the end.
    pub fn summary(&self) -> String {
        format!(
            "Processed {} entries, imported {}, skipped {}, rejected {} and migrated {} in {:.1} seconds (average rate {:.1}/sec)",
            self.processed,
            self.imported,
            self.skipped,
            self.rejected,
            self.migrated,
            self.took.as_secs_f64(),
            rate(self.imported + self.migrated, self.took)
        )
    }
}

/// What is to be converted.
enum Given {
    Text(Text),
    Stay(std::ops::Range<usize>, Stay),
}

impl ImportJob {
    /// Imports into a store that serves: from now on it takes no changes (53, with the reason), and at the end the new data
    /// takes the place of the old. Searches go on.
    pub fn run_online(
        &self,
        store: &Arc<DataStore>,
        watch: &mut Watch<'_>,
    ) -> Result<ImportReport, TransferError> {
        let now = store.options();
        self.check(&now)?;
        let text = "an import is replacing the data; changes are taken again when it is over";
        let replacement = store.begin_replacement(text)?;
        let kept = if self.keeps() { Some(replacement.old().snapshot()?) } else { None };
        let options = BackendOptions { directory: replacement.staging().to_owned(), ..now };
        let report = self.load(&options, kept.as_ref(), watch)?;
        drop(kept);
        replacement.finish()?;
        (watch.say)(report.summary());
        Ok(report)
    }

    /// Imports into the data directory of the options, which nobody uses.
    pub fn run_offline(
        &self,
        options: &BackendOptions,
        watch: &mut Watch<'_>,
    ) -> Result<ImportReport, TransferError> {
        let data = options.directory.as_path();
        let failed = || TransferError::file(data);
        self.check(options)?;
        directory::settle_replacement(data).map_err(failed())?;
        let kept = if self.keeps() && data.exists() {
            let old = Backend::open(options)?;
            let snapshot = old.snapshot()?;
            old.retire();
            Some(snapshot)
        } else {
            None
        };
        let staging = directory::begin_replacement(data).map_err(failed())?;
        let options = BackendOptions { directory: staging, ..options.clone() };
        let loaded = self.load(&options, kept.as_ref(), watch);
        let done = loaded.and_then(|report| {
            directory::exchange_replacement(data).map_err(failed())?;
            Ok(report)
        });
        let removed = directory::discard_replacement(data).map_err(failed());
        let report = done?;
        removed?;
        (watch.say)(report.summary());
        Ok(report)
    }

    /// Whether something of the old data may stay.
    fn keeps(&self) -> bool {
        let choice = &self.choice;
        !self.clear_backend && (!choice.include_branches.is_empty() || !choice.exclude_branches.is_empty())
    }

    fn suffixes(options: &BackendOptions) -> Result<Vec<NormalizedDn>, TransferError> {
        let schema = options.schema.current();
        let key = |text: &String| {
            NormalizedDn::parse(text, &schema)
                .map_err(|error| TransferError::Unfit(format!("the base DN {text}: {error}")))
        };
        options.suffixes.iter().map(key).collect()
    }

    /// Whether the store of these options can do it, apart from the files.
    pub fn fits(&self, options: &BackendOptions) -> Result<(), TransferError> {
        let unfit = |text: &str| Err(TransferError::Unfit(text.to_owned()));
        if self.files.is_empty() && self.template.is_none() {
            return unfit("name an LDIF file (--ldifFile) or a template (--templateFile)");
        }
        if !self.files.is_empty() && self.template.is_some() {
            return unfit("LDIF files and a template exclude each other");
        }
        if options.suffixes.len() > 1 && !self.clear_backend && self.choice.include_branches.is_empty() {
            return unfit(
                "the data store has several base DNs: name those to be replaced (--includeBranch), or say that everything \
                 goes (--clearBackend)",
            );
        }
        self.choice.resolve(&Self::suffixes(options)?, &options.schema.current()).map(drop)
    }

    /// Finds out early what cannot be done.
    fn check(&self, options: &BackendOptions) -> Result<(), TransferError> {
        self.fits(options)?;
        self.texts().map(drop)
    }

    fn texts(&self) -> Result<Texts, TransferError> {
        match &self.template {
            None => Texts::of_files(self.files.clone(), self.is_compressed),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(TransferError::file(path))?;
                let generator = Generator::parse(&text, self.random_seed)
                    .map_err(|reason| TransferError::Unfit(format!("{}: {reason}", path.display())))?;
                Ok(Texts::of_template(generator))
            }
        }
    }

    /// Makes the new data set.
    fn load(
        &self,
        options: &BackendOptions,
        kept: Option<&Snapshot>,
        watch: &mut Watch<'_>,
    ) -> Result<ImportReport, TransferError> {
        let suffixes = Self::suffixes(options)?;
        let loader = BulkLoader::begin(options)?;
        let preparer = loader.preparer();
        let chosen = self.choice.resolve(&suffixes, preparer.schema())?;
        let scheme = self.scheme.unwrap_or(Scheme::DEFAULT);
        let converter =
            Converter { preparer, suffixes, chosen, checks: !self.skip_schema_validation, scheme };
        let texts = self.texts()?;
        let extent = texts.extent();
        let mut desk = Desk {
            loader,
            rejects: Notes::open(self.reject_file.as_deref(), self.overwrite)?,
            skips: Notes::open(self.skip_file.as_deref(), self.overwrite)?,
            report: ImportReport::default(),
        };
        let mut progress = Progress::begin(watch.clock);
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(16));
        let is_over = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            let (given, to_convert) = bounded::<(u64, Given)>(threads * 2);
            let (converted, to_load) = bounded::<Converted>(threads * 2);
            let is_over = &is_over;
            let converter = &converter;
            let reader = scope.spawn(move || read(texts, kept, &given, is_over));
            for _ in 0..threads {
                let (to_convert, converted) = (to_convert.clone(), converted.clone());
                scope.spawn(move || {
                    for (number, given) in to_convert {
                        let made = match (given, kept) {
                            (Given::Text(text), _) => converter.text(number, text),
                            (Given::Stay(range, which), Some(kept)) => {
                                converter.stay(number, kept, range, which)
                            }
                            (Given::Stay(..), None) => Converted { number, ..Converted::default() },
                        };
                        if converted.send(made).is_err() {
                            return;
                        }
                    }
                });
            }
            drop((to_convert, converted));
            let all = desk.all(&to_load, watch, &mut progress, &extent);
            is_over.store(true, Ordering::Release);
            drop(to_load);
            let read = reader.join().unwrap_or(Err(TransferError::Thread));
            all.and(read)
        });
        result?;
        let Desk { loader, mut rejects, mut skips, mut report } = desk;
        rejects.end()?;
        skips.end()?;
        (report.rejected, report.skipped) = (rejects.count, skips.count);
        if report.imported == 0 && report.rejected > 0 {
            return Err(TransferError::Unfit(format!(
                "none of {} entries could be imported, so the data stays as it was; {}",
                report.processed,
                match &self.reject_file {
                    Some(path) => format!("{} says why", path.display()),
                    None => "--rejectFile FILE says why".to_owned(),
                }
            )));
        }
        (watch.say)(format!("End of LDIF reached; writing the indexes of {} entries", loader.entries()));
        if (watch.stops)() {
            return Err(TransferError::Stopped);
        }
        loader.finish()?;
        report.took = progress.elapsed(watch.clock);
        Ok(report)
    }
}

/// The reading thread.
fn read(
    mut texts: Texts,
    kept: Option<&Snapshot>,
    given: &Sender<(u64, Given)>,
    is_over: &AtomicBool,
) -> Result<(), TransferError> {
    let mut number = 0;
    // False once nobody listens any more.
    let mut send = |what: Given| {
        number += 1;
        !is_over.load(Ordering::Acquire) && given.send((number, what)).is_ok()
    };
    let stay = |which: Stay, send: &mut dyn FnMut(Given) -> bool| {
        let entries = kept.map_or(0, Snapshot::len);
        (0..entries).step_by(STAY).all(|at| send(Given::Stay(at..(at + STAY).min(entries), which)))
    };
    if !stay(Stay::Outside, &mut send) {
        return Ok(());
    }
    while let Some(text) = texts.next()? {
        if !send(Given::Text(text)) {
            return Ok(());
        }
    }
    stay(Stay::Excluded, &mut send);
    Ok(())
}

/// Where pieces are put in order and loaded.
struct Desk {
    loader: BulkLoader,
    rejects: Notes,
    skips: Notes,
    report: ImportReport,
}

fn reason_of(why: Refused) -> &'static str {
    match why {
        Refused::Exists => "there is an entry of this name already",
        Refused::NoParent => "the entry above does not exist",
        Refused::TooLarge => "the entry is larger than the store keeps",
    }
}

impl Desk {
    fn all(
        &mut self,
        converted: &Receiver<Converted>,
        watch: &mut Watch<'_>,
        progress: &mut Progress,
        extent: &super::source::Extent,
    ) -> Result<(), TransferError> {
        let mut waiting: BTreeMap<u64, Converted> = BTreeMap::new();
        let mut next = 1;
        loop {
            match converted.recv_timeout(LOOK) {
                Ok(piece) => drop(waiting.insert(piece.number, piece)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if waiting.is_empty() => return Ok(()),
                // A thread has ended without giving its piece.
                Err(RecvTimeoutError::Disconnected) => return Err(TransferError::Thread),
            }
            while let Some(piece) = waiting.remove(&next) {
                self.take(piece)?;
                next += 1;
            }
            if (watch.stops)() {
                return Err(TransferError::Stopped);
            }
            let report = &self.report;
            let done = extent.done.load(Ordering::Relaxed);
            let (rejects, skips) = (self.rejects.count, self.skips.count);
            progress.tell(watch, report.imported + report.migrated, done, extent.total, &|| {
                format!("Processed {} entries, skipped {skips}, rejected {rejects}", report.processed)
            });
        }
    }

    fn take(&mut self, converted: Converted) -> Result<(), TransferError> {
        let Converted { piece, text, spans, mut faults, kept, failure, .. } = converted;
        if let Some(error) = failure {
            return Err(error.into());
        }
        let prepared = piece.len() as u64;
        let mut refused = Vec::new();
        self.loader.load(piece, &mut |tag, why| refused.push((tag, why)))?;
        let loaded = prepared - refused.len() as u64;
        let Some(text) = text else {
            self.report.migrated += loaded;
            for (tag, why) in refused {
                let Some(entry) = kept.get(tag as usize) else { continue };
                let reason = format!("{} (it was there before): {}", entry.dn(), reason_of(why));
                self.rejects.put(&reason, &as_ldif(entry))?;
            }
            return Ok(());
        };
        self.report.processed += spans.len() as u64;
        self.report.imported += loaded;
        faults.extend(refused.into_iter().map(|(tag, why)| super::convert::Fault {
            tag,
            reason: reason_of(why).to_owned(),
            is_skip: false,
        }));
        faults.sort_by_key(|fault| fault.tag);
        for fault in faults {
            let Some(span) = spans.get(fault.tag as usize) else { continue };
            let record = text.bytes.get(span.start..span.end).unwrap_or_default();
            let reason = format!("{} line {}: {}", text.source, span.line, fault.reason);
            let notes = if fault.is_skip { &mut self.skips } else { &mut self.rejects };
            notes.put(&reason, record)?;
        }
        Ok(())
    }
}
