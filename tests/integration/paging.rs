//! Simple paged results as OpenAM's workers use them (`cts-contract` §2.7), and as RFC 2696 means them.

use std::collections::BTreeSet;

use crate::support::{Ctl, Link, NOBODY, Query, TID, Token, cts, request};

const REAPER: &str = "(&(&(coreTokenExpirationDate<=20261122051638.043+0300)(!(coreTokenExpirationDate=20261122051638.043+0300)))(objectClass=frCoreToken))";

fn fill(link: &mut Link, base: &str, prefix: &str, count: usize, expires: &str) {
    let answers = link.pipeline(count, |number, id| {
        Token::new(&format!("{prefix}-{number}"), "SESSION")
            .with("coreTokenExpirationDate", expires)
            .add_bytes(id, base)
    });
    assert!(answers.iter().all(|answer| answer.code == 0));
}

fn page(link: &mut Link, base: &str, size: i64, cookie: &[u8]) -> (Vec<String>, Vec<u8>) {
    let query = Query::subtree(base, REAPER).select(&["coreTokenId", "etag"]);
    let found = link.search(&query, &[Ctl::transaction_id(TID), Ctl::paged(size, cookie)]);
    assert_eq!(found.code(), 0, "{:?}", found.done);
    let dns = found.entries.iter().map(|entry| entry.dn.clone()).collect();
    (dns, found.done.cookie().expect("the control is always in the answer"))
}

/// §9.8: 2,500 expired tokens; every request is a first page; deletes on other connections.
#[test]
fn the_reaper_ends_after_three_pages() {
    let base = cts().container("reaper");
    let mut worker = cts().openam();
    fill(&mut worker, &base, "dead", 2_500, "20200101000000.001+0300");
    fill(&mut worker, &base, "live", 60, "20991122021638Z");
    let mut pages = Vec::new();
    loop {
        let (dns, cookie) = page(&mut worker, &base, 1_000, b"");
        pages.push(dns.len());
        std::thread::scope(|scope| {
            for part in dns.chunks(250) {
                scope.spawn(|| {
                    let mut link = cts().openam();
                    let answers = link.pipeline(part.len(), |number, id| {
                        request::delete(id, &part[number], &[Ctl::transaction_id(TID)])
                    });
                    assert!(answers.iter().all(|answer| answer.code == 0));
                });
            }
        });
        if cookie.is_empty() {
            break;
        }
        assert!(pages.len() < 10, "{pages:?}");
    }
    assert_eq!(pages, [1_000, 1_000, 500]);
    assert_eq!(page(&mut worker, &base, 1_000, b""), (Vec::new(), Vec::new()));
    let live = worker.search(&Query::subtree(&base, "(coreTokenType=SESSION)").select(&["1.1"]), &[]);
    assert_eq!(live.entries.len(), 60);
}

/// The cookie is empty if and only if nothing is left; with it the pages are all entries once.
#[test]
fn cookies_lead_through_all_pages() {
    let base = cts().container("pages");
    let mut link = cts().openam();
    fill(&mut link, &base, "p", 30, "20200101000000Z");
    for size in [1, 7, 10, 29, 30, 31, 1_000] {
        let (mut all, mut cookie, mut pages) = (BTreeSet::new(), Vec::new(), 0);
        loop {
            let (dns, next) = page(&mut link, &base, size, &cookie);
            assert!(!dns.is_empty() && dns.len() <= size as usize, "size {size}");
            for dn in dns {
                assert!(all.insert(dn), "size {size}: an entry twice");
            }
            pages += 1;
            if next.is_empty() {
                break;
            }
            cookie = next;
        }
        assert_eq!((all.len(), pages), (30, 30_usize.div_ceil(size as usize)), "size {size}");
    }
    // A cookie on another connection, later: no state is kept for it.
    let (_, cookie) = page(&mut link, &base, 10, b"");
    let mut other = cts().openam();
    assert_eq!(page(&mut other, &base, 100, &cookie).0.len(), 20);
    assert_eq!(page(&mut link, &base, 100, &cookie).0.len(), 20);
    let query = Query::subtree(&base, REAPER).select(&["1.1"]);
    let garbage = link.search(&query, &[Ctl::paged(10, b"garbage")]);
    assert!(garbage.code() != 0 && garbage.entries.is_empty(), "{:?}", garbage.done);
    assert!(link.heartbeat());
}

/// Trap 9, and the design's word on it: a page larger than the size limit is cut to it, and paging goes on.
#[test]
fn pages_larger_than_the_size_limit_still_page() {
    let base = cts().container("limit");
    let mut root = cts().root();
    fill(&mut root, &base, "p", 25, "20200101000000Z");
    let dn = &cts()
        .user("limited", &[("ds-rlim-size-limit", &["10"]), ("ds-privilege-name", &["unindexed-search"])]);
    let aci = format!(
        "(targetattr=\"*\")(version 3.0; acl \"read\"; allow (search, read) userdn = \"ldap:///{dn}\";)"
    );
    assert_eq!(root.modify(&base, &[('+', "aci", &[&aci])], &[]).code, 0);
    let mut link = cts().instance.bound(dn);
    for size in [9, 10, 11, 5_000] {
        let (mut cookie, mut lengths) = (Vec::new(), Vec::new());
        loop {
            let (dns, next) = page(&mut link, &base, size, &cookie);
            lengths.push(dns.len());
            if next.is_empty() {
                break;
            }
            cookie = next;
        }
        assert_eq!(lengths.iter().sum::<usize>(), 25, "{size}: {lengths:?}");
        assert!(lengths.iter().all(|length| *length <= 10), "{size}: {lengths:?}");
    }
    let plain = link.search(&Query::subtree(&base, REAPER).select(&["1.1"]), &[]);
    assert_eq!((plain.code(), plain.entries.len()), (4, 10), "{:?}", plain.done);
    assert!(plain.done.diagnostic.contains("10"), "the limit is named: {}", plain.done.diagnostic);
}

/// Who may not read tokens gets pages without tokens, and no hint how many there are.
#[test]
fn a_stranger_pages_through_nothing() {
    let base = cts().container("stranger-pages");
    let mut link = cts().openam();
    fill(&mut link, &base, "p", 5, "20200101000000Z");
    let mut stranger = cts().instance.bound(NOBODY);
    let query = Query::subtree(&base, REAPER).select(&["*", "+"]);
    let found = stranger.search(&query, &[Ctl::paged(2, b"")]);
    assert!(found.entries.is_empty());
    assert!(found.done.cookie().unwrap_or_default().is_empty(), "{:?}", found.done);
}
