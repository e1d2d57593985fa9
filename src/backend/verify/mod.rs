//! Comparing the trees with the entries, while the store serves.
//!
//! The comparison reads piece by piece beside the changes, so what it finds is only a suspicion: each is looked at
//! again by the applier, between two groups, when nothing is half done. What still differs then is reported. The
//! children of a large container are counted in pieces; a listener counts those that come and go behind the piece
//! counted last.

mod check;
mod log;
mod mend;
mod tally;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam::channel::bounded;
use sha2::{Digest, Sha256};

pub(super) use self::check::{Miscount, check_name, name_of_entry, read};
use self::check::{check_entry, check_key, count_children, miscounted};
use self::tally::Tally;
use super::StoreError;
use super::index::Keys;
use super::index_store::{EntryId, TreeId, Visit};
use super::open::Backend;
use super::pipeline::{Sender, Shared, Work};
use super::store::{ChangeListener, TokenStore};
use super::view::View;
use crate::schema::{NormalizedDn, SchemaStore};

/// Keys or entries between two looks at whether to go on.
const PIECE: usize = 256;
/// Children that are counted in one go while the applier waits.
const COUNTED_AT_ONCE: u64 = if cfg!(test) { 64 } else { 16_384 };
/// Differences that a report names.
const NAMED: usize = 1000;

/// Something that is not as the entries say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The index, or `names` (the tree of DNs), `children` (the counters), `entries` (the entries' bytes), `log`.
    pub index: String,
    /// The first 8 octets of the SHA-256 of the key, in hexadecimal: keys of tokens are not to be read in logs. Of the log:
    /// segment and offset.
    pub key: String,
    /// The entry; empty if there is none.
    pub dn: String,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "difference index={} key={} dn=\"{}\": {}", self.index, self.key, self.dn, self.what)
    }
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Entries looked at.
    pub entries: u64,
    /// Keys looked at, names included.
    pub keys: u64,
    /// Records of the log whose checksums were verified.
    pub records: u64,
    /// How many differences there are.
    pub differences: u64,
    /// The first 1000 of them.
    pub found: Vec<Difference>,
    /// Indexes that were left out because they are not ready.
    pub left_out: Vec<String>,
}

impl VerifyReport {
    fn add(&mut self, found: Vec<Difference>) {
        self.differences += found.len() as u64;
        let room = NAMED.saturating_sub(self.found.len());
        self.found.extend(found.into_iter().take(room));
    }
}

fn digest(key: &[u8]) -> String {
    Sha256::digest(key).iter().take(8).map(|octet| format!("{octet:02x}")).collect()
}

fn difference(index: &str, key: &[u8], dn: &str, what: impl Into<String>) -> Difference {
    Difference { index: index.to_owned(), key: digest(key), dn: dn.to_owned(), what: what.into() }
}

fn shutting_down() -> StoreError {
    StoreError::Unwilling("the server is shutting down".into())
}

impl Backend {
    /// Compares the indexes that are ready with the entries: every key of every entry is there, and every key there is an
    /// entry's; and, unless only indexes are asked for by name (as in [`super::Rebuild::Named`]), the tree of names,
    /// the counters of children, the entries' bytes, the checksums of the log, and the entry table with what the log
    /// says of each entry; what opening found to be lost is told again. Changes go on meanwhile and are no
    /// differences. `tell` hears of each part how much of how much is done, and ends the comparison by giving `false`.
    ///
    /// Reads every entry about once for each of its keys. Fails for a name that means no index, and when the store closes.
    pub fn verify(
        &self,
        indexes: Option<&[String]>,
        tell: &mut dyn FnMut(&str, u64, u64) -> bool,
    ) -> Result<VerifyReport, StoreError> {
        let set = self.shared.view.indexes.load_full();
        let mut wanted: Vec<_> = set.indexes.iter().filter(|index| !index.is_replacement).cloned().collect();
        if let Some(names) = indexes {
            if let Some(unknown) = self.unknown_indexes(names).first() {
                return Err(StoreError::Unwilling(format!("there is no index {unknown}")));
            }
            let schema = self.schema.current();
            let meant: Vec<_> = names.iter().flat_map(|name| set.called(name, &schema)).collect();
            wanted.retain(|index| meant.iter().any(|one| one.tree == index.tree));
        }
        let whole = indexes.is_none_or(|names| names.iter().any(|name| is_beside_indexes(name)));
        let (ready, others): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|index| index.progress.is_ready());
        let mut run = Run::of(self, tell)?;
        run.trees = ready.iter().map(|index| index.tree).collect();
        run.whole = whole;
        run.report.left_out = others.iter().map(|index| index.name.clone()).collect();
        run.entries()?;
        for index in &ready {
            run.keys(&index.name, index.tree)?;
        }
        if run.whole {
            run.names()?;
            run.log()?;
            run.loss();
        }
        Ok(run.report)
    }
}

/// Whether a name means what is no index: the tree of names and the counters of children, by our words and the reference's;
/// for [`Backend::verify`] also entries and log.
pub(super) fn is_beside_indexes(name: &str) -> bool {
    const NAMES: &[&str] =
        &["names", "dn2id", "children", "id2children", "id2childrencount", "entries", "id2entry", "log"];
    NAMES.iter().any(|one| one.eq_ignore_ascii_case(name))
}

struct Run<'a> {
    backend: &'a Backend,
    shared: &'a Shared,
    view: &'a Arc<View>,
    schema: &'a SchemaStore,
    work: Sender<Work>,
    trees: Vec<TreeId>,
    whole: bool,
    report: VerifyReport,
    tell: &'a mut dyn FnMut(&str, u64, u64) -> bool,
}

impl<'a> Run<'a> {
    /// A run over no index yet.
    fn of(backend: &'a Backend, tell: &'a mut dyn FnMut(&str, u64, u64) -> bool) -> Result<Self, StoreError> {
        Ok(Self {
            backend,
            shared: &backend.shared,
            view: &backend.shared.view,
            schema: &backend.schema,
            work: backend.pipeline.work().ok_or_else(shutting_down)?,
            trees: Vec::new(),
            whole: true,
            report: VerifyReport::default(),
            tell,
        })
    }
}

impl Run<'_> {
    fn goes_on(&self) -> Result<(), StoreError> {
        if self.shared.closing.load(Ordering::Acquire) { Err(shutting_down()) } else { Ok(()) }
    }

    fn tell(&mut self, what: &str, done: u64, total: u64) -> Result<(), StoreError> {
        let goes_on = (self.tell)(what, done, total);
        goes_on.then_some(()).ok_or_else(|| StoreError::Unwilling("the comparison was canceled".into()))
    }

    /// Does something on the applier's thread, between two groups.
    fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = bounded(1);
        let look = move |view: &View| {
            let _ = sender.send(look(view));
        };
        self.work.send(Work::Look(Box::new(look))).map_err(|_| shutting_down())?;
        receiver.recv().unwrap_or_else(|_| Err(shutting_down()))
    }

    /// Every entry: its bytes, its name, its keys, its children.
    fn entries(&mut self) -> Result<(), StoreError> {
        let total = self.view.store.entries();
        let (mut token, mut ids) = (Some(0), Vec::new());
        let mut keys = Keys::default();
        while let Some(from) = token {
            ids.clear();
            token = self.view.store.ids(from, PIECE, &mut ids)?;
            for piece in ids.chunks(PIECE) {
                self.goes_on()?;
                for &id in piece {
                    self.entry(id, &mut keys)?;
                }
                self.tell("entries", self.report.entries, total)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, id: EntryId, keys: &mut Keys) -> Result<(), StoreError> {
        let schema = self.schema.current();
        let (whole, trees) = (self.whole, self.trees.as_slice());
        self.report.entries += 1;
        if !check_entry(self.view, &schema, id, trees, whole, keys)?.is_empty() {
            let trees = trees.to_vec();
            let found =
                self.look(move |view| check_entry(view, &schema, id, &trees, whole, &mut Keys::default()))?;
            self.report.add(found);
        }
        if !whole {
            return Ok(());
        }
        let found = self.miscount_if_wrong(id)?;
        self.report.add(found.into_iter().map(|found| found.difference).collect());
        Ok(())
    }

    /// Whether an entry's counter of children is wrong, and by how much: a first look beside the changes.
    fn miscount_if_wrong(&self, id: EntryId) -> Result<Option<Miscount>, StoreError> {
        let Some(slot) = self.view.store.slot(id)? else { return Ok(None) };
        let is_small = slot.children < COUNTED_AT_ONCE;
        if is_small && count_children(self.view, id, COUNTED_AT_ONCE)? == slot.children {
            return Ok(None);
        }
        self.miscount(id)
    }

    /// Whether an entry's counter of children is wrong, and by how much.
    fn miscount(&self, id: EntryId) -> Result<Option<Miscount>, StoreError> {
        let Some(slot) = self.view.store.slot(id)? else { return Ok(None) };
        if slot.children >= COUNTED_AT_ONCE {
            return self.count_beside_changes(id);
        }
        let counted = self.look(move |view| {
            let Some(slot) = view.store.slot(id)? else { return Ok(Some(None)) };
            let counted = count_children(view, id, COUNTED_AT_ONCE)?;
            Ok((counted < COUNTED_AT_ONCE).then(|| miscounted(view, id, &slot, counted)))
        })?;
        // More than can be counted while the applier waits.
        counted.map_or_else(|| self.count_beside_changes(id), Ok)
    }

    /// Counts the children of a large container.
    fn count_beside_changes(&self, id: EntryId) -> Result<Option<Miscount>, StoreError> {
        let Ok(Some((_, entry))) = self.view.current(id) else { return Ok(None) };
        let Ok(dn) = NormalizedDn::parse(entry.dn(), &self.schema.current()) else { return Ok(None) };
        let tally = Arc::new(Tally::of(dn.as_bytes()));
        let _listening = self.backend.subscribe(Arc::clone(&tally) as Arc<dyn ChangeListener>);
        loop {
            self.goes_on()?;
            let tally = Arc::clone(&tally);
            if let Some(verdict) = self.look(move |view| tally.go_on(view, id))? {
                return Ok(verdict);
            }
        }
    }

    /// Every key of an index.
    fn keys(&mut self, name: &str, tree: TreeId) -> Result<(), StoreError> {
        let total = self.view.store.estimate(tree, &[], None, u64::MAX)?.keys;
        let mut keys = Keys::default();
        let (mut after, mut done) = (Vec::new(), 0);
        loop {
            self.goes_on()?;
            let piece = piece_of(self.view, tree, &after, None)?;
            let Some((last, _)) = piece.last() else { return Ok(()) };
            after.clone_from(last);
            after.push(0);
            for (key, _) in &piece {
                if check_key(self.view, tree, key, &mut keys)?.is_some() {
                    let key = key.clone();
                    let found = self.look(move |view| check_key(view, tree, &key, &mut Keys::default()))?;
                    self.report.add(found.into_iter().collect());
                }
            }
            done += piece.len() as u64;
            self.report.keys += piece.len() as u64;
            self.tell(name, done, total.max(done))?;
        }
    }

    /// Every name.
    fn names(&mut self) -> Result<(), StoreError> {
        let (total, schema) = (self.view.store.entries(), self.schema.current());
        let (mut after, mut done) = (Vec::new(), 0);
        loop {
            self.goes_on()?;
            let piece = piece_of(self.view, self.view.names, &after, None)?;
            let Some((last, _)) = piece.last() else { return Ok(()) };
            after.clone_from(last);
            after.push(0);
            for (key, _) in &piece {
                if check_name(self.view, &schema, key)?.is_some() {
                    let (key, schema) = (key.clone(), Arc::clone(&schema));
                    let found = self.look(move |view| check_name(view, &schema, &key))?;
                    self.report.add(found.into_iter().collect());
                }
            }
            done += piece.len() as u64;
            self.report.keys += piece.len() as u64;
            self.tell("names", done, total.max(done))?;
        }
    }
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn piece_of(view: &View, tree: TreeId, from: &[u8], to: Option<&[u8]>) -> Result<Pairs, StoreError> {
    let mut piece = Vec::new();
    view.store.range(tree, from, to, &mut |key, value| {
        piece.push((key.to_vec(), value.to_vec()));
        if piece.len() < PIECE { Visit::Continue } else { Visit::Stop }
    })?;
    Ok(piece)
}
