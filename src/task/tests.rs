//! The agenda against a model of it, and tasks that run.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::State;
use super::agenda::{Agenda, Canceled, Event, FailedDependency, KEPT_MS, Recurring, Refusal, Task};
use super::schedule::Crontab;
use crate::entry::EntryBuilder;

const NOW: u64 = 1_700_000_000_000;
const MINUTE: u64 = 60_000;

fn task(id: &str) -> Task {
    Task { id: id.to_owned(), ..Task::default() }
}

fn state(agenda: &Agenda, id: &str) -> State {
    agenda.task(id).unwrap().state()
}

fn started(events: &[Event]) -> Vec<&str> {
    let ids = events.iter().map(|event| match event {
        Event::Start(id) => Some(id.as_str()),
        _ => None,
    });
    ids.flatten().collect()
}

fn every(pattern: &str) -> Recurring {
    Recurring {
        id: "r".to_owned(),
        dn: "ds-recurring-task-id=r,cn=Recurring Tasks,cn=Tasks".to_owned(),
        attributes: EntryBuilder::new(),
        crontab: Crontab::parse(pattern, TimeZone::UTC).unwrap(),
        is_disabled: false,
        last_ms: 0,
        log: Vec::new(),
    }
}

#[test]
fn a_task_waits_for_its_time_then_for_a_place() {
    let mut agenda = Agenda::new(1);
    agenda.add(Task { scheduled_ms: Some(NOW + 5), ..task("late") }, NOW).unwrap();
    agenda.add(task("first"), NOW).unwrap();
    agenda.add(task("second"), NOW).unwrap();
    assert_eq!(started(&agenda.step(NOW)), ["first"]);
    assert_eq!(state(&agenda, "late"), State::WaitingOnStartTime);
    assert_eq!(state(&agenda, "second"), State::Unscheduled);
    assert_eq!(agenda.next_due(), Some(NOW + 5));
    assert_eq!(started(&agenda.step(NOW + 5)), [""; 0]);
    agenda.ended("first", State::CompletedSuccessfully, NOW + 6);
    assert_eq!(started(&agenda.step(NOW + 6)), ["late"]);
    assert_eq!(agenda.task("first").unwrap().ended_ms, Some(NOW + 6));
}

#[test]
fn a_failed_dependency_does_what_its_action_says() {
    for (on_failed, end, wanted) in [
        (FailedDependency::Process, State::StoppedByError, State::Running),
        (FailedDependency::Cancel, State::StoppedByError, State::CanceledBeforeStarting),
        (FailedDependency::Cancel, State::CompletedWithErrors, State::CanceledBeforeStarting),
        (FailedDependency::Disable, State::StoppedByAdministrator, State::Disabled),
        (FailedDependency::Cancel, State::CompletedSuccessfully, State::Running),
    ] {
        let mut agenda = Agenda::new(4);
        agenda.add(task("first"), NOW).unwrap();
        let second = Task { dependencies: vec!["first".to_owned()], on_failed, ..task("second") };
        agenda.add(second, NOW).unwrap();
        agenda.step(NOW);
        assert_eq!(state(&agenda, "second"), State::WaitingOnDependency);
        agenda.ended("first", end, NOW + 1);
        agenda.step(NOW + 1);
        assert_eq!(state(&agenda, "second"), wanted, "{on_failed:?} {end:?}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let mut agenda = Agenda::new(1);
    let needs = |id: &str, on: &str| Task { dependencies: vec![on.to_owned()], ..task(id) };
    assert_eq!(agenda.add(needs("a", "b"), NOW), Err(Refusal::Missing("b".to_owned())));
    assert_eq!(agenda.add(needs("a", "a"), NOW), Err(Refusal::Circle("a".to_owned())));
    agenda.add(task("run"), NOW).unwrap();
    agenda.add(task("a"), NOW).unwrap();
    agenda.add(needs("b", "a"), NOW).unwrap();
    assert_eq!(agenda.add(task("a"), NOW), Err(Refusal::Exists));
    assert_eq!(agenda.replace(needs("a", "b")), Err(Refusal::Circle("a".to_owned())));
    agenda.step(NOW);
    assert_eq!(agenda.replace(task("run")), Err(Refusal::State(State::Running)));
    assert_eq!(agenda.remove("run"), Err(Refusal::State(State::Running)));
    assert_eq!(agenda.cancel("run", NOW), Ok(Canceled::Signal));
    assert_eq!(agenda.cancel("a", NOW), Ok(Canceled::AtOnce));
    assert_eq!(agenda.cancel("a", NOW), Ok(Canceled::WasOver));
    assert_eq!(agenda.add_recurring(every("0 0 31 6 *"), NOW), Err(Refusal::Never));
}

#[test]
fn iterations_come_one_after_the_other() {
    let mut agenda = Agenda::new(4);
    // NOW is 22:13:20 UTC.
    agenda.add_recurring(every("15 * * * *"), NOW).unwrap();
    assert_eq!(agenda.step(NOW), []);
    let first = "r-20231114221500";
    assert_eq!(state(&agenda, first), State::WaitingOnStartTime);
    let due = agenda.next_due().unwrap();
    assert_eq!(due, NOW + 100_000);
    assert_eq!(agenda.step(due - 1), []);
    assert_eq!(started(&agenda.step(due)), [first]);
    // While it runs there is no other; the slot that passes meanwhile is told.
    assert_eq!(agenda.step(due + 61 * MINUTE), []);
    agenda.ended(first, State::CompletedSuccessfully, due + 62 * MINUTE);
    let events = agenda.step(due + 62 * MINUTE);
    assert!(
        matches!(events.as_slice(), [Event::Note(line)] if line.contains("20231114231500Z")),
        "{events:?}"
    );
    assert_eq!(agenda.next_due(), Some(due + 120 * MINUTE));
    // A canceled iteration does not come again.
    let second = "r-20231115001500";
    assert_eq!(agenda.cancel(second, due + 63 * MINUTE), Ok(Canceled::AtOnce));
    agenda.step(due + 63 * MINUTE);
    assert_eq!(agenda.next_due(), Some(due + 180 * MINUTE));
    // Without the recurring task no iteration is left.
    agenda.remove("r").unwrap();
    assert_eq!(agenda.next_due(), None);
}

#[test]
fn what_another_process_left_is_taken_up() {
    let mut agenda = Agenda::new(4);
    let of = |id: &str, state: State, scheduled_ms: Option<u64>| Task {
        state: Some(state),
        scheduled_ms,
        ..task(id)
    };
    let slot = NOW - 2 * MINUTE;
    let iteration =
        Task { recurring: Some("r".to_owned()), ..of("r-1", State::WaitingOnStartTime, Some(slot)) };
    let tasks = vec![
        of("ran", State::Running, None),
        of("overdue", State::WaitingOnStartTime, Some(NOW - 5)),
        of("later", State::WaitingOnStartTime, Some(NOW + 5)),
        iteration,
    ];
    let mut events = agenda.restore(tasks, vec![every("15 * * * *")], NOW);
    events.extend(agenda.step(NOW));
    assert_eq!(state(&agenda, "ran"), State::StoppedByShutdown);
    assert_eq!(state(&agenda, "r-1"), State::CanceledBeforeStarting);
    assert!(agenda.task("r-1").unwrap().log[0].contains("missed: the server was down at"));
    assert_eq!(started(&events), ["overdue"]);
    assert_eq!(state(&agenda, "later"), State::WaitingOnStartTime);
    assert!(agenda.task("r-20231114221500").is_some());
    assert!(
        events.contains(&Event::Over("ran".to_owned())) && events.contains(&Event::Over("r-1".to_owned()))
    );
    assert!(agenda.take_changed() && !agenda.take_changed());
}

#[test]
fn ended_tasks_are_remembered_for_a_day_and_longer_if_needed() {
    let mut agenda = Agenda::new(4);
    agenda.add(task("done"), NOW).unwrap();
    agenda.add(task("needed"), NOW).unwrap();
    agenda.step(NOW);
    for id in ["done", "needed"] {
        agenda.ended(id, State::CompletedSuccessfully, NOW);
    }
    let waits = Task {
        dependencies: vec!["needed".to_owned()],
        scheduled_ms: Some(NOW + 2 * KEPT_MS),
        ..task("waits")
    };
    agenda.add(waits, NOW).unwrap();
    agenda.step(NOW + KEPT_MS - 1);
    assert!(agenda.task("done").is_some());
    agenda.step(NOW + KEPT_MS);
    assert!(agenda.task("done").is_none() && agenda.task("needed").is_some());
}

/// What may happen to the agenda.
#[derive(Debug, Clone)]
enum Happening {
    Add { delay: Option<u64>, on: Vec<u8>, action: u8, disabled: bool },
    Cancel(u8),
    Remove(u8),
    End(u8, u8),
    Pass(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (
            proptest::option::of(0..20_u64),
            proptest::collection::vec(any::<u8>(), 0..3),
            0..3_u8,
            proptest::bool::weighted(0.1),
        )
            .prop_map(|(delay, on, action, disabled)| Happening::Add { delay, on, action, disabled }),
        1 => any::<u8>().prop_map(Happening::Cancel),
        1 => any::<u8>().prop_map(Happening::Remove),
        4 => (any::<u8>(), 0..5_u8).prop_map(|(which, how)| Happening::End(which, how)),
        3 => (0..30_u64).prop_map(Happening::Pass),
    ]
}

/// What is known of a task besides the agenda.
#[derive(Debug, Clone, Default)]
struct Seen {
    starts: u32,
    ended_as: Option<State>,
}

proptest! {
    #[test]
    fn nothing_starts_too_early_twice_or_after_its_end(
        happenings in proptest::collection::vec(happening(), 1..80),
        slots in 1..4_usize,
    ) {
        let mut agenda = Agenda::new(slots);
        let mut now = NOW;
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        let mut number = 0;
        for happening in happenings {
            let ids: Vec<String> = agenda.tasks().iter().map(|task| task.id.clone()).collect();
            let pick = |which: u8| ids.get(usize::from(which) % ids.len().max(1)).cloned();
            match happening {
                Happening::Add { delay, on, action, disabled } => {
                    number += 1;
                    let id = format!("t{number}");
                    let one = Task {
                        scheduled_ms: delay.map(|delay| now + delay),
                        dependencies: on.into_iter().filter_map(pick).collect(),
                        on_failed: [FailedDependency::Process, FailedDependency::Cancel, FailedDependency::Disable]
                            [usize::from(action)],
                        state: disabled.then_some(State::Disabled),
                        ..task(&id)
                    };
                    agenda.add(one, now).unwrap();
                    seen.insert(id, Seen::default());
                }
                Happening::Cancel(which) => {
                    if let Some(id) = pick(which) {
                        let before = state(&agenda, &id);
                        let canceled = agenda.cancel(&id, now).unwrap();
                        prop_assert_eq!(canceled == Canceled::Signal, before == State::Running);
                        prop_assert_eq!(canceled == Canceled::WasOver, before.is_done());
                    }
                }
                Happening::Remove(which) => {
                    if let Some(id) = pick(which) {
                        let running = state(&agenda, &id) == State::Running;
                        prop_assert_eq!(agenda.remove(&id).is_err(), running);
                    }
                }
                Happening::End(which, how) => {
                    let running: Vec<String> = agenda
                        .tasks()
                        .iter()
                        .filter(|task| task.state() == State::Running)
                        .map(|task| task.id.clone())
                        .collect();
                    if let Some(id) = running.get(usize::from(which) % running.len().max(1)) {
                        let end = [
                            State::CompletedSuccessfully,
                            State::CompletedWithErrors,
                            State::StoppedByError,
                            State::StoppedByAdministrator,
                            State::StoppedByShutdown,
                        ][usize::from(how)];
                        agenda.ended(id, end, now);
                    }
                }
                Happening::Pass(ms) => now += ms,
            }
            let events = agenda.step(now);
            for id in started(&events) {
                let task = agenda.task(id).unwrap();
                prop_assert!(task.scheduled_ms.is_none_or(|due| due <= now));
                let before = task.dependencies.iter().filter_map(|id| agenda.task(id));
                for other in before {
                    prop_assert!(other.state().is_done(), "{id} started before {} ended", other.id);
                    let runs_anyway = task.on_failed == FailedDependency::Process;
                    prop_assert!(other.state().is_success() || runs_anyway);
                }
                let seen = seen.get_mut(id).unwrap();
                seen.starts += 1;
                prop_assert_eq!(seen.starts, 1);
            }
            prop_assert!(agenda.running() <= slots);
            for task in agenda.tasks() {
                let seen = seen.get_mut(&task.id).unwrap();
                prop_assert!(task.state.is_some());
                prop_assert_eq!(task.state().is_done(), task.ended_ms.is_some());
                prop_assert_eq!(seen.starts == 1, task.started_ms.is_some());
                if let Some(end) = seen.ended_as {
                    prop_assert_eq!(task.state(), end, "an end is final");
                }
                seen.ended_as = task.state().is_done().then(|| task.state());
                // Nobody waits without a reason.
                let others: Vec<State> =
                    task.dependencies.iter().filter_map(|id| agenda.task(id)).map(Task::state).collect();
                match task.state() {
                    State::Unscheduled => prop_assert_eq!(agenda.running(), slots),
                    State::WaitingOnStartTime => prop_assert!(task.scheduled_ms.unwrap() > now),
                    State::WaitingOnDependency => prop_assert!(others.iter().any(|state| !state.is_done())),
                    _ => {}
                }
            }
            // A second look at the same time finds nothing to do.
            prop_assert_eq!(agenda.step(now), []);
        }
    }
}
