//! One test a row of `cts-contract` §6: what was seen on a running OpenDJ, and what we do instead. The first row's storm
//! of changes is in `storm`; `verify-index` while the server runs comes with the command.

use std::collections::HashSet;

use ctsd::protocol::message::Scope;

use crate::support::{Ctl, Link, Query, Reply, TID, Token, cts, octets, request, seq, tlv, within};

/// A modification: operation, attribute, values.
type Mod<'a> = (char, &'a str, &'a [&'a str]);

/// "etag a → b → a within one second: same etag again"
#[test]
fn an_etag_never_comes_back() {
    let base = cts().container("observed-etag");
    let mut link = cts().openam();
    let token = Token::session("aba", "shandle:aba");
    let mut etags = HashSet::from([token.create(&mut link, &base)]);
    let answers = link.pipeline(200, |number, id| {
        let value = if number % 2 == 0 { "a" } else { "b" };
        let change: &[(char, &str, &[&str])] = &[('=', "coreTokenString01", &[value])];
        request::modify(id, &token.dn(&base), change, &[Ctl::post_read(&["etag"])])
    });
    assert!(answers.iter().all(|answer| etags.insert(answer.etag().unwrap())));
    // Nor when the entry is deleted and made again.
    assert_eq!(link.delete(&token.dn(&base), &[]).code, 0);
    assert!(etags.insert(token.create(&mut link, &base)));
}

/// "subtree search (etag=X) … finds nothing"
#[test]
fn etags_can_be_searched_for() {
    let base = cts().container("observed-etag-search");
    let mut link = cts().openam();
    let token = Token::session("searched", "shandle:searched");
    let first = token.create(&mut link, &base);
    Token::session("other", "shandle:other").create(&mut link, &base);
    let second = link
        .modify(&token.dn(&base), &[('=', "coreTokenString01", &["x"])], &[Ctl::post_read(&["etag"])])
        .etag()
        .unwrap();
    let mut ask = |scope, base: &str, etag: &str| {
        let query = Query::new(base, scope, &format!("(etag={etag})")).select(&["coreTokenId", "etag"]);
        let found = link.search(&query, &[]);
        assert_eq!(found.code(), 0, "{:?}", found.done);
        found.column("coreTokenId")
    };
    assert_eq!(ask(Scope::Subtree, "dc=cts,dc=example,dc=com", &second), ["searched"]);
    assert_eq!(ask(Scope::One, &base, &second), ["searched"]);
    assert_eq!(ask(Scope::Base, &token.dn(&base), &second), ["searched"]);
    assert!(ask(Scope::Subtree, &base, &first).is_empty());
}

/// "400 valid requests in flight on one connection: drops the connection in about half of the runs"
#[test]
fn four_hundred_requests_in_flight_are_all_answered() {
    let base = cts().container("observed-400");
    for run in 0..3 {
        let mut link = cts().openam();
        let token = |number: i32| Token::session(&format!("{run}-{number}"), "shandle:400");
        let mut all = Vec::new();
        let mut ids = HashSet::new();
        for number in 0..100 {
            let dn = token(number).dn(&base);
            let mut id = || {
                let id = link.id();
                ids.insert(id);
                id
            };
            all.extend(token(number).add_bytes(id(), &base));
            // Writes to one entry happen in the order they were sent in; a read may overtake them.
            all.extend(request::modify(
                id(),
                &dn,
                &[('=', "coreTokenString01", &["2"])],
                &[Ctl::post_read(&["etag"])],
            ));
            all.extend(request::search(
                id(),
                &Query::base(&dn).select(&["*", "etag"]),
                &[Ctl::transaction_id(TID)],
            ));
            all.extend(request::search(id(), &Query::base("").select(&["1.1"]), &[]));
        }
        assert_eq!(ids.len(), 400);
        link.send(&all);
        let (mut entries, mut missed) = (0, 0);
        while !ids.is_empty() {
            match link.next().unwrap() {
                Reply::Answer(answer) => {
                    assert!(answer.code == 0 || (answer.code, answer.tag) == (32, 0x65), "{answer:?}");
                    missed += usize::from(answer.code == 32);
                    assert!(ids.remove(&answer.id));
                }
                Reply::Entry(..) => entries += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(entries + missed, 200);
    }
}

/// "`(!(undefined=x))` returns every entry"
#[test]
fn the_negation_of_undefined_is_undefined() {
    let base = cts().container("observed-undefined");
    let mut link = cts().root();
    Token::session("u", "shandle:u").create(&mut link, &base);
    for (filter, expected) in [
        ("(!(undefined=x))", 0),
        ("(undefined=x)", 0),
        ("(&(objectClass=frCoreToken)(!(undefined=x)))", 0),
        ("(|(objectClass=frCoreToken)(!(undefined=x)))", 1),
        ("(!(&(objectClass=frCoreToken)(undefined=x)))", 0),
        ("(!(|(objectClass=frCoreToken)(undefined=x)))", 0),
        ("(!(coreTokenDate01=notatime))", 0),
        ("(!(coreTokenString06=absent))", 1),
    ] {
        let filter_in_one = format!("(&(coreTokenType=SESSION){filter})");
        let found = link.search(&Query::subtree(&base, &filter_in_one), &[]);
        assert_eq!((found.code(), found.entries.len()), (0, expected), "{filter}");
    }
}

/// "modifyDN with an absent newSuperior: 64"
#[test]
fn a_rename_below_nothing_is_no_such_object() {
    let base = cts().container("observed-rename");
    let mut link = cts().root();
    let token = Token::session("r", "shandle:r");
    token.create(&mut link, &base);
    let missing = format!("ou=missing,{base}");
    let answer = link.rename(&token.dn(&base), "coreTokenId=r2", true, Some(&missing));
    assert_eq!(answer.code, 32, "{answer:?}");
    assert_eq!(link.read(&token.dn(&base), &["1.1"]).code(), 0, "and nothing moved");
}

/// "message id negative or 2^31; 0x31 as envelope tag: answered"
#[test]
fn message_ids_and_envelopes_out_of_range_are_refused() {
    let body = tlv(0x63, &{
        let limits = [tlv(0x0a, &[0]), tlv(0x0a, &[0]), tlv(2, &[0]), tlv(2, &[0]), tlv(1, &[0])].concat();
        [octets(b""), limits, tlv(0x87, b"objectClass"), seq(&[])].concat()
    });
    let with_id = |id: &[u8]| [tlv(2, id), body.clone()].concat();
    let good = tlv(0x30, &with_id(&[1]));
    let mut link = cts().instance.link();
    link.send(&good);
    assert_eq!(link.found(1).code(), 0);
    for (what, bytes) in [
        ("-1", tlv(0x30, &with_id(&[0xff]))),
        ("-2^31", tlv(0x30, &with_id(&[0x80, 0, 0, 0]))),
        ("2^31", tlv(0x30, &with_id(&[0, 0x80, 0, 0, 0]))),
        ("0", tlv(0x30, &with_id(&[0]))),
        ("no id", tlv(0x30, &body)),
        ("a SET", tlv(0x31, &with_id(&[1]))),
    ] {
        let mut link = cts().instance.link();
        link.send(&bytes);
        let mut answered = false;
        let closed = within(|| match link.next_within(std::time::Duration::from_secs(1)) {
            Ok(Reply::Answer(answer)) if answer.id == 0 => {
                assert_eq!(
                    (answer.code, answer.name.as_deref()),
                    (2, Some("1.3.6.1.4.1.1466.20036")),
                    "{what}"
                );
                None
            }
            Ok(_) => {
                answered = true;
                None
            }
            Err(crate::support::Lost::Closed) => Some(()),
            Err(crate::support::Lost::Silent) => None,
        });
        assert!(closed.is_some() && !answered, "message id {what}");
    }
    assert!(cts().instance.link().heartbeat());
}

/// "index added by LDIF: degraded until rebuild-index"
#[test]
fn an_index_works_by_itself() {
    let base = cts().container("observed-index");
    let mut root = cts().root();
    for number in 0..200 {
        let token = Token::session(&format!("i{number}"), "shandle:i")
            .with("coreTokenString06", &format!("v{}", number % 4));
        token.create(&mut root, &base);
    }
    let mut reader = cts().instance.bound(&cts().reader("index-reader", &base));
    let query = Query::subtree(&base, "(coreTokenString06=V1)").select(&["coreTokenId"]);
    assert_eq!(reader.search(&query, &[]).code(), 50, "unindexed, and no privilege for that");
    let index =
        "ds-cfg-attribute=coreTokenString06,cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config";
    let entry: &[(&str, &[&str])] = &[
        ("objectClass", &["top", "ds-cfg-backend-index"]),
        ("ds-cfg-attribute", &["coreTokenString06"]),
        ("ds-cfg-index-type", &["equality"]),
    ];
    assert_eq!(root.add(index, entry, &[]).code, 0);
    let found = within(|| {
        let found = reader.search(&query, &[]);
        (found.code() != 50).then_some(found)
    })
    .expect("the index becomes usable");
    assert_eq!((found.code(), found.entries.len()), (0, 50), "at once with all that is in it");
    Token::session("i-new", "shandle:i").with("coreTokenString06", "v1").create(&mut root, &base);
    assert_eq!(reader.search(&query, &[]).entries.len(), 51);
    assert_eq!(root.delete(index, &[]).code, 0);
    assert!(within(|| (reader.search(&query, &[]).code() == 50).then_some(())).is_some());
}

/// "small heap under abuse: out of memory": a client that asks for much and reads nothing.
#[test]
fn memory_is_bounded_whatever_a_client_does_not_read() {
    let base = cts().container("observed-memory");
    let mut root = cts().root();
    let blob = vec![0x5a; 100_000];
    for number in 0..20 {
        Token::session(&format!("m{number}"), "shandle:m")
            .with_bytes("coreTokenObject", &blob)
            .create(&mut root, &base);
    }
    let before = cts().instance.resident();
    let mut links: Vec<Link> = (0..4).map(|_| cts().openam()).collect();
    let query = Query::subtree(&base, "(&(coreTokenType=SESSION)(objectClass=frCoreToken))").select(&["*"]);
    for link in &mut links {
        // 200 answers of 2 MB each, 1.6 GB in all.
        for _ in 0..200 {
            link.start(&query, &[]);
        }
        // Half a message of 4 MB, too.
        link.send(&[0x30, 0x84, 0, 0x40, 0, 0]);
        link.send(&[0; 1 << 16]);
    }
    for _ in 0..50 {
        assert!(root.heartbeat(), "others are served meanwhile");
    }
    let grown = cts().instance.resident().saturating_sub(before);
    assert!(grown < 250 << 10, "{grown} KiB more than before");
    drop(links);
    assert!(root.heartbeat());
}

/// "schema violations: second value of a single-valued attribute 65, bad time 21, missing MUST 65, unknown attribute 65"
#[test]
fn schema_violations_have_opendjs_codes() {
    let base = cts().container("observed-schema");
    let mut link = cts().openam();
    let good = Token::session("good", "shandle:good");
    good.create(&mut link, &base);
    let dn = good.dn(&base);
    let mut twice = Token::session("twice", "shandle:t");
    twice.attributes.push(("coreTokenString05".into(), vec![b"a".to_vec(), b"b".to_vec()]));
    let mut no_type = Token::session("no-type", "shandle:n");
    no_type.attributes.retain(|(name, _)| name != "coreTokenType");
    for (what, token, code) in [
        ("second value", twice, 65),
        ("bad time", Token::session("time", "x").with("coreTokenDate03", "tomorrow"), 21),
        ("bad integer", Token::session("integer", "x").with("coreTokenInteger01", "1.5"), 21),
        ("missing MUST", no_type, 65),
        ("unknown attribute", Token::session("unknown", "x").with("coreTokenString99", "x"), 65),
        ("attribute of no class", Token::session("foreign", "x").with("telephoneNumber", "1"), 65),
    ] {
        let answer = token.try_create(&mut link, &base);
        assert_eq!(answer.code, code, "add, {what}: {answer:?}");
        assert!(!answer.diagnostic.is_empty(), "add, {what}");
        assert_eq!(link.read(&token.dn(&base), &["1.1"]).code(), 32);
    }
    let changes: [(&str, Mod<'_>, u32); 6] = [
        ("second value", ('+', "coreTokenString13", &["other"]), 65),
        ("bad time", ('=', "coreTokenDate03", &["tomorrow"]), 21),
        ("missing MUST", ('=', "coreTokenType", &[]), 65),
        ("unknown attribute", ('=', "coreTokenString99", &["x"]), 65),
        ("attribute of no class", ('=', "telephoneNumber", &["1"]), 65),
        ("two at once", ('=', "coreTokenString05", &["a", "b"]), 65),
    ];
    let before = link.read(&dn, &["*", "+"]).entries;
    for (what, change, code) in changes {
        let answer = link.modify(&dn, &[('=', "coreTokenString01", &["changed"]), change], &[]);
        assert_eq!(answer.code, code, "modify, {what}: {answer:?}");
        assert!(!answer.diagnostic.is_empty(), "modify, {what}");
    }
    assert_eq!(link.read(&dn, &["*", "+"]).entries, before, "all of a modify or nothing");
}

/// "missing entry and stale etag together: 32 wins over 122"
#[test]
fn a_missing_entry_wins_over_a_stale_etag() {
    let base = cts().container("observed-both");
    let mut link = cts().openam();
    let dn = Token::session("missing", "x").dn(&base);
    let stale = [Ctl::etag("0000000000000000")];
    assert_eq!(link.modify(&dn, &[('=', "coreTokenString01", &["1"])], &stale).code, 32);
    assert_eq!(link.delete(&dn, &stale).code, 32);
    assert_eq!(link.compare(&dn, "coreTokenString01", "1", &stale).code, 32);
    assert_eq!(link.search(&Query::base(&dn), &stale).code(), 32);
}

/// "two ids that differ only in case: one entry; the value keeps its case"
#[test]
fn ids_that_differ_in_case_are_one() {
    let base = cts().container("observed-case");
    let mut link = cts().openam();
    let token = Token::session("AbCdEf==", "shandle:case");
    token.create(&mut link, &base);
    assert_eq!(Token::session("aBcDeF==", "x").try_create(&mut link, &base).code, 68);
    let found = link.read(&Token::session("abcdef==", "x").dn(&base), &["coreTokenId"]);
    assert_eq!(found.entries[0].texts("coreTokenId"), ["AbCdEf=="]);
}

/// "OpenAM 16 session tokens carry coreTokenMultiString01"
#[test]
fn the_profile_ships_the_multi_valued_attributes() {
    let mut root = cts().root();
    for number in 1..=3 {
        let index = format!(
            "ds-cfg-attribute=coreTokenMultiString{number:02},cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config"
        );
        let found = root.read(&index, &["ds-cfg-index-type"]);
        assert_eq!(found.entries[0].texts("ds-cfg-index-type"), ["equality"]);
    }
    let base = cts().container("observed-multi");
    let mut link = cts().openam();
    let token = Token::session("multi", "shandle:multi")
        .with("coreTokenMultiString01", "AQIC1")
        .with("coreTokenMultiString01", "AQIC2");
    token.create(&mut link, &base);
    let read = link.read(&token.dn(&base), &["coreTokenMultiString01"]);
    assert_eq!(read.entries[0].texts("coreTokenMultiString01"), ["AQIC1", "AQIC2"]);
}
