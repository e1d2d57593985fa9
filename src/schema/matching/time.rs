//! Generalized times as instants of a millisecond: finer digits are cut off, for equality and order alike.

use crate::schema::syntax::parse_generalized_time;

/// Appends the key: [`time_key`] of the value's millisecond.
pub(super) fn key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let micros = parse_generalized_time(value)?;
    out.extend_from_slice(&time_key(micros.div_euclid(1000)));
    Ok(())
}

/// The key under the generalized-time rules of an instant in milliseconds since the epoch: eight octets, big-endian,
/// the sign bit turned over, so that keys sort as instants do.
pub fn time_key(ms: i64) -> [u8; 8] {
    (ms.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

/// The instant, in milliseconds since the epoch, of a key that [`time_key`] gave; none if it is not eight octets.
pub fn time_of_key(key: &[u8]) -> Option<i64> {
    Some((u64::from_be_bytes(key.try_into().ok()?) ^ 1 << 63).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finer_digits_are_cut_off_downwards() {
        let of = |text: &[u8]| {
            let mut out = Vec::new();
            key(text, &mut out).unwrap();
            time_of_key(&out).unwrap()
        };
        assert_eq!(of(b"19700101000000.0019Z"), 1);
        assert_eq!(of(b"19691231235959.9999Z"), -1);
        assert_eq!(of(b"19691231235959.9981Z"), -2);
    }

    proptest! {
        #[test]
        fn keys_order_as_instants_do(left: i64, right: i64) {
            prop_assert_eq!(time_key(left).cmp(&time_key(right)), left.cmp(&right));
            prop_assert_eq!(time_of_key(&time_key(left)), Some(left));
        }
    }
}
