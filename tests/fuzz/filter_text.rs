//! Whatever is written as a filter or an LDAP URL: what is taken reads the same after it was written.

use ctsd::protocol::filter_text::parse;
use ctsd::protocol::url::LdapUrl;

#[test]
fn filter_text() {
    bolero::check!().with_iterations(crate::ITERATIONS).for_each(|input: &[u8]| {
        // Random octets seldom look like a filter; half of them are mapped to the characters that matter.
        let signs: String = input
            .iter()
            .map(|octet| char::from(b"()&|!=*~<>:;\\ a0b1.dn-"[usize::from(octet % 22)]))
            .collect();
        for text in [String::from_utf8_lossy(input).into_owned(), format!("({signs})"), signs] {
            if let Ok(filter) = parse(&text) {
                assert_eq!(parse(&filter.to_string()).as_ref(), Ok(&filter), "{text:?}");
            }
            if let Ok(url) = LdapUrl::parse(&format!("ldap:///{text}")) {
                assert_eq!(LdapUrl::parse(&url.to_string()).as_ref(), Ok(&url), "{text:?}");
            }
        }
    });
}
