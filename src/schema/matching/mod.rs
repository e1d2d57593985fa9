//! Matching rules (RFC 4517 §4.2): every rule is a way to make keys, and keys compare as bytes.
//!
//! Equality: two values match iff their keys are equal. Ordering: a value sorts before another iff its key does
//! (memcmp). Substring: parts are prepared so that they are found in the prepared value.

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

/// What a rule is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum RuleKind {
    Equality,
    Ordering,
    Substring,
}

impl MatchingRule {
    /// The rule of this name or OID, in any case.
    pub fn by_name(_name: &str) -> Option<Self> {
        unimplemented!()
    }

    /// Its OID.
    pub fn oid(self) -> &'static str {
        unimplemented!()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        unimplemented!()
    }

    /// The OID of the syntax of its assertions, for `cn=schema`.
    pub fn syntax_oid(self) -> &'static str {
        unimplemented!()
    }

    /// All of them, for `cn=schema`.
    pub fn all() -> &'static [Self] {
        unimplemented!()
    }

    /// What it is used for.
    pub fn kind(self) -> RuleKind {
        unimplemented!()
    }

    /// The compare key of an attribute value or an equality/ordering assertion value, appended to `out`.
    /// Fails on a value that breaks the rule's syntax (the assertion is then Undefined).
    ///
    /// DNs and OIDs are compared as the text alone allows (names lower-cased, no schema look-up).
    pub fn key(self, _value: &[u8], _out: &mut Vec<u8>) -> Result<(), String> {
        unimplemented!()
    }

    /// The prepared form of one part of a substring assertion, appended to `out`; it is looked for in the
    /// [`Self::key`] of the value (RFC 4518 §2.6.1: insignificant spaces depend on the part's place).
    pub fn substring_key(
        self,
        _part: &[u8],
        _place: SubstringPlace,
        _out: &mut Vec<u8>,
    ) -> Result<(), String> {
        unimplemented!()
    }
}

/// Where a part stands in a substring assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum SubstringPlace {
    Initial,
    Any,
    Final,
}
