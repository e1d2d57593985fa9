//! (g) Trees on disk (sled) that were rolled back behind the log, or are ahead of it, and a purge that fails meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ctsd::backend::Backend;
use ctsd::log::fault::{Fault, Unsynced};

use super::purge::{Dice, change, life};
use super::store::{Disks, Model, add_base, agrees, check, find};

const IDS: u32 = 16;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

fn copy_of(directory: &Path) -> Arc<tempfile::TempDir> {
    let copied = tempfile::tempdir().unwrap();
    copy(directory, copied.path());
    Arc::new(copied)
}

/// Some changes, and a round of the purge.
fn stage(disks: &Disks, backend: &Backend, model: &mut Model, dice: &mut Dice) -> u64 {
    for _ in 0..30 {
        let id = dice.next(IDS);
        change(backend, model, id, dice).unwrap();
    }
    disks.clock.advance(Duration::from_secs(61));
    backend.purge().unwrap().segments
}

#[test]
fn trees_behind_the_log_and_ahead_of_it() {
    let sled = Arc::new(tempfile::tempdir().unwrap());
    let disks = Disks { sled: Some(Arc::clone(&sled)), ..Disks::new() };
    let (mut model, mut dice) = (Model::new(), Dice(11));
    let (mut states, mut dropped) = (Vec::new(), 0);
    for number in 0..5 {
        let backend = disks.open();
        if number == 0 {
            add_base(&backend).unwrap();
        }
        dropped += stage(&disks, &backend, &mut model, &mut dice);
        // As a kill leaves them, and as a stop does.
        let killed = copy_of(sled.path());
        let log = disks.log.after_crash(Unsynced::Lost);
        check(&backend, &model, IDS, "running");
        drop(backend);
        states.push((vec![killed, copy_of(sled.path())], log, model.clone()));
    }
    assert!(dropped > 3, "{dropped}");
    for (of_trees, (trees, ..)) in states.iter().enumerate() {
        for (of_log, (_, log, model)) in states.iter().enumerate() {
            for trees in trees {
                let at = format!("trees of stage {of_trees}, log of stage {of_log}");
                let left = Disks {
                    log: log.after_crash(Unsynced::Lost),
                    home: disks.home.after_crash(Unsynced::Lost),
                    sled: Some(copy_of(trees.path())),
                    clock: Arc::clone(&disks.clock),
                };
                let backend = left.open();
                assert!(backend.unwilling().is_none(), "{at}");
                check(&backend, model, IDS, &at);
                // And it goes on from there.
                let mut later = model.clone();
                stage(&left, &backend, &mut later, &mut Dice(of_log as u64));
                drop(backend);
                check(&left.open(), &later, IDS, &at);
            }
        }
    }
}

#[test]
fn a_purge_that_stops_anywhere_with_trees_on_disk() {
    let with_trees = || Disks { sled: Some(Arc::new(tempfile::tempdir().unwrap())), ..Disks::new() };
    let whole = with_trees();
    assert_eq!(life(&whole).1, None);
    let points = whole.log.points();
    for point in (1..=points).step_by(2) {
        let fault = [Fault::Stop, Fault::Late, Fault::Torn(point * 7919)][(point / 2 % 3) as usize];
        let disks = with_trees();
        disks.log.fail_at(point, fault);
        let (model, doubt) = life(&disks);
        for has_trees in [true, false] {
            let at = format!("{point} {fault:?} {has_trees}");
            let mut left = disks.after_crash(Unsynced::Some(point));
            let trees = left.sled.take().unwrap();
            left.sled = Some(if has_trees { copy_of(trees.path()) } else { with_trees().sled.unwrap() });
            let backend = left.open();
            assert!(backend.unwilling().is_none(), "{at}: {:?}", backend.recovered());
            for id in 0..14 {
                let found = find(&backend, id);
                assert!(doubt == Some(id) || found.as_ref() == model.get(&id), "{at}: token {id}");
            }
            agrees(&backend, &at);
        }
    }
}
