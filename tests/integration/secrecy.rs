//! Tokens are credentials and their DNs hold their ids: anonymous and unrelated users get neither, whatever they send.

use ctsd::protocol::filter_text;
use ctsd::protocol::message::Scope;
use ctsd::protocol::oid;

use crate::support::{
    Answer, CTS_USER, Ctl, FAMRECORDS, Found, Link, NOBODY, Query, Reply, SUFFIX, TID, Token, cts, request,
};

const SECRET: &str = "s3cr3t-token-id";

/// The token everybody is after, once.
fn token() -> &'static (String, String) {
    static TOKEN: std::sync::LazyLock<(String, String)> = std::sync::LazyLock::new(|| {
        let base = cts().container("secrecy");
        let token = Token::session(SECRET, "shandle:secret");
        let etag = token.create(&mut cts().openam(), &base);
        (token.dn(&base), etag)
    });
    &TOKEN
}

/// An anonymous connection, one whose bind failed, and a user's who has no business here.
fn strangers() -> Vec<(&'static str, Link)> {
    let mut failed = cts().instance.link();
    failed.bind(CTS_USER, "wrong");
    vec![
        ("anonymous", cts().instance.link()),
        ("failed", failed),
        ("unrelated", cts().instance.bound(NOBODY)),
    ]
}

fn entry_uuid() -> (String, String) {
    let (dn, _) = token();
    let found = cts().root().read(dn, &["entryUUID", "createTimestamp"]);
    (found.entries[0].text("entryUUID").unwrap(), found.entries[0].text("createTimestamp").unwrap())
}

fn filters() -> Vec<String> {
    let (dn, etag) = token();
    let (uuid, created) = entry_uuid();
    let mut filters: Vec<String> = [
        "(objectClass=*)",
        "(objectClass=frCoreToken)",
        "(objectClass=top)",
        "(&)",
        "(|)",
        "(!(|))",
        "(!(objectClass=person))",
        "(!(!(objectClass=frCoreToken)))",
        "(!(undefined=x))",
        "(|(undefined=x)(&))",
        "(&(&)(objectClass=frCoreToken))",
        "(coreTokenId=*)",
        "(coreTokenId=s3cr3t*)",
        "(coreTokenType=SESSION)",
        "(coreTokenExpirationDate>=19700101000000Z)",
        "(!(coreTokenExpirationDate<=19700101000000Z))",
        "(coreTokenString03~=shandle:secret)",
        "(coreTokenObject=*)",
        "(etag=*)",
        "(entryUUID=*)",
        "(createTimestamp>=19700101000000Z)",
        "(!(createTimestamp<=19700101000000Z))",
        "(modifiersName=*)",
        "(hasSubordinates=FALSE)",
        "(numSubordinates=0)",
        "(structuralObjectClass=frCoreToken)",
        "(subschemaSubentry=cn=schema)",
        "(coreTokenId:dn:=s3cr3t-token-id)",
        "(ou:dn:=famrecords)",
        "(dc:dn:=cts)",
        "(:caseIgnoreMatch:=s3cr3t-token-id)",
        "(:dn:caseIgnoreMatch:=s3cr3t-token-id)",
        "(entryDN:distinguishedNameMatch:=cn=nobody)",
        "(userPassword=*)",
        "(aci=*)",
    ]
    .map(str::to_owned)
    .to_vec();
    filters.push(format!("(etag={etag})"));
    filters.push(format!("(entryUUID={uuid})"));
    filters.push(format!("(createTimestamp={created})"));
    filters.push(format!("(entryDN={dn})"));
    filters.push(format!("(!(entryDN={SUFFIX}))"));
    filters.push(format!("(|(etag={etag})(objectClass=*))"));
    filters.push(format!("(coreTokenId={SECRET})"));
    for filter in &filters {
        filter_text::parse(filter).unwrap();
    }
    filters
}

/// No token's DN, and no word of the token in anything said.
fn tells_nothing(what: &str, found: &Found) {
    for entry in &found.entries {
        let lower = entry.dn.to_lowercase();
        assert!(!lower.contains("coretokenid"), "{what}: {}", entry.dn);
        assert!(!lower.ends_with("example,dc=com"), "{what}: not even a container: {}", entry.dn);
    }
    says_nothing(what, &found.done);
}

fn says_nothing(what: &str, answer: &Answer) {
    for text in [&answer.diagnostic, &answer.matched] {
        // What the client itself sent may come back to it.
        let sent = what.contains(SECRET);
        assert!(sent || !text.to_lowercase().contains(SECRET), "{what}: {answer:?}");
    }
    assert_eq!(answer.matched, "", "{what}: a matched DN tells what is there");
    assert!(answer.before().is_none() && answer.after().is_none(), "{what}");
}

/// Every filter, attribute list and scope there is.
#[test]
fn no_search_tells_strangers_anything() {
    let (dn, _) = token();
    let (parent, filters) = (format!("ou=secrecy,{FAMRECORDS}"), filters());
    let lists: [&[&str]; 9] = [
        &[],
        &["*"],
        &["+"],
        &["*", "+"],
        &["1.1"],
        &["etag", "entryUUID", "createTimestamp", "entryDN"],
        &["coreTokenId"],
        &["@frCoreToken"],
        &["dn", "noSuchName"],
    ];
    for (who, mut link) in strangers() {
        let mut asked = Vec::new();
        for filter in &filters {
            for list in lists {
                for (base, scope) in [
                    (SUFFIX, Scope::Subtree),
                    ("", Scope::Subtree),
                    (parent.as_str(), Scope::One),
                    (dn, Scope::Base),
                ] {
                    asked.push(Query::new(base, scope, filter).select(list));
                }
            }
            asked.push(Query::new(FAMRECORDS, Scope::Subordinate, filter));
            asked.push(Query::subtree(dn, filter).types_only());
            asked.push(Query::subtree(SUFFIX, filter).size(1));
        }
        for some in asked.chunks(100) {
            let ids: Vec<_> = some.iter().map(|query| link.start(query, &[])).collect();
            for (query, id) in some.iter().zip(ids) {
                let found = link.found(id);
                tells_nothing(&format!("{who}: {query:?}"), &found);
            }
        }
    }
}

/// With every control that changes what a search answers.
#[test]
fn no_control_tells_strangers_anything() {
    let (dn, etag) = token();
    for (who, mut link) in strangers() {
        for critical in [false, true] {
            let with = |oid: &str, value: Option<Vec<u8>>| Ctl::new(oid, critical, value);
            let controls = [
                Ctl::transaction_id(TID),
                with(oid::PAGED_RESULTS, Ctl::paged(1, b"").value),
                with(oid::SORT_REQUEST, Ctl::sort("coreTokenId", false, true).value),
                with(oid::SORT_REQUEST, Ctl::sort("etag", true, true).value),
                with(oid::ASSERTION, Ctl::etag(etag).value),
                with(oid::ASSERTION, Ctl::assertion("(coreTokenType=SESSION)").value),
                with(oid::PERSISTENT_SEARCH, Ctl::persistent(15, false, true).value),
                with(oid::MANAGE_DSA_IT, None),
                with(oid::SUBENTRIES, Some(vec![1, 1, 0])),
                with(oid::PROXIED_AUTHORIZATION, Some(format!("dn:{CTS_USER}").into_bytes())),
                with(
                    oid::MATCHED_VALUES,
                    Some(crate::support::seq(&[crate::support::tlv(0x87, b"coreTokenId")])),
                ),
            ];
            for control in &controls {
                for (base, scope) in [(SUFFIX, Scope::Subtree), (dn, Scope::Base)] {
                    let query = Query::new(base, scope, "(objectClass=*)").select(&["*", "+"]);
                    let what = format!("{who}: {control:?} at {base}");
                    let id = link.start(&query, std::slice::from_ref(control));
                    // A persistent search that is let through stands; it must have nothing to tell.
                    assert!(link.heartbeat());
                    while let Some(at) = link.aside.iter().position(|reply| reply.id() == id) {
                        match link.aside.remove(at).unwrap() {
                            Reply::Answer(done) => says_nothing(&what, &done),
                            other => panic!("{what}: {other:?}"),
                        }
                    }
                    let abandon = link.id();
                    link.send(&request::abandon(abandon, id));
                }
            }
        }
    }
}

/// A stranger's persistent search, where the control is granted, hears nothing of tokens.
#[test]
fn a_granted_listener_without_rights_hears_nothing() {
    let base = cts().container("secrecy-psearch");
    let dn = cts().user("listener", &[]);
    let aci = format!(
        "(targetcontrol=\"{}\")(version 3.0; acl \"listen\"; allow (read) userdn = \"ldap:///{dn}\";)",
        oid::PERSISTENT_SEARCH
    );
    assert_eq!(cts().root().modify(SUFFIX, &[('+', "aci", &[&aci])], &[]).code, 0);
    let mut link = cts().instance.bound(&dn);
    for filter in ["(objectClass=*)", "(&)", "(etag=*)", "(!(cn=x))"] {
        link.start(&Query::subtree(&base, filter).select(&["1.1"]), &[Ctl::openam_persistent()]);
    }
    assert!(link.heartbeat());
    let mut writer = cts().openam();
    let token = Token::session("heard", "shandle:heard");
    token.create(&mut writer, &base);
    assert_eq!(writer.modify(&token.dn(&base), &[('=', "coreTokenString01", &["x"])], &[]).code, 0);
    assert_eq!(writer.delete(&token.dn(&base), &[]).code, 0);
    assert!(link.heartbeat());
    let quiet = link.next_within(std::time::Duration::from_millis(300));
    assert_eq!(quiet.unwrap_err(), crate::support::Lost::Silent);
    for reply in &link.aside {
        assert!(matches!(reply, Reply::Answer(answer) if matches!(answer.code, 32 | 50)), "{reply:?}");
    }
}

/// What is there and what is not look the same to them, whatever the operation.
#[test]
fn there_and_not_there_look_alike() {
    let (there, etag) = token();
    let missing = there.replace(SECRET, "no-such-token");
    let change: &[(char, &str, &[&str])] = &[('=', "coreTokenString01", &["x"])];
    for (who, mut link) in strangers() {
        let mut pair = |what: &str, ask: &mut dyn FnMut(&mut Link, &str) -> Answer| {
            let (one, other) = (ask(&mut link, there), ask(&mut link, &missing));
            says_nothing(&format!("{who}: {what}"), &one);
            assert_eq!((one.code, &one.diagnostic), (other.code, &other.diagnostic), "{who}: {what}");
            assert!(one.code != 0 && one.code != 5 && one.code != 6, "{who}: {what}: {one:?}");
            one.code
        };
        let read = pair("read", &mut |link, dn| {
            let found = link.read(dn, &["*", "etag"]);
            assert!(found.entries.is_empty());
            found.done
        });
        assert_eq!(read, 32, "{who}: as if it were not there");
        pair("read without attributes", &mut |link, dn| link.read(dn, &["1.1"]).done);
        pair("children", &mut |link, dn| link.search(&Query::new(dn, Scope::One, "(&)"), &[]).done);
        pair("subtree", &mut |link, dn| link.search(&Query::subtree(dn, "(&)"), &[]).done);
        pair("compare", &mut |link, dn| link.compare(dn, "coreTokenType", "SESSION", &[]));
        pair("compare of etag", &mut |link, dn| link.compare(dn, "etag", etag, &[]));
        pair("modify", &mut |link, dn| link.modify(dn, change, &[]));
        pair("modify under assertion", &mut |link, dn| link.modify(dn, change, &[Ctl::etag(etag)]));
        pair("modify with reading", &mut |link, dn| link.modify(dn, change, &[Ctl::pre_read(&["*", "+"])]));
        pair("delete", &mut |link, dn| link.delete(dn, &[Ctl::pre_read(&["*", "+"])]));
        pair("delete under assertion", &mut |link, dn| link.delete(dn, &[Ctl::etag("0000000000000000")]));
        pair("rename", &mut |link, dn| link.rename(dn, "coreTokenId=mine", true, None));
        pair("search under assertion", &mut |link, dn| {
            link.search(&Query::base(dn), &[Ctl::etag(etag)]).done
        });
        pair("add", &mut |link, dn| {
            link.add(dn, &[("objectClass", &["frCoreToken"]), ("coreTokenType", &["X"])], &[])
        });
        pair("add below", &mut |link, dn| {
            link.add(&format!("ou=x,{dn}"), &[("objectClass", &["organizationalUnit"])], &[])
        });
        pair("bind as a token", &mut |_, dn| cts().instance.link().bind(dn, "x"));
    }
    let found = cts().openam().read(there, &["etag"]);
    assert_eq!(found.entries[0].text("etag").as_ref(), Some(etag), "and nothing happened to it");
}

/// Whoever may read a little sees that little: a grant on one attribute shows no more than it.
#[test]
fn a_partial_grant_shows_its_part() {
    let base = cts().container("secrecy-partial");
    let token = Token::session("partial", "shandle:partial");
    token.create(&mut cts().openam(), &base);
    let dn = cts().user("partial", &[("ds-privilege-name", &["unindexed-search"])]);
    let aci = format!(
        "(targetattr=\"coreTokenType || ou\")(version 3.0; acl \"types\"; allow (search, read) userdn = \"ldap:///{dn}\";)"
    );
    assert_eq!(cts().root().modify(&base, &[('+', "aci", &[&aci])], &[]).code, 0);
    let mut link = cts().instance.bound(&dn);
    let mut names = |filter: &str| {
        let found = link.search(&Query::subtree(&base, filter).select(&["*"]), &[]);
        found.entries.into_iter().map(|entry| entry.names().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(names("(coreTokenType=SESSION)"), ["coreTokenType objectClass"]);
    assert!(names("(coreTokenString13=VALID)").is_empty(), "no right to search by it");
    assert!(names("(!(coreTokenString13=NOT))").is_empty());
    assert!(names("(&(coreTokenType=SESSION)(coreTokenString13=VALID))").is_empty());
    assert!(names("(&(coreTokenType=SESSION)(!(coreTokenId=x)))").is_empty());
    // A grant on operational attributes alone shows nothing.
    let dn = cts().user("operational", &[("ds-privilege-name", &["unindexed-search"])]);
    let aci = format!(
        "(targetattr=\"+\")(version 3.0; acl \"operational\"; allow (search, read) userdn = \"ldap:///{dn}\";)"
    );
    assert_eq!(cts().root().modify(&base, &[('+', "aci", &[&aci])], &[]).code, 0);
    let mut link = cts().instance.bound(&dn);
    for filter in ["(etag=*)", "(objectClass=*)", "(&)", "(entryUUID=*)"] {
        let found = link.search(&Query::subtree(&base, filter).select(&["+"]), &[]);
        assert!(found.entries.is_empty(), "{filter}");
    }
}
