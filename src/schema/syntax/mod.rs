//! Syntaxes (RFC 4517 §3.3): what values an attribute may hold.

use super::MatchingRule;

/// A syntax the server knows. Copy; compare with `==`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum Syntax {
    DirectoryString,
    GeneralizedTime,
    Integer,
    Binary,
    OctetString,
    Ia5String,
    PrintableString,
    NumericString,
    TelephoneNumber,
    Boolean,
    Dn,
    NameAndOptionalUid,
    Oid,
    BitString,
    UtcTime,
    Uuid,
    UserPassword,
    AuthPassword,
    Aci,
    SubtreeSpecification,
    AttributeTypeDescription,
    ObjectClassDescription,
    MatchingRuleDescription,
    MatchingRuleUseDescription,
    LdapSyntaxDescription,
    NameFormDescription,
    DitContentRuleDescription,
    DitStructureRuleDescription,
    CountryString,
    PostalAddress,
    DeliveryMethod,
    FacsimileTelephoneNumber,
    TelexNumber,
    Certificate,
    Jpeg,
    Guide,
    EnhancedGuide,
    TeletexTerminalIdentifier,
    OtherMailbox,
}

impl Syntax {
    /// The syntax of this OID; none if the server does not know it.
    pub fn by_oid(_oid: &str) -> Option<Self> {
        unimplemented!()
    }

    /// Its OID.
    pub fn oid(self) -> &'static str {
        unimplemented!()
    }

    /// Its description, as `ldapSyntaxes` shows it.
    pub fn description(self) -> &'static str {
        unimplemented!()
    }

    /// All of them, for `cn=schema`.
    pub fn all() -> &'static [Self] {
        unimplemented!()
    }

    /// Checks a value; the error says what is wrong and what the syntax accepts, without quoting the value.
    pub fn check(self, _value: &[u8]) -> Result<(), String> {
        unimplemented!()
    }

    /// The rule that serves where a definition names no EQUALITY (cts-contract.md §3.3).
    pub fn default_equality(self) -> Option<MatchingRule> {
        unimplemented!()
    }

    /// The rule that serves where a definition names no ORDERING.
    pub fn default_ordering(self) -> Option<MatchingRule> {
        unimplemented!()
    }

    /// The rule that serves where a definition names no SUBSTR.
    pub fn default_substring(self) -> Option<MatchingRule> {
        unimplemented!()
    }
}
