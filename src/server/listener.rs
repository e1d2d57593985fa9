//! Accepting connections and taking them through TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::connection::{Ended, SharedContext, drive};
use super::table::Table;
use super::tls::{TlsSettings, strength};
use crate::access::Requester;
use crate::operation::Directory;
use crate::session::{Limits, Peer, Session};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Makes the anonymous requester of a new connection.
pub(super) type Anonymous = Arc<dyn Fn(std::net::IpAddr, u16) -> Arc<Requester> + Send + Sync>;

/// What all connections of one listener share.
pub(super) struct Endpoint {
    pub(super) directory: Arc<Directory>,
    pub(super) context: SharedContext,
    pub(super) tls: Option<Arc<TlsSettings>>,
    /// TLS from the first byte, not by StartTLS.
    pub(super) implicit_tls: bool,
    pub(super) limits: Limits,
    pub(super) anonymous: Anonymous,
    pub(super) table: Arc<Table>,
    /// Connections at once at the most; 0 is no limit.
    pub(super) max_connections: u64,
}

/// Accepts until shutdown.
pub(super) async fn accept(listener: TcpListener, endpoint: Arc<Endpoint>) {
    let shutdown = endpoint.context.shutdown.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                let endpoint = Arc::clone(&endpoint);
                let tasks = endpoint.context.tasks.clone();
                tasks.spawn(async move { serve(stream, address, endpoint).await });
            }
            Err(error) => {
                // Out of file descriptors, mostly: the ones in use have to be closed first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Counts a connection for as long as it lives.
struct Counted {
    directory: Arc<Directory>,
    number: u64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.directory.metrics.disconnected();
        self.directory.access_log.disconnect(self.number, "Client Disconnect", "");
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, endpoint: Arc<Endpoint>) {
    let number = endpoint.table.number();
    let Ok(to) = stream.local_addr() else { return };
    let open = endpoint.directory.metrics.connected();
    let _counted = Counted { directory: Arc::clone(&endpoint.directory), number };
    let protocol = if endpoint.implicit_tls { "LDAPS" } else { "LDAP" };
    endpoint.directory.access_log.connect(number, address, to, protocol);
    if endpoint.max_connections > 0 && open > endpoint.max_connections {
        tracing::warn!(%address, limit = endpoint.max_connections, "too many connections: one is refused");
        return;
    }
    let _ = stream.set_nodelay(true);
    let start_tls = endpoint.tls.is_some() && !endpoint.implicit_tls;
    let peer = Peer { address, start_tls, security_strength: 0 };
    let requester = (endpoint.anonymous)(address.ip(), 0);
    let mut session =
        Session::new(Arc::clone(&endpoint.directory), requester, number, peer, endpoint.limits.clone());
    let since_ms = endpoint.directory.clock.wall_ms();
    let _seat = endpoint.table.enter(number, since_ms, (address, to), session.observer());
    if endpoint.implicit_tls {
        secured(stream, &mut session, &endpoint, address).await;
    } else if let Ended::StartTls(stream) = drive(stream, &mut session, &endpoint.context).await {
        secured(stream, &mut session, &endpoint, address).await;
    }
}

async fn secured(stream: TcpStream, session: &mut Session, endpoint: &Endpoint, address: SocketAddr) {
    let Some(tls) = &endpoint.tls else { return };
    let acceptor = TlsAcceptor::from(tls.current());
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "a TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(%address, "a TLS handshake took too long");
            return;
        }
    };
    let bits = strength(stream.get_ref().1);
    session.secured(bits, (endpoint.anonymous)(address.ip(), bits));
    let _ = drive(stream, session, &endpoint.context).await;
}
