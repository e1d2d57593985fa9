//! Exchanging one directory of data for another, so that a crash leaves either the old or the new one, whole.
//!
//! The replacement is made in `<directory>.new`. Both names are exchanged by one call of the system (`renameat2` with
//! `RENAME_EXCHANGE`); where a file system cannot, by two renames over `<directory>.old`, which [`settle_replacement`] sorts out
//! after a crash between them.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

fn beside(directory: &Path, suffix: &str) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn staging(directory: &Path) -> PathBuf {
    beside(directory, ".new")
}

fn aside(directory: &Path) -> PathBuf {
    beside(directory, ".old")
}

/// The directory behind links: what is exchanged must be in one place.
fn real(directory: &Path) -> io::Result<PathBuf> {
    match directory.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(directory.to_owned()),
        found => found,
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_above(directory: &Path) -> io::Result<()> {
    match directory.parent().filter(|above| !above.as_os_str().is_empty()) {
        Some(above) => File::open(above)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// Makes an empty directory for a replacement of `directory`, for the owner alone; what an earlier attempt left is
/// removed. Fails at once where the two could not be exchanged, because `directory` is a file system of its own.
pub fn begin_replacement(directory: &Path) -> io::Result<PathBuf> {
    let directory = real(directory)?;
    let staging = staging(&directory);
    remove(&staging)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&staging)?;
    if let Ok(now) = rustix::fs::stat(&directory)
        && now.st_dev != rustix::fs::stat(&staging)?.st_dev
    {
        remove(&staging)?;
        return Err(io::Error::other(format!(
            "{} is a file system of its own and cannot be exchanged for another directory; mount the one above it instead",
            directory.display()
        )));
    }
    Ok(staging)
}

/// Exchanges `directory` and its replacement, durably; what was there before is the replacement then, so a second call
/// takes the first one back. The one that is not there may be either.
pub fn exchange_replacement(directory: &Path) -> io::Result<()> {
    let directory = real(directory)?;
    let staging = staging(&directory);
    if !directory.exists() {
        std::fs::rename(&staging, &directory)?;
        return sync_above(&directory);
    }
    match renameat_with(CWD, &directory, CWD, &staging, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let aside = aside(&directory);
            std::fs::rename(&directory, &aside)?;
            sync_above(&directory)?;
            std::fs::rename(&staging, &directory)?;
            sync_above(&directory)?;
            std::fs::rename(&aside, &staging)?;
        }
        Err(error) => return Err(error.into()),
    }
    sync_above(&directory)
}

/// Removes the replacement of `directory`, whichever of the two it is by now.
pub fn discard_replacement(directory: &Path) -> io::Result<()> {
    remove(&staging(&real(directory)?))
}

/// Finishes what a crash interrupted: `directory` is the old one or the new one afterwards, and nothing is beside it. To be
/// called before anything in it is opened, by whoever holds the instance's lock.
pub fn settle_replacement(directory: &Path) -> io::Result<()> {
    let directory = real(directory)?;
    let (staging, aside) = (staging(&directory), aside(&directory));
    if aside.exists() {
        if directory.exists() {
            remove(&aside)?;
        } else {
            // Between the two renames: the old one goes back.
            std::fs::rename(&aside, &directory)?;
            sync_above(&directory)?;
        }
    }
    if staging.exists() && directory.exists() {
        remove(&staging)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(directory: &Path) -> String {
        std::fs::read_to_string(directory.join("file")).unwrap_or_default()
    }

    #[test]
    fn two_directories_change_places() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("db");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("file"), "old").unwrap();
        let staging = begin_replacement(&data).unwrap();
        std::fs::write(staging.join("file"), "new").unwrap();
        exchange_replacement(&data).unwrap();
        assert_eq!((content(&data), content(&staging)), ("new".into(), "old".into()));
        exchange_replacement(&data).unwrap();
        assert_eq!(content(&data), "old");
        // A crash here: the old one stays.
        settle_replacement(&data).unwrap();
        assert!(content(&data) == "old" && !staging.exists());
        // Anew, and what an earlier attempt left is gone.
        let staging = begin_replacement(&data).unwrap();
        std::fs::write(staging.join("file"), "left").unwrap();
        let staging = begin_replacement(&data).unwrap();
        assert_eq!(content(&staging), "");
        discard_replacement(&data).unwrap();
        assert!(!staging.exists());
    }

    #[test]
    fn a_crash_between_two_renames_leaves_the_old_one() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("db");
        let staging = begin_replacement(&data).unwrap();
        std::fs::create_dir(home.path().join("db.old")).unwrap();
        std::fs::write(home.path().join("db.old/file"), "old").unwrap();
        settle_replacement(&data).unwrap();
        assert!(content(&data) == "old" && !staging.exists() && !home.path().join("db.old").exists());
    }

    #[test]
    fn a_link_stays_a_link() {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().join("volume");
        std::fs::create_dir(&real).unwrap();
        let link = home.path().join("db");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let staging = begin_replacement(&link).unwrap();
        assert_eq!(staging, home.path().canonicalize().unwrap().join("volume.new"));
        std::fs::write(staging.join("file"), "new").unwrap();
        exchange_replacement(&link).unwrap();
        assert!(content(&link) == "new" && link.is_symlink());
    }
}
