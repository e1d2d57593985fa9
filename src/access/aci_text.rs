//! The text of an ACI, taken apart (features.md §5.1): clauses and bind rules as written, not yet looked at against
//! the schema. White space is free between words, keywords are read in any case.

use super::right::{AciError, Right, Rights};

/// Parentheses and `not`s that may stand within each other in a bind rule.
const MAX_DEPTH: usize = 50;

/// A quoted value, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quoted<'a> {
    /// Octet of the ACI at which the value starts, behind the quote.
    pub(super) offset: usize,
    pub(super) text: &'a str,
}

impl<'a> Quoted<'a> {
    /// A complaint about this value.
    pub(super) fn error(self, reason: impl Into<String>) -> AciError {
        AciError { offset: self.offset, reason: reason.into() }
    }

    /// The parts that `||` separates, without the spaces around them.
    pub(super) fn parts(self) -> impl Iterator<Item = Quoted<'a>> {
        let mut start = self.offset;
        self.text.split("||").map(move |part| {
            let spaces = part.len() - part.trim_start().len();
            let quoted = Quoted { offset: start + spaces, text: part.trim() };
            start += part.len() + 2;
            quoted
        })
    }
}

/// A target clause: `(keyword = "value")` or with `!=`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clause<'a> {
    pub(super) value: Quoted<'a>,
    pub(super) negated: bool,
}

/// An ACI taken apart.
#[derive(Debug, Default)]
pub(super) struct AciText<'a> {
    pub(super) name: &'a str,
    pub(super) target: Option<Clause<'a>>,
    pub(super) scope: Option<Clause<'a>>,
    pub(super) attributes: Option<Clause<'a>>,
    pub(super) filter: Option<Clause<'a>>,
    pub(super) values: Option<Clause<'a>>,
    pub(super) control: Option<Clause<'a>>,
    pub(super) extended: Option<Clause<'a>>,
    pub(super) permissions: Vec<PermissionText<'a>>,
}

/// One `allow (…) rule;` or `deny (…) rule;`.
#[derive(Debug)]
pub(super) struct PermissionText<'a> {
    pub(super) allows: bool,
    pub(super) rights: Rights,
    pub(super) rule: RuleText<'a>,
    /// The bind rule as written.
    pub(super) rule_text: &'a str,
}

/// The keyword of a bind rule that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    UserDn,
    GroupDn,
    UserAttr,
    Ip,
    AuthMethod,
    SecurityStrength,
    TimeOfDay,
    DayOfWeek,
}

/// How a bind rule compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A bind rule as written.
#[derive(Debug)]
pub(super) enum RuleText<'a> {
    And(Vec<RuleText<'a>>),
    Or(Vec<RuleText<'a>>),
    Not(Box<RuleText<'a>>),
    Test { keyword: Keyword, comparison: Comparison, value: Quoted<'a> },
}

/// Takes the text apart.
pub(super) fn parse(text: &str) -> Result<AciText<'_>, AciError> {
    Parser { text, offset: 0 }.aci()
}

struct Parser<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.offset += rest.len() - rest.trim_start().len();
    }

    fn error<T>(&self, reason: impl Into<String>) -> Result<T, AciError> {
        Err(AciError { offset: self.offset, reason: reason.into() })
    }

    fn expected<T>(&self, what: &str) -> Result<T, AciError> {
        match self.rest().chars().next() {
            Some(found) => self.error(format!("expected {what}, found `{}`", found.escape_default())),
            None => self.error(format!("expected {what}, found the end")),
        }
    }

    /// Takes `token` if it comes next, behind white space.
    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.offset += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str, what: &str) -> Result<(), AciError> {
        if self.take(token) { Ok(()) } else { self.expected(what) }
    }

    /// The word that comes next, not yet taken.
    fn peek_word(&mut self) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word().eq_ignore_ascii_case(word);
        if found {
            self.offset += word.len();
        }
        found
    }

    fn quoted(&mut self) -> Result<Quoted<'a>, AciError> {
        self.expect("\"", "a value in double quotes")?;
        let rest = self.rest();
        let Some(end) = rest.find('"') else {
            self.offset = self.text.len();
            return self.expected("the closing double quote");
        };
        let quoted = Quoted { offset: self.offset, text: rest.get(..end).unwrap_or_default() };
        self.offset += end + 1;
        Ok(quoted)
    }

    fn aci(&mut self) -> Result<AciText<'a>, AciError> {
        let mut aci = AciText::default();
        loop {
            self.expect("(", "`(` before a target clause or `version`")?;
            let word = self.peek_word();
            if word.eq_ignore_ascii_case("version") {
                self.offset += word.len();
                break;
            }
            self.target_clause(&mut aci, word)?;
        }
        self.expect("3.0", "the version `3.0`")?;
        self.expect(";", "`;` after the version")?;
        if !self.take_word("acl") {
            return self.expected("`acl` and the name");
        }
        aci.name = self.quoted()?.text;
        self.expect(";", "`;` after the name")?;
        while !self.take(")") {
            let permission = self.permission(aci.permissions.is_empty())?;
            aci.permissions.push(permission);
        }
        if aci.permissions.is_empty() {
            self.offset = self.offset.saturating_sub(1);
            return self.expected("`allow` or `deny`");
        }
        self.skip_space();
        if self.rest().is_empty() { Ok(aci) } else { self.expected("the end of the ACI") }
    }

    fn target_clause(&mut self, aci: &mut AciText<'a>, word: &'a str) -> Result<(), AciError> {
        let slot = match word.to_ascii_lowercase().as_str() {
            "target" => &mut aci.target,
            "targetscope" => &mut aci.scope,
            "targetattr" => &mut aci.attributes,
            "targetfilter" => &mut aci.filter,
            "targetcontrol" => &mut aci.control,
            "extop" => &mut aci.extended,
            "targattrfilters" => &mut aci.values,
            "" => return self.expected("a target keyword or `version`"),
            _ => {
                return self.error(format!(
                    "expected target, targetscope, targetattr, targetfilter, targattrfilters, targetcontrol, extop or version, found `{word}`"
                ));
            }
        };
        if slot.is_some() {
            return self.error(format!("`{word}` is there twice"));
        }
        self.offset += word.len();
        let negated = self.take("!=");
        if !negated {
            self.expect("=", "`=` or `!=`")?;
        }
        *slot = Some(Clause { value: self.quoted()?, negated });
        self.expect(")", "`)` after the target clause")
    }

    fn permission(&mut self, is_first: bool) -> Result<PermissionText<'a>, AciError> {
        let allows = if self.take_word("allow") {
            true
        } else if self.take_word("deny") {
            false
        } else if is_first {
            return self.expected("`allow` or `deny`");
        } else {
            return self.expected("`allow`, `deny` or the closing `)`");
        };
        let rights = self.rights()?;
        self.skip_space();
        let start = self.offset;
        let rule = self.any_of(0)?;
        let rule_text = self.text.get(start..self.offset).unwrap_or_default();
        self.expect(";", "`and`, `or`, or `;` after the bind rule")?;
        Ok(PermissionText { allows, rights, rule, rule_text })
    }

    fn rights(&mut self) -> Result<Rights, AciError> {
        self.expect("(", "`(` before the rights")?;
        let mut rights = Rights::default();
        loop {
            let word = self.peek_word();
            rights = match Right::parse(word) {
                Some(right) => rights.with(right),
                None if word.eq_ignore_ascii_case("all") => rights.union(Rights::ALL),
                None => {
                    return self.expected(
                        "a right: read, write, search, compare, add, delete, selfwrite, proxy, import, export or all",
                    );
                }
            };
            self.offset += word.len();
            if !self.take(",") {
                break;
            }
        }
        self.expect(")", "`,` or `)` after a right")?;
        Ok(rights)
    }

    fn any_of(&mut self, depth: usize) -> Result<RuleText<'a>, AciError> {
        let mut rules = vec![self.all_of(depth)?];
        while self.take_word("or") {
            rules.push(self.all_of(depth)?);
        }
        Ok(one_or(rules, RuleText::Or))
    }

    fn all_of(&mut self, depth: usize) -> Result<RuleText<'a>, AciError> {
        let mut rules = vec![self.single(depth)?];
        while self.take_word("and") {
            rules.push(self.single(depth)?);
        }
        Ok(one_or(rules, RuleText::And))
    }

    fn single(&mut self, depth: usize) -> Result<RuleText<'a>, AciError> {
        if depth > MAX_DEPTH {
            return self.error(format!("more than {MAX_DEPTH} bind rules within each other"));
        }
        if self.take_word("not") {
            return Ok(RuleText::Not(Box::new(self.single(depth + 1)?)));
        }
        if self.take("(") {
            let rule = self.any_of(depth + 1)?;
            self.expect(")", "`and`, `or`, or `)` after the bind rule")?;
            return Ok(rule);
        }
        self.test()
    }

    fn test(&mut self) -> Result<RuleText<'a>, AciError> {
        let word = self.peek_word();
        let keyword = match word.to_ascii_lowercase().as_str() {
            "userdn" => Keyword::UserDn,
            "groupdn" => Keyword::GroupDn,
            "userattr" => Keyword::UserAttr,
            "ip" => Keyword::Ip,
            "authmethod" => Keyword::AuthMethod,
            "ssf" => Keyword::SecurityStrength,
            "timeofday" => Keyword::TimeOfDay,
            "dayofweek" => Keyword::DayOfWeek,
            "dns" => {
                return self.error(
                    "the bind rule `dns` is not supported: who owns an address writes what its reverse look-up says; \
                     use `ip`",
                );
            }
            "roledn" => {
                return self
                    .error("the bind rule `roledn` is not supported: there are no roles; use `groupdn`");
            }
            _ => {
                return self.expected(
                    "a bind rule: userdn, groupdn, userattr, ip, authmethod, ssf, timeofday or dayofweek",
                );
            }
        };
        self.offset += word.len();
        let comparison = self.comparison()?;
        let orders = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if orders && !matches!(keyword, Keyword::SecurityStrength | Keyword::TimeOfDay) {
            return self.error(format!("`{word}` can only be compared by `=` and `!=`"));
        }
        Ok(RuleText::Test { keyword, comparison, value: self.quoted()? })
    }

    fn comparison(&mut self) -> Result<Comparison, AciError> {
        let comparisons = [
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        match comparisons.into_iter().find(|(token, _)| self.take(token)) {
            Some((_, comparison)) => Ok(comparison),
            None => self.expected("`=` or `!=` (for ssf and timeofday also `<`, `<=`, `>`, `>=`)"),
        }
    }
}

fn one_or<'a>(
    mut rules: Vec<RuleText<'a>>,
    many: impl FnOnce(Vec<RuleText<'a>>) -> RuleText<'a>,
) -> RuleText<'a> {
    match (rules.len(), rules.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            rules.extend(last);
            many(rules)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUIDE: [&str; 6] = [
        r#"(target = "ldap:///cn=schema")(targetattr = "attributeTypes || objectClasses")(version 3.0; acl "Modify schema"; allow (write) userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com";)"#,
        r#"(targetattr="*")(version 3.0;acl "Allow entry search"; allow (search, read) (userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com");)"#,
        r#"(targetattr="*")(version 3.0;acl "Modify entries"; allow (write)(userdn= "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com");)"#,
        r#"(targetcontrol="2.16.840.1.113730.3.4.3")(version 3.0;acl "Allow persistentsearch"; allow (search, read)(userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example, dc=com");)"#,
        r#"(version 3.0;acl "Add config entry"; allow (add)(userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com");)"#,
        r#"(version 3.0;acl "Delete entries"; allow (delete)(userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com");)"#,
    ];

    #[test]
    fn the_guides_texts_are_read_with_and_without_blanks() {
        for text in GUIDE {
            let aci = parse(text).unwrap();
            assert_eq!(aci.permissions.len(), 1, "{text}");
            for other in [
                text.replace(" = ", "="),
                text.replace('=', " = ").replace("uid = ", "uid="),
                format!("  {text}\r\n "),
                text.replace("(version", "\n ( VERSION").replace("allow", "Allow"),
            ] {
                assert_eq!(parse(&other).unwrap().name, aci.name, "{other}");
            }
        }
        let aci = parse(GUIDE[0]).unwrap();
        assert_eq!(aci.target.unwrap().value.text, "ldap:///cn=schema");
        let listed: Vec<_> = aci.attributes.unwrap().value.parts().map(|part| part.text).collect();
        assert_eq!(listed, ["attributeTypes", "objectClasses"]);
    }

    #[test]
    fn several_permissions_and_nested_rules() {
        let aci = parse(
            r#"(version 3.0; acl "x"; allow (all) userdn="ldap:///all" and not (ip="10.0.0.1" or ssf<"128");
               deny(write,proxy)(userdn!="ldap:///self" and (authmethod="none"));)"#,
        )
        .unwrap();
        assert_eq!(aci.permissions.len(), 2);
        assert!(
            aci.permissions[0].rights.has(Right::SelfWrite) && !aci.permissions[0].rights.has(Right::Proxy)
        );
        assert!(!aci.permissions[1].allows && aci.permissions[1].rights.has(Right::Proxy));
        let RuleText::And(rules) = &aci.permissions[0].rule else { panic!() };
        assert!(matches!(&rules[1], RuleText::Not(inner) if matches!(**inner, RuleText::Or(_))));
    }

    #[test]
    fn and_binds_closer_than_or() {
        let aci =
            parse(r#"(version 3.0; acl "x"; allow (read) ip="1.1.1.1" or ip="1.1.1.2" and ip="1.1.1.3";)"#);
        let RuleText::Or(rules) = &aci.unwrap().permissions[0].rule else { panic!() };
        assert!(matches!(rules[1], RuleText::And(_)));
    }

    #[test]
    fn faults_are_located() {
        let cases = [
            ("", 0, "expected `("),
            ("(targetattr=*)", 12, "double quotes"),
            ("(targetattr=\"*", 14, "closing double quote"),
            ("(targetattrs=\"*\")", 1, "found `targetattrs`"),
            ("(targattrfilters=\"add=x\")(targattrfilters=\"\")", 26, "twice"),
            ("(targetattr=\"a\")(targetattr=\"b\")", 17, "twice"),
            ("(version 2.0;)", 9, "3.0"),
            ("(version 3.0; acl \"x\";)", 22, "`allow` or `deny`"),
            ("(version 3.0; acl \"x\"; permit (read) x)", 23, "`allow` or `deny`"),
            ("(version 3.0; acl \"x\"; allow (reed) userdn=\"ldap:///all\";)", 30, "a right"),
            ("(version 3.0; acl \"x\"; allow (read) userdn=\"ldap:///all\")", 56, "`;`"),
            ("(version 3.0; acl \"x\"; allow (read) userdn=\"ldap:///all\"; ) more", 60, "the end"),
            ("(version 3.0; acl \"x\"; allow (read) userdn<\"ldap:///all\";)", 43, "`!=`"),
            ("(version 3.0; acl \"x\"; allow (read) dns=\"*.com\";)", 36, "not supported"),
            ("(version 3.0; acl \"x\"; allow (read) roledn=\"ldap:///cn=x\";)", 36, "not supported"),
            ("(version 3.0; acl \"x\"; allow (read) dayofweek<\"Mon\";)", 46, "`!=`"),
            ("(version 3.0; acl \"x\"; allow (read) ;)", 36, "a bind rule"),
        ];
        for (text, offset, reason) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
            assert_eq!(error.offset, offset, "{text}: {error}");
        }
        let deep = format!("(version 3.0; acl \"x\"; allow (read) {}ip=\"1.1.1.1\"", "(".repeat(10_000));
        assert!(parse(&deep).unwrap_err().reason.contains("within each other"));
    }

    proptest! {
        #[test]
        fn nothing_it_is_fed_breaks_it(text in r#"[ -~é]{0,60}"#, cut in 0_usize..200, which in 0_usize..6) {
            let _ = parse(&text);
            let guide = GUIDE[which];
            let _ = parse(&format!("{}{text}", &guide[..cut.min(guide.len())]));
        }
    }
}
