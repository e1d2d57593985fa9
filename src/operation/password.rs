//! New passwords: clear ones are hashed before they are stored, encoded ones are refused.

use super::{Directory, bind};
use crate::auth::{Scheme, Secret, scheme};
use crate::config::PasswordPolicy;
use crate::protocol::result::{LdapResult, ResultCode};

/// The attribute that holds passwords.
pub(super) const ATTRIBUTE: &str = "userPassword";

/// The scheme new passwords are stored in.
fn scheme_in_force(directory: &Directory) -> Scheme {
    let config = directory.config.current();
    let policy = config.default_password_policy();
    let disabled = &config.administration.disabled_schemes;
    let named = policy.and_then(|policy| {
        let enabled = policy.default_schemes.iter().filter(|name| !disabled.contains(name));
        enabled.filter_map(|name| Scheme::by_entry(name)).next()
    });
    named.unwrap_or(Scheme::Pbkdf2HmacSha256)
}

/// Takes new values of a password: none to hash for one that is encoded already, where the policy lets it pass.
/// Refuses encoded ones (19) otherwise, and empty ones.
pub(super) fn take(directory: &Directory, value: &[u8]) -> Result<Option<Secret>, LdapResult> {
    if value.is_empty() {
        let text = "attribute userPassword: a password must not be empty";
        return Err(LdapResult::new(ResultCode::CONSTRAINT_VIOLATION, text));
    }
    if !scheme::is_encoded(value) {
        return Ok(Some(Secret::new(value)));
    }
    let config = directory.config.current();
    if config.default_password_policy().is_some_and(|policy| policy.allow_pre_encoded_passwords) {
        return Ok(None);
    }
    let text = "attribute userPassword: the value is encoded already; the policy takes clear passwords only \
                (ds-cfg-allow-pre-encoded-passwords)";
    Err(LdapResult::new(ResultCode::CONSTRAINT_VIOLATION, text))
}

/// Refuses (19) several passwords of one entry, where the policy does not let them be.
pub(super) fn check_count(directory: &Directory, count: usize) -> Result<(), LdapResult> {
    let allows = |policy: &PasswordPolicy| policy.allow_multiple_values;
    if count < 2 || directory.config.load().default_password_policy().is_none_or(allows) {
        return Ok(());
    }
    let text = "attribute userPassword: the policy lets an entry have one password \
                (ds-cfg-allow-multiple-password-values)";
    Err(LdapResult::new(ResultCode::CONSTRAINT_VIOLATION, text))
}

/// Encodes passwords for storage, on the pool; those that are none stay none.
pub(super) async fn encode(
    directory: &Directory,
    passwords: Vec<Option<Secret>>,
) -> Result<Vec<Option<Vec<u8>>>, LdapResult> {
    let scheme = scheme_in_force(directory);
    let mut encoded = Vec::with_capacity(passwords.len());
    for password in passwords {
        encoded.push(match password {
            None => None,
            Some(password) => {
                let value = directory.verifier.encode(scheme, &password).await;
                Some(value.map_err(|error| bind::auth_error(&error))?)
            }
        });
    }
    Ok(encoded)
}
