//! What can be set on the logs' entries; a part of the list in [`super::components`].

use super::components::{
    BY_DESIGN, FALSE, MAX, NONE, NOT_BUILT, NOT_REPLICATED, Property, TRUE, boolean, dn, duration, integer,
    property, size, text, word,
};
use super::properties::{PropertyKind, TimeUnit};

const ENABLED: Property = boolean("enabled", TRUE);
const LOG_FILE: Property = text("log-file", NONE);
const PERMISSIONS: Property = property("log-file-permissions", PropertyKind::Permissions, &["640"]);
const ASYNCHRONOUS: Property = boolean("asynchronous", TRUE).no_effect("logs are always asynchronous");
const APPEND: Property = boolean("append", TRUE).no_effect("it always appends");
const AUTO_FLUSH: Property = boolean("auto-flush", TRUE).no_effect(BY_DESIGN);
const QUEUE_SIZE: Property = integer("queue-size", 1, 1_000_000, &["8192"]);
const BUFFER_SIZE: Property = size("buffer-size", 1, MAX as u64, &["64 kb"]).no_effect(BY_DESIGN);
const INTERVAL: Property =
    duration("time-interval", TimeUnit::Milliseconds, &["5 seconds"]).no_effect(BY_DESIGN);
const INTERNAL: Property = boolean("suppress-internal-operations", TRUE);
const SYNCHRONIZATION: Property =
    boolean("suppress-synchronization-operations", FALSE).no_effect(NOT_REPLICATED);
const FILTERING: Property =
    word("filtering-policy", &["exclusive", "inclusive", "no-filtering"], &["no-filtering"]);
const ROTATION_POLICY: Property = dn("rotation-policy", NONE).many();
const RETENTION_POLICY: Property = dn("retention-policy", NONE).many();

/// Access logs: text, combined text, JSON.
pub(super) const ACCESS: &[Property] = &[
    ENABLED,
    LOG_FILE,
    text("log-directory", &["logs"]),
    PERMISSIONS,
    word("log-format", &["multi-line", "combined", "json"], &["multi-line"]),
    text("log-record-time-format", &["dd/MMM/yyyy:HH:mm:ss Z"]).no_effect(BY_DESIGN),
    ASYNCHRONOUS,
    APPEND,
    AUTO_FLUSH,
    QUEUE_SIZE,
    BUFFER_SIZE,
    INTERVAL,
    INTERNAL,
    SYNCHRONIZATION,
    boolean("log-control-oids", FALSE),
    FILTERING,
    integer("cts-log-sample-every", 1, 1_000_000, &["1"]),
    duration("cts-log-slower-than", TimeUnit::Milliseconds, &["0 ms"]),
    ROTATION_POLICY,
    RETENTION_POLICY,
];

/// The log of changes.
pub(super) const AUDIT: &[Property] = &[
    ENABLED,
    LOG_FILE,
    PERMISSIONS,
    ASYNCHRONOUS,
    APPEND,
    AUTO_FLUSH,
    QUEUE_SIZE,
    BUFFER_SIZE,
    INTERVAL,
    INTERNAL,
    SYNCHRONIZATION,
    FILTERING,
    property(
        "cts-redacted-attribute",
        PropertyKind::AttributeType,
        &["coreTokenObject", "userPassword", "authPassword"],
    )
    .many(),
    ROTATION_POLICY,
    RETENTION_POLICY,
];

/// The log of the server's own messages.
pub(super) const ERROR: &[Property] = &[
    ENABLED,
    LOG_FILE,
    PERMISSIONS,
    ASYNCHRONOUS,
    APPEND,
    AUTO_FLUSH,
    QUEUE_SIZE.no_effect("a message is written before what it tells of goes on"),
    BUFFER_SIZE,
    INTERVAL,
    word(
        "default-severity",
        &["all", "debug", "error", "info", "none", "notice", "warning"],
        &["error", "warning", "notice"],
    )
    .many(),
    text("override-severity", NONE).many(),
    ROTATION_POLICY,
    RETENTION_POLICY,
];

/// Which operations an access log takes, or leaves out.
pub(super) const CRITERIA: &[Property] = &[
    word(
        "log-record-type",
        &[
            "abandon",
            "add",
            "bind",
            "compare",
            "connect",
            "delete",
            "disconnect",
            "extended",
            "modify",
            "rename",
            "search",
            "unbind",
        ],
        NONE,
    )
    .many(),
    property("connection-client-address-equal-to", PropertyKind::AddressMask, NONE).many(),
    property("connection-client-address-not-equal-to", PropertyKind::AddressMask, NONE).many(),
    integer("connection-port-equal-to", 1, 65_535, NONE).many(),
    text("connection-protocol-equal-to", NONE).many(),
    text("user-dn-equal-to", NONE).many(),
    text("user-dn-not-equal-to", NONE).many(),
    dn("user-is-member-of", NONE).many().no_effect(NOT_BUILT),
    dn("user-is-not-member-of", NONE).many().no_effect(NOT_BUILT),
    text("request-target-dn-equal-to", NONE).many(),
    text("request-target-dn-not-equal-to", NONE).many(),
    integer("response-etime-greater-than", 0, MAX, NONE),
    integer("response-etime-less-than", 0, MAX, NONE),
    integer("response-result-code-equal-to", 0, MAX, NONE).many(),
    integer("response-result-code-not-equal-to", 0, MAX, NONE).many(),
    boolean("search-response-is-indexed", NONE),
    integer("search-response-nentries-greater-than", 0, MAX, NONE),
    integer("search-response-nentries-less-than", 0, MAX, NONE),
];

pub(super) const ROTATION: &[Property] = &[
    duration("rotation-interval", TimeUnit::Milliseconds, NONE),
    size("file-size-limit", 1, u64::MAX, NONE),
    text("time-of-day", NONE).many(),
];

pub(super) const RETENTION: &[Property] = &[
    integer("number-of-files", 1, MAX, NONE),
    size("disk-space-used", 1, u64::MAX, NONE),
    size("free-disk-space", 1, u64::MAX, NONE),
];
