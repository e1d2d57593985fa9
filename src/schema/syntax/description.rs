//! Texts that describe schema elements (RFC 4512 §4.1) and subtrees (RFC 3672).

use super::string::utf8;

/// A definition in parentheses. Whether it is a good definition of its kind is found when the schema is edited; here
/// only its outline counts: parentheses that match, quotes that close.
pub(super) fn definition(value: &[u8]) -> Result<(), String> {
    const ACCEPTS: &str = "a definition is an OID or number and its parts in parentheses";
    utf8(value)?;
    let value = value.trim_ascii();
    if !value.starts_with(b"(") {
        return Err(format!("the value does not begin with a parenthesis; {ACCEPTS}"));
    }
    let mut depth = 0_usize;
    let mut quoted = false;
    for (place, octet) in value.iter().enumerate() {
        match octet {
            b'\'' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 && place + 1 != value.len() {
                    return Err(format!("something follows the closing parenthesis; {ACCEPTS}"));
                }
            }
            _ => {}
        }
    }
    if quoted {
        return Err(format!("a quoted string is not closed; {ACCEPTS}"));
    }
    if depth != 0 {
        return Err(format!("a parenthesis is not closed; {ACCEPTS}"));
    }
    Ok(())
}

/// A subtree specification: parts in braces.
pub(super) fn subtree(value: &[u8]) -> Result<(), String> {
    utf8(value)?;
    let value = value.trim_ascii();
    let mut depth = 0_i64;
    let mut quoted = false;
    let mut low = false;
    for octet in value {
        match octet {
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => depth -= 1,
            _ => {}
        }
        low |= depth < 0;
    }
    if value.starts_with(b"{") && value.ends_with(b"}") && depth == 0 && !low && !quoted {
        Ok(())
    } else {
        Err("a subtree specification is its parts in braces; { } is the whole subtree".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines() {
        assert!(definition(b"( 1.2 NAME 'a (b' MUST ( x $ y ) )").is_ok());
        assert!(definition(b" ( 1.2 ) ").is_ok());
        for text in ["1.2", "( 1.2", "( 1.2 ) x", "( 1.2 'x )", ")("] {
            assert!(definition(text.as_bytes()).is_err(), "{text}");
        }
        assert!(subtree(b"{ }").is_ok());
        assert!(subtree(b"{base \"ou=a}\", specificationFilter item:person}").is_ok());
        assert!(subtree(b"{").is_err());
    }
}
