//! StartTLS (RFC 4511 §4.14): no value either way.

use super::ValueError;

/// Refuses a value in the request.
pub fn check(value: Option<&[u8]>) -> Result<(), ValueError> {
    if value.is_some() { Err(ValueError::UnexpectedValue) } else { Ok(()) }
}
