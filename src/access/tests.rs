//! Truth tables of access control as a whole.

mod globals;
mod truth;
mod values;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::fixture::{CTS, Fixture, OTHER, SUFFIX};
use super::*;
use crate::backend::{Committed, StoreError};
use crate::protocol::message::ModifyOperation;
use crate::schema::NormalizedDn;

const GUIDE: [&str; 5] = [
    r#"(targetattr="*")(version 3.0;acl "Allow entry search"; allow (search, read) (userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com");)"#,
    r#"(targetattr="*")(version 3.0;acl "Modify entries"; allow (write)(userdn= "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com");)"#,
    r#"(targetcontrol="2.16.840.1.113730.3.4.3")(version 3.0;acl "Allow persistentsearch"; allow (search, read)(userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example, dc=com");)"#,
    r#"(version 3.0;acl "Add config entry"; allow (add)(userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com");)"#,
    r#"(version 3.0;acl "Delete entries"; allow (delete)(userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com");)"#,
];

const PSEARCH: &str = "2.16.840.1.113730.3.4.3";
const ASSERTION: &str = "1.3.6.1.1.12";
const PAGED: &str = "1.2.840.113556.1.4.319";
const TRANSACTION: &str = "1.3.6.1.4.1.36733.2.1.5.1";
const SUBTREE_DELETE: &str = "1.2.840.113556.1.4.805";

fn guide(fixture: &Fixture) -> AccessControl {
    let globals = default_globals(false);
    fixture.control(&globals.iter().map(String::as_str).collect::<Vec<_>>(), &GUIDE)
}

#[test]
fn the_guides_user_can_do_what_openam_asks_and_no_more() {
    let fixture = Fixture::new();
    let own = cts_account_acis(CTS);
    let globals = default_globals(false);
    let globals: Vec<_> = globals.iter().map(String::as_str).collect();
    let quickstart = fixture.control(&globals, &own.iter().map(String::as_str).collect::<Vec<_>>());
    for control in [guide(&fixture), quickstart] {
        let set = control.current();
        let who = fixture.who(CTS);
        let (token, key) = fixture.token();
        // Twice: worked out, then remembered.
        for _ in 0..2 {
            let readable = set.readable(&who, &token, &key);
            assert!(readable.everything_user() && readable.is_visible());
            for name in
                ["coreTokenId", "coretokenuserid", "objectClass", "etag", "createTimestamp", "entryUUID"]
            {
                assert!(readable.attribute(name), "{name}");
            }
            for name in ["aci", "ds-privilege-name"] {
                assert!(!readable.attribute(name), "{name}");
                assert!(!set.may(&who, Right::Write, &token, &key, name), "{name}");
            }
            assert!(set.may(&who, Right::Write, &token, &key, "coreTokenUserId"));
            assert!(!set.may(&who, Right::Write, &token, &key, "etag"));
            for right in [Right::Add, Right::Delete] {
                assert!(set.may_entry(&who, right, Some(&token), &key));
                assert!(set.may_entry(&who, right, None, &key));
                assert!(!set.may_entry(&who, right, None, &fixture.key("dc=example,dc=com")));
            }
            for right in [Right::Proxy, Right::Import, Right::Export] {
                assert!(!set.may_entry(&who, right, Some(&token), &key));
            }
            for filter in [
                "(&(objectClass=frCoreToken)(coreTokenUserId=demo))",
                "(&(etag=x)(coreTokenId=a))",
                "(&)",
                "(x=y)",
            ] {
                assert!(set.searchable(&who, &token, &key, &fixture.attributes(filter)), "{filter}");
            }
            assert!(!set.searchable(&who, &token, &key, &fixture.attributes("(aci=*)")));
        }
        for oid in [PSEARCH, ASSERTION, PAGED, TRANSACTION, "1.3.6.1.1.13.1", "1.3.6.1.1.13.2"] {
            assert!(set.may_control(&who, oid, &key), "{oid}");
            assert!(set.may_control(&who, oid, &fixture.key(SUFFIX)), "{oid}");
        }
        assert!(!set.may_control(&who, SUBTREE_DELETE, &key));
        assert!(!set.may_control(&who, PSEARCH, &fixture.key("dc=com")));
        assert!(set.may_extended(&who, "1.3.6.1.4.1.4203.1.11.3"));
        assert!(!set.may_extended(&who, "1.2.3"));
        let root = fixture.entry("", &[("objectClass", "top")], &[("supportedControl", PSEARCH)]);
        let at = NormalizedDn::root();
        let readable = set.readable(&who, &root, &at);
        assert!(readable.is_visible() && readable.attribute("supportedControl"));
        assert!(!readable.everything_user());
        let schema = fixture.entry("cn=schema", &[("objectClass", "subschema"), ("cn", "schema")], &[]);
        for who in [&who, &fixture.nobody()] {
            assert!(set.searchable(who, &root, &at, &fixture.attributes("(objectClass=*)")));
            let key = fixture.key("cn=schema");
            assert!(set.searchable(who, &schema, &key, &fixture.attributes("(objectClass=subschema)")));
            assert!(set.may(who, Right::Read, &schema, &key, "attributeTypes"));
            assert!(!set.may(who, Right::Write, &schema, &key, "attributeTypes"));
        }
    }
}

#[test]
fn the_guides_global_aci_lets_its_user_write_the_schema() {
    let fixture = Fixture::new();
    let text = r#"(target = "ldap:///cn=schema")(targetattr = "attributeTypes || objectClasses")(version 3.0; acl "Modify schema"; allow (write) userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com";)"#;
    let set = fixture.control(&[text], &[]).current();
    let key = fixture.key("cn=schema");
    let schema = fixture.entry("cn=schema", &[("objectClass", "subschema")], &[]);
    for (dn, name, expected) in [
        (CTS, "attributeTypes", true),
        (CTS, "objectclasses", true),
        (CTS, "ldapSyntaxes", false),
        (OTHER, "attributeTypes", false),
    ] {
        assert_eq!(set.may(&fixture.who(dn), Right::Write, &schema, &key, name), expected, "{dn} {name}");
    }
    let (token, key) = fixture.token();
    assert!(!set.may(&fixture.who(CTS), Right::Write, &token, &key, "attributeTypes"));
}

#[test]
fn tokens_and_their_names_are_hidden_from_anonymous_and_unrelated_users() {
    let fixture = Fixture::new();
    let control = guide(&fixture);
    let set = control.current();
    let (token, key) = fixture.token();
    let suffix = fixture.entry(SUFFIX, &[("objectClass", "domain"), ("dc", "cts")], &[]);
    for who in [fixture.nobody(), fixture.who(OTHER), fixture.who("cn=x,dc=org")] {
        for (entry, key) in [(&token, key.clone()), (&suffix, fixture.key(SUFFIX))] {
            let readable = set.readable(&who, entry, &key);
            assert!(!readable.is_visible() && !readable.everything_user() && !set.visible(&who, entry, &key));
            let names =
                ["etag", "entryUUID", "createTimestamp", "entryDN", "objectClass", "coreTokenId", "dc", "cn"];
            for name in names {
                assert!(!readable.attribute(name), "{name}");
                for right in [Right::Read, Right::Search, Right::Compare, Right::Write] {
                    assert!(!set.may(&who, right, entry, &key, name), "{name} {right:?}");
                }
            }
            for filter in
                ["(&)", "(|)", "(objectClass=*)", "(etag=*)", "(entryUUID=*)", "(!(coreTokenId=x))", "(x=y)"]
            {
                assert!(!set.searchable(&who, entry, &key, &fixture.attributes(filter)), "{filter}");
            }
            for right in Right::EACH {
                assert!(!set.may_entry(&who, right, Some(entry), &key), "{right:?}");
            }
        }
        assert!(!set.may_control(&who, PSEARCH, &key));
        assert!(set.may_control(&who, TRANSACTION, &key));
        assert_eq!(set.may_control(&who, ASSERTION, &key), !who.is_anonymous());
    }
    // Whoever bypasses access control sees all.
    let mut root = fixture.who("cn=Directory Manager");
    root.privileges = Privileges::root_defaults();
    assert!(set.readable(&root, &token, &key).everything_user());
    assert!(set.may_entry(&root, Right::Delete, None, &key) && set.may_control(&root, PSEARCH, &key));
    assert!(!set.may_proxy(&root, None, &key));
    // The compat set opens user attributes, and with them the rest.
    let globals = default_globals(true);
    let open = fixture.control(&globals.iter().map(String::as_str).collect::<Vec<_>>(), &[]).current();
    assert!(open.visible(&fixture.nobody(), &token, &key));
    assert!(open.may(&fixture.nobody(), Right::Read, &token, &key, "etag"));
    assert!(!open.may(&fixture.nobody(), Right::Read, &token, &key, "userPassword"));
}

/// Bind rules: text, then whether it is met by the CTS user (simple, 10.1.2.3, 128 bits), another user (SASL, ::1, clear),
/// and nobody (in clear, from 127.0.0.1).
#[test]
fn each_bind_rule_allows_and_denies() {
    let fixture = Fixture::new();
    let table = [
        (r#"userdn="ldap:///anyone""#, [true, true, true]),
        (r#"userdn="ldap:///all""#, [true, true, false]),
        (r#"userdn!="ldap:///all""#, [false, false, true]),
        (r#"userdn="ldap:///UID=openam_cts, ou=Admins,dc=cts,dc=example, dc=com""#, [true, false, false]),
        (r#"userdn!="ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com""#, [false, true, true]),
        (
            r#"userdn="ldap:///cn=x || ldap:///uid=other,ou=admins,dc=cts,dc=example,dc=com""#,
            [false, true, false],
        ),
        (r#"userdn="ldap:///uid=o*,ou=admins,dc=cts,dc=example,dc=com""#, [true, true, false]),
        (r#"userdn="ldap:///uid=openam*,**,dc=com""#, [true, false, false]),
        (r#"userdn="ldap:///**""#, [true, true, false]),
        (r#"userdn="ldap:///ou=admins,dc=cts,dc=example,dc=com??one""#, [true, true, false]),
        (r#"userdn="ldap:///dc=com??one""#, [false, false, false]),
        (r#"userdn="ldap:///dc=com??sub?(uid=other)""#, [false, true, false]),
        (r#"groupdn="ldap:///cn=static,dc=com""#, [true, false, false]),
        (r#"groupdn!="ldap:///cn=static,dc=com""#, [false, true, true]),
        (r#"groupdn="ldap:///cn=unique,dc=com || ldap:///cn=none,dc=com""#, [false, true, false]),
        (r#"groupdn="ldap:///cn=dynamic,dc=com""#, [false, true, false]),
        (r#"userattr="creatorsName#USERDN""#, [true, false, false]),
        (r#"userattr="seeAlso#userdn""#, [false, false, false]),
        (r#"ip="10.1.0.0/16""#, [true, false, false]),
        (r#"ip="127.0.0.*, ::1""#, [false, true, true]),
        (r#"authmethod="simple""#, [true, false, false]),
        (r#"authmethod="sasl""#, [false, true, false]),
        (r#"authmethod="ssl""#, [false, false, false]),
        (r#"authmethod="none""#, [true, true, true]),
        (r#"ssf>="128""#, [true, false, false]),
        (r#"ssf<"1""#, [false, true, true]),
        (r#"ssf="128""#, [true, false, false]),
        (r#"ssf!="0""#, [true, false, false]),
        (r#"ssf>"128""#, [false, false, false]),
        (r#"ssf<="128""#, [true, true, true]),
        (r#"userdn="ldap:///all" and ssf>="128""#, [true, false, false]),
        (r#"ip="::1" or ssf>="128""#, [true, true, false]),
        (r#"not userdn="ldap:///all""#, [false, false, true]),
        (r#"not (ip="::1" or authmethod="simple")"#, [false, false, true]),
    ];
    let groups: HashMap<_, _> = [
        (
            "cn=static,dc=com",
            vec![("member", "cn=y"), ("member", "uid=OPENAM_cts, ou=admins,dc=cts,dc=example,dc=com")],
        ),
        ("cn=unique,dc=com", vec![("uniqueMember", OTHER)]),
        ("cn=dynamic,dc=com", vec![("memberURL", "ldap:///dc=com??sub?(uid=other)")]),
        (OTHER, vec![("uid", "other")]),
        (CTS, vec![("uid", "openam_cts")]),
    ]
    .map(|(dn, attributes)| (fixture.key(dn), Arc::new(fixture.entry(dn, &attributes, &[]))))
    .into();
    let lookup: Lookup = Arc::new(move |key| Ok(groups.get(key).cloned()));
    let who = [
        fixture.who_by(CTS, AuthMethod::Simple, "10.1.2.3", 128),
        fixture.who_by(OTHER, AuthMethod::Sasl, "::1", 0),
        fixture.nobody(),
    ];
    let (token, key) = fixture.token();
    for (rule, expected) in table {
        let asks = |permissions: &str| {
            let control = AccessControl::new(Arc::clone(&fixture.schema), Some(Arc::clone(&lookup)));
            let text = format!("(targetattr=\"*\")(version 3.0; acl \"x\"; {permissions})");
            control.set_entry(&fixture.key(SUFFIX), &[text], &fixture.schema).unwrap();
            let set = control.current();
            [0, 1, 2].map(|at: usize| {
                let first = set.may(&who[at], Right::Read, &token, &key, "coreTokenId");
                assert_eq!(set.may(&who[at], Right::Read, &token, &key, "coreTokenId"), first);
                assert!(!set.may(&who[at], Right::Delete, &token, &key, "coreTokenId"));
                first
            })
        };
        assert_eq!(asks(&format!("allow (read) {rule};")), expected, "{rule}");
        let anyone = "allow (read, write) userdn=\"ldap:///anyone\"";
        let refused = expected.map(|met: bool| !met);
        assert_eq!(asks(&format!("{anyone}; deny (read,write) {rule};")), refused, "deny {rule}");
    }
}

#[test]
fn a_group_that_cannot_be_looked_up_allows_nothing_and_denies() {
    let fixture = Fixture::new();
    let broken: Lookup = Arc::new(|_| Err(StoreError::Busy));
    let (token, key) = fixture.token();
    for (text, expected) in [
        (r#"allow (read) groupdn="ldap:///cn=g""#, false),
        (r#"allow (read) groupdn!="ldap:///cn=g""#, false),
        (r#"allow (read) userdn="ldap:///all"; deny (read) groupdn="ldap:///cn=g""#, false),
        (r#"allow (read) userdn="ldap:///all" or groupdn="ldap:///cn=g""#, true),
    ] {
        for lookup in [None, Some(Arc::clone(&broken))] {
            let control = AccessControl::new(Arc::clone(&fixture.schema), lookup);
            let text = format!("(targetattr=\"*\")(version 3.0; acl \"x\"; {text};)");
            control.set_globals(&[text], &fixture.schema).unwrap();
            let answer = control.current().may(&fixture.who(CTS), Right::Read, &token, &key, "coreTokenId");
            assert_eq!(answer, expected);
        }
    }
}

/// Target clauses: text, then whether coreTokenId of the token, coreTokenType of it, its etag beside a readable
/// attribute, dc of the suffix, and the entry as a whole (delete) are granted.
#[test]
fn each_target_clause() {
    let fixture = Fixture::new();
    let table = [
        (r#"(targetattr="*")"#, [true, true, false, true, true]),
        (r#"(targetattr="+ || coreTokenId")"#, [true, false, true, false, true]),
        (r#"(targetattr="*||+")"#, [true, true, true, true, true]),
        (r#"(targetattr="coreTokenId || dc")"#, [true, false, false, true, true]),
        (r#"(targetattr!="coreTokenId")"#, [false, true, false, true, true]),
        (r#"(targetattr!="etag")"#, [false, false, false, false, true]),
        ("", [false, false, false, false, true]),
        (
            r#"(target="ldap:///ou=tokens,dc=cts,dc=example,dc=com")(targetattr="*")"#,
            [true, true, false, false, true],
        ),
        (
            r#"(target!="ldap:///ou=tokens,dc=cts,dc=example,dc=com")(targetattr="*")"#,
            [false, false, false, true, false],
        ),
        (r#"(targetscope="base")(targetattr="*")"#, [false, false, false, true, false]),
        (r#"(targetscope="subordinate")(targetattr="*")"#, [true, true, false, false, true]),
        (r#"(targetscope="onelevel")(targetattr="*")"#, [false, false, false, false, false]),
        (r#"(target="ldap:///coreTokenId=*,**,dc=com")(targetattr="*")"#, [true, true, false, false, true]),
        (
            r#"(target="ldap:///ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com")(targetscope="onelevel")(targetattr="*")"#,
            [true, true, false, false, true],
        ),
        (r#"(targetfilter="(objectClass=frCoreToken)")(targetattr="*")"#, [true, true, false, false, true]),
        (
            r#"(targetfilter!="(objectClass=frCoreToken)")(targetattr="*")"#,
            [false, false, false, true, false],
        ),
        (r#"(targetcontrol="1.2.3")"#, [false; 5]),
        (r#"(extop="1.2.3")"#, [false; 5]),
    ];
    let (token, key) = fixture.token();
    let suffix_key = fixture.key(SUFFIX);
    let suffix = fixture.entry(SUFFIX, &[("objectClass", "domain"), ("dc", "cts")], &[]);
    let who = fixture.who(CTS);
    for (clauses, expected) in table {
        for (permissions, flips) in
            [(r#"allow (all) userdn="ldap:///all";"#, false), (r#"deny (all) userdn="ldap:///all";"#, true)]
        {
            let all =
                r#"(targetattr="* || +")(version 3.0; acl "all"; allow (all) userdn="ldap:///anyone";)"#;
            let text = format!("{clauses}(version 3.0; acl \"x\"; {permissions})");
            let globals: &[&str] = if flips { &[all] } else { &[] };
            let control = fixture.control(globals, &[&text]);
            let set = control.current();
            for _ in 0..2 {
                let found = [
                    set.may(&who, Right::Read, &token, &key, "coreTokenId"),
                    set.may(&who, Right::Compare, &token, &key, "CoreTokenType;x-a"),
                    set.may(&who, Right::Read, &token, &key, "etag"),
                    set.may(&who, Right::Read, &suffix, &suffix_key, "dc"),
                    set.may_entry(&who, Right::Delete, Some(&token), &key),
                ];
                if flips {
                    // A denial on all user attributes hides the entry, and so its etag.
                    let hidden = expected[0] && expected[1];
                    let etag = !(expected[2] || hidden);
                    let not = [!expected[0], !expected[1], etag, !expected[3], !expected[4]];
                    assert_eq!(found, not, "deny {text}");
                } else {
                    assert_eq!(found, expected, "{text}");
                }
            }
        }
    }
}

#[test]
fn own_entries_children_and_values() {
    let fixture = Fixture::new();
    let control = fixture.control(
        &[
            r#"(targetattr="description")(version 3.0; acl "own"; allow (write) userdn="ldap:///self";)"#,
            r#"(targetattr="cn")(version 3.0; acl "children"; allow (write) userdn="ldap:///parent";)"#,
            r#"(targetattr="member")(version 3.0; acl "join"; allow (selfwrite) userdn="ldap:///all";)"#,
        ],
        &[],
    );
    let set = control.current();
    let who = fixture.who(CTS);
    let may = |dn: &str, attribute: &str| {
        let entry = fixture.entry(dn, &[("objectClass", "person")], &[]);
        set.may(&who, Right::Write, &entry, &fixture.key(dn), attribute)
    };
    let child = format!("cn=child,{CTS}");
    let grandchild = format!("cn=grandchild,{child}");
    for (dn, own, below) in
        [(CTS, true, false), (&child, false, true), (&grandchild, false, false), (OTHER, false, false)]
    {
        assert_eq!((may(dn, "description"), may(dn, "cn")), (own, below), "{dn}");
    }
    let group = fixture.entry("cn=g,dc=com", &[("objectClass", "groupOfNames")], &[]);
    let key = fixture.key("cn=g,dc=com");
    let values = |who: &Requester, values: &[&str]| {
        let values = values.iter().map(|value| value.as_bytes());
        set.may_modify(who, &group, &key, ModifyOperation::Add, "member", values)
    };
    assert!(values(&who, &[CTS]) && values(&who, &["UID=openam_cts, ou=admins,dc=cts,dc=example,dc=com"]));
    assert!(!values(&who, &[CTS, OTHER]) && !values(&who, &[]) && !values(&who, &["?"]));
    assert!(!values(&fixture.nobody(), &[""]));
}

#[test]
fn deeper_holders_add_to_those_above_and_denials_win() {
    let fixture = Fixture::new();
    let all = r#"(targetattr="*")(version 3.0; acl "all"; allow (all) userdn="ldap:///all";)"#;
    let deny = r#"(targetattr="coreTokenId")(version 3.0; acl "no id"; deny (read) userdn="ldap:///all";)"#;
    let control = fixture.control(&[], &[all]);
    let container = fixture.key("ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com");
    control.set_entry(&container, &[deny.into()], &fixture.schema).unwrap();
    let set = control.current();
    let (token, key) = fixture.token();
    let who = fixture.who(OTHER);
    let readable = set.readable(&who, &token, &key);
    assert!(readable.is_visible() && !readable.everything_user());
    assert!(!readable.attribute("coreTokenId") && readable.attribute("coreTokenType"));
    assert!(!set.may(&who, Right::Read, &token, &key, "COREtokenID"));
    assert!(set.searchable(&who, &token, &key, &fixture.attributes("(coreTokenId=x)")));
    let why = set.explain(&who, Asked::Attribute(Right::Read, "coreTokenId"), Some(&token), &key);
    assert!(why.lines.iter().any(|line| line.contains("\"no id\" denies")), "{why:?}");
    assert_eq!((why.granted, why.reason), (false, Reason::Denied("no id".into())));
    // Old sets stay as they were; the new one forgets the denial.
    control.set_entry(&container, &[], &fixture.schema).unwrap();
    assert!(!set.may(&who, Right::Read, &token, &key, "coreTokenId"));
    assert!(control.current().may(&who, Right::Read, &token, &key, "coreTokenId"));
    assert!(control.set_entry(&container, &["(x)".into()], &fixture.schema).is_err());
    assert!(control.current().may(&who, Right::Read, &token, &key, "coreTokenId"));
}

#[test]
fn many_holders_are_found_as_few_are() {
    let fixture = Fixture::new();
    let control = fixture.control(&[], &[]);
    for number in 0..40 {
        let user = format!("uid=u{number},dc=com");
        let text =
            format!("(targetattr=\"*\")(version 3.0; acl \"x\"; allow (read) userdn=\"ldap:///{user}\";)");
        let holder = fixture.key(&format!("ou=o{number},{SUFFIX}"));
        control.set_entry(&holder, &[text], &fixture.schema).unwrap();
    }
    let set = control.current();
    for number in 0..40 {
        let who = fixture.who(&format!("uid=u{number},dc=com"));
        for other in [number, (number + 1) % 40] {
            let dn = format!("cn=x,ou=o{other},{SUFFIX}");
            let entry = fixture.entry(&dn, &[("objectClass", "person"), ("cn", "x")], &[]);
            assert_eq!(set.visible(&who, &entry, &fixture.key(&dn)), number == other);
        }
    }
}

#[test]
fn changes_of_the_store_are_followed() {
    let fixture = Fixture::new();
    let members = Arc::new(Mutex::new(vec![("member", OTHER)]));
    let lookup: Lookup = {
        let members = Arc::clone(&members);
        Arc::new(move |_| {
            let members = members.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(Some(Arc::new(Fixture::new().entry("cn=g,dc=com", &members, &[]))))
        })
    };
    let control = AccessControl::new(Arc::clone(&fixture.schema), Some(lookup));
    let text = r#"(targetattr="*")(version 3.0; acl "x"; allow (read) groupdn="ldap:///cn=g,dc=com";)"#;
    let change = |dn: &str, aci: Option<&str>, new: Option<&str>| Committed {
        before: None,
        after: aci.map(|text| {
            let aci = ("aci", text);
            Arc::new(fixture.entry(dn, &[], if text.is_empty() { &[] } else { std::slice::from_ref(&aci) }))
        }),
        key: fixture.key(dn),
        new_key: new.map(|dn| fixture.key(dn)),
        csn: [0; 12],
        sequence: 1,
    };
    let (token, key) = fixture.token();
    let moved =
        fixture.key("coreTokenId=AQIC5w,ou=famrecords,ou=openam-session,ou=new,dc=cts,dc=example,dc=com");
    let sees = |who: &str, key: &NormalizedDn| control.current().visible(&fixture.who(who), &token, key);

    control.applied(
        &[change("ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com", Some(text), None)],
        &fixture.schema,
    );
    assert!(sees(OTHER, &key) && !sees(CTS, &key));
    // The group's change is seen though profiles remember.
    *members.lock().unwrap() = vec![("member", CTS)];
    let before = control.current();
    control.applied(&[change("cn=unrelated,dc=com", Some(""), None)], &fixture.schema);
    assert!(Arc::ptr_eq(&before, &control.current()));
    control.applied(&[change("cn=g,dc=com", Some(""), None)], &fixture.schema);
    assert!(!sees(OTHER, &key) && sees(CTS, &key));
    // A move takes the holder below along; deletion ends it.
    let (old, new) = ("ou=tokens,dc=cts,dc=example,dc=com", "ou=new,dc=cts,dc=example,dc=com");
    control.applied(&[change(old, Some(""), Some(new))], &fixture.schema);
    assert!(!sees(CTS, &key) && sees(CTS, &moved));
    control
        .applied(&[change("ou=openam-session,ou=new,dc=cts,dc=example,dc=com", None, None)], &fixture.schema);
    assert!(!sees(CTS, &moved));
}

#[test]
fn aci_texts_are_checked_against_holder_and_schema() {
    let fixture = Fixture::new();
    let holder = fixture.key(SUFFIX);
    let check = |text: &str| check_aci(text, &holder, &fixture.schema);
    GUIDE.iter().for_each(|text| check(text).unwrap());
    for text in default_globals(true).iter().chain(&cts_account_acis("cn=a\\,b \\\"x*|?%,dc=com")) {
        check_aci(text, &NormalizedDn::root(), &fixture.schema).unwrap();
    }
    for (clause, rule, reason) in [
        (r#"(target="ldap:///dc=org")"#, r#"userdn="ldap:///all""#, "lie below"),
        (r#"(targetfilter="(x")"#, r#"userdn="ldap:///all""#, "not a filter"),
        (r#"(targetcontrol="psearch")"#, r#"userdn="ldap:///all""#, "OID"),
        ("", r#"userdn="all""#, "ldap:///"),
        ("", r#"userdn="ldap:///""#, "anyone"),
        ("", r#"userdn="ldap:///nobody""#, "not a DN"),
        ("", r#"userdn="ldap:///dc=com??near""#, "scope"),
        ("", r#"groupdn="ldap:///all""#, "not a DN"),
        ("", r#"userattr="manager""#, "attribute#USERDN"),
        ("", r#"userattr="manager#""#, "attribute#USERDN"),
        ("", r#"userattr="manager#a#b""#, "attribute#USERDN"),
        ("", r#"userattr="manager#roledn""#, "use #GROUPDN"),
        ("", r#"userattr="parent[0,1]manager#USERDN""#, "attribute#USERDN"),
        ("", r#"userattr="parent[0,x].manager#USERDN""#, "are numbers"),
        ("", r#"userattr="parent[].manager#USERDN""#, "are numbers"),
        ("", r#"userattr="parent[0,1,2,3,4,5,6,7,8,9,10].manager#USERDN""#, "up to 10"),
        ("", r#"userattr="parent[1].manager#LDAPURL""#, "#USERDN and #GROUPDN alone"),
        ("", r#"userattr="parent[1].description#red""#, "#USERDN and #GROUPDN alone"),
        ("", r#"userattr="parent[1].nonesuch#USERDN""#, "no attribute type"),
        ("", r#"userattr="ldap:///dc=com?owner#USERDN""#, "#GROUPDN alone"),
        ("", r#"userattr="ldap:///dc=com#GROUPDN""#, "one attribute"),
        ("", r#"userattr="ldap:///?owner#GROUPDN""#, "one attribute"),
        ("", r#"userattr="ldap:///com?owner#GROUPDN""#, "not a DN"),
        (r#"(targattrfilters!="add=cn:(cn=a)")"#, r#"userdn="ldap:///all""#, "only be given by `=`"),
        (r#"(targattrfilters="set=cn:(cn=a)")"#, r#"userdn="ldap:///all""#, "`add=` or `del=`"),
        (r#"(targattrfilters="add:cn:(cn=a)")"#, r#"userdn="ldap:///all""#, "expected `=`"),
        (r#"(targattrfilters="add=:(cn=a)")"#, r#"userdn="ldap:///all""#, "an attribute type of the schema"),
        (r#"(targattrfilters="add=nonesuch:(nonesuch=a)")"#, r#"userdn="ldap:///all""#, "an attribute type"),
        (r#"(targattrfilters="add=cn(cn=a)")"#, r#"userdn="ldap:///all""#, "`:` and a filter"),
        (r#"(targattrfilters="add=cn:cn=a")"#, r#"userdn="ldap:///all""#, "in parentheses"),
        (r#"(targattrfilters="add=cn:(&(cn=a)")"#, r#"userdn="ldap:///all""#, "in parentheses"),
        (r#"(targattrfilters="add=cn:((cn=a)")"#, r#"userdn="ldap:///all""#, "in parentheses"),
        (r#"(targattrfilters="add=cn:(cn)")"#, r#"userdn="ldap:///all""#, "not a filter"),
        (r#"(targattrfilters="add=cn:(sn=a)")"#, r#"userdn="ldap:///all""#, "about attribute cn alone"),
        (r#"(targattrfilters="add=cn:(:caseIgnoreMatch:=a)")"#, r#"userdn="ldap:///all""#, "cn alone"),
        (r#"(targattrfilters="add=cn:(cn=a) && cn:(cn=b)")"#, r#"userdn="ldap:///all""#, "twice"),
        (r#"(targattrfilters="add=cn:(cn=a), add=sn:(sn=b)")"#, r#"userdn="ldap:///all""#, "once"),
        (r#"(targattrfilters="add=cn:(cn=a) del=sn:(sn=b)")"#, r#"userdn="ldap:///all""#, "or the end"),
        (r#"(targattrfilters="add=cn:(cn=a),")"#, r#"userdn="ldap:///all""#, "`add=` or `del=`"),
        (r#"(targattrfilters="")"#, r#"userdn="ldap:///all""#, "`add=` or `del=`"),
        ("", r#"userattr="nonesuch#USERDN""#, "no attribute type"),
        ("", r#"authmethod="sasl GSSAPI""#, "EXTERNAL and PLAIN"),
        ("", r#"ssf>"strong""#, "number"),
        ("", r#"ip="here""#, "address"),
    ] {
        let text = format!("{clause}(version 3.0; acl \"x\"; allow (read) {rule};)");
        let error = check(&text).unwrap_err();
        assert!(error.reason.contains(reason), "{text}: {error}");
        assert!(error.offset > 0 && error.offset < text.len());
    }
}

#[test]
fn who_may_monitor_reads_cn_monitor_and_nothing_else() {
    let fixture = Fixture::new();
    let control = guide(&fixture);
    let set = control.current();
    let mut who = fixture.who(OTHER);
    let (monitor, entry) = (
        fixture.key("cn=Work Queue,cn=monitor"),
        fixture.entry("cn=Work Queue,cn=monitor", &[("cn", "Work Queue")], &[]),
    );
    let (token, token_key) = fixture.token();
    assert!(!set.visible(&who, &entry, &monitor));
    who.privileges = who.privileges.with(Privilege::MonitorRead);
    assert!(set.visible(&who, &entry, &monitor));
    assert!(set.searchable(&who, &entry, &monitor, &fixture.attributes("(cn=Work Queue)")));
    assert!(!set.visible(&who, &token, &token_key));
    assert!(!set.visible(&who, &entry, &fixture.key("cn=config")));
}
