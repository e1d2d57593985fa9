//! Persistent search as OpenAM uses it (`cts-contract` §2.8): on a connection that heartbeats, with the pre-image of what
//! is deleted.

use std::time::Duration;

use ctsd::protocol::control::entry_change::ChangeType;
use ctsd::protocol::message::Scope;

use crate::support::{CTS_USER, Ctl, Link, Lost, NOBODY, Query, Reply, Store, TID, Token, cts, hex, request};

const SESSIONS: &str = "(&(coreTokenType=SESSION)(objectClass=frCoreToken))";
const NOTIFICATIONS: &str = "(&(coreTokenType=NOTIFICATION)(objectClass=frCoreToken))";
const QUIET: Duration = Duration::from_millis(300);

fn openam_controls() -> [Ctl; 2] {
    [Ctl::transaction_id(TID), Ctl::openam_persistent()]
}

/// Starts one and makes sure that it stands: requests of a connection are taken up in their order.
fn listen(link: &mut Link, query: &Query, controls: &[Ctl]) -> i32 {
    let id = link.start(query, controls);
    assert!(link.heartbeat());
    id
}

/// The consumers of §2.8, both on one connection, which heartbeats all the while.
#[test]
fn openam_hears_of_every_change_while_it_heartbeats() {
    let base = cts().container("psearch");
    let mut writer = cts().openam();
    let old = Token::session("already-there", "shandle:old");
    old.create(&mut writer, &base);

    let mut link = cts().openam();
    let watched = Query::subtree(&base, SESSIONS).select(&["coreTokenString02", "dn"]);
    let sessions = listen(&mut link, &watched, &openam_controls());
    let watched = Query::subtree(&base, NOTIFICATIONS).select(&["coreTokenObject", "dn"]);
    let notes = listen(&mut link, &watched, &openam_controls());

    let session = Token::session("42", "shandle:42");
    session.create(&mut writer, &base);
    let added = link.notified(sessions);
    assert_eq!(added.dn, session.dn(&base), "changes only: what was there is not sent");
    assert_eq!(added.names(), ["coreTokenString02"]);
    assert_eq!(added.change().unwrap().change, ChangeType::Add);
    assert!(added.change_bytes().unwrap().starts_with(&[0x30]));
    assert!(link.heartbeat());

    let note = Token::new("note", "NOTIFICATION").with_bytes("coreTokenObject", &[0x78, 0x9c, 0, 255]);
    note.create(&mut writer, &base);
    let added = link.notified(notes);
    assert_eq!(added.values("coreTokenObject"), [vec![0x78, 0x9c, 0, 255]]);
    assert_eq!(added.names(), ["coreTokenObject"]);

    assert_eq!(writer.modify(&session.dn(&base), &[('=', "coreTokenString01", &["2"])], &[]).code, 0);
    let modified = link.notified(sessions);
    assert_eq!(modified.change().unwrap().change, ChangeType::Modify);
    assert!(link.heartbeat());

    // Old or new matches: a token that stops being a session is reported, once.
    assert_eq!(writer.modify(&old.dn(&base), &[('=', "coreTokenType", &["GENERIC"])], &[]).code, 0);
    let left = link.notified(sessions);
    assert_eq!(
        (left.dn.as_str(), left.change().unwrap().change),
        (old.dn(&base).as_str(), ChangeType::Modify)
    );
    assert_eq!(writer.modify(&old.dn(&base), &[('=', "coreTokenString01", &["3"])], &[]).code, 0);

    // A change by the listener's own connection.
    let own = link.id();
    link.send(&request::delete(own, &session.dn(&base), &[Ctl::transaction_id(TID)]));
    assert_eq!(link.answer(own).code, 0);
    let deleted = link.notified(sessions);
    assert_eq!(deleted.dn, session.dn(&base));
    assert_eq!(deleted.texts("coreTokenString02"), session_id("42"), "the pre-image");
    let change = deleted.change().unwrap();
    assert_eq!(change.change, ChangeType::Delete);
    assert!(change.previous_dn.is_none(), "only modDN has a previous DN");
    if change.change_number.is_none() {
        assert_eq!(hex(&deleted.change_bytes().unwrap()), "30 03 0A 01 02");
    }
    assert!(link.heartbeat());
    let rest: Vec<_> = link.aside.iter().collect();
    assert!(rest.is_empty(), "each change once, no end of the search: {rest:?}");
    assert_eq!(link.next_within(QUIET).unwrap_err(), Lost::Silent);
}

fn session_id(id: &str) -> Vec<String> {
    vec![format!("AQIC5wM2LY4Sfcx{id}")]
}

/// modDN is the one change with a previous DN.
#[test]
fn a_rename_names_the_previous_dn() {
    let base = cts().container("psearch-rename");
    let mut writer = cts().root();
    let token = Token::session("before", "shandle:r");
    token.create(&mut writer, &base);
    let mut link = cts().openam();
    let id = listen(&mut link, &Query::subtree(&base, SESSIONS), &openam_controls());
    assert_eq!(writer.rename(&token.dn(&base), "coreTokenId=after", true, None).code, 0);
    let entry = link.notified(id);
    let change = entry.change().unwrap();
    assert_eq!(entry.dn, format!("coreTokenId=after,{base}"));
    assert_eq!(change.change, ChangeType::ModifyDn);
    assert_eq!(change.previous_dn.as_deref().map(|dn| dn.to_string()), Some(token.dn(&base)));
}

/// The other forms of the control: initial entries, single types of change, no notifications.
#[test]
fn the_controls_other_forms_work() {
    let base = cts().container("psearch-forms");
    let mut writer = cts().openam();
    Token::session("there", "shandle:there").create(&mut writer, &base);
    let mut link = cts().openam();
    let query = Query::subtree(&base, SESSIONS).select(&["coreTokenId"]);
    let all = link.start(&query, &[Ctl::persistent(15, false, true)]);
    let first = link.notified(all);
    assert_eq!((first.text("coreTokenId").as_deref(), first.change()), (Some("there"), None));
    let deletes = listen(&mut link, &query, &[Ctl::persistent(2, true, true)]);
    let bare = listen(&mut link, &query, &[Ctl::persistent(1, true, false)]);
    let token = Token::session("new", "shandle:new");
    token.create(&mut writer, &base);
    assert_eq!(writer.delete(&token.dn(&base), &[]).code, 0);
    assert_eq!(link.notified(bare).controls, []);
    assert_eq!(link.notified(deletes).change().unwrap().change, ChangeType::Delete);
    assert_eq!(link.notified(all).change().unwrap().change, ChangeType::Add);
    assert_eq!(link.notified(all).change().unwrap().change, ChangeType::Delete);
    assert!(link.heartbeat());
    assert!(link.aside.is_empty(), "{:?}", link.aside);
    // A scope of one level sees the level and no more.
    let one = Query::new(crate::support::FAMRECORDS, Scope::One, SESSIONS);
    let above = listen(&mut link, &one, &openam_controls());
    token.create(&mut writer, &base);
    link.notified(all);
    link.notified(bare);
    assert!(link.heartbeat());
    assert!(!link.aside.iter().any(|reply| reply.id() == above));
    // Change types that are none.
    for types in [0, 16, -1] {
        let wrong = link.search(&query, &[Ctl::persistent(types, true, true)]);
        assert_eq!(wrong.code(), 2, "{types}: {:?}", wrong.done);
    }
}

/// §2.8: abandon ends it in silence, the connection's end ends it too; size and time limits do not touch it.
#[test]
fn abandon_ends_it_and_limits_do_not() {
    let base = cts().container("psearch-abandon");
    let mut writer = cts().openam();
    let mut link = cts().openam();
    let mut query = Query::subtree(&base, SESSIONS).select(&["coreTokenId"]).size(1);
    query.time = 1;
    let id = listen(&mut link, &query, &openam_controls());
    for number in 0..3 {
        Token::session(&format!("n{number}"), "shandle:n").create(&mut writer, &base);
        assert_eq!(link.notified(id).text("coreTokenId"), Some(format!("n{number}")));
    }
    std::thread::sleep(Duration::from_millis(1_300));
    Token::session("late", "shandle:n").create(&mut writer, &base);
    assert_eq!(link.notified(id).text("coreTokenId").as_deref(), Some("late"), "beyond its time limit");
    let abandon = link.id();
    link.send(&request::abandon(abandon, id));
    assert!(link.heartbeat());
    Token::session("unheard", "shandle:n").create(&mut writer, &base);
    assert!(link.heartbeat());
    assert_eq!(link.next_within(QUIET).unwrap_err(), Lost::Silent);
    assert!(link.aside.is_empty(), "abandon has no answer: {:?}", link.aside);
    // The id is free again.
    link.send(&request::search(id, &Query::base(""), &[]));
    assert_eq!(link.found(id).code(), 0);
}

/// It needs a grant on the control; without it a critical control is refused.
#[test]
fn a_persistent_search_needs_its_grant() {
    let mut link = cts().instance.bound(NOBODY);
    let query = Query::subtree(crate::support::SUFFIX, SESSIONS);
    let refused = link.search(&query, &openam_controls());
    assert_eq!((refused.code(), refused.entries.len()), (12, 0), "{:?}", refused.done);
    let mut link = cts().instance.link();
    assert_eq!(link.search(&query, &openam_controls()).code(), 12);
    assert_eq!(link.bind(CTS_USER, crate::support::PASSWORD).code, 0);
    listen(&mut link, &query, &openam_controls());
}

/// A listener that does not read is disconnected rather than skipped, and nobody else waits for it.
#[test]
fn a_slow_reader_loses_its_connection_and_hurts_nobody() {
    let store = Store::new();
    let base = store.container("slow");
    let mut slow = store.openam();
    let query = Query::subtree(&base, SESSIONS).select(&["*"]);
    let id = listen(&mut slow, &query, &openam_controls());
    let mut attentive = store.openam();
    let heard = listen(&mut attentive, &query.clone().select(&["coreTokenId"]), &openam_controls());

    let mut writer = store.openam();
    let blob = vec![0x5a; 60_000];
    let answers = writer.pipeline(900, |number, id| {
        Token::session(&number.to_string(), "shandle:slow")
            .with_bytes("coreTokenObject", &blob)
            .add_bytes(id, &base)
    });
    assert!(answers.iter().all(|answer| answer.code == 0), "the writers are not hurt");
    for number in 0..900 {
        assert_eq!(attentive.notified(heard).text("coreTokenId"), Some(number.to_string()));
    }
    let mut numbers = Vec::new();
    let notice = loop {
        match slow.next() {
            Ok(Reply::Entry(from, entry)) => {
                assert_eq!(from, id);
                numbers.push(entry.text("coreTokenId").unwrap());
            }
            Ok(Reply::Answer(answer)) => {
                assert_eq!(answer.id, 0, "a Notice of Disconnection, nothing else: {answer:?}");
                break Some(answer);
            }
            Ok(other) => panic!("{other:?}"),
            Err(Lost::Closed) => break None,
            Err(Lost::Silent) => panic!("the slow reader is kept"),
        }
    };
    let expected: Vec<_> = (0..numbers.len()).map(|number| number.to_string()).collect();
    assert!(numbers == expected, "nothing was skipped before the end");
    assert!(numbers.len() < 900, "the end comes before memory fills");
    if let Some(notice) = notice {
        assert_eq!(notice.name.as_deref(), Some("1.3.6.1.4.1.1466.20036"));
        assert!(slow.closes());
    }
    assert!(attentive.heartbeat() && writer.heartbeat());
}
