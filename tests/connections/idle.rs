//! What connections cost that do nothing. The server is a process of its own, so that its memory is its own.

use super::fixture::Client;
use super::process::Process;

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
    soft.saturating_sub(300).min(5_000)
}

#[test]
fn five_thousand_idle_connections_are_cheap() {
    let server = Process::start(&[]);
    // The first ones make what all share.
    let open = |count: usize| -> Vec<Client> {
        (0..count)
            .map(|_| {
                let mut client = Client::connect(server.ldap);
                client.beat(1);
                client
            })
            .collect()
    };
    let _first = open(100);
    let before = resident(server.child.id());
    let count = affordable().saturating_sub(100);
    let _clients = open(count);
    let each = resident(server.child.id()).saturating_sub(before) / count as u64;
    println!("{each} octets of memory for each of {count} idle connections");
    assert!(each < 12_000, "{each} octets of memory for each of {count} idle connections");
}
