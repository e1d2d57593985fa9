//! DN text (RFC 4514), without schema: parsing, printing, walking up. What a DN *equals* is the schema's
//! business ([`crate::schema::NormalizedDn`]).

mod ava;
mod dn;
mod rdn;
mod reader;

pub use ava::Ava;
pub use dn::{Dn, DnError};
pub use rdn::Rdn;
pub use reader::{AvaRef, DnReader};
