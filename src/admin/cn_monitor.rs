//! `cn=monitor`: counters and states as entries, made anew for each search.

use std::net::SocketAddr;
use std::sync::Arc;

use super::unwilling;
use crate::access::Requester;
use crate::backend::DataStore;
use crate::config::ConfigStore;
use crate::entry::StoredEntry;
use crate::operation::{Directory, VirtualBackend};
use crate::protocol::message::{AddRequest, ModifyRequest};
use crate::protocol::result::LdapResult;
use crate::schema::{NormalizedDn, Schema};
use crate::telemetry::{AccessLog, Meters};

/// One client connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionReport {
    /// Its number, as logs have it.
    pub number: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub since_ms: u64,
    /// The client.
    pub from: SocketAddr,
    /// The listener.
    pub to: SocketAddr,
    /// Who is bound; empty for anonymous.
    pub authenticated_dn: String,
    /// Whether TLS protects it.
    pub is_secure: bool,
    /// Requests in flight.
    pub in_progress: usize,
    /// Persistent searches among them.
    pub persistent_searches: usize,
    /// Octets of answers that wait to be taken by the client.
    pub queued: usize,
}

/// Whoever keeps the connections.
pub trait Connections: Send + Sync {
    /// The connections open now.
    fn list(&self) -> Vec<ConnectionReport>;
}

/// Where the numbers come from.
pub struct MonitorSources {
    /// The configuration in force.
    pub config: Arc<ConfigStore>,
    /// The counters of each listener.
    pub meters: Arc<Meters>,
    /// The connections, where somebody keeps them.
    pub connections: Option<Arc<dyn Connections>>,
    /// The store, where it is one that counts.
    pub store: Option<Arc<DataStore>>,
    /// The access and audit logs.
    pub access_log: Option<Arc<AccessLog>>,
    /// When the server started, in milliseconds since 1970.
    pub started_ms: u64,
}

/// The monitoring suffix.
pub struct CnMonitor {
    pub(super) sources: MonitorSources,
    key: NormalizedDn,
}

impl std::fmt::Debug for CnMonitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CnMonitor").finish_non_exhaustive()
    }
}

impl CnMonitor {
    /// The suffix that shows these numbers.
    pub fn new(sources: MonitorSources, schema: &Schema) -> Self {
        // The text is a DN; the fallback is never taken.
        let key = NormalizedDn::parse("cn=monitor", schema).unwrap_or_else(|_| NormalizedDn::root());
        Self { sources, key }
    }
}

impl VirtualBackend for CnMonitor {
    fn suffix(&self) -> (&str, &NormalizedDn) {
        ("cn=monitor", &self.key)
    }

    fn entries(
        &self,
        directory: &Directory,
        _who: &Requester,
    ) -> Result<Vec<(NormalizedDn, Arc<StoredEntry>)>, LdapResult> {
        Ok(self.report(directory))
    }

    fn add(&self, _: &Directory, _: &Requester, _: &AddRequest<'_>) -> LdapResult {
        unwilling("cn=monitor is made by the server")
    }

    fn modify(&self, _: &Directory, _: &Requester, _: &ModifyRequest<'_>) -> LdapResult {
        unwilling("cn=monitor is made by the server")
    }

    fn delete(&self, _: &Directory, _: &Requester, _: &NormalizedDn) -> LdapResult {
        unwilling("cn=monitor is made by the server")
    }
}
