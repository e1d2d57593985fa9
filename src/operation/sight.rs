//! What a requester sees of an entry: nothing at all unless a user attribute of it is readable, for a DN is a
//! secret here.

use std::sync::Arc;

use bytes::BytesMut;

use crate::access::{AccessSet, FilterAttributes, Privilege, Readable, Requester, Right};
use crate::entry::{self, CompiledFilter, EntryContext, Selection, Slices, StoredEntry, Tri, ValuesFilter};
use crate::protocol::filter::Filter;
use crate::schema::{NormalizedDn, Schema};

/// A requester under the ACIs of one moment; cheap to clone.
#[derive(Clone)]
pub(super) struct Sight {
    /// Who looks.
    pub(super) who: Arc<Requester>,
    /// The ACIs.
    pub(super) access: Arc<AccessSet>,
}

/// A filter with the attributes that it takes the search right to ask about.
pub(super) struct Condition {
    pub(super) filter: Arc<CompiledFilter>,
    asked: FilterAttributes,
    /// It is `(objectClass=*)`, which asks nothing.
    is_idle: bool,
}

impl Condition {
    /// Resolves a filter.
    pub(super) fn of(filter: &Filter<'_>, schema: &Schema) -> Self {
        let compiled = CompiledFilter::compile(filter, schema);
        let is_idle = compiled.is_object_class_presence();
        let asked = if is_idle { FilterAttributes::default() } else { FilterAttributes::of(filter, schema) };
        Self { filter: Arc::new(compiled), asked, is_idle }
    }

    /// Whether it asks nothing: who sees an entry may ask it.
    pub(super) const fn is_idle(&self) -> bool {
        self.is_idle
    }

    /// Whether it is true of the entry, whoever asks.
    pub(super) fn is_true(&self, entry: &StoredEntry, context: &dyn EntryContext) -> bool {
        self.is_idle || self.filter.evaluate_with(entry, context) == Tri::True
    }
}

impl Sight {
    /// What of the entry is readable; none if the entry must not be seen at all.
    pub(super) fn of<'a>(&'a self, entry: &'a StoredEntry, key: &'a NormalizedDn) -> Option<Readable<'a>> {
        let readable = self.access.readable(&self.who, entry, key);
        readable.is_visible().then_some(readable)
    }

    /// Whether the entry may be seen.
    pub(super) fn sees(&self, entry: &StoredEntry, key: &NormalizedDn) -> bool {
        self.access.visible(&self.who, entry, key)
    }

    /// Whether the requester may ask the condition of this entry: it must see the entry and have the search right on
    /// each attribute.
    pub(super) fn may_ask(&self, condition: &Condition, entry: &StoredEntry, key: &NormalizedDn) -> bool {
        if condition.is_idle {
            self.sees(entry, key)
        } else {
            self.access.searchable(&self.who, entry, key, &condition.asked)
        }
    }

    /// Whether the requester has a right on an attribute of the entry.
    pub(super) fn may(&self, right: Right, entry: &StoredEntry, key: &NormalizedDn, attribute: &str) -> bool {
        self.access.may(&self.who, right, entry, key, attribute)
    }

    /// Whether the requester has a right on the entry as a whole.
    pub(super) fn may_entry(&self, right: Right, entry: &StoredEntry, key: &NormalizedDn) -> bool {
        self.access.may_entry(&self.who, right, Some(entry), key)
    }

    /// Whether the requester has a privilege.
    pub(super) fn has(&self, privilege: Privilege) -> bool {
        self.who.privileges.has(privilege)
    }
}

/// What is to be shown of entries.
pub(super) struct View<'a> {
    pub(super) selection: &'a Selection,
    pub(super) values: Option<&'a ValuesFilter>,
    pub(super) schema: &'a Schema,
    pub(super) context: &'a dyn EntryContext,
}

impl View<'_> {
    /// Hands the slices of the selected and readable attributes of an entry to `take`.
    pub(super) fn project<R>(
        &self,
        sight: &Sight,
        readable: &Readable<'_>,
        entry: &StoredEntry,
        take: impl FnOnce(&[&[u8]]) -> R,
    ) -> R {
        let mut scratch = BytesMut::new();
        let mut slices = Slices::new();
        let may_read = |name: &str| readable.attribute(name);
        let readable = entry::Readable {
            all_user: readable.everything_user(),
            all_operational: sight.has(Privilege::BypassAcl),
            may_read: &may_read,
        };
        self.selection.project(
            entry,
            self.schema,
            self.context,
            readable,
            self.values,
            &mut scratch,
            &mut slices,
        );
        take(&slices)
    }
}
