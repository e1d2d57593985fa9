//! `ldapmodify`: LDIF records, done one by one.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use super::ldap::{
    Client, ClientError, ControlOptions, LdapOptions, OwnedControl, about_arguments, borrowed, exit_of,
    failed, naming_contexts, post_read, pre_read, read_entries,
};
use crate::ldif::{LdifAttribute, LdifChange, LdifReader, LdifRecord, ModificationKind};
use crate::protocol::message::ModifyOperation;
use crate::protocol::oid;
use crate::protocol::request;
use crate::protocol::result::{LdapResult, ResultCode};

const EXAMPLES: &str = "Examples:
  ldapmodify --port 1389 --bindDN 'cn=Directory Manager' --bindPassword password cts-add-schema.ldif
      does what each record of the file says; records without changetype are added
  ldapmodify -p 1389 -D 'cn=Directory Manager' -j password.txt -a -c -f cts_user.ldif
      goes on after errors; the exit code is that of the first one
  ldapmodify -p 1389 -D 'cn=Directory Manager' -j password.txt -n < changes.ldif
      asks the server whether it would do it

Exit codes: the LDAP result code of what failed, 0 if nothing did, 1 for a wrong command line.";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    ldap: LdapOptions,
    /// Records without changetype are added; they are anyway.
    #[arg(short = 'a', long = "defaultAdd")]
    default_add: bool,
    /// Go on after errors.
    #[arg(short = 'c', long = "continueOnError")]
    continue_on_error: bool,
    /// Have the server check, but not do, each change (no-op control).
    #[arg(short = 'n', long = "dry-run")]
    dry_run: bool,
    /// LDIF file.
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: Vec<PathBuf>,
    #[command(flatten)]
    controls: ControlOptions,
    /// Print these attributes as they were (pre-read control).
    #[arg(long = "preReadAttributes", value_name = "ATTRIBUTES")]
    pre_read_attributes: Option<String>,
    /// Print these attributes as they became (post-read control).
    #[arg(long = "postReadAttributes", value_name = "ATTRIBUTES")]
    post_read_attributes: Option<String>,
    /// More LDIF files; without any, standard input is read.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

struct Run<'a> {
    client: Client,
    options: &'a Options,
    controls: Vec<OwnedControl>,
    first_error: Option<u8>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let files: Vec<&PathBuf> = options.filename.iter().chain(&options.files).collect();
    for file in &files {
        if !file.exists() {
            let arguments: Vec<String> = std::env::args().collect();
            return Err(Failure::new(match about_arguments(&arguments) {
                // What was taken for a file's name may hold a password.
                Some(hint) => format!("wrong arguments\nHint:  {hint}"),
                None => format!("{}: there is no such file", file.display()),
            }));
        }
    }
    let mut controls = options.controls.controls()?;
    if options.dry_run {
        controls.push(OwnedControl::new(oid::NO_OP, true, None));
    }
    controls.extend(options.pre_read_attributes.as_deref().map(pre_read));
    controls.extend(options.post_read_attributes.as_deref().map(post_read));
    let client = options.ldap.open("ldapmodify")?;
    let mut run = Run { client, options, controls, first_error: None };
    if files.is_empty() {
        run.all(std::io::stdin().lock(), "standard input")?;
    }
    for file in files {
        let opened = std::fs::File::open(file)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        if !run.all(std::io::BufReader::new(opened), &file.display().to_string())? {
            break;
        }
    }
    Ok(ExitCode::from(run.first_error.unwrap_or(0)))
}

/// Reads the file that a value of LDIF names by URL.
fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let path = url.strip_prefix("file://").ok_or_else(|| format!("{url}: only file:// is read"))?;
    std::fs::read(Path::new(path)).map_err(|error| format!("{path}: {error}"))
}

impl Run<'_> {
    /// Does all records; says whether to go on.
    fn all(&mut self, text: impl BufRead, name: &str) -> Result<bool, Failure> {
        for record in LdifReader::new(text).with_resolver(fetch) {
            let done = match record {
                Ok(record) => self.one(&record)?,
                Err(error) => {
                    eprintln!("{name}, {error}");
                    self.first_error.get_or_insert(82);
                    false
                }
            };
            if !done && !self.options.continue_on_error {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn one(&mut self, record: &LdifRecord) -> Result<bool, Failure> {
        let operation = match &record.change {
            LdifChange::Entry(_) | LdifChange::Add(_) => "ADD",
            LdifChange::Delete => "DELETE",
            LdifChange::Modify(_) => "MODIFY",
            LdifChange::ModifyDn { .. } => "MODIFY DN",
        };
        let dn = &record.dn;
        println!("Processing {operation} request for {dn}");
        let mut controls = self.controls.clone();
        controls.extend(record.controls.iter().map(OwnedControl::from));
        let answer = send(&mut self.client, record, &controls)?;
        let code = answer.result.code;
        let is_dry = self.options.dry_run && code == ResultCode::NO_OPERATION;
        if code == ResultCode::SUCCESS || is_dry {
            println!("{operation} operation successful for DN {dn}");
            if is_dry {
                println!("# Dry run: nothing was changed");
            }
            if !answer.result.diagnostic.is_empty() && !is_dry {
                println!("# {}", answer.result.diagnostic);
            }
            read_entries(&answer)?;
            return Ok(true);
        }
        failed(operation, dn, &answer.result);
        self.explain(&answer.result);
        self.first_error.get_or_insert(exit_of(code));
        Ok(false)
    }

    /// An entry below no suffix of the server is most often a suffix written wrongly.
    fn explain(&mut self, result: &LdapResult) {
        if result.code != ResultCode::NO_SUCH_OBJECT || !result.matched.is_empty() {
            return;
        }
        if let Ok(contexts) = naming_contexts(&mut self.client)
            && !contexts.is_empty()
        {
            eprintln!("Hint:  the server holds {}", contexts.join(" and "));
        }
    }
}

/// Sends a record as the request it stands for.
fn send(
    client: &mut Client,
    record: &LdifRecord,
    controls: &[OwnedControl],
) -> Result<super::ldap::Answer, ClientError> {
    let controls = borrowed(controls);
    let dn = record.dn.as_str();
    match &record.change {
        LdifChange::Entry(attributes) | LdifChange::Add(attributes) => {
            let values: Vec<Vec<&[u8]>> = attributes.iter().map(values_of).collect();
            let list: Vec<request::Attribute<'_>> = attributes
                .iter()
                .zip(&values)
                .map(|(attribute, values)| (attribute.description.as_str(), values.as_slice()))
                .collect();
            client.ask(|out, id| request::add(out, id, dn, &list, &controls))
        }
        LdifChange::Delete => client.ask(|out, id| request::delete(out, id, dn, &controls)),
        LdifChange::Modify(steps) => {
            let values: Vec<Vec<&[u8]>> =
                steps.iter().map(|step| step.values.iter().map(Vec::as_slice).collect()).collect();
            let list: Vec<(ModifyOperation, request::Attribute<'_>)> = steps
                .iter()
                .zip(&values)
                .map(|(step, values)| {
                    (operation_of(step.kind), (step.description.as_str(), values.as_slice()))
                })
                .collect();
            client.ask(|out, id| request::modify(out, id, dn, &list, &controls))
        }
        LdifChange::ModifyDn { new_rdn, delete_old_rdn, new_superior } => client.ask(|out, id| {
            let superior = new_superior.as_deref();
            request::modify_dn(out, id, dn, new_rdn, *delete_old_rdn, superior, &controls);
        }),
    }
}

fn values_of(attribute: &LdifAttribute) -> Vec<&[u8]> {
    attribute.values.iter().map(Vec::as_slice).collect()
}

fn operation_of(kind: ModificationKind) -> ModifyOperation {
    match kind {
        ModificationKind::Add => ModifyOperation::Add,
        ModificationKind::Delete => ModifyOperation::Delete,
        ModificationKind::Replace => ModifyOperation::Replace,
        ModificationKind::Increment => ModifyOperation::Increment,
    }
}
