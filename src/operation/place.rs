//! Where an entry lives: in the store, or in a backend that makes its entries when asked.

use std::sync::Arc;

use super::answer::Exchange;
use super::{Directory, VirtualBackend, outcome};
use crate::protocol::result::LdapResult;
use crate::schema::{NormalizedDn, Schema};

/// Where an entry lives, if it lives.
pub(super) enum Place {
    /// In the store.
    Stored,
    /// In a virtual backend.
    Virtual(Arc<dyn VirtualBackend>),
}

/// The key of a DN; `what` says whose DN it is, for who sent a bad one.
pub(super) fn key(dn: &str, what: &str, schema: &Schema) -> Result<NormalizedDn, LdapResult> {
    NormalizedDn::parse(dn, schema).map_err(|error| outcome::dn_error(what, dn, &error))
}

/// Where the entry of this key would live. The root is the root DSE's.
pub(super) fn of(directory: &Directory, key: &NormalizedDn) -> Place {
    let is_root = key.as_bytes().is_empty();
    let backend = directory.virtual_backends.iter().find(|backend| {
        let (_, suffix) = backend.suffix();
        if is_root { suffix == key } else { !suffix.as_bytes().is_empty() && suffix.covers(key) }
    });
    backend.map_or(Place::Stored, |backend| Place::Virtual(Arc::clone(backend)))
}

/// The matched DN for an entry that is not there, or must not be seen: the deepest above it, if the requester may see
/// that.
pub(super) fn matched(exchange: &Exchange, key: &NormalizedDn) -> String {
    key.parent().map(|parent| disclosed(exchange, exchange.store().deepest(&parent))).unwrap_or_default()
}

/// A matched DN, if the requester may see the entry it names; else nothing.
pub(super) fn disclosed(exchange: &Exchange, dn: String) -> String {
    if dn.is_empty() {
        return dn;
    }
    let is_seen = NormalizedDn::parse(&dn, &exchange.schema).is_ok_and(|key| {
        let entry = exchange.store().get(&key).ok().flatten();
        entry.is_some_and(|entry| exchange.sight.of(&entry, &key).is_some())
    });
    if is_seen { dn } else { String::new() }
}
