//! Properties as they are typed: `name:value`, checked against what the configuration knows before anything is sent.

use std::sync::Arc;

use crate::config::accepted_and_ignored;
use crate::config::components::{Component, Property};
use crate::config::properties::PropertyKind;
use crate::name::{Ava, Dn};
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

/// Properties that refer to another object, and below what that stands: such an object is written and shown by its name, or
/// written by its DN.
const REFERENCES: &[(&str, &str)] = &[
    ("certificate-mapper", "cn=Certificate Mappers,cn=config"),
    ("default-password-policy", "cn=Password Policies,cn=config"),
    ("default-password-storage-scheme", "cn=Password Storage Schemes,cn=config"),
    ("deprecated-password-storage-scheme", "cn=Password Storage Schemes,cn=config"),
    ("identity-mapper", "cn=Identity Mappers,cn=config"),
    ("key-manager-provider", "cn=Key Manager Providers,cn=config"),
    ("password-validator", "cn=Password Validators,cn=config"),
    ("proxied-authorization-identity-mapper", "cn=Identity Mappers,cn=config"),
    ("retention-policy", "cn=Log Retention Policies,cn=config"),
    ("rotation-policy", "cn=Log Rotation Policies,cn=config"),
    ("trust-manager-provider", "cn=Trust Manager Providers,cn=config"),
];

/// Below what the objects stand that a property refers to.
fn referred(property: &Property) -> Option<&'static str> {
    REFERENCES.iter().find(|(name, _)| *name == property.name).map(|(_, branch)| *branch)
}

/// The value as the server takes it: for the name of another object, its DN.
pub(super) fn meant(known: &Known, value: &str) -> String {
    let Known::Real(property) = known else { return value.to_owned() };
    match referred(property) {
        Some(branch) if !value.contains('=') => format!("{},{branch}", Ava::new("cn", value.trim())),
        _ => value.to_owned(),
    }
}

/// What a property accepts.
pub(super) fn accepted(property: &Property) -> String {
    match referred(property) {
        Some(branch) => format!("a name below {branch}, or its DN"),
        None => property.kind.accepts(),
    }
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
        let checked = property.kind.check(&meant(known, value), &self.schema);
        checked.map_err(|accepts| format!("{} accepts {accepts}; \"{value}\" is not that", property.name))
    }
}

/// A value as tables show it: names and instructions in quotation marks, other objects by their names.
pub(super) fn shown(property: Option<&Property>, value: &str) -> String {
    if let Some(name) = property.and_then(referred).and_then(|branch| name_below(branch, value)) {
        return name;
    }
    let is_quoted =
        property.is_some_and(|property| matches!(property.kind, PropertyKind::Dn | PropertyKind::Aci));
    if is_quoted { format!("\"{value}\"") } else { value.to_owned() }
}

/// The name of the object of this DN, if it stands below the branch.
fn name_below(branch: &str, dn: &str) -> Option<String> {
    let dn = Dn::parse(dn).ok()?;
    let above = dn.parent()?.to_string();
    let [ava] = dn.rdn()?.avas() else { return None };
    let is_named = ava.attribute().eq_ignore_ascii_case("cn") && above.eq_ignore_ascii_case(branch);
    is_named.then(|| String::from_utf8_lossy(ava.value()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::components;

    #[test]
    fn other_objects_are_written_and_shown_by_their_names() {
        let global = components::component("ds-cfg-root-config").unwrap();
        let policy = find(global, "default-password-policy").unwrap();
        let dn = "cn=Default Password Policy,cn=Password Policies,cn=config";
        assert_eq!(meant(&policy, "Default Password Policy"), dn);
        assert_eq!(meant(&policy, dn), dn);
        assert_eq!(Checker::new().check(&policy, "Default Password Policy"), Ok(()));
        let Known::Real(property) = policy else { panic!() };
        assert_eq!(shown(Some(property), dn), "Default Password Policy");
        let other = "cn=x,cn=config";
        assert_eq!(shown(Some(property), other), format!("\"{other}\""));
        for (name, branch) in REFERENCES {
            let known = components::COMPONENTS.iter().flat_map(|component| component.properties);
            let kinds: Vec<_> = known.filter(|known| known.name == *name).map(|known| known.kind).collect();
            assert!(
                !kinds.is_empty() && kinds.iter().all(|kind| *kind == PropertyKind::Dn),
                "{name} {branch}"
            );
        }
    }

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
