//! What is to happen when: the state machine of all tasks. It is told the time and what came of the tasks that run; it
//! tells which to start. No threads, no files, no clock.

use super::schedule::{Crontab, local_stamp, stamp};
use super::state::State;
use crate::entry::EntryBuilder;

/// How long a task that has ended is remembered.
pub(super) const KEPT_MS: u64 = 24 * 3600 * 1000;
/// Tasks remembered; of those that have ended the oldest go first, and no more are taken than this.
pub(super) const MOST: usize = 1000;
/// Lines of a task's log; later ones push out the middle.
const LINES: usize = 200;
/// A slot is missed once its minute is over.
const SLOT_MS: u64 = 60_000;

/// What becomes of a task when one that it depends on did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum FailedDependency {
    /// It runs all the same.
    Process,
    /// It is canceled.
    #[default]
    Cancel,
    /// It is disabled.
    Disable,
}

/// One task.
#[derive(Debug, Clone, Default)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) dn: String,
    /// What its entry was added with, less what is kept here.
    pub(super) attributes: EntryBuilder,
    pub(super) state: Option<State>,
    pub(super) scheduled_ms: Option<u64>,
    pub(super) started_ms: Option<u64>,
    pub(super) ended_ms: Option<u64>,
    pub(super) dependencies: Vec<String>,
    pub(super) on_failed: FailedDependency,
    /// The recurring task that it is an iteration of.
    pub(super) recurring: Option<String>,
    pub(super) log: Vec<String>,
}

impl Task {
    /// Where it stands.
    pub(super) fn state(&self) -> State {
        self.state.unwrap_or(State::Unscheduled)
    }
}

/// The pattern that tasks are made from.
#[derive(Debug, Clone)]
pub(super) struct Recurring {
    pub(super) id: String,
    pub(super) dn: String,
    pub(super) attributes: EntryBuilder,
    pub(super) crontab: Crontab,
    pub(super) is_disabled: bool,
    /// The slot made last.
    pub(super) last_ms: u64,
    pub(super) log: Vec<String>,
}

impl Recurring {
    /// Where it stands.
    pub(super) fn state(&self) -> State {
        if self.is_disabled { State::Disabled } else { State::Recurring }
    }
}

/// What there is to do for who drives the agenda.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// This task is RUNNING from now on: start it.
    Start(String),
    /// This task has ended without having run in this process; who wants to know may be told.
    Over(String),
    /// For the server's log.
    Note(String),
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    Exists,
    /// No task has this id.
    Missing(String),
    Full,
    /// It would depend on itself.
    Circle(String),
    /// In this state it cannot be done.
    State(State),
    /// The pattern has no slot.
    Never,
}

/// What canceling did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Canceled {
    /// It will not run.
    AtOnce,
    /// It runs and has to be told.
    Signal,
    /// It had ended.
    WasOver,
}

/// All tasks.
#[derive(Debug)]
pub(super) struct Agenda {
    tasks: Vec<Task>,
    recurring: Vec<Recurring>,
    slots: usize,
    /// For how long a task that has ended is shown.
    kept_ms: u64,
    is_changed: bool,
}

/// Appends a line to a log that is bounded.
fn note(log: &mut Vec<String>, now_ms: u64, severity: &str, line: &str) {
    if log.len() >= LINES {
        log.remove(LINES / 2);
    }
    let number = log.len();
    log.push(format!("[{}] severity=\"{severity}\" msgCount={number} message=\"{line}\"", stamp(now_ms)));
}

impl Agenda {
    /// No tasks; as many run at a time as there are slots.
    pub(super) fn new(slots: usize) -> Self {
        let slots = slots.max(1);
        Self { tasks: Vec::new(), recurring: Vec::new(), slots, kept_ms: KEPT_MS, is_changed: false }
    }

    /// Shows tasks that have ended for so long.
    pub(super) const fn keep_for(&mut self, kept_ms: u64) {
        self.kept_ms = kept_ms;
    }

    pub(super) fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    pub(super) fn recurring(&self) -> &[Recurring] {
        &self.recurring
    }

    pub(super) fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    fn task_mut(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.id == id)
    }

    fn has(&self, id: &str) -> bool {
        self.task(id).is_some() || self.recurring.iter().any(|known| known.id == id)
    }

    /// How many run.
    pub(super) fn running(&self) -> usize {
        self.tasks.iter().filter(|task| task.state() == State::Running).count()
    }

    /// Whether something changed that has to outlive the process, since this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// When the next task has to start; none if nothing waits for a time.
    pub(super) fn next_due(&self) -> Option<u64> {
        let waiting = self.tasks.iter().filter(|task| task.state() == State::WaitingOnStartTime);
        waiting.filter_map(|task| task.scheduled_ms).min()
    }

    /// Takes a task. What it depends on has to be known.
    pub(super) fn add(&mut self, task: Task, now_ms: u64) -> Result<(), Refusal> {
        self.forget(now_ms);
        if self.has(&task.id) {
            return Err(Refusal::Exists);
        }
        if self.tasks.len() >= MOST {
            return Err(Refusal::Full);
        }
        self.check_dependencies(&task)?;
        self.tasks.push(task);
        self.is_changed = true;
        Ok(())
    }

    fn check_dependencies(&self, task: &Task) -> Result<(), Refusal> {
        if let Some(missing) = task.dependencies.iter().find(|id| **id != task.id && self.task(id).is_none())
        {
            return Err(Refusal::Missing(missing.clone()));
        }
        let mut open: Vec<&str> = task.dependencies.iter().map(String::as_str).collect();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(id) = open.pop() {
            if id == task.id {
                return Err(Refusal::Circle(task.id.clone()));
            }
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            if let Some(next) = self.task(id) {
                open.extend(next.dependencies.iter().map(String::as_str));
            }
        }
        Ok(())
    }

    /// Puts another definition in the place of a task that has yet to start.
    pub(super) fn replace(&mut self, mut task: Task) -> Result<(), Refusal> {
        let known = self.task(&task.id).ok_or_else(|| Refusal::Missing(task.id.clone()))?;
        if !known.state().is_pending() {
            return Err(Refusal::State(known.state()));
        }
        self.check_dependencies(&task)?;
        if let Some(known) = self.task_mut(&task.id) {
            task.log = std::mem::take(&mut known.log);
            task.recurring = known.recurring.take();
            *known = task;
        }
        self.is_changed = true;
        Ok(())
    }

    /// Takes a recurring task.
    pub(super) fn add_recurring(&mut self, mut recurring: Recurring, now_ms: u64) -> Result<(), Refusal> {
        if self.has(&recurring.id) {
            return Err(Refusal::Exists);
        }
        if self.recurring.len() >= MOST {
            return Err(Refusal::Full);
        }
        recurring.crontab.next_after(now_ms).ok_or(Refusal::Never)?;
        recurring.last_ms = recurring.last_ms.max(now_ms);
        self.recurring.push(recurring);
        self.is_changed = true;
        Ok(())
    }

    /// Puts another definition in the place of a recurring one; its iteration that waits goes.
    pub(super) fn replace_recurring(&mut self, mut recurring: Recurring, now_ms: u64) -> Result<(), Refusal> {
        recurring.crontab.next_after(now_ms).ok_or(Refusal::Never)?;
        let known = self.recurring.iter_mut().find(|known| known.id == recurring.id);
        let known = known.ok_or_else(|| Refusal::Missing(recurring.id.clone()))?;
        recurring.log = std::mem::take(&mut known.log);
        recurring.last_ms = now_ms;
        let id = recurring.id.clone();
        *known = recurring;
        self.drop_waiting(&id);
        self.is_changed = true;
        Ok(())
    }

    fn drop_waiting(&mut self, recurring: &str) {
        self.tasks.retain(|task| task.recurring.as_deref() != Some(recurring) || !task.state().is_pending());
    }

    /// Has a task not start, or says that it has to be told to end.
    pub(super) fn cancel(&mut self, id: &str, now_ms: u64) -> Result<Canceled, Refusal> {
        let task = self.task_mut(id).ok_or_else(|| Refusal::Missing(id.to_owned()))?;
        match task.state() {
            State::Running => Ok(Canceled::Signal),
            state if state.is_pending() => {
                task.state = Some(State::CanceledBeforeStarting);
                task.ended_ms = Some(now_ms);
                note(&mut task.log, now_ms, "NOTICE", "canceled before it started");
                self.is_changed = true;
                Ok(Canceled::AtOnce)
            }
            _ => Ok(Canceled::WasOver),
        }
    }

    /// Removes a task that does not run, or a recurring one with its iteration that waits.
    pub(super) fn remove(&mut self, id: &str) -> Result<(), Refusal> {
        if let Some(place) = self.recurring.iter().position(|known| known.id == id) {
            self.recurring.remove(place);
            self.drop_waiting(id);
        } else {
            let place = self.tasks.iter().position(|task| task.id == id);
            let place = place.ok_or_else(|| Refusal::Missing(id.to_owned()))?;
            if self.tasks.get(place).is_some_and(|task| task.state() == State::Running) {
                return Err(Refusal::State(State::Running));
            }
            self.tasks.remove(place);
        }
        self.is_changed = true;
        Ok(())
    }

    /// A task that ran has ended.
    pub(super) fn ended(&mut self, id: &str, state: State, now_ms: u64) {
        if let Some(task) = self.task_mut(id).filter(|task| task.state() == State::Running) {
            task.state = Some(state);
            task.ended_ms = Some(now_ms);
            self.is_changed = true;
        }
    }

    /// A line for the log of a task.
    pub(super) fn say(&mut self, id: &str, now_ms: u64, severity: &str, line: &str) {
        if let Some(task) = self.task_mut(id) {
            note(&mut task.log, now_ms, severity, line);
        } else if let Some(known) = self.recurring.iter_mut().find(|known| known.id == id) {
            note(&mut known.log, now_ms, severity, line);
        }
    }

    /// Takes what another process left: before the first step.
    pub(super) fn restore(&mut self, tasks: Vec<Task>, recurring: Vec<Recurring>, now_ms: u64) -> Vec<Event> {
        self.tasks = tasks;
        self.recurring = recurring;
        let mut events = Vec::new();
        for known in &mut self.recurring {
            let own = self.tasks.iter().filter(|task| task.recurring.as_deref() == Some(known.id.as_str()));
            known.last_ms = own.filter_map(|task| task.scheduled_ms).max().unwrap_or(now_ms);
        }
        for task in &mut self.tasks {
            let due = task.scheduled_ms.filter(|due| *due < now_ms);
            if task.state() == State::Running {
                task.state = Some(State::StoppedByShutdown);
                task.ended_ms = Some(now_ms);
                note(&mut task.log, now_ms, "SEVERE_WARNING", "the server ended while the task ran");
                events.push(Event::Over(task.id.clone()));
            } else if let Some(due) = due.filter(|_| task.state() == State::WaitingOnStartTime) {
                let slot = stamp(due);
                if task.recurring.is_some() && now_ms >= due + SLOT_MS {
                    task.state = Some(State::CanceledBeforeStarting);
                    task.ended_ms = Some(now_ms);
                    let line = format!("missed: the server was down at {slot}");
                    note(&mut task.log, now_ms, "SEVERE_WARNING", &line);
                    events.push(Event::Note(format!("the task {} was {line}", task.id)));
                    events.push(Event::Over(task.id.clone()));
                } else if task.recurring.is_none() {
                    let line = format!("the server was down at {slot}, when it was due: it starts now");
                    note(&mut task.log, now_ms, "MILD_WARNING", &line);
                    events.push(Event::Note(format!("the task {}: {line}", task.id)));
                }
            }
        }
        self.is_changed = !events.is_empty();
        events
    }

    /// Brings everything to where it has to be at this time.
    pub(super) fn step(&mut self, now_ms: u64) -> Vec<Event> {
        let mut events = Vec::new();
        self.forget(now_ms);
        self.iterate(now_ms, &mut events);
        // What a step decides may decide what another task does: at most as often as there are tasks.
        let mut running = self.running();
        loop {
            let mut is_still = true;
            for place in 0..self.tasks.len() {
                let Some(task) = self.tasks.get(place) else { continue };
                let old = task.state();
                let new = self.target(task, running, now_ms);
                if task.state == Some(new) {
                    continue;
                }
                is_still = false;
                self.is_changed = true;
                let Some(task) = self.tasks.get_mut(place) else { continue };
                task.state = Some(new);
                if new == State::Running {
                    running += 1;
                    task.started_ms = Some(now_ms);
                    events.push(Event::Start(task.id.clone()));
                } else if new == State::CanceledBeforeStarting {
                    task.ended_ms = Some(now_ms);
                    note(
                        &mut task.log,
                        now_ms,
                        "NOTICE",
                        "canceled: a task that it depends on did not succeed",
                    );
                    events.push(Event::Over(task.id.clone()));
                } else if new == State::Disabled && old != new {
                    note(
                        &mut task.log,
                        now_ms,
                        "NOTICE",
                        "disabled: a task that it depends on did not succeed",
                    );
                }
            }
            if is_still {
                break;
            }
        }
        // A canceled iteration makes room for the next.
        self.iterate(now_ms, &mut events);
        events
    }

    /// Where a task has to be.
    fn target(&self, task: &Task, running: usize, now_ms: u64) -> State {
        let state = task.state();
        if !state.is_pending() || state == State::Disabled {
            return state;
        }
        let before: Vec<State> =
            task.dependencies.iter().filter_map(|id| self.task(id)).map(Task::state).collect();
        if before.iter().any(|state| !state.is_done()) {
            return State::WaitingOnDependency;
        }
        if before.iter().any(|state| !state.is_success()) {
            match task.on_failed {
                FailedDependency::Process => {}
                FailedDependency::Cancel => return State::CanceledBeforeStarting,
                FailedDependency::Disable => return State::Disabled,
            }
        }
        if task.scheduled_ms.is_some_and(|due| due > now_ms) {
            State::WaitingOnStartTime
        } else if running >= self.slots {
            State::Unscheduled
        } else {
            State::Running
        }
    }

    /// Makes the next iteration of each recurring task that has none.
    fn iterate(&mut self, now_ms: u64, events: &mut Vec<Event>) {
        for known in &mut self.recurring {
            let is_own = |task: &&Task| task.recurring.as_deref() == Some(known.id.as_str());
            let is_open = self.tasks.iter().filter(is_own).any(|task| !task.state().is_done());
            if known.is_disabled || is_open || self.tasks.len() >= MOST {
                continue;
            }
            let passed = known.crontab.next_after(known.last_ms).filter(|slot| slot + SLOT_MS <= now_ms);
            if let Some(slot) = passed {
                let line =
                    format!("no iteration at {}: its time passed before it could be made", stamp(slot));
                note(&mut known.log, now_ms, "MILD_WARNING", &line);
                events.push(Event::Note(format!("the recurring task {}: {line}", known.id)));
            }
            // The slot whose minute it is still counts.
            let from = known.last_ms.max(now_ms.saturating_sub(SLOT_MS));
            let Some(slot) = known.crontab.next_after(from) else { continue };
            known.last_ms = slot;
            let id = format!("{}-{}", known.id, local_stamp(slot, known.crontab.zone()));
            if self.tasks.iter().any(|task| task.id == id) {
                continue;
            }
            self.tasks.push(Task {
                dn: super::order::dn_of(&id),
                attributes: known.attributes.clone(),
                state: Some(State::WaitingOnStartTime),
                scheduled_ms: Some(slot),
                recurring: Some(known.id.clone()),
                id,
                ..Task::default()
            });
            self.is_changed = true;
        }
    }

    /// Drops tasks that ended long ago, and more if there are too many; not those that others wait for.
    pub(super) fn forget(&mut self, now_ms: u64) {
        let needed: Vec<String> = self
            .tasks
            .iter()
            .filter(|task| !task.state().is_done())
            .flat_map(|task| task.dependencies.iter().cloned())
            .collect();
        let count = self.tasks.len();
        self.tasks.retain(|task| {
            let is_old = task.ended_ms.is_some_and(|ended| now_ms.saturating_sub(ended) >= self.kept_ms);
            !is_old || needed.contains(&task.id)
        });
        while self.tasks.len() >= MOST {
            let oldest = self.tasks.iter().position(|task| {
                task.state().is_done() && task.ended_ms.is_some() && !needed.contains(&task.id)
            });
            let Some(place) = oldest else { break };
            self.tasks.remove(place);
        }
        self.is_changed |= count != self.tasks.len();
    }
}
