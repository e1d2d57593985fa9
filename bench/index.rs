//! What the indexes cost by themselves: keys of a token, the trees, and the plan of a query.

#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

use ctsd::backend::{
    Backend, BackendOptions, Batch, BulkEntry, BulkLoader, EntryId, IndexConfig, IndexStore, IndexType,
    MemoryStore, Piece, Preparer, Query, TokenStore, TreeId, Visit,
};
use ctsd::clock::SystemClock;
use ctsd::entry::{CompiledFilter, EntryBuilder, EntryUuid};
use ctsd::log::fault::MemDisk;
use ctsd::protocol::filter_text;
use ctsd::protocol::message::Scope;
use ctsd::schema::{NormalizedDn, Schema, SchemaStore};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SUFFIX: &str = "dc=cts,dc=example,dc=com";
/// Tokens behind the plans.
const TOKENS: u64 = 50_000;
const EQUALITY: [&str; 8] = [
    "objectClass",
    "entryUUID",
    "coreTokenType",
    "coreTokenUserId",
    "coreTokenString02",
    "coreTokenString03",
    "coreTokenString13",
    "coreTokenDate02",
];

fn indexes() -> Vec<IndexConfig> {
    let index =
        |name: &str, kind| IndexConfig { attribute: name.to_owned(), types: vec![kind], substring_length: 6 };
    let ordered = index("coreTokenExpirationDate", IndexType::Ordering);
    EQUALITY.iter().map(|name| index(name, IndexType::Equality)).chain([ordered]).collect()
}

fn options(indexes: Vec<IndexConfig>, schema: &Arc<SchemaStore>) -> BackendOptions {
    let clock = Arc::new(SystemClock::new());
    let mut options = BackendOptions::new("", vec![SUFFIX.to_owned()], clock, Arc::clone(schema));
    options.indexes = indexes;
    options.cache_bytes = 1 << 30;
    options
}

/// An entry made ready.
struct Made {
    dn: String,
    key: NormalizedDn,
    uuid: EntryUuid,
    user: bytes::Bytes,
    operational: bytes::Bytes,
}

impl Made {
    fn of(dn: String, number: u64, attributes: &[(&str, &str)], schema: &Schema) -> Self {
        let mut builder = EntryBuilder::new();
        for (name, value) in attributes {
            builder.put(name, value, schema);
        }
        builder.complete_classes(schema);
        let (user, operational) = builder.encode();
        let key = NormalizedDn::parse(&dn, schema).expect("a DN");
        let mut octets = [0x5a; 16];
        for (octet, of) in octets.iter_mut().zip(spread(number).to_be_bytes()) {
            *octet = of;
        }
        Self { dn, key, uuid: EntryUuid::v4(octets), user, operational }
    }

    fn token(number: u64, schema: &Schema) -> Self {
        let id = format!("{:020}", spread(number));
        let user = format!("id=user{:05},ou=user,dc=openam,dc=example,dc=com", number % 10_000);
        let handle = handle(number);
        let expiry = format!("2026112205{:02}{:02}.{:03}Z", number / 60 % 60, number % 60, number % 1000);
        let attributes = [
            ("objectClass", "frCoreToken"),
            ("coreTokenId", id.as_str()),
            ("coreTokenType", "SESSION"),
            ("coreTokenExpirationDate", &expiry),
            ("coreTokenUserId", &user),
            ("coreTokenString01", "1795324598043"),
            ("coreTokenString02", &id),
            ("coreTokenString03", &handle),
            ("coreTokenString11", "/customers"),
            ("coreTokenString13", "VALID"),
            ("coreTokenDate02", "20261122051638.043Z"),
            ("coreTokenObject", "{}"),
        ];
        Self::of(format!("coreTokenId={id},{SUFFIX}"), number, &attributes, schema)
    }

    fn prepare(&self, preparer: &Preparer, piece: &mut Piece, number: u64) {
        let Self { dn, key, uuid, user, operational } = self;
        let entry = BulkEntry { dn, key, uuid: *uuid, etag: None, user, operational };
        preparer.prepare(piece, number, 0, &entry);
    }
}

fn spread(number: u64) -> u64 {
    number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn handle(number: u64) -> String {
    format!("shandle:AQIC5wM2LY4SfcwmVdbgTX-9WwyUHvhqc.{:020}.AAIxMA", spread(number))
}

/// An entry laid out as it is stored, with and without the keys of nine indexes: the difference is the keys.
fn keys(criterion: &mut Criterion) {
    let schema = Arc::new(SchemaStore::builtin(true));
    let token = Made::token(7, &schema.current());
    for (name, indexes) in [("no index", Vec::new()), ("nine indexes", indexes())] {
        let loader = BulkLoader::begin_on(
            Arc::new(MemDisk::new()),
            Arc::new(MemDisk::new()),
            &options(indexes, &schema),
        );
        let preparer = loader.expect("a new data set").preparer();
        criterion.bench_function(&format!("keys of a token, {name}"), |bencher| {
            bencher.iter_batched_ref(
                Piece::default,
                |piece| token.prepare(black_box(&preparer), piece, 1),
                BatchSize::SmallInput,
            );
        });
    }
}

/// A key of an equality index: a value and the entry's id.
fn key_of(number: u64, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(handle(number).as_bytes());
    out.push(0);
    out.extend_from_slice(&EntryId(number).to_bytes());
}

fn filled(store: &MemoryStore, tree: TreeId, numbers: Range<u64>) {
    let (mut batch, mut key) = (Batch::new(), Vec::new());
    for number in numbers {
        key_of(number, &mut key);
        batch.put(tree, &key, &[]);
        if batch.len() == 256 {
            store.apply(&batch).expect("memory takes it");
            batch.clear();
        }
    }
    store.apply(&batch).expect("memory takes it");
}

/// One key put and taken away again, looked up, and a range of sixteen, in trees of two sizes.
fn trees(criterion: &mut Criterion) {
    for (name, size) in [("100,000", 100_000), ("1,000,000", 1_000_000)] {
        let store = MemoryStore::new();
        let tree = store.tree("equality").expect("memory takes it");
        filled(&store, tree, 0..size);
        let (mut batch, mut key, mut number) = (Batch::new(), Vec::new(), size);
        criterion.bench_function(&format!("tree of {name} keys: insert and remove"), |bencher| {
            bencher.iter(|| {
                number += 1;
                key_of(number, &mut key);
                for puts in [true, false] {
                    batch.clear();
                    if puts {
                        batch.put(tree, &key, &[])
                    } else {
                        batch.remove(tree, &key)
                    }
                    store.apply(&batch).expect("memory takes it");
                }
            });
        });
        criterion.bench_function(&format!("tree of {name} keys: get"), |bencher| {
            bencher.iter(|| {
                number = number.wrapping_add(7_919) % size;
                key_of(number, &mut key);
                store.get(tree, black_box(&key), &mut |_| ()).expect("memory answers")
            });
        });
        criterion.bench_function(&format!("tree of {name} keys: range of 16"), |bencher| {
            bencher.iter(|| {
                number = number.wrapping_add(7_919) % size;
                key_of(number, &mut key);
                let (mut count, mut octets) = (0, 0);
                let mut visit = |key: &[u8], _: &[u8]| {
                    (count, octets) = (count + 1, octets + key.len());
                    if count < 16 { Visit::Continue } else { Visit::Stop }
                };
                store.range(tree, black_box(&key), None, &mut visit).expect("memory answers");
                octets
            });
        });
    }
}

/// OpenAM's queries over [`TOKENS`] tokens: planned, and opened and read to the first candidates.
fn plans(criterion: &mut Criterion) {
    let schema = Arc::new(SchemaStore::builtin(true));
    let definitions = schema.current();
    let (home, log) = (MemDisk::new(), MemDisk::new());
    let options = options(indexes(), &schema);
    let loader = BulkLoader::begin_on(Arc::new(home.clone()), Arc::new(log.clone()), &options);
    let mut loader = loader.expect("a new data set");
    let preparer = loader.preparer();
    let mut piece = Piece::default();
    let base = Made::of(SUFFIX.to_owned(), u64::MAX - 1, &[("objectClass", "domain")], &definitions);
    base.prepare(&preparer, &mut piece, 0);
    for number in 0..TOKENS {
        Made::token(number, &definitions).prepare(&preparer, &mut piece, number + 1);
    }
    let mut refused = 0;
    loader.load(piece, &mut |_, _| refused += 1).expect("memory takes it");
    assert_eq!((refused, loader.finish().expect("memory takes it").entries), (0, TOKENS + 1));
    let backend = Backend::open_on(Arc::new(home), Arc::new(log), &options).expect("the store opens");
    let base = NormalizedDn::parse(SUFFIX, &definitions).expect("a DN");
    let user =
        "(&(coreTokenUserId=id=user00042,ou=user,dc=openam,dc=example,dc=com)(objectClass=frCoreToken))";
    let handle = format!("(&(coreTokenString03={})(objectClass=frCoreToken))", handle(4_711));
    let expired = "(&(coreTokenExpirationDate<=20261122050001.000Z)(objectClass=frCoreToken))";
    for (name, text) in [("user", user), ("handle", &handle), ("expired", expired)] {
        let filter = CompiledFilter::compile(&filter_text::parse(text).expect("a filter"), &definitions);
        let query = Query { base: base.clone(), scope: Scope::Subtree, filter: Arc::new(filter) };
        assert!(backend.plan(&query).indexed, "{name}");
        criterion.bench_function(&format!("query by {name}: plan"), |bencher| {
            bencher.iter(|| backend.open(black_box(&query), None).expect("a plan").is_some());
        });
        criterion.bench_function(&format!("query by {name}: plan and first candidates"), |bencher| {
            bencher.iter(|| {
                let mut found = Vec::with_capacity(16);
                let mut stream = backend.open(black_box(&query), None).expect("a plan").expect("a start");
                stream.next(16, &mut found).expect("memory answers");
                found.len()
            });
        });
    }
}

criterion_group!(indexing, keys, trees, plans);
criterion_main!(indexing);
