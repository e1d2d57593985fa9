//! Matching rules (RFC 4517 §4.2): every rule is a way to make keys, and keys compare as bytes.
//!
//! Equality: two values match iff their keys are equal. Ordering: a value sorts before another iff its key does
//! (memcmp). The equality and the ordering rule of one family give the same keys, so one index tree serves both.
//! Substring: parts are prepared so that they are found in the prepared value by [`substring_match`].
//! One file a family.

mod bits;
mod dn;
mod facts;
mod first_component;
mod integer;
mod list;
mod octet;
mod oid;
mod password;
pub mod relative;
mod substring;
mod time;
mod uuid;

pub use facts::RuleKind;
pub use substring::substring_match;
pub use time::{time_key, time_of_key};

use super::prepare::{Case, Form, prepare};

/// A matching rule the server knows. Copy; compare with `==`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum MatchingRule {
    CaseIgnoreMatch,
    CaseIgnoreOrderingMatch,
    CaseIgnoreSubstringsMatch,
    CaseExactMatch,
    CaseExactOrderingMatch,
    CaseExactSubstringsMatch,
    CaseIgnoreIa5Match,
    CaseIgnoreIa5SubstringsMatch,
    CaseExactIa5Match,
    CaseExactIa5SubstringsMatch,
    CaseIgnoreListMatch,
    CaseIgnoreListSubstringsMatch,
    NumericStringMatch,
    NumericStringOrderingMatch,
    NumericStringSubstringsMatch,
    TelephoneNumberMatch,
    TelephoneNumberSubstringsMatch,
    OctetStringMatch,
    OctetStringOrderingMatch,
    OctetStringSubstringsMatch,
    IntegerMatch,
    IntegerOrderingMatch,
    BooleanMatch,
    BitStringMatch,
    GeneralizedTimeMatch,
    GeneralizedTimeOrderingMatch,
    DistinguishedNameMatch,
    UniqueMemberMatch,
    ObjectIdentifierMatch,
    ObjectIdentifierFirstComponentMatch,
    IntegerFirstComponentMatch,
    DirectoryStringFirstComponentMatch,
    UuidMatch,
    UuidOrderingMatch,
    WordMatch,
    KeywordMatch,
    AuthPasswordExactMatch,
    UserPasswordExactMatch,
    RelativeTimeGtOrderingMatch,
    RelativeTimeLtOrderingMatch,
}

/// Where a part stands in a substring assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum SubstringPlace {
    Initial,
    Any,
    Final,
}

impl MatchingRule {
    /// The compare key of an attribute value or an equality/ordering assertion value, appended to `out`.
    /// Fails on a value that breaks the rule's syntax (the assertion is then Undefined; a stored value, which may be
    /// one that strings must not hold by RFC 4518 §2.4, then matches nothing but is no less stored).
    /// What a failure leaves appended has no meaning.
    ///
    /// DNs and OIDs are compared as the text alone allows (names lower-cased, no schema look-up). A relative-time
    /// rule takes attribute values here; its assertions go through [`relative::bound_ms`]. A substring rule gives the
    /// form in which parts are looked for, which is not the key of the equality rule.
    pub fn key(self, value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::CaseIgnoreMatch
            | Self::CaseIgnoreOrderingMatch
            | Self::CaseIgnoreIa5Match
            | Self::WordMatch
            | Self::KeywordMatch => prepare(value, Case::Ignore, Form::Whole, out),
            Self::GeneralizedTimeMatch
            | Self::GeneralizedTimeOrderingMatch
            | Self::RelativeTimeGtOrderingMatch
            | Self::RelativeTimeLtOrderingMatch => time::key(value, out),
            Self::CaseExactMatch | Self::CaseExactOrderingMatch | Self::CaseExactIa5Match => {
                prepare(value, Case::Exact, Form::Whole, out)
            }
            Self::IntegerMatch | Self::IntegerOrderingMatch => integer::key(value, out),
            Self::CaseIgnoreSubstringsMatch | Self::CaseIgnoreIa5SubstringsMatch => {
                prepare(value, Case::Ignore, Form::Searched, out)
            }
            Self::CaseExactSubstringsMatch | Self::CaseExactIa5SubstringsMatch => {
                prepare(value, Case::Exact, Form::Searched, out)
            }
            Self::CaseIgnoreListMatch => list::key(value, Form::Whole, out),
            Self::CaseIgnoreListSubstringsMatch => list::key(value, Form::Searched, out),
            Self::NumericStringMatch
            | Self::NumericStringOrderingMatch
            | Self::NumericStringSubstringsMatch => prepare(value, Case::Exact, Form::Numeric, out),
            Self::TelephoneNumberMatch | Self::TelephoneNumberSubstringsMatch => {
                prepare(value, Case::Ignore, Form::Telephone, out)
            }
            Self::OctetStringMatch | Self::OctetStringOrderingMatch | Self::OctetStringSubstringsMatch => {
                octet::key(value, out);
                Ok(())
            }
            Self::BooleanMatch => bits::boolean_key(value, out),
            Self::BitStringMatch => bits::key(value, out),
            Self::DistinguishedNameMatch => dn::key(value, out),
            Self::UniqueMemberMatch => dn::key_with_uid(value, out),
            Self::ObjectIdentifierMatch => oid::key(value, out),
            Self::ObjectIdentifierFirstComponentMatch => first_component::oid_key(value, out),
            Self::IntegerFirstComponentMatch => first_component::integer_key(value, out),
            Self::DirectoryStringFirstComponentMatch => first_component::string_key(value, out),
            Self::UuidMatch | Self::UuidOrderingMatch => uuid::key(value, out),
            Self::AuthPasswordExactMatch => password::auth_key(value, out),
            Self::UserPasswordExactMatch => {
                password::user_key(value, out);
                Ok(())
            }
        }
    }

    /// The prepared form of one part of a substring assertion, appended to `out`; it is looked for in the
    /// [`Self::key`] of the value (RFC 4518 §2.6.1: insignificant spaces depend on the part's place).
    /// Fails on a part that cannot be in a value, and on a rule that is not a substring rule.
    pub fn substring_key(self, part: &[u8], place: SubstringPlace, out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::CaseIgnoreSubstringsMatch
            | Self::CaseIgnoreIa5SubstringsMatch
            | Self::CaseIgnoreListSubstringsMatch => prepare(part, Case::Ignore, Form::Part(place), out),
            Self::CaseExactSubstringsMatch | Self::CaseExactIa5SubstringsMatch => {
                prepare(part, Case::Exact, Form::Part(place), out)
            }
            Self::NumericStringSubstringsMatch => prepare(part, Case::Exact, Form::Numeric, out),
            Self::TelephoneNumberSubstringsMatch => prepare(part, Case::Ignore, Form::Telephone, out),
            Self::OctetStringSubstringsMatch => {
                octet::key(part, out);
                Ok(())
            }
            _ => Err(format!("{} is not a substring rule", self.name())),
        }
    }

    /// What the key of every value begins with, under this **equality** rule, that begins with the initial part
    /// of a substring assertion; appended to `out`. So an equality index serves `(cn=ab*)` as a range.
    ///
    /// False, with nothing appended, if the rule's keys do not keep the text's order or the part is too short to
    /// narrow anything. What the range gives is a superset: test each value with [`substring_match`].
    pub fn prefix_key(self, initial: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let prepared = match self {
            Self::CaseIgnoreMatch | Self::CaseIgnoreOrderingMatch | Self::CaseIgnoreIa5Match => {
                prepare(initial, Case::Ignore, Form::Whole, out)
            }
            Self::CaseExactMatch | Self::CaseExactOrderingMatch | Self::CaseExactIa5Match => {
                prepare(initial, Case::Exact, Form::Whole, out)
            }
            Self::OctetStringMatch | Self::OctetStringOrderingMatch => {
                octet::key(initial, out);
                Ok(())
            }
            _ => return false,
        };
        let useful =
            prepared.is_ok() && out.get(start..).is_some_and(|prefix| !matches!(prefix, [] | [b' ']));
        if !useful {
            out.truncate(start);
        }
        useful
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn key(rule: MatchingRule, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        rule.key(value, &mut out).unwrap();
        out
    }

    fn same(rule: MatchingRule, left: &str, right: &str) -> bool {
        key(rule, left.as_bytes()) == key(rule, right.as_bytes())
    }

    #[test]
    fn directory_strings_ignore_case_and_spare_spaces() {
        use MatchingRule::*;
        assert!(same(CaseIgnoreMatch, " Alice  Smith ", "alice smith"));
        assert!(!same(CaseIgnoreMatch, "alicesmith", "alice smith"));
        assert!(same(CaseExactMatch, "a  b", "a b"));
        assert!(!same(CaseExactMatch, "A", "a"));
        assert!(same(NumericStringMatch, "1 2 3", "123"));
        assert!(same(TelephoneNumberMatch, "+1 408-555 1212", "+14085551212"));
        assert!(same(CaseIgnoreIa5Match, "A@B.c", "a@b.C"));
    }

    #[test]
    fn token_dates_are_instants_in_every_zone() {
        use MatchingRule::GeneralizedTimeMatch as Time;
        assert!(same(Time, "20261122081638.043+0300", "20261122051638.043Z"));
        assert!(same(Time, "20261122001638-0500", "20261122051638Z"));
        assert!(same(Time, "20261122051638.000Z", "20261122051638Z"));
        assert!(!same(Time, "20261122051638.043Z", "20261122051638Z"));
        let ordered = [
            "20261122051637.999Z",
            "20261122081638+0300",
            "20261122051638.001Z",
            "20261122001638.043-0500",
            "20261122061639+0100",
        ];
        let keys: Vec<_> = ordered
            .iter()
            .map(|text| key(MatchingRule::GeneralizedTimeOrderingMatch, text.as_bytes()))
            .collect();
        assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn wrong_values_fail() {
        use MatchingRule::*;
        for rule in [IntegerMatch, BooleanMatch, GeneralizedTimeMatch, UuidMatch, BitStringMatch] {
            assert!(rule.key(b"nonsense", &mut Vec::new()).is_err());
        }
        assert!(CaseIgnoreMatch.key(b"\xff", &mut Vec::new()).is_err());
        assert!(CaseIgnoreMatch.substring_key(b"a", SubstringPlace::Any, &mut Vec::new()).is_err());
    }

    #[test]
    fn keys_are_appended() {
        let mut out = b"x".to_vec();
        MatchingRule::CaseIgnoreMatch.key(b"AB", &mut out).unwrap();
        assert_eq!(out, b"xab");
        assert!(MatchingRule::CaseIgnoreMatch.prefix_key(b"Cd  ", &mut out));
        assert_eq!(out, b"xabcd");
        assert!(!MatchingRule::CaseIgnoreMatch.prefix_key(b"  ", &mut out));
        assert!(!MatchingRule::IntegerMatch.prefix_key(b"1", &mut out));
        assert_eq!(out, b"xabcd");
    }

    proptest! {
        #[test]
        fn equality_is_reflexive_and_order_agrees_with_it(value in "[ -~ä\u{a0}]{0,20}") {
            for rule in [MatchingRule::CaseIgnoreMatch, MatchingRule::CaseExactMatch, MatchingRule::OctetStringMatch] {
                prop_assert_eq!(key(rule, value.as_bytes()), key(rule, value.as_bytes()));
            }
            prop_assert_eq!(
                key(MatchingRule::CaseIgnoreMatch, value.as_bytes()),
                key(MatchingRule::CaseIgnoreOrderingMatch, value.as_bytes())
            );
            prop_assert_eq!(
                key(MatchingRule::CaseIgnoreMatch, value.as_bytes()),
                key(MatchingRule::CaseIgnoreMatch, value.to_uppercase().as_bytes())
            );
        }

        #[test]
        fn a_value_that_begins_so_lies_in_the_prefix_range(head in "[a-cA-C ]{1,5}", tail in "[a-c ]{0,5}") {
            let value = format!("{head}{tail}");
            let mut prefix = Vec::new();
            if MatchingRule::CaseIgnoreMatch.prefix_key(head.as_bytes(), &mut prefix) {
                prop_assert!(key(MatchingRule::CaseIgnoreMatch, value.as_bytes()).starts_with(&prefix));
            }
        }

        #[test]
        fn no_octets_make_a_rule_fall(value in proptest::collection::vec(any::<u8>(), 0..32)) {
            for rule in MatchingRule::all() {
                let _ = rule.key(&value, &mut Vec::new());
                for place in [SubstringPlace::Initial, SubstringPlace::Any, SubstringPlace::Final] {
                    let _ = rule.substring_key(&value, place, &mut Vec::new());
                }
            }
        }
    }
}
