//! The program as an operator runs it: set-up, start, stop, status, quickstart, and what it says when it cannot.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::support::{
    CTS_USER, Ctl, DM, FAMRECORDS, Instance, Link, Lost, PASSWORD, Query, Reply, SUFFIX, Setup, Token,
    program, request, within,
};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn status_and_stop_tell_by_their_exit_codes() {
    let instance = Instance::made(Setup::default());
    assert_eq!(instance.run("status").status.code(), Some(3), "not running");
    assert_eq!(instance.run("stop").status.code(), Some(0), "nothing to stop is no failure");
    instance.start();
    let status = instance.run("status");
    assert_eq!(status.status.code(), Some(0));
    assert!(said(&status).contains(&instance.ldap.to_string()), "{}", said(&status));
    assert!(said(&status).contains(&instance.pid().to_string()));
    let second = program().args(["start", "--instance"]).arg(&instance.dir).output().unwrap();
    assert!(!second.status.success(), "one server an instance");
    assert!(said(&second).contains(&instance.pid().to_string()), "{}", said(&second));
    assert!(instance.link().heartbeat(), "and the first goes on");
    let stopped = instance.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", said(&stopped));
    assert_eq!(instance.run("status").status.code(), Some(3));
    // By the environment, and by the other name.
    instance.start_by(program().arg("serve").env("CTSD_INSTANCE", &instance.dir));
    assert_eq!(instance.run("status").status.code(), Some(0));
    assert_eq!(instance.stop().status.code(), Some(0));
    let nowhere = program().args(["status", "--instance", "/nonexistent"]).output().unwrap();
    assert!(!nowhere.status.success() && nowhere.status.code() != Some(3));
    assert!(said(&nowhere).contains("setup"), "says what to do: {}", said(&nowhere));
    assert!(!program().args(["start", "--instance", "/nonexistent"]).output().unwrap().status.success());
}

/// Notice of Disconnection to everybody, what is in flight is answered first.
#[test]
fn stop_takes_leave_of_its_clients() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    let mut idle = instance.link();
    assert!(idle.heartbeat());
    let mut listener = instance.root();
    listener.start(&Query::subtree(SUFFIX, "(objectClass=*)"), &[Ctl::openam_persistent()]);
    assert!(listener.heartbeat());
    let mut writer = instance.root();
    let mut all = Vec::new();
    let ids: Vec<i32> = (0..200)
        .map(|number| {
            let id = writer.id();
            all.extend(Token::session(&format!("last-{number}"), "shandle:last").add_bytes(id, FAMRECORDS));
            id
        })
        .collect();
    writer.send(&all);
    // The first answer: the others are in flight or in the socket.
    assert_eq!(writer.answer(ids[0]).code, 0);
    // They read meanwhile: who does not take the changes that it hears of for seconds is cut.
    std::thread::scope(|scope| {
        let parting = [&mut idle, &mut listener].map(|link| scope.spawn(move || hears_the_notice(link)));
        let stopped = instance.stop();
        assert!(stopped.status.success(), "{}", said(&stopped));
        for one in parting {
            one.join().unwrap();
        }
    });
    let mut acknowledged = vec![ids[0]];
    loop {
        match writer.next() {
            Ok(Reply::Answer(answer)) if answer.id == 0 => assert_eq!(answer.code, 52),
            Ok(Reply::Answer(answer)) => {
                assert_eq!(answer.code, 0, "{answer:?}");
                acknowledged.push(answer.id);
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    instance.start();
    let found = instance.root().search(&Query::subtree(FAMRECORDS, "(coreTokenString03=shandle:last)"), &[]);
    assert_eq!(
        found.entries.len(),
        acknowledged.len(),
        "what was done was answered, what was answered was done"
    );
}

fn hears_the_notice(link: &mut Link) {
    loop {
        match link.next().unwrap() {
            Reply::Answer(notice) if notice.id == 0 => {
                assert_eq!((notice.code, notice.name.as_deref()), (52, Some("1.3.6.1.4.1.1466.20036")));
                break;
            }
            Reply::Entry(..) => {}
            // The persistent search may be ended with an answer of its own.
            Reply::Answer(answer) => assert_eq!(answer.code, 52, "{answer:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(link.next().unwrap_err(), Lost::Closed);
}

#[test]
fn a_port_in_use_is_said_plainly() {
    let instance = Instance::made(Setup::default());
    let taken = TcpListener::bind(("0.0.0.0", instance.ldap)).unwrap();
    let port = instance.ldap.to_string();
    let started = program().args(["start", "--instance"]).arg(&instance.dir).output().unwrap();
    assert!(!started.status.success());
    assert!(said(&started).contains(&port) && said(&started).contains("in use"), "{}", said(&started));
    assert_eq!(instance.run("status").status.code(), Some(3));
    let other = Instance::unmade();
    for command in ["setup", "quickstart"] {
        let mut call =
            if command == "setup" { same_port(&other, &instance) } else { quickstart(&other, instance.ldap) };
        let refused = call.output().unwrap();
        assert!(!refused.status.success(), "{command}");
        assert!(
            said(&refused).contains(&port) && said(&refused).contains("in use"),
            "{command}: {}",
            said(&refused)
        );
    }
    drop(taken);
    instance.start();
    assert!(instance.link().heartbeat());
}

fn same_port(other: &Instance, instance: &Instance) -> std::process::Command {
    let mut command = program();
    command.args(["setup", "--no-prompt", "--acceptLicense", "--instance"]).arg(&other.dir);
    command.args([
        "--rootUserPassword",
        PASSWORD,
        "--baseDN",
        SUFFIX,
        "--ldapPort",
        &instance.ldap.to_string(),
    ]);
    command
}

fn quickstart(instance: &Instance, port: u16) -> std::process::Command {
    let mut command = program();
    command.args(["quickstart", "--instance"]).arg(&instance.dir);
    command.args(["--ldapPort", &port.to_string(), "--ldapsPort", &instance.ldaps.to_string()]);
    command
}

#[test]
fn setup_refuses_what_it_cannot_do() {
    let instance = Instance::made(Setup::default());
    let config = std::fs::read(instance.path("config/config.ldif")).unwrap();
    let again = instance.setup_command(Setup::default()).arg("--doNotStart").output().unwrap();
    assert!(!again.status.success());
    assert!(said(&again).contains("already"), "{}", said(&again));
    assert_eq!(std::fs::read(instance.path("config/config.ldif")).unwrap(), config, "nothing was changed");
    let mode = std::fs::metadata(&instance.dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "an instance is private: {mode:o}");

    let other = Instance::unmade();
    let dir = other.dir.to_str().unwrap();
    for args in [
        vec!["setup", "--no-prompt", "--instance", dir, "--baseDN", "nonsense", "--rootUserPassword", "x"],
        vec!["setup", "--no-prompt", "--instance", dir, "--baseDN", SUFFIX],
        vec!["setup", "--no-prompt", "--instance", dir, "--rootUserPassword", "x"],
        vec!["setup", "--no-such-option"],
        vec!["no-such-command"],
        vec![],
    ] {
        let refused = program().args(&args).output().unwrap();
        assert!(!refused.status.success(), "{args:?}");
        assert!(!refused.stderr.is_empty() && !other.dir.join("config/config.ldif").exists(), "{args:?}");
    }
    for command in ["setup", "start", "stop", "status", "quickstart"] {
        let help = program().args([command, "--help"]).output().unwrap();
        assert!(help.status.success() && said(&help).contains("Example"), "{command}: {}", said(&help));
    }
}

/// Asked to start the server, set-up returns once it serves and leaves it running.
#[test]
fn setup_starts_the_server_and_leaves_it_running() {
    let instance = Instance::unmade();
    let output = instance.setup_command(Setup { cts: true, tls: false }).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    instance.adopt();
    let pid = instance.pid();
    assert!(instance.root().heartbeat(), "it serves when the command has returned");
    assert_eq!(instance.run("status").status.code(), Some(0));
    let stopped = instance.stop();
    assert!(stopped.status.success(), "{}", said(&stopped));
    instance.release(pid);
    assert!(crate::support::Link::try_open(instance.ldap).is_err());
}

/// One command to a store that OpenAM can use, with all that has to be typed into it.
#[test]
fn quickstart_makes_a_working_store() {
    let instance = Instance::unmade();
    instance.start_by(&mut quickstart(&instance, instance.ldap));
    let printed = within(|| Some(instance.log()).filter(|text| text.contains("keytool")))
        .unwrap_or_else(|| instance.log());
    for needed in [
        format!("localhost:{}", instance.ldap),
        FAMRECORDS.to_owned(),
        CTS_USER.to_owned(),
        "keytool".into(),
        "server.pem".into(),
    ] {
        assert!(printed.contains(&needed), "{needed} is not in {printed}");
    }
    let file = instance.path("config/secrets/cts-account.password");
    assert!(printed.contains(file.to_str().unwrap()), "{printed}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let password = std::fs::read_to_string(&file).unwrap();
    let password = password.trim();
    assert!(password.len() >= 16 && !printed.contains(password), "the password is only in its file");

    let mut link = instance.link();
    assert_eq!(link.bind(CTS_USER, password).code, 0);
    let watch =
        link.start(&Query::subtree(FAMRECORDS, "(coreTokenType=SESSION)"), &[Ctl::openam_persistent()]);
    assert!(link.heartbeat());
    let token = Token::session("quick", "shandle:quick");
    let etag = token.create(&mut link, FAMRECORDS);
    let changed = link.modify(
        &token.dn(FAMRECORDS),
        &[('=', "coreTokenString01", &["2"])],
        &[Ctl::post_read(&["etag"]), Ctl::etag(&etag)],
    );
    assert!(changed.etag().is_some(), "{changed:?}");
    let page = link
        .search(&Query::subtree(FAMRECORDS, "(&(&)(objectClass=frCoreToken))"), &[Ctl::paged(1_000, b"")]);
    assert_eq!((page.code(), page.entries.len(), page.done.cookie()), (0, 1, Some(Vec::new())));
    let deleted =
        link.delete(&token.dn(FAMRECORDS), &[Ctl::pre_read(&["coreTokenId", "etag", "createTimestamp"])]);
    assert_eq!(deleted.before().unwrap().names(), ["coreTokenId", "createTimestamp", "etag"]);
    for _ in 0..3 {
        link.notified(watch);
    }
    // Least privilege: nothing but tokens.
    let mut other = instance.link();
    assert_eq!(other.bind(CTS_USER, password).code, 0);
    assert!(other.search(&Query::subtree("cn=config", "(objectClass=*)"), &[]).entries.is_empty());
    assert!(other.modify("cn=schema", &[('+', "attributeTypes", &["( 1.2.3 NAME 'x' )"])], &[]).code != 0);
    let passwords =
        other.search(&Query::subtree(SUFFIX, "(objectClass=person)").select(&["userPassword"]), &[]);
    assert!(
        passwords.entries.iter().all(|entry| entry.dn == CTS_USER),
        "nobody else's: {:?}",
        passwords.dns()
    );
    assert!(instance.link().search(&Query::subtree(SUFFIX, "(&)"), &[]).entries.is_empty());

    // Run again while it serves, and after it was stopped.
    let again = quickstart(&instance, instance.ldap).output().unwrap();
    assert!(again.status.success(), "{}", said(&again));
    assert!(instance.stop().status.success());
    instance.start_by(&mut quickstart(&instance, instance.ldap));
    let mut link = instance.link();
    assert_eq!(link.bind(CTS_USER, password).code, 0, "the same instance");
    assert_eq!(link.bind(DM, PASSWORD).code, 49, "nobody's guess");
    let id = link.id();
    link.send(&request::unbind(id));
}
