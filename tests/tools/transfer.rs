//! `import-ldif` and `export-ldif` by their names: stopped, and while clients search and write.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::fixture::{Ran, SUFFIX, Server};

const TOKENS: &str = "ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com";

/// The container as the guide's LDIF has it, and tokens.
fn tokens(range: std::ops::Range<usize>) -> String {
    let mut text = format!("dn: {SUFFIX}\nobjectClass: top\nobjectClass: domain\ndc: cts\n\n");
    for ou in ["tokens", "openam-session,ou=tokens", "famrecords,ou=openam-session,ou=tokens"] {
        let name = ou.split(',').next().unwrap();
        text.push_str(&format!(
            "dn: ou={ou},{SUFFIX}\nobjectClass: top\nobjectClass: organizationalUnit\nou: {name}\n\n"
        ));
    }
    for number in range {
        text.push_str(&token(number));
    }
    text
}

fn token(number: usize) -> String {
    let blob = "{\"clientDomain\":\"!\",\"creationTime\":1795324598043}".repeat(number % 40);
    format!(
        "dn: coreTokenId=t{number},{TOKENS}\nobjectClass: top\nobjectClass: frCoreToken\ncoreTokenId: t{number}\n\
         coreTokenType: SESSION\ncoreTokenUserId: user{}\ncoreTokenExpirationDate: 20301122{:02}0000Z\n\
         coreTokenObject: {{{blob}}}\ncoreTokenString02: s{number}\n\n",
        number % 50,
        number % 24,
    )
}

fn admin(server: &Server, tool: &str, more: &[&str]) -> Ran {
    let port = server.admin.to_string();
    let own =
        ["--port", &port, "--bindDN", "cn=Directory Manager", "--bindPassword", "password", "--trustAll"];
    server.run(tool, &[&own[..], more].concat())
}

fn found(server: &Server, filter: &str) -> usize {
    server.look(TOKENS, "one", filter, &["1.1"]).ok().matches("dn: ").count()
}

fn verified(server: &Server) {
    let verified = admin(server, "verify-index", &["--baseDN", SUFFIX]).ok();
    assert!(verified.contains("differences=0"), "{verified}");
}

#[test]
fn tokens_come_in_and_go_out_with_the_server_stopped() {
    let server = Server::started(&["--profile", "am-cts"]);
    server.run("stop-ds", &[]).ok();
    let all = server.file("tokens.ldif", &tokens(0..500));
    let said = server.run("import-ldif", &["--backendID", "userRoot", "--ldifFile", &all]);
    assert!(said.err.contains("Processed 504 entries, imported 504, skipped 0, rejected 0"), "{said:?}");
    said.ok();

    // Out again, folded and compressed; in again; out again: the same to the octet.
    let (first, packed, again) =
        (server.file("a.ldif", ""), server.file("b.ldif.gz", ""), server.file("c.ldif", ""));
    server.run("export-ldif", &["-n", "userRoot", "-l", &first]).ok();
    server.run("export-ldif", &["-n", "userRoot", "-l", &packed, "--compress", "--wrapColumn", "76"]).ok();
    server.run("import-ldif", &["-n", "userRoot", "-l", &packed, "--isCompressed", "--clearBackend"]).ok();
    server.run("export-ldif", &["-n", "userRoot", "-l", &again]).ok();
    let text = std::fs::read_to_string(&first).unwrap();
    assert_eq!(text, std::fs::read_to_string(&again).unwrap());
    assert_eq!((text.matches("dn: ").count(), text.matches("entryUUID: ").count()), (504, 504));

    // Rejects are told, counted and written.
    let odd = server.file("odd.ldif", &format!("{}{}dn: cn=x,{SUFFIX}\ncn: x\n", tokens(0..3), token(1)));
    let rejects = server.file("rejects.ldif", "");
    let counted =
        server.run("import-ldif", &["-n", "userRoot", "-l", &odd, "-R", &rejects, "--countRejects"]);
    assert_eq!(counted.code, 2, "{counted:?}");
    let rejects = std::fs::read_to_string(rejects).unwrap();
    assert!(rejects.contains("there is an entry of this name already\ndn: coreTokenId=t1,"), "{rejects}");
    assert!(rejects.contains("the entry has no attribute objectClass\ndn: cn=x,"), "{rejects}");

    // What cannot be is refused, and all stays as it is.
    let said = server.run("import-ldif", &["-n", "other", "-l", &all]).refused(1);
    assert!(said.contains("there is no backend other to take part; the data store is userRoot"), "{said}");
    server.run("import-ldif", &["-n", "userRoot", "-l", "/nowhere.ldif"]).refused(1);
    server.run("import-ldif", &["-n", "userRoot"]).refused(1);
    let nonsense = server.file("nonsense.ldif", "this is no LDIF\n");
    let said = server.run("import-ldif", &["-n", "userRoot", "-l", &nonsense]).refused(1);
    assert!(said.contains("the data stays as it was"), "{said}");

    server.run("start-ds", &[]).ok();
    assert_eq!(found(&server, "(coreTokenType=SESSION)"), 3);
    verified(&server);
    // A server that runs is not worked behind.
    let said = server.run("import-ldif", &["-n", "userRoot", "-l", &all]).refused(1);
    assert!(said.contains("--bindPasswordFile"), "{said}");
}

#[test]
fn data_is_replaced_while_others_search() {
    let server = Server::started(&["--profile", "am-cts"]);
    let all = server.file("tokens.ldif", &tokens(0..2000));
    let stop = AtomicBool::new(false);
    let searches = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let searcher = scope.spawn(|| {
            let mut seen = Vec::new();
            while !stop.load(Ordering::Acquire) {
                // Never an error, and never a part: nothing, or all.
                seen.push(found(&server, "(coreTokenUserId=user7)"));
                searches.fetch_add(1, Ordering::Release);
            }
            seen
        });
        while searches.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        let said = admin(&server, "import-ldif", &["-n", "userRoot", "-l", &all]).ok();
        assert!(said.contains("imported 2004, skipped 0, rejected 0"), "{said}");
        assert!(said.contains("has been successfully completed"), "{said}");
        let before = searches.load(Ordering::Acquire);
        while searches.load(Ordering::Acquire) < before + 2 {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Release);
        let seen = searcher.join().unwrap();
        assert!(seen.iter().all(|count| [0, 40].contains(count)) && seen.last() == Some(&40), "{seen:?}");
    });
    verified(&server);
    // It takes changes again, and they are there after a restart.
    let dn = format!("coreTokenId=later,{TOKENS}");
    let later = token(9999).replace("t9999", "later");
    server.feed("ldapmodify", &["--defaultAdd"], &later).ok();
    server.run("stop-ds", &[]).ok();
    server.run("start-ds", &[]).ok();
    assert_eq!(server.values(&dn, "coreTokenType"), ["SESSION"]);
    assert_eq!(found(&server, "(coreTokenType=SESSION)"), 2001);

    // One branch anew; what is beside it stays.
    let beside = "dn: ou=beside,dc=cts,dc=example,dc=com\nobjectClass: organizationalUnit\n";
    server.feed("ldapmodify", &["--defaultAdd"], beside).ok();
    let uuid = server.values(&format!("ou=beside,{SUFFIX}"), "entryUUID");
    let few = server.file("few.ldif", &tokens(0..5));
    let rejects = server.file("rejects.ldif", "");
    let said =
        admin(&server, "import-ldif", &["--includeBranch", TOKENS, "-l", &few, "--rejectFile", &rejects])
            .ok();
    assert!(said.contains("imported 6, skipped 3, rejected 0"), "{said}");
    assert_eq!(found(&server, "(coreTokenType=SESSION)"), 5);
    assert_eq!(server.values(&format!("ou=beside,{SUFFIX}"), "entryUUID"), uuid);
    verified(&server);

    // A file that is not there is said in the task's log, and the server goes on as before.
    admin(&server, "import-ldif", &["-n", "userRoot", "-l", "/nowhere.ldif"]).refused(1);
    assert_eq!(found(&server, "(coreTokenType=SESSION)"), 5);
    server.feed("ldapmodify", &["--defaultAdd"], &token(77)).ok();
    // An import can wait for its time, as every task.
    let said =
        admin(&server, "import-ldif", &["-n", "userRoot", "-l", &few, "--start", "20990101000000Z"]).ok();
    assert!(
        said.starts_with("Import task ") && said.contains("scheduled to start 20990101000000Z"),
        "{said}"
    );
}

#[test]
fn an_export_is_consistent_while_writers_write() {
    let server = Server::started(&["--profile", "am-cts"]);
    let base = server.file("tokens.ldif", &tokens(0..300));
    admin(&server, "import-ldif", &["-n", "userRoot", "-l", &base]).ok();
    let stop = AtomicBool::new(false);
    let written = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::Acquire) {
                let block: String = (0..20).map(|at| token(1000 + round * 20 + at)).collect();
                server.feed("ldapmodify", &["--defaultAdd"], &block).ok();
                round += 1;
                written.store(round * 20, Ordering::Release);
            }
        });
        for round in 0..3 {
            while written.load(Ordering::Acquire) < 40 * (round + 1) {
                std::thread::yield_now();
            }
            let file = server.file(&format!("export{round}.ldif"), "");
            let before = written.load(Ordering::Acquire);
            admin(&server, "export-ldif", &["-n", "userRoot", "-l", &file]).ok();
            let text = std::fs::read_to_string(&file).unwrap();
            let mut numbers: Vec<usize> = text
                .lines()
                .filter_map(|line| line.strip_prefix("coreTokenId: t")?.parse().ok())
                .filter(|number| *number >= 1000)
                .collect();
            numbers.sort_unstable();
            // All that was acknowledged before, and of what came later no part that leaves a gap.
            assert!(numbers.len() >= before, "{} {before}", numbers.len());
            assert!(numbers.iter().copied().eq(1000..1000 + numbers.len()));
        }
        stop.store(true, Ordering::Release);
        writer.join().unwrap();
    });
    // Filters, branches and attributes choose.
    let some = server.file("some.ldif", "");
    let args = [
        "-n",
        "userRoot",
        "-l",
        &some,
        "--includeBranch",
        TOKENS,
        "--includeFilter",
        "(coreTokenUserId=user7)",
        "--excludeFilter",
        "(coreTokenId=t7)",
        "--includeAttribute",
        "coreTokenId",
        "--excludeOperational",
    ];
    admin(&server, "export-ldif", &args).ok();
    let text = std::fs::read_to_string(&some).unwrap();
    assert!(text.contains("coreTokenId: t57\n") && !text.contains("coreTokenId: t7\n"), "{text}");
    assert!(
        !text.contains("coreTokenUserId") && !text.contains("entryUUID") && text.contains("objectClass: ")
    );
    let refused =
        admin(&server, "export-ldif", &["-n", "userRoot", "-l", &some, "-b", "dc=elsewhere"]).refused(53);
    assert!(refused.contains("dc=elsewhere is not below a base DN"), "{refused}");
}
