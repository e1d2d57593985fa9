//! The files that say what was left out: rejected entries, skipped entries, each with its reason as a comment.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::TransferError;

/// One of the files, or none.
pub(super) struct Notes {
    file: Option<(PathBuf, BufWriter<File>)>,
    pub(super) count: u64,
}

impl Notes {
    /// Begins the file, if there is to be one; without `overwrite` it is continued.
    pub(super) fn open(path: Option<&Path>, overwrite: bool) -> Result<Self, TransferError> {
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.create(true).write(true).append(!overwrite).truncate(overwrite);
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(path).map_err(TransferError::file(path))
        };
        let file =
            path.map(|path| open(path).map(|file| (path.to_owned(), BufWriter::new(file)))).transpose()?;
        Ok(Self { file, count: 0 })
    }

    /// Notes an entry, as it was read.
    pub(super) fn put(&mut self, reason: &str, text: &[u8]) -> Result<(), TransferError> {
        self.count += 1;
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let mut write = || {
            reason.lines().try_for_each(|line| writeln!(file, "# {line}"))?;
            file.write_all(text.trim_ascii())?;
            file.write_all(b"\n\n")
        };
        write().map_err(TransferError::file(path))
    }

    /// Ends the file.
    pub(super) fn end(&mut self) -> Result<(), TransferError> {
        match &mut self.file {
            Some((path, file)) => file.flush().map_err(TransferError::file(path)),
            None => Ok(()),
        }
    }
}
