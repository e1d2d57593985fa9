//! The log against its checksums, and the entry table against what the log says.
//!
//! The last record of an entry in the log says where it is, or that it is gone; records are in the order of their places.
//! So the table must have nothing older than any record, and nothing that no record holds. What the applier did
//! between two looks is read behind; the last few records are read while the applier waits.

use std::sync::Arc;

use super::{Difference, PIECE, Run, difference};
use crate::backend::StoreError;
use crate::backend::damage::dn_of;
use crate::backend::index_store::EntryId;
use crate::backend::memory::IdMap;
use crate::backend::pieces;
use crate::backend::record::{LocalPart, RecordKind};
use crate::backend::view::{View, store_error};
use crate::log::{LogError, LogRecord, Place};

/// Records that may be left for the look while the applier waits.
const FEW: u64 = 256;
/// Rounds in which the reading may come up with the changes.
const ROUNDS: usize = 8;

/// What the records read so far say of the table.
#[derive(Default)]
struct Table {
    /// Entries whose place in the table is a record's.
    held: IdMap<()>,
    /// Entries that the table does not have, though records up to now say so; a record that deletes them must follow.
    awaited: IdMap<Place>,
    /// Entries that the table has an old version of, or has though they are gone.
    wrong: IdMap<&'static str>,
    /// Records were left out: those that delete what is awaited may have been among them.
    is_partial: bool,
}

impl Table {
    fn take(&mut self, view: &View, record: &LogRecord) -> Result<(), StoreError> {
        let kind = RecordKind::of(record.kind);
        if kind.is_some_and(|kind| kind != RecordKind::Copy) {
            return Ok(());
        }
        let Some(part) = LocalPart::decode(&record.local) else { return Ok(()) };
        let (id, place) = (part.id, part.image.place(&record.place));
        let slot = view.store.slot(id)?;
        match (place, slot) {
            (Some(place), Some(slot)) if slot.place == place => {
                self.held.insert(id.0, ());
                self.wrong.remove(&id.0);
            }
            (Some(place), Some(slot)) if slot.place < place => {
                self.wrong.insert(id.0, "the table has an older version than the log");
            }
            (Some(_), Some(_)) => {}
            (Some(place), None) => {
                self.awaited.insert(id.0, place);
            }
            (None, slot) => {
                self.awaited.remove(&id.0);
                if slot.is_some() {
                    self.wrong.insert(id.0, "the table has it, the log says that it is gone");
                } else {
                    self.wrong.remove(&id.0);
                }
            }
        }
        Ok(())
    }

    /// What is suspicious now.
    fn suspects(&self, view: &View) -> Result<Vec<EntryId>, StoreError> {
        let mut suspects: Vec<EntryId> = self.wrong.keys().map(|&id| EntryId(id)).collect();
        if !self.is_partial {
            suspects.extend(self.awaited.keys().map(|&id| EntryId(id)));
        }
        let (mut token, mut ids) = (Some(0), Vec::new());
        while let Some(from) = token {
            ids.clear();
            token = view.store.ids(from, PIECE, &mut ids)?;
            suspects.extend(ids.iter().filter(|id| !self.held.contains_key(&id.0)));
        }
        suspects.sort_unstable();
        suspects.dedup();
        Ok(suspects)
    }

    /// The verdict on a suspect, when all records have been read.
    fn judge(&self, view: &View, id: EntryId) -> Result<Option<Difference>, StoreError> {
        let dn =
            |place| pieces::read(&view.log, place).map(|entry| entry.dn().to_owned()).unwrap_or_default();
        let found = |dn: &str, what| Some(difference("entries", &id.to_bytes(), dn, what));
        let Some(slot) = view.store.slot(id)? else {
            let place = self.awaited.get(&id.0).filter(|_| !self.is_partial);
            return Ok(place.and_then(|&place| found(&dn(place), "the log has it, the table does not")));
        };
        if let Some(what) = self.wrong.get(&id.0) {
            return Ok(found(&dn(slot.place), what));
        }
        if self.held.contains_key(&id.0) {
            return Ok(None);
        }
        Ok(found(&dn(slot.place), "no whole record of the log holds it where the table says"))
    }
}

/// Where the reading is.
struct Reading {
    table: Table,
    next: u64,
    records: u64,
    found: Vec<Difference>,
}

impl Reading {
    /// Reads up to a sequence. `goes_on` is asked now and then.
    fn read(
        &mut self,
        view: &View,
        end: u64,
        goes_on: &mut dyn FnMut(u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let log = &view.log;
        let mut records = log.records(self.next);
        while records.next_sequence() <= end {
            if self.records.is_multiple_of(PIECE as u64) {
                goes_on(self.records)?;
            }
            match records.next_record() {
                Ok(Some(record)) => {
                    self.records += 1;
                    self.table.take(view, &record)?;
                }
                Ok(None) => break,
                // Segments may be dropped meanwhile.
                Err(LogError::Purged { first, .. }) if first > records.next_sequence() => {
                    self.table.is_partial = true;
                    records = log.records(first);
                }
                Err(LogError::Damaged { segment, offset, what }) => {
                    self.table.is_partial = true;
                    self.found.push(damage(view, segment, offset, what));
                    let resumed = log.resume(segment, offset).map_err(|error| store_error(&error))?;
                    let resumed = resumed.filter(|&sequence| sequence > records.next_sequence());
                    let behind = log.segments().into_iter().find(|info| info.number > segment);
                    let behind = behind.map(|behind| behind.first_sequence);
                    match resumed.or(behind).filter(|&sequence| sequence > records.next_sequence()) {
                        Some(sequence) => records = log.records(sequence),
                        None => {
                            self.next = end + 1;
                            return Ok(());
                        }
                    }
                }
                Err(error) => return Err(store_error(&error)),
            }
        }
        self.next = records.next_sequence();
        Ok(())
    }
}

/// A place where no record is that can be read, and the entry it was about, if that can be told.
fn damage(view: &View, segment: u32, offset: u32, what: &str) -> Difference {
    let record = view.log.unverified(segment, offset);
    let dn = record.and_then(|record| {
        let part = LocalPart::decode(&record.local)?;
        let current = || view.current(part.id).ok().flatten().map(|(_, entry)| entry.dn().to_owned());
        dn_of(view, &record, &part).or_else(current)
    });
    Difference {
        index: "log".to_owned(),
        key: format!("{segment}:{offset}"),
        dn: dn.unwrap_or_default(),
        what: what.to_owned(),
    }
}

impl Run<'_> {
    /// Every record of the log, and every entry of the table.
    pub(super) fn log(&mut self) -> Result<(), StoreError> {
        let view = Arc::clone(self.view);
        let first = view.log.stats().first_sequence;
        let mut reading = Reading { table: Table::default(), next: first, records: 0, found: Vec::new() };
        for _ in 0..ROUNDS {
            // What is durable and not applied yet the table need not have.
            let end = view.store.applied().min(view.log.durable_sequence());
            let is_last = end < reading.next + FEW;
            reading.read(&view, end, &mut |done| {
                self.goes_on()?;
                self.tell("log", done, end.saturating_sub(first) + 1)
            })?;
            if is_last {
                break;
            }
        }
        let suspects = reading.table.suspects(&view)?;
        if !suspects.is_empty() {
            reading = self.look(move |view| {
                let end = view.store.applied().min(view.log.durable_sequence());
                reading.read(view, end, &mut |_| Ok(()))?;
                for id in suspects {
                    let found = reading.table.judge(view, id)?;
                    reading.found.extend(found);
                }
                Ok(reading)
            })?;
        }
        self.report.records += reading.records;
        self.report.add(reading.found);
        Ok(())
    }

    /// What opening found to be lost.
    pub(super) fn loss(&mut self) {
        let loss = self.backend.loss();
        let affected = loss.entries.iter().map(|entry| Difference {
            index: "log".to_owned(),
            key: String::new(),
            dn: entry.dn.clone(),
            what: entry.what.to_owned(),
        });
        let mut found: Vec<Difference> = affected.collect();
        if loss.unknown > 0 {
            let what = format!("{} lost changes of which nothing can be told", loss.unknown);
            found.push(Difference { index: "log".to_owned(), key: String::new(), dn: String::new(), what });
        }
        self.report.add(found);
    }
}
