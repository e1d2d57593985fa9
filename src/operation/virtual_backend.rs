//! Suffixes whose entries are made when asked for.

use std::sync::Arc;

use super::Directory;
use crate::access::Requester;
use crate::entry::StoredEntry;
use crate::protocol::message::{AddRequest, ModifyRequest};
use crate::protocol::result::LdapResult;
use crate::schema::NormalizedDn;

/// A suffix that is made, not stored. The generic search does scope, filter, access and projection over its entries;
/// writes come here after the control gate.
pub trait VirtualBackend: Send + Sync {
    /// The suffix: DN as shown, and key. The root DSE's is the root, and it serves the base scope alone.
    fn suffix(&self) -> (&str, &NormalizedDn);
    /// All entries, parents before children; the root DSE returns its one entry. May refuse (privileges).
    fn entries(
        &self,
        directory: &Directory,
        who: &Requester,
    ) -> Result<Vec<(NormalizedDn, Arc<StoredEntry>)>, LdapResult>;
    /// Adds an entry.
    fn add(&self, directory: &Directory, who: &Requester, request: &AddRequest<'_>) -> LdapResult;
    /// Modifies an entry.
    fn modify(&self, directory: &Directory, who: &Requester, request: &ModifyRequest<'_>) -> LdapResult;
    /// Deletes an entry.
    fn delete(&self, directory: &Directory, who: &Requester, dn: &NormalizedDn) -> LdapResult;
}
