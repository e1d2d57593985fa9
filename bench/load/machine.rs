//! What the kernel counts: CPU, memory, octets to the device.

use std::fs::read_to_string;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Ticks of /proc a second: fixed in the kernel's interface.
const TICKS: f64 = 100.0;

/// Where to look.
#[derive(Debug)]
pub(crate) struct Machine {
    server: Option<u32>,
    device: Option<PathBuf>,
}

/// Counters at one moment; all but the memory only grow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    /// CPU seconds of this program.
    pub(crate) client: f64,
    /// CPU seconds of the server.
    pub(crate) server: f64,
    /// CPU seconds that the machine was busy.
    pub(crate) busy: f64,
    /// Octets the server gave to the kernel for a disk.
    pub(crate) written: f64,
    /// Octets that reached the device, of whomever.
    pub(crate) device: f64,
    /// Flushes of the device.
    pub(crate) flushes: f64,
    /// The server's resident memory in octets.
    pub(crate) resident: f64,
}

impl Machine {
    pub(crate) fn new(server: Option<u32>, data_dir: Option<&Path>) -> Self {
        let device = data_dir.and_then(|dir| {
            let device = dir.metadata().ok()?.dev();
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            Some(PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat")))
        });
        Self { server, device }
    }

    /// Reads all counters before a phase. What waits to be written is made to reach the device first, so that it
    /// is not counted as the phase's.
    pub(crate) fn before(&self) -> Counters {
        self.settle();
        self.device(self.processes())
    }

    /// Reads all counters after a phase: what it wrote is made to reach the device and counted.
    pub(crate) fn after(&self) -> Counters {
        let counters = self.processes();
        self.settle();
        self.device(counters)
    }

    fn settle(&self) {
        if self.device.is_some() {
            rustix::fs::sync();
        }
    }

    fn processes(&self) -> Counters {
        let mut counters = Counters { client: cpu("self"), busy: busy(), ..Counters::default() };
        if let Some(pid) = self.server {
            counters.server = cpu(&pid.to_string());
            counters.resident = field(&format!("/proc/{pid}/status"), "VmRSS:") * 1024.0;
        }
        counters
    }

    fn device(&self, mut counters: Counters) -> Counters {
        if let Some(pid) = self.server {
            counters.written = field(&format!("/proc/{pid}/io"), "write_bytes:");
        }
        if let Some(device) = &self.device {
            let text = read_to_string(device).unwrap_or_default();
            counters.device = number(&text, 6) * 512.0;
            counters.flushes = number(&text, 15);
        }
        counters
    }
}

fn number(text: &str, index: usize) -> f64 {
    text.split_whitespace().nth(index).and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

fn field(file: &str, name: &str) -> f64 {
    let text = read_to_string(file).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0.0, |rest| number(rest, 0))
}

fn cpu(process: &str) -> f64 {
    let text = read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    (number(rest, 11) + number(rest, 12)) / TICKS
}

fn busy() -> f64 {
    let text = read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    // user, nice, system, irq, softirq
    [1, 2, 3, 6, 7].iter().map(|index| number(line, *index)).sum::<f64>() / TICKS
}
