//! The server as operations see it: everything shared by all connections.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::lockdown::Lockdown;
use super::search::paged::CookieKey;
use super::search::persistent::Registry;
use super::{VirtualBackend, identity};
use crate::access::{AccessControl, Requester};
use crate::auth::{AuthError, Lockouts, Turns, Verifier, os_random};
use crate::backend::{ChangeListener, Committed, StoreError, Subscription, TokenStore};
use crate::clock::Clock;
use crate::config::ConfigStore;
use crate::entry::StoredEntry;
use crate::schema::SchemaStore;
use crate::telemetry::{AccessLog, Metrics};

/// What a [`Directory`] is made of.
pub struct Parts {
    /// Definitions in force.
    pub schema: Arc<SchemaStore>,
    /// The entries.
    pub store: Arc<dyn TokenStore>,
    /// The ACIs in force; its globals are kept current by whoever applies the configuration.
    pub access: Arc<AccessControl>,
    /// `cn=config`.
    pub config: Arc<ConfigStore>,
    /// The pool that checks and hashes passwords.
    pub verifier: Arc<Verifier>,
    /// Suffixes that are made, not stored.
    pub virtual_backends: Vec<Arc<dyn VirtualBackend>>,
    /// Counters of what comes by no listener.
    pub metrics: Arc<Metrics>,
    /// The access and audit logs.
    pub access_log: Arc<AccessLog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why a directory cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The ACIs that entries hold cannot be read.
    #[error("the access control instructions cannot be read: {0}")]
    Access(StoreError),
    /// The system gives no random octets.
    #[error("{0}")]
    Random(AuthError),
}

/// Everything the connections share.
pub struct Directory {
    /// Definitions in force.
    pub schema: Arc<SchemaStore>,
    /// The entries.
    pub store: Arc<dyn TokenStore>,
    /// The ACIs in force.
    pub access: Arc<AccessControl>,
    /// `cn=config`.
    pub config: Arc<ConfigStore>,
    /// The pool that checks and hashes passwords.
    pub verifier: Arc<Verifier>,
    /// Suffixes that are made, not stored: the root DSE, `cn=config`, `cn=schema`, `cn=monitor`.
    pub virtual_backends: Vec<Arc<dyn VirtualBackend>>,
    /// Counters of what comes by no listener.
    pub metrics: Arc<Metrics>,
    /// The access and audit logs.
    pub access_log: Arc<AccessLog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whether only administrators are served.
    pub lockdown: Lockdown,
    pub(super) lockouts: Lockouts,
    pub(super) turns: Arc<Turns>,
    pub(super) persistent: Arc<Registry>,
    pub(super) cookies: CookieKey,
    /// The root DSE made last; heartbeats are answered by it.
    pub(super) root_dse: ArcSwapOption<StoredEntry>,
    /// Kept for as long as the directory is.
    _subscriptions: [Subscription; 2],
}

impl Directory {
    /// Puts the directory together: reads the ACIs that entries hold and follows the store's changes from now on.
    /// ACIs that do not parse have no effect and are logged.
    pub fn new(parts: Parts) -> Result<Arc<Self>, DirectoryError> {
        let Parts { schema, store, access, config, verifier, virtual_backends, metrics, access_log, clock } =
            parts;
        let mut random = [0_u8; 16];
        os_random(&mut random).map_err(DirectoryError::Random)?;
        let persistent = Arc::new(Registry::default());
        let follower = AccessFollower { access: Arc::clone(&access), schema: Arc::clone(&schema) };
        let subscriptions = [
            store.subscribe(Arc::new(follower)),
            store.subscribe(Arc::clone(&persistent) as Arc<dyn ChangeListener>),
        ];
        load_access(&access, &*store, &schema).map_err(DirectoryError::Access)?;
        Ok(Arc::new(Self {
            schema,
            store,
            access,
            config,
            verifier,
            virtual_backends,
            metrics,
            access_log,
            clock,
            lockdown: Lockdown::default(),
            lockouts: Lockouts::default(),
            turns: Arc::default(),
            persistent,
            cookies: CookieKey::new(random),
            root_dse: ArcSwapOption::empty(),
            _subscriptions: subscriptions,
        }))
    }

    /// The requester of a connection before it binds, with the limits of who has none of their own.
    pub fn anonymous(&self, address: IpAddr, security_strength: u16) -> Arc<Requester> {
        let limits = identity::default_limits(self);
        let privileges = identity::unguarded(&self.config.load());
        Arc::new(Requester::anonymous(address, security_strength, limits).with_privileges(privileges))
    }

    /// How many persistent searches stand.
    pub fn persistent_searches(&self) -> usize {
        self.persistent.len()
    }
}

/// Takes the ACIs that the store's entries hold.
fn load_access(
    access: &AccessControl,
    store: &dyn TokenStore,
    schema: &SchemaStore,
) -> Result<(), StoreError> {
    for (dn, error) in access.load(store, &schema.current())? {
        tracing::error!(entry = dn, %error, "an aci value is no ACI and has no effect");
    }
    Ok(())
}

/// Keeps the ACIs current: a change of them is in force before it is acknowledged.
struct AccessFollower {
    access: Arc<AccessControl>,
    schema: Arc<SchemaStore>,
}

impl ChangeListener for AccessFollower {
    fn applied(&self, changes: &[Committed]) {
        self.access.applied(changes, &self.schema.current());
    }

    fn wants_notices(&self) -> bool {
        false
    }

    fn notify(&self, _change: &Committed) {}

    fn replacing(&self, store: &dyn TokenStore) {
        if let Err(error) = load_access(&self.access, store, &self.schema) {
            tracing::error!(%error, "the ACIs of the data that takes over cannot be read; the old ones stay in force");
        }
    }
}
