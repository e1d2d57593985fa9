//! Which segments of the log go, and when: what is live in the oldest one is copied forward, then it is dropped.
//!
//! Segments go strictly oldest first. A delete is behind everything it deletes in the log, copies included, so what it
//! deletes is gone from the log before it is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::{RecvTimeoutError, SendTimeoutError, bounded};

use super::StoreError;
use super::execute::Copied;
use super::pieces;
use super::pipeline::{Relocation, Sender, Shared, Task};
use super::record::{LocalPart, RecordKind};
use super::space::{Pressure, SegmentUse, SpaceSettings};
use super::view::store_error;
use crate::clock::Clock;
use crate::log::{LogError, SegmentInfo};

/// Octets that are copied by one request to the sequencer.
const PIECE: usize = 256 << 10;
/// How long a wait for the store's threads goes before the purger looks whether the store closes.
const LOOK: Duration = Duration::from_millis(50);

/// What a round of the purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Segments dropped.
    pub segments: u64,
    /// Octets of their records.
    pub octets: u64,
}

/// Ends the hold when dropped.
#[derive(Debug)]
pub struct PurgeHold(Arc<AtomicU64>);

impl Drop for PurgeHold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why a segment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Age,
    Size,
    Room,
}

#[derive(Debug, Clone, Copy)]
struct Victim {
    info: SegmentInfo,
    /// The sequence of the first record behind it.
    next: u64,
    reason: Reason,
}

/// The purge's state.
pub(crate) struct Purger {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    /// The purge clock when the store was opened: hybrid milliseconds, and monotonic time.
    origin: (u64, Duration),
    settings: ArcSwap<SpaceSettings>,
    holds: Arc<AtomicU64>,
    is_early: AtomicBool,
    /// Held during a round. The last segment for which a floor was written, and the floor's sequence.
    floor: Mutex<Option<(u32, u64)>>,
}

impl Purger {
    /// `newest_ms` is the hybrid clock as the log has it.
    pub(crate) fn new(
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        settings: SpaceSettings,
        newest_ms: u64,
    ) -> Self {
        Self {
            origin: (clock.wall_ms().max(newest_ms), clock.monotonic()),
            shared,
            clock,
            settings: ArcSwap::from_pointee(settings),
            holds: Arc::default(),
            is_early: AtomicBool::new(false),
            floor: Mutex::new(None),
        }
    }

    pub(crate) fn set(&self, settings: SpaceSettings) {
        self.settings.store(Arc::new(settings));
    }

    pub(crate) fn settings(&self) -> SpaceSettings {
        **self.settings.load()
    }

    /// Whether somebody keeps all segments.
    pub(crate) fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }

    /// Does something to a segment's file, unless all are kept. Who wants them kept from now on waits for it.
    pub(crate) fn unless_held<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        let _round = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_held() { None } else { Some(act()) }
    }

    /// Whether everything before a segment is older than a delay: nothing of it is younger than that segment's first record.
    pub(crate) fn is_older(&self, next: &SegmentInfo, delay: Duration) -> bool {
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        next.since_ms > 0 && next.since_ms.saturating_add(delay) <= self.now_ms()
    }

    /// How long who has read or written so many octets beside the store's own work rests.
    pub(crate) fn pause(&self, octets: u64) -> Duration {
        if self.is_short() {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(octets as f64 / self.settings.load().copy_rate.max(1) as f64)
    }

    /// How long changes are kept effectively.
    pub(crate) fn effective_delay(&self) -> Duration {
        let delay = self.settings.load().purge_delay;
        if !self.is_early.load(Ordering::Relaxed) {
            return delay;
        }
        let oldest = self.shared.view.log.segments().first().map_or(0, |first| first.since_ms);
        delay.min(Duration::from_millis(self.now_ms().saturating_sub(oldest)))
    }

    /// Octets that all files of the log may take.
    fn size_bound(&self, settings: &SpaceSettings, size: u64) -> u64 {
        settings.changelog_max.unwrap_or_else(|| {
            let free = self.shared.view.log.free_octets().ok().flatten();
            // What the log has and what it could have.
            free.map_or(u64::MAX, |free| free.saturating_add(size) / 10 * 8)
        })
    }

    /// Keeps all segments as long as the hold lives.
    pub(crate) fn hold(&self) -> PurgeHold {
        self.holds.fetch_add(1, Ordering::AcqRel);
        // A round that has looked already is waited for.
        drop(self.floor.lock().unwrap_or_else(PoisonError::into_inner));
        PurgeHold(Arc::clone(&self.holds))
    }

    /// The purge clock: the hybrid clock at the start, and from there on monotonic time. A step of the wall clock must not
    /// make changes old.
    fn now_ms(&self) -> u64 {
        let elapsed = self.clock.monotonic().saturating_sub(self.origin.1).as_millis();
        self.origin.0.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// The hybrid clock in milliseconds since 1970, and how long changes are kept.
    pub(crate) fn clock(&self) -> (u64, Duration) {
        (self.now_ms().max(self.clock.wall_ms()), self.settings.load().purge_delay)
    }

    /// What is live, by segment, oldest first.
    pub(crate) fn segments(&self) -> Vec<SegmentUse> {
        let view = &self.shared.view;
        let live = view.space.all();
        let one = |info: &SegmentInfo| {
            let live = live.get(&info.number).copied().unwrap_or_default();
            SegmentUse {
                number: info.number,
                octets: info.octets,
                size: info.size,
                is_compacted: info.compacted.is_some(),
                live_entries: live.entries,
                live_octets: live.octets,
            }
        };
        view.log.segments().iter().map(one).collect()
    }

    /// Looks how much room the disk has.
    fn watch(&self) -> Result<(), StoreError> {
        let free = self.shared.view.log.free_octets().map_err(|error| store_error(&error))?;
        if let Some(free) = free {
            self.shared.set_pressure(self.shared.pressure().next(free, &self.settings.load()), free);
        } else {
            self.shared.set_pressure(Pressure::Normal, u64::MAX);
        }
        if self.shared.is_starved.load(Ordering::Acquire) && self.shared.view.log.find_room().is_ok() {
            self.shared.is_starved.store(false, Ordering::Release);
            tracing::info!("there is room for the log again");
        }
        Ok(())
    }

    fn is_short(&self) -> bool {
        self.shared.pressure() != Pressure::Normal || self.shared.is_starved.load(Ordering::Acquire)
    }

    /// Looks at the room and drops what may go. `rest` is told how many octets were copied, and says whether to go on.
    pub(crate) fn round(
        &self,
        tasks: &Sender<Task>,
        rest: &dyn Fn(u64) -> bool,
    ) -> Result<Purged, StoreError> {
        let mut floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        let mut purged = Purged::default();
        if self.shared.unwilling().is_some() {
            return Ok(purged);
        }
        let log = &self.shared.view.log;
        self.shared.counters.rates.read(self.clock.monotonic(), &log.stats());
        self.watch()?;
        log.recycle().map_err(|error| store_error(&error))?;
        // What is copied may have to be looked at again, but each segment only once in a round.
        for _ in 0..log.segments().len() {
            let Some(victim) = self.victim() else { break };
            if !self.clear(&victim, &mut floor, tasks, rest)? {
                break;
            }
            let number = victim.info.number;
            log.drop_oldest(number).map_err(|error| {
                if matches!(error, LogError::Poisoned { .. } | LogError::Io { .. }) && log.writable().is_err()
                {
                    self.shared.poison(error.to_string());
                }
                store_error(&error)
            })?;
            self.shared.view.space.forget(number);
            self.alarm(&victim);
            purged.segments += 1;
            purged.octets += victim.info.octets;
            log.recycle().map_err(|error| store_error(&error))?;
            self.watch()?;
        }
        if purged.segments == 0 {
            self.is_early.store(false, Ordering::Relaxed);
        }
        Ok(purged)
    }

    /// Says so when changes go before the purge delay; once until it ends.
    fn alarm(&self, victim: &Victim) {
        if victim.reason != Reason::Age && !self.is_early.swap(true, Ordering::Relaxed) {
            let kept = self.shared.view.log.segments().first().map_or(0, |first| first.since_ms);
            tracing::warn!(
                reason = if victim.reason == Reason::Size {
                    "ds-cfg-cts-changelog-max-size"
                } else {
                    "disk space"
                },
                effective_seconds = self.now_ms().saturating_sub(kept) / 1000,
                "changes are purged before replication-purge-delay"
            );
        }
    }

    /// The oldest segment, if it is to go now.
    fn victim(&self) -> Option<Victim> {
        if self.is_held() {
            return None;
        }
        let view = &self.shared.view;
        let segments = view.log.segments();
        let [oldest, next, ..] = segments.as_slice() else { return None };
        // What is live in it is known only when all of it is applied.
        if view.store.applied() + 1 < next.first_sequence {
            return None;
        }
        let settings = self.settings.load();
        let live = view.space.all();
        let live_here = live.get(&oldest.number).map_or(0, |live| live.octets);
        let live_all: u64 = live.values().map(|live| live.octets).sum();
        let one = u64::from(view.log.options().segment_size);
        let used: u64 = segments.iter().map(|segment| segment.octets).sum();
        let victim = |reason| Some(Victim { info: *oldest, next: next.first_sequence, reason });
        let is_old = |next: &SegmentInfo| self.is_older(next, settings.purge_delay);
        let old = segments.iter().zip(segments.iter().skip(1)).take_while(|(_, next)| is_old(next));
        let old: u64 = old.map(|(segment, _)| segment.octets).sum();
        // To copy what nearly all is live gains little; it waits until it is the dead between that must go.
        let dead_bound = live_all.saturating_add(live_all * 3 / 10).saturating_add(one);
        if old > 0 && (live_here * 2 <= oldest.octets || old > dead_bound) {
            return victim(Reason::Age);
        }
        if used <= live_all.saturating_add(live_all / 10).saturating_add(2 * one) {
            return None;
        }
        let size: u64 = segments.iter().map(|segment| segment.size).sum();
        if size > self.size_bound(&settings, size) {
            return victim(Reason::Size);
        }
        if self.is_short() { victim(Reason::Room) } else { None }
    }

    /// Copies forward what is live in a segment and writes the floor. Whether it is done, durable and applied.
    fn clear(
        &self,
        victim: &Victim,
        floor: &mut Option<(u32, u64)>,
        tasks: &Sender<Task>,
        rest: &dyn Fn(u64) -> bool,
    ) -> Result<bool, StoreError> {
        let (view, number) = (&self.shared.view, victim.info.number);
        if view.space.of(number).entries > 0 {
            let mut records = view.log.records(victim.info.first_sequence);
            let (mut piece, mut octets) = (Vec::new(), 0);
            loop {
                let record = if records.next_sequence() < victim.next {
                    records.next_record().map_err(|error| store_error(&error))?
                } else {
                    None
                };
                let is_end = record.is_none();
                if let Some(copied) = record.and_then(|record| self.live(&record).transpose()).transpose()? {
                    octets += copied.entry.as_bytes().len();
                    piece.push(copied);
                }
                if octets < PIECE && !is_end {
                    continue;
                }
                if !piece.is_empty() {
                    self.ask(std::mem::take(&mut piece), false, tasks)?;
                    let copied = std::mem::take(&mut octets) as u64;
                    self.shared.counters.moved_octets.fetch_add(copied, Ordering::Relaxed);
                    if !rest(copied) || self.is_held() {
                        return Ok(false);
                    }
                }
                if is_end {
                    break;
                }
            }
        }
        let needed = match *floor {
            Some((segment, sequence)) if segment == number => sequence,
            _ => {
                let sequence = self.ask(Vec::new(), true, tasks)?;
                *floor = Some((number, sequence));
                sequence
            }
        };
        // Under `Durability::Os` the sync comes later, and the next round finds it.
        let is_safe = view.log.durable_sequence() >= needed && view.store.applied() >= needed;
        let left = view.space.of(number).entries;
        if is_safe && left > 0 {
            *floor = None;
            return Err(StoreError::Corrupt(format!(
                "{left} entries of log segment {number} cannot be copied; it stays"
            )));
        }
        Ok(is_safe && !self.is_held())
    }

    /// The entry of a record, if this is its current version.
    fn live(&self, record: &crate::log::LogRecord) -> Result<Option<Copied>, StoreError> {
        if RecordKind::of(record.kind) == Some(RecordKind::Floor) {
            return Ok(None);
        }
        let part = LocalPart::decode(&record.local);
        let Some((id, from)) = part.and_then(|part| Some((part.id, part.image.place(&record.place)?))) else {
            return Ok(None);
        };
        if self.shared.view.store.slot(id)?.is_none_or(|slot| slot.place != from) {
            return Ok(None);
        }
        let entry = pieces::read(&self.shared.view.log, from)?;
        Ok(Some(Copied { id, from, entry: Arc::new(entry), children: 0 }))
    }

    /// Has the sequencer write copies, and waits until the view shows them. Gives back the sequence it shows.
    fn ask(&self, entries: Vec<Copied>, wants_floor: bool, tasks: &Sender<Task>) -> Result<u64, StoreError> {
        let (done, answer) = bounded(1);
        let closed = || StoreError::Unwilling("the store is closed".into());
        let mut task = Task::Relocate(Relocation { entries, wants_floor, done });
        loop {
            match tasks.send_timeout(task, LOOK) {
                Ok(()) => break,
                Err(SendTimeoutError::Timeout(back)) if self.shared.unwilling().is_none() => task = back,
                Err(_) => return Err(closed()),
            }
        }
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if self.shared.unwilling().is_none() => {}
                Err(_) => return Err(closed()),
            }
        }
    }

    /// The purger's thread: a round each `interval`, until the other end of `stops` goes.
    pub(crate) fn run(
        &self,
        tasks: &Sender<Task>,
        interval: Duration,
        stops: &crossbeam::channel::Receiver<()>,
    ) {
        let rest = |octets: u64| {
            if self.is_short() {
                return self.shared.unwilling().is_none();
            }
            matches!(stops.recv_timeout(self.pause(octets)), Err(RecvTimeoutError::Timeout))
        };
        while matches!(stops.recv_timeout(interval), Err(RecvTimeoutError::Timeout)) {
            if let Err(error) = self.round(tasks, &rest)
                && self.shared.unwilling().is_none()
            {
                tracing::error!(%error, "the purge of the log fails");
            }
        }
    }
}
