//! `features` §16: a test for each trap that concerns one node, named by the trap's number. 14 (the purge delay's unit)
//! belongs to replication.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{
    Ctl, DM, FAMRECORDS, INDEXES, Instance, Link, Lost, PASSWORD, Query, Reply, SUFFIX, TID, Token, cts,
    fixture, request, tool, within,
};

fn index(attribute: &str, kind: &str) -> (String, Vec<(&'static str, Vec<String>)>) {
    let dn = format!("ds-cfg-attribute={attribute},{INDEXES}");
    let attributes = vec![
        ("objectClass", vec!["top".to_owned(), "ds-cfg-backend-index".to_owned()]),
        ("ds-cfg-attribute", vec![attribute.to_owned()]),
        ("ds-cfg-index-type", vec![kind.to_owned()]),
    ];
    (dn, attributes)
}

fn add_index(root: &mut Link, attribute: &str, kind: &str) -> u32 {
    let (dn, attributes) = index(attribute, kind);
    let values: Vec<Vec<&str>> =
        attributes.iter().map(|(_, values)| values.iter().map(String::as_str).collect()).collect();
    let attributes: Vec<_> =
        attributes.iter().zip(&values).map(|((name, _), v)| (*name, v.as_slice())).collect();
    root.add(&dn, &attributes, &[]).code
}

#[test]
fn trap_1_index_ldif_is_taken_on_the_ldap_port() {
    let mut root = cts().root();
    assert_eq!(add_index(&mut root, "coreTokenString12", "presence"), 0);
    let (dn, _) = index("coreTokenString12", "presence");
    let found = root.read(&dn, &["*"]);
    assert_eq!(found.entries[0].texts("ds-cfg-index-type"), ["presence"]);
    let mut names = HashSet::new();
    let all = root.search(&Query::subtree("cn=config", "(objectClass=*)").select(&["1.1"]), &[]);
    assert!(all.entries.iter().all(|entry| names.insert(entry.dn.to_lowercase())), "each entry once");
    assert!(names.contains(&dn.to_lowercase()) && names.contains("cn=config"));
    assert_eq!(root.delete(&dn, &[]).code, 0);
    assert_eq!(root.read(&dn, &["*"]).code(), 32);
    // Not for those without the privilege.
    let mut openam = cts().openam();
    assert!(openam.search(&Query::subtree("cn=config", "(objectClass=*)"), &[]).entries.is_empty());
    let added = add_index(&mut openam, "coreTokenString12", "presence");
    assert!(matches!(added, 50 | 32), "{added}");
}

#[test]
fn trap_2_schema_ldif_has_lower_case_names_oid_only_deletes_and_both_in_one() {
    let instance = Instance::bare();
    for file in ["cts-add-schema.ldif", "cts-add-multivalue.ldif"] {
        let path = fixture(&instance, file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("objectclasses"), "{file} is written so");
        let ran = tool("ldapmodify", &instance).file(&path).run();
        assert_eq!(ran.code, 0, "{file}: {ran:?}");
    }
    let mut root = instance.root();
    Token::session("t", "x").with("coreTokenMultiString03", "m").create(&mut root, SUFFIX);
    let delete_and_add: &[(char, &str, &[&str])] = &[
        ('-', "objectclasses", &["( 1.3.6.1.4.1.36733.2.2.2.27 )"]),
        (
            '+',
            "objectclasses",
            &[
                "( 1.3.6.1.4.1.36733.2.2.2.27  NAME 'frCoreToken'  SUP top STRUCTURAL MUST ( coreTokenId $ coreTokenType ) MAY ( coreTokenString01 ) )",
            ],
        ),
    ];
    let answer = root.modify("cn=schema", delete_and_add, &[]);
    assert_eq!(answer.code, 0, "in use, but it comes back: {answer:?}");
}

#[test]
fn trap_3_a_container_may_come_without_top() {
    let base = cts().container("trap-3");
    let found = cts().root().read(&base, &["objectClass"]);
    let mut classes = found.entries[0].texts("objectClass");
    classes.sort_unstable();
    assert_eq!(classes, ["organizationalUnit", "top"]);
}

#[test]
fn trap_4_acis_compare_dns_and_take_any_blanks() {
    let base = cts().container("trap-4");
    let mut root = cts().root();
    let user = cts().user("trap-4", &[]);
    let mut link = cts().instance.bound(&user);
    let spaced = user.replace(",dc=example,", ",dc=example, ").replace("uid=", "UID = ");
    let id = |number: &str| Token::session(number, "shandle:trap-4");
    assert!(matches!(id("a").try_create(&mut link, &base).code, 32 | 50), "nothing granted yet");
    // Without targetattr: rights on the entry as a whole, no more.
    let aci = format!(r#"(version 3.0;acl "add";allow (add,delete)(userdn="ldap:///{spaced}");)"#);
    assert_eq!(root.modify(&base, &[('+', "aci", &[&aci])], &[]).code, 0);
    let bare =
        link.add(&id("a").dn(&base), &[("objectClass", &["frCoreToken"]), ("coreTokenType", &["X"])], &[]);
    assert_eq!(bare.code, 0, "{bare:?}");
    assert!(link.read(&id("a").dn(&base), &["*"]).entries.is_empty(), "adding is not reading");
    for aci in [
        format!(
            r#"  ( targetattr  =  "coreTokenId||coreTokenType" )( version 3.0 ; acl "read" ; allow( read , search )userdn  =  "ldap:///{spaced}" ; )  "#
        ),
        format!(
            r#"(targetattr="coreTokenString01")(version 3.0;acl "more";allow(read)userdn="ldap:///{user}";)"#
        ),
        format!(
            r#"(TargetAttr="*")(Target="ldap:///{base}")(Version 3.0; ACL "self"; Allow (WRITE) UserDN = "ldap:///{}";)"#,
            user.to_uppercase()
        ),
    ] {
        let answer = root.modify(&base, &[('+', "aci", &[&aci])], &[]);
        assert_eq!(answer.code, 0, "{aci}: {answer:?}");
    }
    let found = link.read(&id("a").dn(&base), &["*"]);
    assert_eq!(found.entries[0].names(), ["coreTokenId", "coreTokenType", "objectClass"]);
    assert_eq!(link.modify(&id("a").dn(&base), &[('=', "coreTokenString01", &["x"])], &[]).code, 0);
    assert_eq!(link.delete(&id("a").dn(&base), &[]).code, 0);
    for wrong in
        ["nonsense", "(version 3.0;acl \"x\"; allow (fly) userdn=\"ldap:///anyone\";)", "(targetattr=\"*\")"]
    {
        let answer = root.modify(&base, &[('+', "aci", &[wrong])], &[]);
        assert_eq!(answer.code, 21, "{wrong}: {answer:?}");
    }
}

#[test]
fn trap_5_a_global_aci_keeps_its_quotes() {
    let handler = "cn=Access Control Handler,cn=config";
    let aci = r#"(target = "ldap:///cn=schema")(targetattr = "attributeTypes || objectClasses")(version 3.0; acl "Modify (the) \"schema\""; allow (write) userdn = "ldap:///uid=trap-5,ou=admins,dc=cts,dc=example, dc=com";)"#;
    let aci = aci.replace("\\\"", "'");
    let mut root = cts().root();
    let change: &[(char, &str, &[&str])] = &[('+', "ds-cfg-global-aci", &[&aci])];
    assert_eq!(root.modify(handler, change, &[]).code, 0);
    assert_eq!(root.modify(handler, change, &[]).code, 20);
    let found = root.read(handler, &["ds-cfg-global-aci"]).entries.remove(0).texts("ds-cfg-global-aci");
    assert_eq!(found.iter().filter(|found| **found == aci).count(), 1, "{found:?}");
    assert_eq!(root.modify(handler, &[('+', "ds-cfg-global-aci", &["(nonsense)"])], &[]).code, 21);
    assert_eq!(root.modify(handler, &[('-', "ds-cfg-global-aci", &[&aci])], &[]).code, 0);
}

#[test]
fn trap_6_post_read_has_the_etag() {
    let base = cts().container("trap-6");
    let mut link = cts().openam();
    let token = Token::session("six", "shandle:six");
    let etag = token.create(&mut link, &base);
    // By name, by plus, with everything else; never by star alone.
    let read = |names: &[&str], link: &mut Link| {
        let change: &[(char, &str, &[&str])] = &[('=', "coreTokenString01", &[names[0]])];
        link.modify(&token.dn(&base), change, &[Ctl::post_read(names)]).after().unwrap()
    };
    let by_name = read(&["etag"], &mut link).text("etag").unwrap();
    assert_ne!(by_name, etag);
    assert!(read(&["+"], &mut link).text("etag").is_some());
    assert!(read(&["*", "ETAG"], &mut link).text("etag").is_some());
    assert!(read(&["*"], &mut link).text("etag").is_none());
    let renamed = cts().root();
    drop(renamed);
    let id = link.id();
    let controls = [Ctl::post_read(&["etag"]), Ctl::pre_read(&["etag"])];
    link.send(&request::rename(id, &token.dn(&base), "coreTokenId=six", true, None, &controls));
    let answer = link.answer(id);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.etag().is_some() && answer.before().is_some());
}

#[test]
fn trap_7_a_failed_assertion_leaves_no_trace() {
    let base = cts().container("trap-7");
    let mut link = cts().openam();
    let token = Token::session("seven", "shandle:seven");
    token.create(&mut link, &base);
    let before = link.read(&token.dn(&base), &["*", "+"]).entries;
    let mut listener = cts().openam();
    listener.start(&Query::subtree(&base, "(objectClass=*)"), &[Ctl::openam_persistent()]);
    assert!(listener.heartbeat());
    for _ in 0..20 {
        let stale = [Ctl::etag("ffffffffffffffff")];
        assert_eq!(link.modify(&token.dn(&base), &[('=', "coreTokenString01", &["x"])], &stale).code, 122);
        assert_eq!(link.delete(&token.dn(&base), &stale).code, 122);
        // What the filter cannot decide is not true.
        let undefined = [Ctl::assertion("(undefined=x)")];
        assert_eq!(
            link.modify(&token.dn(&base), &[('=', "coreTokenString01", &["x"])], &undefined).code,
            122
        );
    }
    assert_eq!(link.read(&token.dn(&base), &["*", "+"]).entries, before);
    assert!(listener.heartbeat());
    assert_eq!(listener.next_within(std::time::Duration::from_millis(200)).unwrap_err(), Lost::Silent);
    assert!(listener.aside.is_empty(), "no notification of what did not happen: {:?}", listener.aside);
}

#[test]
fn trap_8_persistent_search_is_advertised_and_sends_no_initial_set() {
    for mut link in [cts().instance.link(), cts().openam()] {
        let found = link.read("", &["supportedControl"]);
        assert!(
            found.entries[0].texts("supportedControl").iter().any(|oid| oid == "2.16.840.1.113730.3.4.3")
        );
    }
    let base = cts().container("trap-8");
    Token::session("eight", "shandle:eight").create(&mut cts().openam(), &base);
    let mut listener = cts().openam();
    listener.start(&Query::subtree(&base, "(objectClass=frCoreToken)"), &[Ctl::openam_persistent()]);
    assert!(listener.heartbeat());
    assert!(listener.aside.is_empty(), "{:?}", listener.aside);
}

/// The guide's user: a size limit of 5000, and pages of as many.
#[test]
fn trap_9_a_page_of_the_size_limit_is_a_page() {
    let base = cts().container("trap-9");
    let mut link = cts().openam();
    let answers = link.pipeline(20, |number, id| {
        Token::session(&format!("n{number}"), "shandle:nine").add_bytes(id, &base)
    });
    assert!(answers.iter().all(|answer| answer.code == 0));
    let query = Query::subtree(&base, "(coreTokenString03=shandle:nine)").select(&["1.1"]);
    for size in [4_999, 5_000, 5_001, 100_000] {
        let found = link.search(&query, &[Ctl::paged(size, b"")]);
        assert_eq!(
            (found.code(), found.entries.len(), found.done.cookie()),
            (0, 20, Some(Vec::new())),
            "{size}"
        );
    }
    // The request's own size limit, too.
    let found = link.search(&query.clone().size(5), &[Ctl::paged(5, b"")]);
    assert_eq!((found.code(), found.entries.len()), (0, 5), "{:?}", found.done);
}

/// Scaled down: the reaper's query stays an indexed one, and writers go on, while thousands go.
#[test]
fn trap_10_a_reaper_among_writers_never_falls_back() {
    let base = cts().container("trap-10");
    let mut link = cts().openam();
    let answers = link.pipeline(3_000, |number, id| {
        Token::session(&format!("dead{number}"), "x")
            .with("coreTokenExpirationDate", "20200101000000Z")
            .add_bytes(id, &base)
    });
    assert!(answers.iter().all(|answer| answer.code == 0));
    // Without the privilege for unindexed searches, and a look-through limit below what matches.
    let reader = cts().reader("trap-10", &base);
    let aci = format!("(version 3.0; acl \"reap\"; allow (delete) userdn = \"ldap:///{reader}\";)");
    assert_eq!(cts().root().modify(&base, &[('+', "aci", &[&aci])], &[]).code, 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (stop, base) = (&stop, &base);
                scope.spawn(move || {
                    let mut link = cts().openam();
                    let mut written = 0;
                    while !stop.load(Ordering::Acquire) {
                        let answers = link.pipeline(20, |number, id| {
                            Token::session(&format!("live{writer}-{written}-{number}"), "x")
                                .add_bytes(id, base)
                        });
                        assert!(answers.iter().all(|answer| answer.code == 0));
                        written += 20;
                    }
                    written
                })
            })
            .collect();
        let mut reaper = cts().instance.bound(&reader);
        let filter = "(&(&(coreTokenExpirationDate<=20261122051638.043+0300)(!(coreTokenExpirationDate=20261122051638.043+0300)))(objectClass=frCoreToken))";
        let query = Query::subtree(&base, filter).select(&["coreTokenId", "etag"]);
        let mut reaped = 0;
        loop {
            let found = reaper.search(&query, &[Ctl::paged(500, b"")]);
            assert_eq!(found.code(), 0, "{:?}", found.done);
            let answers = reaper.pipeline(found.entries.len(), |number, id| {
                request::delete(id, &found.entries[number].dn, &[])
            });
            assert!(answers.iter().all(|answer| answer.code == 0));
            reaped += answers.len();
            if found.done.cookie().unwrap().is_empty() {
                break;
            }
        }
        stop.store(true, Ordering::Release);
        assert_eq!(reaped, 3_000);
        assert!(writers.into_iter().all(|writer| writer.join().unwrap() > 0), "the writers came through");
    });
}

#[test]
fn trap_11_an_index_changes_its_type_while_it_serves() {
    let base = cts().container("trap-11");
    let mut root = cts().root();
    for (id, date) in [("a", "20260101000000Z"), ("b", "20260101030000+0300"), ("c", "20270101000000Z")] {
        Token::new(id, "GENERIC").with("coreTokenDate02", date).create(&mut root, &base);
    }
    let mut reader = cts().instance.bound(&cts().reader("trap-11", &base));
    let dn = format!("ds-cfg-attribute=coreTokenDate02,{INDEXES}");
    let mut ask = |filter: &str| {
        let query =
            Query::subtree(&base, &format!("(&{filter}(objectClass=frCoreToken))")).select(&["coreTokenId"]);
        // Online: until the new index is built, the answer may be that there is none.
        within(|| Some(reader.search(&query, &[])).filter(|found| found.code() != 50))
            .unwrap()
            .column("coreTokenId")
    };
    for kinds in [
        &["ordering"][..],
        &["equality"],
        &["equality", "ordering"],
        &["presence", "equality"],
        &["ordering"],
    ] {
        assert_eq!(root.modify(&dn, &[('=', "ds-cfg-index-type", kinds)], &[]).code, 0, "{kinds:?}");
        assert_eq!(ask("(coreTokenDate02=20251231190000-0500)"), ["a", "b"], "{kinds:?}");
        if kinds.contains(&"ordering") {
            assert_eq!(ask("(coreTokenDate02<=20261231235959Z)"), ["a", "b"], "{kinds:?}");
            assert_eq!(ask("(coreTokenDate02>=20260101000000.001Z)"), ["c"], "{kinds:?}");
        }
    }
    let answer = root.modify(&dn, &[('=', "ds-cfg-index-type", &["sideways"])], &[]);
    assert!(answer.code != 0 && !answer.diagnostic.is_empty(), "{answer:?}");
    assert!(root.modify(&dn, &[('=', "ds-cfg-index-type", &[])], &[]).code != 0);
    assert!(root.modify(&dn, &[('=', "ds-cfg-attribute", &["cn"])], &[]).code != 0, "read-only once made");
}

#[test]
fn trap_12_an_index_that_is_there_is_68() {
    let mut root = cts().root();
    for attribute in ["entryUUID", "objectClass", "aci", "uid", "coreTokenExpirationDate", "CORETOKENUSERID"]
    {
        assert_eq!(add_index(&mut root, attribute, "equality"), 68, "{attribute}");
    }
    assert!(matches!(add_index(&mut root, "noSuchAttribute", "equality"), 17 | 19 | 53 | 65));
    let ldif = format!(
        "dn: ds-cfg-attribute=uid,{INDEXES}\nobjectClass: ds-cfg-backend-index\nds-cfg-attribute: uid\nds-cfg-index-type: equality\n\n\
         dn: ds-cfg-attribute=employeeNumber,{INDEXES}\nobjectClass: ds-cfg-backend-index\nds-cfg-attribute: employeeNumber\nds-cfg-index-type: equality\n"
    );
    let (second, _) = index("employeeNumber", "equality");
    let ran = tool("ldapmodify", &cts().instance).args(["-a"]).input(&ldif).run();
    assert_eq!(ran.code, 68, "{ran:?}");
    assert_eq!(root.read(&second, &["1.1"]).code(), 32, "the tool stops at the first error");
    let ran = tool("ldapmodify", &cts().instance).args(["-a", "-c"]).input(&ldif).run();
    assert!(ran.err.contains("(68)"), "{ran:?}");
    assert_eq!(root.read(&second, &["1.1"]).code(), 0, "unless it is told to go on");
    assert_eq!(root.delete(&second, &[]).code, 0);
}

/// What can be seen from outside: the counters are right after thousands of children came and went.
#[test]
fn trap_13_subordinates_are_counted() {
    let base = cts().container("trap-13");
    let mut link = cts().openam();
    let count = |link: &mut Link, expected: &str, has: &str| {
        let entry = link.read(&base, &["numSubordinates", "hasSubordinates"]).entries.remove(0);
        assert_eq!(
            (entry.text("numSubordinates").unwrap(), entry.text("hasSubordinates").unwrap()),
            (expected.into(), has.into())
        );
    };
    count(&mut link, "0", "FALSE");
    link.pipeline(2_000, |number, id| Token::session(&format!("n{number}"), "x").add_bytes(id, &base));
    count(&mut link, "2000", "TRUE");
    link.pipeline(1_999, |number, id| {
        request::delete(id, &Token::session(&format!("n{number}"), "x").dn(&base), &[])
    });
    count(&mut link, "1", "TRUE");
    let found =
        link.search(&Query::new(&base, ctsd::protocol::message::Scope::Base, "(numSubordinates=1)"), &[]);
    assert_eq!(found.entries.len(), 1);
    assert_eq!(link.delete(&Token::session("n1999", "x").dn(&base), &[]).code, 0);
    count(&mut link, "0", "FALSE");
}

#[test]
fn trap_15_a_placeholder_left_in_a_dn_is_explained() {
    let ldif = "dn: ou=tokens,$ROOT_SUFFIX\nobjectClass: top\nobjectClass: organizationalUnit\nou: tokens\n";
    let ran = tool("ldapmodify", &cts().instance).args(["-a"]).input(ldif).run();
    assert!(matches!(ran.code, 32 | 34), "{ran:?}");
    let mut root = cts().root();
    for dn in ["ou=tokens,$ROOT_SUFFIX", "ou=tokens,@SM_CONFIG_ROOT_SUFFIX@", "ou=tokens,dc=$ROOT_SUFFIX"] {
        let answer = root.add(dn, &[("objectClass", &["organizationalUnit"])], &[]);
        assert!(matches!(answer.code, 32 | 34), "{answer:?}");
        assert!(answer.diagnostic.contains("ROOT_SUFFIX") && answer.diagnostic.contains("sed"), "{answer:?}");
    }
    // OpenAM's side of it: the guide's own `d=com`.
    let found =
        cts().openam().search(&Query::subtree("dc=cts,dc=example,d=com", "(objectClass=frCoreToken)"), &[]);
    assert!(matches!(found.code(), 32 | 34), "{:?}", found.done);
    assert!(!found.done.diagnostic.is_empty());
}

#[test]
fn trap_16_ids_that_differ_in_case_collide() {
    let base = cts().container("trap-16");
    let mut link = cts().openam();
    Token::new("kQxA+/8=", "REST").create(&mut link, &base);
    let answer = Token::new("KqXb+/8=", "REST").try_create(&mut link, &base);
    assert_eq!(answer.code, 0, "other letters: {answer:?}");
    let answer = Token::new("KQXA+/8=", "REST").try_create(&mut link, &base);
    assert_eq!(answer.code, 68, "{answer:?}");
}

#[test]
fn trap_17_a_transaction_id_may_be_garbage() {
    let base = cts().container("trap-17");
    let mut link = cts().instance.link();
    let long = vec![b'x'; 100_000];
    for garbage in [&b""[..], b"\xff\xfe\x00", b"30 06 04", &long, TID] {
        let control = Ctl::transaction_id(garbage);
        assert_eq!(link.bind_with(DM, PASSWORD, std::slice::from_ref(&control)).code, 0);
        let token = Token::session("seventeen", "x");
        let id = link.id();
        link.send(&request::add_bytes(
            id,
            &token.dn(&base),
            &token.attributes,
            std::slice::from_ref(&control),
        ));
        assert_eq!(link.answer(id).code, 0);
        assert_eq!(link.search(&Query::base(&base), std::slice::from_ref(&control)).code(), 0);
        assert_eq!(link.delete(&token.dn(&base), &[control]).code, 0);
    }
    let none = Ctl::new("1.3.6.1.4.1.36733.2.1.5.1", false, None);
    assert_eq!(link.search(&Query::base(&base), &[none]).code(), 0);
    let anonymous =
        cts().instance.link().search(&Query::base("").select(&["1.1"]), &[Ctl::transaction_id(TID)]);
    assert_eq!(anonymous.code(), 0);
}

/// One connection with a thousand requests in flight does not keep the others waiting.
#[test]
fn trap_18_connections_get_their_turns() {
    let base = cts().container("trap-18");
    let mut greedy = cts().openam();
    Token::session("turn", "shandle:turn")
        .with_bytes("coreTokenObject", &[7; 5_000])
        .create(&mut greedy, &base);
    let mut all = Vec::new();
    const FLOOD: usize = 5_000;
    let query = Query::subtree(&base, "(&(coreTokenString03=shandle:turn)(objectClass=frCoreToken))")
        .select(&["*", "etag"]);
    for _ in 0..FLOOD {
        let id = greedy.id();
        all.extend(request::search(id, &query, &[]));
    }
    let mut modest: Vec<Link> = (0..8).map(|_| cts().openam()).collect();
    let writer = greedy.writer();
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut &writer, &all).unwrap());
        let mut done = 0;
        let mut beats = 0;
        while done < FLOOD {
            for _ in 0..100 {
                if let Reply::Answer(answer) = greedy.next().unwrap() {
                    assert_eq!(answer.code, 0);
                    done += 1;
                }
            }
            if beats < 200 {
                for link in &mut modest {
                    assert!(link.heartbeat());
                    beats += 1;
                }
            }
        }
    });
    assert!(cts().openam().read(FAMRECORDS, &["1.1"]).code() == 0);
}
