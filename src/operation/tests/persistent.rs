//! Persistent searches: each change once, as it was, until the end.

use super::*;
use crate::protocol::control::entry_change::{ChangeType, EntryChange};
use crate::protocol::control::persistent_search::PersistentSearchRequest;
use crate::protocol::oid;

fn listen(client: &Client, filter: &str, attributes: &[&str], changes_only: bool) -> Answer {
    let request = PersistentSearchRequest { change_types: 15, changes_only, return_notifications: true };
    client.find(filter, attributes, &[critical(ControlKind::PersistentSearch, &request.value())])
}

fn changes(answer: &Answer) -> Vec<(ChangeType, &str)> {
    let change = |entry: &Entry| {
        let (_, value) =
            entry.controls.iter().find(|(oid, _)| oid == oid::ENTRY_CHANGE_NOTIFICATION).unwrap();
        EntryChange::parse(value).unwrap().change
    };
    answer.entries.iter().map(|entry| (change(entry), entry.dn.as_str())).collect()
}

fn set<'a>(name: &'a str, value: &'a [&'a [u8]]) -> [(ModifyOperation, request::Attribute<'a>); 1] {
    [(ModifyOperation::Replace, (name, value))]
}

#[test]
fn each_change_is_told_once() {
    let server = Server::new();
    let (listener, writer) = (server.user(), server.user());
    writer.add_token("before", &[("coreTokenString02", &["s"])]);
    let answer = listen(
        &listener,
        "(&(coreTokenType=SESSION)(objectClass=frCoreToken))",
        &["coreTokenString02", "dn"],
        true,
    );
    assert!(answer.entries.is_empty() && answer.results.is_empty());
    writer.add_token("t", &[("coreTokenString02", &["one"])]);
    writer.add_token("other", &[("coreTokenType", &["OAUTH"])]);
    writer.modify(&token("t"), &set("coreTokenString02", &[b"two"]), &[]);
    writer.modify(&token("t"), &set("coreTokenString02", &[b"two"]), &[]);
    writer.modify(&token("t"), &set("coreTokenType", &[b"OAUTH"]), &[]);
    writer.modify(&token("t"), &set("coreTokenType", &[b"OAUTH2"]), &[]);
    writer.delete(&token("before"), &[]);
    let answer = listener.drain();
    let (t, before) = (token("t"), token("before"));
    assert_eq!(
        changes(&answer),
        [
            (ChangeType::Add, t.as_str()),
            (ChangeType::Modify, &t),
            (ChangeType::Modify, &t),
            (ChangeType::Delete, &before),
        ]
    );
    // The deleted entry as it was, and nothing but what was asked for.
    assert_eq!(answer.entries[3].attributes, [("coreTokenString02".to_owned(), vec![b"s".to_vec()])]);
    assert_eq!(answer.entries[3].controls[0].1, b"\x30\x03\x0a\x01\x02");
    assert!(answer.results.is_empty());
}

#[test]
fn renames_carry_the_previous_name() {
    let server = Server::new();
    let manager = server.manager();
    manager.add_token("t", &[]);
    let listener = server.user();
    listen(&listener, "(objectClass=frCoreToken)", &["1.1"], true);
    let dn = token("t");
    manager
        .send(|out, id| request::modify_dn(out, id, &dn, "coreTokenId=u", true, None, &[]))
        .code(ResultCode::SUCCESS);
    let answer = listener.drain();
    let notification = EntryChange::parse(&answer.entry().controls[0].1).unwrap();
    assert_eq!(notification.change, ChangeType::ModifyDn);
    assert_eq!(notification.previous_dn, Some(token("t")));
    assert_eq!(answer.entry().dn, token("u"));
}

#[test]
fn entries_that_are_there_come_first_if_wanted() {
    let server = Server::new();
    let (listener, writer) = (server.user(), server.user());
    writer.add_token("a", &[]);
    let answer = listen(&listener, "(objectClass=frCoreToken)", &["1.1"], false);
    assert_eq!(answer.dns(), [token("a")]);
    assert!(answer.entries[0].controls.is_empty() && answer.results.is_empty());
    writer.add_token("b", &[]);
    assert_eq!(changes(&listener.drain()), [(ChangeType::Add, token("b").as_str())]);
}

#[test]
fn what_was_acknowledged_before_is_not_told_late() {
    let server = Server::new();
    let (listener, writer) = (server.user(), server.user());
    *server.store.held.lock().unwrap() = Some(Vec::new());
    writer.add_token("early", &[]);
    listen(&listener, "(objectClass=frCoreToken)", &["1.1"], true);
    writer.add_token("late", &[]);
    server.store.notify_held();
    assert_eq!(changes(&listener.drain()), [(ChangeType::Add, token("late").as_str())]);
}

#[test]
fn it_listens_before_the_next_request_even_if_its_base_is_on_the_disk() {
    let server = Server::new();
    let listener = server.user();
    server.store.is_cold.store(true, Ordering::SeqCst);
    for changes_only in [true, false] {
        listen(&listener, "(objectClass=frCoreToken)", &["1.1"], changes_only);
    }
    assert_eq!(server.directory.persistent_searches(), 2);
    assert_eq!(server.store.waits.load(Ordering::SeqCst), 0);
    server.user().find("(objectClass=frCoreToken)", &["1.1"], &[]);
    assert_eq!(server.store.waits.load(Ordering::SeqCst), 1, "others leave it to a reader");
}

#[test]
fn abandon_is_silent_and_cancel_answers() {
    let server = Server::new();
    let writer = server.user();
    let listener = server.user();
    listen(&listener, "(objectClass=*)", &["1.1"], true);
    assert_eq!(server.directory.persistent_searches(), 1);
    let flight = listener.flight().unwrap();
    assert!(flight.is_standing());
    flight.end(Ending::Abandoned);
    drop(flight);
    assert_eq!(server.directory.persistent_searches(), 0);
    assert!(listener.flight().is_none(), "the request is over");
    writer.add_token("t", &[]);
    let answer = listener.drain();
    assert!(answer.entries.is_empty() && answer.results.is_empty());
    listen(&listener, "(objectClass=*)", &["1.1"], true);
    listener.flight().unwrap().end(Ending::Canceled);
    listener.drain().code(ResultCode::CANCELED);
    assert_eq!(server.directory.persistent_searches(), 0);
}

#[test]
fn a_listener_that_does_not_read_loses_its_connection() {
    let server = Server::new();
    let (listener, writer) = (server.user(), server.user());
    listen(&listener, "(objectClass=*)", &["1.1"], true);
    listener.connection.waiting.store(17 << 20, Ordering::SeqCst);
    writer.add_token("t", &[]);
    assert_eq!(listener.connection.notice.lock().unwrap().as_ref().unwrap().code, ResultCode::BUSY);
    assert_eq!(server.directory.persistent_searches(), 0);
    writer.add_token("u", &[]).code(ResultCode::SUCCESS);
}

#[test]
fn access_is_asked_at_each_change() {
    let server = Server::new();
    let (listener, manager) = (server.user(), server.manager());
    listen(&listener, "(objectClass=frCoreToken)", &["1.1"], true);
    let change = [(ModifyOperation::Delete, ("aci", &[][..]))];
    manager.modify(SUFFIX, &change, &[]).code(ResultCode::SUCCESS);
    manager.add_token("t", &[]);
    assert!(listener.drain().entries.is_empty());
}

/// Who may see some entries below a base, but not the base, listens below it as below one that is not there.
#[test]
fn below_a_base_that_is_hidden_it_stands_as_if_there_were_none() {
    let server = Server::new();
    let manager = server.manager();
    let account = |name: &str| {
        let dn = format!("uid={name},ou=admins,{SUFFIX}");
        let attributes: &[(&str, &[&str])] =
            &[("objectClass", &["account", "simpleSecurityObject"]), ("userPassword", &["pw"])];
        manager.add(&dn, attributes).code(ResultCode::SUCCESS);
        dn
    };
    let connect = |dn: &str| {
        let client = server.connect();
        client.bind(dn, b"pw").code(ResultCode::SUCCESS);
        client
    };
    let set_aci = |dn: &str, operation, acis: &[&str]| {
        let acis: Vec<&[u8]> = acis.iter().map(|aci| aci.as_bytes()).collect();
        manager.modify(dn, &[(operation, ("aci", &acis))], &[]).code(ResultCode::SUCCESS);
    };
    let (some, other, late) = (account("some"), account("other"), account("late"));
    let control = "(targetcontrol=\"2.16.840.1.113730.3.4.3\")(version 3.0; acl \"listen\"; allow (read) \
                   userdn=\"ldap:///all\";)";
    let filtered = |dn: &str| {
        format!(
            "(targetattr=\"*\")(targetfilter=\"(coreTokenType=SESSION)\")(version 3.0; acl \"some\"; allow (search, \
             read) userdn=\"ldap:///{dn}\";)"
        )
    };
    set_aci(SUFFIX, ModifyOperation::Add, &[control, &filtered(&some)]);
    let base = format!("ou=tokens,{SUFFIX}");
    set_aci(&base, ModifyOperation::Add, &[&filtered(&late)]);
    let missing = format!("ou=missing,{SUFFIX}");

    let listen = |client: &Client, base: &str, scope, changes_only| {
        let request = PersistentSearchRequest { change_types: 15, changes_only, return_notifications: true };
        let filter = Filter::Present("objectClass".into());
        let search = Search { scope, filter, attributes: &["1.1"], ..Search::base(base) };
        client.search(&search, &[critical(ControlKind::PersistentSearch, &request.value())])
    };
    let stands = |answer: &Answer| answer.results.is_empty();
    let gone = |answer: Answer| {
        assert!(answer.entries.is_empty());
        let result = answer.code(ResultCode::NO_SUCH_OBJECT).result().clone();
        (result.matched, result.diagnostic.replace("ou=missing", "ou=tokens"))
    };
    // Nothing is there yet.
    for changes_only in [true, false] {
        for scope in [Scope::One, Scope::Subtree, Scope::Subordinate] {
            for base in [&base, &missing] {
                assert!(stands(&listen(&connect(&some), base, scope, changes_only)), "{base} {scope:?}");
            }
            for dn in [&other, &late] {
                // What the base itself holds would tell that it is there.
                let (here, missing) = (
                    listen(&connect(dn), &base, scope, changes_only),
                    listen(&connect(dn), &missing, scope, changes_only),
                );
                assert_eq!(gone(here), gone(missing));
            }
        }
        gone(listen(&connect(&some), &base, Scope::Base, changes_only));
        // Who would see it if it were there is told that it is not.
        gone(listen(&server.user(), &missing, Scope::Subtree, changes_only));
        gone(listen(&server.manager(), &missing, Scope::Subtree, changes_only));
    }
    // Without an index and the privilege for that, alike.
    server.store.is_indexed.store(false, Ordering::SeqCst);
    let (here, none) = (
        listen(&connect(&some), &base, Scope::Subtree, true),
        listen(&connect(&some), &missing, Scope::Subtree, true),
    );
    assert_eq!(gone(here), gone(none));
    server.store.is_indexed.store(true, Ordering::SeqCst);
    let standing = server.directory.persistent_searches();
    assert_eq!(standing, 12, "those that are refused are gone");

    let listener = connect(&some);
    listen(&listener, &base, Scope::Subtree, true);
    manager.add_token("shown", &[]).code(ResultCode::SUCCESS);
    manager.add_token("kept", &[("coreTokenType", &["OAUTH"])]).code(ResultCode::SUCCESS);
    assert_eq!(changes(&listener.drain()), [(ChangeType::Add, token("shown").as_str())]);

    // Where a plain search finds something, that the base is there is told anyway.
    let listener = connect(&late);
    let answer = listen(&listener, &base, Scope::Subtree, true);
    assert!(stands(&answer) && answer.entries.is_empty(), "{answer:?}");
    manager.delete(&token("shown"), &[]).code(ResultCode::SUCCESS);
    assert_eq!(changes(&listener.drain()), [(ChangeType::Delete, token("shown").as_str())]);
    gone(listen(&connect(&late), &base, Scope::Subtree, true));
    manager.add_token("again", &[]).code(ResultCode::SUCCESS);
    for dn in [&some, &late] {
        let answer = listen(&connect(dn), &base, Scope::Subtree, false);
        assert!(stands(&answer), "{answer:?}");
        assert_eq!(answer.dns(), [token("again")]);
    }
}

#[test]
fn the_grant_and_the_bound() {
    let server = Server::new();
    let stranger = server.connect();
    listen(&stranger, "(objectClass=*)", &[], true).code(ResultCode::UNAVAILABLE_CRITICAL_EXTENSION);
    server.manager().configure("max-psearches", b"1");
    let (first, second) = (server.user(), server.user());
    assert!(listen(&first, "(objectClass=*)", &[], true).results.is_empty());
    listen(&second, "(objectClass=*)", &[], true)
        .code(ResultCode::ADMIN_LIMIT_EXCEEDED)
        .says("ds-cfg-max-psearches");
}
