//! The global configuration, access control and the root users.

use ctsd::protocol::control::persistent_search::PersistentSearchRequest;
use ctsd::protocol::message::{Control, MessageId, Scope};
use ctsd::protocol::{oid, request};

use crate::client::{Answer, Client};
use crate::fixture::SUFFIX;
use crate::table::{GLOBAL, Object, Round, Seen, nothing, play, row, stays};
use crate::world::{ROOT, World, below, uid, until};

const ACCESS: Object = ("access-control-handler", "", "cn=Access Control Handler,cn=config");
const ROOT_DN: Object = ("root-dn", "", "cn=Root DNs,cn=config");
const ROOT_USER: Object =
    ("root-dn-user", "--user-name \"Directory Manager\"", "cn=Directory Manager,cn=Root DNs,cn=config");

const SUCCESS: u32 = 0;
const TIME_LIMIT: u32 = 3;
const SIZE_LIMIT: u32 = 4;
const ADMIN_LIMIT: u32 = 11;
const ACCESS_DENIED: u32 = 50;
const UNWILLING: u32 = 53;
const CANCELED: u32 = 118;

fn person(world: &World, client: &mut Client) -> Answer {
    let name = world.fresh();
    client.add(&uid(&name), &[("objectClass", "inetOrgPerson"), ("uid", &name), ("cn", &name), ("sn", &name)])
}

/// The clock of the server as it shows it.
pub(crate) fn ticks(world: &World) -> String {
    let mut root = world.root();
    let entry = root.search("cn=monitor", Scope::Base, "(objectClass=*)", &["currentTime"]);
    entry.found[0].texts("currentTime")[0].clone()
}

/// Waits until the server's clock has shown two further seconds, so more than one has passed.
pub(crate) fn a_second_passes(world: &World) {
    for _ in 0..2 {
        let before = ticks(world);
        until("the server's clock goes on", || ticks(world) != before);
    }
}

fn size_is_bounded(world: &World) -> bool {
    below(&mut world.user("sized"), "(sn=number)").is(SIZE_LIMIT)
}

fn candidates_are_bounded(world: &World) -> bool {
    let answer = below(&mut world.user("short"), "(&(sn=number)(description=*nothing*))");
    answer.is(ADMIN_LIMIT)
}

/// A client that takes nothing holds its search up for longer than the limit.
fn time_is_bounded(world: &World) -> bool {
    let mut client = Client::narrow(world.server.ldap);
    assert!(client.bind(&uid("slow"), "of slow").is(SUCCESS));
    let asked = client.written(|out, id| {
        let filter = ctsd::protocol::filter_text::parse("(sn=large)").unwrap();
        let search = request::Search { scope: Scope::Subtree, filter, ..request::Search::base(SUFFIX) };
        request::search(out, id, &search, &[]);
    });
    assert!(client.send(&asked));
    a_second_passes(world);
    client.answer().is(TIME_LIMIT)
}

fn idlers_go(world: &World) -> bool {
    let mut client = world.anonymous();
    assert!(client.ping());
    let answer = client.answer();
    answer.is_notice && answer.is(ADMIN_LIMIT) && answer.text.contains("idle")
}

/// Opens connections from these addresses until one is turned away; whether that happens for this reason.
fn is_full(world: &World, addresses: &[[u8; 4]], count: usize, reason: &str) -> bool {
    let mut open = Vec::new();
    for number in 0..count {
        let mut client = Client::from(world.server.ldap, addresses[number % addresses.len()]);
        let answer = client.search("", Scope::Base, "(objectClass=*)", &["1.1"]);
        if !answer.is(SUCCESS) {
            return answer.text.contains(reason);
        }
        open.push(client);
    }
    false
}

fn connections_are_bounded(world: &World) -> bool {
    is_full(world, &[[127, 0, 0, 3], [127, 0, 0, 4], [127, 0, 0, 5]], 26, "max-allowed-client-connections")
}

fn connections_of_one_are_bounded(world: &World) -> bool {
    is_full(world, &[[127, 0, 0, 2]], 16, "max-connections-per-address")
}

fn rdns_are_not_completed(world: &World) -> bool {
    let name = world.fresh();
    let person = [("objectClass", "inetOrgPerson"), ("cn", &*name), ("sn", &name)];
    world.root().add(&uid(&name), &person).is(64)
}

fn names_without_password_pass(world: &World) -> bool {
    world.anonymous().bind(&uid("user"), "").is(SUCCESS)
}

fn failures_are_explained(world: &World) -> bool {
    let answer = world.anonymous().bind(&uid("user"), "wrong");
    answer.is(49) && answer.text.contains("wrong password")
}

fn listens(client: &mut Client) -> MessageId {
    let wanted = PersistentSearchRequest { change_types: 15, changes_only: true, return_notifications: true };
    let value = wanted.value();
    let control = Control { oid: oid::PERSISTENT_SEARCH, critical: true, value: Some(&value) };
    let mut number = MessageId(0);
    let asked = client.written(|out, id| {
        number = id;
        let search = request::Search { scope: Scope::Subtree, ..request::Search::base(SUFFIX) };
        request::search(out, id, &search, &[control]);
    });
    assert!(client.send(&asked));
    number
}

/// What is answered next after a persistent search is abandoned: its own end, or that of the next request.
fn abandoning_is_answered(world: &World) -> bool {
    let mut client = world.root();
    let number = listens(&mut client);
    let abandoned = client.written(|out, id| request::abandon(out, id, number, &[]));
    assert!(client.send(&abandoned));
    // Nothing says which comes first.
    (0..5).any(|_| client.search("", Scope::Base, "(objectClass=*)", &["1.1"]).is(CANCELED))
}

fn persistent_searches_are_refused(world: &World) -> bool {
    let mut client = world.root();
    listens(&mut client);
    let answer = client.search("", Scope::Base, "(objectClass=*)", &["1.1"]);
    answer.is(ADMIN_LIMIT) && answer.text.contains("max-psearches")
}

/// A bind hashes for a millisecond at the least; nothing here takes a hundred seconds.
fn times_are_nanoseconds(world: &World) -> bool {
    world.anonymous().bind(&uid("user"), "wrong");
    let text = world.text("logs/access");
    text.lines()
        .filter_map(|line| line.split("etime=").nth(1)?.trim().parse::<u64>().ok())
        .any(|took| took > 99_999)
}

fn transactions_are_logged(world: &World) -> bool {
    let id = format!("trusted-{}", world.fresh());
    let control = Control { oid: oid::TRANSACTION_ID, critical: false, value: Some(id.as_bytes()) };
    let mut client = world.anonymous();
    client.search_with("", Scope::Base, "(objectClass=*)", &["1.1"], &[control]);
    // One connection's lines stand in order: once the second request is there, so would the first be.
    let marker = format!("(cn={})", world.fresh());
    client.search("", Scope::Base, &marker, &["1.1"]);
    until("the log has the search", || world.text("logs/access").contains(&marker));
    world.text("logs/access").contains(&id)
}

fn is_mapped_by_mail(world: &World) -> bool {
    let mut client = world.user("proxy");
    let control =
        Control { oid: oid::PROXIED_AUTHORIZATION, critical: true, value: Some(b"u:user@example.com") };
    let answer = client.extended(oid::WHO_AM_I, None, &[control]);
    answer.is(SUCCESS) && String::from_utf8_lossy(&answer.value) == format!("dn:{}", uid("user"))
}

fn another_policy_is_in_force(world: &World) -> bool {
    let answer = world.user("user").replace(&uid("user"), "userPassword", &[b"of user"]);
    answer.is(UNWILLING) && answer.text.contains("allow-user-password-changes")
}

fn unindexed_searches_are_everybodys(world: &World) -> bool {
    !below(&mut world.user("wide"), "(description=*some*)").is(ACCESS_DENIED)
}

fn nothing_is_written(world: &World) -> bool {
    person(world, &mut world.root()).is(UNWILLING)
}

fn strangers_are_turned_away(world: &World) -> bool {
    let answer = world.anonymous().search(SUFFIX, Scope::Base, "(objectClass=*)", &["1.1"]);
    answer.is(UNWILLING)
}

fn everybody_sees_the_monitor(world: &World) -> bool {
    let answer = world.anonymous().search("cn=monitor", Scope::Base, "(objectClass=*)", &["productName"]);
    answer.found.len() == 1
}

fn the_manager_may_less(world: &World) -> bool {
    below(&mut world.root(), "(description=*some*)").is(ACCESS_DENIED)
}

fn the_manager_has_another_name(world: &World) -> bool {
    world.anonymous().bind("cn=root", "password").is(SUCCESS)
}

fn with_limits(world: &mut World) -> Vec<(&'static str, String)> {
    let mut root = world.root();
    for (name, free) in [("short", "size"), ("sized", "lookthrough"), ("slow", "lookthrough")] {
        world.person(&mut root, name, &[]);
        let own = format!("ds-rlim-{free}-limit");
        assert!(root.replace(&uid(name), &own, &[b"0"]).is(SUCCESS));
    }
    assert!(root.replace(&uid("slow"), "ds-rlim-size-limit", &[b"0"]).is(SUCCESS));
    // More than the system buffers for a client that does not read.
    let text = "x".repeat(40_000);
    for number in 0..400 {
        let dn = format!("cn=large {number},{SUFFIX}");
        let cn = format!("large {number}");
        let large = [("objectClass", "person"), ("cn", &*cn), ("sn", "large"), ("description", &text)];
        assert!(root.add(&dn, &large).is(SUCCESS));
    }
    Vec::new()
}

fn with_mappers(world: &mut World) -> Vec<(&'static str, String)> {
    world.prepare(
        "create-identity-mapper --mapper-name 'By Mail' --type exact-match --set enabled:true \
         --set match-attribute:mail\n\
         create-password-policy --policy-name Strict --set allow-user-password-changes:false \
         --set \"default-password-storage-scheme:cn=Salted SHA-512,cn=Password Storage Schemes,cn=config\"\n",
    );
    let mut root = world.root();
    world.person(&mut root, "proxy", &[("ds-privilege-name", "proxied-auth")]);
    Vec::new()
}

pub(crate) const ROUNDS: &[Round] = &[
    Round {
        name: "limits",
        prepare: with_limits,
        moved: stays,
        rows: &[
            row(GLOBAL, "size-limit", &["5"], Seen::Live(size_is_bounded)),
            row(GLOBAL, "lookthrough-limit", &["3"], Seen::Live(candidates_are_bounded)),
            row(GLOBAL, "time-limit", &["1 s"], Seen::Live(time_is_bounded)),
            row(GLOBAL, "max-allowed-client-connections", &["20"], Seen::Live(connections_are_bounded)),
            row(
                GLOBAL,
                "cts-max-connections-per-address",
                &["12"],
                Seen::Live(connections_of_one_are_bounded),
            ),
        ],
    },
    Round {
        name: "idle",
        prepare: nothing,
        moved: stays,
        rows: &[row(GLOBAL, "idle-time-limit", &["5 s"], Seen::After(idlers_go))],
    },
    Round {
        name: "behaviour",
        prepare: with_mappers,
        moved: stays,
        rows: &[
            row(GLOBAL, "add-missing-rdn-attributes", &["false"], Seen::Live(rdns_are_not_completed)),
            row(
                GLOBAL,
                "bind-with-dn-requires-password",
                &["false"],
                Seen::Live(names_without_password_pass),
            ),
            row(GLOBAL, "return-bind-error-messages", &["true"], Seen::Live(failures_are_explained)),
            row(GLOBAL, "notify-abandoned-operations", &["true"], Seen::Live(abandoning_is_answered)),
            row(GLOBAL, "etime-resolution", &["nanoseconds"], Seen::Live(times_are_nanoseconds)),
            row(GLOBAL, "trust-transaction-ids", &["true"], Seen::Live(transactions_are_logged)),
            row(
                GLOBAL,
                "proxied-authorization-identity-mapper",
                &["cn=By Mail,cn=Identity Mappers,cn=config"],
                Seen::Live(is_mapped_by_mail),
            ),
            row(
                GLOBAL,
                "default-password-policy",
                &["cn=Strict,cn=Password Policies,cn=config"],
                Seen::Live(another_policy_is_in_force),
            ),
            row(
                GLOBAL,
                "disabled-privilege",
                &["unindexed-search"],
                Seen::Live(unindexed_searches_are_everybodys),
            ),
        ],
    },
    Round {
        name: "refusals",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(GLOBAL, "max-psearches", &["0"], Seen::Live(persistent_searches_are_refused)),
            row(GLOBAL, "writability-mode", &["internal-only"], Seen::Live(nothing_is_written)),
            row(GLOBAL, "reject-unauthenticated-requests", &["true"], Seen::Live(strangers_are_turned_away)),
        ],
    },
    Round {
        name: "access",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(ACCESS, "enabled", &["false"], Seen::Refused(53, "access control cannot be switched off")),
            row(
                ACCESS,
                "global-aci",
                &[
                    "(target=\"ldap:///cn=monitor\")(targetattr=\"*\")(version 3.0; acl \"seen\"; allow (read,search) userdn=\"ldap:///anyone\";)",
                ],
                Seen::Live(everybody_sees_the_monitor),
            ),
            row(
                ROOT_DN,
                "default-root-privilege-name",
                &["bypass-acl", "config-read", "config-write", "modify-acl", "monitor-read"],
                Seen::Live(the_manager_may_less),
            ),
            row(ROOT_USER, "alternate-bind-dn", &[ROOT, "cn=root"], Seen::Live(the_manager_has_another_name)),
        ],
    },
];

#[test]
fn the_global_limits_hold() {
    play(&ROUNDS[0]);
    play(&ROUNDS[1]);
}

#[test]
fn the_global_switches_switch() {
    ROUNDS.iter().skip(2).for_each(play);
}
