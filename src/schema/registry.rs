//! The snapshot: definitions, found by OID and by any of their names.

use std::collections::HashMap;
use std::sync::Arc;

use super::bits::Bits;
use super::check::CheckCache;
use super::definition::{Definition, ElementKind};
use super::names::NameMap;
use super::{MatchingRule, Syntax};

/// A small number for an attribute type; stays with its OID for the life of the process, across edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// What an attribute is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Usage {
    UserApplications,
    DirectoryOperation,
    DistributedOperation,
    DsaOperation,
}

/// The kind of an object class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    Abstract,
    Structural,
    Auxiliary,
}

/// An attribute type with everything resolved: inherited syntax and rules, and the syntax's default rules
/// where the definition names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeType {
    /// Its number.
    pub id: TypeId,
    /// Its numeric OID.
    pub oid: String,
    /// Its names; the first is the spelling used in answers.
    pub names: Vec<String>,
    /// [`Self::name`] in lower case, as [`super::NormalizedDn`] has it.
    pub key_name: String,
    /// Its supertypes' numbers, nearest first.
    pub supertypes: Vec<TypeId>,
    /// Its subtypes' numbers, all levels.
    pub subtypes: Vec<TypeId>,
    /// The syntax of its values.
    pub syntax: Syntax,
    /// Upper bound of the syntax, `{n}`; informational.
    pub bound: Option<u32>,
    /// Equality rule, if values can be compared.
    pub equality: Option<MatchingRule>,
    /// Ordering rule.
    pub ordering: Option<MatchingRule>,
    /// Substring rule.
    pub substring: Option<MatchingRule>,
    /// Whether an entry may hold one value only.
    pub single_value: bool,
    /// Whether it is collective (RFC 3671).
    pub collective: bool,
    /// Whether clients must not write it.
    pub no_user_modification: bool,
    /// Whether it is obsolete.
    pub obsolete: bool,
    /// What it is for.
    pub usage: Usage,
}

impl AttributeType {
    /// The spelling used in answers: the first name, or the OID.
    pub fn name(&self) -> &str {
        self.names.first().map_or(self.oid.as_str(), String::as_str)
    }

    /// Whether the attribute is operational: returned only by name or `+`.
    pub fn is_operational(&self) -> bool {
        self.usage != Usage::UserApplications
    }
}

/// An object class with everything inherited merged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectClass {
    /// Its numeric OID.
    pub oid: String,
    /// Its names; the first is the spelling used in answers.
    pub names: Vec<String>,
    /// Direct superiors, by the OID.
    pub superiors: Vec<String>,
    /// OIDs of the class and all its superiors, nearest first.
    pub lineage: Vec<String>,
    /// Abstract, structural or auxiliary.
    pub kind: Kind,
    /// Required attributes, own and inherited, sorted.
    pub must: Vec<TypeId>,
    /// Allowed attributes, own and inherited, sorted.
    pub may: Vec<TypeId>,
    /// Whether it is obsolete.
    pub obsolete: bool,
}

impl ObjectClass {
    /// The spelling used in answers: the first name, or the OID.
    pub fn name(&self) -> &str {
        self.names.first().map_or(self.oid.as_str(), String::as_str)
    }

    /// Whether it is `other` or one of its subclasses.
    pub fn is_or_descends_from(&self, other: &Self) -> bool {
        self.lineage.contains(&other.oid)
    }

    /// Whether it lets an entry hold any user attribute (RFC 4512 §4.3).
    pub fn is_extensible_object(&self) -> bool {
        self.oid == "1.3.6.1.4.1.1466.101.120.111"
    }
}

/// An attribute description resolved against the schema: type plus options (`;binary`, `;lang-de`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeDescription {
    /// The type.
    pub attribute_type: Arc<AttributeType>,
    /// Options as sent, lower-cased, sorted; without `;binary` where the syntax makes it meaningless.
    pub options: Vec<String>,
}

impl AttributeDescription {
    /// The description as answers spell it: canonical name, then the options.
    pub fn canonical(&self) -> String {
        let mut text = self.attribute_type.name().to_owned();
        for option in &self.options {
            text.push(';');
            text.push_str(option);
        }
        text
    }
}

/// All definitions in force: immutable; an edit makes a new one.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// All definitions, in the order of the files.
    pub(super) definitions: Vec<Arc<Definition>>,
    /// Attribute types by number; numbers of deleted ones stay empty.
    pub(super) attributes: Vec<Option<Arc<AttributeType>>>,
    pub(super) attribute_names: NameMap<TypeId>,
    pub(super) classes: Vec<Arc<ObjectClass>>,
    pub(super) class_names: NameMap<usize>,
    /// Numbers given so far, by lower-case OID; handed on from snapshot to snapshot.
    pub(super) ids: HashMap<String, TypeId>,
    pub(super) operational: Bits,
    pub(super) single_valued: Bits,
    pub(super) object_class_id: Option<TypeId>,
    pub(super) warnings: Vec<String>,
    pub(super) checks: CheckCache,
}

impl Schema {
    /// The attribute type of this name or OID, in any case, without options.
    pub fn attribute(&self, name: &str) -> Option<&Arc<AttributeType>> {
        self.attribute_by_id(self.attribute_names.get(name)?)
    }

    /// The attribute type of this number.
    pub fn attribute_by_id(&self, id: TypeId) -> Option<&Arc<AttributeType>> {
        self.attributes.get(id.0 as usize)?.as_ref()
    }

    /// All attribute types, by number.
    pub fn attributes(&self) -> impl Iterator<Item = &Arc<AttributeType>> {
        self.attributes.iter().flatten()
    }

    /// An attribute description (`type;option…`) resolved; none if the type is undefined or the text malformed.
    pub fn describe(&self, description: &str) -> Option<AttributeDescription> {
        let Some((name, rest)) = description.split_once(';') else {
            return Some(AttributeDescription {
                attribute_type: self.attribute(description)?.clone(),
                options: Vec::new(),
            });
        };
        let attribute_type = self.attribute(name)?.clone();
        let mut options = Vec::new();
        for option in rest.split(';') {
            let is_well_formed =
                option.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
            if option.is_empty() || !is_well_formed {
                return None;
            }
            let option = option.to_ascii_lowercase();
            if option == "binary" && attribute_type.syntax != Syntax::Certificate {
                continue;
            }
            options.push(option);
        }
        options.sort_unstable();
        options.dedup();
        Some(AttributeDescription { attribute_type, options })
    }

    /// The object class of this name or OID, in any case.
    pub fn object_class(&self, name: &str) -> Option<&Arc<ObjectClass>> {
        self.classes.get(self.class_names.get(name)?)
    }

    /// All object classes, in the order of their definitions.
    pub fn object_classes_defined(&self) -> impl Iterator<Item = &Arc<ObjectClass>> {
        self.classes.iter()
    }

    /// The class and all its superiors up to `top`, nearest first.
    pub fn with_superiors(&self, class: &ObjectClass) -> Vec<Arc<ObjectClass>> {
        class.lineage.iter().filter_map(|oid| self.object_class(oid).cloned()).collect()
    }

    /// The matching rule of this name or OID, in any case.
    pub fn matching_rule(&self, name: &str) -> Option<MatchingRule> {
        MatchingRule::by_name(name)
    }

    /// What could not be honoured when the definitions were read (unknown syntaxes, unknown matching rules,
    /// definitions overridden by a later file), for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The definition of this kind and OID or name, in any case.
    pub fn definition(&self, kind: ElementKind, oid_or_name: &str) -> Option<&Arc<Definition>> {
        self.definitions.iter().find(|definition| {
            definition.kind() == kind
                && (definition.oid.eq_ignore_ascii_case(oid_or_name)
                    || definition.names.iter().any(|name| name.eq_ignore_ascii_case(oid_or_name)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaStore;

    fn schema() -> Arc<Schema> {
        SchemaStore::builtin(true).current()
    }

    #[test]
    fn knows_the_attributes_of_a_token() {
        let schema = schema();
        let date = schema.attribute("coreTokenExpirationDate").unwrap();
        assert_eq!(date.syntax, Syntax::GeneralizedTime);
        assert_eq!(date.equality, Some(MatchingRule::GeneralizedTimeMatch));
        assert_eq!(date.ordering, Some(MatchingRule::GeneralizedTimeOrderingMatch));
        assert!(date.single_value && !date.is_operational());
        assert_eq!(schema.attribute("CORETOKENEXPIRATIONDATE").unwrap().id, date.id);
        assert_eq!(schema.attribute("1.3.6.1.4.1.36733.2.2.1.98").unwrap().id, date.id);
        assert_eq!(schema.attribute_by_id(date.id).unwrap().name(), "coreTokenExpirationDate");
        let id = schema.attribute("coreTokenId").unwrap();
        assert_eq!(id.equality, Some(MatchingRule::CaseIgnoreMatch));
        assert_eq!(id.substring, Some(MatchingRule::CaseIgnoreSubstringsMatch));
        assert!(schema.attribute("coreTokenInteger10").unwrap().ordering.is_some());
        assert_eq!(
            schema.attribute("coreTokenObject").unwrap().equality,
            Some(MatchingRule::OctetStringMatch)
        );
        assert!(!schema.attribute("coreTokenMultiString03").unwrap().single_value);
        assert!(schema.attribute("dn").is_none());
        assert!(SchemaStore::builtin(false).current().attribute("coreTokenId").is_none());
    }

    #[test]
    fn knows_operational_attributes() {
        let schema = schema();
        for name in [
            "etag",
            "entryUUID",
            "createTimestamp",
            "creatorsName",
            "modifyTimestamp",
            "modifiersName",
            "entryDN",
            "subschemaSubentry",
            "hasSubordinates",
            "numSubordinates",
            "structuralObjectClass",
        ] {
            let attribute = schema.attribute(name).unwrap_or_else(|| panic!("{name}"));
            assert!(
                attribute.is_operational() && attribute.no_user_modification && attribute.single_value,
                "{name}"
            );
        }
        for name in ["aci", "ds-privilege-name", "ds-rlim-size-limit", "ds-rlim-lookthrough-limit"] {
            let attribute = schema.attribute(name).unwrap_or_else(|| panic!("{name}"));
            assert!(attribute.is_operational() && !attribute.no_user_modification, "{name}");
        }
        let etag = schema.attribute("etag").unwrap();
        assert_eq!(etag.equality, Some(MatchingRule::CaseExactMatch));
        assert_eq!(etag.ordering, Some(MatchingRule::CaseExactOrderingMatch));
        assert_eq!(schema.attribute("aci").unwrap().syntax, Syntax::Aci);
    }

    #[test]
    fn subtypes_inherit_syntax_and_rules() {
        let schema = schema();
        let (name, cn) = (schema.attribute("name").unwrap(), schema.attribute("commonName").unwrap());
        assert_eq!(cn.name(), "cn");
        assert_eq!((cn.syntax, cn.equality), (name.syntax, name.equality));
        assert_eq!(cn.supertypes, [name.id]);
        assert!(name.subtypes.contains(&cn.id));
    }

    #[test]
    fn classes_inherit_attributes() {
        let schema = schema();
        let class = schema.object_class("INETORGPERSON").unwrap();
        let lineage: Vec<_> = schema.with_superiors(class).iter().map(|c| c.name().to_owned()).collect();
        assert_eq!(lineage, ["inetOrgPerson", "organizationalPerson", "person", "top"]);
        let sn = schema.attribute("sn").unwrap().id;
        assert!(class.must.contains(&sn) && !class.may.contains(&sn));
        assert!(class.may.contains(&schema.attribute("mail").unwrap().id));
        assert!(schema.object_class("referral").unwrap().lineage.contains(&"2.5.6.0".to_owned()));
        let token = schema.object_class("frCoreToken").unwrap();
        assert_eq!((token.kind, token.must.len(), token.may.len()), (Kind::Structural, 3, 36));
    }

    #[test]
    fn resolves_descriptions() {
        let schema = schema();
        assert_eq!(schema.describe("CN;Lang-de;x-a").unwrap().canonical(), "cn;lang-de;x-a");
        assert_eq!(schema.describe("coretokenobject;binary").unwrap().canonical(), "coreTokenObject");
        assert_eq!(schema.describe("userCertificate;binary").unwrap().canonical(), "userCertificate;binary");
        assert!(schema.describe("nothing").is_none());
        assert!(schema.describe("cn;").is_none());
        assert!(schema.describe("cn;a b").is_none());
        assert!(schema.describe("").is_none());
    }

    #[test]
    fn the_files_give_no_warnings() {
        assert_eq!(schema().warnings(), [""; 0]);
    }
}
