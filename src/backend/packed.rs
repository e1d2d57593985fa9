//! An ordered map of byte strings in little memory: leaves of about a hundred keys, each leaf one buffer without the
//! prefix that all its keys share.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Keys of a leaf at the most.
const MAX_KEYS: usize = 128;
/// Octets of a leaf at the most, apart from one oversized item.
const MAX_OCTETS: usize = 4096;

/// One leaf. Its keys lie in `low..high`, where `low` is its key in the map and `high` the next leaf's, and start with
/// the octets that those two share.
#[derive(Debug, Default)]
struct Leaf {
    /// Octets of `low` that every key starts with.
    prefix: u16,
    /// Octets of `items` that no item uses any more.
    waste: u32,
    /// Where each item starts, in the order of the keys.
    starts: Vec<u32>,
    /// Items: lengths of key rest and value (two octets, one octet), key rest, value.
    items: Vec<u8>,
}

/// An item without the leaf's prefix.
#[derive(Debug, Clone, Copy)]
struct Item<'a> {
    rest: &'a [u8],
    value: &'a [u8],
}

const ITEM_HEADER: usize = 3;

impl Leaf {
    fn item(&self, index: usize) -> Option<Item<'_>> {
        let start = *self.starts.get(index)? as usize;
        let (&[high, low, value], body) = self.items.get(start..)?.split_first_chunk()?;
        let (rest, body) = body.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        Some(Item { rest, value: body.get(..usize::from(value))? })
    }

    /// Where a key rest is, or belongs.
    fn search(&self, rest: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.starts.len());
        while low < high {
            let middle = low.midpoint(high);
            let found = self.item(middle).map(|item| item.rest.cmp(rest));
            match found {
                Some(std::cmp::Ordering::Less) => low = middle + 1,
                Some(std::cmp::Ordering::Equal) => return Ok(middle),
                _ => high = middle,
            }
        }
        Err(low)
    }

    fn insert(&mut self, at: usize, rest: &[u8], value: &[u8]) {
        let start = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        let octets = ITEM_HEADER + rest.len() + value.len();
        if self.items.capacity() - self.items.len() < octets {
            self.items.reserve_exact(octets.max(self.items.len() / 4));
        }
        self.items.extend_from_slice(&u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.items.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        self.items.extend_from_slice(rest);
        self.items.extend_from_slice(value);
        if self.starts.len() == self.starts.capacity() {
            self.starts.reserve_exact((self.starts.len() / 4).max(4));
        }
        self.starts.insert(at, start);
    }

    fn remove(&mut self, at: usize) {
        if let Some(item) = self.item(at) {
            self.waste += u32::try_from(ITEM_HEADER + item.rest.len() + item.value.len()).unwrap_or(0);
            self.starts.remove(at);
        }
    }

    fn used(&self) -> usize {
        self.items.len() - self.waste as usize
    }

    /// The leaf anew, for another prefix length: `low` has the octets that come back or go.
    fn repacked(&self, low: &[u8], prefix: usize, range: std::ops::Range<usize>) -> Self {
        let old = usize::from(self.prefix);
        let mut leaf = Self { prefix: u16::try_from(prefix).unwrap_or(0), ..Self::default() };
        leaf.starts.reserve_exact(range.len());
        let items = self.used() * range.len() / self.starts.len().max(1);
        leaf.items.reserve_exact((items + old * range.len()).saturating_sub(prefix * range.len()));
        leaf.append(self, low, old, range);
        leaf
    }

    /// Appends items of another leaf whose keys are all greater; `low` starts with the other's prefix.
    fn append(&mut self, other: &Self, low: &[u8], old: usize, range: std::ops::Range<usize>) {
        let prefix = usize::from(self.prefix);
        let mut whole = Vec::new();
        for index in range {
            let Some(item) = other.item(index) else { continue };
            let at = self.starts.len();
            match old.checked_sub(prefix) {
                Some(0) => self.insert(at, item.rest, item.value),
                Some(_) => {
                    whole.clear();
                    whole.extend_from_slice(low.get(prefix..old).unwrap_or_default());
                    whole.extend_from_slice(item.rest);
                    self.insert(at, &whole, item.value);
                }
                None => self.insert(at, item.rest.get(prefix - old..).unwrap_or_default(), item.value),
            }
        }
    }
}

fn shared(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count().min(usize::from(u16::MAX))
}

/// The map. Keys up to 65,535 octets, values up to 255.
#[derive(Debug)]
pub(crate) struct PackedTree {
    /// By the lower bound; the first one's is empty.
    leaves: BTreeMap<Box<[u8]>, Leaf>,
    keys: usize,
}

impl Default for PackedTree {
    fn default() -> Self {
        Self { leaves: BTreeMap::from([(Box::default(), Leaf::default())]), keys: 0 }
    }
}

impl PackedTree {
    /// How many keys there are.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.keys
    }

    fn leaf(&self, key: &[u8]) -> Option<(&[u8], &Leaf)> {
        self.leaves.range::<[u8], _>((Unbounded, Included(key))).next_back().map(|(low, leaf)| (&**low, leaf))
    }

    /// The lower bound of the leaf after `low`.
    fn next_low(&self, low: &[u8]) -> Option<&[u8]> {
        self.leaves.range::<[u8], _>((Excluded(low), Unbounded)).next().map(|(low, _)| &**low)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, leaf) = self.leaf(key)?;
        let at = leaf.search(key.get(usize::from(leaf.prefix)..)?).ok()?;
        leaf.item(at).map(|item| item.value)
    }

    /// Sets the value of a key.
    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) {
        let Some((low, leaf)) = self.leaves.range_mut::<[u8], _>((Unbounded, Included(key))).next_back()
        else {
            return;
        };
        let rest = key.get(usize::from(leaf.prefix)..).unwrap_or_default();
        let at = match leaf.search(rest) {
            Ok(at) => {
                if leaf.item(at).is_some_and(|item| item.value == value) {
                    return;
                }
                leaf.remove(at);
                self.keys -= 1;
                at
            }
            Err(at) => at,
        };
        leaf.insert(at, rest, value);
        self.keys += 1;
        let is_wasteful = leaf.waste as usize > MAX_OCTETS / 2;
        if is_wasteful {
            *leaf = leaf.repacked(low, usize::from(leaf.prefix), 0..leaf.starts.len());
        }
        if leaf.starts.len() > 1 && (leaf.starts.len() > MAX_KEYS || leaf.used() > MAX_OCTETS) {
            let low = low.clone();
            self.split(&low, at);
        }
    }

    /// Splits a leaf in two; where keys come in ascending order, nearly all stay in the first, so that leaves fill up.
    fn split(&mut self, low: &[u8], touched: usize) {
        let high: Option<Box<[u8]>> = self.next_low(low).map(Into::into);
        let Some(leaf) = self.leaves.get_mut(low) else { return };
        let count = leaf.starts.len();
        let middle = if touched + 1 == count { count - 1 } else { count / 2 };
        let Some(item) = leaf.item(middle) else { return };
        let prefix = usize::from(leaf.prefix);
        let mut bound = Vec::with_capacity(prefix + item.rest.len());
        bound.extend_from_slice(low.get(..prefix).unwrap_or_default());
        bound.extend_from_slice(item.rest);
        // A shorter bound does as well: the first octets that tell the two sides apart.
        if let Some(before) = leaf.item(middle - 1) {
            bound.truncate(prefix + shared(before.rest, item.rest) + 1);
        }
        let left = leaf.repacked(low, shared(low, &bound).max(prefix), 0..middle);
        let right_prefix = high.as_deref().map_or(0, |high| shared(&bound, high));
        let right = leaf.repacked(&bound, right_prefix, middle..count);
        *leaf = left;
        self.leaves.insert(bound.into(), right);
    }

    /// Removes a key; whether it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let Some((low, leaf)) = self.leaves.range_mut::<[u8], _>((Unbounded, Included(key))).next_back()
        else {
            return false;
        };
        let Some(rest) = key.get(usize::from(leaf.prefix)..) else { return false };
        let Ok(at) = leaf.search(rest) else { return false };
        leaf.remove(at);
        self.keys -= 1;
        if leaf.starts.len() < MAX_KEYS / 4 && leaf.used() < MAX_OCTETS / 4 {
            let low = low.clone();
            self.join(&low);
        } else if leaf.waste as usize > leaf.items.len() / 2 {
            *leaf = leaf.repacked(low, usize::from(leaf.prefix), 0..leaf.starts.len());
        }
        true
    }

    /// Joins a small leaf with its left neighbour, if the two fit well into one; the first has none.
    fn join(&mut self, low: &[u8]) {
        let Some(left_low) =
            self.leaves.range::<[u8], _>((Unbounded, Excluded(low))).next_back().map(|(low, _)| low.clone())
        else {
            return;
        };
        let high: Option<Box<[u8]>> = self.next_low(low).map(Into::into);
        let (Some(left), Some(right)) = (self.leaves.get(&left_low), self.leaves.get(low)) else { return };
        let fits = left.starts.len() + right.starts.len() <= MAX_KEYS * 3 / 4
            && left.used() + right.used() <= MAX_OCTETS * 3 / 4;
        if !fits && !right.starts.is_empty() {
            return;
        }
        let prefix = high.as_deref().map_or(0, |high| shared(&left_low, high));
        let mut joined = left.repacked(&left_low, prefix, 0..left.starts.len());
        joined.append(right, low, usize::from(right.prefix), 0..right.starts.len());
        self.leaves.remove(low);
        self.leaves.insert(left_low, joined);
    }

    /// Visits the keys of `from..to` in order until the visitor says false.
    pub(crate) fn range(&self, from: &[u8], to: Option<&[u8]>, mut visit: impl FnMut(&[u8], &[u8]) -> bool) {
        let Some((first, _)) = self.leaf(from) else { return };
        let mut key = Vec::with_capacity(64);
        for (low, leaf) in self.leaves.range::<[u8], _>((Included(first), Unbounded)) {
            if to.is_some_and(|to| &**low >= to) {
                return;
            }
            key.clear();
            key.extend_from_slice(low.get(..usize::from(leaf.prefix)).unwrap_or_default());
            let start = if &**low >= from {
                0
            } else {
                match from.get(key.len()..).filter(|_| from.starts_with(&key)) {
                    Some(rest) => leaf.search(rest).unwrap_or_else(|at| at),
                    // `from` leaves the prefix: above all keys here, as it is not below `low`.
                    None if from > key.as_slice() => leaf.starts.len(),
                    None => 0,
                }
            };
            for index in start..leaf.starts.len() {
                let Some(item) = leaf.item(index) else { continue };
                key.truncate(usize::from(leaf.prefix));
                key.extend_from_slice(item.rest);
                if to.is_some_and(|to| key.as_slice() >= to) || !visit(&key, item.value) {
                    return;
                }
            }
        }
    }

    /// Counts the keys of a range, leaf by leaf, and gives up once there are more than `bound`.
    pub(crate) fn estimate(&self, from: &[u8], to: Option<&[u8]>, bound: usize) -> (usize, bool) {
        let Some((first, _)) = self.leaf(from) else { return (0, false) };
        let mut count = 0;
        let mut leaves = self.leaves.range::<[u8], _>((Included(first), Unbounded)).peekable();
        while let Some((low, leaf)) = leaves.next() {
            if to.is_some_and(|to| &**low >= to) {
                break;
            }
            let is_whole = &**low >= from
                && match (to, leaves.peek()) {
                    (None, _) => true,
                    (Some(to), Some((next, _))) => &***next <= to,
                    (Some(_), None) => false,
                };
            if is_whole {
                count += leaf.starts.len();
            } else {
                let start: &[u8] = if &**low >= from { low } else { from };
                let mut here = 0;
                let end = leaves.peek().map(|(next, _)| &***next);
                let end = match (to, end) {
                    (Some(to), Some(end)) => Some(to.min(end)),
                    (to, end) => to.or(end),
                };
                self.range(start, end, |_, _| {
                    here += 1;
                    true
                });
                count += here;
            }
            if count > bound {
                return (count, true);
            }
        }
        (count, false)
    }

    /// Octets of memory, about.
    pub(crate) fn memory(&self) -> usize {
        let leaves: usize = self
            .leaves
            .iter()
            .map(|(low, leaf)| low.len() + leaf.items.capacity() + 4 * leaf.starts.capacity() + 96)
            .sum();
        leaves
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(0_u8..4, 0..6),
            (0_u32..400).prop_map(|number| [b"prefix/".as_slice(), &number.to_be_bytes()].concat()),
            proptest::collection::vec(any::<u8>(), 0..80),
        ]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(Vec<u8>, Vec<u8>),
        Remove(Vec<u8>),
        Range(Vec<u8>, Option<Vec<u8>>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (key(), proptest::collection::vec(any::<u8>(), 0..10)).prop_map(|(key, value)| Step::Put(key, value)),
            3 => key().prop_map(Step::Remove),
            1 => (key(), proptest::option::of(key())).prop_map(|(from, to)| Step::Range(from, to)),
        ]
    }

    fn all(tree: &PackedTree, from: &[u8], to: Option<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        tree.range(from, to, |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            true
        });
        all
    }

    fn check(tree: &PackedTree, model: &BTreeMap<Vec<u8>, Vec<u8>>, from: &[u8], to: Option<&[u8]>) {
        let expected: Vec<_> = model
            .range::<[u8], _>((Included(from), Unbounded))
            .take_while(|(key, _)| to.is_none_or(|to| key.as_slice() < to))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(all(tree, from, to), expected);
        assert_eq!(tree.estimate(from, to, usize::MAX), (expected.len(), false));
        assert_eq!(tree.len(), model.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_is_a_sorted_map(steps in proptest::collection::vec(step(), 1..1200)) {
            let mut tree = PackedTree::default();
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        tree.insert(&key, &value);
                        model.insert(key, value);
                    }
                    Step::Remove(key) => assert_eq!(tree.remove(&key), model.remove(&key).is_some()),
                    Step::Range(from, to) => check(&tree, &model, &from, to.as_deref()),
                }
            }
            check(&tree, &model, &[], None);
            for (key, value) in &model {
                assert_eq!(tree.get(key), Some(value.as_slice()));
            }
        }
    }

    #[test]
    fn ascending_and_descending_runs_keep_leaves_full() {
        let mut tree = PackedTree::default();
        for number in 0_u64..20_000 {
            tree.insert(&[b"frcoretoken\0\0".as_slice(), &number.to_be_bytes()].concat(), &[]);
        }
        assert_eq!(tree.len(), 20_000);
        assert!(tree.memory() < 20_000 * 16, "{}", tree.memory());
        for number in 0_u64..20_000 {
            assert!(tree.remove(&[b"frcoretoken\0\0".as_slice(), &number.to_be_bytes()].concat()));
        }
        assert_eq!(tree.len(), 0);
        assert!(tree.leaves.len() <= 2, "{}", tree.leaves.len());
    }
}
