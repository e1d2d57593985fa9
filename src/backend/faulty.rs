//! An index store that fails on purpose, for tests of everything that stands on one.

use std::sync::atomic::{AtomicU64, Ordering};

use super::StoreError;
use super::index_store::{Batch, EntryId, Estimate, IndexStore, Marks, SharedStore, Slot, TreeId, Visit};

/// Hands everything on to another store until it fails: the chosen write and all after it do nothing.
pub struct FaultyStore {
    inner: SharedStore,
    writes: AtomicU64,
    fail_at: AtomicU64,
}

impl FaultyStore {
    /// A store that does not fail yet.
    pub fn new(inner: SharedStore) -> Self {
        Self { inner, writes: AtomicU64::new(0), fail_at: AtomicU64::new(u64::MAX) }
    }

    /// Writes asked for so far: batches, and trees made, dropped or marked.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// Fails at the given write, counted from 1, and from then on.
    pub fn fail_at(&self, write: u64) {
        self.fail_at.store(write, Ordering::Release);
    }

    fn write(&self) -> Result<(), StoreError> {
        let number = self.writes.fetch_add(1, Ordering::AcqRel) + 1;
        if number >= self.fail_at.load(Ordering::Acquire) {
            return Err(StoreError::Io(format!("injected fault at write {number}")));
        }
        Ok(())
    }
}

impl IndexStore for FaultyStore {
    fn tree(&self, name: &str) -> Result<TreeId, StoreError> {
        self.write()?;
        self.inner.tree(name)
    }

    fn drop_tree(&self, tree: TreeId) -> Result<(), StoreError> {
        self.write()?;
        self.inner.drop_tree(tree)
    }

    fn trees(&self) -> Vec<(String, TreeId)> {
        self.inner.trees()
    }

    fn is_complete(&self, tree: TreeId) -> bool {
        self.inner.is_complete(tree)
    }

    fn set_complete(&self, tree: TreeId, complete: bool) -> Result<(), StoreError> {
        self.write()?;
        self.inner.set_complete(tree, complete)
    }

    fn slot(&self, id: EntryId) -> Result<Option<Slot>, StoreError> {
        self.inner.slot(id)
    }

    fn entries(&self) -> u64 {
        self.inner.entries()
    }

    fn ids(&self, token: u64, limit: usize, out: &mut Vec<EntryId>) -> Result<Option<u64>, StoreError> {
        self.inner.ids(token, limit, out)
    }

    fn get(&self, tree: TreeId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.inner.get(tree, key, visit)
    }

    fn range(
        &self,
        tree: TreeId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StoreError> {
        self.inner.range(tree, from, to, visit)
    }

    fn estimate(
        &self,
        tree: TreeId,
        from: &[u8],
        to: Option<&[u8]>,
        bound: u64,
    ) -> Result<Estimate, StoreError> {
        self.inner.estimate(tree, from, to, bound)
    }

    fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write()?;
        self.inner.apply(batch)
    }

    fn applied(&self) -> u64 {
        self.inner.applied()
    }

    fn stand(&self) -> (u64, Marks) {
        self.inner.stand()
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }

    fn memory(&self) -> Vec<(String, u64)> {
        self.inner.memory()
    }
}
