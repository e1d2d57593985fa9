//! `encode-password`: a password as the server stores it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::ldap::{password_of, secret};
use super::{Failure, prompt};
use crate::auth::scheme::{self, Scheme};
use crate::auth::{Secret, os_random};

const EXAMPLES: &str = "Examples:
  encode-password --listSchemes
  encode-password --storageScheme SSHA512 --clearPasswordFile pw
  encode-password --clearPassword secret --encodedPassword '{SSHA512}…'
      tells whether they match";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Print the names of the storage schemes.
    #[arg(short = 'l', long = "listSchemes")]
    list_schemes: bool,
    /// The password.
    #[arg(short = 'c', long = "clearPassword", value_name = "PASSWORD", value_parser = secret,
        conflicts_with_all = ["clear_password_file", "interactive_password"])]
    clear_password: Option<Secret>,
    /// File whose first line is the password.
    #[arg(short = 'f', long = "clearPasswordFile", value_name = "FILE")]
    clear_password_file: Option<PathBuf>,
    /// Ask for the password.
    #[arg(short = 'i', long = "interactivePassword")]
    interactive_password: bool,
    /// A stored password to compare with.
    #[arg(short = 'e', long = "encodedPassword", value_name = "ENCODED", value_parser = secret,
        conflicts_with = "encoded_password_file")]
    encoded_password: Option<Secret>,
    /// File whose first line is a stored password to compare with.
    #[arg(short = 'E', long = "encodedPasswordFile", value_name = "FILE")]
    encoded_password_file: Option<PathBuf>,
    /// The scheme to encode with.
    #[arg(short = 's', long = "storageScheme", value_name = "SCHEME")]
    storage_scheme: Option<String>,
    /// Exit with 6 for a match and 5 for none.
    #[arg(short = 'r', long = "useCompareResultCode")]
    use_compare_result_code: bool,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    if options.list_schemes {
        for scheme in Scheme::ALL {
            println!("{}", scheme.name());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let clear = match (&options.clear_password, &options.clear_password_file) {
        (Some(password), _) => password.clone(),
        (None, Some(file)) => password_of(file, "--clearPasswordFile")?,
        (None, None) if prompt::is_possible() => Secret::new(prompt::new_password("Password")?.into_bytes()),
        (None, None) => {
            return Err(Failure::new("the password is missing: --clearPassword or --clearPasswordFile"));
        }
    };
    let encoded = match (&options.encoded_password, &options.encoded_password_file) {
        (Some(encoded), _) => Some(encoded.clone()),
        (None, Some(file)) => Some(password_of(file, "--encodedPasswordFile")?),
        (None, None) => None,
    };
    if let Some(encoded) = encoded {
        if !scheme::is_encoded(encoded.expose()) {
            return Err(Failure::new(
                "the encoded password starts with no storage scheme known here, as {SSHA512}",
            ));
        }
        let is_match = scheme::verify(encoded.expose(), clear.expose());
        let word = if is_match { "matches" } else { "does not match" };
        println!("The provided clear-text password {word} the provided encoded password");
        let code = if is_match { 6 } else { 5 };
        return Ok(ExitCode::from(if options.use_compare_result_code { code } else { 0 }));
    }
    let Some(name) = &options.storage_scheme else {
        return Err(Failure::new("--storageScheme is missing; --listSchemes prints their names"));
    };
    let names = || Scheme::ALL.map(Scheme::name).join(", ");
    let scheme = Scheme::by_name(name.trim_matches(['{', '}']))
        .ok_or_else(|| Failure::new(format!("--storageScheme {name}: it is one of {}", names())))?;
    let stored = scheme::encode(scheme, &clear, &mut |salt| os_random(salt))?;
    println!("Encoded Password:  \"{}\"", String::from_utf8_lossy(&stored));
    Ok(ExitCode::SUCCESS)
}
