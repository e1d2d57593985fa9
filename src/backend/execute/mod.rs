//! Executing changes one after another, against the view and what earlier changes will make of it.
//!
//! A change is decided here and nowhere else: existence, parent, children, the caller's checks and its new content.
//! It gets its CSN and sequence, and its record is encoded into the group that gathers.
//!
//! A record names its kind as `1 +` the number of the envelope's op. The payload of a rename is the new RDN as an OCTET
//! STRING, then the effects; that of a delete is one octet: 0 for a client's, 1 as part of a subtree. A subtree is
//! deleted by one record an entry, children first; they are written by one commit, and a crash in the middle of
//! that (which nobody was told had succeeded) leaves a well-formed, smaller subtree.

mod delete;
mod modify;
mod relocate;
mod rename;

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::BufMut;
use siphasher::sip::SipHasher24;
use smallvec::SmallVec;

pub(crate) use relocate::{Copied, Extra, Moved};

use super::index_store::EntryId;
use super::overlay::{Overlay, Pending};
use super::pieces::{self, Pieces};
use super::record::{self, Image, LocalPart};
use super::start::Start;
use super::store::{ChangeError, ChangeKind, Committed, NewEntry, ParentCheck, StoreError};
use super::view::{NameKey, View, name_key, parent_key, store_error};
use crate::changelog::{ChangeRecord, Csn, CsnGenerator, Op};
use crate::clock::Clock;
use crate::entry::{EntryParts, EntryUuid, StoredEntry};
use crate::log::{Group, LogError, Place};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Entries that one subtree delete takes at the most.
const MAX_SUBTREE: usize = 100_000;
/// Parents that the sequencer remembers.
const MAX_PARENTS: usize = 4096;

/// What an executed change does to the view once it is durable.
#[derive(Debug)]
pub(crate) struct Effect {
    pub(crate) id: EntryId,
    pub(crate) image: Image,
    pub(crate) parent: EntryId,
    /// The entry's own children.
    pub(crate) children: u64,
    pub(crate) before: Option<Arc<StoredEntry>>,
    pub(crate) after: Option<Arc<StoredEntry>>,
    /// The name that goes.
    pub(crate) old_name: Option<NameKey>,
    /// The name that comes.
    pub(crate) new_name: Option<NameKey>,
    /// Children counts of parents, absolute.
    pub(crate) counts: SmallVec<[(EntryId, u64); 2]>,
    pub(crate) key: NormalizedDn,
    pub(crate) new_key: Option<NormalizedDn>,
    pub(crate) csn: Csn,
    /// The change's number in its origin; set when it is performed.
    pub(crate) oseq: u64,
    pub(crate) sequence: u64,
}

/// What became of a change.
pub(crate) enum Performed {
    /// It is the effect of this number in the group.
    Effect(usize),
    /// It needed nothing.
    Nothing(Box<Committed>),
}

/// An entry above, with its identity; the root above a suffix entry has none.
type Parent = (EntryId, Option<[u8; 16]>);

type Outcome = Result<Performed, ChangeError>;

/// The sequencer's state.
pub(crate) struct Executor {
    view: Arc<View>,
    clock: Arc<dyn Clock>,
    overlay: Overlay,
    csns: CsnGenerator,
    /// The next change's number in its origin.
    oseq: u64,
    /// The next record's number in the log.
    sequence: u64,
    next_id: u64,
    /// Data-set id as the etag hash's key.
    etag_keys: (u64, u64),
    parents: HashMap<Box<[u8]>, (EntryId, [u8; 16])>,
    /// The group that gathers.
    pub(crate) number: u64,
    pub(crate) group: Group,
    pub(crate) effects: Vec<Effect>,
    pub(crate) extras: Vec<Extra>,
    /// Sequences of records on their way that took no number in the origin.
    unnumbered: VecDeque<u64>,
}

fn refused(code: ResultCode, diagnostic: String) -> ChangeError {
    ChangeError::Refused(LdapResult::with(code, diagnostic))
}

/// Runs a caller's check; a panic in it is its failure, not the store's.
fn guarded<T>(check: impl FnOnce() -> Result<T, LdapResult>) -> Result<T, ChangeError> {
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(result) => result.map_err(ChangeError::Refused),
        Err(_) => {
            tracing::error!("a check of a change panicked; the change is refused");
            Err(ChangeError::Refused(LdapResult::new(
                ResultCode::OTHER,
                "internal error while the change was checked",
            )))
        }
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Executor {
    pub(crate) fn new(view: Arc<View>, clock: Arc<dyn Clock>, start: Start) -> Self {
        let half = |from: usize| {
            let octets = start.dataset_id.get(from..).and_then(|rest| rest.first_chunk());
            octets.map_or(0, |octets| u64::from_le_bytes(*octets))
        };
        Self {
            group: view.log.new_group(),
            etag_keys: (half(0), half(8)),
            view,
            clock,
            overlay: Overlay::default(),
            csns: start.csns,
            oseq: start.oseq,
            sequence: start.sequence,
            next_id: start.next_id,
            parents: HashMap::new(),
            number: 1,
            effects: Vec::new(),
            extras: Vec::new(),
            unnumbered: VecDeque::new(),
        }
    }

    /// Forgets of earlier groups what the view shows by now.
    pub(crate) fn prune(&mut self, applied: u64) {
        self.overlay.prune(applied);
        self.forget_numbered(self.view.log.last_sequence() + 1);
    }

    /// Goes on from the log's end after groups failed that left no trace in it. Everything before is applied.
    pub(crate) fn reset(&mut self) {
        self.overlay.clear();
        self.parents.clear();
        self.effects.clear();
        self.extras.clear();
        let sequence = self.view.log.last_sequence() + 1;
        let failed = self.sequence.saturating_sub(sequence);
        let numbered = failed.saturating_sub(self.unnumbered_from(sequence));
        self.oseq = self.oseq.saturating_sub(numbered);
        self.sequence = sequence;
    }

    /// Executes one change.
    pub(crate) fn execute(&mut self, target: NormalizedDn, kind: ChangeKind) -> Outcome {
        self.perform(target, kind, false)
    }

    fn perform(&mut self, target: NormalizedDn, kind: ChangeKind, is_trial: bool) -> Outcome {
        match kind {
            ChangeKind::Add { entry, check } => self.add(target, &entry, check, is_trial),
            ChangeKind::Modify(edit) => self.modify(target, edit, is_trial),
            ChangeKind::Delete { check, subtree } => self.delete(&target, check, subtree, is_trial),
            ChangeKind::Rename { new_dn, new_key, edit } => {
                self.rename(target, &new_dn, new_key, edit, is_trial)
            }
            ChangeKind::Trial(inner) => self.perform(target, *inner, true),
        }
    }

    fn child(&self, parent: EntryId, rdn: &[u8]) -> Result<Option<EntryId>, StoreError> {
        match self.overlay.name(&name_key(parent, rdn)) {
            Some(id) => Ok(id),
            None => self.view.child(parent, rdn),
        }
    }

    fn find(&mut self, dn: &[u8]) -> Result<Option<EntryId>, StoreError> {
        let above = parent_key(dn);
        if let Some(&(parent, _)) = self.parents.get(above) {
            return self.child(parent, dn.get(above.len()..).unwrap_or_default());
        }
        self.view.walk(dn, |parent, rdn| self.child(parent, rdn))
    }

    /// The entry above, with its identity; the root above a suffix entry.
    fn parent_of(&mut self, dn: &[u8]) -> Result<Option<Parent>, StoreError> {
        if self.view.suffix_of(dn).is_some_and(|suffix| suffix.len() == dn.len()) {
            return Ok(Some((EntryId::ROOT, None)));
        }
        let above = parent_key(dn);
        if let Some(&(id, uuid)) = self.parents.get(above) {
            return Ok(Some((id, Some(uuid))));
        }
        let Some(id) = self.find(above)? else { return Ok(None) };
        let Some(entry) = self.entry(id)? else { return Ok(None) };
        let uuid = entry.uuid().0;
        if self.parents.len() >= MAX_PARENTS {
            self.parents.clear();
        }
        self.parents.insert(above.into(), (id, uuid));
        Ok(Some((id, Some(uuid))))
    }

    fn entry(&self, id: EntryId) -> Result<Option<Arc<StoredEntry>>, StoreError> {
        match self.overlay.entry(id) {
            Some(pending) if pending.is_gone => Ok(None),
            Some(Pending { entry: Some(entry), .. }) => Ok(Some(Arc::clone(entry))),
            _ => Ok(self.view.current(id)?.map(|(_, entry)| entry)),
        }
    }

    /// Parent and children of an entry.
    fn links(&self, id: EntryId) -> Result<(EntryId, u64), StoreError> {
        if let Some(pending) = self.overlay.entry(id) {
            return Ok((pending.parent, pending.children));
        }
        Ok(self.view.store.slot(id)?.map_or((EntryId::ROOT, 0), |slot| (slot.parent, slot.children)))
    }

    fn change(&mut self, id: EntryId) -> Result<&mut Pending, StoreError> {
        let (parent, children) = self.links(id)?;
        Ok(self.overlay.change(id, self.number, || Pending::new(parent, children)))
    }

    fn no_such_object(&mut self, dn: &[u8], what: &str) -> ChangeError {
        let mut above = dn;
        let mut matched = String::new();
        while !above.is_empty() {
            let found = self.find(above).ok().flatten().and_then(|id| self.entry(id).ok().flatten());
            if let Some(entry) = found {
                matched = entry.dn().to_owned();
                break;
            }
            above = parent_key(above);
        }
        let result = LdapResult::with(ResultCode::NO_SUCH_OBJECT, what.to_owned());
        ChangeError::Refused(result.matched(matched))
    }

    fn target(&mut self, dn: &NormalizedDn) -> Result<(EntryId, Arc<StoredEntry>), ChangeError> {
        let found = self.find(dn.as_bytes())?;
        let entry = match found {
            Some(id) => self.entry(id)?.map(|entry| (id, entry)),
            None => None,
        };
        entry.ok_or_else(|| self.no_such_object(dn.as_bytes(), "there is no such entry"))
    }

    fn etag(&self, uuid: EntryUuid, csn: Csn) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.etag_keys.0, self.etag_keys.1);
        hasher.write(&uuid.0);
        hasher.write(csn.as_bytes());
        hasher.finish()
    }

    /// Another version of an entry.
    fn next_version(
        &self,
        current: &StoredEntry,
        dn: &str,
        csn: Csn,
        user: &[u8],
        operational: &[u8],
    ) -> Arc<StoredEntry> {
        Arc::new(StoredEntry::compose(&EntryParts {
            dn,
            uuid: current.uuid(),
            etag_state: current.etag_state() ^ self.etag(current.uuid(), csn),
            add_csn: current.add_csn(),
            last_csn: csn.to_bytes(),
            user,
            operational,
        }))
    }

    /// Encodes a record into the group; `payload` is what replication ships, `local` what stays here.
    fn push(&mut self, record: &Pushed<'_>) -> Result<(Csn, u64, Image), ChangeError> {
        let envelope = ChangeRecord {
            origin: self.csns.origin(),
            oseq: self.oseq,
            csn: record.csn,
            tag: 0,
            uuid: Some(record.uuid.0),
            add_csn: Some(Csn::from_bytes(record.add_csn)),
            parent: record.parent_uuid,
            txid: None,
            op: record.op,
            payload: record.payload,
            ext: None,
        };
        let kind = 1 + match record.op {
            Op::Add => 0,
            Op::Modify => 1,
            Op::Delete => 2,
            Op::Rename => 3,
            Op::Mark => 4,
            Op::Advance => 5,
        };
        let pieces = match record.after {
            Some(entry) if record.op == Op::Modify => pieces::find(record.payload, entry),
            _ => Pieces::new(),
        };
        let mut image = Image::Gone;
        self.group.stamp(record.csn);
        let pushed = self.group.push(
            kind,
            self.sequence,
            |out| {
                let start = out.len();
                let payload = envelope.encode(out);
                (octets(payload), octets(out.len() - start))
            },
            |out, &(payload, length)| {
                image = match (record.op, record.after, pieces::start(&pieces)) {
                    (_, None, _) => Image::Gone,
                    (Op::Add, Some(entry), _) => Image::Envelope(payload, octets(entry.as_bytes().len())),
                    (_, Some(_), Some(start)) => {
                        let behind = length - (payload + start);
                        Image::Pieces(payload + start, behind + record::LENGTH + pieces::length(&pieces))
                    }
                    (_, Some(entry), None) => Image::Local(octets(entry.as_bytes().len())),
                };
                let part =
                    LocalPart { image, id: record.id, parent: record.parent, previous: Place::default() };
                part.encode(out);
                match (image, record.after) {
                    (Image::Local(_), Some(entry)) => out.put_slice(entry.as_bytes()),
                    (Image::Pieces(..), Some(entry)) => pieces::put(&pieces, entry.as_bytes(), out),
                    _ => {}
                }
            },
        );
        match pushed {
            Ok(_) => {}
            Err(LogError::TooLarge { length, limit }) => {
                return Err(refused(
                    ResultCode::ADMIN_LIMIT_EXCEEDED,
                    format!("the change takes {length} octets, the store keeps {limit} at the most"),
                ));
            }
            Err(error) => return Err(ChangeError::Store(store_error(&error))),
        }
        let sequence = self.sequence;
        self.sequence += 1;
        self.oseq += 1;
        Ok((record.csn, sequence, image))
    }

    fn next_csn(&mut self) -> Csn {
        self.csns.next(self.clock.wall_ms())
    }

    fn performed(&mut self, mut effect: Effect) -> Outcome {
        effect.oseq = self.oseq - 1;
        self.effects.push(effect);
        Ok(Performed::Effect(self.effects.len() - 1))
    }

    fn add(
        &mut self,
        target: NormalizedDn,
        new: &NewEntry,
        check: Option<ParentCheck>,
        is_trial: bool,
    ) -> Outcome {
        let Some((parent, parent_uuid)) = self.parent_of(target.as_bytes())? else {
            return Err(self.no_such_object(target.as_bytes(), "the parent entry does not exist"));
        };
        let rdn = if parent == EntryId::ROOT { target.as_bytes() } else { target.rdn_key() };
        if self.child(parent, rdn)?.is_some() {
            return Err(refused(ResultCode::ENTRY_ALREADY_EXISTS, "an entry of this name exists".to_owned()));
        }
        if let Some(mut check) = check {
            let above = if parent == EntryId::ROOT { None } else { self.entry(parent)? };
            guarded(|| check(above.as_ref()))?;
        }
        let csn = if is_trial { Csn::ZERO } else { self.next_csn() };
        let after = Arc::new(StoredEntry::compose(&EntryParts {
            dn: &new.dn,
            uuid: new.uuid,
            etag_state: self.etag(new.uuid, csn),
            add_csn: csn.to_bytes(),
            last_csn: csn.to_bytes(),
            user: &new.user,
            operational: &new.operational,
        }));
        if is_trial {
            return Ok(nothing(target, None, Some(after)));
        }
        let id = EntryId(self.next_id);
        let (csn, sequence, image) = self.push(&Pushed {
            op: Op::Add,
            csn,
            id,
            uuid: new.uuid,
            add_csn: csn.to_bytes(),
            parent,
            parent_uuid,
            payload: after.as_bytes(),
            after: Some(&after),
        })?;
        self.next_id += 1;
        let name = name_key(parent, rdn);
        self.overlay.set_name(&name, Some(id), self.number);
        let pending = self.overlay.change(id, self.number, || Pending::new(parent, 0));
        pending.entry = Some(Arc::clone(&after));
        let counts = self.count(parent, 1)?.into_iter().collect();
        self.performed(Effect {
            id,
            image,
            parent,
            children: 0,
            before: None,
            after: Some(after),
            old_name: None,
            new_name: Some(name),
            counts,
            key: target,
            new_key: None,
            csn,
            oseq: 0,
            sequence,
        })
    }

    /// Changes a parent's number of children.
    fn count(&mut self, parent: EntryId, by: i64) -> Result<Option<(EntryId, u64)>, StoreError> {
        if parent == EntryId::ROOT {
            return Ok(None);
        }
        let pending = self.change(parent)?;
        pending.children = pending.children.saturating_add_signed(by);
        Ok(Some((parent, pending.children)))
    }
}

/// A record to be written.
struct Pushed<'a> {
    op: Op,
    csn: Csn,
    id: EntryId,
    uuid: EntryUuid,
    add_csn: [u8; 12],
    parent: EntryId,
    parent_uuid: Option<[u8; 16]>,
    payload: &'a [u8],
    after: Option<&'a StoredEntry>,
}

fn octets(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn nothing(
    key: NormalizedDn,
    before: Option<Arc<StoredEntry>>,
    after: Option<Arc<StoredEntry>>,
) -> Performed {
    Performed::Nothing(Box::new(Committed { before, after, key, new_key: None, csn: [0; 12], sequence: 0 }))
}
