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

fn put_item(items: &mut Vec<u8>, rest: &[u8], value: &[u8]) {
    items.extend_from_slice(&u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes());
    items.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    items.extend_from_slice(rest);
    items.extend_from_slice(value);
}

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
        put_item(&mut self.items, rest, value);
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

/// Leaves on their way into a tree.
#[derive(Debug)]
pub(crate) struct LoadedLeaves(Vec<(Box<[u8]>, Leaf)>);

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

    /// Appends leaves, from the one that a key belongs to and without the keys before it, until there are `octets` of
    /// them. Returns where to go on. Pieces that are taken one after another, whatever changes in between, hold each key
    /// that stays exactly once.
    ///
    /// A leaf is: octets of the shared prefix (2), of the lower bound (4), of the items (4), number of items (2), lower
    /// bound, items.
    pub(crate) fn dump(&self, from: &[u8], octets: usize, out: &mut Vec<u8>) -> Option<Box<[u8]>> {
        let (first, _) = self.leaf(from)?;
        let start = out.len();
        let mut leaves = self.leaves.range::<[u8], _>((Included(first), Unbounded)).peekable();
        while let Some((low, leaf)) = leaves.next() {
            let prefix = usize::from(leaf.prefix);
            let skipped = match from.get(prefix..).filter(|_| from > &**low) {
                Some(rest) => leaf.search(rest).unwrap_or_else(|at| at),
                None => 0,
            };
            let low = if from > &**low { from } else { low };
            let header = out.len();
            out.extend_from_slice(&leaf.prefix.to_be_bytes());
            out.extend_from_slice(&u32::try_from(low.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(&[0; 6]);
            out.extend_from_slice(low);
            let items = out.len();
            for index in skipped..leaf.starts.len() {
                let Some(item) = leaf.item(index) else { continue };
                put_item(out, item.rest, item.value);
            }
            let length = u32::try_from(out.len() - items).unwrap_or(u32::MAX).to_be_bytes();
            let count = u16::try_from(leaf.starts.len() - skipped).unwrap_or(u16::MAX).to_be_bytes();
            if let Some(room) = out.get_mut(header + 6..header + 12) {
                room.iter_mut().zip(length.iter().chain(&count)).for_each(|(to, from)| *to = *from);
            }
            if out.len() - start >= octets {
                return leaves.peek().map(|(low, _)| (*low).clone());
            }
        }
        None
    }

    /// Reads leaves that [`Self::dump`] gave, without the items that `wants` not, given key and value. None if these
    /// are no leaves.
    pub(crate) fn load(leaves: &[u8], wants: Option<&dyn Fn(&[u8], &[u8]) -> bool>) -> Option<LoadedLeaves> {
        let mut loaded = Vec::new();
        let mut rest = leaves;
        let mut key = Vec::new();
        while !rest.is_empty() {
            let (prefix, after) = rest.split_first_chunk()?;
            let (low, after) = after.split_first_chunk()?;
            let (items, after) = after.split_first_chunk()?;
            let (count, after) = after.split_first_chunk()?;
            let (low, after) = after.split_at_checked(u32::from_be_bytes(*low) as usize)?;
            let (items, after) = after.split_at_checked(u32::from_be_bytes(*items) as usize)?;
            rest = after;
            let prefix = u16::from_be_bytes(*prefix);
            let count = u16::from_be_bytes(*count);
            let shared = low.get(..usize::from(prefix))?;
            let mut leaf = Leaf { prefix, ..Leaf::default() };
            leaf.starts.reserve_exact(usize::from(count));
            leaf.items.reserve_exact(items.len());
            let mut body = items;
            for _ in 0..count {
                let (&[high, low, value], after) = body.split_first_chunk()?;
                let length = usize::from(u16::from_be_bytes([high, low]));
                let (item, after) = after.split_at_checked(length)?;
                let (value, after) = after.split_at_checked(usize::from(value))?;
                body = after;
                if let Some(wants) = wants {
                    key.clear();
                    key.extend_from_slice(shared);
                    key.extend_from_slice(item);
                    if !wants(&key, value) {
                        continue;
                    }
                }
                leaf.starts.push(u32::try_from(leaf.items.len()).ok()?);
                put_item(&mut leaf.items, item, value);
            }
            if !body.is_empty() {
                return None;
            }
            loaded.push((low.into(), leaf));
        }
        Some(LoadedLeaves(loaded))
    }

    /// Takes loaded leaves over; all pieces of a dump must come, in any order, before the tree is used.
    pub(crate) fn take(&mut self, loaded: LoadedLeaves) {
        for (low, leaf) in loaded.0 {
            self.keys += leaf.starts.len();
            self.leaves.insert(low, leaf);
        }
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

/// Makes leaves, as [`PackedTree::dump`] writes them, of keys that come in their order. They are filled to seven eighths,
/// so that what comes later does not split them all at once.
#[derive(Debug, Default)]
pub(crate) struct LeafWriter {
    pub(crate) out: Vec<u8>,
    low: Vec<u8>,
    /// Items with their whole keys.
    items: Vec<u8>,
    count: u16,
    /// Where the last item's key is.
    last: (usize, usize),
}

impl LeafWriter {
    /// Takes the next key, greater than all before.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        let octets = ITEM_HEADER + key.len() + value.len();
        let is_full = usize::from(self.count) >= MAX_KEYS * 7 / 8
            || self.items.len() + octets > MAX_OCTETS * 7 / 8 + usize::from(self.count) * self.low.len();
        if is_full && self.count > 0 {
            let last = self.items.get(self.last.0..self.last.1).unwrap_or_default();
            let bound = key.get(..=shared(last, key)).unwrap_or(key).to_vec();
            self.close(shared(&self.low, &bound));
            self.low = bound;
        }
        let start = self.items.len() + ITEM_HEADER;
        put_item(&mut self.items, key, value);
        self.last = (start, start + key.len());
        self.count += 1;
    }

    /// Ends the tree.
    pub(crate) fn end(&mut self) {
        self.close(0);
    }

    fn close(&mut self, prefix: usize) {
        let out = &mut self.out;
        out.extend_from_slice(&u16::try_from(prefix).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.low.len()).unwrap_or(u32::MAX).to_be_bytes());
        let octets = self.items.len().saturating_sub(prefix * usize::from(self.count));
        out.extend_from_slice(&u32::try_from(octets).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.low);
        let mut rest = self.items.as_slice();
        while let Some((&[high, low, value], body)) = rest.split_first_chunk() {
            let key = usize::from(u16::from_be_bytes([high, low]));
            let Some((item, after)) = body.split_at_checked(key + usize::from(value)) else { break };
            let (key, value) = item.split_at_checked(key).unwrap_or_default();
            put_item(out, key.get(prefix..).unwrap_or_default(), value);
            rest = after;
        }
        self.items.clear();
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn leaves_that_are_written_in_order_make_the_same_tree(
            keys in proptest::collection::btree_map(
                proptest::collection::vec(0_u8..4, 0..12), proptest::collection::vec(any::<u8>(), 0..9), 0..1500),
            stem in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let whole = |key: &[u8]| [&stem, key].concat();
            let mut writer = LeafWriter::default();
            let mut grown = PackedTree::default();
            for (key, value) in &keys {
                writer.push(&whole(key), value);
                grown.insert(&whole(key), value);
            }
            writer.end();
            let mut tree = PackedTree::default();
            tree.take(PackedTree::load(&writer.out, None).unwrap());
            let all = |tree: &PackedTree| {
                let mut all = Vec::new();
                tree.range(&[], None, |key, value| { all.push((key.to_vec(), value.to_vec())); true });
                all
            };
            prop_assert_eq!(all(&tree), all(&grown));
            prop_assert_eq!(tree.len(), keys.len());
            for (key, value) in &keys {
                prop_assert_eq!(tree.get(&whole(key)), Some(value.as_slice()));
                // It goes on as any other.
                prop_assert!(tree.remove(&whole(key)));
                tree.insert(&[&whole(key)[..], b"x"].concat(), value);
            }
            prop_assert_eq!(tree.len(), keys.len());
        }
    }

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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_dumped_in_pieces_is_loaded(
            before in proptest::collection::vec((key(), 0_u8..9), 0..600),
            steps in proptest::collection::vec(step(), 0..300),
            octets in 1_usize..3000,
        ) {
            let mut tree = PackedTree::default();
            let mut model = BTreeMap::new();
            for (key, value) in before {
                tree.insert(&key, &[value]);
                model.insert(key, vec![value]);
            }
            // Changes go on between the pieces; what they touch is left out when loading.
            let mut touched = std::collections::BTreeSet::new();
            let mut pieces = Vec::new();
            let mut next: Option<Box<[u8]>> = Some(Box::default());
            let mut steps = steps.into_iter();
            while let Some(from) = next {
                let mut piece = Vec::new();
                next = tree.dump(&from, octets, &mut piece);
                pieces.push(piece);
                for step in steps.by_ref().take(20) {
                    match step {
                        Step::Put(key, value) => {
                            tree.insert(&key, &value);
                            model.insert(key.clone(), value);
                            touched.insert(key);
                        }
                        Step::Remove(key) => {
                            tree.remove(&key);
                            model.remove(&key);
                            touched.insert(key);
                        }
                        Step::Range(..) => {}
                    }
                }
            }
            let mut loaded = PackedTree::default();
            let wants = |key: &[u8], _: &[u8]| !touched.contains(key);
            for piece in pieces.iter().rev() {
                prop_assert!(piece.len() < 2 || PackedTree::load(&piece[..piece.len() - 1], None).is_none());
                loaded.take(PackedTree::load(piece, Some(&wants)).unwrap());
            }
            model.retain(|key, _| !touched.contains(key));
            check(&loaded, &model, &[], None);
            prop_assert_eq!(loaded.len(), model.len());
            // And it goes on as any tree does.
            for key in touched {
                loaded.insert(&key, b"new");
                model.insert(key, b"new".to_vec());
            }
            check(&loaded, &model, &[], None);
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
