//! From a frame to a [`Request`]: everything is checked before anything is handed out, without allocating.
//!
//! Stricter than BER, as RFC 4511 §5.1 wants: definite lengths, booleans of 00 and FF, children inside their
//! parent and the parent used up. Looser in one point, as RFC 4511 §4 wants: unknown trailing elements of a
//! SEQUENCE are skipped, unless they carry the tag of an optional member that stands in the wrong place.

use bytes::Bytes;

use crate::ber::{BerError, Reader, tag};

use super::filter::Filter;
use super::list::{Attributes, Controls, Modifications, Strings};
use super::message::{
    AddRequest, Authentication, BindRequest, CompareRequest, DeleteRequest, ExtendedRequest, MessageId,
    ModifyDnRequest, ModifyRequest, Operation, OperationKind, Request, Scope, SearchRequest,
};

/// Bounds on what one message may hold, besides its size.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Filters within filters.
    pub max_filter_depth: usize,
    /// Filters of one search, of all depths.
    pub max_filter_nodes: usize,
    /// Elements of lists in one message: values, attributes, modifications, controls, strings.
    pub max_elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_filter_depth: 64, max_filter_nodes: 10_000, max_elements: 100_000 }
    }
}

/// Why a message cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The octets are not the BER that LDAP allows.
    #[error(transparent)]
    Ber(#[from] BerError),
    /// The message id is not from 1 to 2^31 − 1.
    #[error("the message id is not from 1 to 2147483647")]
    MessageId,
    /// No request has this tag.
    #[error("no request has tag {0:#04x}")]
    UnknownOperation(u8),
    /// A list member beyond [`Limits::max_elements`].
    #[error("the message has too many elements")]
    TooManyElements,
    /// A filter deeper than [`Limits::max_filter_depth`].
    #[error("the filter is nested too deeply")]
    FilterTooDeep,
    /// More filters than [`Limits::max_filter_nodes`].
    #[error("the filter has too many parts")]
    FilterTooLarge,
    /// No filter has this tag.
    #[error("no filter has tag {0:#04x}")]
    UnknownFilter(u8),
    /// A NOT with no or several filters.
    #[error("a NOT filter has not exactly one part")]
    NotFilter,
    /// A substring filter without parts, or with an initial or final part in the wrong place.
    #[error("a substring filter has no parts or they are out of order")]
    Substrings,
    /// An extensible filter with neither matching rule nor attribute.
    #[error("an extensible filter names neither matching rule nor attribute")]
    Extensible,
    /// A filter that RFC 3876 does not allow in a values return filter.
    #[error("a filter that is not allowed here")]
    FilterNotAllowed,
    /// An attribute of an add request without values.
    #[error("an attribute has no values")]
    NoValues,
    /// No modification has this number.
    #[error("unknown modification operation")]
    ModifyOperation,
    /// No scope has this number.
    #[error("unknown search scope")]
    Scope,
    /// No alias treatment has this number.
    #[error("unknown derefAliases value")]
    Deref,
    /// A size or time limit out of range.
    #[error("a limit is not from 0 to 2147483647")]
    Limit,
    /// A bind version out of range.
    #[error("the protocol version is not from 1 to 127")]
    Version,
    /// A known optional element out of its place.
    #[error("an element with tag {0:#04x} is out of place")]
    OutOfPlace(u8),
}

/// A message that cannot be served, with what is needed to answer it.
///
/// With an id and a kind the answer is a protocolError of that kind; otherwise only a Notice of Disconnection
/// remains (RFC 4511 §4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DecodeError {
    /// The message id, if it could be read.
    pub id: Option<MessageId>,
    /// The operation, if its tag is known.
    pub kind: Option<OperationKind>,
    /// What is wrong.
    #[source]
    pub reason: Malformed,
}

/// What a message may still use of its limits.
#[derive(Debug)]
pub(super) struct Budget {
    elements: usize,
    filters: usize,
    pub(super) filter_depth: usize,
}

impl Budget {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            elements: limits.max_elements,
            filters: limits.max_filter_nodes,
            filter_depth: limits.max_filter_depth,
        }
    }

    pub(super) fn element(&mut self) -> Result<(), Malformed> {
        self.elements = self.elements.checked_sub(1).ok_or(Malformed::TooManyElements)?;
        Ok(())
    }

    pub(super) fn filter(&mut self) -> Result<(), Malformed> {
        self.filters = self.filters.checked_sub(1).ok_or(Malformed::FilterTooLarge)?;
        Ok(())
    }

    /// Skips what is left of a SEQUENCE: whole elements, none of which has one of the `known` tags, be it in the
    /// other of its forms, primitive or constructed: a BOOLEAN written wrongly must not lose its meaning.
    pub(super) fn trailing(&mut self, mut reader: Reader<'_>, known: &[u8]) -> Result<(), Malformed> {
        while !reader.is_empty() {
            self.element()?;
            let tlv = reader.tlv()?;
            if known.iter().any(|known| (known ^ tlv.tag) & !0x20 == 0) {
                return Err(Malformed::OutOfPlace(tlv.tag));
            }
        }
        Ok(())
    }
}

/// Checks one whole message, as [`crate::ber::frame::cut`] gives it. Does not allocate.
pub fn decode(frame: Bytes, limits: &Limits) -> Result<Request, DecodeError> {
    let mut error = DecodeError { id: None, kind: None, reason: Malformed::MessageId };
    match envelope(&frame, limits, &mut error) {
        Ok((operation, controls)) => match (error.id, error.kind) {
            (Some(id), Some(kind)) => Ok(Request { frame, id, kind, operation, controls }),
            _ => Err(error),
        },
        Err(reason) => Err(DecodeError { reason, ..error }),
    }
}

type Ranges = (std::ops::Range<usize>, std::ops::Range<usize>);

/// Fills `found` as far as it gets, so that a refusal can still be addressed.
fn envelope(frame: &[u8], limits: &Limits, found: &mut DecodeError) -> Result<Ranges, Malformed> {
    let mut outer = Reader::new(frame);
    let mut message = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    let mut budget = Budget::new(limits);

    let id = message.integer()?;
    let id = i32::try_from(id).ok().filter(|id| *id > 0).ok_or(Malformed::MessageId)?;
    found.id = Some(MessageId(id));

    let operation_tag = message.peek().ok_or(BerError::Missing)?;
    let kind = OperationKind::from_tag(operation_tag).ok_or(Malformed::UnknownOperation(operation_tag))?;
    found.kind = Some(kind);
    // The message ends where the frame ends, so what is left tells where we are.
    let operation = message.tlv()?.content;
    let end = frame.len() - message.remaining().len();
    let operation_range = end - operation.len()..end;

    let controls = message.optional(tag::context_constructed(0))?;
    let end = frame.len() - message.remaining().len();
    let controls_range = controls.map_or(end..end, |content| end - content.len()..end);

    budget.trailing(message, &[tag::context_constructed(0)])?;
    check_operation(kind, operation, &mut budget)?;
    Controls::check(controls.unwrap_or_default(), &mut budget)?;
    Ok((operation_range, controls_range))
}

fn check_operation(kind: OperationKind, content: &[u8], budget: &mut Budget) -> Result<(), Malformed> {
    let mut reader = Reader::new(content);
    match kind {
        OperationKind::Bind => check_bind(reader, budget),
        OperationKind::Unbind => Ok(reader.finish()?),
        OperationKind::Search => check_search(reader, budget),
        OperationKind::Modify => {
            reader.string()?;
            Modifications::check(reader.expect(tag::SEQUENCE)?, budget)?;
            budget.trailing(reader, &[])
        }
        OperationKind::Add => {
            reader.string()?;
            Attributes::check_valued(reader.expect(tag::SEQUENCE)?, budget)?;
            budget.trailing(reader, &[])
        }
        OperationKind::Delete => text(content).map(drop),
        OperationKind::ModifyDn => {
            reader.string()?;
            reader.string()?;
            reader.boolean()?;
            if let Some(superior) = reader.optional(tag::context(0))? {
                text(superior)?;
            }
            budget.trailing(reader, &[tag::context(0)])
        }
        OperationKind::Compare => {
            reader.string()?;
            let mut assertion = reader.nested(tag::SEQUENCE)?;
            assertion.string()?;
            assertion.octets()?;
            budget.trailing(assertion, &[])?;
            budget.trailing(reader, &[])
        }
        OperationKind::Abandon => {
            let id = crate::ber::read::integer(content)?;
            if i32::try_from(id).is_ok_and(|id| id >= 0) { Ok(()) } else { Err(Malformed::MessageId) }
        }
        OperationKind::Extended => {
            text(reader.expect(tag::context(0))?)?;
            reader.optional(tag::context(1))?;
            budget.trailing(reader, &[tag::context(0), tag::context(1)])
        }
    }
}

fn check_bind(mut reader: Reader<'_>, budget: &mut Budget) -> Result<(), Malformed> {
    let version = reader.integer()?;
    if !(1..=127).contains(&version) {
        return Err(Malformed::Version);
    }
    reader.string()?;
    let choice = reader.tlv()?;
    if choice.tag & 0xc0 != 0x80 {
        return Err(BerError::UnexpectedTag { expected: tag::context(0), found: choice.tag }.into());
    }
    if choice.tag == tag::context_constructed(3) {
        let mut sasl = Reader::new(choice.content);
        sasl.string()?;
        sasl.optional(tag::OCTET_STRING)?;
        budget.trailing(sasl, &[tag::OCTET_STRING])?;
    }
    budget.trailing(reader, &[tag::context(0), tag::context_constructed(3)])
}

fn check_search(mut reader: Reader<'_>, budget: &mut Budget) -> Result<(), Malformed> {
    reader.string()?;
    Scope::from_number(reader.enumerated()?).ok_or(Malformed::Scope)?;
    if !(0..=3).contains(&reader.enumerated()?) {
        return Err(Malformed::Deref);
    }
    for _ in 0..2 {
        if !(0..=i64::from(i32::MAX)).contains(&reader.integer()?) {
            return Err(Malformed::Limit);
        }
    }
    reader.boolean()?;
    Filter::check(reader.tlv()?, 1, budget)?;
    Strings::check(reader.expect(tag::SEQUENCE)?, budget)?;
    budget.trailing(reader, &[])
}

/// UTF-8 of content octets.
pub(super) fn text(content: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(content).map_err(|_| BerError::Utf8.into())
}

/// Reads checked content octets again. Nothing can be missing; if it were, the answer would be an empty element,
/// never a part of a list.
pub(super) fn read_operation(kind: OperationKind, content: &[u8]) -> Operation<'_> {
    let mut reader = Reader::new(content);
    match kind {
        OperationKind::Bind => Operation::Bind(read_bind(&mut reader)),
        OperationKind::Unbind => Operation::Unbind,
        OperationKind::Search => Operation::Search(read_search(&mut reader)),
        OperationKind::Modify => Operation::Modify(ModifyRequest {
            dn: reader.string().unwrap_or_default(),
            changes: Modifications::checked(reader.expect(tag::SEQUENCE).unwrap_or_default()),
        }),
        OperationKind::Add => Operation::Add(AddRequest {
            dn: reader.string().unwrap_or_default(),
            attributes: Attributes::checked(reader.expect(tag::SEQUENCE).unwrap_or_default()),
        }),
        OperationKind::Delete => Operation::Delete(DeleteRequest { dn: text(content).unwrap_or_default() }),
        OperationKind::ModifyDn => Operation::ModifyDn(ModifyDnRequest {
            dn: reader.string().unwrap_or_default(),
            new_rdn: reader.string().unwrap_or_default(),
            delete_old_rdn: reader.boolean().unwrap_or_default(),
            new_superior: read_text(&mut reader, tag::context(0)),
        }),
        OperationKind::Compare => {
            let dn = reader.string().unwrap_or_default();
            let mut assertion = Reader::new(reader.expect(tag::SEQUENCE).unwrap_or_default());
            Operation::Compare(CompareRequest {
                dn,
                attribute: assertion.string().unwrap_or_default(),
                value: assertion.octets().unwrap_or_default(),
            })
        }
        OperationKind::Abandon => Operation::Abandon(MessageId(
            crate::ber::read::integer(content).ok().and_then(|id| i32::try_from(id).ok()).unwrap_or_default(),
        )),
        OperationKind::Extended => Operation::Extended(ExtendedRequest {
            name: read_text(&mut reader, tag::context(0)).unwrap_or_default(),
            value: reader.optional(tag::context(1)).unwrap_or_default(),
        }),
    }
}

fn read_text<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a str> {
    text(reader.optional(tag).ok()??).ok()
}

fn read_bind<'a>(reader: &mut Reader<'a>) -> BindRequest<'a> {
    let version = u8::try_from(reader.integer().unwrap_or_default()).unwrap_or_default();
    let dn = reader.string().unwrap_or_default();
    let authentication = match reader.tlv() {
        Ok(choice) if choice.tag == tag::context(0) => Authentication::Simple(choice.content),
        Ok(choice) if choice.tag == tag::context_constructed(3) => {
            let mut sasl = Reader::new(choice.content);
            Authentication::Sasl {
                mechanism: sasl.string().unwrap_or_default(),
                credentials: sasl.optional(tag::OCTET_STRING).unwrap_or_default(),
            }
        }
        Ok(choice) => Authentication::Other(choice.tag),
        Err(_) => Authentication::Other(0),
    };
    BindRequest { version, dn, authentication }
}

fn read_search<'a>(reader: &mut Reader<'a>) -> SearchRequest<'a> {
    let limit =
        |reader: &mut Reader<'a>| u32::try_from(reader.integer().unwrap_or_default()).unwrap_or_default();
    SearchRequest {
        base: reader.string().unwrap_or_default(),
        scope: reader.enumerated().ok().and_then(Scope::from_number).unwrap_or(Scope::Base),
        deref: u8::try_from(reader.enumerated().unwrap_or_default()).unwrap_or_default(),
        size_limit: limit(reader),
        time_limit: limit(reader),
        types_only: reader.boolean().unwrap_or_default(),
        filter: reader.tlv().map_or(Filter::Or(Vec::new()), Filter::build),
        attributes: Strings::checked(reader.expect(tag::SEQUENCE).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::ModifyOperation;
    use crate::protocol::{oid, request};
    use bytes::BytesMut;

    /// A message around the given octets behind the id.
    fn message(id: &[u8], rest: &[u8]) -> Bytes {
        let mut inner = BytesMut::new();
        crate::ber::write::element(&mut inner, tag::INTEGER, id);
        inner.extend_from_slice(rest);
        let mut out = BytesMut::new();
        crate::ber::write::element(&mut out, tag::SEQUENCE, &inner);
        out.freeze()
    }

    fn read(frame: impl Into<Bytes>) -> Result<Request, DecodeError> {
        decode(frame.into(), &Limits::default())
    }

    fn written(write: impl FnOnce(&mut BytesMut)) -> Request {
        let mut out = BytesMut::new();
        write(&mut out);
        read(out).unwrap()
    }

    const UNBIND: &[u8] = b"\x42\x00";

    #[test]
    fn message_ids_run_from_1_to_the_largest_of_31_bits() {
        assert_eq!(read(message(b"\x01", UNBIND)).unwrap().id(), MessageId(1));
        assert_eq!(read(message(b"\x7f\xff\xff\xff", UNBIND)).unwrap().id(), MessageId(i32::MAX));
        for id in [&b"\x00"[..], b"\xff", b"\x00\x80\x00\x00\x00", b"\x80\x00\x00\x00", b""] {
            let error = read(message(id, UNBIND)).unwrap_err();
            assert_eq!(error.id, None, "{id:?}");
        }
    }

    #[test]
    fn the_envelope_is_a_sequence_of_definite_length_and_nothing_follows() {
        assert_eq!(read(&b"\x31\x05\x02\x01\x01\x42\x00"[..]).unwrap_err().id, None);
        assert_eq!(read(&b"\x30\x80\x02\x01\x01\x42\x00\x00\x00"[..]).unwrap_err().id, None);
        assert_eq!(read(&b"\x30\x05\x02\x01\x01\x42\x00\x00"[..]).unwrap_err().id, None);
        assert!(read(&b"\x30\x84\x00\x00\x00\x05\x02\x01\x01\x42\x00"[..]).is_ok());
        assert_eq!(read(Bytes::new()).unwrap_err().id, None);
    }

    #[test]
    fn an_error_knows_id_and_operation_as_soon_as_they_are_read() {
        let error = read(message(b"\x07", b"\x79\x00")).unwrap_err();
        assert_eq!((error.id, error.kind), (Some(MessageId(7)), None));
        assert_eq!(error.reason, Malformed::UnknownOperation(0x79));
        let error = read(message(b"\x07", b"\x66\x7f\x04")).unwrap_err();
        assert_eq!((error.id, error.kind), (Some(MessageId(7)), Some(OperationKind::Modify)));
        let error = read(message(b"\x07", b"")).unwrap_err();
        assert_eq!((error.id, error.kind), (Some(MessageId(7)), None));
    }

    #[test]
    fn unknown_elements_at_the_end_are_skipped() {
        assert!(read(message(b"\x01", b"\x4a\x04cn=a\xa1\x03\x04\x01x")).is_ok());
        // Behind the controls, too; but controls may not stand behind something unknown.
        assert!(read(message(b"\x01", b"\x4a\x04cn=a\xa0\x00\x85\x00")).is_ok());
        let late = read(message(b"\x01", b"\x4a\x04cn=a\x85\x00\xa0\x00")).unwrap_err();
        assert_eq!(late.reason, Malformed::OutOfPlace(0xa0));
        // An unknown element still has to be one.
        assert!(read(message(b"\x01", b"\x4a\x04cn=a\x85\x04x")).is_err());
        assert!(read(message(b"\x01", b"\x4a\x04cn=a\x85\x80")).is_err());
    }

    #[test]
    fn controls_are_read_in_order() {
        let frame = message(
            b"\x01",
            b"\x4a\x04cn=a\xa0\x18\x30\x05\x04\x031.2\x30\x08\x04\x031.3\x01\x01\xff\x30\x05\x04\x01x\x04\x00",
        );
        let request = read(frame).unwrap();
        let all: Vec<_> = request.controls().map(|c| (c.oid, c.critical, c.value)).collect();
        assert_eq!(all, [("1.2", false, None), ("1.3", true, None), ("x", false, Some(&b""[..]))]);
        // A value before the criticality would hide it.
        let hidden = read(message(b"\x01", b"\x42\x00\xa0\x0a\x30\x08\x04\x01x\x04\x00\x01\x01\xff"));
        assert_eq!(hidden.unwrap_err().reason, Malformed::OutOfPlace(tag::BOOLEAN));
        let constructed = read(message(b"\x01", b"\x42\x00\xa0\x08\x30\x06\x04\x01x\x21\x01\xff"));
        assert_eq!(constructed.unwrap_err().reason, Malformed::OutOfPlace(0x21));
        let odd = read(message(b"\x01", b"\x42\x00\xa0\x08\x30\x06\x04\x01x\x01\x01\x01"));
        assert_eq!(odd.unwrap_err().reason, Malformed::Ber(BerError::Boolean));
    }

    #[test]
    fn binds_keep_absent_and_empty_apart() {
        let id = MessageId(1);
        let request = written(|out| request::bind(out, id, "cn=a", b"\xff\x00", &[]));
        let Operation::Bind(bind) = request.operation() else { panic!() };
        assert_eq!((bind.version, bind.dn), (3, "cn=a"));
        assert!(matches!(bind.authentication, Authentication::Simple(b"\xff\x00")));
        for credentials in [None, Some(&b""[..]), Some(b"x")] {
            let request = written(|out| request::bind_sasl(out, id, "", "EXTERNAL", credentials, &[]));
            let Operation::Bind(bind) = request.operation() else { panic!() };
            let Authentication::Sasl { mechanism, credentials: found } = bind.authentication else {
                panic!()
            };
            assert_eq!((mechanism, found), ("EXTERNAL", credentials));
        }
        let other = read(message(b"\x01", b"\x60\x07\x02\x01\x03\x04\x00\x89\x00")).unwrap();
        let Operation::Bind(bind) = other.operation() else { panic!() };
        assert!(matches!(bind.authentication, Authentication::Other(0x89)));
        assert!(read(message(b"\x01", b"\x60\x07\x02\x01\x00\x04\x00\x80\x00")).is_err());
    }

    #[test]
    fn searches_are_read_and_their_numbers_bounded() {
        let search = |scope: u8, size: &[u8]| {
            let mut body = b"\x04\x03o=a\x0a\x01".to_vec();
            body.push(scope);
            body.extend_from_slice(b"\x0a\x01\x00\x02");
            body.push(size.len() as u8);
            body.extend_from_slice(size);
            body.extend_from_slice(
                b"\x02\x01\x0a\x01\x01\x00\xa0\x0d\xa0\x00\xa3\x09\x04\x02cn\x04\x03\xffab",
            );
            body.extend_from_slice(b"\x30\x09\x04\x01*\x04\x04etag");
            let mut out = BytesMut::new();
            crate::ber::write::element(&mut out, 0x63, &body);
            read(message(b"\x02", &out))
        };
        let request = search(3, b"\x7f\xff\xff\xff").unwrap();
        let Operation::Search(found) = request.operation() else { panic!() };
        assert_eq!((found.base, found.scope, found.size_limit), ("o=a", Scope::Subordinate, 0x7fff_ffff));
        assert_eq!((found.time_limit, found.types_only, found.deref), (10, false, 0));
        assert_eq!(found.filter.to_string(), "(&(&)(cn=\\ffab))");
        assert_eq!(found.attributes.iter().collect::<Vec<_>>(), ["*", "etag"]);
        assert_eq!(search(4, b"\x00").unwrap_err().reason, Malformed::Scope);
        assert_eq!(search(0, b"\xff").unwrap_err().reason, Malformed::Limit);
        assert_eq!(search(0, b"\x00\x80\x00\x00\x00").unwrap_err().reason, Malformed::Limit);
    }

    #[test]
    fn writes_are_read_whole_or_not_at_all() {
        let changes: &[(ModifyOperation, request::Attribute<'_>)] = &[
            (ModifyOperation::Replace, ("cn", &[b"a", b""])),
            (ModifyOperation::Delete, ("sn", &[])),
            (ModifyOperation::Increment, ("uidNumber", &[b"1"])),
        ];
        let mut out = BytesMut::new();
        request::modify(&mut out, MessageId(3), "cn=a", changes, &[]);
        let frame = out.freeze();
        let request = read(frame.clone()).unwrap();
        assert_eq!(request.frame(), &frame);
        let Operation::Modify(modify) = request.operation() else { panic!() };
        let found: Vec<_> = modify
            .changes
            .iter()
            .map(|m| (m.operation, m.attribute.description, m.attribute.values.iter().collect::<Vec<_>>()))
            .collect();
        let sent: Vec<_> = changes.iter().map(|(o, (name, values))| (*o, *name, values.to_vec())).collect();
        assert_eq!(found, sent);
        // Each length octet made one larger or smaller: refused, never a shorter modify.
        for at in 0..frame.len() {
            for step in [1_u8, 255] {
                let mut bytes = frame.to_vec();
                bytes[at] = bytes[at].wrapping_add(step);
                if let Ok(request) = read(bytes) {
                    let Operation::Modify(modify) = request.operation() else { continue };
                    assert_eq!(modify.changes.len(), 3, "octet {at}");
                    assert_eq!(modify.changes.iter().map(|m| m.attribute.values.len()).sum::<usize>(), 3);
                }
            }
        }
    }

    #[test]
    fn an_added_attribute_has_a_value() {
        let id = MessageId(1);
        let request = written(|out| request::add(out, id, "cn=a", &[("cn", &[b"a"]), ("sn", &[b""])], &[]));
        let Operation::Add(add) = request.operation() else { panic!() };
        assert_eq!((add.dn, add.attributes.len()), ("cn=a", 2));
        let mut out = BytesMut::new();
        request::add(&mut out, id, "cn=a", &[("cn", &[b"a"]), ("sn", &[])], &[]);
        assert_eq!(read(out).unwrap_err().reason, Malformed::NoValues);
        // A value overrunning its SET, and a list of indefinite length.
        assert!(
            read(message(b"\x01", b"\x68\x0f\x04\x00\x30\x0b\x30\x09\x04\x02cn\x31\x03\x04\x09a")).is_err()
        );
        assert!(read(message(b"\x01", b"\x68\x06\x04\x00\x30\x80\x00\x00")).is_err());
    }

    #[test]
    fn the_small_operations_are_read() {
        let id = MessageId(5);
        let request = written(|out| request::delete(out, id, "cn=\u{e4}", &[]));
        assert!(matches!(request.operation(), Operation::Delete(DeleteRequest { dn: "cn=\u{e4}" })));
        assert!(read(message(b"\x01", b"\x4a\x01\xff")).is_err());
        for superior in [None, Some(""), Some("o=b")] {
            let request = written(|out| request::modify_dn(out, id, "cn=a", "cn=b", true, superior, &[]));
            let Operation::ModifyDn(rename) = request.operation() else { panic!() };
            assert_eq!((rename.dn, rename.new_rdn, rename.new_superior), ("cn=a", "cn=b", superior));
            assert!(rename.delete_old_rdn);
        }
        let request = written(|out| request::compare(out, id, "cn=a", "etag", b"\xff", &[]));
        let Operation::Compare(compare) = request.operation() else { panic!() };
        assert_eq!((compare.dn, compare.attribute, compare.value), ("cn=a", "etag", &b"\xff"[..]));
        let request = written(|out| request::abandon(out, id, MessageId(300), &[]));
        assert!(matches!(request.operation(), Operation::Abandon(MessageId(300))));
        for value in [None, Some(&b""[..]), Some(b"x")] {
            let request = written(|out| request::extended(out, id, oid::WHO_AM_I, value, &[]));
            let Operation::Extended(extended) = request.operation() else { panic!() };
            assert_eq!((extended.name, extended.value), (oid::WHO_AM_I, value));
        }
        assert!(matches!(written(|out| request::unbind(out, id, &[])).operation(), Operation::Unbind));
    }

    #[test]
    fn the_number_of_elements_is_bounded() {
        let values = vec![&b""[..]; 100];
        let mut out = BytesMut::new();
        request::add(&mut out, MessageId(1), "", &[("a", &values)], &[]);
        let frame = out.freeze();
        let limits = Limits { max_elements: 101, ..Limits::default() };
        assert!(decode(frame.clone(), &limits).is_ok());
        let limits = Limits { max_elements: 100, ..Limits::default() };
        assert_eq!(decode(frame, &limits).unwrap_err().reason, Malformed::TooManyElements);
    }
}
