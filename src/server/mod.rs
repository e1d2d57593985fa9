//! Sockets: accepting, TLS, moving bytes between connections and their sessions, and stopping in order.

mod connection;
mod listener;
mod run;
mod table;
mod tls;

pub use run::{Server, ServerError};
pub use tls::{TlsError, TlsFiles, TlsSettings, self_signed};
