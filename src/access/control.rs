//! The ACIs in force, compiled, and the questions operations ask of them.

use std::sync::Arc;

use super::Requester;
use crate::entry::StoredEntry;
use crate::schema::{NormalizedDn, Schema};

/// Why a text is not an ACI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ACI is not valid at octet {offset}: {reason}")]
pub struct AciError {
    /// Octet of the text at which it goes wrong.
    pub offset: usize,
    /// What was expected.
    pub reason: String,
}

/// A right an ACI can grant or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Right {
    Read,
    Write,
    Search,
    Compare,
    Add,
    Delete,
    SelfWrite,
    Proxy,
    Import,
    Export,
}

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(pub u16);

/// What of an entry a requester may read; made once per entry (or once per search where no ACI looks at the entry).
#[derive(Debug, Clone)]
pub struct Readable {}

/// The ACIs in force at one moment: globals, and those held by entries.
#[derive(Debug, Default)]
pub struct AccessSet {}

/// Keeps the [`AccessSet`] current: globals from the configuration, `aci` values from entries.
#[derive(Debug, Default)]
pub struct AccessControl {}

impl AccessControl {
    /// The set in force.
    pub fn current(&self) -> Arc<AccessSet> {
        unimplemented!()
    }

    /// Replaces the global ACIs, all or none.
    pub fn set_globals(&self, _texts: &[String], _schema: &Schema) -> Result<(), AciError> {
        unimplemented!()
    }

    /// Replaces the ACIs that an entry holds (empty: it holds none any more).
    pub fn set_entry(&self, _dn: &NormalizedDn, _texts: &[String], _schema: &Schema) -> Result<(), AciError> {
        unimplemented!()
    }
}

impl AccessSet {
    /// Whether the requester has the right on an attribute of the entry.
    pub fn may(
        &self,
        _who: &Requester,
        _right: Right,
        _entry: &StoredEntry,
        _key: &NormalizedDn,
        _attribute: &str,
    ) -> bool {
        unimplemented!()
    }

    /// Whether the requester has the right on the entry as a whole (add, delete, import, export, proxy).
    pub fn may_entry(
        &self,
        _who: &Requester,
        _right: Right,
        _entry: &StoredEntry,
        _key: &NormalizedDn,
    ) -> bool {
        unimplemented!()
    }

    /// Whether the requester may use a control on an operation at this target.
    pub fn may_control(&self, _who: &Requester, _oid: &str, _target: &NormalizedDn) -> bool {
        unimplemented!()
    }

    /// Whether the requester may use an extended operation.
    pub fn may_extended(&self, _who: &Requester, _oid: &str) -> bool {
        unimplemented!()
    }
}
