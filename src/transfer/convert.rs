//! From a record of LDIF to an entry that can be loaded. On any thread; what it makes is loaded in order elsewhere.

use std::sync::Arc;

use super::choice::Chosen;
use super::source::Text;
use crate::auth::{Scheme, Secret, os_random, scheme};
use crate::backend::{BulkEntry, Piece, Preparer, Snapshot};
use crate::entry::{EntryBuilder, EntryUuid, Naming, StoredEntry, Virtual, take_rdn};
use crate::ldif::{LdifAttribute, LdifChange, LdifReader, LdifRecord, LdifWriter};
use crate::schema::{NormalizedDn, Schema};

/// The attribute whose clear values are encoded.
const PASSWORD: &str = "userPassword";

/// A record's place in its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) line: u64,
}

/// A record that makes no entry.
#[derive(Debug)]
pub(super) struct Fault {
    /// Its number in the piece.
    pub(super) tag: u32,
    pub(super) reason: String,
    /// It is not wanted, rather than wrong.
    pub(super) is_skip: bool,
}

/// A piece on its way to the loader.
#[derive(Debug, Default)]
pub(super) struct Converted {
    pub(super) number: u64,
    pub(super) piece: Piece,
    /// What the records were read from; none for entries that stay.
    pub(super) text: Option<Text>,
    pub(super) spans: Vec<Span>,
    pub(super) faults: Vec<Fault>,
    /// Entries that stay, to be told if they cannot.
    pub(super) kept: Vec<StoredEntry>,
    /// What ends it all.
    pub(super) failure: Option<crate::backend::StoreError>,
}

/// What makes no entry of a record.
enum No {
    Skip(String),
    Reject(String),
}

fn reject(reason: impl ToString) -> No {
    No::Reject(reason.to_string())
}

/// An entry, whole.
struct Made {
    key: NormalizedDn,
    uuid: EntryUuid,
    etag: Option<u64>,
    builder: EntryBuilder,
}

/// Which of the old data stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    /// What is not in an included branch: it goes in front.
    Outside,
    /// What is in an excluded one: it may hang on what is imported.
    Excluded,
}

pub(super) struct Converter {
    pub(super) preparer: Arc<Preparer>,
    pub(super) suffixes: Vec<NormalizedDn>,
    pub(super) chosen: Chosen,
    /// Whether entries are checked against the schema.
    pub(super) checks: bool,
    pub(super) scheme: Scheme,
}

impl Converter {
    fn schema(&self) -> &Schema {
        self.preparer.schema()
    }

    /// Converts a text.
    pub(super) fn text(&self, number: u64, text: Text) -> Converted {
        let mut out = Converted { number, ..Converted::default() };
        let whole = text.bytes.as_slice();
        let mut reader = LdifReader::new(whole).at_line(text.line);
        loop {
            let start = whole.len() - reader.get_ref().len();
            let Some(record) = reader.next() else { break };
            let end = whole.len() - reader.get_ref().len();
            let tag = out.spans.len() as u32;
            let line = record.as_ref().map_or_else(crate::ldif::LdifError::line, |record| record.line);
            out.spans.push(Span { start, end, line });
            let made = match record {
                Ok(record) => {
                    let dn = record.dn.clone();
                    self.record(record).map(|made| (dn, made))
                }
                Err(error) => Err(reject(error)),
            };
            match made {
                Ok((dn, made)) => {
                    let (user, operational) = made.builder.encode();
                    let place = (number << 16) + out.piece.len() as u64;
                    self.preparer.prepare(
                        &mut out.piece,
                        place,
                        tag,
                        &BulkEntry {
                            dn: &dn,
                            key: &made.key,
                            uuid: made.uuid,
                            etag: made.etag,
                            user: &user,
                            operational: &operational,
                        },
                    );
                }
                Err(No::Skip(reason)) => out.faults.push(Fault { tag, reason, is_skip: true }),
                Err(No::Reject(reason)) => out.faults.push(Fault { tag, reason, is_skip: false }),
            }
        }
        out.text = Some(text);
        out
    }

    /// Takes over entries that stay as they are.
    pub(super) fn stay(
        &self,
        number: u64,
        snapshot: &Snapshot,
        entries: std::ops::Range<usize>,
        which: Stay,
    ) -> Converted {
        let mut out = Converted { number, ..Converted::default() };
        for at in entries {
            let entry = match snapshot.entry(at) {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) => {
                    out.failure = Some(error);
                    break;
                }
            };
            let Ok(key) = NormalizedDn::parse(entry.dn(), self.schema()) else { continue };
            let stays = match which {
                Stay::Outside => !self.chosen.is_included(&key),
                Stay::Excluded => self.chosen.is_included(&key) && self.chosen.is_excluded(&key),
            };
            if !stays {
                continue;
            }
            let place = (number << 16) + out.piece.len() as u64;
            let tag = out.kept.len() as u32;
            self.preparer.prepare(
                &mut out.piece,
                place,
                tag,
                &BulkEntry {
                    dn: entry.dn(),
                    key: &key,
                    uuid: entry.uuid(),
                    etag: Some(entry.etag_state()),
                    user: entry.user_list(),
                    operational: entry.operational_list(),
                },
            );
            out.kept.push(entry);
        }
        out
    }

    fn record(&self, record: LdifRecord) -> Result<Made, No> {
        let attributes = match record.change {
            LdifChange::Entry(attributes) | LdifChange::Add(attributes) => attributes,
            _ => return Err(reject("the record is a change of an entry and not an entry")),
        };
        let schema = self.schema();
        let key = NormalizedDn::parse(&record.dn, schema)
            .map_err(|error| reject(format!("the DN does not parse: {error}")))?;
        if !self.suffixes.iter().any(|suffix| suffix.covers(&key)) {
            return Err(No::Skip("the entry is not below a base DN of the data store".into()));
        }
        if !self.chosen.is_included(&key) {
            return Err(No::Skip("the entry is not in an included branch".into()));
        }
        if self.chosen.is_excluded(&key) {
            return Err(No::Skip("the entry is in an excluded branch".into()));
        }
        let mut made = Made { key, uuid: EntryUuid([0; 16]), etag: None, builder: EntryBuilder::new() };
        let mut has_uuid = false;
        for attribute in &attributes {
            self.attribute(attribute, &mut made, &mut has_uuid)?;
        }
        self.passwords(&mut made.builder)?;
        let naming = if self.checks { Naming::Completed } else { Naming::Unchecked };
        take_rdn(&record.dn, &mut made.builder, schema, naming).map_err(reject)?;
        if self.checks {
            made.builder.check_classes(schema).map_err(reject)?;
        } else {
            made.builder.complete_classes(schema);
        }
        if !has_uuid {
            let mut random = [0; 16];
            os_random(&mut random).map_err(reject)?;
            made.uuid = EntryUuid::v4(random);
        }
        if self.chosen.has_filters() {
            let entry = made.builder.entry(&record.dn, made.uuid, made.etag.unwrap_or(0));
            if !self.chosen.matches(&entry) {
                return Err(No::Skip("the filters leave the entry out".into()));
            }
        }
        Ok(made)
    }

    fn attribute(&self, attribute: &LdifAttribute, made: &mut Made, has_uuid: &mut bool) -> Result<(), No> {
        let given = attribute.description.as_str();
        let values = || attribute.values.iter().map(Vec::as_slice);
        let Some(description) = self.schema().describe(given) else {
            if !self.chosen.wants(given.split(';').next().unwrap_or(given), false) {
                return Ok(());
            }
            if self.checks {
                return Err(reject(format!("attribute {given} is not defined in the schema")));
            }
            for value in values() {
                made.builder.put(given, value, self.schema());
            }
            return Ok(());
        };
        let name = description.attribute_type.name();
        let is_operational = description.attribute_type.is_operational();
        if !self.chosen.wants_all() && !self.chosen.wants(name, is_operational) {
            return Ok(());
        }
        if is_operational {
            match Virtual::of(name) {
                Some(Virtual::EntryUuid) => {
                    let text = attribute.values.first().map(|value| String::from_utf8_lossy(value));
                    let uuid = text.as_deref().and_then(|text| EntryUuid::parse(text.trim()));
                    made.uuid = uuid.ok_or_else(|| reject("entryUUID is no UUID"))?;
                    *has_uuid = true;
                    return Ok(());
                }
                Some(Virtual::Etag) => {
                    let text = attribute.values.first().and_then(|value| std::str::from_utf8(value).ok());
                    made.etag = text
                        .filter(|text| text.len() == 16)
                        .and_then(|text| u64::from_str_radix(text, 16).ok());
                    return Ok(());
                }
                // Made when it is read.
                Some(_) => return Ok(()),
                None => {}
            }
            // Of another server's replication; this data set has a history of its own.
            if name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("ds-sync-")) {
                return Ok(());
            }
        }
        if self.checks {
            return made.builder.take(&description, values()).map_err(reject);
        }
        for value in values() {
            made.builder.add(&description, value);
        }
        Ok(())
    }

    /// Clear passwords are encoded; encoded ones are kept, unlike those that clients send.
    fn passwords(&self, builder: &mut EntryBuilder) -> Result<(), No> {
        builder.map_values(PASSWORD, |value| {
            if scheme::is_encoded(value) {
                return Ok(None);
            }
            if value.is_empty() {
                return Err(reject("a value of attribute userPassword is empty"));
            }
            scheme::encode(self.scheme, &Secret::new(value), &mut os_random).map(Some).map_err(reject)
        })
    }
}

/// An entry as LDIF.
pub(super) fn as_ldif(entry: &StoredEntry) -> Vec<u8> {
    let values = |attributes: crate::protocol::message::Attributes<'_>| {
        attributes
            .iter()
            .flat_map(|attribute| {
                let name = attribute.description.to_owned();
                attribute.values.iter().map(move |value| (name.clone(), value.to_vec())).collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    };
    let all = [values(entry.user()), values(entry.operational())].concat();
    let mut writer = LdifWriter::new(Vec::new());
    // A vector takes everything.
    let _ = writer.entry(entry.dn(), all.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
    writer.into_inner()
}
