//! What every index store does, whichever it is: one suite against a model.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::faulty::FaultyStore;
use super::super::index_store::{
    Batch, EntryId, IndexStore, Marks, Purpose, SharedStore, Slot, TreeId, Visit,
};
use super::super::memory::MemoryStore;
use super::super::sled::{SledStore, open_db};
use crate::log::Place;

const PURPOSE: Purpose = Purpose { dataset_id: [7; 16], fingerprint: 9 };
const CACHE: u64 = 8 << 20;

#[derive(Debug, Clone)]
enum Step {
    Put(u8, Vec<u8>, Vec<u8>),
    Remove(u8, Vec<u8>),
    Slot(u8, u32),
    Children(u8, u64),
    Forget(u8),
    /// Ends the batch.
    Apply,
    Drop(u8),
    Range(u8, Vec<u8>, Option<Vec<u8>>),
    Reopen,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(0_u8..3, 0..4),
        (0_u32..300).prop_map(|number| [b"long shared prefix ".as_slice(), &number.to_be_bytes()].concat()),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(vec![0xff; 3]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_u8, bytes(), proptest::collection::vec(any::<u8>(), 0..9)).prop_map(|(t, k, v)| Step::Put(t, k, v)),
        5 => (0..3_u8, bytes()).prop_map(|(tree, key)| Step::Remove(tree, key)),
        5 => (1..9_u8, any::<u32>()).prop_map(|(id, offset)| Step::Slot(id, offset)),
        2 => (1..9_u8, any::<u64>()).prop_map(|(id, children)| Step::Children(id, children)),
        2 => (1..9_u8).prop_map(Step::Forget),
        5 => Just(Step::Apply),
        1 => (0..3_u8).prop_map(Step::Drop),
        3 => (0..3_u8, bytes(), proptest::option::of(bytes())).prop_map(|(tree, from, to)| Step::Range(tree, from, to)),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Default, Clone)]
struct Model {
    trees: [BTreeMap<Vec<u8>, Vec<u8>>; 3],
    slots: BTreeMap<u64, Slot>,
    sequence: u64,
}

fn tree_name(number: u8) -> String {
    format!("tree{number}")
}

fn tree_of(store: &dyn IndexStore, number: u8) -> TreeId {
    store.tree(&tree_name(number)).unwrap()
}

fn all(store: &dyn IndexStore, tree: TreeId, from: &[u8], to: Option<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    store
        .range(tree, from, to, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Visit::Continue
        })
        .unwrap();
    found
}

fn check(store: &dyn IndexStore, model: &Model) {
    for (number, expected) in (0..).zip(&model.trees) {
        let tree = tree_of(store, number);
        let expected: Vec<_> = expected.clone().into_iter().collect();
        assert_eq!(all(store, tree, &[], None), expected);
        let estimate = store.estimate(tree, &[], None, 1 << 20).unwrap();
        assert_eq!((estimate.keys, estimate.is_more), (expected.len() as u64, false));
        for (key, value) in &expected {
            let mut found = Vec::new();
            assert!(store.get(tree, key, &mut |value| found = value.to_vec()).unwrap());
            assert_eq!(&found, value);
        }
        assert!(!store.get(tree, b"not there", &mut |_| panic!("visited")).unwrap());
    }
    for id in 0..10 {
        assert_eq!(store.slot(EntryId(id)).unwrap().as_ref(), model.slots.get(&id));
    }
    assert_eq!(store.entries(), model.slots.len() as u64);
    let (mut ids, mut token) = (Vec::new(), Some(0));
    while let Some(from) = token {
        token = store.ids(from, 3, &mut ids).unwrap();
    }
    ids.sort();
    assert_eq!(ids, model.slots.keys().map(|&id| EntryId(id)).collect::<Vec<_>>());
    assert_eq!(store.applied(), model.sequence);
    assert_eq!(store.stand(), (model.sequence, marks(model.sequence)));
}

fn marks(sequence: u64) -> Marks {
    let place = Place { segment: 1, offset: sequence as u32, len: 9 };
    if sequence == 0 {
        return Marks::default();
    }
    Marks { next_id: sequence + 1, oseq: sequence + 2, csn: [sequence as u8; 12], place }
}

/// Runs one script; `reopen` closes a store and opens it again, if it keeps anything.
fn run(mut store: SharedStore, steps: Vec<Step>, reopen: &dyn Fn(SharedStore) -> SharedStore) {
    let mut applied = Model::default();
    let mut model = applied.clone();
    let mut batch = Batch::new();
    for step in steps {
        match step {
            Step::Put(tree, key, value) => {
                batch.put(tree_of(&*store, tree), &key, &value);
                model.trees[usize::from(tree)].insert(key, value);
            }
            Step::Remove(tree, key) => {
                batch.remove(tree_of(&*store, tree), &key);
                model.trees[usize::from(tree)].remove(&key);
            }
            Step::Slot(id, offset) => {
                let slot = Slot {
                    place: Place { segment: 3, offset, len: 7 },
                    parent: EntryId(u64::from(id) / 2),
                    children: 5,
                };
                batch.slot(EntryId(u64::from(id)), slot);
                model.slots.insert(u64::from(id), slot);
            }
            Step::Children(id, children) => {
                batch.children(EntryId(u64::from(id)), children);
                if let Some(slot) = model.slots.get_mut(&u64::from(id)) {
                    slot.children = children;
                }
            }
            Step::Forget(id) => {
                batch.forget(EntryId(u64::from(id)));
                model.slots.remove(&u64::from(id));
            }
            Step::Apply => {
                model.sequence += 1;
                batch.applied = model.sequence;
                batch.marks = Some(marks(model.sequence));
                store.apply(&batch).unwrap();
                batch.clear();
                applied = model.clone();
                check(&*store, &applied);
            }
            Step::Drop(tree) => {
                // What the batch has for the old tree is gone with it.
                let old = tree_of(&*store, tree);
                store.set_complete(old, true).unwrap();
                store.drop_tree(old).unwrap();
                let new = tree_of(&*store, tree);
                assert_ne!(old, new);
                assert!(!store.is_complete(new));
                assert!(all(&*store, old, &[], None).is_empty());
                for model in [&mut model, &mut applied] {
                    model.trees[usize::from(tree)].clear();
                }
            }
            Step::Range(tree, from, to) => {
                let expected: Vec<_> = applied.trees[usize::from(tree)]
                    .range::<[u8], _>((Included(from.as_slice()), Unbounded))
                    .take_while(|(key, _)| to.as_ref().is_none_or(|to| *key < to))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                let tree = tree_of(&*store, tree);
                assert_eq!(all(&*store, tree, &from, to.as_deref()), expected);
                let bounded = store.estimate(tree, &from, to.as_deref(), 2).unwrap();
                assert!(bounded.is_more == (expected.len() > 2) || bounded.keys == expected.len() as u64);
            }
            Step::Reopen => {
                store = reopen(store);
                batch.clear();
                model = applied.clone();
                check(&*store, &applied);
            }
        }
    }
}

fn suite(cases: u32, make: &dyn Fn() -> SharedStore, reopen: &dyn Fn(SharedStore) -> SharedStore) {
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let steps = proptest::collection::vec(step(), 1..200);
    runner
        .run(&steps, |steps| {
            run(make(), steps, reopen);
            Ok(())
        })
        .unwrap();
}

#[test]
fn memory_conforms() {
    suite(64, &|| Arc::new(MemoryStore::new()), &|store| store);
}

#[test]
fn sled_conforms() {
    let directories = std::cell::RefCell::new(Vec::new());
    let open = |path: &std::path::Path| Arc::new(SledStore::open(path, PURPOSE, CACHE).unwrap());
    let make = || -> SharedStore {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        directories.replace(vec![directory]);
        store
    };
    suite(12, &make, &|store| {
        drop(store);
        open(directories.borrow().last().unwrap().path())
    });
}

#[test]
fn a_faulty_store_conforms_until_it_fails() {
    suite(8, &|| Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()))), &|store| store);
    let inner = Arc::new(MemoryStore::new());
    let store = FaultyStore::new(inner.clone());
    let tree = store.tree("t").unwrap();
    store.fail_at(store.writes() + 2);
    let mut batch = Batch::new();
    batch.put(tree, b"a", b"");
    store.apply(&batch).unwrap();
    batch.put(tree, b"b", b"");
    assert!(store.apply(&batch).is_err());
    assert!(store.tree("u").is_err());
    assert_eq!(all(&*inner, tree, &[], None), [(b"a".to_vec(), Vec::new())]);
}

#[test]
fn sled_for_something_else_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let put = |purpose: Purpose| {
        let store = SledStore::open(directory.path(), purpose, CACHE).unwrap();
        let was = (store.trees().len(), store.applied());
        let tree = store.tree("t").unwrap();
        store.set_complete(tree, true).unwrap();
        let mut batch = Batch::new();
        batch.put(tree, b"a", b"");
        batch.applied = 5;
        store.apply(&batch).unwrap();
        was
    };
    assert_eq!(put(PURPOSE), (0, 0));
    assert_eq!(put(PURPOSE), (1, 5));
    assert_eq!(put(Purpose { fingerprint: 10, ..PURPOSE }), (0, 0));
    let store = SledStore::open(directory.path(), Purpose { fingerprint: 10, ..PURPOSE }, CACHE).unwrap();
    assert!(store.is_complete(store.tree("t").unwrap()));
    drop(store);
    // A tree that was dropped halfway is swept.
    let db = open_db(directory.path(), CACHE).unwrap();
    db.remove(b"\x02t").unwrap();
    db.insert(b"\x03\0\0\x01\0rest", b"").unwrap();
    db.flush().unwrap();
    drop(db);
    let store = SledStore::open(directory.path(), Purpose { fingerprint: 10, ..PURPOSE }, CACHE).unwrap();
    drop(store);
    let db = open_db(directory.path(), CACHE).unwrap();
    assert_eq!(db.scan_prefix([3]).count(), 0);
    drop(db);
    // What is no store at all is replaced.
    SledStore::remove(directory.path()).unwrap();
    std::fs::create_dir(directory.path()).unwrap();
    std::fs::write(directory.path().join("conf"), b"nonsense").unwrap();
    std::fs::write(directory.path().join("db"), vec![9; 10_000]).unwrap();
    assert_eq!(put(PURPOSE), (0, 0));
}
