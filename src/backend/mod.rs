//! The view that operations see, and the way of a change: sequencer, log, indexes.
//!
//! `operation` sees [`TokenStore`] alone and stays ignorant of what answers.

mod store;

pub use store::{
    Candidate, Candidates, Change, ChangeError, ChangeKind, ChangeListener, Committed, Edit, IndexConfig,
    IndexType, NewEntry, PlanReport, Query, Resume, StoreError, Subscription, TokenStore, Verdict,
};
