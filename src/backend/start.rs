//! A start: from what was kept of the view, if there is something that fits the log, and the log after it.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use super::checkpoint::{self, Header, Taker};
use super::damage::{self, Loss};
use super::dataset;
use super::index::key::{LONGEST, START};
use super::index::{Index, IndexSet};
use super::index_store::{IndexStore, Marks, Purpose, SharedStore};
use super::life::Life;
use super::memory::MemoryStore;
use super::open::BackendOptions;
use super::patch::patch;
use super::progress::{Reporter, StartPhase};
use super::replay::Replay;
use super::sled::SledStore;
use super::store::StoreError;
use super::view::{View, store_error};
use crate::changelog::{Csn, CsnGenerator, Origin, ReplicaId};
use crate::config::IndexStoreKind;
use crate::log::{Cut, Disk, Log, Options, OsDisk, Recovered, Writer};
use crate::schema::{NormalizedDn, Schema};

/// Raised when keys are made in another way: what was kept is of no use then.
const KEYS: u64 = 1;
/// The directory of the index store on disk, in the data's directory.
const SLED: &str = "index";
/// Octets of cache of the index store on disk.
const SLED_CACHE: u64 = 256 << 20;

/// Where a log stands, for an executor to go on from.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) csns: CsnGenerator,
    pub(crate) oseq: u64,
    pub(crate) sequence: u64,
    pub(crate) next_id: u64,
    pub(crate) dataset_id: [u8; 16],
}

/// A store that is ready to serve.
pub(crate) struct Started {
    pub(crate) view: Arc<View>,
    pub(crate) writer: Writer,
    pub(crate) recovered: Recovered,
    pub(crate) start: Start,
    pub(crate) dataset_id: [u8; 16],
    pub(crate) life: Life,
    /// Takes checkpoints, if the trees are in memory.
    pub(crate) taker: Option<Arc<Taker>>,
    /// Indexes that what was kept does not have.
    pub(crate) unbuilt: Vec<Arc<Index>>,
    /// What damage of the log did.
    pub(crate) loss: Loss,
}

/// What was kept: it holds everything up to `applied` and nothing after `through`.
struct Base {
    applied: u64,
    through: u64,
    marks: Marks,
}

/// The trees and what they hold already.
enum Trees {
    Memory(Arc<MemoryStore>, Option<Header>),
    Kept(SharedStore),
}

impl Trees {
    fn store(&self) -> SharedStore {
        match self {
            Self::Memory(memory, _) => Arc::clone(memory) as SharedStore,
            Self::Kept(store) => Arc::clone(store),
        }
    }

    fn base(&self, origin: Origin) -> Option<Base> {
        let mut base = match self {
            Self::Memory(_, header) => {
                let header = header.as_ref()?;
                Base { applied: header.applied, through: header.through, marks: header.marks }
            }
            Self::Kept(store) => {
                let is_whole =
                    store.trees().iter().any(|(name, tree)| name == "names" && store.is_complete(*tree));
                let (applied, marks) = store.stand();
                is_whole.then_some(Base { applied, through: applied, marks })?
            }
        };
        // Under another replica id the change numbers are other ones.
        let csn = Csn::from_bytes(base.marks.csn);
        // This life's changes are counted from 1.
        let is_earlier =
            csn.replica() == origin.replica.get() && csn.incarnation() < origin.incarnation.get();
        if is_earlier {
            base.marks.oseq = 0;
        }
        (base.applied > 0 && (is_earlier || csn.origin() == Some(origin))).then_some(base)
    }
}

/// Opens the log and makes the view. With `given`, the trees are in that store.
pub(crate) fn start(
    home: &Arc<dyn Disk>,
    log_disk: &Arc<dyn Disk>,
    options: &BackendOptions,
    mut given: Option<SharedStore>,
) -> Result<Started, StoreError> {
    let schema = options.schema.current();
    let purpose = purpose(&**home, &schema)?;
    let dataset_id = purpose.dataset_id;
    let mut suffixes = Vec::with_capacity(options.suffixes.len());
    for suffix in &options.suffixes {
        let key = NormalizedDn::parse(suffix, &schema)
            .map_err(|error| StoreError::Unwilling(format!("the base DN {suffix}: {error}")))?;
        suffixes.push((suffix.clone(), key));
    }
    let replica = ReplicaId::new(options.replica)
        .ok_or_else(|| StoreError::Unwilling("the replica id is a number from 1 to 65535".into()))?;
    let life = Life::read(&**home)?;
    let origin = Origin { replica, incarnation: life.incarnation };
    let reporter = Reporter::new(options.on_progress.clone());
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8));
    let is_sled = options.index_store == IndexStoreKind::Sled;
    let directory = options.directory.join(SLED);
    let mut checkpoints = checkpoint::list(&**home, purpose)?;
    // What was left by a time when the other store was chosen goes: nobody would see it run ahead of the log.
    if is_sled {
        checkpoints.drain(..).try_for_each(|header| checkpoint::discard(&**home, &header))?;
    } else if given.is_some() {
        checkpoints.clear();
    } else if !options.directory.as_os_str().is_empty() {
        SledStore::remove(&directory)?;
    }
    let mut cut: Option<Cut> = None;
    loop {
        let trees = match (given.take(), is_sled) {
            (Some(store), _) => Trees::Kept(store),
            (None, true) => Trees::Kept(Arc::new(SledStore::open(&directory, purpose, SLED_CACHE)?)),
            (None, false) => Trees::Memory(Arc::new(MemoryStore::new()), checkpoints.pop()),
        };
        let base = trees.base(origin);
        let (applied, marks) = base.as_ref().map_or((0, Marks::default()), |base| (base.applied, base.marks));
        let store = trees.store();
        let is_used = !store.trees().is_empty() || store.entries() > 0;
        if base.is_none() && (is_used || matches!(trees, Trees::Memory(_, Some(_)))) {
            // Unfinished, or of another replica id.
            begin_anew(trees, store, &directory)?;
            continue;
        }
        let mut replay = Replay::new(CsnGenerator::new(origin), applied, marks);
        let mut log_options = Options::new(dataset_id);
        log_options.durability = options.durability;
        log_options.segment_size = options.segment_bytes;
        log_options.spares = options.spare_segments;
        log_options.replay_from = if applied == 0 { 0 } else { applied + 1 };
        let mut records = 0;
        let opened = Log::open(Arc::clone(log_disk), log_options, &mut |record| {
            records += 1;
            reporter.tell(StartPhase::Log, records, 0);
            replay.take(&record)
        });
        let (log, writer, mut recovered) = opened.map_err(|error| store_error(&error))?;
        cut = cut.or(recovered.cut.take());
        replay.has_holes = !recovered.damage.is_empty();
        if let Some(base) = &base
            && !fits(base, &recovered)
        {
            tracing::warn!(
                applied = base.applied,
                through = base.through,
                first = recovered.first_sequence,
                last = recovered.last_sequence,
                "what was kept of the view does not fit the log and is not used"
            );
            drop((log, writer));
            // One beyond the log's end would seem to fit once the sequences have come again.
            if let Trees::Memory(_, Some(header)) = &trees
                && base.through > recovered.last_sequence
                && recovered.damage.is_empty()
            {
                checkpoint::discard(&**home, header)?;
            }
            begin_anew(trees, store, &directory)?;
            continue;
        }
        let clock = Arc::clone(&options.clock);
        let view = View::new(Arc::clone(&store), log, clock, options.cache_bytes, suffixes.clone())?;
        let filled = fill(&view, &trees, home, options, &schema, &replay, base.is_some(), threads, &reporter);
        let (unbuilt, orphans) = match filled {
            Ok(filled) => filled,
            Err(StoreError::Corrupt(reason)) if base.is_some() => {
                tracing::warn!(reason, "what was kept of the view cannot be used");
                drop((view, writer));
                begin_anew(trees, store, &directory)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let start = replay.finish(&view, dataset_id)?;
        store.set_complete(view.names, true)?;
        recovered.cut = cut;
        for missing in damage::missing(&view) {
            if recovered.damage.iter().all(|known| known.lost != missing.lost) {
                recovered.damage.push(missing);
            }
        }
        let loss = damage::look(&view, &recovered, &orphans)?;
        let taker = match trees {
            Trees::Memory(memory, header) => {
                // What was replayed on top is in no checkpoint yet.
                let last = header.map(|header| (header.applied, header.octets));
                let interval = options.checkpoint_bytes;
                let log = view.log.clone();
                let taker = Taker::new(Arc::clone(home), memory, log, purpose, interval, last);
                Some(Arc::new(taker))
            }
            Trees::Kept(_) => None,
        };
        return Ok(Started {
            view: Arc::new(view),
            writer,
            recovered,
            start,
            dataset_id,
            life,
            taker,
            unbuilt,
            loss,
        });
    }
}

/// Lets go of what was kept; the next round takes an older checkpoint, or nothing.
fn begin_anew(trees: Trees, store: SharedStore, directory: &std::path::Path) -> Result<(), StoreError> {
    drop(store);
    match trees {
        Trees::Memory(..) => Ok(()),
        Trees::Kept(store) => {
            drop(store);
            SledStore::remove(directory)
        }
    }
}

/// Whether the log begins early enough and goes far enough.
const fn fits(base: &Base, recovered: &Recovered) -> bool {
    recovered.first_sequence <= base.applied + 1 && recovered.last_sequence >= base.through
}

/// Makes the trees show what the log says. The indexes that have to be built are given back, and the names of entries that
/// are left out because what is above them is lost.
#[allow(clippy::too_many_arguments)]
fn fill(
    view: &View,
    trees: &Trees,
    home: &Arc<dyn Disk>,
    options: &BackendOptions,
    schema: &Schema,
    replay: &Replay,
    has_base: bool,
    threads: usize,
    reporter: &Reporter,
) -> Result<(Vec<Arc<Index>>, Vec<String>), StoreError> {
    let store = &view.store;
    let others = |store: &SharedStore| store.trees().into_iter().filter(|(_, tree)| *tree != view.names);
    // A tree that is not whole would be taken for one that is being built.
    for (_, tree) in others(store).filter(|(_, tree)| !store.is_complete(*tree)) {
        store.drop_tree(tree)?;
    }
    let indexes = IndexSet::build(&options.indexes, schema, &IndexSet::default(), &**store)?;
    // Nobody keeps a tree up to date that is not wanted now.
    for (_, tree) in
        others(store).filter(|(_, tree)| !indexes.indexes.iter().any(|index| index.tree == *tree))
    {
        store.drop_tree(tree)?;
    }
    view.indexes.store(Arc::new(indexes));
    let indexes = view.indexes.load_full();
    let entries = |done, total| reporter.tell(StartPhase::Entries, done, total);
    let orphans = match trees {
        Trees::Memory(memory, header) => {
            if let Some(header) = header {
                let load = |done, total| reporter.tell(StartPhase::Checkpoint, done, total);
                checkpoint::load(&**home, header, memory, view.names, replay.versions(), threads, &load)?;
                if !memory.is_complete(view.names) {
                    return Err(StoreError::Corrupt("a checkpoint has no names".into()));
                }
            }
            replay.fill(view, schema, threads, &entries)?
        }
        Trees::Kept(_) if has_base => {
            patch(view, schema, replay.versions(), &entries)?;
            Vec::new()
        }
        Trees::Kept(_) => replay.fill(view, schema, threads, &entries)?,
    };
    let mut unbuilt = Vec::new();
    for index in &indexes.indexes {
        if !has_base {
            store.set_complete(index.tree, true)?;
        }
        if store.is_complete(index.tree) {
            index.progress.finish();
        } else {
            unbuilt.push(Arc::clone(index));
        }
    }
    Ok((unbuilt, orphans))
}

/// Removes all that is kept of the trees: the next start makes them anew from the log. The store must not be open.
pub(crate) fn forget_kept(options: &BackendOptions) -> Result<(), StoreError> {
    let home = OsDisk::create(&options.directory)
        .map_err(|error| StoreError::Io(format!("cannot open {}: {error}", options.directory.display())))?;
    checkpoint::remove_all(&home)?;
    SledStore::remove(&options.directory.join(SLED))
}

/// What trees are for that are kept with a data set's log.
pub(crate) fn purpose(home: &dyn Disk, schema: &Schema) -> Result<Purpose, StoreError> {
    Ok(Purpose { dataset_id: dataset::id(home)?, fingerprint: fingerprint(schema) })
}

/// Tells apart all schemas that could make other keys.
fn fingerprint(schema: &Schema) -> u64 {
    let mut attributes: Vec<_> = schema.attributes().collect();
    attributes.sort_by(|a, b| a.oid.cmp(&b.oid));
    let mut hasher = SipHasher24::new_with_keys(KEYS, 0);
    let mut put = |bytes: &[u8]| {
        hasher.write(&(bytes.len() as u64).to_le_bytes());
        hasher.write(bytes);
    };
    put(&[LONGEST as u8, START as u8]);
    for attribute in attributes {
        put(attribute.oid.as_bytes());
        attribute.names.iter().for_each(|name| put(name.as_bytes()));
        for rule in [attribute.equality, attribute.ordering, attribute.substring] {
            put(rule.map_or(&[], |rule| rule.name().as_bytes()));
        }
        put(&[u8::from(attribute.is_operational())]);
        let mut subtypes: Vec<_> = attribute
            .subtypes
            .iter()
            .filter_map(|&id| schema.attribute_by_id(id))
            .map(|one| &one.oid)
            .collect();
        subtypes.sort_unstable();
        subtypes.iter().for_each(|oid| put(oid.as_bytes()));
    }
    hasher.finish()
}
