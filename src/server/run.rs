//! Putting the server together, opening its ports, and stopping in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Bounds, Context};
use super::listener::{Anonymous, Endpoint, accept};
use super::table::Table;
use super::tls::{TlsError, TlsFiles, TlsSettings};
use crate::access::AccessControl;
use crate::admin::{
    CnConfig, CnMonitor, CnSchema, Connections, MonitorSources, RootDse, follow_configuration, indexes_of,
};
use crate::auth::Verifier;
use crate::backend::{Backend, BackendOptions, TokenStore};
use crate::clock::{Clock, SystemClock};
use crate::config::{
    Config, ConfigError, ConfigStore, Instance, Listener, ListenerKind, LogKind, LogPublisher,
};
use crate::log::Durability;
use crate::operation::{Directory, DirectoryError, Parts};
use crate::schema::SchemaStore;
use crate::session::Limits;
use crate::telemetry::{AccessLog, Metrics};

/// How long requests in flight are waited for when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// Octets of entries kept in memory where the configuration says nothing (`ds-cfg-db-cache-size`).
const CACHE: usize = 256 << 20;
/// How long a client may refuse its answers where the configuration sets no limit.
const BLOCKED_WRITE: Duration = Duration::from_secs(120);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration, or the instance itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The schema files.
    #[error(transparent)]
    Schema(#[from] crate::schema::SchemaError),
    /// The data store.
    #[error("the data store does not open: {0}")]
    Store(#[from] crate::backend::StoreError),
    /// TLS of a listener.
    #[error("TLS of {listener}: {source}")]
    Tls {
        /// The listener's name.
        listener: String,
        /// What is wrong.
        source: TlsError,
    },
    /// A global ACI.
    #[error("a global ACI of the configuration: {0}")]
    Aci(#[from] crate::access::AciError),
    /// A port cannot be listened on.
    #[error("{0}")]
    Port(String),
    /// The configuration lacks something the server cannot do without.
    #[error("{0}")]
    Lacking(&'static str),
    /// What the connections share cannot be put together.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The access log's file.
    #[error("the access log: {0}")]
    AccessLog(std::io::Error),
    /// Threads or random numbers were not to be had.
    #[error(transparent)]
    Auth(#[from] crate::auth::AuthError),
}

/// A server: opened, then listening, then stopped.
pub struct Server {
    directory: Arc<Directory>,
    instance: Instance,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    tls: Vec<Arc<TlsSettings>>,
    table: Arc<Table>,
    backend: Arc<Backend>,
}

impl Server {
    /// Opens an instance: schema, configuration, data, access control. No port yet. The data is recovered from the log, so
    /// this takes as long as the log is large.
    pub fn open(instance: Instance) -> Result<Self, ServerError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let schema = Arc::new(SchemaStore::open(&instance.schema_directory())?);
        let config = Arc::new(ConfigStore::open(&instance, Arc::clone(&schema), Arc::clone(&clock))?);
        let snapshot = config.current();
        let data = snapshot
            .data()
            .ok_or(ServerError::Lacking("no data store is enabled in cn=Backends,cn=config"))?;
        let backend = Arc::new(Backend::open(&BackendOptions {
            suffixes: data.base_dns.iter().map(|(text, _)| text.clone()).collect(),
            indexes: indexes_of(&snapshot),
            durability: match data.durability {
                crate::config::Durability::Always => Durability::Always,
                crate::config::Durability::Group => Durability::Group,
                crate::config::Durability::Os => Durability::Os,
            },
            cache_bytes: usize::try_from(data.cache_size).ok().filter(|size| *size > 0).unwrap_or(CACHE),
            ..BackendOptions::new(
                instance.resolve(&data.directory),
                Vec::new(),
                Arc::clone(&clock),
                Arc::clone(&schema),
            )
        })?);
        let store = Arc::clone(&backend) as Arc<dyn TokenStore>;
        let definitions = schema.current();
        let access = Arc::new(AccessControl::over(Arc::clone(&store), Arc::clone(&definitions)));
        let access_log = Arc::new(access_log(&snapshot, &instance, &clock)?);
        let shards = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let metrics = Arc::new(Metrics::new(shards));
        let table = Arc::new(Table::default());
        let monitor = MonitorSources {
            config: Arc::clone(&config),
            listeners: vec![("LDAP Connection Handler".to_owned(), Arc::clone(&metrics))],
            connections: Some(Arc::clone(&table) as Arc<dyn Connections>),
            access_log: Some(Arc::clone(&access_log)),
            started_ms: clock.wall_ms(),
        };
        let cn_schema = CnSchema::new(Arc::clone(&config), &definitions);
        let directory = Directory::new(Parts {
            virtual_backends: vec![
                Arc::new(RootDse::new(Arc::clone(&config), Vec::new())),
                Arc::new(CnConfig::new(Arc::clone(&config), &definitions)),
                Arc::new(cn_schema),
                Arc::new(CnMonitor::new(monitor, &definitions)),
            ],
            verifier: Arc::new(Verifier::for_machine()?),
            metrics,
            access_log,
            schema,
            store,
            access,
            config,
            clock,
        })?;
        follow_configuration(&directory)?;
        Ok(Self {
            directory,
            instance,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            tls: Vec::new(),
            table,
            backend,
        })
    }

    /// What operations see; for clients inside the process.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    /// Opens the enabled LDAP ports of the configuration and serves them; says where.
    pub fn listen(&mut self) -> Result<Vec<String>, ServerError> {
        let config = self.directory.config.current();
        let mut opened = Vec::new();
        for listener in config.listeners.iter().filter(|it| it.enabled && it.kind == ListenerKind::Ldap) {
            for address in &listener.addresses {
                let address = SocketAddr::new(*address, listener.port);
                let socket = bind(address, listener)?;
                opened.push((socket, listener));
            }
        }
        if opened.is_empty() {
            return Err(ServerError::Lacking("no LDAP port is enabled in cn=Connection Handlers,cn=config"));
        }
        let mut served = Vec::new();
        for (socket, listener) in opened {
            let scheme = if listener.use_ssl { "ldaps" } else { "ldap" };
            let address = socket.local_addr().map_err(|error| ServerError::Port(error.to_string()))?;
            served.push(format!("{scheme}://{address}"));
            let endpoint = Arc::new(self.endpoint(listener)?);
            self.tasks.spawn(accept(socket, endpoint));
        }
        Ok(served)
    }

    fn endpoint(&mut self, listener: &Listener) -> Result<Endpoint, ServerError> {
        let wants_tls = listener.use_ssl || listener.allow_start_tls;
        let tls = match (&listener.tls, wants_tls) {
            (Some(files), true) => {
                let files = TlsFiles {
                    certificates: self.instance.resolve(&files.certificate),
                    key: self.instance.resolve(&files.private_key),
                };
                let settings = TlsSettings::open(files).map_err(|source| {
                    let listener = listener.name.clone();
                    ServerError::Tls { listener, source }
                })?;
                let settings = Arc::new(settings);
                self.tls.push(Arc::clone(&settings));
                Some(settings)
            }
            (None, true) => return Err(ServerError::Lacking("a listener with TLS has no certificate files")),
            _ => None,
        };
        let directory = Arc::clone(&self.directory);
        let anonymous: Anonymous = Arc::new(move |address, strength| directory.anonymous(address, strength));
        let config = self.directory.config.load();
        let context = Context {
            bounds: Bounds {
                message: listener.max_request_size,
                blocked_write: listener.max_blocked_write_time.unwrap_or(BLOCKED_WRITE),
                drain: DRAIN,
            },
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        };
        Ok(Endpoint {
            directory: Arc::clone(&self.directory),
            context: Arc::new(context),
            tls,
            implicit_tls: listener.use_ssl,
            limits: Limits::default(),
            anonymous,
            table: Arc::clone(&self.table),
            max_connections: config.global.max_client_connections.into(),
        })
    }

    /// Reads the certificate files of all listeners again; new connections use what is in them now.
    pub fn reload_certificates(&self) {
        for settings in &self.tls {
            match settings.reload() {
                Ok(()) => tracing::info!("certificates read again"),
                Err(error) => tracing::error!(%error, "certificates stay as they are"),
            }
        }
    }

    /// Stops: no new connections and messages, requests in flight are answered, clients get the Notice of
    /// Disconnection, everything is on disk.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN + Duration::from_secs(5), self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        self.backend.close();
    }
}

/// The first enabled access log of the configuration, or the first at all.
fn access_publisher(config: &Config) -> Option<&LogPublisher> {
    let mut publishers = config.logs.iter().filter(|log| log.kind == LogKind::Access);
    publishers.clone().find(|log| log.enabled).or_else(|| publishers.next())
}

fn access_log(
    config: &Config,
    instance: &Instance,
    clock: &Arc<dyn Clock>,
) -> Result<AccessLog, ServerError> {
    let Some(publisher) = access_publisher(config) else { return Ok(AccessLog::off(Arc::clone(clock))) };
    AccessLog::start(publisher, instance.root(), Arc::clone(clock)).map_err(ServerError::AccessLog)
}

fn bind(address: SocketAddr, listener: &Listener) -> Result<tokio::net::TcpListener, ServerError> {
    let fault = |error: std::io::Error| {
        let text = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {} is in use: another server listens on it; stop that one, or choose another port",
                address.port()
            ),
            std::io::ErrorKind::PermissionDenied => {
                format!(
                    "port {} may not be opened by this user (ports below 1024 need the privilege)",
                    address.port()
                )
            }
            _ => format!("{address}: {error}"),
        };
        ServerError::Port(text)
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(fault)?;
    socket.set_reuseaddr(true).map_err(fault)?;
    let _ = socket.set_keepalive(listener.tcp_keep_alive);
    socket.bind(address).map_err(fault)?;
    socket.listen(listener.accept_backlog).map_err(fault)
}
