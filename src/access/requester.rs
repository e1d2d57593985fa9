//! Who asks: the authenticated (or anonymous) identity of a connection, resolved at bind.

use std::net::IpAddr;

use super::Privileges;
use crate::schema::NormalizedDn;

/// How the client authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AuthMethod {
    None,
    Simple,
    Sasl,
    Ssl,
}

/// Resource limits in force for a requester; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries a search may return.
    pub size: u32,
    /// Seconds a search may take.
    pub time: u32,
    /// Candidates a search may look at.
    pub lookthrough: u32,
    /// Seconds a connection may idle.
    pub idle: u32,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Requester {
    /// The DN as the entry spells it; empty for anonymous.
    pub dn: String,
    /// Its key; the root for anonymous.
    pub key: NormalizedDn,
    /// Server rights; proxied authorization swaps these and the DN, never the limits.
    pub privileges: Privileges,
    /// Limits taken at bind.
    pub limits: Limits,
    /// How the client authenticated.
    pub method: AuthMethod,
    /// The client's address.
    pub address: IpAddr,
    /// Strength of the protection in bits: 0 in clear, 128 or 256 under TLS.
    pub security_strength: u16,
    /// Unique for each bind; caches of what a requester may do are keyed by it.
    pub serial: u64,
}

impl Requester {
    /// Whether nobody has authenticated.
    pub fn is_anonymous(&self) -> bool {
        self.key == NormalizedDn::root()
    }
}
