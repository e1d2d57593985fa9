//! The logs: each property on a log of its own, so that nothing else decides what is in it.

use ctsd::protocol::message::{Control, ModifyOperation, Scope};
use ctsd::protocol::{oid, request};

use crate::client::{Client, Tls, http};
use crate::fixture::SUFFIX;
use crate::ports::free_port;
use crate::table::{ERRORS, Round, Seen, play, row, stays};
use crate::world::{World, uid, until};

macro_rules! access {
    ($name:literal) => {
        (
            "log-publisher (file-based-access)",
            concat!("--publisher-name ", $name),
            concat!("cn=", $name, ",cn=Loggers,cn=config"),
        )
    };
}

macro_rules! audit {
    ($name:literal) => {
        (
            "log-publisher (file-based-audit)",
            concat!("--publisher-name ", $name),
            concat!("cn=", $name, ",cn=Loggers,cn=config"),
        )
    };
}

macro_rules! criteria {
    ($name:literal) => {
        (
            "access-log-filtering-criteria",
            concat!("--publisher-name ", $name, " --criteria-name these"),
            concat!("cn=these,cn=Filtering Criteria,cn=", $name, ",cn=Loggers,cn=config"),
        )
    };
}

macro_rules! rotation {
    ($name:literal) => {
        (
            "log-rotation-policy",
            concat!("--policy-name ", $name),
            concat!("cn=", $name, ",cn=Log Rotation Policies,cn=config"),
        )
    };
}

macro_rules! retention {
    ($name:literal) => {
        (
            "log-retention-policy",
            concat!("--policy-name ", $name),
            concat!("cn=", $name, ",cn=Log Retention Policies,cn=config"),
        )
    };
}

/// A search that the log shows by its filter.
fn marked(client: &mut Client, marker: &str) {
    client.search(SUFFIX, Scope::Base, &format!("(cn={marker})"), &["1.1"]);
}

/// Something in clear that is logged, and what it is found by. It is done with when this returns, and on its way to all
/// logs: the main one has what came after it.
fn happens(world: &World, what: impl FnOnce(&mut Client, &str), client: &mut Client) -> String {
    let (marker, after) = (world.fresh() + "-", world.fresh() + "-");
    what(client, &marker);
    marked(client, &after);
    until("the main log goes on", || world.text("logs/access").contains(&after));
    marker
}

fn takes(world: &World, file: &str) -> bool {
    let mut client = world.anonymous();
    let marker = happens(world, marked, &mut client);
    // An enabled log has it soon; one that is off never.
    marked(&mut client, &marker);
    world.text(file).contains(&marker)
}

fn off_takes(world: &World) -> bool {
    takes(world, "logs/off")
}

fn moved_takes(world: &World) -> bool {
    takes(world, "logs/moved")
}

fn folder_takes(world: &World) -> bool {
    takes(world, "logs2/ldap-access.audit.json")
}

fn is_mine_alone(world: &World) -> bool {
    world.mode("logs/mode") == Some(0o600)
}

fn is_json(world: &World) -> bool {
    takes(world, "logs/format")
        && world.text("logs/format").lines().last().is_some_and(|line| line.starts_with('{'))
}

/// What the log of this name did not find room for.
fn drops(world: &World, name: &str) -> bool {
    let reports = world.monitor("Log Publishers", "ds-cts-log-publisher");
    let own = reports.iter().find(|report| report.starts_with(&format!("\"{name}\""))).unwrap();
    !own.contains("dropped=0 ")
}

fn full_queues_drop(world: &World) -> bool {
    let mut client = world.anonymous();
    let mut out = bytes::BytesMut::new();
    for _ in 0..400 {
        let asked = client.written(|out, id| request::compare(out, id, "", "objectClass", b"top", &[]));
        out.extend_from_slice(&asked);
    }
    client.send(&out);
    (0..400).for_each(|_| drop(client.answer()));
    drops(world, "queue")
}

fn full_audits_drop(world: &World) -> bool {
    let mut client = world.root();
    let mut out = bytes::BytesMut::new();
    for number in 0..200 {
        let text = number.to_string();
        let change = [(ModifyOperation::Replace, ("description", &[text.as_bytes()][..]))];
        let asked = client.written(|out, id| request::modify(out, id, &uid("wide"), &change, &[]));
        out.extend_from_slice(&asked);
    }
    client.send(&out);
    (0..200).for_each(|_| drop(client.answer()));
    drops(world, "aqueue")
}

/// Who asks for the numbers over HTTP is bound by the server itself.
fn internal_is_shown(world: &World) -> bool {
    let port: u16 = world.text("web.txt").parse().unwrap();
    let credentials = "Authorization: Basic Y249RGlyZWN0b3J5IE1hbmFnZXI6cGFzc3dvcmQ=\r\n";
    let answer = http(port, None, "/metrics", credentials).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    world.text("logs/internal").contains("conn=0 ")
}

fn controls_are_shown(world: &World) -> bool {
    let mut client = world.anonymous();
    let control = Control { oid: oid::TRANSACTION_ID, critical: false, value: Some(b"x") };
    let with = |client: &mut Client, marker: &str| {
        let filter = format!("(cn={marker})");
        client.search_with(SUFFIX, Scope::Base, &filter, &["1.1"], &[control]);
    };
    let marker = happens(world, with, &mut client);
    let text = world.text("logs/oids");
    text.lines().any(|line| line.contains(&marker) && line.contains(oid::TRANSACTION_ID))
}

/// Whether a log has what is to be taken, and not what came before it and is to be skipped.
fn narrows(world: &World, file: &str, skipped: &str, take: impl FnOnce(&str)) -> bool {
    let marker = world.fresh() + "-";
    take(&marker);
    until(file, || world.text(file).contains(&marker));
    !world.text(file).contains(skipped)
}

fn fails_to_bind(client: &mut Client, marker: &str) {
    client.bind(&uid(marker), "wrong");
}

/// A search is skipped, a bind is taken.
fn binds(world: &World, file: &str) -> bool {
    let mut client = world.anonymous();
    let skipped = happens(world, marked, &mut client);
    narrows(world, file, &skipped, |marker| fails_to_bind(&mut client, marker))
}

fn filter_is_inclusive(world: &World) -> bool {
    binds(world, "logs/filter")
}

fn records_are_binds(world: &World) -> bool {
    binds(world, "logs/crecord")
}

fn few_are_sampled(world: &World) -> bool {
    let mut client = world.user("user");
    let twenty = |client: &mut Client, marker: &str| (0..20).for_each(|_| marked(client, marker));
    let sampled = happens(world, twenty, &mut client);
    let marker = world.fresh() + "-";
    fails_to_bind(&mut client, &marker);
    until("failures are all written", || world.text("logs/sample").contains(&marker));
    world.text("logs/sample").matches(&sampled).count() < 20
}

/// A password takes longer to hash than a millisecond.
fn slow_ones_are_taken(world: &World) -> bool {
    let name = world.fresh();
    let mut root = world.root();
    world.person(&mut root, &name, &[]);
    world.text("logs/slower").contains(" ADD ")
}

fn two_places(world: &World, file: &str, client: &mut Client) -> bool {
    let skipped = happens(world, marked, &mut world.anonymous());
    narrows(world, file, &skipped, |marker| marked(client, marker))
}

fn from_elsewhere(world: &World, file: &str) -> bool {
    two_places(world, file, &mut Client::from(world.server.ldap, [127, 0, 0, 7]))
}

fn clients_are_equal(world: &World) -> bool {
    from_elsewhere(world, "logs/cclient")
}

fn clients_are_others(world: &World) -> bool {
    from_elsewhere(world, "logs/cothers")
}

fn by_ldaps(world: &World, file: &str) -> bool {
    let (mut client, _) = Client::tls(world.server.ldaps, &Tls::default()).unwrap();
    two_places(world, file, &mut client)
}

fn ports_are_equal(world: &World) -> bool {
    by_ldaps(world, "logs/cport")
}

fn protocols_are_equal(world: &World) -> bool {
    by_ldaps(world, "logs/cprotocol")
}

fn users_are_equal(world: &World) -> bool {
    two_places(world, "logs/cuser", &mut world.user("user"))
}

fn users_are_others(world: &World) -> bool {
    let skipped = happens(world, marked, &mut world.user("wide"));
    let mut client = world.user("user");
    narrows(world, "logs/cnouser", &skipped, |marker| marked(&mut client, marker))
}

fn below_numbers(world: &World, file: &str) -> bool {
    let mut client = world.anonymous();
    let skipped = happens(world, marked, &mut client);
    narrows(world, file, &skipped, |marker| {
        client.search(&format!("ou=numbers,{SUFFIX}"), Scope::Base, &format!("(cn={marker})"), &["1.1"]);
    })
}

fn targets_are_equal(world: &World) -> bool {
    below_numbers(world, "logs/ctarget")
}

fn targets_are_others(world: &World) -> bool {
    below_numbers(world, "logs/cnotarget")
}

fn failures(world: &World, file: &str) -> bool {
    let mut client = world.root();
    let skipped = happens(world, marked, &mut client);
    narrows(world, file, &skipped, |marker| {
        let answer = client.search(&uid("nobody"), Scope::Base, &format!("(cn={marker})"), &["1.1"]);
        assert!(answer.is(32), "{answer:?}");
    })
}

fn codes_are_equal(world: &World) -> bool {
    failures(world, "logs/ccode")
}

fn codes_are_others(world: &World) -> bool {
    failures(world, "logs/cnocode")
}

fn unindexed_are_taken(world: &World) -> bool {
    let mut client = world.root();
    let skipped = happens(world, marked, &mut client);
    narrows(world, "logs/cindexed", &skipped, |marker| {
        client.search(SUFFIX, Scope::Subtree, &format!("(|(description=*some*)(cn={marker}))"), &["1.1"]);
    })
}

fn twelve(client: &mut Client, marker: &str) {
    let answer = client.search(SUFFIX, Scope::Subtree, &format!("(|(sn=number)(cn={marker}))"), &["1.1"]);
    assert_eq!(answer.found.len(), 12);
}

fn many_are_taken(world: &World) -> bool {
    let mut client = world.user("wide");
    let skipped = happens(world, marked, &mut client);
    narrows(world, "logs/cmany", &skipped, |marker| twelve(&mut client, marker))
}

fn few_are_taken(world: &World) -> bool {
    let mut client = world.user("wide");
    let skipped = happens(world, twelve, &mut client);
    narrows(world, "logs/cfew", &skipped, |marker| marked(&mut client, marker))
}

/// A search mostly takes less than a millisecond; to hash a password takes several.
fn slow_ones_alone(world: &World) -> bool {
    let mut root = world.root();
    let skipped = happens(world, marked, &mut world.anonymous());
    narrows(world, "logs/cslow", &skipped, |marker| world.person(&mut root, marker, &[]))
}

fn quick_ones_alone(world: &World) -> bool {
    let mut root = world.root();
    let slow = world.fresh() + "-";
    world.person(&mut root, &slow, &[]);
    let mut client = world.anonymous();
    let mut quick = Vec::new();
    until("a quick one is logged", || {
        let marker = world.fresh() + "-";
        marked(&mut client, &marker);
        quick.push(marker);
        let text = world.text("logs/cfast");
        quick.iter().any(|marker| text.contains(marker))
    });
    !world.text("logs/cfast").contains(&slow)
}

/// Files of a log that were put aside.
fn aside(world: &World, name: &str) -> usize {
    let names = std::fs::read_dir(world.path("logs")).unwrap();
    let names = names.map(|item| item.unwrap().file_name().into_string().unwrap());
    names.filter(|file| file.starts_with(&format!("{name}.2"))).count()
}

fn writes(world: &World) {
    let mut client = world.root();
    marked(&mut client, &world.fresh());
    assert!(client.replace(&uid("wide"), "description", &[world.fresh().as_bytes()]).is(0));
}

fn is_put_aside(world: &World, name: &str) -> bool {
    writes(world);
    aside(world, name) > 0
}

/// There were three files at the least before.
fn is_thrown_away(world: &World, name: &str) -> bool {
    writes(world);
    aside(world, name) <= 1
}

fn access_rotates(world: &World) -> bool {
    is_put_aside(world, "rotates")
}

fn access_retains(world: &World) -> bool {
    is_thrown_away(world, "retains")
}

fn audit_rotates(world: &World) -> bool {
    is_put_aside(world, "arotates")
}

fn audit_retains(world: &World) -> bool {
    is_thrown_away(world, "aretains")
}

fn size_rotates(world: &World) -> bool {
    is_put_aside(world, "bysize")
}

fn time_rotates(world: &World) -> bool {
    is_put_aside(world, "bytime")
}

fn number_retains(world: &World) -> bool {
    is_thrown_away(world, "bynumber")
}

fn space_retains(world: &World) -> bool {
    is_thrown_away(world, "byspace")
}

fn room_retains(world: &World) -> bool {
    is_thrown_away(world, "byroom")
}

fn audits(world: &World, file: &str) -> bool {
    let marker = world.fresh() + "-";
    assert!(world.root().replace(&uid("wide"), "description", &[marker.as_bytes()]).is(0));
    // Off it stays empty; on it comes soon, or with the next one.
    world.text(file).contains("fresh")
}

fn audit_is_on(world: &World) -> bool {
    audits(world, "logs/aoff")
}

fn audit_has_moved(world: &World) -> bool {
    audits(world, "logs/amoved")
}

fn audit_is_mine_alone(world: &World) -> bool {
    world.mode("logs/amode") == Some(0o600)
}

/// Modifications are skipped, additions are taken.
fn audit_takes_additions(world: &World) -> bool {
    let mut root = world.root();
    let skipped = world.fresh() + "-";
    assert!(root.replace(&uid("wide"), "description", &[skipped.as_bytes()]).is(0));
    narrows(world, "logs/afilter", &skipped, |marker| {
        let person = [("objectClass", "person"), ("cn", marker), ("sn", marker)];
        assert!(root.add(&format!("cn={marker},{SUFFIX}"), &person).is(0));
    })
}

fn surnames_are_left_out(world: &World) -> bool {
    let mut root = world.root();
    let name = world.fresh() + "-";
    let person = [("objectClass", "person"), ("cn", &*name), ("sn", "secret surname")];
    assert!(root.add(&format!("cn={name},{SUFFIX}"), &person).is(0));
    until("the change is audited", || world.text("logs/aredacted").contains(&format!("cn={name},")));
    let text = world.text("logs/aredacted");
    let record = text.split("\n\n").filter(|record| record.contains(&name)).collect::<String>();
    !record.is_empty() && !record.contains("secret surname")
}

/// Gives a task, which the error log tells of with severity NOTICE before it is over.
fn tells(world: &World, file: &str) -> bool {
    let id = world.fresh();
    let dn = format!("ds-task-id={id},cn=Scheduled Tasks,cn=Tasks");
    let task = [
        ("objectClass", "ds-task"),
        ("objectClass", "extensibleObject"),
        ("ds-task-id", &*id),
        ("ds-task-class-name", "org.opends.server.tasks.RebuildTask"),
        ("ds-task-rebuild-base-dn", SUFFIX),
        ("ds-task-rebuild-index", "mail"),
    ];
    let answer = world.root().add(&dn, &task);
    assert!(answer.is(0), "{answer:?}");
    until("the task ends", || world.root().values(&dn, "ds-task-state")[0].starts_with("COMPLETED"));
    world.text(file).contains(&id)
}

fn errors_are_elsewhere(world: &World) -> bool {
    tells(world, "logs/other-errors")
}

fn errors_are_mine_alone(world: &World) -> bool {
    world.mode("logs/other-errors") == Some(0o600)
}

fn notices_are_taken(world: &World) -> bool {
    tells(world, "logs/errors")
}

fn errors_rotate(world: &World) -> bool {
    tells(world, "logs/other-errors");
    aside(world, "other-errors") > 0
}

fn errors_are_few(world: &World) -> bool {
    tells(world, "logs/other-errors");
    aside(world, "other-errors") <= 1
}

const TINY: &str = "rotation-policy:cn=Tiny,cn=Log Rotation Policies,cn=config";
const POLICIES: &str = "create-log-rotation-policy --policy-name Tiny --type size-limit --set \"file-size-limit:50 b\"\n\
    create-log-retention-policy --policy-name One --type file-count --set number-of-files:1\n";

fn publisher(name: &str, kind: &str, more: &str) -> String {
    let format = if kind == "file-based-access" { "--set log-format:combined" } else { "" };
    format!(
        "create-log-publisher --publisher-name {name} --type {kind} --set log-file:logs/{name} {format} {more}\n"
    )
}

const ON: &str = "--set enabled:true";

fn with_logs(world: &mut World) -> Vec<(&'static str, String)> {
    std::fs::create_dir(world.path("logs2")).unwrap();
    let web = free_port();
    std::fs::write(world.path("web.txt"), web.to_string()).unwrap();
    let mut text = POLICIES.to_owned();
    text += &format!(
        "create-connection-handler --handler-name Web --type http --set enabled:true --set listen-port:{web} \
         --set listen-address:127.0.0.1\n"
    );
    for (name, more) in [
        ("off", "--set enabled:false"),
        ("file", ON),
        ("mode", ON),
        ("format", ON),
        ("queue", ON),
        ("internal", ON),
        ("oids", ON),
        ("filter", ON),
        ("sample", ON),
        ("slower", "--set enabled:true --set \"cts-log-slower-than:1 h\""),
        ("rotates", ON),
    ] {
        text += &publisher(name, "file-based-access", more);
    }
    text += &format!("create-log-publisher --publisher-name folder --type json-file-access {ON}\n");
    text += &publisher("retains", "file-based-access", &format!("{ON} --set \"{TINY}\""));
    for (name, more) in [
        ("aoff", "--set enabled:false"),
        ("afile", ON),
        ("amode", ON),
        ("aqueue", ON),
        ("ainternal", ON),
        ("afilter", ON),
        ("aredacted", ON),
        ("arotates", ON),
    ] {
        text += &publisher(name, "file-based-audit", more);
    }
    text += &publisher("aretains", "file-based-audit", &format!("{ON} --set \"{TINY}\""));
    for (name, kind) in [("filter", "bind"), ("afilter", "add")] {
        text += &format!(
            "create-access-log-filtering-criteria --publisher-name {name} --criteria-name these \
             --set log-record-type:{kind}\n"
        );
    }
    world.prepare(&text);
    until("the logs have some files", || {
        writes(world);
        aside(world, "retains") > 2 && aside(world, "aretains") > 2
    });
    Vec::new()
}

fn with_criteria(world: &mut World) -> Vec<(&'static str, String)> {
    let mut text = String::new();
    for name in [
        "crecord",
        "cclient",
        "cothers",
        "cport",
        "cprotocol",
        "cuser",
        "cnouser",
        "ctarget",
        "cnotarget",
        "ccode",
        "cnocode",
        "cindexed",
        "cmany",
        "cfew",
        "cslow",
        "cfast",
    ] {
        text += &publisher(name, "file-based-access", &format!("{ON} --set filtering-policy:inclusive"));
        text +=
            &format!("create-access-log-filtering-criteria --publisher-name {name} --criteria-name these\n");
    }
    world.prepare(&text);
    vec![("ldaps", world.server.ldaps.to_string())]
}

fn with_policies(world: &mut World) -> Vec<(&'static str, String)> {
    let mut text = POLICIES.to_owned();
    for (name, kind, value) in [
        ("Size", "size-limit", "file-size-limit:1 gb"),
        ("Time", "time-limit", "rotation-interval:1 h"),
        ("Day", "fixed-time", "time-of-day:0000"),
    ] {
        text += &format!("create-log-rotation-policy --policy-name {name} --type {kind} --set \"{value}\"\n");
    }
    for (name, kind, value) in [
        ("Number", "file-count", "number-of-files:1000"),
        ("Space", "size-limit", "disk-space-used:1 gb"),
        ("Room", "free-disk-space", "free-disk-space:1 b"),
    ] {
        text +=
            &format!("create-log-retention-policy --policy-name {name} --type {kind} --set \"{value}\"\n");
    }
    for (name, policy) in [("bysize", "Size"), ("bytime", "Time")] {
        let more = format!("{ON} --set \"rotation-policy:cn={policy},cn=Log Rotation Policies,cn=config\"");
        text += &publisher(name, "file-based-access", &more);
    }
    for (name, policy) in [("bynumber", "Number"), ("byspace", "Space"), ("byroom", "Room")] {
        let more = format!(
            "{ON} --set \"{TINY}\" --set \"retention-policy:cn={policy},cn=Log Retention Policies,cn=config\""
        );
        text += &publisher(name, "file-based-access", &more);
    }
    world.prepare(&text);
    until("the logs have some files", || {
        writes(world);
        ["bynumber", "byspace", "byroom"].iter().all(|name| aside(world, name) > 2)
    });
    Vec::new()
}

fn with_errors_off(world: &mut World) -> Vec<(&'static str, String)> {
    world.prepare(&format!(
        "{POLICIES}set-log-publisher-prop --publisher-name \"File-Based Error Logger\" --set enabled:false\n"
    ));
    Vec::new()
}

fn with_errors_alone(world: &mut World) -> Vec<(&'static str, String)> {
    world.prepare(
        "set-log-publisher-prop --publisher-name \"File-Based Error Logger\" --set default-severity:error\n",
    );
    Vec::new()
}

const TINY_DN: &[&str] = &["cn=Tiny,cn=Log Rotation Policies,cn=config"];
const ONE_DN: &[&str] = &["cn=One,cn=Log Retention Policies,cn=config"];

pub(crate) const ROUNDS: &[Round] = &[
    Round {
        name: "logs",
        prepare: with_logs,
        moved: stays,
        rows: &[
            row(access!("off"), "enabled", &["true"], Seen::Live(off_takes)),
            row(access!("file"), "log-file", &["logs/moved"], Seen::Live(moved_takes)),
            row(access!("folder"), "log-directory", &["logs2"], Seen::Live(folder_takes)),
            row(access!("mode"), "log-file-permissions", &["600"], Seen::Live(is_mine_alone)),
            row(access!("format"), "log-format", &["json"], Seen::Live(is_json)),
            row(access!("queue"), "queue-size", &["1"], Seen::Live(full_queues_drop)),
            row(
                access!("internal"),
                "suppress-internal-operations",
                &["false"],
                Seen::Live(internal_is_shown),
            ),
            row(access!("oids"), "log-control-oids", &["true"], Seen::Live(controls_are_shown)),
            row(access!("filter"), "filtering-policy", &["inclusive"], Seen::Live(filter_is_inclusive)),
            row(access!("sample"), "cts-log-sample-every", &["1000"], Seen::Live(few_are_sampled)),
            row(access!("slower"), "cts-log-slower-than", &["1 ms"], Seen::Live(slow_ones_are_taken)),
            row(access!("rotates"), "rotation-policy", TINY_DN, Seen::Live(access_rotates)),
            row(access!("retains"), "retention-policy", ONE_DN, Seen::Live(access_retains)),
            row(audit!("aoff"), "enabled", &["true"], Seen::Live(audit_is_on)),
            row(audit!("afile"), "log-file", &["logs/amoved"], Seen::Live(audit_has_moved)),
            row(audit!("amode"), "log-file-permissions", &["600"], Seen::Live(audit_is_mine_alone)),
            row(audit!("aqueue"), "queue-size", &["1"], Seen::Live(full_audits_drop)),
            row(
                audit!("ainternal"),
                "suppress-internal-operations",
                &["false"],
                Seen::Elsewhere(
                    "src/telemetry/access_log.rs",
                    "the_servers_own_changes_are_audited_where_that_is_wanted",
                ),
            ),
            row(audit!("afilter"), "filtering-policy", &["inclusive"], Seen::Live(audit_takes_additions)),
            row(audit!("aredacted"), "cts-redacted-attribute", &["sn"], Seen::Live(surnames_are_left_out)),
            row(audit!("arotates"), "rotation-policy", TINY_DN, Seen::Live(audit_rotates)),
            row(audit!("aretains"), "retention-policy", ONE_DN, Seen::Live(audit_retains)),
        ],
    },
    Round {
        name: "criteria",
        prepare: with_criteria,
        moved: stays,
        rows: &[
            row(criteria!("crecord"), "log-record-type", &["bind"], Seen::Live(records_are_binds)),
            row(
                criteria!("cclient"),
                "connection-client-address-equal-to",
                &["127.0.0.7"],
                Seen::Live(clients_are_equal),
            ),
            row(
                criteria!("cothers"),
                "connection-client-address-not-equal-to",
                &["127.0.0.1"],
                Seen::Live(clients_are_others),
            ),
            row(criteria!("cport"), "connection-port-equal-to", &["{ldaps}"], Seen::Live(ports_are_equal)),
            row(
                criteria!("cprotocol"),
                "connection-protocol-equal-to",
                &["LDAPS"],
                Seen::Live(protocols_are_equal),
            ),
            row(criteria!("cuser"), "user-dn-equal-to", &["uid=user,SUFFIX"], Seen::Live(users_are_equal)),
            row(
                criteria!("cnouser"),
                "user-dn-not-equal-to",
                &["uid=wide,SUFFIX"],
                Seen::Live(users_are_others),
            ),
            row(
                criteria!("ctarget"),
                "request-target-dn-equal-to",
                &["ou=numbers,SUFFIX"],
                Seen::Live(targets_are_equal),
            ),
            row(
                criteria!("cnotarget"),
                "request-target-dn-not-equal-to",
                &["SUFFIX"],
                Seen::Live(targets_are_others),
            ),
            row(criteria!("cslow"), "response-etime-greater-than", &["1"], Seen::Live(slow_ones_alone)),
            row(criteria!("cfast"), "response-etime-less-than", &["1"], Seen::Live(quick_ones_alone)),
            row(criteria!("ccode"), "response-result-code-equal-to", &["32"], Seen::Live(codes_are_equal)),
            row(
                criteria!("cnocode"),
                "response-result-code-not-equal-to",
                &["0"],
                Seen::Live(codes_are_others),
            ),
            row(
                criteria!("cindexed"),
                "search-response-is-indexed",
                &["false"],
                Seen::Live(unindexed_are_taken),
            ),
            row(
                criteria!("cmany"),
                "search-response-nentries-greater-than",
                &["5"],
                Seen::Live(many_are_taken),
            ),
            row(criteria!("cfew"), "search-response-nentries-less-than", &["5"], Seen::Live(few_are_taken)),
        ],
    },
    Round {
        name: "rotation and retention",
        prepare: with_policies,
        moved: stays,
        rows: &[
            row(rotation!("Size"), "file-size-limit", &["50 b"], Seen::Live(size_rotates)),
            row(rotation!("Time"), "rotation-interval", &["1 ms"], Seen::Live(time_rotates)),
            row(
                rotation!("Day"),
                "time-of-day",
                &["0130", "1330"],
                Seen::Elsewhere("src/telemetry/log_file.rs", "times_of_day_put_the_file_aside"),
            ),
            row(retention!("Number"), "number-of-files", &["1"], Seen::Live(number_retains)),
            row(retention!("Space"), "disk-space-used", &["1 b"], Seen::Live(space_retains)),
            row(retention!("Room"), "free-disk-space", &["9000 tb"], Seen::Live(room_retains)),
        ],
    },
    Round {
        name: "the error log",
        prepare: with_errors_off,
        moved: stays,
        rows: &[
            row(ERRORS, "enabled", &["true"], Seen::Live(errors_are_elsewhere)),
            row(ERRORS, "log-file", &["logs/other-errors"], Seen::Live(errors_are_elsewhere)),
            row(ERRORS, "log-file-permissions", &["600"], Seen::Live(errors_are_mine_alone)),
        ],
    },
    Round {
        name: "the error log rotates",
        prepare: with_errors_off,
        moved: stays,
        rows: &[
            row(ERRORS, "enabled", &["true"], Seen::After(errors_rotate)),
            row(ERRORS, "log-file", &["logs/other-errors"], Seen::After(errors_rotate)),
            row(ERRORS, "rotation-policy", TINY_DN, Seen::Live(errors_rotate)),
            row(ERRORS, "retention-policy", ONE_DN, Seen::After(errors_are_few)),
        ],
    },
    Round {
        name: "severities",
        prepare: with_errors_alone,
        moved: stays,
        rows: &[row(ERRORS, "default-severity", &["error", "notice"], Seen::Live(notices_are_taken))],
    },
    Round {
        name: "severities by category",
        prepare: with_errors_alone,
        moved: stays,
        rows: &[row(ERRORS, "override-severity", &["TASK=notice"], Seen::Live(notices_are_taken))],
    },
];

#[test]
fn what_is_set_about_logs_holds() {
    play(&ROUNDS[0]);
    play(&ROUNDS[2]);
}

#[test]
fn what_criteria_and_severities_say_holds() {
    play(&ROUNDS[1]);
    ROUNDS.iter().skip(3).for_each(play);
}
