//! Whether an attribute of an entry may be changed so; value by value where an ACI says something of values.

use super::aci::Matter;
use super::attribute_set::AttributeRef;
use super::bind_rule::is_dn;
use super::profile::{Profile, Question};
use super::requester::Requester;
use super::right::Right;
use super::set::AccessSet;
use super::value_filters::Change;
use crate::entry::StoredEntry;
use crate::protocol::message::ModifyOperation;
use crate::schema::NormalizedDn;

/// A modification of an attribute.
#[derive(Clone, Copy)]
struct Modified<'a> {
    description: &'a str,
    attribute: AttributeRef,
    operation: ModifyOperation,
    /// Values are added or deleted one by one.
    by_value: bool,
}

fn number(value: &[u8]) -> Option<i128> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

impl AccessSet {
    /// Whether a modification is allowed (description in any case, values as they are sent): the right to write; or, if all
    /// values are the requester's own DN and are added or deleted one by one, the right `selfwrite`. Where an ACI with
    /// `targattrfilters` has its say, each value that goes and each that comes takes the right. Writing `aci` needs the
    /// privilege `modify-acl` besides, and `ds-privilege-name` needs `privilege-change`: see [`Self::privilege_for`].
    pub fn may_modify<'v>(
        &self,
        who: &Requester,
        entry: &StoredEntry,
        key: &NormalizedDn,
        operation: ModifyOperation,
        description: &str,
        values: impl IntoIterator<Item = &'v [u8]>,
    ) -> bool {
        let Some(profile) = self.profile(who, key) else { return true };
        let question = self.question(who, key, Some(entry));
        let attribute = AttributeRef::of(description, &self.schema);
        let by_value = matches!(operation, ModifyOperation::Add | ModifyOperation::Delete);
        if profile.looks_at_values() {
            let change = Modified { description, attribute, operation, by_value };
            return self.may_change(&profile, &question, change, values.into_iter().collect());
        }
        if let Some(granted) = profile.decide(Matter::Attribute(Right::Write, attribute), &question) {
            return granted;
        }
        let mut values = values.into_iter().peekable();
        by_value
            && values.peek().is_some()
            && !who.is_anonymous()
            && profile.decide(Matter::Attribute(Right::SelfWrite, attribute), &question) == Some(true)
            && values.all(|value| is_dn(value, &who.key, &self.schema))
    }

    /// [`Self::may_modify`] value by value.
    fn may_change(
        &self,
        profile: &Profile,
        question: &Question<'_>,
        modified: Modified<'_>,
        values: Vec<&[u8]>,
    ) -> bool {
        let Modified { description, attribute, operation, by_value } = modified;
        let who = question.who;
        let may = |change: Change, value: &[u8]| {
            let decide = |right| profile.decide(Matter::Value(right, attribute, change, value), question);
            let is_own = !who.is_anonymous() && is_dn(value, &who.key, &self.schema);
            match (decide(Right::Write), is_own.then(|| decide(Right::SelfWrite)).flatten()) {
                (Some(false), _) | (_, Some(false)) => false,
                (Some(true), _) => true,
                (None, Some(true)) => by_value,
                (None, None) => false,
            }
        };
        let goes_whole = !by_value || (operation == ModifyOperation::Delete && values.is_empty());
        let described = self.schema.describe(description);
        let held: Vec<&[u8]> = described
            .filter(|_| goes_whole)
            .and_then(|described| {
                question.entry.and_then(|entry| super::values(entry, &described.canonical()))
            })
            .into_iter()
            .flatten()
            .collect();
        if held.is_empty() && values.is_empty() {
            let matter = Matter::Attribute(Right::Write, attribute);
            return profile.decide(matter, question) == Some(true);
        }
        let goes = held.iter().all(|value| may(Change::Delete, value));
        goes && match operation {
            ModifyOperation::Add | ModifyOperation::Replace => {
                values.iter().all(|value| may(Change::Add, value))
            }
            ModifyOperation::Delete => values.iter().all(|value| may(Change::Delete, value)),
            ModifyOperation::Increment => {
                let by = values.first().copied().and_then(number).unwrap_or_default();
                let sums = held.iter().filter_map(|value| number(value)?.checked_add(by));
                sums.into_iter().all(|sum| may(Change::Add, sum.to_string().as_bytes()))
            }
        }
    }
}
