//! What can still be told of records that are lost: their bytes where the headers look right though the checksums do not.
//! Good for saying what is lost, never for using it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;

use super::format::{ALIGN, BLOCK, RECORD_HEADER, RecordHeader};
use super::reader::record_place;
use super::scan;
use super::segment::{Segment, file_name};
use super::{Log, LogError, LogRecord};

impl Log {
    /// The lost records of these sequences whose headers can still be read, in order. Nothing of them is verified. None of
    /// segments that were compacted.
    ///
    /// Reads the segments in which they were; fails if one cannot be read at all.
    pub fn salvage(&self, lost: &RangeInclusive<u64>) -> Result<Vec<LogRecord>, LogError> {
        let segments = self.shared.segments.load_full();
        let mut found: BTreeMap<u64, LogRecord> = BTreeMap::new();
        for (index, segment) in segments.iter().enumerate() {
            let next = segments.get(index + 1).map_or(u64::MAX, |next| next.first_sequence);
            // What compaction wrote anew lies elsewhere than its places say; it is counted only.
            if segment.first_sequence > *lost.end() || next <= *lost.start() || segment.compacted.is_some() {
                continue;
            }
            let data = whole(segment)?;
            for at in (BLOCK..data.len()).step_by(ALIGN) {
                let record = unverified(segment, &data, at).filter(|record| lost.contains(&record.sequence));
                if let Some(record) = record {
                    found.entry(record.sequence).or_insert(record);
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// The record that starts at a place, if its header can be read. Nothing of it is verified.
    pub fn unverified(&self, segment: u32, offset: u32) -> Option<LogRecord> {
        let segment = self.shared.segment(segment).filter(|segment| segment.compacted.is_none())?;
        let data = whole(&segment).ok()?;
        unverified(&segment, &data, offset as usize)
    }

    /// The sequence of the first whole record behind a place in a segment, from which [`Log::records`] can go on; none if
    /// there is none.
    pub fn resume(&self, segment: u32, offset: u32) -> Result<Option<u64>, LogError> {
        let segment = self.shared.segment(segment).filter(|segment| segment.compacted.is_none());
        let Some(segment) = segment else { return Ok(None) };
        let mut data = whole(&segment)?.to_vec();
        let from = (offset as usize).next_multiple_of(ALIGN) + ALIGN;
        data.truncate(segment.end() as usize);
        let Some(at) = scan::find(&data, from, Some(segment.epoch)) else { return Ok(None) };
        let header = data.get(at..).and_then(RecordHeader::verified);
        Ok(header.map(|header| {
            segment.note_between(header.sequence, u32::try_from(at).unwrap_or(u32::MAX));
            header.sequence
        }))
    }
}

fn whole(segment: &Segment) -> Result<Bytes, LogError> {
    let mut data = vec![0; segment.size as usize];
    let count =
        segment.file.read_at(&mut data, 0).map_err(LogError::io("read", file_name(segment.number)))?;
    data.truncate(count);
    Ok(data.into())
}

fn unverified(segment: &Segment, data: &Bytes, at: usize) -> Option<LogRecord> {
    let header = RecordHeader::unverified(data.get(at..)?)?;
    let (len, body) = (header.len as usize, RECORD_HEADER + header.envelope as usize);
    if header.epoch != segment.epoch || at + len > data.len() {
        return None;
    }
    Some(LogRecord {
        place: record_place(segment.number, u32::try_from(at).ok()?, header.len, header.envelope),
        kind: header.kind,
        sequence: header.sequence,
        covers: 1,
        envelope: data.slice(at + RECORD_HEADER..at + body),
        local: data.slice(at + body..at + len),
    })
}
