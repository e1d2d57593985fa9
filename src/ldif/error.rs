//! What can be wrong with LDIF.

/// Why a text is not LDIF. After an error the reader goes on with the next record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LdifError {
    /// The text at this line is wrong.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Line, counted from one.
        line: u64,
        /// What is wrong and what is wanted.
        reason: String,
    },
    /// The text cannot be read; no records follow.
    #[error("line {line}: {source}")]
    Read {
        /// Line, counted from one.
        line: u64,
        /// What the system said.
        source: std::io::Error,
    },
}

impl LdifError {
    pub(super) fn at(line: u64, reason: impl Into<String>) -> Self {
        Self::Syntax { line, reason: reason.into() }
    }

    /// The line it is about.
    pub fn line(&self) -> u64 {
        match self {
            Self::Syntax { line, .. } | Self::Read { line, .. } => *line,
        }
    }
}
