//! Accepting connections, turning away those that are not admitted, and taking the others through TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Bounds, Ended, Surroundings, drive};
use super::lanes::{Berth, Lanes};
use super::socket;
use super::table::Table;
use super::tls::{TlsSettings, strength};
use crate::access::ClientAddresses;
use crate::auth::ClientCertificate;
use crate::backend::DataStore;
use crate::config::{Instance, Listener, ListenerKind};
use crate::operation::Directory;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::session::{Limits, Peer, Reason, Session};
use crate::telemetry::{Meters, Metrics};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests in flight are waited for when the server stops.
pub(super) const DRAIN: Duration = Duration::from_secs(10);
/// How long a client may refuse its answers where the configuration sets no limit.
pub(super) const BLOCKED_WRITE: Duration = Duration::from_secs(120);
/// How long a host name of the configuration may take to resolve.
const RESOLVE: Duration = Duration::from_secs(2);
/// A wait before accepting again when the system refuses.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// What all connections of the server share.
pub(super) struct House {
    pub(super) directory: Arc<Directory>,
    pub(super) backend: Arc<DataStore>,
    pub(super) instance: Instance,
    pub(super) started_ms: u64,
    pub(super) meters: Arc<Meters>,
    pub(super) table: Arc<Table>,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
    /// Tasks of `cn=Tasks`.
    pub(super) cn_tasks: Arc<crate::task::CnTasks>,
    /// Set once somebody asks the server to stop: whether it is to start again.
    pub(super) wish: tokio::sync::watch::Sender<Option<bool>>,
}

/// What all connections of one listener share. What may change while it listens is looked up for each connection.
pub(super) struct Endpoint {
    pub(super) house: Arc<House>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) name: String,
    pub(super) kind: ListenerKind,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tls: ArcSwapOption<TlsSettings>,
    /// TLS from the first byte, not by StartTLS.
    pub(super) implicit_tls: bool,
}

impl Endpoint {
    /// Its configuration now.
    pub(super) fn listener(&self) -> Option<Listener> {
        let config = self.house.directory.config.load();
        config.listeners.iter().find(|it| it.kind == self.kind && it.name == self.name).cloned()
    }

    /// Why a client is not admitted.
    async fn refusal(
        &self,
        listener: &Listener,
        address: SocketAddr,
        (open, of_address): (u64, u64),
    ) -> Option<LdapResult> {
        if !is_admitted(listener, address.ip()).await {
            let text = "this client is not admitted (ds-cfg-allowed-client, ds-cfg-denied-client)";
            return Some(LdapResult::new(ResultCode::CONSTRAINT_VIOLATION, text));
        }
        let (most, most_of_one) = {
            let config = self.house.directory.config.load();
            (config.global.max_client_connections, config.global.max_connections_per_address)
        };
        let (most, most_of_one) = (u64::from(most), u64::from(most_of_one));
        // The administrator gets in whatever the clients do.
        if most > 0 && open > most && self.kind != ListenerKind::Administration {
            tracing::warn!(%address, limit = most, "too many connections: one is turned away");
            let text =
                format!("{most} connections are open, the limit (ds-cfg-max-allowed-client-connections)");
            return Some(LdapResult::with(ResultCode::ADMIN_LIMIT_EXCEEDED, text));
        }
        if most_of_one > 0 && of_address > most_of_one && self.kind != ListenerKind::Administration {
            tracing::warn!(%address, limit = most_of_one, "too many connections of one address: one is turned away");
            let text = format!(
                "{most_of_one} connections of this address are open, the limit \
                 (ds-cfg-cts-max-connections-per-address)"
            );
            return Some(LdapResult::with(ResultCode::ADMIN_LIMIT_EXCEEDED, text));
        }
        None
    }
}

/// Whether the lists of the listener let clients of this address in.
pub(super) async fn is_admitted(listener: &Listener, address: IpAddr) -> bool {
    let (denied, allowed) = (&listener.denied_clients, &listener.allowed_clients);
    (denied.is_empty() || !is_named(denied, address, true).await)
        && (allowed.is_empty() || is_named(allowed, address, false).await)
}

/// Whether the texts name the address: as addresses and networks, or as hosts whose names the system resolves to it. What
/// cannot be resolved in time counts as `unresolved`: a list of who is denied must not let somebody in for that.
async fn is_named(texts: &[String], address: IpAddr, unresolved: bool) -> bool {
    if ClientAddresses::of(texts).contains(address) {
        return true;
    }
    for name in ClientAddresses::host_names(texts) {
        let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((name, 0))).await;
        match found {
            Ok(Ok(mut found)) => {
                if found.any(|one| one.ip().to_canonical() == address) {
                    return true;
                }
            }
            Ok(Err(_)) | Err(_) if unresolved => {
                tracing::warn!(name, "a name of ds-cfg-denied-client does not resolve: the client is denied");
                return true;
            }
            Ok(Err(_)) | Err(_) => tracing::warn!(name, "a name of ds-cfg-allowed-client does not resolve"),
        }
    }
    false
}

/// Accepts until the port is closed.
pub(super) async fn accept(socket: Arc<TcpListener>, endpoint: Arc<Endpoint>, closing: CancellationToken) {
    let mut failures = 0_u64;
    loop {
        let accepted = tokio::select! {
            // First: a port that was closed accepts with an error.
            biased;
            () = closing.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                failures = 0;
                let endpoint = Arc::clone(&endpoint);
                let tasks = endpoint.house.tasks.clone();
                let address = socket::plain(address);
                let Ok(stream) = stream.into_std() else { continue };
                if endpoint.kind == ListenerKind::Administration {
                    // What an administrator does may wait for files; it must not hold up a lane.
                    tasks.spawn(serve(stream, address, endpoint, None));
                } else {
                    let lanes = Arc::clone(&endpoint.lanes);
                    lanes.deal(&tasks, |berth| serve(stream, address, endpoint, Some(berth)));
                }
            }
            Err(error) => {
                // Out of file descriptors, mostly: some in use have to be closed first.
                if failures.is_multiple_of(100) {
                    tracing::error!(%error, "connections cannot be accepted");
                }
                failures += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Counts a connection for as long as it lives, and says why it ended.
pub(super) struct Counted<'a> {
    pub(super) directory: &'a Directory,
    pub(super) metrics: &'a Metrics,
    pub(super) number: u64,
    pub(super) reason: Reason,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.metrics.disconnected();
        self.directory.access_log.disconnect(self.number, self.reason.text(), "");
    }
}

async fn serve(
    stream: std::net::TcpStream,
    address: SocketAddr,
    endpoint: Arc<Endpoint>,
    berth: Option<Berth>,
) {
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let house = Arc::clone(&endpoint.house);
    let directory = &house.directory;
    let number = house.table.number();
    let Ok(to) = stream.local_addr() else { return };
    let to = socket::plain(to);
    let metrics = &*endpoint.metrics;
    metrics.connected();
    let open = house.meters.open_connections();
    let mut counted = Counted { directory, metrics, number, reason: Reason::ClientDisconnect };
    let protocol = if endpoint.implicit_tls { "LDAPS" } else { "LDAP" };
    directory.access_log.connect(number, address, to, protocol);
    let Some(listener) = endpoint.listener() else { return };
    let place = house.table.place(address.ip());
    if let Some(notice) = endpoint.refusal(&listener, address, (open, place.held())).await {
        counted.reason = Reason::Rejected;
        // While one that is turned away takes its leave, it takes nobody's place.
        drop((counted, place));
        // Without a handshake nobody could read it under TLS.
        let is_told = listener.send_rejection_notice && !endpoint.implicit_tls;
        return socket::turn_away(stream, is_told.then_some(&notice)).await;
    }
    socket::tune(&stream, &listener);
    let around = Surroundings {
        bounds: Bounds {
            message: listener.max_request_size,
            blocked_write: listener.max_blocked_write_time.unwrap_or(BLOCKED_WRITE),
            drain: DRAIN,
        },
        table: Arc::clone(&house.table),
        tasks: house.tasks.clone(),
    };
    let tls = endpoint.tls.load_full();
    let start_tls = listener.allow_start_tls && tls.is_some() && !endpoint.implicit_tls;
    drop(listener);
    let is_administrative = endpoint.kind == ListenerKind::Administration;
    let peer = Peer { address, start_tls, security_strength: 0, is_administrative, is_owner: false };
    let requester = directory.anonymous(address.ip(), 0);
    let metrics = Arc::clone(&endpoint.metrics);
    let limits = Limits::default();
    let mut session = Session::new(Arc::clone(directory), requester, number, peer, limits, metrics);
    if let Some(berth) = &berth {
        session.served_by(berth.courier());
    }
    let since_ms = directory.clock.wall_ms();
    let _seat = house.table.enter(number, since_ms, (address, to), session.observer());
    let clear = if endpoint.implicit_tls {
        Ended::StartTls(stream)
    } else {
        drive(stream, &mut session, &around).await
    };
    counted.reason = match (clear, tls) {
        (Ended::Closed(reason), _) => reason,
        (Ended::StartTls(_), None) => Reason::TlsFailure,
        // Boxed: connections in clear need not carry the room that TLS takes.
        (Ended::StartTls(stream), Some(tls)) => {
            Box::pin(secured(stream, tls, &mut session, &around, &house)).await
        }
    };
}

async fn secured(
    stream: TcpStream,
    tls: Arc<TlsSettings>,
    session: &mut Session,
    around: &Surroundings,
    house: &House,
) -> Reason {
    let address = stream.peer_addr().ok();
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(HANDSHAKE, handshake) => handshake,
        () = house.shutdown.cancelled() => return Reason::ServerShutdown,
    };
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(?address, %error, "a TLS handshake failed");
            return Reason::TlsFailure;
        }
        Err(_) => {
            tracing::debug!(?address, "a TLS handshake took too long");
            return Reason::TlsFailure;
        }
    };
    let tls = stream.get_ref().1;
    let bits = strength(tls);
    let shown = tls.peer_certificates().and_then(|chain| chain.first());
    let certificate = shown.and_then(|certificate| ClientCertificate::parse(certificate));
    let address = session.requester().address;
    session.secured(bits, certificate, house.directory.anonymous(address, bits));
    match drive(stream, session, around).await {
        Ended::Closed(reason) => reason,
        // StartTLS is refused under TLS.
        Ended::StartTls(_) => Reason::TlsFailure,
    }
}
