//! The virtual suffixes over a store without entries.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;

use super::*;
use crate::access::{AccessControl, AuthMethod, Limits, Origin, Privileges};
use crate::auth::{Verifier, scheme};
use crate::backend::{
    Candidates, Change, ChangeError, ChangeListener, IndexConfig, PlanReport, Query, Resume, StoreError,
    Subscription, TokenStore,
};
use crate::ber::write::{element, octets};
use crate::clock::{Clock, ManualClock};
use crate::config::{ConfigStore, Instance, Profile, SecretValue, SetupOptions};
use crate::entry::{EntryBuilder, StoredEntry};
use crate::operation::{Directory, Parts, VirtualBackend};
use crate::protocol::control;
use crate::protocol::message::{
    AddRequest, Attributes, Modifications, ModifyOperation, ModifyRequest, OperationKind,
};
use crate::schema::{NormalizedDn, Schema, SchemaStore};
use crate::telemetry::{AccessLog, Meters, Metrics};

struct Empty {
    suffix: (String, NormalizedDn),
    indexes: Mutex<Vec<IndexConfig>>,
}

impl TokenStore for Empty {
    fn suffixes(&self) -> Vec<(String, NormalizedDn)> {
        vec![self.suffix.clone()]
    }
    fn get(&self, _: &NormalizedDn) -> Result<Option<Arc<StoredEntry>>, StoreError> {
        Ok(None)
    }
    fn deepest(&self, _: &NormalizedDn) -> String {
        String::new()
    }
    fn children(&self, _: &NormalizedDn) -> u64 {
        0
    }
    fn entries(&self) -> u64 {
        0
    }
    fn plan(&self, _: &Query) -> PlanReport {
        PlanReport { indexed: true, unindexed_part: None, explanation: String::new() }
    }
    fn open(&self, _: &Query, _: Option<&Resume>) -> Result<Option<Box<dyn Candidates>>, StoreError> {
        Ok(None)
    }
    fn submit(&self, change: Change) {
        (change.done)(Err(ChangeError::Store(StoreError::Busy)));
    }
    fn subscribe(&self, _: Arc<dyn ChangeListener>) -> Subscription {
        Subscription::new(|| {})
    }
    fn last_sequence(&self) -> u64 {
        0
    }
    fn set_indexes(&self, indexes: Vec<IndexConfig>) {
        *self.indexes.lock().unwrap() = indexes;
    }
    fn index_states(&self) -> Vec<(String, String)> {
        vec![("cn".into(), "ready".into()), ("sn".into(), "building, 10 of 20".into())]
    }
}

struct Bench {
    _place: tempfile::TempDir,
    directory: Arc<Directory>,
    store: Arc<Empty>,
    root: RootDse,
    config: CnConfig,
    schema: CnSchema,
}

const HANDLER: &str = "cn=Access Control Handler,cn=config";
const MANAGER: &str = "cn=Directory Manager,cn=Root DNs,cn=config";

fn bench() -> Bench {
    let place = tempfile::tempdir().unwrap();
    let password = SecretValue::new(b"{SSHA512}abcd".to_vec());
    let options = SetupOptions {
        profiles: vec![Profile::AmCts],
        global_acis: crate::access::default_globals(false),
        ..SetupOptions::new(vec!["dc=example,dc=com".into()], "cn=Directory Manager".into(), password)
    };
    let instance = Instance::create(&place.path().join("i"), &options).unwrap();
    let schema = Arc::new(SchemaStore::open(&instance.schema_directory()).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_700_000_000_000));
    let config = Arc::new(ConfigStore::open(&instance, schema.clone(), clock.clone()).unwrap());
    let now = schema.current();
    let suffix = ("dc=example,dc=com".to_owned(), NormalizedDn::parse("dc=example,dc=com", &now).unwrap());
    let store = Arc::new(Empty { suffix, indexes: Mutex::default() });
    let directory = Directory::new(Parts {
        schema: schema.clone(),
        store: store.clone(),
        access: Arc::new(AccessControl::new(now.clone(), None)),
        config: config.clone(),
        verifier: Arc::new(Verifier::new(1, 1, 1).unwrap()),
        virtual_backends: Vec::new(),
        metrics: Arc::new(Metrics::new(1)),
        access_log: Arc::new(AccessLog::off(clock.clone())),
        clock,
    })
    .unwrap();
    follow_configuration(&directory).unwrap();
    Bench {
        _place: place,
        directory,
        store,
        root: RootDse::new(config.clone()),
        config: CnConfig::new(config.clone(), &now),
        schema: CnSchema::new(config, &now),
    }
}

impl Bench {
    fn snapshot(&self) -> Arc<Schema> {
        self.directory.schema.current()
    }

    fn who(&self, dn: &str, privileges: Privileges) -> Requester {
        let key = NormalizedDn::parse(dn, &self.snapshot()).unwrap();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let origin = Origin { method: AuthMethod::Simple, address, security_strength: 0 };
        Requester::new(dn, key, privileges, Limits { size: 0, time: 0, lookthrough: 0, idle: 0 }, origin)
    }

    fn manager(&self) -> Requester {
        self.who(MANAGER, Privileges::root_defaults())
    }

    fn add(&self, who: &Requester, dn: &str, attributes: &[(&str, &str)]) -> LdapResult {
        let schema = self.snapshot();
        let mut builder = EntryBuilder::new();
        for (name, value) in attributes {
            builder.put(name, value, &schema);
        }
        let (user, operational) = builder.encode();
        let whole = [user, operational].concat();
        let request = AddRequest { dn, attributes: Attributes::parse(&whole).unwrap() };
        self.config.add(&self.directory, who, &request)
    }

    fn modify(&self, who: &Requester, dn: &str, changes: &[(ModifyOperation, &str, &[&str])]) -> LdapResult {
        let backend: &dyn VirtualBackend =
            if dn.ends_with("cn=schema") { &self.schema } else { &self.config };
        let encoded = modifications(changes);
        let request = ModifyRequest { dn, changes: Modifications::parse(&encoded).unwrap() };
        backend.modify(&self.directory, who, &request)
    }
}

fn modifications(changes: &[(ModifyOperation, &str, &[&str])]) -> BytesMut {
    let mut all = BytesMut::new();
    for (operation, name, values) in changes {
        let mut set = BytesMut::new();
        values.iter().for_each(|value| octets(&mut set, value.as_bytes()));
        let mut attribute = BytesMut::new();
        octets(&mut attribute, name.as_bytes());
        element(&mut attribute, 0x31, &set);
        let mut change = BytesMut::new();
        element(&mut change, 0x0a, &[operation.number()]);
        element(&mut change, 0x30, &attribute);
        element(&mut all, 0x30, &change);
    }
    all
}

fn values(entry: &StoredEntry, name: &str) -> Vec<String> {
    let lists = entry.user().iter().chain(entry.operational().iter());
    let found = lists.filter(|attribute| attribute.description.eq_ignore_ascii_case(name));
    found
        .flat_map(|attribute| attribute.values)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

#[test]
fn the_root_dse_lists_exactly_what_works() {
    let bench = bench();
    let entries = bench.root.entries(&bench.directory, &bench.manager()).unwrap();
    let [(key, entry)] = entries.as_slice() else { panic!() };
    assert!(key.as_bytes().is_empty() && entry.dn().is_empty());
    assert_eq!(values(entry, "supportedControl"), control::SUPPORTED);
    assert!(values(entry, "supportedControl").iter().any(|oid| oid == "2.16.840.1.113730.3.4.3"));
    assert_eq!(values(entry, "namingContexts"), ["dc=example,dc=com"]);
    assert_eq!(values(entry, "supportedLDAPVersion"), ["3"]);
    let start_tls = "1.3.6.1.4.1.1466.20037".to_owned();
    assert!(!values(entry, "supportedExtension").contains(&start_tls));
    let ldap = "cn=LDAP Connection Handler,cn=Connection Handlers,cn=config";
    let allow = [(ModifyOperation::Replace, "ds-cfg-allow-start-tls", &["true"][..])];
    assert_eq!(bench.modify(&bench.manager(), ldap, &allow).code, ResultCode::SUCCESS);
    assert!(values(&bench.root.entry(&bench.directory), "supportedExtension").contains(&start_tls));
}

#[test]
fn the_configuration_is_read_and_written_with_its_privileges() {
    let bench = bench();
    let nobody = bench.who("cn=x", Privileges::none());
    let reader = bench.who("cn=r", Privileges::none().with(Privilege::ConfigRead));
    let writer = bench.who("cn=w", Privileges::none().with(Privilege::ConfigWrite));
    assert_eq!(
        bench.config.entries(&bench.directory, &nobody).unwrap_err().code,
        ResultCode::INSUFFICIENT_ACCESS_RIGHTS
    );
    assert!(bench.config.entries(&bench.directory, &reader).unwrap().len() > 80);
    let limit = [(ModifyOperation::Replace, "ds-cfg-size-limit", &["77"][..])];
    for who in [&nobody, &reader, &writer] {
        assert_eq!(bench.modify(who, "cn=config", &limit).code, ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    }
    assert_eq!(bench.modify(&bench.manager(), "cn=config", &limit).code, ResultCode::SUCCESS);
    let entries = bench.config.entries(&bench.directory, &bench.manager()).unwrap();
    assert_eq!(values(&entries.first().unwrap().1, "ds-cfg-size-limit"), ["77"]);
}

#[test]
fn the_guides_index_records_load_and_reach_the_store() {
    let bench = bench();
    let manager = bench.manager();
    let count = bench.store.indexes.lock().unwrap().len();
    assert_eq!(count, 13 + 29);
    let dn = |name: &str| {
        format!("ds-cfg-attribute={name},cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config")
    };
    let record = |name: &'static str| {
        [
            ("objectClass", "top"),
            ("objectClass", "ds-cfg-backend-index"),
            ("ds-cfg-attribute", name),
            ("ds-cfg-index-type", "equality"),
        ]
    };
    let again = bench.add(&manager, &dn("coreTokenUserId"), &record("coreTokenUserId"));
    assert_eq!(again.code, ResultCode::ENTRY_ALREADY_EXISTS);
    let added = bench.add(&manager, &dn("coreTokenString05"), &record("coreTokenString05"));
    assert_eq!(added, LdapResult::with(ResultCode::SUCCESS, String::new()));
    assert_eq!(bench.store.indexes.lock().unwrap().len(), count + 1);
    let change = [(ModifyOperation::Replace, "ds-cfg-index-type", &["ordering"][..])];
    assert_eq!(bench.modify(&manager, &dn("coreTokenString05"), &change).code, ResultCode::SUCCESS);
    let key = NormalizedDn::parse(&dn("coreTokenString05"), &bench.snapshot()).unwrap();
    assert_eq!(bench.config.delete(&bench.directory, &manager, &key).code, ResultCode::SUCCESS);
    let gone = bench.config.delete(&bench.directory, &manager, &key);
    assert_eq!(gone.code, ResultCode::NO_SUCH_OBJECT);
    assert_eq!(gone.matched, "cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config");
    assert_eq!(bench.modify(&manager, &dn("coreTokenString05"), &change).code, ResultCode::NO_SUCH_OBJECT);
    assert_eq!(bench.store.indexes.lock().unwrap().len(), count);
}

#[test]
fn global_acis_are_checked_and_take_their_own_privilege() {
    let bench = bench();
    let bad = [(ModifyOperation::Add, "ds-cfg-global-aci", &["(nonsense)"][..])];
    assert_eq!(bench.modify(&bench.manager(), HANDLER, &bad).code, ResultCode::INVALID_ATTRIBUTE_SYNTAX);
    let text = "(target=\"ldap:///cn=schema\")(targetattr=\"attributeTypes||objectClasses\")\
                (version 3.0;acl \"modify schema\"; allow (write)(userdn=\"ldap:///cn=who\");)";
    let good = [(ModifyOperation::Add, "ds-cfg-global-aci", &[text][..])];
    let without = bench.who(MANAGER, Privileges::root_defaults().without(Privilege::ModifyAcl));
    assert_eq!(bench.modify(&without, HANDLER, &good).code, ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    let off = [(ModifyOperation::Replace, "ds-cfg-enabled", &["false"][..])];
    assert_eq!(bench.modify(&bench.manager(), HANDLER, &off).code, ResultCode::UNWILLING_TO_PERFORM);

    let user = bench.who("cn=who", Privileges::none().with(Privilege::UpdateSchema));
    let add = [(
        ModifyOperation::Add,
        "attributeTypes",
        &["( 1.2.3.4 NAME 'oneMore' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )"][..],
    )];
    assert_eq!(bench.modify(&user, "cn=schema", &add).code, ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
    assert_eq!(bench.modify(&bench.manager(), HANDLER, &good).code, ResultCode::SUCCESS);
    assert_eq!(bench.modify(&user, "cn=schema", &add).code, ResultCode::SUCCESS);
    assert!(bench.snapshot().attribute("oneMore").is_some());
    let unprivileged = bench.who("cn=who", Privileges::none());
    assert_eq!(bench.modify(&unprivileged, "cn=schema", &add).code, ResultCode::INSUFFICIENT_ACCESS_RIGHTS);
}

#[test]
fn root_passwords_are_stored_encoded() {
    let bench = bench();
    let manager = bench.manager();
    let set = [(ModifyOperation::Replace, "userPassword", &["new secret"][..])];
    assert_eq!(bench.modify(&manager, MANAGER, &set).code, ResultCode::SUCCESS);
    let config = bench.directory.config.current();
    let stored = config.root_dns.first().unwrap().passwords.first().unwrap().clone();
    assert!(stored.expose().starts_with(b"{PBKDF2-HMAC-SHA256}"));
    assert!(scheme::verify(stored.expose(), b"new secret"));
    let encoded = [(ModifyOperation::Replace, "userPassword", &["{SSHA}abcdabcdabcdabcd"][..])];
    assert_eq!(bench.modify(&manager, MANAGER, &encoded).code, ResultCode::CONSTRAINT_VIOLATION);
    let swap: [(ModifyOperation, &str, &[&str]); 2] = [
        (ModifyOperation::Delete, "userPassword", &["new secret"]),
        (ModifyOperation::Add, "userPassword", &["newer"]),
    ];
    assert_eq!(bench.modify(&manager, MANAGER, &swap).code, ResultCode::SUCCESS);
    assert_eq!(bench.modify(&manager, MANAGER, &swap).code, ResultCode::NO_SUCH_ATTRIBUTE);
}

#[test]
fn schema_edits_keep_the_rules_of_cn_schema() {
    use ModifyOperation::{Add, Delete, Replace};
    let bench = bench();
    let manager = bench.manager();
    const CLASS: &str = "( 1.3.6.1.4.1.36733.2.2.2.27 NAME 'frCoreToken' SUP top STRUCTURAL MUST ( coreTokenId $ coreTokenType ) \
                 MAY ( coreTokenObject $ thirdKind ) )";
    type Step = (ModifyOperation, &'static str, &'static [&'static str]);
    let table: &[(&[Step], ResultCode)] = &[
        (&[(Replace, "attributeTypes", &["( 1.2.3 NAME 'x' )"])], ResultCode::UNWILLING_TO_PERFORM),
        (&[(Delete, "attributeTypes", &[])], ResultCode::UNWILLING_TO_PERFORM),
        (&[(Add, "description", &["x"])], ResultCode::UNWILLING_TO_PERFORM),
        (&[(Add, "attributeTypes", &["( nonsense"])], ResultCode::INVALID_ATTRIBUTE_SYNTAX),
        (&[(Add, "objectClasses", &["( 1.2.3 NAME 'x' SUP nothing )"])], ResultCode::CONSTRAINT_VIOLATION),
        (&[(Delete, "objectClasses", &["( 1.2.3.4.5 )"])], ResultCode::UNWILLING_TO_PERFORM),
        // The index of coreTokenUserId uses it.
        (
            &[(Delete, "attributeTypes", &["( 1.3.6.1.4.1.36733.2.2.1.101 )"])],
            ResultCode::UNWILLING_TO_PERFORM,
        ),
        // OID-only delete, lower-case name, and what was added first is seen by what comes after.
        (
            &[
                (
                    Add,
                    "attributeTypes",
                    &[
                        "( 1.2.3.9  NAME ( 'thirdKind' )  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORIGIN 'test' )",
                    ],
                ),
                (Delete, "objectclasses", &["( 1.3.6.1.4.1.36733.2.2.2.27 )"]),
                (Add, "objectclasses", &[CLASS]),
            ],
            ResultCode::SUCCESS,
        ),
    ];
    for (changes, code) in table {
        let result = bench.modify(&manager, "cn=schema", changes);
        assert_eq!(result.code, *code, "{changes:?}: {}", result.diagnostic);
    }
    let entries = bench.schema.entries(&bench.directory, &manager).unwrap();
    let (_, entry) = entries.first().unwrap();
    assert!(values(entry, "attributeTypes").iter().any(|text| text.contains("'thirdKind'")));
    assert!(values(entry, "objectClass").contains(&"subschema".to_owned()));
    let below = bench.modify(&manager, "cn=x,cn=schema", &[(Add, "cn", &["x"])]);
    assert_eq!((below.code, below.matched.as_str()), (ResultCode::NO_SUCH_OBJECT, "cn=schema"));
}

#[test]
fn monitor_entries_have_the_names_scripts_read() {
    let bench = bench();
    let meters = Arc::new(Meters::default());
    let metrics = meters.of("LDAP Connection Handler");
    metrics.connected();
    metrics.request(OperationKind::Add);
    metrics.response(OperationKind::Add, ResultCode::SUCCESS, std::time::Duration::from_millis(5));
    let sources = MonitorSources {
        config: bench.directory.config.clone(),
        meters,
        connections: None,
        store: None,
        access_log: None,
        started_ms: 1_700_000_000_000 - 93_784_000,
    };
    let monitor = CnMonitor::new(sources, &bench.snapshot());
    let entries = monitor.entries(&bench.directory, &bench.manager()).unwrap();
    let entry = |dn: &str| &entries.iter().find(|(_, entry)| entry.dn() == dn).unwrap().1;
    let top = entry("cn=monitor");
    assert_eq!(values(top, "upTime"), ["1 days 2 hours 3 minutes 4 seconds"]);
    assert_eq!(values(top, "currentTime"), ["20231114221320Z"]);
    assert_eq!(values(top, "currentConnections"), ["1"]);
    let backend = entry("cn=userRoot Backend,cn=monitor");
    assert_eq!(values(backend, "ds-base-dn-entry-count"), ["0 dc=example,dc=com"]);
    assert_eq!(values(backend, "need-reindex"), ["sn"]);
    let statistics = entry("cn=LDAP Connection Handler Statistics,cn=monitor");
    assert_eq!(values(statistics, "addRequests"), ["1"]);
    assert_eq!(values(statistics, "addResponses"), ["1"]);
    assert_eq!(values(statistics, "ds-mon-add-operations-total-count"), ["1"]);
    assert_eq!(values(statistics, "ds-mon-resident-time-add-operations-total-time"), ["5"]);
    assert_eq!(values(entry("cn=Disk Space Monitor,cn=monitor"), "disk-state").len(), 1);
    assert_eq!(values(entry("cn=Work Queue,cn=monitor"), "requestsRejectedDueToQueueFull"), ["0"]);
    let handler = entry("cn=LDAP Connection Handler,cn=monitor");
    assert_eq!(values(handler, "ds-connectionhandler-listener"), ["0.0.0.0:1389"]);
    assert_eq!(values(handler, "ds-connectionhandler-protocol"), ["LDAP"]);
    assert!(!values(entry("cn=System Information,cn=monitor"), "peakResidentMemory").is_empty());
    assert_eq!(values(statistics, "ds-mon-add-operations-p99-time"), ["5000"]);
    for (key, entry) in &entries {
        assert_eq!(*key, NormalizedDn::parse(entry.dn(), &bench.snapshot()).unwrap());
        // What the schema does not know cannot be asked for by name.
        for attribute in crate::entry::encoded_attributes(entry.user_list()) {
            let name = std::str::from_utf8(attribute.description).unwrap();
            assert!(bench.snapshot().attribute(name).is_some(), "{name} of {}", entry.dn());
        }
    }
}

#[test]
fn identities_of_made_entries_stay_and_etags_follow_content() {
    let bench = bench();
    let read = || {
        let entries = bench.config.entries(&bench.directory, &bench.manager()).unwrap();
        let (_, entry) = entries.first().unwrap();
        (entry.uuid(), entry.etag_state())
    };
    let before = read();
    assert_eq!(read(), before);
    let limit = [(ModifyOperation::Replace, "ds-cfg-size-limit", &["77"][..])];
    bench.modify(&bench.manager(), "cn=config", &limit);
    let after = read();
    assert_eq!(before.0, after.0);
    assert_ne!(before.1, after.1);
}
