//! A bulk load makes what the same adds one by one make.

use super::*;

fn options(directory: &std::path::Path) -> BackendOptions {
    let mut options = Disks::options(cts_indexes());
    options.directory = directory.to_owned();
    options
}

/// DN and attributes.
type Given = (String, Vec<(&'static str, String)>);

fn given() -> impl Strategy<Value = Vec<Given>> {
    let value = prop_oneof![Just("v"), Just("a longer value"), Just("x y"), Just("")];
    let token = (0_u8..60, 0_u8..4, 0_u8..9, value, proptest::option::of(0_u8..5)).prop_map(
        |(id, ou, user, value, date)| {
            let mut attributes = vec![
                ("objectClass", "frCoreToken".to_owned()),
                ("coreTokenType", "SESSION".to_owned()),
                ("coreTokenUserId", format!("user{user}{user}{user}")),
            ];
            if !value.is_empty() {
                attributes.push(("coreTokenString01", value.to_owned()));
                attributes.push(("coreTokenMultiString01", value.to_owned()));
                attributes.push(("coreTokenMultiString01", format!("{value}{id}")));
            }
            if let Some(date) = date {
                attributes.push(("coreTokenExpirationDate", format!("2026112{date}000000Z")));
            }
            // ou=c comes late or never, so some parents are missing.
            let ou = ["a", "b", "c", "A"][usize::from(ou)];
            (format!("coreTokenId=t{id},ou={ou},{SUFFIX}"), attributes)
        },
    );
    let container = Just((format!("ou=c,{SUFFIX}"), vec![("objectClass", "organizationalUnit".to_owned())]));
    proptest::collection::vec(prop_oneof![20 => token, 1 => container], 0..300)
}

fn base() -> Vec<Given> {
    let unit =
        |ou: &str| (format!("ou={ou},{SUFFIX}"), vec![("objectClass", "organizationalUnit".to_owned())]);
    vec![(SUFFIX.to_owned(), vec![("objectClass", "domain".to_owned())]), unit("a"), unit("b")]
}

fn entry_of((dn, attributes): &Given) -> NewEntry {
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
    new_entry(dn, &attributes)
}

/// Loads in pieces; which are refused, and why.
fn load(options: &BackendOptions, all: &[(Given, NewEntry)], piece_len: usize) -> Vec<(usize, Refused)> {
    let mut loader = BulkLoader::begin(options).unwrap();
    let preparer = loader.preparer();
    let mut refused = Vec::new();
    let mut number = 1;
    for part in all.chunks(piece_len) {
        let mut piece = Piece::default();
        for (_, entry) in part {
            preparer.prepare(
                &mut piece,
                number,
                number as u32,
                &BulkEntry {
                    dn: &entry.dn,
                    key: &key(&entry.dn),
                    uuid: entry.uuid,
                    etag: None,
                    user: &entry.user,
                    operational: &entry.operational,
                },
            );
            number += 1;
        }
        // Numbers may be left out.
        number += 3;
        loader.load(piece, &mut |tag, why| refused.push((tag as usize, why))).unwrap();
    }
    let count = loader.entries();
    assert_eq!(loader.finish().unwrap().entries, count);
    refused
}

fn contents(backend: &Backend) -> BTreeMap<String, (EntryUuid, Vec<u8>, Vec<u8>, u64)> {
    let filter = "(objectClass=*)";
    let mut all = BTreeMap::new();
    let query = query(SUFFIX, Scope::Subtree, filter);
    let mut stream = TokenStore::open(backend, &query, None).unwrap().unwrap();
    let mut found = Vec::new();
    while stream.next(100, &mut found).unwrap() {}
    for candidate in found {
        let entry = candidate.entry;
        let children = backend.children(&key(entry.dn()));
        let value = (entry.uuid(), entry.user_list().to_vec(), entry.operational_list().to_vec(), children);
        all.insert(entry.dn().to_owned(), value);
    }
    all
}

fn clean(backend: &Backend) {
    let report = backend.verify(None, &mut |_, _, _| true).unwrap();
    assert_eq!((report.differences, &report.found), (0, &Vec::new()));
    assert!(report.left_out.is_empty(), "{:?}", report.left_out);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_bulk_load_is_as_good_as_adds(given in given(), piece_len in 1_usize..50) {
        let all: Vec<(Given, NewEntry)> =
            base().into_iter().chain(given).map(|given| { let entry = entry_of(&given); (given, entry) }).collect();
        let disks = Disks::default();
        let reference = disks.open(cts_indexes());
        let mut wanted = Vec::new();
        for (_, entry) in &all {
            let kind = ChangeKind::Add { entry: entry.clone(), check: None };
            match code(submit(&reference, &entry.dn, kind)) {
                ResultCode::SUCCESS => {}
                ResultCode::ENTRY_ALREADY_EXISTS => wanted.push(Refused::Exists),
                ResultCode::NO_SUCH_OBJECT => wanted.push(Refused::NoParent),
                other => panic!("{other:?}"),
            }
        }
        let home = tempfile::tempdir().unwrap();
        let options = options(&home.path().join("db"));
        let refused = load(&options, &all, piece_len);
        prop_assert_eq!(refused.into_iter().map(|(_, why)| why).collect::<Vec<_>>(), wanted);
        let backend = Backend::open(&options).unwrap();
        prop_assert!(backend.recovered().damage.is_empty() && backend.recovered().cut.is_none());
        prop_assert_eq!(contents(&backend), contents(&reference));
        for filter in [
            "(coreTokenUserId=user333)", "(coreTokenUserId=*er4*)", "(coreTokenString01=*)",
            "(coreTokenExpirationDate<=20261122000000Z)", "(coreTokenMultiString01=x y7)", "(objectClass=domain)",
        ] {
            prop_assert!(backend.plan(&query(SUFFIX, Scope::Subtree, filter)).indexed, "{}", filter);
            let found = |backend: &Backend| search(backend, SUFFIX, Scope::Subtree, filter);
            prop_assert_eq!(found(&backend), found(&reference), "{}", filter);
        }
        clean(&backend);
        // It goes on as any other: changes, a restart from the log alone, a restart from a checkpoint.
        add_token(&backend, "after", &[("coreTokenUserId", "user333")]).unwrap();
        let committed = modify(&backend, SUFFIX, "description", Some("x")).unwrap();
        prop_assert_eq!(committed.sequence, contents(&reference).len() as u64 + 2);
        let now = contents(&backend);
        backend.close();
        drop(backend);
        let backend = Backend::open(&options).unwrap();
        prop_assert_eq!(&contents(&backend), &now);
        clean(&backend);
        backend.close();
        drop(backend);
        for file in std::fs::read_dir(&options.directory).unwrap() {
            let file = file.unwrap().path();
            if file.file_name().unwrap().to_str().unwrap().starts_with("checkpoint-") {
                std::fs::remove_file(file).unwrap();
            }
        }
        let backend = Backend::open(&options).unwrap();
        prop_assert_eq!(&contents(&backend), &now);
        clean(&backend);
    }
}

#[test]
fn identities_and_etags_are_kept_where_they_are_given() {
    let home = tempfile::tempdir().unwrap();
    let options = options(&home.path().join("db"));
    let mut loader = BulkLoader::begin(&options).unwrap();
    let mut piece = Piece::default();
    for (number, (dn, etag)) in
        [(SUFFIX.to_owned(), None), (format!("ou=a,{SUFFIX}"), Some(77))].into_iter().enumerate()
    {
        let entry =
            new_entry(&dn, &[("objectClass", if number == 0 { "domain" } else { "organizationalUnit" })]);
        let new = BulkEntry {
            dn: &dn,
            key: &key(&dn),
            uuid: uuid(900 + number as u64),
            etag,
            user: &entry.user,
            operational: &entry.operational,
        };
        loader.preparer().prepare(&mut piece, number as u64 + 1, 0, &new);
    }
    loader.load(piece, &mut |_, why| panic!("{why:?}")).unwrap();
    loader.finish().unwrap();
    assert!(BulkLoader::begin(&options).is_err());
    let backend = Backend::open(&options).unwrap();
    let entry = backend.get(&key(&format!("ou=a,{SUFFIX}"))).unwrap().unwrap();
    assert_eq!((entry.uuid(), entry.etag_state()), (uuid(901), 77));
    let entry = backend.get(&key(SUFFIX)).unwrap().unwrap();
    assert!(entry.uuid() == uuid(900) && entry.etag_state() != 0);
    assert_eq!(search(&backend, SUFFIX, Scope::Subtree, "(etag=000000000000004d)").len(), 1);
}

#[test]
fn nothing_at_all_is_a_data_set_too() {
    let home = tempfile::tempdir().unwrap();
    let options = options(&home.path().join("db"));
    assert_eq!(BulkLoader::begin(&options).unwrap().finish().unwrap().entries, 0);
    let backend = Backend::open(&options).unwrap();
    add_base(&backend);
    clean(&backend);
}
