//! A group of records that share one write: encoded where the device will read them.

use bytes::{BufMut, BytesMut};

use super::format::{BLOCK, RECORD_HEADER, RecordHeader, padded};
use super::{LogError, Options};
use crate::changelog::Csn;

/// One record of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Octets from the group's first record.
    pub(super) start: usize,
    /// Octets without padding.
    pub(super) len: u32,
    pub(super) envelope: u32,
    pub(super) sequence: u64,
    pub(super) kind: u8,
    pub(super) csn: Csn,
}

impl Slot {
    /// Octets from the group's first record to the end of this one's padding.
    pub(super) const fn end(&self) -> usize {
        self.start + padded(self.len as usize)
    }
}

/// Records gathered for one commit. Reuse it: its buffer is kept.
///
/// Records are encoded straight into the buffer that is written to the device. That works without another copy
/// when the group knows where in a 4 KiB block it will start: the sequencer passes what [`Group::next_lead`] of the
/// group before said to [`Group::clear`]. A wrong guess (a new segment came between) costs one copy, nothing else.
#[derive(Debug)]
pub struct Group {
    buffer: BytesMut,
    /// Index of the first octet that lies on a block boundary in memory.
    origin: usize,
    /// Octets of the block before the first record.
    lead: usize,
    slots: Vec<Slot>,
    csn: Csn,
    limit: usize,
    pub(super) is_urgent: bool,
}

impl Group {
    /// An empty group for a log with these options.
    pub fn new(options: &Options) -> Self {
        Self::with_limit(options.record_limit())
    }

    pub(super) fn with_limit(limit: usize) -> Self {
        let mut group = Self {
            buffer: BytesMut::new(),
            origin: 0,
            lead: 0,
            slots: Vec::new(),
            csn: Csn::ZERO,
            limit: limit.min(u32::MAX as usize),
            is_urgent: false,
        };
        group.clear(0);
        group
    }

    /// Empties the group. `lead` is where in its 4 KiB block the first record is expected to start.
    pub fn clear(&mut self, lead: usize) {
        self.slots.clear();
        self.is_urgent = false;
        self.buffer.clear();
        self.buffer.reserve(4 * BLOCK);
        self.lead = lead % BLOCK;
        self.origin = self.buffer.as_ptr().align_offset(BLOCK);
        if self.origin >= BLOCK {
            self.origin = 0; // alignment cannot be had; the writer copies
        }
        self.buffer.put_bytes(0, self.base());
    }

    /// Says whether the group may have the last segments that are kept for what frees room ([`Options::reserve`]). Not
    /// so after [`Group::clear`].
    pub const fn urgent(&mut self, is_urgent: bool) {
        self.is_urgent = is_urgent;
    }

    /// The clock of the records pushed next. The header of a segment keeps that of its first record.
    pub fn stamp(&mut self, csn: Csn) {
        self.csn = csn;
    }

    /// Encodes one record in place: `envelope` and then `local` append their bytes, and nothing else, to the buffer.
    /// `local` sees what `envelope` returned. Sequences must be dense; a commit checks them. `kind` is free but 0.
    ///
    /// A record longer than [`Options::record_limit`] is taken back, and the group stays as it was.
    pub fn push<T>(
        &mut self,
        kind: u8,
        sequence: u64,
        envelope: impl FnOnce(&mut BytesMut) -> T,
        local: impl FnOnce(&mut BytesMut, &T),
    ) -> Result<T, LogError> {
        if kind == 0 {
            return Err(LogError::Options("a record's kind is not 0"));
        }
        let from = self.buffer.len();
        let start = from - self.base();
        self.buffer.put_bytes(0, RECORD_HEADER);
        let body = self.buffer.len();
        let answer = envelope(&mut self.buffer);
        let envelope = self.buffer.len() - body;
        local(&mut self.buffer, &answer);
        let length = self.buffer.len() - from;
        if padded(length) > self.limit {
            self.buffer.truncate(from);
            return Err(LogError::TooLarge { length, limit: self.limit });
        }
        self.buffer.put_bytes(0, padded(length) - length);
        // Both fit: they are at most the limit, which is at most u32::MAX.
        let (len, envelope) = (length as u32, envelope as u32);
        self.slots.push(Slot { start, len, envelope, sequence, kind, csn: self.csn });
        Ok(answer)
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Octets of all records with headers and padding.
    pub fn octets(&self) -> usize {
        self.slots.last().map_or(0, Slot::end)
    }

    /// Where in its block the group after this one will start, unless a new segment is begun.
    pub fn next_lead(&self) -> usize {
        (self.lead + self.octets()) % BLOCK
    }

    /// The envelope of the record at `index`, as long as the group is not cleared.
    pub fn envelope(&self, index: usize) -> Option<&[u8]> {
        let slot = self.slots.get(index)?;
        let at = self.base() + slot.start + RECORD_HEADER;
        self.buffer.get(at..at + slot.envelope as usize)
    }

    /// The local part of the record at `index`, as long as the group is not cleared.
    pub fn local(&self, index: usize) -> Option<&[u8]> {
        let slot = self.slots.get(index)?;
        let at = self.base() + slot.start;
        self.buffer.get(at + RECORD_HEADER + slot.envelope as usize..at + slot.len as usize)
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    const fn base(&self) -> usize {
        self.origin + self.lead
    }

    /// Fills in the header of a record.
    pub(super) fn seal(&mut self, slot: &Slot, epoch: u32, behind: u32) {
        let header = RecordHeader {
            len: slot.len,
            epoch,
            kind: slot.kind,
            sequence: slot.sequence,
            behind,
            envelope: slot.envelope,
        };
        let at = self.base() + slot.start;
        if let Some(record) = self.buffer.get_mut(at..at + slot.len as usize) {
            header.seal(record);
        }
    }

    /// The bytes of some records, by their offsets from the first one.
    pub(super) fn bytes(&self, from: usize, to: usize) -> &[u8] {
        self.buffer.get(self.base() + from..self.base() + to).unwrap_or_default()
    }

    /// The whole group as whole blocks in aligned memory, led by the bytes that are already in its first block; none
    /// if the group does not lie so.
    pub(super) fn blocks(&mut self, carry: &[u8]) -> Option<&[u8]> {
        let aligned = self.buffer.as_ptr().align_offset(BLOCK) == self.origin;
        if !aligned || carry.len() != self.lead {
            return None;
        }
        let end = self.base() + self.octets();
        let padding = (end - self.origin).next_multiple_of(BLOCK) - (end - self.origin);
        if self.buffer.capacity() < end + padding {
            return None; // growing would move the buffer
        }
        self.buffer.truncate(end);
        self.buffer.put_bytes(0, padding);
        self.buffer.get_mut(self.origin..self.origin + self.lead)?.copy_from_slice(carry);
        self.buffer.get(self.origin..)
    }
}

/// Bytes that start on a block boundary in memory.
#[derive(Debug, Default)]
pub(super) struct AlignedBuffer {
    bytes: Vec<u8>,
}

impl AlignedBuffer {
    /// The given parts one after the other, filled with zeros to whole blocks. None only if the platform cannot align.
    pub(super) fn blocks(&mut self, parts: &[&[u8]]) -> Option<&[u8]> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>().next_multiple_of(BLOCK);
        self.bytes.clear();
        self.bytes.reserve(length + BLOCK);
        let origin = self.bytes.as_ptr().align_offset(BLOCK);
        if origin >= BLOCK {
            return None;
        }
        self.bytes.resize(origin, 0);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.resize(origin + length, 0);
        self.bytes.get(origin..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let mut group = Group::with_limit(1000);
        let answer = group.push(1, 1, |out| out.put_slice(b"envelope"), |out, ()| out.put_slice(b"local"));
        assert!(answer.is_ok());
        group.push(1, 2, |_| (), |_, ()| ()).unwrap();
        assert_eq!(group.envelope(0), Some(&b"envelope"[..]));
        assert_eq!(group.local(0), Some(&b"local"[..]));
        assert_eq!(group.local(1), Some(&b""[..]));
        assert_eq!(group.envelope(2), None);
        assert_eq!((group.len(), group.octets()), (2, 48 + 32));
    }

    #[test]
    fn a_record_that_is_too_long_is_taken_back() {
        let mut group = Group::with_limit(104);
        group.push(1, 1, |out| out.put_bytes(1, 10), |_, ()| ()).unwrap();
        let refused = group.push(1, 2, |out| out.put_bytes(1, 73), |_, ()| ());
        assert!(matches!(refused, Err(LogError::TooLarge { length: 105, limit: 104 })));
        assert!(group.push(1, 2, |out| out.put_bytes(1, 72), |_, ()| ()).is_ok());
        assert_eq!(group.len(), 2);
    }

    #[test]
    fn a_group_lies_aligned_behind_its_lead() {
        let mut group = Group::with_limit(1 << 20);
        group.push(1, 1, |out| out.put_bytes(1, 9000), |_, ()| ()).unwrap();
        group.clear(100);
        group.push(1, 2, |out| out.put_bytes(2, 2000), |_, ()| ()).unwrap();
        assert!(group.blocks(&[9; 99]).is_none());
        let blocks = group.blocks(&[9; 100]).unwrap();
        assert_eq!(blocks.as_ptr().align_offset(BLOCK), 0);
        assert_eq!(blocks.len(), BLOCK);
        assert_eq!(blocks[..100], [9; 100]);
        assert_eq!(blocks[132], 2);
        assert_eq!(group.next_lead(), 100 + 2032);
    }

    #[test]
    fn aligned_copies() {
        let mut buffer = AlignedBuffer::default();
        let blocks = buffer.blocks(&[&[1; 3], &[2; 5000]]).unwrap();
        assert_eq!((blocks.len(), blocks.as_ptr().align_offset(BLOCK)), (2 * BLOCK, 0));
        assert_eq!((blocks[2], blocks[3], blocks[5003]), (1, 2, 0));
    }
}
