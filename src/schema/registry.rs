//! The snapshot: definitions, found by OID and by any of their names.

use std::sync::Arc;

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
#[derive(Debug, Clone)]
pub struct AttributeType {
    /// Its number.
    pub id: TypeId,
    /// Its numeric OID.
    pub oid: String,
    /// Its names; the first is the spelling used in answers.
    pub names: Vec<String>,
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
    /// Approximate rule; the equality rule stands in.
    pub single_value: bool,
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

/// An object class with its superiors' MUST and MAY not yet merged in; see [`Schema`] for the closure.
#[derive(Debug, Clone)]
pub struct ObjectClass {
    /// Its numeric OID.
    pub oid: String,
    /// Its names; the first is the spelling used in answers.
    pub names: Vec<String>,
    /// Direct superiors, by the OID.
    pub superiors: Vec<String>,
    /// Abstract, structural or auxiliary.
    pub kind: Kind,
    /// Required attributes, own and inherited.
    pub must: Vec<TypeId>,
    /// Allowed attributes, own and inherited.
    pub may: Vec<TypeId>,
    /// Whether it is obsolete.
    pub obsolete: bool,
}

impl ObjectClass {
    /// The spelling used in answers: the first name, or the OID.
    pub fn name(&self) -> &str {
        self.names.first().map_or(self.oid.as_str(), String::as_str)
    }
}

/// An attribute description resolved against the schema: type plus options (`;binary`, `;lang-de`).
#[derive(Debug, Clone)]
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
pub struct Schema {}

impl Schema {
    /// The attribute type of this name or OID, in any case, without options.
    pub fn attribute(&self, _name: &str) -> Option<&Arc<AttributeType>> {
        unimplemented!()
    }

    /// The attribute type of this number.
    pub fn attribute_by_id(&self, _id: TypeId) -> Option<&Arc<AttributeType>> {
        unimplemented!()
    }

    /// An attribute description (`type;option…`) resolved; none if the type is undefined or the text malformed.
    pub fn describe(&self, _description: &str) -> Option<AttributeDescription> {
        unimplemented!()
    }

    /// The object class of this name or OID, in any case.
    pub fn object_class(&self, _name: &str) -> Option<&Arc<ObjectClass>> {
        unimplemented!()
    }

    /// The class and all its superiors up to `top`, nearest first.
    pub fn with_superiors(&self, _class: &ObjectClass) -> Vec<Arc<ObjectClass>> {
        unimplemented!()
    }

    /// The matching rule of this name or OID, in any case.
    pub fn matching_rule(&self, _name: &str) -> Option<MatchingRule> {
        unimplemented!()
    }
}
