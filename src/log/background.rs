//! Threads beside the commit path: filling segments ahead, and syncing under `Durability::Os`.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::disk::DiskFile;
use super::segment::{Shared, file_name};
use super::stats::Counters;
use super::{Durability, LogError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Segments filled with zeros before they are needed: syncing a file that still grows costs several times as much.
#[derive(Debug)]
pub(super) struct Spares {
    shared: Arc<Shared>,
    room: Arc<(Mutex<Room>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Room {
    /// Numbers of filled files, rising.
    ready: VecDeque<u32>,
    /// The number of the next file to fill.
    next: u32,
    is_filling: bool,
    /// A fill failed; the thread rests until the commit path has seen for itself.
    has_failed: bool,
    stops: bool,
}

impl Spares {
    pub(super) fn new(shared: Arc<Shared>, ready: VecDeque<u32>, next: u32) -> Self {
        shared.counters.spares.store(ready.len() as u64, Relaxed);
        let room = Room { ready, next, is_filling: false, has_failed: false, stops: false };
        let room = Arc::new((Mutex::new(room), Condvar::new()));
        let mut thread = None;
        if shared.options.spares > 0 && shared.halt.get().is_none() {
            let (shared, room) = (Arc::clone(&shared), Arc::clone(&room));
            // Without the thread segments are filled when needed: slower, not wrong.
            let builder = std::thread::Builder::new().name("log-spares".to_owned());
            thread = builder.spawn(move || fill_ahead(&shared, &room)).ok();
        }
        Self { shared, room, thread }
    }

    /// A filled segment with a number above all before; waits for one that is being filled.
    pub(super) fn take(&self) -> Result<u32, LogError> {
        let (mutex, changed) = &*self.room;
        let mut room = lock(mutex);
        while room.ready.is_empty() && room.is_filling {
            room = changed.wait(room).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(number) = room.ready.pop_front() {
            self.shared.counters.spares.store(room.ready.len() as u64, Relaxed);
            changed.notify_all();
            return Ok(number);
        }
        Counters::add(&self.shared.counters.spares_missed, 1);
        // The thread stays out as long as this one fills, so numbers stay in order.
        room.is_filling = true;
        let number = room.next;
        drop(room);
        let made = fill(&self.shared, number);
        let mut room = lock(mutex);
        room.is_filling = false;
        room.has_failed = made.is_err();
        if made.is_ok() {
            room.next = number + 1;
        }
        changed.notify_all();
        made.map(|()| number).map_err(|source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                LogError::NoSpace { source }
            }
            _ => LogError::Io { action: "make", file: file_name(number), source },
        })
    }

    /// Takes back what was not needed after all.
    pub(super) fn put_back(&self, numbers: &[u32]) {
        let mut room = lock(&self.room.0);
        for &number in numbers.iter().rev() {
            room.ready.push_front(number);
        }
        self.shared.counters.spares.store(room.ready.len() as u64, Relaxed);
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        lock(&self.room.0).stops = true;
        self.room.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn fill(shared: &Shared, number: u32) -> std::io::Result<()> {
    shared.disk.create_zeroed(&file_name(number), u64::from(shared.options.segment_size))
}

fn fill_ahead(shared: &Shared, room: &(Mutex<Room>, Condvar)) {
    let (mutex, changed) = room;
    let mut room = lock(mutex);
    while !room.stops {
        if room.is_filling || room.has_failed || room.ready.len() >= shared.options.spares {
            room = changed.wait(room).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        room.is_filling = true;
        let number = room.next;
        drop(room);
        let made = fill(shared, number);
        room = lock(mutex);
        room.is_filling = false;
        match made {
            Ok(()) => {
                room.next = number + 1;
                room.ready.push_back(number);
                shared.counters.spares.store(room.ready.len() as u64, Relaxed);
            }
            Err(_) => room.has_failed = true,
        }
        changed.notify_all();
    }
}

/// The background sync of `Durability::Os`.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    room: Arc<(Mutex<SyncRoom>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct SyncRoom {
    /// The file that is written to; all before it are synced.
    file: Option<Arc<dyn DiskFile>>,
    stops: bool,
}

impl Syncer {
    pub(super) fn new(shared: Arc<Shared>, file: Option<Arc<dyn DiskFile>>) -> Self {
        let room = Arc::new((Mutex::new(SyncRoom { file, stops: false }), Condvar::new()));
        let mut thread = None;
        let wants = shared.options.durability == Durability::Os && !shared.options.sync_interval.is_zero();
        if wants && shared.halt.get().is_none() {
            let (shared, room) = (Arc::clone(&shared), Arc::clone(&room));
            let builder = std::thread::Builder::new().name("log-sync".to_owned());
            thread = builder.spawn(move || sync_often(&shared, &room)).ok();
        }
        Self { shared, room, thread }
    }

    /// Whether a thread syncs by itself.
    pub(super) const fn runs(&self) -> bool {
        self.thread.is_some()
    }

    /// Goes over to another file; the one before must be synced.
    pub(super) fn watch(&self, file: Arc<dyn DiskFile>) {
        lock(&self.room.0).file = Some(file);
    }

    /// Syncs now.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        sync(&self.shared, &self.room.0)
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        lock(&self.room.0).stops = true;
        self.room.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn sync(shared: &Shared, room: &Mutex<SyncRoom>) -> Result<(), LogError> {
    shared.check_writable()?;
    // What is committed before the sync begins is durable when it has ended. The file is taken after the number: if
    // the writer goes over to another file in between, it has synced this one.
    let committed = shared.committed.load(Acquire);
    let file = lock(room).file.clone();
    let (Some(file), true) = (file, committed > shared.durable.load(Acquire)) else { return Ok(()) };
    if let Err(source) = file.sync() {
        let error = LogError::Io { action: "sync", file: "the log's last segment".to_owned(), source };
        shared.poison(&error);
        return Err(error);
    }
    Counters::add(&shared.counters.syncs, 1);
    shared.durable.fetch_max(committed, AcqRel);
    Ok(())
}

fn sync_often(shared: &Shared, room: &(Mutex<SyncRoom>, Condvar)) {
    let (mutex, changed) = room;
    loop {
        let guard = lock(mutex);
        if guard.stops {
            return;
        }
        let (guard, _) =
            changed.wait_timeout(guard, shared.options.sync_interval).unwrap_or_else(PoisonError::into_inner);
        drop(guard);
        if sync(shared, mutex).is_err() {
            return;
        }
    }
}
