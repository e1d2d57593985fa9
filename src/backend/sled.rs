//! The index store on disk: sled, for instances whose indexes should not live in memory.
//!
//! sled applies a batch as a whole in one tree only, so all trees are one sled tree with prefixed keys:
//!
//! | key | value |
//! |---|---|
//! | 00 `stand` | format, data set, fingerprint of the keys, applied position, marks, entries, next tree |
//! | 01, EntryId (8) | place (12), parent (8), children (8) |
//! | 02, tree's name | tree's number (4), whether it is complete (1) |
//! | 03, tree's number (4), key | value |
//!
//! Position and marks are written by the batch they belong to. What sled lost in a crash is replayed from the position.

use std::collections::HashMap;
use std::ops::Bound::{Excluded, Included};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::StoreError;
use super::index_store::{Batch, EntryId, Estimate, IndexStore, Marks, Purpose, Slot, TreeId, Visit, Write};
use super::memory::IdMap;
use crate::log::Place;

const FORMAT: u32 = 1;
const STAND: &[u8] = b"\0stand";
const SLOT: u8 = 1;
const NAME: u8 = 2;
const KEY: u8 = 3;
/// How often, and how long apart, a store in use is asked for.
const LOCK_TURNS: usize = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Keys of a dropped tree that go at once.
const PIECE: usize = 1024;

fn failed(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => StoreError::Corrupt(format!("the index store is damaged: {error}")),
        error => StoreError::Io(format!("the index store: {error}")),
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Stand {
    applied: u64,
    marks: Marks,
    entries: u64,
    next_tree: u32,
}

#[derive(Debug, Clone, Copy)]
struct Tree {
    id: TreeId,
    is_complete: bool,
}

/// The store. Errors of sled mean that the trees cannot be used any further in this process.
#[derive(Debug)]
pub struct SledStore {
    db: sled::Db,
    purpose: Purpose,
    /// Held while anything is written.
    stand: Mutex<Stand>,
    published: ArcSwap<Stand>,
    trees: RwLock<HashMap<String, Tree>>,
}

impl SledStore {
    /// Opens the store in a directory with `cache` octets of cache. A store that is damaged or was made for something
    /// else is removed and begun anew: all it held can be made from the log. One that is in use, or that the system will
    /// not read, is an error and stays as it is.
    pub fn open(directory: &Path, purpose: Purpose, cache: u64) -> Result<Self, StoreError> {
        match Self::try_open(directory, purpose, cache) {
            Ok(Some(store)) => return Ok(store),
            Ok(None) => tracing::warn!("the index store was made for something else; it is made anew"),
            Err(error @ StoreError::Corrupt(_)) => {
                tracing::warn!(%error, "the index store cannot be read; it is made anew");
            }
            Err(error) => return Err(error),
        }
        Self::remove(directory)?;
        Self::try_open(directory, purpose, cache)?
            .ok_or_else(|| StoreError::Io("the index store cannot be made anew".into()))
    }

    /// Removes a store.
    pub fn remove(directory: &Path) -> Result<(), StoreError> {
        match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Io(format!("cannot remove {}: {error}", directory.display())))
            }
            _ => Ok(()),
        }
    }

    /// None if what is there is of another purpose or format.
    fn try_open(directory: &Path, purpose: Purpose, cache: u64) -> Result<Option<Self>, StoreError> {
        let path = PathBuf::from(directory);
        let db = open_db(&path, cache)?;
        let stand = match db.get(STAND).map_err(failed)? {
            Some(value) => match decode_stand(&value, purpose) {
                Some(stand) => stand,
                None => return Ok(None),
            },
            None if db.is_empty() => {
                let stand = Stand::default();
                db.insert(STAND, encode_stand(&stand, purpose)).map_err(failed)?;
                stand
            }
            None => return Ok(None),
        };
        let mut trees = HashMap::new();
        for item in db.scan_prefix([NAME]) {
            let (key, value) = item.map_err(failed)?;
            let (Some(name), Some((id, flag))) = (key.get(1..), value.split_first_chunk()) else {
                return Ok(None);
            };
            let Ok(name) = std::str::from_utf8(name) else { return Ok(None) };
            let tree = Tree { id: TreeId(u32::from_be_bytes(*id)), is_complete: flag == [1] };
            trees.insert(name.to_owned(), tree);
        }
        let store = Self {
            db,
            purpose,
            stand: Mutex::new(stand),
            published: ArcSwap::from_pointee(stand),
            trees: RwLock::new(trees),
        };
        store.sweep()?;
        Ok(Some(store))
    }

    /// Removes what is left of trees that were dropped.
    fn sweep(&self) -> Result<(), StoreError> {
        let known: Vec<TreeId> = self.trees().into_iter().map(|(_, id)| id).collect();
        let mut from = 0;
        loop {
            let next = self.db.range(tree_key(TreeId(from), &[])..vec![KEY + 1]).next();
            let Some(item) = next else { return Ok(()) };
            let (key, _) = item.map_err(failed)?;
            let Some(id) = key.get(1..5).and_then(|id| id.first_chunk()) else { return Ok(()) };
            let id = TreeId(u32::from_be_bytes(*id));
            if !known.contains(&id) {
                self.remove_keys(id)?;
            }
            let Some(after) = id.0.checked_add(1) else { return Ok(()) };
            from = after;
        }
    }

    fn remove_keys(&self, tree: TreeId) -> Result<(), StoreError> {
        loop {
            let mut batch = sled::Batch::default();
            let mut count = 0;
            for item in self.db.scan_prefix(tree_key(tree, &[])).take(PIECE) {
                batch.remove(item.map_err(failed)?.0);
                count += 1;
            }
            if count == 0 {
                return Ok(());
            }
            self.db.apply_batch(batch).map_err(failed)?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name_of(&self, tree: TreeId) -> Option<(String, Tree)> {
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        trees.iter().find(|(_, one)| one.id == tree).map(|(name, tree)| (name.clone(), *tree))
    }
}

/// Opens the database. Threads of a database that was closed just now may hold its lock a little longer.
pub(super) fn open_db(path: &Path, cache: u64) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new().path(path).cache_capacity(cache);
    for _ in 0..LOCK_TURNS {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("acquire lock") => {
                std::thread::sleep(LOCK_PAUSE);
            }
            opened => return opened.map_err(failed),
        }
    }
    config.open().map_err(failed)
}

fn slot_key(id: EntryId) -> [u8; 9] {
    let mut key = [SLOT; 9];
    if let Some(room) = key.last_chunk_mut() {
        *room = id.to_bytes();
    }
    key
}

fn tree_key(tree: TreeId, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + key.len());
    out.push(KEY);
    out.extend_from_slice(&tree.0.to_be_bytes());
    out.extend_from_slice(key);
    out
}

fn name_key(name: &str) -> Vec<u8> {
    [&[NAME], name.as_bytes()].concat()
}

fn put_place(out: &mut Vec<u8>, place: Place) {
    for number in [place.segment, place.offset, place.len] {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn encode_slot(slot: &Slot) -> Vec<u8> {
    let mut out = Vec::with_capacity(28);
    put_place(&mut out, slot.place);
    out.extend_from_slice(&slot.parent.to_bytes());
    out.extend_from_slice(&slot.children.to_be_bytes());
    out
}

/// Takes numbers off the front of bytes.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*octets)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn place(&mut self) -> Option<Place> {
        Some(Place { segment: self.u32()?, offset: self.u32()?, len: self.u32()? })
    }
}

fn decode_slot(bytes: &[u8]) -> Result<Slot, StoreError> {
    let mut numbers = Numbers(bytes);
    let mut slot =
        || Some(Slot { place: numbers.place()?, parent: EntryId(numbers.u64()?), children: numbers.u64()? });
    slot().ok_or_else(|| StoreError::Corrupt("the index store holds a slot of another form".into()))
}

fn encode_stand(stand: &Stand, purpose: Purpose) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    out.extend_from_slice(&FORMAT.to_be_bytes());
    out.extend_from_slice(&purpose.dataset_id);
    out.extend_from_slice(&purpose.fingerprint.to_be_bytes());
    out.extend_from_slice(&stand.applied.to_be_bytes());
    out.extend_from_slice(&stand.marks.next_id.to_be_bytes());
    out.extend_from_slice(&stand.marks.oseq.to_be_bytes());
    out.extend_from_slice(&stand.marks.csn);
    put_place(&mut out, stand.marks.place);
    out.extend_from_slice(&stand.entries.to_be_bytes());
    out.extend_from_slice(&stand.next_tree.to_be_bytes());
    out
}

fn decode_stand(bytes: &[u8], purpose: Purpose) -> Option<Stand> {
    let mut numbers = Numbers(bytes);
    let is_ours = numbers.u32()? == FORMAT
        && numbers.take()? == purpose.dataset_id
        && numbers.u64()? == purpose.fingerprint;
    if !is_ours {
        return None;
    }
    let applied = numbers.u64()?;
    let marks = Marks {
        next_id: numbers.u64()?,
        oseq: numbers.u64()?,
        csn: numbers.take()?,
        place: numbers.place()?,
    };
    Some(Stand { applied, marks, entries: numbers.u64()?, next_tree: numbers.u32()? })
}

impl IndexStore for SledStore {
    fn tree(&self, name: &str) -> Result<TreeId, StoreError> {
        let mut stand = self.lock();
        let mut trees = self.trees.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = trees.get(name) {
            return Ok(tree.id);
        }
        let id = TreeId(stand.next_tree);
        let mut next = *stand;
        next.next_tree = id.0.checked_add(1).ok_or_else(|| StoreError::Unwilling("too many trees".into()))?;
        let mut batch = sled::Batch::default();
        batch.insert(STAND, encode_stand(&next, self.purpose));
        batch.insert(name_key(name), [&id.0.to_be_bytes()[..], &[0]].concat());
        self.db.apply_batch(batch).map_err(failed)?;
        *stand = next;
        trees.insert(name.to_owned(), Tree { id, is_complete: false });
        Ok(id)
    }

    fn drop_tree(&self, tree: TreeId) -> Result<(), StoreError> {
        let Some((name, _)) = self.name_of(tree) else { return Ok(()) };
        {
            let _held = self.lock();
            self.trees.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
            self.db.remove(name_key(&name)).map_err(failed)?;
        }
        self.remove_keys(tree)
    }

    fn trees(&self) -> Vec<(String, TreeId)> {
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = trees.iter().map(|(name, tree)| (name.clone(), tree.id)).collect();
        all.sort_by_key(|(_, id)| *id);
        all
    }

    fn is_complete(&self, tree: TreeId) -> bool {
        self.name_of(tree).is_some_and(|(_, tree)| tree.is_complete)
    }

    fn set_complete(&self, tree: TreeId, complete: bool) -> Result<(), StoreError> {
        let Some((name, _)) = self.name_of(tree) else { return Ok(()) };
        let _held = self.lock();
        let value = [&tree.0.to_be_bytes()[..], &[u8::from(complete)]].concat();
        self.db.insert(name_key(&name), value).map_err(failed)?;
        if let Some(tree) = self.trees.write().unwrap_or_else(PoisonError::into_inner).get_mut(&name) {
            tree.is_complete = complete;
        }
        Ok(())
    }

    fn slot(&self, id: EntryId) -> Result<Option<Slot>, StoreError> {
        self.db.get(slot_key(id)).map_err(failed)?.map(|value| decode_slot(&value)).transpose()
    }

    fn entries(&self) -> u64 {
        self.published.load().entries
    }

    fn ids(&self, token: u64, limit: usize, out: &mut Vec<EntryId>) -> Result<Option<u64>, StoreError> {
        let mut count = 0;
        for item in self.db.range(slot_key(EntryId(token)).to_vec()..vec![SLOT + 1]) {
            let (key, _) = item.map_err(failed)?;
            let Some(id) = EntryId::from_tail(&key) else { continue };
            out.push(id);
            count += 1;
            if count >= limit.max(1) {
                return Ok(id.0.checked_add(1));
            }
        }
        Ok(None)
    }

    fn get(&self, tree: TreeId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let found = self.db.get(tree_key(tree, key)).map_err(failed)?;
        Ok(found.map(|value| visit(&value)).is_some())
    }

    fn range(
        &self,
        tree: TreeId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StoreError> {
        let end = to.map_or_else(|| tree_key(TreeId(tree.0.saturating_add(1)), &[]), |to| tree_key(tree, to));
        let start = tree_key(tree, from);
        if start >= end {
            return Ok(());
        }
        for item in self.db.range((Included(start), Excluded(end))) {
            let (key, value) = item.map_err(failed)?;
            if visit(key.get(5..).unwrap_or_default(), &value) == Visit::Stop {
                return Ok(());
            }
        }
        Ok(())
    }

    fn estimate(
        &self,
        tree: TreeId,
        from: &[u8],
        to: Option<&[u8]>,
        bound: u64,
    ) -> Result<Estimate, StoreError> {
        let mut keys = 0;
        self.range(tree, from, to, &mut |_, _| {
            keys += 1;
            if keys > bound { Visit::Stop } else { Visit::Continue }
        })?;
        Ok(Estimate { keys, is_more: keys > bound })
    }

    fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut stand = self.lock();
        let mut next = *stand;
        let mut out = sled::Batch::default();
        // Slots as the steps so far have left them.
        let mut slots: IdMap<Option<Slot>> = IdMap::default();
        let known: Vec<TreeId> = self.trees().into_iter().map(|(_, id)| id).collect();
        for write in batch.writes() {
            match write {
                Write::Put(tree, key, value) if known.contains(&tree) => {
                    out.insert(tree_key(tree, key), value);
                }
                Write::Remove(tree, key) if known.contains(&tree) => out.remove(tree_key(tree, key)),
                Write::Put(..) | Write::Remove(..) => {}
                Write::Slot(id, slot) => {
                    if self.before(&mut slots, id)?.replace(slot).is_none() {
                        next.entries += 1;
                    }
                }
                Write::Children(id, children) => {
                    if let Some(slot) = self.before(&mut slots, id)? {
                        slot.children = children;
                    }
                }
                Write::Forget(id) => {
                    if self.before(&mut slots, id)?.take().is_some() {
                        next.entries -= 1;
                    }
                }
            }
        }
        for (id, slot) in &slots {
            match slot {
                Some(slot) => out.insert(&slot_key(EntryId(*id)), encode_slot(slot)),
                None => out.remove(&slot_key(EntryId(*id))),
            }
        }
        next.applied = next.applied.max(batch.applied);
        next.marks = batch.marks.unwrap_or(next.marks);
        out.insert(STAND, encode_stand(&next, self.purpose));
        self.db.apply_batch(out).map_err(failed)?;
        *stand = next;
        self.published.store(std::sync::Arc::new(next));
        Ok(())
    }

    fn applied(&self) -> u64 {
        self.published.load().applied
    }

    fn stand(&self) -> (u64, Marks) {
        let stand = self.published.load();
        (stand.applied, stand.marks)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map(drop).map_err(failed)
    }

    /// What sled holds in memory it does not tell; this is what it takes on disk.
    fn memory(&self) -> Vec<(String, u64)> {
        vec![("disk".to_owned(), self.db.size_on_disk().unwrap_or(0))]
    }
}

impl SledStore {
    /// An entry's slot as the steps of a batch so far have left it.
    fn before<'a>(
        &self,
        slots: &'a mut IdMap<Option<Slot>>,
        id: EntryId,
    ) -> Result<&'a mut Option<Slot>, StoreError> {
        Ok(match slots.entry(id.0) {
            std::collections::hash_map::Entry::Occupied(there) => there.into_mut(),
            std::collections::hash_map::Entry::Vacant(room) => room.insert(self.slot(id)?),
        })
    }
}
