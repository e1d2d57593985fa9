//! Kinds of property values: durations and sizes with units, bounded integers, enumerations. Parsing only, no I/O.

use std::time::Duration;

use super::destination::{MailServer, WebAddress};
use crate::name::Dn;
use crate::schema::Schema;

/// A unit of time, for bare numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum TimeUnit {
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl TimeUnit {
    const fn milliseconds(self) -> u64 {
        match self {
            Self::Milliseconds => 1,
            Self::Seconds => 1_000,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
            Self::Days => 86_400_000,
        }
    }

    /// The unit's name, as messages spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
        }
    }
}

/// What values a property accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyKind {
    /// A whole number within bounds, both included.
    Integer {
        /// The smallest.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// `true` or `false`, in any case.
    Boolean,
    /// A duration ([`parse_duration`]) of at least `min_ms`; `unlimited` and −1 too where `unlimited` holds.
    Duration {
        /// What a bare number counts.
        base: TimeUnit,
        /// The shortest, in milliseconds.
        min_ms: u64,
        /// Whether there may be no limit.
        unlimited: bool,
    },
    /// A number of octets ([`parse_size`]) within bounds.
    Size {
        /// The smallest.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// One of these words, in any case.
    Enum(&'static [&'static str]),
    /// A distinguished name.
    Dn,
    /// The name or OID of an attribute type that the schema has.
    AttributeType,
    /// An IP address; `0.0.0.0` and `::` listen on all.
    Address,
    /// An address, a network (`10.0.0.0/8`), a name or a pattern with `*`.
    AddressMask,
    /// The name of a privilege.
    Privilege,
    /// A host and a port, `host:port`.
    HostPort,
    /// A mail server ([`MailServer`]).
    MailServer,
    /// An address of the web ([`WebAddress`]).
    WebAddress,
    /// File permissions, three octal digits.
    Permissions,
    /// A numeric OID or `locale.suffix`; not looked up.
    Oid,
    /// Text of at least one character.
    Text,
    /// An access control instruction; who evaluates them checks it.
    Aci,
}

impl PropertyKind {
    /// What the kind accepts, for messages.
    pub fn accepts(&self) -> String {
        match self {
            Self::Integer { min, max } if *max == i64::MAX || *max == i64::from(i32::MAX) => {
                format!("a whole number of at least {min}")
            }
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Boolean => "true or false".to_owned(),
            Self::Duration { base, min_ms, unlimited } => {
                let mut text = format!(
                    "a duration such as \"3 days\", \"72h\" or \"1d 12h\"; a bare number counts {}",
                    base.name()
                );
                if *min_ms > 0 {
                    text.push_str(&format!("; at least {}", format_duration(Duration::from_millis(*min_ms))));
                }
                if *unlimited {
                    text.push_str("; or unlimited");
                }
                text
            }
            Self::Size { min, max } => {
                let mut text = "a size such as \"5 megabytes\", \"64 kib\" or a number of bytes".to_owned();
                if *min > 0 {
                    text.push_str(&format!("; at least {min} bytes"));
                }
                if *max < u64::MAX {
                    text.push_str(&format!("; at most {max} bytes"));
                }
                text
            }
            Self::Enum(words) => format!("one of {}", words.join(", ")),
            Self::Dn => "a distinguished name".to_owned(),
            Self::AttributeType => "the name of an attribute type of the schema".to_owned(),
            Self::Address => "an IP address".to_owned(),
            Self::AddressMask => {
                "an address, a network such as 10.0.0.0/8 or 10.0.*.*, or a host's full name (not a \
                                  domain: reverse look-ups decide nothing here)"
                    .to_owned()
            }
            Self::Privilege => "the name of a privilege such as unindexed-search".to_owned(),
            Self::HostPort => "a host and a port, host:port".to_owned(),
            Self::MailServer => {
                "host:port, smtp://user@host:port (STARTTLS) or smtps://user@host:port (TLS); the user's password is \
                 in a file (cts-smtp-password-file), never here"
                    .to_owned()
            }
            Self::WebAddress => "an address that begins with http:// or https://, without a user name".to_owned(),
            Self::Permissions => "three octal digits such as 640".to_owned(),
            Self::Oid => "an OID".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Aci => "an access control instruction".to_owned(),
        }
    }

    /// Checks a value; the error says what the kind accepts, or what is missing in the schema.
    pub fn check(&self, value: &str, schema: &Schema) -> Result<(), String> {
        let well = match self {
            Self::Integer { min, max } => {
                value.trim().parse::<i64>().is_ok_and(|number| (*min..=*max).contains(&number))
            }
            Self::Boolean => parse_boolean(value).is_some(),
            Self::Duration { base, min_ms, unlimited } => match parse_duration(value, *base) {
                Some(None) => *unlimited,
                Some(Some(length)) => length.as_millis() >= u128::from(*min_ms),
                None => false,
            },
            Self::Size { min, max } => parse_size(value).is_some_and(|size| (*min..=*max).contains(&size)),
            Self::Enum(words) => words.iter().any(|word| word.eq_ignore_ascii_case(value.trim())),
            Self::Dn => match Dn::parse(value) {
                Ok(_) => true,
                Err(error) => return Err(format!("a distinguished name: {error}")),
            },
            Self::AttributeType => {
                if schema.attribute(value.trim()).is_none() {
                    return Err(format!(
                        "the name of an attribute type of the schema, which has no {value}; add it to cn=schema first"
                    ));
                }
                true
            }
            Self::Address => value.trim().parse::<std::net::IpAddr>().is_ok(),
            Self::AddressMask => is_address_mask(value.trim()),
            // Which names there are, who grants them knows; what is written is checked there.
            Self::Privilege => {
                !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-')
            }
            Self::Text | Self::Aci => !value.trim().is_empty(),
            Self::HostPort => value.trim().rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            }),
            Self::MailServer => MailServer::parse(value).is_some(),
            Self::WebAddress => WebAddress::parse(value).is_some(),
            Self::Permissions => {
                value.len() == 3 && value.bytes().all(|octet| (b'0'..=b'7').contains(&octet))
            }
            Self::Oid => {
                !value.is_empty()
                    && value.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet))
            }
        };
        if well { Ok(()) } else { Err(self.accepts()) }
    }
}

/// Whether the text is an address with or without a mask, or a host's full name.
fn is_address_mask(text: &str) -> bool {
    let address = text.split(['/', '+']).next().unwrap_or_default();
    let address = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    let is_dotted = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit() || b".*".contains(&octet));
    if address.contains('*') {
        return is_dotted(text);
    }
    if let Ok(address) = address.parse::<std::net::IpAddr>() {
        let mask = text.split_once(['/', '+']).map(|(_, mask)| mask);
        return mask.is_none_or(|mask| {
            mask.parse::<u32>().is_ok_and(|bits| bits <= if address.is_ipv4() { 32 } else { 128 })
                || mask.parse::<std::net::IpAddr>().is_ok_and(|mask| mask.is_ipv4() == address.is_ipv4())
        });
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    !is_dotted(text) && text.split('.').all(is_label)
}

/// `true` or `false` in any case.
pub fn parse_boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Splits `12 megabytes` into digits and letters, trimmed; several such pairs may follow each other.
fn terms(text: &str) -> Option<Vec<(u64, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(letters)?;
        found.push((number.parse().ok()?, unit.to_ascii_lowercase()));
        rest = next.trim_start();
    }
    (!found.is_empty()).then_some(found)
}

/// Parses a duration: `3 days`, `72h`, `1d 12h`, `500 ms`, or a bare number, which counts `base`. `Some(None)` is
/// `unlimited` (or −1); `None` is no duration.
pub fn parse_duration(text: &str, base: TimeUnit) -> Option<Option<Duration>> {
    let trimmed = text.trim();
    if trimmed.eq_ignore_ascii_case("unlimited") || trimmed == "-1" {
        return Some(None);
    }
    let terms = terms(trimmed)?;
    let single = terms.len() == 1;
    let mut total: u64 = 0;
    for (number, unit) in terms {
        let factor = match unit.as_str() {
            "" if single => base.milliseconds(),
            "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            "w" | "week" | "weeks" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
    }
    Some(Some(Duration::from_millis(total)))
}

/// Whether a duration is written as a bare number, which people mistake for another unit.
pub fn is_bare_number(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// Writes a duration in the greatest units that give it exactly: `3 d`, `1 d 12 h`, `250 ms`.
pub fn format_duration(length: Duration) -> String {
    let mut left = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (factor, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
        let count = left / factor;
        left %= factor;
        if count > 0 {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&format!("{count} {unit}"));
        }
    }
    if text.is_empty() { "0 s".to_owned() } else { text }
}

/// Parses a size: `5 megabytes` (10^6), `64 kib` (2^10), `100 mb`, or a bare number of octets.
pub fn parse_size(text: &str) -> Option<u64> {
    let terms = terms(text)?;
    let [(number, unit)] = terms.as_slice() else { return None };
    let factor: u64 = match unit.as_str() {
        "" | "b" | "byte" | "bytes" => 1,
        "kb" | "kilobyte" | "kilobytes" => 1_000,
        "mb" | "megabyte" | "megabytes" => 1_000_000,
        "gb" | "gigabyte" | "gigabytes" => 1_000_000_000,
        "tb" | "terabyte" | "terabytes" => 1_000_000_000_000,
        "kib" | "kibibyte" | "kibibytes" => 1 << 10,
        "mib" | "mebibyte" | "mebibytes" => 1 << 20,
        "gib" | "gibibyte" | "gibibytes" => 1 << 30,
        "tib" | "tebibyte" | "tebibytes" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_their_units() {
        let table: &[(&str, TimeUnit, Option<Option<u64>>)] = &[
            ("3 days", TimeUnit::Seconds, Some(Some(259_200_000))),
            ("72h", TimeUnit::Seconds, Some(Some(259_200_000))),
            ("1d 12h", TimeUnit::Seconds, Some(Some(129_600_000))),
            ("1d12h", TimeUnit::Seconds, Some(Some(129_600_000))),
            ("259200", TimeUnit::Seconds, Some(Some(259_200_000))),
            ("60", TimeUnit::Minutes, Some(Some(3_600_000))),
            ("500 ms", TimeUnit::Seconds, Some(Some(500))),
            ("2 m", TimeUnit::Seconds, Some(Some(120_000))),
            ("1 week", TimeUnit::Seconds, Some(Some(604_800_000))),
            ("0", TimeUnit::Seconds, Some(Some(0))),
            ("unlimited", TimeUnit::Seconds, Some(None)),
            ("-1", TimeUnit::Seconds, Some(None)),
            ("", TimeUnit::Seconds, None),
            ("3 dayz", TimeUnit::Seconds, None),
            ("h", TimeUnit::Seconds, None),
            ("1d 12", TimeUnit::Seconds, None),
            ("-5 s", TimeUnit::Seconds, None),
            ("99999999999999999999 d", TimeUnit::Seconds, None),
            ("18446744073709551615 d", TimeUnit::Seconds, None),
        ];
        for (text, base, expected) in table {
            let expected = expected.map(|inner| inner.map(Duration::from_millis));
            assert_eq!(parse_duration(text, *base), expected, "{text}");
        }
    }

    #[test]
    fn sizes_follow_their_units() {
        let table = [
            ("5 megabytes", Some(5_000_000)),
            ("5 MB", Some(5_000_000)),
            ("64kib", Some(65_536)),
            ("32 kb", Some(32_000)),
            ("4096", Some(4_096)),
            ("4096 b", Some(4_096)),
            ("1 gib 1 mib", None),
            ("", None),
            ("mb", None),
            ("5 m", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }

    #[test]
    fn a_printed_duration_reads_back() {
        for ms in [0, 1, 999, 1_000, 61_000, 86_400_000, 129_600_000, 604_801_001] {
            let length = Duration::from_millis(ms);
            assert_eq!(parse_duration(&format_duration(length), TimeUnit::Days), Some(Some(length)));
        }
    }
}
