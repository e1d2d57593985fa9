//! One shell that outlives the test process by a moment: when this process ends, however it ends, it kills the servers
//! that are still there, by their ids, and removes the instances. Servers shared by tests live in statics, which are
//! never dropped.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex};

const SCRIPT: &str = r#"
pids=
while read -r word pid; do
  case $word in
    add) pids="$pids $pid " ;;
    gone) pids=$(echo "$pids" | sed "s/ $pid / /") ;;
  esac
done
for pid in $pids; do kill -9 "$pid"; done
rm -rf -- "$1"
"#;

struct Watchdog {
    root: PathBuf,
    stdin: Mutex<ChildStdin>,
}

// It ends after this process: nobody is left to wait for it.
#[allow(clippy::zombie_processes)]
static WATCHDOG: LazyLock<Watchdog> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("ctsd-integration-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let mut shell = Command::new("sh")
        .args(["-c", SCRIPT, "watchdog"])
        .arg(&root)
        // A group of its own: whatever ends the tests' group must not end it too.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdin = Mutex::new(shell.stdin.take().unwrap());
    Watchdog { root, stdin }
});

fn tell(word: &str, pid: u32) {
    let mut stdin = WATCHDOG.stdin.lock().unwrap();
    let _ = writeln!(stdin, "{word} {pid}");
}

/// A process that must not outlive this one.
pub(super) fn watch(pid: u32) {
    tell("add", pid);
}

/// The process has ended.
pub(super) fn forget(pid: u32) {
    tell("gone", pid);
}

/// Where this run's files are; they go when it ends.
pub(super) fn root() -> &'static Path {
    &WATCHDOG.root
}
