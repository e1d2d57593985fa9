//! From a task entry to what is to be done.

use crate::access::Privilege;
use crate::backend::Rebuild;
use crate::entry::{EntryBuilder, ModifyError};
use crate::protocol::message::AddRequest;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

/// What a task is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// Build indexes anew.
    Rebuild(Rebuild),
    /// Compare indexes with entries; all if no name is given.
    Verify(Option<Vec<String>>),
    /// Tell sizes.
    Stat,
}

impl Job {
    /// What it takes to have this done.
    pub(super) const fn privilege(&self) -> Privilege {
        match self {
            Self::Rebuild(_) => Privilege::LdifImport,
            Self::Verify(_) | Self::Stat => Privilege::ConfigRead,
        }
    }
}

/// The classes that are known and not served yet.
const LATER: &[&str] = &[
    "BackupTask",
    "RestoreTask",
    "ImportTask",
    "ExportTask",
    "InitializeTask",
    "InitializeTargetTask",
    "SetGenerationIdTask",
    "PurgeConflictsHistoricalTask",
    "ResetChangeNumberTask",
    "ShutdownTask",
    "DisconnectClientTask",
    "EnterLockdownModeTask",
    "LeaveLockdownModeTask",
    "AddSchemaFileTask",
];

/// Attributes that ask for more than a start at once.
const REFUSED: &[(&str, &str)] = &[
    ("ds-recurring-task-schedule", "recurring tasks come later"),
    ("ds-recurring-task-id", "recurring tasks come later"),
    ("ds-task-dependency-id", "dependencies between tasks come later"),
    ("ds-task-notify-on-completion", "notification by mail comes later"),
    ("ds-task-notify-on-error", "notification by mail comes later"),
];

/// A task entry, read.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) id: String,
    pub(super) job: Job,
    pub(super) builder: EntryBuilder,
}

fn refuse(code: ResultCode, text: impl Into<String>) -> LdapResult {
    LdapResult::with(code, text.into())
}

fn text(builder: &EntryBuilder, name: &str) -> Option<String> {
    let value = builder.values(name).next()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Reads a task entry; `rdn_id` is the id that its DN gives it.
pub(super) fn read(
    request: &AddRequest<'_>,
    rdn_id: &str,
    suffixes: &[(String, NormalizedDn)],
    now_ms: u64,
    schema: &Schema,
) -> Result<Ordered, LdapResult> {
    let builder = EntryBuilder::from_request(request.attributes, schema, true).map_err(|error| {
        let code = match error {
            ModifyError::UndefinedType(_) => ResultCode::OBJECT_CLASS_VIOLATION,
            ModifyError::Exists(_) => ResultCode::ATTRIBUTE_OR_VALUE_EXISTS,
            ModifyError::Syntax(_) => ResultCode::INVALID_ATTRIBUTE_SYNTAX,
            _ => ResultCode::CONSTRAINT_VIOLATION,
        };
        refuse(code, error.to_string())
    })?;
    let missing = |name: &str| refuse(ResultCode::OBJECT_CLASS_VIOLATION, format!("a task needs {name}"));
    if !builder.values("objectClass").any(|class| class.to_ascii_lowercase().starts_with(b"ds-task")) {
        return Err(missing("the object class ds-task"));
    }
    if text(&builder, "ds-task-id").is_some_and(|id| id != rdn_id) {
        return Err(refuse(ResultCode::NAMING_VIOLATION, "ds-task-id is not the one of the DN"));
    }
    for (name, why) in REFUSED {
        if builder.has(name) {
            return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, *why));
        }
    }
    if let Some(start) = text(&builder, "ds-task-scheduled-start-time") {
        check_start(start.trim(), now_ms)?;
    }
    let class = text(&builder, "ds-task-class-name").ok_or_else(|| missing("ds-task-class-name"))?;
    let job = job(&class, &builder)?;
    if let Some(base) = text(&builder, "ds-task-rebuild-base-dn") {
        let key = NormalizedDn::parse(&base, schema).map_err(|error| {
            refuse(ResultCode::INVALID_ATTRIBUTE_SYNTAX, format!("ds-task-rebuild-base-dn: {error}"))
        })?;
        if !suffixes.iter().any(|(_, suffix)| *suffix == key) {
            let text = format!("{base} is not a base DN of the data store");
            return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, text));
        }
    } else if matches!(job, Job::Rebuild(_)) {
        return Err(missing("ds-task-rebuild-base-dn"));
    }
    Ok(Ordered { id: rdn_id.to_owned(), job, builder })
}

fn job(class: &str, builder: &EntryBuilder) -> Result<Job, LdapResult> {
    let names: Vec<String> = builder
        .values("ds-task-rebuild-index")
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .collect();
    let short = class.strip_prefix("org.opends.server.tasks.").unwrap_or(class);
    match short {
        "RebuildTask" => {
            let special = |word: &str| names.iter().any(|name| name.eq_ignore_ascii_case(word));
            Ok(Job::Rebuild(if special("all") {
                Rebuild::All
            } else if special("degraded") {
                Rebuild::Degraded
            } else if names.is_empty() {
                let text = "a rebuild task needs ds-task-rebuild-index: names, all, or degraded";
                return Err(refuse(ResultCode::OBJECT_CLASS_VIOLATION, text));
            } else {
                Rebuild::Named(names)
            }))
        }
        "ds-task-verify" => Ok(Job::Verify((!names.is_empty()).then_some(names))),
        "ds-task-backend-stat" => Ok(Job::Stat),
        _ if LATER.contains(&short) => {
            Err(refuse(ResultCode::UNWILLING_TO_PERFORM, format!("the task class {class} comes later")))
        }
        _ => {
            let text = format!(
                "there is no task class {class}; served are org.opends.server.tasks.RebuildTask, ds-task-verify \
                 and ds-task-backend-stat"
            );
            Err(refuse(ResultCode::UNWILLING_TO_PERFORM, text))
        }
    }
}

/// `0`, or a time that is past already: `yyyyMMddHHmmss`, with `Z` or (taken for UTC too) without.
fn check_start(text: &str, now_ms: u64) -> Result<(), LdapResult> {
    if text == "0" {
        return Ok(());
    }
    let digits = text.strip_suffix('Z').unwrap_or(text);
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", digits)
        .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC));
    let Ok(time) = time else {
        let text = "ds-task-scheduled-start-time is 0 or yyyyMMddHHmmssZ";
        return Err(refuse(ResultCode::INVALID_ATTRIBUTE_SYNTAX, text));
    };
    if u64::try_from(time.timestamp().as_millisecond()).unwrap_or(0) > now_ms {
        let text = "scheduled tasks come later; leave ds-task-scheduled-start-time out, or give 0";
        return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, text));
    }
    Ok(())
}
