//! A client that sends and reads messages, in clear or under TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ctsd::ber::frame::{Cut, cut};
use ctsd::protocol::filter_text;
use ctsd::protocol::message::{Control, MessageId, ModifyOperation, Scope};
use ctsd::protocol::request::{self, Search};
use ctsd::protocol::response::{self, Response};
use ctsd::protocol::result::LdapResult;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::trust::Trust;

/// How long what must come is waited for before the test fails: it costs nothing where it comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// An entry: its DN, and its attributes with lower-case names.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) dn: String,
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Found {
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let name = name.to_lowercase();
        let own = self.attributes.iter().filter(|(other, _)| *other == name);
        own.flat_map(|(_, values)| values).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

/// What a request was answered with.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The result code; none when the connection ended without one.
    pub(crate) code: Option<u32>,
    pub(crate) text: String,
    pub(crate) found: Vec<Found>,
    /// The value of an extended response.
    pub(crate) value: Vec<u8>,
    /// It is a Notice of Disconnection.
    pub(crate) is_notice: bool,
}

impl Answer {
    pub(crate) fn is(&self, code: u32) -> bool {
        self.code == Some(code)
    }
}

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    input: BytesMut,
    next: i32,
}

fn socket(address: SocketAddr, from: Option<[u8; 4]>) -> Option<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    if let Some(from) = from {
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    }
    socket.connect(&address.into()).ok()?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    Some(stream)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Whether somebody listens.
pub(crate) fn listens(address: [u8; 4], port: u16) -> bool {
    TcpStream::connect(SocketAddr::from((address, port))).is_ok()
}

/// What a HTTP port answers; none if it does not.
pub(crate) fn http(port: u16, from: Option<[u8; 4]>, path: &str, more: &str) -> Option<String> {
    let mut stream = socket(local(port), from)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n{more}Connection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    (!text.is_empty()).then_some(text)
}

/// How TLS is spoken.
#[derive(Default)]
pub(crate) struct Tls<'a> {
    pub(crate) version: Option<&'static rustls::SupportedProtocolVersion>,
    pub(crate) suite: Option<rustls::CipherSuite>,
    pub(crate) identity: Option<&'a (CertificateDer<'static>, PrivateKeyDer<'static>)>,
}

/// A connection under TLS, and the server's certificate.
pub(crate) type Secured = (Client, Vec<u8>);

/// The handshake, with a byte read where the server has to look at the client's certificate first; none if it fails.
pub(crate) fn secure(stream: TcpStream, tls: &Tls<'_>) -> Option<StreamOwned<ClientConnection, TcpStream>> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if let Some(wanted) = tls.suite {
        provider.cipher_suites.retain(|suite| suite.suite() == wanted);
    }
    let versions = tls.version.map_or_else(|| rustls::ALL_VERSIONS.to_vec(), |version| vec![version]);
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust(None)));
    let config = match tls.identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            config.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).ok()?;
    }
    Some(stream)
}

impl Client {
    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), input: BytesMut::new(), next: 1 }
    }

    /// In clear; panics if nobody listens.
    pub(crate) fn clear(port: u16) -> Self {
        Self::over(socket(local(port), None).expect("nobody listens"))
    }

    /// In clear, from another address of this machine.
    pub(crate) fn from(port: u16, address: [u8; 4]) -> Self {
        Self::over(socket(local(port), Some(address)).expect("nobody listens"))
    }

    /// In clear, with small buffers: who does not read is full soon.
    pub(crate) fn narrow(port: u16) -> Self {
        let stream = socket(local(port), None).expect("nobody listens");
        socket2::SockRef::from(&stream).set_recv_buffer_size(32_768).unwrap();
        Self::over(stream)
    }

    /// Under TLS, with the server's certificate; none if the handshake fails, or the first request after it: under TLS 1.3
    /// a certificate that is missed shows only then.
    pub(crate) fn tls(port: u16, tls: &Tls<'_>) -> Option<Secured> {
        let stream = secure(socket(local(port), None)?, tls)?;
        let shown = stream.conn.peer_certificates()?.first()?.to_vec();
        let mut client = Self::over(stream);
        let answer = client.search("", Scope::Base, "(objectClass=*)", &["1.1"]);
        answer.code.is_some().then_some((client, shown))
    }

    /// After StartTLS; none if that is refused.
    pub(crate) fn start_tls(port: u16) -> Option<Self> {
        let stream = socket(local(port), None)?;
        let mut first = Self::over(stream.try_clone().unwrap());
        if !first.extended(ctsd::protocol::oid::START_TLS, None, &[]).is(0) {
            return None;
        }
        Some(Self::over(secure(stream, &Tls::default())?))
    }

    /// Whether the root DSE answers.
    pub(crate) fn ping(&mut self) -> bool {
        self.search("", Scope::Base, "(objectClass=*)", &["1.1"]).is(0)
    }

    /// Sends octets as they are; false if the connection is gone.
    pub(crate) fn send(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Sends octets without reading until the server takes no more; the error that ends it.
    pub(crate) fn stuff(&mut self, octets: &[u8]) -> std::io::Error {
        loop {
            if let Err(error) = self.stream.write_all(octets).and_then(|()| self.stream.flush()) {
                return error;
            }
        }
    }

    pub(crate) fn message(&mut self) -> Option<Bytes> {
        let mut is_late = false;
        loop {
            match cut(&mut self.input, usize::MAX) {
                Ok(Cut::Message(message)) => return Some(message),
                Ok(_) => {}
                // The alert of a port that speaks TLS.
                Err(_) => return None,
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(octets) => self.input.extend_from_slice(&buffer[..octets]),
                Err(error) => {
                    use std::io::ErrorKind::{TimedOut, WouldBlock};
                    if !matches!(error.kind(), WouldBlock | TimedOut) {
                        return None;
                    }
                    // Once may be that the machine stood still.
                    assert!(!is_late, "no answer in {PATIENCE:?}, twice");
                    is_late = true;
                }
            }
        }
    }

    /// Everything up to the next result.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        while let Some(message) = self.message() {
            let message = response::decode(&message).unwrap();
            match &message.response {
                Response::Entry { dn, attributes } => {
                    let attributes = attributes.iter().map(|attribute| {
                        let values = attribute.values.iter().map(<[u8]>::to_vec).collect();
                        (attribute.description.to_lowercase(), values)
                    });
                    answer.found.push(Found { dn: (*dn).to_owned(), attributes: attributes.collect() });
                }
                other => {
                    if let Response::Extended { value: Some(value), .. } = other {
                        answer.value = value.to_vec();
                    }
                    if let Some(LdapResult { code, diagnostic, .. }) = other.result() {
                        answer.code = Some(code.0);
                        answer.text = diagnostic.to_string();
                        answer.is_notice = message.id.0 == 0;
                        return answer;
                    }
                }
            }
        }
        answer
    }

    pub(crate) fn written(&mut self, write: impl FnOnce(&mut BytesMut, MessageId)) -> BytesMut {
        let mut out = BytesMut::new();
        write(&mut out, MessageId(self.next));
        self.next += 1;
        out
    }

    pub(crate) fn ask(&mut self, write: impl FnOnce(&mut BytesMut, MessageId)) -> Answer {
        let octets = self.written(write);
        self.send(&octets);
        self.answer()
    }

    pub(crate) fn bind(&mut self, dn: &str, password: &str) -> Answer {
        self.ask(|out, id| request::bind(out, id, dn, password.as_bytes(), &[]))
    }

    pub(crate) fn sasl(&mut self, mechanism: &str, credentials: Option<&[u8]>) -> Answer {
        self.ask(|out, id| request::bind_sasl(out, id, "", mechanism, credentials, &[]))
    }

    pub(crate) fn search(&mut self, base: &str, scope: Scope, filter: &str, names: &[&str]) -> Answer {
        self.search_with(base, scope, filter, names, &[])
    }

    pub(crate) fn search_with(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        names: &[&str],
        controls: &[Control<'_>],
    ) -> Answer {
        let filter = filter_text::parse(filter).unwrap();
        let search = Search { scope, filter, attributes: names, ..Search::base(base) };
        self.ask(|out, id| request::search(out, id, &search, controls))
    }

    /// The values of an attribute of an entry.
    pub(crate) fn values(&mut self, dn: &str, name: &str) -> Vec<String> {
        let answer = self.search(dn, Scope::Base, "(objectClass=*)", &[name]);
        answer.found.first().map(|found| found.texts(name)).unwrap_or_default()
    }

    pub(crate) fn add(&mut self, dn: &str, attributes: &[(&str, &str)]) -> Answer {
        let mut merged: Vec<(&str, Vec<&[u8]>)> = Vec::new();
        for (name, value) in attributes {
            match merged.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value.as_bytes()),
                None => merged.push((name, vec![value.as_bytes()])),
            }
        }
        let list: Vec<_> = merged.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        self.ask(|out, id| request::add(out, id, dn, &list, &[]))
    }

    pub(crate) fn replace(&mut self, dn: &str, name: &str, values: &[&[u8]]) -> Answer {
        let change = [(ModifyOperation::Replace, (name, values))];
        self.ask(|out, id| request::modify(out, id, dn, &change, &[]))
    }

    pub(crate) fn extended(&mut self, name: &str, value: Option<&[u8]>, controls: &[Control<'_>]) -> Answer {
        self.ask(|out, id| request::extended(out, id, name, value, controls))
    }
}
