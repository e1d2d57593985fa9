//! `{PBKDF2}` (SHA-1), `{PBKDF2-HMAC-SHA256}`, `{PBKDF2-HMAC-SHA512}` (RFC 8018): `rounds:base64(key ‖ salt)`, the
//! key as long as the digest, the salt of any length but none.

use ::pbkdf2::pbkdf2_hmac;
use subtle::ConstantTimeEq;

use super::base64;

/// Rounds for new values.
const ROUNDS: u32 = 10_000;
/// A stored value that asks for more is damaged or hostile: checking it would take seconds.
const MOST_ROUNDS: u32 = 5_000_000;
/// Octets of the longest digest.
const LONGEST: usize = 64;

/// A digest that keys are derived with.
pub(super) trait Derive {
    /// Octets of the digest.
    const LENGTH: usize;
    /// Fills `key`.
    fn derive(password: &[u8], salt: &[u8], rounds: u32, key: &mut [u8]);
}

macro_rules! digests {
    ($($name:ident $digest:ty, $length:literal;)+) => {$(
        pub(super) struct $name;

        impl Derive for $name {
            const LENGTH: usize = $length;

            fn derive(password: &[u8], salt: &[u8], rounds: u32, key: &mut [u8]) {
                pbkdf2_hmac::<$digest>(password, salt, rounds, key);
            }
        }
    )+};
}

digests! {
    Sha1 sha1::Sha1, 20;
    Sha256 sha2::Sha256, 32;
    Sha512 sha2::Sha512, 64;
}

pub(super) fn encode<D: Derive>(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut octets = vec![0; D::LENGTH];
    D::derive(password, salt, ROUNDS, &mut octets);
    octets.extend_from_slice(salt);
    let mut text = format!("{ROUNDS}:").into_bytes();
    text.extend_from_slice(&base64::encode(&octets));
    text
}

pub(super) fn verify<D: Derive>(text: &[u8], password: &[u8]) -> bool {
    read::<D>(text).is_some_and(|(rounds, octets)| {
        let mut derived = [0; LONGEST];
        match (octets.split_at_checked(D::LENGTH), derived.get_mut(..D::LENGTH)) {
            (Some((stored, salt)), Some(derived)) if !salt.is_empty() => {
                D::derive(password, salt, rounds, derived);
                derived.ct_eq(stored).into()
            }
            _ => false,
        }
    })
}

fn read<D: Derive>(text: &[u8]) -> Option<(u32, Vec<u8>)> {
    let (rounds, octets) = text.split_at_checked(text.iter().position(|&octet| octet == b':')?)?;
    let rounds: u32 = std::str::from_utf8(rounds).ok()?.parse().ok()?;
    if !(1..=MOST_ROUNDS).contains(&rounds) {
        return None;
    }
    Some((rounds, base64::decode(octets.strip_prefix(b":")?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6070, and the same input under the longer digests.
    #[test]
    fn known_keys() {
        let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        let mut key = [0; 20];
        Sha1::derive(b"password", b"salt", 2, &mut key);
        assert_eq!(hex(&key), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
        let mut key = [0; 32];
        Sha256::derive(b"password", b"salt", 1, &mut key);
        assert_eq!(hex(&key), "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b");
    }
}
