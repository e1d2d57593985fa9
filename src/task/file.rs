//! `config/tasks.ldif`: what outlives the process. Replaced as a whole at each change of a task's state.

use std::path::PathBuf;

use super::agenda::{Agenda, Recurring, Task};
use super::order::{Desk, Order, RECURRING, SCHEDULED};
use super::schedule::{stamp, start_time};
use super::state::State;
use crate::config::replace_file;
use crate::entry::EntryBuilder;
use crate::ldif::{LdifChange, LdifReader, LdifRecord, LdifWriter};
use crate::name::Dn;
use crate::schema::Schema;

/// The attributes of a task as they are shown and kept.
pub(super) fn shown_task(task: &Task, schema: &Schema) -> EntryBuilder {
    let mut builder = task.attributes.clone();
    builder.put("ds-task-id", &task.id, schema);
    builder.put("ds-task-state", task.state().name(), schema);
    builder.remove("ds-task-scheduled-start-time");
    let times = [
        ("ds-task-scheduled-start-time", task.scheduled_ms),
        ("ds-task-actual-start-time", task.started_ms),
        ("ds-task-completion-time", task.ended_ms),
    ];
    for (name, ms) in times {
        if let Some(ms) = ms {
            builder.put(name, stamp(ms), schema);
        }
    }
    put_log(&mut builder, &task.log, schema);
    builder
}

/// The attributes of a recurring task as they are shown and kept.
pub(super) fn shown_recurring(known: &Recurring, schema: &Schema) -> EntryBuilder {
    let mut builder = known.attributes.clone();
    builder.put("ds-task-id", &known.id, schema);
    builder.put("ds-task-state", known.state().name(), schema);
    builder.remove("ds-recurring-task-schedule");
    builder.put("ds-recurring-task-schedule", known.crontab.text(), schema);
    put_log(&mut builder, &known.log, schema);
    builder
}

fn put_log(builder: &mut EntryBuilder, log: &[String], schema: &Schema) {
    for line in log {
        builder.put("ds-task-log-message", line, schema);
    }
}

/// The branch entries: DN and `cn`.
pub(super) const BRANCHES: [(&str, &str); 3] =
    [("cn=Tasks", "Tasks"), (SCHEDULED, "Scheduled Tasks"), (RECURRING, "Recurring Tasks")];

/// The file.
#[derive(Debug)]
pub(super) struct TaskFile(PathBuf);

/// What was found in the file.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tasks: Vec<Task>,
    pub(super) recurring: Vec<Recurring>,
}

impl TaskFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Replaces the file; it is on disk when this returns.
    pub(super) fn write(&self, agenda: &Agenda, schema: &Schema) -> Result<(), String> {
        let mut out = LdifWriter::new(Vec::new());
        let entry = |out: &mut LdifWriter<Vec<u8>>, dn: &str, builder: &EntryBuilder| {
            let pairs = builder
                .descriptions()
                .flat_map(|name| builder.values(name).map(move |value| (name, value)))
                .collect::<Vec<_>>();
            out.entry(dn, pairs)
        };
        let all = || -> std::io::Result<Vec<u8>> {
            out.comment("Written by the server at each change; edit it only while the server is stopped.")?;
            for (dn, cn) in BRANCHES {
                let pairs: [(&str, &[u8]); 3] =
                    [("objectClass", b"top"), ("objectClass", b"ds-cfg-branch"), ("cn", cn.as_bytes())];
                out.entry(dn, pairs)?;
            }
            for known in agenda.recurring() {
                entry(&mut out, &known.dn, &shown_recurring(known, schema))?;
            }
            for task in agenda.tasks() {
                entry(&mut out, &task.dn, &shown_task(task, schema))?;
            }
            Ok(out.into_inner())
        };
        let content = all().map_err(|error| error.to_string())?;
        replace_file(&self.0, &content).map_err(|error| error.to_string())
    }

    /// Reads the file; nothing if there is none. What does not read is told in the server's log: a whole file is put
    /// aside, a task that cannot be made any more is disabled.
    pub(super) fn read(&self, desk: &Desk<'_>) -> Found {
        let mut found = Found::default();
        let text = match std::fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return found,
            Err(error) => {
                tracing::error!(file = %self.0.display(), %error, "the tasks cannot be read");
                return found;
            }
        };
        let mut is_whole = true;
        for record in LdifReader::new(text.as_slice()) {
            let outcome =
                record.map_err(|error| error.to_string()).and_then(|record| found.take(record, desk));
            if let Err(why) = outcome {
                tracing::error!(file = %self.0.display(), why, "a kept task does not read");
                is_whole = false;
            }
        }
        if !is_whole {
            let aside = self.0.with_extension("ldif.unread");
            if let Err(error) = std::fs::copy(&self.0, &aside) {
                tracing::error!(file = %aside.display(), %error, "what does not read cannot be kept aside");
            }
        }
        found
    }
}

impl Found {
    fn take(&mut self, record: LdifRecord, desk: &Desk<'_>) -> Result<(), String> {
        let LdifChange::Entry(attributes) = record.change else {
            return Err(format!("line {}: an entry is expected", record.line));
        };
        if BRANCHES.iter().any(|(dn, _)| dn.eq_ignore_ascii_case(&record.dn)) {
            return Ok(());
        }
        let dn = Dn::parse(&record.dn).map_err(|error| format!("{}: {error}", record.dn))?;
        let ava = dn.rdn().and_then(|rdn| rdn.avas().first()).ok_or("an entry without a name")?;
        let id = String::from_utf8_lossy(ava.value()).into_owned();
        let mut builder = EntryBuilder::new();
        for attribute in &attributes {
            for value in &attribute.values {
                builder.put(&attribute.description, value, desk.schema);
            }
        }
        let text =
            |name: &str| builder.values(name).next().map(|value| String::from_utf8_lossy(value).into_owned());
        let time = |name: &str| text(name).and_then(|text| start_time(&text, desk.zone).ok().flatten());
        let state = text("ds-task-state").and_then(|name| State::by_name(&name));
        let (started_ms, ended_ms) = (time("ds-task-actual-start-time"), time("ds-task-completion-time"));
        let scheduled_ms = time("ds-task-scheduled-start-time");
        let recurring = text("ds-recurring-task-id");
        let log: Vec<String> = builder
            .values("ds-task-log-message")
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        let is_started = state.is_some_and(|state| state.is_done() || state == State::Running);
        if is_started {
            for name in super::order::KEPT {
                builder.remove(name);
            }
            self.tasks.push(Task {
                id,
                dn: record.dn,
                attributes: builder,
                state,
                scheduled_ms,
                started_ms,
                ended_ms,
                recurring,
                log,
                ..Task::default()
            });
            return Ok(());
        }
        let order = desk.read(&record.dn, (ava.attribute(), &id), builder.clone());
        match order {
            Ok((Order::Task(task), _)) => {
                self.tasks.push(Task { state, log, ..*task });
            }
            Ok((Order::Recurring(known), _)) => self.recurring.push(Recurring { log, ..*known }),
            Err(refusal) if !ava.attribute().eq_ignore_ascii_case("ds-recurring-task-id") => {
                tracing::error!(task = %id, why = %refusal.diagnostic, "a task cannot be made any more: it is disabled");
                let mut log = log;
                log.push(format!("disabled: {}", refusal.diagnostic));
                for name in super::order::KEPT {
                    builder.remove(name);
                }
                let state = Some(State::Disabled);
                self.tasks.push(Task {
                    id,
                    dn: record.dn,
                    attributes: builder,
                    state,
                    scheduled_ms,
                    recurring: None,
                    log,
                    ..Task::default()
                });
            }
            Err(refusal) => return Err(format!("{}: {}", record.dn, refusal.diagnostic)),
        }
        Ok(())
    }
}
