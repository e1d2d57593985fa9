//! Latencies and errors of a phase, and how they are shown.

use std::collections::BTreeMap;
use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::machine::Counters;
use crate::workload::{KINDS, Kind};

/// Takes what happens in a phase.
pub(crate) struct Recorder {
    start: u64,
    kinds: Vec<Option<Histogram<u64>>>,
    /// What clients of a token store wait for, of all kinds.
    work: Histogram<u64>,
    /// Connections of each pool.
    sizes: Vec<usize>,
    /// Operations of each connection, and latencies of each pool.
    connections: Vec<u64>,
    pools: Vec<Histogram<u64>>,
    errors: Vec<BTreeMap<String, u64>>,
    second: Histogram<u64>,
    seconds: Vec<Second>,
    unsent: u64,
    unanswered: u64,
}

/// One second of a phase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Second {
    operations: u64,
    p50: f64,
    p99: f64,
    max: f64,
}

/// What came out of a phase.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) phase: &'static str,
    pub(crate) elapsed: f64,
    pub(crate) kinds: Vec<KindFigures>,
    /// All operations but those of the expiry worker, listeners and heartbeats.
    pub(crate) work: WorkFigures,
    pub(crate) before: Counters,
    pub(crate) after: Counters,
    pub(crate) live: usize,
    /// Notifications that were due and that came.
    pub(crate) notified: Option<(u64, u64)>,
    pub(crate) longest_backlog: Option<usize>,
    pub(crate) unsent: u64,
    pub(crate) unanswered: u64,
    pub(crate) seconds: Vec<Second>,
    pub(crate) pools: Vec<PoolFigures>,
}

/// What came out for all that clients of a token store wait for; latencies in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkFigures {
    pub(crate) operations: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// What the connections of one OpenAM server got.
#[derive(Debug)]
pub(crate) struct PoolFigures {
    pub(crate) connections: usize,
    pub(crate) operations: u64,
    /// The fewest and the most operations of one connection.
    pub(crate) least: u64,
    pub(crate) most: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What came out for one kind; latencies in milliseconds.
#[derive(Debug)]
pub(crate) struct KindFigures {
    pub(crate) name: &'static str,
    pub(crate) operations: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    /// Operations above [`LATE`].
    pub(crate) late: u64,
    /// Latencies at the quantiles of a plot.
    pub(crate) quantiles: Vec<(f64, f64)>,
    pub(crate) errors: BTreeMap<String, u64>,
}

/// What a heartbeat may take, in nanoseconds.
const LATE: u64 = 100_000_000;

/// What a plot of latencies is made of.
const QUANTILES: [f64; 14] =
    [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0];

/// From a microsecond to five minutes, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 300_000_000_000, 3).expect("the bounds are in order")
}

fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

impl Recorder {
    pub(crate) fn new(sizes: &[usize]) -> Self {
        Self {
            start: 0,
            sizes: sizes.to_vec(),
            connections: vec![0; sizes.iter().sum()],
            pools: sizes.iter().map(|_| histogram()).collect(),
            kinds: KINDS.iter().map(|_| None).collect(),
            work: histogram(),
            errors: KINDS.iter().map(|_| BTreeMap::new()).collect(),
            second: histogram(),
            seconds: Vec::new(),
            unsent: 0,
            unanswered: 0,
        }
    }

    /// Forgets all and starts to measure; what was sent before is not counted.
    pub(crate) fn start(&mut self, now: u64) {
        *self = Self::new(&self.sizes);
        self.start = now;
    }

    pub(crate) fn record(&mut self, kind: Kind, since: u64, now: u64, connection: usize) {
        if since < self.start {
            return;
        }
        while (now - self.start) / 1_000_000_000 > self.seconds.len() as u64 {
            self.seconds.push(Second {
                operations: self.second.len(),
                p50: ms(self.second.value_at_quantile(0.5)),
                p99: ms(self.second.value_at_quantile(0.99)),
                max: ms(self.second.max()),
            });
            self.second.reset();
        }
        let latency = now.saturating_sub(since);
        if let Some(operations) = self.connections.get_mut(connection) {
            *operations += 1;
            let mut rest = connection;
            for (size, pool) in self.sizes.iter().zip(&mut self.pools) {
                if rest < *size {
                    pool.saturating_record(latency);
                    break;
                }
                rest -= size;
            }
        }
        self.kinds[kind as usize].get_or_insert_with(histogram).saturating_record(latency);
        self.second.saturating_record(latency);
        if kind.is_work() {
            self.work.saturating_record(latency);
        }
    }

    pub(crate) fn wrong(&mut self, kind: Kind, what: String) {
        let errors = &mut self.errors[kind as usize];
        if errors.len() < 20 || errors.contains_key(&what) {
            *errors.entry(what).or_default() += 1;
        }
    }

    /// Operations of the open loop that were due and could not even be sent.
    pub(crate) fn unsent(&mut self, count: usize) {
        self.unsent += count as u64;
    }

    pub(crate) fn unanswered(&mut self, count: usize) {
        self.unanswered += count as u64;
    }

    pub(crate) fn figures(
        self,
        phase: &'static str,
        elapsed: f64,
        before: Counters,
        after: Counters,
        live: usize,
    ) -> Figures {
        let above = |step: &hdrhistogram::iterators::IterationValue<u64>| step.value_iterated_to() > LATE;
        let kinds = KINDS
            .iter()
            .zip(self.kinds)
            .zip(self.errors)
            .filter(|((_, histogram), errors)| histogram.is_some() || !errors.is_empty())
            .map(|((name, histogram), errors)| {
                let values = histogram.unwrap_or_else(self::histogram);
                KindFigures {
                    name,
                    operations: values.len(),
                    p50: ms(values.value_at_quantile(0.5)),
                    p99: ms(values.value_at_quantile(0.99)),
                    p999: ms(values.value_at_quantile(0.999)),
                    max: ms(values.max()),
                    late: values.iter_recorded().filter(above).map(|step| step.count_at_value()).sum(),
                    quantiles: QUANTILES.iter().map(|at| (*at, ms(values.value_at_quantile(*at)))).collect(),
                    errors,
                }
            })
            .collect();
        let mut rest = self.connections.as_slice();
        let mut pools = Vec::new();
        for (size, latencies) in self.sizes.iter().zip(self.pools) {
            let (own, others) = rest.split_at(*size);
            rest = others;
            pools.push(PoolFigures {
                connections: *size,
                operations: latencies.len(),
                least: own.iter().copied().min().unwrap_or(0),
                most: own.iter().copied().max().unwrap_or(0),
                p50: ms(latencies.value_at_quantile(0.5)),
                p99: ms(latencies.value_at_quantile(0.99)),
            });
        }
        Figures {
            phase,
            elapsed,
            kinds,
            work: WorkFigures {
                operations: self.work.len(),
                p50: ms(self.work.value_at_quantile(0.5)),
                p99: ms(self.work.value_at_quantile(0.99)),
                p999: ms(self.work.value_at_quantile(0.999)),
                max: ms(self.work.max()),
            },
            before,
            after,
            live,
            notified: None,
            longest_backlog: None,
            unsent: self.unsent,
            unanswered: self.unanswered,
            seconds: self.seconds,
            pools,
        }
    }
}

impl Figures {
    /// Operations of the phase; heartbeats beside it are not its own.
    pub(crate) fn operations(&self) -> u64 {
        let own = |kind: &&KindFigures| kind.name != "heartbeat" || self.phase == "heartbeat";
        self.kinds.iter().filter(own).map(|kind| kind.operations).sum()
    }

    /// Whether something was not as it should be.
    pub(crate) fn is_wrong(&self) -> bool {
        self.kinds.iter().any(|kind| !kind.errors.is_empty())
            || self.unanswered > 0
            || self.notified.is_some_and(|(due, came)| due != came)
    }

    fn per_operation(&self, value: f64) -> f64 {
        value / (self.operations().max(1) as f64)
    }

    fn totals(&self) -> [(&'static str, f64); 11] {
        let (before, after) = (&self.before, &self.after);
        let (server, client) = (after.server - before.server, after.client - before.client);
        let others = (after.busy - before.busy - server - client).max(0.0) / self.elapsed;
        [
            ("seconds", self.elapsed),
            ("operations", self.operations() as f64),
            ("operations_per_second", self.operations() as f64 / self.elapsed),
            ("server_cpu_us_per_operation", self.per_operation(server * 1e6)),
            ("client_cpu_us_per_operation", self.per_operation(client * 1e6)),
            ("server_written_octets_per_operation", self.per_operation(after.written - before.written)),
            ("device_octets_per_operation", self.per_operation(after.device - before.device)),
            ("device_flushes_per_second", (after.flushes - before.flushes) / self.elapsed),
            ("server_resident_mb", after.resident / 1e6),
            ("others_cores", others),
            ("live_tokens", self.live as f64),
        ]
    }

    /// The phase as a table.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        for kind in &self.kinds {
            let rate = kind.operations as f64 / self.elapsed;
            let wrong: u64 = kind.errors.values().sum();
            let _ = writeln!(
                out,
                "{:<16} {:<16} {:>9} {:>10.0} {:>9.3} {:>9.3} {:>9.3} {:>9.2} {:>7}",
                self.phase, kind.name, kind.operations, rate, kind.p50, kind.p99, kind.p999, kind.max, wrong
            );
            for (what, count) in &kind.errors {
                let _ = writeln!(out, "    wrong: {count} x {}", what.trim_end());
            }
        }
        if self.kinds.len() > 1 {
            let WorkFigures { operations, p50, p99, p999, max } = self.work;
            let rate = operations as f64 / self.elapsed;
            let _ = writeln!(
                out,
                "{:<16} {:<16} {operations:>9} {rate:>10.0} {p50:>9.3} {p99:>9.3} {p999:>9.3} {max:>9.2}",
                self.phase, "(all work)"
            );
        }
        let [_, _, rate, server, client, written, device, flushes, resident, others, live] =
            self.totals().map(|(_, value)| value);
        let _ = writeln!(
            out,
            "    {:.1} s, {} operations, {rate:.0}/s; CPU us/op: server {server:.1}, client {client:.1}; octets/op: \
             written {written:.0}, device {device:.0}; flushes/s {flushes:.0}; server RSS {resident:.1} MB; others' \
             cores {others:.2}; tokens {live}",
            self.elapsed,
            self.operations(),
        );
        for pool in self.pools.iter().filter(|_| self.pools.len() > 1) {
            let _ = writeln!(
                out,
                "    pool of {}: {} operations, {:.1}/s a connection ({} to {} operations), p50 {:.3} ms, p99 {:.3} ms",
                pool.connections,
                pool.operations,
                pool.operations as f64 / self.elapsed / pool.connections.max(1) as f64,
                pool.least,
                pool.most,
                pool.p50,
                pool.p99,
            );
        }
        let rates = self.pools.iter().map(|pool| pool.operations as f64 / pool.connections.max(1) as f64);
        let (least, most) =
            rates.fold((f64::MAX, 0.0), |(least, most), rate| (rate.min(least), rate.max(most)));
        if self.pools.len() > 1 && least > 0.0 {
            let _ = writeln!(
                out,
                "    a connection of the best served pool got {:.3} x what one of the worst served got",
                most / least
            );
        }
        let late: u64 = self.kinds.iter().filter(|kind| kind.name == "heartbeat").map(|kind| kind.late).sum();
        if late > 0 {
            let _ = writeln!(out, "    heartbeats later than {} ms: {late}", LATE / 1_000_000);
        }
        if let Some((due, came)) = self.notified {
            let _ = writeln!(out, "    notifications: {came} of {due}");
        }
        if let Some(longest) = self.longest_backlog {
            let _ = writeln!(out, "    open loop: longest backlog {longest}, never sent {}", self.unsent);
        }
        if self.unanswered > 0 {
            let _ = writeln!(out, "    never answered: {}", self.unanswered);
        }
        out
    }

    /// How a mix with the expiry worker at work compares with one without.
    pub(crate) fn beside(&self, without: &Self) -> String {
        let (with, without) = (self.work.p99, without.work.p99);
        format!(
            "    p99 of all work: {with:.3} ms with the expiry worker, {without:.3} ms in the mix before: {:.2} x\n",
            with / without
        )
    }

    /// The phase as JSON.
    pub(crate) fn json(&self) -> String {
        let mut out = format!("{{\"phase\":\"{}\"", self.phase);
        for (name, value) in self.totals() {
            let _ = write!(out, ",\"{name}\":{}", number(value));
        }
        let _ = write!(out, ",\"never_sent\":{},\"never_answered\":{}", self.unsent, self.unanswered);
        if let Some((due, came)) = self.notified {
            let _ = write!(out, ",\"notifications_due\":{due},\"notifications\":{came}");
        }
        let WorkFigures { operations, p50, p99, p999, max } = self.work;
        let _ = write!(
            out,
            ",\"work\":{{\"operations\":{operations},\"p50_ms\":{},\"p99_ms\":{},\"p99_9_ms\":{},\"max_ms\":{}}}",
            number(p50),
            number(p99),
            number(p999),
            number(max)
        );
        let kinds: Vec<String> = self.kinds.iter().map(KindFigures::json).collect();
        let _ = write!(out, ",\"kinds\":[{}]", kinds.join(","));
        if let Some(longest) = self.longest_backlog {
            let _ = write!(out, ",\"longest_backlog\":{longest}");
        }
        let pools: Vec<String> = self.pools.iter().map(PoolFigures::json).collect();
        let _ = write!(out, ",\"pools\":[{}]", pools.join(","));
        let series = |second: &Second| {
            let Second { operations, p50, p99, max } = second;
            format!("[{operations},{},{},{}]", number(*p50), number(*p99), number(*max))
        };
        let seconds: Vec<String> = self.seconds.iter().map(series).collect();
        let _ = write!(out, ",\"by_second\":[{}]}}", seconds.join(","));
        out
    }
}

impl KindFigures {
    fn json(&self) -> String {
        let errors: Vec<String> =
            self.errors.iter().map(|(what, count)| format!("{}:{count}", text(what))).collect();
        let quantiles: Vec<String> =
            self.quantiles.iter().map(|(at, value)| format!("[{at},{}]", number(*value))).collect();
        format!(
            "{{\"kind\":\"{}\",\"operations\":{},\"p50_ms\":{},\"p99_ms\":{},\"p99_9_ms\":{},\"max_ms\":{},\
             \"later_than_100_ms\":{},\"quantiles_ms\":[{}],\"errors\":{{{}}}}}",
            self.name,
            self.operations,
            number(self.p50),
            number(self.p99),
            number(self.p999),
            number(self.max),
            self.late,
            quantiles.join(","),
            errors.join(",")
        )
    }
}

impl PoolFigures {
    fn json(&self) -> String {
        format!(
            "{{\"connections\":{},\"operations\":{},\"least\":{},\"most\":{},\"p50_ms\":{},\"p99_ms\":{}}}",
            self.connections,
            self.operations,
            self.least,
            self.most,
            number(self.p50),
            number(self.p99)
        )
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!(
        "{:<16} {:<16} {:>9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "phase", "kind", "count", "ops/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "wrong"
    )
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{:.3}", value) } else { "null".to_owned() }
}

/// A JSON string.
pub(crate) fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for letter in value.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
