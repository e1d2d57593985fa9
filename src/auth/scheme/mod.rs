//! Password storage schemes: `{NAME}text`, as OpenDJ and OpenLDAP store passwords. One file a family.
//!
//! Every scheme listed verifies; every one can also encode, though new passwords should take [`Scheme::DEFAULT`].

mod base64;
mod clear;
mod pbkdf2;
mod sha;

use super::{AuthError, Secret};

/// A password storage scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum Scheme {
    Clear,
    Base64,
    Sha,
    Ssha,
    Ssha256,
    Ssha384,
    Ssha512,
    Pbkdf2,
    Pbkdf2HmacSha256,
    Pbkdf2HmacSha512,
}

impl Scheme {
    /// What new passwords are stored in: PBKDF2 over HMAC-SHA-256, 10,000 rounds, 16 octets of salt.
    pub const DEFAULT: Self = Self::Pbkdf2HmacSha256;

    /// All of them, the default first.
    pub const ALL: [Self; 10] = [
        Self::Pbkdf2HmacSha256,
        Self::Pbkdf2HmacSha512,
        Self::Pbkdf2,
        Self::Ssha512,
        Self::Ssha384,
        Self::Ssha256,
        Self::Ssha,
        Self::Sha,
        Self::Base64,
        Self::Clear,
    ];

    /// The name between the braces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clear => "CLEAR",
            Self::Base64 => "BASE64",
            Self::Sha => "SHA",
            Self::Ssha => "SSHA",
            Self::Ssha256 => "SSHA256",
            Self::Ssha384 => "SSHA384",
            Self::Ssha512 => "SSHA512",
            Self::Pbkdf2 => "PBKDF2",
            Self::Pbkdf2HmacSha256 => "PBKDF2-HMAC-SHA256",
            Self::Pbkdf2HmacSha512 => "PBKDF2-HMAC-SHA512",
        }
    }

    /// The scheme of this name, in any case, without braces.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name))
    }

    /// The scheme that an entry of `cn=Password Storage Schemes,cn=config` of this name stands for.
    pub fn by_entry(cn: &str) -> Option<Self> {
        match cn.strip_prefix("Salted SHA-") {
            Some("1") => Some(Self::Ssha),
            Some(bits) => Self::by_name(&format!("SSHA{bits}")),
            None => Self::by_name(cn),
        }
    }

    /// Whether checking a password costs so little that it needs no thread of its own.
    pub fn is_cheap(self) -> bool {
        !matches!(self, Self::Pbkdf2 | Self::Pbkdf2HmacSha256 | Self::Pbkdf2HmacSha512)
    }
}

/// The scheme of a stored value and what follows it; none if the value names no scheme known here.
pub fn split(stored: &[u8]) -> Option<(Scheme, &[u8])> {
    let rest = stored.strip_prefix(b"{")?;
    let (name, text) = rest.split_at_checked(rest.iter().position(|&octet| octet == b'}')?)?;
    Some((Scheme::by_name(std::str::from_utf8(name).ok()?)?, text.strip_prefix(b"}")?))
}

/// Whether the value is already in a scheme known here, and so is no password to hash: clients must not store such
/// (constraintViolation), imports keep it.
pub fn is_encoded(value: &[u8]) -> bool {
    split(value).is_some()
}

/// The password as it is stored, `{NAME}text`. `random` fills the salt, [`super::os_random`] outside tests; its
/// failure is the only one. Takes about a millisecond of CPU with the PBKDF2 schemes.
pub fn encode(
    scheme: Scheme,
    password: &Secret,
    random: &mut dyn FnMut(&mut [u8]) -> Result<(), AuthError>,
) -> Result<Vec<u8>, AuthError> {
    let clear = password.expose();
    let text = match scheme {
        Scheme::Clear => clear::encode(clear),
        Scheme::Base64 => base64::encode(clear),
        Scheme::Sha => sha::encode::<sha1::Sha1>(clear, &[]),
        Scheme::Ssha => sha::encode::<sha1::Sha1>(clear, &salt(random)?),
        Scheme::Ssha256 => sha::encode::<sha2::Sha256>(clear, &salt(random)?),
        Scheme::Ssha384 => sha::encode::<sha2::Sha384>(clear, &salt(random)?),
        Scheme::Ssha512 => sha::encode::<sha2::Sha512>(clear, &salt(random)?),
        Scheme::Pbkdf2 => pbkdf2::encode::<pbkdf2::Sha1>(clear, &salt(random)?),
        Scheme::Pbkdf2HmacSha256 => pbkdf2::encode::<pbkdf2::Sha256>(clear, &salt(random)?),
        Scheme::Pbkdf2HmacSha512 => pbkdf2::encode::<pbkdf2::Sha512>(clear, &salt(random)?),
    };
    let mut stored = Vec::with_capacity(scheme.name().len() + 2 + text.len());
    stored.push(b'{');
    stored.extend_from_slice(scheme.name().as_bytes());
    stored.push(b'}');
    stored.extend_from_slice(&text);
    Ok(stored)
}

fn salt(random: &mut dyn FnMut(&mut [u8]) -> Result<(), AuthError>) -> Result<[u8; 16], AuthError> {
    let mut salt = [0; 16];
    random(&mut salt)?;
    Ok(salt)
}

/// Whether the password is the stored one. Digests compare in constant time. False for a value without a scheme, with
/// an unknown one or a damaged text, and for the empty password (RFC 4513 §5.1.2: that is no authentication).
pub fn verify(stored: &[u8], password: &[u8]) -> bool {
    if password.is_empty() {
        return false;
    }
    let Some((scheme, text)) = split(stored) else {
        return false;
    };
    match scheme {
        Scheme::Clear => clear::verify(text, password),
        Scheme::Base64 => base64::verify(text, password),
        Scheme::Sha | Scheme::Ssha => sha::verify::<sha1::Sha1>(text, password),
        Scheme::Ssha256 => sha::verify::<sha2::Sha256>(text, password),
        Scheme::Ssha384 => sha::verify::<sha2::Sha384>(text, password),
        Scheme::Ssha512 => sha::verify::<sha2::Sha512>(text, password),
        Scheme::Pbkdf2 => pbkdf2::verify::<pbkdf2::Sha1>(text, password),
        Scheme::Pbkdf2HmacSha256 => pbkdf2::verify::<pbkdf2::Sha256>(text, password),
        Scheme::Pbkdf2HmacSha512 => pbkdf2::verify::<pbkdf2::Sha512>(text, password),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(buffer: &mut [u8]) -> Result<(), AuthError> {
        for (place, octet) in buffer.iter_mut().enumerate() {
            *octet = place as u8;
        }
        Ok(())
    }

    #[test]
    fn every_scheme_verifies_what_it_encodes() {
        for scheme in Scheme::ALL {
            let stored = encode(scheme, &Secret::new("pass wörd"), &mut counted).unwrap();
            assert_eq!(split(&stored).unwrap().0, scheme);
            assert!(verify(&stored, "pass wörd".as_bytes()), "{}", scheme.name());
            assert!(!verify(&stored, b"pass word"), "{}", scheme.name());
            assert!(!verify(&stored, b""), "{}", scheme.name());
            let lower =
                String::from_utf8(stored).unwrap().replacen(scheme.name(), &scheme.name().to_lowercase(), 1);
            assert!(verify(lower.as_bytes(), "pass wörd".as_bytes()));
        }
    }

    /// Values that other servers wrote, or that Python's hashlib computed.
    #[test]
    fn values_of_others_verify() {
        for stored in [
            "{CLEAR}password",
            "{BASE64}cGFzc3dvcmQ=",
            "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "{SSHA}yrht1iYXEIkejLVu42JWkadd80RzYWx0c2FsdA==",
            "{SSHA256}DIzeh0gCRMTRu9dAH3C3rr7fWkRT0Bp2ZdtRqvTX3XJzYWx0c2FsdA==",
            "{SSHA384}oDYiWDvogMRCjZDmryXqf4JuZwNZ1xThZtMfeeBw2jej290b7Z6i4ozW1MVLe18Yc2FsdHNhbHQ=",
            "{SSHA512}9ZxHVj4YomwqqFiYKcIjExMLx2ZblYfXRGc4KMqbgvHq2+HOgwiTIi+eO/Uam/8D0beDAkGpvx14+UFlfBskLnNhbHRzYWx0",
            "{PBKDF2}10:fK9Cpm2Vo6RrMVh9rvp5RLtXZwNzYWx0c2FsdA==",
            "{PBKDF2-HMAC-SHA256}10:do35F3u/FLwJBGylvud/KiXIHSVQVRDS4Ty083zAxlFzYWx0c2FsdA==",
            "{PBKDF2-HMAC-SHA512}10:hau7BAy5koADyTciWQ9Uwl4oVNv4TZ8X6vxiqanj0bo3l975zHerTFgOZEqSbIjftah1MwxCf6pX9xU8yoi3EHNhbHRzYWx0",
        ] {
            assert!(verify(stored.as_bytes(), b"password"), "{stored}");
            assert!(!verify(stored.as_bytes(), b"passwore"), "{stored}");
        }
    }

    #[test]
    fn default_form() {
        let stored = encode(Scheme::DEFAULT, &Secret::new("x"), &mut counted).unwrap();
        assert!(stored.starts_with(b"{PBKDF2-HMAC-SHA256}10000:"));
    }

    #[test]
    fn what_is_no_stored_password() {
        for stored in [
            "password",
            "",
            "{",
            "{}",
            "{SSHA",
            "{SSHA}",
            "{SSHA}!!",
            "{SSHA}YQ==",
            "{XYZ}password",
            "{CLEAR}",
            "{PBKDF2}x",
            "{PBKDF2}0:AAAA",
            "{PBKDF2}1",
            "{PBKDF2}4294967295:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g",
        ] {
            // The last is whole but for its padding, which is let pass.
            assert_eq!(verify(stored.as_bytes(), b"password"), stored.ends_with("mj9g"), "{stored}");
        }
        assert!(is_encoded(b"{ssha}x"));
        assert!(!is_encoded(b"{smile} :-)"));
        assert!(!is_encoded(b"plain"));
    }

    proptest! {
        #[test]
        fn no_stored_octets_make_it_fall(text in "[{}A-Z0-9:+/=]{0,40}", scheme in 3_usize..10) {
            let _ = verify(text.as_bytes(), b"x");
            let cheap = Scheme::ALL[scheme];
            let _ = verify(format!("{{{}}}{text}", cheap.name()).as_bytes(), b"x");
        }
    }
}
