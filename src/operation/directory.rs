//! The server as operations see it: everything shared by all connections.

use std::sync::Arc;

use super::VirtualBackend;
use crate::access::AccessControl;
use crate::backend::TokenStore;
use crate::clock::Clock;
use crate::schema::SchemaStore;

/// Everything the connections share.
pub struct Directory {
    /// Definitions in force.
    pub schema: Arc<SchemaStore>,
    /// The entries.
    pub store: Arc<dyn TokenStore>,
    /// The ACIs in force.
    pub access: Arc<AccessControl>,
    /// Suffixes that are made, not stored: the root DSE, `cn=config`, `cn=schema`, `cn=monitor`.
    pub virtual_backends: Vec<Arc<dyn VirtualBackend>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}
