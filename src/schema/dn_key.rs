//! The compare key of a DN.

use super::{Schema, SchemaError};
use crate::name::Dn;

/// A DN under its matching rules, as bytes: root first, so that an entry's key is a prefix of every key below
/// it and a subtree is one range. Two DNs name the same entry iff their keys are equal.
///
/// Layout: for each RDN from the root down, its normalised AVAs (`lower-case canonical type name or OID`, `=`,
/// normalised value; several joined by `+`, sorted), in which 00 is written 01 01 and 01 is written 01 02, then 00.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NormalizedDn(Box<[u8]>);

impl NormalizedDn {
    /// The root, the empty DN.
    pub fn root() -> Self {
        Self(Box::default())
    }

    /// The key of `dn`. An attribute type that the schema lacks compares by its lower-cased name and caseIgnoreMatch.
    pub fn of(_dn: &Dn, _schema: &Schema) -> Self {
        unimplemented!()
    }

    /// Parses the text and takes its key, in one pass where it can.
    pub fn parse(_text: &str, _schema: &Schema) -> Result<Self, crate::name::DnError> {
        unimplemented!()
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key from bytes that [`Self::as_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The parent's key; none for the root.
    pub fn parent(&self) -> Option<Self> {
        unimplemented!()
    }

    /// Whether `other` is this entry or lies below it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// RDNs from the root.
    pub fn depth(&self) -> usize {
        self.0.iter().filter(|&&octet| octet == 0).count()
    }
}

#[allow(dead_code)]
fn _unused(_: SchemaError) {}
