//! What `targetattr` names, looked up in the schema once.

use super::aci_text::Clause;
use super::right::AciError;
use crate::schema::{Schema, TypeId};

/// An attribute that is asked about, looked up once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttributeRef {
    /// Its type; none if the schema has no such type.
    pub(super) id: Option<TypeId>,
    pub(super) is_operational: bool,
}

impl AttributeRef {
    /// The attribute of a description in any spelling; options do not count. What the schema does not know is a user
    /// attribute that no list names.
    pub(super) fn of(description: &str, schema: &Schema) -> Self {
        let name = description.split(';').next().unwrap_or_default();
        match schema.attribute(name) {
            Some(found) => Self { id: Some(found.id), is_operational: found.is_operational() },
            None => Self { id: None, is_operational: false },
        }
    }
}

/// The attributes that a `targetattr` clause means: `*` all user attributes, `+` all operational ones, names with
/// their subtypes. A negated list means the other attributes of the kinds (user, operational) that it names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AttributeSet {
    all_user: bool,
    all_operational: bool,
    /// Those of `all_user` and `all_operational` that are not meant; sorted.
    except: Vec<TypeId>,
    /// Meant in any case; sorted.
    named: Vec<TypeId>,
    /// Whether a user attribute may be among them at all.
    touches_user: bool,
}

impl AttributeSet {
    pub(super) fn compile(clause: Clause<'_>, schema: &Schema) -> Result<Self, AciError> {
        let mut named = Vec::new();
        let (mut star, mut plus, mut names_user, mut names_operational) = (false, false, false, false);
        for part in clause.value.parts() {
            match part.text {
                "*" => star = true,
                "+" => plus = true,
                "" => return Err(part.error("expected an attribute name, `*` or `+`")),
                name if name.contains(';') => {
                    return Err(part.error("attribute options are not supported here"));
                }
                name if !is_name(name) => {
                    return Err(part.error(format!("`{name}` is not an attribute name, `*` or `+`")));
                }
                name => match schema.attribute(name) {
                    // A name that the schema lacks waits for its definition: the ACIs are compiled anew when the schema
                    // changes. A negated list must not grant more because of that, so the name counts as a user one.
                    None => names_user = true,
                    Some(found) => {
                        names_user |= !found.is_operational();
                        names_operational |= found.is_operational();
                        named.push(found.id);
                        named.extend(&found.subtypes);
                    }
                },
            }
        }
        named.sort_unstable();
        named.dedup();
        Ok(if clause.negated {
            let all_user = names_user && !star;
            let all_operational = names_operational && !plus;
            Self { all_user, all_operational, except: named, named: Vec::new(), touches_user: all_user }
        } else {
            Self {
                all_user: star,
                all_operational: plus,
                except: Vec::new(),
                named,
                touches_user: star || names_user,
            }
        })
    }

    pub(super) fn has(&self, attribute: AttributeRef) -> bool {
        let named = |list: &[TypeId]| attribute.id.is_some_and(|id| list.binary_search(&id).is_ok());
        let all = if attribute.is_operational { self.all_operational } else { self.all_user };
        (all && (self.except.is_empty() || !named(&self.except)))
            || (!self.named.is_empty() && named(&self.named))
    }

    /// Whether every user attribute is meant.
    pub(super) fn is_every_user(&self) -> bool {
        self.all_user && self.except.is_empty()
    }

    /// Whether some user attribute is, or may be, meant.
    pub(super) fn touches_user(&self) -> bool {
        self.touches_user
    }

    /// Whether rights on entries as a whole come with it: `*`, or a negated list of user attributes.
    pub(super) fn stands_for_entry(&self) -> bool {
        self.all_user
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::super::aci_text::Quoted;
    use super::super::fixture::Fixture;
    use super::*;

    fn set(text: &str, negated: bool) -> Result<AttributeSet, AciError> {
        let clause = Clause { value: Quoted { offset: 13, text }, negated };
        AttributeSet::compile(clause, &Fixture::new().schema)
    }

    fn holds(set: &AttributeSet, name: &str) -> bool {
        set.has(AttributeRef::of(name, &Fixture::new().schema))
    }

    #[test]
    fn what_each_form_means() {
        // clause, negated, then: cn (user), sn (user), etag (operational), creatorsName (operational), x-none (unknown)
        let table = [
            ("*", false, [true, true, false, false, true]),
            ("+", false, [false, false, true, true, false]),
            ("* || +", false, [true, true, true, true, true]),
            ("cn", false, [true, false, false, false, false]),
            ("CN || etag", false, [true, false, true, false, false]),
            ("2.5.4.3", false, [true, false, false, false, false]),
            ("* || etag", false, [true, true, true, false, true]),
            ("name", false, [true, true, false, false, false]),
            ("cn", true, [false, true, false, false, true]),
            ("etag", true, [false, false, false, true, false]),
            ("cn || etag", true, [false, true, false, true, true]),
            ("*", true, [false, false, false, false, false]),
            ("x-none", false, [false, false, false, false, false]),
        ];
        for (text, negated, expected) in table {
            let set = set(text, negated).unwrap();
            let found = ["cn", "SN;lang-de", "ETag", "creatorsName", "x-none"].map(|name| holds(&set, name));
            assert_eq!(found, expected, "{text} {negated}");
        }
    }

    #[test]
    fn faults() {
        assert_eq!(set("cn || ", false).unwrap_err().offset, 19);
        assert!(set("", false).is_err());
        assert!(set("cn;lang-de", false).unwrap_err().reason.contains("options"));
        assert!(set("cn, sn", false).is_err());
    }
}
