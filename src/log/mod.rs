//! The domain log: append-only segments that are write-ahead log, changelog and home of the entries' bytes in one.
//!
//! [`Log::open`] recovers what is on disk and gives a [`Log`] for reading (cheap to clone, shared by all threads) and
//! the one [`Writer`]. The sequencer encodes records straight into a [`Group`]; [`Writer::commit`] makes the group
//! durable with one write and tells each record's [`Place`]. The bytes on disk are in `format` and in the manual's
//! storage chapter. What records mean is no matter of this room: kinds, envelopes and local parts are opaque.
//!
//! Only [`disk`] touches the operating system.

mod background;
mod compact;
mod compacted;
pub mod disk;
pub mod fault;
mod format;
mod group;
mod mend;
mod pin;
mod purge;
mod reader;
mod recover;
mod salvage;
mod scan;
mod segment;
mod stats;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use compact::{Compaction, StandIn};
pub use disk::{Disk, OsDisk};
pub use group::Group;
pub use pin::PinnedSegment;
pub use purge::SegmentInfo;
pub use reader::{LogRecord, Records};
pub use recover::{Cut, Damage, Recovered, ReplayError, ReplayRecord};
pub use segment::Log;
pub use stats::LogStats;
pub use writer::Writer;

/// Where bytes are in the log. Segment numbers are never reused, so a place never comes to mean other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Place {
    /// The segment's number, from 1.
    pub segment: u32,
    /// Octets from the start of the segment's file.
    pub offset: u32,
    /// Octets.
    pub len: u32,
}

impl Place {
    /// A part of this place. A part that would leave it is empty.
    pub const fn sub(self, offset: u32, len: u32) -> Self {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Self { segment: self.segment, offset: self.offset + offset, len },
            _ => Self { segment: self.segment, offset: self.offset, len: 0 },
        }
    }
}

/// Where one record and its two parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RecordPlace {
    /// The whole record with its header.
    pub record: Place,
    /// The part that replication ships.
    pub envelope: Place,
    /// The part that stays on this node.
    pub local: Place,
}

/// When a commit returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Each record is synced by itself.
    Always,
    /// A group of records shares one sync; the default.
    #[default]
    Group,
    /// As soon as the operating system has the bytes; a background sync follows within
    /// [`Options::sync_interval`]. A crash of the machine may lose what was written since.
    Os,
}

impl Durability {
    const fn number(self) -> u8 {
        match self {
            Self::Always => 0,
            Self::Group => 1,
            Self::Os => 2,
        }
    }

    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Always,
            1 => Self::Group,
            _ => Self::Os,
        }
    }
}

/// How a log is laid out and committed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Identity of the data set; a log of another one is refused.
    pub dataset_id: [u8; 16],
    /// Octets of a new segment's file: a multiple of 4096 from 8192 to 2 GiB; 64 MiB by default.
    pub segment_size: u32,
    /// When a commit returns; later [`Log::set_durability`].
    pub durability: Durability,
    /// Zero-filled segments kept ready by a background thread; 2 by default. After a burst of writes that took more it
    /// fills up to 16, once little is written. With 0 there is no thread and a segment is filled when it is needed.
    pub spares: usize,
    /// Of the segments kept ready, so many are for groups that free room ([`Group::urgent`]); 1 by default.
    pub reserve: usize,
    /// Time between background syncs under [`Durability::Os`]; 100 ms by default. Zero: there is no thread, and only
    /// [`Writer::sync`] and the change of segments sync.
    pub sync_interval: Duration,
    /// The sequence of the first record in an empty log; 1 by default.
    pub first_sequence: u64,
    /// The first sequence to replay; segments wholly before it are neither read nor verified. 0 replays all.
    pub replay_from: u64,
    /// Threads that read and verify segments ahead of the replay; 2 by default.
    pub recovery_threads: usize,
}

impl Options {
    /// The defaults for a data set.
    pub const fn new(dataset_id: [u8; 16]) -> Self {
        Self {
            dataset_id,
            segment_size: 64 << 20,
            durability: Durability::Group,
            spares: 2,
            reserve: 1,
            sync_interval: Duration::from_millis(100),
            first_sequence: 1,
            replay_from: 0,
            recovery_threads: 2,
        }
    }

    /// Small segments and no background threads: for tests that want every step in their own hands.
    pub const fn small(dataset_id: [u8; 16], segment_size: u32) -> Self {
        let mut options = Self::new(dataset_id);
        options.segment_size = segment_size;
        options.spares = 0;
        options.reserve = 0;
        options.sync_interval = Duration::ZERO;
        options
    }

    /// The longest record, header included, that fits a segment.
    pub const fn record_limit(&self) -> usize {
        self.segment_size as usize - format::BLOCK
    }

    fn check(&self) -> Result<(), LogError> {
        let block = format::BLOCK as u32;
        if !self.segment_size.is_multiple_of(block)
            || self.segment_size < 2 * block
            || self.segment_size > 2 << 30
        {
            return Err(LogError::Options("the segment size is a multiple of 4096 from 8192 to 2 GiB"));
        }
        if self.first_sequence == 0 {
            return Err(LogError::Options("sequences start from 1"));
        }
        Ok(())
    }
}

/// Why the log cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system refused.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// A write or sync failed, now or earlier; nothing more is written until the log is opened anew. Whether the
    /// group in flight at that time survives is unknown.
    #[error("the log takes no more writes: {reason}")]
    Poisoned {
        /// The failure.
        reason: Arc<str>,
    },
    /// Damage was found at the start; the log can only be read.
    #[error("the log is read-only: {reason}")]
    ReadOnly {
        /// The damage.
        reason: Arc<str>,
    },
    /// No room for another segment. Nothing of the group was written; it may be committed again later.
    #[error("no room for a new log segment: {source}")]
    NoSpace {
        /// What the system said.
        source: io::Error,
    },
    /// A record that fits no segment.
    #[error("a record of {length} octets exceeds the limit of {limit}")]
    TooLarge {
        /// Octets of the record with its header.
        length: usize,
        /// [`Options::record_limit`].
        limit: usize,
    },
    /// Sequences are dense; a group must go on where the last one ended.
    #[error("expected log sequence {expected}, found {found}")]
    Sequence {
        /// What had to come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Only the oldest segment can go, and never the last one.
    #[error("segment {segment} is not the oldest of several")]
    NotOldest {
        /// Its number.
        segment: u32,
    },
    /// The place's segment is no longer, or not yet, in the log.
    #[error("segment {segment} is not in the log")]
    Gone {
        /// Its number.
        segment: u32,
    },
    /// There is nothing at the place any more: compaction has removed it.
    #[error("what was at {offset} of segment {segment} is removed")]
    Removed {
        /// The segment's number.
        segment: u32,
        /// Octets from its start.
        offset: u32,
    },
    /// The wanted records have been purged.
    #[error("log sequence {wanted} is purged; the log starts at {first}")]
    Purged {
        /// The wanted sequence.
        wanted: u64,
        /// The first one there is.
        first: u64,
    },
    /// Bytes that are not what was written.
    #[error("segment {segment} is damaged at {offset}: {what}")]
    Damaged {
        /// The segment's number.
        segment: u32,
        /// Octets from its start.
        offset: u32,
        /// What is wrong there.
        what: &'static str,
    },
    /// The file belongs to another data set.
    #[error("{file} belongs to another data set")]
    Foreign {
        /// The file.
        file: String,
    },
    /// The file is of a format this version does not read.
    #[error("{file} has log format {version}, this server reads {expected}", expected = format::VERSION)]
    Version {
        /// The file.
        file: String,
        /// Its format.
        version: u32,
    },
    /// Options that cannot be.
    #[error("wrong log options: {0}")]
    Options(&'static str),
    /// The replay callback refused a record.
    #[error("cannot replay log sequence {sequence}: {source}")]
    Replay {
        /// The record's sequence.
        sequence: u64,
        /// Why.
        source: ReplayError,
    },
}

impl LogError {
    fn io(action: &'static str, file: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, file: file.into(), source }
    }
}
