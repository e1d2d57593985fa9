//! LDIF (RFC 2849): records from text and text from records. Knows no schema: names are text, values bytes.
//!
//! [`LdifReader`] streams: it holds one record at a time. Records without `changetype` are content
//! ([`LdifChange::Entry`]); what they are taken for is the caller's choice.

mod error;
mod lines;
mod read;
mod record;
mod write;

pub use error::LdifError;
pub use read::LdifReader;
pub use record::{LdifAttribute, LdifChange, LdifControl, LdifModification, LdifRecord, ModificationKind};
pub use write::LdifWriter;
