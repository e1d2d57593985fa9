//! The HTTP port: health and numbers, and nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine;

use super::fixture::{Fixture, PASSWORD, PATIENCE, ROOT_DN};
use super::ports::free_port;

const HANDLER: &str = "cn=HTTP Connection Handler,cn=Connection Handlers,cn=config";
const BACKEND: &str = "ds-cfg-backend-id=userRoot,cn=Backends,cn=config";

/// Opens the port while the server runs.
fn open(fixture: &Fixture) -> SocketAddr {
    let port = free_port();
    fixture.configure(HANDLER, "ds-cfg-listen-port", &[&port.to_string()]);
    fixture.configure(HANDLER, "ds-cfg-enabled", &["true"]);
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn say(address: SocketAddr, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(octets).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let answer = say(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").as_bytes(),
    );
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

fn credentials(dn: &str, password: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{dn}:{password}"));
    format!("Authorization: Basic {encoded}\r\n")
}

#[test]
fn a_healthy_server_says_so_and_reasons_are_for_who_may_monitor() {
    let fixture = Fixture::start();
    let address = open(&fixture);
    assert_eq!(get(address, "/alive", ""), (200, String::new()));
    assert_eq!(get(address, "/healthy", ""), (200, String::new()));
    let administrator = credentials(ROOT_DN, PASSWORD);
    assert_eq!(get(address, "/healthy", &administrator), (200, "[]\n".to_owned()));
    fixture.configure(BACKEND, "ds-cfg-disk-full-threshold", &["1000000 gigabytes"]);
    assert_eq!(get(address, "/alive", ""), (200, String::new()), "it serves all the same");
    assert_eq!(get(address, "/healthy", ""), (503, String::new()), "no reasons for everybody");
    let (status, reasons) = get(address, "/healthy", &administrator);
    assert_eq!(status, 503);
    assert!(reasons.starts_with("[\"the disk is full"), "{reasons}");
    assert_eq!(get(address, "/healthy", &credentials(ROOT_DN, "wrong")).0, 401);
    assert_eq!(get(address, "/healthy", &credentials("", "")).0, 401);
}

#[test]
fn the_numbers_are_in_prometheus_text() {
    let fixture = Fixture::start();
    let address = open(&fixture);
    let mut client = fixture.client();
    for id in 1..=5 {
        client.beat(id);
    }
    let administrator = credentials(ROOT_DN, PASSWORD);
    for path in ["/metrics", "/metrics/prometheus"] {
        assert_eq!(get(address, path, ""), (401, String::new()), "numbers are not for everybody");
        let (status, text) = get(address, path, &administrator);
        assert_eq!(status, 200);
        for line in [
            "ctsd_up 1",
            "ctsd_healthy 1",
            "ctsd_operations_total{operation=\"search\",result=\"0\"} 5",
            "ctsd_connections 1",
            "ctsd_store_entries 1",
            "ctsd_certificate_expiry_seconds{listener=\"LDAPS Connection Handler\"} 2398377600",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        // Each sample belongs to the family named before it.
        let mut family = String::new();
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(rest) => family = rest.split(' ').next().unwrap().to_owned(),
                None if line.starts_with('#') => {}
                None => {
                    assert!(line.starts_with(&family), "{line} in the family {family}");
                    let value = line.rsplit(' ').next().unwrap();
                    assert!(value.parse::<f64>().is_ok(), "{line}");
                }
            }
        }
    }
}

#[test]
fn nothing_else_is_to_be_had() {
    let fixture = Fixture::start();
    let address = open(&fixture);
    assert_eq!(get(address, "/", "").0, 404);
    assert_eq!(get(address, "/alive/../config", "").0, 404);
    let posted =
        say(address, b"POST /alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
    // A head without an end is not kept.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let junk = vec![b'x'; 100_000];
    let _ = stream.write_all(b"GET /alive HTTP/1.1\r\nX: ").and_then(|()| stream.write_all(&junk));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(get(address, "/alive", "").0, 200);
}

#[test]
fn at_shutdown_the_port_closes() {
    let mut fixture = Fixture::start();
    let address = open(&fixture);
    let mut kept = TcpStream::connect(address).unwrap();
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    let stopped = fixture.stop();
    assert_eq!(kept.read(&mut [0; 1]).unwrap_or(0), 0);
    fixture.runtime.block_on(async { tokio::time::timeout(PATIENCE, stopped).await }).unwrap().unwrap();
    assert!(TcpStream::connect(address).is_err());
}
