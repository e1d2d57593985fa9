//! The configuration as types: what the rest of the server reads.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::destination::{MailServer, WebAddress};
use super::logs::LogPublisher;
use super::sasl::SaslConfig;
use crate::schema::NormalizedDn;

/// Bytes that must not be seen: a password value. `Debug` shows `***`; zeroed when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(zeroize::Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Takes the bytes.
    pub fn new(value: Vec<u8>) -> Self {
        Self(zeroize::Zeroizing::new(value))
    }

    /// The bytes, for who verifies a password.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writability {
    /// Everybody may write who is allowed to.
    #[default]
    Enabled,
    /// Nobody may write.
    Disabled,
    /// Replication may write; clients may not.
    InternalOnly,
}

/// `cn=config` itself. Limits of 0 are no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Global {
    pub size_limit: u32,
    /// Seconds.
    pub time_limit: u32,
    pub lookthrough_limit: u32,
    pub idle_time_limit: Option<Duration>,
    pub max_client_connections: u32,
    pub max_connections_per_address: u32,
    /// Persistent searches at once; none is no limit.
    pub max_persistent_searches: Option<u32>,
    pub add_missing_rdn_attributes: bool,
    pub writability: Writability,
    pub reject_unauthenticated_requests: bool,
    pub bind_with_dn_requires_password: bool,
    pub return_bind_error_messages: bool,
    pub notify_abandoned_operations: bool,
    pub etime_in_nanoseconds: bool,
    pub trust_transaction_ids: bool,
    pub default_password_policy: Option<NormalizedDn>,
    pub proxied_authorization_identity_mapper: Option<NormalizedDn>,
    pub smtp_servers: Vec<MailServer>,
    /// The file with the password of who logs in to mail servers.
    pub smtp_password_file: Option<PathBuf>,
    /// Who mail about tasks comes from.
    pub task_sender: Option<String>,
    /// Where the end of a task is posted to.
    pub task_webhook: Option<WebAddress>,
    /// The file of the authorities that vouch for mail and web servers, if not the system's.
    pub task_trust_file: Option<PathBuf>,
    /// What is executed when a task ends.
    pub task_hook: Option<String>,
    pub allowed_tasks: Vec<String>,
    pub disabled_privileges: Vec<String>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ListenerKind {
    Ldap,
    Administration,
    Http,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ClientAuth {
    Disabled,
    Optional,
    Required,
}

/// PEM files, relative to the instance directory unless absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub private_key: PathBuf,
    /// Authorities that client certificates are checked against.
    pub trust: Option<PathBuf>,
}

/// A port to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Listener {
    /// The `cn` of its entry.
    pub name: String,
    pub kind: ListenerKind,
    pub enabled: bool,
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    /// TLS from the first byte.
    pub use_ssl: bool,
    pub allow_start_tls: bool,
    pub tls: Option<TlsFiles>,
    pub client_auth: ClientAuth,
    /// `TLSv1.2`, `TLSv1.3`; empty is both.
    pub protocols: Vec<String>,
    pub cipher_suites: Vec<String>,
    pub accept_backlog: u32,
    pub tcp_keep_alive: bool,
    pub tcp_no_delay: bool,
    /// Octets of one request.
    pub max_request_size: usize,
    pub max_blocked_write_time: Option<Duration>,
    pub buffer_size: usize,
    pub send_rejection_notice: bool,
    /// Whether what goes on is counted.
    pub keep_stats: bool,
    pub allowed_clients: Vec<String>,
    pub denied_clients: Vec<String>,
}

/// How soon an acknowledged write is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Before it is acknowledged, each on its own.
    Always,
    /// Before it is acknowledged; writes that wait together share one sync.
    #[default]
    Group,
    /// Some time after: a power failure may take acknowledged writes with it.
    Os,
}

/// Where the indexes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexStoreKind {
    /// In memory; rebuilt from the log at start.
    #[default]
    Memory,
    /// In the embedded ordered store on disk.
    Sled,
}

/// The kinds of index. `approximate` counts as equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum IndexKind {
    Equality,
    Ordering,
    Presence,
    Substring,
}

/// One `ds-cfg-backend-index` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexConfig {
    /// The attribute's name as the schema spells it.
    pub attribute: String,
    /// What is indexed: sorted, each once.
    pub kinds: Vec<IndexKind>,
    /// Octets of a substring key.
    pub substring_length: usize,
    /// Entries whose value is older than this go by themselves; none where expiry is off.
    pub ttl_age: Option<Duration>,
}

/// A data store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct BackendConfig {
    pub id: String,
    pub enabled: bool,
    /// Suffixes: DN as configured and key.
    pub base_dns: Vec<(String, NormalizedDn)>,
    pub writability: Writability,
    pub durability: Durability,
    pub index_store: IndexStoreKind,
    /// Relative to the instance directory unless absolute.
    pub directory: PathBuf,
    /// Mode of that directory.
    pub directory_permissions: u32,
    pub cache_percent: u8,
    /// Octets; 0 leaves it to the percentage.
    pub cache_size: u64,
    /// Whether closed segments of the log are compacted (`ds-cfg-cts-compaction`).
    pub compaction: bool,
    /// How old they are by then (`ds-cfg-cts-compaction-delay`).
    pub compaction_delay: Duration,
    /// Octets of a segment of the log: a multiple of 4096.
    pub segment_size: u32,
    /// Octets that the log grows by, at least, between two checkpoints.
    pub checkpoint_interval: u64,
    pub disk_low_threshold: u64,
    pub disk_full_threshold: u64,
    pub indexes: Vec<IndexConfig>,
}

/// The access control handler.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessConfig {
    /// False lets everybody do everything that privileges do not guard.
    pub enabled: bool,
    /// The texts of the global ACIs.
    pub global_acis: Vec<String>,
}

/// Resource limits of a root user; 0 is no limit, none leaves the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct RootLimits {
    pub size: Option<u32>,
    pub time: Option<u32>,
    pub lookthrough: Option<u32>,
    pub idle: Option<u32>,
}

/// A root user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDn {
    /// The DN of its entry.
    pub dn: String,
    /// Its key.
    pub key: NormalizedDn,
    /// Other DNs it binds as: text and key.
    pub alternate_bind_dns: Vec<(String, NormalizedDn)>,
    /// Encoded password values.
    pub passwords: Vec<SecretValue>,
    /// Names of its privileges, inherited ones included, `-name` ones taken off.
    pub privileges: Vec<String>,
    /// Its limits.
    pub limits: RootLimits,
    /// Its password policy.
    pub password_policy: Option<NormalizedDn>,
    /// `ds-pwp-account-disabled`.
    pub is_disabled: bool,
}

/// A password policy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct PasswordPolicy {
    pub key: NormalizedDn,
    /// Names of the schemes that new passwords are stored in, as stored values carry them (`SSHA512`).
    pub default_schemes: Vec<String>,
    pub deprecated_schemes: Vec<String>,
    pub allow_pre_encoded_passwords: bool,
    pub allow_user_password_changes: bool,
    pub require_secure_authentication: bool,
    pub require_secure_password_changes: bool,
    pub change_requires_current_password: bool,
    pub allow_multiple_values: bool,
    /// 0 never locks.
    pub lockout_failure_count: u32,
    pub lockout_duration: Option<Duration>,
    pub lockout_failure_expiration: Option<Duration>,
}

/// The changelog: how long changes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangelogConfig {
    /// For how long a replica may be away and still catch up.
    pub purge_delay: Duration,
    /// Octets of log above which changes go earlier.
    pub max_size: Option<u64>,
}

impl Default for ChangelogConfig {
    fn default() -> Self {
        Self { purge_delay: Duration::from_secs(3 * 24 * 60 * 60), max_size: None }
    }
}

/// Administration: the work queue, and what is needed at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdministrationConfig {
    /// Requests that may wait for the store.
    pub work_queue_capacity: usize,
    /// Worker threads, if set.
    pub worker_threads: Option<usize>,
    /// Names of the password storage schemes that are switched off, as stored values carry them.
    pub disabled_schemes: Vec<String>,
    /// Those that are enabled.
    pub identity_mappers: Vec<IdentityMapper>,
    /// For how long a task that has ended is shown.
    pub task_retention: Option<Duration>,
}

/// From a user's name to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityMapper {
    /// Its entry's DN.
    pub key: NormalizedDn,
    /// Attributes of which one is to equal the name.
    pub attributes: Vec<String>,
    /// Where to look; empty is everywhere.
    pub bases: Vec<NormalizedDn>,
}

/// The whole configuration at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Config {
    pub global: Global,
    pub listeners: Vec<Listener>,
    pub backends: Vec<BackendConfig>,
    pub access: AccessConfig,
    pub root_dns: Vec<RootDn>,
    pub password_policies: Vec<PasswordPolicy>,
    pub logs: Vec<LogPublisher>,
    pub administration: AdministrationConfig,
    pub changelog: ChangelogConfig,
    pub sasl: SaslConfig,
}

impl Config {
    /// The first enabled data store.
    pub fn data(&self) -> Option<&BackendConfig> {
        self.backends.iter().find(|backend| backend.enabled)
    }

    /// The root user that binds with this key: its entry's DN or one of its alternates.
    pub fn root_dn(&self, key: &NormalizedDn) -> Option<&RootDn> {
        self.root_dns.iter().find(|root| {
            root.key == *key || root.alternate_bind_dns.iter().any(|(_, alternate)| alternate == key)
        })
    }

    /// The enabled identity mapper of this DN.
    pub fn identity_mapper(&self, key: &NormalizedDn) -> Option<&IdentityMapper> {
        self.administration.identity_mappers.iter().find(|mapper| mapper.key == *key)
    }

    /// The policy of this DN.
    pub fn password_policy(&self, key: &NormalizedDn) -> Option<&PasswordPolicy> {
        self.password_policies.iter().find(|policy| policy.key == *key)
    }

    /// The policy in force for who has none of their own.
    pub fn default_password_policy(&self) -> Option<&PasswordPolicy> {
        let key = self.global.default_password_policy.as_ref()?;
        self.password_policies.iter().find(|policy| policy.key == *key)
    }
}
