//! Whether the server does its work, and the numbers that tell how.

use std::sync::Weak;

use super::listener::House;
use super::ports::Ports;
use crate::backend::TokenStore;
use crate::config::ListenerKind;
use crate::telemetry::{Exposition, ProcessReport, disk_space};

/// What looks at the server from outside its service.
pub(super) struct Health {
    pub(super) house: std::sync::Arc<House>,
    pub(super) ports: Weak<Ports>,
}

impl Health {
    /// What keeps the process from serving at all; empty if nothing does.
    pub(super) fn alive(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.house.table.is_stopping() {
            faults.push("the server is shutting down".to_owned());
        }
        let serves = |ports: &Ports| ports.kinds().contains(&ListenerKind::Ldap);
        if !self.ports.upgrade().is_some_and(|ports| serves(&ports)) {
            faults.push("no LDAP port is open".to_owned());
        }
        faults
    }

    /// What keeps it from serving all requests; empty if nothing does.
    pub(super) fn healthy(&self) -> Vec<String> {
        let mut faults = self.alive();
        if let Some(why) = self.house.backend.current().unwilling() {
            faults.push(format!("the data store takes no writes: {why}"));
        }
        if let Some(why) = self.house.directory.lockdown.reason() {
            faults.push(format!("lockdown mode, administrators alone are served: {why}"));
        }
        let config = self.house.directory.config.current();
        match config.data() {
            None => faults.push("no data store is enabled".to_owned()),
            Some(data) => {
                let folder = self.house.instance.resolve(&data.directory);
                if let Some((free, _)) =
                    disk_space(&folder).filter(|(free, _)| *free < data.disk_full_threshold)
                {
                    let limit = data.disk_full_threshold;
                    faults.push(format!("the disk is full: {free} octets are free, {limit} are needed"));
                }
            }
        }
        faults
    }

    /// All numbers, in the text format of Prometheus.
    pub(super) fn exposition(&self) -> String {
        let mut out = Exposition::default();
        let (house, directory) = (&self.house, &self.house.directory);
        let version = env!("CARGO_PKG_VERSION");
        out.family("ctsd_build_info", "gauge", "The version, as a label.");
        out.sample("ctsd_build_info", &[("version", version)], 1);
        out.number("ctsd_up", "gauge", "1 if /alive says so.", u8::from(self.alive().is_empty()));
        out.number("ctsd_healthy", "gauge", "1 if /healthy says so.", u8::from(self.healthy().is_empty()));
        let started = house.started_ms / 1000;
        out.number("ctsd_start_time_seconds", "gauge", "Start of the server, Unix time.", started);
        out.totals(&house.meters.totals());
        self.store(&mut out);
        self.certificates(&mut out);
        let log = &directory.access_log;
        let dropped = "Access log lines dropped because the queue was full.";
        out.number("ctsd_access_log_dropped_total", "counter", dropped, log.dropped());
        let failed = "Access log lines that could not be written.";
        out.number("ctsd_access_log_failed_total", "counter", failed, log.failed());
        out.family("ctsd_tokens", "gauge", "Tokens by type, where coreTokenType has an index.");
        for (kind, count) in directory.store.value_counts("coreTokenType").unwrap_or_default() {
            out.sample("ctsd_tokens", &[("type", &kind)], count);
        }
        let process = ProcessReport::now();
        out.number("process_resident_memory_bytes", "gauge", "Memory in use.", process.resident);
        out.number("process_open_fds", "gauge", "Open file descriptors.", process.open_files);
        out.number("process_max_fds", "gauge", "The limit of open file descriptors.", process.most_files);
        out.number("process_threads", "gauge", "Threads.", process.threads);
        out.into_text()
    }

    fn store(&self, out: &mut Exposition) {
        let stats = self.house.backend.current().stats();
        let log = &stats.log;
        let gauges = [
            ("ctsd_store_entries", "Entries in the data store.", stats.entries),
            ("ctsd_store_waiting", "Changes that wait for the sequencer.", stats.waiting),
            ("ctsd_store_cache_bytes", "Octets of entries in the cache.", stats.cache_bytes),
            ("ctsd_log_segments", "Segments in the log.", log.segments),
            ("ctsd_log_bytes", "Octets in the log.", log.octets),
            ("ctsd_log_last_sequence", "The last change in the log.", log.last_sequence),
            ("ctsd_log_durable_sequence", "The last change known to be on disk.", log.durable_sequence),
            ("ctsd_log_largest_group", "Changes in the largest group.", log.largest_group),
        ];
        for (name, help, value) in gauges {
            out.number(name, "gauge", help, value);
        }
        let counters = [
            ("ctsd_store_changes_total", "Changes applied.", stats.changes),
            ("ctsd_store_refused_total", "Changes refused by a check.", stats.refused),
            ("ctsd_store_cache_hits_total", "Reads answered from the cache.", stats.cache_hits),
            ("ctsd_store_cache_misses_total", "Reads that went to the log.", stats.cache_misses),
            ("ctsd_log_groups_total", "Groups of changes committed.", log.groups),
            ("ctsd_log_syncs_total", "Durable writes and syncs.", log.syncs),
            ("ctsd_log_record_bytes_total", "Octets of committed records.", log.record_octets),
            ("ctsd_log_written_bytes_total", "Octets handed to the device for them.", log.written_octets),
        ];
        for (name, help, value) in counters {
            out.number(name, "counter", help, value);
        }
        out.family("ctsd_index_ready", "gauge", "1 for an index that is built.");
        for (name, state) in self.house.backend.index_states() {
            out.sample("ctsd_index_ready", &[("index", &name)], u8::from(state == "ready"));
        }
        let config = self.house.directory.config.current();
        let folder = config.data().map(|data| self.house.instance.resolve(&data.directory));
        if let Some((free, size)) = folder.and_then(|folder| disk_space(&folder)) {
            out.number("ctsd_disk_free_bytes", "gauge", "Octets free where the data is.", free);
            out.number("ctsd_disk_size_bytes", "gauge", "Octets of that disk.", size);
        }
    }

    fn certificates(&self, out: &mut Exposition) {
        let name = "ctsd_certificate_expiry_seconds";
        out.family(name, "gauge", "When a listener's certificate ends, Unix time.");
        for (listener, settings) in self.ports.upgrade().iter().flat_map(|ports| ports.all_tls()) {
            if let Some(end) = settings.expires() {
                out.sample(name, &[("listener", &listener)], end);
            }
        }
    }
}
