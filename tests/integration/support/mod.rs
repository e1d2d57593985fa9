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
pub(crate) use link::{Link, Lost, PATIENCE, Query, request};
pub(crate) use reply::{Answer, Entry, Found, Reply};
pub(crate) use store::{CTS_USER, FAMRECORDS, INDEXES, NOBODY, Store, TID, Token, all_cts_fields, cts};
pub(crate) use tools::{Ran, Tool, fixture, ldif_file, tool};

/// Turns `what` until it gives something, for at most [`PATIENCE`].
pub(crate) fn within<T>(mut what: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = std::time::Instant::now();
    // Not by time alone: the machine may have stood still.
    for turn in 0.. {
        if let Some(found) = what() {
            return Some(found);
        }
        if turn > 100 && begun.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    None
}
