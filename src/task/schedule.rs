//! When tasks start: times as task entries write them, and the five fields of crontab(5).

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// What the fields of a pattern are called, and the values they may have.
const FIELDS: [(&str, u8, u8); 5] = [
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 6),
];

fn time_of(ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// `yyyyMMddHHmmssZ`.
pub(crate) fn stamp(ms: u64) -> String {
    time_of(ms).strftime("%Y%m%d%H%M%SZ").to_string()
}

/// `yyyyMMddHHmmss` in the local time zone; iterations are named by it.
pub(super) fn local_stamp(ms: u64, zone: &TimeZone) -> String {
    time_of(ms).to_zoned(zone.clone()).strftime("%Y%m%d%H%M%S").to_string()
}

/// Reads `yyyyMMddHHmmss`, in UTC with a `Z` behind it and else in the local time zone. `0` (at once) is none.
pub(super) fn start_time(text: &str, zone: &TimeZone) -> Result<Option<u64>, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(None);
    }
    let (digits, zone) = match text.strip_suffix('Z') {
        Some(digits) => (digits, &TimeZone::UTC),
        None => (text, zone),
    };
    let time = (digits.len() == 14 && digits.bytes().all(|octet| octet.is_ascii_digit()))
        .then(|| jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?.to_zoned(zone.clone()).ok())
        .flatten();
    let time = time.ok_or_else(|| {
        format!("\"{text}\" is no time: give 0, or yyyyMMddHHmmss, with a Z behind it for UTC")
    })?;
    Ok(Some(u64::try_from(time.timestamp().as_millisecond()).unwrap_or(0)))
}

/// The pattern of a recurring task. All five fields have to match, as in the reference server: a day of the month **and**
/// a day of the week narrow each other.
#[derive(Debug, Clone)]
pub(super) struct Crontab {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

impl Crontab {
    /// Reads `minute hour day-of-month month day-of-week`: each `*`, `*/n`, `a`, `a-b`, `a-b/n`, or several of the last
    /// three with commas between.
    pub(super) fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != FIELDS.len() {
            return Err(format!(
                "\"{text}\" has {} fields; a schedule has five: minute hour day-of-month month day-of-week",
                fields.len()
            ));
        }
        for (field, (name, least, most)) in fields.iter().zip(FIELDS) {
            check_field(field, least, most).map_err(|why| format!("the {name} \"{field}\" {why}"))?;
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .dom_and_dow(true)
            .build();
        let text = fields.join(" ");
        let cron = parser.parse(&text).map_err(|error| format!("\"{text}\": {error}"))?;
        Ok(Self { text, cron, zone })
    }

    /// The pattern, its fields one space apart.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The zone that its times are in.
    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first slot after a time; none if there is none (the 30th of February).
    pub(super) fn next_after(&self, ms: u64) -> Option<u64> {
        let from: Zoned = time_of(ms).to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&from, false).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok().filter(|slot| *slot > ms)
    }
}

fn check_field(field: &str, least: u8, most: u8) -> Result<(), String> {
    let range =
        || format!("is none of *, */n, a, a-b, a-b/n, with {least} ≤ a ≤ b ≤ {most}, or a list of them");
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        digits.then(|| text.parse::<u8>().ok()).flatten().ok_or_else(range)
    };
    let step = |text: &str| if number(text)? == 0 { Err(range()) } else { Ok(()) };
    if field == "*" {
        return Ok(());
    }
    if let Some(by) = field.strip_prefix("*/") {
        return step(by);
    }
    for item in field.split(',') {
        let (span, by) = item.split_once('/').map_or((item, None), |(span, by)| (span, Some(by)));
        let (first, last) = match (span.split_once('-'), by) {
            (Some((first, last)), _) => (number(first)?, number(last)?),
            (None, None) => (number(span)?, number(span)?),
            (None, Some(_)) => return Err(range()),
        };
        by.map_or(Ok(()), step)?;
        if first < least || last > most || first > last {
            return Err(range());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn slots(pattern: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let tab = Crontab::parse(pattern, zone.clone()).unwrap();
        let mut at = start_time(from, &TimeZone::UTC).unwrap().unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            at = tab.next_after(at).unwrap();
            found.push(local_stamp(at, &zone));
        }
        found
    }

    #[test]
    fn slots_come_as_the_pattern_says() {
        // 2023-11-14 is a Tuesday.
        assert_eq!(slots("15 * * * *", "UTC", "20231114221500Z", 2), ["20231114231500", "20231115001500"]);
        assert_eq!(slots("0 2 * * *", "UTC", "20231114221500Z", 2), ["20231115020000", "20231116020000"]);
        assert_eq!(
            slots("*/20 5 * * *", "UTC", "20231114221500Z", 3),
            ["20231115050000", "20231115052000", "20231115054000"]
        );
        assert_eq!(slots("0 0 1 1,7 *", "UTC", "20231114221500Z", 2), ["20240101000000", "20240701000000"]);
        assert_eq!(slots("30 1 * * 0", "UTC", "20231114221500Z", 1), ["20231119013000"]);
        assert_eq!(
            slots("0 12-14/2 * * 1-5", "UTC", "20231117130000Z", 2),
            ["20231117140000", "20231120120000"]
        );
        // Both days have to match: the next Friday the 13th.
        assert_eq!(slots("0 0 13 * 5", "UTC", "20231114221500Z", 1), ["20240913000000"]);
    }

    #[test]
    fn local_time_is_meant_and_its_changes_are_survived() {
        assert_eq!(slots("0 2 * * *", "Europe/Berlin", "20231114221500Z", 1), ["20231115020000"]);
        // On 2024-03-31 there is no 02:30 in Berlin; on 2024-10-27 there are two.
        let spring = slots("30 2 * * *", "Europe/Berlin", "20240330120000Z", 2);
        assert!(spring[1].starts_with("20240401") || spring[1] == "20240331033000", "{spring:?}");
        let autumn = slots("30 2 * * *", "Europe/Berlin", "20241026120000Z", 2);
        assert_eq!(autumn[0], "20241027023000");
    }

    #[test]
    fn what_is_no_pattern_is_told_by_its_field() {
        let refused = |text: &str| Crontab::parse(text, TimeZone::UTC).unwrap_err();
        for (text, part) in [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("0 * * * * *", "6 fields"),
            ("60 * * * *", "the minute \"60\""),
            ("x * * * *", "the minute \"x\""),
            ("* 24 * * *", "the hour"),
            ("* * 0 * *", "the day of the month"),
            ("* * * 13 *", "the month"),
            ("* * * JAN *", "the month"),
            ("* * * * 7", "the day of the week"),
            ("5-1 * * * *", "the minute"),
            ("5/2 * * * *", "the minute"),
            ("*/0 * * * *", "the minute"),
            ("1, * * * *", "the minute"),
            ("@hourly", "1 fields"),
        ] {
            assert!(refused(text).contains(part), "{text}: {}", refused(text));
        }
        let never = Crontab::parse("0 0 30 2 *", TimeZone::UTC).unwrap();
        assert_eq!(never.next_after(0), None);
    }

    #[test]
    fn start_times_are_read_in_their_zone() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(start_time("0", &berlin), Ok(None));
        assert_eq!(start_time("19700101020000Z", &berlin), Ok(Some(2 * HOUR)));
        assert_eq!(start_time(" 19700101020000 ", &berlin), Ok(Some(HOUR)));
        for bad in ["", "soon", "1970010102000", "19701301020000Z", "19700101020000+1"] {
            assert!(start_time(bad, &berlin).is_err(), "{bad}");
        }
        assert_eq!(stamp(2 * HOUR), "19700101020000Z");
    }

    proptest! {
        #[test]
        fn the_next_slot_is_the_first_minute_that_matches(
            start in 1_600_000_000_u64..1_800_000_000,
            minute in 0_u8..60,
            hour in 0_u8..24,
            step in 1_u8..30,
        ) {
            let ms = start * 1000;
            let tab = Crontab::parse(&format!("{minute} {hour} */{step} * *"), TimeZone::UTC).unwrap();
            let next = tab.next_after(ms).unwrap();
            // By brute force, minute by minute over at most 62 days.
            let mut at = (ms / 60_000 + 1) * 60_000;
            loop {
                let time = time_of(at).to_zoned(TimeZone::UTC);
                let matches = time.minute() == minute as i8
                    && time.hour() == hour as i8
                    && (time.day() - 1) % step as i8 == 0;
                if matches {
                    break;
                }
                at += 60_000;
            }
            prop_assert_eq!(next, at);
        }
    }
}
