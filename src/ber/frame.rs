//! Cutting one LDAPMessage out of a stream. The size is refused at the header, before anything is buffered.

use bytes::{Bytes, BytesMut};

use super::tag;

/// Why no message can be cut any more; the stream is lost and the connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The first octet is not the SEQUENCE of an LDAPMessage.
    #[error("not an LDAP message: it starts with octet {0:#04x}")]
    NotAMessage(u8),
    /// Indefinite length, or a length of more than four octets.
    #[error("the message's length is indefinite or has more than four octets")]
    Length,
    /// The message is larger than the limit.
    #[error("the message has {size} octets, the limit is {limit}")]
    TooLarge {
        /// Octets of the message with its header.
        size: usize,
        /// The limit (`ds-cfg-max-request-size`).
        limit: usize,
    },
}

/// What the front of the buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// One whole LDAPMessage with its header; it has left the buffer.
    Message(Bytes),
    /// Not yet whole: at least this many octets have to be in the buffer.
    Incomplete(usize),
}

/// Cuts the message at the front of `buffer`, if it is whole. `limit` bounds the whole message in octets.
pub fn cut(buffer: &mut BytesMut, limit: usize) -> Result<Cut, FrameError> {
    let Some(&first) = buffer.first() else { return Ok(Cut::Incomplete(2)) };
    if first != tag::SEQUENCE {
        return Err(FrameError::NotAMessage(first));
    }
    let Some(&second) = buffer.get(1) else { return Ok(Cut::Incomplete(2)) };
    let (header, length) = if second < 0x80 {
        (2, usize::from(second))
    } else {
        let count = usize::from(second & 0x7f);
        if count == 0 || count > 4 {
            return Err(FrameError::Length);
        }
        let Some(octets) = buffer.get(2..2 + count) else { return Ok(Cut::Incomplete(2 + count)) };
        (2 + count, octets.iter().fold(0_usize, |sum, &octet| (sum << 8) | usize::from(octet)))
    };
    let size = header + length;
    if size > limit {
        return Err(FrameError::TooLarge { size, limit });
    }
    if buffer.len() < size {
        Ok(Cut::Incomplete(size))
    } else {
        Ok(Cut::Message(buffer.split_to(size).freeze()))
    }
}
