//! From a filter to what drives the search: an index range, a union of them, or the entries themselves.
//!
//! Of an And the cheapest part drives; parts with one exact key are looked up beside it, the rest is tested on the
//! entry. An Or is served if all its parts are. Not, absolute true and unindexed attributes are served by nothing.

use std::sync::Arc;

use smallvec::SmallVec;

use super::StoreError;
use super::index::key::{Form, after};
use super::index::{Holds, Index, IndexSet, is_indexable};
use super::index_store::{EntryId, Estimate, TreeId, Visit};
use super::store::Query;
use super::view::View;
use crate::entry::{Key, Node, Test, TestKind, TestScope};
use crate::protocol::message::Scope;
use crate::schema::NormalizedDn;

/// Keys that an estimate counts at the most.
pub(super) const ESTIMATE_BOUND: u64 = 4096;
/// Keys above which looking up other indexes beside the driver is worth it.
const CHECKS_FROM: u64 = 8;

/// Keys of an index above which the size of the scope is looked at.
const SCAN_FROM: u64 = 64;
/// Children of a base entry that count as served without an index, for one-level searches.
const SMALL_BASE: u64 = 4000;
/// Entries of a subtree that are counted to find out whether it is small.
const SMALL_SUBTREE: u64 = 256;

/// A range of index keys that drives a search, or a part of it.
#[derive(Debug, Clone)]
pub(crate) struct KeyRange {
    pub(crate) index: Arc<Index>,
    pub(crate) from: Vec<u8>,
    pub(crate) to: Option<Vec<u8>>,
    /// All keys have one compare key: an entry occurs once.
    pub(crate) is_exact: bool,
    /// Other indexes that must have the entry under this key.
    pub(crate) checks: Vec<(TreeId, Vec<u8>)>,
    pub(crate) keys: Estimate,
}

/// One branch of a search: its range, and, if there are other branches, what is true of just the entries that this
/// one is to give.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) range: KeyRange,
    pub(crate) node: Option<Node>,
}

/// A branch while it is planned: the test it comes from, which of its keys, and the Ands around it.
pub(super) struct Part<'n> {
    range: KeyRange,
    test: &'n Node,
    key: Option<usize>,
    wholes: SmallVec<[&'n Node; 2]>,
}

impl Part<'_> {
    fn node(&self) -> Node {
        let mut leaf = self.test.clone();
        if let (Some(number), Node::Test(test)) = (self.key, &mut leaf)
            && let TestKind::Equal { keys, .. } = &mut test.kind
        {
            *keys = keys.drain(..).skip(number).take(1).collect();
        }
        Node::And(std::iter::once(leaf).chain(self.wholes.iter().map(|&whole| whole.clone())).collect())
    }
}

/// What drives a search.
#[derive(Debug, Clone)]
pub(crate) enum Driver {
    /// The base entry.
    Base,
    /// Index ranges, one after the other; none if the filter cannot be true.
    Indexes(Vec<Branch>),
    /// The base's children.
    Children,
    /// Everything below the base.
    Subtree,
}

/// A driver, and the decisions that led to it: with them, the same filter gives the same driver again.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) driver: Driver,
    pub(crate) choices: Vec<u8>,
    /// Whether an index serves, or so few entries are to be looked at that none is needed.
    pub(crate) is_indexed: bool,
}

pub(super) struct Planner<'a> {
    pub(super) view: &'a View,
    pub(super) indexes: &'a IndexSet,
    /// Which part of each And drove before; empty when planning anew.
    pub(super) given: Option<std::slice::Iter<'a, u8>>,
    pub(super) choices: Vec<u8>,
}

/// What serves a node, and how many keys that means.
pub(super) struct Served<'n> {
    parts: Vec<Part<'n>>,
    keys: u64,
    /// Among equals the smaller is taken.
    rank: u8,
}

impl Plan {
    /// Plans a query. With the choices of an earlier plan it decides the same again; none if that cannot be done any
    /// more, because an index is gone.
    pub(crate) fn of(view: &View, query: &Query, choices: Option<&[u8]>) -> Result<Option<Self>, StoreError> {
        if query.scope == Scope::Base {
            return Ok(Some(Self { driver: Driver::Base, choices: Vec::new(), is_indexed: true }));
        }
        let indexes = view.indexes.load_full();
        let mut planner = Planner {
            view,
            indexes: &indexes,
            given: choices.and_then(|choices| choices.get(1..)).map(<[u8]>::iter),
            choices: Vec::new(),
        };
        let served = planner.node(&query.filter.root)?;
        // A scan stays a scan: an index that became ready between two pages must not change the order.
        let scans = choices.is_some_and(<[u8]>::is_empty);
        let choices_made = planner.choices;
        let children = |most: u64| view.children_of(&query.base, query.scope, most);
        let (is_served, keys) = served.as_ref().map_or((false, 0), |served| (true, served.keys));
        // A small container is looked through sooner than an index that has much of what is elsewhere.
        let is_narrow = || keys > SCAN_FROM && children(keys / 4).is_some();
        let scans = scans || (choices.is_none() && is_served && is_narrow());
        let driver = match served {
            Some(served) if !scans => {
                let several = served.parts.len() > 1;
                let branch =
                    |part: Part<'_>| Branch { node: several.then(|| part.node()), range: part.range };
                Driver::Indexes(served.parts.into_iter().map(branch).collect())
            }
            _ if choices.is_some_and(|choices| !choices.is_empty()) => return Ok(None),
            _ if query.scope == Scope::One => {
                let is_indexed = is_served || children(SMALL_BASE).is_some();
                return Ok(Some(Self { driver: Driver::Children, choices: Vec::new(), is_indexed }));
            }
            _ => {
                let choices = Vec::new();
                return Ok(Some(Self { driver: Driver::Subtree, choices, is_indexed: is_served }));
            }
        };
        // Never empty for an index plan: emptiness stands for a scan.
        let mut all = vec![u8::MAX];
        all.extend(choices_made);
        Ok(Some(Self { driver, choices: all, is_indexed: true }))
    }
}

impl View {
    /// How many entries a scope has below its base, if they are no more than `most`. Of a subtree only so many are counted
    /// that it stays cheap.
    fn children_of(&self, base: &NormalizedDn, scope: Scope, most: u64) -> Option<u64> {
        let id = self.find(base.as_bytes()).ok()??;
        let children = self.store.slot(id).ok()??.children;
        if scope == Scope::One || children == 0 || children > most.min(SMALL_SUBTREE) {
            return (children <= most && (scope == Scope::One || children == 0)).then_some(children);
        }
        let most = most.min(SMALL_SUBTREE);
        let (mut count, mut parents) = (children, vec![id]);
        while let Some(parent) = parents.pop() {
            let from = parent.to_bytes();
            let to = after(&from);
            let mut ids = Vec::new();
            let visit = &mut |_: &[u8], value: &[u8]| {
                ids.extend(EntryId::from_tail(value));
                if ids.len() as u64 > most { Visit::Stop } else { Visit::Continue }
            };
            self.store.range(self.names, &from, to.as_deref(), visit).ok()?;
            for id in ids {
                let children = self.store.slot(id).ok()?.map_or(0, |slot| slot.children);
                count += children;
                if count > most {
                    return None;
                }
                if children > 0 {
                    parents.push(id);
                }
            }
        }
        Some(count)
    }
}

impl Planner<'_> {
    pub(super) fn node<'n>(&mut self, node: &'n Node) -> Result<Option<Served<'n>>, StoreError> {
        match node {
            Node::Undefined(_) => Ok(Some(Served::NOTHING)),
            Node::Not(inner) if matches!(**inner, Node::Undefined(_)) => Ok(Some(Served::NOTHING)),
            Node::Not(_) => Ok(None),
            Node::And(nodes) => self.and(node, nodes),
            Node::Or(nodes) => self.or(nodes),
            Node::Test(test) => Ok(self.test(test)?.map(|ranges| Served::of(ranges, node, rank(test)))),
        }
    }

    fn or<'n>(&mut self, nodes: &'n [Node]) -> Result<Option<Served<'n>>, StoreError> {
        let mut all = Served::NOTHING;
        for node in nodes {
            let Some(served) = self.node(node)? else { return Ok(None) };
            all.parts.extend(served.parts);
            all.keys += served.keys;
            all.rank = all.rank.max(served.rank);
        }
        Ok(Some(all))
    }

    fn and<'n>(&mut self, whole: &'n Node, nodes: &'n [Node]) -> Result<Option<Served<'n>>, StoreError> {
        if let Some(given) = &mut self.given {
            let Some(&choice) = given.next() else { return Ok(None) };
            self.choices.push(choice);
            if choice == NOTHING_CHOICE {
                return Ok(Some(Served::NOTHING));
            }
            let Some(node) = nodes.get(usize::from(choice)) else { return Ok(None) };
            let Some(served) = self.node(node)? else { return Ok(None) };
            return self.refined(served, whole, nodes, usize::from(choice)).map(Some);
        }
        let at = self.choices.len();
        self.choices.push(0);
        let mut best: Option<(usize, Served<'n>, Vec<u8>)> = None;
        // What nearly every entry has is looked at last, and not at all once few keys are left: counting what it has costs
        // more than the search.
        let numbered = || nodes.iter().enumerate().take(usize::from(NOTHING_CHOICE));
        let is_common = |node: &Node| matches!(node, Node::Test(test) if rank(test) == RANK_OBJECT_CLASS);
        let rare = numbered().filter(|(_, node)| !is_common(node));
        for (number, node) in rare.chain(numbered().filter(|(_, node)| is_common(node))) {
            if best.as_ref().is_some_and(|(_, best, _)| best.keys <= CHECKS_FROM) {
                break;
            }
            let before = self.choices.len();
            let served = self.node(node)?;
            let made = self.choices.split_off(before);
            let Some(served) = served else { continue };
            if served.parts.is_empty() {
                if let Some(choice) = self.choices.get_mut(at) {
                    *choice = NOTHING_CHOICE;
                }
                return Ok(Some(Served::NOTHING));
            }
            let is_better =
                best.as_ref().is_none_or(|(_, best, _)| (served.keys, served.rank) < (best.keys, best.rank));
            if is_better {
                best = Some((number, served, made));
            }
        }
        let Some((number, served, made)) = best else { return Ok(None) };
        if let Some(choice) = self.choices.get_mut(at) {
            *choice = u8::try_from(number).unwrap_or(0);
        }
        self.choices.extend(made);
        self.refined(served, whole, nodes, number).map(Some)
    }

    /// Narrows what drives an And by its other parts.
    fn refined<'n>(
        &self,
        mut served: Served<'n>,
        whole: &'n Node,
        nodes: &'n [Node],
        driving: usize,
    ) -> Result<Served<'n>, StoreError> {
        let others =
            || nodes.iter().enumerate().filter(|(number, _)| *number != driving).map(|(_, node)| node);
        for branch in &mut served.parts {
            branch.wholes.push(whole);
            let mut is_narrowed = false;
            for other in others() {
                let Node::Test(test) = other else { continue };
                is_narrowed |= self.narrow(&mut branch.range, test);
            }
            if is_narrowed {
                let (from, to) = (&branch.range.from, branch.range.to.as_deref());
                branch.range.keys =
                    self.view.store.estimate(branch.range.index.tree, from, to, ESTIMATE_BOUND)?;
            }
            if branch.range.keys.keys <= CHECKS_FROM {
                continue;
            }
            for other in others() {
                let Node::Test(test) = other else { continue };
                // An index that has nearly everything would only cost.
                if rank(test) == RANK_OBJECT_CLASS {
                    continue;
                }
                if let Some((tree, key)) = self.exact(test)
                    && tree != branch.range.index.tree
                {
                    branch.range.checks.push((tree, key));
                }
            }
        }
        served.keys = served.parts.iter().map(|part| part.range.keys.keys).sum();
        Ok(served)
    }

    /// Cuts a range by another bound on the same single-valued attribute.
    fn narrow(&self, range: &mut KeyRange, test: &Test) -> bool {
        let TestScope::Named(target) = &test.scope else { return false };
        if range.is_exact
            || !target.attribute.single_value
            || target.attribute.name() != range.index.attribute
        {
            return false;
        }
        match &test.kind {
            TestKind::GreaterOrEqual { rule, key } if range.index.has_keys_of(*rule) => {
                range.from = std::mem::take(&mut range.from).max(range.index.form().lower(key));
            }
            TestKind::LessOrEqual { rule, key } if range.index.has_keys_of(*rule) => {
                let to = range.index.form().upper(key);
                range.to = match (range.to.take(), to) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            _ => return false,
        }
        true
    }

    /// The tree and key that an equality test with one key stands for.
    fn exact(&self, test: &Test) -> Option<(TreeId, Vec<u8>)> {
        let TestScope::Named(target) = &test.scope else { return None };
        let TestKind::Equal { rule, keys } = &test.kind else { return None };
        let [key] = keys.as_slice() else { return None };
        if test.dn_attributes {
            return None;
        }
        let index = self.ready(target.attribute.name(), |index| index.has_keys_of(*rule))?;
        Some((index.tree, index.form().key_of(key)))
    }

    fn ready(&self, attribute: &str, fits: impl Fn(&Index) -> bool) -> Option<&Arc<Index>> {
        self.indexes.of(attribute).find(|index| index.progress.is_ready() && fits(index))
    }

    /// The ranges that have everything a test is true of; none if no index has.
    fn test(&self, test: &Test) -> Result<Option<Vec<KeyRange>>, StoreError> {
        let TestScope::Named(target) = &test.scope else { return Ok(None) };
        if test.dn_attributes || target.made.is_some_and(|which| !is_indexable(which)) {
            return Ok(None);
        }
        let attribute = target.attribute.name();
        let values = |rule| self.ready(attribute, move |index| index.has_keys_of(rule));
        match &test.kind {
            TestKind::Present => {
                let Some(index) = self.ready(attribute, |index| index.holds == Holds::Presence) else {
                    return Ok(None);
                };
                self.exact_range(index, &[]).map(|range| Some(vec![range]))
            }
            TestKind::Equal { rule, keys } => {
                let Some(index) = values(*rule) else { return Ok(None) };
                keys.iter().map(|key| self.exact_range(index, key)).collect::<Result<_, _>>().map(Some)
            }
            TestKind::GreaterOrEqual { rule, key } => values(*rule)
                .map(|index| self.range(index, index.form().lower(key), None))
                .transpose()
                .map(one),
            TestKind::LessOrEqual { rule, key } | TestKind::Less { rule, key } => values(*rule)
                .map(|index| self.range(index, Vec::new(), index.form().upper(key)))
                .transpose()
                .map(one),
            TestKind::Substrings { parts, .. } => {
                let prefix = parts.raw_initial.as_deref().and_then(|initial| self.prefix(attribute, initial));
                if let Some((index, from, to)) = prefix {
                    return self.range(index, from, to).map(|range| Some(vec![range]));
                }
                self.substrings(attribute, parts)
            }
            TestKind::Relative { .. } => Ok(None),
        }
    }

    fn range(&self, index: &Arc<Index>, from: Vec<u8>, to: Option<Vec<u8>>) -> Result<KeyRange, StoreError> {
        let keys = self.view.store.estimate(index.tree, &from, to.as_deref(), ESTIMATE_BOUND)?;
        Ok(KeyRange { index: Arc::clone(index), from, to, is_exact: false, checks: Vec::new(), keys })
    }

    fn exact_range(&self, index: &Arc<Index>, key: &[u8]) -> Result<KeyRange, StoreError> {
        let from = index.form().key_of(key);
        let to = after(&from);
        Ok(KeyRange { is_exact: true, ..self.range(index, from, to)? })
    }

    /// The range of an equality tree that has the values starting so.
    fn prefix(&self, attribute: &str, initial: &[u8]) -> Option<Bounds<'_>> {
        self.indexes.of(attribute).filter(|index| index.progress.is_ready()).find_map(|index| {
            let mut prefix = Vec::new();
            if !index.rule()?.prefix_key(initial, &mut prefix) {
                return None;
            }
            let from = index.form().lower(&prefix);
            let to = after(&from);
            Some((index, from, to))
        })
    }

    /// The rarest run of octets of a substring assertion; where all parts are shorter than a run, all runs that begin
    /// with the longest part.
    fn substrings(
        &self,
        attribute: &str,
        parts: &crate::entry::Parts,
    ) -> Result<Option<Vec<KeyRange>>, StoreError> {
        let Some(index) = self.ready(attribute, |index| matches!(index.holds, Holds::Substrings(..))) else {
            return Ok(None);
        };
        let Holds::Substrings(_, length) = index.holds else { return Ok(None) };
        let all = || parts.initial.iter().chain(&parts.any).chain(&parts.last).map(Key::as_slice);
        let mut best: Option<KeyRange> = None;
        for run in all().flat_map(|part| part.windows(length)).take(64) {
            let range = self.exact_range(index, run)?;
            if best.as_ref().is_none_or(|best| range.keys.keys < best.keys.keys) {
                best = Some(range);
            }
        }
        if best.is_none() {
            let longest = all().max_by_key(|part| part.len()).filter(|part| !part.is_empty());
            if let Some(part) = longest {
                let from = Form::Whole.lower(part);
                let to = after(&from);
                best = Some(self.range(index, from, to)?);
            }
        }
        Ok(best.map(|range| vec![range]))
    }
}

/// An index, and where a range of its keys begins and ends.
type Bounds<'a> = (&'a Arc<Index>, Vec<u8>, Option<Vec<u8>>);

/// The decision of an And that cannot be true.
const NOTHING_CHOICE: u8 = 254;

fn one(range: Option<KeyRange>) -> Option<Vec<KeyRange>> {
    range.map(|range| vec![range])
}

const RANK_OBJECT_CLASS: u8 = 4;

fn rank(test: &Test) -> u8 {
    match (&test.kind, &test.scope) {
        (TestKind::Equal { .. }, TestScope::Named(target)) if target.attribute.name() == "objectClass" => {
            RANK_OBJECT_CLASS
        }
        (TestKind::Equal { .. }, _) => 0,
        (TestKind::Substrings { .. }, _) => 2,
        (TestKind::Present, _) => 3,
        _ => 1,
    }
}

impl<'n> Served<'n> {
    const NOTHING: Self = Self { parts: Vec::new(), keys: 0, rank: 0 };

    fn of(ranges: Vec<KeyRange>, test: &'n Node, rank: u8) -> Self {
        let keys = ranges.iter().map(|range| range.keys.keys).sum();
        let several = ranges.len() > 1;
        let parts = ranges.into_iter().enumerate().map(|(number, range)| Part {
            range,
            test,
            key: several.then_some(number),
            wholes: SmallVec::new(),
        });
        Self { parts: parts.collect(), keys, rank }
    }
}
