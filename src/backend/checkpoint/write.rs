//! Taking a checkpoint while the store serves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crossbeam::channel::{Receiver, Sender, bounded, select};

use super::super::StoreError;
use super::super::backup::CheckpointFile;
use super::super::index_store::{IndexStore, Purpose, TreeId};
use super::super::memory::MemoryStore;
use super::super::view::View;
use super::{BLOCK, CHUNK_HEADER, Header, KEPT, LEAVES, NAMES, NEW_NAME, SLOT, SLOTS};
use super::{applied_of, failed, file_name, list};
use crate::log::disk::{DiskFile, OpenMode};
use crate::log::{Disk, Log};

/// Octets of leaves taken under one lock.
const SLICE: usize = 64 << 10;
/// Octets of a chunk, about.
pub(super) const CHUNK: usize = 512 << 10;
/// Octets written between syncs: the system must not gather so much that the log's writes wait behind it.
const SYNC_STEP: u64 = 8 << 20;
/// A checkpoint is due once the log has grown by so many times the last checkpoint's size: what checkpoints write stays a
/// small part of what the log writes, however much is live.
const SIZE_FACTOR: u64 = 6;

/// Counts what the log grows by, and wakes the taker when a checkpoint is due.
#[derive(Debug)]
pub(crate) struct Growth {
    octets: AtomicU64,
    due: AtomicU64,
    wake: OnceLock<Sender<()>>,
}

impl Default for Growth {
    fn default() -> Self {
        Self { octets: AtomicU64::new(0), due: AtomicU64::new(u64::MAX), wake: OnceLock::new() }
    }
}

impl Growth {
    /// Told by the applier.
    pub(crate) fn add(&self, octets: u64) {
        let sum = self.octets.fetch_add(octets, Ordering::Relaxed) + octets;
        if sum >= self.due.load(Ordering::Relaxed)
            && let Some(wake) = self.wake.get()
        {
            // Full: it is awake already.
            let _ = wake.try_send(());
        }
    }

    /// The taker's end; to be asked for once.
    fn wakes(&self) -> Receiver<()> {
        let (sender, receiver) = bounded(1);
        let _ = self.wake.set(sender);
        receiver
    }

    fn is_due(&self) -> bool {
        self.octets.load(Ordering::Relaxed) >= self.due.load(Ordering::Relaxed)
    }

    fn restart(&self, due: u64) {
        self.octets.store(0, Ordering::Relaxed);
        self.due.store(due, Ordering::Relaxed);
    }
}

/// Takes checkpoints of one store.
#[derive(Debug)]
pub(crate) struct Taker {
    home: Arc<dyn Disk>,
    memory: Arc<MemoryStore>,
    log: Log,
    purpose: Purpose,
    /// Octets of log between checkpoints, at least; 0 for none at all.
    interval: u64,
    /// The `applied` of the last checkpoint that shows the store as it was then, and its size.
    last: Mutex<Option<(u64, u64)>>,
    /// The taking is to end without a result.
    gives_up: AtomicBool,
}

impl Taker {
    pub(crate) fn new(
        home: Arc<dyn Disk>,
        memory: Arc<MemoryStore>,
        log: Log,
        purpose: Purpose,
        interval: u64,
        last: Option<(u64, u64)>,
    ) -> Self {
        let (last, gives_up) = (Mutex::new(last), AtomicBool::new(false));
        Self { home, memory, log, purpose, interval, last, gives_up }
    }

    /// Says when the next one is due.
    fn plan(&self, growth: &Growth) {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let octets = last.map_or(0, |(_, octets)| octets);
        growth.restart(self.interval.max(octets.saturating_mul(SIZE_FACTOR)));
    }

    /// Takes one, unless the last one shows the same. The sequence it was begun at; none if it was given up or nothing
    /// is to be done. Waits for one that is being taken.
    fn take(&self) -> Result<Option<u64>, StoreError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (applied, marks) = self.memory.stand();
        if self.interval == 0 || applied == 0 || last.is_some_and(|(at, _)| at == applied) {
            return Ok(None);
        }
        let entries = self.memory.entries();
        let octets = BLOCK as u64;
        let mut header = Header { purpose: self.purpose, applied, through: 0, marks, octets, entries };
        let mut out = Out::create(&*self.home)?;
        if !self.pieces(&mut out)? {
            return Ok(None);
        }
        header.through = self.memory.applied();
        header.octets = out.at;
        // Under lazy durability the view may be ahead of what is on disk.
        if self.log.durable_sequence() < header.through && !self.wait_durable(header.through) {
            return Ok(None);
        }
        out.finish(&*self.home, &header)?;
        *last = Some((applied, header.octets));
        self.drop_old()?;
        Ok(Some(applied))
    }

    fn wait_durable(&self, through: u64) -> bool {
        let step = self.log.options().sync_interval;
        for _ in 0..50 {
            if self.log.durable_sequence() >= through {
                return true;
            }
            if step.is_zero() || self.gives_up.load(Ordering::Acquire) {
                return false;
            }
            std::thread::park_timeout(step);
        }
        false
    }

    /// Writes all chunks; false if the taking was given up.
    fn pieces(&self, out: &mut Out) -> Result<bool, StoreError> {
        let trees: Vec<(String, TreeId)> =
            self.memory.trees().into_iter().filter(|(_, tree)| self.memory.is_complete(*tree)).collect();
        for (name, tree) in &trees {
            out.begin(NAMES, tree.0);
            out.chunk.extend_from_slice(name.as_bytes());
            out.end()?;
        }
        for part in 0.. {
            out.begin(SLOTS, 0);
            let is_there = self.memory.visit_slots(part, |id, slot| {
                out.chunk.extend_from_slice(&id.to_bytes());
                for number in [slot.place.segment, slot.place.offset, slot.place.len] {
                    out.chunk.extend_from_slice(&number.to_be_bytes());
                }
                out.chunk.extend_from_slice(&slot.parent.to_bytes());
            });
            if !is_there {
                break;
            }
            debug_assert!((out.chunk.len() - CHUNK_HEADER).is_multiple_of(SLOT));
            out.end()?;
            if self.gives_up.load(Ordering::Acquire) {
                return Ok(false);
            }
        }
        for (_, tree) in &trees {
            let mut next: Option<Box<[u8]>> = Some(Box::default());
            out.begin(LEAVES, tree.0);
            while let Some(from) = next {
                next = self.memory.dump(*tree, &from, SLICE, &mut out.chunk);
                if out.chunk.len() >= CHUNK {
                    out.end()?;
                    if self.gives_up.load(Ordering::Acquire) {
                        return Ok(false);
                    }
                    out.begin(LEAVES, tree.0);
                }
            }
            out.end()?;
        }
        // One that was dropped meanwhile is not whole.
        Ok(trees.iter().all(|(_, tree)| self.memory.is_complete(*tree)))
    }

    /// Keeps the newest ones.
    fn drop_old(&self) -> Result<(), StoreError> {
        let files = self.home.list().map_err(failed("list", "the data's directory"))?;
        let mut all: Vec<u64> = files.iter().filter_map(|(name, _)| applied_of(name)).collect();
        all.sort_unstable();
        let surplus = all.len().saturating_sub(KEPT);
        for applied in all.into_iter().take(surplus) {
            let name = file_name(applied);
            self.home.remove(&name).map_err(failed("remove", &name))?;
        }
        if surplus > 0 {
            self.home.sync_dir().map_err(failed("sync the directory of", NEW_NAME))?;
        }
        Ok(())
    }
}

/// The thread that takes checkpoints when they are due, and all others' way to ask for one.
pub(crate) struct Checkpoints {
    taker: Arc<Taker>,
    view: Arc<View>,
    /// Dropped to end the thread.
    life: Mutex<Option<Sender<()>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Checkpoints {
    pub(crate) fn start(taker: Arc<Taker>, view: Arc<View>) -> Self {
        let (life, lives) = bounded::<()>(0);
        let mut thread = None;
        if taker.interval > 0 {
            let wakes = view.growth.wakes();
            taker.plan(&view.growth);
            let (taker, view) = (Arc::clone(&taker), Arc::clone(&view));
            let run = move || {
                loop {
                    select! {
                        recv(lives) -> _ => return,
                        recv(wakes) -> _ => {}
                    }
                    // It may have been woken once more while it took the last one.
                    if view.growth.is_due() {
                        // A failure has been told.
                        let _ = take(&taker, &view);
                    }
                }
            };
            let spawned = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(run);
            thread = spawned.map_err(|error| tracing::error!(%error, "no thread for checkpoints")).ok();
        }
        Self { taker, view, life: Mutex::new(Some(life)), thread: Mutex::new(thread) }
    }

    /// Takes one now.
    pub(crate) fn take(&self) -> Result<Option<u64>, StoreError> {
        take(&self.taker, &self.view)
    }

    /// The newest checkpoint that shows nothing after a sequence, held open.
    pub(crate) fn newest(&self, through: u64) -> Result<Option<CheckpointFile>, StoreError> {
        // None goes while this is held.
        let _last = self.taker.last.lock().unwrap_or_else(PoisonError::into_inner);
        let home = &*self.taker.home;
        let fitting =
            list(home, self.taker.purpose)?.into_iter().rev().find(|header| header.through <= through);
        let Some(header) = fitting else { return Ok(None) };
        let name = header.name();
        let file = home.open(&name, OpenMode::Read).map_err(failed("open", &name))?;
        Ok(Some(CheckpointFile { name, octets: header.octets, file }))
    }

    /// Ends the thread; a checkpoint that it is taking is given up.
    pub(crate) fn end(&self) {
        self.taker.gives_up.store(true, Ordering::Release);
        self.life.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        self.taker.gives_up.store(false, Ordering::Release);
    }
}

fn take(taker: &Taker, view: &View) -> Result<Option<u64>, StoreError> {
    let taken = taker.take();
    match &taken {
        Ok(Some(applied)) => tracing::info!(applied, "checkpoint taken"),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "no checkpoint could be taken; the next start takes longer"),
    }
    // After a failure too: not again at once.
    taker.plan(&view.growth);
    taken
}

/// The file and the chunk that is gathered.
pub(super) struct Out {
    file: Arc<dyn DiskFile>,
    pub(super) at: u64,
    synced: u64,
    pub(super) chunk: Vec<u8>,
}

impl Out {
    /// Begins a new file.
    pub(super) fn create(home: &dyn Disk) -> Result<Self, StoreError> {
        let octets = BLOCK as u64;
        home.create_zeroed(NEW_NAME, octets).map_err(failed("make", NEW_NAME))?;
        let file = home.open(NEW_NAME, OpenMode::Write).map_err(failed("open", NEW_NAME))?;
        Ok(Self { file, at: octets, synced: 0, chunk: Vec::new() })
    }

    /// Makes it a checkpoint, durably.
    pub(super) fn finish(&self, home: &dyn Disk, header: &Header) -> Result<(), StoreError> {
        self.file.write_at(&header.encode(), 0).map_err(failed("write", NEW_NAME))?;
        self.file.sync().map_err(failed("sync", NEW_NAME))?;
        let name = header.name();
        home.rename(NEW_NAME, &name).map_err(failed("rename", NEW_NAME))?;
        home.sync_dir().map_err(failed("sync the directory of", &name))
    }

    pub(super) fn begin(&mut self, kind: u8, tree: u32) {
        self.chunk.clear();
        self.chunk.extend_from_slice(&[0; 8]);
        self.chunk.extend_from_slice(&[kind, 0, 0, 0]);
        self.chunk.extend_from_slice(&tree.to_be_bytes());
    }

    pub(super) fn end(&mut self) -> Result<(), StoreError> {
        let body = self.chunk.len().saturating_sub(CHUNK_HEADER);
        if body == 0 {
            return Ok(());
        }
        let length = u32::try_from(body)
            .map_err(|_| StoreError::Unwilling("a piece of a checkpoint is too large".into()))?;
        let crc = crc32c::crc32c(self.chunk.get(8..).unwrap_or_default());
        if let Some(room) = self.chunk.first_chunk_mut::<8>() {
            let (left, right) = room.split_at_mut(4);
            left.copy_from_slice(&length.to_be_bytes());
            right.copy_from_slice(&crc.to_be_bytes());
        }
        self.file.write_at(&self.chunk, self.at).map_err(failed("write", NEW_NAME))?;
        self.at += self.chunk.len() as u64;
        if self.at - self.synced >= SYNC_STEP {
            self.file.sync().map_err(failed("sync", NEW_NAME))?;
            self.synced = self.at;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_wakes_when_it_is_due_and_not_before() {
        let growth = Growth::default();
        let wakes = growth.wakes();
        growth.restart(100);
        growth.add(99);
        assert!(wakes.try_recv().is_err() && !growth.is_due());
        growth.add(1);
        growth.add(5);
        assert!(growth.is_due());
        assert!(wakes.try_recv().is_ok());
        growth.add(5);
        growth.restart(100);
        // Woken, but for nothing any more.
        assert!(wakes.try_recv().is_ok() && !growth.is_due());
    }
}
