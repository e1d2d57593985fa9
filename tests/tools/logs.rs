//! Logs and `cn=monitor`, as an administrator works with them: publishers made and changed with `dsconfig` while the server
//! runs, files read as they are on disk.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::fixture::{SUFFIX, Server};

const PATIENCE: Duration = Duration::from_secs(180);
const ACCESS: &str = "File-Based Access Logger";

impl Server {
    fn log_file(&self, name: &str) -> PathBuf {
        self.instance().join("logs").join(name)
    }

    /// The text of a log once it has this in it: it is written a moment after the answer.
    fn logged(&self, name: &str, wanted: &str) -> String {
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(self.log_file(name)).unwrap_or_default();
            if text.contains(wanted) {
                return text;
            }
            assert!(begun.elapsed() < PATIENCE, "{wanted} is not in {name}:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn create_log(&self, name: &str, kind: &str, settings: &[&str]) {
        let mut arguments = vec!["create-log-publisher", "--publisher-name", name, "--type", kind];
        settings.iter().for_each(|one| arguments.extend(["--set", one]));
        self.dsconfig(&arguments).ok();
    }

    fn set_log(&self, name: &str, settings: &[&str]) {
        let mut arguments = vec!["set-log-publisher-prop", "--publisher-name", name];
        settings.iter().for_each(|one| arguments.extend(["--set", one]));
        self.dsconfig(&arguments).ok();
    }

    fn add_person(&self, name: &str) {
        let record = format!(
            "dn: cn={name},{SUFFIX}\nobjectClass: person\ncn: {name}\nsn: {name}\nuserPassword: hidden-{name}\n"
        );
        self.feed("ldapmodify", &["--defaultAdd"], &record).ok();
    }
}

#[test]
fn publishers_of_every_shape_are_made_changed_and_deleted_while_the_server_runs() {
    let server = Server::started(&[]);
    server.create_log(
        "Combined",
        "file-based-access",
        &["enabled:true", "log-file:logs/combined", "log-format:combined"],
    );
    server.create_log(
        "Json",
        "json-file-access",
        &["enabled:true", "log-file:logs/access.json", "log-control-oids:true"],
    );
    server.set_log("File-Based Audit Logger", &["enabled:true"]);
    let listed = server.dsconfig(&["list-log-publishers"]).ok();
    for name in ["Combined", "Json", ACCESS, "Slow Operation Logger", "File-Based Audit Logger"] {
        assert!(listed.contains(name), "{listed}");
    }
    server.add_person("shapes");
    // Text, as the reference's readers know it.
    let text = server.logged("access", "cn=shapes");
    let text = if text.contains("ADD RES") { text } else { server.logged("access", "ADD RES") };
    let line = text.lines().find(|line| line.contains("ADD REQ") && line.contains("cn=shapes")).unwrap();
    assert!(line.starts_with('[') && line.ends_with(&format!("dn=\"cn=shapes,{SUFFIX}\"")), "{line}");
    let line = server.logged("combined", "cn=shapes");
    let line = line.lines().find(|line| line.contains("cn=shapes")).unwrap();
    assert!(
        line.contains("] ADD conn=") && line.contains(" result=0 ") && line.contains(" etime="),
        "{line}"
    );
    // JSON: the tool that everybody has reads it.
    server.logged("access.json", "cn=shapes");
    let script = "import json,sys\n\
        rows=[json.loads(line) for line in open(sys.argv[1])]\n\
        row=next(r for r in rows if r['request'].get('dn','').startswith('cn=shapes'))\n\
        assert row['eventName']=='DJ-LDAP' and row['request']['operation']=='ADD', row\n\
        assert row['response']['status']=='SUCCESSFUL' and row['response']['statusCode']=='0', row\n\
        assert row['client']['ip']=='127.0.0.1' and row['client']['port']>0, row\n\
        assert row['userId'].startswith('cn=Directory Manager'), row\n\
        assert len({r['_id'] for r in rows})==len(rows)\n";
    let python = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(server.log_file("access.json"))
        .output()
        .unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    // The audit log has the change, not the password.
    let audit = server.logged("audit", "cn=shapes");
    assert!(
        audit.contains("changetype: add\n") && audit.contains("; conn=") && audit.contains("; op="),
        "{audit}"
    );
    assert!(!audit.contains("hidden"), "{audit}");
    assert!(audit.contains("# userpassword: 1 values of 13 octets are left out"), "{audit}");
    // Off at once, and deleted.
    server.set_log("Combined", &["enabled:false"]);
    server.dsconfig(&["delete-log-publisher", "--publisher-name", "Json"]).ok();
    server.add_person("later");
    server.logged("access", "cn=later");
    for name in ["combined", "access.json"] {
        assert!(!std::fs::read_to_string(server.log_file(name)).unwrap().contains("cn=later"));
    }
    // Another file at once, with its permissions; one that cannot be is refused and nothing changes.
    server.set_log(ACCESS, &["log-file:logs/elsewhere", "log-file-permissions:600", "log-format:combined"]);
    server.add_person("moved");
    server.logged("elsewhere", "ADD conn=");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(server.log_file("elsewhere")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let no_such = ["set-log-publisher-prop", "--publisher-name", ACCESS, "--set", "log-file:no/such/folder"];
    let refused = server.dsconfig(&no_such);
    assert!(refused.code != 0 && refused.err.contains("no/such/folder"), "{refused:?}");
    let of = format!("cn={ACCESS},cn=Loggers,cn=config");
    assert_eq!(server.values(&of, "ds-cfg-log-file"), ["logs/elsewhere"]);
}

#[test]
fn criteria_sampling_slowness_and_transaction_ids_decide_what_is_logged() {
    let server = Server::started(&[]);
    let adds = ["enabled:false", "log-file:logs/adds", "log-format:combined", "filtering-policy:inclusive"];
    server.create_log("Adds", "file-based-access", &adds);
    let criteria = ["--publisher-name", "Adds", "--criteria-name", "adds of persons"];
    let mut create = vec!["create-access-log-filtering-criteria"];
    create.extend(criteria);
    let target = format!("request-target-dn-equal-to:cn=*,{SUFFIX}");
    create.extend(["--set", "log-record-type:add", "--set", &target]);
    create.extend(["--set", "response-result-code-equal-to:0"]);
    server.dsconfig(&create).ok();
    server.set_log("Adds", &["enabled:true"]);
    server.create_log(
        "Slow",
        "file-based-access",
        &["enabled:true", "log-file:logs/slow-test", "cts-log-slower-than:1 h"],
    );
    server.add_person("wanted");
    server.look(SUFFIX, "base", "(objectClass=*)", &["1.1"]).ok();
    let text = server.logged("adds", "cn=wanted");
    assert!(text.lines().all(|line| line.contains("] ADD ") && line.contains("cn=wanted")), "{text}");
    assert_eq!(std::fs::read_to_string(server.log_file("slow-test")).unwrap(), "", "nothing takes an hour");
    server.set_log("Slow", &["cts-log-slower-than:1 ms", "log-format:combined"]);
    // Its password is hashed, which takes longer than that.
    server.add_person("hashed");
    let text = server.logged("slow-test", "cn=hashed");
    assert!(!text.contains("CONNECT"), "{text}");
    // Transaction ids, only when they are trusted.
    let id = "--control=1.3.6.1.4.1.36733.2.1.5.1:false:openam-42/0";
    let search = ["-b", SUFFIX, "-s", "base", id, "(objectClass=*)", "1.1"];
    server.ldap("ldapsearch", &search).ok();
    server.dsconfig(&["set-global-configuration-prop", "--set", "trust-transaction-ids:true"]).ok();
    server.ldap("ldapsearch", &search).ok();
    let text = server.logged("access", "transactionId=openam-42/0 etime=");
    assert_eq!(text.matches("transactionId=openam-42/0").count(), 2, "REQ and RES of the second");
}

#[test]
fn files_are_opened_anew_on_sighup_and_rotate_by_size() {
    let server = Server::started(&[]);
    server.add_person("before");
    server.logged("access", "cn=before");
    for name in ["access", "errors"] {
        std::fs::rename(server.log_file(name), server.log_file(&format!("{name}.moved"))).unwrap();
    }
    let pid = std::fs::read_to_string(server.instance().join("locks/server.pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let begun = Instant::now();
    while !server.log_file("access").exists() || !server.log_file("errors").exists() {
        assert!(begun.elapsed() < PATIENCE, "SIGHUP opened nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.add_person("after");
    assert!(!server.logged("access", "cn=after").contains("cn=before"));
    // A small limit, by a policy of our own.
    let policy = ["create-log-rotation-policy", "--policy-name", "Tiny", "--type", "size-limit"];
    server.dsconfig(&[&policy[..], &["--set", "file-size-limit:100 b"]].concat()).ok();
    let policy = ["create-log-retention-policy", "--policy-name", "Two", "--type", "file-count"];
    server.dsconfig(&[&policy[..], &["--set", "number-of-files:2"]].concat()).ok();
    server.set_log(
        ACCESS,
        &[
            "rotation-policy:cn=Tiny,cn=Log Rotation Policies,cn=config",
            "retention-policy:cn=Two,cn=Log Retention Policies,cn=config",
        ],
    );
    let aside = || {
        let names = std::fs::read_dir(server.instance().join("logs")).unwrap();
        let names = names.map(|item| item.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("access.2")).count()
    };
    for number in 0..5 {
        server.look(SUFFIX, "base", &format!("(cn={number})"), &["1.1"]).ok();
        let begun = Instant::now();
        while aside() < (number + 1).min(2) {
            assert!(begun.elapsed() < PATIENCE, "nothing was put aside");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(aside(), 2);
}

#[test]
fn cn_monitor_tells_by_name_what_it_shows() {
    let server = Server::started(&["--profile", "am-cts"]);
    server.add_person("counted");
    // An index of types makes the tokens' counts known.
    let index = ["create-backend-index", "--backend-name", "userRoot", "--index-name", "coreTokenType"];
    server.dsconfig(&[&index[..], &["--set", "index-type:equality"]].concat()).ok();
    let backend = "cn=userRoot Backend,cn=monitor";
    let states = server.values(backend, "ds-cts-index-state");
    assert!(states.iter().any(|state| state == "coreTokenUserId.equality ready"), "{states:?}");
    let found = server.look("cn=monitor", "sub", "(objectClass=*)", &[]).ok();
    for dn in [
        "cn=LDAP Connection Handler Statistics,cn=monitor",
        "cn=Administration Connector Statistics,cn=monitor",
        "cn=Administration Connector,cn=monitor",
        "cn=Client Connections,cn=monitor",
        "cn=Work Queue,cn=monitor",
        "cn=System Information,cn=monitor",
        "cn=Version,cn=monitor",
        "cn=Disk Space Monitor,cn=monitor",
        "cn=Log Publishers,cn=monitor",
        "cn=Locked Accounts,cn=monitor",
        "cn=userRoot Storage,cn=monitor",
    ] {
        assert!(found.contains(&format!("dn: {dn}\n")), "{dn} is not in\n{found}");
    }
    assert!(
        found.contains("\nds-cts-index-state: coreTokenUserId.equality ready\n"),
        "by name and without: {found}"
    );
    // Every attribute shown is one of the schema, so it can be asked for by name.
    let schema = server.look("cn=schema", "base", "(objectClass=*)", &["attributeTypes"]).ok().to_lowercase();
    let names: std::collections::BTreeSet<&str> =
        found.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    for name in names.into_iter().filter(|name| !matches!(*name, "dn" | "objectClass")) {
        assert!(schema.contains(&format!("'{}'", name.to_lowercase())), "{name} is not in the schema");
    }
    // Listeners count apart.
    let own = |listener: &str, name: &str| -> u64 {
        server.values(&format!("cn={listener} Statistics,cn=monitor"), name)[0].parse().unwrap()
    };
    let (ldap, admin) = ("LDAP Connection Handler", "Administration Connector");
    assert_eq!((own(ldap, "addRequests"), own(admin, "addRequests")), (1, 1), "the person; the index");
    assert!(own(ldap, "ds-mon-add-operations-p99-time") >= own(ldap, "ds-mon-add-operations-p50-time"));
    assert!(own(ldap, "ds-mon-add-operations-max-time") > 0);
    let keep = ["set-connection-handler-prop", "--handler-name", ldap, "--set"];
    server.dsconfig(&[&keep[..], &["keep-stats:false"]].concat()).ok();
    server.add_person("uncounted");
    assert_eq!(own(ldap, "addRequests"), 1);
    // Nobody sees it without the privilege or a grant.
    let url = format!("ldap://localhost:{}", server.ldap);
    let anonymous = std::process::Command::new("ldapsearch")
        .args(["-LLL", "-x", "-H", &url, "-b", "cn=monitor", "-s", "sub"])
        .env("LDAPNOINIT", "1")
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&anonymous.stdout).contains("dn:"));
    // status says it to people and programs.
    let port = server.admin.to_string();
    let status = |more: &[&str]| {
        let own = ["--port", &port, "-w", "password", "--trustAll"];
        server.run("status", &[&own[..], more].concat()).ok()
    };
    let people = status(&[]);
    for wanted in ["Work Queue", "Log Records Dropped", "p99", "Free Disk Space", "Resident Memory"] {
        assert!(people.contains(wanted), "{wanted}: {people}");
    }
    let json = status(&["--json"]);
    assert!(json.contains("\"workQueue\":{\"waiting\":\"0\""), "{json}");
}

#[test]
fn tokens_are_counted_by_type() {
    let server = Server::started(&["--profile", "am-cts"]);
    let parent = format!("ou=famrecords,ou=openam-session,ou=tokens,{SUFFIX}");
    let found = server.look(SUFFIX, "sub", "(objectClass=organizationalUnit)", &["1.1"]).ok();
    let parent = if found.contains(&parent) { parent } else { SUFFIX.to_owned() };
    for (id, kind) in [("1", "SESSION"), ("2", "SESSION"), ("3", "OAUTH")] {
        let record = format!(
            "dn: coreTokenId={id},{parent}\nobjectClass: top\nobjectClass: frCoreToken\ncoreTokenId: {id}\n\
             coreTokenType: {kind}\n"
        );
        server.feed("ldapmodify", &["--defaultAdd"], &record).ok();
    }
    let index = ["create-backend-index", "--backend-name", "userRoot", "--index-name", "coreTokenType"];
    server.dsconfig(&[&index[..], &["--set", "index-type:equality"]].concat()).ok();
    let begun = Instant::now();
    let counts = loop {
        let mut counts = server.values("cn=userRoot Backend,cn=monitor", "ds-cts-token-count");
        counts.iter_mut().for_each(|count| *count = count.to_lowercase());
        if !counts.is_empty() {
            break counts;
        }
        assert!(begun.elapsed() < PATIENCE, "the index is not built");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(counts, ["oauth 1", "session 2"]);
}
