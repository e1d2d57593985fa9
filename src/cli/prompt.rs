//! Questions on a terminal.

use std::io::{IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::Failure;

/// Whether there is a person to ask.
pub(super) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// The next line of the input.
fn line() -> Result<String, Failure> {
    let mut text = String::new();
    if std::io::stdin().read_line(&mut text)? == 0 {
        return Err(Failure::new("the input ended"));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for a text; an empty answer takes the default.
pub(super) fn text(question: &str, default: &str) -> Result<String, Failure> {
    if default.is_empty() {
        print!("{question}: ");
    } else {
        print!("{question} [{default}]: ");
    }
    std::io::stdout().flush()?;
    let answer = line()?;
    Ok(if answer.is_empty() { default.to_owned() } else { answer })
}

/// What a person chose from a menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// One of the items, by its place.
    Item(usize),
    /// One of the keys.
    Key(char),
}

/// What an answer to a menu means; none if it is neither the number of an item nor a key.
fn chosen(answer: &str, items: usize, keys: &[(char, &str)]) -> Option<Choice> {
    let answer = answer.trim();
    if let Some((key, _)) = keys.iter().find(|(key, _)| answer.eq_ignore_ascii_case(&key.to_string())) {
        return Some(Choice::Key(*key));
    }
    let place = answer.parse::<usize>().ok()?.checked_sub(1)?;
    (place < items).then_some(Choice::Item(place))
}

/// Shows numbered items and keys with what they do, and asks until one of them is named; an empty answer is the last key.
pub(super) fn menu(title: &str, items: &[String], keys: &[(char, &str)]) -> Result<Choice, Failure> {
    println!("\n>>>> {title}\n");
    for (index, item) in items.iter().enumerate() {
        println!("    {:>2})  {item}", index + 1);
    }
    if !items.is_empty() {
        println!();
    }
    for (key, what) in keys {
        println!("     {key})  {what}");
    }
    println!();
    let default = keys.last().map(|(key, _)| key.to_string()).unwrap_or_default();
    loop {
        let answer = text("Enter choice", &default)?;
        if let Some(choice) = chosen(&answer, items.len(), keys) {
            return Ok(choice);
        }
        let names: Vec<String> = keys.iter().map(|(key, _)| key.to_string()).collect();
        let numbers =
            if items.is_empty() { String::new() } else { format!("a number from 1 to {}, ", items.len()) };
        println!("Please enter {numbers}{}.", names.join(" or "));
    }
}

/// Asks for a port number until it gets one.
pub(super) fn port(question: &str, default: u16) -> Result<u16, Failure> {
    loop {
        let answer = text(question, &default.to_string())?;
        match answer.parse() {
            Ok(port) if port > 0 => return Ok(port),
            _ => println!("A port is a number from 1 to 65535."),
        }
    }
}

/// Asks yes or no.
pub(super) fn yes(question: &str, default: bool) -> Result<bool, Failure> {
    loop {
        let answer = text(&format!("{question} (yes / no)"), if default { "yes" } else { "no" })?;
        match answer.to_lowercase().as_str() {
            "yes" | "y" => return Ok(true),
            "no" | "n" => return Ok(false),
            _ => println!("Please answer yes or no."),
        }
    }
}

/// Asks for a password twice, without showing it.
pub(super) fn new_password(question: &str) -> Result<String, Failure> {
    loop {
        let first = hidden(question)?;
        if first.is_empty() {
            println!("The password must not be empty.");
            continue;
        }
        if first == hidden("Please type it again")? {
            return Ok(first);
        }
        println!("The two differ.");
    }
}

/// Asks for a text without showing it.
pub(super) fn hidden(question: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    let shown = tcgetattr(&stdin)?;
    let mut quiet = shown.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    // Before the question: what is typed at once must neither be shown nor be lost.
    tcsetattr(&stdin, OptionalActions::Flush, &quiet)?;
    print!("{question}: ");
    let answer = std::io::stdout().flush().map_err(Failure::from).and_then(|()| line());
    tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
    println!();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn menus_take_numbers_and_keys() {
        let keys = [('b', "back"), ('q', "quit")];
        assert_eq!(chosen(" 2 ", 2, &keys), Some(Choice::Item(1)));
        assert_eq!(chosen("Q", 2, &keys), Some(Choice::Key('q')));
        for wrong in ["0", "3", "-1", "x", "", "1.5"] {
            assert_eq!(chosen(wrong, 2, &keys), None);
        }
    }
}
