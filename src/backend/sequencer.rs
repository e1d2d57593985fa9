//! The thread on which changes are executed, applied and answered, and the one that writes what is gathered meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use super::apply::{Applier, Notices};
use super::execute::{Executor, Performed};
use super::inbox::{Awaited, Belt, Inbox, Taken};
use super::pipeline::{Asked, Done, Executed, Landed, Relocation, Task, Told, Work, tell};
use super::shared::{Shared, is_delete};
use super::store::{Change, ChangeError, Committed, StoreError};
use super::view::store_error;
use crate::log::{Group, LogError, Writer};

/// Changes of a group at the most.
const GROUP_CHANGES: usize = 256;
/// Octets of a group from which it takes no more changes.
const GROUP_OCTETS: usize = 1 << 20;
/// Changes of a group that the sequencer writes itself, if nothing waits behind it.
const SMALL_GROUP: usize = 4;

/// The sequencer's state.
pub(crate) struct Sequencer {
    pub(super) shared: Arc<Shared>,
    pub(super) executor: Executor,
    pub(super) applier: Applier,
    pub(super) answers: Vec<(Told, Done)>,
    /// Who waits for copies of this group.
    pub(super) asks: Vec<Asked>,
    /// A group is on its way to the disk.
    pub(super) is_logging: bool,
    /// The buffer for the group after this one.
    pub(super) spare: Option<Group>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) to_log: Arc<Belt<Executed>>,
    pub(super) notices: Arc<Notices>,
    pub(super) writer: Arc<Mutex<Writer>>,
}

impl Sequencer {
    /// Works until all ways in are gone and everything is answered.
    pub(super) fn run(&mut self) {
        let inbox = Arc::clone(&self.inbox);
        let mut taken = Taken::default();
        let mut is_open = true;
        loop {
            let awaited = if self.is_logging && (self.is_full() || !is_open) {
                Awaited::Landing
            } else if taken.tasks.is_empty() && self.is_logging {
                Awaited::Enough
            } else if taken.tasks.is_empty() && self.is_empty() {
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
            while !(self.is_full() || self.is_logging && inbox.has_landed()) {
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
    pub(super) fn fail(&mut self) {
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
pub(super) fn log_groups(shared: &Shared, writer: &Mutex<Writer>, groups: &Belt<Executed>, inbox: &Inbox) {
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
