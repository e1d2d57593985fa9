//! Lockdown mode: only administrators are served, and only from this machine or by the administration connector.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::answer::Exchange;
use crate::access::{Privilege, Requester};
use crate::protocol::result::{LdapResult, ResultCode};

/// Whether the server is in lockdown mode, and why. Off costs a look at a flag for each request.
#[derive(Debug, Default)]
pub struct Lockdown {
    is_on: AtomicBool,
    why: Mutex<String>,
}

impl Lockdown {
    /// Enters lockdown mode: from now on every request is answered with 53 but those of who has the privilege
    /// `bypass-lockdown`, over a loopback address or the administration connector. Binds are tried; connections, and
    /// persistent searches that stand, stay. `why` is told in the log and in answers to administrators.
    pub fn enter(&self, why: &str) {
        why.clone_into(&mut self.why.lock().unwrap_or_else(PoisonError::into_inner));
        if !self.is_on.swap(true, Ordering::AcqRel) {
            tracing::warn!(why, "lockdown mode: only administrators on this machine are served");
        }
    }

    /// Leaves it; false if the server was not in it.
    pub fn leave(&self) -> bool {
        let was_on = self.is_on.swap(false, Ordering::AcqRel);
        if was_on {
            tracing::warn!("lockdown mode is over");
        }
        was_on
    }

    /// Why the server is in lockdown mode, if it is.
    pub fn reason(&self) -> Option<String> {
        self.is_on
            .load(Ordering::Acquire)
            .then(|| self.why.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Whether the server is in lockdown mode.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }
}

/// Refuses (53) what lockdown mode does not let through.
pub(super) fn check(exchange: &Exchange, who: &Requester) -> Result<(), LdapResult> {
    if !exchange.directory().lockdown.is_on() {
        return Ok(());
    }
    let is_near = who.address.to_canonical().is_loopback() || exchange.connection().is_administrative();
    if is_near && who.privileges.has(Privilege::BypassLockdown) {
        return Ok(());
    }
    let text = "the server is in lockdown mode: only administrators are served, from its own machine or by the \
                administration connector";
    Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text))
}
