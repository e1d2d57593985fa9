//! Keeping the store from taking changes for a while, so that what is read is one state.

use std::sync::Arc;

use crossbeam::channel::bounded;

use super::open::Backend;
use super::pipeline::{Relocation, Task};
use super::store::StoreError;

/// Keeps a store from taking changes until it is dropped ([`Backend::freeze`]).
#[derive(Debug)]
pub struct Frozen(Arc<Backend>);

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.shared.frozen.store(None);
    }
}

impl Backend {
    /// Takes no changes until the guard is dropped: they are refused with this reason. When it returns, all that were taken
    /// before are durable and visible, so what is read from then on is one consistent state. Copying forward and checkpoints
    /// go on. Not to be called from a store's thread.
    pub fn freeze(self: &Arc<Self>, reason: &str) -> Result<Frozen, StoreError> {
        self.shared.frozen.store(Some(Arc::new(reason.to_owned())));
        let frozen = Frozen(Arc::clone(self));
        // What the sequencer takes after this sees the refusal.
        if let Some(tasks) = self.pipeline.tasks() {
            let (done, reached) = bounded(1);
            let barrier = Relocation { entries: Vec::new(), wants_floor: false, done };
            if tasks.send(Task::Relocate(barrier)).is_ok()
                && let Ok(Err(error)) = reached.recv()
                && self.unwilling().is_none()
            {
                return Err(error);
            }
        }
        Ok(frozen)
    }
}
