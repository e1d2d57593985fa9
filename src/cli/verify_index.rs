//! `verify-index`: compares indexes with entries, on the running server or, if it is stopped, here. And `backend stat`,
//! which asks the same way.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::process::Lock;
use super::{Failure, args, serve, task};
use crate::config::Instance;
use crate::server::Server;
use crate::task::{Done, Handle, figures, verify};

const EXAMPLES: &str = "Exit codes: 0 no differences, 1 differences, or it could not be done.

Examples:
  verify-index --baseDN dc=cts,dc=example,dc=com
      of the instance at hand, whether its server runs or not; for the user that the server runs as, and root
  verify-index --port 4444 --hostname cts.example.com -D 'cn=Directory Manager' -j pw --trustAll \\
      --baseDN dc=cts,dc=example,dc=com --index coreTokenUserId --countErrors";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    #[command(flatten)]
    task: task::TaskOptions,
    /// A base DN of the data store.
    #[arg(short = 'b', long = "baseDN", value_name = "DN", required = true)]
    base_dn: String,
    /// An index: its attribute, or attribute.kind; all, and names, counters, entries and log, if none is named.
    #[arg(short = 'i', long = "index", value_name = "INDEX")]
    index: Vec<String>,
    /// Accepted for scripts: both directions are always compared.
    #[arg(short = 'c', long)]
    clean: bool,
    /// Print no more than how many differences there are.
    #[arg(long = "countErrors")]
    count_errors: bool,
}

/// `ctsd backend …`.
#[derive(Debug, Clone, Args)]
pub(super) struct Backend {
    #[command(subcommand)]
    command: BackendCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum BackendCommand {
    /// Print sizes: entries, log, cache, memory by tree.
    #[command(disable_help_flag = true)]
    Stat(Stat),
}

#[derive(Debug, Clone, Args)]
struct Stat {
    #[command(flatten)]
    task: task::TaskOptions,
}

/// How many differences the summary line tells.
fn differences(line: &str) -> Option<&str> {
    line.strip_prefix("verified ")?.rsplit_once("differences=").map(|(_, count)| count)
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let count_errors = options.count_errors;
    let print = move |line: &str| match (count_errors, differences(line)) {
        (true, Some(count)) => println!("differences={count}"),
        (true, None) if !line.starts_with("error") => {}
        _ => println!("{line}"),
    };
    let succeeded = match task::connect_for("verify-index", &options.task, task::Unnamed::Served)? {
        Some(mut client) => {
            let order = task::Order {
                title: "Verify Index",
                class: "ds-task-verify",
                object_class: "ds-task-rebuild",
                attributes: vec![
                    ("ds-task-rebuild-base-dn", vec![&options.base_dn]),
                    ("ds-task-rebuild-index", options.index.iter().map(String::as_str).collect()),
                ],
            };
            match task::run(&mut client, &order, &options.task.when, print)? {
                task::Ended::Over { succeeded, .. } => succeeded,
                task::Ended::Taken(id) => {
                    task::say_taken(&order, &options.task.when, &id);
                    true
                }
            }
        }
        None => {
            stopped(&options.task.head.at, |server| {
                let names = (!options.index.is_empty()).then_some(options.index.as_slice());
                let handle = Handle::detached(move |_, line| print(line));
                verify(&server.backend(), names, &handle)
            })?
            .map_err(Failure::new)?
                == Done::Successfully
        }
    };
    Ok(ExitCode::from(u8::from(!succeeded)))
}

/// Opens the store of an instance whose server is stopped.
pub(super) fn stopped<T>(at: &args::At, work: impl FnOnce(&Server) -> T) -> Result<T, Failure> {
    let instance = Instance::open(&at.instance)?;
    let _lock = Lock::take(&at.instance)?;
    serve::runtime()?.block_on(async {
        let server = Server::open(instance)?;
        let done = work(&server);
        server.stop().await;
        Ok(done)
    })
}

pub(super) fn backend(options: &Backend) -> Result<ExitCode, Failure> {
    let BackendCommand::Stat(stat) = &options.command;
    match task::connect_for("backend", &stat.task, task::Unnamed::Served)? {
        Some(mut client) => {
            let order = task::Order {
                title: "Backend Statistics",
                class: "ds-task-backend-stat",
                object_class: "ds-task",
                attributes: Vec::new(),
            };
            task::run(&mut client, &order, &stat.task.when, |line| println!("{line}"))?;
        }
        None => {
            let lines = stopped(&stat.task.head.at, |server| figures(&server.backend()))?;
            lines.iter().for_each(|line| println!("{line}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
