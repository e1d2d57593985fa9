//! What a connection asks of its socket, in clear or under TLS, and how it parts from it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::config::Listener;
use crate::protocol::encode;
use crate::protocol::result::LdapResult;

/// How long a client is given to take its last message and to close.
const LINGER: Duration = Duration::from_secs(2);

/// A stream to a client.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// Has closing throw away what the client did not take, instead of keeping it in the kernel for minutes.
    fn discard_on_close(&self);
}

impl Socket for TcpStream {
    fn discard_on_close(&self) {
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Socket for UnixStream {
    /// The kernel keeps nothing of a socket that is closed.
    fn discard_on_close(&self) {}
}

impl Socket for TlsStream<TcpStream> {
    fn discard_on_close(&self) {
        self.get_ref().0.discard_on_close();
    }
}

/// Sets the options of an accepted socket as its listener is configured.
pub(super) fn tune(stream: &TcpStream, listener: &Listener) {
    let _ = stream.set_nodelay(listener.tcp_no_delay);
}

/// Ends writing and reads on for a while: closing over unread octets would reset the connection, and the client might
/// never see the last message.
pub(super) async fn part(mut stream: impl Socket) {
    let parting = async {
        stream.shutdown().await?;
        let mut unread = [0_u8; 4096];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    if !matches!(tokio::time::timeout(LINGER, parting).await, Ok(Ok(()))) {
        stream.discard_on_close();
    }
}

/// Turns a client away, with a Notice of Disconnection if it can read one.
pub(super) async fn turn_away(mut stream: impl Socket, notice: Option<&LdapResult>) {
    if let Some(notice) = notice {
        let mut bytes = bytes::BytesMut::new();
        encode::notice_of_disconnection(&mut bytes, notice);
        // A fresh socket has room for it.
        if stream.write_all(&bytes).await.is_ok() {
            part(stream).await;
        }
    }
}

/// Reads what is there, at most [`CHUNK`] octets, into `input`; the number of octets, 0 at the end of the stream.
///
/// The octets go through a buffer of the thread, so that a connection that waits holds none.
pub(super) fn poll_read(
    stream: &mut impl Socket,
    context: &mut Context<'_>,
    input: &mut bytes::BytesMut,
) -> Poll<std::io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
}

/// Octets asked of a socket at once.
const CHUNK: usize = 64 * 1024;

thread_local! {
    static SCRATCH: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; CHUNK]);
}

/// The address without what only matters to the kernel.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::config::{ConfigChange, ConfigStore, Instance, SecretValue, SetupOptions};
    use crate::protocol::message::ModifyOperation;
    use crate::schema::SchemaStore;

    /// What the kernel says of an accepted socket after the property was set: nothing shows it from outside.
    #[tokio::test]
    async fn the_kernel_is_told_of_use_tcp_no_delay() {
        let place = tempfile::tempdir().unwrap();
        let root = SecretValue::new("{CLEAR}password".into());
        let options = SetupOptions::new(vec!["dc=example".to_owned()], "cn=root".to_owned(), root);
        let instance = Instance::create(&place.path().join("instance"), &options).unwrap();
        let schema = Arc::new(SchemaStore::builtin(true));
        let config = ConfigStore::open(&instance, schema, Arc::new(SystemClock::new())).unwrap();
        let ports = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        for name in ["LDAP Connection Handler", "HTTP Connection Handler"] {
            for (value, is_set) in [(None, true), (Some("false"), false), (Some("true"), true)] {
                if let Some(value) = value {
                    let change = ConfigChange {
                        operation: ModifyOperation::Replace,
                        attribute: "ds-cfg-use-tcp-no-delay".to_owned(),
                        values: vec![value.as_bytes().to_vec()],
                    };
                    config.modify(&format!("cn={name},cn=Connection Handlers,cn=config"), &[change]).unwrap();
                }
                let config = config.current();
                let listener = config.listeners.iter().find(|one| one.name == name).unwrap();
                let _client = TcpStream::connect(ports.local_addr().unwrap()).await.unwrap();
                let (accepted, _) = ports.accept().await.unwrap();
                tune(&accepted, listener);
                assert_eq!(accepted.nodelay().unwrap(), is_set, "{name} {value:?}");
            }
        }
    }
}
