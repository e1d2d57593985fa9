//! Modifications under the schema's equality rules (RFC 4511 §4.6, RFC 4525).

/// Why modifications cannot be applied to an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModifyError {
    /// noSuchAttribute (16).
    #[error("{0}")]
    NoSuchAttribute(String),
    /// attributeOrValueExists (20).
    #[error("{0}")]
    Exists(String),
    /// undefinedAttributeType (17).
    #[error("{0}")]
    UndefinedType(String),
    /// invalidAttributeSyntax (21).
    #[error("{0}")]
    Syntax(String),
    /// constraintViolation (19).
    #[error("{0}")]
    Constraint(String),
}

/// A modify request resolved against the schema: canonical descriptions, checked values and their equality keys.
#[derive(Debug, Clone)]
pub struct PreparedModifications {}

/// What modifications make of an entry.
#[derive(Debug, Clone)]
pub struct Edited {}
