//! Backups of a store that is written to, and what becomes of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use super::*;
use crate::backend::{
    Backend, BackendOptions, Change, ChangeKind, Committed, IndexConfig, IndexType, Life, NewEntry, Query,
    SpaceSettings, TokenStore,
};
use crate::changelog::Csn;
use crate::clock::ManualClock;
use crate::config::IndexStoreKind;
use crate::entry::{CompiledFilter, EntryBuilder, EntryUuid};
use crate::log::Durability;
use crate::protocol::filter_text;
use crate::protocol::message::Scope;
use crate::schema::{NormalizedDn, Schema, SchemaStore};

const SUFFIX: &str = "dc=example,dc=com";
const NOW_MS: u64 = 1_800_000_000_000;

fn schema_store() -> Arc<SchemaStore> {
    static STORE: OnceLock<Arc<SchemaStore>> = OnceLock::new();
    Arc::clone(STORE.get_or_init(|| Arc::new(SchemaStore::builtin(true))))
}

fn schema() -> Arc<Schema> {
    schema_store().current()
}

/// A home with data in `db`, backups in `bak` and a key.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn db(&self) -> PathBuf {
        self.0.path().join("db")
    }

    fn bak(&self) -> PathBuf {
        self.0.path().join("bak")
    }

    fn key_file(&self) -> PathBuf {
        self.0.path().join("backup.key")
    }

    fn key(&self) -> Option<BackupKey> {
        BackupKey::read(&self.key_file()).unwrap()
    }

    fn options(&self) -> BackendOptions {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let mut options = BackendOptions::new(self.db(), vec![SUFFIX.into()], clock, schema_store());
        options.segment_bytes = 64 << 10;
        options.cache_bytes = 1 << 20;
        options.purge_interval = Duration::ZERO;
        options.indexes = vec![IndexConfig {
            attribute: "coreTokenUserId".into(),
            types: vec![IndexType::Equality],
            substring_length: 3,
        }];
        options
    }

    fn open(&self) -> Backend {
        Backend::open(&self.options()).unwrap()
    }

    fn back_up(
        &self,
        backend: &Backend,
        id: &str,
        change: impl FnOnce(&mut Options),
    ) -> Result<Made, BackupError> {
        self.back_up_with(backend, id, change, &mut |_, _| true)
    }

    fn back_up_with(
        &self,
        backend: &Backend,
        id: &str,
        change: impl FnOnce(&mut Options),
        progress: Progress<'_>,
    ) -> Result<Made, BackupError> {
        let mut options = Options { id: id.into(), ..Options::default() };
        change(&mut options);
        let source = backend.backup_source().unwrap();
        let subject = Subject::Data { base_dns: &[SUFFIX.to_owned()], source: &source };
        let (directory, key_file) = (self.bak(), self.key_file());
        let job = Job {
            directory: &directory,
            backend: "userRoot",
            subject,
            options: &options,
            key_file: &key_file,
        };
        back_up(&job, progress)
    }

    fn archive(&self, id: &str) -> Result<Archive, BackupError> {
        Archive::open(&self.bak(), Some(id), self.key())
    }

    /// Restores a backup of another home, or of this one, into this one.
    fn restore(&self, from: &Self, id: &str) -> Result<Life, BackupError> {
        self.restore_with(from, id, &mut |_| (), &mut |_, _| true)
    }

    fn restore_with(
        &self,
        from: &Self,
        id: &str,
        change: &mut dyn FnMut(&mut RestoreData<'_>),
        progress: Progress<'_>,
    ) -> Result<Life, BackupError> {
        let (db, schema) = (self.db(), schema());
        let mut wanted = RestoreData {
            db: &db,
            backend: "userRoot",
            base_dns: &["DC=Example, dc=com".to_owned()],
            schema: &schema,
            now_ms: NOW_MS + 60_000,
            purge_delay: Duration::from_secs(3 * 86_400),
            force: false,
        };
        change(&mut wanted);
        restore_data(&from.archive(id)?, &wanted, progress)
    }
}

fn key(dn: &str) -> NormalizedDn {
    NormalizedDn::parse(dn, &schema()).unwrap()
}

fn submit(backend: &dyn TokenStore, target: &str, kind: ChangeKind) -> Committed {
    let (sender, receiver) = mpsc::channel();
    backend.submit(Change {
        target: key(target),
        kind,
        done: Box::new(move |done| sender.send(done).unwrap()),
    });
    receiver.recv_timeout(Duration::from_secs(180)).expect("an answer").unwrap()
}

fn add(backend: &dyn TokenStore, dn: &str, attributes: &[(&str, &str)]) -> Committed {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let schema = schema();
    let mut builder = EntryBuilder::new();
    attributes.iter().for_each(|(name, value)| {
        builder.put(name, value, &schema);
    });
    builder.complete_classes(&schema);
    crate::entry::take_rdn(dn, &mut builder, &schema, crate::entry::Naming::Completed).unwrap();
    let (user, operational) = builder.encode();
    let mut octets = [0; 16];
    octets[8..].copy_from_slice(&SEED.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let entry = NewEntry { dn: dn.into(), uuid: EntryUuid::v4(octets), user, operational };
    submit(backend, dn, ChangeKind::Add { entry, check: None })
}

fn token(id: &str) -> String {
    format!("coreTokenId={id},{SUFFIX}")
}

/// About a kilobyte each.
fn add_tokens(backend: &dyn TokenStore, ids: impl Iterator<Item = u32>) {
    let object = "x".repeat(900);
    for id in ids {
        let values = [
            ("objectClass", "frCoreToken"),
            ("coreTokenType", "SESSION"),
            ("coreTokenUserId", "someone"),
            ("coreTokenObject", object.as_str()),
        ];
        add(backend, &token(&id.to_string()), &values);
    }
}

fn base(backend: &dyn TokenStore) {
    add(backend, SUFFIX, &[("objectClass", "domain")]);
}

fn delete(backend: &dyn TokenStore, id: u32) {
    let dn = token(&id.to_string());
    submit(backend, &dn, ChangeKind::Delete { check: Box::new(|_| Ok(())), subtree: false });
}

/// All entries found by the index, as they are stored, with their etags.
fn tokens(backend: &Backend) -> BTreeMap<String, (u64, Vec<u8>)> {
    let filter = filter_text::parse("(coreTokenUserId=someone)").unwrap();
    let filter = Arc::new(CompiledFilter::compile(&filter, &schema()));
    let query = Query { base: key(SUFFIX), scope: Scope::Subtree, filter };
    let mut stream = TokenStore::open(backend, &query, None).unwrap().unwrap();
    let mut found = Vec::new();
    while stream.next(1000, &mut found).unwrap() {}
    let told = |entry: &crate::entry::StoredEntry| (entry.etag_state(), entry.as_bytes().to_vec());
    found.iter().map(|one| (one.entry.dn().to_owned(), told(&one.entry))).collect()
}

fn is_sound(backend: &Backend) -> bool {
    let report = backend.verify(None, &mut |_, _, _| true).unwrap();
    report.differences == 0
}

fn reason<T: std::fmt::Debug>(result: Result<T, BackupError>) -> String {
    result.unwrap_err().to_string()
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_backup_under_writes_restores_into_a_fresh_home_and_goes_on() {
    let home = Home::new();
    let backend = home.open();
    base(&backend);
    add_tokens(&backend, 0..300);
    delete(&backend, 7);
    let stop = AtomicBool::new(false);
    let before = tokens(&backend);
    let made = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut next = 1000;
            while !stop.load(Ordering::Acquire) {
                add_tokens(&backend, next..next + 1);
                next += 1;
            }
        });
        let made = home.back_up(&backend, "one", |options| options.compresses = true).unwrap();
        stop.store(true, Ordering::Release);
        writer.join().unwrap();
        made
    });
    assert!(made.copied > 3 && made.reused == 0 && made.stored < made.octets / 2, "{made:?}");
    let after = tokens(&backend);
    let dataset = backend.dataset_id();
    let newest =
        add(&backend, &token("later"), &[("objectClass", "frCoreToken"), ("coreTokenType", "SESSION")]);
    drop(backend);

    let fresh = Home::new();
    drop(fresh.open());
    let archive = home.archive("one").unwrap();
    archive.verify(&mut |_, _| true).unwrap();
    let replica = archive.manifest().replica.clone().unwrap();
    assert_eq!((replica.dataset_id, replica.purge_delay_ms), (dataset, 3 * 86_400_000));
    let life = fresh.restore(&home, "one").unwrap();
    assert_eq!((life.incarnation.get(), life.needs_init, &life.past), (2, false, &replica.ruv));
    let backend = fresh.open();
    assert_eq!((backend.dataset_id(), backend.last_sequence()), (dataset, replica.position));
    // From the checkpoint, not from the whole log.
    assert!(backend.recovered().records < 300, "{:?}", backend.recovered());
    assert!(is_sound(&backend));
    let restored = tokens(&backend);
    assert!(before.iter().all(|(dn, entry)| restored.get(dn) == Some(entry)), "what was acknowledged before");
    assert!(restored.iter().all(|(dn, entry)| after.get(dn) == Some(entry)), "nothing that never was");
    assert!(!restored.contains_key(&token("later")));
    assert_eq!(backend.ruv(), replica.ruv);
    // It goes on above what it had, as another origin, from 1.
    let next = add(&backend, &token("next"), &[("objectClass", "frCoreToken"), ("coreTokenType", "SESSION")]);
    let (last, next) = (Csn::from_bytes(newest.csn), Csn::from_bytes(next.csn));
    assert!(next > replica.ruv.newest().unwrap());
    assert_eq!((next.incarnation(), last.incarnation()), (2, 1));
    assert_eq!(backend.ruv().oseq(next.origin().unwrap()), 1);
    add_tokens(&backend, 5000..5200);
    let now = (tokens(&backend), backend.ruv());
    drop(backend);
    let backend = fresh.open();
    assert_eq!((tokens(&backend), backend.ruv()), now);
    assert!(is_sound(&backend));
    // And once more: no life comes twice.
    fresh.back_up(&backend, "two", |_| ()).unwrap();
    drop(backend);
    assert_eq!(fresh.restore(&fresh, "two").unwrap().incarnation.get(), 3);
    assert_eq!(fresh.restore(&home, "one").unwrap().incarnation.get(), 4);
    assert_eq!(tokens(&fresh.open()), restored);
}

#[test]
fn compacted_segments_are_backed_up() {
    let home = Home::new();
    let open = |home: &Home| {
        let mut options = home.options();
        options.space.compaction_delay = Duration::ZERO;
        Backend::open(&options).unwrap()
    };
    let backend = open(&home);
    base(&backend);
    add_tokens(&backend, 0..400);
    let before = home.back_up(&backend, "before", |_| ()).unwrap();
    (0..400).filter(|id| id % 10 > 0).for_each(|id| delete(&backend, id));
    add_tokens(&backend, 1000..1100);
    let source = backend.backup_source().unwrap();
    assert_eq!(backend.compact().unwrap().segments, 0, "held");
    drop(source);
    assert!(backend.compact().unwrap().segments > 2);
    let on_top = |base: &'static str| {
        move |options: &mut Options| {
            options.is_incremental = true;
            options.base = Some(base.into());
        }
    };
    let whole = home.back_up(&backend, "compacted", |_| ()).unwrap();
    let mixed = home.back_up(&backend, "mixed", on_top("before")).unwrap();
    // What was written anew is another file.
    assert!(mixed.octets < before.octets, "{before:?} {mixed:?}");
    let content = (tokens(&backend), backend.ruv());
    for id in ["compacted", "mixed"] {
        let fresh = Home::new();
        home.archive(id).unwrap().verify(&mut |_, _| true).unwrap();
        fresh.restore(&home, id).unwrap();
        let restored = open(&fresh);
        assert_eq!((tokens(&restored), restored.ruv()), content, "{id}");
        assert!(is_sound(&restored) && restored.recovered().damage.is_empty());
        add_tokens(&restored, 2000..2100);
        restored.compact().unwrap();
        let now = tokens(&restored);
        drop(restored);
        // The log alone makes the same of it.
        files(&fresh.db()).iter().filter(|path| path.to_str().unwrap().contains("checkpoint-")).for_each(
            |path| {
                std::fs::remove_file(path).unwrap();
            },
        );
        let restored = open(&fresh);
        assert_eq!(tokens(&restored), now, "{id}");
        assert!(is_sound(&restored));
    }
    drop(backend);
    let backend = open(&home);
    add_tokens(&backend, 3000..3050);
    let next = home.back_up(&backend, "next", on_top("compacted")).unwrap();
    assert!(next.reused > 2 && next.octets < whole.octets, "{whole:?} {next:?}");
    let content = tokens(&backend);
    drop(backend);
    home.restore(&home, "next").unwrap();
    assert_eq!(tokens(&open(&home)), content);
}

#[test]
fn trees_on_disk_and_lazy_durability_are_backed_up_too() {
    for (index_store, durability) in
        [(IndexStoreKind::Sled, Durability::Group), (IndexStoreKind::Memory, Durability::Os)]
    {
        let (home, fresh) = (Home::new(), Home::new());
        let open = |home: &Home| {
            let mut options = home.options();
            (options.index_store, options.durability) = (index_store, durability);
            Backend::open(&options).unwrap()
        };
        let backend = open(&home);
        base(&backend);
        add_tokens(&backend, 0..150);
        delete(&backend, 7);
        home.back_up(&backend, "one", |_| ()).unwrap();
        let content = tokens(&backend);
        drop(open(&fresh));
        fresh.restore(&home, "one").unwrap();
        let restored = open(&fresh);
        assert_eq!((tokens(&restored), restored.ruv()), (content, backend.ruv()));
        assert!(is_sound(&restored));
        add_tokens(&restored, 500..510);
    }
}

#[test]
fn a_chain_comes_together() {
    let home = Home::new();
    let backend = home.open();
    base(&backend);
    add_tokens(&backend, 0..200);
    let full = home.back_up(&backend, "full", |_| ()).unwrap();
    add_tokens(&backend, 200..300);
    let incremental = |options: &mut Options| options.is_incremental = true;
    let second = home
        .back_up(&backend, "second", |options| {
            incremental(options);
            options.compresses = true;
        })
        .unwrap();
    assert!(second.reused > 0 && second.octets < full.octets, "{full:?} {second:?}");
    // A restart forgets where sealed segments end; they are the same all the same.
    drop(backend);
    let backend = home.open();
    add_tokens(&backend, 300..350);
    delete(&backend, 3);
    let third = home
        .back_up(&backend, "third", |options| {
            incremental(options);
            options.encrypts = true;
            options.signs = true;
        })
        .unwrap();
    assert!(third.reused > second.reused, "{second:?} {third:?}");
    let content = tokens(&backend);
    drop(backend);
    let archive = home.archive("third").unwrap();
    assert_eq!(archive.listed().dependencies, ["second"]);
    assert_eq!(archive.manifest().needs.len(), 2);
    let fresh = Home::new();
    fresh.restore(&home, "third").unwrap();
    let backend = fresh.open();
    assert_eq!(tokens(&backend), content);
    assert!(is_sound(&backend));

    // The other way round: what was made before a restore is no base afterwards.
    home.restore(&home, "full").unwrap();
    let backend = home.open();
    add_tokens(&backend, 900..950);
    assert_eq!(
        reason(home.back_up(&backend, "no", incremental)),
        "an incremental backup cannot be based on backup third: an earlier state was restored since it was made; \
         make a full one"
    );
    home.back_up(&backend, "fourth", |options| {
        incremental(options);
        options.base = Some("full".into());
    })
    .unwrap();
    let content = tokens(&backend);
    drop(backend);
    home.restore(&home, "fourth").unwrap();
    assert_eq!(tokens(&home.open()), content);

    // Each link is needed, and as it was.
    let gone = home.bak().join("backup-userRoot-full");
    std::fs::rename(&gone, home.bak().join("aside")).unwrap();
    assert!(reason(home.archive("third")).starts_with("backup full is not whole: cannot read "));
    std::fs::rename(home.bak().join("aside"), &gone).unwrap();
    let info = home.bak().join("backup.info");
    let text = std::fs::read_to_string(&info).unwrap();
    let blocks: Vec<&str> = text.split("\n\n").filter(|block| !block.contains("backup_id=full\n")).collect();
    std::fs::write(&info, blocks.join("\n\n")).unwrap();
    let place = home.bak();
    assert_eq!(
        reason(home.archive("third")),
        format!("backup third is based on backup full, which is not in {}", place.display())
    );
}

#[test]
fn every_octet_that_changes_is_found() {
    let home = Home::new();
    let backend = home.open();
    base(&backend);
    add_tokens(&backend, 0..60);
    let kinds: [(&str, fn(&mut Options)); 3] = [
        ("plain", |_| ()),
        ("packed", |options| options.compresses = true),
        ("sealed", |options| {
            (options.compresses, options.encrypts, options.signs) = (true, true, true);
        }),
    ];
    for (id, kind) in kinds {
        home.back_up(&backend, id, kind).unwrap();
        for path in files(&home.bak().join(format!("backup-userRoot-{id}"))) {
            let content = std::fs::read(&path).unwrap();
            let step = (content.len() / 7).max(1);
            for at in (0..content.len()).step_by(step).chain([content.len() - 1]) {
                let mut changed = content.clone();
                changed[at] ^= 1;
                std::fs::write(&path, &changed).unwrap();
                let verified = home.archive(id).and_then(|archive| archive.verify(&mut |_, _| true));
                let text = reason(verified);
                assert!(text.contains("damaged") || text.contains("not the one"), "{path:?} {at}: {text}");
            }
            std::fs::write(&path, &content[..content.len() - 1]).unwrap();
            assert!(home.archive(id).and_then(|archive| archive.verify(&mut |_, _| true)).is_err());
            std::fs::remove_file(&path).unwrap();
            assert!(home.archive(id).and_then(|archive| archive.verify(&mut |_, _| true)).is_err());
            std::fs::write(&path, &content).unwrap();
        }
        home.archive(id).unwrap().verify(&mut |_, _| true).unwrap();
    }
    // A restore finds it too, before it touches anything.
    let path = home.bak().join("backup-userRoot-plain/log/00000001.seg");
    let mut content = std::fs::read(&path).unwrap();
    content[5000] ^= 1;
    std::fs::write(&path, content).unwrap();
    let before = tokens(&backend);
    drop(backend);
    assert_eq!(
        reason(home.restore(&home, "plain")),
        "log/00000001.seg of backup plain is damaged: its SHA-256 is not the one in the manifest"
    );
    assert_eq!(tokens(&home.open()), before);
    assert!(!home.0.path().join("db.new").exists());
}

#[test]
fn what_must_not_be_is_refused_with_its_reason() {
    let home = Home::new();
    let place = home.bak().display().to_string();
    assert_eq!(reason(home.archive("x")), format!("there is no backup in {place}"));
    let backend = home.open();
    base(&backend);
    let none = reason(home.back_up(&backend, "i", |options| {
        options.is_incremental = true;
        options.base = Some("nope".into());
    }));
    assert!(none.contains("there is no backup nope"), "{none}");
    assert!(reason(home.back_up(&backend, "../x", |_| ())).starts_with("../x is no backup ID"));
    home.back_up(&backend, "one", |options| (options.encrypts, options.signs) = (true, true)).unwrap();
    assert_eq!(
        reason(home.back_up(&backend, "one", |_| ())),
        format!("there is a backup one in {place} already")
    );
    assert_eq!(reason(home.archive("x")), format!("there is no backup x in {place}"));

    // Of another key, or none.
    let id = home.key().unwrap().id().to_owned();
    let without = |key| reason(Archive::open(&home.bak(), None, key));
    assert!(without(None).starts_with(&format!("backup one is signed with key {id}, which is not at hand")));
    let other = BackupKey::random().unwrap();
    assert!(
        without(Some(other))
            .starts_with(&format!("backup one is signed with key {id}, but the key at hand is"))
    );

    // Of another backend, for another suffix, too old.
    let refusal = |change: &mut dyn FnMut(&mut RestoreData<'_>)| {
        reason(home.restore_with(&home, "one", change, &mut |_, _| true))
    };
    assert_eq!(
        refusal(&mut |wanted| wanted.backend = "other"),
        "backup one is of backend userRoot, not of other"
    );
    let dns = ["dc=elsewhere".to_owned()];
    let (db, schema) = (home.db(), schema());
    let elsewhere = RestoreData {
        db: &db,
        backend: "userRoot",
        base_dns: &dns,
        schema: &schema,
        now_ms: NOW_MS,
        purge_delay: Duration::MAX,
        force: true,
    };
    assert_eq!(
        reason(restore_data(&home.archive("one").unwrap(), &elsewhere, &mut |_, _| true)),
        "backup one holds dc=example,dc=com, but userRoot is configured for dc=elsewhere"
    );
    let four_days = 4 * 86_400_000;
    let old = refusal(&mut |wanted| wanted.now_ms = NOW_MS + four_days);
    assert!(old.starts_with("backup one is 4 days old, and the purge delay is 3 days: "), "{old}");
    assert!(old.contains("--force"), "{old}");
    let shorter = refusal(&mut |wanted| wanted.purge_delay = Duration::from_secs(30));
    assert!(
        shorter.starts_with("backup one is 60 seconds old, and the purge delay is 30 seconds"),
        "{shorter}"
    );
    drop(backend);
    let mut force = |wanted: &mut RestoreData<'_>| (wanted.now_ms, wanted.force) = (NOW_MS + four_days, true);
    let life = home.restore_with(&home, "one", &mut force, &mut |_, _| true).unwrap();
    assert!(life.needs_init && home.open().life().needs_init);

    // A directory belongs to one backend; an archive to its directory.
    let options = Options { id: "c".into(), ..Options::default() };
    let subject = Subject::Files { root: home.0.path(), names: &[], time_ms: NOW_MS };
    let (directory, key_file) = (home.bak(), home.key_file());
    let job =
        Job { directory: &directory, backend: "config", subject, options: &options, key_file: &key_file };
    assert!(reason(back_up(&job, &mut |_, _| true)).contains("holds backups of ds-cfg-backend-id=userRoot"));
}

#[test]
fn a_failed_backup_or_restore_leaves_nothing() {
    let home = Home::new();
    let backend = home.open();
    base(&backend);
    add_tokens(&backend, 0..300);
    home.back_up(&backend, "good", |_| ()).unwrap();
    let catalogue = Catalogue::read(&home.bak()).unwrap();
    let present = files(&home.bak());
    for turns in 0..6 {
        let mut left = turns;
        let stopped = home.back_up_with(&backend, "bad", |_| (), &mut |_, _| {
            left -= 1;
            left >= 0
        });
        assert!(matches!(stopped, Err(BackupError::Cancelled)));
        assert_eq!(files(&home.bak()), present);
    }
    // What a crash leaves beside is no backup, and the next one clears it away.
    let left = home.bak().join("backup-userRoot-bad.partial");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("manifest"), "half").unwrap();
    assert_eq!(Catalogue::read(&home.bak()).unwrap(), catalogue);
    assert!(home.archive("bad").is_err());
    home.back_up(&backend, "next", |options| options.is_incremental = true).unwrap();
    assert!(!left.exists());

    let before = tokens(&backend);
    drop(backend);
    for turns in 0..6 {
        let mut left = turns;
        let stopped = home.restore_with(&home, "good", &mut |_| (), &mut |_, _| {
            left -= 1;
            left >= 0
        });
        assert!(matches!(stopped, Err(BackupError::Cancelled)));
        assert!(!home.0.path().join("db.new").exists());
    }
    // What a crash leaves of a restore is cleared away by the next.
    std::fs::create_dir(home.0.path().join("db.new")).unwrap();
    std::fs::write(home.0.path().join("db.new/dataset-id"), "half").unwrap();
    let backend = home.open();
    assert_eq!((tokens(&backend), backend.life().incarnation.get()), (before, 1));
    drop(backend);
    home.restore(&home, "good").unwrap();
    assert_eq!(home.open().life().incarnation.get(), 2);
}

#[test]
fn the_log_is_held_while_it_is_copied() {
    let home = Home::new();
    let backend = home.open();
    base(&backend);
    add_tokens(&backend, 0..300);
    (0..300).for_each(|id| delete(&backend, id));
    add_tokens(&backend, 1000..1100);
    let before = tokens(&backend);
    let source = backend.backup_source().unwrap();
    backend.set_space(SpaceSettings { purge_delay: Duration::ZERO, ..SpaceSettings::default() });
    let segments = backend.segments().len();
    assert_eq!(backend.purge().unwrap().segments, 0);
    assert_eq!(backend.segments().len(), segments);
    let options = Options { id: "held".into(), ..Options::default() };
    let subject = Subject::Data { base_dns: &[SUFFIX.to_owned()], source: &source };
    let (directory, key_file) = (home.bak(), home.key_file());
    let job =
        Job { directory: &directory, backend: "userRoot", subject, options: &options, key_file: &key_file };
    // While the files are read, writers go on and checkpoints are taken.
    let mut is_first = true;
    let made = back_up(&job, &mut |_, _| {
        if std::mem::take(&mut is_first) {
            add_tokens(&backend, 2000..2050);
            backend.checkpoint().unwrap();
            assert_eq!(backend.purge().unwrap().segments, 0);
        }
        true
    });
    made.unwrap();
    drop(source);
    add_tokens(&backend, 3000..3100);
    assert!(backend.purge().unwrap().segments > 0);
    drop(backend);
    let fresh = Home::new();
    fresh.restore_with(&home, "held", &mut |wanted| wanted.force = true, &mut |_, _| true).unwrap();
    let backend = fresh.open();
    assert_eq!(tokens(&backend), before);
    assert!(is_sound(&backend));
}

#[test]
fn files_of_the_instance_are_backed_up_and_put_back() {
    let home = Home::new();
    let root = home.0.path().join("schema");
    std::fs::create_dir(&root).unwrap();
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
    write("00-core.ldif", "core");
    write("99 user.ldif", "mine");
    let names = ["00-core.ldif".to_owned(), "99 user.ldif".to_owned()];
    let (directory, key_file) = (home.bak(), home.key_file());
    let make = |id: &str, is_incremental| {
        let options = Options { id: id.into(), is_incremental, encrypts: true, ..Options::default() };
        let subject = Subject::Files { root: &root, names: &names, time_ms: NOW_MS };
        let job =
            Job { directory: &directory, backend: "schema", subject, options: &options, key_file: &key_file };
        back_up(&job, &mut |_, _| true).unwrap()
    };
    make("one", false);
    write("99 user.ldif", "changed");
    let made = make("two", true);
    assert_eq!((made.copied, made.reused), (1, 1));
    write("50-extra.ldif", "extra");
    restore_files(&home.archive("one").unwrap(), &root, true, &mut |_, _| true).unwrap();
    let text = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    assert_eq!((text("00-core.ldif"), text("99 user.ldif")), ("core".into(), "mine".into()));
    assert_eq!(files(&root).len(), 2);
    write("50-extra.ldif", "extra");
    restore_files(&home.archive("two").unwrap(), &root, false, &mut |_, _| true).unwrap();
    assert_eq!((text("99 user.ldif"), text("50-extra.ldif")), ("changed".into(), "extra".into()));
    assert_eq!(files(&root).len(), 3);
    let archived = std::fs::read(home.bak().join("backup-schema-one/00-core.ldif")).unwrap();
    assert!(!archived.windows(4).any(|part| part == b"core"));
}
