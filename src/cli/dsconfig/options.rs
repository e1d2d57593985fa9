//! The command line. All options stand beside the sub-command, in any order, as administrators type them.

use std::path::PathBuf;

use clap::{Args, FromArgMatches};

use crate::cli::args::At;
use crate::cli::ldap::AdminOptions;

pub(super) const EXAMPLES: &str = "Sub-commands:
  create-, list-, delete-: access-log-filtering-criteria, backend, backend-index, certificate-mapper,
      connection-handler, identity-mapper, key-manager-provider, log-publisher, log-retention-policy,
      log-rotation-policy, password-policy, password-storage-scheme, replication-domain, replication-server,
      root-dn-user, sasl-mechanism-handler, synchronization-provider, trust-manager-provider
      (lists take the plural: list-backends, list-log-retention-policies)
  get-…-prop, set-…-prop: all of these, and access-control-handler, administration-connector, global-configuration,
      root-dn, work-queue
  list-properties

Without host, port, bind DN and password the server of the instance at hand is meant, for the user that it runs as, and
root; with any of them it is asked on its administration port, 4444 of localhost unless said otherwise.

Examples:
  dsconfig set-global-configuration-prop --set size-limit:5000
      of the instance at hand
  dsconfig set-access-control-handler-prop --port 4444 --bindDN 'cn=Directory Manager' --bindPasswordFile pw \\
      --trustAll --no-prompt --add 'global-aci:(target=\"ldap:///cn=schema\")(targetattr=\"attributeTypes\")\
(version 3.0; acl \"Modify schema\"; allow (write) userdn=\"ldap:///uid=a,dc=example,dc=com\";)'
  dsconfig get-access-control-handler-prop --port 4444 --bindDN 'cn=Directory Manager' --bindPasswordFile pw \\
      --trustAll --no-prompt --property global-aci
  dsconfig create-backend-index --port 4444 --bindDN 'cn=Directory Manager' --bindPasswordFile pw --trustAll \\
      --no-prompt --backend-name userRoot --index-name coreTokenDate01 --set index-type:ordering
  dsconfig --port 4444 --bindDN 'cn=Directory Manager' --bindPasswordFile pw --trustAll --no-prompt \\
      --batchFilePath cts-add-indexes.txt
      one command a line; # starts a comment, a trailing \\ goes on in the next line
  dsconfig list-properties --category backend-index
      what can be set, what it accepts, its default, and when it takes effect
  dsconfig
      asks what to do, on a terminal";

/// Accepted units are written with the value, so the reference's switches for them have nothing to do.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(in crate::cli) struct Options {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// What to do: create-, list-, delete- and a kind of object, get- and set- a kind and -prop; or list-properties.
    #[arg(value_name = "SUBCOMMAND")]
    pub(super) subcommand: Option<String>,
    #[command(flatten)]
    pub(super) at: At,
    #[command(flatten)]
    pub(super) admin: AdminOptions,
    #[command(flatten)]
    pub(super) names: Names,
    #[command(flatten)]
    pub(super) wishes: Wishes,
    /// File of commands, one a line.
    #[arg(short = 'F', long = "batchFilePath", value_name = "FILE")]
    pub(super) batch_file_path: Option<PathBuf>,
    /// Read commands from standard input.
    #[arg(long = "batch", conflicts_with = "batch_file_path")]
    pub(super) batch: bool,
    /// Go on with a batch after errors.
    #[arg(short = 'c', long = "batchContinueOnError", alias = "continueOnError")]
    pub(super) batch_continue_on_error: bool,
    /// Print the command that does the same without asking.
    #[arg(long = "displayCommand")]
    pub(super) display_command: bool,
    /// Append the command that does the same to this file.
    #[arg(long = "commandFilePath", value_name = "FILE")]
    pub(super) command_file_path: Option<PathBuf>,
    /// Properties too that have no effect here, kept for scripts.
    #[arg(long)]
    pub(super) advanced: bool,
    /// Output that scripts read: cells parted by tabs.
    #[arg(short = 's', long = "script-friendly")]
    pub(super) script_friendly: bool,
    /// With list-properties: only this kind of object.
    #[arg(long, value_name = "KIND")]
    pub(super) category: Option<String>,
}

/// The names of objects.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Names of objects")]
#[allow(missing_docs)]
pub(super) struct Names {
    /// Backend.
    #[arg(long = "backend-name", value_name = "NAME")]
    backend_name: Option<String>,
    /// Index: the attribute's name.
    #[arg(long = "index-name", value_name = "NAME")]
    index_name: Option<String>,
    /// Connection handler.
    #[arg(long = "handler-name", value_name = "NAME")]
    handler_name: Option<String>,
    /// Identity mapper.
    #[arg(long = "mapper-name", value_name = "NAME")]
    mapper_name: Option<String>,
    /// Log publisher.
    #[arg(long = "publisher-name", value_name = "NAME")]
    publisher_name: Option<String>,
    /// Filtering criteria of an access log.
    #[arg(long = "criteria-name", value_name = "NAME")]
    criteria_name: Option<String>,
    /// Policy.
    #[arg(long = "policy-name", value_name = "NAME")]
    policy_name: Option<String>,
    /// Provider: of synchronization ("Multimaster Synchronization"), of keys, of trust.
    #[arg(long = "provider-name", value_name = "NAME")]
    provider_name: Option<String>,
    /// Replication domain.
    #[arg(long = "domain-name", value_name = "NAME")]
    domain_name: Option<String>,
    /// Password storage scheme.
    #[arg(long = "scheme-name", value_name = "NAME")]
    scheme_name: Option<String>,
    /// Root user.
    #[arg(long = "user-name", value_name = "NAME")]
    user_name: Option<String>,
}

impl Names {
    fn slot(&mut self, option: &str) -> Option<&mut Option<String>> {
        Some(match option {
            "backend-name" => &mut self.backend_name,
            "index-name" => &mut self.index_name,
            "handler-name" => &mut self.handler_name,
            "mapper-name" => &mut self.mapper_name,
            "publisher-name" => &mut self.publisher_name,
            "criteria-name" => &mut self.criteria_name,
            "policy-name" => &mut self.policy_name,
            "provider-name" => &mut self.provider_name,
            "domain-name" => &mut self.domain_name,
            "scheme-name" => &mut self.scheme_name,
            "user-name" => &mut self.user_name,
            _ => return None,
        })
    }

    /// The name given for an option.
    pub(super) fn get(&self, option: &str) -> Option<&str> {
        let found = match option {
            "backend-name" => &self.backend_name,
            "index-name" => &self.index_name,
            "handler-name" => &self.handler_name,
            "mapper-name" => &self.mapper_name,
            "publisher-name" => &self.publisher_name,
            "criteria-name" => &self.criteria_name,
            "policy-name" => &self.policy_name,
            "provider-name" => &self.provider_name,
            "domain-name" => &self.domain_name,
            "scheme-name" => &self.scheme_name,
            "user-name" => &self.user_name,
            _ => return None,
        };
        found.as_deref()
    }

    /// Gives a name.
    pub(super) fn set(&mut self, option: &str, name: String) {
        if let Some(slot) = self.slot(option) {
            *slot = Some(name);
        }
    }
}

/// What is wished of an object's properties.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Properties")]
pub(super) struct Wishes {
    /// Type of the object to create.
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    pub(super) kind_type: Option<String>,
    /// Give a property this value; several times: these values.
    #[arg(long, value_name = "PROPERTY:VALUE")]
    pub(super) set: Vec<String>,
    /// Add a value to a property.
    #[arg(long, value_name = "PROPERTY:VALUE")]
    pub(super) add: Vec<String>,
    /// Remove a value from a property.
    #[arg(long, value_name = "PROPERTY:VALUE")]
    pub(super) remove: Vec<String>,
    /// Give a property its default.
    #[arg(long, value_name = "PROPERTY")]
    pub(super) reset: Vec<String>,
    /// Show this property; may be given several times.
    #[arg(long, value_name = "PROPERTY")]
    pub(super) property: Vec<String>,
    /// Deleting what is not there is no error.
    #[arg(short = 'f', long)]
    pub(super) force: bool,
}

impl Options {
    /// Reads the words of a batch file's command.
    pub(super) fn of_words(words: &[String]) -> Result<Self, String> {
        let command = Self::augment_args(clap::Command::new("dsconfig").no_binary_name(true));
        let matches = command.try_get_matches_from(words).map_err(|error| error.to_string())?;
        Self::from_arg_matches(&matches).map_err(|error| error.to_string())
    }
}
