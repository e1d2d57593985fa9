//! Showing objects, and what can be set on them.

use std::process::ExitCode;

use super::catalog::{Action, KINDS, Kind};
use super::property::{Known, accepted, find, shown};
use super::table::{lines, table};
use super::{Command, Options, Session, entries, fetch};
use crate::cli::Failure;
use crate::config::ConfigEntry;
use crate::config::components::{Effect, Property};
use crate::name::Dn;
use crate::protocol::message::Scope;

/// The values of a property in an entry, as they are shown: one's default where the entry has none, `-` for nothing.
fn values(entry: &ConfigEntry, known: &Known) -> Vec<String> {
    let (property, mut texts): (Option<&Property>, Vec<String>) = match known {
        Known::Real(property) => {
            (Some(property), entry.setting(property.name).into_iter().map(str::to_owned).collect())
        }
        Known::Ignored(attribute) => (None, entry.texts(attribute).map(str::to_owned).collect()),
    };
    texts.iter_mut().for_each(|text| *text = shown(property, text));
    texts
}

/// Values below each other, parted by commas.
fn stacked(mut texts: Vec<String>) -> Vec<String> {
    if texts.is_empty() {
        return vec!["-".to_owned()];
    }
    let last = texts.len() - 1;
    texts.iter_mut().take(last).for_each(|text| text.push(','));
    texts
}

pub(super) fn get(session: &mut Session, command: &Command) -> Result<(), Failure> {
    let entry = fetch(session, command)?;
    let component =
        entry.component().ok_or_else(|| Failure::new(format!("nothing is known about {}", entry.dn())))?;
    let wished = &command.wishes.property;
    let known: Vec<Known> = if wished.is_empty() {
        let mut known: Vec<Known> = component
            .properties
            .iter()
            .filter(|property| command.advanced || !matches!(property.effect, Effect::None(_)))
            .map(Known::Real)
            .collect();
        known.sort_by_key(Known::name);
        known
    } else {
        wished.iter().map(|name| find(component, name)).collect::<Result<_, _>>().map_err(Failure::new)?
    };
    let rows = |stack: fn(Vec<String>) -> Vec<String>| -> Vec<Vec<Vec<String>>> {
        known.iter().map(|known| vec![vec![known.name()], stack(values(&entry, known))]).collect()
    };
    if command.script_friendly {
        print!("{}", lines(&rows(|texts| texts)));
    } else {
        print!("{}", table(&["Property".to_owned(), "Value(s)".to_owned()], &rows(stacked)));
    }
    Ok(())
}

/// The entries of a kind below the parent that the command names.
fn of_kind(session: &mut Session, command: &Command) -> Result<Vec<ConfigEntry>, Failure> {
    let kind = command.kind;
    let own = kind.own_option();
    let dn = kind.dn_of(|option| if Some(option) == own { Some("x") } else { command.names.get(option) });
    let Ok(dn) = dn else { return Ok(Vec::new()) };
    if own.is_none() {
        return Ok(entries(&mut session.client, &dn, Scope::Base)?.0);
    }
    let parent = Dn::parse(&dn)?.parent().map(|parent| parent.to_string()).unwrap_or_default();
    let (mut found, _) = entries(&mut session.client, &parent, Scope::One)?;
    found.retain(|entry| !entry.has_class("ds-cfg-branch"));
    found.sort_by_key(|entry| name_of(kind, entry).to_lowercase());
    Ok(found)
}

fn name_of(kind: &Kind, entry: &ConfigEntry) -> String {
    entry.texts(kind.naming()).next().unwrap_or_default().to_owned()
}

/// The names of the objects of a command's kind.
pub(super) fn siblings(session: &mut Session, command: &Command) -> Result<Vec<String>, Failure> {
    if command.kind.own_option().is_none() {
        return Ok(Vec::new());
    }
    let found = of_kind(session, command)?;
    Ok(found.iter().map(|entry| name_of(command.kind, entry)).collect())
}

fn type_of(kind: &Kind, entry: &ConfigEntry) -> &'static str {
    let class = |one: &&super::catalog::Type| one.classes.last().is_some_and(|class| entry.has_class(class));
    kind.types.iter().find(class).map_or("-", |one| one.name)
}

pub(super) fn list(session: &mut Session, command: &Command) -> Result<(), Failure> {
    let kind = command.kind;
    let wished = &command.wishes.property;
    let columns: Vec<&str> =
        if wished.is_empty() { kind.listed.to_vec() } else { wished.iter().map(String::as_str).collect() };
    if let Some(component) = kind.component(None) {
        for name in wished {
            find(component, name).map_err(Failure::new)?;
        }
    }
    let has_types = kind.types.len() > 1;
    let mut titles = vec![kind.label.to_owned()];
    titles.extend(has_types.then(|| "Type".to_owned()));
    titles.extend(columns.iter().map(|name| (*name).to_owned()));
    let mut rows = Vec::new();
    for entry in of_kind(session, command)? {
        let mut row = vec![vec![name_of(kind, &entry)]];
        row.extend(has_types.then(|| vec![type_of(kind, &entry).to_owned()]));
        for name in &columns {
            let known = entry.component().and_then(|component| find(component, name).ok());
            let texts = known.map(|known| values(&entry, &known)).unwrap_or_default();
            let text = if texts.is_empty() { "-".to_owned() } else { texts.join(", ") };
            row.push(vec![text]);
        }
        rows.push(row);
    }
    if command.script_friendly {
        print!("{}", lines(&rows));
    } else {
        print!("{}", table(&titles, &rows));
    }
    Ok(())
}

/// What is told of a sub-command: what it needs, and the properties there are.
pub(super) fn help(action: Action, kind: &'static Kind) -> String {
    let own = kind.own_option();
    let mut usage = format!("Usage: dsconfig {}", action.name(kind));
    for option in kind.options().filter(|option| action != Action::List || Some(*option) != own) {
        usage.push_str(&format!(" --{option} NAME"));
    }
    let types: Vec<&str> = kind.types.iter().map(|one| one.name).collect();
    if action == Action::Create && types.len() > 1 {
        usage.push_str(&format!(" --type {}", types.join("|")));
    }
    usage.push_str(match action {
        Action::Create => " [--set PROPERTY:VALUE]…",
        Action::Set => " [--set|--add|--remove PROPERTY:VALUE]… [--reset PROPERTY]…",
        Action::Get | Action::List => " [--property PROPERTY]…",
        Action::Delete => " [--force]",
    });
    let more = "Who asks which server, batches and output: dsconfig --help\n";
    if action == Action::Delete {
        return format!("{usage}\n\n{more}");
    }
    let titles = TITLES.map(str::to_owned);
    format!("{usage}\n\n{}\n{more}", table(&titles, &described(&[kind], &[], false)))
}

const TITLES: [&str; 4] = ["Property", "Accepts", "Default", "Takes effect"];

/// `list-properties`: what can be set, without asking a server.
pub(super) fn properties(options: &Options) -> Result<ExitCode, Failure> {
    let kinds: Vec<&'static Kind> = match &options.category {
        Some(noun) => vec![Kind::by_noun(noun).ok_or_else(|| {
            let nouns: Vec<&str> = KINDS.iter().map(|kind| kind.noun).collect();
            Failure::new(format!("--category {noun}: it is one of {}", nouns.join(", ")))
        })?],
        None => KINDS.iter().collect(),
    };
    let rows = described(&kinds, &options.wishes.property, options.advanced);
    if options.script_friendly {
        print!("{}", lines(&rows));
    } else {
        print!("{}", table(&TITLES.map(str::to_owned), &rows));
    }
    Ok(ExitCode::SUCCESS)
}

/// Rows of the properties of these kinds, or of those wished for.
fn described(kinds: &[&'static Kind], wished: &[String], advanced: bool) -> Vec<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    let listed = kinds.iter().flat_map(|kind| {
        let several = kind.components().len() > 1;
        kind.components().into_iter().map(move |(of_type, component)| match several {
            true => (format!("{} ({of_type})", kind.noun), component),
            false => (kind.noun.to_owned(), component),
        })
    });
    for (object, component) in listed {
        for property in component.properties {
            if !wished.is_empty() && !wished.iter().any(|name| name == property.name) {
                continue;
            }
            let effect = match property.effect {
                Effect::Live => "at once".to_owned(),
                Effect::Restart(what) => format!("after a restart of {what}"),
                Effect::None(why) if advanced => format!("never: {why}"),
                Effect::None(_) => continue,
            };
            let name = format!("{object} {}", property.name);
            let default =
                if property.default.is_empty() { "-".to_owned() } else { property.default.join(", ") };
            rows.push(vec![vec![name], vec![accepted(property)], vec![default], vec![effect]]);
        }
    }
    rows
}
