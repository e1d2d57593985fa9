//! Building indexes anew while the store serves.
//!
//! Each gets a replacement with a tree of its own, which is filled as a new index is; the old one serves meanwhile. At
//! the end, between two groups, the tree is given the replacement's content: searches that are under way go on in it.

use std::sync::{Arc, PoisonError};

use crossbeam::channel::bounded;

use super::StoreError;
use super::build::fill;
use super::index::{Index, IndexSet, tree_name};
use super::open::Backend;
use super::pipeline::{Sender, Work};
use super::verify::is_beside_indexes;
use super::view::View;

/// Which indexes are to be built anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuild {
    /// All of them.
    All,
    /// Those that are not ready.
    Degraded,
    /// Those of these attributes; `attribute.kind` means one of them. `names` (or `dn2id`) and `children` (or
    /// `id2childrencount`) mean the tree of names and the counters of children.
    Named(Vec<String>),
}

/// An index and what is to replace it.
type Pair = (Arc<Index>, Arc<Index>);

impl Backend {
    /// The suffix-independent test of names for [`Rebuild::Named`] and [`Self::verify`]: those that mean no index.
    pub fn unknown_indexes<'a>(&self, names: &'a [String]) -> Vec<&'a str> {
        let indexes = self.shared.view.indexes.load();
        let schema = self.schema.current();
        let is_known = |name: &&str| is_beside_indexes(name) || !indexes.called(name, &schema).is_empty();
        names.iter().map(String::as_str).filter(|name| !is_known(name)).collect()
    }

    /// Builds indexes anew while the old ones serve, and gives back their names. It returns when the new content is
    /// in force; [`super::TokenStore::index_states`] says how far it is meanwhile, and so does `tell`: entries done, of
    /// how many; it ends the rebuild by giving `false`. Memory for the new trees is taken besides the old ones'. The tree of
    /// names and the counters of children are mended in place, entry by entry, and given back as `names`.
    ///
    /// Fails, and leaves the indexes as they were, for a name that means no index, while another rebuild runs, when
    /// the configuration changes the indexes meanwhile, and when the store closes.
    pub fn rebuild(
        &self,
        which: &Rebuild,
        tell: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Vec<String>, StoreError> {
        let work = self.pipeline.work().ok_or_else(|| StoreError::Unwilling("the store is closed".into()))?;
        let mut done = self.rebuild_indexes(which, &work, tell)?;
        let is_wanted = match which {
            Rebuild::All => true,
            Rebuild::Degraded => false,
            Rebuild::Named(names) => names.iter().any(|name| is_beside_indexes(name)),
        };
        if is_wanted {
            let mended = self.mend_names(tell)?;
            if mended > 0 {
                tracing::warn!(mended, "names and counters of children were wrong and are put right");
            }
            done.push("names".to_owned());
        }
        Ok(done)
    }

    fn rebuild_indexes(
        &self,
        which: &Rebuild,
        work: &Sender<Work>,
        tell: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Vec<String>, StoreError> {
        let pairs = self.begin(which)?;
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let new: Vec<Arc<Index>> = pairs.iter().map(|(_, new)| Arc::clone(new)).collect();
        let filled = match fill(&self.shared, &new, work, tell) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.shared.unwilling().unwrap_or_else(changed)),
            Err(error) => Err(error),
        };
        // The set of indexes stands still until the exchange is done.
        let _held = self.builders.lock().unwrap_or_else(PoisonError::into_inner);
        let names = pairs.iter().map(|(old, _)| old.name.clone()).collect();
        let outcome = filled.and_then(|()| {
            let (sender, receiver) = bounded(1);
            let (schema, pairs) = (self.schema.current(), pairs.clone());
            let look = move |view: &View| {
                let _ = sender.send(exchange(view, &pairs, &schema));
            };
            let closed = || StoreError::Unwilling("the server is shutting down".into());
            work.send(Work::Look(Box::new(look))).map_err(|_| closed())?;
            receiver.recv().unwrap_or_else(|_| Err(closed()))
        });
        if outcome.is_err() {
            self.abandon(&pairs);
        }
        outcome.map(|()| names)
    }

    /// Puts replacements in force beside what they are to replace: from now on changes reach them.
    fn begin(&self, which: &Rebuild) -> Result<Vec<Pair>, StoreError> {
        let _held = self.builders.lock().unwrap_or_else(PoisonError::into_inner);
        let view = &self.shared.view;
        let schema = self.schema.current();
        let before = view.indexes.load_full();
        if before.indexes.iter().any(|index| index.is_replacement) {
            return Err(StoreError::Unwilling("indexes are being rebuilt already".into()));
        }
        let mut wanted: Vec<Arc<Index>> = Vec::new();
        match which {
            Rebuild::All => wanted.extend(before.indexes.iter().cloned()),
            Rebuild::Degraded => {
                wanted.extend(before.indexes.iter().filter(|index| !index.progress.is_ready()).cloned());
            }
            Rebuild::Named(names) => {
                for name in names.iter().filter(|name| !is_beside_indexes(name)) {
                    let called = before.called(name, &schema);
                    if called.is_empty() {
                        return Err(StoreError::Unwilling(format!("there is no index {name}")));
                    }
                    for index in called {
                        if !wanted.iter().any(|one| one.tree == index.tree) {
                            wanted.push(index);
                        }
                    }
                }
            }
        }
        let mut pairs = Vec::with_capacity(wanted.len());
        for old in wanted {
            let name = format!("{}.new", tree_name(&old.attribute, old.holds));
            // What an earlier attempt left holds nothing that could be trusted.
            view.store.drop_tree(view.store.tree(&name)?)?;
            let new = Arc::new(old.replacement(view.store.tree(&name)?));
            pairs.push((old, new));
        }
        let all = before.indexes.iter().chain(pairs.iter().map(|(_, new)| new)).cloned();
        view.indexes.store(Arc::new(IndexSet::of_all(all, &schema)));
        Ok(pairs)
    }

    /// Takes the replacements out of force.
    fn abandon(&self, pairs: &[Pair]) {
        let view = &self.shared.view;
        let is_new = |index: &Arc<Index>| pairs.iter().any(|(_, new)| new.tree == index.tree);
        let now = view.indexes.load_full();
        let kept = now.indexes.iter().filter(|index| !is_new(index)).cloned();
        view.indexes.store(Arc::new(IndexSet::of_all(kept, &self.schema.current())));
        for (_, new) in pairs {
            if let Err(error) = view.store.drop_tree(new.tree) {
                tracing::error!(%error, index = %new.name, "what was built of an index cannot be dropped");
            }
        }
    }
}

fn changed() -> StoreError {
    StoreError::Unwilling("the configuration has changed the indexes meanwhile; start again".into())
}

/// On the applier's thread: all replacements take their places.
fn exchange(view: &View, pairs: &[Pair], schema: &crate::schema::Schema) -> Result<(), StoreError> {
    let now = view.indexes.load_full();
    let is_there = |tree| now.indexes.iter().any(|index| index.tree == tree);
    if !pairs.iter().all(|(old, new)| is_there(old.tree) && is_there(new.tree)) {
        return Err(changed());
    }
    for (old, new) in pairs {
        view.store.replace(old.tree, new.tree)?;
        old.progress.finish();
    }
    let kept = now.indexes.iter().filter(|index| !index.is_replacement).cloned();
    view.indexes.store(Arc::new(IndexSet::of_all(kept, schema)));
    Ok(())
}
