//! One connection's mind: what waits to be written, which requests are in flight, who the client is, and what
//! happens to the next message. No sockets here; `server` moves the bytes.

mod courier;
mod in_flight;
mod internal;
mod outbox;
mod pace;
mod reason;
mod state;

pub use courier::Courier;
pub use internal::{Internal, NamedValues};
pub use outbox::{Outbox, Taken};
pub use pace::Limits;
pub use reason::Reason;
pub use state::{Awaited, Next, Observer, Peer, Session};
