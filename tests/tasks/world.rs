//! A server in this process whose clock is the test's, and a client of it that is not ours.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ctsd::access::Privilege;
use ctsd::auth::scheme::{Scheme, encode};
use ctsd::auth::{Secret, os_random};
use ctsd::clock::{Clock, ManualClock};
use ctsd::config::{ConfigChange, Instance, ListenerKind, SecretValue, SetupOptions};
use ctsd::protocol::message::ModifyOperation;
use ctsd::server::Server;
use ctsd::task::{Class, Classes, Done, Handle, Work};

use crate::ports::free_port;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapResult, Mod, Scope, SearchEntry, SearchResult};
use tempfile::TempDir;

pub(crate) const SUFFIX: &str = "dc=example,dc=com";
pub(crate) const ROOT_DN: &str = "cn=Directory Manager";
pub(crate) const PASSWORD: &str = "a secret of the test";
/// 2023-11-14 22:13:20 UTC.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;
const PATIENCE: Duration = Duration::from_secs(180);

/// The class that the tests drive: `ds-backup-id` says what becomes of it.
const TEST_CLASS: &str = "ds-test-work";

struct TestWork {
    how: String,
    gate: Arc<AtomicBool>,
}

impl Work for TestWork {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        handle.say(format!("works: {}", self.how));
        match self.how.as_str() {
            "errors" => Ok(Done::WithErrors),
            "fail" => Err("the disk of the test is full".to_owned()),
            "panic" => panic!("a fault of the test"),
            "wait" => loop {
                if self.gate.load(Ordering::SeqCst) {
                    return Ok(Done::Successfully);
                }
                if handle.is_cancelled() {
                    return Err("asked to end".to_owned());
                }
                std::thread::sleep(Duration::from_millis(2));
            },
            _ => Ok(Done::Successfully),
        }
    }
}

/// A client that waits for its answers.
pub(crate) struct Client {
    runtime: tokio::runtime::Handle,
    ldap: Ldap,
}

impl Client {
    pub(crate) fn add(&mut self, dn: &str, attributes: Vec<(&str, HashSet<&str>)>) -> LdapResult {
        self.runtime.block_on(self.ldap.add(dn, attributes)).unwrap()
    }

    pub(crate) fn modify(&mut self, dn: &str, changes: Vec<Mod<&str>>) -> LdapResult {
        self.runtime.block_on(self.ldap.modify(dn, changes)).unwrap()
    }

    pub(crate) fn delete(&mut self, dn: &str) -> LdapResult {
        self.runtime.block_on(self.ldap.delete(dn)).unwrap()
    }

    pub(crate) fn search(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
    ) -> ldap3::result::Result<SearchResult> {
        self.runtime.block_on(self.ldap.search(base, scope, filter, ["*"]))
    }
}

/// A running server.
pub(crate) struct World {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) clock: Arc<ManualClock>,
    /// Works that wait go on once it is open.
    pub(crate) gate: Arc<AtomicBool>,
    pub(crate) directory: TempDir,
    server: Option<Server>,
    ldap: Option<SocketAddr>,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let password = encode(Scheme::Ssha512, &Secret::new(PASSWORD.as_bytes()), &mut os_random).unwrap();
        let mut options =
            SetupOptions::new(vec![SUFFIX.to_owned()], ROOT_DN.to_owned(), SecretValue::new(password));
        options.listen_addresses = vec!["127.0.0.1".to_owned()];
        options.global_acis = ctsd::access::default_globals(false);
        (options.ldap_port, options.admin_port) = (Some(free_port()), free_port());
        Instance::create(directory.path(), &options).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut world = Self {
            runtime,
            clock: Arc::new(ManualClock::at(NOW_MS)),
            gate: Arc::default(),
            directory,
            server: None,
            ldap: None,
        };
        world.start();
        world
    }

    /// Opens the instance, with the test's class in the table.
    pub(crate) fn start(&mut self) {
        let gate = Arc::clone(&self.gate);
        let class = Class::new(&[TEST_CLASS], &[Privilege::ConfigWrite], move |source| {
            let how = source.required("ds-backup-id")?;
            Ok(Box::new(TestWork { how, gate: Arc::clone(&gate) }))
        });
        let instance = Instance::open(self.directory.path()).unwrap();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let mut server = Server::open_with(instance, clock, Classes::builtin().with(class)).unwrap();
        let addresses = self.runtime.block_on(async { server.listen() }).unwrap();
        self.ldap = addresses.iter().find(|it| it.kind == ListenerKind::Ldap).map(|it| it.address);
        self.server = Some(server);
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }

    /// Moves the clock, and has the server look at it.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.server().tasks().tick();
    }

    pub(crate) fn client(&self) -> Client {
        let settings = LdapConnSettings::new().set_conn_timeout(PATIENCE);
        let url = format!("ldap://{}", self.ldap.unwrap());
        let ldap = self.runtime.block_on(async {
            let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &url).await.unwrap();
            tokio::spawn(connection.drive());
            ldap.simple_bind(ROOT_DN, PASSWORD).await.unwrap().success().unwrap();
            ldap
        });
        Client { runtime: self.runtime.handle().clone(), ldap }
    }

    /// Adds a task of this class; the result code and text if it is refused.
    pub(crate) fn add_class(
        &self,
        id: &str,
        class: &str,
        more: &[(&str, &str)],
    ) -> Result<(), (u32, String)> {
        let is_recurring = more.iter().any(|(name, _)| *name == "ds-recurring-task-schedule");
        let dn = if is_recurring { recurring(id) } else { scheduled(id) };
        let mut all: Vec<(&str, HashSet<&str>)> = vec![
            ("objectClass", ["top", "ds-task", "extensibleObject"].into()),
            ("ds-task-class-name", [class].into()),
        ];
        for (name, value) in more {
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => drop(values.insert(value)),
                None => all.push((name, [*value].into())),
            }
        }
        let result = self.client().add(&dn, all);
        if result.rc == 0 { Ok(()) } else { Err((result.rc, result.text)) }
    }

    /// Adds a task that does what `how` says.
    pub(crate) fn add(&self, id: &str, how: &str, more: &[(&str, &str)]) {
        self.add_class(id, TEST_CLASS, &[&[("ds-backup-id", how)], more].concat()).unwrap();
    }

    /// Replaces an attribute of a task by one value, or by none.
    pub(crate) fn replace(&self, dn: &str, name: &str, value: Option<&str>) -> Result<(), (u32, String)> {
        let values = value.into_iter().collect();
        let result = self.client().modify(dn, vec![Mod::Replace(name, values)]);
        if result.rc == 0 { Ok(()) } else { Err((result.rc, result.text)) }
    }

    /// Sets an attribute of `cn=config`.
    pub(crate) fn configure(&self, attribute: &str, value: &str) {
        let change = ConfigChange {
            operation: ModifyOperation::Replace,
            attribute: attribute.to_owned(),
            values: vec![value.as_bytes().to_vec()],
        };
        self.server().directory().config.modify("cn=config", &[change]).unwrap();
    }

    pub(crate) fn entry(&self, dn: &str) -> Option<SearchEntry> {
        let (found, _) = self.client().search(dn, Scope::Base, "(objectClass=*)").unwrap().success().ok()?;
        found.into_iter().next().map(SearchEntry::construct)
    }

    pub(crate) fn values(&self, dn: &str, name: &str) -> Vec<String> {
        let entry = self.entry(dn).unwrap_or_else(|| panic!("there is no {dn}"));
        entry.attrs.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn state(&self, id: &str) -> String {
        self.values(&scheduled(id), "ds-task-state").concat()
    }

    /// The ids of the scheduled tasks.
    pub(crate) fn ids(&self) -> Vec<String> {
        let filter = "(objectClass=ds-task)";
        let base = "cn=Scheduled Tasks,cn=Tasks";
        let (found, _) = self.client().search(base, Scope::OneLevel, filter).unwrap().success().unwrap();
        let ids = found.into_iter().map(|entry| SearchEntry::construct(entry).attrs["ds-task-id"].concat());
        ids.collect()
    }

    /// Waits until a task is in this state.
    #[track_caller]
    pub(crate) fn becomes(&self, id: &str, state: &str) {
        within(|| (self.state(id) == state).then_some(()))
            .unwrap_or_else(|| panic!("{id} is {}, not {state}: {:?}", self.state(id), self.log(id)));
    }

    /// The lines of a task's log.
    pub(crate) fn log(&self, id: &str) -> Vec<String> {
        self.values(&scheduled(id), "ds-task-log-message")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.gate.store(true, Ordering::SeqCst);
        self.stop();
    }
}

pub(crate) fn scheduled(id: &str) -> String {
    format!("ds-task-id={id},cn=Scheduled Tasks,cn=Tasks")
}

pub(crate) fn recurring(id: &str) -> String {
    format!("ds-recurring-task-id={id},cn=Recurring Tasks,cn=Tasks")
}

/// What comes of asking again and again, if it comes in time.
pub(crate) fn within<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let turns = PATIENCE.as_millis() / 10;
    for _ in 0..turns {
        if let Some(found) = ask() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}
