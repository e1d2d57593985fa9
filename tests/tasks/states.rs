//! Every state appears, and each for its reason.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use crate::world::{World, recurring, scheduled, within};

const LATER: (&str, &str) = ("ds-task-scheduled-start-time", "20231114222000Z");

#[test]
fn all_states_appear() {
    let mut world = World::new();
    world.add("good", "ok", &[]);
    world.add("crooked", "errors", &[]);
    world.add("bad", "fail", &[]);
    world.add("faulty", "panic", &[]);
    world.becomes("good", "COMPLETED_SUCCESSFULLY");
    world.becomes("crooked", "COMPLETED_WITH_ERRORS");
    world.becomes("bad", "STOPPED_BY_ERROR");
    world.becomes("faulty", "STOPPED_BY_ERROR");
    assert!(world.log("bad")[1].contains("the disk of the test is full"), "{:?}", world.log("bad"));
    world.add("later", "ok", &[LATER]);
    assert_eq!(world.state("later"), "WAITING_ON_START_TIME");
    world.add("after", "ok", &[("ds-task-dependency-id", "later")]);
    assert_eq!(world.state("after"), "WAITING_ON_DEPENDENCY");
    world.add("off", "ok", &[("ds-task-state", "DISABLED")]);
    assert_eq!(world.state("off"), "DISABLED");
    world.add("again", "ok", &[("ds-recurring-task-schedule", "30 * * * *")]);
    assert_eq!(world.values(&recurring("again"), "ds-task-state"), ["RECURRING"]);
    // As many as may run at a time, and one more.
    for number in 1..=8 {
        world.add(&format!("busy{number}"), "wait", &[]);
        assert_eq!(world.state(&format!("busy{number}")), "RUNNING");
    }
    world.add("ninth", "ok", &[]);
    assert_eq!(world.state("ninth"), "UNSCHEDULED");
    let states = |world: &World| world.ids().iter().map(|id| world.state(id)).collect::<BTreeSet<_>>();
    let mut seen = states(&world);
    seen.extend(world.values(&recurring("again"), "ds-task-state"));

    // A running one stops when its state is replaced, and its place is taken.
    world.replace(&scheduled("busy1"), "ds-task-state", Some("STOPPED_BY_ADMINISTRATOR")).unwrap();
    world.becomes("busy1", "STOPPED_BY_ADMINISTRATOR");
    world.becomes("ninth", "COMPLETED_SUCCESSFULLY");
    let times = world.entry(&scheduled("busy1")).unwrap().attrs;
    assert_eq!(times["ds-task-actual-start-time"], ["20231114221320Z"]);
    assert_eq!(times["ds-task-completion-time"], ["20231114221320Z"]);
    // One that waits does not start any more, and who depends on it is told.
    world.replace(&scheduled("later"), "ds-task-state", None).unwrap();
    assert_eq!(world.state("later"), "CANCELED_BEFORE_STARTING");
    assert_eq!(world.state("after"), "CANCELED_BEFORE_STARTING");

    seen.extend(states(&world));
    world.stop();
    world.start();
    for number in 2..=8 {
        assert_eq!(world.state(&format!("busy{number}")), "STOPPED_BY_SHUTDOWN");
    }
    seen.extend(states(&world));
    let all: BTreeSet<String> = ctsd::task::State::ALL.iter().map(|state| state.name().to_owned()).collect();
    assert_eq!(seen, all);
    // What had ended and what waits is as it was; logs are too.
    assert_eq!(world.state("bad"), "STOPPED_BY_ERROR");
    assert!(world.log("bad")[1].contains("the disk of the test is full"));
    assert_eq!(world.state("off"), "DISABLED");
}

#[test]
fn tasks_wait_for_time_and_for_each_other() {
    let world = World::new();
    world.add("first", "wait", &[]);
    world.add("then", "ok", &[("ds-task-dependency-id", "first"), LATER]);
    assert_eq!(world.state("then"), "WAITING_ON_DEPENDENCY");
    world.gate.store(true, Ordering::SeqCst);
    world.becomes("first", "COMPLETED_SUCCESSFULLY");
    world.becomes("then", "WAITING_ON_START_TIME");
    world.pass(399);
    assert_eq!(world.state("then"), "WAITING_ON_START_TIME");
    world.pass(1);
    world.becomes("then", "COMPLETED_SUCCESSFULLY");
    for (action, wanted) in [
        ("process", "COMPLETED_SUCCESSFULLY"),
        ("CANCEL", "CANCELED_BEFORE_STARTING"),
        ("Disable", "DISABLED"),
    ] {
        world.add(&format!("fails-{action}"), "fail", &[]);
        let depends = format!("fails-{action}");
        let more =
            [("ds-task-dependency-id", depends.as_str()), ("ds-task-failed-dependency-action", action)];
        world.add(&format!("after-{action}"), "ok", &more);
        world.becomes(&format!("after-{action}"), wanted);
    }
    // A disabled one is brought back by its state.
    world.replace(&scheduled("after-Disable"), "ds-task-failed-dependency-action", Some("process")).unwrap();
    world.replace(&scheduled("after-Disable"), "ds-task-state", Some("UNSCHEDULED")).unwrap();
    world.becomes("after-Disable", "COMPLETED_SUCCESSFULLY");
    // A day later all that is forgotten.
    world.pass(24 * 3600);
    assert_eq!(world.ids(), [""; 0]);
}

#[test]
fn what_waits_can_be_changed_and_what_ran_cannot() {
    let world = World::new();
    world.add("t", "ok", &[LATER]);
    world.replace(&scheduled("t"), "ds-task-scheduled-start-time", Some("20231114221400Z")).unwrap();
    world.pass(40);
    world.becomes("t", "COMPLETED_SUCCESSFULLY");
    let (code, text) = world.replace(&scheduled("t"), "ds-backup-id", Some("x")).unwrap_err();
    assert_eq!((code, text.contains("has ended")), (53, true), "{text}");
    world.add("w", "wait", &[]);
    let (code, text) = world.replace(&scheduled("w"), "ds-backup-id", Some("x")).unwrap_err();
    assert_eq!((code, text.contains("STOPPED_BY_ADMINISTRATOR")), (53, true), "{text}");
    let refused = world.client().delete(&scheduled("w"));
    assert_eq!(refused.rc, 53);
    world.client().delete(&scheduled("t")).success().unwrap();
    assert!(world.entry(&scheduled("t")).is_none());
    for (more, code, part) in [
        (&[("ds-task-dependency-id", "nobody")][..], 53, "there is no task nobody"),
        (&[("ds-task-scheduled-start-time", "soon")], 21, "yyyyMMddHHmmss"),
        (&[("ds-task-state", "RUNNING")], 53, "a new task cannot be RUNNING"),
        (&[("ds-task-failed-dependency-action", "cry")], 21, "process, cancel or disable"),
        (&[("ds-task-notify-on-error", "nobody")], 21, "is no mail address"),
        (&[("ds-recurring-task-schedule", "61 * * * *")], 19, "the minute \"61\""),
        (&[("ds-recurring-task-schedule", "0 0 30 2 *")], 19, "no day is like that"),
    ] {
        let more = [more, &[("ds-backup-id", "ok")]].concat();
        let (got, text) = world.add_class("x", "ds-test-work", &more).unwrap_err();
        assert_eq!((got, text.contains(part)), (code, true), "{more:?}: {text}");
    }
}

#[test]
fn what_the_file_holds_is_taken_as_far_as_it_reads() {
    let mut world = World::new();
    world.add("later", "ok", &[LATER]);
    world.stop();
    let file = world.directory.path().join("config/tasks.ldif");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str(
        "dn: ds-task-id=odd,cn=Scheduled Tasks,cn=Tasks\nobjectClass: ds-task\nds-task-id: odd\n\
         ds-task-class-name: gone.Class\nds-task-state: WAITING_ON_START_TIME\n\nneither key nor value\n",
    );
    std::fs::write(&file, &text).unwrap();
    world.start();
    assert_eq!(world.state("later"), "WAITING_ON_START_TIME");
    assert_eq!(world.state("odd"), "DISABLED");
    assert!(world.log("odd")[0].contains("there is no task class gone.Class"), "{:?}", world.log("odd"));
    assert_eq!(std::fs::read_to_string(file.with_extension("ldif.unread")).unwrap(), text);
}

#[test]
fn a_slow_task_ends_when_the_server_stops() {
    let mut world = World::new();
    world.add("slow", "wait", &[]);
    world.stop();
    let kept = std::fs::read_to_string(world.directory.path().join("config/tasks.ldif")).unwrap();
    assert!(kept.contains("ds-task-state: STOPPED_BY_SHUTDOWN"), "{kept}");
    world.start();
    assert_eq!(within(|| Some(world.state("slow"))).unwrap(), "STOPPED_BY_SHUTDOWN");
}
