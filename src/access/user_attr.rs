//! The bind rule `userattr`: the entry itself, or one above it, says for whom a permission is.

use super::aci_text::Quoted;
use super::bind_rule::{Population, Subject, has_dn, is_member};
use super::right::AciError;
use crate::entry::{CompiledFilter, StoredEntry, Tri};
use crate::protocol::filter::{Assertion, Filter};
use crate::protocol::url::LdapUrl;
use crate::schema::{NormalizedDn, Schema};

/// Levels that `parent[…]` may name.
const MAX_LEVELS: usize = 10;
const FORMS: &str = "expected attribute#USERDN, attribute#GROUPDN, attribute#LDAPURL, attribute#value, or parent[0,1].attribute#USERDN \
     or #GROUPDN";

/// A `userattr` rule, looked up.
#[derive(Debug, Clone)]
pub(super) struct UserAttr {
    /// Canonical name of the attribute whose values tell.
    attribute: String,
    /// Where they are looked for: 0 is the entry, 1 its parent, and so on.
    levels: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// The values are DNs: the requester's is one of them.
    User,
    /// They are DNs of groups (below a base, if there is one): the requester is a member.
    Group(Option<NormalizedDn>),
    /// They are LDAP URLs: the requester is among the entries of one.
    Url,
    /// This value is one of the entry's and one of the requester's own entry.
    Shared(CompiledFilter),
}

impl UserAttr {
    pub(super) fn compile(value: Quoted<'_>, schema: &Schema) -> Result<Self, AciError> {
        let refuse = || value.error(FORMS);
        let (place, kind) = value.text.split_once('#').ok_or_else(refuse)?;
        let (place, kind) = (place.trim(), kind.trim());
        if kind.is_empty() || kind.contains('#') {
            return Err(refuse());
        }
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        if is("ROLEDN") {
            let text = "`userattr` with #ROLEDN is not supported, for there are no roles; use #GROUPDN";
            return Err(value.error(text));
        }
        let takes_levels = is("USERDN") || is("GROUPDN");
        let (levels, rest) = match levels(place, value)? {
            Some(_) if !takes_levels => {
                return Err(value.error("`parent[…]` goes with #USERDN and #GROUPDN alone"));
            }
            Some(found) => found,
            None => (vec![0], place),
        };
        let (base, name) = match base(rest, value, schema)? {
            Some(_) if !is("GROUPDN") => {
                return Err(value.error("a URL in front of `#` goes with #GROUPDN alone"));
            }
            Some((base, name)) => (Some(base), name),
            None => (None, rest.to_owned()),
        };
        let Some(found) = schema.attribute(&name) else {
            return Err(value.error(format!("the schema has no attribute type `{name}`")));
        };
        let attribute = found.name().to_owned();
        let kind = if is("USERDN") {
            Kind::User
        } else if is("GROUPDN") {
            Kind::Group(base)
        } else if is("LDAPURL") {
            Kind::Url
        } else {
            let assertion = Assertion { attribute: attribute.as_str().into(), value: kind.as_bytes().into() };
            Kind::Shared(CompiledFilter::compile(&Filter::Equality(assertion), schema))
        };
        Ok(Self { attribute, levels, kind })
    }

    /// The answer for this subject. Of an entry that is about to be added nothing is believed: whoever adds it wrote it.
    pub(super) fn is_met(&self, subject: &Subject<'_>) -> Tri {
        subject.varies.set(true);
        if subject.who.is_anonymous() {
            return Tri::False;
        }
        let mut answer = Tri::False;
        for level in &self.levels {
            let told = match (level, subject.entry) {
                (0, Some(entry)) if !subject.is_new => self.is_told(entry, subject),
                (0, _) => Tri::Undefined,
                (above, _) => self.is_told_above(*above, subject),
            };
            match told {
                Tri::True => return Tri::True,
                Tri::Undefined => answer = Tri::Undefined,
                Tri::False => {}
            }
        }
        answer
    }

    fn is_told_above(&self, levels: u8, subject: &Subject<'_>) -> Tri {
        let mut key = subject.key.clone();
        for _ in 0..levels {
            let Some(parent) = key.parent() else { return Tri::False };
            key = parent;
        }
        match subject.lookup.map(|lookup| lookup(&key)) {
            Some(Ok(Some(entry))) => self.is_told(&entry, subject),
            Some(Ok(None)) => Tri::False,
            Some(Err(_)) | None => Tri::Undefined,
        }
    }

    /// What the entry says.
    fn is_told(&self, entry: &StoredEntry, subject: &Subject<'_>) -> Tri {
        let who = subject.who;
        let values = || super::values(entry, &self.attribute).into_iter().flatten();
        let texts = || values().filter_map(|value| std::str::from_utf8(value).ok());
        match &self.kind {
            Kind::User if has_dn(entry, &self.attribute, &who.key, subject.schema) => Tri::True,
            Kind::User => Tri::False,
            Kind::Group(base) => any(texts().map(|text| match NormalizedDn::parse(text, subject.schema) {
                Ok(group) if base.as_ref().is_none_or(|base| base.covers(&group)) => {
                    is_member(&group, subject)
                }
                _ => Tri::False,
            })),
            Kind::Url => any(texts().map(|text| {
                let url = LdapUrl::parse(text).ok();
                let population = url.and_then(|url| Population::of(&url, subject.schema).ok());
                population.map_or(Tri::False, |population| population.has(subject))
            })),
            Kind::Shared(is_there) if is_there.evaluate(entry) != Tri::True => Tri::False,
            Kind::Shared(is_there) => match subject.lookup.map(|lookup| lookup(&who.key)) {
                Some(Ok(Some(own))) if is_there.evaluate(&own) == Tri::True => Tri::True,
                Some(Ok(_)) => Tri::False,
                Some(Err(_)) | None => Tri::Undefined,
            },
        }
    }
}

/// True if one is, else undefined if one is.
fn any(answers: impl Iterator<Item = Tri>) -> Tri {
    let mut found = Tri::False;
    for answer in answers {
        match answer {
            Tri::True => return Tri::True,
            Tri::Undefined => found = Tri::Undefined,
            Tri::False => {}
        }
    }
    found
}

/// The levels of `parent[0,1].attribute`, and what follows; none if it is no such text.
fn levels<'a>(place: &'a str, value: Quoted<'_>) -> Result<Option<(Vec<u8>, &'a str)>, AciError> {
    const PARENT: &str = "parent[";
    let rest = match place.split_at_checked(PARENT.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(PARENT) => rest,
        _ => return Ok(None),
    };
    let (inside, rest) = rest.split_once("].").ok_or_else(|| value.error(FORMS))?;
    let found: Result<Vec<u8>, _> = inside.split(',').map(|level| level.trim().parse()).collect();
    match found {
        Ok(levels) if levels.len() <= MAX_LEVELS => Ok(Some((levels, rest.trim()))),
        Ok(_) => Err(value.error(format!("`parent[…]` takes up to {MAX_LEVELS} levels"))),
        Err(_) => Err(value.error("the levels of `parent[…]` are numbers: 0 is the entry, 1 its parent")),
    }
}

/// Base and attribute of `ldap:///base?attribute`; none if it is no URL.
fn base(place: &str, value: Quoted<'_>, schema: &Schema) -> Result<Option<(NormalizedDn, String)>, AciError> {
    if !place.contains("://") {
        return Ok(None);
    }
    let url = LdapUrl::parse(place).map_err(|error| value.error(error.to_string()))?;
    let base = NormalizedDn::parse(&url.dn, schema)
        .map_err(|error| value.error(format!("not a DN: {}", error.reason)))?;
    match (base.is_root(), url.attributes.as_slice()) {
        (false, [name]) => Ok(Some((base, name.clone()))),
        _ => Err(value.error("expected a URL with a DN and one attribute: ldap:///DN?attribute#GROUPDN")),
    }
}
