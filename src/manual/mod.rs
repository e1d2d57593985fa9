//! The manual: how the server is built and why, kept beside the code so that it moves with it.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("wire.md")]
pub mod wire {}

#[doc = include_str!("schema.md")]
pub mod schema {}

#[doc = include_str!("storage.md")]
pub mod storage {}

#[doc = include_str!("access.md")]
pub mod access {}

#[doc = include_str!("rfc.md")]
pub mod rfc {}

#[doc = include_str!("operations.md")]
pub mod operations {}

#[doc = include_str!("coming-from-opendj.md")]
pub mod coming_from_opendj {}

#[doc = include_str!("performance.md")]
pub mod performance {}
