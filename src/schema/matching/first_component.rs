//! Definitions found by what they begin with: `(attributeTypes=2.5.4.3)`. A value in parentheses gives its first
//! part; anything else is an assertion and is taken whole.

use super::{integer, oid};
use crate::schema::prepare::{Case, Form, prepare};

/// The first part of a definition, or the whole of an assertion.
fn first(value: &[u8]) -> Result<&[u8], String> {
    let value = value.trim_ascii();
    let Some(inside) = value.strip_prefix(b"(") else {
        return Ok(value);
    };
    let inside = inside.trim_ascii_start();
    let part = match inside.strip_prefix(b"'") {
        Some(quoted) => quoted.split(|&octet| octet == b'\'').next(),
        None => inside.split(|octet| octet.is_ascii_whitespace() || *octet == b')').next(),
    };
    part.filter(|part| !part.is_empty()).ok_or_else(|| "the definition is empty".into())
}

/// Appends the OID.
pub(super) fn oid_key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    oid::key(first(value)?, out)
}

/// Appends the integer's key.
pub(super) fn integer_key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    integer::key(first(value)?, out)
}

/// Appends the prepared string, case ignored.
pub(super) fn string_key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    prepare(first(value)?, Case::Ignore, Form::Whole, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_and_assertions_meet() {
        let (mut value, mut assertion) = (Vec::new(), Vec::new());
        oid_key(b"( 1.3.6.1.4.1.36733.2.2.2.27 NAME 'frCoreToken' SUP top )", &mut value).unwrap();
        oid_key(b"1.3.6.1.4.1.36733.2.2.2.27", &mut assertion).unwrap();
        assert_eq!(value, assertion);
        value.clear();
        assertion.clear();
        integer_key(b"(2 FORM x)", &mut value).unwrap();
        integer_key(b"2", &mut assertion).unwrap();
        assert_eq!(value, assertion);
        value.clear();
        string_key(b"( 'Some Text' x )", &mut value).unwrap();
        assert_eq!(value, b"some text");
        assert!(oid_key(b"( )", &mut Vec::new()).is_err());
    }
}
