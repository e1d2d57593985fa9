//! OIDs, names, assertion syntaxes and kinds of the rules.

use super::MatchingRule;

/// What a rule is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum RuleKind {
    Equality,
    Ordering,
    Substring,
}

use RuleKind::{Equality, Ordering, Substring};

/// Declares the facts of each rule: OID, name, assertion syntax, kind, and further names by which it is found.
macro_rules! rules {
    ($($variant:ident $oid:literal $name:literal $syntax:literal $kind:ident [$($alias:literal)*])+) => {
        impl MatchingRule {
            /// Its OID.
            pub fn oid(self) -> &'static str {
                match self {
                    $(Self::$variant => $oid,)+
                }
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The OID of the syntax of its assertions, for `cn=schema`.
            pub fn syntax_oid(self) -> &'static str {
                match self {
                    $(Self::$variant => $syntax,)+
                }
            }

            /// What it is used for.
            pub fn kind(self) -> RuleKind {
                match self {
                    $(Self::$variant => $kind,)+
                }
            }

            /// Names other than [`Self::name`] by which it is found.
            pub fn aliases(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => &[$($alias,)*],)+
                }
            }

            /// All of them, for `cn=schema`.
            pub fn all() -> &'static [Self] {
                &[$(Self::$variant,)+]
            }
        }
    };
}

rules! {
    ObjectIdentifierMatch "2.5.13.0" "objectIdentifierMatch" "1.3.6.1.4.1.1466.115.121.1.38" Equality []
    DistinguishedNameMatch "2.5.13.1" "distinguishedNameMatch" "1.3.6.1.4.1.1466.115.121.1.12" Equality []
    CaseIgnoreMatch "2.5.13.2" "caseIgnoreMatch" "1.3.6.1.4.1.1466.115.121.1.15" Equality []
    CaseIgnoreOrderingMatch "2.5.13.3" "caseIgnoreOrderingMatch" "1.3.6.1.4.1.1466.115.121.1.15" Ordering []
    CaseIgnoreSubstringsMatch "2.5.13.4" "caseIgnoreSubstringsMatch" "1.3.6.1.4.1.1466.115.121.1.58" Substring []
    CaseExactMatch "2.5.13.5" "caseExactMatch" "1.3.6.1.4.1.1466.115.121.1.15" Equality []
    CaseExactOrderingMatch "2.5.13.6" "caseExactOrderingMatch" "1.3.6.1.4.1.1466.115.121.1.15" Ordering []
    CaseExactSubstringsMatch "2.5.13.7" "caseExactSubstringsMatch" "1.3.6.1.4.1.1466.115.121.1.58" Substring []
    NumericStringMatch "2.5.13.8" "numericStringMatch" "1.3.6.1.4.1.1466.115.121.1.36" Equality []
    NumericStringOrderingMatch "2.5.13.9" "numericStringOrderingMatch" "1.3.6.1.4.1.1466.115.121.1.36" Ordering []
    NumericStringSubstringsMatch "2.5.13.10" "numericStringSubstringsMatch" "1.3.6.1.4.1.1466.115.121.1.58" Substring []
    CaseIgnoreListMatch "2.5.13.11" "caseIgnoreListMatch" "1.3.6.1.4.1.1466.115.121.1.41" Equality []
    CaseIgnoreListSubstringsMatch "2.5.13.12" "caseIgnoreListSubstringsMatch" "1.3.6.1.4.1.1466.115.121.1.58" Substring []
    BooleanMatch "2.5.13.13" "booleanMatch" "1.3.6.1.4.1.1466.115.121.1.7" Equality []
    IntegerMatch "2.5.13.14" "integerMatch" "1.3.6.1.4.1.1466.115.121.1.27" Equality []
    IntegerOrderingMatch "2.5.13.15" "integerOrderingMatch" "1.3.6.1.4.1.1466.115.121.1.27" Ordering []
    BitStringMatch "2.5.13.16" "bitStringMatch" "1.3.6.1.4.1.1466.115.121.1.6" Equality []
    OctetStringMatch "2.5.13.17" "octetStringMatch" "1.3.6.1.4.1.1466.115.121.1.40" Equality []
    OctetStringOrderingMatch "2.5.13.18" "octetStringOrderingMatch" "1.3.6.1.4.1.1466.115.121.1.40" Ordering []
    OctetStringSubstringsMatch "2.5.13.19" "octetStringSubstringsMatch" "1.3.6.1.4.1.1466.115.121.1.58" Substring []
    TelephoneNumberMatch "2.5.13.20" "telephoneNumberMatch" "1.3.6.1.4.1.1466.115.121.1.50" Equality []
    TelephoneNumberSubstringsMatch "2.5.13.21" "telephoneNumberSubstringsMatch" "1.3.6.1.4.1.1466.115.121.1.58" Substring []
    UniqueMemberMatch "2.5.13.23" "uniqueMemberMatch" "1.3.6.1.4.1.1466.115.121.1.34" Equality []
    GeneralizedTimeMatch "2.5.13.27" "generalizedTimeMatch" "1.3.6.1.4.1.1466.115.121.1.24" Equality []
    GeneralizedTimeOrderingMatch "2.5.13.28" "generalizedTimeOrderingMatch" "1.3.6.1.4.1.1466.115.121.1.24" Ordering []
    IntegerFirstComponentMatch "2.5.13.29" "integerFirstComponentMatch" "1.3.6.1.4.1.1466.115.121.1.27" Equality []
    ObjectIdentifierFirstComponentMatch "2.5.13.30" "objectIdentifierFirstComponentMatch" "1.3.6.1.4.1.1466.115.121.1.38" Equality []
    DirectoryStringFirstComponentMatch "2.5.13.31" "directoryStringFirstComponentMatch" "1.3.6.1.4.1.1466.115.121.1.15" Equality []
    WordMatch "2.5.13.32" "wordMatch" "1.3.6.1.4.1.1466.115.121.1.15" Equality []
    KeywordMatch "2.5.13.33" "keywordMatch" "1.3.6.1.4.1.1466.115.121.1.15" Equality []
    CaseExactIa5Match "1.3.6.1.4.1.1466.109.114.1" "caseExactIA5Match" "1.3.6.1.4.1.1466.115.121.1.26" Equality []
    CaseIgnoreIa5Match "1.3.6.1.4.1.1466.109.114.2" "caseIgnoreIA5Match" "1.3.6.1.4.1.1466.115.121.1.26" Equality []
    CaseIgnoreIa5SubstringsMatch "1.3.6.1.4.1.1466.109.114.3" "caseIgnoreIA5SubstringsMatch" "1.3.6.1.4.1.1466.115.121.1.58" Substring []
    CaseExactIa5SubstringsMatch "1.3.6.1.4.1.26027.1.4.902" "caseExactIA5SubstringsMatch" "1.3.6.1.4.1.1466.115.121.1.58" Substring []
    UuidMatch "1.3.6.1.1.16.2" "uuidMatch" "1.3.6.1.1.16.1" Equality []
    UuidOrderingMatch "1.3.6.1.1.16.3" "uuidOrderingMatch" "1.3.6.1.1.16.1" Ordering []
    AuthPasswordExactMatch "1.3.6.1.4.1.4203.1.2.2" "authPasswordExactMatch" "1.3.6.1.4.1.4203.1.1.2" Equality ["authPasswordMatch"]
    UserPasswordExactMatch "1.3.6.1.4.1.26027.1.4.2" "ds-mr-user-password-exact" "1.3.6.1.4.1.26027.1.3.1" Equality ["userPasswordExactMatch"]
    RelativeTimeGtOrderingMatch "1.3.6.1.4.1.26027.1.4.5" "relativeTimeGTOrderingMatch" "1.3.6.1.4.1.1466.115.121.1.24" Ordering ["relativeTimeOrderingMatch.gt"]
    RelativeTimeLtOrderingMatch "1.3.6.1.4.1.26027.1.4.6" "relativeTimeLTOrderingMatch" "1.3.6.1.4.1.1466.115.121.1.24" Ordering ["relativeTimeOrderingMatch.lt"]
}

impl MatchingRule {
    /// The rule of this name or OID, in any case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().iter().copied().find(|rule| {
            rule.name().eq_ignore_ascii_case(name)
                || rule.oid() == name
                || rule.aliases().iter().any(|alias| alias.eq_ignore_ascii_case(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Syntax;

    #[test]
    fn found_by_name_and_oid() {
        for rule in MatchingRule::all() {
            assert_eq!(MatchingRule::by_name(rule.oid()), Some(*rule));
            assert_eq!(MatchingRule::by_name(&rule.name().to_uppercase()), Some(*rule));
            assert!(Syntax::by_oid(rule.syntax_oid()).is_some());
        }
        assert_eq!(MatchingRule::by_name("noSuchMatch"), None);
    }

    #[test]
    fn substring_rules_take_parts_and_only_they() {
        for rule in MatchingRule::all() {
            let taken = rule.substring_key(b"1", super::super::SubstringPlace::Any, &mut Vec::new()).is_ok();
            assert_eq!(taken, rule.kind() == Substring, "{}", rule.name());
        }
    }
}
