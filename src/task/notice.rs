//! Telling people, and programs, that a task has ended: by mail, by an HTTP request, by executing a program. Nothing here
//! breaks a task; what goes wrong is given back as text.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{CertificateStore, SmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, StreamOwned};

use super::agenda::Task;
use super::schedule::stamp;
use super::state::State;
use crate::config::{Global, Instance, MailSecurity, MailServer, WebAddress};

/// How long a mail server or a web server may take for each step.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the hook may run, in steps of [`LOOK`].
const HOOK_LOOKS: u32 = 600;
const LOOK: Duration = Duration::from_millis(100);

/// Whether mail can be sent to this address.
pub(super) fn check_address(text: &str) -> Result<(), String> {
    let parsed: Result<Address, _> = text.trim().parse();
    parsed.map(|_| ()).map_err(|error| format!("\"{text}\" is no mail address: {error}"))
}

/// What is told of a task.
struct Report<'a> {
    task: &'a Task,
    class: String,
    state: State,
}

impl Report<'_> {
    fn values(&self, name: &str) -> Vec<String> {
        let values = self.task.attributes.values(name);
        values.map(|value| String::from_utf8_lossy(value).trim().to_owned()).collect()
    }

    /// Who is written to: those of completion always, those of errors after any end but a successful one.
    fn addresses(&self) -> Vec<String> {
        let mut all = self.values("ds-task-notify-on-completion");
        if !self.state.is_success() {
            all.extend(self.values("ds-task-notify-on-error"));
        }
        all.sort();
        all.dedup();
        all
    }

    fn text(&self) -> String {
        let time = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), stamp);
        let mut text = format!(
            "Task ID:              {}\nTask class:           {}\nState:                {}\n\
             Scheduled start time: {}\nActual start time:    {}\nCompletion time:      {}\n",
            self.task.id,
            self.class,
            self.state.name(),
            time(self.task.scheduled_ms),
            time(self.task.started_ms),
            time(self.task.ended_ms)
        );
        if !self.task.log.is_empty() {
            text.push_str("\nLog:\n");
            for line in &self.task.log {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

/// Tells who wants to know of a task's end; what went wrong with that.
pub(super) fn send(task: &Task, global: &Global, instance: &Instance, now_ms: u64) -> Vec<String> {
    let class = task.attributes.values("ds-task-class-name").next().unwrap_or_default();
    let class = String::from_utf8_lossy(class).into_owned();
    let report = Report { task, class, state: task.state() };
    let mut faults = Vec::new();
    let addresses = report.addresses();
    if !addresses.is_empty() {
        faults.extend(mail(&report, &addresses, global, instance, now_ms).err());
    }
    if let Some(url) = &global.task_webhook {
        let posted = post(&report, url, global, instance);
        faults.extend(posted.err().map(|why| format!("ds-cfg-cts-task-webhook-url {url}: {why}")));
    }
    if let Some(hook) = &global.task_hook {
        faults.extend(execute(&report, hook).err().map(|why| format!("ds-cfg-cts-task-hook {hook}: {why}")));
    }
    faults
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

fn mail(
    report: &Report<'_>,
    addresses: &[String],
    global: &Global,
    instance: &Instance,
    now_ms: u64,
) -> Result<(), String> {
    if global.smtp_servers.is_empty() {
        return Err(format!(
            "no mail to {}: ds-cfg-smtp-server of cn=config is not set",
            addresses.join(", ")
        ));
    }
    let sender = global.task_sender.clone();
    let sender = sender.unwrap_or_else(|| format!("ctsd-task-notification@{}", host_name()));
    let from: Mailbox =
        sender.parse().map_err(|error| format!("ds-cfg-cts-task-sender \"{sender}\": {error}"))?;
    let date = std::time::UNIX_EPOCH + Duration::from_millis(now_ms);
    let ended = if report.state.is_success() { "completed" } else { "did not complete successfully" };
    let mut message = Message::builder().from(from).date(date).subject(format!(
        "Task {} {ended}: {}",
        report.task.id,
        report.state.name()
    ));
    for address in addresses {
        let to: Mailbox = address.parse().map_err(|error| format!("\"{address}\": {error}"))?;
        message = message.to(to);
    }
    let message = message.body(report.text()).map_err(|error| error.to_string())?;
    let mut faults = Vec::new();
    for server in &global.smtp_servers {
        match hand_over(&message, server, global, instance) {
            Ok(()) => return Ok(()),
            Err(error) => faults.push(format!("{server}: {error}")),
        }
    }
    Err(format!("no mail to {}: {}", addresses.join(", "), faults.join("; ")))
}

/// An error with what it comes from, as far as it says more.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// Hands a message to a mail server, which has to be believed before it is told more than our name.
fn hand_over(
    message: &Message,
    server: &MailServer,
    global: &Global,
    instance: &Instance,
) -> Result<(), String> {
    let file = global.task_trust_file.as_deref().map(|file| instance.resolve(file));
    let security = match server.security {
        MailSecurity::Clear => None,
        MailSecurity::StartTls | MailSecurity::Tls => {
            Some((super::trust::Trusted::read(file.as_deref())?, mail_tls(server)?))
        }
    };
    let login = match &server.user {
        Some(user) => Some(Credentials::new(user.clone(), mail_password(global, instance)?)),
        None => None,
    };
    let at_once = security.as_ref().filter(|_| server.security == MailSecurity::Tls).map(|(_, tls)| tls);
    let us = ClientId::default();
    let fault = |error: lettre::transport::smtp::Error| reasons(&error);
    let place = (server.host.as_str(), server.port);
    let mut connection = SmtpConnection::connect(place, Some(PATIENCE), &us, at_once, None).map_err(fault)?;
    let mut send = || {
        if let Some((trusted, tls)) = &security {
            if server.security == MailSecurity::StartTls {
                connection.starttls(tls, &us).map_err(fault)?;
            }
            let shown = connection.certificate_chain().map_err(fault)?;
            let shown: Vec<_> = shown.into_iter().map(CertificateDer::from).collect();
            trusted.check(&shown, &server.host)?;
        }
        if let Some(login) = &login {
            connection.auth(DEFAULT_MECHANISMS, login).map_err(fault)?;
        }
        connection.send(message.envelope(), &message.formatted()).map(drop).map_err(fault)
    };
    let sent = send();
    // Says goodbye, if it still can.
    connection.abort();
    sent
}

/// How TLS is spoken with a mail server. The library takes no other judge of certificates than its own, so it is to let all
/// pass but those of another name; who is believed is decided as soon as the certificates are there.
fn mail_tls(server: &MailServer) -> Result<TlsParameters, String> {
    TlsParameters::builder(server.host.clone())
        .certificate_store(CertificateStore::None)
        .dangerous_accept_invalid_certs(true)
        .build()
        .map_err(|error| reasons(&error))
}

/// The first line of the password file. It is read each time: another password needs nobody to be told.
fn mail_password(global: &Global, instance: &Instance) -> Result<String, String> {
    let file = global.smtp_password_file.as_deref();
    let file = file.ok_or("ds-cfg-cts-smtp-password-file, the password of who logs in, is not set")?;
    let file = instance.resolve(file);
    let fault = |error: std::io::Error| format!("ds-cfg-cts-smtp-password-file {}: {error}", file.display());
    let text = std::fs::read_to_string(&file).map_err(fault)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Posts a small JSON object; any answer of the class 2xx will do.
fn post(report: &Report<'_>, to: &WebAddress, global: &Global, instance: &Instance) -> Result<(), String> {
    let body = format!(
        "{{\"id\":{},\"class\":{},\"state\":\"{}\",\"succeeded\":{}}}",
        json(&report.task.id),
        json(&report.class),
        report.state.name(),
        report.state.is_success()
    );
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        to.path,
        to.authority,
        body.len()
    );
    let fault = |error: std::io::Error| reasons(&error);
    let stream = connected(to).map_err(fault)?;
    let answer = if to.is_tls {
        let file = global.task_trust_file.as_deref().map(|file| instance.resolve(file));
        let name = super::trust::name(&to.host)?;
        let session = ClientConnection::new(super::trust::client(file.as_deref())?, name);
        asked(StreamOwned::new(session.map_err(|error| error.to_string())?, stream), &request)
    } else {
        asked(stream, &request)
    };
    let answer = answer.map_err(fault)?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    if status.len() == 3 && status.starts_with('2') {
        return Ok(());
    }
    Err(format!("the answer is \"{}\"", answer.lines().next().unwrap_or_default()))
}

fn connected(to: &WebAddress) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("the host has no address");
    for address in (to.host.as_str(), to.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Asks, and reads how the answer begins. More is not wanted, so it does not matter how the other side ends.
fn asked(mut stream: impl Read + Write, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut piece = [0; 64];
    while answer.len() < 256 && !answer.contains(&b'\n') {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(octets) => answer.extend_from_slice(piece.get(..octets).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Executes the hook, without a shell, with nothing of the server's environment but `PATH`.
fn execute(report: &Report<'_>, hook: &str) -> Result<(), String> {
    if !Path::new(hook).is_absolute() {
        return Err("the path has to be absolute".to_owned());
    }
    let mut command = Command::new(hook);
    command
        .env_clear()
        .env("CTSD_TASK_ID", &report.task.id)
        .env("CTSD_TASK_CLASS", &report.class)
        .env("CTSD_TASK_STATE", report.state.name())
        .env("CTSD_TASK_SUCCEEDED", report.state.is_success().to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    for _ in 0..HOOK_LOOKS {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => return Err(error.to_string()),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("it was ended after {} s", (LOOK * HOOK_LOOKS).as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_written_to_depends_on_the_end() {
        let schema = crate::schema::SchemaStore::builtin(false).current();
        let mut task = Task::default();
        task.attributes.put("ds-task-notify-on-completion", "all@example.com", &schema);
        task.attributes.put("ds-task-notify-on-error", "all@example.com", &schema);
        task.attributes.put("ds-task-notify-on-error", "bad@example.com", &schema);
        let report = |state| Report { task: &task, class: String::new(), state };
        assert_eq!(report(State::CompletedSuccessfully).addresses(), ["all@example.com"]);
        assert_eq!(report(State::CompletedWithErrors).addresses(), ["all@example.com", "bad@example.com"]);
        assert!(check_address("backupadmin@example.com").is_ok() && check_address("nobody").is_err());
    }
}
