//! Who gets in, and ports that open and close while the server runs.

use std::io::Write;

use ctsd::protocol::result::ResultCode;

use super::fixture::{Client, Fixture, Heard, LDAP_HANDLER, wait_until};

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
    wait_until("a connection ended, so another may come", || {
        let mut client = fixture.client();
        // One that is turned away may be closed already.
        let _ = client.stream.write_all(&super::fixture::heartbeat(1));
        matches!(client.hear(), Heard::Entry(1))
    });
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
    assert!(std::net::TcpStream::connect(fixture.ldap).is_err(), "closed at once");
    client.beat(2);
    fixture.configure(LDAP_HANDLER, "ds-cfg-enabled", &["true"]);
    Client::connect(fixture.ldap).beat(1);
    // However soon it comes back.
    for id in 3..30 {
        fixture.configure(LDAP_HANDLER, "ds-cfg-enabled", &["false"]);
        fixture.configure(LDAP_HANDLER, "ds-cfg-enabled", &["true"]);
        Client::connect(fixture.ldap).beat(1);
        client.beat(id);
    }
}

#[test]
fn no_address_has_more_connections_than_it_may() {
    let fixture = Fixture::start();
    fixture.configure("cn=config", "ds-cfg-cts-max-connections-per-address", &["2"]);
    let mut first = fixture.client();
    first.beat(1);
    let mut second = fixture.client();
    second.beat(1);
    let heard = fixture.client().all();
    assert!(
        matches!(&heard[..], [Heard::Notice(ResultCode::ADMIN_LIMIT_EXCEEDED, text)]
            if text.contains("ds-cfg-cts-max-connections-per-address")),
        "{heard:?}"
    );
    super::tls::connect(&fixture, fixture.administration).bind(1);
    fixture.configure("cn=config", "ds-cfg-cts-max-connections-per-address", &["0"]);
    fixture.client().beat(1);
    first.beat(2);
    second.beat(2);
}

#[test]
fn clients_may_be_named_by_their_hosts() {
    let fixture = Fixture::start();
    fixture.configure(LDAP_HANDLER, "ds-cfg-allowed-client", &["localhost"]);
    fixture.client().beat(1);
    fixture.configure(LDAP_HANDLER, "ds-cfg-allowed-client", &["no-such-host.invalid"]);
    assert!(matches!(&fixture.client().all()[..], [Heard::Notice(ResultCode::CONSTRAINT_VIOLATION, _)]));
    fixture.configure(LDAP_HANDLER, "ds-cfg-allowed-client", &[]);
    for denied in ["localhost", "127.*.*.*", "127.0.0.1", "no-such-host.invalid"] {
        fixture.configure(LDAP_HANDLER, "ds-cfg-denied-client", &[denied]);
        let heard = fixture.client().all();
        assert!(
            matches!(&heard[..], [Heard::Notice(ResultCode::CONSTRAINT_VIOLATION, _)]),
            "{denied} {heard:?}"
        );
    }
    let config = &fixture.server().directory().config;
    for domain in [".example.com", "*.example.com", "10.0.0.1/x", ""] {
        let change = ctsd::config::ConfigChange {
            operation: ctsd::protocol::message::ModifyOperation::Replace,
            attribute: "ds-cfg-denied-client".to_owned(),
            values: vec![domain.as_bytes().to_vec()],
        };
        assert!(config.modify(LDAP_HANDLER, &[change]).is_err(), "{domain}");
    }
}

#[test]
fn in_lockdown_mode_administrators_on_this_machine_are_served_alone() {
    let fixture = Fixture::start();
    let mut anonymous = fixture.client();
    anonymous.beat(1);
    let mut manager = fixture.client();
    manager.bind(1);
    let lockdown = &fixture.server().directory().lockdown;
    lockdown.enter("the test wants it");
    anonymous.send(&super::fixture::heartbeat(2));
    assert_eq!(anonymous.result(2), ResultCode::UNWILLING_TO_PERFORM);
    manager.beat(2);
    let mut late = fixture.client();
    late.bind(1);
    late.beat(2);
    let mut nobody = fixture.client();
    nobody.send(&super::fixture::written(1, |out, id| {
        ctsd::protocol::request::bind(out, id, "", b"", &[]);
    }));
    assert_eq!(nobody.result(1), ResultCode::UNWILLING_TO_PERFORM);
    super::tls::connect(&fixture, fixture.administration).bind(1);
    let privileges = ["-bypass-lockdown"];
    fixture.configure("cn=Directory Manager,cn=Root DNs,cn=config", "ds-privilege-name", &privileges);
    let mut without = fixture.client();
    without.send(&super::fixture::bind(1));
    assert_eq!(without.result(1), ResultCode::UNWILLING_TO_PERFORM);
    assert!(lockdown.leave() && !lockdown.leave());
    anonymous.beat(3);
    without.bind(2);
}
