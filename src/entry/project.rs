//! Which attributes a search answer carries (RFC 4511 §4.5.1.8, RFC 3673, RFC 4529).

/// A resolved attribute selection: `*`, `+`, `1.1`, `@class`, names.
#[derive(Debug, Clone)]
pub struct Selection {}
