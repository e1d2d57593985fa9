//! Finding the records of one segment's file, whatever happened to it.

use super::compacted::{self, Summary};
use super::disk::{Disk, OpenMode};
use super::format::{ALIGN, BLOCK, COMPACTED, HeaderBlock, RecordHeader, padded};
use super::segment::file_name;
use super::{LogError, Options};

/// Valid records that follow each other without a gap in place or sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) epoch: u32,
    /// The sequence of the first one; the others follow densely.
    pub(super) first: u64,
    /// The sequence behind the last one.
    pub(super) next: u64,
    /// Where each one is.
    pub(super) offsets: Vec<u32>,
    /// Where the last one ends.
    pub(super) end: usize,
    /// The greatest sequence that one of them says was durable.
    pub(super) durable_claim: u64,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) data: Vec<u8>,
    /// In the order of their places. A healthy segment has one, which starts right behind the header.
    pub(super) runs: Vec<Run>,
}

/// A segment's file as its first blocks show it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) number: u32,
    pub(super) len: u64,
    pub(super) header: HeaderBlock,
    /// The rest of a compacted segment's header.
    pub(super) summary: Option<Summary>,
    /// Header and first records are zeros: filled ahead and never used.
    pub(super) is_unused: bool,
}

impl Found {
    /// Looks at one file. Files of other data sets and versions are refused.
    pub(super) fn look(disk: &dyn Disk, options: &Options, number: u32, len: u64) -> Result<Self, LogError> {
        let name = file_name(number);
        let file = disk.open(&name, OpenMode::Read).map_err(LogError::io("open", name.as_str()))?;
        let mut blocks = vec![0; 2 * BLOCK];
        let count = file.read_at(&mut blocks, 0).map_err(LogError::io("read", name.as_str()))?;
        blocks.truncate(count);
        let (first, second) = blocks.split_at_checked(BLOCK).unwrap_or((&blocks, &[]));
        let header = match HeaderBlock::parse(first) {
            HeaderBlock::OtherVersion(version) => return Err(LogError::Version { file: name, version }),
            HeaderBlock::Valid(header) if header.dataset_id != options.dataset_id => {
                return Err(LogError::Foreign { file: name });
            }
            HeaderBlock::Valid(header) if header.number != number => HeaderBlock::Unreadable,
            header => header,
        };
        let is_compacted = matches!(&header, HeaderBlock::Valid(header) if header.flags & COMPACTED != 0);
        let summary = is_compacted.then(|| Summary::parse(first)).flatten();
        let header = if is_compacted && summary.is_none() { HeaderBlock::Unreadable } else { header };
        let is_unused = header == HeaderBlock::Unused && second.iter().all(|&octet| octet == 0);
        Ok(Self { number, len, header, summary, is_unused })
    }

    /// The first sequence by the header, if that can be read.
    pub(super) const fn first_sequence(&self) -> Option<u64> {
        match &self.header {
            HeaderBlock::Valid(header) => Some(header.first_sequence),
            _ => None,
        }
    }

    /// Reads the whole file and finds its records.
    pub(super) fn scan(&self, disk: &dyn Disk) -> Result<Scan, LogError> {
        let name = file_name(self.number);
        let file = disk.open(&name, OpenMode::Read).map_err(LogError::io("open", name.as_str()))?;
        let mut data = vec![0; usize::try_from(self.len).unwrap_or(usize::MAX)];
        let count = file.read_at(&mut data, 0).map_err(LogError::io("read", name.as_str()))?;
        data.truncate(count);
        // A file that was cut off may end within the padding of a record.
        data.resize(count.next_multiple_of(BLOCK), 0);
        let epoch = match &self.header {
            HeaderBlock::Valid(header) => Some(header.epoch),
            _ => None,
        };
        let runs = match (&self.summary, epoch) {
            (Some(summary), Some(epoch)) => compacted::runs(&data, BLOCK, epoch, summary),
            _ => runs(&data, epoch),
        };
        Ok(Scan { data, runs })
    }
}

fn runs(data: &[u8], epoch: Option<u32>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut at = BLOCK;
    while let Some(start) = find(data, at, epoch) {
        let above = runs.last().map_or(0, |run| run.next);
        match run_at(data, start, epoch) {
            Some(run) if run.first >= above => {
                at = run.end;
                runs.push(run);
            }
            _ => at = start + ALIGN,
        }
    }
    runs
}

/// The run that starts at an offset.
fn run_at(data: &[u8], start: usize, epoch: Option<u32>) -> Option<Run> {
    let header = record_at(data, start, epoch)?;
    let mut run = Run {
        epoch: header.epoch,
        first: header.sequence,
        next: header.sequence.saturating_add(1),
        offsets: vec![u32::try_from(start).ok()?],
        end: start + padded(header.len as usize),
        durable_claim: header.durable_claim(),
    };
    let mut last = header.sequence;
    while let Some(header) = record_at(data, run.end, Some(run.epoch)) {
        if Some(header.sequence) != last.checked_add(1) {
            break;
        }
        last = header.sequence;
        run.next = last.saturating_add(1);
        run.offsets.push(u32::try_from(run.end).ok()?);
        run.end += padded(header.len as usize);
        run.durable_claim = run.durable_claim.max(header.durable_claim());
    }
    Some(run)
}

fn record_at(data: &[u8], at: usize, epoch: Option<u32>) -> Option<RecordHeader> {
    let bytes = data.get(at..)?;
    let header = RecordHeader::unverified(bytes)?;
    if epoch.is_some_and(|epoch| epoch != header.epoch) {
        return None;
    }
    RecordHeader::verified(bytes)
}

/// The first place at or behind an offset where a valid record starts.
pub(super) fn find(data: &[u8], from: usize, epoch: Option<u32>) -> Option<usize> {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let mut at = from;
    while at < data.len() {
        if at.is_multiple_of(BLOCK) && data.get(at..at + BLOCK).is_some_and(|block| block == ZEROS) {
            at += BLOCK;
            continue;
        }
        if record_at(data, at, epoch).is_some() {
            return Some(at);
        }
        at += ALIGN;
    }
    None
}

/// Where the last thing at or behind an offset ends that has an epoch and looks like a record, whole or not; `from` if there
/// is none.
pub(super) fn traces_end(data: &[u8], from: usize, epoch: u32) -> usize {
    let mut end = from;
    for at in (from.next_multiple_of(ALIGN)..data.len()).step_by(ALIGN) {
        let header = data.get(at..).and_then(RecordHeader::unverified);
        if let Some(header) = header.filter(|header| header.epoch == epoch) {
            end = end.max(at.saturating_add(padded(header.len as usize)).min(data.len()));
        }
    }
    end
}

/// Where the last octet that is not zero ends.
pub(super) fn content_end(data: &[u8]) -> usize {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let mut rest = data;
    while let Some((before, block)) = rest.len().checked_sub(BLOCK).and_then(|at| rest.split_at_checked(at)) {
        if block != ZEROS {
            break;
        }
        rest = before;
    }
    rest.iter().rposition(|&octet| octet != 0).map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sequence: u64, epoch: u32, behind: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        bytes.extend_from_slice(body);
        let header = RecordHeader { len: bytes.len() as u32, epoch, kind: 1, sequence, behind, envelope: 0 };
        header.seal(&mut bytes);
        bytes.resize(padded(bytes.len()), 0);
        bytes
    }

    fn segment(records: &[Vec<u8>]) -> Vec<u8> {
        let mut data = vec![0; BLOCK];
        data.extend(records.concat());
        data.resize(data.len().next_multiple_of(BLOCK) + 3 * BLOCK, 0);
        data
    }

    #[test]
    fn a_healthy_segment_is_one_run() {
        let data = segment(&[record(5, 9, 1, b"abc"), record(6, 9, 1, b"d"), record(7, 9, 2, b"")]);
        let found = runs(&data, Some(9));
        assert_eq!(found.len(), 1);
        let run = &found[0];
        assert_eq!((run.first, run.offsets.as_slice()), (5, &[4096, 4136, 4176][..]));
        assert_eq!((run.end, run.durable_claim), (4208, 5));
        assert!(runs(&data, Some(8)).is_empty());
        assert_eq!(content_end(&data), 4176 + 28);
    }

    #[test]
    fn records_behind_a_hole_are_found() {
        let mut data =
            segment(&[record(5, 9, 1, b"abc"), record(6, 9, 1, &[7; 5000]), record(7, 9, 2, b"x")]);
        data[5000] ^= 1;
        for epoch in [Some(9), None] {
            let found = runs(&data, epoch);
            assert_eq!(found.iter().map(|run| run.first).collect::<Vec<_>>(), [5, 7]);
            assert_eq!(found[1].durable_claim, 5);
        }
    }

    #[test]
    fn stale_records_do_not_count() {
        let data = segment(&[record(5, 9, 1, b"abc"), record(6, 8, 1, b"old"), record(3, 9, 1, b"older")]);
        assert_eq!(runs(&data, Some(9)).len(), 1);
        assert_eq!(content_end(&[0; 9000]), 0);
        assert_eq!(content_end(&[1]), 1);
    }
}
