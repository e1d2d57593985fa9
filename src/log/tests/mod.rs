//! The log as a whole.

mod compact;
mod faults;
mod purge;

use std::sync::Arc;

use bytes::BufMut;

use super::fault::{MemDisk, Unsynced};
use super::*;
use crate::changelog::Csn;

const DATASET: [u8; 16] = [3; 16];

/// The bytes of a record's parts follow from its sequence, with lengths that vary.
fn parts(sequence: u64) -> (Vec<u8>, Vec<u8>) {
    let length = (sequence.wrapping_mul(2_654_435_761) % 1500) as usize;
    let octet = sequence as u8;
    (vec![octet; length], vec![!octet; (sequence % 7) as usize * 11])
}

fn fill_group(group: &mut Group, from: u64, count: u64) {
    for sequence in from..from + count {
        let (envelope, local) = parts(sequence);
        group.stamp(Csn::new(sequence, 0, 1, 1));
        group.push(1, sequence, |out| out.put_slice(&envelope), |out, ()| out.put_slice(&local)).unwrap();
    }
}

fn options(durability: Durability) -> Options {
    let mut options = Options::small(DATASET, 16 << 10);
    options.durability = durability;
    options
}

struct Opened {
    log: Log,
    writer: Writer,
    recovered: Recovered,
    sequences: Vec<u64>,
}

/// Opens and checks that each replayed record is what was written.
fn open_with(disk: Arc<dyn Disk>, options: Options) -> Result<Opened, LogError> {
    let mut sequences = Vec::new();
    let (log, writer, recovered) = Log::open(disk, options, &mut |record| {
        let (envelope, local) = parts(record.sequence);
        assert_eq!((record.envelope, record.local), (&envelope[..], &local[..]));
        sequences.push(record.sequence);
        Ok(())
    })?;
    assert_eq!(recovered.records, sequences.len() as u64);
    Ok(Opened { log, writer, recovered, sequences })
}

fn open(disk: &MemDisk, durability: Durability) -> Opened {
    open_with(Arc::new(disk.clone()), options(durability)).unwrap()
}

fn commit(opened: &mut Opened, count: u64) -> Result<Vec<RecordPlace>, LogError> {
    let mut group = opened.log.new_group();
    group.clear(opened.writer.lead());
    fill_group(&mut group, opened.writer.next_sequence(), count);
    opened.writer.commit(&mut group)
}

/// Everything in the log, by the sequential reader, each record read by place too.
fn read_all(log: &Log) -> Vec<u64> {
    let mut sequences = Vec::new();
    let mut records = log.records(log.first_sequence());
    while let Some(record) = records.next_record().unwrap() {
        let (envelope, local) = parts(record.sequence);
        assert_eq!((&record.envelope[..], &record.local[..]), (&envelope[..], &local[..]));
        assert_eq!(log.read(record.place.envelope).unwrap(), envelope);
        assert_eq!(log.read(record.place.local).unwrap(), local);
        sequences.push(record.sequence);
    }
    sequences
}

fn upto(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

const ALL: [Durability; 3] = [Durability::Always, Durability::Group, Durability::Os];

#[test]
fn what_is_committed_is_read_and_replayed() {
    for durability in ALL {
        let disk = MemDisk::new();
        let mut opened = open(&disk, durability);
        assert_eq!((opened.log.first_sequence(), opened.log.last_sequence()), (1, 0));
        for count in [1, 3, 20, 0, 1, 60, 2] {
            let from = opened.writer.next_sequence();
            let places = commit(&mut opened, count).unwrap();
            for (place, sequence) in places.iter().zip(from..) {
                let (envelope, local) = parts(sequence);
                assert_eq!(opened.log.read(place.envelope).unwrap(), envelope);
                assert_eq!(opened.log.read(place.local).unwrap(), local);
                let inner = place.envelope.sub(0, 1.min(place.envelope.len));
                assert_eq!(opened.log.read(inner).unwrap(), envelope[..inner.len as usize]);
            }
            assert_eq!(places.len() as u64, count);
        }
        opened.writer.sync().unwrap();
        assert_eq!(read_all(&opened.log), upto(87));
        let stats = opened.log.stats();
        assert_eq!((stats.records, stats.groups, stats.largest_group), (87, 6, 60));
        assert!(stats.segments > 3 && stats.written_octets >= stats.record_octets);
        for unsynced in [Unsynced::Kept, Unsynced::Lost] {
            let again = open(&disk.after_crash(unsynced), durability);
            assert_eq!(again.sequences, upto(87));
            assert_eq!((again.recovered.cut, again.recovered.damage), (None, Vec::new()));
            assert_eq!(read_all(&again.log), upto(87));
        }
    }
}

#[test]
fn groups_may_be_placed_wrongly_at_no_harm() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    let mut group = opened.log.new_group();
    for lead in [0, 7, 4000, 0, 123] {
        group.clear(lead);
        fill_group(&mut group, opened.writer.next_sequence(), 3);
        opened.writer.commit(&mut group).unwrap();
    }
    assert_eq!(read_all(&opened.log), upto(15));
}

#[test]
fn groups_follow_each_other_without_gaps() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    let mut end = None;
    for _ in 0..8 {
        for place in commit(&mut opened, 1).unwrap() {
            if let Some((segment, end)) = end.filter(|(segment, _)| *segment == place.record.segment) {
                assert_eq!((place.record.segment, place.record.offset), (segment, end));
            }
            let next = (place.record.offset + place.record.len).next_multiple_of(8);
            end = Some((place.record.segment, next));
        }
    }
}

#[test]
fn a_group_out_of_sequence_changes_nothing() {
    let mut opened = open(&MemDisk::new(), Durability::Group);
    let mut group = opened.log.new_group();
    fill_group(&mut group, 2, 1);
    let refused = opened.writer.commit(&mut group);
    assert!(matches!(refused, Err(LogError::Sequence { expected: 1, found: 2 })));
    assert!(commit(&mut opened, 2).is_ok());
}

#[test]
fn a_record_fills_a_segment_to_its_end() {
    let mut opened = open(&MemDisk::new(), Durability::Group);
    let mut group = opened.log.new_group();
    let limit = opened.log.options().record_limit();
    let refused = group.push(1, 1, |out| out.put_bytes(1, limit - 31), |_, ()| ());
    assert!(matches!(refused, Err(LogError::TooLarge { .. })));
    for sequence in 1..=3 {
        group.push(1, sequence, |out| out.put_bytes(1, limit - 32), |_, ()| ()).unwrap();
    }
    let places = opened.writer.commit(&mut group).unwrap();
    assert_eq!(places.iter().map(|place| place.record.segment).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_replay_may_start_later() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    for _ in 0..20 {
        commit(&mut opened, 4).unwrap();
    }
    for from in [1, 2, 30, 79, 80, 81] {
        for threads in [0, 2] {
            let mut options = options(Durability::Group);
            (options.replay_from, options.recovery_threads) = (from, threads);
            let mut opened = open_with(Arc::new(disk.after_crash(Unsynced::Kept)), options).unwrap();
            assert_eq!(opened.sequences, (from..=80).collect::<Vec<_>>());
            assert_eq!(read_all(&opened.log), upto(80));
            commit(&mut opened, 1).unwrap();
        }
    }
}

#[test]
fn other_data_sets_and_versions_are_refused() {
    let disk = MemDisk::new();
    drop(open(&disk, Durability::Group));
    let foreign = Options::small([4; 16], 16 << 10);
    assert!(matches!(open_with(Arc::new(disk.clone()), foreign), Err(LogError::Foreign { .. })));
    disk.scribble("00000001.seg", 8, &[0, 0, 0, 9]);
    let refused = open_with(Arc::new(disk), options(Durability::Group));
    assert!(matches!(refused, Err(LogError::Version { version: 9, .. })));
}

#[test]
fn a_replay_that_fails_ends_the_start() {
    let disk = MemDisk::new();
    commit(&mut open(&disk, Durability::Group), 5).unwrap();
    let refused = Log::open(Arc::new(disk), options(Durability::Group), &mut |record| {
        if record.sequence == 3 { Err("no".into()) } else { Ok(()) }
    });
    assert!(matches!(refused, Err(LogError::Replay { sequence: 3, .. })));
}

#[test]
fn options_are_checked() {
    for size in [0, 4096, 10_000, 3 << 30] {
        let refused = Log::open(Arc::new(MemDisk::new()), Options::small(DATASET, size), &mut |_| Ok(()));
        assert!(matches!(refused, Err(LogError::Options(_))), "{size}");
    }
}

#[test]
fn real_files() {
    for buffered in [false, true] {
        for durability in ALL {
            let directory = tempfile::tempdir().unwrap();
            let disk = || -> Arc<dyn Disk> {
                if buffered {
                    Arc::new(OsDisk::buffered(directory.path()))
                } else {
                    Arc::new(OsDisk::new(directory.path()))
                }
            };
            let mut options = Options::new(DATASET);
            options.segment_size = 64 << 10;
            options.durability = durability;
            let mut last = 0;
            for _ in 0..2 {
                let mut opened = open_with(disk(), options.clone()).unwrap();
                assert_eq!(opened.sequences, upto(last));
                for count in [1, 40, 7, 130] {
                    commit(&mut opened, count).unwrap();
                    last += count;
                }
                opened.writer.sync().unwrap();
                assert_eq!(read_all(&opened.log), upto(last));
            }
            let name = directory.path().join("00000001.seg");
            assert_eq!(std::fs::metadata(name).unwrap().len(), 64 << 10);
            assert!(open_with(disk(), options).unwrap().recovered.cut.is_none());
        }
    }
}

#[test]
fn the_policy_changes_between_commits() {
    let disk = MemDisk::new();
    let mut opened = open(&disk, Durability::Group);
    let mut last = 0;
    for (round, durability) in ALL.iter().cycle().take(20).enumerate() {
        opened.log.set_durability(*durability);
        assert_eq!(opened.log.durability(), *durability);
        for count in [2, 1, 5] {
            commit(&mut opened, count).unwrap();
            last += count;
        }
        assert_eq!(opened.log.last_sequence(), last);
        // No thread syncs here, so under `os` only what came before is on disk for certain.
        let is_lazy = *durability == Durability::Os;
        assert_eq!(opened.log.durable_sequence() == last, !is_lazy, "{round} {durability:?}");
        let acknowledged = opened.log.durable_sequence();
        let left = open(&disk.after_crash(Unsynced::Lost), Durability::Group);
        assert!(left.log.last_sequence() >= acknowledged && left.recovered.damage.is_empty());
        assert_eq!(left.sequences, upto(left.log.last_sequence()));
    }
    assert!(opened.log.segments().len() > 2);
}
