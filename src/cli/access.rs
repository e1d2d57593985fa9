//! `ctsd access explain`: which ACI lets somebody do something, or why none does. The running server says it.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::ldap::wanted;
use super::{Failure, task};
use crate::protocol::extended::explain_access::ExplainAccess;
use crate::protocol::{oid, request};

/// What the exit code says of a refusal.
const REFUSED: u8 = 3;

const EXAMPLES: &str = "Prints `granted` or `refused`, who asks, and why: the ACIs that decide or, of those that do not, the ones that come
nearest and what keeps each from it.

Exit codes: 0 granted, 3 refused, 1 it could not be asked, 2 called wrongly.

Examples:
  ctsd access explain -D 'cn=Directory Manager' -j pw --as uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com \\
      --target ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com --op read
      which attributes of the entry it may read, and why not the others
  ctsd access explain … --as u:openam_cts --target dc=cts,dc=example,dc=com --op write --attribute coreTokenString01
  ctsd access explain … --as anonymous --target dc=cts,dc=example,dc=com --op control --oid 2.16.840.1.113730.3.4.3
  ctsd access explain … --as u:openam_cts --target cn=x,dc=example,dc=com --op add --from 10.0.0.7 --ssf 256";

/// `ctsd access …`.
#[derive(Debug, Clone, Args)]
pub(super) struct Access {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Tell which ACI lets somebody do something, or why none does.
    #[command(after_help = EXAMPLES, disable_help_flag = true)]
    Explain(Box<Explain>),
}

#[derive(Debug, Clone, Args)]
struct Explain {
    #[command(flatten)]
    head: task::Head,
    /// Who wants to do it: a DN, u:NAME, or anonymous.
    #[arg(long = "as", value_name = "DN")]
    who: String,
    /// The entry.
    #[arg(long, value_name = "DN")]
    target: String,
    /// What: read, search, compare, write, add, delete, selfwrite, proxy, import, export, control or extop.
    #[arg(long = "op", value_name = "OP")]
    operation: String,
    /// The attribute; without one, all that the entry has.
    #[arg(long, value_name = "NAME", conflicts_with = "oid")]
    attribute: Option<String>,
    /// The control or extended operation.
    #[arg(long, value_name = "OID")]
    oid: Option<String>,
    /// With --op write: the value that it adds to the attribute.
    #[arg(long, value_name = "VALUE", requires = "attribute", conflicts_with = "deleted")]
    add_value: Option<String>,
    /// With --op write: the value that it deletes from the attribute.
    #[arg(long = "delete-value", value_name = "VALUE", requires = "attribute")]
    deleted: Option<String>,
    /// The address that it comes from [default: that of this command].
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// The strength of its protection in bits; 0 is in clear [default: that of this command].
    #[arg(long, value_name = "BITS")]
    ssf: Option<String>,
    /// How it authenticates: none, simple, sasl (PLAIN) or ssl (EXTERNAL) [default: simple].
    #[arg(long = "authmethod", value_name = "METHOD")]
    method: Option<String>,
}

pub(super) fn run(options: &Access) -> Result<ExitCode, Failure> {
    let Command::Explain(asked) = &options.command;
    let mut client =
        task::connect("ctsd access explain", &asked.head.at, &asked.head.admin(), task::Unnamed::Served)?
            .ok_or_else(|| {
                Failure::new("the server does not run, and it is the server that knows its ACIs; start it")
            })?;
    let value = ExplainAccess {
        who: asked.who.clone(),
        target: asked.target.clone(),
        operation: asked.operation.clone(),
        attribute: asked.attribute.clone().or_else(|| asked.oid.clone()),
        added: asked.add_value.clone(),
        deleted: asked.deleted.clone(),
        address: asked.from.clone(),
        strength: asked.ssf.clone(),
        method: asked.method.clone(),
    }
    .value();
    let answer = client.ask(|out, id| request::extended(out, id, oid::EXPLAIN_ACCESS, Some(&value), &[]))?;
    let answer = wanted("The server does not explain it", &asked.target, answer)?;
    let text = String::from_utf8_lossy(answer.value.as_deref().unwrap_or_default()).into_owned();
    print!("{text}");
    Ok(ExitCode::from(if text.starts_with("granted") { 0 } else { REFUSED }))
}
