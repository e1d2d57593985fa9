//! Who is told that a task has ended: by mail through a server of the test's own, by the web, by a program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::world::{World, within};

/// A mail as it came.
#[derive(Debug)]
struct Mail {
    from: String,
    to: Vec<String>,
    text: String,
}

/// Takes mail on a port of this machine (RFC 5321, as much as a client needs).
fn mail_server() -> (u16, Receiver<Mail>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, mails) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if let Some(mail) = take_mail(stream.unwrap())
                && sender.send(mail).is_err()
            {
                return;
            }
        }
    });
    (port, mails)
}

fn take_mail(stream: TcpStream) -> Option<Mail> {
    let mut out = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut say = |text: &str| out.write_all(format!("{text}\r\n").as_bytes());
    say("220 mail of the test").ok()?;
    let mut mail = Mail { from: String::new(), to: Vec::new(), text: String::new() };
    while let Some(Ok(line)) = lines.next() {
        let answer = match line.get(..4).unwrap_or_default().to_uppercase().as_str() {
            "EHLO" | "HELO" => "250 good to see you",
            "MAIL" => {
                mail.from = line;
                "250 yes"
            }
            "RCPT" => {
                mail.to.push(line);
                "250 yes"
            }
            "DATA" => {
                say("354 go on").ok()?;
                for line in lines.by_ref().map_while(Result::ok).take_while(|line| line != ".") {
                    mail.text.push_str(&line);
                    mail.text.push('\n');
                }
                let _ = say("250 taken");
                return Some(mail);
            }
            _ => "250 as you like",
        };
        say(answer).ok()?;
    }
    None
}

const COMPLETION: (&str, &str) = ("ds-task-notify-on-completion", "all@example.com");
const ERROR: (&str, &str) = ("ds-task-notify-on-error", "backupadmin@example.com");

#[test]
fn a_failed_task_writes_to_whom_it_should() {
    let world = World::new();
    let (port, mails) = mail_server();
    world.configure("ds-cfg-smtp-server", &format!("127.0.0.1:{port}"));
    world.configure("ds-cfg-cts-task-sender", "ctsd@cts.example.com");
    world.add("bad", "fail", &[COMPLETION, ERROR]);
    world.becomes("bad", "STOPPED_BY_ERROR");
    let mail = mails.recv_timeout(Duration::from_secs(180)).unwrap();
    assert!(mail.from.contains("<ctsd@cts.example.com>"), "{mail:?}");
    assert_eq!(mail.to, ["RCPT TO:<all@example.com>", "RCPT TO:<backupadmin@example.com>"]);
    assert!(
        mail.text.contains("Subject: Task bad did not complete successfully: STOPPED_BY_ERROR"),
        "{mail:?}"
    );
    assert!(mail.text.contains("the disk of the test is full"), "{mail:?}");
    assert!(mail.text.contains("Date: Tue, 14 Nov 2023 22:13:20 +0000"), "{mail:?}");
    world.add("good", "ok", &[COMPLETION, ERROR]);
    let mail = mails.recv_timeout(Duration::from_secs(180)).unwrap();
    assert_eq!(mail.to, ["RCPT TO:<all@example.com>"]);
    assert!(mail.text.contains("Subject: Task good completed: COMPLETED_SUCCESSFULLY"), "{mail:?}");
}

#[test]
fn a_failed_backup_writes_too() {
    let world = World::new();
    let (port, mails) = mail_server();
    world.configure("ds-cfg-smtp-server", &format!("127.0.0.1:{port}"));
    let file = world.directory.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let backups = file.join("backups");
    let more = [
        ("ds-recurring-task-schedule", "15 * * * *"),
        ("ds-backup-directory-path", backups.to_str().unwrap()),
        ("ds-task-backup-backend-id", "userRoot"),
        ERROR,
    ];
    world.add_class("backup", "org.opends.server.tasks.BackupTask", &more).unwrap();
    let id = world.ids().concat();
    world.pass(100);
    world.becomes(&id, "STOPPED_BY_ERROR");
    let mail = mails.recv_timeout(Duration::from_secs(180)).unwrap();
    assert_eq!(mail.to, ["RCPT TO:<backupadmin@example.com>"]);
    assert!(mail.text.contains(&format!("Subject: Task {id}")) || mail.text.contains("Subject: Task backup"));
    assert!(mail.text.contains("org.opends.server.tasks.BackupTask"), "{mail:?}");
}

#[test]
fn what_cannot_be_told_is_logged_and_breaks_nothing() {
    let world = World::new();
    world.add("unsaid", "ok", &[COMPLETION]);
    let is_logged = |id: &str, part: &str| {
        within(|| world.log(id).iter().any(|line| line.contains(part)).then_some(()))
            .unwrap_or_else(|| panic!("{:?}", world.log(id)));
        assert_eq!(world.state(id), "COMPLETED_SUCCESSFULLY");
    };
    is_logged("unsaid", "no mail to all@example.com: ds-cfg-smtp-server of cn=config is not set");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.configure("ds-cfg-smtp-server", &closed.to_string());
    world.configure("ds-cfg-cts-task-hook", "/nowhere/hook");
    world.configure("ds-cfg-cts-task-webhook-url", &format!("http://{closed}/x"));
    world.add("deaf", "ok", &[COMPLETION]);
    is_logged("deaf", "no mail to all@example.com: 127.0.0.1:");
    is_logged("deaf", "ds-cfg-cts-task-hook /nowhere/hook");
    is_logged("deaf", &format!("ds-cfg-cts-task-webhook-url http://{closed}/x: "));
}

#[test]
fn programs_and_web_servers_are_told() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let (hook, told) = (folder.path().join("hook"), folder.path().join("told"));
    let script = format!(
        "#!/bin/sh\necho \"$CTSD_TASK_ID $CTSD_TASK_CLASS $CTSD_TASK_STATE $CTSD_TASK_SUCCEEDED $HOME\" > {0}.new\n\
         mv {0}.new {0}\n",
        told.display()
    );
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o700)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/told?by=ctsd", listener.local_addr().unwrap());
    world.configure("ds-cfg-cts-task-hook", hook.to_str().unwrap());
    world.configure("ds-cfg-cts-task-webhook-url", &url);
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        let mut piece = [0; 1024];
        while !asked.ends_with('}') {
            let octets = stream.read(&mut piece).unwrap();
            asked.push_str(std::str::from_utf8(&piece[..octets]).unwrap());
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        asked
    });
    world.add("bad", "errors", &[]);
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("POST /told?by=ctsd HTTP/1.1\r\n"), "{asked}");
    let body = r#"{"id":"bad","class":"ds-test-work","state":"COMPLETED_WITH_ERRORS","succeeded":false}"#;
    assert!(asked.ends_with(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())));
    let said = within(|| std::fs::read_to_string(&told).ok()).unwrap();
    assert_eq!(said, "bad ds-test-work COMPLETED_WITH_ERRORS false \n");
    assert_eq!(world.log("bad").len(), 1, "{:?}", world.log("bad"));
}
