//! A disk in memory that fails on purpose, for tests of everything that stands on the log.
//!
//! It counts *durable points*: each durable write, sync, directory sync and creation of a file. A test runs its script
//! once to count them, then once for each point with a [`Fault`] there, takes the disk that is left
//! ([`MemDisk::after_crash`]) and opens the log again.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile, OpenMode};

const SECTOR: usize = 512;

/// What happens at the chosen durable point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails and does nothing; later ones work again.
    Once,
    /// As [`Fault::Once`], and the disk says that it is full.
    Full,
    /// The operation does nothing, and nothing works any more.
    Stop,
    /// Some sectors of the write reach the disk, chosen by the seed, and nothing works any more.
    Torn(u64),
    /// The operation is done, but nobody hears of it, and nothing works any more.
    Late,
}

/// What of the writes, renames and removals that were never synced is there after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// All: the process was killed, the machine lives.
    Kept,
    /// None.
    Lost,
    /// Any of the written sectors, and the first so many renames and removals, chosen by the seed.
    Some(u64),
}

#[derive(Debug, Clone, Default)]
struct Content {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct State {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// The names after each rename and removal that is not synced.
    pending_names: Vec<BTreeMap<String, usize>>,
    points: u64,
    fault: Option<(u64, Fault)>,
    is_dead: bool,
    capacity: Option<u64>,
    epoch: u32,
}

/// A directory of files in memory.
#[derive(Debug, Clone, Default)]
pub struct MemDisk(Arc<Mutex<State>>);

enum Verdict {
    Do,
    DoThenFail,
    Tear(u64),
    Fail(io::ErrorKind),
}

fn failure() -> io::Error {
    io::Error::other("injected fault")
}

fn put(target: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if target.len() < at + bytes.len() {
        target.resize(at + bytes.len(), 0);
    }
    if let Some(room) = target.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

/// The sectors of a write that the seed lets through.
fn sectors(at: usize, bytes: &[u8], seed: &mut u64) -> Vec<(usize, Vec<u8>)> {
    let mut kept = Vec::new();
    let mut done = 0;
    while done < bytes.len() {
        let length = (SECTOR - (at + done) % SECTOR).min(bytes.len() - done);
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if *seed >> 63 == 1 {
            kept.push((at + done, bytes.get(done..done + length).unwrap_or_default().to_vec()));
        }
        done += length;
    }
    kept
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.is_dead { Err(failure()) } else { Ok(()) }
    }

    fn point(&mut self) -> Verdict {
        if self.is_dead {
            return Verdict::Fail(io::ErrorKind::Other);
        }
        self.points += 1;
        let Some((_, fault)) = self.fault.filter(|(at, _)| *at == self.points) else { return Verdict::Do };
        self.is_dead = !matches!(fault, Fault::Once | Fault::Full);
        match fault {
            Fault::Once | Fault::Stop => Verdict::Fail(io::ErrorKind::Other),
            Fault::Full => Verdict::Fail(io::ErrorKind::StorageFull),
            Fault::Torn(seed) => Verdict::Tear(seed),
            Fault::Late => Verdict::DoThenFail,
        }
    }

    /// Runs an operation that is all or nothing.
    fn atomic(&mut self, operation: impl FnOnce(&mut Self)) -> io::Result<()> {
        match self.point() {
            Verdict::Do => {
                operation(self);
                Ok(())
            }
            Verdict::DoThenFail => {
                operation(self);
                Err(failure())
            }
            Verdict::Tear(_) => Err(failure()),
            Verdict::Fail(kind) => Err(io::Error::new(kind, "injected fault")),
        }
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn content(&mut self, index: usize) -> io::Result<&mut Content> {
        self.contents.get_mut(index).ok_or_else(failure)
    }

    fn pend_names(&mut self) {
        self.pending_names.push(self.names.clone());
    }

    fn used(&self) -> u64 {
        let length =
            |index: &usize| self.contents.get(*index).map_or(0, |content| content.current.len() as u64);
        self.names.values().map(length).sum()
    }
}

impl Content {
    fn flush(&mut self) {
        self.durable.clone_from(&self.current);
        self.pending.clear();
    }
}

impl MemDisk {
    /// An empty directory that never fails.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Durable points so far.
    pub fn points(&self) -> u64 {
        self.state().points
    }

    /// Fails at the given point, counted from 1 and from the making of this disk.
    pub fn fail_at(&self, point: u64, fault: Fault) {
        self.state().fault = Some((point, fault));
    }

    /// Lets all files together take no more than so many octets.
    pub fn set_capacity(&self, octets: Option<u64>) {
        self.state().capacity = octets;
    }

    /// The disk as a new process finds it. This one stays as it is.
    pub fn after_crash(&self, unsynced: Unsynced) -> Self {
        let state = self.state();
        let mut contents = state.contents.clone();
        for content in &mut contents {
            match unsynced {
                Unsynced::Kept => content.durable.clone_from(&content.current),
                Unsynced::Lost => {}
                Unsynced::Some(seed) => {
                    let mut seed = seed;
                    for (at, bytes) in std::mem::take(&mut content.pending) {
                        for (at, sector) in sectors(at, &bytes, &mut seed) {
                            put(&mut content.durable, at, &sector);
                        }
                    }
                }
            }
            content.current.clone_from(&content.durable);
            content.pending.clear();
        }
        let names = match unsynced {
            Unsynced::Kept => &state.names,
            Unsynced::Lost => &state.durable_names,
            // A file system does these in order.
            Unsynced::Some(seed) => {
                let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                let count = usize::try_from(spread).unwrap_or_default() % (state.pending_names.len() + 1);
                let last = count.checked_sub(1).and_then(|last| state.pending_names.get(last));
                last.unwrap_or(&state.durable_names)
            }
        };
        Self(Arc::new(Mutex::new(State {
            contents,
            names: names.clone(),
            durable_names: names.clone(),
            epoch: state.epoch + 1,
            ..State::default()
        })))
    }

    /// The bytes of a file.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let mut state = self.state();
        let index = state.find(name).ok()?;
        state.content(index).ok().map(|content| content.current.clone())
    }

    /// Changes bytes behind everyone's back.
    pub fn scribble(&self, name: &str, at: usize, bytes: &[u8]) {
        let mut state = self.state();
        if let Ok(index) = state.find(name)
            && let Ok(content) = state.content(index)
        {
            put(&mut content.current, at, bytes);
            put(&mut content.durable, at, bytes);
        }
    }

    /// Cuts a file off, or prolongs it with zeros.
    pub fn truncate(&self, name: &str, length: usize) {
        let mut state = self.state();
        if let Ok(index) = state.find(name)
            && let Ok(content) = state.content(index)
        {
            content.current.resize(length, 0);
            content.flush();
        }
    }
}

impl Disk for MemDisk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        state.alive()?;
        let length =
            |index: &usize| state.contents.get(*index).map_or(0, |content| content.current.len() as u64);
        Ok(state.names.iter().map(|(name, index)| (name.clone(), length(index))).collect())
    }

    fn create_zeroed(&self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if state.capacity.is_some_and(|capacity| state.used() + len > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let zeros = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        state.atomic(|state| {
            let index = state.contents.len();
            state.contents.push(Content { durable: zeros.clone(), current: zeros, pending: Vec::new() });
            state.names.insert(name.to_owned(), index);
            state.durable_names.insert(name.to_owned(), index);
            for names in &mut state.pending_names {
                names.insert(name.to_owned(), index);
            }
        })
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        state.alive()?;
        let index = state.find(name)?;
        Ok(Arc::new(MemFile { disk: self.clone(), index, mode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        let index = state.find(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), index);
        state.pend_names();
        Ok(())
    }

    fn link(&self, name: &str, other: &str) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        let index = state.find(name)?;
        state.names.insert(other.to_owned(), index);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        state.find(name)?;
        state.names.remove(name);
        state.pend_names();
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.state().atomic(|state| {
            state.durable_names.clone_from(&state.names);
            state.pending_names.clear();
        })
    }

    fn free(&self) -> io::Result<Option<u64>> {
        let state = self.state();
        state.alive()?;
        Ok(state.capacity.map(|capacity| capacity.saturating_sub(state.used())))
    }

    fn fresh_epoch(&self) -> io::Result<u32> {
        let mut state = self.state();
        state.epoch += 1;
        // Spread over the range, so that a test notices an epoch that is taken for a small number.
        Ok(state.epoch.wrapping_mul(2_654_435_769).max(1))
    }
}

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    index: usize,
    mode: OpenMode,
}

impl DiskFile for MemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.alive()?;
        let content = state.content(self.index)?;
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let there = content.current.get(at..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), there.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        match self.mode {
            OpenMode::Read => Err(io::ErrorKind::PermissionDenied.into()),
            OpenMode::Write => {
                state.alive()?;
                let (used, capacity) = (state.used(), state.capacity);
                let content = state.content(self.index)?;
                let growth = (at + bytes.len()).saturating_sub(content.current.len()) as u64;
                if growth > 0 && capacity.is_some_and(|capacity| used + growth > capacity) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                put(&mut content.current, at, bytes);
                content.pending.push((at, bytes.to_vec()));
                Ok(())
            }
            OpenMode::WriteDurable => {
                let (parts, answer) = match state.point() {
                    Verdict::Do => (vec![(at, bytes.to_vec())], Ok(())),
                    Verdict::DoThenFail => (vec![(at, bytes.to_vec())], Err(failure())),
                    Verdict::Tear(mut seed) => (sectors(at, bytes, &mut seed), Err(failure())),
                    Verdict::Fail(kind) => return Err(io::Error::new(kind, "injected fault")),
                };
                let content = state.content(self.index)?;
                for (at, part) in parts {
                    put(&mut content.current, at, &part);
                    put(&mut content.durable, at, &part);
                }
                answer
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let index = self.index;
        self.disk.state().atomic(|state| {
            if let Ok(content) = state.content(index) {
                content.flush();
            }
        })
    }
}
