//! Closed by default: neither tokens nor their names for who has no grant.

use super::*;

#[test]
fn strangers_see_no_names() {
    let server = Server::new();
    server.user().add_token("t", &[("coreTokenUserId", &["demo"])]).code(ResultCode::SUCCESS);
    let manager = server.manager();
    let stranger = format!("uid=stranger,ou=admins,{SUFFIX}");
    let account: &[(&str, &[&str])] =
        &[("objectClass", &["account", "simpleSecurityObject"]), ("userPassword", &["pw"])];
    manager.add(&stranger, account).code(ResultCode::SUCCESS);
    let bound = server.connect();
    bound.bind(&stranger, b"pw").code(ResultCode::SUCCESS);
    for client in [server.connect(), bound] {
        for filter in [
            "(objectClass=*)",
            "(coreTokenUserId=demo)",
            "(!(coreTokenUserId=x))",
            "(etag=*)",
            "(&)",
            "(createTimestamp=*)",
        ] {
            for attributes in [&["*", "+"][..], &["1.1"], &["etag", "entryUUID", "createTimestamp"], &[]] {
                let answer = client.find(filter, attributes, &[]);
                assert_eq!(answer.dns(), Vec::<&str>::new(), "{filter} {attributes:?}");
                assert_eq!(answer.result().code, ResultCode::NO_SUCH_OBJECT);
                assert_eq!(answer.result().matched, "");
            }
        }
        let read = client.read(&token("t"), &["etag"]).code(ResultCode::NO_SUCH_OBJECT);
        assert_eq!(read.result().matched, "");
        let gone = client.read(&token("gone"), &["etag"]).code(ResultCode::NO_SUCH_OBJECT);
        assert_eq!(read.result(), gone.result());
        let change = [(ModifyOperation::Replace, ("coreTokenString01", &[&b"x"[..]][..]))];
        assert_eq!(
            client.modify(&token("t"), &change, &[]).result(),
            client.modify(&token("gone"), &change, &[]).result()
        );
        assert_eq!(client.delete(&token("t"), &[]).result(), client.delete(&token("gone"), &[]).result());
        let attributes: &[(&str, &[&str])] =
            &[("objectClass", &["frCoreToken"]), ("coreTokenId", &["t"]), ("coreTokenType", &["SESSION"])];
        client.add(&token("t"), attributes).code(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    }
}

#[test]
fn an_aci_is_in_force_when_it_is_acknowledged() {
    let server = Server::new();
    let manager = server.manager();
    let client = server.connect();
    client.read(SUFFIX, &["dc"]).code(ResultCode::NO_SUCH_OBJECT);
    let aci =
        b"(targetattr=\"dc\")(version 3.0; acl \"open\"; allow (read,search) userdn=\"ldap:///anyone\";)";
    let change = [(ModifyOperation::Add, ("aci", &[&aci[..]][..]))];
    manager.modify(SUFFIX, &change, &[]).code(ResultCode::SUCCESS);
    let answer = client.read(SUFFIX, &["*"]).code(ResultCode::SUCCESS);
    assert_eq!(answer.entry().names(), ["dc", "objectClass"]);
    let change = [(ModifyOperation::Delete, ("aci", &[&aci[..]][..]))];
    manager.modify(SUFFIX, &change, &[]).code(ResultCode::SUCCESS);
    client.read(SUFFIX, &["dc"]).code(ResultCode::NO_SUCH_OBJECT);
    let broken = [(ModifyOperation::Add, ("aci", &[&b"(version 4)"[..]][..]))];
    manager.modify(SUFFIX, &broken, &[]).code(ResultCode::INVALID_ATTRIBUTE_SYNTAX).says("at octet");
}

#[test]
fn guarded_attributes_take_their_privileges() {
    let server = Server::new();
    let user = server.user();
    let change =
        |name, value: &'static [u8]| user.modify(SUFFIX, &[(ModifyOperation::Add, (name, &[value]))], &[]);
    change("aci", b"x").code(ResultCode::INSUFFICIENT_ACCESS_RIGHTS).says("modify-acl");
    change("ds-privilege-name", b"bypass-acl")
        .code(ResultCode::INSUFFICIENT_ACCESS_RIGHTS)
        .says("privilege-change");
    let manager = server.manager();
    let bad = [(ModifyOperation::Add, ("ds-privilege-name", &[&b"no-such"[..]][..]))];
    manager.modify(USER, &bad, &[]).code(ResultCode::INVALID_ATTRIBUTE_SYNTAX).says("no-such");
    let attributes: &[(&str, &[&str])] =
        &[("objectClass", &["organizationalUnit"]), ("ds-privilege-name", &["config-read"])];
    user.add(&format!("ou=x,{SUFFIX}"), attributes).code(ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
}

#[test]
fn controls_pass_the_gate() {
    let server = Server::new();
    let anonymous = server.connect();
    let page = critical(ControlKind::Paged, b"\x30\x06\x02\x02\x03\xe8\x04\x00");
    anonymous
        .find("(objectClass=*)", &[], &[page])
        .code(ResultCode::UNAVAILABLE_CRITICAL_EXTENSION)
        .says("319");
    let unknown = Control { oid: "1.2.3", critical: true, value: None };
    let user = server.user();
    user.find("(objectClass=*)", &[], &[unknown])
        .code(ResultCode::UNAVAILABLE_CRITICAL_EXTENSION)
        .says("1.2.3");
    user.find("(objectClass=*)", &[], &[Control { critical: false, ..unknown }]).code(ResultCode::SUCCESS);
    let psearch = critical(ControlKind::PersistentSearch, b"\x30\x03\x02\x01\x0f");
    user.find("(objectClass=*)", &[], &[psearch]).code(ResultCode::PROTOCOL_ERROR);
}

#[test]
fn unauthenticated_requests_can_be_rejected() {
    let server = Server::new();
    server.manager().configure("reject-unauthenticated-requests", b"true");
    let client = server.connect();
    client.read("", &[]).code(ResultCode::UNWILLING_TO_PERFORM);
    client.bind(USER, PASSWORD).code(ResultCode::SUCCESS);
    client.read("", &[]).code(ResultCode::SUCCESS);
}
