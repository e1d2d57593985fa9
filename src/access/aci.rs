//! An ACI looked up in the schema: what it is about, and whom it allows or denies which rights.

use super::aci_text::{self, Clause};
use super::area::Area;
use super::attribute_set::{AttributeRef, AttributeSet};
use super::bind_rule::{BindRule, Subject};
use super::right::{AciError, Right, Rights};
use super::value_filters::{Change, ValueFilters};
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
    values: Option<ValueFilters>,
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
    /// A right to do this with a value of an attribute.
    Value(Right, AttributeRef, Change, &'a [u8]),
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
            Self::Attribute(right, _) | Self::Entry(right) | Self::Value(right, ..) => right,
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
            values: parsed.values.map(|clause| ValueFilters::compile(clause, schema)).transpose()?,
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

    /// What it says of values.
    pub(super) fn value_filters(&self) -> Option<&ValueFilters> {
        self.values.as_ref()
    }

    /// Whether it looks at the content of entries.
    pub(super) fn looks_at_content(&self) -> bool {
        self.filter.is_some() || self.values.is_some()
    }

    /// Whether the answer hangs on values that the matter does not tell.
    pub(super) fn needs_values(&self, matter: Matter<'_>) -> bool {
        match (matter, &self.values) {
            (Matter::Attribute(Right::Write | Right::SelfWrite, attribute), Some(values)) => {
                values.rule(attribute)
            }
            _ => false,
        }
    }

    /// Whether the rights to move entries come with it: it names no attributes at all, or all of them, and is not
    /// about controls or extended operations.
    pub(super) fn is_about_entries(&self) -> bool {
        self.controls.is_none()
            && self.extended.is_none()
            && self.attributes.as_ref().is_none_or(AttributeSet::stands_for_entry)
    }

    /// Whether it is about the matter, wherever the entry is. Where that hangs on values that are not told, it allows none
    /// of them and denies them all.
    pub(super) fn is_about(&self, matter: Matter<'_>, allows: bool) -> bool {
        let has = |attribute| self.attributes.as_ref().is_some_and(|set| set.has(attribute));
        match matter {
            Matter::Attribute(..) if self.needs_values(matter) => !allows,
            Matter::Attribute(_, attribute) => has(attribute),
            Matter::Value(_, attribute, change, value) => {
                let told = self.values.as_ref().and_then(|values| values.take(change, attribute, value));
                told.unwrap_or_else(|| has(attribute))
            }
            // Entries come and go as a whole, and whoever acts for somebody does so with all attributes: as with the
            // reference, these rights do not hang on the attributes that are named.
            Matter::Entry(Right::Add | Right::Delete | Right::Proxy) => {
                self.controls.is_none() && self.extended.is_none()
            }
            Matter::Entry(_) => self.is_about_entries(),
            Matter::Control(oid) => self.controls.as_ref().is_some_and(|set| set.has(oid)),
            Matter::Extended(oid) => self.extended.as_ref().is_some_and(|set| set.has(oid)),
        }
    }

    /// Whether the entry is one it is about; undefined if that takes content that is not known.
    pub(super) fn targets(&self, matter: Matter<'_>, key: &NormalizedDn, entry: Option<&StoredEntry>) -> Tri {
        if !self.holder.covers(key) || !self.area.has(key) {
            return Tri::False;
        }
        let filtered = match (&self.filter, entry) {
            (None, _) => Tri::True,
            (Some(_), None) => Tri::Undefined,
            (Some(filter), Some(entry)) => match filter.evaluate(entry) {
                Tri::True => Tri::True,
                _ => Tri::False,
            },
        };
        let change = match matter {
            Matter::Entry(Right::Add) => Change::Add,
            Matter::Entry(Right::Delete) => Change::Delete,
            _ => return filtered,
        };
        match self.values.as_ref().map_or(Tri::True, |values| values.take_entry(change, entry)) {
            Tri::False => Tri::False,
            Tri::Undefined if filtered == Tri::True => Tri::Undefined,
            _ => filtered,
        }
    }

    /// Whether a permission of this ACI holds for the entry and the subject: to allow it must surely hold, to deny it
    /// must not surely fail.
    pub(super) fn applies(&self, permission: &Permission, matter: Matter<'_>, subject: &Subject<'_>) -> bool {
        let targets = self.targets(matter, subject.key, subject.entry);
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
