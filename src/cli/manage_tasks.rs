//! `manage-tasks`: what tasks there are, what becomes of one, and an end to it.

use std::process::ExitCode;

use clap::Args;

use super::ldap::{AdminOptions, Client, PlainEntry, plain_search, wanted};
use super::{Failure, args, task};
use crate::protocol::message::{ModifyOperation, Scope};
use crate::protocol::request;
use crate::task::State;

const EXAMPLES: &str = "Exit codes: 0 done, 1 not done.

Examples:
  manage-tasks --port 4444 --hostname cts.example.com -D 'cn=Directory Manager' -j pw --trustAll --summary
  manage-tasks -D 'cn=Directory Manager' -j pw --info BackupTask-20260101020000000
      of the instance at hand
  manage-tasks -D 'cn=Directory Manager' -j pw --cancel BackupTask-20260101020000000
      a recurring task goes with its iteration that waits; one of its iterations goes alone";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    at: args::At,
    #[command(flatten)]
    admin: AdminOptions,
    /// Print a table of all tasks; so does the tool without any of these options.
    #[arg(short = 's', long, conflicts_with_all = ["info", "cancel"])]
    summary: bool,
    /// Print what is known of a task.
    #[arg(short = 'i', long, value_name = "ID", conflicts_with = "cancel")]
    info: Option<String>,
    /// End a task, or have it not start.
    #[arg(short = 'c', long, value_name = "ID")]
    cancel: Option<String>,
}

/// The attributes that have rows of their own.
const COMMON: &[&str] = &[
    "objectClass",
    "ds-task-id",
    "ds-task-class-name",
    "ds-task-state",
    "ds-task-scheduled-start-time",
    "ds-task-actual-start-time",
    "ds-task-completion-time",
    "ds-task-dependency-id",
    "ds-task-failed-dependency-action",
    "ds-task-log-message",
    "ds-task-notify-on-completion",
    "ds-task-notify-on-error",
    "ds-recurring-task-id",
    "ds-recurring-task-schedule",
];

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let client = task::connect("manage-tasks", &options.at, &options.admin, task::Unnamed::Served)?;
    let mut client = client.ok_or_else(|| {
        Failure::new("the server is stopped: its tasks are in config/tasks.ldif, and go on when it starts")
    })?;
    let entries = plain_search(&mut client, "cn=Tasks", Scope::Subtree, &[])?;
    let tasks: Vec<&PlainEntry> =
        entries.iter().filter(|entry| entry.first("ds-task-class-name").is_some()).collect();
    if entries.is_empty() {
        return Err(Failure::new("the tasks cannot be read: that takes the privilege config-read"));
    }
    if let Some(id) = &options.info {
        print!("{}", details(find(&tasks, id)?));
    } else if let Some(id) = &options.cancel {
        cancel(&mut client, find(&tasks, id)?, id)?;
        println!("Task {id} canceled");
    } else if tasks.is_empty() {
        println!("No tasks exist");
    } else {
        print!("{}", summary(&tasks));
    }
    Ok(ExitCode::SUCCESS)
}

fn find<'a>(tasks: &[&'a PlainEntry], id: &str) -> Result<&'a PlainEntry, Failure> {
    let found = tasks.iter().find(|entry| entry.first("ds-task-id") == Some(id));
    found.copied().ok_or_else(|| Failure::new(format!("there is no task {id}; --summary lists them")))
}

fn state(entry: &PlainEntry) -> Option<State> {
    State::by_name(entry.first("ds-task-state")?)
}

/// `WAITING_ON_START_TIME` as people read it.
fn state_text(entry: &PlainEntry) -> String {
    let text = entry.first("ds-task-state").unwrap_or_default().to_lowercase().replace('_', " ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `org.opends.server.tasks.DisconnectClientTask` as people read it.
fn kind(entry: &PlainEntry) -> String {
    let class = entry.first("ds-task-class-name").unwrap_or_default();
    let short = class.rsplit('.').next().unwrap_or(class);
    let short = short.strip_prefix("ds-task-").or_else(|| short.strip_suffix("Task")).unwrap_or(short);
    if short == "Rebuild" {
        return "Rebuild Index".to_owned();
    }
    let mut text = String::new();
    let mut is_first = true;
    for letter in short.chars() {
        if letter == '-' {
            is_first = true;
        } else if is_first {
            text.push_str(if text.is_empty() { "" } else { " " });
            text.extend(letter.to_uppercase());
            is_first = false;
        } else {
            text.push_str(if letter.is_uppercase() { " " } else { "" });
            text.push(letter);
        }
    }
    text
}

/// Rows of cells, two spaces apart, below titles and a rule.
fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).chain([titles.len()]).max().unwrap_or(0);
    let count = |text: &str| text.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| count(cell));
        // A title above all columns is no measure of the first.
        let title = titles.get(column).filter(|_| titles.len() == columns).map(|title| count(title));
        cells.chain(title).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(count(cell)))));
        format!("  {}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let all = widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1);
    let mut text =
        if titles.len() == columns { line(titles.to_vec()) } else { format!("  {}\n", titles.join("  ")) };
    text.push_str(&format!("  {}\n", "-".repeat(all)));
    rows.iter().for_each(|row| text.push_str(&line(row.iter().map(String::as_str).collect())));
    text
}

fn summary(tasks: &[&PlainEntry]) -> String {
    let row = |entry: &&PlainEntry| {
        vec![entry.first("ds-task-id").unwrap_or_default().to_owned(), kind(entry), state_text(entry)]
    };
    let mut rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
    rows.sort();
    table(&["ID", "Type", "Status"], &rows)
}

fn details(entry: &PlainEntry) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut put = |label: &str, values: Vec<String>, none: &str| {
        let values = if values.is_empty() { vec![none.to_owned()] } else { values };
        for (place, value) in values.into_iter().enumerate() {
            rows.push(vec![if place == 0 { label.to_owned() } else { String::new() }, value]);
        }
    };
    let values = |name: &str| entry.values(name).to_vec();
    put("ID", values("ds-task-id"), "");
    put("Type", vec![kind(entry)], "");
    put("Status", vec![state_text(entry)], "");
    if matches!(state(entry), Some(State::Recurring)) {
        put("Scheduled Start Time", values("ds-recurring-task-schedule"), "");
    } else {
        put("Scheduled Start Time", values("ds-task-scheduled-start-time"), "Immediate execution");
        put("Actual Start Time", values("ds-task-actual-start-time"), "");
        put("Completion Time", values("ds-task-completion-time"), "");
    }
    put("Dependencies", values("ds-task-dependency-id"), "None");
    put("Failed Dependency Action", values("ds-task-failed-dependency-action"), "None");
    put("Email Upon Completion", values("ds-task-notify-on-completion"), "None specified");
    put("Email Upon Error", values("ds-task-notify-on-error"), "None specified");
    let mut text = format!("\n{}\n", table(&["Task Details"], &rows));
    let mut options: Vec<Vec<String>> = Vec::new();
    for (name, values) in &entry.attributes {
        if COMMON.iter().any(|common| common.eq_ignore_ascii_case(name)) {
            continue;
        }
        for (place, value) in values.iter().enumerate() {
            options.push(vec![if place == 0 { name.clone() } else { String::new() }, value.clone()]);
        }
    }
    if !options.is_empty() {
        text.push_str(&table(&[&format!("{} Options", kind(entry))], &options));
        text.push('\n');
    }
    let log: Vec<Vec<String>> = values("ds-task-log-message").into_iter().map(|line| vec![line]).collect();
    if !log.is_empty() {
        text.push_str(&table(&["Log Messages"], &log));
        text.push('\n');
    }
    text
}

fn cancel(client: &mut Client, entry: &PlainEntry, id: &str) -> Result<(), Failure> {
    let state = state(entry);
    if state.is_some_and(State::is_done) {
        return Err(Failure::new(format!("the task {id} has ended already: {}", state_text(entry))));
    }
    let answer = if state == Some(State::Recurring) || entry.dn.starts_with("ds-recurring-task-id") {
        client.ask(|out, id| request::delete(out, id, &entry.dn, &[]))?
    } else {
        let end = match state {
            Some(State::Running) => State::StoppedByAdministrator,
            _ => State::CanceledBeforeStarting,
        };
        let values = [end.name().as_bytes()];
        let changes = [(ModifyOperation::Replace, ("ds-task-state", values.as_slice()))];
        client.ask(|out, id| request::modify(out, id, &entry.dn, &changes, &[]))?
    };
    wanted(&format!("The task {id} is not canceled"), &entry.dn, answer)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pairs: &[(&str, &[&str])]) -> PlainEntry {
        let attributes = pairs.iter().map(|(name, values)| {
            let values = values.iter().map(|&value| value.to_owned()).collect();
            ((*name).to_owned(), values)
        });
        PlainEntry {
            dn: "ds-task-id=x,cn=Scheduled Tasks,cn=Tasks".to_owned(),
            attributes: attributes.collect(),
        }
    }

    #[test]
    fn tables_have_the_references_shape() {
        let backup = entry(&[
            ("ds-task-id", &["example"]),
            ("ds-task-class-name", &["org.opends.server.tasks.BackupTask"]),
            ("ds-task-state", &["RECURRING"]),
            ("ds-recurring-task-schedule", &["00 * * * *"]),
            ("ds-task-backup-backend-id", &["userRoot", "schema"]),
        ]);
        let verify = entry(&[
            ("ds-task-id", &["20231114221500000"]),
            ("ds-task-class-name", &["ds-task-verify"]),
            ("ds-task-state", &["WAITING_ON_START_TIME"]),
        ]);
        let wanted = "  ID                 Type    Status
  ------------------------------------------------
  20231114221500000  Verify  Waiting on start time
  example            Backup  Recurring
";
        assert_eq!(summary(&[&backup, &verify]), wanted);
        let told = details(&backup);
        assert!(told.starts_with("\n  Task Details\n  ----"), "{told}");
        assert!(told.contains("\n  Scheduled Start Time      00 * * * *\n"), "{told}");
        assert!(told.contains("\n  Email Upon Error          None specified\n"), "{told}");
        assert!(told.contains("\n  Backup Options\n"), "{told}");
        assert!(
            told.contains("\n  ds-task-backup-backend-id  userRoot\n                             schema\n"),
            "{told}"
        );
        let kinds = [
            ("org.opends.server.tasks.DisconnectClientTask", "Disconnect Client"),
            ("org.opends.server.tasks.RebuildTask", "Rebuild Index"),
            ("ds-task-backend-stat", "Backend Stat"),
        ];
        for (class, wanted) in kinds {
            assert_eq!(kind(&entry(&[("ds-task-class-name", &[class])])), wanted);
        }
    }
}
