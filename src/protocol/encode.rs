//! Responses, straight into the connection's buffer: exact lengths first, then bytes, nothing in between.
//!
//! An entry's attributes are spliced: slices of encoded PartialAttributes go out as they are stored.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::ber::tag;
use crate::ber::write::{boolean, element, element_len, header, integer, integer_len, octets};

use super::message::{MessageId, OperationKind};
use super::oid;
use super::result::LdapResult;

/// A response that carries an LDAPResult.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ResponseKind {
    Bind,
    SearchDone,
    Modify,
    Add,
    Delete,
    ModifyDn,
    Compare,
    Extended,
}

impl ResponseKind {
    /// The tag of its protocolOp.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Bind => 0x61,
            Self::SearchDone => 0x65,
            Self::Modify => 0x67,
            Self::Add => 0x69,
            Self::Delete => 0x6b,
            Self::ModifyDn => 0x6d,
            Self::Compare => 0x6f,
            Self::Extended => 0x78,
        }
    }

    /// The response with this tag.
    pub const fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            0x61 => Self::Bind,
            0x65 => Self::SearchDone,
            0x67 => Self::Modify,
            0x69 => Self::Add,
            0x6b => Self::Delete,
            0x6d => Self::ModifyDn,
            0x6f => Self::Compare,
            0x78 => Self::Extended,
            _ => return None,
        })
    }
}

impl OperationKind {
    /// The response that ends the operation; unbind and abandon have none.
    pub const fn response(self) -> Option<ResponseKind> {
        Some(match self {
            Self::Bind => ResponseKind::Bind,
            Self::Search => ResponseKind::SearchDone,
            Self::Modify => ResponseKind::Modify,
            Self::Add => ResponseKind::Add,
            Self::Delete => ResponseKind::Delete,
            Self::ModifyDn => ResponseKind::ModifyDn,
            Self::Compare => ResponseKind::Compare,
            Self::Extended => ResponseKind::Extended,
            Self::Unbind | Self::Abandon => return None,
        })
    }
}

/// A control of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseControl {
    /// The control's OID.
    pub oid: Cow<'static, str>,
    /// Meaningless in responses, but some controls' texts fix it.
    pub critical: bool,
    /// Its value.
    pub value: Option<Bytes>,
}

impl ResponseControl {
    /// A control that is not critical, as response controls are.
    pub const fn new(oid: &'static str, value: Option<Bytes>) -> Self {
        Self { oid: Cow::Borrowed(oid), critical: false, value }
    }
}

/// Writes a response that has no more than an LDAPResult: of any kind, also bind and extended without their
/// optional members.
pub fn result(
    out: &mut BytesMut,
    id: MessageId,
    kind: ResponseKind,
    result: &LdapResult,
    controls: &[ResponseControl],
) {
    message(out, id, kind.tag(), result_len(result), controls, |out| put_result(out, result));
}

/// Writes a BindResponse; `server_sasl` is the answer to a SASL challenge.
pub fn bind(
    out: &mut BytesMut,
    id: MessageId,
    result: &LdapResult,
    server_sasl: Option<&[u8]>,
    controls: &[ResponseControl],
) {
    let length = result_len(result) + optional_len(server_sasl);
    message(out, id, ResponseKind::Bind.tag(), length, controls, |out| {
        put_result(out, result);
        put_optional(out, 0x87, server_sasl);
    });
}

/// Writes an ExtendedResponse.
pub fn extended(
    out: &mut BytesMut,
    id: MessageId,
    result: &LdapResult,
    name: Option<&str>,
    value: Option<&[u8]>,
    controls: &[ResponseControl],
) {
    let name = name.map(str::as_bytes);
    let length = result_len(result) + optional_len(name) + optional_len(value);
    message(out, id, ResponseKind::Extended.tag(), length, controls, |out| {
        put_result(out, result);
        put_optional(out, 0x8a, name);
        put_optional(out, 0x8b, value);
    });
}

/// Writes an IntermediateResponse (RFC 4511 §4.13).
pub fn intermediate(
    out: &mut BytesMut,
    id: MessageId,
    name: Option<&str>,
    value: Option<&[u8]>,
    controls: &[ResponseControl],
) {
    let name = name.map(str::as_bytes);
    message(out, id, 0x79, optional_len(name) + optional_len(value), controls, |out| {
        put_optional(out, 0x80, name);
        put_optional(out, 0x81, value);
    });
}

/// Writes a SearchResultEntry. Each slice holds zero or more whole encoded PartialAttributes, which are copied as
/// they are.
pub fn entry(
    out: &mut BytesMut,
    id: MessageId,
    dn: &str,
    attributes: &[&[u8]],
    controls: &[ResponseControl],
) {
    let list = attributes.iter().map(|slice| slice.len()).sum();
    message(out, id, ENTRY, element_len(dn.len()) + element_len(list), controls, |out| {
        put_entry(out, dn, list, attributes);
    });
}

/// The tag of a SearchResultEntry.
pub(super) const ENTRY: u8 = 0x64;
/// The tag of a SearchResultReference.
pub(super) const REFERENCE: u8 = 0x73;

/// A SearchResultEntry by itself, with its APPLICATION 4 tag: the value of the read-entry response controls.
pub fn bare_entry(dn: &str, attributes: &[&[u8]]) -> Bytes {
    let list = attributes.iter().map(|slice| slice.len()).sum();
    let length = element_len(dn.len()) + element_len(list);
    let mut out = BytesMut::with_capacity(element_len(length));
    header(&mut out, ENTRY, length);
    put_entry(&mut out, dn, list, attributes);
    out.freeze()
}

/// Writes a SearchResultReference.
pub fn reference(out: &mut BytesMut, id: MessageId, uris: &[&str], controls: &[ResponseControl]) {
    let length = uris.iter().map(|uri| element_len(uri.len())).sum();
    message(out, id, REFERENCE, length, controls, |out| {
        uris.iter().for_each(|uri| octets(out, uri.as_bytes()));
    });
}

/// Writes the Notice of Disconnection (RFC 4511 §4.4.1): message id 0, and the reason.
pub fn notice_of_disconnection(out: &mut BytesMut, result: &LdapResult) {
    extended(out, MessageId(0), result, Some(oid::NOTICE_OF_DISCONNECTION), None, &[]);
}

/// Octets of one encoded PartialAttribute.
pub fn attribute_len<'a>(name: &str, values: impl Iterator<Item = &'a [u8]>) -> usize {
    let set = values.map(|value| element_len(value.len())).sum();
    element_len(element_len(name.len()) + element_len(set))
}

/// Appends one PartialAttribute, in the shortest form: what [`entry`] splices and what entries are stored as.
pub fn attribute<'a>(out: &mut BytesMut, name: &str, values: impl Iterator<Item = &'a [u8]> + Clone) {
    let set = values.clone().map(|value| element_len(value.len())).sum();
    let length = element_len(name.len()) + element_len(set);
    out.reserve(element_len(length));
    header(out, tag::SEQUENCE, length);
    octets(out, name.as_bytes());
    header(out, tag::SET, set);
    values.for_each(|value| octets(out, value));
}

/// Writes one LDAPMessage whose protocolOp has `length` content octets.
pub(super) fn message(
    out: &mut BytesMut,
    id: MessageId,
    operation: u8,
    length: usize,
    controls: &[ResponseControl],
    write: impl FnOnce(&mut BytesMut),
) {
    let controls_len: usize = controls.iter().map(|control| element_len(control_len(control))).sum();
    let id_len = integer_len(id.0.into());
    let total = element_len(id_len)
        + element_len(length)
        + if controls.is_empty() { 0 } else { element_len(controls_len) };
    out.reserve(element_len(total));
    header(out, tag::SEQUENCE, total);
    integer(out, tag::INTEGER, id.0.into());
    header(out, operation, length);
    write(out);
    if !controls.is_empty() {
        header(out, tag::context_constructed(0), controls_len);
        for control in controls {
            header(out, tag::SEQUENCE, control_len(control));
            octets(out, control.oid.as_bytes());
            if control.critical {
                boolean(out, true);
            }
            if let Some(value) = &control.value {
                octets(out, value);
            }
        }
    }
}

fn control_len(control: &ResponseControl) -> usize {
    element_len(control.oid.len())
        + if control.critical { 3 } else { 0 }
        + optional_len(control.value.as_deref())
}

fn result_len(result: &LdapResult) -> usize {
    element_len(integer_len(result.code.0.into()))
        + element_len(result.matched.len())
        + element_len(result.diagnostic.len())
}

fn put_result(out: &mut BytesMut, result: &LdapResult) {
    integer(out, tag::ENUMERATED, result.code.0.into());
    octets(out, result.matched.as_bytes());
    octets(out, result.diagnostic.as_bytes());
}

fn put_entry(out: &mut BytesMut, dn: &str, list: usize, attributes: &[&[u8]]) {
    octets(out, dn.as_bytes());
    header(out, tag::SEQUENCE, list);
    attributes.iter().for_each(|slice| out.put_slice(slice));
}

fn optional_len(content: Option<&[u8]>) -> usize {
    content.map_or(0, |content| element_len(content.len()))
}

fn put_optional(out: &mut BytesMut, tag: u8, content: Option<&[u8]>) {
    if let Some(content) = content {
        element(out, tag, content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::response::{Response, decode};
    use crate::protocol::result::ResultCode;

    fn written(write: impl FnOnce(&mut BytesMut)) -> BytesMut {
        let mut out = BytesMut::new();
        write(&mut out);
        out
    }

    #[test]
    fn results_are_written_byte_for_byte() {
        let success = LdapResult::success();
        let out = written(|out| result(out, MessageId(2), ResponseKind::SearchDone, &success, &[]));
        assert_eq!(out.as_ref(), b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00");
        let refused = LdapResult::new(ResultCode::NO_OPERATION, "no").matched("o=a".into());
        let out = written(|out| result(out, MessageId(300), ResponseKind::Add, &refused, &[]));
        assert_eq!(out.as_ref(), b"\x30\x13\x02\x02\x01\x2c\x69\x0d\x0a\x02\x41\x0e\x04\x03o=a\x04\x02no");
        let control = ResponseControl::new("1.2", Some(Bytes::from_static(b"x")));
        let critical = ResponseControl { critical: true, value: None, ..control.clone() };
        let out =
            written(|out| result(out, MessageId(2), ResponseKind::Delete, &success, &[control, critical]));
        assert_eq!(
            out.as_ref(),
            b"\x30\x22\x02\x01\x02\x6b\x07\x0a\x01\x00\x04\x00\x04\x00\
              \xa0\x14\x30\x08\x04\x031.2\x04\x01x\x30\x08\x04\x031.2\x01\x01\xff"
        );
        let message = decode(&out).unwrap();
        assert_eq!(
            message.controls.map(|c| (c.oid, c.critical, c.value)).collect::<Vec<_>>(),
            [("1.2", false, Some(&b"x"[..])), ("1.2", true, None)]
        );
    }

    #[test]
    fn entries_splice_their_attributes() {
        let mut stored = BytesMut::new();
        attribute(&mut stored, "cn", [&b"a"[..], b"\xff"].into_iter());
        assert_eq!(stored.as_ref(), b"\x30\x0c\x04\x02cn\x31\x06\x04\x01a\x04\x01\xff");
        assert_eq!(stored.len(), attribute_len("cn", [&b"a"[..], b"\xff"].into_iter()));
        let mut more = BytesMut::new();
        attribute(&mut more, "sn", std::iter::empty());
        let out = written(|out| entry(out, MessageId(1), "cn=a", &[&stored, &[], &more], &[]));
        let message = decode(&out).unwrap();
        let Response::Entry { dn, attributes } = message.response else { panic!() };
        assert_eq!(dn, "cn=a");
        assert_eq!(attributes.content(), [stored, more].concat());
        assert_eq!(bare_entry("", &[]).as_ref(), b"\x64\x04\x04\x00\x30\x00");
    }

    #[test]
    fn long_contents_have_exact_lengths() {
        for size in [0, 100, 119, 120, 127, 128, 250, 255, 256, 65_000, 65_535, 65_536, 70_000] {
            let value = vec![7; size];
            let mut stored = BytesMut::new();
            attribute(&mut stored, "x", std::iter::once(&value[..]));
            let out = written(|out| entry(out, MessageId(1), "", &[&stored], &[]));
            let Response::Entry { attributes, .. } = decode(&out).unwrap().response else { panic!() };
            assert_eq!(attributes.iter().next().unwrap().values.first(), Some(&value[..]));
        }
    }

    #[test]
    fn the_other_responses_are_read_back() {
        let code = LdapResult::new(ResultCode::SASL_BIND_IN_PROGRESS, "");
        let out = written(|out| bind(out, MessageId(1), &code, Some(b"srv"), &[]));
        let Response::Bind { result, server_sasl } = decode(&out).unwrap().response else { panic!() };
        assert_eq!((result, server_sasl), (code, Some(&b"srv"[..])));

        let out = written(|out| extended(out, MessageId(1), &LdapResult::success(), None, Some(b""), &[]));
        let Response::Extended { name, value, .. } = decode(&out).unwrap().response else { panic!() };
        assert_eq!((name, value), (None, Some(&b""[..])));

        let out = written(|out| intermediate(out, MessageId(1), Some("1.2"), None, &[]));
        let Response::Intermediate { name, value } = decode(&out).unwrap().response else { panic!() };
        assert_eq!((name, value), (Some("1.2"), None));

        let out = written(|out| reference(out, MessageId(1), &["ldap://a/", "ldap://b/"], &[]));
        let Response::Reference(uris) = decode(&out).unwrap().response else { panic!() };
        assert_eq!(uris.iter().collect::<Vec<_>>(), ["ldap://a/", "ldap://b/"]);
    }

    #[test]
    fn the_notice_of_disconnection_has_id_0_and_its_oid() {
        let out = written(|out| {
            notice_of_disconnection(out, &LdapResult::new(ResultCode::UNAVAILABLE, ""));
        });
        assert_eq!(
            out.as_ref(),
            b"\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x34\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20036"
        );
    }

    #[test]
    fn every_operation_has_its_response() {
        use OperationKind::{
            Abandon, Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, Search, Unbind,
        };
        for kind in [Abandon, Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, Search, Unbind] {
            assert_eq!(OperationKind::from_tag(kind.tag()), Some(kind));
            if let Some(response) = kind.response() {
                assert_eq!(ResponseKind::from_tag(response.tag()), Some(response));
            }
        }
    }
}
