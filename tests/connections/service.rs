//! The server as a service manager sees it: the notify protocol on a socket of the test's own, the unit, the log file.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use super::fixture::PATIENCE;
use super::process::Process;

/// Waits for a notification that holds this line.
fn await_line(socket: &UnixDatagram, wanted: &str) -> String {
    let mut buffer = [0; 4096];
    for _ in 0..1_000 {
        let octets = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted}: {error}"));
        let text = String::from_utf8(buffer[..octets].to_vec()).unwrap();
        if text.lines().any(|line| line == wanted) {
            return text;
        }
    }
    panic!("no {wanted} among a thousand notifications");
}

#[test]
fn the_service_manager_is_told_what_happens() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "300000")];
    let mut server = Process::start(&environment);
    let ready = await_line(&socket, "READY=1");
    assert!(ready.contains("STATUS=serving ldap://"), "{ready}");
    await_line(&socket, "WATCHDOG=1");
    await_line(&socket, "WATCHDOG=1");
    server.signal("HUP");
    let reloading = await_line(&socket, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    await_line(&socket, "READY=1");
    server.signal("TERM");
    await_line(&socket, "STOPPING=1");
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn ready_is_told_only_when_a_client_is_served() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let server = std::thread::spawn({
        let path = path.to_str().unwrap().to_owned();
        move || Process::start(&[("NOTIFY_SOCKET", &path)])
    });
    let ready = await_line(&socket, "READY=1");
    let address = ready.split("ldap://0.0.0.0:").nth(1).unwrap();
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    super::fixture::Client::connect(format!("127.0.0.1:{port}").parse().unwrap()).beat(1);
    drop(server.join().unwrap());
}

#[test]
fn the_error_log_has_its_file_from_the_first_line() {
    let mut server = Process::start(&[]);
    server.signal("TERM");
    server.child.wait().unwrap();
    let text = std::fs::read_to_string(server.instance.join("logs/errors")).unwrap();
    for part in ["category=CLI severity=NOTICE msgID=-1 msg=serving", "msg=stopped"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours");
}

#[test]
fn the_unit_passes_systemds_own_check() {
    let place = tempfile::tempdir().unwrap();
    let unit = place.path().join("ctsd.service");
    let written = Command::new(env!("CARGO_BIN_EXE_ctsd"))
        .args(["install-service", "--user", "daemon", "--instance", "/var/lib/ctsd", "--output"])
        .arg(&unit)
        .output()
        .unwrap();
    assert!(written.status.success(), "{written:?}");
    let checked = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && !said.contains("ctsd.service"), "{said}");
}
