//! RFC 4511 and its companions: messages, filters, controls and extended operations, as values.
//!
//! A [`message::Request`] holds its frame and hands out views that borrow from it; responses are written straight
//! into the connection's buffer by [`encode`].

pub mod filter;
pub mod message;
pub mod result;
