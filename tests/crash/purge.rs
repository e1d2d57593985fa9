//! The purge: copying forward, dropping and recycling, stopped at every step and under churn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ctsd::backend::{Backend, BackendOptions, ChangeError, ChangeListener, Committed, TokenStore};
use ctsd::changelog::ChangeRecord;
use ctsd::log::fault::{Fault, MemDisk, Unsynced};
use ctsd::log::{Log, Options};

use super::store::{
    Disks, Model, SEGMENT, Token, add, add_base, check, delete, dn, find, key, live_of, modify,
};

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % below
    }
}

fn after(committed: &Committed) -> Token {
    Token::of(committed.after.as_ref().unwrap())
}

/// One change of a token, as the dice fall; the model follows only what is acknowledged.
#[allow(clippy::map_entry)] // what fails must leave the model as it is
pub(crate) fn change(
    backend: &Backend,
    model: &mut Model,
    id: u32,
    dice: &mut Dice,
) -> Result<(), ChangeError> {
    let value = format!("v{}", dice.next(1000));
    if !model.contains_key(&id) {
        let token = after(&add(backend, id, &value, 500 + dice.next(3000) as usize)?);
        model.insert(id, token);
    } else if dice.next(3) == 0 {
        delete(backend, id)?;
        model.remove(&id);
    } else {
        let token = after(&modify(backend, id, &value)?);
        model.insert(id, token);
    }
    Ok(())
}

/// Octets of the log: all, live.
fn octets(backend: &Backend) -> (u64, u64) {
    let segments = backend.segments();
    (segments.iter().map(|one| one.octets).sum(), segments.iter().map(|one| one.live_octets).sum())
}

#[test]
fn churn_keeps_the_disk_bounded() {
    const IDS: u32 = 60;
    const RETAINED_CHANGES: u64 = 120;
    let disks = Disks::new();
    // In a lull, as on a slow machine, files would be filled ahead, and the old ones not be of use.
    let options = BackendOptions { spare_segments: 0, ..disks.options() };
    let open = || disks.try_open_with(&options).unwrap();
    let mut backend = open();
    add_base(&backend).unwrap();
    let (mut model, mut dice) = (Model::new(), Dice(7));
    // Old and never touched: they are in the way of what is dead behind them.
    for id in 0..20 {
        change(&backend, &mut model, id, &mut dice).unwrap();
    }
    let (mut dropped, mut recycled) = (0, 0);
    for round in 0..150 {
        for _ in 0..20 {
            let id = 20 + dice.next(IDS - 20);
            change(&backend, &mut model, id, &mut dice).unwrap();
            disks
                .clock
                .advance(Duration::from_secs(60 / RETAINED_CHANGES * 2).max(Duration::from_millis(500)));
        }
        dropped += backend.purge().unwrap().segments;
        let (all, live) = octets(&backend);
        // A change takes at most 4 KB here; the segment being written and the last dropped are not full.
        let retained = RETAINED_CHANGES * 4096;
        let bound = live * 16 / 10 + retained + 3 * u64::from(SEGMENT);
        assert!(all <= bound, "round {round}: {all} octets, {live} live, bound {bound}");
        let files: u64 = backend.segments().len() as u64 * u64::from(SEGMENT);
        assert!(files <= bound + 4 * u64::from(SEGMENT), "round {round}: {files} octets of files");
        if round % 30 == 29 {
            check(&backend, &model, IDS, "before");
            let counted = live_of(&backend);
            recycled += backend.stats().log.segments_recycled;
            drop(backend);
            backend = open();
            check(&backend, &model, IDS, "after");
            assert_eq!(live_of(&backend), counted, "counted anew");
            assert!(backend.recovered().cut.is_none() && backend.recovered().damage.is_empty());
        }
    }
    assert!(dropped > 50, "{dropped}");
    assert!(recycled > 10, "{recycled}");
    // What never changed was copied, some of it more than once, and is the same to the octet.
    check(&backend, &model, IDS, "at the end");
}

/// A life with changes before, between and after rounds of the purge; ends at the first failure. Gives back what was
/// acknowledged, and the token whose change may or may not have happened.
pub(crate) fn life(disks: &Disks) -> (Model, Option<u32>) {
    let mut model = Model::new();
    let Some(backend) = disks.try_open() else { return (model, None) };
    if add_base(&backend).is_err() {
        return (model, Some(u32::MAX));
    }
    let mut dice = Dice(3);
    for round in 0..4 {
        for number in 0..14 {
            // The first four stay as they are, so that they must be copied.
            let id = if round == 0 { number } else { 4 + dice.next(10) };
            if change(&backend, &mut model, id, &mut dice).is_err() {
                return (model, Some(id));
            }
        }
        disks.clock.advance(Duration::from_secs(61));
        if backend.purge().is_err() {
            return (model, None);
        }
        let _ = backend.checkpoint();
    }
    (model, None)
}

fn fits(found: Option<&Token>, model: &Model, id: u32, doubt: Option<u32>) -> bool {
    doubt == Some(id) || found == model.get(&id)
}

#[test]
fn stopped_anywhere_it_holds_what_was_acknowledged() {
    const IDS: u32 = 14;
    let whole = Disks::new();
    let (model, doubt) = life(&whole);
    assert_eq!(doubt, None);
    let backend = whole.open();
    check(&backend, &model, IDS, "undisturbed");
    assert!(!backend.segments().iter().any(|one| one.number == 1), "nothing was dropped");
    drop(backend);
    let points = whole.log.points();
    assert!(points > 60, "{points}");
    for point in 1..=points {
        for fault in [Fault::Stop, Fault::Late, Fault::Torn(point * 7919)] {
            let disks = Disks::new();
            disks.log.fail_at(point, fault);
            let (model, doubt) = life(&disks);
            for unsynced in [Unsynced::Lost, Unsynced::Some(point)] {
                let at = format!("{point} {fault:?} {unsynced:?}");
                let left = disks.after_crash(unsynced);
                let backend = left.open();
                assert!(backend.unwilling().is_none(), "{at}: {:?}", backend.recovered());
                for id in 0..IDS {
                    assert!(fits(find(&backend, id).as_ref(), &model, id, doubt), "{at}: token {id}");
                }
                if backend.get(&key(super::store::SUFFIX)).unwrap().is_none() {
                    continue;
                }
                // What was in doubt is decided now, and stays so, purged or not.
                let model: Model = (0..IDS).filter_map(|id| Some((id, find(&backend, id)?))).collect();
                left.clock.advance(Duration::from_secs(61));
                backend.purge().unwrap();
                check(&backend, &model, IDS, &at);
                drop(backend);
                check(&left.open(), &model, IDS, &at);
            }
        }
    }
}

#[test]
fn what_was_deleted_stays_deleted() {
    let disks = Disks::new();
    let backend = disks.open();
    add_base(&backend).unwrap();
    add(&backend, 1, "kept", 100).unwrap();
    add(&backend, 2, "doomed", 100).unwrap();
    let fill = |backend: &Backend, until: usize| {
        let mut id = 100;
        while backend.segments().len() < until {
            add(backend, id, "filler", 8000).unwrap();
            delete(backend, id).unwrap();
            id += 1;
        }
    };
    fill(&backend, 2);
    // A copy of the doomed one comes behind its ADD, its DEL behind the copy.
    disks.clock.advance(Duration::from_secs(61));
    assert_eq!(backend.purge().unwrap().segments, 1);
    fill(&backend, 3);
    delete(&backend, 2).unwrap();
    fill(&backend, 5);
    let mut model = Model::new();
    model.insert(1, find(&backend, 1).unwrap());
    let mut gone = 0;
    // Round after round one segment more is gone; each time a restart sees the same.
    for _ in 0..6 {
        for unsynced in [Unsynced::Kept, Unsynced::Lost] {
            check(&disks.after_crash(unsynced).open(), &model, 3, &format!("{gone} gone"));
        }
        disks.clock.advance(Duration::from_secs(61));
        fill(&backend, backend.segments().len() + 1);
        gone += backend.purge().unwrap().segments;
    }
    assert!(gone >= 5, "{gone}");
}

#[derive(Default)]
struct Heard(Mutex<Vec<[u8; 12]>>);

impl ChangeListener for Heard {
    fn applied(&self, changes: &[Committed]) {
        self.0.lock().unwrap().extend(changes.iter().map(|change| change.csn));
    }

    fn notify(&self, _change: &Committed) {}
}

/// The changes' numbers in their origin, as the log has them.
fn oseqs(disk: &MemDisk, dataset: [u8; 16]) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut options = Options::small(dataset, SEGMENT);
    options.recovery_threads = 0;
    Log::open(Arc::new(disk.after_crash(Unsynced::Kept)), options, &mut |record| {
        if !record.envelope.is_empty() {
            numbers.push(ChangeRecord::decode(record.envelope)?.oseq);
        }
        Ok(())
    })
    .unwrap();
    numbers
}

#[test]
fn copies_are_no_changes_and_numbers_are_not_given_again() {
    let disks = Disks::new();
    let backend = disks.open();
    let heard = Arc::new(Heard::default());
    let _heard = backend.subscribe(Arc::clone(&heard) as Arc<dyn ChangeListener>);
    add_base(&backend).unwrap();
    let mut last = add(&backend, 1, "kept", 100).unwrap();
    let before = find(&backend, 1);
    let mut count = 2;
    while backend.segments().len() < 2 {
        add(&backend, 2, "filler", 8000).unwrap();
        last = delete(&backend, 2).unwrap();
        count += 2;
    }
    // Only copies fill the segments behind.
    let settings = ctsd::backend::SpaceSettings { changelog_max: Some(0), ..disks.options().space };
    backend.set_space(settings);
    disks.clock.advance(Duration::from_secs(3600));
    assert_eq!(backend.purge().unwrap().segments, 1);
    assert_eq!(find(&backend, 1), before);
    assert_eq!(heard.0.lock().unwrap().len(), count);
    let numbers = oseqs(&disks.log, backend.dataset_id());
    assert!(numbers.len() < count / 2, "most changes are purged: {numbers:?}");
    drop(backend);
    // The wall clock steps back by a day.
    disks.clock.set_wall_ms(1_700_000_000_000 - 86_400_000);
    let backend = disks.open();
    assert_eq!(find(&backend, 1), before);
    let next = modify(&backend, 1, "new").unwrap();
    assert!(next.csn > last.csn && next.sequence > last.sequence);
    let numbers = oseqs(&disks.log, backend.dataset_id());
    assert_eq!(numbers.last().copied(), Some(count as u64 + 1));
}

#[test]
fn a_hold_keeps_segments_and_a_step_of_the_wall_clock_makes_nothing_old() {
    let disks = Disks::new();
    let backend = disks.open();
    add_base(&backend).unwrap();
    let mut id = 0;
    while backend.segments().len() < 4 {
        add(&backend, id, "v", 8000).unwrap();
        delete(&backend, id).unwrap();
        id += 1;
    }
    disks.clock.set_wall_ms(1_700_000_000_000 + 365 * 86_400_000);
    assert_eq!(backend.purge().unwrap().segments, 0);
    disks.clock.advance(Duration::from_secs(61));
    let hold = backend.hold_purge();
    assert_eq!(backend.purge().unwrap().segments, 0);
    drop(hold);
    assert_eq!(backend.purge().unwrap().segments, 3);
    // A longer delay, set while it runs.
    while backend.segments().len() < 3 {
        add(&backend, id, "v", 8000).unwrap();
        delete(&backend, id).unwrap();
        id += 1;
    }
    let mut settings = disks.options().space;
    settings.purge_delay = Duration::from_secs(1 << 40);
    backend.set_space(settings);
    disks.clock.advance(Duration::from_secs(86_400));
    assert_eq!(backend.purge().unwrap().segments, 0);
    settings.changelog_max = Some(u64::from(SEGMENT));
    backend.set_space(settings);
    assert!(backend.segments().len() == 3);
    while backend.segments().len() < 5 {
        add(&backend, id, "v", 8000).unwrap();
        delete(&backend, id).unwrap();
        id += 1;
    }
    assert!(backend.purge().unwrap().segments >= 2);
}

#[test]
fn readers_and_writers_beside_the_purge_see_what_is_there() {
    const OWN: u32 = 12;
    let disks = Disks::new();
    let backend = disks.open();
    add_base(&backend).unwrap();
    let mut settings = disks.options().space;
    settings.purge_delay = Duration::ZERO;
    backend.set_space(settings);
    for id in 0..3 * OWN {
        add(&backend, id, "start", 1500).unwrap();
    }
    let dropped = AtomicU64::new(0);
    let models: Vec<Model> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer: u32| {
                let (backend, dropped) = (&backend, &dropped);
                scope.spawn(move || {
                    let mut dice = Dice(u64::from(writer));
                    let own = writer * OWN..(writer + 1) * OWN;
                    let mut model: Model = own.map(|id| (id, find(backend, id).unwrap())).collect();
                    for number in 0..120 {
                        // The first of each is never changed.
                        let id = writer * OWN + 1 + dice.next(OWN - 1);
                        change(backend, &mut model, id, &mut dice).unwrap();
                        if number % 6 == writer {
                            dropped.fetch_add(backend.purge().unwrap().segments, Ordering::Relaxed);
                        }
                        for writer in 0..3 {
                            let entry = backend.get(&key(&dn(writer * OWN))).unwrap().unwrap();
                            assert_eq!(Token::of(&entry).value.as_deref(), Some("start"));
                        }
                    }
                    model
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let model: Model = models.into_iter().flatten().collect();
    check(&backend, &model, 3 * OWN, "running");
    assert!(dropped.into_inner() > 3);
    let counted = live_of(&backend);
    drop(backend);
    let backend = disks.open();
    check(&backend, &model, 3 * OWN, "opened again");
    assert_eq!(live_of(&backend), counted);
}
