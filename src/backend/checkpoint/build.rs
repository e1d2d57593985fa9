//! A checkpoint made of sorted keys and not of a store: after a bulk load.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::super::StoreError;
use super::super::packed::LeafWriter;
use super::write::{CHUNK, Out};
use super::{Header, LEAVES, NAMES, SLOT, SLOTS};
use crate::log::Disk;

/// Slots of a chunk.
const SLOTS_AT_ONCE: usize = 16_384;

/// The keys of one tree.
pub(crate) trait Source: Send {
    /// The tree's name.
    fn name(&self) -> &str;
    /// Calls `visit` with each key once, in their order, and its value; stops when that says false. Called once.
    fn visit(&mut self, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool);
}

/// Writes a checkpoint of these trees, several at a time, and of these slots (each id, place, parent; as in the file).
/// Durable on return. `header.octets` is filled in.
pub(crate) fn build(
    home: &dyn Disk,
    mut header: Header,
    slots: &[u8],
    sources: Vec<Box<dyn Source>>,
    threads: usize,
) -> Result<(), StoreError> {
    let mut out = Out::create(home)?;
    for (source, number) in sources.iter().zip(0..) {
        out.begin(NAMES, number);
        out.chunk.extend_from_slice(source.name().as_bytes());
        out.end()?;
    }
    for piece in slots.chunks(SLOT * SLOTS_AT_ONCE) {
        out.begin(SLOTS, 0);
        out.chunk.extend_from_slice(piece);
        out.end()?;
    }
    let out = Mutex::new(out);
    let sources: Vec<Mutex<Option<Box<dyn Source>>>> =
        sources.into_iter().map(|source| Mutex::new(Some(source))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(source) = sources.get(number) else { return Ok(()) };
            let source = source.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(mut source) = source {
                tree(&out, number as u32, &mut *source)?;
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| Err(StoreError::Corrupt("a thread of the checkpoint failed".into())))
        })
    })?;
    let out = out.into_inner().unwrap_or_else(PoisonError::into_inner);
    header.octets = out.at;
    out.finish(home, &header)
}

fn tree(out: &Mutex<Out>, number: u32, source: &mut dyn Source) -> Result<(), StoreError> {
    let write = |leaves: &mut Vec<u8>| {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        out.begin(LEAVES, number);
        out.chunk.append(leaves);
        out.end()
    };
    let mut failure = None;
    let mut leaves = LeafWriter::default();
    source.visit(&mut |key, value| {
        leaves.push(key, value);
        if leaves.out.len() >= CHUNK
            && let Err(error) = write(&mut leaves.out)
        {
            failure = Some(error);
        }
        failure.is_none()
    });
    if let Some(error) = failure {
        return Err(error);
    }
    leaves.end();
    write(&mut leaves.out)
}
