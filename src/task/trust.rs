//! Which mail and web servers are believed: those whose own certificate is in a file, and those that the authorities in it,
//! or else of the system, vouch for. A server's name has to be its certificate's in either case.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Where systems keep their authorities.
const SYSTEM: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Who is believed.
#[derive(Debug)]
pub(super) struct Trusted {
    /// The file's certificates: a server that shows one of them is the one that was meant.
    known: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

/// The certificates of the file, or of the system, that TLS can use.
fn certificates(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let system = || SYSTEM.iter().map(PathBuf::from).find(|file| file.exists());
    let Some(file) = file.map(Path::to_owned).or_else(system) else {
        return Err(
            "there are no trusted authorities: name a file of them (ds-cfg-cts-task-trust-file)".to_owned()
        );
    };
    let fault = |reason: String| format!("the trusted certificates, {}: {reason}", file.display());
    let mut found: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&file)
        .and_then(Iterator::collect)
        .map_err(|error| fault(error.to_string()))?;
    found.retain(|one| RootCertStore::empty().add(one.clone()).is_ok());
    if found.is_empty() { Err(fault("no PEM certificate is in it".to_owned())) } else { Ok(found) }
}

impl Trusted {
    /// Reads the file; without one, the authorities of the system are believed.
    pub(super) fn read(file: Option<&Path>) -> Result<Arc<Self>, String> {
        let found = certificates(file)?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| error.to_string())?;
        let known = if file.is_some() { found } else { Vec::new() };
        Ok(Arc::new(Self { known, authorities }))
    }

    /// Refuses a server of this name that shows these certificates, its own first, unless it is believed.
    pub(super) fn check(&self, shown: &[CertificateDer<'_>], host: &str) -> Result<(), String> {
        let name = name(host)?;
        let (own, others) = shown.split_first().ok_or("the server showed no certificate")?;
        let verified = self.verify_server_cert(own, others, &name, &[], UnixTime::now());
        verified.map(drop).map_err(|error| error.to_string())
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // An authority's own certificate is refused as a server's by the rules for chains, and so would be most
        // self-signed ones.
        if self.known.iter().any(|known| known == own) {
            verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(own, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// A host as TLS names it.
pub(super) fn name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|_| "the host is no host name".to_owned())
}

/// How a client of a web server speaks TLS.
pub(super) fn client(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Trusted::read(file)?);
    Ok(Arc::new(builder.with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path(), Path::new("/nowhere/ca.pem")] {
            let fault = Trusted::read(Some(path)).unwrap_err();
            assert!(fault.contains(&path.display().to_string()), "{fault}");
        }
    }

    /// A certificate that names itself its authority is known by its octets; by another name it is not.
    #[test]
    fn a_certificate_in_the_file_is_believed_for_its_name() {
        let made = |is_authority| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut own = rcgen::CertificateParams::new(vec!["mail.example.com".to_owned()]).unwrap();
            if is_authority {
                own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }
            own.self_signed(&key).unwrap()
        };
        for is_authority in [false, true] {
            let own = made(is_authority);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), own.pem()).unwrap();
            let trusted = Trusted::read(Some(file.path())).unwrap();
            let shown = [own.der().clone()];
            assert_eq!(trusted.check(&shown, "mail.example.com"), Ok(()));
            assert!(trusted.check(&shown, "other.example.com").unwrap_err().contains("not valid for"));
            assert!(trusted.check(&[made(is_authority).der().clone()], "mail.example.com").is_err());
            assert!(trusted.check(&[], "mail.example.com").is_err());
        }
    }
}
