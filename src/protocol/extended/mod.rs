//! Extended operations (RFC 4511 §4.12): one file each, the form of their values.
//!
//! What may enter: names and values of extended operations. Carrying them out is the operations' business.

pub mod cancel;
pub mod explain_access;
pub mod password_modify;
pub mod start_tls;
pub mod whoami;

pub use super::control::ControlError as ValueError;
use super::oid;

/// An extended operation the server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ExtendedKind {
    StartTls,
    WhoAmI,
    PasswordModify,
    Cancel,
    ExplainAccess,
}

impl ExtendedKind {
    /// The operation with this OID.
    pub fn from_oid(oid: &str) -> Option<Self> {
        Some(match oid {
            oid::START_TLS => Self::StartTls,
            oid::WHO_AM_I => Self::WhoAmI,
            oid::PASSWORD_MODIFY => Self::PasswordModify,
            oid::CANCEL => Self::Cancel,
            oid::EXPLAIN_ACCESS => Self::ExplainAccess,
            _ => return None,
        })
    }

    /// Its OID.
    pub const fn oid(self) -> &'static str {
        match self {
            Self::StartTls => oid::START_TLS,
            Self::WhoAmI => oid::WHO_AM_I,
            Self::PasswordModify => oid::PASSWORD_MODIFY,
            Self::Cancel => oid::CANCEL,
            Self::ExplainAccess => oid::EXPLAIN_ACCESS,
        }
    }
}

/// The extended operations the root DSE lists; StartTLS only where the listener has TLS to offer.
pub const SUPPORTED: &[&str] =
    &[oid::WHO_AM_I, oid::PASSWORD_MODIFY, oid::CANCEL, oid::EXPLAIN_ACCESS, oid::START_TLS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_and_the_kinds_agree() {
        for oid in SUPPORTED {
            assert_eq!(ExtendedKind::from_oid(oid).unwrap().oid(), *oid);
        }
        assert_eq!(ExtendedKind::from_oid(oid::END_TRANSACTION), None);
    }
}
