//! Backups by the tools: made and restored while the server serves and while it is stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fixture::{Ran, SUFFIX, Server};

fn admin(server: &Server, tool: &str, more: &[&str]) -> Ran {
    let port = server.admin.to_string();
    let own =
        ["--port", &port, "--bindDN", "cn=Directory Manager", "--bindPassword", "password", "--trustAll"];
    server.run(tool, &[&own[..], more].concat())
}

fn units(from: usize, count: usize) -> String {
    let one = |number| {
        format!(
            "dn: ou=u{number},{SUFFIX}\nchangetype: add\nobjectClass: organizationalUnit\ndescription: x\n\n"
        )
    };
    (from..from + count).map(one).collect()
}

/// DN and etag of every unit.
fn etags(server: &Server) -> BTreeMap<String, String> {
    let found = server.look(SUFFIX, "sub", "(objectClass=organizationalUnit)", &["etag"]).ok();
    let mut dn = String::new();
    let mut all = BTreeMap::new();
    for line in found.lines() {
        if let Some(text) = line.strip_prefix("dn: ") {
            dn = text.to_owned();
        } else if let Some(etag) = line.strip_prefix("etag: ") {
            all.insert(dn.clone(), etag.to_owned());
        }
    }
    all
}

fn path(server: &Server, name: &str) -> String {
    server.instance().join(name).to_str().unwrap().to_owned()
}

/// The archived files of a backup directory, manifests and catalogue left out.
fn archived(directory: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for item in std::fs::read_dir(directory).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(directory), &mut found);
    found.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
    found.sort();
    found
}

#[test]
fn a_running_server_is_backed_up_under_writes_and_restored_elsewhere() {
    let server = Server::started(&[]);
    server.feed("ldapmodify", &[], &units(0, 50)).ok();
    let before = etags(&server);
    let directory = path(&server, "backups");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut next = 1000;
            while !stop.load(Ordering::Relaxed) {
                server.feed("ldapmodify", &[], &units(next, 20)).ok();
                next += 20;
            }
        });
        // As the guide has it, but at once.
        let made = admin(
            &server,
            "backup",
            &["--backendID", "userRoot", "--backupDirectory", &directory, "--backupID", "one", "--compress"],
        )
        .ok();
        assert!(made.contains("has been successfully completed"), "{made}");
        let made = admin(
            &server,
            "backup",
            &[
                "-n",
                "userRoot",
                "-d",
                &directory,
                "-I",
                "two",
                "--incremental",
                "--encrypt",
                "--hash",
                "--signHash",
            ],
        )
        .ok();
        assert!(made.contains("backed up userRoot: files="), "{made}");
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    let after = etags(&server);
    let listed = server.run("restore", &["--backupDirectory", &directory, "--listBackups"]).ok();
    let lines: Vec<&str> = listed.lines().filter(|line| !line.contains("Date:")).collect();
    assert_eq!(
        lines,
        [
            "Backup ID:          one",
            "Is Incremental:     false",
            "Is Compressed:      true",
            "Is Encrypted:       false",
            "Has Unsigned Hash:  true",
            "Has Signed Hash:    false",
            "Dependent Upon:     none",
            "",
            "Backup ID:          two",
            "Is Incremental:     true",
            "Is Compressed:      false",
            "Is Encrypted:       true",
            "Has Unsigned Hash:  false",
            "Has Signed Hash:    true",
            "Dependent Upon:     one",
            "",
        ]
    );
    let dry = admin(&server, "restore", &["-d", &directory, "--dry-run"]).ok();
    assert!(dry.contains("verified backup two"), "{dry}");

    // Another instance, which has other data; it needs the key of the first.
    let other = Server::started(&[]);
    other.run("stop-ds", &[]).ok();
    let refused = other.run("restore", &["-d", &directory]).refused(1);
    assert!(refused.contains("backup two is signed with key ") && refused.contains("--keyFile"), "{refused}");
    let key = path(&server, "config/backup.key");
    let restored = other.run("restore", &["-d", &directory, "--keyFile", &key]).ok();
    assert!(restored.contains("restored backup two: incarnation 2"), "{restored}");
    other.run("start-ds", &[]).ok();
    let there = etags(&other);
    assert!(before.iter().all(|(dn, etag)| there.get(dn) == Some(etag)), "what was acknowledged before");
    assert!(there.iter().all(|(dn, etag)| after.get(dn) == Some(etag)), "nothing that never was");
    other.feed("ldapmodify", &[], &units(90_000, 10)).ok();
    assert_eq!(etags(&other).len(), there.len() + 10);
    let verified = admin(&other, "verify-index", &["--baseDN", SUFFIX]).ok();
    assert!(verified.contains("differences=0"), "{verified}");

    // While it serves: the old data is served until the new is there.
    let full = path(&other, "bak/userRoot");
    admin(&other, "backup", &["-n", "userRoot", "-I", "here"]).ok();
    let listed = other.look("cn=backups", "sub", "(ds-backup-id=here)", &["ds-backup-incremental"]).ok();
    assert!(listed.starts_with("dn: ds-backup-id=here,ds-backup-directory-path="), "{listed}");
    assert!(listed.contains("ds-backup-incremental: FALSE"), "{listed}");
    let kept = etags(&other);
    other.feed("ldapmodify", &[], &units(91_000, 10)).ok();
    let restored = admin(&other, "restore", &["-d", &full]).ok();
    assert!(restored.contains("incarnation 3"), "{restored}");
    assert_eq!(etags(&other), kept);
    other.feed("ldapmodify", &[], &units(92_000, 1)).ok();
    let refused = admin(&other, "restore", &["-d", &full, "--backupID", "no"]).refused(1);
    assert!(refused.contains("did not complete"), "{refused}");
}

#[test]
fn every_refusal_has_its_reason() {
    let server = Server::started(&[]);
    let directory = path(&server, "backups");
    let at = ["-d", directory.as_str()];
    let none = server.run("restore", &[&at[..], &["-l"]].concat()).refused(1);
    assert!(none.contains("there is no backup in ") && none.contains("no such directory"), "{none}");
    let which = admin(&server, "backup", &at).refused(1);
    assert!(which.contains("--backendID BACKEND, or --backUpAll"), "{which}");
    let unknown = admin(&server, "backup", &[&at[..], &["-n", "ctsData"]].concat()).refused(53);
    assert!(unknown.contains("there is no backend ctsData") && unknown.contains("userRoot"), "{unknown}");
    server.run("stop-ds", &[]).ok();
    // The first incremental one in a directory is a full one.
    server.run("backup", &[&at[..], &["-n", "userRoot", "-i", "--offline"]].concat()).ok();
    let listed = server.run("restore", &[&at[..], &["-l"]].concat()).ok();
    assert!(listed.contains("Is Incremental:     false"), "{listed}");
    let base = [&at[..], &["-n", "userRoot", "-i", "-B", "none", "-I", "second"]].concat();
    assert!(server.run("backup", &base).refused(1).contains("there is no backup none in "));
    let later =
        server.run("backup", &[&at[..], &["-n", "userRoot", "-t", "20990101000000"]].concat()).refused(1);
    assert!(later.contains("need a running one"), "{later}");

    // Everything, with the server stopped.
    let all = server.run("backup", &["--backUpAll", "-d", &path(&server, "all"), "-I", "a", "-c"]).ok();
    for backend in ["userRoot", "config", "schema"] {
        assert!(all.contains(&format!("backed up {backend}: ")), "{all}");
    }
    let above = server.run("restore", &["-d", &path(&server, "all"), "-l"]).refused(1);
    assert!(above.contains("there are some in ") && above.contains("all/userRoot"), "{above}");
    let config = path(&server, "all/config");
    let text = std::fs::read_to_string(server.instance().join("config/config.ldif")).unwrap();
    std::fs::write(server.instance().join("config/config.ldif"), "spoilt").unwrap();
    let restored = server.run("restore", &["-d", &config]).ok();
    assert!(restored.contains("restored backup a of config"), "{restored}");
    assert_eq!(std::fs::read_to_string(server.instance().join("config/config.ldif")).unwrap(), text);
    let schema = path(&server, "all/schema");
    std::fs::remove_file(server.instance().join("config/schema/00-core.ldif")).unwrap();
    server.run("restore", &["-d", &schema]).ok();

    let directory = path(&server, "all/userRoot");
    let at = ["-d", directory.as_str()];
    let again = server.run("backup", &[&at[..], &["-n", "userRoot", "-I", "a"]].concat()).refused(1);
    assert!(again.contains("there is a backup a in "), "{again}");
    let other = server.run("backup", &[&at[..], &["-n", "config", "-I", "b"]].concat()).refused(1);
    assert!(other.contains("holds backups of ds-cfg-backend-id=userRoot"), "{other}");
    let absent = server.run("restore", &[&at[..], &["-I", "x"]].concat()).refused(1);
    assert!(absent.contains("there is no backup x in "), "{absent}");

    // A flipped octet.
    let file = archived(&directory).remove(0);
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&file, &bad).unwrap();
    for more in [&["--dry-run"][..], &[]] {
        let damaged = server.run("restore", &[&at[..], more].concat()).refused(1);
        assert!(damaged.contains("of backup a is damaged: its SHA-256 is not the one"), "{damaged}");
    }
    std::fs::write(&file, &good).unwrap();

    // Too old for the purge delay that is configured.
    server.run("start-ds", &[]).ok();
    let port = format!("replication-port:{}", server.ldap ^ 1);
    let created = [
        "create-replication-server",
        "--provider-name",
        "Multimaster Synchronization",
        "--set",
        &port,
        "--set",
        "replication-server-id:1",
        "--set",
        "replication-purge-delay:1 ms",
        "--trustAll",
    ];
    server.dsconfig(&created).ok();
    server.run("stop-ds", &[]).ok();
    let old = server.run("restore", &at).refused(1);
    assert!(
        old.contains("and the purge delay is ") && old.contains("other replicas may have forgotten"),
        "{old}"
    );
    let forced = server.run("restore", &[&at[..], &["--force"]].concat()).ok();
    assert!(forced.contains("needs initialisation"), "{forced}");

    server.run("start-ds", &[]).ok();
    let storage = server.look("cn=userRoot Storage,cn=monitor", "base", "(objectClass=*)", &["*"]).ok();
    assert!(storage.contains("needsInitialization: true"), "{storage}");
    // Nobody restores below a running server.
    let running = server.run("restore", &at).refused(1);
    assert!(running.contains("the server of ") && running.contains("runs"), "{running}");
    let online = admin(&server, "restore", &[&at[..], &["--force"]].concat()).refused(1);
    assert!(online.contains("need the server stopped"), "{online}");
}

/// Runs a tool and kills it once something is so; whether it was still running then.
fn killed_when(server: &Server, tool: &str, arguments: &[&str], is_so: &dyn Fn() -> bool) -> bool {
    let mut command = server.command(tool, arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !is_so() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

#[test]
fn killed_at_any_step_it_leaves_the_old_or_the_new_whole() {
    let server = Server::started(&[]);
    server.feed("ldapmodify", &[], &units(0, 200)).ok();
    server.run("stop-ds", &[]).ok();
    let directory = path(&server, "backups");
    let at = ["-d", directory.as_str()];
    let listed = || server.run("restore", &[&at[..], &["-l"]].concat()).out;
    server.run("backup", &[&at[..], &["-n", "userRoot", "-I", "good"]].concat()).ok();

    // Backups.
    let archive = Path::new(&directory).join("backup-userRoot-bad");
    let partial = Path::new(&directory).join("backup-userRoot-bad.partial");
    for step in ["", "log/00000001.seg", "manifest"] {
        let file = partial.join(step);
        let arguments = [&at[..], &["-n", "userRoot", "-I", "bad", "--compress"]].concat();
        let was_killed = killed_when(&server, "backup", &arguments, &|| file.exists() || archive.exists());
        // It may have come to its end before the signal did.
        let is_listed = listed().contains("Backup ID:          bad");
        assert!(was_killed || is_listed, "{step}");
        server.run("restore", &[&at[..], &["--dry-run"]].concat()).ok();
        if is_listed {
            break;
        }
        // An archive that was not listed any more is in nobody's way.
        let _ = std::fs::remove_dir_all(&archive);
    }
    server.run("backup", &[&at[..], &["-n", "userRoot", "-I", "after"]].concat()).ok();
    assert!(!partial.exists());

    // Restores.
    server.run("start-ds", &[]).ok();
    let restored = etags(&server);
    let (db, new) = (server.instance().join("db"), server.instance().join("db.new"));
    let mut outcomes = Vec::new();
    for (round, step) in ["", "log/00000001.seg", "dataset-id", "life", "swapped"].into_iter().enumerate() {
        server.feed("ldapmodify", &[], &units(5000 + round * 10, 10)).ok();
        let before = etags(&server);
        server.run("stop-ds", &[]).ok();
        let life = std::fs::read(db.join("life")).ok();
        let is_so: Box<dyn Fn() -> bool> = match step {
            "swapped" => Box::new(|| std::fs::read(db.join("life")).is_ok_and(|now| Some(now) != life)),
            step => {
                let file = new.join(step);
                Box::new(move || file.exists())
            }
        };
        killed_when(&server, "restore", &[&at[..], &["-I", "good"]].concat(), &is_so);
        server.run("start-ds", &[]).ok();
        let found = etags(&server);
        assert!(found == before || found == restored, "after {step}: {} entries", found.len());
        outcomes.push(found == restored);
        let verified = admin(&server, "verify-index", &["--baseDN", SUFFIX]).ok();
        assert!(verified.contains("differences=0"), "{verified}");
        assert!(!new.exists());
    }
    assert!(outcomes.contains(&true) && !outcomes[0], "{outcomes:?}");
}

#[test]
fn the_guides_schedule_is_taken() {
    let server = Server::started(&[]);
    let directory = path(&server, "backups");
    let own = |schedule: &'static str| {
        [
            "--backendID",
            "userRoot",
            "--backupDirectory",
            directory.as_str(),
            "--recurringTask",
            schedule,
            "--completionNotify",
            "backupadmin@example.com",
            "--errorNotify",
            "backupadmin@example.com",
        ]
    };
    let taken = admin(&server, "backup", &own("15 * * * *")).ok();
    assert!(taken.starts_with("Recurring Backup task BackupTask-"), "{taken}");
    let found = server.look("cn=Recurring Tasks,cn=Tasks", "one", "(objectClass=*)", &["*"]).ok();
    assert!(found.contains("ds-task-backup-backend-id: userRoot"), "{found}");
    // The guide's own text has a letter where a minute belongs.
    let letter = admin(&server, "backup", &own("x * * * *"));
    assert!(letter.code != 0 && letter.err.contains("ds-recurring-task-schedule"), "{letter:?}");
}
