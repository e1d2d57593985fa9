//! Lists of strings: postal addresses.

use crate::schema::prepare::{Case, Form, prepare};

/// Appends the lines, each unescaped and prepared, with a line feed between: no prepared line holds one, so lines
/// stay apart and no part of a substring assertion spans two.
pub(super) fn key(value: &[u8], form: Form, out: &mut Vec<u8>) -> Result<(), String> {
    let mut line = Vec::new();
    for (place, raw) in value.split(|&octet| octet == b'$').enumerate() {
        if place > 0 {
            out.push(b'\n');
        }
        line.clear();
        let mut rest = raw;
        while let Some((&octet, tail)) = rest.split_first() {
            rest = tail;
            if octet != b'\\' {
                line.push(octet);
                continue;
            }
            match tail.split_at_checked(2) {
                Some((b"24", after)) => {
                    line.push(b'$');
                    rest = after;
                }
                Some((b"5C" | b"5c", after)) => {
                    line.push(b'\\');
                    rest = after;
                }
                _ => return Err("a backslash in a list stands before 24 or 5C".into()),
            }
        }
        prepare(&line, Case::Ignore, form, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let of = |text: &str| {
            let mut out = Vec::new();
            key(text.as_bytes(), Form::Whole, &mut out).map(|()| out)
        };
        assert_eq!(of("1 Main  St$ Town"), of("1 main st$town "));
        assert_ne!(of("a\\24b"), of("a$b"));
        assert!(of("a\\b").is_err());
    }
}
