//! The store as operations use it, against a model, across restarts and under concurrency.

mod administration;
mod bulk;
mod conformance;
mod order;
mod pieces;
mod replacement;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;
use crate::entry::{CompiledFilter, EntryBuilder, EntryUuid, PreparedModifications, StoredEntry, Tri};
use crate::log::fault::{Fault, MemDisk, Unsynced};
use crate::protocol::filter_text;
use crate::protocol::message::{ModifyOperation, Scope};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema, SchemaStore};

const SUFFIX: &str = "dc=example,dc=com";

fn schema_store() -> Arc<SchemaStore> {
    static STORE: OnceLock<Arc<SchemaStore>> = OnceLock::new();
    Arc::clone(STORE.get_or_init(|| Arc::new(SchemaStore::builtin(true))))
}

fn schema() -> Arc<Schema> {
    schema_store().current()
}

fn index(attribute: &str, types: &[IndexType]) -> IndexConfig {
    IndexConfig { attribute: attribute.into(), types: types.to_vec(), substring_length: 3 }
}

fn cts_indexes() -> Vec<IndexConfig> {
    use IndexType::{Equality, Ordering, Presence, Substring};
    vec![
        index("objectClass", &[Equality]),
        index("entryUUID", &[Equality]),
        index("etag", &[Equality]),
        index("coreTokenUserId", &[Equality, Substring]),
        index("coreTokenExpirationDate", &[Ordering]),
        index("coreTokenDate02", &[Equality]),
        index("coreTokenString01", &[Equality, Presence]),
        index("coreTokenMultiString01", &[Equality]),
    ]
}

#[derive(Clone, Default)]
struct Disks {
    home: MemDisk,
    log: MemDisk,
    /// Where the trees are, if they are on disk.
    index: Option<Arc<tempfile::TempDir>>,
}

impl Disks {
    fn options(indexes: Vec<IndexConfig>) -> BackendOptions {
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let mut options =
            BackendOptions::new("", vec![SUFFIX.into(), "dc=other".into()], clock, schema_store());
        options.indexes = indexes;
        options.segment_bytes = 256 << 10;
        options.cache_bytes = 1 << 20;
        options
    }

    fn open(&self, indexes: Vec<IndexConfig>) -> Backend {
        self.open_with(&Self::options(indexes), None).unwrap()
    }

    fn open_with(&self, options: &BackendOptions, store: Option<SharedStore>) -> Result<Backend, StoreError> {
        let mut options = options.clone();
        if let Some(directory) = &self.index {
            options.index_store = crate::config::IndexStoreKind::Sled;
            options.directory = directory.path().to_owned();
        }
        Backend::open_over(Arc::new(self.home.clone()), Arc::new(self.log.clone()), store, &options)
    }

    /// What a machine finds that lost power just now.
    fn after_crash(&self) -> Self {
        self.after(Unsynced::Lost)
    }

    fn after(&self, unsynced: Unsynced) -> Self {
        let index = self.index.clone();
        Self { home: self.home.after_crash(unsynced), log: self.log.after_crash(unsynced), index }
    }
}

fn key(dn: &str) -> NormalizedDn {
    NormalizedDn::parse(dn, &schema()).unwrap()
}

fn uuid(seed: u64) -> EntryUuid {
    let mut octets = [0; 16];
    octets[8..].copy_from_slice(&seed.to_be_bytes());
    EntryUuid::v4(octets)
}

fn new_entry(dn: &str, attributes: &[(&str, &str)]) -> NewEntry {
    static SEED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let schema = schema();
    let mut builder = EntryBuilder::new();
    for (name, value) in attributes {
        builder.put(name, value, &schema);
    }
    builder.complete_classes(&schema);
    crate::entry::take_rdn(dn, &mut builder, &schema, crate::entry::Naming::Completed).unwrap();
    let (user, operational) = builder.encode();
    NewEntry { dn: dn.into(), uuid: uuid(SEED.fetch_add(1, Ordering::Relaxed)), user, operational }
}

fn submit(backend: &dyn TokenStore, target: &str, kind: ChangeKind) -> Result<Committed, ChangeError> {
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    backend.submit(Change { target: key(target), kind, done });
    receiver.recv_timeout(Duration::from_secs(180)).expect("an answer")
}

fn code(result: Result<Committed, ChangeError>) -> ResultCode {
    match result {
        Ok(_) => ResultCode::SUCCESS,
        Err(ChangeError::Refused(result)) => result.code,
        Err(ChangeError::Store(error)) => panic!("{error}"),
    }
}

fn add_kind(dn: &str, attributes: &[(&str, &str)]) -> ChangeKind {
    ChangeKind::Add { entry: new_entry(dn, attributes), check: None }
}

fn add(backend: &dyn TokenStore, dn: &str, attributes: &[(&str, &str)]) -> Result<Committed, ChangeError> {
    submit(backend, dn, add_kind(dn, attributes))
}

fn add_base(backend: &dyn TokenStore) {
    add(backend, SUFFIX, &[("objectClass", "domain")]).unwrap();
    for ou in ["a", "b"] {
        add(backend, &format!("ou={ou},{SUFFIX}"), &[("objectClass", "organizationalUnit")]).unwrap();
    }
}

fn token_dn(id: &str) -> String {
    format!("coreTokenId={id},ou=a,{SUFFIX}")
}

fn add_token(
    backend: &dyn TokenStore,
    id: &str,
    attributes: &[(&str, &str)],
) -> Result<Committed, ChangeError> {
    let all: Vec<_> = [("objectClass", "frCoreToken"), ("coreTokenType", "SESSION")]
        .into_iter()
        .chain(attributes.iter().copied())
        .collect();
    add(backend, &token_dn(id), &all)
}

struct Replace {
    name: String,
    value: Option<String>,
    refuse: bool,
}

impl Edit for Replace {
    fn decide(&mut self, current: &Arc<StoredEntry>) -> Result<Option<Verdict>, LdapResult> {
        if self.refuse {
            return Err(LdapResult::new(ResultCode::ASSERTION_FAILED, "no"));
        }
        let mut prepared = PreparedModifications::default();
        let values = self.value.iter().map(|value| value.as_bytes());
        prepared.push(ModifyOperation::Replace, &self.name, values, &schema()).unwrap();
        let edited = prepared.apply(current, false).unwrap();
        Ok(edited.map(|edited| Verdict {
            user: edited.user,
            operational: edited.operational,
            effects: edited.effects,
        }))
    }
}

fn replace(name: &str, value: Option<&str>) -> Box<dyn Edit> {
    Box::new(Replace { name: name.into(), value: value.map(Into::into), refuse: false })
}

fn modify(
    backend: &dyn TokenStore,
    dn: &str,
    name: &str,
    value: Option<&str>,
) -> Result<Committed, ChangeError> {
    submit(backend, dn, ChangeKind::Modify(replace(name, value)))
}

fn delete(backend: &dyn TokenStore, dn: &str, subtree: bool) -> Result<Committed, ChangeError> {
    submit(backend, dn, ChangeKind::Delete { check: Box::new(|_| Ok(())), subtree })
}

fn rename(backend: &dyn TokenStore, dn: &str, new_dn: &str) -> Result<Committed, ChangeError> {
    let edit = replace("coreTokenString14", Some(&format!("from {dn} to {new_dn}")));
    submit(backend, dn, ChangeKind::Rename { new_dn: new_dn.into(), new_key: key(new_dn), edit })
}

fn query(base: &str, scope: Scope, filter: &str) -> Query {
    let filter = CompiledFilter::compile(&filter_text::parse(filter).unwrap(), &schema());
    Query { base: key(base), scope, filter: Arc::new(filter) }
}

/// All matches, in the order given, read in pieces of `budget`; each entry once.
fn search_in(backend: &dyn TokenStore, query: &Query, budget: usize) -> Vec<String> {
    let mut stream = backend.open(query, None).unwrap().unwrap();
    let mut found = Vec::new();
    let mut more = true;
    while more {
        let mut out = Vec::new();
        more = stream.next(budget, &mut out).unwrap();
        for candidate in out {
            if query.filter.evaluate(&candidate.entry) == Tri::True {
                found.push(candidate.entry.dn().to_owned());
            }
        }
    }
    let distinct: BTreeSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "{found:?}");
    found
}

fn search(backend: &dyn TokenStore, base: &str, scope: Scope, filter: &str) -> BTreeSet<String> {
    search_in(backend, &query(base, scope, filter), 5).into_iter().collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Which of the numbered entries a filter finds.
type Expected = Box<dyn Fn(u32) -> bool>;

#[test]
fn results_are_precise() {
    let backend = Disks::default().open(cts_indexes());
    assert_eq!(code(add_token(&backend, "x", &[])), ResultCode::NO_SUCH_OBJECT);
    add_base(&backend);
    let Err(ChangeError::Refused(result)) = add(&backend, &format!("cn=a,ou=zz,ou=A,{SUFFIX}"), &[]) else {
        panic!("added below nothing");
    };
    assert_eq!((result.code, result.matched), (ResultCode::NO_SUCH_OBJECT, format!("ou=a,{SUFFIX}")));
    let first = add_token(&backend, "x", &[]).unwrap();
    assert_eq!(code(add_token(&backend, "X", &[])), ResultCode::ENTRY_ALREADY_EXISTS);
    let dn = token_dn("x");
    let second = modify(&backend, &dn, "coreTokenString01", Some("v")).unwrap();
    let etag = |committed: &Committed| committed.after.as_ref().unwrap().etag_state();
    assert_ne!(etag(&first), etag(&second));
    assert!(second.sequence > first.sequence && second.csn > first.csn);
    assert_eq!(second.before.as_ref().unwrap().etag_state(), etag(&first));
    // No change, no record.
    let same = modify(&backend, &dn, "coreTokenString01", Some("v")).unwrap();
    assert_eq!((same.sequence, etag(&same)), (0, etag(&second)));
    let refusing = Box::new(Replace { name: String::new(), value: None, refuse: true });
    assert_eq!(code(submit(&backend, &dn, ChangeKind::Modify(refusing))), ResultCode::ASSERTION_FAILED);
    assert_eq!(code(modify(&backend, &token_dn("y"), "coreTokenString01", None)), ResultCode::NO_SUCH_OBJECT);
    assert_eq!(code(delete(&backend, SUFFIX, false)), ResultCode::NOT_ALLOWED_ON_NON_LEAF);
    assert_eq!(backend.children(&key(&format!("ou=a,{SUFFIX}"))), 1);
    let gone = delete(&backend, &dn, false).unwrap();
    assert_eq!(gone.before.unwrap().first("coreTokenString01"), Some(&b"v"[..]));
    assert_eq!(code(delete(&backend, &dn, false)), ResultCode::NO_SUCH_OBJECT);
    assert_eq!(backend.children(&key(&format!("ou=a,{SUFFIX}"))), 0);
    assert!(backend.get(&key(&dn)).unwrap().is_none());
    assert_eq!(backend.deepest(&key(&dn)), format!("ou=a,{SUFFIX}"));
    assert_eq!(backend.deepest(&key("cn=nowhere")), "");
    assert_eq!(backend.entries(), 3);
}

#[test]
fn trials_change_nothing() {
    let backend = Disks::default().open(cts_indexes());
    add_base(&backend);
    add_token(&backend, "x", &[]).unwrap();
    let before = backend.stats().changes;
    let trial = |target: &str, kind| submit(&backend, target, ChangeKind::Trial(Box::new(kind)));
    let dn = token_dn("x");
    assert_eq!(code(trial(&token_dn("y"), add_kind(&token_dn("y"), &[]))), ResultCode::SUCCESS);
    assert_eq!(code(trial(&dn, add_kind(&dn, &[]))), ResultCode::ENTRY_ALREADY_EXISTS);
    let would = trial(&dn, ChangeKind::Modify(replace("coreTokenString01", Some("v")))).unwrap();
    assert_eq!(would.after.unwrap().first("coreTokenString01"), Some(&b"v"[..]));
    assert_eq!(
        code(trial(&dn, ChangeKind::Delete { check: Box::new(|_| Ok(())), subtree: false })),
        ResultCode::SUCCESS
    );
    assert_eq!(backend.stats().changes, before);
    assert!(backend.get(&key(&dn)).unwrap().unwrap().first("coreTokenString01").is_none());
    assert!(backend.get(&key(&token_dn("y"))).unwrap().is_none());
}

#[test]
fn a_subtree_goes_at_once() {
    let disks = Disks::default();
    let backend = disks.open(cts_indexes());
    add_base(&backend);
    for number in 0..20 {
        add_token(&backend, &number.to_string(), &[]).unwrap();
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let refuse = ChangeKind::Delete {
        check: Box::new(move |entry| {
            log.lock().unwrap().push(entry.dn().to_owned());
            if entry.dn().starts_with("coreTokenId=7,") {
                return Err(LdapResult::new(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, ""));
            }
            Ok(())
        }),
        subtree: true,
    };
    assert_eq!(
        code(submit(&backend, &format!("ou=a,{SUFFIX}"), refuse)),
        ResultCode::INSUFFICIENT_ACCESS_RIGHTS
    );
    assert_eq!(seen.lock().unwrap()[0], format!("ou=a,{SUFFIX}"));
    assert_eq!(backend.entries(), 23);
    let gone = delete(&backend, &format!("ou=a,{SUFFIX}"), true).unwrap();
    assert_eq!(gone.before.unwrap().dn(), format!("ou=a,{SUFFIX}"));
    assert_eq!(backend.entries(), 2);
    assert!(search(&backend, SUFFIX, Scope::Subtree, "(objectClass=frCoreToken)").is_empty());
    drop(backend);
    let backend = disks.open(cts_indexes());
    assert_eq!(backend.entries(), 2);
    assert_eq!(backend.children(&key(SUFFIX)), 1);
}

#[test]
fn entries_move() {
    let disks = Disks::default();
    let backend = disks.open(cts_indexes());
    add_base(&backend);
    add_token(&backend, "x", &[("coreTokenUserId", "u")]).unwrap();
    let moved = format!("coreTokenId=Y,ou=b,{SUFFIX}");
    assert_eq!(code(rename(&backend, &format!("ou=a,{SUFFIX}"), &moved)), ResultCode::UNWILLING_TO_PERFORM);
    assert_eq!(
        code(rename(&backend, &token_dn("x"), &format!("coreTokenId=x,ou=zz,{SUFFIX}"))),
        ResultCode::NO_SUCH_OBJECT
    );
    assert_eq!(
        code(rename(&backend, &token_dn("x"), &format!("ou=b,{SUFFIX}"))),
        ResultCode::ENTRY_ALREADY_EXISTS
    );
    let committed = rename(&backend, &token_dn("x"), &moved).unwrap();
    assert_eq!((committed.key, committed.new_key), (key(&token_dn("x")), Some(key(&moved))));
    let check = |backend: &Backend| {
        assert!(backend.get(&key(&token_dn("x"))).unwrap().is_none());
        assert_eq!(backend.get(&key(&moved)).unwrap().unwrap().dn(), moved);
        assert_eq!(backend.children(&key(&format!("ou=a,{SUFFIX}"))), 0);
        assert_eq!(backend.children(&key(&format!("ou=b,{SUFFIX}"))), 1);
        let found = search(backend, &format!("ou=b,{SUFFIX}"), Scope::One, "(coreTokenUserId=u)");
        assert_eq!(found, names(&[&moved]));
    };
    check(&backend);
    drop(backend);
    check(&disks.open(cts_indexes()));
}

#[test]
fn every_filter_finds_its_entries() {
    let backend = Disks::default().open(cts_indexes());
    add_base(&backend);
    let date = |day: u32| format!("202601{day:02}000000Z");
    for number in 1..=28_u32 {
        let (user, date) = (format!("user{}", number % 5), date(number));
        let multi = format!("multi {}", number % 3);
        let mut attributes = vec![
            ("coreTokenUserId", user.as_str()),
            ("coreTokenExpirationDate", date.as_str()),
            ("coreTokenMultiString01", multi.as_str()),
            ("coreTokenMultiString01", "shared"),
        ];
        if number % 7 == 0 {
            attributes.push(("coreTokenString01", "seven"));
        }
        if number == 3 {
            attributes.push(("coreTokenDate02", "20260103000000+0100"));
        }
        add_token(&backend, &number.to_string(), &attributes).unwrap();
    }
    let all: Vec<String> = (1..=28_u32).map(|number| token_dn(&number.to_string())).collect();
    let expect = |test: &dyn Fn(u32) -> bool| -> BTreeSet<String> {
        (1..=28_u32).filter(|&number| test(number)).map(|number| all[number as usize - 1].clone()).collect()
    };
    let x = backend.get(&key(&token_dn("9"))).unwrap().unwrap();
    let etag = format!("(etag={:016x})", x.etag_state());
    let by_uuid = format!("(entryUUID={})", x.uuid());
    let cases: Vec<(&str, Expected)> = vec![
        ("(&(coreTokenUserId=USER3)(objectClass=frCoreToken))", Box::new(|n| n % 5 == 3)),
        ("(coreTokenExpirationDate<=20260110020000+0200)", Box::new(|n| n <= 10)),
        (
            "(&(coreTokenExpirationDate<=20260110000000Z)(!(coreTokenExpirationDate=20260110000000Z)))",
            Box::new(|n| n < 10),
        ),
        (
            "(&(coreTokenExpirationDate>=20260105000000Z)(coreTokenExpirationDate<=20260110000000Z))",
            Box::new(|n| (5..=10).contains(&n)),
        ),
        ("(&(&)(objectClass=frCoreToken))", Box::new(|_| true)),
        (
            "(&(objectClass=frCoreToken)(coreTokenMultiString01=shared)(coreTokenUserId=user1))",
            Box::new(|n| n % 5 == 1),
        ),
        (
            "(|(coreTokenUserId=user1)(coreTokenMultiString01=multi 1)(coreTokenUserId=user2))",
            Box::new(|n| n % 5 == 1 || n % 3 == 1 || n % 5 == 2),
        ),
        (
            "(|(&(coreTokenUserId=user1)(coreTokenMultiString01=multi 1))(&(coreTokenUserId=user1)(coreTokenMultiString01=shared)))",
            Box::new(|n| n % 5 == 1),
        ),
        (
            "(&(objectClass=frCoreToken)(|(coreTokenUserId=user1)(coreTokenExpirationDate<=20260106000000Z)))",
            Box::new(|n| n % 5 == 1 || n <= 6),
        ),
        ("(coreTokenString01=*)", Box::new(|n| n % 7 == 0)),
        ("(coreTokenUserId=*ser4*)", Box::new(|n| n % 5 == 4)),
        ("(coreTokenUserId=u*4)", Box::new(|n| n % 5 == 4)),
        ("(coreTokenUserId=use*)", Box::new(|_| true)),
        ("(coreTokenMultiString01=m*)", Box::new(|_| true)),
        ("(coreTokenDate02<=20260102230000Z)", Box::new(|n| n == 3)),
        ("(coreTokenDate02=20260102230000Z)", Box::new(|n| n == 3)),
        ("(undefined=x)", Box::new(|_| false)),
        ("(!(undefined=x))", Box::new(|_| false)),
        ("(&(coreTokenUserId=user1)(undefined=x))", Box::new(|_| false)),
        ("(|(coreTokenUserId=user1)(undefined=x))", Box::new(|n| n % 5 == 1)),
        ("(|)", Box::new(|_| false)),
        (&etag, Box::new(|n| n == 9)),
        (&by_uuid, Box::new(|n| n == 9)),
    ];
    for (filter, test) in &cases {
        for scope in [Scope::Subtree, Scope::Subordinate] {
            assert_eq!(search(&backend, SUFFIX, scope, filter), expect(test), "{filter}");
        }
        assert_eq!(search(&backend, &format!("ou=a,{SUFFIX}"), Scope::One, filter), expect(test), "{filter}");
        assert!(search(&backend, &format!("ou=b,{SUFFIX}"), Scope::Subtree, filter).is_empty(), "{filter}");
        let plan = backend.plan(&query(SUFFIX, Scope::Subtree, filter));
        assert!(plan.indexed, "{filter}: {}", plan.explanation);
    }
    // What no index serves is found by looking at everything.
    let unindexed: Vec<(&str, &str, Expected)> = vec![
        ("(coreTokenType=SESSION)", "(coreTokenType=SESSION)", Box::new(|_| true)),
        ("(!(coreTokenUserId=user1))", "(!(coreTokenUserId=user1))", Box::new(|n| n % 5 != 1)),
        ("(|(coreTokenUserId=user1)(coreTokenId=4))", "(coreTokenId=4)", Box::new(|n| n % 5 == 1 || n == 4)),
    ];
    for (filter, part, test) in &unindexed {
        assert_eq!(search(&backend, &format!("ou=a,{SUFFIX}"), Scope::One, filter), expect(test), "{filter}");
        assert!(backend.plan(&query(&format!("ou=a,{SUFFIX}"), Scope::One, filter)).indexed);
        let plan = backend.plan(&query(SUFFIX, Scope::Subtree, filter));
        assert_eq!(
            (plan.indexed, plan.unindexed_part.as_deref()),
            (false, Some(*part)),
            "{}",
            plan.explanation
        );
    }
    assert_eq!(search(&backend, SUFFIX, Scope::Subtree, "(objectClass=*)").len(), 31);
    assert_eq!(search(&backend, SUFFIX, Scope::Subordinate, "(objectClass=*)").len(), 30);
    assert_eq!(search(&backend, SUFFIX, Scope::Base, "(objectClass=*)"), names(&[SUFFIX]));
    assert_eq!(search(&backend, SUFFIX, Scope::One, "(objectClass=*)").len(), 2);
    // A range comes in its order.
    let in_order =
        search_in(&backend, &query(SUFFIX, Scope::Subtree, "(coreTokenExpirationDate<=20260105000000Z)"), 2);
    assert_eq!(in_order, all[..5]);
    let plan =
        backend.plan(&query(SUFFIX, Scope::Subtree, "(&(objectClass=frCoreToken)(coreTokenUserId=user1))"));
    assert!(plan.explanation.contains("[INDEX:coreTokenUserId.equality]"), "{}", plan.explanation);
}

#[test]
fn classes_are_found_by_oid_and_name() {
    let backend = Disks::default().open(vec![index("objectClass", &[IndexType::Equality])]);
    add_base(&backend);
    let person = schema();
    let oid = &person.object_class("person").unwrap().oid;
    let dn = format!("cn=p,{SUFFIX}");
    add(&backend, &dn, &[("objectClass", "person"), ("objectClass", "2.5.6.6"), ("sn", "s")]).unwrap();
    for filter in ["(objectClass=PERSON)", &format!("(objectClass={oid})")] {
        assert_eq!(search(&backend, SUFFIX, Scope::Subtree, filter), names(&[&dn]));
    }
}

/// Pages of `size`, each opened anew after the last candidate taken, with something done in between.
fn pages(backend: &Backend, query: &Query, size: usize, mut between: impl FnMut(usize)) -> Vec<String> {
    let mut resume: Option<Resume> = None;
    let mut found = Vec::new();
    for page in 0.. {
        let mut stream = backend.open(query, resume.as_ref()).unwrap().unwrap();
        let mut out = Vec::new();
        while out.len() < size && stream.next(1, &mut out).unwrap() {}
        let Some(last) = out.last() else { break };
        resume = Some(last.resume.clone());
        found.extend(out.iter().map(|candidate| candidate.entry.dn().to_owned()));
        between(page);
    }
    found
}

#[test]
fn pages_go_on_where_they_were() {
    let backend = Disks::default().open(cts_indexes());
    add_base(&backend);
    for number in 0..50 {
        let date = format!("202601010000{number:02}Z");
        let user = format!("u{}", number % 2);
        let attributes = [("coreTokenExpirationDate", date.as_str()), ("coreTokenUserId", user.as_str())];
        add_token(&backend, &format!("{number:02}"), &attributes).unwrap();
    }
    let expected: Vec<String> = (0..50).map(|number| token_dn(&format!("{number:02}"))).collect();
    let range =
        query(SUFFIX, Scope::Subtree, "(&(coreTokenExpirationDate<=20270101000000Z)(coreTokenType=SESSION))");
    assert_eq!(pages(&backend, &range, 7, |_| ()), expected);
    // What was given is deleted between the pages, as the reaper does; the rest still comes, each once.
    let deleting = pages(&backend, &range, 7, |page| {
        for number in page * 7..(page + 1) * 7 - 2 {
            let _ = delete(&backend, &token_dn(&format!("{number:02}")), false);
        }
    });
    assert_eq!(deleting, expected);
    let left: BTreeSet<_> = search(&backend, SUFFIX, Scope::Subtree, "(objectClass=frCoreToken)");
    let union =
        query(SUFFIX, Scope::Subtree, "(|(coreTokenUserId=u0)(coreTokenUserId=u1)(objectClass=frCoreToken))");
    assert_eq!(pages(&backend, &union, 3, |_| ()).into_iter().collect::<BTreeSet<_>>(), left);
    let walk = query(SUFFIX, Scope::Subtree, "(!(coreTokenType=SESSION))");
    let walked = pages(&backend, &walk, 2, |_| ());
    assert_eq!(walked.len() as u64, backend.entries());
    assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), walked.len());
    // A resume point of another query, or nonsense, is refused.
    let mut stream = backend.open(&range, None).unwrap().unwrap();
    let mut out = Vec::new();
    stream.next(1, &mut out).unwrap();
    let other = query(SUFFIX, Scope::Subtree, "(coreTokenUserId=u1)");
    assert!(backend.open(&other, Some(&out[0].resume)).unwrap().is_none());
    assert!(backend.open(&other, Some(&Resume(vec![9, 9, 9].into()))).unwrap().is_none());
    backend.set_indexes(vec![index("objectClass", &[IndexType::Equality])]);
    assert!(backend.open(&range, Some(&out[0].resume)).unwrap().is_none());
}

fn wait_ready(backend: &Backend) {
    while !backend.index_states().iter().all(|(_, state)| state == "ready") {
        assert!(backend.unwilling().is_none());
        std::thread::yield_now();
    }
}

#[test]
fn indexes_are_built_while_changes_come() {
    let disks = Disks::default();
    let backend = disks.open(vec![index("objectClass", &[IndexType::Equality])]);
    add_base(&backend);
    for number in 0..400 {
        add_token(&backend, &number.to_string(), &[("coreTokenUserId", &format!("user{}", number % 4))])
            .unwrap();
    }
    let by_user = query(SUFFIX, Scope::Subtree, "(coreTokenUserId=user1)");
    assert!(!backend.plan(&by_user).indexed);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..400 {
                let id = number.to_string();
                match number % 4 {
                    0 => {
                        modify(&backend, &token_dn(&id), "coreTokenUserId", Some("user1")).map(drop).unwrap()
                    }
                    1 => delete(&backend, &token_dn(&id), false).map(drop).unwrap(),
                    2 => modify(&backend, &token_dn(&id), "coreTokenString01", Some("x")).map(drop).unwrap(),
                    _ => add_token(&backend, &format!("new{id}"), &[("coreTokenUserId", "user1")])
                        .map(drop)
                        .unwrap(),
                }
            }
        });
        backend.set_indexes(cts_indexes());
        writer.join().unwrap();
    });
    wait_ready(&backend);
    assert!(backend.plan(&by_user).indexed);
    assert_eq!(search_in(&backend, &by_user, 10).len(), 200);
    for (filter, count) in
        [("(coreTokenUserId=user0)", 0), ("(coreTokenUserId=user2)", 100), ("(coreTokenString01=x)", 100)]
    {
        assert_eq!(search(&backend, SUFFIX, Scope::Subtree, filter).len(), count, "{filter}");
    }
    // Dropped and made again: nothing of the old one is left.
    backend.set_indexes(vec![]);
    assert!(!backend.plan(&by_user).indexed);
    assert!(backend.index_states().is_empty());
    backend.set_indexes(cts_indexes());
    wait_ready(&backend);
    assert_eq!(search_in(&backend, &by_user, 10).len(), 200);
    let memory: BTreeMap<_, _> = backend.memory().into_iter().collect();
    assert!(memory.keys().any(|name| name.starts_with("coreTokenUserId.substring")), "{memory:?}");
}

struct Listener {
    backend: OnceLock<Arc<Backend>>,
    applied: Mutex<Vec<u64>>,
    notified: Mutex<Vec<(u64, String, bool)>>,
}

impl ChangeListener for Listener {
    fn applied(&self, changes: &[Committed]) {
        for change in changes {
            // The view shows the change already, and later ones of the group.
            if change.after.is_some() {
                let seen = self.backend.get().unwrap().get(&change.key).unwrap();
                assert!(seen.is_some());
            }
            self.applied.lock().unwrap().push(change.sequence);
        }
    }

    fn notify(&self, change: &Committed) {
        let entry = change.after.as_ref().or(change.before.as_ref()).unwrap();
        self.notified.lock().unwrap().push((change.sequence, entry.dn().to_owned(), change.after.is_none()));
    }
}

#[test]
fn listeners_hear_each_change_once_in_order() {
    let backend = Arc::new(Disks::default().open(cts_indexes()));
    add_base(&*backend);
    let listener = Arc::new(Listener {
        backend: OnceLock::new(),
        applied: Mutex::default(),
        notified: Mutex::default(),
    });
    listener.backend.set(Arc::clone(&backend)).unwrap();
    let subscription = backend.subscribe(listener.clone());
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let backend = &backend;
            scope.spawn(move || {
                for number in 0..50 {
                    let id = format!("{writer}-{number}");
                    add_token(&**backend, &id, &[]).unwrap();
                    if number % 2 == 0 {
                        delete(&**backend, &token_dn(&id), false).unwrap();
                    }
                }
            });
        }
    });
    // The notifier comes some time after the answers.
    while listener.notified.lock().unwrap().len() < 300 {
        std::thread::yield_now();
    }
    drop(subscription);
    add_token(&*backend, "unheard", &[]).unwrap();
    backend.close();
    let applied = listener.applied.lock().unwrap();
    assert_eq!(applied.len(), 300);
    assert!(applied.is_sorted());
    let notified = listener.notified.lock().unwrap();
    let heard: Vec<u64> = notified.iter().map(|(sequence, ..)| *sequence).collect();
    assert_eq!(heard, *applied);
    assert!(notified.iter().any(|(_, dn, is_gone)| *is_gone && dn.contains("0-0")));
}

#[test]
fn what_is_acknowledged_survives_a_crash() {
    let disks = Disks::default();
    let backend = disks.open(cts_indexes());
    add_base(&backend);
    let acknowledged = Mutex::new(BTreeMap::new());
    let crashed = std::thread::scope(|scope| {
        for writer in 0..4 {
            let (backend, acknowledged) = (&backend, &acknowledged);
            scope.spawn(move || {
                for number in 0..40 {
                    let id = format!("{writer}-{number}");
                    add_token(backend, &id, &[]).unwrap();
                    acknowledged.lock().unwrap().insert(id.clone(), 0);
                    modify(backend, &token_dn(&id), "coreTokenInteger01", Some("1")).unwrap();
                    acknowledged.lock().unwrap().insert(id, 1);
                }
            });
        }
        // In the middle of it.
        while acknowledged.lock().unwrap().len() < 50 {
            std::thread::yield_now();
        }
        let known = acknowledged.lock().unwrap().clone();
        (known, disks.after_crash())
    });
    let (known, disks) = crashed;
    let after = disks.open(cts_indexes());
    for (id, changed) in known {
        let entry = after.get(&key(&token_dn(&id))).unwrap().unwrap_or_else(|| panic!("{id} is lost"));
        assert!(changed == 0 || entry.first("coreTokenInteger01") == Some(b"1"), "{id}");
    }
    let found = search(&after, SUFFIX, Scope::Subtree, "(objectClass=frCoreToken)");
    assert_eq!(found.len() as u64 + 3, after.entries());
    assert_eq!(after.children(&key(&format!("ou=a,{SUFFIX}"))), found.len() as u64);
    add_token(&after, "later", &[]).unwrap();
}

#[test]
fn after_a_failed_write_nothing_is_taken_and_reads_go_on() {
    let disks = Disks::default();
    let backend = disks.open(cts_indexes());
    add_base(&backend);
    add_token(&backend, "x", &[]).unwrap();
    disks.log.fail_at(disks.log.points(), Fault::Once);
    disks.log.fail_at(disks.log.points() + 1, Fault::Once);
    let mut refused = false;
    for number in 0..3 {
        refused |= matches!(
            add_token(&backend, &format!("y{number}"), &[]),
            Err(ChangeError::Store(StoreError::Unwilling(_)))
        );
    }
    assert!(refused);
    assert!(backend.unwilling().is_some());
    assert!(matches!(add_token(&backend, "z", &[]), Err(ChangeError::Store(StoreError::Unwilling(_)))));
    assert!(backend.get(&key(&token_dn("x"))).unwrap().is_some());
    assert!(!search(&backend, SUFFIX, Scope::Subtree, "(objectClass=frCoreToken)").is_empty());
}

#[test]
fn a_panic_in_a_check_hurts_nobody_else() {
    struct Panics;
    impl Edit for Panics {
        fn decide(&mut self, _: &Arc<StoredEntry>) -> Result<Option<Verdict>, LdapResult> {
            panic!("by intention")
        }
    }
    let backend = Disks::default().open(cts_indexes());
    add_base(&backend);
    add_token(&backend, "x", &[]).unwrap();
    assert_eq!(
        code(submit(&backend, &token_dn("x"), ChangeKind::Modify(Box::new(Panics)))),
        ResultCode::OTHER
    );
    modify(&backend, &token_dn("x"), "coreTokenString01", Some("v")).unwrap();
}

#[test]
fn a_closed_store_answers() {
    let backend = Disks::default().open(cts_indexes());
    add_base(&backend);
    backend.close();
    assert!(matches!(add_token(&backend, "x", &[]), Err(ChangeError::Store(StoreError::Unwilling(_)))));
    assert_eq!(backend.entries(), 3);
}

#[test]
fn etags_never_repeat_and_survive() {
    let disks = Disks::default();
    let backend = disks.open(cts_indexes());
    add_base(&backend);
    let mut seen = BTreeSet::new();
    seen.insert(add_token(&backend, "x", &[]).unwrap().after.unwrap().etag_state());
    let dn = token_dn("x");
    let mut last = 0;
    for number in 0..100 {
        let value = if number % 2 == 0 { "a" } else { "b" };
        let committed = modify(&backend, &dn, "coreTokenString01", Some(value)).unwrap();
        last = committed.after.unwrap().etag_state();
        assert!(seen.insert(last));
    }
    drop(backend);
    let backend = disks.open(cts_indexes());
    assert_eq!(backend.get(&key(&dn)).unwrap().unwrap().etag_state(), last);
}

#[test]
fn readers_see_whole_versions_while_writers_write() {
    let backend = Disks::default().open(cts_indexes());
    add_base(&backend);
    add_token(&backend, "x", &[("coreTokenUserId", "u"), ("coreTokenString01", "0")]).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Found at all times, whatever it is found by.
                    assert!(backend.get(&key(&token_dn("x"))).unwrap().is_some());
                    assert_eq!(search(&backend, SUFFIX, Scope::Subtree, "(coreTokenUserId=u)").len(), 1);
                    assert_eq!(
                        search(
                            &backend,
                            SUFFIX,
                            Scope::Subtree,
                            "(&(coreTokenString01>=0)(objectClass=frCoreToken))"
                        )
                        .len(),
                        1
                    );
                }
            });
        }
        for number in 1..200 {
            modify(&backend, &token_dn("x"), "coreTokenString01", Some(&number.to_string())).unwrap();
            // Read your writes.
            let found = search(&backend, SUFFIX, Scope::Subtree, &format!("(coreTokenString01={number})"));
            assert_eq!(found.len(), 1);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8, u8),
    Modify(u8, Option<u8>),
    Delete(u8),
    Rename(u8, u8),
    Reopen,
    Crash,
    Checkpoint,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..12_u8, 0..6_u8).prop_map(|(id, value)| Step::Add(id, value)),
        4 => (0..12_u8, proptest::option::of(0..6_u8)).prop_map(|(id, value)| Step::Modify(id, value)),
        3 => (0..12_u8).prop_map(Step::Delete),
        2 => (0..12_u8, 0..12_u8).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => Just(Step::Checkpoint),
    ]
}

fn model_dn(id: u8) -> String {
    let ou = if id.is_multiple_of(2) { "a" } else { "b" };
    format!("coreTokenId={id},ou={ou},{SUFFIX}")
}

fn date(value: u8) -> String {
    format!("2026010{}000000Z", value + 1)
}

fn check_model(backend: &Backend, model: &BTreeMap<u8, Option<u8>>) {
    for id in 0..12 {
        let entry = backend.get(&key(&model_dn(id))).unwrap();
        let held = entry.as_ref().map(|entry| entry.first("coreTokenExpirationDate").map(<[u8]>::to_vec));
        let expected = model.get(&id).map(|value| value.map(|value| date(value).into_bytes()));
        assert_eq!(held, expected);
    }
    assert_eq!(backend.entries() as usize, model.len() + 3);
    for ou in 0..2_u8 {
        let below = model.keys().filter(|id| **id % 2 == ou).count() as u64;
        let ou = if ou == 0 { "a" } else { "b" };
        assert_eq!(backend.children(&key(&format!("ou={ou},{SUFFIX}"))), below);
    }
    let expect = |test: &dyn Fn(Option<u8>) -> bool| -> BTreeSet<String> {
        model.iter().filter(|(_, value)| test(**value)).map(|(id, _)| model_dn(*id)).collect()
    };
    for value in 0..6_u8 {
        let find = |sign: &str| {
            search(
                backend,
                SUFFIX,
                Scope::Subtree,
                &format!("(coreTokenExpirationDate{sign}{})", date(value)),
            )
        };
        assert_eq!(find("="), expect(&|held| held == Some(value)));
        assert_eq!(find("<="), expect(&|held| held.is_some_and(|held| held <= value)));
        assert_eq!(find(">="), expect(&|held| held.is_some_and(|held| held >= value)));
    }
    assert_eq!(search(backend, SUFFIX, Scope::Subtree, "(objectClass=frCoreToken)"), expect(&|_| true));
}

fn run_model(mut disks: Disks, options: &BackendOptions, steps: Vec<Step>) {
    let mut backend = disks.open_with(options, None).unwrap();
    add_base(&backend);
    let mut model: BTreeMap<u8, Option<u8>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Add(id, value) => {
                let attributes = [("objectClass", "frCoreToken"), ("coreTokenExpirationDate", &date(value))];
                let added = code(add(&backend, &model_dn(id), &attributes));
                if let std::collections::btree_map::Entry::Vacant(e) = model.entry(id) {
                    assert_eq!(added, ResultCode::SUCCESS);
                    e.insert(Some(value));
                } else {
                    assert_eq!(added, ResultCode::ENTRY_ALREADY_EXISTS);
                }
            }
            Step::Modify(id, value) => {
                let text = value.map(date);
                let modified =
                    code(modify(&backend, &model_dn(id), "coreTokenExpirationDate", text.as_deref()));
                match model.get_mut(&id) {
                    Some(held) => {
                        assert_eq!(modified, ResultCode::SUCCESS);
                        *held = value;
                    }
                    None => assert_eq!(modified, ResultCode::NO_SUCH_OBJECT),
                }
            }
            Step::Delete(id) => {
                let deleted = code(delete(&backend, &model_dn(id), false));
                let was = model.remove(&id).is_some();
                assert_eq!(deleted, if was { ResultCode::SUCCESS } else { ResultCode::NO_SUCH_OBJECT });
            }
            Step::Rename(from, to) => {
                let renamed = code(rename(&backend, &model_dn(from), &model_dn(to)));
                if !model.contains_key(&from) {
                    assert_eq!(renamed, ResultCode::NO_SUCH_OBJECT);
                } else if from != to && model.contains_key(&to) {
                    assert_eq!(renamed, ResultCode::ENTRY_ALREADY_EXISTS);
                } else {
                    assert_eq!(renamed, ResultCode::SUCCESS);
                    let value = model.remove(&from).flatten();
                    model.insert(to, value);
                }
            }
            Step::Reopen => {
                drop(backend);
                backend = disks.open_with(options, None).unwrap();
            }
            Step::Crash => {
                disks = disks.after_crash();
                drop(backend);
                backend = disks.open_with(options, None).unwrap();
            }
            Step::Checkpoint => {
                backend.checkpoint().unwrap();
            }
        }
        check_model(&backend, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn it_does_what_a_map_does(steps in proptest::collection::vec(step(), 1..60)) {
        run_model(Disks::default(), &Disks::options(cts_indexes()), steps);
    }
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disks = Disks::default();
    let backend = disks.open(cts_indexes());
    add_base(&backend);
    disks.log.set_capacity(Some(0));
    let blob = "x".repeat(20_000);
    let mut taken = Vec::new();
    let mut refused = Vec::new();
    for number in 0..80 {
        let id = number.to_string();
        match add_token(&backend, &id, &[("coreTokenString10", &blob)]) {
            Ok(_) => taken.push(id),
            Err(ChangeError::Store(StoreError::Unwilling(_))) => refused.push(id),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(!taken.is_empty() && refused.len() > 10);
    assert!(backend.unwilling().is_none());
    disks.log.set_capacity(None);
    for id in &refused {
        assert!(backend.get(&key(&token_dn(id))).unwrap().is_none());
        add_token(&backend, id, &[]).unwrap();
    }
    delete(&backend, &token_dn(&taken[0]), false).unwrap();
    assert_eq!(backend.entries(), 82);
    drop(backend);
    let backend = disks.open(cts_indexes());
    assert_eq!(backend.entries(), 82);
    assert_eq!(backend.children(&key(&format!("ou=a,{SUFFIX}"))), 79);
    assert!(backend.get(&key(&token_dn(&taken[1]))).unwrap().is_some());
}

#[test]
fn unions_know_children() {
    let backend = Disks::default().open(vec![index("ou", &[IndexType::Equality])]);
    add_base(&backend);
    add_token(&backend, "x", &[]).unwrap();
    let filter = "(|(&(ou=a)(hasSubordinates=TRUE))(&(ou=b)(hasSubordinates=TRUE)))";
    let mut stream = backend.open(&query(SUFFIX, Scope::Subtree, filter), None).unwrap().unwrap();
    let mut out = Vec::new();
    assert!(!stream.next(100, &mut out).unwrap());
    let found: Vec<_> = out.iter().map(|candidate| candidate.entry.dn().to_owned()).collect();
    assert_eq!(found, [format!("ou=a,{SUFFIX}")]);
}

#[test]
fn the_last_user_may_leave_from_a_callback() {
    let backend = Arc::new(Disks::default().open(vec![]));
    add_base(&*backend);
    let (sender, receiver) = mpsc::channel();
    let held = Mutex::new(Some(Arc::clone(&backend)));
    let dn = token_dn("x");
    let done = Box::new(move |result: Result<Committed, ChangeError>| {
        drop(held.lock().unwrap().take());
        sender.send(result.is_ok()).unwrap();
    });
    let kind = add_kind(&dn, &[("objectClass", "frCoreToken")]);
    let store = Arc::clone(&backend);
    drop(backend);
    store.submit(Change { target: key(&dn), kind, done });
    drop(store);
    assert!(receiver.recv_timeout(Duration::from_secs(180)).unwrap());
}
