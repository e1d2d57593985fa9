//! Filters resolved against the schema (RFC 4511 §4.5.1.7).

use std::sync::Arc;

use smallvec::SmallVec;

use super::StoredEntry;
use super::evaluate::Structural;
use super::filter_print::raw_text;
use super::list;
use super::target::{EntryContext, NoContext, Target, Virtual};
use crate::protocol::filter::{Extensible, Filter, Substrings};
use crate::schema::matching::{RuleKind, SubstringPlace, relative};
use crate::schema::{MatchingRule, Schema};

/// True, false or undefined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Tri {
    True,
    False,
    Undefined,
}

/// A compare key or a piece of one.
pub(crate) type Key = SmallVec<[u8; 32]>;

/// A filter whose attribute types, rules and assertion keys are looked up once.
#[derive(Debug, Clone)]
pub struct CompiledFilter {
    pub(crate) root: Node,
}

/// One node; an empty And is true, an empty Or false.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Test(Box<Test>),
    /// Something the schema does not know or whose assertion breaks its syntax; its text.
    Undefined(Box<str>),
}

/// One assertion about an attribute.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) scope: TestScope,
    pub(crate) kind: TestKind,
    /// Whether the DN's AVAs are looked at too.
    pub(crate) dn_attributes: bool,
    /// The assertion as sent, for printing.
    pub(super) source: Source,
    pub(super) structural: Option<Arc<Structural>>,
}

/// Which attributes are tested.
#[derive(Debug, Clone)]
pub(crate) enum TestScope {
    /// Those of a description.
    Named(Target),
    /// Every attribute of these canonical names, sorted: those a rule fits.
    Fitting(Arc<[Box<str>]>),
}

/// The comparison.
#[derive(Debug, Clone)]
pub(crate) enum TestKind {
    Present,
    /// One of the keys; more than one only where one thing has several spellings (names and OID of a class).
    Equal {
        rule: MatchingRule,
        keys: SmallVec<[Key; 1]>,
    },
    GreaterOrEqual {
        rule: MatchingRule,
        key: Key,
    },
    LessOrEqual {
        rule: MatchingRule,
        key: Key,
    },
    /// Extensible match by an ordering rule: strictly less (RFC 4517 §4.2.4).
    Less {
        rule: MatchingRule,
        key: Key,
    },
    Substrings {
        rule: MatchingRule,
        parts: Parts,
    },
    /// A time relative to now, which is known only when the filter is evaluated.
    Relative {
        rule: MatchingRule,
        assertion: Box<[u8]>,
    },
}

/// The prepared parts of a substring assertion.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    /// The initial part as sent, for [`MatchingRule::prefix_key`].
    pub(crate) raw_initial: Option<Box<[u8]>>,
    pub(crate) initial: Option<Key>,
    pub(crate) any: Vec<Key>,
    pub(crate) last: Option<Key>,
}

/// What was sent, for printing.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Present,
    Simple(&'static str, SmallVec<[u8; 32]>),
    Substrings { initial: Option<Box<[u8]>>, any: Vec<Box<[u8]>>, last: Option<Box<[u8]>> },
    Extensible { rule: Option<Box<str>>, value: Box<[u8]> },
}

impl CompiledFilter {
    /// Resolves a filter; whatever the schema does not know becomes Undefined, never an error.
    pub fn compile(filter: &Filter<'_>, schema: &Schema) -> Self {
        Self { root: node(filter, schema) }
    }

    /// A filter that is true of everything.
    pub fn always() -> Self {
        Self { root: Node::And(Vec::new()) }
    }

    /// Evaluates it on one version of an entry, without knowing the entry's children.
    pub fn evaluate(&self, entry: &StoredEntry) -> Tri {
        self.evaluate_with(entry, &NoContext)
    }

    /// Evaluates it on one version of an entry.
    pub fn evaluate_with(&self, entry: &StoredEntry, context: &dyn EntryContext) -> Tri {
        self.root.evaluate(entry, context)
    }

    /// The canonical names (without options) of the attributes the filter asks about, each as often as it occurs;
    /// what the schema does not know is left out.
    pub fn attributes(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.attributes(&mut names);
        names
    }

    /// Calls `visit` for the canonical name of each attribute asked about until it returns false; whether it never did.
    pub fn all_attributes(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        self.root.all_attributes(visit)
    }

    /// Whether it is `(objectClass=*)`, true of every entry.
    pub fn is_object_class_presence(&self) -> bool {
        match &self.root {
            Node::Test(test) => {
                matches!(test.kind, TestKind::Present)
                    && matches!(&test.scope, TestScope::Named(target)
                        if target.attribute.name() == "objectClass" && target.is_plain())
            }
            _ => false,
        }
    }
}

impl Node {
    fn attributes<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().for_each(|node| node.attributes(names)),
            Self::Not(node) => node.attributes(names),
            Self::Test(test) => match &test.scope {
                TestScope::Named(target) => names.push(target.attribute.name()),
                TestScope::Fitting(fitting) => names.extend(fitting.iter().map(|name| &**name)),
            },
            Self::Undefined(_) => {}
        }
    }

    fn all_attributes(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().all(|node| node.all_attributes(visit)),
            Self::Not(node) => node.all_attributes(visit),
            Self::Test(test) => match &test.scope {
                TestScope::Named(target) => visit(target.attribute.name()),
                TestScope::Fitting(fitting) => fitting.iter().all(|name| visit(name)),
            },
            Self::Undefined(_) => true,
        }
    }
}

fn node(filter: &Filter<'_>, schema: &Schema) -> Node {
    let resolved = match filter {
        Filter::And(filters) => return Node::And(filters.iter().map(|one| node(one, schema)).collect()),
        Filter::Or(filters) => return Node::Or(filters.iter().map(|one| node(one, schema)).collect()),
        Filter::Not(inner) => return Node::Not(Box::new(node(inner, schema))),
        Filter::Present(attribute) => Target::resolve(attribute, schema)
            .map(|target| Test::named(target, TestKind::Present, Source::Present, schema)),
        Filter::Equality(assertion) => equality(&assertion.attribute, &assertion.value, "=", schema),
        Filter::Approximate(assertion) => equality(&assertion.attribute, &assertion.value, "~=", schema),
        Filter::GreaterOrEqual(assertion) => ordering(&assertion.attribute, &assertion.value, true, schema),
        Filter::LessOrEqual(assertion) => ordering(&assertion.attribute, &assertion.value, false, schema),
        Filter::Substrings(assertion) => substrings(assertion, schema),
        Filter::Extensible(assertion) => extensible(assertion, schema),
    };
    match resolved {
        Some(test) => Node::Test(Box::new(test)),
        None => Node::Undefined(raw_text(filter).into()),
    }
}

fn key(rule: MatchingRule, value: &[u8]) -> Option<Key> {
    let mut out = Vec::with_capacity(value.len() + 8);
    rule.key(value, &mut out).ok()?;
    Some(Key::from_slice(&out))
}

fn equality(description: &str, value: &[u8], sign: &'static str, schema: &Schema) -> Option<Test> {
    let target = Target::resolve(description, schema)?;
    let rule = target.attribute.equality?;
    let keys = equality_keys(rule, value, schema)?;
    Some(Test::named(
        target,
        TestKind::Equal { rule, keys },
        Source::Simple(sign, SmallVec::from_slice(value)),
        schema,
    ))
}

/// The keys of everything that means the same: for OIDs all names of the class or attribute type, else one.
fn equality_keys(rule: MatchingRule, value: &[u8], schema: &Schema) -> Option<SmallVec<[Key; 1]>> {
    let own = key(rule, value)?;
    let mut keys = SmallVec::new();
    if rule == MatchingRule::ObjectIdentifierMatch {
        let text = std::str::from_utf8(value).ok()?.trim();
        let spellings: Vec<&str> = if let Some(class) = schema.object_class(text) {
            class.names.iter().chain([&class.oid]).map(String::as_str).collect()
        } else if let Some(attribute) = schema.attribute(text) {
            attribute.names.iter().chain([&attribute.oid]).map(String::as_str).collect()
        } else {
            Vec::new()
        };
        for spelling in spellings {
            if let Some(key) = key(rule, spelling.as_bytes()).filter(|key| !keys.contains(key)) {
                keys.push(key);
            }
        }
    }
    if !keys.contains(&own) {
        keys.push(own);
    }
    Some(keys)
}

fn ordering(description: &str, value: &[u8], greater: bool, schema: &Schema) -> Option<Test> {
    let target = Target::resolve(description, schema)?;
    let rule = target.attribute.ordering?;
    let key = key(rule, value)?;
    let (kind, sign) = if greater {
        (TestKind::GreaterOrEqual { rule, key }, ">=")
    } else {
        (TestKind::LessOrEqual { rule, key }, "<=")
    };
    Some(Test::named(target, kind, Source::Simple(sign, SmallVec::from_slice(value)), schema))
}

fn substring_parts(
    rule: MatchingRule,
    initial: Option<&[u8]>,
    any: &[&[u8]],
    last: Option<&[u8]>,
) -> Option<Parts> {
    let prepare = |part: &[u8], place| {
        let mut out = Vec::with_capacity(part.len() + 8);
        rule.substring_key(part, place, &mut out).ok()?;
        Some(Key::from_slice(&out))
    };
    Some(Parts {
        raw_initial: initial.map(Into::into),
        initial: match initial {
            Some(part) => Some(prepare(part, SubstringPlace::Initial)?),
            None => None,
        },
        any: any.iter().map(|part| prepare(part, SubstringPlace::Any)).collect::<Option<_>>()?,
        last: match last {
            Some(part) => Some(prepare(part, SubstringPlace::Final)?),
            None => None,
        },
    })
}

fn substrings(assertion: &Substrings<'_>, schema: &Schema) -> Option<Test> {
    let target = Target::resolve(&assertion.attribute, schema)?;
    let rule = target.attribute.substring?;
    let any: Vec<&[u8]> = assertion.any.iter().map(|part| &**part).collect();
    let parts = substring_parts(rule, assertion.initial.as_deref(), &any, assertion.last.as_deref())?;
    let source = Source::Substrings {
        initial: assertion.initial.as_deref().map(Into::into),
        any: any.iter().map(|&part| part.into()).collect(),
        last: assertion.last.as_deref().map(Into::into),
    };
    Some(Test::named(target, TestKind::Substrings { rule, parts }, source, schema))
}

/// Extensible match: by the named rule, or by the attribute's equality rule; over one attribute, or all the rule fits.
fn extensible(assertion: &Extensible<'_>, schema: &Schema) -> Option<Test> {
    let target = match &assertion.attribute {
        Some(description) => Some(Target::resolve(description, schema)?),
        None => None,
    };
    let rule = match &assertion.rule {
        Some(name) => schema.matching_rule(name)?,
        None => target.as_ref()?.attribute.equality?,
    };
    let kind = match rule.kind() {
        _ if matches!(
            rule,
            MatchingRule::RelativeTimeGtOrderingMatch | MatchingRule::RelativeTimeLtOrderingMatch
        ) =>
        {
            relative::bound_ms(&assertion.value, 0).ok()?;
            TestKind::Relative { rule, assertion: assertion.value.as_ref().into() }
        }
        RuleKind::Equality => TestKind::Equal { rule, keys: equality_keys(rule, &assertion.value, schema)? },
        RuleKind::Ordering => TestKind::Less { rule, key: key(rule, &assertion.value)? },
        RuleKind::Substring => {
            TestKind::Substrings { rule, parts: substring_assertion(rule, &assertion.value)? }
        }
    };
    let source = Source::Extensible {
        rule: assertion.rule.as_deref().map(Into::into),
        value: assertion.value.as_ref().into(),
    };
    let mut test = match target {
        Some(target) => Test::named(target, kind, source, schema),
        None => {
            let scope = TestScope::Fitting(fitting(rule, schema));
            Test { scope, kind, dn_attributes: false, source, structural: None }
        }
    };
    test.dn_attributes = assertion.dn_attributes;
    Some(test)
}

/// The canonical names of the attribute types that use a rule, sorted.
fn fitting(rule: MatchingRule, schema: &Schema) -> Arc<[Box<str>]> {
    let mut names: Vec<Box<str>> = schema
        .attributes()
        .filter(|attribute| {
            [attribute.equality, attribute.ordering, attribute.substring].contains(&Some(rule))
        })
        .map(|attribute| attribute.name().into())
        .collect();
    names.sort_unstable();
    names.into()
}

/// The text form of a substring assertion, `initial*any*final` with `\2A` and `\5C` for the two special characters
/// (RFC 4517 §3.3.30).
fn substring_assertion(rule: MatchingRule, text: &[u8]) -> Option<Parts> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for piece in text.split(|&octet| octet == b'*') {
        let mut plain = Vec::with_capacity(piece.len());
        let mut rest = piece;
        while let Some((&octet, after)) = rest.split_first() {
            let escaped = if octet == b'\\' { after.split_at_checked(2) } else { None };
            match escaped.map(|(digits, after)| (digits.to_ascii_uppercase(), after)) {
                Some((digits, after)) if digits == b"2A" => (plain.push(b'*'), rest = after).1,
                Some((digits, after)) if digits == b"5C" => (plain.push(b'\\'), rest = after).1,
                _ => (plain.push(octet), rest = after).1,
            }
        }
        pieces.push(plain);
    }
    let last = if pieces.len() < 2 { return None } else { pieces.pop()? };
    let initial = pieces.remove(0);
    let filled = |piece: Vec<u8>| Some(piece).filter(|piece| !piece.is_empty());
    let any: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).filter(|piece| !piece.is_empty()).collect();
    substring_parts(rule, filled(initial).as_deref(), &any, filled(last).as_deref())
}

impl Test {
    fn named(target: Target, kind: TestKind, source: Source, schema: &Schema) -> Self {
        let structural =
            (target.made == Some(Virtual::StructuralObjectClass)).then(|| Structural::of(schema));
        Self { scope: TestScope::Named(target), kind, dn_attributes: false, source, structural }
    }
}

/// Values-return filter (RFC 3876): picks values, not entries.
#[derive(Debug, Clone)]
pub struct ValuesFilter {
    tests: Vec<Test>,
}

impl ValuesFilter {
    /// Resolves the items; those the schema does not know pick nothing. And, Or and Not are not part of the control's
    /// grammar and pick nothing either.
    pub fn compile(items: &[Filter<'_>], schema: &Schema) -> Self {
        let tests = items.iter().filter_map(|item| match node(item, schema) {
            Node::Test(test) => Some(*test),
            _ => None,
        });
        Self { tests: tests.collect() }
    }

    /// Whether a value of the stored attribute is picked.
    pub(crate) fn keeps(&self, description: &[u8], value: &[u8]) -> bool {
        self.tests.iter().any(|test| test.covers(description) && test.kind.holds(value, None) == Some(true))
    }
}

impl Test {
    /// Whether a stored description is tested.
    pub(crate) fn covers(&self, description: &[u8]) -> bool {
        match &self.scope {
            TestScope::Named(target) => target.matches(description),
            TestScope::Fitting(names) => is_among(names, list::base_name(description)),
        }
    }
}

/// Whether a sorted list of names has this one.
pub(crate) fn is_among(names: &[Box<str>], name: &[u8]) -> bool {
    names.binary_search_by(|one| one.as_bytes().cmp(name)).is_ok()
}
