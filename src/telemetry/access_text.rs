//! Access log lines: the text after the time stamp. Names and order are those that OpenDJ's readers parse.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use super::access_log::{Moment, RequestDetails, ResponseDetails};
use crate::protocol::message::{Operation, OperationKind, Scope};
use crate::protocol::result::LdapResult;

/// Text from a client between quotes: quotes and control characters are escaped, so that it cannot forge a line.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        escaped(self.0, f)?;
        f.write_char('"')
    }
}

fn escaped(text: &str, f: &mut impl Write) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter == '"' || letter.is_control()) {
        let (plain, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        f.write_str(plain)?;
        let mut letters = after.chars();
        match letters.next() {
            Some('"') => f.write_str("\\\"")?,
            Some(letter) => write!(f, "\\u{:04x}", u32::from(letter))?,
            None => {}
        }
        rest = letters.as_str();
    }
    f.write_str(rest)
}

/// Writes what is displayed through [`escaped`].
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escaped(text, self.0)
    }
}

/// The word for an operation at the head of a line.
const fn word(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Bind => "BIND",
        OperationKind::Unbind => "UNBIND",
        OperationKind::Search => "SEARCH",
        OperationKind::Modify => "MODIFY",
        OperationKind::Add => "ADD",
        OperationKind::Delete => "DELETE",
        OperationKind::ModifyDn => "MODIFYDN",
        OperationKind::Compare => "COMPARE",
        OperationKind::Abandon => "ABANDON",
        OperationKind::Extended => "EXTENDED",
    }
}

pub(super) fn connect(
    out: &mut String,
    connection: u64,
    from: SocketAddr,
    to: SocketAddr,
    protocol: &str,
) -> fmt::Result {
    writeln!(out, "CONNECT conn={connection} from={from} to={to} protocol={protocol}")
}

pub(super) fn disconnect(out: &mut String, connection: u64, reason: &str, message: &str) -> fmt::Result {
    writeln!(out, "DISCONNECT conn={connection} reason={} msg={}", Quoted(reason), Quoted(message))
}

pub(super) fn request(
    out: &mut String,
    at: Moment,
    operation: &Operation<'_>,
    details: &RequestDetails<'_>,
) -> fmt::Result {
    let kind = match operation {
        Operation::Bind(_) => OperationKind::Bind,
        Operation::Unbind => OperationKind::Unbind,
        Operation::Search(_) => OperationKind::Search,
        Operation::Modify(_) => OperationKind::Modify,
        Operation::Add(_) => OperationKind::Add,
        Operation::Delete(_) => OperationKind::Delete,
        Operation::ModifyDn(_) => OperationKind::ModifyDn,
        Operation::Compare(_) => OperationKind::Compare,
        Operation::Abandon(_) => OperationKind::Abandon,
        Operation::Extended(_) => OperationKind::Extended,
    };
    write!(out, "{} REQ conn={} op={} msgID={}", word(kind), at.connection, at.operation, at.message_id)?;
    match operation {
        Operation::Bind(bind) => {
            let (method, mechanism) = match bind.authentication {
                crate::protocol::message::Authentication::Simple(_) => ("SIMPLE", None),
                crate::protocol::message::Authentication::Sasl { mechanism, .. } => ("SASL", Some(mechanism)),
                crate::protocol::message::Authentication::Other(_) => ("UNKNOWN", None),
            };
            write!(out, " version={} type={method}", bind.version)?;
            if let Some(mechanism) = mechanism {
                out.push_str(" mechanism=");
                escaped(mechanism, out)?;
            }
            write!(out, " dn={}", Quoted(bind.dn))?;
        }
        Operation::Search(search) => {
            let scope = match search.scope {
                Scope::Base => "base",
                Scope::One => "one",
                Scope::Subtree => "sub",
                Scope::Subordinate => "subordinate",
            };
            write!(out, " base={} scope={scope} filter=\"", Quoted(search.base))?;
            write!(Escaping(out), "{}", search.filter)?;
            out.push_str("\" attrs=\"");
            let mut is_first = true;
            for name in search.attributes.iter() {
                if !is_first {
                    out.push(',');
                }
                is_first = false;
                escaped(name, out)?;
            }
            out.push_str(if is_first { "ALL\"" } else { "\"" });
        }
        Operation::Modify(modify) => write!(out, " dn={}", Quoted(modify.dn))?,
        Operation::Add(add) => write!(out, " dn={}", Quoted(add.dn))?,
        Operation::Delete(delete) => write!(out, " dn={}", Quoted(delete.dn))?,
        Operation::ModifyDn(rename) => {
            write!(
                out,
                " dn={} newRDN={} deleteOldRDN={}",
                Quoted(rename.dn),
                Quoted(rename.new_rdn),
                rename.delete_old_rdn
            )?;
            if let Some(superior) = rename.new_superior {
                write!(out, " newSuperior={}", Quoted(superior))?;
            }
        }
        Operation::Compare(compare) => {
            write!(out, " dn={} attr=", Quoted(compare.dn))?;
            escaped(compare.attribute, out)?;
        }
        Operation::Abandon(target) => write!(out, " idToAbandon={}", target.0)?,
        Operation::Extended(extended) => {
            if let Some(name) = details.extended_name {
                write!(out, " name={}", Quoted(name))?;
            }
            write!(out, " oid={}", Quoted(extended.name))?;
        }
        Operation::Unbind => {}
    }
    if let Some(authorization) = details.authorization_dn {
        write!(out, " authzDN={}", Quoted(authorization))?;
    }
    if !details.control_oids.is_empty() {
        write!(out, " requestControls={}", details.control_oids)?;
    }
    transaction(out, details.transaction_id)?;
    out.push('\n');
    Ok(())
}

pub(super) fn response(
    out: &mut String,
    at: Moment,
    kind: OperationKind,
    result: &LdapResult,
    details: &ResponseDetails<'_>,
) -> fmt::Result {
    write!(
        out,
        "{} RES conn={} op={} msgID={} result={}",
        word(kind),
        at.connection,
        at.operation,
        at.message_id,
        result.code.0
    )?;
    if !result.diagnostic.is_empty() {
        write!(out, " message={}", Quoted(&result.diagnostic))?;
    }
    if let Some(failure) = details.authentication_failure {
        write!(out, " authFailureReason={}", Quoted(failure))?;
    }
    if let Some(dn) = details.authenticated_dn {
        write!(out, " authDN={}", Quoted(dn))?;
    }
    if let Some(entries) = details.entries {
        write!(out, " nentries={entries}")?;
    }
    if details.is_unindexed {
        out.push_str(" unindexed");
    }
    transaction(out, details.transaction_id)?;
    if details.etime_in_nanoseconds {
        writeln!(out, " etime={}", details.took.as_nanos())
    } else {
        writeln!(out, " etime={}", details.took.as_millis())
    }
}

fn transaction(out: &mut String, id: Option<&str>) -> fmt::Result {
    match id {
        Some(id) => {
            out.push_str(" transactionId=");
            // The value stands unquoted, so a space would end it.
            for (count, part) in id.split(' ').enumerate() {
                if count > 0 {
                    out.push('_');
                }
                escaped(part, out)?;
            }
            Ok(())
        }
        None => Ok(()),
    }
}
