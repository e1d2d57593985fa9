//! INTERIM: entries in a map, nothing on disk; stands in until the backend lands.
#![allow(missing_docs, dead_code, unreachable_pub)]
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::*;
use crate::entry::{EntryParts, EntryUuid, StoredEntry};
use crate::protocol::message::Scope;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

#[derive(Default)]
struct State {
    map: BTreeMap<NormalizedDn, Arc<StoredEntry>>,
    sequence: u64,
    listeners: Vec<(u64, Arc<dyn ChangeListener>)>,
}

pub(super) struct Interim {
    state: Mutex<State>,
    suffixes: Vec<(String, NormalizedDn)>,
}

impl Interim {
    pub(super) fn new(suffixes: Vec<(String, NormalizedDn)>) -> Arc<Self> {
        static ONE: std::sync::OnceLock<Arc<Interim>> = std::sync::OnceLock::new();
        Arc::clone(ONE.get_or_init(|| Arc::new(Self { state: Mutex::default(), suffixes })))
    }
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn direct_child(parent: &NormalizedDn, key: &NormalizedDn) -> bool {
    key.parent().as_ref() == Some(parent)
}

struct List(std::vec::IntoIter<Candidate>);
impl Candidates for List {
    fn next(&mut self, budget: usize, out: &mut Vec<Candidate>) -> Result<bool, StoreError> {
        out.extend(self.0.by_ref().take(budget));
        Ok(self.0.len() > 0)
    }
}

fn run(
    state: &mut State,
    suffixes: &[(String, NormalizedDn)],
    target: &NormalizedDn,
    kind: ChangeKind,
    trial: bool,
) -> Result<Vec<Committed>, LdapResult> {
    let missing = || LdapResult::new(ResultCode::NO_SUCH_OBJECT, "there is no such entry");
    let csn = |sequence: u64| {
        let mut csn = [0_u8; 12];
        for (to, from) in csn.iter_mut().skip(4).zip(sequence.to_be_bytes()) {
            *to = from;
        }
        csn
    };
    match kind {
        ChangeKind::Trial(inner) => run(state, suffixes, target, *inner, true).map(|_| vec![]),
        ChangeKind::Add { entry, check } => {
            if state.map.contains_key(target) {
                return Err(LdapResult::new(ResultCode::ENTRY_ALREADY_EXISTS, "the entry exists"));
            }
            let parent = target.parent().and_then(|parent| state.map.get(&parent).cloned());
            let is_suffix = suffixes.iter().any(|(_, key)| key == target);
            if parent.is_none() && !is_suffix {
                return Err(LdapResult::new(ResultCode::NO_SUCH_OBJECT, "the parent entry does not exist"));
            }
            if let Some(mut check) = check {
                check(parent.as_ref())?;
            }
            let sequence = state.sequence + 1;
            let csn = csn(sequence);
            let stored = StoredEntry::compose(&EntryParts {
                dn: &entry.dn,
                uuid: entry.uuid,
                etag_state: sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                add_csn: csn,
                last_csn: csn,
                user: &entry.user,
                operational: &entry.operational,
            });
            let after = Arc::new(stored);
            if trial {
                return Ok(vec![]);
            }
            state.sequence = sequence;
            state.map.insert(target.clone(), after.clone());
            Ok(vec![Committed {
                before: None,
                after: Some(after),
                key: target.clone(),
                new_key: None,
                csn,
                sequence,
            }])
        }
        ChangeKind::Modify(mut edit) => {
            let before = state.map.get(target).cloned().ok_or_else(missing)?;
            let Some(verdict) = edit.decide(&before)? else {
                return Ok(vec![Committed {
                    before: Some(before.clone()),
                    after: Some(before),
                    key: target.clone(),
                    new_key: None,
                    csn: [0; 12],
                    sequence: 0,
                }]);
            };
            if trial {
                return Ok(vec![]);
            }
            let sequence = state.sequence + 1;
            let csn = csn(sequence);
            let stored = StoredEntry::compose(&EntryParts {
                dn: before.dn(),
                uuid: before.uuid(),
                etag_state: before.etag_state() ^ sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                add_csn: before.add_csn(),
                last_csn: csn,
                user: &verdict.user,
                operational: &verdict.operational,
            });
            let after = Arc::new(stored);
            state.sequence = sequence;
            state.map.insert(target.clone(), after.clone());
            Ok(vec![Committed {
                before: Some(before),
                after: Some(after),
                key: target.clone(),
                new_key: None,
                csn,
                sequence,
            }])
        }
        ChangeKind::Delete { mut check, subtree } => {
            let before = state.map.get(target).cloned().ok_or_else(missing)?;
            check(&before)?;
            let below: Vec<_> = state
                .map
                .range(target.clone()..)
                .take_while(|(key, _)| target.covers(key))
                .filter(|(key, _)| *key != target)
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect();
            if !below.is_empty() && !subtree {
                return Err(LdapResult::new(ResultCode::NOT_ALLOWED_ON_NON_LEAF, "the entry has children"));
            }
            for (_, entry) in &below {
                check(entry)?;
            }
            if trial {
                return Ok(vec![]);
            }
            let mut done = Vec::new();
            for (key, entry) in below.into_iter().rev().chain([(target.clone(), before)]) {
                state.sequence += 1;
                state.map.remove(&key);
                done.push(Committed {
                    before: Some(entry),
                    after: None,
                    key,
                    new_key: None,
                    csn: csn(state.sequence),
                    sequence: state.sequence,
                });
            }
            Ok(done)
        }
        ChangeKind::Rename { new_dn, new_key, mut edit } => {
            let before = state.map.get(target).cloned().ok_or_else(missing)?;
            if let Some(parent) = new_key.parent()
                && !state.map.contains_key(&parent)
            {
                return Err(LdapResult::new(ResultCode::NO_SUCH_OBJECT, "the new superior does not exist"));
            }
            if new_key != *target && state.map.contains_key(&new_key) {
                return Err(LdapResult::new(ResultCode::ENTRY_ALREADY_EXISTS, "the new name is taken"));
            }
            let Some(verdict) = edit.decide(&before)? else { return Ok(vec![]) };
            if trial {
                return Ok(vec![]);
            }
            let sequence = state.sequence + 1;
            let csn = csn(sequence);
            let after = Arc::new(StoredEntry::compose(&EntryParts {
                dn: &new_dn,
                uuid: before.uuid(),
                etag_state: before.etag_state() ^ sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                add_csn: before.add_csn(),
                last_csn: csn,
                user: &verdict.user,
                operational: &verdict.operational,
            }));
            state.sequence = sequence;
            state.map.remove(target);
            state.map.insert(new_key.clone(), after.clone());
            Ok(vec![Committed {
                before: Some(before),
                after: Some(after),
                key: target.clone(),
                new_key: Some(new_key),
                csn,
                sequence,
            }])
        }
    }
}

impl TokenStore for Interim {
    fn suffixes(&self) -> Vec<(String, NormalizedDn)> {
        self.suffixes.clone()
    }
    fn get(&self, dn: &NormalizedDn) -> Result<Option<Arc<StoredEntry>>, StoreError> {
        Ok(self.state().map.get(dn).cloned())
    }
    fn deepest(&self, dn: &NormalizedDn) -> String {
        let state = self.state();
        let mut at = Some(dn.clone());
        while let Some(key) = at {
            if let Some(entry) = state.map.get(&key) {
                return entry.dn().to_owned();
            }
            at = key.parent();
        }
        String::new()
    }
    fn children(&self, dn: &NormalizedDn) -> u64 {
        self.state().map.keys().filter(|key| direct_child(dn, key)).count() as u64
    }
    fn entries(&self) -> u64 {
        self.state().map.len() as u64
    }
    fn plan(&self, _query: &Query) -> PlanReport {
        PlanReport { indexed: true, unindexed_part: None, explanation: "interim".into() }
    }
    fn open(
        &self,
        query: &Query,
        resume: Option<&Resume>,
    ) -> Result<Option<Box<dyn Candidates>>, StoreError> {
        let state = self.state();
        let all: Vec<_> = state
            .map
            .range(query.base.clone()..)
            .take_while(|(key, _)| query.base.covers(key))
            .filter(|(key, _)| match query.scope {
                Scope::Base => **key == query.base,
                Scope::One => direct_child(&query.base, key),
                Scope::Subtree => true,
                Scope::Subordinate => **key != query.base,
            })
            .filter(|(key, _)| resume.is_none_or(|resume| key.as_bytes() > &resume.0[..]))
            .map(|(key, entry)| Candidate {
                entry: entry.clone(),
                resume: Resume(bytes::Bytes::copy_from_slice(key.as_bytes())),
            })
            .collect();
        Ok(Some(Box::new(List(all.into_iter()))))
    }
    fn submit(&self, change: Change) {
        let mut state = self.state();
        let Change { target, kind, done } = change;
        match run(&mut state, &self.suffixes, &target, kind, false) {
            Ok(changes) => {
                let listeners: Vec<_> = state.listeners.iter().map(|(_, l)| l.clone()).collect();
                for listener in &listeners {
                    listener.applied(&changes);
                }
                for change in &changes {
                    if change.sequence > 0 {
                        for listener in &listeners {
                            listener.notify(change);
                        }
                    }
                }
                drop(state);
                let last = changes.into_iter().last().unwrap_or(Committed {
                    before: None,
                    after: None,
                    key: target,
                    new_key: None,
                    csn: [0; 12],
                    sequence: 0,
                });
                done(Ok(last));
            }
            Err(refused) => {
                drop(state);
                done(Err(ChangeError::Refused(refused)))
            }
        }
    }
    fn subscribe(&self, listener: Arc<dyn ChangeListener>) -> Subscription {
        self.state().listeners.push((0, listener));
        Subscription::new(|| ())
    }
    fn last_sequence(&self) -> u64 {
        self.state().sequence
    }
    fn set_indexes(&self, _indexes: Vec<IndexConfig>) {}
    fn index_states(&self) -> Vec<(String, String)> {
        vec![]
    }
}

#[allow(dead_code)]
fn unused(_: EntryUuid) {}
