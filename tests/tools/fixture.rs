//! An instance with the tools linked into its `bin` folder, as OpenDJ's administrators have it.

use crate::ports::free_port;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) const SUFFIX: &str = "dc=cts,dc=example,dc=com";

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its output, if it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// What it said went wrong, if it ended with this code.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.err
    }
}

/// A running server.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    instance: PathBuf,
    pub(crate) ldap: u16,
    pub(crate) ldaps: u16,
    /// Of the administration connector.
    pub(crate) admin: u16,
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctsd"));
    command.env_remove("CTSD_INSTANCE").stdin(Stdio::null());
    command
}

impl Server {
    /// Sets an instance up as the guide does, and starts it through its link.
    pub(crate) fn started(more: &[&str]) -> Self {
        Self::started_below("", more)
    }

    /// One whose paths are longer than those of sockets can be.
    pub(crate) fn deep() -> Self {
        Self::started_below(&"d".repeat(100), &[])
    }

    fn started_below(place: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(place)).unwrap();
        let instance = folder.path().join(place).join("opendj");
        let [ldap, ldaps, admin] = [(); 3].map(|()| free_port());
        let server = Self { folder, instance, ldap, ldaps, admin };
        let set_up = program()
            .args(["setup", "--no-prompt", "--acceptLicense", "--doNotStart", "--quiet"])
            .args(["--rootUserDN", "cn=Directory Manager", "--rootUserPassword", "password"])
            .args(["--hostname", "localhost", "--baseDN", SUFFIX, "--addBaseEntry", "--backendType", "je"])
            .args(["--generateSelfSignedCertificate", "--enableStartTLS"])
            .args(["--ldapPort", &ldap.to_string(), "--ldapsPort", &ldaps.to_string()])
            .args(["--adminConnectorPort", &admin.to_string(), "--instance"])
            .arg(server.instance())
            .args(more)
            .output()
            .unwrap();
        Ran::of(&set_up).ok();
        assert!(server.bin().join("dsconfig").exists(), "links come with the instance");
        let linked = program().arg("install-links").arg(server.bin()).output().unwrap();
        Ran::of(&linked).ok();
        assert!(server.run("start-ds", &[]).ok().contains("started successfully"));
        server
    }

    pub(crate) fn instance(&self) -> PathBuf {
        self.instance.clone()
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.instance().join("bin")
    }

    /// A file of this text; gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.current_dir(self.bin()).env("HOME", self.folder.path()).env_remove("CTSD_INSTANCE");
        command
    }

    /// A tool by its link.
    pub(crate) fn command(&self, tool: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(".").join(tool));
        command.args(arguments).stdin(Stdio::null());
        self.prepared(command)
    }

    pub(crate) fn run(&self, tool: &str, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(tool, arguments).output().unwrap())
    }

    /// An LDAP tool as the directory manager.
    pub(crate) fn ldap(&self, tool: &str, arguments: &[&str]) -> Ran {
        let port = self.ldap.to_string();
        let own = ["-p", &port, "-D", "cn=Directory Manager", "-w", "password"];
        self.run(tool, &[&own[..], arguments].concat())
    }

    /// `dsconfig` as the directory manager.
    pub(crate) fn dsconfig(&self, arguments: &[&str]) -> Ran {
        let port = self.admin.to_string();
        let own = ["--port", &port, "--bindPassword", "password", "--no-prompt"];
        self.run("dsconfig", &[arguments, &own[..]].concat())
    }

    /// An LDAP tool with this text to read.
    pub(crate) fn feed(&self, tool: &str, arguments: &[&str], text: &str) -> Ran {
        let port = self.ldap.to_string();
        let own = ["-p", &port, "-D", "cn=Directory Manager", "-w", "password"];
        let mut command = self.command(tool, &[&own[..], arguments].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Ran::of(&child.wait_with_output().unwrap())
    }

    /// A block of commands as the guide has it, in the `bin` folder; its host and ports are this server's.
    pub(crate) fn shell(&self, block: &str) -> Ran {
        let block = block
            .replace("1389", &self.ldap.to_string())
            .replace("4444", &self.admin.to_string())
            .replace("opendj-cts.example.org", "localhost")
            .replace("--hostname cts.example.com", "--hostname localhost");
        let mut command = Command::new("sh");
        command.arg("-ec").arg(block).stdin(Stdio::null());
        Ran::of(&self.prepared(command).output().unwrap())
    }

    /// What OpenLDAP's tool finds; its exit code is the result code.
    pub(crate) fn look(&self, base: &str, scope: &str, filter: &str, attributes: &[&str]) -> Ran {
        let url = format!("ldap://localhost:{}", self.ldap);
        let mut command = Command::new("ldapsearch");
        command
            .args([
                "-LLL",
                "-o",
                "ldif-wrap=no",
                "-x",
                "-H",
                &url,
                "-D",
                "cn=Directory Manager",
                "-w",
                "password",
            ])
            .args(["-b", base, "-s", scope, filter])
            .args(attributes)
            .env("LDAPNOINIT", "1");
        Ran::of(&command.output().unwrap())
    }

    /// The values of an attribute of an entry.
    pub(crate) fn values(&self, dn: &str, attribute: &str) -> Vec<String> {
        let found = self.look(dn, "base", "(objectClass=*)", &[attribute]).ok();
        let start = format!("{}: ", attribute.to_lowercase());
        found
            .lines()
            .filter(|line| line.to_lowercase().starts_with(&start))
            .map(|line| line[start.len()..].to_owned())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Without links the set-up failed, and nothing was started.
        if !self.bin().exists() {
            return;
        }
        let stopped = self.run("stop-ds", &[]);
        if !std::thread::panicking() {
            stopped.ok();
        }
    }
}
