//! `cn=schema` as `features` §3 wants it changed: by ldapmodify, in order, all or nothing.

use crate::support::{Instance, NOBODY, Query, SUFFIX, Setup, cts};

const CN: &str = "cn=schema";

fn kind(number: u32, name: &str, more: &str) -> String {
    format!("( 1.3.6.1.4.1.99998.1.{number} NAME '{name}' {more} SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )")
}

fn class(number: u32, name: &str, more: &str) -> String {
    format!("( 1.3.6.1.4.1.99998.2.{number} NAME '{name}' SUP top {more} )")
}

#[test]
fn schema_is_read_by_name_and_by_plus() {
    let mut link = cts().instance.link();
    let lists = ["attributeTypes", "objectClasses", "matchingRules", "ldapSyntaxes"];
    let found = link.search(&Query::base(CN).select(&lists), &[]);
    let entry = &found.entries[0];
    for list in lists {
        assert!(entry.values(list).len() > 10, "{list}");
    }
    for name in ["'coreTokenId'", "'coreTokenMultiString03'", "'inetOrgPerson'", "'uid'", "'etag'"] {
        let known = [entry.texts("attributeTypes"), entry.texts("objectClasses")].concat();
        assert!(known.iter().any(|text| text.contains(name)), "{name}");
    }
    assert!(!entry.texts("attributeTypes").iter().any(|text| text.contains("X-SCHEMA-FILE")));
    let user = link.read(CN, &["*"]).entries.remove(0);
    assert!(!user.names().contains(&"attributeTypes"), "{:?}", user.names());
    let mut classes = user.texts("objectClass");
    classes.sort_unstable();
    assert_eq!(classes, ["ldapSubentry", "subschema", "top"]);
    let plus = link.read(CN, &["+"]).entries.remove(0);
    assert!(plus.names().contains(&"attributeTypes") && plus.names().contains(&"objectClasses"));
    let found =
        link.search(&Query::new(CN, ctsd::protocol::message::Scope::Base, "(objectClass=subschema)"), &[]);
    assert_eq!(found.entries.len(), 1);
}

/// Each row of the table that refuses or accepts a change.
#[test]
fn schema_is_changed_as_the_table_says() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    let mut root = instance.root();
    let mut change = |changes: &[(char, &str, &[&str])]| root.modify(CN, changes, &[]);
    let one = kind(1, "schemaOne", "");
    let with_one = class(1, "schemaClass", "STRUCTURAL MUST schemaOne MAY ( cn $ sn )");

    // Types first, the class after them, in one request; lower-case names of the lists.
    let added = change(&[('+', "attributetypes", &[&one]), ('+', "objectclasses", &[&with_one])]);
    assert_eq!(added.code, 0, "{added:?}");
    // What a class names has to be there; nothing is kept of a request that is refused.
    let two = kind(2, "schemaTwo", "");
    let refused =
        change(&[('+', "attributeTypes", &[&two]), ('+', "objectClasses", &[&class(3, "x", "MUST noSuch")])]);
    assert!(matches!(refused.code, 19 | 53) && refused.diagnostic.contains("noSuch"), "{refused:?}");
    let refused = change(&[('-', "attributeTypes", &[&two])]);
    assert_eq!(refused.code, 53, "nothing was kept of the refused requests: {refused:?}");

    // Of the same OID: replaced.
    let described = kind(1, "schemaOne", "DESC 'now with a description'");
    assert_eq!(change(&[('+', "attributeTypes", &[&described])]).code, 0);
    assert_eq!(change(&[('+', "attributeTypes", &[&described])]).code, 0);
    // The name of another OID.
    assert!(matches!(change(&[('+', "attributeTypes", &[&kind(9, "schemaOne", "")])]).code, 19 | 53));
    // What is no definition, what has no superior, what is its own.
    for text in [
        "nonsense",
        "( )",
        "( 1.2.3",
        "( 1.2.3 NAME 'x' SYNTAX )",
        "( x.y NAME 'x' )",
        "( 1.2.3 NAME 'x' WITHER )",
    ] {
        let refused = change(&[('+', "attributeTypes", &[text])]);
        assert_eq!(refused.code, 21, "{text}: {refused:?}");
        assert!(!refused.diagnostic.is_empty());
    }
    assert!(matches!(change(&[('+', "attributeTypes", &[&kind(4, "y", "SUP noSuchType")])]).code, 19 | 53));
    assert!(matches!(change(&[('+', "attributeTypes", &[&kind(4, "y", "SUP y")])]).code, 19 | 53));

    // Delete: by OID alone; not all at once; not what others need, unless it comes back.
    let by_oid = "( 1.3.6.1.4.1.99998.1.1 )";
    assert_eq!(change(&[('-', "attributeTypes", &[by_oid])]).code, 53, "schemaClass needs it");
    assert_eq!(change(&[('-', "attributeTypes", &[by_oid]), ('+', "attributeTypes", &[&described])]).code, 0);
    assert_eq!(change(&[('-', "attributeTypes", &[])]).code, 53);
    assert_eq!(change(&[('=', "attributeTypes", &[&one])]).code, 53);
    assert_eq!(change(&[('-', "attributeTypes", &["( 1.3.6.1.4.1.99998.1.77 )"])]).code, 53);
    assert_eq!(change(&[('+', "cn", &["x"])]).code, 53, "no other attribute of the entry");
    assert_eq!(
        change(&[('-', "objectClasses", &["( 1.3.6.1.4.1.99998.2.1 )"]), ('-', "attributeTypes", &[by_oid])])
            .code,
        0
    );
    assert_eq!(root.delete(CN, &[]).code, 53);
    let schema = root.read(CN, &["attributeTypes"]).entries.remove(0);
    assert!(!schema.texts("attributeTypes").iter().any(|text| text.contains("schemaOne")));
}

/// The privilege and the grant, both.
#[test]
fn schema_changes_need_privilege_and_grant() {
    let definition = kind(50, "notAllowed", "");
    let change: &[(char, &str, &[&str])] = &[('+', "attributeTypes", &[&definition])];
    let refused = cts().instance.bound(NOBODY).modify(CN, change, &[]);
    assert_eq!(refused.code, 50, "{refused:?}");
    let refused = cts().openam().modify(CN, change, &[]);
    assert_eq!(refused.code, 50, "update-schema without a grant: {refused:?}");
    assert_eq!(cts().instance.link().modify(CN, change, &[]).code, 50);
    assert!(cts().instance.link().read(SUFFIX, &["1.1"]).entries.is_empty());
}

/// A definition is at work as soon as its request is answered.
#[test]
fn new_types_are_usable_at_once() {
    let mut root = cts().root();
    let base = cts().container("schema-use");
    let types = [
        kind(60, "useText", ""),
        "( 1.3.6.1.4.1.99998.1.61 NAME ( 'useTime' 'useTimeToo' ) SYNTAX '1.3.6.1.4.1.1466.115.121.1.24' SINGLE-VALUE )".into(),
        "( 1.3.6.1.4.1.99998.1.62 NAME 'useExact' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{64} )".into(),
    ];
    let types: Vec<_> = types.iter().map(String::as_str).collect();
    let class = class(60, "useClass", "AUXILIARY MAY ( useText $ useTimeToo $ useExact )");
    assert_eq!(
        root.modify(CN, &[('+', "attributeTypes", &types), ('+', "objectClasses", &[&class])], &[]).code,
        0
    );
    let change: &[(char, &str, &[&str])] = &[
        ('+', "objectClass", &["useClass"]),
        ('=', "useText", &["Some Text"]),
        ('=', "useTimeToo", &["20260101000000+0300"]),
        ('=', "useExact", &["Exact"]),
    ];
    let answer = root.modify(&base, change, &[]);
    assert_eq!(answer.code, 0, "{answer:?}");
    for (filter, found) in [
        ("(useText=some text)", 1),
        ("(useTime=20251231210000Z)", 1),
        ("(useTimeToo<=20251231205959Z)", 0),
        ("(useExact=exact)", 0),
        ("(1.3.6.1.4.1.99998.1.62=Exact)", 1),
    ] {
        assert_eq!(root.search(&Query::subtree(&base, filter), &[]).entries.len(), found, "{filter}");
    }
    let read = root.read(&base, &["USETEXT", "useTimeToo"]).entries.remove(0);
    assert_eq!(read.names(), ["useText", "useTime"], "spelled as the schema spells them");
    assert_eq!(root.modify(&base, &[('=', "useTime", &["never"])], &[]).code, 21);
}
