//! RDN values in the entry they name.

use super::EntryBuilder;
use super::list;
use super::modify::same_value;
use crate::name::{DnError, DnReader, Rdn};
use crate::schema::Schema;

/// What is done about values of the RDN that the entry does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// They are refused.
    Strict,
    /// They are added.
    Completed,
    /// They are added whatever they are, even of types that the schema lacks.
    Unchecked,
}

/// Why a DN cannot name an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamingError {
    /// It is not a DN.
    #[error(transparent)]
    Dn(#[from] DnError),
    /// The schema lacks a type of the RDN.
    #[error("attribute {0} of the RDN is not defined in the schema")]
    Undefined(String),
    /// The entry lacks a value of the RDN.
    #[error("the RDN's value of attribute {0} is not in the entry")]
    Missing(String),
    /// A value of the RDN is none of its attribute.
    #[error("the RDN's value of attribute {attribute}: {reason}")]
    Syntax {
        /// The attribute.
        attribute: String,
        /// What is wrong with the value.
        reason: String,
    },
}

/// Has the entry list the values of the first RDN of `dn` (RFC 4512 §2.3).
pub fn take_rdn(
    dn: &str,
    builder: &mut EntryBuilder,
    schema: &Schema,
    naming: Naming,
) -> Result<(), NamingError> {
    for ava in DnReader::new(dn) {
        let ava = ava?;
        let ends = ava.ends_rdn;
        let ava = ava.to_ava();
        match schema.attribute(ava.attribute()) {
            Some(attribute) if builder.has_value(attribute.name(), ava.value()) => {}
            Some(attribute) => {
                let name = || attribute.name().to_owned();
                match naming {
                    Naming::Strict => return Err(NamingError::Missing(name())),
                    Naming::Completed => attribute.syntax.check(ava.value()).map_err(|reason| {
                        NamingError::Syntax { attribute: name(), reason: reason.to_string() }
                    })?,
                    Naming::Unchecked => {}
                }
                builder.put(ava.attribute(), ava.value(), schema);
            }
            None if naming == Naming::Unchecked => {
                builder.put(ava.attribute(), ava.value(), schema);
            }
            None => return Err(NamingError::Undefined(ava.attribute().to_owned())),
        }
        if ends {
            break;
        }
    }
    Ok(())
}

/// The first attribute type of the RDN whose value is not in the encoded user attributes; none if all are there.
pub fn lacks_rdn_value(rdn: &Rdn, user: &[u8], schema: &Schema) -> Option<String> {
    rdn.avas().iter().find_map(|ava| {
        let Some(attribute) = schema.attribute(ava.attribute()) else {
            return Some(ava.attribute().to_owned());
        };
        let held = list::find(user, attribute.name().as_bytes()).is_some_and(|encoded| {
            encoded.values().any(|value| same_value(attribute.equality, value, ava.value()))
        });
        (!held).then(|| attribute.name().to_owned())
    })
}
