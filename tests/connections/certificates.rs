//! Clients that prove who they are by a certificate (SASL EXTERNAL) or by name and password under TLS (SASL PLAIN), and
//! certificates that change while connections are open.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use ctsd::protocol::response::{self, Response};
use ctsd::protocol::result::ResultCode;
use ctsd::protocol::{oid, request};
use ctsd::session::Internal;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::fixture::{Client, Fixture, Heard, LDAP_HANDLER, PASSWORD, ROOT_DN, extended, written};
use crate::trust::Trust;

type Secure = Client<StreamOwned<ClientConnection, TcpStream>>;
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

const USER: &str = "uid=certified,dc=example,dc=com";
const LDAPS_HANDLER: &str = "cn=LDAPS Connection Handler,cn=Connection Handlers,cn=config";
const CONNECTOR: &str = "cn=Administration Connector,cn=config";
const EXTERNAL: &str = "cn=EXTERNAL,cn=SASL Mechanisms,cn=config";
const PLAIN: &str = "cn=PLAIN,cn=SASL Mechanisms,cn=config";
const MAPPERS: &str = "cn=Certificate Mappers,cn=config";

/// An authority that signs certificates of clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    /// A client's certificate of this common name.
    fn sign(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        (certificate.der().clone(), key)
    }
}

/// A server that trusts an authority.
fn trusting() -> (Fixture, Authority) {
    let fixture = Fixture::start();
    let authority = Authority::new("Authority of the test");
    let tls = fixture.server().directory().config.instance().tls_directory();
    for name in ["trust.pem", "admin-trust.pem"] {
        std::fs::write(tls.join(name), &authority.pem).unwrap();
    }
    fixture.server().reload_certificates();
    (fixture, authority)
}

/// TLS with a certificate; none if the server does not like it.
fn secure(stream: TcpStream, identity: Option<&Identity>) -> Option<Secure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust(None)));
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
        }
    };
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).ok()?;
    }
    Some(Client::over(stream))
}

fn connect(address: SocketAddr, identity: Option<&Identity>) -> Secure {
    secure(Client::connect(address).stream, identity).unwrap()
}

/// Whether a connection is refused; under TLS 1.3 the client hears of it after its own part of the handshake.
fn is_refused(stream: TcpStream, identity: Option<&Identity>) -> bool {
    use std::io::Write;
    secure(stream, identity).is_none_or(|mut client| {
        let _ = client.stream.write_all(&super::fixture::heartbeat(1));
        client.hear() == Heard::End
    })
}

impl<S: std::io::Read + std::io::Write> Client<S> {
    fn sasl(&mut self, id: i32, mechanism: &str, credentials: Option<&[u8]>) -> ResultCode {
        self.send(&written(id, |out, id| request::bind_sasl(out, id, "", mechanism, credentials, &[])));
        self.result(id)
    }

    /// Who the server takes the client for.
    fn whoami(&mut self, id: i32) -> String {
        self.send(&extended(id, oid::WHO_AM_I));
        let message = self.message().unwrap();
        let Response::Extended { value, .. } = response::decode(&message).unwrap().response else { panic!() };
        String::from_utf8(value.unwrap_or_default().to_vec()).unwrap()
    }
}

/// Adds the user with a password, and what else is asked for.
fn add_user(fixture: &Fixture, more: &[(&str, &[u8])]) {
    let directory = fixture.server().directory();
    let classes: &[&[u8]] = &[b"top", b"inetOrgPerson", b"ds-certificate-user"];
    let mut attributes: Vec<(&str, Vec<&[u8]>)> = vec![
        ("objectClass", classes.to_vec()),
        ("cn", vec![b"Certified"]),
        ("sn", vec![b"Certified"]),
        ("userPassword", vec![PASSWORD.as_bytes()]),
    ];
    attributes.extend(more.iter().map(|(name, value)| (*name, vec![*value])));
    let client = Internal::new(directory, ROOT_DN);
    let added = fixture.runtime.block_on(client.add(USER, &attributes));
    assert_eq!(added.code, ResultCode::SUCCESS, "{added:?}");
}

/// Adds an index and waits until it is built: mappers search, and a search that no index serves yet is refused.
fn index(fixture: &Fixture, attribute: &str) {
    let dn =
        format!("ds-cfg-attribute={attribute},cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config");
    let values = |values: &[&str]| values.iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>();
    let attributes = vec![
        ("objectClass".to_owned(), values(&["top", "ds-cfg-backend-index"])),
        ("ds-cfg-attribute".to_owned(), values(&[attribute])),
        ("ds-cfg-index-type".to_owned(), values(&["equality"])),
    ];
    let directory = fixture.server().directory();
    directory.config.add(&dn, attributes).unwrap();
    while !directory.store.index_states().iter().all(|(_, state)| state == "ready") {
        std::thread::yield_now();
    }
}

#[test]
fn external_takes_the_certificate_for_the_proof() {
    let (fixture, authority) = trusting();
    let manager = authority.sign("Directory Manager");
    for address in [fixture.ldaps, fixture.administration] {
        let mut client = connect(address, Some(&manager));
        assert_eq!(client.whoami(1), "", "a certificate alone is no bind");
        for (id, credentials) in [(2, None), (3, Some(&b""[..])), (4, Some(b"dn:cn=Directory Manager"))] {
            assert_eq!(client.sasl(id, "EXTERNAL", credentials), ResultCode::SUCCESS);
            assert_eq!(client.whoami(id + 10), "dn:cn=Directory Manager,cn=Root DNs,cn=config");
        }
        assert_eq!(client.sasl(20, "EXTERNAL", Some(b"u:nobody")), ResultCode::INVALID_CREDENTIALS);
        assert_eq!(client.whoami(21), "", "a bind that fails leaves an anonymous connection");
    }
    // StartTLS is as good.
    let mut clear = fixture.client();
    assert_eq!(clear.sasl(1, "EXTERNAL", None), ResultCode::INAPPROPRIATE_AUTHENTICATION);
    clear.send(&extended(2, oid::START_TLS));
    assert_eq!(clear.hear(), Heard::Result(2, ResultCode::SUCCESS));
    let mut client = secure(clear.stream, Some(&manager)).unwrap();
    assert_eq!(client.sasl(3, "EXTERNAL", None), ResultCode::SUCCESS);
    // No certificate; one that stands for nobody; one of somebody whom nobody trusts.
    let mut client = connect(fixture.ldaps, None);
    assert_eq!(client.sasl(1, "EXTERNAL", None), ResultCode::INAPPROPRIATE_AUTHENTICATION);
    let mut client = connect(fixture.ldaps, Some(&authority.sign("Nobody")));
    assert_eq!(client.sasl(1, "EXTERNAL", None), ResultCode::INVALID_CREDENTIALS);
    let stranger = Authority::new("Somebody else").sign("Directory Manager");
    assert!(is_refused(Client::connect(fixture.ldaps).stream, Some(&stranger)));
    // Other mechanisms, and this one switched off.
    let mut client = connect(fixture.ldaps, Some(&manager));
    assert_eq!(client.sasl(1, "DIGEST-MD5", None), ResultCode::AUTH_METHOD_NOT_SUPPORTED);
    fixture.configure(EXTERNAL, "ds-cfg-enabled", &["false"]);
    assert_eq!(client.sasl(2, "EXTERNAL", None), ResultCode::AUTH_METHOD_NOT_SUPPORTED);
}

#[test]
fn clients_are_asked_for_a_certificate_as_configured_at_once() {
    let (fixture, authority) = trusting();
    let manager = authority.sign("Directory Manager");
    let mut before = connect(fixture.ldaps, None);
    for (handler, address) in [(LDAPS_HANDLER, fixture.ldaps), (CONNECTOR, fixture.administration)] {
        fixture.configure(handler, "ds-cfg-ssl-client-auth-policy", &["required"]);
        assert!(is_refused(Client::connect(address).stream, None));
        connect(address, Some(&manager)).beat(1);
        fixture.configure(handler, "ds-cfg-ssl-client-auth-policy", &["disabled"]);
        let mut client = connect(address, Some(&manager));
        assert_eq!(client.sasl(1, "EXTERNAL", None), ResultCode::INAPPROPRIATE_AUTHENTICATION);
        fixture.configure(handler, "ds-cfg-ssl-client-auth-policy", &["optional"]);
        assert_eq!(connect(address, Some(&manager)).sasl(1, "EXTERNAL", None), ResultCode::SUCCESS);
    }
    before.beat(1);
    fixture.configure(LDAP_HANDLER, "ds-cfg-ssl-client-auth-policy", &["required"]);
    let mut clear = fixture.client();
    clear.beat(1);
    clear.send(&extended(2, oid::START_TLS));
    assert_eq!(clear.hear(), Heard::Result(2, ResultCode::SUCCESS));
    assert!(is_refused(clear.stream, None));
}

#[test]
fn certificates_are_mapped_to_entries_as_configured() {
    let (fixture, authority) = trusting();
    let own = authority.sign("Certified");
    let print = {
        use sha1::Digest;
        let digest = sha1::Sha1::digest(&own.0);
        digest.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
    };
    add_user(
        &fixture,
        &[
            ("ds-certificate-subject-dn", b"CN = certified"),
            ("ds-certificate-fingerprint", print.to_lowercase().as_bytes()),
            ("userCertificate;binary", &own.0),
        ],
    );
    let mut client = connect(fixture.ldaps, Some(&own));
    let mut id = 0;
    let mut bind = |expected| {
        id += 1;
        assert_eq!(client.sasl(id, "EXTERNAL", None), expected, "{id}");
        id += 1;
        let who = if expected == ResultCode::SUCCESS { format!("dn:{USER}") } else { String::new() };
        assert_eq!(client.whoami(id), who);
    };
    bind(ResultCode::INVALID_CREDENTIALS);
    let mapper = |name: &str| {
        fixture.configure(EXTERNAL, "ds-cfg-certificate-mapper", &[&format!("cn={name},{MAPPERS}")]);
    };
    mapper("Subject Attribute to User Attribute");
    bind(ResultCode::SUCCESS);
    mapper("Subject DN to User Attribute");
    bind(ResultCode::UNWILLING_TO_PERFORM);
    index(&fixture, "ds-certificate-subject-dn");
    index(&fixture, "ds-certificate-fingerprint");
    bind(ResultCode::SUCCESS);
    mapper("Fingerprint Mapper");
    bind(ResultCode::SUCCESS);
    let fingerprint = format!("cn=Fingerprint Mapper,{MAPPERS}");
    fixture.configure(&fingerprint, "ds-cfg-fingerprint-algorithm", &["sha256"]);
    bind(ResultCode::INVALID_CREDENTIALS);
    fixture.configure(&fingerprint, "ds-cfg-fingerprint-algorithm", &["sha1"]);
    fixture.configure(&fingerprint, "ds-cfg-user-base-dn", &["ou=elsewhere,dc=example,dc=com"]);
    bind(ResultCode::INVALID_CREDENTIALS);
    fixture.configure(&fingerprint, "ds-cfg-user-base-dn", &["dc=example,dc=com"]);
    fixture.configure(EXTERNAL, "ds-cfg-certificate-validation-policy", &["always"]);
    bind(ResultCode::SUCCESS);
    // Another certificate of the same subject: the entry holds one, and it is not this one.
    mapper("Subject DN to User Attribute");
    let mut other = connect(fixture.ldaps, Some(&authority.sign("Certified")));
    assert_eq!(other.sasl(1, "EXTERNAL", None), ResultCode::INVALID_CREDENTIALS);
    fixture.configure(EXTERNAL, "ds-cfg-certificate-validation-policy", &["ifpresent"]);
    assert_eq!(other.sasl(2, "EXTERNAL", None), ResultCode::INVALID_CREDENTIALS);
    fixture.configure(EXTERNAL, "ds-cfg-certificate-validation-policy", &["never"]);
    assert_eq!(other.sasl(3, "EXTERNAL", None), ResultCode::SUCCESS);
}

#[test]
fn plain_takes_name_and_password_under_tls_alone() {
    let (fixture, _) = trusting();
    add_user(&fixture, &[("ds-privilege-name", b"-bypass-acl")]);
    let message =
        |identity: &str, name: &str, password: &str| [identity, name, password].join("\0").into_bytes();
    let right = message("", "certified", PASSWORD);
    let mut clear = fixture.client();
    assert_eq!(clear.sasl(1, "PLAIN", Some(&right)), ResultCode::CONFIDENTIALITY_REQUIRED);
    let mut client = connect(fixture.ldaps, None);
    assert_eq!(client.sasl(1, "PLAIN", None), ResultCode::SASL_BIND_IN_PROGRESS);
    let table = [
        (right.clone(), true),
        (message("", "u:certified", PASSWORD), true),
        (message("", &format!("dn:{USER}"), PASSWORD), true),
        (message("u:certified", "certified", PASSWORD), true),
        (message(&format!("dn:{USER}"), "certified", PASSWORD), true),
        (message("", "certified", "wrong"), false),
        (message("", "nobody", PASSWORD), false),
        (message("", "dn:nonsense", PASSWORD), false),
        (message("", "certified", ""), false),
        (message("dn:cn=Directory Manager", "certified", PASSWORD), false),
        (message("u:nobody", "certified", PASSWORD), false),
        (b"certified".to_vec(), false),
        (message("", "certified", &format!("{PASSWORD}\0")), false),
    ];
    for (row, (credentials, is_right)) in (0..).zip(table) {
        let expected = if is_right { ResultCode::SUCCESS } else { ResultCode::INVALID_CREDENTIALS };
        assert_eq!(client.sasl(2 * row + 10, "plain", Some(&credentials)), expected, "row {row}");
        let who = if is_right { format!("dn:{USER}") } else { String::new() };
        assert_eq!(client.whoami(2 * row + 11), who, "row {row}");
    }
    // Who has the privilege may act as somebody else.
    let manager = message("u:certified", &format!("dn:{ROOT_DN}"), PASSWORD);
    assert_eq!(client.sasl(100, "PLAIN", Some(&manager)), ResultCode::INVALID_CREDENTIALS);
    fixture.configure("cn=Directory Manager,cn=Root DNs,cn=config", "ds-privilege-name", &["proxied-auth"]);
    assert_eq!(client.sasl(101, "PLAIN", Some(&manager)), ResultCode::SUCCESS);
    assert_eq!(client.whoami(102), format!("dn:{USER}"));
    fixture.configure(PLAIN, "ds-cfg-enabled", &["false"]);
    assert_eq!(client.sasl(103, "PLAIN", Some(&right)), ResultCode::AUTH_METHOD_NOT_SUPPORTED);
}

#[test]
fn new_certificates_are_for_new_connections_and_old_ones_stay() {
    let (fixture, _) = trusting();
    let shown = |client: &Secure| client.stream.conn.peer_certificates().unwrap()[0].clone().into_owned();
    let mut old = connect(fixture.ldaps, None);
    old.bind(1);
    let tls = fixture.server().directory().config.instance().tls_directory();
    let (certificate, key) = ctsd::server::self_signed(&["other.example.com".to_owned()]).unwrap();
    std::fs::write(tls.join("server.key"), key).unwrap();
    std::fs::write(tls.join("server.pem"), certificate).unwrap();
    fixture.server().reload_certificates();
    let mut new = connect(fixture.ldaps, None);
    new.bind(1);
    assert!(shown(&old) != shown(&new));
    old.beat(2);
    // What cannot be read changes nothing.
    std::fs::write(tls.join("server.pem"), "no certificate").unwrap();
    fixture.server().reload_certificates();
    let mut third = connect(fixture.ldaps, None);
    third.beat(1);
    assert!(shown(&third) == shown(&new));
    old.beat(3);
    new.beat(2);
}
