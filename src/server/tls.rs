//! TLS for the listeners: rustls with the aws-lc provider, certificates from PEM files, swapped without dropping
//! connections.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::ber::read::Reader;
use crate::ber::tag::{INTEGER, SEQUENCE, context_constructed};
use crate::config::ClientAuth;

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
    /// PEM certificates of the authorities that client certificates are checked against. Without the file clients are
    /// not asked for one.
    pub trust: Option<PathBuf>,
}

impl TlsFiles {
    fn stamps(&self) -> [Stamp; 3] {
        [stamp(&self.certificates), stamp(&self.key), self.trust.as_deref().and_then(stamp)]
    }
}

/// The TLS settings in force; new connections take the newest, old ones keep theirs.
pub struct TlsSettings {
    files: TlsFiles,
    choice: Choice,
    config: ArcSwap<ServerConfig>,
    /// Whether clients are asked for a certificate.
    client_auth: Mutex<ClientAuth>,
    /// The files as they were when they were read last.
    stamps: Mutex<[Stamp; 3]>,
    expires: AtomicI64,
}

/// What tells that a file is another one: inode, length, time of its change.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamp(file: &Path) -> Stamp {
    let data = std::fs::metadata(file).ok()?;
    Some((data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
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

/// Refuses protocols and cipher suites of which none is served; those that are not are passed over beside others.
pub(super) fn check_choice(protocols: &[String], suites: &[String]) -> Result<(), String> {
    let choice = Choice { protocols: protocols.to_vec(), suites: suites.to_vec() };
    let versions = choice.versions();
    if versions.is_empty() {
        return Err("ds-cfg-ssl-protocol: TLSv1.2 and TLSv1.3 are served".to_owned());
    }
    let served = rustls::crypto::aws_lc_rs::default_provider().cipher_suites;
    let of_versions =
        served.iter().filter(|suite| versions.iter().any(|version| **version == *suite.version()));
    let names: Vec<String> = of_versions.map(|suite| format!("{:?}", suite.suite())).collect();
    if suites.is_empty() || names.iter().any(|name| choice.has_suite(name)) {
        return Ok(());
    }
    let names: Vec<String> = names.iter().map(|name| name.replacen("TLS13_", "TLS_", 1)).collect();
    Err(format!("ds-cfg-ssl-cipher-suite: none of them is served; there are {}", names.join(", ")))
}

impl TlsSettings {
    /// Reads the files. `protocols` are `TLSv1.2` and `TLSv1.3`, none is both; `suites` are cipher suites by their
    /// registered names, none is all that are safe.
    pub fn open(
        files: TlsFiles,
        protocols: &[String],
        suites: &[String],
        client_auth: ClientAuth,
    ) -> Result<Self, TlsError> {
        let choice = Choice { protocols: protocols.to_vec(), suites: suites.to_vec() };
        let stamps = Mutex::new(files.stamps());
        let loaded = load(&files, &choice, client_auth)?;
        let expires = AtomicI64::new(loaded.expires);
        let client_auth = Mutex::new(client_auth);
        Ok(Self { files, choice, config: ArcSwap::from(loaded.config), client_auth, stamps, expires })
    }

    /// Reads the files again; on failure the settings stay as they are.
    pub fn reload(&self) -> Result<(), TlsError> {
        // Taken first: a change while they are read is seen as one.
        *self.stamps.lock().unwrap_or_else(PoisonError::into_inner) = self.files.stamps();
        let client_auth = *self.client_auth.lock().unwrap_or_else(PoisonError::into_inner);
        self.adopt(load(&self.files, &self.choice, client_auth)?);
        Ok(())
    }

    fn adopt(&self, loaded: Loaded) {
        self.config.store(loaded.config);
        self.expires.store(loaded.expires, Ordering::Relaxed);
    }

    /// Asks clients that connect from now on for a certificate, or does not; on failure the settings stay as they are.
    pub(super) fn set_client_auth(&self, client_auth: ClientAuth) -> Result<(), TlsError> {
        let mut current = self.client_auth.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != client_auth {
            self.adopt(load(&self.files, &self.choice, client_auth)?);
            *current = client_auth;
        }
        Ok(())
    }

    /// Whether a file is not the one that was read, or tried, last.
    pub(super) fn is_changed(&self) -> bool {
        *self.stamps.lock().unwrap_or_else(PoisonError::into_inner) != self.files.stamps()
    }

    /// When the server's certificate ends, in seconds since 1970.
    pub(super) fn expires(&self) -> Option<i64> {
        Some(self.expires.load(Ordering::Relaxed)).filter(|end| *end != UNKNOWN)
    }

    /// The settings for a new connection.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

/// The end of a certificate that does not tell it.
const UNKNOWN: i64 = i64::MIN;

struct Loaded {
    config: Arc<ServerConfig>,
    expires: i64,
}

/// The end of a certificate's validity (RFC 5280 §4.1.2.5), in seconds since 1970.
fn not_after(certificate: &[u8]) -> Option<i64> {
    let mut signed = Reader::new(certificate).nested(SEQUENCE).ok()?.nested(SEQUENCE).ok()?;
    signed.optional(context_constructed(0)).ok()?;
    signed.expect(INTEGER).ok()?;
    signed.expect(SEQUENCE).ok()?;
    signed.expect(SEQUENCE).ok()?;
    let mut validity = signed.nested(SEQUENCE).ok()?;
    validity.tlv().ok()?;
    let end = validity.tlv().ok()?;
    let text = std::str::from_utf8(end.content).ok()?;
    // UTCTime has two digits for the year, GeneralizedTime four.
    let text = match end.tag {
        0x17 if text.starts_with(['0', '1', '2', '3', '4']) => format!("20{text}"),
        0x17 => format!("19{text}"),
        _ => text.to_owned(),
    };
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text.trim_end_matches('Z')).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

fn fault(file: &Path, reason: impl Into<String>) -> TlsError {
    TlsError::File { file: file.to_owned(), reason: reason.into() }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| fault(file, error.to_string()))?;
    if found.is_empty() { Err(fault(file, "holds no PEM certificate")) } else { Ok(found) }
}

/// Who checks client certificates; none if clients are not asked for any.
fn verifier(
    files: &TlsFiles,
    client_auth: ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let is_required = match client_auth {
        ClientAuth::Disabled => return Ok(None),
        ClientAuth::Optional => false,
        ClientAuth::Required => true,
    };
    let Some(file) = files.trust.as_deref().filter(|file| file.exists()) else {
        if !is_required {
            return Ok(None);
        }
        let missing = files.trust.as_deref().unwrap_or_else(|| Path::new("(no trust manager provider)"));
        return Err(fault(
            missing,
            "ds-cfg-ssl-client-auth-policy is required, but there is no trust store to check certificates against",
        ));
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(file)? {
        roots.add(authority).map_err(|error| fault(file, error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map(Some).map_err(|error| fault(file, error.to_string()))
}

fn load(files: &TlsFiles, choice: &Choice, client_auth: ClientAuth) -> Result<Loaded, TlsError> {
    let chain = certificates(&files.certificates)?;
    let expires = chain.first().and_then(|own| not_after(own)).unwrap_or(UNKNOWN);
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fault(&files.key, error.to_string()))?;
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !choice.suites.is_empty() {
        provider.cipher_suites.retain(|suite| choice.has_suite(&format!("{:?}", suite.suite())));
    }
    let provider = Arc::new(provider);
    let verifier = verifier(files, client_auth, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&choice.versions())?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(chain, key)?;
    Ok(Loaded { config: Arc::new(config), expires })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(place: &Path) -> TlsFiles {
        let files = TlsFiles { certificates: place.join("own.pem"), key: place.join("own.key"), trust: None };
        let (certificate, key) = self_signed(&["cts.example.com".to_owned()]).unwrap();
        std::fs::write(&files.certificates, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        files
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let place = tempfile::tempdir().unwrap();
        let settings = TlsSettings::open(written(place.path()), &[], &[], ClientAuth::Optional).unwrap();
        // 2046-01-01T00:00:00Z, as made.
        assert_eq!(settings.expires(), Some(2_398_377_600));
        assert_eq!(not_after(b"\x30\x02\x05\x00"), None);
    }

    #[test]
    fn a_change_of_the_files_is_seen_once_and_a_bad_one_changes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let settings = TlsSettings::open(written(place.path()), &[], &[], ClientAuth::Optional).unwrap();
        let first = settings.current();
        assert!(!settings.is_changed());
        std::fs::write(place.path().join("own.pem"), "no certificate").unwrap();
        assert!(settings.is_changed());
        settings.reload().unwrap_err();
        assert!(!settings.is_changed(), "tried, and told once");
        assert!(Arc::ptr_eq(&first, &settings.current()));
        written(place.path());
        assert!(settings.is_changed());
        settings.reload().unwrap();
        assert!(!Arc::ptr_eq(&first, &settings.current()));
    }

    #[test]
    fn protocols_and_suites_are_chosen_by_their_registered_names() {
        let choice = |protocols: &[&str], suites: &[&str]| Choice {
            protocols: protocols.iter().map(|&name| name.to_owned()).collect(),
            suites: suites.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!(choice(&[], &[]).versions().len(), 2);
        assert_eq!(choice(&["TLSv1.3"], &[]).versions(), [&rustls::version::TLS13]);
        let one = choice(&[], &["TLS_AES_256_GCM_SHA384"]);
        assert!(one.has_suite("TLS13_AES_256_GCM_SHA384") && !one.has_suite("TLS13_AES_128_GCM_SHA256"));
        let check = |protocols: &[&str], suites: &[&str]| {
            let choice = choice(protocols, suites);
            check_choice(&choice.protocols, &choice.suites)
        };
        assert_eq!(check(&[], &[]), Ok(()));
        assert_eq!(
            check(&["TLSv1.2"], &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_NULL_MD5"]),
            Ok(())
        );
        assert!(check(&["SSLv3"], &[]).unwrap_err().contains("ssl-protocol"));
        for (protocols, suite) in [(&[][..], "NOPE"), (&["TLSv1.2"], "TLS_AES_256_GCM_SHA384")] {
            assert!(check(protocols, &[suite]).unwrap_err().contains("ssl-cipher-suite"));
        }
    }
}
