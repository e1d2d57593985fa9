//! Why a right is granted or refused, in words: which ACI decides, and which would have, but for one thing.

use std::sync::Arc;

use super::aci::{Aci, Matter, Permission};
use super::attribute_set::AttributeRef;
use super::bind_rule::is_dn;
use super::privilege::Privilege;
use super::requester::{AuthMethod, Requester};
use super::right::Right;
use super::set::{AccessSet, ancestors};
use super::value_filters::Change;
use crate::entry::{StoredEntry, Tri};
use crate::protocol::message::ModifyOperation;
use crate::schema::NormalizedDn;

/// ACIs that are told of as near misses, at the most.
const NEAR: usize = 12;

/// What may be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A right on the entry as a whole.
    Entry(Right),
    /// A right on an attribute.
    Attribute(Right, &'a str),
    /// Adding or deleting this value of an attribute.
    Value(Change, &'a str, &'a [u8]),
    /// The use of a control.
    Control(&'a str),
    /// The use of an extended operation.
    Extended(&'a str),
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The requester bypasses access control.
    Bypass,
    /// This ACI allows it.
    Allowed(String),
    /// This ACI denies it.
    Denied(String),
    /// No ACI of the target is about it.
    NothingAbout,
    /// ACIs are about it, but none is for the requester.
    NotForRequester,
    /// It would be allowed, but no user attribute of the entry may be read, so the entry is hidden.
    Hidden,
    /// Some values may be written and others not, as this ACI says.
    ByValue(String),
    /// `objectClass` may be read wherever the entry is visible.
    ObjectClass,
}

/// Why something is granted or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it is granted.
    pub granted: bool,
    /// What decided.
    pub reason: Reason,
    /// The same in words, a line each; then, where it is refused, the ACIs that come nearest to granting it.
    pub lines: Vec<String>,
}

/// What keeps an ACI from applying.
enum Obstacle<'a> {
    Target,
    Matter,
    Right,
    Rule(&'a Permission),
}

impl AccessSet {
    /// Why the requester may do what is asked, or may not. Answers as [`Self::may`], [`Self::may_entry`],
    /// [`Self::may_control`] and [`Self::may_extended`] do. Costs a look at every ACI at or above the entry.
    pub fn explain(
        &self,
        who: &Requester,
        asked: Asked<'_>,
        entry: Option<&StoredEntry>,
        key: &NormalizedDn,
    ) -> Explanation {
        if who.privileges.has(Privilege::BypassAcl) {
            let lines = vec!["the requester has the privilege bypass-acl: no ACI is asked".to_owned()];
            return Explanation { granted: true, reason: Reason::Bypass, lines };
        }
        if self.is_monitoring(who, key) {
            let lines = vec!["the requester has the privilege monitor-read: no ACI is asked here".to_owned()];
            return Explanation { granted: true, reason: Reason::Bypass, lines };
        }
        let (matter, what) = self.matter(asked);
        let granted = match (asked, entry) {
            (Asked::Control(oid), _) => self.may_control(who, oid, key),
            (Asked::Extended(oid), _) => self.may_extended(who, oid),
            (Asked::Entry(right), _) => self.may_entry(who, right, entry, key),
            (Asked::Attribute(right, name), Some(entry)) => self.may(who, right, entry, key, name),
            (Asked::Value(change, name, value), Some(entry)) => {
                let operation = match change {
                    Change::Add => ModifyOperation::Add,
                    Change::Delete => ModifyOperation::Delete,
                };
                self.may_modify(who, entry, key, operation, name, [value])
            }
            (Asked::Attribute(..) | Asked::Value(..), None) => false,
        };
        let question = self.question(who, key, entry);
        let is_own = match asked {
            Asked::Value(_, _, value) => !who.is_anonymous() && is_dn(value, &who.key, &self.schema),
            _ => false,
        };
        let (mut allowing, mut denying, mut near) = (Vec::new(), Vec::new(), Vec::new());
        let (mut allowing_some, mut denying_some) = (Vec::new(), Vec::new());
        let mut is_about = false;
        let acis: Vec<&Arc<Aci>> =
            ancestors(key).filter_map(|above| self.held.get(above)).flatten().collect();
        for aci in acis {
            let targets = aci.targets(matter, key, entry);
            let needs_values = aci.needs_values(matter);
            for permission in &aci.permissions {
                let met = permission.rule.is_met(&question.subject());
                let mut obstacles = Vec::new();
                if targets == Tri::False || (permission.allows && targets == Tri::Undefined) {
                    obstacles.push(Obstacle::Target);
                }
                if !aci.is_about(matter, permission.allows) && !needs_values {
                    obstacles.push(Obstacle::Matter);
                }
                let rights = permission.rights;
                let has = rights.has(matter.right()) || (is_own && rights.has(Right::SelfWrite));
                if !has {
                    obstacles.push(Obstacle::Right);
                }
                is_about |= permission.allows && obstacles.is_empty();
                if if permission.allows { met != Tri::True } else { met == Tri::False } {
                    obstacles.push(Obstacle::Rule(permission));
                }
                match (obstacles.as_slice(), permission.allows) {
                    ([], true) if needs_values => allowing_some.push(aci),
                    ([], false) if needs_values => denying_some.push(aci),
                    ([], true) => allowing.push(aci),
                    ([], false) => denying.push(aci),
                    ([one], true) => near.push(self.missed(aci, one, &what)),
                    _ => {}
                }
            }
        }
        let looks = matches!(asked, Asked::Attribute(right, _) if right.looks());
        let is_hidden = !granted && looks && !entry.is_some_and(|entry| self.visible(who, entry, key));
        let name = |aci: Option<&&Arc<Aci>>| aci.map(|aci| aci.name.clone()).unwrap_or_default();
        let reason = if !denying.is_empty() {
            Reason::Denied(name(denying.first()))
        } else if let Some(aci) = denying_some.first().filter(|_| !allowing.is_empty()) {
            Reason::ByValue(aci.name.clone())
        } else if let Some(aci) = allowing_some.first().filter(|_| !granted) {
            Reason::ByValue(aci.name.clone())
        } else if is_hidden && !allowing.is_empty() {
            Reason::Hidden
        } else if !allowing.is_empty() {
            Reason::Allowed(name(allowing.first()))
        } else if granted {
            Reason::ObjectClass
        } else if is_about {
            Reason::NotForRequester
        } else {
            Reason::NothingAbout
        };
        let mut lines: Vec<String> = Vec::new();
        lines.extend(denying.iter().map(|aci| format!("{} denies {what}; a denial wins", self.called(aci))));
        lines.extend(allowing.iter().map(|aci| format!("{} allows {what}", self.called(aci))));
        let some = [(&denying_some, "denies"), (&allowing_some, "allows")];
        for (aci, verb) in some.iter().flat_map(|(acis, verb)| acis.iter().map(move |aci| (aci, verb))) {
            let filters = aci.value_filters().map(|filters| &*filters.text).unwrap_or_default();
            lines.push(format!("{} {verb} {what}, of some values: {filters}", self.called(aci)));
        }
        match &reason {
            Reason::Hidden => lines.push(
                "but no user attribute of the entry may be read, so the entry is hidden from the requester"
                    .to_owned(),
            ),
            Reason::ObjectClass => {
                lines.push("objectClass may be read wherever the entry is visible".to_owned());
            }
            Reason::NothingAbout | Reason::NotForRequester => {
                lines.push(format!("no ACI at or above the entry, and no global one, allows {what}"));
            }
            _ => {}
        }
        if !granted && denying.is_empty() {
            let more = near.len().saturating_sub(NEAR);
            lines.extend(near.into_iter().take(NEAR));
            if more > 0 {
                lines.push(format!("{more} more come as near"));
            }
        }
        Explanation { granted, reason, lines }
    }

    fn matter<'a>(&self, asked: Asked<'a>) -> (Matter<'a>, String) {
        match asked {
            Asked::Entry(right) => (Matter::Entry(right), format!("{} on the entry", right.name())),
            Asked::Attribute(right, name) => {
                let attribute = AttributeRef::of(name, &self.schema);
                (Matter::Attribute(right, attribute), format!("{} of attribute {name}", right.name()))
            }
            Asked::Value(change, name, value) => {
                let attribute = AttributeRef::of(name, &self.schema);
                let verb = match change {
                    Change::Add => "adding",
                    Change::Delete => "deleting",
                };
                let told: String = String::from_utf8_lossy(value).chars().take(64).collect();
                let what = format!("{verb} the value \"{told}\" of attribute {name}");
                (Matter::Value(Right::Write, attribute, change, value), what)
            }
            Asked::Control(oid) => (Matter::Control(oid), format!("the control {oid}")),
            Asked::Extended(oid) => (Matter::Extended(oid), format!("the extended operation {oid}")),
        }
    }

    fn called(&self, aci: &Aci) -> String {
        if aci.holder.as_bytes().is_empty() {
            return format!("the global ACI \"{}\"", aci.name);
        }
        let holder = self.lookup.as_ref().and_then(|lookup| lookup(&aci.holder).ok().flatten());
        match holder {
            Some(entry) => format!("the ACI \"{}\" of {}", aci.name, entry.dn()),
            None => format!("the ACI \"{}\"", aci.name),
        }
    }

    fn missed(&self, aci: &Aci, obstacle: &Obstacle<'_>, what: &str) -> String {
        let called = self.called(aci);
        match obstacle {
            Obstacle::Target => {
                format!(
                    "{called} would allow {what}, but the entry is not one it is about (target, targetscope, targetfilter, \
                     targattrfilters)"
                )
            }
            Obstacle::Matter if aci.value_filters().is_some() && what.contains(" the value ") => format!(
                "{called} is for the requester, but its targattrfilters or targetattr do not take {what}"
            ),
            Obstacle::Matter if aci.attributes().is_none() => format!(
                "{called} is for the requester, but it names no attributes (targetattr): it is about entries as a whole, \
                 controls or extended operations alone"
            ),
            Obstacle::Matter => {
                format!(
                    "{called} is for the requester and grants the right, but it is not about {}",
                    about(what)
                )
            }
            Obstacle::Right => {
                format!("{called} is for the requester and the target, but does not grant {what}")
            }
            Obstacle::Rule(permission) => format!(
                "{called} would allow {what}, but the requester does not meet its bind rule: {}",
                permission.rule_text.split_whitespace().collect::<Vec<_>>().join(" ")
            ),
        }
    }
}

/// What stands behind the right.
fn about(what: &str) -> &str {
    what.split_once(" of ").or_else(|| what.split_once(" on ")).map_or(what, |(_, rest)| rest)
}

impl Requester {
    /// Who asks, and how: what bind rules look at.
    pub fn description(&self) -> String {
        let who = if self.is_anonymous() { "anonymous" } else { self.dn.as_str() };
        let method = match self.method {
            AuthMethod::None => "not authenticated",
            AuthMethod::Simple => "authenticated by password",
            AuthMethod::Sasl => "authenticated by SASL PLAIN",
            AuthMethod::Ssl => "authenticated by certificate",
        };
        format!("{who}, {method}, from {}, ssf {}", self.address, self.security_strength)
    }
}
