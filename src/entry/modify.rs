//! Modifications prepared under the schema (RFC 4511 §4.6, RFC 4525). Applying them is in `apply.rs`.

use crate::protocol::message::{Modification, Modifications, ModifyOperation};
use crate::schema::{AttributeDescription, MatchingRule, Schema, Syntax};

/// Why modifications cannot be applied to an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModifyError {
    /// noSuchAttribute (16).
    #[error("{0}")]
    NoSuchAttribute(String),
    /// attributeOrValueExists (20).
    #[error("{0}")]
    Exists(String),
    /// undefinedAttributeType (17).
    #[error("{0}")]
    UndefinedType(String),
    /// invalidAttributeSyntax (21).
    #[error("{0}")]
    Syntax(String),
    /// constraintViolation (19).
    #[error("{0}")]
    Constraint(String),
    /// constraintViolation (19): the server alone writes this attribute.
    #[error("{0}")]
    NoUserModification(String),
    /// protocolError (2): the modification has no meaning (add without values, increment without one).
    #[error("{0}")]
    Malformed(String),
}

pub(super) fn undefined(description: &str) -> ModifyError {
    ModifyError::UndefinedType(format!("attribute {description} is not defined in the schema"))
}

pub(super) fn check_value(description: &AttributeDescription, value: &[u8]) -> Result<(), ModifyError> {
    description.attribute_type.syntax.check(value).map_err(|reason| {
        ModifyError::Syntax(format!("a value of attribute {}: {reason}", description.canonical()))
    })
}

/// Whether two values are equal under the rule; without a rule, or where a value breaks its syntax, byte by byte.
pub(super) fn same_value(rule: Option<MatchingRule>, left: &[u8], right: &[u8]) -> bool {
    if left == right {
        return true;
    }
    let Some(rule) = rule else { return false };
    let (mut left_key, mut right_key) = (Vec::with_capacity(left.len()), Vec::with_capacity(right.len()));
    rule.key(left, &mut left_key).is_ok() && rule.key(right, &mut right_key).is_ok() && left_key == right_key
}

/// One modification: the attribute looked up, its values checked and owned.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) operation: ModifyOperation,
    pub(super) canonical: Box<str>,
    pub(super) operational: bool,
    pub(super) single_value: bool,
    pub(super) equality: Option<MatchingRule>,
    pub(super) values: Vec<Box<[u8]>>,
}

/// A modify request resolved against the schema: canonical descriptions, checked values and their equality keys.
#[derive(Debug, Clone, Default)]
pub struct PreparedModifications {
    pub(super) steps: Vec<Step>,
}

impl PreparedModifications {
    /// Resolves a client's modifications: 17 for an undefined attribute, 21 for a bad value, 19 for an attribute that
    /// the server alone writes, 20 for equal values in one modification, 2 for an add without values.
    pub fn prepare(changes: Modifications<'_>, schema: &Schema) -> Result<Self, ModifyError> {
        let mut prepared = Self::default();
        for change in changes {
            let attribute = schema.attribute(base_text(change.attribute.description));
            if attribute.is_some_and(|attribute| attribute.no_user_modification) {
                return Err(ModifyError::NoUserModification(format!(
                    "attribute {} is kept by the server and cannot be written",
                    change.attribute.description
                )));
            }
            prepared.request(change, schema)?;
        }
        Ok(prepared)
    }

    fn request(&mut self, change: Modification<'_>, schema: &Schema) -> Result<(), ModifyError> {
        self.push(change.operation, change.attribute.description, change.attribute.values.iter(), schema)
    }

    /// Appends one modification; the server may write what clients must not. Deleted values are not checked against
    /// their syntax: what is not there cannot be removed anyway.
    pub fn push<'v>(
        &mut self,
        operation: ModifyOperation,
        description: &str,
        values: impl Iterator<Item = &'v [u8]>,
        schema: &Schema,
    ) -> Result<(), ModifyError> {
        let described = schema.describe(description).ok_or_else(|| undefined(description))?;
        let attribute = &described.attribute_type;
        let canonical = described.canonical();
        let values: Vec<Box<[u8]>> = values.map(Into::into).collect();
        match operation {
            ModifyOperation::Add if values.is_empty() => {
                return Err(ModifyError::Malformed(format!("adding to {canonical} needs a value")));
            }
            ModifyOperation::Increment => {
                let integer = attribute.syntax == Syntax::Integer;
                if !integer {
                    return Err(ModifyError::Constraint(format!("{canonical} does not hold integers")));
                }
                if values.len() != 1 {
                    return Err(ModifyError::Malformed(format!("incrementing {canonical} needs one value")));
                }
            }
            _ => {}
        }
        if operation != ModifyOperation::Delete {
            values.iter().try_for_each(|value| check_value(&described, value))?;
        }
        if values.len() > 1 && has_equal(attribute.equality, &values) {
            return Err(ModifyError::Exists(format!("the same value of {canonical} is given twice")));
        }
        self.steps.push(Step {
            operation,
            operational: attribute.is_operational(),
            single_value: attribute.single_value,
            equality: attribute.equality,
            canonical: canonical.into(),
            values,
        });
        Ok(())
    }

    /// Replaces each value given to an attribute (canonical description, any case) by what `change` makes of it; it
    /// sees the modification's operation too.
    pub fn map_values<E>(
        &mut self,
        canonical: &str,
        mut change: impl FnMut(ModifyOperation, &[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        for step in self.steps.iter_mut().filter(|step| step.canonical.eq_ignore_ascii_case(canonical)) {
            for value in &mut step.values {
                if let Some(changed) = change(step.operation, value)? {
                    *value = changed.into();
                }
            }
        }
        Ok(())
    }

    /// Operation, canonical description and values of each modification, in order.
    pub fn steps(&self) -> impl Iterator<Item = (ModifyOperation, &str, impl Iterator<Item = &[u8]>)> {
        self.steps
            .iter()
            .map(|step| (step.operation, &*step.canonical, step.values.iter().map(|value| &**value)))
    }

    /// Whether an attribute (canonical name, any case, with or without options) is touched.
    pub fn touches(&self, canonical: &str) -> bool {
        self.steps.iter().any(|step| base_text(&step.canonical).eq_ignore_ascii_case(canonical))
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

fn has_equal(rule: Option<MatchingRule>, values: &[Box<[u8]>]) -> bool {
    let mut seen = std::collections::HashSet::with_capacity(values.len());
    values.iter().any(|value| !seen.insert(value_key(rule, value)))
}

/// The value's equality key, or its bytes where there is none.
pub(super) fn value_key(rule: Option<MatchingRule>, value: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(value.len() + 8);
    if rule.is_none_or(|rule| rule.key(value, &mut key).is_err()) {
        key.clear();
        key.extend_from_slice(value);
    }
    key
}

/// A description without its options.
fn base_text(description: &str) -> &str {
    description.split(';').next().unwrap_or_default()
}
