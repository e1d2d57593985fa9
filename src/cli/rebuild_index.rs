//! `rebuild-index`: has a running server build indexes anew, or, if it is stopped, makes everything anew from the log.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::process::Lock;
use super::{Failure, serve, task};
use crate::backend::{Rebuild, StartProgress, TokenStore};
use crate::config::Instance;
use crate::server::{Opening, Server};

const EXAMPLES: &str = "Exit codes: 0 done, 1 not done.

Examples:
  rebuild-index --port 4444 --hostname cts.example.com --bindDN 'cn=Directory Manager' --bindPasswordFile pw \\
      --trustAll --baseDN dc=cts,dc=example,dc=com --rebuildAll --start 0
      waits until the indexes are in force; the old ones serve meanwhile
  rebuild-index --baseDN dc=cts,dc=example,dc=com --index coreTokenUserId -D 'cn=Directory Manager' -j pw
      of the instance at hand
  rebuild-index --baseDN dc=cts,dc=example,dc=com --rebuildAll
      of the instance at hand with its server stopped: names, counters of children, entry table and indexes are made
      anew from the log, whatever is asked for; --rebuildDegraded builds only what is missing";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    #[command(flatten)]
    task: task::TaskOptions,
    /// A base DN of the data store.
    #[arg(short = 'b', long = "baseDN", value_name = "DN", required = true)]
    base_dn: String,
    /// An index: its attribute, or attribute.kind; names and children: the tree of names, the counters of children.
    #[arg(short = 'i', long = "index", value_name = "INDEX")]
    index: Vec<String>,
    /// All indexes.
    #[arg(long = "rebuildAll", conflicts_with_all = ["index", "rebuild_degraded"])]
    rebuild_all: bool,
    /// The indexes that are not ready.
    #[arg(long = "rebuildDegraded", conflicts_with = "index")]
    rebuild_degraded: bool,
    /// Accepted for scripts: no index is believed to be ready on somebody's word, so those named are built if they are not.
    #[arg(long = "clearDegradedState", conflicts_with_all = ["rebuild_all", "rebuild_degraded"])]
    clear_degraded_state: bool,
    /// Accepted for scripts: nothing is written beside the indexes.
    #[arg(long, value_name = "DIR")]
    tmpdirectory: Option<String>,
}

/// With the server stopped: opens the store, without what it kept of its trees unless only the degraded are wanted.
fn offline(options: &Options) -> Result<ExitCode, Failure> {
    let instance = Instance::open(&options.task.head.at.instance)?;
    let _lock = Lock::take(&options.task.head.at.instance)?;
    let quiet = options.task.head.quiet;
    let print = move |progress: StartProgress| {
        if !quiet {
            println!("{progress}");
        }
    };
    let how = Opening {
        on_progress: Some(Arc::new(print)),
        makes_trees_anew: !options.rebuild_degraded && !options.clear_degraded_state,
    };
    serve::runtime()?.block_on(async {
        let server = Server::open_as(instance, how)?;
        let backend = server.backend();
        let unknown: Vec<String> =
            backend.unknown_indexes(&options.index).into_iter().map(str::to_owned).collect();
        let rebuilt = backend.rebuild(&Rebuild::Degraded, &mut |_, _| true);
        let entries = backend.entries();
        server.stop().await;
        if let Some(unknown) = unknown.first() {
            return Err(Failure::new(format!("there is no index {unknown}; all were rebuilt")));
        }
        rebuilt.map_err(|error| Failure::new(error.to_string()))?;
        if !quiet {
            println!("rebuilt names, counters and indexes of {entries} entries");
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let mut names: Vec<&str> = options.index.iter().map(String::as_str).collect();
    if options.rebuild_all {
        names.push("all");
    }
    if options.clear_degraded_state {
        names.clear();
    }
    if options.rebuild_degraded || options.clear_degraded_state {
        names.push("degraded");
    }
    if names.is_empty() {
        return Err(Failure::new("which indexes: --rebuildAll, --rebuildDegraded or --index NAME"));
    }
    let Some(mut client) = task::connect_for("rebuild-index", &options.task, task::Unnamed::Refused)? else {
        return offline(options);
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
