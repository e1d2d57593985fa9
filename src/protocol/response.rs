//! Responses as a client reads them: for tests, the load driver and tools that speak to a server.

use crate::ber::{BerError, Reader, tag};

use super::decode::{Budget, Limits, Malformed, text};
use super::encode::{ENTRY, REFERENCE, ResponseKind};
use super::list::{Attributes, Controls, Strings};
use super::message::MessageId;
use super::result::{LdapResult, ResultCode};

/// A message from a server; borrows from the frame.
#[derive(Debug, Clone)]
pub struct ResponseMessage<'a> {
    /// The request's message id; 0 for an unsolicited notification.
    pub id: MessageId,
    /// What the server says.
    pub response: Response<'a>,
    /// The response's controls.
    pub controls: Controls<'a>,
}

/// What a server says.
#[derive(Debug, Clone)]
pub enum Response<'a> {
    /// SearchResultEntry.
    Entry {
        /// The entry's DN.
        dn: &'a str,
        /// Its attributes.
        attributes: Attributes<'a>,
    },
    /// SearchResultReference, as URIs.
    Reference(Strings<'a>),
    /// A response that is no more than an LDAPResult.
    Result {
        /// Of which operation.
        kind: ResponseKind,
        /// What became of it; a referral's URIs are left out.
        result: LdapResult,
    },
    /// BindResponse.
    Bind {
        /// What became of it.
        result: LdapResult,
        /// The answer to a SASL challenge.
        server_sasl: Option<&'a [u8]>,
    },
    /// ExtendedResponse.
    Extended {
        /// What became of it.
        result: LdapResult,
        /// The response's OID.
        name: Option<&'a str>,
        /// Its value.
        value: Option<&'a [u8]>,
    },
    /// IntermediateResponse.
    Intermediate {
        /// The response's OID.
        name: Option<&'a str>,
        /// Its value.
        value: Option<&'a [u8]>,
    },
}

impl Response<'_> {
    /// The result, of responses that have one.
    pub const fn result(&self) -> Option<&LdapResult> {
        match self {
            Self::Result { result, .. } | Self::Bind { result, .. } | Self::Extended { result, .. } => {
                Some(result)
            }
            Self::Entry { .. } | Self::Reference(_) | Self::Intermediate { .. } => None,
        }
    }
}

/// Reads one whole message, as [`crate::ber::frame::cut`] gives it.
pub fn decode(frame: &[u8]) -> Result<ResponseMessage<'_>, Malformed> {
    let mut budget = Budget::new(&Limits { max_elements: 10_000_000, ..Limits::default() });
    let mut outer = Reader::new(frame);
    let mut message = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    let id = i32::try_from(message.integer()?).ok().filter(|id| *id >= 0).ok_or(Malformed::MessageId)?;
    let operation = message.tlv()?;
    let response = read(operation.tag, Reader::new(operation.content), &mut budget)?;
    let controls = message.optional(tag::context_constructed(0))?.unwrap_or_default();
    let controls = Controls::check(controls, &mut budget)?;
    budget.trailing(message, &[tag::context_constructed(0)])?;
    Ok(ResponseMessage { id: MessageId(id), response, controls })
}

fn read<'a>(operation: u8, mut reader: Reader<'a>, budget: &mut Budget) -> Result<Response<'a>, Malformed> {
    if operation == ENTRY {
        let dn = reader.string()?;
        let attributes = Attributes::check(reader.expect(tag::SEQUENCE)?, budget)?;
        budget.trailing(reader, &[])?;
        return Ok(Response::Entry { dn, attributes });
    }
    if operation == REFERENCE {
        return Ok(Response::Reference(Strings::check(reader.remaining(), budget)?));
    }
    if operation == 0x79 {
        let name = reader.optional(0x80)?.map(text).transpose()?;
        let value = reader.optional(0x81)?;
        budget.trailing(reader, &[0x80, 0x81])?;
        return Ok(Response::Intermediate { name, value });
    }
    let kind = ResponseKind::from_tag(operation).ok_or(Malformed::UnknownOperation(operation))?;
    let code = u32::try_from(reader.enumerated()?).map_err(|_| BerError::Integer)?;
    let matched = reader.string()?.to_owned();
    let diagnostic = reader.string()?.to_owned();
    if let Some(referral) = reader.optional(0xa3)? {
        Strings::check(referral, budget)?;
    }
    let result = LdapResult { matched, ..LdapResult::with(ResultCode(code), diagnostic) };
    let response = match kind {
        ResponseKind::Bind => Response::Bind { result, server_sasl: reader.optional(0x87)? },
        ResponseKind::Extended => Response::Extended {
            result,
            name: reader.optional(0x8a)?.map(text).transpose()?,
            value: reader.optional(0x8b)?,
        },
        kind => Response::Result { kind, result },
    };
    budget.trailing(reader, &[0xa3, 0x87, 0x8a, 0x8b])?;
    Ok(response)
}
