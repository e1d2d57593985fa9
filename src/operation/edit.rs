//! New content for an entry, decided in the sequencer on the version that is current there: access, assertion,
//! modifications, schema, stamps.

use std::sync::Arc;

use smallvec::SmallVec;

use super::pipeline::{self, WriteControls};
use super::search::Children;
use super::sight::Sight;
use super::stamp::Stamp;
use super::{Directory, outcome, password};
use crate::access::{Privilege, Right};
use crate::backend::{Edit, Verdict};
use crate::entry::{Edited, PreparedModifications, StoredEntry, encoded_attributes, lacks_rdn_value};
use crate::name::Rdn;
use crate::protocol::message::ModifyOperation;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema, TypeId};

/// What one change does to an entry's content.
pub(super) struct ContentEdit {
    pub(super) target: NormalizedDn,
    pub(super) sight: Sight,
    pub(super) controls: WriteControls,
    pub(super) schema: Arc<Schema>,
    pub(super) directory: Arc<Directory>,
    pub(super) modifications: PreparedModifications,
    pub(super) stamp: Stamp,
    /// The RDN the entry has afterwards.
    pub(super) rdn: Rdn,
    /// The entry gets another name, so it changes in any case.
    pub(super) is_rename: bool,
    /// A move takes the right to export the entry.
    pub(super) is_move: bool,
}

impl Edit for ContentEdit {
    fn decide(&mut self, current: &Arc<StoredEntry>) -> Result<Option<Verdict>, LdapResult> {
        self.check_access(current)?;
        if let Some(assertion) = &self.controls.assertion {
            let context = Children { directory: &self.directory, schema: &self.schema };
            pipeline::assert_holds(assertion, &self.sight, current, &self.target, &context)?;
        }
        let Some(mut edited) = self.apply(current, &self.modifications)? else { return Ok(None) };
        if self.modifications.touches("objectClass")
            && let Some(completed) = self.completed(current, &edited)?
        {
            edited = completed;
        }
        self.check_schema(current, &edited)?;
        if self.modifications.touches(password::ATTRIBUTE) {
            let is_password =
                |description: &[u8]| description.eq_ignore_ascii_case(password::ATTRIBUTE.as_bytes());
            let held = encoded_attributes(&edited.user).find(|attribute| is_password(attribute.description));
            password::check_count(&self.directory, held.map_or(0, |held| held.values().count()))?;
        }
        if let Some(name) = lacks_rdn_value(&self.rdn, &edited.user, &self.schema) {
            let text = format!("the entry's RDN names a value of attribute {name}; it cannot be taken away");
            return Err(LdapResult::with(ResultCode::NOT_ALLOWED_ON_RDN, text));
        }
        let stamp = &self.stamp;
        edited.stamp(&[("modifiersName", stamp.who.as_bytes()), ("modifyTimestamp", stamp.time.as_bytes())]);
        Ok(Some(Verdict { user: edited.user, operational: edited.operational, effects: edited.effects }))
    }
}

impl ContentEdit {
    fn apply(
        &self,
        current: &StoredEntry,
        modifications: &PreparedModifications,
    ) -> Result<Option<Edited>, LdapResult> {
        let is_permissive = self.controls.is_permissive || self.is_rename;
        let edited =
            modifications.apply(current, is_permissive).map_err(|error| outcome::modify_error(&error))?;
        Ok(edited.or_else(|| self.is_rename.then(|| Edited::unchanged(current))))
    }

    fn check_access(&self, current: &StoredEntry) -> Result<(), LdapResult> {
        let sight = &self.sight;
        let key = &self.target;
        if sight.has(Privilege::BypassAcl) {
            return self.check_subentry(current);
        }
        for (operation, canonical, values) in self.modifications.steps() {
            let name = canonical.split(';').next().unwrap_or_default();
            if !sight.access.may_modify(&sight.who, current, key, operation, canonical, values) {
                let text = format!("the requester may not write attribute {name} of the entry");
                let why = LdapResult::with(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, text);
                return Err(pipeline::refuse(sight, current, key, &*self.directory.store, why));
            }
        }
        if self.is_move && !sight.may_entry(Right::Export, current, key) {
            let why = outcome::denied("the requester may not move the entry away (export)");
            return Err(pipeline::refuse(sight, current, key, &*self.directory.store, why));
        }
        self.check_subentry(current)
    }

    fn check_subentry(&self, current: &StoredEntry) -> Result<(), LdapResult> {
        if current.is_subentry() && !self.sight.has(Privilege::SubentryWrite) {
            return Err(outcome::missing_privilege(Privilege::SubentryWrite, "changing a subentry"));
        }
        Ok(())
    }

    /// The edit with the superior classes that new values of objectClass imply; none if nothing is missing.
    fn completed(&self, current: &StoredEntry, edited: &Edited) -> Result<Option<Edited>, LdapResult> {
        let classes = object_classes(&edited.user);
        let Ok(resolved) = self.schema.check_classes(&classes) else { return Ok(None) };
        if resolved.left_out().is_empty() {
            return Ok(None);
        }
        let mut more = self.modifications.clone();
        let names = resolved.left_out().iter().map(|class| class.name().as_bytes());
        more.push(ModifyOperation::Add, "objectClass", names, &self.schema)
            .map_err(|error| outcome::modify_error(&error))?;
        self.apply(current, &more)
    }

    fn check_schema(&self, current: &StoredEntry, edited: &Edited) -> Result<(), LdapResult> {
        let schema = &*self.schema;
        let violation = |violation| outcome::violation(&violation);
        let classes = schema.check_classes(&object_classes(&edited.user)).map_err(violation)?;
        if self.modifications.touches("objectClass") {
            let before = schema.check_classes(&object_classes(current.user_list())).map_err(violation)?;
            if before.structural().oid != classes.structural().oid {
                let text = format!(
                    "the structural object class cannot be changed from {} to {}",
                    before.structural().name(),
                    classes.structural().name()
                );
                return Err(LdapResult::with(ResultCode::OBJECT_CLASS_MODS_PROHIBITED, text));
            }
        }
        let mut present: SmallVec<[(TypeId, usize); 32]> = SmallVec::new();
        for list in [&edited.user, &edited.operational] {
            for attribute in encoded_attributes(list) {
                let name = attribute.description.split(|&octet| octet == b';').next().unwrap_or_default();
                let known = std::str::from_utf8(name).ok().and_then(|name| schema.attribute(name));
                if let Some(known) = known {
                    // Whether there are two is all that matters.
                    present.push((known.id, attribute.values().take(2).count()));
                }
            }
        }
        classes.check(schema, &present).map_err(violation)
    }
}

fn object_classes(user: &[u8]) -> SmallVec<[&[u8]; 4]> {
    let found = encoded_attributes(user).find(|attribute| attribute.description == b"objectClass");
    found.map(|attribute| attribute.values().collect()).unwrap_or_default()
}
