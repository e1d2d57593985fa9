//! Properties as they are typed: `name:value`, checked against what the configuration knows before anything is sent.

use std::sync::Arc;

use crate::config::accepted_and_ignored;
use crate::config::components::{Component, Property};
use crate::config::properties::PropertyKind;
use crate::schema::{Schema, SchemaStore};

/// A property of an object: one of the server's, or one that is accepted because scripts set it.
#[derive(Debug, Clone)]
pub(super) enum Known {
    Real(&'static Property),
    Ignored(String),
}

impl Known {
    /// The attribute that holds it.
    pub(super) fn attribute(&self) -> String {
        match self {
            Self::Real(property) => property.attribute(),
            Self::Ignored(attribute) => attribute.clone(),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Real(property) => property.name.to_owned(),
            Self::Ignored(attribute) => attribute.trim_start_matches("ds-cfg-").to_owned(),
        }
    }

    /// Whether two values are the same to it: words are, whatever their case.
    pub(super) fn same(&self, one: &[u8], other: &[u8]) -> bool {
        match self {
            Self::Real(property)
                if matches!(
                    property.kind,
                    PropertyKind::Enum(_) | PropertyKind::Boolean | PropertyKind::AttributeType
                ) =>
            {
                one.eq_ignore_ascii_case(other)
            }
            _ => one == other,
        }
    }
}

/// The property of this name; the error lists those there are.
pub(super) fn find(component: &'static Component, name: &str) -> Result<Known, String> {
    let lower = name.trim().to_lowercase();
    let bare = lower.strip_prefix("ds-cfg-").unwrap_or(&lower);
    if let Some(property) = component.properties.iter().find(|property| property.name == bare) {
        return Ok(Known::Real(property));
    }
    let attribute = format!("ds-cfg-{bare}");
    if accepted_and_ignored(&attribute) {
        return Ok(Known::Ignored(attribute));
    }
    let names: Vec<&str> = component.properties.iter().map(|property| property.name).collect();
    Err(format!("a {} has no property \"{name}\"; it has {}", component.label, names.join(", ")))
}

/// Parts `name:value`.
pub(super) fn split<'a>(option: &str, text: &'a str) -> Result<(&'a str, &'a str), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name, value)),
        Some((name, _)) if !name.is_empty() => Err(format!("{option} {text}: no value after the colon")),
        _ => Err(format!("{option} {text}: property:value is wanted, as in {option} enabled:true")),
    }
}

/// Checks values as far as that can be done without the server's own schema and entries.
pub(super) struct Checker {
    schema: Arc<Schema>,
}

impl Checker {
    pub(super) fn new() -> Self {
        Self { schema: SchemaStore::builtin(true).current() }
    }

    /// The error says what the property accepts.
    pub(super) fn check(&self, known: &Known, value: &str) -> Result<(), String> {
        let Known::Real(property) = known else { return Ok(()) };
        if matches!(property.kind, PropertyKind::AttributeType | PropertyKind::Aci) {
            return Ok(());
        }
        let checked = property.kind.check(value, &self.schema);
        checked.map_err(|accepts| format!("{} accepts {accepts}; \"{value}\" is not that", property.name))
    }
}

/// A value as tables show it: names and instructions in quotation marks.
pub(super) fn shown(property: Option<&Property>, value: &str) -> String {
    let is_quoted =
        property.is_some_and(|property| matches!(property.kind, PropertyKind::Dn | PropertyKind::Aci));
    if is_quoted { format!("\"{value}\"") } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::components;

    #[test]
    fn specifications_are_parted_at_the_first_colon() {
        assert_eq!(split("--set", "replication-server:h:8989"), Ok(("replication-server", "h:8989")));
        assert!(split("--set", "enabled").unwrap_err().contains("property:value"));
        assert!(split("--set", ":x").is_err());
        assert!(split("--set", "x:").unwrap_err().contains("no value"));
    }

    #[test]
    fn unknown_properties_and_wrong_values_are_explained() {
        let server = components::component("ds-cfg-replication-server").unwrap();
        let delay = find(server, "Replication-Purge-Delay").unwrap();
        assert_eq!(delay.attribute(), "ds-cfg-replication-purge-delay");
        assert_eq!(find(server, "ds-cfg-weight").unwrap().name(), "weight");
        assert!(find(server, "purge-delay").unwrap_err().contains("replication-purge-delay"));
        let checker = Checker::new();
        assert!(checker.check(&delay, "n").unwrap_err().contains("duration"));
        assert_eq!(checker.check(&delay, "12 h"), Ok(()));
        let index = components::component("ds-cfg-backend-index").unwrap();
        let kind = find(index, "index-type").unwrap();
        assert!(checker.check(&kind, "fast").unwrap_err().contains("equality, ordering"));
        assert!(kind.same(b"Equality", b"equality"));
        assert!(matches!(find(index, "java-class"), Ok(Known::Ignored(_))));
    }
}
