//! Filters resolved against the schema, and their three-valued evaluation (RFC 4511 §4.5.1.7).

use super::StoredEntry;
use crate::protocol::filter::Filter;
use crate::schema::Schema;

/// True, false or undefined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Tri {
    True,
    False,
    Undefined,
}

/// A filter whose attribute types, rules and assertion keys are looked up once.
#[derive(Debug, Clone)]
pub struct CompiledFilter {}

impl CompiledFilter {
    /// Resolves a filter; whatever the schema does not know becomes Undefined, never an error.
    pub fn compile(_filter: &Filter<'_>, _schema: &Schema) -> Self {
        unimplemented!()
    }

    /// Evaluates it on one version of an entry.
    pub fn evaluate(&self, _entry: &StoredEntry) -> Tri {
        unimplemented!()
    }
}
