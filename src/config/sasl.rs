//! The SASL mechanisms and certificate mappers of the configuration.

use super::tree::{ConfigEntry, ConfigTree};
use crate::schema::{NormalizedDn, Schema};

/// What is offered besides simple binds. A configuration without the entries has the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslConfig {
    /// EXTERNAL: the certificate that the client showed in the TLS handshake.
    pub external: Option<ExternalSasl>,
    /// PLAIN: name and password, under TLS.
    pub plain: bool,
    /// The identity mapper of PLAIN's names.
    pub plain_mapper: Option<NormalizedDn>,
}

impl Default for SaslConfig {
    fn default() -> Self {
        Self { external: Some(ExternalSasl::default()), plain: true, plain_mapper: None }
    }
}

/// How EXTERNAL finds the entry of a certificate, and what it takes besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalSasl {
    /// From the certificate to the entry.
    pub mapper: CertificateMapper,
    /// Whether the entry has to hold the certificate.
    pub validation: CertificateValidation,
    /// The attribute that holds it (`userCertificate`).
    pub attribute: String,
}

impl Default for ExternalSasl {
    fn default() -> Self {
        Self {
            mapper: CertificateMapper::SubjectEqualsDn,
            validation: CertificateValidation::IfPresent,
            attribute: "userCertificate".to_owned(),
        }
    }
}

/// Whether the entry that a certificate maps to has to hold that certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateValidation {
    /// It has to.
    Always,
    /// It has to, unless it holds none.
    IfPresent,
    /// It need not.
    Never,
}

/// From a certificate to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateMapper {
    /// The subject is the entry's DN.
    SubjectEqualsDn,
    /// An attribute of the entry holds the subject.
    SubjectDnToAttribute {
        /// The entry's attribute.
        attribute: String,
        /// Where to look; empty is everywhere.
        bases: Vec<NormalizedDn>,
    },
    /// Attributes of the subject equal attributes of the entry.
    SubjectAttributes {
        /// Subject's attribute and entry's attribute.
        pairs: Vec<(String, String)>,
        /// Where to look; empty is everywhere.
        bases: Vec<NormalizedDn>,
    },
    /// An attribute of the entry holds the certificate's fingerprint.
    Fingerprint {
        /// The entry's attribute.
        attribute: String,
        /// By SHA-256 instead of SHA-1.
        sha256: bool,
        /// Where to look; empty is everywhere.
        bases: Vec<NormalizedDn>,
    },
}

impl SaslConfig {
    pub(super) fn read(tree: &ConfigTree, schema: &Schema) -> Self {
        let handler = |class: &str| tree.of_class(class).next().map(|(_, entry)| entry);
        let default = Self::default();
        Self {
            external: match handler("ds-cfg-external-sasl-mechanism-handler") {
                None => default.external,
                Some(entry) => external(entry, tree, schema),
            },
            plain: handler("ds-cfg-plain-sasl-mechanism-handler")
                .map_or(default.plain, |entry| entry.boolean("enabled")),
            plain_mapper: handler("ds-cfg-plain-sasl-mechanism-handler")
                .and_then(|entry| NormalizedDn::parse(entry.first("identity-mapper")?, schema).ok()),
        }
    }

    /// Names of the mechanisms that are offered.
    pub fn mechanisms(&self) -> impl Iterator<Item = &'static str> {
        let external = self.external.is_some().then_some("EXTERNAL");
        external.into_iter().chain(self.plain.then_some("PLAIN"))
    }
}

/// None where it is switched off, or its mapper is.
fn external(entry: &ConfigEntry, tree: &ConfigTree, schema: &Schema) -> Option<ExternalSasl> {
    if !entry.boolean("enabled") {
        return None;
    }
    let mapper = match entry.first("certificate-mapper") {
        None => CertificateMapper::SubjectEqualsDn,
        Some(dn) => {
            let mapper = tree.find(dn, schema).filter(|mapper| mapper.boolean("enabled"))?;
            certificate_mapper(mapper, schema)
        }
    };
    let validation =
        match entry.first("certificate-validation-policy").map(str::to_ascii_lowercase).as_deref() {
            Some("always") => CertificateValidation::Always,
            Some("never") => CertificateValidation::Never,
            _ => CertificateValidation::IfPresent,
        };
    let attribute = entry.first("certificate-attribute").unwrap_or("userCertificate").to_owned();
    Some(ExternalSasl { mapper, validation, attribute })
}

fn certificate_mapper(entry: &ConfigEntry, schema: &Schema) -> CertificateMapper {
    let bases = || {
        let texts = entry.setting("user-base-dn").into_iter();
        texts.filter_map(|text| NormalizedDn::parse(text, schema).ok()).collect()
    };
    if entry.has_class("ds-cfg-subject-dn-to-user-attribute-certificate-mapper") {
        let attribute = entry.first("subject-attribute").unwrap_or("ds-certificate-subject-dn").to_owned();
        CertificateMapper::SubjectDnToAttribute { attribute, bases: bases() }
    } else if entry.has_class("ds-cfg-subject-attribute-to-user-attribute-certificate-mapper") {
        let pair = |text: &str| {
            let (subject, user) = text.split_once(':').unwrap_or((text, text));
            (subject.trim().to_owned(), user.trim().to_owned())
        };
        let pairs = entry.setting("subject-attribute-mapping").into_iter().map(pair).collect();
        CertificateMapper::SubjectAttributes { pairs, bases: bases() }
    } else if entry.has_class("ds-cfg-fingerprint-certificate-mapper") {
        let algorithm = entry.first("fingerprint-algorithm").unwrap_or("sha1");
        CertificateMapper::Fingerprint {
            attribute: entry
                .first("fingerprint-attribute")
                .unwrap_or("ds-certificate-fingerprint")
                .to_owned(),
            sha256: algorithm.eq_ignore_ascii_case("sha256"),
            bases: bases(),
        }
    } else {
        CertificateMapper::SubjectEqualsDn
    }
}
