//! `ldapdelete`: entries, or whole subtrees.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use super::ldap::{ControlOptions, LdapOptions, OwnedControl, borrowed, exit_of, failed};
use crate::protocol::oid;
use crate::protocol::request;
use crate::protocol::result::ResultCode;

const EXAMPLES: &str = "Examples:
  ldapdelete -p 1389 -D 'cn=Directory Manager' -j password.txt coreTokenId=1,ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com
  ldapdelete -p 1389 -D 'cn=Directory Manager' -j password.txt --deleteSubtree ou=people,dc=example,dc=com
  ldapdelete -p 1389 -D 'cn=Directory Manager' -j password.txt -c -f dns.txt
      one DN a line; without DN and file, standard input is read";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    ldap: LdapOptions,
    /// Go on after errors.
    #[arg(short = 'c', long = "continueOnError")]
    continue_on_error: bool,
    /// Have the server check, but not do it (no-op control).
    #[arg(short = 'n', long = "dry-run")]
    dry_run: bool,
    /// Delete all below each entry too (subtree delete control).
    #[arg(short = 'x', long = "deleteSubtree")]
    delete_subtree: bool,
    /// File with one DN a line.
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: Option<PathBuf>,
    #[command(flatten)]
    controls: ControlOptions,
    /// The entries to delete.
    #[arg(value_name = "DN")]
    dns: Vec<String>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let mut dns = options.dns.clone();
    let read = |source: &mut dyn BufRead| -> Result<Vec<String>, Failure> {
        let lines = source.lines().collect::<Result<Vec<String>, _>>()?;
        Ok(lines.into_iter().filter(|line| !line.trim().is_empty()).collect())
    };
    if let Some(file) = &options.filename {
        let opened = std::fs::File::open(file)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        dns.extend(read(&mut BufReader::new(opened))?);
    } else if dns.is_empty() {
        dns = read(&mut std::io::stdin().lock())?;
    }
    let mut controls = options.controls.controls()?;
    if options.dry_run {
        controls.push(OwnedControl::new(oid::NO_OP, true, None));
    }
    if options.delete_subtree {
        controls.push(OwnedControl::new(oid::SUBTREE_DELETE, true, None));
    }
    let controls = borrowed(&controls);
    let mut client = options.ldap.open("ldapdelete")?;
    let mut first_error = 0;
    for dn in &dns {
        println!("Processing DELETE request for {dn}");
        let answer = client.ask(|out, id| request::delete(out, id, dn, &controls))?;
        let is_dry = options.dry_run && answer.result.code == ResultCode::NO_OPERATION;
        if answer.is_success() || is_dry {
            println!("DELETE operation successful for DN {dn}");
            if is_dry {
                println!("# Dry run: nothing was changed");
            }
            continue;
        }
        failed("DELETE", dn, &answer.result);
        if first_error == 0 {
            first_error = exit_of(answer.result.code);
        }
        if !options.continue_on_error {
            break;
        }
    }
    Ok(ExitCode::from(first_error))
}
