//! An ACI looked up in the schema: what it is about, and whom it allows or denies which rights.

use super::aci_text::{self, Clause};
use super::area::Area;
use super::attribute_set::{AttributeRef, AttributeSet};
use super::bind_rule::{BindRule, Subject};
use super::right::{AciError, Right, Rights};
use crate::entry::{CompiledFilter, StoredEntry, Tri};
use crate::protocol::filter_text;
use crate::schema::{NormalizedDn, Schema};

/// An ACI, compiled.
#[derive(Debug)]
pub(super) struct Aci {
    /// Its text as written.
    pub(super) text: String,
    pub(super) name: String,
    /// The entry that holds it; the root for a global one.
    pub(super) holder: NormalizedDn,
    pub(super) area: Area,
    filter: Option<CompiledFilter>,
    attributes: Option<AttributeSet>,
    controls: Option<OidSet>,
    extended: Option<OidSet>,
    pub(super) permissions: Vec<Permission>,
}

/// One `allow` or `deny` of an ACI.
#[derive(Debug)]
pub(super) struct Permission {
    pub(super) allows: bool,
    pub(super) rights: Rights,
    pub(super) rule: BindRule,
    /// The bind rule as written.
    pub(super) rule_text: Box<str>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Matter<'a> {
    /// A right on an attribute.
    Attribute(Right, AttributeRef),
    /// A right on the entry as a whole.
    Entry(Right),
    /// The use of a control.
    Control(&'a str),
    /// The use of an extended operation.
    Extended(&'a str),
}

impl Matter<'_> {
    pub(super) const fn right(self) -> Right {
        match self {
            Self::Attribute(right, _) | Self::Entry(right) => right,
            Self::Control(_) | Self::Extended(_) => Right::Read,
        }
    }
}

/// OIDs of `targetcontrol` and `extop`.
#[derive(Debug, Clone)]
struct OidSet {
    negated: bool,
    all: bool,
    oids: Vec<Box<str>>,
}

impl OidSet {
    fn compile(clause: Clause<'_>) -> Result<Self, AciError> {
        let mut set = Self { negated: clause.negated, all: false, oids: Vec::new() };
        for part in clause.value.parts() {
            let is_oid = part.text.split('.').count() > 1
                && part.text.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|c| c.is_ascii_digit()));
            match part.text {
                "*" => set.all = true,
                oid if is_oid => set.oids.push(oid.into()),
                _ => return Err(part.error("expected a numeric OID or `*`")),
            }
        }
        Ok(set)
    }

    fn has(&self, oid: &str) -> bool {
        (self.all || self.oids.iter().any(|one| **one == *oid)) != self.negated
    }
}

impl Aci {
    /// Compiles the text as an ACI that `holder` holds.
    pub(super) fn compile(text: &str, holder: &NormalizedDn, schema: &Schema) -> Result<Self, AciError> {
        let parsed = aci_text::parse(text)?;
        let filter = match parsed.filter {
            None => None,
            Some(clause) => Some(filter(clause, schema)?),
        };
        let attributes = parsed.attributes.map(|clause| AttributeSet::compile(clause, schema)).transpose()?;
        let permission = |permission: &aci_text::PermissionText<'_>| {
            let rule = BindRule::compile(&permission.rule, schema)?;
            Ok(Permission {
                allows: permission.allows,
                rights: permission.rights,
                rule,
                rule_text: permission.rule_text.into(),
            })
        };
        Ok(Self {
            text: text.to_owned(),
            name: parsed.name.to_owned(),
            holder: holder.clone(),
            area: Area::compile(parsed.target, parsed.scope, holder, schema)?,
            filter,
            attributes,
            controls: parsed.control.map(OidSet::compile).transpose()?,
            extended: parsed.extended.map(OidSet::compile).transpose()?,
            permissions: parsed.permissions.iter().map(permission).collect::<Result<_, AciError>>()?,
        })
    }

    /// The attributes it is about.
    pub(super) fn attributes(&self) -> Option<&AttributeSet> {
        self.attributes.as_ref()
    }

    /// Whether it is about controls.
    pub(super) fn has_controls(&self) -> bool {
        self.controls.is_some()
    }

    /// Whether it is about extended operations.
    pub(super) fn has_extended(&self) -> bool {
        self.extended.is_some()
    }

    /// Whether it looks at the content of entries.
    pub(super) fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether rights on entries as a whole come with it: it names no attributes at all, or all of them, and is not
    /// about controls or extended operations.
    pub(super) fn is_about_entries(&self) -> bool {
        self.controls.is_none()
            && self.extended.is_none()
            && self.attributes.as_ref().is_none_or(AttributeSet::stands_for_entry)
    }

    /// Whether it is about the matter, wherever the entry is.
    pub(super) fn is_about(&self, matter: Matter<'_>) -> bool {
        match matter {
            Matter::Attribute(_, attribute) => self.attributes.as_ref().is_some_and(|set| set.has(attribute)),
            Matter::Entry(_) => self.is_about_entries(),
            Matter::Control(oid) => self.controls.as_ref().is_some_and(|set| set.has(oid)),
            Matter::Extended(oid) => self.extended.as_ref().is_some_and(|set| set.has(oid)),
        }
    }

    /// Whether the entry is one it is about; undefined if that takes content that is not known.
    pub(super) fn targets(&self, key: &NormalizedDn, entry: Option<&StoredEntry>) -> Tri {
        if !self.holder.covers(key) || !self.area.has(key) {
            return Tri::False;
        }
        match (&self.filter, entry) {
            (None, _) => Tri::True,
            (Some(_), None) => Tri::Undefined,
            (Some(filter), Some(entry)) => match filter.evaluate(entry) {
                Tri::True => Tri::True,
                _ => Tri::False,
            },
        }
    }

    /// Whether a permission of this ACI holds for the entry and the subject: to allow it must surely hold, to deny it
    /// must not surely fail.
    pub(super) fn applies(&self, permission: &Permission, key: &NormalizedDn, subject: &Subject<'_>) -> bool {
        let targets = self.targets(key, subject.entry);
        if targets == Tri::False {
            return false;
        }
        let met = permission.rule.is_met(subject);
        if permission.allows { targets == Tri::True && met == Tri::True } else { met != Tri::False }
    }
}

fn filter(clause: Clause<'_>, schema: &Schema) -> Result<CompiledFilter, AciError> {
    let parsed = filter_text::parse(clause.value.text)
        .map_err(|error| clause.value.error(format!("not a filter: {error}")))?;
    let parsed = if clause.negated { crate::protocol::filter::Filter::Not(Box::new(parsed)) } else { parsed };
    Ok(CompiledFilter::compile(&parsed, schema))
}
