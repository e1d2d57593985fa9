//! The schema on disk: `schema/*.ldif` files in lexical order, edits kept in `99-user.ldif`.

use std::path::Path;
use std::sync::Arc;

use super::{Schema, SchemaEdit, SchemaError};

/// The schema in force and the directory it is kept in. Readers take a snapshot and keep it for a whole operation.
#[derive(Debug)]
pub struct SchemaStore {}

impl SchemaStore {
    /// Loads every `.ldif` file of `directory`, in lexical order.
    pub fn open(_directory: &Path) -> Result<Self, SchemaError> {
        unimplemented!()
    }

    /// The built-in schema (the files under `schema/`, compiled in), kept nowhere; for tests and tools.
    pub fn builtin(_with_cts: bool) -> Self {
        unimplemented!()
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Schema> {
        unimplemented!()
    }

    /// Applies all edits in order or none, persists them (synced, renamed into place), then swaps the snapshot.
    pub fn edit(&self, _edits: &[SchemaEdit]) -> Result<(), SchemaError> {
        unimplemented!()
    }
}
