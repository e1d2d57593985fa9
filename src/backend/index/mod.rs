//! Secondary indexes: which there are, and the keys an entry has in them.
//!
//! One tree serves equality and ordering, because the rules of one family give the same keys; where only equality is asked
//! for, long ones are digests. A key is made by [`key`]; presence has one empty key; substring keys are all runs of some
//! octets of the prepared value.

pub(crate) mod key;
mod progress;

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use self::key::Form;
pub(crate) use self::progress::Progress;
use super::index_store::{EntryId, IndexStore, TreeId};
use super::{IndexConfig, IndexType, StoreError};
use crate::entry::{NoContext, StoredEntry, Virtual, encoded_attributes, virtual_value};
use crate::schema::{MatchingRule, Schema};

/// What an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holds {
    /// The compare keys of a family of rules, in their order.
    Values(MatchingRule),
    /// The same, of which only equality is asked for.
    Digests(MatchingRule),
    /// That the attribute is there.
    Presence,
    /// Runs of so many octets, and shorter ones at the end, of values prepared by a substring rule.
    Substrings(MatchingRule, usize),
}

/// One index.
#[derive(Debug)]
pub(crate) struct Index {
    /// `attribute.equality`, `.presence` or `.substring`; several kinds served by one tree are joined by commas.
    pub(crate) name: String,
    /// Canonical attribute name.
    pub(crate) attribute: String,
    pub(crate) holds: Holds,
    pub(crate) tree: TreeId,
    pub(crate) progress: Arc<Progress>,
    /// It is built to take the place of the index before it that holds the same.
    pub(crate) is_replacement: bool,
}

/// The part of a rule's name that its family shares.
fn family(rule: MatchingRule) -> &'static str {
    let name = rule.name();
    name.strip_suffix("OrderingMatch").or_else(|| name.strip_suffix("Match")).unwrap_or(name)
}

impl Index {
    /// Another one that holds the same, in a tree of its own.
    pub(crate) fn replacement(&self, tree: TreeId) -> Self {
        Self {
            name: self.name.clone(),
            attribute: self.attribute.clone(),
            holds: self.holds,
            tree,
            progress: Arc::default(),
            is_replacement: true,
        }
    }

    /// Whether a name means this index: the attribute's, or `attribute.kind`.
    pub(crate) fn is_called(&self, attribute: &str, kind: Option<&str>) -> bool {
        let kinds = self.name.split_once('.').map(|(_, kinds)| kinds).unwrap_or_default();
        let has = |kind: &str| kinds.split(',').any(|one| one.eq_ignore_ascii_case(kind));
        self.attribute.eq_ignore_ascii_case(attribute)
            && kind.is_none_or(|kind| kind.eq_ignore_ascii_case(kinds) || has(kind))
    }

    /// The rule whose keys this index has; none if it has other keys than those of values.
    pub(crate) const fn rule(&self) -> Option<MatchingRule> {
        match self.holds {
            Holds::Values(rule) | Holds::Digests(rule) => Some(rule),
            Holds::Presence | Holds::Substrings(..) => None,
        }
    }

    /// Whether this index has the keys of a rule.
    pub(crate) fn has_keys_of(&self, rule: MatchingRule) -> bool {
        self.rule().is_some_and(|own| own == rule || family(own) == family(rule))
    }

    /// How it has them.
    pub(crate) const fn form(&self) -> Form {
        if matches!(self.holds, Holds::Digests(_)) { Form::Digest } else { Form::Whole }
    }

    /// Appends the compare keys of a value; one that breaks the rule's syntax has none.
    fn keys_of(&self, value: &[u8], scratch: &mut Vec<u8>, mut put: impl FnMut(&[u8])) {
        scratch.clear();
        match self.holds {
            Holds::Presence => put(&[]),
            Holds::Values(rule) | Holds::Digests(rule) => {
                if rule.key(value, scratch).is_ok() {
                    put(scratch);
                }
            }
            Holds::Substrings(rule, length) => {
                if rule.key(value, scratch).is_ok() {
                    for start in 0..scratch.len() {
                        let rest = scratch.get(start..).unwrap_or_default();
                        put(rest.get(..length).unwrap_or(rest));
                    }
                }
            }
        }
    }
}

/// Index keys of an entry, sorted once they are complete.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    items: Vec<(TreeId, u32, u32)>,
    scratch: Vec<u8>,
}

impl Keys {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    fn add(&mut self, index: &Index, value: &[u8], id: EntryId) {
        let mut scratch = std::mem::take(&mut self.scratch);
        index.keys_of(value, &mut scratch, |compare| {
            let start = self.bytes.len() as u32;
            index.form().put(&mut self.bytes, compare);
            self.bytes.extend_from_slice(&id.to_bytes());
            self.items.push((index.tree, start, self.bytes.len() as u32));
        });
        self.scratch = scratch;
    }

    fn bytes(&self, item: &(TreeId, u32, u32)) -> &[u8] {
        self.bytes.get(item.1 as usize..item.2 as usize).unwrap_or_default()
    }

    fn sort(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.bytes(a).cmp(self.bytes(b))));
        items.dedup_by(|a, b| a.0 == b.0 && self.bytes(a) == self.bytes(b));
        self.items = items;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TreeId, &[u8])> {
        self.items.iter().map(|item| (item.0, self.bytes(item)))
    }

    /// Drops from both what both have; both sorted.
    fn cancel(&mut self, other: &mut Self) {
        let (mut mine, mut others) = (0, 0);
        let mut kept: Vec<(TreeId, u32, u32)> = Vec::new();
        let mut other_kept: Vec<(TreeId, u32, u32)> = Vec::new();
        loop {
            match (self.items.get(mine), other.items.get(others)) {
                (Some(a), Some(b)) => match a.0.cmp(&b.0).then_with(|| self.bytes(a).cmp(other.bytes(b))) {
                    std::cmp::Ordering::Less => (kept.push(*a), mine += 1).1,
                    std::cmp::Ordering::Greater => (other_kept.push(*b), others += 1).1,
                    std::cmp::Ordering::Equal => (mine += 1, others += 1).1,
                },
                (Some(a), None) => (kept.push(*a), mine += 1).1,
                (None, Some(b)) => (other_kept.push(*b), others += 1).1,
                (None, None) => break,
            }
        }
        self.items = kept;
        other.items = other_kept;
    }
}

type Numbers = SmallVec<[usize; 4]>;

/// All indexes in force, with the way from an attribute to its indexes.
#[derive(Debug, Default)]
pub(crate) struct IndexSet {
    pub(crate) indexes: Vec<Arc<Index>>,
    /// By the canonical name of the indexed attribute and of its subtypes.
    by_attribute: HashMap<Box<[u8]>, Numbers>,
    made: Vec<(Virtual, Numbers)>,
}

/// The kinds an index entry asks for, as trees.
fn wanted(config: &IndexConfig, schema: &Schema) -> Vec<(String, Holds)> {
    let Some(attribute) = schema.attribute(&config.attribute) else { return Vec::new() };
    let mut wanted: Vec<(String, Holds)> = Vec::new();
    let mut add = |kind: &str, holds: Holds| {
        let same = wanted.iter_mut().find(|(_, other)| match (*other, holds) {
            (Holds::Values(a), Holds::Values(b)) => family(a) == family(b),
            (a, b) => a == b,
        });
        match same {
            Some((name, _)) if name.split(',').any(|one| one == kind) => {}
            Some((name, _)) => {
                name.push(',');
                name.push_str(kind);
            }
            None => wanted.push((kind.to_owned(), holds)),
        }
    };
    let is_ordered = config.types.contains(&IndexType::Ordering)
        && attribute.equality.zip(attribute.ordering).is_some_and(|(a, b)| family(a) == family(b));
    let equality = if is_ordered { Holds::Values } else { Holds::Digests };
    for kind in [IndexType::Equality, IndexType::Ordering, IndexType::Presence, IndexType::Substring] {
        if !config.types.contains(&kind) {
            continue;
        }
        let holds = match kind {
            IndexType::Equality => attribute.equality.map(|rule| ("equality", equality(rule))),
            IndexType::Ordering => attribute.ordering.map(|rule| ("ordering", Holds::Values(rule))),
            IndexType::Presence => Some(("presence", Holds::Presence)),
            IndexType::Substring => {
                let length = config.substring_length.max(3);
                attribute.substring.map(|rule| ("substring", Holds::Substrings(rule, length)))
            }
        };
        if let Some((kind, holds)) = holds {
            add(kind, holds);
        }
    }
    wanted
}

impl IndexSet {
    /// The indexes of these configurations; those that `before` already has are taken over as they are.
    pub(crate) fn build(
        configs: &[IndexConfig],
        schema: &Schema,
        before: &Self,
        store: &dyn IndexStore,
    ) -> Result<Self, StoreError> {
        let mut set = Self::default();
        for config in configs {
            for (kinds, holds) in wanted(config, schema) {
                let Some(attribute) = schema.attribute(&config.attribute) else { continue };
                let attribute = attribute.name();
                if set.indexes.iter().any(|index| index.attribute == attribute && index.holds == holds) {
                    continue;
                }
                let name = format!("{attribute}.{kinds}");
                let known =
                    before.indexes.iter().find(|index| index.attribute == attribute && index.holds == holds);
                let index = match known {
                    Some(index) if index.name == name => Arc::clone(index),
                    Some(index) => Arc::new(Index {
                        name,
                        attribute: attribute.to_owned(),
                        holds,
                        tree: index.tree,
                        progress: Arc::clone(&index.progress),
                        is_replacement: false,
                    }),
                    None => Arc::new(Index {
                        tree: store.tree(&tree_name(attribute, holds))?,
                        name,
                        attribute: attribute.to_owned(),
                        holds,
                        progress: Arc::default(),
                        is_replacement: false,
                    }),
                };
                set.add(index, schema);
            }
        }
        Ok(set)
    }

    /// Just these.
    pub(crate) fn of_all(indexes: impl IntoIterator<Item = Arc<Index>>, schema: &Schema) -> Self {
        let mut set = Self::default();
        indexes.into_iter().for_each(|index| set.add(index, schema));
        set
    }

    /// The indexes that this name means (features.md §4.2's attribute, also `attribute.kind`).
    pub(crate) fn called(&self, name: &str, schema: &Schema) -> Vec<Arc<Index>> {
        let (attribute, kind) = name.split_once('.').map_or((name, None), |(name, kind)| (name, Some(kind)));
        let attribute = schema.attribute(attribute).map_or(attribute, |attribute| attribute.name());
        let is_meant = |index: &&Arc<Index>| !index.is_replacement && index.is_called(attribute, kind);
        self.indexes.iter().filter(is_meant).cloned().collect()
    }

    /// Name and state of each index.
    pub(crate) fn states(&self) -> Vec<(String, String)> {
        let serving = self.indexes.iter().filter(|index| !index.is_replacement);
        let state = |index: &Arc<Index>| {
            let same = |one: &&Arc<Index>| {
                one.is_replacement && one.attribute == index.attribute && one.holds == index.holds
            };
            match self.indexes.iter().find(same) {
                Some(new) => format!("{}, rebuilding: {} %", index.progress, new.progress.percent()),
                None => index.progress.to_string(),
            }
        };
        serving.map(|index| (index.name.clone(), state(index))).collect()
    }

    fn add(&mut self, index: Arc<Index>, schema: &Schema) {
        let number = self.indexes.len();
        if let Some(attribute) = schema.attribute(&index.attribute) {
            let made = Virtual::of(attribute.name()).filter(|_| attribute.is_operational());
            if let Some(which) = made {
                match self.made.iter_mut().find(|(one, _)| *one == which) {
                    Some((_, numbers)) => numbers.push(number),
                    None => self.made.push((which, SmallVec::from_slice(&[number]))),
                }
            }
            let subtypes = attribute.subtypes.iter().filter_map(|&id| schema.attribute_by_id(id));
            for one in std::iter::once(attribute).chain(subtypes) {
                self.by_attribute.entry(one.name().as_bytes().into()).or_default().push(number);
            }
        }
        self.indexes.push(index);
    }

    /// The indexes of an attribute, by its canonical name.
    pub(crate) fn of(&self, attribute: &str) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.iter().filter(move |index| index.attribute == attribute)
    }

    /// All keys of an entry in the indexes that `wants`.
    pub(crate) fn keys(
        &self,
        id: EntryId,
        entry: &StoredEntry,
        wants: &dyn Fn(&Index) -> bool,
        keys: &mut Keys,
    ) {
        keys.clear();
        self.gather(id, entry, &|number| self.indexes.get(number).is_some_and(|index| wants(index)), keys);
        keys.sort();
    }

    /// Appends the keys of an entry, in no order and perhaps one twice.
    pub(crate) fn append(&self, id: EntryId, entry: &StoredEntry, keys: &mut Keys) {
        self.gather(id, entry, &|_| true, keys);
    }

    /// The keys to add and to remove when an entry changes.
    pub(crate) fn changes(
        &self,
        id: EntryId,
        before: Option<&StoredEntry>,
        after: Option<&StoredEntry>,
        add: &mut Keys,
        remove: &mut Keys,
    ) {
        add.clear();
        remove.clear();
        let touched = match (before, after) {
            (Some(before), Some(after)) => Some(self.touched(before, after)),
            _ => None,
        };
        let wants = |number: usize| {
            touched.as_ref().is_none_or(|touched| {
                touched.get(number / 64).is_some_and(|bits| bits & (1 << (number % 64)) != 0)
            })
        };
        if let Some(after) = after {
            self.gather(id, after, &wants, add);
            add.sort();
        }
        if let Some(before) = before {
            self.gather(id, before, &wants, remove);
            remove.sort();
        }
        if touched.is_some() {
            add.cancel(remove);
        }
    }

    /// The indexes of attributes that differ, as bits.
    fn touched(&self, before: &StoredEntry, after: &StoredEntry) -> SmallVec<[u64; 2]> {
        let mut bits: SmallVec<[u64; 2]> = SmallVec::from_elem(0, self.indexes.len().div_ceil(64));
        let mut mark = |numbers: &Numbers| {
            for &number in numbers {
                if let Some(word) = bits.get_mut(number / 64) {
                    *word |= 1 << (number % 64);
                }
            }
        };
        let halves =
            [(before.user_list(), after.user_list()), (before.operational_list(), after.operational_list())];
        for (old, new) in halves.into_iter().filter(|(old, new)| old != new) {
            for (from, to) in [(old, new), (new, old)] {
                // Both lists have their attributes in nearly the same order: the walk goes on where it stands.
                let mut there = encoded_attributes(to);
                for attribute in encoded_attributes(from) {
                    let same = there.find(|other| other.description == attribute.description).or_else(|| {
                        there = encoded_attributes(to);
                        there.find(|other| other.description == attribute.description)
                    });
                    if same.is_none_or(|other| other.whole != attribute.whole)
                        && let Some(numbers) = self.by_attribute.get(base_name(attribute.description))
                    {
                        mark(numbers);
                    }
                }
            }
        }
        for (which, numbers) in &self.made {
            let changes = match which {
                Virtual::Etag => before.etag_state() != after.etag_state(),
                Virtual::EntryUuid => before.uuid() != after.uuid(),
                Virtual::EntryDn => before.dn() != after.dn(),
                _ => false,
            };
            if changes {
                mark(numbers);
            }
        }
        bits
    }

    fn gather(&self, id: EntryId, entry: &StoredEntry, wants: &dyn Fn(usize) -> bool, keys: &mut Keys) {
        for list in [entry.user_list(), entry.operational_list()] {
            for attribute in encoded_attributes(list) {
                let Some(numbers) = self.by_attribute.get(base_name(attribute.description)) else { continue };
                for index in
                    numbers.iter().filter(|&&number| wants(number)).filter_map(|&n| self.indexes.get(n))
                {
                    if index.holds == Holds::Presence {
                        keys.add(index, &[], id);
                        continue;
                    }
                    for value in attribute.values() {
                        keys.add(index, value, id);
                    }
                }
            }
        }
        for (which, numbers) in &self.made {
            if !numbers.iter().any(|&number| wants(number)) {
                continue;
            }
            let mut value = Vec::new();
            if virtual_value(*which, entry, &NoContext, &|_| None, &mut value) {
                for index in
                    numbers.iter().filter(|&&number| wants(number)).filter_map(|&n| self.indexes.get(n))
                {
                    keys.add(index, &value, id);
                }
            }
        }
    }
}

fn base_name(description: &[u8]) -> &[u8] {
    description.split(|&octet| octet == b';').next().unwrap_or_default()
}

pub(crate) fn tree_name(attribute: &str, holds: Holds) -> String {
    match holds {
        Holds::Values(rule) => format!("{attribute}.values.{}", family(rule)),
        Holds::Digests(rule) => format!("{attribute}.digests.{}", family(rule)),
        Holds::Presence => format!("{attribute}.presence"),
        Holds::Substrings(rule, length) => format!("{attribute}.substring.{}.{length}", family(rule)),
    }
}

/// Whether an index can hold keys of this virtual attribute: those that depend on nothing but the entry's version.
pub(crate) const fn is_indexable(which: Virtual) -> bool {
    matches!(which, Virtual::EntryUuid | Virtual::Etag | Virtual::EntryDn | Virtual::SubschemaSubentry)
}
