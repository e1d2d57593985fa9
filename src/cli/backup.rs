//! `backup`: copies the data, the configuration and the schema, on the running server or, if it is stopped, here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::verify_index::stopped;
use super::{Failure, task};
use crate::backup::{Options as How, Order, Site, Watch, default_id};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigStore, Instance};
use crate::schema::{Schema, SchemaStore};
use crate::task::{Following, Handle};

const EXAMPLES: &str = "Backends are the data store (userRoot), config, schema and, once there are any, tasks. A backup of the
data is one moment of it, whole; nobody waits while it is made. Every backup is hashed.

--encrypt and --signHash use the key in config/backup.key of the instance, which is made when it is first needed. It is in no
backup: keep a copy of it elsewhere, or what it encrypted is lost with the instance.

Exit codes: 0 done, 1 not done.

Examples:
  backup --port 4444 --bindDN 'cn=Directory Manager' --bindPasswordFile pw --trustAll \\
      --backendID userRoot --backupDirectory /backup/userRoot --compress --recurringTask '15 * * * *' \\
      --completionNotify backupadmin@example.com --errorNotify backupadmin@example.com
      each hour, a quarter past
  backup --backUpAll --backupDirectory /backup --compress --hash --signHash
      everything, with the server stopped; each backend into a directory of its own
  backup -n userRoot -d /backup/userRoot --incremental
      what is new since the last backup in there";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    #[command(flatten)]
    task: task::TaskOptions,
    /// A backend; may be given several times.
    #[arg(short = 'n', long = "backendID", value_name = "BACKEND", conflicts_with = "back_up_all")]
    backend_id: Vec<String>,
    /// All backends.
    #[arg(short = 'a', long = "backUpAll")]
    back_up_all: bool,
    /// Where the backups go; from the instance directory unless absolute. Each of several backends gets a directory in it
    /// [default: bak/BACKEND].
    #[arg(short = 'd', long = "backupDirectory", value_name = "DIR")]
    backup_directory: Option<PathBuf>,
    /// The backup's id [default: the time, yyyyMMddHHmmssZ].
    #[arg(short = 'I', long = "backupID", value_name = "ID")]
    backup_id: Option<String>,
    /// Copy only what is new or changed since an earlier backup in the directory, which is needed to restore this one.
    #[arg(short = 'i', long)]
    incremental: bool,
    /// The earlier backup [default: the newest one].
    #[arg(short = 'B', long = "incrementalBaseID", value_name = "ID", requires = "incremental")]
    incremental_base_id: Option<String>,
    /// Compress.
    #[arg(short = 'c', long)]
    compress: bool,
    /// Encrypt with the instance's key.
    #[arg(short = 'y', long)]
    encrypt: bool,
    /// Hash (every backup is).
    #[arg(short = 'A', long)]
    hash: bool,
    /// Sign the hash with the instance's key.
    #[arg(short = 's', long = "signHash", requires = "hash")]
    sign_hash: bool,
}

impl Options {
    fn directory(&self) -> PathBuf {
        match (&self.backup_directory, self.backend_id.as_slice()) {
            (Some(directory), _) => directory.clone(),
            (None, [one]) => Path::new("bak").join(one),
            (None, _) => PathBuf::from("bak"),
        }
    }
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    if options.backend_id.is_empty() && !options.back_up_all {
        return Err(Failure::new("what to back up: --backendID BACKEND, or --backUpAll"));
    }
    match task::connect_for("backup", &options.task, task::Unnamed::Served)? {
        Some(mut client) => {
            let directory = options.directory();
            let directory =
                directory.to_str().ok_or_else(|| Failure::new("the backup directory's name is not UTF-8"))?;
            let flag = |is_set: bool| if is_set { vec!["true"] } else { Vec::new() };
            let order = task::Order {
                title: "Backup",
                class: "org.opends.server.tasks.BackupTask",
                object_class: "ds-task-backup",
                attributes: vec![
                    ("ds-backup-directory-path", vec![directory]),
                    ("ds-backup-id", options.backup_id.iter().map(String::as_str).collect()),
                    ("ds-task-backup-backend-id", options.backend_id.iter().map(String::as_str).collect()),
                    ("ds-task-backup-all", flag(options.back_up_all)),
                    ("ds-task-backup-incremental", flag(options.incremental)),
                    (
                        "ds-task-backup-incremental-base-id",
                        options.incremental_base_id.iter().map(String::as_str).collect(),
                    ),
                    ("ds-task-backup-compress", flag(options.compress)),
                    ("ds-task-backup-encrypt", flag(options.encrypt)),
                    ("ds-task-backup-hash", flag(options.hash)),
                    ("ds-task-backup-sign-hash", flag(options.sign_hash)),
                ],
            };
            task::hand_over(&mut client, &order, &options.task)
        }
        None => here(options),
    }
}

/// Makes the backup of an instance whose server is stopped.
fn here(options: &Options) -> Result<ExitCode, Failure> {
    let at = &options.task.head.at;
    let here = Here::open(&at.instance)?;
    let order = Order {
        backends: options.backend_id.clone(),
        directory: options.directory(),
        options: How {
            id: options.backup_id.clone().unwrap_or_else(|| default_id(here.now_ms)),
            is_incremental: options.incremental,
            base: options.incremental_base_id.clone(),
            compresses: options.compress,
            encrypts: options.encrypt,
            signs: options.sign_hash,
        },
    };
    let handle = printing(options.task.head.quiet);
    let site = here.site();
    if site.needs_store(&order)? {
        stopped(at, |server| site.back_up(&order, Some(&server.backend()), &Following(&handle)))??;
    } else {
        site.back_up(&order, None, &Following(&handle))?;
    }
    Following(&handle).say("The backup is complete".to_owned());
    Ok(ExitCode::SUCCESS)
}

/// Prints what a task would log.
pub(super) fn printing(quiet: bool) -> Handle {
    Handle::detached(move |_, line| {
        if !quiet {
            println!("{line}");
        }
    })
}

/// An instance read from its files.
pub(super) struct Here {
    pub(super) instance: Instance,
    config: Option<Arc<Config>>,
    schema: Arc<Schema>,
    now_ms: u64,
}

impl Here {
    /// Everything has to be readable.
    pub(super) fn open(directory: &Path) -> Result<Self, Failure> {
        let instance = Instance::open(directory)?;
        let clock = Arc::new(SystemClock::new());
        let schema = Arc::new(SchemaStore::open(&instance.schema_directory())?);
        let now_ms = clock.wall_ms();
        let config = ConfigStore::open(&instance, Arc::clone(&schema), clock)?;
        Ok(Self { instance, config: Some(config.current()), schema: schema.current(), now_ms })
    }

    /// Without configuration and schema: they may be what has to be restored.
    pub(super) fn bare(directory: &Path) -> Result<Self, Failure> {
        let instance = Instance::open(directory)?;
        let schema = SchemaStore::builtin(true).current();
        Ok(Self { instance, config: None, schema, now_ms: SystemClock::new().wall_ms() })
    }

    pub(super) fn site(&self) -> Site<'_> {
        Site {
            instance: &self.instance,
            config: self.config.as_deref(),
            schema: &self.schema,
            now_ms: self.now_ms,
        }
    }
}
