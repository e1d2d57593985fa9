//! Truth tables of `targattrfilters`: which values may be added and deleted, and which entries.

use super::super::fixture::{CTS, Fixture, OTHER, SUFFIX, TOKEN};
use super::super::*;
use super::truth::{Case, Row, Table, asking, reading, target};
use crate::protocol::message::ModifyOperation::{self, Add, Delete, Increment, Replace};

fn value(change: Change, name: &'static str, value: &'static str) -> Option<Case> {
    asking(Asked::Value(change, name, value.as_bytes()))
}

fn adding(text: &'static str) -> Option<Case> {
    value(Change::Add, "coreTokenType", text)
}

fn deleting(text: &'static str) -> Option<Case> {
    value(Change::Delete, "CORETOKENTYPE", text)
}

fn writing(filters: &str, more: &str, matching: Option<Case>, other: Option<Case>) -> Row {
    Row { rights: "write", ..target(&format!("(targattrfilters=\"{filters}\"){more}"), matching, other) }
}

#[test]
fn values_that_come_and_go() {
    let s = "coreTokenType:(coreTokenType=s*)";
    let both = format!("del={s} && cn:(cn=a),add=coreTokenType:(coreTokenType=t)");
    Table::new().check_all([
        writing(&format!("add={s}"), "", adding("session"), adding("token")),
        writing(&format!(" ADD = {s} "), "", adding("SESSION"), deleting("session")),
        writing(&format!("del={s}"), "", deleting("session"), deleting("token")),
        writing(&format!("del={s}"), "", deleting("session"), adding("session")),
        writing(&both, "", deleting("s"), deleting("t")),
        writing(&both, "", adding("t"), adding("s")),
        writing(&both, "", value(Change::Delete, "cn", "A"), value(Change::Delete, "cn", "b")),
        writing(&both, "", value(Change::Delete, "cn", "A"), value(Change::Add, "cn", "a")),
        writing(
            "add=coreTokenType:(&(coreTokenType=*o*)(!(|(coreTokenType=o)(coretokentype=\\28oo\\29))))",
            "",
            adding("ok"),
            adding("(OO)"),
        ),
        // Of other attributes, and of what is not spoken of, targetattr decides.
        writing(&format!("add={s}"), "(targetattr=\"cn\")", value(Change::Add, "cn", "x"), adding("token")),
        writing(
            &format!("add={s}"),
            "(targetattr=\"cn || coreTokenType\")",
            deleting("token"),
            adding("token"),
        ),
        writing(&format!("add={s}"), "", adding("s"), value(Change::Add, "cn", "s")),
        writing("add=manager:(manager=cn=x)", "", value(Change::Add, "manager", "CN=X"), adding("cn=x")),
        // An operational attribute.
        writing("add=aci:(aci=*)", "", value(Change::Add, "aci", "x"), value(Change::Add, "etag", "x")),
        // What is read is not a matter of values.
        Row { rights: "read", ..writing(&format!("add={s}"), "", None, reading("coreTokenType")) },
        Row {
            rights: "read",
            ..writing(
                &format!("add={s}"),
                "(targetattr=\"coreTokenType\")",
                reading("coreTokenType"),
                reading("cn"),
            )
        },
    ]);
}

#[test]
fn entries_that_come_and_go() {
    let entry = |right| asking(Asked::Entry(right));
    let row =
        |rights, filters: &str, matching, other| Row { rights, ..writing(filters, "", matching, other) };
    let (add, delete) = (entry(Right::Add), entry(Right::Delete));
    Table::new().check_all([
        row("add", "add=coreTokenType:(coreTokenType=session)", add, delete),
        row("add", "add=coreTokenType:(coreTokenType=x)", None, add),
        row("delete", "del=coreTokenType:(coreTokenType=session)", delete, add),
        row("delete", "del=coreTokenType:(coreTokenType=x)", None, delete),
        // Every value has to match, and every attribute.
        row("add", "add=description:(description=red)", None, add),
        row("add", "add=description:(|(description=red)(description=green))", add, None),
        row("add", "add=coreTokenType:(coreTokenType=*)&&description:(description=red)", None, add),
        // What the entry lacks, and what the list does not speak of, is not looked at.
        row("add", "add=sn:(sn=x)", add, None),
        row("delete", "add=coreTokenType:(coreTokenType=x)", delete, None),
        row("add,delete", "del=coreTokenType:(coreTokenType=x)", add, delete),
    ]);
    // Nobody knows what is in an entry that is not there.
    let fixture = Fixture::new();
    let filters = "(targattrfilters=\"add=cn:(cn=a)\")";
    let aci = |verb: &str| format!("{filters}(version 3.0; acl \"x\"; {verb} (add) userdn=\"ldap:///all\";)");
    let open = "(version 3.0; acl \"open\"; allow (add) userdn=\"ldap:///all\";)";
    let may = |acis: &[&str]| {
        let control = fixture.control(&[], acis);
        let (who, key) = (fixture.who(CTS), fixture.key(&format!("cn=a,{SUFFIX}")));
        control.current().may_entry(&who, Right::Add, None, &key)
    };
    assert!(may(&[open]) && !may(&[&aci("allow")]) && !may(&[open, &aci("deny")]));
}

#[test]
fn ones_own_dn_as_a_value() {
    let (own, others) = (value(Change::Add, "manager", OTHER), value(Change::Add, "manager", CTS));
    let row = |clause: &str| Row { rights: "selfwrite", ..target(clause, own, others) };
    Table::new().check_all([
        row("(targetattr=\"manager\")"),
        row("(targetattr=\"*\")"),
        Row { rights: "selfwrite", ..target("(targetattr=\"manager\")", None, adding(OTHER)) },
        row(&format!("(targattrfilters=\"add=manager:(manager={OTHER})\")")),
        Row { rights: "selfwrite", ..target("(targattrfilters=\"add=manager:(manager=cn=x)\")", None, own) },
        Row { rights: "write", ..target("(targetattr=\"manager\")", others, adding("x")) },
    ]);
}

/// Whether CTS may do this to a token under these ACIs.
fn may(acis: &[String], operation: ModifyOperation, name: &str, values: &[&str]) -> bool {
    let fixture = Fixture::new();
    let control = fixture.control(&[], &acis.iter().map(String::as_str).collect::<Vec<_>>());
    let held =
        [("coreTokenInteger01", "7"), ("description", "red"), ("description", "green"), ("manager", CTS)];
    let entry = fixture.entry(TOKEN, &held, &[]);
    let values = values.iter().map(|value| value.as_bytes());
    control.current().may_modify(&fixture.who(CTS), &entry, &fixture.key(TOKEN), operation, name, values)
}

fn aci(filters: &str, more: &str, verb: &str) -> String {
    format!(
        "(targattrfilters=\"{filters}\"){more}(version 3.0; acl \"x\"; {verb} (write) userdn=\"ldap:///all\";)"
    )
}

#[test]
fn what_goes_whole_counts_value_by_value() {
    let comes = aci("add=description:(description=b*)", "", "allow");
    let red = aci("add=description:(description=b*), del=description:(description=red)", "", "allow");
    let all = aci("add=description:(description=b*), del=description:(description=*)", "", "allow");
    let table = [
        (&comes, Add, &["blue", "black"][..], true),
        (&comes, Add, &["blue", "pink"], false),
        (&comes, Replace, &["blue"], false),
        (&red, Delete, &["red"], true),
        (&red, Delete, &["red", "green"], false),
        (&red, Delete, &[], false),
        (&red, Replace, &["blue"], false),
        (&all, Delete, &[], true),
        (&all, Replace, &["blue"], true),
        (&all, Replace, &["pink"], false),
        (&all, Replace, &[], true),
    ];
    for (text, operation, values, expected) in table {
        let is = may(std::slice::from_ref(text), operation, "Description", values);
        assert_eq!(is, expected, "{text} {operation:?} {values:?}");
        // The same denied, to who may write everything.
        let open =
            "(targetattr=\"*\")(version 3.0; acl \"open\"; allow (write) userdn=\"ldap:///all\";)".to_owned();
        let deny = text.replace("allow", "deny");
        let is_denied = !may(&[open, deny], operation, "description", values);
        // One value that is denied is enough.
        assert!(is_denied >= expected, "{text} {operation:?} {values:?}");
    }
    // Sums are what comes.
    let low = aci(
        "add=coreTokenInteger01:(coreTokenInteger01<=9),del=coreTokenInteger01:(coreTokenInteger01=*)",
        "",
        "allow",
    );
    for (by, expected) in [("2", true), ("3", false), ("-8", true)] {
        assert_eq!(may(std::slice::from_ref(&low), Increment, "coreTokenInteger01", &[by]), expected, "{by}");
    }
    // Nothing is there: it hangs on no value, so the ACI allows nothing.
    assert!(!may(&[all], Delete, "sn", &[]) && !may(&[aci("del=sn:(sn=*)", "", "allow")], Delete, "sn", &[]));
    assert!(may(&[aci("del=sn:(sn=*)", "(targetattr=\"*\")", "allow")], Replace, "cn", &["x"]));
}

#[test]
fn who_must_not_write_must_not_write_itself() {
    let aci = |verb: &str, rights: &str| {
        format!(
            "(targetattr=\"manager\")(version 3.0; acl \"{verb}\"; {verb} ({rights}) userdn=\"ldap:///all\";)"
        )
    };
    let own = |acis: &[String], operation| may(acis, operation, "manager", &[CTS]);
    assert!(own(&[aci("allow", "selfwrite")], Add) && own(&[aci("allow", "selfwrite")], Delete));
    assert!(!own(&[aci("allow", "selfwrite")], Replace));
    assert!(!own(&[aci("allow", "selfwrite"), aci("deny", "write")], Add));
    for operation in [Add, Delete, Replace] {
        assert!(own(&[aci("allow", "write")], operation));
        assert!(!own(&[aci("allow", "write"), aci("deny", "selfwrite")], operation), "{operation:?}");
    }
    let acis = [aci("allow", "write"), aci("deny", "selfwrite")];
    assert!(may(&acis, Add, "manager", &[OTHER]) && !may(&acis, Add, "manager", &[OTHER, CTS]));
}

#[test]
fn that_it_hangs_on_the_value_is_told() {
    let fixture = Fixture::new();
    let some = aci("add=description:(description=b*)", "", "allow");
    let open = "(targetattr=\"*\")(version 3.0; acl \"open\"; allow (write) userdn=\"ldap:///all\";)";
    let (token, key) = (fixture.entry(TOKEN, &[("description", "red")], &[]), fixture.key(TOKEN));
    let why = |acis: &[&str], asked: Asked<'_>| {
        let control = fixture.control(&[], acis);
        let why = control.current().explain(&fixture.who(CTS), asked, Some(&token), &key);
        (why.granted, why.reason, why.lines.join("\n"))
    };
    let write = Asked::Attribute(Right::Write, "description");
    let (granted, reason, lines) = why(&[&some], write);
    assert_eq!((granted, reason), (false, Reason::ByValue("x".into())));
    assert!(lines.contains("allows write of attribute description, of some values: add="), "{lines}");
    let (granted, reason, lines) = why(&[open, &some.replace("allow", "deny")], write);
    assert_eq!((granted, reason), (false, Reason::ByValue("x".into())));
    assert!(lines.contains("\"x\" denies") && lines.contains("\"open\" allows"), "{lines}");
    assert_eq!(why(&[&some.replace("allow", "deny")], write).1, Reason::NothingAbout);
    let (granted, reason, _) = why(&[open, &some], write);
    assert_eq!((granted, reason), (true, Reason::Allowed("open".into())));
    let value = |text: &'static str| Asked::Value(Change::Add, "description", text.as_bytes());
    let (granted, reason, lines) = why(&[&some], value("blue"));
    assert_eq!((granted, reason), (true, Reason::Allowed("x".into())));
    assert!(lines.contains("allows adding the value \"blue\" of attribute description"), "{lines}");
    let (granted, _, lines) = why(&[&some], value("pink"));
    assert!(!granted && lines.contains("targattrfilters or targetattr do not take"), "{lines}");
}
