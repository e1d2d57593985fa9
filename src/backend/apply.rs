//! Making the view show what is durable.

use std::sync::Arc;

use super::StoreError;
use super::execute::Effect;
use super::index::{IndexSet, Keys};
use super::index_store::{Batch, EntryId, Marks, Slot};
use super::store::Committed;
use super::view::View;
use crate::log::{Place, RecordPlace};

/// The applier's state: buffers that are used again.
pub(crate) struct Applier {
    view: Arc<View>,
    batch: Batch,
    marks: Marks,
    add: Keys,
    remove: Keys,
}

impl Applier {
    pub(crate) fn new(view: Arc<View>) -> Self {
        let (_, marks) = view.store.stand();
        Self { view, batch: Batch::new(), marks, add: Keys::default(), remove: Keys::default() }
    }

    /// Applies a group's effects, given where their records are. An entry is in the table before it has its name and its
    /// index keys, and loses them after it has left the table; new keys come before old ones go: a search that runs
    /// beside finds the one version or the other.
    pub(crate) fn apply(
        &mut self,
        effects: Vec<Effect>,
        places: &[RecordPlace],
    ) -> Result<Arc<Vec<Committed>>, StoreError> {
        if effects.len() != places.len() {
            return Err(StoreError::Corrupt(format!(
                "{} changes have {} records",
                effects.len(),
                places.len()
            )));
        }
        let indexes = self.view.indexes.load_full();
        self.batch.clear();
        for (effect, record) in effects.iter().zip(places) {
            self.one(&indexes, effect, record);
        }
        self.marks.place = places.last().map_or(self.marks.place, |last| last.record);
        self.batch.marks = Some(self.marks);
        self.view.store.apply(&self.batch)?;
        self.view.growth.add(places.iter().map(|place| u64::from(place.record.len)).sum());
        if let Some(last) = places.last() {
            self.view.shows(last.record);
        }
        for effect in &effects {
            if effect.after.is_none() {
                self.view.cache.forget(effect.id);
            }
            if effect.old_name.is_some() {
                self.view.forget_name(effect.key.as_bytes());
            }
        }
        let committed = effects.into_iter().map(|effect| Committed {
            before: effect.before,
            after: effect.after,
            key: effect.key,
            new_key: effect.new_key,
            csn: effect.csn.to_bytes(),
            sequence: effect.sequence,
        });
        Ok(Arc::new(committed.collect()))
    }

    fn one(&mut self, indexes: &IndexSet, effect: &Effect, record: &RecordPlace) {
        let batch = &mut self.batch;
        batch.applied = effect.sequence;
        self.marks = Marks {
            next_id: self.marks.next_id.max(effect.id.0 + 1),
            oseq: self.marks.oseq.max(effect.oseq),
            csn: self.marks.csn.max(effect.csn.to_bytes()),
            place: self.marks.place,
        };
        let (before, after) = (effect.before.as_deref(), effect.after.as_deref());
        indexes.changes(effect.id, before, after, &mut self.add, &mut self.remove);
        match (effect.image.place(record), &effect.after) {
            (Some(place), Some(entry)) => {
                self.view.cache.put(effect.id, place, Arc::clone(entry));
                batch.slot(effect.id, Slot { place, parent: effect.parent, children: effect.children });
            }
            _ => batch.forget(effect.id),
        }
        for (parent, children) in &effect.counts {
            batch.children(*parent, *children);
        }
        let names = self.view.names;
        if let Some(name) = &effect.new_name {
            batch.put(names, name, &effect.id.to_bytes());
        }
        if let Some(name) = effect.old_name.as_ref().filter(|name| effect.new_name.as_ref() != Some(name)) {
            batch.remove(names, name);
        }
        self.add.iter().for_each(|(tree, key)| batch.put(tree, key, &[]));
        self.remove.iter().for_each(|(tree, key)| batch.remove(tree, key));
    }

    /// Puts keys into indexes that are being built, unless the entry has changed since they were made: then they are made
    /// anew.
    pub(crate) fn index(&mut self, chunk: &[(EntryId, Place, Keys)]) -> Result<(), StoreError> {
        let indexes = self.view.indexes.load_full();
        self.batch.clear();
        for (id, place, keys) in chunk {
            let Some(slot) = self.view.store.slot(*id)? else { continue };
            if slot.place == *place {
                keys.iter().for_each(|(tree, key)| self.batch.put(tree, key, &[]));
            } else if let Some((_, entry)) = self.view.current(*id)? {
                indexes.keys(*id, &entry, &|index| !index.progress.is_ready(), &mut self.add);
                self.add.iter().for_each(|(tree, key)| self.batch.put(tree, key, &[]));
            }
        }
        self.batch.applied = 0;
        self.batch.marks = None;
        self.view.store.apply(&self.batch)
    }
}
