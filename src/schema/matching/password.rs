//! Stored passwords compared as stored, for deleting one value of several; never a check of a password.

/// Appends the value with its `{SCHEME}` in upper case; the rest counts exactly.
pub(super) fn user_key(value: &[u8], out: &mut Vec<u8>) {
    let scheme = match value.split_first() {
        Some((b'{', _)) => value.iter().position(|&octet| octet == b'}').unwrap_or(0),
        _ => 0,
    };
    let (scheme, rest) = value.split_at_checked(scheme).unwrap_or((&[], value));
    out.extend(scheme.iter().map(u8::to_ascii_uppercase));
    out.extend_from_slice(rest);
}

/// Appends the three parts of an RFC 3112 value, spaces around `$` dropped, the scheme in upper case.
pub(super) fn auth_key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut parts = value.split(|&octet| octet == b'$').map(<[u8]>::trim_ascii);
    let (Some(scheme), Some(info), Some(authenticator), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("an authentication password is scheme$info$value".into());
    };
    out.extend(scheme.iter().map(u8::to_ascii_uppercase));
    out.push(b'$');
    out.extend_from_slice(info);
    out.push(b'$');
    out.extend_from_slice(authenticator);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_scheme_loses_its_case() {
        let mut out = Vec::new();
        user_key(b"{ssha}AbC=", &mut out);
        assert_eq!(out, b"{SSHA}AbC=");
        out.clear();
        user_key(b"{open", &mut out);
        user_key(b"Plain}", &mut out);
        assert_eq!(out, b"{openPlain}");
        out.clear();
        auth_key(b"sha1 $ c2 $ AbC", &mut out).unwrap();
        assert_eq!(out, b"SHA1$c2$AbC");
        assert!(auth_key(b"x", &mut Vec::new()).is_err());
    }
}
