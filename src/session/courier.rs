//! How what store threads have done gets back to the thread that serves the connection: answers are made there, many
//! for one wake-up, and the store goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::operation::Errand;

/// Batches run before the connections have their turn.
const BATCHES: usize = 4;

/// The errands of one thread. Any thread brings some; [`Self::poll`] runs them in the order they came.
#[derive(Default)]
pub struct Courier {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    errands: Vec<Box<dyn Errand>>,
    /// Memory for the next errands.
    spare: Vec<Box<dyn Errand>>,
    /// Who runs them, once it sleeps.
    sleeper: Option<Waker>,
    is_closed: bool,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").finish_non_exhaustive()
    }
}

impl Courier {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an errand run on the courier's thread, which is woken only if it sleeps; here and now once closed.
    pub fn bring(&self, errand: Box<dyn Errand>) {
        let mut state = self.state();
        if state.is_closed {
            drop(state);
            return run(errand);
        }
        state.errands.push(errand);
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Runs what was brought; ready once closed and nothing is left. A panic of an errand is logged and no more.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..BATCHES {
            let mut state = self.state();
            if state.errands.is_empty() {
                if state.is_closed {
                    return Poll::Ready(());
                }
                state.sleeper = Some(context.waker().clone());
                return Poll::Pending;
            }
            let next = std::mem::take(&mut state.spare);
            let mut errands = std::mem::replace(&mut state.errands, next);
            drop(state);
            errands.drain(..).for_each(run);
            self.state().spare = errands;
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes no more; what was brought is still run.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

fn run(errand: Box<dyn Errand>) {
    if catch_unwind(AssertUnwindSafe(|| errand.run())).is_err() {
        tracing::error!("answering a request panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicU32);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Note(u32, Arc<Mutex<Vec<u32>>>);

    impl Errand for Note {
        fn run(self: Box<Self>) {
            assert_ne!(self.0, 13, "as a bug would");
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn errands_run_in_order_for_one_wake_up_and_a_panic_stops_none() {
        let courier = Courier::default();
        let done = Arc::new(Mutex::new(Vec::new()));
        let bring = |number| courier.bring(Box::new(Note(number, Arc::clone(&done))));
        let counted = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&counted));
        let mut context = Context::from_waker(&waker);
        let woken = || counted.0.swap(0, Ordering::SeqCst);
        assert!(courier.poll(&mut context).is_pending());
        [1, 13, 2, 3].into_iter().for_each(bring);
        assert_eq!((woken(), done.lock().unwrap().len()), (1, 0));
        assert!(courier.poll(&mut context).is_pending());
        assert_eq!(*done.lock().unwrap(), [1, 2, 3]);
        bring(4);
        assert_eq!(woken(), 1);
        courier.close();
        bring(5);
        assert!(courier.poll(&mut context).is_ready());
        assert_eq!(*done.lock().unwrap(), [1, 2, 3, 5, 4], "after the end they run where they are");
    }
}
