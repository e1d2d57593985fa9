//! The store that a server serves, behind a door by which another one takes its place while it runs.
//!
//! Import and restore do not change the data entry by entry: they make a whole new data directory beside the old one and
//! then exchange the two. [`DataStore::begin_replacement`] gives them the place to make it, and keeps the store from taking
//! changes meanwhile, since those would be lost; [`Replacement::finish`] exchanges directories and stores. Whoever holds the
//! [`DataStore`] goes on with the new one; what is under way on the old one ends there.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::freeze::Frozen;
use super::open::{Backend, BackendOptions};
use super::space::SpaceSettings;
use super::store::{
    Candidates, Change, ChangeListener, IndexConfig, PlanReport, Query, Reading, Resume, StoreError,
    Subscription, TokenStore,
};
use crate::entry::StoredEntry;
use crate::log::Durability;
use crate::log::disk::directory;
use crate::schema::NormalizedDn;

struct Listening {
    number: u64,
    listener: Arc<dyn ChangeListener>,
    /// At the store that serves.
    _subscription: Subscription,
}

/// The store that serves now. Each call costs one atomic load more than the [`Backend`]'s own.
pub struct DataStore {
    /// As it is opened; indexes and space as they were set last.
    options: Mutex<BackendOptions>,
    current: ArcSwap<Backend>,
    listeners: Arc<Mutex<Vec<Listening>>>,
    next_listener: AtomicU64,
    generation: AtomicU64,
    is_replacing: AtomicBool,
}

impl std::fmt::Debug for DataStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataStore").field("current", &self.current.load()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DataStore {
    /// Opens the store in the options' directory, as [`Backend::open`] does; a replacement that a crash interrupted is
    /// finished or undone before.
    pub fn open(options: BackendOptions) -> Result<Arc<Self>, StoreError> {
        directory::settle_replacement(&options.directory)
            .map_err(|error| StoreError::Io(format!("{}: {error}", options.directory.display())))?;
        let backend = Arc::new(Backend::open(&options)?);
        Ok(Self::over(backend, options))
    }

    /// Serves a store that is open already, with the options that it was opened with.
    pub fn over(backend: Arc<Backend>, options: BackendOptions) -> Arc<Self> {
        Arc::new(Self {
            options: Mutex::new(options),
            current: ArcSwap::new(backend),
            listeners: Arc::default(),
            next_listener: AtomicU64::new(1),
            generation: AtomicU64::new(0),
            is_replacing: AtomicBool::new(false),
        })
    }

    /// The store that serves now. To be asked for anew for each piece of work: it may be another one afterwards.
    pub fn current(&self) -> Arc<Backend> {
        self.current.load_full()
    }

    /// What the store is opened with, with the indexes and thresholds in force.
    pub fn options(&self) -> BackendOptions {
        lock(&self.options).clone()
    }

    /// Begins to replace all the data. From now on until the replacement is finished or dropped changes are refused with
    /// `reason`; those taken before are visible when this returns. Reading goes on, and [`Self::current`] is one consistent
    /// state. Refused if a replacement is under way. Not to be called from a store's thread.
    pub fn begin_replacement(self: &Arc<Self>, reason: &str) -> Result<Replacement, StoreError> {
        if self.is_replacing.swap(true, Ordering::AcqRel) {
            return Err(StoreError::Unwilling("the data is being replaced already".into()));
        }
        let begun = self.begin(reason);
        if begun.is_err() {
            self.is_replacing.store(false, Ordering::Release);
        }
        begun
    }

    fn begin(self: &Arc<Self>, reason: &str) -> Result<Replacement, StoreError> {
        let directory = self.options().directory;
        let staging = directory::begin_replacement(&directory).map_err(cannot_replace)?;
        let old = self.current();
        let frozen = match old.freeze(reason) {
            Ok(frozen) => frozen,
            Err(error) => {
                let _ = directory::discard_replacement(&directory);
                return Err(error);
            }
        };
        Ok(Replacement { store: Arc::clone(self), old, directory, staging, _frozen: frozen })
    }

    /// Puts another store in the place of the one that serves.
    fn put(&self, new: &Arc<Backend>) {
        let mut listening = lock(&self.listeners);
        // Before any client sees the new content: access control is made from it.
        listening.iter().for_each(|one| one.listener.replacing(&**new));
        for one in listening.iter_mut() {
            one._subscription = new.subscribe(Arc::clone(&one.listener));
        }
        self.current.store(Arc::clone(new));
        self.generation.fetch_add(1, Ordering::AcqRel);
        let listeners: Vec<_> = listening.iter().map(|one| Arc::clone(&one.listener)).collect();
        drop(listening);
        listeners.iter().for_each(|listener| listener.replaced());
    }
}

fn cannot_replace(error: std::io::Error) -> StoreError {
    StoreError::Io(format!("the data's directory cannot be replaced: {error}"))
}

/// Data on its way to take the place of what is served. Dropped without [`Self::finish`], it leaves everything as it was.
pub struct Replacement {
    store: Arc<DataStore>,
    old: Arc<Backend>,
    directory: PathBuf,
    staging: PathBuf,
    _frozen: Frozen,
}

impl std::fmt::Debug for Replacement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replacement").field("staging", &self.staging).finish_non_exhaustive()
    }
}

impl Replacement {
    /// The directory, empty at first, in which the new data is to be made. It must be complete, closed and durable before
    /// [`Self::finish`].
    pub fn staging(&self) -> &Path {
        &self.staging
    }

    /// The store that is to be replaced; takes no changes.
    pub fn old(&self) -> &Arc<Backend> {
        &self.old
    }

    /// Exchanges the directories, opens the new data and lets it serve; the old data is removed. After a crash at any point
    /// either the old or the new data is there, whole. If the new data cannot be opened, the old serves again.
    ///
    /// Searches and changes that have begun end on the old store; persistent searches are ended with a result; cookies of
    /// paged searches are refused from now on.
    pub fn finish(self) -> Result<Arc<Backend>, StoreError> {
        let options = self.store.options();
        self.old.retire();
        let exchanged = directory::exchange_replacement(&self.directory).map_err(cannot_replace);
        let error = match exchanged.map(|()| Backend::open(&options)) {
            Ok(Ok(new)) => {
                let new = Arc::new(new);
                self.store.put(&new);
                // What was configured while it was opened.
                let now = self.store.options();
                if now.indexes != options.indexes {
                    new.set_indexes(now.indexes);
                }
                new.set_space(now.space);
                new.set_durability(now.durability);
                return Ok(new);
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the new data cannot be opened; the old is taken again");
                directory::exchange_replacement(&self.directory).map_err(cannot_replace)?;
                error
            }
            Err(error) => error,
        };
        let old = Backend::open(&options).inspect_err(|error| {
            tracing::error!(%error, "the data cannot be opened again: it can be read, but not changed");
        })?;
        self.store.put(&Arc::new(old));
        Err(error)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Err(error) = directory::discard_replacement(&self.directory) {
            tracing::warn!(%error, "what was replaced cannot be removed; the next start does it");
        }
        self.store.is_replacing.store(false, Ordering::Release);
    }
}

impl TokenStore for DataStore {
    fn suffixes(&self) -> Vec<(String, NormalizedDn)> {
        self.current.load().suffixes()
    }

    fn get(&self, dn: &NormalizedDn) -> Result<Option<Arc<StoredEntry>>, StoreError> {
        self.current.load().get(dn)
    }

    fn glance(&self, dn: &NormalizedDn) -> Result<Option<Option<Arc<StoredEntry>>>, StoreError> {
        self.current.load().glance(dn)
    }

    fn read_beside(&self, reading: Reading, job: Box<dyn FnOnce() + Send>) {
        self.current.load().read_beside(reading, job);
    }

    fn deepest(&self, dn: &NormalizedDn) -> String {
        self.current.load().deepest(dn)
    }

    fn children(&self, dn: &NormalizedDn) -> u64 {
        self.current.load().children(dn)
    }

    fn entries(&self) -> u64 {
        self.current.load().entries()
    }

    fn plan(&self, query: &Query) -> PlanReport {
        self.current.load().plan(query)
    }

    fn open(
        &self,
        query: &Query,
        resume: Option<&Resume>,
    ) -> Result<Option<Box<dyn Candidates>>, StoreError> {
        TokenStore::open(&**self.current.load(), query, resume)
    }

    fn submit(&self, change: Change) {
        self.current.load().submit(change);
    }

    fn is_crowded(&self) -> bool {
        self.current.load().is_crowded()
    }

    fn subscribe(&self, listener: Arc<dyn ChangeListener>) -> Subscription {
        let number = self.next_listener.fetch_add(1, Ordering::Relaxed);
        let mut listening = lock(&self.listeners);
        let subscription = self.current.load().subscribe(Arc::clone(&listener));
        listening.push(Listening { number, listener, _subscription: subscription });
        let listeners = Arc::downgrade(&self.listeners);
        Subscription::new(move || {
            let Some(listeners) = listeners.upgrade() else { return };
            lock(&listeners).retain(|one| one.number != number);
        })
    }

    fn writable(&self, is_root: bool, is_delete: bool) -> Result<(), StoreError> {
        self.current.load().writable(is_root, is_delete)
    }

    fn set_space(&self, settings: SpaceSettings) {
        lock(&self.options).space = settings;
        self.current.load().set_space(settings);
    }

    fn set_durability(&self, durability: Durability) {
        lock(&self.options).durability = durability;
        self.current.load().set_durability(durability);
    }

    fn last_sequence(&self) -> u64 {
        self.current.load().last_sequence()
    }

    fn set_indexes(&self, indexes: Vec<IndexConfig>) {
        lock(&self.options).indexes.clone_from(&indexes);
        self.current.load().set_indexes(indexes);
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn index_states(&self) -> Vec<(String, String)> {
        self.current.load().index_states()
    }

    fn value_counts(&self, attribute: &str) -> Option<Vec<(String, u64)>> {
        self.current.load().value_counts(attribute)
    }
}
