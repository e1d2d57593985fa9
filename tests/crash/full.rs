//! A disk that is full, or nearly.

use std::time::Duration;

use ctsd::backend::{ChangeError, Pressure, StoreError, TokenStore};

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
