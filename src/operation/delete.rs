//! Delete (RFC 4511 §4.8).

use std::sync::Arc;

use super::answer::Exchange;
use super::pipeline::{self, WriteControls};
use super::place::{self, Place};
use super::search::Children;
use super::sight::Sight;
use super::{Directory, outcome};
use crate::access::{Privilege, Right};
use crate::backend::ChangeKind;
use crate::entry::StoredEntry;
use crate::protocol::message::{Operation, Request};
use crate::protocol::result::LdapResult;
use crate::schema::{NormalizedDn, Schema};

/// Serves a delete.
pub(super) fn serve(mut exchange: Exchange) {
    let request = exchange.request().clone();
    let Operation::Delete(delete) = request.operation() else { return };
    match prepare(&mut exchange, &request, delete.dn) {
        Err(result) => exchange.finish(&result),
        Ok((target, controls)) => {
            let check = Check {
                target: target.clone(),
                sight: exchange.sight.clone(),
                controls: controls.clone(),
                schema: Arc::clone(&exchange.schema),
                directory: Arc::clone(exchange.directory()),
            };
            let subtree = controls.is_subtree;
            let check = Box::new(move |entry: &Arc<StoredEntry>| check.decide(entry));
            pipeline::submit(exchange, target, ChangeKind::Delete { check, subtree }, controls);
        }
    }
}

fn prepare(
    exchange: &mut Exchange,
    request: &Request,
    dn: &str,
) -> Result<(NormalizedDn, WriteControls), LdapResult> {
    let target = place::key(dn, "entry's DN", &exchange.schema)?;
    let controls = pipeline::admit(exchange, request, &target)?;
    if let Place::Virtual(backend) = place::of(exchange.directory(), &target) {
        let directory = Arc::clone(exchange.directory());
        pipeline::virtual_controls(&controls)?;
        return Err(backend.delete(&directory, &exchange.sight.who, &target));
    }
    pipeline::writable(exchange, true)?;
    if let Some(hint) = outcome::placeholder_hint(dn) {
        return Err(LdapResult::with(crate::protocol::result::ResultCode::NO_SUCH_OBJECT, hint));
    }
    Ok((target, WriteControls::of(&controls, &exchange.schema)))
}

/// What is looked at in the sequencer: access on every entry that goes, the assertion on the target alone.
struct Check {
    target: NormalizedDn,
    sight: Sight,
    controls: WriteControls,
    schema: Arc<Schema>,
    directory: Arc<Directory>,
}

impl Check {
    fn decide(&self, entry: &StoredEntry) -> Result<(), LdapResult> {
        let below;
        let is_target;
        let key = match &self.controls {
            WriteControls { is_subtree: false, .. } => {
                is_target = true;
                &self.target
            }
            _ => {
                below = place::key(entry.dn(), "entry's DN", &self.schema)?;
                is_target = below == self.target;
                &below
            }
        };
        if !self.sight.may_entry(Right::Delete, entry, key) {
            let why = outcome::denied("the requester may not delete the entry");
            return Err(pipeline::refuse(&self.sight, entry, key, &*self.directory.store, why));
        }
        if entry.is_subentry() && !self.sight.has(Privilege::SubentryWrite) {
            return Err(outcome::missing_privilege(Privilege::SubentryWrite, "deleting a subentry"));
        }
        match self.controls.assertion.as_ref().filter(|_| is_target) {
            Some(assertion) => {
                let context = Children { directory: &self.directory, schema: &self.schema };
                pipeline::assert_holds(assertion, &self.sight, entry, key, &context)
            }
            None => Ok(()),
        }
    }
}
