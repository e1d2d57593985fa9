//! The requests in flight on one connection, by message id.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::operation::{Directory, Ending, Flight, FlightKeeper};
use crate::protocol::message::{MessageId, OperationKind};
use crate::protocol::result::ResultCode;

/// The table. Few rows at most times, so it is searched from its end to its start.
#[derive(Default)]
pub(super) struct InFlight {
    state: Mutex<State>,
    /// Those that are still to be answered, the changes among them, and the octets they hold; changed under the lock, read without.
    unanswered: AtomicUsize,
    changes: AtomicUsize,
    octets: AtomicUsize,
}

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    /// When as little as this is unanswered, the connection's task wants to know.
    watched: Option<Load>,
}

struct Row {
    id: MessageId,
    kind: OperationKind,
    is_standing: bool,
    octets: usize,
    flight: Weak<Flight>,
}

/// How much is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// Requests that are still to be answered.
    pub(super) requests: usize,
    /// Those of them that change entries.
    pub(super) changes: usize,
    /// Octets of their messages.
    pub(super) octets: usize,
}

impl Load {
    /// Whether this is no more than `other` in any respect.
    pub(super) const fn is_within(self, other: Self) -> bool {
        self.requests <= other.requests && self.changes <= other.changes && self.octets <= other.octets
    }
}

/// Whether a request goes to the store to change entries.
const fn is_change(kind: OperationKind) -> bool {
    matches!(
        kind,
        OperationKind::Add | OperationKind::Delete | OperationKind::Modify | OperationKind::ModifyDn
    )
}

impl InFlight {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a request of so many octets; none if its message id is one's that is still to be answered.
    pub(super) fn enter(
        &self,
        id: MessageId,
        kind: OperationKind,
        octets: usize,
        keeper: Arc<dyn FlightKeeper>,
    ) -> Option<Arc<Flight>> {
        // Given back when the lock is not held any more: the last one to do so ends the flight, which takes the lock.
        let mut held = Vec::new();
        let mut state = self.state();
        for row in state.rows.iter().filter(|row| row.id == id) {
            let Some(flight) = row.flight.upgrade() else { continue };
            let is_due = !flight.is_answered();
            held.push(flight);
            if is_due {
                return None;
            }
        }
        let flight = Arc::new(Flight::new(id, keeper));
        let weak = Arc::downgrade(&flight);
        state.rows.push(Row { id, kind, is_standing: false, octets, flight: weak });
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
        if is_change(kind) {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
        Some(flight)
    }

    fn answered(&self, kind: OperationKind, octets: usize) {
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
        self.octets.fetch_sub(octets, Ordering::Relaxed);
        if is_change(kind) {
            self.changes.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_awaited(&self, state: &State) -> bool {
        state.watched.is_some_and(|watched| self.load().is_within(watched))
    }

    /// A request is never answered by itself from now on; whether the connection's task is to be woken.
    pub(super) fn stands(&self, id: MessageId) -> bool {
        let mut state = self.state();
        let Some(row) = state.rows.iter_mut().rfind(|row| row.id == id && !row.is_standing) else {
            return false;
        };
        row.is_standing = true;
        let (kind, octets) = (row.kind, row.octets);
        self.answered(kind, octets);
        self.is_awaited(&state)
    }

    /// A request is over; whether the connection's task is to be woken.
    pub(super) fn over(&self, flight: &Flight) -> bool {
        let mut state = self.state();
        let is_its = |row: &Row| std::ptr::eq(row.flight.as_ptr(), flight);
        let Some(place) = state.rows.iter().rposition(is_its) else { return false };
        let row = state.rows.swap_remove(place);
        if !row.is_standing {
            self.answered(row.kind, row.octets);
        }
        self.is_awaited(&state)
    }

    /// Has the connection's task woken when no more than this is unanswered. Look at [`Self::load`] after the call:
    /// what ended before it wakes nobody.
    pub(super) fn watch(&self, load: Option<Load>) {
        self.state().watched = load;
    }

    /// Requests in flight, standing ones included.
    pub(super) fn len(&self) -> usize {
        self.state().rows.len()
    }

    /// What is still to be answered.
    pub(super) fn load(&self) -> Load {
        Load {
            requests: self.unanswered.load(Ordering::Relaxed),
            changes: self.changes.load(Ordering::Relaxed),
            octets: self.octets.load(Ordering::Relaxed),
        }
    }

    /// The request of this id that is still to be answered.
    fn due(&self, id: MessageId) -> Option<(OperationKind, Arc<Flight>)> {
        let named: Vec<_> = self
            .state()
            .rows
            .iter()
            .filter(|row| row.id == id)
            .map(|row| (row.kind, row.flight.upgrade()))
            .collect();
        named
            .into_iter()
            .find_map(|(kind, flight)| Some((kind, flight.filter(|flight| !flight.is_answered())?)))
    }

    /// Whether any request is still to be answered, standing ones included.
    pub(super) fn has_due(&self) -> bool {
        let flights: Vec<_> = self.state().rows.iter().filter_map(|row| row.flight.upgrade()).collect();
        flights.iter().any(|flight| !flight.is_answered())
    }

    /// Abandons a request, if it is in flight (RFC 4511 §4.11). A search that is cut short so answers 118 where clients
    /// are to be notified.
    pub(super) fn abandon(&self, id: MessageId, directory: &Directory) {
        let is_notified = directory.config.load().global.notify_abandoned_operations;
        match self.due(id) {
            Some((OperationKind::Search, flight)) if is_notified => flight.end(Ending::Canceled),
            Some((_, flight)) => flight.end(Ending::Abandoned),
            None => {}
        }
    }

    /// Cancels a request (RFC 3909) and says what to answer to the Cancel.
    pub(super) fn cancel(&self, id: MessageId) -> ResultCode {
        match self.due(id) {
            Some((OperationKind::Search, flight)) => {
                flight.end(Ending::Canceled);
                ResultCode::SUCCESS
            }
            Some((OperationKind::Bind | OperationKind::Extended, _)) => ResultCode::CANNOT_CANCEL,
            Some(_) => ResultCode::TOO_LATE,
            None => ResultCode::NO_SUCH_OPERATION,
        }
    }

    /// Abandons everything: the connection is gone.
    pub(super) fn abandon_all(&self) {
        let flights: Vec<_> = self.state().rows.iter().filter_map(|row| row.flight.upgrade()).collect();
        for flight in flights {
            flight.end(Ending::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Keeper(InFlight);

    impl FlightKeeper for Keeper {
        fn stands(&self, id: MessageId) {
            self.0.stands(id);
        }

        fn over(&self, flight: &Flight) {
            self.0.over(flight);
        }
    }

    fn enter(keeper: &Arc<Keeper>, id: i32, kind: OperationKind) -> Option<Arc<Flight>> {
        keeper.0.enter(MessageId(id), kind, 100, Arc::clone(keeper) as Arc<dyn FlightKeeper>)
    }

    #[test]
    fn ids_are_unique_until_the_request_is_over() {
        let keeper = Arc::new(Keeper::default());
        let flight = enter(&keeper, 1, OperationKind::Search).unwrap();
        assert!(enter(&keeper, 1, OperationKind::Add).is_none());
        drop(flight);
        assert_eq!(keeper.0.len(), 0);
        assert!(enter(&keeper, 1, OperationKind::Add).is_some());
    }

    #[test]
    fn an_id_is_free_while_the_request_that_was_answered_is_not_over() {
        let keeper = Arc::new(Keeper::default());
        let table = &keeper.0;
        let first = enter(&keeper, 1, OperationKind::Add).unwrap();
        assert!(table.has_due());
        first.answer();
        assert!(!table.has_due());
        assert_eq!(table.cancel(MessageId(1)), ResultCode::NO_SUCH_OPERATION);
        // The client has the answer, and asks again before the thread that answered is done.
        let second = enter(&keeper, 1, OperationKind::Search).unwrap();
        assert!(enter(&keeper, 1, OperationKind::Search).is_none());
        assert_eq!(table.load(), Load { requests: 2, changes: 1, octets: 200 });
        drop(first);
        assert_eq!(table.load(), Load { requests: 1, changes: 0, octets: 100 });
        assert_eq!(table.cancel(MessageId(1)), ResultCode::SUCCESS);
        assert_eq!(second.ending(), Ending::Canceled);
        drop(second);
        assert_eq!((table.len(), table.load().requests), (0, 0));
    }

    #[test]
    fn cancel_answers_by_what_is_in_flight() {
        let keeper = Arc::new(Keeper::default());
        let search = enter(&keeper, 1, OperationKind::Search).unwrap();
        let _add = enter(&keeper, 2, OperationKind::Add).unwrap();
        let _bind = enter(&keeper, 3, OperationKind::Bind).unwrap();
        let table = &keeper.0;
        assert_eq!(table.cancel(MessageId(1)), ResultCode::SUCCESS);
        assert_eq!(search.ending(), Ending::Canceled);
        assert_eq!(table.cancel(MessageId(2)), ResultCode::TOO_LATE);
        assert_eq!(table.cancel(MessageId(3)), ResultCode::CANNOT_CANCEL);
        assert_eq!(table.cancel(MessageId(4)), ResultCode::NO_SUCH_OPERATION);
    }

    #[test]
    fn standing_requests_do_not_hold_up_a_close() {
        let keeper = Arc::new(Keeper::default());
        let search = enter(&keeper, 1, OperationKind::Search).unwrap();
        assert_eq!(keeper.0.load(), Load { requests: 1, changes: 0, octets: 100 });
        search.stand();
        search.stand();
        assert_eq!(keeper.0.load(), Load { requests: 0, changes: 0, octets: 0 });
        assert_eq!(keeper.0.len(), 1);
        drop(search);
        assert_eq!((keeper.0.len(), keeper.0.load().requests), (0, 0));
    }

    #[test]
    fn who_watches_is_told_when_little_enough_is_left() {
        let table = InFlight::default();
        let keeper: Arc<dyn FlightKeeper> = Arc::new(Keeper::default());
        // The flights themselves are not what is tested: their keeper is another table.
        let enter = |id| table.enter(MessageId(id), OperationKind::Add, 10, Arc::clone(&keeper)).unwrap();
        let [first, second, third] = [1, 2, 3].map(enter);
        assert_eq!(table.load(), Load { requests: 3, changes: 3, octets: 30 });
        table.watch(Some(Load { requests: 3, changes: 1, octets: 100 }));
        assert!(!table.over(&first));
        assert!(table.over(&second));
        table.watch(None);
        assert!(!table.over(&third));
    }
}
