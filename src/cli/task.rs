//! Handing a task to a running server, and following it to its end.

use std::time::Duration;

use super::ldap::{AdminOptions, Client, plain_search, wanted};
use super::{Failure, args, process};
use crate::clock::{Clock, SystemClock};
use crate::protocol::message::Scope;
use crate::protocol::request;

/// A task to be added; attributes beside its name.
pub(super) struct Order<'a> {
    /// The tool.
    pub(super) tool: &'static str,
    /// `ds-task-class-name`.
    pub(super) class: &'static str,
    /// More attributes.
    pub(super) attributes: Vec<(&'a str, Vec<&'a str>)>,
}

/// How a task ended.
pub(super) struct Ended {
    pub(super) id: String,
    /// Whether it completed successfully.
    pub(super) succeeded: bool,
}

/// A connection to the server: the one that the options name, or the instance's own if it runs. None if it does not.
pub(super) fn connect(
    tool: &'static str,
    at: &args::At,
    admin: &AdminOptions,
) -> Result<Option<Client>, Failure> {
    let connection = &admin.connection;
    if connection.hostname.is_some() || connection.port.is_some() {
        return admin.open(tool).map(Some);
    }
    process::require_instance(&at.instance)?;
    if process::running(&at.instance).is_none() {
        return Ok(None);
    }
    let addresses = process::serving(&at.instance).ok_or_else(|| {
        Failure::new("the server is starting; try again when it serves (`ctsd status` tells)")
    })?;
    let secret = at.instance.join("config/secrets/directory-manager.password");
    let client = admin.open_local(tool, &addresses, &secret)?;
    client.map(Some).ok_or_else(|| {
        Failure::new(format!(
            "the server of {} runs, so it does the work itself: say who asks for it, with --bindDN DN and \
             --bindPasswordFile FILE (or --bindPassword), for example\n  {tool} --bindDN 'cn=Directory Manager' \
             --bindPasswordFile password.txt --baseDN dc=cts,dc=example,dc=com",
            at.instance.display()
        ))
    })
}

/// What a line of `ds-task-log-message` says.
fn message(line: &str) -> &str {
    let text = line.split_once(" message=\"").map_or(line, |(_, text)| text);
    text.strip_suffix('"').unwrap_or(text)
}

/// Adds the task; gives its id and DN.
pub(super) fn add(client: &mut Client, order: &Order<'_>) -> Result<(String, String), Failure> {
    let id = format!("{}-{}-{}", order.tool, SystemClock::new().wall_ms(), std::process::id());
    let dn = format!("ds-task-id={id},cn=Scheduled Tasks,cn=Tasks");
    let mut owned: Vec<(&str, Vec<&[u8]>)> = vec![
        ("objectClass", vec![b"top", b"ds-task", b"ds-task-rebuild"]),
        ("ds-task-id", vec![id.as_bytes()]),
        ("ds-task-class-name", vec![order.class.as_bytes()]),
    ];
    for (name, values) in order.attributes.iter().filter(|(_, values)| !values.is_empty()) {
        owned.push((name, values.iter().map(|value| value.as_bytes()).collect()));
    }
    let list: Vec<request::Attribute<'_>> =
        owned.iter().map(|(name, values)| (*name, values.as_slice())).collect();
    let answer = client.ask(|out, id| request::add(out, id, &dn, &list, &[]))?;
    wanted("The server does not take the task", &dn, answer)?;
    Ok((id, dn))
}

/// Adds the task and waits for its end; `line` is told each line of its log.
pub(super) fn run(
    client: &mut Client,
    order: &Order<'_>,
    mut line: impl FnMut(&str),
) -> Result<Ended, Failure> {
    let (id, dn) = add(client, order)?;
    let mut told: Vec<String> = Vec::new();
    let mut pause = Duration::from_millis(20);
    loop {
        let found = plain_search(client, &dn, Scope::Base, &["ds-task-state", "ds-task-log-message"])?;
        let Some(entry) = found.first() else {
            return Err(Failure::new(format!(
                "the task {id} is gone from cn=Tasks: did the server restart?"
            )));
        };
        for text in entry.values("ds-task-log-message") {
            if !told.contains(text) {
                line(message(text));
                told.push(text.clone());
            }
        }
        match entry.first("ds-task-state") {
            Some("RUNNING") | None => {}
            Some(state) => return Ok(Ended { id, succeeded: state == "COMPLETED_SUCCESSFULLY" }),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
