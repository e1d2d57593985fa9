//! Definitions as text, in the RFC's order.

use std::fmt::{Display, Formatter, Result, Write};

use super::{AttributeTypeBody, Body, Definition};
use crate::schema::{Kind, Usage};

impl Display for Definition {
    /// RFC 4512 text, without `X-SCHEMA-FILE`.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "( {}", self.oid)?;
        match self.names.as_slice() {
            [] => {}
            names => {
                f.write_str(" NAME ")?;
                quoted_list(f, names)?;
            }
        }
        if let Some(description) = &self.description {
            f.write_str(" DESC ")?;
            quoted(f, description)?;
        }
        if self.obsolete {
            f.write_str(" OBSOLETE")?;
        }
        match &self.body {
            Body::Syntax => {}
            Body::MatchingRule { syntax } => write!(f, " SYNTAX {syntax}")?,
            Body::AttributeType(body) => attribute_type(f, body)?,
            Body::ObjectClass { superiors, kind, must, may } => {
                oids(f, "SUP", superiors, " $ ")?;
                f.write_str(match kind {
                    Kind::Abstract => " ABSTRACT",
                    Kind::Structural => " STRUCTURAL",
                    Kind::Auxiliary => " AUXILIARY",
                })?;
                oids(f, "MUST", must, " $ ")?;
                oids(f, "MAY", may, " $ ")?;
            }
            Body::NameForm { class, must, may } => {
                write!(f, " OC {class}")?;
                oids(f, "MUST", must, " $ ")?;
                oids(f, "MAY", may, " $ ")?;
            }
            Body::ContentRule { auxiliaries, must, may, not } => {
                oids(f, "AUX", auxiliaries, " $ ")?;
                oids(f, "MUST", must, " $ ")?;
                oids(f, "MAY", may, " $ ")?;
                oids(f, "NOT", not, " $ ")?;
            }
            Body::StructureRule { form, superiors } => {
                write!(f, " FORM {form}")?;
                oids(f, "SUP", superiors, " ")?;
            }
            Body::MatchingRuleUse { applies } => oids(f, "APPLIES", applies, " $ ")?,
        }
        for (name, values) in &self.extensions {
            write!(f, " {name} ")?;
            quoted_list(f, values)?;
        }
        f.write_str(" )")
    }
}

fn attribute_type(f: &mut Formatter<'_>, body: &AttributeTypeBody) -> Result {
    let named = [
        ("SUP", &body.superior),
        ("EQUALITY", &body.equality),
        ("ORDERING", &body.ordering),
        ("SUBSTR", &body.substring),
        ("SYNTAX", &body.syntax),
    ];
    for (keyword, value) in named {
        if let Some(value) = value {
            write!(f, " {keyword} {value}")?;
        }
    }
    if let (Some(bound), Some(_)) = (body.bound, &body.syntax) {
        write!(f, "{{{bound}}}")?;
    }
    let flags = [
        ("SINGLE-VALUE", body.single_value),
        ("COLLECTIVE", body.collective),
        ("NO-USER-MODIFICATION", body.no_user_modification),
    ];
    for (keyword, is_set) in flags {
        if is_set {
            write!(f, " {keyword}")?;
        }
    }
    match body.usage {
        Usage::UserApplications => Ok(()),
        Usage::DirectoryOperation => f.write_str(" USAGE directoryOperation"),
        Usage::DistributedOperation => f.write_str(" USAGE distributedOperation"),
        Usage::DsaOperation => f.write_str(" USAGE dSAOperation"),
    }
}

fn oids(f: &mut Formatter<'_>, keyword: &str, oids: &[String], separator: &str) -> Result {
    match oids {
        [] => Ok(()),
        [one] => write!(f, " {keyword} {one}"),
        [first, rest @ ..] => {
            write!(f, " {keyword} ( {first}")?;
            for oid in rest {
                write!(f, "{separator}{oid}")?;
            }
            f.write_str(" )")
        }
    }
}

fn quoted_list(f: &mut Formatter<'_>, texts: &[String]) -> Result {
    if let [one] = texts {
        return quoted(f, one);
    }
    f.write_str("( ")?;
    for text in texts {
        quoted(f, text)?;
        f.write_char(' ')?;
    }
    f.write_char(')')
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> Result {
    f.write_char('\'')?;
    for c in text.chars() {
        match c {
            '\'' => f.write_str("\\27")?,
            '\\' => f.write_str("\\5C")?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('\'')
}
