//! Get effective rights (draft-ietf-ldapext-acl-model, as Sun's servers and OpenDJ have it): a search that tells what
//! somebody may do to the entries it finds.

use super::ControlError;
use crate::ber::{Reader, tag};

/// Whose rights are wanted, and on which attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RightsRequest {
    /// `dn:` and a DN, `u:` and a user name, a bare `dn:` for anonymous; the requester's own rights if absent or empty.
    pub who: Option<String>,
    /// Attributes whose rights are told besides those that the search names; the entries need not have them.
    pub attributes: Vec<String>,
}

impl RightsRequest {
    /// Reads the value: none, or `SEQUENCE { authzId OCTET STRING, SEQUENCE OF OCTET STRING OPTIONAL }`.
    pub fn parse(value: Option<&[u8]>) -> Result<Self, ControlError> {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(Self::default()) };
        let mut outer = Reader::new(value);
        let mut fields = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let text =
            |octets: &[u8]| std::str::from_utf8(octets).map(str::to_owned).map_err(|_| ControlError::Form);
        let who = text(fields.expect(tag::OCTET_STRING)?)?;
        if !(who.is_empty() || who.starts_with("dn:") || who.starts_with("u:")) {
            return Err(ControlError::Form);
        }
        let mut attributes = Vec::new();
        if let Some(list) = fields.optional(tag::SEQUENCE)? {
            let mut list = Reader::new(list);
            while !list.is_empty() {
                attributes.push(text(list.expect(tag::OCTET_STRING)?)?);
            }
        }
        fields.finish()?;
        Ok(Self { who: Some(who).filter(|who| !who.is_empty()), attributes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_control() {
        assert_eq!(RightsRequest::parse(None), Ok(RightsRequest::default()));
        let found = RightsRequest::parse(Some(b"\x30\x05\x04\x03dn:")).unwrap();
        assert_eq!((found.who.as_deref(), found.attributes.len()), (Some("dn:"), 0));
        let found = RightsRequest::parse(Some(b"\x30\x0b\x04\x03u:a\x30\x04\x04\x02cn")).unwrap();
        assert_eq!((found.who.as_deref(), found.attributes), (Some("u:a"), vec!["cn".to_owned()]));
        for wrong in [
            &b"\x30\x03\x04\x01x"[..],
            b"\x30\x00",
            b"\x04\x00",
            b"\x30\x02\x04\x00\x00",
            b"\x30\x04\x04\x00\x30\x01",
        ] {
            assert!(RightsRequest::parse(Some(wrong)).is_err(), "{wrong:?}");
        }
    }
}
