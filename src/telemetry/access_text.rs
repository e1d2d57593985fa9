//! Access log lines: the text after the time stamp. Names and order are those that OpenDJ's readers parse.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use super::publisher::{LoggedEnd, LoggedRequest};
use crate::protocol::message::{Operation, OperationKind, Request, Scope};
use crate::protocol::oid;

/// Text from a client between quotes: quotes and control characters are escaped, so that it cannot forge a line.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        escaped(self.0, f)?;
        f.write_char('"')
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|octet| octet >= b' ' && octet != b'"' && octet < 0x7f)
}

fn escaped(text: &str, f: &mut impl Write) -> fmt::Result {
    if is_plain(text) {
        return f.write_str(text);
    }
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
pub(super) const fn word(kind: OperationKind) -> &'static str {
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

/// The word for a search's scope.
pub(super) const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Base => "base",
        Scope::One => "one",
        Scope::Subtree => "sub",
        Scope::Subordinate => "subordinate",
    }
}

/// The name of an extended operation.
pub(super) fn extended_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        oid::WHO_AM_I => "Who Am I",
        oid::PASSWORD_MODIFY => "Password Modify",
        oid::START_TLS => "StartTLS",
        oid::CANCEL => "Cancel",
        _ => return None,
    })
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

fn number(out: &mut String, name: &str, value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push_str(name);
    out.push_str(digits.get(at..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("0"));
}

fn head(out: &mut String, asked: &LoggedRequest<'_>, part: &str) {
    out.push_str(word(asked.request.kind()));
    out.push_str(part);
    number(out, " conn=", asked.connection);
    number(out, " op=", asked.operation);
    number(out, " msgID=", u64::try_from(asked.request.id().0).unwrap_or(0));
}

fn quoted(out: &mut String, name: &str, text: &str) -> fmt::Result {
    out.push_str(name);
    out.push('"');
    escaped(text, out)?;
    out.push('"');
    Ok(())
}

/// `SEARCH REQ …`.
pub(super) fn request(
    out: &mut String,
    asked: &LoggedRequest<'_>,
    operation: &Operation<'_>,
    with_controls: bool,
) -> fmt::Result {
    head(out, asked, " REQ");
    what(out, operation)?;
    if with_controls {
        controls(out, asked.request)?;
    }
    transaction(out, asked.transaction_id)?;
    out.push('\n');
    Ok(())
}

/// `SEARCH RES …`.
pub(super) fn response(out: &mut String, asked: &LoggedRequest<'_>, end: &LoggedEnd<'_>) -> fmt::Result {
    head(out, asked, " RES");
    how(out, asked, end)
}

/// `SEARCH …`, request and result on one line.
pub(super) fn combined(
    out: &mut String,
    asked: &LoggedRequest<'_>,
    operation: &Operation<'_>,
    with_controls: bool,
    end: Option<&LoggedEnd<'_>>,
) -> fmt::Result {
    head(out, asked, "");
    what(out, operation)?;
    if with_controls {
        controls(out, asked.request)?;
    }
    match end {
        Some(end) => how(out, asked, end),
        None => {
            transaction(out, asked.transaction_id)?;
            out.push('\n');
            Ok(())
        }
    }
}

/// What is asked for. Values, passwords and credentials are not written.
fn what(out: &mut String, operation: &Operation<'_>) -> fmt::Result {
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
            quoted(out, " dn=", bind.dn)
        }
        Operation::Search(search) => {
            quoted(out, " base=", search.base)?;
            out.push_str(" scope=");
            out.push_str(scope(search.scope));
            out.push_str(" filter=\"");
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
            Ok(())
        }
        Operation::Modify(modify) => quoted(out, " dn=", modify.dn),
        Operation::Add(add) => quoted(out, " dn=", add.dn),
        Operation::Delete(delete) => quoted(out, " dn=", delete.dn),
        Operation::ModifyDn(rename) => {
            quoted(out, " dn=", rename.dn)?;
            quoted(out, " newRDN=", rename.new_rdn)?;
            write!(out, " deleteOldRDN={}", rename.delete_old_rdn)?;
            rename.new_superior.map_or(Ok(()), |superior| quoted(out, " newSuperior=", superior))
        }
        Operation::Compare(compare) => {
            quoted(out, " dn=", compare.dn)?;
            out.push_str(" attr=");
            escaped(compare.attribute, out)
        }
        Operation::Abandon(target) => write!(out, " idToAbandon={}", target.0),
        Operation::Extended(extended) => {
            if let Some(name) = extended_name(extended.name) {
                quoted(out, " name=", name)?;
            }
            quoted(out, " oid=", extended.name)
        }
        Operation::Unbind => Ok(()),
    }
}

/// How it ended.
fn how(out: &mut String, asked: &LoggedRequest<'_>, end: &LoggedEnd<'_>) -> fmt::Result {
    number(out, " result=", end.result.code.0.into());
    if !end.result.diagnostic.is_empty() {
        quoted(out, " message=", &end.result.diagnostic)?;
    }
    if let Some(failure) = end.authentication_failure {
        quoted(out, " authFailureReason=", failure)?;
    }
    if let Some(dn) = end.authenticated_dn {
        quoted(out, " authDN=", dn)?;
    }
    if let Some(dn) = end.authorization_dn {
        quoted(out, " authzDN=", dn)?;
    }
    if let Some(entries) = end.entries {
        number(out, " nentries=", entries);
    }
    if end.is_unindexed {
        out.push_str(" unindexed");
    }
    transaction(out, asked.transaction_id)?;
    number(out, " etime=", elapsed(end));
    out.push('\n');
    Ok(())
}

/// In the unit that is configured.
pub(super) fn elapsed(end: &LoggedEnd<'_>) -> u64 {
    let time = if end.etime_in_nanoseconds { end.took.as_nanos() } else { end.took.as_millis() };
    u64::try_from(time).unwrap_or(u64::MAX)
}

fn controls(out: &mut String, request: &Request) -> fmt::Result {
    for (count, control) in request.controls().enumerate() {
        out.push_str(if count == 0 { " requestControls=" } else { "," });
        escaped(control.oid, out)?;
    }
    Ok(())
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
