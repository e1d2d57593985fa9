//! What the changes executed but not yet applied make of the view; the sequencer's alone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::index_store::EntryId;
use super::memory::IdMap;
use super::view::NameKey;
use crate::entry::StoredEntry;

/// An entry as it will be.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    /// The content, if it changes.
    pub(crate) entry: Option<Arc<StoredEntry>>,
    pub(crate) parent: EntryId,
    /// Its children, absolute: what the view says may lag behind.
    pub(crate) children: u64,
    pub(crate) is_gone: bool,
    group: u64,
}

impl Pending {
    pub(crate) const fn new(parent: EntryId, children: u64) -> Self {
        Self { entry: None, parent, children, is_gone: false, group: 0 }
    }
}

#[derive(Debug, Default)]
struct Touched {
    group: u64,
    ids: Vec<EntryId>,
    names: Vec<NameKey>,
}

/// The overlay. What a group put here goes when the view has it, unless a later group has put it here again.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    entries: IdMap<Pending>,
    names: HashMap<NameKey, (Option<EntryId>, u64)>,
    touched: VecDeque<Touched>,
}

impl Overlay {
    pub(crate) fn entry(&self, id: EntryId) -> Option<&Pending> {
        self.entries.get(&id.0)
    }

    /// The entry of a name; none if the view decides.
    pub(crate) fn name(&self, name: &NameKey) -> Option<Option<EntryId>> {
        self.names.get(name).map(|(id, _)| *id)
    }

    /// The names below a parent that the view has not yet, or has still.
    pub(crate) fn names_below(&self, parent: EntryId) -> impl Iterator<Item = (&NameKey, Option<EntryId>)> {
        let prefix = parent.to_bytes();
        self.names
            .iter()
            .filter(move |(name, _)| name.starts_with(&prefix))
            .map(|(name, (id, _))| (name, *id))
    }

    /// The entry to be changed by a group; `Pending::new` of what the view says, if it is not here yet.
    pub(crate) fn change(&mut self, id: EntryId, group: u64, view: impl FnOnce() -> Pending) -> &mut Pending {
        let pending = self.entries.entry(id.0).or_insert_with(view);
        if pending.group != group {
            pending.group = group;
            touched(&mut self.touched, group).ids.push(id);
        }
        pending
    }

    /// Gives a name to an entry, or takes it away.
    pub(crate) fn set_name(&mut self, name: &NameKey, id: Option<EntryId>, group: u64) {
        let old = self.names.insert(name.clone(), (id, group));
        if old.is_none_or(|(_, old)| old != group) {
            touched(&mut self.touched, group).names.push(name.clone());
        }
    }

    /// Forgets what the view shows by now.
    pub(crate) fn prune(&mut self, applied: u64) {
        while self.touched.front().is_some_and(|touched| touched.group <= applied) {
            let Some(touched) = self.touched.pop_front() else { return };
            for id in touched.ids {
                if self.entries.get(&id.0).is_some_and(|pending| pending.group == touched.group) {
                    self.entries.remove(&id.0);
                }
            }
            for name in touched.names {
                if self.names.get(&name).is_some_and(|(_, group)| *group == touched.group) {
                    self.names.remove(&name);
                }
            }
        }
    }

    /// Forgets everything: what was executed failed.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn touched(all: &mut VecDeque<Touched>, group: u64) -> &mut Touched {
    if all.back().is_none_or(|last| last.group != group) {
        all.push_back(Touched { group, ..Touched::default() });
    }
    // Just pushed, if it was not there.
    let last = all.len() - 1;
    #[allow(clippy::indexing_slicing)]
    &mut all[last]
}
