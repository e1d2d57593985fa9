//! The connections open now: numbered, listed for `cn=Client Connections,cn=monitor`, and told to end.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
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
    /// Connections of each address.
    addresses: Mutex<HashMap<IpAddr, u64>>,
}

/// A connection among those of its address; leaves them when dropped.
pub(super) struct Place {
    table: Arc<Table>,
    address: IpAddr,
    held: u64,
}

impl Place {
    /// How many connections of its address there were with it when it came.
    pub(super) const fn held(&self) -> u64 {
        self.held
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut addresses = self.table.addresses();
        if let Some(held) = addresses.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                addresses.remove(&self.address);
            }
        }
    }
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

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, u64>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection of this address.
    pub(super) fn place(self: &Arc<Self>, address: IpAddr) -> Place {
        let mut addresses = self.addresses();
        let held = addresses.entry(address).or_default();
        *held += 1;
        Place { table: Arc::clone(self), address, held: *held }
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
            queued: row.observer.queued(),
        };
        self.open().iter().map(report).collect()
    }
}
