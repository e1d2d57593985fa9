//! Telling people, and programs, that a task has ended: by mail, by an HTTP request, by executing a program. Nothing here
//! breaks a task; what goes wrong is given back as text.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::{Address, Message, SmtpTransport, Transport};

use super::agenda::Task;
use super::schedule::stamp;
use super::state::State;
use crate::config::Global;

/// How long a mail server or a web server may take for each step.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the hook may run, in steps of [`LOOK`].
const HOOK_LOOKS: u32 = 600;
const LOOK: Duration = Duration::from_millis(100);
/// The mail port where the configuration names none.
const SMTP: u16 = 25;

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
pub(super) fn send(task: &Task, global: &Global, now_ms: u64) -> Vec<String> {
    let class = task.attributes.values("ds-task-class-name").next().unwrap_or_default();
    let class = String::from_utf8_lossy(class).into_owned();
    let report = Report { task, class, state: task.state() };
    let mut faults = Vec::new();
    let addresses = report.addresses();
    if !addresses.is_empty() {
        faults.extend(mail(&report, &addresses, global, now_ms).err());
    }
    if let Some(url) = &global.task_webhook {
        faults
            .extend(post(&report, url).err().map(|why| format!("ds-cfg-cts-task-webhook-url {url}: {why}")));
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

/// Host and port; a port is what stands behind the last colon that is not an IPv6 address's.
fn host_port(text: &str, default: u16) -> Result<(String, u16), String> {
    let text = text.trim();
    let split = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':').unwrap_or(port))),
        None => text.rsplit_once(':').filter(|(host, _)| !host.contains(':')),
    };
    match split {
        Some((host, "")) => Ok((host.to_owned(), default)),
        Some((host, port)) => {
            let port = port.parse().map_err(|_| format!("{text}: \"{port}\" is no port"))?;
            Ok((host.to_owned(), port))
        }
        None => Ok((text.to_owned(), default)),
    }
}

fn mail(report: &Report<'_>, addresses: &[String], global: &Global, now_ms: u64) -> Result<(), String> {
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
        let (host, port) = host_port(server, SMTP)?;
        let transport = SmtpTransport::builder_dangerous(host).port(port).timeout(Some(PATIENCE)).build();
        match transport.send(&message) {
            Ok(_) => return Ok(()),
            Err(error) => faults.push(format!("{server}: {error}")),
        }
    }
    Err(format!("no mail to {}: {}", addresses.join(", "), faults.join("; ")))
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
fn post(report: &Report<'_>, url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").ok_or("only http:// is known")?;
    let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, "/"));
    let (host, port) = host_port(authority, 80)?;
    let body = format!(
        "{{\"id\":{},\"class\":{},\"state\":\"{}\",\"succeeded\":{}}}",
        json(&report.task.id),
        json(&report.class),
        report.state.name(),
        report.state.is_success()
    );
    let ask = || -> std::io::Result<String> {
        let mut addresses = (host.as_str(), port).to_socket_addrs()?;
        let address = addresses.next().ok_or_else(|| std::io::Error::other("the host has no address"))?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(64).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    if status.len() == 3 && status.starts_with('2') {
        return Ok(());
    }
    Err(format!("the answer is \"{}\"", answer.lines().next().unwrap_or_default()))
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
    fn hosts_and_ports_are_told_apart() {
        let is = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(host_port("mail.example.com", 25), is("mail.example.com", 25));
        assert_eq!(host_port("mail.example.com:2525", 25), is("mail.example.com", 2525));
        assert_eq!(host_port("[::1]:26", 25), is("::1", 26));
        assert_eq!(host_port("[::1]", 25), is("::1", 25));
        assert_eq!(host_port("::1", 25), is("::1", 25));
        assert!(host_port("mail:smtp", 25).is_err());
    }

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
