//! Numbers in the text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};

use super::metrics::Totals;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text being put together: families, each followed by its samples.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Begins a family: its name, what it is (`counter`, `gauge`, `histogram`) and what it counts, on one line.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample with its labels.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            for letter in text.chars() {
                match letter {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// A family of one sample without labels.
    pub fn number(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }

    /// The counters of the LDAP service.
    pub fn totals(&mut self, totals: &Totals) {
        let name = "ctsd_operations_total";
        self.family(name, "counter", "LDAP operations that are over, by result code.");
        for operation in &totals.operations {
            for (code, count) in &operation.codes {
                let labels = [("operation", operation.kind.name()), ("result", &code.0.to_string())];
                self.sample(name, &labels, count);
            }
        }
        let name = "ctsd_operation_duration_seconds";
        self.family(name, "histogram", "Time from a request's arrival to its answer.");
        for operation in totals.operations.iter().filter(|operation| operation.responses > 0) {
            self.histogram(
                name,
                operation.kind.name(),
                &operation.latencies.by_powers(),
                operation.total_time.as_secs_f64(),
            );
        }
        let counters = [
            ("ctsd_bytes_read_total", "Octets read from LDAP clients.", totals.bytes_read),
            ("ctsd_bytes_written_total", "Octets written to LDAP clients.", totals.bytes_written),
            ("ctsd_messages_read_total", "LDAP messages read.", totals.messages_read),
            ("ctsd_messages_written_total", "LDAP messages written.", totals.messages_written),
            ("ctsd_search_entries_total", "Entries that searches returned.", totals.entries),
            ("ctsd_notifications_total", "Changes told to persistent searches.", totals.notifications),
            ("ctsd_unindexed_searches_total", "Searches that no index served.", totals.unindexed_searches),
            ("ctsd_connections_total", "LDAP connections accepted.", totals.total_connections),
        ];
        for (name, help, value) in counters {
            self.number(name, "counter", help, value);
        }
        let gauges = [
            ("ctsd_connections", "LDAP connections open now.", totals.current_connections),
            (
                "ctsd_connections_max",
                "The most LDAP connections that were open at once.",
                totals.max_connections,
            ),
            ("ctsd_persistent_searches", "Persistent searches that stand.", totals.persistent_searches),
            (
                "ctsd_operations_in_flight",
                "LDAP requests that are not over.",
                totals.initiated().saturating_sub(totals.completed()),
            ),
        ];
        for (name, help, value) in gauges {
            self.number(name, "gauge", help, value);
        }
    }

    fn histogram(&mut self, name: &str, operation: &str, buckets: &[u64], seconds: f64) {
        let bucket = format!("{name}_bucket");
        let mut below = 0_u64;
        let last = buckets.len().saturating_sub(1);
        let mut bound = 1e-6_f64;
        // The last place holds what is in no other.
        for count in buckets.iter().take(last) {
            below += count;
            self.sample(&bucket, &[("operation", operation), ("le", &format!("{bound:.6}"))], below);
            bound *= 2.0;
        }
        below += buckets.last().copied().unwrap_or(0);
        self.sample(&bucket, &[("operation", operation), ("le", "+Inf")], below);
        self.sample(&format!("{name}_sum"), &[("operation", operation)], seconds);
        self.sample(&format!("{name}_count"), &[("operation", operation)], below);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::message::OperationKind;
    use crate::protocol::result::ResultCode;
    use crate::telemetry::Metrics;

    #[test]
    fn labels_are_escaped() {
        let mut text = Exposition::default();
        text.sample("x", &[("a", "1\"2\\3\n4"), ("b", "")], 5);
        assert_eq!(text.into_text(), "x{a=\"1\\\"2\\\\3\\n4\",b=\"\"} 5\n");
    }

    #[test]
    fn histograms_add_up_and_end_with_infinity() {
        let metrics = Metrics::new(1);
        metrics.request(OperationKind::Add);
        for took in [Duration::ZERO, Duration::from_micros(3), Duration::MAX] {
            metrics.response(OperationKind::Add, ResultCode::SUCCESS, took);
        }
        let mut text = Exposition::default();
        text.totals(&metrics.totals());
        let text = text.into_text();
        for line in [
            "ctsd_operations_total{operation=\"add\",result=\"0\"} 3",
            "ctsd_operation_duration_seconds_bucket{operation=\"add\",le=\"0.000001\"} 1",
            "ctsd_operation_duration_seconds_bucket{operation=\"add\",le=\"0.000004\"} 2",
            "ctsd_operation_duration_seconds_bucket{operation=\"add\",le=\"+Inf\"} 3",
            "ctsd_operation_duration_seconds_count{operation=\"add\"} 3",
            "# TYPE ctsd_connections gauge",
            "ctsd_operations_in_flight 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("operation=\"bind\""), "nothing is told of what never was");
    }
}
