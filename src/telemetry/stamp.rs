//! Times as logs write them, made anew only when the second changes, and the buffer that records are put together in.

use std::cell::RefCell;
use std::fmt::Write;

/// Buffers larger than this are not kept.
const KEPT_CAPACITY: usize = 64 * 1024;

/// What a thread makes records with.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) text: String,
    pub(super) octets: Vec<u8>,
    pub(super) stamp: Stamp,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Lends the thread's buffers, empty; nothing is made while they are lent already, or when the thread ends.
pub(super) fn with_scratch(make: impl FnOnce(&mut Scratch)) {
    let lend = |cell: &RefCell<Scratch>| {
        let Ok(mut scratch) = cell.try_borrow_mut() else { return };
        make(&mut scratch);
        if scratch.text.capacity() > KEPT_CAPACITY {
            scratch.text = String::new();
        }
        if scratch.octets.capacity() > KEPT_CAPACITY {
            scratch.octets = Vec::new();
        }
        scratch.text.clear();
        scratch.octets.clear();
    };
    // A thread that has given up its buffers logs no more.
    let _ = SCRATCH.try_with(lend);
}

/// Times of records.
pub(super) struct Stamp {
    zone: jiff::tz::TimeZone,
    second: u64,
    local: String,
    universal: String,
    whole: String,
}

impl Default for Stamp {
    fn default() -> Self {
        Self {
            zone: jiff::tz::TimeZone::system(),
            second: u64::MAX,
            local: String::new(),
            universal: String::new(),
            whole: String::new(),
        }
    }
}

impl Stamp {
    fn set(&mut self, wall_ms: u64) {
        let second = wall_ms / 1000;
        if second == self.second {
            return;
        }
        self.second = second;
        let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
        let time = time.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        self.local = time.to_zoned(self.zone.clone()).strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
        self.universal = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    }

    /// `dd/MMM/yyyy:HH:mm:ss ±zzzz`.
    pub(super) fn local(&mut self, wall_ms: u64) -> &str {
        self.set(wall_ms);
        &self.local
    }

    /// `yyyy-MM-ddTHH:mm:ss.SSSZ`.
    pub(super) fn universal(&mut self, wall_ms: u64) -> &str {
        self.set(wall_ms);
        self.whole.clear();
        self.whole.push_str(&self.universal);
        // Writing to a String does not fail.
        let _ = write!(self.whole, ".{:03}Z", wall_ms % 1000);
        &self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_their_moment() {
        let mut stamp = Stamp { zone: jiff::tz::TimeZone::UTC, ..Stamp::default() };
        assert_eq!(stamp.universal(1_700_000_000_042), "2023-11-14T22:13:20.042Z");
        assert_eq!(stamp.local(1_700_000_001_999), "14/Nov/2023:22:13:21 +0000");
        assert_eq!(stamp.universal(1_700_000_001_999), "2023-11-14T22:13:21.999Z");
    }

    #[test]
    fn buffers_are_lent_empty() {
        with_scratch(|scratch| scratch.text.push('x'));
        with_scratch(|scratch| assert!(scratch.text.is_empty()));
    }
}
