//! An entry against its object classes.

/// How an entry breaks the schema; each maps to one result code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// objectClassViolation (65); says which class or attribute.
    #[error("{0}")]
    ObjectClass(String),
    /// invalidAttributeSyntax (21); names attribute, value's fault and what the syntax accepts.
    #[error("{0}")]
    Syntax(String),
    /// undefinedAttributeType (17).
    #[error("{0}")]
    UndefinedType(String),
    /// constraintViolation (19).
    #[error("{0}")]
    Constraint(String),
    /// attributeOrValueExists (20).
    #[error("{0}")]
    Duplicate(String),
}
