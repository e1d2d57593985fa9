//! Times relative to now: `(coreTokenExpirationDate:1.3.6.1.4.1.26027.1.4.6:=-1h)` finds what expired more than an
//! hour ago. The rules' keys of attribute values are the generalized-time keys; of an assertion, they depend on now.

use super::MatchingRule;

/// The instant, in milliseconds since the epoch, that the assertion `[+-]number[smhdw]` means at `now_ms`; seconds
/// where no unit is given. Saturates far out.
pub fn bound_ms(assertion: &[u8], now_ms: i64) -> Result<i64, String> {
    const ACCEPTS: &str =
        "a relative time is an optional + or -, digits, and one of s, m, h, d, w, such as -5d";
    let (negative, rest) = match assertion.trim_ascii().split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, assertion.trim_ascii()),
    };
    let (digits, unit_ms) = match rest.split_last() {
        Some((b's' | b'S', digits)) => (digits, 1000),
        Some((b'm' | b'M', digits)) => (digits, 60_000),
        Some((b'h' | b'H', digits)) => (digits, 3_600_000),
        Some((b'd' | b'D', digits)) => (digits, 86_400_000),
        Some((b'w' | b'W', digits)) => (digits, 7 * 86_400_000),
        _ => (rest, 1000),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ACCEPTS.into());
    }
    let number = digits
        .iter()
        .fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    let distance = number.saturating_mul(unit_ms);
    Ok(if negative { now_ms.saturating_sub(distance) } else { now_ms.saturating_add(distance) })
}

/// Whether the value with this key lies on the rule's side of the bound (strictly); `None` for any other rule.
pub fn matches(rule: MatchingRule, value_key: &[u8], bound_ms: i64) -> Option<bool> {
    let bound = super::time_key(bound_ms);
    match rule {
        MatchingRule::RelativeTimeGtOrderingMatch => Some(value_key > bound.as_slice()),
        MatchingRule::RelativeTimeLtOrderingMatch => Some(value_key < bound.as_slice()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let now = 1_000_000_000_000;
        assert_eq!(bound_ms(b"0", now), Ok(now));
        assert_eq!(bound_ms(b"5", now), Ok(now + 5000));
        assert_eq!(bound_ms(b"+5m", now), Ok(now + 300_000));
        assert_eq!(bound_ms(b"-2h", now), Ok(now - 7_200_000));
        assert_eq!(bound_ms(b"-1d", now), Ok(now - 86_400_000));
        assert_eq!(bound_ms(b"1w", now), Ok(now + 604_800_000));
        assert_eq!(bound_ms(b"-99999999999999999999w", now), Ok(now - i64::MAX));
        for text in ["", "-", "s", "5x", "1 d", "--5"] {
            assert!(bound_ms(text.as_bytes(), now).is_err(), "{text}");
        }
    }

    #[test]
    fn sides() {
        let key = super::super::time_key(100);
        assert_eq!(matches(MatchingRule::RelativeTimeLtOrderingMatch, &key, 101), Some(true));
        assert_eq!(matches(MatchingRule::RelativeTimeLtOrderingMatch, &key, 100), Some(false));
        assert_eq!(matches(MatchingRule::RelativeTimeGtOrderingMatch, &key, 99), Some(true));
        assert_eq!(matches(MatchingRule::IntegerMatch, &key, 99), None);
    }
}
