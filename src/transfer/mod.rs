//! LDIF in and out as a whole: import and export of the data store, while the server runs or is stopped.
//!
//! An import makes a new data set beside the old one ([`crate::backend::BulkLoader`]) and exchanges the two at the end; an
//! export writes one moment of the store ([`crate::backend::Snapshot`]). Both work by pieces on all cores, with everything
//! in the order of the input. What may enter: what a whole LDIF file means for the store. No tasks, no command lines.

mod choice;
mod convert;
mod export;
mod import;
mod notes;
mod progress;
mod source;
mod template;
#[cfg(test)]
mod tests;

pub use choice::{Choice, Chosen};
pub use export::{ExportJob, ExportReport};
pub use import::{ImportJob, ImportReport};
pub use progress::Watch;

use crate::backend::StoreError;

/// Why an import or export does not come to its end. Nothing is changed then, but for files that were to be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// An option, a template or the data do not fit; says what is wanted.
    #[error("{0}")]
    Unfit(String),
    /// A file.
    #[error("{file}: {source}")]
    File {
        /// Its name.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// It was asked to stop.
    #[error("stopped before its end; nothing was changed")]
    Stopped,
    /// A thread ended by a fault of the program.
    #[error("a thread of the transfer failed")]
    Thread,
}

impl TransferError {
    fn file(file: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let file = file.display().to_string();
        move |source| Self::File { file, source }
    }
}
