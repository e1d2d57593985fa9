//! The requests in flight on one connection, by message id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::operation::{Ending, Flight};
use crate::protocol::message::{MessageId, OperationKind};
use crate::protocol::result::ResultCode;

/// The table. Shared with the flights, which leave it when they end.
#[derive(Default)]
pub(super) struct InFlight {
    table: Mutex<HashMap<MessageId, Entry>>,
    count: AtomicUsize,
}

struct Entry {
    kind: OperationKind,
    flight: Weak<Flight>,
}

impl InFlight {
    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<MessageId, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a request; none if its message id is in flight already. `ended` is called when it is over.
    pub(super) fn enter(
        self: &Arc<Self>,
        id: MessageId,
        kind: OperationKind,
        ended: impl FnOnce() + Send + 'static,
    ) -> Option<Arc<Flight>> {
        let mut table = self.table();
        let std::collections::hash_map::Entry::Vacant(place) = table.entry(id) else { return None };
        let here = Arc::clone(self);
        let flight = Arc::new(Flight::new(move || {
            here.table().remove(&id);
            here.count.fetch_sub(1, Ordering::AcqRel);
            ended();
        }));
        place.insert(Entry { kind, flight: Arc::downgrade(&flight) });
        self.count.fetch_add(1, Ordering::AcqRel);
        Some(flight)
    }

    /// How many are in flight.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Abandons a request, if it is in flight (RFC 4511 §4.11).
    pub(super) fn abandon(&self, id: MessageId) {
        let flight = self.table().get(&id).and_then(|entry| entry.flight.upgrade());
        if let Some(flight) = flight {
            flight.end(Ending::Abandoned);
        }
    }

    /// Cancels a request (RFC 3909) and says what to answer to the Cancel.
    pub(super) fn cancel(&self, id: MessageId) -> ResultCode {
        let found = self.table().get(&id).map(|entry| (entry.kind, entry.flight.upgrade()));
        match found {
            Some((OperationKind::Search, Some(flight))) => {
                flight.end(Ending::Canceled);
                ResultCode::SUCCESS
            }
            Some((OperationKind::Bind | OperationKind::Extended, Some(_))) => ResultCode::CANNOT_CANCEL,
            Some((_, Some(_))) => ResultCode::TOO_LATE,
            _ => ResultCode::NO_SUCH_OPERATION,
        }
    }

    /// Abandons everything: the connection is gone.
    pub(super) fn abandon_all(&self) {
        let flights: Vec<_> = self.table().values().filter_map(|entry| entry.flight.upgrade()).collect();
        for flight in flights {
            flight.end(Ending::Abandoned);
        }
    }

    /// How many have to be answered before the connection may close in peace; standing requests do not.
    pub(super) fn unanswered(&self) -> usize {
        let flights: Vec<_> = self.table().values().filter_map(|entry| entry.flight.upgrade()).collect();
        flights.iter().filter(|flight| !flight.is_standing()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_until_the_request_is_over() {
        let table = Arc::new(InFlight::default());
        let flight = table.enter(MessageId(1), OperationKind::Search, || ()).unwrap();
        assert!(table.enter(MessageId(1), OperationKind::Add, || ()).is_none());
        drop(flight);
        assert_eq!(table.len(), 0);
        assert!(table.enter(MessageId(1), OperationKind::Add, || ()).is_some());
    }

    #[test]
    fn cancel_answers_by_what_is_in_flight() {
        let table = Arc::new(InFlight::default());
        let search = table.enter(MessageId(1), OperationKind::Search, || ()).unwrap();
        let _add = table.enter(MessageId(2), OperationKind::Add, || ()).unwrap();
        let _bind = table.enter(MessageId(3), OperationKind::Bind, || ()).unwrap();
        assert_eq!(table.cancel(MessageId(1)), ResultCode::SUCCESS);
        assert_eq!(search.ending(), Ending::Canceled);
        assert_eq!(table.cancel(MessageId(2)), ResultCode::TOO_LATE);
        assert_eq!(table.cancel(MessageId(3)), ResultCode::CANNOT_CANCEL);
        assert_eq!(table.cancel(MessageId(4)), ResultCode::NO_SUCH_OPERATION);
    }

    #[test]
    fn standing_requests_do_not_hold_up_a_close() {
        let table = Arc::new(InFlight::default());
        let search = table.enter(MessageId(1), OperationKind::Search, || ()).unwrap();
        assert_eq!(table.unanswered(), 1);
        search.stand();
        assert_eq!(table.unanswered(), 0);
    }
}
