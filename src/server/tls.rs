//! TLS for the listeners: rustls with the aws-lc provider, certificates from PEM files, swapped without dropping
//! connections.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};

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
    choice: Choice,
    config: ArcSwap<ServerConfig>,
}

/// What the configuration lets clients choose from; empty is everything.
struct Choice {
    protocols: Vec<String>,
    suites: Vec<String>,
}

impl Choice {
    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let all: [(&str, &'static SupportedProtocolVersion); 2] =
            [("TLSv1.2", &rustls::version::TLS12), ("TLSv1.3", &rustls::version::TLS13)];
        let is_chosen = |name: &str| {
            self.protocols.is_empty() || self.protocols.iter().any(|it| it.eq_ignore_ascii_case(name))
        };
        all.into_iter().filter(|(name, _)| is_chosen(name)).map(|(_, version)| version).collect()
    }

    /// The library writes `TLS13_AES_…` where the registry has `TLS_AES_…`.
    fn has_suite(&self, name: &str) -> bool {
        let registered = name.replacen("TLS13_", "TLS_", 1);
        self.suites.iter().any(|it| it.eq_ignore_ascii_case(name) || it.eq_ignore_ascii_case(&registered))
    }
}

impl TlsSettings {
    /// Reads the files. `protocols` are `TLSv1.2` and `TLSv1.3`, none is both; `suites` are cipher suites by their
    /// registered names, none is all that are safe.
    pub fn open(files: TlsFiles, protocols: &[String], suites: &[String]) -> Result<Self, TlsError> {
        let choice = Choice { protocols: protocols.to_vec(), suites: suites.to_vec() };
        let config = load(&files, &choice)?;
        Ok(Self { files, choice, config: ArcSwap::from(config) })
    }

    /// Reads the files again; on failure the settings stay as they are.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.config.store(load(&self.files, &self.choice)?);
        Ok(())
    }

    /// The settings for a new connection.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

fn load(files: &TlsFiles, choice: &Choice) -> Result<Arc<ServerConfig>, TlsError> {
    let fault = |file: &Path, reason: String| TlsError::File { file: file.to_owned(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect)
        .map_err(|error| fault(&files.certificates, error.to_string()))?;
    if chain.is_empty() {
        return Err(fault(&files.certificates, "holds no PEM certificate".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fault(&files.key, error.to_string()))?;
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !choice.suites.is_empty() {
        provider.cipher_suites.retain(|suite| choice.has_suite(&format!("{:?}", suite.suite())));
    }
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&choice.versions())?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// Makes a certificate of the server's own where there is none yet.
pub(super) fn ensure_own(files: &TlsFiles) -> Result<(), TlsError> {
    if files.certificates.exists() || files.key.exists() {
        return Ok(());
    }
    let (certificate, key) = self_signed(&[])?;
    for (file, text) in [(&files.key, key), (&files.certificates, certificate)] {
        write_private(file, &text)
            .map_err(|error| TlsError::File { file: file.clone(), reason: error.to_string() })?;
    }
    Ok(())
}

/// Writes a new file that only its owner may read.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
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
