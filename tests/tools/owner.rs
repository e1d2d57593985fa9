//! Tools that are called without host and password while the server runs: it knows its own user by its administration
//! socket.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::fixture::{SUFFIX, Server};

/// A user that is neither root nor whoever runs the tests.
const NOBODY: u32 = 65534;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_servers_own_user_needs_no_password() {
    let server = Server::started(&[]);
    let socket = server.instance().join("locks/admin.sock");
    assert_eq!(mode(&socket), 0o600);

    let verified = server.run("verify-index", &["--baseDN", SUFFIX]).ok();
    assert!(verified.contains("differences=0"), "{verified}");
    let counted = server.run("verify-index", &["--baseDN", SUFFIX, "--countErrors"]).ok();
    assert_eq!(counted, "differences=0\n");
    server.run("backup", &["-n", "userRoot", "-d", "bak/bare", "-I", "one"]).ok();
    let listed = server.run("restore", &["-d", "bak/bare", "--listBackups"]).ok();
    assert!(listed.contains("one"), "{listed}");
    let ldif = server.instance().join("bin/bare.ldif");
    server.run("export-ldif", &["-n", "userRoot", "-l", "bare.ldif"]).ok();
    assert!(std::fs::read_to_string(&ldif).unwrap().contains(&format!("dn: {SUFFIX}\n")));
    let told = server.run("status", &["--script-friendly"]).ok();
    assert!(told.contains("Server Details\tVersion\t"), "{told}");
    let tasks = server.run("manage-tasks", &["--summary"]).ok();
    assert!(tasks.contains("Backup") && tasks.contains("Completed successfully"), "{tasks}");
    let later = ["--recurringTask", "15 * * * *"];
    let said = server.run("backup", &[&["-n", "userRoot"], &later[..]].concat()).ok();
    assert!(said.contains("scheduled successfully"), "{said}");

    // What takes the place of the data is done by nobody unnamed.
    let import = ["--ldifFile", "bare.ldif", "--backendID", "userRoot"];
    for (tool, options) in [
        ("rebuild-index", &["--baseDN", SUFFIX, "--rebuildAll"][..]),
        ("restore", &["-d", "bak/bare"][..]),
        ("import-ldif", &import[..]),
    ] {
        let refused = server.run(tool, options).refused(1);
        assert!(refused.contains("stop it first (stop-ds)"), "{refused}");
        assert!(refused.contains(&format!("{tool} --bindDN")), "{refused}");
    }

    // The configuration too, on a terminal or not; quotation marks and all of a batch.
    server.run("dsconfig", &["set-global-configuration-prop", "--set", "size-limit:2345"]).ok();
    let get = ["get-global-configuration-prop", "--script-friendly", "--property", "size-limit"];
    assert_eq!(server.run("dsconfig", &get).ok(), "size-limit\t2345\n");
    assert_eq!(
        server.run("dsconfig", &[&get[..], &["--no-prompt", "-X"]].concat()).ok(),
        "size-limit\t2345\n"
    );
    let batch = server.file("bare.txt", "set-global-configuration-prop --set 'size-limit:2346'\n");
    server.run("dsconfig", &["--batchFilePath", &batch, "--no-prompt"]).ok();
    let shown = server.run("dsconfig", &[&get[..], &["--displayCommand"]].concat()).ok();
    assert!(shown.contains("--instance ") && !shown.contains("--port"), "{shown}");
    assert!(shown.ends_with("size-limit\t2346\n"), "{shown}");
    for (more, part) in [
        (&["--port", "1"][..], "--bindPasswordFile"),
        (&["--hostname", "localhost"], "--bindPasswordFile"),
        (&["--bindDN", "cn=Directory Manager"], "--bindPasswordFile"),
        (&["--instance", "/nowhere"], "/nowhere is not an instance"),
        (&["--propertiesFilePath", &server.file("tools.properties", "port=1\n")], "--bindPasswordFile"),
    ] {
        let refused = server.run("dsconfig", &[&get[..], more].concat()).refused(1);
        assert!(refused.contains(part), "{more:?} {refused}");
    }
    server
        .run("dsconfig", &[&get[..], &["-w", "wrong", "-X", "-p", &server.admin.to_string()]].concat())
        .refused(49);
    // LDAP clients are nobody's without a name.
    let ldap = server.ldap.to_string();
    let named = ["-p", &ldap, "-D", "cn=Directory Manager"];
    let refused = server.run("ldapsearch", &[&named[..], &["-b", "", "(objectClass=*)"]].concat()).refused(1);
    assert!(refused.contains("--bindPasswordFile"), "{refused}");

    // A stop that is to come later is a task.
    let said = server.run("stop-ds", &["-t", "20990101000000Z", "-r", "because"]).ok();
    assert!(said.contains("asked to stop at 20990101000000Z"), "{said}");
    let tasks = server.run("manage-tasks", &["--summary"]).ok();
    let line = tasks.lines().find(|line| line.contains("stop-ds-")).unwrap();
    assert!(line.ends_with("Waiting on start time"), "{tasks}");
    let refused = server.run("backup", &["--offline", "-n", "userRoot"]).refused(1);
    assert!(refused.contains("leave --offline out"), "{refused}");

    // Who says who asks is taken at the word.
    let wrong = ["-D", "cn=Directory Manager", "-w", "wrong"];
    server.run("verify-index", &[&wrong[..], &["--baseDN", SUFFIX]].concat()).refused(49);

    // The socket goes with the server; one that a crash left is replaced.
    server.run("stop-ds", &[]).ok();
    assert!(!socket.exists());
    let refused = server.run("dsconfig", &get).refused(1);
    assert!(refused.contains("does not run (start-ds starts it)"), "{refused}");
    drop(UnixListener::bind(&socket).unwrap());
    server.run("start-ds", &[]).ok();
    server.run("verify-index", &["--baseDN", SUFFIX]).ok();
}

#[test]
fn another_user_is_nobody() {
    let server = Server::started(&[]);
    let (instance, socket) = (server.instance(), server.instance().join("locks/admin.sock"));
    // Who is not root cannot be somebody else.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Whatever the modes of the files let through.
    let folder = instance.parent().unwrap();
    for place in [folder, &instance, &instance.join("locks"), &instance.join("config")] {
        std::fs::set_permissions(place, PermissionsExt::from_mode(0o755)).unwrap();
    }
    for file in ["config/config.ldif", "locks/server.pid", "locks/server.ready"] {
        std::fs::set_permissions(instance.join(file), PermissionsExt::from_mode(0o644)).unwrap();
    }
    // The program where this user can execute it.
    let program = folder.join("verify-index");
    std::fs::copy(env!("CARGO_BIN_EXE_ctsd"), &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let asked = || {
        let mut command = std::process::Command::new(&program);
        command.args(["--baseDN", SUFFIX, "--instance"]).arg(&instance).uid(NOBODY).current_dir("/");
        // Another test's process that begins just now may still hold the copy open for writing.
        let ran = loop {
            match command.env("HOME", "/").output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now()
                }
                ran => break ran.unwrap(),
            }
        };
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        String::from_utf8(ran.stderr).unwrap()
    };
    let refused = asked();
    assert!(refused.contains("Permission denied") && refused.contains("--bindPasswordFile"), "{refused}");
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
    let refused = asked();
    assert!(refused.contains("only the user that the server runs as, and root"), "{refused}");
    assert!(UnixStream::connect(&socket).is_ok());
}

#[test]
fn a_server_whose_path_is_too_long_for_a_socket_serves_all_the_same() {
    let server = Server::deep();
    assert!(!server.instance().join("locks/admin.sock").exists());
    let errors = std::fs::read_to_string(server.instance().join("logs/errors")).unwrap();
    assert!(errors.contains("there is no administration socket"), "{errors}");
    let refused = server.run("verify-index", &["--baseDN", SUFFIX]).refused(1);
    assert!(refused.contains("--bindPasswordFile"), "{refused}");
    let own = ["-D", "cn=Directory Manager", "-w", "password"];
    server.run("verify-index", &[&own[..], &["--baseDN", SUFFIX]].concat()).ok();
}
