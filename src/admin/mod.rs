//! The suffixes that are made, not stored: the root DSE, `cn=config`, `cn=schema`, `cn=monitor`, `cn=backups`.
//!
//! Each backend only makes entries and takes writes; scope, filter, access to attributes and projection are the generic
//! search's. Privileges that guard a whole suffix are asked for here.

mod apply;
mod cn_backups;
mod cn_config;
mod cn_monitor;
mod cn_schema;
mod monitor_entries;
mod monitor_service;
mod root_dse;
#[cfg(test)]
mod tests;

pub use apply::{follow_configuration, indexes_of};
pub use cn_backups::CnBackups;
pub use cn_config::CnConfig;
pub use cn_monitor::{CnMonitor, ConnectionReport, Connections, MonitorSources};
pub use cn_schema::{CnSchema, SchemaHook};
pub use root_dse::RootDse;

use crate::access::{Privilege, Requester};
use crate::protocol::result::{LdapResult, ResultCode};

/// Suffixes that hold no user data, as `ds-private-naming-contexts` lists them.
pub const PRIVATE_SUFFIXES: &[&str] = &["cn=config", "cn=schema", "cn=monitor", "cn=Tasks", "cn=backups"];

/// Refuses (50) who lacks a privilege.
fn require(who: &Requester, privilege: Privilege, for_what: &str) -> Result<(), LdapResult> {
    if who.privileges.has(privilege) {
        return Ok(());
    }
    Err(LdapResult::with(
        ResultCode::INSUFFICIENT_ACCESS_RIGHTS,
        format!("{for_what} needs the privilege {}", privilege.name()),
    ))
}

/// The answer of a suffix that takes no such writes.
fn unwilling(what: &'static str) -> LdapResult {
    LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, what)
}
