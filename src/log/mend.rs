//! After a crash: cutting the unfinished tail, so that the log can be written again.

use std::sync::Arc;

use super::disk::{Disk, OpenMode};
use super::format::{BLOCK, HeaderBlock, USED_BEFORE, block_start};
use super::group::AlignedBuffer;
use super::scan::{Found, Run, content_end, traces_end};
use super::segment::{Segment, Shared, file_name};
use super::writer::{Active, write_mode};
use super::{Cut, LogError, Recovered};

/// The end of what is good.
pub(super) struct Good {
    pub(super) index: usize,
    pub(super) end: usize,
    pub(super) segment: Arc<Segment>,
    pub(super) data: Vec<u8>,
    /// Valid records behind the end.
    pub(super) discarded: u64,
}

/// Makes the last segment fit to be written again: what is behind its end goes, and so does every later file.
///
/// Old records must not stay behind the end: new ones may end just where a stale one, with the right sequence, begins.
pub(super) fn mend(
    shared: &Shared,
    found: &[Found],
    good: &Good,
    next: u64,
    recovered: &mut Recovered,
) -> Result<Active, LogError> {
    let disk = &*shared.disk;
    let number = good.segment.number;
    let name = file_name(number);
    let content = match found.get(good.index).map(|file| &file.header) {
        // What an earlier use left is no tail; only what has this segment's epoch can be taken for a record.
        Some(HeaderBlock::Valid(header)) if header.flags & USED_BEFORE != 0 => {
            traces_end(&good.data, good.end, header.epoch)
        }
        _ => content_end(&good.data),
    };
    let later = found.get(good.index + 1..).unwrap_or_default();
    let mut discarded = good.discarded;
    for file in later {
        discarded += count(&file.scan(disk)?.runs);
    }
    // What the kernel still holds in its cache counts from now on, so it must be on disk.
    let file = disk.open(&name, OpenMode::Write).map_err(LogError::io("open", name.as_str()))?;
    file.sync().map_err(LogError::io("sync", name.as_str()))?;
    let start = block_start(good.end);
    let carry = good.data.get(start..good.end).map(<[u8]>::to_vec).ok_or(LogError::Damaged {
        segment: number,
        offset: u32::try_from(start).unwrap_or(u32::MAX),
        what: "the last block is gone",
    })?;
    // A file that was cut off in the zeros with which its last record ends has to be read to that end again.
    let is_short = found.get(good.index).is_some_and(|file| file.len < good.end as u64);
    if content > good.end || is_short {
        let mut at = start;
        let mut head: &[u8] = &carry;
        let mut buffer = AlignedBuffer::default();
        let zeros = vec![0; BLOCK];
        while at < content.max(good.end) {
            let rest = zeros.get(head.len()..).unwrap_or_default();
            let block =
                buffer.blocks(&[head, rest]).ok_or(LogError::Options("memory cannot be aligned to 4096"))?;
            file.write_at(block, at as u64).map_err(LogError::io("clear the tail of", name.as_str()))?;
            head = &[];
            at += BLOCK;
        }
        file.sync().map_err(LogError::io("sync", name.as_str()))?;
    }
    if content > good.end || !later.is_empty() {
        recovered.cut = Some(Cut {
            segment: number,
            offset: u32::try_from(good.end).unwrap_or(u32::MAX),
            sequence: next,
            octets: content.saturating_sub(good.end) as u64,
            records: discarded,
        });
    }
    remove(disk, later)?;
    let mode = write_mode(shared.durability());
    let file = disk.open(&name, mode).map_err(LogError::io("open", name))?;
    Ok(Active { segment: Arc::clone(&good.segment), file, carry })
}

pub(super) fn count(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.next - run.first).sum()
}

pub(super) fn remove(disk: &dyn Disk, files: &[Found]) -> Result<(), LogError> {
    for file in files {
        let name = file_name(file.number);
        disk.remove(&name).map_err(LogError::io("remove", name))?;
    }
    if files.is_empty() {
        Ok(())
    } else {
        disk.sync_dir().map_err(LogError::io("sync", "the log's directory"))
    }
}
