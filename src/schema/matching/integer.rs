//! Integers of any size, in keys whose order is the numbers'.

use crate::schema::syntax::number;

/// Digit counts below this fit in the first octet.
const LONG: usize = 0x7F;

/// Appends the key: of a number not negative, an octet 80 + count of digits (FF: the count follows in eight octets),
/// then the digits, two an octet. Of a negative number, the same of its magnitude with every bit turned over.
pub(super) fn key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let (negative, digits) = number::integer(value)?;
    let flip = if negative { 0xFF } else { 0 };
    match u8::try_from(digits.len()) {
        Ok(count) if digits.len() < LONG => out.push((0x80 | count) ^ flip),
        _ => {
            out.push(0xFF ^ flip);
            let count = u64::try_from(digits.len()).unwrap_or(u64::MAX);
            out.extend(count.to_be_bytes().iter().map(|octet| octet ^ flip));
        }
    }
    out.extend(digits.chunks(2).map(|pair| {
        let packed = match pair {
            [high, low] => (high - b'0') << 4 | (low - b'0'),
            [high] => (high - b'0') << 4,
            _ => 0,
        };
        packed ^ flip
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        key(text.as_bytes(), &mut out).unwrap();
        out
    }

    #[test]
    fn long_numbers_keep_their_order() {
        let nines = "9".repeat(126);
        let longer = "1".to_owned() + &"0".repeat(126);
        let longest = "1".to_owned() + &"0".repeat(300);
        let numbers = [
            format!("-{longest}"),
            format!("-{longer}"),
            format!("-{nines}"),
            "-10".into(),
            "-9".into(),
            "-1".into(),
            "0".into(),
            "1".into(),
            "9".into(),
            "10".into(),
            nines,
            longer,
            longest,
        ];
        let keys: Vec<_> = numbers.iter().map(|text| of(text)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
    }

    proptest! {
        #[test]
        fn keys_order_as_numbers_do(left: i128, right: i128) {
            prop_assert_eq!(of(&left.to_string()).cmp(&of(&right.to_string())), left.cmp(&right));
        }

        #[test]
        fn small_keys_order_as_numbers_do(left in -1200_i32..1200, right in -1200_i32..1200) {
            prop_assert_eq!(of(&left.to_string()).cmp(&of(&right.to_string())), left.cmp(&right));
        }
    }
}
