//! Tasks from the command line: handed over, shown, canceled; a remote server that is told to start again.

use crate::fixture::{Ran, SUFFIX, Server};

fn admin(server: &Server, tool: &str, more: &[&str]) -> Ran {
    let port = server.admin.to_string();
    let own =
        ["--port", &port, "--bindDN", "cn=Directory Manager", "--bindPassword", "password", "--trustAll"];
    server.run(tool, &[&own[..], more].concat())
}

#[test]
fn tasks_are_scheduled_shown_and_canceled() {
    let server = Server::started(&[]);
    let manage = |more: &[&str]| admin(&server, "manage-tasks", more);
    assert_eq!(manage(&["--summary"]).ok(), "No tasks exist\n");
    let rebuild = ["--baseDN", SUFFIX, "--rebuildAll"];
    let said = admin(
        &server,
        "rebuild-index",
        &[
            &rebuild[..],
            &[
                "--recurringTask",
                "0 2 * * 0",
                "--completionNotify",
                "a@example.com",
                "--errorNotify",
                "b@example.com",
            ],
        ]
        .concat(),
    )
    .ok();
    let recurring = said.split_whitespace().nth(4).unwrap();
    assert_eq!(said, format!("Recurring Rebuild Index task {recurring} scheduled successfully\n"));
    let dn = format!("ds-recurring-task-id={recurring},cn=Recurring Tasks,cn=Tasks");
    assert_eq!(server.values(&dn, "ds-recurring-task-schedule"), ["0 2 * * 0"]);
    assert_eq!(server.values(&dn, "ds-task-notify-on-completion"), ["a@example.com"]);
    assert_eq!(server.values(&dn, "ds-task-notify-on-error"), ["b@example.com"]);
    let later = ["--start", "20990101000000Z"];
    let said = admin(&server, "rebuild-index", &[&rebuild[..], &later[..]].concat()).ok();
    let first = said.split_whitespace().nth(3).unwrap().to_owned();
    let after = ["--dependency", &first, "--failedDependencyAction", "cancel", "--noWait"];
    let said = admin(&server, "rebuild-index", &[&rebuild[..], &after[..]].concat()).ok();
    let second = said.split_whitespace().nth(3).unwrap().to_owned();

    let summary = manage(&[]).ok();
    assert!(summary.starts_with("  ID"), "{summary}");
    let lines: Vec<Vec<&str>> =
        summary.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 4, "{summary}");
    assert!(lines.contains(&vec![recurring, "Rebuild", "Index", "Recurring"]), "{summary}");
    assert!(lines.contains(&vec![&first, "Rebuild", "Index", "Waiting", "on", "start", "time"]), "{summary}");
    assert!(lines.contains(&vec![&second, "Rebuild", "Index", "Waiting", "on", "dependency"]), "{summary}");
    let info = manage(&["--info", &second]).ok();
    assert!(info.contains(&format!("\n  Dependencies              {first}\n")), "{info}");
    assert!(info.contains("\n  Rebuild Index Options\n"), "{info}");

    assert_eq!(manage(&["-c", &first]).ok(), format!("Task {first} canceled\n"));
    assert!(manage(&["-i", &second]).ok().contains("Canceled before starting"));
    assert!(manage(&["-c", &first]).refused(1).contains("has ended already"));
    assert!(manage(&["-c", "nobody"]).refused(1).contains("there is no task nobody"));
    assert_eq!(manage(&["-c", recurring]).ok(), format!("Task {recurring} canceled\n"));
    let summary = manage(&[]).ok();
    assert!(!summary.contains(recurring), "{summary}");

    // A restart keeps them; told by a task, it happens in the same process.
    let pid = || std::fs::read_to_string(server.instance().join("locks/server.pid")).unwrap();
    let before = pid();
    let asked = admin(&server, "stop-ds", &["--restart", "--stopReason", "because"]).ok();
    assert!(asked.contains("asked to restart"), "{asked}");
    let mut kept = String::new();
    for _ in 0..1800 {
        let ran = manage(&["-s"]);
        let errors = std::fs::read_to_string(server.instance().join("logs/errors")).unwrap_or_default();
        if ran.code == 0 && errors.matches("serving").count() >= 2 {
            kept = ran.out;
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(kept.contains(&first) && kept.contains("Shutdown"), "{kept}");
    assert_eq!(pid(), before);

    // With the server stopped there is nobody to hand a task to.
    server.run("stop-ds", &[]).ok();
    let refused =
        server.run("verify-index", &["--baseDN", SUFFIX, "--recurringTask", "0 2 * * *"]).refused(1);
    assert!(refused.contains("need a running one"), "{refused}");
    assert!(server.run("manage-tasks", &["-s"]).refused(1).contains("the server is stopped"));
}
