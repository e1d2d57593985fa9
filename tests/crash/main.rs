//! What a store is after it was stopped: a disk that fails where it is told to, a process that is killed, and what is found
//! when it is opened again.
//!
//! | what | where |
//! |---|---|
//! | (a) a disk that stops at every durable point | `stops` |
//! | (b) the real server, killed again and again under load | `killed` |
//! | (c) the last group cut off and scribbled over at every offset | `torn` |
//! | (d) the purge, interrupted at every step | `purge`, under SIGKILL `killed` |
//! | (e) a full disk | `full`, a real one `tmpfs` |
//! | (f) a page cache that is lost | `pages` |
//! | (g) trees on disk behind the log and ahead of it | `trees` |
//! | compaction, interrupted at every step | `compaction` |
//! | corruption made by hand | `corrupt` |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../ports/mod.rs"]
mod ports;

mod compaction;
mod corrupt;
mod full;
mod killed;
mod pages;
mod purge;
mod stops;
mod store;
/// Instances of the real server and connections to them, as the integration tests have them.
#[allow(dead_code, unused_imports, clippy::disallowed_methods)]
#[path = "../integration/support/mod.rs"]
mod support;
mod tmpfs;
mod torn;
mod trees;
