//! Clients that show certificates: whom a port trusts, and which entry a certificate stands for.

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::client::{Client, Tls};
use crate::credentials::{BASE, BY_FINGERPRINT, BY_PARTS, BY_SUBJECT, EXTERNAL};
use crate::fixture::SUFFIX;
use crate::table::{Object, Round, Seen, play, row, stays};
use crate::world::{World, until};

/// An authority that signs certificates of clients.
struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// One that the server finds in this file.
    fn new(world: &World, file: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, format!("Authority of {file}"));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        std::fs::write(world.path(&format!("config/tls/{file}")), pem).unwrap();
        Self(Issuer::new(parameters, key))
    }

    /// Signs a certificate of this common name; it is kept in files of the instance: rows are functions.
    fn sign(&self, world: &World, subject: &str, file: &str) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, subject);
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        std::fs::write(world.path(&format!("{file}.key.der")), key.serialize_der()).unwrap();
        std::fs::write(world.path(&format!("{file}.der")), certificate.der()).unwrap();
        certificate.der().to_vec()
    }
}

/// Makes an authority in this file, and a certificate of this common name that it signed.
pub(crate) fn authority(world: &World, file: &str, subject: &str, name: &str) {
    Authority::new(world, file).sign(world, subject, name);
}

/// The same for the directory manager, and waits until the port takes it.
pub(crate) fn trusting(world: &World, file: &str, name: &str, port: fn(&World) -> u16) {
    authority(world, file, "Directory Manager", name);
    reload(world);
    until("the trust store is read", || is_taken(world, port(world), name));
}

/// Has the server read certificates and trust stores again.
fn reload(world: &World) {
    let pid = world.text("locks/server.pid");
    let told = std::process::Command::new("kill").args(["-HUP", pid.trim()]).status().unwrap();
    assert!(told.success());
}

/// Whether EXTERNAL takes the certificate on this port.
pub(crate) fn is_taken(world: &World, port: u16, name: &str) -> bool {
    let read = |file: String| std::fs::read(world.path(&file)).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(read(format!("{name}.key.der"))));
    let identity = (CertificateDer::from(read(format!("{name}.der"))), key);
    let tls = Tls { identity: Some(&identity), ..Tls::default() };
    Client::tls(port, &tls).is_some_and(|(mut client, _)| client.sasl("EXTERNAL", None).is(0))
}

fn binds(world: &World, name: &str) -> bool {
    is_taken(world, world.server.ldaps, name)
}

/// Whether the certificate binds when EXTERNAL maps by this mapper.
fn binds_by(world: &World, mapper: Object, name: &str) -> bool {
    const MAPPER: &str = "ds-cfg-certificate-mapper";
    let mut root = world.root();
    let before = root.values(EXTERNAL.2, MAPPER).remove(0);
    let mut point = |dn: &str| {
        let answer = root.replace(EXTERNAL.2, MAPPER, &[dn.as_bytes()]);
        assert!(answer.is(0), "{answer:?}");
    };
    point(mapper.2);
    let binds = binds(world, name);
    point(&before);
    binds
}

fn the_fingerprint_mapper_maps(world: &World) -> bool {
    binds(world, "print")
}

fn fingerprints_are_descriptions(world: &World) -> bool {
    binds_by(world, BY_FINGERPRINT, "print")
}

fn fingerprints_elsewhere_are_nobodys(world: &World) -> bool {
    !binds_by(world, BY_FINGERPRINT, "print outside")
}

fn subjects_are_descriptions(world: &World) -> bool {
    binds_by(world, BY_SUBJECT, "subject")
}

fn subjects_elsewhere_are_nobodys(world: &World) -> bool {
    !binds_by(world, BY_SUBJECT, "subject outside")
}

fn names_are_descriptions(world: &World) -> bool {
    binds_by(world, BY_PARTS, "name")
}

fn names_elsewhere_are_nobodys(world: &World) -> bool {
    !binds_by(world, BY_PARTS, "name outside")
}

/// The entry has the certificate, but not in the attribute that is looked at then; which must have it.
fn certificates_are_looked_for_elsewhere(world: &World) -> bool {
    !binds_by(world, BY_SUBJECT, "elsewhere")
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

/// People whose entries have their certificates, half of them below the base that is set.
fn with_people(world: &mut World) -> Vec<(&'static str, String)> {
    let authority = Authority::new(world, "trust.pem");
    authority.sign(world, "Directory Manager", "manager");
    reload(world);
    until("the trust store is read", || binds(world, "manager"));
    let names = ["description", "ds-certificate-subject-dn", "ds-certificate-fingerprint"];
    let index = |name: &&str| {
        format!(
            "create-backend-index --backend-name userRoot --index-name {name} --set index-type:equality\n"
        )
    };
    world.prepare(&names.iter().map(index).collect::<String>());
    let mut root = world.root();
    for (name, place) in [
        ("print", "mapped"),
        ("print outside", "numbers"),
        ("subject", "mapped"),
        ("subject outside", "numbers"),
        ("name", "mapped"),
        ("name outside", "numbers"),
        ("elsewhere", "mapped"),
    ] {
        use sha2::Digest;
        let certificate = authority.sign(world, name, name);
        let (subject, dn) = (format!("CN={name}"), format!("uid={name},ou={place},{SUFFIX}"));
        let (long, short) =
            (hex(&sha2::Sha256::digest(&certificate)), hex(&sha1::Sha1::digest(&certificate)));
        let mut all = vec![
            ("objectClass", "inetOrgPerson"),
            ("objectClass", "ds-certificate-user"),
            ("uid", name),
            ("cn", if name == "name" { "somebody" } else { name }),
            ("sn", name),
        ];
        all.push(match name.split(' ').next().unwrap() {
            "print" => ("description", &long),
            "name" => ("description", name),
            _ => ("description", &subject),
        });
        // By these they are found before anything is set.
        if place == "numbers" || name == "elsewhere" {
            all.push(("ds-certificate-subject-dn", &subject));
            all.push(("ds-certificate-fingerprint", &short));
        }
        let answer = root.add(&dn, &all);
        assert!(answer.is(0), "{answer:?}");
        let held = if name == "elsewhere" { "userCertificate;binary" } else { "userSMIMECertificate;binary" };
        let answer = root.replace(&dn, held, &[&certificate]);
        assert!(answer.is(0), "{answer:?}");
    }
    until("the indexes are built", || {
        [
            (BY_FINGERPRINT, "print outside"),
            (BY_SUBJECT, "subject outside"),
            (BY_PARTS, "name outside"),
            (BY_SUBJECT, "elsewhere"),
        ]
        .iter()
        .all(|(mapper, name)| binds_by(world, *mapper, name))
    });
    Vec::new()
}

const BY_PRINT: &[&str] = &["cn=Fingerprint Mapper,cn=Certificate Mappers,cn=config"];

pub(crate) const ROUNDS: &[Round] = &[Round {
    name: "certificates",
    prepare: with_people,
    moved: stays,
    rows: &[
        row(EXTERNAL, "certificate-mapper", BY_PRINT, Seen::Live(the_fingerprint_mapper_maps)),
        row(
            EXTERNAL,
            "certificate-attribute",
            &["userSMIMECertificate"],
            Seen::Live(certificates_are_looked_for_elsewhere),
        ),
        row(
            EXTERNAL,
            "certificate-validation-policy",
            &["always"],
            Seen::Live(certificates_are_looked_for_elsewhere),
        ),
        row(BY_SUBJECT, "subject-attribute", &["description"], Seen::Live(subjects_are_descriptions)),
        row(BY_SUBJECT, "user-base-dn", BASE, Seen::Live(subjects_elsewhere_are_nobodys)),
        row(BY_PARTS, "subject-attribute-mapping", &["cn:description"], Seen::Live(names_are_descriptions)),
        row(BY_PARTS, "user-base-dn", BASE, Seen::Live(names_elsewhere_are_nobodys)),
        row(
            BY_FINGERPRINT,
            "fingerprint-attribute",
            &["description"],
            Seen::Live(fingerprints_are_descriptions),
        ),
        row(BY_FINGERPRINT, "fingerprint-algorithm", &["sha256"], Seen::Live(fingerprints_are_descriptions)),
        row(BY_FINGERPRINT, "user-base-dn", BASE, Seen::Live(fingerprints_elsewhere_are_nobodys)),
    ],
}];

#[test]
fn what_is_set_about_certificates_holds() {
    ROUNDS.iter().for_each(play);
}
