//! What connections cost that do nothing. The server is a process of its own, so that its memory is its own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::fixture::Client;

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// As many as the system lets this process have, with some to spare, at the most 5,000.
fn affordable() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = line.split_ascii_whitespace().nth(3).unwrap().parse().unwrap_or(100_000);
    soft.saturating_sub(200).min(5_000)
}

#[test]
fn five_thousand_idle_connections_are_cheap() {
    let directory = tempfile::tempdir().unwrap();
    let instance = directory.path().join("instance");
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (ldap, admin) = (port(), port());
    let program = env!("CARGO_BIN_EXE_ctsd");
    let made = Command::new(program)
        .args(["setup", "--no-prompt", "--doNotStart", "--quiet", "--rootUserPassword", "secret12"])
        .args(["--baseDN", "dc=example,dc=com", "--ldapPort", &ldap, "--adminConnectorPort", &admin])
        .arg("--instance")
        .arg(&instance)
        .status()
        .unwrap();
    assert!(made.success());
    let child = Command::new(program)
        .args(["start", "--log", "info", "--instance"])
        .arg(&instance)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Process(child);
    let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().contains("serving")), "the server did not start");
    let drained = std::thread::spawn(move || lines.count());
    let address = format!("127.0.0.1:{ldap}").parse().unwrap();
    // The first ones make what all share.
    let open = |count: usize| -> Vec<Client> {
        (0..count)
            .map(|_| {
                let mut client = Client::connect(address);
                client.beat(1);
                client
            })
            .collect()
    };
    let first = open(100);
    let before = resident(server.0.id());
    let count = affordable().saturating_sub(100);
    let clients = open(count);
    let each = resident(server.0.id()).saturating_sub(before) / count as u64;
    println!("{each} octets of memory for each of {count} idle connections");
    assert!(each < 12_000, "{each} octets of memory for each of {count} idle connections");
    drop((first, clients));
    drop(server);
    drained.join().unwrap();
}
