//! A histogram of durations: exact below 8 µs, then eight parts to each power of two, up to about 67 s. What it tells of a
//! duration is wrong by an eighth at the most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Parts of a power of two, as bits.
const BITS: u32 = 3;
const PARTS: u64 = 1 << BITS;
/// Durations of 2^this µs and more are counted together.
const TOP: u32 = 26;
/// Places: those below 8 µs, those of each power, and the last.
const PLACES: usize = ((TOP - BITS + 1) as usize) * PARTS as usize + 1;
/// Places of [`Latencies::by_powers`].
const POWERS: usize = TOP as usize + 1;

fn place(microseconds: u64) -> usize {
    if microseconds < PARTS {
        return microseconds as usize;
    }
    let power = u64::BITS - 1 - microseconds.leading_zeros();
    if power >= TOP {
        return PLACES - 1;
    }
    let part = (microseconds >> (power - BITS)) & (PARTS - 1);
    (u64::from(power - BITS + 1) * PARTS + part) as usize
}

/// The greatest duration of a place, in microseconds.
fn greatest(place: usize) -> u64 {
    let place = place as u64;
    if place < PARTS {
        return place;
    }
    let (power, part) = (place / PARTS + u64::from(BITS) - 1, place % PARTS);
    ((PARTS + part + 1) << (power - u64::from(BITS))) - 1
}

/// The counters.
pub(super) struct Histogram {
    places: [AtomicU64; PLACES],
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { places: std::array::from_fn(|_| AtomicU64::new(0)), max: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one.
    pub(super) fn count(&self, microseconds: u64) {
        if let Some(counter) = self.places.get(place(microseconds)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if microseconds > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(microseconds, Ordering::Relaxed);
        }
    }
}

/// Durations counted.
#[derive(Clone, PartialEq, Eq)]
pub struct Latencies {
    places: Vec<u64>,
    max: u64,
}

impl std::fmt::Debug for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Latencies").field("max", &self.max).finish_non_exhaustive()
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { places: vec![0; PLACES], max: 0 }
    }
}

impl Latencies {
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for (sum, counter) in self.places.iter_mut().zip(&histogram.places) {
            *sum += counter.load(Ordering::Relaxed);
        }
        self.max = self.max.max(histogram.max.load(Ordering::Relaxed));
    }

    /// Adds another one's counts.
    pub(super) fn merge(&mut self, other: &Self) {
        self.places.iter_mut().zip(&other.places).for_each(|(sum, count)| *sum += count);
        self.max = self.max.max(other.max);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.places.iter().sum()
    }

    /// The longest.
    pub const fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// What so many percent were no longer than, to an eighth; zero if nothing was counted.
    pub fn percentile(&self, percent: f64) -> Duration {
        let count = self.count();
        let wanted = ((count as f64) * percent / 100.0).ceil().max(1.0) as u64;
        let mut below = 0;
        for (place, counted) in self.places.iter().enumerate() {
            below += counted;
            if below >= wanted {
                let bound = if place == PLACES - 1 { self.max } else { greatest(place).min(self.max) };
                return Duration::from_micros(bound);
            }
        }
        Duration::ZERO
    }

    /// By powers of two: place n counts those below 2^n µs that are in no earlier place; the last those of no other.
    pub fn by_powers(&self) -> Vec<u64> {
        let mut powers = vec![0; POWERS];
        for (number, counted) in self.places.iter().enumerate() {
            let bits =
                if number == PLACES - 1 { u64::BITS } else { u64::BITS - greatest(number).leading_zeros() };
            let power = (bits as usize).min(POWERS - 1);
            if let Some(sum) = powers.get_mut(power) {
                *sum += counted;
            }
        }
        powers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_in_order_and_an_eighth_wide(microseconds in 0_u64..(1 << 27)) {
            let at = place(microseconds);
            prop_assert!(place(microseconds + 1) >= at && at < PLACES);
            if at < PLACES - 1 {
                prop_assert!(greatest(at) >= microseconds);
                prop_assert!(greatest(at) - microseconds <= microseconds / 8);
                prop_assert!(place(greatest(at)) == at && place(greatest(at) + 1) == at + 1);
            } else {
                prop_assert!(microseconds >= 1 << TOP);
            }
        }
    }

    #[test]
    fn percentiles_and_powers() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|microseconds| histogram.count(microseconds));
        histogram.count(u64::MAX >> 1);
        let mut latencies = Latencies::default();
        latencies.add(&histogram);
        let mut twice = latencies.clone();
        twice.merge(&latencies);
        assert_eq!((latencies.count(), twice.count()), (1001, 2002));
        let near = |percent: f64, wanted: u64| {
            let found = u64::try_from(twice.percentile(percent).as_micros()).unwrap();
            assert!(found.abs_diff(wanted) <= wanted / 8, "{percent} %: {found}");
        };
        near(50.0, 500);
        near(90.0, 900);
        near(99.0, 990);
        assert_eq!(latencies.percentile(100.0), latencies.max());
        assert_eq!(Latencies::default().percentile(99.0), Duration::ZERO);
        let powers = latencies.by_powers();
        assert_eq!(powers.get(..4), Some(&[0, 1, 2, 4][..]));
        assert_eq!((powers.get(10), powers.last()), (Some(&489), Some(&1)));
    }
}
