//! What the store's threads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::rates::Rates;
use super::space::Pressure;
use super::store::{ChangeKind, ChangeListener, StoreError};
use super::view::View;

/// Counters for `cn=monitor`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) changes: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) groups: AtomicU64,
    /// Entries copied forward.
    pub(crate) moved: AtomicU64,
    /// Octets of these.
    pub(crate) moved_octets: AtomicU64,
    pub(crate) rates: Rates,
}

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) view: Arc<View>,
    /// Why no writes are taken, for ever.
    pub(crate) poison: ArcSwapOption<String>,
    pub(crate) closing: AtomicBool,
    /// Why no changes are taken for now.
    pub(crate) frozen: ArcSwapOption<String>,
    pub(crate) listeners: ArcSwap<Vec<(u64, Arc<dyn ChangeListener>)>>,
    pub(crate) counters: Counters,
    /// The last group whose changes the view shows, or which failed.
    pub(crate) applied: AtomicU64,
    pressure: AtomicU8,
    /// A group found no room for a segment; what takes room waits until there is some.
    pub(crate) is_starved: AtomicBool,
}

impl Shared {
    pub(crate) fn new(view: Arc<View>) -> Self {
        Self {
            view,
            poison: ArcSwapOption::empty(),
            closing: AtomicBool::new(false),
            frozen: ArcSwapOption::empty(),
            listeners: ArcSwap::default(),
            counters: Counters::default(),
            applied: AtomicU64::new(0),
            pressure: AtomicU8::new(0),
            is_starved: AtomicBool::new(false),
        }
    }

    /// Takes no more writes.
    pub(crate) fn poison(&self, reason: String) {
        if self.poison.load().is_none() {
            tracing::error!(%reason, "the store takes no more writes");
            self.poison.store(Some(Arc::new(reason)));
        }
    }

    /// Why writes are refused, if they are.
    pub(crate) fn unwilling(&self) -> Option<StoreError> {
        if let Some(reason) = self.poison.load().as_deref() {
            return Some(StoreError::Unwilling(reason.clone()));
        }
        self.closing
            .load(Ordering::Acquire)
            .then(|| StoreError::Unwilling("the server is shutting down".into()))
    }

    /// Why changes are refused for now, if they are.
    pub(crate) fn refusal(&self) -> Option<StoreError> {
        self.frozen.load().as_deref().map(|reason| StoreError::Unwilling(reason.clone()))
    }

    /// How short the room on the disk is.
    pub(crate) fn pressure(&self) -> Pressure {
        match self.pressure.load(Ordering::Acquire) {
            0 => Pressure::Normal,
            1 => Pressure::Low,
            _ => Pressure::Full,
        }
    }

    /// Sets it; tells the log about a change.
    pub(crate) fn set_pressure(&self, pressure: Pressure, free: u64) {
        let before = self.pressure();
        let number = match pressure {
            Pressure::Normal => 0,
            Pressure::Low => 1,
            Pressure::Full => 2,
        };
        self.pressure.store(number, Ordering::Release);
        if before == pressure {
            return;
        }
        match pressure {
            Pressure::Normal => tracing::info!(free, "there is room on the disk again; writes are taken"),
            Pressure::Low => {
                tracing::warn!(free, "little room on the disk: only the root DN writes; deletes are taken");
            }
            Pressure::Full => {
                tracing::error!(free, "no room on the disk: writes are refused; deletes are taken");
            }
        }
    }

    /// Whether there is room for a write.
    pub(crate) fn has_room(&self, is_root: bool, is_delete: bool) -> Result<(), StoreError> {
        let text = match self.pressure() {
            _ if is_delete => return Ok(()),
            Pressure::Low if !is_root => "little room is left on the disk: only the root DN may write",
            Pressure::Full => "the disk is full: only deletes are taken",
            Pressure::Low | Pressure::Normal => return Ok(()),
        };
        Err(StoreError::Unwilling(text.into()))
    }
}

/// Whether a change frees room, or takes none.
pub(crate) fn is_delete(kind: &ChangeKind) -> bool {
    match kind {
        ChangeKind::Delete { .. } | ChangeKind::Trial(_) => true,
        ChangeKind::Add { .. } | ChangeKind::Modify(_) | ChangeKind::Rename { .. } => false,
    }
}
