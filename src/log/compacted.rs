//! The bytes of a compacted segment: fewer records, each with the offset it had before. The manual's storage chapter has the
//! same tables.
//!
//! Places stay what they were. Records that are read by place are found through a table that is held in memory.

use super::disk::DiskFile;
use super::format::{ALIGN, RECORD_HEADER, RecordHeader, array_at, padded, u32_at};
use super::scan::Run;
use super::{LogError, Place, segment};

/// Octets in front of each record.
pub(super) const PREFIX: usize = 16;
/// Where in the first block the summary is.
pub(super) const SUMMARY_AT: usize = 68;
const SUMMARY: usize = 32;
const MOVED: usize = 12;

/// What a compacted segment's first block says beside the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    /// Where the records end and the table starts.
    pub(super) end: u32,
    pub(super) last_sequence: u64,
    /// Records in the table.
    pub(super) moved: u32,
    pub(super) table_crc: u32,
    /// Octets of the records in the table.
    pub(super) moved_octets: u64,
}

impl Summary {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SUMMARY);
        out.extend_from_slice(&self.end.to_be_bytes());
        out.extend_from_slice(&self.last_sequence.to_be_bytes());
        out.extend_from_slice(&self.moved.to_be_bytes());
        out.extend_from_slice(&self.table_crc.to_be_bytes());
        out.extend_from_slice(&self.moved_octets.to_be_bytes());
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads it from a segment's first block.
    pub(super) fn parse(block: &[u8]) -> Option<Self> {
        let bytes = block.get(SUMMARY_AT..SUMMARY_AT + SUMMARY)?;
        (crc32c::crc32c(bytes.get(..28)?) == u32_at(bytes, 28)?).then_some(Self {
            end: u32_at(bytes, 0)?,
            last_sequence: u64::from_be_bytes(array_at(bytes, 4)?),
            moved: u32_at(bytes, 12)?,
            table_crc: u32_at(bytes, 16)?,
            moved_octets: u64::from_be_bytes(array_at(bytes, 20)?),
        })
    }
}

/// What stands in front of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    /// The offset that the record had before, or the first of those that it stands for.
    pub(super) offset: u32,
    /// How many sequences it stands for, from its own on.
    pub(super) covers: u32,
}

impl Prefix {
    /// Appends it; `record` is the sealed record behind it.
    pub(super) fn put(self, record: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.covers.to_be_bytes());
        let numbers = crc32c::crc32c(out.get(at..).unwrap_or_default());
        let crc = crc32c::crc32c_append(numbers, record.get(4..8).unwrap_or_default());
        out.extend_from_slice(&crc.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    /// Reads it, if it belongs to the record behind it.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let crc = crc32c::crc32c_append(crc32c::crc32c(bytes.get(..8)?), bytes.get(PREFIX + 4..PREFIX + 8)?);
        let prefix = Self { offset: u32_at(bytes, 0)?, covers: u32_at(bytes, 4)? };
        (crc == u32_at(bytes, 8)? && bytes.get(12..16)? == [0; 4] && prefix.covers > 0).then_some(prefix)
    }
}

/// A record that is read by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    /// The offset it had before.
    pub(super) from: u32,
    /// Where it is.
    pub(super) at: u32,
    /// Octets with its header.
    pub(super) len: u32,
}

/// What is held of a compacted segment in memory.
#[derive(Debug, Default)]
pub(super) struct Compacted {
    /// Octets of the records in the table.
    pub(super) moved_octets: u64,
    /// In the order of the offsets they had.
    table: Vec<Moved>,
}

impl Compacted {
    pub(super) const fn new(moved_octets: u64, table: Vec<Moved>) -> Self {
        Self { moved_octets, table }
    }

    /// Where the bytes of a place are now.
    pub(super) fn find(&self, place: Place) -> Option<u32> {
        let after = self.table.partition_point(|moved| moved.from <= place.offset);
        let moved = self.table.get(after.checked_sub(1)?)?;
        let within = place.offset - moved.from;
        (within.checked_add(place.len)? <= moved.len).then(|| moved.at + within)
    }

    /// Reads it behind the records. None if it is damaged.
    pub(super) fn load(
        number: u32,
        file: &dyn DiskFile,
        summary: &Summary,
    ) -> Result<Option<Self>, LogError> {
        let mut bytes = vec![0; summary.moved as usize * MOVED];
        let count = file
            .read_at(&mut bytes, u64::from(summary.end))
            .map_err(LogError::io("read", segment::file_name(number)))?;
        if count != bytes.len() || crc32c::crc32c(&bytes) != summary.table_crc {
            return Ok(None);
        }
        let table = bytes.chunks_exact(MOVED).filter_map(|moved| {
            Some(Moved { from: u32_at(moved, 0)?, at: u32_at(moved, 4)?, len: u32_at(moved, 8)? })
        });
        Ok(Some(Self::new(summary.moved_octets, table.collect())))
    }
}

/// The bytes of a table.
pub(super) fn encode_table(table: &[Moved]) -> Vec<u8> {
    table.iter().flat_map(|moved| [moved.from, moved.at, moved.len]).flat_map(u32::to_be_bytes).collect()
}

/// The records of a whole file up to `end`, in runs as they are found in other segments. Offsets are those of the prefixes.
pub(super) fn runs(data: &[u8], from: usize, epoch: u32, summary: &Summary) -> Vec<Run> {
    let data = data.get(..summary.end as usize).unwrap_or(data);
    let mut runs: Vec<Run> = Vec::new();
    let mut at = from;
    let mut is_broken = true;
    while at + PREFIX + RECORD_HEADER <= data.len() {
        let Some((prefix, header)) = item_at(data, at, epoch) else {
            is_broken = true;
            at += ALIGN;
            continue;
        };
        let Ok(offset) = u32::try_from(at) else { break };
        at += PREFIX + padded(header.len as usize);
        let next = header.sequence.saturating_add(u64::from(prefix.covers));
        match runs.last_mut().filter(|run| !is_broken && run.next == header.sequence) {
            Some(run) => {
                run.offsets.push(offset);
                (run.end, run.next) = (at, next);
            }
            None => runs.push(Run {
                epoch,
                first: header.sequence,
                next,
                offsets: vec![offset],
                end: at,
                // Only what is durable is compacted.
                durable_claim: summary.last_sequence,
            }),
        }
        is_broken = false;
    }
    runs
}

fn item_at(data: &[u8], at: usize, epoch: u32) -> Option<(Prefix, RecordHeader)> {
    let bytes = data.get(at..)?;
    let prefix = Prefix::parse(bytes)?;
    let header = RecordHeader::verified(bytes.get(PREFIX..)?)?;
    (header.epoch == epoch).then_some((prefix, header))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn summaries_come_back_or_not_at_all(
            numbers: (u32, u64, u32, u32, u64), bit in 0_usize..SUMMARY * 8,
        ) {
            let summary = Summary {
                end: numbers.0, last_sequence: numbers.1, moved: numbers.2, table_crc: numbers.3,
                moved_octets: numbers.4,
            };
            let mut block = vec![0; SUMMARY_AT];
            block.extend(summary.encode());
            prop_assert_eq!(Summary::parse(&block), Some(summary));
            block[SUMMARY_AT + bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Summary::parse(&block), None);
        }

        #[test]
        fn a_prefix_belongs_to_its_record(offset: u32, covers in 1_u32.., body: [u8; 9], bit in 0_usize..PREFIX * 8) {
            let mut record = vec![0; RECORD_HEADER];
            record.extend(body);
            let header =
                RecordHeader { len: record.len() as u32, epoch: 1, kind: 2, sequence: 3, behind: 1, envelope: 4 };
            header.seal(&mut record);
            let prefix = Prefix { offset, covers };
            let mut bytes = Vec::new();
            prefix.put(&record, &mut bytes);
            prop_assert_eq!(bytes.len(), PREFIX);
            bytes.extend(&record);
            prop_assert_eq!(Prefix::parse(&bytes), Some(prefix));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Prefix::parse(&bytes), None);
        }
    }

    #[test]
    fn places_are_found() {
        let table = vec![Moved { from: 4096, at: 5000, len: 100 }, Moved { from: 9000, at: 5200, len: 50 }];
        let compacted = Compacted { table, ..Compacted::default() };
        let place = |offset, len| Place { segment: 1, offset, len };
        assert_eq!(compacted.find(place(4096, 100)), Some(5000));
        assert_eq!(compacted.find(place(4100, 96)), Some(5004));
        assert_eq!(compacted.find(place(4100, 97)), None);
        assert_eq!(compacted.find(place(4000, 1)), None);
        assert_eq!(compacted.find(place(8999, 1)), None);
        assert_eq!(compacted.find(place(9049, 1)), Some(5249));
    }
}
