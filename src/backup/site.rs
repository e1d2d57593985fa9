//! The backends of an instance: how each of them is backed up and restored.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::key::BackupKey;
use super::make::{Job, Options, Subject, back_up};
use super::restore::{Archive, RestoreData, restore_data, restore_files, restore_into};
use super::{BackupError, Made};
use crate::backend::{Backend, DataStore, Life};
use crate::config::{BackendConfig, Config, Instance};
use crate::schema::Schema;

/// Who follows the work.
pub trait Watch {
    /// Told a line.
    fn say(&self, line: String);
    /// Told how far a part of the work is, in octets.
    fn progress(&self, what: &str, done: u64, total: u64);
    /// Whether to go on.
    fn goes_on(&self) -> bool;
}

/// An instance as backups see it.
#[derive(Debug)]
pub struct Site<'a> {
    /// Where it is.
    pub instance: &'a Instance,
    /// Its configuration; without it there is no data store, only files.
    pub config: Option<&'a Config>,
    /// The definitions in force.
    pub schema: &'a Schema,
    /// The wall clock, milliseconds since 1970.
    pub now_ms: u64,
}

/// Backups to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Of these backends; of all if none is named.
    pub backends: Vec<String>,
    /// In this directory; from the instance directory unless absolute. Of several backends each has a directory in it, named
    /// by its id.
    pub directory: PathBuf,
    /// How.
    pub options: Options,
}

/// A backend's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Config,
    Schema,
    Tasks,
}

const CONFIG: &str = "config";
const SCHEMA: &str = "schema";
const TASKS: &str = "tasks";
const CONFIG_FILE: &str = "config.ldif";
const TASKS_FILE: &str = "tasks.ldif";

impl Site<'_> {
    /// The ids of the backends that can be backed up.
    pub fn backends(&self) -> Vec<String> {
        let data = self.data().map(|data| data.id.clone());
        let has_tasks = self.instance.config_directory().join(TASKS_FILE).is_file();
        let files = [CONFIG, SCHEMA].into_iter().chain(has_tasks.then_some(TASKS));
        data.into_iter().chain(files.map(str::to_owned)).collect()
    }

    fn data(&self) -> Option<&BackendConfig> {
        self.config?.data()
    }

    fn kind(&self, backend: &str) -> Result<Kind, BackupError> {
        match backend {
            CONFIG => Ok(Kind::Config),
            SCHEMA => Ok(Kind::Schema),
            TASKS => Ok(Kind::Tasks),
            _ if self.data().is_some_and(|data| data.id == backend) => Ok(Kind::Data),
            _ => Err(BackupError::Refused(format!(
                "there is no backend {backend} that can be backed up or restored; there are {}",
                self.backends().join(", ")
            ))),
        }
    }

    /// The backends that an order means; refused if there is no such one.
    pub fn chosen(&self, order: &Order) -> Result<Vec<String>, BackupError> {
        order.backends.iter().try_for_each(|backend| self.kind(backend).map(drop))?;
        Ok(if order.backends.is_empty() { self.backends() } else { order.backends.clone() })
    }

    /// Whether an order needs the data store open.
    pub fn needs_store(&self, order: &Order) -> Result<bool, BackupError> {
        Ok(self.chosen(order)?.iter().any(|backend| matches!(self.kind(backend), Ok(Kind::Data))))
    }

    /// The directory of one backend's backups.
    fn directory(&self, order: &Order, backend: &str, is_one: bool) -> PathBuf {
        let directory = self.instance.resolve(&order.directory);
        if is_one { directory } else { directory.join(backend) }
    }

    /// Makes the backups of an order, one after the other; the first that fails ends it. `store` is needed for the data.
    pub fn back_up(
        &self,
        order: &Order,
        store: Option<&Backend>,
        watch: &dyn Watch,
    ) -> Result<(), BackupError> {
        let backends = self.chosen(order)?;
        for backend in &backends {
            let directory = self.directory(order, backend, backends.len() == 1);
            let id = &order.options.id;
            watch.say(format!("backing up {backend} to {} as {id}", directory.display()));
            let made = self.one(order, backend, &directory, store, watch)?;
            watch.say(format!(
                "backed up {backend}: files={} reused={} octets={} stored={}",
                made.copied, made.reused, made.octets, made.stored
            ));
        }
        Ok(())
    }

    fn one(
        &self,
        order: &Order,
        backend: &str,
        directory: &Path,
        store: Option<&Backend>,
        watch: &dyn Watch,
    ) -> Result<Made, BackupError> {
        let key_file = self.instance.root().join(BackupKey::FILE);
        let what = format!("backing up {backend}: octets");
        let mut progress = |done, total| {
            watch.progress(&what, done, total);
            watch.goes_on()
        };
        let mut run = |subject: Subject<'_>| {
            let job = Job { directory, backend, subject, options: &order.options, key_file: &key_file };
            back_up(&job, &mut progress)
        };
        let mut files = |root: PathBuf, names: &[String]| {
            run(Subject::Files { root: &root, names, time_ms: self.now_ms })
        };
        match self.kind(backend)? {
            Kind::Config => files(self.instance.config_directory(), &[CONFIG_FILE.to_owned()]),
            Kind::Tasks => files(self.instance.config_directory(), &[TASKS_FILE.to_owned()]),
            Kind::Schema => {
                let root = self.instance.schema_directory();
                let names = names_in(&root)?;
                files(root, &names)
            }
            Kind::Data => {
                let store = store.ok_or_else(|| {
                    BackupError::Refused(format!("the data store of {backend} is not open"))
                })?;
                let source = store.backup_source()?;
                run(Subject::Data { base_dns: &self.base_dns(), source: &source })
            }
        }
    }

    /// Opens a backup; signed and encrypted ones with the instance's key, or that of another file.
    pub fn archive(
        &self,
        directory: &Path,
        id: Option<&str>,
        key_file: Option<&Path>,
    ) -> Result<Archive, BackupError> {
        let own = self.instance.root().join(BackupKey::FILE);
        let key = match key_file {
            Some(file) => Some(
                BackupKey::read(file)?
                    .ok_or_else(|| BackupError::Key(format!("there is no key file {}", file.display())))?,
            ),
            None => BackupKey::read(&own)?,
        };
        let archive = Archive::open(&self.instance.resolve(directory), id, key)?;
        self.kind(&archive.manifest().backend)?;
        Ok(archive)
    }

    /// Verifies a backup; nothing is changed.
    pub fn verify(&self, archive: &Archive, watch: &dyn Watch) -> Result<(), BackupError> {
        archive.verify(&mut follow("verifying: octets", watch))?;
        let (files, octets) = archive.extent();
        watch.say(format!(
            "verified backup {}: files={files} octets={octets}, all as written",
            archive.listed().id
        ));
        Ok(())
    }

    fn wanted<'b>(&'b self, db: &'b Path, base_dns: &'b [String], force: bool) -> RestoreData<'b> {
        RestoreData {
            db,
            backend: self.data().map_or("", |data| data.id.as_str()),
            base_dns,
            schema: self.schema,
            now_ms: self.now_ms,
            purge_delay: self.config.map_or(Duration::ZERO, |config| config.changelog.purge_delay),
            force,
        }
    }

    fn base_dns(&self) -> Vec<String> {
        self.data()
            .map(|data| data.base_dns.iter().map(|(text, _)| text.clone()).collect())
            .unwrap_or_default()
    }

    /// Restores a backup; for who holds the lock of an instance whose server is stopped.
    pub fn restore(&self, archive: &Archive, force: bool, watch: &dyn Watch) -> Result<(), BackupError> {
        let mut progress = follow("restoring: octets", watch);
        let kind = self.kind(&archive.manifest().backend)?;
        let config = self.instance.config_directory();
        match kind {
            Kind::Data => {
                let directory = self.data().map(|data| data.directory.clone()).unwrap_or_default();
                let (db, base_dns) = (self.instance.resolve(&directory), self.base_dns());
                let life = restore_data(archive, &self.wanted(&db, &base_dns, force), &mut progress)?;
                watch.say(told(archive, &life));
            }
            Kind::Schema => {
                restore_files(archive, &self.instance.schema_directory(), true, &mut progress)?;
                watch.say(format!("restored backup {} of the schema", archive.listed().id));
            }
            Kind::Config | Kind::Tasks => {
                restore_files(archive, &config, false, &mut progress)?;
                let manifest = archive.manifest();
                watch.say(format!("restored backup {} of {}", manifest.id, manifest.backend));
            }
        }
        Ok(())
    }

    /// Restores token data into a store that serves: changes are refused meanwhile, reading goes on with the old data until
    /// the new one takes its place.
    pub fn restore_online(
        &self,
        archive: &Archive,
        store: &Arc<DataStore>,
        watch: &dyn Watch,
    ) -> Result<(), BackupError> {
        if self.kind(&archive.manifest().backend)? != Kind::Data {
            return Err(BackupError::Refused(format!(
                "{} is in use while the server runs; stop the server to restore it",
                archive.manifest().backend
            )));
        }
        let (db, base_dns) = (store.options().directory, self.base_dns());
        let wanted = self.wanted(&db, &base_dns, false);
        let replacement = store.begin_replacement("a backup is being restored; try again later")?;
        let mut progress = follow("restoring: octets", watch);
        let life = restore_into(archive, &wanted, replacement.staging(), &mut progress)?;
        replacement.finish()?;
        watch.say(told(archive, &life));
        Ok(())
    }
}

fn told(archive: &Archive, life: &Life) -> String {
    let mut line = format!("restored backup {}: incarnation {}", archive.listed().id, life.incarnation);
    if life.needs_init {
        line.push_str(
            "; it is older than the purge delay, so the data needs initialisation before it takes part in replication",
        );
    }
    line
}

fn follow<'a>(what: &'a str, watch: &'a dyn Watch) -> impl FnMut(u64, u64) -> bool + 'a {
    move |done, total| {
        watch.progress(what, done, total);
        watch.goes_on()
    }
}

fn names_in(root: &Path) -> Result<Vec<String>, BackupError> {
    let failed = || BackupError::io("list", root);
    let mut names = Vec::new();
    for item in std::fs::read_dir(root).map_err(failed())? {
        let item = item.map_err(failed())?;
        let is_file = item.file_type().map_err(failed())?.is_file();
        if let (true, Ok(name)) = (is_file, item.file_name().into_string()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
