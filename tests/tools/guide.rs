//! The command blocks of OpenAM's guide "Configuring the Core Token Service", as they stand there.

use crate::fixture::{SUFFIX, Server};

const OPENAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/openam");
const GLOBAL_ACI: &str = r#"(target = "ldap:///cn=schema")(targetattr = "attributeTypes || objectClasses")(version 3.0; acl "Modify schema"; allow (write) userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com";)"#;
const INDEXES: &str = "cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config";

/// The guide's `$T`, with a copy of the web application's files.
fn prepared(server: &Server) -> String {
    let folder = server.file("ldif", "");
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    folder
}

#[test]
fn the_guides_blocks_run_as_they_stand() {
    let server = Server::started(&[]);
    let t = prepared(&server);
    let block = |text: &str| server.shell(&format!("T={t}\nOPENAM={OPENAM}\n{text}"));

    // Schema.
    let said = block(
        r#"cp $OPENAM/cts-add-schema.ldif $T/cts-add-schema.ldif
./ldapmodify \
 --port 1389 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 $T/cts-add-schema.ldif"#,
    )
    .ok();
    assert_eq!(
        said,
        "Processing MODIFY request for cn=schema\nMODIFY operation successful for DN cn=schema\n"
    );
    let again = block(
        r#"./ldapmodify \
 --port 1389 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 --filename $T/cts-add-schema.ldif"#,
    );
    assert_eq!(again.ok(), said);
    assert!(
        server.look("cn=schema", "base", "(objectClass=*)", &["objectClasses"]).ok().contains("frCoreToken")
    );

    // Indexes.
    let said = block(
        r#"cat $OPENAM/cts-indices.ldif \
 | sed -e 's/@DB_NAME@/userRoot/' > $T/cts-indices.ldif
./ldapmodify \
 --port 1389 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 $T/cts-indices.ldif"#,
    )
    .ok();
    assert!(said.contains(&format!("ADD operation successful for DN ds-cfg-attribute=etag,{INDEXES}\n")));
    let date = format!("ds-cfg-attribute=coreTokenExpirationDate,{INDEXES}");
    assert_eq!(server.values(&date, "ds-cfg-index-type"), ["ordering"]);

    // Containers: the guide's sed leaves $ROOT_SUFFIX as it is.
    let sed = |quote: &str| {
        let text = r#"ROOT_SUFFIX="dc=cts,dc=example,dc=com"
cat $OPENAM/cts-container.ldif | sed -e 's/@SM_CONFIG_ROOT_SUFFIX@/$ROOT_SUFFIX/' > $T/cts-container.ldif
./ldapmodify \
 --port 1389 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 $T/cts-container.ldif"#;
        block(&text.replace('\'', quote))
    };
    let refused = sed("'").refused(34);
    assert!(refused.contains("ADD operation failed\nResult Code:  34 (Invalid DN Syntax)\n"), "{refused}");
    assert!(refused.contains("$ROOT_SUFFIX"), "{refused}");
    let said = sed("\"").ok();
    let mut wanted = String::new();
    for dn in [
        "ou=tokens,dc=cts,dc=example,dc=com",
        "ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com",
        "ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com",
    ] {
        wanted.push_str(&format!("Processing ADD request for {dn}\nADD operation successful for DN {dn}\n"));
    }
    assert_eq!(said, wanted);

    // The account, its global ACI, its ACIs.
    let said = block(
        r#"cp $OPENAM/cts_user.ldif cts_user.ldif
./ldapmodify \
 --defaultAdd \
 --port 1389 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 --filename cts_user.ldif"#,
    )
    .ok();
    let account = format!("uid=openam_cts,ou=admins,{SUFFIX}");
    assert!(said.ends_with(&format!("ADD operation successful for DN {account}\n")), "{said}");
    for _ in 0..2 {
        // Twice: the second time there is nothing to do.
        let said = block(&format!(
            r#"./dsconfig \
 set-access-control-handler-prop \
 --no-prompt \
 --hostname cts.example.com \
 --port 4444 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 --add 'global-aci:{GLOBAL_ACI}'"#
        ));
        assert!(said.ok().contains("Access Control Handler"));
    }
    let handler = server.values("cn=Access Control Handler,cn=config", "ds-cfg-global-aci");
    assert_eq!(handler.iter().filter(|value| *value == GLOBAL_ACI).count(), 1);
    let said = block(
        r#"./dsconfig \
 get-access-control-handler-prop \
 --hostname cts.example.com \
 --port 4444 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 --no-prompt \
 --property global-aci"#,
    )
    .ok();
    assert!(said.contains(&format!("\"{GLOBAL_ACI}\"")), "{said}");
    let said = block(
        r#"cp $OPENAM/cts_acis.ldif cts_acis.ldif
./ldapmodify \
 --defaultAdd \
 --hostname cts.example.com \
 --port 1389 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 --filename cts_acis.ldif"#,
    )
    .ok();
    assert!(said.ends_with(&format!("MODIFY operation successful for DN {SUFFIX}\n")), "{said}");
    assert_eq!(server.values(SUFFIX, "aci").len(), 5);

    // An index by dsconfig, without its sub-command: the LDIF made it already.
    let index = r#"./dsconfig \
 --port 4444 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 --backend-name userRoot \
 --index-name coreTokenExpirationDate \
 --set index-type:ordering \
 --trustAll \
 --no-prompt"#;
    let refused = block(index).refused(68);
    assert!(refused.contains("create-backend-index") && refused.contains("exists already"), "{refused}");
    let free = index.replace("coreTokenExpirationDate", "coreTokenString05").replace("ordering", "equality");
    assert!(block(&free).ok().contains("created successfully"));
    let made = format!("ds-cfg-attribute=coreTokenString05,{INDEXES}");
    assert_eq!(server.values(&made, "ds-cfg-index-type"), ["equality"]);

    // A batch file.
    server.shell(
        "cat > cts-add-indexes.txt <<'END'\n# more indexes\n\ncreate-backend-index --backend-name userRoot \\\n  \
         --index-name coreTokenString06 --set index-type:equality\ncreate-backend-index --backend-name userRoot \
         --index-name \"coreTokenString07\" --set 'index-type:equality' --set index-type:substring\nEND",
    );
    block(
        r#"./dsconfig \
 --port 4444 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 --batchFilePath cts-add-indexes.txt \
 --trustAll \
 --no-prompt"#,
    )
    .ok();
    let made = format!("ds-cfg-attribute=coreTokenString07,{INDEXES}");
    assert_eq!(server.values(&made, "ds-cfg-index-type").len(), 2);

    // The purge delay: of a server that replicates, and with a number for the guide's n.
    let delay = |n: &str| {
        block(&format!(
            r#"./dsconfig \
 set-replication-server-prop \
 --port 4444 \
 --hostname opendj-cts.example.org \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 --provider-name "Multimaster Synchronization" \
 --set replication-purge-delay:{n} \
 --no-prompt \
 --trustStorePath ../config/tls/admin.pem"#
        ))
    };
    assert!(delay("n").refused(1).contains("replication-purge-delay accepts a duration"));
    assert!(delay("12h").refused(32).contains("create-replication-server"));
    let port = server.ldap ^ 1;
    server
        .dsconfig(&[
            "create-replication-server",
            "--provider-name",
            "Multimaster Synchronization",
            "--set",
            &format!("replication-port:{port}"),
            "--set",
            "replication-server-id:1",
        ])
        .ok();
    let ran = delay("12");
    assert!(ran.err.contains("seconds"), "a number without unit is warned of: {ran:?}");
    delay("12h").ok();
    let replication =
        "cn=replication server,cn=Multimaster Synchronization,cn=Synchronization Providers,cn=config";
    assert_eq!(server.values(replication, "ds-cfg-replication-purge-delay"), ["12h"]);

    // Rebuild all indexes, and verify them.
    let said = block(
        r#"./rebuild-index \
 --port 4444 \
 --bindDN "cn=Directory Manager" \
 --bindPassword password \
 --baseDN "dc=cts,dc=example,dc=com" \
 --rebuildAll --start 0"#,
    )
    .ok();
    assert!(said.contains("has been successfully completed"), "{said}");
    let done =
        "(&(ds-task-class-name=org.opends.server.tasks.RebuildTask)(ds-task-state=COMPLETED_SUCCESSFULLY))";
    let found = server.look("cn=Scheduled Tasks,cn=Tasks", "one", done, &["dn"]).ok();
    assert_eq!(found.matches("dn: ").count(), 1, "{found}");
    // Without host and password, while the server runs.
    let said = block(r#"./verify-index --baseDN "dc=cts,dc=example,dc=com""#).ok();
    assert!(said.contains("differences=0"), "{said}");
}

#[test]
fn misplaced_quotation_marks_are_named() {
    let server = Server::started(&[]);
    // What a shell hands over for --bindDN "cn="Directory Manager" \ --bindPassword …
    let swallowed = "Manager \\\n --bindPassword password \\\n --property size-limit";
    for (tool, first) in [("dsconfig", "get-global-configuration-prop"), ("ldapmodify", "--defaultAdd")] {
        let port = server.admin.to_string();
        let refused =
            server.run(tool, &[first, "--port", &port, "--bindDN", "cn=Directory", swallowed]).refused(1);
        assert!(refused.contains("a quotation mark is misplaced"), "{refused}");
        assert!(refused.contains("cn=Directory Manager"), "{refused}");
    }
    let port = server.ldap.to_string();
    let refused = server.run(
        "ldapsearch",
        &["-p", &port, "-D", "cn=\"Directory Manager", "-w", "password", "-b", SUFFIX, "(objectClass=*)"],
    );
    assert!(refused.err.contains("quotation mark"), "{refused:?}");
    assert_ne!(refused.code, 0);
    let marked = server.feed(
        "ldapmodify",
        &[],
        "dn: ds-cfg-attribute=description,cn=Index,ds-cfg-backend-id=@DB_NAME@,cn=Backends,cn=config\nobjectClass: top\n",
    );
    assert!(marked.err.contains("@DB_NAME@"), "{marked:?}");
}

#[test]
fn the_guides_recurring_backup_is_scheduled() {
    let server = Server::started(&[]);
    let directory = server.instance().join("bak/guide");
    let block = r#"./backup \
 --port 4444 \
 --bindDN "cn="Directory Manager" \
 --bindPassword password \
 --backendID ctsData \
 --backupDirectory /path/to/opendj/backup \
 --recurringTask "x * * * *" \
 --completionNotify backupadmin@example.com \
 --errorNotify backupadmin@example.com"#;
    // With its odd number of quotation marks no shell takes it.
    assert_ne!(server.shell(block).code, 0);
    let block = block.replace("\"cn=\"Directory", "\"cn=Directory");
    // ctsData, the path and x stand for what the reader has.
    let refused = server.shell(&block).refused(53);
    assert!(refused.contains("ctsData") && refused.contains("userRoot"), "{refused}");
    let block = block.replace("ctsData", "userRoot");
    let refused = server.shell(&block).refused(19);
    assert!(refused.contains("the minute \"x\" is none of *, */n"), "{refused}");
    let block = block.replace("\"x ", "\"15 ").replace("/path/to/opendj/backup", directory.to_str().unwrap());
    let said = server.shell(&block).ok();
    let id = said.split_whitespace().nth(3).unwrap();
    assert_eq!(said, format!("Recurring Backup task {id} scheduled successfully\n"));
    let dn = format!("ds-recurring-task-id={id},cn=Recurring Tasks,cn=Tasks");
    for (attribute, wanted) in [
        ("ds-task-state", "RECURRING"),
        ("ds-task-class-name", "org.opends.server.tasks.BackupTask"),
        ("ds-recurring-task-schedule", "15 * * * *"),
        ("ds-task-backup-backend-id", "userRoot"),
        ("ds-task-notify-on-completion", "backupadmin@example.com"),
        ("ds-task-notify-on-error", "backupadmin@example.com"),
    ] {
        assert_eq!(server.values(&dn, attribute), [wanted]);
    }
    let waits =
        server.look("cn=Scheduled Tasks,cn=Tasks", "one", "(ds-task-state=WAITING_ON_START_TIME)", &["dn"]);
    assert!(waits.ok().contains(&format!("dn: ds-task-id={id}-")));
}
