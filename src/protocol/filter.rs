//! Search filters as they travel (RFC 4511 §4.5.1.7): names are text, assertion values are bytes.

use std::borrow::Cow;

/// A search filter. The empty [`Filter::And`] is true, the empty [`Filter::Or`] false (RFC 4526).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter<'a> {
    /// All are true.
    And(Vec<Filter<'a>>),
    /// One is true.
    Or(Vec<Filter<'a>>),
    /// It is false.
    Not(Box<Filter<'a>>),
    /// `(a=v)`
    Equality(Assertion<'a>),
    /// `(a=i*m*f)`
    Substrings(Substrings<'a>),
    /// `(a>=v)`
    GreaterOrEqual(Assertion<'a>),
    /// `(a<=v)`
    LessOrEqual(Assertion<'a>),
    /// `(a=*)`
    Present(Cow<'a, str>),
    /// `(a~=v)`
    Approximate(Assertion<'a>),
    /// `(a:dn:rule:=v)`
    Extensible(Extensible<'a>),
}

/// An attribute description and an assertion value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion<'a> {
    /// The attribute description.
    pub attribute: Cow<'a, str>,
    /// The assertion value.
    pub value: Cow<'a, [u8]>,
}

/// A substring assertion: at least one part is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substrings<'a> {
    /// The attribute description.
    pub attribute: Cow<'a, str>,
    /// How the value starts.
    pub initial: Option<Cow<'a, [u8]>>,
    /// What it holds, in this order.
    pub any: Vec<Cow<'a, [u8]>>,
    /// How it ends.
    pub last: Option<Cow<'a, [u8]>>,
}

/// An extensible match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extensible<'a> {
    /// The matching rule, by name or OID.
    pub rule: Option<Cow<'a, str>>,
    /// The attribute description; all attributes the rule fits, if absent.
    pub attribute: Option<Cow<'a, str>>,
    /// The assertion value.
    pub value: Cow<'a, [u8]>,
    /// Whether the DN's attributes are matched too.
    pub dn_attributes: bool,
}
