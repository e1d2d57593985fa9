//! Whether a client is who it says: stored passwords, the pool that hashes, certificates, and what an account's state
//! forbids.
//!
//! Nothing here reads entries or answers requests; the operations bring stored values and take verdicts. Clear
//! passwords live in [`Secret`], which prints as stars and is wiped when dropped.

mod certificate;
mod lockout;
pub mod policy;
mod proven;
pub mod scheme;
mod secret;
mod verifier;

pub use certificate::ClientCertificate;
pub use lockout::{LockoutRules, Lockouts, Turn, Turns};
pub use policy::Refusal;
pub use scheme::Scheme;
pub use secret::{Secret, os_random, random_id, random_password};
pub use verifier::Verifier;

/// Why authentication could not be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// More passwords wait to be hashed than the queue holds. (busy)
    #[error("too many passwords wait to be checked")]
    Busy,
    /// The hashing pool is gone: the server is going down. (unavailable)
    #[error("passwords can no longer be checked")]
    Stopped,
    /// The system gives no random octets. (other)
    #[error("no random octets: {0}")]
    Random(String),
    /// The pool's threads cannot be started.
    #[error("cannot start a hashing thread: {0}")]
    Thread(String),
}
