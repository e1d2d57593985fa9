//! A sorted run of keys in one buffer, without the octets that all of them start with.

/// Octets before an item's key rest: lengths of key rest and value (two octets, one octet).
pub(super) const ITEM_HEADER: usize = 3;
/// Octets that must be common to all key rests before the heads leave them out.
const MIN_SKIP: usize = 2;
/// Of these, so many are kept beside the slots.
const NEAR: usize = 8;

/// Where an item is, and the first octets of its key rest: most comparisons need no more.
#[derive(Debug, Clone, Copy)]
struct Slot {
    head: u32,
    start: u32,
}

/// One leaf. Its keys lie in `low..high`, where `low` is its own lower bound and `high` the next leaf's, and start with
/// the octets that those two share.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// Octets of `low` that every key starts with.
    pub(super) prefix: u16,
    /// Octets behind these that every key rest starts with, now; the heads are of what follows.
    skip: u16,
    /// The first of those octets.
    near: [u8; NEAR],
    /// Octets of `items` that no item uses any more.
    waste: u32,
    /// In the order of the keys.
    slots: Vec<Slot>,
    /// Items: lengths, key rest, value.
    items: Vec<u8>,
}

/// An item without the leaf's prefix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) rest: &'a [u8],
    pub(super) value: &'a [u8],
}

pub(super) fn put_item(items: &mut Vec<u8>, rest: &[u8], value: &[u8]) {
    items.extend_from_slice(&u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes());
    items.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    items.extend_from_slice(rest);
    items.extend_from_slice(value);
}

/// How many octets two strings both start with.
pub(super) fn shared(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count().min(usize::from(u16::MAX))
}

/// The first octets, as a number that compares as they do, but for zeros at the end.
fn head(rest: &[u8]) -> u32 {
    match rest.first_chunk() {
        Some(octets) => u32::from_be_bytes(*octets),
        None => rest.iter().zip([24, 16, 8]).fold(0, |head, (octet, by)| head | u32::from(*octet) << by),
    }
}

impl Leaf {
    /// An empty leaf with room for so many items of so many octets.
    pub(super) fn with_room(prefix: u16, items: usize, octets: usize) -> Self {
        let mut leaf = Self { prefix, ..Self::default() };
        leaf.slots.reserve_exact(items);
        leaf.items.reserve_exact(octets);
        leaf
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn item_at(&self, start: u32) -> Option<Item<'_>> {
        let (&[high, low, value], body) = self.items.get(start as usize..)?.split_first_chunk()?;
        let (rest, body) = body.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        Some(Item { rest, value: body.get(..usize::from(value))? })
    }

    pub(super) fn item(&self, index: usize) -> Option<Item<'_>> {
        self.item_at(self.slots.get(index)?.start)
    }

    /// What every key rest starts with and the heads leave out.
    fn common(&self) -> &[u8] {
        let skip = usize::from(self.skip);
        match self.near.get(..skip) {
            Some(near) => near,
            None => self.item(0).and_then(|item| item.rest.get(..skip)).unwrap_or_default(),
        }
    }

    /// Reads here and there what a search will read: done for several keys before the first of them is searched, the
    /// processor waits for memory once and not key after key.
    pub(super) fn touch(&self) -> u32 {
        let count = self.slots.len();
        let at = |index: usize| self.slots.get(index).map_or(0, |slot| slot.head);
        let end = self.items.last().map_or(0, |&octet| u32::from(octet));
        at(count / 2) ^ at(count / 4) ^ at(count - count / 4) ^ at(count / 8) ^ end
    }

    /// Where a key rest is, or belongs.
    pub(super) fn search(&self, rest: &[u8]) -> Result<usize, usize> {
        let common = self.common();
        let Some(tail) = rest.strip_prefix(common) else {
            return Err(if rest < common { 0 } else { self.slots.len() });
        };
        let head = head(tail);
        self.slots.binary_search_by(|slot| {
            let by_rest =
                || self.item_at(slot.start).map_or(std::cmp::Ordering::Less, |item| item.rest.cmp(rest));
            slot.head.cmp(&head).then_with(by_rest)
        })
    }

    /// The last item that is not greater than a key rest.
    pub(super) fn floor(&self, rest: &[u8]) -> Option<usize> {
        match self.search(rest) {
            Ok(at) => Some(at),
            Err(at) => at.checked_sub(1),
        }
    }

    /// Puts an item before the one at `at`, where [`Self::search`] said that it belongs.
    pub(super) fn insert(&mut self, at: usize, rest: &[u8], value: &[u8]) {
        if !rest.starts_with(self.common()) {
            self.leave_out(0);
        }
        let start = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        let octets = ITEM_HEADER + rest.len() + value.len();
        if self.items.capacity() - self.items.len() < octets {
            self.items.reserve_exact(octets.max(self.items.len() / 4));
        }
        put_item(&mut self.items, rest, value);
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact((self.slots.len() / 4).max(4));
        }
        let head = head(rest.get(usize::from(self.skip)..).unwrap_or_default());
        self.slots.insert(at, Slot { head, start });
        if matches!(self.slots.len(), 16 | 64) {
            self.settle();
        }
    }

    pub(super) fn remove(&mut self, at: usize) {
        let Some(item) = self.item(at) else { return };
        self.waste += u32::try_from(ITEM_HEADER + item.rest.len() + item.value.len()).unwrap_or(0);
        self.slots.remove(at);
        if self.slots.is_empty() {
            self.skip = 0;
        }
    }

    /// Octets of the items that are there.
    pub(super) fn used(&self) -> usize {
        self.items.len() - self.waste as usize
    }

    pub(super) fn waste(&self) -> usize {
        self.waste as usize
    }

    pub(super) fn is_mostly_waste(&self) -> bool {
        self.waste() > self.items.len() / 2
    }

    /// Octets of memory.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.items.capacity() + size_of::<Slot>() * self.slots.capacity()
    }

    /// The leaf anew, for another prefix length: `low` has the octets that come back or go.
    pub(super) fn repacked(&self, low: &[u8], prefix: usize, range: std::ops::Range<usize>) -> Self {
        let old = usize::from(self.prefix);
        let items = self.used() * range.len() / self.len().max(1);
        let octets = (items + old * range.len()).saturating_sub(prefix * range.len());
        let mut leaf = Self::with_room(u16::try_from(prefix).unwrap_or(0), range.len(), octets);
        leaf.append(self, low, range);
        leaf
    }

    /// Appends items of another leaf whose keys are all greater; `low` starts with the other's prefix.
    pub(super) fn append(&mut self, other: &Self, low: &[u8], range: std::ops::Range<usize>) {
        let (prefix, old) = (usize::from(self.prefix), usize::from(other.prefix));
        let mut whole = Vec::new();
        for index in range {
            let Some(item) = other.item(index) else { continue };
            match old.checked_sub(prefix) {
                Some(0) => self.push(item.rest, item.value),
                Some(_) => {
                    whole.clear();
                    whole.extend_from_slice(low.get(prefix..old).unwrap_or_default());
                    whole.extend_from_slice(item.rest);
                    self.push(&whole, item.value);
                }
                None => self.push(item.rest.get(prefix - old..).unwrap_or_default(), item.value),
            }
        }
        self.settle();
    }

    /// Puts an item behind all others. [`Self::settle`] must follow before anything is searched.
    pub(super) fn push(&mut self, rest: &[u8], value: &[u8]) {
        let start = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        put_item(&mut self.items, rest, value);
        self.slots.push(Slot { head: 0, start });
    }

    /// Makes the heads tell as much as they can.
    pub(super) fn settle(&mut self) {
        let common = match (self.item(0), self.item(self.len().wrapping_sub(1))) {
            (Some(first), Some(last)) if self.len() > 2 => shared(first.rest, last.rest),
            _ => 0,
        };
        self.leave_out(if common < MIN_SKIP { 0 } else { common });
    }

    /// Makes the heads of what follows `skip` octets, which all key rests share.
    fn leave_out(&mut self, skip: usize) {
        self.skip = u16::try_from(skip).unwrap_or(0);
        let skip = usize::from(self.skip);
        let mut near = [0; NEAR];
        let first = self.item(0).map(|item| item.rest).unwrap_or_default();
        near.iter_mut().zip(first).for_each(|(to, from)| *to = *from);
        self.near = near;
        let mut slots = std::mem::take(&mut self.slots);
        for slot in &mut slots {
            slot.head =
                self.item_at(slot.start).map_or(0, |item| head(item.rest.get(skip..).unwrap_or_default()));
        }
        self.slots = slots;
    }
}
