//! `rebuild-index`: has a running server build indexes anew.

use std::process::ExitCode;

use clap::Args;

use super::{Failure, task};

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
    #[command(flatten)]
    task: task::TaskOptions,
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
    let Some(mut client) = task::connect_for("rebuild-index", &options.task)? else {
        println!(
            "The server is stopped: there is nothing to rebuild. It verifies what it kept of its indexes when it \
             starts, and builds what is missing."
        );
        return Ok(ExitCode::SUCCESS);
    };
    let order = task::Order {
        title: "Rebuild Index",
        class: "org.opends.server.tasks.RebuildTask",
        object_class: "ds-task-rebuild",
        attributes: vec![
            ("ds-task-rebuild-base-dn", vec![&options.base_dn]),
            ("ds-task-rebuild-index", names),
        ],
    };
    task::hand_over(&mut client, &order, &options.task)
}
