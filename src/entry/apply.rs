//! Applying prepared modifications to one version of an entry, and what they did to it, for the changelog.
//!
//! Net effects (one for each attribute touched) are encoded as a list of
//!
//! ```text
//! Effect ::= SEQUENCE {
//!     kind         ENUMERATED { set(0), clear(1), plus(2), minus(3) },
//!     description  OCTET STRING,
//!     values       SET OF OCTET STRING }
//! ```

use std::collections::HashSet;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::StoredEntry;
use super::list;
use super::modify::{ModifyError, PreparedModifications, Step, same_value, value_key};
use crate::ber::tag;
use crate::ber::write::{element_len, header, integer, octets};
use crate::protocol::message::ModifyOperation;

/// What modifications make of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// Encoded user attributes.
    pub user: Bytes,
    /// Encoded operational attributes.
    pub operational: Bytes,
    /// Encoded net effects.
    pub effects: Bytes,
}

/// A net effect's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum EffectKind {
    Set = 0,
    Clear = 1,
    Plus = 2,
    Minus = 3,
}

impl Edited {
    /// The entry's content as it is, without effects: where an edit starts that only stamps.
    pub fn unchanged(entry: &StoredEntry) -> Self {
        Self {
            user: entry.as_bytes().slice_ref(entry.user_list()),
            operational: entry.as_bytes().slice_ref(entry.operational_list()),
            effects: Bytes::new(),
        }
    }

    /// Sets single-valued operational attributes (canonical name, value), such as modifyTimestamp, and records the
    /// effects.
    pub fn stamp(&mut self, stamps: &[(&str, &[u8])]) {
        let mut operational = BytesMut::with_capacity(self.operational.len() + 64 * stamps.len());
        let mut effects = BytesMut::from(&*self.effects);
        for attribute in list::attributes(&self.operational) {
            match stamps.iter().find(|(name, _)| name.as_bytes() == attribute.description) {
                Some((name, value)) => list::put(&mut operational, name.as_bytes(), std::iter::once(*value)),
                None => operational.put_slice(attribute.whole),
            }
        }
        for (name, value) in stamps {
            if list::find(&self.operational, name.as_bytes()).is_none() {
                list::put(&mut operational, name.as_bytes(), std::iter::once(*value));
            }
            put_effect(&mut effects, EffectKind::Set, name.as_bytes(), std::iter::once(*value));
        }
        self.operational = operational.freeze();
        self.effects = effects.freeze();
    }
}

/// Appends one effect.
fn put_effect<'v>(
    out: &mut BytesMut,
    kind: EffectKind,
    description: &[u8],
    values: impl Iterator<Item = &'v [u8]> + Clone,
) {
    let set: usize = values.clone().map(|value| element_len(value.len())).sum();
    let length = element_len(1) + element_len(description.len()) + element_len(set);
    out.reserve(element_len(length));
    header(out, tag::SEQUENCE, length);
    integer(out, tag::ENUMERATED, kind as i64);
    octets(out, description);
    header(out, tag::SET, set);
    values.for_each(|value| octets(out, value));
}

type ValueList<'a> = SmallVec<[Piece<'a>; 2]>;

/// A value on its way: borrowed from the entry or the request, or computed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<'a> {
    Borrowed(&'a [u8]),
    Made(Box<[u8]>),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// One attribute while it is modified.
struct Slot<'a> {
    step: &'a Step,
    original: Option<list::Encoded<'a>>,
    values: ValueList<'a>,
    /// The attribute was replaced, cleared or incremented: the effect is the whole set.
    whole: bool,
    plus: ValueList<'a>,
    minus: ValueList<'a>,
}

impl PreparedModifications {
    /// Applies the modifications in order, all or none; `None` if no byte of the entry changes. With `permissive`
    /// (the permissive modify control) existing values are added and missing ones deleted without complaint.
    pub fn apply(&self, entry: &StoredEntry, permissive: bool) -> Result<Option<Edited>, ModifyError> {
        let mut slots: SmallVec<[Slot<'_>; 8]> = SmallVec::new();
        for step in &self.steps {
            let at = match slots.iter().position(|slot| slot.step.canonical == step.canonical) {
                Some(at) => at,
                None => {
                    slots.push(Slot::of(step, entry));
                    slots.len() - 1
                }
            };
            if let Some(slot) = slots.get_mut(at) {
                slot.take(step, permissive)?;
            }
        }
        if !slots.iter().any(Slot::changed) {
            return Ok(None);
        }
        let mut effects = BytesMut::new();
        slots.iter().for_each(|slot| slot.effect(&mut effects));
        Ok(Some(Edited {
            user: rewritten(entry, entry.user_list(), false, &slots),
            operational: rewritten(entry, entry.operational_list(), true, &slots),
            effects: effects.freeze(),
        }))
    }
}

/// The list with the touched attributes in their new form, at their old places; new ones at the end.
fn rewritten(entry: &StoredEntry, old: &[u8], operational: bool, slots: &[Slot<'_>]) -> Bytes {
    let mine = || slots.iter().filter(|slot| slot.step.operational == operational && slot.changed());
    if mine().next().is_none() {
        return entry.as_bytes().slice_ref(old);
    }
    let grown: usize = mine().flat_map(|slot| &slot.values).map(|value| value.bytes().len() + 8).sum();
    let mut out = BytesMut::with_capacity(old.len() + grown + 32 * slots.len());
    for attribute in list::attributes(old) {
        match mine().find(|slot| slot.step.canonical.as_bytes() == attribute.description) {
            Some(slot) => slot.put(&mut out),
            None => out.put_slice(attribute.whole),
        }
    }
    mine().filter(|slot| slot.original.is_none()).for_each(|slot| slot.put(&mut out));
    out.freeze()
}

impl<'a> Slot<'a> {
    fn of(step: &'a Step, entry: &'a StoredEntry) -> Self {
        let old = if step.operational { entry.operational_list() } else { entry.user_list() };
        let original = list::find(old, step.canonical.as_bytes());
        let values =
            original.map(|encoded| encoded.values().map(Piece::Borrowed).collect()).unwrap_or_default();
        Self { step, original, values, whole: false, plus: SmallVec::new(), minus: SmallVec::new() }
    }

    fn put(&self, out: &mut BytesMut) {
        if !self.values.is_empty() {
            list::put(out, self.step.canonical.as_bytes(), self.values.iter().map(Piece::bytes));
        }
    }

    fn changed(&self) -> bool {
        let old = self.original.map(|encoded| encoded.values());
        !old.into_iter().flatten().eq(self.values.iter().map(Piece::bytes))
    }

    fn effect(&self, out: &mut BytesMut) {
        let name = self.step.canonical.as_bytes();
        if self.whole || self.step.single_value || !(self.plus.is_empty() || self.minus.is_empty()) {
            let kind = if self.values.is_empty() { EffectKind::Clear } else { EffectKind::Set };
            put_effect(out, kind, name, self.values.iter().map(Piece::bytes));
        } else if !self.plus.is_empty() {
            put_effect(out, EffectKind::Plus, name, self.plus.iter().map(Piece::bytes));
        } else if !self.minus.is_empty() {
            put_effect(out, EffectKind::Minus, name, self.minus.iter().map(Piece::bytes));
        }
    }

    fn take(&mut self, step: &'a Step, permissive: bool) -> Result<(), ModifyError> {
        match step.operation {
            ModifyOperation::Add => self.add(step, permissive),
            ModifyOperation::Delete => self.delete(step, permissive),
            ModifyOperation::Replace => {
                self.values = step.values.iter().map(|value| Piece::Borrowed(value)).collect();
                self.whole = true;
                Ok(())
            }
            ModifyOperation::Increment => self.increment(step),
        }
    }

    /// Whether enough values meet to make a table of keys worth its while.
    fn is_large(&self, step: &Step) -> bool {
        self.values.len().saturating_mul(step.values.len()) > 64
    }

    fn add(&mut self, step: &'a Step, permissive: bool) -> Result<(), ModifyError> {
        let rule = step.equality;
        let keys: Option<HashSet<Vec<u8>>> = self
            .is_large(step)
            .then(|| self.values.iter().map(|value| value_key(rule, value.bytes())).collect());
        for value in &step.values {
            let held = match &keys {
                Some(keys) => keys.contains(&value_key(rule, value)),
                None => self.values.iter().any(|own| same_value(rule, own.bytes(), value)),
            };
            if !held {
                self.values.push(Piece::Borrowed(value));
                self.plus.push(Piece::Borrowed(value));
            } else if !permissive {
                return Err(ModifyError::Exists(format!(
                    "attribute {} already has a value to be added",
                    step.canonical
                )));
            }
        }
        Ok(())
    }

    fn delete(&mut self, step: &'a Step, permissive: bool) -> Result<(), ModifyError> {
        let missing = || {
            ModifyError::NoSuchAttribute(format!("the entry has no attribute {} to delete", step.canonical))
        };
        if step.values.is_empty() {
            if self.values.is_empty() && !permissive {
                return Err(missing());
            }
            self.values.clear();
            self.whole = true;
            return Ok(());
        }
        let rule = step.equality;
        if self.is_large(step) {
            let doomed: HashSet<Vec<u8>> = step.values.iter().map(|value| value_key(rule, value)).collect();
            let before = self.values.len();
            let minus = &mut self.minus;
            self.values.retain(|own| {
                let goes = doomed.contains(&value_key(rule, own.bytes()));
                if goes {
                    minus.push(own.clone());
                }
                !goes
            });
            if before - self.values.len() < step.values.len() && !permissive {
                return Err(no_such_value(step));
            }
            return Ok(());
        }
        for value in &step.values {
            match self.values.iter().position(|own| same_value(rule, own.bytes(), value)) {
                Some(at) => self.minus.push(self.values.remove(at)),
                None if permissive => {}
                None if self.values.is_empty() && self.minus.is_empty() => return Err(missing()),
                None => return Err(no_such_value(step)),
            }
        }
        Ok(())
    }

    fn increment(&mut self, step: &'a Step) -> Result<(), ModifyError> {
        if self.values.is_empty() {
            return Err(ModifyError::NoSuchAttribute(format!(
                "the entry has no attribute {} to increment",
                step.canonical
            )));
        }
        let by = step.values.first().and_then(|value| number(value));
        for value in &mut self.values {
            let sum = number(value.bytes()).zip(by).and_then(|(old, by)| old.checked_add(by));
            let Some(sum) = sum else {
                return Err(ModifyError::Constraint(format!(
                    "incrementing {} leaves the range of integers served",
                    step.canonical
                )));
            };
            *value = Piece::Made(sum.to_string().into_bytes().into());
        }
        self.whole = true;
        Ok(())
    }
}

fn no_such_value(step: &Step) -> ModifyError {
    ModifyError::NoSuchAttribute(format!("attribute {} lacks a value to be deleted", step.canonical))
}

fn number(value: &[u8]) -> Option<i128> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}
