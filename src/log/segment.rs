//! The segments of a log and what its readers and its writer share.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use super::background::SpareRoom;
use super::compacted::{Compacted, PREFIX};
use super::disk::{Disk, DiskFile};
use super::group::Group;
use super::purge::Limbo;
use super::stats::{Counters, LogStats};
use super::{Durability, LogError, Options};
use crate::changelog::Csn;

/// Octets between the points of a segment's sparse index.
const SPARSE_STEP: u32 = 64 << 10;

/// The file name of a segment.
pub(super) fn file_name(number: u32) -> String {
    format!("{number:08}.seg")
}

/// The number in a file's name, if it is a segment's.
pub(super) fn file_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() >= 8)?;
    digits.parse().ok().filter(|&number| number > 0 && file_name(number) == name)
}

/// A segment that holds records, open for reading.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) epoch: u32,
    pub(super) size: u32,
    pub(super) first_sequence: u64,
    /// The hybrid clock when its first record was appended; zeros if that is not known.
    pub(super) csn: Csn,
    pub(super) file: Arc<dyn DiskFile>,
    /// Where what is left of it is, if it is compacted.
    pub(super) compacted: Option<Compacted>,
    end: AtomicU32,
    sparse: Mutex<Vec<(u64, u32)>>,
}

impl Segment {
    pub(super) fn new(
        number: u32,
        epoch: u32,
        size: u32,
        first_sequence: u64,
        csn: Csn,
        file: Arc<dyn DiskFile>,
        end: u32,
    ) -> Self {
        let (end, sparse) = (AtomicU32::new(end), Mutex::new(Vec::new()));
        Self { number, epoch, size, first_sequence, csn, file, compacted: None, end, sparse }
    }

    /// Makes it a compacted one. Its size and end are the file's; places in it are as they were before.
    pub(super) fn compacted(mut self, compacted: Compacted) -> Self {
        self.compacted = Some(compacted);
        self
    }

    /// Octets in front of each record.
    pub(super) const fn prefix(&self) -> usize {
        if self.compacted.is_some() { PREFIX } else { 0 }
    }

    /// Where its committed records end.
    pub(super) fn end(&self) -> u32 {
        self.end.load(Ordering::Acquire)
    }

    pub(super) fn set_end(&self, end: u32) {
        self.end.store(end, Ordering::Release);
    }

    /// Tells the sparse index where a record is; records come in order. One behind damage must be known.
    pub(super) fn note(&self, sequence: u64, offset: u32, must: bool) {
        let mut sparse = self.sparse.lock().unwrap_or_else(PoisonError::into_inner);
        if must || sparse.last().is_none_or(|&(_, last)| offset >= last + SPARSE_STEP) {
            sparse.push((sequence, offset));
        }
    }

    /// Tells the sparse index of a record behind damage that was found later.
    pub(super) fn note_between(&self, sequence: u64, offset: u32) {
        let mut sparse = self.sparse.lock().unwrap_or_else(PoisonError::into_inner);
        let at = sparse.partition_point(|&(known, _)| known < sequence);
        if sparse.get(at).is_none_or(|&(known, _)| known != sequence) {
            sparse.insert(at, (sequence, offset));
        }
    }

    /// The nearest known record at or before a sequence.
    pub(super) fn nearest(&self, sequence: u64) -> Option<u32> {
        let sparse = self.sparse.lock().unwrap_or_else(PoisonError::into_inner);
        let after = sparse.partition_point(|&(known, _)| known <= sequence);
        sparse.get(after.checked_sub(1)?).map(|&(_, offset)| offset)
    }
}

/// Why nothing is written any more.
#[derive(Debug)]
pub(super) enum Halt {
    Poisoned(Arc<str>),
    ReadOnly(Arc<str>),
}

/// What readers, writer and background threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: Options,
    /// In the order of their numbers. Removing one from here ends reading by place; who reads in it keeps it open.
    pub(super) segments: ArcSwap<Vec<Arc<Segment>>>,
    /// When a commit returns; the writer goes over to it with the next group.
    durability: AtomicU8,
    pub(super) committed: AtomicU64,
    pub(super) durable: AtomicU64,
    pub(super) halt: OnceLock<Halt>,
    pub(super) counters: Counters,
    pub(super) spares: SpareRoom,
    pub(super) limbo: Limbo,
}

impl Shared {
    /// What a log shares that ends with this sequence; with no segments yet.
    pub(super) fn new(disk: Arc<dyn Disk>, options: Options, last: u64) -> Self {
        Self {
            disk,
            segments: ArcSwap::default(),
            durability: AtomicU8::new(options.durability.number()),
            committed: AtomicU64::new(last),
            durable: AtomicU64::new(last),
            halt: OnceLock::new(),
            counters: Counters::default(),
            spares: SpareRoom::default(),
            limbo: Limbo::default(),
            options,
        }
    }

    pub(super) fn durability(&self) -> Durability {
        Durability::of(self.durability.load(Ordering::Acquire))
    }

    pub(super) fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        let segments = self.segments.load();
        let index = segments.partition_point(|segment| segment.number < number);
        segments.get(index).filter(|segment| segment.number == number).cloned()
    }

    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        self.segments.rcu(|segments| {
            let mut longer = Vec::with_capacity(segments.len() + 1);
            longer.extend(segments.iter().cloned());
            longer.push(Arc::clone(&segment));
            longer
        });
    }

    /// Puts a segment in the place of the one of its number.
    pub(super) fn replace_segment(&self, segment: &Arc<Segment>) {
        self.segments.rcu(|segments| {
            let replaced =
                |old: &Arc<Segment>| Arc::clone(if old.number == segment.number { segment } else { old });
            segments.iter().map(replaced).collect::<Vec<_>>()
        });
    }

    /// Ends all writing for good; the first reason stays.
    pub(super) fn poison(&self, error: &LogError) {
        let _ = self.halt.set(Halt::Poisoned(error.to_string().into()));
    }

    pub(super) fn check_writable(&self) -> Result<(), LogError> {
        match self.halt.get() {
            None => Ok(()),
            Some(Halt::Poisoned(reason)) => Err(LogError::Poisoned { reason: Arc::clone(reason) }),
            Some(Halt::ReadOnly(reason)) => Err(LogError::ReadOnly { reason: Arc::clone(reason) }),
        }
    }
}

/// The log as its readers see it. Clones are cheap and see the same log.
#[derive(Debug, Clone)]
pub struct Log {
    pub(super) shared: Arc<Shared>,
}

impl Log {
    /// The options it was opened with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// When a commit returns, as it was set last.
    pub fn durability(&self) -> Durability {
        self.shared.durability()
    }

    /// Sets when commits return, from the next one on. What was committed under [`Durability::Os`] is synced before the
    /// first commit under another policy.
    pub fn set_durability(&self, durability: Durability) {
        self.shared.durability.store(durability.number(), Ordering::Release);
    }

    /// An empty group for this log.
    pub fn new_group(&self) -> Group {
        Group::new(&self.shared.options)
    }

    /// The first sequence in the log; one past the last if the log is empty.
    pub fn first_sequence(&self) -> u64 {
        self.shared
            .segments
            .load()
            .first()
            .map_or(self.shared.options.first_sequence, |first| first.first_sequence)
    }

    /// The last committed sequence; one before the first if there is none.
    pub fn last_sequence(&self) -> u64 {
        self.shared.committed.load(Ordering::Acquire)
    }

    /// The last sequence known to be on disk. Behind [`Log::last_sequence`] only under
    /// [`super::Durability::Os`].
    pub fn durable_sequence(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Why the log takes no writes, if so: it is poisoned or read-only.
    pub fn writable(&self) -> Result<(), LogError> {
        self.shared.check_writable()
    }

    /// Counters and extent.
    pub fn stats(&self) -> LogStats {
        let segments = self.shared.segments.load();
        LogStats {
            segments: segments.len() as u64,
            octets: segments.iter().map(|segment| u64::from(segment.end())).sum(),
            first_sequence: self.first_sequence(),
            last_sequence: self.last_sequence(),
            durable_sequence: self.durable_sequence(),
            ..self.shared.counters.snapshot()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(file_name(7), "00000007.seg");
        assert_eq!(file_number("00000007.seg"), Some(7));
        assert_eq!(file_number(&file_name(u32::MAX)), Some(u32::MAX));
        for wrong in ["7.seg", "00000000.seg", "00000007.seg.tmp", "000000007.seg", "+0000007.seg", "x"] {
            assert_eq!(file_number(wrong), None, "{wrong}");
        }
    }
}
