//! What the tests stand on: server processes, raw connections, OpenLDAP's tools, requests as OpenAM writes them. No
//! asserts here.

mod ber;
mod controls;
mod instance;
mod link;
mod reply;
mod store;
mod tools;
mod watchdog;

pub(crate) use ber::{hex, int, octets, seq, tlv};
pub(crate) use controls::Ctl;
pub(crate) use instance::{DM, Instance, PASSWORD, SUFFIX, Setup, program};
pub(crate) use link::{Link, Lost, Query, request};
pub(crate) use reply::{Answer, Entry, Found, Reply};
pub(crate) use store::{CTS_USER, FAMRECORDS, INDEXES, NOBODY, Store, TID, Token, all_cts_fields, cts};
pub(crate) use tools::{Ran, Tool, fixture, ldif_file, tool};

/// Turns `what` until it gives something, for at most `seconds`.
pub(crate) fn within<T>(seconds: u64, mut what: impl FnMut() -> Option<T>) -> Option<T> {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    loop {
        if let Some(found) = what() {
            return Some(found);
        }
        if std::time::Instant::now() >= end {
            return None;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
