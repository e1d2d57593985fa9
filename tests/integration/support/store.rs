//! A CTS store as the guide leaves it, and tokens in it as OpenAM writes them.

use std::sync::LazyLock;

use super::{Answer, Ctl, DM, Instance, Link, PASSWORD, SUFFIX, Setup, request};

/// The guide's user.
pub(crate) const CTS_USER: &str = "uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com";
/// A user of the same directory who has no business with tokens.
pub(crate) const NOBODY: &str = "uid=nobody,ou=admins,dc=cts,dc=example,dc=com";
/// Where OpenAM keeps tokens when it shares its own suffix.
pub(crate) const FAMRECORDS: &str = "ou=famrecords,ou=openam-session,ou=tokens,dc=cts,dc=example,dc=com";
/// Where the index entries are.
pub(crate) const INDEXES: &str = "cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config";
/// A transaction id as OpenAM makes them.
pub(crate) const TID: &[u8] = b"5d1f2c3a-6a1b-4f0c-9b1a-0123456789ab-1/0";

/// A served instance with the CTS profile, the guide's user and ACIs.
pub(crate) struct Store {
    pub(crate) instance: Instance,
}

/// The store that most tests share.
pub(crate) fn cts() -> &'static Store {
    static SHARED: LazyLock<Store> = LazyLock::new(Store::new);
    &SHARED
}

impl Store {
    pub(crate) fn new() -> Self {
        let instance = Instance::started(Setup { cts: true, tls: false });
        let mut root = instance.root();
        let ou = "ou=admins,dc=cts,dc=example,dc=com";
        done(&root.add(ou, &[("objectClass", &["top", "organizationalUnit"])], &[]));
        let mut user: Vec<(&str, &[&str])> = vec![
            ("objectClass", &["top", "person", "organizationalPerson", "inetOrgPerson"]),
            ("cn", &["OpenAM Non-Admin-User"]),
            ("sn", &["OpenAM"]),
            ("userPassword", &[PASSWORD]),
        ];
        done(&root.add(NOBODY, &user, &[]));
        user.push((
            "ds-privilege-name",
            &["update-schema", "subentry-write", "password-reset", "unindexed-search"],
        ));
        user.push(("ds-rlim-lookthrough-limit", &["0"]));
        user.push(("ds-rlim-size-limit", &["5000"]));
        done(&root.add(CTS_USER, &user, &[]));
        let acis = ACIS.map(|aci| aci.replace("USER", CTS_USER));
        let acis: Vec<_> = acis.iter().map(String::as_str).collect();
        done(&root.modify(SUFFIX, &[('+', "aci", &acis)], &[]));
        Self { instance }
    }

    /// A connection as OpenAM opens it.
    pub(crate) fn openam(&self) -> Link {
        let mut link = self.instance.link();
        done(&link.bind_with(CTS_USER, PASSWORD, &[Ctl::transaction_id(TID)]));
        link
    }

    pub(crate) fn root(&self) -> Link {
        self.instance.bound(DM)
    }

    /// A user who may read (and no more) what is below `base`; nothing else is given to it.
    pub(crate) fn reader(&self, name: &str, base: &str) -> String {
        let dn = self.user(name, &[]);
        let aci = format!(
            "(targetattr=\"*\")(version 3.0; acl \"{name}\"; allow (search, read, compare) userdn = \"ldap:///{dn}\";)"
        );
        done(&self.root().modify(base, &[('+', "aci", &[&aci])], &[]));
        dn
    }

    /// A user with further attributes, and the password everybody has.
    pub(crate) fn user(&self, name: &str, more: &[(&str, &[&str])]) -> String {
        let dn = format!("uid={name},ou=admins,{SUFFIX}");
        let mut attributes: Vec<(&str, &[&str])> = vec![
            ("objectClass", &["inetOrgPerson"]),
            ("cn", &["A user"]),
            ("sn", &["User"]),
            ("userPassword", &[PASSWORD]),
        ];
        attributes.extend_from_slice(more);
        done(&self.root().add(&dn, &attributes, &[]));
        dn
    }

    /// A container for one test's tokens: a root suffix as OpenAM may be told to use.
    pub(crate) fn container(&self, name: &str) -> String {
        let dn = format!("ou={name},{FAMRECORDS}");
        done(&self.root().add(&dn, &[("objectClass", &["organizationalUnit"])], &[]));
        dn
    }
}

const ACIS: [&str; 5] = [
    r#"(targetattr="*")(version 3.0;acl "Allow entry search"; allow (search, read) (userdn = "ldap:///USER");)"#,
    r#"(targetattr="*")(version 3.0;acl "Modify entries"; allow (write)(userdn= "ldap:///USER");)"#,
    r#"(targetcontrol="2.16.840.1.113730.3.4.3")(version 3.0;acl "Allow persistentsearch"; allow (search, read)(userdn = "ldap:///USER");)"#,
    r#"(version 3.0;acl "Add config entry"; allow (add)(userdn = "ldap:///USER");)"#,
    r#"(version 3.0;acl "Delete entries"; allow (delete)(userdn = "ldap:///USER");)"#,
];

fn done(answer: &Answer) {
    if answer.code != 0 {
        panic!("preparing the store: {answer:?}");
    }
}

/// A token about to be written.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Token {
    /// A token of a type, with nothing else.
    pub(crate) fn new(id: &str, kind: &str) -> Self {
        // As the SDK sends it: frCoreToken alone, without top.
        Self { id: id.to_owned(), attributes: Vec::new() }
            .with("objectClass", "frCoreToken")
            .with("coreTokenId", id)
            .with("coreTokenType", kind)
    }

    /// A session token with what OpenAM's session service fills in.
    pub(crate) fn session(id: &str, handle: &str) -> Self {
        Self::new(id, "SESSION")
            .with("coreTokenExpirationDate", "20991122051638.043+0300")
            .with("coreTokenUserId", "id=demo,ou=user,dc=openam,dc=example,dc=com")
            .with_bytes("coreTokenObject", format!("{{\"session\":\"{id}\"}}").as_bytes())
            .with("coreTokenString01", "1700000000")
            .with("coreTokenString02", &format!("AQIC5wM2LY4Sfcx{id}"))
            .with("coreTokenString03", handle)
            .with("coreTokenString11", "/")
            .with("coreTokenString13", "VALID")
            .with("coreTokenDate01", "20991122071638.043+0300")
            .with("coreTokenDate02", "20991122054638.043+0300")
    }

    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.with_bytes(name, value.as_bytes())
    }

    pub(crate) fn with_bytes(mut self, name: &str, value: &[u8]) -> Self {
        match self.attributes.iter_mut().find(|(found, _)| found == name) {
            Some((_, values)) if name.contains("Multi") => values.push(value.to_vec()),
            Some((_, values)) => *values = vec![value.to_vec()],
            None => self.attributes.push((name.to_owned(), vec![value.to_vec()])),
        }
        self
    }

    /// The DN as the SDK writes it.
    pub(crate) fn dn(&self, base: &str) -> String {
        format!("coreTokenId={},{base}", escaped(&self.id))
    }

    /// OpenAM's create: transaction id and post-read of etag.
    pub(crate) fn add_bytes(&self, id: i32, base: &str) -> Vec<u8> {
        let controls = [Ctl::transaction_id(TID), Ctl::post_read(&["etag"])];
        request::add_bytes(id, &self.dn(base), &self.attributes, &controls)
    }

    pub(crate) fn try_create(&self, link: &mut Link, base: &str) -> Answer {
        let id = link.id();
        link.send(&self.add_bytes(id, base));
        link.answer(id)
    }

    /// Creates it and gives its etag.
    pub(crate) fn create(&self, link: &mut Link, base: &str) -> String {
        let answer = self.try_create(link, base);
        answer.etag().unwrap_or_else(|| panic!("no etag: {answer:?}"))
    }
}

/// An RDN value as the SDK escapes it.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::new();
    for (at, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => out.extend(['\\', c]),
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The 40 names of OpenAM's `CoreTokenField`.
pub(crate) fn all_cts_fields() -> Vec<String> {
    let mut names: Vec<String> = [
        "coreTokenId",
        "coreTokenType",
        "coreTokenExpirationDate",
        "coreTokenUserId",
        "coreTokenObject",
        "etag",
        "createTimestamp",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend((1..=15).map(|n| format!("coreTokenString{n:02}")));
    names.extend((1..=10).map(|n| format!("coreTokenInteger{n:02}")));
    names.extend((1..=5).map(|n| format!("coreTokenDate{n:02}")));
    names.extend((1..=3).map(|n| format!("coreTokenMultiString{n:02}")));
    names
}
