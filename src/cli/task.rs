//! Handing a task to a running server, and following it to its end: what all task tools have in common.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::ldap::{AdminOptions, Answer, Client, ConnectionOptions, plain_search, wanted};
use super::{Failure, args, process};
use crate::clock::{Clock, SystemClock};
use crate::protocol::message::Scope;
use crate::protocol::request;
use crate::protocol::result::ResultCode;

/// Which server, and who asks it: a running one over its administration port, or the instance at hand. Unlike other
/// administration tools those for tasks need `-n` and `-I` for options of their own.
#[derive(Debug, Clone, Args)]
pub(super) struct Head {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    pub(super) at: args::At,
    #[command(flatten)]
    connection: ConnectionOptions,
    /// Bind as this administrator of the replication topology, instead of --bindDN.
    #[arg(long = "adminUID", value_name = "UID", conflicts_with = "bind_dn")]
    admin_uid: Option<String>,
    /// Do it here, with the server stopped.
    #[arg(long)]
    offline: bool,
    /// Never ask; what is missing is an error.
    #[arg(long = "no-prompt")]
    no_prompt: bool,
    /// Say no more than errors.
    #[arg(short = 'Q', long)]
    pub(super) quiet: bool,
}

impl Head {
    pub(super) fn admin(&self) -> AdminOptions {
        AdminOptions {
            connection: self.connection.clone(),
            admin_uid: self.admin_uid.clone(),
            no_prompt: self.no_prompt,
            quiet: self.quiet,
        }
    }
}

/// What becomes of a task when one that it depends on fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailedDependencyAction {
    /// It runs all the same.
    Process,
    /// It is canceled.
    Cancel,
    /// It is disabled until somebody changes its state.
    Disable,
}

/// What every tool has that can hand its work to the server as a task.
#[derive(Debug, Clone, Args)]
pub(super) struct TaskOptions {
    #[command(flatten)]
    pub(super) head: Head,
    #[command(flatten)]
    pub(super) when: When,
}

/// When a task is done, and who is told.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Task options")]
pub(super) struct When {
    /// When to start: 0 is at once; yyyyMMddHHmmss in the server's time zone, with a Z behind it in UTC.
    #[arg(short = 't', long = "start", value_name = "TIME", conflicts_with = "recurring_task")]
    pub(super) start: Option<String>,
    /// Do it again and again: minute, hour, day of the month, month, day of the week, as in crontab(5).
    #[arg(long = "recurringTask", value_name = "SCHEDULE")]
    pub(super) recurring_task: Option<String>,
    /// An address to write to when the task has ended; may be given several times.
    #[arg(long = "completionNotify", value_name = "ADDRESS")]
    pub(super) completion_notify: Vec<String>,
    /// An address to write to when the task has failed; may be given several times.
    #[arg(long = "errorNotify", value_name = "ADDRESS")]
    pub(super) error_notify: Vec<String>,
    /// A task that has to end first; may be given several times.
    #[arg(long, value_name = "TASK")]
    pub(super) dependency: Vec<String>,
    /// What to do if such a task fails [default: cancel].
    #[arg(
        long = "failedDependencyAction",
        value_enum,
        ignore_case = true,
        value_name = "ACTION",
        requires = "dependency"
    )]
    pub(super) failed_dependency_action: Option<FailedDependencyAction>,
    /// Return when the server has taken the task.
    #[arg(long = "noWait")]
    pub(super) no_wait: bool,
}

impl When {
    /// Whether anything asks for more than doing the work here and now: then a server has to run.
    pub(super) fn needs_server(&self) -> bool {
        self.recurring_task.is_some()
            || self.start.as_deref().is_some_and(|start| start != "0")
            || !self.dependency.is_empty()
            || !self.completion_notify.is_empty()
            || !self.error_notify.is_empty()
    }
}

/// A task to be added; attributes beside its name and times.
pub(super) struct Order<'a> {
    /// What people call it: `Backup`.
    pub(super) title: &'static str,
    /// `ds-task-class-name`.
    pub(super) class: &'static str,
    /// Its object class beside `ds-task`.
    pub(super) object_class: &'static str,
    /// More attributes; those without values are left out.
    pub(super) attributes: Vec<(&'a str, Vec<&'a str>)>,
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It is in the server's hands.
    Taken(String),
    /// It ended, successfully or not.
    Over { id: String, succeeded: bool },
}

/// What becomes of a tool that is called without a word about who asks, while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// The server does it for its own user, by the administration socket.
    Served,
    /// It is refused: with the reference server it needs the server stopped, because it takes the data's place.
    Refused,
}

/// A connection to the server: the one that the options name, or the instance's own if it runs. None if it does not.
pub(super) fn connect(
    tool: &'static str,
    at: &args::At,
    admin: &AdminOptions,
    unnamed: Unnamed,
) -> Result<Option<Client>, Failure> {
    if admin.names_server(tool)? {
        return admin.open(tool).map(Some);
    }
    process::require_instance(&at.instance)?;
    if process::running(&at.instance).is_none() {
        return Ok(None);
    }
    let addresses = process::serving(&at.instance).ok_or_else(|| {
        Failure::new("the server is starting; try again when it serves (`ctsd status` tells)")
    })?;
    let mut why = String::new();
    if unnamed == Unnamed::Served && admin.names_nobody(tool)? {
        match admin.open_socket(&process::socket(&at.instance)) {
            Ok(client) => return Ok(Some(client)),
            Err(failure) => why = format!(" (its administration socket: {})", failure.text),
        }
    }
    let secret = at.instance.join("config/secrets/directory-manager.password");
    let client = admin.open_local(tool, &addresses, &secret)?;
    client.map(Some).ok_or_else(|| {
        let or = if unnamed == Unnamed::Refused { "stop it first (stop-ds), or " } else { "" };
        Failure::new(format!(
            "the server of {} runs, and holds the data{why}: {or}say who asks it to do the work, with --bindDN DN and \
             --bindPasswordFile FILE (or --bindPassword), for example\n  {tool} --bindDN 'cn=Directory Manager' \
             --bindPasswordFile password.txt …",
            at.instance.display()
        ))
    })
}

/// As [`connect`]; with the server stopped, fails if the options ask for more than doing the work here and now.
pub(super) fn connect_for(
    tool: &'static str,
    options: &TaskOptions,
    unnamed: Unnamed,
) -> Result<Option<Client>, Failure> {
    let instance = &options.head.at.instance;
    let client = if options.head.offline {
        process::require_instance(instance)?;
        if process::running(instance).is_some() {
            let text = format!(
                "the server of {} runs, and --offline does the work with it stopped: stop it first (stop-ds), or leave \
                 --offline out",
                instance.display()
            );
            return Err(Failure::new(text));
        }
        None
    } else {
        connect(tool, &options.head.at, &options.head.admin(), unnamed)?
    };
    if client.is_none() && options.when.needs_server() {
        return Err(Failure::new(
            "the server is stopped: --start, --recurringTask, --dependency, --completionNotify and --errorNotify \
             need a running one",
        ));
    }
    Ok(client)
}

/// What a line of `ds-task-log-message` says.
fn message(line: &str) -> &str {
    let text = line.split_once(" message=\"").map_or(line, |(_, text)| text);
    text.strip_suffix('"').unwrap_or(text)
}

/// The class without its package.
fn short(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// `yyyyMMddHHmmssSSS`, as the reference server's tools name tasks.
fn stamp(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y%m%d%H%M%S%3f").to_string()
}

/// Adds the task; gives its id and DN.
pub(super) fn add(client: &mut Client, order: &Order<'_>, when: &When) -> Result<(String, String), Failure> {
    let now_ms = SystemClock::new().wall_ms();
    // Two tools of the same millisecond: the second one takes the next.
    for later in 0..20 {
        let stamp = stamp(now_ms + later);
        let (id, dn) = match &when.recurring_task {
            Some(_) => {
                let id = format!("{}-{stamp}", short(order.class));
                let dn = format!("ds-recurring-task-id={id},cn=Recurring Tasks,cn=Tasks");
                (id, dn)
            }
            None => {
                let dn = format!("ds-task-id={stamp},cn=Scheduled Tasks,cn=Tasks");
                (stamp, dn)
            }
        };
        let answer = send(client, order, when, &id, &dn)?;
        if answer.result.code != ResultCode::ENTRY_ALREADY_EXISTS {
            wanted("The server does not take the task", &dn, answer)?;
            return Ok((id, dn));
        }
    }
    Err(Failure::new("the server has a task of each name that was tried"))
}

fn send(client: &mut Client, order: &Order<'_>, when: &When, id: &str, dn: &str) -> Result<Answer, Failure> {
    let mut classes = vec!["top", "ds-task"];
    let mut own: Vec<(&str, Vec<&str>)> = vec![("ds-task-id", vec![id])];
    if let Some(schedule) = &when.recurring_task {
        classes.push("ds-recurring-task");
        own.push(("ds-recurring-task-id", vec![id]));
        own.push(("ds-recurring-task-schedule", vec![schedule]));
    }
    if order.object_class != "ds-task" {
        classes.push(order.object_class);
    }
    own.push(("objectClass", classes));
    own.push(("ds-task-class-name", vec![order.class]));
    let start = when.start.as_deref().filter(|start| *start != "0");
    own.push(("ds-task-scheduled-start-time", start.into_iter().collect()));
    own.push(("ds-task-notify-on-completion", when.completion_notify.iter().map(String::as_str).collect()));
    own.push(("ds-task-notify-on-error", when.error_notify.iter().map(String::as_str).collect()));
    own.push(("ds-task-dependency-id", when.dependency.iter().map(String::as_str).collect()));
    let action = when.failed_dependency_action.map(|action| match action {
        FailedDependencyAction::Process => "PROCESS",
        FailedDependencyAction::Cancel => "CANCEL",
        FailedDependencyAction::Disable => "DISABLE",
    });
    own.push(("ds-task-failed-dependency-action", action.into_iter().collect()));
    own.extend(order.attributes.iter().cloned());
    let owned: Vec<(&str, Vec<&[u8]>)> = own
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| (name, values.into_iter().map(str::as_bytes).collect()))
        .collect();
    let list: Vec<request::Attribute<'_>> =
        owned.iter().map(|(name, values)| (*name, values.as_slice())).collect();
    Ok(client.ask(|out, id| request::add(out, id, dn, &list, &[]))?)
}

/// Adds the task and waits for its end, unless it is to start later or again and again, or `--noWait` says not to; `line`
/// is told each line of its log.
pub(super) fn run(
    client: &mut Client,
    order: &Order<'_>,
    when: &When,
    mut line: impl FnMut(&str),
) -> Result<Ended, Failure> {
    let (id, dn) = add(client, order, when)?;
    let is_later = when.start.as_deref().is_some_and(|start| start != "0");
    if when.recurring_task.is_some() || is_later || when.no_wait {
        return Ok(Ended::Taken(id));
    }
    let mut told = 0;
    let mut pause = Duration::from_millis(20);
    loop {
        let found = plain_search(client, &dn, Scope::Base, &["ds-task-state", "ds-task-log-message"])?;
        let Some(entry) = found.first() else {
            return Err(Failure::new(format!(
                "the task {id} is gone from cn=Tasks: did the server restart?"
            )));
        };
        let log = entry.values("ds-task-log-message");
        log.iter().skip(told).for_each(|text| line(message(text)));
        told = told.max(log.len());
        let state = entry.first("ds-task-state").and_then(crate::task::State::by_name);
        if let Some(state) = state.filter(|state| state.is_done()) {
            return Ok(Ended::Over { id, succeeded: state.is_success() });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Hands a task over and tells a person what becomes of it, as the reference server's tools do: exit code 0 if it was
/// taken, or has ended successfully, 1 otherwise.
pub(super) fn hand_over(
    client: &mut Client,
    order: &Order<'_>,
    options: &TaskOptions,
) -> Result<ExitCode, Failure> {
    let quiet = options.head.quiet;
    let ended = run(client, order, &options.when, |line| {
        if !quiet || line.starts_with("error") {
            println!("{line}");
        }
    })?;
    match ended {
        Ended::Taken(id) => {
            say_taken(order, &options.when, &id);
            Ok(ExitCode::SUCCESS)
        }
        Ended::Over { id, succeeded: true } => {
            println!("{} task {id} has been successfully completed", order.title);
            Ok(ExitCode::SUCCESS)
        }
        Ended::Over { id, .. } => {
            Err(Failure::new(format!("{} task {id} did not complete successfully", order.title)))
        }
    }
}

/// Says that the server has taken a task.
pub(super) fn say_taken(order: &Order<'_>, when: &When, id: &str) {
    let title = order.title;
    match (&when.recurring_task, when.start.as_deref()) {
        (Some(_), _) => println!("Recurring {title} task {id} scheduled successfully"),
        (None, Some(start)) if start != "0" => println!("{title} task {id} scheduled to start {start}"),
        _ => println!("{title} task {id} scheduled to start immediately"),
    }
}
