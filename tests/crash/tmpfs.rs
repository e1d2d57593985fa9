//! (e) A disk that is really full: a small tmpfs in a mount namespace of the test's own, where the server keeps its data.
//!
//! Needs user namespaces for those who run the tests, and `unshare` and `nsenter` of util-linux.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::killed::{BACKEND, set, set_purge_delay, verified};
use crate::support::{Instance, Link, SUFFIX, Setup, Token, program, within};

const MOUNT: &str = r#"
set -e
mkdir -p "$1"
mount -t tmpfs -o size=24m tmpfs "$1"
head -c 3000000 /dev/zero > "$1/ballast"
echo mounted
exec cat
"#;

/// A process that holds the namespace; the tmpfs goes with it, at the latest when this process ends.
struct Room(Child);

impl Room {
    fn new(at: &Path) -> Self {
        let mut child = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "room"])
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (util-linux)");
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "mounted", "a user namespace with a mount of its own has to be allowed here");
        Self(child)
    }

    /// A command that runs in there.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--preserve-credentials", "--user", "--mount", "--target", &self.0.id().to_string()]);
        command.arg("--").arg(program).stdin(Stdio::null());
        command.env_remove("CTSD_INSTANCE").env_remove("CTSD_LOG");
        command
    }

    fn serve(&self, instance: &Instance) {
        instance
            .start_by(self.command(program().get_program()).args(["start", "--instance"]).arg(&instance.dir));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn token(number: usize) -> Token {
    Token::session(&format!("t{number}"), "shandle:full").with_bytes("coreTokenObject", &[b'x'; 7000])
}

/// The etags of the tokens that are there.
struct Held(Vec<Option<String>>);

impl Held {
    /// Adds tokens until one is refused.
    fn fill(&mut self, link: &mut Link) {
        loop {
            let answer = token(self.0.len()).try_create(link, SUFFIX);
            if answer.code != 0 {
                assert_eq!(answer.code, 53, "{answer:?}");
                assert!(answer.diagnostic.contains("room"), "{answer:?}");
                return;
            }
            self.0.push(answer.etag());
            assert!(self.0.len() < 10_000);
        }
    }

    fn check(&self, link: &mut Link) {
        for (number, etag) in self.0.iter().enumerate() {
            let found = link.read(&token(number).dn(SUFFIX), &["*", "etag"]);
            let now = found.entries.first().and_then(|entry| entry.text("etag"));
            assert_eq!(now, *etag, "token {number}");
        }
    }

    fn live(&self) -> usize {
        self.0.iter().filter(|etag| etag.is_some()).count()
    }
}

#[test]
fn a_full_tmpfs_loses_nothing_and_recovers() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    let at = instance.path("room");
    let mut root = instance.root();
    set_purge_delay(&mut root, "1 s");
    for (name, value) in [
        ("ds-cfg-db-directory", "room/db"),
        ("ds-cfg-db-log-file-max", "512 kib"),
        ("ds-cfg-db-checkpointer-bytes-interval", "64 mib"),
        // The disk itself is to say no.
        ("ds-cfg-disk-low-threshold", "0 b"),
        ("ds-cfg-disk-full-threshold", "0 b"),
    ] {
        set(&mut root, BACKEND, name, value);
    }
    drop(root);
    assert!(instance.stop().status.success());
    let room = Room::new(&at);
    room.serve(&instance);
    let mut root = instance.root();
    assert_eq!(root.add(SUFFIX, &[("objectClass", &["domain"])], &[]).code, 0);
    let mut held = Held(Vec::new());
    held.fill(&mut root);
    assert!(held.live() > 500, "{}", held.live());

    // Full: reads go on, writes get 53, deletes are taken.
    held.check(&mut root);
    let change = [('=', "coreTokenString05", &["x"][..])];
    assert_eq!(root.modify(&token(0).dn(SUFFIX), &change, &[]).code, 53);
    for number in 0..5 {
        assert_eq!(root.delete(&token(number).dn(SUFFIX), &[]).code, 0);
        held.0[number] = None;
    }

    // Killed while it is full: everything is there, the indexes agree, and it is still full.
    instance.kill();
    room.serve(&instance);
    let mut root = instance.root();
    held.check(&mut root);
    verified(&instance);
    held.fill(&mut root);

    // Room comes from outside.
    assert!(room.command("rm").arg(at.join("ballast")).status().unwrap().success());
    let next = held.0.len();
    let added = within(|| token(next).try_create(&mut root, SUFFIX).etag());
    assert!(added.is_some(), "writes are taken again by themselves");
    held.0.push(added);
    held.fill(&mut root);

    // And it comes by deleting: what is left is copied together, and segments go.
    for number in 5..held.0.len() {
        if number % 3 != 0 && held.0[number].is_some() {
            assert_eq!(
                root.delete(&token(number).dn(SUFFIX), &[]).code,
                0,
                "deletes are taken on a full disk"
            );
            held.0[number] = None;
        }
    }
    let next = held.0.len();
    let added = within(|| token(next).try_create(&mut root, SUFFIX).etag());
    assert!(added.is_some(), "the purge made room");
    held.0.push(added);
    held.check(&mut root);
    verified(&instance);

    // In peace.
    assert!(instance.stop().status.success());
    room.serve(&instance);
    let mut root = instance.root();
    held.check(&mut root);
    verified(&instance);
    let base = root.read(SUFFIX, &["numSubordinates"]);
    assert_eq!(base.entries[0].texts("numSubordinates"), [held.live().to_string()]);
}
