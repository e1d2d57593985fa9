//! Explain access, an operation of this server: why somebody may do something to an entry, or may not.

use bytes::{Bytes, BytesMut};

use super::ValueError;
use crate::ber::{Reader, tag, write};

/// What is to be explained.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExplainAccess {
    /// Who wants to do it: a DN, `dn:` and a DN, `u:` and a user name; empty is anonymous.
    pub who: String,
    /// The DN of the entry.
    pub target: String,
    /// What: a right of ACIs, `control` or `extop`.
    pub operation: String,
    /// The attribute, or the OID of the control or extended operation.
    pub attribute: Option<String>,
    /// The value that is added to the attribute.
    pub added: Option<String>,
    /// The value that is deleted from the attribute.
    pub deleted: Option<String>,
    /// The address that it comes from; that of who asks, if absent.
    pub address: Option<String>,
    /// Strength of the protection in bits; that of who asks, if absent.
    pub strength: Option<String>,
    /// `none`, `simple`, `sasl` or `ssl`; `simple` (for anonymous: `none`) if absent.
    pub method: Option<String>,
}

impl ExplainAccess {
    /// Reads a request's value: `SEQUENCE OF OCTET STRING`, each `name=text`. Names that are not known are refused.
    pub fn parse(value: Option<&[u8]>) -> Result<Self, ValueError> {
        let mut outer = Reader::new(value.ok_or(ValueError::NoValue)?);
        let mut fields = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let mut request = Self::default();
        while !fields.is_empty() {
            let field =
                std::str::from_utf8(fields.expect(tag::OCTET_STRING)?).map_err(|_| ValueError::Form)?;
            let (name, text) = field.split_once('=').ok_or(ValueError::Form)?;
            let text = text.to_owned();
            match name {
                "as" => request.who = text,
                "target" => request.target = text,
                "op" => request.operation = text,
                "attribute" => request.attribute = Some(text),
                "add" => request.added = Some(text),
                "delete" => request.deleted = Some(text),
                "address" => request.address = Some(text),
                "ssf" => request.strength = Some(text),
                "method" => request.method = Some(text),
                _ => return Err(ValueError::Form),
            }
        }
        Ok(request)
    }

    /// Writes a request's value.
    pub fn value(&self) -> Bytes {
        let fields = [
            ("as", Some(&self.who)),
            ("target", Some(&self.target)),
            ("op", Some(&self.operation)),
            ("attribute", self.attribute.as_ref()),
            ("add", self.added.as_ref()),
            ("delete", self.deleted.as_ref()),
            ("address", self.address.as_ref()),
            ("ssf", self.strength.as_ref()),
            ("method", self.method.as_ref()),
        ];
        let mut list = BytesMut::new();
        for (name, text) in fields {
            if let Some(text) = text {
                write::octets(&mut list, format!("{name}={text}").as_bytes());
            }
        }
        let mut out = BytesMut::new();
        write::element(&mut out, tag::SEQUENCE, &list);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_both_ways() {
        let request = ExplainAccess {
            who: "uid=a,dc=x".to_owned(),
            target: "cn=b=c,dc=x".to_owned(),
            operation: "read".to_owned(),
            attribute: Some("cn".to_owned()),
            added: None,
            deleted: Some("=x".into()),
            address: None,
            strength: Some("128".to_owned()),
            method: None,
        };
        assert_eq!(ExplainAccess::parse(Some(&request.value())), Ok(request));
        for wrong in [None, Some(&b""[..]), Some(b"\x30\x03\x04\x01x"), Some(b"\x30\x04\x04\x02x=")] {
            assert!(ExplainAccess::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
