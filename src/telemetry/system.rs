//! What the operating system says of the process and its disk.

use std::path::Path;

/// A look at the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct ProcessReport {
    /// Its process id.
    pub id: u64,
    /// Octets of memory in use.
    pub resident: u64,
    /// The most there ever were.
    pub peak_resident: u64,
    /// Octets of them that hold the process's own data.
    pub own_data: u64,
    /// Octets put out to disk.
    pub swapped: u64,
    pub threads: u64,
    pub open_files: u64,
    /// The limit of these.
    pub most_files: u64,
    pub processors: u64,
}

impl ProcessReport {
    /// The process now; what the system does not tell is 0.
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        let octets = |name: &str| field(name).unwrap_or(0).saturating_mul(1024);
        Self {
            id: std::process::id().into(),
            resident: octets("VmRSS:"),
            peak_resident: octets("VmHWM:"),
            own_data: octets("RssAnon:"),
            swapped: octets("VmSwap:"),
            threads: field("Threads:").unwrap_or(0),
            open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |list| list.count() as u64),
            most_files: rustix::process::getrlimit(rustix::process::Resource::Nofile)
                .current
                .unwrap_or(u64::MAX),
            processors: std::thread::available_parallelism().map_or(0, |count| count.get() as u64),
        }
    }
}

/// The system's host name and release; empty where it does not tell.
pub fn host() -> (String, String) {
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        text.trim().to_owned()
    };
    (read("hostname"), read("osrelease"))
}

/// Octets free for this process on the disk that holds `path`, and the disk's size; none if the system does not tell.
pub fn disk_space(path: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_and_its_disk_are_seen() {
        let report = ProcessReport::now();
        assert!(
            report.resident > 0
                && report.peak_resident >= report.own_data
                && report.threads > 0
                && report.open_files > 0,
            "{report:?}"
        );
        let (free, size) = disk_space(Path::new("/")).unwrap();
        assert!(free <= size && size > 0);
    }
}
