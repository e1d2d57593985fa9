//! Object identifiers and the names that stand for them (RFC 4512 §1.4).

/// An OID in dots or a short name (RFC 4517 §3.3.26).
pub(super) fn oid(value: &[u8]) -> Result<(), String> {
    if is_numeric(value) || is_name(value) {
        Ok(())
    } else {
        Err("an OID is numbers joined by dots, or a name of letters, digits and hyphens that begins with a letter"
            .into())
    }
}

/// Whether the text is an OID in dots: two numbers or more, without leading zeros.
pub(crate) fn is_numeric(value: &[u8]) -> bool {
    let is_number = |part: &[u8]| match part {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    value.contains(&b'.') && value.split(|&octet| octet == b'.').all(is_number)
}

/// Whether the text is a short name.
pub(crate) fn is_name(value: &[u8]) -> bool {
    value.first().is_some_and(u8::is_ascii_alphabetic)
        && value.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for text in ["2.5.4.3", "1.3.6.1.4.1.36733.2.2.1.96", "cn", "ds-cfg-base-dn", "frCoreToken", "0.0"] {
            assert!(oid(text.as_bytes()).is_ok(), "{text}");
        }
        for text in ["", "2", "2.", ".2", "2.05", "2..5", "-cn", "a b", "a_b", "2.5.4.x"] {
            assert!(oid(text.as_bytes()).is_err(), "{text}");
        }
    }
}
