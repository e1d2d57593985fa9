//! Assertion (RFC 4528): the value is a bare Filter.

use super::ControlError;
use crate::protocol::decode::Limits;
use crate::protocol::filter::Filter;

/// Reads the value.
pub fn parse(value: &[u8]) -> Result<Filter<'_>, ControlError> {
    Ok(Filter::parse(value, &Limits::default())?)
}
