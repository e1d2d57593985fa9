//! `{SHA}` and the salted `{SSHA…}`: base 64 of the digest of password and salt, then the salt (of any length, also none).

use sha2::Digest;
use subtle::ConstantTimeEq;

use super::base64;

pub(super) fn encode<D: Digest>(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut octets = D::new().chain_update(password).chain_update(salt).finalize().to_vec();
    octets.extend_from_slice(salt);
    base64::encode(&octets)
}

pub(super) fn verify<D: Digest>(text: &[u8], password: &[u8]) -> bool {
    let Some(octets) = base64::decode(text) else {
        return false;
    };
    let Some((digest, salt)) = octets.split_at_checked(<D as Digest>::output_size()) else {
        return false;
    };
    D::new().chain_update(password).chain_update(salt).finalize().as_slice().ct_eq(digest).into()
}
