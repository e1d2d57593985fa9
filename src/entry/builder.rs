//! Putting an entry together: from an AddRequest, from LDIF, or by the server itself for its virtual entries.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::list;
use super::modify::{ModifyError, check_value, same_value, undefined};
use super::stored::{EntryParts, EntryUuid, StoredEntry};
use crate::protocol::message::Attributes;
use crate::schema::{AttributeDescription, MatchingRule, Schema, TypeId, Violation};

/// Puts an entry together. Attributes keep the order in which they first came, values theirs.
#[derive(Debug, Default, Clone)]
pub struct EntryBuilder {
    /// All names and values, one after another.
    arena: Vec<u8>,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone)]
struct Slot {
    name: Span,
    /// The attribute's type, if the schema has it.
    of: Option<TypeId>,
    has_options: bool,
    operational: bool,
    equality: Option<MatchingRule>,
    values: SmallVec<[Span; 2]>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl EntryBuilder {
    /// An entry without attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an AddRequest's attributes: descriptions become canonical, values are checked against their syntax, an
    /// attribute that comes twice is joined. Refuses undefined types (17), bad values (21), values that are equal (20)
    /// and, unless `internal`, attributes that clients must not write (19).
    pub fn from_request(
        attributes: Attributes<'_>,
        schema: &Schema,
        internal: bool,
    ) -> Result<Self, ModifyError> {
        let mut builder =
            Self { arena: Vec::with_capacity(attributes.content().len()), slots: Vec::with_capacity(16) };
        for attribute in attributes {
            let description =
                schema.describe(attribute.description).ok_or_else(|| undefined(attribute.description))?;
            if description.attribute_type.no_user_modification && !internal {
                return Err(ModifyError::NoUserModification(format!(
                    "attribute {} is kept by the server and cannot be written",
                    description.attribute_type.name()
                )));
            }
            builder.take(&description, attribute.values.iter())?;
        }
        Ok(builder)
    }

    /// Takes values of an attribute, checked against their syntax: refuses bad ones (21) and equal ones (20).
    pub fn take<'v>(
        &mut self,
        description: &AttributeDescription,
        values: impl Iterator<Item = &'v [u8]>,
    ) -> Result<(), ModifyError> {
        let slot = self.slot(description);
        for value in values {
            check_value(description, value)?;
            if self.holds(slot, value) {
                return Err(ModifyError::Exists(format!(
                    "attribute {} has the same value twice",
                    description.canonical()
                )));
            }
            self.push(slot, value);
        }
        Ok(())
    }

    fn span(&mut self, bytes: &[u8]) -> Span {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Span { start, end: self.arena.len() }
    }

    fn text(&self, span: Span) -> &[u8] {
        self.arena.get(span.start..span.end).unwrap_or_default()
    }

    fn slot_of(&self, canonical: &[u8]) -> Option<usize> {
        self.slots.iter().position(|slot| self.text(slot.name).eq_ignore_ascii_case(canonical))
    }

    fn slot(&mut self, description: &AttributeDescription) -> usize {
        let attribute = &description.attribute_type;
        let (of, operational, equality) =
            (Some(attribute.id), attribute.is_operational(), attribute.equality);
        if description.options.is_empty() {
            let known = self.slots.iter().position(|slot| slot.of == of && !slot.has_options);
            return known.unwrap_or_else(|| self.new_slot(attribute.name(), of, operational, equality));
        }
        let canonical = description.canonical();
        self.slot_of(canonical.as_bytes())
            .unwrap_or_else(|| self.new_slot(&canonical, of, operational, equality))
    }

    fn new_slot(
        &mut self,
        canonical: &str,
        of: Option<TypeId>,
        operational: bool,
        equality: Option<MatchingRule>,
    ) -> usize {
        let name = self.span(canonical.as_bytes());
        let has_options = canonical.contains(';');
        self.slots.push(Slot { name, of, has_options, operational, equality, values: SmallVec::new() });
        self.slots.len() - 1
    }

    fn push(&mut self, slot: usize, value: &[u8]) {
        let span = self.span(value);
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.values.push(span);
        }
    }

    fn holds(&self, slot: usize, value: &[u8]) -> bool {
        self.slots.get(slot).is_some_and(|slot| {
            slot.values.iter().any(|&span| same_value(slot.equality, self.text(span), value))
        })
    }

    /// Adds a value unless an equal one is there. For server-made attributes: nothing is checked.
    pub fn add(&mut self, description: &AttributeDescription, value: &[u8]) -> &mut Self {
        let slot = self.slot(description);
        if !self.holds(slot, value) {
            self.push(slot, value);
        }
        self
    }

    /// Adds a value to an attribute given by name. A name that the schema lacks becomes a user attribute spelled as
    /// given, compared byte by byte.
    pub fn put(&mut self, name: &str, value: impl AsRef<[u8]>, schema: &Schema) -> &mut Self {
        match schema.describe(name) {
            Some(description) => self.add(&description, value.as_ref()),
            None => {
                let known = self.slot_of(name.as_bytes());
                let slot = known.unwrap_or_else(|| self.new_slot(name, None, false, None));
                if !self.holds(slot, value.as_ref()) {
                    self.push(slot, value.as_ref());
                }
                self
            }
        }
    }

    /// Replaces all values of an attribute by this one.
    pub fn set(&mut self, description: &AttributeDescription, value: &[u8]) -> &mut Self {
        self.remove(&description.canonical());
        self.add(description, value)
    }

    /// Removes an attribute by its canonical description, in any case.
    pub fn remove(&mut self, canonical: &str) -> &mut Self {
        if let Some(slot) = self.slot_of(canonical.as_bytes()) {
            self.slots.remove(slot);
        }
        self
    }

    /// Whether an attribute of this canonical description has values.
    pub fn has(&self, canonical: &str) -> bool {
        self.slot_of(canonical.as_bytes())
            .and_then(|slot| self.slots.get(slot))
            .is_some_and(|slot| !slot.values.is_empty())
    }

    /// Whether the attribute has a value equal to this one.
    pub fn has_value(&self, canonical: &str, value: &[u8]) -> bool {
        self.slot_of(canonical.as_bytes()).is_some_and(|slot| self.holds(slot, value))
    }

    /// The values of the attribute of this canonical description.
    pub fn values<'a>(&'a self, canonical: &str) -> impl Iterator<Item = &'a [u8]> {
        let slot = self.slot_of(canonical.as_bytes()).and_then(|slot| self.slots.get(slot));
        slot.into_iter().flat_map(|slot| slot.values.iter().map(|&span| self.text(span)))
    }

    /// The canonical descriptions that have values, in order.
    pub fn descriptions(&self) -> impl Iterator<Item = &str> {
        self.slots
            .iter()
            .filter(|slot| !slot.values.is_empty())
            .filter_map(|slot| std::str::from_utf8(self.text(slot.name)).ok())
    }

    /// The types of the attributes that have values, with how many each description has; without those that the schema
    /// lacks.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, usize)> {
        let filled = self.slots.iter().filter(|slot| !slot.values.is_empty());
        filled.filter_map(|slot| Some((slot.of?, slot.values.len())))
    }

    /// Replaces each value of an attribute by what `change` makes of it; stops at the first refusal.
    pub fn map_values<E>(
        &mut self,
        canonical: &str,
        mut change: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let Some(slot) = self.slot_of(canonical.as_bytes()) else { return Ok(()) };
        let spans = self.slots.get(slot).map(|slot| slot.values.clone()).unwrap_or_default();
        let mut changed = SmallVec::with_capacity(spans.len());
        for span in spans {
            changed.push(match change(self.text(span))? {
                Some(value) => self.span(&value),
                None => span,
            });
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.values = changed;
        }
        Ok(())
    }

    /// Adds the superior classes that objectClass does not list. Unknown classes are left for the schema check.
    pub fn complete_classes(&mut self, schema: &Schema) {
        let missing = missing_superiors(self.values("objectClass"), schema);
        if let Some(slot) = self.slot_of(b"objectClass") {
            missing.iter().for_each(|name| self.push(slot, name.as_bytes()));
        }
    }

    /// Adds the superior classes that objectClass does not list, and checks the entry against all of them.
    pub fn check_classes(&mut self, schema: &Schema) -> Result<(), Violation> {
        let classes = {
            let names: SmallVec<[&[u8]; 4]> = self.values("objectClass").collect();
            if names.is_empty() {
                return Err(Violation::ObjectClass("the entry has no attribute objectClass".into()));
            }
            schema.check_classes(&names)?
        };
        for class in classes.left_out() {
            self.put("objectClass", class.name(), schema);
        }
        let present: SmallVec<[(TypeId, usize); 32]> = self.types().collect();
        classes.check(schema, &present)
    }

    /// The two encoded lists: user attributes, operational attributes. Attributes without values are left out.
    pub fn encode(&self) -> (Bytes, Bytes) {
        let mut user = BytesMut::with_capacity(self.arena.len() + 8 * self.slots.len());
        let mut operational = BytesMut::new();
        for slot in self.slots.iter().filter(|slot| !slot.values.is_empty()) {
            let out = if slot.operational { &mut operational } else { &mut user };
            list::put(out, self.text(slot.name), slot.values.iter().map(|&span| self.text(span)));
        }
        (user.freeze(), operational.freeze())
    }

    /// A whole entry, with zero CSNs: for virtual entries, and for looking at an entry before it exists.
    pub fn entry(&self, dn: &str, uuid: EntryUuid, etag_state: u64) -> StoredEntry {
        let (user, operational) = self.encode();
        StoredEntry::compose(&EntryParts {
            dn,
            uuid,
            etag_state,
            add_csn: [0; 12],
            last_csn: [0; 12],
            user: &user,
            operational: &operational,
        })
    }
}

/// The canonical names of superior classes that the values imply but do not list; the root of each line last.
pub fn missing_superiors<'a>(values: impl Iterator<Item = &'a [u8]>, schema: &Schema) -> Vec<String> {
    let classes: SmallVec<[_; 8]> =
        values.filter_map(|value| schema.object_class(std::str::from_utf8(value).ok()?)).collect();
    let mut missing: Vec<String> = Vec::new();
    for class in &classes {
        for superior in schema.with_superiors(class) {
            let listed = classes.iter().any(|one| one.oid == superior.oid);
            if !listed && !missing.iter().any(|name| name == superior.name()) {
                missing.push(superior.name().to_owned());
            }
        }
    }
    missing
}
