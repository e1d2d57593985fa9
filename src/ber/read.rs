//! Reading: a cursor over borrowed bytes that refuses everything RFC 4511 §5.1 forbids.

use super::tag;

/// Why bytes are not the BER that LDAP allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BerError {
    /// The element ends after its container.
    #[error("an element overruns its container")]
    Overrun,
    /// A length in the indefinite form, or of more than four octets.
    #[error("a length is indefinite or too long")]
    Length,
    /// A tag of more than one octet.
    #[error("a tag has more than one octet")]
    TagForm,
    /// Another tag was expected here.
    #[error("expected tag {expected:#04x}, found {found:#04x}")]
    UnexpectedTag {
        /// The tag the grammar wants.
        expected: u8,
        /// The tag on the wire.
        found: u8,
    },
    /// The container ends where an element is required.
    #[error("a required element is missing")]
    Missing,
    /// An INTEGER without content, or with more octets than the target holds.
    #[error("an integer is empty or out of range")]
    Integer,
    /// A BOOLEAN that is neither 00 nor FF.
    #[error("a boolean is neither 00 nor FF")]
    Boolean,
    /// Bytes follow where the container had to end.
    #[error("trailing bytes")]
    Trailing,
    /// A string that must be UTF-8 is not.
    #[error("a string is not UTF-8")]
    Utf8,
}

/// One element: its tag, its content and the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The content octets.
    pub content: &'a [u8],
    /// Identifier, length and content octets.
    pub whole: &'a [u8],
}

/// A cursor over the content of one container. Copying it is cheap and gives an independent cursor.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub const fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// The tag of the next element, if there is one.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element.
    pub fn tlv(&mut self) -> Result<Tlv<'a>, BerError> {
        let (&found, after_tag) = self.rest.split_first().ok_or(BerError::Missing)?;
        if found & 0x1f == 0x1f {
            return Err(BerError::TagForm);
        }
        let (&first, after_first) = after_tag.split_first().ok_or(BerError::Overrun)?;
        let (length, body) = if first < 0x80 {
            (usize::from(first), after_first)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return Err(BerError::Length);
            }
            let (octets, body) = after_first.split_at_checked(count).ok_or(BerError::Overrun)?;
            let length = octets.iter().fold(0_usize, |sum, &octet| (sum << 8) | usize::from(octet));
            (length, body)
        };
        let (content, rest) = body.split_at_checked(length).ok_or(BerError::Overrun)?;
        let whole_length = self.rest.len() - rest.len();
        let whole = self.rest.get(..whole_length).ok_or(BerError::Overrun)?;
        self.rest = rest;
        Ok(Tlv { tag: found, content, whole })
    }

    /// The content of the next element, which must have this tag.
    pub fn expect(&mut self, expected: u8) -> Result<&'a [u8], BerError> {
        match self.peek() {
            None => Err(BerError::Missing),
            Some(found) if found != expected => Err(BerError::UnexpectedTag { expected, found }),
            Some(_) => Ok(self.tlv()?.content),
        }
    }

    /// The content of the next element if it has this tag; otherwise nothing is consumed.
    pub fn optional(&mut self, wanted: u8) -> Result<Option<&'a [u8]>, BerError> {
        if self.peek() == Some(wanted) { Ok(Some(self.tlv()?.content)) } else { Ok(None) }
    }

    /// A cursor over the content of the next element, which must have this tag.
    pub fn nested(&mut self, expected: u8) -> Result<Reader<'a>, BerError> {
        self.expect(expected).map(Reader::new)
    }

    /// An OCTET STRING.
    pub fn octets(&mut self) -> Result<&'a [u8], BerError> {
        self.expect(tag::OCTET_STRING)
    }

    /// An OCTET STRING that holds UTF-8.
    pub fn string(&mut self) -> Result<&'a str, BerError> {
        std::str::from_utf8(self.octets()?).map_err(|_| BerError::Utf8)
    }

    /// An INTEGER of at most eight octets, sign-extended.
    pub fn integer(&mut self) -> Result<i64, BerError> {
        integer(self.expect(tag::INTEGER)?)
    }

    /// An ENUMERATED of at most eight octets, sign-extended.
    pub fn enumerated(&mut self) -> Result<i64, BerError> {
        integer(self.expect(tag::ENUMERATED)?)
    }

    /// A BOOLEAN: 00 or FF, nothing else (RFC 4511 §5.1).
    pub fn boolean(&mut self) -> Result<bool, BerError> {
        boolean(self.expect(tag::BOOLEAN)?)
    }

    /// Refuses anything left over.
    pub fn finish(self) -> Result<(), BerError> {
        if self.is_empty() { Ok(()) } else { Err(BerError::Trailing) }
    }
}

/// The value of an INTEGER's content octets, sign-extended; at most eight octets.
pub fn integer(content: &[u8]) -> Result<i64, BerError> {
    let (&first, _) = content.split_first().ok_or(BerError::Integer)?;
    if content.len() > 8 {
        return Err(BerError::Integer);
    }
    let start = if first & 0x80 == 0 { 0_i64 } else { -1_i64 };
    Ok(content.iter().fold(start, |sum, &octet| (sum << 8) | i64::from(octet)))
}

/// The value of a BOOLEAN's content octets.
pub fn boolean(content: &[u8]) -> Result<bool, BerError> {
    match content {
        [0x00] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(BerError::Boolean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_are_read_one_after_the_other() {
        let mut reader = Reader::new(b"\x02\x01\x05\x04\x81\x02hi\x30\x02\x05\x00");
        assert_eq!(reader.integer(), Ok(5));
        assert_eq!(reader.peek(), Some(tag::OCTET_STRING));
        assert_eq!(reader.optional(tag::BOOLEAN), Ok(None));
        let text = reader.tlv().unwrap();
        assert_eq!((text.content, text.whole), (&b"hi"[..], &b"\x04\x81\x02hi"[..]));
        let mut inner = reader.nested(tag::SEQUENCE).unwrap();
        assert_eq!(inner.expect(tag::NULL), Ok(&b""[..]));
        assert_eq!(inner.tlv(), Err(BerError::Missing));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn what_ldap_forbids_is_refused() {
        for (bytes, error) in [
            (&b"\x04"[..], BerError::Overrun),
            (b"\x04\x02a", BerError::Overrun),
            (b"\x04\x82\x01", BerError::Overrun),
            (b"\x04\x80a\x00\x00", BerError::Length),
            (b"\x04\x85\x00\x00\x00\x00\x01a", BerError::Length),
            (b"\x04\x84\xff\xff\xff\xffa", BerError::Overrun),
            (b"\x05\x00", BerError::UnexpectedTag { expected: 4, found: 5 }),
            (b"", BerError::Missing),
        ] {
            assert_eq!(Reader::new(bytes).octets(), Err(error), "{bytes:?}");
        }
        assert_eq!(Reader::new(b"\x1f\x20\x00").tlv(), Err(BerError::TagForm));
        assert_eq!(Reader::new(b"\x04\x01\xff").string(), Err(BerError::Utf8));
        assert_eq!(Reader::new(b"\x00").finish(), Err(BerError::Trailing));
        for bytes in [&b"\x01\x01\x01"[..], b"\x01\x00", b"\x01\x02\xff\xff"] {
            assert_eq!(Reader::new(bytes).boolean(), Err(BerError::Boolean));
        }
    }

    #[test]
    fn integers_have_a_sign_and_a_size() {
        assert_eq!(integer(b"\xff"), Ok(-1));
        assert_eq!(integer(b"\x00\xff"), Ok(255));
        assert_eq!(integer(b"\x80\x00\x00\x00\x00\x00\x00\x00"), Ok(i64::MIN));
        assert_eq!(integer(b""), Err(BerError::Integer));
        assert_eq!(integer(b"\x00\x80\x00\x00\x00\x00\x00\x00\x00"), Err(BerError::Integer));
    }

    proptest! {
        #[test]
        fn no_octets_panic_and_an_element_is_within_its_input(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            let mut total = 0;
            while let Ok(tlv) = reader.tlv() {
                total += tlv.whole.len();
                prop_assert!(tlv.whole.ends_with(tlv.content));
            }
            prop_assert!(total + reader.remaining().len() == bytes.len());
        }
    }
}
