//! Index keys: a compare key, then the entry's id, such that the keys sort as the compare keys do.
//!
//! In the compare key 00 is written 00 FF; 00 00 ends it; the id follows in 8 octets. Compare keys are cut to
//! [`MAX_KEY`] octets: what an index finds is a superset, and the entry itself decides.

use super::super::index_store::EntryId;

/// Octets of a compare key that are indexed.
pub(crate) const MAX_KEY: usize = 256;

/// Appends a compare key without its end: what the keys of all values that begin so have in common.
pub(crate) fn put_start(out: &mut Vec<u8>, key: &[u8]) {
    for &octet in key.iter().take(MAX_KEY) {
        out.push(octet);
        if octet == 0 {
            out.push(0xff);
        }
    }
}

/// Appends a whole compare key: what the entries that have it share.
pub(crate) fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    put_start(out, key);
    out.extend_from_slice(&[0, 0]);
}

/// The whole compare key as a vector.
pub(crate) fn key_of(key: &[u8]) -> Vec<u8> {
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
    }
}
