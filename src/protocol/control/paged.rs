//! Simple paged results (RFC 2696): request and response share OID and value.

use bytes::Bytes;
use rasn::prelude::{AsnType, Decode, Decoder, Encode, OctetString};

use super::{ControlError, value};
use crate::protocol::encode::ResponseControl;
use crate::protocol::oid;

#[derive(AsnType, Encode, Decode)]
struct RealSearchControlValue {
    size: i64,
    cookie: OctetString,
}

/// What a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagedRequest {
    /// Entries of the page; 0 ends the sequence.
    pub size: u32,
    /// Where to go on; empty for the first page.
    pub cookie: Bytes,
}

impl PagedRequest {
    /// Reads the value; also that of a response, whose size is an estimate of the whole.
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlError> {
        let decoded: RealSearchControlValue = value::decode(bytes)?;
        let size = i32::try_from(decoded.size).ok().and_then(|size| u32::try_from(size).ok());
        Ok(Self { size: size.ok_or(ControlError::Range)?, cookie: decoded.cookie.into() })
    }

    /// Writes the value.
    pub fn value(&self) -> Bytes {
        let cookie = OctetString::from(self.cookie.clone());
        value::encode(&RealSearchControlValue { size: self.size.into(), cookie })
    }
}

/// The response control: an empty cookie says that nothing is left; `size` 0 is "not known".
pub fn response(size: u32, cookie: Bytes) -> ResponseControl {
    ResponseControl::new(oid::PAGED_RESULTS, Some(PagedRequest { size, cookie }.value()))
}
