//! How fast a client's messages are taken: never more in flight than its share, and less of it while the store is crowded.

use super::Awaited;
use super::in_flight::{InFlight, Load};
use crate::protocol::decode;

/// Bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What one message may hold.
    pub message: decode::Limits,
    /// Unanswered requests at which no further message is taken; also how many persistent searches one connection has.
    pub in_flight: usize,
    /// Unanswered changes at which no further message is taken, so that others' changes come in between; one, while the
    /// store is crowded.
    pub changes: usize,
    /// Octets of unanswered requests at which no further message is taken.
    pub in_flight_octets: usize,
    /// Octets that wait to be written above which no further message is taken and searches wait.
    pub outbox: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: decode::Limits::default(),
            in_flight: 1_000,
            changes: 64,
            in_flight_octets: 8 << 20,
            outbox: 1 << 20,
        }
    }
}

/// One connection's pace.
pub(super) struct Pace {
    pub(super) limits: Limits,
    /// So much was in flight that messages have to wait until there is clearly less, namely this.
    until: Option<Load>,
    /// Whether the connection's task is woken when it is there.
    is_expected: bool,
}

impl Pace {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits, until: None, is_expected: false }
    }

    /// Whether messages have to wait until something in flight ends. The store is asked only if a change is in flight.
    pub(super) fn is_held_up(
        &mut self,
        in_flight: &InFlight,
        is_store_crowded: impl FnOnce() -> bool,
    ) -> bool {
        let load = in_flight.load();
        if self.until.is_some_and(|until| load.is_within(until)) {
            self.until = None;
        }
        if self.until.is_none() {
            self.until = self.too_much(load, is_store_crowded);
            if self.until.is_some() && self.is_expected {
                in_flight.watch(self.until);
            }
        }
        self.until.is_some()
    }

    /// Where this load has to get to, if it is too much.
    fn too_much(&self, load: Load, is_store_crowded: impl FnOnce() -> bool) -> Option<Load> {
        let limits = &self.limits;
        let until = |changes| Load {
            requests: limits.in_flight / 4 * 3,
            changes,
            octets: limits.in_flight_octets / 2,
        };
        if load.changes > 0 && is_store_crowded() {
            // Each connection has its turn, whatever others have sent already.
            return Some(until(0));
        }
        let is_share = load.requests < limits.in_flight
            && load.changes < limits.changes
            && load.octets < limits.in_flight_octets;
        (!is_share).then(|| until(limits.changes / 4 * 3))
    }

    /// Has the connection's task woken when what it waits for comes; what came before the call wakes nobody.
    pub(super) fn expect(&mut self, what: Awaited, in_flight: &InFlight) {
        self.is_expected = what == Awaited::Room;
        in_flight.watch(match what {
            Awaited::Nothing => None,
            Awaited::Room => self.until,
            Awaited::Answers => Some(Load { requests: 0, changes: usize::MAX, octets: usize::MAX }),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::operation::{Flight, FlightKeeper};
    use crate::protocol::message::{MessageId, OperationKind};

    struct Nobody;

    impl FlightKeeper for Nobody {
        fn stands(&self, _: MessageId) {}

        fn over(&self, _: &Flight) {}
    }

    /// The flights themselves are not what is tested: their keeper is nobody.
    fn enter(table: &InFlight, ids: std::ops::Range<i32>, kind: OperationKind) -> Vec<Arc<Flight>> {
        ids.map(|id| table.enter(MessageId(id), kind, 10, Arc::new(Nobody)).unwrap()).collect()
    }

    #[test]
    fn changes_have_a_share_and_go_on_when_a_quarter_of_it_is_free() {
        let (table, limits) = (InFlight::default(), Limits { changes: 8, ..Limits::default() });
        let mut pace = Pace::new(limits);
        let _searches = enter(&table, 100..120, OperationKind::Search);
        let changes = enter(&table, 0..7, OperationKind::Modify);
        assert!(!pace.is_held_up(&table, || false));
        let _last = enter(&table, 7..8, OperationKind::Add);
        assert!(pace.is_held_up(&table, || false));
        pace.expect(Awaited::Room, &table);
        assert!(!table.over(&changes[0]));
        assert!(pace.is_held_up(&table, || false));
        assert!(table.over(&changes[1]), "the task is woken");
        assert!(!pace.is_held_up(&table, || false));
    }

    #[test]
    fn while_the_store_is_crowded_one_change_at_a_time_goes_on() {
        let table = InFlight::default();
        let mut pace = Pace::new(Limits::default());
        let _searches = enter(&table, 100..120, OperationKind::Search);
        assert!(!pace.is_held_up(&table, || true), "who changes nothing is not held up");
        let few = enter(&table, 0..2, OperationKind::Delete);
        assert!(pace.is_held_up(&table, || true));
        pace.expect(Awaited::Room, &table);
        assert!(!table.over(&few[0]));
        assert!(pace.is_held_up(&table, || false), "until what it has is answered");
        assert!(table.over(&few[1]));
        assert!(!pace.is_held_up(&table, || true));
        // What is waited for may become another thing while the task is not told anew.
        let many = enter(&table, 0..64, OperationKind::Delete);
        assert!(pace.is_held_up(&table, || false));
        assert!(many[..15].iter().all(|flight| !table.over(flight)));
        assert!(table.over(&many[15]));
    }
}
