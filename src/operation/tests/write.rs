//! Adds, modifies, deletes, renames: codes and controls.

use super::*;

fn replace<'a>(name: &'a str, values: &'a [&'a [u8]]) -> (ModifyOperation, request::Attribute<'a>) {
    (ModifyOperation::Replace, (name, values))
}

#[test]
fn a_message_id_is_free_before_its_answer_can_arrive() {
    let server = Server::new();
    let client = server.manager();
    let free = || std::mem::take(&mut *client.connection.free.lock().unwrap());
    assert_eq!(free(), [true], "of the bind");
    client.add_token("one", &[]).code(ResultCode::SUCCESS);
    client.delete(&token("other"), &[]).code(ResultCode::NO_SUCH_OBJECT);
    assert_eq!(free(), [true, true]);
    let found = client.search(&Search { scope: Scope::Subtree, ..Search::base(SUFFIX) }, &[]);
    assert!(found.entries.len() > 1);
    let mut wanted = vec![false; found.entries.len()];
    wanted.push(true);
    assert_eq!(free(), wanted, "entries come before the answer");
}

#[test]
fn an_added_token_answers_with_its_etag() {
    let server = Server::new();
    let user = server.user();
    let id: &[(&str, &[&str])] = &[
        ("objectClass", &["frCoreToken"]),
        ("coretokenid", &["a+b=="]),
        ("CORETOKENTYPE", &["SESSION"]),
        ("coreTokenExpirationDate", &["20261122051638.043+0300"]),
    ];
    let controls = [critical(ControlKind::PostRead, POST_READ_ETAG)];
    let answer = user.add_with(&token("a\\+b\\=\\="), id, &controls).code(ResultCode::SUCCESS);
    let read = answer.read(ControlKind::PostRead);
    assert_eq!(read.names(), ["etag"]);
    assert_eq!(read.values("etag")[0].len(), 16);
    user.add_with(&token("A\\2Bb=="), id, &controls).code(ResultCode::ENTRY_ALREADY_EXISTS);
    let answer = user.read(&token("a\\2Bb\\3D="), &["*", "etag"]);
    let entry = answer.entry();
    assert_eq!(entry.dn, token("a\\+b\\=\\="));
    assert_eq!(
        entry.names(),
        ["coreTokenExpirationDate", "coreTokenId", "coreTokenType", "etag", "objectClass"]
    );
    assert_eq!(entry.values("coreTokenExpirationDate"), ["20261122051638.043+0300"]);
    assert_eq!(entry.values("etag"), read.values("etag"));
    let operational = user.read(&token("a\\+b\\=\\="), &["createTimestamp", "creatorsName", "entryUUID"]);
    assert_eq!(operational.entry().values("createTimestamp"), ["20261122051638Z"]);
    assert_eq!(operational.entry().values("creatorsName"), [USER]);
    assert_eq!(operational.entry().values("entryUUID")[0].len(), 36);
}

#[test]
fn what_a_client_leaves_out_is_completed() {
    let server = Server::new();
    let manager = server.manager();
    let answer = manager.read("ou=admins,dc=cts,dc=example,dc=com", &[]);
    assert_eq!(answer.entry().values("ou"), ["OpenAM Administrator", "admins"]);
    assert_eq!(answer.entry().values("objectClass"), ["organizationalUnit", "top"]);
    let answer = manager.read(USER, &["uid", "userPassword", "ds-privilege-name"]);
    assert_eq!(answer.entry().values("uid"), ["openam_cts"]);
    assert!(answer.entry().values("userPassword")[0].starts_with("{SSHA512}"));
    assert_eq!(answer.entry().values("ds-privilege-name").len(), 4);
    manager.configure("add-missing-rdn-attributes", b"false");
    let classes: &[(&str, &[&str])] = &[("objectClass", &["organizationalUnit"]), ("ou", &["x"])];
    manager.add("ou=other,dc=cts,dc=example,dc=com", classes).code(ResultCode::NAMING_VIOLATION);
}

#[test]
fn schema_violations_have_the_codes_of_the_contract() {
    let server = Server::new();
    let user = server.user();
    let code = |more: &[(&str, &[&str])], code| user.add_token("x", more).code(code);
    code(&[("coreTokenString01", &["a", "b"])], ResultCode::OBJECT_CLASS_VIOLATION).says("coreTokenString01");
    code(&[("coreTokenDate01", &["yesterday"])], ResultCode::INVALID_ATTRIBUTE_SYNTAX)
        .says("coreTokenDate01");
    code(&[("noSuchThing", &["a"])], ResultCode::OBJECT_CLASS_VIOLATION).says("noSuchThing");
    code(&[("sn", &["a"])], ResultCode::OBJECT_CLASS_VIOLATION).says("sn");
    code(&[("etag", &["a"])], ResultCode::CONSTRAINT_VIOLATION).says("etag");
    code(&[("coreTokenMultiString01", &["a", "A "])], ResultCode::ATTRIBUTE_OR_VALUE_EXISTS);
    let missing: &[(&str, &[&str])] = &[("objectClass", &["frCoreToken"]), ("coreTokenId", &["x"])];
    user.add(&token("x"), missing).code(ResultCode::OBJECT_CLASS_VIOLATION).says("coreTokenType");
    user.add(&token("x"), &[("coreTokenId", &["x"])])
        .code(ResultCode::OBJECT_CLASS_VIOLATION)
        .says("objectClass");
    let unknown: &[(&str, &[&str])] = &[("objectClass", &["noSuchClass"])];
    user.add(&token("x"), unknown).code(ResultCode::OBJECT_CLASS_VIOLATION).says("noSuchClass");
    assert!(!server.manager().read(&token("x"), &[]).results[0].diagnostic.contains("secret"));
}

#[test]
fn bad_names_are_refused_with_a_reason() {
    let server = Server::new();
    let user = server.user();
    let ou: &[(&str, &[&str])] = &[("objectClass", &["organizationalUnit"])];
    user.add("ou=tokens,$ROOT_SUFFIX", ou).code(ResultCode::INVALID_DN_SYNTAX).says("$ROOT_SUFFIX");
    user.add("ou=tokens,dc=$ROOT_SUFFIX", ou).code(ResultCode::NO_SUCH_OBJECT).says("sed");
    user.add("ou=x,,", ou).code(ResultCode::INVALID_DN_SYNTAX).says("at octet");
    user.add("nosuch=x,dc=cts,dc=example,dc=com", ou).code(ResultCode::NAMING_VIOLATION);
    let missing = user.add(&format!("ou=x,ou=y,{SUFFIX}"), ou).code(ResultCode::NO_SUCH_OBJECT);
    assert_eq!(missing.result().matched, SUFFIX);
    server.manager().add("ou=x,dc=elsewhere", ou).code(ResultCode::NO_SUCH_OBJECT);
}

#[test]
fn an_update_by_diff_changes_the_etag() {
    let server = Server::new();
    let user = server.user();
    let first = user.add_token("t", &[("coreTokenString01", &["1"])]).read(ControlKind::PostRead);
    let changes = [
        replace("coreTokenString01", &[b"2"]),
        replace("coreTokenString02", &[]),
        replace("coreTokenDate02", &[b"20261122051638Z"]),
        (ModifyOperation::Add, ("coreTokenMultiString01", &[&b"a"[..], b"b"][..])),
        (ModifyOperation::Delete, ("coreTokenMultiString01", &[&b"a"[..]][..])),
    ];
    let post = critical(ControlKind::PostRead, POST_READ_ETAG);
    let answer = user.modify(&token("t"), &changes, &[post]).code(ResultCode::SUCCESS);
    let second = answer.read(ControlKind::PostRead);
    assert_ne!(first.values("etag"), second.values("etag"));
    let stored = user.read(&token("t"), &["*", "etag", "modifiersName", "modifyTimestamp"]);
    let stored = stored.entry();
    assert_eq!(stored.values("coreTokenString01"), ["2"]);
    assert_eq!(stored.values("coreTokenMultiString01"), ["b"]);
    assert_eq!(stored.values("etag"), second.values("etag"));
    assert_eq!(stored.values("modifiersName"), [USER]);

    let stale = equality("etag", first.values("etag")[0].as_bytes());
    let change = [replace("coreTokenString01", &[b"3"])];
    let answer = user.modify(&token("t"), &change, &[critical(ControlKind::Assertion, &stale), post]);
    assert!(answer.code(ResultCode::ASSERTION_FAILED).controls.is_empty());
    assert_eq!(user.read(&token("t"), &[]).entry().values("coreTokenString01"), ["2"]);
    user.modify(&token("gone"), &change, &[critical(ControlKind::Assertion, &stale)])
        .code(ResultCode::NO_SUCH_OBJECT);
    let fresh = equality("etag", second.values("etag")[0].as_bytes());
    user.modify(&token("t"), &change, &[critical(ControlKind::Assertion, &fresh), post])
        .code(ResultCode::SUCCESS);

    // What is there already succeeds; nothing changes, and post-read still answers.
    let before = user.read(&token("t"), &["etag"]).entry().values("etag");
    let answer = user.modify(&token("t"), &change, &[post]).code(ResultCode::SUCCESS);
    assert_eq!(answer.read(ControlKind::PostRead).values("etag"), before);
}

#[test]
fn modifications_that_cannot_be_made() {
    let server = Server::new();
    let user = server.user();
    user.add_token("t", &[("coreTokenMultiString01", &["a"]), ("coreTokenInteger01", &["41"])]);
    let modify =
        |operation, name, values: &[&[u8]]| user.modify(&token("t"), &[(operation, (name, values))], &[]);
    use ModifyOperation::{Add, Delete, Increment, Replace};
    modify(Add, "coreTokenMultiString01", &[b"A"]).code(ResultCode::ATTRIBUTE_OR_VALUE_EXISTS);
    modify(Delete, "coreTokenMultiString01", &[b"z"]).code(ResultCode::NO_SUCH_ATTRIBUTE);
    modify(Delete, "coreTokenString09", &[]).code(ResultCode::NO_SUCH_ATTRIBUTE);
    modify(Replace, "coreTokenString09", &[b"a", b"b"]).code(ResultCode::OBJECT_CLASS_VIOLATION);
    modify(Replace, "noSuchThing", &[b"a"]).code(ResultCode::OBJECT_CLASS_VIOLATION);
    modify(Replace, "coreTokenType", &[]).code(ResultCode::OBJECT_CLASS_VIOLATION);
    modify(Replace, "coreTokenDate01", &[b"x"]).code(ResultCode::INVALID_ATTRIBUTE_SYNTAX);
    modify(Replace, "entryUUID", &[b"x"]).code(ResultCode::CONSTRAINT_VIOLATION);
    modify(Replace, "coreTokenId", &[b"other"]).code(ResultCode::NOT_ALLOWED_ON_RDN);
    modify(Replace, "objectClass", &[b"device"]).code(ResultCode::OBJECT_CLASS_MODS_PROHIBITED);
    modify(Increment, "coreTokenInteger01", &[b"1"]).code(ResultCode::SUCCESS);
    assert_eq!(user.read(&token("t"), &[]).entry().values("coreTokenInteger01"), ["42"]);
    let permissive = Control { oid: ControlKind::PermissiveModify.oid(), critical: true, value: None };
    let changes =
        [(Add, ("coreTokenMultiString01", &[&b"A"[..]][..])), (Delete, ("coreTokenString09", &[][..]))];
    user.modify(&token("t"), &changes, &[permissive]).code(ResultCode::SUCCESS);

    let manager = server.manager();
    manager
        .modify(
            "ou=tokens,dc=cts,dc=example,dc=com",
            &[(Add, ("objectClass", &[&b"extensibleObject"[..]][..]))],
            &[],
        )
        .code(ResultCode::SUCCESS);
    let change = [(Replace, ("objectClass", &[&b"device"[..]][..])), (Replace, ("cn", &[&b"x"[..]][..]))];
    manager
        .modify("ou=admins,dc=cts,dc=example,dc=com", &change, &[])
        .code(ResultCode::OBJECT_CLASS_MODS_PROHIBITED);
    let change = [
        (Replace, ("objectClass", &[&b"domain"[..], b"extensibleObject"][..])),
        (Replace, ("dc", &[&b"x"[..]][..])),
    ];
    manager
        .modify("ou=admins,dc=cts,dc=example,dc=com", &change, &[])
        .code(ResultCode::OBJECT_CLASS_MODS_PROHIBITED);
}

#[test]
fn a_delete_reads_what_it_deletes() {
    let server = Server::new();
    let user = server.user();
    let added = user.add_token("t", &[("coreTokenString02", &["session"])]).read(ControlKind::PostRead);
    let mut wanted = BytesMut::new();
    let names =
        ["coreTokenId", "coreTokenType", "etag", "noSuchThing", "coreTokenString02", "createTimestamp"];
    let content: usize = names.iter().map(|name| crate::ber::write::element_len(name.len())).sum();
    crate::ber::write::header(&mut wanted, 0x30, content);
    names.iter().for_each(|name| crate::ber::write::octets(&mut wanted, name.as_bytes()));
    let pre = critical(ControlKind::PreRead, &wanted);
    let stale = equality("etag", b"0123456789abcdef");
    user.delete(&token("t"), &[pre, critical(ControlKind::Assertion, &stale)])
        .code(ResultCode::ASSERTION_FAILED);
    let fresh = equality("etag", added.values("etag")[0].as_bytes());
    let answer =
        user.delete(&token("t"), &[pre, critical(ControlKind::Assertion, &fresh)]).code(ResultCode::SUCCESS);
    let read = answer.read(ControlKind::PreRead);
    assert_eq!(read.dn, token("t"));
    assert_eq!(
        read.names(),
        ["coreTokenId", "coreTokenString02", "coreTokenType", "createTimestamp", "etag"]
    );
    assert_eq!(answer.control(ControlKind::PreRead).unwrap()[0], 0x64);
    // 32 wins over 122.
    let answer = user
        .delete(&token("t"), &[pre, critical(ControlKind::Assertion, &fresh)])
        .code(ResultCode::NO_SUCH_OBJECT);
    assert!(answer.controls.is_empty());
    assert_eq!(answer.result().matched, format!("ou=tokens,{SUFFIX}"));
}

#[test]
fn containers_go_only_with_the_control() {
    let server = Server::new();
    let manager = server.manager();
    manager.add_token("t", &[]);
    let container = format!("ou=tokens,{SUFFIX}");
    manager.delete(&container, &[]).code(ResultCode::NOT_ALLOWED_ON_NON_LEAF);
    let subtree = Control { oid: ControlKind::SubtreeDelete.oid(), critical: true, value: None };
    // Only a bypass or an ACI of one's own grants the control.
    server.user().delete(&container, &[subtree]).code(ResultCode::UNAVAILABLE_CRITICAL_EXTENSION);
    manager.delete(&container, &[subtree]).code(ResultCode::SUCCESS);
    manager.read(&token("t"), &[]).code(ResultCode::NO_SUCH_OBJECT);
}

#[test]
fn renames_and_moves() {
    let server = Server::new();
    let manager = server.manager();
    manager.add_token("t", &[]);
    let rename = |dn: &str, rdn: &str, deletes: bool, superior: Option<&str>| {
        manager.send(|out, id| request::modify_dn(out, id, dn, rdn, deletes, superior, &[]))
    };
    let nowhere = format!("ou=nowhere,{SUFFIX}");
    rename(&token("t"), "coreTokenId=u", true, Some(&nowhere))
        .code(ResultCode::NO_SUCH_OBJECT)
        .says("superior");
    rename(&token("gone"), "coreTokenId=u", true, None).code(ResultCode::NO_SUCH_OBJECT);
    rename(&token("t"), "coreTokenId=", true, None).code(ResultCode::INVALID_ATTRIBUTE_SYNTAX);
    rename(&token("t"), "a,b", true, None).code(ResultCode::INVALID_DN_SYNTAX);
    rename(&format!("ou=tokens,{SUFFIX}"), "ou=x", true, None).code(ResultCode::NOT_ALLOWED_ON_NON_LEAF);
    rename(SUFFIX, "dc=x", true, None).code(ResultCode::UNWILLING_TO_PERFORM);
    manager.add_token("other", &[]);
    rename(&token("t"), "coreTokenId=other", true, None).code(ResultCode::ENTRY_ALREADY_EXISTS);
    // The single-valued RDN attribute cannot keep both values.
    rename(&token("t"), "coreTokenId=u", false, None).code(ResultCode::OBJECT_CLASS_VIOLATION);
    rename(&token("t"), "coreTokenId=u", true, None).code(ResultCode::SUCCESS);
    let answer = manager.read(&token("u"), &[]);
    assert_eq!(answer.entry().values("coreTokenId"), ["u"]);
    rename(&token("u"), "coreTokenId=u", true, Some(SUFFIX)).code(ResultCode::SUCCESS);
    manager.read(&format!("coreTokenId=u,{SUFFIX}"), &[]).code(ResultCode::SUCCESS);
    manager.read(&token("u"), &[]).code(ResultCode::NO_SUCH_OBJECT);
}

#[test]
fn a_dry_run_changes_nothing() {
    let server = Server::new();
    let manager = server.manager();
    let no_op = Control { oid: ControlKind::NoOp.oid(), critical: true, value: None };
    let before = server.directory.store.entries();
    let attributes: &[(&str, &[&str])] =
        &[("objectClass", &["frCoreToken"]), ("coreTokenId", &["t"]), ("coreTokenType", &["SESSION"])];
    manager.add_with(&token("t"), attributes, &[no_op]).code(ResultCode::NO_OPERATION);
    assert_eq!(server.directory.store.entries(), before);
    manager
        .add_with(&token("t"), &[("objectClass", &["frCoreToken"])], &[no_op])
        .code(ResultCode::OBJECT_CLASS_VIOLATION);
}

#[test]
fn a_change_that_the_store_forgets_is_still_answered() {
    let server = Server::new();
    let user = server.user();
    server.store.is_forgetful.store(true, Ordering::SeqCst);
    user.add_token("t", &[]).code(ResultCode::OTHER);
    server.store.is_forgetful.store(false, Ordering::SeqCst);
    user.add_token("t", &[]).code(ResultCode::SUCCESS);
}

#[test]
fn a_panic_is_answered_and_the_next_request_served() {
    let server = Server::new();
    let manager = server.manager();
    let dn = "cn=falls";
    manager.read(dn, &[]).code(ResultCode::OTHER);
    manager.add(dn, &[("objectClass", &["top"])]).code(ResultCode::OTHER);
    manager.delete(dn, &[]).code(ResultCode::OTHER);
    manager.read(SUFFIX, &[]).code(ResultCode::SUCCESS);
}

#[test]
fn nothing_is_written_where_the_configuration_forbids_it() {
    let server = Server::new();
    let manager = server.manager();
    manager.configure("writability-mode", b"disabled");
    manager.add_token("t", &[]).code(ResultCode::UNWILLING_TO_PERFORM).says("ds-cfg-writability-mode");
    manager.delete(USER, &[]).code(ResultCode::UNWILLING_TO_PERFORM);
}

#[test]
fn compares() {
    let server = Server::new();
    let user = server.user();
    user.add_token("t", &[("coreTokenString01", &["a  b"])]);
    let compare = |dn: &str, name: &str, value: &[u8]| {
        user.send(|out, id| request::compare(out, id, dn, name, value, &[])).result().code
    };
    assert_eq!(compare(&token("t"), "coreTokenString01", b"A B"), ResultCode::COMPARE_TRUE);
    assert_eq!(compare(&token("t"), "coreTokenString01", b"c"), ResultCode::COMPARE_FALSE);
    assert_eq!(compare(&token("t"), "coreTokenString02", b"c"), ResultCode::NO_SUCH_ATTRIBUTE);
    assert_eq!(compare(&token("t"), "noSuchThing", b"c"), ResultCode::UNDEFINED_ATTRIBUTE_TYPE);
    assert_eq!(compare(&token("t"), "coreTokenDate01", b"c"), ResultCode::INVALID_ATTRIBUTE_SYNTAX);
    assert_eq!(compare(&token("gone"), "coreTokenDate01", b"c"), ResultCode::NO_SUCH_OBJECT);
}
