//! SASL binds (RFC 4513 §5.2): EXTERNAL (RFC 4422 appendix A), by the certificate of the TLS handshake, or by the user
//! that the client is on this machine; and PLAIN, under TLS alone (RFC 4616).

use std::sync::Arc;

use super::answer::Exchange;
use super::bind::{fail, prove, succeed};
use super::identity::{self, Account};
use super::{Served, place};
use crate::access::{AuthMethod, Origin, Privilege, Requester};
use crate::auth::{ClientCertificate, Secret};
use crate::config::{CertificateMapper, CertificateValidation, ExternalSasl};
use crate::protocol::filter::Filter;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Serves a bind with SASL.
pub(super) fn serve(
    mut exchange: Exchange,
    mechanism: &str,
    credentials: Option<&[u8]>,
    wants_identity: bool,
) -> Served {
    let config = exchange.directory().config.current();
    let outcome = if is(mechanism, "EXTERNAL") && exchange.connection().is_owner() {
        owner(&mut exchange, credentials.unwrap_or_default())
    } else if let Some(rules) = config.sasl.external.as_ref().filter(|_| is(mechanism, "EXTERNAL")) {
        external(&mut exchange, rules, credentials.unwrap_or_default())
    } else if config.sasl.plain && is(mechanism, "PLAIN") {
        match claim(&mut exchange, credentials) {
            Ok(claim) => return Served::Before(Box::pin(plain(exchange, claim, wants_identity))),
            Err(refusal) => Err(refusal),
        }
    } else {
        let shown: String = mechanism.chars().take(32).collect();
        let offered: Vec<_> = config.sasl.mechanisms().collect();
        let text = format!("SASL mechanism {shown} is not supported; offered: {}", offered.join(" "));
        Err(LdapResult::with(ResultCode::AUTH_METHOD_NOT_SUPPORTED, text))
    };
    match outcome {
        Ok(who) => succeed(exchange, who, wants_identity),
        Err(refusal) => exchange.finish(&refusal),
    }
    Served::Answered
}

fn is(mechanism: &str, name: &str) -> bool {
    mechanism.eq_ignore_ascii_case(name)
}

/// EXTERNAL over the administration socket: who may read and write the instance's files is its root user.
fn owner(exchange: &mut Exchange, credentials: &[u8]) -> Result<Arc<Requester>, LdapResult> {
    let Ok(identity) = std::str::from_utf8(credentials) else {
        return Err(fail(exchange, "the authorization identity is not UTF-8"));
    };
    let config = exchange.directory().config.current();
    let root = config.root_dns.iter().find(|root| !root.is_disabled);
    let account = match root {
        Some(root) => identity::account(exchange.directory(), &root.key)?,
        None => None,
    };
    let Some(account) = account else {
        return Err(fail(exchange, "no root user is enabled"));
    };
    let origin = Origin { method: AuthMethod::Sasl, ..exchange.sight.who.origin() };
    acting(exchange, &account, origin, identity)
}

/// EXTERNAL: who the certificate stands for. The credentials, if any, say as whom to act.
fn external(
    exchange: &mut Exchange,
    rules: &ExternalSasl,
    credentials: &[u8],
) -> Result<Arc<Requester>, LdapResult> {
    let Some(certificate) = exchange.connection().certificate() else {
        let text = if exchange.sight.who.security_strength == 0 {
            "EXTERNAL takes TLS and a client certificate; this connection is in clear"
        } else {
            "EXTERNAL takes a client certificate; none was shown in the TLS handshake (a listener asks for one only \
             where it has a trust store, cts-trust-file)"
        };
        return Err(LdapResult::new(ResultCode::INAPPROPRIATE_AUTHENTICATION, text));
    };
    let Ok(identity) = std::str::from_utf8(credentials) else {
        return Err(fail(exchange, "the authorization identity is not UTF-8"));
    };
    let Some(account) = mapped(exchange, &rules.mapper, &certificate)? else {
        return Err(fail(exchange, "no entry, or more than one, is mapped to the certificate"));
    };
    let (mut holds_any, mut holds_it) = (false, false);
    for attribute in account.entry.iter().flat_map(|entry| entry.user().iter()) {
        // It is mostly kept as `userCertificate;binary`.
        let name = attribute.description.split(';').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(&rules.attribute) {
            holds_any = true;
            holds_it |= attribute.values.iter().any(|value| value == certificate.der());
        }
    }
    let is_valid = match rules.validation {
        CertificateValidation::Always => holds_it,
        CertificateValidation::IfPresent => holds_it || !holds_any,
        CertificateValidation::Never => true,
    };
    if !is_valid {
        return Err(fail(exchange, "the entry does not hold the certificate"));
    }
    if account.is_refused {
        return Err(fail(exchange, "the account is disabled"));
    }
    let origin = Origin { method: AuthMethod::Ssl, ..exchange.sight.who.origin() };
    acting(exchange, &account, origin, identity)
}

/// The account that a certificate is mapped to; none if there is not exactly one.
fn mapped(
    exchange: &Exchange,
    mapper: &CertificateMapper,
    certificate: &ClientCertificate,
) -> Result<Option<Account>, LdapResult> {
    let (directory, schema) = (exchange.directory(), &exchange.schema);
    let subject = certificate.subject_dn(schema);
    let one = |filter: &Filter<'_>, bases: &[NormalizedDn], what: &str| {
        identity::the_one(directory, filter, bases, schema, what)
    };
    match mapper {
        CertificateMapper::SubjectEqualsDn => match NormalizedDn::parse(&subject, schema) {
            Ok(key) => identity::account(directory, &key),
            Err(_) => Ok(None),
        },
        CertificateMapper::SubjectDnToAttribute { attribute, bases } => {
            one(&identity::equals(attribute, &subject), bases, attribute)
        }
        CertificateMapper::Fingerprint { attribute, sha256, bases } => {
            one(&identity::equals(attribute, &certificate.fingerprint(*sha256)), bases, attribute)
        }
        CertificateMapper::SubjectAttributes { pairs, bases } => {
            let mut tests = Vec::new();
            for (of_subject, of_user) in pairs {
                let values = certificate.subject_values(of_subject, schema);
                let [value] = values.as_slice() else { return Ok(None) };
                tests.push(identity::equals(of_user, value));
            }
            if tests.is_empty() {
                return Ok(None);
            }
            let names: Vec<_> = pairs.iter().map(|(_, name)| name.as_str()).collect();
            one(&Filter::And(tests), bases, &names.join(", "))
        }
    }
}

/// What a PLAIN message claims.
struct Claim {
    /// As whom to act; empty is as who authenticates.
    identity: String,
    /// The name's key, to hash under; the root's for one that is nobody's.
    key: NormalizedDn,
    account: Option<Account>,
    password: Secret,
}

/// Reads a PLAIN message: authzid NUL authcid NUL password.
fn claim(exchange: &mut Exchange, credentials: Option<&[u8]>) -> Result<Claim, LdapResult> {
    if exchange.sight.who.security_strength == 0 {
        let text = "PLAIN sends the password as it is: it takes TLS";
        return Err(LdapResult::new(ResultCode::CONFIDENTIALITY_REQUIRED, text));
    }
    let Some(message) = credentials.filter(|message| !message.is_empty()) else {
        // The client lets the server speak first; it has nothing to say (RFC 4422 §5).
        return Err(LdapResult::new(ResultCode::SASL_BIND_IN_PROGRESS, ""));
    };
    let mut parts = message.split(|&octet| octet == 0);
    let parsed = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(identity), Some(name), Some(password), None) if !name.is_empty() && !password.is_empty() => {
            let text = |octets| std::str::from_utf8(octets).ok();
            text(identity).zip(text(name)).map(|(identity, name)| (identity, name, password))
        }
        _ => None,
    };
    let Some((identity, name, password)) = parsed else {
        return Err(fail(exchange, "the PLAIN message has not the form authzid NUL authcid NUL password"));
    };
    let account = whom(exchange, name)?;
    let key = account.as_ref().map_or_else(NormalizedDn::root, |account| account.key.clone());
    Ok(Claim { identity: identity.to_owned(), key, account, password: Secret::new(password) })
}

/// Whom `dn:DN`, `u:name` or a bare name stands for; nobody, if the DN is none.
fn whom(exchange: &Exchange, name: &str) -> Result<Option<Account>, LdapResult> {
    let directory = exchange.directory();
    match name.strip_prefix("dn:") {
        None => {
            let (config, user) = (directory.config.current(), name.strip_prefix("u:").unwrap_or(name));
            identity::by_user_name(directory, user, config.sasl.plain_mapper.as_ref(), &exchange.schema)
        }
        Some(dn) => match place::key(dn, "identity's DN", &exchange.schema) {
            Ok(key) => identity::account(directory, &key),
            Err(_) => Ok(None),
        },
    }
}

async fn plain(mut exchange: Exchange, claim: Claim, wants_identity: bool) {
    let proven = prove(&mut exchange, &claim.key, claim.account, &claim.password).await;
    let origin = Origin { method: AuthMethod::Sasl, ..exchange.sight.who.origin() };
    match proven.and_then(|account| acting(&mut exchange, &account, origin, &claim.identity)) {
        Ok(who) => succeed(exchange, who, wants_identity),
        Err(refusal) => exchange.finish(&refusal),
    }
}

/// The requester of an account that wants to act as `identity`; empty is as itself. Acting as somebody else takes the
/// privilege `proxied-auth` and an ACI that grants `proxy`; limits stay those of who authenticated.
fn acting(
    exchange: &mut Exchange,
    account: &Account,
    origin: Origin,
    identity: &str,
) -> Result<Arc<Requester>, LdapResult> {
    let who = account.requester(origin);
    if identity.is_empty() {
        return Ok(Arc::new(who));
    }
    let Some(other) = whom(exchange, identity)?.filter(|other| !other.is_refused) else {
        return Err(fail(exchange, "there is no such authorization identity"));
    };
    if other.key == account.key {
        return Ok(Arc::new(who));
    }
    if !who.privileges.has(Privilege::ProxiedAuth) {
        return Err(fail(exchange, "acting as somebody else takes the privilege proxied-auth"));
    }
    if !exchange.sight.access.may_proxy(&who, other.entry.as_deref(), &other.key) {
        return Err(fail(
            exchange,
            "no access control instruction grants proxy on the authorization identity",
        ));
    }
    let privileges = other.privileges();
    Ok(Arc::new(who.acting_as(other.dn, other.key, privileges)))
}
