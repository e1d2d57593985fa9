//! What operations see: names, entries, and where they are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use smallvec::SmallVec;

use super::StoreError;
use super::cache::Cache;
use super::checkpoint::Growth;
use super::index::IndexSet;
use super::index_store::{EntryId, SharedStore, Slot, TreeId};
use super::pieces;
use super::space::Space;
use crate::clock::Clock;
use crate::entry::{EntryContext, StoredEntry};
use crate::log::{Log, LogError, Place};
use crate::schema::NormalizedDn;

/// Names kept by readers; when there are more, all are forgotten.
const MAX_CONTAINERS: usize = 4096;

/// A key of the tree of names: the parent's id, then the RDN key.
pub(crate) type NameKey = SmallVec<[u8; 128]>;

/// The key under which an entry is found below its parent.
pub(crate) fn name_key(parent: EntryId, rdn: &[u8]) -> NameKey {
    let mut key = NameKey::from_slice(&parent.to_bytes());
    key.extend_from_slice(rdn);
    key
}

/// The entries that were found as parents lately, by their keys, so that a name is found in one step.
type Containers = HashMap<Box<[u8]>, EntryId>;

/// The view. Shared by all readers and the applier.
pub(crate) struct View {
    pub(crate) store: SharedStore,
    /// Parent's id and RDN key → id.
    pub(crate) names: TreeId,
    pub(crate) log: Log,
    pub(crate) cache: Cache,
    /// What is live of the log.
    pub(crate) space: Space,
    pub(crate) clock: Arc<dyn Clock>,
    /// Base DNs: as configured, and their keys; longest key first.
    pub(crate) suffixes: Vec<(String, NormalizedDn)>,
    pub(crate) indexes: ArcSwap<IndexSet>,
    /// What the log grew by since the last checkpoint.
    pub(crate) growth: Growth,
    /// Entries of the log are left out because their parents are lost.
    pub(crate) has_orphans: AtomicBool,
    /// Where the newest version that the view shows is: segment and offset.
    newest: AtomicU64,
    containers: ArcSwap<Containers>,
    /// Held while `containers` changes.
    changing: Mutex<()>,
    /// Counts the names that went: what was looked up before may be wrong since.
    generation: AtomicU64,
}

/// What the view knows beside an entry's version, for filters.
pub(crate) struct Beside<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) clock: &'a dyn Clock,
}

impl EntryContext for Beside<'_> {
    fn children(&self, _entry: &StoredEntry) -> Option<u64> {
        Some(self.slot.children)
    }

    fn now_ms(&self) -> Option<u64> {
        Some(self.clock.wall_ms())
    }
}

/// What a log error means to the store's users.
pub(crate) fn store_error(error: &LogError) -> StoreError {
    match error {
        LogError::Damaged { .. } | LogError::Gone { .. } | LogError::Removed { .. } => {
            StoreError::Corrupt(error.to_string())
        }
        LogError::Poisoned { .. } | LogError::ReadOnly { .. } | LogError::NoSpace { .. } => {
            StoreError::Unwilling(error.to_string())
        }
        _ => StoreError::Io(error.to_string()),
    }
}

impl View {
    pub(crate) fn new(
        store: SharedStore,
        log: Log,
        clock: Arc<dyn Clock>,
        cache_octets: usize,
        mut suffixes: Vec<(String, NormalizedDn)>,
    ) -> Result<Self, StoreError> {
        suffixes.sort_by_key(|(_, key)| std::cmp::Reverse(key.as_bytes().len()));
        Ok(Self {
            names: store.tree("names")?,
            store,
            log,
            clock,
            cache: Cache::new(cache_octets),
            space: Space::default(),
            suffixes,
            indexes: ArcSwap::default(),
            growth: Growth::default(),
            has_orphans: AtomicBool::new(false),
            newest: AtomicU64::new(0),
            containers: ArcSwap::default(),
            changing: Mutex::new(()),
            generation: AtomicU64::new(0),
        })
    }

    /// Told by the applier: the view shows everything up to this place.
    pub(crate) fn shows(&self, place: Place) {
        self.newest.store(position(place), Ordering::Release);
    }

    /// A mark: versions that the view shows later lie behind it.
    pub(crate) fn mark(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// The suffix that a name belongs to.
    pub(crate) fn suffix_of(&self, dn: &[u8]) -> Option<&[u8]> {
        self.suffixes.iter().map(|(_, key)| key.as_bytes()).find(|&suffix| dn.starts_with(suffix))
    }

    /// The child of this RDN key.
    pub(crate) fn child(&self, parent: EntryId, rdn: &[u8]) -> Result<Option<EntryId>, StoreError> {
        let mut id = None;
        self.store.get(self.names, &name_key(parent, rdn), &mut |value| id = EntryId::from_tail(value))?;
        Ok(id)
    }

    /// The entry of a name, found step by step from its suffix with `child`.
    pub(crate) fn walk(
        &self,
        dn: &[u8],
        mut child: impl FnMut(EntryId, &[u8]) -> Result<Option<EntryId>, StoreError>,
    ) -> Result<Option<EntryId>, StoreError> {
        let Some(suffix) = self.suffix_of(dn) else { return Ok(None) };
        let Some(mut id) = child(EntryId::ROOT, suffix)? else { return Ok(None) };
        let rest = dn.get(suffix.len()..).unwrap_or_default();
        for rdn in rest.split_inclusive(|&octet| octet == 0) {
            let Some(next) = child(id, rdn)? else { return Ok(None) };
            id = next;
        }
        Ok(Some(id))
    }

    /// The entry of a name.
    pub(crate) fn find(&self, dn: &[u8]) -> Result<Option<EntryId>, StoreError> {
        let Some(suffix) = self.suffix_of(dn) else { return Ok(None) };
        if dn.len() == suffix.len() {
            return self.child(EntryId::ROOT, suffix);
        }
        let above = parent_key(dn);
        let rdn = dn.get(above.len()..).unwrap_or_default();
        let containers = self.containers.load();
        if let Some(&parent) = containers.get(above) {
            return self.child(parent, rdn);
        }
        let generation = self.generation.load(Ordering::Acquire);
        let Some(parent) = self.walk(above, |id, rdn| self.child(id, rdn))? else { return Ok(None) };
        let found = self.child(parent, rdn)?;
        if found.is_some() {
            self.remember(above, parent, generation);
        }
        Ok(found)
    }

    fn remember(&self, dn: &[u8], id: EntryId, generation: u64) {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.generation.load(Ordering::Acquire) != generation {
            return;
        }
        let old = self.containers.load();
        let mut ids = if old.len() < MAX_CONTAINERS { Containers::clone(&old) } else { Containers::new() };
        ids.insert(dn.into(), id);
        self.containers.store(Arc::new(ids));
    }

    /// Called by the applier when an entry has gone from a name, which may be remembered. It has no children any more.
    pub(crate) fn forget_name(&self, dn: &[u8]) {
        // A reader that looked the name up before and has not remembered it yet is kept from it by the generation.
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::AcqRel);
        if self.containers.load().contains_key(dn) {
            self.containers.store(Arc::default());
        }
    }

    /// Called between two groups when names were put right.
    pub(crate) fn forget_names(&self) {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.containers.store(Arc::default());
    }

    /// Reads a version.
    pub(crate) fn load(&self, id: EntryId, place: Place) -> Result<Arc<StoredEntry>, StoreError> {
        if let Some(entry) = self.cache.get(id, place) {
            return Ok(entry);
        }
        let entry = pieces::read(&self.log, place)?;
        let entry = Arc::new(entry);
        self.cache.put(id, place, Arc::clone(&entry));
        Ok(entry)
    }

    /// The current version of an entry.
    pub(crate) fn current(&self, id: EntryId) -> Result<Option<(Slot, Arc<StoredEntry>)>, StoreError> {
        loop {
            let Some(slot) = self.store.slot(id)? else { return Ok(None) };
            match self.load(id, slot.place) {
                Ok(entry) => return Ok(Some((slot, entry))),
                // The place may have moved on while we looked.
                Err(error) => match self.store.slot(id)? {
                    Some(now) if now.place == slot.place => return Err(error),
                    _ => {}
                },
            }
        }
    }

    /// Whether an entry is below another, or is it.
    pub(crate) fn is_below(
        &self,
        mut id: EntryId,
        mut parent: EntryId,
        base: EntryId,
    ) -> Result<bool, StoreError> {
        loop {
            if id == base || parent == base {
                return Ok(true);
            }
            if parent == EntryId::ROOT {
                return Ok(false);
            }
            id = parent;
            match self.store.slot(id)? {
                Some(slot) => parent = slot.parent,
                None => return Ok(false),
            }
        }
    }
}

/// Places as numbers that grow as the log does.
pub(crate) fn position(place: Place) -> u64 {
    (u64::from(place.segment) << 32) | u64::from(place.offset)
}

/// The key of the name above.
pub(crate) fn parent_key(dn: &[u8]) -> &[u8] {
    let body = dn.split_last().map_or(&[][..], |(_, body)| body);
    let above = body.iter().rposition(|&octet| octet == 0).map_or(0, |at| at + 1);
    dn.get(..above).unwrap_or_default()
}
