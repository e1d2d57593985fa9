//! The configuration in force, and the one way to change it: check, persist, apply.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::check::{check_delete, check_entry, check_tree};
use super::instance::Instance;
use super::persist::{self, Files, OsFiles};
use super::tree::{ConfigEntry, ConfigTree};
use super::{Config, ConfigError};
use crate::clock::Clock;
use crate::name::Dn;
use crate::protocol::message::ModifyOperation;
use crate::protocol::result::LdapResult;
use crate::schema::{AttributeType, NormalizedDn, Schema, SchemaStore};

/// One modification of a configuration entry.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// What to do. Increment works on integers.
    pub operation: ModifyOperation,
    /// The attribute as given.
    pub attribute: String,
    /// The values; none deletes the attribute (delete, replace).
    pub values: Vec<Vec<u8>>,
}

impl std::fmt::Debug for ConfigChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConfigChange({:?} {}, {} values)", self.operation, self.attribute, self.values.len())
    }
}

/// A change that is persisted and in force, and what the person should know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// What takes effect only after a restart, in words.
    pub restarts: Vec<String>,
    /// What was kept but has no effect, or is likely a mistake.
    pub warnings: Vec<String>,
}

impl Applied {
    /// All of it as the text of an answer; empty if there is nothing to say.
    pub fn diagnostic(&self) -> String {
        let mut said: Vec<&str> = Vec::new();
        for text in self.restarts.iter().chain(&self.warnings) {
            if !said.contains(&text.as_str()) {
                said.push(text);
            }
        }
        said.join("; ")
    }
}

/// Looks at a configuration before it is persisted, and may refuse it.
pub type CheckHook = Box<dyn Fn(&Config) -> Result<(), LdapResult> + Send + Sync>;
/// Brings the server from the old configuration to the new one; a refusal rolls the change back.
pub type ChangeHook = Box<dyn Fn(&Config, &Config) -> Result<(), LdapResult> + Send + Sync>;

#[derive(Default)]
struct Hooks {
    checks: Vec<CheckHook>,
    changes: Vec<ChangeHook>,
}

/// The configuration of an instance. Readers take a snapshot; changes come one at a time.
pub struct ConfigStore {
    instance: Instance,
    schema: Arc<SchemaStore>,
    clock: Arc<dyn Clock>,
    files: Box<dyn Files + Send + Sync>,
    tree: ArcSwap<ConfigTree>,
    config: ArcSwap<Config>,
    hooks: Mutex<Hooks>,
}

impl std::fmt::Debug for ConfigStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigStore").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl ConfigStore {
    /// Reads and checks `config/config.ldif`. Fails on a file that does not parse or entries that do not pass; the error
    /// names the line or the property, and the last configuration that started, if there is one.
    pub fn open(
        instance: &Instance,
        schema: Arc<SchemaStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let path = instance.config_file();
        let text = persist::read(&path)?;
        let snapshot = schema.current();
        let source = path.display().to_string();
        let read = ConfigTree::parse(&text, &source, &snapshot).and_then(|tree| {
            check_whole(&tree, &snapshot)?;
            Ok(tree)
        });
        let tree = read.map_err(|error| {
            let reason = match error {
                ConfigError::File { reason, .. } => reason,
                other => other.to_string(),
            };
            let last_good = instance.last_good_config_file();
            let hint = if persist::is_file(&last_good) {
                format!("{reason} (the last configuration that started is {})", last_good.display())
            } else {
                reason
            };
            ConfigError::File { file: source, reason: hint }
        })?;
        let config = Config::read(&tree, &snapshot);
        Ok(Self {
            instance: instance.clone(),
            schema,
            clock,
            files: Box::new(OsFiles),
            tree: ArcSwap::from_pointee(tree),
            config: ArcSwap::from_pointee(config),
            hooks: Mutex::default(),
        })
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The snapshot in force, for a short look: cheaper than [`Self::current`], not to be kept.
    pub fn load(&self) -> arc_swap::Guard<Arc<Config>> {
        self.config.load()
    }

    /// The entries in force.
    pub fn entries(&self) -> Arc<ConfigTree> {
        self.tree.load_full()
    }

    /// The instance it belongs to.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Adds a hook that looks at each configuration before it is persisted.
    pub fn on_check(&self, hook: CheckHook) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).checks.push(hook);
    }

    /// Adds a hook called after persisting, before the change shows in [`Self::current`]. Hooks run in the order added; when
    /// one refuses, the earlier ones are called with the two configurations exchanged, and the old file is put back. A hook
    /// must not change the configuration.
    pub fn on_change(&self, hook: ChangeHook) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).changes.push(hook);
    }

    /// Adds an entry below an existing one. The RDN's values are added where they are missing.
    pub fn add(&self, dn: &str, attributes: Vec<(String, Vec<Vec<u8>>)>) -> Result<Applied, ConfigError> {
        let parsed = Dn::parse(dn).map_err(|error| ConfigError::Dn(error.to_string()))?;
        self.change(|tree, schema, applied| {
            let key = NormalizedDn::of(&parsed, schema);
            if tree.get(&key).is_some() {
                return Err(ConfigError::Exists(dn.to_owned()));
            }
            let parent = key.parent().unwrap_or_else(NormalizedDn::root);
            if tree.get(&parent).is_none() {
                return Err(ConfigError::NoSuchEntry { dn: dn.to_owned(), matched: tree.deepest(&parent) });
            }
            let mut entry = ConfigEntry::new(dn, Vec::new());
            for (name, values) in attributes {
                let (name, _) = resolve(&name, schema);
                entry.extend(&name, values);
            }
            for ava in parsed.rdn().map(crate::name::Rdn::avas).unwrap_or_default() {
                let (name, attribute) = resolve(ava.attribute(), schema);
                let wanted = equality_key(attribute.as_deref(), ava.value());
                let present = entry.values(&name).iter();
                if !present.map(|value| equality_key(attribute.as_deref(), value)).any(|key| key == wanted) {
                    entry.extend(&name, [ava.value().to_vec()]);
                }
            }
            check_duplicates(&entry, schema)?;
            check_entry(None, &entry, schema, applied)?;
            // A new entry that is obeyed from the start needs no restart of what did not run.
            applied.restarts.clear();
            tree.insert(key, entry);
            Ok(())
        })
    }

    /// Changes an entry: all modifications in order, or none.
    pub fn modify(&self, dn: &str, changes: &[ConfigChange]) -> Result<Applied, ConfigError> {
        self.change(|tree, schema, applied| {
            let key = NormalizedDn::parse(dn, schema).map_err(|error| ConfigError::Dn(error.to_string()))?;
            let Some(before) = tree.get(&key).cloned() else {
                return Err(ConfigError::NoSuchEntry { dn: dn.to_owned(), matched: tree.deepest(&key) });
            };
            let mut after = before.as_ref().clone();
            for change in changes {
                modify_entry(&mut after, change, schema)?;
            }
            check_entry(Some(&before), &after, schema, applied)?;
            tree.insert(key, after);
            Ok(())
        })
    }

    /// Deletes an entry that has none below it.
    pub fn delete(&self, dn: &str) -> Result<Applied, ConfigError> {
        self.change(|tree, schema, _| {
            let key = NormalizedDn::parse(dn, schema).map_err(|error| ConfigError::Dn(error.to_string()))?;
            let Some(entry) = tree.get(&key) else {
                return Err(ConfigError::NoSuchEntry { dn: dn.to_owned(), matched: tree.deepest(&key) });
            };
            if tree.children(&key).next().is_some() {
                return Err(ConfigError::NotLeaf(entry.dn().to_owned()));
            }
            check_delete(entry, tree)?;
            tree.remove(&key);
            Ok(())
        })
    }

    /// Keeps the configuration in force as the last one that started (`config.ldif.startok`).
    pub fn mark_started(&self) -> Result<(), ConfigError> {
        let _one_at_a_time = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.tree.load().to_ldif();
        persist::replace(self.files.as_ref(), &self.instance.last_good_config_file(), text.as_bytes())
    }

    fn change(
        &self,
        edit: impl FnOnce(&mut ConfigTree, &Schema, &mut Applied) -> Result<(), ConfigError>,
    ) -> Result<Applied, ConfigError> {
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        let schema = self.schema.current();
        let old_tree = self.tree.load_full();
        let old = self.config.load_full();
        let mut tree = old_tree.as_ref().clone();
        let mut applied = Applied::default();
        edit(&mut tree, &schema, &mut applied)?;
        check_tree(&tree, &schema)?;
        let text = tree.to_ldif();
        let old_text = old_tree.to_ldif();
        if text == old_text {
            return Ok(applied);
        }
        let new = Config::read(&tree, &schema);
        for check in &hooks.checks {
            check(&new).map_err(ConfigError::Refused)?;
        }
        let files = self.files.as_ref();
        let stamp = stamp(self.clock.wall_ms());
        persist::archive(files, &self.instance.archived_configs(), &stamp, old_text.as_bytes())?;
        persist::replace(files, &self.instance.config_file(), text.as_bytes())?;
        for (count, hook) in hooks.changes.iter().enumerate() {
            if let Err(refusal) = hook(&old, &new) {
                for undone in hooks.changes.iter().take(count).rev() {
                    // What it did it can undo; a second refusal leaves nothing better to do.
                    let _ = undone(&new, &old);
                }
                persist::replace(files, &self.instance.config_file(), old_text.as_bytes())?;
                return Err(ConfigError::Refused(refusal));
            }
        }
        self.tree.store(Arc::new(tree));
        self.config.store(Arc::new(new));
        Ok(applied)
    }
}

/// Checks every entry and the tree.
pub(super) fn check_whole(tree: &ConfigTree, schema: &Schema) -> Result<(), ConfigError> {
    let mut unheard = Applied::default();
    for (_, entry) in tree.iter() {
        check_entry(None, entry, schema, &mut unheard)
            .map_err(|error| ConfigError::Value(format!("{}: {error}", entry.dn())))?;
    }
    check_tree(tree, schema)
}

/// `yyyyMMddHHmmss` in UTC.
fn stamp(wall_ms: u64) -> String {
    let ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y%m%d%H%M%S").to_string()
}

/// The spelling under which values of an attribute are kept, and its type if the schema has it.
fn resolve(name: &str, schema: &Schema) -> (String, Option<Arc<AttributeType>>) {
    match schema.describe(name) {
        Some(description) => (description.canonical(), Some(description.attribute_type)),
        None => (name.to_owned(), None),
    }
}

fn equality_key(attribute: Option<&AttributeType>, value: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    match attribute.and_then(|attribute| attribute.equality).map(|rule| rule.key(value, &mut key)) {
        Some(Ok(())) => key,
        _ => value.to_vec(),
    }
}

fn check_duplicates(entry: &ConfigEntry, schema: &Schema) -> Result<(), ConfigError> {
    for (name, values) in entry.attributes() {
        let (_, attribute) = resolve(name, schema);
        let mut keys: Vec<Vec<u8>> =
            values.iter().map(|value| equality_key(attribute.as_deref(), value)).collect();
        let count = keys.len();
        keys.sort();
        keys.dedup();
        if keys.len() < count {
            return Err(ConfigError::ValueExists(format!("{name} is given the same value twice")));
        }
    }
    Ok(())
}

fn modify_entry(entry: &mut ConfigEntry, change: &ConfigChange, schema: &Schema) -> Result<(), ConfigError> {
    let (name, attribute) = resolve(&change.attribute, schema);
    let key = |value: &[u8]| equality_key(attribute.as_deref(), value);
    let given: Vec<Vec<u8>> = change.values.iter().map(|value| key(value)).collect();
    match change.operation {
        ModifyOperation::Add => {
            if given.is_empty() {
                return Err(ConfigError::Value(format!("{name}: nothing to add")));
            }
            let present: Vec<Vec<u8>> = entry.values(&name).iter().map(|value| key(value)).collect();
            if given.iter().any(|wanted| present.contains(wanted)) {
                return Err(ConfigError::ValueExists(format!(
                    "{name} of {} has that value already",
                    entry.dn()
                )));
            }
            entry.extend(&name, change.values.iter().cloned());
        }
        ModifyOperation::Delete if given.is_empty() => {
            if entry.values(&name).is_empty() {
                return Err(ConfigError::NoSuchValue(format!("{} has no {name}", entry.dn())));
            }
            entry.retain(&name, |_| false);
        }
        ModifyOperation::Delete => {
            let present: Vec<Vec<u8>> = entry.values(&name).iter().map(|value| key(value)).collect();
            if given.iter().any(|wanted| !present.contains(wanted)) {
                return Err(ConfigError::NoSuchValue(format!("{name} of {} has no such value", entry.dn())));
            }
            entry.retain(&name, |value| !given.contains(&key(value)));
        }
        ModifyOperation::Replace => {
            entry.retain(&name, |_| false);
            if !change.values.is_empty() {
                entry.extend(&name, change.values.iter().cloned());
            }
        }
        ModifyOperation::Increment => increment(entry, &name, &change.values)?,
    }
    check_duplicates(entry, schema)
}

fn increment(entry: &mut ConfigEntry, name: &str, by: &[Vec<u8>]) -> Result<(), ConfigError> {
    let number =
        |value: &[u8]| std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<i64>().ok());
    let fault = || ConfigError::Value(format!("{name} cannot be incremented by that"));
    let [by] = by else { return Err(fault()) };
    let by = number(by).ok_or_else(fault)?;
    if entry.values(name).is_empty() {
        return Err(ConfigError::NoSuchValue(format!("{} has no {name}", entry.dn())));
    }
    let sums = entry.values(name).iter().map(|value| number(value)?.checked_add(by));
    let sums: Vec<i64> = sums.collect::<Option<_>>().ok_or_else(fault)?;
    entry.retain(name, |_| false);
    entry.extend(name, sums.into_iter().map(|sum| sum.to_string().into_bytes()));
    Ok(())
}
