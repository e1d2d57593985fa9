//! A log file with rotation and retention.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a log file is put aside, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rotation {
    pub(super) every: Option<Duration>,
    pub(super) at_size: Option<u64>,
    pub(super) keep: Option<usize>,
}

/// An open log file. Not synced: a log may lose its last lines in a power failure.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    permissions: u32,
    out: BufWriter<File>,
    written: u64,
    opened_ms: u64,
}

impl LogFile {
    /// Opens a file to append to; makes it, with these permissions, where it is not there.
    pub(super) fn open(path: &Path, permissions: u32, now_ms: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(permissions).open(path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            permissions,
            out: BufWriter::with_capacity(64 * 1024, file),
            written,
            opened_ms: now_ms,
        })
    }

    pub(super) fn write(&mut self, text: &[u8]) -> std::io::Result<()> {
        self.written = self.written.saturating_add(text.len() as u64);
        self.out.write_all(text)
    }

    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    /// Puts the file aside and opens a new one, if it is time.
    pub(super) fn rotate(&mut self, rotation: &Rotation, now_ms: u64) -> std::io::Result<()> {
        let age = Duration::from_millis(now_ms.saturating_sub(self.opened_ms));
        let is_old = rotation.every.is_some_and(|every| !every.is_zero() && age >= every);
        let is_large = rotation.at_size.is_some_and(|size| self.written >= size);
        if self.written == 0 || !(is_old || is_large) {
            return Ok(());
        }
        self.flush()?;
        let ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let stamp = time.strftime("%Y%m%d%H%M%S").to_string();
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut aside = self.path.with_file_name(format!("{name}.{stamp}Z"));
        let mut count = 0;
        while aside.exists() {
            count += 1;
            aside = self.path.with_file_name(format!("{name}.{stamp}Z.{count:03}"));
        }
        std::fs::rename(&self.path, &aside)?;
        *self = Self::open(&self.path.clone(), self.permissions, now_ms)?;
        if let Some(keep) = rotation.keep {
            self.remove_oldest(&name, keep)?;
        }
        Ok(())
    }

    /// Keeps this many files that were put aside.
    fn remove_oldest(&self, name: &str, keep: usize) -> std::io::Result<()> {
        let Some(directory) = self.path.parent() else { return Ok(()) };
        let prefix = format!("{name}.");
        let mut aside = Vec::new();
        for item in std::fs::read_dir(directory)? {
            let item = item?;
            let is_ours = item.file_name().to_str().is_some_and(|found| {
                found.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            });
            if is_ours {
                aside.push(item.path());
            }
        }
        aside.sort();
        for old in aside.iter().take(aside.len().saturating_sub(keep)) {
            std::fs::remove_file(old)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_or_old_file_is_put_aside_and_few_are_kept() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("access");
        let rotation = Rotation { every: Some(Duration::from_secs(60)), at_size: Some(10), keep: Some(2) };
        let mut file = LogFile::open(&path, 0o640, 0).unwrap();
        file.rotate(&rotation, 1).unwrap();
        let count = || std::fs::read_dir(place.path()).unwrap().count();
        assert_eq!(count(), 1);
        for turn in 0..5 {
            file.write(b"0123456789").unwrap();
            file.rotate(&rotation, turn).unwrap();
        }
        assert_eq!(count(), 3);
        file.write(b"x").unwrap();
        file.rotate(&rotation, 30_000).unwrap();
        file.flush().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        file.rotate(&rotation, 61_000).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert_eq!(count(), 3);
    }
}
