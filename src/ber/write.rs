//! Writing: exact lengths first, then bytes. Nothing is moved after it was written.

use bytes::{BufMut, BytesMut};

use super::tag;

/// Octets that identifier and length of an element with `length` content octets take.
pub const fn header_len(length: usize) -> usize {
    if length < 0x80 {
        2
    } else if length < 0x100 {
        3
    } else if length < 0x1_0000 {
        4
    } else if length < 0x100_0000 {
        5
    } else {
        6
    }
}

/// Octets that a whole element with `length` content octets takes.
pub const fn element_len(length: usize) -> usize {
    header_len(length) + length
}

/// Writes identifier and length octets, the shortest form. Contents of 4 GiB and more are not representable
/// here; callers bound their input far below.
pub fn header(out: &mut BytesMut, tag: u8, length: usize) {
    out.put_u8(tag);
    let octets = (length as u64).to_be_bytes();
    let [.., o3, o2, o1, o0] = octets;
    if length < 0x80 {
        out.put_u8(o0);
    } else if length < 0x100 {
        out.put_slice(&[0x81, o0]);
    } else if length < 0x1_0000 {
        out.put_slice(&[0x82, o1, o0]);
    } else if length < 0x100_0000 {
        out.put_slice(&[0x83, o2, o1, o0]);
    } else {
        out.put_slice(&[0x84, o3, o2, o1, o0]);
    }
}

/// Writes a primitive element.
pub fn element(out: &mut BytesMut, tag: u8, content: &[u8]) {
    header(out, tag, content.len());
    out.put_slice(content);
}

/// Writes an OCTET STRING.
pub fn octets(out: &mut BytesMut, content: &[u8]) {
    element(out, tag::OCTET_STRING, content);
}

/// Content octets of an INTEGER or ENUMERATED: shortest two's complement.
pub fn integer_len(value: i64) -> usize {
    let significant = if value < 0 { 65 - (!value).leading_zeros() } else { 65 - value.leading_zeros() };
    significant.div_ceil(8).max(1) as usize
}

/// Writes an INTEGER or ENUMERATED under the given tag, in the shortest form.
pub fn integer(out: &mut BytesMut, tag: u8, value: i64) {
    let length = integer_len(value);
    header(out, tag, length);
    let octets = value.to_be_bytes();
    if let Some(tail) = octets.get(octets.len() - length..) {
        out.put_slice(tail);
    }
}

/// Writes a BOOLEAN.
pub fn boolean(out: &mut BytesMut, value: bool) {
    element(out, tag::BOOLEAN, &[if value { 0xff } else { 0x00 }]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::Reader;
    use proptest::prelude::*;

    #[test]
    fn headers_are_the_shortest() {
        for (length, bytes) in [
            (0, &b"\x04\x00"[..]),
            (0x7f, b"\x04\x7f"),
            (0x80, b"\x04\x81\x80"),
            (0xff, b"\x04\x81\xff"),
            (0x100, b"\x04\x82\x01\x00"),
            (0xffff, b"\x04\x82\xff\xff"),
            (0x1_0000, b"\x04\x83\x01\x00\x00"),
            (0x100_0000, b"\x04\x84\x01\x00\x00\x00"),
        ] {
            let mut out = BytesMut::new();
            header(&mut out, tag::OCTET_STRING, length);
            assert_eq!(out.as_ref(), bytes);
            assert_eq!(header_len(length), bytes.len());
        }
    }

    #[test]
    fn integers_are_the_shortest() {
        for (value, bytes) in [
            (0, &b"\x02\x01\x00"[..]),
            (127, b"\x02\x01\x7f"),
            (128, b"\x02\x02\x00\x80"),
            (-1, b"\x02\x01\xff"),
            (-128, b"\x02\x01\x80"),
            (-129, b"\x02\x02\xff\x7f"),
            (1000, b"\x02\x02\x03\xe8"),
            (i64::MIN, b"\x02\x08\x80\x00\x00\x00\x00\x00\x00\x00"),
        ] {
            let mut out = BytesMut::new();
            integer(&mut out, tag::INTEGER, value);
            assert_eq!(out.as_ref(), bytes);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            number in any::<i64>(),
            flag in any::<bool>(),
            content in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut out = BytesMut::new();
            integer(&mut out, tag::INTEGER, number);
            prop_assert_eq!(out.len(), element_len(integer_len(number)));
            boolean(&mut out, flag);
            octets(&mut out, &content);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.integer(), Ok(number));
            prop_assert_eq!(reader.boolean(), Ok(flag));
            prop_assert_eq!(reader.octets(), Ok(&content[..]));
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }
}
