//! Attributes that take more than the right to write: `aci`, `ds-privilege-name`, and what makes an entry a
//! subentry.

use super::answer::Exchange;
use super::outcome;
use super::sight::Sight;
use crate::access::{AccessSet, Privilege, check_aci};
use crate::entry::{EntryBuilder, PreparedModifications, is_subentry_class};
use crate::protocol::message::ModifyOperation;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

/// Checks an entry about to be added.
pub(super) fn check_new(
    exchange: &Exchange,
    builder: &EntryBuilder,
    target: &NormalizedDn,
) -> Result<(), LdapResult> {
    let sight = &exchange.sight;
    for name in ["aci", "ds-privilege-name"] {
        if builder.has(name) {
            check_privilege(sight, name)?;
            builder.values(name).try_for_each(|value| check_value(name, value, target, &exchange.schema))?;
        }
    }
    let is_subentry = builder.values("objectClass").any(is_subentry_class);
    if is_subentry && !sight.has(Privilege::SubentryWrite) {
        return Err(outcome::missing_privilege(Privilege::SubentryWrite, "adding a subentry"));
    }
    Ok(())
}

/// Checks modifications.
pub(super) fn check_modifications(
    exchange: &Exchange,
    modifications: &PreparedModifications,
    target: &NormalizedDn,
) -> Result<(), LdapResult> {
    for (operation, canonical, values) in modifications.steps() {
        let name = canonical.split(';').next().unwrap_or_default();
        check_privilege(&exchange.sight, name)?;
        if operation != ModifyOperation::Delete {
            for value in values {
                check_value(name, value, target, &exchange.schema)?;
            }
        }
    }
    Ok(())
}

fn check_privilege(sight: &Sight, name: &str) -> Result<(), LdapResult> {
    match AccessSet::privilege_for(name) {
        Some(privilege) if !sight.has(privilege) => {
            Err(outcome::missing_privilege(privilege, &format!("writing attribute {name}")))
        }
        _ => Ok(()),
    }
}

fn check_value(name: &str, value: &[u8], target: &NormalizedDn, schema: &Schema) -> Result<(), LdapResult> {
    match name {
        "aci" => {
            let Ok(text) = std::str::from_utf8(value) else {
                let text = "attribute aci: the value is not UTF-8";
                return Err(LdapResult::new(ResultCode::INVALID_ATTRIBUTE_SYNTAX, text));
            };
            check_aci(text, target, schema).map_err(|error| outcome::aci_error(&error))
        }
        "ds-privilege-name" if Privilege::parse_value(value).is_none() => {
            let text = format!(
                "attribute ds-privilege-name: {} is not the name of a privilege",
                String::from_utf8_lossy(value).chars().take(64).collect::<String>()
            );
            Err(LdapResult::with(ResultCode::INVALID_ATTRIBUTE_SYNTAX, text))
        }
        _ => Ok(()),
    }
}
