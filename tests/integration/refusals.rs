//! Wrong input of each kind: its exact result code, a diagnostic that helps, and a server that answers the next request.

use ctsd::protocol::message::Scope;

use crate::support::{
    Answer, CTS_USER, Ctl, DM, Link, Lost, NOBODY, Query, Reply, SUFFIX, Token, cts, int, octets, request,
    seq, tlv,
};

/// The code, a diagnostic with `word` in it, and a connection that goes on.
fn refused(link: &mut Link, answer: &Answer, code: u32, word: &str) {
    assert_eq!(answer.code, code, "{answer:?}");
    let said = answer.diagnostic.to_lowercase();
    assert!(
        said.contains(&word.to_lowercase()) && !said.is_empty(),
        "{word:?} is not in {:?}",
        answer.diagnostic
    );
    assert!(link.heartbeat(), "the next request is answered");
}

#[test]
fn bad_dns() {
    let mut link = cts().root();
    for dn in ["nonsense", "=x", "cn=a,,dc=b", "cn=\\zz", "cn=a+", "coreTokenId=a=b,", "cn=\"open"] {
        let answers = [
            link.read(dn, &[]).done,
            link.add(dn, &[("objectClass", &["top"])], &[]),
            link.modify(dn, &[('=', "cn", &["x"])], &[]),
            link.delete(dn, &[]),
            link.compare(dn, "cn", "x", &[]),
            link.rename(dn, "cn=x", true, None),
            link.rename(SUFFIX, dn, true, None),
        ];
        for answer in &answers {
            refused(&mut link, answer, 34, "");
            assert!(!answer.diagnostic.is_empty(), "{dn}");
        }
        // Authentication tells nothing but that it failed, or that the DN is none.
        let bind = link.bind(dn, "x");
        assert!(bind.code == 34 || bind.code == 49, "{dn}: {bind:?}");
        assert_eq!(link.bind(DM, crate::support::PASSWORD).code, 0);
    }
}

#[test]
fn unknown_classes_and_types() {
    let base = cts().container("refusals-class");
    let mut link = cts().root();
    let dn = format!("ou=x,{base}");
    let answer = link.add(&dn, &[("objectClass", &["noSuchClass"]), ("ou", &["x"])], &[]);
    refused(&mut link, &answer, 65, "noSuchClass");
    let answer = link.add(&dn, &[("ou", &["x"])], &[]);
    refused(&mut link, &answer, 65, "objectClass");
    let answer = link.add(&dn, &[("objectClass", &["organizationalUnit"]), ("noSuchType", &["x"])], &[]);
    refused(&mut link, &answer, 65, "noSuchType");
    let answer = link.add(
        &dn,
        &[("objectClass", &["organizationalUnit", "person"]), ("sn", &["x"]), ("cn", &["x"])],
        &[],
    );
    refused(&mut link, &answer, 65, "");
    let answer = link.compare(&base, "noSuchType", "x", &[]);
    refused(&mut link, &answer, 17, "noSuchType");
}

#[test]
fn bad_syntax() {
    let base = cts().container("refusals-syntax");
    let mut link = cts().openam();
    let token = Token::session("s", "shandle:s");
    token.create(&mut link, &base);
    for (name, value) in [
        ("coreTokenDate01", "20261322021638Z"),
        ("coreTokenInteger01", "seven"),
        ("coreTokenInteger01", ""),
        ("coreTokenExpirationDate", "2026-11-22T02:16:38Z"),
    ] {
        let answer = link.modify(&token.dn(&base), &[('=', name, &[value])], &[]);
        refused(&mut link, &answer, 21, name);
    }
}

/// A message that can be cut off the stream but not understood is answered on its id.
#[test]
fn truncated_messages_are_answered_on_their_id() {
    let mut link = cts().openam();
    let whole = request::search(9, &Query::base("").select(&["1.1"]), &[]);
    // The protocolOp says it has more than the message holds.
    let mut overrun = whole.clone();
    overrun[6] += 20;
    for (what, bytes) in [
        ("overrun", overrun),
        ("empty search", seq(&[int(9), tlv(0x63, b"")])),
        (
            "modify cut short",
            seq(&[int(9), tlv(0x66, &[octets(b"cn=a"), tlv(0x30, &[0x30, 0x10, 0x0a])].concat())]),
        ),
        (
            "add without attributes' end",
            seq(&[int(9), tlv(0x68, &[octets(b"cn=a"), vec![0x30, 0x05, 0x30]].concat())]),
        ),
        ("boolean of 1", {
            let mut odd = whole.clone();
            let at = odd.windows(3).position(|w| w == [1, 1, 0]).unwrap();
            odd[at + 2] = 1;
            odd
        }),
    ] {
        link.send(&bytes);
        let answer = link.answer(9);
        assert_eq!(answer.code, 2, "{what}: {answer:?}");
        refused(&mut link, &answer, 2, "");
        assert!(!answer.diagnostic.is_empty(), "{what}");
    }
    // Where not even an id can be read, the connection ends with a notice, and the server goes on.
    for bytes in [
        &[0x30, 0x02, 0x02, 0x05][..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x30, 0x80, 0x02, 0x01],
        &[0x30, 0x85, 1, 1, 1, 1, 1],
    ] {
        let mut link = cts().instance.link();
        link.send(bytes);
        match link.next() {
            Ok(Reply::Answer(answer)) => {
                assert_eq!((answer.id, answer.code), (0, 2), "{answer:?}");
                assert_eq!(answer.name.as_deref(), Some("1.3.6.1.4.1.1466.20036"));
                assert!(!answer.diagnostic.is_empty());
                assert!(link.closes());
            }
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
    // A client that dies in the middle of a message.
    let mut gone = cts().instance.link();
    gone.send(&whole[..whole.len() - 3]);
    drop(gone);
    assert!(link.heartbeat());
}

#[test]
fn deep_and_large_filters() {
    let mut link = cts().openam();
    let deep = |depth: usize| {
        let mut filter = tlv(0x87, b"objectClass");
        for _ in 0..depth {
            filter = tlv(0xa2, &filter);
        }
        let limits = [tlv(0x0a, &[0]), tlv(0x0a, &[0]), int(0), int(0), tlv(1, &[0])].concat();
        let body = [octets(b""), limits, filter, seq(&[octets(b"1.1")])].concat();
        seq(&[int(50), tlv(0x63, &body)])
    };
    link.send(&deep(60));
    assert_eq!(link.found(50).code(), 0);
    for depth in [100, 10_000, 200_000] {
        link.send(&deep(depth));
        let answer = link.answer(50);
        refused(&mut link, &answer, 2, "deep");
    }
    let wide = vec!["(cn=x)"; 2_000].concat();
    assert_eq!(link.search(&Query::new("", Scope::Base, &format!("(|{wide})")), &[]).code(), 0);
}

/// Features §1.1: 5 MB are taken, more is refused before it is read, with a notice.
#[test]
fn oversize_requests() {
    let base = cts().container("refusals-size");
    let mut link = cts().openam();
    let blob: Vec<u8> = (0..4_900_000_u32).map(|n| n as u8).collect();
    let token = Token::session("large", "shandle:large").with_bytes("coreTokenObject", &blob);
    token.create(&mut link, &base);
    let read = link.read(&token.dn(&base), &["coreTokenObject"]);
    assert!(read.entries[0].values("coreTokenObject") == [blob]);
    assert_eq!(link.delete(&token.dn(&base), &[]).code, 0);

    // The header alone is enough.
    for header in [&[0x30, 0x84, 0x00, 0x60, 0x00, 0x00][..], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
        let mut link = cts().openam();
        link.send(header);
        match link.next().unwrap() {
            Reply::Answer(answer) => {
                assert_eq!(
                    (answer.id, answer.name.as_deref()),
                    (0, Some("1.3.6.1.4.1.1466.20036")),
                    "{answer:?}"
                );
                assert!(matches!(answer.code, 2 | 11), "{answer:?}");
                assert!(answer.diagnostic.contains("limit"), "{answer:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(link.next().unwrap_err(), Lost::Closed);
    }
    assert!(link.heartbeat());
}

#[test]
fn unknown_controls() {
    let base = cts().container("refusals-control");
    let mut link = cts().openam();
    let token = Token::session("c", "shandle:c");
    token.create(&mut link, &base);
    let dn = token.dn(&base);
    let critical = [Ctl::flag("1.2.3.4.5", true)];
    let ignored = [Ctl::flag("1.2.3.4.5", false), Ctl::new("1.3.6.1.1.12.9", false, Some(vec![0xff]))];
    let change: &[(char, &str, &[&str])] = &[('=', "coreTokenString01", &["x"])];
    for answer in [
        link.search(&Query::base(&dn), &critical).done,
        link.modify(&dn, change, &critical),
        link.compare(&dn, "coreTokenType", "x", &critical),
        link.add(&format!("coreTokenId=d,{base}"), &[("objectClass", &["frCoreToken"])], &critical),
        link.delete(&dn, &critical),
    ] {
        refused(&mut link, &answer, 12, "1.2.3.4.5");
    }
    assert_eq!(link.search(&Query::base(&dn), &ignored).code(), 0);
    assert_eq!(link.modify(&dn, change, &ignored).code, 0);
    // A control where it does not belong.
    let paged = link.modify(&dn, change, &[Ctl::paged(10, b"")]);
    refused(&mut link, &paged, 12, "");
    // Values that are not the control's.
    for control in [
        Ctl::new("1.3.6.1.1.13.2", true, Some(b"junk".to_vec())),
        Ctl::new("1.3.6.1.1.13.2", true, None),
        Ctl::new("1.3.6.1.1.12", true, Some(vec![0xa3, 0x05, 0x04])),
    ] {
        let answer = link.modify(&dn, change, std::slice::from_ref(&control));
        assert_eq!(answer.code, 2, "{control:?}: {answer:?}");
        refused(&mut link, &answer, 2, "");
    }
    let bind = link.bind_with(CTS_USER, crate::support::PASSWORD, &critical);
    assert_eq!(bind.code, 12);
    assert!(link.heartbeat());
}

/// Features §6: 50 without the privilege, naming the part of the filter and the privilege.
#[test]
fn unindexed_searches() {
    let base = cts().container("refusals-unindexed");
    let mut root = cts().root();
    let token = Token::session("u", "shandle:u").with("coreTokenString07", "x");
    token.create(&mut root, &base);
    let mut reader = cts().instance.bound(&cts().reader("unindexed-reader", &base));
    let query = |filter: &str| Query::subtree(&base, filter).select(&["coreTokenId"]);
    for filter in [
        "(coreTokenString07=x)",
        "(|(coreTokenString07=x)(coreTokenString03=shandle:u))",
        "(!(coreTokenString03=y))",
    ] {
        let found = reader.search(&query(filter), &[]);
        assert!(found.entries.is_empty());
        refused(&mut reader, &found.done, 50, "unindexed-search");
        if filter.contains("07") {
            assert!(found.done.diagnostic.contains("coreTokenString07"), "{}", found.done.diagnostic);
        }
    }
    assert_eq!(
        reader.search(&query("(&(coreTokenString07=x)(coreTokenString03=shandle:u))"), &[]).entries.len(),
        1
    );
    let base_scope = Query::new(&token.dn(&base), Scope::Base, "(coreTokenString07=x)");
    assert_eq!(reader.search(&base_scope, &[]).entries.len(), 1, "a base search needs no index");
    let mut privileged = cts().openam();
    assert_eq!(privileged.search(&query("(coreTokenString07=x)"), &[]).entries.len(), 1);
}

/// Features §1.1: 49 whatever the reason, with no word about it; a DN without a password is refused.
#[test]
fn wrong_passwords() {
    let mut link = cts().instance.link();
    let wrong = link.bind(NOBODY, "wrong");
    let unknown = link.bind("uid=unknown,ou=admins,dc=cts,dc=example,dc=com", "wrong");
    let no_password = link.bind("ou=admins,dc=cts,dc=example,dc=com", "wrong");
    assert_eq!((wrong.code, unknown.code, no_password.code), (49, 49, 49));
    assert_eq!(wrong.diagnostic, unknown.diagnostic, "an attacker learns nothing");
    assert_eq!(wrong.diagnostic, no_password.diagnostic);
    assert_eq!((wrong.matched.as_str(), unknown.matched.as_str()), ("", ""));
    let empty = link.bind(NOBODY, "");
    refused(&mut link, &empty, 53, "password");
    assert_eq!(link.bind("", "").code, 0, "anonymous");
    assert_eq!(link.bind(DM, "wrong").code, 49);
    assert!(link.heartbeat());
}

#[test]
fn requests_of_another_kind() {
    let mut link = cts().root();
    // LDAPv2, and a version that is none.
    for version in [2, 4] {
        let body = [int(version), octets(b""), tlv(0x80, b"")].concat();
        let id = link.id();
        link.send(&seq(&[int(id.into()), tlv(0x60, &body)]));
        let answer = link.answer(id);
        refused(&mut link, &answer, 2, "version");
    }
    assert_eq!(link.bind(DM, crate::support::PASSWORD).code, 0);
    let answer = link.extended("1.2.3.4.5", None);
    refused(&mut link, &answer, 2, "1.2.3.4.5");
    assert_eq!(answer.tag, 0x78);
    let body = [int(3), octets(b""), tlv(0xa3, &octets(b"NO-SUCH-MECHANISM"))].concat();
    let id = link.id();
    link.send(&seq(&[int(id.into()), tlv(0x60, &body)]));
    let answer = link.answer(id);
    refused(&mut link, &answer, 7, "");
    // An operation no RFC has.
    let mut odd = cts().root();
    let id = odd.id();
    odd.send(&seq(&[int(id.into()), tlv(0x7e, b"")]));
    assert!(odd.closes() || odd.heartbeat());
}

#[test]
fn entries_in_the_wrong_place() {
    let base = cts().container("refusals-place");
    let mut link = cts().root();
    let unit: &[(&str, &[&str])] = &[("objectClass", &["organizationalUnit"])];
    let answer = link.add("ou=x,dc=elsewhere", unit, &[]);
    refused(&mut link, &answer, 32, "");
    let answer = link.add(&format!("ou=a,ou=b,{base}"), unit, &[]);
    refused(&mut link, &answer, 32, "");
    assert_eq!(answer.matched, base);
    assert_eq!(link.add(&format!("ou=b,{base}"), unit, &[]).code, 0);
    let answer = link.delete(&base, &[]);
    refused(&mut link, &answer, 66, "");
    let answer = link.delete("", &[]);
    refused(&mut link, &answer, 53, "");
    let answer = link.delete("cn=schema", &[]);
    refused(&mut link, &answer, 53, "");
    for name in ["etag", "entryUUID", "createTimestamp", "numSubordinates"] {
        let answer = link.modify(&base, &[('=', name, &["x"])], &[]);
        assert!(matches!(answer.code, 19 | 21), "{name}: {answer:?}");
        refused(&mut link, &answer, answer.code, name);
    }
    let answer = link.modify(&base, &[('=', "ou", &["other"])], &[]);
    refused(&mut link, &answer, 67, "");
    let answer = link.modify(&base, &[('=', "objectClass", &["inetOrgPerson"])], &[]);
    assert!(matches!(answer.code, 65 | 69), "{answer:?}");
}
