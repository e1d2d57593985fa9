//! LDAPS and StartTLS, and what must not slip through at the switch.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use ctsd::protocol::oid;
use ctsd::protocol::result::ResultCode;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::fixture::{Client, Fixture, Heard, extended, heartbeat, wait_until};
use crate::trust::Trust;

type Secure = Client<StreamOwned<ClientConnection, TcpStream>>;

/// TLS over a stream, with the handshake done.
fn secure(stream: TcpStream, trusted: Option<&str>) -> Secure {
    let trusted = trusted.map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust(trusted)))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    Client::over(stream)
}

pub(crate) fn connect(_: &Fixture, address: SocketAddr) -> Secure {
    secure(Client::connect(address).stream, None)
}

#[test]
fn ldaps_serves_with_the_configured_certificate() {
    let fixture = Fixture::start();
    let mut client = secure(Client::connect(fixture.ldaps).stream, Some(&fixture.certificate));
    client.bind(1);
    let mut octets = Vec::new();
    for id in 2..=401 {
        octets.extend_from_slice(&heartbeat(id));
    }
    client.send(&octets);
    for id in 2..=401 {
        assert_eq!(client.result(id), ResultCode::SUCCESS);
    }
}

#[test]
fn start_tls_protects_what_follows() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    client.beat(1);
    client.send(&extended(2, oid::START_TLS));
    assert_eq!(client.hear(), Heard::Result(2, ResultCode::SUCCESS));
    let mut client = secure(client.stream, Some(&fixture.certificate));
    client.bind(3);
    client.send(&extended(4, oid::START_TLS));
    assert_eq!(client.hear(), Heard::Result(4, ResultCode::OPERATIONS_ERROR), "TLS is on already");
    client.beat(5);
}

#[test]
fn octets_smuggled_in_behind_start_tls_are_not_taken_for_protected() {
    let fixture = Fixture::start();
    // In one piece: refused before it is granted.
    let mut client = fixture.client();
    let mut octets = extended(1, oid::START_TLS);
    octets.extend_from_slice(&heartbeat(2));
    client.send(&octets);
    let heard = client.all();
    assert!(matches!(&heard[..], [Heard::Notice(ResultCode::PROTOCOL_ERROR, _)]), "{heard:?}");
    // After it is granted: taken for a handshake, which fails.
    let mut client = fixture.client();
    client.send(&extended(1, oid::START_TLS));
    assert_eq!(client.hear(), Heard::Result(1, ResultCode::SUCCESS));
    client.send(&heartbeat(2));
    let mut alert = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut alert);
    assert!(!alert.starts_with(&[0x30]), "no LDAP message comes back: {alert:?}");
}

#[test]
fn start_tls_needs_an_idle_connection_and_a_listener_that_allows_it() {
    let fixture = Fixture::start();
    let mut client = fixture.client();
    client.bind(1);
    client.send(&super::fixture::persistent_search(2));
    client.send(&extended(3, oid::START_TLS));
    assert_eq!(client.hear(), Heard::Result(3, ResultCode::OPERATIONS_ERROR));
    fixture.configure(super::fixture::LDAP_HANDLER, "ds-cfg-allow-start-tls", &["false"]);
    let mut client = fixture.client();
    client.send(&extended(1, oid::START_TLS));
    assert_eq!(client.hear(), Heard::Result(1, ResultCode::UNAVAILABLE));
    client.beat(2);
}

#[test]
fn plain_ldap_on_the_tls_port_ends() {
    let fixture = Fixture::start();
    let mut client = Client::connect(fixture.ldaps);
    client.send(&heartbeat(1));
    let mut alert = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut alert);
    assert!(!alert.starts_with(&[0x30]), "{alert:?}");
    let mut client = connect(&fixture, fixture.ldaps);
    client.beat(1);
}

#[test]
fn a_deaf_client_under_tls_is_cut_too() {
    let fixture = Fixture::start();
    let handler = "cn=LDAPS Connection Handler,cn=Connection Handlers,cn=config";
    fixture.configure(handler, "ds-cfg-max-blocked-write-time-limit", &["200 ms"]);
    let mut deaf = secure(Client::connect_narrow(fixture.ldaps).stream, None);
    let mut batch = Vec::new();
    for id in 1..=1_000 {
        batch.extend_from_slice(&heartbeat(id));
    }
    // Only writes: what comes back is not read from the socket.
    let Client { stream, .. } = &mut deaf;
    let cut = loop {
        let sent = stream.conn.writer().write_all(&batch).and_then(|()| {
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut stream.sock)?;
            }
            Ok(())
        });
        if let Err(error) = sent {
            break error;
        }
    };
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    assert!(matches!(cut.kind(), ConnectionReset | BrokenPipe), "{cut}");
    wait_until("nothing of it is left", || fixture.server().connections().is_empty());
}

#[test]
fn the_administration_connector_speaks_tls_with_a_certificate_of_its_own() {
    let fixture = Fixture::start();
    let mut client = connect(&fixture, fixture.administration);
    client.bind(1);
    let own = client.stream.conn.peer_certificates().unwrap().first().unwrap().clone().into_owned();
    let other = CertificateDer::from_pem_slice(fixture.certificate.as_bytes()).unwrap();
    assert!(own != other);
}
