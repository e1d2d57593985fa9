//! What the log counts for `cn=monitor`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters since the log was opened, and its present extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStats {
    /// Records committed.
    pub records: u64,
    /// Groups committed.
    pub groups: u64,
    /// Records of the largest group.
    pub largest_group: u64,
    /// Octets of committed records with their headers.
    pub record_octets: u64,
    /// Octets handed to the device for them, whole blocks.
    pub written_octets: u64,
    /// Writes that were durable on return, and syncs.
    pub syncs: u64,
    /// Segments that were begun.
    pub segments_begun: u64,
    /// Commits that had to fill a segment themselves because none was ready.
    pub spares_missed: u64,
    /// Segments that were dropped.
    pub segments_dropped: u64,
    /// Files of dropped segments that are used again.
    pub segments_recycled: u64,
    /// Segments that were compacted.
    pub segments_compacted: u64,
    /// Octets by which these became smaller.
    pub compacted_octets: u64,
    /// Segments in the log.
    pub segments: u64,
    /// Octets of all segments in the log up to their ends.
    pub octets: u64,
    /// Zero-filled segments that wait to be used.
    pub spares: u64,
    /// The first sequence in the log.
    pub first_sequence: u64,
    /// The last committed sequence.
    pub last_sequence: u64,
    /// The last sequence known to be on disk.
    pub durable_sequence: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) records: AtomicU64,
    pub(super) groups: AtomicU64,
    pub(super) largest_group: AtomicU64,
    pub(super) record_octets: AtomicU64,
    pub(super) written_octets: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) segments_begun: AtomicU64,
    pub(super) segments_dropped: AtomicU64,
    pub(super) segments_recycled: AtomicU64,
    pub(super) segments_compacted: AtomicU64,
    pub(super) compacted_octets: AtomicU64,
    pub(super) spares_missed: AtomicU64,
    pub(super) spares: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> LogStats {
        LogStats {
            records: self.records.load(Relaxed),
            groups: self.groups.load(Relaxed),
            largest_group: self.largest_group.load(Relaxed),
            record_octets: self.record_octets.load(Relaxed),
            written_octets: self.written_octets.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            segments_begun: self.segments_begun.load(Relaxed),
            segments_dropped: self.segments_dropped.load(Relaxed),
            segments_recycled: self.segments_recycled.load(Relaxed),
            segments_compacted: self.segments_compacted.load(Relaxed),
            compacted_octets: self.compacted_octets.load(Relaxed),
            spares_missed: self.spares_missed.load(Relaxed),
            spares: self.spares.load(Relaxed),
            ..LogStats::default()
        }
    }

    pub(super) fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Relaxed);
    }
}
