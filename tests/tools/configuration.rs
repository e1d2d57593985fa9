//! `dsconfig`: each kind of thing it does, seen in `cn=config`.

use crate::fixture::Server;

const HANDLER: &str = "cn=Access Control Handler,cn=config";

#[test]
fn properties_are_set_read_and_reset() {
    let server = Server::started(&[]);
    let said = server.dsconfig(&["set-global-configuration-prop", "--set", "size-limit:2000"]).ok();
    assert!(said.contains("modified successfully"), "{said}");
    assert_eq!(server.values("cn=config", "ds-cfg-size-limit"), ["2000"]);
    let table = server.dsconfig(&["get-global-configuration-prop", "--property", "size-limit"]).ok();
    assert_eq!(table, "Property   : Value(s)\n-----------:---------\nsize-limit : 2000\n");
    server.dsconfig(&["set-global-configuration-prop", "--reset", "size-limit"]).ok();
    let lines = server.dsconfig(&["get-global-configuration-prop", "-s", "--property", "size-limit"]).ok();
    assert_eq!(lines, "size-limit\t1000\n", "the default");
    let said = server.dsconfig(&[
        "set-global-configuration-prop",
        "--set",
        "smtp-server:a.example:25",
        "--set",
        "smtp-server:b.example:25",
    ]);
    said.ok();
    server
        .dsconfig(&[
            "set-global-configuration-prop",
            "--add",
            "smtp-server:c.example:25",
            "--remove",
            "smtp-server:a.example:25",
        ])
        .ok();
    assert_eq!(server.values("cn=config", "ds-cfg-smtp-server"), ["b.example:25", "c.example:25"]);

    for (arguments, code, part) in [
        (&["set-global-configuration-prop", "--set", "sise-limit:1"][..], 1, "it has size-limit"),
        (&["set-global-configuration-prop", "--set", "size-limit:x"], 1, "size-limit accepts a whole number"),
        (
            &["set-global-configuration-prop", "--set", "size-limit:1", "--set", "size-limit:2"],
            1,
            "takes one value",
        ),
        (&["set-global-configuration-prop", "--remove", "smtp-server:x"], 16, "has no value"),
        (
            &[
                "set-backend-index-prop",
                "--backend-name",
                "userRoot",
                "--index-name",
                "cn",
                "--set",
                "attribute:sn",
            ],
            1,
            "stays as it was",
        ),
        (&["get-backend-prop", "--backend-name", "other"], 32, "userRoot"),
        (&["create-backend-index", "--backend-name", "userRoot", "--index-name", "l"], 1, "index-type"),
        (
            &[
                "create-backend-index",
                "--backend-name",
                "userRoot",
                "--index-name",
                "cn",
                "--set",
                "index-type:equality",
            ],
            68,
            "exists already",
        ),
        (
            &[
                "create-backend-index",
                "--backend-name",
                "userRoot",
                "--index-name",
                "noSuch",
                "--set",
                "index-type:equality",
            ],
            19,
            "noSuch",
        ),
        (&["delete-backend", "--backend-name", "userRoot"], 66, "entries below it"),
        (&["set-log-publisher-prop", "--publisher-name", "x"], 1, "needs --set"),
        (&["frobnicate"], 1, "no sub-command"),
        (
            &["set-root-dn-prop", "--add", "default-root-privilege-name:nope"],
            19,
            "there is no privilege nope",
        ),
        (
            &["set-global-configuration-prop", "--add", "disabled-privilege:nope"],
            53,
            "there is no privilege nope",
        ),
        (
            &[
                "set-connection-handler-prop",
                "--handler-name",
                "LDAPS Connection Handler",
                "--set",
                "ssl-cipher-suite:TLS_RSA_WITH_NULL_MD5",
            ],
            53,
            "TLS_AES_256_GCM_SHA384",
        ),
        (
            &["set-global-configuration-prop", "--set", "default-password-policy:No Such"],
            19,
            "cn=No Such,cn=Password Policies,cn=config",
        ),
    ] {
        let refused = server.dsconfig(arguments).refused(code);
        assert!(refused.contains(part), "{arguments:?}: {refused}");
    }
    // Other objects go by their names, as well as by their DNs.
    for value in ["Root Password Policy", "cn=Default Password Policy,cn=Password Policies,cn=config"] {
        let set = format!("default-password-policy:{value}");
        server.dsconfig(&["set-global-configuration-prop", "--set", &set]).ok();
        let name = value.trim_start_matches("cn=").split(',').next().unwrap();
        let get = ["get-global-configuration-prop", "-s", "--property", "default-password-policy"];
        assert_eq!(server.dsconfig(&get).ok(), format!("default-password-policy\t{name}\n"));
        let dn = format!("cn={name},cn=Password Policies,cn=config");
        assert_eq!(server.values("cn=config", "ds-cfg-default-password-policy"), [dn]);
    }
    assert_eq!(
        server.dsconfig(&["set-backend-prop", "--backend-name", "userRoot", "--set", "java-class:x"]).code,
        0
    );
}

#[test]
fn objects_are_made_listed_and_deleted() {
    let server = Server::started(&[]);
    let index = ["--backend-name", "userRoot", "--index-name", "description"];
    let with = |sub_command: &'static str, more: &[&'static str]| {
        server.dsconfig(&[&[sub_command], &index[..], more].concat())
    };
    with("create-backend-index", &["--set", "index-type:equality", "--set", "index-type:presence"]).ok();
    let listed = server.dsconfig(&["list-backend-indexes", "--backend-name", "userRoot"]).ok();
    assert!(
        listed.lines().any(|line| line.starts_with("description ") && line.contains("equality, presence"))
    );
    with("set-backend-index-prop", &["--remove", "index-type:presence"]).ok();
    with("delete-backend-index", &[]).ok();
    with("delete-backend-index", &[]).refused(32);
    with("delete-backend-index", &["--force"]).ok();
    for (list, part) in [
        ("list-backends", "userRoot : je"),
        ("list-connection-handlers", "LDAP Connection Handler"),
        ("list-log-publishers", "File-Based Access Logger"),
        ("list-password-policies", "Default Password Policy"),
        ("list-synchronization-providers", "Multimaster Synchronization"),
        ("list-identity-mappers", "Exact Match"),
    ] {
        let listed = server.dsconfig(&[list]).ok();
        assert!(listed.contains(part), "{listed}");
    }
    for get in ["administration-connector", "access-control-handler", "root-dn", "work-queue"] {
        assert!(server.dsconfig(&[&format!("get-{get}-prop")]).ok().starts_with("Property"), "{get}");
    }
    let domain = ["--provider-name", "Multimaster Synchronization", "--domain-name", "tokens"];
    let made = [
        "--set",
        "base-dn:dc=cts,dc=example,dc=com",
        "--set",
        "server-id:7",
        "--set",
        "replication-server:h:8989",
    ];
    server.dsconfig(&[&["create-replication-domain"], &domain[..], &made[..]].concat()).ok();
    let dn = "cn=tokens,cn=domains,cn=Multimaster Synchronization,cn=Synchronization Providers,cn=config";
    assert_eq!(server.values(dn, "ds-cfg-server-id"), ["7"]);
    let listed =
        server.dsconfig(&["list-replication-domains", "--provider-name", "Multimaster Synchronization"]).ok();
    assert!(listed.contains("tokens"), "{listed}");
    server.dsconfig(&[&["delete-replication-domain"], &domain[..]].concat()).ok();
    let properties = server.run("dsconfig", &["list-properties", "--category", "backend-index"]).ok();
    assert!(properties.contains("one of equality, ordering"), "{properties}");
}

#[test]
fn batches_stop_at_errors_unless_told_and_check_first() {
    let server = Server::started(&[]);
    let aci = r#"(targetattr="cn")(version 3.0; acl "batch"; allow (read) userdn="ldap:///all";)"#;
    let text = format!(
        "# first\nset-access-control-handler-prop --add 'global-aci:{aci}'\n\n\
         create-backend-index --backend-name userRoot \\\n   --index-name cn --set index-type:equality\n\
         set-global-configuration-prop --set \"size-limit:77\"\n"
    );
    let file = server.file("batch.txt", &text);
    let refused = server.dsconfig(&["--batchFilePath", &file]).refused(68);
    assert!(refused.contains("line 4") && refused.contains("exists already"), "{refused}");
    assert!(server.values(HANDLER, "ds-cfg-global-aci").contains(&aci.to_owned()));
    assert_ne!(server.values("cn=config", "ds-cfg-size-limit"), ["77"]);
    server.dsconfig(&["-F", &file, "--batchContinueOnError"]).refused(68);
    assert_eq!(server.values("cn=config", "ds-cfg-size-limit"), ["77"]);
    let wrong = server.file("wrong.txt", "set-global-configuration-prop --set size-limit:78\nset-global-configuration-prop --set size-limit:x\n");
    assert!(server.dsconfig(&["-F", &wrong]).refused(1).contains("line 2"));
    assert_eq!(server.values("cn=config", "ds-cfg-size-limit"), ["77"], "nothing of a wrong file is done");

    let shown = server
        .dsconfig(&["set-global-configuration-prop", "--set", "size-limit:79", "--displayCommand"])
        .ok();
    assert!(shown.contains("--set size-limit:79") && !shown.contains("password\n"), "{shown}");
    assert!(shown.contains("'******'"), "{shown}");
}

#[test]
fn wrong_ports_and_trust_are_explained() {
    let server = Server::started(&[]);
    let plain = server.ldap.to_string();
    let own = ["get-global-configuration-prop", "-w", "password", "-n", "-p", &plain];
    assert!(server.run("dsconfig", &own).refused(91).contains("administration port"));
    let admin = server.admin.to_string();
    let wrong = server.run("dsconfig", &["get-global-configuration-prop", "-w", "x", "-n", "-p", &admin]);
    assert!(wrong.refused(49).contains("Invalid Credentials"));
    let none = server.run("dsconfig", &["get-global-configuration-prop", "-n", "-p", &admin]);
    assert!(none.refused(1).contains("--bindPassword"));
}

/// A kind, the options that name the object, and properties with values.
type Row = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// Properties of each kind: set, read back, and there after a restart.
#[test]
fn what_is_set_is_read_back_and_survives_a_restart() {
    const PROVIDER: &[&str] = &["--provider-name", "Multimaster Synchronization"];
    const BACKEND: &[&str] = &["--backend-name", "userRoot"];
    const INDEX: &[&str] = &["--backend-name", "userRoot", "--index-name", "mail"];
    const LDAP: &[&str] = &["--handler-name", "LDAP Connection Handler"];
    const LOG: &[&str] = &["--publisher-name", "File-Based Access Logger"];
    const POLICY: &[&str] = &["--policy-name", "Default Password Policy"];
    const PROPERTIES: &[Row] = &[
        (
            "global-configuration",
            &[],
            &[
                ("size-limit", "2500"),
                ("time-limit", "90 seconds"),
                ("lookthrough-limit", "7000"),
                ("idle-time-limit", "5 minutes"),
                ("max-allowed-client-connections", "500"),
                ("max-psearches", "64"),
                ("add-missing-rdn-attributes", "false"),
                ("writability-mode", "internal-only"),
                ("bind-with-dn-requires-password", "false"),
                ("return-bind-error-messages", "true"),
                ("notify-abandoned-operations", "true"),
                ("etime-resolution", "nanoseconds"),
                ("trust-transaction-ids", "true"),
                ("server-error-result-code", "81"),
            ],
        ),
        (
            "backend",
            BACKEND,
            &[
                ("index-entry-limit", "6000"),
                ("db-cache-percent", "40"),
                ("db-txn-no-sync", "true"),
                ("db-txn-write-no-sync", "true"),
                ("disk-low-threshold", "20 MB"),
                ("disk-full-threshold", "10 MB"),
            ],
        ),
        ("backend-index", INDEX, &[("index-entry-limit", "0"), ("substring-length", "4")]),
        (
            "connection-handler",
            LDAP,
            &[
                ("max-request-size", "6 megabytes"),
                ("accept-backlog", "256"),
                ("use-tcp-no-delay", "false"),
                ("max-blocked-write-time-limit", "1 minute"),
                ("denied-client", "192.0.2.0/24"),
            ],
        ),
        ("work-queue", &[], &[("max-work-queue-capacity", "900")]),
        ("log-publisher", LOG, &[("log-format", "json"), ("log-control-oids", "true")]),
        ("password-policy", POLICY, &[("lockout-failure-count", "5"), ("lockout-duration", "10 minutes")]),
        ("synchronization-provider", PROVIDER, &[("connection-timeout", "3 seconds")]),
        ("root-dn", &[], &[("default-root-privilege-name", "config-read")]),
    ];
    let server = Server::started(&[]);
    let keep: &[&str] = &["config-write", "bypass-acl", "monitor-read", "modify-acl"];
    for (kind, names, properties) in PROPERTIES {
        let sub_command = format!("set-{kind}-prop");
        let mut arguments: Vec<String> = vec![sub_command];
        arguments.extend(names.iter().map(|name| (*name).to_owned()));
        for (property, value) in *properties {
            arguments.extend(["--set".to_owned(), format!("{property}:{value}")]);
        }
        if *kind == "root-dn" {
            keep.iter().for_each(|name| {
                arguments.extend(["--set".to_owned(), format!("default-root-privilege-name:{name}")]);
            });
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        server.dsconfig(&arguments).ok();
    }
    let check = || {
        for (kind, names, properties) in PROPERTIES {
            let sub_command = format!("get-{kind}-prop");
            let shown = server.dsconfig(&[&[sub_command.as_str(), "-s", "--advanced"], *names].concat()).ok();
            for (property, value) in *properties {
                let line = format!("{property}\t{value}");
                assert!(shown.lines().any(|other| other.starts_with(&line)), "{kind} {line}:\n{shown}");
            }
        }
    };
    check();
    server.run("stop-ds", &["--restart"]).ok();
    check();
}
