//! The door of the backend: what a store of entries offers to `operation`.

use std::sync::Arc;

use bytes::Bytes;

use super::space::SpaceSettings;
use crate::entry::{CompiledFilter, EntryUuid, StoredEntry};
use crate::log::Durability;
use crate::protocol::message::Scope;
use crate::protocol::result::LdapResult;
use crate::schema::NormalizedDn;

/// Why the store cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store takes no writes: poisoned by a failed sync, read-only, full or shutting down; says why.
    #[error("{0}")]
    Unwilling(String),
    /// Too many changes wait already.
    #[error(
        "too many changes wait for the disk already (ds-cfg-max-work-queue-capacity of cn=Work Queue,cn=config): this one \
         was not made; try again later"
    )]
    Busy,
    /// Bytes on disk are not what was written; names the entry or place.
    #[error("{0}")]
    Corrupt(String),
    /// The operating system refused.
    #[error("{0}")]
    Io(String),
}

/// A search as the store sees it.
#[derive(Debug, Clone)]
pub struct Query {
    /// The base entry, which must exist (the caller checked).
    pub base: NormalizedDn,
    /// The scope.
    pub scope: Scope,
    /// The filter; candidates are a superset of its matches in scope, and the caller evaluates.
    pub filter: Arc<CompiledFilter>,
}

/// Where a paged search goes on: opaque bytes, valid while the same index exists; small enough for a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume(pub Bytes);

/// One entry that may match, already checked against base and scope; one committed version of it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The entry.
    pub entry: Arc<StoredEntry>,
    /// Where to go on after it.
    pub resume: Resume,
}

/// A stream of candidates. Holds no lock between calls; sees every change acknowledged before it was opened.
pub trait Candidates: Send {
    /// Appends candidates, having looked at no more than `budget` index entries; false when none is left.
    fn next(&mut self, budget: usize, out: &mut Vec<Candidate>) -> Result<bool, StoreError>;

    /// As [`Self::next`], but ends before an entry that is not in memory, so that it never waits for the disk.
    fn next_at_hand(&mut self, budget: usize, out: &mut Vec<Candidate>) -> Result<Reach, StoreError> {
        self.next(budget, out).map(|goes_on| if goes_on { Reach::More } else { Reach::End })
    }

    /// Whether an index (or the base entry, or so few entries that none is needed) serves: as [`PlanReport::indexed`].
    fn is_indexed(&self) -> bool {
        true
    }
}

/// How much a job reads from the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// One entry, for which somebody waits: comes before all that read many.
    One,
    /// Many, for a search that goes through them.
    Many,
}

/// How far candidates came without waiting for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// As many as asked for; there may be more.
    More,
    /// The next one has to be read from the disk.
    Cold,
    /// None is left.
    End,
}

/// How a query would be answered.
#[derive(Debug, Clone)]
pub struct PlanReport {
    /// Whether an index (or the base entry, or the children of a small base) serves; false is the unindexed case that needs
    /// the privilege.
    pub indexed: bool,
    /// The part of the filter that no index serves, as text, when `indexed` is false.
    pub unindexed_part: Option<String>,
    /// The plan in words, as `debugsearchindex` shows it.
    pub explanation: String,
}

/// An entry about to be added.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Its DN as received.
    pub dn: String,
    /// Its identity.
    pub uuid: EntryUuid,
    /// Encoded user attributes, complete.
    pub user: Bytes,
    /// Encoded operational attributes, complete (names and times included).
    pub operational: Bytes,
}

/// New content for an entry.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Encoded user attributes.
    pub user: Bytes,
    /// Encoded operational attributes.
    pub operational: Bytes,
    /// The net effects for the changelog, encoded (`entry::modify`); opaque here.
    pub effects: Bytes,
}

/// A decision taken in the sequencer, on the current version of the target, with all earlier changes visible: assertion,
/// access, schema and the new content. Must be quick and must not block. Never called again after it returned `Ok`.
pub trait Edit: Send {
    /// The new content, or the refusal. Returning `Ok(None)` succeeds without any change (no log record, same etag).
    fn decide(&mut self, current: &Arc<StoredEntry>) -> Result<Option<Verdict>, LdapResult>;
}

/// A last look at the parent of an entry to be added; none for a suffix entry.
pub type ParentCheck = Box<dyn FnMut(Option<&Arc<StoredEntry>>) -> Result<(), LdapResult> + Send>;

/// A look at an entry to be deleted.
pub type EntryCheck = Box<dyn FnMut(&Arc<StoredEntry>) -> Result<(), LdapResult> + Send>;

/// What is to be done to the target.
pub enum ChangeKind {
    /// Adds an entry. The sequencer refuses: 68 if the DN is taken, 32 (with the matched DN) if there is no parent.
    /// `check` sees the parent (none for a suffix entry).
    Add {
        /// The entry.
        entry: NewEntry,
        /// A last look at the parent.
        check: Option<ParentCheck>,
    },
    /// Changes content. 32 if there is no entry.
    Modify(Box<dyn Edit>),
    /// Deletes the entry; 32 if there is none; 66 if it has children, unless `subtree`.
    Delete {
        /// Looks at each entry that goes, the target first; may refuse.
        check: EntryCheck,
        /// Deletes everything below too (children first), as individual changes of one group, all or nothing.
        subtree: bool,
    },
    /// Renames or moves. 32 for a missing entry or new parent, 68 if the new name is taken.
    Rename {
        /// The new DN as text.
        new_dn: String,
        /// Its key.
        new_key: NormalizedDn,
        /// The content under the new name.
        edit: Box<dyn Edit>,
    },
    /// Everything but the effect: checks as the inner kind would, then answers without changing anything (no-op control).
    Trial(Box<ChangeKind>),
}

/// A change to be made.
pub struct Change {
    /// The target's key.
    pub target: NormalizedDn,
    /// What to do.
    pub kind: ChangeKind,
    /// Called exactly once, from a store thread, when the change is durable and visible, or refused. Must not block.
    pub done: Box<dyn FnOnce(Result<Committed, ChangeError>) + Send>,
}

/// Why a change did not happen.
#[derive(Debug, Clone)]
pub enum ChangeError {
    /// Refused by a check, with the answer for the client.
    Refused(LdapResult),
    /// The store failed.
    Store(StoreError),
}

/// A change that is durable and visible (or needed nothing).
#[derive(Debug, Clone)]
pub struct Committed {
    /// The version before; none for an add.
    pub before: Option<Arc<StoredEntry>>,
    /// The version after; none for a delete.
    pub after: Option<Arc<StoredEntry>>,
    /// The target's key before.
    pub key: NormalizedDn,
    /// The key after a rename.
    pub new_key: Option<NormalizedDn>,
    /// The change's CSN; zeros when nothing changed.
    pub csn: [u8; 12],
    /// The log sequence number; 0 when nothing changed.
    pub sequence: u64,
}

/// Somebody who wants to know of changes.
pub trait ChangeListener: Send + Sync {
    /// Called on the sequencer's thread for each group, in log order, after the view shows it and before any of its changes
    /// is acknowledged. Must be quick: compiled ACIs are kept current here.
    fn applied(&self, changes: &[Committed]);
    /// Whether [`Self::notify`] is to be called for the changes of a group, asked when the view shows them.
    fn wants_notices(&self) -> bool {
        true
    }
    /// Called on the notifying thread, each change exactly once, in log order; persistent searches are served here.
    fn notify(&self, change: &Committed);
    /// Another store is about to take the place of the one that was listened to, which takes no more changes and has told
    /// all it did. What is derived from the content has to be made anew from `store`.
    fn replacing(&self, store: &dyn TokenStore) {
        let _ = store;
    }
    /// The other store has taken the place; its changes are told from now on.
    fn replaced(&self) {}
}

/// Ends the listening when dropped.
pub struct Subscription(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Subscription {
    /// A subscription that `end` ends.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription")
    }
}

/// The kinds of index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum IndexType {
    Equality,
    Ordering,
    Presence,
    Substring,
}

/// One `ds-cfg-backend-index` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexConfig {
    /// Canonical attribute name.
    pub attribute: String,
    /// What is indexed.
    pub types: Vec<IndexType>,
    /// Octets of a substring key, 3 at least.
    pub substring_length: usize,
}

/// A store of entries: get, apply a conditional change, plan and stream a query, subscribe to changes.
pub trait TokenStore: Send + Sync {
    /// The suffixes served: DN as configured and key.
    fn suffixes(&self) -> Vec<(String, NormalizedDn)>;
    /// The current version of an entry.
    fn get(&self, dn: &NormalizedDn) -> Result<Option<Arc<StoredEntry>>, StoreError>;
    /// As [`Self::get`], but none if that would wait for the disk.
    fn glance(&self, dn: &NormalizedDn) -> Result<Option<Option<Arc<StoredEntry>>>, StoreError> {
        self.get(dn).map(Some)
    }
    /// Has a thread do something that may wait for the disk, as soon as one of a few is free.
    fn read_beside(&self, reading: Reading, job: Box<dyn FnOnce() + Send>) {
        let _ = reading;
        job();
    }
    /// The deepest existing entry at or above `dn`: its DN for `matchedDN`; empty if there is none.
    fn deepest(&self, dn: &NormalizedDn) -> String;
    /// Children of an entry, in O(1).
    fn children(&self, dn: &NormalizedDn) -> u64;
    /// Entries in the store.
    fn entries(&self) -> u64;
    /// How a query would be answered.
    fn plan(&self, query: &Query) -> PlanReport;
    /// Opens the candidates of a query, in a stable order, from the start or after `resume`. `None` for a resume point
    /// that is not valid (any more).
    fn open(&self, query: &Query, resume: Option<&Resume>)
    -> Result<Option<Box<dyn Candidates>>, StoreError>;
    /// Hands a change to the sequencer. Changes submitted one after another by one thread are executed in that order, if
    /// they concern the same entry or one is below the other.
    /// Fails at once (and `done` is called with the failure) when too many wait.
    fn submit(&self, change: Change);
    /// Whether so many changes wait that clients with several in flight should be held to one at a time.
    fn is_crowded(&self) -> bool {
        false
    }
    /// Adds a listener.
    fn subscribe(&self, listener: Arc<dyn ChangeListener>) -> Subscription;
    /// Whether there is room on the disk for a write: 53 with the reason if not. Only who may bypass a lock-down writes
    /// below the low threshold, nobody below the full one; deletes are always taken.
    fn writable(&self, is_root: bool, is_delete: bool) -> Result<(), StoreError> {
        let _ = (is_root, is_delete);
        Ok(())
    }
    /// Sets when segments go and writes are refused; in force at once.
    fn set_space(&self, settings: SpaceSettings) {
        let _ = settings;
    }
    /// Sets when a change is acknowledged; in force from the next group on.
    fn set_durability(&self, durability: Durability) {
        let _ = durability;
    }
    /// The log sequence number of the last change that is visible; a listener added now that skips what has no greater
    /// number misses nothing that is acknowledged later.
    fn last_sequence(&self) -> u64;
    /// Brings the indexes in line: new ones are built in the background while the store serves, dropped ones go.
    fn set_indexes(&self, indexes: Vec<IndexConfig>);
    /// Changes when all the content is exchanged for other content: places in the old one mean nothing in the new.
    fn generation(&self) -> u64 {
        0
    }
    /// Name and state (`ready`, or how far the build is) of each index.
    fn index_states(&self) -> Vec<(String, String)>;
    /// How many entries have each value of an attribute of few values (canonical name), by its index; none without one.
    fn value_counts(&self, attribute: &str) -> Option<Vec<(String, u64)>> {
        let _ = attribute;
        None
    }
}
