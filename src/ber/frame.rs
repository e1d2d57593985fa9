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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(bytes: &[u8], limit: usize) -> Result<Cut, FrameError> {
        cut(&mut BytesMut::from(bytes), limit)
    }

    #[test]
    fn an_incomplete_message_says_what_it_needs() {
        assert_eq!(first(b"", 100), Ok(Cut::Incomplete(2)));
        assert_eq!(first(b"\x30", 100), Ok(Cut::Incomplete(2)));
        assert_eq!(first(b"\x30\x82", 100), Ok(Cut::Incomplete(4)));
        assert_eq!(first(b"\x30\x05\x02\x01", 100), Ok(Cut::Incomplete(7)));
    }

    #[test]
    fn a_message_is_refused_at_its_header() {
        assert_eq!(first(b"G", 100), Err(FrameError::NotAMessage(b'G')));
        assert_eq!(first(b"\x31\x00", 100), Err(FrameError::NotAMessage(0x31)));
        assert_eq!(first(b"\x30\x80", 100), Err(FrameError::Length));
        assert_eq!(first(b"\x30\x85", 100), Err(FrameError::Length));
        assert_eq!(first(b"\x30\x63", 100), Err(FrameError::TooLarge { size: 101, limit: 100 }));
        let huge = FrameError::TooLarge { size: 0xffff_ffff + 6, limit: 100 };
        assert_eq!(first(b"\x30\x84\xff\xff\xff\xff", 100), Err(huge));
    }

    proptest! {
        #[test]
        fn messages_come_out_whole_however_they_come_in(
            contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..6),
            step in 1_usize..50,
        ) {
            let mut stream = BytesMut::new();
            for content in &contents {
                crate::ber::write::element(&mut stream, tag::SEQUENCE, content);
            }
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for piece in stream.chunks(step) {
                buffer.extend_from_slice(piece);
                loop {
                    match cut(&mut buffer, 1000).unwrap() {
                        Cut::Message(message) => found.push(message),
                        Cut::Incomplete(needed) => {
                            prop_assert!(needed > buffer.len());
                            break;
                        }
                    }
                }
            }
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(found.concat(), stream.to_vec());
            prop_assert_eq!(found.len(), contents.len());
        }
    }
}
