//! The threads that serve clients' connections, each with an event loop of its own. A connection stays on the thread
//! it was dealt to: nothing is stolen, nobody but its own thread is woken for it, and what the store answers comes by
//! the thread's courier, many answers for one wake-up.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::task::TaskTracker;

use crate::session::Courier;

/// One thread.
struct Lane {
    runtime: Handle,
    courier: Arc<Courier>,
    /// Connections it serves.
    open: AtomicUsize,
}

/// All of them. Dropped, they end, and with them the connections that are still there.
pub(super) struct Lanes {
    lanes: Vec<Arc<Lane>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Lanes {
    /// Starts so many threads (`ds-cfg-num-worker-threads`), or one a core.
    pub(super) fn start(count: Option<usize>) -> std::io::Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = count.unwrap_or_else(cores).max(1);
        let mut all = Self { lanes: Vec::new(), threads: Mutex::default() };
        let mut threads = Vec::new();
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let courier = Arc::new(Courier::default());
            let open = AtomicUsize::new(0);
            let lane = Lane { runtime: runtime.handle().clone(), courier: Arc::clone(&courier), open };
            all.lanes.push(Arc::new(lane));
            let run = move || runtime.block_on(poll_fn(|context| courier.poll(context)));
            threads.push(std::thread::Builder::new().name(format!("lane-{number}")).spawn(run)?);
        }
        all.threads = Mutex::new(threads);
        Ok(all)
    }

    /// Deals a connection to the thread that has the fewest.
    pub(super) fn deal<F>(&self, tasks: &TaskTracker, serve: impl FnOnce(Berth) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(lane) = self.lanes.iter().min_by_key(|lane| lane.open.load(Ordering::Relaxed)) {
            lane.open.fetch_add(1, Ordering::Relaxed);
            tasks.spawn_on(serve(Berth(Arc::clone(lane))), &lane.runtime);
        }
    }

    /// Returns when each thread has run a task.
    pub(super) async fn answer(&self) -> bool {
        for lane in &self.lanes {
            if lane.runtime.spawn(std::future::ready(())).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Has the threads end.
    pub(super) fn close(&self) {
        self.lanes.iter().for_each(|lane| lane.courier.close());
    }

    /// Ends the threads and waits for them.
    pub(super) fn stop(&self) {
        self.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that served connections panicked");
            }
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.close();
    }
}

/// A connection's place on a thread; it leaves when dropped.
pub(super) struct Berth(Arc<Lane>);

impl Berth {
    /// Brings answers to the thread.
    pub(super) fn courier(&self) -> Arc<Courier> {
        Arc::clone(&self.0.courier)
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
