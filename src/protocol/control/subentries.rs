//! Subentries (RFC 3672 §3): a BOOLEAN that says which kind of entries is visible.

use super::{ControlError, value};

/// Reads the value: TRUE for subentries only, FALSE for all but subentries.
pub fn parse(bytes: &[u8]) -> Result<bool, ControlError> {
    value::decode(bytes)
}
