//! What names and values mean (RFC 4512, 4517, 4518): definitions, syntaxes, matching rules, and the
//! immutable snapshot [`Schema`] that every operation takes at its start.

pub mod definition;
pub mod matching;
pub mod syntax;

mod check;
mod dn_key;
mod edit;
mod error;
mod load;
mod prepare;
mod registry;

pub use check::Violation;
pub use dn_key::NormalizedDn;
pub use edit::{ElementKind, SchemaEdit};
pub use error::SchemaError;
pub use load::SchemaStore;
pub use matching::MatchingRule;
pub use registry::{AttributeDescription, AttributeType, Kind, ObjectClass, Schema, TypeId, Usage};
pub use syntax::Syntax;
