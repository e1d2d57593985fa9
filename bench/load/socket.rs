//! The socket of a connection, with TLS or without.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

/// What TLS needs for all connections; whoever answers is believed.
pub(crate) fn client_config() -> Result<Arc<ClientConfig>, Box<dyn Error>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believer(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Lets the process have so many sockets, if it may.
pub(crate) fn make_room(sockets: usize) -> Result<(), Box<dyn Error>> {
    let limits = getrlimit(Resource::Nofile);
    let wanted = sockets as u64 + 64;
    if limits.current.is_some_and(|current| current < wanted) {
        let allowed = limits.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: limits.maximum })?;
        if allowed < wanted {
            return Err(format!("{wanted} open files are needed, {allowed} are allowed (ulimit -n)").into());
        }
    }
    Ok(())
}

/// A socket, blocking until [`Socket::poll_from_now`].
#[derive(Debug)]
pub(crate) struct Blocking {
    stream: std::net::TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Blocking {
    /// Connects, and ends the handshake of TLS if there is one.
    pub(crate) fn connect(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::from(address.ip());
                Some(Box::new(ClientConnection::new(Arc::clone(config), name)?))
            }
        };
        while let Some(tls) = tls.as_deref_mut().filter(|tls| tls.is_handshaking()) {
            tls.complete_io(&mut stream)?;
        }
        Ok(Self { stream, tls })
    }

    /// Ends blocking.
    pub(crate) fn poll_from_now(self) -> io::Result<Socket> {
        self.stream.set_nonblocking(true)?;
        Ok(Socket { stream: TcpStream::from_std(self.stream), tls: self.tls })
    }
}

impl Read for Blocking {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.tls.as_deref_mut() {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).read(out),
            None => self.stream.read(out),
        }
    }
}

impl Write for Blocking {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.tls.as_deref_mut() {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).write(octets),
            None => self.stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.tls.as_deref_mut() {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).flush(),
            None => self.stream.flush(),
        }
    }
}

/// A socket that is polled.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Socket {
    /// Reads once. A read that brings less than asked for has emptied a socket without TLS; with TLS only
    /// `WouldBlock` says so.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = self.tls.as_deref_mut() else { return self.stream.read(out) };
        loop {
            match tls.reader().read(out) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Whether a short read has emptied the socket.
    pub(crate) const fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Writes; fewer octets than given may be taken.
    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.tls.as_deref_mut() {
            Some(tls) => {
                let taken = tls.writer().write(octets)?;
                self.push()?;
                if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
            }
            None => self.stream.write(octets),
        }
    }

    /// Gives the network what TLS holds back.
    pub(crate) fn push(&mut self) -> io::Result<()> {
        let Some(tls) = self.tls.as_deref_mut() else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
