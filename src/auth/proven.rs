//! What has been proven: a bounded memory of passwords that were right, so that the same bind from tens of pools each
//! second costs a MAC instead of a thousand rounds.
//!
//! It holds no password and no digest of one alone: only MACs, under a key that dies with the process, over name,
//! stored value and password together. A changed stored value is another MAC, so nothing has to be dropped when a
//! password changes. Wrong passwords are never remembered.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{AuthError, os_random};

/// The MAC of name, stored value and password.
pub(super) type Proof = [u8; 32];

/// The memory. Two generations: when the young one is full it becomes the old one, and what was old is forgotten;
/// a hit in the old one makes young again.
pub(super) struct Proven {
    keyed: Hmac<Sha256>,
    generations: Mutex<Generations>,
    half: usize,
}

#[derive(Default)]
struct Generations {
    young: HashSet<Proof>,
    old: HashSet<Proof>,
}

impl Proven {
    /// A memory of at most `capacity` proofs; 0 remembers nothing.
    pub(super) fn new(capacity: usize) -> Result<Self, AuthError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        os_random(key.as_mut())?;
        let keyed =
            Hmac::new_from_slice(key.as_slice()).map_err(|fault| AuthError::Random(fault.to_string()))?;
        Ok(Self { keyed, generations: Mutex::default(), half: capacity / 2 })
    }

    pub(super) fn proof(&self, name: &[u8], stored: &[u8], password: &[u8]) -> Proof {
        let mut mac = self.keyed.clone();
        for part in [name, stored, password] {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    pub(super) fn holds(&self, proof: &Proof) -> bool {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.contains(proof) {
            return true;
        }
        let found = generations.old.remove(proof);
        if found {
            self.put(&mut generations, *proof);
        }
        found
    }

    pub(super) fn remember(&self, proof: Proof) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(&mut generations, proof);
    }

    fn put(&self, generations: &mut Generations, proof: Proof) {
        if self.half == 0 {
            return;
        }
        if generations.young.len() >= self.half {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(proof);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let generations = self.generations.lock().unwrap();
        generations.young.len() + generations.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_all_three() {
        let proven = Proven::new(10).unwrap();
        let proof = proven.proof(b"cn=a", b"{SSHA}x", b"secret");
        assert_ne!(proof, proven.proof(b"cn=b", b"{SSHA}x", b"secret"));
        assert_ne!(proof, proven.proof(b"cn=a", b"{SSHA}y", b"secret"));
        assert_ne!(proof, proven.proof(b"cn=a", b"{SSHA}x", b"Secret"));
        assert_ne!(proven.proof(b"a", b"bc", b"d"), proven.proof(b"ab", b"c", b"d"));
        assert_ne!(proof, Proven::new(10).unwrap().proof(b"cn=a", b"{SSHA}x", b"secret"));
        assert!(!proven.holds(&proof));
        proven.remember(proof);
        assert!(proven.holds(&proof));
    }

    #[test]
    fn bounded_and_keeps_what_is_used() {
        let proven = Proven::new(10).unwrap();
        let often = proven.proof(b"often", b"", b"");
        proven.remember(often);
        for number in 0_u32..100 {
            proven.remember(proven.proof(&number.to_be_bytes(), b"", b""));
            assert!(proven.holds(&often));
            assert!(proven.len() <= 10);
        }
        assert!(!proven.holds(&proven.proof(&0_u32.to_be_bytes(), b"", b"")));
        let none = Proven::new(0).unwrap();
        none.remember(often);
        assert!(!none.holds(&often));
    }
}
