//! One level of a DN.

use super::Ava;

/// A relative distinguished name: one AVA, or several.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rdn {
    avas: Vec<Ava>,
}

impl Rdn {
    /// An RDN of one AVA.
    pub fn single(ava: Ava) -> Self {
        Self { avas: vec![ava] }
    }

    /// Its AVAs, in the order written; at least one.
    pub fn avas(&self) -> &[Ava] {
        &self.avas
    }
}
