//! Putting the server together, opening its ports, and stopping in order.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::data::{data_options, set_permissions};
use super::health::Health;
use super::listener::{DRAIN, House};
use super::local;
use super::ports::{Address, Ports};
use super::table::Table;
use super::tls::TlsError;
use crate::access::AccessControl;
use crate::admin::{
    CnBackups, CnConfig, CnMonitor, CnSchema, ConnectionReport, Connections, MonitorSources, RootDse,
    follow_configuration,
};
use crate::auth::Verifier;
use crate::backend::{Backend, BackendOptions, DataStore, StartProgress, TokenStore};
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, ConfigStore, Instance};
use crate::operation::{Directory, DirectoryError, Parts, VirtualBackend};
use crate::protocol::result::LdapResult;
use crate::schema::SchemaStore;
use crate::task::{Classes, CnTasks, Host};
use crate::telemetry::{AccessLog, Meters, Totals};

/// How often the certificate files are looked at.
const CERTIFICATES: Duration = Duration::from_secs(60);

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
    /// Threads to serve connections were not to be had.
    #[error("the threads that serve connections do not start: {0}")]
    Threads(std::io::Error),
    /// Threads or random numbers were not to be had.
    #[error(transparent)]
    Auth(#[from] crate::auth::AuthError),
}

/// How a server is opened.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Opening {
    /// Told how far the start of the data store is, at each tenth of its phases, from several threads.
    pub on_progress: Option<Arc<dyn Fn(StartProgress) + Send + Sync>>,
    /// Whether names, counters, entry table and indexes are made anew from the log, whatever is kept of them.
    pub makes_trees_anew: bool,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening").field("makes_trees_anew", &self.makes_trees_anew).finish_non_exhaustive()
    }
}

/// A server: opened, then listening, then stopped.
pub struct Server {
    house: Arc<House>,
    ports: Option<Arc<Ports>>,
}

impl Server {
    /// Opens an instance: schema, configuration, data, access control. No port yet. The data is recovered from the log, so
    /// this takes as long as the log is large. With a configuration that is not valid, the last one that started is taken,
    /// in lockdown mode.
    pub fn open(instance: Instance) -> Result<Self, ServerError> {
        Self::open_as(instance, Opening::default())
    }

    /// As [`Server::open`], in a way of one's own.
    pub fn open_as(instance: Instance, opening: Opening) -> Result<Self, ServerError> {
        Self::open_in(instance, Arc::new(SystemClock::new()), Classes::builtin(), opening)
    }

    /// As [`Server::open`], with another clock and other task classes.
    pub fn open_with(
        instance: Instance,
        clock: Arc<dyn Clock>,
        classes: Classes,
    ) -> Result<Self, ServerError> {
        Self::open_in(instance, clock, classes, Opening::default())
    }

    fn open_in(
        instance: Instance,
        clock: Arc<dyn Clock>,
        classes: Classes,
        opening: Opening,
    ) -> Result<Self, ServerError> {
        let schema = Arc::new(SchemaStore::open(&instance.schema_directory())?);
        let (config, fault) =
            ConfigStore::open_or_last_good(&instance, Arc::clone(&schema), Arc::clone(&clock))?;
        let config = Arc::new(config);
        let snapshot = config.current();
        let options = BackendOptions {
            on_progress: opening.on_progress,
            ..data_options(&instance, &snapshot, &schema, &clock)?
        };
        if opening.makes_trees_anew {
            Backend::forget_kept(&options)?;
        }
        let backend = DataStore::open(options)?;
        set_permissions(&instance, &snapshot);
        let store = Arc::clone(&backend) as Arc<dyn TokenStore>;
        let definitions = schema.current();
        let access = Arc::new(AccessControl::over(Arc::clone(&store), Arc::clone(&definitions)));
        let access_log = AccessLog::start(&snapshot.logs, instance.root(), Arc::clone(&clock));
        let access_log = Arc::new(access_log.map_err(ServerError::AccessLog)?);
        let meters = Arc::new(Meters::default());
        let table = Arc::new(Table::default());
        let started_ms = clock.wall_ms();
        let monitor = MonitorSources {
            config: Arc::clone(&config),
            meters: Arc::clone(&meters),
            connections: Some(Arc::clone(&table) as Arc<dyn Connections>),
            store: Some(Arc::clone(&backend)),
            access_log: Some(Arc::clone(&access_log)),
            started_ms,
        };
        let cn_schema = CnSchema::new(Arc::clone(&config), &definitions);
        let cn_tasks =
            CnTasks::new(Arc::clone(&backend), instance.clone(), Arc::clone(&clock), classes, &definitions);
        let directory = Directory::new(Parts {
            virtual_backends: vec![
                Arc::new(RootDse::new(Arc::clone(&config))),
                Arc::new(CnConfig::new(Arc::clone(&config), &definitions)),
                Arc::new(cn_schema),
                Arc::new(CnBackups::new(&definitions)),
                Arc::new(CnMonitor::new(monitor, &definitions)),
                Arc::clone(&cn_tasks) as Arc<dyn VirtualBackend>,
            ],
            verifier: Arc::new(Verifier::for_machine()?),
            metrics: meters.of(Meters::INTERNAL),
            access_log,
            schema,
            store,
            access,
            config,
            clock,
        })?;
        follow_configuration(&directory)?;
        if let Some(fault) = fault {
            tracing::error!(%fault, "the configuration is not valid; the last one that started is taken");
            directory.lockdown.enter(&format!("the configuration is not valid: {fault}"));
        }
        let (wish, _) = tokio::sync::watch::channel(None);
        cn_tasks.bind(&directory, Arc::new(Janitor { table: Arc::clone(&table), wish: wish.clone() }));
        let house = House {
            directory,
            backend,
            instance,
            started_ms,
            meters,
            table,
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            cn_tasks,
            wish,
        };
        Ok(Self { house: Arc::new(house), ports: None })
    }

    /// What operations see; for clients inside the process.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.house.directory)
    }

    /// What all listeners counted since the start.
    pub fn totals(&self) -> Totals {
        self.house.meters.totals()
    }

    /// Opens the enabled ports of the configuration and serves them; says where. Called inside the runtime that is to
    /// serve them.
    pub fn listen(&mut self) -> Result<Vec<Address>, ServerError> {
        let ports = Ports::new(Arc::clone(&self.house))?;
        let addresses = ports.open_all()?;
        self.house.tasks.spawn(watch_certificates(Arc::downgrade(&ports), self.house.shutdown.clone()));
        self.ports = Some(ports);
        local::open(&self.house);
        self.house.cn_tasks.start();
        if let Err(error) = self.house.directory.config.mark_started() {
            tracing::warn!(%error, "the configuration that started cannot be kept aside");
        }
        Ok(addresses)
    }

    /// Reads the certificate files of all listeners again; new connections use what is in them now. Done by itself every
    /// minute where a file has changed.
    pub fn reload_certificates(&self) {
        for (listener, settings) in self.ports.iter().flat_map(|ports| ports.all_tls()) {
            told(&listener, settings.reload());
        }
    }

    /// Returns when all threads that serve connections have run a task; whether they could.
    pub async fn answers(&self) -> bool {
        match &self.ports {
            Some(ports) => ports.lanes().answer().await,
            None => true,
        }
    }

    /// Opens the files of the access and audit logs anew, under their names: somebody else may have moved them.
    pub fn reopen_logs(&self) -> std::io::Result<()> {
        self.house.directory.access_log.reopen()
    }

    /// What keeps the server from serving at all; empty if nothing does.
    pub fn faults(&self) -> Vec<String> {
        let ports = self.ports.as_ref().map(Arc::downgrade).unwrap_or_default();
        Health { house: Arc::clone(&self.house), ports }.alive()
    }

    /// The store that serves now; for tools that open it while no server runs.
    pub(crate) fn backend(&self) -> Arc<Backend> {
        self.house.backend.current()
    }

    /// The door by which other data takes the place of what is served.
    pub fn data_store(&self) -> Arc<DataStore> {
        Arc::clone(&self.house.backend)
    }

    /// The connections open now.
    pub fn connections(&self) -> Vec<ConnectionReport> {
        self.house.table.list()
    }

    /// Ends one connection with a Notice of Disconnection; false if there is none of this number.
    pub fn disconnect(&self, connection: u64, notice: LdapResult) -> bool {
        self.house.table.disconnect(connection, notice)
    }

    /// Returns when a task asks the server to stop: whether it is to start again.
    pub async fn told_to_stop(&self) -> bool {
        let mut wish = self.house.wish.subscribe();
        let told = wish.wait_for(Option::is_some).await;
        told.ok().and_then(|told| *told).unwrap_or(false)
    }

    /// The tasks.
    pub fn tasks(&self) -> Arc<CnTasks> {
        Arc::clone(&self.house.cn_tasks)
    }

    /// Stops: no new connections and messages, requests in flight are answered, clients get the Notice of
    /// Disconnection, everything is on disk. Tasks that run are asked to end first.
    pub async fn stop(mut self) {
        let tasks = Arc::clone(&self.house.cn_tasks);
        if tokio::task::spawn_blocking(move || tasks.stop()).await.is_err() {
            tracing::error!("the tasks could not be stopped in order");
        }
        self.house.shutdown.cancel();
        self.house.table.stop();
        self.house.tasks.close();
        if tokio::time::timeout(DRAIN + Duration::from_secs(5), self.house.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        if let Some(ports) = self.ports.take() {
            let lanes = Arc::clone(ports.lanes());
            let _ = tokio::task::spawn_blocking(move || lanes.stop()).await;
        }
        self.house.backend.current().close();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(ports) = &self.ports {
            ports.lanes().close();
        }
    }
}

/// What tasks may do to the server.
struct Janitor {
    table: Arc<Table>,
    wish: tokio::sync::watch::Sender<Option<bool>>,
}

impl Host for Janitor {
    fn shut_down(&self, restart: bool, reason: &str) {
        tracing::info!(restart, reason, "a task asks the server to stop");
        self.wish.send_replace(Some(restart));
    }

    fn disconnect(&self, connection: u64, notice: Option<LdapResult>) -> bool {
        self.table.disconnect(connection, notice.unwrap_or_else(LdapResult::success))
    }
}

fn told(listener: &str, reloaded: Result<(), TlsError>) {
    match reloaded {
        Ok(()) => tracing::info!(listener, "certificates read again"),
        Err(error) => tracing::error!(listener, %error, "certificates stay as they are"),
    }
}

/// Looks at the stamps of the certificate files once a minute.
async fn watch_certificates(ports: Weak<Ports>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CERTIFICATES) => {}
            () = shutdown.cancelled() => return,
        }
        for (listener, settings) in ports.upgrade().iter().flat_map(|ports| ports.all_tls()) {
            if settings.is_changed() {
                told(&listener, settings.reload());
            }
        }
    }
}
