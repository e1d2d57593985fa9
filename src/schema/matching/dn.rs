//! Distinguished names by their text alone: type names lower-cased, values by caseIgnoreMatch, AVAs of an RDN in any
//! order. With the schema at hand, [`crate::schema::NormalizedDn`] knows more: aliases of types, and their own rules.

use crate::name::Dn;
use crate::schema::prepare::{Case, Form, prepare};
use crate::schema::syntax::{number, split_uid};

/// Appends the key: root first, each RDN its AVAs `type=value`, sorted, joined by an octet 02, ended by 00. These two
/// octets and 01 inside are written 01 and one more, so that no two names share a key and a name's key begins with
/// that of every name above it.
pub(super) fn key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let text = std::str::from_utf8(value).map_err(|_| String::from("a DN is UTF-8"))?;
    let dn = Dn::parse(text).map_err(|fault| fault.to_string())?;
    let mut prepared = Vec::new();
    for rdn in dn.rdns().iter().rev() {
        if let [ava] = rdn.avas() {
            ava_key(ava, &mut prepared, out);
        } else {
            let mut avas: Vec<Vec<u8>> = Vec::with_capacity(rdn.avas().len());
            for ava in rdn.avas() {
                let mut one = Vec::new();
                ava_key(ava, &mut prepared, &mut one);
                avas.push(one);
            }
            avas.sort_unstable();
            for (place, ava) in avas.iter().enumerate() {
                if place > 0 {
                    out.push(2);
                }
                out.extend_from_slice(ava);
            }
        }
        out.push(0);
    }
    Ok(())
}

fn ava_key(ava: &crate::name::Ava, prepared: &mut Vec<u8>, out: &mut Vec<u8>) {
    out.extend(ava.attribute().bytes().map(|octet| octet.to_ascii_lowercase()));
    out.push(b'=');
    prepared.clear();
    if prepare(ava.value(), Case::Ignore, Form::Whole, prepared).is_err() {
        prepared.clear();
        prepared.extend_from_slice(ava.value());
    }
    for &octet in prepared.iter() {
        if octet <= 2 {
            out.push(1);
            out.push(octet + 1);
        } else {
            out.push(octet);
        }
    }
}

/// Appends the name's key and, if there is a UID, `#` and its bits.
pub(super) fn key_with_uid(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let (name, uid) = split_uid(value);
    key(name, out)?;
    if let Some(uid) = uid {
        out.push(b'#');
        out.extend_from_slice(number::bits(uid)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        key(text.as_bytes(), &mut out).unwrap();
        out
    }

    #[test]
    fn same_names() {
        assert_eq!(
            of("CN=Alice  Smith, OU=People,dc=example,dc=com"),
            of("cn=alice smith,ou=people,dc=example,dc=com")
        );
        assert_eq!(of("cn=a+sn=b,dc=x"), of("SN=B+CN=A,dc=x"));
        assert_eq!(of("cn=a\\2cb"), of("cn=a\\,b"));
        assert_ne!(of("cn=a+sn=b"), of("cn=a\\+sn\\=b"));
        assert_eq!(of(""), b"");
        assert!(of("cn=a,dc=b").starts_with(&of("dc=b")));
        assert!(key(b"nonsense", &mut Vec::new()).is_err());
    }

    #[test]
    fn with_uid() {
        let with = |text: &str| {
            let mut out = Vec::new();
            key_with_uid(text.as_bytes(), &mut out).map(|()| out)
        };
        assert_eq!(with("cn=A#'01'B"), with("CN=a#'01'B"));
        assert_ne!(with("cn=a#'01'B"), with("cn=a"));
        assert!(with("cn=a#'2'B").is_err());
    }
}
