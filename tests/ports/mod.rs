//! Ports for servers that tests start: below those that the system gives to outgoing connections, each given out once.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where ports are given from, and how many, if the system gives outgoing connections the usual ones, above.
const USUAL: (u16, u16) = (10_000, 22_000);

/// First and number of the ports to give: outside of those that an outgoing connection may get at any moment.
fn range() -> (u16, u16) {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let ends: Vec<u16> = text.split_ascii_whitespace().filter_map(|end| end.parse().ok()).collect();
    match ends[..] {
        [first, _] if first > USUAL.0 + 2_000 => (USUAL.0, USUAL.1.min(first - USUAL.0)),
        [_, last] if last < 60_000 => (last + 1, u16::MAX - last - 1),
        _ => USUAL,
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another process of tests, running now or just before, begins elsewhere.
    static RANGE: LazyLock<(u16, u16)> = LazyLock::new(range);
    let (first, count) = *RANGE;
    let start = (std::process::id() % 200) as u16 * 110;
    loop {
        let port = first + (start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))) % count;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
