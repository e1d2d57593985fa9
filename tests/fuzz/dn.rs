//! Whatever is written as a DN: what is taken prints and reads as the same, and its keys agree with it.

use ctsd::name::{Dn, Rdn};
use ctsd::schema::{NormalizedDn, SchemaStore};

const SIGNS: &[u8] = b"cn=dc=,+;\\\" #<>aB01.2-_";

#[test]
fn dn() {
    let schema = SchemaStore::builtin(true).current();
    bolero::check!().with_iterations(crate::ITERATIONS).for_each(|input: &[u8]| {
        // Random octets seldom look like a DN; they are also mapped to the characters that matter.
        let signs: String =
            input.iter().map(|octet| char::from(SIGNS[usize::from(*octet) % SIGNS.len()])).collect();
        for text in [String::from_utf8_lossy(input).into_owned(), format!("cn={signs}"), signs] {
            let key = NormalizedDn::parse(&text, &schema);
            let Ok(dn) = Dn::parse(&text) else {
                assert!(key.is_err(), "{text:?}");
                continue;
            };
            let key = key.unwrap();
            assert_eq!(Dn::parse(&dn.to_string()).as_ref(), Ok(&dn), "{text:?}");
            assert_eq!(NormalizedDn::of(&dn, &schema), key, "{text:?}");
            assert_eq!(key.depth(), dn.depth(), "{text:?}");
            assert_eq!(Rdn::parse(&text).is_ok(), dn.depth() == 1, "{text:?}");
            if let (Some(parent), Some(rdn)) = (dn.parent(), dn.rdn()) {
                let parent = NormalizedDn::of(&parent, &schema);
                assert!(parent.covers(&key));
                assert_eq!(parent.child(rdn, &schema), key, "{text:?}");
            }
        }
    });
}
