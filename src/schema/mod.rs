//! What names and values mean (RFC 4512, 4517, 4518): definitions, syntaxes, matching rules, and the
//! immutable snapshot [`Schema`] that every operation takes at its start.

pub mod definition;
pub mod load;
pub mod matching;
pub mod syntax;

mod bits;
mod check;
mod dn_key;
mod edit;
mod error;
mod names;
mod prepare;
mod published;
mod registry;
mod resolve;

pub use check::{ResolvedClasses, Violation};
pub use definition::ElementKind;
pub use dn_key::NormalizedDn;
pub use edit::{SchemaChange, SchemaEdit, USER_FILE};
pub use error::SchemaError;
pub use load::SchemaStore;
pub use matching::MatchingRule;
pub use registry::{AttributeDescription, AttributeType, Kind, ObjectClass, Schema, TypeId, Usage};
pub use syntax::Syntax;
