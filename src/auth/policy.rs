//! What the stored state of an account forbids. Small on purpose: no expiry (features.md §9), and lockout is
//! [`super::Lockouts`]' business; what is added joins [`Refusal`] and [`check`].

/// Why an account must not be used, however right the password. The client is told invalidCredentials and no more;
/// the text is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `ds-pwp-account-disabled: true`.
    #[error("the account is disabled")]
    Disabled,
}

/// Attributes of the account's entry that [`check`] looks at.
pub const ATTRIBUTES: &[&str] = &["ds-pwp-account-disabled"];

/// Whether the account may be used. `values` gives the values of one of [`ATTRIBUTES`]. Ask after the password was
/// checked, so that only who knows it can tell a disabled account from a wrong password by time.
pub fn check<'a, V: IntoIterator<Item = &'a [u8]>>(mut values: impl FnMut(&str) -> V) -> Result<(), Refusal> {
    if values("ds-pwp-account-disabled").into_iter().any(|value| value.eq_ignore_ascii_case(b"true")) {
        return Err(Refusal::Disabled);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disabled_accounts_are_refused() {
        let with = |value: &'static [u8]| check(move |_| Some(value));
        assert_eq!(with(b"true"), Err(Refusal::Disabled));
        assert_eq!(with(b"TRUE"), Err(Refusal::Disabled));
        assert_eq!(with(b"false"), Ok(()));
        assert_eq!(check(|_| None), Ok(()));
    }
}
