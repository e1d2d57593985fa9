//! Entries: the stored form (which is the wire form), attribute selection, filters resolved against the schema,
//! and modifications.
//!
//! An entry's attributes are kept as the encoded list that a search answer carries
//! ([`crate::protocol::message::Attributes`]), spelled as the schema spells them, values byte for byte, so that an
//! answer is a splice of stored bytes.

mod apply;
mod builder;
mod evaluate;
mod filter;
mod filter_print;
mod list;
mod modify;
mod naming;
mod project;
mod stored;
mod target;
#[cfg(test)]
mod tests;

pub use apply::{Edited, EffectKind};
pub use builder::{EntryBuilder, missing_superiors};
pub use filter::{CompiledFilter, Tri, ValuesFilter};
pub use modify::{ModifyError, PreparedModifications};
pub use naming::{Naming, NamingError, lacks_rdn_value, take_rdn};
pub use project::{Readable, Selection, Slices};
pub(crate) use stored::is_subentry_class;
pub use stored::{EntryError, EntryParts, EntryUuid, StoredEntry};
pub use target::{EntryContext, NoContext, structural_class};

pub(crate) use filter::{Key, Node, Parts, Test, TestKind, TestScope};
pub(crate) use list::attributes as encoded_attributes;
pub(crate) use target::{Virtual, virtual_value};
