//! Making the tree of names and the counters of children agree with the entries, while the store serves.
//!
//! What is found wrong is looked at again and put right by the applier, between two groups. A counter goes by the way of
//! a copy of its entry, since the sequencer has its own idea of it while changes are under way: both get the difference.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, bounded};

use super::{PIECE, Run, check_name, name_of_entry, piece_of, read, shutting_down};
use crate::backend::StoreError;
use crate::backend::execute::Copied;
use crate::backend::index_store::{Batch, EntryId};
use crate::backend::open::Backend;
use crate::backend::pipeline::{Relocation, Task};
use crate::backend::view::View;
use crate::schema::Schema;

/// How often a counter is tried that changes while it is counted.
const TRIES: usize = 10;
/// How long a wait for the store's threads goes before a look whether the store closes.
const LOOK: Duration = Duration::from_millis(50);

impl Backend {
    /// Puts missing names in, takes stray ones out, and sets counters of children right. Gives back how many were wrong.
    /// An entry that is not below the one its DN says stays as it is, and so does one that cannot be read.
    pub(in crate::backend) fn mend_names(
        &self,
        tell: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<u64, StoreError> {
        let mut tell = |_: &str, done, total| tell(done, total);
        let mut run = Run::of(self, &mut tell)?;
        Ok(run.mend_entries()? + run.mend_strays()? + run.mend_counters()?)
    }
}

impl Run<'_> {
    fn ids(&self, token: &mut Option<u64>, ids: &mut Vec<EntryId>) -> Result<bool, StoreError> {
        self.goes_on()?;
        ids.clear();
        let Some(from) = *token else { return Ok(false) };
        *token = self.view.store.ids(from, PIECE, ids)?;
        Ok(true)
    }

    fn mend_entries(&mut self) -> Result<u64, StoreError> {
        let (total, mut done, mut mended) = (self.view.store.entries(), 0, 0);
        let (mut token, mut ids) = (Some(0), Vec::new());
        while self.ids(&mut token, &mut ids)? {
            let schema = self.schema.current();
            for &id in &ids {
                if name(self.view, &schema, id)? != Name::Missing {
                    continue;
                }
                let schema = Arc::clone(&schema);
                mended += self.look(move |view| put_name(view, &schema, id))?;
            }
            done += ids.len() as u64;
            self.tell("names", done, total.max(done))?;
        }
        Ok(mended)
    }

    fn mend_strays(&mut self) -> Result<u64, StoreError> {
        let (schema, mut after, mut mended) = (self.schema.current(), Vec::new(), 0);
        loop {
            self.goes_on()?;
            let piece = piece_of(self.view, self.view.names, &after, None)?;
            let Some((last, _)) = piece.last() else { return Ok(mended) };
            after.clone_from(last);
            after.push(0);
            for (key, _) in piece {
                if check_name(self.view, &schema, &key)?.is_none() {
                    continue;
                }
                let schema = Arc::clone(&schema);
                mended += self.look(move |view| {
                    if check_name(view, &schema, &key)?.is_none() {
                        return Ok(0);
                    }
                    let mut batch = Batch::new();
                    batch.remove(view.names, &key);
                    view.store.apply(&batch)?;
                    view.forget_names();
                    Ok(1)
                })?;
            }
        }
    }

    fn mend_counters(&mut self) -> Result<u64, StoreError> {
        let (mut token, mut ids, mut mended) = (Some(0), Vec::new(), 0);
        while self.ids(&mut token, &mut ids)? {
            for &id in &ids {
                mended += u64::from(self.mend_counter(id)?);
            }
        }
        Ok(mended)
    }

    fn mend_counter(&self, id: EntryId) -> Result<bool, StoreError> {
        for turn in 0..TRIES {
            let Some(miscount) = self.miscount_if_wrong(id)? else { return Ok(turn > 0) };
            let Some((slot, entry)) = read(self.view, id)? else { return Ok(false) };
            let copied = Copied { id, from: slot.place, entry, children: miscount.by };
            self.relocate(copied)?;
        }
        Ok(false)
    }

    fn relocate(&self, copied: Copied) -> Result<(), StoreError> {
        let (done, answer) = bounded(1);
        let tasks = self.backend.pipeline.tasks().ok_or_else(shutting_down)?;
        let relocation = Relocation { entries: vec![copied], wants_floor: false, done };
        tasks.send(Task::Relocate(relocation)).map_err(|_| shutting_down())?;
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(answer) => return answer.map(drop),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(error) = self.shared.unwilling() {
                        return Err(error);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(shutting_down()),
            }
        }
    }
}

/// Where an entry's name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// To the entry, or rightly to another, or the entry cannot be read.
    Right,
    /// Nowhere, or to an entry of another name.
    Missing,
}

fn name(view: &View, schema: &Schema, id: EntryId) -> Result<Name, StoreError> {
    let Ok(Some((slot, entry))) = read(view, id) else { return Ok(Name::Right) };
    let Some(name) = name_of_entry(&slot, &entry, schema) else { return Ok(Name::Right) };
    let mut named = None;
    view.store.get(view.names, &name, &mut |value| named = EntryId::from_tail(value))?;
    match named {
        Some(other) if other == id || check_name(view, schema, &name)?.is_none() => Ok(Name::Right),
        _ => Ok(Name::Missing),
    }
}

fn put_name(view: &View, schema: &Schema, id: EntryId) -> Result<u64, StoreError> {
    if name(view, schema, id)? != Name::Missing {
        return Ok(0);
    }
    let Some((slot, entry)) = read(view, id)? else { return Ok(0) };
    let Some(name) = name_of_entry(&slot, &entry, schema) else { return Ok(0) };
    let mut batch = Batch::new();
    batch.put(view.names, &name, &id.to_bytes());
    view.store.apply(&batch)?;
    view.forget_names();
    Ok(1)
}
