//! Matched values (RFC 3876): a SEQUENCE of simple filter items, of which one has to match a value to return it.

use super::ControlError;
use crate::ber::{Reader, tag};
use crate::protocol::decode::{Budget, Limits, Malformed};
use crate::protocol::filter::Filter;

/// Reads the value: at least one item; no AND, OR, NOT and no DN attributes.
pub fn parse(value: &[u8]) -> Result<Vec<Filter<'_>>, ControlError> {
    let mut outer = Reader::new(value);
    let mut items = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    let mut budget = Budget::new(&Limits::default());
    let mut filters = Vec::new();
    while !items.is_empty() {
        let item = items.tlv()?;
        Filter::check(item, 1, &mut budget)?;
        match Filter::build(item) {
            Filter::And(_) | Filter::Or(_) | Filter::Not(_) => return Err(Malformed::FilterNotAllowed.into()),
            Filter::Extensible(extensible) if extensible.dn_attributes => {
                return Err(Malformed::FilterNotAllowed.into());
            }
            filter => filters.push(filter),
        }
    }
    if filters.is_empty() { Err(ControlError::Form) } else { Ok(filters) }
}
