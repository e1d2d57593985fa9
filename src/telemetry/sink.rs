//! The way of log records to their file: each is copied behind the others in memory; a thread writes them out, many at
//! once. Whoever appends holds a lock for the time of the copy, never for the time of a write.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use super::log_file::{LogFile, Rotation};

/// How long records gather before they are written.
const GATHERING: Duration = Duration::from_millis(25);
/// How often the writing thread looks for what is due (rotation) when nothing is logged.
const IDLE: Duration = Duration::from_secs(10);
/// Octets that may wait, whatever the number of records.
const MOST_OCTETS: usize = 16 << 20;
/// Octets at which the writer does not wait any longer.
const MANY_OCTETS: usize = 1 << 20;
/// Buffers larger than this are not kept.
const KEPT_OCTETS: usize = 4 << 20;

/// What happened to records.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) records: AtomicU64,
    pub(super) octets: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// How a log says that records were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Line,
    Json,
    Comment,
}

#[derive(Debug, Default)]
struct Pending {
    text: Vec<u8>,
    records: usize,
    /// The other buffer, while nobody writes it out.
    spare: Vec<u8>,
}

/// One log file and what waits for it.
#[derive(Debug)]
pub(super) struct Sink {
    pending: Mutex<Pending>,
    most: AtomicUsize,
    file: Mutex<(LogFile, Rotation)>,
    loss: Loss,
    told: AtomicU64,
    is_failing: AtomicBool,
    pub(super) counts: Counts,
    /// Of all logs since the start.
    totals: Arc<Counts>,
}

impl Sink {
    pub(super) fn new(
        file: LogFile,
        rotation: Rotation,
        most: usize,
        loss: Loss,
        totals: Arc<Counts>,
    ) -> Self {
        Self {
            pending: Mutex::default(),
            most: AtomicUsize::new(most.max(1)),
            file: Mutex::new((file, rotation)),
            loss,
            told: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            counts: Counts::default(),
            totals,
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> MutexGuard<'_, (LogFile, Rotation)> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.file().0.path().to_owned()
    }

    pub(super) const fn loss(&self) -> Loss {
        self.loss
    }

    /// Takes on what may change while the file stays.
    pub(super) fn set(&self, permissions: u32, rotation: Rotation, most: usize) -> std::io::Result<()> {
        self.most.store(most.max(1), Ordering::Relaxed);
        let mut file = self.file();
        file.1 = rotation;
        file.0.permit(permissions)
    }

    /// Opens the file anew under its name.
    pub(super) fn reopen(&self, now_ms: u64) -> std::io::Result<()> {
        self.file().0.reopen(now_ms)
    }

    /// Puts a record behind the others, or counts it as dropped.
    pub(super) fn append(&self, record: &[u8], writer: &Waker) {
        let most = self.most.load(Ordering::Relaxed);
        let mut pending = self.pending();
        if pending.records >= most || pending.text.len() + record.len() > MOST_OCTETS {
            drop(pending);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            self.totals.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_many = pending.text.len() >= MANY_OCTETS;
        pending.text.extend_from_slice(record);
        pending.records += 1;
        let is_urgent =
            pending.records == most.div_ceil(2) || (!was_many && pending.text.len() >= MANY_OCTETS);
        drop(pending);
        writer.wake(is_urgent);
    }

    fn has_pending(&self) -> bool {
        self.pending().records > 0
    }

    /// Writes what waits; whether there was anything.
    pub(super) fn drain(&self, now_ms: u64, stamp: impl FnOnce() -> String) -> bool {
        let mut file = self.file();
        let (mut text, records) = {
            let mut pending = self.pending();
            let spare = std::mem::take(&mut pending.spare);
            (std::mem::replace(&mut pending.text, spare), std::mem::take(&mut pending.records))
        };
        let dropped = self.counts.dropped.load(Ordering::Relaxed);
        let lost = dropped.saturating_sub(self.told.swap(dropped, Ordering::Relaxed));
        if lost > 0 {
            let line = match self.loss {
                Loss::Line => format!("{}LOST lines={lost}\n", stamp()),
                Loss::Json => format!("{{\"eventName\":\"CTSD-LOST\",\"records\":{lost}}}\n"),
                Loss::Comment => {
                    format!("# {lost} changes are not written here: the log could not keep up\n\n")
                }
            };
            text.extend_from_slice(line.as_bytes());
        }
        let (file, rotation) = &mut *file;
        let mut outcome = if text.is_empty() { Ok(()) } else { file.write(&text) };
        if outcome.is_ok() {
            for counts in [&self.counts, &*self.totals] {
                counts.records.fetch_add(records as u64, Ordering::Relaxed);
                counts.octets.fetch_add(text.len() as u64, Ordering::Relaxed);
            }
            outcome = file.rotate(rotation, now_ms);
        } else {
            for counts in [&self.counts, &*self.totals] {
                counts.failed.fetch_add(records as u64, Ordering::Relaxed);
            }
        }
        match outcome {
            Ok(()) => self.is_failing.store(false, Ordering::Relaxed),
            Err(error) => {
                // Once, not with each chunk.
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    let file = file.path().display().to_string();
                    tracing::warn!(file, %error, "a log cannot be written");
                }
            }
        }
        if text.capacity() <= KEPT_OCTETS {
            text.clear();
            self.pending().spare = text;
        }
        records > 0 || lost > 0
    }
}

impl Drop for Sink {
    /// A log that was switched off: who appended last while it was may have left something.
    fn drop(&mut self) {
        let pending = self.pending.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (file, _) = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        // There is nobody left to be told.
        let _ = file.write(&pending.text);
    }
}

/// Wakes the writing thread: at the first record after a silence, and when much waits; not for each record.
#[derive(Debug, Default)]
pub(super) struct Waker {
    thread: OnceLock<Thread>,
    sleeps: AtomicBool,
    is_over: AtomicBool,
}

impl Waker {
    fn wake(&self, is_urgent: bool) {
        if (is_urgent || self.sleeps.load(Ordering::Acquire))
            && let Some(thread) = self.thread.get()
        {
            self.sleeps.store(false, Ordering::Release);
            thread.unpark();
        }
    }

    /// Has the writer write what waits and end.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// The writing thread's life. `drain` writes out all logs and says whether there was anything.
    pub(super) fn run(&self, drain: &dyn Fn() -> bool, sinks: &dyn Fn() -> Vec<Arc<Sink>>) {
        // Set once, by the one thread that runs this.
        let _ = self.thread.set(std::thread::current());
        loop {
            let is_over = self.is_over.load(Ordering::Acquire);
            let wrote = drain();
            if is_over {
                return;
            }
            if !wrote {
                self.sleeps.store(true, Ordering::SeqCst);
                // What was appended before the line above woke nobody.
                if !sinks().iter().any(|sink| sink.has_pending()) && !self.is_over.load(Ordering::Acquire) {
                    std::thread::park_timeout(IDLE);
                }
                self.sleeps.store(false, Ordering::Release);
            }
            if !self.is_over.load(Ordering::Acquire) {
                std::thread::park_timeout(GATHERING);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(path: &std::path::Path, most: usize) -> Sink {
        let file = LogFile::open(path, 0o640, 0).unwrap();
        Sink::new(file, Rotation::default(), most, Loss::Line, Arc::default())
    }

    #[test]
    fn what_does_not_fit_is_dropped_counted_and_told() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("access");
        let (sink, waker) = (sink(&path, 2), Waker::default());
        for number in 0..5 {
            sink.append(format!("line {number}\n").as_bytes(), &waker);
        }
        assert_eq!(sink.counts.dropped.load(Ordering::Relaxed), 3);
        assert!(sink.drain(0, || "[now] ".to_owned()));
        assert!(!sink.drain(0, String::new));
        sink.append(b"line 5\n", &waker);
        sink.drain(0, String::new);
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "line 0\nline 1\n[now] LOST lines=3\nline 5\n");
        assert_eq!(sink.counts.records.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn records_of_one_thread_stay_in_order_and_none_is_torn() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("access");
        let sink = Arc::new(sink(&path, 1_000_000));
        let waker = Arc::new(Waker::default());
        let writing = {
            let (sink, waker) = (sink.clone(), waker.clone());
            std::thread::spawn(move || {
                let all = sink.clone();
                waker.run(&|| sink.drain(0, String::new), &|| vec![all.clone()]);
            })
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (sink, waker) = (&sink, &waker);
                scope.spawn(move || {
                    for number in 0..5_000 {
                        sink.append(format!("{thread} {number}\n").as_bytes(), waker);
                    }
                });
            }
        });
        waker.end();
        writing.join().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let mut next = [0; 4];
        for line in text.lines() {
            let (thread, number) = line.split_once(' ').unwrap();
            let thread: usize = thread.parse().unwrap();
            assert_eq!(number.parse(), Ok(next[thread]));
            next[thread] += 1;
        }
        assert_eq!(next, [5_000; 4]);
    }
}
