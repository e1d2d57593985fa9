//! A new value is in the log once.

use super::*;

fn value_of(backend: &Backend) -> Vec<u8> {
    let entry = backend.get(&key(&token_dn("t"))).unwrap().unwrap();
    entry.first("coreTokenString01").unwrap().to_vec()
}

#[test]
fn a_modify_writes_a_new_value_once() {
    let disks = Disks::default();
    let mut options = Disks::options(cts_indexes());
    options.cache_bytes = 0;
    options.purge_interval = Duration::ZERO;
    options.space.purge_delay = Duration::ZERO;
    let backend = disks.open_with(&options, None).unwrap();
    add_base(&backend);
    add_token(&backend, "t", &[("coreTokenString02", &"y".repeat(500))]).unwrap();
    let mut last = String::new();
    for round in 0..80 {
        last = format!("{round}-").repeat(4000);
        let before = backend.stats().log.record_octets;
        modify(&backend, &token_dn("t"), "coreTokenString01", Some(&last)).unwrap();
        let octets = backend.stats().log.record_octets - before;
        assert!((last.len() as u64..last.len() as u64 + 1500).contains(&octets), "{octets}");
        assert_eq!(value_of(&backend), last.as_bytes());
    }
    assert!(backend.segments().len() > 2);
    let segments = backend.segments();
    assert_eq!(segments.iter().map(|one| one.live_entries).sum::<u64>(), backend.entries());
    backend.purge().unwrap();
    assert!(backend.segments().len() < segments.len());
    assert_eq!(value_of(&backend), last.as_bytes());
    assert_eq!(backend.verify(None, &mut |_, _, _| true).unwrap().differences, 0);
    drop(backend);
    for unsynced in [Unsynced::Kept, Unsynced::Lost] {
        let disks = disks.after(unsynced);
        for checkpoint_bytes in [options.checkpoint_bytes, 0] {
            options.checkpoint_bytes = checkpoint_bytes;
            let backend = disks.open_with(&options, None).unwrap();
            assert_eq!(value_of(&backend), last.as_bytes());
        }
    }
}
