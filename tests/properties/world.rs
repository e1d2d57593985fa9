//! A server with users, and what rows ask of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ctsd::protocol::message::Scope;

use crate::client::{Client, PATIENCE, Tls};
use crate::fixture::{Ran, SUFFIX, Server};

pub(crate) const ROOT: &str = "cn=Directory Manager";
pub(crate) const PASSWORD: &str = "password";

pub(crate) struct World {
    pub(crate) server: Server,
    count: AtomicU32,
}

/// Polls until it holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut turns = 0;
    while !holds() {
        turns += 1;
        // Not by time alone: the machine may have stood still.
        assert!(turns < 20 || begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { server: Server::started(&[]), count: AtomicU32::new(0) };
        let mut root = world.root();
        let aci = "(targetattr=\"*\")(version 3.0; acl \"all\"; allow (all,proxy) userdn=\"ldap:///all\";)";
        assert!(root.replace(SUFFIX, "aci", &[aci.as_bytes()]).is(0));
        for unit in ["mapped", "numbers"] {
            let dn = format!("ou={unit},{SUFFIX}");
            assert!(root.add(&dn, &[("objectClass", "organizationalUnit"), ("ou", unit)]).is(0));
        }
        for name in ["user", "wide"] {
            world.person(&mut root, name, &[]);
        }
        for limit in ["size", "lookthrough", "time", "idle-time"] {
            let name = format!("ds-rlim-{limit}-limit");
            assert!(root.replace(&uid("wide"), &name, &[b"0"]).is(0));
        }
        for number in 0..12 {
            let (dn, cn) = (format!("cn=number {number},ou=numbers,{SUFFIX}"), format!("number {number}"));
            let person =
                [("objectClass", "person"), ("cn", &*cn), ("sn", "number"), ("description", "one of some")];
            assert!(root.add(&dn, &person).is(0));
        }
        world
    }

    /// The directory manager, under TLS.
    pub(crate) fn root(&self) -> Client {
        let (mut client, _) = Client::tls(self.server.ldaps, &Tls::default()).expect("LDAPS");
        let answer = client.bind(ROOT, PASSWORD);
        assert!(answer.is(0), "{answer:?}");
        client
    }

    /// Nobody, in clear.
    pub(crate) fn anonymous(&self) -> Client {
        Client::clear(self.server.ldap)
    }

    /// A user, in clear.
    pub(crate) fn user(&self, name: &str) -> Client {
        let mut client = self.anonymous();
        let answer = client.bind(&uid(name), &format!("of {name}"));
        assert!(answer.is(0), "{answer:?}");
        client
    }

    /// Adds an inetOrgPerson of this uid with the password `of <uid>` and a mail address.
    pub(crate) fn person(&self, root: &mut Client, name: &str, more: &[(&str, &str)]) {
        let (mail, password) = (format!("{name}@example.com"), format!("of {name}"));
        let mut all = vec![
            ("objectClass", "inetOrgPerson"),
            ("uid", name),
            ("cn", name),
            ("sn", name),
            ("mail", &mail),
            ("userPassword", &password),
        ];
        all.extend(more);
        let answer = root.add(&uid(name), &all);
        assert!(answer.is(0), "{answer:?}");
    }

    /// A name that nothing has yet.
    pub(crate) fn fresh(&self) -> String {
        format!("fresh{}", self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// `dsconfig`, with what the administration connector may want by then.
    pub(crate) fn dsconfig(&self, arguments: &[&str]) -> Ran {
        self.server.dsconfig(&[arguments, &["--trustAll"]].concat())
    }

    /// Sets up what rows work on.
    #[track_caller]
    pub(crate) fn prepare(&self, commands: &str) {
        let file = self.server.file("prepare.txt", commands);
        self.dsconfig(&["--batchFilePath", &file]).ok();
    }

    pub(crate) fn restart(&self) {
        self.server.run("stop-ds", &["--restart"]).ok();
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.server.instance().join(name)
    }

    /// The text of a file of the instance; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    pub(crate) fn mode(&self, name: &str) -> Option<u32> {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(self.path(name)).ok().map(|data| data.permissions().mode() & 0o777)
    }

    /// An attribute of an entry of `cn=monitor`.
    pub(crate) fn monitor(&self, name: &str, attribute: &str) -> Vec<String> {
        self.root().values(&format!("cn={name},cn=monitor"), attribute)
    }

    /// The same, of the data store, as a number.
    pub(crate) fn stored(&self, attribute: &str) -> u64 {
        let values = self.monitor("userRoot Storage", attribute);
        values.first().unwrap_or_else(|| panic!("cn=monitor has no {attribute}")).parse().unwrap()
    }
}

pub(crate) fn uid(name: &str) -> String {
    format!("uid={name},{SUFFIX}")
}

/// Searches for everything below, by a filter.
pub(crate) fn below(client: &mut Client, filter: &str) -> crate::client::Answer {
    client.search(SUFFIX, Scope::Subtree, filter, &["1.1"])
}
