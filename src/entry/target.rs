//! An attribute description looked up once, then found in encoded lists by comparing bytes.

use std::sync::Arc;

use smallvec::SmallVec;

use super::list::{self, Encoded};
use super::stored::{StoredEntry, etag_text};
use crate::schema::{AttributeType, Schema};

/// The attributes that are made when read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Virtual {
    EntryUuid,
    Etag,
    EntryDn,
    StructuralObjectClass,
    SubschemaSubentry,
    HasSubordinates,
    NumSubordinates,
}

impl Virtual {
    /// All of them, in the order answers carry them.
    pub(crate) const ALL: [Self; 7] = [
        Self::EntryUuid,
        Self::Etag,
        Self::EntryDn,
        Self::StructuralObjectClass,
        Self::SubschemaSubentry,
        Self::HasSubordinates,
        Self::NumSubordinates,
    ];

    /// The canonical name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::EntryUuid => "entryUUID",
            Self::Etag => "etag",
            Self::EntryDn => "entryDN",
            Self::StructuralObjectClass => "structuralObjectClass",
            Self::SubschemaSubentry => "subschemaSubentry",
            Self::HasSubordinates => "hasSubordinates",
            Self::NumSubordinates => "numSubordinates",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }
}

/// What the entry itself does not know.
pub trait EntryContext {
    /// How many children the entry has, if known; without it hasSubordinates and numSubordinates are absent.
    fn children(&self, entry: &StoredEntry) -> Option<u64>;

    /// Milliseconds since the epoch, if known; without it relative times are undefined.
    fn now_ms(&self) -> Option<u64> {
        None
    }
}

/// Knows nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoContext;

impl EntryContext for NoContext {
    fn children(&self, _entry: &StoredEntry) -> Option<u64> {
        None
    }
}

/// Appends the value of a virtual attribute; false if the entry has none. `structural` names the structural class.
pub(crate) fn virtual_value(
    which: Virtual,
    entry: &StoredEntry,
    context: &dyn EntryContext,
    structural: &dyn Fn(&StoredEntry) -> Option<String>,
    out: &mut Vec<u8>,
) -> bool {
    use std::io::Write;
    match which {
        Virtual::EntryUuid => return write!(out, "{}", entry.uuid()).is_ok(),
        Virtual::Etag => out.extend_from_slice(&etag_text(entry.etag_state())),
        Virtual::EntryDn => out.extend_from_slice(entry.dn().as_bytes()),
        Virtual::SubschemaSubentry => out.extend_from_slice(b"cn=schema"),
        Virtual::StructuralObjectClass => {
            let Some(name) = structural(entry) else { return false };
            out.extend_from_slice(name.as_bytes());
        }
        Virtual::HasSubordinates => {
            let Some(children) = context.children(entry) else { return false };
            out.extend_from_slice(if children > 0 { b"TRUE" } else { b"FALSE" });
        }
        Virtual::NumSubordinates => {
            let Some(children) = context.children(entry) else { return false };
            return write!(out, "{children}").is_ok();
        }
    }
    true
}

/// The structural class of an entry: the most derived of its structural classes.
pub fn structural_class(entry: &StoredEntry, schema: &Schema) -> Option<String> {
    let values: SmallVec<[&[u8]; 8]> = list::find(entry.user_list(), b"objectClass")?.values().collect();
    schema.check_classes(&values).ok().map(|classes| classes.structural().name().to_owned())
}

/// A resolved attribute description: it stands for itself, for descriptions with more options, and for subtypes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) attribute: Arc<AttributeType>,
    subtypes: Box<[Arc<AttributeType>]>,
    pub(crate) options: Vec<String>,
    pub(crate) made: Option<Virtual>,
}

impl Target {
    /// Resolves a description; none if the schema does not know it.
    pub(crate) fn resolve(description: &str, schema: &Schema) -> Option<Self> {
        let described = schema.describe(description)?;
        let subtypes = described
            .attribute_type
            .subtypes
            .iter()
            .filter_map(|&id| schema.attribute_by_id(id).cloned())
            .collect();
        let made = if described.attribute_type.is_operational() {
            Virtual::of(described.attribute_type.name())
        } else {
            None
        };
        Some(Self { attribute: described.attribute_type, subtypes, options: described.options, made })
    }

    /// Whether a stored description is meant.
    pub(crate) fn matches(&self, stored: &[u8]) -> bool {
        self.named(&self.attribute, stored) || self.subtypes.iter().any(|subtype| self.named(subtype, stored))
    }

    fn named(&self, attribute: &AttributeType, stored: &[u8]) -> bool {
        let Some(rest) = stored.strip_prefix(attribute.name().as_bytes()) else { return false };
        if rest.is_empty() {
            return self.options.is_empty();
        }
        let Some(options) = rest.strip_prefix(b";") else { return false };
        self.options
            .iter()
            .all(|wanted| options.split(|&octet| octet == b';').any(|option| option == wanted.as_bytes()))
    }

    /// Whether this one description is all that can match: no subtypes.
    pub(crate) fn is_plain(&self) -> bool {
        self.subtypes.is_empty() && self.options.is_empty()
    }

    /// The encoded list of the entry that would hold it.
    pub(crate) fn list<'a>(&self, entry: &'a StoredEntry) -> &'a [u8] {
        if self.attribute.is_operational() { entry.operational_list() } else { entry.user_list() }
    }

    /// The entry's attributes that are meant.
    pub(crate) fn find<'a>(&'a self, entry: &'a StoredEntry) -> impl Iterator<Item = Encoded<'a>> {
        list::attributes(self.list(entry)).filter(|attribute| self.matches(attribute.description))
    }

    /// Whether an AVA's attribute type, as written in a DN, is meant.
    pub(crate) fn names(&self, written: &str) -> bool {
        std::iter::once(&self.attribute).chain(self.subtypes.iter()).any(|attribute| {
            attribute.oid == written || attribute.names.iter().any(|name| name.eq_ignore_ascii_case(written))
        })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.attribute.name())?;
        self.options.iter().try_for_each(|option| write!(f, ";{option}"))
    }
}
