//! What waits to be written on one connection: one buffer that any thread may append to, taken whole by the
//! connection's task at each wake-up.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use tokio::sync::Notify;

/// The buffer and who waits for it.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    wake: Notify,
    /// Octets above which senders that can wait have to.
    bound: usize,
}

#[derive(Debug, Default)]
struct State {
    buffer: BytesMut,
    /// Octets taken by the connection's task and not yet written.
    taken: usize,
    closed: bool,
    waiting: Vec<Waker>,
}

/// What [`Outbox::take`] found.
#[derive(Debug)]
pub enum Pending {
    /// Bytes to write.
    Bytes(BytesMut),
    /// Nothing now.
    Nothing,
}

impl Outbox {
    /// An empty outbox; senders that can wait do so above `bound` octets.
    pub fn new(bound: usize) -> Self {
        Self { state: Mutex::default(), wake: Notify::new(), bound }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends whole messages and wakes the connection's task. Does nothing once closed.
    pub fn send(&self, encode: &mut dyn FnMut(&mut BytesMut)) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let was_empty = state.buffer.is_empty();
        encode(&mut state.buffer);
        drop(state);
        if was_empty {
            self.wake.notify_one();
        }
    }

    /// Octets appended and not yet written.
    pub fn queued(&self) -> usize {
        let state = self.state();
        state.buffer.len() + state.taken
    }

    /// Whether senders that can wait have to.
    pub fn is_full(&self) -> bool {
        self.queued() > self.bound
    }

    /// Ready with true when there is room, with false once closed.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if state.closed {
            return Poll::Ready(false);
        }
        if state.buffer.len() + state.taken <= self.bound {
            return Poll::Ready(true);
        }
        state.waiting.push(context.waker().clone());
        Poll::Pending
    }

    /// Takes all that waits. `spare` becomes the next buffer, so that its memory is used again.
    pub fn take(&self, mut spare: BytesMut) -> Pending {
        spare.clear();
        let mut state = self.state();
        if state.buffer.is_empty() {
            return Pending::Nothing;
        }
        let bytes = std::mem::replace(&mut state.buffer, spare);
        state.taken += bytes.len();
        Pending::Bytes(bytes)
    }

    /// Notes that taken bytes were written, and lets those go on who wait for room.
    pub fn written(&self, octets: usize) {
        let mut state = self.state();
        state.taken = state.taken.saturating_sub(octets);
        let waiting = if state.buffer.len() + state.taken <= self.bound {
            std::mem::take(&mut state.waiting)
        } else {
            Vec::new()
        };
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until something is appended (or was since the last call).
    pub async fn appended(&self) {
        self.wake.notified().await;
    }

    /// Wakes the connection's task without appending anything.
    pub fn nudge(&self) {
        self.wake.notify_one();
    }

    /// Drops what waits and refuses more.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.buffer = BytesMut::new();
        state.taken = 0;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(outbox: &Outbox, text: &[u8]) {
        outbox.send(&mut |out| out.extend_from_slice(text));
    }

    #[test]
    fn keeps_order_and_counts_what_is_not_written() {
        let outbox = Outbox::new(4);
        append(&outbox, b"abc");
        append(&outbox, b"def");
        assert_eq!(outbox.queued(), 6);
        assert!(outbox.is_full());
        let Pending::Bytes(bytes) = outbox.take(BytesMut::new()) else { panic!("nothing taken") };
        assert_eq!(&bytes[..], b"abcdef");
        assert_eq!(outbox.queued(), 6, "taken bytes count until they are written");
        outbox.written(6);
        assert_eq!(outbox.queued(), 0);
        assert!(matches!(outbox.take(BytesMut::new()), Pending::Nothing));
    }

    #[test]
    fn room_wakes_who_waits_and_closing_tells_them() {
        let outbox = Outbox::new(1);
        append(&outbox, b"abc");
        let mut context = Context::from_waker(Waker::noop());
        assert!(outbox.poll_room(&mut context).is_pending());
        let Pending::Bytes(bytes) = outbox.take(BytesMut::new()) else { panic!("nothing taken") };
        assert!(outbox.poll_room(&mut context).is_pending());
        outbox.written(bytes.len());
        assert_eq!(outbox.poll_room(&mut context), Poll::Ready(true));
        outbox.close();
        assert_eq!(outbox.poll_room(&mut context), Poll::Ready(false));
        append(&outbox, b"late");
        assert_eq!(outbox.queued(), 0);
    }
}
