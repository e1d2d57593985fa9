//! Compaction: writing a closed segment anew without the records that nobody wants any more.
//!
//! The new file is written beside the old one and synced; then it takes the old one's name, by one renaming. Before that the
//! old file gets a second name, under which it is recycled once nobody reads in it. A crash leaves the one or the other
//! under the segment's name, and what is left over is removed by the next start.

use std::sync::{Arc, PoisonError};

use super::compacted::{Compacted, Moved, PREFIX, Prefix, Summary, encode_table};
use super::disk::{DiskFile, OpenMode};
use super::format::{BLOCK, COMPACTED, RECORD_HEADER, RecordHeader, SegmentHeader, padded};
use super::purge::Leftover;
use super::reader::{LogRecord, Records};
use super::segment::{Log, Segment, Shared, file_name};
use super::stats::Counters;
use super::{LogError, Place};

/// Octets that are written at once.
const CHUNK: usize = 512 << 10;
/// Octets between syncs: the system must not gather so much that the log's writes wait behind it.
const SYNC_STEP: u64 = 4 << 20;

/// A record that takes the place of others.
#[derive(Debug, Clone, Copy)]
pub struct StandIn<'a> {
    /// The first sequence it stands for.
    pub sequence: u64,
    /// How many it stands for.
    pub covers: u32,
    /// The place of the first record it stands for.
    pub place: Place,
    /// Its kind.
    pub kind: u8,
    /// What replication ships of it.
    pub envelope: &'a [u8],
    /// What stays on this node.
    pub local: &'a [u8],
}

/// A segment that is written anew. Dropped without [`Compaction::finish`], everything stays as it was.
#[derive(Debug)]
pub struct Compaction {
    shared: Arc<Shared>,
    old: Arc<Segment>,
    /// Another one than the old file's, so that who copies files sees that it is another.
    epoch: u32,
    /// The sequence behind the segment.
    end: u64,
    next: u64,
    file: Arc<dyn DiskFile>,
    at: u64,
    synced: u64,
    buffer: Vec<u8>,
    table: Vec<Moved>,
    moved_octets: u64,
    is_sealed: bool,
}

fn new_name(number: u32) -> String {
    format!("{}.new", file_name(number))
}

impl Log {
    /// Begins to write a segment anew. The caller goes through [`Compaction::records`] and gives each record, or what
    /// stands in for it, in order. [`LogError::Gone`] if there is no such segment, or it is the one that is written to.
    pub fn compact(&self, number: u32) -> Result<Compaction, LogError> {
        let shared = &self.shared;
        shared.check_writable()?;
        let segments = shared.segments.load();
        let mut behind = segments.iter().skip_while(|segment| segment.number != number);
        let (Some(old), Some(next)) = (behind.next(), behind.next()) else {
            return Err(LogError::Gone { segment: number });
        };
        if shared.durable.load(std::sync::atomic::Ordering::Acquire) < next.first_sequence - 1 {
            return Err(LogError::Options("a segment that is compacted is durable"));
        }
        let name = new_name(number);
        let epoch = shared.disk.fresh_epoch().map_err(LogError::io("draw an epoch for", name.as_str()))?;
        let create = shared.disk.create_zeroed(&name, BLOCK as u64);
        create.map_err(LogError::io("make", name.as_str()))?;
        let file = shared.disk.open(&name, OpenMode::Write).map_err(LogError::io("open", name))?;
        Ok(Compaction {
            shared: Arc::clone(shared),
            old: Arc::clone(old),
            epoch,
            end: next.first_sequence,
            next: old.first_sequence,
            file,
            at: BLOCK as u64,
            synced: 0,
            buffer: Vec::with_capacity(2 * CHUNK),
            table: Vec::new(),
            moved_octets: 0,
            is_sealed: false,
        })
    }
}

impl Compaction {
    /// Reads the segment's records; those behind it follow.
    pub fn records(&self) -> Records {
        Log { shared: Arc::clone(&self.shared) }.records(self.old.first_sequence)
    }

    /// The sequence behind the segment.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Octets of the new file so far.
    pub const fn octets(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    /// Octets of the old file's records.
    pub fn octets_before(&self) -> u64 {
        u64::from(self.old.end())
    }

    /// Keeps a record; `is_read` says whether it may be read by its place.
    pub fn keep(&mut self, record: &LogRecord, is_read: bool) -> Result<(), LogError> {
        let (place, len) = (record.place.record, record.place.record.len);
        let at = self.push(&StandIn {
            sequence: record.sequence,
            covers: record.covers,
            place,
            kind: record.kind,
            envelope: &record.envelope,
            local: &record.local,
        })?;
        if is_read {
            self.table.push(Moved { from: place.offset, at, len });
            self.moved_octets += u64::from(len);
        }
        Ok(())
    }

    /// Puts a record in the place of some.
    pub fn stand_in(&mut self, record: &StandIn<'_>) -> Result<(), LogError> {
        self.push(record).map(|_| ())
    }

    /// Where the record is.
    fn push(&mut self, record: &StandIn<'_>) -> Result<u32, LogError> {
        if record.sequence != self.next || record.covers == 0 || record.place.segment != self.old.number {
            return Err(LogError::Sequence { expected: self.next, found: record.sequence });
        }
        let mut bytes = vec![0; RECORD_HEADER];
        bytes.extend_from_slice(record.envelope);
        bytes.extend_from_slice(record.local);
        let too_large = || LogError::TooLarge { length: bytes.len(), limit: u32::MAX as usize };
        let len = u32::try_from(bytes.len()).map_err(|_| too_large())?;
        let at = u32::try_from(self.octets() + PREFIX as u64).map_err(|_| too_large())?;
        let header = RecordHeader {
            len,
            epoch: self.epoch,
            kind: record.kind,
            sequence: record.sequence,
            behind: 1,
            envelope: record.envelope.len() as u32,
        };
        header.seal(&mut bytes);
        Prefix { offset: record.place.offset, covers: record.covers }.put(&bytes, &mut self.buffer);
        let padding = padded(bytes.len()) - bytes.len();
        self.buffer.extend_from_slice(&bytes);
        self.buffer.resize(self.buffer.len() + padding, 0);
        self.next += u64::from(record.covers);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(at)
    }

    fn name(&self) -> String {
        new_name(self.old.number)
    }

    fn flush(&mut self) -> Result<(), LogError> {
        self.file.write_at(&self.buffer, self.at).map_err(LogError::io("write to", self.name()))?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        if self.at - self.synced >= SYNC_STEP {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.synced = self.at;
        self.file.sync().map_err(LogError::io("sync", self.name()))
    }

    /// Ends the new file and makes it durable; nothing sees it yet.
    pub fn seal(&mut self) -> Result<(), LogError> {
        if self.next != self.end {
            return Err(LogError::Sequence { expected: self.end, found: self.next });
        }
        self.flush()?;
        let end = self.at;
        let table = encode_table(&self.table);
        self.buffer.extend_from_slice(&table);
        // Whole blocks, as all files of the log.
        self.buffer.resize((end as usize + table.len()).next_multiple_of(BLOCK) - end as usize, 0);
        self.flush()?;
        let header = SegmentHeader {
            dataset_id: self.shared.options.dataset_id,
            number: self.old.number,
            epoch: self.epoch,
            // It was checked with each record that all offsets fit.
            size: self.at as u32,
            flags: COMPACTED,
            first_sequence: self.old.first_sequence,
            csn: self.old.csn,
        };
        let summary = Summary {
            end: end as u32,
            last_sequence: self.end - 1,
            moved: self.table.len() as u32,
            table_crc: crc32c::crc32c(&table),
            moved_octets: self.moved_octets,
        };
        let block = header.encode_with(&summary.encode());
        self.file.write_at(&block, 0).map_err(LogError::io("write the header of", self.name()))?;
        self.sync()?;
        self.at = end;
        self.is_sealed = true;
        Ok(())
    }

    /// Puts the new file in the old one's place. False if the segment has been dropped meanwhile. After
    /// [`Compaction::seal`]; if it fails on the way, the segment is as it was, or the log is poisoned.
    pub fn finish(mut self) -> Result<bool, LogError> {
        if !self.is_sealed {
            self.seal()?;
        }
        let shared = Arc::clone(&self.shared);
        shared.check_writable()?;
        let (number, new) = (self.old.number, self.name());
        let name = file_name(number);
        let mut limbo = shared.limbo.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !shared.segment(number).is_some_and(|segment| Arc::ptr_eq(&segment, &self.old)) {
            return Ok(false);
        }
        let reader = shared.disk.open(&new, OpenMode::Read).map_err(LogError::io("open", new.as_str()))?;
        let (size, end) = (self.octets() + self.table.len() as u64 * 12, self.at as u32);
        let table = std::mem::take(&mut self.table);
        let segment = Segment::new(
            number,
            self.epoch,
            size.next_multiple_of(BLOCK as u64) as u32,
            self.old.first_sequence,
            self.old.csn,
            reader,
            end,
        );
        let segment = Arc::new(segment.compacted(Compacted::new(self.moved_octets, table)));
        // The file of one that was compacted before is of no use: it has another size.
        let aside = self.old.compacted.is_none().then(|| Leftover::replaced(number)).filter(|aside| {
            let linked = shared.disk.link(&name, aside.name());
            linked.is_ok()
        });
        if let Err(source) = shared.disk.rename(&new, &name) {
            if let Some(aside) = aside {
                let _ = shared.disk.remove(aside.name());
            }
            return Err(LogError::Io { action: "rename", file: new, source });
        }
        self.is_sealed = false;
        if let Err(source) = shared.disk.sync_dir() {
            // Nobody knows which file has the name.
            let error = LogError::Io { action: "sync", file: "the log's directory".to_owned(), source };
            shared.poison(&error);
            return Err(error);
        }
        shared.replace_segment(&segment);
        let gained = u64::from(self.old.end()).saturating_sub(u64::from(end));
        Counters::add(&shared.counters.segments_compacted, 1);
        Counters::add(&shared.counters.compacted_octets, usize::try_from(gained).unwrap_or(usize::MAX));
        if let Some(aside) = aside {
            limbo.push((Arc::clone(&self.old), aside));
        }
        Ok(true)
    }
}

impl Drop for Compaction {
    fn drop(&mut self) {
        // Best effort: the next start removes it. After the renaming there is none.
        let _ = self.shared.disk.remove(&self.name());
    }
}
