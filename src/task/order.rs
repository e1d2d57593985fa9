//! From a task entry to a task.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::agenda::{FailedDependency, Recurring, Task};
use super::class::{Classes, Context, Source};
use super::schedule::{Crontab, start_time};
use super::state::State;
use crate::access::Privilege;
use crate::entry::{EntryBuilder, ModifyError};
use crate::name::{Ava, Dn, Rdn};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::Schema;

pub(super) const SCHEDULED: &str = "cn=Scheduled Tasks,cn=Tasks";
pub(super) const RECURRING: &str = "cn=Recurring Tasks,cn=Tasks";

/// Attributes that the server keeps; what an entry is added with says nothing, but for the state.
pub(super) const KEPT: [&str; 5] = [
    "ds-task-id",
    "ds-task-state",
    "ds-task-actual-start-time",
    "ds-task-completion-time",
    "ds-task-log-message",
];

/// What a task entry asks for.
#[derive(Debug)]
pub(super) enum Order {
    Task(Box<Task>),
    Recurring(Box<Recurring>),
}

/// Where tasks are read.
pub(super) struct Desk<'a> {
    pub(super) classes: &'a Classes,
    pub(super) context: &'a Arc<Context>,
    pub(super) schema: &'a Schema,
    /// `ds-cfg-allowed-task`.
    pub(super) allowed: &'a [String],
    pub(super) zone: &'a TimeZone,
}

fn refuse(code: ResultCode, text: impl Into<String>) -> LdapResult {
    LdapResult::with(code, text.into())
}

/// The refusal of a bad entry.
pub(super) fn refusal_of(error: &ModifyError) -> LdapResult {
    let code = match error {
        ModifyError::UndefinedType(_) => ResultCode::OBJECT_CLASS_VIOLATION,
        ModifyError::Exists(_) => ResultCode::ATTRIBUTE_OR_VALUE_EXISTS,
        ModifyError::Syntax(_) => ResultCode::INVALID_ATTRIBUTE_SYNTAX,
        _ => ResultCode::CONSTRAINT_VIOLATION,
    };
    refuse(code, error.to_string())
}

/// The DN of the scheduled task of this id.
pub(super) fn dn_of(id: &str) -> String {
    let rdn = Dn::from_rdns(vec![Rdn::single(Ava::new("ds-task-id", id))]);
    format!("{rdn},{SCHEDULED}")
}

fn text(builder: &EntryBuilder, name: &str) -> Option<String> {
    let value = builder.values(name).next()?;
    Some(String::from_utf8_lossy(value).trim().to_owned())
}

fn texts(builder: &EntryBuilder, name: &str) -> Vec<String> {
    builder.values(name).map(|value| String::from_utf8_lossy(value).trim().to_owned()).collect()
}

impl Desk<'_> {
    /// Reads a task entry; `rdn` is attribute and value that its DN names it by. Also says what it takes to have it done.
    pub(super) fn read(
        &self,
        dn: &str,
        rdn: (&str, &str),
        attributes: EntryBuilder,
    ) -> Result<(Order, &'static [Privilege]), LdapResult> {
        let (named_by, id) = rdn;
        let missing = |name: &str| refuse(ResultCode::OBJECT_CLASS_VIOLATION, format!("a task needs {name}"));
        let is_task = |class: &[u8]| class.to_ascii_lowercase().starts_with(b"ds-task");
        if !attributes.values("objectClass").any(is_task) {
            return Err(missing("the object class ds-task"));
        }
        for name in [named_by, "ds-task-id"] {
            if text(&attributes, name).is_some_and(|own| own != id) {
                return Err(refuse(ResultCode::NAMING_VIOLATION, format!("{name} is not the one of the DN")));
            }
        }
        for name in ["ds-task-notify-on-completion", "ds-task-notify-on-error"] {
            for address in texts(&attributes, name) {
                super::notice::check_address(&address)
                    .map_err(|why| refuse(ResultCode::INVALID_ATTRIBUTE_SYNTAX, format!("{name}: {why}")))?;
            }
        }
        let class_name =
            text(&attributes, "ds-task-class-name").ok_or_else(|| missing("ds-task-class-name"))?;
        let class = self.classes.get(&class_name)?;
        self.check_allowed(&class_name)?;
        let source = Source { attributes: &attributes, schema: self.schema, context: self.context };
        (class.construct)(&source)?;
        let is_disabled = match text(&attributes, "ds-task-state") {
            None => false,
            Some(name) => match State::by_name(&name) {
                Some(State::Disabled) => true,
                Some(state) if state.is_pending() || state == State::Recurring => false,
                _ => {
                    let text =
                        format!("a new task cannot be {name}: leave ds-task-state out, or give DISABLED");
                    return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, text));
                }
            },
        };
        let order = match text(&attributes, "ds-recurring-task-schedule") {
            Some(schedule) if named_by.eq_ignore_ascii_case("ds-recurring-task-id") => {
                let crontab = Crontab::parse(&schedule, self.zone.clone()).map_err(|why| {
                    refuse(ResultCode::CONSTRAINT_VIOLATION, format!("ds-recurring-task-schedule: {why}"))
                })?;
                let mut attributes = self.cleared(attributes);
                attributes.remove("ds-task-scheduled-start-time");
                // Iterations tell by it where they come from.
                attributes.put("ds-recurring-task-id", id, self.schema);
                Order::Recurring(Box::new(Recurring {
                    id: id.to_owned(),
                    dn: dn.to_owned(),
                    attributes,
                    crontab,
                    is_disabled,
                    last_ms: 0,
                    log: Vec::new(),
                }))
            }
            None if named_by.eq_ignore_ascii_case("ds-recurring-task-id") => {
                return Err(missing("ds-recurring-task-schedule"));
            }
            _ => {
                let mut task = self.task(dn, id, attributes)?;
                task.state = is_disabled.then_some(State::Disabled);
                Order::Task(Box::new(task))
            }
        };
        Ok((order, class.privileges))
    }

    fn cleared(&self, mut attributes: EntryBuilder) -> EntryBuilder {
        for name in KEPT {
            attributes.remove(name);
        }
        attributes
    }

    fn check_allowed(&self, class_name: &str) -> Result<(), LdapResult> {
        let short = super::class::short_name(class_name);
        // Those that the reference does not have are not in its list either.
        let is_theirs = short.ends_with("Task");
        let is_listed = self.allowed.iter().any(|name| super::class::short_name(name) == short);
        if self.allowed.is_empty() || !is_theirs || is_listed {
            return Ok(());
        }
        let text =
            format!("{class_name} is not among the tasks that ds-cfg-allowed-task of cn=config allows");
        Err(refuse(ResultCode::UNWILLING_TO_PERFORM, text))
    }

    fn task(&self, dn: &str, id: &str, attributes: EntryBuilder) -> Result<Task, LdapResult> {
        let scheduled_ms = match text(&attributes, "ds-task-scheduled-start-time") {
            None => None,
            Some(start) => start_time(&start, self.zone).map_err(|why| {
                refuse(ResultCode::INVALID_ATTRIBUTE_SYNTAX, format!("ds-task-scheduled-start-time: {why}"))
            })?,
        };
        let dependencies = texts(&attributes, "ds-task-dependency-id");
        let action = text(&attributes, "ds-task-failed-dependency-action");
        let on_failed = match action.map(|action| action.to_ascii_lowercase()).as_deref() {
            Some("process") => FailedDependency::Process,
            None | Some("cancel") => FailedDependency::Cancel,
            Some("disable") => FailedDependency::Disable,
            Some(other) => {
                let text = format!(
                    "ds-task-failed-dependency-action is process, cancel or disable, not \"{other}\""
                );
                return Err(refuse(ResultCode::INVALID_ATTRIBUTE_SYNTAX, text));
            }
        };
        Ok(Task {
            id: id.to_owned(),
            dn: dn.to_owned(),
            recurring: text(&attributes, "ds-recurring-task-id"),
            attributes: self.cleared(attributes),
            scheduled_ms,
            dependencies,
            on_failed,
            ..Task::default()
        })
    }
}
