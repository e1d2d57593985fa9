//! The OpenDJ tools by their linked names, against a server started for each test; effects are looked at with
//! OpenLDAP's `ldapsearch`, which is nobody's relation.

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

mod backups;
mod configuration;
mod entries;
mod fixture;
mod generated;
mod guide;
mod indexes;
mod logs;
mod owner;
mod tasks;
mod terminal;
mod transfer;
