//! Corruption made by hand is found and named, by the start or by `verify-index`, and what can be put right is.

use std::sync::Arc;

use ctsd::backend::{
    Backend, Batch, EntryId, IndexStore, MemoryStore, Rebuild, SharedStore, Slot, TokenStore, TreeId,
    VerifyReport, Visit,
};
use ctsd::log::Place;
use ctsd::log::fault::Unsynced;

use super::store::{Disks, SEGMENT, SUFFIX, add, add_base, agrees, delete, dn, find, modify, wait_ready};

/// A store whose trees the test can reach.
struct Open {
    disks: Disks,
    trees: Arc<MemoryStore>,
    backend: Backend,
}

fn filled(tokens: u32) -> Open {
    let disks = Disks::new();
    let trees = Arc::new(MemoryStore::new());
    let (home, log) = (Arc::new(disks.home.clone()), Arc::new(disks.log.clone()));
    let store = Arc::clone(&trees) as SharedStore;
    let backend = Backend::open_over(home, log, Some(store), &disks.options()).unwrap();
    add_base(&backend).unwrap();
    for id in 0..tokens {
        add(&backend, id, "v", 200).unwrap();
    }
    wait_ready(&backend);
    Open { disks, trees, backend }
}

impl Open {
    fn tree(&self, name: &str) -> TreeId {
        let trees = self.trees.trees();
        trees.into_iter().find(|(one, _)| one.contains(name)).unwrap_or_else(|| panic!("{name}")).1
    }

    /// All keys of a tree that lead to an entry.
    fn keys_of(&self, tree: TreeId, id: EntryId) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut found, tail) = (Vec::new(), id.0.to_be_bytes());
        self.trees
            .range(tree, &[], None, &mut |key, value| {
                if key.ends_with(&tail) || value == tail {
                    found.push((key.to_vec(), value.to_vec()));
                }
                Visit::Continue
            })
            .unwrap();
        found
    }

    /// The id of the token: the base is 1, tokens come in order.
    fn id(token: u32) -> EntryId {
        EntryId(u64::from(token) + 2)
    }

    fn slot(&self, id: EntryId) -> Slot {
        self.trees.slot(id).unwrap().unwrap()
    }

    fn spoil(&self, spoil: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::new();
        spoil(&mut batch);
        self.trees.apply(&batch).unwrap();
    }

    fn verify(&self) -> VerifyReport {
        self.backend.verify(None, &mut |_, _, _| true).unwrap()
    }

    /// What is found, as index, DN and text.
    fn found(&self) -> Vec<(String, String, String)> {
        let report = self.verify();
        assert_eq!(report.differences, report.found.len() as u64);
        report.found.into_iter().map(|one| (one.index, one.dn, one.what)).collect()
    }

    fn is_found(&self, index: &str, dn: &str, what: &str) {
        let found = self.found();
        let is_same = |(i, d, w): &(String, String, String)| i == index && d == dn && w.contains(what);
        assert!(found.iter().any(is_same), "{index} {dn} {what}: {found:?}");
    }

    fn rebuild(&self, what: &[&str]) -> Vec<String> {
        let names = what.iter().map(|&name| name.to_owned()).collect();
        self.backend.rebuild(&Rebuild::Named(names), &mut |_, _| true).unwrap()
    }

    /// What was rebuilt, and nothing is wrong any more; nobody may write meanwhile.
    fn rebuilt(&self, what: &[&str]) -> Vec<String> {
        let rebuilt = self.rebuild(what);
        agrees(&self.backend, "rebuilt");
        rebuilt
    }
}

#[test]
fn index_keys_names_and_counters_are_named_and_rebuilt() {
    let open = filled(12);
    assert_eq!(open.found(), []);
    let (third, fourth) = (Open::id(3), Open::id(4));

    // A key that is missing, and one too many.
    let index = open.tree("coreTokenString01");
    let [(key, _)] = &open.keys_of(index, third)[..] else { panic!("one key") };
    open.spoil(|batch| batch.remove(index, key));
    open.is_found("coreTokenString01.equality", &dn(3), "a key of the entry is missing");
    let mut other = key.clone();
    let at = other.iter().position(|&octet| octet == b'v').unwrap();
    other[at] = b'u';
    open.spoil(|batch| batch.put(index, &other, &[]));
    open.is_found("coreTokenString01.equality", &dn(3), "has no such value");
    open.rebuilt(&["coreTokenString01"]);

    // A name that is missing, one that leads elsewhere, one too many.
    let names = open.tree("names");
    let [(name, value)] = &open.keys_of(names, third)[..] else { panic!("one name") };
    open.spoil(|batch| batch.remove(names, name));
    assert_eq!(find(&open.backend, 3), None);
    open.is_found("names", &dn(3), "its name is missing");
    assert_eq!(open.rebuilt(&["dn2id"]), ["names"]);
    assert!(find(&open.backend, 3).is_some());
    let stray = [&name[..8], b"stray"].concat();
    open.spoil(|batch| {
        batch.put(names, &stray, value);
        batch.put(names, name, &fourth.0.to_be_bytes());
    });
    open.is_found("names", &dn(3), "its name leads to another entry");
    open.is_found("names", &dn(3), "a name leads to an entry of another name");
    open.is_found("children", SUFFIX, "the counter says 12, the names are 13");
    open.rebuilt(&["names"]);

    // A counter, also while changes go on.
    open.spoil(|batch| batch.children(EntryId(1), 700));
    open.is_found("children", SUFFIX, "the counter says 700, the names are 12");
    std::thread::scope(|scope| {
        let backend = &open.backend;
        let writer = scope.spawn(move || {
            for turn in 0..200 {
                add(backend, 100 + turn, "v", 10).unwrap();
                if turn % 3 == 0 {
                    delete(backend, 100 + turn).unwrap();
                }
            }
        });
        assert_eq!(open.rebuild(&["children"]), ["names"]);
        assert_eq!(open.found(), []);
        writer.join().unwrap();
    });
    agrees(&open.backend, "afterwards");
    assert_eq!(open.backend.entries(), 12 + 1 + 200 - 67);
    // All of it is in the log: a start sees the same.
    let open_again = open.disks.after_crash(Unsynced::Lost).open();
    agrees(&open_again, "after a crash");
    assert_eq!(open_again.entries(), open.backend.entries());
}

#[test]
fn the_entry_table_is_compared_with_the_log() {
    let open = filled(6);
    modify(&open.backend, 3, "w").unwrap();
    delete(&open.backend, 5).unwrap();
    assert_eq!(open.found(), []);
    let (second, third, gone) = (Open::id(2), Open::id(3), Open::id(5));
    let (right, before) = (open.slot(third), open.slot(second));
    // An older version, a place that is none, an entry that is gone, one that is missing.
    let versions = first_places(&open);
    let old = Slot { place: versions[3], ..right };
    open.spoil(|batch| batch.slot(third, old));
    open.is_found("entries", &dn(3), "the table has an older version than the log");
    let nowhere = Place { offset: right.place.offset + 8, ..right.place };
    open.spoil(|batch| batch.slot(third, Slot { place: nowhere, ..right }));
    open.is_found("entries", "", "cannot be read");
    open.spoil(|batch| batch.slot(third, right));
    assert_eq!(open.found(), []);
    open.spoil(|batch| batch.slot(gone, Slot { place: versions[5], ..right }));
    open.is_found("entries", &dn(5), "the log says that it is gone");
    open.spoil(|batch| batch.forget(gone));
    open.spoil(|batch| batch.forget(second));
    open.is_found("entries", &dn(2), "the log has it, the table does not");
    open.spoil(|batch| batch.slot(second, before));
    assert_eq!(open.found(), []);
    // A start from the log alone, as the offline rebuild makes it, has everything right whatever was wrong here.
    open.spoil(|batch| batch.forget(second));
    let again = open.disks.after_crash(Unsynced::Lost).open();
    agrees(&again, "from the log");
    assert_eq!(again.entries(), 6);
}

/// Where the first version of each token is, told by the log.
fn first_places(open: &Open) -> Vec<Place> {
    let options = ctsd::log::Options::small(open.backend.dataset_id(), SEGMENT);
    let disk = Arc::new(open.disks.log.after_crash(Unsynced::Kept));
    let mut places = Vec::new();
    ctsd::log::Log::open(disk, options, &mut |record| {
        // The stored entry ends the envelope's payload; where it starts the local part says.
        let number = |at: usize| u32::from_be_bytes(record.local[at..at + 4].try_into().unwrap());
        if record.kind == 1 {
            places.push(record.place.envelope.sub(number(18), number(22)));
        }
        Ok(())
    })
    .unwrap();
    places.remove(0);
    places
}

/// A start on a log with a bad record in the middle: the entries are named, nothing is written, the rest is served.
fn start_with_damage(disks: &Disks, expected: &[(u32, &str)], gone: &[u32], at: &str) {
    let left = disks.after_crash(Unsynced::Kept);
    let before = left.log.contents("00000001.seg");
    let backend = left.open();
    let found = backend.recovered();
    assert!(!found.damage.is_empty() && found.cut.is_none(), "{at}: {found:?}");
    let named: Vec<(String, &str)> =
        backend.loss().entries.iter().map(|entry| (entry.dn.clone(), entry.what)).collect();
    for (id, what) in expected {
        assert!(named.contains(&(dn(*id), *what)), "{at}: {what} of {id}: {named:?}");
    }
    assert_eq!((named.len(), backend.loss().unknown), (expected.len(), 0), "{at}: {named:?}");
    // Read-only, and it says why; the segment's file is as it was.
    let reason = backend.unwilling().unwrap().to_string();
    assert!(reason.contains("the log is damaged") && reason.contains("00000001.seg"), "{at}: {reason}");
    assert!(modify(&backend, 0, "never").is_err() && delete(&backend, 0).is_err(), "{at}");
    assert_eq!(backend.purge().unwrap().segments, 0, "{at}");
    assert_eq!(left.log.contents("00000001.seg"), before, "{at}");
    // What is not affected is served.
    for id in 0..6 {
        assert_eq!(find(&backend, id).is_none(), gone.contains(&id), "{at}: token {id}");
    }
    let report = backend.verify(None, &mut |_, _, _| true).unwrap();
    for (id, _) in expected {
        assert!(report.found.iter().any(|one| one.dn == dn(*id)), "{at}: {:?}", report.found);
    }
    assert!(report.found.iter().any(|one| one.index == "log" && one.key.starts_with("1:")), "{at}");
    drop(backend);
    assert!(left.open().unwilling().is_some(), "{at}: it stays so");
}

#[test]
fn a_bad_record_elsewhere_makes_the_store_read_only_and_names_the_entry() {
    let disks = Disks::new();
    let backend = disks.open();
    add_base(&backend).unwrap();
    let mut places = Vec::new();
    let mut record = |backend: &Backend| places.push(backend.last_sequence());
    for id in 0..6 {
        add(&backend, id, "v", 200).unwrap();
        record(&backend);
    }
    modify(&backend, 1, "w").unwrap();
    record(&backend);
    delete(&backend, 2).unwrap();
    record(&backend);
    // So much behind it that it was durable for certain.
    for id in 10..40 {
        add(&backend, id, "v", 3000).unwrap();
    }
    let dataset = backend.dataset_id();
    let disks = disks.after_crash(Unsynced::Lost);
    drop(backend);
    let at = |sequence: u64| {
        let options = ctsd::log::Options::small(dataset, SEGMENT);
        let disk = Arc::new(disks.log.after_crash(Unsynced::Kept));
        let mut place = Place::default();
        ctsd::log::Log::open(disk, options, &mut |record| {
            if record.sequence == sequence {
                place = record.place.record;
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(place.segment, 1);
        place
    };
    let spoilt = |sequence: u64| {
        let left = disks.after_crash(Unsynced::Kept);
        let place = at(sequence);
        // The last octets: of an ADD and a MODIFY the entry's, of a DELETE the local part's.
        left.log.scribble("00000001.seg", (place.offset + place.len - 2) as usize, &[0xa5, 0xa5]);
        left
    };
    start_with_damage(&spoilt(places[3]), &[(3, "its adding is lost")], &[2, 3], "an ADD");
    start_with_damage(&spoilt(places[6]), &[(1, "a modification is lost")], &[2], "a MODIFY");
    start_with_damage(&spoilt(places[7]), &[(2, "its deletion is lost")], &[], "a DELETE");
}

#[test]
fn a_segment_that_is_gone_and_a_checkpoint_that_knew_it() {
    let disks = Disks::new();
    let backend = disks.open();
    add_base(&backend).unwrap();
    for id in 0..60 {
        add(&backend, id, "v", 3000).unwrap();
    }
    assert!(backend.segments().len() > 3);
    backend.checkpoint().unwrap();
    let total = backend.entries();
    let disks = disks.after_crash(Unsynced::Lost);
    drop(backend);
    {
        use ctsd::log::Disk;
        disks.log.remove("00000002.seg").unwrap();
    }
    let backend = disks.open();
    assert!(backend.unwilling().is_some());
    // The names are still known; what cannot be read is said, and reads of it fail instead of lying.
    let loss = backend.loss();
    assert!(loss.entries.len() > 10, "{loss:?}");
    assert!(loss.entries.iter().all(|entry| entry.what == "its content is lost"), "{loss:?}");
    let readable = (0..60).filter(|&id| backend.get(&super::store::key(&dn(id))).is_ok()).count();
    assert_eq!(readable + loss.entries.len(), 60);
    assert_eq!(backend.entries(), total);
    let report = backend.verify(None, &mut |_, _, _| true).unwrap();
    assert!(report.differences as usize >= loss.entries.len());
}

#[test]
fn a_scribble_while_it_serves_is_found_with_its_place_and_entry() {
    let open = filled(30);
    let place = open.slot(Open::id(7)).place;
    let name = format!("{:08}.seg", place.segment);
    open.disks.log.scribble(&name, (place.offset + place.len - 3) as usize, b"\xff\xff");
    let report = open.verify();
    let [log] = &report.found.iter().filter(|one| one.index == "log").collect::<Vec<_>>()[..] else {
        panic!("{report:?}")
    };
    let (segment, offset) = log.key.split_once(':').unwrap();
    assert_eq!(segment, place.segment.to_string());
    assert!(offset.parse::<u32>().unwrap() < place.offset);
    assert_eq!(log.dn, dn(7), "{report:?}");
    // The records behind it are read all the same.
    assert_eq!(report.records, 30);
}
