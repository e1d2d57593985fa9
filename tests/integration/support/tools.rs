//! OpenLDAP's tools, and the files they are given.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{DM, Instance, PASSWORD};

/// What a tool did.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A tool called as one of the server's users; what it is told on standard input comes last.
pub(crate) struct Tool<'a> {
    command: Command,
    input: Option<&'a str>,
}

/// `ldapsearch -x -H …` and its kin, for the instance, as the root user.
pub(crate) fn tool<'a>(name: &str, instance: &Instance) -> Tool<'a> {
    Tool::new(name, &instance.url()).user(DM, PASSWORD)
}

impl<'a> Tool<'a> {
    pub(crate) fn new(name: &str, url: &str) -> Self {
        let mut command = Command::new(name);
        // Options and files of whoever runs the tests must not steer the tools.
        command.env("LDAPCONF", "/dev/null").env("HOME", "/nonexistent").args(["-x", "-H", url]);
        Self { command, input: None }
    }

    pub(crate) fn user(mut self, dn: &str, password: &str) -> Self {
        self.command.args(["-D", dn, "-w", password]);
        self
    }

    pub(crate) fn args<S: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &Path) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn file(self, path: &Path) -> Self {
        self.args(["-f".as_ref(), path.as_os_str()])
    }

    pub(crate) fn input(mut self, text: &'a str) -> Self {
        self.input = Some(text);
        self
    }

    pub(crate) fn run(mut self) -> Ran {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("OpenLDAP's tools have to be installed (ldap-utils)");
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin.write_all(self.input.unwrap_or_default().as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One of OpenAM's files with its placeholders replaced, in the instance's directory.
pub(crate) fn fixture(instance: &Instance, name: &str) -> PathBuf {
    let text = std::fs::read_to_string(here().join("tests/fixtures/openam").join(name)).unwrap();
    filled(instance, name, &text)
}

/// One of our own files, placeholders replaced likewise.
pub(crate) fn ldif_file(instance: &Instance, name: &str) -> PathBuf {
    let text = std::fs::read_to_string(here().join("ldif").join(name)).unwrap();
    filled(instance, name, &text)
}

fn filled(instance: &Instance, name: &str, text: &str) -> PathBuf {
    let text = text.replace("@DB_NAME@", "userRoot").replace("@SM_CONFIG_ROOT_SUFFIX@", super::SUFFIX);
    let path = instance.path(name);
    std::fs::write(&path, text).unwrap();
    path
}
