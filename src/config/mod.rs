//! The configuration: `cn=config` as entries, checked, persisted and read as a typed snapshot.
//!
//! One source of truth: the entries. [`Config`] is what the server reads; [`ConfigStore`] is the only way to change
//! either. What an operator may set is listed once, in [`components`]. Names are OpenDJ's where it has one,
//! `ds-cfg-cts-*` where it has none. Nothing here knows what a setting does: who obeys it asks for the snapshot, or
//! leaves a hook.

pub mod components;
pub mod properties;

mod check;
mod destination;
mod error;
mod instance;
mod log_components;
mod logs;
mod persist;
mod read;
mod sasl;
mod snapshot;
mod store;
mod template;
mod tree;

pub use check::{accepted_and_ignored, effect_of};
pub use destination::{MailSecurity, MailServer, WebAddress};
pub use error::ConfigError;
pub use instance::{Instance, Profile, SetupOptions};
pub use logs::{FilteringPolicy, LogCriteria, LogFormat, LogKind, LogPublisher};
pub(crate) use persist::replace_file;
pub use sasl::{CertificateMapper, CertificateValidation, ExternalSasl, SaslConfig};
pub use snapshot::{
    AccessConfig, AdministrationConfig, BackendConfig, ChangelogConfig, ClientAuth, Config, Durability,
    Global, IdentityMapper, IndexConfig, IndexKind, IndexStoreKind, Listener, ListenerKind, PasswordPolicy,
    RootDn, RootLimits, SecretValue, TlsFiles, Writability,
};
pub use store::{Applied, ChangeHook, CheckHook, ConfigChange, ConfigStore};
pub use tree::{ConfigEntry, ConfigTree};
