//! Octets, which are their own keys.

/// Appends the octets.
pub(super) fn key(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(value);
}
