//! How far an index has been built.

use std::sync::atomic::{AtomicU64, Ordering};

/// How far an index is: entries done and entries to do; then ready, or given up.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

const READY: u64 = u64::MAX;
const FAILED: u64 = READY - 1;

impl Progress {
    pub(crate) fn set(&self, done: u64, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.done.store(done.min(FAILED - 1), Ordering::Relaxed);
    }

    pub(crate) fn finish(&self) {
        self.done.store(READY, Ordering::Release);
    }

    pub(crate) fn fail(&self) {
        self.done.store(FAILED, Ordering::Release);
    }

    /// The part done, in percent; 0 if it was given up.
    pub(super) fn percent(&self) -> u64 {
        match self.done.load(Ordering::Relaxed) {
            READY => 100,
            FAILED => 0,
            done => (done * 100).checked_div(self.total.load(Ordering::Relaxed)).unwrap_or(0).min(99),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.done.load(Ordering::Acquire) == READY
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_ready() {
            return f.write_str("ready");
        }
        if self.done.load(Ordering::Relaxed) == FAILED {
            return f.write_str("degraded");
        }
        write!(f, "building: {} %", self.percent())
    }
}
