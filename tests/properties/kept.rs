//! Properties that are kept for scripts and do nothing: the answer says so each time.

use crate::table::{ADMIN, DATA, ERRORS, GLOBAL, Object, POLICY, Round, Row, Seen, TASKS, row, stays};
use crate::world::{World, uid};

const CRITERIA: Object = (
    "access-log-filtering-criteria",
    "--publisher-name \"File-Based Access Logger\" --criteria-name Kept",
    "cn=Kept,cn=Filtering Criteria,cn=File-Based Access Logger,cn=Loggers,cn=config",
);
const SCHEMA: Object =
    ("backend (schema)", "--backend-name schema", "ds-cfg-backend-id=schema,cn=Backends,cn=config");
const MONITOR: Object =
    ("backend (monitor)", "--backend-name monitor", "ds-cfg-backend-id=monitor,cn=Backends,cn=config");
const BACKUP: Object =
    ("backend (backup)", "--backend-name backup", "ds-cfg-backend-id=backup,cn=Backends,cn=config");
const INDEX: Object = (
    "backend-index",
    "--backend-name userRoot --index-name mail",
    "ds-cfg-attribute=mail,cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config",
);
const LDAP: Object = (
    "connection-handler (ldap)",
    "--handler-name \"LDAP Connection Handler\"",
    "cn=LDAP Connection Handler,cn=Connection Handlers,cn=config",
);
const HTTP: Object = (
    "connection-handler (http)",
    "--handler-name \"HTTP Connection Handler\"",
    "cn=HTTP Connection Handler,cn=Connection Handlers,cn=config",
);
const ACCESS: Object = (
    "log-publisher (file-based-access)",
    "--publisher-name \"File-Based Access Logger\"",
    "cn=File-Based Access Logger,cn=Loggers,cn=config",
);
const AUDIT: Object = (
    "log-publisher (file-based-audit)",
    "--publisher-name \"File-Based Audit Logger\"",
    "cn=File-Based Audit Logger,cn=Loggers,cn=config",
);
const SCHEME: Object = (
    "password-storage-scheme",
    "--scheme-name PBKDF2-HMAC-SHA256",
    "cn=PBKDF2-HMAC-SHA256,cn=Password Storage Schemes,cn=config",
);
const PROVIDER: Object = (
    "synchronization-provider",
    "--provider-name \"Multimaster Synchronization\"",
    "cn=Multimaster Synchronization,cn=Synchronization Providers,cn=config",
);
const SERVER: Object = (
    "replication-server",
    "--provider-name \"Multimaster Synchronization\"",
    "cn=replication server,cn=Multimaster Synchronization,cn=Synchronization Providers,cn=config",
);
const DOMAIN: Object = (
    "replication-domain",
    "--provider-name \"Multimaster Synchronization\" --domain-name tokens",
    "cn=tokens,cn=domains,cn=Multimaster Synchronization,cn=Synchronization Providers,cn=config",
);

const fn kept(object: Object, property: &'static str, values: &'static [&'static str]) -> Row {
    row(object, property, values, Seen::Kept)
}

/// What an object was made with stays.
const fn fixed(object: Object, property: &'static str, values: &'static [&'static str]) -> Row {
    row(object, property, values, Seen::Refused(1, "stays as it was"))
}

const FALSE: &[&str] = &["false"];
const TRUE: &[&str] = &["true"];

fn prepare(world: &mut World) -> Vec<(&'static str, String)> {
    world.prepare(
        "create-access-log-filtering-criteria --publisher-name \"File-Based Access Logger\" --criteria-name Kept \
         --set log-record-type:add\n\
         create-replication-server --provider-name \"Multimaster Synchronization\" --set replication-port:8989 \
         --set replication-server-id:1\n\
         create-replication-domain --provider-name \"Multimaster Synchronization\" --domain-name tokens \
         --set base-dn:dc=cts,dc=example,dc=com --set server-id:7 --set replication-server:h:8989\n",
    );
    Vec::new()
}

/// The delay and the bound of the changelog are read though nobody replicates: what the store keeps follows them.
fn keeps_for_twelve_hours(world: &World) -> bool {
    world.stored("ds-mon-effective-purge-delay") == 12 * 3600
}

/// Segments go though no change is older than the purge delay.
fn changes_go_early(world: &World) -> bool {
    let mut root = world.root();
    for _ in 0..60 {
        let text = world.fresh() + &"x".repeat(3_000);
        assert!(root.replace(&uid("wide"), "description", &[text.as_bytes()]).is(0));
    }
    world.stored("logSegmentsDropped") > 0
}

fn with_small_segments(world: &mut World) -> Vec<(&'static str, String)> {
    world.prepare(
        "create-replication-server --provider-name \"Multimaster Synchronization\" --set replication-port:8989 \
         --set replication-server-id:1\n\
         set-backend-prop --backend-name userRoot --set \"db-log-file-max:64 kib\"\n",
    );
    world.restart();
    Vec::new()
}

pub(crate) const ROUNDS: &[Round] = &[
    Round {
        name: "a small changelog",
        prepare: with_small_segments,
        moved: stays,
        rows: &[row(SERVER, "cts-changelog-max-size", &["200 kib"], Seen::Live(changes_go_early))],
    },
    Round {
        name: "kept",
        prepare,
        moved: stays,
        rows: &[
            kept(ADMIN, "ssl-cert-nickname", &["another"]),
            kept(CRITERIA, "user-is-member-of", &["cn=a,dc=example,dc=com"]),
            kept(CRITERIA, "user-is-not-member-of", &["cn=b,dc=example,dc=com"]),
            fixed(DATA, "backend-id", &["other"]),
            kept(DATA, "index-entry-limit", &["6000"]),
            kept(DATA, "compact-encoding", FALSE),
            kept(DATA, "entries-compressed", TRUE),
            kept(DATA, "confidentiality-enabled", TRUE),
            kept(DATA, "preload-time-limit", &["5 seconds"]),
            fixed(TASKS, "backend-id", &["other"]),
            kept(TASKS, "enabled", FALSE),
            kept(TASKS, "base-dn", &["cn=other"]),
            kept(TASKS, "writability-mode", &["disabled"]),
            kept(TASKS, "task-backing-file", &["config/other.ldif"]),
            fixed(SCHEMA, "backend-id", &["other"]),
            kept(SCHEMA, "enabled", FALSE),
            kept(SCHEMA, "base-dn", &["cn=other"]),
            kept(SCHEMA, "writability-mode", &["disabled"]),
            kept(SCHEMA, "backup-directory", &["other"]),
            kept(SCHEMA, "schema-entry-dn", &["cn=other"]),
            kept(SCHEMA, "show-all-attributes", TRUE),
            fixed(MONITOR, "backend-id", &["other"]),
            kept(MONITOR, "enabled", FALSE),
            kept(MONITOR, "base-dn", &["cn=other"]),
            kept(MONITOR, "writability-mode", &["disabled"]),
            kept(MONITOR, "backup-directory", &["other"]),
            kept(MONITOR, "schema-entry-dn", &["cn=other"]),
            kept(MONITOR, "show-all-attributes", TRUE),
            fixed(BACKUP, "backend-id", &["other"]),
            kept(BACKUP, "enabled", FALSE),
            kept(BACKUP, "base-dn", &["cn=other"]),
            kept(BACKUP, "writability-mode", &["disabled"]),
            kept(BACKUP, "backup-directory", &["other"]),
            kept(BACKUP, "schema-entry-dn", &["cn=other"]),
            kept(BACKUP, "show-all-attributes", TRUE),
            fixed(INDEX, "attribute", &["sn"]),
            kept(INDEX, "index-entry-limit", &["0"]),
            kept(INDEX, "index-extensible-matching-rule", &["1.2.3"]),
            kept(INDEX, "confidentiality-enabled", TRUE),
            kept(INDEX, "ttl-enabled", TRUE),
            kept(INDEX, "ttl-age", &["3 days"]),
            kept(LDAP, "ssl-cert-nickname", &["another"]),
            kept(LDAP, "allow-tcp-reuse-address", FALSE),
            kept(LDAP, "buffer-size", &["8 kb"]),
            kept(LDAP, "allow-ldap-v2", TRUE),
            kept(LDAP, "num-request-handlers", &["3"]),
            kept(HTTP, "ssl-client-auth-policy", &["required"]),
            kept(HTTP, "ssl-cert-nickname", &["another"]),
            kept(HTTP, "trust-manager-provider", &["cn=PEM,cn=Trust Manager Providers,cn=config"]),
            kept(HTTP, "allow-tcp-reuse-address", FALSE),
            kept(HTTP, "max-request-size", &["1 mb"]),
            kept(HTTP, "max-blocked-write-time-limit", &["1 m"]),
            kept(HTTP, "buffer-size", &["8 kb"]),
            kept(HTTP, "keep-stats", FALSE),
            kept(HTTP, "num-request-handlers", &["3"]),
            kept(GLOBAL, "check-schema", FALSE),
            kept(GLOBAL, "allow-attribute-name-exceptions", TRUE),
            kept(GLOBAL, "invalid-attribute-syntax-behavior", &["warn"]),
            kept(GLOBAL, "single-structural-objectclass-behavior", &["accept"]),
            kept(GLOBAL, "server-error-result-code", &["81"]),
            kept(GLOBAL, "max-internal-buffer-size", &["64 KB"]),
            kept(GLOBAL, "save-config-on-successful-startup", FALSE),
            kept(GLOBAL, "workflow-configuration-mode", &["manual"]),
            kept(ACCESS, "log-record-time-format", &["yyyy"]),
            kept(ACCESS, "asynchronous", FALSE),
            kept(ACCESS, "append", FALSE),
            kept(ACCESS, "auto-flush", FALSE),
            kept(ACCESS, "buffer-size", &["1 kb"]),
            kept(ACCESS, "time-interval", &["1 s"]),
            kept(ACCESS, "suppress-synchronization-operations", TRUE),
            kept(AUDIT, "asynchronous", FALSE),
            kept(AUDIT, "append", FALSE),
            kept(AUDIT, "auto-flush", FALSE),
            kept(AUDIT, "buffer-size", &["1 kb"]),
            kept(AUDIT, "time-interval", &["1 s"]),
            kept(AUDIT, "suppress-synchronization-operations", TRUE),
            kept(ERRORS, "asynchronous", FALSE),
            kept(ERRORS, "append", FALSE),
            kept(ERRORS, "auto-flush", FALSE),
            kept(ERRORS, "queue-size", &["100"]),
            kept(ERRORS, "buffer-size", &["1 kb"]),
            kept(ERRORS, "time-interval", &["1 s"]),
            kept(POLICY, "password-attribute", &["authPassword"]),
            kept(
                POLICY,
                "deprecated-password-storage-scheme",
                &["cn=Salted SHA-1,cn=Password Storage Schemes,cn=config"],
            ),
            kept(POLICY, "max-password-age", &["90 days"]),
            kept(POLICY, "password-history-count", &["3"]),
            kept(POLICY, "password-validator", &["cn=Length,cn=Password Validators,cn=config"]),
            kept(SCHEME, "pbkdf2-iterations", &["20000"]),
            kept(PROVIDER, "enabled", FALSE),
            kept(PROVIDER, "num-update-replay-threads", &["4"]),
            kept(PROVIDER, "connection-timeout", &["3 seconds"]),
            kept(SERVER, "replication-port", &["8990"]),
            fixed(SERVER, "replication-server-id", &["2"]),
            kept(SERVER, "replication-server", &["a:8989", "b:8989"]),
            kept(SERVER, "replication-db-directory", &["other"]),
            row(SERVER, "replication-purge-delay", &["12h"], Seen::Live(keeps_for_twelve_hours)),
            kept(SERVER, "window-size", &["500"]),
            kept(SERVER, "queue-size", &["500"]),
            kept(SERVER, "group-id", &["2"]),
            kept(SERVER, "weight", &["2"]),
            kept(SERVER, "assured-timeout", &["2 s"]),
            kept(SERVER, "degraded-status-threshold", &["100"]),
            kept(SERVER, "monitoring-period", &["30 s"]),
            kept(SERVER, "compute-change-number", TRUE),
            kept(SERVER, "confidentiality-enabled", TRUE),
            kept(SERVER, "source-address", &["127.0.0.1"]),
            fixed(DOMAIN, "base-dn", &["dc=other"]),
            fixed(DOMAIN, "server-id", &["8"]),
            kept(DOMAIN, "replication-server", &["a:8989", "b:8989"]),
            kept(DOMAIN, "heartbeat-interval", &["2 s"]),
            kept(DOMAIN, "changetime-heartbeat-interval", &["2 s"]),
            kept(DOMAIN, "isolation-policy", &["accept-all-updates"]),
            kept(DOMAIN, "assured-type", &["safe-data"]),
            kept(DOMAIN, "assured-sd-level", &["2"]),
            kept(DOMAIN, "assured-timeout", &["3 s"]),
            kept(DOMAIN, "group-id", &["2"]),
            kept(DOMAIN, "window-size", &["500"]),
            kept(DOMAIN, "initialization-window-size", &["50"]),
            kept(DOMAIN, "fractional-include", &["*:cn"]),
            kept(DOMAIN, "fractional-exclude", &["*:sn"]),
            kept(DOMAIN, "referrals-url", &["ldap://a"]),
            kept(DOMAIN, "solve-conflicts", FALSE),
            kept(DOMAIN, "log-changenumber", TRUE),
            kept(DOMAIN, "conflicts-historical-purge-delay", &["60 m"]),
            kept(DOMAIN, "ecl-include", &["cn"]),
            kept(DOMAIN, "ecl-include-for-deletes", &["cn"]),
        ],
    },
];

#[test]
fn what_has_no_effect_says_so_and_is_kept() {
    ROUNDS.iter().for_each(crate::table::play);
}
