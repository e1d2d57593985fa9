//! What `cn=schema` shows: definition texts, without `X-SCHEMA-FILE`.

use super::definition::ElementKind;
use super::{MatchingRule, Schema, Syntax};

impl Schema {
    /// The values of the attribute of `cn=schema` that holds this kind.
    pub fn texts(&self, kind: ElementKind) -> Vec<String> {
        let defined = || self.definitions.iter().filter(|definition| definition.kind() == kind);
        let own = defined().map(ToString::to_string);
        match kind {
            ElementKind::LdapSyntaxes => {
                let known = Syntax::all().iter().map(|syntax| {
                    let description = syntax.description().replace('\\', "\\5C").replace('\'', "\\27");
                    format!("( {} DESC '{description}' )", syntax.oid())
                });
                known.chain(own.filter(|text| !is_of_known_syntax(text))).collect()
            }
            ElementKind::MatchingRules => MatchingRule::all()
                .iter()
                .map(|rule| format!("( {} NAME '{}' SYNTAX {} )", rule.oid(), rule.name(), rule.syntax_oid()))
                .collect(),
            ElementKind::MatchingRuleUse => {
                let is_defined =
                    |rule: &MatchingRule| defined().any(|definition| definition.oid == rule.oid());
                let derived = MatchingRule::all().iter().filter(|rule| !is_defined(rule));
                own.chain(derived.filter_map(|rule| self.matching_rule_use_of(*rule))).collect()
            }
            _ => own.collect(),
        }
    }

    /// Attribute type definitions.
    pub fn attribute_types(&self) -> Vec<String> {
        self.texts(ElementKind::AttributeTypes)
    }

    /// Object class definitions.
    pub fn object_classes(&self) -> Vec<String> {
        self.texts(ElementKind::ObjectClasses)
    }

    /// Syntaxes: those the server knows, and those defined as a substitute.
    pub fn ldap_syntaxes(&self) -> Vec<String> {
        self.texts(ElementKind::LdapSyntaxes)
    }

    /// Matching rules the server knows.
    pub fn matching_rules(&self) -> Vec<String> {
        self.texts(ElementKind::MatchingRules)
    }

    /// For each matching rule the attribute types it serves.
    pub fn matching_rule_use(&self) -> Vec<String> {
        self.texts(ElementKind::MatchingRuleUse)
    }

    fn matching_rule_use_of(&self, rule: MatchingRule) -> Option<String> {
        let applies: Vec<&str> = self
            .attributes()
            .filter(|attribute| {
                [attribute.equality, attribute.ordering, attribute.substring].contains(&Some(rule))
            })
            .map(|attribute| attribute.name())
            .collect();
        let applies = match applies.as_slice() {
            [] => return None,
            [one] => (*one).to_owned(),
            many => format!("( {} )", many.join(" $ ")),
        };
        Some(format!("( {} NAME '{}' APPLIES {applies} )", rule.oid(), rule.name()))
    }
}

fn is_of_known_syntax(text: &str) -> bool {
    text.split(' ').nth(1).is_some_and(|oid| Syntax::by_oid(oid).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaStore;
    use crate::schema::definition::Definition;

    #[test]
    fn everything_published_reads_back() {
        let schema = SchemaStore::builtin(true).current();
        for kind in ElementKind::ALL {
            let texts = schema.texts(kind);
            for text in &texts {
                assert!(Definition::parse(kind, text).is_ok(), "{text}");
                assert!(!text.contains("X-SCHEMA-FILE"));
            }
            let is_empty = matches!(kind, ElementKind::DitContentRules | ElementKind::DitStructureRules);
            assert_eq!(texts.is_empty(), is_empty, "{kind:?}");
        }
        assert!(schema.attribute_types().iter().any(|text| text.contains("NAME 'coreTokenId'")));
    }
}
