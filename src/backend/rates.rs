//! What the log did lately, a second: for who looks only once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::log::LogStats;

/// Readings kept; one comes with each round of the purge.
const KEPT: usize = 11;

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Duration,
    records: u64,
    groups: u64,
    syncs: u64,
}

/// The last readings of the log's counters.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<VecDeque<Reading>>);

impl Rates {
    /// Takes a reading at a monotonic time.
    pub(crate) fn read(&self, at: Duration, log: &LogStats) {
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if readings.len() >= KEPT {
            readings.pop_front();
        }
        readings.push_back(Reading { at, records: log.records, groups: log.groups, syncs: log.syncs });
    }

    /// Syncs a second and records a group, since the oldest reading (ten seconds ago); zeros without one.
    pub(crate) fn since(&self, now: Duration, log: &LogStats) -> (f64, f64) {
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = readings.front() else { return (0.0, 0.0) };
        let seconds = now.saturating_sub(oldest.at).as_secs_f64();
        let ratio = |value: u64, by: f64| if by > 0.0 { value as f64 / by } else { 0.0 };
        let groups = log.groups.saturating_sub(oldest.groups);
        let syncs = ratio(log.syncs.saturating_sub(oldest.syncs), seconds);
        (syncs, ratio(log.records.saturating_sub(oldest.records), groups as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_readings() {
        let rates = Rates::default();
        let log = |number: u64| LogStats {
            records: number * 80,
            groups: number * 10,
            syncs: number * 20,
            ..LogStats::default()
        };
        assert_eq!(rates.since(Duration::from_secs(9), &log(9)), (0.0, 0.0));
        for second in 0..30 {
            rates.read(Duration::from_secs(second), &log(second * second));
        }
        // From second 19 on.
        let (syncs, size) = rates.since(Duration::from_secs(29), &log(29 * 29));
        assert_eq!((syncs, size), (20.0 * f64::from(29 * 29 - 19 * 19) / 10.0, 8.0));
    }
}
