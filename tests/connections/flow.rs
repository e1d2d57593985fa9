//! Clients that do not read, and those who share the server with them.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ctsd::protocol::result::ResultCode;

use super::fixture::{Fixture, Heard, LDAP_HANDLER, heartbeat};

/// Sends heartbeats without reading until the server takes no more; how many octets it took.
fn stuff(stream: &mut impl Write, most: usize) -> usize {
    let mut batch = Vec::new();
    for id in 1..=1_000 {
        batch.extend_from_slice(&heartbeat(id));
    }
    let mut taken = 0;
    while taken < most {
        let rest = batch.get(taken % batch.len()..).unwrap();
        match stream.write(rest) {
            Ok(octets) => taken += octets,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

#[test]
fn who_never_reads_is_not_read_from_and_harms_nobody() {
    let fixture = Fixture::start();
    let mut deaf = fixture.deaf_client();
    deaf.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    const MOST: usize = 256 << 20;
    let taken = stuff(&mut deaf.stream, MOST);
    assert!(taken < MOST, "the server took {taken} octets of a client that does not read");
    fixture.client().beat(1);
    // Once it reads, it gets what it asked for, in order.
    let mut last = 0;
    for _ in 0..2_000 {
        match deaf.hear() {
            Heard::Entry(id) => last = id,
            Heard::Result(id, code) => assert_eq!((id, code), (last, ResultCode::SUCCESS)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_does_not_take_its_answers_in_time_is_cut() {
    let fixture = Fixture::start();
    fixture.configure(LDAP_HANDLER, "ds-cfg-max-blocked-write-time-limit", &["200 ms"]);
    let mut deaf = fixture.deaf_client();
    let mut batch = Vec::new();
    for id in 1..=1_000 {
        batch.extend_from_slice(&heartbeat(id));
    }
    let cut = loop {
        match deaf.stream.write_all(&batch) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(cut.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "cut by the server, not given up by the test: {cut}"
    );
    fixture.client().beat(1);
}

#[test]
fn a_flood_on_one_connection_leaves_the_others_their_turns() {
    let fixture = Fixture::start();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let client = fixture.client();
            let mut writing = client.stream.try_clone().unwrap();
            let mut reading = client.stream;
            let is_over = &is_over;
            scope.spawn(move || {
                let mut batch = Vec::new();
                for id in 1..=500 {
                    batch.extend_from_slice(&heartbeat(id));
                }
                while !is_over.load(Ordering::Relaxed) && writing.write_all(&batch).is_ok() {}
                let _ = writing.shutdown(std::net::Shutdown::Write);
            });
            scope.spawn(move || std::io::copy(&mut reading, &mut std::io::sink()));
        }
        let mut quiet = fixture.client();
        for id in 1..=10 {
            quiet.beat(id);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
