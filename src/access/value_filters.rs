//! What `targattrfilters` says: which values of which attributes may be added or deleted.

use bytes::BytesMut;

use super::aci_text::{Clause, Quoted};
use super::attribute_set::AttributeRef;
use super::right::AciError;
use super::set::FilterAttributes;
use crate::entry::{CompiledFilter, EntryParts, EntryUuid, StoredEntry, Tri};
use crate::protocol::{encode, filter_text};
use crate::schema::{Schema, TypeId};

/// What is done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is added.
    Add,
    /// It is deleted.
    Delete,
}

/// The filters of `targattrfilters`, by what is done.
#[derive(Debug)]
pub(super) struct ValueFilters {
    add: Vec<ValueFilter>,
    delete: Vec<ValueFilter>,
    /// As written.
    pub(super) text: Box<str>,
}

/// A filter that values of one attribute have to match.
#[derive(Debug)]
struct ValueFilter {
    id: TypeId,
    name: Box<str>,
    is_operational: bool,
    filter: CompiledFilter,
}

impl ValueFilters {
    /// Reads `add=attribute:filter && attribute:filter, del=attribute:filter`; one of the two lists may lack.
    pub(super) fn compile(clause: Clause<'_>, schema: &Schema) -> Result<Self, AciError> {
        if clause.negated {
            return Err(clause.value.error("targattrfilters can only be given by `=`"));
        }
        let text = clause.value.text.into();
        let mut reader = Reader { value: clause.value, at: 0 };
        let mut lists: [Option<Vec<ValueFilter>>; 2] = [None, None];
        loop {
            let [add, delete] = &mut lists;
            let list = match reader.word().to_ascii_lowercase().as_str() {
                "add" => add,
                "del" => delete,
                _ => return reader.expected("`add=` or `del=`"),
            };
            reader.at += "add".len();
            if list.is_some() {
                return Err(clause.value.error("`add=` and `del=` can each stand once"));
            }
            if !reader.take("=") {
                return reader.expected("`=`");
            }
            let mut found: Vec<ValueFilter> = Vec::new();
            loop {
                let one = reader.filter(schema)?;
                if found.iter().any(|other| other.id == one.id) {
                    return Err(clause.value.error(format!("attribute {} is there twice", one.name)));
                }
                found.push(one);
                if !reader.take("&&") {
                    break;
                }
            }
            *list = Some(found);
            if !reader.take(",") {
                break;
            }
        }
        if !reader.rest().trim().is_empty() {
            return reader.expected("`&&`, `,` or the end");
        }
        let [add, delete] = lists;
        Ok(Self { add: add.unwrap_or_default(), delete: delete.unwrap_or_default(), text })
    }

    fn list(&self, change: Change) -> &[ValueFilter] {
        match change {
            Change::Add => &self.add,
            Change::Delete => &self.delete,
        }
    }

    fn filter(&self, change: Change, attribute: AttributeRef) -> Option<&ValueFilter> {
        let id = attribute.id?;
        self.list(change).iter().find(|one| one.id == id)
    }

    /// Whether some values of the attribute are treated unlike others.
    pub(super) fn rule(&self, attribute: AttributeRef) -> bool {
        [Change::Add, Change::Delete].iter().any(|change| self.filter(*change, attribute).is_some())
    }

    /// Whether the value matches; none if nothing is said of the attribute.
    pub(super) fn take(&self, change: Change, attribute: AttributeRef, value: &[u8]) -> Option<bool> {
        self.filter(change, attribute).map(|one| one.has(value))
    }

    /// Whether an entry that is added or deleted is one: each value of the attributes that are named matches, and those
    /// that the entry lacks do not count. Undefined without the entry, if there is anything to look at.
    pub(super) fn take_entry(&self, change: Change, entry: Option<&StoredEntry>) -> Tri {
        let list = self.list(change);
        if list.is_empty() {
            return Tri::True;
        }
        let Some(entry) = entry else { return Tri::Undefined };
        let fits = |one: &ValueFilter| one.all_of(entry);
        if list.iter().all(fits) { Tri::True } else { Tri::False }
    }
}

impl ValueFilter {
    fn has(&self, value: &[u8]) -> bool {
        let mut list = BytesMut::with_capacity(self.name.len() + value.len() + 16);
        encode::attribute(&mut list, &self.name, std::iter::once(value));
        let (user, operational): (&[u8], &[u8]) =
            if self.is_operational { (&[], &list) } else { (&list, &[]) };
        let alone = StoredEntry::compose(&EntryParts {
            dn: "",
            uuid: EntryUuid([0; 16]),
            etag_state: 0,
            add_csn: [0; 12],
            last_csn: [0; 12],
            user,
            operational,
        });
        self.filter.evaluate(&alone) == Tri::True
    }

    fn all_of(&self, entry: &StoredEntry) -> bool {
        let mut attributes = if self.is_operational { entry.operational() } else { entry.user() }.iter();
        attributes.all(|attribute| {
            let name = attribute.description.split(';').next().unwrap_or_default();
            name != &*self.name || attribute.values.iter().all(|value| self.has(value))
        })
    }
}

/// Reads the value of the clause.
struct Reader<'a> {
    value: Quoted<'a>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.value.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn word(&mut self) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let is_in = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        rest.split(|c| !is_in(c)).next().unwrap_or_default()
    }

    fn error(&self, reason: String) -> AciError {
        AciError { offset: self.value.offset + self.at, reason }
    }

    fn expected<T>(&self, what: &str) -> Result<T, AciError> {
        let found = match self.rest().chars().next() {
            Some(found) => format!("`{}`", found.escape_default()),
            None => "the end".to_owned(),
        };
        Err(self.error(format!("targattrfilters: expected {what}, found {found}")))
    }

    /// `attribute:(filter)`; the filter may ask about this attribute alone.
    fn filter(&mut self, schema: &Schema) -> Result<ValueFilter, AciError> {
        let name = self.word();
        let Some(found) = schema.attribute(name).filter(|_| !name.is_empty()) else {
            return self.expected("an attribute type of the schema");
        };
        self.at += name.len();
        if !self.take(":") {
            return self.expected("`:` and a filter");
        }
        self.skip_space();
        let Some(text) = parenthesised(self.rest()) else {
            return self.expected("a filter in parentheses");
        };
        let filter =
            filter_text::parse(text).map_err(|error| self.error(format!("not a filter: {error}")))?;
        if !FilterAttributes::of(&filter, schema).asks_alone(found.id) {
            return Err(self.error(format!("the filter may ask about attribute {name} alone")));
        }
        self.at += text.len();
        Ok(ValueFilter {
            id: found.id,
            name: found.name().into(),
            is_operational: found.is_operational(),
            filter: CompiledFilter::compile(&filter, schema),
        })
    }
}

/// What stands between the first parenthesis and its other one, both included. Within a filter's values they are escaped.
fn parenthesised(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            _ if depth == 0 => return None,
            _ => {}
        }
        if depth == 0 {
            return text.get(..=at);
        }
    }
    None
}
