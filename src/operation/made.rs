//! Entries that are made: their identity comes from their name, their etag from their content.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher128};

use crate::entry::{EntryBuilder, EntryUuid, StoredEntry};
use crate::schema::NormalizedDn;

/// Finishes an entry. The entryUUID is a function of the DN alone and stays; the etag changes with the content.
pub(crate) fn made(dn: &str, key: &NormalizedDn, builder: &EntryBuilder) -> Arc<StoredEntry> {
    let mut name = SipHasher128::new();
    name.write(key.as_bytes());
    let mut uuid = name.finish128().as_bytes();
    // RFC 9562: version 8 (free form), variant 10.
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut uuid;
    *version = (*version & 0x0f) | 0x80;
    *variant = (*variant & 0x3f) | 0x80;
    let (user, operational) = builder.encode();
    let mut content = SipHasher13::new();
    content.write(&user);
    content.write(&operational);
    Arc::new(builder.entry(dn, EntryUuid(uuid), content.finish()))
}
