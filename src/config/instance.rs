//! An instance directory: where things lie, and how a new one is made.
//!
//! | place | content |
//! |---|---|
//! | `config/config.ldif` | the configuration; `.startok` the last one that started |
//! | `config/archived-configs/` | copies of configurations that were replaced |
//! | `config/schema/` | schema files, loaded in lexical order |
//! | `config/tls/` | certificates and keys |
//! | `db/log/`, `db/index/` | the data |
//! | `logs/`, `bak/`, `locks/` | logs, backups, the pid file |

use std::path::{Path, PathBuf};

use super::ConfigError;
use super::persist::{self, OsFiles};
use super::snapshot::TlsFiles;
use super::store::check_whole;
use super::template::{BASE, CTS_INDEXES};
use super::tree::{ConfigEntry, ConfigTree};
use crate::name::Dn;
use crate::schema::{NormalizedDn, Schema, SchemaStore};

/// What an instance is set up for, beyond a directory with a base entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// OpenAM's token store: schema and indexes are there from the start (`am-cts`, `cts`).
    AmCts,
    /// The reference's open access policy (`compat`). The global ACIs themselves are given in
    /// [`SetupOptions::global_acis`].
    Compat,
}

impl Profile {
    /// The profile of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "am-cts" | "cts" => Some(Self::AmCts),
            "compat" => Some(Self::Compat),
            _ => None,
        }
    }
}

/// What a new instance's configuration is made of.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct SetupOptions {
    pub backend_id: String,
    pub base_dns: Vec<String>,
    pub root_dn: String,
    /// The root user's password, already in the form of a storage scheme.
    pub root_password: super::SecretValue,
    pub listen_addresses: Vec<String>,
    /// None leaves the LDAP port closed.
    pub ldap_port: Option<u16>,
    pub ldaps_port: Option<u16>,
    pub admin_port: u16,
    pub http_port: Option<u16>,
    pub start_tls: bool,
    /// Certificate and key of the LDAP ports; the files themselves are the caller's.
    pub tls: Option<TlsFiles>,
    pub profiles: Vec<Profile>,
    /// Texts of the global ACIs.
    pub global_acis: Vec<String>,
}

impl SetupOptions {
    /// The options of a plain instance: LDAP on 1389, administration on 4444.
    pub fn new(base_dns: Vec<String>, root_dn: String, root_password: super::SecretValue) -> Self {
        Self {
            backend_id: "userRoot".to_owned(),
            base_dns,
            root_dn,
            root_password,
            listen_addresses: vec!["0.0.0.0".to_owned()],
            ldap_port: Some(1389),
            ldaps_port: None,
            admin_port: 4444,
            http_port: None,
            start_tls: false,
            tls: None,
            profiles: Vec::new(),
            global_acis: Vec::new(),
        }
    }

    fn has(&self, profile: Profile) -> bool {
        self.profiles.contains(&profile)
    }
}

/// An instance directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    root: PathBuf,
}

impl Instance {
    /// The certificate of the administration connector, made by the server itself where there is none.
    pub const ADMIN_CERTIFICATE: &str = "config/tls/admin.pem";
    /// Its key.
    pub const ADMIN_KEY: &str = "config/tls/admin.key";

    /// An instance that is there. Fails if the directory holds no configuration.
    pub fn open(directory: &Path) -> Result<Self, ConfigError> {
        // What is told of places is to be found from elsewhere too.
        let root = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let instance = Self { root };
        if persist::is_file(&instance.config_file()) {
            Ok(instance)
        } else {
            Err(ConfigError::File {
                file: instance.config_file().display().to_string(),
                reason: "there is no instance here; make one with \"ctsd setup\"".to_owned(),
            })
        }
    }

    /// Makes a new instance: directories of mode 0700, schema files, the configuration. Everything is checked before
    /// anything is written, and `config.ldif` is written last, so that a half-made instance is not taken for one.
    /// Fails if there is one already.
    pub fn create(directory: &Path, options: &SetupOptions) -> Result<Self, ConfigError> {
        let instance = Self { root: directory.to_owned() };
        if persist::is_file(&instance.config_file()) {
            return Err(ConfigError::File {
                file: instance.config_file().display().to_string(),
                reason: "there is an instance here already".to_owned(),
            });
        }
        let with_cts = options.has(Profile::AmCts);
        let schema = SchemaStore::builtin(with_cts);
        let tree = Self::configuration(options, &schema.current())?;
        for place in [
            instance.root.clone(),
            instance.config_directory(),
            instance.schema_directory(),
            instance.tls_directory(),
            instance.archived_configs(),
            instance.log_directory(),
            instance.index_directory(),
            instance.logs_directory(),
            instance.backup_directory(),
            instance.locks_directory(),
        ] {
            persist::make_directory(&place)?;
        }
        crate::schema::load::install(&instance.schema_directory(), with_cts).map_err(|error| {
            ConfigError::File {
                file: instance.schema_directory().display().to_string(),
                reason: error.to_string(),
            }
        })?;
        persist::replace(&OsFiles, &instance.config_file(), &tree.to_ldif())?;
        Ok(instance)
    }

    /// The configuration that [`Self::create`] would write.
    pub fn configuration(options: &SetupOptions, schema: &Schema) -> Result<ConfigTree, ConfigError> {
        let id = &options.backend_id;
        if id.is_empty() || !id.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet)) {
            return Err(ConfigError::Value(
                "a backend id is made of letters, digits, hyphens and underscores".to_owned(),
            ));
        }
        for dn in options.base_dns.iter().chain([&options.root_dn]) {
            let parsed = Dn::parse(dn).map_err(|error| ConfigError::Dn(format!("{dn}: {error}")))?;
            if parsed.is_root() {
                return Err(ConfigError::Dn("a base DN or root DN must not be empty".to_owned()));
            }
        }
        let text = BASE.replace("=@BACKEND_ID@,", &format!("={id},"));
        let mut tree = ConfigTree::default();
        for (key, entry) in ConfigTree::parse(&text, "base.ldif", schema)?.iter() {
            let mut entry = entry.as_ref().clone();
            entry.rewrite(|value| fill(&value, options).unwrap_or_else(|| vec![value]));
            tree.insert(key.clone(), entry);
        }
        if options.has(Profile::AmCts) {
            for (attribute, kinds) in CTS_INDEXES {
                let dn = format!(
                    "ds-cfg-attribute={attribute},cn=Index,ds-cfg-backend-id={id},cn=Backends,cn=config"
                );
                let key =
                    NormalizedDn::parse(&dn, schema).map_err(|error| ConfigError::Dn(error.to_string()))?;
                let bytes = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
                tree.insert(
                    key,
                    ConfigEntry::new(
                        dn,
                        vec![
                            ("objectClass".to_owned(), bytes(&["top", "ds-cfg-backend-index"])),
                            ("ds-cfg-attribute".to_owned(), bytes(&[attribute])),
                            ("ds-cfg-index-type".to_owned(), bytes(kinds)),
                        ],
                    ),
                );
            }
        }
        check_whole(&tree, schema)?;
        Ok(tree)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A configured path: taken from the instance directory unless it is absolute.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// `config`.
    pub fn config_directory(&self) -> PathBuf {
        self.root.join("config")
    }

    /// `config/config.ldif`.
    pub fn config_file(&self) -> PathBuf {
        self.root.join("config/config.ldif")
    }

    /// `config/config.ldif.startok`.
    pub fn last_good_config_file(&self) -> PathBuf {
        self.root.join("config/config.ldif.startok")
    }

    /// `config/archived-configs`.
    pub fn archived_configs(&self) -> PathBuf {
        self.root.join("config/archived-configs")
    }

    /// `config/schema`.
    pub fn schema_directory(&self) -> PathBuf {
        self.root.join("config/schema")
    }

    /// `config/tls`.
    pub fn tls_directory(&self) -> PathBuf {
        self.root.join("config/tls")
    }

    /// `db/log`.
    pub fn log_directory(&self) -> PathBuf {
        self.root.join("db/log")
    }

    /// `db/index`.
    pub fn index_directory(&self) -> PathBuf {
        self.root.join("db/index")
    }

    /// `logs`.
    pub fn logs_directory(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// `bak`.
    pub fn backup_directory(&self) -> PathBuf {
        self.root.join("bak")
    }

    /// `locks`.
    pub fn locks_directory(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// `locks/admin.sock`: where the running server serves its own user.
    pub fn admin_socket(&self) -> PathBuf {
        self.root.join("locks/admin.sock")
    }

    /// `locks/server.pid`: held locked by the running server.
    pub fn pid_file(&self) -> PathBuf {
        self.root.join("locks/server.pid")
    }
}

/// What a word between `@` signs stands for; none if the value is no such word.
fn fill(value: &[u8], options: &SetupOptions) -> Option<Vec<Vec<u8>>> {
    let word = std::str::from_utf8(value).ok()?.strip_prefix('@')?.strip_suffix('@')?;
    let one = |text: &str| vec![text.as_bytes().to_vec()];
    let many = |texts: &[String]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let path = |path: Option<&PathBuf>, default: &str| match path {
        Some(path) => vec![path.as_os_str().as_encoded_bytes().to_vec()],
        None => one(default),
    };
    Some(match word {
        "BACKEND_ID" => one(&options.backend_id),
        "BASE_DN" => many(&options.base_dns),
        "GLOBAL_ACI" => many(&options.global_acis),
        "LISTEN_ADDRESS" => many(&options.listen_addresses),
        "LDAP_PORT" => one(&options.ldap_port.unwrap_or(389).to_string()),
        "LDAP_ENABLED" => one(&options.ldap_port.is_some().to_string()),
        "LDAPS_PORT" => one(&options.ldaps_port.unwrap_or(636).to_string()),
        "LDAPS_ENABLED" => one(&options.ldaps_port.is_some().to_string()),
        "ADMIN_PORT" => one(&options.admin_port.to_string()),
        "HTTP_PORT" => one(&options.http_port.unwrap_or(8080).to_string()),
        "HTTP_ENABLED" => one(&options.http_port.is_some().to_string()),
        "START_TLS" => one(&options.start_tls.to_string()),
        "CERTIFICATE" => path(options.tls.as_ref().map(|tls| &tls.certificate), "config/tls/server-cert.pem"),
        "KEY" => path(options.tls.as_ref().map(|tls| &tls.private_key), "config/tls/server-key.pem"),
        "ADMIN_CERTIFICATE" => one(Instance::ADMIN_CERTIFICATE),
        "ADMIN_KEY" => one(Instance::ADMIN_KEY),
        "ROOT_DN" => one(&options.root_dn),
        "ROOT_PASSWORD" => vec![options.root_password.expose().to_vec()],
        _ => return None,
    })
}
