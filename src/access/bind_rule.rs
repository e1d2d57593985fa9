//! Bind rules: whom a permission is for. Compiled once, then asked of a requester, mostly without an entry at hand.
//!
//! An answer is true, false or undefined (a group that cannot be looked up, an entry that is not known): a permission
//! to allow needs true, one to deny also holds when undefined.

use std::cell::Cell;
use std::sync::Arc;

use super::aci_text::{Comparison, Keyword, Quoted, RuleText};
use super::area::{DnPattern, parse_dn, strip_scheme};
use super::network::Network;
use super::requester::{AuthMethod, Requester};
use super::right::AciError;
use super::user_attr::UserAttr;
use crate::backend::StoreError;
use crate::clock::Clock;
use crate::entry::{CompiledFilter, StoredEntry, Tri};
use crate::protocol::message::Scope;
use crate::protocol::url::LdapUrl;
use crate::schema::{NormalizedDn, Schema};

/// Finds the entries of groups, and of requesters where a bind rule looks at them.
pub type Lookup = Arc<dyn Fn(&NormalizedDn) -> Result<Option<Arc<StoredEntry>>, StoreError> + Send + Sync>;

/// How the requester stands to the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Relation {
    /// It is the requester's own.
    Own,
    /// It is a child of the requester's own.
    Child,
    Other,
}

impl Relation {
    pub(super) fn of(who: &Requester, key: &NormalizedDn) -> Self {
        if who.is_anonymous() || !who.key.covers(key) {
            return Self::Other;
        }
        match key.depth() - who.key.depth() {
            0 => Self::Own,
            1 => Self::Child,
            _ => Self::Other,
        }
    }
}

/// Of whom a bind rule is asked.
pub(super) struct Subject<'a> {
    pub(super) who: &'a Requester,
    pub(super) relation: Relation,
    pub(super) key: &'a NormalizedDn,
    pub(super) entry: Option<&'a StoredEntry>,
    /// The entry is about to be added, by the requester.
    pub(super) is_new: bool,
    pub(super) lookup: Option<&'a Lookup>,
    pub(super) schema: &'a Schema,
    pub(super) clock: &'a dyn Clock,
    /// Set when the answer may be another one for another entry, or later.
    pub(super) varies: Cell<bool>,
}

impl Subject<'_> {
    /// The server's local time as `hhmm`, and the day, Monday 0.
    fn local_time(&self) -> (u16, u8) {
        self.varies.set(true);
        let ms = i64::try_from(self.clock.wall_ms()).unwrap_or(i64::MAX);
        let now = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let now = now.to_zoned(jiff::tz::TimeZone::system());
        let part = |number: i8| number.unsigned_abs();
        let time = u16::from(part(now.hour())) * 100 + u16::from(part(now.minute()));
        (time, part(now.weekday().to_monday_zero_offset()))
    }
}

impl Comparison {
    fn holds(self, found: u16, wanted: u16) -> bool {
        match self {
            Self::Equal => found == wanted,
            Self::NotEqual => found != wanted,
            Self::Less => found < wanted,
            Self::LessOrEqual => found <= wanted,
            Self::Greater => found > wanted,
            Self::GreaterOrEqual => found >= wanted,
        }
    }
}

/// A bind rule, looked up.
#[derive(Debug, Clone)]
pub(super) enum BindRule {
    And(Vec<BindRule>),
    Or(Vec<BindRule>),
    Not(Box<BindRule>),
    Anyone,
    Authenticated,
    Own,
    Parent,
    User(NormalizedDn),
    UserLike(DnPattern),
    UserAmong(Box<Population>),
    Group(NormalizedDn),
    Attribute(Box<UserAttr>),
    Address(Vec<Network>),
    Method(AuthMethod),
    Strength(Comparison, u16),
    /// Hours and minutes, as `hhmm`, of the server's local time.
    Time(Comparison, u16),
    /// Days of the server's local time: Monday is the first bit.
    Days(u8),
}

/// The entries a URL means.
#[derive(Debug, Clone)]
pub(super) struct Population {
    base: NormalizedDn,
    scope: Scope,
    filter: Option<CompiledFilter>,
}

impl BindRule {
    pub(super) fn compile(text: &RuleText<'_>, schema: &Schema) -> Result<Self, AciError> {
        let all = |rules: &[RuleText<'_>]| -> Result<Vec<Self>, AciError> {
            rules.iter().map(|rule| Self::compile(rule, schema)).collect()
        };
        match text {
            RuleText::And(rules) => Ok(Self::And(all(rules)?)),
            RuleText::Or(rules) => Ok(Self::Or(all(rules)?)),
            RuleText::Not(rule) => Ok(Self::Not(Box::new(Self::compile(rule, schema)?))),
            RuleText::Test { keyword: Keyword::SecurityStrength, comparison, value } => value
                .text
                .trim()
                .parse()
                .map(|bits| Self::Strength(*comparison, bits))
                .map_err(|_| value.error("expected a number of bits")),
            RuleText::Test { keyword: Keyword::TimeOfDay, comparison, value } => {
                let time = value.text.trim();
                let is_whole = time.len() == 4 && time.bytes().all(|octet| octet.is_ascii_digit());
                let found = time.parse().ok().filter(|time| is_whole && time / 100 < 24 && time % 100 < 60);
                found
                    .map(|time| Self::Time(*comparison, time))
                    .ok_or_else(|| value.error("expected a time as hhmm"))
            }
            RuleText::Test { keyword, comparison, value } => {
                let rule = Self::test(*keyword, *value, schema)?;
                Ok(if *comparison == Comparison::NotEqual { Self::Not(Box::new(rule)) } else { rule })
            }
        }
    }

    fn test(keyword: Keyword, value: Quoted<'_>, schema: &Schema) -> Result<Self, AciError> {
        match keyword {
            Keyword::UserDn => {
                let users: Vec<_> =
                    value.parts().map(|part| Self::user(part, schema)).collect::<Result<_, _>>()?;
                Ok(Self::Or(users))
            }
            Keyword::GroupDn => {
                let group = |part: Quoted<'_>| {
                    let text = strip_scheme(part)?;
                    if text.text.contains(['*', '?']) || text.text.is_empty() {
                        return Err(text.error("expected the DN of a group"));
                    }
                    Ok(Self::Group(parse_dn(text, schema)?))
                };
                Ok(Self::Or(value.parts().map(group).collect::<Result<_, _>>()?))
            }
            Keyword::UserAttr => Ok(Self::Attribute(Box::new(UserAttr::compile(value, schema)?))),
            Keyword::Ip => Ok(Self::Address(Network::parse_list(value)?)),
            Keyword::AuthMethod => match value.text.trim().to_ascii_lowercase().as_str() {
                "none" => Ok(Self::Anyone),
                "simple" => Ok(Self::Method(AuthMethod::Simple)),
                "ssl" => Ok(Self::Method(AuthMethod::Ssl)),
                "sasl" => Ok(Self::Or(vec![Self::Method(AuthMethod::Sasl), Self::Method(AuthMethod::Ssl)])),
                other => match other.strip_prefix("sasl ").map(str::trim) {
                    Some("external") => Ok(Self::Method(AuthMethod::Ssl)),
                    Some("plain") => Ok(Self::Method(AuthMethod::Sasl)),
                    Some(_) => Err(value.error("the mechanisms are EXTERNAL and PLAIN")),
                    None => Err(value.error("expected none, simple, ssl, sasl, or sasl and a mechanism")),
                },
            },
            Keyword::DayOfWeek => Self::days(value),
            Keyword::SecurityStrength | Keyword::TimeOfDay => Err(value.error("expected a number")),
        }
    }

    fn user(part: Quoted<'_>, schema: &Schema) -> Result<Self, AciError> {
        let text = strip_scheme(part)?;
        match text.text.to_ascii_lowercase().as_str() {
            "anyone" => Ok(Self::Anyone),
            "all" => Ok(Self::Authenticated),
            "self" => Ok(Self::Own),
            "parent" => Ok(Self::Parent),
            "" => Err(text.error("expected anyone, all, self, parent or a DN")),
            other if other.contains('?') => Ok(Self::UserAmong(Box::new(Population::compile(part, schema)?))),
            other if other.contains('*') => Ok(Self::UserLike(DnPattern::compile(text, schema)?)),
            _ => Ok(Self::User(parse_dn(text, schema)?)),
        }
    }

    fn days(value: Quoted<'_>) -> Result<Self, AciError> {
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let mut days = 0;
        for name in value.text.split(',') {
            let name = name.trim();
            let Some(day) = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name)) else {
                return Err(
                    value.error(format!("`{name}` is no day: expected Mon, Tue, Wed, Thu, Fri, Sat, Sun"))
                );
            };
            days |= 1 << day;
        }
        Ok(Self::Days(days))
    }

    /// The answer for this subject.
    pub(super) fn is_met(&self, subject: &Subject<'_>) -> Tri {
        let who = subject.who;
        match self {
            Self::And(rules) => {
                let mut answer = Tri::True;
                for rule in rules {
                    match rule.is_met(subject) {
                        Tri::False => return Tri::False,
                        Tri::Undefined => answer = Tri::Undefined,
                        Tri::True => {}
                    }
                }
                answer
            }
            Self::Or(rules) => {
                let mut answer = Tri::False;
                for rule in rules {
                    match rule.is_met(subject) {
                        Tri::True => return Tri::True,
                        Tri::Undefined => answer = Tri::Undefined,
                        Tri::False => {}
                    }
                }
                answer
            }
            Self::Not(rule) => match rule.is_met(subject) {
                Tri::True => Tri::False,
                Tri::False => Tri::True,
                Tri::Undefined => Tri::Undefined,
            },
            Self::Anyone => Tri::True,
            Self::Authenticated => tri(!who.is_anonymous()),
            Self::Own => tri(subject.relation == Relation::Own),
            Self::Parent => tri(subject.relation == Relation::Child),
            Self::User(key) => tri(!who.is_anonymous() && who.key == *key),
            Self::UserLike(pattern) => tri(!who.is_anonymous() && pattern.has(&who.key, Scope::Base)),
            Self::UserAmong(population) => population.has(subject),
            Self::Group(group) => is_member(group, subject),
            Self::Attribute(rule) => rule.is_met(subject),
            Self::Address(networks) => tri(networks.iter().any(|network| network.has(who.address))),
            Self::Method(method) => tri(who.method == *method),
            Self::Strength(comparison, bits) => tri(comparison.holds(who.security_strength, *bits)),
            Self::Time(comparison, time) => {
                let (now, _) = subject.local_time();
                tri(comparison.holds(now, *time))
            }
            Self::Days(days) => {
                let (_, today) = subject.local_time();
                tri(days & (1 << today) != 0)
            }
        }
    }

    /// Adds the groups that the rule asks about.
    pub(super) fn groups<'a>(&'a self, found: &mut Vec<&'a NormalizedDn>) {
        match self {
            Self::And(rules) | Self::Or(rules) => rules.iter().for_each(|rule| rule.groups(found)),
            Self::Not(rule) => rule.groups(found),
            Self::Group(group) => found.push(group),
            _ => {}
        }
    }
}

impl Population {
    fn compile(url: Quoted<'_>, schema: &Schema) -> Result<Self, AciError> {
        let parsed = LdapUrl::parse(url.text).map_err(|error| url.error(error.to_string()))?;
        Self::of(&parsed, schema).map_err(|reason| url.error(format!("not a DN: {reason}")))
    }

    pub(super) fn of(url: &LdapUrl, schema: &Schema) -> Result<Self, &'static str> {
        let base = NormalizedDn::parse(&url.dn, schema).map_err(|error| error.reason)?;
        let filter = url.filter.as_ref().map(|filter| CompiledFilter::compile(filter, schema));
        Ok(Self { base, scope: url.scope.unwrap_or(Scope::Base), filter })
    }

    /// Whether the requester is among them.
    pub(super) fn has(&self, subject: &Subject<'_>) -> Tri {
        let who = subject.who;
        if who.is_anonymous() || !self.base.covers(&who.key) {
            return Tri::False;
        }
        let levels = who.key.depth() - self.base.depth();
        let is_in_scope = match self.scope {
            Scope::Base => levels == 0,
            Scope::One => levels == 1,
            Scope::Subtree => true,
            Scope::Subordinate => levels > 0,
        };
        let (true, Some(filter)) = (is_in_scope, &self.filter) else { return tri(is_in_scope) };
        // The requester's own entry may change while it is bound.
        subject.varies.set(true);
        match subject.lookup.map(|lookup| lookup(&who.key)) {
            Some(Ok(Some(entry))) => filter.evaluate(&entry),
            Some(Ok(None)) => Tri::False,
            Some(Err(_)) | None => Tri::Undefined,
        }
    }
}

const fn tri(answer: bool) -> Tri {
    if answer { Tri::True } else { Tri::False }
}

/// Whether the requester is a member of the group: a value of `member` or `uniqueMember`, or among the entries of a
/// `memberURL`. Groups within groups do not count.
pub(super) fn is_member(group: &NormalizedDn, subject: &Subject<'_>) -> Tri {
    let key = &subject.who.key;
    if subject.who.is_anonymous() {
        return Tri::False;
    }
    let entry = match subject.lookup.map(|lookup| lookup(group)) {
        Some(Ok(Some(entry))) => entry,
        Some(Ok(None)) => return Tri::False,
        Some(Err(_)) | None => {
            subject.varies.set(true);
            return Tri::Undefined;
        }
    };
    if ["member", "uniqueMember"].iter().any(|name| has_dn(&entry, name, key, subject.schema)) {
        return Tri::True;
    }
    let mut answer = Tri::False;
    for value in super::values(&entry, "memberURL").into_iter().flatten() {
        let url = std::str::from_utf8(value).ok().and_then(|text| LdapUrl::parse(text).ok());
        let Some(population) = url.and_then(|url| Population::of(&url, subject.schema).ok()) else {
            continue;
        };
        match population.has(subject) {
            Tri::True => return Tri::True,
            Tri::Undefined => answer = Tri::Undefined,
            Tri::False => {}
        }
    }
    answer
}

pub(super) fn has_dn(entry: &StoredEntry, attribute: &str, key: &NormalizedDn, schema: &Schema) -> bool {
    super::values(entry, attribute).into_iter().flatten().any(|value| is_dn(value, key, schema))
}

/// Whether the value is a DN with this key.
pub(super) fn is_dn(value: &[u8], key: &NormalizedDn, schema: &Schema) -> bool {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| NormalizedDn::parse(text, schema).ok())
        .is_some_and(|found| found == *key)
}
