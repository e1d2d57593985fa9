//! Fuzz targets: one file a format, each an ordinary test that a fuzzing engine can drive as well.
//!
//! As tests they run a bounded number of random inputs (`BOLERO_RANDOM_ITERATIONS` raises it); under an engine
//! each target runs until it is stopped. A target states what must hold for whatever the bytes are: nothing
//! panics, and what is taken reads the same after it was written.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod aci;
mod definition;
mod dn;
mod filter_text;
mod frame;
mod ldif;
mod message;

/// Inputs a target gets when it runs as a test.
pub(crate) const ITERATIONS: usize = 3_000;
