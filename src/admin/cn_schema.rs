//! `cn=schema`: the subschema entry (RFC 4512 §4.2), and its edits as features.md §3 wants them.

use std::sync::{Arc, Mutex, PoisonError};

use super::{require, unwilling};
use crate::access::{Privilege, Requester};
use crate::config::ConfigStore;
use crate::entry::{CompiledFilter, EntryBuilder, NoContext, StoredEntry, Tri};
use crate::operation::made;
use crate::operation::{Directory, VirtualBackend, outcome};
use crate::protocol::filter::{Assertion, Filter};
use crate::protocol::message::{AddRequest, ModifyOperation, ModifyRequest, Scope};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{ElementKind, NormalizedDn, Schema, SchemaChange, SchemaEdit};

/// Called after an edit is in force: brings in line what holds keys made under the old schema.
pub type SchemaHook = Box<dyn Fn(&SchemaChange) + Send + Sync>;

/// The schema an entry was made from, and the entry.
type Cached = (Arc<Schema>, Arc<StoredEntry>);

/// The subschema entry.
pub struct CnSchema {
    config: Arc<ConfigStore>,
    key: NormalizedDn,
    cached: Mutex<Option<Cached>>,
    hooks: Mutex<Vec<SchemaHook>>,
}

impl std::fmt::Debug for CnSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CnSchema").finish_non_exhaustive()
    }
}

impl CnSchema {
    /// The subschema entry; `config` says which attributes are indexed.
    pub fn new(config: Arc<ConfigStore>, schema: &Schema) -> Self {
        // The text is a DN; the fallback is never taken.
        let key = NormalizedDn::parse("cn=schema", schema).unwrap_or_else(|_| NormalizedDn::root());
        Self { config, key, cached: Mutex::default(), hooks: Mutex::default() }
    }

    /// Adds a hook for edits.
    pub fn on_edit(&self, hook: SchemaHook) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    /// The entry of the schema in force; made anew only after an edit.
    pub fn entry(&self, directory: &Directory) -> Arc<StoredEntry> {
        let schema = directory.schema.current();
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, entry)) = cached.as_ref().filter(|(of, _)| Arc::ptr_eq(of, &schema)) {
            return entry.clone();
        }
        let builder = subschema(&schema);
        let entry = made("cn=schema", &self.key, &builder);
        *cached = Some((schema, entry.clone()));
        entry
    }

    fn edit(
        &self,
        directory: &Directory,
        who: &Requester,
        request: &ModifyRequest<'_>,
    ) -> Result<(), LdapResult> {
        require(who, Privilege::UpdateSchema, "changing the schema")?;
        self.names_schema(directory, request.dn)?;
        let entry = self.entry(directory);
        let access = directory.access.current();
        let mut edits = Vec::new();
        for change in request.changes {
            let name = change.attribute.description;
            let sent = change.attribute.values.iter();
            if !access.may_modify(who, &entry, &self.key, change.operation, name, sent) {
                return Err(LdapResult::with(
                    ResultCode::INSUFFICIENT_ACCESS_RIGHTS,
                    format!("no ACI lets the requester write {name} of cn=schema"),
                ));
            }
            let kind = kind_of(name).ok_or_else(|| {
                let text =
                    format!("{name} of cn=schema cannot be changed; definitions can be added and deleted");
                LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, text)
            })?;
            let mut texts = Vec::new();
            for value in change.attribute.values {
                let text = std::str::from_utf8(value).map_err(|_| {
                    let text = format!("a value of {name} is not UTF-8");
                    LdapResult::with(ResultCode::INVALID_ATTRIBUTE_SYNTAX, text)
                })?;
                texts.push(text.to_owned());
            }
            match change.operation {
                _ if texts.is_empty() => {
                    let text = format!("{name} needs the definitions to add or delete, one a value");
                    return Err(LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, text));
                }
                ModifyOperation::Add => {
                    edits.extend(texts.into_iter().map(|text| SchemaEdit::Add(kind, text)))
                }
                ModifyOperation::Delete => {
                    edits.extend(texts.into_iter().map(|text| SchemaEdit::Delete(kind, text)));
                }
                ModifyOperation::Replace | ModifyOperation::Increment => {
                    return Err(unwilling(
                        "definitions are added and deleted; they cannot be replaced as a whole",
                    ));
                }
            }
        }
        let old = directory.schema.current();
        let change = directory
            .schema
            .edit(&edits, &|oid| self.user_of(directory, &old, oid))
            .map_err(|error| outcome::schema_error(&error))?;
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        directory.access.set_schema(&directory.schema.current());
        for hook in hooks.iter() {
            hook(&change);
        }
        Ok(())
    }

    /// Refuses (32) names below `cn=schema`.
    fn names_schema(&self, directory: &Directory, dn: &str) -> Result<(), LdapResult> {
        let key = NormalizedDn::parse(dn, &directory.schema.current());
        if key.is_ok_and(|key| key == self.key) {
            return Ok(());
        }
        Err(LdapResult::new(ResultCode::NO_SUCH_OBJECT, "there is nothing below cn=schema")
            .matched("cn=schema".to_owned()))
    }

    /// Who needs a definition that is about to go: an index for an attribute type, an entry for an object class.
    fn user_of(&self, directory: &Directory, schema: &Schema, oid: &str) -> Option<String> {
        if let Some(attribute) = schema.attribute(oid) {
            let config = self.config.load();
            let indexes = config.backends.iter().flat_map(|backend| &backend.indexes);
            let is_indexed = indexes.into_iter().any(|index| index.attribute == attribute.name());
            return is_indexed.then(|| format!("the index of {}", attribute.name()));
        }
        let class = schema.object_class(oid)?;
        let assertion = Assertion { attribute: "objectClass".into(), value: class.name().as_bytes().into() };
        let filter = Arc::new(CompiledFilter::compile(&Filter::Equality(assertion), schema));
        let holds = |entry: &StoredEntry| filter.evaluate_with(entry, &NoContext) == Tri::True;
        for (_, base) in directory.store.suffixes() {
            let query = crate::backend::Query { base, scope: Scope::Subtree, filter: filter.clone() };
            let Ok(Some(mut candidates)) = directory.store.open(&query, None) else { continue };
            let mut found = Vec::new();
            loop {
                found.clear();
                let goes_on = candidates.next(1000, &mut found).unwrap_or(false);
                if found.iter().any(|candidate| holds(&candidate.entry)) {
                    return Some(format!("an entry of class {}", class.name()));
                }
                if !goes_on {
                    break;
                }
            }
        }
        None
    }
}

/// The content of `cn=schema`.
fn subschema(schema: &Schema) -> EntryBuilder {
    let mut builder = EntryBuilder::new();
    for class in ["top", "ldapSubentry", "subschema"] {
        builder.put("objectClass", class, schema);
    }
    builder.put("cn", "schema", schema);
    for kind in ElementKind::ALL {
        for text in schema.texts(kind) {
            builder.put(kind.attribute(), text, schema);
        }
    }
    builder
}

fn kind_of(attribute: &str) -> Option<ElementKind> {
    ElementKind::ALL.into_iter().find(|kind| kind.attribute().eq_ignore_ascii_case(attribute))
}

impl VirtualBackend for CnSchema {
    fn suffix(&self) -> (&str, &NormalizedDn) {
        ("cn=schema", &self.key)
    }

    fn entries(
        &self,
        directory: &Directory,
        _who: &Requester,
    ) -> Result<Vec<(NormalizedDn, Arc<StoredEntry>)>, LdapResult> {
        Ok(vec![(self.key.clone(), self.entry(directory))])
    }

    fn add(&self, _: &Directory, _: &Requester, _: &AddRequest<'_>) -> LdapResult {
        unwilling("entries cannot be added at or below cn=schema; modify cn=schema")
    }

    fn modify(&self, directory: &Directory, who: &Requester, request: &ModifyRequest<'_>) -> LdapResult {
        self.edit(directory, who, request).map_or_else(|refusal| refusal, |()| LdapResult::success())
    }

    fn delete(&self, _: &Directory, _: &Requester, _: &NormalizedDn) -> LdapResult {
        unwilling("cn=schema cannot be deleted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaStore;

    #[test]
    fn the_subschema_entry_holds_every_definition() {
        let schema = SchemaStore::builtin(true).current();
        let builder = subschema(&schema);
        for kind in ElementKind::ALL {
            assert_eq!(builder.values(kind.attribute()).count(), schema.texts(kind).len(), "{kind:?}");
        }
        let (user, operational) = builder.encode();
        assert!(user.len() < 200 && operational.len() > 100_000, "definitions are operational");
    }

    #[test]
    fn attributes_of_definitions_are_known_in_any_case() {
        assert_eq!(kind_of("objectclasses"), Some(ElementKind::ObjectClasses));
        assert_eq!(kind_of("attributeTypes"), Some(ElementKind::AttributeTypes));
        assert_eq!(kind_of("cn"), None);
    }
}
