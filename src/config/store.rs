//! The configuration in force, and the one way to change it: check, persist, apply.

use std::path::Path;
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
        Self::open_file(instance, &instance.config_file(), schema, clock)
    }

    /// As [`Self::open`]; but where that fails and there is a configuration that started once, that one is taken, and the
    /// error comes along: whoever serves then should serve administrators alone. The file at fault is kept beside itself
    /// as `config.ldif.failed`, and stays in its place until the configuration is changed.
    pub fn open_or_last_good(
        instance: &Instance,
        schema: Arc<SchemaStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Option<ConfigError>), ConfigError> {
        let fault = match Self::open(instance, Arc::clone(&schema), Arc::clone(&clock)) {
            Ok(store) => return Ok((store, None)),
            Err(fault) => fault,
        };
        let Ok(store) = Self::open_file(instance, &instance.last_good_config_file(), schema, clock) else {
            return Err(fault);
        };
        let path = instance.config_file();
        if let Ok(text) = persist::read(&path) {
            persist::replace(&OsFiles, &path.with_extension("ldif.failed"), text.as_bytes())?;
        }
        Ok((store, Some(fault)))
    }

    fn open_file(
        instance: &Instance,
        path: &Path,
        schema: Arc<SchemaStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let text = persist::read(path)?;
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
        persist::replace(self.files.as_ref(), &self.instance.last_good_config_file(), &text)
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
        persist::archive(files, &self.instance.archived_configs(), &stamp, &old_text)?;
        persist::replace(files, &self.instance.config_file(), &text)?;
        for (count, hook) in hooks.changes.iter().enumerate() {
            if let Err(refusal) = hook(&old, &new) {
                for undone in hooks.changes.iter().take(count).rev() {
                    // What it did it can undo; a second refusal leaves nothing better to do.
                    let _ = undone(&new, &old);
                }
                persist::replace(files, &self.instance.config_file(), &old_text)?;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::super::snapshot::{Durability, IndexKind, ListenerKind, SecretValue};
    use super::super::{Profile, SetupOptions};
    use super::*;
    use crate::clock::ManualClock;
    use crate::protocol::result::ResultCode;

    struct Bench {
        place: tempfile::TempDir,
        store: ConfigStore,
    }

    fn options(profiles: &[Profile]) -> SetupOptions {
        let password = SecretValue::new(b"{SSHA512}abcd".to_vec());
        SetupOptions {
            profiles: profiles.to_vec(),
            global_acis: vec![
                "(targetattr=\"*\")(version 3.0; acl \"x\"; allow (read) userdn=\"ldap:///all\";)".into(),
            ],
            ..SetupOptions::new(
                vec!["dc=cts,dc=example,dc=com".into()],
                "cn=Directory Manager".into(),
                password,
            )
        }
    }

    fn open(place: &std::path::Path) -> ConfigStore {
        let instance = Instance::open(&place.join("i")).unwrap();
        let schema = Arc::new(SchemaStore::open(&instance.schema_directory()).unwrap());
        ConfigStore::open(&instance, schema, Arc::new(ManualClock::at(1_700_000_000_000))).unwrap()
    }

    fn bench(profiles: &[Profile]) -> Bench {
        let place = tempfile::tempdir().unwrap();
        Instance::create(&place.path().join("i"), &options(profiles)).unwrap();
        let store = open(place.path());
        Bench { place, store }
    }

    fn replace(attribute: &str, value: &str) -> ConfigChange {
        ConfigChange {
            operation: ModifyOperation::Replace,
            attribute: attribute.into(),
            values: vec![value.as_bytes().to_vec()],
        }
    }

    fn index_entry(kinds: &[&str]) -> Vec<(String, Vec<Vec<u8>>)> {
        vec![
            ("objectClass".into(), vec!["top".into(), "ds-cfg-backend-index".into()]),
            ("ds-cfg-index-type".into(), kinds.iter().map(|kind| kind.as_bytes().to_vec()).collect()),
        ]
    }

    const INDEXES: &str = "cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config";

    #[test]
    fn a_new_instance_reads_as_configured() {
        let bench = bench(&[Profile::AmCts]);
        let config = bench.store.current();
        assert_eq!((config.global.size_limit, config.global.time_limit), (1000, 60));
        assert_eq!(config.global.lookthrough_limit, 5000);
        assert_eq!(config.global.max_persistent_searches, None);
        assert!(config.global.add_missing_rdn_attributes);
        let data = config.data().unwrap();
        assert_eq!(data.id, "userRoot");
        assert_eq!(data.durability, Durability::Group);
        assert_eq!((data.disk_low_threshold, data.disk_full_threshold), (200_000_000, 100_000_000));
        let names: Vec<_> = data.base_dns.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(names, ["dc=cts,dc=example,dc=com"]);
        let index = |name: &str| data.indexes.iter().find(|index| index.attribute == name).unwrap();
        assert_eq!(data.indexes.len(), 13 + 29);
        assert_eq!(index("coreTokenDate02").kinds, [IndexKind::Ordering]);
        assert_eq!(index("cn").kinds, [IndexKind::Equality, IndexKind::Substring]);
        let ports: Vec<_> = config
            .listeners
            .iter()
            .map(|listener| (listener.kind, listener.port, listener.enabled))
            .collect();
        assert_eq!(
            ports,
            [
                (ListenerKind::Ldap, 1389, true),
                (ListenerKind::Ldap, 636, false),
                (ListenerKind::Administration, 4444, true),
                (ListenerKind::Http, 8080, false),
            ]
        );
        let ldap = config.listeners.first().unwrap();
        assert_eq!(ldap.max_request_size, 5_000_000);
        assert_eq!(ldap.max_blocked_write_time, Some(Duration::from_secs(120)));
        let schema = bench.store.schema.current();
        let key = NormalizedDn::parse("CN=directory  manager", &schema).unwrap();
        let root = config.root_dn(&key).unwrap();
        assert_eq!(root.dn, "cn=Directory Manager,cn=Root DNs,cn=config");
        assert_eq!(root.passwords.first().unwrap().expose(), b"{SSHA512}abcd");
        assert!(root.privileges.iter().any(|name| name == "bypass-acl"));
        assert_eq!(root.limits.size, Some(0));
        assert_eq!(config.default_password_policy().unwrap().default_schemes, ["PBKDF2-HMAC-SHA256"]);
        assert_eq!(config.access.global_acis.len(), 1);
        assert!(!format!("{config:?}{:?}", bench.store.entries()).contains("abcd"));
        assert_eq!(config.logs.len(), 4);
        assert_eq!(config.logs.first().and_then(|log| log.keep_files), Some(10));
    }

    #[test]
    fn a_plain_instance_has_no_cts_schema_or_indexes() {
        let bench = bench(&[]);
        assert_eq!(bench.store.current().data().unwrap().indexes.len(), 13);
        assert!(bench.store.schema.current().attribute("coreTokenId").is_none());
    }

    #[test]
    fn an_instance_is_not_made_twice_nor_from_bad_names() {
        let bench = bench(&[]);
        let again = Instance::create(&bench.place.path().join("i"), &options(&[]));
        assert!(matches!(again, Err(ConfigError::File { .. })));
        let other = bench.place.path().join("j");
        let bad_base = SetupOptions { base_dns: vec!["nonsense".into()], ..options(&[]) };
        assert!(matches!(Instance::create(&other, &bad_base), Err(ConfigError::Dn(_))));
        let bad_id = SetupOptions { backend_id: "a,b".into(), ..options(&[]) };
        assert!(Instance::create(&other, &bad_id).is_err());
        assert!(!other.exists());
        use std::os::unix::fs::PermissionsExt;
        let root = bench.store.instance().root().to_owned();
        for place in [root.clone(), root.join("config"), root.join("db/log"), root.join("locks")] {
            assert_eq!(std::fs::metadata(place).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let file = std::fs::metadata(root.join("config/config.ldif")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn changes_survive_a_restart_and_are_archived() {
        let bench = bench(&[]);
        bench.store.modify("cn=config", &[replace("DS-CFG-SIZE-LIMIT", "5000")]).unwrap();
        assert_eq!(bench.store.current().global.size_limit, 5000);
        let dn = format!("ds-cfg-attribute=description,{INDEXES}");
        bench.store.add(&dn, index_entry(&["equality", "presence"])).unwrap();
        bench.store.modify("cn=config", &[replace("ds-cfg-size-limit", "5000")]).unwrap();
        let reopened = open(bench.place.path());
        assert_eq!(reopened.current(), bench.store.current());
        assert_eq!(reopened.entries().to_ldif(), bench.store.entries().to_ldif());
        let archived = std::fs::read_dir(bench.store.instance().archived_configs()).unwrap().count();
        assert_eq!(archived, 2, "a change that changes nothing is not archived");
        bench.store.mark_started().unwrap();
        let good = std::fs::read(bench.store.instance().last_good_config_file()).unwrap();
        assert_eq!(good, std::fs::read(bench.store.instance().config_file()).unwrap());
    }

    #[test]
    fn a_broken_file_names_its_fault_and_the_last_good_one() {
        let bench = bench(&[]);
        bench.store.mark_started().unwrap();
        let file = bench.store.instance().config_file();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("ds-cfg-size-limit: 1000", "ds-cfg-size-limit: lots")).unwrap();
        let schema = bench.store.schema.clone();
        let error =
            ConfigStore::open(bench.store.instance(), schema, Arc::new(ManualClock::at(0))).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("ds-cfg-size-limit") && said.contains("startok"), "{said}");
    }

    #[test]
    fn index_entries_keep_their_rules() {
        let bench = bench(&[]);
        let store = &bench.store;
        let cn = format!("ds-cfg-attribute=cn,{INDEXES}");
        assert!(matches!(store.add(&cn, index_entry(&["equality"])), Err(ConfigError::Exists(_))));
        let unknown = format!("ds-cfg-attribute=nonesuch,{INDEXES}");
        let error = store.add(&unknown, index_entry(&["equality"])).unwrap_err();
        assert!(matches!(&error, ConfigError::Value(text) if text.contains("nonesuch")), "{error}");
        let seen = format!("ds-cfg-attribute=seeAlso,{INDEXES}");
        assert!(matches!(store.add(&seen, index_entry(&["quick"])), Err(ConfigError::Value(_))));
        assert!(matches!(store.add(&seen, index_entry(&[])), Err(ConfigError::ObjectClass(_))));
        let orphan = "ds-cfg-attribute=seeAlso,cn=Index,ds-cfg-backend-id=other,cn=Backends,cn=config";
        let error = store.add(orphan, index_entry(&["equality"])).unwrap_err();
        assert!(
            matches!(&error, ConfigError::NoSuchEntry { matched, .. } if matched == "cn=Backends,cn=config"),
            "{error:?}"
        );
        assert!(matches!(store.delete(&seen), Err(ConfigError::NoSuchEntry { .. })));
        store.add(&seen, index_entry(&["equality"])).unwrap();
        let kinds = || {
            let config = store.current();
            let index =
                config.data().unwrap().indexes.iter().find(|index| index.attribute == "seeAlso").cloned();
            index.map(|index| index.kinds)
        };
        assert_eq!(kinds(), Some(vec![IndexKind::Equality]));
        store.modify(&seen, &[replace("ds-cfg-index-type", "ordering")]).unwrap();
        assert_eq!(kinds(), Some(vec![IndexKind::Ordering]));
        let renamed = store.modify(&seen, &[replace("ds-cfg-attribute", "sn")]);
        assert!(matches!(renamed, Err(ConfigError::Unwilling(_))), "{renamed:?}");
        store.delete(&seen).unwrap();
        assert_eq!(kinds(), None);
    }

    #[test]
    fn refusals_name_their_reason_and_change_nothing() {
        let bench = bench(&[]);
        let before = bench.store.entries().to_ldif();
        let manager = "cn=Directory Manager,cn=Root DNs,cn=config";
        let ldap = "cn=LDAP Connection Handler,cn=Connection Handlers,cn=config";
        let table: &[(&str, ConfigChange, &str)] = &[
            ("cn=config", replace("ds-cfg-size-limit", "-1"), "ds-cfg-size-limit accepts a whole number"),
            ("cn=config", replace("ds-cfg-sizelimit", "1"), "it has ds-cfg-size-limit"),
            ("cn=config", replace("ds-cfg-listen-port", "1"), "has no ds-cfg-listen-port"),
            (
                "cn=config",
                replace("ds-cfg-default-password-policy", "cn=nobody"),
                "there is no entry cn=nobody",
            ),
            ("cn=config", replace("cn", "other"), "names cn"),
            (ldap, replace("ds-cfg-listen-port", "70000"), "from 1 to 65535"),
            (manager, replace("userPassword", "clear"), "storage scheme"),
            (manager, replace("ds-rlim-size-limit", "many"), "ds-rlim-size-limit"),
            ("cn=nowhere,cn=config", replace("cn", "x"), "does not exist"),
            ("nonsense", replace("cn", "x"), ""),
        ];
        for (dn, change, said) in table {
            let error = bench.store.modify(dn, std::slice::from_ref(change)).unwrap_err();
            assert!(error.to_string().contains(said), "{dn} {change:?}: {error}");
        }
        for dn in ["cn=config", "cn=Backends,cn=config", manager, "cn=Access Control Handler,cn=config"] {
            assert!(bench.store.delete(dn).is_err(), "{dn}");
        }
        assert_eq!(bench.store.entries().to_ldif(), before);
    }

    #[test]
    fn modifications_add_delete_and_increment() {
        let bench = bench(&[]);
        let handler = "cn=Access Control Handler,cn=config";
        let change = |operation, values: &[&str]| ConfigChange {
            operation,
            attribute: "ds-cfg-global-aci".into(),
            values: values.iter().map(|value| value.as_bytes().to_vec()).collect(),
        };
        let add = change(ModifyOperation::Add, &["(target=\"x\")"]);
        bench.store.modify(handler, std::slice::from_ref(&add)).unwrap();
        assert!(matches!(bench.store.modify(handler, &[add]), Err(ConfigError::ValueExists(_))));
        let delete = change(ModifyOperation::Delete, &["(target=\"x\")"]);
        bench.store.modify(handler, std::slice::from_ref(&delete)).unwrap();
        assert!(matches!(bench.store.modify(handler, &[delete]), Err(ConfigError::NoSuchValue(_))));
        bench.store.modify(handler, &[change(ModifyOperation::Delete, &[])]).unwrap();
        assert!(bench.store.current().access.global_acis.is_empty());
        let increment = ConfigChange {
            operation: ModifyOperation::Increment,
            attribute: "ds-cfg-size-limit".into(),
            values: vec![b"7".to_vec()],
        };
        bench.store.modify("cn=config", &[increment]).unwrap();
        assert_eq!(bench.store.current().global.size_limit, 1007);
    }

    #[test]
    fn answers_say_what_must_restart_and_what_has_no_effect() {
        let bench = bench(&[]);
        let ldap = "cn=LDAP Connection Handler,cn=Connection Handlers,cn=config";
        let applied = bench.store.modify(ldap, &[replace("ds-cfg-listen-port", "1390")]).unwrap();
        assert!(applied.diagnostic().contains("ds-cfg-listen-port takes effect when"), "{applied:?}");
        let backend = "ds-cfg-backend-id=userRoot,cn=Backends,cn=config";
        let applied = bench
            .store
            .modify(backend, &[replace("ds-cfg-db-checkpointer-wakeup-interval", "30 s")])
            .unwrap();
        assert!(applied.diagnostic().contains("no effect"), "{applied:?}");
        let live = bench.store.modify("cn=config", &[replace("ds-cfg-idle-time-limit", "2 m")]).unwrap();
        assert_eq!(live, Applied::default());
        assert_eq!(bench.store.current().global.idle_time_limit, Some(Duration::from_secs(120)));
    }

    #[test]
    fn trap_14_a_purge_delay_without_unit_is_seconds() {
        let bench = bench(&[]);
        let server =
            "cn=replication server,cn=Multimaster Synchronization,cn=Synchronization Providers,cn=config";
        let attributes = vec![
            ("objectClass".into(), vec!["top".into(), "ds-cfg-replication-server".into()]),
            ("ds-cfg-replication-port".into(), vec!["8989".into()]),
            ("ds-cfg-replication-server-id".into(), vec!["1".into()]),
        ];
        bench.store.add(server, attributes).unwrap();
        let bare = bench.store.modify(server, &[replace("ds-cfg-replication-purge-delay", "72")]).unwrap();
        assert!(bare.diagnostic().contains("counts seconds"), "{bare:?}");
        bench.store.modify(server, &[replace("ds-cfg-cts-changelog-max-size", "2 gib")]).unwrap();
        let changelog = bench.store.current().changelog;
        assert_eq!((changelog.purge_delay, changelog.max_size), (Duration::from_secs(72), Some(2 << 30)));
    }

    #[test]
    fn hooks_check_apply_and_roll_back() {
        let bench = bench(&[]);
        let store = &bench.store;
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        store.on_change(Box::new(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }));
        store.on_check(Box::new(|config| match config.global.size_limit {
            13 => Err(LdapResult::new(ResultCode::INVALID_ATTRIBUTE_SYNTAX, "checked")),
            _ => Ok(()),
        }));
        store.on_change(Box::new(|old, new| {
            assert_ne!(old.global.size_limit, new.global.size_limit);
            match new.global.size_limit {
                14 => Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, "applied")),
                _ => Ok(()),
            }
        }));
        let before = std::fs::read(store.instance().config_file()).unwrap();
        let refused = store.modify("cn=config", &[replace("ds-cfg-size-limit", "13")]).unwrap_err();
        assert_eq!((refused.to_string().as_str(), calls.load(Ordering::SeqCst)), ("checked", 0));
        let refused = store.modify("cn=config", &[replace("ds-cfg-size-limit", "14")]).unwrap_err();
        assert_eq!((refused.to_string().as_str(), calls.load(Ordering::SeqCst)), ("applied", 2));
        assert_eq!(std::fs::read(store.instance().config_file()).unwrap(), before);
        assert_eq!(store.current().global.size_limit, 1000);
        store.modify("cn=config", &[replace("ds-cfg-size-limit", "15")]).unwrap();
        assert_eq!((store.current().global.size_limit, calls.load(Ordering::SeqCst)), (15, 3));
    }
}
