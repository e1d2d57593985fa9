//! A log file with rotation and retention.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::system::disk_space;
use crate::config::LogPublisher;

/// When a log file is put aside, and how many are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rotation {
    pub(super) every: Option<Duration>,
    pub(super) at_size: Option<u64>,
    /// Minutes of the day, local time.
    pub(super) at: Vec<u16>,
    pub(super) keep: Option<usize>,
    /// Octets that the files put aside may take.
    pub(super) keep_size: Option<u64>,
    /// Octets that must be free on the disk.
    pub(super) keep_free: Option<u64>,
}

impl Rotation {
    /// What a publisher wants.
    pub(super) fn of(publisher: &LogPublisher) -> Self {
        Self {
            every: publisher.rotate_every.filter(|every| !every.is_zero()),
            at_size: publisher.rotate_at_size,
            at: publisher.rotate_at.clone(),
            keep: publisher.keep_files,
            keep_size: publisher.keep_size,
            keep_free: publisher.keep_free,
        }
    }
}

fn time(ms: u64) -> jiff::Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Whether one of these minutes of the day came between two moments.
fn has_struck(minutes: &[u16], since_ms: u64, now_ms: u64, zone: &jiff::tz::TimeZone) -> bool {
    if minutes.is_empty() || now_ms <= since_ms {
        return false;
    }
    if now_ms - since_ms >= 86_400_000 {
        return true;
    }
    let minute = |ms: u64| {
        let at = time(ms).to_zoned(zone.clone());
        let hours = u16::try_from(at.hour()).unwrap_or(0);
        hours * 60 + u16::try_from(at.minute()).unwrap_or(0)
    };
    let (since, now) = (minute(since_ms), minute(now_ms));
    let is_next_day = now < since || (now == since && now_ms - since_ms > 3_600_000);
    minutes.iter().any(|&due| match is_next_day {
        false => since < due && due <= now,
        true => since < due || due <= now,
    })
}

/// An open log file. Not synced: a log may lose its last lines in a power failure.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    permissions: u32,
    file: File,
    written: u64,
    opened_ms: u64,
}

impl LogFile {
    /// Opens a file to append to; makes it, with these permissions, where it is not there. The age of a file that is
    /// there counts from when it was made, where the system tells.
    pub(super) fn open(path: &Path, permissions: u32, now_ms: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(permissions).open(path)?;
        let metadata = file.metadata()?;
        let written = metadata.len();
        let mut opened_ms = now_ms;
        if written == 0 {
            // Whatever the process's mask is.
            let _ = file.set_permissions(Permissions::from_mode(permissions));
        } else if let Ok(made) = metadata.created()
            && let Ok(since) = made.duration_since(UNIX_EPOCH)
        {
            opened_ms = u64::try_from(since.as_millis()).unwrap_or(now_ms).min(now_ms);
        }
        Ok(Self { path: path.to_owned(), permissions, file, written, opened_ms })
    }

    /// Opens the file anew under its name: somebody else may have moved it.
    pub(super) fn reopen(&mut self, now_ms: u64) -> std::io::Result<()> {
        *self = Self::open(&self.path, self.permissions, now_ms)?;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// New permissions, for the file too.
    pub(super) fn permit(&mut self, permissions: u32) -> std::io::Result<()> {
        if self.permissions != permissions {
            self.file.set_permissions(Permissions::from_mode(permissions))?;
            self.permissions = permissions;
        }
        Ok(())
    }

    /// Hands text to the system.
    pub(super) fn write(&mut self, text: &[u8]) -> std::io::Result<()> {
        self.written = self.written.saturating_add(text.len() as u64);
        self.file.write_all(text)
    }

    /// Puts the file aside and opens a new one, if it is time.
    pub(super) fn rotate(&mut self, rotation: &Rotation, now_ms: u64) -> std::io::Result<()> {
        if self.written == 0 {
            return Ok(());
        }
        let age = Duration::from_millis(now_ms.saturating_sub(self.opened_ms));
        let is_due = rotation.every.is_some_and(|every| age >= every)
            || rotation.at_size.is_some_and(|size| self.written >= size)
            || (!rotation.at.is_empty()
                && has_struck(&rotation.at, self.opened_ms, now_ms, &jiff::tz::TimeZone::system()));
        if !is_due {
            return Ok(());
        }
        let stamp = time(now_ms).strftime("%Y%m%d%H%M%S").to_string();
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut aside = self.path.with_file_name(format!("{name}.{stamp}Z"));
        let mut count = 0;
        while aside.exists() {
            count += 1;
            aside = self.path.with_file_name(format!("{name}.{stamp}Z.{count:03}"));
        }
        match std::fs::rename(&self.path, &aside) {
            Ok(()) => {}
            // Somebody has moved it already.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        *self = Self::open(&self.path, self.permissions, now_ms)?;
        self.remove_oldest(&name, rotation)
    }

    /// Removes files that were put aside, the oldest first, until the rest may stay.
    fn remove_oldest(&self, name: &str, rotation: &Rotation) -> std::io::Result<()> {
        let Some(directory) = self.path.parent() else { return Ok(()) };
        let prefix = format!("{name}.");
        let mut aside = Vec::new();
        for item in std::fs::read_dir(directory)? {
            let item = item?;
            let is_ours = item.file_name().to_str().is_some_and(|found| {
                found.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            });
            if is_ours {
                aside.push((item.path(), item.metadata().map_or(0, |metadata| metadata.len())));
            }
        }
        aside.sort();
        let mut octets: u64 = aside.iter().map(|(_, octets)| octets).sum();
        let mut files = aside.len();
        for (old, size) in aside {
            let is_short = |least: u64| disk_space(directory).is_some_and(|(free, _)| free < least);
            let goes = rotation.keep.is_some_and(|keep| files > keep)
                || rotation.keep_size.is_some_and(|keep| octets > keep)
                || rotation.keep_free.is_some_and(is_short);
            if !goes {
                break;
            }
            std::fs::remove_file(old)?;
            files -= 1;
            octets = octets.saturating_sub(size);
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
        let rotation = Rotation {
            every: Some(Duration::from_secs(60)),
            at_size: Some(10),
            keep: Some(2),
            ..Rotation::default()
        };
        let mut file = LogFile::open(&path, 0o640, 0).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
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
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        file.rotate(&rotation, 61_000).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert_eq!(count(), 3);
        file.permit(0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn files_go_by_size_and_a_moved_file_is_made_anew() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("audit");
        let rotation = Rotation { at_size: Some(1), keep_size: Some(25), ..Rotation::default() };
        let mut file = LogFile::open(&path, 0o640, 0).unwrap();
        for turn in 0..4 {
            file.write(b"0123456789").unwrap();
            file.rotate(&rotation, turn * 1000).unwrap();
        }
        let count = || std::fs::read_dir(place.path()).unwrap().count();
        assert_eq!(count(), 3, "two of ten octets, and the new one");
        file.write(b"before").unwrap();
        std::fs::rename(&path, place.path().join("moved")).unwrap();
        file.write(b" the move").unwrap();
        file.reopen(0).unwrap();
        file.write(b"after").unwrap();
        assert_eq!(std::fs::read(place.path().join("moved")).unwrap(), b"before the move");
        assert_eq!(std::fs::read(&path).unwrap(), b"after");
    }

    /// The server's own day cannot be waited for, so the moments are told.
    #[test]
    fn times_of_day_put_the_file_aside() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("access");
        let now_ms = 1_700_000_000_000_u64;
        let minute = |ms: u64| {
            let at = time(ms).to_zoned(jiff::tz::TimeZone::system());
            u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).unwrap()
        };
        let mut publisher = LogPublisher::new("access", crate::config::LogKind::Access, "access");
        for (at, files) in [(minute(now_ms) + 7, 1), (minute(now_ms), 2)] {
            publisher.rotate_at = vec![at % 1440];
            let mut file = LogFile::open(&path, 0o640, now_ms - 120_000).unwrap();
            file.opened_ms = now_ms - 120_000;
            file.write(b"x").unwrap();
            file.rotate(&Rotation::of(&publisher), now_ms).unwrap();
            assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), files, "{at}");
        }
    }

    #[test]
    fn times_of_day_strike_once() {
        let zone = jiff::tz::TimeZone::UTC;
        let at = |hours: u64, minutes: u64| (hours * 60 + minutes) * 60_000;
        let half_past_one = [90_u16];
        assert!(has_struck(&half_past_one, at(1, 0), at(1, 30), &zone));
        assert!(!has_struck(&half_past_one, at(1, 30), at(23, 0), &zone));
        assert!(has_struck(&half_past_one, at(23, 0), at(24 + 2, 0), &zone));
        assert!(!has_struck(&half_past_one, at(23, 0), at(24 + 1, 0), &zone));
        assert!(has_struck(&half_past_one, at(2, 0), at(24 + 2, 0), &zone));
        assert!(!has_struck(&[], at(2, 0), at(48, 0), &zone));
    }
}
