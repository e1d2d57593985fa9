//! Configuration files on disk. The only code that writes them; a crash at any point leaves a whole old or a whole
//! new file.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::ConfigError;

/// Archived copies kept; the oldest go first.
pub(super) const ARCHIVED_COPIES: usize = 50;

/// What the writer asks of a disk; a failing one stands in for it in tests.
pub(super) trait Files {
    /// Makes a new file of mode 0600 with this content and syncs it.
    fn create_synced(&self, path: &Path, content: &[u8]) -> std::io::Result<()>;
    /// Renames within a directory and syncs the directory.
    fn rename_synced(&self, from: &Path, to: &Path) -> std::io::Result<()>;
    /// The names in a directory.
    fn list(&self, directory: &Path) -> std::io::Result<Vec<String>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> std::io::Result<()>;
}

/// The operating system's files.
#[derive(Debug)]
pub(super) struct OsFiles;

impl Files for OsFiles {
    fn create_synced(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    }

    fn rename_synced(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        std::fs::rename(from, to)?;
        match to.parent() {
            Some(directory) => std::fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    fn list(&self, directory: &Path) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for item in std::fs::read_dir(directory)? {
            names.push(item?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        std::fs::remove_file(path)
    }
}

fn fault(path: &Path) -> impl Fn(std::io::Error) -> ConfigError {
    let file = path.display().to_string();
    move |error| ConfigError::File { file: file.clone(), reason: error.to_string() }
}

/// Replaces a file: the new content is whole and on disk before it takes the old one's name.
pub(super) fn replace(files: &dyn Files, path: &Path, content: &[u8]) -> Result<(), ConfigError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    files.create_synced(temporary, content).map_err(fault(temporary))?;
    files.rename_synced(temporary, path).map_err(fault(path))
}

/// Replaces a file of the configuration directory that another room owns: whole, synced, of mode 0600.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<(), ConfigError> {
    replace(&OsFiles, path, content)
}

/// Keeps a copy of a configuration that is about to be replaced, and removes the oldest copies over the bound. `stamp` is
/// the time (`yyyyMMddHHmmss`); several copies of one second are numbered.
pub(super) fn archive(
    files: &dyn Files,
    directory: &Path,
    stamp: &str,
    content: &[u8],
) -> Result<(), ConfigError> {
    let mut names: Vec<String> = files
        .list(directory)
        .map_err(fault(directory))?
        .into_iter()
        .filter(|name| name.starts_with("config-") && name.ends_with(".ldif"))
        .collect();
    let prefix = format!("config-{stamp}Z-");
    let taken = names
        .iter()
        .filter_map(|name| name.strip_prefix(&prefix)?.strip_suffix(".ldif")?.parse::<u32>().ok());
    let number = taken.max().map_or(0, |last| last.saturating_add(1));
    let name = format!("{prefix}{number:04}.ldif");
    replace(files, &directory.join(&name), content)?;
    names.push(name);
    names.sort();
    for old in names.iter().take(names.len().saturating_sub(ARCHIVED_COPIES)) {
        // A copy too many does no harm: the change itself must not fail for it.
        let _ = files.remove(&directory.join(old));
    }
    Ok(())
}

/// Reads a whole text file.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(fault(path))
}

/// Whether there is a file of this name.
pub(super) fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Makes a directory (and those above it) of mode 0700; one that is there already stays.
pub(super) fn make_directory(path: &Path) -> Result<(), ConfigError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault(path))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    /// Files in memory that fail at the n-th call, leaving a half-written file.
    #[derive(Default)]
    struct Frail {
        content: RefCell<BTreeMap<PathBuf, Vec<u8>>>,
        calls: Cell<usize>,
        fails_at: Cell<usize>,
    }

    impl Frail {
        fn step(&self) -> std::io::Result<()> {
            self.calls.set(self.calls.get() + 1);
            if self.calls.get() == self.fails_at.get() {
                Err(std::io::Error::other("pulled plug"))
            } else {
                Ok(())
            }
        }
    }

    impl Files for Frail {
        fn create_synced(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
            let half = content.get(..content.len() / 2).unwrap_or_default();
            self.content.borrow_mut().insert(path.to_owned(), half.to_vec());
            self.step()?;
            self.content.borrow_mut().insert(path.to_owned(), content.to_vec());
            Ok(())
        }
        fn rename_synced(&self, from: &Path, to: &Path) -> std::io::Result<()> {
            self.step()?;
            let content = self.content.borrow_mut().remove(from).unwrap();
            self.content.borrow_mut().insert(to.to_owned(), content);
            Ok(())
        }
        fn list(&self, directory: &Path) -> std::io::Result<Vec<String>> {
            let content = self.content.borrow();
            let inside = content.keys().filter_map(|path| path.strip_prefix(directory).ok());
            Ok(inside.map(|path| path.to_string_lossy().into_owned()).collect())
        }
        fn remove(&self, path: &Path) -> std::io::Result<()> {
            self.content.borrow_mut().remove(path);
            Ok(())
        }
    }

    #[test]
    fn a_crash_leaves_the_old_or_the_new_file_whole() {
        for fails_at in 0..4 {
            let files = Frail::default();
            let path = Path::new("/i/config/config.ldif");
            replace(&files, path, b"old content").unwrap();
            files.calls.set(0);
            files.fails_at.set(fails_at);
            let outcome = replace(&files, path, b"new content");
            let found = files.content.borrow().get(path).cloned().unwrap();
            let expected: &[u8] = if outcome.is_ok() { b"new content" } else { b"old content" };
            assert_eq!(found, expected, "failing at step {fails_at}");
        }
    }

    #[test]
    fn archived_copies_are_bounded_and_the_newest_stay() {
        let files = Frail::default();
        let directory = Path::new("/i/config/archived-configs");
        for turn in 0..ARCHIVED_COPIES + 7 {
            let stamp = format!("2024010100{:04}", turn / 2);
            archive(&files, directory, &stamp, format!("{turn}").as_bytes()).unwrap();
        }
        let content = files.content.borrow();
        assert_eq!(content.len(), ARCHIVED_COPIES);
        let newest = content.values().next_back().unwrap();
        assert_eq!(newest, format!("{}", ARCHIVED_COPIES + 6).as_bytes());
        assert_eq!(content.values().next().unwrap(), b"7");
    }
}
