//! Modify (RFC 4511 §4.6, RFC 4525).

use std::sync::Arc;

use super::answer::Exchange;
use super::edit::ContentEdit;
use super::pipeline::{self, WriteControls};
use super::place::{self, Place};
use super::stamp::Stamp;
use super::{Served, guarded, outcome, password};
use crate::access::Privilege;
use crate::auth::{Secret, scheme};
use crate::backend::ChangeKind;
use crate::entry::PreparedModifications;
use crate::name::{DnReader, Rdn};
use crate::protocol::message::{ModifyOperation, ModifyRequest, Operation, Request};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Serves a modify.
pub(super) fn serve(mut exchange: Exchange) -> Served {
    let request = exchange.request().clone();
    let Operation::Modify(modify) = request.operation() else { return Served::Answered };
    match prepare(&mut exchange, &request, &modify) {
        Err(result) => exchange.finish(&result),
        Ok(prepared) if prepared.modifications.touches(password::ATTRIBUTE) => {
            return Served::Before(Box::pin(hash_and_submit(exchange, prepared)));
        }
        Ok(prepared) => prepared.submit(exchange),
    }
    Served::Answered
}

/// A modify that passed what can be checked beforehand.
pub(super) struct Prepared {
    pub(super) target: NormalizedDn,
    pub(super) rdn: Rdn,
    pub(super) modifications: PreparedModifications,
    pub(super) controls: WriteControls,
}

impl Prepared {
    pub(super) fn submit(self, exchange: Exchange) {
        let edit = ContentEdit {
            target: self.target.clone(),
            sight: exchange.sight.clone(),
            controls: self.controls.clone(),
            schema: Arc::clone(&exchange.schema),
            directory: Arc::clone(exchange.directory()),
            modifications: self.modifications,
            stamp: Stamp::now(&exchange),
            rdn: self.rdn,
            is_rename: false,
            is_move: false,
        };
        pipeline::submit(exchange, self.target, ChangeKind::Modify(Box::new(edit)), self.controls);
    }
}

fn prepare(
    exchange: &mut Exchange,
    request: &Request,
    modify: &ModifyRequest<'_>,
) -> Result<Prepared, LdapResult> {
    let target = place::key(modify.dn, "entry's DN", &exchange.schema)?;
    let controls = pipeline::admit(exchange, request, &target)?;
    let directory = Arc::clone(exchange.directory());
    if let Place::Virtual(backend) = place::of(&directory, &target) {
        pipeline::virtual_controls(&controls)?;
        return Err(backend.modify(&directory, &exchange.sight.who, modify));
    }
    pipeline::writable(exchange, false)?;
    if let Some(hint) = outcome::placeholder_hint(modify.dn) {
        return Err(LdapResult::with(ResultCode::NO_SUCH_OBJECT, hint));
    }
    let controls = WriteControls::of(&controls, &exchange.schema);
    let modifications = PreparedModifications::prepare(modify.changes, &exchange.schema)
        .map_err(|error| outcome::modify_error(&error))?;
    guarded::check_modifications(exchange, &modifications, &target)?;
    if modifications.touches(password::ATTRIBUTE) {
        check_password_change(exchange, &target)?;
    }
    Ok(Prepared { rdn: first_rdn(modify.dn)?, target, modifications, controls })
}

/// The leaf RDN of a DN that is known to parse.
pub(super) fn first_rdn(dn: &str) -> Result<Rdn, LdapResult> {
    let mut avas = Vec::with_capacity(1);
    for ava in DnReader::new(dn) {
        let ava = ava.map_err(|error| outcome::dn_error("entry's DN", dn, &error))?;
        let ends = ava.ends_rdn;
        avas.push(ava.to_ava());
        if ends {
            break;
        }
    }
    let root = || LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, "the root DSE cannot be changed");
    Rdn::from_avas(avas).ok_or_else(root)
}

/// Somebody else's password takes a privilege; the policy may want TLS for it.
pub(super) fn check_password_change(exchange: &Exchange, target: &NormalizedDn) -> Result<(), LdapResult> {
    let who = &exchange.sight.who;
    let config = exchange.directory().config.current();
    let policy = config.default_password_policy();
    if who.security_strength == 0 && policy.is_some_and(|policy| policy.require_secure_password_changes) {
        let text = "the password policy wants TLS for it (ds-cfg-require-secure-password-changes)";
        return Err(LdapResult::new(ResultCode::CONFIDENTIALITY_REQUIRED, text));
    }
    if who.key == *target {
        if policy.is_some_and(|policy| !policy.allow_user_password_changes) {
            let text =
                "the password policy lets nobody change their own (ds-cfg-allow-user-password-changes)";
            return Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        return Ok(());
    }
    if exchange.sight.has(Privilege::PasswordReset) {
        return Ok(());
    }
    Err(outcome::missing_privilege(Privilege::PasswordReset, "changing the password of another"))
}

/// New passwords are hashed; a clear one to be deleted stands for the stored value it proves.
async fn hash_and_submit(exchange: Exchange, mut prepared: Prepared) {
    match hashed(&exchange, &prepared).await {
        Ok(values) => {
            let mut values = values.into_iter();
            let next = |_: ModifyOperation, _: &[u8]| Ok::<_, LdapResult>(values.next().flatten());
            match prepared.modifications.map_values(password::ATTRIBUTE, next) {
                Ok(()) => prepared.submit(exchange),
                Err(result) => exchange.finish(&result),
            }
        }
        Err(result) => exchange.finish(&result),
    }
}

/// What takes the place of each password value; none for one that stays.
async fn hashed(exchange: &Exchange, prepared: &Prepared) -> Result<Vec<Option<Vec<u8>>>, LdapResult> {
    let directory = exchange.directory();
    let mut given: Vec<(bool, Vec<u8>)> = Vec::new();
    for (operation, canonical, values) in prepared.modifications.steps() {
        if canonical.eq_ignore_ascii_case(password::ATTRIBUTE) {
            given.extend(values.map(|value| (operation == ModifyOperation::Delete, value.to_vec())));
        }
    }
    let entry = directory.store.get(&prepared.target).map_err(|error| outcome::store_error(&error))?;
    let mut replaced = Vec::with_capacity(given.len());
    for (is_delete, value) in given {
        if !is_delete {
            let password = password::take(directory, &value)?;
            replaced.extend(password::encode(directory, vec![password]).await?);
        } else if scheme::is_encoded(&value) {
            replaced.push(None);
        } else {
            let secret = Secret::new(value);
            let stored = entry.iter().filter_map(|entry| entry.values(password::ATTRIBUTE)).flatten();
            replaced.push(
                stored.filter(|stored| scheme::verify(stored, secret.expose())).map(<[u8]>::to_vec).next(),
            );
        }
    }
    Ok(replaced)
}
