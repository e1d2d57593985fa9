//! The operations, one file each: control gate → access → schema → plan → change → result.
//!
//! An operation gets a [`Call`] and answers through the call's [`Connection`], at once or later; what must call
//! upward does it through the traits here: [`Connection`] (implemented by `session`) and [`VirtualBackend`]
//! (implemented by `admin`).

mod call;
mod directory;
mod virtual_backend;

pub use call::{Call, Connection, Ending, Flight, Served};
pub use directory::Directory;
pub use virtual_backend::VirtualBackend;
