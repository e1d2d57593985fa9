//! `ctsd setup`: a new instance, its base entries, and the server started in the background.

use std::io::{BufRead, Seek};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::Pid;

use super::args::{Profile, Setup};
use super::ports::{self, ADMIN_PORT};
use super::{Failure, generate, process, prompt, serve};
use crate::access::default_globals;
use crate::auth::{Secret, Verifier, scheme::Scheme};
use crate::backend::StartPhase;
use crate::config::{self, Instance, SecretValue, SetupOptions, TlsFiles};
use crate::ldif::{LdifChange, LdifReader};
use crate::name::Dn;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::server::{Server, self_signed};
use crate::session::Internal;

/// The LDIF files that the `am-cts` profile loads are the ones an operator would.
const CONTAINERS: &str = include_str!("../../ldif/cts-container.ldif");
/// The suffix those files are written for.
const FILE_SUFFIX: &str = "dc=cts,dc=example,dc=com";

/// What an instance is made from, all questions answered.
pub(super) struct Plan {
    pub(super) instance: PathBuf,
    pub(super) root_dn: String,
    pub(super) root_password: Secret,
    pub(super) hostname: String,
    pub(super) ldap_port: u16,
    pub(super) ldaps_port: Option<u16>,
    pub(super) admin_port: u16,
    pub(super) start_tls: bool,
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
    pub(super) base_dns: Vec<String>,
    pub(super) add_base_entry: bool,
    pub(super) profiles: Vec<Profile>,
}

/// `ctsd setup`.
pub(super) fn run(options: &Setup) -> Result<ExitCode, Failure> {
    let directory = &options.at.instance;
    if directory.join("config/config.ldif").exists() {
        return Err(Failure::new(format!(
            "{} is an instance already; nothing was changed",
            directory.display()
        )));
    }
    let asks = !options.no_prompt && prompt::is_possible();
    let plan = plan(options, asks)?;
    let start = if asks && !options.do_not_start {
        prompt::yes("Do you want to start the server", true)?
    } else {
        !options.do_not_start
    };
    if !options.skip_port_check {
        check_ports(&plan)?;
    }
    let say = |text: &str| {
        if !options.quiet {
            println!("{text}");
        }
    };
    say(&format!("Setting up {} ...", directory.display()));
    create(&plan)?;
    say("The instance is set up.");
    match generate::link(&directory.join("bin"), false) {
        Ok(()) => say(&format!("Its tools are in {}.", directory.join("bin").display())),
        // It serves without them.
        Err(failure) => eprintln!("The tools could not be linked: {}", failure.text),
    }
    if start {
        let addresses = start_in_background(directory)?;
        say(&format!("The server runs and listens on {}.", addresses.join(" and ")));
    } else {
        say(&format!("Start it with: ctsd start --instance {}", directory.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The names a self-signed certificate is for. The machine's own is among them: OpenLDAP's tools, told `localhost`, look
/// for that one.
fn certified_names(plan: &Plan) -> Vec<String> {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = machine.trim();
    let mut names = vec![plan.hostname.clone()];
    if !machine.is_empty() && machine.is_ascii() && machine != plan.hostname {
        names.push(machine.to_owned());
    }
    names
}

fn plan(options: &Setup, asks: bool) -> Result<Plan, Failure> {
    if let Some(kind) = &options.backend_type
        && !["je", "pdb", "cts", "log"].contains(&kind.to_lowercase().as_str())
    {
        return Err(Failure::new(format!(
            "--backendType {kind}: there is one kind of store; je and pdb stand for it"
        )));
    }
    let root_dn = match &options.root_user_dn {
        Some(dn) => dn.clone(),
        None if asks => {
            prompt::text("Initial Root User DN for the Directory Server", "cn=Directory Manager")?
        }
        None => "cn=Directory Manager".to_owned(),
    };
    Dn::parse(&root_dn).map_err(|error| Failure::new(format!("--rootUserDN {root_dn}: {error}")))?;
    let root_password = password(options, asks)?;
    let hostname = match &options.hostname {
        Some(hostname) => hostname.clone(),
        None if asks => prompt::text("Fully Qualified Hostname", "localhost")?,
        None => "localhost".to_owned(),
    };
    let ask_port = |given: Option<u16>, question: &str, default: u16| match given {
        Some(port) => Ok(port),
        None if asks => prompt::port(question, default),
        None => Ok(default),
    };
    let ldap_port = ask_port(options.ldap_port, "LDAP Listening Port", 1389)?;
    let admin_port = match options.admin_connector_port {
        None if asks => prompt::port("Administration Connector Port", ADMIN_PORT)?,
        given => ports::administration(given, options.skip_port_check),
    };
    let mut base_dns = options.base_dn.clone();
    let mut add_base_entry = options.add_base_entry || !options.profile.is_empty();
    if base_dns.is_empty() {
        if !asks {
            return Err(Failure::new("--baseDN is missing, for example --baseDN dc=cts,dc=example,dc=com"));
        }
        base_dns.push(prompt::text("Base DN for Directory Data", FILE_SUFFIX)?);
        add_base_entry = add_base_entry
            || prompt::yes("Create the base entry only (otherwise the database is left empty)", true)?;
    }
    for base in &base_dns {
        let dn = Dn::parse(base).map_err(|error| Failure::new(format!("--baseDN {base}: {error}")))?;
        if dn.is_root() {
            return Err(Failure::new("--baseDN must not be empty"));
        }
    }
    let mut ldaps_port = options.ldaps_port;
    let mut start_tls = options.enable_start_tls;
    if asks && ldaps_port.is_none() && prompt::yes("Do you want to enable SSL", false)? {
        ldaps_port = Some(prompt::port("LDAPS Listening Port", 1636)?);
    }
    if asks && !start_tls {
        start_tls = prompt::yes("Do you want to enable StartTLS", false)?;
    }
    let certificate = options.certificate_file.clone().zip(options.private_key_file.clone());
    let tls = ldaps_port.is_some() || start_tls;
    if tls && certificate.is_none() && !options.generate_self_signed_certificate && !asks {
        return Err(Failure::new(
            "TLS needs a certificate: --generateSelfSignedCertificate, or --certificateFile and --privateKeyFile",
        ));
    }
    Ok(Plan {
        instance: options.at.instance.clone(),
        root_dn,
        root_password,
        hostname,
        ldap_port,
        ldaps_port,
        admin_port,
        start_tls,
        certificate,
        base_dns,
        add_base_entry,
        profiles: options.profile.clone(),
    })
}

fn password(options: &Setup, asks: bool) -> Result<Secret, Failure> {
    if let Some(password) = &options.root_user_password {
        return Ok(Secret::new(password.clone().into_bytes()));
    }
    if let Some(file) = &options.root_user_password_file {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("--rootUserPasswordFile {}: {error}", file.display())))?;
        let first = text.lines().next().unwrap_or_default();
        if first.is_empty() {
            return Err(Failure::new(format!("--rootUserPasswordFile {} holds no password", file.display())));
        }
        return Ok(Secret::new(first.as_bytes().to_vec()));
    }
    if asks {
        let typed = prompt::new_password("Password for the Initial Root User")?;
        return Ok(Secret::new(typed.into_bytes()));
    }
    Err(Failure::new("the root user needs a password: --rootUserPassword or --rootUserPasswordFile"))
}

/// Says plainly which port is taken, before anything is made.
pub(super) fn check_ports(plan: &Plan) -> Result<(), Failure> {
    ports::check(&[
        ("--ldapPort", Some(plan.ldap_port)),
        ("--ldapsPort", plan.ldaps_port),
        ("--adminConnectorPort", Some(plan.admin_port)),
    ])
}

/// Makes the instance and its entries. What a failure leaves behind is removed.
pub(super) fn create(plan: &Plan) -> Result<(), Failure> {
    let existed = plan.instance.exists();
    let made = create_instance(plan);
    if made.is_err() && !existed {
        let _ = std::fs::remove_dir_all(&plan.instance);
    } else if made.is_err() {
        let _ = std::fs::remove_file(plan.instance.join("config/config.ldif"));
    }
    made
}

fn create_instance(plan: &Plan) -> Result<(), Failure> {
    let runtime = serve::runtime()?;
    let tls = plan.ldaps_port.is_some() || plan.start_tls;
    let files = TlsFiles {
        certificate: PathBuf::from("config/tls/server.pem"),
        private_key: PathBuf::from("config/tls/server.key"),
        trust: None,
    };
    let hashed = runtime.block_on(async {
        let verifier = Verifier::for_machine()?;
        verifier.encode(Scheme::DEFAULT, &plan.root_password).await
    })?;
    let compat = plan.profiles.contains(&Profile::Compat);
    let mut options =
        SetupOptions::new(plan.base_dns.clone(), plan.root_dn.clone(), SecretValue::new(hashed));
    options.ldap_port = Some(plan.ldap_port);
    options.ldaps_port = plan.ldaps_port;
    options.admin_port = plan.admin_port;
    options.start_tls = plan.start_tls;
    options.tls = tls.then_some(files);
    options.global_acis = default_globals(compat);
    options.profiles = plan
        .profiles
        .iter()
        .map(|profile| match profile {
            Profile::AmCts => config::Profile::AmCts,
            Profile::Compat => config::Profile::Compat,
        })
        .collect();
    let instance = Instance::create(&plan.instance, &options)?;
    if tls {
        write_certificate(plan, &instance)?;
    }
    let (certificate, key) = self_signed(std::slice::from_ref(&plan.hostname))?;
    write_private(&instance.root().join(Instance::ADMIN_CERTIFICATE), &certificate)?;
    write_private(&instance.root().join(Instance::ADMIN_KEY), &key)?;
    if plan.add_base_entry {
        runtime.block_on(add_entries(plan, instance))?;
    }
    Ok(())
}

fn write_certificate(plan: &Plan, instance: &Instance) -> Result<(), Failure> {
    let (certificate, key) = match &plan.certificate {
        Some((certificate, key)) => {
            let read = |path: &Path| {
                std::fs::read_to_string(path)
                    .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
            };
            (read(certificate)?, read(key)?)
        }
        None => self_signed(&certified_names(plan))?,
    };
    let directory = instance.tls_directory();
    write_private(&directory.join("server.pem"), &certificate)?;
    write_private(&directory.join("server.key"), &key)
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

async fn add_entries(plan: &Plan, instance: Instance) -> Result<(), Failure> {
    let server = Server::open(instance)?;
    let client = Internal::new(server.directory(), &plan.root_dn);
    let mut done = Ok(());
    for base in &plan.base_dns {
        done = add_base(&client, base).await;
        if done.is_ok() && plan.profiles.contains(&Profile::AmCts) {
            done = load(&client, CONTAINERS, base).await;
        }
        if done.is_err() {
            break;
        }
    }
    server.stop().await;
    done
}

async fn add_base(client: &Internal, base: &str) -> Result<(), Failure> {
    let dn = Dn::parse(base)?;
    let ava = dn.rdn().and_then(|rdn| rdn.avas().first());
    let attribute = ava.map(|ava| ava.attribute().to_lowercase()).unwrap_or_default();
    let class = match attribute.as_str() {
        "dc" => "domain",
        "o" => "organization",
        "ou" => "organizationalUnit",
        "c" => "country",
        "l" => "locality",
        _ => {
            return Err(Failure::new(format!(
                "--baseDN {base}: no base entry can be made for {attribute}=; use dc=, o=, ou=, c= or l="
            )));
        }
    };
    expect(base, &client.add(base, &[("objectClass", vec![b"top", class.as_bytes()])]).await)
}

/// Adds the entries of one of our LDIF files, under another suffix.
pub(super) async fn load(client: &Internal, text: &str, suffix: &str) -> Result<(), Failure> {
    let text = text.replace(FILE_SUFFIX, suffix);
    for record in LdifReader::new(text.as_bytes()) {
        let record = record?;
        let (LdifChange::Entry(attributes) | LdifChange::Add(attributes)) = &record.change else {
            return Err(Failure::new(format!("{}: not a record that adds an entry", record.dn)));
        };
        let attributes: Vec<_> = attributes
            .iter()
            .map(|attribute| {
                let values = attribute.values.iter().map(Vec::as_slice).collect();
                (attribute.description.as_str(), values)
            })
            .collect();
        expect(&record.dn, &client.add(&record.dn, &attributes).await)?;
    }
    Ok(())
}

/// Success, or the failure in words.
pub(super) fn expect(dn: &str, result: &LdapResult) -> Result<(), Failure> {
    if result.code == ResultCode::SUCCESS {
        return Ok(());
    }
    Err(Failure::new(format!("{dn}: {} {}", result.code, result.diagnostic)))
}

/// Shows on a terminal how far a start in the background is, by what the server writes.
struct Progress {
    /// The server's output, from where this start begins; none without a terminal.
    output: Option<std::io::BufReader<std::fs::File>>,
    has_shown: bool,
}

impl Progress {
    fn of(output: &Path) -> Self {
        let open = || {
            let mut file = std::fs::File::open(output)?;
            file.seek(std::io::SeekFrom::End(0))?;
            Ok::<_, std::io::Error>(std::io::BufReader::new(file))
        };
        let output = if rustix::termios::isatty(std::io::stderr()) { open().ok() } else { None };
        Self { output, has_shown: false }
    }

    fn show(&mut self) {
        let Some(output) = &mut self.output else { return };
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|octets| octets > 0) {
            if let Some(text) = StartPhase::ALL.iter().find_map(|phase| line.find(&phase.to_string())) {
                eprint!("\r\x1b[K{}", line.get(text..).unwrap_or_default().trim_end());
                self.has_shown = true;
            }
            line.clear();
        }
    }

    fn end(&self) {
        if self.has_shown {
            eprint!("\r\x1b[K");
        }
    }
}

/// Starts the server on its own and returns when it serves; says where.
pub(super) fn start_in_background(directory: &Path) -> Result<Vec<String>, Failure> {
    let output = directory.join("logs/server.out");
    let log = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&output)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("start")
        .arg("--instance")
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    // Recovery of a large log takes its time; a process that ended has not. What a server that was killed left there is not
    // this one's word.
    let own = Pid::from_child(&child);
    let mut progress = Progress::of(&output);
    loop {
        if process::running(directory) == Some(own)
            && let Some(addresses) = process::serving(directory)
        {
            progress.end();
            return Ok(addresses);
        }
        progress.show();
        if let Some(status) = child.try_wait()? {
            let text = std::fs::read_to_string(&output).unwrap_or_default();
            let last = text.lines().last().unwrap_or_default();
            return Err(Failure::new(format!("the server did not start ({status}): {last}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
