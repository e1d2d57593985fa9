//! UUIDs (RFC 4530): sixteen octets, in order.

use crate::schema::syntax::number;

/// Appends the sixteen octets.
pub(super) fn key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(&number::uuid(value)?);
    Ok(())
}
