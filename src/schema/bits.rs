//! Sets of attribute types, for quick answers.

use super::TypeId;

/// A set of attribute types' numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn insert(&mut self, id: TypeId) {
        let word = id.0 as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (id.0 % 64);
        }
    }

    pub(super) fn contains(&self, id: TypeId) -> bool {
        self.0.get(id.0 as usize / 64).is_some_and(|bits| bits & 1 << (id.0 % 64) != 0)
    }
}
