//! Asking on a terminal what to do: kind, action, names, properties.

use super::catalog::{Action, KINDS, Kind};
use super::options::Wishes;
use super::property::{find, split};
use super::{Command, Options, Session, fetch, show};
use crate::cli::{Failure, prompt};
use crate::config::components::Component;

/// Lets a person choose one of several; gives its place.
fn choose(title: &str, items: &[String]) -> Result<usize, Failure> {
    println!("\n>>>> {title}\n");
    for (index, item) in items.iter().enumerate() {
        println!("    {:>2})  {item}", index + 1);
    }
    println!("\n     q)  quit\n");
    loop {
        let answer = prompt::text("Enter choice", "q")?;
        if answer.eq_ignore_ascii_case("q") {
            return Err(Failure::new("nothing was done"));
        }
        match answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1)) {
            Some(index) if index < items.len() => return Ok(index),
            _ => println!("Please enter a number from 1 to {}, or q.", items.len()),
        }
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
pub(super) fn command(session: &mut Session, options: &Options) -> Result<Command, Failure> {
    let labels: Vec<String> = KINDS.iter().map(|kind| kind.label.to_owned()).collect();
    let kind: &'static Kind = KINDS
        .get(choose("What do you want to configure?", &labels)?)
        .ok_or_else(|| Failure::new("nothing was done"))?;
    let actions = Action::of(kind);
    let names: Vec<String> = actions.iter().map(|action| action.name(kind)).collect();
    let chosen = choose(&format!("{}: what do you want to do?", kind.label), &names)?;
    let action = *actions.get(chosen).ok_or_else(|| Failure::new("nothing was done"))?;
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
        let default = match option {
            "backend-name" => "userRoot",
            "provider-name" => "Multimaster Synchronization",
            _ => "",
        };
        let name = prompt::text(&format!("--{option}"), default)?;
        command.names.set(option, name);
    }
    if let Some(own) = own.filter(|_| action != Action::List) {
        if action == Action::Create {
            command.names.set(own, prompt::text(&format!("Name of the new {}", kind.label), "")?);
        } else {
            let there = show::siblings(session, &command)?;
            let place = choose(&format!("Which {}?", kind.label), &there)?;
            command.names.set(own, there.get(place).cloned().unwrap_or_default());
        }
    }
    let component = match action {
        Action::Set => {
            let entry = fetch(session, &command)?;
            show::get(session, &command)?;
            entry.component()
        }
        Action::Create => kind.component(None),
        Action::List | Action::Get | Action::Delete => None,
    };
    if let Some(component) = component {
        ask_values(session, component, &mut command.wishes)?;
    }
    if action == Action::Delete && !prompt::yes(&format!("Delete the {}", command.object()), false)? {
        return Err(Failure::new("nothing was done"));
    }
    Ok(command)
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
