//! Proxied authorization, version 2 (RFC 4370): the value is a bare authzId.

use super::ControlError;

/// Reads the value: `dn:` and a DN, `u:` and a user id, or nothing for anonymous. What it names is not looked at.
/// RFC 4370 §3 refuses the control if it is not critical.
pub fn parse(critical: bool, value: &[u8]) -> Result<&str, ControlError> {
    if !critical {
        return Err(ControlError::NotCritical);
    }
    std::str::from_utf8(value).map_err(|_| ControlError::Form)
}
