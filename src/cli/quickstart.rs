//! `ctsd quickstart`: a complete CTS store by one command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{Profile, Quickstart};
use super::setup::{self, Plan};
use super::{Failure, ports, process, serve};
use crate::access::cts_account_acis;
use crate::auth::random_password;
use crate::config::Instance;
use crate::server::Server;
use crate::session::Internal;

const ROOT_DN: &str = "cn=Directory Manager";

fn password_file(instance: &Path, name: &str) -> PathBuf {
    instance.join("config/secrets").join(format!("{name}.password"))
}

fn account(suffix: &str) -> String {
    format!("uid=openam_cts,ou=admins,{suffix}")
}

/// `ctsd quickstart`.
pub(super) fn run(options: &Quickstart) -> Result<ExitCode, Failure> {
    let directory = &options.at.instance;
    if let Some(pid) = process::running(directory) {
        let pid = pid.as_raw_nonzero();
        println!("The instance {} is served already, by process {pid}.", directory.display());
        return Ok(ExitCode::SUCCESS);
    }
    if directory.join("config/config.ldif").exists() {
        println!("{} is there already: it is served as it is.", directory.display());
    } else {
        make(options)?;
    }
    serve::serve(directory, &options.log, |addresses| tell(options, addresses))
}

fn make(options: &Quickstart) -> Result<(), Failure> {
    let root_password = random_password()?;
    let account_password = random_password()?;
    let root_text = String::from_utf8_lossy(root_password.expose()).into_owned();
    let account_text = String::from_utf8_lossy(account_password.expose()).into_owned();
    let plan = Plan {
        instance: options.at.instance.clone(),
        root_dn: ROOT_DN.to_owned(),
        root_password,
        hostname: options.hostname.clone(),
        ldap_port: options.ldap_port,
        ldaps_port: Some(options.ldaps_port),
        admin_port: ports::administration(options.admin_connector_port, false),
        start_tls: true,
        certificate: None,
        base_dns: vec![options.base_dn.clone()],
        add_base_entry: true,
        profiles: vec![Profile::AmCts],
    };
    setup::check_ports(&plan)?;
    setup::create(&plan)?;
    let directory = &options.at.instance;
    setup::write_private(&password_file(directory, "directory-manager"), &format!("{root_text}\n"))?;
    // Without a newline: OpenLDAP's -y takes the file as it stands.
    setup::write_private(&password_file(directory, "cts-account"), &account_text)?;
    let made = serve::runtime()?.block_on(add_account(directory, &options.base_dn, &account_text));
    if made.is_err() {
        let _ = std::fs::remove_file(directory.join("config/config.ldif"));
    }
    made
}

/// The account OpenAM binds as: it may do with tokens what CTS does, and nothing else.
async fn add_account(directory: &Path, suffix: &str, password: &str) -> Result<(), Failure> {
    let server = Server::open(Instance::open(directory)?)?;
    let client = Internal::new(server.directory(), ROOT_DN);
    let done = add_account_entries(&client, suffix, password).await;
    server.stop().await;
    done
}

async fn add_account_entries(client: &Internal, suffix: &str, password: &str) -> Result<(), Failure> {
    let admins = format!("ou=admins,{suffix}");
    let unit: &[&[u8]] = &[b"top", b"organizationalUnit"];
    setup::expect(&admins, &client.add(&admins, &[("objectClass", unit.to_vec())]).await)?;
    let dn = account(suffix);
    let classes: &[&[u8]] = &[b"top", b"person", b"organizationalPerson", b"inetOrgPerson"];
    let attributes = [
        ("objectClass", classes.to_vec()),
        ("cn", vec!["OpenAM CTS account".as_bytes()]),
        ("sn", vec!["OpenAM".as_bytes()]),
        ("userPassword", vec![password.as_bytes()]),
        ("ds-privilege-name", vec!["unindexed-search".as_bytes()]),
        ("ds-rlim-lookthrough-limit", vec!["0".as_bytes()]),
        ("ds-rlim-size-limit", vec!["5000".as_bytes()]),
    ];
    setup::expect(&dn, &client.add(&dn, &attributes).await)?;
    let acis = cts_account_acis(&dn);
    let values: Vec<&[u8]> = acis.iter().map(String::as_bytes).collect();
    setup::expect(suffix, &client.add_values(suffix, "aci", &values).await)
}

fn tell(options: &Quickstart, addresses: &[String]) {
    let directory = &options.at.instance;
    let port = |scheme: &str| {
        let start = format!("{scheme}://");
        // The administration connector speaks LDAPS too, but says what it is.
        let address = addresses.iter().find(|address| address.starts_with(&start) && !address.ends_with(')'));
        address.and_then(|address| address.rsplit(':').next()).unwrap_or("-").to_owned()
    };
    let administration = addresses.iter().find(|address| address.ends_with("(administration)"));
    let (host, suffix) = (&options.hostname, &options.base_dn);
    let password = password_file(directory, "cts-account");
    let certificate = directory.join("config/tls/server.pem");
    println!(
        "
The CTS store is ready: {listening}

In OpenAM, Configure > Server Defaults > CTS, CTS Token Store:
  Store Mode            External Token Store
  Root Suffix           ou=famrecords,ou=openam-session,ou=tokens,{suffix}
  Max Connections       17

External Store Configuration:
  SSL/TLS Enabled       False   (True: use port {ldaps} and trust the certificate, below)
  Connection String(s)  {host}:{ldap}
  Login ID              {account}
  Password              the text in {password}
  Heartbeat             10

To use SSL/TLS, make OpenAM's JVM trust the certificate, then restart OpenAM:
  keytool -importcert -noprompt -alias ctsd -file {certificate} \\
    -keystore \"$JAVA_HOME/lib/security/cacerts\" -storepass changeit

The directory manager is {ROOT_DN}; its password is in {root_password}.
Administration (TLS): {administration}
Stop the server with Ctrl-C, or `ctsd stop --instance {directory}`.
",
        listening = addresses.join(", "),
        ldaps = port("ldaps"),
        ldap = port("ldap"),
        account = account(suffix),
        password = password.display(),
        certificate = certificate.display(),
        root_password = password_file(directory, "directory-manager").display(),
        administration = administration.map_or("not open; see the log", String::as_str),
        directory = directory.display(),
    );
}
