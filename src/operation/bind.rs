//! Bind (RFC 4511 §4.2, RFC 4513 §5): simple and anonymous; SASL goes on in `sasl`. Until it succeeds, and when it fails, the connection is
//! anonymous. Unknown name, wrong password and closed account look the same to the client.

use std::sync::Arc;

use super::answer::Exchange;
use super::identity::{self, Account};
use super::{Served, lockdown, pipeline, place, sasl};
use crate::access::{AuthMethod, Origin, Requester};
use crate::auth::{AuthError, Secret};
use crate::protocol::control::{ControlKind, authorization_identity};
use crate::protocol::message::{Authentication, Operation};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Serves a bind.
pub(super) fn serve(mut exchange: Exchange) -> Served {
    let request = exchange.request().clone();
    let Operation::Bind(bind) = request.operation() else { return Served::Answered };
    let anonymous = anonymous(&exchange);
    exchange.connection().authenticate(Arc::clone(&anonymous));
    exchange.sight.who = Arc::clone(&anonymous);
    let refuse = |exchange: Exchange, result: &LdapResult| {
        exchange.finish(result);
        Served::Answered
    };
    if bind.version != 3 {
        let text = format!("LDAP version {} is not served, only version 3", bind.version);
        return refuse(exchange, &LdapResult::with(ResultCode::PROTOCOL_ERROR, text));
    }
    let key = match place::key(bind.dn, "bind DN", &exchange.schema) {
        Ok(key) => key,
        Err(result) => return refuse(exchange, &result),
    };
    let controls = match pipeline::admit(&mut exchange, &request, &key) {
        Ok(controls) => controls,
        Err(result) => return refuse(exchange, &result),
    };
    let wants_identity = controls.has(ControlKind::AuthorizationIdentity);
    let password = match bind.authentication {
        Authentication::Simple(password) => password,
        Authentication::Sasl { mechanism, credentials } => {
            return sasl::serve(exchange, mechanism, credentials, wants_identity);
        }
        _ => {
            let text = "the authentication choice is neither simple nor SASL";
            return refuse(exchange, &LdapResult::new(ResultCode::AUTH_METHOD_NOT_SUPPORTED, text));
        }
    };
    if password.is_empty() {
        let requires = exchange.directory().config.current().global.bind_with_dn_requires_password;
        if key != NormalizedDn::root() && requires {
            let text = "a bind with a DN needs a password (ds-cfg-bind-with-dn-requires-password)";
            return refuse(exchange, &LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        succeed(exchange, anonymous, wants_identity);
        return Served::Answered;
    }
    let account = match identity::account(exchange.directory(), &key) {
        Ok(account) => account,
        Err(result) => return refuse(exchange, &result),
    };
    let secret = Secret::new(password);
    Served::Before(Box::pin(verify(exchange, key, account, secret, wants_identity)))
}

fn anonymous(exchange: &Exchange) -> Arc<Requester> {
    let who = &exchange.call().requester;
    exchange.directory().anonymous(who.address, who.security_strength)
}

async fn verify(
    mut exchange: Exchange,
    key: NormalizedDn,
    account: Option<Account>,
    password: Secret,
    wants_identity: bool,
) {
    match prove(&mut exchange, &key, account, &password).await {
        Err(refusal) => exchange.finish(&refusal),
        Ok(account) => {
            let origin = Origin { method: AuthMethod::Simple, ..exchange.sight.who.origin() };
            succeed(exchange, Arc::new(account.requester(origin)), wants_identity);
        }
    }
}

/// The refusal that tells the client nothing; why goes to the log.
pub(super) fn fail(exchange: &mut Exchange, why: &'static str) -> LdapResult {
    exchange.bind_failure = Some(why);
    let is_told = exchange.directory().config.load().global.return_bind_error_messages;
    LdapResult::new(ResultCode::INVALID_CREDENTIALS, if is_told { why } else { "" })
}

/// The account, if the password is its own and its state does not keep it out.
pub(super) async fn prove(
    exchange: &mut Exchange,
    key: &NormalizedDn,
    account: Option<Account>,
    password: &Secret,
) -> Result<Account, LdapResult> {
    let directory = Arc::clone(exchange.directory());
    let Some(turn) = directory.turns.take(exchange.sight.who.address) else {
        let text = "too many passwords of this address wait to be checked";
        return Err(LdapResult::new(ResultCode::BUSY, text));
    };
    // Without an account a hash is made all the same: time must not tell which names exist.
    let stored = account.as_ref().map(|account| account.passwords.as_slice()).unwrap_or_default();
    let verdict = directory.verifier.verify(key.as_bytes(), stored, password).await;
    drop(turn);
    let is_right = verdict.map_err(|error| auth_error(&error))?;
    let Some(account) = account else {
        return Err(fail(exchange, "there is no such account"));
    };
    let now = directory.clock.monotonic();
    let (name, rules) = (account.key.as_bytes(), account.lockout);
    if directory.lockouts.is_locked(name, &account.passwords, rules, now) {
        return Err(fail(exchange, "the account is locked: too many wrong passwords"));
    }
    if !is_right {
        if account.passwords.is_empty() {
            return Err(fail(exchange, "the account has no password"));
        }
        if directory.lockouts.failed(name, &account.passwords, rules, now) {
            let (dn, from) = (&account.dn, exchange.sight.who.address);
            tracing::warn!(account = dn, %from, "locked after {} wrong passwords", rules.failures);
        }
        return Err(fail(exchange, "wrong password"));
    }
    if account.is_refused {
        return Err(fail(exchange, "the account is disabled"));
    }
    directory.lockouts.succeeded(name, rules);
    let config = directory.config.current();
    let is_clear = exchange.sight.who.security_strength == 0;
    if is_clear && config.default_password_policy().is_some_and(|policy| policy.require_secure_authentication)
    {
        let text = "the password policy wants TLS for binds (ds-cfg-require-secure-authentication)";
        return Err(LdapResult::new(ResultCode::CONFIDENTIALITY_REQUIRED, text));
    }
    Ok(account)
}

/// The client is who it says: the connection acts for it from now on.
pub(super) fn succeed(mut exchange: Exchange, who: Arc<Requester>, wants_identity: bool) {
    if let Err(refusal) = lockdown::check(&exchange, &who) {
        return exchange.finish(&refusal);
    }
    exchange.connection().authenticate(Arc::clone(&who));
    exchange.sight.who = Arc::clone(&who);
    if wants_identity {
        exchange.finish_with(&LdapResult::success(), &[authorization_identity::response(&who.dn)]);
    } else {
        exchange.finish(&LdapResult::success());
    }
}

/// A password that could be neither proven nor refuted.
pub(super) fn auth_error(error: &AuthError) -> LdapResult {
    let code = match error {
        AuthError::Busy => ResultCode::BUSY,
        AuthError::Stopped => ResultCode::UNAVAILABLE,
        _ => ResultCode::OTHER,
    };
    LdapResult::with(code, error.to_string())
}
