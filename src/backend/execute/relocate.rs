//! Copying entries forward: records that change nothing but where an entry's bytes are.
//!
//! A copy is written only if the entry still is where it is copied from, judged here, in the order of the log: no change
//! that was executed before has made another version, and whatever comes later is behind it in the log. So a replay,
//! which takes records in order, never sees an old version after a newer one. A copy holds the stored form as it is, with
//! all state that later changes are merged with, and has no CSN.

use std::sync::Arc;

use bytes::BufMut;

use super::super::StoreError;
use super::super::index_store::{EntryId, Slot};
use super::super::record::{Floor, Image, LocalPart, RecordKind};
use super::super::view::store_error;
use super::{Executor, octets};
use crate::entry::StoredEntry;
use crate::log::Place;

/// An entry to be copied.
#[derive(Debug, Clone)]
pub(crate) struct Copied {
    pub(crate) id: EntryId,
    /// Where it is, if nothing has changed since it was read.
    pub(crate) from: Place,
    pub(crate) entry: Arc<StoredEntry>,
    /// What its counter of children is to be corrected by; 0 unless it was found wrong.
    pub(crate) children: i64,
}

/// A record that is no change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extra {
    /// Which of the group's records.
    pub(crate) record: usize,
    pub(crate) sequence: u64,
    /// The copied entry; none for a floor.
    pub(crate) moved: Option<Moved>,
}

/// An entry that gets another place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) id: EntryId,
    pub(crate) image: Image,
    /// All but the place, which is the old one.
    pub(crate) slot: Slot,
}

impl Executor {
    /// Writes a copy of each entry that still is where it was read, and then, if it is wanted, a floor.
    pub(crate) fn relocate(&mut self, entries: &[Copied], wants_floor: bool) -> Result<(), StoreError> {
        for copied in entries {
            self.copy(copied)?;
        }
        if wants_floor {
            let floor = Floor { oseq: self.oseq, next_id: self.next_id, csn: self.csns.last() };
            self.extra(RecordKind::Floor, None, |out| floor.encode(out))?;
        }
        Ok(())
    }

    fn copy(&mut self, copied: &Copied) -> Result<(), StoreError> {
        let id = copied.id;
        if self.overlay.entry(id).is_some_and(|pending| pending.is_gone || pending.entry.is_some()) {
            return Ok(());
        }
        let Some(slot) = self.view.store.slot(id)?.filter(|slot| slot.place == copied.from) else {
            return Ok(());
        };
        let (parent, children) = self.links(id)?;
        let children = children.saturating_add_signed(copied.children);
        let bytes = copied.entry.as_bytes();
        let image = Image::Local(octets(bytes.len()));
        let part = LocalPart { image, id, parent, previous: copied.from };
        let moved = Moved { id, image, slot: Slot { parent, children, ..slot } };
        self.extra(RecordKind::Copy, Some(moved), |out| {
            part.encode(out);
            out.put_slice(bytes);
        })?;
        // From here on another copy of the same bytes is refused.
        let pending = self.change(id)?;
        pending.entry = Some(Arc::clone(&copied.entry));
        pending.children = children;
        Ok(())
    }

    fn extra(
        &mut self,
        kind: RecordKind,
        moved: Option<Moved>,
        local: impl FnOnce(&mut bytes::BytesMut),
    ) -> Result<(), StoreError> {
        // The hybrid clock as it is, without a step of its own.
        self.group.stamp(self.csns.clone().next(self.clock.wall_ms()));
        let record = self.group.len();
        let pushed = self.group.push(kind as u8, self.sequence, |_| (), |out, ()| local(out));
        pushed.map_err(|error| store_error(&error))?;
        self.extras.push(Extra { record, sequence: self.sequence, moved });
        self.unnumbered.push_back(self.sequence);
        self.sequence += 1;
        Ok(())
    }

    /// How many of the records from a sequence on have no number in their origin; forgets those that are in the log.
    pub(super) fn unnumbered_from(&mut self, sequence: u64) -> u64 {
        self.forget_numbered(sequence);
        let count = self.unnumbered.len() as u64;
        self.unnumbered.clear();
        count
    }

    pub(super) fn forget_numbered(&mut self, before: u64) {
        while self.unnumbered.front().is_some_and(|&one| one < before) {
            self.unnumbered.pop_front();
        }
    }
}
