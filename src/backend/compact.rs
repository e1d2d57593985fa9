//! Compaction: what is dead in closed segments goes long before the segments do.
//!
//! Once the delete of an entry is in the log, nobody needs the records of its life before: a replica that has not seen them
//! ends with the entry absent all the same. They are replaced by records that say which numbers of their origin they had. The
//! delete stays, and so does everything of entries that are there; a copy stays only while it is the entry's current version.
//!
//! An entry is known to be deleted if all of the segment is applied and the entry table does not have it: ids are not used
//! again, the table lets go of an entry by its delete alone, and the delete is behind all records of the entry and goes
//! after them. It must be durable as well. Damage, and entries left out of the view because their parents are lost, end
//! compaction.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use crossbeam::channel::{Receiver, RecvTimeoutError};

use super::StoreError;
use super::pipeline::Shared;
use super::purge::Purger;
use super::record::{self, Advance, LocalPart, RecordKind};
use super::view::store_error;
use crate::changelog::{ChangeRecord, Op};
use crate::log::{Compaction, LogError, LogRecord, Place, SegmentInfo, StandIn};

/// A segment is written anew if that may make it smaller by one part in so many.
const PART: u64 = 4;
/// Octets between two looks at what is left of the budget.
const STEP: u64 = 1 << 20;

/// What a round of compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Segments written anew.
    pub segments: u64,
    /// Octets by which they became smaller.
    pub octets: u64,
}

/// How the compaction of one segment ended.
enum Outcome {
    Smaller(u64),
    /// Too little of it is dead.
    Useless,
    /// Somebody wants the segments as they are, or the store closes.
    Interrupted,
}

/// Records that are replaced by one.
struct Run {
    sequence: u64,
    place: Place,
    covers: u32,
    /// The changes among them; none if all are copies.
    changes: Option<Advance>,
}

/// The state of compaction.
pub(crate) struct Compactor {
    shared: Arc<Shared>,
    purger: Arc<Purger>,
    /// Held during a round. The octets that seemed dead in segments of which too little was.
    tried: Mutex<HashMap<u32, u64>>,
}

impl Compactor {
    pub(crate) fn new(shared: Arc<Shared>, purger: Arc<Purger>) -> Self {
        Self { shared, purger, tried: Mutex::default() }
    }

    /// Looks at all segments that are old enough. `rest` is told how many octets were read and written, and says whether
    /// to go on.
    pub(crate) fn round(&self, rest: &dyn Fn(u64) -> bool) -> Result<Compacted, StoreError> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = Compacted::default();
        let view = &self.shared.view;
        let segments = view.log.segments();
        tried.retain(|number, _| segments.iter().any(|info| info.number == *number));
        for (info, next) in segments.iter().zip(segments.iter().skip(1)) {
            let settings = self.purger.settings();
            if !settings.compaction
                || view.has_orphans.load(Ordering::Acquire)
                || self.shared.unwilling().is_some()
                || self.purger.is_held()
                || !self.purger.is_older(next, settings.compaction_delay)
            {
                break;
            }
            // What the purge drops as it is need not be written anew.
            let live = view.space.of(info.number).octets;
            if self.purger.is_older(next, settings.purge_delay) && live * 2 <= info.octets {
                continue;
            }
            let dead = info.compacted.unwrap_or(info.octets).saturating_sub(live);
            if dead < info.octets / PART
                || tried.get(&info.number).is_some_and(|&before| dead < before + info.octets / PART / 2)
            {
                continue;
            }
            match self.segment(info, next, rest) {
                Ok(Outcome::Smaller(octets)) => {
                    tried.remove(&info.number);
                    done.segments += 1;
                    done.octets += octets;
                }
                Ok(Outcome::Useless) => {
                    tried.insert(info.number, dead);
                }
                Ok(Outcome::Interrupted) => break,
                Err(error) => {
                    // Not again before the next start.
                    tried.insert(info.number, u64::MAX / 2);
                    return Err(error);
                }
            }
        }
        Ok(done)
    }

    fn segment(
        &self,
        info: &SegmentInfo,
        next: &SegmentInfo,
        rest: &dyn Fn(u64) -> bool,
    ) -> Result<Outcome, StoreError> {
        let view = &self.shared.view;
        // What is dead is known when all of it is applied.
        let last = next.first_sequence - 1;
        if view.store.applied() < last || view.log.durable_sequence() < last {
            return Ok(Outcome::Interrupted);
        }
        let failed = |error: LogError| store_error(&error);
        let mut compaction = view.log.compact(info.number).map_err(failed)?;
        let mut records = compaction.records();
        let mut run: Option<Run> = None;
        let (mut read, mut spent) = (0, 0);
        while records.next_sequence() < compaction.end() {
            let Some(record) = records.next_record().map_err(failed)? else {
                return Ok(Outcome::Interrupted);
            };
            read += u64::from(record.place.record.len);
            self.take(&mut compaction, &record, &mut run)?;
            let all = read + compaction.octets();
            if all - spent >= STEP {
                let step = std::mem::replace(&mut spent, all);
                if !rest(all - step) || self.purger.is_held() {
                    return Ok(Outcome::Interrupted);
                }
            }
        }
        flush(&mut compaction, &mut run)?;
        let (before, after) = (compaction.octets_before(), compaction.octets());
        if after > before - before.min(info.octets / PART / 2) {
            return Ok(Outcome::Useless);
        }
        // The deletes that were seen are applied; they must not be lost behind what they deleted.
        if view.log.durable_sequence() < view.store.applied() {
            return Ok(Outcome::Interrupted);
        }
        compaction.seal().map_err(failed)?;
        let finished = self.purger.unless_held(|| compaction.finish());
        match finished {
            None | Some(Ok(false)) => Ok(Outcome::Interrupted),
            Some(Ok(true)) => Ok(Outcome::Smaller(before - after)),
            Some(Err(error)) => {
                if view.log.writable().is_err() {
                    self.shared.poison(error.to_string());
                }
                Err(failed(error))
            }
        }
    }

    /// Keeps a record, or has it replaced with those around it.
    fn take(
        &self,
        compaction: &mut Compaction,
        record: &LogRecord,
        run: &mut Option<Run>,
    ) -> Result<(), StoreError> {
        let kind = RecordKind::of(record.kind);
        let changes = match kind {
            Some(RecordKind::Floor) => return keep(compaction, record, run, false),
            Some(RecordKind::Gap) => return replace(compaction, record, run, None),
            Some(RecordKind::Advance) => Advance::decode(&record.envelope)?,
            Some(RecordKind::Copy) => None,
            None => {
                let change = ChangeRecord::decode(&record.envelope)
                    .map_err(|error| StoreError::Corrupt(error.to_string()))?;
                if matches!(change.op, Op::Delete | Op::Mark) {
                    return keep(compaction, record, run, false);
                }
                let (first, last) = (change.oseq, change.oseq);
                Some(Advance { origin: change.origin, first, last, csn: change.csn })
            }
        };
        if kind == Some(RecordKind::Advance) {
            return replace(compaction, record, run, changes);
        }
        let part = LocalPart::decode(&record.local)
            .ok_or_else(|| StoreError::Corrupt("a local part is of another format".into()))?;
        let slot = self.shared.view.store.slot(part.id)?;
        let is_wanted = match (&slot, kind) {
            (Some(slot), Some(RecordKind::Copy)) => part.image.place(&record.place) == Some(slot.place),
            (slot, _) => slot.is_some(),
        };
        if is_wanted {
            keep(compaction, record, run, true)
        } else {
            replace(compaction, record, run, changes)
        }
    }

    /// The compactor's thread: a round each `interval`, until the other end of `stops` goes.
    pub(crate) fn run(&self, interval: Duration, stops: &Receiver<()>) {
        let rest = |octets: u64| {
            let wait = self.purger.pause(octets);
            self.shared.unwilling().is_none()
                && matches!(stops.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
        };
        while matches!(stops.recv_timeout(interval), Err(RecvTimeoutError::Timeout)) {
            match self.round(&rest) {
                Ok(done) if done.segments > 0 => {
                    tracing::info!(segments = done.segments, octets = done.octets, "the log was compacted");
                }
                Err(error) if self.shared.unwilling().is_none() => {
                    tracing::error!(%error, "a segment of the log could not be compacted; it stays as it is");
                }
                _ => {}
            }
        }
    }
}

fn keep(
    compaction: &mut Compaction,
    record: &LogRecord,
    run: &mut Option<Run>,
    is_read: bool,
) -> Result<(), StoreError> {
    flush(compaction, run)?;
    compaction.keep(record, is_read).map_err(|error| store_error(&error))
}

fn replace(
    compaction: &mut Compaction,
    record: &LogRecord,
    run: &mut Option<Run>,
    changes: Option<Advance>,
) -> Result<(), StoreError> {
    if let Some(open) = run
        && let Some(covers) = open.covers.checked_add(record.covers)
    {
        let joined = match (&open.changes, &changes) {
            (before, None) => Some(*before),
            (None, after) => Some(*after),
            (Some(before), Some(after)) => before.join(after).map(Some),
        };
        if let Some(changes) = joined {
            (open.covers, open.changes) = (covers, changes);
            return Ok(());
        }
    }
    flush(compaction, run)?;
    let (sequence, place, covers) = (record.sequence, record.place.record, record.covers);
    *run = Some(Run { sequence, place, covers, changes });
    Ok(())
}

fn flush(compaction: &mut Compaction, run: &mut Option<Run>) -> Result<(), StoreError> {
    let Some(Run { sequence, place, covers, changes }) = run.take() else { return Ok(()) };
    let mut envelope = BytesMut::new();
    let kind = match changes {
        Some(changes) => {
            changes.encode(&mut envelope);
            record::RecordKind::Advance
        }
        None => RecordKind::Gap,
    };
    let stand_in = StandIn { sequence, covers, place, kind: kind as u8, envelope: &envelope, local: &[] };
    compaction.stand_in(&stand_in).map_err(|error| store_error(&error))
}
