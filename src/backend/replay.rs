//! The view from the log: what is there after a start.

use std::sync::atomic::{AtomicU64, Ordering};

use super::StoreError;
use super::execute::Start;
use super::index::Keys;
use super::index_store::{Batch, EntryId, Slot};
use super::memory::IdMap;
use super::record::{Floor, LocalPart, RecordKind};
use super::view::{View, name_key, store_error};
use crate::changelog::{ChangeRecord, CsnGenerator};
use crate::entry::StoredEntry;
use crate::log::{Place, ReplayError, ReplayRecord};
use crate::schema::{NormalizedDn, Schema};

/// Entries whose keys are put in by one batch.
const BATCH: usize = 256;

/// What the records say, gathered in the order of the log.
#[derive(Debug)]
pub(crate) struct Replay {
    live: IdMap<(Place, EntryId)>,
    csns: CsnGenerator,
    oseq: u64,
    next_id: u64,
    last: u64,
    last_place: Place,
}

impl Replay {
    pub(crate) fn new(csns: CsnGenerator) -> Self {
        Self { live: IdMap::default(), csns, oseq: 0, next_id: 1, last: 0, last_place: Place::default() }
    }

    /// Takes the next record.
    pub(crate) fn take(&mut self, record: &ReplayRecord<'_>) -> Result<(), ReplayError> {
        let kind = RecordKind::of(record.kind);
        self.last = record.sequence;
        self.last_place = record.place.record;
        if kind == Some(RecordKind::Floor) {
            let floor = Floor::decode(record.local).ok_or("its floor is of another format")?;
            self.csns.observe(floor.csn);
            self.oseq = self.oseq.max(floor.oseq.saturating_sub(1));
            self.next_id = self.next_id.max(floor.next_id);
            return Ok(());
        }
        let part = LocalPart::decode(record.local).ok_or("its local part is of another format")?;
        if kind.is_none() {
            let change = ChangeRecord::decode(record.envelope)?;
            self.csns.observe(change.csn);
            if change.origin == self.csns.origin() {
                self.oseq = self.oseq.max(change.oseq);
            }
        }
        self.next_id = self.next_id.max(part.id.0 + 1);
        match part.image.place(&record.place) {
            Some(place) => self.live.insert(part.id.0, (place, part.parent)),
            None => self.live.remove(&part.id.0),
        };
        Ok(())
    }

    /// Fills the view's trees from the entries that are left, on `threads` threads, and says where to go on.
    pub(crate) fn finish(
        self,
        view: &View,
        schema: &Schema,
        dataset_id: [u8; 16],
        threads: usize,
    ) -> Result<Start, StoreError> {
        let mut children: IdMap<u64> = IdMap::default();
        for (_, parent) in self.live.values() {
            *children.entry(parent.0).or_default() += 1;
        }
        let mut live: Vec<(Place, EntryId, EntryId)> =
            self.live.iter().map(|(&id, &(place, parent))| (place, EntryId(id), parent)).collect();
        live.sort_unstable_by_key(|(place, ..)| *place);
        let orphans = AtomicU64::new(0);
        let fill = |part: &[(Place, EntryId, EntryId)]| {
            fill(view, schema, part, &|id| children.get(&id.0).copied().unwrap_or(0), &|parent| {
                let is_there = parent == EntryId::ROOT || self.live.contains_key(&parent.0);
                if !is_there {
                    orphans.fetch_add(1, Ordering::Relaxed);
                }
                is_there
            })
        };
        let size = live.len().div_ceil(threads.max(1)).max(BATCH);
        std::thread::scope(|scope| {
            let workers: Vec<_> = live.chunks(size).map(|part| scope.spawn(move || fill(part))).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().unwrap_or_else(|_| Err(StoreError::Corrupt("a replay thread failed".into())))
            })
        })?;
        let orphans = orphans.into_inner();
        if orphans > 0 {
            tracing::error!(orphans, "entries whose parents are lost are left out");
        }
        let mut batch = Batch::new();
        batch.applied = self.last;
        view.store.apply(&batch)?;
        view.shows(self.last_place);
        view.space.rebuild(&*view.store)?;
        Ok(Start {
            csns: self.csns,
            oseq: self.oseq + 1,
            sequence: view.log.last_sequence() + 1,
            next_id: self.next_id,
            dataset_id,
        })
    }
}

fn fill(
    view: &View,
    schema: &Schema,
    part: &[(Place, EntryId, EntryId)],
    children: &dyn Fn(EntryId) -> u64,
    has_parent: &dyn Fn(EntryId) -> bool,
) -> Result<(), StoreError> {
    let indexes = view.indexes.load_full();
    let mut batch = Batch::new();
    let mut keys = Keys::default();
    for piece in part.chunks(BATCH) {
        batch.clear();
        for &(place, id, parent) in piece {
            if !has_parent(parent) {
                continue;
            }
            let bytes = view.log.read(place).map_err(|error| store_error(&error))?;
            let entry = StoredEntry::parse(bytes)
                .map_err(|error| StoreError::Corrupt(format!("entry {} at {place:?}: {error}", id.0)))?;
            let key = NormalizedDn::parse(entry.dn(), schema)
                .map_err(|error| StoreError::Corrupt(format!("the name of entry {}: {error}", id.0)))?;
            let rdn = if parent == EntryId::ROOT { key.as_bytes() } else { key.rdn_key() };
            batch.slot(id, Slot { place, parent, children: children(id) });
            batch.put(view.names, &name_key(parent, rdn), &id.to_bytes());
            indexes.keys(id, &entry, &|_| true, &mut keys);
            keys.iter().for_each(|(tree, key)| batch.put(tree, key, &[]));
        }
        view.store.apply(&batch)?;
    }
    Ok(())
}
