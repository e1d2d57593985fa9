//! The ports: LDAP, HTTP and administration, their keys and whom they trust.

use ctsd::protocol::oid;
use rustls::CipherSuite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384};
use rustls::version::{TLS12, TLS13};

use crate::certificates::{authority, is_taken, trusting};
use crate::client::{Client, Tls, http, listens};
use crate::fixture::SUFFIX;
use crate::ports::free_port;
use crate::table::{ADMIN, Object, Round, Row, Seen, play, row, stays};
use crate::world::World;

macro_rules! handler {
    ($kind:literal, $name:literal) => {
        (
            concat!("connection-handler (", $kind, ")"),
            concat!("--handler-name \"", $name, "\""),
            concat!("cn=", $name, ",cn=Connection Handlers,cn=config"),
        )
    };
}

const LDAP: Object = handler!("ldap", "LDAP Connection Handler");
const LDAPS: Object = handler!("ldap", "LDAPS Connection Handler");
const OFF: Object = handler!("ldap", "Off");
const PLACED: Object = handler!("ldap", "Placed");
const SECURE: Object = handler!("ldap", "Secure");
const WEB_OFF: Object = handler!("http", "Web Off");
const WEB: Object = handler!("http", "Web");
const WEB_PLACED: Object = handler!("http", "Web Placed");
const WEB_SECURE: Object = handler!("http", "Web Secure");

const KEYS: Object =
    ("key-manager-provider", "--provider-name PEM", "cn=PEM,cn=Key Manager Providers,cn=config");
const TRUST: Object =
    ("trust-manager-provider", "--provider-name PEM", "cn=PEM,cn=Trust Manager Providers,cn=config");

/// The ports of a round, where a restart does not move them. Kept in a file of the instance: rows are functions.
fn port(world: &World, name: &str) -> u16 {
    let text = world.text("ports.txt");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no port {name}")).parse().unwrap()
}

fn ports(world: &World, names: &[&'static str]) -> Vec<(&'static str, String)> {
    let made: Vec<_> = names.iter().map(|name| (*name, free_port().to_string())).collect();
    let text: String = made.iter().map(|(name, port)| format!("{name}={port}\n")).collect();
    std::fs::write(world.path("ports.txt"), text).unwrap();
    made
}

/// A second certificate, with its key, beside the first.
fn other_certificate(world: &World) {
    let (certificate, key) = ctsd::server::self_signed(&["other".to_owned()]).unwrap();
    std::fs::write(world.path("config/tls/other.pem"), certificate).unwrap();
    std::fs::write(world.path("config/tls/other.key"), key).unwrap();
}

fn der(world: &World, name: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    let text = world.text(&format!("config/tls/{name}"));
    rustls::pki_types::CertificateDer::from_pem_slice(text.as_bytes()).unwrap().to_vec()
}

fn shows_other(world: &World, port: u16) -> bool {
    Client::tls(port, &Tls::default()).is_some_and(|(_, shown)| shown == der(world, "other.pem"))
}

fn opens(port: u16, tls: &Tls<'_>) -> bool {
    Client::tls(port, tls).is_some()
}

fn only_new(port: u16) -> bool {
    !opens(port, &Tls { version: Some(&TLS12), ..Tls::default() })
        && opens(port, &Tls { version: Some(&TLS13), ..Tls::default() })
}

fn only_strong(port: u16) -> bool {
    let with = |suite| opens(port, &Tls { version: Some(&TLS13), suite: Some(suite), ..Tls::default() });
    !with(TLS13_AES_128_GCM_SHA256) && with(TLS13_AES_256_GCM_SHA384)
}

fn off_is_on(world: &World) -> bool {
    listens([127, 0, 0, 1], port(world, "off"))
}

fn placed_is_elsewhere(world: &World) -> bool {
    let port = port(world, "moved");
    listens([127, 0, 0, 2], port) && !listens([127, 0, 0, 1], port)
}

fn placed_has_moved(world: &World) -> bool {
    listens([127, 0, 0, 2], port(world, "moved"))
}

fn placed_speaks_tls(world: &World) -> bool {
    opens(port(world, "tls"), &Tls::default())
}

fn offers_start_tls(world: &World) -> bool {
    Client::start_tls(port(world, "tls")).is_some_and(|mut client| client.ping())
}

fn secure_is_new(world: &World) -> bool {
    only_new(port(world, "secure"))
}

fn secure_is_strong(world: &World) -> bool {
    only_strong(port(world, "secure"))
}

fn secure_is_other(world: &World) -> bool {
    shows_other(world, port(world, "secure"))
}

/// What `ss` shows of listening sockets and connections of a port.
fn sockets(options: &[&str], port: u16) -> String {
    let filter = format!("sport = :{port}");
    let shown =
        std::process::Command::new("ss").args(options).arg(&filter).output().expect("ss, of iproute2");
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

fn backlog_is_seven(port: u16) -> bool {
    sockets(&["-Hltn"], port).split_ascii_whitespace().nth(2) == Some("7")
}

fn secure_queues_seven(world: &World) -> bool {
    backlog_is_seven(port(world, "secure"))
}

fn web_queues_seven(world: &World) -> bool {
    backlog_is_seven(port(world, "web secure"))
}

fn is_not_kept_alive(port: u16) -> bool {
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let of_it = format!(":{}", client.local_addr().unwrap().port());
    crate::world::until("the server has the connection", || sockets(&["-Htno"], port).contains(&of_it));
    let text = sockets(&["-Htno"], port);
    let line = text.lines().find(|line| line.contains(&of_it)).unwrap_or_default().to_owned();
    !line.contains("keepalive")
}

fn secure_is_not_kept_alive(world: &World) -> bool {
    is_not_kept_alive(port(world, "secure"))
}

fn web_is_not_kept_alive(world: &World) -> bool {
    is_not_kept_alive(port(world, "web secure"))
}

fn large_requests_end(world: &World) -> bool {
    let text = "x".repeat(30_000);
    let answer = world.anonymous().add(&format!("cn=a,{SUFFIX}"), &[("description", &text)]);
    answer.is_notice && answer.is(11)
}

const DENIED: [u8; 4] = [127, 0, 0, 9];

fn denied(world: &World) -> crate::client::Answer {
    let mut client = Client::from(world.server.ldap, DENIED);
    client.search("", ctsd::protocol::message::Scope::Base, "(objectClass=*)", &["1.1"])
}

fn some_are_denied(world: &World) -> bool {
    !denied(world).is(0)
}

fn nothing_is_said_to_them(world: &World) -> bool {
    denied(world).code.is_none()
}

fn others_are_not_allowed(world: &World) -> bool {
    let port = port(world, "secure");
    let mut client = Client::from(port, DENIED);
    // What is not TLS ends the connection of who is admitted, too; the log says who was turned away.
    client.ping();
    let line = |line: &&str| line.contains("DISCONNECT") && line.contains("reason=\"Connection Rejected");
    let text = world.text("logs/access");
    text.lines().any(|one| line(&one)) || text.contains("ejected")
}

fn counts_nothing(world: &World) -> bool {
    let count = || world.monitor("LDAP Connection Handler Statistics", "extendedRequests");
    let before = count();
    for _ in 0..2 {
        assert!(world.anonymous().extended(oid::WHO_AM_I, None, &[]).is(0));
    }
    count() == before
}

fn web_answers(port: u16) -> bool {
    http(port, None, "/alive", "").is_some_and(|text| text.starts_with("HTTP/1.1 200"))
}

fn web_off_is_on(world: &World) -> bool {
    listens([127, 0, 0, 1], port(world, "web off")) && web_answers(port(world, "web off"))
}

fn web_is_elsewhere(world: &World) -> bool {
    let port = port(world, "web moved");
    listens([127, 0, 0, 2], port) && !listens([127, 0, 0, 1], port)
}

fn web_has_moved(world: &World) -> bool {
    listens([127, 0, 0, 2], port(world, "web moved"))
}

fn handshakes(port: u16, tls: &Tls<'_>) -> Option<Vec<u8>> {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(crate::client::PATIENCE)).unwrap();
    let mut stream = crate::client::secure(stream, tls)?;
    use std::io::{Read, Write};
    write!(stream, "GET /alive HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = [0; 12];
    stream.read_exact(&mut text).ok()?;
    assert_eq!(&text, b"HTTP/1.1 200");
    Some(stream.conn.peer_certificates()?.first()?.to_vec())
}

fn web_speaks_tls(world: &World) -> bool {
    handshakes(port(world, "web secure"), &Tls::default()).is_some()
}

fn web_is_other(world: &World) -> bool {
    handshakes(port(world, "web secure"), &Tls::default()) == Some(der(world, "other.pem"))
}

fn web_is_new(world: &World) -> bool {
    let port = port(world, "web secure");
    handshakes(port, &Tls { version: Some(&TLS12), ..Tls::default() }).is_none()
        && handshakes(port, &Tls { version: Some(&TLS13), ..Tls::default() }).is_some()
}

fn web_is_strong(world: &World) -> bool {
    let with = |suite| {
        let tls = Tls { version: Some(&TLS13), suite: Some(suite), ..Tls::default() };
        handshakes(port(world, "web secure"), &tls).is_some()
    };
    !with(TLS13_AES_128_GCM_SHA256) && with(TLS13_AES_256_GCM_SHA384)
}

fn web_denies(world: &World) -> bool {
    http(port(world, "web"), Some(DENIED), "/alive", "").is_none() && web_answers(port(world, "web"))
}

fn web_allows_us_alone(world: &World) -> bool {
    http(port(world, "web"), Some([127, 0, 0, 7]), "/alive", "").is_none() && web_answers(port(world, "web"))
}

fn admin_is_here_alone(world: &World) -> bool {
    listens([127, 0, 0, 1], world.server.admin) && !listens([127, 0, 0, 2], world.server.admin)
}

fn admin_has_moved(world: &World) -> bool {
    listens([127, 0, 0, 1], port(world, "admin"))
}

fn admin_is_new(world: &World) -> bool {
    only_new(world.server.admin)
}

fn admin_is_strong(world: &World) -> bool {
    only_strong(world.server.admin)
}

fn admin_is_other(world: &World) -> bool {
    shows_other(world, world.server.admin)
}

fn keys_are_other(world: &World) -> bool {
    shows_other(world, world.server.ldaps)
}

fn with_handlers(world: &mut World) -> Vec<(&'static str, String)> {
    other_certificate(world);
    trusting(world, "trust.pem", "own", |world| world.server.ldaps);
    let names = ports(
        world,
        &[
            "off",
            "placed",
            "moved",
            "tls",
            "secure",
            "web off",
            "web",
            "web placed",
            "web moved",
            "web secure",
        ],
    );
    let of = |name: &str| port(world, name);
    let keys = "--set \"key-manager-provider:cn=PEM,cn=Key Manager Providers,cn=config\"";
    let create = |name: &str, kind: &str, port: u16, more: &str| {
        format!(
            "create-connection-handler --handler-name \"{name}\" --type {kind} --set listen-port:{port} \
             --set listen-address:127.0.0.1 {more}\n"
        )
    };
    world.prepare(
        &[
            "create-key-manager-provider --provider-name Other --type pem --set enabled:true \
         --set cts-certificate-file:config/tls/other.pem --set cts-private-key-file:config/tls/other.key\n"
                .to_owned(),
            create("Off", "ldap", of("off"), "--set enabled:false"),
            create("Placed", "ldap", of("placed"), "--set enabled:true"),
            create("Plain", "ldap", of("tls"), &format!("--set enabled:true {keys}")),
            create("Secure", "ldap", of("secure"), &format!("--set enabled:true --set use-ssl:true {keys}")),
            create("Web Off", "http", of("web off"), "--set enabled:false"),
            create("Web", "http", of("web"), "--set enabled:true"),
            create("Web Placed", "http", of("web placed"), "--set enabled:true"),
            create("Web Secure", "http", of("web secure"), &format!("--set enabled:true {keys}")),
        ]
        .concat(),
    );
    names
}

fn with_another_port(world: &mut World) -> Vec<(&'static str, String)> {
    other_certificate(world);
    world.prepare(
        "create-key-manager-provider --provider-name Other --type pem --set enabled:true \
         --set cts-certificate-file:config/tls/other.pem --set cts-private-key-file:config/tls/other.key\n",
    );
    trusting(world, "trust.pem", "own", |world| world.server.ldaps);
    ports(world, &["admin"])
}

fn with_two_providers(world: &mut World) -> Vec<(&'static str, String)> {
    other_certificate(world);
    world.prepare(
        "create-key-manager-provider --provider-name Other --type pem --set enabled:true \
         --set cts-certificate-file:config/tls/other.pem --set cts-private-key-file:config/tls/other.key\n\
         set-connection-handler-prop --handler-name \"LDAPS Connection Handler\" \
         --set \"key-manager-provider:cn=PEM,cn=Key Manager Providers,cn=config\" \
         --set \"key-manager-provider:cn=Other,cn=Key Manager Providers,cn=config\"\n\
         set-connection-handler-prop --handler-name \"LDAP Connection Handler\" \
         --set \"key-manager-provider:cn=PEM,cn=Key Manager Providers,cn=config\" \
         --set \"key-manager-provider:cn=Other,cn=Key Manager Providers,cn=config\"\n",
    );
    authority(world, "other-trust.pem", "Directory Manager", "other");
    trusting(world, "admin-trust.pem", "admin", |world| world.server.admin);
    trusting(world, "trust.pem", "own", |world| world.server.ldaps);
    Vec::new()
}

fn admin_moves(world: &mut World, names: &[(&'static str, String)]) {
    world.server.admin = names[0].1.parse().unwrap();
}

const fn no_delay(object: Object) -> Row {
    let test = "the_kernel_is_told_of_use_tcp_no_delay";
    row(object, "use-tcp-no-delay", &["false"], Seen::Elsewhere("src/server/socket.rs", test))
}

fn secure_asks_for_certificates(world: &World) -> bool {
    is_taken(world, port(world, "secure"), "own")
}

fn nobody_is_asked_for_certificates(world: &World) -> bool {
    !is_taken(world, world.server.ldaps, "own")
}

fn nobody_is_asked_by_the_connector(world: &World) -> bool {
    !is_taken(world, world.server.admin, "admin")
}

fn admin_trusts_as_others_do(world: &World) -> bool {
    is_taken(world, world.server.admin, "own")
}

fn others_are_trusted(world: &World) -> bool {
    is_taken(world, world.server.ldaps, "other")
}

/// Who takes nothing is cut long before the default, and before the client gives up.
fn deaf_ones_are_cut(world: &World) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    let mut client = Client::narrow(port(world, "tls"));
    let mut batch = bytes::BytesMut::new();
    for _ in 0..50 {
        batch.extend_from_slice(&client.written(|out, id| {
            let search = ctsd::protocol::request::Search::base("cn=schema");
            ctsd::protocol::request::search(out, id, &search, &[]);
        }));
    }
    matches!(client.stuff(&batch).kind(), ConnectionReset | BrokenPipe)
}

const OTHER: &[&str] = &["cn=Other,cn=Key Manager Providers,cn=config"];

pub(crate) const ROUNDS: &[Round] = &[
    Round {
        name: "LDAP ports",
        prepare: with_handlers,
        moved: stays,
        rows: &[
            row(OFF, "enabled", &["true"], Seen::Live(off_is_on)),
            row(PLACED, "listen-address", &["127.0.0.2"], Seen::Restart(placed_is_elsewhere)),
            row(PLACED, "listen-port", &["{moved}"], Seen::Restart(placed_has_moved)),
            row(handler!("ldap", "Plain"), "allow-start-tls", &["true"], Seen::Live(offers_start_tls)),
            row(SECURE, "ssl-protocol", &["TLSv1.3"], Seen::Restart(secure_is_new)),
            row(SECURE, "ssl-cipher-suite", &["TLS13_AES_256_GCM_SHA384"], Seen::Restart(secure_is_strong)),
            row(SECURE, "key-manager-provider", OTHER, Seen::Restart(secure_is_other)),
            row(
                SECURE,
                "trust-manager-provider",
                &["cn=PEM,cn=Trust Manager Providers,cn=config"],
                Seen::Restart(secure_asks_for_certificates),
            ),
            row(SECURE, "accept-backlog", &["7"], Seen::Restart(secure_queues_seven)),
            row(SECURE, "use-tcp-keep-alive", &["false"], Seen::Restart(secure_is_not_kept_alive)),
            no_delay(LDAP),
            row(LDAP, "max-request-size", &["20 kb"], Seen::Live(large_requests_end)),
            row(
                handler!("ldap", "Plain"),
                "max-blocked-write-time-limit",
                &["200 ms"],
                Seen::After(deaf_ones_are_cut),
            ),
            row(LDAP, "denied-client", &["127.0.0.9"], Seen::Live(some_are_denied)),
            row(LDAP, "send-rejection-notice", &["false"], Seen::Live(nothing_is_said_to_them)),
            row(SECURE, "allowed-client", &["127.0.0.1"], Seen::Live(others_are_not_allowed)),
            row(LDAP, "keep-stats", &["false"], Seen::Live(counts_nothing)),
            row(LDAPS, "ssl-client-auth-policy", &["disabled"], Seen::Live(nobody_is_asked_for_certificates)),
        ],
    },
    Round {
        name: "HTTP ports",
        prepare: with_handlers,
        moved: stays,
        rows: &[
            row(handler!("ldap", "Plain"), "use-ssl", &["true"], Seen::Restart(placed_speaks_tls)),
            row(WEB_OFF, "enabled", &["true"], Seen::Live(web_off_is_on)),
            row(WEB_PLACED, "listen-address", &["127.0.0.2"], Seen::Restart(web_is_elsewhere)),
            row(WEB_PLACED, "listen-port", &["{web moved}"], Seen::Restart(web_has_moved)),
            row(WEB_SECURE, "use-ssl", &["true"], Seen::Restart(web_speaks_tls)),
            row(WEB_SECURE, "ssl-protocol", &["TLSv1.3"], Seen::Restart(web_is_new)),
            row(WEB_SECURE, "ssl-cipher-suite", &["TLS13_AES_256_GCM_SHA384"], Seen::Restart(web_is_strong)),
            row(WEB_SECURE, "key-manager-provider", OTHER, Seen::Restart(web_is_other)),
            row(WEB_SECURE, "accept-backlog", &["7"], Seen::Restart(web_queues_seven)),
            row(WEB_SECURE, "use-tcp-keep-alive", &["false"], Seen::Restart(web_is_not_kept_alive)),
            no_delay(WEB),
            row(WEB, "denied-client", &["127.0.0.9"], Seen::Live(web_denies)),
            row(WEB, "allowed-client", &["127.0.0.1"], Seen::Live(web_allows_us_alone)),
        ],
    },
    Round {
        name: "the administration connector",
        prepare: with_another_port,
        moved: admin_moves,
        rows: &[
            row(ADMIN, "listen-address", &["127.0.0.1"], Seen::Restart(admin_is_here_alone)),
            row(ADMIN, "listen-port", &["{admin}"], Seen::Restart(admin_has_moved)),
            row(ADMIN, "ssl-protocol", &["TLSv1.3"], Seen::Restart(admin_is_new)),
            row(ADMIN, "ssl-cipher-suite", &["TLS13_AES_256_GCM_SHA384"], Seen::Restart(admin_is_strong)),
            row(ADMIN, "key-manager-provider", OTHER, Seen::Restart(admin_is_other)),
            row(
                ADMIN,
                "trust-manager-provider",
                &["cn=PEM,cn=Trust Manager Providers,cn=config"],
                Seen::Restart(admin_trusts_as_others_do),
            ),
        ],
    },
    Round {
        name: "a provider switched off",
        prepare: with_two_providers,
        moved: stays,
        rows: &[
            row(KEYS, "enabled", &["false"], Seen::Restart(keys_are_other)),
            row(TRUST, "enabled", &["false"], Seen::Restart(nobody_is_asked_for_certificates)),
            row(ADMIN, "ssl-client-auth-policy", &["disabled"], Seen::Live(nobody_is_asked_by_the_connector)),
        ],
    },
    Round {
        name: "other files",
        prepare: with_two_providers,
        moved: stays,
        rows: &[
            row(KEYS, "cts-certificate-file", &["config/tls/other.pem"], Seen::Restart(keys_are_other)),
            row(KEYS, "cts-private-key-file", &["config/tls/other.key"], Seen::Restart(keys_are_other)),
            row(TRUST, "cts-trust-file", &["config/tls/other-trust.pem"], Seen::Restart(others_are_trusted)),
        ],
    },
];

#[test]
fn what_is_set_about_ldap_ports_holds() {
    play(&ROUNDS[0]);
    play(&ROUNDS[3]);
}

#[test]
fn what_is_set_about_other_ports_holds() {
    play(&ROUNDS[1]);
    play(&ROUNDS[2]);
    play(&ROUNDS[4]);
}
