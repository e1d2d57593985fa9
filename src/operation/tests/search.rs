//! Searches: scopes, limits, pages, sorting, what is shown.

use super::*;
use crate::protocol::control::paged::PagedRequest;
use crate::protocol::control::sort::{self, SortKey};

fn filled(count: usize) -> Arc<Server> {
    let server = Server::new();
    let user = server.user();
    for index in 0..count {
        let number = format!("{:04}", index * 7 % count);
        let id = format!("t{index:04}");
        user.add_token(&id, &[("coreTokenString01", &[&number]), ("coreTokenUserId", &["demo"])])
            .code(ResultCode::SUCCESS);
    }
    server
}

#[test]
fn heartbeats_and_the_root_dse() {
    let server = Server::new();
    for client in [server.connect(), server.user(), server.manager()] {
        for _ in 0..2 {
            let answer = client
                .search(&Search { attributes: &["1.1"], ..Search::base("") }, &[])
                .code(ResultCode::SUCCESS);
            assert_eq!((answer.entry().dn.as_str(), answer.entry().attributes.len()), ("", 0));
            let names = ["altServer", "supportedControl", "vendorName", "vendorName", "*"];
            let answer = client
                .search(&Search { attributes: &names, ..Search::base("") }, &[])
                .code(ResultCode::SUCCESS);
            assert_eq!(answer.entry().values("supportedControl"), ["2.16.840.1.113730.3.4.3"]);
        }
    }
}

#[test]
fn scopes() {
    let server = filled(3);
    let user = server.user();
    let count = |base: &str, scope| {
        let answer = user.search(&Search { scope, attributes: &["1.1"], ..Search::base(base) }, &[]);
        answer.code(ResultCode::SUCCESS).entries.len()
    };
    let container = format!("ou=tokens,{SUFFIX}");
    assert_eq!(count(&container, Scope::Base), 1);
    assert_eq!(count(&container, Scope::One), 3);
    assert_eq!(count(&container, Scope::Subtree), 4);
    assert_eq!(count(&container, Scope::Subordinate), 3);
    assert_eq!(count("", Scope::Subtree), 7);
    assert_eq!(count("", Scope::One), 1);
    let missing = user.find("(a=b)", &[], &[]).code(ResultCode::SUCCESS);
    assert!(missing.entries.is_empty());
    let search = Search { scope: Scope::Subtree, ..Search::base("ou=none,dc=cts,dc=example,dc=com") };
    let answer = user.search(&search, &[]).code(ResultCode::NO_SUCH_OBJECT);
    assert_eq!(answer.result().matched, SUFFIX);
    let answer = user.read(&container, &["numSubordinates", "hasSubordinates"]);
    assert_eq!(answer.entry().values("numSubordinates"), ["3"]);
    assert_eq!(answer.entry().values("hasSubordinates"), ["TRUE"]);
}

#[test]
fn filters_of_the_contract() {
    let server = filled(3);
    let user = server.user();
    let count = |filter: &str| {
        user.find(filter, &["coreTokenId", "etag"], &[]).code(ResultCode::SUCCESS).entries.len()
    };
    assert_eq!(count("(&(&)(objectClass=frCoreToken))"), 3);
    assert_eq!(count("(&(objectClass=frCoreToken))"), 3);
    assert_eq!(count("(|)"), 0);
    assert_eq!(count("(&(coreTokenUserId=DEMO)(objectClass=frCoreToken))"), 3);
    assert_eq!(count("(!(noSuchThing=x))"), 0);
    assert_eq!(count("(&(!(coreTokenString09=x))(objectClass=frCoreToken))"), 3);
    assert_eq!(count("(&(coreTokenString01>=0001)(!(coreTokenString01=0001)))"), 1);
}

#[test]
fn size_limits() {
    let server = filled(5);
    let user = server.user();
    let find = |size_limit| {
        let filter = crate::protocol::filter_text::parse("(objectClass=frCoreToken)").unwrap();
        user.search(&Search { scope: Scope::Subtree, filter, size_limit, ..Search::base(SUFFIX) }, &[])
    };
    assert_eq!(find(5).code(ResultCode::SUCCESS).entries.len(), 5);
    let answer = find(4).code(ResultCode::SIZE_LIMIT_EXCEEDED).says("4");
    assert_eq!(answer.entries.len(), 4);
    let change = [(ModifyOperation::Replace, ("ds-rlim-size-limit", &[&b"2"[..]][..]))];
    server.manager().modify(USER, &change, &[]).code(ResultCode::SUCCESS);
    let user = server.user();
    let answer = user.find("(objectClass=frCoreToken)", &[], &[]).code(ResultCode::SIZE_LIMIT_EXCEEDED);
    assert_eq!(answer.entries.len(), 2);
    answer.says("ds-rlim-size-limit");
    user.read(&token("t0001"), &["*", "etag"]).code(ResultCode::SUCCESS);
}

#[test]
fn look_through_and_time_limits() {
    let server = filled(5);
    let manager = server.manager();
    let set = |name: &str, value: &[u8]| {
        manager.modify(USER, &[(ModifyOperation::Replace, (name, &[value]))], &[]).code(ResultCode::SUCCESS);
        server.user()
    };
    let user = set("ds-rlim-lookthrough-limit", b"3");
    user.find("(objectClass=frCoreToken)", &[], &[])
        .code(ResultCode::ADMIN_LIMIT_EXCEEDED)
        .says("ds-rlim-lookthrough-limit");
    user.read(&token("t0001"), &[]).code(ResultCode::SUCCESS);
    let user = set("ds-rlim-lookthrough-limit", b"0");
    server.clock.advance(std::time::Duration::from_secs(100));
    user.late.store(61, Ordering::SeqCst);
    user.find("(objectClass=frCoreToken)", &[], &[])
        .code(ResultCode::TIME_LIMIT_EXCEEDED)
        .says("60 s (ds-rlim-time-limit)");
    user.late.store(0, Ordering::SeqCst);
    user.find("(objectClass=frCoreToken)", &[], &[]).code(ResultCode::SUCCESS);
}

#[test]
fn the_unindexed_rule() {
    let server = filled(1);
    server.store.is_indexed.store(false, Ordering::SeqCst);
    let user = server.user();
    user.find("(coreTokenString13=*)", &[], &[]).code(ResultCode::SUCCESS);
    let change = [(ModifyOperation::Delete, ("ds-privilege-name", &[&b"unindexed-search"[..]][..]))];
    server.manager().modify(USER, &change, &[]).code(ResultCode::SUCCESS);
    let user = server.user();
    user.find("(coreTokenString13=*)", &[], &[])
        .code(ResultCode::INSUFFICIENT_ACCESS_RIGHTS)
        .says("unindexed-search")
        .says("coreTokenString13");
    user.read(&token("t0000"), &[]).code(ResultCode::SUCCESS);
    let answer =
        server.manager().find("(coreTokenString13=*)", &["debugsearchindex"], &[]).code(ResultCode::SUCCESS);
    assert_eq!(answer.entry().dn, "cn=debugsearch");
    assert_eq!(answer.entry().values("debugsearchindex"), ["all of it"]);
}

fn page(client: &Client, filter: &str, size: u32, cookie: Bytes) -> (Answer, Option<Bytes>) {
    let value = PagedRequest { size, cookie }.value();
    let answer = client.find(filter, &["coreTokenId", "etag"], &[critical(ControlKind::Paged, &value)]);
    let cookie = answer.control(ControlKind::Paged).map(|value| PagedRequest::parse(value).unwrap().cookie);
    (answer, cookie)
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let server = filled(7);
    let user = server.user();
    let filter = "(objectClass=frCoreToken)";
    let mut seen = Vec::new();
    let mut cookie = Bytes::new();
    let mut pages = 0;
    loop {
        let (answer, next) = page(&user, filter, 3, cookie);
        answer.result();
        seen.extend(answer.entries.iter().map(|entry| entry.dn.clone()));
        pages += 1;
        cookie = next.unwrap();
        if cookie.is_empty() {
            break;
        }
    }
    assert_eq!((pages, seen.len()), (3, 7));
    seen.dedup();
    assert_eq!(seen.len(), 7);
}

#[test]
fn the_cookie_is_empty_iff_nothing_is_left() {
    let server = filled(6);
    let user = server.user();
    let filter = "(objectClass=frCoreToken)";
    let (answer, cookie) = page(&user, filter, 6, Bytes::new());
    assert_eq!((answer.entries.len(), cookie.unwrap().len()), (6, 0));
    let (_, cookie) = page(&user, filter, 5, Bytes::new());
    assert!(!cookie.unwrap().is_empty());
    // Candidates beyond the page that do not match are not "more".
    let (answer, cookie) = page(&user, "(coreTokenString01<=0002)", 3, Bytes::new());
    assert_eq!((answer.entries.len(), cookie.unwrap().len()), (3, 0));
    let (answer, cookie) = page(&user, "(coreTokenString01=none)", 3, Bytes::new());
    assert_eq!((answer.entries.len(), cookie.unwrap().len()), (0, 0));
    // The base entry alone.
    let value = PagedRequest { size: 1, cookie: Bytes::new() }.value();
    let answer =
        user.search(&Search::base(SUFFIX), &[critical(ControlKind::Paged, &value)]).code(ResultCode::SUCCESS);
    assert_eq!(answer.entries.len(), 1);
    assert!(answer.control(ControlKind::Paged).is_some());
}

#[test]
fn a_reaper_starts_from_the_first_page_each_time() {
    let server = filled(10);
    let (reader, deleter) = (server.user(), server.user());
    let mut pages = 0;
    loop {
        let (answer, cookie) = page(&reader, "(coreTokenUserId=demo)", 4, Bytes::new());
        pages += 1;
        for entry in &answer.entries {
            deleter.delete(&entry.dn, &[]).code(ResultCode::SUCCESS);
        }
        if cookie.unwrap().is_empty() {
            break;
        }
    }
    assert_eq!(pages, 3);
    assert!(reader.find("(objectClass=frCoreToken)", &[], &[]).entries.is_empty());
}

#[test]
fn pages_under_a_size_limit_are_cut_and_go_on() {
    let server = filled(5);
    let change = [(ModifyOperation::Replace, ("ds-rlim-size-limit", &[&b"2"[..]][..]))];
    server.manager().modify(USER, &change, &[]).code(ResultCode::SUCCESS);
    let user = server.user();
    let (answer, cookie) = page(&user, "(objectClass=frCoreToken)", 1000, Bytes::new());
    assert_eq!(answer.result().code, ResultCode::SUCCESS);
    assert_eq!(answer.entries.len(), 2);
    assert!(!cookie.unwrap().is_empty());
}

#[test]
fn foreign_cookies_are_refused() {
    let server = filled(3);
    let user = server.user();
    let (_, cookie) = page(&user, "(objectClass=frCoreToken)", 1, Bytes::new());
    let (answer, _) = page(&user, "(coreTokenUserId=demo)", 1, cookie.clone().unwrap());
    answer.code(ResultCode::UNWILLING_TO_PERFORM).says("cookie");
    let (answer, _) = page(&user, "(objectClass=frCoreToken)", 1, Bytes::from_static(b"garbage"));
    answer.code(ResultCode::UNWILLING_TO_PERFORM);
    let (answer, end) = page(&user, "(objectClass=frCoreToken)", 0, cookie.unwrap());
    assert_eq!((answer.entries.len(), end.unwrap().len()), (0, 0));
}

#[test]
fn sorts() {
    let server = filled(5);
    let user = server.user();
    let key = |attribute: &str, reverse| SortKey { attribute: attribute.into(), rule: None, reverse };
    let sorted = |keys: &[SortKey], is_critical| {
        let value = sort::request_value(keys);
        let control = Control { oid: ControlKind::Sort.oid(), critical: is_critical, value: Some(&value) };
        user.find("(objectClass=frCoreToken)", &["coreTokenString01"], &[control])
    };
    let numbers = |answer: &Answer| -> Vec<String> {
        answer.entries.iter().flat_map(|entry| entry.values("coreTokenString01")).collect()
    };
    let answer = sorted(&[key("coreTokenString01", false)], true).code(ResultCode::SUCCESS);
    assert_eq!(numbers(&answer), ["0000", "0001", "0002", "0003", "0004"]);
    let (_, response) = &answer.controls[0];
    assert_eq!(sort::parse_response(response).unwrap(), (ResultCode::SUCCESS, None));
    let answer = sorted(&[key("coreTokenString01", true)], true);
    assert_eq!(numbers(&answer), ["0004", "0003", "0002", "0001", "0000"]);
    sorted(&[key("noSuchThing", false)], true)
        .code(ResultCode::UNAVAILABLE_CRITICAL_EXTENSION)
        .says("noSuchThing");
    let answer = sorted(&[key("noSuchThing", false)], false).code(ResultCode::SUCCESS);
    assert_eq!(answer.entries.len(), 5);
    let (_, response) = &answer.controls[0];
    assert_eq!(sort::parse_response(response).unwrap().0, ResultCode::NO_SUCH_ATTRIBUTE);
}

#[test]
fn sorted_pages() {
    let server = filled(5);
    let user = server.user();
    let keys =
        sort::request_value(&[SortKey { attribute: "coreTokenString01".into(), rule: None, reverse: false }]);
    let mut cookie = Bytes::new();
    let mut seen = Vec::new();
    loop {
        let value = PagedRequest { size: 2, cookie }.value();
        let controls = [critical(ControlKind::Paged, &value), critical(ControlKind::Sort, &keys)];
        let answer = user
            .find("(objectClass=frCoreToken)", &["coreTokenString01"], &controls)
            .code(ResultCode::SUCCESS);
        seen.extend(answer.entries.iter().flat_map(|entry| entry.values("coreTokenString01")));
        cookie = PagedRequest::parse(answer.control(ControlKind::Paged).unwrap()).unwrap().cookie;
        if cookie.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["0000", "0001", "0002", "0003", "0004"]);
}

#[test]
fn an_assertion_on_a_search_is_about_its_base() {
    let server = filled(1);
    let user = server.user();
    let etag = user.read(&token("t0000"), &["etag"]).entry().values("etag");
    let (right, wrong) = (equality("etag", etag[0].as_bytes()), equality("etag", b"x"));
    let read = |value: &[u8]| {
        user.search(&Search::base(&token("t0000")), &[critical(ControlKind::Assertion, value)])
    };
    assert_eq!(read(&right).code(ResultCode::SUCCESS).entries.len(), 1);
    assert!(read(&wrong).code(ResultCode::ASSERTION_FAILED).entries.is_empty());
    let missing = user.search(&Search::base(&token("gone")), &[critical(ControlKind::Assertion, &right)]);
    missing.code(ResultCode::NO_SUCH_OBJECT);
}

#[test]
fn only_what_is_asked_for_is_shown() {
    let server = filled(1);
    let user = server.user();
    let names = |attributes: &[&str]| -> Vec<String> {
        user.read(&token("t0000"), attributes).entry().names().into_iter().map(str::to_owned).collect()
    };
    assert_eq!(names(&["etag", "dn", "ETAG", "noSuchThing"]), ["etag"]);
    assert_eq!(names(&["1.1"]), Vec::<String>::new());
    assert!(names(&["+"]).contains(&"etag".to_owned()));
    assert!(!names(&["*"]).contains(&"etag".to_owned()));
    assert_eq!(names(&["CORETOKENSTRING01"]), ["coreTokenString01"]);
    let dn = token("t0000");
    let search = Search { types_only: true, attributes: &["coreTokenId"], ..Search::base(&dn) };
    let answer = user.search(&search, &[]);
    assert_eq!(answer.entry().attributes, [("coreTokenId".to_owned(), vec![])]);
    let multi: &[(&str, &[&str])] = &[("coreTokenMultiString01", &["a", "b"])];
    user.add_token("m", multi).code(ResultCode::SUCCESS);
    let mut items = BytesMut::new();
    crate::ber::write::element(&mut items, 0x30, &equality("coreTokenMultiString01", b"b"));
    let answer = user.find(
        "(coreTokenId=m)",
        &["coreTokenMultiString01"],
        &[critical(ControlKind::MatchedValues, &items)],
    );
    assert_eq!(answer.entry().values("coreTokenMultiString01"), ["b"]);
}

#[test]
fn long_searches_go_on_beside_and_can_be_abandoned() {
    let server = filled(40);
    let user = server.user();
    // More waits than the first slice may leave behind: the rest goes on beside.
    user.connection.waiting.store(1 << 20, Ordering::SeqCst);
    let answer = user.find("(objectClass=frCoreToken)", &[], &[]).code(ResultCode::SUCCESS);
    assert_eq!(answer.entries.len(), 40);
    *user.ending.lock().unwrap() = Some(Ending::Canceled);
    user.find("(objectClass=frCoreToken)", &[], &[]).code(ResultCode::CANCELED);
    *user.ending.lock().unwrap() = Some(Ending::Abandoned);
    let answer = user.find("(objectClass=frCoreToken)", &[], &[]);
    assert!(answer.results.is_empty() && user.flight().is_none());
}
