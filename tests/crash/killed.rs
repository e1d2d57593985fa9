//! (b), (d) The real server, killed again and again under load: what was acknowledged is there, and none half there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{
    Ctl, DM, FAMRECORDS, Instance, Link, PASSWORD, Query, SUFFIX, Store, TID, Token, program, request, within,
};

/// How often the server is killed.
const KILLS: usize = 28;
const WRITERS: usize = 6;

/// What a token has to be: its generation of text and its etag; none if it is gone.
type State = Option<(String, String)>;

/// One writer's tokens: what was acknowledged, and what was asked for and never answered.
#[derive(Default)]
struct Ledger {
    sure: HashMap<String, State>,
    open: Option<(String, Option<String>)>,
}

/// What the writers of a round share.
struct Round {
    number: usize,
    /// Octets of a token beside its attributes.
    octets: usize,
    acknowledged: AtomicUsize,
    stop: AtomicBool,
}

/// Adds, changes and deletes until the connection dies.
fn write(mut link: Link, writer: usize, round: &Round, ledger: &mut Ledger) {
    ledger.open = None;
    for turn in 0.. {
        if round.stop.load(Ordering::Acquire) {
            return;
        }
        let name = format!("w{writer}-{}", turn % 40);
        let text = format!("{}-{turn}", round.number);
        let token = Token::session(&name, "shandle:durable")
            .with("coreTokenString05", &text)
            .with_bytes("coreTokenObject", &vec![b'x'; round.octets]);
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
        round.acknowledged.fetch_add(1, Ordering::AcqRel);
    }
}

fn state_of(link: &mut Link, name: &str) -> State {
    let found = link.read(&Token::session(name, "x").dn(FAMRECORDS), &["*", "etag"]);
    let entry = found.entries.first()?;
    // Whole: all that a session token has.
    assert!(entry.names().len() >= 13, "{entry:?}");
    Some((entry.text("coreTokenString05").unwrap(), entry.text("etag").unwrap()))
}

fn check(link: &mut Link, ledger: &mut Ledger) {
    let open = ledger.open.take();
    for (name, state) in &mut ledger.sure {
        let now = state_of(link, name);
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
        let now = state_of(link, &name);
        ledger.sure.insert(name, now);
    }
}

/// The entry of the data store in the configuration.
pub(crate) const BACKEND: &str = "ds-cfg-backend-id=userRoot,cn=Backends,cn=config";

/// Sets the purge delay, by the entry it belongs to.
pub(crate) fn set_purge_delay(root: &mut Link, delay: &str) {
    let server =
        "cn=replication server,cn=Multimaster Synchronization,cn=Synchronization Providers,cn=config";
    let entry: &[(&str, &[&str])] = &[
        ("objectClass", &["top", "ds-cfg-replication-server"]),
        ("cn", &["replication server"]),
        ("ds-cfg-replication-port", &["8989"]),
        ("ds-cfg-replication-server-id", &["1"]),
        ("ds-cfg-replication-purge-delay", &[delay]),
    ];
    let added = root.add(server, entry, &[]);
    assert_eq!(added.code, 0, "{added:?}");
}

pub(crate) fn set(root: &mut Link, dn: &str, name: &str, value: &str) {
    let set = root.modify(dn, &[('=', name, &[value])], &[]);
    assert_eq!(set.code, 0, "{name}: {set:?}");
}

/// What `ctsd verify-index` says of the running server.
pub(crate) fn verified(instance: &Instance) -> String {
    let output = program()
        .args(["verify-index", "--instance"])
        .arg(&instance.dir)
        .args(["--bindDN", DM, "--bindPassword", PASSWORD, "--trustAll", "--baseDN", SUFFIX])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("differences=0"), "{output:?}");
    text
}

/// What `ctsd backend stat` says of a figure.
fn figure(instance: &Instance, name: &str) -> u64 {
    let output = program()
        .args(["backend", "stat", "--instance"])
        .arg(&instance.dir)
        .args(["--bindDN", DM, "--bindPassword", PASSWORD, "--trustAll"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, rest) = text.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("{output:?}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// Everything acknowledged is there, and the indexes say the same.
fn examine(instance: &Instance, ledgers: &mut [Ledger]) {
    let mut root = instance.root();
    ledgers.iter_mut().for_each(|ledger| check(&mut root, ledger));
    verified(instance);
    let live = ledgers.iter().flat_map(|ledger| ledger.sure.values()).filter(|state| state.is_some());
    let live = live.count();
    let query = Query::subtree(FAMRECORDS, "(coreTokenString03=shandle:durable)").select(&["etag"]);
    let found = root.search(&query, &[]);
    assert_eq!((found.code(), found.entries.len()), (0, live), "the indexes know the same");
    let parent = root.read(FAMRECORDS, &["numSubordinates"]);
    assert_eq!(parent.entries[0].texts("numSubordinates"), [live.to_string()]);
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    let store = Store::new();
    let instance = &store.instance;
    let mut ledgers: Vec<Ledger> = (0..WRITERS).map(|_| Ledger::default()).collect();
    let mut kills = 0;
    while kills < KILLS {
        if kills == KILLS / 2 {
            // From here on the purge runs all the time: small segments, checkpoints often, changes kept for a second.
            let mut root = instance.root();
            set_purge_delay(&mut root, "1 s");
            set(&mut root, BACKEND, "ds-cfg-db-log-file-max", "256 kib");
            set(&mut root, BACKEND, "ds-cfg-db-checkpointer-bytes-interval", "1 mib");
            drop(root);
            assert!(instance.stop().status.success());
            instance.start();
        }
        let round = Round {
            number: kills,
            octets: if kills < KILLS / 2 { 700 } else { 6000 },
            acknowledged: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        };
        std::thread::scope(|scope| {
            for (writer, ledger) in ledgers.iter_mut().enumerate() {
                let (round, link) = (&round, store.openam());
                scope.spawn(move || write(link, writer, round, ledger));
            }
            let enough = 100 + kills * 53 % 300;
            let done = within(|| (round.acknowledged.load(Ordering::Acquire) >= enough).then_some(()));
            instance.kill();
            round.stop.store(true, Ordering::Release);
            assert!(done.is_some(), "the writers got nowhere");
        });
        kills += 1;
        if kills % 4 == 0 {
            // And once more, while it starts.
            instance.begin();
            let is_ready = || instance.path("locks/server.ready").exists();
            within(|| (instance.log().contains("reading") || is_ready()).then_some(()));
            instance.kill();
            kills += 1;
        }
        instance.start();
        examine(instance, &mut ledgers);
    }
    assert!(kills >= 25, "{kills}");
    // However short the lives were: now the purge has the time that it needs, and after one more kill all is there.
    let purged = within(|| (figure(instance, "first-sequence") > 500).then_some(()));
    instance.kill();
    instance.start();
    examine(instance, &mut ledgers);
    assert!(purged.is_some(), "the purge came as far as {}", figure(instance, "first-sequence"));
}
