//! What the wire costs by itself: cutting, decoding and encoding the messages that OpenAM's token store sends most.

#![allow(clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use ctsd::ber::frame::{Cut, cut};
use ctsd::protocol::decode::{Limits, decode};
use ctsd::protocol::encode::{self, ResponseKind};
use ctsd::protocol::message::{Control, MessageId, Scope};
use ctsd::protocol::result::LdapResult;
use ctsd::protocol::{filter_text, oid, request, response};

const DN: &str =
    "coreTokenId=-4623843786787643,ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com";
const TRANSACTION: Control<'_> = Control {
    oid: oid::TRANSACTION_ID,
    critical: false,
    value: Some(b"5f0a7c1e-2b7d-4c06-9d55-2f6a1c9be1f3/1"),
};
const POST_READ: Control<'_> =
    Control { oid: oid::POST_READ, critical: true, value: Some(b"\x30\x06\x04\x04etag") };

/// A session's attributes with a coreTokenObject of 4096 octets.
fn attributes() -> Bytes {
    let object = vec![0xa5; 4096];
    let user: &[u8] = b"id=user00042,ou=user,dc=openam,dc=example,dc=com";
    let session = [b's'; 180];
    let list: [(&str, &[u8]); 14] = [
        ("objectClass", b"frCoreToken"),
        ("coreTokenId", b"-4623843786787643"),
        ("coreTokenType", b"SESSION"),
        ("coreTokenExpirationDate", b"20261122051638.043Z"),
        ("coreTokenUserId", user),
        ("coreTokenString01", b"1795324598043"),
        ("coreTokenString02", &session),
        ("coreTokenString03", b"shandle:AQIC5wM2LY4SfcwmVdbgTX-9WwyUHvhqc"),
        ("coreTokenString11", b"/customers"),
        ("coreTokenString13", b"VALID"),
        ("coreTokenString14", user),
        ("coreTokenDate01", b"20261122051638.043Z"),
        ("coreTokenDate02", b"20261122051638.043Z"),
        ("coreTokenObject", &object),
    ];
    let mut out = BytesMut::new();
    for (name, value) in list {
        encode::attribute(&mut out, name, std::iter::once(value));
    }
    out.freeze()
}

fn add() -> Bytes {
    let mut out = BytesMut::new();
    request::add_encoded(&mut out, MessageId(0x0100_0000), DN, &attributes(), &[TRANSACTION, POST_READ]);
    out.freeze()
}

fn read() -> Bytes {
    let mut search = request::Search::base(DN);
    search.size_limit = 1;
    search.attributes = &["*", "etag"];
    let mut out = BytesMut::new();
    request::search(&mut out, MessageId(0x0100_0000), &search, &[TRANSACTION]);
    out.freeze()
}

fn query() -> Bytes {
    let text = "(&(&(coreTokenExpirationDate<=20261122051638.043Z)(!(coreTokenExpirationDate=20261122051638.043Z)))\
                (objectClass=frCoreToken))";
    let mut search =
        request::Search::base("ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com");
    search.scope = Scope::Subtree;
    search.filter = filter_text::parse(text).expect("a filter");
    search.attributes = &["coreTokenId", "etag"];
    let mut out = BytesMut::new();
    request::search(&mut out, MessageId(0x0100_0000), &search, &[TRANSACTION]);
    out.freeze()
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let limits = Limits::default();
    for (name, message) in [("add of 5 KB", add()), ("base search", read()), ("expiry query", query())] {
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| decode(black_box(message.clone()), &limits).expect("decodes"));
        });
    }
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut stream = BytesMut::new();
    (0..32).for_each(|_| stream.extend_from_slice(&read()));
    criterion.bench_function("cut 32 base searches out of a stream", |bencher| {
        bencher.iter_batched_ref(
            || stream.clone(),
            |buffer| {
                let mut count = 0;
                while let Ok(Cut::Message(message)) = cut(buffer, 5_000_000) {
                    count += message.len();
                }
                count
            },
            BatchSize::SmallInput,
        );
    });
}

fn responses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let (stored, mut etag) = (attributes(), BytesMut::new());
    encode::attribute(&mut etag, "etag", std::iter::once(&b"00000000deadbeef"[..]));
    let mut out = BytesMut::with_capacity(1 << 16);
    group.bench_function("entry of 5 KB, stored octets spliced", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode::entry(&mut out, MessageId(77_777), DN, &[&stored, &etag], &[]);
            out.len()
        });
    });
    let success = LdapResult::success();
    group.bench_function("result", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode::result(&mut out, MessageId(77_777), ResponseKind::SearchDone, &success, &[]);
            out.len()
        });
    });
    group.bench_function("result with post-read etag", |bencher| {
        bencher.iter(|| {
            out.clear();
            let control = ctsd::protocol::control::read_entry::post_read(DN, &[&etag]);
            encode::result(&mut out, MessageId(77_777), ResponseKind::Add, &success, &[control]);
            out.len()
        });
    });
    group.finish();
    out.clear();
    encode::entry(&mut out, MessageId(77_777), DN, &[&stored, &etag], &[]);
    criterion.bench_function("client: decode an entry of 5 KB", |bencher| {
        bencher.iter(|| response::decode(black_box(&out)).expect("decodes").id);
    });
}

criterion_group!(codec, requests, frames, responses);
criterion_main!(codec);
