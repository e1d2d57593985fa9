//! Search filters as they travel (RFC 4511 §4.5.1.7): names are text, assertion values are bytes.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::ber::read::boolean;
use crate::ber::write::{element, element_len, header, octets};
use crate::ber::{BerError, Reader, Tlv, tag};

use super::decode::{Budget, Limits, Malformed, text};

/// A search filter. The empty [`Filter::And`] is true, the empty [`Filter::Or`] false (RFC 4526).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter<'a> {
    /// All are true.
    And(Vec<Filter<'a>>),
    /// One is true.
    Or(Vec<Filter<'a>>),
    /// It is false.
    Not(Box<Filter<'a>>),
    /// `(a=v)`
    Equality(Assertion<'a>),
    /// `(a=i*m*f)`
    Substrings(Substrings<'a>),
    /// `(a>=v)`
    GreaterOrEqual(Assertion<'a>),
    /// `(a<=v)`
    LessOrEqual(Assertion<'a>),
    /// `(a=*)`
    Present(Cow<'a, str>),
    /// `(a~=v)`
    Approximate(Assertion<'a>),
    /// `(a:dn:rule:=v)`
    Extensible(Extensible<'a>),
}

/// An attribute description and an assertion value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion<'a> {
    /// The attribute description.
    pub attribute: Cow<'a, str>,
    /// The assertion value.
    pub value: Cow<'a, [u8]>,
}

/// A substring assertion: at least one part is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substrings<'a> {
    /// The attribute description.
    pub attribute: Cow<'a, str>,
    /// How the value starts.
    pub initial: Option<Cow<'a, [u8]>>,
    /// What it holds, in this order.
    pub any: Vec<Cow<'a, [u8]>>,
    /// How it ends.
    pub last: Option<Cow<'a, [u8]>>,
}

/// An extensible match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extensible<'a> {
    /// The matching rule, by name or OID.
    pub rule: Option<Cow<'a, str>>,
    /// The attribute description; all attributes the rule fits, if absent.
    pub attribute: Option<Cow<'a, str>>,
    /// The assertion value.
    pub value: Cow<'a, [u8]>,
    /// Whether the DN's attributes are matched too.
    pub dn_attributes: bool,
}

/// Tags of the choices.
mod choice {
    pub(super) const AND: u8 = 0xa0;
    pub(super) const OR: u8 = 0xa1;
    pub(super) const NOT: u8 = 0xa2;
    pub(super) const EQUALITY: u8 = 0xa3;
    pub(super) const SUBSTRINGS: u8 = 0xa4;
    pub(super) const GREATER_OR_EQUAL: u8 = 0xa5;
    pub(super) const LESS_OR_EQUAL: u8 = 0xa6;
    pub(super) const PRESENT: u8 = 0x87;
    pub(super) const APPROXIMATE: u8 = 0xa8;
    pub(super) const EXTENSIBLE: u8 = 0xa9;
}

impl<'a> Filter<'a> {
    /// Reads one encoded filter, which has to be all of `encoded`. Values are borrowed; only the tree allocates.
    pub fn parse(encoded: &'a [u8], limits: &Limits) -> Result<Self, Malformed> {
        let mut reader = Reader::new(encoded);
        let tlv = reader.tlv()?;
        reader.finish()?;
        Self::check(tlv, 1, &mut Budget::new(limits))?;
        Ok(Self::build(tlv))
    }

    /// Checks an encoded filter, without allocating; `depth` counts from 1.
    pub(super) fn check(tlv: Tlv<'_>, depth: usize, budget: &mut Budget) -> Result<(), Malformed> {
        budget.filter()?;
        if depth > budget.filter_depth {
            return Err(Malformed::FilterTooDeep);
        }
        let mut reader = Reader::new(tlv.content);
        match tlv.tag {
            choice::AND | choice::OR => {
                while !reader.is_empty() {
                    Self::check(reader.tlv()?, depth + 1, budget)?;
                }
                Ok(())
            }
            choice::NOT => {
                let inner = reader.tlv().map_err(|error| match error {
                    BerError::Missing => Malformed::NotFilter,
                    other => other.into(),
                })?;
                reader.finish().map_err(|_| Malformed::NotFilter)?;
                Self::check(inner, depth + 1, budget)
            }
            choice::EQUALITY | choice::GREATER_OR_EQUAL | choice::LESS_OR_EQUAL | choice::APPROXIMATE => {
                reader.string()?;
                reader.octets()?;
                budget.trailing(reader, &[])
            }
            choice::SUBSTRINGS => {
                reader.string()?;
                let mut parts = reader.nested(tag::SEQUENCE)?;
                if parts.is_empty() {
                    return Err(Malformed::Substrings);
                }
                let mut first = true;
                while !parts.is_empty() {
                    budget.element()?;
                    let part = parts.tlv()?.tag;
                    let in_place = match part {
                        0x80 => first,
                        0x81 => true,
                        0x82 => parts.is_empty(),
                        _ => false,
                    };
                    if !in_place {
                        return Err(Malformed::Substrings);
                    }
                    first = false;
                }
                budget.trailing(reader, &[tag::SEQUENCE])
            }
            choice::PRESENT => text(tlv.content).map(drop),
            choice::EXTENSIBLE => {
                let rule = reader.optional(0x81)?.map(text).transpose()?;
                let attribute = reader.optional(0x82)?.map(text).transpose()?;
                if rule.is_none() && attribute.is_none() {
                    return Err(Malformed::Extensible);
                }
                reader.expect(0x83)?;
                if let Some(flag) = reader.optional(0x84)? {
                    boolean(flag)?;
                }
                budget.trailing(reader, &[0x81, 0x82, 0x83, 0x84])
            }
            other => Err(Malformed::UnknownFilter(other)),
        }
    }

    /// Builds the tree of a checked filter.
    pub(super) fn build(tlv: Tlv<'a>) -> Self {
        let mut reader = Reader::new(tlv.content);
        match tlv.tag {
            choice::AND => Self::And(children(reader)),
            choice::OR => Self::Or(children(reader)),
            choice::NOT => Self::Not(Box::new(reader.tlv().map_or(Self::Or(Vec::new()), Self::build))),
            choice::EQUALITY => Self::Equality(assertion(reader)),
            choice::GREATER_OR_EQUAL => Self::GreaterOrEqual(assertion(reader)),
            choice::LESS_OR_EQUAL => Self::LessOrEqual(assertion(reader)),
            choice::APPROXIMATE => Self::Approximate(assertion(reader)),
            choice::PRESENT => Self::Present(Cow::Borrowed(text(tlv.content).unwrap_or_default())),
            choice::SUBSTRINGS => {
                let attribute = Cow::Borrowed(reader.string().unwrap_or_default());
                let mut substrings = Substrings { attribute, initial: None, any: Vec::new(), last: None };
                let mut parts = Reader::new(reader.expect(tag::SEQUENCE).unwrap_or_default());
                while let Ok(part) = parts.tlv() {
                    let value = Cow::Borrowed(part.content);
                    match part.tag {
                        0x80 => substrings.initial = Some(value),
                        0x81 => substrings.any.push(value),
                        _ => substrings.last = Some(value),
                    }
                }
                Self::Substrings(substrings)
            }
            choice::EXTENSIBLE => Self::Extensible(Extensible {
                rule: optional_text(&mut reader, 0x81),
                attribute: optional_text(&mut reader, 0x82),
                value: Cow::Borrowed(reader.expect(0x83).unwrap_or_default()),
                dn_attributes: reader
                    .optional(0x84)
                    .ok()
                    .flatten()
                    .is_some_and(|flag| boolean(flag) == Ok(true)),
            }),
            _ => Self::Or(Vec::new()),
        }
    }

    /// Octets of the encoded filter.
    pub fn encoded_len(&self) -> usize {
        element_len(self.content_len())
    }

    /// Appends the encoded filter.
    pub fn encode(&self, out: &mut BytesMut) {
        let length = self.content_len();
        match self {
            Self::And(filters) => {
                header(out, choice::AND, length);
                filters.iter().for_each(|filter| filter.encode(out));
            }
            Self::Or(filters) => {
                header(out, choice::OR, length);
                filters.iter().for_each(|filter| filter.encode(out));
            }
            Self::Not(filter) => {
                header(out, choice::NOT, length);
                filter.encode(out);
            }
            Self::Equality(assertion) => assertion.encode(out, choice::EQUALITY, length),
            Self::GreaterOrEqual(assertion) => assertion.encode(out, choice::GREATER_OR_EQUAL, length),
            Self::LessOrEqual(assertion) => assertion.encode(out, choice::LESS_OR_EQUAL, length),
            Self::Approximate(assertion) => assertion.encode(out, choice::APPROXIMATE, length),
            Self::Present(attribute) => element(out, choice::PRESENT, attribute.as_bytes()),
            Self::Substrings(substrings) => {
                header(out, choice::SUBSTRINGS, length);
                octets(out, substrings.attribute.as_bytes());
                header(out, tag::SEQUENCE, substrings.parts_len());
                substrings.parts().for_each(|(tag, part)| element(out, tag, part));
            }
            Self::Extensible(extensible) => {
                header(out, choice::EXTENSIBLE, length);
                if let Some(rule) = &extensible.rule {
                    element(out, 0x81, rule.as_bytes());
                }
                if let Some(attribute) = &extensible.attribute {
                    element(out, 0x82, attribute.as_bytes());
                }
                element(out, 0x83, &extensible.value);
                if extensible.dn_attributes {
                    element(out, 0x84, &[0xff]);
                }
            }
        }
    }

    fn content_len(&self) -> usize {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().map(Filter::encoded_len).sum(),
            Self::Not(filter) => filter.encoded_len(),
            Self::Equality(a) | Self::GreaterOrEqual(a) | Self::LessOrEqual(a) | Self::Approximate(a) => {
                element_len(a.attribute.len()) + element_len(a.value.len())
            }
            Self::Present(attribute) => attribute.len(),
            Self::Substrings(substrings) => {
                element_len(substrings.attribute.len()) + element_len(substrings.parts_len())
            }
            Self::Extensible(e) => {
                e.rule.as_ref().map_or(0, |rule| element_len(rule.len()))
                    + e.attribute.as_ref().map_or(0, |attribute| element_len(attribute.len()))
                    + element_len(e.value.len())
                    + if e.dn_attributes { 3 } else { 0 }
            }
        }
    }

    /// The same filter, borrowing nothing.
    pub fn into_owned(self) -> Filter<'static> {
        let all = |filters: Vec<Filter<'a>>| filters.into_iter().map(Filter::into_owned).collect();
        match self {
            Self::And(filters) => Filter::And(all(filters)),
            Self::Or(filters) => Filter::Or(all(filters)),
            Self::Not(filter) => Filter::Not(Box::new(filter.into_owned())),
            Self::Equality(assertion) => Filter::Equality(assertion.into_owned()),
            Self::GreaterOrEqual(assertion) => Filter::GreaterOrEqual(assertion.into_owned()),
            Self::LessOrEqual(assertion) => Filter::LessOrEqual(assertion.into_owned()),
            Self::Approximate(assertion) => Filter::Approximate(assertion.into_owned()),
            Self::Present(attribute) => Filter::Present(Cow::Owned(attribute.into_owned())),
            Self::Substrings(s) => Filter::Substrings(Substrings {
                attribute: Cow::Owned(s.attribute.into_owned()),
                initial: s.initial.map(owned),
                any: s.any.into_iter().map(owned).collect(),
                last: s.last.map(owned),
            }),
            Self::Extensible(e) => Filter::Extensible(Extensible {
                rule: e.rule.map(|rule| Cow::Owned(rule.into_owned())),
                attribute: e.attribute.map(|attribute| Cow::Owned(attribute.into_owned())),
                value: owned(e.value),
                dn_attributes: e.dn_attributes,
            }),
        }
    }
}

impl Assertion<'_> {
    fn encode(&self, out: &mut BytesMut, tag: u8, length: usize) {
        header(out, tag, length);
        octets(out, self.attribute.as_bytes());
        octets(out, &self.value);
    }

    /// The same assertion, borrowing nothing.
    pub fn into_owned(self) -> Assertion<'static> {
        Assertion { attribute: Cow::Owned(self.attribute.into_owned()), value: owned(self.value) }
    }
}

impl Substrings<'_> {
    /// The parts in order, each with its tag.
    fn parts(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let initial = self.initial.iter().map(|part| (0x80, part.as_ref()));
        let any = self.any.iter().map(|part| (0x81, part.as_ref()));
        let last = self.last.iter().map(|part| (0x82, part.as_ref()));
        initial.chain(any).chain(last)
    }

    fn parts_len(&self) -> usize {
        self.parts().map(|(_, part)| element_len(part.len())).sum()
    }
}

fn owned(value: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
    Cow::Owned(value.into_owned())
}

fn children<'a>(mut reader: Reader<'a>) -> Vec<Filter<'a>> {
    std::iter::from_fn(|| reader.tlv().ok().map(Filter::build)).collect()
}

fn assertion(mut reader: Reader<'_>) -> Assertion<'_> {
    Assertion {
        attribute: Cow::Borrowed(reader.string().unwrap_or_default()),
        value: Cow::Borrowed(reader.octets().unwrap_or_default()),
    }
}

fn optional_text<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<Cow<'a, str>> {
    text(reader.optional(tag).ok()??).ok().map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Filter<'_>, Malformed> {
        Filter::parse(bytes, &Limits::default())
    }

    fn nested(depth: usize) -> Vec<u8> {
        let mut filter = Filter::Present("a".into());
        for _ in 1..depth {
            filter = Filter::Not(Box::new(filter));
        }
        let mut out = BytesMut::new();
        filter.encode(&mut out);
        out.to_vec()
    }

    #[test]
    fn the_contracts_assertion_is_read_and_written_byte_for_byte() {
        let bytes = b"\xa3\x18\x04\x04etag\x04\x100123456789abcdef";
        let filter = parse(bytes).unwrap();
        assert_eq!(
            filter,
            Filter::Equality(Assertion { attribute: "etag".into(), value: b"0123456789abcdef"[..].into() })
        );
        let mut out = BytesMut::new();
        filter.encode(&mut out);
        assert_eq!(out.as_ref(), bytes);
    }

    #[test]
    fn empty_and_is_true_and_empty_or_is_false() {
        assert_eq!(parse(b"\xa0\x00").unwrap(), Filter::And(vec![]));
        assert_eq!(parse(b"\xa1\x00").unwrap(), Filter::Or(vec![]));
    }

    #[test]
    fn not_has_exactly_one_part() {
        assert_eq!(parse(b"\xa2\x00"), Err(Malformed::NotFilter));
        assert_eq!(parse(b"\xa2\x06\x87\x01a\x87\x01b"), Err(Malformed::NotFilter));
    }

    #[test]
    fn substrings_stand_in_order() {
        assert_eq!(parse(b"\xa4\x05\x04\x01a\x30\x00"), Err(Malformed::Substrings));
        assert!(parse(b"\xa4\x0e\x04\x01a\x30\x09\x80\x01x\x81\x01y\x82\x01z").is_ok());
        assert_eq!(parse(b"\xa4\x0b\x04\x01a\x30\x06\x81\x01y\x80\x01x"), Err(Malformed::Substrings));
        assert_eq!(parse(b"\xa4\x0b\x04\x01a\x30\x06\x82\x01y\x81\x01x"), Err(Malformed::Substrings));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        assert!(parse(&nested(64)).is_ok());
        assert_eq!(parse(&nested(65)), Err(Malformed::FilterTooDeep));
        let many = |count: usize| {
            let mut out = BytesMut::new();
            Filter::Or(vec![Filter::Present("a".into()); count]).encode(&mut out);
            out
        };
        assert!(parse(&many(9_999)).is_ok());
        assert_eq!(parse(&many(10_000)), Err(Malformed::FilterTooLarge));
    }

    #[test]
    fn binary_values_are_values() {
        assert!(parse(b"\xa3\x08\x04\x01a\x04\x03\xff\xfe\x00").is_ok());
        assert_eq!(parse(b"\xa3\x06\x04\x01\xff\x04\x01a"), Err(Malformed::Ber(BerError::Utf8)));
        assert_eq!(parse(b"\xaa\x00"), Err(Malformed::UnknownFilter(0xaa)));
    }
}
