//! Reading by place, and record by record.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::compacted::Prefix;
use super::format::{RECORD_HEADER, RecordHeader, padded};
use super::segment::{Log, Segment};
use super::{LogError, Place, RecordPlace, segment};

/// Octets that a sequential reader asks for at once.
const CHUNK: usize = 256 << 10;

impl Log {
    /// The bytes at a place, as they were written; they are not verified again. The place's segment must still be in
    /// the log, and the place within what is committed.
    pub fn read(&self, place: Place) -> Result<Bytes, LogError> {
        let mut bytes = BytesMut::zeroed(place.len as usize);
        self.read_into(place, &mut bytes)?;
        Ok(bytes.freeze())
    }

    /// As [`Log::read`], into a buffer of the place's length.
    pub fn read_into(&self, place: Place, buffer: &mut [u8]) -> Result<(), LogError> {
        let segment = self.shared.segment(place.segment).ok_or(LogError::Gone { segment: place.segment })?;
        if let Some(compacted) = &segment.compacted {
            let removed = LogError::Removed { segment: place.segment, offset: place.offset };
            let at = compacted.find(place).filter(|_| buffer.len() == place.len as usize).ok_or(removed)?;
            return fill(&segment, at, buffer);
        }
        let is_within = place.offset.checked_add(place.len).is_some_and(|end| end <= segment.end());
        if !is_within || buffer.len() != place.len as usize {
            let what = "the place is not within the committed records";
            return Err(LogError::Damaged { segment: place.segment, offset: place.offset, what });
        }
        fill(&segment, place.offset, buffer)
    }

    /// Reads records in the order of the log from a sequence on, as far as they are durable.
    pub fn records(&self, from: u64) -> Records {
        Records {
            log: self.clone(),
            next: from,
            position: None,
            chunk: Bytes::new(),
            chunk_segment: 0,
            chunk_at: 0,
        }
    }
}

fn fill(segment: &Segment, offset: u32, buffer: &mut [u8]) -> Result<(), LogError> {
    let count = segment
        .file
        .read_at(buffer, u64::from(offset))
        .map_err(LogError::io("read", segment::file_name(segment.number)))?;
    if count != buffer.len() {
        return Err(LogError::Damaged { segment: segment.number, offset, what: "the file ends too early" });
    }
    Ok(())
}

/// One record, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it is.
    pub place: RecordPlace,
    /// Its kind.
    pub kind: u8,
    /// Its sequence.
    pub sequence: u64,
    /// How many sequences it stands for, from its own on; 1 but for what compaction put in the place of others.
    pub covers: u32,
    /// What replication ships.
    pub envelope: Bytes,
    /// What stays on this node.
    pub local: Bytes,
}

/// A sequential reader. It holds its present segment open, whatever happens to the log.
#[derive(Debug)]
pub struct Records {
    log: Log,
    next: u64,
    position: Option<(Arc<Segment>, u32)>,
    chunk: Bytes,
    chunk_segment: u32,
    /// Where in the segment the chunk starts.
    chunk_at: u32,
}

impl Records {
    /// The next record, or none if the next one is not durable yet; then ask again later. What compaction put in the place of
    /// others may begin before the wanted sequence.
    ///
    /// [`LogError::Purged`] if the reader is too late.
    pub fn next_record(&mut self) -> Result<Option<LogRecord>, LogError> {
        if self.next > self.log.durable_sequence() {
            return Ok(None);
        }
        loop {
            let (segment, offset) = match self.position.take() {
                Some(position) => position,
                None => self.seek()?,
            };
            if offset >= segment.end() {
                // It was sealed with the record before.
                let (following, at) = self.seek()?;
                if following.number == segment.number {
                    let what = "a committed record is missing";
                    return Err(LogError::Damaged { segment: segment.number, offset, what });
                }
                self.position = Some((following, at));
                continue;
            }
            let record = match self.record_at(&segment, offset) {
                Ok(record) => record,
                Err(error) => {
                    // Of a segment that was not read at the start the end is not known, only what follows it.
                    let (following, at) = self.seek()?;
                    if following.number == segment.number {
                        return Err(error);
                    }
                    self.position = Some((following, at));
                    continue;
                }
            };
            let after = offset + (segment.prefix() + padded(record.place.record.len as usize)) as u32;
            self.position = Some((segment, after));
            let behind = record.sequence.saturating_add(u64::from(record.covers));
            if behind <= self.next {
                continue; // the sparse index leads before the wanted record
            }
            if record.sequence > self.next {
                let (segment, what) = (record.place.record.segment, "a committed record is missing");
                return Err(LogError::Damaged { segment, offset, what });
            }
            self.next = behind;
            return Ok(Some(record));
        }
    }

    /// The sequence of the record that comes next.
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Finds the segment of the next record and a place at or before it.
    fn seek(&self) -> Result<(Arc<Segment>, u32), LogError> {
        let segments = self.log.shared.segments.load();
        let after = segments.partition_point(|segment| segment.first_sequence <= self.next);
        let segment = after.checked_sub(1).and_then(|index| segments.get(index));
        let segment =
            segment.ok_or(LogError::Purged { wanted: self.next, first: self.log.first_sequence() })?;
        let offset = segment.nearest(self.next).unwrap_or(super::format::BLOCK as u32);
        Ok((Arc::clone(segment), offset))
    }

    fn record_at(&mut self, segment: &Segment, offset: u32) -> Result<LogRecord, LogError> {
        let damaged = |what| LogError::Damaged { segment: segment.number, offset, what };
        let prefix = segment.prefix();
        let head = self.bytes(segment, offset, prefix + RECORD_HEADER, true)?;
        let header = RecordHeader::unverified(head.get(prefix..).unwrap_or_default());
        let header = header.ok_or(damaged("no record starts here"))?;
        let mut whole = self.bytes(segment, offset, prefix + header.len as usize, false)?;
        let moved = if prefix > 0 { Prefix::parse(&whole) } else { Some(Prefix { offset, covers: 1 }) };
        let moved = moved.ok_or(damaged("a record's prefix is wrong"))?;
        let whole = whole.split_off(prefix);
        if header.epoch != segment.epoch || RecordHeader::verified(&whole).is_none() {
            return Err(damaged("a record's checksum is wrong"));
        }
        let place = record_place(segment.number, moved.offset, header.len, header.envelope);
        let body = RECORD_HEADER + header.envelope as usize;
        Ok(LogRecord {
            place,
            kind: header.kind,
            sequence: header.sequence,
            covers: moved.covers,
            envelope: whole.slice(RECORD_HEADER..body),
            local: whole.slice(body..),
        })
    }

    /// Bytes of the segment, from the chunk if they are in it.
    fn bytes(
        &mut self,
        segment: &Segment,
        offset: u32,
        len: usize,
        is_start: bool,
    ) -> Result<Bytes, LogError> {
        let within = offset
            .checked_sub(self.chunk_at)
            .map(|at| at as usize)
            .filter(|_| self.chunk_segment == segment.number);
        if let Some(at) = within.filter(|at| at + len <= self.chunk.len()) {
            return Ok(self.chunk.slice(at..at + len));
        }
        let available = segment.end().saturating_sub(offset) as usize;
        if len > available {
            let what = "a record runs over the end of its segment";
            return Err(LogError::Damaged { segment: segment.number, offset, what });
        }
        let wanted = if is_start { CHUNK } else { CHUNK.max(len) };
        let mut chunk = BytesMut::zeroed(wanted.min(available));
        fill(segment, offset, &mut chunk)?;
        self.chunk = chunk.freeze();
        self.chunk_at = offset;
        self.chunk_segment = segment.number;
        Ok(self.chunk.slice(..len))
    }
}

/// Where a record and its parts are.
pub(super) fn record_place(segment: u32, offset: u32, len: u32, envelope: u32) -> RecordPlace {
    let place = Place { segment, offset, len };
    let header = RECORD_HEADER as u32;
    let local = header + envelope;
    let (envelope, local) = (place.sub(header, envelope), place.sub(local, len.saturating_sub(local)));
    RecordPlace { record: place, envelope, local }
}
