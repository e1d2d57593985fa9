//! `restore`: tells what backups there are, verifies them, and puts them in the place of what is there.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::backup::{Here, printing};
use super::process::Lock;
use super::{Failure, process, task};
use crate::backup::Catalogue;
use crate::task::Following;

const EXAMPLES: &str = "Everything is verified before anything is changed, and a crash at any moment leaves the old data or
the restored, whole. Data that is restored begins a new life of this server's data set: changes that were made after the backup
are gone, and their numbers do not come again. config, schema and tasks are restored with the server stopped.

A backup older than the purge delay is refused: other replicas may have forgotten changes that it lacks. A backup that was
signed or encrypted by another instance needs that instance's config/backup.key: --keyFile.

Exit codes: 0 done, 1 not done.

Examples:
  restore --backupDirectory /backup/userRoot --listBackups
  restore --backupDirectory /backup/userRoot --dry-run
      reads the newest backup and compares everything with its hashes
  restore --backupDirectory /backup/userRoot --backupID 20260101000000Z
      with the server stopped
  restore --port 4444 --bindDN 'cn=Directory Manager' --bindPasswordFile pw --trustAll \\
      --backupDirectory /backup/userRoot
      while the server runs: it refuses changes meanwhile, and serves the old data until it has the new";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    #[command(flatten)]
    task: task::TaskOptions,
    /// The directory of the backups; from the instance directory unless absolute.
    #[arg(short = 'd', long = "backupDirectory", value_name = "DIR", required = true)]
    backup_directory: PathBuf,
    /// The backup [default: the newest one].
    #[arg(short = 'I', long = "backupID", value_name = "ID")]
    backup_id: Option<String>,
    /// List the backups in the directory.
    #[arg(short = 'l', long = "listBackups")]
    list_backups: bool,
    /// Only verify.
    #[arg(short = 'n', long = "dry-run", alias = "verifyOnly")]
    dry_run: bool,
    /// Restore data that is older than the purge delay, and mark it as needing initialisation. With the server stopped.
    #[arg(long)]
    force: bool,
    /// The key file of the instance that made the backup. With the server stopped, or to verify.
    #[arg(long = "keyFile", value_name = "FILE")]
    key_file: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let head = &options.task.head;
    let directory = head.at.instance.join(&options.backup_directory);
    if options.list_backups {
        let catalogue = Catalogue::read(&directory)?.ok_or_else(|| none(options))?;
        for listed in &catalogue.backups {
            println!("{}", listed.describe());
        }
        return Ok(ExitCode::SUCCESS);
    }
    // To verify, nothing has to stand still.
    let is_local =
        options.dry_run && !head.admin().names_server("restore")? && !options.task.when.needs_server();
    if !is_local
        && let Some(mut client) = task::connect_for("restore", &options.task, task::Unnamed::Refused)?
    {
        return online(&mut client, options);
    }
    process::require_instance(&head.at.instance)?;
    let catalogue = Catalogue::read(&directory)?.ok_or_else(|| none(options))?;
    let is_file = catalogue.backend_id().is_some_and(|id| ["config", "schema", "tasks"].contains(&id));
    let here = if is_file { Here::bare(&head.at.instance)? } else { Here::open(&head.at.instance)? };
    let site = here.site();
    let handle = printing(head.quiet);
    let archive =
        site.archive(&options.backup_directory, options.backup_id.as_deref(), options.key_file.as_deref())?;
    if options.dry_run {
        site.verify(&archive, &Following(&handle))?;
    } else {
        let _lock = Lock::take(&head.at.instance)?;
        site.restore(&archive, options.force, &Following(&handle))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn none(options: &Options) -> Failure {
    let (named, place) =
        (&options.backup_directory, options.task.head.at.instance.join(&options.backup_directory));
    if !place.is_dir() {
        return Failure::new(format!(
            "there is no backup in {}: there is no such directory",
            named.display()
        ));
    }
    // What backs up all makes a directory for each.
    let below: Vec<String> = Catalogue::below(&place)
        .unwrap_or_default()
        .iter()
        .map(|(place, _)| place.display().to_string())
        .collect();
    let hint =
        if below.is_empty() { String::new() } else { format!("; there are some in {}", below.join(", ")) };
    Failure::new(format!("there is no backup in {}{hint}", named.display()))
}

fn online(client: &mut super::ldap::Client, options: &Options) -> Result<ExitCode, Failure> {
    if options.force || options.key_file.is_some() {
        return Err(Failure::new("--force and --keyFile need the server stopped (stop-ds)"));
    }
    let directory = options
        .backup_directory
        .to_str()
        .ok_or_else(|| Failure::new("the backup directory's name is not UTF-8"))?;
    let order = task::Order {
        title: "Restore",
        class: "org.opends.server.tasks.RestoreTask",
        object_class: "ds-task-restore",
        attributes: vec![
            ("ds-backup-directory-path", vec![directory]),
            ("ds-backup-id", options.backup_id.iter().map(String::as_str).collect()),
            ("ds-task-restore-verify-only", if options.dry_run { vec!["true"] } else { Vec::new() }),
        ],
    };
    task::hand_over(client, &order, &options.task)
}
