//! An ordered map of byte strings in little memory: leaves of about a hundred keys, each leaf one buffer without the
//! prefix that all its keys share, below branches of about a hundred leaves, whose bounds are kept likewise.

mod leaf;
mod writer;

use leaf::{Leaf, put_item, shared};
pub(crate) use writer::LeafWriter;

/// Keys of a leaf at the most.
const MAX_KEYS: usize = 128;
/// Octets of a leaf at the most, apart from one oversized item.
const MAX_OCTETS: usize = 4096;
/// Leaves of a branch at the most. Tests have few, so that small trees have branches.
const MAX_LEAVES: usize = if cfg!(test) { 4 } else { 128 };

/// Some leaves that follow each other. The first one's lower bound is the branch's own.
#[derive(Debug)]
struct Branch {
    /// The leaves' lower bounds, with no values.
    lows: Leaf,
    leaves: Vec<Leaf>,
}

/// The map. Keys up to 65,535 octets, values up to 255.
#[derive(Debug)]
pub(crate) struct PackedTree {
    /// The branches' lower bounds, with no values; the first one's is empty.
    lows: Leaf,
    branches: Vec<Branch>,
    keys: usize,
}

/// Leaves on their way into a tree.
#[derive(Debug)]
pub(crate) struct LoadedLeaves(Vec<(Box<[u8]>, Leaf)>);

/// Where a key is or belongs in a leaf whose bounds hold it.
fn position(leaf: &Leaf, key: &[u8]) -> usize {
    leaf.search(key.get(usize::from(leaf.prefix)..).unwrap_or_default()).unwrap_or_else(|at| at)
}

/// Where a leaf is: its branch, and its place there.
type At = (usize, usize);

impl Default for PackedTree {
    fn default() -> Self {
        let mut lows = Leaf::default();
        lows.insert(0, &[], &[]);
        let mut own = Leaf::default();
        own.insert(0, &[], &[]);
        Self { lows, branches: vec![Branch { lows: own, leaves: vec![Leaf::default()] }], keys: 0 }
    }
}

impl PackedTree {
    /// How many keys there are.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.keys
    }

    /// The leaf in whose bounds a key lies.
    fn locate(&self, key: &[u8]) -> At {
        let at = self.lows.floor(key).unwrap_or(0);
        let within = self.branches.get(at).and_then(|branch| {
            branch.lows.floor(key.get(usize::from(branch.lows.prefix)..).unwrap_or_default())
        });
        (at, within.unwrap_or(0))
    }

    fn leaf(&self, at: At) -> Option<&Leaf> {
        self.branches.get(at.0)?.leaves.get(at.1)
    }

    fn leaf_mut(&mut self, at: At) -> Option<&mut Leaf> {
        self.branches.get_mut(at.0)?.leaves.get_mut(at.1)
    }

    /// The leaf after this one.
    fn after(&self, at: At) -> Option<At> {
        let next = (at.0, at.1 + 1);
        if self.leaf(next).is_some() { Some(next) } else { self.leaf((at.0 + 1, 0)).map(|_| (at.0 + 1, 0)) }
    }

    fn branch_low(&self, branch: usize) -> Option<&[u8]> {
        self.lows.item(branch).map(|item| item.rest)
    }

    /// Writes a leaf's lower bound.
    fn low_into(&self, at: At, low: &mut Vec<u8>) {
        low.clear();
        let Some(branch) = self.branches.get(at.0) else { return };
        let prefix = self.branch_low(at.0).and_then(|low| low.get(..usize::from(branch.lows.prefix)));
        low.extend_from_slice(prefix.unwrap_or_default());
        low.extend_from_slice(branch.lows.item(at.1).map(|item| item.rest).unwrap_or_default());
    }

    fn low(&self, at: At) -> Vec<u8> {
        let mut low = Vec::new();
        self.low_into(at, &mut low);
        low
    }

    /// Makes what follows on these keys quicker; see [`Leaf::touch`].
    pub(crate) fn touch<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) {
        let read = |key| self.leaf(self.locate(key)).map_or(0, Leaf::touch);
        std::hint::black_box(keys.map(read).fold(0, std::ops::BitXor::bitxor));
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let leaf = self.leaf(self.locate(key))?;
        let at = leaf.search(key.get(usize::from(leaf.prefix)..)?).ok()?;
        leaf.item(at).map(|item| item.value)
    }

    /// Sets the value of a key.
    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) {
        let place = self.locate(key);
        let Some(leaf) = self.leaf_mut(place) else { return };
        let rest = key.get(usize::from(leaf.prefix)..).unwrap_or_default();
        let (at, is_new) = match leaf.search(rest) {
            Ok(at) => {
                if leaf.item(at).is_some_and(|item| item.value == value) {
                    return;
                }
                leaf.remove(at);
                (at, false)
            }
            Err(at) => (at, true),
        };
        leaf.insert(at, rest, value);
        let is_wasteful = leaf.waste() > MAX_OCTETS / 2;
        let is_big = leaf.len() > 1 && (leaf.len() > MAX_KEYS || leaf.used() > MAX_OCTETS);
        self.keys += usize::from(is_new);
        if is_wasteful {
            self.repack(place);
        }
        if is_big {
            self.split(place, at);
        }
    }

    fn repack(&mut self, place: At) {
        let low = self.low(place);
        if let Some(leaf) = self.leaf_mut(place) {
            *leaf = leaf.repacked(&low, usize::from(leaf.prefix), 0..leaf.len());
        }
    }

    /// Splits a leaf in two; where keys come in ascending order, nearly all stay in the first, so that leaves fill up.
    fn split(&mut self, place: At, touched: usize) {
        let low = self.low(place);
        let high = self.after(place).map(|next| self.low(next));
        let Some(leaf) = self.leaf_mut(place) else { return };
        let count = leaf.len();
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
        let left = leaf.repacked(&low, shared(&low, &bound).max(prefix), 0..middle);
        let right_prefix = high.as_deref().map_or(0, |high| shared(&bound, high));
        let right = leaf.repacked(&bound, right_prefix, middle..count);
        *leaf = left;
        self.place(&bound, right);
    }

    /// Puts a leaf where its lower bound belongs; one with the same bound goes.
    fn place(&mut self, low: &[u8], leaf: Leaf) {
        let at = self.lows.floor(low).unwrap_or(0);
        let Some(branch) = self.branches.get_mut(at) else { return };
        let rest = low.get(usize::from(branch.lows.prefix)..).unwrap_or_default();
        match branch.lows.search(rest) {
            Ok(within) => {
                if let Some(old) = branch.leaves.get_mut(within) {
                    *old = leaf;
                }
            }
            Err(within) => {
                branch.lows.insert(within, rest, &[]);
                branch.leaves.insert(within, leaf);
                if branch.leaves.len() > MAX_LEAVES {
                    self.split_branch(at, within);
                }
            }
        }
    }

    /// As [`Self::split`], a branch.
    fn split_branch(&mut self, at: usize, touched: usize) {
        let low = self.branch_low(at).unwrap_or_default().to_vec();
        let high = self.branch_low(at + 1).map(<[u8]>::to_vec);
        let Some(branch) = self.branches.get_mut(at) else { return };
        let count = branch.leaves.len();
        let middle = if touched + 1 == count { count - 1 } else { count / 2 };
        let prefix = usize::from(branch.lows.prefix);
        let Some(item) = branch.lows.item(middle) else { return };
        let bound = [low.get(..prefix).unwrap_or_default(), item.rest].concat();
        let left = branch.lows.repacked(&low, shared(&low, &bound).max(prefix), 0..middle);
        let right_prefix = high.as_deref().map_or(0, |high| shared(&bound, high));
        let right = branch.lows.repacked(&bound, right_prefix, middle..count);
        branch.lows = left;
        let leaves = branch.leaves.split_off(middle);
        self.branches.insert(at + 1, Branch { lows: right, leaves });
        self.lows.insert(at + 1, &bound, &[]);
    }

    /// Removes a key; whether it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let place = self.locate(key);
        let Some(leaf) = self.leaf_mut(place) else { return false };
        let Some(rest) = key.get(usize::from(leaf.prefix)..) else { return false };
        let Ok(at) = leaf.search(rest) else { return false };
        leaf.remove(at);
        let is_small = leaf.len() < MAX_KEYS / 4 && leaf.used() < MAX_OCTETS / 4;
        let is_wasteful = leaf.is_mostly_waste();
        self.keys -= 1;
        if !(is_small && self.join(place)) && is_wasteful {
            self.repack(place);
        }
        true
    }

    /// Joins a small leaf with a neighbour in its branch, if the two fit well into one, and a small branch with the one
    /// before it; whether the leaf was joined.
    fn join(&mut self, place: At) -> bool {
        let left = (place.0, place.1.saturating_sub(1));
        let right = (place.0, left.1 + 1);
        let low = self.low(left);
        let high = self.after(right).map(|next| self.low(next));
        let right_low = self.low(right);
        let Some(branch) = self.branches.get_mut(place.0) else { return false };
        let (Some(one), Some(other)) = (branch.leaves.get(left.1), branch.leaves.get(right.1)) else {
            // The only leaf.
            return self.join_branch(place.0);
        };
        let fits =
            one.len() + other.len() <= MAX_KEYS * 3 / 4 && one.used() + other.used() <= MAX_OCTETS * 3 / 4;
        if !fits && !one.is_empty() && !other.is_empty() {
            return false;
        }
        let prefix = high.as_deref().map_or(0, |high| shared(&low, high));
        let mut joined = one.repacked(&low, prefix, 0..one.len());
        joined.append(other, &right_low, 0..other.len());
        if let Some(one) = branch.leaves.get_mut(left.1) {
            *one = joined;
        }
        branch.leaves.remove(right.1);
        branch.lows.remove(right.1);
        if branch.lows.is_mostly_waste() {
            let branch_low = self.branch_low(place.0).unwrap_or_default().to_vec();
            if let Some(Branch { lows, .. }) = self.branches.get_mut(place.0) {
                *lows = lows.repacked(&branch_low, usize::from(lows.prefix), 0..lows.len());
            }
        }
        self.join_branch(place.0);
        true
    }

    /// Joins a small branch with a neighbour, if the two fit well into one; whether it did.
    fn join_branch(&mut self, at: usize) -> bool {
        let fit = |left: usize| {
            let one = self.branches.get(left).map(|branch| branch.leaves.len())?;
            let other = self.branches.get(left + 1).map(|branch| branch.leaves.len())?;
            (one.min(other) <= MAX_LEAVES / 4 && one + other <= MAX_LEAVES * 3 / 4).then_some(left)
        };
        let Some(left) = at.checked_sub(1).and_then(fit).or_else(|| fit(at)) else { return false };
        let low = self.branch_low(left).unwrap_or_default().to_vec();
        let middle = self.branch_low(left + 1).unwrap_or_default().to_vec();
        let prefix = self.branch_low(left + 2).map_or(0, |high| shared(&low, high));
        let other = self.branches.remove(left + 1);
        self.lows.remove(left + 1);
        if self.lows.is_mostly_waste() {
            self.lows = self.lows.repacked(&[], 0, 0..self.lows.len());
        }
        if let Some(one) = self.branches.get_mut(left) {
            one.lows = one.lows.repacked(&low, prefix, 0..one.lows.len());
            one.lows.append(&other.lows, &middle, 0..other.lows.len());
            one.leaves.extend(other.leaves);
        }
        true
    }

    /// Visits the keys of `from..to` in order until the visitor says false.
    pub(crate) fn range(&self, from: &[u8], to: Option<&[u8]>, mut visit: impl FnMut(&[u8], &[u8]) -> bool) {
        let first = self.locate(from);
        let mut at = Some(first);
        let mut key = Vec::with_capacity(64);
        while let Some(place) = at {
            let Some(leaf) = self.leaf(place) else { return };
            self.low_into(place, &mut key);
            if place != first && to.is_some_and(|to| key.as_slice() >= to) {
                return;
            }
            let prefix = usize::from(leaf.prefix);
            let start = match from.get(prefix..).filter(|_| place == first) {
                Some(rest) => leaf.search(rest).unwrap_or_else(|at| at),
                None => 0,
            };
            for index in start..leaf.len() {
                let Some(item) = leaf.item(index) else { continue };
                key.truncate(prefix);
                key.extend_from_slice(item.rest);
                if to.is_some_and(|to| key.as_slice() >= to) || !visit(&key, item.value) {
                    return;
                }
            }
            at = self.after(place);
        }
    }

    /// Counts the keys of a range, leaf by leaf, and gives up once there are more than `bound`.
    pub(crate) fn estimate(&self, from: &[u8], to: Option<&[u8]>, bound: usize) -> (usize, bool) {
        if to.is_some_and(|to| to <= from) {
            return (0, false);
        }
        let mut count: usize = 0;
        let mut place = self.locate(from);
        let mut high = Vec::new();
        let mut start = self.leaf(place).map_or(0, |leaf| position(leaf, from));
        while let Some(leaf) = self.leaf(place) {
            let next = self.after(place);
            let is_last = match (to, next) {
                (Some(to), Some(next)) => {
                    self.low_into(next, &mut high);
                    to <= high.as_slice()
                }
                (_, None) => true,
                (None, Some(_)) => false,
            };
            let end = match to.filter(|_| is_last) {
                Some(to) => position(leaf, to),
                None => leaf.len(),
            };
            count += end.saturating_sub(start);
            if count > bound {
                return (count, true);
            }
            match next.filter(|_| !is_last) {
                Some(next) => place = next,
                None => break,
            }
            start = 0;
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
        let start = out.len();
        let mut place = self.locate(from);
        let mut low = Vec::new();
        loop {
            let leaf = self.leaf(place)?;
            self.low_into(place, &mut low);
            let skipped = if from > low.as_slice() { position(leaf, from) } else { 0 };
            let low = if from > low.as_slice() { from } else { &low };
            let header = out.len();
            out.extend_from_slice(&leaf.prefix.to_be_bytes());
            out.extend_from_slice(&u32::try_from(low.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(&[0; 6]);
            out.extend_from_slice(low);
            let items = out.len();
            for index in skipped..leaf.len() {
                let Some(item) = leaf.item(index) else { continue };
                put_item(out, item.rest, item.value);
            }
            let length = u32::try_from(out.len() - items).unwrap_or(u32::MAX).to_be_bytes();
            let count = u16::try_from(leaf.len() - skipped).unwrap_or(u16::MAX).to_be_bytes();
            if let Some(room) = out.get_mut(header + 6..header + 12) {
                room.iter_mut().zip(length.iter().chain(&count)).for_each(|(to, from)| *to = *from);
            }
            place = self.after(place)?;
            if out.len() - start >= octets {
                return Some(self.low(place).into());
            }
        }
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
            let mut leaf = Leaf::with_room(prefix, usize::from(count), items.len());
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
                leaf.push(item, value);
            }
            leaf.settle();
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
            self.keys += leaf.len();
            self.place(&low, leaf);
        }
    }

    /// Octets of memory, about.
    pub(crate) fn memory(&self) -> usize {
        let leaves = |branch: &Branch| branch.leaves.iter().map(Leaf::memory).sum::<usize>();
        self.branches.iter().map(|branch| branch.lows.memory() + leaves(branch)).sum::<usize>()
            + self.lows.memory()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use std::ops::Bound::{Included, Unbounded};

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
        let leaves: usize = tree.branches.iter().map(|branch| branch.leaves.len()).sum();
        assert!(leaves <= 2, "{leaves}");
    }
}
