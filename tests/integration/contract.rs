//! The requests of OpenAM's CTS, as `cts-contract` §2 has them: with their controls, byte by byte where the client looks
//! at bytes.

use ctsd::protocol::message::Scope;

use crate::support::{
    CTS_USER, Ctl, FAMRECORDS, PASSWORD, PATIENCE, Query, TID, Token, all_cts_fields, cts, hex, int, octets,
    request, seq, tlv,
};

const ETAG_NAMED: &[&str] = &["*", "etag"];

fn is_etag(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// §2.1: the encodings the tests send are the client's.
#[test]
fn control_values_are_laid_out_as_the_sdk_lays_them_out() {
    let value = |control: Ctl| hex(&control.value.unwrap());
    assert_eq!(value(Ctl::post_read(&["etag"])), "30 06 04 04 65 74 61 67");
    assert_eq!(value(Ctl::paged(1000, b"")), "30 06 02 02 03 E8 04 00");
    assert_eq!(value(Ctl::openam_persistent()), "30 09 02 01 0F 01 01 FF 01 01 FF");
    let etag = "0123456789abcdef";
    let expected = format!("A3 18 04 04 65 74 61 67 04 10 {}", hex(etag.as_bytes()));
    assert_eq!(value(Ctl::etag(etag)), expected);
    assert_eq!(value(Ctl::assertion(&format!("(etag={etag})"))), expected);
    let mut whole = bytes::BytesMut::new();
    ctsd::protocol::filter_text::parse("(&(&)(objectClass=frCoreToken))").unwrap().encode(&mut whole);
    assert!(hex(&whole).starts_with("A0 1E A0 00 A3 1A"), "{}", hex(&whole));
}

/// §1.3: a bind carries the transaction id.
#[test]
fn binds_carry_a_transaction_id() {
    let mut link = cts().instance.link();
    let answer = link.bind_with(CTS_USER, PASSWORD, &[Ctl::transaction_id(TID)]);
    assert_eq!((answer.code, answer.tag), (0, 0x61));
    let answer = link.bind_with(CTS_USER, "wrong", &[Ctl::transaction_id(TID)]);
    assert_eq!((answer.code, answer.tag), (49, 0x61));
    assert_eq!(link.whoami(), "", "a failed bind leaves the connection anonymous");
}

/// §1.5: the heartbeat's answer, to the byte.
#[test]
fn a_heartbeat_is_answered_byte_for_byte() {
    let mut link = cts().openam();
    let query = Query::base("").select(&["1.1"]);
    let bytes = request::search(7, &query, &[]);
    let filter = tlv(0x87, b"objectClass");
    let body = [
        octets(b""),
        tlv(0x0a, &[0]),
        tlv(0x0a, &[0]),
        int(0),
        int(0),
        tlv(0x01, &[0]),
        filter,
        seq(&[octets(b"1.1")]),
    ];
    assert_eq!(hex(&bytes), hex(&seq(&[int(7), tlv(0x63, &body.concat())])));
    link.send(&bytes);
    let frame = link.frame(PATIENCE).unwrap();
    assert_eq!(hex(&frame), "30 09 02 01 07 64 04 04 00 30 00");
    let frame = link.frame(PATIENCE).unwrap();
    assert_eq!(hex(&frame), "30 0C 02 01 07 65 07 0A 01 00 04 00 04 00");
}

/// §1.8: the read of the root DSE before a persistent search, with its doubled attribute.
#[test]
fn the_root_dse_names_the_persistent_search() {
    let mut link = cts().openam();
    let names = [
        "altServer",
        "namingContexts",
        "supportedControl",
        "supportedExtension",
        "supportedFeatures",
        "supportedLDAPVersion",
        "supportedSASLMechanisms",
        "fullVendorVersion",
        "vendorName",
        "vendorName",
        "supportedAuthPasswordSchemes",
        "subschemaSubentry",
        "*",
    ];
    let found = link.read("", &names);
    assert_eq!((found.code(), found.entries.len(), found.references), (0, 1, 0));
    let entry = &found.entries[0];
    assert_eq!(entry.dn, "");
    let controls = entry.texts("supportedControl");
    for oid in [
        "2.16.840.1.113730.3.4.3",
        "1.3.6.1.1.12",
        "1.3.6.1.1.13.1",
        "1.3.6.1.1.13.2",
        "1.2.840.113556.1.4.319",
        "1.3.6.1.4.1.36733.2.1.5.1",
    ] {
        assert!(controls.iter().any(|found| found == oid), "{oid} is not in {controls:?}");
    }
    assert!(!controls.iter().any(|oid| oid == "1.2.840.113556.1.4.528"));
    assert_eq!(entry.texts("supportedLDAPVersion"), ["3"]);
    assert_eq!(entry.texts("subschemaSubentry"), ["cn=schema"]);
    assert_eq!(entry.texts("namingContexts"), ["dc=cts,dc=example,dc=com"]);
    let vendors = entry.attributes.iter().filter(|(name, _)| name == "vendorName").count();
    assert_eq!(vendors, 1, "asked for twice, sent once");
}

/// §2.2
#[test]
fn create_answers_with_the_etag() {
    let base = cts().container("contract-create");
    let mut link = cts().openam();
    let token = Token::session("4623843786787643", "shandle:create");
    let answer = token.try_create(&mut link, &base);
    assert_eq!((answer.code, answer.tag), (0, 0x69), "{answer:?}");
    // The control's value is a SearchResultEntry with its APPLICATION 4 tag, etag alone in it.
    let etag = answer.etag().unwrap();
    assert!(is_etag(&etag), "{etag}");
    let attribute = seq(&[octets(b"etag"), tlv(0x31, &octets(etag.as_bytes()))]);
    let entry = tlv(0x64, &[octets(token.dn(&base).as_bytes()), seq(&[attribute])].concat());
    assert_eq!(hex(&answer.control("1.3.6.1.1.13.2").unwrap()), hex(&entry));

    assert_eq!(token.try_create(&mut link, &base).code, 68);
    let answer = token.try_create(&mut link, &format!("ou=missing,{base}"));
    assert_eq!((answer.code, answer.matched.as_str()), (32, base.as_str()), "{answer:?}");
    let read = link.read(&token.dn(&base), ETAG_NAMED);
    assert_eq!(read.entries[0].text("etag").unwrap(), etag, "neither refusal touched it");
}

/// §2.3: the exact attributes in their exact spelling; a miss is 32, never an empty success.
#[test]
fn read_gives_exactly_what_the_token_has() {
    let base = cts().container("contract-read");
    let mut link = cts().openam();
    let blob: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let token = Token::session("-4623843786787643", "shandle:read")
        .with_bytes("coreTokenObject", &blob)
        .with("coreTokenInteger01", "-12345678901234567890")
        .with("coreTokenMultiString01", "one")
        .with("coreTokenMultiString01", "Two");
    let etag = token.create(&mut link, &base);
    let controls = [Ctl::transaction_id(TID)];
    let query = Query::base(&token.dn(&base)).select(ETAG_NAMED).size(1);
    let found = link.search(&query, &controls);
    assert_eq!((found.code(), found.done.tag, found.entries.len()), (0, 0x65, 1), "{:?}", found.done);
    let entry = &found.entries[0];
    assert_eq!(entry.dn, token.dn(&base));
    let mut names: Vec<_> = token.attributes.iter().map(|(name, _)| name.as_str()).collect();
    names.push("etag");
    names.sort_unstable();
    assert_eq!(entry.names(), names, "these, so spelled, and no others");
    for (name, values) in &token.attributes {
        if name != "objectClass" {
            assert_eq!(&entry.values(name), values, "{name}");
        }
    }
    let classes = entry.texts("objectClass");
    assert!(classes.iter().any(|class| class == "top") && classes.iter().any(|class| class == "frCoreToken"));
    assert_eq!(entry.texts("etag"), [etag]);

    let all = link.read(&token.dn(&base), &["*"]);
    assert!(!all.entries[0].names().contains(&"etag"), "etag is operational");
    let spelled =
        link.read(&token.dn(&base), &["CORETOKENID", "coretokenobject", "ETAG", "dn", "noSuchName"]);
    assert_eq!(spelled.entries[0].names(), ["coreTokenId", "coreTokenObject", "etag"]);

    let missing = Token::new("missing", "SESSION").dn(&base);
    let found = link.search(&Query::base(&missing).select(ETAG_NAMED).size(1), &controls);
    assert_eq!((found.code(), found.entries.len(), found.done.tag), (32, 0, 0x65));
    let asserted = link.search(&query, &[Ctl::etag("0000000000000000")]);
    assert_eq!((asserted.code(), asserted.entries.len()), (122, 0));
}

/// §2.4: the diff's modifications, each answered with the new etag.
#[test]
fn update_by_diff_changes_the_etag_each_time() {
    let base = cts().container("contract-update");
    let mut link = cts().openam();
    let token = Token::session("update", "shandle:update")
        .with("coreTokenMultiString01", "a")
        .with("coreTokenMultiString01", "b");
    let dn = token.dn(&base);
    let mut etags = vec![token.create(&mut link, &base)];
    let controls = [Ctl::transaction_id(TID), Ctl::post_read(&["etag"])];
    let diffs: [&[(char, &str, &[&str])]; 5] = [
        &[
            ('=', "coreTokenString01", &["1700000060"]),
            ('=', "coreTokenDate02", &["20991122061638.043+0300"]),
            ('=', "coreTokenExpirationDate", &["20991122061638.043+0300"]),
            ('=', "coreTokenObject", &["{}"]),
        ],
        // Only in the old token: emptied; absent in both: must succeed all the same.
        &[('=', "coreTokenString11", &[]), ('=', "coreTokenString05", &[])],
        // Only in the new token.
        &[('=', "coreTokenString04", &["new"]), ('=', "coreTokenMultiString02", &["x", "y"])],
        &[('-', "coreTokenMultiString01", &["a"]), ('+', "coreTokenMultiString01", &["c", "d"])],
        &[('=', "coreTokenString13", &["DESTROYED"])],
    ];
    for diff in diffs {
        let answer = link.modify(&dn, diff, &controls);
        assert_eq!((answer.code, answer.tag), (0, 0x67), "{diff:?}: {answer:?}");
        let after = answer.after().unwrap();
        assert_eq!(after.names(), ["etag"]);
        assert_eq!(after.dn, dn);
        let etag = after.text("etag").unwrap();
        assert!(is_etag(&etag) && !etags.contains(&etag), "{etag} in {etags:?}");
        let read = link.read(&dn, ETAG_NAMED);
        assert_eq!(read.entries[0].text("etag").unwrap(), etag, "equal however it is read");
        etags.push(etag);
    }
    let entry = link.read(&dn, &["*"]).entries.remove(0);
    assert_eq!(entry.texts("coreTokenMultiString01"), ["b", "c", "d"]);
    assert_eq!(entry.texts("coreTokenDate02"), ["20991122061638.043+0300"]);
    assert!(entry.texts("coreTokenString11").is_empty() && !entry.names().contains(&"coreTokenString05"));

    let answer = link.modify(&dn, &[('-', "coreTokenMultiString01", &["gone"])], &controls);
    assert_eq!(answer.code, 16);
    let answer = link.modify(&dn, &[('+', "coreTokenMultiString01", &["B"])], &controls);
    assert_eq!(answer.code, 20);
}

/// §2.4: the optimistic check.
#[test]
fn a_stale_etag_changes_nothing() {
    let base = cts().container("contract-stale");
    let mut link = cts().openam();
    let token = Token::session("stale", "shandle:stale");
    let dn = token.dn(&base);
    let first = token.create(&mut link, &base);
    let change: &[(char, &str, &[&str])] = &[('=', "coreTokenString01", &["2"])];
    let with = |etag: &str| [Ctl::transaction_id(TID), Ctl::post_read(&["etag"]), Ctl::etag(etag)];
    let second = link.modify(&dn, change, &with(&first));
    assert_eq!(second.code, 0, "{second:?}");
    let before = link.read(&dn, &["*", "+"]).entries.remove(0);
    let stale = link.modify(&dn, &[('=', "coreTokenString01", &["3"])], &with(&first));
    assert_eq!((stale.code, stale.tag), (122, 0x67));
    assert!(stale.after().is_none());
    assert_eq!(link.read(&dn, &["*", "+"]).entries[0], before, "nothing changed, operational ones included");
    assert_eq!(before.text("etag"), second.etag());
    let upper = second.etag().unwrap().to_uppercase();
    if upper != second.etag().unwrap() {
        assert_eq!(link.modify(&dn, change, &with(&upper)).code, 122, "etag compares case-exactly");
    }
    let missing = Token::new("nowhere", "SESSION").dn(&base);
    assert_eq!(link.modify(&missing, change, &with(&first)).code, 32);
}

/// §2.5
#[test]
fn delete_gives_the_whole_token_back() {
    let base = cts().container("contract-delete");
    let mut link = cts().openam();
    let token = Token::session("delete", "shandle:delete").with("coreTokenMultiString01", "m");
    let dn = token.dn(&base);
    let etag = token.create(&mut link, &base);
    let fields = all_cts_fields();
    assert_eq!(fields.len(), 40);
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    let with = |etag: &str| [Ctl::transaction_id(TID), Ctl::pre_read(&fields), Ctl::etag(etag)];

    let stale = link.delete(&dn, &with("0000000000000000"));
    assert_eq!((stale.code, stale.tag), (122, 0x6b));
    assert!(stale.before().is_none());
    let answer = link.delete(&dn, &with(&etag));
    assert_eq!((answer.code, answer.tag), (0, 0x6b), "{answer:?}");
    assert_eq!(answer.control("1.3.6.1.1.13.1").unwrap()[0], 0x64);
    let before = answer.before().unwrap();
    let mut names: Vec<_> = token.attributes.iter().map(|(name, _)| name.as_str()).collect();
    names.retain(|name| *name != "objectClass");
    names.extend(["createTimestamp", "etag"]);
    names.sort_unstable();
    assert_eq!(before.names(), names, "what was asked for and there, nothing else");
    for name in names.iter().filter(|name| name.starts_with("coreToken")) {
        let values = &token.attributes.iter().find(|(n, _)| n == name).unwrap().1;
        assert_eq!(&before.values(name), values, "{name}");
    }
    assert_eq!(before.text("etag").unwrap(), etag);
    let again = link.delete(&dn, &with(&etag));
    assert_eq!(again.code, 32, "already gone");
    assert!(again.before().is_none());
    assert_eq!(link.read(&dn, ETAG_NAMED).code(), 32);

    // The ordinary delete has no more than a transaction id.
    token.create(&mut link, &base);
    let answer = link.delete(&dn, &[Ctl::transaction_id(TID)]);
    assert_eq!((answer.code, answer.controls.len()), (0, 0));
}

/// §0, §9.6: assertion on a search, critical.
#[test]
fn a_search_can_carry_an_assertion() {
    let base = cts().container("contract-assert");
    let mut link = cts().openam();
    let token = Token::session("assert", "shandle:assert");
    token.create(&mut link, &base);
    let query = Query::subtree(&base, "(coreTokenString03=shandle:assert)").select(ETAG_NAMED);
    let found = link.search(&query, &[Ctl::assertion("(ou=contract-assert)")]);
    assert_eq!((found.code(), found.entries.len()), (0, 1));
    let found = link.search(&query, &[Ctl::assertion("(ou=else)")]);
    assert_eq!((found.code(), found.entries.len()), (122, 0));
}

/// §1.1: the root suffix is used verbatim, tokens stand beside containers.
#[test]
fn tokens_may_stand_right_under_the_suffix() {
    let mut link = cts().openam();
    let token = Token::session("under-the-suffix", "shandle:suffix");
    token.create(&mut link, "dc=cts,dc=example,dc=com");
    let filter = "(&(coreTokenString03=shandle:suffix)(objectClass=frCoreToken))";
    let found = link.search(&Query::subtree("dc=cts,dc=example,dc=com", filter).select(ETAG_NAMED), &[]);
    assert_eq!((found.code(), found.dns()), (0, vec![token.dn("dc=cts,dc=example,dc=com")]));
    assert_eq!(link.delete(&token.dn("dc=cts,dc=example,dc=com"), &[]).code, 0);
}

/// §3.1: what ids hold, in the SDK's escapes, in hexadecimal ones, and in the DN that comes back.
#[test]
fn ids_may_hold_special_characters() {
    let base = cts().container("contract-special");
    let mut link = cts().openam();
    let ids = [
        "-4623843786787643",
        "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
        "a+b/c==",
        "comma, and \"quotes\" \\ <angles> ; semicolon",
        " leading",
        "trailing ",
        "#hash",
        "sharp#within",
        "Grüße-日本",
        "tab\tand\u{1}",
        "*()",
        "6162636465666768696a6b6c6d6e6f707172737475767778797a6162636465666768696a6b6c6d6e6f70",
    ];
    for id in ids {
        let token = Token::new(id, "REST").with("coreTokenString01", id);
        let dn = token.dn(&base);
        let answer = token.try_create(&mut link, &base);
        assert_eq!(answer.code, 0, "{id:?}: {answer:?}");
        let found = link.read(&dn, ETAG_NAMED);
        assert_eq!(found.code(), 0, "{id:?}");
        assert_eq!(found.entries[0].dn, dn, "the DN comes back as it was received");
        assert_eq!(found.entries[0].texts("coreTokenId"), [id]);
        let all_hex: String = id.bytes().map(|byte| format!("\\{byte:02X}")).collect();
        let found = link.read(&format!("coreTokenId={all_hex},{base}"), &["coreTokenId"]);
        assert_eq!((found.code(), found.entries.len()), (0, 1), "{id:?} in hexadecimal");
        assert_eq!(found.entries[0].dn, dn);
        assert_eq!(token.try_create(&mut link, &base).code, 68);
    }
    let found = link.search(&Query::new(&base, Scope::One, "(coreTokenType=REST)").select(&["1.1"]), &[]);
    assert_eq!(found.entries.len(), ids.len());
    for id in ids {
        let escaped: String = id.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        let filter = format!("(&(coreTokenId={escaped})(objectClass=frCoreToken))");
        let found = link.search(&Query::subtree(&base, &filter).select(&["coreTokenId", "etag"]), &[]);
        assert_eq!(found.column("coreTokenId"), [id]);
        assert_eq!(link.delete(&Token::new(id, "REST").dn(&base), &[]).code, 0, "{id:?}");
    }
}

/// §8.39: response types match their requests'; §8.36: the DN's text and case are kept.
#[test]
fn dn_text_is_kept_and_compared_by_rule() {
    let base = cts().container("contract-dn");
    let mut link = cts().openam();
    let token = Token::new("MixedCase", "GENERIC");
    token.create(&mut link, &base);
    let other = format!("CORETOKENID = mixedcase , {}", base.to_uppercase());
    let found = link.read(&other, &["coreTokenId"]);
    assert_eq!(found.code(), 0, "{:?}", found.done);
    assert_eq!(found.entries[0].dn, token.dn(&base));
    assert_eq!(found.entries[0].texts("coreTokenId"), ["MixedCase"]);
    assert_eq!(link.search(&Query::base(FAMRECORDS).select(&["1.1"]), &[]).entries[0].dn, FAMRECORDS);
}
