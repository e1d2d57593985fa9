//! How clients prove who they are: passwords, mechanisms, mappers.

use ctsd::protocol::message::Control;
use ctsd::protocol::oid;

use crate::client::{Client, Tls};
use crate::fixture::SUFFIX;
use crate::global::a_second_passes;
use crate::table::{Object, POLICY, Round, Seen, nothing, play, row, stays};
use crate::world::{World, uid};

const SCHEME: Object = (
    "password-storage-scheme",
    "--scheme-name \"Salted SHA-1\"",
    "cn=Salted SHA-1,cn=Password Storage Schemes,cn=config",
);
const PROXIED: Object =
    ("identity-mapper", "--mapper-name Proxied", "cn=Proxied,cn=Identity Mappers,cn=config");
const EXACT: Object =
    ("identity-mapper", "--mapper-name \"Exact Match\"", "cn=Exact Match,cn=Identity Mappers,cn=config");
pub(crate) const EXTERNAL: Object = (
    "sasl-mechanism-handler (external)",
    "--handler-name EXTERNAL",
    "cn=EXTERNAL,cn=SASL Mechanisms,cn=config",
);
const PLAIN: Object =
    ("sasl-mechanism-handler (plain)", "--handler-name PLAIN", "cn=PLAIN,cn=SASL Mechanisms,cn=config");
const BY_DN: Object = (
    "certificate-mapper (subject-equals-dn)",
    "--mapper-name \"Subject Equals DN\"",
    "cn=Subject Equals DN,cn=Certificate Mappers,cn=config",
);
pub(crate) const BY_SUBJECT: Object = (
    "certificate-mapper (subject-dn-to-user-attribute)",
    "--mapper-name \"Subject DN to User Attribute\"",
    "cn=Subject DN to User Attribute,cn=Certificate Mappers,cn=config",
);
pub(crate) const BY_PARTS: Object = (
    "certificate-mapper (subject-attribute-to-user-attribute)",
    "--mapper-name \"Subject Attribute to User Attribute\"",
    "cn=Subject Attribute to User Attribute,cn=Certificate Mappers,cn=config",
);
pub(crate) const BY_FINGERPRINT: Object = (
    "certificate-mapper (fingerprint)",
    "--mapper-name \"Fingerprint Mapper\"",
    "cn=Fingerprint Mapper,cn=Certificate Mappers,cn=config",
);

/// The value that a new user's password is stored as.
fn stored(world: &World) -> String {
    let name = world.fresh();
    let mut root = world.root();
    world.person(&mut root, &name, &[]);
    root.values(&uid(&name), "userPassword").remove(0)
}

fn is_stored_in_sha512(world: &World) -> bool {
    stored(world).starts_with("{SSHA512}")
}

fn takes_encoded(world: &World) -> bool {
    let name = world.fresh();
    let value = "{SSHA}yH7Bz8tJg3EMDqJ5ATxRtWlGkUDJrVbA0kKjQw==";
    let all = [
        ("objectClass", "inetOrgPerson"),
        ("uid", &*name),
        ("cn", "a"),
        ("sn", "a"),
        ("userPassword", value),
    ];
    world.root().add(&uid(&name), &all).is(0)
}

fn takes_several(world: &World) -> bool {
    let name = world.fresh();
    let mut root = world.root();
    let all = [
        ("objectClass", "inetOrgPerson"),
        ("uid", &*name),
        ("cn", "a"),
        ("sn", "a"),
        ("userPassword", "one"),
        ("userPassword", "other"),
    ];
    let added = root.add(&uid(&name), &all);
    let changed = root.replace(&uid("wide"), "userPassword", &[b"of wide", b"other"]);
    assert_eq!(added.code, changed.code, "{added:?} {changed:?}");
    assert!(
        added.is(0) || (added.is(19) && added.text.contains("allow-multiple-password-values")),
        "{added:?}"
    );
    added.is(0)
}

fn own_passwords_stay(world: &World) -> bool {
    let mut client = under_tls(world, "user");
    client.replace(&uid("user"), "userPassword", &[b"of user"]).is(53)
}

/// A user under TLS.
fn under_tls(world: &World, name: &str) -> Client {
    let (mut client, _) = Client::tls(world.server.ldaps, &Tls::default()).unwrap();
    assert!(client.bind(&uid(name), &format!("of {name}")).is(0));
    client
}

fn clear_binds_are_refused(world: &World) -> bool {
    world.anonymous().bind(&uid("user"), "of user").is(13)
}

fn clear_changes_are_refused(world: &World) -> bool {
    let mut client = world.anonymous();
    if !client.bind(&uid("user"), "of user").is(0) {
        return false;
    }
    client.replace(&uid("user"), "userPassword", &[b"of user"]).is(13)
}

fn present_passwords_are_asked_for(world: &World) -> bool {
    // New password alone: SEQUENCE { [2] "of user" }.
    let mut value = vec![0x30, 9, 0x82, 7];
    value.extend_from_slice(b"of user");
    let answer = under_tls(world, "user").extended(oid::PASSWORD_MODIFY, Some(&value), &[]);
    answer.is(53) && answer.text.contains("password-change-requires-current-password")
}

/// Somebody new who mistook a password twice.
fn locked(world: &World) -> Option<String> {
    let name = world.fresh();
    let mut root = world.root();
    world.person(&mut root, &name, &[]);
    for _ in 0..2 {
        assert!(world.anonymous().bind(&uid(&name), "wrong").is(49));
    }
    let right = format!("of {name}");
    world.anonymous().bind(&uid(&name), &right).is(49).then_some(name)
}

fn two_mistakes_lock(world: &World) -> bool {
    locked(world).is_some()
}

fn locks_open_again(world: &World) -> bool {
    let Some(name) = locked(world) else { return false };
    a_second_passes(world);
    world.anonymous().bind(&uid(&name), &format!("of {name}")).is(0)
}

/// Two mistakes at once lock; two that lie apart do not.
fn mistakes_are_forgotten(world: &World) -> bool {
    if locked(world).is_none() {
        return false;
    }
    let name = world.fresh();
    let mut root = world.root();
    world.person(&mut root, &name, &[]);
    for _ in 0..2 {
        assert!(world.anonymous().bind(&uid(&name), "wrong").is(49));
        a_second_passes(world);
    }
    world.anonymous().bind(&uid(&name), &format!("of {name}")).is(0)
}

fn sha1_is_of_no_use(world: &World) -> bool {
    world.anonymous().bind(&uid("sha1"), "of sha1").is(49)
}

fn with_a_sha1_password(world: &mut World) -> Vec<(&'static str, String)> {
    let set = |scheme: &str| {
        format!(
            "set-password-policy-prop --policy-name \"Default Password Policy\" \
             --set \"default-password-storage-scheme:cn={scheme},cn=Password Storage Schemes,cn=config\"\n"
        )
    };
    world.prepare(&set("Salted SHA-1"));
    let mut root = world.root();
    world.person(&mut root, "sha1", &[]);
    assert!(root.values(&uid("sha1"), "userPassword")[0].starts_with("{SSHA}"));
    world.prepare(&set("PBKDF2-HMAC-SHA256"));
    Vec::new()
}

/// Whom `u:name` stands for in proxied authorization.
fn acts_as(world: &World, name: &str) -> Option<String> {
    let mut client = under_tls(world, "proxy");
    let identity = format!("u:{name}");
    let control =
        Control { oid: oid::PROXIED_AUTHORIZATION, critical: true, value: Some(identity.as_bytes()) };
    let answer = client.extended(oid::WHO_AM_I, None, &[control]);
    answer.is(0).then(|| String::from_utf8_lossy(&answer.value).into_owned())
}

fn mail_names_somebody(world: &World) -> bool {
    acts_as(world, "inside@example.com").is_some()
}

fn who_is_outside_is_nobody(world: &World) -> bool {
    acts_as(world, "user").is_none()
}

fn plain(world: &World, name: &str, password: &str) -> crate::client::Answer {
    let (mut client, _) = Client::tls(world.server.ldaps, &Tls::default()).unwrap();
    client.sasl("PLAIN", Some(format!("\0{name}\0{password}").as_bytes()))
}

fn plain_takes_mail(world: &World) -> bool {
    plain(world, "user@example.com", "of user").is(0)
}

fn plain_knows_nobody(world: &World) -> bool {
    plain(world, "user", "of user").is(49)
}

fn offers(world: &World, mechanism: &str) -> bool {
    let offered = world.root().values("", "supportedSASLMechanisms");
    offered.iter().any(|one| one == mechanism)
}

fn external_is_off(world: &World) -> bool {
    !offers(world, "EXTERNAL")
}

fn plain_is_off(world: &World) -> bool {
    !offers(world, "PLAIN") && plain(world, "user", "of user").is(7)
}

/// Whether EXTERNAL is offered no more when it maps by this mapper.
fn is_off(world: &World, mapper: Object) -> bool {
    let mut root = world.root();
    let mut point = |dn: &str| {
        let answer = root.replace(EXTERNAL.2, "ds-cfg-certificate-mapper", &[dn.as_bytes()]);
        assert!(answer.is(0), "{answer:?}");
    };
    point(mapper.2);
    let is_off = external_is_off(world);
    point(BY_DN.2);
    is_off
}

fn by_dn_is_off(world: &World) -> bool {
    is_off(world, BY_DN)
}

fn by_subject_is_off(world: &World) -> bool {
    is_off(world, BY_SUBJECT)
}

fn by_parts_is_off(world: &World) -> bool {
    is_off(world, BY_PARTS)
}

fn by_fingerprint_is_off(world: &World) -> bool {
    is_off(world, BY_FINGERPRINT)
}

fn with_mappers(world: &mut World) -> Vec<(&'static str, String)> {
    world.prepare(
        "create-identity-mapper --mapper-name Proxied --type exact-match --set enabled:true --set match-attribute:uid\n\
         create-identity-mapper --mapper-name 'By Mail' --type exact-match --set enabled:true \
         --set match-attribute:mail\n\
         set-global-configuration-prop \
         --set \"proxied-authorization-identity-mapper:cn=Proxied,cn=Identity Mappers,cn=config\"\n",
    );
    let mut root = world.root();
    world.person(&mut root, "proxy", &[("ds-privilege-name", "proxied-auth")]);
    let dn = format!("uid=inside,ou=mapped,{SUFFIX}");
    let inside = [
        ("objectClass", "inetOrgPerson"),
        ("uid", "inside"),
        ("cn", "a"),
        ("sn", "a"),
        ("mail", "inside@example.com"),
    ];
    assert!(root.add(&dn, &inside).is(0));
    Vec::new()
}

pub(crate) const BASE: &[&str] = &["ou=mapped,SUFFIX"];

pub(crate) const ROUNDS: &[Round] = &[
    Round {
        name: "passwords",
        prepare: with_a_sha1_password,
        moved: stays,
        rows: &[
            row(
                POLICY,
                "default-password-storage-scheme",
                &["cn=Salted SHA-512,cn=Password Storage Schemes,cn=config"],
                Seen::Live(is_stored_in_sha512),
            ),
            row(POLICY, "allow-pre-encoded-passwords", &["true"], Seen::Live(takes_encoded)),
            row(POLICY, "allow-multiple-password-values", &["true"], Seen::Live(takes_several)),
            row(POLICY, "require-secure-password-changes", &["true"], Seen::Live(clear_changes_are_refused)),
            row(
                POLICY,
                "password-change-requires-current-password",
                &["true"],
                Seen::Live(present_passwords_are_asked_for),
            ),
            row(SCHEME, "enabled", &["false"], Seen::Live(sha1_is_of_no_use)),
        ],
    },
    Round {
        name: "lockout",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(POLICY, "lockout-failure-count", &["2"], Seen::Live(two_mistakes_lock)),
            row(POLICY, "lockout-duration", &["1 s"], Seen::Live(locks_open_again)),
            row(POLICY, "lockout-failure-expiration-interval", &["1 s"], Seen::Live(mistakes_are_forgotten)),
        ],
    },
    Round {
        name: "strictness",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(POLICY, "allow-user-password-changes", &["false"], Seen::Live(own_passwords_stay)),
            row(POLICY, "require-secure-authentication", &["true"], Seen::Live(clear_binds_are_refused)),
        ],
    },
    Round {
        name: "identities",
        prepare: with_mappers,
        moved: stays,
        rows: &[
            row(PROXIED, "match-attribute", &["uid", "mail"], Seen::Live(mail_names_somebody)),
            row(PROXIED, "match-base-dn", BASE, Seen::Live(who_is_outside_is_nobody)),
            row(
                PLAIN,
                "identity-mapper",
                &["cn=By Mail,cn=Identity Mappers,cn=config"],
                Seen::Live(plain_takes_mail),
            ),
        ],
    },
    Round {
        name: "switched off",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(EXACT, "enabled", &["false"], Seen::Live(plain_knows_nobody)),
            row(BY_DN, "enabled", &["false"], Seen::Live(by_dn_is_off)),
            row(BY_SUBJECT, "enabled", &["false"], Seen::Live(by_subject_is_off)),
            row(BY_PARTS, "enabled", &["false"], Seen::Live(by_parts_is_off)),
            row(BY_FINGERPRINT, "enabled", &["false"], Seen::Live(by_fingerprint_is_off)),
        ],
    },
    Round {
        name: "no mechanisms",
        prepare: nothing,
        moved: stays,
        rows: &[
            row(EXTERNAL, "enabled", &["false"], Seen::Live(external_is_off)),
            row(PLAIN, "enabled", &["false"], Seen::Live(plain_is_off)),
        ],
    },
];

#[test]
fn what_is_set_about_passwords_holds() {
    ROUNDS.iter().take(3).for_each(play);
}

#[test]
fn what_is_set_about_identities_holds() {
    ROUNDS.iter().skip(3).for_each(play);
}
