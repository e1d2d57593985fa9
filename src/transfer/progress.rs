//! Telling how far it is.

use std::time::Duration;

use crate::clock::Clock;

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Who looks on.
pub struct Watch<'a> {
    /// Told each line.
    pub say: &'a mut dyn FnMut(String),
    /// Asked now and then whether to stop.
    pub stops: &'a (dyn Fn() -> bool + Sync),
    /// Time.
    pub clock: &'a dyn Clock,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// Counts, and says so every ten seconds.
pub(super) struct Progress {
    began: Duration,
    told: Duration,
    count: u64,
}

/// Events a second, at least over a millisecond.
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(0.001)
}

/// Seconds as a person reads them.
fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

impl Progress {
    pub(super) fn begin(clock: &dyn Clock) -> Self {
        let began = clock.monotonic();
        Self { began, told: began, count: 0 }
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self, clock: &dyn Clock) -> Duration {
        clock.monotonic().saturating_sub(self.began)
    }

    /// Looks whether a line is due: `text` for so many done, with the rate since the last line, and how long what is left
    /// (`done` of `total`, in any unit) takes at the rate so far.
    pub(super) fn tell(
        &mut self,
        watch: &mut Watch<'_>,
        count: u64,
        done: u64,
        total: u64,
        text: &dyn Fn() -> String,
    ) {
        let now = watch.clock.monotonic();
        let since = now.saturating_sub(self.told);
        if since < EVERY {
            return;
        }
        let recent = rate(count.saturating_sub(self.count), since);
        let elapsed = now.saturating_sub(self.began).as_secs_f64();
        let left =
            if done == 0 { None } else { Some(elapsed * total.saturating_sub(done) as f64 / done as f64) };
        let left = left.map_or_else(String::new, |left| format!(", {} left", duration(left as u64)));
        let percent = (done.min(total) * 100).checked_div(total).unwrap_or(0);
        (watch.say)(format!("{} (recent rate {recent:.1}/sec, {percent} %{left})", text()));
        (self.told, self.count) = (now, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_line_comes_when_it_is_due_and_says_how_long_it_takes() {
        let clock = ManualClock::at(0);
        let mut progress = Progress::begin(&clock);
        let mut lines = Vec::new();
        let mut say = |line: String| lines.push(line);
        let mut watch = Watch { say: &mut say, stops: &|| false, clock: &clock };
        progress.tell(&mut watch, 10, 1, 4, &|| "10 done".into());
        clock.advance(Duration::from_secs(20));
        progress.tell(&mut watch, 1000, 1, 4, &|| "1000 done".into());
        progress.tell(&mut watch, 2000, 2, 4, &|| "2000 done".into());
        assert_eq!(lines, ["1000 done (recent rate 50.0/sec, 25 %, 1 min 0 s left)"]);
        assert_eq!(duration(3700), "1 h 1 min");
    }
}
