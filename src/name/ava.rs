//! One attribute type and value of an RDN.

use std::fmt::{Display, Formatter, Result, Write};

/// An attribute type and value: the type as written, the value's bytes unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ava {
    attribute: String,
    value: Vec<u8>,
}

impl Ava {
    /// An AVA of this type (name or dotted OID) and value.
    pub fn new(attribute: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { attribute: attribute.into(), value: value.into() }
    }

    /// The attribute type as written.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// The value's bytes.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

impl Display for Ava {
    /// RFC 4514 text, escaped as `cts-contract.md` §3.1 tells: specials by `\`, control characters and octets
    /// that are not UTF-8 as `\xx` in lower case.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.attribute)?;
        f.write_char('=')?;
        let mut first = true;
        for chunk in self.value.utf8_chunks() {
            let text = chunk.valid();
            let ends_value = chunk.invalid().is_empty();
            let mut rest = text.chars();
            while let Some(c) = rest.next() {
                let is_last = ends_value && rest.as_str().is_empty();
                write_char(f, c, first, is_last)?;
                first = false;
            }
            for octet in chunk.invalid() {
                write!(f, "\\{octet:02x}")?;
                first = false;
            }
        }
        Ok(())
    }
}

fn write_char(f: &mut Formatter<'_>, c: char, is_first: bool, is_last: bool) -> Result {
    match c {
        ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => f.write_char('\\')?,
        ' ' if is_first || is_last => f.write_char('\\')?,
        '#' if is_first => f.write_char('\\')?,
        '\0'..='\x1f' | '\x7f' => return write!(f, "\\{:02x}", u32::from(c)),
        _ => {}
    }
    f.write_char(c)
}
