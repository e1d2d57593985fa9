//! Accounts locked after too many wrong passwords, and how many passwords of one address may wait at once.
//!
//! Both are kept in memory: a lock is this server's own and ends with it, and a wrong password writes nothing, so that
//! guessing does not become a load of writes. Only accounts that exist are counted, and a bounded number of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Accounts counted at once; above this, those that are not locked are forgotten.
const MOST: usize = 65_536;

/// When an account is locked, and for how long (`ds-cfg-lockout-*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutRules {
    /// Wrong passwords in a row that lock the account; 0 never does.
    pub failures: u32,
    /// How long it stays locked; none is until its password is changed or the server restarts.
    pub duration: Option<Duration>,
    /// After how long without a wrong password the count starts anew; none never does.
    pub expiration: Option<Duration>,
}

/// The wrong passwords of each account. Asked for nothing where the rules lock nobody.
#[derive(Debug, Default)]
pub struct Lockouts {
    accounts: Mutex<HashMap<Box<[u8]>, Account>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Account {
    failures: u32,
    /// Of the last failure that counted.
    last: Duration,
    locked: bool,
    /// Of the stored passwords that it was guessed against: other ones, and the count starts anew.
    stored: u64,
}

impl Account {
    fn is_locked(&self, rules: LockoutRules, now: Duration) -> bool {
        self.locked && rules.duration.is_none_or(|length| now.saturating_sub(self.last) < length)
    }

    /// Whether it still tells something.
    fn counts(&self, rules: LockoutRules, now: Duration) -> bool {
        if self.locked {
            return self.is_locked(rules, now);
        }
        rules.expiration.is_none_or(|length| now.saturating_sub(self.last) < length)
    }
}

impl Lockouts {
    fn accounts(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the account of this key with these stored passwords is locked now.
    pub fn is_locked(&self, key: &[u8], stored: &[Vec<u8>], rules: LockoutRules, now: Duration) -> bool {
        if rules.failures == 0 {
            return false;
        }
        let stored = self.hasher.hash_one(stored);
        self.accounts().get(key).is_some_and(|found| found.stored == stored && found.is_locked(rules, now))
    }

    /// Counts a wrong password; true if it locks the account. Does not count while it is locked.
    pub fn failed(&self, key: &[u8], stored: &[Vec<u8>], rules: LockoutRules, now: Duration) -> bool {
        if rules.failures == 0 {
            return false;
        }
        let stored = self.hasher.hash_one(stored);
        let mut accounts = self.accounts();
        if accounts.len() >= MOST && !accounts.contains_key(key) {
            accounts.retain(|_, account| account.locked && account.counts(rules, now));
            if accounts.len() >= MOST {
                return false;
            }
        }
        let fresh = || Account { failures: 0, last: now, locked: false, stored };
        let account = accounts.entry(key.into()).or_insert_with(fresh);
        if account.stored != stored || !account.counts(rules, now) {
            *account = fresh();
        }
        if account.locked {
            return false;
        }
        account.failures = account.failures.saturating_add(1);
        account.last = now;
        account.locked = account.failures >= rules.failures;
        account.locked
    }

    /// How many accounts have been locked and not been unlocked by their password since, and the keys of some of them. Whether
    /// a lock still holds tells [`Self::is_locked`].
    pub fn locked(&self, most: usize) -> (usize, Vec<Box<[u8]>>) {
        let accounts = self.accounts();
        let locked = || accounts.iter().filter(|(_, account)| account.locked);
        (locked().count(), locked().take(most).map(|(key, _)| key.clone()).collect())
    }

    /// The right password came: what was wrong before is forgotten.
    pub fn succeeded(&self, key: &[u8], rules: LockoutRules) {
        if rules.failures > 0 {
            self.accounts().remove(key);
        }
    }
}

/// How many passwords of each address are being checked, so that no address takes the whole hashing queue.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<IpAddr, usize>>);

/// A password being checked; gives its place back when dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    address: IpAddr,
}

impl Turns {
    /// Passwords of one address that may be checked or wait for it at once: a quarter of the hashing queue.
    pub const MOST: usize = 256;

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more password of this address; none if it has all it may.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Turn> {
        let mut counts = self.counts();
        let count = counts.entry(address).or_default();
        if *count >= Self::MOST {
            return None;
        }
        *count += 1;
        Some(Turn { turns: Arc::clone(self), address })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = self.turns.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: LockoutRules = LockoutRules {
        failures: 3,
        duration: Some(Duration::from_secs(60)),
        expiration: Some(Duration::from_secs(30)),
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    fn stored() -> Vec<Vec<u8>> {
        vec![b"{SSHA}x".to_vec()]
    }

    #[test]
    fn three_in_a_row_lock_for_a_minute() {
        let lockouts = Lockouts::default();
        assert!(!lockouts.failed(b"a", &stored(), RULES, at(0)));
        assert!(!lockouts.failed(b"a", &stored(), RULES, at(1)));
        assert!(!lockouts.is_locked(b"a", &stored(), RULES, at(1)));
        assert!(lockouts.failed(b"a", &stored(), RULES, at(2)));
        assert!(lockouts.is_locked(b"a", &stored(), RULES, at(61)));
        assert!(!lockouts.failed(b"a", &stored(), RULES, at(61)), "locked already, and no longer for it");
        assert!(!lockouts.is_locked(b"b", &stored(), RULES, at(61)));
        assert!(!lockouts.is_locked(b"a", &stored(), RULES, at(62)));
        assert!(!lockouts.failed(b"a", &stored(), RULES, at(62)), "it counts from one again");
        assert!(!lockouts.is_locked(b"a", &stored(), RULES, at(62)));
    }

    #[test]
    fn a_right_password_a_pause_or_a_new_password_start_anew() {
        let lockouts = Lockouts::default();
        let fail = |second| lockouts.failed(b"a", &stored(), RULES, at(second));
        assert!(!fail(0) && !fail(1));
        lockouts.succeeded(b"a", RULES);
        assert!(!fail(2) && !fail(3));
        assert!(!fail(33), "thirty seconds passed");
        assert!(!fail(34));
        assert!(fail(35));
        let changed = vec![b"{SSHA}y".to_vec()];
        assert!(lockouts.is_locked(b"a", &stored(), RULES, at(35)));
        assert!(!lockouts.is_locked(b"a", &changed, RULES, at(35)), "a reset unlocks");
        assert!(!lockouts.failed(b"a", &changed, RULES, at(36)));
    }

    #[test]
    fn without_rules_nobody_is_counted_and_without_a_duration_locks_stay() {
        let lockouts = Lockouts::default();
        let none = LockoutRules { failures: 0, ..RULES };
        (0..10).for_each(|second| assert!(!lockouts.failed(b"a", &stored(), none, at(second))));
        assert!(lockouts.accounts().is_empty());
        let forever = LockoutRules { failures: 1, duration: None, expiration: None };
        assert!(lockouts.failed(b"a", &stored(), forever, at(0)));
        assert!(lockouts.is_locked(b"a", &stored(), forever, at(1_000_000)));
        assert_eq!(lockouts.locked(9), (1, vec![b"a"[..].into()]));
        assert_eq!(lockouts.locked(0), (1, Vec::new()));
    }

    #[test]
    fn the_number_of_accounts_is_bounded_and_locks_are_kept() {
        let lockouts = Lockouts::default();
        let locked = (0..3).any(|second| lockouts.failed(b"locked", &stored(), RULES, at(second)));
        assert!(locked);
        for number in 0..MOST + 10 {
            lockouts.failed(&number.to_be_bytes(), &stored(), RULES, at(2));
        }
        assert!(lockouts.accounts().len() <= MOST);
        assert!(lockouts.is_locked(b"locked", &stored(), RULES, at(2)));
    }

    #[test]
    fn an_address_has_so_many_turns() {
        let turns = Arc::new(Turns::default());
        let here: IpAddr = [127, 0, 0, 1].into();
        let mut held: Vec<Turn> = (0..Turns::MOST).map(|_| turns.take(here).unwrap()).collect();
        assert!(turns.take(here).is_none());
        assert!(turns.take([127, 0, 0, 2].into()).is_some());
        held.pop();
        assert!(turns.take(here).is_some());
        held.clear();
        assert!(turns.counts().is_empty());
    }
}
