//! Truth tables: every element of an ACI (features.md §5) where it matches and where it does not, allowing and denying.
//!
//! Each row is asked four questions. Where its element matches, the ACI must grant what nothing else grants, and deny what
//! something else grants; where it does not match, it must do neither.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::fixture::{CTS, Fixture, OTHER, SUFFIX, TOKEN};
use super::super::*;
use crate::clock::ManualClock;
use crate::protocol::message::ModifyOperation;
use crate::schema::NormalizedDn;

/// Lets everybody see entries, and nothing more.
const SEEN: &str =
    r#"(targetattr="objectClass")(version 3.0; acl "seen"; allow (read) userdn="ldap:///anyone";)"#;
/// What a denial has to overcome.
const OPEN: [&str; 3] = [
    r#"(targetattr="* || +")(version 3.0; acl "open"; allow (all,proxy,import,export) userdn="ldap:///anyone";)"#,
    r#"(targetcontrol="*")(version 3.0; acl "controls"; allow (read) userdn="ldap:///anyone";)"#,
    r#"(extop="*")(version 3.0; acl "operations"; allow (read) userdn="ldap:///anyone";)"#,
];
pub(super) const TOKENS: &str = "ou=tokens,dc=cts,dc=example,dc=com";
const OUTSIDE: &str = "dc=example,dc=com";
const STATIC: &str = "cn=static,dc=cts,dc=example,dc=com";
const UNIQUE: &str = "cn=unique,dc=cts,dc=example,dc=com";
const DYNAMIC: &str = "cn=dynamic,dc=cts,dc=example,dc=com";
/// A Wednesday.
const NOW: u64 = 1_700_049_600_000;

/// Who asks for what, where and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) user: &'static str,
    method: AuthMethod,
    address: &'static str,
    ssf: u16,
    target: &'static str,
    pub(super) asked: Asked<'static>,
}

/// Somebody reads the type of a token.
pub(super) const READ: Case = Case {
    user: OTHER,
    method: AuthMethod::Simple,
    address: "10.1.2.3",
    ssf: 128,
    target: TOKEN,
    asked: Asked::Attribute(Right::Read, "coreTokenType"),
};

fn by(user: &'static str) -> Option<Case> {
    Some(Case { user, ..READ })
}

pub(super) fn of(target: &'static str) -> Option<Case> {
    Some(Case { target, ..READ })
}

pub(super) fn reading(attribute: &'static str) -> Option<Case> {
    asking(Asked::Attribute(Right::Read, attribute))
}

pub(super) fn asking(asked: Asked<'static>) -> Option<Case> {
    Some(Case { asked, ..READ })
}

fn from(address: &'static str) -> Option<Case> {
    Some(Case { address, ..READ })
}

fn under(ssf: u16) -> Option<Case> {
    Some(Case { ssf, ..READ })
}

fn method(method: AuthMethod) -> Option<Case> {
    Some(Case { method, ..READ })
}

fn anonymous() -> Option<Case> {
    Some(Case { user: "", method: AuthMethod::None, ..READ })
}

/// An element: target clauses, rights and bind rule; a case it matches, and one it does not. None where there is none.
pub(super) struct Row {
    pub(super) targets: String,
    pub(super) rights: &'static str,
    pub(super) rule: String,
    pub(super) matching: Option<Case>,
    pub(super) other: Option<Case>,
}

pub(super) fn target(targets: &str, matching: Option<Case>, other: Option<Case>) -> Row {
    let rule = r#"userdn="ldap:///anyone""#.to_owned();
    Row { targets: targets.to_owned(), rights: "read", rule, matching, other }
}

fn rule(rule: impl Into<String>, matching: Option<Case>, other: Option<Case>) -> Row {
    Row { targets: r#"(targetattr="*")"#.to_owned(), rights: "read", rule: rule.into(), matching, other }
}

pub(super) struct Table {
    pub(super) fixture: Fixture,
    pub(super) entries: Arc<HashMap<NormalizedDn, Arc<crate::entry::StoredEntry>>>,
}

impl Table {
    pub(super) fn new() -> Self {
        let fixture = Fixture::new();
        let class = |name| ("objectClass", name);
        let url = "ldap:///ou=admins,dc=cts,dc=example,dc=com??sub?(cn=Cts)";
        let entries = [
            fixture.entry(SUFFIX, &[class("domain"), ("dc", "cts")], &[]),
            fixture.entry(OUTSIDE, &[class("domain"), ("dc", "example"), ("coreTokenType", "X")], &[]),
            fixture.entry(
                TOKENS,
                &[class("organizationalUnit"), ("ou", "tokens"), ("seeAlso", CTS), ("owner", STATIC)],
                &[],
            ),
            fixture.entry(
                CTS,
                &[class("person"), ("cn", "CTS"), ("coreTokenType", "X"), ("description", "Red")],
                &[],
            ),
            fixture.entry(
                OTHER,
                &[class("person"), ("cn", "other"), ("coreTokenType", "X"), ("description", "blue")],
                &[],
            ),
            fixture.entry(STATIC, &[class("groupOfNames"), ("member", CTS)], &[]),
            fixture.entry(UNIQUE, &[class("groupOfUniqueNames"), ("uniqueMember", CTS)], &[]),
            fixture.entry(DYNAMIC, &[class("groupOfURLs"), ("memberURL", url)], &[]),
            fixture.entry("cn=child,uid=other,ou=admins,dc=cts,dc=example,dc=com", &[("cn", "child")], &[]),
            fixture.entry(
                TOKEN,
                &[
                    class("frCoreToken"),
                    ("coreTokenId", "AQIC5w"),
                    ("coreTokenType", "SESSION"),
                    ("coreTokenUserId", CTS),
                    ("manager", CTS),
                    ("owner", STATIC),
                    ("memberURL", url),
                    ("description", "red"),
                    ("description", "green"),
                ],
                &[("etag", "1"), ("createTimestamp", "20240101000000Z")],
            ),
        ];
        let entries = entries.into_iter().map(|entry| (fixture.key(entry.dn()), Arc::new(entry))).collect();
        Self { fixture, entries: Arc::new(entries) }
    }

    /// Whether the case is granted under these ACIs of the suffix.
    pub(super) fn grants(&self, case: &Case, acis: &[&str]) -> bool {
        let schema = &self.fixture.schema;
        let entries = Arc::clone(&self.entries);
        let lookup: Lookup = Arc::new(move |key| Ok(entries.get(key).cloned()));
        let clock = Arc::new(ManualClock::at(NOW));
        let control = AccessControl::with_clock(Arc::clone(schema), Some(lookup), clock);
        let acis: Vec<String> = acis.iter().map(|text| (*text).to_owned()).collect();
        if matches!(case.asked, Asked::Extended(_)) {
            control.set_globals(&acis, schema).unwrap();
        } else {
            // What is not asked about is everywhere.
            let is_global = |text: &String| text == SEEN || OPEN.contains(&text.as_str());
            let (globals, held): (Vec<_>, Vec<_>) = acis.iter().cloned().partition(is_global);
            control.set_globals(&globals, schema).unwrap();
            control.set_entry(&self.fixture.key(SUFFIX), &held, schema).unwrap();
        }
        let set = control.current();
        let who = if case.user.is_empty() {
            Requester::anonymous(case.address.parse().unwrap(), case.ssf, Limits::NONE)
        } else {
            self.fixture.who_by(case.user, case.method, case.address, case.ssf)
        };
        let key = self.fixture.key(case.target);
        let entry = self.entries.get(&key).map(|entry| &**entry).unwrap();
        let granted = match case.asked {
            Asked::Entry(right) => set.may_entry(&who, right, Some(entry), &key),
            Asked::Attribute(right, name) => set.may(&who, right, entry, &key, name),
            Asked::Value(change, name, value) => {
                let operation = match change {
                    Change::Add => ModifyOperation::Add,
                    Change::Delete => ModifyOperation::Delete,
                };
                set.may_modify(&who, entry, &key, operation, name, [value])
            }
            Asked::Control(oid) => set.may_control(&who, oid, &key),
            Asked::Extended(oid) => set.may_extended(&who, oid),
        };
        let told = if matches!(case.asked, Asked::Extended(_)) { &who.key } else { &key };
        let why = set.explain(&who, case.asked, Some(entry), told);
        assert_eq!(why.granted, granted, "{case:?} {acis:?} {why:?}");
        assert!(!why.lines.is_empty());
        granted
    }

    fn check(&self, row: &Row) {
        let aci = |verb: &str| {
            let Row { targets, rights, rule, .. } = row;
            format!("{targets}(version 3.0; acl \"row\"; {verb} ({rights}) {rule};)")
        };
        let (allow, deny) = (aci("allow"), aci("deny"));
        for (case, matches) in [(&row.matching, true), (&row.other, false)] {
            let Some(case) = case else { continue };
            assert!(!self.grants(case, &[SEEN]), "nothing else grants it: {case:?}");
            assert_eq!(self.grants(case, &[SEEN, &allow]), matches, "{allow}\n{case:?}");
            let denied = [SEEN, OPEN[0], OPEN[1], OPEN[2], &deny];
            assert!(self.grants(case, &denied[..4]), "what is denied is granted otherwise: {case:?}");
            assert_eq!(self.grants(case, &denied), !matches, "{deny}\n{case:?}");
        }
    }

    pub(super) fn check_all(&self, rows: impl IntoIterator<Item = Row>) {
        rows.into_iter().for_each(|row| self.check(&row));
    }
}

#[test]
fn targets() {
    let child = "cn=child,uid=other,ou=admins,dc=cts,dc=example,dc=com";
    let table = Table::new();
    let with =
        |clause: &str, matching, other| target(&format!("{clause}(targetattr=\"*\")"), matching, other);
    let dn = |attribute: &'static str, target: &'static str| {
        Some(Case { target, asked: Asked::Attribute(Right::Read, attribute), ..READ })
    };
    table.check_all([
        with("", of(TOKEN), of(OUTSIDE)),
        with(r#"(target="ldap:///ou=tokens, dc=cts,dc=example,dc=com")"#, of(TOKEN), of(CTS)),
        with(r#"(target!="ldap:///ou=tokens,dc=cts,dc=example,dc=com")"#, of(CTS), of(TOKEN)),
        with(r#"(target="ldap:///coreTokenId=AQ*,**,dc=example,dc=com")"#, of(TOKEN), of(CTS)),
        with(r#"(target="ldap:///uid=*,ou=admins,dc=cts,dc=example,dc=com")"#, of(CTS), of(TOKEN)),
        with(r#"(target="ldap:///*,ou=admins,dc=cts,dc=example,dc=com")"#, of(CTS), of(TOKEN)),
        with(r#"(targetscope="base")"#, dn("dc", SUFFIX), of(TOKEN)),
        with(r#"(targetscope="onelevel")"#, dn("ou", TOKENS), of(TOKEN)),
        with(r#"(targetscope="subtree")"#, of(TOKEN), of(OUTSIDE)),
        with(r#"(target!="ldap:///uid=*,ou=admins,dc=cts,dc=example,dc=com")"#, of(TOKEN), of(CTS)),
        with(r#"(targetscope="subordinate")"#, of(TOKEN), dn("dc", SUFFIX)),
        with(
            r#"(target="ldap:///uid=other,ou=admins,dc=cts,dc=example,dc=com")(targetscope="onelevel")"#,
            dn("cn", child),
            of(OTHER),
        ),
        with(r#"(targetfilter="(coreTokenType=session)")"#, of(TOKEN), of(CTS)),
        with(r#"(targetfilter!="(coreTokenType=session)")"#, of(CTS), of(TOKEN)),
        with(r#"(targetfilter="(&(objectClass=person)(!(cn=other)))")"#, of(CTS), of(OTHER)),
    ]);
}

#[test]
fn target_attributes() {
    Table::new().check_all([
        target(r#"(targetattr="coreTokenType")"#, reading("CORETOKENTYPE"), reading("coreTokenId")),
        target(r#"(targetattr="cn || coreTokenType")"#, reading("coreTokenType"), reading("coreTokenId")),
        target(r#"(targetattr="*")"#, reading("coreTokenType"), None),
        target(r#"(targetattr="+")"#, reading("etag"), reading("coreTokenType")),
        target(r#"(targetattr="coreTokenType || etag")"#, reading("etag"), reading("createTimestamp")),
        target(r#"(targetattr!="coreTokenId")"#, reading("coreTokenType"), reading("coreTokenId")),
        target(r#"(targetattr!="coreTokenId")"#, reading("coreTokenType"), reading("etag")),
        target(r#"(targetattr!="etag")"#, reading("createTimestamp"), reading("etag")),
        target(r#"(targetattr!="etag")"#, reading("createTimestamp"), reading("coreTokenType")),
        target(r#"(targetattr!="cn || coreTokenId")"#, reading("coreTokenType"), reading("coreTokenId")),
        target(r#"(targetattr!="coreTokenId || etag")"#, reading("createTimestamp"), reading("etag")),
        // Without targetattr it is about entries as a whole.
        Row { rights: "add", ..target("", asking(Asked::Entry(Right::Add)), reading("coreTokenType")) },
        // Which attributes are named does not matter to rights on the entry; to be moved does, as with the reference.
        Row {
            rights: "delete",
            ..target(
                r#"(targetattr="coreTokenType")"#,
                asking(Asked::Entry(Right::Delete)),
                asking(Asked::Entry(Right::Add)),
            )
        },
        Row {
            rights: "add",
            ..target(
                r#"(targetattr="+")"#,
                asking(Asked::Entry(Right::Add)),
                asking(Asked::Entry(Right::Proxy)),
            )
        },
        Row {
            rights: "export",
            ..target(r#"(targetattr="coreTokenType")"#, None, asking(Asked::Entry(Right::Export)))
        },
        Row {
            rights: "delete",
            ..target(&format!("(targetcontrol=\"{}\")", "1.2.3"), None, asking(Asked::Entry(Right::Delete)))
        },
    ]);
    // All user attributes are no operational ones; but who may read none of them may not read those either.
    let table = Table::new();
    let aci = |verb| {
        format!("(targetattr=\"*\")(version 3.0; acl \"all\"; {verb} (read) userdn=\"ldap:///anyone\";)")
    };
    let etag = reading("etag").unwrap();
    assert!(!table.grants(&etag, &[&aci("allow")]));
    assert!(!table.grants(&etag, &[OPEN[0], &aci("deny")]));
}

#[test]
fn controls_and_extended_operations() {
    let (paged, sort) = ("1.2.840.113556.1.4.319", "1.2.840.113556.1.4.473");
    let (whoami, passwd) = ("1.3.6.1.4.1.4203.1.11.3", "1.3.6.1.4.1.4203.1.11.1");
    let (one, other) = (asking(Asked::Control(paged)), asking(Asked::Control(sort)));
    let (this, that) = (asking(Asked::Extended(whoami)), asking(Asked::Extended(passwd)));
    Table::new().check_all([
        target(&format!("(targetcontrol=\"{paged}\")"), one, other),
        target(&format!("(targetcontrol=\"1.2.3 || {paged}\")"), one, other),
        target(&format!("(targetcontrol!=\"{sort}\")"), one, other),
        target("(targetcontrol=\"*\")", one, None),
        target("(targetcontrol!=\"*\")", None, one),
        Row { rights: "search", ..target("(targetcontrol=\"*\")", None, one) },
        Row { rights: "search", ..target("(extop=\"*\")", None, this) },
        target("(extop!=\"*\")", None, this),
        target(&format!("(targetcontrol=\"{paged}\")"), one, reading("coreTokenType")),
        target(&format!("(extop=\"{whoami}\")"), this, that),
        target(&format!("(extop=\"1.2.3 || {whoami}\")"), this, that),
        target(&format!("(extop!=\"{passwd}\")"), this, that),
        target("(extop=\"*\")", this, None),
    ]);
}

#[test]
fn each_right() {
    let table = Table::new();
    for (right, other) in Right::EACH.into_iter().zip(Right::EACH.into_iter().cycle().skip(1)) {
        let cases: [fn(Right) -> Asked<'static>; 2] =
            [Asked::Entry, |right| Asked::Attribute(right, "coreTokenType")];
        for case in cases {
            let rule = r#"userdn="ldap:///anyone""#.to_owned();
            let targets = r#"(targetattr="*")"#.to_owned();
            let (matching, other) = (asking(case(right)), asking(case(other)));
            // To write is more than to write oneself.
            table.check(&Row { targets, rights: right.name(), rule, matching, other });
        }
    }
    let rule = || r#"userdn="ldap:///anyone""#.to_owned();
    let targets = || r#"(targetattr="*")"#.to_owned();
    for right in Right::EACH {
        let case = asking(Asked::Attribute(right, "coreTokenType"));
        let is_all = !matches!(right, Right::Proxy | Right::Import | Right::Export);
        let (matching, other) = if is_all { (case, None) } else { (None, case) };
        table.check(&Row { targets: targets(), rights: "all", rule: rule(), matching, other });
    }
    let (read, write) = (reading("coreTokenType"), asking(Asked::Attribute(Right::Write, "coreTokenType")));
    let proxy = asking(Asked::Entry(Right::Proxy));
    for matching in [read, write] {
        let (rights, other) = ("read, WRITE", proxy);
        table.check(&Row { targets: targets(), rights, rule: rule(), matching, other });
    }
}

#[test]
fn who_asks() {
    let child = "cn=child,uid=other,ou=admins,dc=cts,dc=example,dc=com";
    let own = Some(Case { target: OTHER, ..READ });
    let below = Some(Case { target: child, asked: Asked::Attribute(Right::Read, "cn"), ..READ });
    let not = |negated: &str| rule(format!("userdn!=\"ldap:///{negated}\""), by(OTHER), by(CTS));
    Table::new().check_all([
        rule(r#"userdn="ldap:///anyone""#, anonymous(), None),
        rule(r#"userdn!="ldap:///anyone""#, None, by(CTS)),
        rule(r#"userdn="ldap:///all""#, by(OTHER), anonymous()),
        rule(r#"userdn!="ldap:///all""#, anonymous(), by(OTHER)),
        rule(r#"userdn="ldap:///self""#, own, by(OTHER)),
        rule(r#"userdn!="ldap:///self""#, by(OTHER), own),
        rule(r#"userdn="ldap:///parent""#, below, own),
        rule(r#"userdn!="ldap:///parent""#, own, below),
        rule(r#"userdn!="ldap:///dc=cts,dc=example,dc=com??sub?(cn=cts)""#, by(OTHER), by(CTS)),
        rule(format!("userdn=\"ldap:///{CTS}\""), by(CTS), by(OTHER)),
        rule(format!("userdn=\"ldap:///cn=nobody || ldap:///{CTS}\""), by(CTS), by(OTHER)),
        rule(format!("userdn=\"ldap:///{CTS}\""), by(CTS), anonymous()),
        rule(r#"userdn="ldap:///uid=openam*,ou=admins,dc=cts,dc=example,dc=com""#, by(CTS), by(OTHER)),
        rule(r#"userdn="ldap:///dc=cts,dc=example,dc=com??sub?(cn=cts)""#, by(CTS), by(OTHER)),
        rule(r#"userdn="ldap:///ou=admins,dc=cts,dc=example,dc=com??one?(cn=cts)""#, by(CTS), by(OTHER)),
        rule(r#"userdn="ldap:///dc=cts,dc=example,dc=com??one?(cn=cts)""#, None, by(CTS)),
        not(CTS),
        not("uid=openam*,ou=admins,dc=cts,dc=example,dc=com"),
        rule(format!("groupdn=\"ldap:///{STATIC}\""), by(CTS), by(OTHER)),
        rule(format!("groupdn=\"ldap:///{UNIQUE}\""), by(CTS), by(OTHER)),
        rule(format!("groupdn=\"ldap:///{DYNAMIC}\""), by(CTS), by(OTHER)),
        rule(format!("groupdn=\"ldap:///cn=none || ldap:///{STATIC}\""), by(CTS), anonymous()),
        rule(format!("groupdn!=\"ldap:///{STATIC}\""), by(OTHER), by(CTS)),
        rule(format!("groupdn!=\"ldap:///{DYNAMIC}\""), by(OTHER), by(CTS)),
        rule("userattr=\"manager#USERDN\"", by(CTS), by(OTHER)),
        rule("userattr!=\"manager#USERDN\"", by(OTHER), by(CTS)),
        rule("userattr=\"manager#USERDN\"", by(CTS), anonymous()),
        rule("userattr=\"owner#USERDN\"", None, by(CTS)),
    ]);
}

#[test]
fn whom_the_entry_names() {
    let not = |text: &str| rule(format!("userattr!=\"{text}\""), by(OTHER), by(CTS));
    let is = |text: &str| rule(format!("userattr=\"{text}\""), by(CTS), by(OTHER));
    let never = |text: &str| rule(format!("userattr=\"{text}\""), None, by(CTS));
    Table::new().check_all([
        is("owner#GROUPDN"),
        not("owner#groupdn"),
        rule("userattr=\"owner#GROUPDN\"", by(CTS), anonymous()),
        never("manager#GROUPDN"),
        is("ldap:///dc=cts,dc=example,dc=com?owner#GROUPDN"),
        never("ldap:///ou=tokens,dc=cts,dc=example,dc=com?owner#GROUPDN"),
        is("memberURL#LDAPURL"),
        not("memberURL#LDAPURL"),
        never("manager#LDAPURL"),
        is("description#RED"),
        not("description#red"),
        // One has it, the other does not.
        never("description#green"),
        rule("userattr=\"description#blue\"", None, by(OTHER)),
        rule("userattr=\"description#red\"", by(CTS), anonymous()),
        is("parent[0].manager#USERDN"),
        is("parent[3].seeAlso#USERDN"),
        not("parent[3].seeAlso#USERDN"),
        is("parent[0, 1, 2, 3].seeAlso#USERDN"),
        never("parent[0,1,2].seeAlso#USERDN"),
        never("parent[200].seeAlso#USERDN"),
        is("PARENT[3].owner#GROUPDN"),
        never("parent[4].owner#GROUPDN"),
    ]);
}

#[test]
fn a_new_entry_does_not_say_who_may_add_it() {
    let table = Table::new();
    let fixture = &table.fixture;
    let new = format!("cn=new,{TOKENS}");
    let entry = fixture.entry(&new, &[("cn", "new"), ("manager", OTHER)], &[]);
    for (rule, expected) in [
        ("manager#USERDN", [false, false]),
        ("parent[0].manager#USERDN", [false, false]),
        ("parent[1].seeAlso#USERDN", [true, false]),
        ("parent[0,1].seeAlso#USERDN", [true, false]),
        ("parent[1].owner#GROUPDN", [true, false]),
    ] {
        let entries = Arc::clone(&table.entries);
        let lookup: Lookup = Arc::new(move |key| Ok(entries.get(key).cloned()));
        let control = AccessControl::new(Arc::clone(&fixture.schema), Some(lookup));
        let text = format!("(version 3.0; acl \"x\"; allow (add, delete) userattr=\"{rule}\";)");
        control.set_entry(&fixture.key(SUFFIX), &[text], &fixture.schema).unwrap();
        let set = control.current();
        let key = fixture.key(&new);
        let may = |who: &str| set.may_add(&fixture.who(who), &entry, &key);
        assert_eq!([may(CTS), may(OTHER)], expected, "{rule}");
        assert!(
            !rule.contains("manager")
                || set.may_entry(&fixture.who(OTHER), Right::Delete, Some(&entry), &key)
        );
    }
}

#[test]
fn what_cannot_be_looked_up_allows_nothing_and_denies() {
    let table = Table::new();
    let fixture = &table.fixture;
    let (token, key) = (table.entries.get(&fixture.key(TOKEN)).unwrap(), fixture.key(TOKEN));
    let broken: Lookup = Arc::new(|_| Err(crate::backend::StoreError::Busy));
    for rule in ["owner#GROUPDN", "parent[1].seeAlso#USERDN", "description#red", "memberURL#LDAPURL"] {
        for lookup in [None, Some(Arc::clone(&broken))] {
            let grants = |text: &str| {
                let control = AccessControl::new(Arc::clone(&fixture.schema), lookup.clone());
                let text = format!("(targetattr=\"*\")(version 3.0; acl \"x\"; {text})");
                control.set_globals(&[text], &fixture.schema).unwrap();
                control.current().may(&fixture.who(CTS), Right::Read, token, &key, "coreTokenId")
            };
            assert!(!grants(&format!("allow (read) userattr=\"{rule}\";")), "{rule}");
            assert!(!grants(&format!("allow (read) userattr!=\"{rule}\";")), "{rule}");
            let all = "allow (read) userdn=\"ldap:///all\"";
            assert!(!grants(&format!("{all}; deny (read) userattr=\"{rule}\";")), "{rule}");
        }
    }
}

#[test]
fn how_it_asks() {
    use AuthMethod::{None as Nothing, Sasl, Simple, Ssl};
    Table::new().check_all([
        rule(r#"ip="10.1.2.3""#, from("10.1.2.3"), from("10.1.2.4")),
        rule(r#"ip="192.168.0.1,10.1.0.0/16""#, from("10.1.9.9"), from("10.2.0.1")),
        rule(r#"ip="10.1.2.*""#, from("10.1.2.9"), from("10.1.3.9")),
        rule(r#"ip="10.1.0.0+255.255.0.0""#, from("10.1.9.9"), from("11.1.9.9")),
        rule(r#"ip="2001:db8::/32""#, from("2001:db8::7"), from("2001:db9::7")),
        rule(r#"ip!="10.1.2.3""#, from("10.1.2.4"), from("10.1.2.3")),
        rule(r#"authmethod="none""#, method(Nothing), None),
        rule(r#"authmethod="simple""#, method(Simple), method(Sasl)),
        rule(r#"authmethod="ssl""#, method(Ssl), method(Simple)),
        rule(r#"authmethod="sasl""#, method(Ssl), method(Simple)),
        rule(r#"authmethod="sasl""#, method(Sasl), method(Simple)),
        rule(r#"authmethod="SASL EXTERNAL""#, method(Ssl), method(Sasl)),
        rule(r#"authmethod="sasl plain""#, method(Sasl), method(Ssl)),
        rule(r#"authmethod!="simple""#, method(Sasl), method(Simple)),
        rule(r#"ssf="128""#, under(128), under(256)),
        rule(r#"ssf!="128""#, under(256), under(128)),
        rule(r#"ssf<"128""#, under(0), under(128)),
        rule(r#"ssf<="128""#, under(128), under(256)),
        rule(r#"ssf>"128""#, under(256), under(128)),
        rule(r#"ssf>="128""#, under(128), under(0)),
    ]);
}

#[test]
fn when_it_asks() {
    let now = jiff::Timestamp::from_millisecond(NOW.try_into().unwrap()).unwrap();
    let now = now.to_zoned(jiff::tz::TimeZone::system());
    let at = |minutes: i64| (&now + jiff::SignedDuration::from_mins(minutes)).strftime("%H%M").to_string();
    let (before, same, after) = (at(-1), at(0), at(1));
    assert!(before < same && same < after, "the test's own time is not at midnight anywhere: {same}");
    let today = now.strftime("%a").to_string();
    let others: Vec<_> =
        ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].into_iter().filter(|day| *day != today).collect();
    let (hit, miss) = (|text: String| rule(text, by(CTS), None), |text: String| rule(text, None, by(CTS)));
    let time = |comparison: &str, time: &str| format!("timeofday{comparison}\"{time}\"");
    Table::new().check_all([
        hit(time("=", &same)),
        miss(time("=", &after)),
        hit(time("!=", &after)),
        miss(time("!=", &same)),
        hit(time("<", &after)),
        miss(time("<", &same)),
        hit(time("<=", &same)),
        miss(time("<=", &before)),
        hit(time(">", &before)),
        miss(time(">", &same)),
        hit(time(">=", &same)),
        miss(time(">=", &after)),
        hit(format!("dayofweek=\"{today}\"")),
        hit(format!("dayofweek=\"{}, {}\"", others[0], today.to_uppercase())),
        miss(format!("dayofweek=\"{}\"", others.join(","))),
        hit(format!("dayofweek!=\"{}\"", others.join(","))),
        miss(format!("dayofweek!=\"{today}\"")),
        hit(format!("{} and dayofweek=\"{today}\"", time(">=", &same))),
    ]);
    for wrong in ["timeofday=\"2400\"", "timeofday=\"1260\"", "timeofday=\"9\"", "dayofweek=\"Monday\""] {
        let text = format!("(targetattr=\"*\")(version 3.0; acl \"x\"; allow (read) {wrong};)");
        let fixture = Fixture::new();
        assert!(check_aci(&text, &NormalizedDn::root(), &fixture.schema).is_err(), "{wrong}");
    }
}

#[test]
fn rules_combined() {
    let cts = format!("userdn=\"ldap:///{CTS}\"");
    let here = r#"ip="10.1.2.3""#;
    let away = Case { address: "10.9.9.9", user: CTS, ..READ };
    let there = Some(away);
    Table::new().check_all([
        rule(format!("{cts} and {here}"), by(CTS), by(OTHER)),
        rule(format!("{cts} and {here}"), by(CTS), there),
        rule(format!("{cts} or {here}"), there, Some(Case { address: "10.9.9.9", ..READ })),
        rule(format!("{cts} or {here}"), by(OTHER), None),
        rule(format!("not {cts}"), by(OTHER), by(CTS)),
        rule(format!("not ({cts} or {here})"), Some(Case { address: "10.9.9.9", ..READ }), by(CTS)),
        rule(format!("{cts} and not {here}"), there, by(CTS)),
        rule(format!("({cts} or userdn=\"ldap:///{OTHER}\") and {here}"), by(OTHER), there),
        // Without parentheses `and` binds closer.
        rule(format!("{cts} or userdn=\"ldap:///{OTHER}\" and ip=\"10.9.9.9\""), by(CTS), by(OTHER)),
    ]);
    // Several permissions in one ACI stand for themselves.
    let table = Table::new();
    let both = format!(
        "(targetattr=\"*\")(version 3.0; acl \"both\"; allow (read) {cts}; deny (read) ip=\"10.9.9.9\";)"
    );
    assert!(table.grants(&by(CTS).unwrap(), &[&both]));
    assert!(!table.grants(&by(OTHER).unwrap(), &[&both]));
    assert!(!table.grants(&away, &[&both]));
}

#[test]
fn what_is_not_served_is_refused_with_a_reason() {
    let fixture = Fixture::new();
    for (text, reason) in [
        (r#"(targetattr="*")(version 3.0; acl "x"; allow (read) dns="*.example.com";)"#, "use `ip`"),
        (r#"(targetattr="*")(version 3.0; acl "x"; allow (read) roledn="ldap:///cn=x";)"#, "use `groupdn`"),
        (r#"(targetattr="*")(version 3.0; acl "x"; allow (read) userattr="cn#ROLEDN";)"#, "use #GROUPDN"),
        (
            r#"(targetattr="*")(version 3.0; acl "x"; allow (read) authmethod="sasl DIGEST-MD5";)"#,
            "EXTERNAL and PLAIN",
        ),
    ] {
        let error = check_aci(text, &NormalizedDn::root(), &fixture.schema).unwrap_err();
        assert!(error.reason.contains(reason), "{text}: {error}");
    }
}

#[test]
fn what_comes_near_is_told() {
    let table = Table::new();
    let fixture = &table.fixture;
    let entries = Arc::clone(&table.entries);
    let lookup: Lookup = Arc::new(move |key| Ok(entries.get(key).cloned()));
    let control = AccessControl::new(Arc::clone(&fixture.schema), Some(lookup));
    let acis = [
        format!("(targetattr=\"*\")(version 3.0; acl \"others\"; allow (read) userdn=\"ldap:///{OTHER}\";)"),
        format!("(targetattr=\"cn\")(version 3.0; acl \"names\"; allow (read) userdn=\"ldap:///{CTS}\";)"),
        format!(
            "(targetattr=\"*\")(version 3.0; acl \"searches\"; allow (search) userdn=\"ldap:///{CTS}\";)"
        ),
        format!("(version 3.0; acl \"entries\"; allow (read) userdn=\"ldap:///{CTS}\";)"),
        format!(
            "(targetattr=\"*\")(targetscope=\"base\")(version 3.0; acl \"base\"; allow (read) userdn=\"ldap:///{CTS}\";)"
        ),
    ];
    control.set_entry(&fixture.key(SUFFIX), &acis, &fixture.schema).unwrap();
    let key = fixture.key(TOKEN);
    let entry = table.entries.get(&key).unwrap();
    let asked = Asked::Attribute(Right::Read, "coreTokenId");
    let why = control.current().explain(&fixture.who(CTS), asked, Some(entry), &key);
    assert_eq!((why.granted, &why.reason), (false, &Reason::NotForRequester));
    for (name, reason) in [
        ("others", "does not meet its bind rule: userdn="),
        ("names", "not about attribute coreTokenId"),
        ("searches", "does not grant read"),
        ("entries", "names no attributes"),
        ("base", "targetscope"),
    ] {
        let told = |line: &String| line.contains(&format!("\"{name}\" of {SUFFIX}")) && line.contains(reason);
        assert!(why.lines.iter().any(told), "{name}: {:#?}", why.lines);
    }
}

#[test]
fn what_may_be_seen_below_is_known_beforehand() {
    let fixture = Fixture::new();
    let base = fixture.key(SUFFIX);
    let below = |aci: &str, who: &Requester| {
        let globals = default_globals(false);
        let globals: Vec<&str> = globals.iter().map(String::as_str).collect();
        let suffix: &[&str] = if aci.is_empty() { &[] } else { &[aci] };
        fixture.control(&globals, suffix).current().may_see_below(who, &base)
    };
    let (cts, other) = (fixture.who(CTS), fixture.who(OTHER));
    assert!(!below("", &other) && !below("", &fixture.nobody()), "the globals alone show nobody anything");
    let targets = r#"(targetfilter="(coreTokenType=SESSION)")(targetattr="*")"#;
    let aci = format!("{targets}(version 3.0; acl \"x\"; allow (read) userdn=\"ldap:///{CTS}\";)");
    assert!(below(&aci, &cts) && !below(&aci, &other));
    let aci = aci.replace("(read)", "(search)");
    assert!(!below(&aci, &cts));
    let aci = r#"(targetattr="*")(version 3.0; acl "x"; allow (read) userattr="manager#USERDN";)"#;
    assert!(below(aci, &other), "who knows");
}
