//! Writing segments anew without what nobody wants.

use std::collections::BTreeMap;

use super::super::fault::Fault;
use super::*;

const STAND_IN: u8 = 9;

type Places = BTreeMap<u64, RecordPlace>;

fn grow(opened: &mut Opened, segments: usize, places: &mut Places) -> Result<(), LogError> {
    while opened.log.segments().len() < segments {
        let first = opened.writer.next_sequence();
        places.extend((first..).zip(commit(opened, 3)?));
    }
    Ok(())
}

/// Writes a segment anew with the records that are wanted.
fn thin(log: &Log, number: u32, wanted: &dyn Fn(u64) -> bool) -> Result<bool, LogError> {
    let mut compaction = log.compact(number)?;
    let mut records = compaction.records();
    let mut gap: Option<(Place, u64, u32)> = None;
    let fill = |compaction: &mut Compaction, gap: &mut Option<(Place, u64, u32)>| match gap.take() {
        Some((place, sequence, covers)) => {
            let local = covers.to_be_bytes();
            compaction.stand_in(&StandIn {
                sequence,
                covers,
                place,
                kind: STAND_IN,
                envelope: b"",
                local: &local,
            })
        }
        None => Ok(()),
    };
    while records.next_sequence() < compaction.end() {
        let record = records.next_record()?.unwrap();
        if record.kind == STAND_IN || !wanted(record.sequence) {
            let (_, _, covers) = gap.get_or_insert((record.place.record, record.sequence, 0));
            *covers += record.covers;
            continue;
        }
        fill(&mut compaction, &mut gap)?;
        compaction.keep(&record, true)?;
    }
    fill(&mut compaction, &mut gap)?;
    compaction.seal()?;
    compaction.finish()
}

/// What is wanted is there, to the octet and at its place; the rest may be.
fn check_all(opened: &Opened, from: u64, last: u64, places: &Places, wanted: &dyn Fn(u64) -> bool, at: &str) {
    let mut records = opened.log.records(from);
    let mut next = from;
    while let Some(record) = records.next_record().unwrap() {
        assert_eq!(record.sequence, next, "{at}");
        next += u64::from(record.covers);
        if record.kind == STAND_IN {
            assert!((record.sequence..next).all(|sequence| !wanted(sequence)), "{at}: {record:?}");
            assert_eq!(record.local, record.covers.to_be_bytes().as_slice(), "{at}");
            continue;
        }
        let (envelope, local) = parts(record.sequence);
        assert_eq!((&record.envelope[..], &record.local[..]), (&envelope[..], &local[..]), "{at}");
        if let Some(place) = places.get(&record.sequence) {
            assert_eq!(record.place, *place, "{at}");
            assert_eq!(opened.log.read(place.envelope).unwrap(), envelope, "{at}");
            assert_eq!(opened.log.read(place.local).unwrap(), local, "{at}");
        }
    }
    assert!(next > last, "{at}: {next} {last}");
    assert_eq!(next, opened.log.last_sequence() + 1, "{at}");
}

fn reopen(disk: &MemDisk, durability: Durability, replay_from: u64) -> Opened {
    let mut options = options(durability);
    options.replay_from = replay_from;
    let mut sequences = Vec::new();
    let (log, writer, recovered) = Log::open(Arc::new(disk.clone()), options, &mut |record| {
        if record.kind != STAND_IN {
            let (envelope, local) = parts(record.sequence);
            assert_eq!((record.envelope, record.local), (&envelope[..], &local[..]));
        }
        sequences.extend(record.sequence..record.sequence + u64::from(record.covers));
        Ok(())
    })
    .unwrap();
    Opened { log, writer, recovered, sequences }
}

fn some(sequence: u64) -> bool {
    sequence.is_multiple_of(5) || sequence % 5 == 1
}

fn few(sequence: u64) -> bool {
    sequence.is_multiple_of(25)
}

#[test]
fn places_and_sequences_stay() {
    for durability in ALL {
        let disk = MemDisk::new();
        let mut opened = open(&disk, durability);
        let mut places = Places::new();
        grow(&mut opened, 5, &mut places).unwrap();
        let last = opened.log.last_sequence();
        opened.writer.sync().unwrap();
        let segments = opened.log.segments();
        let active = segments.last().unwrap().number;
        assert!(matches!(opened.log.compact(active), Err(LogError::Gone { .. })));
        // Who reads by an old place may come too late.
        let mut slow = opened.log.records(1);
        slow.next_record().unwrap();
        for wanted in [&some as &dyn Fn(u64) -> bool, &some, &few, &few] {
            for info in &segments[..4] {
                assert!(thin(&opened.log, info.number, wanted).unwrap());
            }
            check_all(&opened, 1, last, &places, wanted, "after");
            for from in [0, 7, 20, segments[2].first_sequence, last] {
                let again = reopen(&disk.after_crash(Unsynced::Kept), durability, from);
                assert_eq!(
                    (again.recovered.cut.as_ref(), again.recovered.damage.as_slice()),
                    (None, &[][..])
                );
                assert_eq!(again.sequences.last(), Some(&last));
                assert!(
                    again.sequences[0] <= from.max(1)
                        && again.sequences.windows(2).all(|two| two[0] + 1 == two[1])
                );
                check_all(&again, 1, last, &places, wanted, "reopened");
            }
        }
        let gone = places.iter().find(|(sequence, _)| !some(**sequence)).unwrap().1;
        assert!(matches!(opened.log.read(gone.record), Err(LogError::Removed { segment: 1, .. })));
        let now = opened.log.segments();
        assert!(now[0].octets < segments[0].octets / 5 && now[0].size <= 8192, "{:?}", now[0]);
        assert!(now[0].compacted.is_some() && now[4].compacted.is_none());
        // The reader that began before goes on in the old file, which is used again after it has gone.
        for sequence in 2..segments[1].first_sequence {
            assert_eq!(slow.next_record().unwrap().unwrap().sequence, sequence);
        }
        assert_eq!(opened.log.recycle().unwrap(), 1);
        drop(slow);
        assert_eq!(opened.log.recycle().unwrap(), 0);
        let stats = opened.log.stats();
        assert_eq!((stats.segments_compacted, stats.spares + stats.segments_recycled >= 4), (16, true));
        // Dropping and using again go on.
        for _ in 0..12 {
            let segments = opened.log.segments().len();
            let oldest = opened.log.segments()[0].number;
            opened.log.drop_oldest(oldest).unwrap();
            opened.log.recycle().unwrap();
            grow(&mut opened, segments, &mut places).unwrap();
        }
        opened.writer.sync().unwrap();
        let (first, last) = (opened.log.first_sequence(), opened.log.last_sequence());
        check_all(&opened, first, last, &places, &|_| true, "at the end");
        let names = disk.list().unwrap();
        assert!(names.iter().all(|(name, _)| name.ends_with(".seg")), "{names:?}");
    }
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    let mut places = Places::new();
    grow(&mut opened, 3, &mut places).unwrap();
    let names = disk.list().unwrap();
    let mut compaction = opened.log.compact(1).unwrap();
    let record = compaction.records().next_record().unwrap().unwrap();
    compaction.keep(&record, true).unwrap();
    assert!(matches!(compaction.keep(&record, true), Err(LogError::Sequence { expected: 2, found: 1 })));
    assert!(matches!(compaction.seal(), Err(LogError::Sequence { .. })));
    assert!(compaction.finish().is_err());
    assert_eq!(disk.list().unwrap(), names);
    // One that was dropped meanwhile does not come back.
    let mut compaction = opened.log.compact(1).unwrap();
    let mut records = compaction.records();
    while records.next_sequence() < compaction.end() {
        let record = records.next_record().unwrap().unwrap();
        compaction.keep(&record, false).unwrap();
    }
    compaction.seal().unwrap();
    opened.log.drop_oldest(1).unwrap();
    assert!(!compaction.finish().unwrap());
    let (first, last) = (opened.log.first_sequence(), opened.log.last_sequence());
    check_all(&opened, first, last, &places, &|_| true, "dropped");
    drop(records);
    opened.log.recycle().unwrap();
    assert!(disk.list().unwrap().iter().all(|(name, _)| name.ends_with(".seg")));
}

/// A life with compactions; the last sequence that was acknowledged, however far it comes.
fn script(disk: &MemDisk, durability: Durability, places: &mut Places) -> (u64, u64) {
    let (mut first, mut acknowledged) = (1, 0);
    let Ok(mut opened) = open_with(Arc::new(disk.clone()), options(durability)) else { return (1, 0) };
    let mut step = |opened: &mut Opened, round: usize| -> Result<(), LogError> {
        while opened.log.segments().len() < 4 {
            let first = opened.writer.next_sequence();
            let made = commit(opened, 3)?;
            places.extend((first..).zip(made));
            acknowledged = opened.log.durable_sequence();
        }
        let segments = opened.log.segments();
        thin(&opened.log, segments[0].number, if round.is_multiple_of(2) { &some } else { &few })?;
        thin(&opened.log, segments[1].number, &some)?;
        opened.log.recycle()?;
        // Whether a drop that failed is there is not known.
        if round > 0 {
            first = segments[1].first_sequence;
            opened.log.drop_oldest(segments[0].number)?;
            opened.log.recycle()?;
        }
        Ok(())
    };
    for round in 0..3 {
        if step(&mut opened, round).is_err() {
            break;
        }
    }
    (first, acknowledged)
}

#[test]
fn every_durable_point_may_be_the_last() {
    for durability in [Durability::Group, Durability::Os] {
        let whole = MemDisk::new();
        script(&whole, durability, &mut Places::new());
        let faults = [Fault::Once, Fault::Stop, Fault::Late, Fault::Torn(5), Fault::Torn(4_000_000_007)];
        for point in 1..=whole.points() {
            for fault in faults {
                let disk = MemDisk::new();
                disk.fail_at(point, fault);
                let mut places = Places::new();
                let (kept, acknowledged) = script(&disk, durability, &mut places);
                for unsynced in [Unsynced::Lost, Unsynced::Kept, Unsynced::Some(point)] {
                    let at = format!("{durability:?} {point} {fault:?} {unsynced:?}");
                    let left = disk.after_crash(unsynced);
                    let mut opened = reopen(&left, durability, 0);
                    assert_eq!(opened.recovered.damage, [], "{at}");
                    let first = opened.log.first_sequence();
                    assert!(first <= kept, "{at}: {first} > {kept}");
                    check_all(&opened, first, acknowledged, &places, &few, &at);
                    let names = left.list().unwrap();
                    assert!(names.iter().all(|(name, _)| name.ends_with(".seg")), "{at}: {names:?}");
                    commit(&mut opened, 2).unwrap();
                    opened.writer.sync().unwrap();
                    let last = opened.log.last_sequence();
                    let again = reopen(&left.after_crash(Unsynced::Lost), durability, 0);
                    check_all(&again, first, last, &Places::new(), &few, &at);
                }
            }
        }
    }
}

#[test]
fn damage_is_told() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    let mut places = Places::new();
    grow(&mut opened, 4, &mut places).unwrap();
    let last = opened.log.last_sequence();
    thin(&opened.log, 2, &some).unwrap();
    let octets = opened.log.segments()[1].octets as usize;
    drop(opened);
    let name = super::super::segment::file_name(2);
    let clean = disk.contents(&name).unwrap();
    for at in (0..4096 + octets).step_by(61).chain([4096, 4100, 4112, clean.len() - 4096, 70, 76, 100]) {
        let hurt = disk.after_crash(Unsynced::Kept);
        hurt.scribble(&name, at, &[!clean[at]]);
        let again = reopen(&hurt, Durability::Group, 0);
        // The rest of the first block, of the padding and of the last block means nothing.
        let means_nothing = again.recovered.damage.is_empty();
        if means_nothing {
            check_all(&again, 1, last, &places, &some, "harmless");
        } else {
            assert!(again.log.writable().is_err());
            assert!(again.sequences.contains(&last));
        }
        assert_eq!(hurt.contents(&name).unwrap()[at], !clean[at], "nothing is repaired");
        assert!(!means_nothing || at >= 100, "{at}");
    }
    let cut = disk.after_crash(Unsynced::Kept);
    cut.truncate(&name, 4096 + octets / 2);
    let again = reopen(&cut, Durability::Group, 0);
    assert!(!again.recovered.damage.is_empty() && again.sequences.contains(&last));
}
