//! Instances of the real program: made by `ctsd setup`, served by `ctsd start`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Link, watchdog, within};
use crate::ports::free_port;

/// The root user.
pub(crate) const DM: &str = "cn=Directory Manager";
/// Everybody's password.
pub(crate) const PASSWORD: &str = "password";
/// The guide's suffix.
pub(crate) const SUFFIX: &str = "dc=cts,dc=example,dc=com";

/// A call of the program, with nothing inherited that would steer it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctsd"));
    command.env_remove("CTSD_INSTANCE").env_remove("CTSD_LOG").stdin(Stdio::null());
    command
}

/// What a new instance is to be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setup {
    /// With `--profile am-cts`.
    pub(crate) cts: bool,
    /// With LDAPS, StartTLS and a self-signed certificate.
    pub(crate) tls: bool,
}

/// An instance and its server, if it runs.
pub(crate) struct Instance {
    pub(crate) dir: PathBuf,
    pub(crate) ldap: u16,
    pub(crate) ldaps: u16,
    server: Mutex<Option<Child>>,
}

impl Instance {
    /// A directory and ports, with nothing in it yet.
    pub(crate) fn unmade() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = watchdog::root().join(format!("instance-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        Self { dir, ldap: free_port(), ldaps: free_port(), server: Mutex::new(None) }
    }

    /// The set-up command of an instance.
    pub(crate) fn setup_command(&self, setup: Setup) -> Command {
        let mut command = program();
        command
            .args(["setup", "--no-prompt", "--acceptLicense", "--instance"])
            .arg(&self.dir)
            .args(["--rootUserDN", DM, "--rootUserPassword", PASSWORD, "--hostname", "localhost"])
            .args(["--ldapPort", &self.ldap.to_string()])
            .args(["--adminConnectorPort", &free_port().to_string()])
            .args(["--baseDN", SUFFIX, "--addBaseEntry"]);
        if setup.tls {
            command.args(["--ldapsPort", &self.ldaps.to_string()]);
            command.args(["--enableStartTLS", "--generateSelfSignedCertificate"]);
        }
        if setup.cts {
            command.args(["--profile", "am-cts"]);
        }
        command
    }

    /// Set up, not started.
    pub(crate) fn made(setup: Setup) -> Self {
        let instance = Self::unmade();
        let output = instance.setup_command(setup).arg("--doNotStart").output().unwrap();
        if !output.status.success() {
            panic!("setup failed: {output:?}");
        }
        instance
    }

    /// Set up and serving.
    pub(crate) fn started(setup: Setup) -> Self {
        let instance = Self::made(setup);
        instance.start();
        instance
    }

    /// As the guide's installation leaves it.
    pub(crate) fn bare() -> Self {
        Self::started(Setup::default())
    }

    fn ready_file(&self) -> PathBuf {
        self.dir.join("locks/server.ready")
    }

    /// The running server's pid, from its lock file.
    pub(crate) fn pid(&self) -> u32 {
        std::fs::read_to_string(self.dir.join("locks/server.pid")).unwrap().trim().parse().unwrap()
    }

    /// Where the server's standard error goes.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    fn spawn(&self, command: &mut Command) {
        let _ = std::fs::remove_file(self.ready_file());
        let log = File::options().create(true).append(true).open(self.dir.with_extension("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        watchdog::watch(child.id());
        *self.server.lock().unwrap() = Some(child);
    }

    fn wait_until_ready(&self) {
        let ready = within(|| {
            let ended = self.server.lock().unwrap().as_mut().and_then(|child| child.try_wait().unwrap());
            if let Some(status) = ended {
                panic!("the server ended ({status}): {}", self.log());
            }
            self.ready_file().exists().then_some(())
        });
        if ready.is_none() {
            panic!("the server is not ready: {}", self.log());
        }
    }

    /// Serves it in the foreground of a child process; returns when it serves.
    pub(crate) fn start(&self) {
        self.begin();
        self.wait_until_ready();
    }

    /// Starts it and does not wait for anything.
    pub(crate) fn begin(&self) {
        self.spawn(program().args(["start", "--instance"]).arg(&self.dir));
    }

    /// Serves it by some other command.
    pub(crate) fn start_by(&self, command: &mut Command) {
        self.spawn(command);
        self.wait_until_ready();
    }

    /// Has the watchdog look after a server that the program itself left running.
    pub(crate) fn adopt(&self) {
        watchdog::watch(self.pid());
    }

    /// Has the watchdog forget it again, once it has ended.
    pub(crate) fn release(&self, pid: u32) {
        watchdog::forget(pid);
    }

    /// Ends the server without warning, as a power cut would end it.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.server.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
            watchdog::forget(child.id());
        }
    }

    /// Waits until the child has ended by itself.
    pub(crate) fn wait(&self) -> std::process::ExitStatus {
        let mut child = self.server.lock().unwrap().take().unwrap();
        let status = child.wait().unwrap();
        watchdog::forget(child.id());
        status
    }

    /// `ctsd COMMAND --instance DIR`.
    pub(crate) fn run(&self, command: &str) -> Output {
        program().args([command, "--instance"]).arg(&self.dir).output().unwrap()
    }

    /// `ctsd stop`, and the end of the child.
    pub(crate) fn stop(&self) -> Output {
        let output = self.run("stop");
        if output.status.success() && self.server.lock().unwrap().is_some() {
            self.wait();
        }
        output
    }

    /// The server's resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    /// A connection of nobody.
    pub(crate) fn link(&self) -> Link {
        Link::open(self.ldap)
    }

    /// A connection bound as `dn`.
    pub(crate) fn bound(&self, dn: &str) -> Link {
        let mut link = self.link();
        let answer = link.bind(dn, PASSWORD);
        if answer.code != 0 {
            panic!("bind as {dn}: {answer:?}");
        }
        link
    }

    /// A connection of the root user.
    pub(crate) fn root(&self) -> Link {
        self.bound(DM)
    }

    pub(crate) fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.ldap)
    }

    /// The server's certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("config/tls/server.pem")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(Path::new(name))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
