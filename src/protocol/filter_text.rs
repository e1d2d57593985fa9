//! Filters as people write them (RFC 4515), both ways.
//!
//! Reading is a little kinder than the RFC: one item may stand without parentheses, and blanks may stand between
//! the filters of a list. Values keep their blanks. Writing escapes what the RFC wants escaped, control
//! characters, and octets that are not UTF-8.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::decode::Limits;
use super::filter::{Assertion, Extensible, Filter, Substrings};

/// Why a text is not a filter; each carries the octet offset where reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterTextError {
    /// Another character was expected.
    #[error("expected '{expected}' at octet {at}")]
    Expected {
        /// The character.
        expected: char,
        /// Where.
        at: usize,
    },
    /// The text goes on after the filter.
    #[error("text after the filter, from octet {0}")]
    Trailing(usize),
    /// The attribute description or matching rule is empty or has a character that cannot be in one.
    #[error("not an attribute description or matching rule at octet {0}")]
    Name(usize),
    /// A backslash without two hexadecimal digits.
    #[error("a backslash without two hexadecimal digits at octet {0}")]
    Escape(usize),
    /// A character that has to be escaped in a value.
    #[error("a character that has to be escaped at octet {0}")]
    Unescaped(usize),
    /// Deeper than [`Limits::max_filter_depth`].
    #[error("the filter is nested too deeply at octet {0}")]
    TooDeep(usize),
    /// More filters than [`Limits::max_filter_nodes`].
    #[error("the filter has too many parts")]
    TooLarge,
}

/// Reads a filter, under the default [`Limits`].
pub fn parse(text: &str) -> Result<Filter<'static>, FilterTextError> {
    let limits = Limits::default();
    let text = text.trim_matches(' ');
    let mut parser =
        Parser { text, at: 0, nodes: limits.max_filter_nodes, max_depth: limits.max_filter_depth };
    let filter = if parser.peek() == Some(b'(') { parser.filter(1)? } else { parser.item()? };
    if parser.at < text.len() { Err(FilterTextError::Trailing(parser.at)) } else { Ok(filter) }
}

impl std::str::FromStr for Filter<'static> {
    type Err = FilterTextError;
    fn from_str(text: &str) -> Result<Self, FilterTextError> {
        parse(text)
    }
}

/// Makes a filter of an assertion.
type Build = fn(Assertion<'static>) -> Filter<'static>;

struct Parser<'t> {
    text: &'t str,
    at: usize,
    nodes: usize,
    max_depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn expect(&mut self, expected: char) -> Result<(), FilterTextError> {
        if !self.rest().starts_with(expected) {
            return Err(FilterTextError::Expected { expected, at: self.at });
        }
        self.at += expected.len_utf8();
        Ok(())
    }

    fn filter(&mut self, depth: usize) -> Result<Filter<'static>, FilterTextError> {
        if depth > self.max_depth {
            return Err(FilterTextError::TooDeep(self.at));
        }
        self.nodes = self.nodes.checked_sub(1).ok_or(FilterTextError::TooLarge)?;
        self.expect('(')?;
        self.blanks();
        let filter = match self.peek() {
            Some(b'&') => Filter::And(self.list(depth)?),
            Some(b'|') => Filter::Or(self.list(depth)?),
            Some(b'!') => {
                self.at += 1;
                self.blanks();
                let filter = Filter::Not(Box::new(self.filter(depth + 1)?));
                self.blanks();
                filter
            }
            _ => self.item()?,
        };
        self.expect(')')?;
        Ok(filter)
    }

    /// The list behind an `&` or `|`; may be empty (RFC 4526).
    fn list(&mut self, depth: usize) -> Result<Vec<Filter<'static>>, FilterTextError> {
        self.at += 1;
        let mut filters = Vec::new();
        loop {
            self.blanks();
            if self.peek() != Some(b'(') {
                return Ok(filters);
            }
            filters.push(self.filter(depth + 1)?);
        }
    }

    fn item(&mut self) -> Result<Filter<'static>, FilterTextError> {
        let start = self.at;
        let rest = self.rest();
        let equals = rest.find(['=', '(', ')']).filter(|found| rest.as_bytes().get(*found) == Some(&b'='));
        let Some(equals) = equals else {
            return Err(FilterTextError::Expected { expected: '=', at: start });
        };
        let before = rest.get(..equals).unwrap_or_default();
        self.at += equals + 1;
        let value_start = self.at;
        let rest = self.rest();
        // A value's parentheses are escaped, so the first one ends it.
        let raw = rest.get(..rest.find(['(', ')']).unwrap_or(rest.len())).unwrap_or_default();
        self.at += raw.len();

        if let Some(before) = before.strip_suffix(':') {
            return extensible(before, start, unescape(raw, value_start)?);
        }
        let compared: Option<(&str, Build)> = match before.as_bytes().last() {
            Some(b'~') => before.strip_suffix('~').map(|name| (name, Filter::Approximate as _)),
            Some(b'>') => before.strip_suffix('>').map(|name| (name, Filter::GreaterOrEqual as _)),
            Some(b'<') => before.strip_suffix('<').map(|name| (name, Filter::LessOrEqual as _)),
            _ => None,
        };
        if let Some((attribute, build)) = compared {
            let attribute = description(attribute, start)?;
            return Ok(build(Assertion { attribute, value: unescape(raw, value_start)? }));
        }
        let attribute = description(before, start)?;
        if !raw.contains('*') {
            return Ok(Filter::Equality(Assertion { attribute, value: unescape(raw, value_start)? }));
        }
        substrings(attribute, raw, value_start)
    }
}

/// `raw` holds an asterisk. Parts without octets say nothing and are left out; `*` alone is presence.
fn substrings(
    attribute: Cow<'static, str>,
    raw: &str,
    start: usize,
) -> Result<Filter<'static>, FilterTextError> {
    let mut found = Substrings { attribute, initial: None, any: Vec::new(), last: None };
    let count = raw.split('*').count();
    let mut at = start;
    for (index, part) in raw.split('*').enumerate() {
        if !part.is_empty() {
            let value = unescape(part, at)?;
            if index == 0 {
                found.initial = Some(value);
            } else if index + 1 == count {
                found.last = Some(value);
            } else {
                found.any.push(value);
            }
        }
        at += part.len() + 1;
    }
    if found.initial.is_none() && found.any.is_empty() && found.last.is_none() {
        return Ok(Filter::Present(found.attribute));
    }
    Ok(Filter::Substrings(found))
}

/// `[attribute][:dn][:rule]`, of which attribute or rule is there.
fn extensible(
    before: &str,
    start: usize,
    value: Cow<'static, [u8]>,
) -> Result<Filter<'static>, FilterTextError> {
    let mut parts = before.split(':');
    let attribute = parts.next().filter(|name| !name.is_empty());
    let attribute = attribute.map(|name| description(name, start)).transpose()?;
    let mut next = parts.next();
    let dn_attributes = next.is_some_and(|part| part.eq_ignore_ascii_case("dn"));
    if dn_attributes {
        next = parts.next();
    }
    let rule = next.map(|name| description(name, start)).transpose()?;
    if parts.next().is_some() || (attribute.is_none() && rule.is_none()) {
        return Err(FilterTextError::Name(start));
    }
    Ok(Filter::Extensible(Extensible { rule, attribute, value, dn_attributes }))
}

/// An attribute description or rule: name or OID, and options. The underscore is no RFC's, but directories are
/// full of it.
fn description(name: &str, at: usize) -> Result<Cow<'static, str>, FilterTextError> {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b';' | b'_');
    let name = name.trim_matches(' ');
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(FilterTextError::Name(at));
    }
    Ok(Cow::Owned(name.to_owned()))
}

fn unescape(raw: &str, start: usize) -> Result<Cow<'static, [u8]>, FilterTextError> {
    let mut value = Vec::with_capacity(raw.len());
    let mut octets = raw.bytes().enumerate();
    while let Some((offset, octet)) = octets.next() {
        match octet {
            b'\\' => {
                let mut digit = || {
                    let (_, digit) = octets.next()?;
                    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
                };
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(FilterTextError::Escape(start + offset));
                };
                value.push(high << 4 | low);
            }
            0 | b'*' => return Err(FilterTextError::Unescaped(start + offset)),
            other => value.push(other),
        }
    }
    Ok(Cow::Owned(value))
}

impl fmt::Display for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, sign: char, filters: &[Filter<'_>]| {
            write!(f, "({sign}")?;
            filters.iter().try_for_each(|filter| write!(f, "{filter}"))?;
            f.write_char(')')
        };
        let item = |f: &mut fmt::Formatter<'_>, sign: &str, assertion: &Assertion<'_>| {
            write!(f, "({}{sign}", assertion.attribute)?;
            escape(f, &assertion.value)?;
            f.write_char(')')
        };
        match self {
            Self::And(filters) => list(f, '&', filters),
            Self::Or(filters) => list(f, '|', filters),
            Self::Not(filter) => write!(f, "(!{filter})"),
            Self::Equality(assertion) => item(f, "=", assertion),
            Self::GreaterOrEqual(assertion) => item(f, ">=", assertion),
            Self::LessOrEqual(assertion) => item(f, "<=", assertion),
            Self::Approximate(assertion) => item(f, "~=", assertion),
            Self::Present(attribute) => write!(f, "({attribute}=*)"),
            Self::Substrings(substrings) => {
                write!(f, "({}=", substrings.attribute)?;
                escape(f, substrings.initial.as_deref().unwrap_or_default())?;
                f.write_char('*')?;
                for any in &substrings.any {
                    escape(f, any)?;
                    f.write_char('*')?;
                }
                escape(f, substrings.last.as_deref().unwrap_or_default())?;
                f.write_char(')')
            }
            Self::Extensible(extensible) => {
                write!(f, "({}", extensible.attribute.as_deref().unwrap_or_default())?;
                if extensible.dn_attributes {
                    f.write_str(":dn")?;
                }
                if let Some(rule) = &extensible.rule {
                    write!(f, ":{rule}")?;
                }
                f.write_str(":=")?;
                escape(f, &extensible.value)?;
                f.write_char(')')
            }
        }
    }
}

fn escape(f: &mut fmt::Formatter<'_>, value: &[u8]) -> fmt::Result {
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '(' | ')' | '*' | '\\' | '\0'..='\x1f' | '\x7f' => write!(f, "\\{:02x}", character as u32)?,
                other => f.write_char(other)?,
            }
        }
        chunk.invalid().iter().try_for_each(|octet| write!(f, "\\{octet:02x}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_of_the_rfc_and_the_contract_go_round() {
        for text in [
            "(cn=Babs Jensen)",
            "(!(cn=Tim Howes))",
            "(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))",
            "(o=univ*of*mich*)",
            "(seeAlso=)",
            "(cn:caseExactMatch:=Fred Flintstone)",
            "(cn:=Betty Rubble)",
            "(sn:dn:2.4.6.8.10:=Barney Rubble)",
            "(o:dn:=Ace Industry)",
            "(:1.2.3:=Wilma Flintstone)",
            "(:dn:2.4.6.8.10:=Dino)",
            "(cn=*\\2a*)",
            "(filename=C:\\5cMyFile)",
            "(bin=\\00\\00\\00\\04)",
            "(sn=Lu\u{10d}i\u{107})",
            "(1.3.6.1.4.1.1466.0=\\04\\02Hi)",
            "(userCertificate;binary=*)",
            "(&)",
            "(|)",
            "(&(&)(objectClass=frCoreToken))",
            "(&(coreTokenExpirationDate<=20261122093000.123+0300)(!(a>=b))(c~=d))",
            "(url=a=b)",
            "(cn= two blanks )",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            parse("(o=Parens R Us \\28for all\\29)").unwrap().to_string(),
            "(o=Parens R Us \\28for all\\29)"
        );
        assert_eq!(parse("(a=\\FF\\fe)").unwrap().to_string(), "(a=\\ff\\fe)");
        assert_eq!(
            parse(" ( & (a=b) ( ! (c=d) ) ) ").unwrap().to_string(),
            "(&(a=b)(!(c=d) ))".replace(" )", ")")
        );
        assert_eq!(parse("objectClass=*").unwrap(), Filter::Present("objectClass".into()));
        assert_eq!(parse("(a=**)").unwrap(), Filter::Present("a".into()));
    }

    #[test]
    fn wrong_texts_are_refused() {
        for text in [
            "",
            "(",
            ")",
            "()",
            "(a)",
            "(a=b",
            "(a=b))",
            "(=b)",
            "(a=b)(c=d)",
            "(!)",
            "(!(a=b)(c=d))",
            "(a=\\)",
            "(a=\\4)",
            "(a=\\zz)",
            "(a=\0)",
            "(a b=c)",
            "(a:dn:r:x:=v)",
            "(:=v)",
            "(:dn:=v)",
            "(a>=b*)",
            "(&a=b)",
            "(a=(b))",
            "(\u{e9}=x)",
        ] {
            assert!(parse(text).is_err(), "{text:?} was taken");
        }
        let deep = |depth: usize| format!("{}(a=b){}", "(!".repeat(depth - 1), ")".repeat(depth - 1));
        assert!(parse(&deep(64)).is_ok());
        assert!(matches!(parse(&deep(65)), Err(FilterTextError::TooDeep(_))));
    }

    fn value() -> impl Strategy<Value = Cow<'static, [u8]>> {
        proptest::collection::vec(any::<u8>(), 1..12).prop_map(Cow::Owned)
    }

    fn name() -> impl Strategy<Value = Cow<'static, str>> {
        "[a-z][a-zA-Z0-9-]{0,8}(;[a-z]{1,4})?".prop_map(Cow::Owned)
    }

    pub(crate) fn filter() -> impl Strategy<Value = Filter<'static>> {
        let assertion = || (name(), value()).prop_map(|(attribute, value)| Assertion { attribute, value });
        let substrings = (
            name(),
            proptest::option::of(value()),
            proptest::collection::vec(value(), 0..3),
            proptest::option::of(value()),
        )
            .prop_filter("a part", |(_, initial, any, last)| {
                initial.is_some() || last.is_some() || !any.is_empty()
            })
            .prop_map(|(attribute, initial, any, last)| Substrings { attribute, initial, any, last });
        let extensible = (
            proptest::option::of(name()),
            proptest::option::of("[0-2](\\.[1-9][0-9]{0,3}){1,3}"),
            value(),
            any::<bool>(),
        )
            .prop_filter("a name", |(attribute, rule, ..)| attribute.is_some() || rule.is_some())
            .prop_map(|(attribute, rule, value, dn_attributes)| Extensible {
                rule: rule.map(Cow::Owned),
                attribute,
                value,
                dn_attributes,
            });
        let leaf = prop_oneof![
            assertion().prop_map(Filter::Equality),
            assertion().prop_map(Filter::GreaterOrEqual),
            assertion().prop_map(Filter::LessOrEqual),
            assertion().prop_map(Filter::Approximate),
            name().prop_map(Filter::Present),
            substrings.prop_map(Filter::Substrings),
            extensible.prop_map(Filter::Extensible),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
                inner.prop_map(|filter| Filter::Not(Box::new(filter))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_filter_goes_round_as_text_and_as_octets(filter in filter()) {
            prop_assert_eq!(parse(&filter.to_string()).unwrap(), filter.clone());
            let mut out = bytes::BytesMut::new();
            filter.encode(&mut out);
            prop_assert_eq!(out.len(), filter.encoded_len());
            prop_assert_eq!(Filter::parse(&out, &Limits::default()).unwrap().into_owned(), filter);
        }

        #[test]
        fn no_text_panics(text in "[()&|!=*~<>:a\\\\0-9 \u{e9}]{0,24}") {
            if let Ok(filter) = parse(&text) {
                prop_assert_eq!(parse(&filter.to_string()).unwrap(), filter);
            }
        }
    }
}
