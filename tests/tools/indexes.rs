//! Indexes looked after from the command line while clients write.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::fixture::{SUFFIX, Server};

const INDEX: &str =
    "dn: ds-cfg-attribute=description,cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config
changetype: add
objectClass: top
objectClass: ds-cfg-backend-index
ds-cfg-attribute: description
ds-cfg-index-type: equality
";

fn admin(server: &Server, tool: &str, more: &[&str]) -> crate::fixture::Ran {
    let port = server.admin.to_string();
    let own =
        ["--port", &port, "--bindDN", "cn=Directory Manager", "--bindPassword", "password", "--trustAll"];
    server.run(tool, &[&own[..], &["--baseDN", SUFFIX], more].concat())
}

#[test]
fn indexes_are_added_rebuilt_and_verified_under_writes() {
    let server = Server::started(&[]);
    let stop = AtomicBool::new(false);
    let text = |round: usize, number: usize| {
        format!(
            "dn: ou=r{round}-{number},{SUFFIX}\nchangetype: add\nobjectClass: organizationalUnit\n\
             description: kind {}\n\n",
            number % 3
        )
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                let block: String = (0..50).map(|number| text(round, number)).collect();
                server.feed("ldapmodify", &[], &block).ok();
                round += 1;
            }
            round
        });
        server.feed("ldapmodify", &[], INDEX).ok();
        let rebuilt = admin(&server, "rebuild-index", &["--rebuildAll", "--start", "0"]).ok();
        assert!(rebuilt.contains("has been successfully completed"), "{rebuilt}");
        let verified = admin(&server, "verify-index", &[]).ok();
        assert!(verified.contains("differences=0"), "{verified}");
        let counted = admin(&server, "verify-index", &["--index", "description", "--countErrors"]).ok();
        assert_eq!(counted, "differences=0\n");
        stop.store(true, Ordering::Relaxed);
        let rounds = writer.join().unwrap();
        let found = server.look(SUFFIX, "sub", "(description=kind 1)", &["dn"]).ok();
        assert_eq!(found.matches("dn: ").count(), rounds * 17);
    });

    // What is not there is said.
    let unknown = admin(&server, "rebuild-index", &["--index", "nothing"]).refused(53);
    assert!(unknown.contains("there is no index nothing"), "{unknown}");
    for none in [&["--clearDegradedState", "--index", "uid"][..], &["--rebuildDegraded"]] {
        let said = admin(&server, "rebuild-index", none).ok();
        assert!(said.contains("rebuilt indexes=0: none needs it"), "{said}");
    }
    let later = admin(&server, "rebuild-index", &["--rebuildAll", "--start", "20990101000000Z"]).ok();
    let id = later.split_whitespace().nth(3).unwrap();
    assert_eq!(later, format!("Rebuild Index task {id} scheduled to start 20990101000000Z\n"));
    let dn = format!("ds-task-id={id},cn=Scheduled Tasks,cn=Tasks");
    assert_eq!(server.values(&dn, "ds-task-state"), ["WAITING_ON_START_TIME"]);

    // As the guide calls it, and of the instance at hand with a password.
    assert!(server.run("verify-index", &["--baseDN", SUFFIX]).ok().contains("differences=0"));
    let own = ["-D", "cn=Directory Manager", "-w", "password"];
    server.run("verify-index", &[&own[..], &["--baseDN", SUFFIX]].concat()).ok();

    // And with the server stopped, without anybody.
    server.run("stop-ds", &[]).ok();
    let offline = server.run("verify-index", &["--baseDN", SUFFIX]).ok();
    assert!(offline.contains("differences=0"), "{offline}");
    let rebuilt = server.run("rebuild-index", &["--baseDN", SUFFIX, "--rebuildAll"]).ok();
    assert!(rebuilt.contains("rebuilt names, counters and indexes of"), "{rebuilt}");
    assert!(server.run("verify-index", &["--baseDN", SUFFIX]).ok().contains("differences=0"));
}
