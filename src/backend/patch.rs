//! Bringing trees that were kept on disk up to the log: what they lost is replayed from where they stand.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use super::StoreError;
use super::index::Keys;
use super::index_store::{Batch, EntryId, Slot, TreeId, Visit};
use super::memory::{IdHasher, IdMap};
use super::pieces;
use super::view::{View, name_key};
use crate::entry::StoredEntry;
use crate::log::Place;
use crate::schema::{NormalizedDn, Schema};

/// Entries of a batch.
const BATCH: usize = 256;

/// Where an entry is and what is above it.
pub(crate) type Version = (Place, EntryId);

type Ids = HashSet<u64, BuildHasherDefault<IdHasher>>;

/// Makes the trees show the given versions; none for entries that are gone. The tree of names is marked incomplete while
/// this goes on, so that a start that finds it so makes all trees anew.
pub(crate) fn patch(
    view: &View,
    schema: &Schema,
    versions: &IdMap<Option<Version>>,
    progress: &dyn Fn(u64, u64),
) -> Result<(), StoreError> {
    if versions.is_empty() {
        return Ok(());
    }
    view.store.set_complete(view.names, false)?;
    let mut patcher = Patcher { view, schema, batch: Batch::new(), keys: Keys::default() };
    // Keys of versions that the log does not have any more are found by going through all trees.
    let mut unreadable = Ids::default();
    let mut counts: IdMap<i64> = IdMap::default();
    for &id in versions.keys() {
        let Some(slot) = view.store.slot(EntryId(id))? else { continue };
        *counts.entry(slot.parent.0).or_default() -= 1;
        if !patcher.remove(EntryId(id), &slot)? {
            unreadable.insert(id);
        }
        patcher.apply_full()?;
    }
    patcher.sweep(&unreadable)?;
    let mut all: Vec<(EntryId, Option<Version>)> =
        versions.iter().map(|(&id, version)| (EntryId(id), *version)).collect();
    all.sort_unstable_by_key(|(_, version)| *version);
    for (done, (id, version)) in all.iter().enumerate() {
        match version {
            Some((place, parent)) => {
                *counts.entry(parent.0).or_default() += 1;
                let children = view.store.slot(*id)?.map_or(0, |slot| slot.children);
                patcher.put(*id, Slot { place: *place, parent: *parent, children })?;
            }
            None => patcher.batch.forget(*id),
        }
        patcher.apply_full()?;
        progress(done as u64 + 1, all.len() as u64);
    }
    patcher.apply()?;
    for (&parent, &by) in counts.iter().filter(|(_, by)| **by != 0) {
        if let Some(slot) = view.store.slot(EntryId(parent))? {
            patcher.batch.children(EntryId(parent), slot.children.saturating_add_signed(by));
        }
        patcher.apply_full()?;
    }
    patcher.apply()
}

struct Patcher<'a> {
    view: &'a View,
    schema: &'a Schema,
    batch: Batch,
    keys: Keys,
}

impl Patcher<'_> {
    fn apply(&mut self) -> Result<(), StoreError> {
        self.view.store.apply(&self.batch)?;
        self.batch.clear();
        Ok(())
    }

    fn apply_full(&mut self) -> Result<(), StoreError> {
        if self.batch.len() >= BATCH * 16 { self.apply() } else { Ok(()) }
    }

    fn name(&self, entry: &StoredEntry, parent: EntryId) -> Result<super::view::NameKey, StoreError> {
        let key = NormalizedDn::parse(entry.dn(), self.schema)
            .map_err(|error| StoreError::Corrupt(format!("the name {}: {error}", entry.uuid())))?;
        Ok(name_key(parent, if parent == EntryId::ROOT { key.as_bytes() } else { key.rdn_key() }))
    }

    /// Removes name and keys of the version that the trees have; false if that cannot be read.
    fn remove(&mut self, id: EntryId, slot: &Slot) -> Result<bool, StoreError> {
        let Ok(entry) = pieces::read(&self.view.log, slot.place) else { return Ok(false) };
        let Ok(name) = self.name(&entry, slot.parent) else { return Ok(false) };
        self.batch.remove(self.view.names, &name);
        self.view.indexes.load().keys(id, &entry, &|_| true, &mut self.keys);
        self.keys.iter().for_each(|(tree, key)| self.batch.remove(tree, key));
        Ok(true)
    }

    fn put(&mut self, id: EntryId, slot: Slot) -> Result<(), StoreError> {
        let entry = pieces::read(&self.view.log, slot.place)?;
        let name = self.name(&entry, slot.parent)?;
        self.batch.slot(id, slot);
        self.batch.put(self.view.names, &name, &id.to_bytes());
        self.view.indexes.load().keys(id, &entry, &|_| true, &mut self.keys);
        self.keys.iter().for_each(|(tree, key)| self.batch.put(tree, key, &[]));
        Ok(())
    }

    /// Removes all names and keys of some entries, wherever they are.
    fn sweep(&mut self, ids: &Ids) -> Result<(), StoreError> {
        if !ids.is_empty() {
            for (_, tree) in self.view.store.trees() {
                self.sweep_tree(tree, ids)?;
            }
        }
        self.apply()
    }

    fn sweep_tree(&mut self, tree: TreeId, ids: &Ids) -> Result<(), StoreError> {
        let is_names = tree == self.view.names;
        let mut doomed: Vec<Vec<u8>> = Vec::new();
        self.view.store.range(tree, &[], None, &mut |key, value| {
            let id = EntryId::from_tail(if is_names { value } else { key });
            if id.is_some_and(|id| ids.contains(&id.0)) {
                doomed.push(key.to_vec());
            }
            Visit::Continue
        })?;
        for key in doomed {
            self.batch.remove(tree, &key);
            self.apply_full()?;
        }
        Ok(())
    }
}
