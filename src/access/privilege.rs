//! Privileges: server rights outside the ACIs (features.md §8).

/// A privilege, named as a value of `ds-privilege-name`. The `jmx-*` ones are known by name and have no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Privilege {
    BypassLockdown,
    BypassAcl,
    ModifyAcl,
    ConfigRead,
    ConfigWrite,
    JmxRead,
    JmxWrite,
    JmxNotify,
    LdifImport,
    LdifExport,
    BackendBackup,
    BackendRestore,
    ServerLockdown,
    ServerShutdown,
    ServerRestart,
    ProxiedAuth,
    DisconnectClient,
    CancelRequest,
    PasswordReset,
    DataSync,
    UpdateSchema,
    PrivilegeChange,
    UnindexedSearch,
    SubentryWrite,
    ChangelogRead,
    MonitorRead,
}

impl Privilege {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::BypassLockdown,
        Self::BypassAcl,
        Self::ModifyAcl,
        Self::ConfigRead,
        Self::ConfigWrite,
        Self::JmxRead,
        Self::JmxWrite,
        Self::JmxNotify,
        Self::LdifImport,
        Self::LdifExport,
        Self::BackendBackup,
        Self::BackendRestore,
        Self::ServerLockdown,
        Self::ServerShutdown,
        Self::ServerRestart,
        Self::ProxiedAuth,
        Self::DisconnectClient,
        Self::CancelRequest,
        Self::PasswordReset,
        Self::DataSync,
        Self::UpdateSchema,
        Self::PrivilegeChange,
        Self::UnindexedSearch,
        Self::SubentryWrite,
        Self::ChangelogRead,
        Self::MonitorRead,
    ];

    /// Its name, as `ds-privilege-name` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BypassLockdown => "bypass-lockdown",
            Self::BypassAcl => "bypass-acl",
            Self::ModifyAcl => "modify-acl",
            Self::ConfigRead => "config-read",
            Self::ConfigWrite => "config-write",
            Self::JmxRead => "jmx-read",
            Self::JmxWrite => "jmx-write",
            Self::JmxNotify => "jmx-notify",
            Self::LdifImport => "ldif-import",
            Self::LdifExport => "ldif-export",
            Self::BackendBackup => "backend-backup",
            Self::BackendRestore => "backend-restore",
            Self::ServerLockdown => "server-lockdown",
            Self::ServerShutdown => "server-shutdown",
            Self::ServerRestart => "server-restart",
            Self::ProxiedAuth => "proxied-auth",
            Self::DisconnectClient => "disconnect-client",
            Self::CancelRequest => "cancel-request",
            Self::PasswordReset => "password-reset",
            Self::DataSync => "data-sync",
            Self::UpdateSchema => "update-schema",
            Self::PrivilegeChange => "privilege-change",
            Self::UnindexedSearch => "unindexed-search",
            Self::SubentryWrite => "subentry-write",
            Self::ChangelogRead => "changelog-read",
            Self::MonitorRead => "monitor-read",
        }
    }

    /// The privilege of this name, in any case; none if there is no such privilege.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|privilege| privilege.name().eq_ignore_ascii_case(name.trim()))
    }

    /// A value of `ds-privilege-name`: the privilege, and whether the value takes it away (leading `-`).
    pub fn parse_value(value: &[u8]) -> Option<(Self, bool)> {
        let text = std::str::from_utf8(value).ok()?.trim();
        match text.strip_prefix('-') {
            Some(name) => Some((Self::parse(name)?, true)),
            None => Some((Self::parse(text)?, false)),
        }
    }
}

/// A set of privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Privileges(u32);

impl Privileges {
    /// None at all.
    pub const fn none() -> Self {
        Self(0)
    }

    /// What a root DN has unless configured otherwise: all but `jmx-*`, `proxied-auth` and `data-sync`.
    pub fn root_defaults() -> Self {
        let without = [
            Privilege::JmxRead,
            Privilege::JmxWrite,
            Privilege::JmxNotify,
            Privilege::ProxiedAuth,
            Privilege::DataSync,
        ];
        Privilege::ALL
            .into_iter()
            .filter(|privilege| !without.contains(privilege))
            .fold(Self::none(), Self::with)
    }

    /// What the values of `ds-privilege-name` make of the inherited privileges, in the order of the values: a name
    /// adds, a name with a leading `-` takes away, and taking away wins over adding. Unknown names have no effect
    /// (writing one is refused where values are checked, with [`Privilege::parse_value`]).
    pub fn from_values<'a>(inherited: Self, values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut added = inherited;
        let mut removed = Self::none();
        for (privilege, removes) in values.into_iter().filter_map(Privilege::parse_value) {
            if removes {
                removed = removed.with(privilege);
            } else {
                added = added.with(privilege);
            }
        }
        Self(added.0 & !removed.0)
    }

    /// Whether the set holds the privilege.
    pub const fn has(self, privilege: Privilege) -> bool {
        self.0 & (1 << privilege as u32) != 0
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, privilege: Privilege) -> Self {
        Self(self.0 | (1 << privilege as u32))
    }

    /// What is in one set or the other.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with one less.
    #[must_use]
    pub const fn without(self, privilege: Privilege) -> Self {
        Self(self.0 & !(1 << privilege as u32))
    }

    /// The privileges in the set.
    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.into_iter().filter(move |privilege| self.has(*privilege))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for privilege in Privilege::ALL {
            assert_eq!(Privilege::parse(privilege.name()), Some(privilege));
            assert_eq!(Privilege::parse(&privilege.name().to_uppercase()), Some(privilege));
        }
        assert_eq!(Privilege::parse("root"), None);
    }

    #[test]
    fn the_guides_user_gets_four() {
        let values: [&[u8]; 4] =
            [b"update-schema", b"subentry-write", b"password-reset", b"unindexed-search"];
        let set = Privileges::from_values(Privileges::none(), values);
        assert_eq!(set.iter().count(), 4);
        assert!(set.has(Privilege::UnindexedSearch) && !set.has(Privilege::BypassAcl));
    }

    #[test]
    fn a_dash_takes_away_whatever_the_order() {
        let values: [&[u8]; 3] = [b"-config-write", b"proxied-auth", b"nonsense"];
        let set = Privileges::from_values(Privileges::root_defaults(), values);
        assert!(!set.has(Privilege::ConfigWrite));
        assert!(set.has(Privilege::ProxiedAuth) && set.has(Privilege::BypassAcl));
        let both: [&[u8]; 2] = [b"-bypass-acl", b"bypass-acl"];
        assert!(!Privileges::from_values(Privileges::none(), both).has(Privilege::BypassAcl));
    }

    #[test]
    fn the_root_has_all_but_five() {
        let set = Privileges::root_defaults();
        assert_eq!(set.iter().count(), Privilege::ALL.len() - 5);
        assert!(!set.has(Privilege::ProxiedAuth) && !set.has(Privilege::DataSync));
    }
}
