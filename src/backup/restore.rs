//! Reading a backup: verifying it, and putting it in the place of what is there now.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::catalogue::{Catalogue, Listed, archive};
use super::key::BackupKey;
use super::make::MANIFEST;
use super::manifest::{FileMark, Manifest, Seal};
use super::stored::{self, Meter, Sum};
use super::{BackupError, Progress, swap};
use crate::backend::{DATASET_FILE, Life, dataset_file};
use crate::changelog::Incarnation;
use crate::schema::{NormalizedDn, Schema};

/// Octets written between syncs.
const SYNC_STEP: u64 = 8 << 20;
/// Octets of zeros written at a time.
const ZEROS: usize = 1 << 20;

/// The manifest of a backup, its hash verified, and its signature with the key.
pub(super) fn read_manifest(
    directory: &Path,
    backend: &str,
    id: &str,
    key: Option<&BackupKey>,
) -> Result<(Manifest, Seal), BackupError> {
    let path = archive(directory, backend, id).join(MANIFEST);
    let what = format!("backup {id}");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        BackupError::Damaged(format!("{what} is not whole: cannot read {}: {error}", path.display()))
    })?;
    let (manifest, seal) = Manifest::decode(&text, key, &what)?;
    if manifest.id != id || manifest.backend != backend {
        return Err(BackupError::Damaged(format!(
            "{} is the manifest of backup {} of {}",
            path.display(),
            manifest.id,
            manifest.backend
        )));
    }
    Ok((manifest, seal))
}

/// A backup that is whole by what its manifests and the catalogue say, with all it is based on.
#[derive(Debug)]
pub struct Archive {
    directory: PathBuf,
    manifest: Manifest,
    listed: Listed,
    key: Option<BackupKey>,
}

/// Where and how token data is restored.
#[derive(Debug)]
pub struct RestoreData<'a> {
    /// The directory of the data. Nobody may have it open.
    pub db: &'a Path,
    /// The backend, and the base DNs that the configuration gives it.
    pub backend: &'a str,
    /// As they are configured.
    pub base_dns: &'a [String],
    /// For comparing them.
    pub schema: &'a Schema,
    /// The wall clock, milliseconds since 1970.
    pub now_ms: u64,
    /// The purge delay that is configured now.
    pub purge_delay: Duration,
    /// Restores data that is older than the purge delay, and marks it.
    pub force: bool,
}

impl Archive {
    /// Opens a backup in a directory, the newest one if no id is given, and looks whether everything is there that it needs.
    /// The files themselves are not read yet. `key` is needed for what is signed or encrypted.
    pub fn open(directory: &Path, id: Option<&str>, key: Option<BackupKey>) -> Result<Self, BackupError> {
        let place = directory.display();
        let none = || BackupError::Refused(format!("there is no backup in {place}"));
        let catalogue = Catalogue::read(directory)?.ok_or_else(none)?;
        let listed = match id {
            Some(id) => catalogue
                .find(id)
                .ok_or_else(|| BackupError::Refused(format!("there is no backup {id} in {place}")))?,
            None => catalogue.backups.last().ok_or_else(none)?,
        };
        let id = &listed.id;
        let backend = catalogue
            .backend_id()
            .ok_or_else(|| BackupError::Damaged(format!("the catalogue in {place} names no backend")))?;
        let read = |listed: &Listed| {
            let (manifest, seal) = read_manifest(directory, backend, &listed.id, key.as_ref())?;
            if listed.means(&seal) {
                return Ok((manifest, seal));
            }
            Err(BackupError::Damaged(format!(
                "the manifest of backup {} is not the one that the catalogue lists",
                listed.id
            )))
        };
        let (manifest, seal) = read(listed)?;
        let missing = |what: &str, wanted: &str| {
            BackupError::Key(format!(
                "backup {id} is {what} with key {wanted}, which is not at hand: it is {} of the instance that made the \
                 backup (--keyFile names another file)",
                BackupKey::FILE
            ))
        };
        let at_hand = key.as_ref().map(BackupKey::id);
        if let Some((wanted, _)) = seal.signature.as_ref().filter(|_| at_hand.is_none()) {
            return Err(missing("signed", wanted));
        }
        for (need, hash) in &manifest.needs {
            let based = || format!("backup {id} is based on backup {need}");
            let other = catalogue
                .find(need)
                .ok_or_else(|| BackupError::Refused(format!("{}, which is not in {place}", based())))?;
            let (other, seal) = read(other)?;
            if seal.hash != *hash {
                return Err(BackupError::Damaged(format!("{}, but that is not what it was", based())));
            }
            if let Some(wanted) = other.encrypted_by.filter(|wanted| at_hand != Some(wanted)) {
                return Err(missing("encrypted", &wanted));
            }
        }
        if let Some(wanted) = manifest.encrypted_by.as_deref().filter(|wanted| at_hand != Some(wanted)) {
            return Err(missing("encrypted", wanted));
        }
        let listed = listed.clone();
        Ok(Self { directory: directory.to_owned(), manifest, listed, key })
    }

    /// What it is.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// As the catalogue lists it.
    pub const fn listed(&self) -> &Listed {
        &self.listed
    }

    /// The files it has, and the octets they will have.
    pub fn extent(&self) -> (usize, u64) {
        (self.manifest.files.len(), self.manifest.files.iter().map(|file| file.plain.octets).sum())
    }

    /// Reads every file, decrypts and decompresses it and compares it with its hashes. Nothing is written.
    pub fn verify(&self, progress: Progress<'_>) -> Result<(), BackupError> {
        let mut meter = Meter { done: 0, total: self.extent().1, progress };
        self.manifest.files.iter().try_for_each(|file| self.read(file, &mut meter, &mut |_| Ok(())))
    }

    /// Puts every file into a directory, durable but for the names, verified.
    fn extract(&self, target: &Path, progress: Progress<'_>) -> Result<(), BackupError> {
        let mut meter = Meter { done: 0, total: self.extent().1, progress };
        for file in &self.manifest.files {
            let path = target.join(&file.path);
            if let Some(folder) = path.parent() {
                swap::make_directory(folder)?;
            }
            let failed = || BackupError::io("write", &path);
            let mut out = File::options();
            let mut out = out.write(true).create_new(true).mode(0o600).open(&path).map_err(failed())?;
            let (mut written, mut synced) = (0, 0);
            self.read(file, &mut meter, &mut |bytes| {
                out.write_all(bytes)?;
                written += bytes.len() as u64;
                if written - synced >= SYNC_STEP {
                    out.sync_data()?;
                    synced = written;
                }
                Ok(())
            })?;
            if let Some(segment) = &file.segment {
                if segment.is_sealed {
                    out.set_len(segment.size.max(written)).map_err(failed())?;
                } else {
                    // It is written to: its blocks must be there.
                    fill(&mut out, segment.size.saturating_sub(written)).map_err(failed())?;
                }
            }
            out.sync_all().map_err(failed())?;
        }
        Ok(())
    }

    fn read(
        &self,
        file: &FileMark,
        meter: &mut Meter<'_>,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), BackupError> {
        let path = archive(&self.directory, &self.manifest.backend, &file.holder).join(&file.path);
        let damaged = |why: String| {
            BackupError::Damaged(format!("{} of backup {} is damaged: {why}", file.path, file.holder))
        };
        let label = Manifest::label(&self.manifest.backend, &file.holder, &file.path);
        let key = self.key.as_ref().filter(|_| file.is_sealed);
        let (mut is_cancelled, mut refusal) = (false, None);
        let read = stored::read(&path, file.is_packed, key.map(|key| (key, label.as_str())), &mut |bytes| {
            is_cancelled = !meter.add(bytes.len() as u64);
            if is_cancelled {
                return Err(io::Error::other("cancelled"));
            }
            take(bytes).map_err(|error| {
                let kind = error.kind();
                refusal = Some(error);
                kind.into()
            })
        });
        if is_cancelled {
            return Err(BackupError::Cancelled);
        }
        if let Some(source) = refusal {
            return Err(BackupError::Io { action: "write", file: file.path.clone(), source });
        }
        let other_hash = || damaged("its SHA-256 is not the one in the manifest".to_owned());
        match read {
            Ok((plain, stored)) if (plain, stored) == (file.plain, file.stored) => Ok(()),
            Ok(_) => Err(other_hash()),
            Err(error) => match stored::sum(&path) {
                Ok(Sum { octets, .. }) if octets != file.stored.octets => {
                    Err(damaged(format!("it has {octets} octets, {} in the manifest", file.stored.octets)))
                }
                Ok(sum) if sum != file.stored => Err(other_hash()),
                Ok(_) => Err(damaged(error.to_string())),
                Err(error) => Err(damaged(error.to_string())),
            },
        }
    }
}

fn fill(out: &mut File, mut octets: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    while octets > 0 {
        let length = usize::try_from(octets).unwrap_or(usize::MAX).min(zeros.len());
        out.write_all(zeros.get(..length).unwrap_or_default())?;
        octets -= length as u64;
    }
    Ok(())
}

/// Whole units of a span of time, for people.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} hours", seconds / 3600),
        120.. => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}

/// Looks whether token data may be restored here. Gives the life that begins with it.
pub(super) fn admit(archive: &Archive, wanted: &RestoreData<'_>) -> Result<Life, BackupError> {
    let manifest = &archive.manifest;
    let id = &manifest.id;
    let refuse = |why: String| Err(BackupError::Refused(why));
    let Some(replica) = manifest.replica.as_ref().filter(|_| manifest.backend == wanted.backend) else {
        return refuse(format!("backup {id} is of backend {}, not of {}", manifest.backend, wanted.backend));
    };
    let keys = |dns: &[String]| {
        let mut keys: Vec<NormalizedDn> =
            dns.iter().filter_map(|dn| NormalizedDn::parse(dn, wanted.schema).ok()).collect();
        keys.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        keys
    };
    if keys(&replica.base_dns) != keys(wanted.base_dns) {
        return refuse(format!(
            "backup {id} holds {}, but {} is configured for {}",
            replica.base_dns.join(" and "),
            wanted.backend,
            wanted.base_dns.join(" and ")
        ));
    }
    let configured = u64::try_from(wanted.purge_delay.as_millis()).unwrap_or(u64::MAX);
    let delay = replica.purge_delay_ms.min(configured);
    let age = wanted.now_ms.saturating_sub(manifest.time_ms);
    let is_old = age > delay;
    if is_old && !wanted.force {
        return refuse(format!(
            "backup {id} is {} old, and the purge delay is {}: other replicas may have forgotten changes that it lacks. \
             Take a newer backup, or initialise this server from another replica. If there is none, --force restores it \
             and marks the data as needing initialisation",
            span(age),
            span(delay)
        ));
    }
    // Data that does not open is no reason to keep it; its life is known to this file alone.
    let path = wanted.db.join(Life::FILE);
    let present = match std::fs::read(&path) {
        Ok(bytes) => Life::decode(&bytes).map_or_else(
            || {
                tracing::warn!(file = %path.display(), "the present life of the data is unreadable");
                1
            },
            |life| life.incarnation.get(),
        ),
        Err(_) => 1,
    };
    let earlier = replica.ruv.iter().map(|(origin, _)| origin.incarnation.get()).max().unwrap_or(1);
    let Some(incarnation) = present.max(earlier).checked_add(1).and_then(Incarnation::new) else {
        return refuse(
            "this server's data has been restored 65534 times: it needs another replica id".to_owned(),
        );
    };
    Ok(Life { incarnation, needs_init: is_old, past: replica.ruv.clone() })
}

/// Puts a backup's token data in the place of what is there, in one step: a crash at any moment leaves the old or the new
/// data, whole. Everything is verified before. Gives the life that began. For a store that nobody has open.
pub fn restore_data(
    archive: &Archive,
    wanted: &RestoreData<'_>,
    progress: Progress<'_>,
) -> Result<Life, BackupError> {
    let life = admit(archive, wanted)?;
    swap::replace_directory(wanted.db, |staging| stage(archive, &life, staging, progress))?;
    Ok(life)
}

/// Makes a backup's token data in an empty directory, verified and durable, after looking whether it may be restored; for who
/// exchanges the directories.
pub fn restore_into(
    archive: &Archive,
    wanted: &RestoreData<'_>,
    staging: &Path,
    progress: Progress<'_>,
) -> Result<Life, BackupError> {
    let life = admit(archive, wanted)?;
    stage(archive, &life, staging, progress)?;
    swap::sync_all(staging)?;
    Ok(life)
}

fn stage(archive: &Archive, life: &Life, staging: &Path, progress: Progress<'_>) -> Result<(), BackupError> {
    archive.extract(staging, progress)?;
    // What is made anew for each restore.
    swap::make_directory(&staging.join("log"))?;
    if let Some(replica) = &archive.manifest.replica {
        swap::write_file(&staging.join(DATASET_FILE), &dataset_file(replica.dataset_id))?;
    }
    swap::write_file(&staging.join(Life::FILE), &life.encode())
}

/// Puts a backup's files in the place of those of a directory; with `is_whole`, of the whole directory in one step, else of
/// each file by itself. Everything is verified before.
pub fn restore_files(
    archive: &Archive,
    root: &Path,
    is_whole: bool,
    progress: Progress<'_>,
) -> Result<(), BackupError> {
    if archive.manifest.replica.is_some() {
        return Err(BackupError::Refused(format!(
            "backup {} is of backend {}, which holds tokens",
            archive.manifest.id, archive.manifest.backend
        )));
    }
    if is_whole {
        return swap::replace_directory(root, |staging| archive.extract(staging, progress));
    }
    let staging = root.join(format!("{}.restoring", archive.manifest.backend));
    swap::remove_directory(&staging)?;
    swap::make_directory(&staging)?;
    let moved = archive.extract(&staging, progress).and_then(|()| {
        archive
            .manifest
            .files
            .iter()
            .try_for_each(|file| swap::publish(&staging.join(&file.path), &root.join(&file.path)))
    });
    let removed = swap::remove_directory(&staging);
    moved.and(removed)
}
