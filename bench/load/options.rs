//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Load of an OpenAM token store over LDAP, measured at the client.
///
/// Phases run in the order given and may be repeated:
///   load        add tokens until --population are there
///   read        base read of one token
///   query       sessions of a user and session by handle, by turns
///   query-user, query-handle
///   modify      refresh of a session: four attributes replaced
///   add, delete, delete-pre-read
///   mix         45 % add, 25 % modify, 20 % delete, 10 % read
///   restore     adds or deletes until --population are there
///   expire      refresh that sets the expiry into the past, of --expire tokens or all
///   reap        the expiry worker: first page of 1000, delete each, again, until none is left
///   mix-reap    the same while the mix runs
///   heartbeat   OpenAM's heartbeat: base search of the root DSE for 1.1
///   verify      reads every token of the journal back
#[derive(Debug, Clone, Parser)]
#[command(name = "load", verbatim_doc_comment)]
pub(crate) struct Options {
    /// The server's address.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// The server's port.
    #[arg(long, default_value_t = 1389)]
    pub(crate) port: u16,
    /// TLS from the first octet (LDAPS). The server's certificate is not checked.
    #[arg(long)]
    pub(crate) tls: bool,
    /// Who binds; without it nobody does.
    #[arg(long)]
    pub(crate) bind_dn: Option<String>,
    /// A file whose first line is the password.
    #[arg(long)]
    pub(crate) password_file: Option<PathBuf>,
    /// The tokens' parent.
    #[arg(long, default_value = "ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com")]
    pub(crate) base_dn: String,
    /// The phases, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "load,read,query,modify,mix")]
    pub(crate) phase: Vec<Phase>,
    /// Connections that carry the load.
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
    /// Pool sizes of several OpenAM servers, as 17,33,65, instead of --connections: what each of them got is shown.
    #[arg(long, value_delimiter = ',', conflicts_with = "connections")]
    pub(crate) pools: Vec<usize>,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 1)]
    pub(crate) in_flight: usize,
    /// Tokens to have.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) population: u64,
    /// The mix keeps to --population tokens: it adds when there are fewer, and deletes when there are not.
    #[arg(long)]
    pub(crate) steady: bool,
    /// Tokens that an earlier run with the same options loaded.
    #[arg(long, default_value_t = 0)]
    pub(crate) loaded: u64,
    /// Number of the first token: a second run with another one adds tokens of other names.
    #[arg(long, default_value_t = 0)]
    pub(crate) first: u64,
    /// Octets of coreTokenObject.
    #[arg(long, default_value_t = 4096)]
    pub(crate) object_size: usize,
    /// Users that the tokens belong to.
    #[arg(long, default_value_t = 30_000)]
    pub(crate) users: u64,
    /// Tokens that phase expire expires; all without it.
    #[arg(long)]
    pub(crate) expire: Option<u64>,
    /// Seconds that a phase lasts, where its work has no end of its own.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Operations after which a phase ends instead.
    #[arg(long)]
    pub(crate) operations: Option<u64>,
    /// Seconds of a phase that are not measured, at its start.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) warmup: f64,
    /// A command that the shell runs before each phase, with the phase's number, from 0, in $PHASE.
    #[arg(long)]
    pub(crate) between: Option<String>,
    /// Open loop: operations started a second, whether or not earlier ones were answered. Latency counts from
    /// when an operation was due.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// No controls and no etag: for servers that have none.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Modify without an assertion on the etag.
    #[arg(long)]
    pub(crate) no_assert: bool,
    /// Modify coreTokenObject and coreTokenExpirationDate only.
    #[arg(long)]
    pub(crate) short_modify: bool,
    /// Take tokens in turn, so that as many operations as there are tokens touch each of them once.
    #[arg(long)]
    pub(crate) sweep: bool,
    /// Connections with a persistent search each, beside the load.
    #[arg(long, default_value_t = 0)]
    pub(crate) listeners: usize,
    /// Connections that heartbeat, beside the load. Listeners' connections heartbeat as well.
    #[arg(long, default_value_t = 0)]
    pub(crate) hearts: usize,
    /// Connections that ask for all tokens of the base and never read an answer, beside the load.
    #[arg(long, default_value_t = 0)]
    pub(crate) deaf: usize,
    /// Milliseconds between heartbeats of one connection.
    #[arg(long, default_value_t = 1000)]
    pub(crate) heartbeat_ms: u64,
    /// The server's process, for its CPU and memory.
    #[arg(long)]
    pub(crate) server_pid: Option<u32>,
    /// A directory on the server's disk, for what reaches the device.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// A file that keeps what was sent and acknowledged; an existing one is continued.
    #[arg(long)]
    pub(crate) journal: Option<PathBuf>,
    /// Read every token of the journal back at the end.
    #[arg(long)]
    pub(crate) verify: bool,
    /// A file for the results as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Seed of the choices.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Given by `cargo bench`; means nothing here.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Options {
    /// Makes the options agree with each other.
    pub(crate) fn settle(&mut self) {
        if self.pools.is_empty() {
            self.pools.push(self.connections);
        }
        self.connections = self.pools.iter().sum();
    }
}

/// A phase of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Phase {
    Load,
    Read,
    Query,
    QueryUser,
    QueryHandle,
    Modify,
    Add,
    Delete,
    DeletePreRead,
    Mix,
    Restore,
    Expire,
    Reap,
    MixReap,
    Heartbeat,
    Verify,
}

impl Phase {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Read => "read",
            Self::Query => "query",
            Self::QueryUser => "query-user",
            Self::QueryHandle => "query-handle",
            Self::Modify => "modify",
            Self::Add => "add",
            Self::Delete => "delete",
            Self::DeletePreRead => "delete-pre-read",
            Self::Mix => "mix",
            Self::Restore => "restore",
            Self::Expire => "expire",
            Self::Reap => "reap",
            Self::MixReap => "mix-reap",
            Self::Heartbeat => "heartbeat",
            Self::Verify => "verify",
        }
    }

    /// Whether the phase has an end of its own and so no time limit.
    pub(crate) const fn runs_dry(self) -> bool {
        matches!(self, Self::Load | Self::Restore | Self::Expire | Self::Reap | Self::MixReap | Self::Verify)
    }
}
