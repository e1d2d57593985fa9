//! The server as a process of its own.

use crate::ports::free_port;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// Killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) ldap: SocketAddr,
    pub(crate) instance: PathBuf,
    drained: Option<JoinHandle<usize>>,
    _directory: tempfile::TempDir,
}

impl Process {
    /// Sets an instance up and serves it; returns when it serves.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let instance = directory.path().join("instance");
        let port = || free_port().to_string();
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
        let mut child = Command::new(program)
            .args(["start", "--log", "info", "--instance"])
            .arg(&instance)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.by_ref().any(|line| line.unwrap().contains("msg=serving")), "the server did not start");
        let drained = std::thread::spawn(move || lines.count());
        let ldap = format!("127.0.0.1:{ldap}").parse().unwrap();
        Self { child, ldap, instance, drained: Some(drained), _directory: directory }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(drained) = self.drained.take() {
            let _ = drained.join();
        }
    }
}
