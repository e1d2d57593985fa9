//! `cn=config` over LDAP: read with `config-read`, written with `config-write`, both under the ACIs besides.

use std::sync::{Arc, Mutex, PoisonError};

use super::require;
use crate::access::{AccessSet, Privilege, Requester, Right};
use crate::auth::{Scheme, Secret, os_random, scheme};
use crate::config::{Applied, ConfigChange, ConfigError, ConfigStore, ConfigTree};
use crate::entry::{EntryBuilder, StoredEntry};
use crate::operation::made;
use crate::operation::{Directory, VirtualBackend};
use crate::protocol::message::{AddRequest, ModifyOperation, ModifyRequest};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

/// What entries were made from, and the entries.
type Cached = (Arc<ConfigTree>, Arc<Schema>, Vec<(NormalizedDn, Arc<StoredEntry>)>);

/// The configuration suffix.
#[derive(Debug)]
pub struct CnConfig {
    config: Arc<ConfigStore>,
    key: NormalizedDn,
    cached: Mutex<Option<Cached>>,
}

impl CnConfig {
    /// The suffix that shows and changes this configuration.
    pub fn new(config: Arc<ConfigStore>, schema: &Schema) -> Self {
        // The text is a DN; the fallback is never taken.
        let key = NormalizedDn::parse("cn=config", schema).unwrap_or_else(|_| NormalizedDn::root());
        Self { config, key, cached: Mutex::default() }
    }

    fn made(&self, directory: &Directory) -> Vec<(NormalizedDn, Arc<StoredEntry>)> {
        let tree = self.config.entries();
        let schema = directory.schema.current();
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh =
            cached.as_ref().filter(|(of, under, _)| Arc::ptr_eq(of, &tree) && Arc::ptr_eq(under, &schema));
        if let Some((_, _, entries)) = fresh {
            return entries.clone();
        }
        let mut entries = Vec::new();
        for (key, entry) in tree.iter() {
            let mut builder = EntryBuilder::new();
            for (name, values) in entry.attributes() {
                for value in values {
                    builder.put(name, value, &schema);
                }
            }
            builder.complete_classes(&schema);
            entries.push((key.clone(), made(entry.dn(), key, &builder)));
        }
        *cached = Some((tree, schema, entries.clone()));
        entries
    }

    /// New password values in the form of the root policy's storage scheme; encoded ones only where it lets them pass.
    fn encode(&self, values: &mut [Vec<u8>]) -> Result<(), LdapResult> {
        let config = self.config.current();
        let policy = config.default_password_policy();
        let named =
            policy.and_then(|policy| policy.default_schemes.iter().find_map(|name| Scheme::by_name(name)));
        for value in values {
            if scheme::is_encoded(value) {
                if policy.is_some_and(|policy| policy.allow_pre_encoded_passwords) {
                    continue;
                }
                return Err(LdapResult::new(
                    ResultCode::CONSTRAINT_VIOLATION,
                    "userPassword: give the password itself; the policy does not allow encoded ones",
                ));
            }
            if value.is_empty() {
                return Err(LdapResult::new(
                    ResultCode::CONSTRAINT_VIOLATION,
                    "userPassword: a password must not be empty",
                ));
            }
            let clear = Secret::new(std::mem::take(value));
            let encoded = scheme::encode(named.unwrap_or(Scheme::Pbkdf2HmacSha256), &clear, &mut os_random);
            *value = encoded.map_err(|error| LdapResult::with(ResultCode::OTHER, error.to_string()))?;
        }
        Ok(())
    }

    /// A clear password to delete stands for the stored value that it matches.
    fn stored_password(&self, key: &NormalizedDn, value: Vec<u8>) -> Vec<u8> {
        let tree = self.config.entries();
        let stored = tree.get(key).map(|entry| entry.values("userPassword")).unwrap_or_default();
        stored.iter().find(|candidate| scheme::verify(candidate, &value)).cloned().unwrap_or(value)
    }

    fn try_add(
        &self,
        directory: &Directory,
        who: &Requester,
        request: &AddRequest<'_>,
    ) -> Result<Applied, LdapResult> {
        require(who, Privilege::ConfigWrite, "changing the configuration")?;
        let schema = directory.schema.current();
        let key = parse(request.dn, &schema)?;
        if !directory.access.current().may_entry(who, Right::Add, None, &key) {
            return Err(denied("add this entry"));
        }
        let mut attributes = Vec::new();
        for attribute in request.attributes {
            need_privilege(who, attribute.description)?;
            let mut values: Vec<Vec<u8>> = attribute.values.iter().map(<[u8]>::to_vec).collect();
            if is_password(attribute.description) {
                self.encode(&mut values)?;
            }
            attributes.push((attribute.description.to_owned(), values));
        }
        self.config.add(request.dn, attributes).map_err(refusal)
    }

    fn try_modify(
        &self,
        directory: &Directory,
        who: &Requester,
        request: &ModifyRequest<'_>,
    ) -> Result<Applied, LdapResult> {
        require(who, Privilege::ConfigWrite, "changing the configuration")?;
        let schema = directory.schema.current();
        let key = parse(request.dn, &schema)?;
        let entries = self.made(directory);
        let Some((_, entry)) = entries.iter().find(|(candidate, _)| *candidate == key) else {
            let matched = self.config.entries().deepest(&key);
            return Err(
                LdapResult::new(ResultCode::NO_SUCH_OBJECT, "there is no such entry").matched(matched)
            );
        };
        let access = directory.access.current();
        let mut changes = Vec::new();
        for change in request.changes {
            let name = change.attribute.description;
            need_privilege(who, name)?;
            let sent = change.attribute.values.iter();
            if !access.may_modify(who, entry, &key, change.operation, name, sent) {
                return Err(denied("write this attribute"));
            }
            let mut values: Vec<Vec<u8>> = change.attribute.values.iter().map(<[u8]>::to_vec).collect();
            if is_password(name) {
                if change.operation == ModifyOperation::Delete {
                    values = values.into_iter().map(|value| self.stored_password(&key, value)).collect();
                } else {
                    self.encode(&mut values)?;
                }
            }
            changes.push(ConfigChange { operation: change.operation, attribute: name.to_owned(), values });
        }
        self.config.modify(request.dn, &changes).map_err(refusal)
    }

    fn try_delete(
        &self,
        directory: &Directory,
        who: &Requester,
        key: &NormalizedDn,
    ) -> Result<Applied, LdapResult> {
        require(who, Privilege::ConfigWrite, "changing the configuration")?;
        let tree = self.config.entries();
        let Some(entry) = tree.get(key) else {
            return Err(LdapResult::new(ResultCode::NO_SUCH_OBJECT, "there is no such entry")
                .matched(tree.deepest(key)));
        };
        let access: Arc<AccessSet> = directory.access.current();
        let made = self.made(directory);
        let made = made.iter().find(|(candidate, _)| candidate == key).map(|(_, entry)| entry.as_ref());
        if !access.may_entry(who, Right::Delete, made, key) {
            return Err(denied("delete this entry"));
        }
        self.config.delete(entry.dn()).map_err(refusal)
    }
}

fn parse(dn: &str, schema: &Schema) -> Result<NormalizedDn, LdapResult> {
    NormalizedDn::parse(dn, schema).map_err(|error| {
        LdapResult::with(ResultCode::INVALID_DN_SYNTAX, format!("the DN does not parse: {error}"))
    })
}

fn is_password(description: &str) -> bool {
    description.eq_ignore_ascii_case("userPassword") || description == "2.5.4.35"
}

fn denied(what: &str) -> LdapResult {
    LdapResult::with(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, format!("no ACI lets the requester {what}"))
}

/// Some attributes take a privilege of their own.
fn need_privilege(who: &Requester, attribute: &str) -> Result<(), LdapResult> {
    match AccessSet::privilege_for(attribute) {
        Some(privilege) => require(who, privilege, "writing this attribute"),
        None => Ok(()),
    }
}

fn refusal(error: ConfigError) -> LdapResult {
    let code = match &error {
        ConfigError::Refused(result) => return result.clone(),
        ConfigError::NoSuchEntry { .. } => ResultCode::NO_SUCH_OBJECT,
        ConfigError::Exists(_) => ResultCode::ENTRY_ALREADY_EXISTS,
        ConfigError::NotLeaf(_) => ResultCode::NOT_ALLOWED_ON_NON_LEAF,
        ConfigError::Value(_) => ResultCode::CONSTRAINT_VIOLATION,
        ConfigError::Syntax(_) => ResultCode::INVALID_ATTRIBUTE_SYNTAX,
        ConfigError::UndefinedAttribute(_) => ResultCode::UNDEFINED_ATTRIBUTE_TYPE,
        ConfigError::NoSuchValue(_) => ResultCode::NO_SUCH_ATTRIBUTE,
        ConfigError::ValueExists(_) => ResultCode::ATTRIBUTE_OR_VALUE_EXISTS,
        ConfigError::ObjectClass(_) => ResultCode::OBJECT_CLASS_VIOLATION,
        ConfigError::Naming(_) => ResultCode::NAMING_VIOLATION,
        ConfigError::Dn(_) => ResultCode::INVALID_DN_SYNTAX,
        ConfigError::Unwilling(_) => ResultCode::UNWILLING_TO_PERFORM,
        _ => {
            tracing::error!(%error, "the configuration cannot be kept");
            ResultCode::OTHER
        }
    };
    let result = LdapResult::with(code, error.to_string());
    match error {
        ConfigError::NoSuchEntry { matched, .. } => result.matched(matched),
        _ => result,
    }
}

fn answer(outcome: Result<Applied, LdapResult>) -> LdapResult {
    match outcome {
        Ok(applied) => LdapResult::with(ResultCode::SUCCESS, applied.diagnostic()),
        Err(refusal) => refusal,
    }
}

impl VirtualBackend for CnConfig {
    fn suffix(&self) -> (&str, &NormalizedDn) {
        ("cn=config", &self.key)
    }

    fn entries(
        &self,
        directory: &Directory,
        who: &Requester,
    ) -> Result<Vec<(NormalizedDn, Arc<StoredEntry>)>, LdapResult> {
        require(who, Privilege::ConfigRead, "reading the configuration")?;
        Ok(self.made(directory))
    }

    fn add(&self, directory: &Directory, who: &Requester, request: &AddRequest<'_>) -> LdapResult {
        answer(self.try_add(directory, who, request))
    }

    fn modify(&self, directory: &Directory, who: &Requester, request: &ModifyRequest<'_>) -> LdapResult {
        answer(self.try_modify(directory, who, request))
    }

    fn delete(&self, directory: &Directory, who: &Requester, dn: &NormalizedDn) -> LdapResult {
        answer(self.try_delete(directory, who, dn))
    }
}
