//! More changes than the store can make: who waits, for how long, and who is turned away.
//!
//! The store stands still for as long as a test holds a [`Gate`], so that what waits can be counted.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use ctsd::backend::{Change, ChangeKind, ChangeListener, Committed, Subscription};
use ctsd::protocol::message::Scope;
use ctsd::protocol::request::{self, Search};
use ctsd::protocol::response;
use ctsd::protocol::result::{LdapResult, ResultCode};
use ctsd::schema::NormalizedDn;

use super::fixture::{Client, Fixture, Heard, LDAP_HANDLER, PATIENCE, wait_until, written};

const SUFFIX: &str = "dc=example,dc=com";
const WORK_QUEUE: &str = "cn=Work Queue,cn=config";
const CAPACITY: &str = "ds-cfg-max-work-queue-capacity";

/// While it is there, no change is made: the sequencer is held in the check of one that is refused afterwards.
struct Gate {
    _open: Sender<()>,
}

impl Gate {
    fn close(fixture: &Fixture) -> Self {
        let directory = fixture.server().directory();
        let (open, opened) = mpsc::channel::<()>();
        let (enter, entered) = mpsc::channel();
        let mut opened = Some(opened);
        let check = move |_: &Arc<_>| {
            let _ = enter.send(());
            // Until the gate is dropped.
            let _ = opened.take().map(|opened: Receiver<()>| opened.recv());
            Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, "it was the gate"))
        };
        let target = NormalizedDn::parse(SUFFIX, &directory.schema.current()).unwrap();
        let kind = ChangeKind::Delete { check: Box::new(check), subtree: false };
        directory.store.submit(Change { target, kind, done: Box::new(|_| ()) });
        entered.recv_timeout(PATIENCE).unwrap();
        Self { _open: open }
    }
}

/// Writes down the DNs that are added, in the order in which they are.
#[derive(Default)]
struct Order(Mutex<Vec<String>>);

impl Order {
    fn keep(fixture: &Fixture) -> (Arc<Self>, Subscription) {
        let order = Arc::new(Self::default());
        let subscription =
            fixture.server().directory().store.subscribe(Arc::clone(&order) as Arc<dyn ChangeListener>);
        (order, subscription)
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl ChangeListener for Order {
    fn applied(&self, changes: &[Committed]) {
        let added = changes.iter().filter_map(|change| Some(change.after.as_ref()?.dn().to_owned()));
        self.0.lock().unwrap().extend(added);
    }

    fn wants_notices(&self) -> bool {
        false
    }

    fn notify(&self, _: &Committed) {}
}

fn name(who: &str, number: i32) -> String {
    format!("ou={who}{number},{SUFFIX}")
}

fn add(id: i32, dn: &str) -> BytesMut {
    written(id, |out, id| request::add(out, id, dn, &[("objectClass", &[b"organizationalUnit"])], &[]))
}

fn search(id: i32, base: &str, scope: Scope) -> BytesMut {
    let search = Search { scope, ..Search::base(base) };
    written(id, |out, id| request::search(out, id, &search, &[]))
}

/// Waits until so many changes wait for the sequencer.
fn wait_for(fixture: &Fixture, count: u64) {
    let store = fixture.server().data_store();
    wait_until(&format!("{count} changes wait"), || store.current().stats().waiting >= count);
}

fn bound(fixture: &Fixture) -> Client {
    let mut client = fixture.client();
    client.bind(1);
    client
}

#[test]
fn changes_beyond_the_capacity_are_answered_busy_and_all_others_are_made() {
    const MOST: i32 = 20;
    let fixture = Fixture::start_with(&[(WORK_QUEUE, CAPACITY, &MOST.to_string())]);
    let mut clients: Vec<Client> = (0..MOST + 3).map(|_| bound(&fixture)).collect();
    let gate = Gate::close(&fixture);
    let (admitted, refused) = clients.split_at_mut(MOST as usize);
    for (number, client) in (0..).zip(admitted.iter_mut()) {
        client.send(&add(2, &name("one", number)));
        wait_for(&fixture, number as u64 + 1);
    }
    for (number, client) in (MOST..).zip(refused.iter_mut()) {
        client.send(&add(2, &name("one", number)));
        let message = client.message().unwrap();
        let message = response::decode(&message).unwrap();
        let result = message.response.result().unwrap();
        assert_eq!((message.id.0, result.code), (2, ResultCode::BUSY));
        assert!(result.diagnostic.contains(CAPACITY), "{}", result.diagnostic);
        client.beat(3);
    }
    drop(gate);
    for client in admitted.iter_mut() {
        assert_eq!(client.hear(), Heard::Result(2, ResultCode::SUCCESS));
    }
    for (number, client) in (0..).zip(&mut clients) {
        // What was refused was not made, what was made is there; then all is as before.
        client.send(&search(4, &name("one", number), Scope::Base));
        let expected = if number < MOST { ResultCode::SUCCESS } else { ResultCode::NO_SUCH_OBJECT };
        assert_eq!(client.result(4), expected);
        client.send(&add(5, &name("two", number)));
        assert_eq!(client.hear(), Heard::Result(5, ResultCode::SUCCESS));
        // Nothing comes a second time.
        client.beat(6);
    }
}

#[test]
fn who_reads_is_served_while_no_change_goes_on() {
    let fixture = Fixture::start();
    let mut writers: Vec<Client> = (0..8).map(|_| bound(&fixture)).collect();
    let mut reader = bound(&fixture);
    let gate = Gate::close(&fixture);
    for (number, writer) in (0..).zip(&mut writers) {
        writer.send(&add(2, &name("one", number)));
    }
    wait_for(&fixture, 8);
    for id in 3..20 {
        reader.beat(id);
        reader.send(&search(100 + id, SUFFIX, Scope::Base));
        assert_eq!(reader.hear(), Heard::Entry(100 + id));
        assert_eq!(reader.result(100 + id), ResultCode::SUCCESS);
    }
    // On the connections whose changes wait, and on new ones.
    for writer in &mut writers {
        writer.beat(3);
    }
    bound(&fixture).beat(2);
    drop(gate);
    for writer in &mut writers {
        assert_eq!(writer.hear(), Heard::Result(2, ResultCode::SUCCESS));
    }
}

#[test]
fn nobody_is_behind_the_whole_pipeline_of_another() {
    const DEEP: i32 = 600;
    // What one connection may have with the store at once.
    const SHARE: usize = 64;
    let fixture = Fixture::start();
    let (order, _subscription) = Order::keep(&fixture);
    let mut deep = bound(&fixture);
    let mut others: Vec<Client> = (0..4).map(|_| bound(&fixture)).collect();
    let gate = Gate::close(&fixture);
    let mut writing = deep.stream.try_clone().unwrap();
    let sends = std::thread::spawn(move || {
        let all: Vec<u8> = (0..DEEP).flat_map(|number| add(2 + number, &name("deep", number))).collect();
        std::io::Write::write_all(&mut writing, &all).unwrap();
    });
    wait_for(&fixture, SHARE as u64);
    for (number, other) in (0..).zip(&mut others) {
        other.send(&add(2, &name("other", number)));
        wait_for(&fixture, (SHARE + number as usize + 1) as u64);
    }
    drop(gate);
    for other in &mut others {
        assert_eq!(other.hear(), Heard::Result(2, ResultCode::SUCCESS));
    }
    for number in 0..DEEP {
        assert_eq!(deep.hear(), Heard::Result(2 + number, ResultCode::SUCCESS));
    }
    sends.join().unwrap();
    let names = order.names();
    let first = names.iter().position(|name| name.starts_with("ou=other")).unwrap();
    assert_eq!(first, SHARE, "{:?}", names.get(..SHARE + 4));
    let expected: Vec<String> = (0..4).map(|number| name("other", number)).collect();
    assert_eq!(names.get(SHARE..SHARE + 4), Some(&expected[..]));
    // What one connection sent is made in the order it was sent.
    let deep: Vec<&String> = names.iter().filter(|name| name.starts_with("ou=deep")).collect();
    let expected: Vec<String> = (0..DEEP).map(|number| name("deep", number)).collect();
    assert!(deep.into_iter().eq(&expected));
}

#[test]
fn while_much_waits_each_connection_has_one_change_at_a_time() {
    // From a tenth of it on.
    let fixture = Fixture::start_with(&[(WORK_QUEUE, CAPACITY, "50")]);
    let (order, _subscription) = Order::keep(&fixture);
    let mut clients: Vec<Client> = (0..6).map(|_| bound(&fixture)).collect();
    let gate = Gate::close(&fixture);
    for (number, client) in (0..).zip(&mut clients) {
        let all: Vec<u8> = (0..20).flat_map(|id| add(2 + id, &name(&format!("c{number}-"), id))).collect();
        client.send(&all);
        // The first has as many as make the store crowded, all others have one.
        wait_for(&fixture, 5 + number as u64);
    }
    drop(gate);
    for client in &mut clients {
        for id in 0..20 {
            assert_eq!(client.hear(), Heard::Result(2 + id, ResultCode::SUCCESS));
        }
        client.beat(100);
    }
    let expected: Vec<String> = (0..5)
        .map(|id| name("c0-", id))
        .chain((1..6).map(|number| name(&format!("c{number}-"), 0)))
        .collect();
    let names = order.names();
    assert_eq!(names.get(..10), Some(&expected[..]));
    assert_eq!(names.len(), 120);
}

#[test]
fn who_asks_for_everything_and_never_reads_costs_itself_alone() {
    const ENTRIES: i32 = 300;
    const REQUESTS: i32 = 100;
    let fixture = Fixture::start();
    let mut busy = bound(&fixture);
    let description = vec![b'x'; 10_000];
    for number in 0..ENTRIES {
        let attributes: &[request::Attribute<'_>] =
            &[("objectClass", &[b"organizationalUnit"]), ("description", &[&description])];
        let id = 1_000 + number;
        busy.send(&written(id, |out, id| request::add(out, id, &name("big", number), attributes, &[])));
        assert_eq!(busy.result(id), ResultCode::SUCCESS);
    }
    // Bound before, so that the limit does not meet a handshake.
    let mut deaf = fixture.deaf_client();
    deaf.bind(1);
    let number = fixture.server().connections().iter().map(|one| one.number).max().unwrap();
    for id in 0..REQUESTS {
        deaf.send(&search(2 + id, SUFFIX, Scope::Subtree));
    }
    let report = |number: u64| fixture.server().connections().into_iter().find(|one| one.number == number);
    wait_until("its answers wait to be read", || report(number).is_some_and(|one| one.queued > 1 << 20));
    // Of the 300 MB it asked for, a few wait; all others go on.
    for id in 3..30 {
        busy.beat(id);
        busy.send(&add(100 + id, &name("other", id)));
        assert_eq!(busy.result(100 + id), ResultCode::SUCCESS);
        let queued = report(number).map_or(0, |one| one.queued);
        assert!(queued < 16 << 20, "{queued} octets are kept for a client that does not read");
    }
    // The limit is of connections to come: a second one meets it.
    fixture.configure(LDAP_HANDLER, "ds-cfg-max-blocked-write-time-limit", &["100 ms"]);
    let mut second = fixture.deaf_client();
    second.bind(1);
    let cut = fixture.server().connections().iter().map(|one| one.number).max().unwrap();
    assert_ne!(cut, number);
    // All at once: it may be cut from the first answer on.
    second.send(&(0..REQUESTS).flat_map(|id| search(2 + id, SUFFIX, Scope::Subtree)).collect::<Vec<u8>>());
    wait_until("it is cut", || report(cut).is_none());
    busy.beat(2);
}
