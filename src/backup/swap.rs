//! Files and directories that appear whole or not at all.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::BackupError;
use crate::log::disk::directory;

fn sync(directory: &Path) -> Result<(), BackupError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(BackupError::io("sync", directory))
}

fn sync_above(path: &Path) -> Result<(), BackupError> {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => sync(above),
        _ => sync(Path::new(".")),
    }
}

/// Makes a directory and those above it, for the owner alone.
pub(super) fn make_directory(path: &Path) -> Result<(), BackupError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(BackupError::io("make", path))
}

/// Removes a directory with all that is in it, if it is there.
pub(super) fn remove_directory(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(BackupError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Replaces a file by new content, durably.
pub(super) fn replace_file(path: &Path, content: &[u8]) -> Result<(), BackupError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    write_file(&new, content)?;
    publish(&new, path)
}

/// Writes a file, durable but for its name.
pub(super) fn write_file(path: &Path, content: &[u8]) -> Result<(), BackupError> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(BackupError::io("write", path))
}

/// Gives a file or directory that was made beside its name, durably.
pub(super) fn publish(new: &Path, path: &Path) -> Result<(), BackupError> {
    std::fs::rename(new, path).map_err(BackupError::io("rename", new))?;
    sync_above(path)
}

/// Makes the names in a directory and in those in it durable.
pub(super) fn sync_all(directory: &Path) -> Result<(), BackupError> {
    let failed = || BackupError::io("list", directory);
    for item in std::fs::read_dir(directory).map_err(failed())? {
        let item = item.map_err(failed())?;
        if item.file_type().map_err(failed())?.is_dir() {
            sync_all(&item.path())?;
        }
    }
    sync(directory)
}

/// Has `fill` make what a directory is to be replaced by, and puts it in its place in one step: a crash at any moment leaves
/// the old or the new one, whole. If `fill` fails nothing has changed.
pub(super) fn replace_directory(
    target: &Path,
    fill: impl FnOnce(&Path) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let failed = || BackupError::io("replace", target);
    directory::settle_replacement(target).map_err(failed())?;
    let staging = directory::begin_replacement(target).map_err(failed())?;
    let swapped = fill(&staging).and_then(|()| {
        sync_all(&staging)?;
        directory::exchange_replacement(target).map_err(failed())
    });
    let discarded = directory::discard_replacement(target).map_err(failed());
    swapped.and(discarded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("db");
        let fill = |content: &'static str| {
            move |staging: &Path| {
                make_directory(&staging.join("inner")).unwrap();
                write_file(&staging.join("inner/file"), content.as_bytes())
            }
        };
        for round in ["first", "second"] {
            replace_directory(&target, fill(round)).unwrap();
            assert_eq!(std::fs::read_to_string(target.join("inner/file")).unwrap(), round);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        let failed = replace_directory(&target, |staging| {
            fill("third")(staging)?;
            Err(BackupError::Cancelled)
        });
        assert!(matches!(failed, Err(BackupError::Cancelled)));
        assert_eq!(std::fs::read_to_string(target.join("inner/file")).unwrap(), "second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
