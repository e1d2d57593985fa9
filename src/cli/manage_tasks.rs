//! `manage-tasks`: what tasks there are, what becomes of one, and an end to it.

use std::process::ExitCode;

use clap::Args;

use super::ldap::{AdminOptions, Client, PlainEntry, plain_search, wanted};
use super::prompt::{self, Choice};
use super::{Failure, args, task};
use crate::protocol::message::{ModifyOperation, Scope};
use crate::protocol::request;
use crate::task::State;

const EXAMPLES: &str = "Exit codes: 0 done, 1 not done.

Examples:
  manage-tasks
      of the instance at hand; lets a person choose on a terminal
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
    /// Print a table of all tasks. Without any of these options the tool offers a menu on a terminal, and prints the table
    /// elsewhere.
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
    let asks = options.admin.asks() && !options.summary && options.info.is_none() && options.cancel.is_none();
    if asks {
        while interact(&mut client)? {}
        return Ok(ExitCode::SUCCESS);
    }
    let tasks = read(&mut client)?;
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

/// All tasks, by their ids.
fn read(client: &mut Client) -> Result<Vec<PlainEntry>, Failure> {
    let mut entries = plain_search(client, "cn=Tasks", Scope::Subtree, &[])?;
    if entries.is_empty() {
        return Err(Failure::new("the tasks cannot be read: that takes the privilege config-read"));
    }
    entries.retain(|entry| entry.first("ds-task-class-name").is_some());
    entries.sort_by(|one, other| id(one).cmp(id(other)));
    Ok(entries)
}

fn id(entry: &PlainEntry) -> &str {
    entry.first("ds-task-id").unwrap_or_default()
}

fn find<'a>(tasks: &'a [PlainEntry], wanted: &str) -> Result<&'a PlainEntry, Failure> {
    let found = tasks.iter().find(|entry| id(entry) == wanted);
    found.ok_or_else(|| Failure::new(format!("there is no task {wanted}; --summary lists them")))
}

/// A menu of these tasks.
fn choose(title: &str, tasks: &[PlainEntry], keys: &[(char, &str)]) -> Result<Choice, Failure> {
    let table = summary(tasks);
    let mut lines = table.lines().map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned());
    // The titles stand above the items, behind their numbers.
    let head: Vec<String> = lines.by_ref().take(2).map(|line| format!("\n         {line}")).collect();
    let title =
        if tasks.is_empty() { "No tasks exist".to_owned() } else { format!("{title}\n{}", head.concat()) };
    prompt::menu(&title, &lines.collect::<Vec<_>>(), keys)
}

/// One turn of the menu; false to quit.
fn interact(client: &mut Client) -> Result<bool, Failure> {
    let tasks = read(client)?;
    let keys = [('r', "refresh"), ('c', "cancel a task"), ('q', "quit")];
    let shown = match choose("Tasks", &tasks, &keys)? {
        Choice::Item(place) => tasks.get(place),
        Choice::Key('c') => {
            let open = |entry: &PlainEntry| !state(entry).is_some_and(State::is_done);
            let tasks: Vec<PlainEntry> = tasks.into_iter().filter(open).collect();
            let keys = [('b', "back"), ('q', "quit")];
            match choose("Which one is to be canceled?", &tasks, &keys)? {
                Choice::Item(place) => tasks.get(place).into_iter().for_each(|task| end(client, task)),
                Choice::Key(key) => return Ok(key != 'q'),
            }
            None
        }
        Choice::Key(key) => return Ok(key != 'q'),
    };
    let Some(shown) = shown.map(|task| id(task).to_owned()) else { return Ok(true) };
    loop {
        let tasks = read(client)?;
        let Ok(task) = find(&tasks, &shown) else {
            println!("The task {shown} is not there any more.");
            return Ok(true);
        };
        print!("{}", details(task));
        let mut keys = vec![('r', "refresh"), ('b', "back"), ('q', "quit")];
        if !state(task).is_some_and(State::is_done) {
            keys.insert(1, ('c', "cancel the task"));
        }
        match prompt::menu(&format!("Task {shown}"), &[], &keys)? {
            Choice::Key('c') => end(client, task),
            Choice::Key('r') => {}
            choice => return Ok(choice != Choice::Key('q')),
        }
    }
}

/// Ends a task and says so, or why not.
fn end(client: &mut Client, task: &PlainEntry) {
    match cancel(client, task, id(task)) {
        Ok(()) => println!("Task {} canceled", id(task)),
        Err(failure) => println!("{}", failure.text),
    }
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

fn summary(tasks: &[PlainEntry]) -> String {
    let row = |entry: &PlainEntry| vec![id(entry).to_owned(), kind(entry), state_text(entry)];
    let rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
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
        assert_eq!(summary(&[verify, backup.clone()]), wanted);
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
