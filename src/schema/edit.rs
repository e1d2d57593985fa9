//! Edits of `cn=schema` (features.md §3): ordered, atomic, giving a new [`Schema`].

/// The attributes of `cn=schema` that hold definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ElementKind {
    AttributeTypes,
    ObjectClasses,
    LdapSyntaxes,
    MatchingRules,
    MatchingRuleUse,
    NameForms,
    DitContentRules,
    DitStructureRules,
}

/// One step of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaEdit {
    /// Adds the definition, or replaces the one of the same OID.
    Add(ElementKind, String),
    /// Deletes the element; `( OID )` alone suffices.
    Delete(ElementKind, String),
}
