//! Booleans and bit strings.

use crate::schema::syntax::number;

/// Appends `TRUE` or `FALSE`.
pub(super) fn boolean_key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(if number::boolean(value)? { b"TRUE" } else { b"FALSE" });
    Ok(())
}

/// Appends the bits as characters. Trailing zeros count: no syntax here has a list of named bits.
pub(super) fn key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(number::bits(value)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let mut out = Vec::new();
        boolean_key(b"true", &mut out).unwrap();
        key(b"'010'B", &mut out).unwrap();
        assert_eq!(out, b"TRUE010");
    }
}
