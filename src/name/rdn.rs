//! One level of a DN.

use std::fmt::{Display, Formatter, Write};

use super::{Ava, DnError, DnReader};

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

    /// An RDN of these AVAs; none if there are none.
    pub fn from_avas(avas: Vec<Ava>) -> Option<Self> {
        (!avas.is_empty()).then_some(Self { avas })
    }

    /// Parses RFC 4514 text of exactly one RDN, as modifyDN's newrdn is.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        let mut avas = Vec::with_capacity(1);
        for ava in DnReader::new(text) {
            let ava = ava?;
            let ends = ava.ends_rdn;
            if ends && ava.end < text.trim_end_matches(' ').len() {
                return Err(DnError { offset: ava.end, reason: "an RDN ends here, but more follows" });
            }
            avas.push(ava.to_ava());
        }
        Self::from_avas(avas).ok_or(DnError { offset: 0, reason: "an RDN is wanted, the text is empty" })
    }

    /// Its AVAs, in the order written; at least one.
    pub fn avas(&self) -> &[Ava] {
        &self.avas
    }

    /// Adds one more AVA.
    pub(super) fn push(&mut self, ava: Ava) {
        self.avas.push(ava);
    }
}

impl Display for Rdn {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (at, ava) in self.avas.iter().enumerate() {
            if at > 0 {
                f.write_char('+')?;
            }
            ava.fmt(f)?;
        }
        Ok(())
    }
}
