//! What a store is after it was stopped: a disk that fails where it is told to, and what is found when it is opened
//! again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod compaction;
mod full;
mod purge;
mod store;
