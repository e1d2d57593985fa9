//! The view that operations see, and the way of a change: sequencer, log, indexes.
//!
//! `operation` sees [`TokenStore`] alone and stays ignorant of what answers.

mod apply;
mod build;
mod cache;
mod dataset;
mod execute;
mod explain;
mod index;
mod index_store;
mod memory;
mod open;
mod overlay;
mod packed;
mod pipeline;
mod plan;
mod purge;
mod record;
mod replay;
mod shared;
mod space;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod view;

pub use index_store::{Batch, EntryId, Estimate, IndexStore, SharedStore, Slot, TreeId, Visit, Write};
pub use memory::MemoryStore;
pub use open::{Backend, BackendOptions, BackendStats};
pub use purge::{PurgeHold, Purged};
pub use space::{Pressure, SegmentUse, SpaceSettings};

pub use store::{
    Candidate, Candidates, Change, ChangeError, ChangeKind, ChangeListener, Committed, Edit, EntryCheck,
    IndexConfig, IndexType, NewEntry, ParentCheck, PlanReport, Query, Resume, StoreError, Subscription,
    TokenStore, Verdict,
};
