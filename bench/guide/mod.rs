//! What the guide sets up, for benches that make a store of their own.

use ctsd::backend::{IndexConfig, IndexType};

pub(crate) const SUFFIX: &str = "dc=cts,dc=example,dc=com";
const EQUALITY: &[&str] = &[
    "objectClass",
    "entryUUID",
    "etag",
    "coreTokenUserId",
    "coreTokenString01",
    "coreTokenString02",
    "coreTokenString03",
    "coreTokenString08",
    "coreTokenString09",
    "coreTokenString10",
    "coreTokenString14",
    "coreTokenString15",
    "coreTokenInteger01",
    "coreTokenInteger02",
    "coreTokenDate03",
    "coreTokenDate04",
    "coreTokenDate05",
    "coreTokenMultiString01",
];
const ORDERING: &[&str] = &["coreTokenExpirationDate", "coreTokenDate01", "coreTokenDate02"];

/// The guide's indexes.
pub(crate) fn indexes() -> Vec<IndexConfig> {
    let index = |kind: IndexType| {
        move |name: &&str| IndexConfig { attribute: (*name).into(), types: vec![kind], substring_length: 6 }
    };
    let equality = EQUALITY.iter().map(index(IndexType::Equality));
    equality.chain(ORDERING.iter().map(index(IndexType::Ordering))).collect()
}
