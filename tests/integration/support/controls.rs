//! Request controls, laid out as OpenAM's SDK lays them out.

use ctsd::protocol::filter_text;
use ctsd::protocol::message::Control;
use ctsd::protocol::oid;

use super::{int, octets, seq, tlv};

/// A control that owns its value.
#[derive(Debug, Clone)]
pub(crate) struct Ctl {
    pub(crate) oid: String,
    pub(crate) critical: bool,
    pub(crate) value: Option<Vec<u8>>,
}

impl Ctl {
    pub(crate) fn new(oid: &str, critical: bool, value: Option<Vec<u8>>) -> Self {
        Self { oid: oid.to_owned(), critical, value }
    }

    pub(crate) fn borrowed(&self) -> Control<'_> {
        Control { oid: &self.oid, critical: self.critical, value: self.value.as_deref() }
    }

    pub(crate) fn transaction_id(text: &[u8]) -> Self {
        Self::new(oid::TRANSACTION_ID, false, Some(text.to_vec()))
    }

    pub(crate) fn post_read(names: &[&str]) -> Self {
        Self::new(oid::POST_READ, true, Some(names_value(names)))
    }

    pub(crate) fn pre_read(names: &[&str]) -> Self {
        Self::new(oid::PRE_READ, true, Some(names_value(names)))
    }

    pub(crate) fn assertion(filter: &str) -> Self {
        Self::new(oid::ASSERTION, true, Some(filter_bytes(filter)))
    }

    pub(crate) fn etag(etag: &str) -> Self {
        let value = tlv(0xa3, &[octets(b"etag"), octets(etag.as_bytes())].concat());
        Self::new(oid::ASSERTION, true, Some(value))
    }

    pub(crate) fn paged(size: i64, cookie: &[u8]) -> Self {
        Self::new(oid::PAGED_RESULTS, true, Some(seq(&[int(size), octets(cookie)])))
    }

    pub(crate) fn persistent(types: i64, changes_only: bool, notifications: bool) -> Self {
        let flag = |on: bool| tlv(0x01, &[if on { 0xff } else { 0 }]);
        let value = seq(&[int(types), flag(changes_only), flag(notifications)]);
        Self::new(oid::PERSISTENT_SEARCH, true, Some(value))
    }

    /// OpenAM's persistent search: every type of change, changes only, with notifications.
    pub(crate) fn openam_persistent() -> Self {
        Self::persistent(15, true, true)
    }

    /// Server-side sort by one attribute.
    pub(crate) fn sort(attribute: &str, reverse: bool, critical: bool) -> Self {
        let mut key = vec![octets(attribute.as_bytes())];
        if reverse {
            key.push(tlv(0x81, &[0xff]));
        }
        Self::new(oid::SORT_REQUEST, critical, Some(seq(&[seq(&key)])))
    }

    pub(crate) fn flag(oid: &str, critical: bool) -> Self {
        Self::new(oid, critical, None)
    }
}

fn names_value(names: &[&str]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|name| octets(name.as_bytes())).collect();
    seq(&names)
}

/// A filter's BER.
fn filter_bytes(text: &str) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    filter_text::parse(text).unwrap().encode(&mut out);
    out.to_vec()
}
