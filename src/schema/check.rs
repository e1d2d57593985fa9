//! An entry against its object classes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::bits::Bits;
use super::names::NameHasher;
use super::{Kind, ObjectClass, Schema, TypeId};

/// How an entry breaks the schema; each maps to one result code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// objectClassViolation (65); says which class or attribute.
    #[error("{0}")]
    ObjectClass(String),
    /// invalidAttributeSyntax (21); names attribute, value's fault and what the syntax accepts.
    #[error("{0}")]
    Syntax(String),
    /// undefinedAttributeType (17).
    #[error("{0}")]
    UndefinedType(String),
    /// constraintViolation (19).
    #[error("{0}")]
    Constraint(String),
    /// attributeOrValueExists (20).
    #[error("{0}")]
    Duplicate(String),
}

impl Violation {
    /// An entry holds an attribute that the schema lacks: 65 as in the reference (cts-contract.md §6), not 17.
    pub fn undefined_attribute(name: &str) -> Self {
        Self::ObjectClass(format!("the attribute {name:?} is not defined in the schema"))
    }
}

/// The object classes of an entry, resolved: what it must and may hold.
#[derive(Debug)]
pub struct ResolvedClasses {
    classes: Vec<Arc<ObjectClass>>,
    /// How many of the classes the entry names; the others are superiors that it left out.
    named: usize,
    structural: Arc<ObjectClass>,
    /// Without objectClass itself, which is there if there are classes.
    must: Vec<TypeId>,
    allowed: Bits,
    is_extensible: bool,
}

impl ResolvedClasses {
    /// The classes: those the entry names, then the superiors it left out.
    pub fn classes(&self) -> &[Arc<ObjectClass>] {
        &self.classes
    }

    /// Superiors that the entry does not name; to be added to its objectClass values.
    pub fn left_out(&self) -> &[Arc<ObjectClass>] {
        self.classes.get(self.named..).unwrap_or_default()
    }

    /// The structural class: the most derived of those that are structural.
    pub fn structural(&self) -> &Arc<ObjectClass> {
        &self.structural
    }

    /// Whether the entry may hold this attribute.
    pub fn allows(&self, schema: &Schema, id: TypeId) -> bool {
        self.allowed.contains(id)
            || schema.operational.contains(id)
            || self.is_extensible && schema.attribute_by_id(id).is_some()
    }

    /// Checks which attributes are there, and how many values each has: required ones present, no others than
    /// allowed ones, one value where one is the bound. Operational attributes are allowed everywhere.
    ///
    /// An attribute with no value counts as absent. All violations are objectClassViolation, as in the reference.
    pub fn check(&self, schema: &Schema, present: &[(TypeId, usize)]) -> Result<(), Violation> {
        for &(id, count) in present {
            if count > 1 && schema.single_valued.contains(id) {
                let name = name_of(schema, id);
                return Err(Violation::ObjectClass(format!(
                    "{name} takes one value, the entry would have {count}"
                )));
            }
            if count > 0 && !self.allows(schema, id) {
                let classes: Vec<&str> = self.classes.iter().map(|class| class.name()).collect();
                return Err(Violation::ObjectClass(format!(
                    "{} is not allowed by the object classes {}",
                    name_of(schema, id),
                    classes.join(", ")
                )));
            }
        }
        for &wanted in &self.must {
            if !present.iter().any(|&(id, count)| id == wanted && count > 0) {
                let class = self.classes.iter().find(|class| class.must.contains(&wanted));
                return Err(Violation::ObjectClass(format!(
                    "{} is required by the object class {}",
                    name_of(schema, wanted),
                    class.map_or("", |class| class.name())
                )));
            }
        }
        Ok(())
    }
}

fn name_of(schema: &Schema, id: TypeId) -> &str {
    schema.attribute_by_id(id).map_or("an undefined attribute", |attribute| attribute.name())
}

type Checks = HashMap<u64, (Vec<Box<[u8]>>, Arc<ResolvedClasses>), BuildHasherDefault<NameHasher>>;

/// Class lists resolved before, by the values as spelled: tokens all have the same.
#[derive(Default)]
pub(super) struct CheckCache(ArcSwap<Checks>);

impl CheckCache {
    /// Lists kept; more are resolved anew each time.
    const MAX_LISTS: usize = 512;

    fn get<C: AsRef<[u8]>>(&self, key: u64, names: &[C]) -> Option<Arc<ResolvedClasses>> {
        let checks = self.0.load();
        let (known, resolved) = checks.get(&key)?;
        let is_same = known.len() == names.len() && known.iter().zip(names).all(|(a, b)| **a == *b.as_ref());
        is_same.then(|| Arc::clone(resolved))
    }

    fn put<C: AsRef<[u8]>>(&self, key: u64, names: &[C], resolved: &Arc<ResolvedClasses>) {
        if self.0.load().len() >= Self::MAX_LISTS {
            return;
        }
        self.0.rcu(|checks| {
            let mut checks = Checks::clone(checks);
            let names = names.iter().map(|name| name.as_ref().into()).collect();
            checks.insert(key, (names, Arc::clone(resolved)));
            checks
        });
    }
}

impl Clone for CheckCache {
    /// An empty one: what is kept belongs to one snapshot.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for CheckCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CheckCache({})", self.0.load().len())
    }
}

impl Schema {
    /// The number of `objectClass`; none in an empty schema.
    pub fn object_class_id(&self) -> Option<TypeId> {
        self.object_class_id
    }

    /// Resolves the values of an entry's objectClass. Lists seen before cost one look-up.
    ///
    /// Fails on an unknown class, on none that is structural, and on structural ones of which none descends from
    /// all others (RFC 4512 §2.4).
    pub fn check_classes<C: AsRef<[u8]>>(&self, names: &[C]) -> Result<Arc<ResolvedClasses>, Violation> {
        let mut hasher = NameHasher::default();
        for name in names {
            hasher.write(name.as_ref());
            hasher.write_usize(name.as_ref().len());
        }
        let key = hasher.finish();
        if let Some(resolved) = self.checks.get(key, names) {
            return Ok(resolved);
        }
        let resolved = Arc::new(self.resolve_names(names)?);
        self.checks.put(key, names, &resolved);
        Ok(resolved)
    }

    fn resolve_names<C: AsRef<[u8]>>(&self, names: &[C]) -> Result<ResolvedClasses, Violation> {
        let mut classes: Vec<Arc<ObjectClass>> = Vec::with_capacity(names.len() + 2);
        for name in names {
            let name = String::from_utf8_lossy(name.as_ref());
            let Some(class) = self.object_class(name.trim()) else {
                return Err(Violation::ObjectClass(format!(
                    "the object class {name:?} is not defined in the schema"
                )));
            };
            if !classes.contains(class) {
                classes.push(Arc::clone(class));
            }
        }
        let named = classes.len();
        for at in 0..named {
            let superiors = classes.get(at).map(|class| self.with_superiors(class)).unwrap_or_default();
            for superior in superiors {
                if !classes.contains(&superior) {
                    classes.push(superior);
                }
            }
        }
        let structural = structural(&classes)?;
        let mut must: Vec<TypeId> = classes.iter().flat_map(|class| class.must.iter().copied()).collect();
        must.sort_unstable();
        must.dedup();
        must.retain(|id| Some(*id) != self.object_class_id);
        let mut allowed = Bits::default();
        for class in &classes {
            class.must.iter().chain(&class.may).for_each(|id| allowed.insert(*id));
        }
        let is_extensible = classes.iter().any(|class| class.is_extensible_object());
        Ok(ResolvedClasses { classes, named, structural, must, allowed, is_extensible })
    }
}

/// The structural class that descends from all other structural ones.
fn structural(classes: &[Arc<ObjectClass>]) -> Result<Arc<ObjectClass>, Violation> {
    let mut structural = classes.iter().filter(|class| class.kind == Kind::Structural);
    let Some(first) = structural.next() else {
        return Err(Violation::ObjectClass("the entry has no structural object class".to_owned()));
    };
    let mut lowest = first;
    for class in structural {
        if class.is_or_descends_from(lowest) {
            lowest = class;
        } else if !lowest.is_or_descends_from(class) {
            return Err(Violation::ObjectClass(format!(
                "the structural object classes {} and {} do not descend from each other",
                lowest.name(),
                class.name()
            )));
        }
    }
    Ok(Arc::clone(lowest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaStore;

    fn schema() -> Arc<Schema> {
        SchemaStore::builtin(true).current()
    }

    fn fault<C: AsRef<[u8]>>(names: &[C]) -> String {
        match schema().check_classes(names) {
            Err(Violation::ObjectClass(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn superiors_left_out_are_found() {
        let schema = schema();
        let token = schema.check_classes(&["frCoreToken"]).unwrap();
        assert_eq!(token.structural().name(), "frCoreToken");
        assert_eq!(token.left_out().iter().map(|c| c.name()).collect::<Vec<_>>(), ["top"]);
        assert!(Arc::ptr_eq(&token, &schema.check_classes(&["frCoreToken".as_bytes()]).unwrap()));
        let person = schema.check_classes(&["inetOrgPerson", "TOP", "Person"]).unwrap();
        assert_eq!(person.structural().name(), "inetOrgPerson");
        assert_eq!(person.left_out().iter().map(|c| c.name()).collect::<Vec<_>>(), ["organizationalPerson"]);
        let unit = schema.check_classes(&["2.5.6.5", "extensibleObject"]).unwrap();
        assert_eq!(unit.structural().name(), "organizationalUnit");
    }

    #[test]
    fn classes_that_do_not_go_together_are_refused() {
        assert!(fault(&["top", "noSuchClass"]).contains("noSuchClass"));
        assert!(fault(&["top"]).contains("no structural"));
        assert!(fault::<&str>(&[]).contains("no structural"));
        assert!(fault(&["extensibleObject"]).contains("no structural"));
        let reason = fault(&["person", "organizationalUnit"]);
        assert!(reason.contains("person") && reason.contains("organizationalUnit"));
    }

    #[test]
    fn attributes_are_checked_against_the_classes() {
        let schema = schema();
        let id = |name: &str| schema.attribute(name).unwrap().id;
        let token = schema.check_classes(&["frCoreToken"]).unwrap();
        let base = [(id("objectClass"), 1), (id("coreTokenId"), 1), (id("coreTokenType"), 1)];
        assert_eq!(token.check(&schema, &base), Ok(()));
        let with = |more: &[(&str, usize)]| {
            let present: Vec<_> =
                base.iter().copied().chain(more.iter().map(|(name, count)| (id(name), *count))).collect();
            token.check(&schema, &present).map_err(|violation| violation.to_string())
        };
        assert_eq!(with(&[("coreTokenMultiString01", 5), ("coreTokenObject", 1)]), Ok(()));
        assert_eq!(with(&[("aci", 2), ("ds-privilege-name", 1), ("etag", 1)]), Ok(()));
        assert!(with(&[("coreTokenString01", 2)]).unwrap_err().contains("coreTokenString01 takes one value"));
        assert!(
            with(&[("cn", 1)])
                .unwrap_err()
                .contains("cn is not allowed by the object classes frCoreToken, top")
        );
        assert_eq!(with(&[("cn", 0)]), Ok(()));
        let without_type = token.check(&schema, &base[..2]).unwrap_err().to_string();
        assert_eq!(without_type, "coreTokenType is required by the object class frCoreToken");
        let anything = schema.check_classes(&["domain", "extensibleObject"]).unwrap();
        assert_eq!(anything.check(&schema, &[(id("dc"), 1), (id("cn"), 3), (id("coreTokenId"), 1)]), Ok(()));
        assert!(anything.check(&schema, &[(id("dc"), 2)]).is_err());
    }
}
