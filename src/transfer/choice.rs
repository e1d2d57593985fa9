//! Which entries and attributes take part.

use super::TransferError;
use crate::entry::{CompiledFilter, StoredEntry, Tri};
use crate::protocol::filter_text;
use crate::schema::{NormalizedDn, Schema};

/// What the options say, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only what is at or below one of these; all if there is none.
    pub include_branches: Vec<String>,
    /// Nothing at or below one of these.
    pub exclude_branches: Vec<String>,
    /// Only these attributes (`*`, `+` and names), and objectClass; all if there is none.
    pub include_attributes: Vec<String>,
    /// Not these attributes.
    pub exclude_attributes: Vec<String>,
    /// Only entries that match one of these; all if there is none.
    pub include_filters: Vec<String>,
    /// No entry that matches one of these.
    pub exclude_filters: Vec<String>,
}

/// A [`Choice`], resolved.
#[derive(Debug, Clone)]
pub struct Chosen {
    include_branches: Vec<NormalizedDn>,
    exclude_branches: Vec<NormalizedDn>,
    include_attributes: Vec<String>,
    exclude_attributes: Vec<String>,
    include_filters: Vec<CompiledFilter>,
    exclude_filters: Vec<CompiledFilter>,
}

fn branches(
    texts: &[String],
    suffixes: &[NormalizedDn],
    schema: &Schema,
) -> Result<Vec<NormalizedDn>, TransferError> {
    let one = |text: &String| {
        let key = NormalizedDn::parse(text, schema)
            .map_err(|error| TransferError::Unfit(format!("the branch {text} is no DN: {error}")))?;
        if suffixes.iter().any(|suffix| suffix.covers(&key)) {
            return Ok(key);
        }
        Err(TransferError::Unfit(format!("the branch {text} is not below a base DN of the data store")))
    };
    texts.iter().map(one).collect()
}

fn filters(texts: &[String], schema: &Schema) -> Result<Vec<CompiledFilter>, TransferError> {
    let one = |text: &String| {
        filter_text::parse(text)
            .map(|filter| CompiledFilter::compile(&filter, schema))
            .map_err(|error| TransferError::Unfit(format!("the filter {text}: {error}")))
    };
    texts.iter().map(one).collect()
}

fn attributes(names: &[String], schema: &Schema) -> Vec<String> {
    let canonical = |name: &String| {
        schema.attribute(name.trim()).map_or(name.trim(), |attribute| attribute.name()).to_owned()
    };
    names.iter().map(canonical).collect()
}

impl Choice {
    /// Resolves names and filters. Branches have to be in one of the suffixes.
    pub fn resolve(&self, suffixes: &[NormalizedDn], schema: &Schema) -> Result<Chosen, TransferError> {
        Ok(Chosen {
            include_branches: branches(&self.include_branches, suffixes, schema)?,
            exclude_branches: branches(&self.exclude_branches, suffixes, schema)?,
            include_attributes: attributes(&self.include_attributes, schema),
            exclude_attributes: attributes(&self.exclude_attributes, schema),
            include_filters: filters(&self.include_filters, schema)?,
            exclude_filters: filters(&self.exclude_filters, schema)?,
        })
    }
}

impl Chosen {
    /// Whether the name is in an included branch, or none is named.
    pub(super) fn is_included(&self, key: &NormalizedDn) -> bool {
        self.include_branches.is_empty() || self.include_branches.iter().any(|branch| branch.covers(key))
    }

    /// Whether the name is in an excluded branch.
    pub(super) fn is_excluded(&self, key: &NormalizedDn) -> bool {
        self.exclude_branches.iter().any(|branch| branch.covers(key))
    }

    /// Whether an attribute takes part; `canonical` without options.
    pub(super) fn wants(&self, canonical: &str, is_operational: bool) -> bool {
        let named = |names: &[String]| {
            let is_all = if is_operational { "+" } else { "*" };
            names.iter().any(|name| name.eq_ignore_ascii_case(canonical) || name == is_all)
        };
        let is_included = self.include_attributes.is_empty()
            || named(&self.include_attributes)
            || canonical.eq_ignore_ascii_case("objectClass");
        is_included && !named(&self.exclude_attributes)
    }

    /// Whether an attribute is asked for by its name.
    pub(super) fn names(&self, canonical: &str) -> bool {
        self.include_attributes.iter().any(|name| name.eq_ignore_ascii_case(canonical))
    }

    /// Whether all attributes take part.
    pub(super) fn wants_all(&self) -> bool {
        self.include_attributes.is_empty() && self.exclude_attributes.is_empty()
    }

    /// Whether entries are looked at.
    pub(super) fn has_filters(&self) -> bool {
        !self.include_filters.is_empty() || !self.exclude_filters.is_empty()
    }

    /// Whether the filters let an entry pass.
    pub(super) fn matches(&self, entry: &StoredEntry) -> bool {
        let is_match = |filter: &CompiledFilter| filter.evaluate(entry) == Tri::True;
        (self.include_filters.is_empty() || self.include_filters.iter().any(is_match))
            && !self.exclude_filters.iter().any(is_match)
    }
}
