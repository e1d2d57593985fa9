//! Messages as plain values, and how they are made.

use std::borrow::Cow;

use ctsd::protocol::filter::{Assertion, Extensible, Filter, Substrings};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

pub(crate) type Octets = Vec<u8>;
pub(crate) type Attribute = (String, Vec<Octets>);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) id: i32,
    pub(crate) op: Op,
    pub(crate) controls: Vec<(String, bool, Option<Octets>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) code: u32,
    pub(crate) matched: String,
    pub(crate) diagnostic: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Credentials {
    Simple(Octets),
    Sasl(String, Option<Octets>),
    Other,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Search {
    pub(crate) base: String,
    pub(crate) scope: u8,
    pub(crate) deref: u8,
    pub(crate) size_limit: u32,
    pub(crate) time_limit: u32,
    pub(crate) types_only: bool,
    pub(crate) filter: Filter<'static>,
    pub(crate) attributes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    Bind(u8, String, Credentials),
    Unbind,
    Search(Search),
    Modify(String, Vec<(u8, Attribute)>),
    Add(String, Vec<Attribute>),
    Delete(String),
    ModifyDn(String, String, bool, Option<String>),
    Compare(String, String, Octets),
    Abandon(i32),
    Extended(String, Option<Octets>),
    BindResponse(Outcome, Option<Octets>),
    Entry(String, Vec<Attribute>),
    Reference(Vec<String>),
    /// By its tag: searchDone, modify, add, delete, modifyDN, compare.
    Result(u8, Outcome),
    ExtendedResponse(Outcome, Option<String>, Option<Octets>),
    Intermediate(Option<String>, Option<Octets>),
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z0-9=,; ]{0,12}", 1 => "\\PC{0,4}"]
}

fn oid() -> impl Strategy<Value = String> {
    "1\\.2\\.3\\.[1-9][0-9]{0,2}"
}

/// Half of them is UTF-8, for those whose values are text.
fn value() -> impl Strategy<Value = Octets> {
    prop_oneof![text().prop_map(String::into_bytes), vec(any::<u8>(), 0..12), vec(any::<u8>(), 120..140)]
}

fn part() -> impl Strategy<Value = Cow<'static, [u8]>> {
    value().prop_map(Cow::Owned)
}

fn attribute(least: usize) -> impl Strategy<Value = Attribute> {
    (text(), vec(value(), least..4))
}

fn filter() -> BoxedStrategy<Filter<'static>> {
    let assertion = || {
        (text(), part()).prop_map(|(attribute, value)| Assertion { attribute: Cow::Owned(attribute), value })
    };
    let substrings = (text(), of(part()), vec(part(), 0..3), of(part()))
        .prop_filter("a part", |(_, initial, any, last)| {
            initial.is_some() || last.is_some() || !any.is_empty()
        })
        .prop_map(|(attribute, initial, any, last)| Substrings {
            attribute: attribute.into(),
            initial,
            any,
            last,
        });
    let extensible = (of(text()), of(text()), part(), any::<bool>())
        .prop_filter("a name", |(rule, attribute, ..)| rule.is_some() || attribute.is_some())
        .prop_map(|(rule, attribute, value, dn_attributes)| Extensible {
            rule: rule.map(Cow::Owned),
            attribute: attribute.map(Cow::Owned),
            value,
            dn_attributes,
        });
    let leaf = prop_oneof![
        assertion().prop_map(Filter::Equality),
        assertion().prop_map(Filter::GreaterOrEqual),
        assertion().prop_map(Filter::LessOrEqual),
        assertion().prop_map(Filter::Approximate),
        text().prop_map(|name| Filter::Present(name.into())),
        substrings.prop_map(Filter::Substrings),
        extensible.prop_map(Filter::Extensible),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::And),
            vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
    .boxed()
}

fn search() -> BoxedStrategy<Search> {
    let limit = || prop_oneof![Just(0_u32), 0..=0x7fff_ffff_u32];
    (text(), 0..4_u8, 0..4_u8, limit(), limit(), any::<bool>(), filter(), vec(text(), 0..4))
        .prop_map(|(base, scope, deref, size_limit, time_limit, types_only, filter, attributes)| Search {
            base,
            scope,
            deref,
            size_limit,
            time_limit,
            types_only,
            filter,
            attributes,
        })
        .boxed()
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let codes = vec![0, 1, 2, 3, 4, 5, 6, 11, 12, 16, 32, 49, 50, 53, 68, 80, 118, 122, 123, 16654];
    (prop::sample::select(codes), text(), text()).prop_map(|(code, matched, diagnostic)| Outcome {
        code,
        matched,
        diagnostic,
    })
}

fn request() -> BoxedStrategy<Op> {
    let credentials = prop_oneof![
        value().prop_map(Credentials::Simple),
        (text(), of(value())).prop_map(|(mechanism, credentials)| Credentials::Sasl(mechanism, credentials)),
    ];
    prop_oneof![
        (text(), credentials).prop_map(|(dn, credentials)| Op::Bind(3, dn, credentials)),
        Just(Op::Unbind),
        search().prop_map(Op::Search),
        (text(), vec((0..4_u8, attribute(0)), 0..4)).prop_map(|(dn, changes)| Op::Modify(dn, changes)),
        (text(), vec(attribute(1), 0..4)).prop_map(|(dn, attributes)| Op::Add(dn, attributes)),
        text().prop_map(Op::Delete),
        (text(), text(), any::<bool>(), of(text())).prop_map(|(a, b, c, d)| Op::ModifyDn(a, b, c, d)),
        (text(), text(), value()).prop_map(|(a, b, c)| Op::Compare(a, b, c)),
        (1..=i32::MAX).prop_map(Op::Abandon),
        (oid(), of(value())).prop_map(|(a, b)| Op::Extended(a, b)),
    ]
    .boxed()
}

fn response() -> BoxedStrategy<Op> {
    let tags = vec![0x65, 0x67, 0x69, 0x6b, 0x6d, 0x6f];
    prop_oneof![
        (outcome(), of(value())).prop_map(|(a, b)| Op::BindResponse(a, b)),
        (text(), vec(attribute(0), 0..4)).prop_map(|(a, b)| Op::Entry(a, b)),
        vec(text(), 1..3).prop_map(Op::Reference),
        (prop::sample::select(tags), outcome()).prop_map(|(a, b)| Op::Result(a, b)),
        (outcome(), of(oid()), of(value())).prop_map(|(a, b, c)| Op::ExtendedResponse(a, b, c)),
        (of(oid()), of(value())).prop_map(|(a, b)| Op::Intermediate(a, b)),
    ]
    .boxed()
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    let controls = vec((oid(), any::<bool>(), of(value())), 0..3);
    (1..=i32::MAX, prop_oneof![3 => request(), 1 => response()], controls)
        .prop_map(|(id, op, controls)| Message { id, op, controls })
}
