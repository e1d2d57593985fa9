//! Which controls there are, and with which operations they go.

use crate::protocol::message::OperationKind;
use crate::protocol::oid;

/// A request control the server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ControlKind {
    TransactionId,
    PostRead,
    Assertion,
    PreRead,
    Paged,
    PersistentSearch,
    Affinity,
    PermissiveModify,
    ManageDsaIt,
    SubtreeDelete,
    Sort,
    NoOp,
    Proxied,
    AuthorizationIdentity,
    Subentries,
    MatchedValues,
    PasswordPolicy,
    EffectiveRights,
}

impl ControlKind {
    /// All of them; those OpenAM sends come first.
    pub const ALL: &'static [Self] = &[
        Self::TransactionId,
        Self::PostRead,
        Self::Assertion,
        Self::PreRead,
        Self::Paged,
        Self::PersistentSearch,
        Self::Affinity,
        Self::PermissiveModify,
        Self::ManageDsaIt,
        Self::SubtreeDelete,
        Self::Sort,
        Self::NoOp,
        Self::Proxied,
        Self::AuthorizationIdentity,
        Self::Subentries,
        Self::MatchedValues,
        Self::PasswordPolicy,
        Self::EffectiveRights,
    ];

    /// The control with this OID.
    pub fn from_oid(oid: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.oid() == oid)
    }

    /// Its OID.
    pub const fn oid(self) -> &'static str {
        match self {
            Self::TransactionId => oid::TRANSACTION_ID,
            Self::PostRead => oid::POST_READ,
            Self::Assertion => oid::ASSERTION,
            Self::PreRead => oid::PRE_READ,
            Self::Paged => oid::PAGED_RESULTS,
            Self::PersistentSearch => oid::PERSISTENT_SEARCH,
            Self::Affinity => oid::AFFINITY,
            Self::PermissiveModify => oid::PERMISSIVE_MODIFY,
            Self::ManageDsaIt => oid::MANAGE_DSA_IT,
            Self::SubtreeDelete => oid::SUBTREE_DELETE,
            Self::Sort => oid::SORT_REQUEST,
            Self::NoOp => oid::NO_OP,
            Self::Proxied => oid::PROXIED_AUTHORIZATION,
            Self::AuthorizationIdentity => oid::AUTHORIZATION_IDENTITY_REQUEST,
            Self::Subentries => oid::SUBENTRIES,
            Self::MatchedValues => oid::MATCHED_VALUES,
            Self::PasswordPolicy => oid::PASSWORD_POLICY,
            Self::EffectiveRights => oid::GET_EFFECTIVE_RIGHTS,
        }
    }

    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TransactionId => "transaction id",
            Self::PostRead => "post-read",
            Self::Assertion => "assertion",
            Self::PreRead => "pre-read",
            Self::Paged => "simple paged results",
            Self::PersistentSearch => "persistent search",
            Self::Affinity => "affinity",
            Self::PermissiveModify => "permissive modify",
            Self::ManageDsaIt => "ManageDsaIT",
            Self::SubtreeDelete => "subtree delete",
            Self::Sort => "server-side sort",
            Self::NoOp => "no-op",
            Self::Proxied => "proxied authorization",
            Self::AuthorizationIdentity => "authorization identity",
            Self::Subentries => "subentries",
            Self::MatchedValues => "matched values",
            Self::PasswordPolicy => "password policy",
            Self::EffectiveRights => "get effective rights",
        }
    }

    /// Whether the control means something on requests of this operation.
    pub const fn goes_with(self, operation: OperationKind) -> bool {
        use OperationKind::{Add, Bind, Compare, Delete, Extended, Modify, ModifyDn, Search};
        match self {
            Self::TransactionId | Self::Affinity => true,
            Self::Assertion | Self::ManageDsaIt => {
                matches!(operation, Add | Compare | Delete | Modify | ModifyDn | Search)
            }
            Self::PreRead => matches!(operation, Delete | Modify | ModifyDn),
            Self::PostRead => matches!(operation, Add | Modify | ModifyDn),
            Self::Paged
            | Self::PersistentSearch
            | Self::Sort
            | Self::Subentries
            | Self::MatchedValues
            | Self::EffectiveRights => matches!(operation, Search),
            Self::PermissiveModify => matches!(operation, Modify),
            Self::SubtreeDelete => matches!(operation, Delete),
            Self::NoOp => matches!(operation, Add | Delete | Modify | ModifyDn),
            Self::Proxied => {
                matches!(operation, Add | Compare | Delete | Extended | Modify | ModifyDn | Search)
            }
            Self::AuthorizationIdentity => matches!(operation, Bind),
            Self::PasswordPolicy => matches!(operation, Add | Bind | Compare | Extended | Modify),
        }
    }

    /// Whether nothing about it is ever an error: it only accompanies a request.
    pub(super) const fn is_ignorable(self) -> bool {
        matches!(self, Self::TransactionId | Self::Affinity)
    }

    pub(super) const fn bit(self) -> u32 {
        1 << self as u8
    }
}
