//! What keeps the log small while the store serves: the purge's thread and the compactor's, and the doors to both.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::compact::{Compacted, Compactor};
use super::open::Backend;
use super::pipeline::{Pipeline, Shared};
use super::purge::{PurgeHold, Purged, Purger};
use super::space::SegmentUse;
use super::store::StoreError;

/// The compactor looks once for so many rounds of the purge.
const ROUNDS: u32 = 5;

/// Purge and compaction, and their threads; each ends when its sender goes.
pub(crate) struct Upkeep {
    pub(crate) purger: Arc<Purger>,
    pub(crate) compactor: Arc<Compactor>,
    threads: Vec<(Sender<()>, std::thread::JoinHandle<()>)>,
}

impl Upkeep {
    /// Starts the threads; with an interval of zero there are none.
    pub(crate) fn start(
        shared: Arc<Shared>,
        purger: Purger,
        pipeline: &Pipeline,
        interval: Duration,
    ) -> Result<Self, StoreError> {
        let purger = Arc::new(purger);
        let compactor = Arc::new(Compactor::new(shared, Arc::clone(&purger)));
        let mut upkeep = Self { purger, compactor, threads: Vec::new() };
        if let Some(tasks) = pipeline.tasks().filter(|_| !interval.is_zero()) {
            let purger = Arc::clone(&upkeep.purger);
            upkeep.spawn("purger", move |stopped| purger.run(&tasks, interval, stopped))?;
            let compactor = Arc::clone(&upkeep.compactor);
            upkeep.spawn("compactor", move |stopped| compactor.run(interval * ROUNDS, stopped))?;
        }
        Ok(upkeep)
    }

    fn spawn(
        &mut self,
        name: &str,
        run: impl FnOnce(&Receiver<()>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let (stops, stopped) = bounded(1);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&stopped))
            .map_err(|error| StoreError::Io(error.to_string()))?;
        self.threads.push((stops, thread));
        Ok(())
    }

    /// Ends the threads.
    pub(crate) fn end(&mut self) {
        let (stops, threads): (Vec<_>, Vec<_>) = self.threads.drain(..).unzip();
        drop(stops);
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.end();
    }
}

impl Backend {
    /// A round of the purge now, as fast as it goes: looks at the room, copies forward and drops what may go.
    pub fn purge(&self) -> Result<Purged, StoreError> {
        let closed = || StoreError::Unwilling("the store is closed".into());
        let purger = Arc::clone(&self.upkeep().purger);
        purger.round(&self.pipeline.tasks().ok_or_else(closed)?, &|_| true)
    }

    /// A round of compaction now, as fast as it goes: writes anew without their dead records the closed segments that are
    /// old enough and have enough of these.
    pub fn compact(&self) -> Result<Compacted, StoreError> {
        let compactor = Arc::clone(&self.upkeep().compactor);
        compactor.round(&|_| true)
    }

    /// Keeps all segments of the log, and their files as they are, until the hold is dropped: for backups.
    pub fn hold_purge(&self) -> PurgeHold {
        let purger = Arc::clone(&self.upkeep().purger);
        purger.hold()
    }

    /// The log's segments and what is live in them, oldest first.
    pub fn segments(&self) -> Vec<SegmentUse> {
        self.upkeep().purger.segments()
    }

    pub(super) fn upkeep(&self) -> std::sync::MutexGuard<'_, Upkeep> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
