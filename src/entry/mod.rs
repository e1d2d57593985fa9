//! Entries: the stored form (which is the wire form), attribute selection, filters resolved against the schema,
//! and modifications.
//!
//! An entry's attributes are kept as the encoded list that a search answer carries
//! ([`crate::protocol::message::Attributes`]), spelled as the schema spells them, values byte for byte, so that an
//! answer is a splice of stored bytes.

mod filter;
mod modify;
mod project;
mod stored;

pub use filter::{CompiledFilter, Tri};
pub use modify::{Edited, ModifyError, PreparedModifications};
pub use project::Selection;
pub use stored::{EntryBuilder, EntryError, EntryUuid, StoredEntry};
