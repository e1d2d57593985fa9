//! Who am I? (RFC 4532): no value in, an authzId out.

use super::ValueError;

/// Refuses a value in the request.
pub fn check(value: Option<&[u8]>) -> Result<(), ValueError> {
    if value.is_some_and(|value| !value.is_empty()) { Err(ValueError::UnexpectedValue) } else { Ok(()) }
}

/// The response's value: `dn:` and the DN, or nothing for anonymous.
pub fn response_value(dn: &str) -> Vec<u8> {
    if dn.is_empty() { Vec::new() } else { format!("dn:{dn}").into_bytes() }
}
