//! Server-side sort (RFC 2891).

use bytes::Bytes;
use rasn::prelude::{AsnType, Decode, Decoder, Encode, Encoder, OctetString, SequenceOf};

use super::{ControlError, value};
use crate::ber::write::{element_len, integer, integer_len};
use crate::protocol::encode::ResponseControl;
use crate::protocol::oid;
use crate::protocol::result::ResultCode;

#[derive(AsnType, Encode, Decode)]
struct WireKey {
    attribute: OctetString,
    #[rasn(tag(0))]
    ordering_rule: Option<OctetString>,
    #[rasn(tag(1), default)]
    reverse: bool,
}

/// One key to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The attribute description.
    pub attribute: String,
    /// The ordering rule, by name or OID; the attribute's own if absent.
    pub rule: Option<String>,
    /// Whether the order is turned round.
    pub reverse: bool,
}

/// Reads a request's value: at least one key.
pub fn parse(bytes: &[u8]) -> Result<Vec<SortKey>, ControlError> {
    let keys: SequenceOf<WireKey> = value::decode(bytes)?;
    if keys.is_empty() {
        return Err(ControlError::Form);
    }
    let text = |octets: OctetString| String::from_utf8(octets.to_vec()).map_err(|_| ControlError::Form);
    let key = |key: WireKey| {
        Ok(SortKey {
            attribute: text(key.attribute)?,
            rule: key.ordering_rule.map(text).transpose()?,
            reverse: key.reverse,
        })
    };
    keys.into_iter().map(key).collect()
}

/// Writes a request's value.
pub fn request_value(keys: &[SortKey]) -> Bytes {
    let octets = |text: &str| OctetString::from(text.as_bytes().to_vec());
    let keys: SequenceOf<WireKey> = keys
        .iter()
        .map(|key| WireKey {
            attribute: octets(&key.attribute),
            ordering_rule: key.rule.as_deref().map(octets),
            reverse: key.reverse,
        })
        .collect();
    value::encode(&keys)
}

/// The response control: how sorting went, and which attribute was at fault. Written by hand, for the result
/// codes are an open set.
pub fn response(code: ResultCode, attribute: Option<&str>) -> ResponseControl {
    let code = i64::from(code.0);
    let length = element_len(integer_len(code)) + attribute.map_or(0, |name| element_len(name.len()));
    let mut out = bytes::BytesMut::with_capacity(element_len(length));
    crate::ber::write::header(&mut out, crate::ber::tag::SEQUENCE, length);
    integer(&mut out, crate::ber::tag::ENUMERATED, code);
    if let Some(name) = attribute {
        crate::ber::write::element(&mut out, crate::ber::tag::context(0), name.as_bytes());
    }
    ResponseControl::new(oid::SORT_RESPONSE, Some(out.freeze()))
}

/// Reads a response's value.
pub fn parse_response(bytes: &[u8]) -> Result<(ResultCode, Option<&str>), ControlError> {
    let mut outer = crate::ber::Reader::new(bytes);
    let mut reader = outer.nested(crate::ber::tag::SEQUENCE)?;
    outer.finish()?;
    let code = u32::try_from(reader.enumerated()?).map_err(|_| ControlError::Range)?;
    let attribute = reader.optional(crate::ber::tag::context(0))?;
    let attribute = attribute.map(std::str::from_utf8).transpose().map_err(|_| ControlError::Form)?;
    Ok((ResultCode(code), attribute))
}
