//! (f) A page cache that is lost: under the policy `os`, any subset of what was not synced is there after a power cut.

use std::collections::BTreeMap;
use std::time::Duration;

use ctsd::backend::{Backend, BackendOptions, TokenStore};
use ctsd::log::Durability;
use ctsd::log::fault::Unsynced;

use super::store::{Disks, Model, add, add_base, agrees, delete, find, modify};

const IDS: u32 = 12;

fn options(disks: &Disks) -> BackendOptions {
    BackendOptions { durability: Durability::Os, ..disks.options() }
}

/// The power goes now: what is there is what was there at one moment, and nothing that was said to be durable is lost.
fn cut(disks: &Disks, backend: &Backend, states: &BTreeMap<u64, Model>, seed: u64) -> bool {
    let durable = backend.stats().log.durable_sequence;
    let left = disks.after_crash(Unsynced::Some(seed));
    let found = left.try_open_with(&options(&left)).unwrap();
    let last = found.recovered().last_sequence;
    let at = format!("seed {seed}, durable {durable}, found {last}");
    assert!(found.recovered().damage.is_empty() && found.unwilling().is_none(), "{at}");
    assert!(last >= durable, "{at}");
    let (_, expected) = states.range(..=last).next_back().unwrap();
    if last > 0 {
        for id in 0..IDS {
            assert_eq!(find(&found, id).as_ref(), expected.get(&id), "{at}: token {id}");
        }
    }
    agrees(&found, &at);
    last < backend.last_sequence()
}

#[test]
fn any_subset_of_the_unsynced() {
    let disks = Disks::new();
    let backend = disks.try_open_with(&options(&disks)).unwrap();
    let mut model = Model::new();
    let mut states = BTreeMap::from([(0, model.clone())]);
    add_base(&backend).unwrap();
    states.insert(backend.last_sequence(), model.clone());
    let (mut lost, mut seed, mut dropped) = (0, 1, 0);
    for turn in 0..90_u32 {
        let id = turn * 7 % IDS;
        let done = match (model.contains_key(&id), turn % 5) {
            (false, _) => add(&backend, id, "v", 3000),
            (true, 3) => delete(&backend, id),
            (true, _) => modify(&backend, id, &format!("v{turn}")),
        };
        let sequence = done.unwrap().sequence;
        match find(&backend, id) {
            Some(token) => model.insert(id, token),
            None => model.remove(&id),
        };
        states.insert(sequence, model.clone());
        if turn % 17 == 16 {
            backend.checkpoint().unwrap();
        }
        if turn % 23 == 22 {
            disks.clock.advance(Duration::from_secs(61));
            dropped += backend.purge().unwrap().segments;
        }
        for _ in 0..3 {
            seed += 1;
            lost += u32::from(cut(&disks, &backend, &states, seed * 0x9e37_79b9));
        }
    }
    assert!(lost > 20, "{lost} cuts lost something");
    assert!(dropped > 0);
}

/// What was acknowledged under `group` needs no page cache at all.
#[test]
fn nothing_of_what_was_acknowledged_was_in_the_cache() {
    let disks = Disks::new();
    let backend = disks.open();
    let mut model = Model::new();
    add_base(&backend).unwrap();
    for turn in 0..40_u32 {
        let id = turn % IDS;
        if model.contains_key(&id) {
            modify(&backend, id, &format!("v{turn}")).unwrap();
        } else {
            add(&backend, id, "v", 4000).unwrap();
        }
        model.insert(id, find(&backend, id).unwrap());
        if turn % 11 == 10 {
            backend.checkpoint().unwrap();
        }
        let left =
            disks.after_crash(if turn % 2 == 0 { Unsynced::Lost } else { Unsynced::Some(turn.into()) });
        super::store::check(&left.open(), &model, IDS, &format!("turn {turn}"));
    }
}
