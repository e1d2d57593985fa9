//! Authorization identity (RFC 3829): a bind asks as whom it was let in.

use bytes::Bytes;

use crate::protocol::encode::ResponseControl;
use crate::protocol::oid;

/// The response control: `dn:` and the DN, or an empty value for anonymous.
pub fn response(dn: &str) -> ResponseControl {
    let value = if dn.is_empty() { Bytes::new() } else { Bytes::from(format!("dn:{dn}")) };
    ResponseControl::new(oid::AUTHORIZATION_IDENTITY_RESPONSE, Some(value))
}
