//! Which mail and web servers are believed: those that the authorities of a file, or else of the system, vouch for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Where systems keep their authorities.
const SYSTEM: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The certificates of the authorities, those that TLS can use.
pub(super) fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let system = || SYSTEM.iter().map(PathBuf::from).find(|file| file.exists());
    let Some(file) = file.map(Path::to_owned).or_else(system) else {
        return Err(
            "there are no trusted authorities: name a file of them (ds-cfg-cts-task-trust-file)".to_owned()
        );
    };
    let fault = |reason: String| format!("the trusted authorities, {}: {reason}", file.display());
    let mut found: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&file)
        .and_then(Iterator::collect)
        .map_err(|error| fault(error.to_string()))?;
    found.retain(|one| RootCertStore::empty().add(one.clone()).is_ok());
    if found.is_empty() { Err(fault("no PEM certificate is in it".to_owned())) } else { Ok(found) }
}

/// How a client of a web server speaks TLS.
pub(super) fn client(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities(file)?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path(), Path::new("/nowhere/ca.pem")] {
            let fault = authorities(Some(path)).unwrap_err();
            assert!(fault.contains(&path.display().to_string()), "{fault}");
        }
    }
}
