//! Server-side sort (RFC 2891) over a bounded number of entries.

use std::cmp::Ordering;
use std::sync::Arc;

use super::source::Found;
use crate::access::Right;
use crate::entry::StoredEntry;
use crate::operation::sight::Sight;
use crate::protocol::control::sort::{self, SortKey};
use crate::protocol::encode::ResponseControl;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{MatchingRule, NormalizedDn, Schema};

/// Entries that are sorted at the most.
const MOST: usize = 10_000;

/// One resolved sort key.
struct Key {
    attribute: String,
    rule: MatchingRule,
    is_reverse: bool,
}

/// Compare keys of one entry, one for each sort key; an absent value is greater than all others (RFC 2891 §2.2).
type Ranks = Vec<Option<Vec<u8>>>;

/// Entries gathered to be sorted.
pub(super) struct Sorting {
    keys: Vec<Key>,
    critical: bool,
    skip: usize,
    gathered: Vec<(Ranks, Found)>,
}

/// Entries in order.
pub(super) struct Sorted {
    pub(super) entries: Vec<(NormalizedDn, Arc<StoredEntry>)>,
    /// How many were sent on earlier pages.
    pub(super) skip: usize,
}

impl Sorting {
    /// Resolves the sort keys; the error is the control of the answer and why it cannot be done.
    pub(super) fn resolve(
        keys: &[SortKey],
        critical: bool,
        skip: usize,
        schema: &Schema,
    ) -> Result<Self, (ResponseControl, LdapResult)> {
        let refuse = |code: ResultCode, key: &SortKey, why: &str| {
            let result = LdapResult::with(
                ResultCode::UNAVAILABLE_CRITICAL_EXTENSION,
                format!("cannot sort by {}: {why}", key.attribute),
            );
            (sort::response(code, Some(&key.attribute)), result)
        };
        let mut resolved = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(described) = schema.describe(&key.attribute) else {
                return Err(refuse(ResultCode::NO_SUCH_ATTRIBUTE, key, "the schema has no such attribute"));
            };
            let rule = match &key.rule {
                Some(name) => schema.matching_rule(name),
                None => described.attribute_type.ordering,
            };
            let Some(rule) = rule else {
                return Err(refuse(
                    ResultCode::INAPPROPRIATE_MATCHING,
                    key,
                    "there is no such ordering rule",
                ));
            };
            resolved.push(Key { attribute: described.canonical(), rule, is_reverse: key.reverse });
        }
        Ok(Self { keys: resolved, critical, skip, gathered: Vec::new() })
    }

    /// Takes an entry, or refuses because there are too many.
    pub(super) fn take(&mut self, found: Found, sight: &Sight) -> Result<(), LdapResult> {
        let ranks = self.keys.iter().map(|key| rank(key, &found, sight)).collect();
        self.gathered.push((ranks, found));
        if self.gathered.len() > MOST {
            let text = format!("more than {MOST} entries match; that many are not sorted");
            return Err(LdapResult::with(ResultCode::ADMIN_LIMIT_EXCEEDED, text));
        }
        Ok(())
    }

    /// The control that says it worked.
    pub(super) fn response(&self) -> ResponseControl {
        sort::response(ResultCode::SUCCESS, None)
    }

    /// The control that says why it did not.
    pub(super) fn refused(&self, code: ResultCode) -> ResponseControl {
        sort::response(code, None)
    }

    /// Whether the client insists.
    pub(super) const fn is_critical(&self) -> bool {
        self.critical
    }

    /// What was gathered, in the order it was found.
    pub(super) fn give_back(self) -> impl Iterator<Item = Found> {
        self.gathered.into_iter().map(|(_, found)| found)
    }

    /// Sorts; entries that compare equal stay in the order they were found.
    pub(super) fn finish(mut self) -> Sorted {
        let keys = &self.keys;
        self.gathered.sort_by(|(left, _), (right, _)| compare(keys, left, right));
        let entries = self.gathered.into_iter().map(|(_, found)| (found.key, found.entry)).collect();
        Sorted { entries, skip: self.skip }
    }
}

fn compare(keys: &[Key], left: &Ranks, right: &Ranks) -> Ordering {
    for ((key, left), right) in keys.iter().zip(left).zip(right) {
        let order = match (left, right) {
            (Some(left), Some(right)) => left.cmp(right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        let order = if key.is_reverse { order.reverse() } else { order };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// The least value's compare key; an attribute that may not be searched counts as absent.
fn rank(key: &Key, found: &Found, sight: &Sight) -> Option<Vec<u8>> {
    let values = found.entry.values(&key.attribute)?;
    if !sight.may(Right::Search, &found.entry, &found.key, &key.attribute) {
        return None;
    }
    let ranks = values.iter().filter_map(|value| {
        let mut out = Vec::new();
        key.rule.key(value, &mut out).ok().map(|()| out)
    });
    ranks.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_values_are_greatest() {
        let key = |is_reverse| Key {
            attribute: "cn".into(),
            rule: MatchingRule::CaseIgnoreOrderingMatch,
            is_reverse,
        };
        let (a, b, none) = (vec![Some(b"a".to_vec())], vec![Some(b"b".to_vec())], vec![None]);
        assert_eq!(compare(&[key(false)], &a, &b), Ordering::Less);
        assert_eq!(compare(&[key(true)], &a, &b), Ordering::Greater);
        assert_eq!(compare(&[key(false)], &none, &b), Ordering::Greater);
        assert_eq!(compare(&[key(true)], &none, &b), Ordering::Less);
        assert_eq!(compare(&[key(false)], &none, &none), Ordering::Equal);
    }
}
