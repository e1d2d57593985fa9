//! Changes that wait until the entry they concern is in memory, so that the sequencer need not wait for the disk.
//!
//! Only what concerns the same entry, or one above or below it, has to keep its order: such a change waits behind the
//! one that came before it, whether its own entry is there or not.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use super::store::{Change, ChangeKind};
use crate::schema::NormalizedDn;

/// Changes that wait at the most; beyond, the sequencer reads for itself.
const MOST: usize = 256;

/// The waiting changes.
#[derive(Default)]
pub(crate) struct Parked {
    state: Mutex<State>,
    /// How many there are; changed under the lock, read without.
    count: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// In the order of their numbers.
    all: VecDeque<Waiting>,
    next: u64,
}

struct Waiting {
    number: u64,
    change: Change,
    is_read: bool,
    /// Those that it has to come after.
    behind: SmallVec<[u64; 2]>,
}

/// What to do with a change.
pub(crate) enum Turn {
    /// It goes on now.
    Now(Change),
    /// It waits; its entry is to be read, then [`Parked::read`] told.
    Read(u64),
    /// It waits for another.
    Later,
}

impl State {
    fn is_waiting(&self, number: u64) -> bool {
        self.all.binary_search_by_key(&number, |waiting| waiting.number).is_ok()
    }
}

fn names(change: &Change) -> impl Iterator<Item = &NormalizedDn> {
    let mut kind = &change.kind;
    while let ChangeKind::Trial(inner) = kind {
        kind = inner;
    }
    let new = match kind {
        ChangeKind::Rename { new_key, .. } => Some(new_key),
        _ => None,
    };
    std::iter::once(&change.target).chain(new)
}

fn concern_each_other(one: &Change, other: &Change) -> bool {
    names(one).any(|one| names(other).any(|other| one.covers(other) || other.covers(one)))
}

impl Parked {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Takes a change up; `is_cold` says whether its entry has to be read.
    pub(crate) fn take(&self, change: Change, is_cold: bool) -> Turn {
        let mut state = self.state();
        let before = state.all.iter().filter(|waiting| concern_each_other(&waiting.change, &change));
        let behind: SmallVec<[u64; 2]> = before.map(|waiting| waiting.number).collect();
        if behind.is_empty() && (!is_cold || state.all.len() >= MOST) {
            return Turn::Now(change);
        }
        let number = state.next;
        state.next += 1;
        state.all.push_back(Waiting { number, change, is_read: !is_cold, behind });
        self.count.store(state.all.len(), Ordering::Release);
        if is_cold { Turn::Read(number) } else { Turn::Later }
    }

    /// The entry of a change is in memory: gives to `go` what may go on by it, in order.
    pub(crate) fn read(&self, number: u64, mut go: impl FnMut(Change)) {
        let mut state = self.state();
        if let Ok(at) = state.all.binary_search_by_key(&number, |waiting| waiting.number)
            && let Some(waiting) = state.all.get_mut(at)
        {
            waiting.is_read = true;
        }
        let mut at = 0;
        while let Some(waiting) = state.all.get(at) {
            let may_go = waiting.is_read && !waiting.behind.iter().any(|&behind| state.is_waiting(behind));
            if !may_go {
                at += 1;
            } else if let Some(waiting) = state.all.remove(at) {
                // Under the lock, so that nothing that comes after it overtakes it.
                go(waiting.change);
            }
        }
        self.count.store(state.all.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use super::*;
    use crate::schema::{Schema, SchemaStore};

    fn change(dn: &str) -> Change {
        static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| SchemaStore::builtin(true).current());
        Change {
            target: NormalizedDn::parse(dn, &SCHEMA).unwrap(),
            kind: ChangeKind::Delete { check: Box::new(|_| Ok(())), subtree: false },
            done: Box::new(|_| ()),
        }
    }

    fn number(turn: Turn) -> u64 {
        match turn {
            Turn::Read(number) => number,
            _ => panic!("it is not read"),
        }
    }

    #[test]
    fn what_concerns_the_same_entry_keeps_its_order_and_nothing_else_waits() {
        let parked = Parked::default();
        assert!(matches!(parked.take(change("cn=a,dc=x"), false), Turn::Now(_)));
        let first = number(parked.take(change("cn=a,dc=x"), true));
        let second = number(parked.take(change("cn=b,dc=x"), true));
        assert_eq!(parked.len(), 2);
        assert!(matches!(parked.take(change("cn=c,dc=x"), false), Turn::Now(_)));
        assert!(matches!(parked.take(change("cn=b,dc=x"), false), Turn::Later));
        assert!(matches!(parked.take(change("dc=x"), false), Turn::Later));
        let third = number(parked.take(change("cn=d,cn=a,dc=x"), true));
        let mut gone = Vec::new();
        let mut go = |change: Change| gone.push(change.target);
        parked.read(third, &mut go);
        parked.read(second, &mut go);
        parked.read(first, &mut go);
        let key = |dn| change(dn).target;
        let expected = ["cn=b,dc=x", "cn=b,dc=x", "cn=a,dc=x", "dc=x", "cn=d,cn=a,dc=x"];
        assert_eq!(gone, expected.map(key));
        assert_eq!(parked.len(), 0);
    }

    #[test]
    fn no_more_than_a_bound_wait() {
        let parked = Parked::default();
        for number in 0..MOST {
            assert!(matches!(parked.take(change(&format!("cn={number}")), true), Turn::Read(_)));
        }
        assert!(matches!(parked.take(change("cn=one more"), true), Turn::Now(_)));
        assert!(matches!(parked.take(change("cn=0"), true), Turn::Read(_)), "its order counts for more");
    }
}
