//! What comes again and again.

use crate::world::{World, recurring};

#[test]
fn it_fires_at_its_minute() {
    let world = World::new();
    world.add("hourly", "ok", &[("ds-recurring-task-schedule", "15 * * * *")]);
    let ids = world.ids();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let first = ids[0].clone();
    assert!(first.starts_with("hourly-") && first.ends_with("1500"), "{first}");
    assert_eq!(world.state(&first), "WAITING_ON_START_TIME");
    // 22:13:20 and 99 seconds: 22:14:59.
    world.pass(99);
    assert_eq!(world.state(&first), "WAITING_ON_START_TIME");
    world.pass(1);
    world.becomes(&first, "COMPLETED_SUCCESSFULLY");
    let ids = world.ids();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(ids.iter().all(|id| id.ends_with("1500")));
    world.pass(3599);
    let second = ids.into_iter().find(|id| *id != first).unwrap();
    assert_eq!(world.state(&second), "WAITING_ON_START_TIME");
    world.pass(1);
    world.becomes(&second, "COMPLETED_SUCCESSFULLY");

    // Without the recurring task nothing waits any more; what ran is remembered.
    world.client().delete(&recurring("hourly")).success().unwrap();
    let left: Vec<String> = world.ids().iter().map(|id| world.state(id)).collect();
    assert_eq!(left, ["COMPLETED_SUCCESSFULLY"; 2]);
}

#[test]
fn a_backup_fires_at_its_minute() {
    let world = World::new();
    let backups = world.directory.path().join("backups");
    let more = [
        ("ds-recurring-task-schedule", "15 * * * *"),
        ("ds-backup-directory-path", backups.to_str().unwrap()),
        ("ds-task-backup-backend-id", "userRoot"),
    ];
    world.add_class("backup", "org.opends.server.tasks.BackupTask", &more).unwrap();
    let made = || std::fs::read_dir(&backups).map_or(0, Iterator::count);
    for round in 0..2 {
        let waits = world.ids().into_iter().find(|id| world.state(id) == "WAITING_ON_START_TIME").unwrap();
        world.pass(if round == 0 { 99 } else { 3599 });
        assert_eq!(world.state(&waits), "WAITING_ON_START_TIME");
        let before = made();
        world.pass(1);
        world.becomes(&waits, "COMPLETED_SUCCESSFULLY");
        assert!(made() > before, "{:?}", world.log(&waits));
    }
}

#[test]
fn a_slot_while_the_server_is_down_is_missed_and_told() {
    let mut world = World::new();
    world.add("hourly", "ok", &[("ds-recurring-task-schedule", "15 * * * *")]);
    world.add("once", "ok", &[("ds-task-scheduled-start-time", "20231114221500Z")]);
    let missed = world.ids().into_iter().find(|id| id.starts_with("hourly")).unwrap();
    world.stop();
    world.clock.advance(std::time::Duration::from_secs(600));
    world.start();
    // What has one time only is done late; what comes again waits for its next time.
    world.becomes("once", "COMPLETED_SUCCESSFULLY");
    assert!(world.log("once")[0].contains("it starts now"), "{:?}", world.log("once"));
    assert_eq!(world.state(&missed), "CANCELED_BEFORE_STARTING");
    assert!(world.log(&missed)[0].contains("missed: the server was down at 20231114221500Z"));
    let next: Vec<String> = world.ids().into_iter().filter(|id| *id != missed && id != "once").collect();
    assert_eq!(next.len(), 1);
    assert_eq!(world.state(&next[0]), "WAITING_ON_START_TIME");
    world.pass(3600);
    world.becomes(&next[0], "COMPLETED_SUCCESSFULLY");
}
