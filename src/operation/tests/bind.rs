//! Binds, Who am I, Password Modify, proxied authorization.

use super::*;
use crate::protocol::extended::password_modify::PasswordModify;
use crate::protocol::oid;

fn who(client: &Client) -> String {
    let answer =
        client.send(|out, id| request::extended(out, id, oid::WHO_AM_I, None, &[])).code(ResultCode::SUCCESS);
    String::from_utf8(answer.value.unwrap()).unwrap()
}

#[test]
fn unknown_name_and_wrong_password_look_the_same() {
    let server = Server::new();
    let client = server.connect();
    for (dn, password) in [
        (MANAGER, &b"wrong"[..]),
        (USER, b"wrong"),
        ("uid=nobody,dc=cts,dc=example,dc=com", b"secret"),
        ("uid=nobody,dc=elsewhere", b"secret"),
        (SUFFIX, b"secret"),
    ] {
        let answer = client.bind(dn, password).code(ResultCode::INVALID_CREDENTIALS);
        assert_eq!(answer.result(), &LdapResult::new(ResultCode::INVALID_CREDENTIALS, ""));
    }
    assert_eq!(who(&client), "");
}

#[test]
fn a_bind_names_the_requester() {
    let server = Server::new();
    let client = server.connect();
    client.bind(MANAGER, PASSWORD).code(ResultCode::SUCCESS);
    assert_eq!(who(&client), "dn:cn=Directory Manager,cn=Root DNs,cn=config");
    assert_eq!(client.connection.who.lock().unwrap().limits.size, 0);
    client.bind("UID=OpenAM_CTS, ou=admins,dc=cts, dc=example,dc=com", PASSWORD).code(ResultCode::SUCCESS);
    assert_eq!(who(&client), format!("dn:{USER}"));
    let limits = client.connection.who.lock().unwrap().limits;
    assert_eq!((limits.size, limits.lookthrough, limits.time), (5000, 0, 60));
    // A failed bind leaves the connection anonymous (RFC 4511 §4.2.1).
    client.bind(MANAGER, b"wrong").code(ResultCode::INVALID_CREDENTIALS);
    assert_eq!(who(&client), "");
}

#[test]
fn the_servers_own_user_is_the_root_user_by_external() {
    let server = Server::new();
    let external = |client: &Client, identity: Option<&[u8]>| {
        client.send(|out, id| request::bind_sasl(out, id, "", "EXTERNAL", identity, &[]))
    };
    let owner = server.connect_as(true);
    external(&owner, None).code(ResultCode::SUCCESS);
    assert_eq!(who(&owner), "dn:cn=Directory Manager,cn=Root DNs,cn=config");
    external(&owner, Some(format!("dn:{MANAGER}").as_bytes())).code(ResultCode::SUCCESS);
    // The root user of a new instance lacks proxied-auth.
    external(&owner, Some(format!("dn:{USER}").as_bytes())).code(ResultCode::INVALID_CREDENTIALS);
    assert_eq!(who(&owner), "");
    let other = server.connect();
    assert_ne!(external(&other, None).result().code, ResultCode::SUCCESS);
}

#[test]
fn other_ways_to_bind() {
    let server = Server::new();
    let client = server.connect();
    client.bind("", b"").code(ResultCode::SUCCESS);
    client.bind(MANAGER, b"").code(ResultCode::UNWILLING_TO_PERFORM).says("password");
    client.bind("cn=\"Directory Manager", PASSWORD).code(ResultCode::INVALID_DN_SYNTAX);
    client
        .send(|out, id| request::bind_sasl(out, id, "", "CRAM-MD5", None, &[]))
        .code(ResultCode::AUTH_METHOD_NOT_SUPPORTED);
    let version_2 = b"\x30\x0c\x02\x01\x63\x60\x07\x02\x01\x02\x04\x00\x80\x00";
    client.send_frame(Bytes::from_static(version_2), MessageId(99));
    client.drain().code(ResultCode::PROTOCOL_ERROR).says("version 2");
    // OpenAM's bind carries its transaction id; the authorization identity is answered.
    let controls = [
        Control { oid: oid::TRANSACTION_ID, critical: false, value: Some(b"\xff\x00any") },
        Control { oid: ControlKind::AuthorizationIdentity.oid(), critical: true, value: None },
    ];
    let answer =
        client.send(|out, id| request::bind(out, id, MANAGER, PASSWORD, &controls)).code(ResultCode::SUCCESS);
    assert!(answer.value.is_none());
    server.manager().configure("bind-with-dn-requires-password", b"false");
    client.bind(MANAGER, b"").code(ResultCode::SUCCESS);
    assert_eq!(who(&client), "");
}

#[test]
fn a_disabled_account_stays_out() {
    let server = Server::new();
    let change = [(ModifyOperation::Replace, ("ds-pwp-account-disabled", &[&b"true"[..]][..]))];
    server.manager().modify(USER, &change, &[]).code(ResultCode::SUCCESS);
    server.connect().bind(USER, PASSWORD).code(ResultCode::INVALID_CREDENTIALS);
}

#[test]
fn passwords_change_by_modify() {
    let server = Server::new();
    let user = server.user();
    let encoded = [(ModifyOperation::Replace, ("userPassword", &[&b"{SSHA}abc="[..]][..]))];
    user.modify(USER, &encoded, &[])
        .code(ResultCode::CONSTRAINT_VIOLATION)
        .says("ds-cfg-allow-pre-encoded-passwords");
    let swap = [
        (ModifyOperation::Delete, ("userPassword", &[PASSWORD][..])),
        (ModifyOperation::Add, ("userPassword", &[&b"next"[..]][..])),
    ];
    user.modify(USER, &swap, &[]).code(ResultCode::SUCCESS);
    server.connect().bind(USER, PASSWORD).code(ResultCode::INVALID_CREDENTIALS);
    server.connect().bind(USER, b"next").code(ResultCode::SUCCESS);
    user.modify(USER, &swap, &[]).code(ResultCode::NO_SUCH_ATTRIBUTE);
}

#[test]
fn password_modify_proves_or_resets() {
    let server = Server::new();
    let modify = |client: &Client, user: Option<&str>, old: Option<&[u8]>, new: Option<&[u8]>| {
        let wish = PasswordModify {
            user: user.map(str::to_owned),
            old: old.map(<[u8]>::to_vec),
            new: new.map(<[u8]>::to_vec),
        };
        client.send(|out, id| request::extended(out, id, oid::PASSWORD_MODIFY, Some(&wish.value()), &[]))
    };
    let user = server.user();
    modify(&user, None, Some(b"wrong"), Some(b"next")).code(ResultCode::INVALID_CREDENTIALS);
    modify(&user, None, Some(PASSWORD), Some(b"next")).code(ResultCode::SUCCESS);
    server.connect().bind(USER, b"next").code(ResultCode::SUCCESS);
    let answer = modify(&server.manager(), Some("u:openam_cts"), None, None).code(ResultCode::SUCCESS);
    let made = answer.value.unwrap();
    server.connect().bind(USER, &made[4..]).code(ResultCode::SUCCESS);
    let anonymous = server.connect();
    modify(&anonymous, None, None, Some(b"x")).code(ResultCode::UNWILLING_TO_PERFORM);
    modify(&anonymous, Some(USER), None, Some(b"x")).code(ResultCode::INVALID_CREDENTIALS);
    modify(&anonymous, Some(&format!("dn:{USER}")), Some(&made[4..]), Some(b"third"))
        .code(ResultCode::SUCCESS);
    server.connect().bind(USER, b"third").code(ResultCode::SUCCESS);
    anonymous
        .send(|out, id| request::extended(out, id, "1.2.3.4", None, &[]))
        .code(ResultCode::PROTOCOL_ERROR)
        .says("1.2.3.4");
}

#[test]
fn acting_for_another_takes_privilege_and_grant() {
    let server = Server::new();
    let manager = server.manager();
    let act = |client: &Client, authorization: &str| {
        let control = critical(ControlKind::Proxied, authorization.as_bytes());
        client.send(|out, id| request::extended(out, id, oid::WHO_AM_I, None, &[control]))
    };
    act(&manager, USER).code(ResultCode::AUTHORIZATION_DENIED).says("proxied-auth");
    let change = [(ModifyOperation::Add, ("ds-privilege-name", &[&b"proxied-auth"[..]][..]))];
    manager.modify(USER, &change, &[]).code(ResultCode::SUCCESS);
    let aci = format!("(version 3.0; acl \"act\"; allow (proxy) userdn=\"ldap:///{USER}\";)");
    let other = format!("uid=other,ou=admins,{SUFFIX}");
    manager
        .add(&other, &[("objectClass", &["account"]), ("uid", &["other"]), ("aci", &[&aci])])
        .code(ResultCode::SUCCESS);
    let user = server.user();
    act(&user, "dn:cn=Directory Manager").code(ResultCode::AUTHORIZATION_DENIED);
    act(&user, "dn:uid=nobody,dc=cts,dc=example,dc=com").code(ResultCode::AUTHORIZATION_DENIED);
    let answer = act(&user, &format!("dn:{other}")).code(ResultCode::SUCCESS);
    assert_eq!(answer.value.unwrap(), format!("dn:{other}").into_bytes());
    let answer = act(&user, "u:other").code(ResultCode::SUCCESS);
    assert_eq!(answer.value.unwrap(), format!("dn:{other}").into_bytes());
    let answer = act(&user, "").code(ResultCode::SUCCESS);
    assert_eq!(answer.value.unwrap(), b"");
    assert_eq!(user.connection.who.lock().unwrap().dn, USER);
}
