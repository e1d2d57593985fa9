//! The cache of entries that were read or written lately: bounded, in shards, second chance for what was used.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::index_store::EntryId;
use super::memory::IdMap;
use crate::entry::StoredEntry;
use crate::log::Place;

const SHARDS: usize = 32;
/// What an entry costs beside its bytes: map slot, ring slot, allocations.
const OVERHEAD: usize = 160;

#[derive(Debug)]
struct Line {
    id: u64,
    place: Place,
    entry: Arc<StoredEntry>,
    used: AtomicBool,
}

/// A ring that a hand goes round: what was used since it came by last is spared once.
#[derive(Debug, Default)]
struct Shard {
    at: IdMap<usize>,
    lines: Vec<Line>,
    hand: usize,
    octets: usize,
}

impl Shard {
    fn remove(&mut self, id: u64) {
        let Some(at) = self.at.remove(&id) else { return };
        let line = self.lines.swap_remove(at);
        self.octets -= weight(&line.entry);
        if let Some(moved) = self.lines.get(at) {
            self.at.insert(moved.id, at);
        }
    }

    fn make_room(&mut self, bound: usize) {
        while self.octets > bound && !self.lines.is_empty() {
            // The last line is the one that came last: it takes the place of the next that goes, behind the hand.
            if self.hand + 1 >= self.lines.len() {
                self.hand = 0;
            }
            let Some(line) = self.lines.get(self.hand) else { return };
            if !line.used.swap(false, Ordering::Relaxed) {
                let id = line.id;
                self.remove(id);
            }
            self.hand += 1;
        }
    }
}

/// What an entry takes of memory: the allocator has four sizes between one power of two and the next.
fn weight(entry: &StoredEntry) -> usize {
    let octets = entry.as_bytes().len().max(16);
    octets.next_multiple_of((1 << (octets - 1).ilog2()) / 4) + OVERHEAD
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    shards: Vec<RwLock<Shard>>,
    /// Octets a shard may hold.
    bound: usize,
    /// Whether an entry may be in the store and not here.
    lacks: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Cache {
    /// A cache of about this many octets; 0 keeps nothing.
    pub(crate) fn new(octets: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            bound: octets / SHARDS,
            lacks: AtomicBool::new(false),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Octets that it may hold.
    pub(crate) fn limit(&self) -> u64 {
        (self.bound * SHARDS) as u64
    }

    fn shard(&self, id: EntryId) -> Option<&RwLock<Shard>> {
        self.shards.get(id.0 as usize % SHARDS)
    }

    /// Whether an entry of the store may have to be read from the disk.
    pub(crate) fn may_lack(&self) -> bool {
        self.lacks.load(Ordering::Relaxed) && self.bound > 0
    }

    /// Told that entries are in the store that never were in the cache.
    pub(crate) fn begins_cold(&self) {
        self.lacks.store(true, Ordering::Relaxed);
    }

    /// Whether the cache has just this version; not counted as a use.
    pub(crate) fn has(&self, id: EntryId, place: Place) -> bool {
        let Some(shard) = self.shard(id) else { return false };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.at.get(&id.0).and_then(|&at| shard.lines.get(at)).is_some_and(|line| line.place == place)
    }

    /// Whether the cache has a version of an entry; not counted as a use. Which one does not matter to who wants to know
    /// whether the disk has to be waited for: while a change is applied the cache has the next version already, and the
    /// table still the place of the last one.
    pub(crate) fn has_some(&self, id: EntryId) -> bool {
        let Some(shard) = self.shard(id) else { return false };
        shard.read().unwrap_or_else(PoisonError::into_inner).at.contains_key(&id.0)
    }

    /// The entry, if the cache has just this version.
    pub(crate) fn get(&self, id: EntryId, place: Place) -> Option<Arc<StoredEntry>> {
        let shard = self.shard(id)?.read().unwrap_or_else(PoisonError::into_inner);
        let line = shard.at.get(&id.0).and_then(|&at| shard.lines.get(at)).filter(|line| line.place == place);
        let Some(line) = line else {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        if !line.used.load(Ordering::Relaxed) {
            line.used.store(true, Ordering::Relaxed);
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&line.entry))
    }

    /// Keeps a version. A reader may bring back an older version than the current one: it is never found, because
    /// places differ, and goes when the hand comes by.
    pub(crate) fn put(&self, id: EntryId, place: Place, entry: Arc<StoredEntry>) {
        let octets = weight(&entry);
        if octets > self.bound {
            self.begins_cold();
            return self.forget(id);
        }
        let Some(shard) = self.shard(id) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        shard.remove(id.0);
        if shard.octets + octets > self.bound {
            self.begins_cold();
            shard.make_room(self.bound - octets);
        }
        let at = shard.lines.len();
        shard.at.insert(id.0, at);
        shard.octets += octets;
        shard.lines.push(Line { id: id.0, place, entry, used: AtomicBool::new(false) });
    }

    /// Tells that the same version is at another place now.
    pub(crate) fn moved(&self, id: EntryId, from: Place, to: Place) {
        let Some(shard) = self.shard(id) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = shard.at.get(&id.0).copied() else { return };
        if let Some(line) = shard.lines.get_mut(at).filter(|line| line.place == from) {
            line.place = to;
        }
    }

    /// Drops an entry.
    pub(crate) fn forget(&self, id: EntryId) {
        if let Some(shard) = self.shard(id) {
            shard.write().unwrap_or_else(PoisonError::into_inner).remove(id.0);
        }
    }

    /// Hits, misses, octets held.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let octets: usize =
            self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).octets).sum();
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed), octets as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{EntryParts, EntryUuid};

    fn entry() -> Arc<StoredEntry> {
        Arc::new(StoredEntry::compose(&EntryParts {
            dn: "cn=a",
            uuid: EntryUuid([0; 16]),
            etag_state: 0,
            add_csn: [0; 12],
            last_csn: [0; 12],
            user: &[0; 1000],
            operational: &[],
        }))
    }

    fn place(offset: u32) -> Place {
        Place { segment: 1, offset, len: 1 }
    }

    #[test]
    fn it_stays_within_its_bound_and_spares_what_is_used() {
        let cache = Cache::new(SHARDS * 10_000);
        let hot = EntryId(SHARDS as u64);
        cache.put(hot, place(1), entry());
        for id in 2..100 {
            cache.put(EntryId(id * SHARDS as u64), place(1), entry());
            assert!(cache.get(hot, place(1)).is_some());
        }
        let (hits, _, octets) = cache.counts();
        assert_eq!(hits, 98);
        assert!(octets <= 10_000, "{octets}");
    }

    #[test]
    fn what_came_last_goes_last() {
        let cache = Cache::new(SHARDS * 20_000);
        let id = |number: u64| EntryId(number * SHARDS as u64);
        for number in 0..100 {
            cache.put(id(number), place(1), entry());
        }
        let held: Vec<_> = (0..100).filter(|&number| cache.has_some(id(number))).collect();
        assert!(held.len() > 10, "{held:?}");
        assert_eq!(held, (100 - held.len() as u64..100).collect::<Vec<_>>());
    }

    #[test]
    fn another_version_is_no_hit() {
        let cache = Cache::new(SHARDS * 10_000);
        cache.put(EntryId(1), place(1), entry());
        assert!(cache.get(EntryId(1), place(2)).is_none());
        cache.put(EntryId(1), place(2), entry());
        assert!(cache.get(EntryId(1), place(2)).is_some());
        cache.moved(EntryId(1), place(1), place(3));
        assert!(cache.get(EntryId(1), place(3)).is_none());
        cache.moved(EntryId(1), place(2), place(3));
        assert!(cache.get(EntryId(1), place(3)).is_some());
        cache.forget(EntryId(1));
        assert!(cache.get(EntryId(1), place(3)).is_none());
    }
}
