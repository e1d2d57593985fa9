//! `import-ldif`: makes the data store anew from LDIF, in the running server or, if it is stopped, here.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::transfer::{Chosen, Here, absolute, flag, text};
use super::{Failure, task};
use crate::transfer::ImportJob;

const EXAMPLES: &str = "The data is made anew beside the old one and takes its place at the end: if the import fails or the machine stops, all is
as it was. With --includeBranch everything else stays as it is. While the server runs its clients go on reading, and their
changes are refused (53) until the import is over. Clear passwords are encoded, encoded ones are kept.

Exit codes: 0 done, 1 not done; with --countRejects the number of rejected entries, 255 at the most.

Examples:
  import-ldif --backendID userRoot --ldifFile tokens.ldif --rejectFile rejects.ldif
      with the server stopped
  import-ldif --port 4444 --hostname cts.example.com --bindDN 'cn=Directory Manager' --bindPasswordFile pw --trustAll \\
      --includeBranch ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com --ldifFile /data/tokens.ldif.gz
      one branch, in a server that runs; the file is one of the server's machine
  import-ldif --backendID userRoot --templateFile tokens.template --randomSeed 1
      made up entries";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    #[command(flatten)]
    task: task::TaskOptions,
    #[command(flatten)]
    choice: Chosen,
    /// The data store's name, if no branch says which one.
    #[arg(short = 'n', long = "backendID", value_name = "BACKEND")]
    backend_id: Option<String>,
    /// An LDIF file; may be given several times. Compressed ones (gzip) are seen by themselves.
    #[arg(short = 'l', long = "ldifFile", value_name = "FILE", conflicts_with = "template_file")]
    ldif_file: Vec<PathBuf>,
    /// A template to make entries up from (the manual says what it may hold).
    #[arg(short = 'A', long = "templateFile", value_name = "FILE")]
    template_file: Option<PathBuf>,
    /// The same seed makes up the same entries.
    #[arg(short = 's', long = "randomSeed", value_name = "NUMBER", default_value_t = 0)]
    random_seed: u64,
    /// Remove everything, even what is in no branch that is imported.
    #[arg(short = 'F', long = "clearBackend")]
    clear_backend: bool,
    /// Write rejected entries here, each with its reason.
    #[arg(short = 'R', long = "rejectFile", value_name = "FILE")]
    reject_file: Option<PathBuf>,
    /// Write skipped entries here.
    #[arg(long = "skipFile", value_name = "FILE")]
    skip_file: Option<PathBuf>,
    /// Begin those two files anew instead of continuing them.
    #[arg(short = 'O', long)]
    overwrite: bool,
    /// Do not check entries against the schema.
    #[arg(short = 'S', long = "skipSchemaValidation")]
    skip_schema_validation: bool,
    /// The files are compressed.
    #[arg(short = 'c', long = "isCompressed")]
    is_compressed: bool,
    /// Exit with the number of rejected entries.
    #[arg(long = "countRejects")]
    count_rejects: bool,
    /// Accepted for scripts: all cores are used.
    #[arg(long = "threadCount", value_name = "NUMBER")]
    thread_count: Option<u32>,
    /// Accepted for scripts: names are always checked, and the work is done beside the data.
    #[arg(long = "skipDNValidation")]
    skip_dn_validation: bool,
    /// Accepted for scripts: the work is done beside the data.
    #[arg(long = "tmpdirectory", value_name = "DIR")]
    tmpdirectory: Option<PathBuf>,
}

/// How many entries a summary line says were rejected.
fn rejected(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("Processed ")?.split_once(", rejected ")?.1;
    rest.split(' ').next()?.parse().ok().filter(|_| line.contains(" and migrated "))
}

impl Options {
    fn code(&self, rejects: u64) -> ExitCode {
        let count = u8::try_from(rejects).unwrap_or(u8::MAX);
        ExitCode::from(if self.count_rejects { count } else { 0 })
    }
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    if options.ldif_file.is_empty() && options.template_file.is_none() {
        return Err(Failure::new("what to import: --ldifFile FILE, or --templateFile FILE"));
    }
    if options.backend_id.is_none() && options.choice.include_branch.is_empty() {
        return Err(Failure::new("where to import to: --backendID BACKEND, or --includeBranch DN"));
    }
    match task::connect_for("import-ldif", &options.task, task::Unnamed::Refused)? {
        Some(mut client) => {
            let files = options.ldif_file.iter().map(|file| absolute(file)).collect::<Result<Vec<_>, _>>()?;
            let file = |path: &Option<PathBuf>| path.as_deref().map(absolute).transpose();
            let template = file(&options.template_file)?;
            let (rejects, skips) = (file(&options.reject_file)?, file(&options.skip_file)?);
            let seed = options.random_seed.to_string();
            let mut attributes = vec![
                ("ds-task-import-ldif-file", files.iter().map(String::as_str).collect()),
                ("ds-task-import-backend-id", text(options.backend_id.as_ref())),
                ("ds-task-import-template-file", text(template.as_ref())),
                ("ds-task-import-random-seed", template.iter().map(|_| seed.as_str()).collect()),
                ("ds-task-import-reject-file", text(rejects.as_ref())),
                ("ds-task-import-skip-file", text(skips.as_ref())),
                ("ds-task-import-overwrite-rejects", flag(options.overwrite)),
                ("ds-task-import-skip-schema-validation", flag(options.skip_schema_validation)),
                ("ds-task-import-clear-backend", flag(options.clear_backend)),
                ("ds-task-import-is-compressed", flag(options.is_compressed)),
            ];
            attributes.extend(options.choice.attributes([
                "ds-task-import-include-branch",
                "ds-task-import-exclude-branch",
                "ds-task-import-include-attribute",
                "ds-task-import-exclude-attribute",
                "ds-task-import-include-filter",
                "ds-task-import-exclude-filter",
            ]));
            let order = task::Order {
                title: "Import",
                class: "org.opends.server.tasks.ImportTask",
                object_class: "ds-task-import",
                attributes,
            };
            let (mut rejects, quiet) = (None, options.task.head.quiet);
            let ended = task::run(&mut client, &order, &options.task.when, |line| {
                rejects = rejected(line).or(rejects);
                if !quiet || line.starts_with("error") {
                    println!("{line}");
                }
            })?;
            match (ended, rejects) {
                (task::Ended::Taken(id), _) => {
                    task::say_taken(&order, &options.task.when, &id);
                    Ok(ExitCode::SUCCESS)
                }
                // With rejects it has completed with errors, but it has completed.
                (task::Ended::Over { id, .. }, Some(rejects)) => {
                    println!("Import task {id} has been successfully completed");
                    Ok(options.code(rejects))
                }
                (task::Ended::Over { id, .. }, None) => {
                    Err(Failure::new(format!("Import task {id} did not complete successfully")))
                }
            }
        }
        None => {
            let here = Here::open(&options.task.head.at, options.backend_id.as_deref())?;
            let job = ImportJob {
                files: options.ldif_file.clone(),
                template: options.template_file.clone(),
                random_seed: options.random_seed,
                choice: options.choice.choice(),
                reject_file: options.reject_file.clone(),
                skip_file: options.skip_file.clone(),
                overwrite: options.overwrite,
                skip_schema_validation: options.skip_schema_validation,
                clear_backend: options.clear_backend,
                is_compressed: options.is_compressed,
                scheme: here.scheme,
            };
            let report = here.watched(options.task.head.quiet, |watch| job.run_offline(&here.data, watch))?;
            Ok(options.code(report.rejected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_counted_from_the_last_line() {
        let last = "Processed 13 entries, imported 4, skipped 2, rejected 7 and migrated 0 in 0.1 seconds (average rate 40.0/sec)";
        assert_eq!(rejected(last), Some(7));
        assert_eq!(rejected("Processed 13 entries, skipped 2, rejected 7 (recent rate 1.0/sec, 3 %)"), None);
        assert_eq!(rejected("End of LDIF reached"), None);
    }
}
