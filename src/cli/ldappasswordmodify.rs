//! `ldappasswordmodify`: the password modify extended operation.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use super::ldap::{ControlOptions, LdapOptions, borrowed, password_of, secret, wanted};
use crate::auth::Secret;
use crate::protocol::extended::password_modify::{self, PasswordModify};
use crate::protocol::oid;
use crate::protocol::request;

const EXAMPLES: &str = "Examples:
  ldappasswordmodify -p 1389 -D 'cn=Directory Manager' -j password.txt \\
      --authzID dn:uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com --newPasswordFile new.txt
      sets an account's password
  ldappasswordmodify -p 1389 -D uid=me,dc=example,dc=com -w old --currentPassword old
      changes one's own to one that the server makes, and prints it";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    ldap: LdapOptions,
    /// Whose password: `dn:` and a DN, or `u:` and a user name; one's own if not given.
    #[arg(short = 'a', long = "authzID", value_name = "AUTHZID")]
    authz_id: Option<String>,
    /// Accepted for scripts: the bind DN is sent as the one whose password it is.
    #[arg(short = 'A', long = "provideDNForAuthzID", conflicts_with = "authz_id")]
    provide_dn: bool,
    /// The new password; the server makes one if it is not given.
    #[arg(short = 'n', long = "newPassword", value_name = "PASSWORD", value_parser = secret)]
    new_password: Option<Secret>,
    /// File with the new password.
    #[arg(short = 'F', long = "newPasswordFile", value_name = "FILE", conflicts_with = "new_password")]
    new_password_file: Option<PathBuf>,
    /// The present password.
    #[arg(short = 'c', long = "currentPassword", value_name = "PASSWORD", value_parser = secret)]
    current_password: Option<Secret>,
    /// File with the present password.
    #[arg(
        short = 'C',
        long = "currentPasswordFile",
        value_name = "FILE",
        conflicts_with = "current_password"
    )]
    current_password_file: Option<PathBuf>,
    #[command(flatten)]
    controls: ControlOptions,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let one = |given: &Option<Secret>, file: &Option<PathBuf>, name| match (given, file) {
        (Some(password), _) => Ok::<_, Failure>(Some(password.clone())),
        (None, Some(file)) => password_of(file, name).map(Some),
        (None, None) => Ok(None),
    };
    let new = one(&options.new_password, &options.new_password_file, "--newPasswordFile")?;
    let old = one(&options.current_password, &options.current_password_file, "--currentPasswordFile")?;
    let own = options.provide_dn.then(|| options.ldap.connection.bind_dn.clone()).flatten();
    let user = options.authz_id.clone().or_else(|| own.map(|dn| format!("dn:{dn}")));
    let controls = options.controls.controls()?;
    let controls = borrowed(&controls);
    let mut client = options.ldap.open("ldappasswordmodify")?;
    let name = user.clone().unwrap_or_default();
    let value = PasswordModify {
        user,
        old: old.map(|password| password.expose().to_vec()),
        new: new.map(|password| password.expose().to_vec()),
    }
    .value();
    let answer =
        client.ask(|out, id| request::extended(out, id, oid::PASSWORD_MODIFY, Some(&value), &controls))?;
    let answer = wanted("The LDAP password modify operation failed", &name, answer)?;
    println!("The LDAP password modify operation was successful");
    if !answer.result.diagnostic.is_empty() {
        println!("Additional Information:  {}", answer.result.diagnostic);
    }
    if let Some(value) = &answer.value
        && let Some(password) = password_modify::parse_response(value)?
    {
        println!("Generated Password:  {}", String::from_utf8_lossy(&password));
    }
    Ok(ExitCode::SUCCESS)
}
