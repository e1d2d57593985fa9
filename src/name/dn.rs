//! Distinguished names as text.

use super::Rdn;

/// Why a text is not a DN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at octet {offset}")]
pub struct DnError {
    /// Octet of the text at which it goes wrong.
    pub offset: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// A distinguished name, leaf first; the empty one is the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Dn {
    rdns: Vec<Rdn>,
}

impl Dn {
    /// Parses RFC 4514 text (spaces around separators and RFC 2253's `;` tolerated).
    pub fn parse(_text: &str) -> Result<Self, DnError> {
        unimplemented!()
    }

    /// Its RDNs, leaf first.
    pub fn rdns(&self) -> &[Rdn] {
        &self.rdns
    }

    /// The leaf RDN; none for the root.
    pub fn rdn(&self) -> Option<&Rdn> {
        self.rdns.first()
    }

    /// The DN above; none for the root.
    pub fn parent(&self) -> Option<Self> {
        unimplemented!()
    }

    /// Whether this is the root, the empty DN.
    pub fn is_root(&self) -> bool {
        self.rdns.is_empty()
    }
}

impl std::fmt::Display for Dn {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        unimplemented!()
    }
}
