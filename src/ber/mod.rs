//! BER as LDAP uses it (RFC 4511 §5.1): definite lengths, single-octet tags, no allocation when reading.
//!
//! [`Reader`] walks borrowed bytes, [`mod@write`] writes headers and primitive values into a buffer whose
//! lengths the caller computed first, and [`frame`] cuts one message out of a stream of bytes.

pub mod frame;
pub mod read;
pub mod write;

pub use read::{BerError, Reader, Tlv};

/// Universal tags that LDAP uses.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// ENUMERATED.
    pub const ENUMERATED: u8 = 0x0a;
    /// SEQUENCE, constructed.
    pub const SEQUENCE: u8 = 0x30;
    /// SET, constructed.
    pub const SET: u8 = 0x31;
    /// A primitive context-specific tag.
    pub const fn context(number: u8) -> u8 {
        0x80 | number
    }
    /// A constructed context-specific tag.
    pub const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }
}
