//! The way of a change: the sequencer executes it, the logger makes its group durable, the sequencer makes the view show
//! it and answers, the notifier tells persistent searches.
//!
//! The sequencer executes changes and gathers a group for as long as the logger is busy: the running sync is the timer.
//! When a group is durable, the next one goes to the logger first; then the view is made to show it, listeners are told,
//! and it is acknowledged. So acknowledged means durable and visible. A refusal is answered in its place behind the
//! changes it may have seen. A small group that nothing waits behind is written by the sequencer itself, which saves
//! two hand-overs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use crossbeam::channel::TrySendError;

use super::apply::{Applier, Notices, notify_groups};
use super::execute::{Copied, Effect, Executor, Extra, Performed};
pub(crate) use super::inbox::Sender;
use super::inbox::{Awaited, Belt, Inbox, Taken};
use super::index::Keys;
use super::index_store::EntryId;
pub(crate) use super::shared::Shared;
use super::shared::is_delete;
use super::store::{Change, ChangeError, Committed, StoreError};
use super::view::{View, store_error};
use crate::log::{Group, LogError, Place, RecordPlace, Writer};

/// Changes of a group at the most.
const GROUP_CHANGES: usize = 256;
/// Octets of a group from which it takes no more changes.
const GROUP_OCTETS: usize = 1 << 20;
/// Changes of a group that the sequencer writes itself, if nothing waits behind it.
const SMALL_GROUP: usize = 4;
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
    number: u64,
    group: Group,
    effects: Vec<Effect>,
    extras: Vec<Extra>,
    answers: Vec<(Told, Done)>,
    asks: Vec<Asked>,
}

/// A group that is durable, or that failed.
pub(crate) struct Landed {
    executed: Executed,
    /// Where the records are, or why they are nowhere.
    places: Result<Vec<RecordPlace>, StoreError>,
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
}

impl Pipeline {
    /// Starts the threads.
    pub(crate) fn start(shared: Arc<Shared>, executor: Executor, writer: Writer) -> Result<Self, StoreError> {
        let inbox = Arc::new(Inbox::default());
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
        self.tasks.load().as_ref().map_or(0, |tasks| tasks.waiting())
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
    applier: Applier,
    answers: Vec<(Told, Done)>,
    /// Who waits for copies of this group.
    asks: Vec<Asked>,
    /// A group is on its way to the disk.
    is_logging: bool,
    /// The buffer for the group after this one.
    spare: Option<Group>,
    inbox: Arc<Inbox>,
    to_log: Arc<Belt<Executed>>,
    notices: Arc<Notices>,
    writer: Arc<Mutex<Writer>>,
}

impl Sequencer {
    fn run(&mut self) {
        let inbox = Arc::clone(&self.inbox);
        let mut taken = Taken::default();
        let mut is_open = true;
        loop {
            let awaited = if self.is_logging && (self.is_full() || !is_open) {
                Awaited::Landing
            } else if taken.tasks.is_empty() && (self.is_logging || self.is_empty()) {
                Awaited::Anything
            } else {
                Awaited::Nothing
            };
            is_open = inbox.take(&mut taken, awaited);
            if let Some(landed) = taken.landed.take() {
                self.land(landed);
            }
            for work in taken.work.drain(..) {
                self.work(work);
            }
            while !self.is_full() && !(self.is_logging && inbox.has_landed()) {
                let Some(task) = taken.tasks.pop_front() else { break };
                self.take(task);
            }
            if self.is_logging {
                continue;
            }
            let is_gathered = taken.tasks.is_empty() && inbox.waiting() == 0;
            if !self.is_empty() && (self.is_full() || is_gathered) {
                self.write();
            } else if self.is_empty() && !is_open && taken.tasks.is_empty() {
                return;
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
        self.executor.prune(self.shared.applied.load(Ordering::Acquire));
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
            Told::Result(result) if self.is_empty() && !self.is_logging => tell(done, result),
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

    /// Writes the group that is gathered.
    fn write(&mut self) {
        let is_small = self.answers.len() + self.asks.len() <= SMALL_GROUP && self.inbox.waiting() == 0;
        let executed = self.close_group();
        if is_small {
            let landed = commit(&self.shared, &self.writer, executed);
            self.land(landed);
        } else {
            self.is_logging = true;
            self.to_log.put(executed);
        }
    }

    fn close_group(&mut self) -> Executed {
        let mut next = self.spare.take().unwrap_or_else(|| self.shared.view.log.new_group());
        next.clear(self.executor.group.next_lead());
        let frees = self.executor.effects.iter().all(|effect| effect.after.is_none());
        self.executor.group.urgent(frees);
        let group = std::mem::replace(&mut self.executor.group, next);
        let number = self.executor.number;
        self.executor.number += 1;
        Executed {
            number,
            group,
            effects: std::mem::take(&mut self.executor.effects),
            extras: std::mem::take(&mut self.executor.extras),
            asks: std::mem::take(&mut self.asks),
            answers: std::mem::take(&mut self.answers),
        }
    }

    /// A group is durable, or failed.
    fn land(&mut self, landed: Landed) {
        let Landed { executed, places } = landed;
        let Executed { number, group, effects, extras, answers, asks } = executed;
        self.is_logging = false;
        self.spare = Some(group);
        let has_failed = places.is_err();
        if !has_failed && !self.is_empty() {
            // The disk is kept busy while the view catches up.
            let executed = self.close_group();
            self.is_logging = true;
            self.to_log.put(executed);
        }
        let applied = places.and_then(|places| self.applier.apply(effects, &extras, &places));
        let shared = &self.shared;
        let listeners = shared.listeners.load();
        match &applied {
            Ok(committed) => {
                let moved = extras.iter().filter(|extra| extra.moved.is_some()).count() as u64;
                shared.counters.changes.fetch_add(committed.len() as u64, Ordering::Relaxed);
                shared.counters.moved.fetch_add(moved, Ordering::Relaxed);
                for (_, listener) in listeners.iter().filter(|_| !committed.is_empty()) {
                    if catch_unwind(AssertUnwindSafe(|| listener.applied(committed))).is_err() {
                        tracing::error!("a listener panicked");
                    }
                }
            }
            // The records may be in the log: the view no longer tells what is there.
            Err(error) if !matches!(error, StoreError::Unwilling(_)) => shared.poison(error.to_string()),
            Err(_) => {}
        }
        shared.applied.store(number, Ordering::Release);
        for ask in asks {
            let shown = applied.as_ref().map(|_| shared.view.store.applied());
            let _ = ask.send(shown.map_err(Clone::clone));
        }
        match applied {
            Ok(committed) => {
                // Against a listener that comes just now and reads how far the view is: see its registration.
                fence(Ordering::SeqCst);
                let wanted = listeners.iter().any(|(_, listener)| listener.wants_notices());
                if wanted && !committed.is_empty() {
                    let committed = Arc::new(committed);
                    answer(answers, committed.iter().cloned());
                    self.notices.put(committed);
                } else {
                    answer(answers, committed.into_iter());
                }
            }
            Err(error) => {
                for (told, done) in answers {
                    tell(
                        done,
                        match told {
                            Told::Result(result) => result,
                            Told::Effect(_) => Err(ChangeError::Store(error.clone())),
                        },
                    );
                }
            }
        }
        if has_failed {
            // What was built upon it fails too; the next change starts anew from the log's end.
            let why = "a change before this one could not be written";
            self.fail_gathered(&StoreError::Unwilling(why.into()));
            self.executor.reset();
            self.executor.group.clear(0);
        }
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Index(chunk) => {
                if let Err(error) = self.applier.index(&chunk) {
                    tracing::error!(%error, "an index cannot be built");
                }
            }
            Work::Barrier(reached) => {
                let _ = reached.send(());
            }
            Work::Look(look) => {
                if catch_unwind(AssertUnwindSafe(|| look(&self.shared.view))).is_err() {
                    tracing::error!("a look at the view panicked");
                }
            }
        }
    }

    /// After a panic: nobody may wait for ever for an answer.
    fn fail(&mut self) {
        self.shared.poison("the sequencer failed".into());
        let error = StoreError::Unwilling("internal error".into());
        self.fail_gathered(&error);
        if self.is_logging {
            let mut taken = Taken::default();
            self.inbox.take(&mut taken, Awaited::Landing);
            let landed = taken.landed.map(|landed| landed.executed);
            for (_, done) in landed.into_iter().flat_map(|executed| executed.answers) {
                tell(done, Err(ChangeError::Store(error.clone())));
            }
        }
        for task in self.inbox.close().tasks {
            match task {
                Task::Change(change) => tell(change.done, Err(ChangeError::Store(error.clone()))),
                Task::Relocate(relocation) => drop(relocation.done.send(Err(error.clone()))),
            }
        }
    }
}

/// Tells the submitters of a group what became of their changes; effects are in the order of their numbers.
fn answer(answers: Vec<(Told, Done)>, committed: impl Iterator<Item = Committed>) {
    let mut committed = committed.enumerate();
    for (told, done) in answers {
        let result = match told {
            Told::Result(result) => result,
            Told::Effect(number) => match committed.find(|(at, _)| *at == number) {
                Some((_, committed)) => Ok(committed),
                None => Err(ChangeError::Store(StoreError::Corrupt("an effect is missing".into()))),
            },
        };
        tell(done, result);
    }
}

/// The logger's thread.
fn log_groups(shared: &Shared, writer: &Mutex<Writer>, groups: &Belt<Executed>, inbox: &Inbox) {
    while let Some(executed) = groups.take() {
        inbox.land(commit(shared, writer, executed));
    }
    if let Err(error) = writer.lock().unwrap_or_else(PoisonError::into_inner).sync() {
        tracing::error!(%error, "the last sync of the log failed");
    }
}

fn commit(shared: &Shared, writer: &Mutex<Writer>, mut executed: Executed) -> Landed {
    let group = &mut executed.group;
    if group.is_empty() {
        return Landed { executed, places: Ok(Vec::new()) };
    }
    shared.counters.groups.fetch_add(1, Ordering::Relaxed);
    let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
    let places = match catch_unwind(AssertUnwindSafe(|| writer.commit(group))) {
        Ok(places) => places.map_err(|error| {
            if matches!(error, LogError::NoSpace { .. }) {
                shared.is_starved.store(true, Ordering::Release);
                tracing::error!(%error, "changes are refused");
            } else {
                shared.poison(error.to_string());
            }
            store_error(&error)
        }),
        Err(_) => {
            shared.poison("the logger failed".into());
            Err(StoreError::Unwilling("internal error".into()))
        }
    };
    Landed { executed, places }
}
