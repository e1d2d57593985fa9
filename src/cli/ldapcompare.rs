//! `ldapcompare`: whether entries hold a value.

use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;

use super::Failure;
use super::ldap::{ControlOptions, LdapOptions, borrowed, exit_of, failed};
use crate::protocol::request;
use crate::protocol::result::ResultCode;

const EXAMPLES: &str = "Examples:
  ldapcompare -p 1389 -D 'cn=Directory Manager' -j password.txt 'sn:OpenAM' uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com
  ldapcompare -p 1389 -D 'cn=Directory Manager' -j password.txt --useCompareResultCode 'cn::YQ==' cn=a,dc=example,dc=com
      exits with 6 for true and 5 for false";

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
    /// Exit with the result code: 6 for true, 5 for false.
    #[arg(short = 'm', long = "useCompareResultCode")]
    use_compare_result_code: bool,
    /// File with one DN a line.
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: Option<PathBuf>,
    #[command(flatten)]
    controls: ControlOptions,
    /// What the entries are to hold: `attribute:value`, `attribute::base64` or `attribute:<file`.
    #[arg(value_name = "ATTRIBUTE:VALUE")]
    assertion: String,
    /// The entries.
    #[arg(value_name = "DN")]
    dns: Vec<String>,
}

fn assertion(text: &str) -> Result<(&str, Vec<u8>), Failure> {
    let wrong = |reason: String| Failure::new(format!("{text}: {reason}"));
    let (attribute, rest) =
        text.split_once(':').ok_or_else(|| wrong("attribute:value is wanted".to_owned()))?;
    let value = if let Some(encoded) = rest.strip_prefix(':') {
        STANDARD.decode(encoded.trim()).map_err(|error| wrong(format!("not base64: {error}")))?
    } else if let Some(file) = rest.strip_prefix('<') {
        std::fs::read(file.trim().trim_start_matches("file://")).map_err(|error| wrong(error.to_string()))?
    } else {
        rest.as_bytes().to_vec()
    };
    Ok((attribute, value))
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let (attribute, value) = assertion(&options.assertion)?;
    let mut dns = options.dns.clone();
    if let Some(file) = &options.filename {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        dns.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
    }
    if dns.is_empty() {
        return Err(Failure::new("no DN is given: name the entries after the attribute and value"));
    }
    let controls = options.controls.controls()?;
    let controls = borrowed(&controls);
    let mut client = options.ldap.open("ldapcompare")?;
    let mut exit = 0;
    for dn in &dns {
        println!("Comparing type {attribute} with value {} in entry {dn}", String::from_utf8_lossy(&value));
        let answer = client.ask(|out, id| request::compare(out, id, dn, attribute, &value, &controls))?;
        let code = answer.result.code;
        match code {
            ResultCode::COMPARE_TRUE => println!("Compare operation returned true for entry {dn}"),
            ResultCode::COMPARE_FALSE => println!("Compare operation returned false for entry {dn}"),
            _ => {
                failed("COMPARE", dn, &answer.result);
                exit = exit_of(code);
                if !options.continue_on_error {
                    break;
                }
                continue;
            }
        }
        if options.use_compare_result_code {
            exit = exit_of(code);
        }
    }
    Ok(ExitCode::from(exit))
}
