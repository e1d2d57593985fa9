//! `rebuild-index`: has a running server build indexes anew.

use std::process::ExitCode;

use clap::Args;

use super::ldap::AdminOptions;
use super::{Failure, args, task};

const EXAMPLES: &str = "Exit codes: 0 done, 1 not done.

Examples:
  rebuild-index --port 4444 --hostname cts.example.com --bindDN 'cn=Directory Manager' --bindPasswordFile pw \\
      --trustAll --baseDN dc=cts,dc=example,dc=com --rebuildAll --start 0
      waits until the indexes are in force; the old ones serve meanwhile
  rebuild-index --baseDN dc=cts,dc=example,dc=com --index coreTokenUserId -D 'cn=Directory Manager' -j pw
      of the instance at hand";

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
    /// A base DN of the data store.
    #[arg(short = 'b', long = "baseDN", value_name = "DN", required = true)]
    base_dn: String,
    /// An index: its attribute, or attribute.kind.
    #[arg(short = 'i', long = "index", value_name = "INDEX")]
    index: Vec<String>,
    /// All indexes.
    #[arg(long = "rebuildAll", conflicts_with_all = ["index", "rebuild_degraded"])]
    rebuild_all: bool,
    /// The indexes that are not ready.
    #[arg(long = "rebuildDegraded", conflicts_with = "index")]
    rebuild_degraded: bool,
    /// When to start: 0, at once, is what there is so far.
    #[arg(short = 't', long = "start", value_name = "TIME")]
    start: Option<String>,
    /// Return when the server has taken the task.
    #[arg(long = "noWait")]
    no_wait: bool,
    /// Accepted for scripts: nothing is written beside the indexes.
    #[arg(long, value_name = "DIR")]
    tmpdirectory: Option<String>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let mut names: Vec<&str> = options.index.iter().map(String::as_str).collect();
    if options.rebuild_all {
        names.push("all");
    }
    if options.rebuild_degraded {
        names.push("degraded");
    }
    if names.is_empty() {
        return Err(Failure::new("which indexes: --rebuildAll, --rebuildDegraded or --index NAME"));
    }
    let Some(mut client) = task::connect("rebuild-index", &options.at, &options.admin)? else {
        println!(
            "The server is stopped: there is nothing to rebuild. It verifies what it kept of its indexes when it \
             starts, and builds what is missing."
        );
        return Ok(ExitCode::SUCCESS);
    };
    let start: Vec<&str> = options.start.iter().map(String::as_str).collect();
    let order = task::Order {
        tool: "rebuild-index",
        class: "org.opends.server.tasks.RebuildTask",
        attributes: vec![
            ("ds-task-rebuild-base-dn", vec![&options.base_dn]),
            ("ds-task-rebuild-index", names),
            ("ds-task-scheduled-start-time", start),
        ],
    };
    if options.no_wait {
        let (id, _) = task::add(&mut client, &order)?;
        println!("Rebuild Index task {id} scheduled to start immediately");
        return Ok(ExitCode::SUCCESS);
    }
    let quiet = options.admin.quiet;
    let ended = task::run(&mut client, &order, |line| {
        if !quiet || line.starts_with("error") {
            println!("{line}");
        }
    })?;
    if !ended.succeeded {
        return Err(Failure::new(format!("Rebuild Index task {} did not complete", ended.id)));
    }
    println!("Rebuild Index task {} has been successfully completed", ended.id);
    Ok(ExitCode::SUCCESS)
}
