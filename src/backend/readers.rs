//! Threads that may wait for the disk, so that those that serve connections and make changes need not.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::StoreError;

/// How many there are: enough to keep several reads of a device going, few enough to leave the processors to others.
pub(crate) const THREADS: usize = 4;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
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

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            state.sleeping += 1;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
    }
}

/// The readers. Jobs begin in the order they come.
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
                while let Some(job) = queue.next() {
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
    pub(crate) fn spawn(&self, job: Job) {
        let mut state = self.queue.state();
        if state.is_closed {
            drop(state);
            return job();
        }
        state.jobs.push_back(job);
        let wakes = state.sleeping > 0;
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
        readers.spawn(Box::new(|| panic!("as the test wants")));
        for number in 0..100 {
            let sender = sender.clone();
            readers.spawn(Box::new(move || sender.send(number).unwrap()));
        }
        readers.close();
        readers.spawn(Box::new(move || sender.send(100).unwrap()));
        let mut all: Vec<_> = done.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..=100).collect::<Vec<_>>());
    }
}
