//! An acknowledged change is on disk: SIGKILL under load, again and again, and all that was acknowledged is there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{
    Ctl, DM, FAMRECORDS, Instance, Link, PASSWORD, Query, SUFFIX, Setup, Store, TID, Token, request,
};

/// What a token has to be: its generation of text and its etag; none if it is gone.
type State = Option<(String, String)>;

/// One writer's tokens: what was acknowledged, and what was asked for and never answered.
#[derive(Default)]
struct Ledger {
    sure: HashMap<String, State>,
    open: Option<(String, Option<String>)>,
}

/// Adds, changes and deletes until the connection dies.
fn write(
    mut link: Link,
    writer: usize,
    round: usize,
    ledger: &mut Ledger,
    acknowledged: &AtomicUsize,
    stop: &AtomicBool,
) {
    ledger.open = None;
    for turn in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let name = format!("w{writer}-{}", turn % 40);
        let text = format!("{round}-{turn}");
        let token = Token::session(&name, "shandle:durable").with("coreTokenString05", &text);
        let dn = token.dn(FAMRECORDS);
        let exists = ledger.sure.get(&name).is_some_and(Option::is_some);
        let id = link.id();
        let controls = [Ctl::transaction_id(TID), Ctl::post_read(&["etag"])];
        let (bytes, after) = match (exists, turn % 7) {
            (false, _) => (token.add_bytes(id, FAMRECORDS), Some(text.clone())),
            (true, 3) => (request::delete(id, &dn, &[]), None),
            (true, _) => {
                let change: &[(char, &str, &[&str])] = &[('=', "coreTokenString05", &[&text])];
                (request::modify(id, &dn, change, &controls), Some(text.clone()))
            }
        };
        ledger.open = Some((name.clone(), after.clone()));
        if !link.try_send(&bytes) {
            return;
        }
        let Ok(answer) = link.try_answer(id) else { return };
        assert_eq!(answer.code, 0, "{answer:?}");
        ledger.open = None;
        let state = after.map(|text| (text, answer.etag().unwrap()));
        ledger.sure.insert(name, state);
        acknowledged.fetch_add(1, Ordering::AcqRel);
    }
}

fn check(instance: &Instance, ledger: &mut Ledger) {
    let mut link = instance.root();
    let open = ledger.open.take();
    for (name, state) in &mut ledger.sure {
        let found = link.read(&Token::session(name, "x").dn(FAMRECORDS), &["*", "etag"]);
        let now =
            found.entries.first().map(|e| (e.text("coreTokenString05").unwrap(), e.text("etag").unwrap()));
        if now == *state {
            continue;
        }
        // What was never answered may have happened, whole.
        match &open {
            Some((of, after)) if of == name && now.as_ref().map(|(text, _)| text) == after.as_ref() => {
                *state = now
            }
            _ => panic!("{name}: acknowledged {state:?}, found {now:?}"),
        }
    }
    if let Some((name, _)) = open
        && !ledger.sure.contains_key(&name)
    {
        let found = link.read(&Token::session(&name, "x").dn(FAMRECORDS), &["*", "etag"]);
        let now =
            found.entries.first().map(|e| (e.text("coreTokenString05").unwrap(), e.text("etag").unwrap()));
        ledger.sure.insert(name, now);
    }
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    const WRITERS: usize = 6;
    let store = Store::new();
    let instance = &store.instance;
    let mut ledgers: Vec<Ledger> = (0..WRITERS).map(|_| Ledger::default()).collect();
    for round in 0..4 {
        let (acknowledged, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for (writer, ledger) in ledgers.iter_mut().enumerate() {
                let (acknowledged, stop, link) = (&acknowledged, &stop, store.openam());
                scope.spawn(move || write(link, writer, round, ledger, acknowledged, stop));
            }
            let enough = 300 + round * 170;
            let done =
                crate::support::within(60, || (acknowledged.load(Ordering::Acquire) >= enough).then_some(()));
            instance.kill();
            stop.store(true, Ordering::Release);
            assert!(done.is_some(), "the writers got nowhere");
        });
        instance.start();
        for ledger in &mut ledgers {
            check(instance, ledger);
        }
    }
    let live = ledgers.iter().flat_map(|ledger| ledger.sure.values()).filter(|state| state.is_some()).count();
    let query = Query::subtree(FAMRECORDS, "(coreTokenString03=shandle:durable)").select(&["etag"]);
    let found = instance.root().search(&query, &[]);
    assert_eq!((found.code(), found.entries.len()), (0, live), "the indexes know the same");
    let parent = instance.root().read(FAMRECORDS, &["numSubordinates"]);
    assert_eq!(parent.entries[0].texts("numSubordinates"), [live.to_string()]);
}

/// A restart, in peace or not, finds tokens, schema, indexes and configuration as they were left.
#[test]
fn a_restart_finds_everything() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    let mut root = instance.root();
    let token = Token::session("kept", "shandle:kept").with_bytes("coreTokenObject", &[0, 1, 2, 255]);
    token.create(&mut root, FAMRECORDS);
    let whole = root.read(&token.dn(FAMRECORDS), &["*", "+"]).entries;
    let kind = "( 1.3.6.1.4.1.99999.1 NAME 'testKept' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORIGIN 'test' )";
    assert_eq!(root.modify("cn=schema", &[('+', "attributeTypes", &[kind])], &[]).code, 0);
    let class = "( 1.3.6.1.4.1.99999.2 NAME 'testClass' SUP top AUXILIARY MAY testKept )";
    assert_eq!(root.modify("cn=schema", &[('+', "objectClasses", &[class])], &[]).code, 0);
    assert_eq!(root.modify("cn=config", &[('=', "ds-cfg-size-limit", &["7"])], &[]).code, 0);
    let index = "ds-cfg-attribute=testKept,cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config";
    let entry: &[(&str, &[&str])] = &[
        ("objectClass", &["ds-cfg-backend-index"]),
        ("ds-cfg-attribute", &["testKept"]),
        ("ds-cfg-index-type", &["equality"]),
    ];
    assert_eq!(root.add(index, entry, &[]).code, 0);
    let handler = "cn=Access Control Handler,cn=config";
    let aci = "(targetattr=\"dc\")(version 3.0; acl \"dc\"; allow (read, search) userdn=\"ldap:///anyone\";)";
    assert_eq!(root.modify(handler, &[('+', "ds-cfg-global-aci", &[aci])], &[]).code, 0);
    assert_eq!(
        root.modify(SUFFIX, &[('+', "objectClass", &["testClass"]), ('=', "testKept", &["value"])], &[]).code,
        0
    );

    for peaceful in [true, false, true] {
        if peaceful {
            assert!(instance.stop().status.success());
        } else {
            instance.kill();
        }
        instance.start();
        assert_eq!(instance.link().bind(DM, PASSWORD).code, 0);
        let mut root = instance.root();
        assert_eq!(root.read(&token.dn(FAMRECORDS), &["*", "+"]).entries, whole);
        let schema = root.read("cn=schema", &["attributeTypes", "objectClasses"]).entries.remove(0);
        assert!(schema.texts("attributeTypes").iter().any(|text| text.contains("'testKept'")));
        assert!(schema.texts("objectClasses").iter().any(|text| text.contains("'testClass'")));
        assert_eq!(
            root.read("cn=config", &["ds-cfg-size-limit"]).entries[0].texts("ds-cfg-size-limit"),
            ["7"]
        );
        assert_eq!(
            root.read(index, &["ds-cfg-index-type"]).entries[0].texts("ds-cfg-index-type"),
            ["equality"]
        );
        let found = root.search(&Query::subtree(SUFFIX, "(testKept=VALUE)").select(&["testKept"]), &[]);
        assert_eq!(found.dns(), [SUFFIX]);
        let anonymous = instance.link().read(SUFFIX, &["*"]);
        assert_eq!(anonymous.entries[0].names(), ["dc", "objectClass"], "the global ACI holds");
        let found = root.search(&Query::subtree(SUFFIX, "(coreTokenString03=shandle:kept)"), &[]);
        assert_eq!(found.entries.len(), 1);
    }
    assert!(instance.path("config/schema/99-user.ldif").is_file());
}
