//! What holds the view's trees: the entry table and named, ordered trees of byte keys.
//!
//! The log makes the store's own durability irrelevant: whatever the store lost is replayed from its watermark.

use std::sync::Arc;

use super::StoreError;
use crate::log::Place;

/// The number of an entry in this store; never used twice. 0 stands above all suffix entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u64);

impl EntryId {
    /// What lies above the suffix entries.
    pub const ROOT: Self = Self(0);

    /// The id as a key: ordered as the number.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Reads [`Self::to_bytes`] from the end of a key.
    pub fn from_tail(key: &[u8]) -> Option<Self> {
        key.last_chunk().map(|octets| Self(u64::from_be_bytes(*octets)))
    }
}

/// What the entry table knows of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Where the bytes of the current version are.
    pub place: Place,
    /// The entry above.
    pub parent: EntryId,
    /// Its children.
    pub children: u64,
}

/// What kept trees are for; those made for anything else are of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// The data set.
    pub dataset_id: [u8; 16],
    /// How keys are made.
    pub fingerprint: u64,
}

/// Where the sequencer goes on after a start; kept beside the applied position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// The first id that was never given; 0 if none was.
    pub next_id: u64,
    /// The last number that a change of this origin had; 0 before the first.
    pub oseq: u64,
    /// The greatest CSN.
    pub csn: [u8; 12],
    /// Where the last record is.
    pub place: Place,
}

/// A tree of the store; cheap to copy. Gone trees look empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreeId(pub u32);

/// One step of a batch.
#[derive(Debug, Clone)]
enum Step {
    Put(TreeId, Span, Span),
    Remove(TreeId, Span),
    Slot(EntryId, Slot),
    Children(EntryId, u64),
    Forget(EntryId),
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

/// One step of a batch, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write<'a> {
    /// Sets a key's value.
    Put(TreeId, &'a [u8], &'a [u8]),
    /// Removes a key, if it is there.
    Remove(TreeId, &'a [u8]),
    /// Sets an entry's slot.
    Slot(EntryId, Slot),
    /// Sets an entry's number of children, if the entry is there.
    Children(EntryId, u64),
    /// Removes an entry's slot.
    Forget(EntryId),
}

/// Changes to the store, in order; all keys in one buffer.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    steps: Vec<Step>,
    /// The log sequence that the store stands at once the batch is applied.
    pub applied: u64,
    /// What the store's marks are then; none leaves them.
    pub marks: Option<Marks>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.steps.clear();
    }

    fn span(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span { start, end: self.bytes.len() }
    }

    /// Sets a key's value.
    pub fn put(&mut self, tree: TreeId, key: &[u8], value: &[u8]) {
        let key = self.span(key);
        let value = self.span(value);
        self.steps.push(Step::Put(tree, key, value));
    }

    /// Removes a key.
    pub fn remove(&mut self, tree: TreeId, key: &[u8]) {
        let key = self.span(key);
        self.steps.push(Step::Remove(tree, key));
    }

    /// Sets an entry's slot.
    pub fn slot(&mut self, id: EntryId, slot: Slot) {
        self.steps.push(Step::Slot(id, slot));
    }

    /// Sets the number of children.
    pub fn children(&mut self, id: EntryId, children: u64) {
        self.steps.push(Step::Children(id, children));
    }

    /// Removes an entry's slot.
    pub fn forget(&mut self, id: EntryId) {
        self.steps.push(Step::Forget(id));
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps in order.
    pub fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        let bytes = |span: &Span| self.bytes.get(span.start..span.end).unwrap_or_default();
        self.steps.iter().map(move |step| match step {
            Step::Put(tree, key, value) => Write::Put(*tree, bytes(key), bytes(value)),
            Step::Remove(tree, key) => Write::Remove(*tree, bytes(key)),
            Step::Slot(id, slot) => Write::Slot(*id, *slot),
            Step::Children(id, children) => Write::Children(*id, *children),
            Step::Forget(id) => Write::Forget(*id),
        })
    }
}

/// How many keys a range holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Estimate {
    /// Keys counted.
    pub keys: u64,
    /// Whether counting stopped at its bound: there are more.
    pub is_more: bool,
}

/// What a visitor of a range wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Visit {
    Continue,
    Stop,
}

/// Named ordered trees with an entry table. Many readers and one writer work at the same time, none waiting for long.
pub trait IndexStore: Send + Sync {
    /// The tree of this name, made if it is not there.
    fn tree(&self, name: &str) -> Result<TreeId, StoreError>;

    /// Removes a tree with all it holds; the id is not used again.
    fn drop_tree(&self, tree: TreeId) -> Result<(), StoreError>;

    /// The trees that are there.
    fn trees(&self) -> Vec<(String, TreeId)>;

    /// Whether a tree holds all it should, as [`Self::set_complete`] said last; false for a new one.
    fn is_complete(&self, tree: TreeId) -> bool;

    /// Says whether a tree holds all it should. A store that keeps its trees keeps this with them, behind all batches
    /// applied before.
    fn set_complete(&self, tree: TreeId, complete: bool) -> Result<(), StoreError>;

    /// Gives a tree the content of another one, which is dropped; it is complete then. Nobody writes to either meanwhile; a reader that goes
    /// through the tree finds a key that both have all the time.
    fn replace(&self, tree: TreeId, by: TreeId) -> Result<(), StoreError> {
        copy_over(self, tree, by)
    }

    /// What the table knows of an entry.
    fn slot(&self, id: EntryId) -> Result<Option<Slot>, StoreError>;

    /// How many entries the table has.
    fn entries(&self) -> u64;

    /// Appends up to `limit` ids greater than `after`, in no particular order beyond this: calling on with the last
    /// `token` given back visits every entry that is there throughout. `None` when all were visited.
    fn ids(&self, token: u64, limit: usize, out: &mut Vec<EntryId>) -> Result<Option<u64>, StoreError>;

    /// Calls `visit` with the value of a key; false if there is no such key.
    fn get(&self, tree: TreeId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError>;

    /// Visits the keys of `from..to` (no end if `to` is none) in order. The visitor must be quick: a writer may wait.
    fn range(
        &self,
        tree: TreeId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StoreError>;

    /// Counts the keys of a range, giving up after about `bound`.
    fn estimate(
        &self,
        tree: TreeId,
        from: &[u8],
        to: Option<&[u8]>,
        bound: u64,
    ) -> Result<Estimate, StoreError>;

    /// Applies a batch, as a whole as far as a restart can tell. Readers may see its steps one by one: those on the entry
    /// table in order, and those on each tree in order and behind the table's.
    fn apply(&self, batch: &Batch) -> Result<(), StoreError>;

    /// The log sequence the store stands at.
    fn applied(&self) -> u64;

    /// The sequence the store stands at and the marks of the last batch that had some, together.
    fn stand(&self) -> (u64, Marks);

    /// Writes out what a store on disk still holds back; for a clean stop.
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Octets held in memory, by tree name; the entry table is `entries`.
    fn memory(&self) -> Vec<(String, u64)>;
}

/// An index store that threads share.
pub type SharedStore = Arc<dyn IndexStore>;

/// [`IndexStore::replace`] key by key.
pub(crate) fn copy_over<S: IndexStore + ?Sized>(
    store: &S,
    tree: TreeId,
    by: TreeId,
) -> Result<(), StoreError> {
    store.set_complete(tree, false)?;
    let mut batch = Batch::new();
    for (from, other) in [(by, tree), (tree, by)] {
        let mut after = Vec::new();
        loop {
            let mut piece: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            store.range(from, &after, None, &mut |key, value| {
                piece.push((key.to_vec(), value.to_vec()));
                if piece.len() < 256 { Visit::Continue } else { Visit::Stop }
            })?;
            let Some((last, _)) = piece.last() else { break };
            after.clone_from(last);
            after.push(0);
            batch.clear();
            for (key, value) in &piece {
                if store.get(other, key, &mut |_| ())? {
                    continue;
                }
                if from == by { batch.put(tree, key, value) } else { batch.remove(tree, key) }
            }
            store.apply(&batch)?;
        }
    }
    store.set_complete(tree, true)?;
    store.drop_tree(by)
}
