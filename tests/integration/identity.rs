//! Who somebody is, as whom they act, and their passwords.

use ctsd::protocol::oid;

use crate::support::{CTS_USER, Ctl, DM, NOBODY, PASSWORD, Query, SUFFIX, Token, Tool, cts, request, tool};

#[test]
fn proxied_authorization() {
    let base = cts().container("op-proxy");
    Token::session("proxy", "shandle:proxy").create(&mut cts().openam(), &base);
    let dn = cts().user("proxy", &[("ds-privilege-name", &["proxied-auth"])]);
    let as_openam = [Ctl::new(oid::PROXIED_AUTHORIZATION, true, Some(format!("dn:{CTS_USER}").into_bytes()))];
    let query = Query::subtree(&base, "(coreTokenString03=shandle:proxy)");
    let mut link = cts().instance.bound(&dn);
    let found = link.search(&query, &as_openam);
    assert_eq!(
        (found.code(), found.entries.len()),
        (123, 0),
        "the privilege alone is not enough: {:?}",
        found.done
    );
    let aci =
        format!("(targetattr=\"*\")(version 3.0; acl \"proxy\"; allow (proxy) userdn = \"ldap:///{dn}\";)");
    assert_eq!(cts().root().modify(SUFFIX, &[('+', "aci", &[&aci])], &[]).code, 0);
    assert_eq!(link.search(&query, &as_openam).entries.len(), 1);
    assert_eq!(link.search(&query, &[]).entries.len(), 0, "for that request only");
    let by_name = [Ctl::new(oid::PROXIED_AUTHORIZATION, true, Some(b"u:openam_cts".to_vec()))];
    assert_eq!(link.search(&query, &by_name).entries.len(), 1);
    let unknown = [Ctl::new(
        oid::PROXIED_AUTHORIZATION,
        true,
        Some(b"dn:uid=unknown,dc=cts,dc=example,dc=com".to_vec()),
    )];
    assert_eq!(link.search(&query, &unknown).code(), 123);
    let uncritical =
        [Ctl::new(oid::PROXIED_AUTHORIZATION, false, Some(format!("dn:{CTS_USER}").into_bytes()))];
    assert_eq!(link.search(&query, &uncritical).code(), 2, "RFC 4370: it has to be critical");
    let mut nobody = cts().instance.bound(NOBODY);
    assert!(matches!(nobody.search(&query, &as_openam).code(), 123), "no privilege");
    let id = link.id();
    link.send(&request::extended(id, oid::WHO_AM_I, None, &as_openam));
    assert_eq!(
        String::from_utf8(link.answer(id).value.unwrap()).unwrap().to_lowercase(),
        format!("dn:{CTS_USER}")
    );
}

#[test]
fn who_am_i_and_authorization_identity() {
    let mut link = cts().instance.link();
    let control = [Ctl::flag(oid::AUTHORIZATION_IDENTITY_REQUEST, false)];
    let answer = link.bind_with(CTS_USER, PASSWORD, &control);
    let identity = String::from_utf8(answer.control(oid::AUTHORIZATION_IDENTITY_RESPONSE).unwrap()).unwrap();
    assert_eq!(identity.to_lowercase(), format!("dn:{CTS_USER}"));
    assert_eq!(link.whoami().to_lowercase(), format!("dn:{CTS_USER}"));
    let who = tool("ldapwhoami", &cts().instance).run();
    assert_eq!(who.code, 0, "{who:?}");
    assert!(who.out.trim().to_lowercase().starts_with(&format!("dn:{}", DM.to_lowercase())), "{who:?}");
    let mut anonymous = cts().instance.link();
    assert_eq!(anonymous.whoami(), "");
    let answer = anonymous.bind_with("", "", &control);
    assert_eq!((answer.code, answer.control(oid::AUTHORIZATION_IDENTITY_RESPONSE)), (0, Some(Vec::new())));
}

#[test]
fn passwords_are_changed_and_hidden() {
    let dn = cts().user("changes-password", &[]);
    let passwd = |user: &str, old: &str, args: &[&str]| tool_as("ldappasswd", user, old).args(args).run();
    // By oneself, with the old one; the server makes one; by who may reset.
    let run = passwd(&dn, PASSWORD, &["-a", PASSWORD, "-s", "second-one"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(cts().instance.link().bind(&dn, PASSWORD).code, 49);
    assert_eq!(cts().instance.link().bind(&dn, "second-one").code, 0);
    let run = passwd(&dn, "second-one", &["-a", "wrong", "-s", "third-one"]);
    assert!(run.code != 0, "{run:?}");
    let run = passwd(DM, PASSWORD, &[&dn]);
    assert_eq!(run.code, 0, "{run:?}");
    let made = run.out.lines().find_map(|line| line.strip_prefix("New password: ")).unwrap().to_owned();
    assert_eq!(cts().instance.link().bind(&dn, &made).code, 0);
    assert!(passwd(NOBODY, PASSWORD, &["-s", "stolen", &dn]).code != 0);
    // Clear text goes in, a hash is kept; what is a hash already is refused.
    let mut root = cts().root();
    assert_eq!(root.modify(&dn, &[('=', "userPassword", &["fourth-one"])], &[]).code, 0);
    let stored = root.read(&dn, &["userPassword"]).entries[0].text("userPassword").unwrap();
    assert!(stored.starts_with("{PBKDF2-HMAC-SHA256}"), "{stored}");
    assert_eq!(cts().instance.link().bind(&dn, "fourth-one").code, 0);
    assert_eq!(root.modify(&dn, &[('=', "userPassword", &[&stored])], &[]).code, 19);
    let anonymous = Query::subtree(SUFFIX, "(userPassword=*)").select(&["userPassword"]);
    assert!(
        cts().instance.bound(NOBODY).search(&anonymous, &[]).entries.iter().all(|entry| entry.dn == NOBODY)
    );
}

fn tool_as(name: &str, dn: &str, password: &str) -> Tool<'static> {
    Tool::new(name, &cts().instance.url()).user(dn, password)
}
