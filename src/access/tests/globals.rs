//! The default global ACIs (features.md §5.4), grant by grant: who has it, who has not, and that a denial takes it away
//! where one of something else does not.

use super::super::fixture::{CTS, Fixture, OTHER};
use super::super::*;

const ALL: &str = "ldap:///anyone";

/// Whether it is granted under the default globals and these ACIs besides.
fn granted(dn: &str, asked: Asked<'_>, target: &str, more: &[String]) -> bool {
    let fixture = Fixture::new();
    let globals = default_globals(false);
    let globals: Vec<&str> = globals.iter().chain(more).map(String::as_str).collect();
    let set = fixture.control(&globals, &[]).current();
    let who = if dn.is_empty() { fixture.nobody() } else { fixture.who(dn) };
    let key = fixture.key(target);
    let entry = fixture.entry(target, &[("objectClass", "person"), ("cn", "x")], &[("etag", "1")]);
    match asked {
        Asked::Control(oid) => set.may_control(&who, oid, &key),
        Asked::Extended(oid) => set.may_extended(&who, oid),
        Asked::Attribute(right, name) => set.may(&who, right, &entry, &key, name),
        Asked::Entry(right) => set.may_entry(&who, right, Some(&entry), &key),
        Asked::Value(..) => false,
    }
}

fn aci(targets: &str, verb: &str, rights: &str) -> String {
    format!("{targets}(version 3.0; acl \"x\"; {verb} ({rights}) userdn=\"{ALL}\";)")
}

/// Each of these is granted to who is named, to nobody else, and to nobody when it is denied.
fn check(cases: &[(Asked<'_>, &str)], target: &str, to: [bool; 3], more: &[String]) {
    for (asked, clause) in cases {
        let denied = [more, &[aci(clause, "deny", "all")]].concat();
        let other = aci("(targetcontrol=\"1.2.3\")(extop=\"1.2.3\")(targetattr=\"seeAlso\")", "deny", "all");
        let other = [more, &[other]].concat();
        for (who, is_granted) in ["", OTHER, CTS].into_iter().zip(to) {
            assert_eq!(granted(who, *asked, target, more), is_granted, "{asked:?} of {target} to {who}");
            assert_eq!(granted(who, *asked, target, &other), is_granted, "{asked:?}, something else denied");
            assert!(!granted(who, *asked, target, &denied), "{asked:?} denied: {who}");
        }
    }
}

#[test]
fn operations_and_controls() {
    for oid in [
        "1.3.6.1.4.1.26027.1.6.1",
        "1.3.6.1.4.1.26027.1.6.3",
        "1.3.6.1.4.1.4203.1.11.1",
        "1.3.6.1.4.1.1466.20037",
        "1.3.6.1.4.1.4203.1.11.3",
    ] {
        check(&[(Asked::Extended(oid), &format!("(extop=\"{oid}\")"))], CTS, [true; 3], &[]);
    }
    let anyone = [
        "2.16.840.1.113730.3.4.2",
        "2.16.840.1.113730.3.4.17",
        "2.16.840.1.113730.3.4.19",
        "2.16.840.1.113730.3.4.16",
        "1.3.6.1.4.1.4203.1.10.2",
        "1.3.6.1.4.1.42.2.27.8.5.1",
        "1.2.840.113556.1.4.1413",
        "1.3.6.1.4.1.36733.2.1.5.1",
    ];
    let authenticated = [
        "1.3.6.1.1.12",
        "1.3.6.1.1.13.1",
        "1.3.6.1.1.13.2",
        "1.2.840.113556.1.4.319",
        "1.2.826.0.1.3344810.2.3",
        "2.16.840.1.113730.3.4.18",
        "2.16.840.1.113730.3.4.9",
        "1.2.840.113556.1.4.473",
        "1.3.6.1.4.1.42.2.27.9.5.9",
    ];
    // Persistent search, subtree delete, effective rights.
    let nobody = ["2.16.840.1.113730.3.4.3", "1.2.840.113556.1.4.805", "1.3.6.1.4.1.42.2.27.9.5.2"];
    for (oids, to) in [(&anyone[..], [true; 3]), (&authenticated, [false, true, true]), (&nobody, [false; 3])]
    {
        for oid in oids {
            check(&[(Asked::Control(oid), &format!("(targetcontrol=\"{oid}\")"))], CTS, to, &[]);
        }
    }
    assert!(!granted(CTS, Asked::Extended("1.2.3.4"), CTS, &[]));
}

#[test]
fn what_everybody_may_look_at() {
    let read = |name| Asked::Attribute(Right::Read, name);
    let all = "(targetattr=\"* || +\")";
    let root = ["supportedControl", "namingContexts", "vendorName", "supportedSASLMechanisms"];
    let schema = ["attributeTypes", "objectClasses", "ldapSyntaxes", "matchingRules"];
    for (target, names) in [("", root), ("cn=schema", schema)] {
        for name in names {
            check(&[(read(name), all)], target, [true; 3], &[]);
            // Nowhere else.
            check(&[(read(name), all)], "cn=x,dc=cts,dc=example,dc=com", [false; 3], &[]);
        }
    }
    // Operational attributes, of entries that one sees.
    let seen = aci("(targetattr=\"cn\")", "allow", "read");
    for name in [
        "createTimestamp",
        "creatorsName",
        "modifiersName",
        "modifyTimestamp",
        "entryDN",
        "entryUUID",
        "subschemaSubentry",
        "etag",
        "governingStructureRule",
        "structuralObjectClass",
        "hasSubordinates",
        "numSubordinates",
        "isMemberOf",
    ] {
        let clause = format!("(targetattr=\"{name}\")");
        for right in [Right::Read, Right::Search, Right::Compare] {
            let case = [(Asked::Attribute(right, name), clause.as_str())];
            check(&case, OTHER, [true; 3], std::slice::from_ref(&seen));
            check(&case, OTHER, [false; 3], &[]);
        }
    }
    // No user attribute, and no other operational one.
    for name in ["sn", "mail", "aci", "ds-privilege-name", "coreTokenId"] {
        check(&[(read(name), all)], OTHER, [false; 3], std::slice::from_ref(&seen));
    }
}

#[test]
fn what_is_ones_own() {
    let seen = aci("(targetattr=\"cn\")", "allow", "read");
    for name in ["displayName", "description", "mobile", "telephoneNumber", "userPassword"] {
        let clause = format!("(targetattr=\"{name}\")");
        let write = [(Asked::Attribute(Right::Write, name), clause.as_str())];
        check(&write, OTHER, [false, true, false], &[]);
    }
    for right in [Right::Read, Right::Search, Right::Compare] {
        let case = [(Asked::Attribute(right, "userPassword"), "(targetattr=\"userPassword\")")];
        check(&case, OTHER, [false, true, false], std::slice::from_ref(&seen));
    }
    for name in ["cn", "uid", "mail", "ds-privilege-name", "aci"] {
        let write = [(Asked::Attribute(Right::Write, name), "(targetattr=\"* || +\")")];
        check(&write, OTHER, [false; 3], &[]);
    }
    for right in [Right::Add, Right::Delete, Right::Import, Right::Export, Right::Proxy] {
        check(&[(Asked::Entry(right), "")], OTHER, [false; 3], &[]);
    }
}
