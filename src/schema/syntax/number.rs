//! Integers, booleans, bit strings and UUIDs.

/// An integer in canonical decimal (RFC 4517 §3.3.16): its sign and its digits without leading zeros; zero has none.
/// Of any size.
pub(crate) fn integer(value: &[u8]) -> Result<(bool, &[u8]), String> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    match digits.first() {
        Some(b'0') if digits.len() == 1 && !negative => Ok((false, &[])),
        Some(b'1'..=b'9') if digits.iter().all(u8::is_ascii_digit) => Ok((negative, digits)),
        _ => Err("an integer is 0, or an optional - and decimal digits of which the first is not 0".into()),
    }
}

/// A boolean (RFC 4517 §3.3.3). Any case is taken: configuration files of this kind of server write `true`.
pub(crate) fn boolean(value: &[u8]) -> Result<bool, String> {
    if value.eq_ignore_ascii_case(b"TRUE") {
        Ok(true)
    } else if value.eq_ignore_ascii_case(b"FALSE") {
        Ok(false)
    } else {
        Err("a boolean is TRUE or FALSE".into())
    }
}

/// The bits of a bit string (RFC 4517 §3.3.2), as the characters 0 and 1.
pub(crate) fn bits(value: &[u8]) -> Result<&[u8], String> {
    value
        .strip_prefix(b"'")
        .and_then(|rest| rest.strip_suffix(b"'B"))
        .filter(|bits| bits.iter().all(|bit| matches!(bit, b'0' | b'1')))
        .ok_or_else(|| {
            "a bit string is zeros and ones in single quotes followed by B, such as '0101'B".into()
        })
}

/// The sixteen octets of a UUID (RFC 4530 §2.1).
pub(crate) fn uuid(value: &[u8]) -> Result<[u8; 16], String> {
    const ACCEPTS: &str = "a UUID is 36 characters, such as 597ae2f6-16a6-1027-98f4-d28b5365dc14";
    if value.len() != 36 {
        return Err(ACCEPTS.into());
    }
    let mut number = 0_u128;
    for (place, octet) in value.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if *octet != b'-' {
                return Err(ACCEPTS.into());
            }
            continue;
        }
        let digit = char::from(*octet).to_digit(16).ok_or(ACCEPTS)?;
        number = number << 4 | u128::from(digit);
    }
    Ok(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        assert_eq!(integer(b"0"), Ok((false, &b""[..])));
        assert_eq!(integer(b"-12"), Ok((true, &b"12"[..])));
        assert!(integer(b"123456789012345678901234567890").is_ok());
        for text in ["", "-", "-0", "01", "+1", "1 ", "1a", "0x1", "--1"] {
            assert!(integer(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn booleans_and_bits() {
        assert_eq!(boolean(b"TRUE"), Ok(true));
        assert_eq!(boolean(b"false"), Ok(false));
        assert!(boolean(b"yes").is_err());
        assert_eq!(bits(b"'0101'B"), Ok(&b"0101"[..]));
        assert_eq!(bits(b"''B"), Ok(&b""[..]));
        assert!(bits(b"'012'B").is_err());
        assert!(bits(b"0101").is_err());
        assert!(bits(b"'B").is_err());
    }

    #[test]
    fn uuids() {
        let lower = uuid(b"597ae2f6-16a6-1027-98f4-d28b5365dc14").unwrap();
        assert_eq!(lower, uuid(b"597AE2F6-16A6-1027-98F4-D28B5365DC14").unwrap());
        assert_eq!(lower.first(), Some(&0x59));
        assert!(uuid(b"597ae2f616a6102798f4d28b5365dc14").is_err());
        assert!(uuid(b"597ae2f6-16a6-1027-98f4-d28b5365dc1g").is_err());
    }
}
