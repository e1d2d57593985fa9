//! Starts: from checkpoints, from trees on disk, and from what is left of either after a crash.

use super::super::index_store::{EntryId, Slot, Visit};
use super::*;
use crate::log::Disk;

/// All that the trees hold.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    trees: BTreeMap<String, Vec<(Vec<u8>, Vec<u8>)>>,
    slots: BTreeMap<EntryId, Slot>,
    last: u64,
}

fn contents(backend: &Backend) -> Contents {
    let store = &backend.shared.view.store;
    let mut trees = BTreeMap::new();
    for (name, tree) in store.trees() {
        let mut keys = Vec::new();
        store
            .range(tree, &[], None, &mut |key, value| {
                keys.push((key.to_vec(), value.to_vec()));
                Visit::Continue
            })
            .unwrap();
        trees.insert(name, keys);
    }
    let (mut ids, mut token) = (Vec::new(), Some(0));
    while let Some(from) = token {
        token = store.ids(from, 100, &mut ids).unwrap();
    }
    let slots = ids.into_iter().map(|id| (id, store.slot(id).unwrap().unwrap())).collect();
    Contents { trees, slots, last: backend.last_sequence() }
}

/// What the log alone makes of the trees, and where the sequencer would go on.
fn from_log(disks: &Disks, indexes: Vec<IndexConfig>) -> Contents {
    let id = disks.home.contents("dataset-id").unwrap();
    let disks = Disks { home: MemDisk::new(), log: disks.log.after_crash(Unsynced::Kept), index: None };
    disks.home.create_zeroed("dataset-id", id.len() as u64).unwrap();
    disks.home.scribble("dataset-id", 0, &id);
    let mut options = Disks::options(indexes);
    options.checkpoint_bytes = 0;
    contents(&disks.open_with(&options, None).unwrap())
}

/// Opens what is left, compares it with what the log says, and goes on with it.
fn check_start(disks: &Disks, options: &BackendOptions) -> u64 {
    let expected = from_log(disks, options.indexes.clone());
    let backend = disks.open_with(options, None).unwrap();
    wait_ready(&backend);
    assert_eq!(contents(&backend), expected);
    let replayed = backend.recovered().records;
    // Numbers go on where they were: nothing given now takes the place of something.
    let before = backend.entries();
    add_token(&backend, "afterwards", &[]).unwrap();
    assert_eq!(backend.entries(), before + 1);
    delete(&backend, &token_dn("afterwards"), false).unwrap();
    replayed
}

fn quiet() -> BackendOptions {
    let mut options = Disks::options(cts_indexes());
    // Only when asked for.
    options.checkpoint_bytes = u64::MAX;
    options
}

/// Some of each kind of change, on tokens of a round's own and of earlier rounds.
fn change(backend: &Backend, round: u32) {
    for number in 0..6 {
        let id = format!("{round}-{number}");
        let date = format!("202601{:02}000000Z", number + 1);
        add_token(backend, &id, &[("coreTokenUserId", "someone"), ("coreTokenExpirationDate", &date)])
            .unwrap();
    }
    modify(backend, &token_dn(&format!("{round}-0")), "coreTokenUserId", Some("another")).unwrap();
    delete(backend, &token_dn(&format!("{round}-1")), false).unwrap();
    let to = format!("coreTokenId={round}-2,ou=b,{SUFFIX}");
    rename(backend, &token_dn(&format!("{round}-2")), &to).unwrap();
    if let Some(last) = round.checked_sub(1) {
        let to = token_dn(&format!("{round}-1"));
        rename(backend, &token_dn(&format!("{last}-3")), &to).unwrap();
        delete(backend, &token_dn(&format!("{last}-4")), false).unwrap();
        modify(backend, &token_dn(&format!("{last}-5")), "coreTokenString01", Some("x")).unwrap();
    }
}

fn names_of(disk: &MemDisk) -> Vec<String> {
    disk.list()
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("checkpoint"))
        .collect()
}

#[test]
fn a_start_reads_the_checkpoint_and_the_log_after_it() {
    let disks = Disks::default();
    let options = quiet();
    let backend = disks.open_with(&options, None).unwrap();
    assert_eq!(backend.checkpoint().unwrap(), None);
    add_base(&backend);
    change(&backend, 0);
    let taken = backend.checkpoint().unwrap().unwrap();
    assert_eq!(taken, backend.last_sequence());
    assert_eq!(backend.checkpoint().unwrap(), None);
    change(&backend, 1);
    let after = backend.last_sequence() - taken;
    assert_eq!(check_start(&disks.after_crash(), &options), after);
    // Without a change nothing is read but the checkpoint that closing takes.
    drop(backend);
    assert_eq!(check_start(&disks, &options), 0);
    let backend = disks.open_with(&options, None).unwrap();
    for round in 2..6 {
        change(&backend, round);
        backend.checkpoint().unwrap().unwrap();
        assert_eq!(names_of(&disks.home).len(), 2);
    }
}

#[test]
fn checkpoints_taken_among_changes_hold_what_the_log_says() {
    let disks = Disks::default();
    let mut options = quiet();
    options.segment_bytes = 64 << 10;
    let backend = disks.open_with(&options, None).unwrap();
    add_base(&backend);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3_u32 {
            let (backend, stop) = (&backend, &stop);
            scope.spawn(move || {
                for number in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("{writer}-{}", number % 17);
                    let user = format!("user{number}");
                    let _ = match number * 7 % 4 {
                        0 => add_token(backend, &id, &[("coreTokenUserId", &user)]),
                        1 => modify(backend, &token_dn(&id), "coreTokenUserId", Some(&user)),
                        2 => delete(backend, &token_dn(&id), false),
                        _ => rename(backend, &token_dn(&id), &token_dn(&format!("{id}-moved"))),
                    };
                }
            });
        }
        for _ in 0..12 {
            let before = backend.last_sequence();
            while backend.last_sequence() < before + 20 {
                std::thread::yield_now();
            }
            backend.checkpoint().unwrap();
            check_start(&disks.after_crash(), &options);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn the_model_holds_with_a_checkpoint_after_each_group(steps in proptest::collection::vec(step(), 1..60)) {
        let mut options = Disks::options(cts_indexes());
        options.checkpoint_bytes = 1;
        run_model(Disks::default(), &options, steps);
    }

    #[test]
    fn the_model_holds_on_sled(steps in proptest::collection::vec(step(), 1..40)) {
        let index = Some(Arc::new(tempfile::tempdir().unwrap()));
        run_model(Disks { index, ..Disks::default() }, &Disks::options(cts_indexes()), steps);
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let disks = Disks::default();
    let options = quiet();
    let backend = disks.open_with(&options, None).unwrap();
    add_base(&backend);
    change(&backend, 0);
    let older = backend.checkpoint().unwrap().unwrap();
    change(&backend, 1);
    let newer = backend.checkpoint().unwrap().unwrap();
    change(&backend, 2);
    let last = backend.last_sequence();
    let disks = disks.after_crash();
    drop(backend);
    let name = |applied: u64| format!("checkpoint-{applied:020}");
    let bytes = disks.home.contents(&name(newer)).unwrap();
    // Every octet of the header that says something, and others here and there.
    let offsets = (0..112).step_by(5).chain((4096..bytes.len()).step_by(bytes.len() / 61));
    for offset in offsets {
        let disks = disks.after_crash();
        disks.home.scribble(&name(newer), offset, &[bytes[offset] ^ 0x40]);
        let replayed = check_start(&disks, &options);
        assert_eq!(replayed, last - older, "octet {offset}");
    }
    for length in [0, 50, 4096, 5000, bytes.len() - 1, bytes.len() + 1] {
        let disks = disks.after_crash();
        disks.home.truncate(&name(newer), length);
        assert_eq!(check_start(&disks, &options), last - older, "cut to {length}");
    }
    disks.home.scribble(&name(newer), 5000, b"nonsense");
    disks.home.scribble(&name(older), 5000, b"nonsense");
    assert_eq!(check_start(&disks, &options), last);
}

#[test]
fn a_crash_while_a_checkpoint_is_written_leaves_the_one_before() {
    let options = quiet();
    let prepare = || {
        let disks = Disks::default();
        let backend = disks.open_with(&options, None).unwrap();
        add_base(&backend);
        change(&backend, 0);
        backend.checkpoint().unwrap().unwrap();
        change(&backend, 1);
        backend.checkpoint().unwrap().unwrap();
        change(&backend, 2);
        (disks, backend)
    };
    let (disks, backend) = prepare();
    let before = disks.home.points();
    backend.checkpoint().unwrap().unwrap();
    let points = disks.home.points() - before;
    assert!(points >= 3, "{points}");
    for point in 1..=points {
        for (number, fault) in
            [Fault::Once, Fault::Stop, Fault::Torn(point), Fault::Late].into_iter().enumerate()
        {
            let (disks, backend) = prepare();
            disks.home.fail_at(disks.home.points() + point, fault);
            assert!(backend.checkpoint().is_err(), "point {point}, {fault:?}");
            // The store serves on.
            change(&backend, 3);
            for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::Some(point * 7 + number as u64)] {
                check_start(&disks.after(unsynced), &options);
            }
        }
    }
}

#[test]
fn a_checkpoint_beyond_the_log_is_removed() {
    let disks = Disks::default();
    let options = quiet();
    let backend = disks.open_with(&options, None).unwrap();
    add_base(&backend);
    change(&backend, 0);
    backend.checkpoint().unwrap().unwrap();
    let early = disks.log.after_crash(Unsynced::Lost);
    let early_last = backend.last_sequence();
    change(&backend, 1);
    backend.checkpoint().unwrap().unwrap();
    let disks = Disks { log: early, ..disks.after_crash() };
    assert_eq!(names_of(&disks.home).len(), 2);
    let backend = disks.open_with(&options, None).unwrap();
    assert_eq!((backend.recovered().records, backend.last_sequence()), (0, early_last));
    assert_eq!(names_of(&disks.home).len(), 1);
    // The same sequences again, with other changes.
    for number in 0..40 {
        add_token(&backend, &format!("again{number}"), &[]).unwrap();
    }
    check_start(&disks.after_crash(), &options);
}

#[test]
fn indexes_that_came_or_went_meanwhile_are_built_or_dropped() {
    let with_sled = || Some(Arc::new(tempfile::tempdir().unwrap()));
    for index in [None, with_sled()] {
        let disks = Disks { index, ..Disks::default() };
        let some = vec![
            super::index("objectClass", &[IndexType::Equality]),
            super::index("coreTokenUserId", &[IndexType::Equality]),
        ];
        let backend = disks.open_with(&BackendOptions { indexes: some.clone(), ..quiet() }, None).unwrap();
        add_base(&backend);
        change(&backend, 0);
        drop(backend);
        check_start(&disks, &quiet());
        // An index that was dropped and comes back has nothing of the old one.
        let backend = disks.open_with(&BackendOptions { indexes: some.clone(), ..quiet() }, None).unwrap();
        change(&backend, 1);
        drop(backend);
        check_start(&disks, &quiet());
        check_start(&disks, &BackendOptions { indexes: vec![], ..quiet() });
        check_start(&disks, &quiet());
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target)
        } else {
            std::fs::copy(item.path(), target).map(drop).unwrap()
        }
    }
}

#[test]
fn trees_on_disk_may_be_behind_the_log_or_ahead_of_it() {
    let index = Arc::new(tempfile::tempdir().unwrap());
    let disks = Disks { index: Some(Arc::clone(&index)), ..Disks::default() };
    let options = quiet();
    let mut states = Vec::new();
    for round in 0..3 {
        let backend = disks.open_with(&options, None).unwrap();
        if round == 0 {
            add_base(&backend);
        }
        change(&backend, round);
        let last = backend.last_sequence();
        drop(backend);
        let state = tempfile::tempdir().unwrap();
        copy(index.path(), state.path());
        states.push((last, state, disks.log.after_crash(Unsynced::Lost)));
    }
    for (of_index, state, _) in &states {
        for (of_log, _, log) in &states {
            let index = Arc::new(tempfile::tempdir().unwrap());
            copy(state.path(), index.path());
            let disks = Disks {
                home: disks.home.after_crash(Unsynced::Lost),
                log: log.after_crash(Unsynced::Lost),
                index: Some(index),
            };
            let replayed = check_start(&disks, &options);
            let expected = if of_index <= of_log { of_log - of_index } else { *of_log };
            assert_eq!(replayed, expected, "trees at {of_index}, log to {of_log}");
        }
    }
}

#[test]
fn a_start_that_is_broken_off_at_any_write_is_done_again() {
    let (index, behind) = (Arc::new(tempfile::tempdir().unwrap()), tempfile::tempdir().unwrap());
    let disks = Disks { index: Some(Arc::clone(&index)), ..Disks::default() };
    let options = quiet();
    let backend = disks.open_with(&options, None).unwrap();
    add_base(&backend);
    change(&backend, 0);
    drop(backend);
    copy(index.path(), behind.path());
    let backend = disks.open_with(&options, None).unwrap();
    change(&backend, 1);
    drop(backend);
    let mut broken = 0;
    for write in 1..60 {
        let index = Arc::new(tempfile::tempdir().unwrap());
        copy(behind.path(), index.path());
        let disks = Disks { index: Some(Arc::clone(&index)), ..disks.after_crash() };
        let purpose = super::super::start::purpose(&disks.home, &schema()).unwrap();
        let store = SledStore::open(&index.path().join("index"), purpose, 8 << 20).unwrap();
        let store = Arc::new(FaultyStore::new(Arc::new(store)));
        store.fail_at(write);
        let opened = disks.open_with(&options, Some(store.clone()));
        let is_over = opened.is_ok();
        broken += u32::from(!is_over);
        drop((opened, store));
        check_start(&disks, &options);
        if is_over {
            break;
        }
    }
    assert!(broken > 3, "{broken}");
}

#[test]
fn a_store_that_fails_takes_no_more_and_loses_nothing() {
    for after in [1, 2, 5] {
        let disks = Disks::default();
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let backend = disks.open_with(&quiet(), Some(store.clone())).unwrap();
        add_base(&backend);
        store.fail_at(store.writes() + after);
        let mut taken = Vec::new();
        for number in 0..8 {
            let id = number.to_string();
            if add_token(&backend, &id, &[]).is_ok() {
                taken.push(id);
            }
        }
        assert_eq!(taken.len() as u64, after - 1);
        assert!(backend.unwilling().is_some());
        drop(backend);
        let backend = disks.open_with(&quiet(), None).unwrap();
        for id in taken {
            assert!(backend.get(&key(&token_dn(&id))).unwrap().is_some());
        }
    }
}

/// Writes every entry anew, so that nothing before is live.
fn touch_all(backend: &Backend, value: &str) {
    for dn in search(backend, SUFFIX, Scope::Subtree, "(objectClass=*)") {
        let name = if dn.starts_with("coreTokenId") { "coreTokenString01" } else { "description" };
        modify(backend, &dn, name, Some(value)).unwrap();
    }
}

#[test]
fn what_was_kept_may_point_into_segments_that_are_gone() {
    for index in [None, Some(Arc::new(tempfile::tempdir().unwrap()))] {
        let disks = Disks { index: index.clone(), ..Disks::default() };
        let options = BackendOptions { segment_bytes: 64 << 10, ..quiet() };
        let backend = disks.open_with(&options, None).unwrap();
        add_base(&backend);
        change(&backend, 0);
        let blob = "x".repeat(5000);
        for number in 0..16 {
            add_token(&backend, &format!("large{number}"), &[("coreTokenString10", &blob)]).unwrap();
        }
        backend.checkpoint().unwrap();
        let early = backend.last_sequence();
        drop(backend);
        let kept = tempfile::tempdir().unwrap();
        index.iter().for_each(|index| copy(index.path(), kept.path()));
        let home = disks.home.after_crash(Unsynced::Lost);
        let backend = disks.open_with(&options, None).unwrap();
        touch_all(&backend, "again");
        change(&backend, 1);
        let log = &backend.shared.view.log;
        log.drop_oldest(1).unwrap();
        assert!(log.first_sequence() <= early + 1);
        let with_kept = |disks: &Disks| {
            let index = index.as_ref().map(|_| {
                let index = tempfile::tempdir().unwrap();
                copy(kept.path(), index.path());
                Arc::new(index)
            });
            let log = disks.log.after_crash(Unsynced::Lost);
            Disks { home: home.after_crash(Unsynced::Lost), log, index }
        };
        let replayed = check_start(&with_kept(&disks), &options);
        assert_eq!(replayed, backend.last_sequence() - early);
        // Once the log begins later than what was kept, that is of no use.
        touch_all(&backend, "once more");
        touch_all(&backend, "and again");
        let first =
            log.segments().iter().map(|segment| segment.first_sequence).rfind(|&first| first > early + 1);
        while log.first_sequence() < first.unwrap() {
            log.drop_oldest(log.segments()[0].number).unwrap();
        }
        touch_all(&backend, "for the last time");
        let replayed = check_start(&with_kept(&disks), &options);
        assert_eq!(replayed, backend.last_sequence() + 1 - log.first_sequence());
    }
}

#[test]
fn changing_the_index_store_leaves_nothing_of_the_other() {
    let index = Arc::new(tempfile::tempdir().unwrap());
    let memory = Disks::default();
    let sled = Disks { index: Some(Arc::clone(&index)), ..memory.clone() };
    let in_memory = BackendOptions { directory: index.path().to_owned(), ..quiet() };
    for round in 0..4 {
        let backend =
            if round % 2 == 0 { memory.open_with(&in_memory, None) } else { sled.open_with(&quiet(), None) };
        let backend = backend.unwrap();
        if round == 0 {
            add_base(&backend);
        }
        change(&backend, round);
        let expected = contents(&backend);
        drop(backend);
        assert_eq!(expected, from_log(&memory, cts_indexes()));
        assert_eq!(names_of(&memory.home).is_empty(), round % 2 == 1);
        assert_eq!(index.path().join("index").exists(), round % 2 == 1);
    }
}
