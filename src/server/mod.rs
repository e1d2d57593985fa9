//! Sockets: accepting, TLS, moving bytes between connections and their sessions, and stopping in order.

mod connection;
mod data;
mod health;
mod http;
mod lanes;
mod listener;
mod local;
mod ports;
mod run;
mod socket;
mod table;
mod tls;

pub use data::data_options;
pub use ports::Address;
pub use run::{Opening, Server, ServerError};
pub use tls::{TlsError, TlsFiles, TlsSettings, self_signed};
