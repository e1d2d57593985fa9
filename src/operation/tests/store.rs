//! A store in memory that does one change after another, on the thread that hands it in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;

use crate::backend::{
    Candidate, Candidates, Change, ChangeError, ChangeKind, ChangeListener, Committed, IndexConfig,
    PlanReport, Query, Reading, Resume, StoreError, Subscription, TokenStore,
};
use crate::entry::{EntryParts, StoredEntry};
use crate::protocol::message::Scope;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

pub(in crate::operation) struct MemoryStore {
    suffix: (String, NormalizedDn),
    entries: RwLock<BTreeMap<NormalizedDn, Arc<StoredEntry>>>,
    sequence: AtomicU64,
    listeners: Mutex<Vec<Arc<dyn ChangeListener>>>,
    /// Whether searches count as indexed.
    pub(super) is_indexed: AtomicBool,
    /// The store forgets changes instead of making them.
    pub(super) is_forgetful: AtomicBool,
    /// No entry is in memory.
    pub(super) is_cold: AtomicBool,
    /// How often somebody left a read to a thread that may wait.
    pub(super) waits: AtomicU64,
    /// The last changes, to be notified again late.
    pub(super) held: Mutex<Option<Vec<Committed>>>,
}

impl MemoryStore {
    pub(super) fn new(suffix: &str, schema: &Schema) -> Self {
        Self {
            suffix: (suffix.to_owned(), NormalizedDn::parse(suffix, schema).unwrap()),
            entries: RwLock::default(),
            sequence: AtomicU64::new(0),
            listeners: Mutex::default(),
            is_indexed: AtomicBool::new(true),
            is_forgetful: AtomicBool::new(false),
            is_cold: AtomicBool::new(false),
            waits: AtomicU64::new(0),
            held: Mutex::default(),
        }
    }

    fn no_such_object(&self, key: &NormalizedDn) -> LdapResult {
        LdapResult::new(ResultCode::NO_SUCH_OBJECT, "").matched(self.deepest(key))
    }

    /// The change, and what becomes of it in the table.
    fn decide(&self, target: &NormalizedDn, kind: ChangeKind) -> Result<Vec<Committed>, LdapResult> {
        let current = self.entries.read().unwrap().get(target).cloned();
        let committed = |before, after| Committed {
            before,
            after,
            key: target.clone(),
            new_key: None,
            csn: [0; 12],
            sequence: 0,
        };
        match kind {
            ChangeKind::Trial(inner) => self.decide(target, *inner),
            ChangeKind::Add { entry, check } => {
                if current.is_some() {
                    return Err(LdapResult::new(ResultCode::ENTRY_ALREADY_EXISTS, ""));
                }
                let parent =
                    target.parent().and_then(|parent| self.entries.read().unwrap().get(&parent).cloned());
                if parent.is_none() && *target != self.suffix.1 {
                    return Err(self.no_such_object(target));
                }
                if let Some(mut check) = check {
                    check(parent.as_ref())?;
                }
                let after = StoredEntry::compose(&EntryParts {
                    dn: &entry.dn,
                    uuid: entry.uuid,
                    etag_state: 1,
                    add_csn: [1; 12],
                    last_csn: [1; 12],
                    user: &entry.user,
                    operational: &entry.operational,
                });
                Ok(vec![committed(None, Some(Arc::new(after)))])
            }
            ChangeKind::Modify(mut edit) => {
                let current = current.ok_or_else(|| self.no_such_object(target))?;
                let after = match edit.decide(&current)? {
                    None => Arc::clone(&current),
                    Some(verdict) => changed(&current, current.dn(), &verdict),
                };
                Ok(vec![committed(Some(current), Some(after))])
            }
            ChangeKind::Delete { mut check, subtree } => {
                let current = current.ok_or_else(|| self.no_such_object(target))?;
                check(&current)?;
                if self.children(target) == 0 {
                    return Ok(vec![committed(Some(current), None)]);
                }
                if !subtree {
                    return Err(LdapResult::new(ResultCode::NOT_ALLOWED_ON_NON_LEAF, ""));
                }
                let below: Vec<_> = self.entries.read().unwrap().clone().into_iter().collect();
                let mut changes = Vec::new();
                for (key, entry) in below.into_iter().rev().filter(|(key, _)| target.covers(key)) {
                    if key != *target {
                        check(&entry)?;
                    }
                    changes.push(Committed { key, ..committed(Some(entry), None) });
                }
                Ok(changes)
            }
            ChangeKind::Rename { new_dn, new_key, mut edit } => {
                let current = current.ok_or_else(|| self.no_such_object(target))?;
                if new_key != *target && self.entries.read().unwrap().contains_key(&new_key) {
                    return Err(LdapResult::new(ResultCode::ENTRY_ALREADY_EXISTS, ""));
                }
                let verdict = edit.decide(&current)?.unwrap();
                let after = changed(&current, &new_dn, &verdict);
                Ok(vec![Committed { new_key: Some(new_key), ..committed(Some(current), Some(after)) }])
            }
        }
    }

    fn apply(&self, changes: &mut [Committed]) {
        let mut entries = self.entries.write().unwrap();
        for change in changes.iter_mut() {
            if change.before == change.after && change.new_key.is_none() {
                continue;
            }
            change.sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
            if change.new_key.is_some() || change.after.is_none() {
                entries.remove(&change.key);
            }
            if let Some(after) = &change.after {
                entries
                    .insert(change.new_key.clone().unwrap_or_else(|| change.key.clone()), Arc::clone(after));
            }
        }
    }

    /// Lets held notifications go.
    pub(super) fn notify_held(&self) {
        let held = self.held.lock().unwrap().take().unwrap_or_default();
        for change in held {
            self.listeners.lock().unwrap().iter().for_each(|listener| listener.notify(&change));
        }
    }
}

fn changed(current: &StoredEntry, dn: &str, verdict: &crate::backend::Verdict) -> Arc<StoredEntry> {
    Arc::new(StoredEntry::compose(&EntryParts {
        dn,
        uuid: current.uuid(),
        etag_state: current.etag_state().wrapping_mul(31) + 7,
        add_csn: current.add_csn(),
        last_csn: [2; 12],
        user: &verdict.user,
        operational: &verdict.operational,
    }))
}

struct Walk {
    is_indexed: bool,
    left: std::vec::IntoIter<(NormalizedDn, Arc<StoredEntry>)>,
}

impl Candidates for Walk {
    fn next(&mut self, budget: usize, out: &mut Vec<Candidate>) -> Result<bool, StoreError> {
        out.extend(
            self.left.by_ref().take(budget).map(|(key, entry)| Candidate {
                entry,
                resume: Resume(Bytes::copy_from_slice(key.as_bytes())),
            }),
        );
        Ok(!self.left.as_slice().is_empty())
    }

    fn is_indexed(&self) -> bool {
        self.is_indexed
    }
}

impl TokenStore for MemoryStore {
    fn suffixes(&self) -> Vec<(String, NormalizedDn)> {
        vec![self.suffix.clone()]
    }

    fn get(&self, dn: &NormalizedDn) -> Result<Option<Arc<StoredEntry>>, StoreError> {
        Ok(self.entries.read().unwrap().get(dn).cloned())
    }

    fn glance(&self, dn: &NormalizedDn) -> Result<Option<Option<Arc<StoredEntry>>>, StoreError> {
        if self.is_cold.load(Ordering::SeqCst) { Ok(None) } else { self.get(dn).map(Some) }
    }

    fn read_beside(&self, _: Reading, job: Box<dyn FnOnce() + Send>) {
        self.waits.fetch_add(1, Ordering::SeqCst);
        job();
    }

    fn deepest(&self, dn: &NormalizedDn) -> String {
        let entries = self.entries.read().unwrap();
        let mut key = Some(dn.clone());
        while let Some(here) = key {
            if let Some(entry) = entries.get(&here) {
                return entry.dn().to_owned();
            }
            key = here.parent();
        }
        String::new()
    }

    fn children(&self, dn: &NormalizedDn) -> u64 {
        let entries = self.entries.read().unwrap();
        entries.keys().filter(|key| key.parent().is_some_and(|parent| parent == *dn)).count() as u64
    }

    fn entries(&self) -> u64 {
        self.entries.read().unwrap().len() as u64
    }

    fn plan(&self, _: &Query) -> PlanReport {
        let indexed = self.is_indexed.load(Ordering::SeqCst);
        PlanReport {
            indexed,
            unindexed_part: (!indexed).then(|| "(coreTokenString13=*)".to_owned()),
            explanation: "all of it".to_owned(),
        }
    }

    fn open(
        &self,
        query: &Query,
        resume: Option<&Resume>,
    ) -> Result<Option<Box<dyn Candidates>>, StoreError> {
        let entries = self.entries.read().unwrap();
        let in_scope = |key: &NormalizedDn| match query.scope {
            Scope::Base => *key == query.base,
            Scope::One => key.parent().is_some_and(|parent| parent == query.base),
            Scope::Subtree => query.base.covers(key),
            Scope::Subordinate => query.base.covers(key) && *key != query.base,
        };
        let left: Vec<_> = entries
            .iter()
            .filter(|(key, _)| resume.is_none_or(|resume| key.as_bytes() > &*resume.0) && in_scope(key))
            .map(|(key, entry)| (key.clone(), Arc::clone(entry)))
            .collect();
        let is_indexed = self.is_indexed.load(Ordering::SeqCst);
        Ok(Some(Box::new(Walk { is_indexed, left: left.into_iter() })))
    }

    fn submit(&self, change: Change) {
        if self.is_forgetful.load(Ordering::SeqCst) {
            return;
        }
        let is_trial = matches!(change.kind, ChangeKind::Trial(_));
        match self.decide(&change.target, change.kind) {
            Err(refusal) => (change.done)(Err(ChangeError::Refused(refusal))),
            Ok(mut changes) => {
                if !is_trial {
                    self.apply(&mut changes);
                }
                let happened: Vec<_> = changes.iter().filter(|change| change.sequence > 0).cloned().collect();
                let listeners: Vec<_> = self.listeners.lock().unwrap().clone();
                listeners.iter().for_each(|listener| listener.applied(&happened));
                let mut held = self.held.lock().unwrap();
                if let Some(held) = &mut *held {
                    held.extend(happened);
                } else {
                    drop(held);
                    for change in &happened {
                        listeners.iter().for_each(|listener| listener.notify(change));
                    }
                }
                let first = changes.iter().find(|one| one.key == change.target).cloned().unwrap();
                (change.done)(Ok(first));
            }
        }
    }

    fn subscribe(&self, listener: Arc<dyn ChangeListener>) -> Subscription {
        self.listeners.lock().unwrap().push(listener);
        Subscription::new(|| ())
    }

    fn last_sequence(&self) -> u64 {
        self.sequence.load(Ordering::SeqCst)
    }

    fn set_indexes(&self, _: Vec<IndexConfig>) {}

    fn index_states(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
