//! The way of a change: the sequencer executes it, the logger makes its group durable, the sequencer makes the view show
//! it and answers, the notifier tells persistent searches.
//!
//! The sequencer executes changes and gathers a group for as long as the logger is busy: the running sync is the timer.
//! When a group is durable, the next one goes to the logger first; then the view is made to show it, listeners are told,
//! and it is acknowledged. So acknowledged means durable and visible. A refusal is answered in its place behind the
//! changes it may have seen. A small group that nothing waits behind is written by the sequencer itself, which saves
//! two hand-overs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use crossbeam::channel::{SendError, TrySendError};

use super::apply::{Applier, Notices, notify_groups};
use super::execute::{Copied, Effect, Executor, Extra};
pub(crate) use super::inbox::Sender;
use super::inbox::{Belt, Inbox};
use super::index::Keys;
use super::index_store::EntryId;
use super::parked::{Parked, Turn};
use super::readers::Readers;
use super::sequencer::{Sequencer, log_groups};
pub(crate) use super::shared::Shared;
use super::shared::is_delete;
use super::store::{Change, ChangeError, ChangeKind, Committed, Reading, StoreError};
use super::view::View;
use crate::log::{Group, Place, RecordPlace, Writer};

/// Groups that may wait to be notified; behind that the sequencer waits.
const NOTIFIED_GROUPS: usize = 256;

pub(crate) type Done = Box<dyn FnOnce(Result<Committed, ChangeError>) + Send>;

/// What to tell the submitter of a change.
pub(crate) enum Told {
    /// The effect of this number.
    Effect(usize),
    /// This.
    Result(Result<Committed, ChangeError>),
}

/// A group on its way to the disk.
pub(crate) struct Executed {
    pub(super) number: u64,
    pub(super) group: Group,
    pub(super) effects: Vec<Effect>,
    pub(super) extras: Vec<Extra>,
    pub(super) answers: Vec<(Told, Done)>,
    pub(super) asks: Vec<Asked>,
}

/// A group that is durable, or that failed.
pub(crate) struct Landed {
    pub(super) executed: Executed,
    /// Where the records are, or why they are nowhere.
    pub(super) places: Result<Vec<RecordPlace>, StoreError>,
}

/// Who is told the sequence that the view shows.
pub(crate) type Asked = crossbeam::channel::Sender<Result<u64, StoreError>>;

/// What is done between two groups, in order.
pub(crate) enum Work {
    /// Keys for indexes that are being built: id, place of the version they were made from, keys.
    Index(Vec<(EntryId, Place, Keys)>),
    /// Tells that everything before is applied.
    Barrier(crossbeam::channel::Sender<()>),
    /// Done when the view's trees agree with each other. Must be quick.
    Look(Box<dyn FnOnce(&View) + Send>),
}

/// What the sequencer is given to do.
pub(crate) enum Task {
    /// A change.
    Change(Change),
    /// Entries to be copied forward.
    Relocate(Relocation),
}

/// Entries to be copied forward, those of them that still are where they were read.
pub(crate) struct Relocation {
    pub(crate) entries: Vec<Copied>,
    /// Whether a floor is to follow.
    pub(crate) wants_floor: bool,
    /// Told the sequence that the view shows, when it shows the copies, or why there are none.
    pub(crate) done: Asked,
}

/// Tells a submitter; a panic of the callback is logged and no more.
pub(crate) fn tell(done: Done, result: Result<Committed, ChangeError>) {
    if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        tracing::error!("the callback of a change panicked");
    }
}

/// The threads and the way in.
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    tasks: ArcSwapOption<Sender<Task>>,
    work: ArcSwapOption<Sender<Work>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    parked: Arc<Parked>,
    pub(crate) readers: Readers,
    /// Changes that may wait; more are refused as busy.
    capacity: usize,
    /// Some were refused, and there has not been clearly more room since.
    is_full: AtomicBool,
}

impl Pipeline {
    /// Starts the threads. So many changes may wait.
    pub(crate) fn start(
        shared: Arc<Shared>,
        executor: Executor,
        writer: Writer,
        capacity: usize,
    ) -> Result<Self, StoreError> {
        let inbox = Arc::new(Inbox::new(capacity));
        let (tasks, work) = (inbox.sender(), inbox.sender());
        let to_log = Arc::new(Belt::new(1));
        let notices: Arc<Notices> = Arc::new(Belt::new(NOTIFIED_GROUPS));
        let writer = Arc::new(Mutex::new(writer));
        let mut threads = Vec::new();
        let mut spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let shared = Arc::clone(&shared);
            let run = move || {
                if catch_unwind(AssertUnwindSafe(run)).is_err() {
                    shared.poison("a store thread failed".into());
                }
            };
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            thread.map(|thread| threads.push(thread)).map_err(|error| StoreError::Io(error.to_string()))
        };
        let mut sequencer = Sequencer {
            applier: Applier::new(Arc::clone(&shared.view)),
            spare: None,
            shared: Arc::clone(&shared),
            executor,
            answers: Vec::new(),
            asks: Vec::new(),
            is_logging: false,
            inbox: Arc::clone(&inbox),
            to_log: Arc::clone(&to_log),
            notices: Arc::clone(&notices),
            writer: Arc::clone(&writer),
        };
        let belts = (Arc::clone(&to_log), Arc::clone(&notices));
        spawn(
            "sequencer",
            Box::new(move || {
                if catch_unwind(AssertUnwindSafe(|| sequencer.run())).is_err() {
                    sequencer.fail();
                }
                belts.0.close();
                belts.1.close();
            }),
        )?;
        let state = Arc::clone(&shared);
        spawn("logger", Box::new(move || log_groups(&state, &writer, &to_log, &inbox)))?;
        let state = Arc::clone(&shared);
        spawn("notifier", Box::new(move || notify_groups(&state, &notices)))?;
        Ok(Self {
            shared,
            tasks: ArcSwapOption::from_pointee(tasks),
            work: ArcSwapOption::from_pointee(work),
            threads: Mutex::new(threads),
            parked: Arc::default(),
            readers: Readers::start()?,
            capacity,
            is_full: AtomicBool::new(false),
        })
    }

    /// Hands a change to the sequencer, or refuses it at once.
    pub(crate) fn submit(&self, change: Change) {
        let sender = self.tasks.load();
        // Whether the root DN may is the business of who asks.
        let refusal = || self.shared.has_room(true, is_delete(&change.kind)).err();
        let unwilling = self.shared.refusal().or_else(|| self.shared.unwilling());
        let (error, done) = match (unwilling.or_else(refusal), sender.as_deref()) {
            (Some(error), _) => (error, change.done),
            (None, None) => (StoreError::Unwilling("the store is closed".into()), change.done),
            (None, Some(sender)) => {
                let parked = self.parked.len();
                if parked + sender.waiting() >= self.capacity {
                    return self.refuse(change);
                }
                let cold = self.cold(&change);
                let turn = match cold.is_some() || parked > 0 {
                    true => self.parked.take(change, cold.is_some()),
                    false => Turn::Now(change),
                };
                match (turn, cold) {
                    (Turn::Now(change), _) => self.send(sender, change),
                    (Turn::Read(number), Some(id)) => self.read(number, id, sender.clone()),
                    _ => {}
                }
                return;
            }
        };
        tell(done, Err(ChangeError::Store(error)));
    }

    /// Hands a change to the sequencer, or refuses it as busy.
    fn send(&self, sender: &Sender<Task>, change: Change) {
        match sender.try_send(Task::Change(change)) {
            Ok(()) if !self.is_full.load(Ordering::Relaxed) => {}
            Ok(()) => {
                if sender.waiting() < self.capacity / 2 && self.is_full.swap(false, Ordering::Relaxed) {
                    tracing::info!("there is room for changes again");
                }
            }
            Err(TrySendError::Full(Task::Change(change))) => self.refuse(change),
            Err(TrySendError::Disconnected(task)) => closed(task),
            Err(TrySendError::Full(Task::Relocate(_))) => {}
        }
    }

    fn refuse(&self, change: Change) {
        if !self.is_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(capacity = self.capacity, "too many changes wait: more are refused as busy");
        }
        tell(change.done, Err(ChangeError::Store(StoreError::Busy)));
    }

    /// Whether so many changes wait, a tenth of what may, that who hands them in should slow down.
    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting() >= (self.capacity / 10).max(1)
    }

    /// The entry that a change is about, if the disk would have to be waited for.
    fn cold(&self, change: &Change) -> Option<EntryId> {
        let view = &self.shared.view;
        let mut kind = &change.kind;
        while let ChangeKind::Trial(inner) = kind {
            kind = inner;
        }
        if !view.cache.may_lack() || matches!(kind, ChangeKind::Add { .. }) {
            return None;
        }
        let id = view.find(change.target.as_bytes()).ok()??;
        (!view.cache.has_some(id)).then_some(id)
    }

    /// Has the entry of a parked change read, and then hands on what waited for it.
    fn read(&self, number: u64, id: EntryId, sender: Sender<Task>) {
        let (shared, parked) = (Arc::clone(&self.shared), Arc::clone(&self.parked));
        let job = move || {
            // What is wrong with it the sequencer finds out.
            let _ = shared.view.current(id);
            parked.read(number, |change| {
                if let Err(SendError(task)) = sender.send_admitted(Task::Change(change)) {
                    closed(task);
                }
            });
        };
        self.readers.spawn(Reading::One, Box::new(job));
    }

    /// Changes that wait for the sequencer, or for their entries.
    pub(crate) fn waiting(&self) -> usize {
        self.tasks.load().as_ref().map_or(0, |tasks| tasks.waiting()) + self.parked.len()
    }

    /// The sequencer's queue; none once closed.
    pub(crate) fn tasks(&self) -> Option<Sender<Task>> {
        self.tasks.load().as_deref().cloned()
    }

    /// The way in for what is done between groups; none once closed.
    pub(crate) fn work(&self) -> Option<Sender<Work>> {
        self.work.load().as_deref().cloned()
    }

    /// Executes, writes and applies what waits, and ends the threads. Called from a store's thread (as when the last
    /// user goes in a callback) it does not wait for them; whether they have ended.
    pub(crate) fn close(&self) -> bool {
        self.shared.closing.store(true, Ordering::Release);
        self.readers.close();
        self.tasks.store(None);
        self.work.store(None);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let own = std::thread::current().id();
        if threads.iter().any(|thread| thread.thread().id() == own) {
            // Another of them may wait for this one: they end by themselves.
            return false;
        }
        for thread in threads {
            let _ = thread.join();
        }
        true
    }
}

/// Refuses what comes after the end.
fn closed(task: Task) {
    if let Task::Change(change) = task {
        let error = StoreError::Unwilling("the store is closed".into());
        tell(change.done, Err(ChangeError::Store(error)));
    }
}
