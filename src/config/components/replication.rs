//! What can be set about replication. This version reads of it how long the changelog is kept; the rest is kept for scripts.

use super::super::properties::{PropertyKind, TimeUnit};
use super::{
    BY_DESIGN, FALSE, MAX, NONE, NOT_BUILT, NOT_REPLICATED, Property, TRUE, boolean, dn, duration, integer,
    property, size, text, word,
};

pub(super) const PROVIDER: &[Property] = &[
    boolean("enabled", TRUE).no_effect(NOT_REPLICATED),
    integer("num-update-replay-threads", 1, 65_535, NONE).no_effect(BY_DESIGN),
    duration("connection-timeout", TimeUnit::Milliseconds, &["5 seconds"]).no_effect(NOT_REPLICATED),
];

pub(super) const SERVER: &[Property] = &[
    integer("replication-port", 1, 65_535, NONE).mandatory().no_effect(NOT_REPLICATED),
    integer("replication-server-id", 1, 65_535, NONE).mandatory().read_only().no_effect(NOT_REPLICATED),
    property("replication-server", PropertyKind::HostPort, NONE).many().no_effect(NOT_REPLICATED),
    text("replication-db-directory", &["changelogDb"]).no_effect("the store's own log is the changelog"),
    duration("replication-purge-delay", TimeUnit::Seconds, &["3 days"]),
    size("cts-changelog-max-size", 0, u64::MAX, NONE),
    integer("window-size", 1, MAX, &["100000"]).no_effect(NOT_REPLICATED),
    integer("queue-size", 1, MAX, &["10000"]).no_effect(NOT_REPLICATED),
    integer("group-id", 1, 127, &["1"]).no_effect(NOT_REPLICATED),
    integer("weight", 1, MAX, &["1"]).no_effect(NOT_REPLICATED),
    duration("assured-timeout", TimeUnit::Milliseconds, &["1000 ms"]).no_effect(NOT_REPLICATED),
    integer("degraded-status-threshold", 0, MAX, &["5000"]).no_effect(NOT_REPLICATED),
    duration("monitoring-period", TimeUnit::Milliseconds, &["60 s"]).no_effect(NOT_REPLICATED),
    boolean("compute-change-number", FALSE).no_effect(NOT_REPLICATED),
    boolean("confidentiality-enabled", FALSE).no_effect(NOT_BUILT),
    property("source-address", PropertyKind::Address, NONE).no_effect(NOT_REPLICATED),
];

pub(super) const DOMAIN: &[Property] = &[
    dn("base-dn", NONE).mandatory().read_only().no_effect(NOT_REPLICATED),
    integer("server-id", 1, 65_535, NONE).mandatory().read_only().no_effect(NOT_REPLICATED),
    property("replication-server", PropertyKind::HostPort, NONE).mandatory().many().no_effect(NOT_REPLICATED),
    duration("heartbeat-interval", TimeUnit::Milliseconds, &["1000 ms"]).no_effect(NOT_REPLICATED),
    duration("changetime-heartbeat-interval", TimeUnit::Milliseconds, &["1000 ms"]).no_effect(NOT_REPLICATED),
    word("isolation-policy", &["accept-all-updates", "reject-all-updates"], &["reject-all-updates"])
        .no_effect(NOT_REPLICATED),
    word("assured-type", &["not-assured", "safe-data", "safe-read"], &["not-assured"])
        .no_effect(NOT_REPLICATED),
    integer("assured-sd-level", 1, 127, &["1"]).no_effect(NOT_REPLICATED),
    duration("assured-timeout", TimeUnit::Milliseconds, &["2000 ms"]).no_effect(NOT_REPLICATED),
    integer("group-id", 1, 127, &["1"]).no_effect(NOT_REPLICATED),
    integer("window-size", 1, MAX, &["100000"]).no_effect(NOT_REPLICATED),
    integer("initialization-window-size", 1, MAX, &["100"]).no_effect(NOT_REPLICATED),
    text("fractional-include", NONE).many().no_effect(NOT_REPLICATED),
    text("fractional-exclude", NONE).many().no_effect(NOT_REPLICATED),
    text("referrals-url", NONE).many().no_effect(NOT_REPLICATED),
    boolean("solve-conflicts", TRUE).no_effect(NOT_REPLICATED),
    boolean("log-changenumber", FALSE).no_effect(NOT_REPLICATED),
    duration("conflicts-historical-purge-delay", TimeUnit::Minutes, &["1440 m"]).no_effect(BY_DESIGN),
    text("ecl-include", NONE).many().no_effect(NOT_REPLICATED),
    text("ecl-include-for-deletes", NONE).many().no_effect(NOT_REPLICATED),
];
