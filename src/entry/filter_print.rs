//! Resolved filters as text (RFC 4515): canonical names, values as sent.

use std::fmt;

use super::filter::{CompiledFilter, Node, Source, Test, TestScope};
use crate::protocol::filter::Filter;

/// RFC 4515 escaping of an assertion value.
fn escaped(f: &mut fmt::Formatter<'_>, value: &[u8]) -> fmt::Result {
    use fmt::Write;
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '*' | '(' | ')' | '\\' => write!(f, "\\{:02x}", u32::from(character))?,
                _ if character.is_control() => {
                    let mut buffer = [0; 4];
                    character
                        .encode_utf8(&mut buffer)
                        .bytes()
                        .try_for_each(|octet| write!(f, "\\{octet:02x}"))?;
                }
                _ => f.write_char(character)?,
            }
        }
        chunk.invalid().iter().try_for_each(|octet| write!(f, "\\{octet:02x}"))?;
    }
    Ok(())
}

struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(f, self.0)
    }
}

/// The text of a part that did not resolve.
pub(super) fn raw_text(filter: &Filter<'_>) -> String {
    match filter {
        Filter::Present(attribute) => format!("({attribute}=*)"),
        Filter::Equality(one) => format!("({}={})", one.attribute, Escaped(&one.value)),
        Filter::Approximate(one) => format!("({}~={})", one.attribute, Escaped(&one.value)),
        Filter::GreaterOrEqual(one) => format!("({}>={})", one.attribute, Escaped(&one.value)),
        Filter::LessOrEqual(one) => format!("({}<={})", one.attribute, Escaped(&one.value)),
        Filter::Substrings(one) => {
            let mut text = format!("({}=", one.attribute);
            text.push_str(&Escaped(one.initial.as_deref().unwrap_or_default()).to_string());
            text.push('*');
            for part in &one.any {
                text.push_str(&format!("{}*", Escaped(part)));
            }
            text.push_str(&format!("{})", Escaped(one.last.as_deref().unwrap_or_default())));
            text
        }
        Filter::Extensible(one) => format!(
            "({}{}{}{}:={})",
            one.attribute.as_deref().unwrap_or_default(),
            if one.dn_attributes { ":dn" } else { "" },
            if one.rule.is_some() { ":" } else { "" },
            one.rule.as_deref().unwrap_or_default(),
            Escaped(&one.value)
        ),
        Filter::And(_) | Filter::Or(_) | Filter::Not(_) => String::new(),
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(nodes) => {
                f.write_str("(&")?;
                nodes.iter().try_for_each(|node| node.fmt(f))?;
                f.write_str(")")
            }
            Self::Or(nodes) => {
                f.write_str("(|")?;
                nodes.iter().try_for_each(|node| node.fmt(f))?;
                f.write_str(")")
            }
            Self::Not(node) => write!(f, "(!{node})"),
            Self::Test(test) => test.fmt(f),
            Self::Undefined(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        if let TestScope::Named(target) = &self.scope {
            target.fmt(f)?;
        }
        match &self.source {
            Source::Present => f.write_str("=*")?,
            Source::Simple(sign, value) => write!(f, "{sign}{}", Escaped(value))?,
            Source::Substrings { initial, any, last } => {
                write!(f, "={}*", Escaped(initial.as_deref().unwrap_or_default()))?;
                any.iter().try_for_each(|part| write!(f, "{}*", Escaped(part)))?;
                escaped(f, last.as_deref().unwrap_or_default())?;
            }
            Source::Extensible { rule, value } => {
                if self.dn_attributes {
                    f.write_str(":dn")?;
                }
                if let Some(rule) = rule {
                    write!(f, ":{rule}")?;
                }
                write!(f, ":={}", Escaped(value))?;
            }
        }
        f.write_str(")")
    }
}

impl fmt::Display for CompiledFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}
