//! Entry change notification: what happened to an entry that a persistent search returns.

use bytes::Bytes;
use rasn::prelude::{AsnType, Decode, Decoder, Encode, OctetString};

use super::{ControlError, value};
use crate::protocol::encode::ResponseControl;
use crate::protocol::oid;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsnType, Encode, Decode)]
#[rasn(enumerated)]
#[repr(u8)]
pub enum ChangeType {
    /// The entry was added.
    Add = 1,
    /// The entry was deleted.
    Delete = 2,
    /// The entry was modified.
    Modify = 4,
    /// The entry was renamed.
    ModifyDn = 8,
}

#[derive(AsnType, Encode, Decode)]
struct EntryChangeNotification {
    change_type: ChangeType,
    previous_dn: Option<OctetString>,
    change_number: Option<i64>,
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryChange {
    /// What happened.
    pub change: ChangeType,
    /// The DN before a rename; clients refuse the control if another change has it.
    pub previous_dn: Option<String>,
    /// The change's number in the changelog.
    pub change_number: Option<u64>,
}

impl EntryChange {
    /// A notification with neither previous DN nor change number.
    pub const fn new(change: ChangeType) -> Self {
        Self { change, previous_dn: None, change_number: None }
    }

    /// Reads the value. A previous DN on anything but a rename is refused, as OpenAM's client does.
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlError> {
        let decoded: EntryChangeNotification = value::decode(bytes)?;
        if decoded.previous_dn.is_some() && decoded.change_type != ChangeType::ModifyDn {
            return Err(ControlError::Form);
        }
        let previous_dn = decoded.previous_dn.map(|dn| String::from_utf8(dn.to_vec()));
        let change_number = decoded.change_number.map(u64::try_from);
        Ok(Self {
            change: decoded.change_type,
            previous_dn: previous_dn.transpose().map_err(|_| ControlError::Form)?,
            change_number: change_number.transpose().map_err(|_| ControlError::Range)?,
        })
    }

    /// Writes the value; a previous DN only for a rename.
    pub fn value(&self) -> Bytes {
        let previous = self.previous_dn.as_ref().filter(|_| self.change == ChangeType::ModifyDn);
        value::encode(&EntryChangeNotification {
            change_type: self.change,
            previous_dn: previous.map(|dn| OctetString::from(dn.as_bytes().to_vec())),
            change_number: self.change_number.and_then(|number| i64::try_from(number).ok()),
        })
    }

    /// The response control.
    pub fn control(&self) -> ResponseControl {
        ResponseControl::new(oid::ENTRY_CHANGE_NOTIFICATION, Some(self.value()))
    }
}
