//! Lists as they travel, checked once and walked without allocating: strings, values, attributes, modifications.
//!
//! Each list is the content octets of its SEQUENCE OF or SET OF. A list can only be had by checking all of it, so
//! walking it cannot fail, and a truncated list can never look like a shorter one.

use crate::ber::{Reader, tag};

use super::decode::{Budget, Limits, Malformed};
use super::message::{Control, Modification, ModifyOperation, RawAttribute};

/// Checked strings: content octets of a SEQUENCE OF LDAPString; iterates without allocating.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strings<'a>(&'a [u8]);

/// The values of an attribute: content octets of a checked SET OF OCTET STRING.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a>(&'a [u8]);

/// A checked AttributeList: content octets of a SEQUENCE OF PartialAttribute.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a>(&'a [u8]);

/// A checked list of modifications: content octets of a ModifyRequest's `changes`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Modifications<'a>(&'a [u8]);

/// Checked controls: content octets of `[0] SEQUENCE OF Control`. It is its own iterator.
#[derive(Debug, Clone, Default)]
pub struct Controls<'a>(&'a [u8]);

macro_rules! list {
    ($list:ident, $iter:ident, $item:ty, $next:expr, $what:literal) => {
        impl<'a> $list<'a> {
            #[doc = concat!("Checks content octets as ", $what, ", under the default [`Limits`].")]
            pub fn parse(content: &'a [u8]) -> Result<Self, Malformed> {
                Self::check(content, &mut Budget::new(&Limits::default()))
            }

            /// The elements in the order they were sent.
            pub const fn iter(&self) -> $iter<'a> {
                $iter(Reader::new(self.0))
            }

            /// How many elements there are; walks the list.
            pub fn len(&self) -> usize {
                self.iter().count()
            }

            /// Whether there is no element.
            pub const fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// The content octets the list is read from.
            pub const fn content(&self) -> &'a [u8] {
                self.0
            }
        }

        impl<'a> IntoIterator for $list<'a> {
            type Item = $item;
            type IntoIter = $iter<'a>;
            fn into_iter(self) -> $iter<'a> {
                self.iter()
            }
        }

        impl<'a> IntoIterator for &$list<'a> {
            type Item = $item;
            type IntoIter = $iter<'a>;
            fn into_iter(self) -> $iter<'a> {
                self.iter()
            }
        }

        #[doc = concat!("Walks ", $what, ".")]
        #[derive(Debug, Clone)]
        pub struct $iter<'a>(Reader<'a>);

        impl<'a> Iterator for $iter<'a> {
            type Item = $item;
            fn next(&mut self) -> Option<$item> {
                let next: fn(&mut Reader<'a>) -> Option<$item> = $next;
                next(&mut self.0)
            }
        }

        impl std::iter::FusedIterator for $iter<'_> {}
    };
}

list!(Strings, StringsIter, &'a str, |reader| reader.string().ok(), "a list of strings");
list!(Values, ValuesIter, &'a [u8], |reader| reader.octets().ok(), "the values of an attribute");
list!(Attributes, AttributesIter, RawAttribute<'a>, read_attribute, "a list of attributes");
list!(Modifications, ModificationsIter, Modification<'a>, read_modification, "a list of modifications");

impl<'a> Strings<'a> {
    pub(super) fn check(content: &'a [u8], budget: &mut Budget) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        while !reader.is_empty() {
            budget.element()?;
            reader.string()?;
        }
        Ok(Self(content))
    }
}

impl<'a> Values<'a> {
    pub(super) fn check(content: &'a [u8], budget: &mut Budget) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        while !reader.is_empty() {
            budget.element()?;
            reader.octets()?;
        }
        Ok(Self(content))
    }

    /// The first value.
    pub fn first(&self) -> Option<&'a [u8]> {
        self.iter().next()
    }
}

impl<'a> Attributes<'a> {
    /// Attributes without values are let through: a search that wants types only answers with such.
    pub(super) fn check(content: &'a [u8], budget: &mut Budget) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        while !reader.is_empty() {
            budget.element()?;
            check_attribute(reader.expect(tag::SEQUENCE)?, budget)?;
        }
        Ok(Self(content))
    }

    /// As an AddRequest wants it: each attribute has a value (RFC 4511 §4.7).
    pub(super) fn check_valued(content: &'a [u8], budget: &mut Budget) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        let mut has_bare = false;
        while !reader.is_empty() {
            budget.element()?;
            has_bare |= check_attribute(reader.expect(tag::SEQUENCE)?, budget)?.is_empty();
        }
        // What is wrong with the octets is told first.
        if has_bare { Err(Malformed::NoValues) } else { Ok(Self(content)) }
    }
}

impl<'a> Modifications<'a> {
    pub(super) fn check(content: &'a [u8], budget: &mut Budget) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        while !reader.is_empty() {
            budget.element()?;
            let mut change = reader.nested(tag::SEQUENCE)?;
            modify_operation(change.enumerated()?).ok_or(Malformed::ModifyOperation)?;
            check_attribute(change.expect(tag::SEQUENCE)?, budget)?;
            budget.trailing(change, &[tag::ENUMERATED, tag::SEQUENCE])?;
        }
        Ok(Self(content))
    }
}

impl<'a> Controls<'a> {
    pub(super) fn check(content: &'a [u8], budget: &mut Budget) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        while !reader.is_empty() {
            budget.element()?;
            let mut control = reader.nested(tag::SEQUENCE)?;
            control.string()?;
            if control.peek() == Some(tag::BOOLEAN) {
                control.boolean()?;
            }
            control.optional(tag::OCTET_STRING)?;
            budget.trailing(control, &[tag::BOOLEAN, tag::OCTET_STRING])?;
        }
        Ok(Self(content))
    }

    /// Content octets that were checked before.
    pub(super) const fn checked(content: &'a [u8]) -> Self {
        Self(content)
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Iterator for Controls<'a> {
    type Item = Control<'a>;
    fn next(&mut self) -> Option<Control<'a>> {
        let mut reader = Reader::new(self.0);
        let mut control = reader.nested(tag::SEQUENCE).ok()?;
        self.0 = reader.remaining();
        let oid = control.string().ok()?;
        let critical = control.peek() == Some(tag::BOOLEAN) && control.boolean().ok()?;
        let value = control.optional(tag::OCTET_STRING).ok()?;
        Some(Control { oid, critical, value })
    }
}

macro_rules! trusted {
    ($($list:ident)*) => {
        $(impl<'a> $list<'a> {
            /// Content octets that were checked before.
            pub(crate) const fn checked(content: &'a [u8]) -> Self {
                Self(content)
            }
        })*
    };
}

trusted!(Strings Values Attributes Modifications);

/// The operation of an ENUMERATED.
pub(super) const fn modify_operation(value: i64) -> Option<ModifyOperation> {
    Some(match value {
        0 => ModifyOperation::Add,
        1 => ModifyOperation::Delete,
        2 => ModifyOperation::Replace,
        3 => ModifyOperation::Increment,
        _ => return None,
    })
}

/// Trailing elements with the tags of the two known ones are refused though the grammar would skip them: a SET
/// whose length is too short must not lose its last values in silence.
fn check_attribute<'a>(content: &'a [u8], budget: &mut Budget) -> Result<Values<'a>, Malformed> {
    let mut attribute = Reader::new(content);
    attribute.string()?;
    let values = Values::check(attribute.expect(tag::SET)?, budget)?;
    budget.trailing(attribute, &[tag::OCTET_STRING, tag::SET])?;
    Ok(values)
}

fn read_attribute<'a>(reader: &mut Reader<'a>) -> Option<RawAttribute<'a>> {
    let whole = reader.tlv().ok()?;
    let mut attribute = Reader::new(whole.content);
    let description = attribute.string().ok()?;
    let values = Values::checked(attribute.expect(tag::SET).ok()?);
    Some(RawAttribute { description, values, whole: whole.whole })
}

fn read_modification<'a>(reader: &mut Reader<'a>) -> Option<Modification<'a>> {
    let mut change = reader.nested(tag::SEQUENCE).ok()?;
    let operation = modify_operation(change.enumerated().ok()?)?;
    let attribute = read_attribute(&mut change)?;
    Some(Modification { operation, attribute })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_list_is_walked_in_order() {
        let bytes = b"\x30\x0c\x04\x02cn\x31\x06\x04\x01a\x04\x01b\x30\x06\x04\x02sn\x31\x00";
        let list = Attributes::parse(bytes).unwrap();
        assert_eq!(list.len(), 2);
        let all: Vec<_> = list.iter().map(|a| (a.description, a.values.iter().collect::<Vec<_>>())).collect();
        assert_eq!(all, vec![("cn", vec![&b"a"[..], b"b"]), ("sn", vec![])]);
        assert_eq!(list.iter().next().unwrap().whole, &bytes[..14]);
        assert!(matches!(
            Attributes::check_valued(bytes, &mut Budget::new(&Limits::default())),
            Err(Malformed::NoValues)
        ));
    }

    #[test]
    fn values_behind_a_short_set_are_not_skipped() {
        // The SET says 3 octets, the second value stands behind it.
        assert!(Attributes::parse(b"\x30\x0c\x04\x02cn\x31\x03\x04\x01a\x04\x01b").is_err());
        // A truly unknown trailing element is.
        assert_eq!(Attributes::parse(b"\x30\x0c\x04\x02cn\x31\x03\x04\x01a\x85\x01b").unwrap().len(), 1);
    }

    #[test]
    fn every_prefix_of_a_modification_list_is_refused() {
        let bytes = b"\x30\x0e\x0a\x01\x02\x30\x09\x04\x02cn\x31\x03\x04\x01a\x30\x0b\x0a\x01\x01\x30\x06\x04\x02sn\x31\x00";
        assert_eq!(Modifications::parse(bytes).unwrap().len(), 2);
        for end in 1..bytes.len() {
            assert_eq!(Modifications::parse(&bytes[..end]).is_ok(), end == 16, "{end}");
        }
        assert!(Modifications::parse(b"\x30\x0b\x0a\x01\x04\x30\x06\x04\x02sn\x31\x00").is_err());
    }
}
