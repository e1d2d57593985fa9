//! Looking after the store and the schema: dropping what the log no longer needs, taking up schema files.

use std::sync::Arc;

use crate::access::Privilege;
use crate::backend::DataStore;
use crate::ldif::{LdifChange, LdifReader};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{ElementKind, SchemaEdit};
use crate::task::class::{Class, Context, Done, Handle, Source, Work};

fn unwilling(text: String) -> LdapResult {
    LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, text)
}

struct Purge(Arc<DataStore>);

/// Ours: one round of the purge, now.
pub(super) fn purge() -> Class {
    Class::new(&["ds-task-purge"], &[Privilege::ConfigWrite], |source| {
        Ok(Box::new(Purge(Arc::clone(&source.context.backend))))
    })
}

impl Work for Purge {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let purged = self.0.current().purge().map_err(|error| error.to_string())?;
        handle.say(format!("purged segments={} octets={}", purged.segments, purged.octets));
        Ok(Done::Successfully)
    }
}

struct PurgeHistorical;

/// `PurgeConflictsHistoricalTask`: entries carry nothing of that kind.
pub(super) fn purge_historical() -> Class {
    Class::new(&["PurgeConflictsHistoricalTask"], &[Privilege::ConfigWrite], |source| {
        source.required("ds-task-purge-conflicts-historical-domain-dn")?;
        source.base_dns("ds-task-purge-conflicts-historical-domain-dn")?;
        Ok(Box::new(PurgeHistorical))
    })
}

impl Work for PurgeHistorical {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        handle
            .say("purged values=0: entries keep no history; the log keeps it, and ds-task-purge purges that");
        Ok(Done::Successfully)
    }
}

struct AddSchemaFiles {
    context: Arc<Context>,
    names: Vec<String>,
    edits: Vec<SchemaEdit>,
}

/// `AddSchemaFileTask`: definitions of files that lie in `config/schema` already.
pub(super) fn add_schema_files() -> Class {
    Class::new(&["AddSchemaFileTask"], &[Privilege::UpdateSchema], |source| {
        source.required("ds-task-schema-file-name")?;
        let names = source.all("ds-task-schema-file-name");
        let mut edits = Vec::new();
        for name in &names {
            definitions(source, name, &mut edits)?;
        }
        Ok(Box::new(AddSchemaFiles { context: Arc::clone(source.context), names, edits }))
    })
}

/// The definitions of a file, each marked with it, so that they stay there.
fn definitions(source: &Source<'_>, name: &str, edits: &mut Vec<SchemaEdit>) -> Result<(), LdapResult> {
    let is_plain = name.ends_with(".ldif") && !name.contains(['/', '\\', '\'']) && !name.starts_with('.');
    if !is_plain {
        return Err(unwilling(format!(
            "ds-task-schema-file-name: \"{name}\" is no name of a file in config/schema (NAME.ldif)"
        )));
    }
    let path = source.context.instance.schema_directory().join(name);
    let text = std::fs::read(&path).map_err(|error| unwilling(format!("{}: {error}", path.display())))?;
    let fault = |line: u64, why: String| unwilling(format!("{name} line {line}: {why}"));
    for record in LdifReader::new(text.as_slice()) {
        let record = record.map_err(|error| fault(error.line(), error.to_string()))?;
        let (LdifChange::Entry(attributes) | LdifChange::Add(attributes)) = record.change else {
            return Err(fault(record.line, "a schema file holds the entry cn=schema, no changes".to_owned()));
        };
        for attribute in attributes {
            let Some(kind) = ElementKind::by_attribute(&attribute.description) else { continue };
            for value in attribute.values {
                let text = String::from_utf8_lossy(&value).trim().to_owned();
                let marked = match text.strip_suffix(')') {
                    Some(inside) if !text.contains("X-SCHEMA-FILE") => {
                        format!("{inside} X-SCHEMA-FILE '{name}' )")
                    }
                    _ => text,
                };
                edits.push(SchemaEdit::Add(kind, marked));
            }
        }
    }
    Ok(())
}

impl Work for AddSchemaFiles {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let directory = self.context.directory().ok_or("the server is gone")?;
        directory.schema.edit(&self.edits, &|_| None).map_err(|error| error.to_string())?;
        directory.access.set_schema(&directory.schema.current());
        handle.say(format!("taken definitions={}: {}", self.edits.len(), self.names.join(" ")));
        Ok(Done::Successfully)
    }
}
