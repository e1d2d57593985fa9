//! What the store offers to operations.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::index::{Index, IndexSet};
use super::open::Backend;
use super::plan::Plan;
use super::space::SpaceSettings;
use super::store::{
    Candidates, Change, ChangeListener, IndexConfig, PlanReport, Query, Reading, Resume, StoreError,
    Subscription, TokenStore,
};
use super::stream::Stream;
use super::view::parent_key;
use crate::entry::StoredEntry;
use crate::log::Durability;
use crate::schema::NormalizedDn;

impl TokenStore for Backend {
    fn suffixes(&self) -> Vec<(String, NormalizedDn)> {
        self.shared.view.suffixes.clone()
    }

    fn get(&self, dn: &NormalizedDn) -> Result<Option<Arc<StoredEntry>>, StoreError> {
        let view = &self.shared.view;
        match view.find(dn.as_bytes())? {
            Some(id) => Ok(view.current(id)?.map(|(_, entry)| entry)),
            None => Ok(None),
        }
    }

    fn glance(&self, dn: &NormalizedDn) -> Result<Option<Option<Arc<StoredEntry>>>, StoreError> {
        let view = &self.shared.view;
        let Some(id) = view.find(dn.as_bytes())? else { return Ok(Some(None)) };
        let Some(slot) = view.store.slot(id)? else { return Ok(Some(None)) };
        match view.cache.get(id, slot.place) {
            Some(entry) => Ok(Some(Some(entry))),
            None if view.cache.may_lack() => Ok(None),
            None => Ok(Some(view.current(id)?.map(|(_, entry)| entry))),
        }
    }

    fn read_beside(&self, reading: Reading, job: Box<dyn FnOnce() + Send>) {
        self.pipeline.readers.spawn(reading, job);
    }

    fn deepest(&self, dn: &NormalizedDn) -> String {
        let view = &self.shared.view;
        let mut above = dn.as_bytes();
        while !above.is_empty() {
            if let Ok(Some(id)) = view.find(above)
                && let Ok(Some((_, entry))) = view.current(id)
            {
                return entry.dn().to_owned();
            }
            above = parent_key(above);
        }
        String::new()
    }

    fn children(&self, dn: &NormalizedDn) -> u64 {
        let view = &self.shared.view;
        let id = view.find(dn.as_bytes()).ok().flatten();
        id.and_then(|id| view.store.slot(id).ok().flatten()).map_or(0, |slot| slot.children)
    }

    fn entries(&self) -> u64 {
        self.shared.view.store.entries()
    }

    fn plan(&self, query: &Query) -> PlanReport {
        let view = &self.shared.view;
        match Plan::of(view, query, None) {
            Ok(Some(plan)) => plan.report(view, query),
            Ok(None) | Err(_) => PlanReport {
                indexed: false,
                unindexed_part: Some(query.filter.to_string()),
                explanation: "the indexes cannot be read".to_owned(),
            },
        }
    }

    fn open(
        &self,
        query: &Query,
        resume: Option<&Resume>,
    ) -> Result<Option<Box<dyn Candidates>>, StoreError> {
        let stream = Stream::open(&self.shared.view, query, resume)?;
        Ok(stream.map(|stream| Box::new(stream) as Box<dyn Candidates>))
    }

    fn submit(&self, change: Change) {
        self.pipeline.submit(change);
    }

    fn is_crowded(&self) -> bool {
        self.pipeline.is_crowded()
    }

    fn subscribe(&self, listener: Arc<dyn ChangeListener>) -> Subscription {
        let number = self.next_listener.fetch_add(1, Ordering::Relaxed);
        self.shared.listeners.rcu(|listeners| {
            let mut listeners = Vec::clone(listeners);
            listeners.push((number, Arc::clone(&listener)));
            listeners
        });
        let shared = Arc::downgrade(&self.shared);
        Subscription::new(move || {
            let Some(shared) = shared.upgrade() else { return };
            shared.listeners.rcu(|listeners| {
                let mut listeners = Vec::clone(listeners);
                listeners.retain(|(one, _)| *one != number);
                listeners
            });
        })
    }

    fn writable(&self, is_root: bool, is_delete: bool) -> Result<(), StoreError> {
        self.shared.has_room(is_root, is_delete)
    }

    fn set_space(&self, settings: SpaceSettings) {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner).purger.set(settings);
    }

    fn set_durability(&self, durability: Durability) {
        self.shared.view.log.set_durability(durability);
    }

    fn last_sequence(&self) -> u64 {
        self.shared.view.store.applied()
    }

    fn set_indexes(&self, indexes: Vec<IndexConfig>) {
        let mut builders = self.builders.lock().unwrap_or_else(PoisonError::into_inner);
        builders.retain(|builder| !builder.is_finished());
        let view = &self.shared.view;
        let before = view.indexes.load_full();
        let set = match IndexSet::build(&indexes, &self.schema.current(), &before, &*view.store) {
            Ok(set) => Arc::new(set),
            Err(error) => return tracing::error!(%error, "the indexes stay as they are"),
        };
        view.indexes.store(Arc::clone(&set));
        for index in &before.indexes {
            if !set.indexes.iter().any(|one| one.tree == index.tree)
                && let Err(error) = view.store.drop_tree(index.tree)
            {
                tracing::error!(%error, index = %index.name, "an index cannot be dropped");
            }
        }
        let is_new = |index: &Arc<Index>| !before.indexes.iter().any(|one| one.tree == index.tree);
        let wanted: Vec<_> = set.indexes.iter().filter(|index| is_new(index)).cloned().collect();
        self.build(wanted, &mut builders);
    }

    fn index_states(&self) -> Vec<(String, String)> {
        self.shared.view.indexes.load().states()
    }

    fn value_counts(&self, attribute: &str) -> Option<Vec<(String, u64)>> {
        self.shared.view.value_counts(attribute)
    }
}
