//! Asking on a terminal what to do: kind, action, names, properties.

use super::catalog::{Action, KINDS, Kind};
use super::options::Wishes;
use super::property::{find, split};
use super::{Command, Options, Session, fetch, show};
use crate::cli::Failure;
use crate::cli::prompt::{self, Choice};
use crate::config::components::Component;

/// What a person wants next.
pub(super) enum Asked {
    /// This.
    Do(Box<Command>),
    /// Something else: back to the first menu.
    Again,
    /// No more.
    Quit,
}

/// Why a question was not answered by one of the items.
enum Away {
    Back,
    Quit,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Away {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Lets a person choose one of several; gives its place.
fn choose(title: &str, items: &[String]) -> Result<usize, Away> {
    match prompt::menu(title, items, &[('b', "back"), ('q', "quit")])? {
        Choice::Item(place) => Ok(place),
        Choice::Key('b') => Err(Away::Back),
        Choice::Key(_) => Err(Away::Quit),
    }
}

/// Asks for the names that a command lacks.
pub(super) fn missing_names(command: &mut Command) -> Result<(), Failure> {
    let own = command.kind.own_option();
    for option in command.kind.options() {
        if command.names.get(option).is_some() || (command.action == Action::List && Some(option) == own) {
            continue;
        }
        let default = if option == "backend-name" { "userRoot" } else { "" };
        let name = prompt::text(&format!("--{option}"), default)?;
        if !name.is_empty() {
            command.names.set(option, name);
        }
    }
    Ok(())
}

/// Asks for a whole command.
pub(super) fn command(session: &mut Session, options: &Options) -> Result<Asked, Failure> {
    match ask(session, options) {
        Ok(command) => Ok(Asked::Do(Box::new(command))),
        Err(Away::Back) => Ok(Asked::Again),
        Err(Away::Quit) => Ok(Asked::Quit),
        Err(Away::Failed(failure)) => Err(failure),
    }
}

fn ask(session: &mut Session, options: &Options) -> Result<Command, Away> {
    let labels: Vec<String> = KINDS.iter().map(|kind| kind.label.to_owned()).collect();
    let kind: &'static Kind = match prompt::menu("What do you want to configure?", &labels, &[('q', "quit")])?
    {
        Choice::Item(place) => KINDS.get(place).ok_or(Away::Quit)?,
        Choice::Key(_) => return Err(Away::Quit),
    };
    let actions = Action::of(kind);
    let names: Vec<String> = actions.iter().map(|action| action.name(kind)).collect();
    let chosen = choose(&format!("{}: what do you want to do?", kind.label), &names)?;
    let action = *actions.get(chosen).ok_or(Away::Back)?;
    let mut command = Command {
        action,
        kind,
        names: options.names.clone(),
        wishes: Wishes { property: options.wishes.property.clone(), ..Wishes::default() },
        advanced: options.advanced,
        script_friendly: options.script_friendly,
    };
    // The parent's name first: with it the names there are can be offered.
    let own = kind.own_option();
    for option in kind.options().filter(|option| Some(*option) != own) {
        let name = parent(session, &command, option)?;
        command.names.set(option, name);
    }
    if let Some(own) = own.filter(|_| action != Action::List) {
        let name = if action == Action::Create {
            named(&format!("Name of the new {}", kind.label))?
        } else {
            let there = show::siblings(session, &command)?;
            let place = choose(&format!("Which {}?", kind.label), &there)?;
            there.get(place).cloned().unwrap_or_default()
        };
        command.names.set(own, name);
    }
    let component = match action {
        Action::Set => {
            let entry = fetch(session, &command)?;
            show::get(session, &command)?;
            entry.component()
        }
        Action::Create => {
            let class = of_type(kind, &mut command.wishes)?;
            kind.component(class)
        }
        Action::List | Action::Get | Action::Delete => None,
    };
    if let Some(component) = component {
        ask_values(session, component, &mut command.wishes)?;
    }
    if action == Action::Delete && !prompt::yes(&format!("Delete the {}", command.object()), false)? {
        return Err(Away::Back);
    }
    Ok(command)
}

/// Asks for a text until there is one.
fn named(question: &str) -> Result<String, Failure> {
    loop {
        let name = prompt::text(question, "")?;
        if !name.trim().is_empty() {
            return Ok(name.trim().to_owned());
        }
    }
}

/// The name of what the command's object stands below: one of those there are.
fn parent(session: &mut Session, command: &Command, option: &'static str) -> Result<String, Away> {
    let above = KINDS.iter().find(|kind| {
        kind.own_option() == Some(option) && command.kind.dn.ends_with(&format!(",{}", kind.dn))
    });
    let Some(above) = above else { return Ok(named(&format!("--{option}"))?) };
    let of_above = Command {
        action: Action::List,
        kind: above,
        names: command.names.clone(),
        wishes: Wishes::default(),
        advanced: false,
        script_friendly: false,
    };
    let there = show::siblings(session, &of_above)?;
    let place = choose(&format!("Of which {}?", above.label), &there)?;
    Ok(there.get(place).cloned().unwrap_or_default())
}

/// Which type of its kind a new object is to have; the class that its properties go by.
fn of_type(kind: &'static Kind, wishes: &mut Wishes) -> Result<Option<&'static str>, Away> {
    if kind.types.len() < 2 {
        return Ok(None);
    }
    let names: Vec<String> = kind.types.iter().map(|one| one.name.to_owned()).collect();
    let place = choose(&format!("Which type of {}?", kind.label), &names)?;
    let chosen = kind.types.get(place);
    wishes.kind_type = chosen.map(|one| one.name.to_owned());
    Ok(chosen.and_then(|one| one.classes.last().copied()))
}

/// Asks for properties until an empty answer.
fn ask_values(session: &Session, component: &'static Component, wishes: &mut Wishes) -> Result<(), Failure> {
    println!(
        "\nEnter property:value to set, +property:value to add, -property:value to remove, property alone for its"
    );
    println!("default; an empty line when done.");
    loop {
        let answer = prompt::text("Property", "")?;
        let answer = answer.trim();
        if answer.is_empty() {
            return Ok(());
        }
        let (list, option, text) = if let Some(text) = answer.strip_prefix('+') {
            (&mut wishes.add, "--add", text)
        } else if let Some(text) = answer.strip_prefix('-') {
            (&mut wishes.remove, "--remove", text)
        } else if answer.contains(':') {
            (&mut wishes.set, "--set", answer)
        } else {
            match find(component, answer) {
                Ok(_) => wishes.reset.push(answer.to_owned()),
                Err(reason) => println!("{reason}"),
            }
            continue;
        };
        let checked = split(option, text).and_then(|(name, value)| {
            let known = find(component, name)?;
            session.checker.check(&known, value)
        });
        match checked {
            Ok(()) => list.push(text.to_owned()),
            Err(reason) => println!("{reason}"),
        }
    }
}
