//! Brings the running server in line with the configuration, at start and after each change.

use std::sync::Arc;

use crate::access::{AciError, Privilege, check_aci};
use crate::backend::{IndexConfig, IndexType, SpaceSettings};
use crate::config::Durability as Policy;
use crate::config::{Config, IndexKind};
use crate::log::Durability;
use crate::operation::Directory;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// The indexes that the configuration wants of the data store.
pub fn indexes_of(config: &Config) -> Vec<IndexConfig> {
    let configured = config.data().map(|backend| backend.indexes.as_slice()).unwrap_or_default();
    let indexes = configured.iter().map(|index| IndexConfig {
        attribute: index.attribute.clone(),
        types: index
            .kinds
            .iter()
            .map(|kind| match kind {
                IndexKind::Equality => IndexType::Equality,
                IndexKind::Ordering => IndexType::Ordering,
                IndexKind::Presence => IndexType::Presence,
                IndexKind::Substring => IndexType::Substring,
            })
            .collect(),
        substring_length: index.substring_length,
    });
    // `ds-cfg-index-type: extensible` alone asks for nothing that is built.
    indexes.filter(|index| !index.types.is_empty()).collect()
}

/// When segments of the log go, and when writes are refused for want of room.
fn space_of(config: &Config) -> SpaceSettings {
    let (backend, default) = (config.data(), SpaceSettings::default());
    SpaceSettings {
        purge_delay: config.changelog.purge_delay,
        changelog_max: config.changelog.max_size,
        compaction: backend.is_none_or(|backend| backend.compaction),
        compaction_delay: backend.map_or(default.compaction_delay, |backend| backend.compaction_delay),
        disk_low: backend.map_or(0, |backend| backend.disk_low_threshold),
        disk_full: backend.map_or(0, |backend| backend.disk_full_threshold),
        ..default
    }
}

/// When a change is acknowledged.
fn durability_of(config: &Config) -> Durability {
    match config.data().map(|backend| backend.durability) {
        Some(Policy::Always) => Durability::Always,
        Some(Policy::Os) => Durability::Os,
        Some(Policy::Group) | None => Durability::Group,
    }
}

/// Applies the configuration in force (global ACIs, indexes, access and audit logs) and every change of it from now on. Changes that
/// break an ACI, or would switch access control off, are refused before they are persisted.
///
/// Listeners, the error log and TLS are their owners': they add hooks of their own. Called once, at start; fails if a
/// global ACI does not parse.
pub fn follow_configuration(directory: &Directory) -> Result<(), AciError> {
    let config = directory.config.current();
    directory.access.set_globals(&config.access.global_acis, &directory.schema.current())?;
    directory.store.set_indexes(indexes_of(&config));
    directory.store.set_space(space_of(&config));
    directory.store.set_durability(durability_of(&config));
    let schema = Arc::clone(&directory.schema);
    directory.config.on_check(Box::new(move |new| {
        if !new.access.enabled {
            let text = "access control cannot be switched off; give the grant in ds-cfg-global-aci instead";
            return Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        for name in &new.global.disabled_privileges {
            let text = match Privilege::parse(name) {
                None => format!("ds-cfg-disabled-privilege: there is no privilege {name}"),
                Some(Privilege::BypassAcl) => {
                    "ds-cfg-disabled-privilege: access control cannot be switched off, so bypass-acl is always asked for"
                        .to_owned()
                }
                Some(_) => continue,
            };
            return Err(LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        for name in new.root_dns.iter().flat_map(|root| &root.privileges) {
            if Privilege::parse(name).is_none() {
                let all = Privilege::ALL.map(Privilege::name).join(", ");
                let text = format!("there is no privilege {name} that a root user could have; there are {all}");
                return Err(LdapResult::with(ResultCode::CONSTRAINT_VIOLATION, text));
            }
        }
        let schema = schema.current();
        for text in &new.access.global_acis {
            check_aci(text, &NormalizedDn::root(), &schema).map_err(|error| {
                LdapResult::with(ResultCode::INVALID_ATTRIBUTE_SYNTAX, format!("ds-cfg-global-aci: {error}"))
            })?;
        }
        Ok(())
    }));
    let (access, schema) = (Arc::clone(&directory.access), Arc::clone(&directory.schema));
    directory.config.on_change(Box::new(move |old, new| {
        if old.access == new.access {
            return Ok(());
        }
        access.set_globals(&new.access.global_acis, &schema.current()).map_err(|error| {
            LdapResult::with(ResultCode::INVALID_ATTRIBUTE_SYNTAX, format!("ds-cfg-global-aci: {error}"))
        })
    }));
    let store = Arc::clone(&directory.store);
    directory.config.on_change(Box::new(move |old, new| {
        let indexes = indexes_of(new);
        if indexes != indexes_of(old) {
            store.set_indexes(indexes);
        }
        store.set_space(space_of(new));
        if durability_of(old) != durability_of(new) {
            store.set_durability(durability_of(new));
        }
        Ok(())
    }));
    let log = Arc::clone(&directory.access_log);
    directory.config.on_change(Box::new(move |old, new| {
        if old.logs == new.logs {
            return Ok(());
        }
        log.reconfigure(&new.logs)
            .map_err(|error| LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, format!("the log: {error}")))
    }));
    Ok(())
}
