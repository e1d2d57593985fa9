//! Links, help, manual pages, completions, and the tools that need no server.

use crate::fixture::{Server, program};

const TOOLS: &[&str] = &[
    "dsconfig",
    "encode-password",
    "ldapcompare",
    "ldapdelete",
    "ldapmodify",
    "ldappasswordmodify",
    "ldapsearch",
    "setup",
    "start-ds",
    "status",
    "stop-ds",
];

#[test]
fn every_tool_helps_with_examples_and_refuses_nonsense_with_one() {
    let folder = tempfile::tempdir().unwrap();
    assert!(program().arg("install-links").arg(folder.path()).status().unwrap().success());
    assert!(program().arg("install-links").arg(folder.path()).status().unwrap().success(), "again");
    for tool in TOOLS {
        let link = folder.path().join(tool);
        let help = std::process::Command::new(&link).arg("--help").output().unwrap();
        let text = String::from_utf8_lossy(&help.stdout);
        assert!(help.status.success() && text.contains("Example"), "{tool}: {text}");
        assert!(text.contains(&format!("Usage: {tool}")), "{tool}: {text}");
        for asked in ["-?", "-H", "--help-all"] {
            let same = std::process::Command::new(&link).arg(asked).output().unwrap();
            let same_text = String::from_utf8_lossy(&same.stdout);
            assert!(same.status.success() && same_text.contains(&format!("Usage: {tool}")), "{tool} {asked}");
        }
        let wrong = std::process::Command::new(&link).arg("--no-such-option").output().unwrap();
        assert_eq!(wrong.status.code(), Some(1), "{tool}");
        let whole = program().args([tool, "--help"]).output().unwrap();
        assert!(whole.status.success(), "ctsd {tool}");
    }
    std::fs::write(folder.path().join("other"), "").unwrap();
    let taken = tempfile::tempdir().unwrap();
    std::fs::write(taken.path().join("ldapsearch"), "mine").unwrap();
    assert!(!program().arg("install-links").arg(taken.path()).status().unwrap().success());
    assert_eq!(std::fs::read(taken.path().join("ldapsearch")).unwrap(), b"mine");
}

#[test]
fn dsconfig_helps_with_each_sub_command() {
    let run = |arguments: &[&str]| {
        let output = program().arg("dsconfig").args(arguments).output().unwrap();
        let text = |octets| String::from_utf8(octets).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for (arguments, parts) in [
        (
            &["create-backend-index", "--help"][..],
            &["--index-name NAME --backend-name NAME", "--set PROPERTY:VALUE", "one of equality, ordering"][..],
        ),
        (&["-H", "create-log-publisher"], &["--type file-based-access|json-file-access", "log-file"]),
        (
            &["set-password-policy-prop", "-?"],
            &["--reset PROPERTY", "a name below cn=Password Storage Schemes"],
        ),
        (&["list-backends", "--help"], &["Usage: dsconfig list-backends [--property"]),
        (&["delete-backend-index", "--help"], &["[--force]"]),
        (&["--help"], &["Sub-commands:", "list-properties"]),
    ] {
        let (code, out, _) = run(arguments);
        assert!(code == Some(0) && parts.iter().all(|part| out.contains(part)), "{arguments:?} {out}");
    }
    // One that is none is said to be, whatever options it would have.
    for (arguments, part) in [
        (
            &["create-password-validator", "--validator-name", "x"][..],
            "no sub-command \"create-password-validator\"",
        ),
        (&["set-replication-server", "--set", "a:b", "--nope"], "did you mean"),
    ] {
        let (code, _, err) = run(arguments);
        assert!(code == Some(1) && err.contains(part), "{arguments:?} {err}");
    }
}

#[test]
fn manual_pages_and_completions_name_every_tool() {
    let folder = tempfile::tempdir().unwrap();
    assert!(program().arg("man").arg(folder.path()).status().unwrap().success());
    for tool in TOOLS {
        let page = std::fs::read_to_string(folder.path().join(format!("{tool}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH OPTIONS"), "{tool}");
    }
    assert!(folder.path().join("ctsd.1").exists() && folder.path().join("ctsd-quickstart.1").exists());
    for shell in ["bash", "zsh", "fish"] {
        let script = program().args(["completions", shell]).output().unwrap();
        let text = String::from_utf8(script.stdout).unwrap();
        assert!(script.status.success() && TOOLS.iter().all(|tool| text.contains(tool)), "{shell}");
        assert!(text.contains("bindDN"), "{shell}");
    }
}

#[test]
fn passwords_are_encoded_and_compared() {
    let run = |arguments: &[&str]| {
        let output = program().arg("encode-password").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (_, schemes) = run(&["--listSchemes"]);
    assert!(schemes.lines().any(|name| name == "SSHA512"));
    let (code, said) = run(&["-c", "secret12", "-s", "pbkdf2-hmac-sha256"]);
    let stored =
        said.strip_prefix("Encoded Password:  \"").unwrap().trim_end().trim_end_matches('"').to_owned();
    assert!(code == Some(0) && stored.starts_with("{PBKDF2-HMAC-SHA256}10000:"), "{said}");
    let (_, said) = run(&["-c", "secret12", "-e", &stored]);
    assert_eq!(said, "The provided clear-text password matches the provided encoded password\n");
    assert_eq!(run(&["-c", "other", "-e", &stored, "-r"]).0, Some(5));
    assert_eq!(run(&["-c", "x", "-s", "rot13"]).0, Some(1));
    let encoded = program().args(["base64", "encode", "-d", "é"]).output().unwrap();
    assert_eq!(encoded.stdout, b"w6k=\n");
    let decoded = program().args(["base64", "decode", "-d", "w6k="]).output().unwrap();
    assert_eq!(decoded.stdout, "é".as_bytes());
}

#[test]
fn status_tells_people_and_programs() {
    let server = Server::started(&[]);
    let alone = server.run("status", &["-n"]);
    assert!(alone.out.contains("Server Run Status:") && alone.out.contains("Started"), "{alone:?}");
    let all = server.run("status", &["-D", "cn=Directory Manager", "-w", "password"]).ok();
    for part in ["Base DN:", "dc=cts,dc=example,dc=com", "LDAP Connection Handler:", "Up Time:", "search:"] {
        assert!(all.contains(part), "{part} is not in {all}");
    }
    let instance = server.instance();
    assert!(all.contains(&format!("Installation Path:         {}", instance.display())), "{all}");
    let json = server.run("status", &["-w", "password", "--json"]).ok();
    assert!(json.starts_with('{') && json.contains("\"serverRunStatus\":\"Started\""), "{json}");
    let port = server.admin.to_string();
    let remote = server.run("status", &["-h", "localhost", "-p", &port, "-w", "password", "-s"]).ok();
    assert!(remote.contains("Data Sources\tBackend ID\tuserRoot"), "{remote}");
    assert_eq!(server.run("status", &["-w", "wrong"]).code, 49);
    server.run("stop-ds", &[]).ok();
    assert_eq!(server.run("status", &[]).code, 3);
    server.run("start-ds", &["--quiet"]).ok();
    assert_eq!(server.run("stop-ds", &["--quiet", "--restart"]).ok(), "");
    assert_eq!(server.run("start-ds", &["--quiet"]).ok(), "", "it runs already");
    assert!(server.run("stop-ds", &["--restart"]).ok().contains("started successfully"));
}
