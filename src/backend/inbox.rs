//! What the store's threads hand each other. Nothing here spins: a thread is woken once, and only if it sleeps.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::channel::{SendError, SendTimeoutError, TrySendError};

use super::pipeline::{Landed, Task, Work};

/// Tasks that the sequencer takes at once.
const TAKEN: usize = 256;
/// Tasks for which the sequencer is woken while a group is on its way to the disk: what it does with them before that is
/// back can be written no sooner, and to be woken for each one costs.
const ENOUGH: usize = 8;

/// Everything that the sequencer waits for, in one place.
pub(crate) struct Inbox {
    /// Tasks that may wait.
    bound: usize,
    state: Mutex<State>,
    filled: Condvar,
    room: Condvar,
    /// Tasks in the queue; changed under the lock, read without.
    waiting: AtomicUsize,
    /// Whether a group has come back; changed under the lock, read without.
    has_landed: AtomicBool,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    work: VecDeque<Work>,
    landed: Option<Landed>,
    senders: usize,
    /// Senders that wait for room.
    blocked: usize,
    /// The sequencer sleeps, until anything comes or until a group comes back.
    sleeps: Option<Awaited>,
    is_closed: bool,
}

/// What the sequencer took out.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) tasks: VecDeque<Task>,
    pub(crate) work: VecDeque<Work>,
    pub(crate) landed: Option<Landed>,
}

/// What the sequencer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Nothing: it takes what is there.
    Nothing,
    /// Anything.
    Anything,
    /// The group that is on its way to the disk, or work, or enough tasks to be worth a wake-up meanwhile.
    Enough,
    /// The group that is on its way to the disk. Tasks stay where they are.
    Landing,
}

/// Something that is sent to the sequencer.
pub(crate) trait Item: Sized {
    /// How many may wait, of tasks so many.
    fn room(bound: usize) -> usize;
    #[doc(hidden)]
    fn queue(parts: Queues<'_>) -> &mut VecDeque<Self>;
}

/// The queues of an inbox.
pub(crate) struct Queues<'a> {
    tasks: &'a mut VecDeque<Task>,
    work: &'a mut VecDeque<Work>,
}

impl Item for Task {
    fn room(bound: usize) -> usize {
        bound
    }

    fn queue(parts: Queues<'_>) -> &mut VecDeque<Self> {
        parts.tasks
    }
}

impl Item for Work {
    fn room(_: usize) -> usize {
        4
    }

    fn queue(parts: Queues<'_>) -> &mut VecDeque<Self> {
        parts.work
    }
}

impl State {
    fn is_enough(&self) -> bool {
        self.tasks.len() >= ENOUGH || !self.work.is_empty() || self.landed.is_some()
    }

    fn queue<T: Item>(&mut self) -> &mut VecDeque<T> {
        T::queue(Queues { tasks: &mut self.tasks, work: &mut self.work })
    }
}

impl Inbox {
    /// An empty one in which so many tasks may wait.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            bound,
            state: Mutex::default(),
            filled: Condvar::new(),
            room: Condvar::new(),
            waiting: AtomicUsize::new(0),
            has_landed: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A way in.
    pub(crate) fn sender<T: Item>(self: &Arc<Self>) -> Sender<T> {
        self.state().senders += 1;
        Sender { inbox: Arc::clone(self), item: PhantomData }
    }

    /// Tasks that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether a group has come back and was not taken yet.
    pub(crate) fn has_landed(&self) -> bool {
        self.has_landed.load(Ordering::Relaxed)
    }

    fn wake(&self, mut state: MutexGuard<'_, State>, for_landing: bool) {
        let wakes = match state.sleeps {
            Some(Awaited::Anything) => true,
            Some(Awaited::Enough) => for_landing || state.is_enough(),
            Some(Awaited::Landing) => for_landing,
            _ => false,
        };
        if wakes {
            state.sleeps = None;
            drop(state);
            self.filled.notify_one();
        }
    }

    fn put<T: Item>(&self, mut state: MutexGuard<'_, State>, item: T) {
        state.queue().push_back(item);
        self.waiting.store(state.tasks.len(), Ordering::Relaxed);
        self.wake(state, false);
    }

    /// Gives a group back that the logger has done with.
    pub(crate) fn land(&self, landed: Landed) {
        let mut state = self.state();
        state.landed = Some(landed);
        self.has_landed.store(true, Ordering::Relaxed);
        self.wake(state, true);
    }

    /// Takes what is there, after waiting for it if it is awaited; tasks only when the last ones are done with. False
    /// when nothing is there and no sender either.
    pub(crate) fn take(&self, taken: &mut Taken, awaited: Awaited) -> bool {
        let mut state = self.state();
        loop {
            let is_there = match awaited {
                Awaited::Nothing => true,
                Awaited::Landing => state.landed.is_some(),
                Awaited::Enough => state.is_enough(),
                Awaited::Anything => {
                    !state.tasks.is_empty()
                        || !state.work.is_empty()
                        || state.landed.is_some()
                        || state.senders == 0
                }
            };
            if is_there {
                break;
            }
            state.sleeps = Some(awaited);
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.sleeps = None;
        taken.landed = state.landed.take();
        self.has_landed.store(false, Ordering::Relaxed);
        if taken.work.is_empty() {
            std::mem::swap(&mut taken.work, &mut state.work);
        }
        if awaited != Awaited::Landing && taken.tasks.is_empty() {
            if state.tasks.len() <= TAKEN {
                std::mem::swap(&mut taken.tasks, &mut state.tasks);
            } else {
                taken.tasks.extend(state.tasks.drain(..TAKEN));
            }
            self.waiting.store(state.tasks.len(), Ordering::Relaxed);
        }
        let is_nothing = taken.tasks.is_empty() && taken.work.is_empty() && taken.landed.is_none();
        let is_over = is_nothing && state.senders == 0 && state.tasks.is_empty();
        if state.blocked > 0 {
            drop(state);
            self.room.notify_all();
        }
        !is_over
    }

    /// Takes nothing more, and gives back what is there.
    pub(crate) fn close(&self) -> Taken {
        let mut state = self.state();
        state.is_closed = true;
        let taken = Taken {
            tasks: std::mem::take(&mut state.tasks),
            work: std::mem::take(&mut state.work),
            landed: state.landed.take(),
        };
        drop(state);
        self.room.notify_all();
        taken
    }
}

/// A way into the inbox. When the last one goes, the sequencer ends.
pub(crate) struct Sender<T> {
    inbox: Arc<Inbox>,
    item: PhantomData<fn(T)>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.inbox.state().senders += 1;
        Self { inbox: Arc::clone(&self.inbox), item: PhantomData }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.inbox.state();
        state.senders -= 1;
        if state.senders == 0 {
            self.inbox.wake(state, false);
        }
    }
}

impl<T: Item> Sender<T> {
    fn room(&self) -> usize {
        T::room(self.inbox.bound)
    }

    /// Tasks that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.inbox.waiting()
    }

    /// Sends, unless there is no room.
    pub(crate) fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let mut state = self.inbox.state();
        if state.is_closed {
            return Err(TrySendError::Disconnected(item));
        }
        if state.queue::<T>().len() >= self.room() {
            return Err(TrySendError::Full(item));
        }
        self.inbox.put(state, item);
        Ok(())
    }

    /// Sends what has its place already: room or not.
    pub(crate) fn send_admitted(&self, item: T) -> Result<(), SendError<T>> {
        let state = self.inbox.state();
        if state.is_closed {
            return Err(SendError(item));
        }
        self.inbox.put(state, item);
        Ok(())
    }

    /// Sends as soon as there is room.
    pub(crate) fn send(&self, item: T) -> Result<(), SendError<T>> {
        let mut state = self.inbox.state();
        while !state.is_closed && state.queue::<T>().len() >= self.room() {
            state.blocked += 1;
            state = self.inbox.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.blocked -= 1;
        }
        if state.is_closed {
            return Err(SendError(item));
        }
        self.inbox.put(state, item);
        Ok(())
    }

    /// Sends if there is room within a time.
    pub(crate) fn send_timeout(&self, item: T, within: Duration) -> Result<(), SendTimeoutError<T>> {
        let (mut state, room) = (self.inbox.state(), self.room());
        if !state.is_closed && state.queue::<T>().len() >= room {
            state.blocked += 1;
            let is_full = |state: &mut State| !state.is_closed && state.queue::<T>().len() >= room;
            let waited = self.inbox.room.wait_timeout_while(state, within, is_full);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            state.blocked -= 1;
        }
        if state.is_closed {
            return Err(SendTimeoutError::Disconnected(item));
        }
        if state.queue::<T>().len() >= room {
            return Err(SendTimeoutError::Timeout(item));
        }
        self.inbox.put(state, item);
        Ok(())
    }
}

/// A bounded queue between two threads.
pub(crate) struct Belt<T> {
    state: Mutex<BeltState<T>>,
    filled: Condvar,
    room: Condvar,
    bound: usize,
}

struct BeltState<T> {
    items: VecDeque<T>,
    is_closed: bool,
    sleeps: bool,
    is_blocked: bool,
}

impl<T> Belt<T> {
    /// A queue for so many items.
    pub(crate) fn new(bound: usize) -> Self {
        let state = BeltState { items: VecDeque::new(), is_closed: false, sleeps: false, is_blocked: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), room: Condvar::new(), bound }
    }

    fn state(&self) -> MutexGuard<'_, BeltState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item on the belt, when there is room; after the end it is dropped.
    pub(crate) fn put(&self, item: T) {
        let mut state = self.state();
        while state.items.len() >= self.bound && !state.is_closed {
            state.is_blocked = true;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            return;
        }
        state.items.push_back(item);
        let wakes = std::mem::take(&mut state.sleeps);
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
    }

    /// The next item, when it comes; none when the belt is closed and empty.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if let Some(item) = state.items.pop_front() {
                let wakes = std::mem::take(&mut state.is_blocked);
                drop(state);
                if wakes {
                    self.room.notify_all();
                }
                return Some(item);
            }
            if state.is_closed {
                return None;
            }
            state.sleeps = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing more comes; what is on the belt may still be taken.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.filled.notify_all();
        self.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::pipeline::Relocation;

    fn index() -> Work {
        Work::Index(Vec::new())
    }

    #[test]
    fn what_does_not_fit_is_given_back_and_fits_when_some_was_taken() {
        let inbox = Arc::new(Inbox::new(1));
        let sender = inbox.sender::<Work>();
        for _ in 0..Work::room(1) {
            sender.try_send(index()).unwrap();
        }
        assert!(matches!(sender.try_send(index()), Err(TrySendError::Full(_))));
        let waits = std::thread::spawn(move || sender.send(index()).is_ok());
        let mut taken = Taken::default();
        let mut count = 0;
        while count <= Work::room(1) {
            assert!(inbox.take(&mut taken, Awaited::Anything));
            count += taken.work.drain(..).count();
        }
        assert!(waits.join().unwrap());
        assert!(!inbox.take(&mut taken, Awaited::Anything), "no sender is left");
    }

    #[test]
    fn while_a_group_is_on_its_way_few_tasks_wake_nobody() {
        let task = || {
            let (done, _) = crossbeam::channel::bounded(1);
            Task::Relocate(Relocation { entries: Vec::new(), wants_floor: false, done })
        };
        let inbox = Arc::new(Inbox::new(100));
        let sender = inbox.sender::<Task>();
        let taking = Arc::clone(&inbox);
        let takes = std::thread::spawn(move || {
            let mut taken = Taken::default();
            taking.take(&mut taken, Awaited::Enough);
            taken.tasks.len()
        });
        while inbox.state().sleeps.is_none() {
            std::thread::yield_now();
        }
        for _ in 1..ENOUGH {
            assert!(sender.try_send(task()).is_ok());
            assert_eq!(inbox.state().sleeps, Some(Awaited::Enough));
        }
        assert!(sender.try_send(task()).is_ok());
        assert_eq!(takes.join().unwrap(), ENOUGH);
    }

    #[test]
    fn a_closed_inbox_takes_nothing() {
        let inbox = Arc::new(Inbox::new(1));
        let sender = inbox.sender::<Work>();
        sender.try_send(index()).unwrap();
        assert_eq!(inbox.close().work.len(), 1);
        assert!(matches!(sender.try_send(index()), Err(TrySendError::Disconnected(_))));
        assert!(sender.send(index()).is_err());
        assert!(matches!(
            sender.send_timeout(index(), Duration::ZERO),
            Err(SendTimeoutError::Disconnected(_))
        ));
    }

    #[test]
    fn a_belt_keeps_order_and_gives_out_what_was_on_it_when_it_closed() {
        let belt = Arc::new(Belt::new(2));
        let other = Arc::clone(&belt);
        let puts = std::thread::spawn(move || {
            (0..100).for_each(|number| other.put(number));
            other.close();
            other.put(100);
        });
        let mut all = Vec::new();
        while let Some(number) = belt.take() {
            all.push(number);
        }
        puts.join().unwrap();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
