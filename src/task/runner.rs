//! Drives the agenda: a thread that starts what is due, and a thread for each task that runs.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::agenda::{Agenda, Canceled, Event, Refusal, Task};
use super::class::{Classes, Context, Done, Handle, Severity, Signal, Source, Stop};
use super::file::TaskFile;
use super::order::Desk;
use super::state::State;
use crate::schema::Schema;

/// Tasks that run at a time.
const RUNNING: usize = 8;
/// How often the clock is looked at while a task waits for its time.
const LOOK: Duration = Duration::from_secs(1);
/// How long the running tasks may take to end when the server stops.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is locked together.
struct Inner {
    agenda: Agenda,
    signals: HashMap<String, Arc<Signal>>,
    /// Threads of tasks and of notices.
    active: usize,
    is_started: bool,
    is_stopping: bool,
}

/// All tasks, and what does them.
pub(super) struct Runner {
    pub(super) context: Arc<Context>,
    pub(super) classes: Classes,
    pub(super) zone: TimeZone,
    file: TaskFile,
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Runner {
    pub(super) fn new(context: Arc<Context>, classes: Classes, zone: TimeZone) -> Arc<Self> {
        let file = TaskFile::new(context.instance.config_directory().join("tasks.ldif"));
        let inner = Inner {
            agenda: Agenda::new(RUNNING),
            signals: HashMap::new(),
            active: 0,
            is_started: false,
            is_stopping: false,
        };
        Arc::new(Self { context, classes, zone, file, inner: Mutex::new(inner), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where entries are read.
    pub(super) fn desk<'a>(&'a self, schema: &'a Schema, allowed: &'a [String]) -> Desk<'a> {
        Desk { classes: &self.classes, context: &self.context, schema, allowed, zone: &self.zone }
    }

    /// Looks at the agenda.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Agenda) -> T) -> T {
        look(&self.lock().agenda)
    }

    /// Changes the agenda, starts what is to start, and keeps it; what was changed is on disk when this returns.
    pub(super) fn change<T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Agenda, u64) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut inner = self.lock();
        let done = change(&mut inner.agenda, self.context.clock.wall_ms())?;
        self.settle(&mut inner);
        Ok(done)
    }

    /// Has a task not start, or end.
    pub(super) fn cancel(self: &Arc<Self>, id: &str) -> Result<Canceled, Refusal> {
        let mut inner = self.lock();
        let canceled = inner.agenda.cancel(id, self.context.clock.wall_ms())?;
        if canceled == Canceled::Signal
            && let Some(signal) = inner.signals.get(id)
        {
            signal.raise(Stop::Administrator);
        }
        self.settle(&mut inner);
        Ok(canceled)
    }

    /// Starts what is due by the clock.
    pub(super) fn tick(self: &Arc<Self>) {
        let mut inner = self.lock();
        self.settle(&mut inner);
    }

    /// Takes what the file holds and starts the thread that looks at the clock.
    pub(super) fn start(self: &Arc<Self>) {
        let Some(directory) = self.context.directory() else { return };
        let schema = directory.schema.current();
        let config = directory.config.current();
        let found = self.file.read(&self.desk(&schema, &config.global.allowed_tasks));
        let mut inner = self.lock();
        let now_ms = self.context.clock.wall_ms();
        let events = inner.agenda.restore(found.tasks, found.recurring, now_ms);
        inner.is_started = true;
        self.carry_out(&mut inner, events);
        self.settle(&mut inner);
        drop(inner);
        let own = Arc::clone(self);
        let thread = std::thread::Builder::new().name("tasks".to_owned()).spawn(move || own.watch());
        if let Err(error) = thread {
            tracing::error!(%error, "no thread to look after tasks: they start only when one is added");
        }
    }

    fn watch(self: &Arc<Self>) {
        let mut inner = self.lock();
        while !inner.is_stopping {
            self.settle(&mut inner);
            inner = match inner.agenda.next_due() {
                Some(due) => {
                    let left = due.saturating_sub(self.context.clock.wall_ms());
                    let left = Duration::from_millis(left.max(1)).min(LOOK);
                    let waited = self.changed.wait_timeout(inner, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Steps until nothing moves, then keeps what changed.
    fn settle(self: &Arc<Self>, inner: &mut Inner) {
        if inner.is_started && !inner.is_stopping {
            let kept = self.context.directory().and_then(|it| it.config.load().administration.task_retention);
            if let Some(kept) = kept {
                inner.agenda.keep_for(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX));
            }
            loop {
                let events = inner.agenda.step(self.context.clock.wall_ms());
                if events.is_empty() {
                    break;
                }
                self.carry_out(inner, events);
            }
        }
        self.keep(inner);
        self.changed.notify_all();
    }

    fn keep(&self, inner: &mut Inner) {
        if !inner.agenda.take_changed() {
            return;
        }
        let Some(directory) = self.context.directory() else { return };
        if let Err(error) = self.file.write(&inner.agenda, &directory.schema.current()) {
            tracing::error!(error, "the tasks cannot be kept: a restart forgets what changed");
        }
    }

    fn carry_out(self: &Arc<Self>, inner: &mut Inner, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Note(line) => tracing::warn!("{line}"),
                Event::Over(id) => {
                    let Some(task) = inner.agenda.task(&id).cloned() else { continue };
                    let own = Arc::clone(self);
                    let spawned =
                        std::thread::Builder::new().name("task-notice".to_owned()).spawn(move || {
                            own.tell(&task);
                            own.leave();
                        });
                    if spawned.is_ok() {
                        inner.active += 1;
                    }
                }
                Event::Start(id) => self.launch(inner, &id),
            }
        }
    }

    /// Gives a task that is RUNNING its thread.
    fn launch(self: &Arc<Self>, inner: &mut Inner, id: &str) {
        let Some(task) = inner.agenda.task(id).cloned() else { return };
        let signal = Arc::new(Signal::default());
        inner.signals.insert(id.to_owned(), Arc::clone(&signal));
        let own = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("task".to_owned()).spawn(move || {
            own.run(&task, signal);
            own.leave();
        });
        match spawned {
            Ok(_) => inner.active += 1,
            Err(error) => {
                let now_ms = self.context.clock.wall_ms();
                let line = format!("no thread for the task: {error}");
                inner.agenda.say(id, now_ms, Severity::Error.name(), &line);
                inner.agenda.ended(id, State::StoppedByError, now_ms);
                inner.signals.remove(id);
            }
        }
    }

    fn leave(self: &Arc<Self>) {
        let mut inner = self.lock();
        inner.active = inner.active.saturating_sub(1);
        self.settle(&mut inner);
    }

    /// Does a task, on its own thread.
    fn run(self: &Arc<Self>, task: &Task, signal: Arc<Signal>) {
        tracing::info!(task = %task.id, "task started");
        let listener = {
            let (own, id) = (Arc::clone(self), task.id.clone());
            move |severity: Severity, line: &str| {
                let now_ms = own.context.clock.wall_ms();
                own.lock().agenda.say(&id, now_ms, severity.name(), line);
            }
        };
        let handle = Handle::new(Arc::clone(&signal), Box::new(listener));
        let outcome = catch_unwind(AssertUnwindSafe(|| self.work(task, &handle)));
        let outcome = outcome.unwrap_or_else(|_| Err("the task failed by a fault of the server".to_owned()));
        let state = match (outcome, signal.raised()) {
            (Ok(Done::Successfully), _) => State::CompletedSuccessfully,
            (_, Some(Stop::Administrator)) => State::StoppedByAdministrator,
            (_, Some(Stop::Shutdown)) => State::StoppedByShutdown,
            (Ok(Done::WithErrors), None) => State::CompletedWithErrors,
            (Err(why), None) => {
                handle.error(format!("error: {why}"));
                State::StoppedByError
            }
        };
        tracing::info!(task = %task.id, state = state.name(), "task ended");
        let mut inner = self.lock();
        inner.signals.remove(&task.id);
        inner.agenda.ended(&task.id, state, self.context.clock.wall_ms());
        let ended = inner.agenda.task(&task.id).cloned();
        self.settle(&mut inner);
        drop(inner);
        if let Some(ended) = ended {
            self.tell(&ended);
        }
    }

    fn work(&self, task: &Task, handle: &Handle) -> Result<Done, String> {
        let directory = self.context.directory().ok_or("the server is gone")?;
        let schema = directory.schema.current();
        let name = task.attributes.values("ds-task-class-name").next().unwrap_or_default();
        let class = self.classes.get(&String::from_utf8_lossy(name));
        let class = class.map_err(|refusal| refusal.diagnostic.into_owned())?;
        let source = Source { attributes: &task.attributes, schema: &schema, context: &self.context };
        let work = (class.construct)(&source).map_err(|refusal| refusal.diagnostic.into_owned())?;
        drop(directory);
        work.run(handle)
    }

    /// Tells who wants to know of an end.
    fn tell(&self, task: &Task) {
        let Some(directory) = self.context.directory() else { return };
        let config = directory.config.current();
        for fault in
            super::notice::send(task, &config.global, &self.context.instance, self.context.clock.wall_ms())
        {
            tracing::error!(task = %task.id, fault, "somebody could not be told that a task ended");
            let now_ms = self.context.clock.wall_ms();
            self.lock().agenda.say(&task.id, now_ms, Severity::Warning.name(), &fault);
        }
    }

    /// Nothing starts any more; what runs is asked to end, and not waited for.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.is_stopping = true;
        inner.signals.values().for_each(|signal| signal.raise(Stop::Shutdown));
        self.changed.notify_all();
    }

    /// Asks the running tasks to end, waits a while for them, and keeps what became of them. Nothing starts any more.
    pub(super) fn stop(&self) {
        let mut inner = self.lock();
        inner.is_stopping = true;
        inner.signals.values().for_each(|signal| signal.raise(Stop::Shutdown));
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(inner, PATIENCE, |inner| inner.active > 0);
        inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        let now_ms = self.context.clock.wall_ms();
        let left: Vec<String> = inner.signals.keys().cloned().collect();
        for id in left {
            inner.agenda.say(&id, now_ms, Severity::Warning.name(), "the server stopped while the task ran");
            inner.agenda.ended(&id, State::StoppedByShutdown, now_ms);
        }
        if inner.is_started {
            self.keep(&mut inner);
        }
    }
}
