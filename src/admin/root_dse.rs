//! The root DSE (RFC 4512 §5.1): what the server is and what works. Clients' heartbeats read it.

use std::sync::Arc;

use super::{PRIVATE_SUFFIXES, unwilling};
use crate::access::Requester;
use crate::config::{ConfigStore, ListenerKind};
use crate::entry::{EntryBuilder, StoredEntry};
use crate::operation::made;
use crate::operation::{Directory, VirtualBackend};
use crate::protocol::message::{AddRequest, ModifyRequest};
use crate::protocol::result::LdapResult;
use crate::protocol::{control, extended, oid};
use crate::schema::NormalizedDn;

/// The root DSE.
#[derive(Debug)]
pub struct RootDse {
    config: Arc<ConfigStore>,
    root: NormalizedDn,
}

impl RootDse {
    /// The root DSE of a server of this configuration.
    pub fn new(config: Arc<ConfigStore>) -> Self {
        Self { config, root: NormalizedDn::root() }
    }

    /// The entry as it is now. Lists what works: StartTLS only where a listener allows it.
    pub fn entry(&self, directory: &Directory) -> Arc<StoredEntry> {
        let schema = directory.schema.current();
        let config = self.config.load();
        let mut entry = EntryBuilder::new();
        let mut put = |name: &str, value: &str| {
            entry.put(name, value, &schema);
        };
        put("objectClass", "top");
        put("objectClass", "ds-root-dse");
        for (suffix, _) in directory.store.suffixes() {
            put("namingContexts", &suffix);
        }
        for suffix in PRIVATE_SUFFIXES {
            put("ds-private-naming-contexts", suffix);
        }
        for oid in control::SUPPORTED {
            put("supportedControl", oid);
        }
        let open = || {
            config.listeners.iter().filter(|listener| listener.enabled && listener.kind != ListenerKind::Http)
        };
        let starts_tls = open().any(|listener| listener.allow_start_tls && listener.tls.is_some());
        for oid in extended::SUPPORTED.iter().filter(|oid| **oid != oid::START_TLS || starts_tls) {
            put("supportedExtension", oid);
        }
        for oid in oid::SUPPORTED_FEATURES {
            put("supportedFeatures", oid);
        }
        for mechanism in config.sasl.mechanisms() {
            put("supportedSASLMechanisms", mechanism);
        }
        put("supportedLDAPVersion", "3");
        if starts_tls || open().any(|listener| listener.use_ssl && listener.kind == ListenerKind::Ldap) {
            put("supportedTLSProtocols", "TLSv1.2");
            put("supportedTLSProtocols", "TLSv1.3");
        }
        put("vendorName", "ctsd");
        put("vendorVersion", concat!("ctsd ", env!("CARGO_PKG_VERSION")));
        put("fullVendorVersion", env!("CARGO_PKG_VERSION"));
        made("", &self.root, &entry)
    }
}

impl VirtualBackend for RootDse {
    fn suffix(&self) -> (&str, &NormalizedDn) {
        ("", &self.root)
    }

    fn entries(
        &self,
        directory: &Directory,
        _who: &Requester,
    ) -> Result<Vec<(NormalizedDn, Arc<StoredEntry>)>, LdapResult> {
        Ok(vec![(self.root.clone(), self.entry(directory))])
    }

    fn add(&self, _: &Directory, _: &Requester, _: &AddRequest<'_>) -> LdapResult {
        unwilling("the root DSE is there already")
    }

    fn modify(&self, _: &Directory, _: &Requester, _: &ModifyRequest<'_>) -> LdapResult {
        unwilling("the root DSE is made by the server; change cn=config instead")
    }

    fn delete(&self, _: &Directory, _: &Requester, _: &NormalizedDn) -> LdapResult {
        unwilling("the root DSE cannot be deleted")
    }
}
