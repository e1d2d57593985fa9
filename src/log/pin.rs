//! Segments held open, for who copies them.

use std::io;
use std::sync::Arc;

use super::Place;
use super::format::padded;
use super::segment::{Log, Segment};

/// One segment as it was at a moment. As long as this lives its file is neither used again nor changed up to
/// [`PinnedSegment::octets`], whatever becomes of the segment in the log.
#[derive(Debug, Clone)]
pub struct PinnedSegment {
    segment: Arc<Segment>,
    end: u32,
}

impl PinnedSegment {
    /// Its number.
    pub fn number(&self) -> u32 {
        self.segment.number
    }

    /// Drawn anew for each use of a file: with the number it tells segments apart for good.
    pub fn epoch(&self) -> u32 {
        self.segment.epoch
    }

    /// The sequence of its first record.
    pub fn first_sequence(&self) -> u64 {
        self.segment.first_sequence
    }

    /// Octets to be copied, from the start of the file.
    pub fn octets(&self) -> u64 {
        u64::from(self.end)
    }

    /// Octets of the file.
    pub fn size(&self) -> u64 {
        u64::from(self.segment.size)
    }

    /// Reads up to the length of the buffer; fewer octets mean that the file ends there.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.segment.file.read_at(buffer, offset)
    }
}

impl Log {
    /// The segments, oldest first, up to a record and no further.
    pub fn pin(&self, last: Place) -> Vec<PinnedSegment> {
        let segments = self.shared.segments.load_full();
        let after = last.offset.saturating_add(u32::try_from(padded(last.len as usize)).unwrap_or(u32::MAX));
        let upto = segments.iter().filter(|segment| segment.number <= last.segment);
        upto.map(|segment| {
            // What is closed is copied as it is, with whatever is behind its records. Places in a compacted one are not
            // those in the file; it is closed, so nothing of it is behind the last record.
            let is_open = segment.number == last.segment && segment.compacted.is_none();
            let end = if is_open { after.min(segment.end()) } else { segment.size };
            PinnedSegment { segment: Arc::clone(segment), end }
        })
        .collect()
    }
}
