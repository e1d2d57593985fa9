//! Definitions from text.

use super::{AttributeTypeBody, Body, Definition, ElementKind};
use crate::schema::{Kind, Usage};

/// Why a text is no definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DefinitionError {
    /// Octet of the text at which it goes wrong.
    pub offset: usize,
    /// What is wanted there and what stands there.
    pub reason: String,
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Open,
    Close,
    Dollar,
    /// A bare word: keyword, OID, name.
    Word(&'a str),
    /// What stands between single quotes, still escaped.
    Quoted(&'a str),
    End,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

type Parsed<T> = Result<T, DefinitionError>;

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_ascii_start().len();
    }

    fn fail<T>(&self, offset: usize, wanted: &str) -> Parsed<T> {
        let found = match self.text.get(offset..).unwrap_or_default().split_ascii_whitespace().next() {
            None => "the text ends there".to_owned(),
            Some(word) => format!("found {:?}", word.chars().take(40).collect::<String>()),
        };
        Err(DefinitionError { offset, reason: format!("{wanted} is wanted at octet {offset}, {found}") })
    }

    fn refuse<T>(&self, offset: usize, reason: String) -> Parsed<T> {
        Err(DefinitionError { offset, reason: format!("{reason} (octet {offset})") })
    }

    /// The next token and where it starts.
    fn next(&mut self) -> Parsed<(Token<'a>, usize)> {
        self.skip_spaces();
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.bytes().next() else { return Ok((Token::End, start)) };
        let single = match first {
            b'(' => Some(Token::Open),
            b')' => Some(Token::Close),
            b'$' => Some(Token::Dollar),
            _ => None,
        };
        if let Some(token) = single {
            self.at += 1;
            return Ok((token, start));
        }
        if let Some(inner) = rest.strip_prefix('\'') {
            let Some((content, _)) = inner.split_once('\'') else {
                return self.refuse(start, "a quoted text has no closing quote".to_owned());
            };
            self.at += content.len() + 2;
            return Ok((Token::Quoted(content), start));
        }
        let length = rest
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '(' | ')' | '$' | '\''))
            .unwrap_or(rest.len());
        self.at += length;
        Ok((Token::Word(rest.get(..length).unwrap_or_default()), start))
    }

    fn peek(&mut self) -> Parsed<Token<'a>> {
        let before = self.at;
        let token = self.next();
        self.at = before;
        token.map(|(token, _)| token)
    }

    /// An OID or name, quoted or not.
    fn oid(&mut self, wanted: &str) -> Parsed<String> {
        let (token, start) = self.next()?;
        match token {
            Token::Word(word) | Token::Quoted(word) if is_oid(word) => Ok(word.to_owned()),
            _ => self.fail(start, wanted),
        }
    }

    /// One OID, or several in parentheses, separated by `$` or by spaces.
    fn oids(&mut self) -> Parsed<Vec<String>> {
        if self.peek()? != Token::Open {
            return Ok(vec![self.oid("a name, an OID or '('")?]);
        }
        self.next()?;
        let mut oids = Vec::new();
        loop {
            match self.peek()? {
                Token::Close => {
                    self.next()?;
                    return Ok(oids);
                }
                Token::Dollar => {
                    self.next()?;
                }
                _ => oids.push(self.oid("a name, an OID or ')'")?),
            }
        }
    }

    fn quoted(&mut self, wanted: &str) -> Parsed<String> {
        let (token, start) = self.next()?;
        match token {
            Token::Quoted(content) => Ok(unescape(content)),
            _ => self.fail(start, wanted),
        }
    }

    /// One quoted text, or several in parentheses.
    fn quoted_list(&mut self, wanted: &str) -> Parsed<Vec<String>> {
        if self.peek()? != Token::Open {
            return Ok(vec![self.quoted(wanted)?]);
        }
        self.next()?;
        let mut texts = Vec::new();
        while self.peek()? != Token::Close {
            texts.push(self.quoted("a quoted text or ')'")?);
        }
        self.next()?;
        Ok(texts)
    }

    fn names(&mut self) -> Parsed<Vec<String>> {
        self.skip_spaces();
        let start = self.at;
        let names = self.quoted_list("a quoted name or '('")?;
        match names.iter().find(|name| !is_oid(name)) {
            Some(name) => {
                self.refuse(start, format!("{name:?} is not a name: letters, digits and hyphens only"))
            }
            None => Ok(names),
        }
    }

    /// A syntax OID with its bound.
    fn syntax(&mut self) -> Parsed<(String, Option<u32>)> {
        let (token, start) = self.next()?;
        let (Token::Word(word) | Token::Quoted(word)) = token else {
            return self.fail(start, "a syntax OID");
        };
        let (oid, bound) = match word.split_once('{') {
            Some((oid, bound)) => {
                let Some(bound) = bound.strip_suffix('}').and_then(|digits| digits.parse().ok()) else {
                    return self.fail(start, "a syntax OID with its bound as {n}");
                };
                (oid, Some(bound))
            }
            None => (word, None),
        };
        if is_oid(oid) { Ok((oid.to_owned(), bound)) } else { self.fail(start, "a syntax OID") }
    }
}

/// A name or OID: letters, digits, `.`, `-` and the underscore that servers tolerate.
fn is_oid(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
}

fn unescape(content: &str) -> String {
    if !content.contains('\\') {
        return content.to_owned();
    }
    content.replace("\\27", "'").replace("\\5C", "\\").replace("\\5c", "\\")
}

/// What the keywords said, of whatever kind.
#[derive(Default)]
struct Parts {
    attribute: AttributeTypeBody,
    class_kind: Option<Kind>,
    superiors: Vec<String>,
    must: Vec<String>,
    may: Vec<String>,
    not: Vec<String>,
    auxiliaries: Vec<String>,
    applies: Vec<String>,
    class: Option<String>,
    form: Option<String>,
}

/// Whether a definition of this kind has this keyword (RFC 4512 §4.1).
fn has_keyword(kind: ElementKind, keyword: &str) -> bool {
    let own: &[&str] = match kind {
        ElementKind::LdapSyntaxes => return keyword == "DESC",
        ElementKind::MatchingRules => &["SYNTAX"],
        ElementKind::AttributeTypes => &[
            "SUP",
            "EQUALITY",
            "ORDERING",
            "SUBSTR",
            "SYNTAX",
            "SINGLE-VALUE",
            "COLLECTIVE",
            "NO-USER-MODIFICATION",
            "USAGE",
        ],
        ElementKind::ObjectClasses => &["SUP", "ABSTRACT", "STRUCTURAL", "AUXILIARY", "MUST", "MAY"],
        ElementKind::NameForms => &["OC", "MUST", "MAY"],
        ElementKind::DitContentRules => &["AUX", "MUST", "MAY", "NOT"],
        ElementKind::DitStructureRules => &["FORM", "SUP"],
        ElementKind::MatchingRuleUse => &["APPLIES"],
    };
    own.contains(&keyword) || matches!(keyword, "NAME" | "DESC" | "OBSOLETE")
}

pub(super) fn definition(kind: ElementKind, text: &str, oid_suffices: bool) -> Parsed<Definition> {
    let mut parser = Parser { text, at: 0 };
    let (token, start) = parser.next()?;
    if token != Token::Open {
        return parser.fail(start, "'('");
    }
    let oid = parser.oid("a numeric OID")?;
    let mut definition = Definition {
        oid,
        names: Vec::new(),
        description: None,
        obsolete: false,
        body: Body::Syntax,
        extensions: Vec::new(),
        file: None,
    };
    let mut parts = Parts::default();
    let mut seen: Vec<String> = Vec::new();
    loop {
        let (token, start) = parser.next()?;
        let word = match token {
            Token::Close => break,
            Token::Word(word) => word,
            _ => return parser.fail(start, "a keyword or ')'"),
        };
        let keyword = word.to_ascii_uppercase();
        if keyword.starts_with("X-") {
            let mut values = parser.quoted_list("a quoted text or '('")?;
            if keyword == "X-SCHEMA-FILE" {
                definition.file = values.pop();
            } else {
                definition.extensions.push((word.to_owned(), values));
            }
            continue;
        }
        if !has_keyword(kind, &keyword) {
            return parser.fail(start, &format!("a keyword of an {} definition, X-… or ')'", kind.noun()));
        }
        if seen.contains(&keyword) {
            return parser.refuse(start, format!("{keyword} stands there twice"));
        }
        one_keyword(&mut parser, &keyword, kind, &mut definition, &mut parts)?;
        seen.push(keyword);
    }
    let (token, start) = parser.next()?;
    if token != Token::End {
        return parser.fail(start, "the end of the text after ')'");
    }
    let is_oid_alone = oid_suffices && seen.is_empty();
    definition.body = body(kind, parts, is_oid_alone).map_err(|reason| DefinitionError {
        offset: text.len(),
        reason: format!("{}: {reason}", definition.oid),
    })?;
    Ok(definition)
}

fn one_keyword(
    parser: &mut Parser<'_>,
    keyword: &str,
    kind: ElementKind,
    definition: &mut Definition,
    parts: &mut Parts,
) -> Parsed<()> {
    const RULE: &str = "a matching rule's name or OID";
    match keyword {
        "NAME" => definition.names = parser.names()?,
        "DESC" => definition.description = Some(parser.quoted("a quoted text")?),
        "OBSOLETE" => definition.obsolete = true,
        "SUP" if kind == ElementKind::AttributeTypes => {
            parts.attribute.superior = Some(parser.oid("an attribute type's name or OID")?);
        }
        "SUP" => parts.superiors = parser.oids()?,
        "EQUALITY" => parts.attribute.equality = Some(parser.oid(RULE)?),
        "ORDERING" => parts.attribute.ordering = Some(parser.oid(RULE)?),
        "SUBSTR" => parts.attribute.substring = Some(parser.oid(RULE)?),
        "SYNTAX" => {
            let (oid, bound) = parser.syntax()?;
            parts.attribute.syntax = Some(oid);
            parts.attribute.bound = bound;
        }
        "SINGLE-VALUE" => parts.attribute.single_value = true,
        "COLLECTIVE" => parts.attribute.collective = true,
        "NO-USER-MODIFICATION" => parts.attribute.no_user_modification = true,
        "USAGE" => {
            let (token, start) = parser.next()?;
            let usage = match token {
                Token::Word(word) | Token::Quoted(word) => usage(word),
                _ => None,
            };
            match usage {
                Some(usage) => parts.attribute.usage = usage,
                None => {
                    return parser.fail(
                        start,
                        "userApplications, directoryOperation, distributedOperation or dSAOperation",
                    );
                }
            }
        }
        "ABSTRACT" => parts.class_kind = Some(Kind::Abstract),
        "STRUCTURAL" => parts.class_kind = Some(Kind::Structural),
        "AUXILIARY" => parts.class_kind = Some(Kind::Auxiliary),
        "MUST" => parts.must = parser.oids()?,
        "MAY" => parts.may = parser.oids()?,
        "NOT" => parts.not = parser.oids()?,
        "AUX" => parts.auxiliaries = parser.oids()?,
        "APPLIES" => parts.applies = parser.oids()?,
        "OC" => parts.class = Some(parser.oid("an object class's name or OID")?),
        "FORM" => parts.form = Some(parser.oid("a name form's name or OID")?),
        _ => {}
    }
    Ok(())
}

fn usage(word: &str) -> Option<Usage> {
    [
        ("userApplications", Usage::UserApplications),
        ("directoryOperation", Usage::DirectoryOperation),
        ("distributedOperation", Usage::DistributedOperation),
        ("dSAOperation", Usage::DsaOperation),
    ]
    .into_iter()
    .find_map(|(name, usage)| name.eq_ignore_ascii_case(word).then_some(usage))
}

/// The body of this kind, if the parts it cannot do without are there.
fn body(kind: ElementKind, parts: Parts, is_oid_alone: bool) -> Result<Body, &'static str> {
    let wanted = |part: Option<String>, missing| match part {
        Some(part) => Ok(part),
        None if is_oid_alone => Ok(String::new()),
        None => Err(missing),
    };
    Ok(match kind {
        ElementKind::LdapSyntaxes => Body::Syntax,
        ElementKind::MatchingRules => {
            Body::MatchingRule { syntax: wanted(parts.attribute.syntax, "a matching rule wants SYNTAX")? }
        }
        ElementKind::AttributeTypes => {
            if parts.attribute.syntax.is_none() && parts.attribute.superior.is_none() && !is_oid_alone {
                return Err("an attribute type wants SYNTAX or SUP");
            }
            Body::AttributeType(parts.attribute)
        }
        ElementKind::ObjectClasses => Body::ObjectClass {
            superiors: parts.superiors,
            kind: parts.class_kind.unwrap_or(Kind::Structural),
            must: parts.must,
            may: parts.may,
        },
        ElementKind::NameForms => {
            if parts.must.is_empty() && !is_oid_alone {
                return Err("a name form wants MUST");
            }
            Body::NameForm {
                class: wanted(parts.class, "a name form wants OC")?,
                must: parts.must,
                may: parts.may,
            }
        }
        ElementKind::DitContentRules => Body::ContentRule {
            auxiliaries: parts.auxiliaries,
            must: parts.must,
            may: parts.may,
            not: parts.not,
        },
        ElementKind::DitStructureRules => Body::StructureRule {
            form: wanted(parts.form, "a DIT structure rule wants FORM")?,
            superiors: parts.superiors,
        },
        ElementKind::MatchingRuleUse => {
            if parts.applies.is_empty() && !is_oid_alone {
                return Err("a matching rule use wants APPLIES");
            }
            Body::MatchingRuleUse { applies: parts.applies }
        }
    })
}
