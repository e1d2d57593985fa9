//! Leaves made of keys that come in their order.

use super::leaf::{ITEM_HEADER, put_item, shared};
use super::{MAX_KEYS, MAX_OCTETS};

/// Makes leaves, as [`PackedTree::dump`](super::PackedTree::dump) writes them, of keys that come in their order. They
/// are filled to seven eighths, so that what comes later does not split them all at once.
#[derive(Debug, Default)]
pub(crate) struct LeafWriter {
    pub(crate) out: Vec<u8>,
    low: Vec<u8>,
    /// Items with their whole keys.
    items: Vec<u8>,
    count: u16,
    /// Where the last item's key is.
    last: (usize, usize),
}

impl LeafWriter {
    /// Takes the next key, greater than all before.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        let octets = ITEM_HEADER + key.len() + value.len();
        let is_full = usize::from(self.count) >= MAX_KEYS * 7 / 8
            || self.items.len() + octets > MAX_OCTETS * 7 / 8 + usize::from(self.count) * self.low.len();
        if is_full && self.count > 0 {
            let last = self.items.get(self.last.0..self.last.1).unwrap_or_default();
            let bound = key.get(..=shared(last, key)).unwrap_or(key).to_vec();
            self.close(shared(&self.low, &bound));
            self.low = bound;
        }
        let start = self.items.len() + ITEM_HEADER;
        put_item(&mut self.items, key, value);
        self.last = (start, start + key.len());
        self.count += 1;
    }

    /// Ends the tree.
    pub(crate) fn end(&mut self) {
        self.close(0);
    }

    fn close(&mut self, prefix: usize) {
        let out = &mut self.out;
        out.extend_from_slice(&u16::try_from(prefix).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.low.len()).unwrap_or(u32::MAX).to_be_bytes());
        let octets = self.items.len().saturating_sub(prefix * usize::from(self.count));
        out.extend_from_slice(&u32::try_from(octets).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.low);
        let mut rest = self.items.as_slice();
        while let Some((&[high, low, value], body)) = rest.split_first_chunk() {
            let key = usize::from(u16::from_be_bytes([high, low]));
            let Some((item, after)) = body.split_at_checked(key + usize::from(value)) else { break };
            let (key, value) = item.split_at_checked(key).unwrap_or_default();
            put_item(out, key.get(prefix..).unwrap_or_default(), value);
            rest = after;
        }
        self.items.clear();
        self.count = 0;
    }
}
