//! Threads beside the commit path: filling segments ahead, and syncing under `Durability::Os`.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::disk::DiskFile;
use super::segment::{Shared, file_name};
use super::stats::Counters;
use super::{Durability, LogError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Segments that are kept ready at the most, however many a burst of writes takes.
const MOST_READY: usize = 16;
/// Segments beyond [`Options::spares`](super::Options::spares) are filled when in so long a time
const LULL: Duration = Duration::from_millis(200);
/// less than this was written.
const LULL_OCTETS: u64 = 1 << 20;

/// A file that is ready to become a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spare {
    pub(super) number: u32,
    /// Zeros throughout; otherwise behind its first two blocks there may be what an earlier use left.
    pub(super) is_clean: bool,
}

/// The files that are ready, for the writer, the thread that fills them and the purge that recycles them.
#[derive(Debug, Default)]
pub(super) struct SpareRoom(Mutex<Room>, Condvar);

#[derive(Debug, Default)]
struct Room {
    /// With rising numbers.
    ready: VecDeque<Spare>,
    /// The number of the next file.
    next: u32,
    /// Segments taken since the last lull.
    burst: usize,
    /// What the longest burst took, up to [`MOST_READY`]: so many are filled while little is written, so that the next
    /// one finds them.
    wanted: usize,
    /// Somebody makes the next file.
    is_filling: bool,
    /// A fill failed; the thread rests until somebody else has seen for himself.
    has_failed: bool,
    stops: bool,
}

/// When the next file is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Now,
    /// When little is written.
    Later,
    Never,
}

impl Room {
    fn take(&mut self) -> Option<Spare> {
        self.burst += 1;
        self.wanted = self.wanted.max(self.burst.min(MOST_READY));
        self.ready.pop_front()
    }

    /// `least` are to be ready always.
    fn due(&self, least: usize) -> Due {
        let ready = self.ready.len();
        match () {
            () if self.is_filling || self.has_failed => Due::Never,
            () if ready < least => Due::Now,
            () if ready < self.wanted || self.burst > 0 => Due::Later,
            () => Due::Never,
        }
    }

    /// Little is written now: whether a file is to be made, if the disk has room for it.
    fn lull(&mut self, has_room: bool) -> bool {
        self.burst = 0;
        if !has_room {
            self.wanted = self.ready.len();
        }
        self.ready.len() < self.wanted
    }
}

/// Segments filled with zeros before they are needed: syncing a file that still grows costs several times as much.
#[derive(Debug)]
pub(super) struct Spares {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    pub(super) fn new(shared: Arc<Shared>, ready: VecDeque<Spare>, next: u32) -> Self {
        shared.counters.spares.store(ready.len() as u64, Relaxed);
        let wanted = ready.len().min(MOST_READY);
        *lock(&shared.spares.0) = Room { ready, next, wanted, ..Room::default() };
        let mut thread = None;
        if shared.options.spares > 0 && shared.halt.get().is_none() {
            let shared = Arc::clone(&shared);
            // Without the thread segments are filled when needed: slower, not wrong.
            let builder = std::thread::Builder::new().name("log-spares".to_owned());
            thread = builder.spawn(move || fill_ahead(&shared)).ok();
        }
        Self { shared, thread }
    }

    /// A file with a number above all before; waits for one that is being made. Who is not urgent leaves the reserve.
    pub(super) fn take(&self, is_urgent: bool) -> Result<Spare, LogError> {
        let left = if is_urgent { 0 } else { self.shared.options.reserve };
        self.shared.ready(left, Room::take)?.ok_or(LogError::Options("no segment is ready"))
    }

    /// Takes back what was not needed after all.
    pub(super) fn put_back(&self, spares: &[Spare]) {
        let mut room = lock(&self.shared.spares.0);
        for &spare in spares.iter().rev() {
            room.ready.push_front(spare);
        }
        self.shared.counters.spares.store(room.ready.len() as u64, Relaxed);
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        lock(&self.shared.spares.0).stops = true;
        self.shared.spares.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Makes files until more than `left` are ready, and then lets `act` have the room.
    fn ready<T>(&self, left: usize, act: impl FnOnce(&mut Room) -> T) -> Result<T, LogError> {
        let SpareRoom(mutex, changed) = &self.spares;
        let mut room = lock(mutex);
        loop {
            while room.ready.len() <= left && room.is_filling {
                room = changed.wait(room).unwrap_or_else(PoisonError::into_inner);
            }
            if room.ready.len() > left {
                let answer = act(&mut room);
                self.counters.spares.store(room.ready.len() as u64, Relaxed);
                changed.notify_all();
                return Ok(answer);
            }
            Counters::add(&self.counters.spares_missed, 1);
            let number = room.next;
            let made;
            (room, made) = self.fill(room);
            if let Err(source) = made {
                return Err(match source.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                        LogError::NoSpace { source }
                    }
                    _ => LogError::Io { action: "make", file: file_name(number), source },
                });
            }
        }
    }

    /// Makes the next file. Others stay out meanwhile, so numbers stay in order.
    fn fill<'a>(&'a self, mut room: MutexGuard<'a, Room>) -> (MutexGuard<'a, Room>, std::io::Result<()>) {
        let SpareRoom(mutex, changed) = &self.spares;
        room.is_filling = true;
        let number = room.next;
        drop(room);
        let made = self.disk.create_zeroed(&file_name(number), u64::from(self.options.segment_size));
        room = lock(mutex);
        room.is_filling = false;
        room.has_failed = made.is_err();
        if made.is_ok() {
            room.next = number + 1;
            room.ready.push_back(Spare { number, is_clean: true });
            self.counters.spares.store(room.ready.len() as u64, Relaxed);
        }
        changed.notify_all();
        (room, made)
    }

    /// Whether a segment can be had beside the reserve; makes one if none is ready.
    pub(super) fn find_room(&self) -> Result<(), LogError> {
        self.check_writable()?;
        self.ready(self.options.reserve, |_| ())
    }

    /// Adds a file, if fewer are ready than are of use: `name` gives it the number it is told. False if there are enough,
    /// or nobody would use it any more.
    pub(super) fn add_spare(&self, name: impl FnOnce(u32) -> Result<(), LogError>) -> Result<bool, LogError> {
        let SpareRoom(mutex, changed) = &self.spares;
        let mut room = lock(mutex);
        while room.is_filling {
            room = changed.wait(room).unwrap_or_else(PoisonError::into_inner);
        }
        // Those in use and those ready take turns; more than this is room for others.
        let most = 2 * self.options.spares + 2;
        if room.stops || room.ready.len() >= most.max(room.wanted) {
            return Ok(false);
        }
        room.is_filling = true;
        let number = room.next;
        drop(room);
        let named = name(number);
        room = lock(mutex);
        room.is_filling = false;
        room.has_failed = false;
        // Even a failure may have left a file of this number.
        room.next = number + 1;
        if named.is_ok() {
            room.ready.push_back(Spare { number, is_clean: false });
            self.counters.spares.store(room.ready.len() as u64, Relaxed);
        }
        changed.notify_all();
        named.map(|()| true)
    }
}

/// Fills what must be ready at once, and what a burst would take while little is written: zeros are octets for the device
/// too, and when it is busy they cost others time.
fn fill_ahead(shared: &Shared) {
    let SpareRoom(mutex, changed) = &shared.spares;
    let mut room = lock(mutex);
    let mut written = 0;
    while !room.stops {
        match room.due(shared.options.spares) {
            Due::Now => {}
            Due::Never => {
                room = changed.wait(room).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            Due::Later => {
                let (after, wait) = changed.wait_timeout(room, LULL).unwrap_or_else(PoisonError::into_inner);
                room = after;
                if !wait.timed_out() {
                    continue;
                }
                let before = std::mem::replace(&mut written, shared.counters.written_octets.load(Relaxed));
                if written.saturating_sub(before) >= LULL_OCTETS || !room.lull(has_room(shared)) {
                    continue;
                }
            }
        }
        // A failure is remembered, and met by who needs the file.
        (room, _) = shared.fill(room);
    }
}

/// Whether the disk has room to spare: as much again as is kept ready at the most, four times.
fn has_room(shared: &Shared) -> bool {
    let wanted = 4 * MOST_READY as u64 * u64::from(shared.options.segment_size);
    shared.disk.free().is_ok_and(|free| free.is_none_or(|free| free >= wanted))
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
        let mut syncer = Self { shared, room, thread: None };
        syncer.follow(syncer.shared.options.durability);
        syncer
    }

    /// Starts the thread if a policy needs it. It stays, with nothing to do under the others.
    pub(super) fn follow(&mut self, durability: Durability) {
        let wants = durability == Durability::Os && !self.shared.options.sync_interval.is_zero();
        if wants && self.thread.is_none() && self.shared.halt.get().is_none() {
            let (shared, room) = (Arc::clone(&self.shared), Arc::clone(&self.room));
            let builder = std::thread::Builder::new().name("log-sync".to_owned());
            self.thread = builder.spawn(move || sync_often(&shared, &room)).ok();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_burst_took_is_made_ready_in_the_lull_behind_it() {
        let mut room = Room::default();
        let made = |room: &mut Room| room.ready.push_back(Spare { number: 1, is_clean: true });
        assert_eq!(room.due(2), Due::Now);
        made(&mut room);
        made(&mut room);
        assert_eq!(room.due(2), Due::Never);
        for _ in 0..5 {
            assert!(room.take().is_some());
            assert_eq!(room.due(2), Due::Now);
            made(&mut room);
        }
        assert_eq!(room.due(2), Due::Later);
        for _ in 0..3 {
            assert!(room.lull(true));
            made(&mut room);
        }
        assert!(!room.lull(true));
        assert_eq!((room.ready.len(), room.due(2)), (5, Due::Never));
        // A shorter burst finds enough, and what it took comes back in a lull.
        assert!(room.take().is_some());
        assert_eq!(room.due(2), Due::Later);
        assert!(room.lull(true));
        // A disk that is nearly full is left alone.
        assert!(!room.lull(false));
        assert_eq!(room.due(2), Due::Never);
        for _ in 0..4 * MOST_READY {
            room.take();
        }
        assert_eq!(room.wanted, MOST_READY);
    }
}
