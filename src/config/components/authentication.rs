//! What can be set about how clients prove who they are: keys, password policies, mechanisms, mappers.

use super::super::properties::{PropertyKind, TimeUnit};
use super::{
    FALSE, LISTENER, MAX, NONE, NOT_BUILT, Property, TRUE, boolean, dn, duration, integer, property, text,
    word,
};

pub(super) const PASSWORD_POLICY: &[Property] = &[
    property("password-attribute", PropertyKind::AttributeType, &["userPassword"])
        .no_effect("userPassword is the only one"),
    dn("default-password-storage-scheme", &["cn=PBKDF2-HMAC-SHA256,cn=Password Storage Schemes,cn=config"])
        .many(),
    dn("deprecated-password-storage-scheme", NONE)
        .many()
        .no_effect("a stored password keeps its scheme until it is changed"),
    boolean("allow-pre-encoded-passwords", FALSE),
    boolean("allow-user-password-changes", TRUE),
    boolean("allow-multiple-password-values", FALSE),
    boolean("require-secure-authentication", FALSE),
    boolean("require-secure-password-changes", FALSE),
    boolean("password-change-requires-current-password", FALSE),
    integer("lockout-failure-count", 0, MAX, &["0"]),
    duration("lockout-duration", TimeUnit::Seconds, &["0 seconds"]),
    duration("lockout-failure-expiration-interval", TimeUnit::Seconds, &["0 seconds"]),
    duration("max-password-age", TimeUnit::Seconds, &["0 seconds"]).no_effect(NOT_BUILT),
    integer("password-history-count", 0, MAX, &["0"]).no_effect(NOT_BUILT),
    dn("password-validator", NONE).many().no_effect(NOT_BUILT),
];

pub(super) const STORAGE_SCHEME: &[Property] = &[
    boolean("enabled", TRUE),
    integer("pbkdf2-iterations", 1, 10_000_000, &["10000"]).no_effect("the rounds are fixed at 10,000"),
];

pub(super) const IDENTITY_MAPPER: &[Property] = &[
    boolean("enabled", TRUE),
    property("match-attribute", PropertyKind::AttributeType, &["uid"]).many(),
    dn("match-base-dn", NONE).many(),
];

pub(super) const EXTERNAL: &[Property] = &[
    boolean("enabled", TRUE),
    dn("certificate-mapper", &["cn=Subject Equals DN,cn=Certificate Mappers,cn=config"]),
    property("certificate-attribute", PropertyKind::AttributeType, &["userCertificate"]),
    word("certificate-validation-policy", &["always", "ifpresent", "never"], &["ifpresent"]),
];

pub(super) const PLAIN: &[Property] =
    &[boolean("enabled", TRUE), dn("identity-mapper", &["cn=Exact Match,cn=Identity Mappers,cn=config"])];

pub(super) const SUBJECT_DN_MAPPER: &[Property] = &[
    boolean("enabled", TRUE),
    property("subject-attribute", PropertyKind::AttributeType, &["ds-certificate-subject-dn"]),
    dn("user-base-dn", NONE).many(),
];

pub(super) const SUBJECT_ATTRIBUTE_MAPPER: &[Property] = &[
    boolean("enabled", TRUE),
    text("subject-attribute-mapping", NONE).mandatory().many(),
    dn("user-base-dn", NONE).many(),
];

pub(super) const FINGERPRINT_MAPPER: &[Property] = &[
    boolean("enabled", TRUE),
    property("fingerprint-attribute", PropertyKind::AttributeType, &["ds-certificate-fingerprint"]),
    word("fingerprint-algorithm", &["sha1", "sha256"], &["sha1"]),
    dn("user-base-dn", NONE).many(),
];

pub(super) const KEY_MANAGER: &[Property] = &[
    boolean("enabled", TRUE).restart(LISTENER),
    text("cts-certificate-file", NONE).mandatory().restart(LISTENER),
    text("cts-private-key-file", NONE).mandatory().restart(LISTENER),
];

pub(super) const TRUST_MANAGER: &[Property] =
    &[boolean("enabled", TRUE).restart(LISTENER), text("cts-trust-file", NONE).restart(LISTENER)];
