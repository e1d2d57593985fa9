//! What can go wrong with configuration.

use crate::protocol::result::LdapResult;

/// Why the configuration cannot be read, or a change is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such entry; carries the DN of the deepest one that exists. (noSuchObject 32)
    #[error("{dn} does not exist")]
    NoSuchEntry {
        /// The entry asked for.
        dn: String,
        /// The deepest existing entry above it; may be empty.
        matched: String,
    },
    /// The entry exists already. (entryAlreadyExists 68)
    #[error("{0} exists already")]
    Exists(String),
    /// The entry has children. (notAllowedOnNonLeaf 66)
    #[error("{0} has entries below it")]
    NotLeaf(String),
    /// A value is not what the property accepts; names both. (constraintViolation 19)
    #[error("{0}")]
    Value(String),
    /// A value breaks the syntax of its attribute. (invalidAttributeSyntax 21)
    #[error("{0}")]
    Syntax(String),
    /// The schema does not know the attribute. (undefinedAttributeType 17)
    #[error("{0}")]
    UndefinedAttribute(String),
    /// The attribute or value to delete is not there. (noSuchAttribute 16)
    #[error("{0}")]
    NoSuchValue(String),
    /// The value to add is there already. (attributeOrValueExists 20)
    #[error("{0}")]
    ValueExists(String),
    /// Classes and attributes of the entry do not fit. (objectClassViolation 65)
    #[error("{0}")]
    ObjectClass(String),
    /// The name does not fit the place or the values. (namingViolation 64)
    #[error("{0}")]
    Naming(String),
    /// A DN does not parse. (invalidDNSyntax 34)
    #[error("{0}")]
    Dn(String),
    /// The server will not do this; says why. (unwillingToPerform 53)
    #[error("{0}")]
    Unwilling(String),
    /// Who obeys the setting refused it; carries its answer.
    #[error("{}", .0.diagnostic)]
    Refused(LdapResult),
    /// A file cannot be read, parsed or written. (other 80)
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What the system said, or the line at fault.
        reason: String,
    },
}
