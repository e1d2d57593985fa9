//! Octets that must not be seen: passwords and keys.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::AuthError;

/// A clear password. Prints as `***`, compares in constant time, and is overwritten with zeros when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets; a copy the caller keeps is the caller's to wipe.
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(octets.into()))
    }

    /// The octets, to be hashed or written to the one place that may hold them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether it has no octets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is these octets; takes the same time wherever they differ.
    pub fn matches(&self, octets: &[u8]) -> bool {
        self.0.as_slice().ct_eq(octets).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Fills the buffer from the operating system's random source.
pub fn os_random(buffer: &mut [u8]) -> Result<(), AuthError> {
    getrandom::fill(buffer).map_err(|fault| AuthError::Random(fault.to_string()))
}

/// Octets of the system's random source that a thread asks for at once.
const POOL: usize = 1024;

thread_local! {
    /// Random octets not yet given out, and how many of them.
    static RANDOM: std::cell::RefCell<([u8; POOL], usize)> = const { std::cell::RefCell::new(([0; POOL], 0)) };
}

/// Random octets for an identifier, each given out once. Not for secrets: they lie in memory for a while before, so that
/// the system is asked once for many.
pub fn random_id() -> Result<[u8; 16], AuthError> {
    RANDOM.with_borrow_mut(|(pool, left)| {
        if *left == 0 {
            os_random(pool)?;
            *left = POOL / 16;
        }
        *left -= 1;
        Ok(pool.as_chunks::<16>().0.get(*left).copied().unwrap_or_default())
    })
}

/// A new password: 24 letters and digits, about 139 bits, without those that look alike (0 O I l). Safe in shells,
/// URLs, LDIF and properties files.
pub fn random_password() -> Result<Secret, AuthError> {
    const LETTERS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    const LENGTH: usize = 24;
    let mut password = Zeroizing::new(Vec::with_capacity(LENGTH));
    let mut random = Zeroizing::new([0_u8; 64]);
    while password.len() < LENGTH {
        os_random(random.as_mut())?;
        // Six bits choose a letter or are thrown away, so that no letter is likelier than another.
        let letters = random.iter().filter_map(|octet| LETTERS.get(usize::from(octet & 63)));
        let missing = LENGTH - password.len();
        password.extend(letters.take(missing));
    }
    Ok(Secret(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {secret}"), "*** ***");
        assert!(secret.matches(b"hunter2"));
        assert!(!secret.matches(b"hunter3"));
        assert!(!secret.matches(b"hunter"));
    }

    #[test]
    fn random_passwords_differ() {
        let (one, other) = (random_password().unwrap(), random_password().unwrap());
        assert_eq!(one.expose().len(), 24);
        assert!(one.expose().iter().all(u8::is_ascii_alphanumeric));
        assert!(!one.matches(other.expose()));
    }
}
