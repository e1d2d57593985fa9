//! What waits to be written on one connection: one buffer that any thread may append to, taken whole by the
//! connection's task at each turn.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;

/// The buffer and who waits for it.
///
/// The connection's task is woken only while it sleeps ([`Self::park`]): what it appends itself costs no wake-up.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    /// Octets appended and not yet written; changed under the lock, read without.
    queued: AtomicUsize,
    /// Whether the connection's task sleeps; set under the lock, cleared without.
    is_parked: AtomicBool,
    /// Octets above which senders that can wait have to.
    bound: usize,
}

#[derive(Debug, Default)]
struct State {
    buffer: BytesMut,
    messages: u64,
    is_closed: bool,
    /// Something happened that the connection's task has to look at, though nothing was appended.
    is_nudged: bool,
    /// Whether appending wakes the sleeping task.
    wants_output: bool,
    task: Option<Waker>,
    waiting: Vec<Waker>,
}

/// What waited.
#[derive(Debug)]
pub struct Taken {
    /// Whole messages.
    pub bytes: BytesMut,
    /// How many.
    pub messages: u64,
}

impl Outbox {
    /// An empty outbox; senders that can wait do so above `bound` octets.
    pub fn new(bound: usize) -> Self {
        Self {
            state: Mutex::default(),
            queued: AtomicUsize::new(0),
            is_parked: AtomicBool::new(false),
            bound,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the task if it sleeps; lets go of the lock before.
    fn wake(&self, state: MutexGuard<'_, State>) {
        if self.is_parked.swap(false, Ordering::Relaxed) {
            let task = state.task.clone();
            drop(state);
            if let Some(task) = task {
                task.wake();
            }
        }
    }

    /// Appends one whole message and wakes the connection's task if it sleeps. Does nothing once closed.
    pub fn send(&self, encode: &mut dyn FnMut(&mut BytesMut)) {
        let mut state = self.state();
        if state.is_closed {
            return;
        }
        let before = state.buffer.len();
        encode(&mut state.buffer);
        let added = state.buffer.len().saturating_sub(before);
        state.messages += u64::from(added > 0);
        self.queued.fetch_add(added, Ordering::Relaxed);
        if state.wants_output {
            self.wake(state);
        }
    }

    /// Octets appended and not yet written.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Whether senders that can wait have to.
    pub fn is_full(&self) -> bool {
        self.queued() > self.bound
    }

    /// Ready with true when there is room, with false once closed.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if state.is_closed {
            return Poll::Ready(false);
        }
        if !self.is_full() {
            return Poll::Ready(true);
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Takes all that waits. `spare` becomes the next buffer, so that its memory is used again.
    pub fn take(&self, spare: &mut BytesMut) -> Option<Taken> {
        // Nothing is appended unseen: who appends after this look finds the task awake, or wakes it.
        if self.queued() == 0 {
            return None;
        }
        let mut state = self.state();
        if state.buffer.is_empty() {
            return None;
        }
        let mut next = std::mem::take(spare);
        next.clear();
        let bytes = std::mem::replace(&mut state.buffer, next);
        let messages = std::mem::take(&mut state.messages);
        Some(Taken { bytes, messages })
    }

    /// Notes that taken bytes were written, and lets those go on who wait for room.
    pub fn written(&self, octets: usize) {
        let before = self.queued.fetch_sub(octets, Ordering::Relaxed);
        if before > self.bound && before.saturating_sub(octets) <= self.bound {
            let waiting = std::mem::take(&mut self.state().waiting);
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// The connection's task is awake, and looks at everything before it sleeps again.
    pub fn attend(&self) {
        self.is_parked.store(false, Ordering::Relaxed);
    }

    /// The connection's task goes to sleep; false if it must not, because there is something to be seen. It is woken by
    /// [`Self::nudge`], and by appending if `wants_output`.
    pub fn park(&self, task: &Waker, wants_output: bool) -> bool {
        let mut state = self.state();
        if std::mem::take(&mut state.is_nudged) || (wants_output && !state.buffer.is_empty()) {
            return false;
        }
        state.wants_output = wants_output;
        if state.task.as_ref().is_none_or(|known| !known.will_wake(task)) {
            state.task = Some(task.clone());
        }
        self.is_parked.store(true, Ordering::Relaxed);
        true
    }

    /// Wakes the connection's task without appending anything.
    pub fn nudge(&self) {
        let mut state = self.state();
        state.is_nudged = true;
        self.wake(state);
    }

    /// Drops what waits and refuses more.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.buffer = BytesMut::new();
        state.task = None;
        self.queued.store(0, Ordering::Relaxed);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    use super::*;

    fn append(outbox: &Outbox, text: &[u8]) {
        outbox.send(&mut |out| out.extend_from_slice(text));
    }

    #[derive(Default)]
    struct Counted(AtomicU32);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn keeps_order_and_counts_what_is_not_written() {
        let outbox = Outbox::new(4);
        append(&outbox, b"abc");
        append(&outbox, b"def");
        assert_eq!(outbox.queued(), 6);
        assert!(outbox.is_full());
        let mut spare = BytesMut::new();
        let taken = outbox.take(&mut spare).unwrap();
        assert_eq!((&taken.bytes[..], taken.messages), (&b"abcdef"[..], 2));
        assert_eq!(outbox.queued(), 6, "taken bytes count until they are written");
        assert!(outbox.take(&mut spare).is_none());
        outbox.written(6);
        assert_eq!(outbox.queued(), 0);
        assert!(outbox.take(&mut spare).is_none());
    }

    #[test]
    fn room_wakes_who_waits_and_closing_tells_them() {
        let outbox = Outbox::new(1);
        append(&outbox, b"abc");
        let counted = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&counted));
        let mut context = Context::from_waker(&waker);
        assert!(outbox.poll_room(&mut context).is_pending());
        let taken = outbox.take(&mut BytesMut::new()).unwrap();
        assert!(outbox.poll_room(&mut context).is_pending());
        outbox.written(taken.bytes.len());
        assert_eq!(counted.0.load(Ordering::SeqCst), 1, "asked twice, woken once");
        assert_eq!(outbox.poll_room(&mut context), Poll::Ready(true));
        outbox.close();
        assert_eq!(outbox.poll_room(&mut context), Poll::Ready(false));
        append(&outbox, b"late");
        assert_eq!(outbox.queued(), 0);
    }

    #[test]
    fn only_a_sleeping_task_is_woken_and_none_sleeps_over_something() {
        let outbox = Outbox::new(100);
        let counted = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&counted));
        let woken = || counted.0.swap(0, Ordering::SeqCst);
        append(&outbox, b"a");
        assert!(!outbox.park(&waker, true), "something waits to be written");
        assert!(outbox.park(&waker, false), "but the socket takes nothing");
        append(&outbox, b"b");
        assert_eq!(woken(), 0);
        outbox.nudge();
        assert_eq!(woken(), 1);
        outbox.attend();
        assert!(!outbox.park(&waker, false), "the nudge has to be looked at");
        outbox.take(&mut BytesMut::new()).unwrap();
        assert!(outbox.park(&waker, true));
        append(&outbox, b"c");
        append(&outbox, b"d");
        assert_eq!(woken(), 1);
        outbox.attend();
        append(&outbox, b"e");
        outbox.nudge();
        assert_eq!(woken(), 0, "the task is awake");
    }
}
