//! Building indexes while the store serves.
//!
//! The applier feeds a new index from the moment it is in force; the builder gives the applier the keys of the entries
//! that were there before, piece by piece. The applier puts them in between groups, so that no change can slip through:
//! keys of a version that is no longer current are made anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam::channel::bounded;

use super::StoreError;
use super::index::{Index, IndexSet, Keys};
use super::index_store::EntryId;
use super::pieces;
use super::pipeline::{Sender, Shared, Work};

/// Entries of a piece.
const PIECE: usize = 256;

/// Builds the indexes and says when they are ready. Ends early when the store closes or none of them is wanted any more.
pub(crate) fn build(shared: &Shared, wanted: &[Arc<Index>], work: &Sender<Work>) {
    match fill(shared, wanted, work, &mut |_, _| true) {
        Ok(true) => {
            for index in wanted {
                if let Err(error) = shared.view.store.set_complete(index.tree, true) {
                    return tracing::error!(%error, index = %index.name, "an index cannot be marked as ready");
                }
                index.progress.finish();
                tracing::info!(index = %index.name, "index ready");
            }
        }
        Ok(false) => {}
        Err(error) => {
            wanted.iter().for_each(|index| index.progress.fail());
            tracing::error!(%error, "an index could not be built");
        }
    }
}

/// Puts the keys of all entries into indexes that are in force; `tell` hears how many of how many. False if it ended
/// early.
pub(crate) fn fill(
    shared: &Shared,
    wanted: &[Arc<Index>],
    work: &Sender<Work>,
    tell: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<bool, StoreError> {
    let view = &shared.view;
    // From here on each group feeds the new indexes: what is added later need not be visited.
    if !barrier(work) {
        return Ok(false);
    }
    let is_wanted = |set: &IndexSet| {
        let same = |index: &Arc<Index>| set.indexes.iter().any(|one| one.tree == index.tree);
        wanted.iter().any(same)
    };
    let total = view.store.entries();
    let (mut done, mut token) = (0, Some(0));
    let mut ids = Vec::new();
    while let Some(from) = token {
        ids.clear();
        token = view.store.ids(from, PIECE, &mut ids)?;
        for piece in ids.chunks(PIECE) {
            let indexes = view.indexes.load_full();
            if shared.closing.load(Ordering::Acquire) || !is_wanted(&indexes) {
                return Ok(false);
            }
            let mut chunk = Vec::with_capacity(piece.len());
            for &id in piece {
                let Some((slot, entry)) = current(shared, id)? else { continue };
                let mut keys = Keys::default();
                indexes.keys(id, &entry, &|index| wanted.iter().any(|one| one.tree == index.tree), &mut keys);
                chunk.push((id, slot.place, keys));
            }
            if work.send(Work::Index(chunk)).is_err() {
                return Ok(false);
            }
            done += piece.len() as u64;
            wanted.iter().for_each(|index| index.progress.set(done, total));
            if !tell(done, total) {
                return Ok(false);
            }
        }
    }
    Ok(barrier(work))
}

type Current = Option<(super::index_store::Slot, Arc<crate::entry::StoredEntry>)>;

/// Reads past the cache where it can: a build must not push out what is hot.
fn current(shared: &Shared, id: EntryId) -> Result<Current, StoreError> {
    let view = &shared.view;
    let Some(slot) = view.store.slot(id)? else { return Ok(None) };
    if let Some(entry) = view.cache.get(id, slot.place) {
        return Ok(Some((slot, entry)));
    }
    match pieces::read(&view.log, slot.place) {
        Ok(entry) => Ok(Some((slot, Arc::new(entry)))),
        Err(_) => view.current(id),
    }
}

/// Waits until everything handed to the applier so far is applied; false if it has stopped.
fn barrier(work: &Sender<Work>) -> bool {
    let (reached, wait) = bounded(1);
    work.send(Work::Barrier(reached)).is_ok() && wait.recv().is_ok()
}
