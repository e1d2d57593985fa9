//! Values that are ASN.1: a strict check first, then rasn.
//!
//! rasn's BER takes indefinite lengths, constructed strings, booleans other than FF and trailing bytes, none of
//! which RFC 4511 §5.1 allows, so our own reader looks first.

use bytes::Bytes;

use super::ControlError;
use crate::ber::{BerError, Reader, read, tag};

/// Octets of the largest value of a known control: rasn's trees take some 16 times the octets.
pub(crate) const MAX: usize = 64 * 1024;

/// Levels within a value; ours have two.
const MAX_DEPTH: usize = 8;

/// Decodes a value of a control or an extended operation.
pub(crate) fn decode<T: rasn::Decode>(value: &[u8]) -> Result<T, ControlError> {
    if value.len() > MAX {
        return Err(ControlError::TooLarge);
    }
    let mut reader = Reader::new(value);
    let outer = reader.tlv()?;
    reader.finish()?;
    strict(outer, 1)?;
    rasn::ber::decode(value).map_err(|_| ControlError::Form)
}

/// Encodes a value. Our types have nothing that rasn could refuse; were it to, the value would be empty, which
/// no client takes for a right one.
pub(crate) fn encode<T: rasn::Encode>(value: &T) -> Bytes {
    rasn::ber::encode(value).map(Bytes::from).unwrap_or_default()
}

fn strict(tlv: crate::ber::Tlv<'_>, depth: usize) -> Result<(), ControlError> {
    match tlv.tag {
        tag::SEQUENCE | tag::SET => {
            if depth > MAX_DEPTH {
                return Err(ControlError::Form);
            }
            let mut reader = Reader::new(tlv.content);
            while !reader.is_empty() {
                strict(reader.tlv()?, depth + 1)?;
            }
            Ok(())
        }
        constructed if constructed & 0x20 != 0 => Err(BerError::TagForm.into()),
        tag::BOOLEAN => Ok(read::boolean(tlv.content).map(drop)?),
        _ => Ok(()),
    }
}
