//! Telling how far a start is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a start is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPhase {
    /// Loading the checkpoint; counted in octets.
    Checkpoint,
    /// Reading the log; counted in records, whose number is not known before the end.
    Log,
    /// Putting entries into the view; counted in entries.
    Entries,
}

impl StartPhase {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Checkpoint, Self::Log, Self::Entries];
}

impl std::fmt::Display for StartPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Checkpoint => "loading the checkpoint",
            Self::Log => "reading the log",
            Self::Entries => "building the view",
        })
    }
}

/// How far a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartProgress {
    /// What it is at.
    pub phase: StartPhase,
    /// How much of it is done.
    pub done: u64,
    /// How much there is; 0 if that is not known.
    pub total: u64,
}

impl std::fmt::Display for StartProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = self.phase;
        match (self.done * 100).checked_div(self.total) {
            Some(percent) => write!(f, "{what}: {percent} %"),
            None => write!(f, "{what}: {} records", self.done),
        }
    }
}

/// Who is told.
pub(crate) type Sink = Arc<dyn Fn(StartProgress) + Send + Sync>;

/// Records between two reports where the total is not known.
const STEP: u64 = 100_000;

/// Tells the log and a sink at each tenth of a phase.
pub(crate) struct Reporter {
    sink: Option<Sink>,
    /// Phase and tenth that were told last, as one number.
    told: AtomicU64,
}

impl Reporter {
    pub(crate) fn new(sink: Option<Sink>) -> Self {
        Self { sink, told: AtomicU64::new(0) }
    }

    /// Tells of progress, if it is a step further.
    pub(crate) fn tell(&self, phase: StartPhase, done: u64, total: u64) {
        let step = (done * 10).checked_div(total).unwrap_or(done / STEP);
        let number = ((phase as u64) << 48) + step;
        if step == 0 || self.told.fetch_max(number, Ordering::Relaxed) >= number {
            return;
        }
        let progress = StartProgress { phase, done, total };
        tracing::info!("{progress}");
        if let Some(sink) = &self.sink {
            sink(progress);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_step_is_told_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let reporter = Reporter::new(Some(Arc::new(move |progress: StartProgress| {
            log.lock().unwrap().push(progress.to_string());
        })));
        for done in 0..=30 {
            reporter.tell(StartPhase::Checkpoint, done, 30);
        }
        reporter.tell(StartPhase::Log, 250_000, 0);
        reporter.tell(StartPhase::Log, 250_001, 0);
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 11);
        assert_eq!(
            (told[0].as_str(), told[10].as_str()),
            ("loading the checkpoint: 10 %", "reading the log: 250000 records")
        );
    }
}
