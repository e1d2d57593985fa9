//! Mail and web servers that are spoken to under TLS: believed by an authority of the test's own, or not at all.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::world::{World, within};

/// What a server of 127.0.0.1 shows that nobody vouches for, and its certificate, which calls itself an authority's as those
/// that `openssl req -x509` makes do.
fn self_signed() -> (Arc<ServerConfig>, String) {
    let key = KeyPair::generate().unwrap();
    let mut own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = own.self_signed(&key).unwrap();
    (showing(own.der().clone(), &key), own.pem())
}

/// What a server of 127.0.0.1 shows, and the PEM certificate of the authority that vouches for it.
fn vouched_for() -> (Arc<ServerConfig>, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "an authority of the test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    (showing(own.der().clone(), &key), pem)
}

fn showing(own: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own], key)
        .unwrap();
    Arc::new(config)
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

fn secured(tls: &Arc<ServerConfig>, stream: TcpStream) -> Box<dyn Stream> {
    Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), stream))
}

/// A line without its end; nothing is read beyond it. None when the client is gone.
fn line(stream: &mut dyn Stream) -> Option<String> {
    let mut octets = Vec::new();
    let mut octet = [0];
    while octet != *b"\n" {
        if stream.read(&mut octet).ok()? == 0 {
            return None;
        }
        octets.push(octet[0]);
    }
    Some(String::from_utf8(octets).unwrap().trim_end().to_owned())
}

fn say(stream: &mut dyn Stream, text: &str) -> Option<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).ok()?;
    stream.flush().ok()
}

/// How a mail server is protected.
#[derive(Clone, Copy, PartialEq)]
enum Door {
    Clear,
    StartTls,
    Tls,
}

/// What a client of a mail server said, with `(TLS)` before what nobody else could read.
type Said = Vec<String>;

/// Takes mail on a port of this machine, and tells of each connection what was said by it.
fn mail_server(door: Door, tls: Arc<ServerConfig>) -> (u16, Receiver<Said>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, connections) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut said = Vec::new();
            converse(door, &tls, stream.unwrap(), &mut said);
            if sender.send(said).is_err() {
                return;
            }
        }
    });
    (port, connections)
}

fn converse(door: Door, tls: &Arc<ServerConfig>, tcp: TcpStream, said: &mut Said) -> Option<()> {
    let mut is_protected = door == Door::Tls;
    let mut stream: Box<dyn Stream> = if is_protected {
        secured(tls, tcp.try_clone().unwrap())
    } else {
        Box::new(tcp.try_clone().unwrap())
    };
    say(&mut *stream, "220 mail of the test")?;
    loop {
        let asked = line(&mut *stream)?;
        said.push(format!("{}{asked}", if is_protected { "(TLS) " } else { "" }));
        match asked.get(..4).unwrap_or_default() {
            "EHLO" if is_protected => say(&mut *stream, "250-hello\r\n250 AUTH PLAIN")?,
            "EHLO" if door == Door::StartTls => say(&mut *stream, "250-hello\r\n250 STARTTLS")?,
            "STAR" => {
                say(&mut *stream, "220 go on")?;
                stream = secured(tls, tcp.try_clone().unwrap());
                is_protected = true;
            }
            "AUTH" => say(&mut *stream, "235 it is you")?,
            "DATA" => {
                say(&mut *stream, "354 go on")?;
                while line(&mut *stream)? != "." {}
                say(&mut *stream, "250 taken")?;
            }
            "QUIT" => return say(&mut *stream, "221 good bye"),
            _ => say(&mut *stream, "250 yes")?,
        }
    }
}

const COMPLETION: (&str, &str) = ("ds-task-notify-on-completion", "all@example.com");
const PATIENCE: Duration = Duration::from_secs(180);

/// A server that believes the authority, and knows the password of its mail account.
fn world(authority: &str) -> World {
    let world = World::new();
    std::fs::write(world.directory.path().join("config/mail.pem"), authority).unwrap();
    std::fs::write(world.directory.path().join("config/mail.password"), "a secret\nnot this").unwrap();
    world.configure("ds-cfg-cts-task-trust-file", "config/mail.pem");
    world.configure("ds-cfg-cts-smtp-password-file", "config/mail.password");
    world
}

#[track_caller]
fn is_logged(world: &World, id: &str, part: &str) {
    within(|| world.log(id).iter().any(|line| line.contains(part)).then_some(()))
        .unwrap_or_else(|| panic!("{part}: {:?}", world.log(id)));
}

#[test]
fn mail_goes_under_tls_after_a_login() {
    let (vouched, authority) = vouched_for();
    let (own, certificate) = self_signed();
    let world = world(&format!("{authority}{certificate}"));
    for (scheme, door, id, tls) in [
        ("smtp", Door::StartTls, "one", &vouched),
        ("smtps", Door::Tls, "two", &vouched),
        ("smtp", Door::StartTls, "three", &own),
        ("smtps", Door::Tls, "four", &own),
    ] {
        let (port, connections) = mail_server(door, Arc::clone(tls));
        world.configure("ds-cfg-smtp-server", &format!("{scheme}://ctsd%40example.com@127.0.0.1:{port}"));
        world.add(id, "ok", &[COMPLETION]);
        let said = connections.recv_timeout(PATIENCE).unwrap();
        // NUL, the user, NUL, the password.
        let login = "(TLS) AUTH PLAIN AGN0c2RAZXhhbXBsZS5jb20AYSBzZWNyZXQ=";
        assert!(said.iter().any(|line| line == login), "{said:?}");
        assert!(said.iter().any(|line| line == "(TLS) RCPT TO:<all@example.com>"), "{said:?}");
        let clear: Vec<_> = said.iter().filter(|line| !line.starts_with("(TLS) ")).collect();
        assert!(clear.iter().all(|line| line.starts_with("EHLO") || *line == "STARTTLS"), "{clear:?}");
        assert_eq!(clear.is_empty(), door == Door::Tls);
    }
}

#[test]
fn no_password_goes_to_who_is_not_believed() {
    let (tls, _) = vouched_for();
    let (_, other) = vouched_for();
    let world = world(&other);
    for (scheme, door, id) in
        [("smtp", Door::StartTls, "one"), ("smtps", Door::Tls, "two"), ("smtp", Door::Clear, "three")]
    {
        let (port, connections) = mail_server(door, Arc::clone(&tls));
        let server = format!("{scheme}://ctsd@127.0.0.1:{port}");
        world.configure("ds-cfg-smtp-server", &server);
        world.add(id, "ok", &[COMPLETION]);
        is_logged(&world, id, &format!("no mail to all@example.com: {server}: "));
        assert_eq!(world.state(id), "COMPLETED_SUCCESSFULLY");
        let said = connections.recv_timeout(PATIENCE).unwrap();
        assert!(said.iter().all(|line| !line.contains("AUTH") && !line.contains("MAIL")), "{said:?}");
    }
    // And what is missing is said.
    let (port, _connections) = mail_server(Door::Tls, tls);
    world.configure("ds-cfg-smtp-server", &format!("smtps://ctsd@127.0.0.1:{port}"));
    world.configure("ds-cfg-cts-smtp-password-file", "config/nothing");
    world.add("four", "ok", &[COMPLETION]);
    is_logged(&world, "four", "ds-cfg-cts-smtp-password-file ");
    world.configure("ds-cfg-cts-task-trust-file", "config/nothing.pem");
    world.add("five", "ok", &[COMPLETION]);
    is_logged(&world, "five", "config/nothing.pem: ");
}

#[test]
fn a_web_server_is_told_under_tls_if_it_is_believed() {
    told_if_believed(vouched_for);
}

#[test]
fn a_web_server_is_believed_by_its_own_certificate() {
    told_if_believed(self_signed);
}

fn told_if_believed(server: fn() -> (Arc<ServerConfig>, String)) {
    let (tls, trusted) = server();
    let world = world(&trusted);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = secured(&tls, stream.unwrap());
            let mut lines = Vec::new();
            while let Some(line) = line(&mut *stream).filter(|line| !line.is_empty()) {
                lines.push(line);
            }
            let length = lines.iter().find_map(|line| line.strip_prefix("Content-Length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            let _ = stream.read_exact(&mut body);
            // Without a word at the end, as many do it.
            let _ = say(&mut *stream, "HTTP/1.1 204 No Content\r\n");
            if sender.send(lines).is_err() {
                return;
            }
        }
    });
    world.configure("ds-cfg-cts-task-webhook-url", &format!("https://127.0.0.1:{port}/told?by=ctsd"));
    world.add("one", "ok", &[]);
    let lines = asked.recv_timeout(PATIENCE).unwrap();
    assert_eq!(lines[0], "POST /told?by=ctsd HTTP/1.1");
    assert!(lines.contains(&format!("Host: 127.0.0.1:{port}")), "{lines:?}");

    // The name is not the certificate's; then nobody vouches for it.
    let url = format!("https://localhost:{port}/told");
    world.configure("ds-cfg-cts-task-webhook-url", &url);
    world.add("two", "ok", &[]);
    is_logged(&world, "two", &format!("ds-cfg-cts-task-webhook-url {url}: "));
    std::fs::write(world.directory.path().join("config/mail.pem"), server().1).unwrap();
    let url = format!("https://127.0.0.1:{port}/told");
    world.configure("ds-cfg-cts-task-webhook-url", &url);
    world.add("three", "ok", &[]);
    is_logged(&world, "three", "invalid peer certificate: ");
    // What the log said of the first is not that it failed.
    assert_eq!(world.log("one").len(), 1, "{:?}", world.log("one"));
    assert!(asked.try_iter().all(|lines| lines.is_empty()), "nothing was asked");
}
