//! Every query of `cts-contract` §2.9, and dates as §3.4 has them: compared as instants, returned as written.

use crate::support::{Ctl, Link, Query, TID, Token, cts};

/// OpenAM's wrapping: always an AND of exactly two.
fn wrapped(filter: &str) -> String {
    format!("(&{filter}(objectClass=frCoreToken))")
}

fn ask(link: &mut Link, base: &str, filter: &str, attributes: &[&str]) -> Vec<String> {
    let query = Query::subtree(base, &wrapped(filter)).select(attributes);
    let found = link.search(&query, &[Ctl::transaction_id(TID)]);
    assert_eq!(found.code(), 0, "{filter}: {:?}", found.done);
    for entry in &found.entries {
        for name in entry.names() {
            let asked = attributes.iter().any(|a| *a == name || (*a == "*" && name != "etag"));
            assert!(asked, "{filter}: {name} was not asked for");
        }
        assert!(entry.text("etag").is_some(), "{filter}: an entry without etag");
    }
    found.column("coreTokenId")
}

/// One token a kind of use, named by what it is.
fn population() -> Vec<Token> {
    let user = "id=demo,ou=user,dc=openam,dc=example,dc=com";
    let oauth = |id: &str, name: &str| {
        Token::new(id, "OAUTH")
            .with("coreTokenString03", "demo")
            .with("coreTokenString08", "/")
            .with("coreTokenString09", "client-1")
            .with("coreTokenString10", name)
            .with("coreTokenString15", "grant-1")
            .with("coreTokenExpirationDate", "20991122021638Z")
    };
    vec![
        Token::session("valid", "shandle:valid")
            .with("coreTokenUserId", user)
            .with("coreTokenMultiString01", "restricted-1")
            .with("coreTokenMultiString01", "restricted-2")
            .with("coreTokenString14", "id=oauth2,ou=user"),
        Token::session("idle", "shandle:idle")
            .with("coreTokenUserId", "id=other,ou=user")
            .with("coreTokenDate02", "20200101000000.001+0300"),
        Token::session("maxed", "shandle:maxed")
            .with("coreTokenUserId", user)
            .with("coreTokenDate01", "20200101000000-0500"),
        Token::session("destroyed", "shandle:destroyed")
            .with("coreTokenString13", "DESTROYED")
            .with("coreTokenDate01", "20200101000000Z")
            .with("coreTokenDate02", "20200101000000Z"),
        Token::session("expired", "shandle:expired")
            .with("coreTokenString11", "/realm")
            .with("coreTokenExpirationDate", "20200101000000.5+0530"),
        Token::new("blacklist-here", "SESSION_BLACKLIST")
            .with("coreTokenString01", "01")
            .with("coreTokenDate01", "20240501120000.250Z")
            .with("coreTokenExpirationDate", "20991122021638Z"),
        Token::new("blacklist-there", "SESSION_BLACKLIST")
            .with("coreTokenString01", "02")
            .with("coreTokenDate01", "20240501120000.250Z"),
        Token::new("blacklist-nowhere", "SESSION_BLACKLIST").with("coreTokenDate01", "20240501120000.250Z"),
        Token::new("saml", "SAML2")
            .with("coreTokenString02", "73657373696f6e")
            .with("coreTokenString01", "Java"),
        oauth("access", "access_token"),
        oauth("refresh", "refresh_token"),
        oauth("device", "device_code").with("coreTokenString14", "code-123"),
        oauth("other-grant", "access_token").with("coreTokenString15", "grant-2"),
        // Never expires: no date at all.
        Token::new("stateless", "OAUTH_STATELESS").with("coreTokenString09", "client-2"),
        Token::new("ticket", "PERMISSION_TICKET").with("coreTokenString01", "resource set alpha"),
        Token::new("sts", "STS").with("coreTokenUserId", "id=sts").with("coreTokenString15", "idp"),
        Token::new("push", "PUSH").with("coreTokenInteger01", "1").with("coreTokenInteger02", "-7"),
    ]
}

/// §2.9, row by row.
#[test]
fn every_query_of_openam_finds_what_it_should() {
    let base = cts().container("queries");
    let mut link = cts().openam();
    let tokens = population();
    for token in &tokens {
        token.create(&mut link, &base);
    }
    let now = "20261122051638.043+0300";
    let id = &["coreTokenId", "etag"][..];
    let sessions = &["coreTokenId", "coreTokenString02", "etag"][..];
    let all = &["*", "etag"][..];
    let rows: Vec<(&str, String, &[&str], &[&str])> = vec![
        (
            "expiry worker",
            format!("(&(coreTokenExpirationDate<={now})(!(coreTokenExpirationDate={now})))"),
            id,
            &["expired"],
        ),
        (
            "maximal session time",
            format!("(&(coreTokenDate01<={now})(coreTokenString13=VALID)(coreTokenType=SESSION))"),
            sessions,
            &["maxed"],
        ),
        (
            "idle time",
            format!("(&(coreTokenDate02<={now})(coreTokenString13=VALID)(coreTokenType=SESSION))"),
            &["coreTokenId", "etag", "coreTokenString02"],
            &["idle"],
        ),
        (
            "sessions of a user",
            "(coreTokenUserId=ID=Demo,ou=user,dc=openam,dc=example,dc=com)".into(),
            &["coreTokenId", "coreTokenString02", "coreTokenExpirationDate", "coreTokenType", "coreTokenString13", "etag"],
            &["destroyed", "expired", "maxed", "valid"],
        ),
        ("session by handle", "(coreTokenString03=shandle:valid)".into(), all, &["valid"]),
        ("session by restricted id", "(coreTokenMultiString01=restricted-2)".into(), all, &["valid"]),
        ("all valid sessions", "(coreTokenString13=VALID)".into(), all, &["expired", "idle", "maxed", "valid"]),
        (
            "session search by REST",
            "(&(coreTokenUserId=id=demo,ou=user,dc=openam,dc=example,dc=com)(coreTokenString11=/)(coreTokenString13=VALID))".into(),
            &["coreTokenId", "coreTokenUserId", "coreTokenString11", "coreTokenString03", "coreTokenString01", "coreTokenDate02", "coreTokenDate01", "etag"],
            &["maxed", "valid"],
        ),
        ("sessions by OAuth2 uid", "(coreTokenString14=id=oauth2,ou=user)".into(), &["coreTokenId", "coreTokenString02", "coreTokenType", "etag"], &["valid"]),
        (
            "blacklist poll",
            "(&(coreTokenType=SESSION_BLACKLIST)(coreTokenDate01>=20240501150000.250+0300)(!(coreTokenString01=01)))".into(),
            &["coreTokenId", "coreTokenExpirationDate", "etag"],
            &["blacklist-nowhere", "blacklist-there"],
        ),
        (
            "first blacklist poll",
            "(&(coreTokenType=SESSION_BLACKLIST)(coreTokenDate01>=19700101000000Z)(!(coreTokenString01=02)))".into(),
            &["coreTokenId", "coreTokenExpirationDate", "etag"],
            &["blacklist-here", "blacklist-nowhere"],
        ),
        ("SAML2 by secondary key", "(coreTokenString02=73657373696F6E)".into(), all, &["saml"]),
        (
            "OAuth2 revocation",
            "(&(coreTokenType=OAUTH)(&(coreTokenString03=demo)(coreTokenString09=client-1)(coreTokenString15=grant-1)))".into(),
            all,
            &["access", "device", "refresh"],
        ),
        (
            "OAuth2 user applications",
            "(&(coreTokenType=OAUTH)(&(&(coreTokenString03=demo)(coreTokenString08=/)(|(coreTokenString10=access_token)(coreTokenString10=refresh_token)))(coreTokenString09=client-1)))".into(),
            all,
            &["access", "other-grant", "refresh"],
        ),
        ("OAuth2 device code", "(&(coreTokenType=OAUTH)(coreTokenString14=code-123))".into(), all, &["device"]),
        ("stateless OAuth2, no type", "(coreTokenString09=client-2)".into(), all, &["stateless"]),
        (
            "deletion of an OAuth2 client",
            "(&(coreTokenString09=client-1)(coreTokenString08=/))".into(),
            id,
            &["access", "device", "other-grant", "refresh"],
        ),
        (
            "UMA with or, not and substring",
            "(&(|(coreTokenString01=resource*alp*)(coreTokenString01=*none*))(!(coreTokenString02=x))(coreTokenType=PERMISSION_TICKET))".into(),
            all,
            &["ticket"],
        ),
        ("STS by id", "(coreTokenId=STS)".into(), &["coreTokenId", "coreTokenString02", "coreTokenExpirationDate", "coreTokenUserId", "coreTokenString15", "etag"], &["sts"]),
        ("STS by user", "(coreTokenUserId=id=sts)".into(), id, &["sts"]),
        ("attribute map", "(&(coreTokenInteger01=1)(coreTokenInteger02=-7))".into(), id, &["push"]),
        ("count by type", "(coreTokenType=saml2)".into(), id, &["saml"]),
        ("one-element AND", "(&(coreTokenType=SAML2))".into(), id, &["saml"]),
        ("one-element OR", "(|(coreTokenType=SAML2))".into(), id, &["saml"]),
        ("false", "(|)".into(), id, &[]),
        ("presence", "(coreTokenInteger01=*)".into(), id, &["push"]),
        ("greater than", format!("(&(coreTokenDate01>={now})(!(coreTokenDate01={now})))"), id, &["expired", "idle", "valid"]),
        ("an attribute no schema has", "(coreTokenMultiString09=x)".into(), id, &[]),
    ];
    for (what, filter, attributes, expected) in rows {
        assert_eq!(ask(&mut link, &base, &filter, attributes), expected, "{what}: {filter}");
    }
    let everything = ask(&mut link, &base, "(&)", id);
    assert_eq!(everything.len(), tokens.len(), "count of all, by the true filter");

    // Monitoring reads createTimestamp by name.
    let query = Query::subtree(&base, &wrapped("(coreTokenType=SAML2)")).select(&["createTimestamp", "etag"]);
    let found = link.search(&query, &[]);
    let stamp = found.entries[0].text("createTimestamp").unwrap();
    assert!(stamp.len() == 15 && stamp.ends_with('Z'), "{stamp}");
    assert_eq!(found.entries[0].names(), ["createTimestamp", "etag"]);

    // Session lists come with a size and a time limit; some entries, then 4.
    let mut query = Query::subtree(&base, &wrapped("(coreTokenString13=VALID)")).select(all).size(2);
    query.time = 10;
    let found = link.search(&query, &[]);
    assert_eq!((found.code(), found.entries.len()), (4, 2));
}

/// §3.4, §9.7: the same instants in many forms around NOW.
#[test]
fn dates_are_compared_as_instants() {
    let base = cts().container("dates");
    let mut link = cts().openam();
    // NOW is 2026-11-22 02:16:38.043 UTC.
    let before = [
        "20261122051638.042+0300",
        "20261121211638.042-0500",
        "20261122021638.042Z",
        "20261122021638Z",
        "20261122051638+0300",
        "20200101000000Z",
        "202611220216Z",
    ];
    let same = [
        "20261122051638.043+0300",
        "20261121211638.043-0500",
        "20261122021638.043Z",
        "20261122074638,043+0530",
        "20261122021638.0430Z",
    ];
    let after = [
        "20261122051638.044+0300",
        "20261121211638.044-0500",
        "20261122021638.044Z",
        "20261122021639Z",
        "20261121211639-0500",
        "99991231235959.999Z",
    ];
    let groups = [("before", &before[..]), ("same", &same[..]), ("after", &after[..])];
    for (group, texts) in groups {
        for (number, text) in texts.iter().enumerate() {
            let token = Token::new(&format!("{group}-{number}"), "GENERIC")
                .with("coreTokenExpirationDate", text)
                .with("coreTokenDate03", text);
            token.create(&mut link, &base);
            let read = link.read(&token.dn(&base), &["*"]);
            assert_eq!(read.entries[0].texts("coreTokenExpirationDate"), [*text], "returned as written");
        }
    }
    Token::new("undated", "GENERIC").create(&mut link, &base);
    let ids = |groups: &[(&str, usize)]| {
        let mut ids: Vec<_> = groups
            .iter()
            .flat_map(|(group, count)| (0..*count).map(move |n| format!("{group}-{n}")))
            .collect();
        ids.sort_unstable();
        ids
    };
    let (b, s, a) = (("before", before.len()), ("same", same.len()), ("after", after.len()));
    // coreTokenExpirationDate has an ordering index, coreTokenDate03 an equality index: the answers are the same.
    for name in ["coreTokenExpirationDate", "coreTokenDate03"] {
        for now in same {
            let mut all = |filter: String| ask(&mut link, &base, &filter, &["coreTokenId", "etag"]);
            assert_eq!(all(format!("(&({name}<={now})(!({name}={now})))")), ids(&[b]), "{name} < {now}");
            assert_eq!(all(format!("({name}<={now})")), ids(&[b, s]), "{name} <= {now}");
            assert_eq!(all(format!("({name}={now})")), ids(&[s]), "{name} = {now}");
            assert_eq!(all(format!("({name}>={now})")), ids(&[s, a]), "{name} >= {now}");
            assert_eq!(all(format!("(&({name}>={now})(!({name}={now})))")), ids(&[a]), "{name} > {now}");
        }
    }
    let absent = ask(&mut link, &base, "(!(coreTokenDate03=*))", &["coreTokenId", "etag"]);
    assert_eq!(absent, ["undated"], "a token without a date is in no reaper's answer");

    // Rewriting a date in another zone is a change the client sees back as it wrote it.
    let dn = Token::new("same-0", "GENERIC").dn(&base);
    let rewrite: &[(char, &str, &[&str])] = &[('=', "coreTokenDate03", &["20261122021638.043Z"])];
    assert_eq!(link.modify(&dn, rewrite, &[]).code, 0);
    assert_eq!(
        link.read(&dn, &["coreTokenDate03"]).entries[0].texts("coreTokenDate03"),
        ["20261122021638.043Z"]
    );
    for wrong in
        ["2026", "20261322021638Z", "20261122021638", "yesterday", "20261122021638.Z", "20261122256038Z"]
    {
        let answer = link.modify(&dn, &[('=', "coreTokenDate03", &[wrong])], &[]);
        assert_eq!(answer.code, 21, "{wrong}: {answer:?}");
    }
}

/// §8.21: Directory Strings compare without case and without superfluous blanks; etag compares exactly.
#[test]
fn strings_are_compared_prepared() {
    let base = cts().container("strings");
    let mut link = cts().openam();
    let token = Token::new("Prepared", "GENERIC").with("coreTokenString08", "  Two   Words ");
    token.create(&mut link, &base);
    let id = &["coreTokenId", "etag"][..];
    for filter in
        ["(coreTokenString08=two words)", "(coreTokenString08=TWO  WORDS)", "(coreTokenString08=two*WORDS)"]
    {
        assert_eq!(ask(&mut link, &base, filter, id), ["Prepared"], "{filter}");
    }
    let read = link.read(&token.dn(&base), &["coreTokenString08"]);
    assert_eq!(read.entries[0].texts("coreTokenString08"), ["  Two   Words "], "returned as written");
}
