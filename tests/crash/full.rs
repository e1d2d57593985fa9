//! (e) A disk that is full, or nearly, and one that refuses a direct write for want of room; a real one is in `tmpfs`.

use std::time::Duration;

use ctsd::backend::{ChangeError, Pressure, StoreError, TokenStore};
use ctsd::log::fault::{Fault, Unsynced};

use super::store::{Disks, Model, SEGMENT, add, add_base, check, delete, find, modify};

fn is_refused<T>(result: &Result<T, ChangeError>) -> bool {
    matches!(result, Err(ChangeError::Store(StoreError::Unwilling(_))))
}

#[test]
fn deletes_and_the_purge_make_room_on_a_full_disk() {
    let disks = Disks::new();
    let backend = disks.open();
    add_base(&backend).unwrap();
    disks.log.set_capacity(Some(12 * u64::from(SEGMENT)));
    let mut model = Model::new();
    let mut id = 0;
    for round in 0..3 {
        // Until nothing more goes in.
        loop {
            let added = add(&backend, id, "v", 4000);
            if is_refused(&added) {
                assert!(find(&backend, id).is_none());
                break;
            }
            added.unwrap();
            model.insert(id, find(&backend, id).unwrap());
            id += 1;
            assert!(id < 10_000);
        }
        assert!(backend.unwilling().is_none());
        assert!(is_refused(&modify(&backend, *model.keys().next().unwrap(), "w")));
        // Deletes go on, though there is no room for anything else.
        let doomed: Vec<u32> = model.keys().copied().take(model.len() * 2 / 3).collect();
        for id in doomed {
            delete(&backend, id).unwrap();
            model.remove(&id);
        }
        // The purge copies what is left, though it is younger than the delay, and gives room again.
        assert!(backend.purge().unwrap().segments > 0, "round {round}");
        check(&backend, &model, id, &format!("round {round}"));
    }
    add(&backend, id, "v", 4000).unwrap();
    model.insert(id, find(&backend, id).unwrap());
    drop(backend);
    check(&disks.open(), &model, id + 1, "opened again");
}

#[test]
fn thresholds_refuse_and_recover() {
    let disks = Disks::new();
    let mut options = disks.options();
    options.space.disk_low = 4 << 20;
    options.space.disk_full = 2 << 20;
    let log = std::sync::Arc::new(disks.log.clone());
    let backend =
        ctsd::backend::Backend::open_on(std::sync::Arc::new(disks.home.clone()), log, &options).unwrap();
    add_base(&backend).unwrap();
    add(&backend, 1, "v", 100).unwrap();
    let used = {
        use ctsd::log::Disk;
        disks.log.list().unwrap().iter().map(|(_, length)| length).sum::<u64>()
    };
    let with_free = |free: u64| {
        // The spare segments that are being made count.
        disks.log.set_capacity(Some(used + 3 * u64::from(SEGMENT) + free));
        backend.purge().unwrap();
        backend.stats().pressure
    };
    assert_eq!(with_free(8 << 20), Pressure::Normal);
    backend.writable(false, false).unwrap();
    assert_eq!(with_free(3 << 20), Pressure::Low);
    assert!(backend.writable(false, false).is_err());
    backend.writable(true, false).unwrap();
    backend.writable(false, true).unwrap();
    modify(&backend, 1, "w").unwrap();
    assert_eq!(with_free(1 << 20), Pressure::Full);
    assert!(backend.writable(true, false).is_err());
    backend.writable(true, true).unwrap();
    assert!(is_refused(&modify(&backend, 1, "x")));
    delete(&backend, 1).unwrap();
    assert_eq!(with_free(3 << 20), Pressure::Low);
    assert_eq!(with_free(8 << 20), Pressure::Normal);
    add(&backend, 1, "v", 100).unwrap();
    disks.clock.advance(Duration::from_secs(1));
}

/// A write of a log made ahead needs no room, but file systems that copy on write may refuse it all the same. Nobody knows
/// then what is on the disk: the store takes no more writes, and after a start all is there that was acknowledged. A
/// segment that cannot be made is no such case: the change is refused, and the next one may go.
#[test]
fn no_room_at_any_durable_point() {
    const IDS: u32 = 20;
    let life = |disks: &Disks| {
        let mut model = Model::new();
        let mut refused = 0;
        let Some(backend) = disks.try_open() else { return (model, None, 0) };
        if add_base(&backend).is_err() {
            return (model, Some(u32::MAX), 0);
        }
        for turn in 0..60_u32 {
            let id = turn % IDS;
            for again in [false, true] {
                let done = match (model.contains_key(&id), turn % 7) {
                    (false, _) => add(&backend, id, "v", 5000),
                    (true, 3) => delete(&backend, id),
                    (true, _) => modify(&backend, id, &format!("v{turn}")),
                };
                if done.is_ok() {
                    break;
                }
                if backend.unwilling().is_some() {
                    assert!(is_refused(&modify(&backend, 0, "never")));
                    return (model, Some(id), refused);
                }
                // The log is as it was, and there is room again.
                assert!(is_refused(&done) && !again, "{done:?}");
                assert_eq!(find(&backend, id).as_ref(), model.get(&id));
                refused += 1;
            }
            match find(&backend, id) {
                Some(token) => model.insert(id, token),
                None => model.remove(&id),
            };
            if turn % 20 == 19 {
                disks.clock.advance(Duration::from_secs(61));
                if backend.purge().is_err() && backend.unwilling().is_some() {
                    return (model, None, refused);
                }
            }
        }
        (model, None, refused)
    };
    let whole = Disks::new();
    let (_, doubt, refused) = life(&whole);
    assert_eq!((doubt, refused), (None, 0));
    let (mut stopped, mut refused) = (0, 0);
    for point in 1..=whole.log.points() {
        let disks = Disks::new();
        disks.log.fail_at(point, Fault::Full);
        let (mut model, doubt, more) = life(&disks);
        refused += more;
        stopped += u32::from(doubt.is_some());
        let left = disks.after_crash(Unsynced::Lost);
        let backend = left.open();
        let at = format!("point {point}");
        if let Some(id) = doubt.filter(|id| *id < IDS) {
            model.remove(&id);
            model.extend(find(&backend, id).map(|token| (id, token)));
        }
        if !model.is_empty() {
            check(&backend, &model, IDS, &at);
        }
    }
    assert!(stopped > 20, "{stopped}");
    println!("stopped {stopped}, refused and taken again {refused}");
}
