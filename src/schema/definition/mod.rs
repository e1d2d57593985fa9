//! RFC 4512 §4.1 definition texts: parsed and printed. All eight kinds share one head (OID, names, description,
//! obsolete, extensions) and differ in their [`Body`].
//!
//! Reading is tolerant where `features.md` §3 wants it (quoted OIDs and names, one-element lists, any order of
//! keywords, any white space); printing gives the RFC's order. What names *refer to* is the registry's business.

mod parse;
mod print;

pub use parse::DefinitionError;

use super::{Kind, Usage};

/// The attributes of `cn=schema` that hold definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum ElementKind {
    LdapSyntaxes,
    MatchingRules,
    AttributeTypes,
    ObjectClasses,
    NameForms,
    DitContentRules,
    DitStructureRules,
    MatchingRuleUse,
}

impl ElementKind {
    /// All kinds, in the order in which files hold them.
    pub const ALL: [Self; 8] = [
        Self::LdapSyntaxes,
        Self::MatchingRules,
        Self::AttributeTypes,
        Self::ObjectClasses,
        Self::NameForms,
        Self::DitContentRules,
        Self::DitStructureRules,
        Self::MatchingRuleUse,
    ];

    /// The attribute of `cn=schema`.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::LdapSyntaxes => "ldapSyntaxes",
            Self::MatchingRules => "matchingRules",
            Self::AttributeTypes => "attributeTypes",
            Self::ObjectClasses => "objectClasses",
            Self::NameForms => "nameForms",
            Self::DitContentRules => "dITContentRules",
            Self::DitStructureRules => "dITStructureRules",
            Self::MatchingRuleUse => "matchingRuleUse",
        }
    }

    /// The kind that the attribute of this name holds, in any case.
    pub fn by_attribute(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.attribute().eq_ignore_ascii_case(name))
    }

    /// What one element is called in messages.
    pub fn noun(self) -> &'static str {
        match self {
            Self::LdapSyntaxes => "syntax",
            Self::MatchingRules => "matching rule",
            Self::AttributeTypes => "attribute type",
            Self::ObjectClasses => "object class",
            Self::NameForms => "name form",
            Self::DitContentRules => "DIT content rule",
            Self::DitStructureRules => "DIT structure rule",
            Self::MatchingRuleUse => "matching rule use",
        }
    }
}

/// A definition as its text says it, unresolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The OID (or, as tolerated, a textual one such as `my-attribute-oid`; a structure rule's number), as written.
    pub oid: String,
    /// The names, as written; the first is the spelling used in answers.
    pub names: Vec<String>,
    /// DESC.
    pub description: Option<String>,
    /// OBSOLETE.
    pub obsolete: bool,
    /// What its kind adds.
    pub body: Body,
    /// `X-…` extensions in the order written, without `X-SCHEMA-FILE`.
    pub extensions: Vec<(String, Vec<String>)>,
    /// `X-SCHEMA-FILE`: the file that holds it. Never printed to clients.
    pub file: Option<String>,
}

/// What a definition's kind adds to the common head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// RFC 4512 §4.1.5.
    Syntax,
    /// §4.1.3.
    MatchingRule {
        /// OID of the assertion's syntax.
        syntax: String,
    },
    /// §4.1.2.
    AttributeType(AttributeTypeBody),
    /// §4.1.1.
    ObjectClass {
        /// SUP.
        superiors: Vec<String>,
        /// ABSTRACT, STRUCTURAL (also if nothing is said) or AUXILIARY.
        kind: Kind,
        /// MUST.
        must: Vec<String>,
        /// MAY.
        may: Vec<String>,
    },
    /// §4.1.7.2.
    NameForm {
        /// OC.
        class: String,
        /// MUST.
        must: Vec<String>,
        /// MAY.
        may: Vec<String>,
    },
    /// §4.1.6; its OID is that of a structural class.
    ContentRule {
        /// AUX.
        auxiliaries: Vec<String>,
        /// MUST.
        must: Vec<String>,
        /// MAY.
        may: Vec<String>,
        /// NOT.
        not: Vec<String>,
    },
    /// §4.1.7.1; its OID is the rule's number.
    StructureRule {
        /// FORM.
        form: String,
        /// SUP, numbers of rules.
        superiors: Vec<String>,
    },
    /// §4.1.4; its OID is that of a matching rule.
    MatchingRuleUse {
        /// APPLIES.
        applies: Vec<String>,
    },
}

/// What an attribute type's text says besides the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeTypeBody {
    /// SUP.
    pub superior: Option<String>,
    /// EQUALITY.
    pub equality: Option<String>,
    /// ORDERING.
    pub ordering: Option<String>,
    /// SUBSTR.
    pub substring: Option<String>,
    /// SYNTAX, without its bound.
    pub syntax: Option<String>,
    /// The syntax's `{n}`.
    pub bound: Option<u32>,
    /// SINGLE-VALUE.
    pub single_value: bool,
    /// COLLECTIVE.
    pub collective: bool,
    /// NO-USER-MODIFICATION.
    pub no_user_modification: bool,
    /// USAGE.
    pub usage: Usage,
}

impl Default for AttributeTypeBody {
    fn default() -> Self {
        Self {
            superior: None,
            equality: None,
            ordering: None,
            substring: None,
            syntax: None,
            bound: None,
            single_value: false,
            collective: false,
            no_user_modification: false,
            usage: Usage::UserApplications,
        }
    }
}

impl Definition {
    /// Parses a definition of this kind.
    pub fn parse(kind: ElementKind, text: &str) -> Result<Self, DefinitionError> {
        parse::definition(kind, text, false)
    }

    /// Parses what stands in a deletion: a definition, or an OID alone in parentheses (of which the rest is
    /// then empty).
    pub fn parse_for_deletion(kind: ElementKind, text: &str) -> Result<Self, DefinitionError> {
        parse::definition(kind, text, true)
    }

    /// Its kind.
    pub fn kind(&self) -> ElementKind {
        match self.body {
            Body::Syntax => ElementKind::LdapSyntaxes,
            Body::MatchingRule { .. } => ElementKind::MatchingRules,
            Body::AttributeType(_) => ElementKind::AttributeTypes,
            Body::ObjectClass { .. } => ElementKind::ObjectClasses,
            Body::NameForm { .. } => ElementKind::NameForms,
            Body::ContentRule { .. } => ElementKind::DitContentRules,
            Body::StructureRule { .. } => ElementKind::DitStructureRules,
            Body::MatchingRuleUse { .. } => ElementKind::MatchingRuleUse,
        }
    }

    /// The spelling used in answers: the first name, or the OID.
    pub fn name(&self) -> &str {
        self.names.first().map_or(self.oid.as_str(), String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(text: &str) -> Definition {
        Definition::parse(ElementKind::AttributeTypes, text).unwrap()
    }

    #[test]
    fn reads_what_openam_ships() {
        let text = "( 1.3.6.1.4.1.36733.2.2.1.96  NAME ( 'coreTokenId' )  DESC 'x'  \
                    SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE X-ORIGIN 'ForgeRock OpenAM CTSv2' )";
        let definition = attribute(text);
        assert_eq!(definition.names, ["coreTokenId"]);
        assert_eq!(
            definition.to_string(),
            "( 1.3.6.1.4.1.36733.2.2.1.96 NAME 'coreTokenId' DESC 'x' \
             SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE X-ORIGIN 'ForgeRock OpenAM CTSv2' )"
        );
        assert_eq!(attribute(&definition.to_string()), definition);
        let class = Definition::parse(
            ElementKind::ObjectClasses,
            "(1.3.6.1.4.1.36733.2.2.2.27 NAME 'frCoreToken' SUP top STRUCTURAL MUST (coreTokenId$coreTokenType) \
             MAY ( a $ b ))",
        )
        .unwrap();
        let Body::ObjectClass { must, may, superiors, .. } = &class.body else { panic!() };
        assert_eq!((must.len(), may.len(), superiors.len()), (2, 2, 1));
    }

    #[test]
    fn tolerates_what_servers_send() {
        let definition = attribute(
            "('1.2.3' NAME ('a' 'b') DESC '' USAGE directoryOperation EQUALITY 'caseIgnoreMatch' \
             SYNTAX '1.3.6.1.4.1.1466.115.121.1.15{64}' X-B 'z' X-A ( 'it\\27s' 'b\\5c' ) X-SCHEMA-FILE '00-core.ldif')",
        );
        assert_eq!(definition.oid, "1.2.3");
        assert_eq!(definition.file.as_deref(), Some("00-core.ldif"));
        assert_eq!(definition.extensions[1].1, ["it's", "b\\"]);
        assert_eq!(
            definition.to_string(),
            "( 1.2.3 NAME ( 'a' 'b' ) DESC '' EQUALITY caseIgnoreMatch \
             SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{64} USAGE directoryOperation \
             X-B 'z' X-A ( 'it\\27s' 'b\\5C' ) )"
        );
        assert_eq!(attribute("( my-attr-oid NAME 'my-attr' SUP name )").oid, "my-attr-oid");
    }

    #[test]
    fn an_oid_alone_is_enough_to_delete() {
        let text = "( 1.3.6.1.4.1.36733.2.2.2.27 )";
        let definition = Definition::parse_for_deletion(ElementKind::ObjectClasses, text).unwrap();
        assert_eq!(definition.oid, "1.3.6.1.4.1.36733.2.2.2.27");
        for kind in ElementKind::ALL {
            assert!(Definition::parse_for_deletion(kind, "( 1 )").is_ok(), "{kind:?}");
        }
    }

    #[test]
    fn says_where_and_what_is_wanted() {
        let fail = |text: &str| Definition::parse(ElementKind::AttributeTypes, text).unwrap_err();
        assert_eq!(fail("").to_string(), "'(' is wanted at octet 0, the text ends there");
        assert_eq!(fail("( 1.2.3 NAME a )").offset, 13);
        assert_eq!(fail("( 1.2.3 NAME 'a' FOO )").offset, 17);
        assert_eq!(fail("( 1.2.3 NAME 'a' NAME 'b' )").offset, 17);
        assert_eq!(fail("( 1.2.3 NAME 'a' ").offset, 17);
        assert_eq!(fail("( 1.2.3 NAME 'a' ) x").offset, 19);
        assert_eq!(fail("( 1.2.3 NAME 'a").offset, 13);
        assert_eq!(fail("( 1.2.3 USAGE nowhere )").offset, 14);
        assert_eq!(fail("( 1.2.3 SYNTAX 1.2{x} )").offset, 15);
        assert!(fail("( 1.2.3 NAME 'a' )").to_string().contains("SYNTAX or SUP"));
        assert!(fail("( 1.2.3 NAME 'a b' SUP x )").to_string().contains("name"));
    }

    #[test]
    fn reads_and_prints_all_kinds() {
        for (kind, text) in [
            (ElementKind::LdapSyntaxes, "( 1.2.3 DESC 'x' X-ENUM ( 'a' 'b' ) )"),
            (ElementKind::MatchingRules, "( 1.2.3 NAME 'm' SYNTAX 1.2.4 )"),
            (ElementKind::ObjectClasses, "( 1.2.3 NAME 'o' OBSOLETE SUP ( a $ b ) AUXILIARY MUST a )"),
            (ElementKind::NameForms, "( 1.2.3 NAME 'n' OC o MUST ( a $ b ) MAY c )"),
            (ElementKind::DitContentRules, "( 1.2.3 NAME 'c' AUX a MUST b MAY c NOT ( d $ e ) )"),
            (ElementKind::DitStructureRules, "( 2 NAME 's' FORM n SUP ( 1 3 ) )"),
            (ElementKind::DitStructureRules, "( 2 FORM n SUP 1 )"),
            (ElementKind::MatchingRuleUse, "( 1.2.3 APPLIES ( a $ b ) )"),
            (ElementKind::AttributeTypes, "( 1.2.3 SUP a COLLECTIVE )"),
        ] {
            let definition = Definition::parse(kind, text).unwrap();
            assert_eq!(definition.to_string(), text);
            assert_eq!(definition.kind(), kind);
            assert_eq!(ElementKind::by_attribute(&kind.attribute().to_lowercase()), Some(kind));
        }
    }

    proptest! {
        #[test]
        fn printed_definitions_read_back(
            names in prop::collection::vec("[a-zA-Z][a-zA-Z0-9-]{0,8}", 0..3),
            description in prop::option::of("\\PC{0,12}"),
            extension in prop::collection::vec("\\PC{0,8}", 1..3),
            flags in any::<[bool; 3]>(),
            bound in prop::option::of(any::<u32>()),
        ) {
            let definition = Definition {
                oid: "1.2.3.4".into(),
                names,
                description,
                obsolete: flags[0],
                body: Body::AttributeType(AttributeTypeBody {
                    syntax: Some("1.2.3".into()),
                    bound,
                    single_value: flags[1],
                    no_user_modification: flags[2],
                    ..AttributeTypeBody::default()
                }),
                extensions: vec![("X-ORIGIN".into(), extension)],
                file: None,
            };
            prop_assert_eq!(Definition::parse(ElementKind::AttributeTypes, &definition.to_string()), Ok(definition));
        }

        #[test]
        fn never_panics(text in "[ ()'$a-zA-Z0-9.{}\\\\-]{0,60}") {
            for kind in ElementKind::ALL {
                let _ = Definition::parse(kind, &text);
                let _ = Definition::parse_for_deletion(kind, &text);
            }
        }
    }
}
