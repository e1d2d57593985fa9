//! Persistent search (draft-ietf-ldapext-psearch), the request.

use bytes::Bytes;
use rasn::prelude::{AsnType, Decode, Decoder, Encode};

use super::entry_change::ChangeType;
use super::{ControlError, value};

#[derive(AsnType, Encode, Decode)]
struct PersistentSearch {
    change_types: i64,
    changes_only: bool,
    return_ecs: bool,
}

/// What a persistent search wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersistentSearchRequest {
    /// The [`ChangeType`] bits, 1 to 15.
    pub change_types: u8,
    /// Whether entries that match now are left out.
    pub changes_only: bool,
    /// Whether each entry carries an entry change notification.
    pub return_notifications: bool,
}

impl PersistentSearchRequest {
    /// Reads the value.
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlError> {
        let decoded: PersistentSearch = value::decode(bytes)?;
        let change_types = u8::try_from(decoded.change_types).ok().filter(|types| (1..=15).contains(types));
        Ok(Self {
            change_types: change_types.ok_or(ControlError::Range)?,
            changes_only: decoded.changes_only,
            return_notifications: decoded.return_ecs,
        })
    }

    /// Writes the value.
    pub fn value(self) -> Bytes {
        value::encode(&PersistentSearch {
            change_types: self.change_types.into(),
            changes_only: self.changes_only,
            return_ecs: self.return_notifications,
        })
    }

    /// Whether changes of this type are wanted.
    pub const fn wants(self, change: ChangeType) -> bool {
        self.change_types & change as u8 != 0
    }
}
