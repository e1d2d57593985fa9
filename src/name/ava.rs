//! One attribute type and value of an RDN.

/// An attribute type and value: the type as written, the value's bytes unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ava {
    attribute: String,
    value: Vec<u8>,
}

impl Ava {
    /// An AVA of this type (name or dotted OID) and value.
    pub fn new(attribute: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { attribute: attribute.into(), value: value.into() }
    }

    /// The attribute type as written.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// The value's bytes.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}
