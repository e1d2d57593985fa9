//! The log on disks that fail, tear and forget.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::fault::{Fault, MemDisk, Unsynced};
use super::super::*;
use super::{ALL, commit, open, open_with, options, read_all, upto};

/// Three rounds of commits; returns the last sequence that was acknowledged.
fn script(disk: &MemDisk, durability: Durability) -> u64 {
    let Ok(mut opened) = open_with(Arc::new(disk.clone()), options(durability)) else { return 0 };
    for count in [1, 5, 17, 2, 30, 1, 9] {
        if commit(&mut opened, count).is_err() {
            assert!(matches!(commit(&mut opened, 1), Err(LogError::Poisoned { .. })));
            break;
        }
    }
    match durability {
        Durability::Os => opened.log.durable_sequence(),
        Durability::Always | Durability::Group => opened.log.last_sequence(),
    }
}

/// A crash at every durable point, in every way: what was acknowledged is there, as a prefix without damage; then the
/// log goes on, and nothing that was cut ever comes back.
#[test]
fn every_durable_point_may_be_the_last() {
    for durability in ALL {
        let whole = MemDisk::new();
        script(&whole, durability);
        let faults = [Fault::Stop, Fault::Late, Fault::Torn(1), Fault::Torn(77), Fault::Torn(4_000_000_007)];
        for point in 1..=whole.points() {
            for fault in faults {
                let disk = MemDisk::new();
                disk.fail_at(point, fault);
                let acknowledged = script(&disk, durability);
                let unsynced = match durability {
                    Durability::Os => [Unsynced::Lost, Unsynced::Kept, Unsynced::Some(point)],
                    _ => [Unsynced::Lost; 3],
                };
                for unsynced in unsynced {
                    let context = format!("{durability:?} {point} {fault:?} {unsynced:?}");
                    let left = disk.after_crash(unsynced);
                    let mut opened = open(&left, durability);
                    let last = opened.sequences.len() as u64;
                    assert_eq!(opened.sequences, upto(last), "{context}");
                    assert!(last >= acknowledged, "{context}: {last} < {acknowledged}");
                    assert_eq!(opened.recovered.damage, [], "{context}");
                    commit(&mut opened, 1).unwrap();
                    commit(&mut opened, 3).unwrap();
                    let reopened = open(&left.after_crash(Unsynced::Kept), durability);
                    assert_eq!(reopened.sequences, upto(last + 4), "{context}");
                    assert_eq!(reopened.recovered.cut, None, "{context}");
                    assert_eq!(read_all(&reopened.log), upto(last + 4), "{context}");
                }
            }
        }
    }
}

/// The recovery itself may be interrupted wherever it writes.
#[test]
fn a_crash_while_mending_does_no_harm() {
    let mut mending = 0;
    for seed in 1..40 {
        let torn = MemDisk::new();
        let mut opened = open(&torn, Durability::Group);
        commit(&mut opened, 4).unwrap();
        torn.fail_at(torn.points() + 1, Fault::Torn(seed * 0x79b9_7f4a_7c15));
        assert!(commit(&mut opened, 6).is_err());
        mending += crash_while_mending(&torn.after_crash(Unsynced::Lost));
    }
    assert!(mending > 40, "{mending}");
}

/// Returns how many durable points the mending has.
fn crash_while_mending(torn: &MemDisk) -> u64 {
    let mended = torn.after_crash(Unsynced::Kept);
    let last = open(&mended, Durability::Group).sequences.len() as u64;
    let points = mended.points();
    assert!(last >= 4);
    for point in 1..=points {
        for unsynced in [Unsynced::Lost, Unsynced::Kept, Unsynced::Some(3), Unsynced::Some(8)] {
            let disk = torn.after_crash(Unsynced::Kept);
            disk.fail_at(point, Fault::Stop);
            assert!(open_with(Arc::new(disk.clone()), options(Durability::Group)).is_err());
            let opened = open(&disk.after_crash(unsynced), Durability::Group);
            assert_eq!(opened.sequences, upto(last));
        }
    }
    points
}

#[test]
fn a_failed_write_poisons_for_good() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    commit(&mut opened, 2).unwrap();
    disk.fail_at(disk.points() + 1, Fault::Once);
    assert!(matches!(commit(&mut opened, 1), Err(LogError::Io { .. })));
    assert!(matches!(commit(&mut opened, 1), Err(LogError::Poisoned { .. })));
    assert!(matches!(opened.log.writable(), Err(LogError::Poisoned { .. })));
    assert_eq!(read_all(&opened.log), upto(2));
}

#[test]
fn a_failed_background_sync_poisons_and_is_not_tried_again() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Os);
    commit(&mut opened, 2).unwrap();
    assert_eq!((opened.log.last_sequence(), opened.log.durable_sequence()), (2, 0));
    assert_eq!(read_all(&opened.log), upto(0));
    disk.fail_at(disk.points() + 1, Fault::Once);
    assert!(opened.writer.sync().is_err());
    let points = disk.points();
    assert!(matches!(opened.writer.sync(), Err(LogError::Poisoned { .. })));
    assert!(matches!(commit(&mut opened, 1), Err(LogError::Poisoned { .. })));
    assert_eq!((disk.points(), opened.log.durable_sequence()), (points, 0));
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    disk.set_capacity(Some(2 * (16 << 10)));
    let mut last = 0;
    while commit(&mut opened, 3).is_ok() {
        last += 3;
    }
    assert!(matches!(commit(&mut opened, 60), Err(LogError::NoSpace { .. })));
    assert!(opened.log.writable().is_ok());
    assert_eq!(read_all(&opened.log), upto(last));
    disk.set_capacity(None);
    commit(&mut opened, 60).unwrap();
    assert_eq!(open(&disk, Durability::Group).sequences, upto(last + 60));
}

/// A disk with groups of 3, 2 and 4 records in one segment; where the last group starts and ends.
fn three_groups() -> (MemDisk, usize, usize) {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    commit(&mut opened, 3).unwrap();
    commit(&mut opened, 2).unwrap();
    let places = commit(&mut opened, 4).unwrap();
    let (first, last) = (places[0].record, places[3].record);
    assert_eq!((first.segment, last.segment), (1, 1));
    (disk, first.offset as usize, (last.offset + last.len) as usize)
}

#[test]
fn truncated_or_scribbled_at_every_offset_of_the_last_group() {
    let (disk, from, to) = three_groups();
    let name = "00000001.seg";
    let mut records = open(&disk, Durability::Group).log.records(1);
    let mut places = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        let place = record.place.record;
        places.push(place.offset as usize..(place.offset + place.len) as usize);
    }
    let bytes = disk.contents(name).unwrap();
    for (at, octet) in bytes.iter().enumerate().take(to).skip(from) {
        let expected = places.iter().filter(|place| place.end <= at).count() as u64;
        for scribbles in [false, true] {
            let damaged = disk.after_crash(Unsynced::Kept);
            if !scribbles {
                damaged.truncate(name, at);
            } else if places.iter().any(|place| place.contains(&at)) {
                damaged.scribble(name, at, &[octet ^ 0x55]);
            } else {
                continue; // the padding between records means nothing
            }
            let mut opened = open(&damaged, Durability::Group);
            assert_eq!(opened.sequences, upto(expected), "at {at}");
            assert_eq!(opened.recovered.damage, []);
            match &opened.recovered.cut {
                Some(cut) => assert_eq!((cut.segment, cut.sequence), (1, expected + 1)),
                None => assert!(!scribbles, "at {at}"),
            }
            commit(&mut opened, 2).unwrap();
            let again = open(&damaged, Durability::Group);
            assert_eq!((again.sequences, again.recovered.cut), (upto(expected + 2), None));
        }
    }
}

#[test]
fn damage_before_the_last_group_makes_the_log_read_only_and_is_named() {
    let (disk, _, _) = three_groups();
    let mut opened = open(&disk, Durability::Group);
    commit(&mut opened, 40).unwrap();
    let place = {
        let mut records = opened.log.records(4);
        records.next_record().unwrap().unwrap().place.record
    };
    disk.scribble("00000001.seg", place.offset as usize + 40, b"!!!!");
    let before = disk.contents("00000001.seg");
    let mut opened = open(&disk, Durability::Group);
    assert_eq!(opened.sequences, (1..=49).filter(|&sequence| sequence != 4).collect::<Vec<_>>());
    let damage = &opened.recovered.damage;
    assert_eq!(damage.len(), 1);
    assert_eq!((damage[0].segment, damage[0].lost.clone()), (1, 4..=4));
    let refused = commit(&mut opened, 1).unwrap_err();
    assert!(matches!(refused, LogError::ReadOnly { .. }));
    assert!(refused.to_string().contains("change 4 is lost"), "{refused}");
    assert_eq!(disk.contents("00000001.seg"), before);
    let mut records = opened.log.records(1);
    assert!((0..3).all(|_| records.next_record().is_ok()));
    assert!(matches!(records.next_record(), Err(LogError::Damaged { .. })));
    assert!(opened.log.records(5).next_record().unwrap().is_some());
}

#[test]
fn a_missing_or_headless_segment_is_damage() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    for _ in 0..20 {
        commit(&mut opened, 4).unwrap();
    }
    let second = opened.log.shared.segment(2).unwrap().first_sequence;
    let third = opened.log.shared.segment(3).unwrap().first_sequence;
    drop(opened);

    let headless = disk.after_crash(Unsynced::Kept);
    headless.scribble("00000002.seg", 20, b"????");
    let opened = open(&headless, Durability::Group);
    assert_eq!(opened.sequences, upto(80));
    assert!(opened.recovered.damage[0].lost.is_empty());
    assert!(opened.log.writable().is_err());

    let missing = disk.after_crash(Unsynced::Kept);
    missing.remove("00000002.seg").unwrap();
    let opened = open(&missing, Durability::Group);
    assert_eq!(opened.sequences.len() as u64, 80 - (third - second));
    assert_eq!(opened.recovered.damage[0].lost, second..=third - 1);
    assert!(matches!(opened.log.records(second).next_record(), Err(LogError::Damaged { .. })));

    let purged = disk.after_crash(Unsynced::Kept);
    purged.remove("00000001.seg").unwrap();
    let opened = open(&purged, Durability::Group);
    assert_eq!((opened.log.first_sequence(), opened.recovered.damage), (second, Vec::new()));
    assert!(matches!(opened.log.records(1).next_record(), Err(LogError::Purged { wanted: 1, .. })));
    let gone = Place { segment: 1, offset: 4096, len: 8 };
    assert!(matches!(opened.log.read(gone), Err(LogError::Gone { segment: 1 })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_script_of_commits_crashes_and_restarts(
        steps in proptest::collection::vec((0_u64..25, 0_u8..5, any::<u64>()), 1..25), policy in 0_usize..3,
    ) {
        let durability = ALL[policy];
        let mut disk = MemDisk::new();
        let mut opened = open(&disk, durability);
        let mut last = 0;
        for (count, action, seed) in steps {
            match action {
                0 | 1 => {
                    commit(&mut opened, count).unwrap();
                    last += count;
                }
                2 => opened.writer.sync().unwrap(),
                _ => {
                    let durable = opened.log.durable_sequence();
                    if action == 3 {
                        disk.fail_at(disk.points() + 1 + seed % 3, Fault::Torn(seed));
                        if commit(&mut opened, count + 1).is_ok() {
                            last += count + 1;
                        }
                    }
                    disk = disk.after_crash(Unsynced::Some(seed));
                    opened = open(&disk, durability);
                    let found = opened.sequences.len() as u64;
                    prop_assert_eq!(&opened.sequences, &upto(found));
                    prop_assert_eq!(&opened.recovered.damage, &[]);
                    let promised = if durability == Durability::Os { durable } else { last };
                    prop_assert!(found >= promised);
                    last = found;
                }
            }
            prop_assert_eq!(opened.log.last_sequence(), last);
        }
    }
}
