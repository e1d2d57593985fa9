//! What a server said, kept apart from the bytes it came in.

use ctsd::protocol::control::{entry_change::EntryChange, read_entry};
use ctsd::protocol::message::{Controls, RawAttribute};
use ctsd::protocol::oid;
use ctsd::protocol::response::{Response, ResponseMessage};

/// Response controls: OID and value.
type Controls_ = Vec<(String, Option<Vec<u8>>)>;

/// An entry with what came along.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
    pub(crate) controls: Controls_,
}

impl Entry {
    pub(crate) fn new<'a>(dn: &str, attributes: impl Iterator<Item = RawAttribute<'a>>) -> Self {
        let attributes = attributes
            .map(|a| (a.description.to_owned(), a.values.iter().map(<[u8]>::to_vec).collect()))
            .collect();
        Self { dn: dn.to_owned(), attributes, controls: Vec::new() }
    }

    /// The values of an attribute named exactly so.
    pub(crate) fn values(&self, name: &str) -> Vec<Vec<u8>> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, values)| values.clone()).unwrap_or_default()
    }

    /// The values as text.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.values(name).into_iter().map(|value| String::from_utf8_lossy(&value).into_owned()).collect()
    }

    /// The first value as text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.texts(name).into_iter().next()
    }

    /// The names of the attributes, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.attributes.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The persistent search's notification.
    pub(crate) fn change(&self) -> Option<EntryChange> {
        let (_, value) = self.controls.iter().find(|(oid, _)| oid == oid::ENTRY_CHANGE_NOTIFICATION)?;
        EntryChange::parse(value.as_deref()?).ok()
    }

    /// The notification's bytes.
    pub(crate) fn change_bytes(&self) -> Option<Vec<u8>> {
        self.controls.iter().find(|(oid, _)| oid == oid::ENTRY_CHANGE_NOTIFICATION)?.1.clone()
    }
}

/// What ended a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) id: i32,
    pub(crate) tag: u8,
    pub(crate) code: u32,
    pub(crate) matched: String,
    pub(crate) diagnostic: String,
    pub(crate) controls: Controls_,
    /// Of extended responses.
    pub(crate) name: Option<String>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Answer {
    /// A response control's value.
    pub(crate) fn control(&self, oid: &str) -> Option<Vec<u8>> {
        self.controls
            .iter()
            .find(|(found, _)| found == oid)
            .map(|(_, value)| value.clone().unwrap_or_default())
    }

    fn read_entry(&self, oid: &str) -> Option<Entry> {
        let value = self.control(oid)?;
        let (dn, attributes) = read_entry::parse_response(&value).ok()?;
        Some(Entry::new(dn, attributes.iter()))
    }

    /// The entry of a post-read control.
    pub(crate) fn after(&self) -> Option<Entry> {
        self.read_entry(oid::POST_READ)
    }

    /// The entry of a pre-read control.
    pub(crate) fn before(&self) -> Option<Entry> {
        self.read_entry(oid::PRE_READ)
    }

    /// The etag after the change.
    pub(crate) fn etag(&self) -> Option<String> {
        self.after()?.text("etag")
    }

    /// The cookie of the paged results control; none without the control.
    pub(crate) fn cookie(&self) -> Option<Vec<u8>> {
        let value = self.control(oid::PAGED_RESULTS)?;
        let mut outer = ctsd::ber::Reader::new(&value);
        let mut reader = ctsd::ber::Reader::new(outer.expect(0x30).ok()?);
        reader.expect(0x02).ok()?;
        Some(reader.expect(0x04).ok()?.to_vec())
    }
}

/// One message.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Entry(i32, Entry),
    Reference(i32),
    Intermediate(i32),
    Answer(Answer),
}

impl Reply {
    pub(crate) fn read(message: &ResponseMessage<'_>) -> Self {
        let id = message.id.0;
        let controls = owned(message.controls.clone());
        match &message.response {
            Response::Entry { dn, attributes } => {
                let mut entry = Entry::new(dn, attributes.iter());
                entry.controls = controls;
                Self::Entry(id, entry)
            }
            Response::Reference(_) => Self::Reference(id),
            Response::Intermediate { .. } => Self::Intermediate(id),
            response => {
                let result = response.result().unwrap();
                let (tag, name, value) = match response {
                    Response::Extended { name, value, .. } => (0x78, *name, *value),
                    Response::Result { kind, .. } => (kind.tag(), None, None),
                    _ => (0x61, None, None),
                };
                Self::Answer(Answer {
                    id,
                    tag,
                    code: result.code.0,
                    matched: result.matched.clone(),
                    diagnostic: result.diagnostic.to_string(),
                    controls,
                    name: name.map(str::to_owned),
                    value: value.map(<[u8]>::to_vec),
                })
            }
        }
    }

    pub(crate) fn id(&self) -> i32 {
        match self {
            Self::Entry(id, _) | Self::Reference(id) | Self::Intermediate(id) => *id,
            Self::Answer(answer) => answer.id,
        }
    }
}

fn owned(controls: Controls<'_>) -> Controls_ {
    controls.map(|control| (control.oid.to_owned(), control.value.map(<[u8]>::to_vec))).collect()
}

/// All a search gave.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) entries: Vec<Entry>,
    pub(crate) references: usize,
    pub(crate) done: Answer,
}

impl Found {
    pub(crate) fn code(&self) -> u32 {
        self.done.code
    }

    /// The DNs, sorted.
    pub(crate) fn dns(&self) -> Vec<String> {
        let mut dns: Vec<_> = self.entries.iter().map(|entry| entry.dn.clone()).collect();
        dns.sort_unstable();
        dns
    }

    /// One attribute's first value of each entry, sorted.
    pub(crate) fn column(&self, name: &str) -> Vec<String> {
        let mut column: Vec<_> = self.entries.iter().filter_map(|entry| entry.text(name)).collect();
        column.sort_unstable();
        column
    }
}
