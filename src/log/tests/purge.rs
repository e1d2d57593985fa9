//! Dropping and recycling segments.

use super::super::fault::Fault;
use super::*;

fn oldest(log: &Log) -> u32 {
    log.segments().first().unwrap().number
}

/// Commits until there are so many segments.
fn grow(opened: &mut Opened, segments: usize) {
    while opened.log.segments().len() < segments {
        commit(opened, 3).unwrap();
    }
}

#[test]
fn files_are_used_again() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    grow(&mut opened, 4);
    assert!(matches!(opened.log.drop_oldest(2), Err(LogError::NotOldest { segment: 2 })));
    for round in 0..30 {
        let number = oldest(&opened.log);
        opened.log.drop_oldest(number).unwrap();
        assert_eq!(opened.log.recycle().unwrap(), 0);
        grow(&mut opened, 4);
        let files = disk.list().unwrap();
        assert!(files.len() <= 6, "{files:?}");
        let first = opened.log.first_sequence();
        assert_eq!(read_all(&opened.log), (first..opened.writer.next_sequence()).collect::<Vec<_>>());
        if round % 7 == 0 {
            let next = opened.writer.next_sequence();
            drop(opened);
            opened = open(&disk, Durability::Group);
            assert_eq!((opened.recovered.cut.as_ref(), opened.recovered.damage.len()), (None, 0));
            assert_eq!(opened.sequences, (first..next).collect::<Vec<_>>());
        }
    }
    assert!(opened.log.stats().segments_recycled > 0);
    // The last one is written to.
    while opened.log.segments().len() > 1 {
        opened.log.drop_oldest(oldest(&opened.log)).unwrap();
    }
    let last = oldest(&opened.log);
    assert!(matches!(opened.log.drop_oldest(last), Err(LogError::NotOldest { .. })));
}

#[test]
fn a_reader_keeps_its_segment() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    grow(&mut opened, 3);
    let mut records = opened.log.records(1);
    let place = records.next_record().unwrap().unwrap().place.record;
    opened.log.drop_oldest(1).unwrap();
    assert_eq!(opened.log.recycle().unwrap(), 1);
    assert!(matches!(opened.log.read(place), Err(LogError::Gone { segment: 1 })));
    for sequence in 2..opened.writer.next_sequence() {
        assert_eq!(records.next_record().unwrap().unwrap().sequence, sequence);
    }
    assert_eq!(opened.log.recycle().unwrap(), 0);
    assert!(matches!(opened.log.records(1).next_record(), Err(LogError::Purged { wanted: 1, .. })));
}

/// Grows, drops and recycles; gives back the first sequence kept and the last one acknowledged, however far it comes.
fn script(disk: &MemDisk, durability: Durability) -> (u64, u64) {
    let (mut kept, mut acknowledged) = (1, 0);
    let Ok(mut opened) = open_with(Arc::new(disk.clone()), options(durability)) else {
        return (kept, acknowledged);
    };
    let mut step = || -> Result<(), LogError> {
        while opened.log.segments().len() < 3 {
            commit(&mut opened, 4)?;
            acknowledged = opened.log.durable_sequence();
        }
        let next = opened.log.segments()[1].first_sequence;
        // Whether a drop that failed is there is not known.
        kept = next;
        opened.log.drop_oldest(oldest(&opened.log))?;
        opened.log.recycle().map(drop)
    };
    for _ in 0..4 {
        if step().is_err() {
            break;
        }
    }
    (kept, acknowledged)
}

#[test]
fn a_stop_at_any_point_loses_nothing() {
    for durability in [Durability::Group, Durability::Os] {
        let whole = MemDisk::new();
        script(&whole, durability);
        let points = whole.points();
        assert!(points > 20);
        for point in 1..=points {
            for fault in [Fault::Stop, Fault::Late, Fault::Once, Fault::Torn(point), Fault::Torn(!point)] {
                let disk = MemDisk::new();
                disk.fail_at(point, fault);
                let (kept, acknowledged) = script(&disk, durability);
                for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::Some(point)] {
                    let left = disk.after_crash(unsynced);
                    let mut opened = open(&left, durability);
                    let at = format!("{durability:?} {point} {fault:?} {unsynced:?}");
                    assert!(opened.recovered.damage.is_empty(), "{at}: {:?}", opened.recovered.damage);
                    let first = opened.sequences.first().copied().unwrap_or(kept);
                    assert!(first <= kept, "{at}");
                    assert!(opened.recovered.last_sequence >= acknowledged, "{at}");
                    let dropped = |(name, _): &(String, u64)| name.ends_with(".old");
                    assert!(!left.list().unwrap().iter().any(dropped), "{at}");
                    // It goes on.
                    commit(&mut opened, 9).unwrap();
                    opened.writer.sync().unwrap();
                    let from = opened.log.first_sequence();
                    let all: Vec<_> = (from..opened.writer.next_sequence()).collect();
                    assert_eq!(read_all(&opened.log), all, "{at}");
                    drop(opened);
                    assert_eq!(open(&left, durability).sequences, all, "{at}");
                }
            }
        }
    }
}

#[test]
fn the_reserve_is_for_what_frees_room() {
    let disk = MemDisk::new();
    let mut options = options(Durability::Group);
    options.reserve = 1;
    let mut opened = open_with(Arc::new(disk.clone()), options).unwrap();
    commit(&mut opened, 1).unwrap();
    opened.log.find_room().unwrap();
    disk.set_capacity(Some(0));
    // One is made ready beside the one kept; those fill up, and then only the urgent go on.
    let mut refused = 0;
    for urgent in [false, true] {
        loop {
            let mut group = opened.log.new_group();
            group.clear(opened.writer.lead());
            fill_group(&mut group, opened.writer.next_sequence(), 4);
            group.urgent(urgent);
            match opened.writer.commit(&mut group) {
                Ok(_) => {}
                Err(LogError::NoSpace { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        refused += 1;
        assert_eq!(opened.log.segments().len(), 2 + refused - 1, "{urgent}");
    }
    assert!(matches!(opened.log.find_room(), Err(LogError::NoSpace { .. })));
    opened.log.drop_oldest(1).unwrap();
    opened.log.recycle().unwrap();
    assert!(matches!(commit(&mut opened, 30), Err(LogError::NoSpace { .. })));
    disk.set_capacity(None);
    opened.log.find_room().unwrap();
    commit(&mut opened, 1).unwrap();
}
