//! What a client's certificate (RFC 5280) says of who it is. The TLS library has checked it by then: chain, times,
//! purpose.

use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::ber::Reader;
use crate::ber::tag::{INTEGER, SEQUENCE, SET, context_constructed};
use crate::name::Ava;
use crate::schema::Schema;

const OBJECT_IDENTIFIER: u8 = 0x06;

/// A certificate that a client showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    der: Vec<u8>,
    /// The subject's RDNs in the order of the certificate, root first: pairs of OID and text.
    subject: Vec<Vec<(String, String)>>,
}

impl ClientCertificate {
    /// Reads a DER certificate. None if it has no subject, or one with values that are no text.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut signed = Reader::new(der).nested(SEQUENCE).ok()?.nested(SEQUENCE).ok()?;
        signed.optional(context_constructed(0)).ok()?;
        signed.expect(INTEGER).ok()?;
        for _algorithm_issuer_validity in 0..3 {
            signed.expect(SEQUENCE).ok()?;
        }
        let mut name = signed.nested(SEQUENCE).ok()?;
        let mut subject = Vec::new();
        while !name.is_empty() {
            let mut set = name.nested(SET).ok()?;
            let mut rdn = Vec::new();
            while !set.is_empty() {
                let mut pair = set.nested(SEQUENCE).ok()?;
                let oid = object_identifier(pair.expect(OBJECT_IDENTIFIER).ok()?)?;
                let value = pair.tlv().ok()?;
                rdn.push((oid, text(value.tag, value.content)?));
            }
            subject.push(rdn);
        }
        (!subject.is_empty()).then(|| Self { der: der.to_vec(), subject })
    }

    /// The certificate's octets.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject as a DN (RFC 4514), attribute types named as the schema names them.
    pub fn subject_dn(&self, schema: &Schema) -> String {
        let rdns = self.subject.iter().rev().map(|rdn| {
            let avas = rdn.iter().map(|(oid, value)| {
                let name = schema.attribute(oid).map_or_else(|| oid.clone(), |found| found.name().to_owned());
                Ava::new(name, value.as_bytes()).to_string()
            });
            avas.collect::<Vec<_>>().join("+")
        });
        rdns.collect::<Vec<_>>().join(",")
    }

    /// The subject's values of an attribute, by any of its names.
    pub fn subject_values<'a>(&'a self, name: &str, schema: &Schema) -> Vec<&'a str> {
        let wanted = schema.attribute(name).map(|found| found.id);
        let is_wanted = |oid: &str| {
            oid == name || (wanted.is_some() && schema.attribute(oid).map(|found| found.id) == wanted)
        };
        let pairs = self.subject.iter().rev().flatten();
        pairs.filter(|(oid, _)| is_wanted(oid)).map(|(_, value)| value.as_str()).collect()
    }

    /// The certificate's digest by SHA-1 or SHA-256: `AB:CD:…`.
    pub fn fingerprint(&self, sha256: bool) -> String {
        let digest =
            if sha256 { Sha256::digest(&self.der).to_vec() } else { Sha1::digest(&self.der).to_vec() };
        digest.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
    }
}

/// The dotted form.
fn object_identifier(content: &[u8]) -> Option<String> {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: u64 = 0;
    let mut is_whole = false;
    for octet in content {
        arc = arc.checked_mul(128)?.checked_add(u64::from(octet & 0x7f))?;
        is_whole = octet & 0x80 == 0;
        if is_whole {
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.push(first);
                arc -= first * 40;
            }
            arcs.push(arc);
            arc = 0;
        }
    }
    (is_whole && !arcs.is_empty()).then(|| arcs.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
}

/// The text of a value of one of the string types that names are made of (RFC 5280 §4.1.2.4).
fn text(tag: u8, content: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => std::str::from_utf8(content).ok().map(str::to_owned),
        // TeletexString, taken for Latin-1 as everybody does
        0x14 => Some(content.iter().map(|&octet| char::from(octet)).collect()),
        // BMPString
        0x1e => {
            let units = content.chunks(2).map(|pair| match pair {
                [high, low] => Some(u16::from_be_bytes([*high, *low])),
                _ => None,
            });
            String::from_utf16(&units.collect::<Option<Vec<u16>>>()?).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;
    use crate::schema::{NormalizedDn, SchemaStore};

    fn certificate(parts: &[(DnType, &str)]) -> Vec<u8> {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            parameters.distinguished_name.push(kind.clone(), *value);
        }
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_subject_becomes_a_dn() {
        let schema = SchemaStore::builtin(true).current();
        let domain = DnType::CustomDnType(vec![0, 9, 2342, 19200300, 100, 1, 25]);
        let uid = DnType::CustomDnType(vec![0, 9, 2342, 19200300, 100, 1, 1]);
        let der = certificate(&[
            (domain, "com"),
            (DnType::OrganizationName, "Example, Inc."),
            (DnType::OrganizationalUnitName, "admins"),
            (uid, "openam_cts"),
            (DnType::CommonName, "Zoë"),
        ]);
        let found = ClientCertificate::parse(&der).unwrap();
        let dn = found.subject_dn(&schema);
        let written = "cn=zoë,uid=openam_cts,ou=ADMINS,o=Example\\, Inc.,dc=com";
        assert_eq!(
            NormalizedDn::parse(&dn, &schema).unwrap(),
            NormalizedDn::parse(written, &schema).unwrap(),
            "{dn}"
        );
        assert_eq!(found.subject_values("userid", &schema), ["openam_cts"]);
        assert_eq!(found.subject_values("2.5.4.3", &schema), ["Zoë"]);
        assert!(found.subject_values("sn", &schema).is_empty());
        assert_eq!(found.fingerprint(false).len(), 59);
        assert_eq!(found.fingerprint(true).len(), 95);
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let der = certificate(&[(DnType::CommonName, "a")]);
        assert_eq!(ClientCertificate::parse(b""), None);
        for end in 0..der.len() {
            let _ = ClientCertificate::parse(&der[..end]);
        }
        assert_eq!(ClientCertificate::parse(&certificate(&[])), None);
        assert_eq!(object_identifier(&[0x55, 0x04, 0x03]).as_deref(), Some("2.5.4.3"));
        assert_eq!(object_identifier(&[0x88, 0x37, 0x01]).as_deref(), Some("2.999.1"));
        assert_eq!(object_identifier(&[0x55, 0x84]), None);
    }
}
