//! The commit path: one durable write for a group.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use super::background::{Spare, Spares, Syncer};
use super::disk::{DiskFile, OpenMode};
use super::format::{BLOCK, SegmentHeader, USED_BEFORE, block_start};
use super::group::{AlignedBuffer, Group, Slot};
use super::reader::record_place;
use super::segment::{Segment, Shared, file_name};
use super::stats::Counters;
use super::{Durability, LogError, RecordPlace};
use crate::changelog::Csn;

/// The one writer of a log.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    spares: Spares,
    syncer: Syncer,
    active: Option<Active>,
    /// The policy that the active file was opened for.
    durability: Durability,
    next: u64,
    scratch: AlignedBuffer,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn DiskFile>,
    /// The bytes of the last block that are written already. The next write begins with them, so that groups follow
    /// each other without gaps; it puts the same bytes where they are.
    pub(super) carry: Vec<u8>,
}

/// Records of a group that go into one write.
#[derive(Debug, Clone)]
struct Part {
    slots: Range<usize>,
    /// Into the next segment, not the present one.
    is_new_segment: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, spares: Spares, active: Option<Active>, next: u64) -> Self {
        let syncer = Syncer::new(Arc::clone(&shared), active.as_ref().map(|active| Arc::clone(&active.file)));
        let durability = shared.options.durability;
        Self { shared, spares, syncer, active, durability, next, scratch: AlignedBuffer::default() }
    }

    /// The sequence that the next group must start with.
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Where in its block the next group will start, for [`Group::clear`].
    pub fn lead(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.segment.end() as usize % BLOCK)
    }

    /// Writes a group and returns when it is as durable as the options want; then readers see it. The places are in
    /// the order of the records.
    ///
    /// [`LogError::Sequence`] and [`LogError::NoSpace`] leave everything as it was. After any other error the log is
    /// poisoned, and whether records of this group survive a restart is unknown. A failed sync is never tried again:
    /// the system may already have dropped the bytes.
    pub fn commit(&mut self, group: &mut Group) -> Result<Vec<RecordPlace>, LogError> {
        self.shared.check_writable()?;
        let slots = group.slots();
        for (slot, expected) in slots.iter().zip(self.next..) {
            if slot.sequence != expected {
                return Err(LogError::Sequence { expected, found: slot.sequence });
            }
        }
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        if let Err(error) = self.follow_policy() {
            self.shared.poison(&error);
            return Err(error);
        }
        let parts = self.plan(slots)?;
        let mut spares = Vec::new();
        for _ in parts.iter().filter(|part| part.is_new_segment) {
            match self.spares.take(group.is_urgent) {
                Ok(spare) => spares.push(spare),
                Err(error) => {
                    self.spares.put_back(&spares);
                    if !matches!(error, LogError::NoSpace { .. }) {
                        self.shared.poison(&error);
                    }
                    return Err(error);
                }
            }
        }
        let mut places = Vec::with_capacity(slots.len());
        let written = self.write_parts(group, &parts, spares.into_iter(), &mut places);
        if let Err(error) = written {
            self.shared.poison(&error);
            return Err(error);
        }
        let counters = &self.shared.counters;
        Counters::add(&counters.groups, 1);
        Counters::add(&counters.records, places.len());
        Counters::add(&counters.record_octets, group.octets());
        counters.largest_group.fetch_max(places.len() as u64, AcqRel);
        Ok(places)
    }

    /// Goes over to another policy, if one was set.
    fn follow_policy(&mut self) -> Result<(), LogError> {
        let wanted = self.shared.durability();
        if wanted == self.durability {
            return Ok(());
        }
        // From the first commit under another policy on, all before is as durable as that one.
        self.syncer.sync()?;
        let mode = write_mode(wanted);
        if let Some(active) = self.active.as_mut().filter(|_| write_mode(self.durability) != mode) {
            let name = file_name(active.segment.number);
            active.file = self.shared.disk.open(&name, mode).map_err(LogError::io("open", name))?;
            self.syncer.watch(Arc::clone(&active.file));
        }
        self.durability = wanted;
        self.syncer.follow(wanted);
        Ok(())
    }

    /// Makes all that was committed durable, whatever the options: for a clean stop.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.syncer.sync()
    }

    /// Cuts a group where segments end.
    fn plan(&self, slots: &[Slot]) -> Result<Vec<Part>, LogError> {
        let limit = self.shared.options.record_limit();
        // One that was begun under a larger size ends where it would under this one.
        let size = |active: &Active| active.segment.size.min(self.shared.options.segment_size) as usize;
        let mut room = self
            .active
            .as_ref()
            .map_or(0, |active| size(active).saturating_sub(active.segment.end() as usize));
        let mut parts: Vec<Part> = Vec::with_capacity(1);
        let mut part_start = 0;
        for (index, slot) in slots.iter().enumerate() {
            if slot.end() - slot.start > limit {
                return Err(LogError::TooLarge { length: slot.len as usize, limit });
            }
            let is_new_segment = slot.end() - part_start > room;
            if is_new_segment {
                part_start = slot.start;
                room = limit;
            }
            let is_own_write = self.durability == Durability::Always;
            match parts.last_mut().filter(|_| !is_new_segment && !is_own_write) {
                Some(part) => part.slots.end = index + 1,
                None => parts.push(Part { slots: index..index + 1, is_new_segment }),
            }
        }
        Ok(parts)
    }

    fn write_parts(
        &mut self,
        group: &mut Group,
        parts: &[Part],
        mut spares: impl Iterator<Item = Spare>,
        places: &mut Vec<RecordPlace>,
    ) -> Result<(), LogError> {
        let is_whole = parts.len() == 1;
        for part in parts {
            if part.is_new_segment {
                let spare = spares.next().ok_or(LogError::Options("a segment was not reserved"))?;
                let slot = group.slots().get(part.slots.start);
                self.begin_segment(spare, slot.map_or(Csn::ZERO, |slot| slot.csn))?;
            }
            self.write_part(group, part, is_whole, places)?;
        }
        Ok(())
    }

    fn write_part(
        &mut self,
        group: &mut Group,
        part: &Part,
        is_whole: bool,
        places: &mut Vec<RecordPlace>,
    ) -> Result<(), LogError> {
        let active = self.active.as_mut().ok_or(LogError::Options("no segment is active"))?;
        let segment = &active.segment;
        let durable = self.shared.durable.load(Acquire);
        let mut range: Option<(usize, usize)> = None;
        let at = segment.end();
        for index in part.slots.clone() {
            let Some(slot) = group.slots().get(index).copied() else { continue };
            let behind = u32::try_from(slot.sequence.saturating_sub(durable)).unwrap_or(u32::MAX);
            group.seal(&slot, segment.epoch, behind);
            let (from, _) = *range.get_or_insert((slot.start, slot.start));
            range = Some((from, slot.end()));
            // Offsets stay below the segment's size, which is a u32.
            let offset = at + (slot.start - from) as u32;
            places.push(record_place(segment.number, offset, slot.len, slot.envelope));
        }
        let Some((from, to)) = range else { return Ok(()) };
        let end = at as usize + (to - from);
        let start = block_start(at as usize);
        // The whole group, where it lies, or a copy of the part.
        let whole = if is_whole { group.blocks(&active.carry) } else { None };
        let bytes = match whole {
            Some(bytes) => bytes,
            None => self
                .scratch
                .blocks(&[&active.carry, group.bytes(from, to)])
                .ok_or(LogError::Options("memory cannot be aligned to 4096"))?,
        };
        active
            .file
            .write_at(bytes, start as u64)
            .map_err(LogError::io("write to", file_name(segment.number)))?;
        let (kept_from, kept_to) = (block_start(end) - start, end - start);
        active.carry.clear();
        active.carry.extend_from_slice(bytes.get(kept_from..kept_to).unwrap_or_default());
        Counters::add(&self.shared.counters.written_octets, bytes.len());
        let first = self.next;
        for (place, sequence) in places.iter().skip(part.slots.start).zip(first..) {
            segment.note(sequence, place.record.offset, false);
        }
        segment.set_end(end as u32);
        self.next += part.slots.len() as u64;
        self.shared.committed.store(self.next - 1, Release);
        if self.durability != Durability::Os {
            self.shared.durable.fetch_max(self.next - 1, AcqRel);
            Counters::add(&self.shared.counters.syncs, 1);
        }
        Ok(())
    }

    /// Goes over to a filled segment. Everything before is durable first, so that a header proves what precedes it.
    fn begin_segment(&mut self, spare: Spare, csn: Csn) -> Result<(), LogError> {
        if self.durability == Durability::Os {
            self.syncer.sync()?;
        }
        let active = begin(&self.shared, self.durability, spare, self.next, csn)?;
        self.syncer.watch(Arc::clone(&active.file));
        self.active = Some(active);
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.syncer.runs() {
            // Nobody is left to hear of a failure; the next start finds what is there.
            let _ = self.syncer.sync();
        }
    }
}

/// How the file that is written to is opened.
pub(super) const fn write_mode(durability: Durability) -> OpenMode {
    match durability {
        Durability::Always | Durability::Group => OpenMode::WriteDurable,
        Durability::Os => OpenMode::Write,
    }
}

/// Writes the header of a filled segment and adds it to the log.
pub(super) fn begin(
    shared: &Shared,
    durability: Durability,
    spare: Spare,
    first_sequence: u64,
    csn: Csn,
) -> Result<Active, LogError> {
    let number = spare.number;
    let name = file_name(number);
    let size = shared.options.segment_size;
    let epoch = shared.disk.fresh_epoch().map_err(LogError::io("draw an epoch for", name.as_str()))?;
    let header = SegmentHeader {
        dataset_id: shared.options.dataset_id,
        number,
        epoch,
        size,
        flags: if spare.is_clean { 0 } else { USED_BEFORE },
        first_sequence,
        csn,
    };
    let mode = write_mode(durability);
    let file = shared.disk.open(&name, mode).map_err(LogError::io("open", name.as_str()))?;
    let header = header.encode();
    let mut aligned = AlignedBuffer::default();
    let block = aligned.blocks(&[&header]).ok_or(LogError::Options("memory cannot be aligned to 4096"))?;
    file.write_at(block, 0).map_err(LogError::io("write the header of", name.as_str()))?;
    if durability == Durability::Os {
        // Records without a header in front of them would look like damage.
        file.sync().map_err(LogError::io("sync", name.as_str()))?;
    }
    Counters::add(&shared.counters.written_octets, block.len());
    Counters::add(&shared.counters.segments_begun, 1);
    let reader = shared.disk.open(&name, OpenMode::Read).map_err(LogError::io("open", name.as_str()))?;
    let segment = Arc::new(Segment::new(number, epoch, size, first_sequence, csn, reader, BLOCK as u32));
    shared.add_segment(Arc::clone(&segment));
    Ok(Active { segment, file, carry: Vec::new() })
}
