//! TLS for the listeners: rustls with the aws-lc provider, certificates from PEM files, swapped without dropping
//! connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file cannot be read, or holds no certificate or key.
    #[error("{}: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not fit, or the library refuses them.
    #[error("certificate and key: {0}")]
    Config(#[from] rustls::Error),
    /// No certificate could be made.
    #[error("no self-signed certificate could be made: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// Where certificate chain and private key are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// PEM certificates, the server's own first.
    pub certificates: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

/// The TLS settings in force; new connections take the newest, old ones keep theirs.
pub struct TlsSettings {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
}

impl TlsSettings {
    /// Reads the files.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let config = load(&files)?;
        Ok(Self { files, config: ArcSwap::from(config) })
    }

    /// Reads the files again; on failure the settings stay as they are.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.config.store(load(&self.files)?);
        Ok(())
    }

    /// The settings for a new connection.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let fault = |file: &Path, reason: String| TlsError::File { file: file.to_owned(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect)
        .map_err(|error| fault(&files.certificates, error.to_string()))?;
    if chain.is_empty() {
        return Err(fault(&files.certificates, "holds no PEM certificate".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fault(&files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// A self-signed certificate for these host names (and localhost): PEM certificate and PEM key.
pub fn self_signed(hosts: &[String]) -> Result<(String, String), TlsError> {
    let mut names: Vec<String> = hosts.to_vec();
    for name in ["localhost", "127.0.0.1", "::1"] {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    let mut parameters = rcgen::CertificateParams::new(names)?;
    let common_name = hosts.first().map_or("localhost", String::as_str);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "ctsd self-signed certificate");
    // Twenty years: the operator's own certificate replaces it, a clock must not.
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2046, 1, 1);
    let key = rcgen::KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Strength in bits of the cipher a connection agreed on.
pub(super) fn strength(connection: &rustls::ServerConnection) -> u16 {
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    let name = suite.map(|suite| format!("{suite:?}")).unwrap_or_default();
    if name.contains("128") { 128 } else { 256 }
}
