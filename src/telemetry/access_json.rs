//! Access log records as JSON, one object a line, named as DS 7 names what it logs.

use std::fmt::{self, Write};

use super::access_text::{elapsed, extended_name, scope, word};
use super::log_filter::Client;
use super::publisher::{LoggedEnd, LoggedRequest};
use crate::protocol::message::{Authentication, Operation};
use crate::protocol::result::ResultCode;

/// What every record says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub(super) instance: u64,
    pub(super) number: u64,
    /// RFC 3339, UTC.
    pub(super) timestamp: &'a str,
    pub(super) client: Option<Client>,
}

/// A JSON string.
fn text(out: &mut String, value: &str) -> fmt::Result {
    out.push('"');
    Escaping(out).write_str(value)?;
    out.push('"');
    Ok(())
}

struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, value: &str) -> fmt::Result {
        let mut rest = value;
        while let Some(at) = rest.find(|letter: char| matches!(letter, '"' | '\\') || letter.is_control()) {
            let (plain, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.0.push_str(plain);
            let mut letters = after.chars();
            match letters.next() {
                Some(letter @ ('"' | '\\')) => {
                    self.0.push('\\');
                    self.0.push(letter);
                }
                Some(letter) => write!(self.0, "\\u{:04x}", u32::from(letter))?,
                None => {}
            }
            rest = letters.as_str();
        }
        self.0.push_str(rest);
        Ok(())
    }
}

fn member(out: &mut String, name: &str, value: &str) -> fmt::Result {
    out.push_str(name);
    text(out, value)
}

fn begin(out: &mut String, envelope: &Envelope<'_>, transaction: Option<&str>) -> fmt::Result {
    write!(out, "{{\"_id\":\"{:016x}-{}\",\"timestamp\":\"", envelope.instance, envelope.number)?;
    out.push_str(envelope.timestamp);
    out.push_str("\",\"eventName\":\"DJ-LDAP\",\"transactionId\":");
    text(out, transaction.unwrap_or("0"))?;
    if let Some(client) = envelope.client {
        let (from, to) = (client.from, client.to);
        write!(out, ",\"client\":{{\"ip\":\"{}\",\"port\":{}}}", from.ip(), from.port())?;
        write!(out, ",\"server\":{{\"ip\":\"{}\",\"port\":{}}}", to.ip(), to.port())?;
    }
    let protocol = envelope.client.map_or("LDAP", |client| client.protocol());
    write!(out, ",\"request\":{{\"protocol\":\"{protocol}\",\"operation\":\"")
}

/// A connection was accepted.
pub(super) fn connect(out: &mut String, envelope: &Envelope<'_>, connection: u64) -> fmt::Result {
    begin(out, envelope, None)?;
    writeln!(
        out,
        "CONNECT\",\"connId\":{connection}}},\"response\":{{\"status\":\"SUCCESSFUL\",\"statusCode\":\"0\",\
         \"elapsedTime\":0,\"elapsedTimeUnits\":\"MILLISECONDS\"}}}}"
    )
}

/// A connection is closed.
pub(super) fn disconnect(
    out: &mut String,
    envelope: &Envelope<'_>,
    connection: u64,
    reason: &str,
    message: &str,
) -> fmt::Result {
    begin(out, envelope, None)?;
    write!(out, "DISCONNECT\",\"connId\":{connection}}},\"response\":{{\"status\":\"SUCCESSFUL\"")?;
    member(out, ",\"reason\":", reason)?;
    if !message.is_empty() {
        member(out, ",\"detail\":", message)?;
    }
    out.push_str("}}\n");
    Ok(())
}

/// An operation that is over, or (without an end) one that has none.
pub(super) fn operation(
    out: &mut String,
    envelope: &Envelope<'_>,
    asked: &LoggedRequest<'_>,
    operation: &Operation<'_>,
    with_controls: bool,
    end: Option<&LoggedEnd<'_>>,
) -> fmt::Result {
    begin(out, envelope, asked.transaction_id)?;
    out.push_str(word(asked.request.kind()));
    write!(
        out,
        "\",\"connId\":{},\"opId\":{},\"msgId\":{}",
        asked.connection,
        asked.operation,
        asked.request.id().0
    )?;
    what(out, operation)?;
    if with_controls {
        for (count, control) in asked.request.controls().enumerate() {
            out.push_str(if count == 0 { ",\"controls\":[" } else { "," });
            text(out, control.oid)?;
        }
        if asked.request.controls().next().is_some() {
            out.push(']');
        }
    }
    out.push('}');
    if let Some(end) = end {
        how(out, end)?;
    }
    let user = end.and_then(|end| end.authenticated_dn).unwrap_or(asked.user_dn);
    if !user.is_empty() {
        member(out, ",\"userId\":", user)?;
    }
    out.push_str("}\n");
    Ok(())
}

fn what(out: &mut String, operation: &Operation<'_>) -> fmt::Result {
    match operation {
        Operation::Bind(bind) => {
            write!(out, ",\"version\":\"{}\"", bind.version)?;
            match bind.authentication {
                Authentication::Simple(_) => out.push_str(",\"authType\":\"SIMPLE\""),
                Authentication::Sasl { mechanism, .. } => {
                    out.push_str(",\"authType\":\"SASL\"");
                    member(out, ",\"mechanism\":", mechanism)?;
                }
                Authentication::Other(_) => out.push_str(",\"authType\":\"UNKNOWN\""),
            }
            member(out, ",\"dn\":", bind.dn)
        }
        Operation::Search(search) => {
            member(out, ",\"dn\":", search.base)?;
            member(out, ",\"scope\":", scope(search.scope))?;
            out.push_str(",\"filter\":\"");
            write!(Escaping(out), "{}", search.filter)?;
            out.push_str("\",\"attrs\":[");
            let mut is_first = true;
            for name in search.attributes.iter() {
                if !is_first {
                    out.push(',');
                }
                is_first = false;
                text(out, name)?;
            }
            out.push_str(if is_first { "\"ALL\"]" } else { "]" });
            Ok(())
        }
        Operation::Modify(modify) => member(out, ",\"dn\":", modify.dn),
        Operation::Add(add) => member(out, ",\"dn\":", add.dn),
        Operation::Delete(delete) => member(out, ",\"dn\":", delete.dn),
        Operation::ModifyDn(rename) => {
            member(out, ",\"dn\":", rename.dn)?;
            member(out, ",\"newRDN\":", rename.new_rdn)?;
            write!(out, ",\"deleteOldRDN\":{}", rename.delete_old_rdn)?;
            rename.new_superior.map_or(Ok(()), |superior| member(out, ",\"newSup\":", superior))
        }
        Operation::Compare(compare) => {
            member(out, ",\"dn\":", compare.dn)?;
            member(out, ",\"attr\":", compare.attribute)
        }
        Operation::Abandon(target) => write!(out, ",\"idToAbandon\":{}", target.0),
        Operation::Extended(extended) => {
            if let Some(name) = extended_name(extended.name) {
                member(out, ",\"name\":", name)?;
            }
            member(out, ",\"oid\":", extended.name)
        }
        Operation::Unbind => Ok(()),
    }
}

fn how(out: &mut String, end: &LoggedEnd<'_>) -> fmt::Result {
    let code = end.result.code;
    let is_good = matches!(
        code,
        ResultCode::SUCCESS
            | ResultCode::COMPARE_TRUE
            | ResultCode::COMPARE_FALSE
            | ResultCode::SASL_BIND_IN_PROGRESS
            | ResultCode::NO_OPERATION
    );
    let status = if is_good { "SUCCESSFUL" } else { "FAILED" };
    let unit = if end.etime_in_nanoseconds { "NANOSECONDS" } else { "MILLISECONDS" };
    write!(
        out,
        ",\"response\":{{\"status\":\"{status}\",\"statusCode\":\"{}\",\"elapsedTime\":{},\
         \"elapsedTimeUnits\":\"{unit}\"",
        code.0,
        elapsed(end)
    )?;
    if !end.result.diagnostic.is_empty() {
        member(out, ",\"detail\":", &end.result.diagnostic)?;
    }
    if let Some(reason) = end.authentication_failure {
        member(out, ",\"failureReason\":", reason)?;
    }
    if let Some(entries) = end.entries {
        write!(out, ",\"nentries\":{entries}")?;
    }
    if end.is_unindexed {
        out.push_str(",\"unindexed\":true");
    }
    if let Some(dn) = end.authorization_dn {
        member(out, ",\"runAs\":", dn)?;
    }
    out.push('}');
    Ok(())
}
