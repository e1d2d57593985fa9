//! The ACIs in force at one moment, and the questions operations ask of them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::aci::{Aci, Matter};
use super::area::Place;
use super::attribute_set::{AttributeRef, AttributeSet};
use super::bind_rule::{Lookup, Relation, Subject};
use super::privilege::Privilege;
use super::profile::{Profile, Question};
use super::requester::Requester;
use super::right::Right;
use crate::clock::Clock;
use crate::entry::{StoredEntry, Tri};
use crate::protocol::filter::Filter;
use crate::schema::{NormalizedDn, Schema, TypeId};

/// Profiles kept; when there are more, all go and are worked out again as they are wanted.
const MAX_PROFILES: usize = 8192;
/// Up to this many points, comparing them in turn beats hashing each ancestor.
const FEW_POINTS: usize = 12;

/// The ACIs in force at one moment: globals, and those held by entries. An operation takes one and keeps it to its
/// end.
pub struct AccessSet {
    pub(super) schema: Arc<Schema>,
    pub(super) lookup: Option<Lookup>,
    clock: Arc<dyn Clock>,
    /// By the holder's key; the globals under the root's.
    pub(super) held: HashMap<Box<[u8]>, Vec<Arc<Aci>>>,
    /// Keys at which the ACIs that apply may change, longest first: holders and targets.
    points: Vec<NormalizedDn>,
    point_of: HashMap<Box<[u8]>, usize>,
    groups: Vec<NormalizedDn>,
    object_class: Option<TypeId>,
    profiles: RwLock<HashMap<ProfileKey, Arc<Profile>>>,
}

type ProfileKey = (u64, usize, bool, Relation);

impl std::fmt::Debug for AccessSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessSet").field("held", &self.held).finish_non_exhaustive()
    }
}

/// The attributes that a filter asks about, looked up once for a whole search.
#[derive(Debug, Clone, Default)]
pub struct FilterAttributes {
    asked: Vec<AttributeRef>,
    has_operational: bool,
    /// An extensible match without an attribute asks about all of them.
    asks_all: bool,
}

impl FilterAttributes {
    /// Those of this filter.
    pub fn of(filter: &Filter<'_>, schema: &Schema) -> Self {
        let mut found = Self::default();
        found.gather(filter, schema);
        found.has_operational = found.asked.iter().any(|attribute| attribute.is_operational);
        found
    }

    /// Whether nothing but this attribute is asked about.
    pub(super) fn asks_alone(&self, id: TypeId) -> bool {
        !self.asks_all && self.asked.iter().all(|attribute| attribute.id == Some(id))
    }

    /// Recursion goes as deep as the filter, which the decoder bounds.
    fn gather(&mut self, filter: &Filter<'_>, schema: &Schema) {
        let description = match filter {
            Filter::And(filters) | Filter::Or(filters) => {
                filters.iter().for_each(|filter| self.gather(filter, schema));
                return;
            }
            Filter::Not(filter) => return self.gather(filter, schema),
            Filter::Equality(assertion)
            | Filter::GreaterOrEqual(assertion)
            | Filter::LessOrEqual(assertion)
            | Filter::Approximate(assertion) => &assertion.attribute,
            Filter::Substrings(substrings) => &substrings.attribute,
            Filter::Present(attribute) => attribute,
            Filter::Extensible(extensible) => match &extensible.attribute {
                Some(attribute) => attribute,
                None => {
                    self.asks_all = true;
                    return;
                }
            },
        };
        let attribute = AttributeRef::of(description, schema);
        if !self.asked.contains(&attribute) {
            self.asked.push(attribute);
        }
    }
}

/// What of one entry a requester may read. An entry of which no user attribute may be read is not there for the
/// requester: operational attributes, and the DN, count only where [`Self::is_visible`].
#[derive(Clone)]
pub struct Readable<'a> {
    set: &'a AccessSet,
    question: Question<'a>,
    /// None for who bypasses access control.
    profile: Option<Arc<Profile>>,
    is_visible: bool,
}

impl std::fmt::Debug for Readable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readable").field("is_visible", &self.is_visible).finish_non_exhaustive()
    }
}

impl Readable<'_> {
    /// Whether every user attribute may be read, so that their encoded list can be sent as it is.
    pub fn everything_user(&self) -> bool {
        self.profile.as_ref().is_none_or(|profile| profile.grants_every_user(Right::Read))
    }

    /// Whether the entry may be returned, or its existence be shown, at all: some user attribute it has may be read.
    pub fn is_visible(&self) -> bool {
        self.is_visible
    }

    /// Whether the attribute may be read; a name or description in any case, options do not count. `objectClass` may be
    /// read wherever the entry is visible, unless denied.
    pub fn attribute(&self, description: &str) -> bool {
        let Some(profile) = &self.profile else { return true };
        if !self.is_visible {
            return false;
        }
        let attribute = AttributeRef::of(description, &self.set.schema);
        if !attribute.is_operational && profile.grants_every_user(Right::Read) {
            return true;
        }
        match profile.decide(Matter::Attribute(Right::Read, attribute), &self.question) {
            Some(granted) => granted,
            None => attribute.id.is_some() && attribute.id == self.set.object_class,
        }
    }
}

impl AccessSet {
    pub(super) fn build(
        schema: Arc<Schema>,
        lookup: Option<Lookup>,
        clock: Arc<dyn Clock>,
        acis: Vec<Arc<Aci>>,
    ) -> Self {
        let mut held: HashMap<Box<[u8]>, Vec<Arc<Aci>>> = HashMap::new();
        let mut points = vec![NormalizedDn::root()];
        let mut groups = Vec::new();
        for aci in acis {
            points.push(aci.holder.clone());
            points.extend(aci.area.base().cloned());
            let mut found = Vec::new();
            aci.permissions.iter().for_each(|permission| permission.rule.groups(&mut found));
            groups.extend(found.into_iter().cloned());
            held.entry(aci.holder.as_bytes().into()).or_default().push(aci);
        }
        points.sort_unstable_by(|a, b| {
            b.as_bytes().len().cmp(&a.as_bytes().len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
        });
        points.dedup();
        groups.sort_unstable();
        groups.dedup();
        let point_of =
            points.iter().enumerate().map(|(at, point)| (Box::from(point.as_bytes()), at)).collect();
        let object_class = schema.attribute("objectClass").map(|found| found.id);
        Self {
            schema,
            lookup,
            clock,
            held,
            points,
            point_of,
            groups,
            object_class,
            profiles: RwLock::default(),
        }
    }

    /// Whether an entry of this key holds ACIs.
    pub(super) fn holds(&self, key: &NormalizedDn) -> bool {
        self.held.contains_key(key.as_bytes())
    }

    /// Whether an ACI asks who is a member of this group.
    pub(super) fn asks_group(&self, key: &NormalizedDn) -> bool {
        !self.groups.is_empty() && self.groups.binary_search(key).is_ok()
    }

    fn nearest_point(&self, key: &NormalizedDn) -> usize {
        if self.points.len() <= FEW_POINTS {
            return self.points.iter().position(|point| point.covers(key)).unwrap_or_default();
        }
        ancestors(key).find_map(|ancestor| self.point_of.get(ancestor)).copied().unwrap_or_default()
    }

    pub(super) fn question<'a>(
        &'a self,
        who: &'a Requester,
        key: &'a NormalizedDn,
        entry: Option<&'a StoredEntry>,
    ) -> Question<'a> {
        let (lookup, schema, clock) = (self.lookup.as_ref(), &self.schema, &*self.clock);
        Question { who, key, entry, is_new: false, lookup, schema, clock }
    }

    /// Whether somebody with `monitor-read` looks at `cn=monitor`, where there is nothing but to read.
    pub(super) fn is_monitoring(&self, who: &Requester, key: &NormalizedDn) -> bool {
        who.privileges.has(Privilege::MonitorRead)
            && NormalizedDn::parse("cn=monitor", &self.schema).is_ok_and(|monitor| monitor.covers(key))
    }

    /// What the ACIs come to; none for who bypasses access control, or needs no grant here.
    pub(super) fn profile(&self, who: &Requester, key: &NormalizedDn) -> Option<Arc<Profile>> {
        if who.privileges.has(Privilege::BypassAcl) || self.is_monitoring(who, key) {
            return None;
        }
        let at = self.nearest_point(key);
        let is_point =
            self.points.get(at).is_some_and(|point| point.as_bytes().len() == key.as_bytes().len());
        let relation = Relation::of(who, key);
        let cache_key = (who.identity(), at, is_point, relation);
        let profiles = self.profiles.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = profiles.get(&cache_key).filter(|profile| profile.is_for(who)) {
            return Some(Arc::clone(found));
        }
        drop(profiles);

        let root = NormalizedDn::root();
        let point = self.points.get(at).unwrap_or(&root);
        let subject = self.question(who, key, None).subject();
        let acis = ancestors(point).filter_map(|ancestor| self.held.get(ancestor)).flatten();
        let built = Arc::new(Profile::build(acis, Place { point, is_point }, &subject));
        let mut profiles = self.profiles.write().unwrap_or_else(PoisonError::into_inner);
        if profiles.len() >= MAX_PROFILES {
            profiles.clear();
        }
        profiles.insert(cache_key, Arc::clone(&built));
        Some(built)
    }

    fn is_visible(&self, profile: &Profile, question: &Question<'_>) -> bool {
        if profile.grants_every_user(Right::Read) {
            return true;
        }
        if !profile.grants_some_user(Right::Read) {
            return false;
        }
        question.entry.is_some_and(|entry| {
            entry.user().iter().any(|attribute| {
                let attribute = AttributeRef::of(attribute.description, &self.schema);
                profile.decide(Matter::Attribute(Right::Read, attribute), question) == Some(true)
            })
        })
    }

    fn decide(&self, who: &Requester, matter: Matter<'_>, question: &Question<'_>) -> bool {
        self.profile(who, question.key).is_none_or(|profile| profile.decide(matter, question) == Some(true))
    }

    /// What of the entry the requester may read.
    pub fn readable<'a>(
        &'a self,
        who: &'a Requester,
        entry: &'a StoredEntry,
        key: &'a NormalizedDn,
    ) -> Readable<'a> {
        let profile = self.profile(who, key);
        let question = self.question(who, key, Some(entry));
        let is_visible = profile.as_ref().is_none_or(|profile| self.is_visible(profile, &question));
        Readable { set: self, question, profile, is_visible }
    }

    /// Whether there may be entries below this one that the requester may see, though not this one: some ACI lets it read
    /// user attributes there, as far as no entry is looked at.
    pub fn may_see_below(&self, who: &Requester, key: &NormalizedDn) -> bool {
        if who.privileges.has(Privilege::BypassAcl) {
            return true;
        }
        let subject = self.question(who, key, None).subject();
        self.held.values().flatten().any(|aci| {
            (aci.holder.covers(key) || key.covers(&aci.holder)) && may_show_below(aci, key, &subject)
        })
    }

    /// As [`Self::may_see_below`], of an entry that the requester does not see, be it there or not: the ACIs that such an
    /// entry or one below it may hold do not count (its own do if it is a suffix, which is no secret), so the answer tells
    /// nothing about it. False too if an entry here would be seen whatever it is: then there is none.
    pub fn may_see_below_unseen(&self, who: &Requester, key: &NormalizedDn, is_suffix: bool) -> bool {
        if who.privileges.has(Privilege::BypassAcl) {
            return false;
        }
        let question = self.question(who, key, None);
        let subject = question.subject();
        let acis = || {
            let above = ancestors(key).filter(|above| is_suffix || *above != key.as_bytes());
            above.filter_map(|above| self.held.get(above)).flatten()
        };
        let profile = Profile::build(acis(), Place { point: key, is_point: true }, &subject);
        // Every entry has an object class.
        let class = AttributeRef::of("objectClass", &self.schema);
        let is_shown = profile.grants_every_user(Right::Read)
            || profile.decide(Matter::Attribute(Right::Read, class), &question) == Some(true);
        !is_shown && acis().any(|aci| may_show_below(aci, key, &subject))
    }

    /// Whether the requester may know that the entry exists: some user attribute it has may be read.
    pub fn visible(&self, who: &Requester, entry: &StoredEntry, key: &NormalizedDn) -> bool {
        self.readable(who, entry, key).is_visible
    }

    /// Whether a search may match the entry: it is visible, and every attribute of the filter may be searched. An entry
    /// for which this is false is passed over as if it were not there, before the filter is evaluated or after.
    pub fn searchable(
        &self,
        who: &Requester,
        entry: &StoredEntry,
        key: &NormalizedDn,
        filter: &FilterAttributes,
    ) -> bool {
        let Some(profile) = self.profile(who, key) else { return true };
        let question = self.question(who, key, Some(entry));
        if !self.is_visible(&profile, &question) {
            return false;
        }
        let every_user = profile.grants_every_user(Right::Search);
        if every_user && !filter.has_operational {
            return true;
        }
        if filter.asks_all && !every_user {
            return false;
        }
        filter.asked.iter().all(|attribute| {
            profile.decide(Matter::Attribute(Right::Search, *attribute), &question) == Some(true)
        })
    }

    /// Whether the requester has the right on an attribute of the entry (description in any case, options do not count).
    /// Looking (read, search, compare) takes that the entry is visible.
    pub fn may(
        &self,
        who: &Requester,
        right: Right,
        entry: &StoredEntry,
        key: &NormalizedDn,
        attribute: &str,
    ) -> bool {
        if right == Right::Read {
            return self.readable(who, entry, key).attribute(attribute);
        }
        let Some(profile) = self.profile(who, key) else { return true };
        let question = self.question(who, key, Some(entry));
        let matter = Matter::Attribute(right, AttributeRef::of(attribute, &self.schema));
        profile.decide(matter, &question) == Some(true)
            && (!right.looks() || self.is_visible(&profile, &question))
    }

    /// The privilege that adding, changing or deleting the attribute takes besides the ACIs, if any.
    pub fn privilege_for(attribute: &str) -> Option<Privilege> {
        let name = attribute.split(';').next().unwrap_or_default();
        if name.eq_ignore_ascii_case("aci")
            || name.eq_ignore_ascii_case("ds-cfg-global-aci")
            || name == "2.16.840.1.113730.3.1.55"
        {
            Some(Privilege::ModifyAcl)
        } else if name.eq_ignore_ascii_case("ds-privilege-name")
            || name.eq_ignore_ascii_case("ds-cfg-default-root-privilege-name")
        {
            Some(Privilege::PrivilegeChange)
        } else {
            None
        }
    }

    /// Whether the requester has the right on the entry as a whole (add, delete, import, export, proxy). Without the
    /// entry's content (one about to be added, say) an ACI with `targetfilter` or `targattrfilters` allows nothing and denies
    /// all it can.
    pub fn may_entry(
        &self,
        who: &Requester,
        right: Right,
        entry: Option<&StoredEntry>,
        key: &NormalizedDn,
    ) -> bool {
        self.decide(who, Matter::Entry(right), &self.question(who, key, entry))
    }

    /// Whether the requester may add the entry: as [`Self::may_entry`] of its content, but that the entry cannot itself say
    /// (`userattr`) who may add it.
    pub fn may_add(&self, who: &Requester, entry: &StoredEntry, key: &NormalizedDn) -> bool {
        let question = Question { is_new: true, ..self.question(who, key, Some(entry)) };
        self.decide(who, Matter::Entry(Right::Add), &question)
    }

    /// Whether the requester may act as the entry (proxied authorization): privilege and right.
    pub fn may_proxy(&self, who: &Requester, entry: Option<&StoredEntry>, key: &NormalizedDn) -> bool {
        who.privileges.has(Privilege::ProxiedAuth) && self.may_entry(who, Right::Proxy, entry, key)
    }

    /// Whether the requester may use a control on an operation at this target.
    pub fn may_control(&self, who: &Requester, oid: &str, target: &NormalizedDn) -> bool {
        self.decide(who, Matter::Control(oid), &self.question(who, target, None))
    }

    /// Whether the requester may use an extended operation: by the globals, or an ACI at or above its own entry.
    pub fn may_extended(&self, who: &Requester, oid: &str) -> bool {
        self.decide(who, Matter::Extended(oid), &self.question(who, &who.key, None))
    }
}

/// Whether an ACI lets somebody read user attributes of entries at or below this one, as far as no entry is looked at.
fn may_show_below(aci: &Aci, key: &NormalizedDn, subject: &Subject<'_>) -> bool {
    aci.area.may_reach(key)
        && aci.attributes().is_some_and(AttributeSet::touches_user)
        && aci.permissions.iter().any(|permission| {
            permission.allows && permission.rights.has(Right::Read) && {
                subject.varies.set(false);
                permission.rule.is_met(subject) == Tri::True || subject.varies.get()
            }
        })
}

/// The key, the keys above it, and the root's.
pub(super) fn ancestors(key: &NormalizedDn) -> impl Iterator<Item = &[u8]> {
    let octets = key.as_bytes();
    let ends = octets.iter().enumerate().rev().filter(|(_, octet)| **octet == 0).map(|(at, _)| at + 1);
    ends.chain(std::iter::once(0)).filter_map(move |end| octets.get(..end))
}
