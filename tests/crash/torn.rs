//! (c) The last group cut off and scribbled over at every offset.

use std::ops::Range;
use std::sync::{Arc, mpsc};

use ctsd::backend::{Backend, ChangeKind, TokenStore};
use ctsd::log::fault::{MemDisk, Unsynced};
use ctsd::log::{Log, Options};

use super::store::{
    Disks, Gate, Model, SEGMENT, Token, add_base, add_kind, agrees, delete_kind, dn, find, modify_kind,
    rename_kind, submit, submit_later, wait_for,
};

const IDS: u32 = 9;

/// Places of all records, by sequence: segment and octets.
fn places(disk: &MemDisk, dataset: [u8; 16]) -> Vec<(u64, u32, Range<usize>)> {
    let mut places = Vec::new();
    let mut options = Options::small(dataset, SEGMENT);
    options.recovery_threads = 0;
    Log::open(Arc::new(disk.after_crash(Unsynced::Kept)), options, &mut |record| {
        let place = record.place.record;
        let octets = place.offset as usize..(place.offset + place.len) as usize;
        places.push((record.sequence, place.segment, octets));
        Ok(())
    })
    .unwrap();
    places
}

/// One group of all kinds of changes. What is there after each of them, by sequence; the first is before the group.
fn one_group(backend: &Backend, model: &mut Model) -> Vec<(u64, Model)> {
    let mut states = vec![(backend.last_sequence(), model.clone())];
    let groups = backend.stats().groups;
    let (open, gate) = mpsc::channel();
    let first = submit_later(backend, &dn(0), ChangeKind::Modify(Box::new(Gate(gate, "w".into()))));
    let others = [
        (5, add_kind(&dn(5), Some("v"), 0)),
        (1, modify_kind("x")),
        (2, delete_kind(false)),
        (3, rename_kind(&dn(7), "y")),
        (6, add_kind(&dn(6), Some("v"), 30)),
    ];
    let others: Vec<_> =
        others.into_iter().map(|(id, kind)| (id, submit_later(backend, &dn(id), kind))).collect();
    open.send(()).unwrap();
    for (id, answer) in std::iter::once((0, first)).chain(others) {
        let committed = wait_for(&answer).unwrap();
        let to = if committed.new_key.is_some() { 7 } else { id };
        model.remove(&id);
        model.extend(committed.after.as_ref().map(|entry| (to, Token::of(entry))));
        states.push((committed.sequence, model.clone()));
    }
    assert_eq!(backend.stats().groups, groups + 1);
    states
}

#[test]
fn the_last_group_torn_at_every_offset() {
    let disks = Disks::new();
    let backend = disks.open();
    add_base(&backend).unwrap();
    let mut model = Model::new();
    for id in 0..4 {
        submit(&backend, &dn(id), add_kind(&dn(id), Some("v"), 0)).unwrap();
        model.insert(id, find(&backend, id).unwrap());
        if id == 1 {
            backend.checkpoint().unwrap();
        }
    }
    let states = one_group(&backend, &mut model);
    let dataset = backend.dataset_id();
    let left = disks.after_crash(Unsynced::Lost);
    drop(backend);
    let before = states[0].0;
    let group: Vec<_> =
        places(&left.log, dataset).into_iter().filter(|(sequence, ..)| *sequence > before).collect();
    assert_eq!(group.len(), 6);
    assert!(group.iter().all(|(_, segment, _)| *segment == 1));
    let name = "00000001.seg";
    let bytes = left.log.contents(name).unwrap();
    let (from, to) = (group[0].2.start, group[5].2.end);
    let (left, states, group) = (&left, &states, &group);
    let tear = |at: usize, scribbles: bool| {
        let torn = left.after_crash(Unsynced::Kept);
        if !scribbles {
            torn.log.truncate(name, at);
        } else if group.iter().any(|(.., octets)| octets.contains(&at)) {
            torn.log.scribble(name, at, &[bytes[at] ^ 0x55]);
        } else {
            return; // what lies between records means nothing
        }
        // Zeros at the end of a record that are cut off are there again: the rest of a file is zeros.
        let end = |octets: &Range<usize>| {
            let zeros = bytes[octets.clone()].iter().rev().take_while(|&&octet| octet == 0).count();
            if scribbles { octets.end } else { octets.end - zeros }
        };
        let kept = group.iter().filter(|(.., octets)| end(octets) <= at).count();
        let (last, expected) = &states[kept];
        let text = format!("octet {at}, scribbled: {scribbles}");
        let backend = torn.open();
        let found = backend.recovered();
        assert_eq!((found.last_sequence, found.damage.len()), (*last, 0), "{text}");
        for id in 0..IDS {
            assert_eq!(find(&backend, id).as_ref(), expected.get(&id), "{text}: token {id}");
        }
        assert_eq!(backend.entries(), expected.len() as u64 + 1, "{text}");
        // The start says where the log ends now, and how many whole records are given up behind that.
        match &found.cut {
            Some(cut) => {
                let whole = if scribbles { group.len() - kept - 1 } else { 0 };
                assert_eq!((cut.segment, cut.sequence, cut.records), (1, last + 1, whole as u64), "{text}");
                assert!(cut.octets > 0, "{text}");
            }
            None => assert!(!scribbles, "{text}"),
        }
        if at.is_multiple_of(97) {
            agrees(&backend, &text);
            submit(&backend, &dn(8), add_kind(&dn(8), Some("v"), 0)).unwrap();
            drop(backend);
            let backend = torn.open();
            assert!(backend.recovered().cut.is_none() && find(&backend, 8).is_some(), "{text}");
            agrees(&backend, &text);
        }
    };
    std::thread::scope(|scope| {
        let tear = &tear;
        for scribbles in [false, true] {
            scope.spawn(move || (from..to).for_each(|at| tear(at, scribbles)));
        }
    });
}
