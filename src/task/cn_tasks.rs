//! The suffix: entries of tasks, and the threads that do them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::State;
use super::request::{Job, Ordered, read};
use super::work::perform;
use crate::access::{Privilege, Requester, Right};
use crate::backend::DataStore;
use crate::clock::Clock;
use crate::entry::{EntryBuilder, StoredEntry};
use crate::operation::{Directory, VirtualBackend, made};
use crate::protocol::message::{AddRequest, ModifyRequest};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

/// How long a task that has ended is remembered.
const KEPT_MS: u64 = 24 * 3600 * 1000;
/// Tasks that are remembered; of those that have ended the oldest go first.
const MOST: usize = 200;
/// Tasks that run at a time.
const RUNNING: usize = 8;
/// Lines of a task's log; later ones push out the middle.
const LINES: usize = 200;

const SCHEDULED: &str = "cn=Scheduled Tasks,cn=Tasks";

struct Task {
    id: String,
    dn: String,
    key: NormalizedDn,
    builder: EntryBuilder,
    state: State,
    started_ms: u64,
    ended_ms: Option<u64>,
    log: Vec<String>,
}

type Tasks = Mutex<Vec<Task>>;

/// `cn=Tasks`.
pub struct CnTasks {
    backend: Arc<DataStore>,
    key: NormalizedDn,
    scheduled: NormalizedDn,
    tasks: Arc<Tasks>,
}

impl std::fmt::Debug for CnTasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CnTasks").finish_non_exhaustive()
    }
}

fn lock(tasks: &Tasks) -> MutexGuard<'_, Vec<Task>> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
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

/// `yyyyMMddHHmmssZ`.
fn stamp(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y%m%d%H%M%SZ").to_string()
}

impl CnTasks {
    /// The suffix whose tasks work on this store. Without tasks at first.
    pub fn new(backend: Arc<DataStore>, schema: &Schema) -> Self {
        // The texts are DNs; the fallback is never taken.
        let key = |dn: &str| NormalizedDn::parse(dn, schema).unwrap_or_else(|_| NormalizedDn::root());
        Self { backend, key: key("cn=Tasks"), scheduled: key(SCHEDULED), tasks: Arc::default() }
    }

    fn try_add(
        &self,
        directory: &Directory,
        who: &Requester,
        request: &AddRequest<'_>,
    ) -> Result<(), LdapResult> {
        let schema = directory.schema.current();
        let dn = crate::name::Dn::parse(request.dn).map_err(|error| {
            refuse(ResultCode::INVALID_DN_SYNTAX, format!("the DN does not parse: {error}"))
        })?;
        let key = NormalizedDn::of(&dn, &schema);
        if !directory.access.current().may_entry(who, Right::Add, None, &key) {
            let text = "no ACI lets the requester add this entry";
            return Err(refuse(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, text));
        }
        if key.parent().as_ref() != Some(&self.scheduled) {
            let text = format!("tasks are added directly below {SCHEDULED}; recurring tasks come later");
            return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        let id = dn
            .rdn()
            .and_then(|rdn| rdn.avas().first())
            .filter(|ava| ava.attribute().eq_ignore_ascii_case("ds-task-id"))
            .map(|ava| String::from_utf8_lossy(ava.value()).into_owned())
            .ok_or_else(|| refuse(ResultCode::NAMING_VIOLATION, "a task is named by ds-task-id"))?;
        let now_ms = directory.clock.wall_ms();
        let ordered = read(request, &id, &directory.store.suffixes(), now_ms, &schema)?;
        require(who, ordered.job.privilege(), "this task")?;
        if let Job::Rebuild(crate::backend::Rebuild::Named(names)) | Job::Verify(Some(names)) = &ordered.job
            && let Some(unknown) = self.backend.current().unknown_indexes(names).first()
        {
            return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, format!("there is no index {unknown}")));
        }
        self.start(directory, request.dn, key, ordered)
    }

    fn start(
        &self,
        directory: &Directory,
        dn: &str,
        key: NormalizedDn,
        ordered: Ordered,
    ) -> Result<(), LdapResult> {
        let Ordered { id, job, builder } = ordered;
        let now_ms = directory.clock.wall_ms();
        let mut tasks = lock(&self.tasks);
        forget(&mut tasks, now_ms);
        if tasks.iter().any(|task| task.key == key) {
            return Err(refuse(ResultCode::ENTRY_ALREADY_EXISTS, format!("there is a task {id} already")));
        }
        if tasks.iter().filter(|task| task.state == State::Running).count() >= RUNNING {
            return Err(refuse(ResultCode::BUSY, format!("{RUNNING} tasks are running already")));
        }
        let (list, backend, clock) =
            (Arc::clone(&self.tasks), Arc::clone(&self.backend), Arc::clone(&directory.clock));
        let own = key.clone();
        let run = move || {
            let mut say = |line: String| note(&list, &own, &*clock, "NOTICE", line);
            let done = catch_unwind(AssertUnwindSafe(|| perform(&backend.current(), &job, &mut say)));
            let state = done.unwrap_or_else(|_| {
                note(&list, &own, &*clock, "SEVERE_ERROR", "the task failed by a fault of the server".into());
                State::Failed
            });
            if let Some(task) = lock(&list).iter_mut().find(|task| task.key == own) {
                task.state = state;
                task.ended_ms = Some(clock.wall_ms());
                tracing::info!(task = %task.id, state = state.name(), "task ended");
            }
        };
        let thread = std::thread::Builder::new().name("task".to_owned()).spawn(run);
        thread.map_err(|error| refuse(ResultCode::BUSY, format!("no thread for the task: {error}")))?;
        tracing::info!(task = %id, "task started");
        let dn = dn.to_owned();
        let state = State::Running;
        // The thread waits for the list until the task is in it.
        tasks.push(Task { id, dn, key, builder, state, started_ms: now_ms, ended_ms: None, log: Vec::new() });
        Ok(())
    }

    fn try_delete(
        &self,
        directory: &Directory,
        who: &Requester,
        dn: &NormalizedDn,
    ) -> Result<(), LdapResult> {
        require(who, Privilege::ConfigWrite, "removing a task")?;
        if !directory.access.current().may_entry(who, Right::Delete, None, dn) {
            let text = "no ACI lets the requester delete this entry";
            return Err(refuse(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, text));
        }
        let mut tasks = lock(&self.tasks);
        let Some(at) = tasks.iter().position(|task| task.key == *dn) else {
            return Err(refuse(ResultCode::NO_SUCH_OBJECT, "there is no such task"));
        };
        if tasks.get(at).is_some_and(|task| task.state == State::Running) {
            return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, "the task is running"));
        }
        tasks.remove(at);
        Ok(())
    }
}

/// Drops tasks that ended long ago, and more if there are too many.
fn forget(tasks: &mut Vec<Task>, now_ms: u64) {
    tasks.retain(|task| task.ended_ms.is_none_or(|ended| now_ms.saturating_sub(ended) < KEPT_MS));
    while tasks.len() >= MOST {
        let Some(at) = tasks.iter().position(|task| task.state != State::Running) else { return };
        tasks.remove(at);
    }
}

fn note(tasks: &Tasks, key: &NormalizedDn, clock: &dyn Clock, severity: &str, line: String) {
    let mut tasks = lock(tasks);
    let Some(task) = tasks.iter_mut().find(|task| task.key == *key) else { return };
    if task.log.len() >= LINES {
        task.log.remove(LINES / 2);
    }
    let number = task.log.len();
    task.log.push(format!(
        "[{}] severity=\"{severity}\" msgCount={number} message=\"{line}\"",
        stamp(clock.wall_ms())
    ));
}

fn entry(task: &Task, schema: &Schema) -> Arc<StoredEntry> {
    let mut builder = task.builder.clone();
    builder.put("ds-task-id", &task.id, schema);
    for name in
        ["ds-task-state", "ds-task-actual-start-time", "ds-task-completion-time", "ds-task-log-message"]
    {
        builder.remove(name);
    }
    builder.put("ds-task-state", task.state.name(), schema);
    builder.put("ds-task-actual-start-time", stamp(task.started_ms), schema);
    if let Some(ended) = task.ended_ms {
        builder.put("ds-task-completion-time", stamp(ended), schema);
    }
    for line in &task.log {
        builder.put("ds-task-log-message", line, schema);
    }
    made(&task.dn, &task.key, &builder)
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
        for dn in ["cn=Tasks", SCHEDULED, "cn=Recurring Tasks,cn=Tasks"] {
            let Ok(key) = NormalizedDn::parse(dn, &schema) else { continue };
            let mut builder = EntryBuilder::new();
            for class in ["top", "ds-cfg-branch"] {
                builder.put("objectClass", class, &schema);
            }
            let name = dn.split(',').next().and_then(|rdn| rdn.strip_prefix("cn=")).unwrap_or_default();
            builder.put("cn", name, &schema);
            all.push((key.clone(), made(dn, &key, &builder)));
        }
        let mut tasks = lock(&self.tasks);
        forget(&mut tasks, directory.clock.wall_ms());
        all.extend(tasks.iter().map(|task| (task.key.clone(), entry(task, &schema))));
        Ok(all)
    }

    fn add(&self, directory: &Directory, who: &Requester, request: &AddRequest<'_>) -> LdapResult {
        self.try_add(directory, who, request).map_or_else(|refusal| refusal, |()| LdapResult::success())
    }

    fn modify(&self, _: &Directory, _: &Requester, _: &ModifyRequest<'_>) -> LdapResult {
        let text = "tasks cannot be changed; cancelling a running one comes later";
        LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text)
    }

    fn delete(&self, directory: &Directory, who: &Requester, dn: &NormalizedDn) -> LdapResult {
        self.try_delete(directory, who, dn).map_or_else(|refusal| refusal, |()| LdapResult::success())
    }
}
