//! What a change is called and how it travels: change sequence numbers, state vectors and the change record.
//!
//! No I/O and no clock in here: time comes in as a number. `log` keeps the records, `backend` makes and applies
//! them, replication ships their envelopes as they are.

mod csn;
mod record;
mod ruv;

pub use csn::{Csn, CsnGenerator, Incarnation, Origin, ReplicaId};
pub use record::{ChangeRecord, Extension, Op, Record, RecordOp, RecordOrigin, decode};
pub use ruv::{Ruv, RuvItem};

/// Why bytes or text are not what this room reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangelogError {
    /// Text that is neither 24 nor 28 hexadecimal digits.
    #[error("not a CSN: 24 or 28 hexadecimal digits are expected")]
    Csn,
    /// A replica id or incarnation of zero, or text that is no `replica.incarnation` pair.
    #[error("not an origin: replica id and incarnation are numbers from 1 to 65535, as in 1.1")]
    Origin,
    /// Text that is no list of `origin:oseq:csn` items.
    #[error("not a state vector: {0}")]
    Ruv(&'static str),
    /// Bytes that are no DER change record.
    #[error("not a change record: {0}")]
    Record(&'static str),
    /// Bytes that the ASN.1 decoder refuses.
    #[error("not a change record: {0}")]
    Der(String),
}
