//! `export-ldif`: writes the data store as LDIF, from the running server or, if it is stopped, from here.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::transfer::{Chosen, Here, absolute, flag, text};
use super::{Failure, task};
use crate::backend::DataStore;
use crate::transfer::{ExportJob, TransferError};

const EXAMPLES: &str = "What is written is the data at one moment, after every change that was acknowledged before: clients go on meanwhile. Parents
stand before their children, so the file can be imported.

Exit codes: 0 done, 1 not done.

Examples:
  export-ldif --backendID userRoot --ldifFile tokens.ldif
      with the server stopped
  export-ldif --port 4444 --hostname cts.example.com --bindDN 'cn=Directory Manager' --bindPasswordFile pw --trustAll \\
      --backendID userRoot --includeBranch ou=tokens,dc=cts,dc=example,dc=com --ldifFile /data/tokens.ldif.gz --compress
      from a server that runs, into a file of its machine";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    #[command(flatten)]
    task: task::TaskOptions,
    #[command(flatten)]
    choice: Chosen,
    /// The data store's name.
    #[arg(short = 'n', long = "backendID", value_name = "BACKEND", required = true)]
    backend_id: String,
    /// The LDIF file.
    #[arg(short = 'l', long = "ldifFile", value_name = "FILE", required = true)]
    ldif_file: PathBuf,
    /// Continue the file instead of beginning it anew.
    #[arg(short = 'a', long = "appendToLDIF")]
    append: bool,
    /// Leave operational attributes out.
    #[arg(short = 'O', long = "excludeOperational")]
    exclude_operational: bool,
    /// Fold lines at this column; 0: do not.
    #[arg(long = "wrapColumn", value_name = "COLUMN", default_value_t = 0)]
    wrap_column: u32,
    /// Compress with gzip.
    #[arg(short = 'c', long = "compress", alias = "compressLDIF")]
    compress: bool,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    match task::connect_for("export-ldif", &options.task, task::Unnamed::Served)? {
        Some(mut client) => {
            let file = absolute(&options.ldif_file)?;
            let column = options.wrap_column.to_string();
            let mut attributes = vec![
                ("ds-task-export-ldif-file", text(Some(&file))),
                ("ds-task-export-backend-id", text(Some(&options.backend_id))),
                ("ds-task-export-append-to-ldif", flag(options.append)),
                ("ds-task-export-compress-ldif", flag(options.compress)),
                ("ds-task-export-wrap-column", text(Some(&column).filter(|_| options.wrap_column > 0))),
                (
                    "ds-task-export-include-operational-attributes",
                    if options.exclude_operational { vec!["false"] } else { Vec::new() },
                ),
            ];
            attributes.extend(options.choice.attributes([
                "ds-task-export-include-branch",
                "ds-task-export-exclude-branch",
                "ds-task-export-include-attribute",
                "ds-task-export-exclude-attribute",
                "ds-task-export-include-filter",
                "ds-task-export-exclude-filter",
            ]));
            let order = task::Order {
                title: "Export",
                class: "org.opends.server.tasks.ExportTask",
                object_class: "ds-task-export",
                attributes,
            };
            task::hand_over(&mut client, &order, &options.task)
        }
        None => {
            let here = Here::open(&options.task.head.at, Some(&options.backend_id))?;
            let job = ExportJob {
                file: options.ldif_file.clone(),
                append: options.append,
                compress: options.compress,
                wrap: options.wrap_column as usize,
                exclude_operational: options.exclude_operational,
                choice: options.choice.choice(),
            };
            here.watched(options.task.head.quiet, |watch| {
                let store = DataStore::open(here.data.clone()).map_err(TransferError::from)?.current();
                let schema = here.data.schema.current();
                let report = job.run(&store, &schema, watch);
                store.close();
                report
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
