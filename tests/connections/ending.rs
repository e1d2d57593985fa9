//! Ends that the server brings: shutdown, idle limits.

use ctsd::protocol::result::ResultCode;

use super::fixture::{Client, Fixture, Heard, PATIENCE, bind, compare, persistent_search};

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
    // Its answer takes a while: the password is hashed.
    client.send(&bind(1));
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
    let user = "cn=Directory Manager,cn=Root DNs,cn=config";
    fixture.configure(user, "ds-rlim-idle-time-limit", &["1"]);
    // Both requests at once: the limit begins with the bind.
    let mut listening = fixture.client();
    let mut both = bind(1);
    both.extend_from_slice(&persistent_search(2));
    listening.send(&both);
    assert_eq!(listening.result(1), ResultCode::SUCCESS);
    let mut idle = fixture.client();
    idle.bind(1);
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
