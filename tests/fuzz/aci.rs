//! Whatever is written as an ACI: a fault is located within the text, what is taken can be asked, and blanks
//! around a text that is taken change nothing.

use std::sync::{Arc, LazyLock};

use ctsd::access::{AccessControl, Limits, Requester, check_aci};
use ctsd::schema::{NormalizedDn, Schema, SchemaStore};

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| SchemaStore::builtin(true).current());

/// What ACIs are made of; random octets seldom look like one.
const WORDS: [&str; 50] = [
    "(",
    ")",
    "\"",
    ";",
    " ",
    "=",
    "!=",
    "<",
    "||",
    ",",
    "*",
    "+",
    "/24",
    "?sub?",
    "(cn=a)",
    "target",
    "targetattr",
    "targetscope",
    "targetfilter",
    "targetcontrol",
    "extop",
    "version 3.0; acl \"x\";",
    "allow",
    "deny",
    "(read)",
    "(all,proxy)",
    "userdn",
    "groupdn",
    "userattr",
    "targattrfilters",
    "add=",
    "del=",
    "cn:(cn=a)",
    "&&",
    "#USERDN",
    "parent[0,1].",
    "seeAlso#GROUPDN",
    "ip",
    "ssf",
    "authmethod",
    "simple",
    "cn",
    "1.2.3",
    "10.0.0.1",
    "ldap:///",
    "anyone",
    "self",
    "dc=com",
    " and ",
    " or ",
];

#[test]
fn aci() {
    bolero::check!().with_iterations(crate::ITERATIONS).for_each(|input: &[u8]| {
        let words: String = input.iter().map(|octet| WORDS[usize::from(*octet) % WORDS.len()]).collect();
        let raw = String::from_utf8_lossy(input);
        for text in [
            raw.to_string(),
            words.clone(),
            format!("({words})(version 3.0; acl \"x\"; allow (read) userdn=\"ldap:///anyone\";)"),
            format!(
                "(targattrfilters=\"{words}\")(version 3.0; acl \"x\"; allow (all) userdn=\"ldap:///all\";)"
            ),
            format!("(version 3.0; acl \"x\"; allow (all) userattr=\"{words}\";)"),
            format!("(targetattr=\"{words}\")(version 3.0; acl \"x\"; deny (read) ip=\"::1\";)"),
            format!("(targetcontrol=\"1.2.3\")(version 3.0; acl \"x\"; allow (read) {words};)"),
            format!(
                "(targetcontrol=\"1.2.3\")(version 3.0; acl \"x\"; allow (read) userdn=\"ldap:///{words}\";)"
            ),
            format!(
                "(target=\"ldap:///{raw}\")(version 3.0; acl \"x\"; allow (read) userdn!=\"ldap:///{raw}\";)"
            ),
        ] {
            check(&text);
        }
    });
}

fn check(text: &str) {
    let root = NormalizedDn::root();
    if let Err(error) = check_aci(text, &root, &SCHEMA) {
        assert!(error.offset <= text.len(), "{text:?}: {error}");
        return;
    }
    check_aci(&format!(" \n{text}\r\n"), &root, &SCHEMA).unwrap();
    let control = AccessControl::new(Arc::clone(&SCHEMA), None);
    control.set_globals(&[text.to_owned()], &SCHEMA).unwrap();
    let set = control.current();
    let who = Requester::anonymous([127, 0, 0, 1].into(), 0, Limits::NONE);
    let target = NormalizedDn::parse("cn=a,dc=com", &SCHEMA).unwrap();
    let granted = set.may_control(&who, "1.2.3", &target);
    assert_eq!(set.may_control(&who, "1.2.3", &target), granted);
    assert!(!granted || text.contains("allow"), "{text:?}");
}
