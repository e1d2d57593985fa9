//! Second opinions on the codec: `ldap3_proto` and `rasn-ldap` read what we write and write what we read.
//!
//! [`model`] is the middle: messages are made there, and each codec turns them into octets and back. Where a
//! library cannot say something (a byte value in a `String`, a result code outside its list), its translation
//! gives `None`, and those `None`s are the list of what is excused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod ldap3;
mod model;
mod ours;
mod rasn;

use model::{Message, message};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    /// What we write, all read alike.
    #[test]
    fn what_we_write_others_read(message in message()) {
        let Some(octets) = ours::encode(&message) else { return Ok(()) };
        prop_assert_eq!(ours::decode(&octets), Some(message.clone()));
        if let Some(theirs) = ldap3::from_model(&message) {
            prop_assert_eq!(ldap3::decode(&octets), Some(theirs));
        }
        if let Some(theirs) = rasn::from_model(&message) {
            prop_assert_eq!(rasn::decode(&octets), Some(theirs));
        }
    }

    /// What others write, we read. rasn sorts its sets, so it is asked whether both mean the same.
    #[test]
    fn what_others_write_we_read(message in message()) {
        if let Some(octets) = ldap3::from_model(&message).map(ldap3::encode) {
            prop_assert_eq!(ours::decode(&octets), Some(message.clone()));
        }
        if let Some(theirs) = rasn::from_model(&message) {
            let found = ours::decode(&rasn::encode(&theirs)).and_then(|found| rasn::from_model(&found));
            prop_assert_eq!(found, Some(theirs));
        }
    }

    /// Damaged messages: what we take, the others take, and as the same. Excused are what a library cannot say at
    /// all, and messages longer than the shortest encoding of the same meaning: these hold an unknown trailing
    /// element (RFC 4511 §4 wants it skipped, the libraries refuse it) or a number or length in a longer
    /// form.
    #[test]
    fn of_damaged_messages_we_take_no_more_than_others(message in message(), damage in damage()) {
        let Some(mut octets) = ours::encode(&message) else { return Ok(()) };
        damage.iter().for_each(|damage| damage.apply(&mut octets));
        let Some(found) = ours::decode(&octets) else { return Ok(()) };
        let longer = ours::encode(&found).is_none_or(|shortest| octets.len() > shortest.len());
        if let Some(meant) = rasn::from_model(&found) {
            match rasn::decode(&octets) {
                Some(theirs) => prop_assert_eq!(theirs, meant, "{:02x?}", octets),
                None => prop_assert!(longer, "rasn: {:?} {:02x?}", found, octets),
            }
        }
        if let Some(meant) = ldap3::from_model(&found) {
            match ldap3::decode(&octets) {
                // It picks members off a control's end, so an unknown one there misleads it.
                _ if longer => {}
                theirs => prop_assert_eq!(theirs, Some(meant), "{:02x?}", octets),
            }
        }
    }

    /// A message cut short is never taken.
    #[test]
    fn a_message_cut_short_is_refused(message in message(), at in any::<prop::sample::Index>()) {
        let Some(octets) = ours::encode(&message) else { return Ok(()) };
        prop_assert_eq!(ours::decode(&octets[..at.index(octets.len())]), None::<Message>);
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    /// Adds an element at the end of the message and keeps the outer length right.
    Append(u8),
}

impl Damage {
    fn apply(&self, octets: &mut Vec<u8>) {
        let length = octets.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Set(at, octet) => octets[at.index(length)] = *octet,
            Self::Flip(at, bit) => octets[at.index(length)] ^= 1 << bit,
            Self::Insert(at, octet) => octets.insert(at.index(length), *octet),
            Self::Remove(at) => drop(octets.remove(at.index(length))),
            Self::Append(tag) => {
                if octets.len() < 0x7e && octets.len() > 2 {
                    octets.extend_from_slice(&[*tag, 0]);
                    octets[1] = u8::try_from(octets.len() - 2).unwrap();
                }
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        (
            any::<prop::sample::Index>(),
            prop::sample::select(vec![0, 1, 2, 4, 5, 0x0a, 0x30, 0x31, 0x7f, 0x80, 0x81, 0xa0, 0xff])
        )
            .prop_map(|(at, octet)| Damage::Set(at, octet)),
        (any::<prop::sample::Index>(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, octet)| Damage::Insert(at, octet)),
        any::<prop::sample::Index>().prop_map(Damage::Remove),
        prop::sample::select(vec![0x80_u8, 0x85, 0xa1, 0xa0, 0x04]).prop_map(Damage::Append),
    ];
    prop::collection::vec(one, 1..3)
}

/// `PROPTEST_CASES` raises the number of messages.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}
