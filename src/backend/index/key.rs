//! Index keys: a compare key, then the entry's id, such that the keys sort as the compare keys do.
//!
//! In the compare key 00 is written 00 FF; 00 00 ends it; the id follows in 8 octets. Compare keys are cut to
//! [`MAX_KEY`] octets, and where their order is not asked for ([`Form::Digest`]) to [`START`] and a digest of the whole:
//! what an index finds is a superset, and the entry itself decides.

use siphasher::sip::SipHasher13;

use super::super::index_store::EntryId;

/// Octets of a compare key that are indexed.
pub(crate) const MAX_KEY: usize = 256;

/// Octets of a compare key that stand before its digest.
pub(crate) const START: usize = 16;
/// Octets of these and the digest: what a longer compare key is replaced by.
pub(crate) const LONGEST: usize = START + size_of::<u64>();

/// How an index has its compare keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are: in their order.
    Whole,
    /// Long ones by their start and a digest: in the order of their starts.
    Digest,
}

impl Form {
    /// Appends a whole compare key: what the entries that have it share.
    pub(crate) fn put(self, out: &mut Vec<u8>, key: &[u8]) {
        match (self, key.get(..START)) {
            (Self::Digest, Some(start)) if key.len() > LONGEST => {
                put_start(out, start);
                put_key(out, &SipHasher13::new().hash(key).to_be_bytes());
            }
            _ => put_key(out, key),
        }
    }

    /// The whole compare key as a vector.
    pub(crate) fn key_of(self, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(key.len() + 10);
        self.put(&mut out, key);
        out
    }

    /// Where the keys of all values begin that are not less than this one, or start with it.
    pub(crate) fn lower(self, key: &[u8]) -> Vec<u8> {
        let mut from = Vec::new();
        put_start(&mut from, self.ordered(key).unwrap_or(key));
        from
    }

    /// What follows the keys of all values that are not greater than this one.
    pub(crate) fn upper(self, key: &[u8]) -> Option<Vec<u8>> {
        match self.ordered(key) {
            Some(start) => after(&self.lower(start)),
            None => after(&key_of(key)),
        }
    }

    /// The octets by which a key is in its place, if others follow.
    fn ordered(self, key: &[u8]) -> Option<&[u8]> {
        key.get(..START).filter(|start| self == Self::Digest && start.len() < key.len())
    }
}

/// Appends a compare key without its end: what the keys of all values that begin so have in common.
pub(crate) fn put_start(out: &mut Vec<u8>, key: &[u8]) {
    for &octet in key.iter().take(MAX_KEY) {
        out.push(octet);
        if octet == 0 {
            out.push(0xff);
        }
    }
}

/// Appends a whole compare key with its end.
fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    put_start(out, key);
    out.extend_from_slice(&[0, 0]);
}

fn key_of(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 10);
    put_key(&mut out, key);
    out
}

/// The first bytes after all that start with `prefix`; none if there are no such bytes.
pub(crate) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return Some(end);
        }
        end.pop();
    }
    None
}

/// The compare key with its end, and the id, of an index key.
pub(crate) fn split(key: &[u8]) -> Option<(&[u8], EntryId)> {
    let (start, _) = key.split_at_checked(key.len().checked_sub(8)?)?;
    Some((start, EntryId::from_tail(key)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn index_keys_sort_as_compare_keys(
            left in proptest::collection::vec(0_u8..3, 0..6),
            right in proptest::collection::vec(0_u8..3, 0..6),
            ids in any::<(u64, u64)>(),
        ) {
            let make = |key: &[u8], id: u64| {
                let mut out = key_of(key);
                out.extend_from_slice(&EntryId(id).to_bytes());
                out
            };
            let (a, b) = (make(&left, ids.0), make(&right, ids.1));
            prop_assert_eq!(a.cmp(&b), left.cmp(&right).then(ids.0.cmp(&ids.1)));
            let start = key_of(&left);
            prop_assert_eq!(split(&a).unwrap(), (start.as_slice(), EntryId(ids.0)));
            let mut start = Vec::new();
            put_start(&mut start, &right);
            let is_within = a.as_slice() >= start.as_slice() && after(&start).is_none_or(|end| a < end);
            prop_assert_eq!(is_within, left.starts_with(&right));
        }

        #[test]
        fn digests_leave_out_nothing_that_a_range_must_have(
            left in proptest::collection::vec(0_u8..3, 0..40),
            right in proptest::collection::vec(0_u8..3, 0..40),
            same in 0_usize..40,
        ) {
            // Many have a long start in common.
            let right = [left.get(..same.min(left.len())).unwrap(), &right].concat();
            let form = Form::Digest;
            let within = |from: &[u8], to: Option<&[u8]>, key: &[u8]| key >= from && to.is_none_or(|to| key < to);
            let own = form.key_of(&left);
            prop_assert_eq!(own == form.key_of(&right), left == right);
            prop_assert!(own.len() <= 2 * LONGEST + 2);
            let (lower, upper) = (form.lower(&right), form.upper(&right));
            if left >= right {
                prop_assert!(within(&lower, None, &own));
            }
            if left <= right {
                prop_assert!(within(&[], upper.as_deref(), &own));
            }
            if left.starts_with(&right) {
                prop_assert!(within(&lower, after(&lower).as_deref(), &own));
            }
            if left.len() <= START && right.len() <= START {
                prop_assert_eq!(own.cmp(&form.key_of(&right)), left.cmp(&right));
            }
        }
    }
}
