//! The tools that read and change entries.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::fixture::{SUFFIX, Server};

const PEOPLE: &str = "ou=people,dc=cts,dc=example,dc=com";

fn person(name: &str, more: &str) -> String {
    format!(
        "dn: uid={name},{PEOPLE}\nobjectClass: top\nobjectClass: person\nobjectClass: organizationalPerson\n\
         objectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: S{name}\n{more}\n"
    )
}

fn populated(server: &Server) {
    let mut ldif = format!("dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n");
    for name in ["a", "b", "c", "d", "e"] {
        ldif.push_str(&person(name, "userPassword: secret12\n"));
    }
    server.feed("ldapmodify", &[], &ldif).ok();
}

#[test]
fn ldapmodify_does_each_record_and_tells() {
    let server = Server::started(&[]);
    populated(&server);
    let changes = format!(
        "dn: uid=a,{PEOPLE}\nchangetype: modify\nreplace: cn\ncn:: w4RiYw==\n-\nadd: description\ndescription: one\n-\n\n\
         dn: uid=nobody,{PEOPLE}\nchangetype: delete\n\n\
         dn: uid=b,{PEOPLE}\nchangetype: moddn\nnewrdn: uid=bb\ndeleteoldrdn: 1\n\n\
         dn: uid=c,{PEOPLE}\nchangetype: delete\n"
    );
    let file = server.file("changes.ldif", &changes);
    let stopped = server.ldap("ldapmodify", &[&file]);
    assert_eq!(stopped.code, 32, "{stopped:?}");
    assert!(stopped.out.ends_with(&format!("Processing DELETE request for uid=nobody,{PEOPLE}\n")));
    let said = &stopped.err;
    assert!(said.starts_with("DELETE operation failed\nResult Code:  32 (No Such Entry)\n"), "{said}");
    assert!(said.contains(&format!("Matched DN:  {PEOPLE}\n")), "{said}");

    let went_on = server.ldap("ldapmodify", &["-c", "--filename", &file]);
    assert_eq!(went_on.code, 20, "the first failure, though the last record worked: {went_on:?}");
    assert!(went_on.out.contains(&format!("MODIFY DN operation successful for DN uid=b,{PEOPLE}\n")));
    assert!(went_on.out.ends_with(&format!("DELETE operation successful for DN uid=c,{PEOPLE}\n")));
    assert_eq!(server.values(&format!("uid=bb,{PEOPLE}"), "cn"), ["b"]);
    assert_eq!(server.look(&format!("uid=c,{PEOPLE}"), "base", "(objectClass=*)", &[]).code, 32);

    // Controls: dry run, reads before and after, an assertion, a control typed by hand, somebody else's rights.
    let change = format!("dn: uid=d,{PEOPLE}\nchangetype: modify\nreplace: cn\ncn: D\n");
    let dry = server.feed("ldapmodify", &["-n"], &change).ok();
    assert!(dry.contains("nothing was changed"), "{dry}");
    assert_eq!(server.values(&format!("uid=d,{PEOPLE}"), "cn"), ["d"]);
    let refused = server.feed("ldapmodify", &["--assertionFilter", "(cn=x)"], &change).refused(122);
    assert!(refused.contains("122 (Assertion Failed)"), "{refused}");
    let reads =
        ["--preReadAttributes", "cn", "--postReadAttributes", "cn,etag", "--assertionFilter", "(cn=d)"];
    let said = server.feed("ldapmodify", &reads, &change).ok();
    let dn = format!("dn: uid=d,{PEOPLE}");
    assert!(said.contains(&format!("Target entry before the operation:\n{dn}\ncn: d\n")), "{said}");
    assert!(said.contains(&format!("Target entry after the operation:\n{dn}\ncn: D\netag: ")), "{said}");
    server.feed("ldapmodify", &["-J", "1.2.3.4:true"], &change).refused(12);
    server.feed("ldapmodify", &["-Y", &format!("dn:uid=a,{PEOPLE}")], &change).refused(123);
    let wrong = server.feed("ldapmodify", &[], "dn: cn=x\nno colon\n").refused(82);
    assert!(wrong.contains("line 2"), "{wrong}");
    let elsewhere = "dn: ou=tokens,dc=example,dc=com\nobjectClass: organizationalUnit\n";
    assert!(
        server.feed("ldapmodify", &[], elsewhere).refused(32).contains(SUFFIX),
        "names what the server holds"
    );
}

#[test]
fn ldapsearch_prints_ldif_that_goes_round() {
    let server = Server::started(&[]);
    populated(&server);
    let base = ["-b", PEOPLE];
    let search = |arguments: &[&str]| server.ldap("ldapsearch", &[&base[..], arguments].concat());
    let all = search(&["-s", "one", "(uid=*)", "uid"]).ok();
    assert_eq!(all.matches("\ndn: ").count() + 1, 5, "{all}");
    let paged = search(&["-s", "one", "--simplePageSize", "2", "--countEntries", "(uid=*)", "uid"]).ok();
    assert_eq!(paged, format!("{all}# Total number of matching entries: 5\n"));
    let sorted = search(&["-S", "-uid", "-s", "one", "(uid=*)", "1.1"]).ok();
    let names: Vec<&str> =
        sorted.lines().filter_map(|line| line.strip_prefix("dn: uid=")?.get(..1)).collect();
    assert_eq!(names, ["e", "d", "c", "b", "a"]);
    assert_eq!(search(&["-A", "(uid=a)", "cn"]).ok(), format!("dn: uid=a,{PEOPLE}\ncn:\n\n"));
    assert_eq!(search(&["-z", "2", "(uid=*)", "1.1"]).code, 4);
    assert!(search(&["(uid=a"]).refused(1).contains("filter"));
    assert!(server.ldap("ldapsearch", &["(uid=a)"]).refused(1).contains("--baseDN"));
    let filters = server.file("filters", "(uid=a)\n\n(uid=b)\n");
    assert_eq!(search(&["-f", &filters, "uid"]).ok().matches("dn: ").count(), 2);
    let wrong = server.file("wrong-filters", "(uid=a)\n(uid=\n");
    assert!(search(&["-f", &wrong]).refused(1).contains("wrong-filters, line 2: the filter"));
    let went_on = search(&["-c", "-f", &wrong]);
    assert!(went_on.code == 1 && went_on.err.contains("line 2"), "{went_on:?}");
    let wrapped = search(&["-t", "20", "(uid=a)", "1.1"]).ok();
    assert_eq!(wrapped, "dn: uid=a,ou=people,\n dc=cts,dc=example,d\n c=com\n\n");

    // Whole entries, out and in again.
    let ldif = search(&["-s", "one", "(uid=e)"]).ok();
    server.ldap("ldapdelete", &[&format!("uid=e,{PEOPLE}")]).ok();
    let passwordless: String = ldif
        .lines()
        .filter(|line| !line.starts_with("userPassword"))
        .map(|line| format!("{line}\n"))
        .collect();
    server.feed("ldapmodify", &[], &passwordless).ok();
    assert_eq!(search(&["-s", "one", "(uid=e)"]).ok(), passwordless);

    let wrong = server.run(
        "ldapsearch",
        &["-p", &server.ldap.to_string(), "-D", "cn=Directory Manager", "-w", "no", "-b", "", "(a=b)"],
    );
    assert!(
        wrong.refused(49).contains("The simple bind attempt failed\nResult Code:  49 (Invalid Credentials)")
    );
    let nobody = server.run("ldapsearch", &["-p", "1", "-b", "", "(a=b)"]).refused(91);
    assert!(nobody.contains("is the server started"), "{nobody}");
    let root = server
        .run("ldapsearch", &["-p", &server.ldap.to_string(), "-b", "", "-s", "base", "(objectClass=*)"]);
    assert!(root.ok().starts_with("dn:"), "anonymous");
}

struct Listener(Child);

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_persistent_search_prints_changes_as_they_come() {
    let server = Server::started(&[]);
    populated(&server);
    let port = server.ldap.to_string();
    let mut command = server.command(
        "ldapsearch",
        &[
            "-p",
            &port,
            "-D",
            "cn=Directory Manager",
            "-w",
            "password",
            "-b",
            PEOPLE,
            "-C",
            "ps:all:false:true",
            "(uid=a)",
            "cn",
        ],
    );
    command.stdout(Stdio::piped());
    let mut listener = Listener(command.spawn().unwrap());
    let mut lines = BufReader::new(listener.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |wanted: &str| {
        let found = lines.by_ref().take(20).any(|line| line == wanted);
        assert!(found, "{wanted}");
    };
    // What is there already, so the search is under way.
    until("cn: a");
    let change = format!("dn: uid=a,{PEOPLE}\nchangetype: modify\nreplace: cn\ncn: A2\n");
    server.feed("ldapmodify", &[], &change).ok();
    until("# Persistent search change type:  modify");
    until("cn: A2");
    server.ldap("ldapdelete", &[&format!("uid=a,{PEOPLE}")]).ok();
    until("# Persistent search change type:  delete");
}

#[test]
fn comparing_deleting_and_passwords() {
    let server = Server::started(&[]);
    populated(&server);
    let a = format!("uid=a,{PEOPLE}");
    let said = server.ldap("ldapcompare", &["sn:sA", &a]).ok();
    assert!(said.ends_with(&format!("Compare operation returned true for entry {a}\n")), "{said}");
    assert_eq!(server.ldap("ldapcompare", &["-m", "sn::U2E=", &a]).code, 6);
    assert_eq!(server.ldap("ldapcompare", &["--useCompareResultCode", "sn:x", &a]).code, 5);
    assert_eq!(server.ldap("ldapcompare", &["sn:x", "uid=none,dc=cts,dc=example,dc=com"]).code, 32);

    let authz = format!("dn:{a}");
    let said = server.ldap("ldappasswordmodify", &["--authzID", &authz]).ok();
    let made = said.lines().find_map(|line| line.strip_prefix("Generated Password:  ")).unwrap().to_owned();
    let port = server.ldap.to_string();
    let own = ["-p", &port, "-D", &a, "-w", &made, "-c", &made, "-n", "new-secret"];
    assert!(server.run("ldappasswordmodify", &own).ok().contains("successful"));
    let file = server.file("pw", "new-secret\n");
    let as_self = ["-p", &port, "-D", &a, "-j", &file, "-b", &a, "-s", "base", "(objectClass=*)", "1.1"];
    assert_ne!(server.run("ldapsearch", &as_self).code, 49);
    let old = ["-p", &port, "-D", &a, "-w", &made, "-b", &a, "(objectClass=*)"];
    assert_eq!(server.run("ldapsearch", &old).code, 49);
    assert_eq!(
        server.ldap("ldappasswordmodify", &["-a", "dn:uid=none,dc=example,dc=com", "-n", "x"]).code,
        32
    );

    assert_eq!(server.ldap("ldapdelete", &["-n", &a]).code, 0);
    assert_eq!(server.ldap("ldapdelete", &[PEOPLE]).code, 66);
    let dns = server.file("dns", &format!("uid=none,{PEOPLE}\n{a}\n"));
    assert_eq!(server.ldap("ldapdelete", &["-c", "-f", &dns]).code, 32);
    assert_eq!(server.look(&a, "base", "(objectClass=*)", &[]).code, 32);
    server.ldap("ldapdelete", &["--deleteSubtree", PEOPLE]).ok();
    assert_eq!(server.look(PEOPLE, "base", "(objectClass=*)", &[]).code, 32);
}

#[test]
fn tls_is_believed_as_told() {
    let server = Server::started(&[]);
    let (plain, tls) = (server.ldap.to_string(), server.ldaps.to_string());
    let search = |arguments: &[&str]| {
        let own = ["-b", "", "-s", "base", "(objectClass=*)", "vendorName"];
        let mut command = server.command("ldapsearch", &[arguments, &own[..]].concat());
        // An instance that is not there: its certificate is not known then.
        command.env("CTSD_INSTANCE", "/nonexistent");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let certificate = server.instance().join("config/tls/server.pem");
    let certificate = certificate.to_str().unwrap();
    assert_eq!(search(&["-p", &tls, "--useSSL", "--trustAll"]).0, Some(0));
    assert_eq!(search(&["-p", &tls, "-Z", "-P", certificate]).0, Some(0));
    assert_eq!(search(&["-p", &plain, "-q", "-X"]).0, Some(0));
    assert_eq!(search(&["-p", &plain, "--useStartTLS", "--trustStorePath", certificate]).0, Some(0));
    let (code, said) = search(&["-p", &tls, "-Z"]);
    assert!(code == Some(91) && said.contains("not trusted") && said.contains("--trustAll"), "{said}");
    let (code, said) = search(&["-p", &plain, "-Z", "-X"]);
    assert!(code == Some(91) && said.contains("does not speak TLS"), "{said}");
    let own = ["-p", &tls, "-Z", "-b", "", "-s", "base", "(objectClass=*)"];
    server.run("ldapsearch", &own).ok();
    let file =
        server.file("tools.properties", &format!("port={tls}\nbindDN=cn=Directory Manager\nbindPassword=password\nldapsearch.useSSL=true\nbaseDN={SUFFIX}\n"));
    server.run("ldapsearch", &["--propertiesFilePath", &file, "(objectClass=*)", "1.1"]).ok();
}
