//! Extended operations (RFC 4511 §4.12): Who am I?, Password Modify and explain access. StartTLS and Cancel belong to the session.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::answer::Exchange;
use super::identity::Account;
use super::modify::{Prepared, check_password_change, first_rdn};
use super::pipeline::{self, WriteControls};
use super::place::{self, Place};
use super::{Served, bind, explain, identity, outcome, password};
use crate::auth::{Secret, random_password};
use crate::ber::tag;
use crate::ber::write::{header, integer};
use crate::entry::PreparedModifications;
use crate::protocol::encode;
use crate::protocol::extended::explain_access::ExplainAccess;
use crate::protocol::extended::password_modify::{self, PasswordModify};
use crate::protocol::extended::{ExtendedKind, ValueError, whoami};
use crate::protocol::message::{ExtendedRequest, Modifications, ModifyOperation, ModifyRequest, Operation};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Serves an extended request.
pub(super) fn serve(mut exchange: Exchange) -> Served {
    let request = exchange.request().clone();
    let Operation::Extended(asked) = request.operation() else { return Served::Answered };
    let target = exchange.sight.who.key.clone();
    let admitted = pipeline::admit(&mut exchange, &request, &target).map(drop);
    match admitted.and_then(|()| begin(&exchange, &asked)) {
        Err(result) => exchange.finish(&result),
        Ok(Begun::WhoAmI) => {
            let value = whoami::response_value(&exchange.sight.who.dn);
            exchange.extended_value = Some(Bytes::from(value));
            exchange.finish(&LdapResult::success());
        }
        Ok(Begun::Explained(text)) => {
            exchange.extended_value = Some(Bytes::from(text));
            exchange.finish(&LdapResult::success());
        }
        Ok(Begun::PasswordModify(wish)) => return Served::Before(Box::pin(change_password(exchange, wish))),
    }
    Served::Answered
}

enum Begun {
    WhoAmI,
    PasswordModify(PasswordModify),
    Explained(String),
}

fn begin(exchange: &Exchange, asked: &ExtendedRequest<'_>) -> Result<Begun, LdapResult> {
    let kind = match ExtendedKind::from_oid(asked.name) {
        Some(kind @ (ExtendedKind::WhoAmI | ExtendedKind::PasswordModify | ExtendedKind::ExplainAccess)) => {
            kind
        }
        _ => {
            let oid: String = asked.name.chars().take(128).collect();
            let text = format!("extended operation {oid} is not supported");
            return Err(LdapResult::with(ResultCode::PROTOCOL_ERROR, text));
        }
    };
    let sight = &exchange.sight;
    if !sight.access.may_extended(&sight.who, kind.oid()) {
        return Err(outcome::denied("no access control instruction lets the requester use this operation"));
    }
    let malformed = |error: ValueError| {
        LdapResult::with(ResultCode::PROTOCOL_ERROR, format!("extended operation {}: {error}", kind.oid()))
    };
    if kind == ExtendedKind::WhoAmI {
        whoami::check(asked.value).map_err(malformed)?;
        return Ok(Begun::WhoAmI);
    }
    if kind == ExtendedKind::ExplainAccess {
        let request = ExplainAccess::parse(asked.value).map_err(malformed)?;
        return explain::explain(exchange, &request).map(Begun::Explained);
    }
    PasswordModify::parse(asked.value).map(Begun::PasswordModify).map_err(malformed)
}

/// Password Modify (RFC 3062): as a modify of userPassword, but that the old password may stand for a bind.
async fn change_password(mut exchange: Exchange, wish: PasswordModify) {
    match prepare(&mut exchange, wish).await {
        Err(result) => exchange.finish(&result),
        Ok((change, generated)) => {
            exchange.extended_value =
                generated.map(|password| password_modify::response_value(password.expose()));
            match change {
                PasswordChange::Stored(prepared) => prepared.submit(exchange),
                PasswordChange::Made(result) => exchange.finish(&result),
            }
        }
    }
}

async fn prepare(
    exchange: &mut Exchange,
    wish: PasswordModify,
) -> Result<(PasswordChange, Option<Secret>), LdapResult> {
    let directory = Arc::clone(exchange.directory());
    let who = Arc::clone(&exchange.sight.who);
    let account = match wish.user.as_deref().filter(|user| !user.is_empty()) {
        Some(user) => identity::named(exchange, user)?,
        None if who.is_anonymous() => {
            let text = "nobody is authenticated, so the request has to say whose password it changes";
            return Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        None => identity::account(&directory, &who.key)?,
    };
    let wrong = || LdapResult::new(ResultCode::INVALID_CREDENTIALS, "");
    let is_proven = match wish.old.map(Secret::new) {
        None => false,
        Some(old) => {
            let key = account.as_ref().map_or_else(NormalizedDn::root, |account| account.key.clone());
            let stored = account.as_ref().map(|account| account.passwords.as_slice()).unwrap_or_default();
            let verdict = directory.verifier.verify(key.as_bytes(), stored, &old).await;
            if !verdict.map_err(|error| bind::auth_error(&error))? {
                return Err(wrong());
            }
            true
        }
    };
    // Who neither is somebody nor proved to be learns nothing about whom there is.
    let account = account.filter(|account| !account.is_refused && (is_proven || !who.is_anonymous()));
    let Some(account) = account else {
        return Err(if who.is_anonymous() { wrong() } else { outcome::no_such_object("") });
    };
    if who.is_anonymous() {
        exchange.sight.who = Arc::new(account.requester(who.origin()));
    }
    let config = directory.config.current();
    let wants_current =
        config.default_password_policy().is_some_and(|policy| policy.change_requires_current_password);
    if wants_current && !is_proven && exchange.sight.who.key == account.key {
        let text = "the password policy wants the present password \
                    (ds-cfg-password-change-requires-current-password)";
        return Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text));
    }
    check_password_change(exchange, &account.key)?;
    let (password, generated) = match wish.new {
        Some(new) => (password::take(&directory, &new)?.unwrap_or_else(|| Secret::new(new)), None),
        None => {
            let made = random_password().map_err(|error| bind::auth_error(&error))?;
            (made.clone(), Some(made))
        }
    };
    let Some(entry) = &account.entry else {
        return Ok((PasswordChange::Made(change_root(exchange, &account, &password)), generated));
    };
    pipeline::writable(exchange, false)?;
    let encoded = password::encode(&directory, vec![Some(password)]).await?;
    let mut modifications = PreparedModifications::default();
    let values = encoded.iter().flatten().map(Vec::as_slice);
    modifications
        .push(ModifyOperation::Replace, password::ATTRIBUTE, values, &exchange.schema)
        .map_err(|error| outcome::modify_error(&error))?;
    let rdn = first_rdn(entry.dn())?;
    let prepared =
        Prepared { target: account.key.clone(), rdn, modifications, controls: WriteControls::default() };
    Ok((PasswordChange::Stored(prepared), generated))
}

/// How far a change of a password is.
enum PasswordChange {
    /// To be made in the store.
    Stored(Prepared),
    /// Made, or refused, by the configuration.
    Made(LdapResult),
}

/// Changes the password of a root user, whose entry is in the configuration, which hashes by itself.
fn change_root(exchange: &Exchange, account: &Account, password: &Secret) -> LdapResult {
    let directory = exchange.directory();
    let Place::Virtual(backend) = place::of(directory, &account.key) else {
        return LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, "the configuration is not served");
    };
    let values = || std::iter::once(password.expose());
    let mut list = BytesMut::new();
    header(&mut list, tag::SEQUENCE, 3 + encode::attribute_len(password::ATTRIBUTE, values()));
    integer(&mut list, tag::ENUMERATED, ModifyOperation::Replace.number().into());
    encode::attribute(&mut list, password::ATTRIBUTE, values());
    match Modifications::parse(&list) {
        Ok(changes) => {
            backend.modify(directory, &exchange.sight.who, &ModifyRequest { dn: &account.dn, changes })
        }
        Err(_) => LdapResult::new(ResultCode::OTHER, "the modification cannot be encoded"),
    }
}
