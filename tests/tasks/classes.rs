//! What the classes of the server do.

use ldap3::{LdapError, Scope};

use crate::world::{SUFFIX, World};

const THEIRS: &str = "org.opends.server.tasks.";

/// Adds a task and waits for its success.
#[track_caller]
fn done(world: &World, id: &str, class: &str, more: &[(&str, &str)]) {
    world.add_class(id, class, more).unwrap();
    world.becomes(id, "COMPLETED_SUCCESSFULLY");
}

#[test]
fn the_references_names_are_known_and_the_rest_is_refused_precisely() {
    let world = World::new();
    let refused = |class: &str, more: &[(&str, &str)]| world.add_class("x", class, more).unwrap_err();
    for short in ["InitializeTask", "InitializeTargetTask", "SetGenerationIdTask", "ResetChangeNumberTask"] {
        let class = format!("{THEIRS}{short}");
        let (code, text) = refused(&class, &[]);
        assert_eq!(
            (code, text),
            (53, format!("this server has no task class {class}: it comes with replication"))
        );
    }
    let (code, text) = refused("org.example.NoTask", &[]);
    assert_eq!((code, text.contains("there is no task class org.example.NoTask; there are ")), (53, true));
    let (code, text) = refused(&format!("{THEIRS}DisconnectClientTask"), &[]);
    assert_eq!((code, text.contains("ds-task-disconnect-connection-id")), (65, true), "{text}");
    let (code, text) = refused(&format!("{THEIRS}RebuildTask"), &[("ds-task-rebuild-base-dn", "dc=other")]);
    assert_eq!((code, text.contains("dc=other is not a base DN")), (53, true), "{text}");
    let (code, text) = refused(
        &format!("{THEIRS}ShutdownTask"),
        &[("ds-task-restart-server", "TRUE"), ("ds-task-state", "odd")],
    );
    assert_eq!((code, text.contains("a new task cannot be odd")), (53, true), "{text}");
    // What the configuration does not allow.
    world.configure("ds-cfg-allowed-task", "org.opends.server.tasks.BackupTask");
    let (code, text) = refused(&format!("{THEIRS}ShutdownTask"), &[]);
    assert_eq!((code, text.contains("ds-cfg-allowed-task")), (53, true), "{text}");
}

#[test]
fn clients_are_disconnected_with_and_without_a_word() {
    let world = World::new();
    for (notify, wanted) in [("true", true), ("false", false)] {
        let mut victim = world.client();
        let number = world.server().connections().iter().map(|report| report.number).max().unwrap();
        let more = [
            ("ds-task-disconnect-connection-id", number.to_string()),
            ("ds-task-disconnect-message", "go away".to_owned()),
            ("ds-task-disconnect-notify-client", notify.to_owned()),
        ];
        let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
        done(&world, &format!("out-{notify}"), &format!("{THEIRS}DisconnectClientTask"), &more);
        let gone = victim.search("", Scope::Base, "(objectClass=*)");
        assert!(
            matches!(
                gone,
                Err(LdapError::Io { .. }
                    | LdapError::OpSend { .. }
                    | LdapError::ResultRecv { .. }
                    | LdapError::EndOfStream)
            ),
            "{wanted} {gone:?}"
        );
    }
    let nobody = [("ds-task-disconnect-connection-id", "4711")];
    world.add_class("nobody", &format!("{THEIRS}DisconnectClientTask"), &nobody).unwrap();
    world.becomes("nobody", "STOPPED_BY_ERROR");
    assert!(world.log("nobody")[0].contains("there is no connection 4711"));
}

#[test]
fn upkeep_is_done() {
    let world = World::new();
    done(&world, "purge", "ds-task-purge", &[]);
    assert!(world.log("purge")[0].contains("purged segments="), "{:?}", world.log("purge"));
    let domain = [("ds-task-purge-conflicts-historical-domain-dn", SUFFIX)];
    done(&world, "historical", &format!("{THEIRS}PurgeConflictsHistoricalTask"), &domain);
    let all = [("ds-task-rebuild-base-dn", SUFFIX), ("ds-task-rebuild-index", "all")];
    done(&world, "rebuild", &format!("{THEIRS}RebuildTask"), &all);
    done(&world, "verify", "ds-task-verify", &[]);
    done(&world, "lock", &format!("{THEIRS}EnterLockdownModeTask"), &[]);
    assert!(world.server().directory().lockdown.is_on());
    done(&world, "unlock", &format!("{THEIRS}LeaveLockdownModeTask"), &[]);
    assert!(!world.server().directory().lockdown.is_on());
}

#[test]
fn a_schema_file_is_taken_up_and_stays() {
    let mut world = World::new();
    let class = format!("{THEIRS}AddSchemaFileTask");
    let name = [("ds-task-schema-file-name", "60-test.ldif")];
    let (code, text) = world.add_class("early", &class, &name).unwrap_err();
    assert_eq!((code, text.contains("60-test.ldif")), (53, true), "{text}");
    let (code, _) =
        world.add_class("sly", &class, &[("ds-task-schema-file-name", "../config.ldif")]).unwrap_err();
    assert_eq!(code, 53);
    let file = world.directory.path().join("config/schema/60-test.ldif");
    let text = "dn: cn=schema\nobjectClass: top\nobjectClass: ldapSubentry\nobjectClass: subschema\ncn: schema\n\
                attributeTypes: ( 1.3.6.1.4.1.99999.1 NAME 'testColour' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )\n";
    std::fs::write(&file, text).unwrap();
    done(&world, "schema", &class, &name);
    let knows = |world: &World| {
        let schema = world.server().directory().schema.current();
        schema.attribute("testColour").is_some()
    };
    assert!(knows(&world));
    world.stop();
    assert!(std::fs::read_to_string(&file).unwrap().contains("testColour"));
    world.start();
    assert!(knows(&world));
}

#[test]
fn the_server_is_told_to_stop_or_to_start_again() {
    let world = World::new();
    for (restart, wanted) in [("true", true), ("false", false)] {
        let more = [("ds-task-restart-server", restart), ("ds-task-shutdown-message", "because")];
        done(&world, restart, &format!("{THEIRS}ShutdownTask"), &more);
        assert_eq!(world.runtime.block_on(world.server().told_to_stop()), wanted);
        assert!(world.log(restart)[0].contains("because"));
    }
}
