//! The kinds of configuration objects: their sub-commands, names, places in `cn=config`, and classes. What can be set on
//! them is the configuration's to say ([`crate::config::components`]).

use crate::config::components::{self, Component};
use crate::name::Ava;

/// A type of a kind, as `--type` names it, and the classes of its entries besides `top`.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) classes: &'static [&'static str],
}

/// A kind of configuration object.
#[derive(Debug)]
pub(super) struct Kind {
    /// As sub-commands name it.
    pub(super) noun: &'static str,
    pub(super) plural: &'static str,
    /// As people name it.
    pub(super) label: &'static str,
    /// Its DN; names of options stand in braces.
    pub(super) dn: &'static str,
    /// Its types, the one meant without `--type` first. None: it always exists, and only one.
    pub(super) types: &'static [Type],
    /// The class that gives its properties where the entry is not at hand.
    pub(super) class: &'static str,
    /// The properties a list shows.
    pub(super) listed: &'static [&'static str],
}

macro_rules! types {
    ($($name:literal: $($class:literal)*;)*) => { &[$(Type { name: $name, classes: &[$($class),*] }),*] };
}

const fn single(noun: &'static str, label: &'static str, dn: &'static str, class: &'static str) -> Kind {
    Kind { noun, plural: noun, label, dn, types: &[], class, listed: &[] }
}

/// All kinds.
pub(super) const KINDS: &[Kind] = &[
    single(
        "access-control-handler",
        "Access Control Handler",
        "cn=Access Control Handler,cn=config",
        "ds-cfg-access-control-handler",
    ),
    single(
        "administration-connector",
        "Administration Connector",
        "cn=Administration Connector,cn=config",
        "ds-cfg-administration-connector",
    ),
    Kind {
        noun: "access-log-filtering-criteria",
        plural: "access-log-filtering-criteria",
        label: "Access Log Filtering Criteria",
        dn: "cn={criteria-name},cn=Filtering Criteria,cn={publisher-name},cn=Loggers,cn=config",
        types: types! { "generic": "ds-cfg-access-log-filtering-criteria"; },
        class: "ds-cfg-access-log-filtering-criteria",
        listed: &["log-record-type", "request-target-dn-equal-to", "response-etime-greater-than"],
    },
    Kind {
        noun: "backend",
        plural: "backends",
        label: "Backend",
        dn: "ds-cfg-backend-id={backend-name},cn=Backends,cn=config",
        types: types! {
            "je": "ds-cfg-backend" "ds-cfg-local-backend" "ds-cfg-pluggable-backend" "ds-cfg-je-backend";
            "pdb": "ds-cfg-backend" "ds-cfg-local-backend" "ds-cfg-pluggable-backend" "ds-cfg-je-backend";
            "task": "ds-cfg-backend" "ds-cfg-task-backend";
            "schema": "ds-cfg-backend" "ds-cfg-schema-backend";
            "monitor": "ds-cfg-backend" "ds-cfg-monitor-backend";
            "backup": "ds-cfg-backend" "ds-cfg-backup-backend";
        },
        class: "ds-cfg-je-backend",
        listed: &["enabled", "base-dn", "writability-mode"],
    },
    Kind {
        noun: "backend-index",
        plural: "backend-indexes",
        label: "Backend Index",
        dn: "ds-cfg-attribute={index-name},cn=Index,ds-cfg-backend-id={backend-name},cn=Backends,cn=config",
        types: types! { "generic": "ds-cfg-backend-index"; },
        class: "ds-cfg-backend-index",
        listed: &["index-type", "index-entry-limit"],
    },
    Kind {
        noun: "certificate-mapper",
        plural: "certificate-mappers",
        label: "Certificate Mapper",
        dn: "cn={mapper-name},cn=Certificate Mappers,cn=config",
        types: types! {
            "subject-equals-dn": "ds-cfg-certificate-mapper" "ds-cfg-subject-equals-dn-certificate-mapper";
            "subject-dn-to-user-attribute": "ds-cfg-certificate-mapper" "ds-cfg-subject-dn-to-user-attribute-certificate-mapper";
            "subject-attribute-to-user-attribute": "ds-cfg-certificate-mapper" "ds-cfg-subject-attribute-to-user-attribute-certificate-mapper";
            "fingerprint": "ds-cfg-certificate-mapper" "ds-cfg-fingerprint-certificate-mapper";
        },
        class: "ds-cfg-certificate-mapper",
        listed: &["enabled"],
    },
    Kind {
        noun: "connection-handler",
        plural: "connection-handlers",
        label: "Connection Handler",
        dn: "cn={handler-name},cn=Connection Handlers,cn=config",
        types: types! {
            "ldap": "ds-cfg-connection-handler" "ds-cfg-ldap-connection-handler";
            "http": "ds-cfg-connection-handler" "ds-cfg-http-connection-handler";
        },
        class: "ds-cfg-ldap-connection-handler",
        listed: &["enabled", "listen-port", "use-ssl", "allow-start-tls"],
    },
    single("global-configuration", "Global Configuration", "cn=config", "ds-cfg-root-config"),
    Kind {
        noun: "identity-mapper",
        plural: "identity-mappers",
        label: "Identity Mapper",
        dn: "cn={mapper-name},cn=Identity Mappers,cn=config",
        types: types! { "exact-match": "ds-cfg-identity-mapper" "ds-cfg-exact-match-identity-mapper"; },
        class: "ds-cfg-identity-mapper",
        listed: &["enabled", "match-attribute"],
    },
    Kind {
        noun: "key-manager-provider",
        plural: "key-manager-providers",
        label: "Key Manager Provider",
        dn: "cn={provider-name},cn=Key Manager Providers,cn=config",
        types: types! { "pem": "ds-cfg-key-manager-provider" "ds-cfg-cts-pem-key-manager-provider"; },
        class: "ds-cfg-key-manager-provider",
        listed: &["enabled", "cts-certificate-file"],
    },
    Kind {
        noun: "log-publisher",
        plural: "log-publishers",
        label: "Log Publisher",
        dn: "cn={publisher-name},cn=Loggers,cn=config",
        types: types! {
            "file-based-access": "ds-cfg-log-publisher" "ds-cfg-access-log-publisher" "ds-cfg-file-based-access-log-publisher";
            "json-file-access": "ds-cfg-log-publisher" "ds-cfg-access-log-publisher" "ds-cfg-json-file-access-log-publisher";
            "file-based-audit": "ds-cfg-log-publisher" "ds-cfg-access-log-publisher" "ds-cfg-file-based-audit-log-publisher";
            "file-based-error": "ds-cfg-log-publisher" "ds-cfg-error-log-publisher" "ds-cfg-file-based-error-log-publisher";
        },
        class: "ds-cfg-log-publisher",
        listed: &["enabled", "log-file", "log-format"],
    },
    Kind {
        noun: "log-retention-policy",
        plural: "log-retention-policies",
        label: "Log Retention Policy",
        dn: "cn={policy-name},cn=Log Retention Policies,cn=config",
        types: types! {
            "file-count": "ds-cfg-log-retention-policy" "ds-cfg-file-count-log-retention-policy";
            "size-limit": "ds-cfg-log-retention-policy" "ds-cfg-size-limit-log-retention-policy";
            "free-disk-space": "ds-cfg-log-retention-policy" "ds-cfg-free-disk-space-log-retention-policy";
        },
        class: "ds-cfg-log-retention-policy",
        listed: &["number-of-files", "disk-space-used", "free-disk-space"],
    },
    Kind {
        noun: "log-rotation-policy",
        plural: "log-rotation-policies",
        label: "Log Rotation Policy",
        dn: "cn={policy-name},cn=Log Rotation Policies,cn=config",
        types: types! {
            "size-limit": "ds-cfg-log-rotation-policy" "ds-cfg-size-limit-log-rotation-policy";
            "time-limit": "ds-cfg-log-rotation-policy" "ds-cfg-time-limit-log-rotation-policy";
            "fixed-time": "ds-cfg-log-rotation-policy" "ds-cfg-fixed-time-log-rotation-policy";
        },
        class: "ds-cfg-log-rotation-policy",
        listed: &["file-size-limit", "rotation-interval", "time-of-day"],
    },
    Kind {
        noun: "password-policy",
        plural: "password-policies",
        label: "Password Policy",
        dn: "cn={policy-name},cn=Password Policies,cn=config",
        types: types! { "password-policy": "ds-cfg-authentication-policy" "ds-cfg-password-policy"; },
        class: "ds-cfg-password-policy",
        listed: &["password-attribute", "default-password-storage-scheme"],
    },
    Kind {
        noun: "password-storage-scheme",
        plural: "password-storage-schemes",
        label: "Password Storage Scheme",
        dn: "cn={scheme-name},cn=Password Storage Schemes,cn=config",
        types: types! {
            "pbkdf2": "ds-cfg-password-storage-scheme" "ds-cfg-pbkdf2-password-storage-scheme";
            "salted-sha512": "ds-cfg-password-storage-scheme" "ds-cfg-salted-sha512-password-storage-scheme";
            "salted-sha256": "ds-cfg-password-storage-scheme" "ds-cfg-salted-sha256-password-storage-scheme";
            "salted-sha1": "ds-cfg-password-storage-scheme" "ds-cfg-salted-sha1-password-storage-scheme";
        },
        class: "ds-cfg-password-storage-scheme",
        listed: &["enabled"],
    },
    Kind {
        noun: "replication-domain",
        plural: "replication-domains",
        label: "Replication Domain",
        dn: "cn={domain-name},cn=domains,cn={provider-name},cn=Synchronization Providers,cn=config",
        types: types! { "generic": "ds-cfg-replication-domain"; },
        class: "ds-cfg-replication-domain",
        listed: &["server-id", "replication-server", "base-dn"],
    },
    Kind {
        noun: "replication-server",
        plural: "replication-server",
        label: "Replication Server",
        dn: "cn=replication server,cn={provider-name},cn=Synchronization Providers,cn=config",
        types: types! { "generic": "ds-cfg-replication-server"; },
        class: "ds-cfg-replication-server",
        listed: &["replication-server-id", "replication-port", "replication-server"],
    },
    single("root-dn", "Root DN", "cn=Root DNs,cn=config", "ds-cfg-root-dn"),
    Kind {
        noun: "root-dn-user",
        plural: "root-dn-users",
        label: "Root DN User",
        dn: "cn={user-name},cn=Root DNs,cn=config",
        types: types! { "generic": "ds-cfg-root-dn-user"; },
        class: "ds-cfg-root-dn-user",
        listed: &["alternate-bind-dn"],
    },
    Kind {
        noun: "sasl-mechanism-handler",
        plural: "sasl-mechanism-handlers",
        label: "SASL Mechanism Handler",
        dn: "cn={handler-name},cn=SASL Mechanisms,cn=config",
        types: types! {
            "external": "ds-cfg-sasl-mechanism-handler" "ds-cfg-external-sasl-mechanism-handler";
            "plain": "ds-cfg-sasl-mechanism-handler" "ds-cfg-plain-sasl-mechanism-handler";
        },
        class: "ds-cfg-sasl-mechanism-handler",
        listed: &["enabled"],
    },
    Kind {
        noun: "synchronization-provider",
        plural: "synchronization-providers",
        label: "Synchronization Provider",
        dn: "cn={provider-name},cn=Synchronization Providers,cn=config",
        types: types! { "replication": "ds-cfg-synchronization-provider" "ds-cfg-replication-synchronization-provider"; },
        class: "ds-cfg-synchronization-provider",
        listed: &["enabled"],
    },
    Kind {
        noun: "trust-manager-provider",
        plural: "trust-manager-providers",
        label: "Trust Manager Provider",
        dn: "cn={provider-name},cn=Trust Manager Providers,cn=config",
        types: types! { "pem": "ds-cfg-trust-manager-provider" "ds-cfg-cts-pem-trust-manager-provider"; },
        class: "ds-cfg-trust-manager-provider",
        listed: &["enabled", "cts-trust-file"],
    },
    single("work-queue", "Work Queue", "cn=Work Queue,cn=config", "ds-cfg-work-queue"),
];

impl Kind {
    /// The options that name an object of this kind, its own name first.
    pub(super) fn options(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.dn.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
    }

    /// The option of its own name; none if there is at most one below its parent.
    pub(super) fn own_option(&self) -> Option<&'static str> {
        let rdn = self.dn.split(',').next()?;
        rdn.contains('{').then(|| self.options().next()).flatten()
    }

    /// Its DN, with what `name` gives for each option; the error is the option that has no name.
    pub(super) fn dn_of<'a>(&self, name: impl Fn(&str) -> Option<&'a str>) -> Result<String, &'static str> {
        let mut parts = Vec::new();
        for part in self.dn.split(',') {
            match part.split_once("={") {
                Some((attribute, option)) => {
                    let option = option.trim_end_matches('}');
                    let value = name(option)
                        .ok_or_else(|| self.options().find(|known| *known == option).unwrap_or_default())?;
                    parts.push(Ava::new(attribute, value).to_string());
                }
                None => parts.push(part.to_owned()),
            }
        }
        Ok(parts.join(","))
    }

    /// The naming attribute.
    pub(super) fn naming(&self) -> &'static str {
        self.dn.split('=').next().unwrap_or_default()
    }

    /// The component whose properties objects of this kind have, unless their own classes say otherwise.
    pub(super) fn component(&self, class: Option<&str>) -> Option<&'static Component> {
        components::component(class.unwrap_or(self.class)).or_else(|| components::component(self.class))
    }

    /// The components of its types, each once, with the first type that has it.
    pub(super) fn components(&self) -> Vec<(&'static str, &'static Component)> {
        let mut found: Vec<(&'static str, &'static Component)> = Vec::new();
        if self.types.is_empty() {
            found.extend(self.component(None).map(|component| ("", component)));
        }
        for one in self.types {
            let of_type = components::COMPONENTS.iter().find(|known| one.classes.contains(&known.class));
            let Some(component) = of_type else { continue };
            if !found.iter().any(|(_, known)| known.class == component.class) {
                found.push((one.name, component));
            }
        }
        found
    }

    /// The kind of this noun or plural.
    pub(super) fn by_noun(noun: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.noun == noun || kind.plural == noun)
    }
}

/// What a sub-command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    List,
    Get,
    Set,
    Delete,
}

impl Action {
    /// Its sub-command for a kind.
    pub(super) fn name(self, kind: &Kind) -> String {
        match self {
            Self::Create => format!("create-{}", kind.noun),
            Self::List => format!("list-{}", kind.plural),
            Self::Get => format!("get-{}-prop", kind.noun),
            Self::Set => format!("set-{}-prop", kind.noun),
            Self::Delete => format!("delete-{}", kind.noun),
        }
    }

    /// What can be done with a kind.
    pub(super) const fn of(kind: &Kind) -> &'static [Self] {
        if kind.types.is_empty() {
            &[Self::Get, Self::Set]
        } else {
            &[Self::Create, Self::List, Self::Get, Self::Set, Self::Delete]
        }
    }
}

/// All sub-commands.
pub(super) fn all() -> impl Iterator<Item = (String, Action, &'static Kind)> {
    KINDS
        .iter()
        .flat_map(|kind| Action::of(kind).iter().map(move |&action| (action.name(kind), action, kind)))
}

/// Reads a sub-command; the error names those that look like it.
pub(super) fn find(name: &str) -> Result<(Action, &'static Kind), String> {
    if let Some((_, action, kind)) = all().find(|(known, _, _)| known == name) {
        return Ok((action, kind));
    }
    let words: Vec<&str> = name.split('-').filter(|word| word.len() > 2 && *word != "prop").collect();
    let like: Vec<String> = all()
        .map(|(known, _, _)| known)
        .filter(|known| words.iter().filter(|word| known.contains(**word)).count() * 2 > words.len())
        .take(8)
        .collect();
    Err(if like.is_empty() {
        format!("there is no sub-command \"{name}\"; dsconfig --help lists them")
    } else {
        format!("there is no sub-command \"{name}\"; did you mean {}?", like.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaStore;

    #[test]
    fn every_kind_has_a_component_classes_and_properties_that_exist() {
        let store = SchemaStore::builtin(true);
        let schema = store.current();
        for kind in KINDS {
            let component = components::component(kind.class).unwrap();
            for name in kind.listed {
                assert!(component.properties.iter().any(|property| property.name == *name), "{name}");
            }
            for class in kind.types.iter().flat_map(|one| one.classes) {
                assert!(schema.object_class(class).is_some(), "{class}");
            }
            let dn = kind.dn_of(|_| Some("x")).unwrap();
            assert!(crate::name::Dn::parse(&dn).is_ok(), "{dn}");
        }
    }

    #[test]
    fn names_go_into_the_dn_escaped() {
        let kind = Kind::by_noun("backend-index").unwrap();
        assert_eq!(kind.options().collect::<Vec<_>>(), ["index-name", "backend-name"]);
        let dn = kind.dn_of(|option| Some(if option == "index-name" { "etag" } else { "user,Root" }));
        let wanted = "ds-cfg-attribute=etag,cn=Index,ds-cfg-backend-id=user\\,Root,cn=Backends,cn=config";
        assert_eq!(dn.as_deref(), Ok(wanted));
        assert_eq!(kind.dn_of(|option| (option == "index-name").then_some("x")), Err("backend-name"));
        let server = Kind::by_noun("replication-server").unwrap();
        assert_eq!((server.own_option(), server.naming()), (None, "cn"));
    }

    #[test]
    fn sub_commands_are_found_or_guessed() {
        let (action, kind) = find("set-access-control-handler-prop").unwrap();
        assert_eq!((action, kind.noun), (Action::Set, "access-control-handler"));
        assert_eq!(find("list-backend-indexes").unwrap().0, Action::List);
        assert!(find("create-local-db-index").unwrap_err().contains("create-backend-index"));
        assert!(find("set-replication-server").unwrap_err().contains("set-replication-server-prop"));
        assert!(find("frobnicate").unwrap_err().contains("--help"));
        assert!(find("create-global-configuration").is_err());
    }
}
