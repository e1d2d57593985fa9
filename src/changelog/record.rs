//! The change record: the envelope that is written to the log and shipped to other replicas, byte for byte.
//!
//! [`Record`] is its ASN.1 definition (DER, automatic tags) and its slow, independent codec. On the way of a
//! request [`ChangeRecord`] writes and reads the same bytes without allocating; tests hold the two together.

use bytes::{BufMut, BytesMut};
use rasn::types::{FixedOctetString, OctetString};
use rasn::{AsnType, Decode, Decoder, Encode};

use super::{ChangelogError, Csn, Incarnation, Origin, ReplicaId};
use crate::ber::{BerError, Reader, tag, write};

/// `Origin ::= SEQUENCE { rid INTEGER, inc INTEGER }`
#[derive(Debug, Clone, PartialEq, Eq, AsnType, Encode, Decode)]
#[rasn(automatic_tags)]
#[non_exhaustive]
pub struct RecordOrigin {
    /// Replica id.
    pub rid: u16,
    /// Incarnation.
    pub inc: u16,
}

/// `Extension ::= SEQUENCE { id INTEGER, value OCTET STRING }`: what a later version adds to a record. DER skips no
/// unknown member, so each structure ends with a list of these.
#[derive(Debug, Clone, PartialEq, Eq, AsnType, Encode, Decode)]
#[rasn(automatic_tags)]
pub struct Extension {
    /// What it is.
    pub id: u32,
    /// Its content.
    pub value: OctetString,
}

/// `ENUMERATED { add(0), mod(1), del(2), ren(3), mark(4), adv(5) }`
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsnType, Encode, Decode)]
#[rasn(enumerated)]
#[allow(missing_docs)]
pub enum RecordOp {
    Add = 0,
    Mod = 1,
    Del = 2,
    Ren = 3,
    Mark = 4,
    Adv = 5,
}

/// The ASN.1 definition of a change record.
///
/// ```text
/// Record ::= SEQUENCE {
///   origin Origin, oseq INTEGER (0..18446744073709551615), csn OCTET STRING (SIZE(12)), tag INTEGER (0..65535),
///   uuid OCTET STRING (SIZE(16)) OPTIONAL, addCsn OCTET STRING (SIZE(12)) OPTIONAL,
///   parent OCTET STRING (SIZE(16)) OPTIONAL, txid OCTET STRING OPTIONAL,
///   op ENUMERATED { add(0), mod(1), del(2), ren(3), mark(4), adv(5) },
///   payload OCTET STRING, ext SEQUENCE OF Extension OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, AsnType, Encode, Decode)]
#[rasn(automatic_tags)]
pub struct Record {
    /// Where the change was made.
    pub origin: RecordOrigin,
    /// Its dense sequence within the origin.
    pub oseq: u64,
    /// Its CSN.
    pub csn: FixedOctetString<12>,
    /// Scope tag for selective replication.
    pub tag: u16,
    /// The entry; absent in MARK and ADV.
    pub uuid: Option<FixedOctetString<16>>,
    /// The CSN of the entry's ADD.
    pub add_csn: Option<FixedOctetString<12>>,
    /// The parent entry, for ADD and REN below another entry.
    pub parent: Option<FixedOctetString<16>>,
    /// The client's transaction id control.
    pub txid: Option<OctetString>,
    /// What was done.
    pub op: RecordOp,
    /// ADD: the stored entry; MOD and REN: the effects; opaque here.
    pub payload: OctetString,
    /// What later versions add.
    pub ext: Option<rasn::types::SequenceOf<Extension>>,
}

/// Decodes a record by its ASN.1 definition: strict DER, nothing may follow.
pub fn decode(bytes: &[u8]) -> Result<Record, ChangelogError> {
    rasn::der::decode(bytes).map_err(|error| ChangelogError::Der(error.to_string()))
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Added an entry.
    Add,
    /// Changed attributes.
    Modify,
    /// Deleted an entry.
    Delete,
    /// Renamed or moved an entry.
    Rename,
    /// Nothing: a watermark of the origin.
    Mark,
    /// Stands for a range of changes that compaction or a filter removed.
    Advance,
}

impl Op {
    const fn number(self) -> u8 {
        match self {
            Self::Add => 0,
            Self::Modify => 1,
            Self::Delete => 2,
            Self::Rename => 3,
            Self::Mark => 4,
            Self::Advance => 5,
        }
    }

    const fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Add,
            1 => Self::Modify,
            2 => Self::Delete,
            3 => Self::Rename,
            4 => Self::Mark,
            5 => Self::Advance,
            _ => return None,
        })
    }
}

/// A change record that borrows its parts; see [`Record`] for the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeRecord<'a> {
    /// Where the change was made.
    pub origin: Origin,
    /// Its dense sequence within the origin, from 1.
    pub oseq: u64,
    /// Its CSN.
    pub csn: Csn,
    /// Scope tag for selective replication; 0 = none.
    pub tag: u16,
    /// The entry; none in MARK and ADV.
    pub uuid: Option<[u8; 16]>,
    /// The CSN of the entry's ADD.
    pub add_csn: Option<Csn>,
    /// The parent entry, for ADD and REN below another entry.
    pub parent: Option<[u8; 16]>,
    /// The client's transaction id.
    pub txid: Option<&'a [u8]>,
    /// What was done.
    pub op: Op,
    /// ADD: the stored entry, verbatim; MOD and REN: the effects; DEL: the kind of delete.
    pub payload: &'a [u8],
    /// The content of `ext`, encoded, if there is any.
    pub ext: Option<&'a [u8]>,
}

const TAG_UUID: u8 = tag::context(4);
const TAG_ADD_CSN: u8 = tag::context(5);
const TAG_PARENT: u8 = tag::context(6);
const TAG_TXID: u8 = tag::context(7);
const TAG_OP: u8 = tag::context(8);
const TAG_PAYLOAD: u8 = tag::context(9);
const TAG_EXT: u8 = tag::context_constructed(10);

impl<'a> ChangeRecord<'a> {
    /// Appends the DER encoding of the record; `payload` is copied once, into place. Returns the offset of the
    /// payload's bytes from the start of the record.
    pub fn encode(&self, out: &mut BytesMut) -> usize {
        self.encode_with(out, self.payload.len(), |out| out.put_slice(self.payload))
    }

    /// As [`ChangeRecord::encode`], but the payload, of exactly `length` bytes, is written by the caller straight
    /// into place; `self.payload` is not looked at. A `fill` that writes another number of bytes makes a record that
    /// no reader accepts.
    pub fn encode_with(&self, out: &mut BytesMut, length: usize, fill: impl FnOnce(&mut BytesMut)) -> usize {
        let start = out.len();
        let rid = i64::from(self.origin.replica.get());
        let inc = i64::from(self.origin.incarnation.get());
        let origin = 4 + write::integer_len(rid) + write::integer_len(inc);
        let oseq = unsigned(&self.oseq);
        let content = write::element_len(origin)
            + write::element_len(oseq.len())
            + write::element_len(12)
            + write::element_len(write::integer_len(i64::from(self.tag)))
            + self.uuid.map_or(0, |_| write::element_len(16))
            + self.add_csn.map_or(0, |_| write::element_len(12))
            + self.parent.map_or(0, |_| write::element_len(16))
            + self.txid.map_or(0, |txid| write::element_len(txid.len()))
            + write::element_len(1)
            + write::element_len(length)
            + self.ext.map_or(0, |ext| write::element_len(ext.len()));
        out.reserve(write::element_len(content));
        write::header(out, tag::SEQUENCE, content);
        write::header(out, tag::context_constructed(0), origin);
        write::integer(out, tag::context(0), rid);
        write::integer(out, tag::context(1), inc);
        write::element(out, tag::context(1), oseq.as_slice());
        write::element(out, tag::context(2), self.csn.as_bytes());
        write::integer(out, tag::context(3), i64::from(self.tag));
        if let Some(uuid) = &self.uuid {
            write::element(out, TAG_UUID, uuid);
        }
        if let Some(csn) = &self.add_csn {
            write::element(out, TAG_ADD_CSN, csn.as_bytes());
        }
        if let Some(parent) = &self.parent {
            write::element(out, TAG_PARENT, parent);
        }
        if let Some(txid) = self.txid {
            write::element(out, TAG_TXID, txid);
        }
        write::element(out, TAG_OP, &[self.op.number()]);
        write::header(out, TAG_PAYLOAD, length);
        let payload = out.len() - start;
        fill(out);
        if let Some(ext) = self.ext {
            write::element(out, TAG_EXT, ext);
        }
        payload
    }

    /// Reads a record, borrowing its parts. Bytes that are no [`Record`] in DER are refused.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ChangelogError> {
        Self::parse(bytes).map_err(|error| match error {
            ParseError::Ber(error) => ChangelogError::Der(error.to_string()),
            ParseError::Value(what) => ChangelogError::Record(what),
        })
    }

    fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut outer = Strict(Reader::new(bytes));
        let mut record = Strict(Reader::new(outer.expect(tag::SEQUENCE)?));
        outer.0.finish()?;
        let mut origin = Strict(Reader::new(record.expect(tag::context_constructed(0))?));
        let rid = small(origin.expect(tag::context(0))?, "replica id")?;
        let inc = small(origin.expect(tag::context(1))?, "incarnation")?;
        origin.0.finish()?;
        let replica = ReplicaId::new(rid).ok_or(ParseError::Value("replica id 0"))?;
        let incarnation = Incarnation::new(inc).ok_or(ParseError::Value("incarnation 0"))?;
        let oseq = number(record.expect(tag::context(1))?, "oseq")?;
        let csn = Csn::from_bytes(fixed(record.expect(tag::context(2))?, "CSN")?);
        let scope = small(record.expect(tag::context(3))?, "tag")?;
        let uuid = record.optional(TAG_UUID)?.map(|octets| fixed(octets, "UUID")).transpose()?;
        let add_csn = record.optional(TAG_ADD_CSN)?.map(|octets| fixed(octets, "addCsn")).transpose()?;
        let parent = record.optional(TAG_PARENT)?.map(|octets| fixed(octets, "parent")).transpose()?;
        let txid = record.optional(TAG_TXID)?;
        let op = number(record.expect(TAG_OP)?, "op")?;
        let op = i64::try_from(op).ok().and_then(Op::from_number).ok_or(ParseError::Value("unknown op"))?;
        let payload = record.expect(TAG_PAYLOAD)?;
        let ext = record.optional(TAG_EXT)?;
        record.0.finish()?;
        let origin = Origin { replica, incarnation };
        let add_csn = add_csn.map(Csn::from_bytes);
        Ok(Self { origin, oseq, csn, tag: scope, uuid, add_csn, parent, txid, op, payload, ext })
    }
}

enum ParseError {
    Ber(BerError),
    Value(&'static str),
}

impl From<BerError> for ParseError {
    fn from(error: BerError) -> Self {
        Self::Ber(error)
    }
}

/// A reader that also refuses lengths in a longer form than needed, which BER allows and DER does not.
struct Strict<'a>(Reader<'a>);

impl<'a> Strict<'a> {
    fn expect(&mut self, expected: u8) -> Result<&'a [u8], ParseError> {
        let found = self.0.peek().ok_or(BerError::Missing)?;
        if found != expected {
            return Err(BerError::UnexpectedTag { expected, found }.into());
        }
        let element = self.0.tlv()?;
        if element.whole.len() != write::element_len(element.content.len()) {
            return Err(ParseError::Value("a length is not in its shortest form"));
        }
        Ok(element.content)
    }

    fn optional(&mut self, wanted: u8) -> Result<Option<&'a [u8]>, ParseError> {
        if self.0.peek() == Some(wanted) { self.expect(wanted).map(Some) } else { Ok(None) }
    }
}

fn fixed<const N: usize>(octets: &[u8], what: &'static str) -> Result<[u8; N], ParseError> {
    octets.try_into().map_err(|_| ParseError::Value(what))
}

/// A non-negative INTEGER of up to 64 bits in its shortest form.
fn number(octets: &[u8], what: &'static str) -> Result<u64, ParseError> {
    let magnitude = match octets {
        [0] => return Ok(0),
        [0, rest @ ..] if rest.first().is_some_and(|octet| octet & 0x80 != 0) => rest,
        [first, ..] if *first != 0 && first & 0x80 == 0 => octets,
        _ => return Err(ParseError::Value(what)),
    };
    if magnitude.len() > 8 {
        return Err(ParseError::Value(what));
    }
    Ok(magnitude.iter().fold(0, |sum, &octet| (sum << 8) | u64::from(octet)))
}

fn small(octets: &[u8], what: &'static str) -> Result<u16, ParseError> {
    u16::try_from(number(octets, what)?).map_err(|_| ParseError::Value(what))
}

/// The content octets of a non-negative INTEGER of up to 64 bits.
struct Unsigned {
    octets: [u8; 9],
    start: usize,
}

fn unsigned(value: &u64) -> Unsigned {
    let [o7, o6, o5, o4, o3, o2, o1, o0] = value.to_be_bytes();
    let significant = (64 - value.leading_zeros()) as usize / 8 + 1;
    Unsigned { octets: [0, o7, o6, o5, o4, o3, o2, o1, o0], start: 9 - significant }
}

impl Unsigned {
    fn as_slice(&self) -> &[u8] {
        self.octets.get(self.start..).unwrap_or_default()
    }

    const fn len(&self) -> usize {
        9 - self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_asn1(record: &ChangeRecord<'_>) -> Record {
        Record {
            origin: RecordOrigin { rid: record.origin.replica.get(), inc: record.origin.incarnation.get() },
            oseq: record.oseq,
            csn: FixedOctetString::new(record.csn.to_bytes()),
            tag: record.tag,
            uuid: record.uuid.map(FixedOctetString::new),
            add_csn: record.add_csn.map(|csn| FixedOctetString::new(csn.to_bytes())),
            parent: record.parent.map(FixedOctetString::new),
            txid: record.txid.map(OctetString::from),
            op: match record.op {
                Op::Add => RecordOp::Add,
                Op::Modify => RecordOp::Mod,
                Op::Delete => RecordOp::Del,
                Op::Rename => RecordOp::Ren,
                Op::Mark => RecordOp::Mark,
                Op::Advance => RecordOp::Adv,
            },
            payload: OctetString::from(record.payload),
            ext: record.ext.map(|_| vec![Extension { id: 9, value: OctetString::from(vec![1, 2]) }]),
        }
    }

    /// `[Extension { id: 9, value: 01 02 }]` as the content of `ext`.
    const EXT: &[u8] = &[0x30, 0x07, 0x80, 0x01, 0x09, 0x81, 0x02, 0x01, 0x02];

    #[test]
    fn a_delete_is_small() {
        let record = ChangeRecord {
            origin: Csn::new(0, 0, 1, 1).origin().unwrap(),
            oseq: 77,
            csn: Csn::new(1_700_000_000_000, 0, 1, 1),
            tag: 0,
            uuid: Some([7; 16]),
            add_csn: Some(Csn::new(1_600_000_000_000, 0, 1, 1)),
            parent: None,
            txid: None,
            op: Op::Delete,
            payload: &[0],
            ext: None,
        };
        let mut out = BytesMut::new();
        record.encode(&mut out);
        assert_eq!(out.len(), 68);
    }

    #[test]
    fn longer_lengths_than_needed_are_refused() {
        // SEQUENCE with its length in two octets where one would do.
        assert!(ChangeRecord::decode(&[0x30, 0x81, 0x02, 0xa0, 0x00]).is_err());
    }

    fn op() -> impl Strategy<Value = Op> {
        (0_i64..6).prop_map(|number| Op::from_number(number).unwrap())
    }

    proptest! {
        #[test]
        fn equal_to_the_definition_byte_for_byte(
            ids in (1_u16.., 1_u16.., any::<u64>(), any::<[u8; 12]>(), any::<u16>()),
            uuid: Option<[u8; 16]>, add_csn: Option<[u8; 12]>, parent: Option<[u8; 16]>,
            txid: Option<Vec<u8>>, op in op(),
            payload in proptest::collection::vec(any::<u8>(), 0..700), ext: bool, shift in 0_u32..64, before in 0_usize..40,
        ) {
            let record = ChangeRecord {
                origin: Csn::new(0, 0, ids.0, ids.1).origin().unwrap(),
                oseq: ids.2 >> shift,
                csn: Csn::from_bytes(ids.3),
                tag: ids.4,
                uuid, add_csn: add_csn.map(Csn::from_bytes), parent,
                txid: txid.as_deref(), op, payload: &payload,
                ext: ext.then_some(EXT),
            };
            let mut out = BytesMut::new();
            out.put_bytes(0xee, before);
            let at = record.encode(&mut out);
            let bytes = &out[before..];
            prop_assert_eq!(&bytes[at..at + payload.len()], payload.as_slice());
            let definition = rasn::der::encode(&to_asn1(&record)).unwrap();
            prop_assert_eq!(bytes, definition.as_slice());
            prop_assert_eq!(decode(bytes), Ok(to_asn1(&record)));
            prop_assert_eq!(ChangeRecord::decode(bytes), Ok(record));
            for cut in 0..bytes.len().min(120) {
                prop_assert!(ChangeRecord::decode(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn what_is_accepted_is_der(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), at: u16) {
            // A valid record with one octet changed: if the quick reader takes it, so does the definition.
            let record = ChangeRecord {
                origin: Csn::new(0, 0, 1, 1).origin().unwrap(), oseq: 300, csn: Csn::ZERO, tag: 1,
                uuid: Some([1; 16]), add_csn: None, parent: None, txid: Some(b"t"), op: Op::Add, payload: &bytes, ext: None,
            };
            let mut out = BytesMut::new();
            record.encode(&mut out);
            bytes = out.to_vec();
            let index = usize::from(at) % bytes.len();
            bytes[index] ^= (at >> 8) as u8;
            if ChangeRecord::decode(&bytes).is_ok() {
                prop_assert!(decode(&bytes).is_ok());
            }
        }
    }
}
