//! Who asks: the authenticated (or anonymous) identity of a connection, resolved at bind.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Privileges;
use crate::entry::StoredEntry;
use crate::schema::NormalizedDn;

/// How the client authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AuthMethod {
    None,
    Simple,
    Sasl,
    /// SASL EXTERNAL with the client's certificate.
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

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self { size: 0, time: 0, lookthrough: 0, idle: 0 };

    /// These limits with those that the entry has of its own: `ds-rlim-size-limit`, `-time-limit`,
    /// `-lookthrough-limit`, `-idle-time-limit`. A negative value is no limit, one that is no number is ignored.
    #[must_use]
    pub fn overridden_by(self, entry: &StoredEntry) -> Self {
        let own = |name: &str, default: u32| -> u32 {
            super::values(entry, name)
                .and_then(|values| values.first())
                .and_then(|value| std::str::from_utf8(value).ok())
                .and_then(|text| text.trim().parse::<i64>().ok())
                .map_or(default, |number| u32::try_from(number.max(0)).unwrap_or(u32::MAX))
        };
        Self {
            size: own("ds-rlim-size-limit", self.size),
            time: own("ds-rlim-time-limit", self.time),
            lookthrough: own("ds-rlim-lookthrough-limit", self.lookthrough),
            idle: own("ds-rlim-idle-time-limit", self.idle),
        }
    }
}

/// How a connection came to its requester: everything about it that bind rules can look at besides the DN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// How the client authenticated.
    pub method: AuthMethod,
    /// The client's address.
    pub address: IpAddr,
    /// Strength of the protection in bits: 0 in clear, 128 or 256 under TLS.
    pub security_strength: u16,
}

/// Who asks. Made by its constructors alone; after a change of what an ACI can look at (StartTLS) make it anew.
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
    /// Unique for each requester made in this process.
    pub serial: u64,
    /// Equal for requesters that no bind rule can tell apart; where the profiles of [`super::AccessSet`] are looked for
    /// (and what is found is compared in full).
    identity: u64,
}

static SERIAL: AtomicU64 = AtomicU64::new(1);

impl Requester {
    /// A requester of this DN.
    pub fn new(
        dn: impl Into<String>,
        key: NormalizedDn,
        privileges: Privileges,
        limits: Limits,
        origin: Origin,
    ) -> Self {
        let Origin { method, address, security_strength } = origin;
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        method.hash(&mut hasher);
        address.hash(&mut hasher);
        security_strength.hash(&mut hasher);
        Self {
            dn: dn.into(),
            key,
            privileges,
            limits,
            method,
            address,
            security_strength,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            identity: hasher.finish(),
        }
    }

    /// Nobody yet: what a connection starts with, and what an anonymous bind makes of it.
    pub fn anonymous(address: IpAddr, security_strength: u16, limits: Limits) -> Self {
        let origin = Origin { method: AuthMethod::None, address, security_strength };
        Self::new("", NormalizedDn::root(), Privileges::none(), limits, origin)
    }

    /// The same requester with these privileges.
    #[must_use]
    pub fn with_privileges(mut self, privileges: Privileges) -> Self {
        self.privileges = privileges;
        self
    }

    /// Who the entry stands for, with its `ds-privilege-name` and `ds-rlim-*` values over the inherited ones.
    pub fn of_entry(
        entry: &StoredEntry,
        key: NormalizedDn,
        inherited: Privileges,
        defaults: Limits,
        origin: Origin,
    ) -> Self {
        let privileges = super::values(entry, "ds-privilege-name")
            .map_or(inherited, |values| Privileges::from_values(inherited, values));
        Self::new(entry.dn(), key, privileges, defaults.overridden_by(entry), origin)
    }

    /// The same client acting as someone else (proxied authorization): DN and privileges of `other`, all else its own.
    #[must_use]
    pub fn acting_as(&self, other: impl Into<String>, key: NormalizedDn, privileges: Privileges) -> Self {
        Self::new(other, key, privileges, self.limits, self.origin())
    }

    /// The same requester under another strength of protection (StartTLS).
    #[must_use]
    pub fn protected(&self, security_strength: u16) -> Self {
        let origin = Origin { security_strength, ..self.origin() };
        Self::new(self.dn.clone(), self.key.clone(), self.privileges, self.limits, origin)
    }

    /// How the connection came to this requester.
    pub fn origin(&self) -> Origin {
        Origin { method: self.method, address: self.address, security_strength: self.security_strength }
    }

    /// Whether nobody has authenticated.
    pub fn is_anonymous(&self) -> bool {
        self.key.as_bytes().is_empty()
    }

    pub(super) fn identity(&self) -> u64 {
        self.identity
    }

    /// Whether no bind rule can tell the two apart.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.key == other.key && self.origin() == other.origin()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::fixture::Fixture;
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const DEFAULTS: Limits = Limits { size: 1000, time: 60, lookthrough: 5000, idle: 0 };

    #[test]
    fn an_entry_brings_its_privileges_and_limits() {
        let fixture = Fixture::new();
        let entry = fixture.entry(
            "uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com",
            &[("objectClass", "person")],
            &[
                ("ds-privilege-name", "unindexed-search"),
                ("ds-rlim-lookthrough-limit", "0"),
                ("ds-rlim-size-limit", "5000"),
            ],
        );
        let origin = Origin { method: AuthMethod::Simple, address: HERE, security_strength: 0 };
        let key = fixture.key("uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com");
        let who = Requester::of_entry(&entry, key, Privileges::none(), DEFAULTS, origin);
        assert_eq!(who.limits, Limits { size: 5000, time: 60, lookthrough: 0, idle: 0 });
        assert!(who.privileges.has(super::super::Privilege::UnindexedSearch));
        assert!(!who.is_anonymous());
        let proxied = who.acting_as("cn=x", fixture.key("cn=x"), Privileges::none());
        assert_eq!(proxied.limits, who.limits);
        assert_ne!(proxied.serial, who.serial);
    }

    #[test]
    fn nobody_is_nobody() {
        let who = Requester::anonymous(HERE, 0, DEFAULTS);
        assert!(who.is_anonymous());
        assert_eq!(who.privileges, Privileges::none());
        assert!(who.is_like(&Requester::anonymous(HERE, 0, Limits::NONE)));
        assert!(!who.is_like(&who.protected(128)));
    }
}
