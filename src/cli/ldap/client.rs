//! One connection to a server: requests in turn, one at a time.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::{ClientConnection, StreamOwned};

use super::control::{OwnedControl, borrowed};
use super::tls;
use crate::ber::frame::{self, Cut};
use crate::protocol::message::MessageId;
use crate::protocol::oid;
use crate::protocol::request;
use crate::protocol::response::{self, Response, ResponseMessage};
use crate::protocol::result::{LdapResult, ResultCode};

/// Octets of the largest message taken from a server.
pub(in crate::cli) const MAX_MESSAGE: usize = 256 * 1024 * 1024;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(in crate::cli) enum ClientError {
    /// No connection: nobody listens, or the name is not known.
    #[error("cannot connect to {host}:{port}: {reason}")]
    Connect {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// What the system said.
        reason: String,
    },
    /// TLS could not be agreed on, or the certificate is not trusted.
    #[error("TLS with {host}:{port} failed: {reason}")]
    Tls {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file of certificates cannot be used.
    #[error("{0}")]
    File(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// What came is no answer.
    #[error("the server's answer cannot be read: {0}")]
    Malformed(String),
    /// The server refused what connecting takes (StartTLS), or announced that it disconnects.
    #[error("{what}: {}", .result.diagnostic)]
    Refused {
        /// What happened.
        what: &'static str,
        /// The server's words.
        result: LdapResult,
    },
    /// Output could not be written.
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
}

impl ClientError {
    /// The exit code: what OpenDJ's client library calls it.
    pub(in crate::cli) fn exit(&self) -> u8 {
        match self {
            Self::Connect { .. } | Self::Tls { .. } => 91,
            Self::File(_) | Self::Output(_) => 82,
            Self::Broken(_) | Self::Closed => 81,
            Self::Malformed(_) => 84,
            Self::Refused { result, .. } => super::exit_of(result.code),
        }
    }
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    Plain,
    Tls,
    StartTls,
}

/// Where to connect, and whom to believe.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) trust: tls::Trust,
    /// PEM file with the client's certificate and key.
    pub(super) key_store: Option<PathBuf>,
    pub(super) timeout: Duration,
}

enum Transport {
    Plain(TcpStream),
    /// The administration socket of an instance on this machine.
    Local(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Local(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Local(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Local(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// What ended an operation.
#[derive(Debug)]
pub(in crate::cli) struct Answer {
    pub(in crate::cli) result: LdapResult,
    pub(in crate::cli) controls: Vec<OwnedControl>,
    /// The value of an extended response, or the server's SASL credentials.
    pub(in crate::cli) value: Option<Vec<u8>>,
}

impl Answer {
    pub(in crate::cli) fn is_success(&self) -> bool {
        self.result.code == ResultCode::SUCCESS
    }

    /// The value of a response control.
    pub(in crate::cli) fn control(&self, oid: &str) -> Option<&[u8]> {
        self.controls.iter().find(|control| control.oid == oid)?.value.as_deref()
    }
}

/// A connection.
pub(in crate::cli) struct Client {
    transport: Transport,
    input: BytesMut,
    last: i32,
    /// Whether an unbind request is due at the end: not while StartTLS is under way.
    is_open: bool,
}

impl Client {
    /// Connects, and agrees on TLS if that is wanted.
    pub(super) fn connect(target: &Target) -> Result<Self, ClientError> {
        let stream = tcp(target)?;
        let is_open = target.security == Security::Plain;
        let transport = Transport::Plain(stream);
        let mut client = Self { transport, input: BytesMut::new(), last: 0, is_open };
        if target.security == Security::StartTls {
            let answer = client
                .ask(|out, id| request::extended(out, id, oid::START_TLS, None, &[]))
                .map_err(|error| tls::fault(target, error.to_string()))?;
            if !answer.is_success() {
                return Err(ClientError::Refused {
                    what: "the server refused StartTLS",
                    result: answer.result,
                });
            }
        }
        if target.security == Security::Plain {
            return Ok(client);
        }
        if let Transport::Plain(stream) = &client.transport {
            let stream = tls::handshake(target, stream.try_clone()?)?;
            client.transport = Transport::Tls(Box::new(stream));
            client.is_open = true;
        }
        Ok(client)
    }

    /// Connects to an administration socket, as the user that this process is.
    pub(super) fn connect_local(socket: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(socket)?;
        Ok(Self { transport: Transport::Local(stream), input: BytesMut::new(), last: 0, is_open: true })
    }

    /// The id of the next request.
    pub(super) fn next_id(&mut self) -> MessageId {
        self.last += 1;
        MessageId(self.last)
    }

    /// Sends what was encoded.
    pub(super) fn send(&mut self, octets: &[u8]) -> Result<(), ClientError> {
        self.transport.write_all(octets)?;
        self.transport.flush()?;
        Ok(())
    }

    /// The next whole message.
    pub(super) fn frame(&mut self) -> Result<Bytes, ClientError> {
        let mut chunk = vec![0_u8; 32 * 1024];
        loop {
            let cut = frame::cut(&mut self.input, MAX_MESSAGE);
            match cut.map_err(|error| ClientError::Malformed(error.to_string()))? {
                Cut::Message(message) => return Ok(message),
                Cut::Incomplete(_) => {}
            }
            let read = match self.transport.read(&mut chunk) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if read == 0 {
                return Err(ClientError::Closed);
            }
            self.input.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
    }

    /// Asks, and waits for the answer; entries and references that come before it are passed by.
    pub(in crate::cli) fn ask(
        &mut self,
        write: impl FnOnce(&mut BytesMut, MessageId),
    ) -> Result<Answer, ClientError> {
        self.ask_each(write, |_| Ok(()))
    }

    /// Asks, hands out what comes before the answer, and returns the answer.
    pub(in crate::cli) fn ask_each(
        &mut self,
        write: impl FnOnce(&mut BytesMut, MessageId),
        mut each: impl FnMut(&ResponseMessage<'_>) -> Result<(), ClientError>,
    ) -> Result<Answer, ClientError> {
        let id = self.next_id();
        let mut out = BytesMut::new();
        write(&mut out, id);
        self.send(&out)?;
        loop {
            let frame = self.frame()?;
            let message =
                response::decode(&frame).map_err(|error| ClientError::Malformed(error.to_string()))?;
            if message.id == MessageId(0) {
                let result = message.response.result().cloned().unwrap_or_else(LdapResult::success);
                return Err(ClientError::Refused { what: "the server disconnects", result });
            }
            if message.id != id {
                continue;
            }
            let Some(result) = message.response.result().cloned() else {
                each(&message)?;
                continue;
            };
            let value = match &message.response {
                Response::Extended { value, .. } => *value,
                Response::Bind { server_sasl, .. } => *server_sasl,
                _ => None,
            };
            return Ok(Answer {
                result,
                controls: message.controls.clone().map(OwnedControl::from).collect(),
                value: value.map(<[u8]>::to_vec),
            });
        }
    }

    /// Binds with a DN and a password; both empty: anonymously.
    pub(super) fn bind(
        &mut self,
        dn: &str,
        password: &[u8],
        controls: &[OwnedControl],
    ) -> Result<Answer, ClientError> {
        let controls = borrowed(controls);
        self.ask(|out, id| request::bind(out, id, dn, password, &controls))
    }

    /// Binds with SASL, in one step.
    pub(super) fn bind_sasl(
        &mut self,
        mechanism: &str,
        credentials: Option<&[u8]>,
        controls: &[OwnedControl],
    ) -> Result<Answer, ClientError> {
        let controls = borrowed(controls);
        self.ask(|out, id| request::bind_sasl(out, id, "", mechanism, credentials, &controls))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let id = self.next_id();
        let mut out = BytesMut::new();
        request::unbind(&mut out, id, &[]);
        let _ = self.send(&out);
        if let Transport::Tls(stream) = &mut self.transport {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }
}

fn tcp(target: &Target) -> Result<TcpStream, ClientError> {
    let fault =
        |reason: String| ClientError::Connect { host: target.host.clone(), port: target.port, reason };
    let addresses = (target.host.as_str(), target.port)
        .to_socket_addrs()
        .map_err(|error| fault(format!("the host name is not known ({error})")))?;
    let mut last = "the host has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, target.timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                last = "nobody listens there; is the server started, and is --port right?".to_owned();
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(fault(last))
}
