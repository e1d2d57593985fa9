//! RFC 4514 text, one AVA at a time and without copying what needs no unescaping: the way requests' names are
//! read.

use std::borrow::Cow;

use super::{Ava, DnError};

/// An AVA as it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvaRef<'a> {
    /// The attribute type as written, without an `OID.` prefix.
    pub attribute: &'a str,
    /// The value's bytes, unescaped.
    pub value: Cow<'a, [u8]>,
    /// Whether its RDN ends with it.
    pub ends_rdn: bool,
    /// Octet after it, its separator included.
    pub end: usize,
}

impl AvaRef<'_> {
    /// A copy that owns its parts.
    pub fn to_ava(&self) -> Ava {
        Ava::new(self.attribute, self.value.as_ref())
    }
}

/// Reads a DN's AVAs in the order written, leaf first. Ends after the first error.
///
/// The empty text has none: it is the root.
#[derive(Debug, Clone)]
pub struct DnReader<'a> {
    text: &'a str,
    at: usize,
    done: bool,
}

impl<'a> DnReader<'a> {
    /// A reader of this text.
    pub fn new(text: &'a str) -> Self {
        let mut reader = Self { text, at: 0, done: false };
        reader.skip_spaces();
        reader.done = reader.peek().is_none();
        reader
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// The octets from `from` up to where the reader stands.
    fn since(&self, from: usize) -> &'a [u8] {
        self.text.as_bytes().get(from..self.at).unwrap_or_default()
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T, DnError> {
        Err(DnError { offset: self.at, reason })
    }

    fn ava(&mut self) -> Result<AvaRef<'a>, DnError> {
        self.skip_spaces();
        let attribute = self.attribute()?;
        self.skip_spaces();
        if self.peek() != Some(b'=') {
            return self.fail("'=' is wanted after the attribute type");
        }
        self.at += 1;
        self.skip_spaces();
        let value = match self.peek() {
            Some(b'#') => Cow::Owned(self.hex_value()?),
            Some(b'"') => Cow::Owned(self.quoted_value()?),
            _ => self.value()?,
        };
        self.skip_spaces();
        let ends_rdn = match self.peek() {
            None => {
                self.done = true;
                return Ok(AvaRef { attribute, value, ends_rdn: true, end: self.at });
            }
            Some(b',' | b';') => true,
            Some(b'+') => false,
            Some(_) => return self.fail("',' or '+' is wanted after the value"),
        };
        self.at += 1;
        Ok(AvaRef { attribute, value, ends_rdn, end: self.at })
    }

    /// A descriptor or a dotted OID.
    fn attribute(&mut self) -> Result<&'a str, DnError> {
        if self.text.as_bytes().get(self.at..self.at + 4).is_some_and(|p| p.eq_ignore_ascii_case(b"OID.")) {
            self.at += 4;
        }
        let start = self.at;
        match self.peek() {
            Some(b'0'..=b'9') => self.numeric_oid()?,
            Some(first) if first.is_ascii_alphabetic() => {
                while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_') {
                    self.at += 1;
                }
            }
            _ => return self.fail("an attribute type is wanted"),
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn numeric_oid(&mut self) -> Result<(), DnError> {
        loop {
            if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
                return self.fail("a digit is wanted in the OID");
            }
            while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1;
            }
            if self.peek() != Some(b'.') {
                return Ok(());
            }
            self.at += 1;
        }
    }

    /// `#` and hex digits: a BER value. Of the string types the content is taken, of others the whole.
    fn hex_value(&mut self) -> Result<Vec<u8>, DnError> {
        let sign = self.at;
        self.at += 1;
        let mut octets = Vec::new();
        while let Some(high) = self.peek().and_then(hex_digit) {
            let Some(low) = self.text.as_bytes().get(self.at + 1).copied().and_then(hex_digit) else { break };
            octets.push(high << 4 | low);
            self.at += 2;
        }
        let is_ended = matches!(self.peek(), None | Some(b' ' | b',' | b';' | b'+'));
        if octets.is_empty() || !is_ended {
            return Err(DnError { offset: sign, reason: "pairs of hex digits are wanted after '#'" });
        }
        if let Some((&[0x04 | 0x0c | 0x12..=0x16 | 0x1a | 0x1b, length], content)) = octets
            .split_at_checked(2)
            .and_then(|(head, content)| <&[u8; 2]>::try_from(head).ok().map(|head| (head, content)))
            && length < 0x80
            && usize::from(length) == content.len()
        {
            return Ok(content.to_vec());
        }
        Ok(octets)
    }

    /// RFC 2253's `"…"`, in which only `"` and `\` are special.
    fn quoted_value(&mut self) -> Result<Vec<u8>, DnError> {
        let quote = self.at;
        self.at += 1;
        let mut value = Vec::new();
        loop {
            match self.peek() {
                None => return Err(DnError { offset: quote, reason: "a quoted value has no end" }),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => value.push(self.escape()?),
                Some(octet) => {
                    value.push(octet);
                    self.at += 1;
                }
            }
        }
    }

    /// A plain value: borrowed unless it holds an escape. Spaces at its end do not count unless escaped.
    fn value(&mut self) -> Result<Cow<'a, [u8]>, DnError> {
        let start = self.at;
        let mut unescaped: Option<Vec<u8>> = None;
        // Length of the value up to its last octet that is no bare space.
        let mut solid = 0;
        while let Some(octet) = self.peek() {
            match octet {
                b',' | b';' | b'+' => break,
                b'\\' => {
                    if unescaped.is_none() {
                        unescaped = Some(self.since(start).to_vec());
                    }
                    let octet = self.escape()?;
                    if let Some(value) = &mut unescaped {
                        value.push(octet);
                        solid = value.len();
                    }
                    continue;
                }
                b'"' | b'<' | b'>' | 0 => return self.fail("a character that must be escaped"),
                _ => {}
            }
            self.at += 1;
            let length = match &mut unescaped {
                Some(value) => {
                    value.push(octet);
                    value.len()
                }
                None => self.at - start,
            };
            if octet != b' ' {
                solid = length;
            }
        }
        Ok(match unescaped {
            Some(mut value) => {
                value.truncate(solid);
                Cow::Owned(value)
            }
            None => Cow::Borrowed(self.since(start).get(..solid).unwrap_or_default()),
        })
    }

    /// `\` and a special character or two hex digits.
    fn escape(&mut self) -> Result<u8, DnError> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1).copied() {
            Some(c @ (b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\')) => {
                self.at += 2;
                Ok(c)
            }
            Some(high) => {
                let low = bytes.get(self.at + 2).copied().and_then(hex_digit);
                let (Some(high), Some(low)) = (hex_digit(high), low) else {
                    return self.fail("'\\' wants a special character or two hex digits after it");
                };
                self.at += 3;
                Ok(high << 4 | low)
            }
            None => self.fail("'\\' wants a special character or two hex digits after it"),
        }
    }
}

impl<'a> Iterator for DnReader<'a> {
    type Item = Result<AvaRef<'a>, DnError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let ava = self.ava();
        self.done |= ava.is_err();
        Some(ava)
    }
}

fn hex_digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}
