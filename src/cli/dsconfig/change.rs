//! Making, changing and deleting objects.

use super::catalog::{Action, Type};
use super::property::{Known, find, meant, split};
use super::{Command, Session, fetch};
use crate::cli::Failure;
use crate::cli::ldap::{exit_of, failure, wanted};
use crate::config::components::{Component, Property};
use crate::protocol::message::ModifyOperation;
use crate::protocol::request;
use crate::protocol::result::{LdapResult, ResultCode};

/// Says what became of it, and what the server remarks.
fn done(session: &Session, command: &Command, what: &str, result: &LdapResult) {
    if !session.quiet {
        println!("The {} was {what} successfully", command.object());
    }
    if !result.diagnostic.is_empty() {
        eprintln!("Note: {}", result.diagnostic);
    }
}

/// The type asked for, or the one meant.
fn chosen(command: &Command) -> Result<&'static Type, Failure> {
    let types = command.kind.types;
    let wished = command.wishes.kind_type.as_deref();
    let found = match wished {
        None => types.first(),
        Some(name) => types.iter().find(|one| {
            one.name.eq_ignore_ascii_case(name)
                || one.classes.last().is_some_and(|class| class.ends_with(name))
        }),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = types.iter().map(|one| one.name).collect();
        let wished = wished.unwrap_or_default();
        Failure::new(format!("--type {wished}: a {} is one of {}", command.kind.label, names.join(", ")))
    })
}

/// Values put together by property, in the order typed.
type Valued = Vec<(Known, Vec<String>)>;

fn gather(
    session: &Session,
    component: &'static Component,
    option: &str,
    texts: &[String],
) -> Result<Valued, Failure> {
    let mut gathered: Valued = Vec::new();
    for text in texts {
        let (name, value) = split(option, text).map_err(Failure::new)?;
        let known = find(component, name).map_err(Failure::new)?;
        session.checker.check(&known, value).map_err(Failure::new)?;
        let attribute = known.attribute();
        let value = meant(&known, value);
        match gathered.iter_mut().find(|(other, _)| other.attribute() == attribute) {
            Some((_, values)) => values.push(value),
            None => gathered.push((known, vec![value])),
        }
    }
    for (known, values) in &gathered {
        if let Known::Real(property) = known
            && !property.is_multivalued
            && values.len() > 1
        {
            let text = format!("{option}: {} takes one value, not {}", property.name, values.len());
            return Err(Failure::new(text));
        }
    }
    Ok(gathered)
}

/// Properties an object must have that nothing gives.
fn missing(component: &Component, given: &[(String, Vec<Vec<u8>>)]) -> Option<&'static Property> {
    component.properties.iter().find(|property| {
        let attribute = property.attribute();
        property.is_mandatory && !given.iter().any(|(name, _)| name.eq_ignore_ascii_case(&attribute))
    })
}

pub(super) fn create(session: &mut Session, command: &Command) -> Result<(), Failure> {
    let kind = command.kind;
    let dn = command.dn()?;
    let chosen = chosen(command)?;
    let component = kind
        .component(chosen.classes.last().copied())
        .ok_or_else(|| Failure::new(format!("nothing is known about a {}", kind.label)))?;
    let mut classes: Vec<Vec<u8>> = vec![b"top".to_vec()];
    classes.extend(chosen.classes.iter().map(|class| class.as_bytes().to_vec()));
    let own = kind.own_option().and_then(|option| command.names.get(option));
    let own = own.map_or_else(|| kind.noun.replace('-', " "), str::to_owned);
    let mut attributes: Vec<(String, Vec<Vec<u8>>)> =
        vec![("objectClass".to_owned(), classes), (kind.naming().to_owned(), vec![own.into_bytes()])];
    let mut texts = command.wishes.set.clone();
    texts.extend(command.wishes.add.iter().cloned());
    for (known, values) in gather(session, component, "--set", &texts)? {
        let attribute = known.attribute();
        attributes.retain(|(name, _)| !name.eq_ignore_ascii_case(&attribute));
        attributes.push((attribute, values.into_iter().map(String::into_bytes).collect()));
    }
    for property in component.properties.iter().filter(|property| property.is_mandatory) {
        let attribute = property.attribute();
        let is_given = attributes.iter().any(|(name, _)| name.eq_ignore_ascii_case(&attribute));
        if !is_given && !property.default.is_empty() {
            let values = property.default.iter().map(|value| value.as_bytes().to_vec()).collect();
            attributes.push((attribute, values));
        }
    }
    if let Some(property) = missing(component, &attributes) {
        let text =
            format!("a {} needs --set {}:VALUE, {}", kind.label, property.name, property.kind.accepts());
        return Err(Failure::new(text));
    }
    if component.class == "ds-cfg-access-log-filtering-criteria"
        && let Some((_, above)) = dn.split_once(",cn=Filtering Criteria,")
    {
        // What a publisher's criteria stand below is made with the first; mostly it is there.
        branch(session, &format!("cn=Filtering Criteria,{above}"), b"Filtering Criteria")?;
    }
    let answer = add(session, &dn, &attributes)?;
    if answer.code == ResultCode::ENTRY_ALREADY_EXISTS {
        let set = Action::Set.name(kind);
        let text = format!("The {} exists already; {set} changes it", command.object());
        return Err(Failure { text, code: exit_of(answer.code) });
    }
    if answer.code != ResultCode::SUCCESS {
        let what = format!("The {} could not be created", command.object());
        return Err(failure(&what, &dn, &answer));
    }
    if component.class == "ds-cfg-je-backend" {
        branch(session, &format!("cn=Index,{dn}"), b"Index")?;
    }
    done(session, command, "created", &answer);
    Ok(())
}

/// Makes an entry that only others stand below.
fn branch(session: &mut Session, dn: &str, name: &[u8]) -> Result<(), Failure> {
    let classes = vec![b"top".to_vec(), b"ds-cfg-branch".to_vec()];
    add(session, dn, &[("objectClass".to_owned(), classes), ("cn".to_owned(), vec![name.to_vec()])])?;
    Ok(())
}

fn add(
    session: &mut Session,
    dn: &str,
    attributes: &[(String, Vec<Vec<u8>>)],
) -> Result<LdapResult, Failure> {
    let values: Vec<Vec<&[u8]>> =
        attributes.iter().map(|(_, values)| values.iter().map(Vec::as_slice).collect()).collect();
    let list: Vec<request::Attribute<'_>> = attributes
        .iter()
        .zip(&values)
        .map(|((name, _), values)| (name.as_str(), values.as_slice()))
        .collect();
    Ok(session.client.ask(|out, id| request::add(out, id, dn, &list, &[]))?.result)
}

/// A step of the change.
type Step = (ModifyOperation, String, Vec<Vec<u8>>);

pub(super) fn set(session: &mut Session, command: &Command) -> Result<(), Failure> {
    let entry = fetch(session, command)?;
    let component =
        entry.component().ok_or_else(|| Failure::new(format!("nothing is known about {}", entry.dn())))?;
    let wishes = &command.wishes;
    let octets = |values: Vec<String>| values.into_iter().map(String::into_bytes).collect::<Vec<_>>();
    let mut steps: Vec<Step> = Vec::new();
    for (known, values) in gather(session, component, "--set", &wishes.set)? {
        changeable(command, &known)?;
        steps.push((ModifyOperation::Replace, known.attribute(), octets(values)));
    }
    for (known, values) in gather(session, component, "--add", &wishes.add)? {
        changeable(command, &known)?;
        let present = entry.values(&known.attribute());
        let is_new = |value: &Vec<u8>| !present.iter().any(|other| known.same(value, other));
        let (new, old): (Vec<_>, Vec<_>) = octets(values).into_iter().partition(is_new);
        if !old.is_empty() && !session.quiet {
            println!("Note: {} has that value already", known.name());
        }
        if let Known::Real(property) = &known
            && !property.is_multivalued
            && !present.is_empty()
            && !new.is_empty()
        {
            let text = format!("--add: {} takes one value and has one; use --set", property.name);
            return Err(Failure::new(text));
        }
        if !new.is_empty() {
            steps.push((ModifyOperation::Add, known.attribute(), new));
        }
    }
    for (known, values) in gather(session, component, "--remove", &wishes.remove)? {
        changeable(command, &known)?;
        let present = entry.values(&known.attribute());
        let values = octets(values);
        if let Some(absent) =
            values.iter().find(|value| !present.iter().any(|other| known.same(value, other)))
        {
            let text = format!("--remove: {} has no value {}", known.name(), String::from_utf8_lossy(absent));
            return Err(Failure { text, code: exit_of(ResultCode::NO_SUCH_ATTRIBUTE) });
        }
        steps.push((ModifyOperation::Delete, known.attribute(), values));
    }
    for name in &wishes.reset {
        let known = find(component, name).map_err(Failure::new)?;
        changeable(command, &known)?;
        let mut values = Vec::new();
        if let Known::Real(property) = &known
            && property.is_mandatory
        {
            if property.default.is_empty() {
                let text = format!("--reset {name}: it must have a value, and there is no default");
                return Err(Failure::new(text));
            }
            values = property.default.iter().map(|value| value.as_bytes().to_vec()).collect();
        }
        steps.push((ModifyOperation::Replace, known.attribute(), values));
    }
    if steps.is_empty() {
        if !session.quiet {
            println!("The {} is so already; nothing was changed", command.object());
        }
        return Ok(());
    }
    let values: Vec<Vec<&[u8]>> =
        steps.iter().map(|(_, _, values)| values.iter().map(Vec::as_slice).collect()).collect();
    let list: Vec<(ModifyOperation, request::Attribute<'_>)> = steps
        .iter()
        .zip(&values)
        .map(|((operation, name, _), values)| (*operation, (name.as_str(), values.as_slice())))
        .collect();
    let dn = entry.dn();
    let answer = session.client.ask(|out, id| request::modify(out, id, dn, &list, &[]))?;
    let answer = wanted(&format!("The {} could not be modified", command.object()), dn, answer)?;
    done(session, command, "modified", &answer.result);
    Ok(())
}

fn changeable(command: &Command, known: &Known) -> Result<(), Failure> {
    match known {
        Known::Real(property) if property.is_read_only => {
            let kind = command.kind;
            let (delete, create) = (Action::Delete.name(kind), Action::Create.name(kind));
            let text = format!("{} stays as it was made; {delete} and {create} make another", property.name);
            Err(Failure::new(text))
        }
        _ => Ok(()),
    }
}

pub(super) fn delete(session: &mut Session, command: &Command) -> Result<(), Failure> {
    let dn = command.dn()?;
    let answer = session.client.ask(|out, id| request::delete(out, id, &dn, &[]))?;
    if answer.result.code == ResultCode::NO_SUCH_OBJECT {
        if command.wishes.force {
            return Ok(());
        }
        // Says which there are.
        fetch(session, command)?;
    }
    let answer = wanted(&format!("The {} could not be deleted", command.object()), &dn, answer)?;
    done(session, command, "deleted", &answer.result);
    Ok(())
}
