//! Who may do what: privileges, and access control instructions (features.md §5).
//!
//! Everything is refused unless something grants it. A DN is a secret here (it holds the token id): an entry is
//! matched or returned only to who may read a user attribute of it.
//!
//! The way of an ACI: `aci_text` takes it apart, `aci` looks it up in the schema (with `area`: which entries,
//! `attribute_set` and `value_filters`: which attributes and values of them, `bind_rule` and
//! `user_attr`: for whom), `control` keeps all of them, `set` answers
//! questions, with a `profile` worked out once for each requester and place of the tree.
//!
//! What may enter: decisions about who may do what, and what they are made of. No results, no messages.

mod aci;
mod aci_text;
mod area;
mod attribute_set;
mod bind_rule;
mod change;
mod control;
mod explain;
mod globals;
mod network;
mod privilege;
mod profile;
mod requester;
mod right;
mod set;
mod user_attr;
mod value_filters;

pub use bind_rule::Lookup;
pub use control::{AccessControl, check_aci};
pub use explain::{Asked, Explanation, Reason};
pub use globals::{cts_account_acis, default_globals};
pub use network::ClientAddresses;
pub use privilege::{Privilege, Privileges};
pub use requester::{AuthMethod, Limits, Origin, Requester};
pub use right::{AciError, Right, Rights};
pub use set::{AccessSet, FilterAttributes, Readable};
pub use value_filters::Change;

use crate::entry::StoredEntry;
use crate::protocol::list::Values;

/// The values of the stored attribute of this canonical name.
fn values<'a>(entry: &'a StoredEntry, name: &str) -> Option<Values<'a>> {
    let mut attributes = entry.operational().iter().chain(entry.user().iter());
    attributes.find(|attribute| attribute.description == name).map(|attribute| attribute.values)
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
