//! Every OID of a control, extended operation, notice or feature, by name.

/// Assertion control (RFC 4528).
pub const ASSERTION: &str = "1.3.6.1.1.12";
/// Pre-read controls, request and response (RFC 4527).
pub const PRE_READ: &str = "1.3.6.1.1.13.1";
/// Post-read controls, request and response (RFC 4527).
pub const POST_READ: &str = "1.3.6.1.1.13.2";
/// Simple paged results, request and response (RFC 2696).
pub const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
/// Persistent search (draft-ietf-ldapext-psearch).
pub const PERSISTENT_SEARCH: &str = "2.16.840.1.113730.3.4.3";
/// Entry change notification, a response control of a persistent search.
pub const ENTRY_CHANGE_NOTIFICATION: &str = "2.16.840.1.113730.3.4.7";
/// Transaction id, a text for tracing.
pub const TRANSACTION_ID: &str = "1.3.6.1.4.1.36733.2.1.5.1";
/// Affinity, bytes that a load balancer hashes.
pub const AFFINITY: &str = "1.3.6.1.4.1.36733.2.1.5.2";
/// Permissive modify.
pub const PERMISSIVE_MODIFY: &str = "1.2.840.113556.1.4.1413";
/// ManageDsaIT (RFC 3296).
pub const MANAGE_DSA_IT: &str = "2.16.840.1.113730.3.4.2";
/// Subtree delete (draft-armijo-ldap-treedelete).
pub const SUBTREE_DELETE: &str = "1.2.840.113556.1.4.805";
/// Server-side sort, request (RFC 2891).
pub const SORT_REQUEST: &str = "1.2.840.113556.1.4.473";
/// Server-side sort, response (RFC 2891).
pub const SORT_RESPONSE: &str = "1.2.840.113556.1.4.474";
/// Virtual list view, request.
pub const VLV_REQUEST: &str = "2.16.840.1.113730.3.4.9";
/// Virtual list view, response.
pub const VLV_RESPONSE: &str = "2.16.840.1.113730.3.4.10";
/// Proxied authorization, version 2 (RFC 4370).
pub const PROXIED_AUTHORIZATION: &str = "2.16.840.1.113730.3.4.18";
/// Proxied authorization, version 1; obsolete.
pub const PROXIED_AUTHORIZATION_V1: &str = "2.16.840.1.113730.3.4.12";
/// Authorization identity, request (RFC 3829).
pub const AUTHORIZATION_IDENTITY_REQUEST: &str = "2.16.840.1.113730.3.4.16";
/// Authorization identity, response (RFC 3829).
pub const AUTHORIZATION_IDENTITY_RESPONSE: &str = "2.16.840.1.113730.3.4.15";
/// Password policy, request and response (draft-behera-ldap-password-policy).
pub const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";
/// Password expired, a response control; deprecated.
pub const PASSWORD_EXPIRED: &str = "2.16.840.1.113730.3.4.4";
/// Password expiring, a response control; deprecated.
pub const PASSWORD_EXPIRING: &str = "2.16.840.1.113730.3.4.5";
/// Account usability.
pub const ACCOUNT_USABILITY: &str = "1.3.6.1.4.1.42.2.27.9.5.8";
/// Matched values (RFC 3876).
pub const MATCHED_VALUES: &str = "1.2.826.0.1.3344810.2.3";
/// Subentries (RFC 3672).
pub const SUBENTRIES: &str = "1.3.6.1.4.1.4203.1.10.1";
/// Subentries as an older draft had them.
pub const SUBENTRIES_LDUP: &str = "1.3.6.1.4.1.7628.5.101.1";
/// No-op (draft-zeilenga-ldap-noop).
pub const NO_OP: &str = "1.3.6.1.4.1.4203.1.10.2";
/// Only attributes that are stored.
pub const REAL_ATTRIBUTES_ONLY: &str = "2.16.840.1.113730.3.4.17";
/// Only attributes that are computed.
pub const VIRTUAL_ATTRIBUTES_ONLY: &str = "2.16.840.1.113730.3.4.19";
/// Get effective rights.
pub const GET_EFFECTIVE_RIGHTS: &str = "1.3.6.1.4.1.42.2.27.9.5.2";
/// The change's CSN in the response.
pub const CSN: &str = "1.3.6.1.4.1.42.2.27.9.5.9";
/// Cookie exchange of the external changelog.
pub const CHANGELOG_COOKIE: &str = "1.3.6.1.4.1.26027.1.5.4";
/// Replication repair: a write that is not replicated.
pub const REPLICATION_REPAIR: &str = "1.3.6.1.4.1.26027.1.5.2";
/// Relax rules (draft-zeilenga-ldap-relax).
pub const RELAX_RULES: &str = "1.3.6.1.4.1.4203.666.5.12";
/// Transaction specification (RFC 5805).
pub const TRANSACTION_SPECIFICATION: &str = "1.3.6.1.1.21.2";

/// StartTLS (RFC 4511 §4.14).
pub const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// Who am I? (RFC 4532).
pub const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
/// Explain access: why somebody may do something, or may not. Of the arc that UUIDs give to everybody.
pub const EXPLAIN_ACCESS: &str = "2.25.27202892593851476145757204938629601355";
/// Password modify (RFC 3062).
pub const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";
/// Cancel (RFC 3909).
pub const CANCEL: &str = "1.3.6.1.1.8";
/// The connection's id.
pub const GET_CONNECTION_ID: &str = "1.3.6.1.4.1.26027.1.6.2";
/// Password policy state.
pub const PASSWORD_POLICY_STATE: &str = "1.3.6.1.4.1.26027.1.6.1";
/// Get symmetric key.
pub const GET_SYMMETRIC_KEY: &str = "1.3.6.1.4.1.26027.1.6.3";
/// Start transaction (RFC 5805).
pub const START_TRANSACTION: &str = "1.3.6.1.1.21.1";
/// End transaction (RFC 5805).
pub const END_TRANSACTION: &str = "1.3.6.1.1.21.3";

/// Notice of Disconnection, an unsolicited notification (RFC 4511 §4.4.1).
pub const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";

/// Feature: `+` asks for all operational attributes (RFC 3673).
pub const ALL_OPERATIONAL_ATTRIBUTES: &str = "1.3.6.1.4.1.4203.1.5.1";
/// Feature: `@class` asks for a class's attributes (RFC 4529).
pub const ATTRIBUTES_BY_OBJECT_CLASS: &str = "1.3.6.1.4.1.4203.1.5.2";
/// Feature: absolute true and false filters (RFC 4526).
pub const TRUE_FALSE_FILTERS: &str = "1.3.6.1.4.1.4203.1.5.3";
/// Feature: modify-increment (RFC 4525).
pub const MODIFY_INCREMENT: &str = "1.3.6.1.1.14";

/// The features the server lists in its root DSE.
pub const SUPPORTED_FEATURES: &[&str] =
    &[ALL_OPERATIONAL_ATTRIBUTES, ATTRIBUTES_BY_OBJECT_CLASS, TRUE_FALSE_FILTERS, MODIFY_INCREMENT];

#[cfg(test)]
mod tests {
    #[test]
    fn every_oid_is_one_and_stands_once() {
        let text = include_str!("oid.rs");
        let mut all: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("pub const") && line.contains(": &str ="))
            .filter_map(|line| line.split('"').nth(1))
            .collect();
        assert!(all.len() > 40);
        assert!(all.iter().all(|oid| oid.split('.').all(|arc| arc.parse::<u128>().is_ok())));
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
