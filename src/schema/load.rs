//! The schema on disk: `schema/*.ldif` files in lexical order, edits kept in `99-user.ldif`.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::definition::{Definition, ElementKind};
use super::edit::{file_of, is_file_name};
use super::{Schema, SchemaChange, SchemaEdit, SchemaError};
use crate::ldif::{LdifAttribute, LdifChange, LdifReader, LdifWriter};

/// The built-in files that every instance has, by name.
pub const BUILTIN: &[(&str, &str)] = &[
    ("00-core.ldif", include_str!("../../schema/00-core.ldif")),
    ("01-inetorgperson.ldif", include_str!("../../schema/01-inetorgperson.ldif")),
    ("02-config.ldif", include_str!("../../schema/02-config.ldif")),
];

/// The file of the profile `am-cts`.
pub const CTS: (&str, &str) = ("10-cts.ldif", include_str!("../../schema/10-cts.ldif"));

/// Names the files of an edit that touched several, once all are written aside and before any is renamed.
const JOURNAL: &str = ".edit";

/// The schema in force and the directory it is kept in. Readers take a snapshot and keep it for a whole operation.
#[derive(Debug)]
pub struct SchemaStore {
    current: ArcSwap<Schema>,
    /// None if it is kept nowhere.
    directory: Option<PathBuf>,
    /// What the files hold besides definitions; also the lock that orders edits.
    extras: Mutex<Extras>,
}

/// Attributes of each file's entry that hold no definitions.
type Extras = BTreeMap<String, Vec<LdifAttribute>>;

/// Writes the built-in files, with the CTS one if wanted, into `directory`, which is made; synced. Files already
/// there are overwritten. Setup's part; a running server does not call it.
pub fn install(directory: &Path, with_cts: bool) -> Result<(), SchemaError> {
    fs::create_dir_all(directory).map_err(|error| file_error(directory, &error))?;
    let files = BUILTIN.iter().chain(with_cts.then_some(&CTS));
    let contents = files.map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    replace_files(directory, &contents)
}

impl SchemaStore {
    /// Loads every `.ldif` file of `directory`, in lexical order; an element defined twice is the later file's.
    pub fn open(directory: &Path) -> Result<Self, SchemaError> {
        finish_edit(directory)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(directory).map_err(|error| file_error(directory, &error))? {
            let entry = entry.map_err(|error| file_error(directory, &error))?;
            if let Some(name) = entry.file_name().to_str().filter(|name| is_file_name(name)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        if names.is_empty() {
            let file = directory.display().to_string();
            return Err(SchemaError::File { file, reason: "there are no schema files".to_owned() });
        }
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let path = directory.join(&name);
            let text = fs::read(&path).map_err(|error| file_error(&path, &error))?;
            files.push((name, text));
        }
        let (schema, extras) = load(files.iter().map(|(name, text)| (name.as_str(), text.as_slice())))?;
        Ok(Self {
            current: ArcSwap::from_pointee(schema),
            directory: Some(directory.to_owned()),
            extras: Mutex::new(extras),
        })
    }

    /// The built-in schema (the files under `schema/`, compiled in), kept nowhere; for tests and tools.
    pub fn builtin(with_cts: bool) -> Self {
        let files = BUILTIN.iter().chain(with_cts.then_some(&CTS));
        let loaded = load(files.map(|(name, text)| (*name, text.as_bytes())));
        // The files are part of the program, and a test reads them; they cannot fail here.
        let (schema, extras) = loaded.unwrap_or_default();
        Self { current: ArcSwap::from_pointee(schema), directory: None, extras: Mutex::new(extras) }
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Schema> {
        self.current.load_full()
    }

    /// Applies all edits in order or none, persists them (synced, renamed into place), then swaps the snapshot.
    ///
    /// New elements go to [`super::USER_FILE`]; elements of other files stay in theirs. `in_use` names the
    /// user of an OID that must not be deleted. Errors map to 21, 19 and 53 as [`SchemaError`] says.
    pub fn edit(
        &self,
        edits: &[SchemaEdit],
        in_use: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SchemaChange, SchemaError> {
        let extras = self.extras.lock().unwrap_or_else(PoisonError::into_inner);
        let (schema, change) = self.current.load().edited(edits, in_use)?;
        if let Some(directory) = &self.directory
            && !change.files.is_empty()
        {
            let mut contents = BTreeMap::new();
            for name in &change.files {
                let extras = extras.get(name).map(Vec::as_slice).unwrap_or_default();
                contents.insert(name.clone(), file_text(&schema, name, extras));
            }
            replace_files(directory, &contents)?;
        }
        self.current.store(Arc::new(schema));
        Ok(change)
    }
}

fn file_error(path: &Path, error: &std::io::Error) -> SchemaError {
    SchemaError::File { file: path.display().to_string(), reason: error.to_string() }
}

fn load<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<(Schema, Extras), SchemaError> {
    let mut definitions: Vec<Arc<Definition>> = Vec::new();
    let mut places: HashMap<(ElementKind, String), usize> = HashMap::new();
    let mut extras = Extras::new();
    let mut warnings = Vec::new();
    for (name, text) in files {
        let fault = |line: u64, reason: String| SchemaError::File {
            file: name.to_owned(),
            reason: format!("line {line}: {reason}"),
        };
        for record in LdifReader::new(text) {
            let record = record.map_err(|error| fault(error.line(), error.to_string()))?;
            let (LdifChange::Entry(attributes) | LdifChange::Add(attributes)) = record.change else {
                return Err(fault(
                    record.line,
                    "a schema file holds the entry cn=schema, no changes".to_owned(),
                ));
            };
            for attribute in attributes {
                let Some(kind) = ElementKind::by_attribute(&attribute.description) else {
                    extras.entry(name.to_owned()).or_default().push(attribute);
                    continue;
                };
                for value in attribute.values {
                    let text = String::from_utf8_lossy(&value);
                    let mut definition = Definition::parse(kind, &text).map_err(|error| {
                        fault(record.line, format!("{}: {error}: {text}", kind.attribute()))
                    })?;
                    definition.file = Some(name.to_owned());
                    let key = (kind, definition.oid.to_ascii_lowercase());
                    match places.get(&key).and_then(|&at| definitions.get_mut(at)) {
                        Some(place) => {
                            warnings.push(format!(
                                "{} {} of {} is overridden by {name}",
                                kind.noun(),
                                definition.name(),
                                file_of(place)
                            ));
                            *place = Arc::new(definition);
                        }
                        None => {
                            places.insert(key, definitions.len());
                            definitions.push(Arc::new(definition));
                        }
                    }
                }
            }
        }
    }
    let mut schema = Schema::resolve(definitions, HashMap::new())?;
    schema.warnings.splice(0..0, warnings);
    Ok((schema, extras))
}

/// The text of the file that holds the definitions of this name.
fn file_text(schema: &Schema, name: &str, extras: &[LdifAttribute]) -> Vec<u8> {
    let mut attributes: Vec<(&str, Vec<u8>)> = Vec::new();
    if extras.is_empty() {
        attributes.extend(["top", "ldapSubentry", "subschema"].map(|class| ("objectClass", class.into())));
        attributes.push(("cn", "schema".into()));
    }
    for extra in extras {
        attributes.extend(extra.values.iter().map(|value| (extra.description.as_str(), value.clone())));
    }
    for kind in ElementKind::ALL {
        let own = schema.definitions.iter().filter(|d| d.kind() == kind && file_of(d) == name);
        attributes.extend(own.map(|definition| (kind.attribute(), definition.to_string().into_bytes())));
    }
    let mut writer = LdifWriter::new(Vec::new()).with_fold(100);
    // Writing into memory does not fail.
    let _ = writer.comment("Kept by the server: edits of cn=schema rewrite this file.");
    let _ = writer.entry("cn=schema", attributes.iter().map(|(name, value)| (*name, value.as_slice())));
    writer.into_inner()
}

/// Puts new contents in place of the files of these names, all or (after a crash) none: each is written aside
/// and synced; if they are several, a journal names them; then they are renamed and the directory is synced.
fn replace_files(directory: &Path, contents: &BTreeMap<String, Vec<u8>>) -> Result<(), SchemaError> {
    for (name, text) in contents {
        write_synced(&aside(directory, name), text)?;
    }
    if contents.len() > 1 {
        let names: Vec<&str> = contents.keys().map(String::as_str).collect();
        let unfinished = aside(directory, JOURNAL);
        write_synced(&unfinished, names.join("\n").as_bytes())?;
        sync_directory(directory)?;
        rename(&unfinished, &directory.join(JOURNAL))?;
        sync_directory(directory)?;
    }
    for name in contents.keys() {
        rename(&aside(directory, name), &directory.join(name))?;
    }
    sync_directory(directory)?;
    if contents.len() > 1 {
        let journal = directory.join(JOURNAL);
        fs::remove_file(&journal).map_err(|error| file_error(&journal, &error))?;
        sync_directory(directory)?;
    }
    Ok(())
}

/// Finishes an edit that a crash cut short after its journal was in place; forgets one cut short before.
fn finish_edit(directory: &Path) -> Result<(), SchemaError> {
    let journal = directory.join(JOURNAL);
    let names = match fs::read_to_string(&journal) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file_error(&journal, &error)),
    };
    for name in names.lines().filter(|name| is_file_name(name)) {
        let aside = aside(directory, name);
        if aside.exists() {
            rename(&aside, &directory.join(name))?;
        }
    }
    sync_directory(directory)?;
    fs::remove_file(&journal).map_err(|error| file_error(&journal, &error))?;
    sync_directory(directory)
}

fn aside(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{name}.new"))
}

fn write_synced(path: &Path, text: &[u8]) -> Result<(), SchemaError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write().map_err(|error| file_error(path, &error))
}

fn rename(from: &Path, to: &Path) -> Result<(), SchemaError> {
    fs::rename(from, to).map_err(|error| file_error(to, &error))
}

fn sync_directory(directory: &Path) -> Result<(), SchemaError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(|error| file_error(directory, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::edit::USER_FILE;

    fn opened(directory: &Path) -> SchemaStore {
        SchemaStore::open(directory).unwrap()
    }

    fn add(text: &str) -> SchemaEdit {
        SchemaEdit::Add(ElementKind::AttributeTypes, text.into())
    }

    const NEW: &str = "( 1.2.3.4 NAME 'myAttr' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORIGIN 'us' )";

    #[test]
    fn the_built_in_files_load() {
        let files = || BUILTIN.iter().chain([&CTS]).map(|(name, text)| (*name, text.as_bytes()));
        load(files()).unwrap();
        load(files().take(BUILTIN.len())).unwrap();
    }

    #[test]
    fn edits_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        install(dir.path(), true).unwrap();
        let store = opened(dir.path());
        let before = store.current();
        store.edit(&[add(NEW)], &|_| None).unwrap();
        assert!(before.attribute("myAttr").is_none() && store.current().attribute("myAttr").is_some());
        let user = fs::read_to_string(dir.path().join(USER_FILE)).unwrap();
        assert!(user.contains("X-ORIGIN 'us'") && user.contains("dn: cn=schema"));

        // An element of another file stays there.
        let text = before.definition(ElementKind::AttributeTypes, "coreTokenString01").unwrap().to_string();
        store.edit(&[add(&text.replace("SINGLE-VALUE", "DESC 'edited' SINGLE-VALUE"))], &|_| None).unwrap();
        let cts = fs::read_to_string(dir.path().join(CTS.0)).unwrap();
        assert!(cts.contains("DESC 'edited'"));
        assert_eq!(fs::read_to_string(dir.path().join(USER_FILE)).unwrap(), user);

        let again = opened(dir.path());
        assert_eq!(again.current().attribute_types().len(), store.current().attribute_types().len());
        let schema = again.current();
        assert_eq!(schema.definition(ElementKind::AttributeTypes, "myAttr").unwrap().to_string(), NEW);
        assert_eq!(schema.warnings(), [""; 0]);
    }

    #[test]
    fn a_refused_edit_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        install(dir.path(), false).unwrap();
        let store = opened(dir.path());
        assert!(store.edit(&[add(NEW), add("( broken")], &|_| None).is_err());
        assert!(store.current().attribute("myAttr").is_none());
        assert!(!dir.path().join(USER_FILE).exists());
    }

    #[test]
    fn an_edit_of_two_files_is_finished_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        install(dir.path(), false).unwrap();
        let text = format!("dn: cn=schema\nobjectClass: top\nattributeTypes: {NEW}\n");
        write_synced(&aside(dir.path(), USER_FILE), text.as_bytes()).unwrap();
        assert!(opened(dir.path()).current().attribute("myAttr").is_none());
        write_synced(&dir.path().join(JOURNAL), format!("00-core.ldif\n{USER_FILE}").as_bytes()).unwrap();
        assert!(opened(dir.path()).current().attribute("myAttr").is_some());
        assert!(!dir.path().join(JOURNAL).exists());
    }

    #[test]
    fn a_broken_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(SchemaStore::open(dir.path()).is_err());
        install(dir.path(), false).unwrap();
        fs::write(dir.path().join("50-mine.ldif"), "dn: cn=schema\nattributeTypes: ( 1.2 NAME x )\n")
            .unwrap();
        let error = SchemaStore::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("50-mine.ldif") && error.contains("quoted"), "{error}");
        fs::write(
            dir.path().join("50-mine.ldif"),
            "dn: cn=schema\nattributeTypes: ( 2.5.4.3 NAME 'cn' SUP name )\n",
        )
        .unwrap();
        let store = opened(dir.path());
        assert!(
            store.current().warnings().iter().any(|warning| warning.contains("overridden by 50-mine.ldif"))
        );
    }
}
