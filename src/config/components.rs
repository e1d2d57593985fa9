//! Every property an operator may set, listed once: by component (the object class of its entry), with kind, default
//! and what a change takes.

mod authentication;
mod replication;

use authentication::{
    EXTERNAL, FINGERPRINT_MAPPER, IDENTITY_MAPPER, KEY_MANAGER, PASSWORD_POLICY, PLAIN, STORAGE_SCHEME,
    SUBJECT_ATTRIBUTE_MAPPER, SUBJECT_DN_MAPPER, TRUST_MANAGER,
};

use super::log_components;
use super::properties::{PropertyKind, TimeUnit};

/// When a changed property takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// At once.
    Live,
    /// When the named part is restarted.
    Restart(&'static str),
    /// Never: kept and shown because administrators' scripts set it; says why.
    None(&'static str),
}

/// A property: one `ds-cfg-…` attribute of one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property {
    /// Its name as `dsconfig` spells it; the attribute is `ds-cfg-` and the name.
    pub name: &'static str,
    /// What values it accepts.
    pub kind: PropertyKind,
    /// The values in force when the entry has none.
    pub default: &'static [&'static str],
    /// Whether it takes several values.
    pub is_multivalued: bool,
    /// Whether the entry must have it.
    pub is_mandatory: bool,
    /// Whether it stays as it was when the entry was made.
    pub is_read_only: bool,
    /// When a change takes effect.
    pub effect: Effect,
}

impl Property {
    /// The LDAP attribute.
    pub fn attribute(&self) -> String {
        format!("ds-cfg-{}", self.name)
    }

    pub(super) const fn many(mut self) -> Self {
        self.is_multivalued = true;
        self
    }

    pub(super) const fn mandatory(mut self) -> Self {
        self.is_mandatory = true;
        self
    }

    pub(super) const fn read_only(mut self) -> Self {
        self.is_read_only = true;
        self
    }

    pub(super) const fn restart(mut self, what: &'static str) -> Self {
        self.effect = Effect::Restart(what);
        self
    }

    pub(super) const fn no_effect(mut self, why: &'static str) -> Self {
        self.effect = Effect::None(why);
        self
    }
}

/// A kind of configuration entry.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// Its object class.
    pub class: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// What can be set on it.
    pub properties: &'static [Property],
}

pub(super) const fn property(
    name: &'static str,
    kind: PropertyKind,
    default: &'static [&'static str],
) -> Property {
    Property {
        name,
        kind,
        default,
        is_multivalued: false,
        is_mandatory: false,
        is_read_only: false,
        effect: Effect::Live,
    }
}

pub(super) const fn integer(
    name: &'static str,
    min: i64,
    max: i64,
    default: &'static [&'static str],
) -> Property {
    property(name, PropertyKind::Integer { min, max }, default)
}

pub(super) const fn boolean(name: &'static str, default: &'static [&'static str]) -> Property {
    property(name, PropertyKind::Boolean, default)
}

pub(super) const fn duration(
    name: &'static str,
    base: TimeUnit,
    default: &'static [&'static str],
) -> Property {
    property(name, PropertyKind::Duration { base, min_ms: 0, unlimited: false }, default)
}

pub(super) const fn size(
    name: &'static str,
    min: u64,
    max: u64,
    default: &'static [&'static str],
) -> Property {
    property(name, PropertyKind::Size { min, max }, default)
}

pub(super) const fn text(name: &'static str, default: &'static [&'static str]) -> Property {
    property(name, PropertyKind::Text, default)
}

pub(super) const fn dn(name: &'static str, default: &'static [&'static str]) -> Property {
    property(name, PropertyKind::Dn, default)
}

pub(super) const fn word(
    name: &'static str,
    words: &'static [&'static str],
    default: &'static [&'static str],
) -> Property {
    property(name, PropertyKind::Enum(words), default)
}

pub(super) const MAX: i64 = i32::MAX as i64;
pub(super) const TRUE: &[&str] = &["true"];
pub(super) const FALSE: &[&str] = &["false"];
pub(super) const NONE: &[&str] = &[];
const CLIENT_AUTH: &[&str] = &["disabled", "optional", "required"];
const WRITABILITY: &[&str] = &["enabled", "disabled", "internal-only"];
const LISTENER: &str = "the connection handler (disable and enable it, or restart the server)";
const STORE: &str = "the server";
pub(super) const NOT_BUILT: &str = "this server has no such function";
pub(super) const BY_DESIGN: &str = "this server does it another way";
pub(super) const NOT_REPLICATED: &str = "this version does not replicate";
const NO_EXPIRY: &str = "entries do not expire by themselves: who stores tokens deletes them";
const BUILT_IN: &str = "it is part of the server";

/// `ds-cfg-root-config`: `cn=config` itself.
const ROOT_CONFIG: &[Property] = &[
    integer("size-limit", 0, MAX, &["1000"]),
    property(
        "time-limit",
        PropertyKind::Duration { base: TimeUnit::Seconds, min_ms: 0, unlimited: false },
        &["60 seconds"],
    ),
    integer("lookthrough-limit", 0, MAX, &["5000"]),
    duration("idle-time-limit", TimeUnit::Milliseconds, &["0 seconds"]),
    integer("max-allowed-client-connections", 0, MAX, &["0"]),
    integer("cts-max-connections-per-address", 0, MAX, &["0"]),
    integer("max-psearches", -1, MAX, &["-1"]),
    boolean("check-schema", TRUE).no_effect("entries are always checked"),
    boolean("add-missing-rdn-attributes", TRUE),
    boolean("allow-attribute-name-exceptions", FALSE).no_effect(NOT_BUILT),
    word("invalid-attribute-syntax-behavior", &["accept", "reject", "warn"], &["reject"])
        .no_effect("values are always checked"),
    word("single-structural-objectclass-behavior", &["accept", "reject", "warn"], &["reject"])
        .no_effect("entries are always checked"),
    word("writability-mode", WRITABILITY, &["enabled"]),
    boolean("reject-unauthenticated-requests", FALSE),
    boolean("bind-with-dn-requires-password", TRUE),
    boolean("return-bind-error-messages", FALSE),
    boolean("notify-abandoned-operations", FALSE),
    integer("server-error-result-code", 0, MAX, &["80"]).no_effect(BY_DESIGN),
    word("etime-resolution", &["milliseconds", "nanoseconds"], &["milliseconds"]),
    size("max-internal-buffer-size", 512, MAX as u64, &["32 KB"]).no_effect(BY_DESIGN),
    boolean("trust-transaction-ids", FALSE),
    boolean("save-config-on-successful-startup", TRUE).no_effect("it is always saved"),
    dn("default-password-policy", &["cn=Default Password Policy,cn=Password Policies,cn=config"]),
    dn("proxied-authorization-identity-mapper", &["cn=Exact Match,cn=Identity Mappers,cn=config"]),
    property("smtp-server", PropertyKind::MailServer, NONE).many(),
    text("cts-smtp-password-file", NONE),
    text("cts-task-sender", NONE),
    property("cts-task-webhook-url", PropertyKind::WebAddress, NONE),
    text("cts-task-trust-file", NONE),
    text("cts-task-hook", NONE),
    text("allowed-task", NONE).many(),
    property("disabled-privilege", PropertyKind::Privilege, NONE).many(),
    word("workflow-configuration-mode", &["auto", "manual"], &["auto"]).no_effect(NOT_BUILT),
];

const BACKEND: &[Property] = &[
    text("backend-id", NONE).mandatory().read_only(),
    boolean("enabled", TRUE),
    dn("base-dn", NONE).many().restart(STORE),
    word("writability-mode", WRITABILITY, &["enabled"]),
    integer("index-entry-limit", 0, MAX, &["4000"]).no_effect("ranges stream, so no key has a limit"),
    text("db-directory", &["db"]).restart(STORE),
    property("db-directory-permissions", PropertyKind::Permissions, &["700"]).restart(STORE),
    integer("db-cache-percent", 1, 90, &["50"]).restart(STORE),
    size("db-cache-size", 0, u64::MAX, &["0 MB"]).restart(STORE),
    boolean("db-txn-no-sync", FALSE),
    boolean("db-txn-write-no-sync", FALSE),
    size("db-log-file-max", 64 << 10, 2 << 30, &["64 mib"]).restart(STORE),
    size("db-checkpointer-bytes-interval", 1, u64::MAX, &["256 mib"]).restart(STORE),
    size("disk-low-threshold", 0, u64::MAX, &["200 megabytes"]),
    size("disk-full-threshold", 0, u64::MAX, &["100 megabytes"]),
    boolean("compact-encoding", TRUE).no_effect(BY_DESIGN),
    boolean("entries-compressed", FALSE).no_effect(NOT_BUILT),
    boolean("confidentiality-enabled", FALSE).no_effect(NOT_BUILT),
    word("cts-log-sync", &["always", "group", "os"], &["group"]),
    boolean("cts-compaction", TRUE),
    duration("cts-compaction-delay", TimeUnit::Seconds, &["1 hour"]),
    word("cts-index-store", &["memory", "sled"], &["memory"]).restart(STORE),
    duration("preload-time-limit", TimeUnit::Milliseconds, &["0 seconds"]).no_effect(BY_DESIGN),
];

const BACKEND_INDEX: &[Property] = &[
    property("attribute", PropertyKind::AttributeType, NONE).mandatory().read_only(),
    word("index-type", &["equality", "ordering", "presence", "substring", "approximate", "extensible"], NONE)
        .mandatory()
        .many(),
    integer("index-entry-limit", 0, MAX, &["4000"]).no_effect("ranges stream, so no key has a limit"),
    integer("substring-length", 3, 64, &["6"]),
    property("index-extensible-matching-rule", PropertyKind::Oid, NONE).many().no_effect(NOT_BUILT),
    boolean("confidentiality-enabled", FALSE).no_effect(NOT_BUILT),
    boolean("ttl-enabled", FALSE).no_effect(NO_EXPIRY),
    duration("ttl-age", TimeUnit::Seconds, &["0 seconds"]).no_effect(NO_EXPIRY),
];

const ACCESS_CONTROL: &[Property] =
    &[boolean("enabled", TRUE), property("global-aci", PropertyKind::Aci, NONE).many()];

const CONNECTION_HANDLER: &[Property] = &[
    boolean("enabled", TRUE),
    property("listen-address", PropertyKind::Address, &["0.0.0.0"]).many().restart(LISTENER),
    integer("listen-port", 1, 65_535, NONE).mandatory().restart(LISTENER),
    boolean("use-ssl", FALSE).restart(LISTENER),
    boolean("allow-start-tls", FALSE),
    word("ssl-client-auth-policy", CLIENT_AUTH, &["optional"]),
    text("ssl-cert-nickname", NONE).many().no_effect("a PEM file holds one certificate"),
    word("ssl-protocol", &["TLSv1.2", "TLSv1.3"], NONE).many().restart(LISTENER),
    text("ssl-cipher-suite", NONE).many().restart(LISTENER),
    dn("key-manager-provider", NONE).many().restart(LISTENER),
    dn("trust-manager-provider", NONE).many().restart(LISTENER),
    integer("accept-backlog", 1, MAX, &["128"]).restart(LISTENER),
    boolean("allow-tcp-reuse-address", TRUE).no_effect("it is always set"),
    boolean("use-tcp-keep-alive", TRUE).restart(LISTENER),
    boolean("use-tcp-no-delay", TRUE),
    size("max-request-size", 1, MAX as u64, &["5 megabytes"]),
    duration("max-blocked-write-time-limit", TimeUnit::Milliseconds, &["2 minutes"]),
    size("buffer-size", 1, MAX as u64, &["4096 bytes"]).no_effect("buffers follow the messages"),
    boolean("allow-ldap-v2", FALSE).no_effect("LDAPv2 is not served"),
    boolean("send-rejection-notice", TRUE),
    boolean("keep-stats", TRUE),
    property("allowed-client", PropertyKind::AddressMask, NONE).many(),
    property("denied-client", PropertyKind::AddressMask, NONE).many(),
    integer("num-request-handlers", 1, MAX, NONE).no_effect(BY_DESIGN),
];

/// The health port: what concerns LDAP messages is kept for scripts.
const HTTP_HANDLER: &[Property] = &[
    boolean("enabled", TRUE),
    property("listen-address", PropertyKind::Address, &["0.0.0.0"]).many().restart(LISTENER),
    integer("listen-port", 1, 65_535, NONE).mandatory().restart(LISTENER),
    boolean("use-ssl", FALSE).restart(LISTENER),
    word("ssl-client-auth-policy", CLIENT_AUTH, &["optional"])
        .no_effect("nobody authenticates over HTTP by a certificate"),
    text("ssl-cert-nickname", NONE).many().no_effect("a PEM file holds one certificate"),
    word("ssl-protocol", &["TLSv1.2", "TLSv1.3"], NONE).many().restart(LISTENER),
    text("ssl-cipher-suite", NONE).many().restart(LISTENER),
    dn("key-manager-provider", NONE).many().restart(LISTENER),
    dn("trust-manager-provider", NONE).many().no_effect("nobody authenticates over HTTP by a certificate"),
    integer("accept-backlog", 1, MAX, &["128"]).restart(LISTENER),
    boolean("allow-tcp-reuse-address", TRUE).no_effect("it is always set"),
    boolean("use-tcp-keep-alive", TRUE).restart(LISTENER),
    boolean("use-tcp-no-delay", TRUE),
    size("max-request-size", 1, MAX as u64, &["5 megabytes"]).no_effect("a request has no body here"),
    duration("max-blocked-write-time-limit", TimeUnit::Milliseconds, &["2 minutes"]).no_effect(BY_DESIGN),
    size("buffer-size", 1, MAX as u64, &["4096 bytes"]).no_effect("buffers follow the messages"),
    boolean("keep-stats", TRUE).no_effect("what the health port does is not counted"),
    property("allowed-client", PropertyKind::AddressMask, NONE).many(),
    property("denied-client", PropertyKind::AddressMask, NONE).many(),
    integer("num-request-handlers", 1, MAX, NONE).no_effect(BY_DESIGN),
];

const ADMINISTRATION_CONNECTOR: &[Property] = &[
    property("listen-address", PropertyKind::Address, &["0.0.0.0"]).many().restart("the server"),
    integer("listen-port", 1, 65_535, &["4444"]).mandatory().restart("the server"),
    word("ssl-client-auth-policy", CLIENT_AUTH, &["optional"]),
    text("ssl-cert-nickname", &["admin-cert"]).many().no_effect("a PEM file holds one certificate"),
    word("ssl-protocol", &["TLSv1.2", "TLSv1.3"], NONE).many().restart("the server"),
    text("ssl-cipher-suite", NONE).many().restart("the server"),
    dn("key-manager-provider", NONE).many().restart("the server"),
    dn("trust-manager-provider", NONE).many().restart("the server"),
];

const WORK_QUEUE: &[Property] = &[
    integer("max-work-queue-capacity", 1, MAX, &["1000"]).restart("the server"),
    integer("num-worker-threads", 1, 1024, NONE).restart("the server"),
];

const ROOT_DN: &[Property] = &[property("default-root-privilege-name", PropertyKind::Privilege, NONE).many()];

const ROOT_DN_USER: &[Property] = &[dn("alternate-bind-dn", NONE).many()];

const SWITCH: &[Property] = &[boolean("enabled", TRUE)];

const TASK_BACKEND: &[Property] = &[
    text("backend-id", NONE).mandatory().read_only(),
    boolean("enabled", TRUE).no_effect(BUILT_IN),
    dn("base-dn", NONE).many().no_effect(BUILT_IN),
    word("writability-mode", WRITABILITY, &["enabled"]).no_effect("privileges say who may add tasks"),
    text("task-backing-file", &["config/tasks.ldif"]).no_effect("it is always config/tasks.ldif"),
    duration("task-retention-time", TimeUnit::Seconds, &["24 hours"]),
    text("notification-sender-address", NONE),
];

const VIRTUAL_BACKEND: &[Property] = &[
    text("backend-id", NONE).mandatory().read_only(),
    boolean("enabled", TRUE).no_effect(BUILT_IN),
    dn("base-dn", NONE).many().no_effect(BUILT_IN),
    word("writability-mode", WRITABILITY, &["enabled"]).no_effect(BUILT_IN),
    text("backup-directory", &["bak"]).many().no_effect("a backup is found where it was made"),
    dn("schema-entry-dn", &["cn=schema"]).many().no_effect(BUILT_IN),
    boolean("show-all-attributes", FALSE).no_effect(BY_DESIGN),
];

/// All components. An entry is the first one here whose class it holds, so special ones stand before general ones.
pub const COMPONENTS: &[Component] = &[
    Component { class: "ds-cfg-root-config", label: "Global Configuration", properties: ROOT_CONFIG },
    Component { class: "ds-cfg-backend-index", label: "Backend Index", properties: BACKEND_INDEX },
    Component { class: "ds-cfg-je-backend", label: "Backend", properties: BACKEND },
    Component { class: "ds-cfg-pluggable-backend", label: "Backend", properties: BACKEND },
    Component { class: "ds-cfg-task-backend", label: "Task Backend", properties: TASK_BACKEND },
    Component { class: "ds-cfg-schema-backend", label: "Schema Backend", properties: VIRTUAL_BACKEND },
    Component { class: "ds-cfg-monitor-backend", label: "Monitor Backend", properties: VIRTUAL_BACKEND },
    Component { class: "ds-cfg-backup-backend", label: "Backup Backend", properties: VIRTUAL_BACKEND },
    Component {
        class: "ds-cfg-access-control-handler",
        label: "Access Control Handler",
        properties: ACCESS_CONTROL,
    },
    Component {
        class: "ds-cfg-ldap-connection-handler",
        label: "LDAP Connection Handler",
        properties: CONNECTION_HANDLER,
    },
    Component {
        class: "ds-cfg-http-connection-handler",
        label: "HTTP Connection Handler",
        properties: HTTP_HANDLER,
    },
    Component {
        class: "ds-cfg-administration-connector",
        label: "Administration Connector",
        properties: ADMINISTRATION_CONNECTOR,
    },
    Component {
        class: "ds-cfg-key-manager-provider",
        label: "Key Manager Provider",
        properties: KEY_MANAGER,
    },
    Component {
        class: "ds-cfg-trust-manager-provider",
        label: "Trust Manager Provider",
        properties: TRUST_MANAGER,
    },
    Component { class: "ds-cfg-work-queue", label: "Work Queue", properties: WORK_QUEUE },
    Component { class: "ds-cfg-root-dn-user", label: "Root DN User", properties: ROOT_DN_USER },
    Component { class: "ds-cfg-root-dn", label: "Root DN", properties: ROOT_DN },
    Component { class: "ds-cfg-password-policy", label: "Password Policy", properties: PASSWORD_POLICY },
    Component {
        class: "ds-cfg-password-storage-scheme",
        label: "Password Storage Scheme",
        properties: STORAGE_SCHEME,
    },
    Component { class: "ds-cfg-identity-mapper", label: "Identity Mapper", properties: IDENTITY_MAPPER },
    Component {
        class: "ds-cfg-file-based-audit-log-publisher",
        label: "Audit Log Publisher",
        properties: log_components::AUDIT,
    },
    Component {
        class: "ds-cfg-error-log-publisher",
        label: "Error Log Publisher",
        properties: log_components::ERROR,
    },
    Component { class: "ds-cfg-log-publisher", label: "Log Publisher", properties: log_components::ACCESS },
    Component {
        class: "ds-cfg-access-log-filtering-criteria",
        label: "Access Log Filtering Criteria",
        properties: log_components::CRITERIA,
    },
    Component {
        class: "ds-cfg-log-rotation-policy",
        label: "Log Rotation Policy",
        properties: log_components::ROTATION,
    },
    Component {
        class: "ds-cfg-log-retention-policy",
        label: "Log Retention Policy",
        properties: log_components::RETENTION,
    },
    Component {
        class: "ds-cfg-replication-server",
        label: "Replication Server",
        properties: replication::SERVER,
    },
    Component {
        class: "ds-cfg-replication-domain",
        label: "Replication Domain",
        properties: replication::DOMAIN,
    },
    Component {
        class: "ds-cfg-synchronization-provider",
        label: "Synchronization Provider",
        properties: replication::PROVIDER,
    },
    Component {
        class: "ds-cfg-external-sasl-mechanism-handler",
        label: "SASL Mechanism Handler",
        properties: EXTERNAL,
    },
    Component {
        class: "ds-cfg-plain-sasl-mechanism-handler",
        label: "SASL Mechanism Handler",
        properties: PLAIN,
    },
    Component {
        class: "ds-cfg-subject-dn-to-user-attribute-certificate-mapper",
        label: "Certificate Mapper",
        properties: SUBJECT_DN_MAPPER,
    },
    Component {
        class: "ds-cfg-subject-attribute-to-user-attribute-certificate-mapper",
        label: "Certificate Mapper",
        properties: SUBJECT_ATTRIBUTE_MAPPER,
    },
    Component {
        class: "ds-cfg-fingerprint-certificate-mapper",
        label: "Certificate Mapper",
        properties: FINGERPRINT_MAPPER,
    },
    Component { class: "ds-cfg-certificate-mapper", label: "Certificate Mapper", properties: SWITCH },
    Component { class: "ds-cfg-sasl-mechanism-handler", label: "SASL Mechanism Handler", properties: SWITCH },
    Component { class: "ds-cfg-branch", label: "Branch", properties: &[] },
];

/// The component of this object class, in any case.
pub fn component(class: &str) -> Option<&'static Component> {
    COMPONENTS.iter().find(|component| component.class.eq_ignore_ascii_case(class))
}

/// The property of a component that an attribute holds.
pub fn property_of(component: &'static Component, attribute: &str) -> Option<&'static Property> {
    let (prefix, name) = attribute.split_at_checked(7)?;
    if !prefix.eq_ignore_ascii_case("ds-cfg-") {
        return None;
    }
    component.properties.iter().find(|property| property.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaStore;

    #[test]
    fn every_default_is_a_value_the_property_accepts() {
        let store = SchemaStore::builtin(true);
        let schema = store.current();
        for component in COMPONENTS {
            for property in component.properties {
                for value in property.default {
                    assert_eq!(
                        property.kind.check(value, &schema),
                        Ok(()),
                        "{} {}",
                        component.class,
                        property.name
                    );
                }
            }
        }
    }

    #[test]
    fn every_property_and_class_is_in_the_schema() {
        let store = SchemaStore::builtin(true);
        let schema = store.current();
        let mut missing = Vec::new();
        for component in COMPONENTS {
            if schema.object_class(component.class).is_none() {
                missing.push(component.class.to_owned());
            }
            for property in component.properties {
                if schema.attribute(&property.attribute()).is_none() {
                    missing.push(property.attribute());
                }
            }
        }
        for ignored in super::super::check::IGNORED {
            if schema.attribute(ignored).is_none() {
                missing.push((*ignored).to_owned());
            }
        }
        missing.sort();
        missing.dedup();
        assert!(missing.is_empty(), "the schema lacks {missing:?}");
    }

    #[test]
    fn values_out_of_bounds_are_refused_with_what_is_accepted() {
        let store = SchemaStore::builtin(true);
        let schema = store.current();
        let table: &[(&str, &str, &[&str], &[&str])] = &[
            ("ds-cfg-root-config", "size-limit", &["0", "5000"], &["-1", "x", "", "1.5"]),
            ("ds-cfg-root-config", "max-psearches", &["-1", "10"], &["-2", "many"]),
            ("ds-cfg-root-config", "time-limit", &["60", "2 m"], &["soon", "-1", "unlimited"]),
            ("ds-cfg-root-config", "trust-transaction-ids", &["true", "FALSE"], &["yes", "1"]),
            ("ds-cfg-je-backend", "writability-mode", &["enabled", "Internal-Only"], &["on"]),
            ("ds-cfg-je-backend", "base-dn", &["dc=example,dc=com"], &["example.com"]),
            ("ds-cfg-je-backend", "db-directory-permissions", &["700"], &["rwx", "0700", "789"]),
            ("ds-cfg-je-backend", "disk-low-threshold", &["200 mb"], &["200 parsec"]),
            ("ds-cfg-backend-index", "attribute", &["cn", "etag"], &["noSuchAttribute"]),
            ("ds-cfg-backend-index", "index-type", &["equality", "ORDERING"], &["fast"]),
            ("ds-cfg-backend-index", "substring-length", &["3"], &["2"]),
            ("ds-cfg-ldap-connection-handler", "listen-port", &["1389"], &["0", "65536", "ldap"]),
            (
                "ds-cfg-ldap-connection-handler",
                "listen-address",
                &["::", "127.0.0.1"],
                &["localhost", "1.2.3"],
            ),
            ("ds-cfg-ldap-connection-handler", "max-request-size", &["5 MB"], &["0"]),
            ("ds-cfg-replication-server", "replication-server", &["h:8989"], &["h", ":1", "h:0"]),
        ];
        for (class, name, good, bad) in table {
            let property = property_of(component(class).unwrap(), &format!("DS-cfg-{name}")).unwrap();
            for value in *good {
                assert_eq!(property.kind.check(value, &schema), Ok(()), "{name} {value}");
            }
            for value in *bad {
                assert!(property.kind.check(value, &schema).is_err(), "{name} {value}");
            }
        }
    }
}
