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
    print!("{question}: ");
    std::io::stdout().flush()?;
    let stdin = std::io::stdin();
    let shown = tcgetattr(&stdin)?;
    let mut quiet = shown.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &quiet)?;
    let answer = line();
    tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
    println!();
    answer
}
