//! LDAPS and StartTLS, by OpenLDAP's tools and by hand.

use std::sync::LazyLock;

use ctsd::protocol::oid;

use crate::support::{DM, Instance, Lost, PASSWORD, Query, Reply, SUFFIX, Setup, Tool, request};

fn secured() -> &'static Instance {
    static INSTANCE: LazyLock<Instance> =
        LazyLock::new(|| Instance::started(Setup { cts: false, tls: true }));
    &INSTANCE
}

fn search(url: &str, trusting: bool) -> Tool<'static> {
    let tool = Tool::new("ldapsearch", url).user(DM, PASSWORD);
    let certificate = secured().certificate();
    let trusted = if trusting { certificate.as_path() } else { std::path::Path::new("/dev/null") };
    tool.env("LDAPTLS_CACERT", trusted)
}

#[test]
fn ldaps_serves_who_trusts_the_certificate() {
    let url = format!("ldaps://localhost:{}", secured().ldaps);
    let ran = search(&url, true).args(["-LLL", "-b", SUFFIX, "-s", "base", "(&)", "dc"]).run();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("dc: cts"), "{ran:?}");
    let ran = search(&url, false).args(["-b", SUFFIX]).run();
    assert!(ran.code != 0, "an untrusted certificate must not do: {ran:?}");
    // Clear text on the TLS port is cut, and hurts nobody.
    let mut clear = crate::support::Link::open(secured().ldaps);
    clear.send(&request::search(1, &Query::base(""), &[]));
    assert!(clear.closes());
    assert_eq!(search(&url, true).args(["-b", "", "-s", "base"]).run().code, 0);
}

#[test]
fn start_tls_serves_on_the_ldap_port() {
    let url = format!("ldap://localhost:{}", secured().ldap);
    let ran = search(&url, true).args(["-ZZ", "-LLL", "-b", SUFFIX, "-s", "base", "(&)", "dc"]).run();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("dc: cts"), "{ran:?}");
    let ran = search(&url, false).args(["-ZZ", "-b", SUFFIX]).run();
    assert!(ran.code != 0, "{ran:?}");
    // And in clear for who did not ask.
    assert!(secured().root().heartbeat());
}

/// Bytes sent in clear behind StartTLS must never be taken for protected ones.
#[test]
fn bytes_in_clear_after_start_tls_close_the_connection() {
    let mut link = secured().link();
    let mut bytes = request::extended(1, oid::START_TLS, None, &[]);
    bytes.extend(request::search(2, &Query::base(SUFFIX), &[]));
    link.send(&bytes);
    loop {
        match link.next() {
            Ok(Reply::Answer(answer)) => {
                assert!(answer.id != 2, "the injected request was served: {answer:?}")
            }
            Ok(other) => panic!("{other:?}"),
            Err(lost) => {
                assert_eq!(lost, Lost::Closed);
                break;
            }
        }
    }
    // In clear after the answer: no TLS handshake, so the connection ends.
    let mut link = secured().link();
    let answer = link.extended(oid::START_TLS, None);
    assert_eq!((answer.code, answer.name.as_deref()), (0, Some(oid::START_TLS)));
    link.send(&request::search(2, &Query::base(""), &[]));
    assert!(link.closes());
    assert!(secured().link().heartbeat());
}

/// Not with requests in flight; not twice; not where it is not enabled.
#[test]
fn start_tls_is_refused_where_it_has_no_place() {
    let mut link = secured().root();
    let standing = link.start(&Query::subtree(SUFFIX, "(&)"), &[crate::support::Ctl::openam_persistent()]);
    assert!(link.heartbeat());
    let answer = link.extended(oid::START_TLS, None);
    assert_eq!(answer.code, 1, "{answer:?}");
    let abandon = link.id();
    link.send(&request::abandon(abandon, standing));
    assert!(link.heartbeat());
    let plain = crate::support::cts();
    let answer = plain.instance.link().extended(oid::START_TLS, None);
    assert!(matches!(answer.code, 2 | 52 | 53), "{answer:?}");
    assert!(!answer.diagnostic.is_empty());
}

fn openssl(args: &[&std::ffi::OsStr]) {
    let ran = std::process::Command::new("openssl").args(args).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
}

/// OpenLDAP's tools bind with a certificate whose subject is the entry's DN, and with name and password by PLAIN.
#[test]
fn openldap_binds_by_sasl_external_and_plain() {
    let instance = Instance::started(Setup { cts: true, tls: true });
    let tls = instance.dir.join("config/tls");
    let (key, pem) = (instance.dir.join("client.key"), instance.dir.join("client.pem"));
    // A certificate that is its own authority: no CA, so that it may be shown.
    let subject = "/DC=com/DC=example/DC=cts/OU=admins/UID=certified";
    let mut args: Vec<&std::ffi::OsStr> =
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject, "-addext"]
            .map(std::ffi::OsStr::new)
            .to_vec();
    args.extend(["basicConstraints=critical,CA:FALSE", "-keyout"].map(std::ffi::OsStr::new));
    args.extend([key.as_os_str(), "-out".as_ref(), pem.as_os_str()]);
    openssl(&args);
    std::fs::copy(&pem, tls.join("trust.pem")).unwrap();
    let dn = "uid=certified,ou=admins,dc=cts,dc=example,dc=com";
    let mut root = instance.root();
    let classes: &[&str] = &["top", "organizationalUnit"];
    let admins = "ou=admins,dc=cts,dc=example,dc=com";
    assert!(matches!(root.add(admins, &[("objectClass", classes)], &[]).code, 0 | 68));
    let user: &[(&str, &[&str])] = &[
        ("objectClass", &["top", "inetOrgPerson"]),
        ("cn", &["Certified"]),
        ("sn", &["Certified"]),
        ("userPassword", &[PASSWORD]),
    ];
    assert_eq!(root.add(dn, user, &[]).code, 0);
    // The running server takes the trust store when it is told to look again; the open connection stays.
    let hung_up = std::process::Command::new("kill").arg("-HUP").arg(instance.pid().to_string()).status();
    assert!(hung_up.unwrap().success());
    let whoami = |url: &str, args: &[&str]| {
        let mut command = std::process::Command::new("ldapwhoami");
        command.env("LDAPCONF", "/dev/null").env("HOME", "/nonexistent").args(["-H", url, "-Q"]).args(args);
        command.env("LDAPTLS_CACERT", instance.certificate());
        command.env("LDAPTLS_CERT", &pem).env("LDAPTLS_KEY", &key);
        command.output().unwrap()
    };
    let ldaps = format!("ldaps://localhost:{}", instance.ldaps);
    let bound = crate::support::within(|| {
        let ran = whoami(&ldaps, &["-Y", "EXTERNAL"]);
        ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).trim().to_lowercase())
    });
    assert_eq!(bound.as_deref(), Some(format!("dn:{dn}").as_str()), "{}", instance.log());
    assert!(root.heartbeat());
    let clear = format!("ldap://localhost:{}", instance.ldap);
    for (url, args) in [
        (&clear, &["-ZZ", "-Y", "EXTERNAL"][..]),
        (&clear, &["-ZZ", "-Y", "PLAIN", "-U", "certified", "-w", PASSWORD]),
        (&ldaps, &["-Y", "PLAIN", "-U", &format!("dn:{dn}"), "-w", PASSWORD]),
    ] {
        let ran = whoami(url, args);
        let said = String::from_utf8_lossy(&ran.stdout).trim().to_lowercase();
        assert_eq!(said, format!("dn:{dn}"), "{args:?} {ran:?}");
    }
    let ran = whoami(&ldaps, &["-Y", "PLAIN", "-U", "certified", "-w", "wrong"]);
    assert_eq!(ran.status.code(), Some(49), "{ran:?}");
    let offered = root.search(&Query::base("").select(&["supportedSASLMechanisms"]), &[]);
    assert_eq!(offered.entries[0].texts("supportedSASLMechanisms"), ["EXTERNAL", "PLAIN"]);
}
