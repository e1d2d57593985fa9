//! Which entries damage of the log touches, so that a start can name them.
//!
//! Records whose checksums do not hold often still tell what they were about; entries that a checkpoint or an index
//! store has may lie where nothing can be read any more. What neither tells is counted.

use std::collections::{BTreeMap, HashSet};

use super::StoreError;
use super::index_store::{EntryId, Slot};
use super::open::{Backend, BackendOptions};
use super::pieces;
use super::record::{LocalPart, RecordKind};
use super::start::forget_kept;
use super::view::{View, store_error};
use crate::entry::StoredEntry;
use crate::log::{Damage, LogRecord, Place, Recovered};

/// Names that one start writes to the log.
const TOLD: usize = 100;

/// An entry that is not, or may not be, as it was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// Its name; a description where that cannot be read.
    pub dn: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// What damage of the log did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    /// The entries known to be affected, in the order of their ids.
    pub entries: Vec<Affected>,
    /// Lost changes of which nothing can be told.
    pub unknown: u64,
}

impl Backend {
    /// What damage of the log did, as far as opening found it: a log that has any takes no writes.
    pub fn loss(&self) -> &Loss {
        &self.loss
    }

    /// Removes all that a store in a directory keeps of its trees (checkpoints, the index store on disk): the next
    /// opening makes names, counters, entry table and indexes anew from the log. The store must not be open.
    pub fn forget_kept(options: &BackendOptions) -> Result<(), StoreError> {
        forget_kept(options)
    }
}

/// Segments that were passed over at the start, since a checkpoint has all of them, and that are missing: entries are
/// known in them.
pub(crate) fn missing(view: &View) -> Vec<Damage> {
    let segments = view.log.segments();
    let is_there = |number| segments.iter().any(|segment| segment.number == number);
    let known = view.space.all();
    let gone = known.iter().filter(|(number, live)| live.entries > 0 && !is_there(**number));
    let mut found: Vec<Damage> = Vec::new();
    for (&number, _) in gone {
        let before = segments.iter().rfind(|segment| segment.number < number);
        let behind = segments.iter().find(|segment| segment.number > number);
        let lost = match (before, behind) {
            (Some(before), Some(behind)) => {
                let mut records = view.log.records(before.first_sequence);
                while records.next_sequence() < behind.first_sequence
                    && matches!(records.next_record(), Ok(Some(_)))
                {}
                records.next_sequence()..=behind.first_sequence - 1
            }
            _ => 0..=0,
        };
        if found.iter().all(|one| one.lost != lost) {
            found.push(Damage { segment: number, offset: 0, lost, what: "the file is missing" });
        }
    }
    found
}

/// Looks what is lost. `orphans` are the entries left out because what is above them is lost.
pub(crate) fn look(view: &View, recovered: &Recovered, orphans: &[String]) -> Result<Loss, StoreError> {
    let mut found: BTreeMap<u64, Affected> = BTreeMap::new();
    let mut unknown = 0;
    let lost = recovered.damage.iter().map(|damage| &damage.lost);
    let lost = lost.filter(|lost| !lost.is_empty() && *lost.start() > 0);
    for lost in lost.clone() {
        let records = view.log.salvage(lost).map_err(|error| store_error(&error))?;
        unknown += (lost.end() - lost.start() + 1).saturating_sub(records.len() as u64);
        for record in records {
            let kind = RecordKind::of(record.kind);
            if kind.is_some_and(|kind| kind != RecordKind::Copy) {
                continue;
            }
            let Some(part) = LocalPart::decode(&record.local) else {
                unknown += 1;
                continue;
            };
            let dn = dn_of(view, &record, &part).or_else(|| current(view, part.id));
            let dn = dn.unwrap_or_else(|| format!("entry {}", part.id.0));
            found.entry(part.id.0).or_insert(Affected { dn, what: what(record.kind) });
        }
    }
    let bad =
        if recovered.damage.is_empty() { Vec::new() } else { unreadable(view, lost.cloned().collect())? };
    for (id, slot) in bad {
        let dn = current(view, id).unwrap_or_else(|| {
            let above = current(view, slot.parent).unwrap_or_default();
            format!("entry {} below {above}", id.0)
        });
        found.entry(id.0).or_insert(Affected { dn, what: "its content is lost" });
    }
    let mut entries: Vec<Affected> = found.into_values().collect();
    let orphaned = orphans.iter().map(|dn| Affected { dn: dn.clone(), what: "what is above it is lost" });
    entries.extend(orphaned);
    Ok(Loss { entries, unknown })
}

/// Writes to the log what was cut and what is lost. Gives back why no writes are to be taken, if so.
pub(crate) fn tell(recovered: &Recovered, loss: &Loss) -> Option<String> {
    if let Some(cut) = &recovered.cut {
        tracing::warn!(
            segment = cut.segment,
            offset = cut.offset,
            octets = cut.octets,
            records = cut.records,
            next_sequence = cut.sequence,
            "an unfinished tail of the log was cut; nothing of it was acknowledged as being on disk"
        );
    }
    let first = recovered.damage.first()?;
    for damage in &recovered.damage {
        tracing::error!(segment = damage.segment, "quarantined: {damage}; its file is left as it is");
    }
    for entry in loss.entries.iter().take(TOLD) {
        tracing::error!(dn = entry.dn, "affected by the damage of the log: {}", entry.what);
    }
    if let Some(more) = loss.entries.len().checked_sub(TOLD).filter(|&more| more > 0) {
        tracing::error!(more, "more entries are affected; verify-index names them");
    }
    if loss.unknown > 0 {
        tracing::error!(changes = loss.unknown, "lost changes of which nothing can be told");
    }
    let count = loss.entries.len();
    Some(format!(
        "the log is damaged: {first}; {count} entries are known to be affected, and their segment is quarantined"
    ))
}

const fn what(kind: u8) -> &'static str {
    match kind {
        1 => "its adding is lost",
        2 => "a modification is lost",
        3 => "its deletion is lost",
        4 => "a renaming is lost",
        16 => "a copy of it is lost",
        _ => "a change is lost",
    }
}

/// The name in the image that a lost record holds.
pub(crate) fn dn_of(view: &View, record: &LogRecord, part: &LocalPart) -> Option<String> {
    let place = part.image.place(&record.place)?;
    let of = |bytes: &bytes::Bytes, from: Place| {
        let at = place.offset.checked_sub(from.offset)? as usize;
        (at + place.len as usize <= bytes.len()).then(|| bytes.slice(at..at + place.len as usize))
    };
    // What lies behind the records that are in order can be had from here only.
    let bytes = of(&record.envelope, record.place.envelope).or_else(|| of(&record.local, record.place.local));
    let entry = match bytes {
        Some(bytes) => StoredEntry::parse(bytes).ok(),
        None => pieces::read(&view.log, place).ok(),
    };
    entry.map(|entry| entry.dn().to_owned())
}

fn current(view: &View, id: EntryId) -> Option<String> {
    view.current(id).ok().flatten().map(|(_, entry)| entry.dn().to_owned())
}

/// The entries whose places are in segments that lost something, or are not there, and are no record's.
fn unreadable(
    view: &View,
    lost: Vec<std::ops::RangeInclusive<u64>>,
) -> Result<Vec<(EntryId, Slot)>, StoreError> {
    let segments = view.log.segments();
    let (mut suspect, mut good) = (HashSet::new(), HashSet::new());
    for (index, segment) in segments.iter().enumerate() {
        let next = segments.get(index + 1).map_or(view.log.last_sequence() + 1, |next| next.first_sequence);
        let holes = lost.iter().filter(|lost| segment.first_sequence <= *lost.end() && next > *lost.start());
        if holes.count() == 0 {
            continue;
        }
        suspect.insert(segment.number);
        let mut at = segment.first_sequence;
        while at < next {
            if let Some(hole) = lost.iter().find(|lost| lost.contains(&at)) {
                at = hole.end() + 1;
                continue;
            }
            let mut records = view.log.records(at);
            while let Ok(Some(record)) = records.next_record() {
                let part = LocalPart::decode(&record.local);
                good.extend(part.and_then(|part| part.image.place(&record.place)));
                if records.next_sequence() >= next {
                    break;
                }
            }
            at = records.next_sequence().max(at + 1);
        }
    }
    let is_there = |number| segments.iter().any(|segment| segment.number == number);
    let (mut bad, mut ids, mut token) = (Vec::new(), Vec::new(), Some(0));
    while let Some(from) = token {
        ids.clear();
        token = view.store.ids(from, 1024, &mut ids)?;
        for &id in &ids {
            let Some(slot) = view.store.slot(id)? else { continue };
            let is_suspect = suspect.contains(&slot.place.segment) || !is_there(slot.place.segment);
            if is_suspect && !good.contains(&slot.place) {
                bad.push((id, slot));
            }
        }
    }
    Ok(bad)
}
