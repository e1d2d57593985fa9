//! Verifying and rebuilding indexes, at rest and under writes.

use super::super::index_store::{Batch, EntryId, TreeId, copy_over};
use super::super::view::name_key;
use super::*;

fn verify(backend: &Backend, indexes: Option<&[String]>) -> VerifyReport {
    backend.verify(indexes, &mut |_, _, _| true).unwrap()
}

fn texts(report: &VerifyReport) -> Vec<String> {
    report.found.iter().map(ToString::to_string).collect()
}

fn filled(tokens: u32) -> (Disks, Backend) {
    let disks = Disks::default();
    let backend = disks.open(cts_indexes());
    add_base(&backend);
    for number in 0..tokens {
        let user = format!("user{}", number % 7);
        let values = [("coreTokenUserId", user.as_str()), ("coreTokenString01", "v")];
        add_token(&backend, &number.to_string(), &values).unwrap();
    }
    (disks, backend)
}

fn tree(backend: &Backend, name: &str) -> TreeId {
    let indexes = backend.shared.view.indexes.load();
    indexes.indexes.iter().find(|index| index.name == name).unwrap().tree
}

fn id_of(backend: &Backend, dn: &str) -> EntryId {
    backend.shared.view.find(key(dn).as_bytes()).unwrap().unwrap()
}

fn keys_of(backend: &Backend, tree: TreeId, id: EntryId) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        if EntryId::from_tail(key) == Some(id) {
            found.push(key.to_vec());
        }
        Visit::Continue
    };
    backend.shared.view.store.range(tree, &[], None, &mut visit).unwrap();
    found
}

fn spoil(backend: &Backend, fill: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    fill(&mut batch);
    backend.shared.view.store.apply(&batch).unwrap();
}

#[test]
fn a_sound_store_has_no_differences() {
    let (disks, backend) = filled(100);
    rename(&backend, &token_dn("5"), &format!("coreTokenId=five,ou=b,{SUFFIX}")).unwrap();
    delete(&backend, &token_dn("6"), false).unwrap();
    let report = verify(&backend, None);
    assert_eq!((report.differences, texts(&report)), (0, Vec::new()));
    assert_eq!((report.entries, report.records), (102, 105));
    assert!(report.keys > 1000, "{}", report.keys);
    drop(backend);
    let backend = disks.open(cts_indexes());
    assert_eq!(verify(&backend, None).differences, 0);
}

#[test]
fn hand_made_corruption_is_found_and_named() {
    let (_, backend) = filled(20);
    let users = tree(&backend, "coreTokenUserId.equality");
    let three = id_of(&backend, &token_dn("3"));
    let [user] = &keys_of(&backend, users, three)[..] else { panic!("one key") };
    spoil(&backend, |batch| batch.remove(users, user));
    let report = verify(&backend, None);
    assert_eq!(report.differences, 1, "{report:?}");
    let [found] = &report.found[..] else { panic!("{report:?}") };
    assert_eq!(
        (found.index.as_str(), found.dn.as_str()),
        ("coreTokenUserId.equality", token_dn("3").as_str())
    );
    assert_eq!((found.key.len(), found.what.as_str()), (16, "a key of the entry is missing"));
    // Other indexes are not to blame.
    assert_eq!(verify(&backend, Some(&["coreTokenString01".into()])).differences, 0);
    assert_eq!(verify(&backend, Some(&["coretokenuserid.EQUALITY".into()])).differences, 1);
    assert!(backend.verify(Some(&["cn".into()]), &mut |_, _, _| true).is_err());
    // Built anew it is right again.
    assert_eq!(
        backend.rebuild(&Rebuild::Named(vec!["coreTokenUserId.equality".into()]), &mut |_, _| true).unwrap(),
        ["coreTokenUserId.equality"]
    );
    assert_eq!(verify(&backend, None).differences, 0);

    // Stray keys: of an entry with another value, and of none.
    let mut other = user.clone();
    let at = other.len() - 8;
    other.splice(at.., id_of(&backend, &token_dn("4")).to_bytes());
    let mut nobody = user.clone();
    nobody.splice(at.., EntryId(9999).to_bytes());
    spoil(&backend, |batch| {
        batch.put(users, &other, &[]);
        batch.put(users, &nobody, &[]);
    });
    let report = verify(&backend, None);
    let whats: BTreeSet<_> =
        report.found.iter().map(|found| (found.dn.clone(), found.what.clone())).collect();
    let expected = [
        (String::new(), "a key leads to an entry that is gone".to_owned()),
        (token_dn("4"), "a key leads to an entry that has no such value".to_owned()),
    ];
    assert_eq!(whats, expected.into());
    backend.rebuild(&Rebuild::All, &mut |_, _| true).unwrap();
    assert_eq!(verify(&backend, None).differences, 0);
}

#[test]
fn names_and_counters_are_compared() {
    // More children than are counted at once, and fewer.
    for tokens in [20, 200] {
        let (_, backend) = filled(tokens);
        let names = backend.shared.view.names;
        let container = id_of(&backend, &format!("ou=a,{SUFFIX}"));
        spoil(&backend, |batch| batch.children(container, u64::from(tokens) + 1));
        let report = verify(&backend, None);
        assert_eq!(report.differences, 1, "{report:?}");
        assert!(texts(&report)[0].ends_with(&format!(
            "dn=\"ou=a,{SUFFIX}\": the counter says {}, the names are {tokens}",
            tokens + 1
        )));
        spoil(&backend, |batch| {
            batch.children(container, u64::from(tokens));
            batch.put(names, &name_key(container, b"stray"), &id_of(&backend, &token_dn("1")).to_bytes());
        });
        let report = verify(&backend, None);
        let found: BTreeSet<_> = report.found.iter().map(|found| found.index.as_str()).collect();
        assert_eq!(found, ["children", "names"].into(), "{report:?}");
    }
}

#[test]
fn damage_on_the_disk_is_found() {
    let (disks, backend) = filled(20);
    let place = backend.shared.view.store.slot(id_of(&backend, &token_dn("3"))).unwrap().unwrap().place;
    let name = format!("{:08}.seg", place.segment);
    disks.log.scribble(&name, place.offset as usize + 80, b"\xff\xff\xff\xff\xff\xff\xff\xff");
    let report = verify(&backend, None);
    assert!(report.found.iter().any(|found| found.index == "log"), "{report:?}");
}

#[test]
fn changes_are_no_differences_and_a_rebuild_misses_none() {
    let (disks, backend) = filled(300);
    let backend = Arc::new(backend);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (backend, stop) = (Arc::clone(&backend), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut turn = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let id = format!("w{writer}-{}", turn % 50);
                    let user = format!("user{}", turn % 11);
                    let _ = match turn % 5 {
                        0 => delete(&*backend, &token_dn(&id), false),
                        1 | 2 => add_token(&*backend, &id, &[("coreTokenUserId", &user)]),
                        3 => modify(&*backend, &token_dn(&id), "coreTokenUserId", Some(&user)),
                        _ => rename(&*backend, &token_dn(&id), &token_dn(&format!("{id}-r{}", turn % 3))),
                    };
                    turn += 1;
                }
                turn
            })
        })
        .collect();
    for _ in 0..5 {
        let report = verify(&backend, None);
        assert_eq!(report.differences, 0, "{:?}", texts(&report));
        // Searches go on over the exchange and find what stands still.
        let all = query(SUFFIX, Scope::Subtree, "(coreTokenString01=v)");
        let mut stream = backend.open(&all, None).unwrap().unwrap();
        let mut out = Vec::new();
        assert!(stream.next(50, &mut out).unwrap());
        let rebuilt = backend.rebuild(&Rebuild::All, &mut |_, _| true).unwrap();
        assert!(rebuilt.len() >= 8, "{rebuilt:?}");
        while stream.next(50, &mut out).unwrap() {}
        assert_eq!(out.len(), 300);
    }
    stop.store(true, Ordering::Relaxed);
    let turns: u32 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    assert!(turns > 50);
    assert_eq!(verify(&backend, None).differences, 0);
    assert!(backend.index_states().iter().all(|(_, state)| state == "ready"), "{:?}", backend.index_states());
    assert!(backend.rebuild(&Rebuild::Degraded, &mut |_, _| true).unwrap().is_empty());
    drop(backend);
    assert_eq!(verify(&disks.open(cts_indexes()), None).differences, 0);
}

#[test]
fn rebuilds_and_comparisons_can_be_given_up() {
    let (_, backend) = filled(600);
    let before = backend.index_states();
    assert!(backend.rebuild(&Rebuild::All, &mut |_, _| false).is_err());
    assert_eq!(backend.index_states(), before);
    assert!(backend.verify(None, &mut |_, _, _| false).is_err());
    assert!(!backend.rebuild(&Rebuild::All, &mut |_, _| true).unwrap().is_empty());
    assert_eq!(verify(&backend, None).differences, 0);
}

#[test]
fn a_rebuild_gives_way_to_the_configuration() {
    let (_, backend) = filled(600);
    let mut is_first = true;
    let outcome = backend.rebuild(&Rebuild::All, &mut |_, _| {
        if std::mem::take(&mut is_first) {
            assert!(backend.index_states().iter().all(|(_, state)| state.starts_with("ready, rebuilding")));
            assert!(backend.rebuild(&Rebuild::All, &mut |_, _| true).is_err(), "one at a time");
            backend.set_indexes(vec![index("coreTokenUserId", &[IndexType::Equality])]);
        }
        true
    });
    assert!(matches!(outcome, Err(StoreError::Unwilling(_))), "{outcome:?}");
    assert_eq!(backend.index_states(), [("coreTokenUserId.equality".to_owned(), "ready".to_owned())]);
    assert_eq!(verify(&backend, None).differences, 0);
    assert!(!backend.memory().iter().any(|(name, _)| name.ends_with(".new")));
}

#[test]
fn a_tree_takes_the_content_of_another() {
    for copies in [true, false] {
        let store = MemoryStore::new();
        let (old, new) = (store.tree("a").unwrap(), store.tree("a.new").unwrap());
        let mut batch = Batch::new();
        (0..1000_u32).for_each(|number| batch.put(old, &number.to_be_bytes(), &[]));
        (500..1700_u32).for_each(|number| batch.put(new, &number.to_be_bytes(), &[]));
        store.apply(&batch).unwrap();
        if copies { copy_over(&store, old, new) } else { store.replace(old, new) }.unwrap();
        let mut keys = Vec::new();
        let mut visit = |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            Visit::Continue
        };
        store.range(old, &[], None, &mut visit).unwrap();
        let expected: Vec<_> = (500..1700_u32).map(|number| number.to_be_bytes().to_vec()).collect();
        assert_eq!(keys, expected);
        assert_eq!(store.estimate(new, &[], None, 10).unwrap().keys, 0);
        assert_eq!(store.tree("a").unwrap(), old);
    }
}
