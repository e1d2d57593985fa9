//! Character strings: what characters they may hold.

/// RFC 4517 §3.3.6: one character or more.
pub(super) fn directory_string(value: &[u8]) -> Result<(), String> {
    if value.is_empty() {
        return Err("the value is empty; a directory string has one character or more".into());
    }
    utf8(value)
}

/// Any UTF-8.
pub(super) fn utf8(value: &[u8]) -> Result<(), String> {
    match std::str::from_utf8(value) {
        Ok(_) => Ok(()),
        Err(fault) => Err(format!("octet {} begins no UTF-8 character", fault.valid_up_to())),
    }
}

/// RFC 4517 §3.3.15: ASCII, maybe empty.
pub(super) fn ia5(value: &[u8]) -> Result<(), String> {
    only(value, u8::is_ascii, "an IA5 string holds ASCII characters only")
}

/// Whether the character may stand in a printable string (RFC 4517 §3.2).
fn is_printable(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(octet, b'\'' | b'(' | b')' | b'+' | b',' | b'-' | b'.' | b'=' | b'/' | b':' | b'?' | b' ')
}

/// RFC 4517 §3.3.29.
pub(super) fn printable(value: &[u8]) -> Result<(), String> {
    const ACCEPTS: &str = "a printable string has one or more of letters, digits, space and '()+,-.=/:?";
    not_empty(value, ACCEPTS)?;
    only(value, is_printable, ACCEPTS)
}

/// RFC 4517 §3.3.23.
pub(super) fn numeric(value: &[u8]) -> Result<(), String> {
    const ACCEPTS: &str = "a numeric string has one or more digits and spaces";
    not_empty(value, ACCEPTS)?;
    only(value, |octet| octet.is_ascii_digit() || *octet == b' ', ACCEPTS)
}

/// RFC 4517 §3.3.31: a printable string by E.123.
pub(super) fn telephone(value: &[u8]) -> Result<(), String> {
    const ACCEPTS: &str = "a telephone number has one or more of digits, letters, space and '()+,-.=/:?";
    not_empty(value, ACCEPTS)?;
    only(value, is_printable, ACCEPTS)
}

/// RFC 4517 §3.3.4.
pub(super) fn country(value: &[u8]) -> Result<(), String> {
    if value.len() == 2 && value.iter().all(is_printable) {
        Ok(())
    } else {
        Err("a country is two printable characters, such as DE (ISO 3166)".into())
    }
}

/// RFC 4517 §3.3.28: lines of one character or more between dollar signs; `\24` and `\5C` stand for `$` and `\`.
pub(super) fn postal_address(value: &[u8]) -> Result<(), String> {
    const ACCEPTS: &str =
        "a postal address is lines separated by $, in which $ is written \\24 and \\ is \\5C";
    utf8(value)?;
    for line in value.split(|&octet| octet == b'$') {
        not_empty(line, ACCEPTS)?;
        let mut rest = line;
        while let Some((octet, tail)) = rest.split_first() {
            rest = match octet {
                b'\\' => match tail.split_at_checked(2) {
                    Some((escaped, after))
                        if escaped.eq_ignore_ascii_case(b"24") || escaped.eq_ignore_ascii_case(b"5c") =>
                    {
                        after
                    }
                    _ => return Err(format!("a backslash stands alone; {ACCEPTS}")),
                },
                _ => tail,
            };
        }
    }
    Ok(())
}

/// RFC 3112: `scheme$authInfo$authValue`.
pub(super) fn auth_password(value: &[u8]) -> Result<(), String> {
    const ACCEPTS: &str = "an authentication password is scheme$info$value in ASCII";
    only(value, |octet| (0x20..0x7F).contains(octet), ACCEPTS)?;
    let mut parts = value.split(|&octet| octet == b'$').map(<[u8]>::trim_ascii);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(scheme), Some(_), Some(authenticator), None)
            if !scheme.is_empty() && !authenticator.is_empty() =>
        {
            Ok(())
        }
        _ => Err(ACCEPTS.into()),
    }
}

pub(super) fn not_empty(value: &[u8], accepts: &str) -> Result<(), String> {
    if value.is_empty() { Err(format!("the value is empty; {accepts}")) } else { Ok(()) }
}

fn only(value: &[u8], allowed: impl Fn(&u8) -> bool, accepts: &str) -> Result<(), String> {
    match value.iter().position(|octet| !allowed(octet)) {
        Some(place) => Err(format!("octet {place} is not allowed; {accepts}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_strings() {
        assert!(directory_string("ü ".as_bytes()).is_ok());
        assert!(directory_string(b" ").is_ok());
        assert!(directory_string(b"").is_err());
        assert!(directory_string(b"ok\xc3").unwrap_err().contains("octet 2"));
    }

    #[test]
    fn narrow_strings() {
        assert!(printable(b"Ab1 '()+,-./:?=").is_ok());
        assert!(printable(b"a@b").is_err());
        assert!(printable(b"").is_err());
        assert!(ia5(b"").is_ok());
        assert!(ia5("é".as_bytes()).is_err());
        assert!(numeric(b"15 079 672").is_ok());
        assert!(numeric(b"1a").is_err());
        assert!(telephone(b"+1 512 315 0280").is_ok());
        assert!(telephone(b"").is_err());
        assert!(country(b"US").is_ok());
        assert!(country(b"USA").is_err());
    }

    #[test]
    fn postal_addresses() {
        assert!(postal_address(b"1234 Main St.$Anytown, CA 12345$USA").is_ok());
        assert!(postal_address(b"\\241,000,000 Sweepstakes$PO Box 1000000$USA").is_ok());
        assert!(postal_address(b"a$$b").is_err());
        assert!(postal_address(b"a\\b").is_err());
        assert!(postal_address(b"").is_err());
    }

    #[test]
    fn auth_passwords() {
        assert!(auth_password(b"SHA1 $ c2FsdA== $ ZGlnZXN0").is_ok());
        assert!(auth_password(b"SHA1$x").is_err());
        assert!(auth_password(b"$a$b").is_err());
    }
}
