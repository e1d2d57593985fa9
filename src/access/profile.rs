//! What the ACIs come to for one requester at one place of the tree: worked out once, looked at for every entry.

use std::cell::Cell;
use std::sync::Arc;

use super::aci::{Aci, Matter, Permission};
use super::area::{Holds, Place};
use super::attribute_set::AttributeSet;
use super::bind_rule::{Lookup, Relation, Subject};
use super::requester::Requester;
use super::right::Right;
use crate::clock::Clock;
use crate::entry::{StoredEntry, Tri};
use crate::schema::{NormalizedDn, Schema};

/// The permissions that concern one requester, one place and one relation of the two, by right.
#[derive(Debug)]
pub(super) struct Profile {
    /// For whom it is; whoever no bind rule can tell apart shares it.
    who: Requester,
    rights: [Permissions; Right::EACH.len()],
    controls: Permissions,
    extended: Permissions,
    /// Whether changes of attributes have to be decided value by value.
    looks_at_values: bool,
}

/// Permissions with one right, those that deny first; so the first that applies decides.
#[derive(Debug, Default)]
struct Permissions {
    list: Vec<Listed>,
    /// Whether the right is granted on every user attribute of every entry here.
    every_user: bool,
    /// Whether the right may be granted on some user attribute of some entry here.
    some_user: bool,
}

/// A permission that applies to some or all of the place's entries.
#[derive(Debug)]
struct Listed {
    aci: Arc<Aci>,
    permission: usize,
    allows: bool,
    /// Whether it applies to all of them.
    is_sure: bool,
}

/// What a profile is looked at with: the requester, an entry, and what bind rules may ask.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) who: &'a Requester,
    pub(super) key: &'a NormalizedDn,
    pub(super) entry: Option<&'a StoredEntry>,
    /// The entry is about to be added, by the requester.
    pub(super) is_new: bool,
    pub(super) lookup: Option<&'a Lookup>,
    pub(super) schema: &'a Schema,
    pub(super) clock: &'a dyn Clock,
}

impl<'a> Question<'a> {
    pub(super) fn subject(&self) -> Subject<'a> {
        Subject {
            who: self.who,
            relation: Relation::of(self.who, self.key),
            key: self.key,
            entry: self.entry,
            is_new: self.is_new,
            lookup: self.lookup,
            schema: self.schema,
            clock: self.clock,
            varies: Cell::new(false),
        }
    }
}

impl Listed {
    fn permission(&self) -> Option<&Permission> {
        self.aci.permissions.get(self.permission)
    }

    fn decides(&self, matter: Matter<'_>, question: &Question<'_>) -> bool {
        self.aci.is_about(matter, self.allows)
            && (self.is_sure
                || self
                    .permission()
                    .is_some_and(|permission| self.aci.applies(permission, matter, &question.subject())))
    }
}

impl Permissions {
    fn decide(&self, matter: Matter<'_>, question: &Question<'_>) -> Option<bool> {
        self.list.iter().find(|listed| listed.decides(matter, question)).map(|listed| listed.allows)
    }

    fn summarise(&mut self) {
        self.list.sort_by_key(|listed| listed.allows);
        let sets = |allows: bool| {
            self.list
                .iter()
                .filter(move |listed| listed.allows == allows)
                .filter_map(|listed| listed.aci.attributes().map(|set| (set, listed.is_sure)))
        };
        self.some_user = sets(true).any(|(set, _)| set.touches_user());
        self.every_user = sets(true).any(|(set, is_sure)| is_sure && AttributeSet::is_every_user(set))
            && !sets(false).any(|(set, _)| set.touches_user());
    }
}

impl Profile {
    /// Works it out from the ACIs of the globals and of the entries at and above the place.
    pub(super) fn build<'a>(
        acis: impl Iterator<Item = &'a Arc<Aci>>,
        place: Place<'_>,
        subject: &Subject<'_>,
    ) -> Self {
        let mut profile = Self {
            who: subject.who.clone(),
            rights: Default::default(),
            controls: Permissions::default(),
            extended: Permissions::default(),
            looks_at_values: false,
        };
        for aci in acis {
            let holds = aci.area.holds(place);
            if holds == Holds::None {
                continue;
            }
            for (at, permission) in aci.permissions.iter().enumerate() {
                subject.varies.set(false);
                let met = permission.rule.is_met(subject);
                let varies = subject.varies.get();
                let fails = if permission.allows { met != Tri::True } else { met == Tri::False };
                if fails && !varies {
                    continue;
                }
                let is_sure = holds == Holds::All && !varies && !aci.looks_at_content();
                let listed =
                    || Listed { aci: Arc::clone(aci), permission: at, allows: permission.allows, is_sure };
                profile.list(aci, permission, listed);
            }
        }
        profile.rights.iter_mut().for_each(Permissions::summarise);
        profile.controls.summarise();
        profile.extended.summarise();
        let has = |right, test: fn(&Listed) -> bool| {
            profile.permissions(right).is_some_and(|permissions| permissions.list.iter().any(test))
        };
        let by_value = |listed: &Listed| listed.aci.value_filters().is_some();
        profile.looks_at_values = has(Right::Write, by_value)
            || has(Right::SelfWrite, by_value)
            || has(Right::SelfWrite, |listed| !listed.allows);
        profile
    }

    fn list(&mut self, aci: &Aci, permission: &Permission, listed: impl Fn() -> Listed) {
        if permission.rights.has(Right::Read) {
            if aci.has_controls() {
                self.controls.list.push(listed());
            }
            if aci.has_extended() {
                self.extended.list.push(listed());
            }
        }
        if aci.attributes().is_none() && !aci.is_about_entries() {
            return;
        }
        for (right, permissions) in Right::EACH.into_iter().zip(&mut self.rights) {
            if permission.rights.has(right) {
                permissions.list.push(listed());
            }
        }
    }

    /// Whether it was worked out for someone no bind rule can tell from `who`.
    pub(super) fn is_for(&self, who: &Requester) -> bool {
        self.who.is_like(who)
    }

    fn permissions(&self, right: Right) -> Option<&Permissions> {
        self.rights.get(right as usize)
    }

    /// What the ACIs say: granted, refused, or nothing.
    pub(super) fn decide(&self, matter: Matter<'_>, question: &Question<'_>) -> Option<bool> {
        let permissions = match matter {
            Matter::Attribute(right, _) | Matter::Entry(right) | Matter::Value(right, ..) => {
                self.permissions(right)?
            }
            Matter::Control(_) => &self.controls,
            Matter::Extended(_) => &self.extended,
        };
        permissions.decide(matter, question)
    }

    /// Whether changes of attributes have to be decided value by value: there are `targattrfilters`, or somebody must not
    /// write their own DN.
    pub(super) fn looks_at_values(&self) -> bool {
        self.looks_at_values
    }

    /// Whether the right is granted on every user attribute of every entry here.
    pub(super) fn grants_every_user(&self, right: Right) -> bool {
        self.permissions(right).is_some_and(|permissions| permissions.every_user)
    }

    /// Whether the right may be granted on some user attribute of some entry here.
    pub(super) fn grants_some_user(&self, right: Right) -> bool {
        self.permissions(right).is_some_and(|permissions| permissions.some_user)
    }
}
