//! Names to numbers, in any case, without allocating: what each attribute of each request goes through.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map from names and OIDs, found in any case; the spelling inserted is found with one hash.
#[derive(Debug, Clone)]
pub(super) struct NameMap<V> {
    map: HashMap<Box<[u8]>, V, BuildHasherDefault<NameHasher>>,
}

impl<V> Default for NameMap<V> {
    fn default() -> Self {
        Self { map: HashMap::default() }
    }
}

/// Longest name looked for in other cases than those inserted.
const MAX_FOLDED: usize = 96;

impl<V: Copy> NameMap<V> {
    pub(super) fn insert(&mut self, name: &str, value: V) {
        self.map.insert(name.as_bytes().into(), value);
        self.map.insert(name.to_ascii_lowercase().into_bytes().into(), value);
    }

    pub(super) fn get(&self, name: &str) -> Option<V> {
        let name = name.as_bytes();
        if let Some(value) = self.map.get(name) {
            return Some(*value);
        }
        let mut buffer = [0; MAX_FOLDED];
        let folded = buffer.get_mut(..name.len())?;
        folded.copy_from_slice(name);
        folded.make_ascii_lowercase();
        self.map.get(&*folded).copied()
    }
}

/// A fast hash for short names. It need not resist chosen keys: clients only look names up; the keys come
/// from the schema, which only administrators write.
#[derive(Debug, Default)]
pub(super) struct NameHasher(u64);

impl NameHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            self.mix(rest.iter().fold(0, |word, &octet| word << 8 | u64::from(octet)));
        }
    }

    fn write_usize(&mut self, length: usize) {
        self.mix(length as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_in_any_case() {
        let mut names = NameMap::default();
        names.insert("coreTokenExpirationDate", 1);
        names.insert("coreTokenString01", 2);
        names.insert("1.2.3", 3);
        assert_eq!(names.get("coreTokenExpirationDate"), Some(1));
        assert_eq!(names.get("CORETOKENEXPIRATIONDATE"), Some(1));
        assert_eq!(names.get("coretokenstring01"), Some(2));
        assert_eq!(names.get("1.2.3"), Some(3));
        assert_eq!(names.get("coreTokenString02"), None);
        assert_eq!(names.get(&"x".repeat(1000)), None);
    }
}
