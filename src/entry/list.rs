//! Encoded attribute lists: walked in place, written in one pass.
//!
//! A list is the content octets of a PartialAttributeList. Walking ends at the first octet that is not part of a
//! well-formed element; stored lists were checked when they were taken in.

use bytes::BytesMut;

use crate::ber::write::{element_len, header, octets};
use crate::ber::{Reader, tag};

/// One encoded PartialAttribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoded<'a> {
    /// The description as stored: canonical name, then options.
    pub(crate) description: &'a [u8],
    /// Content octets of the SET of values.
    pub(crate) set: &'a [u8],
    /// The whole element.
    pub(crate) whole: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// The values.
    pub(crate) fn values(&self) -> ValueWalk<'a> {
        values(self.set)
    }
}

/// Walks a list.
#[derive(Debug, Clone)]
pub(crate) struct AttributeWalk<'a>(Reader<'a>);

impl<'a> Iterator for AttributeWalk<'a> {
    type Item = Encoded<'a>;

    fn next(&mut self) -> Option<Encoded<'a>> {
        let element = self.0.tlv().ok()?;
        let mut inner = Reader::new(element.content);
        let description = inner.octets().ok()?;
        let set = inner.expect(tag::SET).ok()?;
        Some(Encoded { description, set, whole: element.whole })
    }
}

/// Walks the values of one attribute.
#[derive(Debug, Clone)]
pub(crate) struct ValueWalk<'a>(Reader<'a>);

impl<'a> Iterator for ValueWalk<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.octets().ok()
    }
}

/// The attributes of an encoded list.
pub(crate) const fn attributes(list: &[u8]) -> AttributeWalk<'_> {
    AttributeWalk(Reader::new(list))
}

/// The values in the content octets of a SET.
pub(crate) const fn values(set: &[u8]) -> ValueWalk<'_> {
    ValueWalk(Reader::new(set))
}

/// The attribute of exactly this description.
pub(crate) fn find<'a>(list: &'a [u8], description: &[u8]) -> Option<Encoded<'a>> {
    attributes(list).find(|attribute| attribute.description == description)
}

/// The description without its options.
pub(crate) fn base_name(description: &[u8]) -> &[u8] {
    description.split(|&octet| octet == b';').next().unwrap_or_default()
}

/// Appends one attribute.
pub(crate) fn put<'v>(
    out: &mut BytesMut,
    description: &[u8],
    values: impl Iterator<Item = &'v [u8]> + Clone,
) {
    let set: usize = values.clone().map(|value| element_len(value.len())).sum();
    let length = element_len(description.len()) + element_len(set);
    out.reserve(element_len(length));
    header(out, tag::SEQUENCE, length);
    octets(out, description);
    header(out, tag::SET, set);
    for value in values {
        octets(out, value);
    }
}
