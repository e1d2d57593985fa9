//! Counting the children of a large container in pieces.

use std::sync::{Mutex, PoisonError};

use super::COUNTED_AT_ONCE;
use super::check::{Miscount, miscounted};
use crate::backend::StoreError;
use crate::backend::index_store::{EntryId, Visit};
use crate::backend::store::{ChangeListener, Committed};
use crate::backend::view::{View, parent_key};
use crate::schema::NormalizedDn;

/// How many children a large container has, while they come and go.
pub(super) struct Tally {
    /// The container's key.
    parent: Vec<u8>,
    state: Mutex<TallyState>,
}

#[derive(Default)]
struct TallyState {
    /// The last name counted: parent's id and RDN key.
    last: Option<Vec<u8>>,
    counted: u64,
}

impl Tally {
    /// Nothing counted yet below the entry of this key.
    pub(super) fn of(parent: &[u8]) -> Self {
        Self { parent: parent.to_vec(), state: Mutex::default() }
    }

    /// Counts the next piece; once there is none left, gives the verdict. On the applier's thread.
    pub(super) fn go_on(&self, view: &View, id: EntryId) -> Result<Option<Option<Miscount>>, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let end = EntryId(id.0.saturating_add(1)).to_bytes();
        let mut from = state.last.clone().unwrap_or_else(|| id.to_bytes().to_vec());
        if state.last.is_some() {
            from.push(0);
        }
        let (mut piece, mut last) = (0, None);
        view.store.range(view.names, &from, Some(&end), &mut |key, _| {
            piece += 1;
            last = (piece == COUNTED_AT_ONCE).then(|| key.to_vec());
            if last.is_none() { Visit::Continue } else { Visit::Stop }
        })?;
        state.counted += piece;
        if last.is_some() {
            state.last = last;
            return Ok(None);
        }
        let Some(slot) = view.store.slot(id)? else { return Ok(Some(None)) };
        Ok(Some(miscounted(view, id, &slot, state.counted)))
    }

    /// Whether a name is one of those counted already.
    fn is_counted(&self, state: &TallyState, name: &NormalizedDn) -> bool {
        let name = name.as_bytes();
        let rdn = name.get(self.parent.len()..).unwrap_or_default();
        parent_key(name) == self.parent
            && state.last.as_deref().and_then(|last| last.get(8..)).is_some_and(|last| rdn <= last)
    }
}

impl ChangeListener for Tally {
    fn applied(&self, changes: &[Committed]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let moves = change.new_key.is_some();
            if change.before.is_some()
                && (change.after.is_none() || moves)
                && self.is_counted(&state, &change.key)
            {
                state.counted = state.counted.saturating_sub(1);
            }
            let name = change.new_key.as_ref().unwrap_or(&change.key);
            if change.after.is_some() && (change.before.is_none() || moves) && self.is_counted(&state, name) {
                state.counted += 1;
            }
        }
    }

    fn wants_notices(&self) -> bool {
        false
    }

    fn notify(&self, _change: &Committed) {}
}
