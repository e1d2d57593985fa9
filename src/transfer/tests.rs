//! Import and export over a real store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use super::*;
use crate::backend::*;
use crate::clock::{ManualClock, SystemClock};
use crate::entry::{CompiledFilter, EntryBuilder, EntryUuid};
use crate::protocol::message::Scope;
use crate::schema::{NormalizedDn, SchemaStore};

const SUFFIX: &str = "dc=example,dc=com";

fn options(directory: &Path) -> BackendOptions {
    let index = |attribute: &str, types: &[IndexType]| IndexConfig {
        attribute: attribute.into(),
        types: types.to_vec(),
        substring_length: 3,
    };
    let mut options = BackendOptions::new(
        directory,
        vec![SUFFIX.into()],
        Arc::new(ManualClock::at(1_700_000_000_000)),
        Arc::new(SchemaStore::builtin(true)),
    );
    options.indexes = vec![
        index("objectClass", &[IndexType::Equality]),
        index("cn", &[IndexType::Equality, IndexType::Substring]),
        index("entryUUID", &[IndexType::Equality]),
    ];
    options.segment_bytes = 1 << 20;
    options
}

/// Runs with the lines it says.
fn watched<T>(run: impl FnOnce(&mut Watch<'_>) -> T) -> (T, Vec<String>) {
    let mut lines = Vec::new();
    let mut say = |line: String| lines.push(line);
    let clock = SystemClock::new();
    let result = run(&mut Watch { say: &mut say, stops: &|| false, clock: &clock });
    (result, lines)
}

fn import(store: &Arc<DataStore>, job: &ImportJob) -> Result<ImportReport, TransferError> {
    watched(|watch| job.run_online(store, watch)).0
}

fn job(files: &[&Path]) -> ImportJob {
    ImportJob { files: files.iter().map(|file| file.to_path_buf()).collect(), ..ImportJob::default() }
}

fn export(store: &DataStore, job: &ExportJob) -> ExportReport {
    let schema = store.options().schema.current();
    watched(|watch| job.run(&store.current(), &schema, watch)).0.unwrap()
}

fn to(file: &Path) -> ExportJob {
    ExportJob { file: file.to_owned(), ..ExportJob::default() }
}

const BASE: &str = "dn: dc=example,dc=com
objectClass: domain

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit

dn: ou=things,dc=example,dc=com
objectClass: organizationalUnit

";

fn person(id: &str, more: &str) -> String {
    format!(
        "dn: uid={id},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {id}\ncn: Name {id}\nsn: {id}\n{more}\n"
    )
}

/// DN to content, all in one text.
fn content(store: &dyn TokenStore) -> BTreeMap<String, String> {
    let filter = Arc::new(CompiledFilter::always());
    let base = store.suffixes().into_iter().map(|(_, key)| key).next().unwrap();
    if store.get(&base).unwrap().is_none() {
        return BTreeMap::new();
    }
    let query = Query { base, scope: Scope::Subtree, filter };
    let mut stream = store.open(&query, None).unwrap().unwrap();
    let mut found = Vec::new();
    while stream.next(1000, &mut found).unwrap() {}
    let text = |entry: &crate::entry::StoredEntry| {
        let text = String::from_utf8(convert::as_ldif(entry)).unwrap();
        format!("{}{text}", entry.uuid())
    };
    found.iter().map(|candidate| (candidate.entry.dn().to_owned(), text(&candidate.entry))).collect()
}

fn clean(store: &DataStore) {
    let report = store.current().verify(None, &mut |_, _, _| true).unwrap();
    assert_eq!((report.differences, report.found.len()), (0, 0));
}

#[test]
fn what_is_exported_and_imported_again_is_the_same() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("source.ldif");
    let mut text = BASE.to_owned();
    for number in 0..1000 {
        let blob = "x y ".repeat(number % 300);
        text.push_str(&person(&number.to_string(), &format!(
            "description:: {}\ntelephoneNumber: +1 {number}\ntelephoneNumber: +2 {number}\ncreateTimestamp: 20200101000000Z\n",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{blob}ü{number}")),
        )));
    }
    std::fs::write(&source, text).unwrap();
    let store = DataStore::open(options(&home.path().join("db"))).unwrap();
    let before = store.current().dataset_id();
    let report = import(&store, &job(&[&source])).unwrap();
    assert_eq!((report.processed, report.imported, report.rejected, report.skipped), (1003, 1003, 0, 0));
    assert_ne!(store.current().dataset_id(), before);
    clean(&store);
    let all = content(&*store);
    assert_eq!(all.len(), 1003);

    let plain = home.path().join("plain.ldif");
    assert_eq!(export(&store, &to(&plain)).exported, 1003);
    let folded = home.path().join("folded.ldif.gz");
    export(&store, &ExportJob { wrap: 70, compress: true, ..to(&folded) });
    assert!(std::fs::metadata(&folded).unwrap().len() < std::fs::metadata(&plain).unwrap().len() / 2);
    for file in [&plain, &folded] {
        let other = DataStore::open(options(&home.path().join("other"))).unwrap();
        // An identity is kept, and so is every value and its order.
        assert_eq!(import(&other, &job(&[file])).unwrap().imported, 1003);
        assert_eq!(content(&*other), all);
        clean(&other);
        // What comes is what left, to the octet.
        let again = home.path().join("again.ldif");
        export(&other, &to(&again));
        assert!(std::fs::read(&again).unwrap() == std::fs::read(&plain).unwrap());
    }
    // Appending doubles the file; without operational attributes there are no identities.
    export(&store, &ExportJob { append: true, exclude_operational: true, ..to(&plain) });
    let text = std::fs::read_to_string(&plain).unwrap();
    assert_eq!((text.matches("\ndn: ").count(), text.matches("entryUUID: ").count()), (2005, 1003));
}

#[test]
fn rejected_and_skipped_entries_are_written_with_their_reasons() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("source.ldif");
    let mut text = BASE.to_owned();
    text.push_str(&person(
        "good",
        "userPassword: clear\nuserPassword: {SSHA}c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2E=\n",
    ));
    text.push_str(&person("good", ""));
    text.push_str(
        "# a comment stays\ndn: uid=lost,ou=nowhere,dc=example,dc=com\nobjectClass: account\nuid: lost\n\n",
    );
    text.push_str(&person("odd", "oddity: 1\n"));
    text.push_str(&person("bad", "mail: x\nnonsense\n"));
    text.push_str("dn: cn=x,ou=things,dc=example,dc=com\nobjectClass: device\ndescription: no cn, which the RDN gives\n\n");
    text.push_str("dn: cn=y,ou=things,dc=example,dc=com\nobjectClass: person\ncn: y\n\n");
    text.push_str("dn: dc=elsewhere\nobjectClass: domain\n\n");
    text.push_str("dn: uid=good,ou=people,dc=example,dc=com\nchangetype: delete\n\n");
    text.push_str(
        "dn: cn=named,ou=things,dc=example,dc=com\nobjectClass: device\ncn: named\nentryUUID: no\n",
    );
    std::fs::write(&source, &text).unwrap();
    let store = DataStore::open(options(&home.path().join("db"))).unwrap();
    let (rejects, skips) = (home.path().join("rejects"), home.path().join("skips"));
    let wanted = ImportJob {
        reject_file: Some(rejects.clone()),
        skip_file: Some(skips.clone()),
        overwrite: true,
        choice: Choice { exclude_filters: vec!["(description=no*)".into()], ..Choice::default() },
        ..job(&[&source])
    };
    let report = import(&store, &wanted).unwrap();
    assert_eq!((report.processed, report.imported, report.rejected, report.skipped), (13, 4, 7, 2));
    let rejected = std::fs::read_to_string(&rejects).unwrap();
    let reasons: Vec<&str> = rejected.lines().filter(|line| line.starts_with("# /")).collect();
    let wanted_reasons = [
        ("dn: uid=good,", "there is an entry of this name already"),
        ("dn: uid=lost,", "the entry above does not exist"),
        ("dn: uid=odd,", "attribute oddity is not defined in the schema"),
        ("nonsense", "a line wants 'name: value'"),
        ("dn: cn=y,", "sn"),
        ("dn: uid=good,", "the record is a change of an entry and not an entry"),
        ("dn: cn=named,", "entryUUID is no UUID"),
    ];
    assert_eq!(reasons.len(), wanted_reasons.len(), "{rejected}");
    for (reason, (line, wanted)) in reasons.iter().zip(wanted_reasons) {
        let (number, why) = reason.split_once(" line ").unwrap().1.split_once(": ").unwrap();
        let at = text.lines().nth(number.parse::<usize>().unwrap() - 1).unwrap();
        assert!(at.starts_with(line) && why.contains(wanted), "{reason} wants {line} and {wanted}");
    }
    assert!(
        rejected
            .contains("# a comment stays\ndn: uid=lost,ou=nowhere,dc=example,dc=com\nobjectClass: account")
    );
    let skipped = std::fs::read_to_string(&skips).unwrap();
    assert!(skipped.contains("dn: dc=elsewhere\n") && skipped.contains("the filters leave the entry out"));
    let entry = content(&*store).remove("uid=good,ou=people,dc=example,dc=com").unwrap();
    assert!(
        entry.contains("userPassword: {SSHA}c2Vj") && entry.contains("userPassword: {PBKDF2-HMAC-SHA256}")
    );
    assert!(!entry.contains("clear"));
    clean(&store);
    // What was mended is imported beside the rest; the file of rejects is LDIF.
    let rejected = job(&[&rejects]);
    let nothing = import(&store, &rejected).unwrap_err().to_string();
    assert!(
        nothing.starts_with("none of 7 entries could be imported, so the data stays as it was"),
        "{nothing}"
    );
    assert_eq!(content(&*store).len(), 4);
    // Without checks against the schema more is taken.
    let report = import(&store, &ImportJob { skip_schema_validation: true, ..job(&[&source]) }).unwrap();
    assert_eq!((report.imported, report.rejected), (7, 5));
}

#[test]
fn a_branch_is_replaced_and_the_rest_stays() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("source.ldif");
    let things =
        |number: u32| format!("dn: cn=t{number},ou=things,{SUFFIX}\nobjectClass: device\ncn: t{number}\n\n");
    let mut text = BASE.to_owned();
    (0..400).for_each(|number| text.push_str(&things(number)));
    (0..400).for_each(|number| text.push_str(&person(&number.to_string(), "")));
    std::fs::write(&source, &text).unwrap();
    let store = DataStore::open(options(&home.path().join("db"))).unwrap();
    import(&store, &job(&[&source])).unwrap();
    let all = content(&*store);
    let etag = |dn: &str| {
        let schema = store.options().schema.current();
        store.get(&NormalizedDn::parse(dn, &schema).unwrap()).unwrap().unwrap().etag_state()
    };
    let kept_etag = etag("cn=t7,ou=things,dc=example,dc=com");

    // People anew, all others stay, identities and etags too.
    let people = home.path().join("people.ldif");
    let unit = "dn: ou=people,dc=example,dc=com\nobjectClass: organizationalUnit\ndescription: new\n\n";
    std::fs::write(&people, format!("{BASE}{unit}{}{}", person("new", ""), things(9))).unwrap();
    let choice = Choice { include_branches: vec!["ou=people,dc=example,dc=com".into()], ..Choice::default() };
    let report = import(&store, &ImportJob { choice, ..job(&[&people]) }).unwrap();
    // The base, things and their unit stay; of the file two entries are taken, one of them comes twice.
    assert_eq!((report.migrated, report.imported, report.skipped, report.rejected), (402, 2, 3, 1));
    let now = content(&*store);
    assert_eq!(now.len(), 404);
    assert!(now.contains_key("uid=new,ou=people,dc=example,dc=com"));
    assert!(
        all.iter().filter(|(dn, _)| dn.contains("ou=things")).all(|(dn, text)| now.get(dn) == Some(text))
    );
    assert_eq!(etag("cn=t7,ou=things,dc=example,dc=com"), kept_etag);
    clean(&store);

    // Everything but the things anew: these hang on what is imported.
    let choice = Choice { exclude_branches: vec!["ou=things,dc=example,dc=com".into()], ..Choice::default() };
    let report = import(&store, &ImportJob { choice: choice.clone(), ..job(&[&source]) }).unwrap();
    assert_eq!((report.migrated, report.imported, report.skipped), (401, 402, 401));
    assert_eq!(content(&*store).len(), 803);
    // Unless all is to go.
    let report = import(&store, &ImportJob { choice, clear_backend: true, ..job(&[&source]) }).unwrap();
    assert_eq!((report.migrated, report.imported), (0, 402));
    clean(&store);
    // Names that mean nothing are refused before anything is done.
    for choice in [
        Choice { include_branches: vec!["dc=elsewhere".into()], ..Choice::default() },
        Choice { include_filters: vec!["(cn=".into()], ..Choice::default() },
    ] {
        assert!(matches!(
            import(&store, &ImportJob { choice, ..job(&[&source]) }),
            Err(TransferError::Unfit(_))
        ));
    }
    assert!(
        import(&store, &job(&[Path::new("/nowhere.ldif")]))
            .unwrap_err()
            .to_string()
            .contains("/nowhere.ldif")
    );
    assert_eq!(content(&*store).len(), 402);
}

#[test]
fn an_import_while_the_server_is_stopped_leaves_nothing_beside_the_data() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("source.ldif");
    std::fs::write(&source, format!("{BASE}{}", person("a", ""))).unwrap();
    let data = home.path().join("db");
    let (report, lines) = watched(|watch| job(&[&source]).run_offline(&options(&data), watch));
    assert_eq!(report.unwrap().imported, 4);
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("Processed 4 entries, imported 4, skipped 0, rejected 0 and migrated 0")
    );
    assert!(data.join("log").is_dir() && !home.path().join("db.new").exists());
    let choice = Choice { include_branches: vec!["ou=people,dc=example,dc=com".into()], ..Choice::default() };
    let branch = ImportJob { choice, ..job(&[&source]) };
    assert_eq!(watched(|watch| branch.run_offline(&options(&data), watch)).0.unwrap().migrated, 2);
    let store = DataStore::open(options(&data)).unwrap();
    assert_eq!(content(&*store).len(), 4);
    clean(&store);
    // A template makes up entries.
    let template = home.path().join("template");
    let text = "branch: dc=example,dc=com\nobjectClass: domain\nsubordinateTemplate: p:700\n\ntemplate: p\nrdnAttr: uid\n\
                objectClass: inetOrgPerson\nuid: u<sequential>\ncn: {uid}\nsn: <random:alpha:9>\n";
    std::fs::write(&template, text).unwrap();
    let made = ImportJob { template: Some(template), ..ImportJob::default() };
    assert_eq!(import(&store, &made).unwrap().imported, 701);
    clean(&store);
}

/// Adds an entry whose content says how far its writer is.
fn put(store: &DataStore, dn: &str, value: &str) -> bool {
    let schema = store.options().schema.current();
    let key = NormalizedDn::parse(dn, &schema).unwrap();
    let mut builder = EntryBuilder::new();
    builder.put("objectClass", "device", &schema).put("cn", value, &schema);
    let (user, operational) = builder.encode();
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).unwrap();
    let entry = NewEntry { dn: dn.to_owned(), uuid: EntryUuid::v4(octets), user, operational };
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |result: Result<Committed, ChangeError>| {
        let _ = sender.send(result.is_ok());
    });
    store.submit(Change { target: key, kind: ChangeKind::Add { entry, check: None }, done });
    receiver.recv().unwrap()
}

#[test]
fn an_export_is_one_moment_while_writers_write() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("source.ldif");
    std::fs::write(&source, BASE).unwrap();
    let store = DataStore::open(options(&home.path().join("db"))).unwrap();
    import(&store, &job(&[&source])).unwrap();
    let stop = AtomicBool::new(false);
    let acknowledged: [std::sync::atomic::AtomicU64; 2] = Default::default();
    std::thread::scope(|scope| {
        for (writer, count) in acknowledged.iter().enumerate() {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    // Each below the one before, now and then: a child never comes without its parent.
                    let parent = if number % 3 == 0 {
                        format!("ou=things,{SUFFIX}")
                    } else {
                        format!("cn={writer}-{},ou=things,{SUFFIX}", number - number % 3)
                    };
                    let name = format!("{writer}-{number}");
                    assert!(put(store, &format!("cn={name},{parent}"), &name));
                    count.store(number + 1, Ordering::Release);
                }
            });
        }
        while acknowledged.iter().any(|count| count.load(Ordering::Acquire) < 50) {
            std::thread::yield_now();
        }
        for round in 0..4 {
            let file = home.path().join(format!("{round}.ldif"));
            let before: Vec<u64> = acknowledged.iter().map(|count| count.load(Ordering::Acquire)).collect();
            export(&store, &to(&file));
            let text = std::fs::read_to_string(&file).unwrap();
            for (writer, before) in before.iter().enumerate() {
                let mut numbers: Vec<u64> = text
                    .lines()
                    .filter_map(|line| line.strip_prefix(&format!("cn: {writer}-"))?.parse().ok())
                    .collect();
                numbers.sort_unstable();
                // All that were acknowledged before, and no gap: what came later came as a whole or not at all.
                assert!(numbers.len() as u64 >= *before);
                assert!(numbers.iter().copied().eq(0..numbers.len() as u64));
            }
            let other = DataStore::open(options(&home.path().join("other"))).unwrap();
            let report = import(&other, &job(&[&file])).unwrap();
            assert_eq!((report.rejected, report.imported), (0, text.matches("dn: ").count() as u64));
        }
        stop.store(true, Ordering::Release);
    });
}
