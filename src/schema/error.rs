//! What can go wrong with schema.

/// Why a definition, a file or an edit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The text is not a definition; says where and why. (invalidAttributeSyntax)
    #[error("{0}")]
    Definition(String),
    /// The definition names something that is not there, or closes a circle. (constraintViolation)
    #[error("{0}")]
    Reference(String),
    /// The server will not make this edit. (unwillingToPerform)
    #[error("{0}")]
    Unwilling(String),
    /// A file cannot be read or written.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What the system said, or the line at fault.
        reason: String,
    },
}
