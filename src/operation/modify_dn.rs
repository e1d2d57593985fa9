//! ModifyDN (RFC 4511 §4.9): leaves are renamed and moved; entries with children stay where they are.

use std::sync::Arc;

use super::answer::Exchange;
use super::edit::ContentEdit;
use super::outcome;
use super::pipeline::{self, WriteControls};
use super::place::{self, Place};
use super::stamp::Stamp;
use crate::access::Right;
use crate::backend::ChangeKind;
use crate::entry::{PreparedModifications, StoredEntry};
use crate::name::{Dn, Rdn};
use crate::protocol::message::{ModifyDnRequest, ModifyOperation, Operation, Request};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

/// Serves a modifyDN.
pub(super) fn serve(mut exchange: Exchange) {
    let request = exchange.request().clone();
    let Operation::ModifyDn(rename) = request.operation() else { return };
    match prepare(&mut exchange, &request, &rename) {
        Err(result) => exchange.finish(&result),
        Ok((new_dn, new_key, edit)) => {
            let controls = edit.controls.clone();
            let target = edit.target.clone();
            let kind = ChangeKind::Rename { new_dn, new_key, edit: Box::new(edit) };
            pipeline::submit(exchange, target, kind, controls);
        }
    }
}

fn prepare(
    exchange: &mut Exchange,
    request: &Request,
    rename: &ModifyDnRequest<'_>,
) -> Result<(String, NormalizedDn, ContentEdit), LdapResult> {
    let schema = Arc::clone(&exchange.schema);
    let target = place::key(rename.dn, "entry's DN", &schema)?;
    let controls = pipeline::admit(exchange, request, &target)?;
    let new_rdn =
        Rdn::parse(rename.new_rdn).map_err(|error| outcome::dn_error("new RDN", rename.new_rdn, &error))?;
    let directory = Arc::clone(exchange.directory());
    if let Place::Virtual(_) = place::of(&directory, &target) {
        return Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, "this entry cannot be renamed"));
    }
    pipeline::writable(exchange, false)?;
    let entry = directory.store.get(&target).map_err(|error| outcome::store_error(&error))?;
    let Some(entry) = entry.filter(|entry| exchange.sight.sees(entry, &target)) else {
        return Err(outcome::no_such_object(rename.dn).matched(place::matched(exchange, &target)));
    };
    let old = Dn::parse(entry.dn()).map_err(|error| outcome::dn_error("entry's DN", entry.dn(), &error))?;
    let (Some(old_rdn), Some(old_parent)) = (old.rdn(), old.parent()) else {
        return Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, "the root DSE cannot be renamed"));
    };
    if directory.store.suffixes().iter().any(|(_, suffix)| *suffix == target) {
        return Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, "a suffix entry cannot be renamed"));
    }
    let old_parent_key = NormalizedDn::of(&old_parent, &schema);
    let (parent, parent_key) = match rename.new_superior {
        None => (old_parent.to_string(), old_parent_key.clone()),
        Some(superior) => (superior.to_owned(), place::key(superior, "new superior's DN", &schema)?),
    };
    let is_move = parent_key != old_parent_key;
    if is_move {
        check_move(exchange, &target, &parent_key, &entry, rename)?;
    }
    if directory.store.children(&target) > 0 {
        let text = "only an entry without children can be renamed or moved";
        return Err(LdapResult::new(ResultCode::NOT_ALLOWED_ON_NON_LEAF, text));
    }
    let new_dn = if parent.is_empty() { new_rdn.to_string() } else { format!("{},{parent}", rename.new_rdn) };
    let new_key = place::key(&new_dn, "new DN", &schema)?;
    let modifications = rdn_changes(old_rdn, &new_rdn, rename.delete_old_rdn, &schema)?;
    let edit = ContentEdit {
        target,
        sight: exchange.sight.clone(),
        controls: WriteControls::of(&controls, &schema),
        schema,
        directory,
        modifications,
        stamp: Stamp::now(exchange),
        rdn: new_rdn,
        is_rename: true,
        is_move,
    };
    Ok((new_dn, new_key, edit))
}

fn check_move(
    exchange: &Exchange,
    target: &NormalizedDn,
    parent_key: &NormalizedDn,
    entry: &StoredEntry,
    rename: &ModifyDnRequest<'_>,
) -> Result<(), LdapResult> {
    let directory = exchange.directory();
    if target.covers(parent_key) {
        return Err(LdapResult::new(
            ResultCode::UNWILLING_TO_PERFORM,
            "an entry cannot be moved below itself",
        ));
    }
    if let Place::Virtual(_) = place::of(directory, parent_key) {
        let text = "the new superior is in another backend";
        return Err(LdapResult::new(ResultCode::AFFECTS_MULTIPLE_DSAS, text));
    }
    let parent = directory.store.get(parent_key).map_err(|error| outcome::store_error(&error))?;
    let Some(parent) = parent.filter(|parent| exchange.sight.sees(parent, parent_key)) else {
        let mut result = outcome::no_such_object(rename.new_superior.unwrap_or_default());
        if result.diagnostic == outcome::NO_ENTRY {
            result.diagnostic = "the new superior does not exist".into();
        }
        return Err(result.matched(place::matched(exchange, parent_key)));
    };
    if !exchange.sight.may_entry(Right::Import, &parent, parent_key) {
        return Err(outcome::denied("the requester may not move entries below the new superior (import)"));
    }
    if !exchange.sight.may_entry(Right::Export, entry, target) {
        return Err(outcome::denied("the requester may not move the entry away (export)"));
    }
    Ok(())
}

/// Takes the old RDN's values away, if asked to and if the new RDN does not name them, and adds the new one's.
fn rdn_changes(
    old: &Rdn,
    new: &Rdn,
    deletes_old: bool,
    schema: &Schema,
) -> Result<PreparedModifications, LdapResult> {
    let mut changes = PreparedModifications::default();
    let single =
        |ava: &crate::name::Ava| NormalizedDn::of(&Dn::from_rdns(vec![Rdn::single(ava.clone())]), schema);
    let mut push = |operation, ava: &crate::name::Ava| {
        changes
            .push(operation, ava.attribute(), std::iter::once(ava.value()), schema)
            .map_err(|error| outcome::modify_error(&error))
    };
    if deletes_old {
        for ava in old.avas().iter().filter(|ava| !new.avas().iter().any(|kept| single(kept) == single(ava)))
        {
            push(ModifyOperation::Delete, ava)?;
        }
    }
    for ava in new.avas() {
        if schema.attribute(ava.attribute()).is_none() {
            let text = format!("attribute {} of the new RDN is not defined in the schema", ava.attribute());
            return Err(LdapResult::with(ResultCode::NAMING_VIOLATION, text));
        }
        push(ModifyOperation::Add, ava)?;
    }
    Ok(changes)
}
