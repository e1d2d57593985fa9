//! How octets come: in single ones, many messages at once, half-closed, wrong, too many.

use std::io::Write;

use ctsd::protocol::request;
use ctsd::protocol::result::ResultCode;

use super::fixture::{Client, Fixture, Heard, compare, extended, heartbeat, persistent_search, written};

#[test]
fn a_request_may_come_octet_by_octet() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    for id in 1..=3 {
        for octet in heartbeat(id) {
            client.send(&[octet]);
        }
        assert_eq!(client.result(id), ResultCode::SUCCESS);
    }
}

#[test]
fn four_hundred_requests_in_flight_are_all_answered() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    let mut octets = Vec::new();
    for id in 1..=400 {
        octets.extend_from_slice(&heartbeat(id));
    }
    client.send(&octets);
    for id in 1..=400 {
        assert_eq!(client.result(id), ResultCode::SUCCESS);
    }
}

#[test]
fn who_half_closes_gets_all_answers_and_then_the_end() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    client.bind(1);
    client.send(&persistent_search(2));
    for id in 3..=5 {
        client.send(&compare(id));
    }
    client.half_close();
    let heard = client.all();
    let ids: Vec<i32> = heard
        .iter()
        .map(|one| match one {
            Heard::Result(id, _) => *id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [3, 4, 5], "the persistent search does not keep the connection");
}

#[test]
fn what_is_not_ldap_gets_a_notice_and_the_end() {
    let fixture = Fixture::start();
    for octets in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x31\x05\x02\x01\x01\x42\x00", b"\x30\x80\x02\x01\x01"] {
        let mut client = fixture.client();
        client.send(octets);
        let heard = client.all();
        assert!(matches!(&heard[..], [Heard::Notice(ResultCode::PROTOCOL_ERROR, _)]), "{heard:?}");
    }
}

#[test]
fn a_malformed_request_is_answered_on_its_id_and_the_next_is_served() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    let mut search = heartbeat(7);
    // The scope, an enumeration, is out of its range.
    let scope = search.windows(3).position(|part| part == [0x0a, 0x01, 0x00]).unwrap();
    search[scope + 2] = 9;
    client.send(&search);
    assert_eq!(client.hear(), Heard::Result(7, ResultCode::PROTOCOL_ERROR));
    client.beat(8);
}

#[test]
fn a_request_without_a_usable_id_ends_the_connection() {
    let fixture = Fixture::start();
    for id in [&b"\x02\x01\x00"[..], b"\x02\x01\xff", b"\x02\x05\x00\x80\x00\x00\x00"] {
        let mut client = fixture.client();
        let unbind = b"\x42\x00";
        let mut message = vec![0x30, u8::try_from(id.len() + unbind.len()).unwrap()];
        message.extend_from_slice(id);
        message.extend_from_slice(unbind);
        client.send(&message);
        let heard = client.all();
        assert!(matches!(&heard[..], [Heard::Notice(ResultCode::PROTOCOL_ERROR, _)]), "{heard:?}");
    }
}

#[test]
fn a_request_above_the_limit_gets_a_notice_though_its_octets_keep_coming() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    let mut writing = client.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let mut message = vec![0x30, 0x83, 0x60, 0x00, 0x00];
        message.resize(0x60_0005, 0);
        // The server may close before all is sent.
        let _ = writing.write_all(&message);
    });
    let heard = client.all();
    writer.join().unwrap();
    assert!(
        matches!(&heard[..], [Heard::Notice(ResultCode::ADMIN_LIMIT_EXCEEDED, text)] if text.contains("5000000")),
        "{heard:?}"
    );
}

#[test]
fn a_request_of_almost_five_megabytes_is_served() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    let value = vec![b'x'; 4_900_000];
    let octets = written(1, |out, id| request::compare(out, id, "", "objectClass", &value, &[]));
    client.send(&octets);
    assert!(matches!(client.hear(), Heard::Result(1, _)));
    client.beat(2);
}

#[test]
fn the_limit_of_a_request_changes_at_once() {
    let fixture = Fixture::start();
    fixture.configure(super::fixture::LDAP_HANDLER, "ds-cfg-max-request-size", &["1 kb"]);
    let mut client = fixture.client();
    let value = vec![b'x'; 2_000];
    client.send(&written(1, |out, id| request::compare(out, id, "", "objectClass", &value, &[])));
    assert!(matches!(client.hear(), Heard::Notice(ResultCode::ADMIN_LIMIT_EXCEEDED, _)));
}

#[test]
fn a_message_id_in_flight_is_not_taken_twice_and_is_free_after_abandon() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    client.bind(1);
    client.send(&persistent_search(5));
    client.beat(6);
    client.send(&written(7, |out, id| {
        request::abandon(out, id, ctsd::protocol::message::MessageId(5), &[]);
    }));
    client.beat(5);
    client.send(&persistent_search(9));
    client.send(&heartbeat(9));
    let heard = client.all();
    assert!(matches!(&heard[..], [Heard::Notice(ResultCode::PROTOCOL_ERROR, _)]), "{heard:?}");
}

#[test]
fn unbind_ends_the_connection_without_a_word() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    client.send(&heartbeat(1));
    client.send(&written(2, |out, id| request::unbind(out, id, &[])));
    client.send(&heartbeat(3));
    let heard = client.all();
    let last = heard.iter().filter(|one| matches!(one, Heard::Result(..))).count();
    assert!(last <= 1 && !heard.contains(&Heard::Result(3, ResultCode::SUCCESS)), "{heard:?}");
}

#[test]
fn an_unknown_extended_operation_leaves_the_connection_alone() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    client.send(&extended(1, "1.2.3.4"));
    assert_eq!(client.hear(), Heard::Result(1, ResultCode::PROTOCOL_ERROR));
    client.beat(2);
}

#[test]
fn octets_and_messages_are_counted() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    let mut sent = 0;
    let mut received = 0;
    for id in 1..=100 {
        let octets = heartbeat(id);
        sent += octets.len() as u64;
        client.send(&octets);
        for _ in 0..2 {
            received += client.message().unwrap().len() as u64;
        }
    }
    let totals = fixture.server().totals();
    assert_eq!((totals.messages_read, totals.bytes_read), (100, sent));
    assert_eq!((totals.messages_written, totals.bytes_written), (200, received));
}

#[test]
fn many_connect_at_once_and_all_are_served() {
    let fixture = Fixture::start();
    let address = fixture.ldap;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || {
                let mut clients: Vec<Client> = (0..60).map(|_| Client::connect(address)).collect();
                for client in &mut clients {
                    client.send(&heartbeat(1));
                }
                for client in &mut clients {
                    assert_eq!(client.result(1), ResultCode::SUCCESS);
                }
            });
        }
    });
}
