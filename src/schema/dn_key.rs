//! The compare key of a DN.

use std::borrow::Borrow;
use std::cell::Cell;

use smallvec::SmallVec;

use super::{MatchingRule, Schema};
use crate::name::{Dn, DnError, DnReader, Rdn};

/// A DN under its matching rules, as bytes: root first, so that an entry's key is a prefix of every key below
/// it and a subtree is one range. Two DNs name the same entry iff their keys are equal.
///
/// Layout: for each RDN from the root down, its normalised AVAs (`lower-case canonical type name or OID`, `=`,
/// normalised value; in which 00 is written 01 01 and 01 is written 01 02; several sorted and joined by 01 03),
/// then 00.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NormalizedDn(Box<[u8]>);

thread_local! {
    /// Where keys are put together, leaf first, before they are turned round; kept for its capacity.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Largest scratch kept between uses.
const MAX_KEPT: usize = 64 * 1024;

impl NormalizedDn {
    /// The root, the empty DN.
    pub fn root() -> Self {
        Self(Box::default())
    }

    /// The key of `dn`. An attribute type that the schema lacks compares by its lower-cased name and
    /// caseIgnoreMatch; a value that breaks its rule's syntax compares by its octets.
    pub fn of(dn: &Dn, schema: &Schema) -> Self {
        let mut out = Vec::with_capacity(64);
        for rdn in dn.rdns().iter().rev() {
            push_rdn(rdn, schema, &mut out);
        }
        Self(out.into())
    }

    /// Parses the text and takes its key, in one pass and one allocation.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, DnError> {
        let mut scratch = SCRATCH.take();
        scratch.clear();
        let key = parse_into(text, schema, &mut scratch);
        if scratch.capacity() <= MAX_KEPT {
            SCRATCH.set(scratch);
        }
        key
    }

    /// The key of the child of this entry that `rdn` names.
    pub fn child(&self, rdn: &Rdn, schema: &Schema) -> Self {
        let mut out = self.0.to_vec();
        push_rdn(rdn, schema, &mut out);
        Self(out.into())
    }

    /// The key of the entry below this one whose last component is `rdn_key`, as [`Self::rdn_key`] gives it.
    pub fn child_of_key(&self, rdn_key: &[u8]) -> Self {
        Self([&self.0, rdn_key].concat().into())
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key from bytes that [`Self::as_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Whether it is the root's.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of the parent's key; none for the root.
    pub fn parent_bytes(&self) -> Option<&[u8]> {
        parent_bytes(&self.0)
    }

    /// The parent's key; none for the root.
    pub fn parent(&self) -> Option<Self> {
        self.parent_bytes().map(Self::from_bytes)
    }

    /// The last component, with its terminator; empty for the root.
    pub fn rdn_key(&self) -> &[u8] {
        let above = self.parent_bytes().map_or(0, <[u8]>::len);
        self.0.get(above..).unwrap_or_default()
    }

    /// Whether `other` is this entry or lies below it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The deepest DN that covers both.
    pub fn common_ancestor(&self, other: &Self) -> Self {
        let same = self.0.iter().zip(&other.0).take_while(|(a, b)| a == b);
        let mut length = 0;
        for (at, (octet, _)) in same.enumerate() {
            if *octet == 0 {
                length = at + 1;
            }
        }
        Self::from_bytes(self.0.get(..length).unwrap_or_default())
    }

    /// The first bytes after all keys that this one covers; none for the root, which covers all.
    pub fn subtree_end(&self) -> Option<Vec<u8>> {
        let mut end = self.0.to_vec();
        *end.last_mut()? = 1;
        Some(end)
    }

    /// RDNs from the root.
    pub fn depth(&self) -> usize {
        self.0.iter().filter(|&&octet| octet == 0).count()
    }

    /// The keys of this entry and of all above it, the root's last, as bytes.
    pub fn ancestors(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::successors(Some(&*self.0), |key| parent_bytes(key))
    }
}

impl Borrow<[u8]> for NormalizedDn {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

fn parent_bytes(key: &[u8]) -> Option<&[u8]> {
    let (_, body) = key.split_last()?;
    let length = body.iter().rposition(|&octet| octet == 0).map_or(0, |at| at + 1);
    key.get(..length)
}

fn parse_into(text: &str, schema: &Schema, scratch: &mut Vec<u8>) -> Result<NormalizedDn, DnError> {
    // Where each RDN ends in the scratch, leaf first.
    let mut ends: SmallVec<[usize; 16]> = SmallVec::new();
    // Where each AVA of the RDN at hand starts.
    let mut starts: SmallVec<[usize; 4]> = SmallVec::new();
    for ava in DnReader::new(text) {
        let ava = ava?;
        starts.push(scratch.len());
        push_ava(ava.attribute, &ava.value, schema, scratch);
        if ava.ends_rdn {
            sort_avas(&starts, scratch);
            starts.clear();
            scratch.push(0);
            ends.push(scratch.len());
        }
    }
    if !starts.is_empty() {
        return Err(DnError { offset: text.len(), reason: "an attribute type is wanted" });
    }
    let mut key = Vec::with_capacity(scratch.len());
    for (at, &end) in ends.iter().enumerate().rev() {
        let start = at.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        key.extend_from_slice(scratch.get(start..end).unwrap_or_default());
    }
    Ok(NormalizedDn(key.into()))
}

fn push_rdn(rdn: &Rdn, schema: &Schema, out: &mut Vec<u8>) {
    let mut starts: SmallVec<[usize; 4]> = SmallVec::new();
    for ava in rdn.avas() {
        starts.push(out.len());
        push_ava(ava.attribute(), ava.value(), schema, out);
    }
    sort_avas(&starts, out);
    out.push(0);
}

/// Sorts the AVAs of an RDN that start there and joins them.
fn sort_avas(starts: &[usize], out: &mut Vec<u8>) {
    let [first, _, ..] = *starts else { return };
    let tail = out.split_off(first);
    let ends = starts.iter().skip(1).copied().chain([first + tail.len()]);
    let mut avas: SmallVec<[&[u8]; 4]> = starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| tail.get(start - first..end - first).unwrap_or_default())
        .collect();
    avas.sort_unstable();
    for (at, ava) in avas.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(&[1, 3]);
        }
        out.extend_from_slice(ava);
    }
}

fn push_ava(attribute: &str, value: &[u8], schema: &Schema, out: &mut Vec<u8>) {
    let rule = match schema.attribute(attribute) {
        Some(attribute) => {
            out.extend_from_slice(attribute.key_name.as_bytes());
            attribute.equality.unwrap_or(MatchingRule::OctetStringMatch)
        }
        None => {
            out.extend(attribute.bytes().map(|c| c.to_ascii_lowercase()));
            MatchingRule::CaseIgnoreMatch
        }
    };
    out.push(b'=');
    let start = out.len();
    if rule.key(value, out).is_err() {
        out.truncate(start);
        out.extend_from_slice(value);
    }
    let is_plain = out.get(start..).is_some_and(|key| key.iter().all(|&octet| octet > 1));
    if !is_plain {
        let key = out.split_off(start);
        for octet in key {
            match octet {
                0 => out.extend_from_slice(&[1, 1]),
                1 => out.extend_from_slice(&[1, 2]),
                _ => out.push(octet),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use proptest::prelude::*;

    use super::*;
    use crate::name::Ava;
    use crate::schema::SchemaStore;

    fn schema() -> Arc<Schema> {
        static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| SchemaStore::builtin(true).current());
        SCHEMA.clone()
    }

    #[test]
    fn equal_names_have_equal_keys() {
        let schema = schema();
        let key = |text: &str| NormalizedDn::parse(text, &schema).unwrap();
        assert_eq!(key("dc=example,dc=com"), key(" DC = Example , DC=COM"));
        assert_eq!(key("dc=example, dc=com"), key("0.9.2342.19200300.100.1.25=example;domainComponent=com"));
        assert_eq!(key("cn=A  b+sn=C,dc=x"), key("surname=c + cn= a b ,dc=x"));
        assert_eq!(key("coreTokenId=a\\+b\\=,dc=x"), key("coretokenid=A\\2bB=,dc=x"));
        assert_ne!(key("cn=a+sn=b"), key("cn=a\\+sn\\=b"));
        assert_ne!(key("cn=a,cn=b"), key("cn=a\\,cn\\=b"));
        assert_eq!(key("no-such=A"), key("NO-SUCH=a"));
        assert_ne!(key("no-such=a"), key("cn=a"));
        assert!(key("").is_root());
        assert!(NormalizedDn::parse("dc=a,", &schema).is_err());
        assert!(NormalizedDn::parse("dc=a+", &schema).is_err());
    }

    #[test]
    fn keys_know_their_family() {
        let schema = schema();
        let key = |text: &str| NormalizedDn::parse(text, &schema).unwrap();
        let (com, a, b) = (key("dc=com"), key("ou=a,dc=com"), key("ou=b,ou=a,dc=com"));
        assert_eq!(b.parent(), Some(a.clone()));
        assert_eq!(com.parent(), Some(NormalizedDn::root()));
        assert_eq!(NormalizedDn::root().parent(), None);
        assert!(com.covers(&b) && com.covers(&com) && NormalizedDn::root().covers(&b));
        assert!(!a.covers(&key("ou=ab,dc=com")));
        assert_eq!(b.depth(), 3);
        assert_eq!(b.common_ancestor(&key("ou=c,ou=a,dc=com")), a);
        assert_eq!(b.common_ancestor(&key("ou=c,dc=org")), NormalizedDn::root());
        assert_eq!(a.child_of_key(b.rdn_key()), b);
        assert_eq!(a.child(&Rdn::parse("OU=B").unwrap(), &schema), b);
        assert_eq!(b.ancestors().count(), 4);
        let end = a.subtree_end().unwrap();
        assert!(b.as_bytes() < end.as_slice() && key("ou=ab,dc=com").as_bytes() > end.as_slice());
        assert_eq!(NormalizedDn::root().subtree_end(), None);
    }

    fn any_dn() -> impl Strategy<Value = Dn> {
        let types =
            prop::sample::select(vec!["cn", "sn", "ou", "dc", "uid", "coreTokenId", "x-unknown", "2.5.4.3"]);
        let values = prop_oneof!["[a-c +,=]{1,4}", "\\PC{0,4}"];
        let rdn = prop::collection::vec((types, values), 1..3);
        prop::collection::vec(rdn, 0..4).prop_map(|rdns| {
            Dn::from_rdns(
                rdns.into_iter()
                    .filter_map(|avas| {
                        Rdn::from_avas(avas.into_iter().map(|(a, v)| Ava::new(a, v)).collect())
                    })
                    .collect(),
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_ways_to_a_key_agree(dn in any_dn()) {
            let schema = schema();
            let key = NormalizedDn::of(&dn, &schema);
            prop_assert_eq!(&NormalizedDn::parse(&dn.to_string(), &schema).unwrap(), &key);
            prop_assert_eq!(key.depth(), dn.depth());
            prop_assert_eq!(key.parent(), dn.parent().map(|parent| NormalizedDn::of(&parent, &schema)));
            if let Some(parent) = key.parent() {
                prop_assert!(parent.covers(&key) && !key.covers(&parent));
                prop_assert_eq!(parent.child_of_key(key.rdn_key()), key);
            }
        }

        #[test]
        fn the_order_of_avas_and_their_case_do_not_count(dn in any_dn()) {
            let schema = schema();
            let turned = Dn::from_rdns(
                dn.rdns()
                    .iter()
                    .filter_map(|rdn| Rdn::from_avas(
                        rdn.avas().iter().rev().map(|a| Ava::new(a.attribute().to_uppercase(), a.value())).collect(),
                    ))
                    .collect(),
            );
            prop_assert_eq!(NormalizedDn::of(&turned, &schema), NormalizedDn::of(&dn, &schema));
        }

        #[test]
        fn covering_is_lying_below(a in any_dn(), b in any_dn()) {
            let schema = schema();
            let (a, b) = (NormalizedDn::of(&a, &schema), NormalizedDn::of(&b, &schema));
            prop_assert_eq!(a.covers(&b), b.ancestors().any(|key| key == a.as_bytes()));
            prop_assert_eq!(a.covers(&b) && !a.is_root(),
                b.as_bytes() >= a.as_bytes() && a.subtree_end().is_some_and(|end| b.as_bytes() < end.as_slice()));
        }
    }
}
