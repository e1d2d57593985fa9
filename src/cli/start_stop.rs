//! `start-ds` and `stop-ds`.

use std::process::ExitCode;

use clap::Args;

use super::ldap::{AdminOptions, Client, wanted};
use super::{Failure, args, at_hand, process, serve, setup};
use crate::protocol::request;

const START_EXAMPLES: &str = "Examples:
  start-ds
      returns when the server serves
  start-ds --nodetach --quiet
      stays in the foreground";

#[derive(Debug, Clone, Args)]
#[command(after_help = START_EXAMPLES, disable_help_flag = true)]
pub(super) struct Start {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    at: args::At,
    /// Stay in the foreground.
    #[arg(short = 'N', long)]
    nodetach: bool,
    /// Accepted for scripts: the command returns when the server serves, or has ended.
    #[arg(short = 't', long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Say no more than errors.
    #[arg(short = 'Q', long)]
    quiet: bool,
    /// What to log while in the foreground.
    #[arg(long, env = "CTSD_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

const STOP_EXAMPLES: &str = "Examples:
  stop-ds
      stops the server of the instance at hand
  stop-ds --restart
  stop-ds --hostname cts.example.com --port 4444 --bindDN 'cn=Directory Manager' --bindPasswordFile pw --trustAll
      has a remote server stop (a task on it)";

#[derive(Debug, Clone, Args)]
#[command(after_help = STOP_EXAMPLES, disable_help_flag = true)]
pub(super) struct Stop {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    at: args::At,
    #[command(flatten)]
    admin: AdminOptions,
    /// Start it again.
    #[arg(short = 'R', long)]
    restart: bool,
    /// Why, for the server's log.
    #[arg(short = 'r', short_alias = 's', long = "stopReason", value_name = "TEXT")]
    stop_reason: Option<String>,
    /// When to stop: 0 is at once; yyyyMMddHHmmss in the server's time zone, with a Z behind it in UTC.
    #[arg(short = 't', long = "stopTime", value_name = "TIME")]
    stop_time: Option<String>,
    /// Seconds to wait for the server to end.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
}

pub(super) fn start(options: &Start) -> Result<ExitCode, Failure> {
    let instance = &options.at.instance;
    process::require_instance(instance)?;
    if options.nodetach {
        let start = args::Start { at: options.at.clone(), log: options.log.clone() };
        return serve::run(&start);
    }
    if let Some(pid) = process::running(instance) {
        if !options.quiet {
            println!("The server runs already, process {}.", pid.as_raw_nonzero());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let addresses = setup::start_in_background(instance)?;
    if !options.quiet {
        println!("The Directory Server has started successfully: {}", addresses.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn stop(options: &Stop) -> Result<ExitCode, Failure> {
    let connection = &options.admin.connection;
    let is_remote = connection.hostname.is_some() || connection.port.is_some();
    let time = options.stop_time.as_deref().filter(|time| *time != "0");
    if is_remote {
        return ask_to_stop(options.admin.open("stop-ds")?, options, time);
    }
    if time.is_some() {
        let (client, _) = at_hand::open("stop-ds", &options.at, &options.admin)?;
        return ask_to_stop(client, options, time);
    }
    let say = |text: &str| {
        if !options.admin.quiet {
            println!("{text}");
        }
    };
    say(&process::end(&options.at.instance, options.timeout)?);
    if !options.restart {
        return Ok(ExitCode::SUCCESS);
    }
    let addresses = setup::start_in_background(&options.at.instance)?;
    say(&format!("The Directory Server has started successfully: {}", addresses.join(", ")));
    Ok(ExitCode::SUCCESS)
}

/// Adds a shutdown task.
fn ask_to_stop(mut client: Client, options: &Stop, time: Option<&str>) -> Result<ExitCode, Failure> {
    let id = format!("stop-ds-{}", std::process::id());
    let dn = format!("ds-task-id={id},cn=Scheduled Tasks,cn=Tasks");
    let restart = options.restart.to_string();
    let mut attributes: Vec<(&str, Vec<&[u8]>)> = vec![
        ("objectClass", vec![b"top", b"ds-task", b"ds-task-shutdown"]),
        ("ds-task-id", vec![id.as_bytes()]),
        ("ds-task-class-name", vec![b"org.opends.server.tasks.ShutdownTask"]),
        ("ds-task-restart-server", vec![restart.as_bytes()]),
    ];
    if let Some(reason) = &options.stop_reason {
        attributes.push(("ds-task-shutdown-message", vec![reason.as_bytes()]));
    }
    if let Some(time) = time {
        attributes.push(("ds-task-scheduled-start-time", vec![time.as_bytes()]));
    }
    let list: Vec<request::Attribute<'_>> =
        attributes.iter().map(|(name, values)| (*name, values.as_slice())).collect();
    let answer = client.ask(|out, id| request::add(out, id, &dn, &list, &[]))?;
    wanted("The shutdown task was not scheduled", &dn, answer)?;
    let what = if options.restart { "restart" } else { "stop" };
    println!(
        "The server was asked to {what}{}.",
        time.map_or_else(String::new, |time| format!(" at {time}"))
    );
    Ok(ExitCode::SUCCESS)
}
