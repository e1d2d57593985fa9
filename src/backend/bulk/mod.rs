//! Making a whole data set at once: log, trees and checkpoint, without the way that single changes take.
//!
//! Entries are prepared by any number of threads ([`Preparer`], pieces of entries) and loaded in order by one
//! ([`BulkLoader`]): it looks for the parent and for duplicates, numbers the changes and encodes their records; a thread
//! behind it writes them in large groups. Keys are only gathered; at the end they are sorted and written as a checkpoint, so
//! that the next start finds its trees made. What comes out is what the same adds one by one would have made, but for
//! ids, CSNs and, as they follow from those, etags.
//!
//! The data set is new: it has an identity and a history of its own.

mod runs;
mod writer;

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher13};

use self::runs::Runs;
use self::writer::{GroupWriter, Record};
use super::checkpoint::{self, Header, Source};
use super::index::{IndexSet, Keys, key};
use super::index_store::{EntryId, Marks, TreeId};
use super::memory::MemoryStore;
use super::open::BackendOptions;
use super::start::purpose;
use super::store::StoreError;
use super::view::{name_key, parent_key, store_error};
use super::{IndexStore, dataset};
use crate::changelog::{ChangeRecord, Csn, Incarnation, Op, Origin, ReplicaId};
use crate::config::IndexStoreKind;
use crate::entry::{EntryParts, EntryUuid, StoredEntry};
use crate::log::{Disk, Log, Options, OsDisk};
use crate::schema::{NormalizedDn, Schema};

/// An entry to be loaded.
#[derive(Debug, Clone, Copy)]
pub struct BulkEntry<'a> {
    /// The DN as received.
    pub dn: &'a str,
    /// Its key.
    pub key: &'a NormalizedDn,
    /// Its identity.
    pub uuid: EntryUuid,
    /// The state of its etag, if it is to keep one.
    pub etag: Option<u64>,
    /// Encoded user attributes, complete.
    pub user: &'a [u8],
    /// Encoded operational attributes, complete.
    pub operational: &'a [u8],
}

/// Why an entry is not loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is one of this name already.
    Exists,
    /// The entry above is not there (before it in the input).
    NoParent,
    /// Its record is larger than a segment of the log.
    TooLarge,
}

/// Entries prepared one after another.
#[derive(Debug, Default)]
pub struct Piece {
    entries: Vec<Prepared>,
    keys: Keys,
}

impl Piece {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[derive(Debug)]
struct Prepared {
    csn: Csn,
    entry: StoredEntry,
    key: NormalizedDn,
    name: u128,
    parent: u128,
    tag: u32,
}

/// What preparing entries needs; shared by threads.
#[derive(Debug)]
pub struct Preparer {
    schema: Arc<Schema>,
    indexes: IndexSet,
    origin: Origin,
    etag_keys: (u64, u64),
    name_keys: (u64, u64),
    started_ms: u64,
}

impl Preparer {
    /// The schema that the data is made for.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Rises with the number.
    fn csn(&self, number: u64) -> Csn {
        let counter = (number & 0xffff) as u16;
        let Origin { replica, incarnation } = self.origin;
        Csn::new(self.started_ms + (number >> 16), counter, replica.get(), incarnation.get())
    }

    fn hash(&self, key: &[u8]) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.name_keys.0, self.name_keys.1);
        hasher.write(key);
        hasher.finish128().as_u128()
    }

    /// Prepares an entry as the next of a piece. `number` is the caller's: it rises over all entries in the order in which
    /// they are loaded, and may leave some out; 65,536 of them stand for a millisecond of the new data set's history.
    /// `tag` is given back when the entry is refused.
    pub fn prepare(&self, piece: &mut Piece, number: u64, tag: u32, new: &BulkEntry<'_>) {
        let csn = self.csn(number);
        // Its place in the piece stands for the id, which is known when the piece is loaded.
        let id = EntryId(piece.entries.len() as u64);
        let etag_state = new.etag.unwrap_or_else(|| {
            let mut hasher = SipHasher24::new_with_keys(self.etag_keys.0, self.etag_keys.1);
            hasher.write(&new.uuid.0);
            hasher.write(csn.as_bytes());
            hasher.finish()
        });
        let entry = StoredEntry::compose(&EntryParts {
            dn: new.dn,
            uuid: new.uuid,
            etag_state,
            add_csn: csn.to_bytes(),
            last_csn: csn.to_bytes(),
            user: new.user,
            operational: new.operational,
        });
        self.indexes.append(id, &entry, &mut piece.keys);
        let key = new.key.clone();
        let (name, parent) = (self.hash(key.as_bytes()), self.hash(parent_key(key.as_bytes())));
        piece.entries.push(Prepared { csn, entry, key, name, parent, tag });
    }
}

/// What was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Entries.
    pub entries: u64,
    /// Octets of their records.
    pub octets: u64,
}

/// Makes a new data set in an empty directory.
pub struct BulkLoader {
    preparer: Arc<Preparer>,
    home: Arc<dyn Disk>,
    header: Header,
    keeps_trees: bool,
    /// Keys of the base DNs.
    suffixes: Vec<NormalizedDn>,
    writer: GroupWriter,
    /// All entries so far, by the digest of their names.
    known: HashMap<u128, (EntryId, [u8; 16]), std::hash::BuildHasherDefault<Digest>>,
    names: Runs,
    /// By the number of the tree.
    trees: Vec<Option<Runs>>,
    sequence: u64,
    octets: u64,
    threads: usize,
}

/// The digests are spread already.
#[derive(Debug, Default, Clone, Copy)]
struct Digest(u64);

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|octet| self.0 = self.0.rotate_left(8) ^ u64::from(*octet));
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

impl std::fmt::Debug for BulkLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkLoader").field("entries", &self.known.len()).finish_non_exhaustive()
    }
}

impl BulkLoader {
    /// Begins a data set in `options.directory`, which is to be empty, for the suffixes and indexes of the options.
    pub fn begin(options: &BackendOptions) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| {
            StoreError::Io(format!("cannot make {}: {error}", options.directory.display()))
        };
        let home = OsDisk::create(&options.directory).map_err(failed)?;
        let log = OsDisk::unfilled(options.directory.join("log")).map_err(failed)?;
        Self::begin_on(Arc::new(home), Arc::new(log), options)
    }

    /// As [`Self::begin`], on given disks.
    pub fn begin_on(
        home: Arc<dyn Disk>,
        log_disk: Arc<dyn Disk>,
        options: &BackendOptions,
    ) -> Result<Self, StoreError> {
        let schema = options.schema.current();
        let purpose = purpose(&*home, &schema)?;
        let mut log_options = Options::new(purpose.dataset_id);
        log_options.segment_size = options.segment_bytes;
        log_options.spares = 0;
        log_options.reserve = 0;
        let opened = Log::open(log_disk, log_options, &mut |_| Ok(()));
        let (log, writer, recovered) = opened.map_err(|error| store_error(&error))?;
        if recovered.last_sequence >= recovered.first_sequence {
            return Err(StoreError::Unwilling("the directory for the new data is not empty".into()));
        }
        let suffix = |text: &String| {
            NormalizedDn::parse(text, &schema)
                .map_err(|error| StoreError::Unwilling(format!("the base DN {text}: {error}")))
        };
        let suffixes = options.suffixes.iter().map(suffix).collect::<Result<Vec<_>, _>>()?;
        let replica = ReplicaId::new(options.replica)
            .ok_or_else(|| StoreError::Unwilling("the replica id is a number from 1 to 65535".into()))?;
        // Gives the trees their numbers, and holds nothing.
        let trees = MemoryStore::new();
        let indexes = IndexSet::build(&options.indexes, &schema, &IndexSet::default(), &trees)?;
        let mut runs: Vec<Option<Runs>> = Vec::new();
        for (name, TreeId(number)) in trees.trees() {
            let number = number as usize;
            if runs.len() <= number {
                runs.resize_with(number + 1, || None);
            }
            if let Some(slot) = runs.get_mut(number) {
                *slot = Some(Runs::new(name, 0));
            }
        }
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random)
            .map_err(|error| StoreError::Io(format!("no random numbers: {error}")))?;
        let halves = |octets: &[u8; 16]| {
            let number = u128::from_le_bytes(*octets);
            (number as u64, (number >> 64) as u64)
        };
        let preparer = Preparer {
            indexes,
            origin: Origin { replica, incarnation: Incarnation::ONE },
            etag_keys: halves(&dataset::id(&*home)?),
            name_keys: halves(&random),
            started_ms: options.clock.wall_ms(),
            schema,
        };
        let marks = Marks { next_id: 1, ..Marks::default() };
        Ok(Self {
            preparer: Arc::new(preparer),
            home,
            header: Header { purpose, applied: 0, through: 0, marks, octets: 0, entries: 0 },
            keeps_trees: options.index_store == IndexStoreKind::Memory && options.checkpoint_bytes > 0,
            suffixes,
            writer: GroupWriter::start(log, writer)?,
            known: HashMap::default(),
            names: Runs::new("names".to_owned(), 8),
            trees: runs,
            sequence: 1,
            octets: 0,
            threads: std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8)),
        })
    }

    /// What makes pieces, for any thread.
    pub fn preparer(&self) -> Arc<Preparer> {
        Arc::clone(&self.preparer)
    }

    /// Entries loaded so far.
    pub fn entries(&self) -> u64 {
        self.sequence - 1
    }

    /// Loads a piece, behind all before. `refused` is told the tags of entries that are left out, and why.
    pub fn load(&mut self, piece: Piece, refused: &mut dyn FnMut(u32, Refused)) -> Result<(), StoreError> {
        let Piece { entries, keys } = piece;
        let mut ids = Vec::with_capacity(entries.len());
        for prepared in entries {
            let tag = prepared.tag;
            ids.push(match self.take(prepared)? {
                Ok(id) => Some(id),
                Err(why) => {
                    refused(tag, why);
                    None
                }
            });
        }
        if !self.keeps_trees {
            return Ok(());
        }
        for (TreeId(tree), key) in keys.iter() {
            let Some((start, EntryId(place))) = key::split(key) else { continue };
            let Some(Some(id)) = ids.get(place as usize) else { continue };
            if let Some(Some(runs)) = self.trees.get_mut(tree as usize) {
                runs.push(&[start, &id.to_bytes()], &[]);
            }
        }
        Ok(())
    }

    fn take(&mut self, prepared: Prepared) -> Result<Result<EntryId, Refused>, StoreError> {
        let id = EntryId(self.sequence);
        let Prepared { csn, entry, key, name, parent, .. } = prepared;
        if self.known.contains_key(&name) {
            return Ok(Err(Refused::Exists));
        }
        let is_suffix = self.suffixes.contains(&key);
        let above = if is_suffix { None } else { self.known.get(&parent).copied() };
        if above.is_none() && !is_suffix {
            return Ok(Err(Refused::NoParent));
        }
        let parent = above.map_or(EntryId::ROOT, |(id, _)| id);
        let record = Record {
            id,
            parent,
            sequence: self.sequence,
            change: ChangeRecord {
                origin: self.preparer.origin,
                oseq: self.sequence,
                csn,
                tag: 0,
                uuid: Some(entry.uuid().0),
                add_csn: Some(csn),
                parent: above.map(|(_, uuid)| uuid),
                txid: None,
                op: Op::Add,
                payload: entry.as_bytes(),
                ext: None,
            },
        };
        if !self.writer.push(&record)? {
            return Ok(Err(Refused::TooLarge));
        }
        self.sequence += 1;
        self.octets += entry.as_bytes().len() as u64;
        self.known.insert(name, (id, entry.uuid().0));
        if self.keeps_trees {
            let rdn = if is_suffix { key.as_bytes() } else { key.rdn_key() };
            self.names.push(&[&name_key(parent, rdn)], &id.to_bytes());
        }
        let marks = &mut self.header.marks;
        (marks.next_id, marks.oseq, marks.csn) = (id.0 + 1, self.sequence - 1, csn.to_bytes());
        Ok(Ok(id))
    }

    /// Writes what is left, sorts the keys and writes the checkpoint. All is durable on return. Without any entry the data
    /// set is empty.
    pub fn finish(self) -> Result<Loaded, StoreError> {
        let Self { home, mut header, writer, names, trees, sequence, octets, threads, keeps_trees, .. } =
            self;
        drop(self.known);
        let entries = sequence - 1;
        let written = writer.finish()?;
        if keeps_trees && entries > 0 {
            (header.applied, header.through, header.entries) = (entries, entries, entries);
            header.marks.place = written.last;
            let mut sources: Vec<Runs> = trees.into_iter().flatten().chain([names]).collect();
            // The largest first, so that no thread is left with it at the end.
            sources.sort_by_key(|runs| std::cmp::Reverse(runs.octets()));
            let sources = sources.into_iter().map(|runs| Box::new(runs) as Box<dyn Source>).collect();
            checkpoint::build(&*home, header, &written.slots, sources, threads)?;
        }
        Ok(Loaded { entries, octets })
    }
}
