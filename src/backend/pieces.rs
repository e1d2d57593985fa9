//! Post-images that share bytes with their record's envelope.
//!
//! A modify logs what it did, for replicas, and the whole entry that came out, for reading. What both hold, such as a new
//! blob, is written once: the post-image is kept as literal bytes with runs of the envelope between them. An entry is still
//! read by one read, of the bytes from the first run to the record's end (the *region*), which end in a table:
//!
//! | octets | content |
//! |---|---|
//! | | what the region starts with: the envelope from the first run on, and the local part's header |
//! | | literal bytes, one piece's after the other's |
//! | 12 each | pieces: octets of the literal, start of the run in the region, octets of the run |
//! | 4 | number of pieces |
//!
//! The entry is, piece after piece, a literal and a run.

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::StoreError;
use super::record::IN_PIECES;
use super::view::store_error;
use crate::ber::{Reader, tag};
use crate::entry::StoredEntry;
use crate::log::{Log, Place};

/// Runs shorter than this are not worth a piece.
const SHORTEST: usize = 64;
/// Octets of a piece in the table.
const PIECE: usize = 12;

/// A literal and a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    literal: u32,
    /// The run's offset in the payload; in the table, in the region.
    from: u32,
    octets: u32,
}

/// How an entry is put together; without a piece it is written as it is.
pub(crate) type Pieces = SmallVec<[Piece; 3]>;

/// Where `inner`, a part of `outer`, starts in it.
fn offset_in(outer: &[u8], inner: &[u8]) -> usize {
    (inner.as_ptr() as usize).wrapping_sub(outer.as_ptr() as usize)
}

/// What of an encoded effect or attribute is the same in the other: description and values.
fn common<'a>(element: &mut Reader<'a>, is_effect: bool) -> Option<&'a [u8]> {
    let mut inner = element.nested(tag::SEQUENCE).ok()?;
    if is_effect {
        inner.enumerated().ok()?;
    }
    Some(inner.remaining())
}

fn values(common: &[u8]) -> Reader<'_> {
    let mut reader = Reader::new(common);
    let set = reader.octets().and_then(|_| reader.expect(tag::SET));
    Reader::new(set.unwrap_or_default())
}

/// Finds what a post-image shares with the effects that led to it.
pub(crate) fn find(effects: &[u8], entry: &StoredEntry) -> Pieces {
    let mut pieces = Pieces::new();
    let mut known: SmallVec<[&[u8]; 4]> = SmallVec::new();
    let mut reader = Reader::new(effects);
    while let Some(effect) = common(&mut reader, true) {
        if effect.len() >= SHORTEST {
            known.push(effect);
        }
    }
    if known.is_empty() {
        return pieces;
    }
    let whole: &[u8] = entry.as_bytes();
    let mut done = 0;
    let mut run = |run: &[u8], bytes: &[u8]| {
        let at = offset_in(whole, bytes);
        let numbers = [at.saturating_sub(done), offset_in(effects, run), run.len()].map(u32::try_from);
        if let [Ok(literal), Ok(from), Ok(octets)] = numbers {
            pieces.push(Piece { literal, from, octets });
            done = at + run.len();
        }
    };
    let mut attributes = Reader::new(entry.user_list());
    while let Some(attribute) = common(&mut attributes, false) {
        if attribute.len() < SHORTEST {
            continue;
        }
        if let Some(effect) = known.iter().find(|&&effect| effect == attribute) {
            run(effect, attribute);
            continue;
        }
        // Values that were put to others.
        let mut of_entry = values(attribute);
        while let Ok(value) = of_entry.octets() {
            if value.len() < SHORTEST {
                continue;
            }
            let same = known.iter().find_map(|effect| {
                let mut of_effect = values(effect);
                std::iter::from_fn(|| of_effect.octets().ok()).find(|&other| other == value)
            });
            if let Some(same) = same {
                run(same, value);
            }
        }
    }
    if let (true, Ok(literal)) = (done > 0 && done < whole.len(), u32::try_from(whole.len() - done)) {
        pieces.push(Piece { literal, from: 0, octets: 0 });
    }
    pieces
}

/// Where in the payload the region starts; none if the entry is not in pieces.
pub(crate) fn start(pieces: &Pieces) -> Option<u32> {
    pieces.iter().filter(|piece| piece.octets > 0).map(|piece| piece.from).min()
}

/// Octets that [`put`] appends.
pub(crate) fn length(pieces: &Pieces) -> u32 {
    let literals: u32 = pieces.iter().map(|piece| piece.literal).sum();
    literals + (pieces.len() * PIECE) as u32 + 4
}

/// Appends an entry's literal bytes and its table.
pub(crate) fn put(pieces: &Pieces, entry: &[u8], out: &mut BytesMut) {
    let start = start(pieces).unwrap_or(0);
    let mut rest = entry;
    for piece in pieces {
        let (literal, behind) = rest.split_at_checked(piece.literal as usize).unwrap_or((rest, &[]));
        out.put_slice(literal);
        rest = behind.get(piece.octets as usize..).unwrap_or_default();
    }
    for piece in pieces {
        out.put_u32(piece.literal);
        out.put_u32(piece.from.saturating_sub(start));
        out.put_u32(piece.octets);
    }
    out.put_u32(pieces.len() as u32);
}

/// Puts an entry together from its region; none if that is damaged.
pub(crate) fn join(region: &[u8]) -> Option<Bytes> {
    let (rest, count) = region.split_last_chunk()?;
    let count = u32::from_be_bytes(*count) as usize;
    let (rest, table) = rest.split_at_checked(rest.len().checked_sub(count.checked_mul(PIECE)?)?)?;
    if count == 0 {
        return None;
    }
    let (mut literals, mut octets) = (0_usize, 0_usize);
    let pieces = || {
        table.chunks_exact(PIECE).filter_map(|piece| {
            let mut numbers = piece.chunks_exact(4).filter_map(|octets| octets.first_chunk());
            let mut number = || numbers.next().map(|octets| u32::from_be_bytes(*octets) as usize);
            Some((number()?, number()?, number()?))
        })
    };
    for (literal, _, run) in pieces() {
        literals = literals.checked_add(literal)?;
        octets = octets.checked_add(literal)?.checked_add(run)?;
    }
    // Runs may repeat, but no entry is longer than what a damaged table could make of the region.
    if octets > region.len().checked_mul(count)? {
        return None;
    }
    let (_, mut literals) = rest.split_at_checked(rest.len().checked_sub(literals)?)?;
    let mut entry = BytesMut::with_capacity(octets);
    for (literal, from, run) in pieces() {
        let (own, behind) = literals.split_at_checked(literal)?;
        entry.put_slice(own);
        entry.put_slice(rest.get(from..from.checked_add(run)?)?);
        literals = behind;
    }
    Some(entry.freeze())
}

/// Reads the entry at a place.
pub(crate) fn read(log: &Log, place: Place) -> Result<StoredEntry, StoreError> {
    let is_in_pieces = place.len & IN_PIECES != 0;
    let bytes =
        log.read(Place { len: place.len & !IN_PIECES, ..place }).map_err(|error| store_error(&error))?;
    let corrupt = |error: &dyn std::fmt::Display| {
        StoreError::Corrupt(format!(
            "the entry at octet {} of log segment {}: {error}",
            place.offset, place.segment
        ))
    };
    let bytes =
        if is_in_pieces { join(&bytes).ok_or_else(|| corrupt(&"its pieces do not fit"))? } else { bytes };
    StoredEntry::parse(bytes).map_err(|error| corrupt(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::write;
    use crate::entry::{EntryParts, EntryUuid};
    use proptest::prelude::*;

    fn attribute(name: &str, values: &[Vec<u8>], kind: Option<u8>) -> BytesMut {
        let mut set = BytesMut::new();
        values.iter().for_each(|value| write::octets(&mut set, value));
        let mut inner = BytesMut::new();
        if let Some(kind) = kind {
            write::element(&mut inner, tag::ENUMERATED, &[kind]);
        }
        write::octets(&mut inner, name.as_bytes());
        write::element(&mut inner, tag::SET, &set);
        let mut out = BytesMut::new();
        write::element(&mut out, tag::SEQUENCE, &inner);
        out
    }

    fn entry(user: &[u8]) -> StoredEntry {
        StoredEntry::compose(&EntryParts {
            dn: "cn=a,dc=b",
            uuid: EntryUuid([7; 16]),
            etag_state: 1,
            add_csn: [1; 12],
            last_csn: [2; 12],
            user,
            operational: b"",
        })
    }

    /// The region as it lies in a record whose payload is these effects, with what is in front of it.
    fn record(effects: &[u8], entry: &StoredEntry) -> Option<(usize, Bytes)> {
        let pieces = find(effects, entry);
        let from = start(&pieces)?;
        let mut out = BytesMut::from(effects.get(from as usize..).unwrap());
        out.put_bytes(0xee, 38);
        let before = out.len();
        put(&pieces, entry.as_bytes(), &mut out);
        assert_eq!(out.len() - before, length(&pieces) as usize);
        Some((before, out.freeze()))
    }

    #[test]
    fn a_blob_is_written_once() {
        let blob = vec![vec![5; 5000]];
        let mut user = attribute("objectClass", &[b"top".to_vec()], None);
        user.extend(attribute("coreTokenObject", &blob, None));
        user.extend(attribute("coreTokenType", &[b"SESSION".to_vec()], None));
        let entry = entry(&user);
        let mut effects = attribute("coreTokenType", &[b"SESSION".to_vec()], Some(0));
        effects.extend(attribute("coreTokenObject", &blob, Some(0)));
        let (before, region) = record(&effects, &entry).unwrap();
        assert_eq!(join(&region).unwrap(), entry.as_bytes());
        assert!(region.len() - before < 300, "{}", region.len() - before);
        assert_eq!(join(&region[..region.len() - 1]), None);
        assert_eq!(join(&[]), None);
    }

    #[test]
    fn a_value_among_others_is_written_once() {
        let (old, new) = (vec![1; 100], vec![2; 300]);
        let entry = entry(&attribute("a", &[old, new.clone()], None));
        let (before, region) = record(&attribute("a", &[new], Some(2)), &entry).unwrap();
        assert_eq!(join(&region).unwrap(), entry.as_bytes());
        assert!(region.len() - before < 300);
    }

    #[test]
    fn what_shares_nothing_is_left_alone() {
        let entry = entry(&attribute("a", &[vec![1; 100]], None));
        assert!(find(&attribute("a", &[vec![2; 100]], Some(0)), &entry).is_empty());
        assert!(find(b"\xff\xff", &entry).is_empty());
        assert!(find(b"", &entry).is_empty());
    }

    proptest! {
        #[test]
        fn entries_come_back(
            attributes in proptest::collection::vec(
                ("[a-c]", proptest::collection::vec((any::<u8>(), 0_usize..200), 0..4), any::<bool>(), 0_u8..4), 0..6),
        ) {
            let mut user = BytesMut::new();
            let mut effects = BytesMut::new();
            for (name, values, is_touched, kind) in &attributes {
                let values: Vec<Vec<u8>> = values.iter().map(|(octet, length)| vec![*octet; *length]).collect();
                if *kind != 1 && *kind != 3 {
                    user.extend(attribute(name, &values, None));
                }
                if *is_touched {
                    let some = if *kind == 2 { values.get(1..).unwrap_or_default() } else { &values };
                    effects.extend(attribute(name, some, Some(*kind)));
                }
            }
            let entry = entry(&user);
            if let Some((_, region)) = record(&effects, &entry) {
                prop_assert_eq!(&join(&region).unwrap(), entry.as_bytes());
            }
        }

        #[test]
        fn damage_does_no_harm(mut region in proptest::collection::vec(any::<u8>(), 0..200), count in 0_u8..8) {
            if let Some(last) = region.last_chunk_mut::<4>() {
                *last = [0, 0, 0, count];
            }
            let _ = join(&region);
        }
    }
}
