//! Who may do what, over LDAP: the guide's least-privilege user, anonymous clients, what effective rights and
//! `ctsd access explain` say of them.

use ctsd::protocol::message::Scope;
use ctsd::protocol::oid;

use crate::support::{
    Answer, CTS_USER, Ctl, DM, FAMRECORDS, Found, Link, NOBODY, PASSWORD, Query, SUFFIX, Token, cts, octets,
    seq,
};

/// What the guide's user can do is what OpenAM does, all of it, and nothing of an administrator's.
#[test]
fn the_guides_user_can_do_what_openam_does_and_no_more() {
    let base = cts().container("least");
    let mut link = cts().openam();
    let token = Token::session("least", "shandle:least");
    let dn = token.dn(&base);
    // Everything OpenAM does.
    let etag = token.create(&mut link, &base);
    let read = link.search(&Query::base(&dn).select(&["*", "etag"]).size(1), &[Ctl::transaction_id(b"x")]);
    assert_eq!((read.code(), read.entries[0].text("etag")), (0, Some(etag.clone())));
    let controls = [Ctl::post_read(&["etag"]), Ctl::etag(&etag)];
    let updated = link.modify(&dn, &[('=', "coreTokenString04", &["x"])], &controls);
    assert_eq!(updated.code, 0, "{updated:?}");
    let query = Query::subtree(&base, "(&(coreTokenString03=shandle:least)(objectClass=frCoreToken))");
    let found = link.search(&query.clone().select(&["coreTokenId"]), &[Ctl::paged(1000, b"")]);
    assert_eq!((found.code(), found.entries.len()), (0, 1));
    let mut listener = cts().openam();
    let standing = listener.start(&query, &[Ctl::openam_persistent()]);
    assert!(listener.heartbeat());
    let controls = [Ctl::etag(&updated.etag().unwrap()), Ctl::pre_read(&["coreTokenId", "coreTokenType"])];
    assert_eq!(link.delete(&dn, &controls).code, 0);
    assert_eq!(listener.notified(standing).dn, dn);
    assert_eq!(link.read(&dn, &["*"]).code(), 32);
    let mut root_dse = link.read("", &["supportedControl", "vendorName"]);
    assert!(
        root_dse.entries.remove(0).texts("supportedControl").contains(&oid::PERSISTENT_SEARCH.to_owned())
    );

    // And what an administrator does, which it may not.
    let code = |what: &str, answer: Answer, codes: &[u32]| {
        assert!(codes.contains(&answer.code), "{what}: {answer:?}");
    };
    token.create(&mut link, &base);
    let aci = "(targetattr=\"*\")(version 3.0; acl \"mine\"; allow (all) userdn=\"ldap:///anyone\";)";
    code("its own ACI", link.modify(&base, &[('+', "aci", &[aci])], &[]), &[50]);
    let grab = [('+', "ds-privilege-name", &["bypass-acl"][..])];
    code("its own privileges", link.modify(CTS_USER, &grab, &[]), &[50]);
    code("the configuration", link.modify("cn=config", &[('=', "ds-cfg-size-limit", &["1"])], &[]), &[50]);
    code("a log", link.delete("cn=File-Based Access Logger,cn=Loggers,cn=config", &[]), &[50]);
    code("a move", link.rename(&dn, "coreTokenId=least", false, Some(SUFFIX)), &[50]);
    code("a tree", link.delete(&base, &[Ctl::flag(oid::SUBTREE_DELETE, true)]), &[12]);
    let proxy = [Ctl::new(oid::PROXIED_AUTHORIZATION, true, Some(format!("dn:{DM}").into_bytes()))];
    code("somebody else", link.search(&query, &proxy).done, &[123]);
    let rights = [Ctl::flag(oid::GET_EFFECTIVE_RIGHTS, true)];
    code("rights", link.search(&query.clone().select(&["aclRights"]), &rights).done, &[12]);
    code("explanations", link.extended(oid::EXPLAIN_ACCESS, Some(&asked(CTS_USER, SUFFIX, "read"))), &[50]);
    for private in ["cn=config", "cn=monitor", "cn=tasks"] {
        let found = link.search(&Query::subtree(private, "(objectClass=*)"), &[]);
        assert_eq!(found.entries.len(), 0, "{private}: {:?}", found.done);
        assert!(matches!(found.code(), 32 | 50), "{private}: {:?}", found.done);
    }
    let task = [
        ("objectClass", &["top", "ds-task"][..]),
        ("ds-task-id", &["shut"]),
        ("ds-task-class-name", &["org.opends.server.tasks.ShutdownTask"]),
    ];
    code("a task", link.add("ds-task-id=shut,cn=Scheduled Tasks,cn=Tasks", &task, &[]), &[50, 53]);
    assert!(cts().root().heartbeat());
}

/// Without a bind there are the root DSE and the schema, and nothing else.
#[test]
fn anonymous_clients_see_the_root_dse_and_the_schema_alone() {
    let base = cts().container("anonymous");
    let token = Token::session("anonymous", "shandle:anonymous");
    token.create(&mut cts().openam(), &base);
    let mut link = cts().instance.link();
    let root = link.read("", &["*", "+"]);
    assert_eq!(root.entries.len(), 1);
    assert!(root.entries[0].names().contains(&"supportedControl"));
    let schema = link.read("cn=schema", &["attributeTypes", "objectClasses"]);
    assert!(schema.entries[0].texts("attributeTypes").len() > 100);
    for dn in [
        SUFFIX,
        FAMRECORDS,
        base.as_str(),
        &token.dn(&base),
        CTS_USER,
        "cn=config",
        "cn=monitor",
        "cn=tasks",
        DM,
    ] {
        for scope in [Scope::Base, Scope::One, Scope::Subtree] {
            let found = link.search(&Query::new(dn, scope, "(objectClass=*)").select(&["*", "+"]), &[]);
            assert_eq!(found.entries.len(), 0, "{dn}");
            assert!(matches!(found.code(), 32 | 50), "{dn}: {:?}", found.done);
        }
        for (what, answer) in [
            ("compare", link.compare(dn, "objectClass", "top", &[])),
            ("modify", link.modify(dn, &[('=', "description", &["x"])], &[])),
            ("delete", link.delete(dn, &[])),
        ] {
            assert!(matches!(answer.code, 32 | 50 | 53), "{what} {dn}: {answer:?}");
        }
    }
    let added = Token::session("no", "x").try_create(&mut link, &base);
    assert!(added.code != 0, "{added:?}");
    assert_eq!(link.extended(oid::EXPLAIN_ACCESS, Some(&asked("", SUFFIX, "read"))).code, 50);
}

fn rights(who: Option<&str>, attributes: &[&str]) -> Ctl {
    let value = who.map(|who| {
        let mut fields = vec![octets(who.as_bytes())];
        if !attributes.is_empty() {
            fields.push(seq(&attributes.iter().map(|name| octets(name.as_bytes())).collect::<Vec<_>>()));
        }
        seq(&fields)
    });
    Ctl::new(oid::GET_EFFECTIVE_RIGHTS, true, value)
}

fn told(found: &Found) -> Vec<(String, String)> {
    assert_eq!(found.code(), 0, "{:?}", found.done);
    let entry = &found.entries[0];
    let names = entry.names().into_iter().filter(|name| name.to_lowercase().starts_with("aclrights"));
    names.map(|name| (name.to_owned(), entry.text(name).unwrap())).collect()
}

/// As OpenDJ prints them: entry level always, attribute level for what the search or the control names.
#[test]
fn effective_rights_of_somebody() {
    let base = cts().container("rights");
    let token = Token::session("rights", "shandle:rights");
    token.create(&mut cts().openam(), &base);
    let dn = token.dn(&base);
    let mut root = cts().root();
    let query = |names: &[&str]| Query::base(&dn).select(names);
    let of_user = format!("dn:{CTS_USER}");
    let found = told(&root.search(&query(&["aclRights"]), &[rights(Some(&of_user), &[])]));
    let entry_level = ("aclRights;entryLevel".to_owned(), "add:1,delete:1,read:1,write:1,proxy:0".to_owned());
    assert_eq!(found, std::slice::from_ref(&entry_level));
    let control = [rights(Some(&of_user), &["description"])];
    let found = told(&root.search(&query(&["coreTokenType", "etag", "aclRights"]), &control));
    let all = "search:1,read:1,compare:0,write:1,selfwrite_add:1,selfwrite_delete:1,proxy:0".to_owned();
    let etag = "search:1,read:1,compare:1,write:0,selfwrite_add:0,selfwrite_delete:0,proxy:0".to_owned();
    assert_eq!(
        found,
        [
            ("aclRights;attributeLevel;coretokentype".to_owned(), all.clone()),
            ("aclRights;attributeLevel;description".to_owned(), all),
            ("aclRights;attributeLevel;etag".to_owned(), etag),
            entry_level,
        ]
    );
    let found = told(&root.search(&query(&["*", "aclRights"]), &[rights(Some("dn:"), &[])]));
    assert!(found.iter().any(|(name, _)| name == "aclRights;attributeLevel;objectclass"), "{found:?}");
    assert!(found.iter().all(|(_, text)| !text.contains(":1")), "anonymous may do nothing: {found:?}");
    // And why.
    let found = told(&root.search(&query(&["aclRightsInfo"]), &[rights(Some(&of_user), &["cn"])]));
    let why = |name: &str| {
        let found = found.iter().find(|(found, _)| found == name);
        found.map(|(_, text)| text.clone()).unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(
        why("aclRightsInfo;logs;entryLevel;delete"),
        format!(
            "acl_summary(main): access allowed(delete) on entry/attr({dn}, NULL) to ({CTS_USER}) (not proxied) ( reason: \
             evaluated allow , deciding_aci: Delete entries)"
        )
    );
    let proxy = why("aclRightsInfo;logs;attributeLevel;proxy;cn");
    assert!(proxy.contains("access not allowed(proxy)") && proxy.contains("no acis matched"), "{proxy}");
    // One's own, which takes grants on the control and on the attribute.
    let own = told(&root.search(&query(&["aclRights"]), &[rights(None, &[])]));
    assert_eq!(own[0].1, "add:1,delete:1,read:1,write:1,proxy:1");
    let reader = cts().reader("rights-reader", &base);
    let mut link = cts().instance.bound(&reader);
    assert_eq!(link.search(&query(&["aclRights"]), &[rights(None, &[])]).code(), 12);
    let uncritical = Ctl { critical: false, ..rights(None, &[]) };
    assert!(told(&link.search(&query(&["aclRights"]), &[uncritical])).is_empty());
    let granted = format!(
        "(targetcontrol=\"{}\")(version 3.0; acl \"control\"; allow (read) userdn=\"ldap:///{reader}\";)",
        oid::GET_EFFECTIVE_RIGHTS
    );
    assert_eq!(root.modify(&base, &[('+', "aci", &[&granted])], &[]).code, 0);
    assert!(
        told(&link.search(&query(&["aclRights"]), &[rights(None, &[])])).is_empty(),
        "not without the attribute"
    );
    let granted = format!(
        "(targetattr=\"aclRights\")(version 3.0; acl \"attribute\"; allow (read) userdn=\"ldap:///{reader}\";)"
    );
    assert_eq!(root.modify(&base, &[('+', "aci", &[&granted])], &[]).code, 0);
    let own = told(&link.search(&query(&["aclRights", "aclRightsInfo"]), &[rights(None, &[])]));
    assert_eq!(
        own,
        [("aclRights;entryLevel".to_owned(), "add:0,delete:0,read:1,write:0,proxy:0".to_owned())]
    );
    let theirs = link.search(&query(&["aclRights"]), &[rights(Some(&of_user), &[])]);
    assert_eq!(theirs.code(), 50, "{:?}", theirs.done);
    let nobody = root.search(&query(&["aclRights"]), &[rights(Some("u:no-such-user"), &[])]);
    assert_eq!(nobody.code(), 123, "{:?}", nobody.done);
    let wrong = Ctl::new(oid::GET_EFFECTIVE_RIGHTS, true, Some(b"nonsense".to_vec()));
    assert_eq!(root.search(&query(&["aclRights"]), &[wrong]).code(), 2);
}

fn asked(who: &str, target: &str, operation: &str) -> Vec<u8> {
    let fields = [format!("as={who}"), format!("target={target}"), format!("op={operation}")];
    seq(&fields.iter().map(|field| octets(field.as_bytes())).collect::<Vec<_>>())
}

/// `ctsd access explain` says in words which ACI it is.
#[test]
fn explain_says_which_aci_it_is() {
    let base = cts().container("explain");
    let token = Token::session("explain", "shandle:explain");
    token.create(&mut cts().openam(), &base);
    let dn = token.dn(&base);
    let explain = |args: &[&str]| {
        let mut command = crate::support::program();
        command.args(["access", "explain", "--instance"]).arg(&cts().instance.dir);
        command.args(["--bindDN", DM, "--bindPassword", PASSWORD, "--trustAll"]).args(args);
        let ran = command.output().unwrap();
        (
            ran.status.code().unwrap(),
            format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)),
        )
    };
    let ask = |who: &str, target: &str, more: &[&str]| {
        let mut args = vec!["--as", who, "--target", target];
        args.extend(more);
        explain(&args)
    };
    let table: [(&str, &str, &[&str], i32, &str); 14] = [
        (
            CTS_USER,
            &dn,
            &["--op", "read", "--attribute", "coreTokenId"],
            0,
            "the ACI \"Allow entry search\" of dc=cts",
        ),
        (CTS_USER, &dn, &["--op", "read"], 0, "read is granted of: objectClass coreTokenId"),
        ("u:openam_cts", &dn, &["--op", "delete"], 0, "\"Delete entries\" of dc=cts"),
        (CTS_USER, "cn=new,dc=cts,dc=example,dc=com", &["--op", "add"], 0, "\"Add config entry\""),
        (CTS_USER, &dn, &["--op", "compare", "--attribute", "coreTokenId"], 3, "does not grant compare"),
        (
            NOBODY,
            &dn,
            &["--op", "read", "--attribute", "coreTokenId"],
            3,
            "does not meet its bind rule: (userdn = \"ldap:///uid=openam_cts",
        ),
        (NOBODY, &dn, &["--op", "read"], 3, "hidden from the requester"),
        ("anonymous", &dn, &["--op", "delete"], 3, "does not meet its bind rule"),
        (
            CTS_USER,
            SUFFIX,
            &["--op", "control", "--oid", oid::PERSISTENT_SEARCH],
            0,
            "Allow persistentsearch",
        ),
        (NOBODY, SUFFIX, &["--op", "control", "--oid", oid::PERSISTENT_SEARCH], 3, "Allow persistentsearch"),
        (NOBODY, SUFFIX, &["--op", "extop", "--oid", oid::WHO_AM_I], 0, "the global ACI"),
        (CTS_USER, &base, &["--op", "write", "--attribute", "aci"], 3, "takes the privilege modify-acl"),
        (CTS_USER, "cn=config", &["--op", "write", "--attribute", "ds-cfg-size-limit"], 3, "config-write"),
        (DM, &dn, &["--op", "read"], 0, "read is granted of"),
    ];
    for (who, target, more, code, words) in table {
        let (exit, text) = ask(who, target, more);
        assert_eq!(exit, code, "{who} {more:?}\n{text}");
        assert!(text.contains(words), "{who} {more:?} should say {words}\n{text}");
        assert!(text.starts_with(if code == 0 { "granted: " } else { "refused: " }), "{text}");
        assert!(text.contains("\nwho asks: ") && text.contains("\nprivileges: "), "{text}");
    }
    // As from elsewhere: rules about the connection are answered too.
    let aci = format!(
        "(targetattr=\"*\")(version 3.0; acl \"from the host\"; allow (compare) userdn=\"ldap:///{CTS_USER}\" and ip=\"10.0.0.7\" \
         and ssf>=\"128\" and authmethod=\"ssl\";)"
    );
    assert_eq!(cts().root().modify(&base, &[('+', "aci", &[&aci])], &[]).code, 0);
    let here = ["--op", "compare", "--attribute", "coreTokenId"];
    let (exit, text) = ask(CTS_USER, &dn, &here);
    assert!(exit == 3 && text.contains("\"from the host\"") && text.contains("10.0.0.7"), "{text}");
    let there = [&here[..], &["--from", "10.0.0.7", "--ssf", "256", "--authmethod", "ssl"]].concat();
    let (exit, text) = ask(CTS_USER, &dn, &there);
    assert!(exit == 0 && text.contains("authenticated by certificate, from 10.0.0.7, ssf 256"), "{text}");
    // Values of which some may be written: without one it hangs on it, with one it does not.
    let aci = format!(
        "(targattrfilters=\"add=description:(description=b*)\")(version 3.0; acl \"some\"; allow (write) userdn=\"ldap:///{NOBODY}\";)"
    );
    assert_eq!(cts().root().modify(&base, &[('+', "aci", &[&aci])], &[]).code, 0);
    let writes = ["--op", "write", "--attribute", "description"];
    let (exit, text) = ask(NOBODY, &dn, &writes);
    assert!(exit == 3 && text.starts_with("refused (of some values): "), "{text}");
    assert!(
        text.contains("\"some\" of ou=explain") && text.contains("of some values: add=description"),
        "{text}"
    );
    for (value, code, words) in [
        ("blue", 0, "allows adding the value \"blue\" of attribute description"),
        ("pink", 3, "targattrfilters or targetattr do not take adding the value \"pink\""),
    ] {
        let (exit, text) = ask(NOBODY, &dn, &[&writes[..], &["--add-value", value]].concat());
        assert!(exit == code && text.contains(words), "{text}");
    }
    let (exit, text) = ask(NOBODY, &dn, &[&writes[..], &["--delete-value", "blue"]].concat());
    assert!(exit == 3 && text.starts_with("refused: "), "{text}");
    let query = Query::base(&dn).select(&["description", "cn", "aclRights"]);
    let found = told(&cts().root().search(&query, &[rights(Some(&format!("dn:{NOBODY}")), &[])]));
    let of = |name: &str| found.iter().find(|(found, _)| found.ends_with(name)).unwrap().1.clone();
    let hangs = "search:0,read:0,compare:0,write:?,selfwrite_add:?,selfwrite_delete:?,proxy:0";
    assert_eq!((of(";description"), of(";cn")), (hangs.to_owned(), hangs.replace('?', "0")));
    // What cannot be explained.
    assert_eq!(ask("uid=unknown,dc=cts,dc=example,dc=com", &dn, &["--op", "read"]).0, 32);
    assert_eq!(ask(CTS_USER, "cn=unknown,dc=cts,dc=example,dc=com", &["--op", "read"]).0, 32);
    let (exit, text) = ask(CTS_USER, &dn, &["--op", "reed"]);
    assert!(exit == 53 && text.contains("there is no operation reed"), "{exit} {text}");
}

/// An ACI with a filter may show entries below a base that it does not show. Who finds some gets them; who finds none is
/// told that there is no base, for otherwise the answer would tell that there is one.
#[test]
fn a_base_that_is_hidden_shows_what_may_be_seen_below_it() {
    let base = cts().container("hidden");
    let mut openam = cts().openam();
    Token::session("shown", "shandle:hidden").create(&mut openam, &base);
    Token::session("kept", "shandle:hidden").with("coreTokenString05", "kept").create(&mut openam, &base);
    let dn = cts().user("below", &[]);
    let aci = format!(
        "(targetattr=\"*\")(targetfilter=\"(&(objectClass=frCoreToken)(!(coreTokenString05=kept)))\")(version 3.0; acl \"below\"; \
         allow (search, read) userdn=\"ldap:///{dn}\";)"
    );
    assert_eq!(cts().root().modify(&base, &[('+', "aci", &[&aci])], &[]).code, 0);
    let mut link = cts().instance.bound(&dn);
    let query =
        |base: &str, scope| Query::new(base, scope, "(coreTokenString03=shandle:hidden)").select(&["1.1"]);
    for scope in [Scope::One, Scope::Subtree, Scope::Subordinate] {
        let found = link.search(&query(&base, scope), &[]);
        assert_eq!((found.code(), found.entries.len()), (0, 1), "{scope:?} {:?}", found.done);
        assert!(found.entries[0].dn.to_lowercase().starts_with("coretokenid=shown,"));
    }
    let mut cookie = Vec::new();
    let mut pages = 0;
    loop {
        let found = link.search(&query(&base, Scope::Subtree), &[Ctl::paged(1, &cookie)]);
        assert_eq!(found.code(), 0, "{:?}", found.done);
        pages += 1;
        cookie = found.done.cookie().unwrap_or_default();
        if cookie.is_empty() {
            break;
        }
    }
    assert!(pages <= 2);
    // Nothing found: as if the base were not there, to the letter.
    let gone = format!("ou=gone,{base}");
    for filter in ["(coreTokenString03=none)", "(coreTokenString05=kept)", "(description=unindexed)"] {
        let hidden = link.search(&Query::subtree(&base, filter), &[]);
        let missing = link.search(&Query::subtree(&gone, filter), &[]);
        assert_eq!(hidden.entries.len(), 0);
        let said = |found: &Found| (found.code(), found.done.diagnostic.clone(), found.done.matched.clone());
        assert_eq!(said(&hidden), said(&missing), "{filter}");
        assert_eq!(hidden.code(), 32, "{filter}");
    }
    assert_eq!(link.read(&base, &["*"]).code(), 32, "the base itself stays hidden");
    let mut other: Link = cts().instance.bound(NOBODY);
    assert_eq!(other.search(&query(&base, Scope::Subtree), &[]).code(), 32);
    // The same of entries that are made.
    let handler = "cn=Access Control Handler,cn=config";
    let aci = format!(
        "(target=\"ldap:///cn=Work Queue,cn=monitor\")(targetattr=\"*\")(version 3.0; acl \"queue\"; allow (search, read) \
         userdn=\"ldap:///{dn}\";)"
    );
    let mut root = cts().root();
    assert_eq!(root.modify(handler, &[('+', "ds-cfg-global-aci", &[&aci])], &[]).code, 0);
    let mut ask = |base: &str, scope, filter: &str| {
        let found = link.search(&Query::new(base, scope, filter).select(&["1.1"]), &[]);
        (found.code(), found.entries.into_iter().map(|entry| entry.dn).collect::<Vec<_>>())
    };
    let queue = (0, vec!["cn=Work Queue,cn=monitor".to_owned()]);
    assert_eq!(ask("cn=monitor", Scope::Subtree, "(objectClass=*)"), queue);
    assert_eq!(ask("cn=monitor", Scope::One, "(cn=*)"), queue);
    assert_eq!(ask("cn=monitor", Scope::Subtree, "(cn=Version)"), (32, Vec::new()));
    assert_eq!(ask("cn=monitor", Scope::Base, "(objectClass=*)"), (32, Vec::new()));
    assert_eq!(other.search(&Query::subtree("cn=monitor", "(objectClass=*)"), &[]).code(), 32);
    assert_eq!(root.modify(handler, &[('-', "ds-cfg-global-aci", &[&aci])], &[]).code, 0);
}
