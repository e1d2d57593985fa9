//! The bytes of a segment. All numbers are big-endian; the manual's storage chapter has the same tables.

use crate::changelog::Csn;

/// Version of segment and record layout.
pub(super) const VERSION: u32 = 1;
/// Unit of device writes, and the room of the segment header.
pub(super) const BLOCK: usize = 4096;
/// Octets of a record's header.
pub(super) const RECORD_HEADER: usize = 32;
/// Records start at multiples of this.
pub(super) const ALIGN: usize = 8;

/// Flag of a segment header: behind the records there may be what an earlier use of the file left.
pub(super) const USED_BEFORE: u32 = 1;

/// Flag of a segment header: the segment is compacted.
pub(super) const COMPACTED: u32 = 2;

const MAGIC: [u8; 8] = *b"ctsd-log";
const SEGMENT_HEADER: usize = 68;

/// What a segment's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) dataset_id: [u8; 16],
    pub(super) number: u32,
    pub(super) epoch: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
    pub(super) first_sequence: u64,
    pub(super) csn: Csn,
}

/// What the first block of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeaderBlock {
    /// Zeros: the segment is not in use yet.
    Unused,
    /// A header.
    Valid(SegmentHeader),
    /// A header of another format version.
    OtherVersion(u32),
    /// Anything else.
    Unreadable,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        self.encode_with(&[])
    }

    /// With more bytes behind it, which the checksum does not cover.
    pub(super) fn encode_with(&self, more: &[u8]) -> Vec<u8> {
        let mut block = Vec::with_capacity(BLOCK);
        block.extend_from_slice(&MAGIC);
        block.extend_from_slice(&VERSION.to_be_bytes());
        let mut rest = Vec::with_capacity(SEGMENT_HEADER);
        rest.extend_from_slice(&self.dataset_id);
        rest.extend_from_slice(&self.number.to_be_bytes());
        rest.extend_from_slice(&self.epoch.to_be_bytes());
        rest.extend_from_slice(&self.size.to_be_bytes());
        rest.extend_from_slice(&self.flags.to_be_bytes());
        rest.extend_from_slice(&self.first_sequence.to_be_bytes());
        rest.extend_from_slice(self.csn.as_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&block), &rest);
        block.extend_from_slice(&crc.to_be_bytes());
        block.extend_from_slice(&rest);
        block.extend_from_slice(more);
        block.resize(BLOCK, 0);
        block
    }
}

impl HeaderBlock {
    pub(super) fn parse(block: &[u8]) -> Self {
        if block.iter().all(|&octet| octet == 0) {
            return Self::Unused;
        }
        Self::parse_used(block).unwrap_or(Self::Unreadable)
    }

    fn parse_used(block: &[u8]) -> Option<Self> {
        if block.get(..8)? != MAGIC.as_slice() {
            return None;
        }
        let version = u32_at(block, 8)?;
        if version != VERSION {
            return Some(Self::OtherVersion(version));
        }
        let (before, after) = (block.get(..12)?, block.get(16..SEGMENT_HEADER)?);
        if crc32c::crc32c_append(crc32c::crc32c(before), after) != u32_at(block, 12)? {
            return None;
        }
        Some(Self::Valid(SegmentHeader {
            dataset_id: array_at(block, 16)?,
            number: u32_at(block, 32)?,
            epoch: u32_at(block, 36)?,
            size: u32_at(block, 40)?,
            flags: u32_at(block, 44)?,
            first_sequence: u64::from_be_bytes(array_at(block, 48)?),
            csn: Csn::from_bytes(array_at(block, 56)?),
        }))
    }
}

/// What a record's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Octets of header, envelope and local part, without padding.
    pub(super) len: u32,
    pub(super) epoch: u32,
    pub(super) kind: u8,
    pub(super) sequence: u64,
    /// How far the durable end of the log was behind this record when it was written.
    pub(super) behind: u32,
    pub(super) envelope: u32,
}

impl RecordHeader {
    /// Writes the header into the first octets of the record's bytes; `record` ends where the record ends.
    pub(super) fn seal(&self, record: &mut [u8]) {
        let mut header = [0; RECORD_HEADER];
        let fields: [(usize, &[u8]); 6] = [
            (0, &self.len.to_be_bytes()),
            (8, &self.epoch.to_be_bytes()),
            (12, &[self.kind]),
            (16, &self.sequence.to_be_bytes()),
            (24, &self.behind.to_be_bytes()),
            (28, &self.envelope.to_be_bytes()),
        ];
        for (at, bytes) in fields {
            if let Some(room) = header.get_mut(at..at + bytes.len()) {
                room.copy_from_slice(bytes);
            }
        }
        if let Some(room) = record.get_mut(..RECORD_HEADER) {
            room.copy_from_slice(&header);
        }
        let crc = checksum(record).unwrap_or_default();
        if let Some(room) = record.get_mut(4..8) {
            room.copy_from_slice(&crc.to_be_bytes());
        }
    }

    /// Reads the header at the start of `bytes` and verifies the whole record, which `bytes` must contain.
    pub(super) fn verified(bytes: &[u8]) -> Option<Self> {
        let header = Self::unverified(bytes)?;
        let record = bytes.get(..header.len as usize)?;
        (checksum(record)? == u32_at(record, 4)?).then_some(header)
    }

    /// Reads the header at the start of `bytes`; only its own consistency is checked.
    pub(super) fn unverified(bytes: &[u8]) -> Option<Self> {
        let header = Self {
            len: u32_at(bytes, 0)?,
            epoch: u32_at(bytes, 8)?,
            kind: *bytes.get(12)?,
            sequence: u64::from_be_bytes(array_at(bytes, 16)?),
            behind: u32_at(bytes, 24)?,
            envelope: u32_at(bytes, 28)?,
        };
        let body = header.len.checked_sub(RECORD_HEADER as u32)?;
        let plausible = header.envelope <= body
            && header.kind != 0
            && bytes.get(13..16)? == [0; 3]
            && header.behind > 0
            && u64::from(header.behind) <= header.sequence;
        plausible.then_some(header)
    }

    /// The last sequence that was durable when this record was written.
    pub(super) const fn durable_claim(&self) -> u64 {
        self.sequence - self.behind as u64
    }
}

/// Octets a record takes with the zeros behind it.
pub(super) const fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// The start of the block in which an offset lies.
pub(super) const fn block_start(offset: usize) -> usize {
    offset - offset % BLOCK
}

fn checksum(record: &[u8]) -> Option<u32> {
    Some(crc32c::crc32c_append(crc32c::crc32c(record.get(..4)?), record.get(8..)?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_be_bytes)
}

pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn segment_header_round_trip(dataset_id: [u8; 16], numbers: (u32, u32, u32, u64), csn: [u8; 12], flip in 0_usize..68 * 8) {
            let header = SegmentHeader {
                dataset_id, number: numbers.0, epoch: numbers.1, size: numbers.2, flags: 0,
                first_sequence: numbers.3, csn: Csn::from_bytes(csn),
            };
            let mut block = header.encode();
            prop_assert_eq!(block.len(), BLOCK);
            prop_assert_eq!(HeaderBlock::parse(&block), HeaderBlock::Valid(header));
            block[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(!matches!(HeaderBlock::parse(&block), HeaderBlock::Valid(_) | HeaderBlock::Unused));
        }

        #[test]
        fn record_round_trip(
            body in proptest::collection::vec(any::<u8>(), 0..300), split: u16, epoch: u32, kind in 1_u8..,
            sequence in 1_u64.., behind: u32, flip: u16,
        ) {
            let mut record = vec![0xaa; RECORD_HEADER];
            record.extend_from_slice(&body);
            let behind = behind.clamp(1, u32::try_from(sequence).unwrap_or(u32::MAX));
            let header = RecordHeader {
                len: record.len() as u32, epoch, kind, sequence, behind,
                envelope: (usize::from(split) % (body.len() + 1)) as u32,
            };
            header.seal(&mut record);
            prop_assert_eq!(RecordHeader::verified(&record), Some(header));
            record.extend_from_slice(&[1, 2, 3]);
            prop_assert_eq!(RecordHeader::verified(&record), Some(header));
            let length = header.len as usize;
            prop_assert_eq!(RecordHeader::verified(&record[..length - 1]), None);
            let bit = usize::from(flip) % (length * 8);
            record[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(RecordHeader::verified(&record), None);
        }
    }

    #[test]
    fn zeros_are_no_record_and_an_unused_segment() {
        assert_eq!(RecordHeader::verified(&[0; 4096]), None);
        assert_eq!(HeaderBlock::parse(&[0; 4096]), HeaderBlock::Unused);
        assert_eq!(HeaderBlock::parse(&[1; 4096]), HeaderBlock::Unreadable);
    }
}
