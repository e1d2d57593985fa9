//! The index store in memory: the default.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;

use super::StoreError;
use super::index_store::{Batch, EntryId, Estimate, IndexStore, Marks, Slot, TreeId, Visit, Write};
use super::packed::{LoadedLeaves, PackedTree};

/// Parts of the entry table, each with its own lock; a power of two.
const SHARDS: usize = 64;

/// Spreads consecutive ids over a hash table.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for octet in bytes {
            self.write_u64(self.0 ^ u64::from(*octet));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(number ^ 0x9e37_79b9_7f4a_7c15)
            .wrapping_mul(0xa076_1d64_78bd_642f_e703_7ed1_a0b4_28db);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// A map keyed by entry ids.
pub(crate) type IdMap<V> = HashMap<u64, V, BuildHasherDefault<IdHasher>>;

#[derive(Debug)]
struct Tree {
    name: String,
    keys: Arc<RwLock<PackedTree>>,
    is_complete: AtomicBool,
}

/// Everything in memory, gone when the process ends.
#[derive(Debug)]
pub struct MemoryStore {
    trees: ArcSwap<Vec<Option<Arc<Tree>>>>,
    /// Held while the list of trees changes.
    changing: Mutex<()>,
    table: Vec<RwLock<IdMap<Slot>>>,
    entries: AtomicU64,
    applied: AtomicU64,
    /// Position and marks, as one.
    stand: Mutex<(u64, Marks)>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            trees: ArcSwap::default(),
            changing: Mutex::new(()),
            table: (0..SHARDS).map(|_| RwLock::default()).collect(),
            entries: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            stand: Mutex::default(),
        }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn shard(&self, id: EntryId) -> Option<&RwLock<IdMap<Slot>>> {
        self.table.get(id.0 as usize % SHARDS)
    }

    fn set_slot(&self, id: EntryId, slot: Slot) {
        let Some(shard) = self.shard(id) else { return };
        if shard.write().unwrap_or_else(PoisonError::into_inner).insert(id.0, slot).is_none() {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn forget(&self, id: EntryId) {
        let Some(shard) = self.shard(id) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.remove(&id.0).is_some() {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            // A burst of short-lived entries must not leave its table behind.
            if shard.capacity() > 1024 && shard.len() < shard.capacity() / 8 {
                let kept = shard.len() * 2;
                shard.shrink_to(kept);
            }
        }
    }

    fn with<T>(&self, tree: TreeId, read: impl FnOnce(&PackedTree) -> T) -> Option<T> {
        let trees = self.trees.load();
        let tree = trees.get(tree.0 as usize)?.as_ref()?;
        Some(read(&tree.keys.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn change(&self, tree: TreeId, write: impl FnOnce(&mut PackedTree)) {
        let trees = self.trees.load();
        if let Some(Some(tree)) = trees.get(tree.0 as usize) {
            write(&mut tree.keys.write().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Taking the store to a checkpoint and back, piece by piece, while it serves.
impl MemoryStore {
    /// Calls `visit` for each slot of a part of the entry table; false if there is no such part.
    pub(crate) fn visit_slots(&self, part: usize, mut visit: impl FnMut(EntryId, &Slot)) -> bool {
        let Some(shard) = self.table.get(part) else { return false };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.iter().for_each(|(&id, slot)| visit(EntryId(id), slot));
        true
    }

    /// As [`PackedTree::dump`]; `None` as well if the tree is gone.
    pub(crate) fn dump(
        &self,
        tree: TreeId,
        from: &[u8],
        octets: usize,
        out: &mut Vec<u8>,
    ) -> Option<Box<[u8]>> {
        self.with(tree, |keys| keys.dump(from, octets, out)).flatten()
    }

    /// Puts slots into the table.
    pub(crate) fn put_slots(&self, slots: &[(EntryId, Slot)]) {
        let mut batch = Batch::new();
        slots.iter().for_each(|(id, slot)| batch.slot(*id, *slot));
        // This store's batches do not fail.
        let _ = self.apply(&batch);
    }

    /// As [`PackedTree::take`].
    pub(crate) fn take(&self, tree: TreeId, leaves: LoadedLeaves) {
        self.change(tree, |keys| keys.take(leaves));
    }
}

impl IndexStore for MemoryStore {
    fn tree(&self, name: &str) -> Result<TreeId, StoreError> {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let trees = self.trees.load_full();
        let found = trees.iter().position(|tree| tree.as_ref().is_some_and(|tree| tree.name == name));
        let at = match found {
            Some(at) => at,
            None => {
                let mut grown = Vec::clone(&trees);
                let (keys, is_complete) = (Arc::default(), AtomicBool::new(false));
                grown.push(Some(Arc::new(Tree { name: name.to_owned(), keys, is_complete })));
                self.trees.store(Arc::new(grown));
                trees.len()
            }
        };
        u32::try_from(at).map(TreeId).map_err(|_| StoreError::Unwilling("too many trees".into()))
    }

    fn drop_tree(&self, tree: TreeId) -> Result<(), StoreError> {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trees = Vec::clone(&self.trees.load());
        if let Some(slot) = trees.get_mut(tree.0 as usize) {
            *slot = None;
        }
        self.trees.store(Arc::new(trees));
        Ok(())
    }

    fn trees(&self) -> Vec<(String, TreeId)> {
        let trees = self.trees.load();
        let numbered = trees.iter().zip(0..);
        numbered.filter_map(|(tree, at)| Some((tree.as_ref()?.name.clone(), TreeId(at)))).collect()
    }

    fn is_complete(&self, tree: TreeId) -> bool {
        let trees = self.trees.load();
        let tree = trees.get(tree.0 as usize).and_then(Option::as_ref);
        tree.is_some_and(|tree| tree.is_complete.load(Ordering::Acquire))
    }

    fn set_complete(&self, tree: TreeId, complete: bool) -> Result<(), StoreError> {
        if let Some(Some(tree)) = self.trees.load().get(tree.0 as usize) {
            tree.is_complete.store(complete, Ordering::Release);
        }
        Ok(())
    }

    fn replace(&self, tree: TreeId, by: TreeId) -> Result<(), StoreError> {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trees = Vec::clone(&self.trees.load());
        let new = trees.get_mut(by.0 as usize).and_then(Option::take);
        let (Some(new), Some(Some(old))) = (new, trees.get_mut(tree.0 as usize)) else {
            return Err(StoreError::Unwilling("a tree is gone".into()));
        };
        *old = Arc::new(Tree {
            name: old.name.clone(),
            keys: Arc::clone(&new.keys),
            is_complete: AtomicBool::new(true),
        });
        self.trees.store(Arc::new(trees));
        Ok(())
    }

    fn slot(&self, id: EntryId) -> Result<Option<Slot>, StoreError> {
        let Some(shard) = self.shard(id) else { return Ok(None) };
        Ok(shard.read().unwrap_or_else(PoisonError::into_inner).get(&id.0).copied())
    }

    fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    fn ids(&self, token: u64, _limit: usize, out: &mut Vec<EntryId>) -> Result<Option<u64>, StoreError> {
        let Some(shard) = self.table.get(token as usize) else { return Ok(None) };
        out.extend(shard.read().unwrap_or_else(PoisonError::into_inner).keys().map(|&id| EntryId(id)));
        Ok(Some(token + 1))
    }

    fn get(&self, tree: TreeId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let found = self.with(tree, |keys| keys.get(key).map(visit).is_some());
        Ok(found.unwrap_or(false))
    }

    fn range(
        &self,
        tree: TreeId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StoreError> {
        self.with(tree, |keys| keys.range(from, to, |key, value| visit(key, value) == Visit::Continue));
        Ok(())
    }

    fn estimate(
        &self,
        tree: TreeId,
        from: &[u8],
        to: Option<&[u8]>,
        bound: u64,
    ) -> Result<Estimate, StoreError> {
        let bound = usize::try_from(bound).unwrap_or(usize::MAX);
        let (keys, is_more) = self.with(tree, |keys| keys.estimate(from, to, bound)).unwrap_or((0, false));
        Ok(Estimate { keys: keys as u64, is_more })
    }

    fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut steps: Vec<(TreeId, &[u8], Option<&[u8]>)> = Vec::with_capacity(batch.len());
        for write in batch.writes() {
            match write {
                Write::Put(tree, key, value) => steps.push((tree, key, Some(value))),
                Write::Remove(tree, key) => steps.push((tree, key, None)),
                Write::Slot(id, slot) => self.set_slot(id, slot),
                Write::Children(id, children) => {
                    let Some(shard) = self.shard(id) else { continue };
                    if let Some(slot) = shard.write().unwrap_or_else(PoisonError::into_inner).get_mut(&id.0) {
                        slot.children = children;
                    }
                }
                Write::Forget(id) => self.forget(id),
            }
        }
        // Tree after tree: each is locked once, and what leads to its leaves stays in the processor's cache.
        steps.sort_by_key(|(tree, ..)| *tree);
        for steps in steps.chunk_by(|(one, ..), (other, ..)| one == other) {
            let Some((tree, ..)) = steps.first() else { continue };
            self.change(*tree, |keys| {
                keys.touch(steps.iter().map(|(_, key, _)| *key));
                for (_, key, value) in steps {
                    match value {
                        Some(value) => keys.insert(key, value),
                        None => drop(keys.remove(key)),
                    }
                }
            });
        }
        let mut stand = self.stand.lock().unwrap_or_else(PoisonError::into_inner);
        stand.0 = stand.0.max(batch.applied);
        if let Some(marks) = batch.marks {
            stand.1 = marks;
        }
        self.applied.store(stand.0, Ordering::Release);
        Ok(())
    }

    fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    fn stand(&self) -> (u64, Marks) {
        *self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> Vec<(String, u64)> {
        let slots: usize = self
            .table
            .iter()
            .map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).capacity() * 8 / 7)
            .sum();
        let octets = slots * (size_of::<(u64, Slot)>() + 1);
        let mut all = vec![("entries".to_owned(), octets as u64)];
        for tree in self.trees.load().iter().flatten() {
            let keys = tree.keys.read().unwrap_or_else(PoisonError::into_inner);
            all.push((tree.name.clone(), keys.memory() as u64));
        }
        all
    }
}
