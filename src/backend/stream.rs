//! Candidates: a plan carried out piece by piece, holding nothing between pieces but a position.
//!
//! A resume point is: format version, number of choices, choices (`plan`), then for index plans the branch's number
//! (2 octets) and the last index key; for scans the way to the last entry: for each level the parent's id (8 octets),
//! the octets of the RDN key (2) and the RDN key.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::StoreError;
use super::index::key::{after, split};
use super::index::{IndexSet, Keys};
use super::index_store::{EntryId, Slot, Visit};
use super::memory::IdHasher;
use super::plan::{Branch, Driver, KeyRange, Plan};
use super::store::{Candidate, Candidates, Query, Reach, Resume};
use super::view::{Beside, View, name_key, position};
use crate::entry::{Node, StoredEntry, Tri};
use crate::protocol::message::Scope;

const VERSION: u8 = 1;
/// Index entries taken from a tree at once.
const CHUNK: usize = 128;
/// Entries of a range that a search remembers to have given; beyond, one that changes while it is searched for may come
/// twice.
const MAX_GIVEN: usize = 1 << 20;

/// Where the walk stands.
#[derive(Debug, Clone)]
enum Position {
    Index {
        branch: usize,
        after: Option<Vec<u8>>,
    },
    /// For each level the parent and the last RDN key taken; none before the base itself.
    Walk(Option<Vec<(EntryId, Vec<u8>)>>),
}

pub(crate) struct Stream {
    view: Arc<View>,
    base: Option<(EntryId, Slot)>,
    scope: Scope,
    plan: Plan,
    /// The indexes as they were when the search began: their keys say at which of its places an entry is given.
    indexes: Arc<IndexSet>,
    position: Position,
    /// Index entries taken from the tree and not looked at yet.
    ahead: VecDeque<Vec<u8>>,
    keys: Keys,
    /// What the view showed when the search began.
    mark: u64,
    /// Entries given at a place of theirs among several.
    given: HashSet<u64, BuildHasherDefault<IdHasher>>,
    is_done: bool,
    /// It is to end before an entry that is not in memory; and it did.
    stays_at_hand: bool,
    is_cold: bool,
}

impl Stream {
    /// Opens a query; none for a resume point that is not of this query, or whose index is gone.
    pub(crate) fn open(
        view: &Arc<View>,
        query: &Query,
        resume: Option<&Resume>,
    ) -> Result<Option<Self>, StoreError> {
        let given = match resume {
            None => None,
            Some(resume) => match decode(&resume.0) {
                Some(given) => Some(given),
                None => return Ok(None),
            },
        };
        let choices = given.as_ref().map(|(choices, _)| *choices);
        let Some(plan) = Plan::of(view, query, choices)? else { return Ok(None) };
        let position = match (given, &plan.driver) {
            (None, Driver::Indexes(_)) => Position::Index { branch: 0, after: None },
            (None, _) => Position::Walk(None),
            (Some((_, rest)), Driver::Indexes(branches)) => match index_position(rest, branches) {
                Some(position) => position,
                None => return Ok(None),
            },
            (Some((_, rest)), _) => match walk_position(rest) {
                Some(position) => position,
                None => return Ok(None),
            },
        };
        let base = match view.find(query.base.as_bytes())? {
            Some(id) => view.store.slot(id)?.map(|slot| (id, slot)),
            None => None,
        };
        let mark = view.mark();
        Ok(Some(Self {
            mark,
            given: HashSet::default(),
            indexes: view.indexes.load_full(),
            is_done: base.is_none(),
            stays_at_hand: false,
            is_cold: false,
            view: Arc::clone(view),
            base,
            scope: query.scope,
            plan,
            position,
            ahead: VecDeque::new(),
            keys: Keys::default(),
        }))
    }

    fn resume(&self, position: &Position) -> Resume {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(VERSION);
        out.put_u8(u8::try_from(self.plan.choices.len()).unwrap_or(u8::MAX));
        out.put_slice(&self.plan.choices);
        match position {
            Position::Index { branch, after } => {
                out.put_u16(u16::try_from(*branch).unwrap_or(u16::MAX));
                out.put_slice(after.as_deref().unwrap_or_default());
            }
            Position::Walk(levels) => {
                for (parent, rdn) in levels.iter().flatten() {
                    out.put_u64(parent.0);
                    out.put_u16(u16::try_from(rdn.len()).unwrap_or(u16::MAX));
                    out.put_slice(rdn);
                }
            }
        }
        Resume(out.freeze())
    }

    fn is_in_scope(&self, id: EntryId, parent: EntryId) -> Result<bool, StoreError> {
        let Some((base, _)) = self.base else { return Ok(false) };
        match self.scope {
            Scope::Base => Ok(id == base),
            Scope::One => Ok(parent == base),
            Scope::Subtree => self.view.is_below(id, parent, base),
            Scope::Subordinate => Ok(id != base && self.view.is_below(id, parent, base)?),
        }
    }

    /// The next piece of an index plan.
    fn index_piece(&mut self, budget: &mut usize, out: &mut Vec<Candidate>) -> Result<(), StoreError> {
        let Position::Index { branch: number, after: last } = &self.position else { return Ok(()) };
        let number = *number;
        let Driver::Indexes(branches) = &self.plan.driver else { return Ok(()) };
        let Some(branch) = branches.get(number) else {
            self.is_done = true;
            return Ok(());
        };
        if self.ahead.is_empty() {
            let from = match last {
                Some(last) => {
                    let mut next = last.clone();
                    next.push(0);
                    next
                }
                None => branch.range.from.clone(),
            };
            let wanted = CHUNK.min(*budget);
            let ahead = &mut self.ahead;
            self.view.store.range(
                branch.range.index.tree,
                &from,
                branch.range.to.as_deref(),
                &mut |key, _| {
                    ahead.push_back(key.to_vec());
                    if ahead.len() < wanted { Visit::Continue } else { Visit::Stop }
                },
            )?;
            if self.ahead.is_empty() {
                self.position = Position::Index { branch: number + 1, after: None };
                return Ok(());
            }
        }
        while *budget > 0 {
            let id = self.ahead.front().and_then(|key| split(key)).map(|(_, id)| id);
            if let Some(id) = id
                && self.would_wait(id)?
            {
                return Ok(());
            }
            let Some(key) = self.ahead.pop_front() else { return Ok(()) };
            *budget -= 1;
            let candidate = self.candidate(number, &key)?;
            self.position = Position::Index { branch: number, after: Some(key) };
            if let Some(entry) = candidate {
                out.push(Candidate { entry, resume: self.resume(&self.position) });
            }
        }
        Ok(())
    }

    /// The entry of an index key, if this is the place where the search gives it.
    fn candidate(&mut self, number: usize, key: &[u8]) -> Result<Option<Arc<StoredEntry>>, StoreError> {
        let Driver::Indexes(branches) = &self.plan.driver else { return Ok(None) };
        let Some(branch) = branches.get(number) else { return Ok(None) };
        let Some((_, id)) = split(key) else { return Ok(None) };
        for (tree, start) in &branch.range.checks {
            let mut wanted = start.clone();
            wanted.extend_from_slice(&id.to_bytes());
            if !self.view.store.get(*tree, &wanted, &mut |_| ())? {
                return Ok(None);
            }
        }
        let Some((slot, entry)) = self.view.current(id)? else { return Ok(None) };
        if !self.is_in_scope(id, slot.parent)? {
            return Ok(None);
        }
        if let Some(node) = &branch.node {
            let beside = Beside { slot: &slot, clock: &*self.view.clock };
            let holds = |node: &Node| node.evaluate(&entry, &beside) == Tri::True;
            let earlier = branches.iter().take(number).filter_map(|branch| branch.node.as_ref());
            if !holds(node) || earlier.into_iter().any(holds) {
                return Ok(None);
            }
        }
        if !branch.range.is_exact {
            let is_changed = position(slot.place) > self.mark;
            let is_here = is_here(&self.indexes, &mut self.keys, &branch.range, key, id, &entry, is_changed);
            if !is_here || self.given.contains(&id.0) {
                return Ok(None);
            }
            if self.given.len() < MAX_GIVEN {
                self.given.insert(id.0);
            }
        }
        Ok(Some(entry))
    }

    /// The next piece of a scan.
    fn walk_piece(&mut self, budget: &mut usize, out: &mut Vec<Candidate>) -> Result<(), StoreError> {
        let Some((base, slot)) = self.base else { return Ok(()) };
        let Position::Walk(levels) = &mut self.position else { return Ok(()) };
        let is_deep = matches!(self.plan.driver, Driver::Subtree);
        let Some(levels) = levels else {
            // Before everything: the base itself.
            self.position = Position::Walk(Some(vec![(base, Vec::new())]));
            *budget = budget.saturating_sub(1);
            let wants_base = matches!(self.scope, Scope::Base | Scope::Subtree);
            self.is_done = self.scope == Scope::Base;
            if wants_base {
                if let Ok(entry) = self.view.load(base, slot.place) {
                    out.push(Candidate { entry, resume: self.resume(&self.position) });
                } else if let Some((_, entry)) = self.view.current(base)? {
                    out.push(Candidate { entry, resume: self.resume(&self.position) });
                }
            }
            return Ok(());
        };
        let Some((parent, last)) = levels.last_mut() else {
            self.is_done = true;
            return Ok(());
        };
        let parent = *parent;
        let mut from = name_key(parent, last).to_vec();
        if !last.is_empty() {
            from.push(0);
        }
        let to = after(&parent.to_bytes());
        let wanted = CHUNK.min(*budget);
        let mut found: Vec<(Vec<u8>, EntryId)> = Vec::new();
        self.view.store.range(self.view.names, &from, to.as_deref(), &mut |key, value| {
            if let (Some(rdn), Some(id)) = (key.get(8..), EntryId::from_tail(value)) {
                found.push((rdn.to_vec(), id));
            }
            if found.len() < wanted { Visit::Continue } else { Visit::Stop }
        })?;
        if found.is_empty() {
            levels.pop();
            return Ok(());
        }
        for (rdn, id) in found {
            if self.would_wait(id)? {
                return Ok(());
            }
            *budget = budget.saturating_sub(1);
            let Position::Walk(Some(levels)) = &mut self.position else { return Ok(()) };
            if let Some((_, last)) = levels.last_mut() {
                *last = rdn;
            }
            let Some((slot, entry)) = self.view.current(id)? else { continue };
            let descends = is_deep && slot.children > 0;
            if descends {
                levels.push((id, Vec::new()));
            }
            out.push(Candidate { entry, resume: self.resume(&self.position) });
            if descends {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Whether the search gives the entry at this key: the first of its keys in the range. An entry that changed since the
/// search began may have moved from one side of it to the other, so it is given where it is met.
fn is_here(
    indexes: &IndexSet,
    keys: &mut Keys,
    range: &KeyRange,
    key: &[u8],
    id: EntryId,
    entry: &StoredEntry,
    is_changed: bool,
) -> bool {
    indexes.keys(id, entry, &|index| index.tree == range.index.tree, keys);
    let is_within =
        |key: &[u8]| key >= range.from.as_slice() && range.to.as_deref().is_none_or(|to| key < to);
    let first = keys.iter().map(|(_, key)| key).find(|key| is_within(key));
    first.is_some_and(|first| is_changed || first == key)
}

impl Stream {
    fn go_on(&mut self, budget: usize, out: &mut Vec<Candidate>) -> Result<Reach, StoreError> {
        let mut left = budget.max(1);
        self.is_cold = false;
        while left > 0 && !self.is_done && !self.is_cold {
            match self.position {
                Position::Index { .. } => self.index_piece(&mut left, out)?,
                Position::Walk(_) => self.walk_piece(&mut left, out)?,
            }
        }
        Ok(match (self.is_done, self.is_cold) {
            (true, _) => Reach::End,
            (false, true) => Reach::Cold,
            (false, false) => Reach::More,
        })
    }

    /// Whether the walk has to end before this entry, because the disk would have to be waited for.
    fn would_wait(&mut self, id: EntryId) -> Result<bool, StoreError> {
        if !self.stays_at_hand {
            return Ok(false);
        }
        self.is_cold = match self.view.store.slot(id)? {
            Some(slot) => !self.view.cache.has(id, slot.place),
            None => false,
        };
        Ok(self.is_cold)
    }
}

impl Candidates for Stream {
    fn next(&mut self, budget: usize, out: &mut Vec<Candidate>) -> Result<bool, StoreError> {
        self.stays_at_hand = false;
        self.go_on(budget, out).map(|reach| reach != Reach::End)
    }

    fn next_at_hand(&mut self, budget: usize, out: &mut Vec<Candidate>) -> Result<Reach, StoreError> {
        self.stays_at_hand = self.view.cache.may_lack();
        self.go_on(budget, out)
    }

    fn is_indexed(&self) -> bool {
        self.plan.is_indexed
    }
}

/// The choices and the rest of a resume point.
fn decode(bytes: &Bytes) -> Option<(&[u8], &[u8])> {
    let (&[version, choices], rest) = bytes.split_first_chunk()?;
    if version != VERSION {
        return None;
    }
    rest.split_at_checked(usize::from(choices))
}

fn index_position(rest: &[u8], branches: &[Branch]) -> Option<Position> {
    let (number, key) = rest.split_first_chunk()?;
    let branch = usize::from(u16::from_be_bytes(*number));
    let range = &branches.get(branch)?.range;
    let is_within = key >= range.from.as_slice() && range.to.as_deref().is_none_or(|to| key < to);
    is_within.then(|| Position::Index { branch, after: Some(key.to_vec()) })
}

fn walk_position(mut rest: &[u8]) -> Option<Position> {
    let mut levels = Vec::new();
    while !rest.is_empty() {
        let (id, body) = rest.split_first_chunk()?;
        let (length, body) = body.split_first_chunk()?;
        let (rdn, body) = body.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        levels.push((EntryId(u64::from_be_bytes(*id)), rdn.to_vec()));
        rest = body;
    }
    Some(Position::Walk(Some(levels)))
}
