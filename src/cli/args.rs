//! Options, named as OpenDJ's tools name them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A native LDAP directory server made to be OpenAM's Core Token Service (CTS) store.
#[derive(Debug, Parser)]
#[command(name = "ctsd", version, propagate_version = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The OpenDJ names that links to the program may have.
pub(super) const TOOLS: &[&str] = &[
    "backup",
    "dsconfig",
    "encode-password",
    "export-ldif",
    "import-ldif",
    "ldapcompare",
    "ldapdelete",
    "ldapmodify",
    "ldappasswordmodify",
    "ldapsearch",
    "manage-tasks",
    "rebuild-index",
    "restore",
    "setup",
    "start-ds",
    "status",
    "stop-ds",
    "verify-index",
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new server instance, and start it unless told otherwise.
    Setup(Box<Setup>),
    /// Serve an instance in the foreground (systemd's way).
    #[command(alias = "serve")]
    Start(Start),
    /// Stop the server of an instance.
    Stop(Stop),
    /// Tell whether an instance's server runs, and what it serves.
    Status(Box<super::status::Options>),
    /// Make (if there is none) and start a complete CTS store, and print what to type into OpenAM.
    Quickstart(Quickstart),
    /// Start the server of an instance in the background.
    #[command(name = "start-ds")]
    StartDs(super::start_stop::Start),
    /// Stop the server of an instance, or a remote one.
    #[command(name = "stop-ds")]
    StopDs(Box<super::start_stop::Stop>),
    /// Read and change the server's configuration.
    Dsconfig(Box<super::dsconfig::Options>),
    /// Search a directory and print entries as LDIF.
    Ldapsearch(Box<super::ldapsearch::Options>),
    /// Add, modify, rename and delete entries as LDIF says.
    Ldapmodify(Box<super::ldapmodify::Options>),
    /// Delete entries.
    Ldapdelete(Box<super::ldapdelete::Options>),
    /// Tell whether entries hold a value.
    Ldapcompare(Box<super::ldapcompare::Options>),
    /// Change or reset a password.
    Ldappasswordmodify(Box<super::ldappasswordmodify::Options>),
    /// Have the running server build indexes anew.
    #[command(name = "rebuild-index")]
    RebuildIndex(Box<super::rebuild_index::Options>),
    /// Compare indexes with entries.
    #[command(name = "verify-index")]
    VerifyIndex(Box<super::verify_index::Options>),
    /// Show the tasks of a server, and cancel them.
    #[command(name = "manage-tasks")]
    ManageTasks(Box<super::manage_tasks::Options>),
    /// Explain what access control grants and refuses.
    Access(Box<super::access::Access>),
    /// Make the data store anew from LDIF.
    #[command(name = "import-ldif")]
    ImportLdif(Box<super::import_ldif::Options>),
    /// Write the data store as LDIF.
    #[command(name = "export-ldif")]
    ExportLdif(Box<super::export_ldif::Options>),
    /// Look after the data store.
    Backend(Box<super::verify_index::Backend>),
    /// Back up the data, the configuration and the schema.
    Backup(Box<super::backup::Options>),
    /// List, verify and restore backups.
    Restore(Box<super::restore::Options>),
    /// Encode a password as the server stores it, or check one against its stored form.
    #[command(name = "encode-password")]
    EncodePassword(super::encode_password::Options),
    /// Encode to base64, or decode.
    Base64(super::base64::Options),
    /// Make links with the names of OpenDJ's tools.
    #[command(name = "install-links")]
    InstallLinks(super::generate::Links),
    /// Write the systemd unit that serves an instance.
    #[command(name = "install-service")]
    InstallService(super::install_service::InstallService),
    /// Print a shell's completion script.
    Completions(super::generate::Completions),
    /// Write the manual pages.
    Man(super::generate::Man),
}

/// Where the instance is.
#[derive(Debug, Clone, Args)]
pub(super) struct At {
    /// The instance directory.
    #[arg(long, env = "CTSD_INSTANCE", default_value_os_t = super::home(), value_name = "DIR")]
    pub(super) instance: PathBuf,
}

/// What a new instance comes with besides its base entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Profile {
    /// CTS schema (multi-value included), indexes and containers.
    #[value(name = "am-cts", alias = "cts")]
    AmCts,
    /// The reference's open global ACIs: anyone may read all user attributes but passwords. Not for tokens.
    Compat,
}

const SETUP_EXAMPLES: &str = "Examples:
  ctsd setup --cli
      asks for everything on the terminal
  ctsd setup --no-prompt --acceptLicense --rootUserDN 'cn=Directory Manager' --rootUserPassword secret12 \\
      --hostname cts.example.com --ldapPort 1389 --adminConnectorPort 4444 \\
      --baseDN dc=cts,dc=example,dc=com --addBaseEntry
      the guide's installation, started at the end
  ctsd setup --no-prompt --rootUserPasswordFile pw --baseDN dc=cts,dc=example,dc=com --profile am-cts --doNotStart
      with CTS schema, indexes and containers; `ctsd start` serves it";

#[derive(Debug, Clone, Args)]
#[command(after_help = SETUP_EXAMPLES, disable_help_flag = true)]
pub(super) struct Setup {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    pub(super) at: At,
    /// Use the command line (there is nothing else; accepted for scripts).
    #[arg(short = 'i', long)]
    pub(super) cli: bool,
    /// The initial root user.
    #[arg(short = 'D', long = "rootUserDN", value_name = "DN")]
    pub(super) root_user_dn: Option<String>,
    /// The root user's password.
    #[arg(
        short = 'w',
        long = "rootUserPassword",
        value_name = "PASSWORD",
        conflicts_with = "root_user_password_file"
    )]
    pub(super) root_user_password: Option<String>,
    /// A file that holds the root user's password.
    #[arg(short = 'j', long = "rootUserPasswordFile", value_name = "FILE")]
    pub(super) root_user_password_file: Option<PathBuf>,
    /// The fully qualified host name clients use; it goes into the self-signed certificate.
    #[arg(short = 'h', long, value_name = "HOST")]
    pub(super) hostname: Option<String>,
    /// Port for LDAP [default: 1389].
    #[arg(short = 'p', long = "ldapPort", value_name = "PORT")]
    pub(super) ldap_port: Option<u16>,
    /// Port for LDAPS; without it there is none.
    #[arg(short = 'Z', long = "ldapsPort", value_name = "PORT")]
    pub(super) ldaps_port: Option<u16>,
    /// Port of the administration connector [default: 4444, or the next that is free].
    #[arg(long = "adminConnectorPort", value_name = "PORT")]
    pub(super) admin_connector_port: Option<u16>,
    /// Base DN of the data; may be given several times.
    #[arg(short = 'b', long = "baseDN", value_name = "DN")]
    pub(super) base_dn: Vec<String>,
    /// Create the base entries.
    #[arg(short = 'a', long = "addBaseEntry")]
    pub(super) add_base_entry: bool,
    /// Kind of data store; `je` and `pdb` are accepted and mean ours.
    #[arg(short = 't', long = "backendType", value_name = "TYPE")]
    pub(super) backend_type: Option<String>,
    /// Allow StartTLS on the LDAP port.
    #[arg(short = 'q', long = "enableStartTLS")]
    pub(super) enable_start_tls: bool,
    /// Make a self-signed certificate.
    #[arg(long = "generateSelfSignedCertificate")]
    pub(super) generate_self_signed_certificate: bool,
    /// PEM file with the server's certificate chain.
    #[arg(long = "certificateFile", value_name = "PEM", requires = "private_key_file")]
    pub(super) certificate_file: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[arg(long = "privateKeyFile", value_name = "PEM", requires = "certificate_file")]
    pub(super) private_key_file: Option<PathBuf>,
    /// Accept the license (nothing needs accepting; for scripts).
    #[arg(long = "acceptLicense")]
    pub(super) accept_license: bool,
    /// Do not start the server.
    #[arg(short = 'O', long = "doNotStart")]
    pub(super) do_not_start: bool,
    /// Never ask; what is missing is an error or takes its default.
    #[arg(short = 'n', long = "no-prompt")]
    pub(super) no_prompt: bool,
    /// Do not check whether the ports are free.
    #[arg(short = 'S', long = "skipPortCheck")]
    pub(super) skip_port_check: bool,
    /// Say no more than errors.
    #[arg(short = 'Q', long)]
    pub(super) quiet: bool,
    /// What the instance comes with.
    #[arg(long, value_enum, value_name = "PROFILE")]
    pub(super) profile: Vec<Profile>,
}

const START_EXAMPLES: &str = "Examples:
  ctsd start
      serves ./instance until SIGTERM or SIGINT
  CTSD_INSTANCE=/var/lib/ctsd ctsd start";

#[derive(Debug, Clone, Args)]
#[command(after_help = START_EXAMPLES)]
pub(super) struct Start {
    #[command(flatten)]
    pub(super) at: At,
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,ctsd::session=debug`.
    #[arg(long, env = "CTSD_LOG", default_value = "info", value_name = "FILTER")]
    pub(super) log: String,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  ctsd stop --instance /var/lib/ctsd\n      returns when the server has ended"
)]
pub(super) struct Stop {
    #[command(flatten)]
    pub(super) at: At,
    /// Seconds to wait for the server to end.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(super) timeout: u64,
}

const QUICKSTART_EXAMPLES: &str = "Examples:
  ctsd quickstart
      makes ./instance for dc=cts,dc=example,dc=com on port 1389 and serves it; run again, it only serves it
  ctsd quickstart --ldapPort 2389 --ldapsPort 2636 --baseDN dc=tokens,dc=example,dc=org";

#[derive(Debug, Clone, Args)]
#[command(after_help = QUICKSTART_EXAMPLES, disable_help_flag = true)]
pub(super) struct Quickstart {
    /// Print help.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    pub(super) at: At,
    /// The host name OpenAM connects to.
    #[arg(short = 'h', long, default_value = "localhost", value_name = "HOST")]
    pub(super) hostname: String,
    /// Port for LDAP.
    #[arg(short = 'p', long = "ldapPort", default_value_t = 1389, value_name = "PORT")]
    pub(super) ldap_port: u16,
    /// Port for LDAPS.
    #[arg(short = 'Z', long = "ldapsPort", default_value_t = 1636, value_name = "PORT")]
    pub(super) ldaps_port: u16,
    /// Port of the administration connector [default: 4444, or the next that is free].
    #[arg(long = "adminConnectorPort", value_name = "PORT")]
    pub(super) admin_connector_port: Option<u16>,
    /// Base DN of the tokens.
    #[arg(short = 'b', long = "baseDN", default_value = "dc=cts,dc=example,dc=com", value_name = "DN")]
    pub(super) base_dn: String,
    /// What to log while serving.
    #[arg(long, env = "CTSD_LOG", default_value = "info", value_name = "FILTER")]
    pub(super) log: String,
}
