//! Backups: making them while the store serves, telling what there is, verifying and restoring them.
//!
//! A backup directory holds a catalogue (`backup.info`, with the names OpenDJ has in it) and one archive directory a backup.
//! An archive holds copied files, each compressed and encrypted if that was asked for, and a manifest that says what each
//! file is, its hashes, and where the replica stood. An incremental backup's manifest names the files of earlier archives
//! that it needs. The bytes are in the manual's storage chapter.
//!
//! What may enter: the archives' formats, and what makes, reads and replaces directories. What asks for it lives in `task`
//! and `cli`.

mod catalogue;
mod frame;
mod key;
mod make;
mod manifest;
mod restore;
mod site;
mod stored;
mod swap;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

pub use catalogue::{Catalogue, Listed};
pub use key::BackupKey;
pub use make::{Job, Made, Options, Subject, back_up};
pub use manifest::{Manifest, Replica};
pub use restore::{Archive, RestoreData, restore_data, restore_files, restore_into};
pub use site::{Order, Site, Watch};

/// Why a backup cannot be made, read or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The operating system refused.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The data store refused.
    #[error(transparent)]
    Store(#[from] crate::backend::StoreError),
    /// What was asked for cannot be, or must not be done; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// A backup is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// The key that a backup was signed or encrypted with is not at hand.
    #[error("{0}")]
    Key(String),
    /// It was asked to end.
    #[error("the work was cancelled")]
    Cancelled,
}

impl BackupError {
    fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.display().to_string();
        move |source| Self::Io { action, file, source }
    }
}

/// Told octets done and all octets; says whether to go on.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// The id of a backup made at a time: `yyyyMMddHHmmssZ`.
pub fn default_id(now_ms: u64) -> String {
    timestamp(now_ms).strftime("%Y%m%d%H%M%SZ").to_string()
}

fn timestamp(ms: u64) -> jiff::Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
