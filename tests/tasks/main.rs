//! Tasks as an administrator sees them: entries of `cn=Tasks` over LDAP, under a clock that stands still until the test
//! moves it, with mail, web and program listeners of the test's own.
//!
//! Nothing here waits for time to pass; every wait for something to happen is bounded.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../ports/mod.rs"]
mod ports;

mod classes;
mod notices;
mod protected;
mod recurring;
mod states;
mod world;
