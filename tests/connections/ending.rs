//! Ends that the server brings: shutdown, idle limits.

use ctsd::protocol::result::ResultCode;

use super::fixture::{Client, Fixture, Heard, PATIENCE, compare, persistent_search};

#[test]
fn at_shutdown_everybody_gets_a_notice_and_the_port_closes() {
    let mut fixture = Fixture::start();
    let mut idle = fixture.client();
    idle.beat(1);
    let mut silent = fixture.client();
    let mut listening = fixture.client();
    listening.bind(1);
    listening.send(&persistent_search(2));
    listening.beat(3);
    let mut under_tls = super::tls::connect(&fixture, fixture.ldaps);
    under_tls.beat(1);
    let stopped = fixture.stop();
    for heard in [idle.all(), silent.all(), listening.all(), under_tls.all()] {
        assert!(matches!(&heard[..], [Heard::Notice(ResultCode::UNAVAILABLE, _)]), "{heard:?}");
    }
    drop((idle, silent, listening, under_tls));
    fixture.runtime.block_on(async { tokio::time::timeout(PATIENCE, stopped).await }).unwrap().unwrap();
    assert!(std::net::TcpStream::connect(fixture.ldap).is_err());
}

#[test]
fn at_shutdown_what_was_asked_is_answered_before_the_notice() {
    let mut fixture = Fixture::start();
    let mut client = fixture.client();
    client.send(&super::fixture::written(1, |out, id| {
        // Its answer takes a while: the password is hashed.
        let password = super::fixture::PASSWORD.as_bytes();
        ctsd::protocol::request::bind(out, id, super::fixture::ROOT_DN, password, &[]);
    }));
    client.send(&compare(2));
    assert!(matches!(client.hear(), Heard::Result(1, ResultCode::SUCCESS)));
    assert!(matches!(client.hear(), Heard::Result(2, _)));
    let stopped = fixture.stop();
    assert!(matches!(client.hear(), Heard::Notice(ResultCode::UNAVAILABLE, _)));
    assert_eq!(client.hear(), Heard::End);
    fixture.runtime.block_on(async { tokio::time::timeout(PATIENCE, stopped).await }).unwrap().unwrap();
}

#[test]
fn who_idles_too_long_gets_a_notice_but_not_who_listens() {
    let fixture = Fixture::start();
    fixture.configure("cn=config", "ds-cfg-idle-time-limit", &["1 s"]);
    // Anonymous, so that the limit holds: a root user has none.
    let mut idle = fixture.client();
    let mut listening = fixture.client();
    listening.bind(1);
    listening.send(&persistent_search(2));
    let heard = idle.all();
    assert!(
        matches!(&heard[..], [Heard::Notice(ResultCode::ADMIN_LIMIT_EXCEEDED, text)] if text.contains("idle")),
        "{heard:?}"
    );
    listening.beat(3);
}

#[test]
fn an_administrator_can_end_a_connection() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    client.beat(1);
    let number = fixture.server().connections().first().unwrap().number;
    let notice =
        ctsd::protocol::result::LdapResult::new(ResultCode::UNAVAILABLE, "by the administrator's wish");
    assert!(fixture.server().disconnect(number, notice));
    assert!(matches!(client.hear(), Heard::Notice(ResultCode::UNAVAILABLE, text) if text.contains("wish")));
    assert_eq!(client.hear(), Heard::End);
    Client::connect(fixture.ldap).beat(1);
}
