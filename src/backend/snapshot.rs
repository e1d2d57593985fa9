//! One moment of the store, entry by entry, while it goes on.
//!
//! Places in the log never come to mean other bytes, so a moment is a list of places; the purge is held while it is used. The
//! list is gathered while changes go on, and then brought to one sequence by reading the log's records from before
//! the gathering up to there: as a start does with a checkpoint. Nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use super::index_store::EntryId;
use super::memory::IdMap;
use super::open::Backend;
use super::patch::Version;
use super::pieces;
use super::purge::PurgeHold;
use super::record::{LocalPart, RecordKind};
use super::store::StoreError;
use super::view::{View, store_error};
use crate::entry::StoredEntry;
use crate::log::Place;

/// Ids asked for at once.
const PIECE: usize = 4096;
/// A wait for the log to be on disk, where acknowledged does not mean that.
const PAUSE: Duration = Duration::from_millis(20);

/// All entries as they were at one sequence of the log, parents before their children.
pub struct Snapshot {
    view: Arc<View>,
    places: Vec<Place>,
    sequence: u64,
    _hold: PurgeHold,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("entries", &self.places.len())
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Backend {
    /// All entries as they are at one moment that lies behind every change acknowledged before the call. Takes 12 octets of
    /// memory an entry (32 while it is made) and keeps all segments of the log until it is dropped.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let hold = self.hold_purge();
        let view = Arc::clone(&self.shared.view);
        let from = view.store.applied();
        let mut versions: IdMap<Version> = IdMap::default();
        versions.reserve(usize::try_from(view.store.entries()).unwrap_or(0));
        let (mut ids, mut token) = (Vec::new(), Some(0));
        while let Some(at) = token {
            ids.clear();
            token = view.store.ids(at, PIECE, &mut ids)?;
            for &id in &ids {
                if let Some(slot) = view.store.slot(id)? {
                    versions.insert(id.0, (slot.place, slot.parent));
                }
            }
        }
        // Nothing that was seen is behind this.
        let sequence = view.log.last_sequence();
        self.catch_up(&view, from, sequence, &mut versions)?;
        let places = in_order(&versions);
        Ok(Snapshot { view, places, sequence, _hold: hold })
    }

    fn catch_up(
        &self,
        view: &View,
        from: u64,
        to: u64,
        versions: &mut IdMap<Version>,
    ) -> Result<(), StoreError> {
        let mut records = view.log.records(from + 1);
        while records.next_sequence() <= to {
            let Some(record) = records.next_record().map_err(|error| store_error(&error))? else {
                if let Some(error) = self.unwilling() {
                    return Err(error);
                }
                std::thread::park_timeout(PAUSE);
                continue;
            };
            use RecordKind::{Advance, Floor, Gap};
            if matches!(RecordKind::of(record.kind), Some(Advance | Floor | Gap)) {
                continue;
            }
            let part = LocalPart::decode(&record.local)
                .ok_or_else(|| StoreError::Corrupt("a record's local part is of another format".into()))?;
            match part.image.place(&record.place) {
                Some(place) => versions.insert(part.id.0, (place, part.parent)),
                None => versions.remove(&part.id.0),
            };
        }
        Ok(())
    }
}

/// Parents before their children, and otherwise as they lie in the log.
fn in_order(versions: &IdMap<Version>) -> Vec<Place> {
    let mut depths: IdMap<u32> = IdMap::default();
    let mut depth_of = |id: EntryId| {
        let mut way = Vec::new();
        let mut at = id;
        let known = loop {
            if at == EntryId::ROOT {
                break 0;
            }
            if let Some(depth) = depths.get(&at.0) {
                break *depth;
            }
            way.push(at);
            // No more steps than there are entries, whatever the parents say.
            match versions.get(&at.0).filter(|_| way.len() <= versions.len()) {
                Some((_, parent)) => at = *parent,
                None => break 0,
            }
        };
        for (id, depth) in way.iter().rev().zip(known + 1..) {
            depths.insert(id.0, depth);
        }
        known + u32::try_from(way.len()).unwrap_or(u32::MAX)
    };
    // Of the parents alone: most entries have no children.
    let mut ordered: Vec<(u32, Place)> =
        versions.values().map(|&(place, parent)| (depth_of(parent), place)).collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|(_, place)| place).collect()
}

impl Snapshot {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The sequence of the log that it shows: all changes up to there, and none behind.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Reads the entry of a number from 0 to [`Self::len`]; none beyond. Not by the store's cache, so that a walk through
    /// everything leaves what is in it.
    pub fn entry(&self, number: usize) -> Result<Option<StoredEntry>, StoreError> {
        self.places.get(number).map(|&place| pieces::read(&self.view.log, place)).transpose()
    }
}
