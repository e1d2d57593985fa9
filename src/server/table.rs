//! The connections open now, for `cn=Client Connections,cn=monitor`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::admin::{ConnectionReport, Connections};
use crate::session::Observer;

/// Numbers connections and keeps them while they live.
#[derive(Default)]
pub(super) struct Table {
    accepted: AtomicU64,
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
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, row);
        Seat { table: Arc::clone(self), number }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl Connections for Table {
    fn list(&self) -> Vec<ConnectionReport> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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
        open.iter().map(report).collect()
    }
}
