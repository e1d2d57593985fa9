//! Who gets in, and ports that open and close while the server runs.

use ctsd::protocol::result::ResultCode;

use super::fixture::{Client, Fixture, Heard, LDAP_HANDLER};

#[test]
fn above_the_limit_of_connections_clients_are_turned_away_with_a_notice() {
    let fixture = Fixture::start();
    fixture.configure("cn=config", "ds-cfg-max-allowed-client-connections", &["2"]);
    let mut first = fixture.client();
    first.beat(1);
    let mut second = fixture.client();
    second.beat(1);
    let mut third = fixture.client();
    let heard = third.all();
    assert!(
        matches!(&heard[..], [Heard::Notice(ResultCode::ADMIN_LIMIT_EXCEEDED, text)]
            if text.contains("ds-cfg-max-allowed-client-connections")),
        "{heard:?}"
    );
    drop((second, third));
    // The server sees the end of a connection when it gets to it.
    let admitted = (0..10_000).any(|_| {
        let mut client = fixture.client();
        client.send(&super::fixture::heartbeat(1));
        matches!(client.hear(), Heard::Entry(1))
    });
    assert!(admitted, "a connection ended, so another may come");
}

#[test]
fn the_administrator_gets_in_above_the_limit() {
    let fixture = Fixture::start();
    fixture.configure("cn=config", "ds-cfg-max-allowed-client-connections", &["1"]);
    let mut first = fixture.client();
    first.beat(1);
    let mut administrator = super::tls::connect(&fixture, fixture.administration);
    administrator.bind(1);
}

#[test]
fn denied_clients_are_turned_away_and_allowed_ones_are_not() {
    let fixture = Fixture::start();
    fixture.configure(LDAP_HANDLER, "ds-cfg-denied-client", &["127.0.0.0/8"]);
    let heard = fixture.client().all();
    assert!(matches!(&heard[..], [Heard::Notice(ResultCode::CONSTRAINT_VIOLATION, _)]), "{heard:?}");
    fixture.configure(LDAP_HANDLER, "ds-cfg-send-rejection-notice", &["false"]);
    assert_eq!(fixture.client().all(), []);
    fixture.configure(LDAP_HANDLER, "ds-cfg-denied-client", &[]);
    fixture.configure(LDAP_HANDLER, "ds-cfg-allowed-client", &["10.0.0.1", "127.0.0.*"]);
    fixture.client().beat(1);
    fixture.configure(LDAP_HANDLER, "ds-cfg-allowed-client", &["10.0.0.1"]);
    assert_eq!(fixture.client().all(), []);
}

#[test]
fn a_disabled_listener_takes_no_connections_and_keeps_those_it_has() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    client.beat(1);
    fixture.configure(LDAP_HANDLER, "ds-cfg-enabled", &["false"]);
    // The socket closes when the accepting task has seen it.
    let closed = (0..10_000).any(|_| std::net::TcpStream::connect(fixture.ldap).is_err());
    assert!(closed);
    client.beat(2);
    fixture.configure(LDAP_HANDLER, "ds-cfg-enabled", &["true"]);
    Client::connect(fixture.ldap).beat(1);
}
