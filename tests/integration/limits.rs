//! Limits of `features` §6: by user, by request, by configuration; the answer says which one, and its value.

use std::time::Duration;

use crate::support::{Ctl, Instance, Link, Lost, PASSWORD, Query, Reply, SUFFIX, Setup, Token, cts, request};

fn fill(base: &str, count: usize) {
    let answers = cts().openam().pipeline(count, |number, id| {
        Token::session(&format!("l{number}"), "shandle:limits").add_bytes(id, base)
    });
    assert!(answers.iter().all(|answer| answer.code == 0));
}

fn user(name: &str, base: &str, limits: &[(&str, &[&str])]) -> Link {
    let dn = cts().user(name, limits);
    let aci = format!(
        "(targetattr=\"*\")(version 3.0; acl \"{name}\"; allow (search, read) userdn = \"ldap:///{dn}\";)"
    );
    assert_eq!(cts().root().modify(base, &[('+', "aci", &[&aci])], &[]).code, 0);
    cts().instance.bound(&dn)
}

#[test]
fn the_smaller_of_the_requests_and_the_users_size_limit_holds() {
    let base = cts().container("limits-size");
    fill(&base, 30);
    let query = Query::subtree(&base, "(coreTokenString03=shandle:limits)").select(&["1.1"]);
    let mut link = user("limits-size", &base, &[("ds-rlim-size-limit", &["20"])]);
    for (asked, given) in [(0, 20), (10, 10), (20, 20), (25, 20)] {
        let found = link.search(&query.clone().size(asked), &[]);
        assert_eq!((found.code(), found.entries.len()), (4, given), "{asked}");
        assert!(found.done.diagnostic.contains(&given.to_string()), "{}", found.done.diagnostic);
    }
    let exactly = Query::subtree(&base, "(coreTokenString02=AQIC5wM2LY4Sfcxl7)").size(1);
    let found = link.search(&exactly, &[]);
    assert_eq!((found.code(), found.entries.len()), (0, 1), "as many as the limit is not too many");
    assert_eq!(cts().root().search(&query, &[]).entries.len(), 30, "the root user has no limits");
}

#[test]
fn the_look_through_limit_counts_candidates() {
    let base = cts().container("limits-look");
    fill(&base, 30);
    let query = Query::subtree(&base, "(&(coreTokenString03=shandle:limits)(coreTokenString13=none))");
    let all = ("ds-privilege-name", &["unindexed-search"][..]);
    let mut link = user("limits-look", &base, &[("ds-rlim-lookthrough-limit", &["10"]), all]);
    let found = link.search(&query, &[]);
    assert_eq!((found.code(), found.entries.len()), (11, 0), "{:?}", found.done);
    assert!(found.done.diagnostic.contains("10"), "{}", found.done.diagnostic);
    let mut link = user("limits-look-none", &base, &[("ds-rlim-lookthrough-limit", &["0"]), all]);
    assert_eq!(link.search(&query, &[]).code(), 0);
}

/// Idle connections end with a notice; one that listens is not idle.
#[test]
fn the_idle_limit_ends_connections_that_do_nothing() {
    let base = cts().container("limits-idle");
    let mut link = user("limits-idle", &base, &[("ds-rlim-idle-time-limit", &["1"])]);
    let dn = "uid=limits-idle,ou=admins,dc=cts,dc=example,dc=com";
    let aci = format!(
        "(targetcontrol=\"2.16.840.1.113730.3.4.3\")(version 3.0; acl \"idle\"; allow (read) userdn = \"ldap:///{dn}\";)"
    );
    assert_eq!(cts().root().modify(SUFFIX, &[('+', "aci", &[&aci])], &[]).code, 0);
    // Both requests at once: the limit begins with the bind.
    let mut listener = cts().instance.link();
    let (bind, id) = (listener.id(), listener.id());
    let tokens = Query::subtree(&base, "(objectClass=frCoreToken)").select(&["coreTokenId"]);
    let mut both = request::bind(bind, dn, PASSWORD, &[]);
    both.extend(request::search(id, &tokens, &[Ctl::openam_persistent()]));
    listener.send(&both);
    assert_eq!(listener.answer(bind).code, 0);
    match link.next().unwrap() {
        Reply::Answer(notice) => {
            assert_eq!((notice.id, notice.name.as_deref()), (0, Some("1.3.6.1.4.1.1466.20036")));
            assert!(notice.diagnostic.contains("idle"), "{notice:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(link.next().unwrap_err(), Lost::Closed);
    assert_eq!(listener.next_within(Duration::from_millis(1_500)).unwrap_err(), Lost::Silent);
    Token::session("heard", "x").create(&mut cts().openam(), &base);
    assert_eq!(listener.notified(id).text("coreTokenId").as_deref(), Some("heard"));
}

/// Those of `cn=config` hold for who has none of their own, from the moment they are changed.
#[test]
fn the_configured_limits_change_while_it_serves() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    let mut root = instance.root();
    let handler = "cn=Access Control Handler,cn=config";
    let open =
        "(targetattr=\"*\")(version 3.0; acl \"open\"; allow (read, search) userdn=\"ldap:///anyone\";)";
    assert_eq!(root.modify(handler, &[('+', "ds-cfg-global-aci", &[open])], &[]).code, 0);
    let answers = root.pipeline(20, |number, id| {
        Token::session(&format!("c{number}"), "shandle:config").add_bytes(id, SUFFIX)
    });
    assert!(answers.iter().all(|answer| answer.code == 0));
    let query = Query::subtree(SUFFIX, "(coreTokenString03=shandle:config)").select(&["1.1"]);
    assert_eq!(instance.link().search(&query, &[]).entries.len(), 20);
    assert_eq!(root.modify("cn=config", &[('=', "ds-cfg-size-limit", &["5"])], &[]).code, 0);
    let found = instance.link().search(&query, &[]);
    assert_eq!((found.code(), found.entries.len()), (4, 5));
    assert_eq!(root.modify("cn=config", &[('=', "ds-cfg-size-limit", &["0"])], &[]).code, 0);
    assert_eq!(root.modify("cn=config", &[('=', "ds-cfg-lookthrough-limit", &["5"])], &[]).code, 0);
    assert_eq!(instance.link().search(&query, &[]).code(), 11);
    for wrong in ["many", "-5", ""] {
        let answer = root.modify("cn=config", &[('=', "ds-cfg-size-limit", &[wrong])], &[]);
        assert!(answer.code != 0 && !answer.diagnostic.is_empty(), "{wrong}: {answer:?}");
    }
    assert!(root.heartbeat());
    assert_eq!(
        root.modify("cn=config", &[('=', "ds-cfg-reject-unauthenticated-requests", &["true"])], &[]).code,
        0
    );
    let refused = instance.link().search(&query, &[]);
    assert_eq!((refused.code(), refused.entries.len()), (53, 0), "{:?}", refused.done);
    assert!(instance.root().heartbeat(), "binding is still allowed");
}
