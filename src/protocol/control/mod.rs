//! Controls (RFC 4511 §4.1.11): one file a control, and the one pass that gathers those of a request.
//!
//! What may enter: the form of a control's value and the operations it goes with. What a control does is the
//! operations' business. A value that is ASN.1 goes through a rasn type behind [`value`]'s strict check; those on
//! OpenAM's hot path (transaction id, assertion, read entry) are borrowed from the frame without allocating.

pub mod assertion;
pub mod authorization_identity;
pub mod effective_rights;
pub mod entry_change;
pub mod matched_values;
pub mod paged;
pub mod persistent_search;
pub mod proxied;
pub mod read_entry;
pub mod sort;
pub mod subentries;
pub(super) mod value;

mod kind;

pub use kind::ControlKind;

use super::decode::Malformed;
use super::filter::Filter;
use super::list::Strings;
use super::message::{OperationKind, Request};
use super::oid;
use super::result::{LdapResult, ResultCode};

/// The controls the root DSE lists: those that do something, and the notification of a persistent search. Affinity and
/// password policy are accepted and change nothing here, so they are not announced.
pub const SUPPORTED: &[&str] = &[
    oid::PAGED_RESULTS,
    oid::PERMISSIVE_MODIFY,
    oid::SORT_REQUEST,
    oid::SUBTREE_DELETE,
    oid::MATCHED_VALUES,
    oid::ASSERTION,
    oid::PRE_READ,
    oid::POST_READ,
    oid::TRANSACTION_ID,
    oid::SUBENTRIES,
    oid::NO_OP,
    oid::AUTHORIZATION_IDENTITY_REQUEST,
    oid::PROXIED_AUTHORIZATION,
    oid::MANAGE_DSA_IT,
    oid::GET_EFFECTIVE_RIGHTS,
    oid::PERSISTENT_SEARCH,
    oid::ENTRY_CHANGE_NOTIFICATION,
];

/// Why a control's value is not what the control wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The value is not the BER that LDAP allows.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The value is not of the control's type.
    #[error("its value does not have the control's form")]
    Form,
    /// The control needs a value.
    #[error("it has no value")]
    NoValue,
    /// The control must not have a value.
    #[error("it must not have a value")]
    UnexpectedValue,
    /// The value has more than [`value::MAX`] octets.
    #[error("its value is too large")]
    TooLarge,
    /// A number is out of the control's range.
    #[error("a number in its value is out of range")]
    Range,
    /// The control must be critical (RFC 4370 §3).
    #[error("it must be critical")]
    NotCritical,
}

impl From<crate::ber::BerError> for ControlError {
    fn from(error: crate::ber::BerError) -> Self {
        Self::Malformed(error.into())
    }
}

/// Why a request is refused for its controls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlRefusal {
    /// A critical control that the server does not know.
    #[error("critical control {oid} is not supported")]
    Unsupported {
        /// As sent, cut to a sensible length.
        oid: String,
    },
    /// A critical control that does not go with the operation.
    #[error("critical control {} ({}) does not go with {}", .kind.oid(), .kind.name(), .operation.name())]
    Inappropriate {
        /// The control.
        kind: ControlKind,
        /// The request's operation.
        operation: OperationKind,
    },
    /// A known control with a wrong value.
    #[error("{} control {} ({}): {reason}",
        if *.critical { "critical" } else { "non-critical" }, .kind.oid(), .kind.name())]
    Malformed {
        /// The control.
        kind: ControlKind,
        /// Whether it is critical.
        critical: bool,
        /// What is wrong.
        reason: ControlError,
    },
    /// A known control that stands twice.
    #[error("control {} ({}) stands more than once", .kind.oid(), .kind.name())]
    Duplicate {
        /// The control.
        kind: ControlKind,
    },
}

impl ControlRefusal {
    /// The result code: 12 where a critical control cannot be honoured, else 2.
    pub const fn code(&self) -> ResultCode {
        match self {
            Self::Unsupported { .. } | Self::Inappropriate { .. } => {
                ResultCode::UNAVAILABLE_CRITICAL_EXTENSION
            }
            Self::Malformed { .. } | Self::Duplicate { .. } => ResultCode::PROTOCOL_ERROR,
        }
    }

    /// The result that answers the request.
    pub fn result(&self) -> LdapResult {
        LdapResult::with(self.code(), self.to_string())
    }
}

/// The known controls of one request that go with its operation, parsed.
#[derive(Debug, Clone, Default)]
pub struct RequestControls<'a> {
    present: u32,
    critical: u32,
    /// A text for tracing; any bytes.
    pub transaction_id: Option<&'a [u8]>,
    /// What must be true of the entry before anything happens (RFC 4528).
    pub assertion: Option<Filter<'a>>,
    /// Attributes wanted of the entry before the change (RFC 4527).
    pub pre_read: Option<Strings<'a>>,
    /// Attributes wanted of the entry after the change (RFC 4527).
    pub post_read: Option<Strings<'a>>,
    /// Simple paged results (RFC 2696).
    pub paged: Option<paged::PagedRequest>,
    /// Persistent search.
    pub persistent_search: Option<persistent_search::PersistentSearchRequest>,
    /// The sort keys (RFC 2891).
    pub sort: Option<Vec<sort::SortKey>>,
    /// The authorization identity to act as (RFC 4370); empty for anonymous.
    pub proxied: Option<&'a str>,
    /// Whether subentries, or all but subentries, are wanted (RFC 3672).
    pub subentries: Option<bool>,
    /// Which values are wanted (RFC 3876).
    pub matched_values: Option<Vec<Filter<'a>>>,
    /// Whose rights on the entries found are wanted, and on which attributes besides.
    pub effective_rights: Option<effective_rights::RightsRequest>,
}

impl<'a> RequestControls<'a> {
    /// Gathers the controls of a request in one pass.
    ///
    /// Unknown controls, and known ones that do not go with the operation, are refused if critical (12) and
    /// ignored otherwise. A known control's value must be right (2), critical or not, and a known control must
    /// stand once (2). An unbind's controls are ignored. Transaction id and affinity are never an error.
    pub fn gather(request: &'a Request) -> Result<Self, ControlRefusal> {
        let mut gathered = Self::default();
        let operation = request.kind();
        if operation == OperationKind::Unbind {
            return Ok(gathered);
        }
        for control in request.controls() {
            let Some(kind) = ControlKind::from_oid(control.oid) else {
                if control.critical {
                    let oid = control.oid.chars().take(128).collect();
                    return Err(ControlRefusal::Unsupported { oid });
                }
                continue;
            };
            if !kind.goes_with(operation) {
                if control.critical {
                    return Err(ControlRefusal::Inappropriate { kind, operation });
                }
                continue;
            }
            if gathered.has(kind) {
                if kind.is_ignorable() {
                    continue;
                }
                return Err(ControlRefusal::Duplicate { kind });
            }
            gathered
                .take(kind, control.critical, control.value)
                .map_err(|reason| ControlRefusal::Malformed { kind, critical: control.critical, reason })?;
            gathered.present |= kind.bit();
            if control.critical {
                gathered.critical |= kind.bit();
            }
        }
        Ok(gathered)
    }

    fn take(
        &mut self,
        kind: ControlKind,
        critical: bool,
        given: Option<&'a [u8]>,
    ) -> Result<(), ControlError> {
        if given.is_some_and(|value| value.len() > value::MAX) && !kind.is_ignorable() {
            return Err(ControlError::TooLarge);
        }
        let needed = given.ok_or(ControlError::NoValue);
        match kind {
            ControlKind::TransactionId => self.transaction_id = Some(given.unwrap_or_default()),
            ControlKind::Affinity => {}
            ControlKind::Assertion => self.assertion = Some(assertion::parse(needed?)?),
            ControlKind::PreRead => self.pre_read = Some(read_entry::parse(needed?)?),
            ControlKind::PostRead => self.post_read = Some(read_entry::parse(needed?)?),
            ControlKind::Paged => self.paged = Some(paged::PagedRequest::parse(needed?)?),
            ControlKind::PersistentSearch => {
                self.persistent_search = Some(persistent_search::PersistentSearchRequest::parse(needed?)?);
            }
            ControlKind::Sort => self.sort = Some(sort::parse(needed?)?),
            ControlKind::Proxied => self.proxied = Some(proxied::parse(critical, needed?)?),
            ControlKind::Subentries => self.subentries = Some(subentries::parse(needed?)?),
            ControlKind::MatchedValues => self.matched_values = Some(matched_values::parse(needed?)?),
            ControlKind::EffectiveRights => {
                self.effective_rights = Some(effective_rights::RightsRequest::parse(given)?);
            }
            // These have no value; an empty one is let through, for there are clients that send it.
            ControlKind::PermissiveModify
            | ControlKind::ManageDsaIt
            | ControlKind::SubtreeDelete
            | ControlKind::NoOp
            | ControlKind::AuthorizationIdentity
            | ControlKind::PasswordPolicy => {
                if given.is_some_and(|value| !value.is_empty()) {
                    return Err(ControlError::UnexpectedValue);
                }
            }
        }
        Ok(())
    }

    /// Whether the control is there.
    pub const fn has(&self, kind: ControlKind) -> bool {
        self.present & kind.bit() != 0
    }

    /// Whether the control is there and critical.
    pub const fn is_critical(&self, kind: ControlKind) -> bool {
        self.critical & kind.bit() != 0
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// The controls that are there, in a fixed order.
    pub fn kinds(&self) -> impl Iterator<Item = ControlKind> {
        let present = self.present;
        ControlKind::ALL.iter().copied().filter(move |kind| present & kind.bit() != 0)
    }

    /// Forgets a control, as if it had not been sent: what becomes of a non-critical one the requester may not
    /// use.
    pub fn forget(&mut self, kind: ControlKind) {
        self.present &= !kind.bit();
        self.critical &= !kind.bit();
        match kind {
            ControlKind::TransactionId => self.transaction_id = None,
            ControlKind::Assertion => self.assertion = None,
            ControlKind::PreRead => self.pre_read = None,
            ControlKind::PostRead => self.post_read = None,
            ControlKind::Paged => self.paged = None,
            ControlKind::PersistentSearch => self.persistent_search = None,
            ControlKind::Sort => self.sort = None,
            ControlKind::Proxied => self.proxied = None,
            ControlKind::Subentries => self.subentries = None,
            ControlKind::MatchedValues => self.matched_values = None,
            ControlKind::EffectiveRights => self.effective_rights = None,
            ControlKind::Affinity
            | ControlKind::PermissiveModify
            | ControlKind::ManageDsaIt
            | ControlKind::SubtreeDelete
            | ControlKind::NoOp
            | ControlKind::AuthorizationIdentity
            | ControlKind::PasswordPolicy => {}
        }
    }
}

#[cfg(test)]
mod tests;
