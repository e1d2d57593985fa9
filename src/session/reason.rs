//! Why a connection ended.

/// Why a connection ended; its text is what the access log says, in the words of OpenDJ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The client closed it, or the network did.
    ClientDisconnect,
    /// The client sent an Unbind.
    ClientUnbind,
    /// What the client sent is not LDAP, or out of order.
    ProtocolError,
    /// A message above `ds-cfg-max-request-size`.
    RequestTooLarge,
    /// It idled for longer than the client's limit.
    IdleTimeLimit,
    /// The client did not take what was written for `ds-cfg-max-blocked-write-time-limit`.
    WriteTimeLimit,
    /// The server asked for it: a persistent search that was not read, an administrator.
    ServerDisconnect,
    /// The server stops.
    ServerShutdown,
    /// Not admitted: too many connections, or a client that is denied.
    Rejected,
    /// TLS could not be agreed on.
    TlsFailure,
}

impl Reason {
    /// The text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ClientDisconnect => "Client Disconnect",
            Self::ClientUnbind => "Client Unbind",
            Self::ProtocolError => "Protocol Error",
            Self::RequestTooLarge => "Maximum Request Size Exceeded",
            Self::IdleTimeLimit => "Idle Time Limit Exceeded",
            Self::WriteTimeLimit => "IO Timeout",
            Self::ServerDisconnect => "Administrative Termination",
            Self::ServerShutdown => "Server Shutdown",
            Self::Rejected => "Connection Rejected",
            Self::TlsFailure => "Security Problem",
        }
    }
}
