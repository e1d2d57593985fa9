//! The logs as types, and how they are read from their entries.

use std::path::PathBuf;
use std::time::Duration;

use super::tree::{ConfigEntry, ConfigTree};
use crate::schema::{NormalizedDn, Schema};

/// What a log publisher writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum LogKind {
    Access,
    Audit,
    Error,
}

/// The shape of an access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// A line for the request and one for the response.
    MultiLine,
    /// One line an operation.
    Combined,
    /// One JSON object an operation.
    Json,
}

/// What becomes of operations that meet one of a log's criteria.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilteringPolicy {
    /// Criteria are not looked at.
    None,
    /// They alone are written.
    Inclusive,
    /// They are not written.
    Exclusive,
}

/// A condition on operations: each list that is not empty, and each bound that is set, must agree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogCriteria {
    /// The `cn` of its entry.
    pub name: String,
    /// Lower-case words: `add`, `rename`, `connect`, …
    pub record_types: Vec<String>,
    /// Addresses, networks or patterns of clients.
    pub clients: Vec<String>,
    /// The same, of clients that are not meant.
    pub other_clients: Vec<String>,
    /// Ports of the server.
    pub ports: Vec<u16>,
    /// `LDAP`, `LDAPS`.
    pub protocols: Vec<String>,
    /// Patterns of who has bound.
    pub users: Vec<String>,
    /// Patterns of who has not.
    pub other_users: Vec<String>,
    /// Patterns of the operation's target.
    pub targets: Vec<String>,
    /// Patterns of what is not.
    pub other_targets: Vec<String>,
    /// Milliseconds that it took more than.
    pub slower_than: Option<u64>,
    /// Milliseconds that it took less than.
    pub faster_than: Option<u64>,
    /// Result codes.
    pub codes: Vec<u32>,
    /// Result codes that are not meant.
    pub other_codes: Vec<u32>,
    /// Whether an index served the search.
    pub is_indexed: Option<bool>,
    /// Entries that a search returned more than.
    pub entries_above: Option<u64>,
    /// Entries that a search returned less than.
    pub entries_below: Option<u64>,
}

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPublisher {
    /// The `cn` of its entry.
    pub name: String,
    /// What it writes.
    pub kind: LogKind,
    /// Whether it does.
    pub enabled: bool,
    /// Relative to the instance directory unless absolute.
    pub file: PathBuf,
    /// Mode of its files.
    pub permissions: u32,
    /// The shape of an access log.
    pub format: LogFormat,
    /// Records that may wait to be written.
    pub queue_size: usize,
    /// Whether the OIDs of a request's controls are written.
    pub control_oids: bool,
    /// What the error log takes; lower-case words.
    pub severities: Vec<String>,
    /// The same by category: `CATEGORY=word,word`.
    pub override_severities: Vec<String>,
    /// Whether operations of the server's own are left out.
    pub suppress_internal: bool,
    /// What becomes of what meets a criterion.
    pub filtering: FilteringPolicy,
    /// The criteria.
    pub criteria: Vec<LogCriteria>,
    /// Of so many operations that succeed one is written; 1 writes all. Binds, connections and failures are all written.
    pub sample_every: u32,
    /// Only operations that took at least so long are written.
    pub slower_than: Option<Duration>,
    /// Names and OIDs of attributes whose values the audit log leaves out; lower case.
    pub redacted: Vec<String>,
    /// The age at which a file is put aside.
    pub rotate_every: Option<Duration>,
    /// The size at which it is.
    pub rotate_at_size: Option<u64>,
    /// Minutes of the day (local time) at which it is.
    pub rotate_at: Vec<u16>,
    /// Files put aside that are kept.
    pub keep_files: Option<usize>,
    /// Octets of files that are kept.
    pub keep_size: Option<u64>,
    /// Octets that must be free on the disk, else the oldest file goes.
    pub keep_free: Option<u64>,
}

impl LogPublisher {
    /// An enabled log with the defaults of its properties, that rotates nothing.
    pub fn new(name: &str, kind: LogKind, file: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            enabled: true,
            file: file.into(),
            permissions: 0o640,
            format: LogFormat::MultiLine,
            queue_size: 8192,
            control_oids: false,
            severities: ["error", "warning", "notice"].map(str::to_owned).to_vec(),
            override_severities: Vec::new(),
            suppress_internal: true,
            filtering: FilteringPolicy::None,
            criteria: Vec::new(),
            sample_every: 1,
            slower_than: None,
            redacted: ["coretokenobject", "userpassword", "authpassword"].map(str::to_owned).to_vec(),
            rotate_every: None,
            rotate_at_size: None,
            rotate_at: Vec::new(),
            keep_files: None,
            keep_size: None,
            keep_free: None,
        }
    }
}

fn lower(values: Vec<String>) -> Vec<String> {
    values.into_iter().map(|value| value.to_lowercase()).collect()
}

fn numbers<T: std::str::FromStr>(entry: &ConfigEntry, name: &str) -> Vec<T> {
    entry.setting(name).iter().filter_map(|text| text.trim().parse().ok()).collect()
}

/// All names of the attributes and their OIDs: a client may write any of them.
fn names(types: &[&str], schema: &Schema) -> Vec<String> {
    let mut all = Vec::new();
    for name in types {
        all.push(name.to_lowercase());
        if let Some(attribute) = schema.attribute(name) {
            all.extend(attribute.names.iter().map(|name| name.to_lowercase()));
            all.push(attribute.oid.to_lowercase());
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Minutes of `HHmm`; none for what is no time of day.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_at_checked(2)?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.trim_start_matches(':').parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

pub(super) fn read(
    key: &NormalizedDn,
    entry: &ConfigEntry,
    tree: &ConfigTree,
    schema: &Schema,
) -> LogPublisher {
    let policies = |name: &str| -> Vec<&ConfigEntry> {
        let dns = entry.setting(name).into_iter();
        dns.filter_map(|dn| tree.find(dn, schema)).map(AsRef::as_ref).collect()
    };
    let rotation = policies("rotation-policy");
    let retention = policies("retention-policy");
    let is_json = entry.has_class("ds-cfg-json-file-access-log-publisher");
    let kind = if entry.has_class("ds-cfg-error-log-publisher") {
        LogKind::Error
    } else if entry.has_class("ds-cfg-file-based-audit-log-publisher") {
        LogKind::Audit
    } else {
        LogKind::Access
    };
    let file = match entry.first("log-file") {
        Some(file) => PathBuf::from(file),
        None if is_json => {
            PathBuf::from(entry.first("log-directory").unwrap_or("logs")).join("ldap-access.audit.json")
        }
        None => PathBuf::from("logs/access"),
    };
    let is_criteria = |(_, entry): &(&NormalizedDn, &std::sync::Arc<ConfigEntry>)| {
        entry.has_class("ds-cfg-access-log-filtering-criteria")
    };
    LogPublisher {
        enabled: entry.boolean("enabled"),
        permissions: entry
            .first("log-file-permissions")
            .and_then(|text| u32::from_str_radix(text, 8).ok())
            .unwrap_or(0o640),
        format: match entry.first("log-format").map(str::to_ascii_lowercase).as_deref() {
            Some("json") => LogFormat::Json,
            Some("combined") => LogFormat::Combined,
            _ if is_json => LogFormat::Json,
            _ => LogFormat::MultiLine,
        },
        queue_size: entry.integer("queue-size").and_then(|size| usize::try_from(size).ok()).unwrap_or(8192),
        control_oids: entry.boolean("log-control-oids"),
        severities: lower(entry.owned("default-severity")),
        override_severities: entry.owned("override-severity"),
        suppress_internal: entry.boolean("suppress-internal-operations"),
        filtering: match entry.first("filtering-policy").map(str::to_ascii_lowercase).as_deref() {
            Some("inclusive") => FilteringPolicy::Inclusive,
            Some("exclusive") => FilteringPolicy::Exclusive,
            _ => FilteringPolicy::None,
        },
        criteria: tree.subtree(key).filter(is_criteria).map(|(_, entry)| criteria(entry)).collect(),
        sample_every: numbers(entry, "cts-log-sample-every").first().copied().unwrap_or(1).max(1),
        slower_than: entry.duration("cts-log-slower-than").filter(|least| !least.is_zero()),
        redacted: names(&entry.setting("cts-redacted-attribute"), schema),
        rotate_every: rotation.iter().filter_map(|policy| policy.duration("rotation-interval")).min(),
        rotate_at_size: rotation.iter().filter_map(|policy| policy.size("file-size-limit")).min(),
        rotate_at: rotation
            .iter()
            .flat_map(|policy| policy.setting("time-of-day"))
            .filter_map(minutes)
            .collect(),
        keep_files: retention
            .iter()
            .filter_map(|policy| usize::try_from(policy.integer("number-of-files")?).ok())
            .min(),
        keep_size: retention.iter().filter_map(|policy| policy.size("disk-space-used")).min(),
        keep_free: retention.iter().filter_map(|policy| policy.size("free-disk-space")).max(),
        ..LogPublisher::new(entry.texts("cn").next().unwrap_or_default(), kind, file)
    }
}

fn criteria(entry: &ConfigEntry) -> LogCriteria {
    let bound = |name: &str| entry.integer(name).and_then(|value| u64::try_from(value).ok());
    LogCriteria {
        name: entry.texts("cn").next().unwrap_or_default().to_owned(),
        record_types: lower(entry.owned("log-record-type")),
        clients: entry.owned("connection-client-address-equal-to"),
        other_clients: entry.owned("connection-client-address-not-equal-to"),
        ports: numbers(entry, "connection-port-equal-to"),
        protocols: entry.owned("connection-protocol-equal-to"),
        users: entry.owned("user-dn-equal-to"),
        other_users: entry.owned("user-dn-not-equal-to"),
        targets: entry.owned("request-target-dn-equal-to"),
        other_targets: entry.owned("request-target-dn-not-equal-to"),
        slower_than: bound("response-etime-greater-than"),
        faster_than: bound("response-etime-less-than"),
        codes: numbers(entry, "response-result-code-equal-to"),
        other_codes: numbers(entry, "response-result-code-not-equal-to"),
        is_indexed: entry.first("search-response-is-indexed").map(|text| text.eq_ignore_ascii_case("true")),
        entries_above: bound("search-response-nentries-greater-than"),
        entries_below: bound("search-response-nentries-less-than"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaStore;

    #[test]
    fn a_publisher_is_read_with_its_policies_and_criteria() {
        let schema = SchemaStore::builtin(true).current();
        let text = "dn: cn=config\nobjectClass: ds-cfg-root-config\ncn: config\n\n\
            dn: cn=fixed,cn=config\nobjectClass: ds-cfg-log-rotation-policy\ncn: fixed\n\
            ds-cfg-time-of-day: 0130\nds-cfg-time-of-day: 23:59\nds-cfg-time-of-day: 2500\n\n\
            dn: cn=j,cn=config\nobjectClass: ds-cfg-log-publisher\n\
            objectClass: ds-cfg-json-file-access-log-publisher\ncn: j\nds-cfg-enabled: true\n\
            ds-cfg-filtering-policy: Inclusive\nds-cfg-rotation-policy: cn=fixed,cn=config\n\
            ds-cfg-cts-log-slower-than: 250 ms\nds-cfg-cts-log-sample-every: 10\n\n\
            dn: cn=Filtering Criteria,cn=j,cn=config\nobjectClass: ds-cfg-branch\ncn: Filtering Criteria\n\n\
            dn: cn=slow,cn=Filtering Criteria,cn=j,cn=config\n\
            objectClass: ds-cfg-access-log-filtering-criteria\ncn: slow\n\
            ds-cfg-log-record-type: Search\nds-cfg-response-etime-greater-than: 100\n\
            ds-cfg-search-response-is-indexed: false\n\n\
            dn: cn=a,cn=config\nobjectClass: ds-cfg-log-publisher\n\
            objectClass: ds-cfg-file-based-audit-log-publisher\ncn: a\nds-cfg-log-file: logs/audit\n";
        let tree = ConfigTree::parse(text, "test", &schema).unwrap();
        let of = |dn: &str| {
            let key = NormalizedDn::parse(dn, &schema).unwrap();
            read(&key, tree.get(&key).unwrap(), &tree, &schema)
        };
        let json = of("cn=j,cn=config");
        assert_eq!((json.kind, json.format, json.enabled), (LogKind::Access, LogFormat::Json, true));
        assert_eq!(json.file, PathBuf::from("logs/ldap-access.audit.json"));
        assert_eq!(json.rotate_at, [90, 23 * 60 + 59]);
        assert_eq!((json.sample_every, json.slower_than), (10, Some(Duration::from_millis(250))));
        assert_eq!(json.filtering, FilteringPolicy::Inclusive);
        let slow = json.criteria.first().unwrap();
        assert_eq!(
            (slow.record_types.as_slice(), slow.slower_than, slow.is_indexed, slow.faster_than),
            (&["search".to_owned()][..], Some(100), Some(false), None)
        );
        let audit = of("cn=a,cn=config");
        assert_eq!(audit.kind, LogKind::Audit);
        for name in ["coretokenobject", "userpassword", "2.5.4.35"] {
            assert!(audit.redacted.iter().any(|one| one == name), "{name}: {:?}", audit.redacted);
        }
    }
}
