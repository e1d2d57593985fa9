//! The stored form of an entry.
//!
//! | offset | octets | content |
//! |---|---|---|
//! | 0 | 1 | format version, 1 |
//! | 1 | 1 | flags, 0 |
//! | 2 | 16 | entryUUID |
//! | 18 | 8 | etag state, big-endian (`design`: XOR over all changes) |
//! | 26 | 12 | CSN of the ADD |
//! | 38 | 12 | greatest CSN applied |
//! | 50 | 4 | octets of the DN |
//! | 54 | 4 | octets of the user attributes |
//! | 58 | 4 | octets of the operational attributes |
//! | 62 | | the DN as received, user attributes, operational attributes |
//!
//! Both attribute lists are the content octets of a PartialAttributeList. entryUUID, etag, entryDN,
//! structuralObjectClass, subschemaSubentry, hasSubordinates and numSubordinates are not in the lists: they are made
//! when read.

use bytes::{BufMut, Bytes, BytesMut};

use super::list;
use crate::protocol::message::{Attributes, Values};

/// Why bytes are not a stored entry, or an entry cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The bytes are cut short or of another format version.
    #[error("not a stored entry: {0}")]
    Corrupt(&'static str),
}

/// The identity of an entry, for its whole life and on every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryUuid(pub [u8; 16]);

impl EntryUuid {
    /// Makes 16 random octets a version 4 UUID (RFC 9562 §5.4).
    #[must_use]
    pub const fn v4(mut random: [u8; 16]) -> Self {
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut random;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        Self(random)
    }

    /// Reads the 36-character text form, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let mut octets = [0_u8; 16];
        let mut digits = 0_usize;
        if text.len() != 36 {
            return None;
        }
        for (index, character) in text.bytes().enumerate() {
            if matches!(index, 8 | 13 | 18 | 23) {
                if character != b'-' {
                    return None;
                }
                continue;
            }
            let digit = u8::try_from(char::from(character).to_digit(16)?).ok()?;
            let octet = octets.get_mut(digits / 2)?;
            *octet = (*octet << 4) | digit;
            digits += 1;
        }
        Some(Self(octets))
    }
}

impl std::fmt::Display for EntryUuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

/// Everything a stored entry is made of.
#[derive(Debug, Clone, Copy)]
pub struct EntryParts<'a> {
    /// The DN as received.
    pub dn: &'a str,
    /// The identity.
    pub uuid: EntryUuid,
    /// The etag's state.
    pub etag_state: u64,
    /// The CSN of the ADD.
    pub add_csn: [u8; 12],
    /// The greatest CSN applied.
    pub last_csn: [u8; 12],
    /// Encoded user attributes.
    pub user: &'a [u8],
    /// Encoded operational attributes.
    pub operational: &'a [u8],
}

/// Octets in front of the DN.
const HEADER: usize = 62;
const VERSION: u8 = 1;

/// One version of an entry; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    bytes: Bytes,
}

impl StoredEntry {
    /// Takes bytes in the stored form; checks the header and the lengths.
    pub fn parse(bytes: Bytes) -> Result<Self, EntryError> {
        let entry = Self { bytes };
        match entry.bytes.first() {
            None => return Err(EntryError::Corrupt("it is empty")),
            Some(&VERSION) => {}
            Some(_) => return Err(EntryError::Corrupt("it has another format version")),
        }
        if entry.bytes.len() < HEADER {
            return Err(EntryError::Corrupt("its header is cut short"));
        }
        let lengths = entry.number(50) as u64 + entry.number(54) as u64 + entry.number(58) as u64;
        if lengths + HEADER as u64 != entry.bytes.len() as u64 {
            return Err(EntryError::Corrupt("its lengths do not add up"));
        }
        if std::str::from_utf8(entry.slice(HEADER, entry.number(50))).is_err() {
            return Err(EntryError::Corrupt("its DN is not UTF-8"));
        }
        Ok(entry)
    }

    /// Puts the stored form together. Lists and DN of 4 GiB and more are not representable; callers bound their
    /// input far below.
    pub fn compose(parts: &EntryParts<'_>) -> Self {
        let total = HEADER + parts.dn.len() + parts.user.len() + parts.operational.len();
        let mut out = BytesMut::with_capacity(total);
        out.put_u8(VERSION);
        out.put_u8(0);
        out.put_slice(&parts.uuid.0);
        out.put_u64(parts.etag_state);
        out.put_slice(&parts.add_csn);
        out.put_slice(&parts.last_csn);
        for length in [parts.dn.len(), parts.user.len(), parts.operational.len()] {
            out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        }
        out.put_slice(parts.dn.as_bytes());
        out.put_slice(parts.user);
        out.put_slice(parts.operational);
        Self { bytes: out.freeze() }
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn slice(&self, start: usize, length: usize) -> &[u8] {
        self.bytes.get(start..start.saturating_add(length)).unwrap_or_default()
    }

    fn array<const N: usize>(&self, start: usize) -> [u8; N] {
        self.bytes.get(start..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn number(&self, start: usize) -> usize {
        u32::from_be_bytes(self.array(start)) as usize
    }

    /// The DN as received.
    pub fn dn(&self) -> &str {
        std::str::from_utf8(self.slice(HEADER, self.number(50))).unwrap_or_default()
    }

    /// The entry's identity.
    pub fn uuid(&self) -> EntryUuid {
        EntryUuid(self.array(2))
    }

    /// The etag's 8 octets of state; the attribute's value is their 16 lower-case hex digits.
    pub fn etag_state(&self) -> u64 {
        u64::from_be_bytes(self.array(18))
    }

    /// The CSN of the ADD (see `changelog::Csn`).
    pub fn add_csn(&self) -> [u8; 12] {
        self.array(26)
    }

    /// The greatest CSN applied.
    pub fn last_csn(&self) -> [u8; 12] {
        self.array(38)
    }

    /// The user attributes' encoded list.
    pub fn user_list(&self) -> &[u8] {
        self.slice(HEADER + self.number(50), self.number(54))
    }

    /// The stored operational attributes' encoded list.
    pub fn operational_list(&self) -> &[u8] {
        self.slice(HEADER + self.number(50) + self.number(54), self.number(58))
    }

    /// The user attributes.
    pub fn user(&self) -> Attributes<'_> {
        Attributes::checked(self.user_list())
    }

    /// The operational attributes that are stored.
    pub fn operational(&self) -> Attributes<'_> {
        Attributes::checked(self.operational_list())
    }

    /// The values of the stored attribute of exactly this canonical description, user or operational; none if there
    /// is no such attribute. Options and subtypes are other descriptions.
    pub fn values(&self, canonical: &str) -> Option<Values<'_>> {
        let found = list::find(self.user_list(), canonical.as_bytes())
            .or_else(|| list::find(self.operational_list(), canonical.as_bytes()))?;
        Some(Values::checked(found.set))
    }

    /// The first value of [`Self::values`].
    pub fn first(&self, canonical: &str) -> Option<&[u8]> {
        self.values(canonical)?.iter().next()
    }

    /// Whether one of the objectClass values is this name, in any case. Values are compared as text: an OID is not
    /// resolved.
    pub fn is_a(&self, class: &str) -> bool {
        self.values("objectClass")
            .is_some_and(|values| values.iter().any(|value| value.eq_ignore_ascii_case(class.as_bytes())))
    }

    /// Whether it is a subentry, by RFC 3672 (`subentry`) or by the older draft (`ldapSubentry`).
    pub fn is_subentry(&self) -> bool {
        self.values("objectClass").is_some_and(|values| values.iter().any(is_subentry_class))
    }
}

/// Whether a value of objectClass makes its entry a subentry.
pub(crate) fn is_subentry_class(class: &[u8]) -> bool {
    class.eq_ignore_ascii_case(b"subentry") || class.eq_ignore_ascii_case(b"ldapSubentry")
}

/// The text of an etag.
pub(crate) fn etag_text(state: u64) -> [u8; 16] {
    let mut text = [0_u8; 16];
    for (index, digit) in text.iter_mut().enumerate() {
        let nibble = (state >> (60 - 4 * index)) & 0xf;
        *digit = b"0123456789abcdef".get(nibble as usize).copied().unwrap_or(b'0');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> StoredEntry {
        let mut user = BytesMut::new();
        list::put(&mut user, b"cn", [&b"a"[..], b"b"].into_iter());
        StoredEntry::compose(&EntryParts {
            dn: "cn=a,dc=x",
            uuid: EntryUuid([7; 16]),
            etag_state: 0x0123_4567_89ab_cdef,
            add_csn: [1; 12],
            last_csn: [2; 12],
            user: &user,
            operational: &[],
        })
    }

    #[test]
    fn what_is_composed_is_read_back() {
        let entry = StoredEntry::parse(entry().as_bytes().clone()).unwrap();
        assert_eq!(entry.dn(), "cn=a,dc=x");
        assert_eq!(entry.uuid(), EntryUuid([7; 16]));
        assert_eq!(&etag_text(entry.etag_state()), b"0123456789abcdef");
        assert_eq!((entry.add_csn(), entry.last_csn()), ([1; 12], [2; 12]));
        assert_eq!(entry.values("cn").unwrap().iter().count(), 2);
        assert_eq!(entry.first("cn"), Some(&b"a"[..]));
        assert!(entry.values("sn").is_none());
    }

    #[test]
    fn every_prefix_is_refused() {
        let whole = entry();
        for end in 0..whole.as_bytes().len() {
            assert!(StoredEntry::parse(whole.as_bytes().slice(..end)).is_err(), "{end}");
        }
    }

    #[test]
    fn uuids_are_read_as_they_are_printed() {
        let uuid = EntryUuid::v4([0xff; 16]);
        assert_eq!(uuid.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(EntryUuid::parse(&uuid.to_string().to_uppercase()), Some(uuid));
        assert_eq!(EntryUuid::parse("ffffffff-ffff-4fff-bfff_ffffffffffff"), None);
    }
}
