//! What a search looks for and how it shows what it found; shared by searches that end and those that persist.

use std::sync::Arc;

use super::rights::Rights;
use crate::access::Readable;
use crate::entry::{EntryContext, Selection, StoredEntry, ValuesFilter};
use crate::operation::Directory;
use crate::operation::answer::Exchange;
use crate::operation::place::{self, Place};
use crate::operation::sight::{Condition, Sight, View};
use crate::protocol::encode::ResponseControl;
use crate::protocol::message::Scope;
use crate::schema::{NormalizedDn, Schema};

/// Counts children through the store; of entries that are made, nobody keeps count.
pub(in crate::operation) struct Children<'a> {
    pub(in crate::operation) directory: &'a Directory,
    pub(in crate::operation) schema: &'a Schema,
}

impl EntryContext for Children<'_> {
    fn children(&self, entry: &StoredEntry) -> Option<u64> {
        let key = NormalizedDn::parse(entry.dn(), self.schema).ok()?;
        match place::of(self.directory, &key) {
            Place::Stored => Some(self.directory.store.children(&key)),
            Place::Virtual(_) => None,
        }
    }
}

/// What a search looks for.
pub(super) struct Lens {
    pub(super) base: NormalizedDn,
    pub(super) scope: Scope,
    pub(super) filter: Condition,
    pub(super) selection: Selection,
    /// Values-return filter.
    pub(super) values: Option<ValuesFilter>,
    /// What the subentries control wants to see.
    pub(super) subentries: Option<bool>,
    /// What the get effective rights control wants told.
    pub(super) rights: Option<Box<Rights>>,
}

impl Lens {
    /// Whether the base and the scope cover this key.
    pub(super) fn covers(&self, key: &NormalizedDn) -> bool {
        is_in_scope(&self.base, self.scope, key)
    }

    /// Subentries are hidden, but for who names one as the base or asks for them (RFC 3672 §3).
    fn kind_is_wanted(&self, entry: &StoredEntry) -> bool {
        match self.subentries {
            None => self.scope == Scope::Base || !entry.is_subentry(),
            Some(wanted) => entry.is_subentry() == wanted,
        }
    }

    /// What the requester may read of the entry, if it is found at all.
    pub(super) fn finds<'a>(
        &self,
        sight: &'a Sight,
        entry: &'a StoredEntry,
        key: &'a NormalizedDn,
        context: &dyn EntryContext,
    ) -> Option<Readable<'a>> {
        if !self.kind_is_wanted(entry) || !self.filter.is_true(entry, context) {
            return None;
        }
        let readable = sight.of(entry, key)?;
        (self.filter.is_idle() || sight.may_ask(&self.filter, entry, key)).then_some(readable)
    }

    /// Sends an entry that was found.
    pub(super) fn show(
        &self,
        exchange: &mut Exchange,
        sight: &Sight,
        entry: &StoredEntry,
        readable: &Readable<'_>,
        controls: &[ResponseControl],
    ) {
        let directory = Arc::clone(exchange.directory());
        let schema = Arc::clone(&exchange.schema);
        let context = Children { directory: &directory, schema: &schema };
        let view = View {
            selection: &self.selection,
            values: self.values.as_ref(),
            schema: &schema,
            context: &context,
        };
        view.project(sight, readable, entry, |slices| match &self.rights {
            None => exchange.entry(entry.dn(), slices, controls),
            Some(rights) => {
                let told = rights.told(sight, entry, &schema);
                let slices: Vec<&[u8]> = slices.iter().copied().chain(std::iter::once(&told[..])).collect();
                exchange.entry(entry.dn(), &slices, controls);
            }
        });
    }
}

/// Whether a key lies in the scope of a base.
pub(super) fn is_in_scope(base: &NormalizedDn, scope: Scope, key: &NormalizedDn) -> bool {
    match scope {
        Scope::Base => base == key,
        Scope::One => key.parent().is_some_and(|parent| parent == *base),
        Scope::Subtree => base.covers(key),
        Scope::Subordinate => base.covers(key) && base != key,
    }
}
