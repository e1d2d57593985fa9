//! What LDIF says.

/// One record: an entry, or a change to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdifRecord {
    /// The DN as written (decoded if it was in base64).
    pub dn: String,
    /// Line of the DN, counted from one.
    pub line: u64,
    /// Controls to send with the change.
    pub controls: Vec<LdifControl>,
    /// What is to be there, or to be done.
    pub change: LdifChange,
}

/// What a record is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LdifChange {
    /// A record without changetype: the entry's content.
    Entry(Vec<LdifAttribute>),
    /// `changetype: add`.
    Add(Vec<LdifAttribute>),
    /// `changetype: delete`.
    Delete,
    /// `changetype: modify`; the steps in order.
    Modify(Vec<LdifModification>),
    /// `changetype: modrdn` or `moddn`.
    ModifyDn {
        /// The new RDN as written.
        new_rdn: String,
        /// Whether the old RDN's values go.
        delete_old_rdn: bool,
        /// The new parent, if it moves.
        new_superior: Option<String>,
    },
}

/// An attribute and its values in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdifAttribute {
    /// The attribute description as first written.
    pub description: String,
    /// The values.
    pub values: Vec<Vec<u8>>,
}

/// One step of a modify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdifModification {
    /// What to do.
    pub kind: ModificationKind,
    /// The attribute description as written after the kind.
    pub description: String,
    /// The values; possibly none.
    pub values: Vec<Vec<u8>>,
}

/// What a step of a modify does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModificationKind {
    /// Adds values.
    Add,
    /// Deletes values, or the attribute if there are none.
    Delete,
    /// Replaces all values.
    Replace,
    /// Adds a number to integer values (RFC 4525).
    Increment,
}

impl ModificationKind {
    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Delete => "delete",
            Self::Replace => "replace",
            Self::Increment => "increment",
        }
    }

    pub(super) fn by_keyword(keyword: &str) -> Option<Self> {
        [Self::Add, Self::Delete, Self::Replace, Self::Increment]
            .into_iter()
            .find(|kind| kind.keyword().eq_ignore_ascii_case(keyword))
    }
}

/// A control of a change record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdifControl {
    /// Its OID.
    pub oid: String,
    /// Whether it is critical.
    pub critical: bool,
    /// Its value, if any.
    pub value: Option<Vec<u8>>,
}
