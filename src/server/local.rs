//! The administration socket: `locks/admin.sock` of the instance. Who the kernel says is the server's own user, or root,
//! speaks LDAP over it as over the administration connector, and is the root user by SASL EXTERNAL.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};

use super::connection::{Bounds, Ended, Surroundings, drive};
use super::listener::{BLOCKED_WRITE, Counted, DRAIN, House, PAUSE};
use super::socket;
use crate::config::ListenerKind;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::session::{Limits, Peer, Reason, Session};
use crate::telemetry::Metrics;

/// What its connections are counted as.
const NAME: &str = "Administration Socket";
/// Octets of a request at the most, where there is no administration connector to take them from.
const REQUEST: usize = 5_000_000;
/// Nobody listens in on a socket of the machine.
const STRENGTH: u16 = 256;
/// Where its clients are, as logs and access control see it.
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The file of the socket; removed when dropped.
struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens, or says why not: the server serves without it too.
pub(super) fn open(house: &Arc<House>) {
    let path = house.instance.admin_socket();
    match bind(&path) {
        Ok(listener) => {
            let house = Arc::clone(house);
            let name = Name(path);
            house.tasks.clone().spawn(accept(listener, name, house));
        }
        Err(error) => tracing::warn!(
            path = %path.display(),
            %error,
            "there is no administration socket: tools without a password cannot ask this server"
        ),
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    // One that is there is of a server that did not end in order: the instance is locked.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A path that the system takes no more of (108 octets) is an error here.
    let listener = UnixListener::bind(path)?;
    // Who connects before this is looked at all the same.
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Whether a client of this user is let in.
const fn is_owner(user: u32, own: u32) -> bool {
    user == own || user == 0
}

async fn accept(listener: UnixListener, _name: Name, house: Arc<House>) {
    let own = rustix::process::geteuid().as_raw();
    let metrics = house.meters.of(NAME);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = house.shutdown.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let is_owner = stream.peer_cred().is_ok_and(|peer| is_owner(peer.uid(), own));
        house.tasks.spawn(serve(stream, is_owner, Arc::clone(&metrics), Arc::clone(&house)));
    }
}

async fn serve(stream: UnixStream, is_owner: bool, metrics: Arc<Metrics>, house: Arc<House>) {
    let directory = &house.directory;
    let number = house.table.number();
    metrics.connected();
    let mut counted = Counted { directory, metrics: &metrics, number, reason: Reason::Rejected };
    directory.access_log.connect(number, HERE, HERE, "LDAPI");
    if !is_owner {
        let text = "only the user that the server runs as, and root, may use the administration socket";
        let notice = LdapResult::new(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, text);
        return socket::turn_away(stream, Some(&notice)).await;
    }
    let message = {
        let config = directory.config.load();
        let connector = config.listeners.iter().find(|it| it.kind == ListenerKind::Administration);
        connector.map_or(REQUEST, |connector| connector.max_request_size)
    };
    let around = Surroundings {
        bounds: Bounds { message, blocked_write: BLOCKED_WRITE, drain: DRAIN },
        table: Arc::clone(&house.table),
        tasks: house.tasks.clone(),
    };
    let peer = Peer {
        address: HERE,
        start_tls: false,
        security_strength: STRENGTH,
        is_administrative: true,
        is_owner: true,
    };
    let requester = directory.anonymous(HERE.ip(), STRENGTH);
    let metrics = Arc::clone(&metrics);
    let mut session =
        Session::new(Arc::clone(directory), requester, number, peer, Limits::default(), metrics);
    let _seat = house.table.enter(number, directory.clock.wall_ms(), (HERE, HERE), session.observer());
    counted.reason = match drive(stream, &mut session, &around).await {
        Ended::Closed(reason) => reason,
        // StartTLS is refused.
        Ended::StartTls(_) => Reason::TlsFailure,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_user_and_root_are_let_in() {
        assert!(is_owner(0, 0) && is_owner(0, 990) && is_owner(990, 990));
        assert!(!is_owner(65534, 0) && !is_owner(991, 990));
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_long_path_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(bind(&path).unwrap());
        assert!(path.exists(), "as after a crash");
        let _listener = bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(UnixStream::connect(&path).await.is_ok());
        let long = folder.path().join("x".repeat(100));
        assert_eq!(bind(&long).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        drop(Name(path.clone()));
        assert!(!path.exists());
    }
}
