//! The composite syntaxes that X.520 brought from telephony and message handling, and two guides. Checked in their
//! outline; nothing in the server looks inside.

use super::string::{ia5, not_empty, printable, telephone, utf8};

/// RFC 4517 §3.3.5: methods in order of preference.
pub(super) fn delivery_method(value: &[u8]) -> Result<(), String> {
    const METHODS: [&[u8]; 10] = [
        b"any",
        b"mhs",
        b"physical",
        b"telex",
        b"teletex",
        b"g3fax",
        b"g4fax",
        b"ia5",
        b"videotex",
        b"telephone",
    ];
    let known = |part: &[u8]| METHODS.iter().any(|method| part.trim_ascii().eq_ignore_ascii_case(method));
    if value.split(|&octet| octet == b'$').all(known) {
        Ok(())
    } else {
        Err("a delivery method is one or more of any, mhs, physical, telex, teletex, g3fax, g4fax, ia5, videotex \
             and telephone, joined by $"
            .into())
    }
}

/// RFC 4517 §3.3.11: a telephone number and parameters.
pub(super) fn facsimile(value: &[u8]) -> Result<(), String> {
    const PARAMETERS: [&[u8]; 7] = [
        b"twoDimensional",
        b"fineResolution",
        b"unlimitedLength",
        b"b4Length",
        b"a3Width",
        b"b4Width",
        b"uncompressed",
    ];
    let mut parts = value.split(|&octet| octet == b'$');
    telephone(parts.next().unwrap_or_default())?;
    if parts.all(|part| PARAMETERS.iter().any(|known| part.trim_ascii().eq_ignore_ascii_case(known))) {
        Ok(())
    } else {
        Err("a facsimile number is a telephone number, then $ before each of twoDimensional, fineResolution, \
             unlimitedLength, b4Length, a3Width, b4Width or uncompressed"
            .into())
    }
}

/// RFC 4517 §3.3.33: number, country code, answer-back.
pub(super) fn telex(value: &[u8]) -> Result<(), String> {
    let parts: Vec<_> = value.split(|&octet| octet == b'$').collect();
    if parts.len() == 3 && parts.iter().all(|part| printable(part).is_ok()) {
        Ok(())
    } else {
        Err("a telex number is number$country$answer-back in printable characters".into())
    }
}

/// RFC 4517 §3.3.32: an identifier and parameters `name:value`, whose values may be any octets.
pub(super) fn teletex(value: &[u8]) -> Result<(), String> {
    let mut parts = value.split(|&octet| octet == b'$');
    printable(parts.next().unwrap_or_default())?;
    let known = |part: &[u8]| {
        [&b"graphic:"[..], b"control:", b"misc:", b"page:", b"private:"]
            .iter()
            .any(|key| part.starts_with(key))
    };
    if parts.all(known) {
        Ok(())
    } else {
        Err("after a teletex identifier come $ and graphic, control, misc, page or private with a colon"
            .into())
    }
}

/// RFC 4517 §3.3.27: mailbox type and mailbox.
pub(super) fn other_mailbox(value: &[u8]) -> Result<(), String> {
    const ACCEPTS: &str = "another mailbox is type$mailbox, such as x400$/C=DE/";
    let mut halves = value.splitn(2, |&octet| octet == b'$');
    let (Some(kind), Some(mailbox)) = (halves.next(), halves.next()) else {
        return Err(ACCEPTS.into());
    };
    printable(kind)?;
    ia5(mailbox)
}

/// RFC 4517 §3.3.14: `[object class #] criteria`.
pub(super) fn guide(value: &[u8]) -> Result<(), String> {
    not_empty(value, "a guide is criteria, optionally after an object class and #")?;
    utf8(value)
}

/// RFC 4517 §3.3.10: `object class # criteria # subset`.
pub(super) fn enhanced_guide(value: &[u8]) -> Result<(), String> {
    utf8(value)?;
    let parts: Vec<_> = value.split(|&octet| octet == b'#').map(<[u8]>::trim_ascii).collect();
    match parts.as_slice() {
        [class, criteria, subset]
            if super::oid::oid(class).is_ok()
                && !criteria.is_empty()
                && [&b"baseobject"[..], b"oneLevel", b"wholeSubtree"]
                    .iter()
                    .any(|known| subset.eq_ignore_ascii_case(known)) =>
        {
            Ok(())
        }
        _ => Err("an enhanced guide is class#criteria#subset, the subset one of baseobject, oneLevel, wholeSubtree"
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines() {
        assert!(delivery_method(b"mhs $ telephone").is_ok());
        assert!(delivery_method(b"pigeon").is_err());
        assert!(facsimile(b"+61 3 9896 7801$twoDimensional$fineResolution").is_ok());
        assert!(facsimile(b"+61 3 9896 7801$loud").is_err());
        assert!(telex(b"812374$ch$ehhg").is_ok());
        assert!(telex(b"812374$ch").is_err());
        assert!(teletex(b"id$graphic:\xff").is_ok());
        assert!(teletex(b"id$x").is_err());
        assert!(other_mailbox(b"x400$/C=DE/").is_ok());
        assert!(other_mailbox(b"x400").is_err());
        assert!(guide(b"person#sn$EQ").is_ok());
        assert!(enhanced_guide(b"person#(sn$EQ)#oneLevel").is_ok());
        assert!(enhanced_guide(b"person#(sn$EQ)").is_err());
    }
}
