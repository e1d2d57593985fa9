//! Making the view show what is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::StoreError;
use super::execute::{Effect, Extra, Moved};
use super::inbox::Belt;
use super::index::{IndexSet, Keys};
use super::index_store::{Batch, EntryId, Marks, Slot};
use super::memory::IdMap;
use super::pipeline::Shared;
use super::store::Committed;
use super::view::View;
use crate::log::{Place, RecordPlace};

/// Groups on their way to the notifier.
pub(crate) type Notices = Belt<Arc<Vec<Committed>>>;

/// The notifier's thread.
pub(crate) fn notify_groups(shared: &Shared, groups: &Notices) {
    while let Some(group) = groups.take() {
        for committed in group.iter() {
            for (_, listener) in shared.listeners.load().iter() {
                if catch_unwind(AssertUnwindSafe(|| listener.notify(committed))).is_err() {
                    tracing::error!("a listener panicked");
                }
            }
        }
    }
}

/// The applier's state: buffers that are used again.
pub(crate) struct Applier {
    view: Arc<View>,
    batch: Batch,
    marks: Marks,
    add: Keys,
    remove: Keys,
    /// Where the group's entries are so far; none of those that are gone.
    placed: IdMap<Option<Place>>,
    /// Places that the group gives and takes.
    come: Vec<Place>,
    go: Vec<Place>,
}

impl Applier {
    pub(crate) fn new(view: Arc<View>) -> Self {
        let (_, marks) = view.store.stand();
        Self {
            view,
            batch: Batch::new(),
            marks,
            add: Keys::default(),
            remove: Keys::default(),
            placed: IdMap::default(),
            come: Vec::new(),
            go: Vec::new(),
        }
    }

    /// Applies a group's effects, given where their records are. An entry is in the table before it has its name and its
    /// index keys, and loses them after it has left the table; new keys come before old ones go: a search that runs
    /// beside finds the one version or the other.
    pub(crate) fn apply(
        &mut self,
        effects: Vec<Effect>,
        extras: &[Extra],
        places: &[RecordPlace],
    ) -> Result<Vec<Committed>, StoreError> {
        if effects.len() + extras.len() != places.len() {
            return Err(StoreError::Corrupt(format!(
                "{} changes have {} records",
                effects.len() + extras.len(),
                places.len()
            )));
        }
        let indexes = self.view.indexes.load_full();
        self.batch.clear();
        self.placed.clear();
        self.come.clear();
        self.go.clear();
        let (mut changes, mut others) = (effects.iter(), extras.iter().peekable());
        for (number, record) in places.iter().enumerate() {
            if let Some(extra) = others.next_if(|extra| extra.record == number) {
                self.extra(extra, record)?;
            } else if let Some(effect) = changes.next() {
                self.one(&indexes, effect, record)?;
            }
        }
        self.marks.place = places.last().map_or(self.marks.place, |last| last.record);
        self.batch.marks = Some(self.marks);
        self.view.space.come(self.come.iter().copied());
        self.view.store.apply(&self.batch)?;
        self.view.space.go(self.go.iter().copied());
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
        Ok(committed.collect())
    }

    /// Keeps account of an entry's place.
    fn place(&mut self, id: EntryId, is_new: bool, place: Option<Place>) -> Result<(), StoreError> {
        let before = match self.placed.insert(id.0, place) {
            Some(before) => before,
            None if is_new => None,
            None => self.view.store.slot(id)?.map(|slot| slot.place),
        };
        self.go.extend(before);
        self.come.extend(place);
        Ok(())
    }

    fn extra(&mut self, extra: &Extra, record: &RecordPlace) -> Result<(), StoreError> {
        self.batch.applied = extra.sequence;
        self.marks.place = record.record;
        let Some(Moved { id, image, slot }) = extra.moved else { return Ok(()) };
        let Some(place) = image.place(record) else { return Ok(()) };
        self.place(id, false, Some(place))?;
        self.view.cache.moved(id, slot.place, place);
        self.batch.slot(id, Slot { place, ..slot });
        Ok(())
    }

    fn one(&mut self, indexes: &IndexSet, effect: &Effect, record: &RecordPlace) -> Result<(), StoreError> {
        let place = effect.image.place(record).filter(|_| effect.after.is_some());
        self.place(effect.id, effect.before.is_none(), place)?;
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
        match (place, &effect.after) {
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
        Ok(())
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
