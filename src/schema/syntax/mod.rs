//! Syntaxes (RFC 4517 §3.3): what values an attribute may hold. One file a family; every syntax the server knows is
//! in the table here, and a value is only ever checked, never changed.

mod description;
pub(crate) mod number;
pub(crate) mod oid;
mod string;
mod telecom;
pub mod time;

use super::MatchingRule;

pub use time::{format_generalized_time, format_generalized_time_ms, parse_generalized_time};

/// Declares the syntaxes: variant, OID, description.
macro_rules! syntaxes {
    ($($variant:ident $oid:literal $description:literal)+) => {
        /// A syntax the server knows. Copy; compare with `==`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        #[non_exhaustive]
        pub enum Syntax {
            $($variant,)+
        }

        impl Syntax {
            /// Its OID.
            pub fn oid(self) -> &'static str {
                match self {
                    $(Self::$variant => $oid,)+
                }
            }

            /// Its description, as `ldapSyntaxes` shows it.
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)+
                }
            }

            /// All of them, for `cn=schema`.
            pub fn all() -> &'static [Self] {
                &[$(Self::$variant,)+]
            }
        }
    };
}

syntaxes! {
    AttributeTypeDescription "1.3.6.1.4.1.1466.115.121.1.3" "Attribute Type Description"
    Audio "1.3.6.1.4.1.1466.115.121.1.4" "Audio"
    Binary "1.3.6.1.4.1.1466.115.121.1.5" "Binary"
    BitString "1.3.6.1.4.1.1466.115.121.1.6" "Bit String"
    Boolean "1.3.6.1.4.1.1466.115.121.1.7" "Boolean"
    Certificate "1.3.6.1.4.1.1466.115.121.1.8" "Certificate"
    CertificateList "1.3.6.1.4.1.1466.115.121.1.9" "Certificate List"
    CertificatePair "1.3.6.1.4.1.1466.115.121.1.10" "Certificate Pair"
    CountryString "1.3.6.1.4.1.1466.115.121.1.11" "Country String"
    Dn "1.3.6.1.4.1.1466.115.121.1.12" "DN"
    DeliveryMethod "1.3.6.1.4.1.1466.115.121.1.14" "Delivery Method"
    DirectoryString "1.3.6.1.4.1.1466.115.121.1.15" "Directory String"
    DitContentRuleDescription "1.3.6.1.4.1.1466.115.121.1.16" "DIT Content Rule Description"
    DitStructureRuleDescription "1.3.6.1.4.1.1466.115.121.1.17" "DIT Structure Rule Description"
    EnhancedGuide "1.3.6.1.4.1.1466.115.121.1.21" "Enhanced Guide"
    FacsimileTelephoneNumber "1.3.6.1.4.1.1466.115.121.1.22" "Facsimile Telephone Number"
    Fax "1.3.6.1.4.1.1466.115.121.1.23" "Fax"
    GeneralizedTime "1.3.6.1.4.1.1466.115.121.1.24" "Generalized Time"
    Guide "1.3.6.1.4.1.1466.115.121.1.25" "Guide"
    Ia5String "1.3.6.1.4.1.1466.115.121.1.26" "IA5 String"
    Integer "1.3.6.1.4.1.1466.115.121.1.27" "INTEGER"
    Jpeg "1.3.6.1.4.1.1466.115.121.1.28" "JPEG"
    MatchingRuleDescription "1.3.6.1.4.1.1466.115.121.1.30" "Matching Rule Description"
    MatchingRuleUseDescription "1.3.6.1.4.1.1466.115.121.1.31" "Matching Rule Use Description"
    NameAndOptionalUid "1.3.6.1.4.1.1466.115.121.1.34" "Name And Optional UID"
    NameFormDescription "1.3.6.1.4.1.1466.115.121.1.35" "Name Form Description"
    NumericString "1.3.6.1.4.1.1466.115.121.1.36" "Numeric String"
    ObjectClassDescription "1.3.6.1.4.1.1466.115.121.1.37" "Object Class Description"
    Oid "1.3.6.1.4.1.1466.115.121.1.38" "OID"
    OtherMailbox "1.3.6.1.4.1.1466.115.121.1.39" "Other Mailbox"
    OctetString "1.3.6.1.4.1.1466.115.121.1.40" "Octet String"
    PostalAddress "1.3.6.1.4.1.1466.115.121.1.41" "Postal Address"
    PresentationAddress "1.3.6.1.4.1.1466.115.121.1.43" "Presentation Address"
    PrintableString "1.3.6.1.4.1.1466.115.121.1.44" "Printable String"
    SubtreeSpecification "1.3.6.1.4.1.1466.115.121.1.45" "Subtree Specification"
    SupportedAlgorithm "1.3.6.1.4.1.1466.115.121.1.49" "Supported Algorithm"
    TelephoneNumber "1.3.6.1.4.1.1466.115.121.1.50" "Telephone Number"
    TeletexTerminalIdentifier "1.3.6.1.4.1.1466.115.121.1.51" "Teletex Terminal Identifier"
    TelexNumber "1.3.6.1.4.1.1466.115.121.1.52" "Telex Number"
    UtcTime "1.3.6.1.4.1.1466.115.121.1.53" "UTC Time"
    LdapSyntaxDescription "1.3.6.1.4.1.1466.115.121.1.54" "LDAP Syntax Description"
    SubstringAssertion "1.3.6.1.4.1.1466.115.121.1.58" "Substring Assertion"
    Uuid "1.3.6.1.1.16.1" "UUID"
    AuthPassword "1.3.6.1.4.1.4203.1.1.2" "Authentication Password"
    UserPassword "1.3.6.1.4.1.26027.1.3.1" "User Password"
    Aci "1.3.6.1.4.1.26027.1.3.4" "Access Control Instruction"
}

impl Syntax {
    /// The syntax of this OID; none if the server does not know it.
    pub fn by_oid(oid: &str) -> Option<Self> {
        Self::all().iter().copied().find(|syntax| syntax.oid() == oid)
    }

    /// Checks a value; the error says what is wrong and what the syntax accepts, without quoting the value.
    pub fn check(self, value: &[u8]) -> Result<(), String> {
        match self {
            Self::DirectoryString => string::directory_string(value),
            Self::GeneralizedTime => parse_generalized_time(value).map(drop).map_err(|fault| {
                format!(
                    "{fault}; a generalized time is YYYYMMDDHH[MM[SS]][.fraction] and Z or +hhmm or -hhmm, such as \
                     20261122051638.043Z"
                )
            }),
            Self::UtcTime => time::parse_utc_time(value)
                .map(drop)
                .map_err(|fault| format!("{fault}; a UTC time is YYMMDDhhmm[ss] and Z or +hhmm or -hhmm")),
            Self::Integer => number::integer(value).map(drop),
            Self::Boolean => number::boolean(value).map(drop),
            Self::BitString => number::bits(value).map(drop),
            Self::Uuid => number::uuid(value).map(drop),
            Self::Ia5String => string::ia5(value),
            Self::PrintableString => string::printable(value),
            Self::NumericString => string::numeric(value),
            Self::TelephoneNumber => string::telephone(value),
            Self::CountryString => string::country(value),
            Self::PostalAddress => string::postal_address(value),
            Self::AuthPassword => string::auth_password(value),
            Self::Oid => oid::oid(value),
            Self::Dn => dn(value),
            Self::NameAndOptionalUid => {
                let (name, uid) = split_uid(value);
                dn(name)?;
                uid.map_or(Ok(()), |uid| number::bits(uid).map(drop))
            }
            Self::Aci | Self::PresentationAddress | Self::SubstringAssertion => string::utf8(value),
            Self::SubtreeSpecification => description::subtree(value),
            Self::AttributeTypeDescription
            | Self::ObjectClassDescription
            | Self::MatchingRuleDescription
            | Self::MatchingRuleUseDescription
            | Self::LdapSyntaxDescription
            | Self::NameFormDescription
            | Self::DitContentRuleDescription
            | Self::DitStructureRuleDescription => description::definition(value),
            Self::DeliveryMethod => telecom::delivery_method(value),
            Self::FacsimileTelephoneNumber => telecom::facsimile(value),
            Self::TelexNumber => telecom::telex(value),
            Self::TeletexTerminalIdentifier => telecom::teletex(value),
            Self::OtherMailbox => telecom::other_mailbox(value),
            Self::Guide => telecom::guide(value),
            Self::EnhancedGuide => telecom::enhanced_guide(value),
            Self::Binary
            | Self::OctetString
            | Self::UserPassword
            | Self::Audio
            | Self::Certificate
            | Self::CertificateList
            | Self::CertificatePair
            | Self::Fax
            | Self::Jpeg
            | Self::SupportedAlgorithm => Ok(()),
        }
    }

    /// The rule that serves where a definition names no EQUALITY (cts-contract.md §3.3).
    pub fn default_equality(self) -> Option<MatchingRule> {
        Some(match self {
            Self::DirectoryString
            | Self::PrintableString
            | Self::CountryString
            | Self::UtcTime
            | Self::Aci
            | Self::DeliveryMethod
            | Self::FacsimileTelephoneNumber
            | Self::TelexNumber
            | Self::OtherMailbox
            | Self::PresentationAddress
            | Self::Guide
            | Self::EnhancedGuide
            | Self::SubstringAssertion => MatchingRule::CaseIgnoreMatch,
            Self::Ia5String => MatchingRule::CaseIgnoreIa5Match,
            Self::NumericString => MatchingRule::NumericStringMatch,
            Self::TelephoneNumber => MatchingRule::TelephoneNumberMatch,
            Self::PostalAddress => MatchingRule::CaseIgnoreListMatch,
            Self::GeneralizedTime => MatchingRule::GeneralizedTimeMatch,
            Self::Integer => MatchingRule::IntegerMatch,
            Self::Boolean => MatchingRule::BooleanMatch,
            Self::BitString => MatchingRule::BitStringMatch,
            Self::Uuid => MatchingRule::UuidMatch,
            Self::Dn => MatchingRule::DistinguishedNameMatch,
            Self::NameAndOptionalUid => MatchingRule::UniqueMemberMatch,
            Self::Oid => MatchingRule::ObjectIdentifierMatch,
            Self::UserPassword => MatchingRule::UserPasswordExactMatch,
            Self::AuthPassword => MatchingRule::AuthPasswordExactMatch,
            Self::AttributeTypeDescription
            | Self::ObjectClassDescription
            | Self::MatchingRuleDescription
            | Self::MatchingRuleUseDescription
            | Self::LdapSyntaxDescription
            | Self::NameFormDescription
            | Self::DitContentRuleDescription => MatchingRule::ObjectIdentifierFirstComponentMatch,
            Self::DitStructureRuleDescription => MatchingRule::IntegerFirstComponentMatch,
            Self::Binary
            | Self::OctetString
            | Self::Audio
            | Self::Certificate
            | Self::CertificateList
            | Self::CertificatePair
            | Self::Fax
            | Self::Jpeg
            | Self::SupportedAlgorithm
            | Self::SubtreeSpecification
            | Self::TeletexTerminalIdentifier => MatchingRule::OctetStringMatch,
        })
    }

    /// The rule that serves where a definition names no ORDERING.
    pub fn default_ordering(self) -> Option<MatchingRule> {
        match self {
            Self::DirectoryString
            | Self::PrintableString
            | Self::CountryString
            | Self::Ia5String
            | Self::UtcTime
            | Self::Oid => Some(MatchingRule::CaseIgnoreOrderingMatch),
            Self::NumericString => Some(MatchingRule::NumericStringOrderingMatch),
            Self::GeneralizedTime => Some(MatchingRule::GeneralizedTimeOrderingMatch),
            Self::Integer => Some(MatchingRule::IntegerOrderingMatch),
            Self::Uuid => Some(MatchingRule::UuidOrderingMatch),
            Self::Binary | Self::OctetString => Some(MatchingRule::OctetStringOrderingMatch),
            _ => None,
        }
    }

    /// The rule that serves where a definition names no SUBSTR.
    pub fn default_substring(self) -> Option<MatchingRule> {
        match self {
            Self::DirectoryString
            | Self::PrintableString
            | Self::CountryString
            | Self::GeneralizedTime
            | Self::UtcTime
            | Self::Oid
            | Self::Dn
            | Self::Aci
            | Self::DeliveryMethod
            | Self::FacsimileTelephoneNumber
            | Self::TelexNumber
            | Self::OtherMailbox
            | Self::PresentationAddress => Some(MatchingRule::CaseIgnoreSubstringsMatch),
            Self::Ia5String => Some(MatchingRule::CaseIgnoreIa5SubstringsMatch),
            Self::Integer => Some(MatchingRule::CaseExactSubstringsMatch),
            Self::NumericString => Some(MatchingRule::NumericStringSubstringsMatch),
            Self::TelephoneNumber => Some(MatchingRule::TelephoneNumberSubstringsMatch),
            Self::PostalAddress => Some(MatchingRule::CaseIgnoreListSubstringsMatch),
            Self::OctetString => Some(MatchingRule::OctetStringSubstringsMatch),
            _ => None,
        }
    }
}

fn dn(value: &[u8]) -> Result<(), String> {
    const ACCEPTS: &str = "a DN is type=value parts joined by commas (RFC 4514)";
    let text = std::str::from_utf8(value).map_err(|_| format!("the value is not UTF-8; {ACCEPTS}"))?;
    crate::name::Dn::parse(text).map(drop).map_err(|fault| format!("{fault}; {ACCEPTS}"))
}

/// A name and optional UID (RFC 4517 §3.3.21) in its two parts. A `#` that begins no bit string is the name's.
pub(crate) fn split_uid(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some(place) = value.iter().rposition(|&octet| octet == b'#') else {
        return (value, None);
    };
    match value.split_at_checked(place) {
        Some((name, [_, uid @ ..])) if uid.starts_with(b"'") => (name, Some(uid)),
        _ => (value, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::matching::RuleKind;

    #[test]
    fn found_by_oid_and_distinct() {
        for syntax in Syntax::all() {
            assert_eq!(Syntax::by_oid(syntax.oid()), Some(*syntax));
        }
        assert_eq!(Syntax::by_oid("1.2.3"), None);
    }

    #[test]
    fn defaults_are_of_their_kind() {
        for syntax in Syntax::all() {
            assert!(syntax.default_equality().is_none_or(|rule| rule.kind() == RuleKind::Equality));
            assert!(syntax.default_ordering().is_none_or(|rule| rule.kind() == RuleKind::Ordering));
            assert!(syntax.default_substring().is_none_or(|rule| rule.kind() == RuleKind::Substring));
        }
    }

    #[test]
    fn defaults_that_the_token_store_lives_by() {
        use MatchingRule::*;
        let of = |syntax: Syntax| {
            (syntax.default_equality(), syntax.default_ordering(), syntax.default_substring())
        };
        assert_eq!(
            of(Syntax::DirectoryString),
            (Some(CaseIgnoreMatch), Some(CaseIgnoreOrderingMatch), Some(CaseIgnoreSubstringsMatch))
        );
        assert_eq!(
            of(Syntax::GeneralizedTime),
            (Some(GeneralizedTimeMatch), Some(GeneralizedTimeOrderingMatch), Some(CaseIgnoreSubstringsMatch))
        );
        assert_eq!(
            of(Syntax::Integer),
            (Some(IntegerMatch), Some(IntegerOrderingMatch), Some(CaseExactSubstringsMatch))
        );
        assert_eq!(of(Syntax::Binary), (Some(OctetStringMatch), Some(OctetStringOrderingMatch), None));
    }

    #[test]
    fn faults_say_what_is_accepted() {
        assert!(Syntax::GeneralizedTime.check(b"20260230000000Z").unwrap_err().contains("no such day"));
        assert!(Syntax::Boolean.check(b"secret").unwrap_err().contains("TRUE or FALSE"));
        assert!(!Syntax::Boolean.check(b"secret").unwrap_err().contains("secret"));
        assert!(Syntax::Binary.check(b"\x00\xff").is_ok());
    }

    #[test]
    fn names_with_uid() {
        assert_eq!(split_uid(b"cn=a#'01'B"), (&b"cn=a"[..], Some(&b"'01'B"[..])));
        assert_eq!(split_uid(b"1.2=#0401ff"), (&b"1.2=#0401ff"[..], None));
    }
}
