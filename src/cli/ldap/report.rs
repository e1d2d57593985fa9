//! Results and entries in the words of OpenDJ's tools.

use std::io::Write;

use super::client::{Answer, ClientError};
use super::hint::about_name;
use crate::cli::Failure;
use crate::ldif::LdifWriter;
use crate::protocol::control::read_entry;
use crate::protocol::list::Attributes;
use crate::protocol::oid;
use crate::protocol::result::{LdapResult, ResultCode};

/// A result code as an exit code.
pub(in crate::cli) fn exit_of(code: ResultCode) -> u8 {
    u8::try_from(code.0).unwrap_or(80)
}

/// `68 (Entry Already Exists)`.
pub(in crate::cli) fn describe(code: ResultCode) -> String {
    // Where OpenDJ's word is not the standard's.
    if code == ResultCode::NO_SUCH_OBJECT {
        return format!("{} (No Such Entry)", code.0);
    }
    let mut words = String::new();
    let mut was_lower = false;
    for character in code.name().chars() {
        if character.is_uppercase() && was_lower {
            words.push(' ');
        }
        was_lower = character.is_lowercase();
        if words.is_empty() {
            words.extend(character.to_uppercase());
        } else {
            words.push(character);
        }
    }
    let words = words.replace("DNSyntax", "DN Syntax").replace(" To ", " to ").replace(" On ", " on ");
    format!("{} ({words})", code.0)
}

/// Says that an operation failed, with all the server said.
pub(in crate::cli) fn failed(operation: &str, name: &str, result: &LdapResult) {
    eprintln!("{operation} operation failed");
    eprint!("{}", text_of(name, result));
}

fn text_of(name: &str, result: &LdapResult) -> String {
    let mut text = format!("Result Code:  {}\n", describe(result.code));
    if !result.diagnostic.is_empty() {
        text.push_str(&format!("Additional Information:  {}\n", result.diagnostic));
    }
    if !result.matched.is_empty() {
        text.push_str(&format!("Matched DN:  {}\n", result.matched));
    }
    // The server knows of forgotten variables too.
    if let Some(hint) = about_name(name)
        && !result.diagnostic.contains("placeholder")
    {
        text.push_str(&format!("Hint:  {hint}\n"));
    }
    text
}

/// The failure of something that has no output of its own.
pub(in crate::cli) fn failure(what: &str, name: &str, result: &LdapResult) -> Failure {
    let text = format!("{what}\n{}", text_of(name, result));
    Failure { text: text.trim_end().to_owned(), code: exit_of(result.code) }
}

/// The answer, if it is a success.
pub(in crate::cli) fn wanted(what: &str, name: &str, answer: Answer) -> Result<Answer, Failure> {
    if answer.is_success() { Ok(answer) } else { Err(failure(what, name, &answer.result)) }
}

/// Writes an entry as LDIF.
pub(in crate::cli) fn entry<W: Write>(
    out: &mut LdifWriter<W>,
    dn: &str,
    attributes: &Attributes<'_>,
) -> std::io::Result<()> {
    let mut fields: Vec<(&str, &[u8])> = Vec::new();
    for attribute in attributes {
        if attribute.values.is_empty() {
            fields.push((attribute.description, b""));
        }
        fields.extend(attribute.values.iter().map(|value| (attribute.description, value)));
    }
    out.entry(dn, fields)
}

/// Shows the entries that pre-read and post-read controls brought.
pub(in crate::cli) fn read_entries(answer: &Answer) -> Result<(), ClientError> {
    let both = [
        (oid::PRE_READ, "Target entry before the operation:"),
        (oid::POST_READ, "Target entry after the operation:"),
    ];
    for (oid, title) in both {
        let Some(value) = answer.control(oid) else { continue };
        let (dn, attributes) =
            read_entry::parse_response(value).map_err(|error| ClientError::Malformed(error.to_string()))?;
        println!("{title}");
        entry(&mut LdifWriter::new(std::io::stdout().lock()), dn, &attributes)
            .map_err(ClientError::Output)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_reference() {
        for (code, text) in [
            (ResultCode::ENTRY_ALREADY_EXISTS, "68 (Entry Already Exists)"),
            (ResultCode::NO_SUCH_OBJECT, "32 (No Such Entry)"),
            (ResultCode::INVALID_DN_SYNTAX, "34 (Invalid DNSyntax)"),
            (ResultCode::UNWILLING_TO_PERFORM, "53 (Unwilling to Perform)"),
            (ResultCode::INVALID_CREDENTIALS, "49 (Invalid Credentials)"),
            (ResultCode::NOT_ALLOWED_ON_RDN, "67 (Not Allowed on RDN)"),
        ] {
            assert_eq!(describe(code), text.replace("DNSyntax", "DN Syntax"), "{code:?}");
        }
        assert_eq!(exit_of(ResultCode::NO_OPERATION), 80);
    }
}
