//! Checkpoints of the view in memory, so that a start reads what is live and not the whole log.
//!
//! A checkpoint is taken while the store serves: tree after tree in slices of some leaves, each under that tree's read lock
//! alone. So it shows no one moment. It says at which sequence the taking began (`applied`: what came before is in it
//! wholly) and at which it ended (`through`: nothing later is in it). A start replays the log from `applied` on and leaves out
//! of the checkpoint every key and slot of an entry that a replayed record names: what is left did not change while the
//! checkpoint was taken. This needs the log to reach `through`; a checkpoint beyond the log's end is removed, because
//! its sequences may come again with other changes.
//!
//! What may enter: the file's format, writing it, reading it. The bytes are in the manual's storage chapter.

mod build;
mod read;
mod write;

use std::io;

use super::StoreError;
use super::index_store::{Marks, Purpose};
use crate::log::disk::OpenMode;
use crate::log::{Disk, Place};

pub(crate) use build::{Source, build};
pub(crate) use read::load;
pub(crate) use write::{Checkpoints, Growth, Taker};

const MAGIC: &[u8; 8] = b"ctsd-ckp";
const VERSION: u32 = 1;
/// Room of the header.
const BLOCK: usize = 4096;
/// Octets of the header that say something.
const HEADER: usize = 112;
/// The file while it is written.
const NEW_NAME: &str = "checkpoint.new";
/// Checkpoints kept.
const KEPT: usize = 2;

/// Octets in front of a chunk's body: length, checksum, kind, zeros, tree.
const CHUNK_HEADER: usize = 16;
const NAMES: u8 = 1;
const SLOTS: u8 = 2;
const LEAVES: u8 = 3;
/// Octets of a slot.
const SLOT: usize = 28;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) purpose: Purpose,
    /// Everything up to here is in it.
    pub(crate) applied: u64,
    /// Nothing after this is in it.
    pub(crate) through: u64,
    /// As they were at `applied`.
    pub(crate) marks: Marks,
    /// Octets of the file.
    pub(crate) octets: u64,
    /// Entries, about.
    pub(crate) entries: u64,
}

fn file_name(applied: u64) -> String {
    format!("checkpoint-{applied:020}")
}

fn applied_of(name: &str) -> Option<u64> {
    let applied = name.strip_prefix("checkpoint-")?.parse().ok()?;
    (file_name(applied) == name).then_some(applied)
}

fn failed<'a>(what: &'a str, name: &'a str) -> impl Fn(io::Error) -> StoreError + 'a {
    move |error| StoreError::Io(format!("cannot {what} {name}: {error}"))
}

impl Header {
    pub(crate) fn name(&self) -> String {
        file_name(self.applied)
    }

    fn encode(&self) -> Vec<u8> {
        let mut rest = Vec::with_capacity(HEADER);
        rest.extend_from_slice(&self.purpose.dataset_id);
        for number in [
            self.purpose.fingerprint,
            self.applied,
            self.through,
            self.marks.next_id,
            self.marks.oseq,
            self.octets,
            self.entries,
        ] {
            rest.extend_from_slice(&number.to_be_bytes());
        }
        rest.extend_from_slice(&self.marks.csn);
        let place = self.marks.place;
        for number in [place.segment, place.offset, place.len] {
            rest.extend_from_slice(&number.to_be_bytes());
        }
        let mut block = Vec::with_capacity(BLOCK);
        block.extend_from_slice(MAGIC);
        block.extend_from_slice(&VERSION.to_be_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&block), &rest);
        block.extend_from_slice(&crc.to_be_bytes());
        block.extend_from_slice(&rest);
        block.resize(BLOCK, 0);
        block
    }

    fn decode(block: &[u8]) -> Option<Self> {
        let mut rest = block.get(16..HEADER)?;
        fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
            let (octets, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(*octets)
        }
        let dataset_id = take(&mut rest)?;
        let mut number = || take(&mut rest).map(u64::from_be_bytes);
        let fingerprint = number()?;
        let (applied, through) = (number()?, number()?);
        let (next_id, oseq) = (number()?, number()?);
        let (octets, entries) = (number()?, number()?);
        let csn = take(&mut rest)?;
        let mut number = || take(&mut rest).map(u32::from_be_bytes);
        let place = Place { segment: number()?, offset: number()?, len: number()? };
        let marks = Marks { next_id, oseq, csn, place };
        let purpose = Purpose { dataset_id, fingerprint };
        let header = Self { purpose, applied, through, marks, octets, entries };
        (header.encode() == block).then_some(header)
    }
}

/// The checkpoints for a purpose, oldest first. Others, and what is unreadable, are told and left alone.
pub(crate) fn list(home: &dyn Disk, purpose: Purpose) -> Result<Vec<Header>, StoreError> {
    let files = home.list().map_err(failed("list", "the data's directory"))?;
    let mut found = Vec::new();
    for (name, octets) in files {
        let Some(applied) = applied_of(&name) else { continue };
        let mut block = vec![0; BLOCK];
        let read = home.open(&name, OpenMode::Read).and_then(|file| file.read_at(&mut block, 0));
        let header = match read {
            Ok(count) => block.get(..count).and_then(Header::decode),
            Err(error) => {
                tracing::warn!(%error, name, "a checkpoint cannot be read");
                continue;
            }
        };
        match header {
            Some(header) if header.purpose != purpose => {
                tracing::warn!(name, "a checkpoint is of another data set or schema and not used");
            }
            Some(header) if header.octets == octets && header.applied == applied => found.push(header),
            _ => tracing::warn!(name, "a checkpoint is damaged or of another version and not used"),
        }
    }
    found.sort_by_key(|header| header.applied);
    Ok(found)
}

/// Removes a checkpoint, durably.
pub(crate) fn discard(home: &dyn Disk, header: &Header) -> Result<(), StoreError> {
    let name = header.name();
    home.remove(&name).and_then(|()| home.sync_dir()).map_err(failed("remove", &name))
}

/// Removes all checkpoints, whatever they are of, durably.
pub(crate) fn remove_all(home: &dyn Disk) -> Result<(), StoreError> {
    let files = home.list().map_err(failed("list", "the data's directory"))?;
    for (name, _) in files.iter().filter(|(name, _)| applied_of(name).is_some()) {
        home.remove(name).map_err(failed("remove", name))?;
    }
    home.sync_dir().map_err(failed("sync", "the data's directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_or_not_at_all() {
        let header = Header {
            purpose: Purpose { dataset_id: [3; 16], fingerprint: 77 },
            applied: 5,
            through: 9,
            marks: Marks {
                next_id: 6,
                oseq: 4,
                csn: [2; 12],
                place: Place { segment: 1, offset: 2, len: 3 },
            },
            octets: 10_000,
            entries: 12,
        };
        let block = header.encode();
        assert_eq!(Header::decode(&block), Some(header));
        for bit in 0..HEADER * 8 {
            let mut block = block.clone();
            block[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&block), None, "bit {bit}");
        }
        assert_eq!(Header::decode(&block[..100]), None);
        assert_eq!(applied_of(&header.name()), Some(5));
        assert_eq!(applied_of("checkpoint-5"), None);
        assert_eq!(applied_of(NEW_NAME), None);
    }
}
