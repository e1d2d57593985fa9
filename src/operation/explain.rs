//! Explain access (an operation of this server): which ACI lets somebody do something, or why none does.

use std::sync::Arc;

use super::answer::Exchange;
use super::place::{self, Place};
use super::{identity, outcome};
use crate::access::{AccessSet, Asked, AuthMethod, Change, Origin, Privilege, Reason, Requester, Right};
use crate::entry::StoredEntry;
use crate::protocol::extended::explain_access::ExplainAccess;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Explains: the first line is `granted` or `refused`, with what was asked; then who asks, then why.
pub(super) fn explain(exchange: &Exchange, request: &ExplainAccess) -> Result<String, LdapResult> {
    let sight = &exchange.sight;
    if !sight.has(Privilege::ConfigRead) {
        return Err(outcome::missing_privilege(Privilege::ConfigRead, "explaining access"));
    }
    let who = requester(exchange, request)?;
    let key = place::key(&request.target, "target", &exchange.schema)?;
    let entry = entry(exchange, &key)?;
    let entry = entry.as_deref();
    let operation = request.operation.trim().to_ascii_lowercase();
    let attribute = request.attribute.as_deref().map(str::trim);
    let access = &sight.access;
    let asked = match (operation.as_str(), attribute) {
        ("control", Some(oid)) => Asked::Control(oid),
        ("extop", Some(oid)) => Asked::Extended(oid),
        ("control" | "extop", None) => {
            return Err(unwilling("name the OID of the control or extended operation"));
        }
        (name, attribute) => {
            let right = if name == "modify" { Some(Right::Write) } else { Right::parse(name) };
            let Some(right) = right else {
                let names: Vec<_> = Right::EACH.iter().map(|right| right.name()).collect();
                let text = format!(
                    "there is no operation {name}; there are {}, control and extop",
                    names.join(", ")
                );
                return Err(LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, text));
            };
            let changed = [(Change::Add, &request.added), (Change::Delete, &request.deleted)];
            let mut changed =
                changed.into_iter().filter_map(|(change, value)| Some((change, value.as_ref()?)));
            match (attribute, changed.next()) {
                (Some(name), Some((change, value))) if right == Right::Write => {
                    Asked::Value(change, name, value.as_bytes())
                }
                (_, Some(_)) => {
                    return Err(unwilling("a value goes with the operation write and an attribute"));
                }
                (Some(name), None) => Asked::Attribute(right, name),
                (None, None) => Asked::Entry(right),
            }
        }
    };
    let is_new = asked == Asked::Entry(Right::Add);
    if entry.is_none() && !is_new && !matches!(asked, Asked::Control(_) | Asked::Extended(_)) {
        return Err(LdapResult::with(
            ResultCode::NO_SUCH_OBJECT,
            format!("the entry {} does not exist", request.target),
        ));
    }
    let place = if matches!(asked, Asked::Extended(_)) { &who.key } else { &key };
    let mut lines = Vec::new();
    let mut hangs_on_value = false;
    let mut granted = match (asked, entry) {
        (
            Asked::Entry(right @ (Right::Read | Right::Search | Right::Compare | Right::Write)),
            Some(entry),
        ) => over_attributes(access, &who, right, entry, &key, &mut lines),
        _ => {
            let why = access.explain(&who, asked, entry, place);
            lines.extend(why.lines);
            hangs_on_value = matches!(why.reason, Reason::ByValue(_));
            why.granted
        }
    };
    for (privilege, for_what) in privileges(asked, &who, &key, exchange) {
        let has = who.privileges.has(privilege);
        granted &= has;
        let verb = if has { "has" } else { "lacks" };
        lines.push(format!(
            "{for_what} takes the privilege {} besides, which the requester {verb}",
            privilege.name()
        ));
    }
    let verdict = match granted {
        true => "granted",
        false if hangs_on_value => "refused (of some values)",
        false => "refused",
    };
    let named = attribute.map(|name| format!(" {name}")).unwrap_or_default();
    let held: Vec<_> = who.privileges.iter().map(Privilege::name).collect();
    let held = if held.is_empty() { "none".to_owned() } else { held.join(" ") };
    let mut text = format!(
        "{verdict}: {operation}{named} on {}\nwho asks: {}\nprivileges: {held}\n",
        request.target,
        who.description()
    );
    for line in lines {
        text.push_str("- ");
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn unwilling(text: &'static str) -> LdapResult {
    LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text)
}

/// Whoever wants to do it, as they would be after a bind.
fn requester(exchange: &Exchange, request: &ExplainAccess) -> Result<Requester, LdapResult> {
    let own = exchange.sight.who.origin();
    let is_anonymous =
        request.who.is_empty() || request.who == "dn:" || request.who.eq_ignore_ascii_case("anonymous");
    let method = match request.method.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None if is_anonymous => AuthMethod::None,
        None | Some("simple") => AuthMethod::Simple,
        Some("none") => AuthMethod::None,
        Some("sasl") => AuthMethod::Sasl,
        Some("ssl") => AuthMethod::Ssl,
        Some(_) => return Err(unwilling("the method is none, simple, sasl or ssl")),
    };
    let address = match &request.address {
        None => own.address,
        Some(text) => text.trim().parse().map_err(|_| unwilling("the address is not an IP address"))?,
    };
    let security_strength = match &request.strength {
        None => own.security_strength,
        Some(text) => text.trim().parse().map_err(|_| unwilling("the ssf is not a number of bits"))?,
    };
    let origin = Origin { method, address, security_strength };
    if is_anonymous {
        let anonymous = exchange.directory().anonymous(address, security_strength);
        return Ok((*anonymous).clone());
    }
    let account = identity::named(exchange, &request.who)?.ok_or_else(|| {
        let text = format!("there is no account {}", request.who);
        LdapResult::with(ResultCode::NO_SUCH_OBJECT, text)
    })?;
    Ok(account.requester(origin))
}

fn entry(exchange: &Exchange, key: &NormalizedDn) -> Result<Option<Arc<StoredEntry>>, LdapResult> {
    let directory = exchange.directory();
    match place::of(directory, key) {
        Place::Stored => exchange.store().get(key).map_err(|error| outcome::store_error(&error)),
        Place::Virtual(backend) => {
            let entries = backend.entries(directory, &exchange.sight.who)?;
            Ok(entries.into_iter().find(|(found, _)| found == key).map(|(_, entry)| entry))
        }
    }
}

/// A right that is about attributes, asked of the entry: granted if some attribute it has is granted. Says which are.
fn over_attributes(
    access: &AccessSet,
    who: &Requester,
    right: Right,
    entry: &StoredEntry,
    key: &NormalizedDn,
    lines: &mut Vec<String>,
) -> bool {
    let stored = entry.user().iter().chain(entry.operational().iter());
    let names = stored.map(|attribute| attribute.description.split(';').next().unwrap_or_default());
    let (granted, refused): (Vec<_>, Vec<_>) =
        names.partition(|name| access.may(who, right, entry, key, name));
    if !access.visible(who, entry, key) {
        lines.push("the entry is hidden from the requester: no user attribute of it may be read".to_owned());
    }
    for (names, verdict) in [(&granted, "granted"), (&refused, "refused")] {
        if !names.is_empty() {
            lines.push(format!("{} is {verdict} of: {}", right.name(), names.join(" ")));
        }
    }
    // The reason for one of them mostly is the reason for all.
    if let Some(name) = refused.first() {
        let why = access.explain(who, Asked::Attribute(right, name), Some(entry), key);
        lines.push(format!("why not {name} (ask for one attribute to hear of others):"));
        lines.extend(why.lines);
    }
    !granted.is_empty()
}

/// Privileges that it takes besides the ACIs.
fn privileges(
    asked: Asked<'_>,
    who: &Requester,
    key: &NormalizedDn,
    exchange: &Exchange,
) -> Vec<(Privilege, &'static str)> {
    let under =
        |suffix: &str| NormalizedDn::parse(suffix, &exchange.schema).is_ok_and(|suffix| suffix.covers(key));
    let mut needed = Vec::new();
    let (right, name) = match asked {
        Asked::Entry(right) => (right, ""),
        Asked::Attribute(right, name) => (right, name),
        Asked::Value(_, name, _) => (Right::Write, name),
        Asked::Control(_) | Asked::Extended(_) => return needed,
    };
    let looks = matches!(right, Right::Read | Right::Search | Right::Compare);
    if under("cn=config") {
        needed.push(match looks {
            true => (Privilege::ConfigRead, "reading the configuration"),
            false => (Privilege::ConfigWrite, "changing the configuration"),
        });
    }
    if under("cn=schema") && !looks {
        needed.push((Privilege::UpdateSchema, "changing the schema"));
    }
    if right == Right::Write {
        if let Some(privilege) = AccessSet::privilege_for(name) {
            needed.push((privilege, "writing this attribute"));
        }
        if name.eq_ignore_ascii_case("userPassword") && *key != who.key {
            needed.push((Privilege::PasswordReset, "changing the password of somebody else"));
        }
    }
    if right == Right::Proxy {
        needed.push((Privilege::ProxiedAuth, "acting as somebody else"));
    }
    needed
}
