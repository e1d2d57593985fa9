//! The rights, and what is said of a text that is no ACI.

/// Why a text is not an ACI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ACI is not valid at octet {offset}: {reason}")]
pub struct AciError {
    /// Octet of the text at which it goes wrong.
    pub offset: usize,
    /// What was expected.
    pub reason: String,
}

/// A right an ACI can grant or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Right {
    Read,
    Write,
    Search,
    Compare,
    Add,
    Delete,
    /// Adding or deleting the requester's own DN as a value.
    SelfWrite,
    /// Acting as the entry.
    Proxy,
    /// Being moved below the entry.
    Import,
    /// Being moved away.
    Export,
}

impl Right {
    /// All of them.
    pub const EACH: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Search,
        Self::Compare,
        Self::Add,
        Self::Delete,
        Self::SelfWrite,
        Self::Proxy,
        Self::Import,
        Self::Export,
    ];

    /// The keyword of ACIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Search => "search",
            Self::Compare => "compare",
            Self::Add => "add",
            Self::Delete => "delete",
            Self::SelfWrite => "selfwrite",
            Self::Proxy => "proxy",
            Self::Import => "import",
            Self::Export => "export",
        }
    }

    /// The right of this keyword, in any case.
    pub fn parse(keyword: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|right| right.name().eq_ignore_ascii_case(keyword))
    }

    /// Whether the right is about looking: on operational attributes it counts only where the entry is visible.
    pub(super) const fn looks(self) -> bool {
        matches!(self, Self::Read | Self::Search | Self::Compare)
    }
}

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(pub u16);

impl Rights {
    /// What the keyword `all` means: everything but proxy, import and export.
    pub const ALL: Self = Self(0b0111_1111);

    /// Whether the set holds the right.
    pub const fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u16) != 0
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | (1 << right as u16))
    }

    /// What is in one set or the other.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
