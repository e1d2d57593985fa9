//! What the configuration must hold to: each entry by its component, and the tree as a whole.

use super::ConfigError;
use super::components::{Effect, Property};
use super::properties::is_bare_number;
use super::store::Applied;
use super::tree::{ConfigEntry, ConfigTree};
use crate::name::Dn;
use crate::schema::{NormalizedDn, Schema};

/// Properties that only a Java server or its database engine has. Set, kept and shown; the answer warns.
pub(super) const IGNORED: &[&str] = &[
    "ds-cfg-java-class",
    "ds-cfg-je-property",
    "ds-cfg-db-evictor-lru-only",
    "ds-cfg-db-evictor-core-threads",
    "ds-cfg-db-evictor-max-threads",
    "ds-cfg-db-evictor-keep-alive",
    "ds-cfg-db-evictor-nodes-per-scan",
    "ds-cfg-db-log-filecache-size",
    "ds-cfg-db-logging-file-handler-on",
    "ds-cfg-db-logging-level",
    "ds-cfg-db-checkpointer-wakeup-interval",
    "ds-cfg-db-num-lock-tables",
    "ds-cfg-db-num-cleaner-threads",
    "ds-cfg-db-cleaner-min-utilization",
    "ds-cfg-db-run-cleaner",
    "ds-cfg-import-offheap-memory-size",
    "ds-cfg-import-queue-size",
    "ds-cfg-import-thread-count",
    "ds-cfg-index-filter-analyzer-enabled",
    "ds-cfg-index-filter-analyzer-max-filters",
    "ds-cfg-cipher-key-length",
    "ds-cfg-cipher-transformation",
];

/// Whether an attribute is kept and shown only because scripts written for another server set it.
pub fn accepted_and_ignored(attribute: &str) -> bool {
    IGNORED.iter().any(|ignored| ignored.eq_ignore_ascii_case(attribute))
}

/// When a change of this attribute of this entry takes effect.
pub fn effect_of(entry: &ConfigEntry, attribute: &str) -> Effect {
    if accepted_and_ignored(attribute) {
        return Effect::None("only a Java server has it");
    }
    entry.property_of(attribute).map_or(Effect::Live, |property| property.effect)
}

/// Checks an entry as it will be, and says what its change takes; `before` is none for a new one.
pub(super) fn check_entry(
    before: Option<&ConfigEntry>,
    after: &ConfigEntry,
    schema: &Schema,
    applied: &mut Applied,
) -> Result<(), ConfigError> {
    check_classes(after, schema, applied)?;
    for (name, values) in after.attributes() {
        let was = before.map_or(&[][..], |entry| entry.values(name));
        if was == values.as_slice() {
            continue;
        }
        check_attribute(after, name, values, schema)?;
        let is_read_only = after.property_of(name).is_some_and(|property| property.is_read_only);
        if before.is_some() && is_read_only {
            return Err(ConfigError::Unwilling(format!(
                "{name} of {} cannot be changed: delete the entry and add it anew",
                after.dn()
            )));
        }
        note_effect(after, name, values, applied);
    }
    let gone = before.into_iter().flat_map(ConfigEntry::attributes);
    for (name, _) in gone.filter(|(name, _)| after.values(name).is_empty()) {
        note_effect(after, name, &[], applied);
    }
    let properties = after.component().map_or(&[][..], |component| component.properties);
    for property in properties.iter().filter(|property| property.is_mandatory) {
        if after.values(&property.attribute()).is_empty() {
            return Err(ConfigError::ObjectClass(format!(
                "{} needs {}: {}",
                after.dn(),
                property.attribute(),
                property.kind.accepts()
            )));
        }
    }
    check_rdn(after, schema)
}

fn check_classes(entry: &ConfigEntry, schema: &Schema, applied: &mut Applied) -> Result<(), ConfigError> {
    let mut has_any = false;
    for class in entry.texts("objectClass") {
        has_any = true;
        if schema.object_class(class).is_none() {
            return Err(ConfigError::ObjectClass(format!("the schema has no object class {class}")));
        }
    }
    if !has_any {
        return Err(ConfigError::ObjectClass(format!("{} has no object class", entry.dn())));
    }
    if entry.component().is_none() {
        applied.warnings.push(format!("{} is kept, but this server does nothing with it", entry.dn()));
    }
    Ok(())
}

fn check_attribute(
    entry: &ConfigEntry,
    name: &str,
    values: &[Vec<u8>],
    schema: &Schema,
) -> Result<(), ConfigError> {
    let base_name = name.split(';').next().unwrap_or(name);
    let Some(attribute) = schema.attribute(base_name) else {
        return Err(ConfigError::UndefinedAttribute(undefined(entry, name)));
    };
    if attribute.no_user_modification {
        return Err(ConfigError::Value(format!("{name} is kept by the server")));
    }
    let is_configuration =
        name.split_at_checked(7).is_some_and(|(prefix, _)| prefix.eq_ignore_ascii_case("ds-cfg-"));
    match entry.property_of(name) {
        Some(property) => {
            if values.len() > 1 && !property.is_multivalued {
                return Err(ConfigError::Value(format!("{name} takes one value, not {}", values.len())));
            }
            for value in values {
                check_property(property, value, schema)?;
            }
        }
        None if accepted_and_ignored(name) => {}
        None if is_configuration && entry.component().is_some() => {
            return Err(ConfigError::ObjectClass(undefined(entry, name)));
        }
        None => {
            if values.len() > 1 && attribute.single_value {
                return Err(ConfigError::Value(format!("{name} takes one value, not {}", values.len())));
            }
            for value in values {
                attribute
                    .syntax
                    .check(value)
                    .map_err(|reason| ConfigError::Syntax(format!("{name}: {reason}")))?;
            }
        }
    }
    if attribute.name() == "userPassword" && !values.iter().all(|value| is_encoded(value)) {
        return Err(ConfigError::Unwilling(
            "a password is kept only in the form of a storage scheme".to_owned(),
        ));
    }
    Ok(())
}

/// `{scheme}` and something after it.
fn is_encoded(value: &[u8]) -> bool {
    let Some(rest) = value.strip_prefix(b"{") else { return false };
    rest.iter().position(|&octet| octet == b'}').is_some_and(|end| end > 0 && end + 1 < rest.len())
}

fn check_property(property: &Property, value: &[u8], schema: &Schema) -> Result<(), ConfigError> {
    let name = property.attribute();
    let text = std::str::from_utf8(value)
        .map_err(|_| ConfigError::Value(format!("{name} accepts {}", property.kind.accepts())))?;
    property
        .kind
        .check(text, schema)
        .map_err(|accepts| ConfigError::Value(format!("{name} accepts {accepts}; \"{text}\" is not that")))
}

/// Says that an entry has no such property, and which it has.
fn undefined(entry: &ConfigEntry, name: &str) -> String {
    match entry.component() {
        Some(component) if !component.properties.is_empty() => {
            let names: Vec<String> = component.properties.iter().map(Property::attribute).collect();
            format!("a {} has no {name}; it has {}", component.label, names.join(", "))
        }
        _ => format!("the schema has no attribute {name}"),
    }
}

fn note_effect(entry: &ConfigEntry, name: &str, values: &[Vec<u8>], applied: &mut Applied) {
    match effect_of(entry, name) {
        Effect::Live => {}
        Effect::Restart(what) => {
            applied.restarts.push(format!("{name} takes effect when {what} is restarted"))
        }
        Effect::None(why) => applied.warnings.push(format!("{name} is kept but has no effect: {why}")),
    }
    if name.eq_ignore_ascii_case("ds-cfg-replication-purge-delay") {
        let small =
            |text: &&str| is_bare_number(text) && text.trim().parse::<u64>().is_ok_and(|value| value < 3600);
        let texts = values.iter().filter_map(|value| std::str::from_utf8(value).ok());
        for text in texts.filter(small) {
            applied
                .warnings
                .push(format!("{name}: {text} counts seconds; write a unit, such as \"{text} h\""));
        }
    }
}

fn check_rdn(entry: &ConfigEntry, schema: &Schema) -> Result<(), ConfigError> {
    let dn = Dn::parse(entry.dn()).map_err(|error| ConfigError::Dn(error.to_string()))?;
    for ava in dn.rdn().map(crate::name::Rdn::avas).unwrap_or_default() {
        let rule = schema.attribute(ava.attribute()).and_then(|attribute| attribute.equality);
        let key = |value: &[u8]| match rule {
            Some(rule) => {
                let mut key = Vec::new();
                rule.key(value, &mut key).map(|()| key).unwrap_or_else(|_| value.to_vec())
            }
            None => value.to_vec(),
        };
        let wanted = key(ava.value());
        if !entry.values(ava.attribute()).iter().any(|value| key(value) == wanted) {
            return Err(ConfigError::Naming(format!(
                "{} names {}, which is not among the entry's values",
                entry.dn(),
                ava.attribute()
            )));
        }
    }
    Ok(())
}

/// Properties whose value is the DN of another configuration entry.
const REFERENCES: &[&str] = &[
    "default-password-policy",
    "proxied-authorization-identity-mapper",
    "identity-mapper",
    "certificate-mapper",
    "key-manager-provider",
    "trust-manager-provider",
    "default-password-storage-scheme",
    "rotation-policy",
    "retention-policy",
];

/// Checks what several entries must agree on.
pub(super) fn check_tree(tree: &ConfigTree, schema: &Schema) -> Result<(), ConfigError> {
    if tree.of_class("ds-cfg-root-config").count() != 1 {
        return Err(ConfigError::Unwilling(
            "cn=config is the one entry of class ds-cfg-root-config".to_owned(),
        ));
    }
    for (_, entry) in tree.iter() {
        for name in REFERENCES {
            for value in entry.values(&format!("ds-cfg-{name}")) {
                let found = std::str::from_utf8(value).ok().and_then(|dn| tree.find(dn, schema));
                if found.is_none() {
                    let text = String::from_utf8_lossy(value);
                    return Err(ConfigError::Value(format!(
                        "ds-cfg-{name} of {}: there is no entry {text}",
                        entry.dn()
                    )));
                }
            }
        }
    }
    let is_data = |entry: &ConfigEntry| {
        entry.has_class("ds-cfg-pluggable-backend") || entry.has_class("ds-cfg-je-backend")
    };
    let enabled = |(_, entry): &(&NormalizedDn, &std::sync::Arc<ConfigEntry>)| {
        entry.boolean("enabled") && is_data(entry)
    };
    let backends: Vec<_> = tree.of_class("ds-cfg-backend").filter(enabled).collect();
    if backends.is_empty() && tree.of_class("ds-cfg-backend").any(|(_, entry)| is_data(entry)) {
        return Err(ConfigError::Unwilling(
            "the server cannot be without its data store (ds-cfg-enabled); ds-cfg-writability-mode: disabled keeps \
             writes out"
                .to_owned(),
        ));
    }
    if backends.len() > 1 {
        return Err(ConfigError::Unwilling(
            "there is one data store; give it another ds-cfg-base-dn instead of adding a backend".to_owned(),
        ));
    }
    check_indexes(tree)?;
    let mut names: Vec<NormalizedDn> = Vec::new();
    for (key, root) in tree.of_class("ds-cfg-root-dn-user") {
        let alternates = root.setting("alternate-bind-dn").into_iter();
        let keys = alternates.filter_map(|dn| NormalizedDn::parse(dn, schema).ok());
        for name in keys.chain([key.clone()]) {
            if names.contains(&name) {
                return Err(ConfigError::Value(format!(
                    "{}: another root user binds with that DN",
                    root.dn()
                )));
            }
            names.push(name);
        }
    }
    Ok(())
}

/// Every index stands below the `cn=Index` of a backend.
fn check_indexes(tree: &ConfigTree) -> Result<(), ConfigError> {
    for (key, entry) in tree.of_class("ds-cfg-backend-index") {
        let backend = key.parent().and_then(|parent| parent.parent()).and_then(|above| tree.get(&above));
        if !backend.is_some_and(|backend| backend.has_class("ds-cfg-backend")) {
            return Err(ConfigError::Naming(format!(
                "{} must stand below cn=Index of a backend, as in \
                 ds-cfg-attribute=…,cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config",
                entry.dn()
            )));
        }
    }
    Ok(())
}

/// Classes whose entries the server cannot be without.
const KEPT: &[&str] = &[
    "ds-cfg-root-config",
    "ds-cfg-branch",
    "ds-cfg-access-control-handler",
    "ds-cfg-administration-connector",
    "ds-cfg-work-queue",
    "ds-cfg-root-dn",
    "ds-cfg-backend",
];

/// Refuses to delete what the server cannot be without.
pub(super) fn check_delete(entry: &ConfigEntry, tree: &ConfigTree) -> Result<(), ConfigError> {
    let is_last_root =
        entry.has_class("ds-cfg-root-dn-user") && tree.of_class("ds-cfg-root-dn-user").count() == 1;
    if is_last_root || KEPT.iter().any(|class| entry.has_class(class)) {
        return Err(ConfigError::Unwilling(format!("the server cannot be without {}", entry.dn())));
    }
    Ok(())
}
