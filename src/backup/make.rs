//! Making a backup: beside its name, renamed when it is whole, listed last.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::catalogue::{Catalogue, Listed, archive};
use super::key::BackupKey;
use super::manifest::{FileMark, Manifest, Replica, SegmentMark, is_id};
use super::restore::read_manifest;
use super::stored::{self, Meter};
use super::{BackupError, Progress, swap};
use crate::backend::BackupSource;

/// The name of the manifest in an archive.
pub(super) const MANIFEST: &str = "manifest";
/// Held locked by who writes to a backup directory.
const LOCK: &str = ".lock";

/// What is backed up.
#[derive(Debug)]
pub enum Subject<'a> {
    /// The tokens.
    Data {
        /// The base DNs.
        base_dns: &'a [String],
        /// Held by the store until the backup is made.
        source: &'a BackupSource,
    },
    /// Files of the instance that are only ever replaced whole.
    Files {
        /// The directory they are in.
        root: &'a Path,
        /// Their names in it.
        names: &'a [String],
        /// The time, milliseconds since 1970.
        time_ms: u64,
    },
}

/// How a backup is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Its id; see [`super::default_id`].
    pub id: String,
    /// Only what is new or changed since an earlier backup.
    pub is_incremental: bool,
    /// That backup's id; the newest one if none is given.
    pub base: Option<String>,
    /// Compress what is copied.
    pub compresses: bool,
    /// Encrypt what is copied.
    pub encrypts: bool,
    /// Sign the manifest; it is hashed anyway.
    pub signs: bool,
}

/// One backup to be made.
#[derive(Debug)]
pub struct Job<'a> {
    /// The backup directory; made if it is not there.
    pub directory: &'a Path,
    /// The backend.
    pub backend: &'a str,
    /// What is backed up.
    pub subject: Subject<'a>,
    /// How.
    pub options: &'a Options,
    /// The instance's key file; made if a key is needed and there is none.
    pub key_file: &'a Path,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The backup's id.
    pub id: String,
    /// Files copied.
    pub copied: usize,
    /// Files that earlier backups hold.
    pub reused: usize,
    /// Octets copied, before compression.
    pub octets: u64,
    /// Octets of the archive.
    pub stored: u64,
}

/// One thing to be copied.
struct Item<'a> {
    path: String,
    octets: u64,
    segment: Option<SegmentMark>,
    reader: Box<dyn Read + 'a>,
}

/// Reads a part of something by offsets; less than that is an error.
struct Region<F> {
    read_at: F,
    at: u64,
    end: u64,
}

impl<F: Fn(&mut [u8], u64) -> io::Result<usize>> Read for Region<F> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(room.len());
        let Some(room) = room.get_mut(..wanted).filter(|room| !room.is_empty()) else { return Ok(0) };
        let count = (self.read_at)(room, self.at)?;
        if count == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file ends too early"));
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// Makes a backup, durable and listed on return. After a failure there is none: what was written is removed, and what a crash
/// left is removed by the next backup.
pub fn back_up(job: &Job<'_>, progress: Progress<'_>) -> Result<Made, BackupError> {
    let Job { directory, backend, options, .. } = *job;
    if !is_id(&options.id) || !is_id(backend) {
        return Err(BackupError::Refused(format!(
            "{} is no backup ID: it is made of letters, digits, hyphens, underscores and dots",
            options.id
        )));
    }
    swap::make_directory(directory)?;
    let lock = directory.join(LOCK);
    let lock_file = File::create(&lock).map_err(BackupError::io("make", &lock))?;
    if flock(&lock_file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(BackupError::Refused(format!(
            "another backup is being written to {}",
            directory.display()
        )));
    }
    let mut catalogue = Catalogue::read(directory)?.unwrap_or_else(|| Catalogue::new(backend));
    if catalogue.backend_id() != Some(backend) {
        return Err(BackupError::Refused(format!(
            "{} holds backups of {}, not of {backend}",
            directory.display(),
            catalogue.backend_dn
        )));
    }
    let archive = archive(directory, backend, &options.id);
    if catalogue.find(&options.id).is_some() || archive.exists() {
        return Err(BackupError::Refused(format!(
            "there is a backup {} in {} already",
            options.id,
            directory.display()
        )));
    }
    remove_unfinished(directory, backend)?;
    // The first one has nothing to go on from, and holds everything.
    let is_first = catalogue.backups.is_empty() && options.base.is_none();
    let base = if options.is_incremental && !is_first { Some(base_of(job, &catalogue)?) } else { None };
    let key =
        if options.encrypts || options.signs { Some(BackupKey::read_or_make(job.key_file)?) } else { None };
    let partial = partial(&archive);
    let made = write(job, base.as_ref(), key.as_ref(), &partial, progress).and_then(|(listed, made)| {
        swap::publish(&partial, &archive)?;
        catalogue.backups.push(listed);
        let listed = catalogue.write(directory);
        if listed.is_err() {
            // Nobody knows of it.
            let _ = swap::remove_directory(&archive);
        }
        listed.map(|()| made)
    });
    if made.is_err() {
        let _ = swap::remove_directory(&partial);
    }
    made
}

fn partial(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Removes what earlier backups of the backend left that did not end. The directory is locked.
fn remove_unfinished(directory: &Path, backend: &str) -> Result<(), BackupError> {
    let start = format!("backup-{backend}-");
    for item in std::fs::read_dir(directory).map_err(BackupError::io("list", directory))? {
        let item = item.map_err(BackupError::io("list", directory))?;
        let name = item.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(&start) && name.ends_with(".partial")) {
            swap::remove_directory(&item.path())?;
        }
    }
    Ok(())
}

/// A base's manifest and its hash.
type Base = (Manifest, [u8; 32]);

/// The backup that an incremental one goes on from.
fn base_of(job: &Job<'_>, catalogue: &Catalogue) -> Result<Base, BackupError> {
    let place = job.directory.display();
    let listed = match &job.options.base {
        Some(id) => catalogue
            .find(id)
            .ok_or_else(|| BackupError::Refused(format!("there is no backup {id} in {place}")))?,
        None => catalogue.backups.last().ok_or_else(|| {
            BackupError::Refused(format!(
                "there is no backup in {place} that an incremental one could be based on; make a full one first"
            ))
        })?,
    };
    // Its signature was made here, or its hash is in the catalogue: that is enough to go on from it.
    let (manifest, seal) = read_manifest(job.directory, job.backend, &listed.id, None)?;
    if !listed.means(&seal) {
        return Err(BackupError::Damaged(format!(
            "the manifest of backup {} is not the one that the catalogue lists",
            listed.id
        )));
    }
    if let (Subject::Data { source, .. }, Some(replica)) = (&job.subject, &manifest.replica) {
        let refuse = |why: &str| {
            BackupError::Refused(format!(
                "an incremental backup cannot be based on backup {}: {why}; make a full one",
                listed.id
            ))
        };
        if replica.dataset_id != source.dataset_id {
            return Err(refuse("it is of another data set"));
        }
        if !source.ruv.dominates(&replica.ruv) || replica.position > source.position {
            return Err(refuse("an earlier state was restored since it was made"));
        }
    }
    Ok((manifest, seal.hash))
}

fn items<'a>(subject: &'a Subject<'_>) -> Result<Vec<Item<'a>>, BackupError> {
    match subject {
        Subject::Data { source, .. } => {
            let last = source.segments.last().map(|segment| segment.number());
            let segments = source.segments.iter().map(|segment| Item {
                path: format!("log/{:08}.seg", segment.number()),
                octets: segment.octets(),
                segment: Some(SegmentMark {
                    number: segment.number(),
                    epoch: segment.epoch(),
                    first_sequence: segment.first_sequence(),
                    size: segment.size(),
                    is_sealed: Some(segment.number()) != last,
                }),
                reader: Box::new(Region {
                    read_at: |room: &mut [u8], at| segment.read_at(room, at),
                    at: 0,
                    end: segment.octets(),
                }),
            });
            let checkpoint = source.checkpoint.iter().map(|file| Item {
                path: file.name.clone(),
                octets: file.octets,
                segment: None,
                reader: Box::new(Region {
                    read_at: |room: &mut [u8], at| file.read_at(room, at),
                    at: 0,
                    end: file.octets,
                }),
            });
            Ok(segments.chain(checkpoint).collect())
        }
        Subject::Files { root, names, .. } => names
            .iter()
            .map(|name| {
                let path = root.join(name);
                let file = File::open(&path).map_err(BackupError::io("open", &path))?;
                let octets = file.metadata().map_err(BackupError::io("look at", &path))?.len();
                Ok(Item { path: name.clone(), octets, segment: None, reader: Box::new(file) })
            })
            .collect(),
    }
}

/// The base's file that is this one, unchanged.
fn unchanged<'a>(
    item: &Item<'_>,
    base: &'a Manifest,
    subject: &Subject<'_>,
) -> Result<Option<&'a FileMark>, BackupError> {
    let known = base.files.iter().find(|file| file.path == item.path);
    match (known, subject) {
        (Some(known), Subject::Data { .. }) => {
            let is_same = known.segment.zip(item.segment).is_some_and(|(was, is)| {
                (was.number, was.epoch, was.first_sequence) == (is.number, is.epoch, is.first_sequence)
                    && (was.is_sealed || known.plain.octets == item.octets)
            });
            Ok(is_same.then_some(known))
        }
        (Some(known), Subject::Files { root, .. }) => {
            let path = root.join(&item.path);
            let sum = stored::sum(&path).map_err(BackupError::io("read", &path))?;
            Ok((sum == known.plain).then_some(known))
        }
        (None, _) => Ok(None),
    }
}

/// Writes all files and the manifest into a directory, durable but for its name.
fn write(
    job: &Job<'_>,
    base: Option<&Base>,
    key: Option<&BackupKey>,
    archive: &Path,
    progress: Progress<'_>,
) -> Result<(Listed, Made), BackupError> {
    let options = job.options;
    swap::make_directory(archive)?;
    let mut files = Vec::new();
    let mut wanted = Vec::new();
    for item in items(&job.subject)? {
        let known = base.map(|(base, _)| unchanged(&item, base, &job.subject)).transpose()?.flatten();
        match known {
            Some(known) => {
                let mut file = known.clone();
                // The base may have seen it before another followed.
                if let (Some(was), Some(is)) = (&mut file.segment, item.segment) {
                    was.is_sealed = is.is_sealed;
                }
                files.push(file);
            }
            None => wanted.push(item),
        }
    }
    let total = wanted.iter().map(|item| item.octets).sum();
    let mut made = Made { id: options.id.clone(), copied: 0, reused: files.len(), octets: 0, stored: 0 };
    let mut meter = Meter { done: 0, total, progress };
    for mut item in wanted {
        let path = archive.join(&item.path);
        if let Some(folder) = path.parent() {
            swap::make_directory(folder)?;
        }
        let label = Manifest::label(job.backend, &options.id, &item.path);
        let seal = key.filter(|_| options.encrypts).map(|key| (key, label.as_str()));
        let (plain, stored) =
            stored::write(&path, &mut *item.reader, options.compresses, seal, &mut |octets| {
                meter.add(octets)
            })?;
        made.copied += 1;
        made.octets += plain.octets;
        made.stored += stored.octets;
        files.push(FileMark {
            holder: options.id.clone(),
            path: item.path,
            is_packed: options.compresses,
            is_sealed: options.encrypts,
            plain,
            stored,
            segment: item.segment,
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut needs: Vec<(String, [u8; 32])> = Vec::new();
    if let Some((base, hash)) = base {
        needs.push((base.id.clone(), *hash));
        let held = |id: &String| files.iter().any(|file| file.holder == *id);
        needs.extend(base.needs.iter().filter(|(id, _)| held(id)).cloned());
    }
    let (time_ms, replica) = match &job.subject {
        Subject::Data { base_dns, source } => (
            source.time_ms,
            Some(Replica {
                dataset_id: source.dataset_id,
                ruv: source.ruv.clone(),
                position: source.position,
                purge_delay_ms: u64::try_from(source.purge_delay.as_millis()).unwrap_or(u64::MAX),
                base_dns: base_dns.to_vec(),
            }),
        ),
        Subject::Files { time_ms, .. } => (*time_ms, None),
    };
    let manifest = Manifest {
        backend: job.backend.to_owned(),
        id: options.id.clone(),
        time_ms,
        base: base.map(|(base, _)| base.id.clone()),
        is_compressed: options.compresses,
        encrypted_by: key.filter(|_| options.encrypts).map(|key| key.id().to_owned()),
        replica,
        needs,
        files,
    };
    let (text, seal) = manifest.encode(key.filter(|_| options.signs));
    swap::write_file(&archive.join(MANIFEST), text.as_bytes())?;
    swap::sync_all(archive)?;
    let mut listed = Listed {
        id: options.id.clone(),
        date_ms: time_ms / 1000 * 1000,
        is_incremental: manifest.base.is_some(),
        is_compressed: options.compresses,
        is_encrypted: options.encrypts,
        unsigned_hash: None,
        signed_hash: None,
        dependencies: manifest.base.iter().cloned().collect(),
        properties: vec![("archive".to_owned(), format!("backup-{}-{}", job.backend, options.id))],
    };
    listed.seal(&seal);
    Ok((listed, made))
}
