//! Every property that `dsconfig` knows: set, read back by the tool and in `cn=config`, effective, and all of it again
//! after a restart. The list comes from the program; each property has a row in a table here, or the test fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "../ports/mod.rs"]
mod ports;
#[path = "../trust/mod.rs"]
mod trust;

mod backend;
mod certificates;
mod client;
mod credentials;
#[allow(dead_code, reason = "the tools' tests use all of it")]
#[path = "../tools/fixture.rs"]
mod fixture;
mod global;
mod handlers;
mod kept;
mod logs;
mod table;
mod tasks;
mod world;
