//! From entries to types: how [`Config`] is read.

use std::path::PathBuf;
use std::time::Duration;

use super::destination::{MailServer, WebAddress};
use super::snapshot::{
    AccessConfig, AdministrationConfig, BackendConfig, ChangelogConfig, ClientAuth, Config, Durability,
    Global, IdentityMapper, IndexConfig, IndexKind, IndexStoreKind, Listener, ListenerKind, PasswordPolicy,
    RootDn, RootLimits, SecretValue, TlsFiles, Writability,
};
use super::tree::{ConfigEntry, ConfigTree};
use crate::schema::{NormalizedDn, Schema};

impl Config {
    /// Reads the entries. They were checked, so whatever is still odd falls back to its default.
    pub(super) fn read(tree: &ConfigTree, schema: &Schema) -> Self {
        let empty = ConfigEntry::new("", Vec::new());
        let root = tree.of_class("ds-cfg-root-config").next().map_or(&empty, |(_, entry)| entry.as_ref());
        Self {
            global: Global {
                task_sender: root
                    .first("cts-task-sender")
                    .or_else(|| tasks(tree)?.first("notification-sender-address"))
                    .map(str::to_owned),
                ..global(root, schema)
            },
            listeners: listeners(tree, schema),
            backends: backends(tree, schema),
            access: tree.of_class("ds-cfg-access-control-handler").next().map_or_else(
                || AccessConfig { enabled: true, global_acis: Vec::new() },
                |(_, entry)| AccessConfig {
                    enabled: entry.boolean("enabled"),
                    global_acis: entry.owned("global-aci"),
                },
            ),
            root_dns: tree
                .of_class("ds-cfg-root-dn-user")
                .map(|(key, entry)| root_dn(key, entry, tree, schema))
                .collect(),
            password_policies: tree
                .of_class("ds-cfg-password-policy")
                .map(|(key, entry)| password_policy(key, entry, tree, schema))
                .collect(),
            logs: tree
                .of_class("ds-cfg-log-publisher")
                .map(|(key, entry)| super::logs::read(key, entry, tree, schema))
                .collect(),
            administration: administration(tree, schema),
            changelog: changelog(tree),
            sasl: super::sasl::SaslConfig::read(tree, schema),
        }
    }
}

impl Writability {
    fn of(entry: &ConfigEntry) -> Self {
        match entry.first("writability-mode").map(str::to_ascii_lowercase).as_deref() {
            Some("disabled") => Self::Disabled,
            Some("internal-only") => Self::InternalOnly,
            _ => Self::Enabled,
        }
    }
}

fn number<T: TryFrom<i64> + Default>(entry: &ConfigEntry, name: &str) -> T {
    entry.integer(name).and_then(|value| T::try_from(value).ok()).unwrap_or_default()
}

fn key_of(entry: &ConfigEntry, name: &str, schema: &Schema) -> Option<NormalizedDn> {
    NormalizedDn::parse(entry.first(name)?, schema).ok()
}

fn keyed(texts: Vec<&str>, schema: &Schema) -> Vec<(String, NormalizedDn)> {
    let parsed = texts.into_iter().filter_map(|text| Some((text, NormalizedDn::parse(text, schema).ok()?)));
    parsed.map(|(text, key)| (text.to_owned(), key)).collect()
}

/// A duration of zero means that there is none.
fn limit(entry: &ConfigEntry, name: &str) -> Option<Duration> {
    entry.duration(name).filter(|length| !length.is_zero())
}

fn global(entry: &ConfigEntry, schema: &Schema) -> Global {
    let time = entry.duration("time-limit").map_or(0, |length| {
        // A limit below one second still is a limit.
        let whole = length.as_secs().max(u64::from(!length.is_zero()));
        u32::try_from(whole).unwrap_or(u32::MAX)
    });
    Global {
        size_limit: number(entry, "size-limit"),
        time_limit: time,
        lookthrough_limit: number(entry, "lookthrough-limit"),
        idle_time_limit: limit(entry, "idle-time-limit"),
        max_client_connections: number(entry, "max-allowed-client-connections"),
        max_connections_per_address: number(entry, "cts-max-connections-per-address"),
        max_persistent_searches: entry.integer("max-psearches").and_then(|count| u32::try_from(count).ok()),
        add_missing_rdn_attributes: entry.boolean("add-missing-rdn-attributes"),
        writability: Writability::of(entry),
        reject_unauthenticated_requests: entry.boolean("reject-unauthenticated-requests"),
        bind_with_dn_requires_password: entry.boolean("bind-with-dn-requires-password"),
        return_bind_error_messages: entry.boolean("return-bind-error-messages"),
        notify_abandoned_operations: entry.boolean("notify-abandoned-operations"),
        etime_in_nanoseconds: entry
            .first("etime-resolution")
            .is_some_and(|unit| unit.eq_ignore_ascii_case("nanoseconds")),
        trust_transaction_ids: entry.boolean("trust-transaction-ids"),
        default_password_policy: key_of(entry, "default-password-policy", schema),
        proxied_authorization_identity_mapper: key_of(entry, "proxied-authorization-identity-mapper", schema),
        smtp_servers: entry.setting("smtp-server").into_iter().filter_map(MailServer::parse).collect(),
        smtp_password_file: entry.first("cts-smtp-password-file").map(PathBuf::from),
        task_sender: None,
        task_webhook: entry.first("cts-task-webhook-url").and_then(WebAddress::parse),
        task_trust_file: entry.first("cts-task-trust-file").map(PathBuf::from),
        task_hook: entry.first("cts-task-hook").map(str::to_owned),
        allowed_tasks: entry.owned("allowed-task"),
        disabled_privileges: entry.owned("disabled-privilege"),
    }
}

fn tls_files(entry: &ConfigEntry, tree: &ConfigTree, schema: &Schema) -> Option<TlsFiles> {
    let enabled = |name: &str| {
        let providers = entry.setting(name);
        let mut found = providers.into_iter().filter_map(|dn| tree.find(dn, schema));
        found.find(|provider| provider.boolean("enabled"))
    };
    let keys = enabled("key-manager-provider")?;
    Some(TlsFiles {
        certificate: PathBuf::from(keys.first("cts-certificate-file")?),
        private_key: PathBuf::from(keys.first("cts-private-key-file")?),
        trust: enabled("trust-manager-provider")
            .and_then(|trust| trust.first("cts-trust-file"))
            .map(PathBuf::from),
    })
}

fn listeners(tree: &ConfigTree, schema: &Schema) -> Vec<Listener> {
    let kinds = [
        ("ds-cfg-ldap-connection-handler", ListenerKind::Ldap),
        ("ds-cfg-administration-connector", ListenerKind::Administration),
        ("ds-cfg-http-connection-handler", ListenerKind::Http),
    ];
    let mut found = Vec::new();
    for (class, kind) in kinds {
        for (_, entry) in tree.of_class(class) {
            let is_administration = kind == ListenerKind::Administration;
            found.push(Listener {
                name: entry.texts("cn").next().unwrap_or_default().to_owned(),
                kind,
                enabled: is_administration || entry.boolean("enabled"),
                addresses: entry.addresses("listen-address"),
                port: number(entry, "listen-port"),
                use_ssl: is_administration || entry.boolean("use-ssl"),
                allow_start_tls: entry.boolean("allow-start-tls"),
                tls: tls_files(entry, tree, schema),
                client_auth: match entry
                    .first("ssl-client-auth-policy")
                    .map(str::to_ascii_lowercase)
                    .as_deref()
                {
                    Some("disabled") => ClientAuth::Disabled,
                    Some("required") => ClientAuth::Required,
                    _ => ClientAuth::Optional,
                },
                protocols: entry.owned("ssl-protocol"),
                cipher_suites: entry.owned("ssl-cipher-suite"),
                accept_backlog: entry
                    .integer("accept-backlog")
                    .and_then(|count| u32::try_from(count).ok())
                    .unwrap_or(128),
                tcp_keep_alive: is_administration || entry.boolean("use-tcp-keep-alive"),
                tcp_no_delay: is_administration || entry.boolean("use-tcp-no-delay"),
                max_request_size: entry
                    .size("max-request-size")
                    .and_then(|size| usize::try_from(size).ok())
                    .unwrap_or(5_000_000),
                max_blocked_write_time: if is_administration {
                    Some(Duration::from_secs(120))
                } else {
                    limit(entry, "max-blocked-write-time-limit")
                },
                buffer_size: entry
                    .size("buffer-size")
                    .and_then(|size| usize::try_from(size).ok())
                    .unwrap_or(4096),
                send_rejection_notice: is_administration || entry.boolean("send-rejection-notice"),
                keep_stats: is_administration || entry.boolean("keep-stats"),
                allowed_clients: entry.owned("allowed-client"),
                denied_clients: entry.owned("denied-client"),
            });
        }
    }
    found
}

fn backends(tree: &ConfigTree, schema: &Schema) -> Vec<BackendConfig> {
    let is_data = |entry: &ConfigEntry| {
        entry.has_class("ds-cfg-pluggable-backend") || entry.has_class("ds-cfg-je-backend")
    };
    let data = tree.of_class("ds-cfg-backend").filter(|(_, entry)| is_data(entry));
    data.map(|(key, entry)| {
        let relaxed = entry.boolean("db-txn-no-sync") || entry.boolean("db-txn-write-no-sync");
        let indexes = tree.subtree(key).filter(|(_, below)| below.has_class("ds-cfg-backend-index"));
        BackendConfig {
            id: entry.first("backend-id").unwrap_or_default().to_owned(),
            enabled: entry.boolean("enabled"),
            base_dns: keyed(entry.setting("base-dn"), schema),
            writability: Writability::of(entry),
            durability: match entry.first("cts-log-sync").map(str::to_ascii_lowercase).as_deref() {
                Some("always") => Durability::Always,
                Some("os") => Durability::Os,
                _ if relaxed => Durability::Os,
                _ => Durability::Group,
            },
            index_store: match entry.first("cts-index-store") {
                Some(kind) if kind.eq_ignore_ascii_case("sled") => IndexStoreKind::Sled,
                _ => IndexStoreKind::Memory,
            },
            directory: PathBuf::from(entry.first("db-directory").unwrap_or("db")),
            directory_permissions: entry
                .first("db-directory-permissions")
                .and_then(|text| u32::from_str_radix(text, 8).ok())
                .unwrap_or(0o700),
            cache_percent: number(entry, "db-cache-percent"),
            cache_size: entry.size("db-cache-size").unwrap_or(0),
            compaction: entry.boolean("cts-compaction"),
            compaction_delay: entry
                .duration("cts-compaction-delay")
                .unwrap_or(std::time::Duration::from_secs(60 * 60)),
            segment_size: entry
                .size("db-log-file-max")
                .and_then(|size| u32::try_from(size).ok())
                .map_or(64 << 20, |size| size - size % 4096),
            checkpoint_interval: entry.size("db-checkpointer-bytes-interval").unwrap_or(256 << 20),
            disk_low_threshold: entry.size("disk-low-threshold").unwrap_or(0),
            disk_full_threshold: entry.size("disk-full-threshold").unwrap_or(0),
            indexes: indexes.filter_map(|(_, below)| index(below, schema)).collect(),
        }
    })
    .collect()
}

/// None for an index whose attribute the schema does not know (any more).
fn index(entry: &ConfigEntry, schema: &Schema) -> Option<IndexConfig> {
    let attribute = schema.attribute(entry.first("attribute")?.trim())?.name().to_owned();
    let mut kinds: Vec<IndexKind> = entry
        .setting("index-type")
        .into_iter()
        .filter_map(|kind| match kind.trim().to_ascii_lowercase().as_str() {
            "equality" | "approximate" => Some(IndexKind::Equality),
            "ordering" => Some(IndexKind::Ordering),
            "presence" => Some(IndexKind::Presence),
            "substring" => Some(IndexKind::Substring),
            _ => None,
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    let ttl_age = if entry.boolean("ttl-enabled") { entry.duration("ttl-age") } else { None };
    let substring_length = entry.integer("substring-length").and_then(|length| usize::try_from(length).ok());
    Some(IndexConfig { attribute, kinds, substring_length: substring_length.unwrap_or(6).max(3), ttl_age })
}

fn root_dn(key: &NormalizedDn, entry: &ConfigEntry, tree: &ConfigTree, schema: &Schema) -> RootDn {
    let mut privileges: Vec<String> = Vec::new();
    for (_, root) in tree.of_class("ds-cfg-root-dn") {
        privileges.extend(root.owned("default-root-privilege-name"));
    }
    for name in entry.texts("ds-privilege-name") {
        match name.strip_prefix('-') {
            Some(taken) => privileges.retain(|held| !held.eq_ignore_ascii_case(taken)),
            None => privileges.push(name.to_owned()),
        }
    }
    let limit = |name: &str| entry.texts(name).next().and_then(|text| text.trim().parse().ok());
    let text = |name: &str| entry.texts(name).next();
    RootDn {
        dn: entry.dn().to_owned(),
        key: key.clone(),
        alternate_bind_dns: keyed(entry.setting("alternate-bind-dn"), schema),
        passwords: entry.values("userPassword").iter().cloned().map(SecretValue::new).collect(),
        privileges,
        limits: RootLimits {
            size: limit("ds-rlim-size-limit"),
            time: limit("ds-rlim-time-limit"),
            lookthrough: limit("ds-rlim-lookthrough-limit"),
            idle: limit("ds-rlim-idle-time-limit"),
        },
        password_policy: text("ds-pwp-password-policy-dn")
            .and_then(|dn| NormalizedDn::parse(dn, schema).ok()),
        is_disabled: text("ds-pwp-account-disabled").is_some_and(|text| text.eq_ignore_ascii_case("true")),
    }
}

/// Storage schemes by the end of their entry's class; the name is the one that stored values carry.
const SCHEMES: &[(&str, &str)] = &[
    ("base64", "BASE64"),
    ("clear", "CLEAR"),
    ("pbkdf2", "PBKDF2"),
    ("pbkdf2-hmac-sha256", "PBKDF2-HMAC-SHA256"),
    ("pbkdf2-hmac-sha512", "PBKDF2-HMAC-SHA512"),
    ("salted-sha1", "SSHA"),
    ("salted-sha256", "SSHA256"),
    ("salted-sha384", "SSHA384"),
    ("salted-sha512", "SSHA512"),
    ("sha1", "SHA"),
];

/// The name of the scheme that an entry configures.
fn scheme_name(entry: &ConfigEntry) -> Option<&'static str> {
    let has = |word: &str| entry.has_class(&format!("ds-cfg-{word}-password-storage-scheme"));
    SCHEMES.iter().find(|(word, _)| has(word)).map(|(_, name)| *name)
}

fn password_policy(
    key: &NormalizedDn,
    entry: &ConfigEntry,
    tree: &ConfigTree,
    schema: &Schema,
) -> PasswordPolicy {
    let scheme = |dn: &str| tree.find(dn, schema).and_then(|entry| scheme_name(entry)).map(str::to_owned);
    let schemes = |name: &str| entry.setting(name).into_iter().filter_map(scheme).collect();
    PasswordPolicy {
        key: key.clone(),
        default_schemes: schemes("default-password-storage-scheme"),
        deprecated_schemes: schemes("deprecated-password-storage-scheme"),
        allow_pre_encoded_passwords: entry.boolean("allow-pre-encoded-passwords"),
        allow_user_password_changes: entry.boolean("allow-user-password-changes"),
        require_secure_authentication: entry.boolean("require-secure-authentication"),
        require_secure_password_changes: entry.boolean("require-secure-password-changes"),
        change_requires_current_password: entry.boolean("password-change-requires-current-password"),
        allow_multiple_values: entry.boolean("allow-multiple-password-values"),
        lockout_failure_count: number(entry, "lockout-failure-count"),
        lockout_duration: limit(entry, "lockout-duration"),
        lockout_failure_expiration: limit(entry, "lockout-failure-expiration-interval"),
    }
}

fn changelog(tree: &ConfigTree) -> ChangelogConfig {
    let default = ChangelogConfig::default();
    let Some((_, server)) = tree.of_class("ds-cfg-replication-server").next() else { return default };
    ChangelogConfig {
        purge_delay: server.duration("replication-purge-delay").unwrap_or(default.purge_delay),
        max_size: server.size("cts-changelog-max-size").map(|size| if size == 0 { u64::MAX } else { size }),
    }
}

fn administration(tree: &ConfigTree, schema: &Schema) -> AdministrationConfig {
    let queue = tree.of_class("ds-cfg-work-queue").next().map(|(_, entry)| entry);
    let schemes = tree.of_class("ds-cfg-password-storage-scheme").map(|(_, entry)| entry);
    let mappers = tree.of_class("ds-cfg-identity-mapper").filter(|(_, entry)| entry.boolean("enabled"));
    let size = |name: &str| queue.and_then(|entry| usize::try_from(entry.integer(name)?).ok());
    AdministrationConfig {
        work_queue_capacity: size("max-work-queue-capacity").unwrap_or(1000),
        worker_threads: size("num-worker-threads"),
        disabled_schemes: schemes
            .filter(|entry| !entry.boolean("enabled"))
            .filter_map(|entry| scheme_name(entry))
            .map(str::to_owned)
            .collect(),
        identity_mappers: mappers
            .map(|(key, entry)| IdentityMapper {
                key: key.clone(),
                attributes: entry.owned("match-attribute"),
                bases: keyed(entry.setting("match-base-dn"), schema)
                    .into_iter()
                    .map(|(_, key)| key)
                    .collect(),
            })
            .collect(),
        task_retention: tasks(tree).and_then(|entry| entry.duration("task-retention-time")),
    }
}

/// The entry of `cn=tasks`.
fn tasks(tree: &ConfigTree) -> Option<&ConfigEntry> {
    tree.of_class("ds-cfg-task-backend").next().map(|(_, entry)| entry.as_ref())
}
