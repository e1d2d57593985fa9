//! What the task classes do.

use super::State;
use super::request::Job;
use crate::backend::{Backend, Rebuild};

/// Differences that a task's log names.
const NAMED: usize = 100;

/// Does the job; `say` takes the lines for the task's log.
pub(super) fn perform(backend: &Backend, job: &Job, say: &mut dyn FnMut(String)) -> State {
    match job {
        Job::Rebuild(which) => rebuild(backend, which, say),
        Job::Verify(names) => verify(backend, names.as_deref(), say),
        Job::Stat => stat(backend, say),
    }
}

/// Verifies and tells the lines of a verify task; whether there are no differences.
pub(crate) fn verify_lines(backend: &Backend, names: Option<&[String]>, say: &mut dyn FnMut(String)) -> bool {
    verify(backend, names, say) == State::Succeeded
}

/// Speaks at each quarter.
struct Quarters(String, u64);

impl Quarters {
    fn reached(&mut self, what: &str, done: u64, total: u64) -> Option<u64> {
        let quarter = (done * 4).checked_div(total).unwrap_or(4).min(4);
        if self.0 == what && quarter <= self.1 {
            return None;
        }
        self.0 = what.to_owned();
        self.1 = quarter;
        (quarter > 0).then_some(quarter * 25)
    }
}

fn rebuild(backend: &Backend, which: &Rebuild, say: &mut dyn FnMut(String)) -> State {
    let mut quarters = Quarters(String::new(), 0);
    let outcome = backend.rebuild(which, &mut |done, total| {
        if let Some(percent) = quarters.reached("entries", done, total) {
            say(format!("rebuilding: {done} of {total} entries, {percent} %"));
        }
    });
    match outcome {
        Ok(names) if names.is_empty() => {
            say("rebuilt indexes=0: none needs it".to_owned());
            State::Succeeded
        }
        Ok(names) => {
            say(format!("rebuilt indexes={}: {}", names.len(), names.join(" ")));
            State::Succeeded
        }
        Err(error) => {
            say(format!("error: {error}"));
            State::Failed
        }
    }
}

fn verify(backend: &Backend, names: Option<&[String]>, say: &mut dyn FnMut(String)) -> State {
    let mut quarters = Quarters(String::new(), 0);
    let outcome = backend.verify(names, &mut |what, done, total| {
        if let Some(percent) = quarters.reached(what, done, total)
            && what == "entries"
        {
            say(format!("verifying: {done} of {total} entries, {percent} %"));
        }
    });
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            say(format!("error: {error}"));
            return State::Failed;
        }
    };
    for name in &report.left_out {
        say(format!("left out index={name}: it is not ready"));
    }
    report.found.iter().take(NAMED).for_each(|found| say(found.to_string()));
    say(format!(
        "verified entries={} keys={} records={} differences={}",
        report.entries, report.keys, report.records, report.differences
    ));
    if report.differences == 0 { State::Succeeded } else { State::Failed }
}

fn stat(backend: &Backend, say: &mut dyn FnMut(String)) -> State {
    figures(backend).into_iter().for_each(say);
    State::Succeeded
}

/// Sizes of the store, one figure a line.
pub(crate) fn figures(backend: &Backend) -> Vec<String> {
    let stats = backend.stats();
    let mut lines = vec![
        format!("entries={}", stats.entries),
        format!(
            "log segments={} octets={} spares={} first-sequence={} last-sequence={}",
            stats.log.segments,
            stats.log.octets,
            stats.log.spares,
            stats.log.first_sequence,
            stats.log.last_sequence
        ),
        format!("cache octets={} hits={} misses={}", stats.cache_bytes, stats.cache_hits, stats.cache_misses),
    ];
    let trees = backend.memory();
    let total: u64 = trees.iter().map(|(_, octets)| octets).sum();
    lines.extend(trees.into_iter().map(|(name, octets)| format!("tree name={name} octets={octets}")));
    lines.push(format!("trees octets={total}"));
    lines
}
