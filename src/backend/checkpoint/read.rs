//! Loading a checkpoint into an empty store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam::channel::{Receiver, bounded};

use super::super::StoreError;
use super::super::index_store::{EntryId, IndexStore, Slot, TreeId};
use super::super::memory::{IdMap, MemoryStore};
use super::super::packed::PackedTree;
use super::{BLOCK, CHUNK_HEADER, Header, LEAVES, NAMES, SLOT, SLOTS, failed};
use crate::log::disk::{DiskFile, OpenMode};
use crate::log::{Disk, Place};

/// A chunk that is not verified yet.
struct Chunk {
    kind: u8,
    tree: u32,
    crc: u32,
    /// From the octet behind the checksum on.
    bytes: Vec<u8>,
}

/// Which trees the file holds and where they go.
struct Load<'a> {
    memory: &'a MemoryStore,
    /// The tree of the entries' names.
    names: TreeId,
    /// Number in the file to the tree of the store; none for one that is no longer wanted.
    trees: HashMap<u32, Option<TreeId>>,
    /// Whether an entry is left out.
    is_touched: &'a (dyn Fn(u64) -> bool + Sync),
    touches_any: bool,
    done: AtomicU64,
}

fn damaged(name: &str) -> StoreError {
    StoreError::Corrupt(format!("{name} is damaged"))
}

/// Loads what the file has of the trees that the store has, without the entries in `touched`, by `threads` threads; those
/// trees are complete then. `progress` is told octets done and all octets. After a failure the store is of no use.
pub(crate) fn load<T: Sync>(
    home: &dyn Disk,
    header: &Header,
    memory: &MemoryStore,
    names: TreeId,
    touched: &IdMap<T>,
    threads: usize,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(), StoreError> {
    let name = header.name();
    let file = home.open(&name, OpenMode::Read).map_err(failed("open", &name))?;
    let wanted: HashMap<String, TreeId> = memory.trees().into_iter().collect();
    let is_touched = |id: u64| touched.contains_key(&id);
    let mut load = Load {
        memory,
        names,
        trees: HashMap::new(),
        is_touched: &is_touched,
        touches_any: !touched.is_empty(),
        done: AtomicU64::new(0),
    };
    let mut reader = Reader { file: &*file, at: BLOCK as u64, end: header.octets, name: &name };
    // Names come first.
    let mut first = None;
    while let Some(chunk) = reader.next()? {
        if chunk.kind != NAMES {
            first = Some(chunk);
            break;
        }
        let body = chunk.verified().ok_or_else(|| damaged(&name))?;
        let tree = std::str::from_utf8(body).map_err(|_| damaged(&name))?;
        load.trees.insert(chunk.tree, wanted.get(tree).copied());
    }
    let has_failed = AtomicBool::new(false);
    let (sender, receiver) = bounded::<Chunk>(threads * 2);
    let work = |chunks: Receiver<Chunk>| {
        for chunk in chunks {
            let octets = chunk.bytes.len() as u64;
            if !has_failed.load(Ordering::Relaxed) && load.take(chunk).is_none() {
                has_failed.store(true, Ordering::Relaxed);
            }
            let done = load.done.fetch_add(octets, Ordering::Relaxed) + octets;
            progress(done, header.octets);
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        for _ in 0..threads.max(1) {
            let chunks = receiver.clone();
            scope.spawn(move || work(chunks));
        }
        drop(receiver);
        let mut next = first;
        while let Some(chunk) = next.take() {
            if has_failed.load(Ordering::Relaxed) || sender.send(chunk).is_err() {
                break;
            }
            next = reader.next()?;
        }
        drop(sender);
        Ok(())
    })?;
    if has_failed.into_inner() {
        return Err(damaged(&name));
    }
    for tree in load.trees.values().flatten() {
        memory.set_complete(*tree, true)?;
    }
    Ok(())
}

struct Reader<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    end: u64,
    name: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Chunk>, StoreError> {
        if self.at == self.end {
            return Ok(None);
        }
        let mut header = [0; CHUNK_HEADER];
        self.read(&mut header, self.at)?;
        let number = |at: usize| {
            header
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |octets| u32::from_be_bytes(*octets))
        };
        let octets = CHUNK_HEADER as u64 + u64::from(number(0));
        if octets > self.end - self.at {
            return Err(damaged(self.name));
        }
        let [_, _, _, _, _, _, _, _, kind, ..] = header;
        let mut bytes = vec![0; octets as usize - 8];
        self.read(&mut bytes, self.at + 8)?;
        self.at += octets;
        Ok(Some(Chunk { kind, tree: number(12), crc: number(4), bytes }))
    }

    fn read(&self, room: &mut [u8], at: u64) -> Result<(), StoreError> {
        let count = self.file.read_at(room, at).map_err(failed("read", self.name))?;
        if count == room.len() { Ok(()) } else { Err(damaged(self.name)) }
    }
}

impl Chunk {
    fn verified(&self) -> Option<&[u8]> {
        (crc32c::crc32c(&self.bytes) == self.crc).then_some(())?;
        self.bytes.get(CHUNK_HEADER - 8..)
    }
}

impl Load<'_> {
    fn take(&self, chunk: Chunk) -> Option<()> {
        let body = chunk.verified()?;
        match chunk.kind {
            SLOTS => self.slots(body),
            LEAVES => match *self.trees.get(&chunk.tree)? {
                Some(tree) => self.leaves(tree, body),
                None => Some(()),
            },
            _ => None,
        }
    }

    fn slots(&self, body: &[u8]) -> Option<()> {
        let chunks = body.chunks_exact(SLOT);
        chunks.remainder().is_empty().then_some(())?;
        let mut slots = Vec::with_capacity(chunks.len());
        for octets in chunks {
            let (id, rest) = octets.split_first_chunk()?;
            let (segment, rest) = rest.split_first_chunk()?;
            let (offset, rest) = rest.split_first_chunk()?;
            let (len, rest) = rest.split_first_chunk()?;
            let parent = rest.first_chunk()?;
            let id = u64::from_be_bytes(*id);
            if (self.is_touched)(id) {
                continue;
            }
            let place = Place {
                segment: u32::from_be_bytes(*segment),
                offset: u32::from_be_bytes(*offset),
                len: u32::from_be_bytes(*len),
            };
            let parent = EntryId(u64::from_be_bytes(*parent));
            slots.push((EntryId(id), Slot { place, parent, children: 0 }));
        }
        self.memory.put_slots(&slots);
        Some(())
    }

    fn leaves(&self, tree: TreeId, body: &[u8]) -> Option<()> {
        let by_key =
            |key: &[u8], _: &[u8]| EntryId::from_tail(key).is_some_and(|id| !(self.is_touched)(id.0));
        let by_value =
            |_: &[u8], value: &[u8]| EntryId::from_tail(value).is_some_and(|id| !(self.is_touched)(id.0));
        let wants: Option<&dyn Fn(&[u8], &[u8]) -> bool> = match (self.touches_any, tree == self.names) {
            (false, _) => None,
            (true, true) => Some(&by_value),
            (true, false) => Some(&by_key),
        };
        let leaves = PackedTree::load(body, wants)?;
        self.memory.take(tree, leaves);
        Some(())
    }
}
