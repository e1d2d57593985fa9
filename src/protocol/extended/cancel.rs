//! Cancel (RFC 3909): the message id of the operation to end.

use bytes::Bytes;
use rasn::prelude::{AsnType, Decode, Decoder, Encode};

use super::ValueError;
use crate::protocol::control::value;
use crate::protocol::message::MessageId;

#[derive(AsnType, Encode, Decode)]
struct CancelRequestValue {
    cancel_id: i64,
}

/// Reads a request's value.
pub fn parse(bytes: Option<&[u8]>) -> Result<MessageId, ValueError> {
    let decoded: CancelRequestValue = value::decode(bytes.ok_or(ValueError::NoValue)?)?;
    let id = i32::try_from(decoded.cancel_id).ok().filter(|id| *id >= 0);
    id.map(MessageId).ok_or(ValueError::Range)
}

/// Writes a request's value.
pub fn request_value(id: MessageId) -> Bytes {
    value::encode(&CancelRequestValue { cancel_id: id.0.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_names_a_message() {
        assert_eq!(request_value(MessageId(7)).as_ref(), b"\x30\x03\x02\x01\x07");
        assert_eq!(parse(Some(b"\x30\x03\x02\x01\x07")), Ok(MessageId(7)));
        assert_eq!(parse(None), Err(ValueError::NoValue));
        assert_eq!(parse(Some(b"\x30\x03\x02\x01\xff")), Err(ValueError::Range));
        assert!(parse(Some(b"\x30\x80\x02\x01\x07\x00\x00")).is_err());
    }
}
