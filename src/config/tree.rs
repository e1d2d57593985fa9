//! `cn=config` as entries: names, values, and the settings read from them with their defaults.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::ConfigError;
use super::components::{COMPONENTS, Component, Property, property_of};
use super::properties::{PropertyKind, TimeUnit, parse_boolean, parse_duration, parse_size};
use crate::schema::{NormalizedDn, Schema};

/// One configuration entry. `Debug` shows names only: values may hold password hashes.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl std::fmt::Debug for ConfigEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.attributes.iter().map(|(name, _)| name);
        write!(f, "ConfigEntry({:?}, ", self.dn)?;
        f.debug_list().entries(names).finish()?;
        f.write_str(")")
    }
}

impl ConfigEntry {
    /// An entry of this DN and these attributes; values of one attribute given in several places are put together.
    pub fn new(dn: impl Into<String>, attributes: Vec<(String, Vec<Vec<u8>>)>) -> Self {
        let mut entry = Self { dn: dn.into(), attributes: Vec::with_capacity(attributes.len()) };
        for (name, values) in attributes {
            entry.extend(&name, values);
        }
        entry.attributes.retain(|(_, values)| !values.is_empty());
        entry
    }

    /// Its DN as it was given.
    pub fn dn(&self) -> &str {
        &self.dn
    }

    /// Its attributes, in the order given.
    pub fn attributes(&self) -> &[(String, Vec<Vec<u8>>)] {
        &self.attributes
    }

    /// The values of an attribute; empty if it has none.
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes
            .iter()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map_or(&[], |(_, values)| values.as_slice())
    }

    /// The values of an attribute that are text.
    pub fn texts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.values(name).iter().filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// Whether it holds the object class.
    pub fn has_class(&self, class: &str) -> bool {
        self.texts("objectClass").any(|candidate| candidate.eq_ignore_ascii_case(class))
    }

    /// What kind of entry it is; none if its classes are not listed in [`COMPONENTS`].
    pub fn component(&self) -> Option<&'static Component> {
        COMPONENTS.iter().find(|component| self.has_class(component.class))
    }

    /// Puts values to an attribute, which is made if it is not there.
    pub(super) fn extend(&mut self, name: &str, values: impl IntoIterator<Item = Vec<u8>>) {
        match self.attributes.iter_mut().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)) {
            Some((_, present)) => present.extend(values),
            None => self.attributes.push((name.to_owned(), values.into_iter().collect())),
        }
    }

    /// Keeps those values of an attribute for which `keep` holds; the attribute goes with its last value.
    pub(super) fn retain(&mut self, name: &str, keep: impl Fn(&[u8]) -> bool) {
        for (candidate, values) in &mut self.attributes {
            if candidate.eq_ignore_ascii_case(name) {
                values.retain(|value| keep(value));
            }
        }
        self.attributes.retain(|(_, values)| !values.is_empty());
    }

    /// Replaces every value by what `make` gives for it (nothing: it goes).
    pub(super) fn rewrite(&mut self, make: impl Fn(Vec<u8>) -> Vec<Vec<u8>>) {
        for (_, values) in &mut self.attributes {
            *values = std::mem::take(values).into_iter().flat_map(&make).collect();
        }
        self.attributes.retain(|(_, values)| !values.is_empty());
    }

    fn property(&self, name: &str) -> Option<&'static Property> {
        self.component()?.properties.iter().find(|property| property.name == name)
    }

    /// The values in force of a property (named without `ds-cfg-`): the entry's, else the default.
    pub fn setting(&self, name: &str) -> Vec<&str> {
        let own: Vec<&str> = self
            .attributes
            .iter()
            .find(|(attribute, _)| {
                attribute.split_at_checked(7).is_some_and(|(prefix, rest)| {
                    prefix.eq_ignore_ascii_case("ds-cfg-") && rest.eq_ignore_ascii_case(name)
                })
            })
            .map(|(_, values)| values.iter().filter_map(|value| std::str::from_utf8(value).ok()).collect())
            .unwrap_or_default();
        if own.is_empty() {
            self.property(name).map_or_else(Vec::new, |found| found.default.to_vec())
        } else {
            own
        }
    }

    /// The first value in force of a property.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.setting(name).into_iter().next()
    }

    /// A boolean property; false if it is none.
    pub fn boolean(&self, name: &str) -> bool {
        self.first(name).and_then(parse_boolean).unwrap_or(false)
    }

    /// An integer property.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.first(name)?.trim().parse().ok()
    }

    /// A duration property; none when it is unlimited.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        let base = match self.property(name).map(|property| property.kind) {
            Some(PropertyKind::Duration { base, .. }) => base,
            _ => TimeUnit::Seconds,
        };
        parse_duration(self.first(name)?, base).flatten()
    }

    /// A size property.
    pub fn size(&self, name: &str) -> Option<u64> {
        parse_size(self.first(name)?)
    }

    /// The addresses of a property.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.setting(name).iter().filter_map(|text| text.trim().parse().ok()).collect()
    }

    /// A property's values, owned.
    pub fn owned(&self, name: &str) -> Vec<String> {
        self.setting(name).into_iter().map(str::to_owned).collect()
    }

    /// The property an attribute of this entry holds.
    pub(super) fn property_of(&self, attribute: &str) -> Option<&'static Property> {
        property_of(self.component()?, attribute)
    }
}

/// All configuration entries, in tree order: an entry stands before those below it.
#[derive(Debug, Clone, Default)]
pub struct ConfigTree {
    entries: BTreeMap<NormalizedDn, Arc<ConfigEntry>>,
}

impl ConfigTree {
    /// Reads LDIF content records. Fails on text that is not LDIF, a DN that does not parse, an entry given twice or one
    /// whose parent is missing; `source` names the text in the error.
    pub fn parse(text: &str, source: &str, schema: &Schema) -> Result<Self, ConfigError> {
        let fault = |reason: String| ConfigError::File { file: source.to_owned(), reason };
        let mut tree = Self::default();
        for (dn, attributes) in super::template::read_records(text).map_err(fault)? {
            let key =
                NormalizedDn::parse(&dn, schema).map_err(|error| fault(format!("dn: {dn}: {error}")))?;
            let has_parent = key.parent().is_none_or(|parent| tree.entries.contains_key(&parent));
            if !tree.entries.is_empty() && !has_parent {
                return Err(fault(format!("{dn} has no parent entry before it")));
            }
            if tree.entries.insert(key, Arc::new(ConfigEntry::new(dn.clone(), attributes))).is_some() {
                return Err(fault(format!("{dn} is there twice")));
            }
        }
        Ok(tree)
    }

    /// The entries as LDIF, parents first.
    pub fn to_ldif(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(64 * 1024);
        for entry in self.entries.values() {
            super::template::write_record(entry, &mut text);
        }
        text
    }

    /// The entry of this key.
    pub fn get(&self, key: &NormalizedDn) -> Option<&Arc<ConfigEntry>> {
        self.entries.get(key)
    }

    /// The entry of this DN text.
    pub fn find(&self, dn: &str, schema: &Schema) -> Option<&Arc<ConfigEntry>> {
        self.entries.get(&NormalizedDn::parse(dn, schema).ok()?)
    }

    /// All entries with their keys, in tree order.
    pub fn iter(&self) -> impl Iterator<Item = (&NormalizedDn, &Arc<ConfigEntry>)> {
        self.entries.iter()
    }

    /// The entry and all below it, in tree order.
    pub fn subtree(&self, base: &NormalizedDn) -> impl Iterator<Item = (&NormalizedDn, &Arc<ConfigEntry>)> {
        let inside = base.clone();
        self.entries.range(base.clone()..).take_while(move |(key, _)| inside.covers(key))
    }

    /// The entries directly below.
    pub fn children(&self, base: &NormalizedDn) -> impl Iterator<Item = (&NormalizedDn, &Arc<ConfigEntry>)> {
        let depth = base.depth() + 1;
        self.subtree(base).filter(move |(key, _)| key.depth() == depth)
    }

    /// The entries that hold an object class, in tree order.
    pub fn of_class(&self, class: &str) -> impl Iterator<Item = (&NormalizedDn, &Arc<ConfigEntry>)> {
        self.entries.iter().filter(move |(_, entry)| entry.has_class(class))
    }

    /// The DN of the deepest existing entry at or above the key; empty if there is none.
    pub fn deepest(&self, key: &NormalizedDn) -> String {
        let mut at = Some(key.clone());
        while let Some(key) = at {
            if let Some(entry) = self.entries.get(&key) {
                return entry.dn().to_owned();
            }
            at = key.parent();
        }
        String::new()
    }

    pub(super) fn insert(&mut self, key: NormalizedDn, entry: ConfigEntry) {
        self.entries.insert(key, Arc::new(entry));
    }

    pub(super) fn remove(&mut self, key: &NormalizedDn) {
        self.entries.remove(key);
    }
}
