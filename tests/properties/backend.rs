//! The data store and its indexes.

use crate::client::Client;
use crate::fixture::SUFFIX;
use crate::table::{DATA, Object, Round, Seen, nothing, play, row, stays};
use crate::world::{World, below, uid};

const DESCRIPTION: Object = (
    "backend-index",
    "--backend-name userRoot --index-name description",
    "ds-cfg-attribute=description,cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config",
);
const NAMES: Object = (
    "backend-index",
    "--backend-name userRoot --index-name cn",
    "ds-cfg-attribute=cn,cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config",
);

const UNWILLING: u32 = 53;

fn write(world: &World, client: &mut Client) -> crate::client::Answer {
    let name = world.fresh();
    let filling = "x".repeat(3_000);
    let dn = format!("cn={name},ou=numbers,{SUFFIX}");
    client.add(&dn, &[("objectClass", "person"), ("cn", &name), ("sn", &name), ("description", &filling)])
}

fn is_read_only(world: &World) -> bool {
    write(world, &mut world.root()).is(UNWILLING)
}

/// Who has not bypass-lockdown may not write; the directory manager may.
fn low_disks_are_the_managers(world: &World) -> bool {
    write(world, &mut world.user("user")).is(UNWILLING) && write(world, &mut world.root()).is(0)
}

fn full_disks_are_nobodys(world: &World) -> bool {
    write(world, &mut world.root()).is(UNWILLING)
}

fn syncs(world: &World, how: &str) -> bool {
    world.monitor("userRoot Storage", "logSync") == [how]
}

fn syncs_some_time(world: &World) -> bool {
    syncs(world, "os")
}

fn syncs_each(world: &World) -> bool {
    syncs(world, "always")
}

fn is_not_compacted(world: &World) -> bool {
    world.monitor("userRoot Storage", "ds-mon-compaction-delay").is_empty()
}

fn is_compacted_after_two_minutes(world: &World) -> bool {
    world.monitor("userRoot Storage", "ds-mon-compaction-delay") == ["120"]
}

fn caches_ten_megabytes(world: &World) -> bool {
    (9_000_000..=10_000_000).contains(&world.stored("cacheMaxOctets"))
}

/// One part in a hundred of a quarter of the memory, or the least there is.
fn caches_little(world: &World) -> bool {
    world.stored("cacheMaxOctets") <= 64 << 20
}

fn segments_are_small(world: &World) -> bool {
    let mut root = world.root();
    for _ in 0..40 {
        assert!(write(world, &mut root).is(0));
    }
    world.stored("logSegments") > 1
}

fn has_checkpoints(world: &World) -> bool {
    let mut root = world.root();
    for _ in 0..10 {
        assert!(write(world, &mut root).is(0));
    }
    let names = std::fs::read_dir(world.path("db")).unwrap();
    let names = names.map(|item| item.unwrap().file_name().into_string().unwrap());
    let newest = names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse::<u64>().ok()).max();
    // Each start has one; a store in memory alone takes no more of them for so little.
    newest.unwrap_or(0) > 4
}

fn indexes_are_on_the_disk(world: &World) -> bool {
    std::fs::read_dir(world.path("db")).unwrap().any(|item| {
        let name = item.unwrap().file_name().into_string().unwrap();
        name.contains("index") || name.contains("sled")
    }) || std::fs::read_dir(world.path("index")).is_ok_and(|mut items| items.next().is_some())
}

fn has_a_second_suffix(world: &World) -> bool {
    world.anonymous().values("", "namingContexts").contains(&"dc=second".to_owned())
}

fn lies_elsewhere(world: &World) -> bool {
    world.path("elsewhere").is_dir() && below(&mut world.root(), "(objectClass=*)").is(32)
}

fn is_open_to_the_group(world: &World) -> bool {
    world.mode("db") == Some(0o750)
}

fn descriptions_are_found_equal(world: &World) -> bool {
    let answer = below(&mut world.user("wide"), "(description=one of some)");
    answer.is(0) && answer.found.len() == 12
}

/// Keys of six octets lead to the one entry that has them in a row; keys of three to all that have some of them, which are
/// more than this user may look at.
fn keys_are_short(world: &World) -> bool {
    let answer = below(&mut world.user("short"), "(cn=*abcdef*)");
    if answer.is(0) {
        assert_eq!(answer.found.len(), 1);
    }
    answer.is(11)
}

fn with_presence(world: &mut World) -> Vec<(&'static str, String)> {
    world.prepare(
        "create-backend-index --backend-name userRoot --index-name description --set index-type:presence\n",
    );
    let mut root = world.root();
    world.person(&mut root, "short", &[]);
    assert!(root.replace(&uid("short"), "ds-rlim-lookthrough-limit", &[b"3"]).is(0));
    for cn in [
        "of abcdef in a row",
        "abc bcd cde def 1",
        "abc bcd cde def 2",
        "abc bcd cde def 3",
        "abc bcd cde def 4",
    ] {
        let dn = format!("cn={cn},ou=numbers,{SUFFIX}");
        assert!(root.add(&dn, &[("objectClass", "person"), ("cn", cn), ("sn", "letters")]).is(0));
    }
    Vec::new()
}

pub(crate) const ROUNDS: &[Round] = &[
    Round {
        name: "the store",
        prepare: with_presence,
        moved: stays,
        rows: &[
            row(DATA, "enabled", &["false"], Seen::Refused(53, "cannot be without its data store")),
            row(DATA, "cts-log-sync", &["always"], Seen::Live(syncs_each)),
            row(DATA, "cts-compaction-delay", &["2 m"], Seen::Live(is_compacted_after_two_minutes)),
            row(DATA, "db-cache-size", &["10 mb"], Seen::Restart(caches_ten_megabytes)),
            row(DATA, "db-directory-permissions", &["750"], Seen::Restart(is_open_to_the_group)),
            row(DATA, "base-dn", &[SUFFIX, "dc=second"], Seen::Restart(has_a_second_suffix)),
            row(DESCRIPTION, "index-type", &["equality"], Seen::Live(descriptions_are_found_equal)),
            row(NAMES, "substring-length", &["3"], Seen::Live(keys_are_short)),
        ],
    },
    Round {
        name: "space",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(DATA, "db-txn-no-sync", &["true"], Seen::Live(syncs_some_time)),
            row(DATA, "cts-compaction", &["false"], Seen::Live(is_not_compacted)),
            row(DATA, "db-cache-percent", &["1"], Seen::Restart(caches_little)),
            row(DATA, "db-log-file-max", &["64 kib"], Seen::Restart(segments_are_small)),
            row(DATA, "db-checkpointer-bytes-interval", &["4 kib"], Seen::Restart(has_checkpoints)),
        ],
    },
    Round {
        name: "a low disk",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(DATA, "disk-low-threshold", &["9000 tb"], Seen::Live(low_disks_are_the_managers)),
            row(DATA, "db-txn-write-no-sync", &["true"], Seen::Live(syncs_some_time)),
        ],
    },
    Round {
        name: "a full disk",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(DATA, "disk-full-threshold", &["9000 tb"], Seen::Live(full_disks_are_nobodys)),
            row(DATA, "cts-index-store", &["sled"], Seen::Restart(indexes_are_on_the_disk)),
        ],
    },
    Round {
        name: "no writes",
        prepare: nothing,
        moved: stays,
        rows: &[row(DATA, "writability-mode", &["disabled"], Seen::Live(is_read_only))],
    },
    Round {
        name: "another directory",
        prepare: nothing,
        moved: stays,
        rows: &[row(DATA, "db-directory", &["elsewhere"], Seen::Restart(lies_elsewhere))],
    },
];

#[test]
fn what_is_set_about_the_store_holds() {
    ROUNDS.iter().take(2).for_each(play);
}

#[test]
fn what_is_set_about_disks_and_writes_holds() {
    ROUNDS.iter().skip(2).for_each(play);
}
