//! The part of a log record that stays on this node.
//!
//! | offset | octets | content |
//! |---|---|---|
//! | 0 | 1 | format version, 1 |
//! | 1 | 1 | where the entry's bytes are: 0 nowhere (it is gone), 1 in the envelope, 2 here, 3 in both, in pieces |
//! | 2 | 8 | EntryId |
//! | 10 | 8 | EntryId of the parent; 0 above a suffix entry |
//! | 18 | 4 | octets from the start of that part to the entry's bytes; of one in pieces, from the envelope's start to its region |
//! | 22 | 4 | octets of the entry; of one in pieces, of its region |
//! | 26 | 12 | of a copy: the place it was copied from (segment, offset, octets); otherwise zeros |
//! | 38 | | the entry in its stored form, if it is here; of one in pieces, literal bytes and table (`pieces`) |
//!
//! The envelope of an ADD holds the whole entry, so it is not written twice; that of a modify holds the new values.

use bytes::{BufMut, BytesMut};

use super::StoreError;
use super::index_store::EntryId;
use crate::changelog::{ChangeRecord, Csn, Op, Origin};
use crate::log::{Place, RecordPlace};

/// Octets in front of the entry.
pub(crate) const LENGTH: u32 = 38;
const VERSION: u8 = 1;

/// Set in the length of an entry's place if the place is a region from which the entry has to be put together. The log
/// knows no such place: segments are no longer than 2 GiB.
pub(crate) const IN_PIECES: u32 = 1 << 31;

/// Octets of a copy's record beside the entry: the log's header, the local part, and what aligns it.
pub(crate) const COPY_OVERHEAD: u64 = 32 + LENGTH as u64 + 4;

/// The records that are no changes. Only an advance has an envelope and is shipped. Other numbers are those of changes,
/// `1 +` the number of the envelope's op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// An [`Advance`] in the place of changes that compaction removed, and of copies between them.
    Advance = 6,
    /// An entry copied forward: a local part with the place it was copied from, and the entry.
    Copy = 16,
    /// A [`Floor`].
    Floor = 17,
    /// In the place of copies that compaction removed; empty.
    Gap = 18,
}

impl RecordKind {
    /// The kind of this number, if it is no change's.
    pub(crate) const fn of(kind: u8) -> Option<Self> {
        match kind {
            6 => Some(Self::Advance),
            16 => Some(Self::Copy),
            17 => Some(Self::Floor),
            18 => Some(Self::Gap),
            _ => None,
        }
    }
}

/// Changes of one origin that are not in the log any more: an envelope whose oseq is that of the first one, whose CSN that of
/// the last one, and whose payload the oseq of the last one in 8 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) origin: Origin,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The greatest.
    pub(crate) csn: Csn,
}

impl Advance {
    /// Appends the envelope.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        ChangeRecord {
            origin: self.origin,
            oseq: self.first,
            csn: self.csn,
            tag: 0,
            uuid: None,
            add_csn: None,
            parent: None,
            txid: None,
            op: Op::Advance,
            payload: &self.last.to_be_bytes(),
            ext: None,
        }
        .encode(out);
    }

    /// Reads an envelope; none if it is another one's.
    pub(crate) fn decode(envelope: &[u8]) -> Result<Option<Self>, StoreError> {
        let change =
            ChangeRecord::decode(envelope).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let last = change.payload.try_into().map(u64::from_be_bytes);
        let (origin, first, csn) = (change.origin, change.oseq, change.csn);
        Ok(last.ok().filter(|_| change.op == Op::Advance).map(|last| Self { origin, first, last, csn }))
    }

    /// Both, if the other goes on where this one ends.
    pub(crate) fn join(&self, other: &Self) -> Option<Self> {
        let goes_on = self.origin == other.origin && self.last.checked_add(1) == Some(other.first);
        goes_on.then(|| Self { last: other.last, csn: self.csn.max(other.csn), ..*self })
    }
}

/// The numbers that must not be given again. One is written before a segment goes, since the records that had them may go
/// with it.
///
/// | offset | octets | content |
/// |---|---|---|
/// | 0 | 1 | format version, 1 |
/// | 1 | 8 | the next change's number in this origin |
/// | 9 | 8 | the next EntryId |
/// | 17 | 12 | the newest CSN |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) oseq: u64,
    pub(crate) next_id: u64,
    pub(crate) csn: Csn,
}

impl Floor {
    /// Appends it.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u64(self.oseq);
        out.put_u64(self.next_id);
        out.put_slice(self.csn.as_bytes());
    }

    /// Reads it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version], rest) = bytes.split_first_chunk()?;
        let (oseq, rest) = rest.split_first_chunk()?;
        let (next_id, rest) = rest.split_first_chunk()?;
        let csn = Csn::from_bytes(rest.try_into().ok()?);
        let floor = Self { oseq: u64::from_be_bytes(*oseq), next_id: u64::from_be_bytes(*next_id), csn };
        (version == VERSION).then_some(floor)
    }
}

/// Where a record holds the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    /// The record deletes it.
    Gone,
    /// In the envelope: offset, octets.
    Envelope(u32, u32),
    /// In the local part: octets.
    Local(u32),
    /// In pieces: the region's offset in the envelope, and its octets up to the record's end.
    Pieces(u32, u32),
}

impl Image {
    /// The entry's place, given the record's.
    pub(crate) const fn place(self, record: &RecordPlace) -> Option<Place> {
        match self {
            Self::Gone => None,
            Self::Envelope(offset, octets) => Some(record.envelope.sub(offset, octets)),
            Self::Local(octets) => Some(record.local.sub(LENGTH, octets)),
            Self::Pieces(offset, octets) => {
                let start = record.envelope.offset.saturating_sub(record.record.offset);
                let region = record.record.sub(start.saturating_add(offset), octets);
                Some(Place { len: region.len | IN_PIECES, ..region })
            }
        }
    }
}

/// The local part without the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalPart {
    pub(crate) image: Image,
    pub(crate) id: EntryId,
    pub(crate) parent: EntryId,
    pub(crate) previous: Place,
}

impl LocalPart {
    /// Appends it; the entry's bytes, if they belong here, are the caller's to append.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        let (tag, offset, octets) = match self.image {
            Image::Gone => (0, 0, 0),
            Image::Envelope(offset, octets) => (1, offset, octets),
            Image::Local(octets) => (2, LENGTH, octets),
            Image::Pieces(offset, octets) => (3, offset, octets),
        };
        out.put_u8(VERSION);
        out.put_u8(tag);
        out.put_u64(self.id.0);
        out.put_u64(self.parent.0);
        for number in [offset, octets, self.previous.segment, self.previous.offset, self.previous.len] {
            out.put_u32(number);
        }
    }

    /// Reads it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut numbers =
            bytes.get(18..LENGTH as usize)?.chunks_exact(4).filter_map(|chunk| chunk.first_chunk());
        let mut number = || numbers.next().map(|octets| u32::from_be_bytes(*octets));
        let (offset, octets) = (number()?, number()?);
        let previous = Place { segment: number()?, offset: number()?, len: number()? };
        let image = match bytes.get(..2)? {
            [VERSION, 0] => Image::Gone,
            [VERSION, 1] => Image::Envelope(offset, octets),
            [VERSION, 2] => Image::Local(octets),
            [VERSION, 3] => Image::Pieces(offset, octets),
            _ => return None,
        };
        let id =
            |at: usize| bytes.get(at..)?.first_chunk().map(|octets| EntryId(u64::from_be_bytes(*octets)));
        Some(Self { image, id: id(2)?, parent: id(10)?, previous })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_read() {
        let floor = Floor { oseq: 7, next_id: 1 << 40, csn: Csn::new(5, 6, 7, 8) };
        let mut out = BytesMut::new();
        floor.encode(&mut out);
        assert_eq!(Floor::decode(&out), Some(floor));
        assert_eq!(Floor::decode(&out[..28]), None);
        for kind in [RecordKind::Advance, RecordKind::Copy, RecordKind::Floor, RecordKind::Gap] {
            assert_eq!(RecordKind::of(kind as u8), Some(kind));
        }
        assert_eq!(RecordKind::of(4), None);
    }

    #[test]
    fn advances_are_read_and_joined() {
        let origin = |replica| Csn::new(1, 0, replica, 1).origin().unwrap();
        let one = Advance { origin: origin(3), first: 5, last: 1 << 40, csn: Csn::new(9, 1, 3, 1) };
        let mut out = BytesMut::new();
        one.encode(&mut out);
        assert_eq!(Advance::decode(&out).unwrap(), Some(one));
        assert!(crate::changelog::decode(&out).is_ok());
        let next = Advance { first: one.last + 1, last: one.last + 3, csn: Csn::new(10, 0, 3, 1), ..one };
        assert_eq!(one.join(&next), Some(Advance { first: 5, ..next }));
        assert_eq!(next.join(&one), None);
        assert_eq!(one.join(&Advance { origin: origin(4), ..next }), None);
        assert!(Advance::decode(b"x").is_err());
    }

    #[test]
    fn places_of_entries() {
        let place = |offset, len| Place { segment: 1, offset, len };
        let record =
            RecordPlace { record: place(4096, 300), envelope: place(4128, 200), local: place(4328, 68) };
        assert_eq!(Image::Gone.place(&record), None);
        assert_eq!(Image::Envelope(10, 20).place(&record), Some(place(4138, 20)));
        assert_eq!(Image::Local(30).place(&record), Some(place(4366, 30)));
        assert_eq!(Image::Pieces(50, 218).place(&record), Some(place(4178, 218 | IN_PIECES)));
        assert_eq!(Image::Pieces(50, 219).place(&record).map(|place| place.len), Some(IN_PIECES));
    }

    #[test]
    fn what_is_written_is_read() {
        for image in [Image::Gone, Image::Envelope(70, 5000), Image::Local(3), Image::Pieces(70, 5000)] {
            let part = LocalPart {
                image,
                id: EntryId(7),
                parent: EntryId(1 << 40),
                previous: Place { segment: 3, offset: 4096, len: 5 },
            };
            let mut out = BytesMut::new();
            part.encode(&mut out);
            assert_eq!(out.len(), LENGTH as usize);
            assert_eq!(LocalPart::decode(&out), Some(part));
            assert_eq!(LocalPart::decode(&out[..30]), None);
        }
    }
}
