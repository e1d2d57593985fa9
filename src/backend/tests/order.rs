//! The order of changes whose entries have to be read first, and how many of them may wait.

use super::*;

/// Occupies all readers for as long as it is there.
struct Occupied {
    _free: Vec<mpsc::Sender<()>>,
}

impl Occupied {
    fn keep_busy(backend: &Backend) -> Self {
        let (enter, entered) = mpsc::channel();
        let occupy = |_| {
            let (free, freed) = mpsc::channel::<()>();
            let enter = enter.clone();
            let job = move || {
                enter.send(()).unwrap();
                let _ = freed.recv();
            };
            backend.read_beside(Reading::One, Box::new(job));
            free
        };
        let free = (0..crate::backend::readers::THREADS).map(occupy).collect();
        for _ in 0..crate::backend::readers::THREADS {
            entered.recv_timeout(Duration::from_secs(180)).unwrap();
        }
        Self { _free: free }
    }
}

type Answers = mpsc::Receiver<(&'static str, u32, Result<Committed, ChangeError>)>;

#[test]
fn changes_of_cold_entries_keep_their_order_and_hold_up_no_others() {
    const EACH: u32 = 20;
    let disks = Disks::default();
    let backend = disks.open(cts_indexes());
    add_base(&backend);
    for id in ["cold", "colder", "warm"] {
        add_token(&backend, id, &[]).unwrap();
    }
    drop(backend);
    let backend = Disks { home: disks.home.clone(), ..disks }.open(cts_indexes());
    backend.get(&key(&token_dn("warm"))).unwrap().unwrap();
    for id in ["cold", "colder"] {
        assert!(backend.glance(&key(&token_dn(id))).unwrap().is_none(), "{id} is in memory");
    }
    let reading = Occupied::keep_busy(&backend);
    let (sender, answers): (_, Answers) = mpsc::channel();
    let submit = |id: &'static str, number: u32, kind: ChangeKind| {
        let sender = sender.clone();
        let done = Box::new(move |result| sender.send((id, number, result)).unwrap());
        backend.submit(Change { target: key(&token_dn(id)), kind, done });
    };
    for number in 0..EACH {
        for id in ["cold", "warm", "colder"] {
            submit(id, number, ChangeKind::Modify(replace("coreTokenString01", Some(&number.to_string()))));
        }
    }
    submit("cold", EACH, ChangeKind::Delete { check: Box::new(|_| Ok(())), subtree: false });
    submit("cold", EACH + 1, add_kind(&token_dn("cold"), &[("objectClass", "frCoreToken")]));
    let next = || answers.recv_timeout(Duration::from_secs(180)).unwrap();
    for expected in 0..EACH {
        let (id, number, result) = next();
        assert_eq!((id, number), ("warm", expected));
        result.unwrap();
    }
    assert_eq!(backend.stats().waiting, u64::from(2 * EACH + 2), "the rest waits for its entries");
    drop(reading);
    let mut answered: [Vec<(u32, u64)>; 2] = Default::default();
    for _ in 0..2 * EACH + 2 {
        let (id, number, result) = next();
        answered[usize::from(id == "colder")].push((number, result.unwrap().sequence));
    }
    for (of, count) in answered.iter().zip([EACH + 2, EACH]) {
        assert!(of.iter().map(|(number, _)| *number).eq(0..count), "{of:?}");
        assert!(of.is_sorted_by_key(|(_, sequence)| *sequence), "{of:?}");
    }
    let value = |id| {
        let entry = backend.get(&key(&token_dn(id))).unwrap().unwrap();
        entry.first("coreTokenString01").map(<[u8]>::to_vec)
    };
    assert_eq!(value("cold"), None, "the one that was added last");
    assert_eq!(value("colder"), Some((EACH - 1).to_string().into_bytes()));
}

#[test]
fn changes_that_wait_for_their_entries_count_as_waiting() {
    const MOST: usize = 5;
    let disks = Disks::default();
    let backend = disks.open(cts_indexes());
    add_base(&backend);
    add_token(&backend, "x", &[]).unwrap();
    drop(backend);
    let options = BackendOptions { queue_capacity: MOST, ..Disks::options(cts_indexes()) };
    let backend = disks.open_with(&options, None).unwrap();
    assert!(!backend.is_crowded());
    let reading = Occupied::keep_busy(&backend);
    let (sender, answers) = mpsc::channel();
    for number in 0..=MOST {
        let sender = sender.clone();
        let kind = ChangeKind::Modify(replace("coreTokenString01", Some(&number.to_string())));
        let done = Box::new(move |result| sender.send((number, result)).unwrap());
        backend.submit(Change { target: key(&token_dn("x")), kind, done });
    }
    assert!(backend.is_crowded());
    let next = || answers.recv_timeout(Duration::from_secs(180)).unwrap();
    let (number, refusal) = next();
    assert_eq!(number, MOST);
    assert!(matches!(refusal, Err(ChangeError::Store(StoreError::Busy))), "{refusal:?}");
    drop(reading);
    for expected in 0..MOST {
        let (number, result) = next();
        assert_eq!(number, expected);
        result.unwrap();
    }
    modify(&backend, &token_dn("x"), "coreTokenString01", Some("at last")).unwrap();
    assert!(!backend.is_crowded());
}
