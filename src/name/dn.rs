//! Distinguished names as text.

use std::fmt::{Display, Formatter, Write};
use std::str::FromStr;

use super::{DnReader, Rdn};

/// Why a text is not a DN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at octet {offset}")]
pub struct DnError {
    /// Octet of the text at which it goes wrong.
    pub offset: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// A distinguished name, leaf first; the empty one is the root.
///
/// Equality here is that of the text's parts; entries are found by [`crate::schema::NormalizedDn`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Dn {
    rdns: Vec<Rdn>,
}

impl Dn {
    /// The empty DN.
    pub fn root() -> Self {
        Self::default()
    }

    /// A DN of these RDNs, leaf first.
    pub fn from_rdns(rdns: Vec<Rdn>) -> Self {
        Self { rdns }
    }

    /// Parses RFC 4514 text (spaces around separators and RFC 2253's `;` tolerated).
    pub fn parse(text: &str) -> Result<Self, DnError> {
        let mut rdns: Vec<Rdn> = Vec::new();
        let mut starts_rdn = true;
        for ava in DnReader::new(text) {
            let ava = ava?;
            match rdns.last_mut() {
                Some(rdn) if !starts_rdn => rdn.push(ava.to_ava()),
                _ => rdns.push(Rdn::single(ava.to_ava())),
            }
            starts_rdn = ava.ends_rdn;
        }
        Ok(Self { rdns })
    }

    /// Its RDNs, leaf first.
    pub fn rdns(&self) -> &[Rdn] {
        &self.rdns
    }

    /// The leaf RDN; none for the root.
    pub fn rdn(&self) -> Option<&Rdn> {
        self.rdns.first()
    }

    /// The DN above; none for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.rdns.split_first()?;
        Some(Self { rdns: above.to_vec() })
    }

    /// The DN of the child of this entry that `rdn` names.
    pub fn child(&self, rdn: Rdn) -> Self {
        let mut rdns = Vec::with_capacity(self.rdns.len() + 1);
        rdns.push(rdn);
        rdns.extend_from_slice(&self.rdns);
        Self { rdns }
    }

    /// Whether this is the root, the empty DN.
    pub fn is_root(&self) -> bool {
        self.rdns.is_empty()
    }

    /// Levels below the root.
    pub fn depth(&self) -> usize {
        self.rdns.len()
    }
}

impl Display for Dn {
    /// RFC 4514 text, without spaces around separators.
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (at, rdn) in self.rdns.iter().enumerate() {
            if at > 0 {
                f.write_char(',')?;
            }
            rdn.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for Dn {
    type Err = DnError;

    fn from_str(text: &str) -> Result<Self, DnError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::Ava;

    fn values(text: &str) -> Vec<Vec<(String, Vec<u8>)>> {
        Dn::parse(text)
            .unwrap()
            .rdns()
            .iter()
            .map(|rdn| {
                rdn.avas().iter().map(|ava| (ava.attribute().to_owned(), ava.value().to_vec())).collect()
            })
            .collect()
    }

    fn ava(attribute: &str, value: &[u8]) -> (String, Vec<u8>) {
        (attribute.to_owned(), value.to_vec())
    }

    #[test]
    fn reads_the_forms_clients_send() {
        assert!(Dn::parse("").unwrap().is_root());
        assert!(Dn::parse("  ").unwrap().is_root());
        assert_eq!(
            values(" dc = cts , dc=example ;dc=com "),
            vec![vec![ava("dc", b"cts")], vec![ava("dc", b"example")], vec![ava("dc", b"com")]]
        );
        assert_eq!(values("coreTokenId=a\\+b\\=\\=,ou=x")[0], vec![ava("coreTokenId", b"a+b==")]);
        assert_eq!(values("coreTokenId=a\\2Bb==")[0], vec![ava("coreTokenId", b"a+b==")]);
        assert_eq!(values("cn=a+sn= b \\ ")[0], vec![ava("cn", b"a"), ava("sn", b"b  ")]);
        assert_eq!(values("cn=\"a,b \\\" c \" ,dc=x")[0], vec![ava("cn", b"a,b \" c ")]);
        assert_eq!(values("2.5.4.3=x")[0], vec![ava("2.5.4.3", b"x")]);
        assert_eq!(values("OID.2.5.4.3=x")[0], vec![ava("2.5.4.3", b"x")]);
        assert_eq!(values("cn=#04024869,dc=x")[0], vec![ava("cn", b"Hi")]);
        assert_eq!(values("cn=#0102")[0], vec![ava("cn", &[1, 2])]);
        assert_eq!(values("cn=,dc=x")[0], vec![ava("cn", b"")]);
        assert_eq!(values("cn=Lu\\C4\\8Di\\C4\\87")[0], vec![ava("cn", "Lučić".as_bytes())]);
        assert_eq!(values("cn=  a  b  ")[0], vec![ava("cn", b"a  b")]);
    }

    #[test]
    fn says_where_a_text_goes_wrong() {
        for (text, offset) in [
            ("dc=example,", 11),
            (",dc=example", 0),
            ("dc", 2),
            ("dc=a,=b", 5),
            ("$ROOT_SUFFIX", 0),
            ("ou=tokens,$ROOT_SUFFIX", 10),
            ("cn=a\\", 4),
            ("cn=a\\4", 4),
            ("cn=a\\zz", 4),
            ("cn=a<b", 4),
            ("cn=\"a", 3),
            ("cn=\"a\"b", 6),
            ("cn=#0", 3),
            ("cn=#zz", 3),
            ("cn=#", 3),
            ("cn=a++sn=b", 5),
            ("1.=a", 2),
            ("cn=a,\u{e9}=b", 5),
        ] {
            assert_eq!(Dn::parse(text).unwrap_err().offset, offset, "{text}");
        }
        assert!(Rdn::parse("cn=a,dc=b").is_err());
        assert!(Rdn::parse("").is_err());
        assert_eq!(Rdn::parse("cn=a + sn=b ").unwrap().avas().len(), 2);
    }

    #[test]
    fn prints_escapes_as_the_contract_says() {
        let dn = Dn::root()
            .child(Rdn::single(Ava::new("dc", "com")))
            .child(Rdn::single(Ava::new("coreTokenId", " a,b+c\"d\\e<f>g;h=i#j\n ")));
        assert_eq!(dn.to_string(), "coreTokenId=\\ a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h\\=i#j\\0a\\ ,dc=com");
        assert_eq!(Ava::new("cn", "#x").to_string(), "cn=\\#x");
        assert_eq!(Ava::new("cn", " ").to_string(), "cn=\\ ");
        assert_eq!(Ava::new("cn", vec![0xff, b'a']).to_string(), "cn=\\ffa");
    }

    #[test]
    fn walks_up() {
        let dn = Dn::parse("ou=a,dc=b").unwrap();
        assert_eq!(dn.parent().unwrap().to_string(), "dc=b");
        assert_eq!(dn.parent().unwrap().parent(), Some(Dn::root()));
        assert_eq!(Dn::root().parent(), None);
        assert_eq!(dn.depth(), 2);
    }

    proptest! {
        #[test]
        fn printed_names_read_back(
            rdns in prop::collection::vec(
                prop::collection::vec(
                    ("[a-zA-Z][a-zA-Z0-9-]{0,6}|[0-2](\\.[1-9][0-9]{0,3}){1,3}", prop::collection::vec(any::<u8>(), 0..12)),
                    1..3,
                ),
                0..5,
            )
        ) {
            let dn = Dn::from_rdns(
                rdns.into_iter()
                    .filter_map(|avas| Rdn::from_avas(avas.into_iter().map(|(a, v)| Ava::new(a, v)).collect()))
                    .collect(),
            );
            prop_assert_eq!(Dn::parse(&dn.to_string()), Ok(dn));
        }

        #[test]
        fn text_values_read_back(value in "\\PC{0,12}") {
            let dn = Dn::from_rdns(vec![Rdn::single(Ava::new("cn", value))]);
            prop_assert_eq!(Dn::parse(&dn.to_string()), Ok(dn));
        }

        #[test]
        fn never_panics(text in "[ -~]{0,40}") {
            let _ = Dn::parse(&text);
            let _ = Rdn::parse(&text);
        }
    }
}
