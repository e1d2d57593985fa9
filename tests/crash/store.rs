//! A small store of tokens on disks in memory, and a model of what it holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use ctsd::backend::{
    Backend, BackendOptions, Change, ChangeError, ChangeKind, Committed, Edit, IndexConfig, IndexType,
    NewEntry, Query, StoreError, TokenStore, Verdict,
};
use ctsd::clock::ManualClock;
use ctsd::entry::{CompiledFilter, EntryBuilder, EntryUuid, PreparedModifications, StoredEntry, Tri};
use ctsd::log::fault::{MemDisk, Unsynced};
use ctsd::protocol::filter_text;
use ctsd::protocol::message::{ModifyOperation, Scope};
use ctsd::protocol::result::LdapResult;
use ctsd::schema::{NormalizedDn, Schema, SchemaStore};

pub(crate) const SUFFIX: &str = "dc=example,dc=com";
/// Octets of a segment.
pub(crate) const SEGMENT: u32 = 64 << 10;

fn schema_store() -> Arc<SchemaStore> {
    static STORE: OnceLock<Arc<SchemaStore>> = OnceLock::new();
    Arc::clone(STORE.get_or_init(|| Arc::new(SchemaStore::builtin(true))))
}

pub(crate) fn schema() -> Arc<Schema> {
    schema_store().current()
}

/// The disks of a store and its clock.
#[derive(Clone)]
pub(crate) struct Disks {
    pub(crate) home: MemDisk,
    pub(crate) log: MemDisk,
    pub(crate) clock: Arc<ManualClock>,
    /// Where sled has the trees, if it has them.
    pub(crate) sled: Option<Arc<tempfile::TempDir>>,
}

impl Disks {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        Self { home: MemDisk::new(), log: MemDisk::new(), clock, sled: None }
    }

    /// No purge but the one that is asked for; changes are kept for a minute.
    pub(crate) fn options(&self) -> BackendOptions {
        let clock = Arc::clone(&self.clock);
        let mut options = BackendOptions::new("", vec![SUFFIX.into()], clock, schema_store());
        let types = vec![IndexType::Equality];
        options.indexes =
            vec![IndexConfig { attribute: "coreTokenString01".into(), types, substring_length: 6 }];
        options.segment_bytes = SEGMENT;
        options.cache_bytes = 0;
        options.purge_interval = Duration::ZERO;
        options.space.purge_delay = Duration::from_secs(60);
        // Only those that are asked for.
        options.checkpoint_bytes = u64::MAX;
        if let Some(directory) = &self.sled {
            options.index_store = ctsd::config::IndexStoreKind::Sled;
            options.directory = directory.path().to_owned();
        }
        options
    }

    pub(crate) fn try_open_with(&self, options: &BackendOptions) -> Result<Backend, StoreError> {
        Backend::open_on(Arc::new(self.home.clone()), Arc::new(self.log.clone()), options)
    }

    pub(crate) fn try_open(&self) -> Option<Backend> {
        Backend::open_on(Arc::new(self.home.clone()), Arc::new(self.log.clone()), &self.options()).ok()
    }

    pub(crate) fn open(&self) -> Backend {
        Backend::open_on(Arc::new(self.home.clone()), Arc::new(self.log.clone()), &self.options()).unwrap()
    }

    /// What is found after the machine stopped just now.
    pub(crate) fn after_crash(&self, unsynced: Unsynced) -> Self {
        Self {
            home: self.home.after_crash(unsynced),
            log: self.log.after_crash(unsynced),
            clock: Arc::clone(&self.clock),
            sled: self.sled.clone(),
        }
    }
}

/// What is known of a token: content and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) value: Option<String>,
    pub(crate) etag: u64,
    pub(crate) last_csn: [u8; 12],
}

impl Token {
    pub(crate) fn of(entry: &StoredEntry) -> Self {
        let value = entry.first("coreTokenString01").map(|value| String::from_utf8(value.to_vec()).unwrap());
        Self { value, etag: entry.etag_state(), last_csn: entry.last_csn() }
    }
}

/// What must be there.
pub(crate) type Model = BTreeMap<u32, Token>;

pub(crate) fn key(dn: &str) -> NormalizedDn {
    NormalizedDn::parse(dn, &schema()).unwrap()
}

pub(crate) fn dn(id: u32) -> String {
    format!("coreTokenId=t{id},{SUFFIX}")
}

fn new_entry(dn: &str, attributes: &[(&str, &str)]) -> NewEntry {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let schema = schema();
    let mut builder = EntryBuilder::new();
    for (name, value) in attributes {
        builder.put(name, value, &schema);
    }
    builder.complete_classes(&schema);
    ctsd::entry::take_rdn(dn, &mut builder, &schema, ctsd::entry::Naming::Completed).unwrap();
    let (user, operational) = builder.encode();
    let mut octets = [0; 16];
    octets[8..].copy_from_slice(&SEED.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    NewEntry { dn: dn.into(), uuid: EntryUuid::v4(octets), user, operational }
}

struct Replace(String);

impl Edit for Replace {
    fn decide(&mut self, current: &Arc<StoredEntry>) -> Result<Option<Verdict>, LdapResult> {
        let mut prepared = PreparedModifications::default();
        let values = [self.0.as_bytes()].into_iter();
        prepared.push(ModifyOperation::Replace, "coreTokenString01", values, &schema()).unwrap();
        let edited = prepared.apply(current, false).unwrap();
        Ok(edited.map(|edited| Verdict {
            user: edited.user,
            operational: edited.operational,
            effects: edited.effects,
        }))
    }
}

/// An edit that is not decided before somebody lets it.
pub(crate) struct Gate(pub(crate) mpsc::Receiver<()>, pub(crate) String);

impl Edit for Gate {
    fn decide(&mut self, current: &Arc<StoredEntry>) -> Result<Option<Verdict>, LdapResult> {
        let _ = self.0.recv();
        Replace(self.1.clone()).decide(current)
    }
}

pub(crate) type Answer = mpsc::Receiver<Result<Committed, ChangeError>>;

/// Hands a change in; its answer comes later.
pub(crate) fn submit_later(backend: &Backend, target: &str, kind: ChangeKind) -> Answer {
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |result| drop(sender.send(result)));
    backend.submit(Change { target: key(target), kind, done });
    receiver
}

pub(crate) fn wait_for(answer: &Answer) -> Result<Committed, ChangeError> {
    answer.recv_timeout(Duration::from_secs(180)).expect("an answer")
}

pub(crate) fn submit(backend: &Backend, target: &str, kind: ChangeKind) -> Result<Committed, ChangeError> {
    wait_for(&submit_later(backend, target, kind))
}

/// An entry of any name with a value of its own.
pub(crate) fn add_kind(dn: &str, value: Option<&str>, octets: usize) -> ChangeKind {
    let blob = "x".repeat(octets);
    let mut attributes = if dn.starts_with("coreTokenId") {
        vec![("objectClass", "frCoreToken"), ("coreTokenType", "SESSION")]
    } else {
        vec![("objectClass", "organizationalUnit")]
    };
    attributes.extend(value.map(|value| ("coreTokenString01", value)));
    if octets > 0 {
        attributes.push(("coreTokenString10", &blob));
    }
    ChangeKind::Add { entry: new_entry(dn, &attributes), check: None }
}

pub(crate) fn modify_kind(value: &str) -> ChangeKind {
    ChangeKind::Modify(Box::new(Replace(value.into())))
}

pub(crate) fn delete_kind(subtree: bool) -> ChangeKind {
    ChangeKind::Delete { check: Box::new(|_| Ok(())), subtree }
}

pub(crate) fn rename_kind(to: &str, value: &str) -> ChangeKind {
    ChangeKind::Rename { new_dn: to.into(), new_key: key(to), edit: Box::new(Replace(value.into())) }
}

/// The entry of a name.
pub(crate) fn look(backend: &Backend, dn: &str) -> Option<Token> {
    backend.get(&key(dn)).unwrap().map(|entry| Token::of(&entry))
}

/// Waits until all indexes are built.
pub(crate) fn wait_ready(backend: &Backend) {
    while !backend.index_states().iter().all(|(_, state)| state == "ready") {
        std::thread::yield_now();
    }
}

/// View, names, counters, indexes, entry table and log agree.
pub(crate) fn agrees(backend: &Backend, at: &str) {
    wait_ready(backend);
    let report = backend.verify(None, &mut |_, _, _| true).unwrap();
    assert_eq!(report.differences, 0, "{at}: {:?}", report.found);
    assert_eq!(report.left_out, Vec::<String>::new(), "{at}");
    assert_eq!(report.entries, backend.entries(), "{at}");
}

pub(crate) fn add_base(backend: &Backend) -> Result<Committed, ChangeError> {
    let entry = new_entry(SUFFIX, &[("objectClass", "domain")]);
    submit(backend, SUFFIX, ChangeKind::Add { entry, check: None })
}

/// Adds a token with a value and so many octets beside.
pub(crate) fn add(backend: &Backend, id: u32, value: &str, octets: usize) -> Result<Committed, ChangeError> {
    let blob = "x".repeat(octets);
    let entry = new_entry(
        &dn(id),
        &[
            ("objectClass", "frCoreToken"),
            ("coreTokenType", "SESSION"),
            ("coreTokenString01", value),
            ("coreTokenString10", &blob),
        ],
    );
    submit(backend, &dn(id), ChangeKind::Add { entry, check: None })
}

pub(crate) fn modify(backend: &Backend, id: u32, value: &str) -> Result<Committed, ChangeError> {
    submit(backend, &dn(id), ChangeKind::Modify(Box::new(Replace(value.into()))))
}

pub(crate) fn delete(backend: &Backend, id: u32) -> Result<Committed, ChangeError> {
    submit(backend, &dn(id), ChangeKind::Delete { check: Box::new(|_| Ok(())), subtree: false })
}

pub(crate) fn find(backend: &Backend, id: u32) -> Option<Token> {
    backend.get(&key(&dn(id))).unwrap().map(|entry| Token::of(&entry))
}

/// The ids of the tokens with a value, by the index.
fn with_value(backend: &Backend, value: &str) -> Vec<String> {
    let filter = filter_text::parse(&format!("(coreTokenString01={value})")).unwrap();
    let filter = Arc::new(CompiledFilter::compile(&filter, &schema()));
    let query = Query { base: key(SUFFIX), scope: Scope::Subtree, filter };
    assert!(backend.plan(&query).indexed);
    let mut stream = backend.open(&query, None).unwrap().unwrap();
    let mut found = Vec::new();
    while stream.next(100, &mut found).unwrap() {}
    let matches = found.iter().filter(|one| query.filter.evaluate(&one.entry) == Tri::True);
    matches.map(|one| one.entry.dn().to_owned()).collect()
}

/// Everything is there, in the version it must have, and nothing else; by name, by index and by count.
pub(crate) fn check(backend: &Backend, model: &Model, ids: u32, at: &str) {
    for id in 0..ids {
        assert_eq!(find(backend, id).as_ref(), model.get(&id), "{at}: token {id}");
    }
    for (id, token) in model.iter().take(3) {
        let found = with_value(backend, token.value.as_deref().unwrap());
        assert!(found.contains(&dn(*id)), "{at}: token {id} by index");
    }
    assert_eq!(backend.entries(), model.len() as u64 + 1, "{at}");
    agrees(backend, at);
    assert_eq!(backend.children(&key(SUFFIX)), model.len() as u64, "{at}");
}

/// What is live, by segment. How long segments are that a start need not read is not known.
pub(crate) fn live_of(backend: &Backend) -> Vec<(u32, u64, u64)> {
    let segments = backend.segments();
    segments.iter().map(|one| (one.number, one.live_entries, one.live_octets)).collect()
}
