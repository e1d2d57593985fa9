//! Who may do what: privileges, and access control instructions (features.md §5).
//!
//! Everything is refused unless something grants it. A DN is a secret here (it holds the token id): an entry is
//! matched or returned only to who may read a user attribute of it.

mod control;
mod privilege;
mod requester;

pub use control::{AccessControl, AccessSet, AciError, Readable, Right, Rights};
pub use privilege::{Privilege, Privileges};
pub use requester::{AuthMethod, Limits, Requester};
