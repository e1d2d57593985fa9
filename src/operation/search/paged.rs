//! The cookie of simple paged results (RFC 2696): it holds all there is to know, the server keeps nothing.
//!
//! | offset | octets | content |
//! |---|---|---|
//! | 0 | 8 | keyed hash of the query's digest and of the rest |
//! | 8 | 2 | which of the query's parts (a search of all suffixes has several), big-endian |
//! | 10 | | where to go on in it, as the store gave it |
//!
//! The key is made when the server starts: a cookie that is from another query, another server or before a restart
//! is refused, not misread. So is one from before the store's content was exchanged.

use std::hash::Hasher;

use bytes::{BufMut, Bytes, BytesMut};
use siphasher::sip::SipHasher24;

use crate::protocol::message::{Scope, SearchRequest};
use crate::schema::NormalizedDn;

/// The key cookies are sealed with.
pub(in crate::operation) struct CookieKey([u8; 16]);

impl CookieKey {
    /// A key from random octets.
    pub(in crate::operation) const fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    fn seal(&self, digest: u64, rest: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write_u64(digest);
        hasher.write(rest);
        hasher.finish()
    }

    /// The digest of what makes two searches the same query, of the same content of the store.
    pub(super) fn digest(
        &self,
        generation: u64,
        base: &NormalizedDn,
        scope: Scope,
        request: &SearchRequest<'_>,
    ) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write_u64(generation);
        hasher.write(base.as_bytes());
        hasher.write_u8(0);
        hasher.write_u8(scope.number());
        hasher.write(format!("{:?}", request.filter).as_bytes());
        hasher.finish()
    }

    /// The cookie for going on at a place.
    pub(super) fn cookie(&self, digest: u64, place: &Place) -> Bytes {
        let mut rest = BytesMut::with_capacity(2 + place.resume.len());
        rest.put_u16(place.part);
        rest.put_slice(&place.resume);
        let mut out = BytesMut::with_capacity(8 + rest.len());
        out.put_u64(self.seal(digest, &rest));
        out.put_slice(&rest);
        out.freeze()
    }

    /// The place of a cookie; none if it was not made for this query by this server.
    pub(super) fn place(&self, digest: u64, cookie: &Bytes) -> Option<Place> {
        let (seal, rest) = cookie.split_first_chunk::<8>()?;
        if u64::from_be_bytes(*seal) != self.seal(digest, rest) {
            return None;
        }
        let (part, _) = rest.split_first_chunk::<2>()?;
        Some(Place { part: u16::from_be_bytes(*part), resume: cookie.slice(10..) })
    }
}

/// Where a search goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Which part of the query.
    pub(super) part: u16,
    /// Where in it.
    pub(super) resume: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_its_query_and_server_alone() {
        let key = CookieKey::new([7; 16]);
        let place = Place { part: 3, resume: Bytes::from_static(b"abc") };
        let cookie = key.cookie(42, &place);
        assert_eq!(key.place(42, &cookie), Some(place.clone()));
        assert_eq!(key.place(43, &cookie), None);
        assert_eq!(CookieKey::new([8; 16]).place(42, &cookie), None);
        assert_eq!(key.place(42, &cookie.slice(..cookie.len() - 1)), None);
        assert_eq!(key.place(42, &Bytes::from_static(b"short")), None);
        let empty = Place { part: 0, resume: Bytes::new() };
        assert_eq!(key.place(1, &key.cookie(1, &empty)), Some(empty));
    }
}
