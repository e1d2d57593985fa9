//! TLS for clients: whom to believe, and words for what went wrong.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
};

use super::client::{ClientError, Target};

/// Certificates of the system, where a system keeps them.
const SYSTEM: &[&str] = &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Which servers are believed.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// Every one (`--trustAll`).
    All,
    /// Those whose certificate, or whose authority's, stands in the PEM file.
    File(PathBuf),
    /// Those of the instance at hand, and those the system believes. The path is the instance's folder of certificates.
    Default(PathBuf),
}

/// Believes everyone, or certificates that are known octet by octet, or what the authorities vouch for.
#[derive(Debug)]
struct Verifier {
    all: bool,
    known: Vec<CertificateDer<'static>>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The very certificate says more than a name in it, so a self-signed one serves under any name.
        if self.all || self.known.iter().any(|known| known == certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => authorities.verify_server_cert(certificate, intermediates, name, ocsp, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let list = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{}: {error}; a PEM file is wanted", file.display()))?;
    if list.is_empty() {
        let hint = "holds no PEM certificate; convert a Java key store with keytool -exportcert -rfc";
        return Err(format!("{} {hint}", file.display()));
    }
    Ok(list)
}

fn trusted(trust: &Trust) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    match trust {
        Trust::All => Ok(Vec::new()),
        Trust::File(file) => {
            certificates(file).map_err(|reason| ClientError::File(format!("--trustStorePath {reason}")))
        }
        Trust::Default(folder) => {
            let mut known = Vec::new();
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "pem") {
                    known.extend(certificates(&path).unwrap_or_default());
                }
            }
            for path in SYSTEM {
                known.extend(certificates(Path::new(path)).unwrap_or_default());
            }
            Ok(known)
        }
    }
}

fn config(target: &Target) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let known = trusted(&target.trust)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(known.iter().cloned());
    let authorities = if roots.is_empty() {
        None
    } else {
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        Some(
            builder
                .build()
                .map_err(|error| ClientError::File(format!("the trusted certificates: {error}")))?,
        )
    };
    let verifier = Verifier {
        all: matches!(target.trust, Trust::All),
        known,
        authorities,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::File(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some(file) = &target.key_store else { return Ok(builder.with_no_client_auth()) };
    let fault = |reason: String| ClientError::File(format!("--keyStorePath {reason}"));
    let chain = certificates(file).map_err(fault)?;
    let key = PrivateKeyDer::from_pem_file(file).map_err(|error| {
        fault(format!("{}: {error}; certificate and key in one PEM file are wanted", file.display()))
    })?;
    builder.with_client_auth_cert(chain, key).map_err(|error| fault(error.to_string()))
}

/// A TLS failure of this target.
pub(super) fn fault(target: &Target, reason: String) -> ClientError {
    ClientError::Tls { host: target.host.clone(), port: target.port, reason }
}

/// Agrees on TLS over a connected stream.
pub(super) fn handshake(
    target: &Target,
    mut stream: TcpStream,
) -> Result<StreamOwned<ClientConnection, TcpStream>, ClientError> {
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| fault(target, format!("\"{}\" is no host name", target.host)))?;
    let config = Arc::new(config(target)?);
    let mut connection =
        ClientConnection::new(config, name).map_err(|error| fault(target, error.to_string()))?;
    stream.set_read_timeout(Some(target.timeout))?;
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut stream) {
            return Err(fault(target, reason(&error)));
        }
    }
    stream.set_read_timeout(None)?;
    Ok(StreamOwned::new(connection, stream))
}

fn reason(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        // Another self-signed certificate of the same name looks like one with a wrong signature.
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "the server's certificate is not trusted: name a PEM file that holds it with --trustStorePath, or believe \
             any with --trustAll"
                .to_owned()
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "the server's certificate is for another host name: check --hostname, or believe it with --trustAll"
            .to_owned(),
        Some(Error::InvalidMessage(_)) => {
            "what listens there does not speak TLS: --port has to name the administration port (4444) or an LDAPS port"
                .to_owned()
        }
        Some(other) => other.to_string(),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof
            || error.kind() == std::io::ErrorKind::ConnectionReset =>
        {
            "the server closed the connection: it does not speak TLS on that port, or wants a certificate of yours"
                .to_owned()
        }
        None if error.kind() == std::io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        None => error.to_string(),
    }
}
