//! The server as its clients see it: the real program, a real socket, and clients that others wrote (OpenLDAP's tools,
//! the `ldap3` crate) beside requests laid out byte by byte where OpenAM's bytes matter.
//!
//! One module a concern; `support` starts servers and carries requests, and asserts nothing. Tests share servers where
//! they do not get into each other's way: each takes a container of its own.

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

mod access;
mod contract;
mod durability;
mod guide;
mod identity;
mod ldap3_client;
mod lifecycle;
mod limits;
mod lockout;
mod observed;
mod operations;
mod paging;
mod persistent;
mod queries;
mod refusals;
mod schema;
mod secrecy;
mod storm;
mod support;
mod tls;
mod traps;
