//! `cn=backups`: the backups in the instance's backup directory as entries, read anew for each search.

use std::sync::Arc;

use super::{require, unwilling};
use crate::access::{Privilege, Requester};
use crate::backup::{Catalogue, Listed, default_id};
use crate::entry::{EntryBuilder, StoredEntry};
use crate::name::{Ava, Dn, Rdn};
use crate::operation::{Directory, VirtualBackend, made};
use crate::protocol::message::{AddRequest, ModifyRequest};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

const SUFFIX: &str = "cn=backups";
const DIRECTORY: &str = "ds-backup-directory-path";

/// The suffix of backups. What was sent to other directories is not seen here.
#[derive(Debug)]
pub struct CnBackups {
    key: NormalizedDn,
}

impl CnBackups {
    /// The suffix.
    pub fn new(schema: &Schema) -> Self {
        // The text is a DN; the fallback is never taken.
        Self { key: NormalizedDn::parse(SUFFIX, schema).unwrap_or_else(|_| NormalizedDn::root()) }
    }
}

fn below(attribute: &str, value: &str, above: &str) -> String {
    format!("{},{above}", Dn::from_rdns(vec![Rdn::single(Ava::new(attribute, value))]))
}

struct Report<'a> {
    schema: &'a Schema,
    entries: Vec<(NormalizedDn, Arc<StoredEntry>)>,
}

impl Report<'_> {
    fn entry(&mut self, dn: &str, classes: &[&str], values: &[(&str, &[u8])]) {
        let Ok(key) = NormalizedDn::parse(dn, self.schema) else { return };
        let mut builder = EntryBuilder::new();
        for class in classes {
            builder.put("objectClass", class, self.schema);
        }
        for (name, value) in values {
            builder.put(name, value, self.schema);
        }
        self.entries.push((key.clone(), made(dn, &key, &builder)));
    }

    fn backup(&mut self, listed: &Listed, path: &str, above: &str) {
        let flag = |is_set: bool| -> &[u8] { if is_set { b"TRUE" } else { b"FALSE" } };
        let date = default_id(listed.date_ms);
        let mut values: Vec<(&str, &[u8])> = vec![
            ("ds-backup-id", listed.id.as_bytes()),
            (DIRECTORY, path.as_bytes()),
            ("ds-backup-date", date.as_bytes()),
            ("ds-backup-incremental", flag(listed.is_incremental)),
            ("ds-backup-compressed", flag(listed.is_compressed)),
            ("ds-backup-encrypted", flag(listed.is_encrypted)),
        ];
        values.extend(listed.unsigned_hash.iter().map(|hash| ("ds-backup-unsigned-hash", hash.as_slice())));
        values.extend(listed.signed_hash.iter().map(|hash| ("ds-backup-signed-hash", hash.as_slice())));
        values.extend(listed.dependencies.iter().map(|id| ("ds-backup-dependency", id.as_bytes())));
        self.entry(&below("ds-backup-id", &listed.id, above), &["top", "ds-backup-info"], &values);
    }
}

impl VirtualBackend for CnBackups {
    fn suffix(&self) -> (&str, &NormalizedDn) {
        (SUFFIX, &self.key)
    }

    fn entries(
        &self,
        directory: &Directory,
        who: &Requester,
    ) -> Result<Vec<(NormalizedDn, Arc<StoredEntry>)>, LdapResult> {
        require(who, Privilege::BackendBackup, "reading cn=backups")?;
        let schema = directory.schema.current();
        let mut report = Report { schema: &schema, entries: Vec::new() };
        report.entry(SUFFIX, &["top", "ds-cfg-branch"], &[("cn", b"backups")]);
        let found = Catalogue::below(&directory.config.instance().backup_directory())
            .map_err(|error| LdapResult::with(ResultCode::OPERATIONS_ERROR, error.to_string()))?;
        for (place, catalogue) in found {
            let path = place.display().to_string();
            let dn = below(DIRECTORY, &path, SUFFIX);
            let values: [(&str, &[u8]); 2] =
                [(DIRECTORY, path.as_bytes()), ("ds-backup-backend-dn", catalogue.backend_dn.as_bytes())];
            report.entry(&dn, &["top", "ds-backup-directory"], &values);
            catalogue.backups.iter().for_each(|listed| report.backup(listed, &path, &dn));
        }
        Ok(report.entries)
    }

    fn add(&self, _: &Directory, _: &Requester, _: &AddRequest<'_>) -> LdapResult {
        unwilling("backups are made by a task, not by adding an entry to cn=backups")
    }

    fn modify(&self, _: &Directory, _: &Requester, _: &ModifyRequest<'_>) -> LdapResult {
        unwilling("entries of cn=backups cannot be changed")
    }

    fn delete(&self, _: &Directory, _: &Requester, _: &NormalizedDn) -> LdapResult {
        unwilling("entries of cn=backups cannot be deleted; remove the archive's files")
    }
}
