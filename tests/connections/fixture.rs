//! A server on ports of its own, and a client that sends and reads octets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::ports::free_port;
use bytes::{Bytes, BytesMut};
use ctsd::auth::scheme::{Scheme, encode};
use ctsd::auth::{Secret, os_random};
use ctsd::ber::frame::{Cut, cut};
use ctsd::clock::{Clock, SystemClock};
use ctsd::config::{ConfigChange, ConfigStore, Instance, ListenerKind, SecretValue, SetupOptions, TlsFiles};
use ctsd::protocol::message::{Control, MessageId, ModifyOperation, Scope};
use ctsd::protocol::request::{self, Search};
use ctsd::protocol::response::{self, Response};
use ctsd::protocol::result::{LdapResult, ResultCode};
use ctsd::protocol::{control::persistent_search::PersistentSearchRequest, oid};
use ctsd::schema::SchemaStore;
use ctsd::server::{Server, self_signed};
use ctsd::session::Internal;
use tempfile::TempDir;

/// How long what must come is waited for before the test fails: it costs nothing where it comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
pub(crate) const ROOT_DN: &str = "cn=Directory Manager";
pub(crate) const PASSWORD: &str = "a secret of the test";
pub(crate) const LDAP_HANDLER: &str = "cn=LDAP Connection Handler,cn=Connection Handlers,cn=config";

/// Looks again and again until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let mut turns = 0;
    while !is_so() {
        turns += 1;
        // Not by time alone: the machine may have stood still.
        assert!(turns < 1_000 || clock.monotonic() - begun < PATIENCE, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A running server.
pub(crate) struct Fixture {
    pub(crate) runtime: tokio::runtime::Runtime,
    server: Option<Server>,
    pub(crate) ldap: SocketAddr,
    pub(crate) ldaps: SocketAddr,
    pub(crate) administration: SocketAddr,
    pub(crate) certificate: String,
    _directory: TempDir,
}

impl Fixture {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server that starts with this configuration: DN, attribute and value of each setting.
    pub(crate) fn start_with(settings: &[(&str, &str, &str)]) -> Self {
        let mut last = String::new();
        for _ in 0..10 {
            match Self::try_start(settings) {
                Ok(fixture) => return fixture,
                Err(error) => last = error,
            }
        }
        panic!("no server after ten attempts: {last}");
    }

    fn try_start(settings: &[(&str, &str, &str)]) -> Result<Self, String> {
        let directory = tempfile::tempdir().unwrap();
        let mut random = os_random;
        let password =
            encode(Scheme::Ssha512, &Secret::new(PASSWORD.as_bytes().to_vec()), &mut random).unwrap();
        let base = "dc=example,dc=com".to_owned();
        let mut options = SetupOptions::new(vec![base], ROOT_DN.to_owned(), SecretValue::new(password));
        let ports = [free_port(), free_port(), free_port()];
        options.listen_addresses = vec!["127.0.0.1".to_owned()];
        options.ldap_port = Some(ports[0]);
        options.ldaps_port = Some(ports[1]);
        options.admin_port = ports[2];
        options.start_tls = true;
        options.tls = Some(TlsFiles {
            certificate: "config/tls/server.pem".into(),
            private_key: "config/tls/server.key".into(),
            trust: None,
        });
        options.global_acis = ctsd::access::default_globals(false);
        let instance = Instance::create(directory.path(), &options).unwrap();
        let (certificate, key) = self_signed(&[]).unwrap();
        std::fs::write(instance.tls_directory().join("server.pem"), &certificate).unwrap();
        std::fs::write(instance.tls_directory().join("server.key"), key).unwrap();
        if !settings.is_empty() {
            // Some are read only when a server starts.
            let schema = Arc::new(SchemaStore::open(&instance.schema_directory()).unwrap());
            let config = ConfigStore::open(&instance, schema, Arc::new(SystemClock::new())).unwrap();
            for (dn, attribute, value) in settings {
                config.modify(dn, &[replacing(attribute, &[value])]).unwrap();
            }
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut server = Server::open(instance).unwrap();
        runtime.block_on(async {
            let client = Internal::new(server.directory(), ROOT_DN);
            let classes: &[&[u8]] = &[b"top", b"domain"];
            let added = client.add("dc=example,dc=com", &[("objectClass", classes.to_vec())]).await;
            assert_eq!(added.code, ResultCode::SUCCESS);
        });
        let addresses = runtime.block_on(async { server.listen() }).map_err(|error| error.to_string())?;
        let find = |kind, is_tls| {
            addresses.iter().find(|it| it.kind == kind && it.is_tls == is_tls).map(|it| it.address)
        };
        let administration = find(ListenerKind::Administration, true).ok_or("no administration port")?;
        Ok(Self {
            ldap: find(ListenerKind::Ldap, false).ok_or("no LDAP port")?,
            ldaps: find(ListenerKind::Ldap, true).ok_or("no LDAPS port")?,
            administration,
            server: Some(server),
            runtime,
            certificate,
            _directory: directory,
        })
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Replaces an attribute of an entry of the configuration.
    pub(crate) fn configure(&self, dn: &str, attribute: &str, values: &[&str]) {
        self.server().directory().config.modify(dn, &[replacing(attribute, values)]).unwrap();
    }

    /// A client of the LDAP port.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.ldap)
    }

    /// A client that is going to read little or nothing.
    pub(crate) fn deaf_client(&self) -> Client {
        Client::connect_narrow(self.ldap)
    }

    /// Stops the server in the background; the handle ends with it.
    pub(crate) fn stop(&mut self) -> tokio::task::JoinHandle<()> {
        let server = self.server.take().unwrap();
        self.runtime.spawn(server.stop())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

fn replacing(attribute: &str, values: &[&str]) -> ConfigChange {
    ConfigChange {
        operation: ModifyOperation::Replace,
        attribute: attribute.to_owned(),
        values: values.iter().map(|value| value.as_bytes().to_vec()).collect(),
    }
}

/// What came from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Entry(i32),
    Result(i32, ResultCode),
    /// A Notice of Disconnection with its text.
    Notice(ResultCode, String),
    /// The end of the stream, or its reset.
    End,
}

/// A client on one stream.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    input: BytesMut,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::over(stream)
    }

    /// A connection for which the system buffers little, so that it is full soon.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        let client = Self::connect(address);
        let socket = socket2::SockRef::from(&client.stream);
        socket.set_recv_buffer_size(32_768).unwrap();
        socket.set_send_buffer_size(65_536).unwrap();
        client
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next message; fails the test if none comes.
    pub(crate) fn hear(&mut self) -> Heard {
        match self.message() {
            Some(message) => understand(&message),
            None => Heard::End,
        }
    }

    pub(crate) fn message(&mut self) -> Option<Bytes> {
        let mut is_late = false;
        loop {
            if let Cut::Message(message) = cut(&mut self.input, usize::MAX).unwrap() {
                return Some(message);
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(octets) => self.input.extend_from_slice(&buffer[..octets]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    // Once may be that the machine stood still.
                    assert!(!is_late, "no answer in {PATIENCE:?}, twice");
                    is_late = true;
                }
                Err(_) => return None,
            }
        }
    }

    /// Results up to the end of the stream.
    pub(crate) fn all(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        loop {
            match self.hear() {
                Heard::End => return heard,
                one => heard.push(one),
            }
        }
    }

    /// The result of this request; entries on the way are skipped.
    pub(crate) fn result(&mut self, id: i32) -> ResultCode {
        loop {
            match self.hear() {
                Heard::Entry(_) => {}
                Heard::Result(of, code) if of == id => return code,
                other => panic!("{other:?} while waiting for the result of {id}"),
            }
        }
    }

    /// A heartbeat goes through.
    pub(crate) fn beat(&mut self, id: i32) {
        self.send(&heartbeat(id));
        assert_eq!(self.result(id), ResultCode::SUCCESS);
    }

    pub(crate) fn bind(&mut self, id: i32) {
        self.send(&bind(id));
        assert_eq!(self.result(id), ResultCode::SUCCESS);
    }
}

fn understand(message: &[u8]) -> Heard {
    let message = response::decode(message).unwrap();
    let id = message.id.0;
    match &message.response {
        Response::Extended { result: LdapResult { code, diagnostic, .. }, name, .. } if id == 0 => {
            assert_eq!(*name, Some(oid::NOTICE_OF_DISCONNECTION));
            Heard::Notice(*code, diagnostic.to_string())
        }
        response => response.result().map_or(Heard::Entry(id), |result| Heard::Result(id, result.code)),
    }
}

pub(crate) fn written(id: i32, write: impl FnOnce(&mut BytesMut, MessageId)) -> BytesMut {
    let mut out = BytesMut::new();
    write(&mut out, MessageId(id));
    out
}

/// The heartbeat of OpenAM's client: two messages come back.
pub(crate) fn heartbeat(id: i32) -> BytesMut {
    let search = Search { attributes: &["1.1"], ..Search::base("") };
    written(id, |out, id| request::search(out, id, &search, &[]))
}

pub(crate) fn bind(id: i32) -> BytesMut {
    written(id, |out, id| request::bind(out, id, ROOT_DN, PASSWORD.as_bytes(), &[]))
}

/// A request that is answered by its result alone.
pub(crate) fn compare(id: i32) -> BytesMut {
    written(id, |out, id| request::compare(out, id, "", "objectClass", b"top", &[]))
}

pub(crate) fn persistent_search(id: i32) -> BytesMut {
    let wanted = PersistentSearchRequest { change_types: 15, changes_only: true, return_notifications: true };
    let value = wanted.value();
    let control = Control { oid: oid::PERSISTENT_SEARCH, critical: true, value: Some(&value) };
    let search = Search { scope: Scope::Subtree, ..Search::base("dc=example,dc=com") };
    written(id, |out, id| request::search(out, id, &search, &[control]))
}

pub(crate) fn extended(id: i32, name: &str) -> BytesMut {
    written(id, |out, id| request::extended(out, id, name, None, &[]))
}
