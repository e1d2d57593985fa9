//! Privileges: server rights outside the ACIs (features.md §8).

/// A privilege.
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

/// A set of privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Privileges(u32);

impl Privileges {
    /// None at all.
    pub const fn none() -> Self {
        Self(0)
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

    /// The set with one less.
    #[must_use]
    pub const fn without(self, privilege: Privilege) -> Self {
        Self(self.0 & !(1 << privilege as u32))
    }
}
