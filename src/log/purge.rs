//! Dropping the oldest segments, and using their files again.
//!
//! A file goes by these steps, each durable before the next: it loses its segment's name, so that the log begins with the
//! segment behind it; once nobody reads in it any more its first two blocks are overwritten with zeros; it gets the
//! name of a spare one. What is found half way at a start is removed.

use std::sync::{Arc, Mutex, PoisonError};

use super::LogError;
use super::disk::{Disk, OpenMode};
use super::format::BLOCK;
use super::group::AlignedBuffer;
use super::segment::{Log, Segment, Shared, file_name, file_number};
use super::stats::Counters;

/// What the name of a file ends in whose segment is dropped.
const DROPPED: &str = ".old";
/// The same of a file that another one has replaced.
const REPLACED: &str = ".was.old";
/// What the name of a file ends in that is to replace another one, and before that.
const NEW: [&str; 2] = [".new", ".new.tmp"];

/// The name of a file that is no segment any more.
#[derive(Debug)]
pub(super) struct Leftover(String);

impl Leftover {
    fn dropped(number: u32) -> Self {
        Self(format!("{}{DROPPED}", file_name(number)))
    }

    pub(super) fn replaced(number: u32) -> Self {
        Self(format!("{}{REPLACED}", file_name(number)))
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

/// One segment, for those who decide what goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub number: u32,
    /// The sequence of its first record.
    pub first_sequence: u64,
    /// Octets of its records with their headers.
    pub octets: u64,
    /// Octets of its file.
    pub size: u64,
    /// The hybrid clock (milliseconds since 1970) when its first record was appended; 0 if that is not known.
    pub since_ms: u64,
    /// Of a compacted one: octets of the records that could be read by their places when it was compacted.
    pub compacted: Option<u64>,
}

/// Dropped segments whose files have not been used again yet, since somebody may still read in them.
#[derive(Debug, Default)]
pub(super) struct Limbo(pub(super) Mutex<Vec<(Arc<Segment>, Leftover)>>);

impl Log {
    /// The segments, oldest first. The last one is written to.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let segments = self.shared.segments.load();
        let info = |segment: &Arc<Segment>| SegmentInfo {
            number: segment.number,
            first_sequence: segment.first_sequence,
            octets: u64::from(segment.end()).saturating_sub(BLOCK as u64),
            size: u64::from(segment.size),
            since_ms: segment.csn.ms(),
            compacted: segment.compacted.as_ref().map(|compacted| compacted.moved_octets),
        };
        segments.iter().map(info).collect()
    }

    /// Drops the oldest segment, whose number the caller tells. What of it is still wanted must be durable elsewhere. When
    /// it returns the drop is durable; who reads in the segment just now goes on undisturbed.
    ///
    /// [`LogError::NotOldest`] leaves everything as it was, and so does a refused renaming.
    pub fn drop_oldest(&self, number: u32) -> Result<(), LogError> {
        let shared = &self.shared;
        shared.check_writable()?;
        let mut limbo = shared.limbo.0.lock().unwrap_or_else(PoisonError::into_inner);
        let segments = shared.segments.load_full();
        let [oldest, _, ..] = segments.as_slice() else {
            return Err(LogError::NotOldest { segment: number });
        };
        if oldest.number != number {
            return Err(LogError::NotOldest { segment: number });
        }
        let (name, dropped) = (file_name(number), Leftover::dropped(number));
        shared.disk.rename(&name, dropped.name()).map_err(LogError::io("rename", name.as_str()))?;
        if let Err(source) = shared.disk.sync_dir() {
            // Nobody knows which name it has.
            let error = LogError::Io { action: "sync", file: "the log's directory".to_owned(), source };
            shared.poison(&error);
            return Err(error);
        }
        shared.segments.rcu(|segments| {
            let others = segments.iter().filter(|segment| segment.number != number);
            others.cloned().collect::<Vec<_>>()
        });
        limbo.push((Arc::clone(oldest), dropped));
        Counters::add(&shared.counters.segments_dropped, 1);
        Ok(())
    }

    /// Makes spare segments of the files of dropped ones in which nobody reads any more, or removes them if there are
    /// enough. Gives back how many still wait.
    pub fn recycle(&self) -> Result<usize, LogError> {
        let shared = &self.shared;
        shared.check_writable()?;
        let mut limbo = shared.limbo.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = Vec::new();
        let mut answer = Ok(());
        for (mut segment, file) in std::mem::take(&mut *limbo) {
            // It is in no list any more, so nobody new comes.
            if answer.is_err() || Arc::get_mut(&mut segment).is_none() {
                waiting.push((segment, file));
                continue;
            }
            answer = shared.recycle(file.name(), segment.size);
        }
        *limbo = waiting;
        answer.map(|()| limbo.len())
    }

    /// Whether the next segment can be had by who is not urgent; makes one if none is ready. [`LogError::NoSpace`] if not.
    pub fn find_room(&self) -> Result<(), LogError> {
        self.shared.find_room()
    }

    /// Octets that the disk still has; none if that is not known.
    pub fn free_octets(&self) -> Result<Option<u64>, LogError> {
        self.shared.disk.free().map_err(LogError::io("ask for the free space of", "the log's directory"))
    }
}

impl Shared {
    fn recycle(&self, name: &str, size: u32) -> Result<(), LogError> {
        let is_used = size == self.options.segment_size
            && self.add_spare(|spare| {
                let blank = [0; 2 * BLOCK];
                let mut aligned = AlignedBuffer::default();
                let blocks =
                    aligned.blocks(&[&blank]).ok_or(LogError::Options("memory cannot be aligned to 4096"))?;
                let file =
                    self.disk.open(name, OpenMode::WriteDurable).map_err(LogError::io("open", name))?;
                file.write_at(blocks, 0).map_err(LogError::io("clear the head of", name))?;
                self.disk.rename(name, &file_name(spare)).map_err(LogError::io("rename", name))?;
                self.disk.sync_dir().map_err(LogError::io("sync", "the log's directory"))
            })?;
        if is_used {
            Counters::add(&self.counters.segments_recycled, 1);
            return Ok(());
        }
        self.disk.remove(name).map_err(LogError::io("remove", name))?;
        self.disk.sync_dir().map_err(LogError::io("sync", "the log's directory"))
    }
}

/// At a start: removes what was dropped or replaced and not used again, and what has not replaced anything.
pub(super) fn clean(disk: &dyn Disk) -> Result<(), LogError> {
    let mut is_changed = false;
    for (name, _) in disk.list().map_err(LogError::io("list", "the log's directory"))? {
        let is_of = |suffix: &str| name.strip_suffix(suffix).and_then(file_number).is_some();
        if is_of(DROPPED) || is_of(REPLACED) || NEW.iter().any(|suffix| is_of(suffix)) {
            disk.remove(&name).map_err(LogError::io("remove", name.as_str()))?;
            is_changed = true;
        }
    }
    if is_changed { disk.sync_dir().map_err(LogError::io("sync", "the log's directory")) } else { Ok(()) }
}
