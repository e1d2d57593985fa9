//! A store of entries on a directory: opening, serving, closing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::build::build;
use super::checkpoint::Checkpoints;
use super::damage::{self, Loss};
use super::execute::Executor;
use super::index::Index;
use super::index_store::SharedStore;
use super::life::Life;
use super::pipeline::{Pipeline, Shared};
use super::progress::StartProgress;
use super::purge::Purger;
use super::space::{Pressure, SpaceSettings};
use super::start::{Started, start};
use super::store::{IndexConfig, StoreError};
use super::upkeep::Upkeep;
use crate::changelog::ReplicaId;
use crate::clock::Clock;
use crate::config::IndexStoreKind;
use crate::log::{Disk, Durability, LogStats, OsDisk, Recovered};
use crate::schema::SchemaStore;

/// How a store is opened.
#[derive(Clone)]
pub struct BackendOptions {
    /// The directory of the data (`db`); made with mode 0700 if it is not there.
    pub directory: PathBuf,
    /// Base DNs.
    pub suffixes: Vec<String>,
    /// The indexes; later ones come by [`TokenStore::set_indexes`](super::TokenStore::set_indexes).
    pub indexes: Vec<IndexConfig>,
    /// When a change is acknowledged.
    pub durability: Durability,
    /// Octets of entries kept in memory.
    pub cache_bytes: usize,
    /// Octets of a log segment: a multiple of 4096; bounds the largest change.
    pub segment_bytes: u32,
    /// Log segments kept ready by a thread, 2 by default; with 0 there is none, and each is made when it is needed.
    pub spare_segments: usize,
    /// When segments go and writes are refused; later [`TokenStore::set_space`](super::TokenStore::set_space).
    pub space: SpaceSettings,
    /// Changes that may wait to be made; more are refused as busy.
    pub queue_capacity: usize,
    /// Time between rounds of the purge, 1 s by default; zero: there is no thread, only [`Backend::purge`].
    pub purge_interval: Duration,
    /// This server's replica id, not 0.
    pub replica: u16,
    /// Where the view's trees live.
    pub index_store: IndexStoreKind,
    /// Octets that the log grows by, at least, between two checkpoints of trees in memory; 0 takes none, not even when
    /// the store is closed.
    pub checkpoint_bytes: u64,
    /// Told how far a start is, at each tenth of its phases, from several threads.
    pub on_progress: Option<Arc<dyn Fn(StartProgress) + Send + Sync>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The schema, for names and index keys.
    pub schema: Arc<SchemaStore>,
}

impl BackendOptions {
    /// The defaults: acknowledged means on disk, 256 MiB of cache, a checkpoint each 256 MiB, 10,000 changes may wait,
    /// replica 1, no indexes, trees in memory.
    pub fn new(
        directory: impl Into<PathBuf>,
        suffixes: Vec<String>,
        clock: Arc<dyn Clock>,
        schema: Arc<SchemaStore>,
    ) -> Self {
        Self {
            directory: directory.into(),
            suffixes,
            indexes: Vec::new(),
            durability: Durability::Group,
            cache_bytes: 256 << 20,
            segment_bytes: 64 << 20,
            spare_segments: 2,
            space: SpaceSettings::default(),
            queue_capacity: 10_000,
            purge_interval: Duration::from_secs(1),
            replica: 1,
            index_store: IndexStoreKind::Memory,
            checkpoint_bytes: 256 << 20,
            on_progress: None,
            clock,
            schema,
        }
    }
}

impl std::fmt::Debug for BackendOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendOptions")
            .field("directory", &self.directory)
            .field("suffixes", &self.suffixes)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

/// What the store counts, for `cn=monitor`.
#[derive(Debug, Clone, Default)]
pub struct BackendStats {
    /// Entries.
    pub entries: u64,
    /// Changes applied since the start.
    pub changes: u64,
    /// Changes refused by a check.
    pub refused: u64,
    /// Groups committed.
    pub groups: u64,
    /// Changes that wait for the sequencer, or for their entries to be read.
    pub waiting: u64,
    /// Reads answered from the cache.
    pub cache_hits: u64,
    /// Reads that went to the log.
    pub cache_misses: u64,
    /// Octets of entries in the cache.
    pub cache_bytes: u64,
    /// Octets that the cache may hold.
    pub cache_limit: u64,
    /// Octets of the log that live entries take.
    pub live_octets: u64,
    /// Entries copied forward since the start.
    pub moved: u64,
    /// Octets of these.
    pub moved_octets: u64,
    /// How short the room on the disk is.
    pub pressure: Pressure,
    /// Octets of the log's files that are in it.
    pub file_octets: u64,
    /// Segments in the log that are compacted.
    pub compacted: u64,
    /// How long changes are kept effectively: the purge delay, unless room is short.
    pub effective_purge_delay: Duration,
    /// When segments go, are compacted, and writes are refused.
    pub space: SpaceSettings,
    /// Syncs a second, over the last ten seconds.
    pub syncs_per_second: f64,
    /// Records of a group, over the last ten seconds.
    pub group_size: f64,
    /// When a change is acknowledged.
    pub durability: Durability,
    /// The log's counters.
    pub log: LogStats,
}

/// The store: the log, the view of it in memory, and the threads that make changes. Dropping it closes it.
pub struct Backend {
    pub(super) shared: Arc<Shared>,
    pub(super) pipeline: Pipeline,
    pub(super) checkpoints: Option<Checkpoints>,
    /// Purge and compaction.
    pub(super) upkeep: Mutex<Upkeep>,
    pub(super) schema: Arc<SchemaStore>,
    recovered: Recovered,
    pub(super) loss: Loss,
    dataset_id: [u8; 16],
    pub(super) replica: ReplicaId,
    pub(super) life: Life,
    pub(super) next_listener: AtomicU64,
    /// Held while the set of indexes changes; the builders' threads.
    pub(super) builders: Mutex<Vec<std::thread::JoinHandle<()>>>,
    is_closed: AtomicBool,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").field("entries", &self.shared.view.store.entries()).finish_non_exhaustive()
    }
}

impl Backend {
    /// Opens the store in a directory, or begins one: the log is replayed and the view is made of what is left.
    ///
    /// Fails if the log belongs to another data set or another version, or cannot be read. A log with damaged records
    /// opens, but takes no writes; [`Self::recovered`] says what is lost.
    pub fn open(options: &BackendOptions) -> Result<Self, StoreError> {
        let disk = |directory: PathBuf| {
            OsDisk::create(&directory)
                .map_err(|error| StoreError::Io(format!("cannot make {}: {error}", directory.display())))
        };
        let home = disk(options.directory.clone())?;
        let log = disk(options.directory.join("log"))?;
        Self::open_on(Arc::new(home), Arc::new(log), options)
    }

    /// Opens the store on given disks: one for the data-set id and the checkpoints, one for the log. Trees on disk are in
    /// the options' directory all the same.
    pub fn open_on(
        home: Arc<dyn Disk>,
        log: Arc<dyn Disk>,
        options: &BackendOptions,
    ) -> Result<Self, StoreError> {
        Self::open_over(home, log, None, options)
    }

    /// As [`Self::open_on`], with the trees in a given store, whatever the options say. If that holds something that does
    /// not fit the log, it is dropped, and the trees are as the options say.
    pub fn open_over(
        home: Arc<dyn Disk>,
        log: Arc<dyn Disk>,
        store: Option<SharedStore>,
        options: &BackendOptions,
    ) -> Result<Self, StoreError> {
        let Started { view, writer, recovered, start, dataset_id, life, taker, unbuilt, loss } =
            start(&home, &log, options, store)?;
        let shared = Arc::new(Shared::new(Arc::clone(&view)));
        if let Some(reason) = damage::tell(&recovered, &loss) {
            shared.poison(reason);
        }
        let checkpoints = taker.map(|taker| Checkpoints::start(taker, Arc::clone(&view)));
        let newest = start.csns.last().ms();
        let replica = start.csns.origin().replica;
        let purger = Purger::new(Arc::clone(&shared), Arc::clone(&options.clock), options.space, newest);
        if view.store.entries() > 0 {
            view.cache.begins_cold();
        }
        let executor = Executor::new(view, Arc::clone(&options.clock), start);
        let pipeline = Pipeline::start(Arc::clone(&shared), executor, writer, options.queue_capacity)?;
        let upkeep = Upkeep::start(Arc::clone(&shared), purger, &pipeline, options.purge_interval)?;
        let backend = Self {
            shared,
            pipeline,
            checkpoints,
            upkeep: Mutex::new(upkeep),
            schema: Arc::clone(&options.schema),
            recovered,
            loss,
            dataset_id,
            replica,
            life,
            next_listener: AtomicU64::new(1),
            builders: Mutex::new(Vec::new()),
            is_closed: AtomicBool::new(false),
        };
        let mut builders = backend.builders.lock().unwrap_or_else(PoisonError::into_inner);
        backend.build(unbuilt, &mut builders);
        drop(builders);
        Ok(backend)
    }

    /// Builds indexes in the background.
    pub(super) fn build(&self, wanted: Vec<Arc<Index>>, builders: &mut Vec<std::thread::JoinHandle<()>>) {
        let Some(work) = self.pipeline.work().filter(|_| !wanted.is_empty()) else { return };
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("index-build".to_owned())
            .spawn(move || build(&shared, &wanted, &work));
        match thread {
            Ok(thread) => builders.push(thread),
            Err(error) => tracing::error!(%error, "no thread to build indexes"),
        }
    }

    /// Takes a checkpoint now, while the store serves: the next start reads it and the log after it. Gives the sequence up
    /// to which it holds everything; none if there is nothing new, if the trees are not in memory, or if none are to
    /// be taken.
    pub fn checkpoint(&self) -> Result<Option<u64>, StoreError> {
        self.checkpoints.as_ref().map_or(Ok(None), |checkpoints| checkpoints.take())
    }

    /// What opening found in the log.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The identity of the data set.
    pub fn dataset_id(&self) -> [u8; 16] {
        self.dataset_id
    }

    /// Why the store takes no writes, if it takes none.
    pub fn unwilling(&self) -> Option<StoreError> {
        self.shared.unwilling()
    }

    /// The counters.
    pub fn stats(&self) -> BackendStats {
        let view = &self.shared.view;
        let counters = &self.shared.counters;
        let (cache_hits, cache_misses, cache_bytes) = view.cache.counts();
        let log = view.log.stats();
        let segments = view.log.segments();
        let (effective_purge_delay, space) = {
            let upkeep = self.upkeep();
            (upkeep.purger.effective_delay(), upkeep.purger.settings())
        };
        let (syncs_per_second, group_size) = counters.rates.since(view.clock.monotonic(), &log);
        BackendStats {
            entries: view.store.entries(),
            changes: counters.changes.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            groups: counters.groups.load(Ordering::Relaxed),
            waiting: self.pipeline.waiting() as u64,
            cache_hits,
            cache_misses,
            cache_bytes,
            cache_limit: view.cache.limit(),
            live_octets: view.space.all().values().map(|live| live.octets).sum(),
            moved: counters.moved.load(Ordering::Relaxed),
            moved_octets: counters.moved_octets.load(Ordering::Relaxed),
            pressure: self.shared.pressure(),
            file_octets: segments.iter().map(|segment| segment.size).sum(),
            compacted: segments.iter().filter(|segment| segment.compacted.is_some()).count() as u64,
            effective_purge_delay,
            space,
            syncs_per_second,
            group_size,
            durability: view.log.durability(),
            log,
        }
    }

    /// Octets of memory by tree; walks all trees.
    pub fn memory(&self) -> Vec<(String, u64)> {
        self.shared.view.store.memory()
    }

    /// Refuses new changes, executes and acknowledges those that wait, syncs the log, ends the threads and takes a checkpoint.
    /// Reading goes on.
    pub fn close(&self) {
        self.end(true);
    }

    /// As [`Self::close`], without a checkpoint: for a store whose files are about to go.
    pub fn retire(&self) {
        self.end(false);
    }

    fn end(&self, wants_checkpoint: bool) {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.shared.closing.store(true, Ordering::Release);
        let builders = std::mem::take(&mut *self.builders.lock().unwrap_or_else(PoisonError::into_inner));
        for builder in builders {
            let _ = builder.join();
        }
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner).end();
        let has_ended = self.pipeline.close();
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.end();
            if wants_checkpoint && has_ended && self.shared.poison.load().is_none() {
                let _ = checkpoints.take();
            }
        }
        if has_ended && let Err(error) = self.shared.view.store.flush() {
            tracing::warn!(%error, "the index store could not be flushed");
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.close();
    }
}
