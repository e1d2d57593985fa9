//! Persistent searches: each change that concerns a listener is sent to it exactly once, in the order of the log.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::lens::{Children, Lens};
use crate::backend::{ChangeListener, Committed};
use crate::entry::StoredEntry;
use crate::operation::answer::Exchange;
use crate::operation::sight::Sight;
use crate::operation::{Directory, Ending};
use crate::protocol::control::entry_change::{ChangeType, EntryChange};
use crate::protocol::control::persistent_search::PersistentSearchRequest;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Octets that may wait for a listener that does not read; beyond, its connection ends: a change is never skipped.
const MOST_QUEUED: usize = 16 << 20;
/// Changes kept for a listener that is still being sent the entries that are there.
const MOST_HELD: usize = 10_000;

/// The persistent searches that stand.
#[derive(Default)]
pub(in crate::operation) struct Registry {
    listeners: ArcSwap<Vec<Arc<Listener>>>,
}

impl Registry {
    /// How many stand.
    pub(in crate::operation) fn len(&self) -> usize {
        self.listeners.load().len()
    }

    fn add(&self, listener: &Arc<Listener>) {
        self.listeners.rcu(|now| {
            let mut all = Vec::clone(now);
            all.push(Arc::clone(listener));
            all
        });
    }

    fn remove(&self, listener: &Listener) {
        self.listeners.rcu(|now| {
            let mut all = Vec::clone(now);
            all.retain(|other| !std::ptr::eq(&**other, listener));
            all
        });
    }
}

impl ChangeListener for Registry {
    fn applied(&self, _changes: &[Committed]) {}

    fn wants_notices(&self) -> bool {
        self.len() > 0
    }

    fn notify(&self, change: &Committed) {
        for listener in self.listeners.load().iter() {
            listener.notify(change);
        }
    }

    /// Which entries came and went between the two contents nobody can tell one by one, so the searches end and say so.
    fn replaced(&self) {
        for listener in self.listeners.swap(Arc::default()).iter() {
            listener.outlive();
        }
    }
}

/// One persistent search.
pub(super) struct Listener {
    lens: Arc<Lens>,
    request: PersistentSearchRequest,
    /// Changes up to this place in the log were there when it began.
    since: AtomicU64,
    state: Mutex<State>,
}

enum State {
    /// Entries that are there are being sent; changes wait.
    Holding(Vec<Committed>),
    Live(Box<Exchange>),
    /// The content that it listened to is gone; it ends as soon as it is live.
    Outlived,
    Over,
}

impl Listener {
    /// Starts listening: nothing that is acknowledged from now on is missed; it is held until [`Self::go_live`].
    pub(super) fn register(
        lens: Arc<Lens>,
        request: PersistentSearchRequest,
        directory: &Directory,
    ) -> Arc<Self> {
        let state = Mutex::new(State::Holding(Vec::new()));
        let listener = Arc::new(Self { lens, request, since: AtomicU64::new(0), state });
        directory.persistent.add(&listener);
        // Who looks for listeners now finds this one, or the place read next is behind what it looks for them for.
        fence(Ordering::SeqCst);
        // Read after the listener can be notified: a change is either seen here or notified, and those seen here
        // that are notified late are known by their place in the log.
        listener.since.store(directory.store.last_sequence(), Ordering::Release);
        listener
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what was held and then each change as it comes, until the request is abandoned or canceled.
    pub(super) fn go_live(self: &Arc<Self>, exchange: Exchange) {
        let directory = Arc::clone(exchange.directory());
        let flight = Arc::clone(&exchange.call().flight);
        flight.stand();
        exchange.call().metrics().persistent_search_started();
        let mut state = self.state();
        let held = match std::mem::replace(&mut *state, State::Live(Box::new(exchange))) {
            State::Holding(held) => held,
            State::Outlived => {
                drop(state);
                return self.outlive();
            }
            State::Live(_) | State::Over => Vec::new(),
        };
        if held.len() > MOST_HELD {
            self.give_up(&mut state);
        }
        for change in &held {
            self.deliver(&mut state, change);
        }
        drop(state);
        let here = Arc::downgrade(self);
        let everywhere = Arc::downgrade(&directory);
        flight.on_end(move |how| {
            if let Some((listener, directory)) = here.upgrade().zip(everywhere.upgrade()) {
                listener.end(how, &directory);
            }
        });
    }

    /// Stops listening before it went live.
    pub(super) fn withdraw(&self, directory: &Directory) {
        directory.persistent.remove(self);
        *self.state() = State::Over;
    }

    fn end(&self, how: Ending, directory: &Directory) {
        directory.persistent.remove(self);
        let state = std::mem::replace(&mut *self.state(), State::Over);
        if let State::Live(exchange) = state {
            exchange.call().metrics().persistent_search_ended();
            match how {
                Ending::Canceled => {
                    exchange.finish(&LdapResult::new(ResultCode::CANCELED, "canceled by the client"));
                }
                Ending::None | Ending::Abandoned => exchange.forget(),
            }
        }
    }

    /// Ends it because the store's content was exchanged.
    fn outlive(&self) {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Outlived) {
            State::Live(exchange) => {
                drop(state);
                exchange.directory().metrics.persistent_search_ended();
                let text = "the data was replaced as a whole (import or restore); search anew";
                exchange.finish(&LdapResult::new(ResultCode::BUSY, text));
            }
            State::Over => *state = State::Over,
            State::Holding(_) | State::Outlived => {}
        }
    }

    fn notify(&self, change: &Committed) {
        self.deliver(&mut self.state(), change);
    }

    fn deliver(&self, state: &mut State, change: &Committed) {
        match state {
            State::Holding(held) => {
                // One more than may be held makes going live fail, below.
                if held.len() <= MOST_HELD {
                    held.push(change.clone());
                }
            }
            State::Live(exchange) => {
                if change.sequence <= self.since.load(Ordering::Acquire) {
                    return;
                }
                self.send(exchange, change);
                if exchange.connection().queued() > MOST_QUEUED {
                    self.give_up(state);
                }
            }
            State::Outlived | State::Over => {}
        }
    }

    /// Ends the connection of a listener that does not keep up.
    fn give_up(&self, state: &mut State) {
        if let State::Live(exchange) = std::mem::replace(state, State::Over) {
            let text = "a persistent search is not read fast enough; no change is skipped, so it ends";
            exchange.connection().disconnect(LdapResult::new(ResultCode::BUSY, text));
            exchange.directory().persistent.remove(self);
            exchange.call().metrics().persistent_search_ended();
            exchange.forget();
        }
    }

    fn send(&self, exchange: &mut Exchange, change: &Committed) {
        let new_key = change.new_key.as_ref().unwrap_or(&change.key);
        let kind = match (&change.before, &change.after) {
            (None, Some(_)) => ChangeType::Add,
            (Some(_), None) => ChangeType::Delete,
            (Some(_), Some(_)) if change.new_key.is_some() => ChangeType::ModifyDn,
            (Some(_), Some(_)) => ChangeType::Modify,
            (None, None) => return,
        };
        if !self.request.wants(kind) {
            return;
        }
        let directory = Arc::clone(exchange.directory());
        let schema = Arc::clone(&exchange.schema);
        let sight = Sight { who: Arc::clone(&exchange.sight.who), access: directory.access.current() };
        let context = Children { directory: &directory, schema: &schema };
        let is_found = |entry: &StoredEntry, key: &NormalizedDn| {
            self.lens.covers(key) && self.lens.finds(&sight, entry, key, &context).is_some()
        };
        // A change concerns the listener if the entry matches before or after it; what is shown is the entry after
        // the change, but for a delete, and only what of that may be read.
        let was_found = change.before.as_ref().is_some_and(|before| is_found(before, &change.key));
        let is_found = change.after.as_ref().is_some_and(|after| is_found(after, new_key));
        let shown = change.after.as_ref().or(change.before.as_ref());
        let Some(shown) = shown.filter(|_| was_found || is_found) else { return };
        let shown_key = if change.after.is_some() { new_key } else { &change.key };
        let Some(readable) = sight.of(shown, shown_key) else { return };
        exchange.call().metrics().notified();
        if self.request.return_notifications {
            let mut notification = EntryChange::new(kind);
            if kind == ChangeType::ModifyDn {
                notification.previous_dn = change.before.as_ref().map(|before| before.dn().to_owned());
            }
            self.lens.show(exchange, &sight, shown, &readable, &[notification.control()]);
        } else {
            self.lens.show(exchange, &sight, shown, &readable, &[]);
        }
    }
}
