//! The stored form of an entry.
//!
//! | offset | octets | content |
//! |---|---|---|
//! | 0 | 1 | format version, 1 |
//! | 1 | 1 | flags, 0 |
//! | 2 | 16 | entryUUID |
//! | 18 | 8 | etag state, big-endian (`design`: XOR over all changes) |
//! | 26 | 12 | CSN of the ADD |
//! | 38 | 12 | greatest CSN applied |
//! | 50 | 4 | octets of the DN |
//! | 54 | 4 | octets of the user attributes |
//! | 58 | 4 | octets of the operational attributes |
//! | 62 | | the DN as received, user attributes, operational attributes |
//!
//! Both attribute lists are the content octets of a PartialAttributeList. entryUUID, etag, entryDN,
//! structuralObjectClass, subschemaSubentry, hasSubordinates and numSubordinates are not in the lists: they are made
//! when read.

use bytes::Bytes;

use crate::protocol::message::Attributes;

/// Why bytes are not a stored entry, or an entry cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The bytes are cut short or of another format version.
    #[error("not a stored entry: {0}")]
    Corrupt(&'static str),
}

/// The identity of an entry, for its whole life and on every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryUuid(pub [u8; 16]);

impl std::fmt::Display for EntryUuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

/// One version of an entry; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    bytes: Bytes,
}

impl StoredEntry {
    /// Takes bytes in the stored form; checks the header and the lengths.
    pub fn parse(_bytes: Bytes) -> Result<Self, EntryError> {
        unimplemented!()
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The DN as received.
    pub fn dn(&self) -> &str {
        unimplemented!()
    }

    /// The entry's identity.
    pub fn uuid(&self) -> EntryUuid {
        unimplemented!()
    }

    /// The etag's 8 octets of state; the attribute's value is their 16 lower-case hex digits.
    pub fn etag_state(&self) -> u64 {
        unimplemented!()
    }

    /// The CSN of the ADD (see `changelog::Csn`).
    pub fn add_csn(&self) -> [u8; 12] {
        unimplemented!()
    }

    /// The greatest CSN applied.
    pub fn last_csn(&self) -> [u8; 12] {
        unimplemented!()
    }

    /// The user attributes.
    pub fn user(&self) -> Attributes<'_> {
        unimplemented!()
    }

    /// The operational attributes that are stored.
    pub fn operational(&self) -> Attributes<'_> {
        unimplemented!()
    }
}

/// Puts an entry together.
#[derive(Debug, Default)]
pub struct EntryBuilder {}
