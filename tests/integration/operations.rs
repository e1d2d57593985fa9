//! The operations and controls that OpenAM does not send but people do, by OpenLDAP's tools where they have them.

use ctsd::protocol::control::sort;
use ctsd::protocol::extended::cancel;
use ctsd::protocol::message::{MessageId, Scope};
use ctsd::protocol::oid;
use ctsd::protocol::result::ResultCode;

use crate::support::{CTS_USER, Ctl, FAMRECORDS, Query, SUFFIX, Token, cts, tool};

/// The lines of a tool's LDIF that say something, sorted.
fn lines(out: &str) -> Vec<&str> {
    let mut lines: Vec<_> = out.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    lines.sort_unstable();
    lines
}

fn numbered(base: &str) {
    let mut link = cts().openam();
    for (id, value, count) in
        [("n1", "Beta", "10"), ("n2", "alpha", "9"), ("n3", "gamma", "-1"), ("n4", "Alpha", "100")]
    {
        let token = Token::session(id, "shandle:n")
            .with("coreTokenString05", value)
            .with("coreTokenInteger01", count);
        token.create(&mut link, base);
    }
}

#[test]
fn compare_by_tool_and_by_hand() {
    let base = cts().container("op-compare");
    numbered(&base);
    let dn = format!("coreTokenId=n1,{base}");
    let compare = |assertion: &str| tool("ldapcompare", &cts().instance).args([dn.as_str(), assertion]).run();
    assert_eq!(compare("coreTokenString05:BETA").code, 6);
    assert_eq!(compare("coreTokenString05:other").code, 5);
    assert_eq!(compare("coreTokenInteger01:10").code, 6);
    assert_eq!(compare("coreTokenString06:x").code, 16);
    assert_eq!(compare("noSuchType:x").code, 17);
    let mut link = cts().root();
    assert_eq!(link.compare(&format!("cn=missing,{base}"), "cn", "x", &[]).code, 32);
    assert_eq!(
        link.compare(&dn, "coreTokenType", "session", &[Ctl::assertion("(coreTokenType=other)")]).code,
        122
    );
    assert_eq!(link.compare(&dn, "coreTokenType", "session", &[]).tag, 0x6f);
}

#[test]
fn increment() {
    let base = cts().container("op-increment");
    numbered(&base);
    let mut link = cts().openam();
    let dn = format!("coreTokenId=n1,{base}");
    let read = [Ctl::pre_read(&["coreTokenInteger01"]), Ctl::post_read(&["coreTokenInteger01"])];
    let answer = link.modify(&dn, &[('#', "coreTokenInteger01", &["5"])], &read);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.before().unwrap().texts("coreTokenInteger01"), ["10"]);
    assert_eq!(answer.after().unwrap().texts("coreTokenInteger01"), ["15"]);
    assert_eq!(link.modify(&dn, &[('#', "coreTokenInteger01", &["-20"])], &[]).code, 0);
    assert_eq!(link.read(&dn, &["coreTokenInteger01"]).entries[0].texts("coreTokenInteger01"), ["-5"]);
    assert_eq!(link.modify(&dn, &[('#', "coreTokenInteger02", &["1"])], &[]).code, 16);
    assert!(matches!(link.modify(&dn, &[('#', "coreTokenString05", &["1"])], &[]).code, 18 | 19 | 21));
}

#[test]
fn rename_and_move() {
    let base = cts().container("op-rename");
    numbered(&base);
    let mut link = cts().root();
    let dn = |rdn: &str| format!("{rdn},{base}");
    assert_eq!(link.rename(&dn("coreTokenId=n1"), "coreTokenId=m1", true, None).code, 0);
    let entry = link.read(&dn("coreTokenId=m1"), &["*"]).entries.remove(0);
    assert_eq!(entry.texts("coreTokenId"), ["m1"]);
    assert_eq!(link.read(&dn("coreTokenId=n1"), &[]).code(), 32);
    assert_eq!(link.rename(&dn("coreTokenId=n2"), "coreTokenId=N3", true, None).code, 68);
    // coreTokenId is single-valued: the old value cannot stay beside the new one.
    assert_eq!(link.rename(&dn("coreTokenId=n2"), "coreTokenId=m2", false, None).code, 65);
    assert_eq!(
        link.rename(&dn("coreTokenId=n2"), "coreTokenId=N2", true, None).code,
        0,
        "another case of itself"
    );

    // An entry moves with all it has.
    let unit: &[(&str, &[&str])] = &[("objectClass", &["organizationalUnit"])];
    assert_eq!(link.add(&dn("ou=old"), unit, &[]).code, 0);
    assert_eq!(link.add(&dn("ou=new"), unit, &[]).code, 0);
    assert_eq!(link.add(&dn("ou=sub,ou=old"), unit, &[]).code, 0);
    Token::session("deep", "shandle:deep").create(&mut link, &dn("ou=sub,ou=old"));
    let with_children = link.rename(&dn("ou=sub,ou=old"), "ou=moved", false, Some(&dn("ou=new")));
    assert_eq!(with_children.code, 66, "not with children: {with_children:?}");
    let answer =
        link.rename(&dn("coreTokenId=deep,ou=sub,ou=old"), "coreTokenId=deep", true, Some(&dn("ou=new")));
    assert_eq!(answer.code, 0, "{answer:?}");
    let answer = link.rename(&dn("ou=sub,ou=old"), "ou=moved", false, Some(&dn("ou=new")));
    assert_eq!(answer.code, 0, "{answer:?}");
    let found = link.search(&Query::subtree(&base, "(coreTokenString03=shandle:deep)"), &[]);
    assert_eq!(found.dns(), [dn("coreTokenId=deep,ou=new")]);
    let mut names = link.read(&dn("ou=moved,ou=new"), &["ou"]).entries[0].texts("ou");
    names.sort_unstable();
    assert_eq!(names, ["moved", "sub"]);
    assert_eq!(link.read(&dn("ou=old"), &["hasSubordinates"]).entries[0].texts("hasSubordinates"), ["FALSE"]);
    // Not below itself.
    let answer = link.rename(&dn("ou=old"), "ou=old", false, Some(&dn("ou=old")));
    assert!(answer.code != 0, "{answer:?}");
    let moved = tool("ldapmodrdn", &cts().instance).args(["-r", &dn("ou=old"), "ou=older"]).run();
    assert_eq!(moved.code, 0, "{moved:?}");
    assert_eq!(link.read(&dn("ou=older"), &["1.1"]).code(), 0);
}

#[test]
fn scopes_selections_and_types_only() {
    let base = cts().container("op-scopes");
    numbered(&base);
    let mut link = cts().root();
    let mut count = |scope, filter: &str| {
        link.search(&Query::new(&base, scope, filter).select(&["1.1"]), &[]).entries.len()
    };
    assert_eq!(count(Scope::Base, "(&)"), 1);
    assert_eq!(count(Scope::One, "(&)"), 4);
    assert_eq!(count(Scope::Subtree, "(&)"), 5);
    assert_eq!(count(Scope::Subordinate, "(&)"), 4);
    assert_eq!(count(Scope::Subtree, "(|)"), 0);
    let children =
        tool("ldapsearch", &cts().instance).args(["-LLL", "-b", &base, "-s", "children", "(&)", "1.1"]).run();
    assert_eq!(children.out.matches("dn:").count(), 4, "{children:?}");

    let dn = format!("coreTokenId=n1,{base}");
    let found = link.search(&Query::base(&dn).select(&["coreTokenString05", "etag"]).types_only(), &[]);
    assert_eq!(found.entries[0].attributes, [("coreTokenString05".into(), vec![]), ("etag".into(), vec![])]);
    let of_class = link.read(&dn, &["@frCoreToken"]).entries.remove(0);
    assert!(of_class.names().contains(&"coreTokenString05") && !of_class.names().contains(&"etag"));
    let nothing = link.read(&dn, &["1.1"]).entries.remove(0);
    assert!(nothing.attributes.is_empty());
    let operational = link.read(&dn, &["+"]).entries.remove(0);
    for name in [
        "createTimestamp",
        "creatorsName",
        "entryDN",
        "entryUUID",
        "etag",
        "hasSubordinates",
        "modifiersName",
        "modifyTimestamp",
        "numSubordinates",
        "structuralObjectClass",
        "subschemaSubentry",
    ] {
        let has_to_be = !name.starts_with("modif");
        assert!(
            !has_to_be || operational.names().contains(&name),
            "{name} is not in {:?}",
            operational.names()
        );
    }
    assert!(!operational.names().iter().any(|name| name.starts_with("coreToken")));
    assert_eq!(operational.texts("structuralObjectClass"), ["frCoreToken"]);
    assert_eq!(operational.texts("subschemaSubentry"), ["cn=schema"]);
    assert_eq!(operational.texts("entryDN"), [dn.as_str()]);
    assert_eq!(operational.text("creatorsName").unwrap().to_lowercase(), CTS_USER);
    assert_eq!(operational.texts("numSubordinates"), ["0"]);
    let parent = link.read(&base, &["numSubordinates", "hasSubordinates"]).entries.remove(0);
    assert_eq!(
        (parent.texts("numSubordinates"), parent.texts("hasSubordinates")),
        (vec!["4".into()], vec!["TRUE".into()])
    );
    assert_eq!(link.delete(&dn, &[]).code, 0);
    assert_eq!(link.read(&base, &["numSubordinates"]).entries[0].texts("numSubordinates"), ["3"]);
}

#[test]
fn extensible_matches() {
    let base = cts().container("op-extensible");
    numbered(&base);
    let mut link = cts().root();
    for (filter, expected) in [
        ("(coreTokenString05:caseExactMatch:=alpha)", &["n2"][..]),
        ("(coreTokenString05:2.5.13.5:=Alpha)", &["n4"]),
        ("(coreTokenString05:=ALPHA)", &["n2", "n4"]),
        ("(&(ou:dn:=op-extensible)(objectClass=frCoreToken))", &["n1", "n2", "n3", "n4"]),
        ("(&(ou:dn:=else)(objectClass=frCoreToken))", &[]),
        ("(&(:caseIgnoreMatch:=Beta)(objectClass=frCoreToken))", &["n1"]),
        ("(coreTokenString05:noSuchRule:=x)", &[]),
        ("(!(coreTokenString05:noSuchRule:=x))", &[]),
    ] {
        let found = link.search(&Query::subtree(&base, filter).select(&["coreTokenId"]), &[]);
        assert_eq!(
            (found.code(), found.column("coreTokenId")),
            (0, expected.iter().map(|id| id.to_string()).collect()),
            "{filter}"
        );
    }
}

#[test]
fn server_side_sort() {
    let base = cts().container("op-sort");
    numbered(&base);
    let mut link = cts().openam();
    let query = Query::subtree(&base, "(coreTokenString03=shandle:n)").select(&["coreTokenId"]);
    let mut order = |control: Ctl| {
        let found = link.search(&query, &[control]);
        assert_eq!(found.code(), 0, "{:?}", found.done);
        let value = found.done.control(oid::SORT_RESPONSE).expect("the sort has its answer");
        let (code, _) = sort::parse_response(&value).unwrap();
        let ids: Vec<_> = found.entries.iter().map(|entry| entry.text("coreTokenId").unwrap()).collect();
        (code, ids.join(" "))
    };
    assert_eq!(
        order(Ctl::sort("coreTokenInteger01", false, true)),
        (ResultCode::SUCCESS, "n3 n2 n1 n4".into())
    );
    assert_eq!(
        order(Ctl::sort("coreTokenInteger01", true, true)),
        (ResultCode::SUCCESS, "n4 n1 n2 n3".into())
    );
    let (code, by_text) = order(Ctl::sort("coreTokenString05", false, true));
    assert_eq!(code, ResultCode::SUCCESS);
    assert!(by_text == "n2 n4 n1 n3" || by_text == "n4 n2 n1 n3", "{by_text}");
    let (code, _) = order(Ctl::sort("noSuchType", false, false));
    assert_eq!(code, ResultCode::NO_SUCH_ATTRIBUTE);
    let found = link.search(&query, &[Ctl::sort("noSuchType", false, true)]);
    assert_eq!((found.code(), found.entries.len()), (12, 0), "{:?}", found.done);

    // Pages of a sorted answer are sorted through.
    let (mut cookie, mut ids) = (Vec::new(), Vec::new());
    loop {
        let found =
            link.search(&query, &[Ctl::sort("coreTokenInteger01", false, true), Ctl::paged(3, &cookie)]);
        assert_eq!(found.code(), 0, "{:?}", found.done);
        ids.extend(found.entries.iter().map(|entry| entry.text("coreTokenId").unwrap()));
        cookie = found.done.cookie().unwrap();
        if cookie.is_empty() {
            break;
        }
    }
    assert_eq!(ids.join(" "), "n3 n2 n1 n4");
    let run = tool("ldapsearch", &cts().instance)
        .args([
            "-LLL",
            "-b",
            &base,
            "-E",
            "!sss=-coreTokenInteger01",
            "(coreTokenString03=shandle:n)",
            "coreTokenId",
        ])
        .run();
    let ids: Vec<_> = run.out.lines().filter_map(|line| line.strip_prefix("coreTokenId: ")).collect();
    assert_eq!((run.code, ids), (0, vec!["n4", "n1", "n2", "n3"]), "{}", run.err);
}

#[test]
fn matched_values() {
    let base = cts().container("op-matched");
    let mut link = cts().openam();
    let token = Token::session("mv", "shandle:mv")
        .with("coreTokenMultiString01", "apple")
        .with("coreTokenMultiString01", "banana")
        .with("coreTokenMultiString01", "Blueberry");
    token.create(&mut link, &base);
    let run = tool("ldapsearch", &cts().instance)
        .args([
            "-LLL",
            "-b",
            &base,
            "-E",
            "!mv=(coreTokenMultiString01=b*)",
            "(coreTokenString03=shandle:mv)",
        ])
        .args(["coreTokenMultiString01"])
        .run();
    assert_eq!(run.code, 0, "{run:?}");
    let values: Vec<_> =
        lines(&run.out).into_iter().filter(|line| line.starts_with("coreTokenMulti")).collect();
    assert_eq!(values, ["coreTokenMultiString01: Blueberry", "coreTokenMultiString01: banana"]);
}

#[test]
fn permissive_modify() {
    let base = cts().container("op-permissive");
    let mut link = cts().openam();
    let token = Token::session("p", "shandle:p").with("coreTokenMultiString01", "a");
    token.create(&mut link, &base);
    let dn = token.dn(&base);
    let change: &[(char, &str, &[&str])] = &[
        ('+', "coreTokenMultiString01", &["A", "b"]),
        ('-', "coreTokenMultiString02", &["x"]),
        ('-', "coreTokenString06", &[]),
    ];
    assert!(matches!(link.modify(&dn, change, &[]).code, 16 | 20));
    let answer = link.modify(&dn, change, &[Ctl::flag(oid::PERMISSIVE_MODIFY, true)]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(
        link.read(&dn, &["coreTokenMultiString01"]).entries[0].texts("coreTokenMultiString01"),
        ["a", "b"]
    );
}

#[test]
fn subtree_delete() {
    let base = cts().container("op-subtree-delete");
    numbered(&base);
    let mut link = cts().root();
    assert_eq!(link.delete(&base, &[]).code, 66);
    let control = [Ctl::flag(oid::SUBTREE_DELETE, true)];
    assert_eq!(cts().openam().delete(&base, &control).code, 12, "no grant on the control");
    let answer = link.delete(&base, &control);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(link.search(&Query::subtree(&base, "(&)"), &[]).code(), 32);
    assert_eq!(
        link.search(&Query::subtree(SUFFIX, "(coreTokenId=n1)"), &[])
            .dns()
            .iter()
            .filter(|dn| dn.ends_with(&base))
            .count(),
        0
    );
}

#[test]
fn no_op() {
    let base = cts().container("op-noop");
    let mut link = cts().openam();
    let token = Token::session("noop", "shandle:noop");
    let etag = token.create(&mut link, &base);
    let dn = token.dn(&base);
    let control = [Ctl::flag(oid::NO_OP, true)];
    assert_eq!(link.modify(&dn, &[('=', "coreTokenString01", &["x"])], &control).code, 16654);
    assert_eq!(link.delete(&dn, &control).code, 16654);
    assert_eq!(
        link.add(
            &format!("coreTokenId=n,{base}"),
            &[("objectClass", &["frCoreToken"]), ("coreTokenType", &["X"])],
            &control
        )
        .code,
        16654
    );
    assert_eq!(
        link.modify(&dn, &[('=', "coreTokenDate01", &["x"])], &control).code,
        21,
        "what would fail fails"
    );
    assert_eq!(link.read(&dn, &["etag"]).entries[0].text("etag").unwrap(), etag);
    assert_eq!(link.read(&format!("coreTokenId=n,{base}"), &[]).code(), 32);
}

#[test]
fn subentries() {
    let base = cts().container("op-subentries");
    let mut link = cts().root();
    let dn = format!("cn=sub,{base}");
    let entry: &[(&str, &[&str])] =
        &[("objectClass", &["top", "subentry"]), ("cn", &["sub"]), ("subtreeSpecification", &["{}"])];
    let answer = link.add(&dn, entry, &[]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let all = Query::subtree(&base, "(objectClass=*)").select(&["1.1"]);
    assert_eq!(link.search(&all, &[]).dns(), [base.as_str()], "hidden from ordinary searches");
    assert_eq!(link.read(&dn, &["1.1"]).code(), 0, "but there for a base search");
    let only = [Ctl::new(oid::SUBENTRIES, true, Some(vec![1, 1, 0xff]))];
    assert_eq!(link.search(&all, &only).dns(), [dn.as_str()]);
    let without = [Ctl::new(oid::SUBENTRIES, true, Some(vec![1, 1, 0]))];
    assert_eq!(link.search(&all, &without).dns(), [base]);
    assert_eq!(link.delete(&dn, &[]).code, 0);
}

#[test]
fn cancel() {
    let base = cts().container("op-cancel");
    let mut link = cts().openam();
    let id = link.start(&Query::subtree(&base, "(&)"), &[Ctl::openam_persistent()]);
    assert!(link.heartbeat());
    let value = cancel::request_value(MessageId(id));
    let answer = link.extended(oid::CANCEL, Some(&value));
    assert_eq!(answer.code, 0, "{answer:?}");
    let canceled = link.answer(id);
    assert_eq!((canceled.code, canceled.tag), (118, 0x65));
    let answer = link.extended(oid::CANCEL, Some(&value));
    assert_eq!(answer.code, 119, "no such operation");
    Token::session("unheard", "x").create(&mut link, &base);
    assert!(link.heartbeat() && link.aside.is_empty());
}

/// Adding, changing and deleting with the tools, names completed as the server should (features §1.1).
#[test]
fn the_tools_write() {
    let base = cts().container("op-tools");
    let ldif = format!(
        "dn: ou=admins,{base}\nobjectClass: organizationalunit\nou: OpenAM Administrator\n\n\
         dn: uid=somebody,ou=admins,{base}\nobjectClass: inetOrgPerson\ncn: Some\nsn: Body\n"
    );
    let added = tool("ldapadd", &cts().instance).input(&ldif).run();
    assert_eq!(added.code, 0, "{added:?}");
    let mut link = cts().root();
    let mut units = link.read(&format!("ou=admins,{base}"), &["ou", "objectClass"]).entries.remove(0);
    units.attributes.iter_mut().for_each(|(_, values)| values.sort_unstable());
    assert_eq!(units.texts("ou"), ["OpenAM Administrator", "admins"], "the missing RDN value is added");
    assert!(units.texts("objectClass").contains(&"top".to_owned()), "and the missing superior class");
    let person = link.read(&format!("uid=somebody,ou=admins,{base}"), &["*"]).entries.remove(0);
    assert_eq!(person.texts("uid"), ["somebody"]);
    for class in ["top", "person", "organizationalPerson", "inetOrgPerson"] {
        assert!(person.texts("objectClass").contains(&class.to_owned()), "{person:?}");
    }
    let ldif = format!(
        "dn: uid=somebody,ou=admins,{base}\nchangetype: modify\nreplace: sn\nsn: Other\n-\nadd: mail\nmail: a@example.com\n-\ndelete: cn\ncn: Some\n-\nadd: cn\ncn: Any\n"
    );
    let modified = tool("ldapmodify", &cts().instance).input(&ldif).run();
    assert_eq!(modified.code, 0, "{modified:?}");
    let found = tool("ldapsearch", &cts().instance)
        .args(["-LLL", "-o", "ldif_wrap=no", "-b", &base, "(uid=somebody)", "sn", "mail", "cn"])
        .run();
    let dn = format!("dn: uid=somebody,ou=admins,{base}");
    assert_eq!(lines(&found.out), ["cn: Any", dn.as_str(), "mail: a@example.com", "sn: Other"]);
    let deleted = tool("ldapdelete", &cts().instance).args(["-r", &format!("ou=admins,{base}")]).run();
    assert_eq!(deleted.code, 0, "{deleted:?}");
    let pages = tool("ldapsearch", &cts().instance)
        .args(["-LLL", "-b", FAMRECORDS, "-E", "pr=2/noprompt", "-s", "one", "(objectClass=*)", "1.1"])
        .run();
    assert_eq!(pages.code, 0, "{pages:?}");
}
