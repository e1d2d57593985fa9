//! Compaction: what is dead goes from closed segments, and nothing else, whatever happens meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ctsd::backend::{Backend, BackendOptions, ChangeError};
use ctsd::changelog::{ChangeRecord, Op};
use ctsd::log::fault::{Fault, MemDisk, Unsynced};
use ctsd::log::{Log, Options};

use super::store::{
    Disks, Model, SEGMENT, Token, add, add_base, check, delete, dn, find, key, live_of, modify,
};

const HOUR: Duration = Duration::from_secs(3600);
const IDS: u32 = 200;

/// Changes are kept for days; what is older than an hour is compacted.
fn options(disks: &Disks) -> BackendOptions {
    let mut options = disks.options();
    options.space.purge_delay = HOUR * 72;
    options
}

fn open(disks: &Disks) -> Option<Backend> {
    Backend::open_on(Arc::new(disks.home.clone()), Arc::new(disks.log.clone()), &options(disks)).ok()
}

fn put(backend: &Backend, model: &mut Model, id: u32, octets: usize) -> Result<(), ChangeError> {
    let committed = if model.contains_key(&id) {
        // Long enough that the entry refers to the record's envelope.
        modify(backend, id, &format!("{id}-").repeat(octets / 8))?
    } else {
        add(backend, id, &format!("v{id}"), octets)?
    };
    model.insert(id, Token::of(committed.after.as_ref().unwrap()));
    Ok(())
}

fn remove(backend: &Backend, model: &mut Model, id: u32) -> Result<(), ChangeError> {
    delete(backend, id)?;
    model.remove(&id);
    Ok(())
}

fn octets(backend: &Backend) -> u64 {
    backend.segments().iter().map(|one| one.size).sum()
}

/// The dense numbers of the changes in the log, and how many changes of each kind it has.
fn changes(disks: &Disks, dataset_id: [u8; 16]) -> (Vec<u64>, [usize; 6]) {
    let options = Options::small(dataset_id, SEGMENT);
    let disk = Arc::new(disks.log.after_crash(Unsynced::Kept));
    let (log, _writer, _) = Log::open(disk, options, &mut |_| Ok(())).unwrap();
    let mut records = log.records(log.first_sequence());
    let (mut numbers, mut kinds) = (Vec::new(), [0; 6]);
    while let Some(record) = records.next_record().unwrap() {
        if record.envelope.is_empty() {
            continue;
        }
        let change = ChangeRecord::decode(&record.envelope).unwrap();
        let last = match change.op {
            Op::Advance => u64::from_be_bytes(change.payload.try_into().unwrap()),
            _ => change.oseq,
        };
        numbers.extend(change.oseq..=last);
        kinds[usize::from(record.kind) - 1] += 1;
    }
    (numbers, kinds)
}

#[test]
fn dead_tokens_leave_their_deletes() {
    let disks = Disks::new();
    // In a lull files would be filled ahead, and the old ones not be of use.
    let spareless = BackendOptions { spare_segments: 0, ..options(&disks) };
    let backend = disks.try_open_with(&spareless).unwrap();
    add_base(&backend).unwrap();
    let mut model = Model::new();
    let mut count = 1;
    for id in 0..IDS {
        put(&backend, &mut model, id, 2000).unwrap();
        put(&backend, &mut model, id, 2000).unwrap();
        count += 2;
        if id % 10 != 0 {
            remove(&backend, &mut model, id).unwrap();
            count += 1;
        }
    }
    let (before, live) = (octets(&backend), live_of(&backend));
    // Too young.
    assert_eq!(backend.compact().unwrap().segments, 0);
    disks.clock.advance(HOUR * 2);
    let hold = backend.hold_purge();
    assert_eq!(backend.compact().unwrap().segments, 0);
    drop(hold);
    let done = backend.compact().unwrap();
    assert!(done.segments as usize >= backend.segments().len() - 2, "{done:?}");
    let after = octets(&backend);
    assert!(after < before * 3 / 10, "{after} of {before}");
    assert_eq!(live_of(&backend), live, "places stay");
    check(&backend, &model, IDS, "compacted");
    assert_eq!(backend.compact().unwrap().segments, 0, "once is enough");
    let stats = backend.stats().log;
    assert!(stats.segments_compacted >= done.segments && stats.compacted_octets >= done.octets);
    // The old files are used again.
    backend.purge().unwrap();
    assert!(backend.stats().log.segments_recycled > 0);
    let (numbers, kinds) = changes(&disks, backend.dataset_id());
    assert_eq!(numbers, (1..=count).collect::<Vec<u64>>(), "no number is missing");
    assert_eq!(kinds[2], IDS as usize * 9 / 10, "all deletes are there");
    assert!(kinds[0] < IDS as usize / 3 && kinds[5] > 0, "{kinds:?}");
    drop(backend);
    // With a checkpoint, without one, and going on from there.
    for has_checkpoint in [true, false] {
        let disks = disks.after_crash(Unsynced::Lost);
        let mut options = options(&disks);
        let home = if has_checkpoint { disks.home.clone() } else { MemDisk::new() };
        if !has_checkpoint {
            let id = disks.home.contents("dataset-id").unwrap();
            ctsd::log::Disk::create_zeroed(&home, "dataset-id", id.len() as u64).unwrap();
            home.scribble("dataset-id", 0, &id);
        }
        options.space.purge_delay = HOUR;
        let backend = Backend::open_on(Arc::new(home), Arc::new(disks.log.clone()), &options).unwrap();
        assert_eq!(backend.recovered().damage, []);
        let mut model = model.clone();
        check(&backend, &model, IDS, "opened again");
        // More dies, and goes too.
        for id in (0..IDS).step_by(20) {
            remove(&backend, &mut model, id).unwrap();
        }
        let small = octets(&backend);
        backend.compact().unwrap();
        assert!(octets(&backend) <= small);
        check(&backend, &model, IDS, "compacted again");
        // What is left is copied forward and goes with its segments.
        disks.clock.advance(HOUR * 2);
        for round in 0..100 {
            put(&backend, &mut model, round % 3, 2000).unwrap();
        }
        disks.clock.advance(HOUR * 2);
        put(&backend, &mut model, 0, 2000).unwrap();
        backend.purge().unwrap();
        check(&backend, &model, IDS, "purged");
        assert!(backend.segments()[0].number > 3);
    }
}

#[test]
fn it_can_be_switched_off() {
    let disks = Disks::new();
    let backend = open(&disks).unwrap();
    add_base(&backend).unwrap();
    let mut model = Model::new();
    for id in 0..IDS / 2 {
        put(&backend, &mut model, id, 2000).unwrap();
        remove(&backend, &mut model, id).unwrap();
    }
    disks.clock.advance(HOUR * 2);
    let mut space = options(&disks).space;
    space.compaction = false;
    ctsd::backend::TokenStore::set_space(&backend, space);
    assert_eq!(backend.compact().unwrap().segments, 0);
    space.compaction = true;
    ctsd::backend::TokenStore::set_space(&backend, space);
    assert!(backend.compact().unwrap().segments > 0);
}

/// A life with rounds of compaction and purge; ends at the first failure. Gives back what was acknowledged, and the token
/// whose change may or may not have happened.
fn life(disks: &Disks) -> (Model, Option<u32>) {
    let mut model = Model::new();
    let Some(backend) = open(disks) else { return (model, None) };
    if add_base(&backend).is_err() {
        return (model, Some(u32::MAX));
    }
    for round in 0..4_u32 {
        for number in 0..24 {
            let id = (number + round * 7) % 30;
            let made = if number % 3 == 2 && model.contains_key(&id) {
                remove(&backend, &mut model, id)
            } else {
                put(&backend, &mut model, id, 3000)
            };
            if made.is_err() {
                return (model, Some(id));
            }
        }
        disks.clock.advance(if round == 2 { HOUR * 80 } else { HOUR * 2 });
        if backend.compact().is_err() || backend.purge().is_err() {
            return (model, None);
        }
    }
    backend.close();
    (model, None)
}

#[test]
fn stopped_anywhere_it_holds_what_was_acknowledged() {
    let whole = Disks::new();
    let (_, torn) = life(&whole);
    assert!(torn.is_none());
    let points = whole.log.points();
    assert!(points > 100, "{points}");
    let mut compacted = 0;
    for point in 1..=points {
        let torn = Fault::Torn(point.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let faults = [Fault::Stop, Fault::Late, torn, Fault::Once];
        // Two kinds at each point, so that neighbours have all.
        for fault in faults.into_iter().cycle().skip(point as usize % 4).take(2) {
            let disks = Disks::new();
            disks.log.fail_at(point, fault);
            let (model, torn) = life(&disks);
            if torn == Some(u32::MAX) || model.is_empty() {
                continue;
            }
            for unsynced in [if point.is_multiple_of(2) { Unsynced::Lost } else { Unsynced::Some(point) }] {
                let at = format!("{point} {fault:?} {unsynced:?}");
                let disks = disks.after_crash(unsynced);
                let backend = open(&disks).unwrap_or_else(|| panic!("{at}"));
                assert!(backend.recovered().damage.is_empty(), "{at}: {:?}", backend.recovered().damage);
                let mut model = model.clone();
                // What was not acknowledged may be there, whole.
                if let Some(id) = torn {
                    match find(&backend, id) {
                        Some(token) => drop(model.insert(id, token)),
                        None => drop(model.remove(&id)),
                    }
                }
                check(&backend, &model, 30, &at);
                compacted += backend.segments().iter().filter(|one| one.is_compacted).count();
                for id in 0..3 {
                    put(&backend, &mut model, id, 500).unwrap();
                }
                disks.clock.advance(HOUR * 2);
                backend.compact().unwrap();
                backend.purge().unwrap();
                check(&backend, &model, 30, &at);
            }
        }
    }
    assert!(compacted > 20, "{compacted}");
}

#[test]
fn readers_and_writers_beside_it_see_what_is_there() {
    let disks = Disks::new();
    let mut options = options(&disks);
    options.space.compaction_delay = Duration::ZERO;
    let backend = Arc::new(
        Backend::open_on(Arc::new(disks.home.clone()), Arc::new(disks.log.clone()), &options).unwrap(),
    );
    add_base(&backend).unwrap();
    let mut model = Model::new();
    for id in 0..10 {
        put(&backend, &mut model, id, 2000).unwrap();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for id in 0..10 {
                        assert!(find(&backend, id).is_some(), "{id}");
                    }
                    // Those that come and go are there or not, but never unreadable.
                    for id in 10..60 {
                        ctsd::backend::TokenStore::get(&*backend, &key(&dn(id))).unwrap();
                    }
                }
            });
        }
        let compactor = scope.spawn(|| {
            let mut done = 0;
            while !stop.load(Ordering::Relaxed) {
                done += backend.compact().unwrap().segments;
                disks.clock.advance(Duration::from_millis(1));
            }
            done
        });
        for round in 0..10 {
            for id in 10..60 {
                put(&backend, &mut model, id, 1500).unwrap();
            }
            put(&backend, &mut model, round % 10, 1500).unwrap();
            for id in 10..60 {
                remove(&backend, &mut model, id).unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(compactor.join().unwrap() > 2);
    });
    check(&backend, &model, 60, "at the end");
    backend.compact().unwrap();
    check(&backend, &model, 60, "at the very end");
    let live: u64 = backend.segments().iter().map(|one| one.live_octets).sum();
    assert!(octets(&backend) < live + 10 * u64::from(SEGMENT), "{} {live}", octets(&backend));
}
