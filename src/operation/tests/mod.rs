//! The operations against a small store in memory: every code they answer with.

mod access;
mod bind;
mod persistent;
mod rights;
mod search;
mod store;
mod write;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use self::store::MemoryStore;
use super::*;
use crate::access::{AccessControl, Requester, cts_account_acis, default_globals};
use crate::auth::{Scheme, Secret, Verifier, os_random, scheme};
use crate::backend::TokenStore;
use crate::ber::frame::{Cut, cut};
use crate::clock::{Clock, ManualClock};
use crate::config::{ConfigChange, ConfigStore, Instance, Profile, SecretValue, SetupOptions};
use crate::entry::{EntryBuilder, EntryUuid, StoredEntry};
use crate::protocol::control::{ControlKind, read_entry};
use crate::protocol::decode;
use crate::protocol::filter::Filter;
use crate::protocol::message::{Control, MessageId, ModifyOperation, Scope};
use crate::protocol::request::{self, Search};
use crate::protocol::response::{self, Response};
use crate::schema::{NormalizedDn, SchemaStore};
use crate::telemetry::AccessLog;

pub(super) const SUFFIX: &str = "dc=cts,dc=example,dc=com";
pub(super) const USER: &str = "uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com";
pub(super) const MANAGER: &str = "cn=Directory Manager";
pub(super) const PASSWORD: &[u8] = b"secret";

pub(super) struct Server {
    pub(super) directory: Arc<Directory>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) clock: Arc<ManualClock>,
    _instance: tempfile::TempDir,
}

/// A root DSE and nothing else that is made.
struct RootDse(NormalizedDn, Arc<SchemaStore>);

impl VirtualBackend for RootDse {
    fn suffix(&self) -> (&str, &NormalizedDn) {
        ("", &self.0)
    }
    fn entries(
        &self,
        _: &Directory,
        _: &Requester,
    ) -> Result<Vec<(NormalizedDn, Arc<StoredEntry>)>, LdapResult> {
        let mut builder = EntryBuilder::new();
        let schema = self.1.current();
        builder.put("objectClass", "top", &schema);
        builder.put("supportedControl", "2.16.840.1.113730.3.4.3", &schema);
        Ok(vec![(NormalizedDn::root(), Arc::new(builder.entry("", EntryUuid([0; 16]), 1)))])
    }
    fn add(&self, _: &Directory, _: &Requester, _: &crate::protocol::message::AddRequest<'_>) -> LdapResult {
        LdapResult::new(ResultCode::ENTRY_ALREADY_EXISTS, "")
    }
    fn modify(
        &self,
        _: &Directory,
        _: &Requester,
        _: &crate::protocol::message::ModifyRequest<'_>,
    ) -> LdapResult {
        LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, "")
    }
    fn delete(&self, _: &Directory, _: &Requester, _: &NormalizedDn) -> LdapResult {
        LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, "")
    }
}

/// A backend that panics when asked.
struct Falls(NormalizedDn);

impl VirtualBackend for Falls {
    fn suffix(&self) -> (&str, &NormalizedDn) {
        ("cn=falls", &self.0)
    }
    fn entries(
        &self,
        _: &Directory,
        _: &Requester,
    ) -> Result<Vec<(NormalizedDn, Arc<StoredEntry>)>, LdapResult> {
        panic!("as the test wants it")
    }
    fn add(&self, _: &Directory, _: &Requester, _: &crate::protocol::message::AddRequest<'_>) -> LdapResult {
        panic!("as the test wants it")
    }
    fn modify(
        &self,
        _: &Directory,
        _: &Requester,
        _: &crate::protocol::message::ModifyRequest<'_>,
    ) -> LdapResult {
        panic!("as the test wants it")
    }
    fn delete(&self, _: &Directory, _: &Requester, _: &NormalizedDn) -> LdapResult {
        panic!("as the test wants it")
    }
}

impl Server {
    /// A server with the suffix, the container, and the guide's user with its ACIs.
    pub(super) fn new() -> Arc<Self> {
        let instance_directory = tempfile::tempdir().unwrap();
        let root = scheme::encode(Scheme::Ssha, &Secret::new(PASSWORD), &mut os_random).unwrap();
        let mut options =
            SetupOptions::new(vec![SUFFIX.to_owned()], MANAGER.to_owned(), SecretValue::new(root));
        options.profiles = vec![Profile::AmCts];
        options.global_acis = default_globals(false);
        let place = instance_directory.path().join("instance");
        let instance = Instance::create(&place, &options).unwrap();
        let schema = Arc::new(SchemaStore::builtin(true));
        let clock = Arc::new(ManualClock::at(1_795_324_598_043));
        let time: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let config = Arc::new(ConfigStore::open(&instance, Arc::clone(&schema), Arc::clone(&time)).unwrap());
        let store = Arc::new(MemoryStore::new(SUFFIX, &schema.current()));
        let access =
            Arc::new(AccessControl::over(Arc::clone(&store) as Arc<dyn TokenStore>, schema.current()));
        access.set_globals(&config.current().access.global_acis, &schema.current()).unwrap();
        let directory = Directory::new(Parts {
            schema: Arc::clone(&schema),
            store: Arc::clone(&store) as Arc<dyn TokenStore>,
            access,
            config,
            verifier: Arc::new(Verifier::new(1, 16, 16).unwrap()),
            virtual_backends: vec![
                Arc::new(Falls(NormalizedDn::parse("cn=falls", &schema.current()).unwrap())),
                Arc::new(RootDse(NormalizedDn::root(), schema)),
            ],
            metrics: Arc::default(),
            access_log: Arc::new(AccessLog::off(Arc::clone(&time))),
            clock: time,
        })
        .unwrap();
        let server = Arc::new(Self { directory, store, clock, _instance: instance_directory });
        server.furnish();
        server
    }

    fn furnish(self: &Arc<Self>) {
        let manager = self.manager();
        // Hashing is what the tests of `auth` are for; here it only takes time.
        let scheme = ConfigChange {
            operation: ModifyOperation::Replace,
            attribute: "ds-cfg-default-password-storage-scheme".to_owned(),
            values: vec![b"cn=Salted SHA-512,cn=Password Storage Schemes,cn=config".to_vec()],
        };
        let policy = "cn=Default Password Policy,cn=Password Policies,cn=config";
        self.directory.config.modify(policy, &[scheme]).unwrap();
        manager.add(SUFFIX, &[("objectClass", &["domain"])]).code(ResultCode::SUCCESS);
        for (dn, ou) in [
            ("ou=tokens,dc=cts,dc=example,dc=com", "tokens"),
            ("ou=admins,dc=cts,dc=example,dc=com", "OpenAM Administrator"),
        ] {
            manager
                .add(dn, &[("objectClass", &["organizationalUnit"]), ("ou", &[ou])])
                .code(ResultCode::SUCCESS);
        }
        manager
            .add(
                USER,
                &[
                    ("objectClass", &["top", "person", "organizationalPerson", "inetOrgPerson"]),
                    ("cn", &["OpenAM"]),
                    ("sn", &["OpenAM"]),
                    ("userPassword", &["secret"]),
                    (
                        "ds-privilege-name",
                        &["update-schema", "subentry-write", "password-reset", "unindexed-search"],
                    ),
                    ("ds-rlim-lookthrough-limit", &["0"]),
                    ("ds-rlim-size-limit", &["5000"]),
                ],
            )
            .code(ResultCode::SUCCESS);
        let acis = cts_account_acis(USER);
        let acis: Vec<&[u8]> = acis.iter().map(String::as_bytes).collect();
        manager.modify(SUFFIX, &[(ModifyOperation::Add, ("aci", &acis))], &[]).code(ResultCode::SUCCESS);
    }

    pub(super) fn connect(self: &Arc<Self>) -> Client {
        self.connect_as(false)
    }

    /// A client that the kernel says is the server's own user, or not.
    pub(super) fn connect_as(self: &Arc<Self>, is_owner: bool) -> Client {
        let anonymous = self.directory.anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let connection = Arc::new(Wire {
            buffer: Mutex::default(),
            who: Mutex::new(anonymous),
            notice: Mutex::default(),
            waiting: AtomicUsize::new(0),
            is_owner,
            flight: Mutex::default(),
            free: Mutex::default(),
        });
        Client {
            server: Arc::clone(self),
            connection,
            ids: AtomicI32::new(0),
            late: std::sync::atomic::AtomicU64::new(0),
            ending: Mutex::default(),
            flights: Mutex::default(),
        }
    }

    pub(super) fn manager(self: &Arc<Self>) -> Client {
        let client = self.connect();
        client.bind(MANAGER, PASSWORD).code(ResultCode::SUCCESS);
        client
    }

    pub(super) fn user(self: &Arc<Self>) -> Client {
        let client = self.connect();
        client.bind(USER, PASSWORD).code(ResultCode::SUCCESS);
        client
    }
}

/// The client's end of a connection.
pub(super) struct Wire {
    buffer: Mutex<BytesMut>,
    pub(super) who: Mutex<Arc<Requester>>,
    pub(super) notice: Mutex<Option<LdapResult>>,
    /// Octets said to wait on top of what does.
    pub(super) waiting: AtomicUsize,
    /// Whether the client is the server's own user.
    pub(super) is_owner: bool,
    /// The last request's.
    flight: Mutex<std::sync::Weak<Flight>>,
    /// For each message sent: whether the client may use the request's id again once it has it.
    pub(super) free: Mutex<Vec<bool>>,
}

impl Connection for Wire {
    fn send(&self, encode: &mut dyn FnMut(&mut BytesMut)) {
        let flight = self.flight.lock().unwrap().upgrade();
        self.free.lock().unwrap().push(flight.is_none_or(|flight| flight.is_answered()));
        encode(&mut self.buffer.lock().unwrap());
    }
    fn is_owner(&self) -> bool {
        self.is_owner
    }
    fn queued(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
    fn poll_room(&self, _: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(true)
    }
    fn disconnect(&self, notice: LdapResult) {
        *self.notice.lock().unwrap() = Some(notice);
    }
    fn authenticate(&self, requester: Arc<Requester>) {
        *self.who.lock().unwrap() = requester;
    }
}

/// An answer, owned.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) dn: String,
    pub(super) attributes: Vec<(String, Vec<Vec<u8>>)>,
    pub(super) controls: Vec<(String, Vec<u8>)>,
}

impl Entry {
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        let found = self.attributes.iter().filter(|(other, _)| other == name);
        found
            .flat_map(|(_, values)| values)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.attributes.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

/// All that came back.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) entries: Vec<Entry>,
    pub(super) results: Vec<LdapResult>,
    pub(super) controls: Vec<(String, Vec<u8>)>,
    pub(super) value: Option<Vec<u8>>,
}

impl Answer {
    #[track_caller]
    pub(super) fn result(&self) -> &LdapResult {
        assert_eq!(self.results.len(), 1, "one answer is owed: {self:?}");
        &self.results[0]
    }

    #[track_caller]
    pub(super) fn code(self, code: ResultCode) -> Self {
        assert_eq!(self.result().code, code, "{:?}", self.result());
        self
    }

    #[track_caller]
    pub(super) fn says(self, text: &str) -> Self {
        assert!(self.result().diagnostic.contains(text), "{:?}", self.result());
        self
    }

    #[track_caller]
    pub(super) fn entry(&self) -> &Entry {
        assert_eq!(self.entries.len(), 1, "{self:?}");
        &self.entries[0]
    }

    pub(super) fn dns(&self) -> Vec<&str> {
        self.entries.iter().map(|entry| entry.dn.as_str()).collect()
    }

    pub(super) fn control(&self, kind: ControlKind) -> Option<&[u8]> {
        self.controls.iter().find(|(oid, _)| oid == kind.oid()).map(|(_, value)| value.as_slice())
    }

    /// The entry of a pre- or post-read control.
    #[track_caller]
    pub(super) fn read(&self, kind: ControlKind) -> Entry {
        let (dn, attributes) = read_entry::parse_response(self.control(kind).unwrap()).unwrap();
        Entry { dn: dn.to_owned(), attributes: owned(attributes), controls: Vec::new() }
    }
}

fn owned(attributes: crate::protocol::message::Attributes<'_>) -> Vec<(String, Vec<Vec<u8>>)> {
    let attribute = |one: crate::protocol::message::RawAttribute<'_>| {
        (one.description.to_owned(), one.values.iter().map(<[u8]>::to_vec).collect())
    };
    attributes.iter().map(attribute).collect()
}

pub(super) struct Client {
    pub(super) server: Arc<Server>,
    pub(super) connection: Arc<Wire>,
    ids: AtomicI32,
    /// Seconds that requests have waited before they are served.
    pub(super) late: std::sync::atomic::AtomicU64,
    /// How requests that go on beside others end before they go on.
    pub(super) ending: Mutex<Option<Ending>>,
    flights: Mutex<Vec<(MessageId, std::sync::Weak<Flight>)>>,
}

pub(super) fn critical(kind: ControlKind, value: &[u8]) -> Control<'_> {
    Control { oid: kind.oid(), critical: true, value: Some(value) }
}

pub(super) const POST_READ_ETAG: &[u8] = b"\x30\x06\x04\x04etag";

impl Client {
    /// Sends a request and runs it to its end, or to where it stands.
    pub(super) fn send(&self, write: impl FnOnce(&mut BytesMut, MessageId)) -> Answer {
        let id = MessageId(self.ids.fetch_add(1, Ordering::SeqCst) + 1);
        let mut frame = BytesMut::new();
        write(&mut frame, id);
        self.send_frame(frame.freeze(), id);
        self.drain()
    }

    pub(super) fn send_frame(&self, frame: Bytes, id: MessageId) {
        let request = decode::decode(frame, &decode::Limits::default()).unwrap();
        let flight = Arc::new(Flight::alone(MessageId(0)));
        self.flights.lock().unwrap().push((id, Arc::downgrade(&flight)));
        *self.connection.flight.lock().unwrap() = Arc::downgrade(&flight);
        let connection: Arc<dyn Connection> = Arc::clone(&self.connection) as Arc<dyn Connection>;
        let call = Call {
            directory: Arc::clone(&self.server.directory),
            connection,
            requester: Arc::clone(&self.connection.who.lock().unwrap()),
            request,
            flight,
            connection_number: 1,
            operation_number: 1,
            arrived: self.server.clock.monotonic()
                - std::time::Duration::from_secs(self.late.load(Ordering::SeqCst)),
        };
        match serve(call) {
            Served::Answered => {}
            Served::Beside(future) | Served::Before(future) => {
                if let Some((ending, flight)) = self.ending.lock().unwrap().zip(self.flight()) {
                    flight.end(ending);
                }
                tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
            }
        }
    }

    /// The flight of the last request, if it still goes on.
    pub(super) fn flight(&self) -> Option<Arc<Flight>> {
        self.flights.lock().unwrap().last().and_then(|(_, flight)| flight.upgrade())
    }

    /// All that came since the last look.
    pub(super) fn drain(&self) -> Answer {
        let mut answer = Answer::default();
        let mut buffer = self.connection.buffer.lock().unwrap();
        while let Cut::Message(frame) = cut(&mut buffer, 100_000_000).unwrap() {
            let message = response::decode(&frame).unwrap();
            let controls: Vec<_> = message
                .controls
                .map(|control| (control.oid.to_owned(), control.value.unwrap_or_default().to_vec()))
                .collect();
            match message.response {
                Response::Entry { dn, attributes } => {
                    answer.entries.push(Entry { dn: dn.to_owned(), attributes: owned(attributes), controls });
                }
                Response::Extended { result, value, .. } => {
                    answer.results.push(result);
                    answer.value = value.map(<[u8]>::to_vec);
                }
                other => {
                    answer.results.push(other.result().unwrap().clone());
                    answer.controls = controls;
                }
            }
        }
        answer
    }

    pub(super) fn bind(&self, dn: &str, password: &[u8]) -> Answer {
        self.send(|out, id| request::bind(out, id, dn, password, &[]))
    }

    pub(super) fn add(&self, dn: &str, attributes: &[(&str, &[&str])]) -> Answer {
        self.add_with(dn, attributes, &[])
    }

    pub(super) fn add_with(
        &self,
        dn: &str,
        attributes: &[(&str, &[&str])],
        controls: &[Control<'_>],
    ) -> Answer {
        let values: Vec<(&str, Vec<&[u8]>)> = attributes
            .iter()
            .map(|(name, values)| (*name, values.iter().map(|value| value.as_bytes()).collect()))
            .collect();
        let attributes: Vec<_> = values.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        self.send(|out, id| request::add(out, id, dn, &attributes, controls))
    }

    /// Adds a token as OpenAM does.
    pub(super) fn add_token(&self, id: &str, more: &[(&str, &[&str])]) -> Answer {
        let ids = [id];
        let mut attributes: Vec<(&str, &[&str])> =
            vec![("objectClass", &["frCoreToken"]), ("coreTokenId", &ids)];
        if !more.iter().any(|(name, _)| *name == "coreTokenType") {
            attributes.push(("coreTokenType", &["SESSION"]));
        }
        attributes.extend_from_slice(more);
        self.add_with(&token(id), &attributes, &[critical(ControlKind::PostRead, POST_READ_ETAG)])
    }

    pub(super) fn modify(
        &self,
        dn: &str,
        changes: &[(ModifyOperation, request::Attribute<'_>)],
        controls: &[Control<'_>],
    ) -> Answer {
        self.send(|out, id| request::modify(out, id, dn, changes, controls))
    }

    pub(super) fn delete(&self, dn: &str, controls: &[Control<'_>]) -> Answer {
        self.send(|out, id| request::delete(out, id, dn, controls))
    }

    pub(super) fn search(&self, search: &Search<'_>, controls: &[Control<'_>]) -> Answer {
        self.send(|out, id| request::search(out, id, search, controls))
    }

    pub(super) fn read(&self, dn: &str, attributes: &[&str]) -> Answer {
        self.search(&Search { attributes, size_limit: 1, ..Search::base(dn) }, &[])
    }

    pub(super) fn find(&self, filter: &str, attributes: &[&str], controls: &[Control<'_>]) -> Answer {
        let filter = crate::protocol::filter_text::parse(filter).unwrap();
        self.search(&Search { scope: Scope::Subtree, filter, attributes, ..Search::base(SUFFIX) }, controls)
    }

    /// Sets a property of the global configuration.
    pub(super) fn configure(&self, property: &str, value: &[u8]) {
        let change = ConfigChange {
            operation: ModifyOperation::Replace,
            attribute: format!("ds-cfg-{property}"),
            values: vec![value.to_vec()],
        };
        self.server.directory.config.modify("cn=config", &[change]).unwrap();
    }
}

pub(super) fn token(id: &str) -> String {
    format!("coreTokenId={id},ou=tokens,{SUFFIX}")
}

pub(super) fn equality(attribute: &str, value: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    Filter::Equality(crate::protocol::filter::Assertion {
        attribute: attribute.to_owned().into(),
        value: value.to_vec().into(),
    })
    .encode(&mut out);
    out.to_vec()
}
