//! How much of each log segment is still wanted, and how much room there is.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::StoreError;
use super::index_store::IndexStore;
use super::record;
use crate::log::Place;

/// When segments go and writes are refused. All of it may change while the store serves ([`super::TokenStore::set_space`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceSettings {
    /// How long changes are kept for replicas that were away (`ds-cfg-replication-purge-delay`); 3 days by default.
    pub purge_delay: Duration,
    /// Octets of log from which changes go earlier (`ds-cfg-cts-changelog-max-size`); by default 80 % of
    /// what the log's files take and the disk still has together.
    pub changelog_max: Option<u64>,
    /// Free octets of the disk below which only who may bypass a lock-down writes, and only deletes of others are taken
    /// (`ds-cfg-disk-low-threshold`); 0 switches it off.
    pub disk_low: u64,
    /// Free octets of the disk below which nobody writes; only deletes are taken (`ds-cfg-disk-full-threshold`); 0
    /// switches it off.
    pub disk_full: u64,
    /// Octets a second that copying live entries forward takes at the most, unless room is short, and so many again that
    /// compaction reads and writes; 32 MiB by default.
    pub copy_rate: u64,
    /// Whether closed segments are compacted (`ds-cfg-cts-compaction`); true by default.
    pub compaction: bool,
    /// How old a segment is before it is compacted (`ds-cfg-cts-compaction-delay`); an hour by default.
    pub compaction_delay: Duration,
}

impl Default for SpaceSettings {
    fn default() -> Self {
        Self {
            purge_delay: Duration::from_secs(3 * 24 * 60 * 60),
            changelog_max: None,
            disk_low: 0,
            disk_full: 0,
            copy_rate: 32 << 20,
            compaction: true,
            compaction_delay: Duration::from_secs(60 * 60),
        }
    }
}

/// How short the room on the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Pressure {
    /// It is not.
    #[default]
    Normal,
    /// Below the low threshold.
    Low,
    /// Below the full threshold.
    Full,
}

impl Pressure {
    /// What so much free room means after `self`: a state is left only a tenth above the threshold that led to it.
    #[must_use]
    pub const fn next(self, free: u64, settings: &SpaceSettings) -> Self {
        let full = settings.disk_full;
        let low = if settings.disk_low > full { settings.disk_low } else { full };
        let leave_full = full.saturating_add(full / 10);
        let leave_low = low.saturating_add(low / 10);
        if free < full || (matches!(self, Self::Full) && free < leave_full) {
            Self::Full
        } else if free < low || (!matches!(self, Self::Normal) && free < leave_low) {
            Self::Low
        } else {
            Self::Normal
        }
    }
}

/// One segment of the log and what of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentUse {
    /// Its number.
    pub number: u32,
    /// Octets of its records.
    pub octets: u64,
    /// Octets of its file.
    pub size: u64,
    /// Whether dead records of it have been removed.
    pub is_compacted: bool,
    /// Entries whose current version is in it.
    pub live_entries: u64,
    /// Octets that these would take if they were copied.
    pub live_octets: u64,
}

/// What is live in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Live {
    pub(crate) entries: u64,
    pub(crate) octets: u64,
}

/// What is live, by segment. Kept by the applier: before the view shows a new place it is counted, and the old one is
/// until the view shows it no more.
#[derive(Debug, Default)]
pub(crate) struct Space(Mutex<BTreeMap<u32, Live>>);

/// Octets that an entry takes in a segment if it is copied there.
fn weight(place: Place) -> u64 {
    u64::from(place.len & !record::IN_PIECES) + record::COPY_OVERHEAD
}

impl Space {
    fn live(&self) -> MutexGuard<'_, BTreeMap<u32, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts anew from the entry table.
    pub(crate) fn rebuild(&self, store: &dyn IndexStore) -> Result<(), StoreError> {
        let mut counted: BTreeMap<u32, Live> = BTreeMap::new();
        let (mut ids, mut token) = (Vec::new(), Some(0));
        while let Some(from) = token {
            ids.clear();
            token = store.ids(from, 1024, &mut ids)?;
            for id in &ids {
                let Some(slot) = store.slot(*id)? else { continue };
                let live = counted.entry(slot.place.segment).or_default();
                live.entries += 1;
                live.octets += weight(slot.place);
            }
        }
        *self.live() = counted;
        Ok(())
    }

    /// Counts places that will be shown.
    pub(crate) fn come(&self, places: impl Iterator<Item = Place>) {
        let mut all = self.live();
        for place in places {
            let live = all.entry(place.segment).or_default();
            live.entries += 1;
            live.octets += weight(place);
        }
    }

    /// Counts places off that are shown no more.
    pub(crate) fn go(&self, places: impl Iterator<Item = Place>) {
        let mut all = self.live();
        for place in places {
            let Some(live) = all.get_mut(&place.segment) else { continue };
            live.entries = live.entries.saturating_sub(1);
            live.octets = live.octets.saturating_sub(weight(place));
        }
    }

    /// Forgets a segment that is dropped.
    pub(crate) fn forget(&self, segment: u32) {
        self.live().remove(&segment);
    }

    /// What is live in a segment.
    pub(crate) fn of(&self, segment: u32) -> Live {
        self.live().get(&segment).copied().unwrap_or_default()
    }

    /// What is live, by segment.
    pub(crate) fn all(&self) -> BTreeMap<u32, Live> {
        self.live().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_has_hysteresis() {
        let settings = SpaceSettings { disk_low: 200, disk_full: 100, ..SpaceSettings::default() };
        let mut state = Pressure::Normal;
        let mut after = |free| {
            state = state.next(free, &settings);
            state
        };
        assert_eq!([after(200), after(199), after(219), after(220)], {
            use Pressure::{Low, Normal};
            [Normal, Low, Low, Normal]
        });
        assert_eq!([after(99), after(109), after(110), after(219), after(220)], {
            use Pressure::{Full, Low, Normal};
            [Full, Full, Low, Low, Normal]
        });
        assert_eq!(Pressure::Normal.next(0, &SpaceSettings::default()), Pressure::Normal);
    }

    #[test]
    fn what_comes_and_goes_is_counted() {
        let space = Space::default();
        let place = |segment, len| Place { segment, offset: 4096, len };
        space.come([place(1, 100), place(1, 50), place(2, 7)].into_iter());
        space.go([place(1, 100)].into_iter());
        assert_eq!(space.of(1), Live { entries: 1, octets: 50 + record::COPY_OVERHEAD });
        assert_eq!(space.of(2).entries, 1);
        space.forget(2);
        assert_eq!(space.of(2), Live::default());
        assert_eq!(space.all().len(), 1);
    }
}
