//! Substring assertions (RFC 4511 §4.5.1.7.2) over prepared values and parts.

/// Whether the prepared value holds the prepared parts in their order, without overlap, the first at its beginning
/// and the last at its end. `value_key` is [`super::MatchingRule::key`] under the substring rule, parts are
/// [`super::MatchingRule::substring_key`].
pub fn substring_match<P: AsRef<[u8]>>(
    value_key: &[u8],
    initial: Option<&[u8]>,
    any: &[P],
    r#final: Option<&[u8]>,
) -> bool {
    let Some(mut rest) = value_key.strip_prefix(initial.unwrap_or_default()) else {
        return false;
    };
    if let Some(last) = r#final {
        match rest.strip_suffix(last) {
            Some(before) => rest = before,
            None => return false,
        }
    }
    for part in any {
        match after(rest, part.as_ref()) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}

/// What lies behind the first place of `part` in `value`.
fn after<'a>(value: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    let Some((first, others)) = part.split_first() else {
        return Some(value);
    };
    let mut rest = value;
    loop {
        let place = rest.iter().position(|octet| octet == first)?;
        let (_, found) = rest.split_at_checked(place + 1)?;
        if let Some(behind) = found.strip_prefix(others) {
            return Some(behind);
        }
        rest = found;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{MatchingRule, SubstringPlace};
    use super::*;

    /// Evaluates `pattern`, parts between stars, under the rule.
    fn matches(rule: MatchingRule, value: &str, pattern: &str) -> bool {
        let mut key = Vec::new();
        rule.key(value.as_bytes(), &mut key).unwrap();
        let parts: Vec<&str> = pattern.split('*').collect();
        let prepared = |part: &str, place| {
            let mut out = Vec::new();
            rule.substring_key(part.as_bytes(), place, &mut out).unwrap();
            out
        };
        let (first, last) = (parts[0], parts[parts.len() - 1]);
        let initial = (!first.is_empty()).then(|| prepared(first, SubstringPlace::Initial));
        let end = (!last.is_empty()).then(|| prepared(last, SubstringPlace::Final));
        let any: Vec<_> =
            parts[1..parts.len() - 1].iter().map(|part| prepared(part, SubstringPlace::Any)).collect();
        substring_match(&key, initial.as_deref(), &any, end.as_deref())
    }

    #[test]
    fn parts_in_their_places() {
        use MatchingRule::*;
        for (value, pattern, expected) in [
            ("Foo Bar", "foo*", true),
            ("Foo Bar", "*BAR", true),
            ("Foo Bar", "f*o*r", true),
            ("Foo Bar", "*oo ba*", true),
            ("Foo   Bar", "*oo ba*", true),
            ("foo bar", "foo * bar", true),
            ("foobar", "foo * bar", false),
            ("foo", "* foo*", true),
            ("xfoo", "* foo*", false),
            ("foo", "foo *", true),
            ("foobar", "foo *", false),
            ("foo", "foo*foo", false),
            ("aba", "ab*ba", false),
            ("aab", "*ab*", true),
            ("foo", "*x*", false),
            ("foo", " foo*", true),
        ] {
            assert_eq!(matches(CaseIgnoreSubstringsMatch, value, pattern), expected, "{value} {pattern}");
        }
        assert!(!matches(CaseExactSubstringsMatch, "Foo", "foo*"));
        assert!(matches(TelephoneNumberSubstringsMatch, "+1 408-555-1212", "*4085 55*"));
        assert!(matches(NumericStringSubstringsMatch, "12 34", "1 2*4"));
        assert!(!matches(CaseIgnoreListSubstringsMatch, "ab$cd", "*bc*"));
        assert!(matches(CaseIgnoreListSubstringsMatch, "ab$cd", "ab*cd"));
        assert!(matches(OctetStringSubstringsMatch, "a b", "a *b"));
        assert!(!matches(OctetStringSubstringsMatch, "a b", "a * b"));
    }

    proptest! {
        #[test]
        fn a_value_matches_its_own_pieces(pieces in proptest::collection::vec("[abAB ]{1,4}", 2..5)) {
            let (value, pattern) = (pieces.concat(), pieces.join("*"));
            prop_assert!(matches(MatchingRule::OctetStringSubstringsMatch, &value, &pattern));
        }
    }
}
