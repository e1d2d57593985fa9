//! The view from the log: what is there after a start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::StoreError;
use super::index::Keys;
use super::index_store::{Batch, EntryId, Marks, Slot};
use super::memory::IdMap;
use super::patch::Version;
use super::pieces;
use super::record::{Advance, Floor, LocalPart, RecordKind};
use super::start::Start;
use super::view::{View, name_key};
use crate::changelog::{ChangeRecord, Csn, CsnGenerator};
use crate::log::{Place, ReplayError, ReplayRecord};
use crate::schema::{NormalizedDn, Schema};

/// Entries whose keys are put in by one batch.
const BATCH: usize = 256;

/// What the records say, gathered in the order of the log.
#[derive(Debug)]
pub(crate) struct Replay {
    /// The last version of each entry; none if it is gone.
    versions: IdMap<Option<Version>>,
    /// Whether entries that are gone are remembered, because what is replayed upon may have them.
    keeps_gone: bool,
    csns: CsnGenerator,
    marks: Marks,
    last: u64,
    /// Whether records are lost: then any entry may lack what was above it.
    pub(crate) has_holes: bool,
}

impl Replay {
    /// A replay from a position with its marks, or, at 0, from nothing.
    pub(crate) fn new(mut csns: CsnGenerator, applied: u64, marks: Marks) -> Self {
        csns.observe(Csn::from_bytes(marks.csn));
        Self {
            versions: IdMap::default(),
            keeps_gone: applied > 0,
            csns,
            marks,
            last: applied,
            has_holes: false,
        }
    }

    /// Takes the next record.
    pub(crate) fn take(&mut self, record: &ReplayRecord<'_>) -> Result<(), ReplayError> {
        let kind = RecordKind::of(record.kind);
        let marks = &mut self.marks;
        marks.place = record.place.record;
        self.last = record.sequence.saturating_add(u64::from(record.covers)).saturating_sub(1);
        if kind == Some(RecordKind::Gap) {
            return Ok(());
        }
        if kind == Some(RecordKind::Advance) {
            let range = Advance::decode(record.envelope)?.ok_or("its range is of another format")?;
            self.csns.observe(range.csn);
            if range.origin == self.csns.origin() {
                marks.oseq = marks.oseq.max(range.last);
            }
            marks.csn = marks.csn.max(range.csn.to_bytes());
            return Ok(());
        }
        if kind == Some(RecordKind::Floor) {
            let floor = Floor::decode(record.local).ok_or("its floor is of another format")?;
            self.csns.observe(floor.csn);
            if floor.csn.origin() == Some(self.csns.origin()) {
                marks.oseq = marks.oseq.max(floor.oseq.saturating_sub(1));
            }
            marks.csn = marks.csn.max(floor.csn.to_bytes());
            marks.next_id = marks.next_id.max(floor.next_id);
            return Ok(());
        }
        let part = LocalPart::decode(record.local).ok_or("its local part is of another format")?;
        marks.next_id = marks.next_id.max(part.id.0 + 1);
        if kind.is_none() {
            let change = ChangeRecord::decode(record.envelope)?;
            self.csns.observe(change.csn);
            if change.origin == self.csns.origin() {
                marks.oseq = marks.oseq.max(change.oseq);
            }
            marks.csn = marks.csn.max(change.csn.to_bytes());
        }
        match part.image.place(&record.place) {
            Some(place) => self.versions.insert(part.id.0, Some((place, part.parent))),
            None if self.keeps_gone => self.versions.insert(part.id.0, None),
            None => self.versions.remove(&part.id.0),
        };
        Ok(())
    }

    /// The entries that the records name; all that are there, if the replay began with nothing.
    pub(crate) const fn versions(&self) -> &IdMap<Option<Version>> {
        &self.versions
    }

    /// Fills the view's trees, which have none of these entries, on `threads` threads. The slots that are there already
    /// are those of other entries. Gives back the names of entries that are left out, because what is above them is lost.
    pub(crate) fn fill(
        &self,
        view: &View,
        schema: &Schema,
        threads: usize,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Vec<String>, StoreError> {
        let children = self.children(view)?;
        let mut live: Vec<(Place, EntryId, EntryId)> = self
            .versions
            .iter()
            .filter_map(|(&id, version)| version.map(|(place, parent)| (place, EntryId(id), parent)))
            .collect();
        live.sort_unstable_by_key(|(place, ..)| *place);
        let (orphans, done) = (Mutex::new(Vec::new()), AtomicU64::new(0));
        let has_parent = |parent: EntryId| self.is_rooted(view, parent);
        let total = live.len() as u64;
        let count = |id: EntryId| children.get(&id.0).copied().unwrap_or(0);
        let work = |part: &[(Place, EntryId, EntryId)]| {
            for piece in part.chunks(BATCH) {
                put(view, schema, piece, &count, &has_parent, &orphans)?;
                let piece = piece.len() as u64;
                progress(done.fetch_add(piece, Ordering::Relaxed) + piece, total);
            }
            Ok(())
        };
        let size = live.len().div_ceil(threads.max(1)).max(BATCH);
        std::thread::scope(|scope| {
            let work = &work;
            let workers: Vec<_> = live.chunks(size).map(|part| scope.spawn(move || work(part))).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().unwrap_or_else(|_| Err(StoreError::Corrupt("a replay thread failed".into())))
            })
        })?;
        let orphans: Vec<String> = orphans.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !orphans.is_empty() {
            view.has_orphans.store(true, Ordering::Release);
            tracing::error!(orphans = orphans.len(), "entries whose parents are lost are left out");
        }
        Ok(orphans)
    }

    /// Whether an entry is there, and, where records are lost, everything above it.
    fn is_rooted(&self, view: &View, id: EntryId) -> Result<bool, StoreError> {
        let mut id = id;
        // Deeper than any name; a damaged log might hold a ring.
        for _ in 0..1000 {
            if id == EntryId::ROOT {
                return Ok(true);
            }
            let parent = match self.versions.get(&id.0) {
                Some(version) => version.map(|(_, parent)| parent),
                None => view.store.slot(id)?.map(|slot| slot.parent),
            };
            match parent {
                None => return Ok(false),
                Some(_) if !self.has_holes => return Ok(true),
                Some(parent) => id = parent,
            }
        }
        Ok(false)
    }

    /// How many children each entry has, counted from the slots and the replayed versions; the slots are told.
    fn children(&self, view: &View) -> Result<IdMap<u64>, StoreError> {
        let mut children: IdMap<u64> = IdMap::default();
        for (_, parent) in self.versions.values().flatten() {
            *children.entry(parent.0).or_default() += 1;
        }
        let (mut ids, mut token) = (Vec::new(), Some(0));
        while let Some(from) = token {
            ids.clear();
            token = view.store.ids(from, BATCH, &mut ids)?;
            for &id in &ids {
                if let Some(slot) = view.store.slot(id)? {
                    *children.entry(slot.parent.0).or_default() += 1;
                }
            }
        }
        let mut batch = Batch::new();
        for (&id, &count) in &children {
            batch.children(EntryId(id), count);
        }
        view.store.apply(&batch)?;
        Ok(children)
    }

    /// Says that the view shows all of this, and where to go on.
    pub(crate) fn finish(self, view: &View, dataset_id: [u8; 16]) -> Result<Start, StoreError> {
        let mut batch = Batch::new();
        batch.applied = self.last;
        batch.marks = Some(self.marks);
        view.store.apply(&batch)?;
        view.shows(self.marks.place);
        view.space.rebuild(&*view.store)?;
        Ok(Start {
            csns: self.csns,
            oseq: self.marks.oseq + 1,
            sequence: view.log.last_sequence() + 1,
            next_id: self.marks.next_id.max(1),
            dataset_id,
        })
    }
}

/// Puts entries in by one batch.
fn put(
    view: &View,
    schema: &Schema,
    piece: &[(Place, EntryId, EntryId)],
    children: &dyn Fn(EntryId) -> u64,
    has_parent: &dyn Fn(EntryId) -> Result<bool, StoreError>,
    orphans: &Mutex<Vec<String>>,
) -> Result<(), StoreError> {
    let indexes = view.indexes.load_full();
    let mut batch = Batch::new();
    let mut keys = Keys::default();
    for &(place, id, parent) in piece {
        let entry = pieces::read(&view.log, place)?;
        if !has_parent(parent)? {
            orphans.lock().unwrap_or_else(PoisonError::into_inner).push(entry.dn().to_owned());
            continue;
        }
        let key = NormalizedDn::parse(entry.dn(), schema)
            .map_err(|error| StoreError::Corrupt(format!("the name of entry {}: {error}", id.0)))?;
        let rdn = if parent == EntryId::ROOT { key.as_bytes() } else { key.rdn_key() };
        batch.slot(id, Slot { place, parent, children: children(id) });
        batch.put(view.names, &name_key(parent, rdn), &id.to_bytes());
        indexes.keys(id, &entry, &|_| true, &mut keys);
        keys.iter().for_each(|(tree, key)| batch.put(tree, key, &[]));
    }
    view.store.apply(&batch)
}
