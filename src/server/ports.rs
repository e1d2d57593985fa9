//! The ports: opened as the configuration has them, at start and when it changes.

use std::fmt;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::lanes::Lanes;
use super::listener::{Endpoint, House, accept};
use super::tls::{self, TlsFiles, TlsSettings, ensure_own};
use super::{ServerError, http};
use crate::config::{ClientAuth, Config, Listener, ListenerKind};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::telemetry::Meters;

/// A port that is served. Displayed as a URL, with what it is for where that is not LDAP alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Address {
    pub kind: ListenerKind,
    pub is_tls: bool,
    pub address: SocketAddr,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.kind, self.is_tls) {
            (ListenerKind::Http, false) => "http",
            (ListenerKind::Http, true) => "https",
            (_, false) => "ldap",
            (_, true) => "ldaps",
        };
        write!(f, "{scheme}://{}", self.address)?;
        if self.kind == ListenerKind::Administration {
            f.write_str(" (administration)")?;
        }
        Ok(())
    }
}

/// One listener with its open sockets.
struct Port {
    name: String,
    kind: ListenerKind,
    endpoint: Arc<Endpoint>,
    closing: CancellationToken,
    /// What is accepted on; gone when nothing is any more.
    sockets: Vec<Weak<TcpListener>>,
}

impl Port {
    /// Takes no more connections from now on; its addresses may be bound again at once. Left to the tasks that accept, both
    /// would be so some time later.
    fn close(&self) {
        self.closing.cancel();
        for socket in self.sockets.iter().filter_map(Weak::upgrade) {
            if let Err(error) = SockRef::from(&*socket).shutdown(Shutdown::Both) {
                tracing::warn!(listener = self.name, %error, "a port may stay open for a moment");
            }
        }
    }
}

/// The open ports.
pub(super) struct Ports {
    house: Arc<House>,
    lanes: Arc<Lanes>,
    runtime: Handle,
    open: Mutex<Vec<Port>>,
}

/// Sockets that are bound and not yet served.
struct Bound {
    port: Port,
    sockets: Vec<(TcpListener, SocketAddr)>,
}

impl Ports {
    /// No port yet, and the threads that are to serve connections. Called inside the runtime that is to accept them.
    pub(super) fn new(house: Arc<House>) -> Result<Arc<Self>, ServerError> {
        let count = house.directory.config.current().administration.worker_threads;
        let lanes = Arc::new(Lanes::start(count).map_err(ServerError::Threads)?);
        Ok(Arc::new(Self { house, lanes, runtime: Handle::current(), open: Mutex::default() }))
    }

    /// The threads that serve connections.
    pub(super) const fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }

    fn open(&self) -> MutexGuard<'_, Vec<Port>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the enabled ports of the configuration, all or none, and follows its changes from now on. Only the
    /// administration port may be missing: the data is served without it.
    pub(super) fn open_all(self: &Arc<Self>) -> Result<Vec<Address>, ServerError> {
        let config = self.house.directory.config.current();
        keep_count(&self.house.meters, &config);
        let mut bound = Vec::new();
        for listener in config.listeners.iter().filter(|listener| listener.enabled) {
            match self.bind(listener) {
                Ok(one) => bound.push(one),
                Err(error) if listener.kind == ListenerKind::Administration => {
                    tracing::error!(%error, "the administration connector is not open; all else is");
                }
                Err(error) => return Err(error),
            }
        }
        if !bound.iter().any(|one| one.port.kind == ListenerKind::Ldap) {
            return Err(ServerError::Lacking("no LDAP port is enabled in cn=Connection Handlers,cn=config"));
        }
        let addresses = bound.into_iter().flat_map(|one| self.serve(one)).collect();
        self.follow();
        Ok(addresses)
    }

    fn follow(self: &Arc<Self>) {
        // What would keep a port closed at the next start is refused at once.
        self.house.directory.config.on_check(Box::new(|new| {
            for listener in &new.listeners {
                tls::check_choice(&listener.protocols, &listener.cipher_suites).map_err(|reason| {
                    LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, format!("{}: {reason}", listener.name))
                })?;
            }
            Ok(())
        }));
        let ports: Weak<Self> = Arc::downgrade(self);
        self.house.directory.config.on_change(Box::new(move |old, new| match ports.upgrade() {
            Some(ports) => ports.change(old, new),
            None => Ok(()),
        }));
    }

    /// Opens what is enabled now and was not, closes what is not any more. Connections that are open stay.
    fn change(self: &Arc<Self>, old: &Config, new: &Config) -> Result<(), LdapResult> {
        let enabled = |config: &Config, like: &Listener| {
            config.listeners.iter().any(|it| it.enabled && it.kind == like.kind && it.name == like.name)
        };
        let refused =
            |error: ServerError| LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, error.to_string());
        keep_count(&self.house.meters, new);
        for listener in new.listeners.iter().filter(|listener| listener.enabled) {
            if !enabled(old, listener) {
                let bound = self.bind(listener).map_err(refused)?;
                for address in self.serve(bound) {
                    tracing::info!(listener = listener.name, %address, "a port is open");
                }
                continue;
            }
            let Some(endpoint) = self.endpoint(listener) else { continue };
            match endpoint.tls.load_full() {
                Some(settings) => settings.set_client_auth(client_auth(listener)).map_err(|source| {
                    refused(ServerError::Tls { listener: listener.name.clone(), source })
                })?,
                None if listener.allow_start_tls => {
                    endpoint.tls.store(self.tls(listener).map_err(refused)?);
                }
                None => {}
            }
        }
        for listener in old.listeners.iter().filter(|listener| listener.enabled && !enabled(new, listener)) {
            self.open().retain(|port| {
                let stays = port.kind != listener.kind || port.name != listener.name;
                if !stays {
                    tracing::info!(listener = listener.name, "a port is closed");
                    port.close();
                }
                stays
            });
        }
        Ok(())
    }

    fn endpoint(&self, listener: &Listener) -> Option<Arc<Endpoint>> {
        let open = self.open();
        let port = open.iter().find(|port| port.kind == listener.kind && port.name == listener.name)?;
        Some(Arc::clone(&port.endpoint))
    }

    fn tls(&self, listener: &Listener) -> Result<Option<Arc<TlsSettings>>, ServerError> {
        if !listener.use_ssl && !listener.allow_start_tls {
            return Ok(None);
        }
        let fault = |source| ServerError::Tls { listener: listener.name.clone(), source };
        let files =
            listener.tls.as_ref().ok_or(ServerError::Lacking("a listener with TLS has no certificate"))?;
        let files = TlsFiles {
            certificates: self.house.instance.resolve(&files.certificate),
            key: self.house.instance.resolve(&files.private_key),
            trust: files.trust.as_deref().map(|trust| self.house.instance.resolve(trust)),
        };
        if listener.kind == ListenerKind::Administration {
            ensure_own(&files).map_err(fault)?;
        }
        TlsSettings::open(files, &listener.protocols, &listener.cipher_suites, client_auth(listener))
            .map(|settings| Some(Arc::new(settings)))
            .map_err(fault)
    }

    fn bind(&self, listener: &Listener) -> Result<Bound, ServerError> {
        let _inside = self.runtime.enter();
        let tls = ArcSwapOption::from(self.tls(listener)?);
        let mut sockets = Vec::new();
        for address in &listener.addresses {
            let socket = bind(SocketAddr::new(*address, listener.port), listener)?;
            let address = socket.local_addr().map_err(|error| ServerError::Port(error.to_string()))?;
            sockets.push((socket, address));
        }
        let endpoint = Endpoint {
            house: Arc::clone(&self.house),
            lanes: Arc::clone(&self.lanes),
            name: listener.name.clone(),
            kind: listener.kind,
            metrics: self.house.meters.of(&listener.name),
            tls,
            implicit_tls: listener.use_ssl,
        };
        let port = Port {
            name: listener.name.clone(),
            kind: listener.kind,
            endpoint: Arc::new(endpoint),
            closing: self.house.shutdown.child_token(),
            sockets: Vec::new(),
        };
        Ok(Bound { port, sockets })
    }

    fn serve(self: &Arc<Self>, bound: Bound) -> Vec<Address> {
        let Bound { mut port, sockets } = bound;
        let mut addresses = Vec::new();
        for (socket, address) in sockets {
            let socket = Arc::new(socket);
            port.sockets.push(Arc::downgrade(&socket));
            addresses.push(Address { kind: port.kind, is_tls: port.endpoint.implicit_tls, address });
            let (endpoint, closing) = (Arc::clone(&port.endpoint), port.closing.clone());
            if port.kind == ListenerKind::Http {
                let health = Arc::new(Health { house: Arc::clone(&self.house), ports: Arc::downgrade(self) });
                self.house.tasks.spawn_on(http::accept(socket, endpoint, health, closing), &self.runtime);
            } else {
                self.house.tasks.spawn_on(accept(socket, endpoint, closing), &self.runtime);
            }
        }
        self.open().push(port);
        addresses
    }

    /// What the open ports are for.
    pub(super) fn kinds(&self) -> Vec<ListenerKind> {
        self.open().iter().map(|port| port.kind).collect()
    }

    /// The TLS settings of all open ports.
    pub(super) fn all_tls(&self) -> Vec<(String, Arc<TlsSettings>)> {
        let open = self.open();
        let settings = |port: &Port| Some((port.name.clone(), port.endpoint.tls.load_full()?));
        open.iter().filter_map(settings).collect()
    }
}

/// Whether clients of the listener are asked for a certificate. Nobody authenticates over HTTP by one.
const fn client_auth(listener: &Listener) -> ClientAuth {
    match listener.kind {
        ListenerKind::Http => ClientAuth::Disabled,
        ListenerKind::Ldap | ListenerKind::Administration => listener.client_auth,
    }
}

/// Switches counting on and off as each listener has it; each that is enabled is in the list.
fn keep_count(meters: &Meters, config: &Config) {
    let ldap = config.listeners.iter().filter(|it| it.enabled && it.kind != ListenerKind::Http);
    ldap.for_each(|listener| meters.of(&listener.name).keep(listener.keep_stats));
}

fn bind(address: SocketAddr, listener: &Listener) -> Result<TcpListener, ServerError> {
    let fault = |error: std::io::Error| {
        let (port, name) = (address.port(), &listener.name);
        let text = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {port} ({name}) is in use: another server listens on it; stop that one, or choose another port"
            ),
            std::io::ErrorKind::PermissionDenied => format!(
                "port {port} ({name}) may not be opened by this user (ports below 1024 need the privilege)"
            ),
            _ => format!("{address} ({name}): {error}"),
        };
        ServerError::Port(text)
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(fault)?;
    socket.set_reuseaddr(true).map_err(fault)?;
    // Accepted connections inherit it.
    let _ = socket.set_keepalive(listener.tcp_keep_alive);
    if address.is_ipv6() && listener.addresses.iter().any(|other| other.is_ipv4()) {
        // Otherwise `::` would take the IPv4 port too.
        let _ = SockRef::from(&socket).set_only_v6(true);
    }
    socket.bind(address).map_err(fault)?;
    socket.listen(listener.accept_backlog).map_err(fault)
}
