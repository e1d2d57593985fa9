//! Counters, kept without contention: each thread counts in its own shard, and a reader adds the shards up.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam::utils::CachePadded;

use super::latency::{Histogram, Latencies};
use crate::protocol::message::OperationKind;
use crate::protocol::result::ResultCode;

/// All operations, in the order of their counters.
const KINDS: [OperationKind; 10] = [
    OperationKind::Abandon,
    OperationKind::Add,
    OperationKind::Bind,
    OperationKind::Compare,
    OperationKind::Delete,
    OperationKind::Extended,
    OperationKind::Modify,
    OperationKind::ModifyDn,
    OperationKind::Search,
    OperationKind::Unbind,
];

const fn place(kind: OperationKind) -> usize {
    match kind {
        OperationKind::Abandon => 0,
        OperationKind::Add => 1,
        OperationKind::Bind => 2,
        OperationKind::Compare => 3,
        OperationKind::Delete => 4,
        OperationKind::Extended => 5,
        OperationKind::Modify => 6,
        OperationKind::ModifyDn => 7,
        OperationKind::Search => 8,
        OperationKind::Unbind => 9,
    }
}

/// Result codes below this are counted each, the rest together in the last place.
const CODES: usize = 128;

struct OperationCounters {
    requests: AtomicU64,
    microseconds: AtomicU64,
    codes: [AtomicU64; CODES],
    latencies: Histogram,
}

impl Default for OperationCounters {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            microseconds: AtomicU64::new(0),
            codes: std::array::from_fn(|_| AtomicU64::new(0)),
            latencies: Histogram::default(),
        }
    }
}

#[derive(Default)]
struct Shard {
    operations: [OperationCounters; KINDS.len()],
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    messages_read: AtomicU64,
    messages_written: AtomicU64,
    entries: AtomicU64,
    notifications: AtomicU64,
    unindexed_searches: AtomicU64,
}

/// The counters of one listener.
pub struct Metrics {
    is_kept: AtomicBool,
    shards: Box<[CachePadded<Shard>]>,
    current_connections: AtomicI64,
    max_connections: AtomicI64,
    total_connections: AtomicU64,
    persistent_searches: AtomicI64,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// Threads are numbered as they come; the number picks the shard.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Default for Metrics {
    fn default() -> Self {
        // Threads are more than cores, and two of the busy ones should rarely share a shard.
        let cores = std::thread::available_parallelism().map_or(4, std::num::NonZero::get);
        Self::new((4 * cores).next_power_of_two().min(64))
    }
}

impl Metrics {
    /// Counters in this many shards (at least one).
    pub fn new(shards: usize) -> Self {
        Self {
            is_kept: AtomicBool::new(true),
            shards: (0..shards.max(1)).map(|_| CachePadded::new(Shard::default())).collect(),
            current_connections: AtomicI64::new(0),
            max_connections: AtomicI64::new(0),
            total_connections: AtomicU64::new(0),
            persistent_searches: AtomicI64::new(0),
        }
    }

    /// Whether to count from now on. Connections and persistent searches are counted all the same.
    pub fn keep(&self, is_kept: bool) {
        self.is_kept.store(is_kept, Ordering::Relaxed);
    }

    fn count(&self, with: impl FnOnce(&Shard)) {
        if !self.is_kept.load(Ordering::Relaxed) {
            return;
        }
        let thread = THREAD.with(Cell::get);
        if let Some(shard) = self.shards.get(thread % self.shards.len()) {
            with(shard);
        }
    }

    /// A request has come.
    pub fn request(&self, kind: OperationKind) {
        self.count(|shard| {
            if let Some(operation) = shard.operations.get(place(kind)) {
                add(&operation.requests, 1);
            }
        });
    }

    /// A request is answered (or over, where there is no answer), so long after it came.
    pub fn response(&self, kind: OperationKind, code: ResultCode, took: Duration) {
        self.count(|shard| {
            let Some(operation) = shard.operations.get(place(kind)) else { return };
            let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            add(&operation.microseconds, microseconds);
            let code = usize::try_from(code.0).map_or(CODES - 1, |code| code.min(CODES - 1));
            if let Some(counter) = operation.codes.get(code) {
                add(counter, 1);
            }
            operation.latencies.count(microseconds);
        });
    }

    /// So many messages of so many octets in all were read.
    pub fn read(&self, messages: u64, octets: u64) {
        self.count(|shard| {
            add(&shard.bytes_read, octets);
            add(&shard.messages_read, messages);
        });
    }

    /// So many messages of so many octets in all were written.
    pub fn written(&self, messages: u64, octets: u64) {
        self.count(|shard| {
            add(&shard.bytes_written, octets);
            add(&shard.messages_written, messages);
        });
    }

    /// A search has returned so many entries.
    pub fn entries(&self, count: u64) {
        self.count(|shard| add(&shard.entries, count));
    }

    /// A persistent search has told of a change.
    pub fn notified(&self) {
        self.count(|shard| add(&shard.notifications, 1));
    }

    /// A search was served without an index.
    pub fn unindexed_search(&self) {
        self.count(|shard| add(&shard.unindexed_searches, 1));
    }

    /// A connection was accepted; the number of those open now.
    pub fn connected(&self) -> u64 {
        let open = self.current_connections.fetch_add(1, Ordering::Relaxed) + 1;
        self.max_connections.fetch_max(open, Ordering::Relaxed);
        add(&self.total_connections, 1);
        u64::try_from(open).unwrap_or(0)
    }

    /// The connections open now.
    pub fn open_connections(&self) -> u64 {
        u64::try_from(self.current_connections.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// A connection is closed.
    pub fn disconnected(&self) {
        self.current_connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A persistent search has started; the number of those that run now.
    pub fn persistent_search_started(&self) -> u64 {
        let running = self.persistent_searches.fetch_add(1, Ordering::Relaxed) + 1;
        u64::try_from(running).unwrap_or(0)
    }

    /// A persistent search has ended.
    pub fn persistent_search_ended(&self) {
        self.persistent_searches.fetch_sub(1, Ordering::Relaxed);
    }

    /// All shards added up; counters may move meanwhile.
    pub fn totals(&self) -> Totals {
        let sum = |pick: &dyn Fn(&Shard) -> &AtomicU64| {
            self.shards.iter().map(|shard| pick(shard).load(Ordering::Relaxed)).sum()
        };
        let operations = KINDS.iter().map(|&kind| self.operation(kind)).collect();
        let signed = |counter: &AtomicI64| u64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(0);
        Totals {
            operations,
            bytes_read: sum(&|shard| &shard.bytes_read),
            bytes_written: sum(&|shard| &shard.bytes_written),
            messages_read: sum(&|shard| &shard.messages_read),
            messages_written: sum(&|shard| &shard.messages_written),
            entries: sum(&|shard| &shard.entries),
            notifications: sum(&|shard| &shard.notifications),
            unindexed_searches: sum(&|shard| &shard.unindexed_searches),
            current_connections: signed(&self.current_connections),
            max_connections: signed(&self.max_connections),
            total_connections: self.total_connections.load(Ordering::Relaxed),
            persistent_searches: signed(&self.persistent_searches),
        }
    }

    fn operation(&self, kind: OperationKind) -> OperationTotals {
        let mut totals = OperationTotals {
            kind,
            requests: 0,
            responses: 0,
            total_time: Duration::ZERO,
            codes: Vec::new(),
            latencies: Latencies::default(),
        };
        let mut codes = [0_u64; CODES];
        let mut microseconds = 0_u64;
        for counters in self.shards.iter().filter_map(|shard| shard.operations.get(place(kind))) {
            totals.requests += counters.requests.load(Ordering::Relaxed);
            microseconds = microseconds.wrapping_add(counters.microseconds.load(Ordering::Relaxed));
            for (sum, counter) in codes.iter_mut().zip(&counters.codes) {
                *sum += counter.load(Ordering::Relaxed);
            }
            totals.latencies.add(&counters.latencies);
        }
        totals.total_time = Duration::from_micros(microseconds);
        for (code, count) in (0_u32..).zip(codes).filter(|(_, count)| *count > 0) {
            totals.responses += count;
            totals.codes.push((ResultCode(code), count));
        }
        totals
    }
}

/// The counters of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationTotals {
    /// Which.
    pub kind: OperationKind,
    /// Requests that came.
    pub requests: u64,
    /// Requests that are answered or over.
    pub responses: u64,
    /// Time between the two, summed.
    pub total_time: Duration,
    /// Responses by result code, those that occurred; codes from 127 on are counted together as 127.
    pub codes: Vec<(ResultCode, u64)>,
    /// Responses by time taken.
    pub latencies: Latencies,
}

impl OperationTotals {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.responses += other.responses;
        self.total_time += other.total_time;
        self.latencies.merge(&other.latencies);
        for (code, count) in &other.codes {
            match self.codes.iter_mut().find(|(known, _)| known == code) {
                Some((_, own)) => *own += count,
                None => self.codes.push((*code, *count)),
            }
        }
        self.codes.sort_unstable_by_key(|(code, _)| code.0);
    }
}

/// The counters of a listener at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Totals {
    pub operations: Vec<OperationTotals>,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub messages_read: u64,
    pub messages_written: u64,
    pub entries: u64,
    pub notifications: u64,
    pub unindexed_searches: u64,
    pub current_connections: u64,
    pub max_connections: u64,
    pub total_connections: u64,
    pub persistent_searches: u64,
}

impl Totals {
    /// Requests of all operations that came.
    pub fn initiated(&self) -> u64 {
        self.operations.iter().map(|operation| operation.requests).sum()
    }

    /// Adds another listener's counters. The greatest number of connections at once is the sum of both.
    pub(super) fn merge(&mut self, other: &Self) {
        for (own, others) in self.operations.iter_mut().zip(&other.operations) {
            own.merge(others);
        }
        for (own, others) in [
            (&mut self.bytes_read, other.bytes_read),
            (&mut self.bytes_written, other.bytes_written),
            (&mut self.messages_read, other.messages_read),
            (&mut self.messages_written, other.messages_written),
            (&mut self.entries, other.entries),
            (&mut self.notifications, other.notifications),
            (&mut self.unindexed_searches, other.unindexed_searches),
            (&mut self.current_connections, other.current_connections),
            (&mut self.max_connections, other.max_connections),
            (&mut self.total_connections, other.total_connections),
            (&mut self.persistent_searches, other.persistent_searches),
        ] {
            *own += others;
        }
    }

    /// Requests of all operations that are over.
    pub fn completed(&self) -> u64 {
        self.operations.iter().map(|operation| operation.responses).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up_over_threads() {
        let metrics = Metrics::new(3);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        metrics.request(OperationKind::Add);
                        metrics.response(OperationKind::Add, ResultCode::SUCCESS, Duration::from_micros(3));
                        metrics.read(1, 10);
                    }
                    metrics.response(OperationKind::Add, ResultCode::NO_OPERATION, Duration::MAX);
                });
            }
        });
        let totals = metrics.totals();
        let add = totals.operations.iter().find(|operation| operation.kind == OperationKind::Add).unwrap();
        assert_eq!((add.requests, add.responses), (8000, 8008));
        assert_eq!(add.codes, [(ResultCode::SUCCESS, 8000), (ResultCode(127), 8)]);
        assert_eq!(add.latencies.percentile(50.0), Duration::from_micros(3));
        assert_eq!(add.latencies.count(), 8008);
        assert_eq!((totals.bytes_read, totals.messages_read), (80_000, 8000));
        assert_eq!((totals.initiated(), totals.completed()), (8000, 8008));
    }

    #[test]
    fn connections_keep_their_maximum() {
        let metrics = Metrics::new(1);
        metrics.connected();
        assert_eq!(metrics.connected(), 2);
        metrics.disconnected();
        let totals = metrics.totals();
        assert_eq!((totals.current_connections, totals.max_connections, totals.total_connections), (1, 2, 2));
    }
}
