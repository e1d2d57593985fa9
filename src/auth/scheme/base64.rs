//! `{BASE64}`: the password in base 64, and base 64 for the other schemes.

use ::base64::Engine;
use ::base64::alphabet::STANDARD;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Writes padding, reads with or without: some tools strip it.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn encode(octets: &[u8]) -> Vec<u8> {
    ENGINE.encode(octets).into_bytes()
}

pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    ENGINE.decode(text.trim_ascii()).ok()
}

pub(super) fn verify(text: &[u8], password: &[u8]) -> bool {
    decode(text).map(Zeroizing::new).is_some_and(|clear| clear.as_slice().ct_eq(password).into())
}
