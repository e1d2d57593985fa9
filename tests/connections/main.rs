//! Connections as hostile or unlucky clients use them: raw sockets against a server in this process.
//!
//! Nothing here waits for time to pass, but where a time limit itself is what is tested; every wait for an answer is
//! bounded.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../ports/mod.rs"]
mod ports;
#[path = "../trust/mod.rs"]
mod trust;

mod admission;
mod certificates;
mod ending;
mod fixture;
mod flow;
mod http;
mod idle;
mod overload;
mod process;
mod service;
mod stream;
mod tls;
