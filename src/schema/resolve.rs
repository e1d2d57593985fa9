//! From definitions to a [`Schema`]: names checked, references followed, everything inherited merged in.

use std::collections::HashMap;
use std::sync::Arc;

use super::definition::{AttributeTypeBody, Body, Definition, ElementKind};
use super::{AttributeType, Kind, MatchingRule, ObjectClass, Schema, SchemaError, Syntax, TypeId, Usage};

/// Longest chain of superiors; a longer one is a mistake or an attack.
const MAX_DEPTH: usize = 64;

/// Why definitions make no schema.
#[derive(Debug)]
pub(super) struct ResolveError {
    /// What is wrong, in words.
    pub(super) message: String,
    /// The name or OID that is referred to and not there, if that is what is wrong.
    pub(super) missing: Option<String>,
}

impl From<ResolveError> for SchemaError {
    fn from(error: ResolveError) -> Self {
        Self::Reference(error.message)
    }
}

type Resolved<T> = Result<T, ResolveError>;

fn wrong<T>(message: String) -> Resolved<T> {
    Err(ResolveError { message, missing: None })
}

fn missing<T>(of: &Definition, role: &str, name: &str) -> Resolved<T> {
    let message = format!("{} {} refers to {role} {name}, which is not defined", of.kind().noun(), of.name());
    Err(ResolveError { message, missing: Some(name.to_owned()) })
}

impl Schema {
    /// The schema of these definitions; attribute types keep the numbers that `ids` holds.
    pub(super) fn resolve(definitions: Vec<Arc<Definition>>, ids: HashMap<String, TypeId>) -> Resolved<Self> {
        let mut schema = Self { definitions, ids, ..Self::default() };
        let definitions = schema.definitions.clone();
        resolve_attributes(&mut schema, &of_kind(&definitions, ElementKind::AttributeTypes))?;
        resolve_classes(&mut schema, &of_kind(&definitions, ElementKind::ObjectClasses))?;
        for definition in &definitions {
            check_references(&schema, &definitions, definition)?;
        }
        Ok(schema)
    }
}

fn of_kind(definitions: &[Arc<Definition>], kind: ElementKind) -> Vec<&Definition> {
    definitions.iter().map(Arc::as_ref).filter(|definition| definition.kind() == kind).collect()
}

/// Lower-case names and OIDs to places in `definitions`; two definitions must not share one.
fn index<'a>(definitions: &[&'a Definition]) -> Resolved<HashMap<String, (usize, &'a Definition)>> {
    let mut places: HashMap<String, (usize, &Definition)> = HashMap::new();
    for (at, definition) in definitions.iter().enumerate() {
        let mut own = Vec::with_capacity(2);
        for name in std::iter::once(&definition.oid).chain(&definition.names) {
            let name = name.to_ascii_lowercase();
            if own.contains(&name) {
                continue;
            }
            if let Some((_, other)) = places.insert(name.clone(), (at, definition)) {
                let noun = definition.kind().noun();
                return wrong(format!(
                    "the name {name} of {noun} {} belongs to {}",
                    definition.oid, other.oid
                ));
            }
            own.push(name);
        }
    }
    Ok(places)
}

struct Attributes<'a> {
    definitions: &'a [&'a Definition],
    places: HashMap<String, (usize, &'a Definition)>,
    resolved: Vec<Option<AttributeType>>,
    ids: Vec<TypeId>,
    syntaxes: HashMap<String, Syntax>,
    warnings: Vec<String>,
}

fn resolve_attributes(schema: &mut Schema, definitions: &[&Definition]) -> Resolved<()> {
    let mut ids = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let next = TypeId(u32::try_from(schema.ids.len()).unwrap_or(u32::MAX));
        ids.push(*schema.ids.entry(definition.oid.to_ascii_lowercase()).or_insert(next));
    }
    let mut work = Attributes {
        definitions,
        places: index(definitions)?,
        resolved: vec![None; definitions.len()],
        ids,
        syntaxes: extra_syntaxes(&schema.definitions),
        warnings: Vec::new(),
    };
    for at in 0..definitions.len() {
        work.resolve(at, 0)?;
    }
    schema.attributes = vec![None; schema.ids.len()];
    let resolved: Vec<AttributeType> = work.resolved.into_iter().flatten().collect();
    for attribute in &resolved {
        let mut attribute = attribute.clone();
        attribute.subtypes = resolved
            .iter()
            .filter(|other| other.supertypes.contains(&attribute.id))
            .map(|other| other.id)
            .collect();
        schema.attribute_names.insert(&attribute.oid, attribute.id);
        for name in &attribute.names {
            schema.attribute_names.insert(name, attribute.id);
        }
        if attribute.is_operational() {
            schema.operational.insert(attribute.id);
        }
        if attribute.single_value {
            schema.single_valued.insert(attribute.id);
        }
        if attribute.oid == "2.5.4.0" {
            schema.object_class_id = Some(attribute.id);
        }
        if let Some(place) = schema.attributes.get_mut(attribute.id.0 as usize) {
            *place = Some(Arc::new(attribute));
        }
    }
    schema.warnings.extend(work.warnings);
    Ok(())
}

impl Attributes<'_> {
    /// Resolves the definition at this place, its supertype first.
    fn resolve(&mut self, at: usize, depth: usize) -> Resolved<()> {
        let (Some(definition), Some(&id)) = (self.definitions.get(at).copied(), self.ids.get(at)) else {
            return Ok(());
        };
        if self.resolved.get(at).is_some_and(Option::is_some) {
            return Ok(());
        }
        let Body::AttributeType(body) = &definition.body else { return Ok(()) };
        if depth > MAX_DEPTH {
            return wrong(format!("attribute type {}: its superiors form a circle", definition.name()));
        }
        let superior = match &body.superior {
            None => None,
            Some(name) => {
                let Some(&(place, _)) = self.places.get(&name.to_ascii_lowercase()) else {
                    return missing(definition, "the superior", name);
                };
                self.resolve(place, depth + 1)?;
                self.resolved.get(place).cloned().flatten()
            }
        };
        let attribute = self.attribute(definition, body, id, superior.as_ref());
        if attribute.collective && attribute.is_operational() {
            return wrong(format!(
                "attribute type {}: a collective attribute is no operational one",
                definition.name()
            ));
        }
        if let Some(place) = self.resolved.get_mut(at) {
            *place = Some(attribute);
        }
        Ok(())
    }

    fn attribute(
        &mut self,
        definition: &Definition,
        body: &AttributeTypeBody,
        id: TypeId,
        superior: Option<&AttributeType>,
    ) -> AttributeType {
        let syntax = match &body.syntax {
            Some(oid) => self.syntax(definition, oid),
            None => superior.map_or(Syntax::OctetString, |superior| superior.syntax),
        };
        let inherits_syntax =
            body.syntax.is_none() || superior.is_some_and(|superior| superior.syntax == syntax);
        // A rule is the definition's own, else the supertype's, else the one that its syntax has by default.
        let mut rule =
            |named: &Option<String>, inherited: Option<MatchingRule>, default: Option<MatchingRule>| {
                if let Some(name) = named {
                    match MatchingRule::by_name(name) {
                    Some(rule) => return Some(rule),
                    None => self.warnings.push(format!(
                        "attribute type {} names the matching rule {name}, which this server does not know; \
                         the syntax's default is taken",
                        definition.name()
                    )),
                }
                }
                inherited.or(default)
            };
        let equality = rule(&body.equality, superior.and_then(|s| s.equality), syntax.default_equality());
        let (family_ordering, family_substring) = family_of(equality);
        let ordering = rule(
            &body.ordering,
            superior.and_then(|s| s.ordering),
            family_ordering.or_else(|| syntax.default_ordering()),
        );
        let substring = rule(
            &body.substring,
            superior.and_then(|s| s.substring),
            family_substring.or_else(|| syntax.default_substring()),
        );
        let supertypes = superior
            .map(|superior| std::iter::once(superior.id).chain(superior.supertypes.iter().copied()).collect())
            .unwrap_or_default();
        AttributeType {
            id,
            oid: definition.oid.clone(),
            names: definition.names.clone(),
            key_name: definition.name().to_ascii_lowercase(),
            supertypes,
            subtypes: Vec::new(),
            syntax,
            bound: body
                .bound
                .or_else(|| superior.filter(|_| inherits_syntax).and_then(|superior| superior.bound)),
            equality,
            ordering,
            substring,
            single_value: body.single_value,
            collective: body.collective,
            no_user_modification: body.no_user_modification,
            obsolete: definition.obsolete,
            // RFC 4512 §4.1.2: a subtype of an operational attribute is operational as its supertype is.
            usage: match (body.usage, superior) {
                (Usage::UserApplications, Some(superior)) => superior.usage,
                (usage, _) => usage,
            },
        }
    }

    fn syntax(&mut self, definition: &Definition, oid: &str) -> Syntax {
        if let Some(syntax) =
            Syntax::by_oid(oid).or_else(|| self.syntaxes.get(&oid.to_ascii_lowercase()).copied())
        {
            return syntax;
        }
        self.warnings.push(format!(
            "attribute type {} has the syntax {oid}, which this server does not know; its values are taken as octets",
            definition.name()
        ));
        Syntax::OctetString
    }
}

/// The ordering and substring rules that go with an equality rule: a type that compares case-exactly is not to be
/// ordered without regard to case, whatever its syntax's defaults.
fn family_of(equality: Option<MatchingRule>) -> (Option<MatchingRule>, Option<MatchingRule>) {
    match equality {
        Some(MatchingRule::CaseExactMatch) => {
            (Some(MatchingRule::CaseExactOrderingMatch), Some(MatchingRule::CaseExactSubstringsMatch))
        }
        Some(MatchingRule::CaseExactIa5Match) => {
            (Some(MatchingRule::CaseExactOrderingMatch), Some(MatchingRule::CaseExactIa5SubstringsMatch))
        }
        _ => (None, None),
    }
}

/// Syntaxes that definitions add: by `X-SUBST` as another one; enumerations and patterns as directory strings.
fn extra_syntaxes(definitions: &[Arc<Definition>]) -> HashMap<String, Syntax> {
    let mut syntaxes = HashMap::new();
    for definition in of_kind(definitions, ElementKind::LdapSyntaxes) {
        let extension = |name: &str| {
            definition
                .extensions
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, values)| values)
        };
        let substitute =
            extension("X-SUBST").and_then(|values| values.first()).and_then(|oid| Syntax::by_oid(oid));
        let is_text = extension("X-ENUM").is_some() || extension("X-PATTERN").is_some();
        let fallback = if is_text { Syntax::DirectoryString } else { Syntax::OctetString };
        syntaxes.insert(definition.oid.to_ascii_lowercase(), substitute.unwrap_or(fallback));
    }
    syntaxes
}

struct Classes<'a> {
    schema: &'a Schema,
    definitions: &'a [&'a Definition],
    places: HashMap<String, (usize, &'a Definition)>,
    resolved: Vec<Option<ObjectClass>>,
}

fn resolve_classes(schema: &mut Schema, definitions: &[&Definition]) -> Resolved<()> {
    let mut work =
        Classes { schema, definitions, places: index(definitions)?, resolved: vec![None; definitions.len()] };
    for at in 0..definitions.len() {
        work.resolve(at, 0)?;
    }
    for class in work.resolved.into_iter().flatten() {
        let at = schema.classes.len();
        schema.class_names.insert(&class.oid, at);
        for name in &class.names {
            schema.class_names.insert(name, at);
        }
        schema.classes.push(Arc::new(class));
    }
    Ok(())
}

impl Classes<'_> {
    fn resolve(&mut self, at: usize, depth: usize) -> Resolved<()> {
        let Some(definition) = self.definitions.get(at).copied() else { return Ok(()) };
        if self.resolved.get(at).is_some_and(Option::is_some) {
            return Ok(());
        }
        let Body::ObjectClass { superiors, kind, must, may } = &definition.body else { return Ok(()) };
        if depth > MAX_DEPTH {
            return wrong(format!("object class {}: its superiors form a circle", definition.name()));
        }
        let mut class = ObjectClass {
            oid: definition.oid.clone(),
            names: definition.names.clone(),
            superiors: Vec::new(),
            lineage: vec![definition.oid.clone()],
            kind: *kind,
            must: self.attributes(definition, must)?,
            may: self.attributes(definition, may)?,
            obsolete: definition.obsolete,
        };
        // A class that names no superior stands under top all the same (RFC 4512 §4.2).
        let implied = ["top".to_owned()];
        let superiors = match superiors.as_slice() {
            [] if definition.oid != "2.5.6.0" && *kind != Kind::Abstract => implied.as_slice(),
            named => named,
        };
        for name in superiors {
            let Some(&(place, _)) = self.places.get(&name.to_ascii_lowercase()) else {
                return missing(definition, "the superior class", name);
            };
            self.resolve(place, depth + 1)?;
            let Some(superior) = self.resolved.get(place).and_then(Option::as_ref) else { continue };
            if !may_descend(*kind, superior.kind) {
                return wrong(format!(
                    "object class {} cannot have the superior {}: their kinds do not go together",
                    definition.name(),
                    superior.name()
                ));
            }
            class.superiors.push(superior.oid.clone());
            for oid in &superior.lineage {
                if !class.lineage.contains(oid) {
                    class.lineage.push(oid.clone());
                }
            }
            class.must.extend(&superior.must);
            class.may.extend(&superior.may);
        }
        class.must.sort_unstable();
        class.must.dedup();
        let must = &class.must;
        class.may.retain(|id| must.binary_search(id).is_err());
        class.may.sort_unstable();
        class.may.dedup();
        if let Some(place) = self.resolved.get_mut(at) {
            *place = Some(class);
        }
        Ok(())
    }

    fn attributes(&self, definition: &Definition, names: &[String]) -> Resolved<Vec<TypeId>> {
        names
            .iter()
            .map(|name| match self.schema.attribute_names.get(name) {
                Some(id) => Ok(id),
                None => missing(definition, "the attribute", name),
            })
            .collect()
    }
}

/// Whether a class of this kind may have a superior of that kind (RFC 4512 §2.4).
fn may_descend(kind: Kind, superior: Kind) -> bool {
    superior == Kind::Abstract || kind == superior
}

/// References of the kinds that nothing else is built from.
fn check_references(schema: &Schema, all: &[Arc<Definition>], definition: &Definition) -> Resolved<()> {
    let attributes = |lists: &[&Vec<String>]| match lists
        .iter()
        .flat_map(|list| list.iter())
        .find(|name| schema.attribute(name).is_none())
    {
        Some(name) => missing(definition, "the attribute", name),
        None => Ok(()),
    };
    let class = |name: &String, kind: Kind| match schema.object_class(name) {
        None => missing(definition, "the object class", name),
        Some(class) if class.kind != kind => wrong(format!(
            "{} {}: the class {name} has the wrong kind",
            definition.kind().noun(),
            definition.name()
        )),
        Some(_) => Ok(()),
    };
    let is_defined = |kind: ElementKind, name: &str| {
        all.iter().any(|other| {
            other.kind() == kind
                && (other.oid.eq_ignore_ascii_case(name)
                    || other.names.iter().any(|n| n.eq_ignore_ascii_case(name)))
        })
    };
    match &definition.body {
        Body::AttributeType(_) | Body::ObjectClass { .. } | Body::Syntax | Body::MatchingRule { .. } => {
            Ok(())
        }
        Body::NameForm { class: of, must, may } => {
            class(of, Kind::Structural)?;
            attributes(&[must, may])
        }
        Body::ContentRule { auxiliaries, must, may, not } => {
            class(&definition.oid, Kind::Structural)?;
            auxiliaries.iter().try_for_each(|name| class(name, Kind::Auxiliary))?;
            attributes(&[must, may, not])
        }
        Body::StructureRule { form, superiors } => {
            if !is_defined(ElementKind::NameForms, form) {
                return missing(definition, "the name form", form);
            }
            match superiors.iter().find(|rule| !is_defined(ElementKind::DitStructureRules, rule)) {
                Some(rule) => missing(definition, "the rule", rule),
                None => Ok(()),
            }
        }
        Body::MatchingRuleUse { applies } => match MatchingRule::by_name(&definition.oid) {
            Some(_) => attributes(&[applies]),
            None => missing(definition, "the matching rule", &definition.oid),
        },
    }
}
