//! Threads that may wait for the disk, so that those that serve connections and make changes need not.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::StoreError;
use super::store::Reading;

/// How many there are: enough to keep several reads of a device going, few enough to leave the processors to others.
pub(crate) const THREADS: usize = 4;
/// How many of them may read much for searches, so that changes and reads of one entry never wait for all of that.
const SEARCHING: usize = THREADS - 1;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    short: VecDeque<Job>,
    long: VecDeque<Job>,
    /// Long ones that are being done.
    searching: usize,
    sleeping: usize,
    is_closed: bool,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, when there is one; `done` is what the last one was.
    fn next(&self, done: Option<Reading>) -> Option<(Reading, Job)> {
        let mut state = self.state();
        state.searching -= usize::from(done == Some(Reading::Many));
        loop {
            if let Some(job) = state.short.pop_front() {
                return Some((Reading::One, job));
            }
            if state.searching < SEARCHING
                && let Some(job) = state.long.pop_front()
            {
                state.searching += 1;
                return Some((Reading::Many, job));
            }
            // Those that search do what is left of that.
            if state.is_closed {
                return None;
            }
            state.sleeping += 1;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
    }
}

/// The readers. Jobs of a kind begin in the order they come; those that read one entry before all others.
pub(crate) struct Readers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Readers {
    /// Starts the threads.
    pub(crate) fn start() -> Result<Self, StoreError> {
        let queue = Arc::new(Queue::default());
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let queue = Arc::clone(&queue);
            let run = move || {
                let mut done = None;
                while let Some((reading, job)) = queue.next(done) {
                    done = Some(reading);
                    if catch_unwind(AssertUnwindSafe(job)).is_err() {
                        tracing::error!("a reading job panicked");
                    }
                }
            };
            let thread = std::thread::Builder::new().name(format!("reader-{number}")).spawn(run);
            threads.push(thread.map_err(|error| StoreError::Io(error.to_string()))?);
        }
        Ok(Self { queue, threads: Mutex::new(threads) })
    }

    /// Has a job done; after the end it is done here and now.
    pub(crate) fn spawn(&self, reading: Reading, job: Job) {
        let mut state = self.queue.state();
        if state.is_closed {
            drop(state);
            return job();
        }
        let wakes = state.sleeping > 0 && (reading == Reading::One || state.searching < SEARCHING);
        match reading {
            Reading::One => state.short.push_back(job),
            Reading::Many => state.long.push_back(job),
        }
        drop(state);
        if wakes {
            self.queue.filled.notify_one();
        }
    }

    /// Does what waits and ends the threads; called from one of them it does not wait for them.
    pub(crate) fn close(&self) {
        self.queue.state().is_closed = true;
        self.queue.filled.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let own = std::thread::current().id();
        if threads.iter().any(|thread| thread.thread().id() == own) {
            return;
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn all_jobs_are_done_even_those_after_one_that_panics() {
        let readers = Readers::start().unwrap();
        let (sender, done) = mpsc::channel();
        readers.spawn(Reading::One, Box::new(|| panic!("as the test wants")));
        for number in 0..100 {
            let sender = sender.clone();
            let reading = if number % 3 == 0 { Reading::One } else { Reading::Many };
            readers.spawn(reading, Box::new(move || sender.send(number).unwrap()));
        }
        readers.close();
        readers.spawn(Reading::Many, Box::new(move || sender.send(100).unwrap()));
        let mut all: Vec<_> = done.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..=100).collect::<Vec<_>>());
    }

    #[test]
    fn who_reads_one_entry_does_not_wait_for_searches() {
        let readers = Readers::start().unwrap();
        let (sender, done) = mpsc::channel();
        let gates: Vec<_> = (0..3 * THREADS)
            .map(|number| {
                let (open, opened) = mpsc::channel::<()>();
                let sender = sender.clone();
                let job = move || {
                    let _ = opened.recv();
                    sender.send(number).unwrap();
                };
                readers.spawn(Reading::Many, Box::new(job));
                open
            })
            .collect();
        for number in 1_000..1_010 {
            let sender = sender.clone();
            readers.spawn(Reading::One, Box::new(move || sender.send(number).unwrap()));
        }
        let next = || done.recv_timeout(std::time::Duration::from_secs(180)).unwrap();
        // They are done as long as no search is; in which order, where threads have only started, is open.
        let mut first: Vec<_> = (0..10).map(|_| next()).collect();
        first.sort_unstable();
        assert!(first.into_iter().eq(1_000..1_010));
        drop(gates);
        let mut rest: Vec<_> = (0..3 * THREADS).map(|_| next()).collect();
        rest.sort_unstable();
        assert!(rest.into_iter().eq(0..3 * THREADS));
    }
}
