//! Pre-read and post-read (RFC 4527): an attribute selection in, a SearchResultEntry out.

use bytes::Bytes;

use super::ControlError;
use crate::ber::{Reader, tag};
use crate::protocol::decode::Malformed;
use crate::protocol::encode::{self, ResponseControl};
use crate::protocol::list::{Attributes, Strings};
use crate::protocol::oid;

/// Reads the attribute selection of a request's value; does not allocate.
pub fn parse(value: &[u8]) -> Result<Strings<'_>, ControlError> {
    let mut reader = Reader::new(value);
    let list = reader.expect(tag::SEQUENCE)?;
    reader.finish()?;
    Ok(Strings::parse(list)?)
}

/// The pre-read response control. Each slice holds whole encoded PartialAttributes.
pub fn pre_read(dn: &str, attributes: &[&[u8]]) -> ResponseControl {
    ResponseControl::new(oid::PRE_READ, Some(response_value(dn, attributes)))
}

/// The post-read response control. Each slice holds whole encoded PartialAttributes.
pub fn post_read(dn: &str, attributes: &[&[u8]]) -> ResponseControl {
    ResponseControl::new(oid::POST_READ, Some(response_value(dn, attributes)))
}

/// The value of either: a SearchResultEntry with its APPLICATION 4 tag, which OpenAM's client insists on.
pub fn response_value(dn: &str, attributes: &[&[u8]]) -> Bytes {
    encode::bare_entry(dn, attributes)
}

/// Reads the value of either response control: the entry's DN and attributes.
pub fn parse_response(value: &[u8]) -> Result<(&str, Attributes<'_>), ControlError> {
    let mut reader = Reader::new(value);
    let mut entry = reader.nested(encode::ENTRY)?;
    reader.finish()?;
    let dn = entry.string()?;
    let attributes: Result<_, Malformed> = Attributes::parse(entry.expect(tag::SEQUENCE)?);
    Ok((dn, attributes?))
}
