//! The entries of `cn=monitor` (features.md §11). Names are those that monitoring scripts for OpenDJ read.

use std::net::SocketAddr;
use std::sync::Arc;

use super::cn_monitor::{CnMonitor, ConnectionReport};
use super::monitor_service;
use crate::backend::BackendStats;
use crate::config::{BackendConfig, Listener, ListenerKind, Writability};
use crate::entry::{EntryBuilder, StoredEntry};
use crate::log::Durability;
use crate::operation::{Directory, made};
use crate::schema::{NormalizedDn, Schema};
use crate::telemetry::{Totals, disk_space};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Locked accounts that are named, at the most.
const MOST_LOCKED: usize = 100;

/// Gathers entries, each with its class and name.
struct Report {
    schema: Arc<Schema>,
    entries: Vec<(NormalizedDn, Arc<StoredEntry>)>,
}

/// One entry being put together.
pub(super) struct Item<'a> {
    schema: &'a Schema,
    pub(super) builder: EntryBuilder,
}

impl Item<'_> {
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.builder.put(name, value, self.schema);
    }

    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.builder.put(name, value.to_string(), self.schema);
    }
}

impl Report {
    /// `cn=name,cn=monitor`, or `cn=monitor` itself for no name.
    fn entry(&mut self, name: Option<&str>, class: &str, fill: impl FnOnce(&mut Item<'_>)) {
        let dn = match name {
            // Names are the server's own and configured ones: a comma, say, must not end the RDN.
            Some(name) => {
                let ava = crate::name::Ava::new("cn", name.as_bytes());
                format!("{},cn=monitor", crate::name::Rdn::single(ava))
            }
            None => "cn=monitor".to_owned(),
        };
        let Ok(key) = NormalizedDn::parse(&dn, &self.schema) else { return };
        let mut item = Item { schema: &self.schema, builder: EntryBuilder::new() };
        for class in ["top", "ds-monitor-entry", class, "extensibleObject"] {
            item.text("objectClass", class);
        }
        item.text("cn", name.unwrap_or("monitor"));
        fill(&mut item);
        self.entries.push((key.clone(), made(&dn, &key, &item.builder)));
    }
}

impl CnMonitor {
    /// All entries as of now.
    pub(super) fn report(&self, directory: &Directory) -> Vec<(NormalizedDn, Arc<StoredEntry>)> {
        let mut report = Report { schema: directory.schema.current(), entries: Vec::new() };
        let now_ms = directory.clock.wall_ms();
        let sources = &self.sources;
        let config = sources.config.current();
        let totals: Vec<(String, Totals)> =
            sources.meters.all().into_iter().map(|(name, metrics)| (name, metrics.totals())).collect();
        report.entry(None, "ds-monitor-entry", |item| {
            let sum = |pick: fn(&Totals) -> u64| totals.iter().map(|(_, totals)| pick(totals)).sum();
            item.number("currentConnections", sum(|totals| totals.current_connections));
            item.number("maxConnections", sum(|totals| totals.max_connections));
            item.number("totalConnections", sum(|totals| totals.total_connections));
            item.text("currentTime", &stamp(now_ms));
            item.text("startTime", &stamp(sources.started_ms));
            item.text("upTime", &up_time(now_ms.saturating_sub(sources.started_ms)));
            item.text("productName", "ctsd");
            item.text("vendorName", "ctsd");
        });
        for backend in &config.backends {
            report.entry(Some(&format!("{} Backend", backend.id)), "ds-backend-monitor-entry", |item| {
                self.backend(item, backend, directory);
            });
        }
        for (name, totals) in &totals {
            let class = "ds-connectionhandler-statistics-monitor-entry";
            report.entry(Some(&format!("{name} Statistics")), class, |item| {
                monitor_service::statistics(item, totals)
            });
        }
        let connections = sources.connections.as_ref().map(|connections| connections.list());
        let connections = connections.unwrap_or_default();
        for listener in config.listeners.iter().filter(|listener| listener.enabled) {
            report.entry(Some(&listener.name), "ds-connectionhandler-monitor-entry", |item| {
                handler(item, listener, &connections);
            });
        }
        if sources.connections.is_some() {
            report.entry(Some("Client Connections"), "ds-monitor-entry", |item| {
                for one in &connections {
                    item.text("connection", &connection_text(one));
                }
            });
        }
        report.entry(Some("Locked Accounts"), "ds-monitor-entry", |item| {
            let (count, names) = directory.locked_accounts(MOST_LOCKED);
            item.number("ds-cts-locked-account-count", count as u64);
            names.iter().for_each(|dn| item.text("ds-cts-locked-account", dn));
        });
        let stats = sources.store.as_ref().map(|store| store.current().stats());
        report.entry(Some("Work Queue"), "ds-monitor-entry", |item| {
            let waiting = stats.as_ref().map_or(0, |stats| stats.waiting);
            monitor_service::work_queue(item, &totals, config.administration.work_queue_capacity, waiting);
            if let Some(log) = &sources.access_log {
                item.number("accessLogLinesDropped", log.dropped());
                item.number("accessLogLinesFailed", log.failed());
            }
        });
        if let Some(log) = &sources.access_log {
            report.entry(Some("Log Publishers"), "ds-monitor-entry", |item| {
                log.reports().iter().for_each(|one| monitor_service::log(item, one));
            });
        }
        report.entry(Some("System Information"), "ds-monitor-entry", |item| {
            monitor_service::system(item, sources.config.instance().root());
        });
        if let (Some(stats), Some(backend)) = (&stats, config.data()) {
            report.entry(Some(&format!("{} Storage", backend.id)), "ds-monitor-entry", |item| {
                storage(item, stats);
                if let Some(why) = sources.store.as_ref().and_then(|store| store.current().unwilling()) {
                    item.text("writesRefused", &why.to_string());
                }
                if let Some(store) = sources.store.as_ref().map(|store| store.current()) {
                    item.number("incarnation", u64::from(store.life().incarnation.get()));
                    item.text("stateVector", &store.ruv().to_string());
                    item.text("needsInitialization", if store.life().needs_init { "true" } else { "false" });
                }
            });
        }
        report.entry(Some("Version"), "ds-monitor-entry", |item| {
            item.text("productName", "ctsd");
            item.text("shortName", "ctsd");
            item.text("fullVersion", &format!("ctsd {VERSION}"));
            let numbers = VERSION.split('.').map(|part| part.split('-').next().unwrap_or(part));
            for (name, part) in ["majorVersion", "minorVersion", "pointVersion"].into_iter().zip(numbers) {
                item.text(name, part);
            }
        });
        if let Some(backend) = config.data() {
            let directory = sources.config.instance().resolve(&backend.directory);
            if let Some((free, size)) = disk_space(&directory) {
                report.entry(Some("Disk Space Monitor"), "ds-monitor-entry", |item| {
                    item.text("disk-dir", &directory.display().to_string());
                    item.number("disk-free", free);
                    item.number("disk-size", size);
                    item.number("disk-low-threshold", backend.disk_low_threshold);
                    item.number("disk-full-threshold", backend.disk_full_threshold);
                    let state = if free < backend.disk_full_threshold {
                        "full"
                    } else if free < backend.disk_low_threshold {
                        "low"
                    } else {
                        "normal"
                    };
                    item.text("disk-state", state);
                });
            }
        }
        report.entries
    }

    fn backend(&self, item: &mut Item<'_>, backend: &BackendConfig, directory: &Directory) {
        item.text("ds-backend-id", &backend.id);
        item.text("ds-backend-is-private", "false");
        item.text(
            "ds-backend-writability-mode",
            match backend.writability {
                Writability::Enabled => "enabled",
                Writability::Disabled => "disabled",
                Writability::InternalOnly => "internal-only",
            },
        );
        let entries = directory.store.entries();
        item.number("ds-backend-entry-count", entries);
        for (dn, _) in &backend.base_dns {
            item.text("ds-backend-base-dn", dn);
        }
        // The store counts all suffixes together.
        if let [(dn, _)] = backend.base_dns.as_slice() {
            item.text("ds-base-dn-entry-count", &format!("{entries} {dn}"));
        }
        for (name, state) in directory.store.index_states() {
            item.text("ds-cts-index-state", &format!("{name} {state}"));
            if !state.starts_with("ready") {
                item.text("need-reindex", &name);
            }
        }
        for (kind, count) in directory.store.value_counts("coreTokenType").unwrap_or_default() {
            item.text("ds-cts-token-count", &format!("{kind} {count}"));
        }
    }
}

/// A listener, and who is connected through it.
fn handler(item: &mut Item<'_>, listener: &Listener, connections: &[ConnectionReport]) {
    let protocol = match (listener.kind, listener.use_ssl) {
        (ListenerKind::Ldap, false) => "LDAP",
        (ListenerKind::Ldap, true) => "LDAPS",
        (ListenerKind::Administration, _) => "Administration",
        (ListenerKind::Http, _) => "HTTP",
    };
    item.text("ds-connectionhandler-protocol", protocol);
    for address in &listener.addresses {
        let address = SocketAddr::new(*address, listener.port);
        item.text("ds-connectionhandler-listener", &address.to_string());
    }
    let own = connections.iter().filter(|one| one.to.port() == listener.port);
    item.number("ds-connectionhandler-num-connections", own.clone().count() as u64);
    for one in own {
        item.text("ds-connectionhandler-connection", &connection_text(one));
    }
}

fn connection_text(one: &ConnectionReport) -> String {
    format!(
        "connID=\"{}\" connectTime=\"{}\" source=\"{}\" destination=\"{}\" ldapVersion=\"3\" authDN=\"{}\" \
         security=\"{}\" opsInProgress=\"{}\" persistentSearches=\"{}\" bytesQueued=\"{}\"",
        one.number,
        stamp(one.since_ms),
        one.from,
        one.to,
        one.authenticated_dn,
        if one.is_secure { "TLS" } else { "none" },
        one.in_progress,
        one.persistent_searches,
        one.queued
    )
}

/// What the data store counts.
fn storage(item: &mut Item<'_>, stats: &BackendStats) {
    let log = &stats.log;
    for (name, value) in [
        ("entries", stats.entries),
        ("changesApplied", stats.changes),
        ("changesRefused", stats.refused),
        ("changesWaiting", stats.waiting),
        ("cacheHits", stats.cache_hits),
        ("cacheMisses", stats.cache_misses),
        ("cacheOctets", stats.cache_bytes),
        ("cacheMaxOctets", stats.cache_limit),
        ("logSegments", log.segments),
        ("logOctets", log.octets),
        ("logSegmentsDropped", log.segments_dropped),
        ("logSegmentsRecycled", log.segments_recycled),
        ("logGroups", log.groups),
        ("logLargestGroup", log.largest_group),
        ("logSyncs", log.syncs),
        ("logSegmentsCompacted", stats.compacted),
        ("logSegmentsCompactedTotal", log.segments_compacted),
        ("logCompactedOctetsTotal", log.compacted_octets),
        ("logFileOctets", stats.file_octets),
        ("logLiveOctets", stats.live_octets),
        ("logDeadOctets", log.octets.saturating_sub(stats.live_octets)),
        ("logCopiedOctets", stats.moved_octets),
        ("ds-mon-effective-purge-delay", stats.effective_purge_delay.as_secs()),
        ("logRecordOctets", log.record_octets),
        ("logWrittenOctets", log.written_octets),
        ("logFirstSequence", log.first_sequence),
        ("logLastSequence", log.last_sequence),
        ("logDurableSequence", log.durable_sequence),
    ] {
        item.number(name, value);
    }
    if stats.space.compaction {
        item.number("ds-mon-compaction-delay", stats.space.compaction_delay.as_secs());
    }
    // Over the last ten seconds.
    item.text("logGroupSize", &format!("{:.1}", stats.group_size));
    item.text("logSyncsPerSecond", &format!("{:.1}", stats.syncs_per_second));
    item.text(
        "logSync",
        match stats.durability {
            Durability::Always => "always",
            Durability::Group => "group",
            Durability::Os => "os",
        },
    );
}

/// `yyyyMMddHHmmssZ`.
fn stamp(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y%m%d%H%M%SZ").to_string()
}

fn up_time(ms: u64) -> String {
    let seconds = ms / 1000;
    format!(
        "{} days {} hours {} minutes {} seconds",
        seconds / 86_400,
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}
