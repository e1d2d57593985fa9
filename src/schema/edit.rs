//! Edits of `cn=schema` (features.md §3): ordered, atomic, giving a new [`Schema`].

use std::collections::BTreeSet;
use std::sync::Arc;

use super::definition::{Definition, ElementKind};
use super::{Schema, SchemaError, TypeId};

/// The file that holds what clients add.
pub const USER_FILE: &str = "99-user.ldif";

/// Files whose elements the server itself lives by: not to be deleted, nor changed in what they mean.
const SERVER_FILES: [&str; 2] = ["00-core.ldif", "02-config.ldif"];

/// One step of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaEdit {
    /// Adds the definition, or replaces the one of the same OID.
    Add(ElementKind, String),
    /// Deletes the element; `( OID )` alone suffices.
    Delete(ElementKind, String),
}

/// What an edit did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SchemaChange {
    /// OIDs of elements that are gone.
    pub deleted: Vec<String>,
    /// Attribute types whose syntax or matching rules are others now: indexes on them hold stale keys.
    pub reinterpreted: Vec<TypeId>,
    /// Files whose content changed; empty if the edit changed nothing.
    pub files: BTreeSet<String>,
}

impl Schema {
    /// The schema after these steps, in order, and what they did; or why none of them is done.
    ///
    /// Steps see each other's effects; references are followed only after the last. `in_use` names the user of
    /// an OID that must not go, if there is one.
    pub fn edited(
        &self,
        edits: &[SchemaEdit],
        in_use: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, SchemaChange), SchemaError> {
        let mut definitions = self.definitions.clone();
        let mut change = SchemaChange::default();
        let mut gone: Vec<Arc<Definition>> = Vec::new();
        for edit in edits {
            match edit {
                SchemaEdit::Add(kind, text) => add(&mut definitions, &mut gone, &mut change, *kind, text)?,
                SchemaEdit::Delete(kind, text) => {
                    let oid = parse(*kind, text, Definition::parse_for_deletion)?.oid;
                    let Some(at) = place_of(&definitions, *kind, &oid) else {
                        let reason = format!("there is no {} {oid} to delete", kind.noun());
                        return Err(SchemaError::Unwilling(reason));
                    };
                    let definition = definitions.remove(at);
                    change.files.insert(file_of(&definition).to_owned());
                    gone.push(definition);
                }
            }
        }
        for definition in &gone {
            refuse_deletion(definition, in_use)?;
        }
        let schema = Self::resolve(definitions, self.ids.clone()).map_err(|error| {
            // A reference to something deleted just now is the deletion's fault.
            let is_of_deleted = error.missing.as_ref().is_some_and(|missing| {
                gone.iter().any(|definition| {
                    definition.oid.eq_ignore_ascii_case(missing)
                        || definition.names.iter().any(|name| name.eq_ignore_ascii_case(missing))
                })
            });
            if is_of_deleted {
                SchemaError::Unwilling(format!("{}; what others refer to cannot be deleted", error.message))
            } else {
                error.into()
            }
        })?;
        change.deleted = gone.iter().map(|definition| definition.oid.clone()).collect();
        change.reinterpreted = self.reinterpreted(&schema)?;
        if self.definitions == schema.definitions {
            change.files.clear();
        }
        Ok((schema, change))
    }

    /// Attribute types that mean something else in `next`; fails if the server itself lives by one of them.
    fn reinterpreted(&self, next: &Self) -> Result<Vec<TypeId>, SchemaError> {
        let mut changed = Vec::new();
        for old in self.attributes() {
            let Some(new) = next.attribute_by_id(old.id) else { continue };
            if (old.syntax, old.equality, old.ordering, old.substring)
                == (new.syntax, new.equality, new.ordering, new.substring)
                && (old.usage, old.no_user_modification) == (new.usage, new.no_user_modification)
            {
                continue;
            }
            let is_servers = self
                .definition(ElementKind::AttributeTypes, &old.oid)
                .is_some_and(|definition| SERVER_FILES.contains(&file_of(definition)));
            if is_servers {
                let reason =
                    format!("{}: the server itself relies on its syntax, rules and usage", old.name());
                return Err(SchemaError::Unwilling(reason));
            }
            changed.push(old.id);
        }
        Ok(changed)
    }
}

fn parse(
    kind: ElementKind,
    text: &str,
    parser: impl Fn(ElementKind, &str) -> Result<Definition, super::definition::DefinitionError>,
) -> Result<Definition, SchemaError> {
    if kind == ElementKind::MatchingRules {
        let reason = "matching rules are built in: none can be added or deleted".to_owned();
        return Err(SchemaError::Unwilling(reason));
    }
    parser(kind, text).map_err(|error| SchemaError::Definition(format!("{}: {error}", kind.attribute())))
}

fn add(
    definitions: &mut Vec<Arc<Definition>>,
    gone: &mut Vec<Arc<Definition>>,
    change: &mut SchemaChange,
    kind: ElementKind,
    text: &str,
) -> Result<(), SchemaError> {
    let mut definition = parse(kind, text, Definition::parse)?;
    if let Some(file) = definition.file.as_ref().filter(|file| !is_file_name(file)) {
        return Err(SchemaError::Definition(format!("X-SCHEMA-FILE: {file:?} is no name of a schema file")));
    }
    let at = place_of(definitions, kind, &definition.oid);
    // Re-adding what this edit deleted puts it back where it was.
    let former = match at.and_then(|at| definitions.get(at)) {
        Some(former) => Some(Arc::clone(former)),
        None => {
            let is_same =
                |old: &Arc<Definition>| old.kind() == kind && old.oid.eq_ignore_ascii_case(&definition.oid);
            let at = gone.iter().position(is_same);
            at.map(|at| gone.remove(at))
        }
    };
    let former_file = former.as_ref().map(|former| file_of(former).to_owned());
    if let Some(file) = &former_file {
        change.files.insert(file.clone());
    }
    let file = definition.file.take().or(former_file).unwrap_or_else(|| USER_FILE.to_owned());
    change.files.insert(file.clone());
    definition.file = Some(file);
    match at.and_then(|at| definitions.get_mut(at)) {
        Some(place) => *place = Arc::new(definition),
        None => definitions.push(Arc::new(definition)),
    }
    Ok(())
}

fn place_of(definitions: &[Arc<Definition>], kind: ElementKind, oid: &str) -> Option<usize> {
    definitions.iter().position(|other| other.kind() == kind && other.oid.eq_ignore_ascii_case(oid))
}

/// The file that holds this definition.
pub(super) fn file_of(definition: &Definition) -> &str {
    definition.file.as_deref().unwrap_or(USER_FILE)
}

/// A plain name that ends in `.ldif`; nothing that leads out of the directory.
pub(super) fn is_file_name(name: &str) -> bool {
    name.len() < 128
        && name
            .strip_suffix(".ldif")
            .is_some_and(|stem| stem.starts_with(|c: char| c.is_ascii_alphanumeric()))
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
}

fn refuse_deletion(
    definition: &Definition,
    in_use: &dyn Fn(&str) -> Option<String>,
) -> Result<(), SchemaError> {
    let name = definition.name();
    let noun = definition.kind().noun();
    if SERVER_FILES.contains(&file_of(definition)) {
        return Err(SchemaError::Unwilling(format!("{noun} {name} is one that the server itself relies on")));
    }
    match in_use(&definition.oid) {
        Some(user) => Err(SchemaError::Unwilling(format!("{noun} {name} is in use by {user}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldif::{LdifChange, LdifReader, ModificationKind};
    use crate::schema::{AttributeType, SchemaStore};
    use ElementKind::{AttributeTypes, ObjectClasses};

    fn edit(schema: &Schema, edits: &[SchemaEdit]) -> Result<(Schema, SchemaChange), SchemaError> {
        schema.edited(edits, &|_| None)
    }

    fn add_attribute(text: &str) -> SchemaEdit {
        SchemaEdit::Add(AttributeTypes, text.into())
    }

    const NEW: &str = "( 1.2.3.4 NAME 'myAttr' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORIGIN 'us' )";
    const CLASS: &str = "( 1.2.3.5 NAME 'myClass' SUP top AUXILIARY MAY myAttr )";

    #[test]
    fn adds_replaces_and_deletes() {
        let old = SchemaStore::builtin(false).current();
        let class = SchemaEdit::Add(ObjectClasses, CLASS.into());
        let (schema, change) = edit(&old, &[add_attribute(NEW), class]).unwrap();
        assert_eq!(change.files.into_iter().collect::<Vec<_>>(), [USER_FILE]);
        assert!(schema.object_class("myClass").is_some() && old.attribute("myAttr").is_none());
        let id = schema.attribute("MYATTR").unwrap().id;

        let renamed = NEW.replace("'myAttr'", "( 'mine' 'myAttr' )").replace("1.15", "1.27");
        let (schema, change) = edit(&schema, &[add_attribute(&renamed)]).unwrap();
        assert_eq!(schema.attribute("myAttr").unwrap().name(), "mine");
        assert_eq!(schema.attribute("mine").unwrap().id, id);
        assert_eq!(change.reinterpreted, [id]);

        let (schema, change) = edit(&schema, &[add_attribute(&renamed)]).unwrap();
        assert!(change.files.is_empty() && change.reinterpreted.is_empty());

        let delete = [
            SchemaEdit::Delete(ObjectClasses, "( 1.2.3.5 )".into()),
            SchemaEdit::Delete(AttributeTypes, renamed.clone()),
        ];
        let (schema, change) = edit(&schema, &delete).unwrap();
        assert_eq!(change.deleted, ["1.2.3.5", "1.2.3.4"]);
        assert!(schema.attribute("mine").is_none() && schema.attribute_by_id(id).is_none());
        let (schema, _) = edit(&schema, &[add_attribute(NEW)]).unwrap();
        assert_eq!(schema.attribute("myAttr").unwrap().id, id);
    }

    #[test]
    fn deletes_with_dependants_only_if_re_added() {
        let old = SchemaStore::builtin(true).current();
        let token = "1.3.6.1.4.1.36733.2.2.2.27";
        let text = old.definition(ObjectClasses, "frCoreToken").unwrap().to_string();
        let delete = SchemaEdit::Delete(ObjectClasses, format!("( {token} )"));
        let more = text.replace("MAY (", "MAY ( cn $");
        let (schema, change) = edit(&old, &[delete.clone(), SchemaEdit::Add(ObjectClasses, more)]).unwrap();
        let class = schema.object_class("frCoreToken").unwrap();
        assert!(class.may.contains(&schema.attribute("cn").unwrap().id));
        assert_eq!(change.files.into_iter().collect::<Vec<_>>(), ["10-cts.ldif"]);
        assert!(change.deleted.is_empty());

        let id = SchemaEdit::Delete(AttributeTypes, "( 1.3.6.1.4.1.36733.2.2.1.96 )".into());
        let refused = edit(&old, std::slice::from_ref(&id)).unwrap_err();
        assert!(
            matches!(&refused, SchemaError::Unwilling(reason)
            if reason.contains("coreTokenId") && reason.contains("frCoreToken")),
            "{refused}"
        );
        assert!(edit(&old, &[delete, id]).is_ok());
    }

    #[test]
    fn refusals_say_why() {
        let old = SchemaStore::builtin(false).current();
        let unknown_class = SchemaEdit::Add(ObjectClasses, CLASS.into());
        let error = edit(&old, &[unknown_class]).unwrap_err();
        assert!(matches!(&error, SchemaError::Reference(reason) if reason.contains("myAttr")), "{error}");
        let circle = [add_attribute("( 1.2.3 NAME 'a' SUP b )"), add_attribute("( 1.2.4 NAME 'b' SUP a )")];
        assert!(
            matches!(edit(&old, &circle), Err(SchemaError::Reference(reason)) if reason.contains("circle"))
        );
        let clash = add_attribute(&NEW.replace("myAttr", "CN"));
        assert!(
            matches!(edit(&old, &[clash]), Err(SchemaError::Reference(reason)) if reason.contains("2.5.4.3"))
        );
        let broken = add_attribute("( 1.2.3 NAME a )");
        assert!(matches!(edit(&old, &[broken]), Err(SchemaError::Definition(_))));
        let absent = SchemaEdit::Delete(AttributeTypes, "( 1.2.3.4.5.6 )".into());
        assert!(matches!(edit(&old, &[absent]), Err(SchemaError::Unwilling(_))));
        let core = SchemaEdit::Delete(ObjectClasses, "( 0.9.2342.19200300.100.4.5 )".into());
        assert!(matches!(edit(&old, &[core]), Err(SchemaError::Unwilling(_))));
        let rule = SchemaEdit::Add(ElementKind::MatchingRules, "( 1.2.3 NAME 'm' SYNTAX 1.2 )".into());
        assert!(matches!(edit(&old, &[rule]), Err(SchemaError::Unwilling(_))));
        let escape = add_attribute(&NEW.replace("X-ORIGIN 'us'", "X-SCHEMA-FILE '../x.ldif'"));
        assert!(matches!(edit(&old, &[escape]), Err(SchemaError::Definition(_))));
        let entry_uuid = old.definition(AttributeTypes, "entryUUID").unwrap().to_string();
        let other = add_attribute(&entry_uuid.replace("1.3.6.1.1.16.1", "1.3.6.1.4.1.1466.115.121.1.15"));
        assert!(matches!(edit(&old, &[other]), Err(SchemaError::Unwilling(_))));

        let (schema, _) = edit(&old, &[add_attribute(NEW)]).unwrap();
        let delete = SchemaEdit::Delete(AttributeTypes, "( 1.2.3.4 )".into());
        let used = schema.edited(&[delete], &|oid| (oid == "1.2.3.4").then(|| "an index".into()));
        assert!(matches!(used, Err(SchemaError::Unwilling(reason)) if reason.contains("an index")));
    }

    #[test]
    fn all_or_nothing() {
        let old = SchemaStore::builtin(false).current();
        assert!(edit(&old, &[add_attribute(NEW), add_attribute("( broken")]).is_err());
        assert!(old.attribute("myAttr").is_none());
    }

    #[test]
    fn unknown_syntaxes_hold_octets() {
        let old = SchemaStore::builtin(false).current();
        let (schema, _) = edit(&old, &[add_attribute("( 1.2.3 NAME 'odd' SYNTAX 9.9.9 )")]).unwrap();
        assert_eq!(schema.attribute("odd").unwrap().syntax, crate::schema::Syntax::OctetString);
        assert!(schema.warnings().iter().any(|warning| warning.contains("9.9.9")));
    }

    /// The edits that a file of LDIF asks of `cn=schema`.
    fn edits_of(ldif: &str) -> Vec<SchemaEdit> {
        let mut edits = Vec::new();
        for record in LdifReader::new(ldif.as_bytes()) {
            let LdifChange::Modify(steps) = record.unwrap().change else { panic!() };
            for step in steps {
                let kind = ElementKind::by_attribute(&step.description).unwrap();
                for value in step.values {
                    let text = String::from_utf8(value).unwrap();
                    edits.push(match step.kind {
                        ModificationKind::Add => SchemaEdit::Add(kind, text),
                        ModificationKind::Delete => SchemaEdit::Delete(kind, text),
                        other => panic!("{other:?}"),
                    });
                }
            }
        }
        edits
    }

    #[test]
    fn the_files_of_the_guide_make_the_profile() {
        let profile = SchemaStore::builtin(true).current();
        for [first, second] in [
            [
                include_str!("../../ldif/cts-add-schema.ldif"),
                include_str!("../../ldif/cts-add-multivalue.ldif"),
            ],
            [
                include_str!("../../tests/fixtures/openam/cts-add-schema.ldif"),
                include_str!("../../tests/fixtures/openam/cts-add-multivalue.ldif"),
            ],
        ] {
            let mut schema = SchemaStore::builtin(false).current().as_ref().clone();
            // Loading them twice does no harm.
            for file in [first, first, second, second] {
                schema = edit(&schema, &edits_of(file)).unwrap().0;
            }
            for own in profile.attributes().filter(|attribute| attribute.name().starts_with("coreToken")) {
                let loaded = schema.attribute(&own.oid).unwrap_or_else(|| panic!("{}", own.name()));
                assert_eq!(AttributeType { id: own.id, ..loaded.as_ref().clone() }, **own);
            }
            let names = |schema: &Schema, ids: &[TypeId]| -> BTreeSet<String> {
                ids.iter().map(|id| schema.attribute_by_id(*id).unwrap().name().to_owned()).collect()
            };
            let (loaded, own) =
                (schema.object_class("frCoreToken").unwrap(), profile.object_class("frCoreToken").unwrap());
            assert_eq!(names(&schema, &loaded.may), names(&profile, &own.may));
            assert_eq!(names(&schema, &loaded.must), names(&profile, &own.must));
        }
    }

    #[test]
    fn the_entries_of_the_guide_obey_the_schema() {
        let schema = SchemaStore::builtin(false).current();
        let mut entries = 0;
        for file in [
            include_str!("../../ldif/cts-indices.ldif"),
            include_str!("../../ldif/cts-add-multivalue-indices.ldif"),
            include_str!("../../ldif/cts-container.ldif"),
            include_str!("../../ldif/cts-user.ldif"),
            include_str!("../../tests/fixtures/openam/cts-indices.ldif"),
            include_str!("../../tests/fixtures/openam/cts-add-multivalue-indices.ldif"),
            include_str!("../../tests/fixtures/openam/cts-container.ldif"),
            include_str!("../../tests/fixtures/openam/cts_user.ldif"),
        ] {
            for record in LdifReader::new(file.as_bytes()) {
                let record = record.unwrap();
                let (LdifChange::Entry(attributes) | LdifChange::Add(attributes)) = record.change else {
                    panic!()
                };
                let classes = &attributes.iter().find(|a| a.description == "objectClass").unwrap().values;
                let present: Vec<_> = attributes
                    .iter()
                    .map(|a| (schema.attribute(&a.description).unwrap().id, a.values.len()))
                    .collect();
                assert_eq!(
                    schema.check_classes(classes).unwrap().check(&schema, &present),
                    Ok(()),
                    "{}",
                    record.dn
                );
                entries += 1;
            }
        }
        assert_eq!(entries, 2 * (26 + 3 + 3 + 2));
        for file in [
            include_str!("../../ldif/cts-acis.ldif"),
            include_str!("../../ldif/cts-global-aci.ldif"),
            include_str!("../../ldif/cts-update-date01-index.ldif"),
            include_str!("../../ldif/cts-remove-unused-indices.ldif"),
            include_str!("../../tests/fixtures/openam/cts_acis.ldif"),
            include_str!("../../tests/fixtures/openam/cts-update-date01-index.ldif"),
            include_str!("../../tests/fixtures/openam/cts-remove-unused-indices.ldif"),
        ] {
            for record in LdifReader::new(file.as_bytes()) {
                assert!(matches!(record.unwrap().change, LdifChange::Modify(_) | LdifChange::Delete));
            }
        }
    }
}
