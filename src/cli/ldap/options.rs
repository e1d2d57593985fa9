//! Connection options, as all OpenDJ tools share them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::client::{Client, Security, Target};
use super::control::OwnedControl;
use super::properties::Properties;
use super::report::wanted;
use super::tls::Trust;
use crate::auth::Secret;
use crate::cli::{Failure, home, prompt};
use crate::protocol::oid;

/// Takes a password off the command line without leaving it in anything that prints.
pub(in crate::cli) fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.as_bytes()))
}

/// Where to connect and as whom; what every tool that talks to a server has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection options")]
pub(in crate::cli) struct ConnectionOptions {
    /// The server's host name or address [default: localhost].
    #[arg(short = 'h', long, value_name = "HOST")]
    pub(in crate::cli) hostname: Option<String>,
    /// The server's port [default: 389, or 4444 for administration].
    #[arg(short = 'p', long, value_name = "PORT")]
    pub(in crate::cli) port: Option<u16>,
    /// DN to bind with.
    #[arg(short = 'D', long = "bindDN", value_name = "DN")]
    pub(in crate::cli) bind_dn: Option<String>,
    /// Password to bind with; `-` asks for it.
    #[arg(short = 'w', long = "bindPassword", value_name = "PASSWORD", value_parser = secret,
        conflicts_with = "bind_password_file")]
    pub(in crate::cli) bind_password: Option<Secret>,
    /// File whose first line is the password.
    #[arg(short = 'j', long = "bindPasswordFile", value_name = "FILE")]
    pub(in crate::cli) bind_password_file: Option<PathBuf>,
    /// Believe any server certificate.
    #[arg(short = 'X', long = "trustAll")]
    pub(in crate::cli) trust_all: bool,
    /// PEM file of certificates to believe.
    #[arg(short = 'P', long = "trustStorePath", value_name = "PEM")]
    pub(in crate::cli) trust_store_path: Option<PathBuf>,
    /// Accepted for scripts: PEM files of certificates have no password.
    #[arg(short = 'T', long = "trustStorePassword", value_name = "PASSWORD", value_parser = secret)]
    trust_store_password: Option<Secret>,
    /// Accepted for scripts.
    #[arg(short = 'U', long = "trustStorePasswordFile", value_name = "FILE")]
    trust_store_password_file: Option<PathBuf>,
    /// PEM file with the client's own certificate and private key.
    #[arg(short = 'K', long = "keyStorePath", value_name = "PEM")]
    pub(in crate::cli) key_store_path: Option<PathBuf>,
    /// Accepted for scripts: the private key is not encrypted.
    #[arg(short = 'W', long = "keyStorePassword", value_name = "PASSWORD", value_parser = secret)]
    key_store_password: Option<Secret>,
    /// Accepted for scripts.
    #[arg(short = 'u', long = "keyStorePasswordFile", value_name = "FILE")]
    key_store_password_file: Option<PathBuf>,
    /// Accepted for scripts: a PEM file holds one certificate.
    #[arg(short = 'N', long = "certNickname", value_name = "NICKNAME")]
    cert_nickname: Option<String>,
    /// SASL: mech=EXTERNAL, or mech=PLAIN with authid=… .
    #[arg(short = 'o', long = "saslOption", value_name = "NAME=VALUE")]
    pub(in crate::cli) sasl_option: Vec<String>,
    /// Milliseconds to wait for a connection.
    #[arg(long = "connectTimeout", default_value_t = 30_000, value_name = "MILLISECONDS")]
    pub(in crate::cli) connect_timeout: u64,
    /// File of defaults for these options [default: ~/.opendj/tools.properties, if it exists].
    #[arg(long = "propertiesFilePath", value_name = "FILE", conflicts_with = "no_properties_file")]
    pub(in crate::cli) properties_file_path: Option<PathBuf>,
    /// Read no file of defaults.
    #[arg(long = "noPropertiesFile")]
    pub(in crate::cli) no_properties_file: bool,
    /// Say more.
    #[arg(short = 'v', long)]
    pub(in crate::cli) verbose: bool,
}

/// What LDAP tools have besides: TLS is a choice for them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection options")]
pub(in crate::cli) struct LdapOptions {
    #[command(flatten)]
    pub(in crate::cli) connection: ConnectionOptions,
    /// Use TLS from the start (LDAPS).
    #[arg(short = 'Z', long = "useSSL", conflicts_with = "use_start_tls")]
    pub(in crate::cli) use_ssl: bool,
    /// Use StartTLS.
    #[arg(short = 'q', long = "useStartTLS")]
    pub(in crate::cli) use_start_tls: bool,
    /// Bind by SASL EXTERNAL, with the client certificate of --keyStorePath.
    #[arg(short = 'r', long = "useSASLExternal")]
    pub(in crate::cli) use_sasl_external: bool,
    /// Print as whom the server let the tool in.
    #[arg(short = 'E', long = "reportAuthzID")]
    pub(in crate::cli) report_authz_id: bool,
    /// Ask the server about the password's state while binding.
    #[arg(long = "usePasswordPolicyControl")]
    pub(in crate::cli) use_password_policy_control: bool,
    /// Accepted for scripts: text is UTF-8.
    #[arg(short = 'i', long = "encoding", value_name = "ENCODING")]
    encoding: Option<String>,
}

/// What administration tools have besides: they speak TLS always.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection options")]
pub(in crate::cli) struct AdminOptions {
    #[command(flatten)]
    pub(in crate::cli) connection: ConnectionOptions,
    /// Bind as this administrator of the replication topology, instead of --bindDN.
    #[arg(short = 'I', long = "adminUID", value_name = "UID", conflicts_with = "bind_dn")]
    pub(in crate::cli) admin_uid: Option<String>,
    /// Never ask; what is missing is an error.
    #[arg(short = 'n', long = "no-prompt")]
    pub(in crate::cli) no_prompt: bool,
    /// Say no more than errors.
    #[arg(short = 'Q', long)]
    pub(in crate::cli) quiet: bool,
}

/// How to prove who asks.
enum Login {
    Anonymous,
    Simple(String, Secret),
    External,
    Plain(String, Secret),
}

/// What a tool wants of its connection.
struct Wish {
    security: Security,
    port: u16,
    /// Bound with when no DN is given.
    dn: Option<String>,
    external: bool,
    may_ask: bool,
}

/// The first line of a password file.
pub(in crate::cli) fn password_of(file: &Path, option: &str) -> Result<Secret, Failure> {
    let octets =
        std::fs::read(file).map_err(|error| Failure::new(format!("{option} {}: {error}", file.display())))?;
    let first = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    Ok(Secret::new(first.strip_suffix(b"\r").unwrap_or(first)))
}

impl ConnectionOptions {
    fn target(&self, wish: &Wish, properties: &Properties) -> Result<Target, Failure> {
        let port = match (self.port, properties.get("port")) {
            (Some(port), _) => port,
            (None, Some(text)) => text
                .parse()
                .map_err(|_| Failure::new(format!("port={text} in the properties file is no port")))?,
            (None, None) => wish.port,
        };
        let trust = if self.trust_all || (self.trust_store_path.is_none() && properties.is_on("trustAll")) {
            Trust::All
        } else {
            let named = properties.get("trustStorePath").map(PathBuf::from);
            match self.trust_store_path.clone().or(named) {
                Some(file) => Trust::File(file),
                None => Trust::Default(home().join("config/tls")),
            }
        };
        let host = self.hostname.as_deref().or_else(|| properties.get("hostname")).unwrap_or("localhost");
        let key_store = self.key_store_path.clone();
        Ok(Target {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            security: wish.security,
            trust,
            key_store: key_store.or_else(|| properties.get("keyStorePath").map(PathBuf::from)),
            timeout: Duration::from_millis(self.connect_timeout.max(1)),
        })
    }

    fn login(&self, wish: &Wish, properties: &Properties) -> Result<Login, Failure> {
        let sasl = |name: &str| {
            self.sasl_option
                .iter()
                .filter_map(|option| option.split_once('='))
                .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.to_owned()))
        };
        let mechanism = sasl("mech").map(|mechanism| mechanism.to_uppercase());
        if wish.external || mechanism.as_deref() == Some("EXTERNAL") {
            return Ok(Login::External);
        }
        if mechanism.as_deref() == Some("PLAIN") {
            let name = sasl("authid").ok_or_else(|| {
                Failure::new("--saslOption mech=PLAIN needs --saslOption authid=u:NAME or authid=dn:DN")
            })?;
            let password = self.password(&name, wish, properties)?;
            return Ok(Login::Plain(name, password));
        }
        if let Some(mechanism) = mechanism {
            return Err(Failure::new(format!(
                "--saslOption mech={mechanism}: EXTERNAL and PLAIN are supported"
            )));
        }
        let dn = self.bind_dn.clone().or_else(|| properties.get("bindDN").map(str::to_owned));
        let is_anonymous = dn.is_none() && wish.dn.is_none() && !self.has_password();
        if is_anonymous || dn.as_deref() == Some("") {
            return Ok(Login::Anonymous);
        }
        // OpenDJ's tools take a password without a DN for the directory manager's.
        let dn = dn.or_else(|| wish.dn.clone()).unwrap_or_else(|| "cn=Directory Manager".to_owned());
        let password = self.password(&dn, wish, properties)?;
        Ok(Login::Simple(dn, password))
    }

    fn has_password(&self) -> bool {
        self.bind_password.is_some() || self.bind_password_file.is_some()
    }

    fn password(&self, dn: &str, wish: &Wish, properties: &Properties) -> Result<Secret, Failure> {
        let asks = match &self.bind_password {
            Some(password) if password.matches(b"-") => true,
            Some(password) => return Ok(password.clone()),
            None => false,
        };
        if !asks {
            let named = properties.get("bindPasswordFile").map(PathBuf::from);
            if let Some(file) = self.bind_password_file.clone().or(named) {
                return password_of(&file, "--bindPasswordFile");
            }
            if let Some(password) = properties.get("bindPassword") {
                return Ok(Secret::new(password.as_bytes()));
            }
        }
        if (wish.may_ask || asks) && prompt::is_possible() {
            return Ok(Secret::new(prompt::hidden(&format!("Password for user '{dn}'"))?.into_bytes()));
        }
        Err(Failure::new(format!(
            "a password for {dn} is missing, and there is nobody to ask: give --bindPasswordFile FILE or --bindPassword \
             PASSWORD"
        )))
    }

    fn open(
        &self,
        tool: &'static str,
        wish: &Wish,
        bind: &[OwnedControl],
    ) -> Result<(Client, String), Failure> {
        let properties = self.properties(tool)?;
        let target = self.target(wish, &properties)?;
        let login = self.login(wish, &properties)?;
        if self.verbose {
            eprintln!("connecting to {}:{}", target.host, target.port);
        }
        let mut client = Client::connect(&target)?;
        let (what, dn, answer) = match &login {
            Login::Anonymous if bind.is_empty() => return Ok((client, String::new())),
            Login::Anonymous => ("The anonymous bind attempt failed", "", client.bind("", b"", bind)),
            Login::Simple(dn, password) => {
                ("The simple bind attempt failed", dn.as_str(), client.bind(dn, password.expose(), bind))
            }
            Login::External => {
                ("The SASL EXTERNAL bind attempt failed", "", client.bind_sasl("EXTERNAL", None, bind))
            }
            Login::Plain(name, password) => {
                let mut credentials = vec![0];
                credentials.extend_from_slice(name.as_bytes());
                credentials.push(0);
                credentials.extend_from_slice(password.expose());
                let answer = client.bind_sasl("PLAIN", Some(&credentials), bind);
                ("The SASL PLAIN bind attempt failed", name.as_str(), answer)
            }
        };
        let answer = wanted(what, dn, answer?)?;
        if let Some(identity) = answer.control(oid::AUTHORIZATION_IDENTITY_RESPONSE) {
            println!("# Bound with authorization ID: {}", String::from_utf8_lossy(identity));
        }
        Ok((client, dn.to_owned()))
    }

    fn properties(&self, tool: &'static str) -> Result<Properties, Failure> {
        if self.no_properties_file {
            return Ok(Properties::default());
        }
        Properties::read(self.properties_file_path.as_deref(), tool)
    }

    /// The default for another option that a properties file may give.
    pub(in crate::cli) fn default_of(
        &self,
        tool: &'static str,
        option: &str,
    ) -> Result<Option<String>, Failure> {
        Ok(self.properties(tool)?.get(option).map(str::to_owned))
    }
}

impl LdapOptions {
    /// Connects and binds.
    pub(in crate::cli) fn open(&self, tool: &'static str) -> Result<Client, Failure> {
        let properties = self.connection.properties(tool)?;
        let security = if self.use_ssl {
            Security::Tls
        } else if self.use_start_tls || properties.is_on("useStartTLS") {
            Security::StartTls
        } else if properties.is_on("useSSL") {
            Security::Tls
        } else {
            Security::Plain
        };
        let port = if security == Security::Tls { 636 } else { 389 };
        let wish = Wish { security, port, dn: None, external: self.use_sasl_external, may_ask: true };
        let mut controls = Vec::new();
        if self.report_authz_id {
            controls.push(OwnedControl::new(oid::AUTHORIZATION_IDENTITY_REQUEST, false, None));
        }
        if self.use_password_policy_control {
            controls.push(OwnedControl::new(oid::PASSWORD_POLICY, false, None));
        }
        Ok(self.connection.open(tool, &wish, &controls)?.0)
    }
}

impl AdminOptions {
    /// Whether the tool may ask a person.
    pub(in crate::cli) fn asks(&self) -> bool {
        !self.no_prompt && prompt::is_possible()
    }

    /// Connects with TLS and binds, as the directory manager if nobody else is named.
    pub(in crate::cli) fn open(&self, tool: &'static str) -> Result<Client, Failure> {
        let dn = match &self.admin_uid {
            Some(uid) => format!("cn={uid},cn=Administrators,cn=admin data"),
            None => "cn=Directory Manager".to_owned(),
        };
        let wish = Wish {
            security: Security::Tls,
            port: 4444,
            dn: Some(dn),
            external: false,
            may_ask: !self.no_prompt,
        };
        Ok(self.connection.open(tool, &wish, &[])?.0)
    }

    /// Whether anything says which server: a host or a port, on the command line or in the properties file.
    pub(in crate::cli) fn names_server(&self, tool: &'static str) -> Result<bool, Failure> {
        let connection = &self.connection;
        if connection.hostname.is_some() || connection.port.is_some() {
            return Ok(true);
        }
        let properties = connection.properties(tool)?;
        Ok(["hostname", "port"].iter().any(|name| properties.get(name).is_some()))
    }

    /// Whether nothing says who asks: no DN, no password, no certificate, no SASL.
    pub(in crate::cli) fn names_nobody(&self, tool: &'static str) -> Result<bool, Failure> {
        let connection = &self.connection;
        let properties = connection.properties(tool)?;
        let is_silent = ["bindDN", "bindPassword", "bindPasswordFile", "keyStorePath"]
            .iter()
            .all(|name| properties.get(name).is_none());
        Ok(is_silent
            && self.admin_uid.is_none()
            && connection.bind_dn.is_none()
            && !connection.has_password()
            && connection.key_store_path.is_none()
            && connection.sasl_option.is_empty())
    }

    /// Connects to the administration socket of an instance: the server knows the user by itself.
    pub(in crate::cli) fn open_socket(&self, socket: &Path) -> Result<Client, Failure> {
        if self.connection.verbose {
            eprintln!("connecting to {}", socket.display());
        }
        let mut client = Client::connect_local(socket)?;
        let answer = client.bind_sasl("EXTERNAL", None, &[])?;
        wanted("The server does not take its own user's word", "", answer)?;
        Ok(client)
    }

    /// Connects to a server on this machine by one of the addresses it listens on, TLS before none. Without a password
    /// typed, the one in the file counts if it is there; without either there is no connection.
    pub(in crate::cli) fn open_local(
        &self,
        tool: &'static str,
        addresses: &[String],
        password_file: &Path,
    ) -> Result<Option<Client>, Failure> {
        let mut connection = self.connection.clone();
        if !connection.has_password() && connection.bind_dn.is_none() {
            if !password_file.is_file() {
                return Ok(None);
            }
            connection.bind_password_file = Some(password_file.to_owned());
        }
        let parted = addresses.iter().filter_map(|address| {
            let (scheme, place) = address.split_once("://")?;
            // What the connector is for may stand after its address.
            let (host, port) = place.split(' ').next()?.rsplit_once(':')?;
            Some((scheme, host, port.parse::<u16>().ok()?))
        });
        let mut reachable: Vec<_> =
            parted.filter(|(scheme, ..)| ["ldaps", "ldap"].contains(scheme)).collect();
        reachable.sort_by_key(|(scheme, ..)| *scheme == "ldap");
        let Some((scheme, host, port)) = reachable.first() else { return Ok(None) };
        connection.hostname = Some(match *host {
            "0.0.0.0" => "127.0.0.1".to_owned(),
            "[::]" => "::1".to_owned(),
            other => other.to_owned(),
        });
        let wish = Wish {
            security: if *scheme == "ldaps" { Security::Tls } else { Security::Plain },
            port: *port,
            dn: Some("cn=Directory Manager".to_owned()),
            external: false,
            may_ask: !self.no_prompt,
        };
        connection.port = Some(*port);
        Ok(Some(connection.open(tool, &wish, &[])?.0))
    }
}
