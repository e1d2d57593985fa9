//! RFC 4511 and its companions: messages, filters, controls and extended operations, as values.
//!
//! [`decode::decode`] checks a frame as a whole and gives a [`message::Request`], which holds its frame and hands
//! out views that borrow from it; responses are written straight into the connection's buffer by [`encode`].
//! [`request`] and [`response`] are the client's side of the same grammar, for tools, tests and the load driver.
//!
//! What may enter: what RFCs and their companions say about octets. No schema, no entries, no decisions: a control
//! is parsed here and obeyed elsewhere.

pub mod control;
pub mod decode;
pub mod encode;
pub mod extended;
pub mod filter;
pub mod filter_text;
pub mod list;
pub mod message;
pub mod oid;
pub mod request;
pub mod response;
pub mod result;
pub mod url;
