//! What the task classes do: a file for each group of them, and the table that names them all.
//!
//! What may enter: implementations of [`super::Work`], thin ones: what they do to the store stands in `backend`.

mod backup;
mod indexes;
mod server;
mod transfer;
mod upkeep;

pub(crate) use backup::Following;
pub(crate) use indexes::{figures, verify};
pub(crate) use transfer::scheme_of;

use super::class::Class;
use crate::protocol::result::{LdapResult, ResultCode};

/// Classes of the reference server that this one does not have, and why.
const LATER: &[(&[&str], &str)] = &[
    (&["InitializeTask"], "it comes with replication"),
    (&["InitializeTargetTask"], "it comes with replication"),
    (&["SetGenerationIdTask"], "it comes with replication"),
    (&["ResetChangeNumberTask"], "it comes with replication"),
];

/// The table: a new class is one more line here.
pub(super) fn classes() -> Vec<Class> {
    let mut all = vec![
        indexes::rebuild(),
        indexes::verify_class(),
        indexes::stat(),
        backup::backup(),
        backup::restore(),
        transfer::import(),
        transfer::export(),
        server::shutdown(),
        server::disconnect(),
        server::enter_lockdown(),
        server::leave_lockdown(),
        upkeep::purge(),
        upkeep::purge_historical(),
        upkeep::add_schema_files(),
    ];
    all.extend(LATER.iter().map(|(names, why)| {
        Class::new(names, &[], move |source| {
            let name = source.first("ds-task-class-name").unwrap_or_default();
            let text = format!("this server has no task class {name}: {why}");
            Err(LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, text))
        })
    }));
    all
}
