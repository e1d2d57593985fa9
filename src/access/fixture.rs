//! What this room's tests stand on.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::protocol::filter_text;
use crate::schema::{NormalizedDn, Schema, SchemaStore};

/// The built-in schema, and short ways to make keys, entries and requesters.
pub(super) struct Fixture {
    pub(super) schema: Arc<Schema>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        static SCHEMA: std::sync::OnceLock<Arc<Schema>> = std::sync::OnceLock::new();
        Self { schema: Arc::clone(SCHEMA.get_or_init(|| SchemaStore::builtin(true).current())) }
    }

    pub(super) fn key(&self, dn: &str) -> NormalizedDn {
        NormalizedDn::parse(dn, &self.schema).unwrap()
    }

    /// An entry in the stored form: attributes by canonical name.
    pub(super) fn entry(&self, dn: &str, user: &[(&str, &str)], operational: &[(&str, &str)]) -> StoredEntry {
        let (user, operational) = (list(user), list(operational));
        let mut bytes = vec![1, 0];
        bytes.extend([7; 16 + 8 + 12 + 12]);
        for part in [dn.as_bytes(), &user, &operational] {
            bytes.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        }
        for part in [dn.as_bytes(), &user, &operational] {
            bytes.extend(part);
        }
        StoredEntry::parse(Bytes::from(bytes)).unwrap()
    }

    pub(super) fn who(&self, dn: &str) -> Requester {
        self.who_by(dn, AuthMethod::Simple, "127.0.0.1", 0)
    }

    pub(super) fn who_by(
        &self,
        dn: &str,
        method: AuthMethod,
        address: &str,
        security_strength: u16,
    ) -> Requester {
        let address: IpAddr = address.parse().unwrap();
        let origin = Origin { method, address, security_strength };
        Requester::new(dn, self.key(dn), Privileges::none(), Limits::NONE, origin)
    }

    pub(super) fn nobody(&self) -> Requester {
        Requester::anonymous("127.0.0.1".parse().unwrap(), 0, Limits::NONE)
    }

    /// ACIs held by `dc=cts,dc=example,dc=com`, and globals.
    pub(super) fn control(&self, globals: &[&str], suffix: &[&str]) -> AccessControl {
        let control = AccessControl::new(Arc::clone(&self.schema), None);
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        control.set_globals(&owned(globals), &self.schema).unwrap();
        control.set_entry(&self.key(SUFFIX), &owned(suffix), &self.schema).unwrap();
        control
    }

    pub(super) fn attributes(&self, filter: &str) -> FilterAttributes {
        FilterAttributes::of(&filter_text::parse(filter).unwrap(), &self.schema)
    }

    pub(super) fn token(&self) -> (StoredEntry, NormalizedDn) {
        let entry = self.entry(
            TOKEN,
            &[
                ("objectClass", "frCoreToken"),
                ("coreTokenId", "AQIC5w"),
                ("coreTokenUserId", "demo"),
                ("coreTokenType", "SESSION"),
            ],
            &[("creatorsName", CTS), ("createTimestamp", "20240101000000Z")],
        );
        (entry, self.key(TOKEN))
    }
}

fn list(attributes: &[(&str, &str)]) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| {
        let mut out = vec![tag];
        out.push(0x82);
        out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        out.extend(content);
        out
    };
    let mut out = Vec::new();
    let mut at = 0;
    while let Some((name, _)) = attributes.get(at) {
        let same = attributes[at..].iter().take_while(|(other, _)| other == name);
        let values: Vec<u8> = same.clone().flat_map(|(_, value)| element(4, value.as_bytes())).collect();
        at += same.count();
        out.extend(element(0x30, &[element(4, name.as_bytes()), element(0x31, &values)].concat()));
    }
    out
}

pub(super) const SUFFIX: &str = "dc=cts,dc=example,dc=com";
pub(super) const CTS: &str = "uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com";
pub(super) const OTHER: &str = "uid=other,ou=admins,dc=cts,dc=example,dc=com";
pub(super) const TOKEN: &str =
    "coreTokenId=AQIC5w,ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com";
