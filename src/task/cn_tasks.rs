//! The suffix: tasks as entries.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::agenda::{Canceled, Refusal};
use super::class::{Classes, Context, Host};
use super::file::{BRANCHES, shown_recurring, shown_task};
use super::order::{Order, RECURRING, SCHEDULED, refusal_of};
use super::runner::Runner;
use super::state::State;
use crate::access::{Privilege, Requester, Right};
use crate::backend::DataStore;
use crate::clock::Clock;
use crate::config::Instance;
use crate::entry::{EntryBuilder, PreparedModifications, StoredEntry};
use crate::name::Dn;
use crate::operation::{Directory, VirtualBackend, made};
use crate::protocol::message::{AddRequest, ModifyOperation, ModifyRequest};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

/// `cn=Tasks`.
pub struct CnTasks {
    runner: Arc<Runner>,
    key: NormalizedDn,
    scheduled: NormalizedDn,
    recurring: NormalizedDn,
}

impl std::fmt::Debug for CnTasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CnTasks").finish_non_exhaustive()
    }
}

fn refuse(code: ResultCode, text: impl Into<String>) -> LdapResult {
    LdapResult::with(code, text.into())
}

fn require(who: &Requester, privilege: Privilege, for_what: &str) -> Result<(), LdapResult> {
    if who.privileges.has(privilege) {
        return Ok(());
    }
    let text = format!("{for_what} needs the privilege {}", privilege.name());
    Err(refuse(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, text))
}

fn denied(what: &str) -> LdapResult {
    refuse(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, format!("no ACI lets the requester {what}"))
}

fn refused(refusal: Refusal) -> LdapResult {
    let unwilling = |text: String| refuse(ResultCode::UNWILLING_TO_PERFORM, text);
    match refusal {
        Refusal::Exists => refuse(ResultCode::ENTRY_ALREADY_EXISTS, "there is a task of this id already"),
        Refusal::Missing(id) => unwilling(format!("ds-task-dependency-id: there is no task {id}")),
        Refusal::Full => refuse(ResultCode::BUSY, "there are as many tasks as are kept, and none has ended"),
        Refusal::Circle(id) => unwilling(format!("ds-task-dependency-id: {id} would wait for itself")),
        Refusal::State(State::Running) => unwilling(
            "the task is running: replace its ds-task-state by STOPPED_BY_ADMINISTRATOR to end it".to_owned(),
        ),
        Refusal::State(state) => unwilling(format!("the task is {}", state.name())),
        Refusal::Never => {
            refuse(ResultCode::CONSTRAINT_VIOLATION, "ds-recurring-task-schedule: no day is like that")
        }
    }
}

/// What is found under a DN.
enum Found {
    Task(String, EntryBuilder, State),
    Recurring(String, EntryBuilder),
}

impl CnTasks {
    /// The suffix of an instance. Nothing starts before [`CnTasks::start`].
    pub fn new(
        backend: Arc<DataStore>,
        instance: Instance,
        clock: Arc<dyn Clock>,
        classes: Classes,
        schema: &Schema,
    ) -> Arc<Self> {
        // The texts are DNs; the fallback is never taken.
        let key = |dn: &str| NormalizedDn::parse(dn, schema).unwrap_or_else(|_| NormalizedDn::root());
        let context = Arc::new(Context::new(backend, instance, clock));
        Arc::new(Self {
            runner: Runner::new(context, classes, TimeZone::system()),
            key: key("cn=Tasks"),
            scheduled: key(SCHEDULED),
            recurring: key(RECURRING),
        })
    }

    /// Gives works the server they work on.
    pub fn bind(&self, directory: &Arc<Directory>, host: Arc<dyn Host>) {
        let _ = self.runner.context.bound.set((Arc::downgrade(directory), host));
    }

    /// Takes the tasks that `config/tasks.ldif` holds, says which slots were missed, and starts what is due, now and
    /// from now on.
    pub fn start(&self) {
        self.runner.start();
    }

    /// Starts what is due by the clock. Done by itself at least once a second while a task waits for its time; for tests,
    /// whose clock jumps.
    pub fn tick(&self) {
        self.runner.tick();
    }

    /// Asks what runs to end, waits up to 20 s for it, and keeps what became of it. Nothing starts any more.
    pub fn stop(&self) {
        self.runner.stop();
    }

    fn allowed(directory: &Directory) -> Vec<String> {
        directory.config.current().global.allowed_tasks.clone()
    }

    fn try_add(
        &self,
        directory: &Directory,
        who: &Requester,
        request: &AddRequest<'_>,
    ) -> Result<(), LdapResult> {
        let schema = directory.schema.current();
        let dn = Dn::parse(request.dn).map_err(|error| {
            refuse(ResultCode::INVALID_DN_SYNTAX, format!("the DN does not parse: {error}"))
        })?;
        let key = NormalizedDn::of(&dn, &schema);
        if !directory.access.current().may_entry(who, Right::Add, None, &key) {
            return Err(denied("add this entry"));
        }
        let parent = key.parent();
        let name = if parent.as_ref() == Some(&self.scheduled) {
            "ds-task-id"
        } else if parent.as_ref() == Some(&self.recurring) {
            "ds-recurring-task-id"
        } else {
            let text =
                format!("tasks are added directly below {SCHEDULED}, recurring ones below {RECURRING}");
            return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, text));
        };
        let ava = dn.rdn().and_then(|rdn| rdn.avas().first());
        let id = ava
            .filter(|ava| ava.attribute().eq_ignore_ascii_case(name))
            .map(|ava| String::from_utf8_lossy(ava.value()).into_owned())
            .ok_or_else(|| refuse(ResultCode::NAMING_VIOLATION, format!("a task here is named by {name}")))?;
        let attributes = EntryBuilder::from_request(request.attributes, &schema, true)
            .map_err(|error| refusal_of(&error))?;
        let allowed = Self::allowed(directory);
        let desk = self.runner.desk(&schema, &allowed);
        let (order, privileges) = desk.read(request.dn, (name, &id), attributes)?;
        privileges.iter().try_for_each(|privilege| require(who, *privilege, "this task"))?;
        let outcome = self.runner.change(|agenda, now_ms| match order {
            Order::Task(task) => agenda.add(*task, now_ms),
            Order::Recurring(known) => agenda.add_recurring(*known, now_ms),
        });
        outcome.map_err(refused)?;
        tracing::info!(task = %id, "task taken");
        Ok(())
    }

    fn find(&self, wanted: &NormalizedDn, schema: &Schema) -> Result<Found, LdapResult> {
        let is_it = |dn: &str| NormalizedDn::parse(dn, schema).is_ok_and(|key| key == *wanted);
        let found = self.runner.with(|agenda| {
            if let Some(task) = agenda.tasks().iter().find(|task| is_it(&task.dn)) {
                let shown = shown_task(task, schema);
                return Some(Found::Task(task.id.clone(), shown, task.state()));
            }
            let known = agenda.recurring().iter().find(|known| is_it(&known.dn))?;
            Some(Found::Recurring(known.id.clone(), shown_recurring(known, schema)))
        });
        found.ok_or_else(|| refuse(ResultCode::NO_SUCH_OBJECT, "there is no such task"))
    }

    fn try_delete(
        &self,
        directory: &Directory,
        who: &Requester,
        dn: &NormalizedDn,
    ) -> Result<(), LdapResult> {
        require(who, Privilege::ConfigWrite, "removing a task")?;
        if !directory.access.current().may_entry(who, Right::Delete, None, dn) {
            return Err(denied("delete this entry"));
        }
        let (Found::Task(id, ..) | Found::Recurring(id, _)) = self.find(dn, &directory.schema.current())?;
        self.runner.change(|agenda, _| agenda.remove(&id)).map_err(refused)
    }

    fn try_modify(
        &self,
        directory: &Directory,
        who: &Requester,
        request: &ModifyRequest<'_>,
    ) -> Result<(), LdapResult> {
        let schema = directory.schema.current();
        let key = NormalizedDn::parse(request.dn, &schema).map_err(|error| {
            refuse(ResultCode::INVALID_DN_SYNTAX, format!("the DN does not parse: {error}"))
        })?;
        let found = self.find(&key, &schema)?;
        let (Found::Task(id, shown, _) | Found::Recurring(id, shown)) = &found;
        let entry = made(request.dn, &key, shown);
        let access = directory.access.current();
        for change in request.changes {
            let (name, sent) = (change.attribute.description, change.attribute.values.iter());
            if !access.may_modify(who, &entry, &key, change.operation, name, sent) {
                return Err(denied("write this attribute"));
            }
        }
        let changes =
            PreparedModifications::prepare(request.changes, &schema).map_err(|error| refusal_of(&error))?;
        if let Some(outcome) = self.cancel(who, &found, &changes) {
            return outcome;
        }
        if let Found::Task(_, _, state) = &found
            && !state.is_pending()
        {
            let text = match state {
                State::Running => {
                    "the task is running: all that can be changed is ds-task-state, to STOPPED_BY_ADMINISTRATOR"
                }
                _ => "the task has ended",
            };
            return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        let mut changed = shown.clone();
        apply(&mut changed, &changes, &schema);
        let name = if matches!(found, Found::Task(..)) { "ds-task-id" } else { "ds-recurring-task-id" };
        let allowed = Self::allowed(directory);
        let desk = self.runner.desk(&schema, &allowed);
        let (order, privileges) = desk.read(request.dn, (name, id), changed)?;
        privileges.iter().try_for_each(|privilege| require(who, *privilege, "this task"))?;
        let outcome = self.runner.change(|agenda, now_ms| match order {
            Order::Task(task) => agenda.replace(*task),
            Order::Recurring(known) => agenda.replace_recurring(*known, now_ms),
        });
        outcome.map_err(refused)
    }

    /// Cancels, if that is what the change asks for: no state any more, or one that means an end.
    fn cancel(
        &self,
        who: &Requester,
        found: &Found,
        changes: &PreparedModifications,
    ) -> Option<Result<(), LdapResult>> {
        let mut is_asked = false;
        for (operation, name, mut values) in changes.steps() {
            if !name.eq_ignore_ascii_case("ds-task-state") {
                return None;
            }
            let value = values.next().map(|value| String::from_utf8_lossy(value).into_owned());
            is_asked = match (operation, value.as_deref()) {
                (ModifyOperation::Delete, _) | (ModifyOperation::Replace, None) => true,
                (_, Some(name)) => State::by_name(name).is_some_and(State::is_done),
                (_, None) => false,
            };
        }
        if !is_asked {
            return None;
        }
        let (Found::Task(id, ..) | Found::Recurring(id, _)) = found;
        let outcome = require(who, Privilege::ConfigWrite, "canceling a task").and_then(|()| match found {
            Found::Recurring(..) => self.runner.change(|agenda, _| agenda.remove(id)).map_err(refused),
            Found::Task(..) => match self.runner.cancel(id).map_err(refused)? {
                Canceled::WasOver => Err(refuse(ResultCode::UNWILLING_TO_PERFORM, "the task has ended")),
                Canceled::AtOnce | Canceled::Signal => Ok(()),
            },
        });
        if outcome.is_ok() {
            tracing::info!(task = %id, "task canceled");
        }
        Some(outcome)
    }
}

impl Drop for CnTasks {
    fn drop(&mut self) {
        self.runner.abandon();
    }
}

/// Carries modifications out on attributes that are not an entry yet.
fn apply(builder: &mut EntryBuilder, changes: &PreparedModifications, schema: &Schema) {
    for (operation, name, values) in changes.steps() {
        let given: Vec<&[u8]> = values.collect();
        let mut kept: Vec<Vec<u8>> = Vec::new();
        if operation == ModifyOperation::Delete && !given.is_empty() {
            let mut gone = EntryBuilder::new();
            given.iter().for_each(|value| {
                gone.put(name, value, schema);
            });
            let left = builder.values(name).filter(|value| !gone.has_value(name, value));
            kept.extend(left.map(<[u8]>::to_vec));
        }
        if operation != ModifyOperation::Add {
            builder.remove(name);
        }
        if operation != ModifyOperation::Delete {
            kept.extend(given.into_iter().map(<[u8]>::to_vec));
        }
        kept.iter().for_each(|value| {
            builder.put(name, value, schema);
        });
    }
}

fn answer(outcome: Result<(), LdapResult>) -> LdapResult {
    outcome.map_or_else(|refusal| refusal, |()| LdapResult::success())
}

impl VirtualBackend for CnTasks {
    fn suffix(&self) -> (&str, &NormalizedDn) {
        ("cn=Tasks", &self.key)
    }

    fn entries(
        &self,
        directory: &Directory,
        who: &Requester,
    ) -> Result<Vec<(NormalizedDn, Arc<StoredEntry>)>, LdapResult> {
        require(who, Privilege::ConfigRead, "reading tasks")?;
        let schema = directory.schema.current();
        let mut all = Vec::new();
        let mut take = |dn: &str, builder: &EntryBuilder| {
            if let Ok(key) = NormalizedDn::parse(dn, &schema) {
                let entry = made(dn, &key, builder);
                all.push((key, entry));
            }
        };
        for (dn, cn) in BRANCHES {
            let mut builder = EntryBuilder::new();
            for class in ["top", "ds-cfg-branch"] {
                builder.put("objectClass", class, &schema);
            }
            builder.put("cn", cn, &schema);
            take(dn, &builder);
        }
        self.runner.tick();
        self.runner.with(|agenda| {
            agenda.tasks().iter().for_each(|task| take(&task.dn, &shown_task(task, &schema)));
            agenda.recurring().iter().for_each(|known| take(&known.dn, &shown_recurring(known, &schema)));
        });
        Ok(all)
    }

    fn add(&self, directory: &Directory, who: &Requester, request: &AddRequest<'_>) -> LdapResult {
        answer(self.try_add(directory, who, request))
    }

    fn modify(&self, directory: &Directory, who: &Requester, request: &ModifyRequest<'_>) -> LdapResult {
        answer(self.try_modify(directory, who, request))
    }

    fn delete(&self, directory: &Directory, who: &Requester, dn: &NormalizedDn) -> LdapResult {
        answer(self.try_delete(directory, who, dn))
    }
}
