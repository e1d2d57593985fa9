//! `ctsd`: a native LDAP directory server made to be OpenAM's Core Token Service (CTS) store.
//!
//! The crate is a house of rooms. Data flows one way, and a room uses only the rooms below it
//! (`tests/architecture.rs` holds the order). Read [`manual`] first.

pub mod clock;

pub mod ber;

pub mod name;
pub mod protocol;

pub mod schema;

pub mod entry;
pub mod ldif;

pub mod config;
pub mod telemetry;

pub mod changelog;
pub mod log;

pub mod backend;

pub mod access;
pub mod auth;
pub mod backup;

pub mod operation;
pub mod transfer;

pub mod admin;
pub mod task;

pub mod session;

pub mod server;

pub mod cli;

pub mod manual;
