//! What access control costs for each operation of OpenAM's account, with the ACIs that quickstart sets.

#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};

use ctsd::access::{
    AccessControl, AuthMethod, FilterAttributes, Limits, Origin, Privileges, Requester, Right,
    cts_account_acis, default_globals,
};
use ctsd::entry::{EntryBuilder, EntryUuid};
use ctsd::protocol::{filter_text, oid};
use ctsd::schema::{NormalizedDn, SchemaStore};

const SUFFIX: &str = "dc=cts,dc=example,dc=com";
const ACCOUNT: &str = "uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com";
const DN: &str =
    "coreTokenId=-4623843786787643,ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com";

fn access(criterion: &mut Criterion) {
    let schema = SchemaStore::builtin(true).current();
    let key = |dn: &str| NormalizedDn::parse(dn, &schema).expect("a DN");
    let control = AccessControl::new(schema.clone(), None);
    control.set_globals(&default_globals(false), &schema).expect("the default ACIs");
    control.set_entry(&key(SUFFIX), &cts_account_acis(ACCOUNT), &schema).expect("the account's ACIs");
    let set = control.current();

    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let origin = Origin { method: AuthMethod::Simple, address, security_strength: 0 };
    let account = Requester::new(ACCOUNT, key(ACCOUNT), Privileges::none(), Limits::NONE, origin);
    let nobody = Requester::anonymous(address, 0, Limits::NONE);
    let token = key(DN);
    let mut builder = EntryBuilder::new();
    for (name, value) in [
        ("objectClass", "frCoreToken"),
        ("coreTokenId", "-4623843786787643"),
        ("coreTokenType", "SESSION"),
        ("coreTokenExpirationDate", "20261122051638.043Z"),
        ("coreTokenString13", "VALID"),
    ] {
        builder.put(name, value, &schema);
    }
    let entry = builder.entry(DN, EntryUuid([7; 16]), 1);
    assert!(set.visible(&account, &entry, &token), "the account sees tokens");
    assert!(!set.visible(&nobody, &entry, &token), "nobody else does");

    criterion.bench_function("visible, account", |bencher| {
        bencher.iter(|| set.visible(black_box(&account), &entry, &token));
    });
    criterion.bench_function("visible, anonymous", |bencher| {
        bencher.iter(|| set.visible(black_box(&nobody), &entry, &token));
    });
    let text = "(&(coreTokenString03=handle)(objectClass=frCoreToken))";
    let filter = FilterAttributes::of(&filter_text::parse(text).expect("a filter"), &schema);
    criterion.bench_function("searchable", |bencher| {
        bencher.iter(|| set.searchable(black_box(&account), &entry, &token, &filter));
    });
    criterion.bench_function("write of one attribute", |bencher| {
        bencher.iter(|| set.may(black_box(&account), Right::Write, &entry, &token, "coreTokenObject"));
    });
    criterion.bench_function("add of an entry", |bencher| {
        bencher.iter(|| set.may_entry(black_box(&account), Right::Add, Some(&entry), &token));
    });
    criterion.bench_function("control", |bencher| {
        bencher.iter(|| set.may_control(black_box(&account), oid::POST_READ, &token));
    });
}

criterion_group!(benches, access);
criterion_main!(benches);
