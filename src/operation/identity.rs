//! Who a name stands for: root users of the configuration and entries of the store, as accounts.

use std::borrow::Cow;
use std::sync::Arc;

use super::answer::Exchange;
use super::{Directory, outcome, place};
use crate::access::{Limits, Origin, Privilege, Privileges, Requester};
use crate::auth::{LockoutRules, policy, scheme};
use crate::backend::Query;
use crate::config::{Config, SecretValue};
use crate::entry::{CompiledFilter, StoredEntry, Tri};
use crate::protocol::filter::{Assertion, Filter};
use crate::protocol::message::Scope;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

/// Somebody who can authenticate.
pub(super) struct Account {
    /// The DN it acts as.
    pub(super) dn: String,
    /// That DN's key.
    pub(super) key: NormalizedDn,
    /// Stored values of its password.
    pub(super) passwords: Vec<Vec<u8>>,
    /// Whether its state keeps it out.
    pub(super) is_refused: bool,
    privileges: Privileges,
    limits: Limits,
    /// When wrong passwords lock it.
    pub(super) lockout: LockoutRules,
    /// Its entry; root users have none in the store.
    pub(super) entry: Option<Arc<StoredEntry>>,
}

impl Account {
    /// The requester of a connection that authenticated as this account.
    pub(super) fn requester(&self, origin: Origin) -> Requester {
        Requester::new(self.dn.clone(), self.key.clone(), self.privileges, self.limits, origin)
    }

    /// Its privileges.
    pub(super) const fn privileges(&self) -> Privileges {
        self.privileges
    }
}

/// The privileges that are not asked for (`ds-cfg-disabled-privilege`): everybody has them. Not `bypass-acl`: access
/// control cannot be switched off.
pub(super) fn unguarded(config: &Config) -> Privileges {
    let names = config.global.disabled_privileges.iter();
    let named = names.filter_map(|name| Privilege::parse(name)).filter(|one| *one != Privilege::BypassAcl);
    named.fold(Privileges::none(), Privileges::with)
}

/// The stored passwords whose scheme is not switched off.
fn usable<'a>(config: &Config, stored: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let disabled = &config.administration.disabled_schemes;
    let is_usable = |value: &&[u8]| {
        disabled.is_empty()
            || scheme::split(value)
                .is_none_or(|(scheme, _)| !disabled.iter().any(|name| name == scheme.name()))
    };
    stored.filter(is_usable).map(<[u8]>::to_vec).collect()
}

/// The lockout rules of a policy, or of the default one.
fn lockout(config: &Config, policy: Option<&NormalizedDn>) -> LockoutRules {
    let own = policy.and_then(|key| config.password_policy(key));
    own.or_else(|| config.default_password_policy()).map_or(
        LockoutRules { failures: 0, duration: None, expiration: None },
        |policy| LockoutRules {
            failures: policy.lockout_failure_count,
            duration: policy.lockout_duration,
            expiration: policy.lockout_failure_expiration,
        },
    )
}

/// The limits of who has none of their own.
pub(super) fn default_limits(directory: &Directory) -> Limits {
    let config = directory.config.load();
    let global = &config.global;
    Limits {
        size: global.size_limit,
        time: global.time_limit,
        lookthrough: global.lookthrough_limit,
        idle: global.idle_time_limit.map_or(0, |limit| u32::try_from(limit.as_secs()).unwrap_or(u32::MAX)),
    }
}

/// The account of a bind DN.
pub(super) fn account(directory: &Directory, key: &NormalizedDn) -> Result<Option<Account>, LdapResult> {
    let config = directory.config.current();
    let defaults = default_limits(directory);
    if let Some(root) = config.root_dn(key) {
        let names = root.privileges.iter().map(String::as_bytes);
        let limits = Limits {
            size: root.limits.size.unwrap_or(defaults.size),
            time: root.limits.time.unwrap_or(defaults.time),
            lookthrough: root.limits.lookthrough.unwrap_or(defaults.lookthrough),
            idle: root.limits.idle.unwrap_or(defaults.idle),
        };
        return Ok(Some(Account {
            dn: root.dn.clone(),
            key: root.key.clone(),
            passwords: usable(&config, root.passwords.iter().map(SecretValue::expose)),
            is_refused: root.is_disabled,
            privileges: Privileges::from_values(Privileges::none(), names).union(unguarded(&config)),
            limits,
            lockout: lockout(&config, root.password_policy.as_ref()),
            entry: None,
        }));
    }
    if matches!(place::of(directory, key), place::Place::Virtual(_)) {
        return Ok(None);
    }
    let entry = directory.store.get(key).map_err(|error| outcome::store_error(&error))?;
    Ok(entry.map(|entry| of_entry(entry, key.clone(), directory)))
}

impl Directory {
    /// How many accounts are locked after wrong passwords, and the DNs of up to `most` of them, sorted. Looks each of these
    /// up; locks beyond are counted unless they were lifted by the right password, though their time may be over.
    pub fn locked_accounts(&self, most: usize) -> (usize, Vec<String>) {
        let (count, keys) = self.lockouts.locked(most);
        let now = self.clock.monotonic();
        let is_locked = |key: &[u8]| {
            let account = account(self, &NormalizedDn::from_bytes(key)).ok().flatten()?;
            let holds = self.lockouts.is_locked(key, &account.passwords, account.lockout, now);
            holds.then_some(account.dn)
        };
        let mut names: Vec<String> = keys.iter().filter_map(|key| is_locked(key)).collect();
        names.sort_unstable();
        (count.saturating_sub(keys.len() - names.len()), names)
    }
}

fn of_entry(entry: Arc<StoredEntry>, key: NormalizedDn, directory: &Directory) -> Account {
    let config = directory.config.current();
    let defaults = default_limits(directory);
    let values = |name: &str| entry.values(name).into_iter().flatten();
    let privileges = Privileges::from_values(Privileges::none(), values("ds-privilege-name"));
    let policy = values("ds-pwp-password-policy-dn").next().and_then(|value| {
        NormalizedDn::parse(std::str::from_utf8(value).ok()?, &directory.schema.current()).ok()
    });
    Account {
        dn: entry.dn().to_owned(),
        key,
        passwords: usable(&config, values("userPassword")),
        is_refused: policy::check(values).is_err(),
        privileges: privileges.union(unguarded(&config)),
        limits: defaults.overridden_by(&entry),
        lockout: lockout(&config, policy.as_ref()),
        entry: Some(entry),
    }
}

/// Whom an authzId (RFC 4513 §5.2.1.8) or a bare DN names; none for anonymous or nobody.
pub(super) fn named(exchange: &Exchange, name: &str) -> Result<Option<Account>, LdapResult> {
    let directory = exchange.directory();
    if let Some(user) = name.strip_prefix("u:") {
        let config = directory.config.current();
        let mapper = config.global.proxied_authorization_identity_mapper.as_ref();
        return by_user_name(directory, user, mapper, &exchange.schema);
    }
    let dn = name.strip_prefix("dn:").unwrap_or(name);
    account(directory, &place::key(dn, "identity's DN", &exchange.schema)?)
}

/// A test for a value of an attribute.
pub(super) fn equals<'a>(attribute: &str, value: &str) -> Filter<'a> {
    let value = Cow::Owned(value.as_bytes().to_vec());
    Filter::Equality(Assertion { attribute: Cow::Owned(attribute.to_owned()), value })
}

/// The one entry that the identity mapper finds by this name; nobody, if it is switched off. Without a mapper it is the
/// entry whose `uid` is the name.
pub(super) fn by_user_name(
    directory: &Directory,
    user: &str,
    mapper: Option<&NormalizedDn>,
    schema: &Schema,
) -> Result<Option<Account>, LdapResult> {
    let config = directory.config.current();
    let what = "the identity mapper's attribute";
    let Some(mapper) = mapper else {
        return the_one(directory, &equals("uid", user), &[], schema, what);
    };
    let Some(mapper) = config.identity_mapper(mapper) else { return Ok(None) };
    let tests = mapper.attributes.iter().map(|name| equals(name, user)).collect();
    the_one(directory, &Filter::Or(tests), &mapper.bases, schema, what)
}

/// The one entry below the bases (all suffixes, if none is named) that the filter is true of. An index has to serve it:
/// `what` says of what.
pub(super) fn the_one(
    directory: &Directory,
    filter: &Filter<'_>,
    bases: &[NormalizedDn],
    schema: &Schema,
    what: &str,
) -> Result<Option<Account>, LdapResult> {
    let filter = Arc::new(CompiledFilter::compile(filter, schema));
    let bases = if bases.is_empty() {
        directory.store.suffixes().into_iter().map(|(_, base)| base).collect()
    } else {
        bases.to_vec()
    };
    let mut found: Option<Arc<StoredEntry>> = None;
    for base in bases {
        let query = Query { base, scope: Scope::Subtree, filter: Arc::clone(&filter) };
        if !directory.store.plan(&query).indexed {
            let text = format!("users cannot be looked up: no index serves {what}");
            return Err(LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, text));
        }
        let failed = |error| outcome::store_error(&error);
        let Some(mut candidates) = directory.store.open(&query, None).map_err(failed)? else { continue };
        let mut batch = Vec::new();
        let mut goes_on = true;
        while goes_on {
            goes_on = candidates.next(64, &mut batch).map_err(failed)?;
            for candidate in batch.drain(..) {
                if filter.evaluate(&candidate.entry) != Tri::True {
                    continue;
                }
                let other = found.replace(Arc::clone(&candidate.entry));
                if other.is_some_and(|other| other.dn() != candidate.entry.dn()) {
                    return Ok(None);
                }
            }
        }
    }
    let Some(entry) = found else { return Ok(None) };
    let key = place::key(entry.dn(), "entry's DN", schema)?;
    Ok(Some(of_entry(entry, key, directory)))
}

/// The requester that proxied authorization (RFC 4370) makes of this one: it needs the privilege and an ACI that
/// grants `proxy` on the entry. Limits stay those of who authenticated.
pub(super) fn proxy(exchange: &Exchange, authorization: &str) -> Result<Arc<Requester>, LdapResult> {
    let who = &exchange.sight.who;
    if !who.privileges.has(Privilege::ProxiedAuth) {
        let mut refusal = outcome::missing_privilege(Privilege::ProxiedAuth, "proxied authorization");
        refusal.code = ResultCode::AUTHORIZATION_DENIED;
        return Err(refusal);
    }
    if authorization.is_empty() || authorization == "dn:" {
        return Ok(Arc::new(who.acting_as("", NormalizedDn::root(), Privileges::none())));
    }
    let denied =
        || LdapResult::new(ResultCode::AUTHORIZATION_DENIED, "the requester may not act as this identity");
    if !authorization.starts_with("dn:") && !authorization.starts_with("u:") {
        let text = "an authorization identity starts with dn: or u:";
        return Err(LdapResult::new(ResultCode::AUTHORIZATION_DENIED, text));
    }
    let account = named(exchange, authorization)?.filter(|account| !account.is_refused).ok_or_else(denied)?;
    if !exchange.sight.access.may_proxy(who, account.entry.as_deref(), &account.key) {
        return Err(denied());
    }
    Ok(Arc::new(who.acting_as(account.dn, account.key, account.privileges)))
}
