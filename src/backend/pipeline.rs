//! The way of a change: sequencer → logger → applier → notifier, each a thread, each working on a group while the
//! next one is gathered.
//!
//! The sequencer executes changes and gathers a group for as long as the logger is busy: the running sync is the timer.
//! The logger makes a group durable, the applier makes the view show it, tells the listeners and then acknowledges.
//! So acknowledged means durable and visible. A refusal is answered in its place behind the changes it may have seen.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded, select};

use super::apply::{apply_groups, notify_groups};
use super::execute::{Copied, Effect, Executor, Extra, Performed};
use super::index::Keys;
use super::index_store::EntryId;
pub(crate) use super::shared::Shared;
use super::shared::is_delete;
use super::store::{Change, ChangeError, Committed, StoreError};
use super::view::{View, store_error};
use crate::log::{Group, LogError, Place, RecordPlace, Writer};

/// Changes that may wait for the sequencer; more are refused as busy.
const WAITING: usize = 10_000;
/// Changes of a group at the most.
const GROUP_CHANGES: usize = 256;
/// Octets of a group from which it takes no more changes.
const GROUP_OCTETS: usize = 1 << 20;
/// Groups that may wait to be notified; behind that the applier waits.
const NOTIFIED_GROUPS: usize = 256;

pub(crate) type Done = Box<dyn FnOnce(Result<Committed, ChangeError>) + Send>;

/// What to tell the submitter of a change.
pub(crate) enum Told {
    /// The effect of this number.
    Effect(usize),
    /// This.
    Result(Result<Committed, ChangeError>),
}

/// A group on its way.
struct Executed {
    number: u64,
    era: u64,
    group: Group,
    effects: Vec<Effect>,
    extras: Vec<Extra>,
    answers: Vec<(Told, Done)>,
    asks: Vec<Sender<Result<u64, StoreError>>>,
}

/// What the applier is given to do, in order.
pub(crate) enum Work {
    /// A group that is durable, or that failed.
    Group {
        number: u64,
        effects: Vec<Effect>,
        extras: Vec<Extra>,
        answers: Vec<(Told, Done)>,
        asks: Vec<Sender<Result<u64, StoreError>>>,
        /// Where the effects' records are, or why they are nowhere.
        places: Result<Vec<RecordPlace>, StoreError>,
    },
    /// Keys for indexes that are being built: id, place of the version they were made from, keys.
    Index(Vec<(EntryId, Place, Keys)>),
    /// Tells that everything before is applied.
    Barrier(Sender<()>),
    /// Done between two groups, when the view's trees agree with each other. Must be quick.
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
    pub(crate) done: Sender<Result<u64, StoreError>>,
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
}

impl Pipeline {
    /// Starts the threads.
    pub(crate) fn start(shared: Arc<Shared>, executor: Executor, writer: Writer) -> Result<Self, StoreError> {
        let (changes, changes_in) = bounded(WAITING);
        let (executed, executed_in) = bounded(1);
        let (ready, ready_in) = bounded(2);
        let (work, work_in) = bounded(4);
        let (notify, notify_in) = bounded(NOTIFIED_GROUPS);
        let _ = ready.send(shared.view.log.new_group());
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
        let state = Arc::clone(&shared);
        spawn(
            "sequencer",
            Box::new(move || {
                let mut sequencer = Sequencer {
                    shared: state,
                    executor,
                    answers: Vec::new(),
                    asks: Vec::new(),
                    in_flight: 0,
                    era: 0,
                    executed,
                    ready: ready_in,
                };
                let ran = catch_unwind(AssertUnwindSafe(|| sequencer.run(&changes_in)));
                if ran.is_err() {
                    sequencer.shared.poison("the sequencer failed".into());
                    sequencer.fail_gathered(&StoreError::Unwilling("internal error".into()));
                    // Nobody may wait for ever for an answer.
                    for task in changes_in.iter() {
                        let Task::Change(change) = task else { continue };
                        tell(
                            change.done,
                            Err(ChangeError::Store(StoreError::Unwilling("internal error".into()))),
                        );
                    }
                }
            }),
        )?;
        let state = Arc::clone(&shared);
        let to_applier = work.clone();
        spawn("logger", Box::new(move || log_groups(&state, writer, &executed_in, &ready, &to_applier)))?;
        let state = Arc::clone(&shared);
        spawn("applier", Box::new(move || apply_groups(&state, &work_in, &notify)))?;
        let state = Arc::clone(&shared);
        spawn("notifier", Box::new(move || notify_groups(&state, &notify_in)))?;
        Ok(Self {
            shared,
            tasks: ArcSwapOption::from_pointee(changes),
            work: ArcSwapOption::from_pointee(work),
            threads: Mutex::new(threads),
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
            (None, Some(sender)) => match sender.try_send(Task::Change(change)) {
                Ok(()) => return,
                Err(TrySendError::Full(Task::Change(change))) => (StoreError::Busy, change.done),
                Err(TrySendError::Disconnected(Task::Change(change))) => {
                    (StoreError::Unwilling("the store is closed".into()), change.done)
                }
                Err(_) => return,
            },
        };
        tell(done, Err(ChangeError::Store(error)));
    }

    /// Changes that wait for the sequencer.
    pub(crate) fn waiting(&self) -> usize {
        self.tasks.load().as_ref().map_or(0, |tasks| tasks.len())
    }

    /// The sequencer's queue; none once closed.
    pub(crate) fn tasks(&self) -> Option<Sender<Task>> {
        self.tasks.load().as_deref().cloned()
    }

    /// The applier's queue; none once closed.
    pub(crate) fn work(&self) -> Option<Sender<Work>> {
        self.work.load().as_deref().cloned()
    }

    /// Executes, writes and applies what waits, and ends the threads. Called from a store's thread (as when the last
    /// user goes in a callback) it does not wait for them; whether they have ended.
    pub(crate) fn close(&self) -> bool {
        self.shared.closing.store(true, Ordering::Release);
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

struct Sequencer {
    shared: Arc<Shared>,
    executor: Executor,
    answers: Vec<(Told, Done)>,
    /// Who waits for copies of this group.
    asks: Vec<Sender<Result<u64, StoreError>>>,
    /// Groups handed on so far.
    in_flight: u64,
    era: u64,
    executed: Sender<Executed>,
    ready: Receiver<Group>,
}

impl Sequencer {
    fn run(&mut self, changes: &Receiver<Task>) {
        loop {
            if self.is_empty() {
                match changes.recv() {
                    Ok(change) => self.take(change),
                    Err(_) => return,
                }
                continue;
            }
            if self.is_full() {
                match self.ready.recv() {
                    Ok(group) => self.hand_on(group),
                    Err(_) => {
                        return self.fail_gathered(&StoreError::Unwilling("the log has stopped".into()));
                    }
                }
                continue;
            }
            if let Ok(change) = changes.try_recv() {
                self.take(change);
                continue;
            }
            let ready = self.ready.clone();
            select! {
                recv(ready) -> group => match group {
                    Ok(group) => self.hand_on(group),
                    Err(_) => return self.fail_gathered(&StoreError::Unwilling("the log has stopped".into())),
                },
                recv(changes) -> change => match change {
                    Ok(change) => self.take(change),
                    Err(_) => match ready.recv() {
                        Ok(group) => {
                            self.hand_on(group);
                            return;
                        }
                        Err(_) => return self.fail_gathered(&StoreError::Unwilling("the log has stopped".into())),
                    },
                },
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.asks.is_empty()
    }

    fn is_full(&self) -> bool {
        self.answers.len() >= GROUP_CHANGES || self.executor.group.octets() >= GROUP_OCTETS
    }

    fn take(&mut self, task: Task) {
        if let Some(reason) = self.shared.poison.load().as_deref() {
            let error = StoreError::Unwilling(reason.clone());
            self.fail_gathered(&error);
            match task {
                Task::Change(change) => tell(change.done, Err(ChangeError::Store(error))),
                Task::Relocate(relocation) => drop(relocation.done.send(Err(error))),
            }
            return;
        }
        self.mend();
        let applied = self.shared.applied.load(Ordering::Acquire);
        self.executor.prune(applied);
        let change = match task {
            Task::Change(change) => change,
            Task::Relocate(Relocation { entries, wants_floor, done }) => {
                match self.executor.relocate(&entries, wants_floor) {
                    Ok(()) => self.asks.push(done),
                    Err(error) => drop(done.send(Err(error))),
                }
                return;
            }
        };
        // One that was let in just before the store was frozen.
        if let Some(error) = self.shared.refusal() {
            return self.answers.push((Told::Result(Err(ChangeError::Store(error))), change.done));
        }
        if let Err(error) = self.find_room(&change) {
            return tell(change.done, Err(ChangeError::Store(error)));
        }
        let Change { target, kind, done } = change;
        let told = match self.executor.execute(target, kind) {
            Ok(Performed::Effect(number)) => Told::Effect(number),
            Ok(Performed::Nothing(committed)) => Told::Result(Ok(*committed)),
            Err(error) => {
                self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
                Told::Result(Err(error))
            }
        };
        match told {
            // Nothing is on its way that the answer could have seen.
            Told::Result(result) if self.is_empty() && applied == self.in_flight => tell(done, result),
            told => self.answers.push((told, done)),
        }
    }

    /// After a group found no room: only what frees some goes on, until another segment can be had. So that such groups
    /// are not held up by others with them.
    fn find_room(&self, change: &Change) -> Result<(), StoreError> {
        if !self.shared.is_starved.load(Ordering::Acquire) || is_delete(&change.kind) {
            return Ok(());
        }
        self.shared.view.log.find_room().map_err(|error| store_error(&error))?;
        self.shared.is_starved.store(false, Ordering::Release);
        tracing::info!("there is room for the log again");
        Ok(())
    }

    /// After a group that left no trace: fails what was built upon it and starts anew from the log's end.
    fn mend(&mut self) {
        let era = self.shared.era.load(Ordering::Acquire);
        if era == self.era {
            return;
        }
        self.fail_gathered(&StoreError::Unwilling("a change before this one could not be written".into()));
        while self.shared.applied.load(Ordering::Acquire) < self.in_flight {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.era = era;
        self.executor.reset();
        self.executor.group.clear(0);
    }

    fn fail_gathered(&mut self, error: &StoreError) {
        self.executor.effects.clear();
        self.executor.extras.clear();
        for ask in self.asks.drain(..) {
            let _ = ask.send(Err(error.clone()));
        }
        for (told, done) in self.answers.drain(..) {
            tell(
                done,
                match told {
                    Told::Effect(_) => Err(ChangeError::Store(error.clone())),
                    Told::Result(result) => result,
                },
            );
        }
    }

    fn hand_on(&mut self, mut next: Group) {
        next.clear(self.executor.group.next_lead());
        let frees = self.executor.effects.iter().all(|effect| effect.after.is_none());
        self.executor.group.urgent(frees);
        let group = std::mem::replace(&mut self.executor.group, next);
        let executed = Executed {
            number: self.executor.number,
            era: self.era,
            group,
            effects: std::mem::take(&mut self.executor.effects),
            extras: std::mem::take(&mut self.executor.extras),
            asks: std::mem::take(&mut self.asks),
            answers: std::mem::take(&mut self.answers),
        };
        self.in_flight = executed.number;
        self.executor.number += 1;
        if let Err(failed) = self.executed.send(executed) {
            for (_, done) in failed.into_inner().answers {
                tell(done, Err(ChangeError::Store(StoreError::Unwilling("the log has stopped".into()))));
            }
        }
    }
}

fn log_groups(
    shared: &Shared,
    mut writer: Writer,
    executed: &Receiver<Executed>,
    ready: &Sender<Group>,
    work: &Sender<Work>,
) {
    for Executed { number, era, mut group, effects, extras, answers, asks } in executed {
        let places = if era == shared.era.load(Ordering::Acquire) {
            commit(shared, &mut writer, &mut group)
        } else {
            Err(StoreError::Unwilling("a change before this one could not be written".into()))
        };
        // The sequencer may hand on the next group while this one is applied.
        let _ = ready.send(group);
        let item = Work::Group { number, effects, extras, answers, asks, places };
        if let Err(failed) = work.send(item) {
            let Work::Group { answers, .. } = failed.into_inner() else { continue };
            for (_, done) in answers {
                tell(done, Err(ChangeError::Store(StoreError::Unwilling("the applier has stopped".into()))));
            }
        }
    }
    if let Err(error) = writer.sync() {
        tracing::error!(%error, "the last sync of the log failed");
    }
}

fn commit(shared: &Shared, writer: &mut Writer, group: &mut Group) -> Result<Vec<RecordPlace>, StoreError> {
    if group.is_empty() {
        return Ok(Vec::new());
    }
    shared.counters.groups.fetch_add(1, Ordering::Relaxed);
    writer.commit(group).map_err(|error| {
        if matches!(error, LogError::NoSpace { .. }) {
            shared.is_starved.store(true, Ordering::Release);
            tracing::error!(%error, "changes are refused");
        } else {
            shared.poison(error.to_string());
        }
        shared.era.fetch_add(1, Ordering::AcqRel);
        store_error(&error)
    })
}
