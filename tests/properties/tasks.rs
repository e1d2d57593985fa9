//! What is set about tasks, and the work queue that requests wait in.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use ctsd::protocol::message::ModifyOperation;
use ctsd::protocol::request;

use crate::client::Client;
use crate::fixture::SUFFIX;
use crate::table::{GLOBAL, Object, Round, Seen, TASKS, nothing, play, row, stays};
use crate::world::{World, until};

const QUEUE: Object = ("work-queue", "", "cn=Work Queue,cn=config");

const DISCONNECT: &str = "org.opends.server.tasks.DisconnectClientTask";
const REBUILD: &str = "org.opends.server.tasks.RebuildTask";
const SCHEDULED: &str = "cn=Scheduled Tasks,cn=Tasks";

/// Gives a task; its DN.
fn give(world: &World, class: &str, more: &[(&str, &str)]) -> (String, crate::client::Answer) {
    let id = world.fresh();
    let dn = format!("ds-task-id={id},{SCHEDULED}");
    let mut all = vec![
        ("objectClass", "ds-task"),
        ("objectClass", "extensibleObject"),
        ("ds-task-id", &*id),
        ("ds-task-class-name", class),
    ];
    all.extend(more);
    let answer = world.root().add(&dn, &all);
    (dn, answer)
}

/// A rebuild whose end is told to somebody.
fn rebuild(world: &World) -> String {
    let more = [
        ("ds-task-rebuild-base-dn", SUFFIX),
        ("ds-task-rebuild-index", "mail"),
        ("ds-task-notify-on-completion", "admin@example.com"),
    ];
    let (dn, answer) = give(world, REBUILD, &more);
    assert!(answer.is(0), "{answer:?}");
    dn
}

/// Takes mail, and writes what it was told into a file.
fn mail_server(log: std::path::PathBuf) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut said = String::new();
            let _ = stream.write_all(b"220 here\r\n");
            let mut is_text = false;
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let Ok(line) = line else { break };
                said.push_str(&format!("{port} {line}\n"));
                let answer = match &*line {
                    "." => "250 taken\r\n",
                    _ if is_text => "",
                    "DATA" => "354 go on\r\n",
                    "QUIT" => "221 bye\r\n",
                    _ => "250 fine\r\n",
                };
                is_text = (is_text || line == "DATA") && line != ".";
                if stream.write_all(answer.as_bytes()).is_err() || line == "QUIT" {
                    break;
                }
            }
            append(&log, &said);
        }
    });
    port
}

fn append(log: &std::path::Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Takes one post after the other.
fn web_server(log: std::path::PathBuf) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut first = String::new();
            let _ = BufReader::new(stream.try_clone().unwrap()).read_line(&mut first);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            append(&log, &first);
        }
    });
    port
}

fn with_listeners(world: &mut World) -> Vec<(&'static str, String)> {
    let hook = world.server.file("hook.sh", "#!/bin/sh\necho called >> \"$(dirname \"$0\")/hook.log\"\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).unwrap();
    vec![
        ("mail", mail_server(world.path("mail.log")).to_string()),
        ("web", web_server(world.path("web.log")).to_string()),
        ("hook", hook),
    ]
}

/// Runs a task until somebody was told, or until it is over without that.
fn tells(world: &World, file: &str, part: &str) -> bool {
    let dn = rebuild(world);
    let is_over = || {
        let state = world.root().values(&dn, "ds-task-state");
        state.iter().any(|state| state.starts_with("COMPLETED") || state.starts_with("STOPPED"))
    };
    until("the task ends", || is_over() || world.text(file).contains(part));
    world.text(file).contains(part)
}

fn is_mailed(world: &World) -> bool {
    tells(world, "mail.log", "RCPT TO:<admin@example.com>")
}

fn is_mailed_by_the_sender(world: &World) -> bool {
    tells(world, "mail.log", "MAIL FROM:<tasks@example.com>")
}

fn is_mailed_by_the_other_sender(world: &World) -> bool {
    tells(world, "mail.log", "MAIL FROM:<others@example.com>")
}

fn is_posted(world: &World) -> bool {
    tells(world, "web.log", "POST /ended ")
}

fn is_called(world: &World) -> bool {
    tells(world, "../hook.log", "called")
}

fn is_not_allowed(world: &World) -> bool {
    // Nobody has this connection: an allowed task is taken, and fails.
    let (_, answer) = give(world, DISCONNECT, &[("ds-task-disconnect-connection-id", "999999999")]);
    !answer.is(0) && answer.text.contains(DISCONNECT)
}

/// A task that ended is forgotten at the next one.
fn is_forgotten(world: &World) -> bool {
    let dn = rebuild(world);
    let state = || world.root().values(&dn, "ds-task-state");
    let is_over = |state: &[String]| state.iter().all(|state| state.starts_with("COMPLETED"));
    until("the task ends", || is_over(&state()));
    rebuild(world);
    state().is_empty()
}

/// The threads that serve connections are named.
fn has_three_workers(world: &World) -> bool {
    let pid = world.text("locks/server.pid");
    let threads = std::fs::read_dir(format!("/proc/{}/task", pid.trim())).unwrap();
    let names =
        threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("lane-")).count() == 3
}

/// Many changes at once, on several connections: some are answered with busy.
fn changes_are_turned_away(world: &World) -> bool {
    const EACH: usize = 200;
    let mut clients: Vec<Client> = (0..3).map(|_| world.root()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let mut out = bytes::BytesMut::new();
        for turn in 0..EACH {
            let dn = format!("cn=number {},ou=numbers,{SUFFIX}", (number + turn) % 12);
            let text = turn.to_string();
            let change = [(ModifyOperation::Replace, ("description", &[text.as_bytes()][..]))];
            let asked = client.written(|out, id| request::modify(out, id, &dn, &change, &[]));
            out.extend_from_slice(&asked);
        }
        assert!(client.send(&out));
    }
    let answers =
        clients.iter_mut().flat_map(|client| (0..EACH).map(|_| client.answer()).collect::<Vec<_>>());
    let codes: Vec<_> = answers.map(|answer| answer.code.unwrap()).collect();
    assert!(codes.iter().all(|code| matches!(code, 0 | 51)), "{codes:?}");
    codes.contains(&51)
}

pub(crate) const ROUNDS: &[Round] = &[
    Round {
        name: "notices",
        prepare: with_listeners,
        moved: stays,
        rows: &[
            row(GLOBAL, "smtp-server", &["127.0.0.1:{mail}"], Seen::Live(is_mailed)),
            row(GLOBAL, "cts-task-sender", &["tasks@example.com"], Seen::Live(is_mailed_by_the_sender)),
            row(GLOBAL, "cts-task-webhook-url", &["http://127.0.0.1:{web}/ended"], Seen::Live(is_posted)),
            row(GLOBAL, "cts-task-hook", &["{hook}"], Seen::Live(is_called)),
            row(
                GLOBAL,
                "cts-task-trust-file",
                &["config/tls/others.pem"],
                Seen::Elsewhere("tests/tasks/protected.rs", "no_password_goes_to_who_is_not_believed"),
            ),
            row(
                GLOBAL,
                "cts-smtp-password-file",
                &["config/secrets/mail.password"],
                Seen::Elsewhere("tests/tasks/protected.rs", "mail_goes_under_tls_after_a_login"),
            ),
            row(GLOBAL, "allowed-task", &[REBUILD], Seen::Live(is_not_allowed)),
        ],
    },
    Round {
        name: "the task backend",
        prepare: with_listeners,
        moved: stays,
        rows: &[
            row(GLOBAL, "smtp-server", &["127.0.0.1:{mail}"], Seen::Live(is_mailed)),
            row(
                TASKS,
                "notification-sender-address",
                &["others@example.com"],
                Seen::Live(is_mailed_by_the_other_sender),
            ),
        ],
    },
    Round {
        name: "queue and retention",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(TASKS, "task-retention-time", &["0 s"], Seen::Live(is_forgotten)),
            row(QUEUE, "num-worker-threads", &["3"], Seen::Restart(has_three_workers)),
        ],
    },
    Round {
        name: "a short queue",
        prepare: nothing,
        moved: stays,
        rows: &[row(QUEUE, "max-work-queue-capacity", &["1"], Seen::Restart(changes_are_turned_away))],
    },
];

#[test]
fn what_is_set_about_tasks_and_the_queue_holds() {
    ROUNDS.iter().for_each(play);
}
