//! What an entry costs by itself: made from a request, changed, matched, and laid out for an answer.

#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, criterion_group, criterion_main};

use ctsd::entry::{
    CompiledFilter, EntryBuilder, EntryUuid, NoContext, PreparedModifications, Readable, Selection, Slices,
    StoredEntry,
};
use ctsd::protocol::decode::{Limits, decode};
use ctsd::protocol::message::{MessageId, ModifyOperation, Operation, Request};
use ctsd::protocol::{filter_text, request};
use ctsd::schema::{NormalizedDn, Schema, SchemaStore};

const DN: &str =
    "coreTokenId=-4623843786787643,ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com";
const OBJECT: [u8; 4096] = [0xa5; 4096];

fn decoded(put: impl FnOnce(&mut BytesMut)) -> Request {
    let mut out = BytesMut::new();
    put(&mut out);
    decode(out.freeze(), &Limits::default()).expect("the bench's own requests decode")
}

fn add() -> Request {
    let user: &[&[u8]] = &[b"id=user00042,ou=user,dc=openam,dc=example,dc=com"];
    let time: &[&[u8]] = &[b"20261122051638.043Z"];
    let attributes: &[request::Attribute<'_>] = &[
        ("objectClass", &[b"frCoreToken"]),
        ("coreTokenId", &[b"-4623843786787643"]),
        ("coreTokenType", &[b"SESSION"]),
        ("coreTokenExpirationDate", time),
        ("coreTokenUserId", user),
        ("coreTokenString01", &[b"1795324598043"]),
        ("coreTokenString02", &[&[b's'; 180]]),
        ("coreTokenString03", &[b"shandle:AQIC5wM2LY4SfcwmVdbgTX-9WwyUHvhqc"]),
        ("coreTokenString11", &[b"/customers"]),
        ("coreTokenString13", &[b"VALID"]),
        ("coreTokenString14", user),
        ("coreTokenDate01", time),
        ("coreTokenDate02", time),
        ("coreTokenObject", &[&OBJECT]),
    ];
    decoded(|out| request::add(out, MessageId(1), DN, attributes, &[]))
}

fn refresh() -> Request {
    let time: &[&[u8]] = &[b"20261122061638.043Z"];
    let object = [0x5a; 4096];
    let changes: &[(ModifyOperation, request::Attribute<'_>)] = &[
        (ModifyOperation::Replace, ("coreTokenString01", &[b"1795328198043"])),
        (ModifyOperation::Replace, ("coreTokenDate02", time)),
        (ModifyOperation::Replace, ("coreTokenExpirationDate", time)),
        (ModifyOperation::Replace, ("coreTokenObject", &[&object])),
    ];
    decoded(|out| request::modify(out, MessageId(1), DN, changes, &[]))
}

fn built(request: &Request, schema: &Schema) -> EntryBuilder {
    let Operation::Add(add) = request.operation() else { unreachable!("it is an add") };
    EntryBuilder::from_request(add.attributes, schema, false).expect("the bench's own token is valid")
}

fn stored(request: &Request, schema: &Schema) -> StoredEntry {
    let mut builder = built(request, schema);
    builder.complete_classes(schema);
    builder.put("createTimestamp", "20261122051638Z", schema);
    builder.put("creatorsName", "uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com", schema);
    builder.entry(DN, EntryUuid([7; 16]), 0x1234_5678_9abc_def0)
}

fn making(criterion: &mut Criterion) {
    let schema = SchemaStore::builtin(true).current();
    let (add, refresh) = (add(), refresh());
    criterion.bench_function("key of a token's DN", |bencher| {
        bencher.iter(|| NormalizedDn::parse(black_box(DN), &schema).expect("a DN"));
    });
    criterion.bench_function("entry of 5 KB from an add", |bencher| {
        bencher.iter(|| stored(black_box(&add), &schema));
    });
    let entry = stored(&add, &schema);
    let Operation::Modify(modify) = refresh.operation() else { unreachable!("it is a modify") };
    criterion.bench_function("refresh of a session: prepare", |bencher| {
        bencher.iter(|| PreparedModifications::prepare(black_box(modify.changes), &schema));
    });
    let prepared = PreparedModifications::prepare(modify.changes, &schema).expect("valid changes");
    criterion.bench_function("refresh of a session: apply", |bencher| {
        bencher.iter(|| prepared.apply(black_box(&entry), false).expect("applies"));
    });
    let bytes: Bytes = entry.as_bytes().clone();
    criterion.bench_function("stored entry: parse", |bencher| {
        bencher.iter(|| StoredEntry::parse(black_box(bytes.clone())).expect("parses"));
    });
}

fn looking(criterion: &mut Criterion) {
    let schema = SchemaStore::builtin(true).current();
    let entry = stored(&add(), &schema);
    for (name, text) in [
        ("presence", "(objectClass=*)"),
        (
            "session by handle",
            "(&(coreTokenString03=shandle:AQIC5wM2LY4SfcwmVdbgTX-9WwyUHvhqc)(objectClass=frCoreToken))",
        ),
        (
            "expired",
            "(&(&(coreTokenExpirationDate<=20261122051638.044Z)(!(coreTokenExpirationDate=20261122051638.044Z)))\
             (objectClass=frCoreToken))",
        ),
    ] {
        let filter = filter_text::parse(text).expect("a filter");
        criterion.bench_function(&format!("filter, {name}: compile"), |bencher| {
            bencher.iter(|| CompiledFilter::compile(black_box(&filter), &schema));
        });
        let compiled = CompiledFilter::compile(&filter, &schema);
        criterion.bench_function(&format!("filter, {name}: evaluate"), |bencher| {
            bencher.iter(|| compiled.evaluate(black_box(&entry)));
        });
    }
    for (name, wanted) in [("* etag", &["*", "etag"][..]), ("coreTokenId etag", &["coreTokenId", "etag"])] {
        let selection = Selection::of(wanted.iter().copied(), false, &schema);
        criterion.bench_function(&format!("project {name}"), |bencher| {
            bencher.iter(|| {
                let (mut scratch, mut slices) = (BytesMut::new(), Slices::new());
                let readable = Readable::ALL;
                selection.project(
                    black_box(&entry),
                    &schema,
                    &NoContext,
                    readable,
                    None,
                    &mut scratch,
                    &mut slices,
                );
                slices.iter().map(|slice| slice.len()).sum::<usize>()
            });
        });
    }
}

criterion_group!(entries, making, looking);
criterion_main!(entries);
