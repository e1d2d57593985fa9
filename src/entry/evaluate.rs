//! The three-valued evaluation of a resolved filter on one version of an entry, without allocation.

use std::cell::RefCell;
use std::sync::Arc;

use super::StoredEntry;
use super::filter::{Node, Parts, Test, TestKind, TestScope, Tri, is_among};
use super::list;
use super::target::{EntryContext, Target, virtual_value};
use crate::name::Dn;
use crate::schema::matching::{relative, substring_match};
use crate::schema::{Kind, MatchingRule, Schema};

thread_local! {
    /// Where the key of the value under test is made.
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Node {
    /// What a part of a filter says of one version of an entry.
    pub(crate) fn evaluate(&self, entry: &StoredEntry, context: &dyn EntryContext) -> Tri {
        match self {
            Self::And(nodes) => {
                let mut result = Tri::True;
                for node in nodes {
                    match node.evaluate(entry, context) {
                        Tri::False => return Tri::False,
                        Tri::Undefined => result = Tri::Undefined,
                        Tri::True => {}
                    }
                }
                result
            }
            Self::Or(nodes) => {
                let mut result = Tri::False;
                for node in nodes {
                    match node.evaluate(entry, context) {
                        Tri::True => return Tri::True,
                        Tri::Undefined => result = Tri::Undefined,
                        Tri::False => {}
                    }
                }
                result
            }
            Self::Not(node) => match node.evaluate(entry, context) {
                Tri::True => Tri::False,
                Tri::False => Tri::True,
                Tri::Undefined => Tri::Undefined,
            },
            Self::Test(test) => test.evaluate(entry, context),
            Self::Undefined(_) => Tri::Undefined,
        }
    }
}

/// Gathers what single values say: one true makes true; else one undefined makes undefined.
struct Verdict(Tri);

impl Verdict {
    /// Takes one value's answer; true when no other can change the outcome.
    fn take(&mut self, holds: Option<bool>) -> bool {
        match holds {
            Some(true) => self.0 = Tri::True,
            Some(false) => return false,
            None => {
                self.0 = Tri::Undefined;
                return false;
            }
        }
        true
    }
}

impl Test {
    fn evaluate(&self, entry: &StoredEntry, context: &dyn EntryContext) -> Tri {
        let mut verdict = Verdict(Tri::False);
        let settled = match &self.scope {
            TestScope::Named(target) if target.made.is_some() => {
                self.made(target, entry, context, &mut verdict)
            }
            TestScope::Named(target) => self.stored(target.find(entry), context, &mut verdict),
            TestScope::Fitting(_) => [entry.user_list(), entry.operational_list()].into_iter().any(|list| {
                let fitting = list::attributes(list).filter(|attribute| self.covers(attribute.description));
                self.stored(fitting, context, &mut verdict)
            }),
        };
        if !settled && self.dn_attributes {
            self.in_dn(entry, context, &mut verdict);
        }
        verdict.0
    }

    fn stored<'a>(
        &self,
        attributes: impl Iterator<Item = list::Encoded<'a>>,
        context: &dyn EntryContext,
        verdict: &mut Verdict,
    ) -> bool {
        for attribute in attributes {
            if matches!(self.kind, TestKind::Present) {
                return verdict.take(Some(true));
            }
            for value in attribute.values() {
                if verdict.take(self.kind.holds(value, Some(context))) {
                    return true;
                }
            }
        }
        false
    }

    fn made(
        &self,
        target: &Target,
        entry: &StoredEntry,
        context: &dyn EntryContext,
        verdict: &mut Verdict,
    ) -> bool {
        let Some(which) = target.made else { return false };
        let mut value = Vec::new();
        let structural = |entry: &StoredEntry| self.structural.as_ref()?.class_of(entry);
        if !virtual_value(which, entry, context, &structural, &mut value) {
            return false;
        }
        let holds = if matches!(self.kind, TestKind::Present) {
            Some(true)
        } else {
            self.kind.holds(&value, Some(context))
        };
        verdict.take(holds)
    }

    fn in_dn(&self, entry: &StoredEntry, context: &dyn EntryContext, verdict: &mut Verdict) {
        let Ok(dn) = Dn::parse(entry.dn()) else { return };
        for ava in dn.rdns().iter().flat_map(|rdn| rdn.avas()) {
            let meant = match &self.scope {
                TestScope::Named(target) => target.names(ava.attribute()),
                TestScope::Fitting(names) => {
                    is_among(names, ava.attribute().as_bytes())
                        || names.iter().any(|name| name.eq_ignore_ascii_case(ava.attribute()))
                }
            };
            if meant && verdict.take(self.kind.holds(ava.value(), Some(context))) {
                return;
            }
        }
    }
}

impl TestKind {
    /// Whether the assertion holds for this value; none if the value breaks the rule's syntax.
    pub(super) fn holds(&self, value: &[u8], context: Option<&dyn EntryContext>) -> Option<bool> {
        match self {
            Self::Present => Some(true),
            Self::Equal { rule, keys } => {
                with_key(*rule, value, |own| keys.iter().any(|key| key.as_slice() == own))
            }
            Self::GreaterOrEqual { rule, key } => with_key(*rule, value, |own| own >= key.as_slice()),
            Self::LessOrEqual { rule, key } => with_key(*rule, value, |own| own <= key.as_slice()),
            Self::Less { rule, key } => with_key(*rule, value, |own| own < key.as_slice()),
            Self::Substrings { rule, parts } => with_key(*rule, value, |own| parts.are_in(own)),
            Self::Relative { rule, assertion } => {
                let now = i64::try_from(context?.now_ms()?).ok()?;
                let bound = relative::bound_ms(assertion, now).ok()?;
                with_key(*rule, value, |own| relative::matches(*rule, own, bound) == Some(true))
            }
        }
    }
}

fn with_key(rule: MatchingRule, value: &[u8], test: impl FnOnce(&[u8]) -> bool) -> Option<bool> {
    KEY.with_borrow_mut(|key| {
        key.clear();
        rule.key(value, key).ok().map(|()| test(key))
    })
}

impl Parts {
    /// Whether the parts are in the prepared value, in order and without overlap.
    pub(crate) fn are_in(&self, value: &[u8]) -> bool {
        substring_match(value, self.initial.as_deref(), &self.any, self.last.as_deref())
    }
}

/// The structural classes of a schema and how deep each lies, by lower-case name; for filters on
/// structuralObjectClass.
#[derive(Debug)]
pub(super) struct Structural(std::collections::HashMap<String, (usize, String)>);

impl Structural {
    pub(super) fn of(schema: &Schema) -> Arc<Self> {
        let mut classes = std::collections::HashMap::new();
        for class in schema.object_classes_defined().filter(|class| class.kind == Kind::Structural) {
            let depth = schema.with_superiors(class).len();
            for name in class.names.iter().chain([&class.oid]) {
                classes.insert(name.to_ascii_lowercase(), (depth, class.name().to_owned()));
            }
        }
        Arc::new(Self(classes))
    }

    fn class_of(&self, entry: &StoredEntry) -> Option<String> {
        list::find(entry.user_list(), b"objectClass")?
            .values()
            .filter_map(|value| self.0.get(&std::str::from_utf8(value).ok()?.to_ascii_lowercase()))
            .max_by_key(|(depth, _)| *depth)
            .map(|(_, name)| name.clone())
    }
}
