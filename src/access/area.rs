//! Which entries an ACI is about: `target` and `targetscope` below the entry that holds it.

use super::aci_text::{Clause, Quoted};
use super::right::AciError;
use crate::name::Dn;
use crate::protocol::message::Scope;
use crate::protocol::url;
use crate::schema::{NormalizedDn, Schema};

/// The entries an ACI is about.
#[derive(Debug, Clone)]
pub(super) struct Area {
    base: Base,
    scope: Scope,
    negated: bool,
}

#[derive(Debug, Clone)]
enum Base {
    Dn(NormalizedDn),
    Pattern(DnPattern),
}

/// Whether an area holds the entries of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    All,
    None,
    Some,
}

/// Entries between which areas do not tell, but for patterns and the `onelevel` scope: the point itself, or all
/// entries below it that have no other point nearer above them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) point: &'a NormalizedDn,
    pub(super) is_point: bool,
}

impl Area {
    /// Looks the clauses up; a target that is one DN has to lie at or below `holder`.
    pub(super) fn compile(
        target: Option<Clause<'_>>,
        scope: Option<Clause<'_>>,
        holder: &NormalizedDn,
        schema: &Schema,
    ) -> Result<Self, AciError> {
        let scope = match scope {
            None => Scope::Subtree,
            Some(clause) => parse_scope(clause)?,
        };
        let Some(clause) = target else {
            return Ok(Self { base: Base::Dn(holder.clone()), scope, negated: false });
        };
        let text = strip_scheme(clause.value)?;
        let base = if text.text.contains('*') {
            Base::Pattern(DnPattern::compile(text, schema)?)
        } else {
            let key = parse_dn(text, schema)?;
            if !holder.covers(&key) {
                return Err(text.error("the target must be the entry that holds the ACI, or lie below it"));
            }
            Base::Dn(key)
        };
        Ok(Self { base, scope, negated: clause.negated })
    }

    /// The entry at which the area begins, if it is a fixed one.
    pub(super) fn base(&self) -> Option<&NormalizedDn> {
        match &self.base {
            Base::Dn(key) => Some(key),
            Base::Pattern(_) => None,
        }
    }

    /// Whether it holds the entry.
    pub(super) fn has(&self, key: &NormalizedDn) -> bool {
        let inside = match &self.base {
            Base::Pattern(pattern) => pattern.has(key, self.scope),
            Base::Dn(base) => match self.scope {
                Scope::Base => base == key,
                Scope::One => base.covers(key) && key.depth() == base.depth() + 1,
                Scope::Subtree => base.covers(key),
                Scope::Subordinate => base.covers(key) && base != key,
            },
        };
        inside != self.negated
    }

    /// Whether it may hold entries at or below this one.
    pub(super) fn may_reach(&self, key: &NormalizedDn) -> bool {
        let Base::Dn(base) = &self.base else { return true };
        let is_below = key.covers(base);
        self.negated
            || match self.scope {
                Scope::Base => is_below,
                Scope::One => is_below || key.parent().is_some_and(|parent| parent == *base),
                Scope::Subtree | Scope::Subordinate => is_below || base.covers(key),
            }
    }

    /// Whether it holds the entries of a place. The area's base must be a point.
    pub(super) fn holds(&self, place: Place<'_>) -> Holds {
        let Base::Dn(base) = &self.base else { return Holds::Some };
        if place.is_point {
            return if self.has(place.point) { Holds::All } else { Holds::None };
        }
        let inside = match self.scope {
            Scope::Base => false,
            Scope::One if place.point == base => return Holds::Some,
            Scope::One => false,
            Scope::Subtree | Scope::Subordinate => base.covers(place.point),
        };
        if inside != self.negated { Holds::All } else { Holds::None }
    }
}

fn parse_scope(clause: Clause<'_>) -> Result<Scope, AciError> {
    if clause.negated {
        return Err(clause.value.error("targetscope can only be given by `=`"));
    }
    Ok(match clause.value.text.trim().to_ascii_lowercase().as_str() {
        "base" => Scope::Base,
        "onelevel" | "one" => Scope::One,
        "subtree" | "sub" => Scope::Subtree,
        "subordinate" | "subordinates" => Scope::Subordinate,
        _ => return Err(clause.value.error("expected base, onelevel, subtree or subordinate")),
    })
}

/// The text behind `ldap:///`.
pub(super) fn strip_scheme(value: Quoted<'_>) -> Result<Quoted<'_>, AciError> {
    const SCHEME: &str = "ldap:///";
    let text = value.text.trim_start();
    let offset = value.offset + value.text.len() - text.len();
    match text.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => {
            Ok(Quoted { offset: offset + SCHEME.len(), text: rest.trim_end() })
        }
        _ => Err(value.error("expected `ldap:///`")),
    }
}

/// The key of a DN that may be percent-encoded.
pub(super) fn parse_dn(text: Quoted<'_>, schema: &Schema) -> Result<NormalizedDn, AciError> {
    let decoded = url::decode(text.text).map_err(|error| text.error(error.to_string()))?;
    NormalizedDn::parse(&decoded, schema).map_err(|error| {
        let offset = text.offset + error.offset;
        AciError { offset, reason: format!("not a DN: {}", error.reason) }
    })
}

/// A DN with wildcards, root first: `*` within a value is any text, `*` as a level any one level, `**` any number
/// of levels.
#[derive(Debug, Clone)]
pub(super) struct DnPattern(Vec<Level>);

#[derive(Debug, Clone)]
enum Level {
    /// Octets of a normalised RDN in which `*` is any octets.
    Like(Box<[u8]>),
    Any,
    AnyNumber,
}

impl DnPattern {
    pub(super) fn compile(text: Quoted<'_>, schema: &Schema) -> Result<Self, AciError> {
        let decoded = url::decode(text.text).map_err(|error| text.error(error.to_string()))?;
        if decoded.to_ascii_lowercase().contains("\\2a") || decoded.contains("\\*") {
            return Err(text.error("an escaped `*` beside wildcards is not supported"));
        }
        let mut levels = split_levels(&decoded)
            .map(|level| match level.trim() {
                "*" => Ok(Level::Any),
                "**" => Ok(Level::AnyNumber),
                level => {
                    let dn = Dn::parse(level)
                        .map_err(|error| text.error(format!("`{level}` is not an RDN: {}", error.reason)))?;
                    if dn.depth() != 1 || level.split('=').next().is_some_and(|name| name.contains('*')) {
                        return Err(text.error(format!("`{level}` is not an RDN")));
                    }
                    let key = NormalizedDn::of(&dn, schema);
                    let octets = key.as_bytes();
                    Ok(Level::Like(octets.strip_suffix(&[0]).unwrap_or(octets).into()))
                }
            })
            .collect::<Result<Vec<_>, AciError>>()?;
        levels.reverse();
        if levels.iter().filter(|level| matches!(level, Level::AnyNumber)).count() > 2 {
            return Err(text.error("more than two `**` are not supported"));
        }
        Ok(Self(levels))
    }

    /// Whether an entry of the pattern stands to `key` as the scope says.
    pub(super) fn has(&self, key: &NormalizedDn, scope: Scope) -> bool {
        let octets = key.as_bytes();
        let levels: Vec<&[u8]> = octets
            .strip_suffix(&[0])
            .map(|inner| inner.split(|&octet| octet == 0).collect())
            .unwrap_or_default();
        let at = |depth: usize| levels.get(..depth).is_some_and(|upper| matches(&self.0, upper));
        let depth = levels.len();
        match scope {
            Scope::Base => at(depth),
            Scope::One => depth > 0 && at(depth - 1),
            Scope::Subtree => (0..=depth).any(at),
            Scope::Subordinate => (0..depth).any(at),
        }
    }
}

/// The levels of DN text: cut at commas and semicolons that are not escaped.
fn split_levels(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c: char| {
        let cuts = matches!(c, ',' | ';') && !escaped;
        escaped = c == '\\' && !escaped;
        cuts
    })
}

fn matches(pattern: &[Level], levels: &[&[u8]]) -> bool {
    match pattern.split_first() {
        None => levels.is_empty(),
        Some((Level::AnyNumber, rest)) => {
            (0..=levels.len()).any(|skip| levels.get(skip..).is_some_and(|left| matches(rest, left)))
        }
        Some((level, rest)) => match levels.split_first() {
            None => false,
            Some((first, left)) => {
                let fits = match level {
                    Level::Like(pattern) => is_like(first, pattern),
                    _ => true,
                };
                fits && matches(rest, left)
            }
        },
    }
}

/// Whether the octets are the pattern's, in which `*` is any octets.
fn is_like(octets: &[u8], pattern: &[u8]) -> bool {
    let mut parts = pattern.split(|&octet| octet == b'*');
    let Some(mut rest) = octets.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts.filter(|part| !part.is_empty()) {
        let Some(at) = rest.windows(part.len()).position(|window| window == part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    fn clause(text: &str, negated: bool) -> Clause<'_> {
        Clause { value: Quoted { offset: 9, text }, negated }
    }

    fn area(target: &str, negated: bool, scope: &str) -> Result<Area, AciError> {
        let fixture = Fixture::new();
        Area::compile(
            Some(clause(target, negated)),
            Some(clause(scope, false)),
            &fixture.key("dc=com"),
            &fixture.schema,
        )
    }

    /// Whether the area has: the holder, the base, a child of it, a grandchild, a stranger.
    fn row(area: &Area) -> [bool; 5] {
        let fixture = Fixture::new();
        ["dc=com", "ou=a,dc=com", "ou=b,ou=a,dc=com", "ou=c,ou=b,ou=a,dc=com", "ou=d,dc=com"]
            .map(|dn| area.has(&fixture.key(dn)))
    }

    #[test]
    fn each_scope_both_ways() {
        let table = [
            ("base", [false, true, false, false, false]),
            ("oneLevel", [false, false, true, false, false]),
            ("subtree", [false, true, true, true, false]),
            ("subordinate", [false, false, true, true, false]),
        ];
        for (scope, expected) in table {
            for target in ["ldap:///ou=a,dc=com", "LDAP:///OU=A, dc=com", "ldap:///ou=%61,dc=com"] {
                assert_eq!(row(&area(target, false, scope).unwrap()), expected, "{scope}");
            }
            let not = expected.map(|inside: bool| !inside);
            assert_eq!(row(&area("ldap:///ou=a,dc=com", true, scope).unwrap()), not, "{scope}");
            let pattern = area("ldap:///ou=a*,dc=com", false, scope).unwrap();
            assert_eq!(row(&pattern), expected, "pattern {scope}");
        }
    }

    #[test]
    fn places_agree_with_entries() {
        let fixture = Fixture::new();
        let base = fixture.key("ou=a,dc=com");
        let above = fixture.key("dc=com");
        for scope in ["base", "onelevel", "subtree", "subordinate"] {
            for negated in [false, true] {
                let area = area("ldap:///ou=a,dc=com", negated, scope).unwrap();
                let below_base = area.holds(Place { point: &base, is_point: false });
                let [holder, at_base, child, grandchild, stranger] = row(&area);
                let expected = match (child, grandchild) {
                    (true, true) => Holds::All,
                    (false, false) => Holds::None,
                    _ => Holds::Some,
                };
                assert_eq!(below_base, expected, "{scope} {negated}");
                let all = |inside| if inside { Holds::All } else { Holds::None };
                assert_eq!(area.holds(Place { point: &base, is_point: true }), all(at_base));
                assert_eq!(area.holds(Place { point: &above, is_point: true }), all(holder));
                assert_eq!(area.holds(Place { point: &above, is_point: false }), all(stranger));
            }
        }
    }

    #[test]
    fn wildcards() {
        let fixture = Fixture::new();
        let has = |pattern: &str, dn: &str| {
            let text = Quoted { offset: 0, text: pattern };
            DnPattern::compile(text, &fixture.schema).unwrap().has(&fixture.key(dn), Scope::Base)
        };
        assert!(has("uid=*,dc=com", "uid=x,dc=com") && !has("uid=*,dc=com", "cn=x,dc=com"));
        assert!(!has("uid=*,dc=com", "uid=x,ou=a,dc=com"));
        assert!(has("uid=a*c*e,dc=com", "uid=abcde,dc=com") && !has("uid=a*c*e,dc=com", "uid=aecd,dc=com"));
        assert!(has("*,dc=com", "uid=x,dc=com") && !has("*,dc=com", "dc=com"));
        assert!(!has("*,dc=com", "uid=x,ou=a,dc=com") && has("**,dc=com", "uid=x,ou=a,dc=com"));
        assert!(has("uid=A*,**,dc=com", "uid=abc,ou=a,ou=b,dc=com") && has("uid=a*,**", "uid=abc"));
        assert!(!has("uid=aa*aa", "uid=aaa"));
    }

    #[test]
    fn faults() {
        assert!(area("ldap:///ou=a,dc=org", false, "base").unwrap_err().reason.contains("lie below"));
        assert_eq!(area("ldap:///ou", false, "base").unwrap_err().offset, 19);
        assert!(area("ou=a,dc=com", false, "base").unwrap_err().reason.contains("ldap:///"));
        assert!(area("ldap:///ou=a,dc=com", false, "all").is_err());
        assert!(area("ldap:///*x,dc=com", false, "base").is_err());
        assert!(area("ldap:///ou=\\2a*,dc=com", false, "base").is_err());
    }
}
