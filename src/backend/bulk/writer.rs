//! The thread that writes the records of a bulk load, a large group at a time.

use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::super::index_store::EntryId;
use super::super::record::{Image, LocalPart};
use super::super::store::StoreError;
use super::super::view::store_error;
use crate::changelog::ChangeRecord;
use crate::log::{Group, Log, LogError, Place, Writer};

/// Octets of a group.
const GROUP: usize = 4 << 20;
/// Groups on their way, the one that gathers with them.
const GROUPS: usize = 3;
/// The record kind of an ADD.
const ADD: u8 = 1;

/// A record to be written.
pub(super) struct Record<'a> {
    pub(super) id: EntryId,
    pub(super) parent: EntryId,
    pub(super) sequence: u64,
    pub(super) change: ChangeRecord<'a>,
}

/// What a record holds, for the slot.
#[derive(Debug, Clone, Copy)]
struct Held {
    id: EntryId,
    parent: EntryId,
    image: Image,
}

#[derive(Default)]
struct Batch {
    group: Option<Group>,
    held: Vec<Held>,
}

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Slots as a checkpoint has them.
    pub(super) slots: Vec<u8>,
    /// Where the last record is.
    pub(super) last: Place,
}

/// The way to the thread.
pub(super) struct GroupWriter {
    batch: Batch,
    full: Option<Sender<Batch>>,
    empty: Receiver<Batch>,
    thread: Option<JoinHandle<Result<Written, StoreError>>>,
}

impl GroupWriter {
    pub(super) fn start(log: Log, writer: Writer) -> Result<Self, StoreError> {
        let (full, full_in) = bounded::<Batch>(GROUPS);
        let (empty_out, empty) = bounded::<Batch>(GROUPS);
        for _ in 1..GROUPS {
            let _ = empty_out.send(Batch { group: Some(log.new_group()), held: Vec::new() });
        }
        let batch = Batch { group: Some(log.new_group()), held: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("bulk-writer".to_owned())
            .spawn(move || write(writer, &full_in, &empty_out))
            .map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self { batch, full: Some(full), empty, thread: Some(thread) })
    }

    /// Encodes a record; false if it is too large to be kept.
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<bool, StoreError> {
        let Some(group) = &mut self.batch.group else { return Err(self.failure()) };
        let octets = u32::try_from(record.change.payload.len()).unwrap_or(u32::MAX);
        let image = |payload: usize| Image::Envelope(u32::try_from(payload).unwrap_or(0), octets);
        group.stamp(record.change.csn);
        let pushed = group.push(
            ADD,
            record.sequence,
            |out| record.change.encode(out),
            |out, &payload| {
                let (id, parent, previous) = (record.id, record.parent, Place::default());
                LocalPart { image: image(payload), id, parent, previous }.encode(out);
            },
        );
        match pushed {
            Ok(payload) => {
                self.batch.held.push(Held { id: record.id, parent: record.parent, image: image(payload) });
            }
            Err(LogError::TooLarge { .. }) => return Ok(false),
            Err(error) => return Err(store_error(&error)),
        }
        if group.octets() >= GROUP {
            self.hand_on()?;
        }
        Ok(true)
    }

    fn hand_on(&mut self) -> Result<(), StoreError> {
        let Ok(next) = self.empty.recv() else { return Err(self.failure()) };
        let full = std::mem::replace(&mut self.batch, next);
        match &self.full {
            Some(sender) if sender.send(full).is_ok() => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Why the thread has ended.
    fn failure(&mut self) -> StoreError {
        self.full = None;
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(Ok(Err(error))) => error,
            _ => StoreError::Corrupt("the thread that writes the log failed".into()),
        }
    }

    /// Writes what is left and waits for the end.
    pub(super) fn finish(mut self) -> Result<Written, StoreError> {
        if !self.batch.held.is_empty() {
            self.hand_on()?;
        }
        self.full = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            _ => Err(StoreError::Corrupt("the thread that writes the log failed".into())),
        }
    }
}

impl Drop for GroupWriter {
    fn drop(&mut self) {
        self.full = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(mut writer: Writer, full: &Receiver<Batch>, empty: &Sender<Batch>) -> Result<Written, StoreError> {
    let mut written = Written::default();
    for Batch { group, mut held } in full {
        let Some(mut group) = group else { continue };
        let places = writer.commit(&mut group).map_err(|error| store_error(&error))?;
        for (held, places) in held.iter().zip(&places) {
            written.last = places.record;
            let Some(place) = held.image.place(places) else { continue };
            let slots = &mut written.slots;
            slots.extend_from_slice(&held.id.to_bytes());
            for number in [place.segment, place.offset, place.len] {
                slots.extend_from_slice(&number.to_be_bytes());
            }
            slots.extend_from_slice(&held.parent.to_bytes());
        }
        held.clear();
        group.clear(writer.lead());
        // Nobody takes it any more at the end.
        let _ = empty.try_send(Batch { group: Some(group), held });
    }
    writer.sync().map_err(|error| store_error(&error))?;
    Ok(written)
}
