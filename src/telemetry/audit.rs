//! Audit log records: what clients changed, as LDIF that says by whom and when.

use std::io::{Result, Write};

use super::publisher::LoggedRequest;
use crate::ldif::LdifWriter;
use crate::protocol::extended::password_modify::PasswordModify;
use crate::protocol::message::{ModifyOperation, Operation, RawAttribute};
use crate::protocol::oid;

/// Writes a change; nothing for what is none. Values of redacted attributes (names in lower case) stay out: a comment says
/// how many there were.
pub(super) fn change(
    out: &mut Vec<u8>,
    stamp: &str,
    asked: &LoggedRequest<'_>,
    operation: &Operation<'_>,
    redacted: &[String],
) -> Result<()> {
    let dn = match operation {
        Operation::Add(add) => add.dn,
        Operation::Delete(delete) => delete.dn,
        Operation::Modify(modify) => modify.dn,
        Operation::ModifyDn(rename) => rename.dn,
        Operation::Extended(extended) if extended.name == oid::PASSWORD_MODIFY => {
            return password(out, stamp, asked, extended.value);
        }
        _ => return Ok(()),
    };
    head(out, stamp, asked)?;
    let mut ldif = LdifWriter::new(out);
    ldif.field("dn", dn.as_bytes())?;
    match operation {
        Operation::Add(add) => {
            ldif.field("changetype", b"add")?;
            for attribute in add.attributes {
                values(&mut ldif, &attribute, redacted)?;
            }
        }
        Operation::Delete(_) => ldif.field("changetype", b"delete")?,
        Operation::Modify(modify) => {
            ldif.field("changetype", b"modify")?;
            for change in modify.changes {
                let keyword = match change.operation {
                    ModifyOperation::Add => "add",
                    ModifyOperation::Delete => "delete",
                    ModifyOperation::Replace => "replace",
                    ModifyOperation::Increment => "increment",
                };
                ldif.field(keyword, change.attribute.description.as_bytes())?;
                values(&mut ldif, &change.attribute, redacted)?;
                ldif = dash(ldif)?;
            }
        }
        Operation::ModifyDn(rename) => {
            ldif.field("changetype", b"moddn")?;
            ldif.field("newrdn", rename.new_rdn.as_bytes())?;
            ldif.field("deleteoldrdn", if rename.delete_old_rdn { b"1" } else { b"0" })?;
            if let Some(superior) = rename.new_superior {
                ldif.field("newsuperior", superior.as_bytes())?;
            }
        }
        _ => {}
    }
    ldif.into_inner().push(b'\n');
    Ok(())
}

/// Who and when.
fn head(out: &mut Vec<u8>, stamp: &str, asked: &LoggedRequest<'_>) -> Result<()> {
    write!(out, "# {stamp}; conn={}; op={}", asked.connection, asked.operation)?;
    if let Some(id) = asked.transaction_id {
        write!(out, "; transactionId={}", id.replace(char::is_control, " "))?;
    }
    out.push(b'\n');
    if !asked.user_dn.is_empty() {
        writeln!(out, "# by {}", asked.user_dn.replace(char::is_control, " "))?;
    }
    Ok(())
}

/// A password that was changed by the operation for it, without what it is now.
fn password(out: &mut Vec<u8>, stamp: &str, asked: &LoggedRequest<'_>, value: Option<&[u8]>) -> Result<()> {
    let user = PasswordModify::parse(value).ok().and_then(|wanted| wanted.user);
    let user = user.as_deref().unwrap_or(asked.user_dn);
    head(out, stamp, asked)?;
    if let Some(name) = user.strip_prefix("u:") {
        // The entry is known to the operation alone.
        writeln!(out, "# userpassword of the user {} is changed", name.replace(char::is_control, " "))?;
    } else {
        let mut ldif = LdifWriter::new(&mut *out);
        ldif.field("dn", user.strip_prefix("dn:").unwrap_or(user).as_bytes())?;
        ldif.field("changetype", b"modify")?;
        ldif.field("replace", b"userPassword")?;
        ldif.comment("userpassword: 1 value is left out")?;
        out.extend_from_slice(b"-\n");
    }
    out.push(b'\n');
    Ok(())
}

fn dash(ldif: LdifWriter<&mut Vec<u8>>) -> Result<LdifWriter<&mut Vec<u8>>> {
    let out = ldif.into_inner();
    out.extend_from_slice(b"-\n");
    Ok(LdifWriter::new(out))
}

fn values(
    ldif: &mut LdifWriter<&mut Vec<u8>>,
    attribute: &RawAttribute<'_>,
    redacted: &[String],
) -> Result<()> {
    let name = attribute.description.split(';').next().unwrap_or_default().to_lowercase();
    if redacted.contains(&name) {
        let count = attribute.values.iter().count();
        let octets: usize = attribute.values.iter().map(<[u8]>::len).sum();
        return ldif.comment(&format!("{name}: {count} values of {octets} octets are left out"));
    }
    attribute.values.iter().try_for_each(|value| ldif.field(attribute.description, value))
}
