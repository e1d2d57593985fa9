//! The connections open now: numbered, listed for `cn=Client Connections,cn=monitor`, and told to end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::admin::{ConnectionReport, Connections};
use crate::protocol::result::LdapResult;
use crate::session::Observer;

/// Numbers connections and keeps them while they live.
#[derive(Default)]
pub(super) struct Table {
    accepted: AtomicU64,
    is_stopping: AtomicBool,
    open: Mutex<BTreeMap<u64, Row>>,
}

struct Row {
    since_ms: u64,
    from: SocketAddr,
    to: SocketAddr,
    observer: Observer,
}

/// A connection in the table; leaves it when dropped.
pub(super) struct Seat {
    table: Arc<Table>,
    number: u64,
}

impl Table {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Row>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a new connection.
    pub(super) fn number(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Enters a connection.
    pub(super) fn enter(
        self: &Arc<Self>,
        number: u64,
        since_ms: u64,
        (from, to): (SocketAddr, SocketAddr),
        observer: Observer,
    ) -> Seat {
        let row = Row { since_ms, from, to, observer };
        self.open().insert(number, row);
        Seat { table: Arc::clone(self), number }
    }

    /// Has all connections end, those that come later too.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        for row in self.open().values() {
            row.observer.nudge();
        }
    }

    /// Whether connections have to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Has one connection end with this notice; false if there is none of this number.
    pub(super) fn disconnect(&self, number: u64, notice: LdapResult) -> bool {
        let observer = self.open().get(&number).map(|row| row.observer.clone());
        observer.is_some_and(|observer| {
            observer.disconnect(notice);
            true
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.open().remove(&self.number);
    }
}

impl Connections for Table {
    fn list(&self) -> Vec<ConnectionReport> {
        let report = |(number, row): (&u64, &Row)| ConnectionReport {
            number: *number,
            since_ms: row.since_ms,
            from: row.from,
            to: row.to,
            authenticated_dn: row.observer.authenticated_dn(),
            is_secure: row.observer.security_strength() > 0,
            in_progress: row.observer.in_flight(),
            persistent_searches: row.observer.standing(),
        };
        self.open().iter().map(report).collect()
    }
}
