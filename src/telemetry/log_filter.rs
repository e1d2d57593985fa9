//! Which operations a log takes: its criteria, compiled.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::config::{FilteringPolicy, LogCriteria, LogPublisher};
use crate::protocol::result::ResultCode;

/// Both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) is_tls: bool,
}

impl Client {
    pub(super) const fn protocol(&self) -> &'static str {
        if self.is_tls { "LDAPS" } else { "LDAP" }
    }
}

/// How an operation ended, as far as criteria look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) took: Duration,
    pub(super) code: ResultCode,
    pub(super) entries: Option<u64>,
    pub(super) is_unindexed: bool,
}

/// What criteria look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The word of `ds-cfg-log-record-type`.
    pub(super) record: &'a str,
    pub(super) client: Option<Client>,
    pub(super) user: &'a str,
    pub(super) target: Option<&'a str>,
    pub(super) ended: Option<Ended>,
}

/// A log's criteria and policy.
#[derive(Debug, Default)]
pub(super) struct Filter {
    policy: Option<FilteringPolicy>,
    criteria: Vec<Criterion>,
}

#[derive(Debug, Default)]
struct Criterion {
    of: LogCriteria,
    clients: Vec<Addresses>,
    other_clients: Vec<Addresses>,
    users: Vec<Pattern>,
    other_users: Vec<Pattern>,
    targets: Vec<Pattern>,
    other_targets: Vec<Pattern>,
}

impl Filter {
    pub(super) fn of(publisher: &LogPublisher) -> Self {
        if publisher.filtering == FilteringPolicy::None {
            return Self::default();
        }
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::of(text)).collect::<Vec<_>>();
        let addresses = |texts: &[String]| texts.iter().map(|text| Addresses::of(text)).collect::<Vec<_>>();
        let criteria = publisher.criteria.iter().map(|one| Criterion {
            clients: addresses(&one.clients),
            other_clients: addresses(&one.other_clients),
            users: patterns(&one.users),
            other_users: patterns(&one.other_users),
            targets: patterns(&one.targets),
            other_targets: patterns(&one.other_targets),
            of: one.clone(),
        });
        Self { policy: Some(publisher.filtering), criteria: criteria.collect() }
    }

    /// Whether everything is taken.
    pub(super) const fn is_off(&self) -> bool {
        self.policy.is_none()
    }

    /// Whether it looks at connections' ends.
    pub(super) fn needs_client(&self) -> bool {
        let needs = |one: &Criterion| {
            !one.clients.is_empty()
                || !one.other_clients.is_empty()
                || !one.of.ports.is_empty()
                || !one.of.protocols.is_empty()
        };
        self.criteria.iter().any(needs)
    }

    /// Whether it can decide only when an operation is over.
    pub(super) fn needs_end(&self) -> bool {
        self.criteria.iter().any(|one| one.of.needs_end())
    }

    pub(super) fn admits(&self, subject: &Subject<'_>) -> bool {
        match self.policy {
            None | Some(FilteringPolicy::None) => true,
            Some(FilteringPolicy::Inclusive) => self.criteria.iter().any(|one| one.meets(subject)),
            Some(FilteringPolicy::Exclusive) => !self.criteria.iter().any(|one| one.meets(subject)),
        }
    }
}

impl LogCriteria {
    const fn needs_end(&self) -> bool {
        self.slower_than.is_some()
            || self.faster_than.is_some()
            || !self.codes.is_empty()
            || !self.other_codes.is_empty()
            || self.is_indexed.is_some()
            || self.entries_above.is_some()
            || self.entries_below.is_some()
    }

    /// A request that has no end (an abandon, a connection) meets no condition on ends.
    fn meets_end(&self, ended: Option<Ended>) -> bool {
        if !self.needs_end() {
            return true;
        }
        let Some(ended) = ended else { return false };
        let ms = u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX);
        let code = ended.code.0;
        self.slower_than.is_none_or(|bound| ms > bound)
            && self.faster_than.is_none_or(|bound| ms < bound)
            && (self.codes.is_empty() || self.codes.contains(&code))
            && !self.other_codes.contains(&code)
            && self.is_indexed.is_none_or(|wanted| ended.entries.is_some() && ended.is_unindexed != wanted)
            && self.entries_above.is_none_or(|bound| ended.entries.is_some_and(|count| count > bound))
            && self.entries_below.is_none_or(|bound| ended.entries.is_some_and(|count| count < bound))
    }
}

impl Criterion {
    fn meets(&self, subject: &Subject<'_>) -> bool {
        let of = &self.of;
        let is_from = |list: &[Addresses]| {
            subject.client.is_some_and(|client| list.iter().any(|one| one.contains(client.from.ip())))
        };
        let is_user = |list: &[Pattern]| list.iter().any(|one| one.matches(subject.user));
        let is_target =
            |list: &[Pattern]| subject.target.is_some_and(|dn| list.iter().any(|one| one.matches(dn)));
        (of.record_types.is_empty() || of.record_types.iter().any(|one| one == subject.record))
            && (self.clients.is_empty() || is_from(&self.clients))
            && !is_from(&self.other_clients)
            && (of.ports.is_empty()
                || subject.client.is_some_and(|client| of.ports.contains(&client.to.port())))
            && (of.protocols.is_empty()
                || subject.client.is_some_and(|client| {
                    of.protocols.iter().any(|one| one.eq_ignore_ascii_case(client.protocol()))
                }))
            && (self.users.is_empty() || is_user(&self.users))
            && !is_user(&self.other_users)
            && (self.targets.is_empty() || is_target(&self.targets))
            && !is_target(&self.other_targets)
            && of.meets_end(subject.ended)
    }
}

/// An address, a network (`10.0.0.0/8`), or a text with `*`.
#[derive(Debug)]
enum Addresses {
    Network(IpAddr, u32),
    Text(String),
}

impl Addresses {
    fn of(text: &str) -> Self {
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, bits.parse().ok()),
            None => (text.trim(), Some(128)),
        };
        match (address.parse(), bits) {
            (Ok(address), Some(bits)) => Self::Network(address, bits),
            _ => Self::Text(text.trim().to_lowercase()),
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        let shifted = |number: u128, width: u32, bits: u32| number.checked_shr(width - bits.min(width));
        match self {
            Self::Network(IpAddr::V4(net), bits) => match address {
                IpAddr::V4(own) => {
                    shifted(u32::from(own).into(), 32, *bits) == shifted(u32::from(*net).into(), 32, *bits)
                }
                IpAddr::V6(_) => false,
            },
            Self::Network(IpAddr::V6(net), bits) => match address {
                IpAddr::V6(own) => shifted(own.into(), 128, *bits) == shifted((*net).into(), 128, *bits),
                IpAddr::V4(_) => false,
            },
            Self::Text(pattern) => glob(pattern, &address.to_string()),
        }
    }
}

/// Whether a text is what a pattern with `*` says.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else { return false };
            rest = rest.split_at_checked(at + middle.len()).map_or("", |(_, after)| after);
        }
    }
    match last {
        None => rest.is_empty(),
        Some(end) => rest.ends_with(end),
    }
}

/// A DN with wildcards: `*` within a value, `**` for any number of RDNs. Names are compared as text, in lower case and
/// without the blanks around `=` and `,`.
#[derive(Debug)]
struct Pattern(Vec<String>);

/// The parts of a DN between commas that are not escaped.
fn rdns(dn: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for letter in dn.chars().flat_map(char::to_lowercase) {
        if letter == ',' && !is_escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    for part in &mut parts {
        let tidy = match part.split_once('=') {
            Some((name, value)) => format!("{}={}", name.trim(), value.trim()),
            None => part.trim().to_owned(),
        };
        *part = tidy;
    }
    parts.retain(|part| !part.is_empty());
    parts
}

impl Pattern {
    fn of(text: &str) -> Self {
        Self(rdns(text))
    }

    fn matches(&self, dn: &str) -> bool {
        let dn = rdns(dn);
        let dn: Vec<&str> = dn.iter().map(String::as_str).collect();
        let pattern: Vec<&str> = self.0.iter().map(String::as_str).collect();
        fit(&pattern, &dn)
    }
}

fn fit(pattern: &[&str], dn: &[&str]) -> bool {
    match pattern.split_first() {
        None => dn.is_empty(),
        Some((&"**", rest)) => (0..=dn.len())
            .any(|skipped| dn.split_at_checked(skipped).is_some_and(|(_, left)| fit(rest, left))),
        Some((first, rest)) => match dn.split_first() {
            Some((rdn, left)) => glob(first, rdn) && fit(rest, left),
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogKind;

    fn subject(record: &'static str) -> Subject<'static> {
        Subject {
            record,
            client: Some(Client {
                from: "192.0.2.7:5000".parse().unwrap(),
                to: "192.0.2.1:1389".parse().unwrap(),
                is_tls: false,
            }),
            user: "uid=OpenAM, ou=admins,dc=example",
            target: Some("coreTokenId=1,ou=tokens,dc=example"),
            ended: Some(Ended {
                took: Duration::from_millis(50),
                code: ResultCode::SUCCESS,
                entries: Some(3),
                is_unindexed: false,
            }),
        }
    }

    fn admits(policy: FilteringPolicy, criteria: LogCriteria, subject: &Subject<'_>) -> bool {
        let publisher = LogPublisher {
            filtering: policy,
            criteria: vec![criteria],
            ..LogPublisher::new("x", LogKind::Access, "x")
        };
        Filter::of(&publisher).admits(subject)
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn each_condition_has_its_say() {
        let any = LogCriteria::default;
        let table: Vec<(LogCriteria, bool)> = vec![
            (any(), true),
            (LogCriteria { record_types: texts(&["add", "search"]), ..any() }, true),
            (LogCriteria { record_types: texts(&["add"]), ..any() }, false),
            (LogCriteria { clients: texts(&["192.0.2.0/24"]), ..any() }, true),
            (LogCriteria { clients: texts(&["192.0.*"]), ..any() }, true),
            (LogCriteria { clients: texts(&["192.0.2.8"]), ..any() }, false),
            (LogCriteria { other_clients: texts(&["192.0.2.7"]), ..any() }, false),
            (LogCriteria { ports: vec![1389], ..any() }, true),
            (LogCriteria { ports: vec![4444], ..any() }, false),
            (LogCriteria { protocols: texts(&["ldap"]), ..any() }, true),
            (LogCriteria { protocols: texts(&["LDAPS"]), ..any() }, false),
            (LogCriteria { users: texts(&["uid=*,ou=admins,dc=example"]), ..any() }, true),
            (LogCriteria { users: texts(&["uid=*,dc=example"]), ..any() }, false),
            (LogCriteria { other_users: texts(&["uid=openam,**"]), ..any() }, false),
            (LogCriteria { targets: texts(&["**,ou=Tokens, dc=example"]), ..any() }, true),
            (LogCriteria { targets: texts(&["ou=tokens,dc=example"]), ..any() }, false),
            (LogCriteria { other_targets: texts(&["**,dc=example"]), ..any() }, false),
            (LogCriteria { slower_than: Some(49), ..any() }, true),
            (LogCriteria { slower_than: Some(50), ..any() }, false),
            (LogCriteria { faster_than: Some(50), ..any() }, false),
            (LogCriteria { codes: vec![0, 32], ..any() }, true),
            (LogCriteria { codes: vec![32], ..any() }, false),
            (LogCriteria { other_codes: vec![0], ..any() }, false),
            (LogCriteria { is_indexed: Some(true), ..any() }, true),
            (LogCriteria { is_indexed: Some(false), ..any() }, false),
            (LogCriteria { entries_above: Some(2), entries_below: Some(4), ..any() }, true),
            (LogCriteria { entries_above: Some(3), ..any() }, false),
        ];
        let subject = subject("search");
        for (criteria, meets) in table {
            let said = format!("{criteria:?}");
            assert_eq!(admits(FilteringPolicy::Inclusive, criteria.clone(), &subject), meets, "{said}");
            assert_eq!(admits(FilteringPolicy::Exclusive, criteria.clone(), &subject), !meets, "{said}");
            assert!(admits(FilteringPolicy::None, criteria, &subject));
        }
    }

    #[test]
    fn what_has_no_end_meets_no_condition_on_ends() {
        let subject = Subject { ended: None, ..subject("connect") };
        let slow = LogCriteria { slower_than: Some(0), ..LogCriteria::default() };
        assert!(!admits(FilteringPolicy::Inclusive, slow, &subject));
        assert!(admits(FilteringPolicy::Inclusive, LogCriteria::default(), &subject));
    }

    #[test]
    fn networks_and_escapes() {
        let of = |net: &str, address: &str| Addresses::of(net).contains(address.parse().unwrap());
        assert!(of("10.0.0.0/8", "10.200.0.1") && !of("10.0.0.0/8", "11.0.0.1"));
        assert!(of("0.0.0.0/0", "11.0.0.1") && !of("0.0.0.0/0", "::1"));
        assert!(of("fe80::/10", "fe80::1") && !of("fe80::/10", "::1"));
        assert!(Pattern::of("cn=a\\,b,dc=x").matches("CN=a\\,b , DC=x"));
        assert!(!Pattern::of("cn=a,dc=x").matches("cn=a\\,b,dc=x"));
    }
}
