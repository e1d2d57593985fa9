//! The view that operations see, and the way of a change: sequencer, log, indexes.
//!
//! `operation` sees [`TokenStore`] alone and stays ignorant of what answers.

mod apply;
mod backup;
mod build;
mod bulk;
mod cache;
mod checkpoint;
mod compact;
mod counts;
mod damage;
mod data_store;
mod dataset;
mod door;
mod execute;
mod explain;
mod faulty;
mod freeze;
mod inbox;
mod index;
mod index_store;
mod life;
mod memory;
mod open;
mod overlay;
mod packed;
mod parked;
mod patch;
mod pieces;
mod pipeline;
mod plan;
mod progress;
mod purge;
mod rates;
mod readers;
mod rebuild;
mod record;
mod replay;
mod sequencer;
mod shared;
mod sled;
mod snapshot;
mod space;
mod start;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod upkeep;
mod verify;
mod view;

pub use backup::{BackupSource, CheckpointFile, DATASET_FILE, dataset_file};
pub use bulk::{BulkEntry, BulkLoader, Loaded, Piece, Preparer, Refused};
pub use compact::Compacted;
pub use damage::{Affected, Loss};
pub use data_store::{DataStore, Replacement};
pub use faulty::FaultyStore;
pub use freeze::Frozen;
pub use index_store::{
    Batch, EntryId, Estimate, IndexStore, Marks, Purpose, SharedStore, Slot, TreeId, Visit, Write,
};
pub use life::Life;
pub use memory::MemoryStore;
pub use open::{Backend, BackendOptions, BackendStats};
pub use progress::{StartPhase, StartProgress};
pub use purge::{PurgeHold, Purged};
pub use rebuild::Rebuild;
pub use sled::SledStore;
pub use snapshot::Snapshot;
pub use space::{Pressure, SegmentUse, SpaceSettings};
pub use verify::{Difference, VerifyReport};

pub use store::{
    Candidate, Candidates, Change, ChangeError, ChangeKind, ChangeListener, Committed, Edit, EntryCheck,
    IndexConfig, IndexType, NewEntry, ParentCheck, PlanReport, Query, Reach, Reading, Resume, StoreError,
    Subscription, TokenStore, Verdict,
};
