//! Other data takes the place of what is served.

use super::*;

fn options(directory: &std::path::Path) -> BackendOptions {
    let mut options = Disks::options(cts_indexes());
    options.directory = directory.to_owned();
    options
}

#[derive(Default)]
struct Hears {
    told: Mutex<Vec<String>>,
}

impl Hears {
    fn say(&self, line: String) {
        self.told.lock().unwrap().push(line);
    }
}

impl ChangeListener for Hears {
    fn applied(&self, changes: &[Committed]) {
        changes
            .iter()
            .filter_map(|change| change.after.as_ref())
            .for_each(|entry| self.say(entry.dn().into()));
    }
    fn notify(&self, _change: &Committed) {}
    fn replacing(&self, store: &dyn TokenStore) {
        self.say(format!("replacing by {}", store.entries()));
    }
    fn replaced(&self) {
        self.say("replaced".into());
    }
}

/// A new data set in a directory, closed again.
fn make(directory: &std::path::Path, tokens: &[&str]) {
    let backend = Backend::open(&options(directory)).unwrap();
    add_base(&backend);
    for token in tokens {
        add_token(&backend, token, &[]).unwrap();
    }
    backend.close();
}

fn is_there(store: &dyn TokenStore, token: &str) -> bool {
    store.get(&key(&token_dn(token))).unwrap().is_some()
}

fn refusal(result: Result<Committed, ChangeError>) -> String {
    match result {
        Err(ChangeError::Store(StoreError::Unwilling(reason))) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_data_takes_over() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("db");
    let store = DataStore::open(options(&data)).unwrap();
    add_base(&*store);
    for number in 0..50 {
        add_token(&*store, &format!("old{number}"), &[]).unwrap();
    }
    let hears = Arc::new(Hears::default());
    let subscription = store.subscribe(Arc::clone(&hears) as Arc<dyn ChangeListener>);
    let dataset = store.current().dataset_id();
    let generation = store.generation();

    let replacement = store.begin_replacement("a test replaces the data").unwrap();
    assert!(store.begin_replacement("another").is_err());
    assert_eq!(refusal(add_token(&*store, "late", &[])), "a test replaces the data");
    assert!(is_there(&*store, "old7"));
    make(replacement.staging(), &["new1", "new2"]);
    // A search that goes on while the data is exchanged ends on what it began with.
    let everything = query(SUFFIX, Scope::Subtree, "(objectClass=frCoreToken)");
    let mut candidates = TokenStore::open(&*store, &everything, None).unwrap().unwrap();
    let mut found = Vec::new();
    candidates.next(10, &mut found).unwrap();
    let before = store.current();
    replacement.finish().unwrap();
    while candidates.next(10, &mut found).unwrap() {}
    assert_eq!(found.len(), 50);
    assert!(before.get(&key(&token_dn("old7"))).unwrap().is_some());

    assert!(is_there(&*store, "new1") && !is_there(&*store, "old7"));
    assert_eq!(search(&*store, SUFFIX, Scope::Subtree, "(objectClass=frCoreToken)").len(), 2);
    assert!(store.current().dataset_id() != dataset && store.generation() != generation);
    add_token(&*store, "after", &[]).unwrap();
    assert_eq!(
        *hears.told.lock().unwrap(),
        ["replacing by 5".to_owned(), "replaced".to_owned(), token_dn("after"),]
    );
    drop(subscription);
    add_token(&*store, "unheard", &[]).unwrap();
    assert_eq!(hears.told.lock().unwrap().len(), 3);
    assert!(!home.path().join("db.new").exists());
    store.current().close();
    drop((store, before, candidates));
    let store = DataStore::open(options(&data)).unwrap();
    assert!(is_there(&*store, "after") && !is_there(&*store, "old7"));
}

#[test]
fn what_is_not_finished_or_cannot_be_opened_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("db");
    let store = DataStore::open(options(&data)).unwrap();
    add_base(&*store);
    add_token(&*store, "old", &[]).unwrap();
    let replacement = store.begin_replacement("no").unwrap();
    make(replacement.staging(), &["new"]);
    drop(replacement);
    assert!(!home.path().join("db.new").exists());
    add_token(&*store, "more", &[]).unwrap();

    let replacement = store.begin_replacement("no").unwrap();
    std::fs::write(replacement.staging().join("dataset-id"), "nonsense").unwrap();
    assert!(replacement.finish().is_err());
    assert!(is_there(&*store, "old") && is_there(&*store, "more"));
    add_token(&*store, "again", &[]).unwrap();
    store.current().close();
    drop(store);
    let store = DataStore::open(options(&data)).unwrap();
    assert!(is_there(&*store, "again"));
}

#[test]
fn no_change_slips_through_a_freeze() {
    let home = tempfile::tempdir().unwrap();
    let store = DataStore::open(options(&home.path().join("db"))).unwrap();
    add_base(&*store);
    let stop = AtomicBool::new(false);
    let accepted = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (store, stop, accepted) = (&store, &stop, &accepted);
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Acquire) {
                    let id = format!("{writer}-{number}");
                    if add_token(&**store, &id, &[]).is_ok() {
                        accepted.lock().unwrap().push(id);
                    }
                    number += 1;
                }
            });
        }
        while accepted.lock().unwrap().len() < 100 {
            std::thread::yield_now();
        }
        let frozen = store.current().freeze("for a look").unwrap();
        let first = store.last_sequence();
        for _ in 0..1000 {
            std::thread::yield_now();
        }
        assert_eq!(store.last_sequence(), first);
        let seen = search(&*store, SUFFIX, Scope::Subtree, "(objectClass=frCoreToken)").len();
        drop(frozen);
        stop.store(true, Ordering::Release);
        assert!(seen >= 100);
    });
    for id in accepted.into_inner().unwrap() {
        assert!(is_there(&*store, &id));
    }
}
